/*
 * radix.c - base58 and base36: bytes read as one big number.
 *
 * Flow: CIDs and peer ids, both ways. Owner: none; no state.
 *
 * Works on limbs and on groups of as many digits as fit into one, so a 34-byte CIDv0 is 9 limbs by
 * 10 groups instead of 34 bytes by 46 digits. Time grows with the square of the length, which
 * ZP_CID_BYTES_MAX bounds.
 */
#include "pin/pin_internal.h"

/* One number a line would hide the alphabets. */
/* clang-format off */
const struct pin__radix pin__base58btc = {
    .base = 58,
    .digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
    .values = {
	['1'] = 1, 2, 3, 4, 5, 6, 7, 8, 9,
	['A'] = 10, 11, 12, 13, 14, 15, 16, 17,
	['J'] = 18, 19, 20, 21, 22,
	['P'] = 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33,
	['a'] = 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44,
	['m'] = 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58,
    },
};

const struct pin__radix pin__base58flickr = {
    .base = 58,
    .digits = "123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ",
    .values = {
	['1'] = 1, 2, 3, 4, 5, 6, 7, 8, 9,
	['a'] = 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
	['m'] = 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34,
	['A'] = 35, 36, 37, 38, 39, 40, 41, 42,
	['J'] = 43, 44, 45, 46, 47,
	['P'] = 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58,
    },
};

const struct pin__radix pin__base36 = {
    .base = 36,
    .digits = "0123456789abcdefghijklmnopqrstuvwxyz",
    .values = {
	['0'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
	['A'] = 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
		24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36,
	['a'] = 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
		24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36,
    },
};
/* clang-format on */

#define ENCODE_LIMBS_MAX (ZP_CID_BYTES_MAX / 4 + 1) /* of 32 bits */
#define DECODE_LIMBS_MAX (ZP_CID_TEXT_MAX / 10 + 1) /* of 64 bits; a group adds at most one */

/* Big-endian limbs, the first one filled up with zeros in front. */
static size_t
limbs_of(struct zp_slice bytes, uint32_t *limbs)
{
	size_t count = (bytes.length + 3) / 4;
	size_t head = bytes.length % 4;
	size_t at = 0;

	if (head > 0) {
		limbs[0] = 0;
		for (; at < head; at++)
			limbs[0] = limbs[0] << 8 | bytes.data[at];
	}
	for (size_t i = head > 0 ? 1 : 0; i < count; i++, at += 4)
		limbs[i] = zp_load_u32be(bytes.data + at);
	return count;
}

/*
 * Writes the digits of the limbs backwards from `end` and returns where they begin. Inlined with
 * constants, which turns every division into a multiplication.
 */
static inline __attribute__((always_inline)) char *
digits_of(uint32_t *limbs, size_t count, char *end, const char *digits, uint32_t base,
    uint32_t group_digits, uint32_t group_base)
{
	size_t first = 0;

	while (first < count) {
		uint64_t rest = 0;

		for (size_t i = first; i < count; i++) {
			rest = rest << 32 | limbs[i];
			limbs[i] = (uint32_t)(rest / group_base);
			rest %= group_base;
		}
		if (limbs[first] == 0)
			first++;
		for (uint32_t i = 0; i < group_digits; i++) {
			*--end = digits[rest % base];
			rest /= base;
		}
	}
	return end;
}

void
pin__radix_encode(const struct pin__radix *radix, struct zp_slice bytes, struct zp_buf *text)
{
	uint32_t limbs[ENCODE_LIMBS_MAX];
	char out[ZP_CID_TEXT_MAX];
	char *end = out + sizeof(out);
	char *at;
	size_t zeros = 0, count;

	ZP_ASSERT(bytes.length <= ZP_CID_BYTES_MAX);
	while (zeros < bytes.length && bytes.data[zeros] == 0)
		zeros++;
	count = limbs_of(
	    (struct zp_slice){.data = bytes.data + zeros, .length = bytes.length - zeros}, limbs);
	if (radix->base == 58)
		at = digits_of(limbs, count, end, radix->digits, 58, 5, 656356768u);
	else
		at = digits_of(limbs, count, end, radix->digits, 36, 6, 2176782336u);
	while (at < end && *at == radix->digits[0])
		at++;
	for (size_t i = 0; i < zeros; i++)
		*--at = radix->digits[0];
	zp_buf_append(text, at, (size_t)(end - at));
}

/* number = number * factor + addend; returns the new count of limbs, lowest first. */
static size_t
multiply_add(uint64_t *limbs, size_t count, uint64_t factor, uint64_t addend)
{
	for (size_t i = 0; i < count; i++) {
		unsigned __int128 product = (unsigned __int128)limbs[i] * factor + addend;

		limbs[i] = (uint64_t)product;
		addend = (uint64_t)(product >> 64);
	}
	if (addend != 0)
		limbs[count++] = addend;
	return count;
}

/* `length` significant bytes of the number, highest first. */
static void
bytes_of(const uint64_t *limbs, size_t length, uint8_t *to)
{
	for (size_t i = 0; i < length; i++) {
		size_t place = length - 1 - i;

		to[i] = (uint8_t)(limbs[place / 8] >> (place % 8 * 8));
	}
}

enum pin__decoded
pin__radix_decode(const struct pin__radix *radix, struct zp_slice text, uint8_t *bytes_out,
    size_t *length_out, size_t *bad_out)
{
	const size_t group_digits = radix->base == 58 ? 10 : 12; /* the most that 64 bits hold */
	uint64_t limbs[DECODE_LIMBS_MAX];
	size_t count = 0, zeros = 0, length;

	if (text.length == 0)
		return PIN__BAD_LENGTH;
	if (text.length > ZP_CID_TEXT_MAX)
		return PIN__TOO_LONG;
	while (zeros < text.length && text.data[zeros] == radix->digits[0])
		zeros++;
	for (size_t at = zeros; at < text.length;) {
		uint64_t factor = 1, group = 0;

		for (size_t i = 0; i < group_digits && at < text.length; i++, at++) {
			uint8_t value = radix->values[text.data[at]];

			if (value == 0) {
				*bad_out = at;
				return PIN__NOT_A_DIGIT;
			}
			group = group * radix->base + value - 1;
			factor *= radix->base;
		}
		count = multiply_add(limbs, count, factor, group);
	}
	length = count * 8;
	if (count > 0)
		length -= (size_t)__builtin_clzll(limbs[count - 1]) / 8;
	if (zeros + length > ZP_CID_BYTES_MAX)
		return PIN__TOO_LONG;
	memset(bytes_out, 0, zeros);
	bytes_of(limbs, length, bytes_out + zeros);
	*length_out = zeros + length;
	return PIN__DECODED;
}
