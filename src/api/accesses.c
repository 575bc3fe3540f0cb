/*
 * accesses.c - what those tell who serve the content of pins, and what a read shows of it.
 *
 * Flow: POST /accesses: body → lines → notes in memory (relative), or writes that are answered when
 * they are durable (exact). GET with access=true: the pin's object and two members more. Owner: the
 *       request's thread, but while the commit thread has the batch.
 *
 * A line is a bare CID, read once and now, or an object with the members that a read shows, so that
 * what an export has can be told to another node. A wrong line refuses them all: nothing is half
 * told.
 */
#include "api/api_internal.h"
#include "api/import.h"

/* ---- Lines ----------------------------------------------------------------------------------- */

static int
last_read(struct zp_json *json, int64_t *seconds_out, struct zp_err *err)
{
	ZP_AUTO_BUF(text, 64);
	struct zp_json_string string;
	uint32_t nanoseconds;
	int rc;

	if (zp_json_take_null(json))
		return 0;
	rc = zp_json_read_string(json, &string, err);
	if (rc < 0)
		return rc;
	zp_json_string_append(&string, &text);
	rc = zp_buf_check(&text, "last_accessed", err);
	if (rc == 0)
		rc = zp_time_parse(zp_buf_slice(&text), seconds_out, &nanoseconds, err);
	if (rc == 0 && (*seconds_out < 0 || *seconds_out > ZP_ACCESS_SECONDS_MAX))
		rc = zp_fail(err, ZP_E_INVALID, "last_accessed is before 1970");
	return rc;
}

static int
member_read(struct zp_json *json, const struct zp_json_string *name, struct zp_cid *cid,
    bool *has_cid, struct zp_accesses *accesses, struct zp_err *err)
{
	ZP_AUTO_BUF(text, ZP_CID_TEXT_MAX);
	struct zp_json_string value;
	int rc;

	if (zp_json_string_is(name, "access_count")) {
		rc = zp_json_read_uint64(json, &accesses->count, err);
		if (rc == 0 && accesses->count > ZP_ACCESS_COUNT_MAX)
			rc = zp_fail(err, ZP_E_INVALID, "access_count: at most %llu at once",
			    (unsigned long long)ZP_ACCESS_COUNT_MAX);
		return rc;
	}
	if (zp_json_string_is(name, "last_accessed"))
		return last_read(json, &accesses->last_seconds, err);
	if (!zp_json_string_is(name, "cid"))
		return zp_json_skip(json, err);
	rc = zp_json_read_string(json, &value, err);
	if (rc < 0)
		return rc;
	zp_json_string_append(&value, &text);
	rc = zp_buf_check(&text, "the CID", err);
	*has_cid = true;
	return rc < 0 ? rc : zp_cid_parse(zp_buf_slice(&text), cid, err);
}

int
api__access_line_read(struct zp_slice line, int64_t now_seconds, struct zp_accesses_note *note_out,
    struct zp_err *err)
{
	struct zp_accesses accesses = {.count = 1, .last_seconds = now_seconds};
	struct zp_json_string name;
	struct zp_json json;
	struct zp_cid cid;
	bool has_cid = false;
	int rc;

	if (line.data[0] != '{') {
		rc = zp_cid_parse(line, &cid, err);
		has_cid = true;
	} else {
		zp_json_init(&json, line);
		rc = zp_json_object_begin(&json, err);
		while (rc == 0 && (rc = zp_json_object_next(&json, &name, err)) == 0)
			rc = member_read(&json, &name, &cid, &has_cid, &accesses, err);
		rc = rc == ZP_END ? zp_json_end(&json, err) : rc;
	}
	if (rc == 0 && !has_cid)
		rc = zp_fail(err, ZP_E_INVALID, "cid is missing");
	if (rc < 0)
		return rc;
	zp_key_of_cid(&cid, 0, 0, &note_out->key);
	note_out->accesses = accesses;
	return 0;
}

static struct zp_slice
line_take(struct zp_slice *rest)
{
	const uint8_t *newline = memchr(rest->data, '\n', rest->length);
	struct zp_slice line = *rest;

	if (newline != NULL)
		line.length = (size_t)(newline - rest->data);
	rest->data += line.length + (newline != NULL);
	rest->length -= line.length + (newline != NULL);
	while (line.length > 0 && strchr(" \t\r", line.data[0]) != NULL && line.data[0] != '\0') {
		line.data++;
		line.length--;
	}
	while (line.length > 0 && line.data[line.length - 1] != '\0' &&
	       strchr(" \t\r", line.data[line.length - 1]) != NULL)
		line.length--;
	return line;
}

int
api__access_lines_read(struct zp_slice body, int64_t now_seconds,
    struct zp_accesses_note notes[API_ACCESS_LINES_MAX], size_t *count_out, struct zp_err *err)
{
	uint64_t number = 0;
	size_t count = 0;

	while (body.length > 0) {
		struct zp_slice line = line_take(&body);
		struct zp_accesses_note note;
		int rc;

		number++;
		if (line.length == 0)
			continue;
		rc = api__access_line_read(line, now_seconds, &note, err);
		if (rc < 0)
			return zp_wrap(err, ZP_E_INVALID, "line %llu", (unsigned long long)number);
		if (note.accesses.count == 0)
			continue;
		if (count == API_ACCESS_LINES_MAX)
			return zp_fail(err, ZP_E_TOO_LARGE, "more than %u pins in a request",
			    API_ACCESS_LINES_MAX);
		notes[count++] = note;
	}
	*count_out = count;
	return 0;
}

/* ---- POST /accesses -------------------------------------------------------------------------- */

struct telling {
	struct api_call *call;
	struct zp_journal_origin origin;
	size_t count;
	struct zp_accesses_note notes[API_ACCESS_LINES_MAX];
	struct zp_write *writes; /* owned; exact only */
};

static void
telling_free(struct telling *telling)
{
	zp_free(telling->writes);
	zp_free(telling);
}

static void
told_answer(struct zp_task *task)
{
	struct api_call *call = ZP_CONTAINER(task, struct api_call, task);
	struct telling *telling = call->telling;
	uint64_t noted = 0, unknown = 0;
	int rc = 0;

	for (size_t i = 0; i < telling->count && rc == 0; i++) {
		const struct zp_write *write = &telling->writes[i];

		if (write->rc == ZP_E_NOT_FOUND)
			unknown += write->accesses.count;
		else
			noted += write->accesses.count;
		if (write->rc < 0 && write->rc != ZP_E_NOT_FOUND) {
			rc = write->rc;
			call->err = write->err;
		}
	}
	telling_free(telling);
	api__upload_end(call->api);
	if (call->is_late) {
		api__late_end(task);
		return;
	}
	if (rc < 0) {
		api__answer_failure(call, rc);
		return;
	}
	zp_buf_printf(&call->json, "{\"noted\":%llu,\"unknown\":%llu}", (unsigned long long)noted,
	    (unsigned long long)unknown);
	api__answer_json(call);
}

static void
told_done(struct zp_write_batch *batch)
{
	struct api_call *call = batch->context;

	call->task.run = told_answer;
	zp_http_post(call->request, &call->task);
}

static int
tell_exactly(struct telling *telling)
{
	struct api_call *call = telling->call;

	telling->writes = zp_alloc_zero(telling->count + 1, sizeof(telling->writes[0]));
	for (size_t i = 0; i < telling->count; i++) {
		telling->writes[i].kind = ZP_WRITE_ACCESS;
		telling->writes[i].key = telling->notes[i].key;
		telling->writes[i].accesses = telling->notes[i].accesses;
	}
	call->telling = telling;
	call->batch = (struct zp_write_batch){.writes = telling->writes,
	    .count = telling->count,
	    .origin = telling->origin,
	    .done = told_done,
	    .late = api__write_late,
	    .context = call};
	return zp_command_write(call->api->node, &call->batch, &call->err);
}

/* True: the answer comes later. */
static bool
tell(struct telling *telling, struct zp_slice body, int *rc_out)
{
	struct api_call *call = telling->call;
	struct zp_node *node = call->api->node;
	bool is_exact = zp_node_accesses_mode(node) == ZP_ACCESSES_EXACT;
	uint64_t noted = 0;
	int rc = api__access_lines_read(
	    body, api__now_us() / 1000000, telling->notes, &telling->count, &call->err);

	if (rc == 0 && is_exact)
		rc = tell_exactly(telling);
	else if (rc == 0)
		rc = zp_command_accesses_note(node, telling->notes, telling->count, &call->err);
	*rc_out = rc;
	if (rc == 0 && is_exact)
		return true;
	for (size_t i = 0; i < telling->count; i++)
		noted += telling->notes[i].accesses.count;
	if (rc == 0)
		zp_buf_printf(&call->json, "{\"noted\":%llu}", (unsigned long long)noted);
	return false;
}

static void
body_take(struct zp_http_request *request, void *context, int error, struct zp_slice body)
{
	struct telling *telling = context;
	struct api_call *call = telling->call;
	int rc = error;

	(void)request;
	if (error == 0 && tell(telling, body, &rc))
		return;
	telling_free(telling);
	api__upload_end(call->api);
	if (error == ZP_E_TOO_LARGE)
		api__answer_error(call, 413, "the request body is over the limit of %u bytes",
		    ZP_HTTP_BODY_BYTES_MAX);
	else if (error == ZP_E_TIMEOUT)
		api__answer_error(call, 408, "the request body did not come in time");
	else if (error < 0)
		api__answer_error(call, 400, "error reading request body");
	else if (rc < 0)
		api__answer_failure(call, rc);
	else
		api__answer_json(call);
}

/* A client's own number of this request, so that it counts once however often it comes. */
static int
origin_read(const struct api_call *call, struct zp_journal_origin *origin, struct zp_err *err)
{
	struct zp_slice id = api__query_get(&call->query, "origin");
	struct zp_slice sequence = api__query_get(&call->query, "sequence");
	int rc;

	if (id.length == 0 && sequence.length == 0)
		return 0;
	if (zp_node_accesses_mode(call->api->node) != ZP_ACCESSES_EXACT)
		return zp_fail(err, ZP_E_INVALID,
		    "parameter origin: requests are told apart with storage.accesses: exact only");
	rc = api__origin_read(id, origin->id, err);
	if (rc == 0 &&
	    (!api__decimal_read(sequence, UINT64_MAX, &origin->sequence) || origin->sequence == 0))
		rc = zp_fail(err, ZP_E_INVALID, "parameter sequence invalid: from 1 on, rising");
	return rc;
}

void
api__accesses(struct api_call *call)
{
	struct zp_journal_origin origin = {0};
	struct telling *telling;
	int rc = origin_read(call, &origin, &call->err);

	if (rc == 0 && zp_node_accesses_mode(call->api->node) == ZP_ACCESSES_OFF)
		rc = zp_command_accesses_note(call->api->node, NULL, 0, &call->err);
	if (rc < 0) {
		api__answer_failure(call, rc);
		return;
	}
	if (!api__upload_begin(call))
		return;
	telling = zp_alloc_zero(1, sizeof(*telling));
	telling->call = call;
	telling->origin = origin;
	zp_http_body_read(call->request, ZP_HTTP_BODY_BYTES_MAX, body_take, telling);
}

/* ---- What reads show ------------------------------------------------------------------------- */

void
api__accesses_append(const struct zp_accesses *accesses, struct zp_buf *object)
{
	ZP_ASSERT(object->length > 0 && object->data[object->length - 1] == '}');
	object->length--;
	zp_buf_printf(object,
	    ",\"access_count\":%llu,\"last_accessed\":", (unsigned long long)accesses->count);
	if (accesses->count == 0) {
		zp_buf_append_text(object, "null}");
		return;
	}
	zp_buf_append_byte(object, '"');
	zp_time_format(accesses->last_seconds, 0, object);
	zp_buf_append_text(object, "\"}");
}
