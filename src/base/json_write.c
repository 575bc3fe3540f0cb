/*
 * json_write.c - prints JSON as Go's encoding/json does by default (Go 1.22 and later).
 *
 * Flow: every answer and export line. Owner: the buffer's; no state.
 */
#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char hex_digits[] = "0123456789abcdef";

/* What follows the backslash for bytes that can't stand for themselves: 0 for those that can, 'u'
 * for \u00XX, 'x' for bytes from 0x80 on, which are looked at as characters. */
static const char escape_of[256] = {
    [0 ... 7] = 'u',
    ['\b'] = 'b',
    ['\t'] = 't',
    ['\n'] = 'n',
    [0x0b] = 'u',
    ['\f'] = 'f',
    ['\r'] = 'r',
    [0x0e ... 0x1f] = 'u',
    ['"'] = '"',
    ['\\'] = '\\',
    ['<'] = 'u',
    ['>'] = 'u',
    ['&'] = 'u',
    [0x80 ... 0xff] = 'x',
};

static void
put_plain_run(struct zp_buf *buf, const uint8_t *start, const uint8_t *end)
{
	if (end > start)
		zp_buf_append(buf, start, (size_t)(end - start));
}

static void
put_escape(struct zp_buf *buf, uint8_t byte)
{
	char escape = escape_of[byte];

	if (escape == 'u') {
		char text[6] = {'\\', 'u', '0', '0', hex_digits[byte >> 4], hex_digits[byte & 15]};

		zp_buf_append(buf, text, sizeof(text));
	} else {
		zp_buf_append(buf, (char[2]){'\\', escape}, 2);
	}
}

void
zp_json_put_string(struct zp_buf *buf, struct zp_slice value)
{
	const uint8_t *at = value.length > 0 ? value.data : (const uint8_t *)"";
	const uint8_t *end = at + value.length;
	const uint8_t *plain = at; /* not appended yet */

	zp_buf_append_byte(buf, '"');
	while (at < end) {
		uint32_t character;
		size_t length;

		if (escape_of[*at] == 0) {
			at++;
			continue;
		}
		if (escape_of[*at] != 'x') {
			put_plain_run(buf, plain, at);
			put_escape(buf, *at);
			plain = ++at;
			continue;
		}
		length = zp_utf8_decode(at, end, &character);
		if (length != 0 && character != 0x2028 && character != 0x2029) {
			at += length;
			continue;
		}
		put_plain_run(buf, plain, at);
		zp_buf_append_text(buf, length == 0           ? "\\ufffd"
					: character == 0x2028 ? "\\u2028"
							      : "\\u2029");
		at += length == 0 ? 1 : length;
		plain = at;
	}
	put_plain_run(buf, plain, at);
	zp_buf_append_byte(buf, '"');
}

void
zp_json_put_text(struct zp_buf *buf, const char *value)
{
	zp_json_put_string(buf, zp_slice_of(value));
}

/* digits[0].digits[1]digits[2]… × 10^exponent without an exponent. */
static void
put_plain(struct zp_buf *buf, const char *digits, int count, int exponent)
{
	if (exponent < 0) {
		zp_buf_append_text(buf, "0.");
		for (int i = -1; i > exponent; i--)
			zp_buf_append_byte(buf, '0');
		zp_buf_append(buf, digits, (size_t)count);
		return;
	}
	for (int i = 0; i < count || i <= exponent; i++) {
		if (i == exponent + 1)
			zp_buf_append_byte(buf, '.');
		zp_buf_append_byte(buf, i < count ? (uint8_t)digits[i] : '0');
	}
}

void
zp_json_put_double(struct zp_buf *buf, double value)
{
	double magnitude = fabs(value);
	char text[32], *exponent_text;
	int count, exponent;

	if (!isfinite(value)) {
		zp_buf_append_text(buf, "null");
		return;
	}
	/* The fewest digits that read back as the same number. */
	for (count = 1; count <= 17; count++) {
		snprintf(text, sizeof(text), "%.*e", count - 1, magnitude);
		if (strtod(text, NULL) == magnitude)
			break;
	}
	exponent_text = strchr(text, 'e');
	exponent = (int)strtol(exponent_text + 1, NULL, 10);
	if (signbit(value))
		zp_buf_append_byte(buf, '-');
	if (value == 0 || (magnitude >= 1e-6 && magnitude < 1e21)) {
		if (count > 1)
			memmove(text + 1, text + 2, (size_t)count - 1); /* the point */
		put_plain(buf, text, count, exponent);
		return;
	}
	/* Go prints e+21 and e-7, where C has e-07. */
	zp_buf_append(buf, text, (size_t)(exponent_text + 2 - text));
	zp_buf_append_decimal(buf, exponent < 0 ? -exponent : exponent);
}

void
zp_json_put_bool(struct zp_buf *buf, bool value)
{
	zp_buf_append_text(buf, value ? "true" : "false");
}

void
zp_json_put_comma(struct zp_buf *buf)
{
	uint8_t last = buf->length > 0 ? buf->data[buf->length - 1] : '{';

	if (last != '{' && last != '[')
		zp_buf_append_byte(buf, ',');
}

void
zp_json_put_name(struct zp_buf *buf, const char *name)
{
	zp_json_put_comma(buf);
	zp_json_put_text(buf, name);
	zp_buf_append_byte(buf, ':');
}
