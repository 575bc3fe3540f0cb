/*
 * run_walk.h - the rows of several runs of a family in one order; private to engine/.
 *
 * Flow: run_walk.c. One thread. Damage ends a walk: who merges must not go on behind it.
 */
#ifndef ZP_ENGINE_RUN_WALK_H
#define ZP_ENGINE_RUN_WALK_H

#include "engine/segment_internal.h"

/* One run. Set the first two; the rest is 0 before the first row. */
struct run_walk {
	struct segment **segments; /* borrowed; NULL in it: damaged */
	size_t segment_count;
	size_t at; /* the segment to open next */
	struct segment_iterator *iterator;
	bool is_bucketed;
	const struct segment_cells *cells; /* the present row; NULL behind the last */
	uint64_t head; /* of a pin: what mostly tells its key from another; 0 of others */
	struct zp_slice texts;
};

/* Moves to the next row, or behind the last (0 as well), or tells the damage. */
ZP_MUST_CHECK int run_walk__next(struct run_walk *walk, struct zp_err *err);
/* Before its first row again. */
void run_walk__close(struct run_walk *walk);

/* Runs of one family, the newest first. Set walks, count and layout; the rest is 0 at first. */
struct run_walks {
	struct run_walk *walks; /* borrowed */
	size_t count;
	struct segment_layout layout; /* the family's: how rows are compared */
	struct run_walk *
	    *order; /* owned: those that have a row, by it, of equal keys the newest first */
	size_t order_count;
	uint64_t rows_in;     /* that were read */
	uint64_t rows_hidden; /* of these: a newer run's row of the same key came first */
};

void run_walks__init(
    struct run_walks *walks, enum zp_family family, struct run_walk *runs, size_t count);
/* To the first row of all. */
ZP_MUST_CHECK int run_walks__first(struct run_walks *walks, struct zp_err *err);
/* The run whose present row comes next; NULL behind the last. */
static inline const struct run_walk *
run_walks__present(const struct run_walks *walks)
{
	return walks->order_count == 0 ? NULL : walks->order[0];
}
/* The next older row of the present one's key, `nth` from 1 on; NULL: there are no more. */
const struct run_walk *run_walks__older(const struct run_walks *walks, size_t nth);
/* Behind the present row, and behind those that it hides. */
ZP_MUST_CHECK int run_walks__next(struct run_walks *walks, struct zp_err *err);
/* Closes all. */
void run_walks__done(struct run_walks *walks);

#endif
