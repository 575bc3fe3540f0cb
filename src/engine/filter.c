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

/* One block's room in front, so that the header ends where the aligned blocks begin. */
uint8_t *
filter__section_room(struct filter *filter, size_t length)
{
	size_t blocks_bytes = length > FILTER_HEADER_BYTES ? length - FILTER_HEADER_BYTES : 0;
	size_t bytes = FILTER_BLOCK_BYTES * (2 + blocks_bytes / FILTER_BLOCK_BYTES);

	filter->memory = aligned_alloc(FILTER_BLOCK_BYTES, bytes);
	ZP_ASSERT(filter->memory != NULL);
	filter->blocks = filter->memory + FILTER_BLOCK_BYTES;
	return filter->blocks - FILTER_HEADER_BYTES;
}

void
filter__init(struct filter *filter, uint64_t keys, uint64_t seed)
{
	uint64_t bits = zp_min_u64(keys, ZP_SEGMENT_RECORDS_MAX) * FILTER_BITS_PER_KEY;
	uint64_t blocks_count = bits / (FILTER_BLOCK_BYTES * 8) + 1;
	size_t length = FILTER_HEADER_BYTES + blocks_count * FILTER_BLOCK_BYTES;
	uint8_t *section;

	*filter = (struct filter){
	    .seed = seed,
	    .hash_count = FILTER_HASHES,
	    .blocks_count = blocks_count,
	};
	section = filter__section_room(filter, length);
	memset(section, 0, length);
	zp_store_u32le(section, FILTER_KIND_BLOCKED_BLOOM);
	zp_store_u32le(section + 4, FILTER_HASHES);
	zp_store_u64le(section + 8, blocks_count);
}

void
filter__done(struct filter *filter)
{
	free(filter->memory);
	*filter = (struct filter){0};
}

static void
hash_add(struct filter *filter, uint64_t hash)
{
	uint8_t *block = block_of(filter, hash);
	uint64_t bits = bits_of(hash);

	for (uint32_t i = 0; i < filter->hash_count; i++, bits >>= 9)
		block[(bits & 511) / 8] |= (uint8_t)(1u << (bits & 7));
}

void
filter__add(struct filter *filter, const uint8_t key[ZP_KEY_BYTES])
{
	uint64_t *pending = &filter->pending[filter->added % FILTER_PENDING];

	if (filter->added++ >= FILTER_PENDING)
		hash_add(filter, *pending);
	*pending = zp_hash64(key, ZP_KEY_BYTES, filter->seed);
	__builtin_prefetch(block_of(filter, *pending), 1);
}

static void
pending_settle(struct filter *filter)
{
	for (uint64_t i = 0; i < zp_min_u64(filter->added, FILTER_PENDING); i++)
		hash_add(filter, filter->pending[i]);
	filter->added = 0;
}

uint64_t
filter__hash(const struct filter *filter, const uint8_t key[ZP_KEY_BYTES])
{
	return zp_hash64(key, ZP_KEY_BYTES, filter->seed);
}

void
filter__prefetch(const struct filter *filter, uint64_t hash)
{
	if (filter->blocks_count > 0)
		__builtin_prefetch(block_of(filter, hash));
}

bool
filter__may_contain(const struct filter *filter, const uint8_t key[ZP_KEY_BYTES])
{
	return filter->blocks_count == 0 || filter__has(filter, filter__hash(filter, key));
}

bool
filter__has(const struct filter *filter, uint64_t hash)
{
	const uint8_t *block;
	uint64_t bits = bits_of(hash);

	if (filter->blocks_count == 0)
		return true;
	block = block_of(filter, hash);
	for (uint32_t i = 0; i < filter->hash_count; i++, bits >>= 9) {
		if ((block[(bits & 511) / 8] & (1u << (bits & 7))) == 0)
			return false;
	}
	return true;
}

struct zp_slice
filter__section(struct filter *filter)
{
	if (filter->blocks_count == 0)
		return (struct zp_slice){0};
	pending_settle(filter);
	return (struct zp_slice){filter->blocks - FILTER_HEADER_BYTES,
	    FILTER_HEADER_BYTES + filter->blocks_count * FILTER_BLOCK_BYTES};
}

const char *
filter__section_adopt(struct filter *filter, size_t length, uint64_t seed)
{
	const uint8_t *section = filter->blocks - FILTER_HEADER_BYTES;
	size_t blocks_bytes = length - FILTER_HEADER_BYTES;

	if (length < FILTER_HEADER_BYTES)
		return "the filter is too short";
	if (zp_load_u32le(section) != FILTER_KIND_BLOCKED_BLOOM)
		return "the filter is of an unknown kind";
	filter->hash_count = zp_load_u32le(section + 4);
	if (filter->hash_count == 0 || filter->hash_count > FILTER_HASHES_MAX)
		return "the filter has no or too many hashes";
	if (blocks_bytes == 0 || blocks_bytes % FILTER_BLOCK_BYTES != 0 ||
	    zp_load_u64le(section + 8) != blocks_bytes / FILTER_BLOCK_BYTES)
		return "the filter's block count and its length disagree";
	filter->blocks_count = blocks_bytes / FILTER_BLOCK_BYTES;
	filter->seed = seed;
	return NULL;
}
