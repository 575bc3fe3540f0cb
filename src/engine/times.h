/*
 * times.h - rows of family time: how many pins want an entry; private to engine/.
 *
 * An entry has no more of a digest than its first 8 bytes, and whoever may pin chooses digests: so
 * pins may share one. Its rows are added up: one that is there counts the pins that came to want
 * the entry, a tombstone those that do no more, and what they come to is how many there are. A row
 * that `replaces` says that older ones do not count: so do all rows of files that were written
 * before rows were added up.
 *
 * Pure. Format: docs/formats.md, "Columns".
 */
#ifndef ZP_ENGINE_TIMES_H
#define ZP_ENGINE_TIMES_H

#include "engine/segment.h"

#define TIMES_PINS_MAX (INT64_C(1) << 40) /* of one entry; counts stay there */

/* What rows of one entry come to, the newer ones of them at least. */
struct times_sum {
	int64_t pins; /* more than older rows say; below 0: fewer */
	bool replaces;
};

/* What stands in the column of the operation: bit 0 a tombstone, as of all families; bit 1
 * replaces; above them how many pins, less 1 where it can't be none. */
#define TIMES_REPLACES UINT64_C(2)
#define TIMES_OPERATION_MAX ((UINT64_C(1) << 42) - 1) /* others are refused */
struct times_sum times__of_operation(uint64_t operation);
uint64_t times__operation(const struct times_sum *sum); /* of one that says something */

/* Whether the row would say nothing: then there is none. */
static inline bool
times__is_nothing(const struct times_sum *sum)
{
	return sum->pins == 0 && !sum->replaces;
}

/* `newer` becomes what it and the next older row come to. In any grouping the result is the same,
 * short of the limit. */
void times__combine(struct times_sum *newer, const struct times_sum *older);

/* What the present row of runs and older ones of its key come to. */
struct run_walks;
struct times_sum times__of_rows(const struct run_walks *walks);
/* Whether it is the only one of its key by the beginning of its digest, which is quick to see. */
bool times__is_one_row(const struct run_walks *walks);

#endif
