/*
 * answer.c - answers out: the head, a body at once, or a stream of pieces with trailers.
 *
 * Flow:  the handler adds headers and calls zp_http_answer or zp_http_answer_stream; bytes go to
 *        the connection's out buffer; connection.c writes them, and calls http__stream_run for
 *        more.
 * Owner: the worker of the request.
 */
#include "http/http_internal.h"

#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

static const struct {
	uint16_t status;
	const char *reason;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Request Entity Too Large"},
    {414, "Request URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Requested Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Entity"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

const char *
http__reason(unsigned status)
{
	for (size_t i = 0; i < ZP_ARRAY_COUNT(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "Status";
}

/* The "Date: …" line of this second, in the one form that RFC 9110 wants, whatever the locale. */
static const char *
date_line(struct http_worker *worker)
{
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[][4] = {
	    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec == worker->date_seconds)
		return worker->date;
	worker->date_seconds = now.tv_sec;
	gmtime_r(&now.tv_sec, &tm);
	snprintf(worker->date, sizeof(worker->date),
	    "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday], tm.tm_mday,
	    months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
	return worker->date;
}

/* ---- Headers of the handler ----------------------------------------------------------------- */

/* Appends "name: value\r\n". A value can't start a line of its own: that is how answers are split.
 */
static void
line_append(struct zp_buf *lines, const char *name, struct zp_slice value)
{
	size_t length = strlen(name) + 2 + value.length + 2;
	uint8_t *to = zp_buf_reserve(lines, length);

	if (to == NULL)
		return;
	to = mempcpy(to, name, strlen(name));
	*to++ = ':';
	*to++ = ' ';
	for (size_t i = 0; i < value.length; i++) {
		uint8_t byte = value.data[i];

		*to++ = byte == '\r' || byte == '\n' || byte == '\0' ? ' ' : byte;
	}
	*to++ = '\r';
	*to++ = '\n';
	lines->length += length;
}

void
zp_http_answer_header(struct zp_http_request *request, const char *name, struct zp_slice value)
{
	ZP_ASSERT(request->answer_state == HTTP_ANSWER_NONE);
	line_append(&request->answer_headers, name, value);
}

void
zp_http_answer_header_text(struct zp_http_request *request, const char *name, const char *value)
{
	zp_http_answer_header(request, name, zp_slice_of(value));
}

void
zp_http_answer_header_remove(struct zp_http_request *request, const char *name)
{
	struct zp_buf *lines = &request->answer_headers;
	size_t at = 0;

	while (at < lines->length) {
		uint8_t *line = lines->data + at;
		uint8_t *end = memchr(line, '\n', lines->length - at);
		uint8_t *colon = memchr(line, ':', lines->length - at);
		size_t length = (size_t)(end + 1 - line);

		if (http__text_equal(line, (size_t)(colon - line), name)) {
			memmove(line, end + 1, lines->length - at - length);
			lines->length -= length;
		} else {
			at += length;
		}
	}
}

void
zp_http_answer_headers_clear(struct zp_http_request *request)
{
	zp_buf_clear(&request->answer_headers);
}

void
zp_http_trailer(struct zp_http_request *request, const char *name, struct zp_slice value)
{
	ZP_ASSERT(request->answer_state == HTTP_ANSWER_STREAM);
	line_append(&request->trailers, name, value);
}

/* ---- Head ----------------------------------------------------------------------------------- */

static bool
status_has_body(unsigned status)
{
	return status >= 200 && status != 204 && status != 304;
}

/* Whether the connection must end with this answer, as far as is known now. */
static bool
answer_closes(const struct zp_http_request *request, bool is_stream)
{
	bool asked = request->body_mode != HTTP_BODY_UNASKED;

	if (request->answer_close || !request->keep_alive || request->worker->stopping)
		return true;
	if (is_stream && !request->head.is_http_1_1 && !request->answer_no_body)
		return true;
	if (request->body_complete || (is_stream && asked))
		return false;
	/* A client that waits for 100 may send the body or not; only closing leaves no doubt. */
	return request->continue_owed || request->head.is_chunked ||
	       request->body_left > HTTP_DISCARD_BYTES_MAX;
}

/* Status line, Date, the handler's headers and Connection; not the framing, not the empty line. */
static void
head_append(struct zp_http_request *request, struct zp_buf *out)
{
	const char *reason = http__reason(request->status);
	char status[] = {(char)('0' + request->status / 100),
	    (char)('0' + request->status / 10 % 10), (char)('0' + request->status % 10), ' '};

	/* Also to a 1.0 request: the version says what we are. What follows keeps to its rules. */
	zp_buf_append(out, "HTTP/1.1 ", 9);
	zp_buf_append(out, status, sizeof(status));
	zp_buf_append_text(out, reason);
	zp_buf_append(out, "\r\n", 2);
	zp_buf_append(out, date_line(request->worker), 37);
	zp_buf_append_slice(out, zp_buf_slice(&request->answer_headers));
	if (request->answer_close)
		zp_buf_append(out, "Connection: close\r\n", 19);
	else if (!request->head.is_http_1_1)
		zp_buf_append(out, "Connection: keep-alive\r\n", 24);
}

/* Sets the status; headers over their limit leave nothing to send but the failure. */
static bool
answer_start(struct zp_http_request *request, unsigned status, bool is_stream)
{
	bool fits = !request->answer_headers.overflow;

	ZP_ASSERT(zp_loop_is_current(request->worker->loop));
	ZP_ASSERT(request->answer_state == HTTP_ANSWER_NONE);
	ZP_ASSERT(status >= 200 && status <= 599);
	request->status = (uint16_t)(fits ? status : 500);
	if (!fits)
		zp_buf_clear(&request->answer_headers);
	request->answer_close = answer_closes(request, is_stream);
	return fits;
}

void
zp_http_answer(struct zp_http_request *request, unsigned status, struct zp_slice body)
{
	struct http_connection *connection = request->connection;
	struct zp_buf *out;

	if (!answer_start(
		request, body.length > HTTP_ANSWER_BODY_BYTES_MAX ? 500 : status, false) ||
	    body.length > HTTP_ANSWER_BODY_BYTES_MAX || !status_has_body(status))
		body.length = 0;
	if (connection != NULL) {
		out = http__connection_out(connection);
		head_append(request, out);
		if (status_has_body(request->status)) {
			zp_buf_append(out, "Content-Length: ", 16);
			zp_buf_append_decimal_u64(out, body.length);
			zp_buf_append(out, "\r\n", 2);
		}
		zp_buf_append(out, "\r\n", 2);
		if (!request->answer_no_body) {
			zp_buf_append_slice(out, body);
			request->answer_bytes = body.length;
		}
		ZP_ASSERT(!out->overflow);
	}
	http__request_over(request, connection != NULL);
	if (connection != NULL)
		http__connection_kick(connection);
}

void
http__answer_error(struct http_connection *connection, unsigned status)
{
	struct zp_buf *out = http__connection_out(connection);
	const char *reason = http__reason(status);

	zp_buf_printf(out,
	    "HTTP/1.1 %u %s\r\n%sContent-Type: text/plain; charset=utf-8\r\n"
	    "Connection: close\r\nContent-Length: %zu\r\n\r\n%u %s\n",
	    status, reason, date_line(connection->worker), strlen(reason) + 5, status, reason);
	http__count(&connection->worker->counters.answers[status / 100], 1);
	connection->closing = true;
}

/* ---- Stream --------------------------------------------------------------------------------- */

void
http__stream_end(struct zp_http_request *request, bool complete)
{
	/* A body that outlasts the answer made from it has no other end. */
	if (request->body_mode == HTTP_BODY_SINK && !request->body_complete)
		http__body_fail(request, ZP_E_IO);
	if (request->producer.end != NULL)
		request->producer.end(request, request->producer.context, complete);
	http__request_over(request, request->connection != NULL);
}

void
zp_http_answer_stream(
    struct zp_http_request *request, unsigned status, const struct zp_http_producer *producer)
{
	struct http_connection *connection = request->connection;
	bool fits = answer_start(request, status, true);
	struct zp_buf *out;

	ZP_ASSERT(status_has_body(status));
	request->producer = *producer;
	request->answer_state = HTTP_ANSWER_STREAM;
	request->answer_chunked = request->head.is_http_1_1 && !request->answer_no_body;
	if (connection == NULL) {
		http__stream_end(request, false);
		return;
	}
	out = http__connection_out(connection);
	head_append(request, out);
	if (!fits)
		zp_buf_append_text(out, "Content-Length: 0\r\n");
	else if (request->answer_chunked)
		zp_buf_append_text(out, "Transfer-Encoding: chunked\r\n");
	zp_buf_append(out, "\r\n", 2);
	if (!fits || request->answer_no_body)
		http__stream_end(request, fits);
	http__connection_kick(connection);
}

static void
piece_append(struct zp_http_request *request, struct zp_buf *out, struct zp_slice piece)
{
	char size[16];

	request->answer_bytes += piece.length;
	if (piece.length == 0)
		return; /* an empty chunk would end the body */
	if (!request->answer_chunked) {
		zp_buf_append_slice(out, piece);
		return;
	}
	zp_buf_append(out, size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", piece.length));
	zp_buf_append_slice(out, piece);
	zp_buf_append(out, "\r\n", 2);
}

/* Ends the connection without an end of the body. Where that end is the close itself, only a reset
 * tells the client that something is missing. */
static void
stream_abort(struct zp_http_request *request)
{
	struct linger reset = {.l_onoff = 1, .l_linger = 0};

	if (!request->answer_chunked)
		zp_ignore(setsockopt(request->connection->source.fd, SOL_SOCKET, SO_LINGER, &reset,
		    sizeof(reset))); /* a Unix socket has none */
	request->connection->failed = true;
}

/* One call of the producer and what it said. */
static void
stream_step(struct zp_http_request *request, struct zp_buf *out)
{
	struct zp_buf *piece = &request->worker->piece;
	enum zp_http_produced produced;

	zp_buf_clear(piece);
	produced = request->producer.produce(request, request->producer.context, piece);
	if (piece->overflow || request->trailers.overflow)
		produced = ZP_HTTP_ABORT;
	if (produced != ZP_HTTP_ABORT)
		piece_append(request, out, zp_buf_slice(piece));
	switch (produced) {
	case ZP_HTTP_MORE:
		break;
	case ZP_HTTP_WAIT:
		request->stream_waits = true;
		break;
	case ZP_HTTP_DONE:
		if (request->answer_chunked) {
			zp_buf_append(out, "0\r\n", 3);
			zp_buf_append_slice(out, zp_buf_slice(&request->trailers));
			zp_buf_append(out, "\r\n", 2);
		}
		http__stream_end(request, true);
		break;
	default:
		/* The end comes with the connection's, when what was made before has been tried. */
		stream_abort(request);
		break;
	}
}

void
http__stream_run(struct zp_http_request *request)
{
	struct http_connection *connection = request->connection;
	struct zp_buf *out = http__connection_out(connection);

	while (request->answer_state == HTTP_ANSWER_STREAM && !request->stream_waits &&
	       !connection->failed && out->length < ZP_HTTP_PIECE_BYTES)
		stream_step(request, out);
}
