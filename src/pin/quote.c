/*
 * quote.c - a user's text in a message, quoted as Go does it.
 *
 * Flow: messages about multiaddresses, times, durations and paths, which are IPFS Cluster's word
 * for word. Owner: none; no state.
 */
#include "pin/pin_internal.h"

#include <stdio.h>

/* Those that look like nothing, or change the line they stand in. Go asks Unicode's whole table. */
static bool
is_printable(uint32_t character)
{
	static const uint32_t hidden[][2] = {{0, 0x1f}, {0x7f, 0xa0}, {0xad, 0xad},
	    {0x1680, 0x1680}, {0x2000, 0x200f}, {0x2028, 0x202f}, {0x205f, 0x206f},
	    {0x3000, 0x3000}, {0xd800, 0xf8ff}, {0xfeff, 0xfeff}, {0xfff0, 0xfffb},
	    {0xfffe, 0xffff}, {0xe0000, 0x10ffff}};

	for (size_t i = 0; i < ZP_ARRAY_COUNT(hidden); i++)
		if (character >= hidden[i][0] && character <= hidden[i][1])
			return false;
	return true;
}

/* At most 10 characters: \U0010ffff. */
static int
escape(uint32_t character, char *to, size_t room)
{
	static const char letters[] = "abtnvfr"; /* 7 to 13 */

	if (character == '"' || character == '\\')
		return snprintf(to, room, "\\%c", (char)character);
	if (character >= 7 && character <= 13)
		return snprintf(to, room, "\\%c", letters[character - 7]);
	if (character < 0x80)
		return snprintf(to, room, "\\x%02x", character);
	return snprintf(to, room, character < 0x10000 ? "\\u%04x" : "\\U%08x", character);
}

static int
escape_bytes(const uint8_t *bytes, size_t count, char *to, size_t room)
{
	int length = 0;

	for (size_t i = 0; i < count; i++)
		length += snprintf(to + length, room - (size_t)length, "\\x%02x", bytes[i]);
	return length;
}

const char *
zp_quote(struct zp_slice text, enum zp_quote_style style, struct zp_quoted *quoted)
{
	const uint8_t *at = text.data;
	const uint8_t *end = text.data + zp_min_u64(text.length, ZP_QUOTED_BYTES_MAX);
	size_t length = 0;

	quoted->text[length++] = '"';
	while (at < end) {
		char *to = quoted->text + length;
		size_t room = sizeof(quoted->text) - length;
		uint32_t character;
		size_t bytes = zp_utf8_decode(at, end, &character);
		bool is_plain;

		/* A character that the limit cuts is left out. */
		if (bytes == 0 && (size_t)(end - at) < 4 && end < text.data + text.length &&
		    zp_utf8_decode(at, text.data + text.length, &character) > 0)
			break;
		is_plain = bytes > 0 && character != '"' && character != '\\' &&
			   (style == ZP_QUOTE_TIME ? character >= ' ' && character < 0x80
						   : is_printable(character));
		if (is_plain)
			memcpy(to, at, bytes);
		if (is_plain)
			length += bytes;
		else if (bytes == 0 ||
			 (style == ZP_QUOTE_TIME && character != '"' && character != '\\'))
			length += (size_t)escape_bytes(at, bytes == 0 ? 1 : bytes, to, room);
		else
			length += (size_t)escape(character, to, room);
		at += bytes == 0 ? 1 : bytes;
	}
	quoted->text[length++] = '"';
	quoted->text[length] = '\0';
	return quoted->text;
}
