/*
 * entry_walk.h - the rows of an ordered family, of memory and all runs, in one order and on behind
 * damage; private to engine/.
 *
 * Flow:  scan.c (statuses) and accesses_walk.c → here → run_source.c. One thread.
 */
#ifndef ZP_ENGINE_ENTRY_WALK_H
#define ZP_ENGINE_ENTRY_WALK_H

#include "engine/run_source.h"

/* One sorted input. */
struct entry_source {
	struct segment_entry *entries; /* of a memtable; owned */
	size_t entry_count;
	size_t entry_at;
	bool is_memory;
	struct run_source run;
	struct segment_entry entry; /* the present one */
};

struct entry_walk {
	struct run_wanted wanted;
	uint64_t from[SEGMENT_KEY_COLUMNS_MAX];
	size_t key_columns;
	struct entry_source *sources; /* owned; newest first */
	size_t source_count;
	struct entry_source *
	    *order; /* owned: those that have a row, by it, of equal keys newest first */
	size_t order_count;
	void (*hole)(void *context, const struct hole *hole); /* told of each; or NULL */
	void *context;
};

/* `from` (columns; NULL: all) is copied. `only`: see run_wanted; borrowed. */
void entry_walk__init(struct entry_walk *walk, enum zp_family family, const uint64_t *from,
    const struct zp_key *only);
/* Adds all of the view's inputs but these, the newest first: rows of a memtable (`entries`, taken).
 * Before the runs. */
void entry_walk__memory_add(struct entry_walk *walk, struct segment_entry *entries, size_t count);
/* Adds the runs of the view's version and goes to the first row. */
void entry_walk__begin(struct entry_walk *walk, const struct version *version);
void entry_walk__done(struct entry_walk *walk);

/* The source whose present row comes next; NULL behind the last. */
static inline const struct entry_source *
entry_walk__present(const struct entry_walk *walk)
{
	return walk->order_count == 0 ? NULL : walk->order[0];
}
/* The next older row of the present one's key, `nth` from 1 on; NULL: there are no more. */
const struct entry_source *entry_walk__older(const struct entry_walk *walk, size_t nth);
/* Behind the present row and all older ones of its key. */
void entry_walk__next(struct entry_walk *walk);
/* Whether a newer run than that of the present row may have a row of its key that cannot be read.
 */
bool entry_walk__is_doubtful(const struct entry_walk *walk);

#endif
