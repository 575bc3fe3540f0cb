/*
 * import.c - POST /import: a pinset in, progress out, both as long as it takes; GET /import: how
 * far a stream has come.
 *
 * Flow: body → stash → zp_import_feed (in slices) → progress lines → the stream. `ready` comes from
 * the commit thread and is posted here. Owner: the request's thread. The request is held, so that
 * `ready` can always be posted.
 *
 * Bounded on both sides: a piece of the body that the importer can't take now waits in the stash
 * and the body is paused; so it is while the client does not read what was said about bad lines.
 * Whoever sends much must read meanwhile.
 */
#include "api/import.h"

#define FEED_BYTES 4096u               /* few enough lines that all of them may be bad */
#define STASH_BYTES_MAX (1u << 20)     /* one piece of the body */
#define OUTPUT_BYTES_FULL (128u << 10) /* nothing is fed until some is taken */
#define OUTPUT_BYTES_MAX (8u << 20)    /* and what one feed may add */
#define PROGRESS_MS 1000u

struct upload {
	struct api_call *call;
	struct zp_http_request *request;
	struct zp_import *import;
	struct zp_task task;
	atomic_bool is_posted; /* the task is on its way */
	struct api_import_options options;
	struct zp_buf stash;   /* of the body, what had to wait */
	struct zp_slice left;  /* what is to be fed: of the stash, or of the piece that just came */
	struct zp_mutex mutex; /* guards output: bad lines may be told on any thread */
	struct zp_buf output;
	uint64_t bad_line; /* the last one; with the mutex too */
	uint64_t told_ms;  /* when progress was last told */
	bool waits;        /* until `ready` */
	bool body_paused;
	bool body_over;
	bool has_data;
	bool is_finishing; /* zp_import_finish has been called */
	bool is_over;      /* the last line is in the output */
	bool is_gone;
};

/* All but the call. */
static void
upload_discard(struct upload *upload)
{
	struct zp_http_request *request = upload->request;

	api__upload_end(upload->call->api);
	zp_buf_done(&upload->stash);
	zp_buf_done(&upload->output);
	zp_buf_done(&upload->options.ids);
	zp_mutex_done(&upload->mutex);
	zp_free(upload);
	zp_http_release(request);
}

static void
upload_free(struct upload *upload)
{
	struct api_call *call = upload->call;

	upload_discard(upload);
	api__call_put(call);
}

/* ---- What is said ---------------------------------------------------------------------------- */

static void
bad_line(void *context, uint64_t line, const char *text)
{
	struct upload *upload = context;

	zp_mutex_lock(&upload->mutex);
	api__line_error(&upload->output, "bad_line", line, text);
	upload->bad_line = line;
	zp_mutex_unlock(&upload->mutex);
}

static size_t
output_bytes(struct upload *upload)
{
	size_t bytes;

	zp_mutex_lock(&upload->mutex);
	bytes = upload->output.length;
	zp_mutex_unlock(&upload->mutex);
	return bytes;
}

static void
tell_progress(struct upload *upload, const struct zp_import_progress *progress, bool is_done)
{
	zp_mutex_lock(&upload->mutex);
	zp_buf_printf(&upload->output,
	    "{%s\"lines\":%llu,\"lines_done\":%llu,\"imported\":%llu,\"skipped\":%llu,"
	    "\"bytes\":%llu}\n",
	    is_done ? "\"done\":true," : "", (unsigned long long)progress->lines,
	    (unsigned long long)progress->lines_durable, (unsigned long long)progress->imported,
	    (unsigned long long)progress->skipped, (unsigned long long)progress->bytes);
	zp_mutex_unlock(&upload->mutex);
	upload->told_ms = zp_clock_ms();
	upload->is_over |= is_done;
}

static void
tell_failure(struct upload *upload, int code, const char *text)
{
	struct zp_import_progress progress = {0};

	zp_ignore(zp_import_progress_get(upload->import, &progress, NULL)); /* only the numbers */
	zp_mutex_lock(&upload->mutex);
	zp_buf_append_text(&upload->output, "{\"error\":");
	zp_json_put_text(&upload->output, text);
	zp_buf_printf(&upload->output,
	    ",\"error_code\":\"%s\",\"line\":%llu,\"lines_done\":%llu}\n", zp_err_name(code),
	    (unsigned long long)zp_max_u64(progress.lines, upload->bad_line),
	    (unsigned long long)progress.lines_durable);
	zp_mutex_unlock(&upload->mutex);
	api__note_error(upload->request, text);
	upload->is_over = true;
}

/* ---- Feeding -------------------------------------------------------------------------------- */

/* One slice of what is left. False: no more can go in now. */
static bool
feed_some(struct upload *upload)
{
	size_t length = zp_min_u64(upload->left.length, FEED_BYTES), taken = 0;
	struct zp_err err = {0};
	int rc;

	if (length == 0 || output_bytes(upload) >= OUTPUT_BYTES_FULL)
		return false;
	rc = zp_import_feed(upload->import, upload->left.data, length, &taken, &err);
	if (rc < 0 && rc != ZP_E_FULL) {
		tell_failure(upload, rc, err.text);
		return false;
	}
	upload->left = (struct zp_slice){upload->left.data + taken, upload->left.length - taken};
	upload->waits = rc == ZP_E_FULL || taken < length;
	return !upload->waits;
}

/* A replacing import deletes before its first line, in steps, between feeds. Of an empty body there
 * is no feed, and it is more likely a mistake than a wish. */
static void
finish(struct upload *upload)
{
	struct zp_err err = {0};
	int rc;

	if (upload->options.options.replace && !upload->has_data) {
		tell_failure(
		    upload, ZP_E_INVALID, "the body is empty, and replace would remove every pin");
		return;
	}
	rc = zp_import_finish(upload->import, &err);
	if (rc == ZP_E_FULL)
		upload->waits = true;
	else if (rc < 0)
		tell_failure(upload, rc, err.text);
	else
		upload->is_finishing = true;
}

static void
look_at_progress(struct upload *upload)
{
	struct zp_import_progress progress = {0};
	struct zp_err err = {0};
	int rc = zp_import_progress_get(upload->import, &progress, &err);

	if (rc < 0)
		tell_failure(upload, rc, err.text);
	else if (upload->is_finishing && progress.finished)
		tell_progress(upload, &progress, true);
	else if (zp_clock_ms() - upload->told_ms >= PROGRESS_MS)
		tell_progress(upload, &progress, false);
}

/* Goes on with whatever can go on; called whenever something has changed. */
static void
upload_pump(struct upload *upload)
{
	while (!upload->is_over && !upload->waits && feed_some(upload))
		continue;
	if (!upload->is_over && !upload->waits && upload->left.length == 0) {
		if (upload->body_over && !upload->is_finishing)
			finish(upload);
		else if (!upload->body_over)
			zp_import_push(upload->import);
	}
	if (!upload->is_over)
		look_at_progress(upload);
	if (upload->is_over)
		upload->left.length = 0; /* nobody wants the rest of the body */
	if (upload->body_paused && upload->left.length == 0) {
		upload->body_paused = false;
		zp_http_body_resume(upload->request);
	}
	zp_http_stream_resume(upload->request);
}

static void
ready_run(struct zp_task *task)
{
	struct upload *upload = ZP_CONTAINER(task, struct upload, task);

	atomic_store(&upload->is_posted, false);
	if (upload->is_gone) {
		upload_free(upload);
		return;
	}
	upload->waits = false;
	upload_pump(upload);
}

/* On the commit thread. */
static void
ready(void *context)
{
	struct upload *upload = context;

	if (atomic_exchange(&upload->is_posted, true))
		return;
	upload->task.run = ready_run;
	zp_http_post(upload->request, &upload->task);
}

/* ---- The request ----------------------------------------------------------------------------- */

static bool
upload_data(struct zp_http_request *request, void *context, struct zp_slice data)
{
	struct upload *upload = context;

	(void)request;
	if (upload->is_over)
		return false;
	upload->has_data = true;
	ZP_ASSERT(upload->left.length == 0); /* the body was paused until then */
	upload->left = data;
	upload_pump(upload);
	/* Only now: a pause that the pump ended would end later, and then the next one with it. */
	upload->body_paused = upload->left.length > 0;
	if (upload->body_paused) {
		zp_buf_clear(&upload->stash);
		zp_buf_append_slice(&upload->stash, upload->left);
		ZP_ASSERT(!upload->stash.overflow);
		upload->left = zp_buf_slice(&upload->stash);
	}
	return upload->body_paused;
}

static void
upload_body_end(struct zp_http_request *request, void *context, int error)
{
	struct upload *upload = context;

	(void)request;
	upload->body_over = true;
	if (error < 0 && !upload->is_over) {
		upload->left.length = 0;
		tell_failure(upload, error, "the request's body ended before its end");
	}
	upload_pump(upload);
}

static enum zp_http_produced
upload_produce(struct zp_http_request *request, void *context, struct zp_buf *out)
{
	struct upload *upload = context;
	bool is_left;

	zp_mutex_lock(&upload->mutex);
	is_left = api__lines_move(&upload->output, out);
	zp_mutex_unlock(&upload->mutex);
	if (is_left)
		return ZP_HTTP_MORE;
	if (upload->is_over) {
		zp_http_trailer(request, API_STREAM_TRAILER, (struct zp_slice){0});
		return ZP_HTTP_DONE;
	}
	if (upload->left.length > 0 && !upload->waits && out->length > 0)
		upload_pump(upload);
	return ZP_HTTP_WAIT;
}

static void
upload_end(struct zp_http_request *request, void *context, bool sent)
{
	struct upload *upload = context;

	(void)request;
	(void)sent;
	zp_import_close(upload->import);
	upload->is_gone = true; /* there will be no more `ready`, but one may be on its way */
	if (!atomic_load(&upload->is_posted))
		upload_free(upload);
}

static struct upload *
upload_new(struct api_call *call)
{
	struct upload *upload = zp_alloc_zero(1, sizeof(*upload));

	upload->call = call;
	upload->request = call->request;
	upload->told_ms = zp_clock_ms();
	zp_buf_init(&upload->stash, STASH_BYTES_MAX);
	zp_buf_init(&upload->output, OUTPUT_BYTES_MAX);
	zp_mutex_init(&upload->mutex);
	zp_http_hold(upload->request);
	return upload;
}

void
api__import(struct api_call *call)
{
	struct zp_http_request *request = call->request;
	struct zp_http_sink sink = {.data = upload_data, .end = upload_body_end};
	struct zp_http_producer producer = {.produce = upload_produce, .end = upload_end};
	struct upload *upload;
	int rc;

	if (!api__upload_begin(call))
		return;
	upload = upload_new(call);
	rc = api__import_options_read(&call->query, &upload->options, &call->err);
	/* Who names a stream sends all of it again; what is durable is passed over. */
	if (rc == 0 && upload->options.options.lines_done == 0)
		upload->options.options.lines_done =
		    zp_command_origin_sequence(call->api->node, upload->options.options.origin.id);
	if (rc == 0)
		rc = zp_import_open(call->api->node, &upload->options.options, bad_line, ready,
		    upload, &upload->import, &call->err);
	if (rc < 0) {
		upload_discard(upload);
		api__answer_failure(call, rc);
		return;
	}
	sink.context = producer.context = upload;
	zp_http_answer_header_text(request, "Trailer", API_STREAM_TRAILER);
	api__headers_add(call, "application/x-ndjson");
	zp_http_body_stream(request, &sink);
	zp_http_answer_stream(request, 200, &producer);
}

void
api__import_state(struct api_call *call)
{
	uint8_t id[16];
	int rc = api__origin_read(api__query_get(&call->query, "origin"), id, &call->err);

	if (rc < 0) {
		api__answer_failure(call, rc);
		return;
	}
	zp_buf_printf(&call->json, "{\"lines_done\":%llu}",
	    (unsigned long long)zp_command_origin_sequence(call->api->node, id));
	api__answer_json(call);
}
