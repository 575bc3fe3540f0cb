/*
 * track.c - what a row of a pin's status at one peer may be.
 *
 * Flow: see pin.h. Owner: none, no state. Format: docs/formats.md, "Track".
 */
#include "base/json.h"
#include "pin/pin_internal.h"

void
zp_track_texts(struct zp_slice cid, struct zp_slice error, struct zp_buf *texts)
{
	uint8_t cut[ZP_TRACK_ERROR_BYTES_MAX];
	const uint8_t *from = error.data, *end = error.data + error.length;
	size_t length = 0;

	if (cid.length > 0)
		pin__text_append(texts, ZP_TEXT_CID, cid);
	while (from < end) {
		uint32_t character;
		size_t bytes = zp_utf8_decode(from, end, &character);
		const uint8_t *what = bytes == 0 ? (const uint8_t *)"?" : from;

		bytes = zp_max_u64(bytes, 1); /* a daemon may answer anything */
		if (bytes > sizeof(cut) - length)
			break;
		memcpy(cut + length, what, bytes);
		length += bytes;
		from += bytes;
	}
	if (length > 0)
		pin__text_append(texts, ZP_TEXT_ERROR, (struct zp_slice){cut, length});
}

/* Each text at most once, the CID first: as it is in records. */
static const char *
texts_problem(struct zp_slice texts, bool needs_cid)
{
	bool has_cid = false;
	uint8_t last_tag = 0;
	size_t position = 0;

	while (position < texts.length) {
		const char *problem = NULL;
		struct zp_slice value;
		uint8_t tag;

		if (!pin__text_read(texts, &position, &tag, &value))
			return "texts are cut off";
		if (tag <= last_tag)
			return "texts are out of order";
		if (tag == ZP_TEXT_CID)
			problem = pin__text_cid_problem(value);
		else if (tag != ZP_TEXT_ERROR)
			problem = "a text is unknown";
		else if (value.length == 0 || value.length > ZP_TRACK_ERROR_BYTES_MAX)
			problem = "the error's length is impossible";
		else if (!zp_utf8_is_valid(value))
			problem = "the error is invalid UTF-8";
		if (problem != NULL)
			return problem;
		has_cid |= tag == ZP_TEXT_CID;
		last_tag = tag;
	}
	return has_cid == needs_cid ? NULL : "its CID is kept where the key holds it, or missing";
}

int
zp_track_check(const struct zp_track *track, uint8_t kind, struct zp_err *err)
{
	const char *problem;

	if (track->peer == 0)
		return zp_fail(err, ZP_E_CORRUPT, "track: peer 0");
	if (track->status == 0 || track->status >= ZP_TRACK_STATUS_COUNT)
		return zp_fail(err, ZP_E_CORRUPT, "track: status %u is unknown", track->status);
	problem = texts_problem(track->texts, kind == ZP_KIND_OTHER);
	return problem == NULL ? ZP_OK : zp_fail(err, ZP_E_CORRUPT, "track: %s", problem);
}

struct zp_slice
zp_track_error(const struct zp_track *track)
{
	struct zp_slice value;
	enum zp_text_tag tag;
	size_t position = 0;

	while (zp_texts_next(track->texts, &position, &tag, &value) == ZP_OK) {
		if (tag == ZP_TEXT_ERROR)
			return value;
	}
	return (struct zp_slice){0};
}
