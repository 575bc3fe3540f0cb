/*
 * filter.c - the blocked Bloom filter of a segment.
 *
 * Flow: filter.h.
 */
#include "engine/filter.h"

#include <stdlib.h>

#define FILTER_KIND_BLOCKED_BLOOM 1u
#define FILTER_HEADER_BYTES 16u
#define FILTER_BLOCK_BYTES 64u
#define FILTER_BITS_PER_KEY 10u
#define FILTER_HASHES 6u     /* what 10 bits a key and blocks of 512 want */
#define FILTER_HASHES_MAX 7u /* 7 × 9 bits are what one product of 64 bits gives */

/* Which block a hash chooses: its high bits, without a division. */
static uint8_t *
block_of(const struct filter *filter, uint64_t hash)
{
	uint64_t index = (uint64_t)(((unsigned __int128)hash * filter->blocks_count) >> 64);

	return filter->blocks + index * FILTER_BLOCK_BYTES;
}

/* The bits within a block come from the low bits of the hash, mixed. */
static uint64_t
bits_of(uint64_t hash)
{
	return hash * UINT64_C(0x9E3779B97F4A7C15);
}

static void
blocks_allocate(struct filter *filter)
{
	size_t bytes = filter->blocks_count * FILTER_BLOCK_BYTES;

	filter->blocks = aligned_alloc(FILTER_BLOCK_BYTES, bytes);
	ZP_ASSERT(filter->blocks != NULL);
	memset(filter->blocks, 0, bytes);
}

void
filter__init(struct filter *filter, uint64_t keys, uint64_t seed)
{
	uint64_t bits = zp_min_u64(keys, ZP_SEGMENT_RECORDS_MAX) * FILTER_BITS_PER_KEY;

	*filter = (struct filter){.seed = seed, .hash_count = FILTER_HASHES};
	filter->blocks_count = bits / (FILTER_BLOCK_BYTES * 8) + 1;
	blocks_allocate(filter);
}

void
filter__done(struct filter *filter)
{
	free(filter->blocks);
	*filter = (struct filter){0};
}

void
filter__add(struct filter *filter, const uint8_t key[ZP_KEY_BYTES])
{
	uint64_t hash = zp_hash64(key, ZP_KEY_BYTES, filter->seed);
	uint8_t *block = block_of(filter, hash);
	uint64_t bits = bits_of(hash);

	for (uint32_t i = 0; i < filter->hash_count; i++, bits >>= 9)
		block[(bits & 511) / 8] |= (uint8_t)(1u << (bits & 7));
}

bool
filter__may_contain(const struct filter *filter, const uint8_t key[ZP_KEY_BYTES])
{
	uint64_t hash, bits;
	const uint8_t *block;

	if (filter->blocks_count == 0)
		return true;
	hash = zp_hash64(key, ZP_KEY_BYTES, filter->seed);
	block = block_of(filter, hash);
	bits = bits_of(hash);
	for (uint32_t i = 0; i < filter->hash_count; i++, bits >>= 9) {
		if ((block[(bits & 511) / 8] & (1u << (bits & 7))) == 0)
			return false;
	}
	return true;
}

void
filter__encode(const struct filter *filter, struct zp_buf *section)
{
	if (filter->blocks_count == 0)
		return;
	zp_buf_append_u32le(section, FILTER_KIND_BLOCKED_BLOOM);
	zp_buf_append_u32le(section, filter->hash_count);
	zp_buf_append_u64le(section, filter->blocks_count);
	zp_buf_append(section, filter->blocks, filter->blocks_count * FILTER_BLOCK_BYTES);
}

const char *
filter__decode(struct filter *filter, struct zp_slice section, uint64_t seed)
{
	struct filter found = {.seed = seed};

	if (section.length == 0) {
		*filter = found;
		return NULL;
	}
	if (section.length < FILTER_HEADER_BYTES)
		return "the filter is too short";
	if (zp_load_u32le(section.data) != FILTER_KIND_BLOCKED_BLOOM)
		return "the filter is of an unknown kind";
	found.hash_count = zp_load_u32le(section.data + 4);
	found.blocks_count = zp_load_u64le(section.data + 8);
	if (found.hash_count == 0 || found.hash_count > FILTER_HASHES_MAX)
		return "the filter has no or too many hashes";
	if ((section.length - FILTER_HEADER_BYTES) % FILTER_BLOCK_BYTES != 0 ||
	    found.blocks_count == 0 ||
	    found.blocks_count != (section.length - FILTER_HEADER_BYTES) / FILTER_BLOCK_BYTES)
		return "the filter's block count and its length disagree";
	blocks_allocate(&found);
	memcpy(found.blocks, section.data + FILTER_HEADER_BYTES,
	    section.length - FILTER_HEADER_BYTES);
	*filter = found;
	return NULL;
}
