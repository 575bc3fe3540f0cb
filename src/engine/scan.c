/*
 * scan.c - live pins in key order, and pins that are due.
 *
 * Flow:   command → scan over memtables and runs of a view. Any thread; one thread a scan.
 * Rule:   where a run is damaged the scan goes on behind the damage and answers ZP_E_CORRUPT at the end
 *         instead of ZP_END: what can be read is read, and nobody takes the list for whole. Between the
 *         rows around the damage no older run is believed: what it has may be replaced or deleted.
 */
#include "engine/engine_internal.h"
#include "engine/segment_iterate.h"

/* So many faults of one run in one scan, then the rest of it is given up: a disk that answers each read
 * with an error after half a minute must not hold a scan for days. */
#define FAULTS_MAX 64u

/* Keys that a run may have and could not give. */
struct hole {
	bool is_there;
	uint8_t first[ZP_KEY_BYTES]; /* both inclusive */
	uint8_t last[ZP_KEY_BYTES];
};

/* One sorted input: a memtable's rows or a run. */
struct source {
	struct memtable_rows *rows; /* NULL: a run */
	struct segment **segments;
	const struct segment_info *infos;
	size_t segment_count;
	size_t segment_at; /* the next to open */
	struct segment_iterator *iterator;
	struct segment_row row; /* the present one */
	bool has_row;		/* of this segment: `row` was read from it */
	bool over;
	unsigned faults;
	struct hole hole; /* right before the present row, or at the end */
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

/* The keys of the source's present segment behind the row that was read last cannot be given, up to the
 * next row (hole_close) or the segment's end. */
static void
hole_open(struct source *source)
{
	const struct segment_info *info = &source->infos[source->segment_at - 1];
	bool is_whole = source->segments[source->segment_at - 1] != NULL;
	struct hole *hole = &source->hole;

	if (!hole->is_there && source->has_row)
		zp_key_encode(&source->row.key, hole->first);
	else if (!hole->is_there)
		memcpy(hole->first, info->first_key, ZP_KEY_BYTES);
	memcpy(hole->last, info->last_key, ZP_KEY_BYTES);
	if (!is_whole) /* the manifest has only the keys' beginnings; behind them are zeros */
		memset(hole->last + 48, 0xff, ZP_KEY_BYTES - 48);
	hole->is_there = true;
}

static void
hole_close(struct source *source)
{
	if (source->hole.is_there)
		zp_key_encode(&source->row.key, source->hole.last);
}

/* Opens the source's next segment that may have keys at or after `from`. */
static void
source_open_next(struct zp_scan *scan, struct source *source)
{
	while (source->iterator == NULL && source->segment_at < source->segment_count) {
		size_t at = source->segment_at++;
		const struct zp_key *from = scan->has_from ? &scan->from : NULL;
		struct zp_err why = {0};

		source->has_row = false;
		if (from != NULL && memcmp(source->infos[at].last_key, scan->from_bytes, 48) < 0)
			continue;
		if (source->segments[at] == NULL)
			zp_ignore(zp_fail(&why, ZP_E_CORRUPT, "a segment is damaged"));
		else if (segment__iterator_open(source->segments[at], from, scan->read,
			     &source->iterator, &why) == ZP_OK)
			return;
		source->iterator = NULL;
		damage_note(scan, &why);
		hole_open(source);
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
	source->hole.is_there = false;
	for (;;) {
		struct segment_row row;
		struct zp_err why = {0};
		int rc;

		if (source->iterator == NULL)
			source_open_next(scan, source);
		if (source->over)
			return;
		rc = segment__iterator_next(source->iterator, &row, &why);
		if (rc == ZP_OK) {
			source->row = row;
			source->has_row = true;
			hole_close(source);
			return;
		}
		if (rc < 0) {
			damage_note(scan, &why);
			hole_open(source);
			if (++source->faults < FAULTS_MAX) {
				source->iterator->is_over = false; /* it stands behind the damage */
				continue;
			}
		}
		segment__iterator_close(source->iterator);
		source->iterator = NULL;
	}
}

/* Whether a run that is newer than the source may have a row of its present key that cannot be read. */
static bool
source_is_doubtful(const struct zp_scan *scan, const struct source *source)
{
	uint8_t key[ZP_KEY_BYTES];

	if (scan->damage.code == ZP_OK)
		return false;
	zp_key_encode(&source->row.key, key);
	for (const struct source *newer = scan->sources; newer < source; newer++) {
		if (newer->hole.is_there && memcmp(key, newer->hole.first, ZP_KEY_BYTES) >= 0 &&
		    memcmp(key, newer->hole.last, ZP_KEY_BYTES) <= 0)
			return true;
	}
	return false;
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
		if (scan->given->row.operation == ZP_ROW_TOMBSTONE ||
		    source_is_doubtful(scan, scan->given))
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
	uint64_t floor;	     /* no live entry is below */
	uint64_t column_max; /* entries above are not due */
	uint64_t lowest;     /* the lowest column that must be looked at again */
};

/* Looks the entry's pin up: stale entries are left out, live ones taken. One that cannot be told now is
 * for another time; the others do not wait for it. */
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
	if (fact == 0 || index__time_column(zp_unzigzag(fact - 1)) != entry->columns[0])
		return;
	due->keys[due->count] = key;
	due->facts[due->count++] = fact;
	due->lowest = zp_min_u64(due->lowest, entry->columns[0]);
}

static void
due_memtable(struct due *due, const struct memtable *memtable)
{
	struct segment_entry *entries;
	size_t count;

	if (memtable == NULL)
		return;
	count = memtable__entries_sorted(memtable, ZP_FAMILY_EXPIRE, due->column_max, &entries);
	for (size_t i = 0; i < count && due->count < due->keys_max; i++)
		due_entry(due, &entries[i]);
	zp_free(entries);
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
	struct due due = {.view = view, .scratch = scratch, .keys = keys_out,
	    .facts = expire_facts_out, .keys_max = keys_max,
	    .column_max = index__time_column(now_seconds), .lowest = UINT64_MAX};
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
	/* What is due is looked for again until its deletion is in; an unfinished look begins anew. */
	if (failed < 0 || !is_present || due.count == keys_max)
		due.lowest = zp_min_u64(due.lowest, due.floor);
	floor_lower(view->engine, due.lowest);
	*count_out = due.count;
	/* Some cannot be read: an error when there is nothing else to do. */
	return failed < 0 && due.count == 0 ? zp_fail(err, failed, "%s", why.text) : ZP_OK;
}
