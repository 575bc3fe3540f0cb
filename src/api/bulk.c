/*
 * bulk.c - POST /pins: a line a pin in, a line an answer out, in order, while the body still comes.
 *
 * Flow: body → input → up to BATCH_LINES lines → one zp_command_write → answers → the stream.
 * Owner: the request's thread, but while the commit thread has the batch.
 *
 * A line is a pin object, as GET /allocations gives it or shorter, or a bare CID. One batch is
 * under way at a time: input waits for it, and it waits for a reader of its answers, so a slow
 * client on either side holds no more than the limits below. Whoever sends much must read the
 * answers meanwhile; with quiet=true only lines that failed are answered, and a count at the end,
 * so that a client may send all first.
 */
#include <stdio.h>

#include "api/api_internal.h"

#define BATCH_LINES 256u
#define BATCH_BYTES (256u << 10)    /* of the lines of a batch */
#define LINE_BYTES_MAX (512u << 10) /* 64 KiB of record, all escaped */
/* A line not yet ended, the piece that began a batch, and one more that came in spite of the pause,
 * by a resume that was under way. */
#define INPUT_BYTES_MAX (LINE_BYTES_MAX + 2 * ZP_HTTP_BODY_PIECE_BYTES_MAX)
#define OUTPUT_BYTES_FULL (128u << 10) /* no more answers are written until some are taken */
#define OUTPUT_BYTES_MAX (2u << 20)    /* one more answer, all escaped */

/* A line and what will be said about it. */
struct bulk_line {
	uint64_t number;
	bool has_write; /* else `error` is why not */
	size_t write_index;
	char error[ZP_ERR_TEXT_BYTES];
	struct zp_pin pin;
	struct zp_buf texts;
};

struct bulk {
	struct api_call *call;
	struct zp_http_request *request;
	struct zp_task task;
	struct zp_write_batch batch;
	struct zp_buf input;
	struct zp_buf output;
	struct zp_buf scratch;
	uint64_t line_number; /* of the last line taken */
	bool skipping;        /* the rest of a line that was too long */
	bool quiet;           /* what went well is counted, not answered */
	uint64_t pinned, failed;
	bool body_paused;
	bool body_over;
	int body_error;
	bool is_committing; /* the commit thread has the batch; the request is held */
	bool is_gone;       /* the stream has ended */
	size_t lines_count; /* of the batch */
	size_t lines_answered;
	size_t writes_count;
	struct bulk_line lines[BATCH_LINES];
	struct zp_write writes[BATCH_LINES];
};

static struct bulk *
bulk_new(struct api_call *call)
{
	struct bulk *bulk = zp_alloc_zero(1, sizeof(*bulk));

	bulk->call = call;
	bulk->request = call->request;
	bulk->quiet = api__query_is_true(&call->query, "quiet");
	zp_buf_init(&bulk->input, INPUT_BYTES_MAX);
	zp_buf_init(&bulk->output, OUTPUT_BYTES_MAX);
	zp_buf_init(&bulk->scratch, ZP_RECORD_BYTES_MAX * 2);
	for (size_t i = 0; i < BATCH_LINES; i++) {
		zp_pin_init(&bulk->lines[i].pin);
		zp_buf_init(&bulk->lines[i].texts, ZP_RECORD_BYTES_MAX);
	}
	return bulk;
}

static void
bulk_free(struct bulk *bulk)
{
	struct api_call *call = bulk->call;

	for (size_t i = 0; i < BATCH_LINES; i++) {
		zp_pin_done(&bulk->lines[i].pin);
		zp_buf_done(&bulk->lines[i].texts);
		zp_buf_done(&bulk->writes[i].result_texts);
	}
	zp_buf_done(&bulk->input);
	zp_buf_done(&bulk->output);
	zp_buf_done(&bulk->scratch);
	zp_free(bulk);
	api__upload_end(call->api);
	api__call_put(call);
}

/* ---- A line --------------------------------------------------------------------------------- */

/* Whether the object says how deep to pin, which an option list does by `mode`. */
static int
depth_read(struct zp_slice line, struct zp_pin *pin, struct zp_err *err)
{
	bool has_depth = false, is_direct = false;
	struct zp_json_string name, value;
	struct zp_json json;
	int rc;

	zp_json_init(&json, line);
	rc = zp_json_object_begin(&json, err);
	while (rc == 0 && (rc = zp_json_object_next(&json, &name, err)) == 0) {
		enum zp_json_type type = ZP_JSON_NULL;

		rc = zp_json_peek(&json, &type, err);
		if (rc == 0 && zp_json_string_is(&name, "mode") && type == ZP_JSON_STRING) {
			rc = zp_json_read_string(&json, &value, err);
			is_direct = rc == 0 && zp_json_string_is(&value, "direct");
			continue;
		}
		has_depth |= zp_json_string_is(&name, "max_depth") && type == ZP_JSON_NUMBER;
		if (rc == 0)
			rc = zp_json_skip(&json, err);
	}
	if (rc < 0)
		return rc;
	if (!has_depth)
		pin->max_depth = is_direct ? 0 : -1;
	return 0;
}

static int
pin_check(struct zp_pin *pin, struct zp_err *err)
{
	if (pin->type != ZP_PIN_DATA || pin->has_reference)
		return zp_fail(err, ZP_E_INVALID,
		    "type: only \"pin\" can be made here; POST /import takes the others");
	if (pin->max_depth != -1 && pin->max_depth != 0)
		return zp_fail(err, ZP_E_INVALID, "max_depth: -1 (recursive) or 0 (direct)");
	/* An object from a listing says where it is: ask for the same peers. */
	if (pin->user_allocations_count == 0) {
		pin->user_allocations = pin->allocations;
		pin->user_allocations_count = pin->allocations_count;
	}
	pin->size = 0; /* not the client's to say */
	return 0;
}

static int
line_read(struct zp_slice text, struct zp_pin *pin, struct zp_err *err)
{
	int rc;

	if (text.data[0] != '{') {
		pin->max_depth = -1;
		return zp_cid_parse(text, &pin->cid, err);
	}
	rc = zp_pin_from_json(text, pin, err);
	if (rc == 0)
		rc = depth_read(text, pin, err);
	return rc < 0 ? rc : pin_check(pin, err);
}

static void
line_add(struct bulk *bulk, struct zp_slice text)
{
	struct bulk_line *line = &bulk->lines[bulk->lines_count++];
	struct zp_write *write = &bulk->writes[bulk->writes_count];
	struct zp_err err = {0};
	int rc;

	line->number = bulk->line_number;
	zp_pin_reset(&line->pin);
	rc = line_read(text, &line->pin, &err);
	if (rc == 0)
		rc = api__write_fill(
		    &line->pin, ZP_WRITE_PIN, api__now_us(), &line->texts, write, &err);
	line->has_write = rc == 0;
	if (rc < 0)
		memcpy(line->error, err.text, sizeof(line->error));
	else
		line->write_index = bulk->writes_count++;
}

static void
line_add_too_long(struct bulk *bulk)
{
	struct bulk_line *line = &bulk->lines[bulk->lines_count++];

	line->number = bulk->line_number;
	line->has_write = false;
	snprintf(
	    line->error, sizeof(line->error), "the line is longer than %u bytes", LINE_BYTES_MAX);
}

static bool
is_blank(uint8_t byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r';
}

static struct zp_slice
trimmed(struct zp_slice text)
{
	while (text.length > 0 && is_blank(text.data[0])) {
		text.data++;
		text.length--;
	}
	while (text.length > 0 && is_blank(text.data[text.length - 1]))
		text.length--;
	return text;
}

/* Takes the next line off `rest`, which ends at a newline or, in the end, without one. */
static bool
line_next(struct bulk *bulk, struct zp_slice *rest, struct zp_slice *line_out)
{
	const uint8_t *newline = rest->length == 0 ? NULL : memchr(rest->data, '\n', rest->length);
	size_t taken;

	if (newline == NULL && (!bulk->body_over || rest->length == 0))
		return false;
	line_out->data = rest->data;
	line_out->length = newline == NULL ? rest->length : (size_t)(newline - rest->data);
	taken = line_out->length + (newline != NULL);
	rest->data += taken;
	rest->length -= taken;
	return true;
}

/* Cuts input into lines until the batch is full. Empty lines count, and are not answered. */
static void
batch_fill(struct bulk *bulk)
{
	struct zp_slice rest = zp_buf_slice(&bulk->input), line;
	const uint8_t *start = rest.data;

	bulk->lines_count = bulk->lines_answered = bulk->writes_count = 0;
	while (bulk->lines_count < BATCH_LINES && (size_t)(rest.data - start) < BATCH_BYTES &&
	       line_next(bulk, &rest, &line)) {
		bool was_skipped = bulk->skipping;

		bulk->skipping = false;
		if (was_skipped)
			continue;
		bulk->line_number++;
		if (line.length > LINE_BYTES_MAX)
			line_add_too_long(bulk);
		else if (trimmed(line).length > 0)
			line_add(bulk, trimmed(line));
	}
	/* A line that fills the input without an end is told now; the rest of it is read over. */
	if (bulk->lines_count < BATCH_LINES && rest.length > LINE_BYTES_MAX &&
	    memchr(rest.data, '\n', rest.length) == NULL) {
		if (!bulk->skipping) {
			bulk->line_number++;
			line_add_too_long(bulk);
		}
		bulk->skipping = true;
		rest.length = 0;
	}
	zp_buf_consume(&bulk->input, bulk->input.length - rest.length);
}

/* ---- Answers -------------------------------------------------------------------------------- */

static void
line_answer(struct bulk *bulk, const struct bulk_line *line)
{
	const struct zp_write *write = &bulk->writes[line->write_index];
	size_t before = bulk->output.length;
	bool is_pinned = line->has_write && write->rc >= 0;
	struct zp_err err = {0};

	bulk->pinned += is_pinned;
	bulk->failed += !is_pinned;
	if (is_pinned && bulk->quiet)
		return;
	if (!line->has_write) {
		api__line_error(&bulk->output, "line", line->number, line->error);
	} else if (write->rc < 0) {
		api__line_error(&bulk->output, "line", line->number,
		    write->err.text[0] != '\0' ? write->err.text : zp_err_summary(write->rc));
	} else if (api__write_json(bulk->call, write, &bulk->scratch, &bulk->output, &err) < 0) {
		bulk->output.length = before;
		bulk->output.overflow = false;
		api__line_error(&bulk->output, "line", line->number, err.text);
	} else {
		zp_buf_append_byte(&bulk->output, '\n');
	}
}

static bool
batch_is_answered(const struct bulk *bulk)
{
	return bulk->lines_answered == bulk->lines_count;
}

static void
batch_answer(struct bulk *bulk)
{
	while (!batch_is_answered(bulk) && bulk->output.length < OUTPUT_BYTES_FULL)
		line_answer(bulk, &bulk->lines[bulk->lines_answered++]);
}

/* ---- The flow ------------------------------------------------------------------------------- */

static void bulk_pump(struct bulk *bulk);

static void
commit_answered(struct zp_task *task)
{
	struct bulk *bulk = ZP_CONTAINER(task, struct bulk, task);
	struct zp_http_request *request = bulk->request;

	bulk->is_committing = false;
	if (bulk->is_gone)
		bulk_free(bulk);
	else
		bulk_pump(bulk);
	zp_http_release(request);
}

static void
commit_done(struct zp_write_batch *batch)
{
	struct bulk *bulk = batch->context;

	bulk->task.run = commit_answered;
	zp_http_post(bulk->request, &bulk->task);
}

static void
batch_submit(struct bulk *bulk)
{
	struct zp_err err = {0};
	int rc;

	if (bulk->writes_count == 0)
		return;
	bulk->batch = (struct zp_write_batch){
	    .writes = bulk->writes,
	    .count = bulk->writes_count,
	    .done = commit_done,
	    .context = bulk,
	};
	bulk->is_committing = true;
	zp_http_hold(bulk->request);
	rc = zp_command_write(bulk->call->api->node, &bulk->batch, &err);
	if (rc == 0)
		return;
	bulk->is_committing = false;
	zp_http_release(bulk->request);
	for (size_t i = 0; i < bulk->writes_count; i++) {
		bulk->writes[i].rc = rc;
		bulk->writes[i].err = err;
	}
}

/* Goes on with whatever can go on; called whenever something has changed. */
static void
bulk_pump(struct bulk *bulk)
{
	while (!bulk->is_committing) {
		batch_answer(bulk);
		if (!batch_is_answered(bulk))
			break;
		batch_fill(bulk);
		if (bulk->lines_count == 0)
			break;
		batch_submit(bulk);
	}
	if (bulk->body_paused && bulk->input.length <= LINE_BYTES_MAX && !bulk->is_committing &&
	    batch_is_answered(bulk)) {
		bulk->body_paused = false;
		zp_http_body_resume(bulk->request);
	}
	zp_http_stream_resume(bulk->request);
}

static bool
bulk_data(struct zp_http_request *request, void *context, struct zp_slice data)
{
	struct bulk *bulk = context;

	(void)request;
	zp_buf_append_slice(&bulk->input, data);
	ZP_ASSERT(!bulk->input.overflow);
	bulk->body_paused = true; /* before the pump, which may end the pause */
	bulk_pump(bulk);
	return bulk->body_paused;
}

static void
bulk_body_end(struct zp_http_request *request, void *context, int error)
{
	struct bulk *bulk = context;

	(void)request;
	bulk->body_over = true;
	bulk->body_error = error;
	if (error < 0)
		zp_buf_clear(&bulk->input); /* half a line is no line */
	bulk_pump(bulk);
}

static enum zp_http_produced
bulk_produce(struct zp_http_request *request, void *context, struct zp_buf *out)
{
	struct bulk *bulk = context;
	struct zp_slice error = {0};

	if (bulk->output.length > 0) {
		(void)api__lines_move(&bulk->output, out);
		if (bulk->output.length == 0)
			bulk_pump(bulk);
		return ZP_HTTP_MORE;
	}
	if (!bulk->body_over || bulk->is_committing || bulk->input.length > 0 ||
	    !batch_is_answered(bulk))
		return ZP_HTTP_WAIT;
	if (bulk->quiet)
		zp_buf_printf(out, "{\"pinned\":%llu,\"failed\":%llu}\n",
		    (unsigned long long)bulk->pinned, (unsigned long long)bulk->failed);
	if (bulk->body_error < 0) {
		error = zp_slice_of("the request's body ended before its end");
		api__note_error(request, (const char *)error.data);
	}
	zp_http_trailer(request, API_STREAM_TRAILER, error);
	return ZP_HTTP_DONE;
}

static void
bulk_end(struct zp_http_request *request, void *context, bool sent)
{
	struct bulk *bulk = context;

	(void)request;
	(void)sent;
	bulk->is_gone = true;
	if (!bulk->is_committing)
		bulk_free(bulk);
}

void
api__bulk(struct api_call *call)
{
	struct zp_http_request *request = call->request;
	struct zp_http_sink sink = {.data = bulk_data, .end = bulk_body_end};
	struct zp_http_producer producer = {.produce = bulk_produce, .end = bulk_end};

	if (!api__upload_begin(call))
		return;
	producer.context = sink.context = bulk_new(call);
	zp_http_answer_header_text(request, "Trailer", API_STREAM_TRAILER);
	api__headers_add(call, "application/json");
	zp_http_body_stream(request, &sink);
	zp_http_answer_stream(request, 200, &producer);
}
