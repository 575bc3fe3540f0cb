/*
 * body.c - the body of a request: collected, streamed or discarded, as the handler asked.
 *
 * Flow:  zp_http_body_read/_stream say what is wanted; connection.c feeds bytes while
 *        http__body_wants(); the handler's callback is told of the end once.
 * Owner: the worker of the request. A callback may answer, so each checks again afterwards.
 *
 * Nothing is read before it is asked for: TCP holds the client back meanwhile.
 */
#include "http/http_internal.h"

bool
http__body_wants(const struct zp_http_request *request)
{
	return !request->body_complete && !request->body_failed && !request->body_paused &&
	       request->body_mode != HTTP_BODY_UNASKED;
}

/* The handler's callback, for the last time. One that has not asked yet may still do so. */
static void
body_end(struct zp_http_request *request, int error)
{
	uint8_t mode = request->body_mode;

	if (mode == HTTP_BODY_UNASKED)
		return;
	request->body_mode = HTTP_BODY_DISCARD;
	if (mode == HTTP_BODY_WHOLE)
		request->body_done(request, request->body_context, error,
		    error == 0 ? zp_buf_slice(&request->body) : (struct zp_slice){0});
	else if (mode == HTTP_BODY_SINK && request->sink.end != NULL)
		request->sink.end(request, request->sink.context, error);
}

void
http__body_fail(struct zp_http_request *request, int error)
{
	if (request->body_complete || request->body_failed)
		return;
	request->body_failed = true;
	request->answer_close = true;
	body_end(request, error);
}

static void
body_piece(struct zp_http_request *request, struct zp_slice piece)
{
	switch (request->body_mode) {
	case HTTP_BODY_WHOLE:
		zp_buf_append_slice(&request->body, piece);
		if (request->body.overflow)
			http__body_fail(request, ZP_E_TOO_LARGE);
		break;
	case HTTP_BODY_SINK:
		if (request->sink.data(request, request->sink.context, piece))
			request->body_paused = true;
		break;
	default:
		request->body_discarded += piece.length;
		if (request->body_discarded > HTTP_DISCARD_BYTES_MAX)
			http__body_fail(request, ZP_E_TOO_LARGE);
		break;
	}
}

/* The next piece of `bytes`, by length or by chunks. True when the body has ended with it. */
static bool
body_take(struct zp_http_request *request, struct zp_slice *bytes, struct zp_slice *piece_out)
{
	if (!request->head.is_chunked) {
		size_t length = zp_min_u64(bytes->length, request->body_left);

		*piece_out = (struct zp_slice){.data = bytes->data, .length = length};
		bytes->data += length;
		bytes->length -= length;
		request->body_left -= length;
		return request->body_left == 0;
	}
	switch (http__chunked_next(&request->chunked, bytes, piece_out)) {
	case HTTP_CHUNK_END:
		return true;
	case HTTP_CHUNK_BAD:
		http__count(&request->worker->counters.parse_errors, 1);
		http__body_fail(request, ZP_E_INVALID);
		return false;
	default:
		return false;
	}
}

void
http__body_feed(struct zp_http_request *request, struct zp_slice *bytes)
{
	request->continue_owed = false;
	while (bytes->length > 0 && http__body_wants(request)) {
		struct zp_slice piece = {0};
		bool last = body_take(request, bytes, &piece);

		if (piece.length > 0)
			body_piece(request, piece);
		if (last && !request->body_failed) {
			request->body_complete = true;
			body_end(request, 0);
		}
	}
}

void
http__body_discard(struct zp_http_request *request)
{
	if (request->body_complete || request->body_failed)
		return;
	request->body_mode = HTTP_BODY_DISCARD;
	request->body_paused = false;
	if (request->answer_close)
		request->body_failed = true;
}

/* The client was told to wait for this before it sends the body. */
static void
continue_send(struct zp_http_request *request)
{
	if (!request->continue_owed || request->connection == NULL)
		return;
	request->continue_owed = false;
	zp_buf_append_text(
	    http__connection_out(request->connection), "HTTP/1.1 100 Continue\r\n\r\n");
}

/* The callbacks are in place; tells the end where it is known already, else lets bytes come. */
static void
body_ask(struct zp_http_request *request, enum http_body_mode mode)
{
	ZP_ASSERT(request->body_mode == HTTP_BODY_UNASKED);
	ZP_ASSERT(request->answer_state != HTTP_ANSWER_OVER);
	request->body_mode = (uint8_t)mode;
	if (request->body_complete) {
		body_end(request, 0);
	} else if (request->connection == NULL || request->body_failed) {
		request->body_failed = true;
		body_end(request, ZP_E_IO);
	} else if (mode == HTTP_BODY_WHOLE && request->body_left > request->body.length_max) {
		http__body_fail(request, ZP_E_TOO_LARGE);
	} else {
		continue_send(request);
		http__connection_kick(request->connection);
	}
}

void
zp_http_body_read(
    struct zp_http_request *request, size_t length_max, zp_http_body_done done, void *context)
{
	request->body_done = done;
	request->body_context = context;
	zp_buf_init(&request->body, length_max);
	body_ask(request, HTTP_BODY_WHOLE);
}

void
zp_http_body_stream(struct zp_http_request *request, const struct zp_http_sink *sink)
{
	request->sink = *sink;
	body_ask(request, HTTP_BODY_SINK);
}
