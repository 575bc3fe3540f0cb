/*
 * pin_lines.c - pins from the lines of an export, of which each looks much like the one before.
 *
 * Flow: import reads its lines with it. Owner: the reader's.
 *
 * A line of `state export` differs from the next mostly in name, CID and timestamp. So a line that
 * was read member by member is kept, with the places of these three strings; where all the bytes
 * around them are the same in the next line, a reader of JSON would take the same steps and come to
 * the same values, and only the three strings are read. Any other line is read member by member.
 */
#include "pin/pin_internal.h"

#define LIKE_BYTES_MAX 4096u /* longer lines are not kept: they are mostly what differs */

void
zp_pin_lines_init(struct zp_pin_lines *lines)
{
	zp_pin_init(&lines->pin);
	zp_buf_init(&lines->like, LIKE_BYTES_MAX);
}

void
zp_pin_lines_reset(struct zp_pin_lines *lines)
{
	zp_pin_reset(&lines->pin);
	zp_buf_clear(&lines->like);
}

void
zp_pin_lines_done(struct zp_pin_lines *lines)
{
	zp_pin_done(&lines->pin);
	zp_buf_done(&lines->like);
}

static size_t
part_begin(const struct zp_pin_lines *lines, size_t part)
{
	return part == 0 ? 0 : lines->own[part - 1].end;
}

static size_t
part_end(const struct zp_pin_lines *lines, size_t part)
{
	return part == ZP_PIN_LINE_OWN ? lines->like.length : lines->own[part].begin;
}

/* What all lines of the kind have in this place. */
static bool
part_take(const struct zp_pin_lines *lines, size_t part, struct zp_slice *left)
{
	size_t begin = part_begin(lines, part), length = part_end(lines, part) - begin;

	if (left->length < length || memcmp(left->data, lines->like.data + begin, length) != 0)
		return false;
	*left = (struct zp_slice){left->data + length, left->length - length};
	return true;
}

static bool
string_take(struct zp_slice *left, struct zp_slice *value_out)
{
	struct zp_json_string string;
	struct zp_json json;
	size_t length;

	zp_json_init(&json, *left);
	if (left->length == 0 || left->data[0] != '"' ||
	    zp_json_read_string(&json, &string, NULL) < 0 || string.has_escapes)
		return false;
	length = string.raw.length + 2;
	*value_out = string.raw;
	*left = (struct zp_slice){left->data + length, left->length - length};
	return true;
}

/* False: the line is of another kind, or one of its own strings is not what it should be. */
static bool
like_read(struct zp_pin_lines *lines, struct zp_slice line)
{
	struct zp_slice own[ZP_PIN_LINE_OWN];
	struct zp_pin *pin = &lines->pin;

	if (lines->like.length == 0)
		return false;
	for (size_t part = 0; part < ZP_PIN_LINE_OWN; part++) {
		if (!part_take(lines, part, &line) || !string_take(&line, &own[part]))
			return false;
	}
	if (!part_take(lines, ZP_PIN_LINE_OWN, &line) || line.length > 0)
		return false;
	pin->name = own[0];
	return zp_cid_parse(own[1], &pin->cid, NULL) == ZP_OK &&
	       zp_time_parse(own[2], &pin->created_seconds, &pin->created_nanoseconds, NULL) ==
		   ZP_OK;
}

int
zp_pin_lines_read(struct zp_pin_lines *lines, struct zp_slice line, struct zp_err *err)
{
	struct pin__places places;
	int rc;

	if (like_read(lines, line))
		return ZP_OK;
	zp_buf_clear(&lines->like);
	zp_buf_append_slice(&lines->like, line);
	if (lines->like.overflow) {
		zp_buf_clear(&lines->like);
		return zp_pin_from_json(line, &lines->pin, err);
	}
	line = zp_buf_slice(&lines->like); /* the pin borrows from it while it is the pattern */
	rc = pin__from_json(line, &lines->pin, &places, err);
	if (rc < 0 || places.found != ZP_PIN_LINE_OWN || !places.is_usual) {
		lines->like.length = 0; /* its bytes stay, for the pin's sake */
		return rc;
	}
	for (size_t i = 0; i < ZP_PIN_LINE_OWN; i++)
		lines->own[i] = places.own[i];
	return ZP_OK;
}
