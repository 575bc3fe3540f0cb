/*
 * scan.c - live pins in key order, and pins that are due.
 *
 * Flow:   command → scan over memtables and runs of a view. Any thread; one thread a scan.
 * Rule:   where a run is damaged the scan goes on without it and answers ZP_E_CORRUPT at the end
 *         instead of ZP_END: what can be read is read, and nobody takes the list for whole.
 */
#include "engine/engine_internal.h"

/* One sorted input: a memtable's rows or a run. */
struct source {
	struct memtable_rows *rows; /* NULL: a run */
	struct segment **segments;
	const struct segment_info *infos;
	size_t segment_count;
	size_t segment_at; /* the next to open */
	struct segment_iterator *iterator;
	struct segment_row row; /* the present one */
	bool over;
};

struct zp_scan {
	struct zp_view *view; /* held */
	enum segment_read read;
	bool has_from;
	struct zp_key from;
	uint8_t from_bytes[ZP_KEY_BYTES];
	struct source *sources; /* newest first */
	size_t source_count;
	struct source *given; /* whose row the caller has: moved on at the next call */
	struct zp_err damage; /* the first; code 0: none */
};

static void
damage_note(struct zp_scan *scan, const struct zp_err *why)
{
	if (scan->damage.code == ZP_OK)
		scan->damage = *why;
}

/* Opens the source's next segment that may have keys at or after `from`. */
static void
source_open_next(struct zp_scan *scan, struct source *source)
{
	while (source->iterator == NULL && source->segment_at < source->segment_count) {
		size_t at = source->segment_at++;
		const struct zp_key *from = scan->has_from ? &scan->from : NULL;
		struct zp_err why = {0};

		if (from != NULL && memcmp(source->infos[at].last_key, scan->from_bytes, 48) < 0)
			continue;
		if (source->segments[at] == NULL)
			zp_ignore(zp_fail(&why, ZP_E_CORRUPT, "a segment is damaged"));
		else if (segment__iterator_open(source->segments[at], from, scan->read,
			     &source->iterator, &why) == ZP_OK)
			return;
		source->iterator = NULL;
		damage_note(scan, &why);
	}
	source->over = source->iterator == NULL;
}

static void
source_next(struct zp_scan *scan, struct source *source)
{
	if (source->rows != NULL) {
		source->over = memtable__rows_next(source->rows, &source->row) == ZP_END;
		return;
	}
	for (;;) {
		struct zp_err why = {0};
		int rc;

		if (source->iterator == NULL)
			source_open_next(scan, source);
		if (source->over)
			return;
		rc = segment__iterator_next(source->iterator, &source->row, &why);
		if (rc == ZP_OK)
			return;
		if (rc < 0)
			damage_note(scan, &why);
		segment__iterator_close(source->iterator);
		source->iterator = NULL;
	}
}

static void
sources_open(struct zp_scan *scan)
{
	struct memtable *memtables[] = {scan->view->active, scan->view->frozen};
	const struct version *version = scan->view->version;
	const uint8_t *from = scan->has_from ? scan->from_bytes : NULL;

	scan->sources =
	    zp_alloc_zero(2 + version->manifest.run_count, sizeof(scan->sources[0]));
	for (size_t i = 0; i < ZP_ARRAY_COUNT(memtables); i++) {
		if (memtables[i] != NULL && !memtable__is_empty(memtables[i]))
			scan->sources[scan->source_count++].rows =
			    memtable__rows_open(memtables[i], from);
	}
	for (size_t i = 0; i < version->manifest.run_count; i++) {
		const struct manifest_run *run = &version->manifest.runs[i];

		if (run->family != ZP_FAMILY_PIN)
			break;
		scan->sources[scan->source_count++] = (struct source){
		    .segments = version->runs[i],
		    .infos = run->segments,
		    .segment_count = run->segment_count,
		};
	}
	for (size_t i = 0; i < scan->source_count; i++)
		source_next(scan, &scan->sources[i]);
}

int
zp_scan_open(struct zp_view *view, const struct zp_scan_options *options,
    struct zp_scan **scan_out, struct zp_err *err)
{
	struct zp_scan *scan = zp_alloc_zero(1, sizeof(*scan));

	(void)err; /* damage is told at the end */
	atomic_fetch_add_explicit(&view->holds, 1, memory_order_relaxed);
	scan->view = view;
	scan->read = options->without_texts ? SEGMENT_READ_WITHOUT_TEXTS : SEGMENT_READ_ALL;
	scan->has_from = options->from != NULL;
	if (scan->has_from) {
		scan->from = *options->from;
		zp_key_encode(&scan->from, scan->from_bytes);
	}
	sources_open(scan);
	*scan_out = scan;
	return ZP_OK;
}

/* The newest row of the smallest key, older ones of the same key passed over; NULL at the end. */
static struct source *
scan_step(struct zp_scan *scan)
{
	struct source *smallest = NULL;

	for (size_t i = 0; i < scan->source_count; i++) {
		struct source *source = &scan->sources[i];
		int order;

		if (source->over)
			continue;
		order = smallest == NULL
		    ? -1
		    : zp_key_compare(&source->row.key, &smallest->row.key);
		if (order < 0)
			smallest = source;
	}
	for (size_t i = 0; smallest != NULL && i < scan->source_count; i++) {
		struct source *source = &scan->sources[i];

		if (source != smallest && !source->over &&
		    zp_key_compare(&source->row.key, &smallest->row.key) == 0)
			source_next(scan, source);
	}
	return smallest;
}

int
zp_scan_next(struct zp_scan *scan, struct zp_key *key_out, struct zp_record *record_out,
    struct zp_err *err)
{
	for (;;) {
		if (scan->given != NULL)
			source_next(scan, scan->given);
		scan->given = scan_step(scan);
		if (scan->given == NULL) {
			if (scan->damage.code == ZP_OK)
				return ZP_END;
			return zp_fail(err, scan->damage.code,
			    "the list lacks pins that cannot be read: %s", scan->damage.text);
		}
		if (scan->given->row.operation == ZP_ROW_TOMBSTONE)
			continue;
		*key_out = scan->given->row.key;
		*record_out = scan->given->row.record;
		return ZP_OK;
	}
}

void
zp_scan_close(struct zp_scan *scan)
{
	if (scan == NULL)
		return;
	for (size_t i = 0; i < scan->source_count; i++) {
		memtable__rows_close(scan->sources[i].rows);
		segment__iterator_close(scan->sources[i].iterator);
	}
	zp_free(scan->sources);
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
	uint64_t column_max;   /* entries above are not due */
	uint64_t live_lowest;  /* the lowest column of a pin that is due */
};

/* Looks the entry's pin up: stale entries are left out, live ones taken. */
static int
due_entry(struct due *due, const struct segment_entry *entry, struct zp_err *err)
{
	struct zp_record record;
	struct zp_key key;
	uint64_t fact;
	int rc;

	if (entry->operation == ZP_ROW_TOMBSTONE)
		return ZP_OK;
	rc = index__expire_key(entry, &key, err);
	if (rc < 0)
		return rc;
	rc = zp_view_get(due->view, &key, due->scratch, &record, err);
	if (rc == ZP_E_NOT_FOUND || rc == ZP_E_CORRUPT)
		return ZP_OK; /* gone, or it cannot be told: the others must not wait for it */
	if (rc < 0)
		return rc;
	fact = record.facts[ZP_FACT_EXPIRE_AT];
	if (fact == 0 || index__time_column(zp_unzigzag(fact - 1)) != entry->columns[0])
		return ZP_OK;
	due->keys[due->count] = key;
	due->facts[due->count++] = fact;
	due->live_lowest = zp_min_u64(due->live_lowest, entry->columns[0]);
	return ZP_OK;
}

static int
due_memtable(struct due *due, const struct memtable *memtable, struct zp_err *err)
{
	struct segment_entry *entries;
	size_t count;
	int rc = ZP_OK;

	if (memtable == NULL)
		return ZP_OK;
	count = memtable__entries_sorted(memtable, ZP_FAMILY_EXPIRE, due->column_max, &entries);
	for (size_t i = 0; i < count && due->count < due->keys_max && rc == ZP_OK; i++)
		rc = due_entry(due, &entries[i], err);
	zp_free(entries);
	return rc;
}

static int
due_segment(struct due *due, struct segment *segment, uint64_t floor, struct zp_err *err)
{
	uint64_t from[SEGMENT_KEY_COLUMNS_MAX] = {floor};
	struct segment_iterator *iterator;
	struct segment_entry entry;
	int rc;

	if (segment == NULL)
		return ZP_OK; /* told at start; its pins stay */
	rc = segment__entries_open(segment, from, &iterator, err);
	if (rc < 0)
		return rc;
	while (due->count < due->keys_max &&
	    (rc = segment__entries_next(iterator, &entry, err)) == ZP_OK) {
		if (entry.columns[0] > due->column_max)
			break;
		rc = due_entry(due, &entry, err);
		if (rc < 0)
			break;
	}
	segment__iterator_close(iterator);
	return rc == ZP_END ? ZP_OK : rc;
}

int
zp_view_expired(struct zp_view *view, int64_t now_seconds, struct zp_read_scratch *scratch,
    struct zp_key *keys_out, uint64_t *expire_facts_out, size_t keys_max, size_t *count_out,
    struct zp_err *err)
{
	struct due due = {.view = view, .scratch = scratch, .keys = keys_out,
	    .facts = expire_facts_out, .keys_max = keys_max,
	    .column_max = index__time_column(now_seconds), .live_lowest = UINT64_MAX};
	const struct version *version = view->version;
	uint64_t floor = view->engine->expire_floor, lower;
	int rc;

	*count_out = 0;
	if (floor > due.column_max)
		return ZP_OK;
	/* Raised before looking: a change that comes meanwhile lowers it again. */
	view->engine->expire_floor = due.column_max + 1;
	rc = due_memtable(&due, view->active, err);
	if (rc == ZP_OK)
		rc = due_memtable(&due, view->frozen, err);
	for (size_t i = 0; i < version->manifest.run_count && rc == ZP_OK; i++) {
		const struct manifest_run *run = &version->manifest.runs[i];

		for (size_t j = 0; run->family == ZP_FAMILY_EXPIRE && rc == ZP_OK &&
		     j < run->segment_count && due.count < keys_max;
		     j++)
			rc = due_segment(&due, version->runs[i][j], floor, err);
	}
	/* What is due is looked for again until its deletion is in; an unfinished look begins anew. */
	lower = rc < 0 || due.count == keys_max ? floor : due.live_lowest;
	for (uint64_t now = view->engine->expire_floor;
	     lower < now && !atomic_compare_exchange_weak(&view->engine->expire_floor, &now, lower);)
		;
	*count_out = due.count;
	return rc;
}
