/*
 * answer.c - answers in IPFS Cluster's form, and what the log says about them.
 *
 * Flow: each handler ends in one of these, which also gives the call back. Owner: the request's
 *       thread.
 */
#include <stdarg.h>
#include <stdio.h>

#include "api/api_internal.h"

/* ---- Notes for the log: a request's user pointer -------------------------------------------- */

struct note {
	const char *user; /* belongs to access; NULL: nobody */
	bool has_error;
	char error[200];
};

static struct note *
note_of(struct zp_http_request *request)
{
	struct note *note = zp_http_user(request);

	if (note == NULL) {
		note = zp_alloc_zero(1, sizeof(*note));
		zp_http_user_set(request, note);
	}
	return note;
}

void
api__note_error(struct zp_http_request *request, const char *text)
{
	struct note *note = note_of(request);

	note->has_error = true;
	snprintf(note->error, sizeof(note->error), "%.*s", (int)sizeof(note->error) - 1, text);
}

void
api__note_user(struct zp_http_request *request, const char *name)
{
	note_of(request)->user = name;
}

static void
log_tell(const struct zp_api *api, struct zp_http_request *request, const struct note *note)
{
	struct zp_api_log_line line = {
	    .id = zp_http_id(request),
	    .peer = zp_http_peer(request),
	    .method = zp_http_method_text(request),
	    .path = zp_http_path(request),
	    .user = note != NULL ? note->user : NULL,
	    .status = zp_http_answer_status(request),
	    .bytes = zp_http_answer_bytes(request),
	    .milliseconds = zp_clock_ms() - zp_http_started_ms(request),
	    .error = note != NULL && note->has_error ? note->error : NULL,
	};

	api->log(api->context, &line);
}

void
api__finished(struct zp_http_request *request, void *context)
{
	const struct zp_api *api = context;
	struct note *note = zp_http_user(request);

	if (api->log != NULL && (api->log_wants == NULL ||
				    api->log_wants(api->context, zp_http_answer_status(request))))
		log_tell(api, request, note);
	zp_free(note);
	zp_http_user_set(request, NULL);
}

/* ---- Answers -------------------------------------------------------------------------------- */

void
api__headers_add(struct api_call *call, const char *content_type)
{
	const struct zp_api *api = call->api;

	for (size_t i = 0; i < api->headers_count; i++)
		zp_http_answer_header_text(
		    call->request, api->headers[i].name, api->headers[i].value);
	zp_http_answer_header_text(call->request, "Content-Type", content_type);
}

static void
answer(struct api_call *call, unsigned status)
{
	struct zp_http_request *request = call->request;

	api__headers_add(call, "application/json");
	if (status == 503)
		zp_http_answer_header_text(request, "Retry-After", "1");
	zp_http_answer(request, status, zp_buf_slice(&call->json));
	api__call_put(call);
}

void
api__answer_json(struct api_call *call)
{
	int rc;

	zp_buf_append_byte(&call->json, '\n');
	rc = zp_buf_check(&call->json, "the answer", &call->err);
	if (rc < 0)
		api__answer_failure(call, rc);
	else
		answer(call, 200);
}

void
api__answer_empty(struct api_call *call, unsigned status)
{
	zp_buf_clear(&call->json);
	answer(call, status);
}

void
api__answer_error(struct api_call *call, unsigned status, const char *format, ...)
{
	char text[ZP_ERR_TEXT_BYTES];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	api__note_error(call->request, text);
	zp_buf_clear(&call->json);
	zp_buf_printf(&call->json, "{\"code\":%u,\"message\":", status);
	zp_json_put_text(&call->json, text);
	zp_buf_append_text(&call->json, "}\n");
	answer(call, status);
}

/* IPFS Cluster's statuses are few, so the code itself goes beside them: zpin's own client ends with
 * the exit code that belongs to it. */
static void
name_error(struct api_call *call, int code)
{
	zp_http_answer_header_text(call->request, API_ERROR_HEADER, zp_err_name(code));
}

void
api__answer_failure(struct api_call *call, int code)
{
	struct zp_err *err = &call->err;

	name_error(call, code);
	api__answer_error(call, (unsigned)zp_err_http_status(code), "%s",
	    err->text[0] != '\0' ? err->text : zp_err_summary(code));
}

/* IPFS Cluster checks replication factors, expiry and repins behind its API, so that what is the
 * user's mistake comes out as 500 there; clients know the texts with that status. */
void
api__answer_write_failure(struct api_call *call, int code)
{
	if (code != ZP_E_INVALID && code != ZP_E_EXISTS) {
		api__answer_failure(call, code);
		return;
	}
	name_error(call, code);
	api__answer_error(call, 500, "%s", call->err.text);
}

/* ---- A few lines as a stream ---------------------------------------------------------------- */

static enum zp_http_produced
lines_produce(struct zp_http_request *request, void *context, struct zp_buf *out)
{
	struct api_call *call = context;

	if (api__lines_move(&call->json, out))
		return ZP_HTTP_MORE;
	zp_http_trailer(
	    request, API_STREAM_TRAILER, zp_slice_of(call->is_incomplete ? call->err.text : ""));
	return ZP_HTTP_DONE;
}

static void
lines_end(struct zp_http_request *request, void *context, bool sent)
{
	(void)request;
	(void)sent;
	api__call_put(context);
}

void
api__answer_lines(struct api_call *call)
{
	struct zp_http_producer producer = {lines_produce, lines_end, call};
	int rc = zp_buf_check(&call->json, "the answer", &call->err);

	if (rc < 0) {
		api__answer_failure(call, rc);
		return;
	}
	zp_http_answer_header_text(call->request, "Trailer", API_STREAM_TRAILER);
	if (call->json.length == 0) {
		api__answer_empty(call, 204);
		return;
	}
	api__headers_add(call, "application/json");
	zp_http_answer_stream(call->request, 200, &producer);
}
