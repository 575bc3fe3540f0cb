/*
 * scan.c - statuses of pins in the order of keys, and pins that are due.
 *
 * Flow:   command → here → entry_walk.c. Any thread; one thread a scan. (Pins: pin_scan.c.)
 * Rule:   where a run is damaged a scan goes on behind the damage and answers ZP_E_CORRUPT at the
 *         end instead of ZP_END, and believes no older run between the rows around it
 *         (run_source.h).
 */
#include "engine/entry_walk.h"

#include "engine/segment_iterate.h"

struct zp_track_scan {
	struct zp_view *view; /* held */
	struct entry_walk walk;
	struct zp_key from;
	bool only; /* the rows of pin `from` and no others */
	bool has_given;
};

int
zp_track_scan_open(struct zp_view *view, const struct zp_key *from, bool only,
    struct zp_track_scan **scan_out, struct zp_err *err)
{
	struct zp_track_scan *scan = zp_alloc_zero(1, sizeof(*scan));
	struct memtable *const memtables[] = {view->active, view->frozen};
	uint64_t columns[SEGMENT_KEY_COLUMNS_MAX] = {0}; /* peer 0 is before all others */

	(void)err; /* damage is told at the end */
	ZP_ASSERT(from != NULL || !only);
	atomic_fetch_add_explicit(&view->holds, 1, memory_order_relaxed);
	scan->view = view;
	scan->only = only;
	if (from != NULL) {
		scan->from = *from;
		index__key_columns(from, columns);
	}
	entry_walk__init(
	    &scan->walk, ZP_FAMILY_TRACK, from == NULL ? NULL : columns, only ? &scan->from : NULL);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(memtables); i++) {
		struct segment_entry *entries;
		size_t count;

		if (memtables[i] == NULL || memtable__is_empty(memtables[i]))
			continue;
		count = memtable__tracks_sorted(memtables[i], from, only, &entries);
		entry_walk__memory_add(&scan->walk, entries, count);
	}
	entry_walk__begin(&scan->walk, view->version);
	*scan_out = scan;
	return ZP_OK;
}

/* The next row that is no tombstone and can be believed; NULL behind the last. */
static const struct segment_entry *
entry_next(struct zp_track_scan *scan)
{
	struct entry_walk *walk = &scan->walk;

	for (;;) {
		const struct entry_source *present;

		if (scan->has_given)
			entry_walk__next(walk);
		present = entry_walk__present(walk);
		scan->has_given = present != NULL;
		if (present == NULL)
			return NULL;
		if (present->entry.operation != ZP_ROW_TOMBSTONE && !entry_walk__is_doubtful(walk))
			return &present->entry;
	}
}

int
zp_track_scan_next(struct zp_track_scan *scan, struct zp_key *key_out, struct zp_track *track_out,
    struct zp_err *err)
{
	const struct zp_err *damage = &scan->walk.wanted.damage;
	const struct segment_entry *entry = entry_next(scan);
	const char *fault;

	if (entry == NULL)
		return damage->code == ZP_OK
			   ? ZP_END
			   : zp_fail(err, damage->code,
				 "the list lacks statuses that cannot be read: %s", damage->text);
	fault = track__of_entry(entry, key_out, track_out);
	ZP_ASSERT(fault == NULL); /* the iterator checked it, or it is ours */
	if (!scan->only || zp_key_compare(key_out, &scan->from) == 0)
		return ZP_OK;
	/* What comes behind is other pins'; go on only to tell of damage. */
	return damage->code == ZP_OK
		   ? ZP_END
		   : zp_fail(err, damage->code,
			 "statuses of the pin may be in what cannot be read: %s", damage->text);
}

void
zp_track_scan_close(struct zp_track_scan *scan)
{
	if (scan == NULL)
		return;
	entry_walk__done(&scan->walk);
	zp_view_release(scan->view);
	zp_free(scan);
}

/* ---- Pins that are due ----------------------------------------------------------------------- */

struct due {
	struct zp_view *view;
	struct zp_read_scratch *scratch;
	struct zp_key *keys;
	uint64_t *facts;
	size_t keys_max;
	size_t count;
	uint64_t floor;      /* no live entry is below */
	uint64_t column_max; /* entries above are not due */
	uint64_t lowest;     /* the lowest column that must be looked at again */
};

/* Looks the entry's pin up: stale entries are left out, live ones taken. One that cannot be told
 * now is for another time; the others do not wait for it. */
static void
due_entry(struct due *due, const struct segment_entry *entry)
{
	struct zp_record record;
	struct zp_key key;
	uint64_t fact;
	int rc;

	if (entry->operation == ZP_ROW_TOMBSTONE || index__expire_key(entry, &key, NULL) < 0)
		return;
	rc = zp_view_get(due->view, &key, due->scratch, &record, NULL);
	if (rc == ZP_E_NOT_FOUND)
		return;
	if (rc < 0) {
		due->lowest = zp_min_u64(due->lowest, entry->columns[0]);
		return;
	}
	fact = record.facts[ZP_FACT_EXPIRE_AT];
	if (fact == 0 || segment__time_column(zp_unzigzag(fact - 1)) != entry->columns[0])
		return;
	due->keys[due->count] = key;
	due->facts[due->count++] = fact;
	due->lowest = zp_min_u64(due->lowest, entry->columns[0]);
}

static void
due_memtable(struct due *due, struct memtable *memtable)
{
	struct memtable_entries *entries;
	struct segment_entry entry;

	if (memtable == NULL)
		return;
	entries = memtable__entries_open(memtable, ZP_FAMILY_EXPIRE, due->column_max);
	for (size_t i = 0; i < memtable__entries_count(entries) && due->count < due->keys_max;
	     i++) {
		memtable__entries_at(entries, i, &entry);
		due_entry(due, &entry);
	}
	memtable__entries_close(entries);
}

/* Entries behind damage are looked at too, and the damage again another time. */
static int
due_segment(struct due *due, struct segment *segment, struct zp_err *err)
{
	uint64_t from[SEGMENT_KEY_COLUMNS_MAX] = {due->floor};
	struct segment_iterator *iterator;
	struct segment_entry entry;
	unsigned faults = 0;
	int failed = ZP_OK;
	int rc;

	if (segment == NULL)
		return ZP_OK; /* told at start; its pins stay */
	rc = segment__entries_open(segment, from, &iterator, err);
	if (rc < 0)
		return rc;
	while (due->count < due->keys_max &&
	       (rc = segment__entries_next(iterator, &entry, err)) != ZP_END) {
		if (rc < 0) {
			failed = rc;
			if (++faults == FAULTS_MAX)
				break;
			iterator->is_over = false; /* it stands behind the damage */
			continue;
		}
		if (entry.columns[0] > due->column_max)
			break;
		due_entry(due, &entry);
	}
	segment__iterator_close(iterator);
	return failed;
}

/*
 * Raised before looking, so that a change that comes meanwhile lowers it again. A change that came
 * between the view and this is in the view's memtable, unless that was frozen since: then what the
 * view lacks must be looked at with another view, and the floor stays.
 */
static bool
floor_raise(struct due *due)
{
	struct zp_engine *engine = due->view->engine;
	bool is_present;

	due->floor = atomic_exchange(&engine->expire_floor, due->column_max + 1);
	pthread_mutex_lock(&engine->view_lock);
	is_present = engine->view->active == due->view->active;
	pthread_mutex_unlock(&engine->view_lock);
	return is_present;
}

static void
floor_lower(struct zp_engine *engine, uint64_t lower)
{
	uint64_t now = engine->expire_floor;

	while (lower < now && !atomic_compare_exchange_weak(&engine->expire_floor, &now, lower))
		;
}

int
zp_view_expired(struct zp_view *view, int64_t now_seconds, struct zp_read_scratch *scratch,
    struct zp_key *keys_out, uint64_t *expire_facts_out, size_t keys_max, size_t *count_out,
    struct zp_err *err)
{
	struct due due = {.view = view,
	    .scratch = scratch,
	    .keys = keys_out,
	    .facts = expire_facts_out,
	    .keys_max = keys_max,
	    .column_max = segment__time_column(now_seconds),
	    .lowest = UINT64_MAX};
	const struct version *version = view->version;
	struct zp_err why = {0};
	bool is_present;
	int failed = ZP_OK;

	*count_out = 0;
	if (view->engine->expire_floor > due.column_max)
		return ZP_OK;
	is_present = floor_raise(&due);
	due_memtable(&due, view->active);
	due_memtable(&due, view->frozen);
	for (size_t i = 0; i < version->manifest.run_count; i++) {
		const struct manifest_run *run = &version->manifest.runs[i];

		for (size_t j = 0; run->family == ZP_FAMILY_EXPIRE && j < run->segment_count &&
				   due.count < keys_max;
		     j++) {
			int rc = due_segment(&due, version->runs[i][j], &why);

			failed = rc < 0 ? rc : failed;
		}
	}
	/* What is due is looked for again until its deletion is in; an unfinished look begins anew.
	 */
	if (failed < 0 || !is_present || due.count == keys_max)
		due.lowest = zp_min_u64(due.lowest, due.floor);
	floor_lower(view->engine, due.lowest);
	*count_out = due.count;
	/* Some cannot be read: an error when there is nothing else to do. */
	return failed < 0 && due.count == 0 ? zp_fail(err, failed, "%s", why.text) : ZP_OK;
}
