/*
 * router.c - from method and path to a route. Pure.
 *
 * Flow: api.c cleans the path, then looks for the first route that fits. Owner: none.
 */
#include "api/api_internal.h"

/* ---- Matching ------------------------------------------------------------------------------- */

struct segments {
	const uint8_t *at;
	const uint8_t *end;
};

/* Both begin with a slash. False at the end. */
static bool
segment_next(struct segments *segments, struct zp_slice *segment_out)
{
	const uint8_t *slash;

	if (segments->at == segments->end)
		return false;
	segments->at++;
	slash = memchr(segments->at, '/', (size_t)(segments->end - segments->at));
	if (slash == NULL)
		slash = segments->end;
	segment_out->data = segments->at;
	segment_out->length = (size_t)(slash - segments->at);
	segments->at = slash;
	return true;
}

static bool
segment_fits(struct zp_slice pattern, struct zp_slice segment, struct zp_slice *capture)
{
	if (zp_slice_is(pattern, "*")) {
		*capture = segment;
		return segment.length > 0;
	}
	if (zp_slice_is(pattern, "@")) {
		*capture = segment;
		return zp_slice_is(segment, "ipfs") || zp_slice_is(segment, "ipns") ||
		       zp_slice_is(segment, "ipld");
	}
	return zp_slice_equal(pattern, segment);
}

static bool
is_capture(struct zp_slice pattern)
{
	return pattern.length == 1 && (pattern.data[0] == '*' || pattern.data[0] == '@');
}

static bool
pattern_fits(const char *pattern, struct zp_slice path, struct zp_slice captures[API_CAPTURES_MAX])
{
	struct zp_slice text = zp_slice_of(pattern), wanted, segment, capture = {0};
	struct segments patterns = {text.data, text.data + text.length};
	struct segments segments = {path.data, path.data + path.length};
	size_t captured = 0;

	while (segment_next(&patterns, &wanted)) {
		if (zp_slice_is(wanted, "**")) {
			if (segments.at == segments.end)
				return false;
			capture.data = segments.at + 1;
			capture.length = (size_t)(segments.end - capture.data);
			/* IPFS Cluster's "{path:.*}": a line's end is not in it. */
			if (memchr(capture.data, '\n', capture.length) != NULL)
				return false;
			ZP_ASSERT(captured < API_CAPTURES_MAX);
			captures[captured] = capture;
			return true;
		}
		if (!segment_next(&segments, &segment) || !segment_fits(wanted, segment, &capture))
			return false;
		if (is_capture(wanted)) {
			ZP_ASSERT(captured < API_CAPTURES_MAX);
			captures[captured++] = capture;
		}
	}
	return segments.at == segments.end;
}

int
api__route_find(const struct api_route *routes, size_t count, enum zp_http_method method,
    struct zp_slice path, const struct api_route **route_out,
    struct zp_slice captures_out[API_CAPTURES_MAX])
{
	int rc = ZP_E_NOT_FOUND;

	if (path.length == 0 || path.data[0] != '/')
		return rc;
	for (size_t i = 0; i < count; i++) {
		if (!pattern_fits(routes[i].pattern, path, captures_out))
			continue;
		if (routes[i].method == method) {
			*route_out = &routes[i];
			return 0;
		}
		rc = ZP_E_UNSUPPORTED;
	}
	return rc;
}

/* ---- Paths ---------------------------------------------------------------------------------- */

/* Drops the last segment with its slash, but never the root's. */
static void
segment_drop(struct zp_buf *path, size_t start)
{
	while (path->length > start && path->data[path->length - 1] != '/')
		path->length--;
	if (path->length > start)
		path->length--;
}

/* Go's path.Clean for rooted paths: no empty segment, no ".", and ".." goes up. */
static void
segments_clean(struct zp_slice path, struct zp_buf *clean)
{
	struct segments segments = {path.data, path.data + path.length};
	const size_t start = clean->length;
	struct zp_slice segment = {0};

	while (segment_next(&segments, &segment)) {
		if (segment.length == 0 || zp_slice_is(segment, "."))
			continue;
		if (zp_slice_is(segment, "..")) {
			segment_drop(clean, start);
			continue;
		}
		zp_buf_append_byte(clean, '/');
		zp_buf_append_slice(clean, segment);
	}
	/* A last slash stays: the path of a folder, which is answered with a redirect. */
	if (clean->length == start || path.data[path.length - 1] == '/')
		zp_buf_append_byte(clean, '/');
}

int
api__path_clean(struct zp_slice raw, struct zp_buf *path, bool *changed_out)
{
	ZP_AUTO_BUF(decoded, ZP_HTTP_HEAD_BYTES_MAX * 4);
	uint8_t *to = zp_buf_reserve(&decoded, raw.length + 1);
	struct zp_slice text = {0};
	int length;

	if (to == NULL)
		return ZP_E_TOO_LARGE;
	length = zp_http_unescape(raw, false, to);
	if (length < 0)
		return length;
	text = (struct zp_slice){to, (size_t)length};
	if (text.length == 0 || text.data[0] != '/') {
		zp_buf_append_slice(path, text); /* "*": no route has it */
		*changed_out = false;
		return 0;
	}
	segments_clean(text, path);
	*changed_out = !zp_slice_equal(zp_buf_slice(path), text);
	return 0;
}

void
api__path_escape(struct zp_slice path, struct zp_buf *text)
{
	static const char unescaped[] = "-_.~$&+,/:;=@";

	for (size_t i = 0; i < path.length; i++) {
		uint8_t byte = path.data[i];
		bool is_plain = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
				(byte >= 'A' && byte <= 'Z') ||
				(byte != '\0' && strchr(unescaped, byte) != NULL);

		if (is_plain)
			zp_buf_append_byte(text, byte);
		else
			zp_buf_printf(text, "%%%02X", byte);
	}
}
