/*
 * created.c - which pins may have been created when: from entries of family time back to keys.
 *
 * Flow:   command's lists by creation → here → memtable_times.c for pins in memory, entry_walk.c
 * for entries in files, and for each of these the pins' runs, for the keys that begin so. Any
 * thread.
 *
 * Rule:   an entry too many costs a look that finds nothing; there is never one too few
 * (docs/formats.md, "Time").
 */
#include "engine/entry_walk.h"
#include "engine/times.h"

#include <stdlib.h>

#define HEAD_BYTES 8u /* of a digest, that an entry has */

enum time_column { TIME_NAMESPACE, TIME_CREATED, TIME_HEAD, TIME_KIND, TIME_CODEC, TIME_CLAIM };

struct search {
	const struct zp_created_wanted *wanted;
	struct zp_view *view;
	struct zp_err damage; /* the first; code 0: none */
};

static void
fault_take(void *context, const struct zp_err *why)
{
	struct search *search = context;

	if (search->damage.code == ZP_OK)
		search->damage = *why;
	if (search->wanted->fault != NULL)
		search->wanted->fault(search->wanted->context, why);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static int
memory_key(void *context, uint64_t moment, const uint8_t bytes[ZP_KEY_BYTES])
{
	const struct search *search = context;
	struct zp_key key;

	ZP_ASSERT(zp_key_decode(bytes, &key, NULL) == ZP_OK); /* ours */
	return search->wanted->each(search->wanted->context, segment__time_of_column(moment), &key);
}

static int
memory_keys(struct search *search)
{
	const struct zp_created_range *range = &search->wanted->range;
	const struct memtable_times times = {
	    .namespace_id = range->namespace_id,
	    .first = segment__time_column(range->first),
	    .last = segment__time_column(range->last),
	    .head_first = range->head_first,
	    .head_last = range->head_last,
	};
	int rc = ZP_OK;

	if (search->view->active != NULL)
		rc = memtable__created_keys(search->view->active, &times, memory_key, search);
	if (rc == ZP_OK && search->view->frozen != NULL)
		rc = memtable__created_keys(search->view->frozen, &times, memory_key, search);
	return rc;
}

/* ---- Pins whose digests begin so ------------------------------------------------------------- */

/* A pin whose newest row says another time is not wanted, and one whose older row does may be
 * given: then that newer row is found. */
static bool
is_in_range(const struct segment_row *row, const struct zp_created_range *range)
{
	int64_t created = zp_unzigzag(row->record.facts[ZP_FACT_CREATED]);

	return row->operation != ZP_ROW_TOMBSTONE && row->key.namespace_id == range->namespace_id &&
	       created >= range->first && created <= range->last;
}

/* Those that the segment has from `from` on, the first key of all whose digests begin so. */
static int
segment_keys(struct search *search, struct segment *segment, const struct zp_key *from)
{
	struct segment_iterator *iterator;
	struct segment_row row;
	struct zp_err why = {0};
	int rc = segment__iterator_open(segment, from, SEGMENT_READ_WITHOUT_TEXTS, &iterator, &why);
	int told = ZP_OK;

	if (rc < 0) {
		fault_take(search, &why);
		return ZP_OK;
	}
	while (told == ZP_OK && (rc = segment__iterator_next(iterator, &row, &why)) == ZP_OK &&
	       memcmp(row.key.digest, from->digest, HEAD_BYTES) == 0) {
		if (is_in_range(&row, &search->wanted->range))
			told = search->wanted->each(search->wanted->context,
			    zp_unzigzag(row.record.facts[ZP_FACT_CREATED]), &row.key);
	}
	segment__iterator_close(iterator);
	if (rc < 0)
		fault_take(search, &why);
	return told;
}

/* The first segment of the run that does not end before the digests that begin so. */
static size_t
segment_of_head(const struct manifest_run *run, uint64_t head)
{
	size_t low = 0, high = run->segment_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (zp_load_u64be(run->segments[middle].last_key) < head)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int
run_keys(struct search *search, size_t run_at, uint64_t head)
{
	const struct version *version = search->view->version;
	const struct manifest_run *run = &version->manifest.runs[run_at];
	struct zp_key from = {0};
	int rc = ZP_OK;

	zp_store_u64be(from.digest, head);
	for (size_t at = segment_of_head(run, head);
	     rc == ZP_OK && at < run->segment_count &&
	     zp_load_u64be(run->segments[at].first_key) <= head;
	     at++) {
		struct segment *segment = version->runs[run_at][at];
		struct zp_err why = {0};

		if (segment != NULL) {
			rc = segment_keys(search, segment, &from);
			continue;
		}
		zp_ignore(segment__unopened_fault(ZP_FAMILY_PIN, &run->segments[at], &why));
		fault_take(search, &why);
	}
	return rc;
}

static int
head_keys(struct search *search, uint64_t head)
{
	const struct manifest *manifest = &search->view->version->manifest;
	int rc = ZP_OK;

	for (size_t i = 0; rc == ZP_OK && i < manifest->run_count; i++) {
		if (manifest->runs[i].family == ZP_FAMILY_PIN)
			rc = run_keys(search, i, head);
	}
	return rc;
}

/* ---- Entries in files ------------------------------------------------------------------------ */

/* Beginnings of digests. However many pins, or entries, have one: it is looked for once. */
struct heads {
	uint64_t *items; /* owned */
	size_t count;
	size_t capacity;
};

static int
heads_add(struct heads *heads, uint64_t head, size_t heads_max)
{
	if (heads->count > 0 && heads->items[heads->count - 1] == head)
		return ZP_OK;
	if (heads->count == heads_max)
		return ZP_E_FULL;
	if (heads->count == heads->capacity) {
		heads->capacity = 2 * heads->capacity + 64;
		heads->items = zp_realloc(heads->items, heads->capacity * sizeof(heads->items[0]));
	}
	heads->items[heads->count++] = head;
	return ZP_OK;
}

static int
head_compare(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

/* How many pins want the entry that comes next, as far as the files know. */
static int64_t
present_pins(const struct entry_walk *walk)
{
	const struct entry_source *row = entry_walk__present(walk);
	struct times_sum sum = times__of_operation(row->entry.operation);

	for (size_t nth = 1; (row = entry_walk__older(walk, nth)) != NULL; nth++) {
		struct times_sum older = times__of_operation(row->entry.operation);

		times__combine(&sum, &older);
	}
	return sum.pins;
}

static int
heads_gather(struct search *search, struct heads *heads)
{
	const struct zp_created_range *range = &search->wanted->range;
	const uint64_t from[SEGMENT_KEY_COLUMNS_MAX] = {
	    range->namespace_id, segment__time_column(range->first), range->head_first};
	const uint64_t end[SEGMENT_TIME_COLUMNS] = {range->namespace_id,
	    segment__time_column(range->last), range->head_last, UINT64_MAX, UINT64_MAX,
	    UINT64_MAX};
	const struct entry_source *present;
	struct entry_walk walk;
	int rc = ZP_OK;

	entry_walk__init(&walk, ZP_FAMILY_TIME, from, NULL);
	walk.wanted.fault = fault_take;
	walk.wanted.context = search;
	entry_walk__begin(&walk, search->view->version);
	while (rc == ZP_OK && (present = entry_walk__present(&walk)) != NULL &&
	       segment__columns_compare(present->entry.columns, end, SEGMENT_TIME_COLUMNS) <= 0) {
		/* Where rows cannot be read, those that are there do not say how many pins. */
		if (walk.wanted.damage.code != ZP_OK || present_pins(&walk) > 0)
			rc = heads_add(
			    heads, present->entry.columns[TIME_HEAD], search->wanted->keys_max);
		entry_walk__next(&walk);
	}
	entry_walk__done(&walk);
	return rc;
}

static int
file_keys(struct search *search)
{
	struct heads heads = {0};
	int rc = heads_gather(search, &heads);

	if (heads.count > 0)
		qsort(heads.items, heads.count, sizeof(heads.items[0]), head_compare);
	for (size_t i = 0; rc == ZP_OK && i < heads.count; i++) {
		if (i == 0 || heads.items[i] != heads.items[i - 1])
			rc = head_keys(search, heads.items[i]);
	}
	zp_free(heads.items);
	return rc;
}

int
zp_view_created_keys(
    struct zp_view *view, const struct zp_created_wanted *wanted, struct zp_err *err)
{
	const struct zp_created_range *range = &wanted->range;
	struct search search = {.wanted = wanted, .view = view};
	int rc = engine__suspended_check(view->engine, err);

	ZP_ASSERT(range->first <= range->last && range->head_first <= range->head_last);
	ZP_ASSERT(range->first == range->last ||
		  (range->head_first == 0 && range->head_last == UINT64_MAX));
	if (rc == ZP_OK)
		rc = memory_keys(&search);
	if (rc == ZP_OK)
		rc = file_keys(&search);
	if (rc == ZP_OK && search.damage.code != ZP_OK)
		rc = zp_fail(err, ZP_E_CORRUPT, "%s", search.damage.text);
	return rc;
}

/* ---- The latest ------------------------------------------------------------------------------ */

/* The last row at or before `bound`; ZP_END: none. */
static int
segment_last(struct segment *segment, const uint64_t bound[SEGMENT_TIME_COLUMNS],
    uint64_t columns_out[SEGMENT_TIME_COLUMNS])
{
	struct ordered_part part = {0};
	struct segment_iterator *iterator;
	struct segment_entry entry;
	uint64_t first[SEGMENT_KEY_COLUMNS_MAX], block;
	bool found = false;
	int rc = segment__index_load(segment, NULL);

	if (rc == ZP_OK)
		rc = segment__ordered_find(segment, bound, &part, &block, NULL);
	if (rc == ZP_OK)
		segment__ordered_first(segment, block, &part, first);
	segment__ordered_part_done(&part);
	if (rc == ZP_OK)
		rc = segment__entries_open(segment, first, &iterator, NULL);
	if (rc < 0)
		return rc;
	while ((rc = segment__entries_next(iterator, &entry, NULL)) == ZP_OK &&
	       segment__columns_compare(entry.columns, bound, SEGMENT_TIME_COLUMNS) <= 0) {
		memcpy(columns_out, entry.columns, SEGMENT_TIME_COLUMNS * sizeof(columns_out[0]));
		found = true;
	}
	segment__iterator_close(iterator);
	return rc < 0 ? rc : found ? ZP_OK : ZP_END;
}

/* Whether the segment may begin at or before it, by what the manifest has of its first key. */
static bool
begins_by(const struct segment_info *info, const uint64_t bound[SEGMENT_TIME_COLUMNS])
{
	uint64_t namespace_id = zp_load_u64be(info->first_key);

	return namespace_id < bound[TIME_NAMESPACE] ||
	       (namespace_id == bound[TIME_NAMESPACE] &&
		   zp_load_u64be(info->first_key + 8) <= bound[TIME_CREATED]);
}

/* The run's latest column up to the bound, of that namespace. */
static bool
run_last(const struct version *version, size_t run_at, const uint64_t bound[SEGMENT_TIME_COLUMNS],
    uint64_t *created_out)
{
	const struct manifest_run *run = &version->manifest.runs[run_at];

	for (size_t at = run->segment_count; at-- > 0;) {
		struct segment *segment = version->runs[run_at][at];
		uint64_t columns[SEGMENT_TIME_COLUMNS];
		int rc;

		if (!begins_by(&run->segments[at], bound))
			continue;
		rc = segment == NULL ? ZP_E_CORRUPT : segment_last(segment, bound, columns);
		if (rc == ZP_END)
			continue;
		*created_out = rc < 0 ? bound[TIME_CREATED] : columns[TIME_CREATED];
		return rc < 0 || columns[TIME_NAMESPACE] == bound[TIME_NAMESPACE];
	}
	return false;
}

int
zp_view_created_last(struct zp_view *view, uint32_t namespace_id, int64_t last,
    int64_t *created_out, struct zp_err *err)
{
	const uint64_t bound[SEGMENT_TIME_COLUMNS] = {namespace_id, segment__time_column(last),
	    UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
	const struct memtable *const memtables[] = {view->active, view->frozen};
	const struct manifest *manifest = &view->version->manifest;
	uint64_t latest = 0, created;
	bool found = false;
	int rc = engine__suspended_check(view->engine, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(memtables); i++) {
		if (memtables[i] != NULL && memtable__created_last(memtables[i], namespace_id,
						bound[TIME_CREATED], &created)) {
			latest = zp_max_u64(latest, created);
			found = true;
		}
	}
	for (size_t i = 0; i < manifest->run_count; i++) {
		if (manifest->runs[i].family == ZP_FAMILY_TIME &&
		    run_last(view->version, i, bound, &created)) {
			latest = zp_max_u64(latest, created);
			found = true;
		}
	}
	*created_out = segment__time_of_column(latest);
	return found ? ZP_OK : ZP_END;
}
