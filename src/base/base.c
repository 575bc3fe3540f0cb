/*
 * base.c - assertions, varints, allocation and hashing.
 *
 * Flow: used by every folder. Owner: any thread; no state.
 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

void
zp_assert_failed(const char *condition, const char *file, int line, const char *function)
{
	fprintf(stderr, "zpin: %s:%d: %s: assertion failed: %s\n", file, line, function, condition);
	fflush(stderr);
	abort();
}

/* Of up to 8 bytes, which are in the word. 0: it has more. */
static size_t
varint_of_word(uint64_t word, uint64_t *value_out)
{
	uint64_t ends = ~word & UINT64_C(0x8080808080808080);
	unsigned bits;

	if (ends == 0)
		return 0;
	bits = (unsigned)__builtin_ctzll(ends) + 1;
	word &= UINT64_MAX >> (64 - bits);
	if (bits > 8 && word >> (bits - 8) == 0)
		return 0; /* not minimal, which is told below */
	word &= UINT64_C(0x7f7f7f7f7f7f7f7f);
	word = (word & UINT64_C(0x7f007f007f007f)) | (word & UINT64_C(0x7f007f007f007f00)) >> 1;
	word = (word & UINT64_C(0x3fff00003fff)) | (word & UINT64_C(0x3fff00003fff0000)) >> 2;
	*value_out = (word & UINT64_C(0xfffffff)) | (word & UINT64_C(0xfffffff00000000)) >> 4;
	return bits / 8;
}

size_t
zp_varint_get_long(const uint8_t *from, size_t length, uint64_t *value_out)
{
	uint64_t value = 0;
	size_t bytes = length >= 8 ? varint_of_word(zp_load_u64le(from), value_out) : 0;

	if (bytes > 0)
		return bytes;

	for (size_t i = 0; i < length && i < 10; i++) {
		uint64_t bits = from[i] & 0x7f;

		if (i == 9 && from[i] > 1)
			return 0;
		value |= bits << (7 * i);
		if ((from[i] & 0x80) == 0) {
			if (i > 0 && from[i] == 0)
				return 0; /* not minimal: two encodings of one number */
			*value_out = value;
			return i + 1;
		}
	}
	return 0;
}

size_t
zp_varint_put_long(uint8_t *to, uint64_t value)
{
	size_t length = 0;

	while (value >= 0x80) {
		to[length++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	to[length++] = (uint8_t)value;
	return length;
}

void *
zp_alloc_check(void *block, size_t bytes)
{
	if (block == NULL && bytes != 0) {
		fprintf(stderr, "zpin: out of memory asking for %zu bytes\n", bytes);
		abort();
	}
	return block;
}

void *
zp_alloc(size_t bytes)
{
	return zp_alloc_check(malloc(bytes == 0 ? 1 : bytes), bytes);
}

void *
zp_alloc_zero(size_t count, size_t bytes)
{
	return zp_alloc_check(calloc(count == 0 ? 1 : count, bytes == 0 ? 1 : bytes), bytes);
}

void *
zp_realloc(void *block, size_t bytes)
{
	return zp_alloc_check(realloc(block, bytes == 0 ? 1 : bytes), bytes);
}

char *
zp_strdup(const char *text)
{
	size_t bytes = strlen(text) + 1;

	return memcpy(zp_alloc(bytes), text, bytes);
}

void
zp_free(void *block)
{
	free(block);
}

uint64_t
zp_hash64(const void *data, size_t length, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, length, seed);
}

struct zp_hash128
zp_hash128_of(const void *data, size_t length)
{
	XXH128_hash_t hash = XXH3_128bits(data, length);

	return (struct zp_hash128){.low = hash.low64, .high = hash.high64};
}
