/*
 * times.c - see times.h.
 */
#include "engine/times.h"

#include "engine/run_walk.h"

#define PINS_SHIFT 2u
_Static_assert(TIMES_OPERATION_MAX >> PINS_SHIFT == TIMES_PINS_MAX - 1, "all counts fit");
#define ENDS (TIMES_REPLACES | ZP_ROW_TOMBSTONE) /* the only one that may be of no pin */

struct times_sum
times__of_operation(uint64_t operation)
{
	uint64_t kind = operation & ENDS;
	int64_t pins = (int64_t)(operation >> PINS_SHIFT) + (kind != ENDS);

	return (struct times_sum){.pins = (kind & ZP_ROW_TOMBSTONE) != 0 ? -pins : pins,
	    .replaces = (kind & TIMES_REPLACES) != 0};
}

uint64_t
times__operation(const struct times_sum *sum)
{
	uint64_t pins = (uint64_t)(sum->pins < 0 ? -sum->pins : sum->pins);
	uint64_t kind =
	    (sum->replaces ? TIMES_REPLACES : 0) | (sum->pins > 0 ? ZP_ROW_PUT : ZP_ROW_TOMBSTONE);

	ZP_ASSERT(!times__is_nothing(sum) && pins <= (uint64_t)TIMES_PINS_MAX);
	return (pins - (kind != ENDS)) << PINS_SHIFT | kind;
}

static int64_t
limited(int64_t pins)
{
	return pins > TIMES_PINS_MAX    ? TIMES_PINS_MAX
	       : pins < -TIMES_PINS_MAX ? -TIMES_PINS_MAX
					: pins;
}

void
times__combine(struct times_sum *newer, const struct times_sum *older)
{
	if (newer->replaces)
		return;
	newer->pins = limited(newer->pins + older->pins);
	newer->replaces = older->replaces;
}

struct times_sum
times__of_rows(const struct run_walks *walks)
{
	size_t operation = walks->layout.operation_column;
	const struct run_walk *walk = run_walks__present(walks);
	struct times_sum sum = times__of_operation(walk->cells->columns[operation]);

	for (size_t nth = 1; (walk = run_walks__older(walks, nth)) != NULL; nth++) {
		struct times_sum older = times__of_operation(walk->cells->columns[operation]);

		times__combine(&sum, &older);
	}
	return sum;
}

bool
times__is_one_row(const struct run_walks *walks)
{
	enum { HEAD = 2 };

	return walks->order_count == 1 ||
	       walks->order[0]->cells->columns[HEAD] != walks->order[1]->cells->columns[HEAD];
}
