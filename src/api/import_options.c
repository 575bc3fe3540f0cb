/*
 * import_options.c - the query of POST /import. Pure.
 */
#include "api/api_internal.h"
#include "api/import.h"

static int
flag_read(const struct api_query *query, const char *name, bool *value_out, struct zp_err *err)
{
	struct zp_slice text = api__query_get(query, name);

	*value_out = zp_slice_is(text, "true") || zp_slice_is(text, "1");
	if (!*value_out && text.length > 0 && !zp_slice_is(text, "false") &&
	    !zp_slice_is(text, "0"))
		return zp_fail(err, ZP_E_INVALID, "parameter %s invalid: true or false", name);
	return 0;
}

static int
allocations_read(struct zp_slice text, struct zp_import_options *options, struct zp_err *err)
{
	if (text.length == 0 || zp_slice_is(text, "keep"))
		options->allocations = ZP_IMPORT_ALLOCATIONS_KEEP;
	else if (zp_slice_is(text, "drop"))
		options->allocations = ZP_IMPORT_ALLOCATIONS_DROP;
	else if (zp_slice_is(text, "map"))
		options->allocations = ZP_IMPORT_ALLOCATIONS_MAP;
	else
		return zp_fail(
		    err, ZP_E_INVALID, "parameter allocations invalid: keep, drop or map");
	return 0;
}

/* One id of a pair, binary, behind what is in `ids`, which never moves. */
static int
map_id_read(struct zp_slice text, struct zp_buf *ids, struct zp_slice *id_out, struct zp_err *err)
{
	size_t before = ids->length;
	int rc = zp_peer_id_parse(text, ids, err);

	if (rc < 0)
		return zp_wrap(err, rc, "parameter map invalid");
	*id_out = (struct zp_slice){ids->data + before, ids->length - before};
	return 0;
}

static int
map_read(const struct api_query *query, struct api_import_options *import, struct zp_err *err)
{
	const size_t room = API_IMPORT_MAP_MAX * 2 * ZP_PEER_ID_BYTES_MAX;
	size_t count = 0;

	zp_buf_init(&import->ids, room);
	for (size_t i = 0; i < query->count; i++) {
		struct zp_slice pair = query->pairs[i].value, old = pair, new;
		const uint8_t *colon =
		    pair.length == 0 ? NULL : memchr(pair.data, ':', pair.length);
		int rc;

		if (!zp_slice_is(query->pairs[i].key, "map"))
			continue;
		if (colon == NULL)
			return zp_fail(err, ZP_E_INVALID, "parameter map invalid: OLD:NEW");
		if (count == API_IMPORT_MAP_MAX)
			return zp_fail(
			    err, ZP_E_TOO_LARGE, "more than %u pairs to map", API_IMPORT_MAP_MAX);
		if (count == 0 && zp_buf_reserve(&import->ids, room) == NULL)
			return zp_fail(err, ZP_E_MEMORY, "parameter map");
		old.length = (size_t)(colon - pair.data);
		new = (struct zp_slice){colon + 1, pair.length - old.length - 1};
		rc = map_id_read(old, &import->ids, &import->map[count][0], err);
		if (rc == 0)
			rc = map_id_read(new, &import->ids, &import->map[count][1], err);
		if (rc < 0)
			return rc;
		count++;
	}
	import->options.map = (const struct zp_slice(*)[2])import->map;
	import->options.map_count = count;
	if (count > 0 && import->options.allocations != ZP_IMPORT_ALLOCATIONS_MAP)
		return zp_fail(err, ZP_E_INVALID, "parameter map needs allocations=map");
	return 0;
}

int
api__origin_read(struct zp_slice text, uint8_t id_out[16], struct zp_err *err)
{
	bool is_zero = true;

	if (text.length != 32)
		return zp_fail(err, ZP_E_INVALID, "parameter origin invalid: 32 hex digits");
	for (size_t i = 0; i < 32; i++) {
		uint8_t byte = text.data[i];
		int digit = byte >= '0' && byte <= '9'   ? byte - '0'
			    : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
			    : byte >= 'A' && byte <= 'F' ? byte - 'A' + 10
							 : -1;

		if (digit < 0)
			return zp_fail(
			    err, ZP_E_INVALID, "parameter origin invalid: 32 hex digits");
		id_out[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : id_out[i / 2] | digit);
		is_zero &= digit == 0;
	}
	if (is_zero)
		return zp_fail(err, ZP_E_INVALID, "parameter origin invalid: all zero means none");
	return 0;
}

int
api__import_options_read(
    const struct api_query *query, struct api_import_options *import, struct zp_err *err)
{
	struct zp_slice origin = api__query_get(query, "origin");
	struct zp_slice lines = api__query_get(query, "lines_done");
	struct zp_import_options *options = &import->options;
	int rc = allocations_read(api__query_get(query, "allocations"), options, err);

	if (rc == 0)
		rc = map_read(query, import, err);
	if (rc == 0)
		rc = flag_read(query, "replace", &options->replace, err);
	if (rc == 0)
		rc = flag_read(query, "skip_bad", &options->skip_bad, err);
	if (rc == 0 && origin.length > 0)
		rc = api__origin_read(origin, options->origin.id, err);
	if (rc == 0 && lines.length > 0 &&
	    !api__decimal_read(lines, UINT64_MAX, &options->lines_done))
		rc = zp_fail(err, ZP_E_INVALID, "parameter lines_done invalid");
	return rc;
}
