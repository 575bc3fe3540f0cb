/*
 * scan.c - live pins in key order, their statuses in the same order, and pins that are due.
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

/* Of a pin its key, of a track row its columns. */
#define KEY_BYTES_MAX SEGMENT_KEY_FIELD_BYTES

/* Keys that a run may have and could not give. */
struct hole {
	bool is_there;
	uint8_t first[KEY_BYTES_MAX]; /* both inclusive; zeros behind a pin's key */
	uint8_t last[KEY_BYTES_MAX];
};

/* One sorted input: a memtable's rows or a run. */
struct source {
	struct memtable_rows *rows; /* of a memtable, family pin */
	struct segment_entry *entries; /* of a memtable, family track; owned */
	size_t entry_count;
	size_t entry_at;
	struct segment **segments; /* NULL: a memtable */
	const struct segment_info *infos;
	size_t segment_count;
	size_t segment_at; /* the next to open */
	struct segment_iterator *iterator;
	struct segment_row row;	    /* the present one, family pin */
	struct segment_entry entry; /* likewise, family track */
	bool has_row;		    /* of this segment: it was read from it */
	bool over;
	unsigned faults;
	struct hole hole; /* right before the present row, or at the end */
};

struct zp_scan {
	struct zp_view *view; /* held */
	enum zp_family family;
	enum segment_read read;
	bool has_from;
	bool only; /* of family track: the rows of pin `from` and no others */
	struct zp_key from;
	uint64_t from_columns[SEGMENT_KEY_COLUMNS_MAX]; /* of family track */
	uint8_t from_bytes[KEY_BYTES_MAX];
	struct source *sources; /* newest first */
	size_t source_count;
	struct source *given; /* whose row the caller has: moved on at the next call */
	struct zp_err damage; /* the first; code 0: none */
	void (*fault)(void *context, const struct zp_err *why); /* or NULL */
	void *context;
};

/* ---- One input ------------------------------------------------------------------------------- */

static bool
is_pin(const struct zp_scan *scan)
{
	return scan->family == ZP_FAMILY_PIN;
}

static void
source_key(const struct zp_scan *scan, const struct source *source, uint8_t key_out[KEY_BYTES_MAX])
{
	if (!is_pin(scan)) {
		segment__columns_key_encode(source->entry.columns, SEGMENT_TRACK_COLUMNS, key_out);
		return;
	}
	memset(key_out, 0, KEY_BYTES_MAX);
	zp_key_encode(&source->row.key, key_out);
}

/* The key that the source's segment gave last: after a failure its present row is none. */
static void
last_key(const struct source *source, uint8_t key_out[KEY_BYTES_MAX])
{
	const struct segment_iterator *iterator = source->iterator;

	segment__cells_key_encode(&iterator->segment->layout, iterator->last, key_out);
}

static int
source_compare(const struct zp_scan *scan, const struct source *a, const struct source *b)
{
	return is_pin(scan) ? zp_key_compare(&a->row.key, &b->row.key)
			    : segment__columns_compare(
				  a->entry.columns, b->entry.columns, SEGMENT_TRACK_COLUMNS);
}

static void
damage_note(struct zp_scan *scan, const struct zp_err *why)
{
	if (scan->damage.code == ZP_OK)
		scan->damage = *why;
	if (scan->fault != NULL)
		scan->fault(scan->context, why);
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
		last_key(source, hole->first);
	else if (!hole->is_there)
		memcpy(hole->first, info->first_key, KEY_BYTES_MAX);
	memcpy(hole->last, info->last_key, KEY_BYTES_MAX);
	if (!is_whole) /* the manifest has only the keys' beginnings; behind them are zeros */
		memset(hole->last + 48, 0xff, KEY_BYTES_MAX - 48);
	hole->is_there = true;
}

static void
hole_close(const struct zp_scan *scan, struct source *source)
{
	if (source->hole.is_there)
		source_key(scan, source, source->hole.last);
}

/* Whether the segment (NULL: damaged) may have what the scan is for. */
static bool
segment_is_wanted(const struct zp_scan *scan, const struct segment *segment,
    const struct segment_info *info)
{
	if (!scan->has_from)
		return true;
	if (memcmp(info->last_key, scan->from_bytes, 48) < 0)
		return false;
	return !scan->only || (memcmp(info->first_key, scan->from_bytes, 48) <= 0 &&
				  (segment == NULL || segment__may_contain(segment, &scan->from)));
}

/* On the source's segment `at`. */
static int
iterator_open(
    const struct zp_scan *scan, size_t at, struct source *source, struct zp_err *err)
{
	struct segment *segment = source->segments[at];

	if (segment == NULL)
		return segment__unopened_fault(scan->family, &source->infos[at], err);
	if (is_pin(scan))
		return segment__iterator_open(segment, scan->has_from ? &scan->from : NULL,
		    scan->read, &source->iterator, err);
	return segment__entries_open(
	    segment, scan->has_from ? scan->from_columns : NULL, &source->iterator, err);
}

/* Opens the source's next segment that may have keys at or after `from`. */
static void
source_open_next(struct zp_scan *scan, struct source *source)
{
	while (source->iterator == NULL && source->segment_at < source->segment_count) {
		size_t at = source->segment_at++;
		struct zp_err why = {0};

		source->has_row = false;
		if (!segment_is_wanted(scan, source->segments[at], &source->infos[at]))
			continue;
		if (iterator_open(scan, at, source, &why) == ZP_OK)
			return;
		source->iterator = NULL;
		damage_note(scan, &why);
		hole_open(source);
	}
	source->over = source->iterator == NULL;
}

static void
memory_next(const struct zp_scan *scan, struct source *source)
{
	if (is_pin(scan)) {
		source->over = memtable__rows_next(source->rows, &source->row) == ZP_END;
		return;
	}
	source->over = source->entry_at == source->entry_count;
	if (!source->over)
		source->entry = source->entries[source->entry_at++];
}

static int
iterator_next(const struct zp_scan *scan, struct source *source, struct zp_err *err)
{
	return is_pin(scan) ? segment__iterator_next(source->iterator, &source->row, err)
			    : segment__entries_next(source->iterator, &source->entry, err);
}

static void
source_next(struct zp_scan *scan, struct source *source)
{
	if (source->segments == NULL) {
		memory_next(scan, source);
		return;
	}
	source->hole.is_there = false;
	for (;;) {
		struct zp_err why; /* not cleared for each of a million rows: read after a failure only */
		int rc;

		if (source->iterator == NULL)
			source_open_next(scan, source);
		if (source->over)
			return;
		why.code = ZP_OK;
		why.text[0] = '\0';
		rc = iterator_next(scan, source, &why);
		if (rc == ZP_OK) {
			source->has_row = true;
			hole_close(scan, source);
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
	uint8_t key[KEY_BYTES_MAX];

	if (scan->damage.code == ZP_OK)
		return false;
	source_key(scan, source, key);
	for (const struct source *newer = scan->sources; newer < source; newer++) {
		if (newer->hole.is_there && memcmp(key, newer->hole.first, sizeof(key)) >= 0 &&
		    memcmp(key, newer->hole.last, sizeof(key)) <= 0)
			return true;
	}
	return false;
}

static void
memory_open(struct zp_scan *scan, struct memtable *memtable)
{
	struct source *source = &scan->sources[scan->source_count];

	if (memtable == NULL || memtable__is_empty(memtable))
		return;
	scan->source_count++;
	if (is_pin(scan))
		source->rows =
		    memtable__rows_open(memtable, scan->has_from ? scan->from_bytes : NULL);
	else
		source->entry_count = memtable__tracks_sorted(memtable,
		    scan->has_from ? &scan->from : NULL, scan->only, &source->entries);
}

static void
sources_open(struct zp_scan *scan)
{
	const struct version *version = scan->view->version;

	scan->sources =
	    zp_alloc_zero(2 + version->manifest.run_count, sizeof(scan->sources[0]));
	memory_open(scan, scan->view->active);
	memory_open(scan, scan->view->frozen);
	for (size_t i = 0; i < version->manifest.run_count; i++) {
		const struct manifest_run *run = &version->manifest.runs[i];

		if (run->family != scan->family)
			continue;
		scan->sources[scan->source_count++] = (struct source){
		    .segments = version->runs[i],
		    .infos = run->segments,
		    .segment_count = run->segment_count,
		};
	}
	for (size_t i = 0; i < scan->source_count; i++)
		source_next(scan, &scan->sources[i]);
}

static struct zp_scan *
scan_new(struct zp_view *view, enum zp_family family, const struct zp_key *from)
{
	struct zp_scan *scan = zp_alloc_zero(1, sizeof(*scan));

	atomic_fetch_add_explicit(&view->holds, 1, memory_order_relaxed);
	scan->view = view;
	scan->family = family;
	scan->has_from = from != NULL;
	if (from == NULL)
		return scan;
	scan->from = *from;
	if (is_pin(scan)) {
		zp_key_encode(from, scan->from_bytes);
	} else {
		index__key_columns(from, scan->from_columns); /* peer 0 is before all others */
		segment__columns_key_encode(
		    scan->from_columns, SEGMENT_TRACK_COLUMNS, scan->from_bytes);
	}
	return scan;
}

int
zp_scan_open(struct zp_view *view, const struct zp_scan_options *options,
    struct zp_scan **scan_out, struct zp_err *err)
{
	struct zp_scan *scan = scan_new(view, ZP_FAMILY_PIN, options->from);

	(void)err; /* damage is told at the end */
	scan->fault = options->fault;
	scan->context = options->context;
	scan->read = options->without_texts ? SEGMENT_READ_WITHOUT_TEXTS : SEGMENT_READ_ALL;
	sources_open(scan);
	*scan_out = scan;
	return ZP_OK;
}

int
zp_track_scan_open(struct zp_view *view, const struct zp_key *from, bool only,
    struct zp_scan **scan_out, struct zp_err *err)
{
	struct zp_scan *scan = scan_new(view, ZP_FAMILY_TRACK, from);

	(void)err; /* damage is told at the end */
	ZP_ASSERT(from != NULL || !only);
	scan->only = only;
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
		order = smallest == NULL ? -1 : source_compare(scan, source, smallest);
		if (order < 0)
			smallest = source;
	}
	for (size_t i = 0; smallest != NULL && i < scan->source_count; i++) {
		struct source *source = &scan->sources[i];

		if (source != smallest && !source->over &&
		    source_compare(scan, source, smallest) == 0)
			source_next(scan, source);
	}
	return smallest;
}

/* The next row that is no tombstone and can be believed. */
static int
scan_next(struct zp_scan *scan, struct zp_err *err)
{
	for (;;) {
		const struct source *given;
		uint8_t operation;

		if (scan->given != NULL)
			source_next(scan, scan->given);
		given = scan->given = scan_step(scan);
		if (given == NULL) {
			if (scan->damage.code == ZP_OK)
				return ZP_END;
			return zp_fail(err, scan->damage.code,
			    "the list lacks %s that cannot be read: %s",
			    is_pin(scan) ? "pins" : "statuses", scan->damage.text);
		}
		operation = is_pin(scan) ? given->row.operation : given->entry.operation;
		if (operation != ZP_ROW_TOMBSTONE && !source_is_doubtful(scan, given))
			return ZP_OK;
	}
}

int
zp_scan_next(struct zp_scan *scan, struct zp_key *key_out, struct zp_record *record_out,
    struct zp_err *err)
{
	int rc;

	ZP_ASSERT(is_pin(scan));
	rc = scan_next(scan, err);
	if (rc == ZP_OK) {
		*key_out = scan->given->row.key;
		*record_out = scan->given->row.record;
	}
	return rc;
}

int
zp_track_scan_next(struct zp_scan *scan, struct zp_key *key_out, struct zp_track *track_out,
    struct zp_err *err)
{
	const char *fault;
	int rc;

	ZP_ASSERT(!is_pin(scan));
	rc = scan_next(scan, err);
	if (rc != ZP_OK)
		return rc;
	fault = track__of_entry(&scan->given->entry, key_out, track_out);
	ZP_ASSERT(fault == NULL); /* the iterator checked it, or it is ours */
	if (!scan->only || zp_key_compare(key_out, &scan->from) == 0)
		return ZP_OK;
	/* What comes behind is other pins'; go on only to tell of damage. */
	return scan->damage.code == ZP_OK
		   ? ZP_END
		   : zp_fail(err, scan->damage.code,
			 "statuses of the pin may be in what cannot be read: %s",
			 scan->damage.text);
}

void
zp_scan_close(struct zp_scan *scan)
{
	if (scan == NULL)
		return;
	for (size_t i = 0; i < scan->source_count; i++) {
		memtable__rows_close(scan->sources[i].rows);
		zp_free(scan->sources[i].entries);
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
due_memtable(struct due *due, struct memtable *memtable)
{
	struct memtable_entries *entries;
	struct segment_entry entry;

	if (memtable == NULL)
		return;
	entries = memtable__entries_open(memtable, ZP_FAMILY_EXPIRE, due->column_max);
	for (size_t i = 0;
	     i < memtable__entries_count(entries) && due->count < due->keys_max; i++) {
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
