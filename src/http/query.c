/*
 * query.c - the target taken apart: path segments and query pairs, percent-decoded.
 *
 * Flow:  api walks them while it routes and reads parameters.
 * Owner: the worker of the request. A decoded part stands in the request's own room, behind the
 *        head, at the offset its raw form has in the target: decoding never grows, so it fits, and
 *        walking twice writes the same bytes to the same place.
 */
#include "http/http_internal.h"

static int
hex_of(uint8_t byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

int
zp_http_unescape(struct zp_slice raw, bool plus_is_space, uint8_t *to)
{
	size_t length = 0;

	for (size_t i = 0; i < raw.length; i++) {
		uint8_t byte = raw.data[i];

		if (byte == '%') {
			int high = raw.length - i > 2 ? hex_of(raw.data[i + 1]) : -1;
			int low = high >= 0 ? hex_of(raw.data[i + 2]) : -1;

			if (low < 0)
				return ZP_E_INVALID;
			byte = (uint8_t)(high << 4 | low);
			i += 2;
		} else if (byte == '+' && plus_is_space) {
			byte = ' ';
		}
		to[length++] = byte;
	}
	return (int)length;
}

/* Decodes a part of the target; where nothing is escaped it is its own decoded form. */
static int
target_decode(struct zp_http_request *request, struct zp_slice raw, bool plus_is_space,
    struct zp_slice *decoded_out)
{
	struct zp_slice target = http__request_slice(request, request->head.target);
	uint8_t *to;
	int length;

	if (memchr(raw.data, '%', raw.length) == NULL &&
	    (!plus_is_space || memchr(raw.data, '+', raw.length) == NULL)) {
		*decoded_out = raw;
		return 0;
	}
	to = request->bytes + request->head.length + (raw.data - target.data);
	length = zp_http_unescape(raw, plus_is_space, to);
	if (length < 0)
		return length;
	*decoded_out = (struct zp_slice){.data = to, .length = (size_t)length};
	return 0;
}

static struct zp_slice
slice_cut(struct zp_slice slice, size_t from, size_t to)
{
	return (struct zp_slice){.data = slice.data + from, .length = to - from};
}

/* The index of the first `byte` at or after `from`, or the length. */
static size_t
slice_find(struct zp_slice slice, size_t from, uint8_t byte)
{
	const uint8_t *at = memchr(slice.data + from, byte, slice.length - from);

	return at == NULL ? slice.length : (size_t)(at - slice.data);
}

int
zp_http_path_next(struct zp_http_request *request, size_t *position, struct zp_slice *segment_out)
{
	struct zp_slice path = zp_http_path(request);
	size_t end;
	int rc;

	/* position counts the slash or end that was passed; "*" has no slash and no segments. */
	if (path.data[0] != '/' || *position >= path.length)
		return ZP_END;
	end = slice_find(path, *position + 1, '/');
	if (request->head.path.length == 0) {
		*segment_out = (struct zp_slice){.data = path.data};
		*position = end;
		return 0;
	}
	rc = target_decode(request, slice_cut(path, *position + 1, end), false, segment_out);
	*position = end;
	return rc;
}

int
zp_http_query_next(struct zp_http_request *request, size_t *position, struct zp_slice *key_out,
    struct zp_slice *value_out)
{
	struct zp_slice query = zp_http_query(request);

	while (*position < query.length) {
		size_t from = *position;
		size_t end = slice_find(query, from, '&');
		struct zp_slice pair = slice_cut(query, from, end);
		size_t equals = slice_find(pair, 0, '=');
		size_t value = zp_min_u64(equals + 1, pair.length);
		struct zp_slice key;

		*position = end + 1;
		if (pair.length == 0 || slice_find(pair, 0, ';') < pair.length)
			continue;
		if (target_decode(request, slice_cut(pair, 0, equals), true, &key) < 0 ||
		    target_decode(request, slice_cut(pair, value, pair.length), true, value_out) <
			0)
			continue;
		*key_out = key;
		return 0;
	}
	return ZP_END;
}

bool
zp_http_query_get(struct zp_http_request *request, const char *key, struct zp_slice *value_out)
{
	struct zp_slice pair_key;
	struct zp_slice value;
	size_t position = 0;

	while (zp_http_query_next(request, &position, &pair_key, &value) == 0) {
		if (zp_slice_is(pair_key, key)) {
			*value_out = value;
			return true;
		}
	}
	return false;
}
