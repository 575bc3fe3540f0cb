/*
 * accesses.h - rows of family access: what was added to a pin's count of accesses; private to
 * engine/.
 *
 * A row adds to what older rows of its pin say; nothing is ever written again for one more access.
 * So a pin's facts are what its rows come to, newest first, down to the first that says "older rows
 * do not count": a tombstone (the pin was unpinned), or a row that `replaces` (it was, and is
 * pinned again).
 *
 * Pure. Format: docs/formats.md, "Access".
 */
#ifndef ZP_ENGINE_ACCESSES_H
#define ZP_ENGINE_ACCESSES_H

#include "engine/engine.h"
#include "engine/segment.h"

#define ACCESSES_COUNT_MAX (UINT64_MAX >> 2) /* counts stay there */

/* What rows of one pin come to, the newer ones of them at least. */
struct accesses_sum {
	uint64_t count; /* of accesses; with `is_end` 0 */
	uint64_t last;  /* seconds since 1970 */
	bool replaces;  /* older rows do not count */
	bool is_end;    /* a tombstone; then it replaces too */
};

/*
 * The pin's key as these rows have it: of the digest its first 8 bytes and a tag, a hash of the
 * whole digest with the cluster's id, which nobody outside knows. So a row costs a third of what a
 * whole digest would, and nobody can make a pin that shares another's counts.
 */
struct zp_key accesses__short_key(const uint8_t cluster_id[16], const struct zp_key *key);
/* Its columns. */
void accesses__columns(
    const struct zp_key *short_key, uint64_t columns_out[SEGMENT_ACCESS_COLUMNS]);

struct accesses_sum accesses__of_entry(const struct segment_entry *entry);
/* The row of a sum; value_out holds what entry_out->value shows. The key is not touched. */
void accesses__to_entry(const struct accesses_sum *sum, struct segment_value *value_out,
    struct segment_entry *entry_out);
/* The same of a row as it goes from file to file. */
struct accesses_sum accesses__of_cells(const struct segment_cells *cells);
void accesses__to_cells(const struct accesses_sum *sum, struct segment_cells *cells_out);
/* NULL, or what is wrong with a row. */
const char *accesses__entry_fault(const struct segment_entry *entry);

/* `newer` becomes what it and the next older row come to. In any grouping the result is the same.
 */
void accesses__combine(struct accesses_sum *newer, const struct accesses_sum *older);
/* Of a walk that asked for every pin: how many rows are of none. 0 where that can't be told. */
uint64_t accesses__walk_end(struct zp_accesses_walk *walk);

/* There is no row older than this one: then none needs to be hidden. */
void accesses__cells_oldest(struct segment_cells *cells);

#endif
