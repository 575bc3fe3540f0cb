/*
 * block_cache.h - images of blocks that were read and are asked for again; private to engine/.
 *
 * Flow:    segment_get.c looks here before it reads a block, and leaves here what it had to read.
 * Threads: any. Who looks visits the cache, and what was here when the visit began is not written
 * over before it ends: a word of the visit's own says since when it is here, so nothing that others
 * read is written for a hit. What comes in does so under one lock, held for a copy.
 * Memory:  zp_block_cache_new has the limit, for all that belongs to entries; the table of sets, a
 *          sixtieth of that, comes on top. Both as they are touched, in huge pages where there are
 * any.
 *
 * An entry is known by the serial of the open segment, which is never used again in this process,
 * and the number of its block. What is left of a segment that is closed is found by nobody and goes
 * in its turn.
 */
#ifndef ZP_ENGINE_BLOCK_CACHE_H
#define ZP_ENGINE_BLOCK_CACHE_H

#include <stdatomic.h>

#include "engine/engine.h"

struct block_cache_entry {
	uint64_t serial;
	uint64_t number;
	uint32_t bytes;     /* of the content */
	uint32_t bytes_all; /* of the entry in the ring */
	uint8_t content[];  /* the block's image; where a word may be */
};
_Static_assert(sizeof(struct block_cache_entry) % 8 == 0, "the content is aligned");

/* A visit: what is found during one is there until it ends. Short, and without waiting for
 * anything, since meanwhile nothing is made room for. NULL of no cache. */
struct block_cache_visit;
struct block_cache_visit *block_cache__enter(struct zp_block_cache *cache);
void block_cache__leave(struct block_cache_visit *visit);

/* Fetches what block_cache__find will look at first. `cache` may be NULL in all of these. */
void block_cache__prefetch(const struct zp_block_cache *cache, uint64_t serial, uint64_t number);

/* In a visit: the first that may be the entry, not looked at, or NULL: what can be said before the
 * entry itself is near. If it is not the one (block_cache__is), find the entry. */
const struct block_cache_entry *block_cache__candidate(
    struct zp_block_cache *cache, uint64_t serial, uint64_t number);
bool block_cache__is(const struct block_cache_entry *entry, uint64_t serial, uint64_t number);

/* In a visit: the entry, or NULL. */
const struct block_cache_entry *block_cache__find(
    struct zp_block_cache *cache, uint64_t serial, uint64_t number);

/* Whether a block that has just been read is worth keeping: while there is room any is, then what
 * was asked for not long before too. So what is read once costs no image and pushes nothing out. */
bool block_cache__wants(struct zp_block_cache *cache, uint64_t serial, uint64_t number);

/* Copies the entry, whose bytes_all is not looked at. Where another thread was first, or there is
 * no room just now, nothing happens. Not in a visit, which would be in its own way. */
void block_cache__keep(struct zp_block_cache *cache, const struct block_cache_entry *entry);

#endif
