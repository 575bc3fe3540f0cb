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
	return walk->family == ZP_FAMILY_PIN
		   ? segment__iterator_open(segment, NULL, SEGMENT_READ_ALL, &walk->iterator, err)
		   : segment__entries_open(segment, NULL, &walk->iterator, err);
}

int
run_walk__next(struct run_walk *walk, struct zp_err *err)
{
	int rc;

	for (;;) {
		if (walk->iterator == NULL && walk->at == walk->segment_count) {
			walk->is_over = true;
			return ZP_OK;
		}
		rc = walk->iterator == NULL ? next_open(walk, err) : ZP_OK;
		if (rc < 0)
			return rc;
		rc = walk->family == ZP_FAMILY_PIN
			 ? segment__iterator_next(walk->iterator, &walk->row, err)
			 : segment__entries_next(walk->iterator, &walk->entry, err);
		if (rc != ZP_END)
			return rc;
		segment__iterator_close(walk->iterator);
		walk->iterator = NULL;
	}
}

int
run_walk__compare(const struct run_walk *a, const struct run_walk *b)
{
	return a->family == ZP_FAMILY_PIN ? zp_key_compare(&a->row.key, &b->row.key)
					  : segment__columns_compare(a->entry.columns,
						b->entry.columns, segment__key_columns(a->family));
}

struct run_walk *
run_walk__smallest(struct run_walk *walks, size_t count)
{
	struct run_walk *smallest = NULL;

	for (size_t i = 0; i < count; i++) {
		if (!walks[i].is_over &&
		    (smallest == NULL || run_walk__compare(&walks[i], smallest) < 0))
			smallest = &walks[i];
	}
	return smallest;
}

void
run_walk__close(struct run_walk *walk)
{
	segment__iterator_close(walk->iterator);
	walk->iterator = NULL;
	walk->at = 0;
	walk->is_over = false;
}
