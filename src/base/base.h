/*
 * base.h - the ground every folder stands on: errors, assertions, buffers, byte order, limits.
 *
 * Nothing here knows pins, files, threads or sockets.
 */
#ifndef ZP_BASE_BASE_H
#define ZP_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"

/* What our own code promised; always on. Never for bytes from outside: those are errors. */
#define ZP_ASSERT(condition)                                                        \
	do {                                                                        \
		if (__builtin_expect(!(condition), 0))                              \
			zp_assert_failed(#condition, __FILE__, __LINE__, __func__); \
	} while (0)

void zp_assert_failed(const char *condition, const char *file, int line, const char *function)
    __attribute__((noreturn, cold));

#define ZP_ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline uint64_t
zp_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t
zp_max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Fixed-width loads and stores at any alignment. Files are little endian; keys are big endian. */
static inline uint16_t
zp_load_u16le(const void *from)
{
	uint16_t v;
	memcpy(&v, from, sizeof(v));
	return v;
}

static inline uint32_t
zp_load_u32le(const void *from)
{
	uint32_t v;
	memcpy(&v, from, sizeof(v));
	return v;
}

static inline uint64_t
zp_load_u64le(const void *from)
{
	uint64_t v;
	memcpy(&v, from, sizeof(v));
	return v;
}

static inline uint32_t
zp_load_u32be(const void *from)
{
	return __builtin_bswap32(zp_load_u32le(from));
}

static inline uint64_t
zp_load_u64be(const void *from)
{
	return __builtin_bswap64(zp_load_u64le(from));
}

static inline void
zp_store_u16le(void *to, uint16_t v)
{
	memcpy(to, &v, sizeof(v));
}

static inline void
zp_store_u32le(void *to, uint32_t v)
{
	memcpy(to, &v, sizeof(v));
}

static inline void
zp_store_u64le(void *to, uint64_t v)
{
	memcpy(to, &v, sizeof(v));
}

static inline void
zp_store_u32be(void *to, uint32_t v)
{
	zp_store_u32le(to, __builtin_bswap32(v));
}

static inline void
zp_store_u64be(void *to, uint64_t v)
{
	zp_store_u64le(to, __builtin_bswap64(v));
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "zpin runs on little-endian machines");

/*
 * Unsigned LEB128, as in multiformats/unsigned-varint but up to 64 bits (10 bytes).
 * get: returns the bytes read, or 0 when truncated, not minimal or over 64 bits.
 * put: writes at most 10 bytes and returns how many.
 */
size_t zp_varint_get_long(const uint8_t *from, size_t length, uint64_t *value_out);
size_t zp_varint_put_long(uint8_t *to, uint64_t value);

/* Most numbers take one byte: those are not worth a call. */
static inline size_t
zp_varint_get(const uint8_t *from, size_t length, uint64_t *value_out)
{
	if (length == 0 || from[0] >= 0x80)
		return zp_varint_get_long(from, length, value_out);
	*value_out = from[0];
	return 1;
}

static inline size_t
zp_varint_put(uint8_t *to, uint64_t value)
{
	if (value >= 0x80)
		return zp_varint_put_long(to, value);
	to[0] = (uint8_t)value;
	return 1;
}

/* The same without a loop, for long ones: may touch 10 bytes whatever it returns. */
static inline size_t
zp_varint_put_wide(uint8_t *to, uint64_t value)
{
	unsigned bytes;

	if (value < 0x80) {
		to[0] = (uint8_t)value;
		return 1;
	}
	if (value >> 56 != 0)
		return zp_varint_put_long(to, value);
	bytes = (70u - (unsigned)__builtin_clzll(value)) / 7;
	/* Seven bits to a byte: halves apart, then quarters, then eighths. */
	value = (value & UINT64_C(0xfffffff)) | (value & UINT64_C(0xfffffff0000000)) << 4;
	value = (value & UINT64_C(0x3fff00003fff)) | (value & UINT64_C(0xfffc0000fffc000)) << 2;
	value = (value & UINT64_C(0x7f007f007f007f)) | (value & UINT64_C(0x3f803f803f803f80)) << 1;
	value |= UINT64_C(0x8080808080808080) >> (72 - 8 * bytes);
	zp_store_u64le(to, value);
	return bytes;
}

/* What zp_varint_put would write: a seventh of the bits, rounded up (9/64 is near enough to 1/7 up
 * to 64 bits). */
static inline size_t
zp_varint_bytes(uint64_t value)
{
	return (size_t)((64 - __builtin_clzll(value | 1)) * 9 + 64) / 64;
}

/*
 * A function that is compiled for several processors; which form runs is chosen at start, and all
 * give the same. Not under sanitizers, which are not there yet when that is chosen. A test of one
 * form names it, as ZP_FORM.
 */
#if defined(ZP_FORM)
#define ZP_CLONES __attribute__((target(ZP_FORM), optimize("O3")))
#elif defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ZP_CLONES __attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
#else
#define ZP_CLONES
#endif

/* Allocation that never returns NULL: the process ends with a message when memory is gone. Use only
 * for small things of bounded number; budgets refuse the rest before it comes to this. */
void *zp_alloc(size_t bytes) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void *zp_alloc_zero(size_t count, size_t bytes)
    __attribute__((malloc, returns_nonnull, alloc_size(1, 2)));
void *zp_realloc(void *block, size_t bytes) __attribute__((returns_nonnull, alloc_size(2)));
char *zp_strdup(const char *text) __attribute__((malloc, returns_nonnull));
void zp_free(void *block);
/* `block` when it is there; ends the process otherwise, as they do. */
void *zp_alloc_check(void *block, size_t bytes) __attribute__((returns_nonnull));
/* The same for megabytes that are touched all over: at the start of a cache line, in large pages
 * where there are any. Freed by zp_pages_free with the same size (NULL is allowed). */
void *zp_pages_alloc(size_t bytes) __attribute__((malloc, returns_nonnull, alloc_size(1)));
void zp_pages_free(void *block, size_t bytes);

/* XXH3 of libxxhash, wrapped so that only base includes it. */
uint64_t zp_hash64(const void *data, size_t length, uint64_t seed);
struct zp_hash128 {
	uint64_t low;
	uint64_t high;
};
struct zp_hash128 zp_hash128_of(const void *data, size_t length);

#endif
