/*
 * json_string.c - escapes in JSON strings.
 *
 * Flow: json.c finds where strings end, this file says what is in them. Owner: none; no state.
 */
#include "base/json_internal.h"

static int
hex_digit(uint8_t byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* The value of \uXXXX at `at`, or -1. */
static int32_t
unicode_escape(const uint8_t *at, const uint8_t *end)
{
	int32_t value = 0;

	if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
		return -1;
	for (size_t i = 2; i < 6; i++) {
		int digit = hex_digit(at[i]);

		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

size_t
json__escape_length(const uint8_t *at, const uint8_t *end)
{
	if (end - at < 2)
		return 0;
	switch (at[1]) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't':
		return 2;
	case 'u':
		return unicode_escape(at, end) < 0 ? 0 : 6;
	default:
		return 0;
	}
}

/* What one of the two-byte escapes stands for. */
static uint8_t
short_escape(uint8_t letter)
{
	switch (letter) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return letter;
	}
}

/* The character of \uXXXX at *at, with its second half where there is one; *at moves behind. */
static uint32_t
take_unicode(const uint8_t **at, const uint8_t *end)
{
	int32_t high = unicode_escape(*at, end);
	int32_t low;

	*at += 6;
	if (high < 0xd800 || high > 0xdfff)
		return (uint32_t)high;
	low = high <= 0xdbff ? unicode_escape(*at, end) : -1;
	if (low < 0xdc00 || low > 0xdfff)
		return 0xfffd;
	*at += 6;
	return 0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
}

size_t
zp_json_unescape(const struct zp_json_string *string, uint8_t *to)
{
	const uint8_t *at = string->raw.data;
	const uint8_t *end = at + string->raw.length;
	uint8_t *start = to;

	while (at < end) {
		const uint8_t *escape = memchr(at, '\\', (size_t)(end - at));
		size_t plain = (size_t)((escape != NULL ? escape : end) - at);

		memcpy(to, at, plain);
		to += plain;
		at += plain;
		if (escape == NULL)
			break;
		if (at[1] == 'u') {
			to += zp_utf8_encode(take_unicode(&at, end), to);
		} else {
			*to++ = short_escape(at[1]);
			at += 2;
		}
	}
	return (size_t)(to - start);
}

void
zp_json_string_append(const struct zp_json_string *string, struct zp_buf *buf)
{
	uint8_t *to;

	if (string->raw.length == 0)
		return;
	if (!string->has_escapes) {
		zp_buf_append_slice(buf, string->raw);
		return;
	}
	to = zp_buf_reserve(buf, string->raw.length);
	if (to != NULL)
		buf->length += zp_json_unescape(string, to);
}

bool
zp_json_string_is(const struct zp_json_string *string, const char *text)
{
	uint8_t value[256];

	if (!string->has_escapes)
		return zp_slice_is(string->raw, text);
	if (string->raw.length > sizeof(value))
		return false; /* none of the names that are asked for is so long */
	return zp_slice_is(
	    (struct zp_slice){.data = value, .length = zp_json_unescape(string, value)}, text);
}
