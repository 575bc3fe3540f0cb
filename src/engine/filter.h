/*
 * filter.h - a blocked Bloom filter over the keys of a segment.
 *
 * Flow:    the writer adds each key; readers ask before they read. One cache line a question.
 * Threads: a filter that is finished may be asked by any.
 * Format:  docs/formats.md, "Filter".
 */
#ifndef ZP_ENGINE_FILTER_H
#define ZP_ENGINE_FILTER_H

#include "pin/pin.h"

#define FILTER_PENDING 16u

struct filter {
	uint64_t seed;         /* low half of the segment id */
	uint64_t blocks_count; /* of 64 bytes; 0: there is no filter and every key may be there */
	uint32_t hash_count;
	uint8_t *blocks; /* cache-line aligned */
	uint8_t *memory; /* owned: the section as it is in the file, its blocks aligned */
	/* Of a filter that is being made: how many were added since the last settling, and of the
	 * latest the hashes, whose cache lines are on their way. */
	uint64_t added;
	uint64_t pending[FILTER_PENDING];
};

/* A filter with room for `keys` keys, empty. */
void filter__init(struct filter *filter, uint64_t keys, uint64_t seed);
void filter__done(struct filter *filter); /* a zeroed one is fine */

void filter__add(struct filter *filter, const uint8_t key[ZP_KEY_BYTES]);
/* For asking of many keys: the hash, the cache line that the answer needs, the answer. */
uint64_t filter__hash(const struct filter *filter, const uint8_t key[ZP_KEY_BYTES]);
void filter__prefetch(const struct filter *filter, uint64_t hash);
bool filter__has(const struct filter *filter, uint64_t hash);
/* False only when the key was never added. */
bool filter__may_contain(const struct filter *filter, const uint8_t key[ZP_KEY_BYTES]);

/* Ends the adding and gives the filter as the section of a segment, without a copy; empty for none.
 */
struct zp_slice filter__section(struct filter *filter);

/* Memory for a section of `length` bytes to be read into, and then: NULL, or what is wrong with it.
 * After either the filter is to be ended with filter__done. */
uint8_t *filter__section_room(struct filter *filter, size_t length);
const char *filter__section_adopt(struct filter *filter, size_t length, uint64_t seed);

#endif
