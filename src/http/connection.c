/*
 * connection.c - one client: what it sends goes in, answers go out, in order, within deadlines.
 *
 * Flow:  listener.c opens it; an event, a posted answer or the timer calls for the pump, which
 *        reads, consumes, streams and writes until nothing moves, and only then settles: closes,
 *        or says what to wait for and how long.
 * Owner: its worker. Only the pump reads, writes and frees; callbacks of handlers run inside it and
 *        change flags. While one connection is pumped, others that want it are queued.
 */
#include "http/http_internal.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

static void connection_pump(struct http_connection *connection);

/* ---- Open and close ------------------------------------------------------------------------- */

static void
connection_ready(struct zp_source *source, uint32_t events)
{
	struct http_connection *connection = ZP_CONTAINER(source, struct http_connection, source);

	if ((events & (EPOLLERR | EPOLLHUP)) != 0)
		connection->failed = true;
	if ((events & EPOLLIN) != 0 || connection->tls != NULL)
		connection->readable = true;
	connection_pump(connection);
}

static void
connection_expire(struct zp_timer *timer)
{
	struct http_connection *connection = ZP_CONTAINER(timer, struct http_connection, timer);

	connection->expired = true;
	connection_pump(connection);
}

static void
connection_again(struct zp_task *task)
{
	struct http_connection *connection = ZP_CONTAINER(task, struct http_connection, task);

	connection->queued = false;
	if (connection->dead)
		zp_free(connection);
	else
		connection_pump(connection);
}

static void
connection_queue(struct http_connection *connection)
{
	if (connection->queued)
		return;
	connection->queued = true;
	zp_loop_post(connection->worker->loop, &connection->task);
}

static void
peer_set(struct http_connection *connection, const struct sockaddr *peer)
{
	connection->peer_family = peer->sa_family;
	if (peer->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)peer;

		memcpy(connection->peer_address, &in->sin_addr, 4);
		connection->peer_port = ntohs(in->sin_port);
	} else if (peer->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)peer;

		connection->peer_port = ntohs(in6->sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
			connection->peer_family = AF_INET;
			memcpy(connection->peer_address, in6->sin6_addr.s6_addr + 12, 4);
		} else {
			memcpy(connection->peer_address, &in6->sin6_addr, 16);
		}
	} else {
		connection->peer_family = AF_UNIX;
	}
}

void
http__connection_open(struct http_worker *worker, const struct zp_http_listener *listener, int fd,
    SSL *tls, const void *peer)
{
	struct http_connection *connection = zp_alloc_zero(1, sizeof(*connection));

	connection->source = (struct zp_source){.ready = connection_ready, .fd = fd};
	zp_timer_init(&connection->timer, connection_expire);
	connection->task.run = connection_again;
	connection->worker = worker;
	connection->listener = listener;
	connection->tls = tls;
	zp_buf_init(&connection->in, HTTP_HEAD_BYTES_LIMIT + 2 * HTTP_READ_BYTES);
	zp_buf_init(&connection->out, HTTP_OUT_BYTES_MAX);
	peer_set(connection, peer);
	connection->next = worker->connections;
	connection->link = &worker->connections;
	if (connection->next != NULL)
		connection->next->link = &connection->next;
	worker->connections = connection;
	worker->connection_count++;
	http__count(&worker->counters.connections, 1);
	if (zp_loop_add(worker->loop, &connection->source, EPOLLIN | EPOLLERR, NULL) < 0)
		connection->failed = true; /* out of kernel memory: settled like a broken one */
	connection_pump(connection);
}

static void
connection_close(struct http_connection *connection)
{
	struct http_worker *worker = connection->worker;
	struct zp_http_request *request = connection->request;

	zp_wheel_cancel(zp_loop_wheel(worker->loop), &connection->timer);
	if (connection->source.events != 0)
		zp_loop_remove(worker->loop, &connection->source);
	if (connection->tls != NULL)
		SSL_free(connection->tls);
	close(connection->source.fd);
	*connection->link = connection->next;
	if (connection->next != NULL)
		connection->next->link = connection->link;
	zp_buf_done(&connection->in);
	zp_buf_done(&connection->out);
	connection->request = NULL;
	connection->dead = true;
	worker->connection_count--;
	if (request != NULL)
		http__request_detach(request);
	if (!connection->queued)
		zp_free(connection);
	http__worker_connection_gone(worker);
}

void
http__connection_cut(struct http_connection *connection)
{
	connection->failed = true;
	http__connection_kick(connection);
}

void
http__connection_kick(struct http_connection *connection)
{
	struct http_worker *worker = connection->worker;

	if (worker->current == connection)
		return; /* the pump will see */
	if (worker->current != NULL)
		connection_queue(connection);
	else
		connection_pump(connection);
}

struct zp_buf *
http__connection_out(struct http_connection *connection)
{
	if (connection->worker->current == connection && connection->out.length == 0)
		return &connection->worker->out;
	return &connection->out;
}

bool
http__connection_is_idle(const struct http_connection *connection)
{
	return connection->request == NULL && connection->out.length == 0 &&
	       connection->in.length == 0;
}

/* ---- Out ------------------------------------------------------------------------------------ */

/* Sends the front of `bytes` until the socket is full; returns how much went. */
static size_t
send_some(struct http_connection *connection, struct zp_slice bytes)
{
	size_t sent = 0;

	while (sent < bytes.length) {
		ssize_t count = http__send(connection, bytes.data + sent, bytes.length - sent);

		if (count == HTTP_IO_FAILED)
			connection->failed = true;
		if (count <= 0)
			break;
		sent += (size_t)count;
	}
	if (sent > 0 && connection->deadline == HTTP_DEADLINE_WRITE)
		connection->deadline = HTTP_DEADLINE_NONE; /* progress: a new one is set */
	http__count(&connection->worker->counters.bytes_out, sent);
	return sent;
}

/* What waits is not moved to the front with each write: an answer may be long, the writes short. */
static void
pending_send(struct http_connection *connection)
{
	struct zp_slice bytes = zp_buf_slice(&connection->out);

	bytes.data += connection->out_sent;
	bytes.length -= connection->out_sent;
	connection->out_sent += (uint32_t)send_some(connection, bytes);
	if (connection->out_sent == connection->out.length) {
		zp_buf_done(&connection->out);
		connection->out_sent = 0;
	}
}

/* Writes what waits, then the worker's buffer; what the socket does not take stays here. */
static void
connection_flush(struct http_connection *connection)
{
	struct zp_buf *shared = &connection->worker->out;
	size_t sent;

	if (connection->out.length > 0 && !connection->failed)
		pending_send(connection);
	if (shared->length == 0)
		return;
	if (!connection->failed) {
		sent = connection->out.length > 0 ? 0 : send_some(connection, zp_buf_slice(shared));
		zp_buf_append(&connection->out, shared->data + sent, shared->length - sent);
		ZP_ASSERT(!connection->out.overflow);
	}
	if (shared->capacity > HTTP_OUT_BYTES_KEPT)
		zp_buf_done(shared);
	else
		zp_buf_clear(shared);
}

/* ---- In ------------------------------------------------------------------------------------- */

static bool
request_is_under_way(const struct http_connection *connection)
{
	return connection->request != NULL && connection->request->head.stage == HTTP_STAGE_DONE;
}

/* Lets go of a request whose answer is over and whose body needs no more reading. */
static void
request_let_go(struct http_connection *connection)
{
	struct zp_http_request *request = connection->request;

	if (!request_is_under_way(connection) || request->answer_state != HTTP_ANSWER_OVER ||
	    !(request->body_complete || request->body_failed))
		return;
	connection->request = NULL;
	if (request->answer_close)
		connection->closing = true;
	request->connection = NULL;
	http__request_release(request);
}

/* Feeds the parser. True: the head is complete and the handler has been called. */
static bool
head_take(struct http_connection *connection, struct zp_slice *bytes)
{
	struct http_worker *worker = connection->worker;
	struct zp_http_request *request = connection->request;
	int length;

	if (request == NULL)
		request = connection->request = http__request_new(connection);
	length = http__head_parse(
	    &request->head, &worker->server->head_limits, bytes->data, bytes->length);
	if (length == 0)
		return false;
	connection->deadline = HTTP_DEADLINE_NONE; /* the next head has its own */
	if (length < 0) {
		http__count(&worker->counters.parse_errors, 1);
		connection->request = NULL;
		http__request_release(request);
		http__answer_error(connection, (unsigned)-length);
		return true;
	}
	http__request_begin(request, bytes->data);
	bytes->data += length;
	bytes->length -= (size_t)length;
	request->listener->listen.handler(request, request->listener->listen.context);
	return true;
}

/* While a connection is pumped: as many answers as go out in one write. */
static bool
answers_are_enough(const struct http_connection *connection)
{
	return connection->worker->out.length >= HTTP_BURST_BYTES;
}

/* Uses the bytes as far as the state allows: any number of whole requests in one call. */
static void
bytes_use(struct http_connection *connection, struct zp_slice *bytes)
{
	for (;;) {
		request_let_go(connection);
		if (connection->closing || connection->lingering)
			bytes->length = 0;
		if (bytes->length == 0 || connection->failed)
			return;
		if (request_is_under_way(connection)) {
			if (!http__body_wants(connection->request))
				return;
			http__body_feed(connection->request, bytes);
			continue;
		}
		/* Answers that nobody takes hold further requests back. */
		if (connection->out.length > 0 || answers_are_enough(connection))
			return;
		if (!head_take(connection, bytes))
			return;
	}
}

static bool
reading_wanted(const struct http_connection *connection)
{
	if (connection->failed || connection->saw_eof)
		return false;
	if (connection->lingering)
		return true;
	if (connection->closing)
		return false;
	if (request_is_under_way(connection))
		return http__body_wants(connection->request);
	/* What bytes_use left because of the answers is no part of a head that needs more. */
	return connection->out.length == 0 && !answers_are_enough(connection);
}

static void
eof_seen(struct http_connection *connection)
{
	connection->saw_eof = true;
	if (connection->request == NULL)
		return;
	if (request_is_under_way(connection))
		http__body_fail(connection->request, ZP_E_IO);
	else
		connection->failed = true; /* half a head and no more to come */
}

/* What waits in the connection. True: some of it could be used. */
static bool
stash_use(struct http_connection *connection)
{
	struct zp_slice bytes = zp_buf_slice(&connection->in);
	size_t used;

	if (bytes.length == 0)
		return false;
	bytes_use(connection, &bytes);
	used = connection->in.length - bytes.length;
	zp_buf_consume(&connection->in, used);
	if (connection->in.length == 0)
		zp_buf_done(&connection->in);
	return used > 0;
}

/* One read of the socket. True: something came. */
static bool
socket_read(struct http_connection *connection)
{
	struct http_worker *worker = connection->worker;
	size_t wanted = request_is_under_way(connection) ? HTTP_READ_BYTES : HTTP_READ_HEADS_BYTES;
	struct zp_slice bytes = {.data = worker->in_bytes};
	ssize_t count;

	if (!connection->readable || !reading_wanted(connection))
		return false;
	count = http__receive(connection, worker->in_bytes, wanted);
	/* A plain socket that gave less than asked is empty; epoll tells when it is not. */
	if (count < 0 || (connection->tls == NULL && (size_t)count < wanted))
		connection->readable = false;
	if (count == HTTP_IO_FAILED)
		connection->failed = true;
	if (count < 0)
		return false;
	if (count == 0) {
		eof_seen(connection);
		return true;
	}
	http__count(&worker->counters.bytes_in, (uint64_t)count);
	connection->progress_bytes += (uint32_t)count;
	bytes.length = (size_t)count;
	if (connection->in.length == 0)
		bytes_use(connection, &bytes);
	zp_buf_append_slice(&connection->in, bytes);
	ZP_ASSERT(!connection->in.overflow);
	return true;
}

/* ---- Deadlines ------------------------------------------------------------------------------ */

/*
 * Whether the client took anything since the last look. epoll says that there is room only when a
 * third of the socket's buffer is free, which may be megabytes: minutes on a slow line. So at half
 * of the deadline the kernel is asked how much it still holds, and at the end again.
 */
static bool
client_took_some(struct http_connection *connection)
{
	uint32_t before = connection->unsent_bytes;

	connection->unsent_bytes = http__unsent(connection);
	return connection->unsent_bytes < before;
}

static void
deadline_act(struct http_connection *connection)
{
	uint8_t deadline = connection->deadline;
	struct zp_http_request *request = connection->request;

	connection->expired = false;
	if (deadline == HTTP_DEADLINE_WRITE && client_took_some(connection)) {
		zp_wheel_set(zp_loop_wheel(connection->worker->loop), &connection->timer,
		    zp_loop_now_ms(connection->worker->loop) +
			connection->worker->server->config.write_progress_ms / 2);
		return;
	}
	connection->deadline = HTTP_DEADLINE_NONE;
	if (deadline == HTTP_DEADLINE_HEAD || deadline == HTTP_DEADLINE_BODY ||
	    deadline == HTTP_DEADLINE_WRITE)
		http__count(&connection->worker->counters.timeouts, 1);
	if (deadline == HTTP_DEADLINE_HEAD && request != NULL) {
		connection->request = NULL;
		http__request_release(request);
		zp_buf_done(&connection->in);
		http__answer_error(connection, 408);
	} else if (deadline == HTTP_DEADLINE_BODY) {
		http__body_fail(request, ZP_E_TIMEOUT);
	} else if (deadline != HTTP_DEADLINE_NONE) {
		connection->failed = true;
	}
}

static enum http_deadline
deadline_wanted(const struct http_connection *connection)
{
	if (connection->lingering)
		return HTTP_DEADLINE_LINGER;
	if (connection->out.length > 0)
		return HTTP_DEADLINE_WRITE;
	if (connection->tls != NULL && !SSL_is_init_finished(connection->tls))
		return HTTP_DEADLINE_HEAD;
	if (connection->request == NULL)
		return HTTP_DEADLINE_IDLE;
	if (!request_is_under_way(connection))
		return HTTP_DEADLINE_HEAD;
	return http__body_wants(connection->request) ? HTTP_DEADLINE_BODY : HTTP_DEADLINE_NONE;
}

/* Sets the deadline of what is waited for; a running one of the same kind is moved only by
 * progress. */
static void
deadline_settle(struct http_connection *connection)
{
	const struct zp_http_config *config = &connection->worker->server->config;
	struct zp_wheel *wheel = zp_loop_wheel(connection->worker->loop);
	const uint32_t after_ms[] = {
	    [HTTP_DEADLINE_IDLE] = config->idle_timeout_ms,
	    [HTTP_DEADLINE_HEAD] = config->head_timeout_ms,
	    [HTTP_DEADLINE_BODY] = config->body_progress_ms,
	    [HTTP_DEADLINE_WRITE] = config->write_progress_ms / 2,
	    [HTTP_DEADLINE_LINGER] = HTTP_LINGER_MS,
	};
	enum http_deadline wanted = deadline_wanted(connection);
	bool progress =
	    wanted == HTTP_DEADLINE_IDLE ||
	    (wanted == HTTP_DEADLINE_BODY && connection->progress_bytes >= HTTP_PROGRESS_BYTES);

	if (wanted == connection->deadline && !progress)
		return;
	connection->deadline = (uint8_t)wanted;
	connection->progress_bytes = 0;
	connection->unsent_bytes = UINT32_MAX;
	if (wanted == HTTP_DEADLINE_NONE)
		zp_wheel_cancel(wheel, &connection->timer);
	else
		zp_wheel_set(wheel, &connection->timer,
		    zp_loop_now_ms(connection->worker->loop) + after_ms[wanted]);
}

/* ---- The pump ------------------------------------------------------------------------------- */

/* Our side is done: the client may have sent more, and closing over it would reset the connection
 * and take back the answer. So we shut our side and read on for a moment. */
static void
linger_start(struct http_connection *connection)
{
	if (connection->saw_eof) {
		connection->failed = true;
		return;
	}
	http__shutdown(connection);
	connection->lingering = true;
	connection->progress_bytes = 0;
}

static bool
connection_is_done(struct http_connection *connection)
{
	if (connection->failed)
		return true;
	if (connection->lingering)
		return connection->saw_eof || connection->progress_bytes > HTTP_LINGER_BYTES_MAX;
	if (!http__connection_is_idle(connection))
		return false;
	return connection->saw_eof || connection->worker->stopping;
}

/* What to be woken for. Reading is given up only when bytes come that are not wanted, so that a
 * request which is answered at once costs no system call here. */
static void
interest_settle(struct http_connection *connection)
{
	uint32_t events = EPOLLIN;

	if (!reading_wanted(connection) && (connection->readable || connection->saw_eof))
		events = 0;
	if (connection->out.length > 0 || connection->tls_wants_out)
		events |= EPOLLOUT;
	/* Zero would look like a source that was never added. */
	zp_loop_change(connection->worker->loop, &connection->source, events | EPOLLERR);
}

static bool
stream_run(struct http_connection *connection)
{
	struct zp_http_request *request = connection->request;

	if (!request_is_under_way(connection) || request->answer_state != HTTP_ANSWER_STREAM ||
	    request->stream_waits || connection->out.length > 0 || connection->failed)
		return false;
	http__stream_run(request);
	return true;
}

/* Moves what can be moved, up to a turn's worth. */
static void
connection_move(struct http_connection *connection)
{
	size_t turn = 0;
	bool moved = true;

	while (moved && !connection->failed) {
		bool was_full;

		if (turn++ >= HTTP_TURN_BYTES / ZP_HTTP_PIECE_BYTES) {
			connection_queue(connection);
			return;
		}
		moved = stash_use(connection);
		moved |= socket_read(connection);
		request_let_go(connection);
		moved |= stream_run(connection);
		request_let_go(connection);
		/* A stream that held back because the last piece was not sent yet goes on when this
		 * sends it: nobody else would wake it. */
		was_full = connection->out.length > 0;
		connection_flush(connection);
		moved |= was_full && connection->out.length == 0;
	}
}

static void
connection_pump(struct http_connection *connection)
{
	struct http_worker *worker = connection->worker;

	ZP_ASSERT(worker->current == NULL && worker->out.length == 0);
	worker->current = connection;
	if (connection->expired)
		deadline_act(connection);
	connection_flush(connection);
	connection_move(connection);
	/* Not otherwise: a flush here that empties what made a stream hold back would leave nobody
	 * to wake the stream, since only what is left unsent waits for the socket. */
	if (connection->failed)
		connection_flush(connection); /* drops what is left */
	if (connection->closing && !connection->lingering && connection->out.length == 0)
		linger_start(connection);
	if (connection_is_done(connection)) {
		connection_close(connection);
	} else {
		interest_settle(connection);
		deadline_settle(connection);
	}
	worker->current = NULL;
}
