/*
 * multibase.c - text to bytes in every base that go-multibase knows.
 *
 * Flow: CIDs, peer ids and certificate hashes. Owner: none; no state.
 *
 * Stricter than Go in one point: line ends inside base32 and base64 and bits that no byte uses are
 * refused, so that a text has one meaning and a CID one text in each base.
 */
#include "pin/pin_internal.h"

/* One number a line would hide the alphabets. */
/* clang-format off */
const uint8_t pin__base32_values[256] = {
    ['2'] = 27, 28, 29, 30, 31, 32,
    ['A'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
	    14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    ['a'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13,
	    14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
};

static const uint8_t base32hex_values[256] = {
    ['0'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
    ['A'] = 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32,
    ['a'] = 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32,
};

#define BASE64_LETTERS_AND_DIGITS \
	['A'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, \
		14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, \
	['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, \
		40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, \
	['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62

static const uint8_t base64_values[256] = {BASE64_LETTERS_AND_DIGITS, ['+'] = 63, ['/'] = 64};
static const uint8_t base64url_values[256] = {BASE64_LETTERS_AND_DIGITS, ['-'] = 63, ['_'] = 64};
const uint8_t pin__base64i2p_values[256] = {BASE64_LETTERS_AND_DIGITS, ['-'] = 63, ['~'] = 64};
/* clang-format on */

/* Eight base32 digits at a time: most CIDs are seven such blocks and two digits. Stops in front of
 * the first block with a bad digit; returns how many digits it took. */
static size_t
base32_blocks(const uint8_t *values, struct zp_slice text, uint8_t *to)
{
	size_t at = 0;

	for (; text.length - at >= 8; at += 8, to += 5) {
		uint64_t block = 0, seen = 0;

		/* Each digit for itself, so that none waits for the one before. */
#pragma GCC unroll 8
		for (size_t i = 0; i < 8; i++) {
			uint64_t value = (uint64_t)values[text.data[at + i]] - 1;

			seen |= value;
			block |= value << (35 - 5 * i);
		}
		if (seen > 31)
			break;
		block = __builtin_bswap64(block << 24);
		memcpy(to, &block, 5);
	}
	return at;
}

bool
pin__rfc4648_decode(const struct pin__rfc4648 *alphabet, struct zp_slice text, uint8_t *bytes_out,
    size_t *length_out, size_t *bad_out)
{
	const size_t block = alphabet->digit_bits == 5 ? 8 : 4;
	size_t digits = text.length;
	size_t length = 0, at = 0;
	unsigned bits = 0;
	uint32_t rest = 0;

	while (alphabet->is_padded && digits > 0 && text.length - digits < block - 1 &&
	       text.data[digits - 1] == '=')
		digits--;
	if (alphabet->digit_bits == 5 && bytes_out != NULL) {
		at = base32_blocks(alphabet->values,
		    (struct zp_slice){.data = text.data, .length = digits}, bytes_out);
		length = at / 8 * 5;
	}
	for (; at < digits; at++) {
		uint8_t value = alphabet->values[text.data[at]];

		if (value == 0) {
			*bad_out = at;
			return false;
		}
		rest = rest << alphabet->digit_bits | (uint32_t)(value - 1);
		bits += alphabet->digit_bits;
		if (bits >= 8) {
			bits -= 8;
			if (bytes_out != NULL)
				bytes_out[length] = (uint8_t)(rest >> bits);
			length++;
		}
	}
	*bad_out = digits;
	if (bits >= alphabet->digit_bits || (rest & ((1u << bits) - 1)) != 0)
		return false;
	if (alphabet->is_padded &&
	    (text.length % block != 0 || text.length - digits != (block - digits % block) % block))
		return false;
	*length_out = length;
	return true;
}

static int
decode_rfc4648(const struct pin__rfc4648 *alphabet, struct zp_slice text, uint8_t *bytes_out,
    size_t *length_out, struct zp_err *err)
{
	size_t bad;

	if (!pin__rfc4648_decode(alphabet, text, bytes_out, length_out, &bad))
		return zp_fail(
		    err, ZP_E_INVALID, "illegal %s data at input byte %zu", alphabet->name, bad);
	return ZP_OK;
}

static int
decode_radix(const struct pin__radix *radix, struct zp_slice text, uint8_t *bytes_out,
    size_t *length_out, struct zp_err *err)
{
	size_t bad;

	switch (pin__radix_decode(radix, text, bytes_out, length_out, &bad)) {
	case PIN__DECODED:
		return ZP_OK;
	case PIN__BAD_LENGTH:
		return zp_fail(err, ZP_E_INVALID, "%s",
		    radix->base == 58 ? "zero length string" : "can not decode zero-length string");
	case PIN__NOT_A_DIGIT:
		if (text.data[bad] >= 0x80 || text.data[bad] < 0x20)
			return zp_fail(err, ZP_E_INVALID, "invalid base%u digit at input byte %zu",
			    radix->base, bad);
		return zp_fail(err, ZP_E_INVALID, "invalid base%u %s ('%c')", radix->base,
		    radix->base == 58 ? "digit" : "character", text.data[bad]);
	case PIN__TOO_LONG:
		break;
	}
	return zp_fail(err, ZP_E_TOO_LARGE, "longer than %u bytes", ZP_CID_BYTES_MAX);
}

static int
hex_value(uint8_t byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* Go shows the byte as the character of that number. */
static int
hex_fail(uint8_t byte, struct zp_err *err)
{
	if (byte >= ' ' && byte < 0x7f)
		return zp_fail(
		    err, ZP_E_INVALID, "encoding/hex: invalid byte: U+%04X '%c'", byte, byte);
	if (byte > 0xa0 && byte != 0xad)
		return zp_fail(err, ZP_E_INVALID, "encoding/hex: invalid byte: U+%04X '%c%c'", byte,
		    0xc0 | byte >> 6, 0x80 | (byte & 0x3f));
	return zp_fail(err, ZP_E_INVALID, "encoding/hex: invalid byte: U+%04X", byte);
}

static int
decode_base16(struct zp_slice text, uint8_t *bytes_out, size_t *length_out, struct zp_err *err)
{
	for (size_t i = 0; i < text.length; i++) {
		int value = hex_value(text.data[i]);

		if (value < 0)
			return hex_fail(text.data[i], err);
		bytes_out[i / 2] = (uint8_t)(i % 2 == 0 ? value << 4 : bytes_out[i / 2] | value);
	}
	if (text.length % 2 != 0)
		return zp_fail(err, ZP_E_INVALID, "encoding/hex: odd length hex string");
	*length_out = text.length / 2;
	return ZP_OK;
}

/* The eight digits, with the zeros that were added in front, in which digit `at` is wrong. */
static int
base2_fail(struct zp_slice text, size_t missing, size_t at, struct zp_err *err)
{
	size_t first = (at + missing) / 8 * 8;
	struct zp_quoted quoted;
	uint8_t group[8];

	for (size_t i = 0; i < sizeof(group); i++)
		group[i] = first + i < missing ? '0' : text.data[first + i - missing];
	return zp_fail(err, ZP_E_INVALID,
	    "error while conversion: strconv.ParseInt: parsing %s: invalid syntax",
	    zp_quote((struct zp_slice){group, sizeof(group)}, ZP_QUOTE_GO, &quoted));
}

/* The first byte may have fewer than eight digits, as in go-multibase. */
static int
decode_base2(struct zp_slice text, uint8_t *bytes_out, size_t *length_out, struct zp_err *err)
{
	size_t missing = (8 - text.length % 8) % 8;

	for (size_t i = 0; i < text.length; i++) {
		size_t place = i + missing;

		if (text.data[i] != '0' && text.data[i] != '1')
			return base2_fail(text, missing, i, err);
		if (i == 0 || place % 8 == 0)
			bytes_out[place / 8] = 0;
		bytes_out[place / 8] |= (uint8_t)((text.data[i] - '0') << (7 - place % 8));
	}
	*length_out = (text.length + missing) / 8;
	return ZP_OK;
}

static int
decode_emoji(struct zp_slice text, uint8_t *bytes_out, size_t *length_out, struct zp_err *err)
{
	const uint8_t *at = text.data;
	const uint8_t *end = text.data + text.length;
	size_t length = 0;

	while (at < end) {
		uint32_t character;
		size_t bytes = zp_utf8_decode(at, end, &character);
		int value = bytes == 0 ? -1 : pin__emoji_value(character);

		if (value < 0)
			return zp_fail(err, ZP_E_INVALID,
			    "illegal base256emoji data at input byte %zu",
			    (size_t)(at - text.data));
		bytes_out[length++] = (uint8_t)value;
		at += bytes;
	}
	*length_out = length;
	return ZP_OK;
}

static const struct pin__rfc4648 *
rfc4648_of(uint8_t prefix)
{
	static const struct pin__rfc4648 base32 = {"base32", 5, false, pin__base32_values};
	static const struct pin__rfc4648 base32pad = {"base32", 5, true, pin__base32_values};
	static const struct pin__rfc4648 base32hex = {"base32", 5, false, base32hex_values};
	static const struct pin__rfc4648 base32hexpad = {"base32", 5, true, base32hex_values};
	static const struct pin__rfc4648 base64 = {"base64", 6, false, base64_values};
	static const struct pin__rfc4648 base64pad = {"base64", 6, true, base64_values};
	static const struct pin__rfc4648 base64url = {"base64", 6, false, base64url_values};
	static const struct pin__rfc4648 base64urlpad = {"base64", 6, true, base64url_values};

	switch (prefix) {
	case 'b':
	case 'B':
		return &base32;
	case 'c':
	case 'C':
		return &base32pad;
	case 'v':
	case 'V':
		return &base32hex;
	case 't':
	case 'T':
		return &base32hexpad;
	case 'm':
		return &base64;
	case 'M':
		return &base64pad;
	case 'u':
		return &base64url;
	case 'U':
		return &base64urlpad;
	default:
		return NULL;
	}
}

/* No base has more bytes than characters, so that the bound on characters is one on the output. */

static int
multibase_decode(struct zp_slice text, uint8_t *bytes_out, size_t *length_out, struct zp_err *err)
{
	static const uint8_t rocket[4] = {0xf0, 0x9f, 0x9a, 0x80}; /* the prefix of base256emoji */
	const struct pin__rfc4648 *alphabet;
	struct zp_slice rest;

	if (text.length == 0)
		return zp_fail(err, ZP_E_INVALID, "cannot decode multibase for zero length string");
	if (text.length > ZP_CID_TEXT_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE, "longer than %u characters", ZP_CID_TEXT_MAX);
	rest = (struct zp_slice){.data = text.data + 1, .length = text.length - 1};
	alphabet = rfc4648_of(text.data[0]);
	if (alphabet != NULL)
		return decode_rfc4648(alphabet, rest, bytes_out, length_out, err);
	switch (text.data[0]) {
	case 0:
		memcpy(bytes_out, rest.data, rest.length);
		*length_out = rest.length;
		return ZP_OK;
	case '0':
		return decode_base2(rest, bytes_out, length_out, err);
	case 'f':
	case 'F':
		return decode_base16(rest, bytes_out, length_out, err);
	case 'k':
	case 'K':
		return decode_radix(&pin__base36, rest, bytes_out, length_out, err);
	case 'z':
		return decode_radix(&pin__base58btc, rest, bytes_out, length_out, err);
	case 'Z':
		return decode_radix(&pin__base58flickr, rest, bytes_out, length_out, err);
	default:
		break;
	}
	if (text.length < 4 || memcmp(text.data, rocket, 4) != 0)
		return zp_fail(err, ZP_E_INVALID, "selected encoding not supported");
	return decode_emoji((struct zp_slice){.data = text.data + 4, .length = text.length - 4},
	    bytes_out, length_out, err);
}

int
pin__multibase_decode(struct zp_slice text, uint8_t bytes_out[PIN__MULTIBASE_ROOM],
    size_t *length_out, struct zp_err *err)
{
	size_t length;
	int rc = multibase_decode(text, bytes_out, &length, err);

	if (rc < 0)
		return rc;
	if (length > ZP_CID_BYTES_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE, "longer than %u bytes", ZP_CID_BYTES_MAX);
	*length_out = length;
	return ZP_OK;
}

void
pin__base32_encode(struct zp_slice bytes, struct zp_buf *text)
{
	static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
	size_t length = (bytes.length * 8 + 4) / 5;
	uint8_t *to = zp_buf_reserve(text, length);
	size_t at = 0;

	if (to == NULL)
		return;
	text->length += length;
	for (; bytes.length - at >= 5; at += 5, to += 8) {
		uint64_t block = (uint64_t)zp_load_u32be(bytes.data + at) << 8 | bytes.data[at + 4];

#pragma GCC unroll 8
		for (unsigned i = 0; i < 8; i++)
			to[i] = (uint8_t)digits[block >> (35 - 5 * i) & 31];
	}
	for (unsigned bits = 0, rest = 0; at < bytes.length || bits > 0;) {
		if (bits < 5 && at < bytes.length) {
			rest = rest << 8 | bytes.data[at++];
			bits += 8;
		} else if (bits < 5) {
			rest <<= 5 - bits;
			bits = 5;
		}
		bits -= 5;
		*to++ = (uint8_t)digits[rest >> bits & 31];
	}
}

void
pin__base64url_encode(struct zp_slice bytes, struct zp_buf *text)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned bits = 0, rest = 0;

	for (size_t at = 0; at < bytes.length; at++) {
		rest = rest << 8 | bytes.data[at];
		for (bits += 8; bits >= 6; bits -= 6)
			zp_buf_append_byte(text, (uint8_t)digits[rest >> (bits - 6) & 63]);
	}
	if (bits > 0)
		zp_buf_append_byte(text, (uint8_t)digits[rest << (6 - bits) & 63]);
}
