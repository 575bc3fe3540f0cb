/*
 * memtable.h - a shard's newest rows in memory; private to engine/.
 *
 * Flow:    zp_engine_apply adds, views read, flush writes it out as a run.
 * Threads: the owner adds; any thread reads what was complete when it looked. Nothing that a reader
 *          can see moves or is freed before the last hold is released.
 * Shape:   append-only logs of 64-byte entries in chunks, one for each of up to 64 ranges of keys,
 *          found through a hash table (so chosen keys cost no more than random ones), and one
 *          append-only log of rows per ordered family, each of the entry that brought it. A newer
 *          entry of a key takes over its slot; the older one stays in the log, unseen. Track rows
 *          have one entry a pin and peer, found through a table of their own by the pin's key;
 *          accesses have one a pin, which is added to in place.
 */
#ifndef ZP_ENGINE_MEMTABLE_H
#define ZP_ENGINE_MEMTABLE_H

#include "engine/segment.h"

struct memtable;

/* All keys begin with the first `prefix_bits` bits of `low`; so many entries as expected make it
 * quickest. */
struct memtable *memtable__new(
    uint64_t hash_seed, uint64_t low, unsigned prefix_bits, uint64_t entries_expected);
struct memtable *memtable__hold(struct memtable *memtable);
void memtable__release(struct memtable *memtable); /* NULL is allowed */

/* Where in the memtable a key belongs. */
struct memtable_place {
	uint8_t key[ZP_KEY_BYTES];
	uint32_t hash;
};
/* Finds it, and brings nearer the slot that putting or getting will look at: a few keys ahead. */
void memtable__place(
    const struct memtable *memtable, const struct zp_key *key, struct memtable_place *place_out);

/* Owner: the key there now has this record; NULL: a tombstone. Copies. */
void memtable__put(
    struct memtable *memtable, const struct memtable_place *place, const struct zp_record *record);
/* Owner: one row of time or expire, at that moment (a column), of the pin that was put last. */
void memtable__index_add(
    struct memtable *memtable, enum zp_family family, uint64_t moment, uint8_t operation);

/* Owner: the pin's status at that peer, NULL: no row any more. Copies. `had_old`: a row was there
 * (or can't be known) when this memtable first heard of it; what was not and is not leaves no
 * trace. */
void memtable__track_put(struct memtable *memtable, const struct zp_key *key, uint32_t peer,
    const struct segment_value *value, bool had_old);
/* Whether this memtable knows the row, and what it says: NULL for no row any more. */
bool memtable__track_get(const struct memtable *memtable, const struct zp_key *key, uint32_t peer,
    const struct segment_value **value_out);
/* Track rows as sorted entries, tombstones among them where they may hide something: from the first
 * of the pin `from` on (NULL: all), or `only` that pin's. *entries_out is the caller's to free,
 * their values are the memtable's. */
size_t memtable__tracks_sorted(const struct memtable *memtable, const struct zp_key *from,
    bool only, struct segment_entry **entries_out);

/* Owner: so many more accesses of the pin, the last then (seconds since 1970); and: it is unpinned,
 * what was before does not count. By its short key (accesses.h). */
void memtable__access_add(
    struct memtable *memtable, const struct zp_key *short_key, uint64_t count, uint64_t last);
void memtable__access_end(struct memtable *memtable, const struct zp_key *short_key);
/* Accesses as sorted entries, one a pin: all, or (not NULL) that pin's. *entries_out is the
 * caller's to free, with the values in it. */
size_t memtable__accesses_sorted(
    const struct memtable *memtable, const struct zp_key *only, struct segment_entry **entries_out);

/* Bytes in use and entries of family pin. Any thread. */
uint64_t memtable__bytes(const struct memtable *memtable);
uint64_t memtable__entries(const struct memtable *memtable);
/* Rows are numbered in 32 bits: one log has half of what these can tell apart, or more, and the
 * memtable must be frozen before it has twice as many. Any thread. */
bool memtable__is_full(const struct memtable *memtable);
bool memtable__is_empty(const struct memtable *memtable);

/* The key's row, whose texts live as long as the memtable, or false. */
bool memtable__get(
    const struct memtable *memtable, const uint8_t key[ZP_KEY_BYTES], struct segment_row *row_out);
/* Brings the slot that a later get will look at nearer. */
void memtable__prefetch(const struct memtable *memtable, const uint8_t key[ZP_KEY_BYTES]);

/* The newest row of each key, sorted, as of now: from the first at or after `from` (encoded; NULL:
 * all). Holds the memtable. */
struct memtable_rows;
struct memtable_rows *memtable__rows_open(struct memtable *memtable, const uint8_t *from);
/* 0 and a row, or ZP_END. */
int memtable__rows_next(struct memtable_rows *rows, struct segment_row *row_out);
/* The same as a segment's writer takes it. */
int memtable__rows_next_cells(
    struct memtable_rows *rows, struct segment_cells *cells_out, struct zp_slice *texts_out);
void memtable__rows_close(struct memtable_rows *rows);
/* How many rows there are in all, of a memtable that nothing is added to any more. */
uint64_t memtable__keys(const struct memtable *memtable);
/* Shows about as many rows as wanted, from all over, to the writer. */
struct segment_writer;
void memtable__rows_sample(
    const struct memtable *memtable, size_t wanted, struct segment_writer *writer);

/* Pins of a namespace that rows of time say came at these moments (columns), whose digests begin
 * with one of these: all bounds are inclusive. Memory is looked through, nothing is sorted. */
struct memtable_times {
	uint32_t namespace_id;
	uint64_t first, last;
	uint64_t head_first, head_last;
};
/* Calls `each` with their keys, of one perhaps several times, and of such that are gone. What is
 * not 0 ends that and is returned. */
int memtable__created_keys(const struct memtable *memtable, const struct memtable_times *wanted,
    int (*each)(void *context, uint64_t moment, const uint8_t key[ZP_KEY_BYTES]), void *context);
/* The latest moment up to `moment_max` at which one came; false: none. */
bool memtable__created_last(const struct memtable *memtable, uint32_t namespace_id,
    uint64_t moment_max, uint64_t *moment_out);

/* Rows of time or expire as memtable__rows_open gives pins: sorted, of moments up to `moment_max`;
 * of equal columns the newest, or of time what they come to (times.h), which may be nothing. Holds
 * the memtable. */
struct memtable_entries;
struct memtable_entries *memtable__entries_open(
    struct memtable *memtable, enum zp_family family, uint64_t moment_max);
size_t memtable__entries_count(const struct memtable_entries *entries);
void memtable__entries_at(
    const struct memtable_entries *entries, size_t index, struct segment_entry *entry_out);
void memtable__entries_close(struct memtable_entries *entries); /* NULL is allowed */

#endif
