/*
 * run_walk.h - rows of whole runs, in order; private to engine/.
 *
 * Flow: run_walk.c. One thread. Damage ends a walk: who merges must not go on behind it.
 */
#ifndef ZP_ENGINE_RUN_WALK_H
#define ZP_ENGINE_RUN_WALK_H

#include "engine/segment_internal.h"

/* Set the first three; the rest is 0 before the first row. */
struct run_walk {
	enum zp_family family;
	struct segment **segments; /* borrowed; NULL in it: damaged */
	size_t segment_count;
	size_t at; /* the segment to open next */
	struct segment_iterator *iterator;
	bool is_over;               /* there is no present row any more */
	struct segment_row row;     /* the present one, family pin */
	struct segment_entry entry; /* likewise, ordered families */
};

/* Moves to the next row, or behind the last (0 as well), or tells the damage. */
ZP_MUST_CHECK int run_walk__next(struct run_walk *walk, struct zp_err *err);
/* By the keys of the present rows, of one family. */
int run_walk__compare(const struct run_walk *a, const struct run_walk *b);
/* The one with the smallest key; of equal ones the first, which is the newest run's where they
 * stand so. NULL: all are over. */
struct run_walk *run_walk__smallest(struct run_walk *walks, size_t count);
/* Before its first row again. */
void run_walk__close(struct run_walk *walk);

#endif
