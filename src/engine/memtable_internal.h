/*
 * memtable_internal.h - the inside of a memtable: what memtable.c adds to and memtable_sorted.c
 * reads in order.
 */
#ifndef ZP_ENGINE_MEMTABLE_INTERNAL_H
#define ZP_ENGINE_MEMTABLE_INTERNAL_H

#include "engine/memtable.h"

#include "engine/segment_internal.h"

#include <stdatomic.h>

#define LOG_CHUNK_FIRST 256u /* rows of the first chunk; each next one is twice as large */
#define LOG_CHUNKS_MAX 24u   /* 256 × (2^24 − 1) rows: over any budget */

/* One cache line. The value is a u32 length and that many bytes of canonical record; NULL:
 * tombstone. */
struct entry {
	uint8_t key[ZP_KEY_BYTES];
	uint8_t reserved[2];
	const uint8_t *value;
};
_Static_assert(sizeof(struct entry) == 64, "an entry is one cache line");

/* A pin's status at one peer, whatever became of it. Chained to the pin's others, which are older.
 */
struct track_entry {
	uint8_t key[ZP_KEY_BYTES];
	bool had_old;
	uint32_t peer;
	const struct track_entry *other;
	_Atomic(const struct segment_value *) value; /* NULL: no row any more */
};

/* A pin's accesses while this memtable was written to. What older ones and files have is added,
 * unless it is hidden: both in one word, so that a reader sees them of one moment. */
struct access_entry {
	uint8_t key[ZP_KEY_BYTES]; /* short */
	_Atomic(uint64_t) count;   /* and above it ACCESS_HIDES */
	_Atomic(uint64_t) last;
};
#define ACCESS_HIDES (UINT64_C(1) << 63) /* older ones do not count; with count 0 none is left */

/* Entry number + 1 in the low half, the key's hash in the high half (which also says where a slot
 * goes when the table grows, without looking at its entry); 0 is empty. */
struct table {
	struct table *older; /* readers may still be in it: freed with the memtable */
	uint64_t mask;
	_Atomic(uint64_t) slots[];
};

struct arena_block {
	struct arena_block *older;
	uint8_t bytes[];
};

/* One row of an ordered family: of the pin of that entry. */
struct index_row {
	uint64_t moment; /* its column of time */
	uint32_t entry;  /* its number */
	uint32_t operation;
};

/* A log of fixed-size rows in chunks that never move. */
struct log {
	uint8_t *chunks[LOG_CHUNKS_MAX];
	_Atomic(uint64_t) count;
	size_t row_bytes;
};

/* A log whose rows begin with a key, the newest of each found by it. */
struct keyed {
	struct log log;
	_Atomic(struct table *) table;
	uint64_t slots_used;
};

struct memtable {
	_Atomic(uint64_t) holds;
	_Atomic(uint64_t) bytes;
	uint64_t seed;
	struct keyed pins;     /* struct entry */
	struct keyed tracks;   /* struct track_entry */
	struct keyed accesses; /* struct access_entry */
	struct log times;      /* struct index_row, as the next */
	struct log expiries;
	struct zp_buf encoded; /* the owner's: of the record being added */
	struct arena_block *arena;
	size_t arena_used;
	size_t arena_bytes;
};

/* Row `at` is in chunk c = floor(log2(at / LOG_CHUNK_FIRST + 1)), which begins at LOG_CHUNK_FIRST ×
 * (2^c − 1). */
static inline uint8_t *
log_at(const struct log *log, uint64_t at)
{
	unsigned chunk = 63u - (unsigned)__builtin_clzll(at / LOG_CHUNK_FIRST + 1);
	uint64_t first = ((1ull << chunk) - 1) * LOG_CHUNK_FIRST;

	return log->chunks[chunk] + (at - first) * log->row_bytes;
}

static inline uint64_t
log_count(const struct log *log)
{
	return atomic_load_explicit(&log->count, memory_order_acquire);
}

/* The newest row of the key of a log that has it, or NULL. */
const void *memtable__find(
    const struct memtable *memtable, const struct keyed *keyed, const uint8_t key[ZP_KEY_BYTES]);
/* Of a pin's entry, which is ours: so it decodes, and what does not is a bug. */
void memtable__entry_row(const struct entry *entry, struct segment_row *row_out);

#endif
