/*
 * status.c - what has become of pins, for one, some or all.
 */
#include "api/api_internal.h"

static int
allocations_of(struct api_call *call, const struct zp_record *record, struct zp_slice *json_out,
    struct zp_err *err)
{
	return zp_tables_allocations_json(
	    zp_node_tables(call->node), record->facts[ZP_FACT_ALLOCATIONS], json_out, err);
}

/* Appends the status of call->pin.cid. One that is not in the pinset is unpinned, or ZP_E_NOT_FOUND
 * where it must be there. */
static int
status_of_cid(struct api_call *call, bool local, bool must_exist)
{
	struct api_status_pin pin = {
	    .cid = &call->pin.cid, .local = local, .now_us = api__now_us()};
	struct zp_record record;
	struct zp_key key;
	int rc;

	zp_key_of_cid(&call->pin.cid, 0, 0, &key);
	rc = zp_command_get(call->node, &key, call->scratch, &call->texts, &record, &call->err);
	if (rc == 0) {
		pin.record = &record;
		rc = allocations_of(call, &record, &pin.allocations, &call->err);
	} else if (rc == ZP_E_NOT_FOUND && !must_exist) {
		zp_err_clear(&call->err);
		rc = 0;
	}
	return rc < 0 ? rc : api__status_json(&call->api->self, &pin, &call->json, &call->err);
}

static void
status_answer(struct api_call *call, bool local, bool must_exist)
{
	int rc;

	if (!api__cid_take(call))
		return;
	rc = status_of_cid(call, local, must_exist);
	if (rc < 0)
		api__answer_failure(call, rc);
	else
		api__answer_json(call);
}

void
api__status(struct api_call *call)
{
	status_answer(call, api__query_is_true(&call->query, "local"), false);
}

/* Nothing can be tried again without a Kubo: the status is all there is to tell. Only the node
 * itself is strict about what it has, as in IPFS Cluster; asked for all peers, an absent pin is
 * unpinned on each. */
void
api__recover(struct api_call *call)
{
	bool local = api__query_is_true(&call->query, "local");

	status_answer(call, local, local);
}

/* Only what was queued again is listed, and nothing was. */
void
api__recover_all(struct api_call *call)
{
	api__answer_lines(call);
}

/* ---- Some: ?cids=a,b ------------------------------------------------------------------------ */

/* Appends lines to call->json up to about a piece; *rest is what is left of the list. */
static int
cids_step(struct api_call *call, struct zp_slice *rest)
{
	bool local = api__query_is_true(&call->query, "local");
	struct zp_slice item;
	int rc = 0;

	while (rc == 0 && call->json.length < ZP_HTTP_PIECE_BYTES && api__list_next(rest, &item)) {
		rc = zp_cid_parse(item, &call->pin.cid, &call->err);
		if (rc == 0)
			rc = status_of_cid(call, local, false);
		if (rc == 0)
			zp_buf_append_byte(&call->json, '\n');
	}
	return rc < 0 ? rc : zp_buf_check(&call->json, "the answer", &call->err);
}

struct cids_stream {
	struct api_call *call;
	struct zp_slice rest; /* of the query's list; data NULL: all is read */
};

static enum zp_http_produced
cids_produce(struct zp_http_request *request, void *context, struct zp_buf *out)
{
	struct cids_stream *stream = context;
	struct api_call *call = stream->call;
	int rc = 0;

	if (call->json.length == 0)
		rc = cids_step(call, &stream->rest);
	zp_buf_append_slice(out, zp_buf_slice(&call->json));
	zp_buf_clear(&call->json);
	if (rc == 0 && stream->rest.data != NULL)
		return ZP_HTTP_MORE;
	if (rc < 0)
		api__note_error(request, call->err.text);
	zp_http_trailer(request, API_STREAM_TRAILER,
	    rc < 0 ? zp_slice_of(call->err.text) : (struct zp_slice){0});
	return ZP_HTTP_DONE;
}

static void
cids_end(struct zp_http_request *request, void *context, bool sent)
{
	struct cids_stream *stream = context;

	(void)request;
	(void)sent;
	api__call_put(stream->call);
	zp_free(stream);
}

/* A list of some hundred CIDs may be of pins with 64 KiB each, so it is not gathered. */
static void
statuses_of_cids(struct api_call *call)
{
	struct zp_slice list = api__query_get(&call->query, "cids"), rest = list, item;
	struct zp_http_producer producer = {cids_produce, cids_end, NULL};
	struct cids_stream *stream;
	int rc;

	/* All must be good before one is answered. */
	while (api__list_next(&rest, &item)) {
		if (zp_cid_parse(item, &call->pin.cid, &call->err) == 0)
			continue;
		api__answer_error(call, 400, "error decoding Cid: %s", call->err.text);
		return;
	}
	rc = cids_step(call, &list);
	if (rc < 0) {
		api__answer_failure(call, rc);
		return;
	}
	stream = zp_alloc_zero(1, sizeof(*stream));
	*stream = (struct cids_stream){call, list};
	producer.context = stream;
	zp_http_answer_header_text(call->request, "Trailer", API_STREAM_TRAILER);
	api__headers_add(call, "application/json");
	zp_http_answer_stream(call->request, 200, &producer);
}

/* ---- All ------------------------------------------------------------------------------------ */

static int
status_print(struct api_call *call, const struct api_filter *filter, const struct zp_key *key,
    const struct zp_record *record, struct zp_buf *out, struct zp_err *err)
{
	struct api_status_pin pin = {
	    .cid = &call->pin.cid,
	    .record = record,
	    .local = api__query_is_true(&call->query, "local"),
	};
	int rc;

	if (!api__filter_matches(filter, record))
		return 0;
	rc = allocations_of(call, record, &pin.allocations, err);
	if (rc < 0)
		return rc;
	if (filter->statuses != 0 &&
	    (api__status_bits(&call->api->self, &pin) & filter->statuses) == 0)
		return 0;
	rc = zp_cid_of_record(key, record, &call->pin.cid, err);
	if (rc < 0)
		return rc;
	pin.now_us = api__now_us();
	rc = api__status_json(&call->api->self, &pin, out, err);
	if (rc < 0)
		return rc;
	zp_buf_append_byte(out, '\n');
	return 1;
}

void
api__statuses(struct api_call *call)
{
	static const struct api_list_options options = {
	    .print = status_print, .content_type = "application/json"};
	struct api_filter filter = {0};
	int rc;

	if (api__query_get(&call->query, "cids").length > 0) {
		statuses_of_cids(call);
		return;
	}
	rc = api__status_filter_parse(
	    api__query_get(&call->query, "filter"), &filter.statuses, &call->err);
	if (rc == 0)
		rc = api__filter_read(&call->query, &filter, &call->err);
	if (rc < 0)
		api__answer_failure(call, rc);
	else
		api__list(call, &filter, &options);
}
