/*
 * texts_cache.h - unpacked texts blocks that are read again and again; private to engine/.
 *
 * Flow:    segment_get.c asks before it reads a texts block, and offers what it had to read.
 * Threads: any; sixteen parts, each under a lock of its own that is held for a copy of one row.
 * Memory:  zp_texts_cache_new has the limit; it is counted with all that belongs to an entry.
 *
 * Only what passed its checksum and unpacked to its length gets here. An entry is known by the
 * serial of the open segment, which is never used again in this process, and its place: what was
 * cached of a file that was closed, replaced or restored is found by nobody, and goes when its room
 * is needed.
 *
 * A block is kept when it was missed KEEP_MISSES times of late, so that one walk through a large
 * pinset does not push out what is asked for, and a node that is seldom asked stays small.
 */
#ifndef ZP_ENGINE_TEXTS_CACHE_H
#define ZP_ENGINE_TEXTS_CACHE_H

#include "base/base.h"
#include "engine/engine.h"

struct texts_cache_place {
	uint64_t serial; /* of the open segment */
	uint64_t offset; /* of the texts block in it */
	uint32_t length; /* unpacked */
};

enum texts_cache_answer {
	TEXTS_CACHE_HIT,
	TEXTS_CACHE_MISS,
	TEXTS_CACHE_WANTED, /* a miss; texts_cache__keep is worth its while */
};

/* Appends `length` bytes from `begin` on of the block at `place` to `to`. `cache` may be NULL. */
enum texts_cache_answer texts_cache__get(struct zp_texts_cache *cache,
    const struct texts_cache_place *place, uint64_t begin, uint64_t length, struct zp_buf *to);

/* Copies the block, which was checked and has place->length bytes. */
void texts_cache__keep(
    struct zp_texts_cache *cache, const struct texts_cache_place *place, const uint8_t *block);

#endif
