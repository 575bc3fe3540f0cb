/*
 * utf8.c - UTF-8 by RFC 3629.
 *
 * Flow: the JSON reader and writer and the checks of stored texts. Owner: any thread; no state.
 */
#include "base/json.h"

#define HIGH_BITS 0x8080808080808080u

size_t
zp_utf8_decode(const uint8_t *at, const uint8_t *end, uint32_t *character_out)
{
	static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t character;
	size_t length;

	if (at == end)
		return 0;
	if (at[0] < 0x80) {
		*character_out = at[0];
		return 1;
	}
	if (at[0] >= 0xc2 && at[0] <= 0xdf) {
		length = 2;
		character = at[0] & 0x1f;
	} else if ((at[0] & 0xf0) == 0xe0) {
		length = 3;
		character = at[0] & 0x0f;
	} else if (at[0] >= 0xf0 && at[0] <= 0xf4) {
		length = 4;
		character = at[0] & 0x07;
	} else {
		return 0;
	}
	if ((size_t)(end - at) < length)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		character = character << 6 | (at[i] & 0x3f);
	}
	if (character < smallest[length] || character > 0x10ffff ||
	    (character >= 0xd800 && character <= 0xdfff))
		return 0;
	*character_out = character;
	return length;
}

size_t
zp_utf8_encode(uint32_t character, uint8_t to[4])
{
	ZP_ASSERT(character <= 0x10ffff);
	if (character < 0x80) {
		to[0] = (uint8_t)character;
		return 1;
	}
	if (character < 0x800) {
		to[0] = (uint8_t)(0xc0 | character >> 6);
		to[1] = (uint8_t)(0x80 | (character & 0x3f));
		return 2;
	}
	if (character < 0x10000) {
		to[0] = (uint8_t)(0xe0 | character >> 12);
		to[1] = (uint8_t)(0x80 | (character >> 6 & 0x3f));
		to[2] = (uint8_t)(0x80 | (character & 0x3f));
		return 3;
	}
	to[0] = (uint8_t)(0xf0 | character >> 18);
	to[1] = (uint8_t)(0x80 | (character >> 12 & 0x3f));
	to[2] = (uint8_t)(0x80 | (character >> 6 & 0x3f));
	to[3] = (uint8_t)(0x80 | (character & 0x3f));
	return 4;
}

bool
zp_utf8_is_valid(struct zp_slice text)
{
	const uint8_t *at = text.length > 0 ? text.data : (const uint8_t *)"";
	const uint8_t *end = at + text.length;

	while (at < end) {
		uint32_t character;
		size_t length;

		if (end - at >= 8 && (zp_load_u64le(at) & HIGH_BITS) == 0) {
			at += 8;
			continue;
		}
		/* The last few, with some of those before them: mostly all of them are ASCII. */
		if (end - at < 8 && text.length >= 8 && (zp_load_u64le(end - 8) & HIGH_BITS) == 0)
			return true;
		if (*at < 0x80) {
			at++;
			continue;
		}
		length = zp_utf8_decode(at, end, &character);
		if (length == 0)
			return false;
		at += length;
	}
	return true;
}
