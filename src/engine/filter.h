/*
 * filter.h - a filter over the keys of a segment: made as a ribbon, read as that or as a blocked
 * Bloom filter.
 *
 * Flow:    the writer adds each key; readers ask before they read.
 * Threads: a filter that is open may be asked by any.
 * Format:  docs/formats.md, "Filter".
 */
#ifndef ZP_ENGINE_FILTER_H
#define ZP_ENGINE_FILTER_H

#include "engine/ribbon.h"
#include "pin/pin.h"

/* ---- Making ---------------------------------------------------------------------------------- */

/* Keys come in order. */
void filter__add(struct ribbon_writer *writer, const uint8_t key[ZP_KEY_BYTES]);

/* ---- Asking ---------------------------------------------------------------------------------- */

struct filter {
	uint8_t *memory; /* owned: the section as it is in the file; NULL: no filter, every key may
			    be there */
	size_t memory_bytes;
	uint64_t seed;         /* of the Bloom kind: low half of the segment id */
	uint64_t blocks_count; /* of 64 bytes; 0: it is a ribbon */
	uint32_t hash_count;
	const uint8_t *blocks; /* cache-line aligned */
	struct ribbon ribbon;
};

/* A key that filters are asked of, with what is the same for all of them. */
struct filter_key {
	const uint8_t *bytes; /* borrowed, ZP_KEY_BYTES */
	struct ribbon_key ribbon;
};

/* One filter's answer on its way. */
struct filter_ask {
	struct ribbon_place place;
	uint64_t hash; /* of the Bloom kind */
};

void filter__done(struct filter *filter); /* a zeroed one is fine */

struct filter_key filter__key(const uint8_t bytes[ZP_KEY_BYTES]);
/* In two steps, so that the memory that many keys need is fetched together. */
struct filter_ask filter__ask(const struct filter *filter, const struct filter_key *key);
bool filter__answer(const struct filter *filter, const struct filter_ask *ask);
/* False only when the key was never added. */
bool filter__may_contain(const struct filter *filter, const struct filter_key *key);

/* Memory for a section of `length` bytes to be read into, and then: NULL, or what is wrong with it.
 * After either the filter is to be ended with filter__done. */
uint8_t *filter__section_room(struct filter *filter, size_t length);
const char *filter__section_adopt(struct filter *filter, size_t length, uint64_t seed);

#endif
