/*
 * memtable_internal.h - the inside of a memtable: what memtable.c adds to, memtable_sorted.c and
 * memtable_entries.c read in order.
 */
#ifndef ZP_ENGINE_MEMTABLE_INTERNAL_H
#define ZP_ENGINE_MEMTABLE_INTERNAL_H

#include "engine/memtable.h"

#include "engine/segment_internal.h"

#include <stdatomic.h>

#define LOG_CHUNK_ROWS 32u
#define ENTRIES_AHEAD 64u /* that are fetched while one is looked at */
/* Pins are kept apart by the digest bits behind the shard's prefix, so that what a flush reads one
 * behind the other lies together: memory that is touched at random costs more than all else. */
#define PARTITION_BITS_MAX 6u
#define PARTITIONS_MAX (1u << PARTITION_BITS_MAX)

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
	_Atomic(uint64_t) *slots;
};

/* Memory that goes all at once. */
struct slab {
	struct slab *older;
	size_t bytes;
	uint8_t pad[64 - sizeof(struct slab *) - sizeof(size_t)];
	uint8_t data[];
};
_Static_assert(sizeof(struct slab) == 64, "what is taken of it begins at a cache line");

/* What variable lengths are taken from: a piece of a slab at a time. */
struct arena {
	uint8_t *at;
	size_t left;
};

/* One row of an ordered family: of the pin of that entry. */
struct index_row {
	uint64_t moment; /* its column of time */
	uint32_t entry;  /* its number */
	uint32_t operation;
};

/* The least and the greatest. */
struct moments {
	uint64_t first;
	uint64_t last;
};
#define TIMES_GROUP 1024u /* a multiple of LOG_CHUNK_ROWS */

/* A log of fixed-size rows in chunks that never move. The array of chunks does when it grows: its
 * older ones stay. */
struct log {
	_Atomic(uint8_t **) chunks;
	uint64_t chunks_room;
	_Atomic(uint64_t) count;
	size_t row_bytes;
	uint64_t rows_full; /* half of those that numbers can tell apart */
};

/* Logs whose rows begin with a key, the newest of each found by it. A row's number is its place in
 * its log, then the log's in the lowest bits. */
struct keyed {
	struct log logs[PARTITIONS_MAX];
	unsigned log_bits; /* 1 << log_bits of them are used */
	_Atomic(struct table *) table;
	uint64_t slots_first; /* that the first table has */
	uint64_t
	    slots_used; /* how many keys: the owner's, anyone's when nothing is added any more */
};

struct memtable {
	_Atomic(uint64_t) holds;
	_Atomic(uint64_t) bytes;
	_Atomic(uint64_t) entries; /* of all logs of pins */
	_Atomic(bool) is_full;     /* some log has its rows_full */
	uint64_t seed;
	uint64_t low; /* all keys' first 64 bits have its first prefix_bits bits */
	unsigned prefix_bits;
	struct keyed pins;     /* struct entry */
	struct keyed tracks;   /* struct track_entry, in one log */
	struct keyed accesses; /* struct access_entry, in one log */
	uint32_t newest;       /* pin: its number */
	struct log times;      /* struct index_row, as the next */
	struct log expiries;
	struct log times_bounds;             /* struct moments of each TIMES_GROUP rows of times */
	struct moments times_unbounded;      /* of the rows behind these: owner only */
	struct arena arenas[PARTITIONS_MAX]; /* values of pins */
	struct arena tracks_arena;
	struct slab *slabs;
	struct arena slab; /* what is left of the newest */
};

static inline uint8_t *
log_at(const struct log *log, uint64_t at)
{
	uint8_t *const *chunks = atomic_load_explicit(&log->chunks, memory_order_acquire);

	return chunks[at / LOG_CHUNK_ROWS] + at % LOG_CHUNK_ROWS * log->row_bytes;
}

static inline uint64_t
log_count(const struct log *log)
{
	return atomic_load_explicit(&log->count, memory_order_acquire);
}

static inline uint8_t *
keyed_at(const struct keyed *keyed, uint32_t number)
{
	return log_at(
	    &keyed->logs[number & ((1u << keyed->log_bits) - 1)], number >> keyed->log_bits);
}

static inline unsigned
memtable__partitions(const struct memtable *memtable)
{
	return 1u << memtable->pins.log_bits;
}

/* Which log of pins a key of the shard is in; rises with it. */
static inline unsigned
memtable__partition(const struct memtable *memtable, uint64_t head)
{
	return (unsigned)((head - memtable->low) << memtable->prefix_bits >> 1 >>
			  (63 - memtable->pins.log_bits));
}

/* The newest row of the key of a log that has it, or NULL. */
const void *memtable__find(
    const struct memtable *memtable, const struct keyed *keyed, const uint8_t key[ZP_KEY_BYTES]);
/* Of a pin's entry, which is ours: so it decodes, and what does not is a bug. */
uint8_t memtable__entry_record(
    const struct entry *entry, uint64_t facts_out[ZP_FACT_COUNT], struct zp_slice *texts_out);
void memtable__entry_row(const struct entry *entry, struct segment_row *row_out);

#endif
