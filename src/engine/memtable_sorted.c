/*
 * memtable_sorted.c - a memtable's rows in order: pins, entries of time and expire, statuses,
 * accesses.
 *
 * Flow:    flush.c and scan.c. Any thread: they are the rows that were there when it was opened.
 * Digests: are uniform, so pins are spread into as many buckets as there are rows; chosen ones cost
 *          a sort.
 */
#include "engine/memtable_internal.h"

#include "engine/accesses.h"

#include <stdlib.h>

enum {
	SORT_PART_ITEMS = 4096,
	SORT_PARTS_MAX = 1024,
};

/* ---- Pins ------------------------------------------------------------------------------------ */

struct sort_item {
	uint64_t prefix; /* first 8 bytes of the key, as a number */
	const struct entry *entry;
	uint64_t number;
};

struct memtable_rows {
	struct memtable *memtable; /* held */
	struct sort_item *items;
	size_t items_bytes;
	size_t count;
	size_t at;
};

/* By key; of equal keys the newest first. */
static int
sort_item_compare(const void *left, const void *right)
{
	const struct sort_item *a = left, *b = right;
	int order;

	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	order = memcmp(a->entry->key, b->entry->key, ZP_KEY_BYTES);
	if (order != 0)
		return order;
	return a->number > b->number ? -1 : 1;
}

/* A range of prefixes, cut into equal buckets. */
struct buckets {
	uint64_t low;
	unsigned shift; /* brings the range's highest bit to the top */
	uint64_t count;
};

static struct buckets
buckets_of(const struct sort_item *items, size_t count, uint64_t buckets)
{
	uint64_t low = UINT64_MAX, high = 0;

	for (size_t i = 0; i < count; i++) {
		low = zp_min_u64(low, items[i].prefix);
		high = zp_max_u64(high, items[i].prefix);
	}
	return (struct buckets){.low = low,
	    .shift = high == low ? 0 : (unsigned)__builtin_clzll(high - low),
	    .count = buckets};
}

/* Never falls as the prefix rises. */
static size_t
bucket_of(const struct buckets *buckets, const struct sort_item *item)
{
	uint64_t above = (item->prefix - buckets->low) << buckets->shift;

	return (size_t)(((unsigned __int128)above * buckets->count) >> 64);
}

/* Moves items from one array to the other by their buckets. ends[i] is then where bucket i ends;
 * there is room for one more. */
static void
items_spread(const struct sort_item *from, struct sort_item *to, size_t count,
    const struct buckets *buckets, uint32_t *ends)
{
	memset(ends, 0, (buckets->count + 1) * sizeof(*ends));
	for (size_t i = 0; i < count; i++)
		ends[bucket_of(buckets, &from[i]) + 1]++;
	for (size_t i = 0; i < buckets->count; i++)
		ends[i + 1] += ends[i];
	for (size_t i = 0; i < count; i++)
		to[ends[bucket_of(buckets, &from[i])]++] = from[i];
}

/* A bucket. Nearly all have few items, which are not worth a call of qsort. */
static void
bucket_sort(struct sort_item *items, size_t count)
{
	enum { FEW = 16 };

	if (count > FEW) {
		qsort(items, count, sizeof(*items), sort_item_compare);
		return;
	}
	for (size_t i = 1; i < count; i++) {
		struct sort_item item = items[i];
		size_t at = i;

		for (; at > 0 && sort_item_compare(&item, &items[at - 1]) < 0; at--)
			items[at] = items[at - 1];
		items[at] = item;
	}
}

/*
 * Digests are uniform, so as many buckets as items leave about one in each. Prefixes that are not
 * (chosen ones) share buckets, which are sorted like any array.
 */
static void
part_sort(const struct sort_item *from, struct sort_item *to, size_t count, uint32_t *ends)
{
	struct buckets buckets = buckets_of(from, count, count);

	items_spread(from, to, count, &buckets, ends);
	for (size_t i = 0, begin = 0; i < count; begin = ends[i++]) {
		if (ends[i] - begin > 1)
			bucket_sort(&to[begin], ends[i] - begin);
	}
}

/* First into parts that the processor's cache holds, so that no item goes to a page of its own. */
static void
items_sort(struct sort_item *items, size_t count)
{
	size_t bytes = count * sizeof(struct sort_item),
	       ends_bytes = (count + 1) * sizeof(uint32_t);
	struct sort_item *spread = zp_pages_alloc(bytes);
	uint32_t *ends = zp_pages_alloc(ends_bytes);
	uint32_t part_ends[SORT_PARTS_MAX + 1];
	struct buckets parts =
	    buckets_of(items, count, zp_min_u64(count / SORT_PART_ITEMS + 1, SORT_PARTS_MAX));

	items_spread(items, spread, count, &parts, part_ends);
	for (size_t i = 0, begin = 0; i < parts.count; begin = part_ends[i++])
		part_sort(&spread[begin], &items[begin], part_ends[i] - begin, ends);
	zp_pages_free(spread, bytes);
	zp_pages_free(ends, ends_bytes);
}

static bool
item_is_same_key(const struct sort_item *a, const struct sort_item *b)
{
	/* The entries lie anywhere in memory: mostly there is no need to look at them. */
	return a->prefix == b->prefix && memcmp(a->entry->key, b->entry->key, ZP_KEY_BYTES) == 0;
}

/* Keeps the first of equal keys. */
static size_t
items_unique(struct sort_item *items, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (kept == 0 || !item_is_same_key(&items[kept - 1], &items[i]))
			items[kept++] = items[i];
	}
	return kept;
}

struct memtable_rows *
memtable__rows_open(struct memtable *memtable, const uint8_t *from)
{
	struct memtable_rows *rows = zp_alloc_zero(1, sizeof(*rows));
	uint64_t count = log_count(&memtable->pins.log);

	rows->memtable = memtable__hold(memtable);
	rows->items_bytes = count * sizeof(rows->items[0]);
	rows->items = zp_pages_alloc(rows->items_bytes);
	for (uint64_t i = 0; i < count; i++) {
		const struct entry *entry = (const struct entry *)log_at(&memtable->pins.log, i);

		if (from != NULL && memcmp(entry->key, from, ZP_KEY_BYTES) < 0)
			continue;
		rows->items[rows->count++] = (struct sort_item){
		    .prefix = zp_load_u64be(entry->key), .entry = entry, .number = i};
	}
	items_sort(rows->items, rows->count);
	rows->count = items_unique(rows->items, rows->count);
	return rows;
}

size_t
memtable__rows_count(const struct memtable_rows *rows)
{
	return rows->count;
}

/* Entry `index`, and those that come next brought nearer. */
static const struct entry *
entry_take(const struct memtable_rows *rows, size_t index)
{
	enum { ENTRY_AHEAD = 16, VALUE_AHEAD = 8 }; /* the value's place is in the entry */

	ZP_ASSERT(index < rows->count);
	if (index + ENTRY_AHEAD < rows->count)
		__builtin_prefetch(rows->items[index + ENTRY_AHEAD].entry);
	if (index + VALUE_AHEAD < rows->count)
		__builtin_prefetch(rows->items[index + VALUE_AHEAD].entry->value);
	return rows->items[index].entry;
}

void
memtable__rows_at(const struct memtable_rows *rows, size_t index, struct segment_cells *cells_out,
    struct zp_slice *texts_out)
{
	struct segment_row row;

	memtable__entry_row(entry_take(rows, index), &row);
	segment__row_cells(&row, cells_out);
	*texts_out = row.record.texts;
}

int
memtable__rows_next(struct memtable_rows *rows, struct segment_row *row_out)
{
	if (rows->at == rows->count)
		return ZP_END;
	memtable__entry_row(entry_take(rows, rows->at++), row_out);
	return ZP_OK;
}

void
memtable__rows_close(struct memtable_rows *rows)
{
	if (rows == NULL)
		return;
	memtable__release(rows->memtable);
	zp_pages_free(rows->items, rows->items_bytes);
	zp_free(rows);
}

/* ---- Ordered families ------------------------------------------------------------------------ */

/* One row. Mostly the first three tell it from another. */
struct entry_item {
	uint64_t moment;
	uint64_t head;         /* the first 64 bits of the digest */
	uint32_t namespace_id; /* of family time, whose rows are ordered by it first; 0 of others */
	uint32_t number;       /* in the log: the newest is the highest */
};

struct memtable_entries {
	struct memtable *memtable; /* held */
	enum zp_family family;
	const struct log *log;
	struct entry_item *items;
	size_t items_bytes;
	size_t count;
};

static const struct index_row *
index_row_at(const struct memtable_entries *entries, uint32_t number)
{
	return (const struct index_row *)(const void *)log_at(entries->log, number);
}

static const struct entry *
index_row_pin(const struct memtable_entries *entries, const struct index_row *row)
{
	return (const struct entry *)log_at(&entries->memtable->pins.log, row->entry);
}

static void
item_entry(const struct memtable_entries *entries, uint32_t number, struct segment_entry *entry_out)
{
	const struct index_row *row = index_row_at(entries, number);
	struct zp_key key;

	ZP_ASSERT(zp_key_decode(index_row_pin(entries, row)->key, &key, NULL) == ZP_OK);
	*entry_out = (struct segment_entry){.operation = (uint8_t)row->operation};
	index__entry_columns(entries->family, &key, row->moment, entry_out->columns);
}

/* By columns; 0 only when all are the same. */
static int
item_columns_compare(
    const struct memtable_entries *entries, const struct entry_item *a, const struct entry_item *b)
{
	struct segment_entry left, right;

	if (a->namespace_id != b->namespace_id)
		return a->namespace_id < b->namespace_id ? -1 : 1;
	if (a->moment != b->moment)
		return a->moment < b->moment ? -1 : 1;
	if (a->head != b->head)
		return a->head < b->head ? -1 : 1;
	item_entry(entries, a->number, &left);
	item_entry(entries, b->number, &right);
	return segment__columns_compare(
	    left.columns, right.columns, segment__key_columns(entries->family));
}

/* Of equal columns the newest first. */
static int
entry_item_order(const void *left, const void *right, void *context)
{
	const struct entry_item *a = left, *b = right;
	int order = item_columns_compare(context, a, b);

	return order != 0 ? order : a->number > b->number ? -1 : 1;
}

static bool
is_same_moment(const struct entry_item *a, const struct entry_item *b)
{
	return a->namespace_id == b->namespace_id && a->moment == b->moment;
}

/* Pins mostly come in the order of their times, so that only those of one second are not in order.
 */
static void
entry_items_sort(struct memtable_entries *entries)
{
	struct entry_item *items = entries->items;
	size_t end;

	for (size_t begin = 0; begin < entries->count; begin = end) {
		bool is_sorted = true;

		for (end = begin + 1;
		     end < entries->count && is_same_moment(&items[begin], &items[end]); end++)
			is_sorted = is_sorted &&
				    item_columns_compare(entries, &items[end - 1], &items[end]) < 0;
		if (!is_sorted)
			qsort_r(&items[begin], end - begin, sizeof(items[0]), entry_item_order,
			    entries);
		if (end < entries->count &&
		    item_columns_compare(entries, &items[end - 1], &items[end]) > 0) {
			qsort_r(items, entries->count, sizeof(items[0]), entry_item_order, entries);
			return;
		}
	}
}

struct memtable_entries *
memtable__entries_open(struct memtable *memtable, enum zp_family family, uint64_t moment_max)
{
	struct memtable_entries *entries = zp_alloc_zero(1, sizeof(*entries));
	uint64_t count;
	size_t kept = 0;

	entries->memtable = memtable__hold(memtable);
	entries->family = family;
	entries->log = family == ZP_FAMILY_TIME ? &memtable->times : &memtable->expiries;
	count = log_count(entries->log);
	entries->items_bytes = count * sizeof(entries->items[0]);
	entries->items = zp_pages_alloc(entries->items_bytes);
	for (uint32_t i = 0; i < count; i++) {
		const struct index_row *row = index_row_at(entries, i);
		const uint8_t *key = index_row_pin(entries, row)->key;

		if (row->moment <= moment_max)
			entries->items[entries->count++] = (struct entry_item){
			    .moment = row->moment,
			    .head = zp_load_u64be(key),
			    .namespace_id = family == ZP_FAMILY_TIME ? zp_load_u32be(key + 42) : 0,
			    .number = i};
	}
	entry_items_sort(entries);
	for (size_t i = 0; i < entries->count; i++) {
		if (kept == 0 || item_columns_compare(
				     entries, &entries->items[kept - 1], &entries->items[i]) != 0)
			entries->items[kept++] = entries->items[i];
	}
	entries->count = kept;
	return entries;
}

size_t
memtable__entries_count(const struct memtable_entries *entries)
{
	return entries->count;
}

void
memtable__entries_at(
    const struct memtable_entries *entries, size_t index, struct segment_entry *entry_out)
{
	ZP_ASSERT(index < entries->count);
	item_entry(entries, entries->items[index].number, entry_out);
}

void
memtable__entries_close(struct memtable_entries *entries)
{
	if (entries == NULL)
		return;
	memtable__release(entries->memtable);
	zp_pages_free(entries->items, entries->items_bytes);
	zp_free(entries);
}

/* ---- Statuses ------------------------------------------------------------------------------- */

static int
track_order(const void *left, const void *right)
{
	const struct segment_entry *a = left, *b = right;

	for (size_t i = 0; i < SEGMENT_TRACK_COLUMNS; i++) {
		if (a->columns[i] != b->columns[i])
			return a->columns[i] < b->columns[i] ? -1 : 1;
	}
	return 0;
}

/* Adds the entry's row, unless it leaves no trace. */
static size_t
track_add(const struct track_entry *entry, struct segment_entry *entries, size_t count)
{
	const struct segment_value *value =
	    atomic_load_explicit(&entry->value, memory_order_acquire);
	struct zp_key key;

	if (value == NULL && !entry->had_old)
		return count;
	ZP_ASSERT(zp_key_decode(entry->key, &key, NULL) == ZP_OK);
	track__entry_of_key(&key, entry->peer, &entries[count]);
	entries[count].operation = value == NULL ? ZP_ROW_TOMBSTONE : ZP_ROW_PUT;
	entries[count].value = value;
	return count + 1;
}

size_t
memtable__tracks_sorted(const struct memtable *memtable, const struct zp_key *from, bool only,
    struct segment_entry **entries_out)
{
	const struct log *log = &memtable->tracks.log;
	const struct track_entry *entry = NULL;
	uint8_t from_bytes[ZP_KEY_BYTES] = {0};
	uint64_t count = log_count(log);
	struct segment_entry *entries;
	size_t kept = 0, room = 0;

	if (from != NULL)
		zp_key_encode(from, from_bytes);
	if (only) {
		entry = memtable__find(memtable, &memtable->tracks, from_bytes);
		for (const struct track_entry *other = entry; other != NULL; other = other->other)
			room++;
	}
	entries = zp_alloc((only ? room : count) * sizeof(*entries));
	for (; entry != NULL; entry = entry->other)
		kept = track_add(entry, entries, kept);
	for (uint64_t i = 0; !only && i < count; i++) {
		entry = (const struct track_entry *)log_at(log, i);
		if (memcmp(entry->key, from_bytes, ZP_KEY_BYTES) >= 0)
			kept = track_add(entry, entries, kept);
	}
	qsort(entries, kept, sizeof(*entries), track_order);
	*entries_out = entries;
	return kept;
}

/* ---- Accesses ------------------------------------------------------------------------------- */

static int
access_order(const void *left, const void *right)
{
	const struct segment_entry *a = left, *b = right;

	return segment__columns_compare(a->columns, b->columns, SEGMENT_ACCESS_COLUMNS);
}

static void
access_entry_set(
    const struct access_entry *entry, struct segment_value *value, struct segment_entry *entry_out)
{
	uint64_t count = atomic_load_explicit(&entry->count, memory_order_acquire);
	struct accesses_sum sum = {.count = count & ~ACCESS_HIDES,
	    .last = atomic_load_explicit(&entry->last, memory_order_relaxed),
	    .replaces = (count & ACCESS_HIDES) != 0};
	struct zp_key key;

	sum.is_end = sum.count == 0; /* and then it hides */
	ZP_ASSERT(zp_key_decode(entry->key, &key, NULL) == ZP_OK);
	*entry_out = (struct segment_entry){0};
	accesses__columns(&key, entry_out->columns);
	accesses__to_entry(&sum, value, entry_out);
}

size_t
memtable__accesses_sorted(
    const struct memtable *memtable, const struct zp_key *only, struct segment_entry **entries_out)
{
	const struct log *log = &memtable->accesses.log;
	const struct access_entry *entry = NULL;
	uint64_t count = log_count(log);
	struct segment_entry *entries;
	struct segment_value *values;
	uint8_t bytes[ZP_KEY_BYTES];

	if (only != NULL) {
		zp_key_encode(only, bytes);
		entry = memtable__find(memtable, &memtable->accesses, bytes);
		count = entry != NULL;
	}
	entries = zp_alloc(count * (sizeof(*entries) + sizeof(*values)));
	values = (struct segment_value *)(entries + count);
	for (uint64_t i = 0; i < count; i++)
		access_entry_set(only != NULL ? entry : (const struct access_entry *)log_at(log, i),
		    &values[i], &entries[i]);
	if (count > 1)
		qsort(entries, count, sizeof(*entries), access_order);
	*entries_out = entries;
	return count;
}
