/*
 * allocations.c - the pinset as it is stored: one pin, all, or all for a file.
 */
#include "api/api_internal.h"

static int
accesses_show(struct api_call *call, const struct zp_key *key)
{
	struct zp_accesses accesses;
	int rc = zp_command_accesses_get(call->node, key, &accesses, &call->err);

	if (rc == 0)
		api__accesses_append(&accesses, &call->json);
	return rc;
}

void
api__allocation(struct api_call *call)
{
	struct zp_record record;
	struct zp_key key;
	int rc;

	if (!api__cid_take(call))
		return;
	zp_key_of_cid(&call->pin.cid, 0, 0, &key);
	rc = zp_command_get(call->node, &key, call->scratch, &call->texts, &record, &call->err);
	if (rc == 0)
		rc = api__pin_json(call, &key, &record, NULL, &call->json, &call->err);
	if (rc == 0 && api__query_is_true(&call->query, "access"))
		rc = accesses_show(call, &key);
	if (rc < 0)
		api__answer_failure(call, rc);
	else
		api__answer_json(call);
}

static int
pin_print(struct api_call *call, const struct api_filter *filter, const struct zp_key *key,
    const struct zp_record *record, struct zp_buf *out, struct zp_err *err)
{
	int rc;

	if (!api__filter_matches(filter, record))
		return 0;
	rc = api__pin_json(call, key, record, NULL, out, err);
	if (rc < 0)
		return rc;
	zp_buf_append_byte(out, '\n');
	return 1;
}

void
api__allocations(struct api_call *call)
{
	static const struct api_list_options options = {
	    .print = pin_print, .content_type = "application/json"};
	struct api_filter filter = {0};
	int rc = api__type_filter_parse(
	    api__query_get(&call->query, "filter"), &filter.types, &call->err);

	filter.with_accesses = api__query_is_true(&call->query, "access");
	if (rc == 0)
		rc = api__filter_read(&call->query, &filter, &call->err);
	if (rc < 0)
		api__answer_failure(call, rc);
	else
		api__list(call, &filter, &options);
}

/* What `state export` writes, which is what a listing has too; but it is a file, and may be empty.
 */
void
api__export(struct api_call *call)
{
	static const struct api_list_options options = {
	    .print = pin_print, .content_type = "application/x-ndjson", .empty_is_200 = true};
	const struct api_filter filter = {
	    .with_accesses = api__query_is_true(&call->query, "access")};

	api__list(call, &filter, &options);
}
