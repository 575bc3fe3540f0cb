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
#include "engine/engine_internal.h"
#include "engine/segment_iterate.h"

#define FAULTS_MAX 64u    /* of one run, then the rest of it is given up */
#define GATHERED_MAX 256u /* rows of pins that begin alike; more are looked up one by one */

/* Keys that a run may have and could not give; both inclusive. */
struct hole {
	uint8_t first[ACCESSES_KEY_BYTES];
	uint8_t last[ACCESSES_KEY_BYTES];
};

/* One sorted input. */
struct source {
	struct segment_entry *entries; /* of a memtable; owned */
	size_t entry_count;
	size_t entry_at;
	struct segment **segments; /* of a run; borrowed */
	const struct segment_info *infos;
	size_t segment_count;
	size_t segment_at; /* the next to open */
	struct segment_iterator *iterator;
	struct segment_entry entry;           /* the present one */
	uint8_t last_key[ACCESSES_KEY_BYTES]; /* that the present segment gave, or its first */
	bool in_hole; /* the walk's newest hole is this source's and ends with its next row */
	bool over;
	unsigned faults;
	size_t hole; /* which */
};

struct gathered {
	uint64_t columns[SEGMENT_ACCESS_COLUMNS];
	struct accesses_sum sum;
	bool is_given;
};

struct zp_accesses_walk {
	struct zp_view *view; /* held */
	bool only;
	bool has_from;
	uint64_t from[SEGMENT_KEY_COLUMNS_MAX];
	uint8_t from_bytes[ACCESSES_KEY_BYTES];
	struct source *sources; /* newest first */
	size_t source_count;
	struct hole *holes; /* owned */
	size_t hole_count;
	struct zp_err damage; /* the first */
	bool has_head;
	uint64_t head; /* of those gathered */
	struct gathered gathered[GATHERED_MAX];
	size_t gathered_count;
	bool gathered_more;  /* than there was room for */
	uint64_t rows;       /* that were passed and are no tombstones, */
	uint64_t rows_given; /* and of these were asked for */
};

/* ---- One input ------------------------------------------------------------------------------- */

static void
hole_open(struct zp_accesses_walk *walk, struct source *source, const struct zp_err *why)
{
	const struct segment_info *info = &source->infos[source->segment_at - 1];
	struct hole *hole;

	if (walk->damage.code == ZP_OK)
		walk->damage = *why;
	if (!source->in_hole) {
		walk->holes =
		    zp_realloc(walk->holes, (walk->hole_count + 1) * sizeof(walk->holes[0]));
		source->hole = walk->hole_count++;
		memcpy(walk->holes[source->hole].first, source->last_key, ACCESSES_KEY_BYTES);
	}
	source->in_hole = true;
	hole = &walk->holes[source->hole];
	memcpy(hole->last, info->last_key, ACCESSES_KEY_BYTES);
}

static void
hole_close(struct zp_accesses_walk *walk, struct source *source)
{
	accesses__key_encode(source->entry.columns, source->last_key);
	if (source->in_hole)
		memcpy(walk->holes[source->hole].last, source->last_key, ACCESSES_KEY_BYTES);
	source->in_hole = false;
}

static bool
segment_is_wanted(const struct zp_accesses_walk *walk, const struct segment_info *info)
{
	if (!walk->has_from)
		return true;
	return memcmp(info->last_key, walk->from_bytes, ACCESSES_KEY_BYTES) >= 0 &&
	       (!walk->only || memcmp(info->first_key, walk->from_bytes, ACCESSES_KEY_BYTES) <= 0);
}

static void
segment_next(struct zp_accesses_walk *walk, struct source *source)
{
	while (source->iterator == NULL && source->segment_at < source->segment_count) {
		const struct segment_info *info = &source->infos[source->segment_at];
		struct segment *segment = source->segments[source->segment_at++];
		struct zp_err why = {0};
		int rc;

		if (!segment_is_wanted(walk, info))
			continue;
		source->in_hole = false;
		memcpy(source->last_key, info->first_key, ACCESSES_KEY_BYTES);
		rc = segment == NULL
			 ? segment__unopened_fault(ZP_FAMILY_ACCESS, info, &why)
			 : segment__entries_open(segment, walk->has_from ? walk->from : NULL,
			       &source->iterator, &why);
		if (rc == ZP_OK)
			return;
		source->iterator = NULL;
		hole_open(walk, source, &why);
	}
	source->over = source->iterator == NULL;
}

static void
source_next(struct zp_accesses_walk *walk, struct source *source)
{
	if (source->segments == NULL) {
		source->over = source->entry_at == source->entry_count;
		if (!source->over)
			source->entry = source->entries[source->entry_at++];
		return;
	}
	for (;;) {
		struct zp_err why = {0};
		int rc;

		if (source->iterator == NULL)
			segment_next(walk, source);
		if (source->over)
			return;
		rc = segment__entries_next(source->iterator, &source->entry, &why);
		if (rc == ZP_OK) {
			hole_close(walk, source);
			return;
		}
		if (rc < 0) {
			hole_open(walk, source, &why);
			if (++source->faults < FAULTS_MAX) {
				source->iterator->is_over = false; /* it stands behind the damage */
				continue;
			}
		}
		segment__iterator_close(source->iterator);
		source->iterator = NULL;
	}
}

/* ---- The walk -------------------------------------------------------------------------------- */

static void
memory_open(
    struct zp_accesses_walk *walk, const struct memtable *memtable, const struct zp_key *only)
{
	struct source *source = &walk->sources[walk->source_count];

	if (memtable == NULL)
		return;
	walk->source_count++;
	source->entry_count = memtable__accesses_sorted(memtable, only, &source->entries);
}

static void
sources_open(struct zp_accesses_walk *walk, const struct zp_key *only)
{
	const struct version *version = walk->view->version;

	walk->sources = zp_alloc_zero(2 + version->manifest.run_count, sizeof(walk->sources[0]));
	memory_open(walk, walk->view->active, only);
	memory_open(walk, walk->view->frozen, only);
	for (size_t i = 0; i < version->manifest.run_count; i++) {
		const struct manifest_run *run = &version->manifest.runs[i];

		if (run->family != ZP_FAMILY_ACCESS)
			continue;
		walk->sources[walk->source_count++] = (struct source){
		    .segments = version->runs[i],
		    .infos = run->segments,
		    .segment_count = run->segment_count,
		};
	}
	for (size_t i = 0; i < walk->source_count; i++)
		source_next(walk, &walk->sources[i]);
}

int
zp_accesses_walk_open(struct zp_view *view, const struct zp_key *from, bool only,
    struct zp_accesses_walk **walk_out, struct zp_err *err)
{
	struct zp_accesses_walk *walk;
	struct zp_key short_key;
	int rc = engine__suspended_check(view->engine, err);

	ZP_ASSERT(from != NULL || !only);
	if (rc < 0)
		return rc;
	walk = zp_alloc_zero(1, sizeof(*walk));
	atomic_fetch_add_explicit(&view->holds, 1, memory_order_relaxed);
	walk->view = view;
	walk->only = only;
	walk->has_from = from != NULL;
	if (from != NULL) {
		short_key = accesses__short_key(view->engine->options.cluster_id, from);
		accesses__columns(&short_key, walk->from);
		if (!only) /* all that begin alike: their tags are in no order */
			memset(walk->from + 1, 0, sizeof(walk->from) - sizeof(walk->from[0]));
		accesses__key_encode(walk->from, walk->from_bytes);
	}
	sources_open(walk, only ? &short_key : NULL);
	*walk_out = walk;
	return ZP_OK;
}

void
zp_accesses_walk_close(struct zp_accesses_walk *walk)
{
	if (walk == NULL)
		return;
	for (size_t i = 0; i < walk->source_count; i++) {
		zp_free(walk->sources[i].entries);
		segment__iterator_close(walk->sources[i].iterator);
	}
	zp_free(walk->sources);
	zp_free(walk->holes);
	zp_view_release(walk->view);
	zp_free(walk);
}

static struct source *
smallest_of(struct zp_accesses_walk *walk)
{
	struct source *smallest = NULL;

	for (size_t i = 0; i < walk->source_count; i++) {
		struct source *source = &walk->sources[i];

		if (!source->over &&
		    (smallest == NULL || segment__columns_compare(source->entry.columns,
					     smallest->entry.columns, SEGMENT_ACCESS_COLUMNS) < 0))
			smallest = source;
	}
	return smallest;
}

/* What the rows of the smallest key come to; moves behind them. */
static void
sum_take(struct zp_accesses_walk *walk, struct source *smallest, struct gathered *row_out)
{
	memcpy(row_out->columns, smallest->entry.columns, sizeof(row_out->columns));
	row_out->sum = accesses__of_entry(&smallest->entry);
	row_out->is_given = false;
	for (struct source *older = smallest; older < walk->sources + walk->source_count; older++) {
		struct accesses_sum sum;

		if (older->over || segment__columns_compare(older->entry.columns, row_out->columns,
				       SEGMENT_ACCESS_COLUMNS) != 0)
			continue;
		if (older != smallest) {
			sum = accesses__of_entry(&older->entry);
			accesses__combine(&row_out->sum, &sum);
		}
		source_next(walk, older);
	}
	walk->rows += !row_out->sum.is_end;
}

/* Whether the row is behind all that may be asked for of that head. */
static bool
is_behind(const struct zp_accesses_walk *walk, const uint64_t *columns, uint64_t head)
{
	if (walk->only)
		return segment__columns_compare(columns, walk->from, SEGMENT_ACCESS_COLUMNS) > 0;
	return columns[0] > head;
}

/* Moves to the rows of pins whose digests begin like that; or to the only one that is wanted. */
static void
head_gather(struct zp_accesses_walk *walk, uint64_t head)
{
	struct source *smallest;

	ZP_ASSERT(!walk->has_head || head > walk->head);
	walk->has_head = true;
	walk->head = head;
	walk->gathered_count = 0;
	walk->gathered_more = false;
	while ((smallest = smallest_of(walk)) != NULL &&
	       !is_behind(walk, smallest->entry.columns, head)) {
		struct gathered row;

		sum_take(walk, smallest, &row);
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
	uint8_t key[ACCESSES_KEY_BYTES];

	if (walk->hole_count == 0)
		return false;
	accesses__key_encode(columns, key);
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
		    "accesses of the pin may be in what cannot be read: %s", walk->damage.text);
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
	struct source *smallest;
	struct gathered row;

	while ((smallest = smallest_of(walk)) != NULL)
		sum_take(walk, smallest, &row);
	return walk->hole_count > 0 || walk->gathered_more ? 0 : walk->rows - walk->rows_given;
}
