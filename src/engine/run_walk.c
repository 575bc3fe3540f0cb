/*
 * run_walk.c - the rows of a run, one segment after the other, and those of several runs in one
 * order.
 *
 * Flow: merge.c and verify_deep.c → here → segment_iterate.c. Scans of pins and statuses have their
 * own (scan.c): they go on behind damage, and know which keys it may have cost.
 */
#include "engine/run_walk.h"

static int
next_open(struct run_walk *walk, struct zp_err *err)
{
	struct segment *segment = walk->segments[walk->at++];

	if (segment == NULL)
		return zp_fail(err, ZP_E_CORRUPT, "a segment of the run is damaged");
	walk->is_bucketed = segment__is_bucketed(segment__family(segment));
	return walk->is_bucketed
		   ? segment__iterator_open(segment, NULL, SEGMENT_READ_ALL, &walk->iterator, err)
		   : segment__entries_open(segment, NULL, &walk->iterator, err);
}

/* Where a checksum of its own is wrong ZFS says that it cannot read. */
static void
damage_note(struct run_walk *walk, int rc)
{
	struct segment *segment = walk->segments[walk->at - 1];

	if (segment != NULL && (rc == ZP_E_CORRUPT || rc == ZP_E_IO))
		segment->is_damaged = true;
}

int
run_walk__next(struct run_walk *walk, struct zp_err *err)
{
	int rc;

	for (;;) {
		if (walk->iterator == NULL && walk->at == walk->segment_count) {
			walk->cells = NULL;
			return ZP_OK;
		}
		rc = walk->iterator == NULL ? next_open(walk, err) : ZP_OK;
		if (rc == ZP_OK)
			rc = segment__cells_next(walk->iterator, &walk->cells, &walk->texts, err);
		if (rc == ZP_OK && walk->is_bucketed)
			walk->head = zp_load_u64be(walk->cells->digest);
		if (rc < 0)
			damage_note(walk, rc);
		if (rc != ZP_END)
			return rc;
		segment__iterator_close(walk->iterator);
		walk->iterator = NULL;
	}
}

void
run_walk__close(struct run_walk *walk)
{
	segment__iterator_close(walk->iterator);
	walk->iterator = NULL;
	walk->cells = NULL;
	walk->at = 0;
}

/* ---- Several --------------------------------------------------------------------------------- */

void
run_walks__init(struct run_walks *walks, enum zp_family family, struct run_walk *runs, size_t count)
{
	*walks = (struct run_walks){.walks = runs, .count = count};
	segment__layout_init(&walks->layout, family, 0, 0, 0, 0);
	walks->order = zp_alloc(count * sizeof(walks->order[0]));
}

void
run_walks__done(struct run_walks *walks)
{
	for (size_t i = 0; i < walks->count; i++)
		run_walk__close(&walks->walks[i]);
	segment__layout_done(&walks->layout);
	zp_free(walks->order);
}

static int
compare(const struct run_walks *walks, const struct run_walk *a, const struct run_walk *b)
{
	if (a->head != b->head)
		return a->head < b->head ? -1 : 1;
	return segment__cells_compare(&walks->layout, a->cells, b->cells);
}

/* Puts `walk` among order[from] and those behind it, which are in order. There is room. */
static void
order_insert(struct run_walks *walks, struct run_walk *walk, size_t from)
{
	size_t at = from;

	for (; at < walks->order_count; at++) {
		int difference = compare(walks, walk, walks->order[at]);

		if (difference < 0 || (difference == 0 && walk < walks->order[at]))
			break;
	}
	memmove(&walks->order[at + 1], &walks->order[at],
	    (walks->order_count - at) * sizeof(walks->order[0]));
	walks->order[at] = walk;
	walks->order_count++;
}

int
run_walks__first(struct run_walks *walks, struct zp_err *err)
{
	walks->order_count = 0;
	for (size_t i = 0; i < walks->count; i++) {
		int rc = run_walk__next(&walks->walks[i], err);

		if (rc < 0)
			return rc;
		if (walks->walks[i].cells == NULL)
			continue;
		walks->rows_in++;
		order_insert(walks, &walks->walks[i], 0);
	}
	return ZP_OK;
}

/* Moves order[at] to its next row and its new place, which is there or behind. */
static int
advance(struct run_walks *walks, size_t at, struct zp_err *err)
{
	struct run_walk *walk = walks->order[at];
	int rc = run_walk__next(walk, err);

	if (rc < 0)
		return rc;
	if (walk->cells != NULL) {
		walks->rows_in++;
		/* Runs of times follow each other: mostly it stays where it is. */
		if (at + 1 == walks->order_count || compare(walks, walk, walks->order[at + 1]) < 0)
			return ZP_OK;
	}
	walks->order_count--;
	memmove(&walks->order[at], &walks->order[at + 1],
	    (walks->order_count - at) * sizeof(walks->order[0]));
	if (walk->cells != NULL)
		order_insert(walks, walk, at);
	return ZP_OK;
}

const struct run_walk *
run_walks__older(const struct run_walks *walks, size_t nth)
{
	return nth < walks->order_count && compare(walks, walks->order[0], walks->order[nth]) == 0
		   ? walks->order[nth]
		   : NULL;
}

int
run_walks__next(struct run_walks *walks, struct zp_err *err)
{
	while (walks->order_count > 1 && compare(walks, walks->order[0], walks->order[1]) == 0) {
		int rc = advance(walks, 1, err);

		if (rc < 0)
			return rc;
		walks->rows_hidden++;
	}
	return advance(walks, 0, err);
}
