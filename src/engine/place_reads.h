/*
 * place_reads.h - places of segments that many keys wait for, read together; private to engine/.
 *
 * Flow:    read.c adds a place for each key whose block or texts are not in memory, then runs them
 * all. Threads: one thread uses it; it is kept from batch to batch.
 */
#ifndef ZP_ENGINE_PLACE_READS_H
#define ZP_ENGINE_PLACE_READS_H

#include "base/base.h"

struct segment;
struct zp_store_read;

/* What one item of the caller's waits for. */
struct place_read {
	const struct segment *segment;
	uint64_t offset;
	uint32_t length;
	uint32_t item;
};

struct place_reads {
	struct place_read *places; /* owned; one for each item */
	size_t count;
	size_t places_max;
	struct zp_store_read *reads; /* owned; one for each place */
	uint32_t *firsts;            /* owned; of each read the first of its places */
	size_t reads_max;
};

void place_reads__done(struct place_reads *reads);
void place_reads__add(struct place_reads *reads, const struct segment *segment, uint64_t offset,
    uint32_t length, uint32_t item);

/*
 * Told of an item: 0 and the place's bytes, or what reading them failed with. `is_again`: as in the
 * call before, of which the place was the same. Not 0: the rest is left.
 */
typedef int place_reads__each(
    void *context, uint32_t item, bool is_again, int rc, const uint8_t *bytes);

/* Reads each place once, in the order of the files but told of as they come, and is empty then.
 * Returns the first answer of `each` that is not 0. */
ZP_MUST_CHECK int place_reads__run(
    struct place_reads *reads, place_reads__each *each, void *context);

#endif
