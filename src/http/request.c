/*
 * request.c - the request object: its life, what it tells, and how other threads reach it.
 *
 * Flow:  connection.c makes one with the first byte of a head and begins it when the head is
 *        complete; it ends when the answer is over and the connection has let go.
 * Owner: the worker of its connection. References are atomic, so that other threads may hold it.
 */
#include "http/http_internal.h"

#include <arpa/inet.h>
#include <stdio.h>

/* What a request looks like before a head has arrived. The big arrays are written before read. */
static void
request_reset(struct zp_http_request *request)
{
	memset(request, 0, offsetof(struct zp_http_request, head));
	http__head_reset(&request->head);
	atomic_init(&request->references, 1);
	request->bytes = request->room;
	zp_buf_init(&request->answer_headers, HTTP_ANSWER_HEADERS_BYTES_MAX);
	zp_buf_init(&request->trailers, HTTP_ANSWER_HEADERS_BYTES_MAX);
}

struct zp_http_request *
http__request_new(struct http_connection *connection)
{
	struct http_worker *worker = connection->worker;
	struct zp_http_request *request = worker->pool;
	struct zp_buf headers = ZP_BUF_INIT(HTTP_ANSWER_HEADERS_BYTES_MAX);

	if (request != NULL) {
		worker->pool = request->pool_next;
		worker->pool_count--;
		headers = request->answer_headers;
	} else {
		request = zp_alloc(sizeof(*request));
	}
	request_reset(request);
	request->answer_headers = headers;
	request->connection = connection;
	request->worker = worker;
	request->listener = connection->listener;
	return request;
}

/* The last reference is gone. Any thread; only the owner may use the pool. */
static void
request_free(struct zp_http_request *request)
{
	struct http_worker *worker = request->worker;

	if (request->bytes != request->room)
		zp_free(request->bytes);
	zp_buf_done(&request->body);
	zp_buf_done(&request->trailers);
	if (zp_loop_is_current(worker->loop) && worker->pool_count < HTTP_REQUEST_POOL_MAX) {
		zp_buf_clear(&request->answer_headers);
		request->pool_next = worker->pool;
		worker->pool = request;
		worker->pool_count++;
		return;
	}
	zp_buf_done(&request->answer_headers);
	zp_free(request);
}

void
zp_http_hold(struct zp_http_request *request)
{
	ZP_ASSERT(atomic_fetch_add_explicit(&request->references, 1, memory_order_relaxed) > 0);
}

void
http__request_release(struct zp_http_request *request)
{
	if (atomic_fetch_sub_explicit(&request->references, 1, memory_order_acq_rel) == 1)
		request_free(request);
}

void
zp_http_release(struct zp_http_request *request)
{
	http__request_release(request);
}

void
http__request_begin(struct zp_http_request *request, const uint8_t *head_bytes)
{
	struct http_head *head = &request->head;
	size_t bytes = (size_t)head->length + head->target.length;

	ZP_ASSERT(head->stage == HTTP_STAGE_DONE);
	if (bytes > sizeof(request->room))
		request->bytes = zp_alloc(bytes);
	memcpy(request->bytes, head_bytes, head->length);
	request->started_ms = zp_loop_now_ms(request->worker->loop);
	request->keep_alive =
	    !head->connection_close && (head->is_http_1_1 || head->connection_keep_alive);
	request->answer_no_body = head->method == ZP_HTTP_HEAD;
	request->body_left = head->content_length;
	request->body_complete = !head->is_chunked && head->content_length == 0;
	request->continue_owed = head->expects_continue && !request->body_complete;
	http__chunked_init(&request->chunked);
	request->worker->requests_out++;
	http__count(&request->worker->counters.requests, 1);
}

void
http__request_over(struct zp_http_request *request, bool on_the_wire)
{
	struct http_worker *worker = request->worker;

	ZP_ASSERT(request->answer_state != HTTP_ANSWER_OVER);
	request->answer_state = HTTP_ANSWER_OVER;
	worker->requests_out--;
	http__count(&worker->counters.answers[on_the_wire ? request->status / 100 : 0], 1);
	if (request->listener->listen.finished != NULL)
		request->listener->listen.finished(request, request->listener->listen.context);
	if (request->connection == NULL)
		http__request_release(request);
	else
		http__body_discard(request);
}

void
http__request_detach(struct zp_http_request *request)
{
	bool never_began = request->head.stage != HTTP_STAGE_DONE;

	request->connection = NULL;
	if (never_began || request->answer_state == HTTP_ANSWER_OVER) {
		http__request_release(request);
		return;
	}
	/* The body first: its end may be what the stream's context waits for. */
	zp_http_hold(request);
	http__body_fail(request, ZP_E_IO);
	if (request->answer_state == HTTP_ANSWER_STREAM)
		http__stream_end(request, false);
	http__request_release(request);
}

struct zp_slice
http__request_slice(const struct zp_http_request *request, struct http_span span)
{
	return (struct zp_slice){.data = request->bytes + span.offset, .length = span.length};
}

/* ---- What it tells -------------------------------------------------------------------------- */

enum zp_http_method
zp_http_method(const struct zp_http_request *request)
{
	return request->head.method;
}

struct zp_slice
zp_http_method_text(const struct zp_http_request *request)
{
	return http__request_slice(request, request->head.method_text);
}

struct zp_slice
zp_http_path(const struct zp_http_request *request)
{
	if (request->head.path.length == 0)
		return zp_slice_of("/");
	return http__request_slice(request, request->head.path);
}

struct zp_slice
zp_http_query(const struct zp_http_request *request)
{
	return http__request_slice(request, request->head.query);
}

struct zp_slice
zp_http_host(const struct zp_http_request *request)
{
	return http__request_slice(request, request->head.host);
}

struct zp_slice
zp_http_peer(struct zp_http_request *request)
{
	const struct http_connection *connection = request->connection;
	char address[INET6_ADDRSTRLEN] = "";
	const char *format = "%s:%u";

	if (request->peer_length == 0 && connection == NULL)
		return zp_slice_of("gone");
	if (request->peer_length == 0 && connection->peer_family == AF_UNIX)
		return zp_slice_of("unix");
	if (request->peer_length == 0) {
		inet_ntop(
		    connection->peer_family, connection->peer_address, address, sizeof(address));
		if (connection->peer_family == AF_INET6)
			format = "[%s]:%u";
		request->peer_length = (uint8_t)snprintf(
		    request->peer, sizeof(request->peer), format, address, connection->peer_port);
	}
	return (struct zp_slice){(const uint8_t *)request->peer, request->peer_length};
}

/* A counter, spread by splitmix64's bijection: unique in this process, without order or meaning. */
struct zp_slice
zp_http_id(struct zp_http_request *request)
{
	struct zp_http_server *server = request->worker->server;
	uint64_t id;

	if (!request->has_id) {
		id = atomic_fetch_add_explicit(&server->request_counter, 1, memory_order_relaxed);
		id = id * 0x9e3779b97f4a7c15ull + server->id_secret;
		id = (id ^ (id >> 30)) * 0xbf58476d1ce4e5b9ull;
		id = (id ^ (id >> 27)) * 0x94d049bb133111ebull;
		id ^= id >> 31;
		for (size_t i = 0; i < sizeof(request->id); i++)
			request->id[i] = "0123456789abcdef"[id >> (60 - 4 * i) & 15];
		request->has_id = true;
	}
	return (struct zp_slice){(const uint8_t *)request->id, sizeof(request->id)};
}

bool
zp_http_is_tls(const struct zp_http_request *request)
{
	return request->listener->tls_context != NULL;
}

void *
zp_http_user(const struct zp_http_request *request)
{
	return request->user;
}

void
zp_http_user_set(struct zp_http_request *request, void *user)
{
	request->user = user;
}

bool
zp_http_header(const struct zp_http_request *request, const char *name, struct zp_slice *value_out)
{
	struct zp_slice field_name;
	struct zp_slice value;
	size_t position = 0;

	while (zp_http_header_next(request, &position, &field_name, &value) == 0) {
		if (http__text_equal(field_name.data, field_name.length, name)) {
			*value_out = value;
			return true;
		}
	}
	return false;
}

int
zp_http_header_next(const struct zp_http_request *request, size_t *position,
    struct zp_slice *name_out, struct zp_slice *value_out)
{
	const struct http_field *field;

	if (*position >= request->head.field_count)
		return ZP_END;
	field = &request->head.fields[(*position)++];
	*name_out = http__request_slice(request, field->name);
	*value_out = http__request_slice(request, field->value);
	return 0;
}

unsigned
zp_http_answer_status(const struct zp_http_request *request)
{
	return request->status;
}

uint64_t
zp_http_answer_bytes(const struct zp_http_request *request)
{
	return request->answer_bytes;
}

uint64_t
zp_http_started_ms(const struct zp_http_request *request)
{
	return request->started_ms;
}

/* ---- From other threads --------------------------------------------------------------------- */

void
zp_http_post(struct zp_http_request *request, struct zp_task *task)
{
	zp_loop_post(request->worker->loop, task);
}

/* Does what was asked since it was queued, if there still is somebody to do it for. */
static void
wake_run(struct zp_task *task)
{
	struct zp_http_request *request = ZP_CONTAINER(task, struct zp_http_request, task);
	unsigned wake = atomic_exchange_explicit(&request->wake, 0, memory_order_acq_rel);

	if (request->connection != NULL && request->answer_state != HTTP_ANSWER_OVER) {
		if ((wake & HTTP_WAKE_STREAM) != 0)
			request->stream_waits = false;
		if ((wake & HTTP_WAKE_BODY) != 0)
			request->body_paused = false;
		http__connection_kick(request->connection);
	}
	http__request_release(request);
}

static void
request_wake(struct zp_http_request *request, unsigned what)
{
	unsigned before =
	    atomic_fetch_or_explicit(&request->wake, what | HTTP_WAKE_QUEUED, memory_order_acq_rel);

	if ((before & HTTP_WAKE_QUEUED) != 0)
		return;
	zp_http_hold(request);
	request->task.run = wake_run;
	zp_loop_post(request->worker->loop, &request->task);
}

void
zp_http_stream_resume(struct zp_http_request *request)
{
	request_wake(request, HTTP_WAKE_STREAM);
}

void
zp_http_body_resume(struct zp_http_request *request)
{
	request_wake(request, HTTP_WAKE_BODY);
}
