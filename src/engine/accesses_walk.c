/*
 * accesses_walk.c - what is known of accesses, pin by pin in the order of their keys.
 *
 * Flow:   command → a walk beside a scan of the same view's pins, or for one pin. Any thread; one a
 *         walk.
 * Rule:   a pin's facts are what all its rows come to, so one that cannot be read makes them
 * unknown, wherever it stands: never a number that lacks something.
 *
 * Rows have no more of a digest than its first 8 bytes in order (accesses.h), so those of pins
 * whose digests begin alike are gathered, and then found by their tags. By chance there are never
 * two.
 */
#include "engine/accesses.h"
#include "engine/entry_walk.h"

#define GATHERED_MAX 256u /* rows of pins that begin alike; more are looked up one by one */

struct gathered {
	uint64_t columns[SEGMENT_ACCESS_COLUMNS];
	struct accesses_sum sum;
	bool is_given;
};

struct zp_accesses_walk {
	struct zp_view *view; /* held */
	bool only;
	struct entry_walk rows;
	struct zp_key from; /* a short key */
	uint64_t from_columns[SEGMENT_KEY_COLUMNS_MAX];
	struct hole *holes; /* owned: all that were met, in whichever run */
	size_t hole_count;
	bool has_head;
	uint64_t head; /* of those gathered */
	struct gathered gathered[GATHERED_MAX];
	size_t gathered_count;
	bool gathered_more;   /* than there was room for */
	uint64_t rows_passed; /* and are no tombstones, */
	uint64_t rows_given;  /* and of these were asked for */
};

/* ---- Opening --------------------------------------------------------------------------------- */

static void
hole_add(void *context, const struct hole *hole)
{
	struct zp_accesses_walk *walk = context;

	walk->holes = zp_realloc(walk->holes, (walk->hole_count + 1) * sizeof(walk->holes[0]));
	walk->holes[walk->hole_count++] = *hole;
}

static void
rows_begin(struct zp_accesses_walk *walk, bool has_from)
{
	const struct zp_key *only = walk->only ? &walk->from : NULL;
	struct memtable *const memtables[] = {walk->view->active, walk->view->frozen};

	entry_walk__init(&walk->rows, ZP_FAMILY_ACCESS, has_from ? walk->from_columns : NULL, only);
	walk->rows.hole = hole_add;
	walk->rows.context = walk;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(memtables); i++) {
		struct segment_entry *entries;
		size_t count;

		if (memtables[i] == NULL)
			continue;
		count = memtable__accesses_sorted(memtables[i], only, &entries);
		entry_walk__memory_add(&walk->rows, entries, count);
	}
	entry_walk__begin(&walk->rows, walk->view->version);
}

int
zp_accesses_walk_open(struct zp_view *view, const struct zp_key *from, bool only,
    struct zp_accesses_walk **walk_out, struct zp_err *err)
{
	struct zp_accesses_walk *walk;
	int rc = engine__suspended_check(view->engine, err);

	ZP_ASSERT(from != NULL || !only);
	if (rc < 0)
		return rc;
	walk = zp_alloc_zero(1, sizeof(*walk));
	atomic_fetch_add_explicit(&view->holds, 1, memory_order_relaxed);
	walk->view = view;
	walk->only = only;
	if (from != NULL) {
		walk->from = accesses__short_key(view->engine->options.cluster_id, from);
		accesses__columns(&walk->from, walk->from_columns);
		if (!only) /* all that begin alike: their tags are in no order */
			memset(walk->from_columns + 1, 0,
			    sizeof(walk->from_columns) - sizeof(walk->from_columns[0]));
	}
	rows_begin(walk, from != NULL);
	*walk_out = walk;
	return ZP_OK;
}

void
zp_accesses_walk_close(struct zp_accesses_walk *walk)
{
	if (walk == NULL)
		return;
	entry_walk__done(&walk->rows);
	zp_free(walk->holes);
	zp_view_release(walk->view);
	zp_free(walk);
}

/* ---- The walk -------------------------------------------------------------------------------- */

/* What the rows of the present key come to; moves behind them. */
static void
sum_take(struct zp_accesses_walk *walk, struct gathered *row_out)
{
	const struct entry_source *row = entry_walk__present(&walk->rows);

	ZP_ASSERT(row != NULL); /* the caller looked */
	memcpy(row_out->columns, row->entry.columns, sizeof(row_out->columns));
	row_out->sum = accesses__of_entry(&row->entry);
	row_out->is_given = false;
	for (size_t nth = 1; (row = entry_walk__older(&walk->rows, nth)) != NULL; nth++) {
		struct accesses_sum sum = accesses__of_entry(&row->entry);

		accesses__combine(&row_out->sum, &sum);
	}
	entry_walk__next(&walk->rows);
	walk->rows_passed += !row_out->sum.is_end;
}

/* Whether the row is behind all that may be asked for of that head. */
static bool
is_behind(const struct zp_accesses_walk *walk, const uint64_t *columns, uint64_t head)
{
	if (walk->only)
		return segment__columns_compare(
			   columns, walk->from_columns, SEGMENT_ACCESS_COLUMNS) > 0;
	return columns[0] > head;
}

/* Moves to the rows of pins whose digests begin like that; or to the only one that is wanted. */
static void
head_gather(struct zp_accesses_walk *walk, uint64_t head)
{
	const struct entry_source *present;

	ZP_ASSERT(!walk->has_head || head > walk->head);
	walk->has_head = true;
	walk->head = head;
	walk->gathered_count = 0;
	walk->gathered_more = false;
	while ((present = entry_walk__present(&walk->rows)) != NULL &&
	       !is_behind(walk, present->entry.columns, head)) {
		struct gathered row;

		sum_take(walk, &row);
		if (row.columns[0] != head || row.sum.is_end)
			continue;
		if (walk->gathered_count < GATHERED_MAX)
			walk->gathered[walk->gathered_count++] = row;
		else
			walk->gathered_more = true;
	}
}

static bool
is_in_hole(const struct zp_accesses_walk *walk, const uint64_t columns[SEGMENT_ACCESS_COLUMNS])
{
	uint8_t key[SOURCE_KEY_BYTES];

	if (walk->hole_count == 0)
		return false;
	segment__columns_key_encode(columns, SEGMENT_ACCESS_COLUMNS, key);
	for (size_t i = 0; i < walk->hole_count; i++) {
		if (memcmp(key, walk->holes[i].first, sizeof(key)) >= 0 &&
		    memcmp(key, walk->holes[i].last, sizeof(key)) <= 0)
			return true;
	}
	return false;
}

int
zp_accesses_walk_get(struct zp_accesses_walk *walk, const struct zp_key *key,
    struct zp_accesses *access_out, struct zp_err *err)
{
	struct zp_key short_key = accesses__short_key(walk->view->engine->options.cluster_id, key);
	uint64_t columns[SEGMENT_ACCESS_COLUMNS];

	accesses__columns(&short_key, columns);
	if (!walk->has_head || columns[0] != walk->head)
		head_gather(walk, columns[0]);
	if (is_in_hole(walk, columns))
		return zp_fail(err, ZP_E_CORRUPT,
		    "accesses of the pin may be in what cannot be read: %s",
		    walk->rows.wanted.damage.text);
	*access_out = (struct zp_accesses){0};
	for (size_t i = 0; i < walk->gathered_count; i++) {
		struct gathered *row = &walk->gathered[i];

		if (segment__columns_compare(row->columns, columns, SEGMENT_ACCESS_COLUMNS) != 0)
			continue;
		walk->rows_given += !row->is_given;
		row->is_given = true;
		*access_out = (struct zp_accesses){
		    .count = row->sum.count, .last_seconds = (int64_t)row->sum.last};
		return ZP_OK;
	}
	if (!walk->gathered_more)
		return ZP_OK;
	return zp_view_accesses_get(walk->view, key, access_out, err);
}

int
zp_view_accesses_get(struct zp_view *view, const struct zp_key *key, struct zp_accesses *access_out,
    struct zp_err *err)
{
	struct zp_accesses_walk *walk;
	int rc = zp_accesses_walk_open(view, key, true, &walk, err);

	if (rc < 0)
		return rc;
	rc = zp_accesses_walk_get(walk, key, access_out, err);
	zp_accesses_walk_close(walk);
	return rc;
}

uint64_t
accesses__walk_end(struct zp_accesses_walk *walk)
{
	struct gathered row;

	while (entry_walk__present(&walk->rows) != NULL)
		sum_take(walk, &row);
	return walk->hole_count > 0 || walk->gathered_more ? 0
							   : walk->rows_passed - walk->rows_given;
}
