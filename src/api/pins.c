/*
 * pins.c - pinning and unpinning one CID.
 *
 * Flow: options → record → zp_command_write → (commit thread) → back on the request's thread →
 * JSON. Owner: the call, which the commit thread has between submit and `done`.
 *
 * Unlike IPFS Cluster a bad option ends the request with its 400 and nothing is written, and
 * mode=direct is meant on both paths.
 */
#include "api/api_internal.h"

bool
api__cid_take(struct api_call *call)
{
	int rc = zp_cid_parse(call->captures[0], &call->pin.cid, &call->err);

	if (rc < 0) {
		api__answer_error(call, 400, "error decoding Cid: %s", call->err.text);
		return false;
	}
	rc = api__options_read(&call->query, api__now_us(), &call->pin, &call->err);
	if (rc < 0) {
		api__answer_failure(call, rc);
		return false;
	}
	return true;
}

int
api__pin_json(struct api_call *call, const struct zp_key *key, const struct zp_record *record,
    const struct zp_pin_json_style *style, struct zp_buf *json, struct zp_err *err)
{
	struct zp_slice allocations;
	int rc = zp_tables_allocations_json(
	    zp_node_tables(call->node), record->facts[ZP_FACT_ALLOCATIONS], &allocations, err);

	return rc < 0 ? rc : zp_pin_to_json(key, record, allocations, style, json, err);
}

/* ---- Answers -------------------------------------------------------------------------------- */

int
api__write_json(struct api_call *call, const struct zp_write *write, struct zp_buf *scratch,
    struct zp_buf *json, struct zp_err *err)
{
	struct zp_slice user_allocations;
	struct zp_pin_json_style style = {.created_nanoseconds = write->created_nanoseconds};

	/* IPFS Cluster answers an update with the pin it has copied, as a read gives it. */
	style.is_post_answer = write->kind == ZP_WRITE_PIN && !write->has_update_from;
	if (style.is_post_answer && write->allocations_count > 0) {
		zp_buf_clear(scratch);
		api__peers_json(write->allocations, write->allocations_count, scratch);
		user_allocations = zp_buf_slice(scratch);
		style.user_allocations_json = &user_allocations;
	}
	return api__pin_json(call, &write->key, &write->result, &style, json, err);
}

static void
write_answer(struct zp_task *task)
{
	struct api_call *call = ZP_CONTAINER(task, struct api_call, task);
	struct zp_write *write = &call->write;
	int rc = write->rc;

	if (rc < 0) {
		call->err = write->err;
		api__answer_write_failure(call, rc);
		return;
	}
	rc = api__write_json(call, write, &call->text, &call->json, &call->err);
	if (rc < 0)
		api__answer_failure(call, rc);
	else
		api__answer_json(call);
}

/* The client was answered before: only what the node had of the call is to be put back. */
void
api__late_end(struct zp_task *task)
{
	struct api_call *call = ZP_CONTAINER(task, struct api_call, task);
	struct zp_http_request *request = call->request;

	call->is_late = false;
	api__call_put(call);
	zp_http_release(request);
}

static void
write_done(struct zp_write_batch *batch)
{
	struct api_call *call = batch->context;

	call->task.run = call->is_late ? api__late_end : write_answer;
	zp_http_post(call->request, &call->task);
}

/* The node keeps the call until it is done with it, so the answer is made without it. */
static void
late_answer(struct zp_task *task)
{
	struct api_call *call = ZP_CONTAINER(task, struct api_call, late_task);
	struct api_call *answer = api__call_take(call->api, call->request);

	answer->err = call->late_err;
	api__answer_failure(answer, answer->err.code);
}

/* Held, since the answer ends the request and `done` still asks for its thread; which runs tasks in
 * the order that they were posted. */
void
api__write_late(struct zp_write_batch *batch, const struct zp_err *err)
{
	struct api_call *call = batch->context;

	call->is_late = true;
	call->late_err = *err;
	call->late_task.run = late_answer;
	zp_http_hold(call->request);
	zp_http_post(call->request, &call->late_task);
}

/* ---- Writes --------------------------------------------------------------------------------- */

int
api__write_fill(struct zp_pin *pin, enum zp_write_kind kind, int64_t now_us, struct zp_buf *texts,
    struct zp_write *write, struct zp_err *err)
{
	bool is_update = pin->has_pin_update &&
			 (pin->pin_update.length != pin->cid.length ||
			     memcmp(pin->pin_update.bytes, pin->cid.bytes, pin->cid.length) != 0);

	write->kind = kind;
	zp_key_of_cid(&pin->cid, 0, 0, &write->key);
	write->allocations = pin->user_allocations;
	write->allocations_count = pin->user_allocations_count;
	write->has_update_from = kind == ZP_WRITE_PIN && is_update;
	write->update_keeps_name = pin->name.length == 0;
	/* An expiry that has passed is not taken over by an update. */
	write->update_keeps_expiry = pin->expire_at_seconds <= now_us / 1000000;
	if (write->has_update_from)
		zp_key_of_cid(&pin->pin_update, 0, 0, &write->update_from);
	write->rc = 0;
	zp_err_clear(&write->err);
	zp_buf_clear(&write->result_texts);
	write->created_nanoseconds = 0;
	return kind == ZP_WRITE_PIN ? zp_pin_to_record(pin, 0, texts, &write->record, err) : 0;
}

static void
write_submit(struct api_call *call, enum zp_write_kind kind)
{
	int rc = api__write_fill(
	    &call->pin, kind, api__now_us(), &call->texts, &call->write, &call->err);

	if (rc < 0) {
		api__answer_failure(call, rc);
		return;
	}
	call->batch = (struct zp_write_batch){
	    .writes = &call->write,
	    .count = 1,
	    .done = write_done,
	    .late = api__write_late,
	    .context = call,
	};
	rc = zp_command_write(call->api->node, &call->batch, &call->err);
	if (rc < 0)
		api__answer_failure(call, rc);
}

void
api__pin(struct api_call *call)
{
	if (api__cid_take(call))
		write_submit(call, ZP_WRITE_PIN);
}

void
api__unpin(struct api_call *call)
{
	if (api__cid_take(call))
		write_submit(call, ZP_WRITE_UNPIN);
}

/* ---- Paths: only /ipfs/<cid> and /ipld/<cid> say which CID they mean ------------------------ */

/* "/ipfs/<cid>/a", as it is quoted in answers. */
static const char *
path_quote(struct api_call *call, struct zp_quoted *quoted)
{
	zp_buf_clear(&call->text);
	for (size_t i = 0; i < 2; i++) {
		zp_buf_append_byte(&call->text, '/');
		zp_buf_append_slice(&call->text, call->captures[i]);
	}
	return zp_quote(zp_buf_slice(&call->text), ZP_QUOTE_GO, quoted);
}

/* Parses the CID into call->pin.cid. False: answered. */
static bool
path_take(struct api_call *call)
{
	struct zp_slice type = call->captures[0], path = call->captures[1], root = path;
	struct zp_quoted quoted;
	const uint8_t *slash = path.length == 0 ? NULL : memchr(path.data, '/', path.length);
	int rc;

	if (slash != NULL)
		root.length = (size_t)(slash - path.data);
	if (!zp_slice_is(type, "ipns") && zp_cid_parse(root, &call->pin.cid, &call->err) < 0) {
		api__answer_error(call, 400, "error parsing path: invalid path %s: %s",
		    path_quote(call, &quoted), call->err.text);
		return false;
	}
	rc = api__options_read(&call->query, api__now_us(), &call->pin, &call->err);
	if (rc < 0) {
		api__answer_failure(call, rc);
		return false;
	}
	if (slash != NULL || zp_slice_is(type, "ipns")) {
		api__answer_error(call, 501,
		    "%s must be resolved by an IPFS daemon: path resolution comes with the IPFS "
		    "connector and is not in this release. Give the CID itself",
		    path_quote(call, &quoted));
		return false;
	}
	return true;
}

void
api__pin_path(struct api_call *call)
{
	if (path_take(call))
		write_submit(call, ZP_WRITE_PIN);
}

void
api__unpin_path(struct api_call *call)
{
	if (path_take(call))
		write_submit(call, ZP_WRITE_UNPIN);
}

/* ---- What needs Kubo ------------------------------------------------------------------------- */

/* Cuts the front up to the separator, or all of it, off `rest`; without the white space around. */
static struct zp_slice
part_take(struct zp_slice *rest, uint8_t separator)
{
	const uint8_t *at = rest->length == 0 ? NULL : memchr(rest->data, separator, rest->length);
	struct zp_slice part = *rest;

	if (at != NULL)
		part.length = (size_t)(at - rest->data);
	rest->data += part.length + (at != NULL);
	rest->length -= part.length + (at != NULL);
	while (part.length > 0 && (part.data[0] == ' ' || part.data[0] == '\t')) {
		part.data++;
		part.length--;
	}
	while (part.length > 0 &&
	       (part.data[part.length - 1] == ' ' || part.data[part.length - 1] == '\t'))
		part.length--;
	return part;
}

static bool
is_word(struct zp_slice text, const char *word)
{
	return text.length == strlen(word) &&
	       strncasecmp((const char *)text.data, word, text.length) == 0;
}

/* What Go's Request.MultipartReader would say of the Content-Type; NULL: it is one. */
static const char *
multipart_problem(struct zp_slice type)
{
	struct zp_slice kind = part_take(&type, ';');

	if (!is_word(kind, "multipart/form-data") && !is_word(kind, "multipart/mixed"))
		return "request Content-Type isn't multipart/form-data";
	while (type.length > 0) {
		struct zp_slice value = part_take(&type, ';');
		bool has_value = value.length > 0 && memchr(value.data, '=', value.length) != NULL;
		struct zp_slice name = part_take(&value, '=');

		if (is_word(name, "boundary") && value.length > 0)
			return NULL;
		if (name.length > 0 && (!has_value || value.length == 0))
			return "request Content-Type isn't multipart/form-data";
	}
	return "no multipart boundary param in Content-Type";
}

void
api__add(struct api_call *call)
{
	struct zp_slice type = {0};
	const char *problem;

	(void)zp_http_header(call->request, "Content-Type", &type);
	problem = multipart_problem(type);
	if (problem != NULL)
		api__answer_error(call, 400, "%s", problem);
	else
		api__answer_error(call, 501,
		    "adding content needs an IPFS daemon: it comes with the IPFS connector and is "
		    "not in "
		    "this release. Add it to IPFS and pin the CID");
}

void
api__gc(struct api_call *call)
{
	api__answer_error(call, 501,
	    "garbage collection needs an IPFS daemon: it comes with the IPFS connector and is not "
	    "in "
	    "this release");
}
