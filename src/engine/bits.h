/*
 * bits.h - numbers of any width in a string of bits, least significant bit first.
 *
 * Flow: under the blocks of a segment (segment_block.c, column.c); private to engine/. Pure.
 * Room: a read or a write touches up to BITS_SLACK bytes from the byte of its first bit on, so
 * every bit string has that many bytes of our own memory behind its end.
 */
#ifndef ZP_ENGINE_BITS_H
#define ZP_ENGINE_BITS_H

#include "base/base.h"

#define BITS_SLACK 16u

/* The lowest `width` bits set; 0 to 64. */
static inline uint64_t
bits_mask(unsigned width)
{
	return width >= 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
}

/* How many bits `value` needs; 0 for 0. */
static inline unsigned
bits_needed(uint64_t value)
{
	return value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value);
}

/* How many bits are set; without an instruction that the oldest processors lack. */
static inline unsigned
bits_count(uint64_t value)
{
	value -= value >> 1 & UINT64_C(0x5555555555555555);
	value =
	    (value & UINT64_C(0x3333333333333333)) + (value >> 2 & UINT64_C(0x3333333333333333));
	value = (value + (value >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (unsigned)(value * UINT64_C(0x0101010101010101) >> 56);
}

static inline size_t
bits_bytes(uint64_t bits)
{
	return (size_t)((bits + 7) / 8);
}

/* The number of `width` (0 to 64) bits at bit `position`. */
static inline uint64_t
bits_get(const uint8_t *bytes, uint64_t position, unsigned width)
{
	const uint8_t *from = bytes + position / 8;
	unsigned shift = position % 8;
	uint64_t value = zp_load_u64le(from) >> shift;

	if (shift + width > 64)
		value |= (uint64_t)from[8] << (64 - shift);
	return value & bits_mask(width);
}

/*
 * Numbers one behind the other, from the beginning of a byte on. Each write stores the word that is
 * not full yet, so nothing waits for what was stored before, and no branch depends on how full it
 * is.
 */
struct bits_writer {
	uint8_t *to;
	uint64_t word; /* what belongs at `to` */
	unsigned bits; /* of it, 0 to 63 */
};

static inline void
bits_write(struct bits_writer *writer, unsigned width, uint64_t value)
{
	unsigned bits = writer->bits + width;
	uint64_t over = value >> 1 >> (63 - writer->bits); /* what the word has no room for */
	uint64_t word = writer->word | value << writer->bits;

	zp_store_u64le(writer->to, word);
	writer->to += bits / 64 * 8;
	writer->word = bits >= 64 ? over : word;
	writer->bits = bits % 64;
}

/* Behind the last write. */
static inline void
bits_write_end(const struct bits_writer *writer)
{
	zp_store_u64le(writer->to, writer->word);
}

#endif
