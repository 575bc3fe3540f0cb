/*
 * memtable_sorted.c - a memtable's rows in order: pins, entries of time and expire, statuses,
 * accesses.
 *
 * Flow:    flush.c and scan.c. Any thread: all rows that were there before it was opened, and maybe
 *          some that came meanwhile, of one part and not of another.
 * Digests: are uniform, so pins are spread into as many buckets as there are rows; chosen ones cost
 *          a sort.
 */
#include "engine/memtable_internal.h"

#include "engine/accesses.h"
#include "engine/times.h"

#include <stdlib.h>

enum {
	SORT_PART_ITEMS = 4096,
	SORT_PARTS_MAX = 1024,
	ENTRIES_AHEAD = 64,
};

/* ---- Sorting --------------------------------------------------------------------------------- */

/* What is sorted: by its prefix first, which mostly tells it from all others. */
struct sort_item {
	uint64_t prefix;
	uint64_t at; /* in a log: of equal keys the newest, which is the highest, comes first */
};

/* Of items with the same prefix the keys. */
typedef int (*keys_compare)(const void *context, uint64_t a, uint64_t b);

/* Room for sorting, used again and again, and what is sorted in it. */
struct sort {
	struct sort_item *items;
	struct sort_item *spare;
	uint32_t *ends;
	size_t room;
	size_t count;
	keys_compare compare;
	const void *context;
};

static int
keys_order(const struct sort *sort, const struct sort_item *a, const struct sort_item *b)
{
	/* What the items are of lies anywhere in memory: mostly there is no need to look at it. */
	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	return sort->compare(sort->context, a->at, b->at);
}

static int
item_order(const void *left, const void *right, void *sort)
{
	const struct sort_item *a = left, *b = right;
	int order = keys_order(sort, a, b);

	return order != 0 ? order : a->at > b->at ? -1 : 1;
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
bucket_sort(struct sort *sort, struct sort_item *items, size_t count)
{
	enum { FEW = 16 };

	if (count > FEW) {
		qsort_r(items, count, sizeof(*items), item_order, sort);
		return;
	}
	for (size_t i = 1; i < count; i++) {
		struct sort_item item = items[i];
		size_t at = i;

		for (; at > 0 && item_order(&item, &items[at - 1], sort) < 0; at--)
			items[at] = items[at - 1];
		items[at] = item;
	}
}

/*
 * Digests are uniform, so as many buckets as items leave about one in each. Prefixes that are not
 * (chosen ones) share buckets, which are sorted like any array.
 */
static void
part_sort(struct sort *sort, const struct sort_item *from, struct sort_item *to, size_t count)
{
	struct buckets buckets = buckets_of(from, count, count);
	const uint32_t *ends = sort->ends;

	items_spread(from, to, count, &buckets, sort->ends);
	for (size_t i = 0, begin = 0; i < count; begin = ends[i++]) {
		if (ends[i] - begin > 1)
			bucket_sort(sort, &to[begin], ends[i] - begin);
	}
}

/* First into parts that the processor's cache holds, so that no item goes to a page of its own. */
static void
items_sort(struct sort *sort)
{
	uint32_t part_ends[SORT_PARTS_MAX + 1];
	struct buckets parts = buckets_of(sort->items, sort->count,
	    zp_min_u64(sort->count / SORT_PART_ITEMS + 1, SORT_PARTS_MAX));

	items_spread(sort->items, sort->spare, sort->count, &parts, part_ends);
	for (size_t i = 0, begin = 0; i < parts.count; begin = part_ends[i++])
		part_sort(sort, &sort->spare[begin], &sort->items[begin], part_ends[i] - begin);
}

/* Keeps the first of equal keys. */
static void
items_unique(struct sort *sort)
{
	struct sort_item *items = sort->items;
	size_t kept = 0;

	for (size_t i = 0; i < sort->count; i++) {
		if (kept == 0 || keys_order(sort, &items[kept - 1], &items[i]) != 0)
			items[kept++] = items[i];
	}
	sort->count = kept;
}

static void
sort_done(struct sort *sort)
{
	zp_pages_free(sort->items, sort->room * sizeof(sort->items[0]));
	zp_pages_free(sort->spare, sort->room * sizeof(sort->spare[0]));
	zp_pages_free(sort->ends, (sort->room + 1) * sizeof(sort->ends[0]));
}

/* Empties it, and makes room. */
static void
sort_begin(struct sort *sort, size_t room)
{
	sort->count = 0;
	if (room <= sort->room)
		return;
	sort_done(sort);
	sort->room = room + room / 4; /* the next is about as large */
	sort->items = zp_pages_alloc(sort->room * sizeof(sort->items[0]));
	sort->spare = zp_pages_alloc(sort->room * sizeof(sort->spare[0]));
	sort->ends = zp_pages_alloc((sort->room + 1) * sizeof(sort->ends[0]));
}

/* ---- Pins ------------------------------------------------------------------------------------ */

/* The rows of one partition, in order, are at hand at a time. */
struct memtable_rows {
	struct memtable *memtable;       /* held */
	uint64_t counts[PARTITIONS_MAX]; /* of their logs when it was opened */
	uint8_t from[ZP_KEY_BYTES];      /* nothing before it; zeros: all */
	unsigned first;                  /* partition: of `from` */
	unsigned partition;              /* the next one */
	const struct log *log;           /* of the one at hand */
	struct sort sort;                /* its rows, by the first 64 bits of the key */
	size_t next;
};

static const struct entry *
pin_at(const struct log *log, uint64_t at)
{
	return (const struct entry *)log_at(log, at);
}

static int
pins_compare(const void *log, uint64_t a, uint64_t b)
{
	return memcmp(pin_at(log, a)->key, pin_at(log, b)->key, ZP_KEY_BYTES);
}

/* Takes the next partition in hand. */
static void
partition_open(struct memtable_rows *rows)
{
	uint64_t count = rows->counts[rows->partition];
	bool is_first = rows->partition == rows->first;

	rows->log = &rows->memtable->pins.logs[rows->partition++];
	rows->next = 0;
	sort_begin(&rows->sort, count);
	rows->sort.compare = pins_compare;
	rows->sort.context = rows->log;
	for (uint64_t i = 0; i < count; i++) {
		const struct entry *entry = pin_at(rows->log, i);

		if (is_first && memcmp(entry->key, rows->from, ZP_KEY_BYTES) < 0)
			continue;
		rows->sort.items[rows->sort.count++] =
		    (struct sort_item){.prefix = zp_load_u64be(entry->key), .at = i};
	}
	if (rows->sort.count == 0)
		return;
	items_sort(&rows->sort);
	items_unique(&rows->sort);
}

/* The first that may have keys at or after such a one, which need not be the shard's. */
static unsigned
partition_from(const struct memtable *memtable, uint64_t head)
{
	unsigned rest = 64 - memtable->prefix_bits;

	if (head < memtable->low)
		return 0;
	if (rest < 64 && (head - memtable->low) >> rest != 0)
		return memtable__partitions(memtable);
	return memtable__partition(memtable, head);
}

struct memtable_rows *
memtable__rows_open(struct memtable *memtable, const uint8_t *from)
{
	struct memtable_rows *rows = zp_alloc_zero(1, sizeof(*rows));

	rows->memtable = memtable__hold(memtable);
	for (size_t i = 0; i < memtable__partitions(memtable); i++)
		rows->counts[i] = log_count(&memtable->pins.logs[i]);
	if (from != NULL) {
		memcpy(rows->from, from, ZP_KEY_BYTES);
		rows->first = rows->partition = partition_from(memtable, zp_load_u64be(from));
	}
	return rows;
}

/* The next entry, and those behind it brought nearer; NULL at the end. */
static const struct entry *
rows_step(struct memtable_rows *rows)
{
	enum { ENTRY_AHEAD = 32, VALUE_AHEAD = 16 }; /* the value's place is in the entry */
	const struct sort_item *item;
	size_t left;

	while (rows->next == rows->sort.count) {
		if (rows->partition == memtable__partitions(rows->memtable))
			return NULL;
		partition_open(rows);
	}
	item = &rows->sort.items[rows->next++];
	left = rows->sort.count - rows->next;
	if (left >= ENTRY_AHEAD)
		__builtin_prefetch(pin_at(rows->log, item[ENTRY_AHEAD].at));
	if (left >= VALUE_AHEAD)
		__builtin_prefetch(pin_at(rows->log, item[VALUE_AHEAD].at)->value);
	return pin_at(rows->log, item->at);
}

int
memtable__rows_next(struct memtable_rows *rows, struct segment_row *row_out)
{
	const struct entry *entry = rows_step(rows);

	if (entry == NULL)
		return ZP_END;
	memtable__entry_row(entry, row_out);
	return ZP_OK;
}

static void
cells_of_entry(
    const struct entry *entry, struct segment_cells *cells_out, struct zp_slice *texts_out)
{
	struct segment_row row;

	segment__key_cells(entry->key, cells_out);
	memtable__entry_record(entry, &row.operation, &row.record);
	segment__record_cells(row.operation, &row.record, cells_out);
	*texts_out = row.record.texts;
}

int
memtable__rows_next_cells(
    struct memtable_rows *rows, struct segment_cells *cells_out, struct zp_slice *texts_out)
{
	const struct entry *entry = rows_step(rows);

	if (entry == NULL)
		return ZP_END;
	cells_of_entry(entry, cells_out, texts_out);
	return ZP_OK;
}

void
memtable__rows_close(struct memtable_rows *rows)
{
	if (rows == NULL)
		return;
	memtable__release(rows->memtable);
	sort_done(&rows->sort);
	zp_free(rows);
}

uint64_t
memtable__keys(const struct memtable *memtable)
{
	return memtable->pins.slots_used;
}

void
memtable__rows_sample(const struct memtable *memtable, size_t wanted, struct segment_writer *writer)
{
	uint64_t step = memtable__entries(memtable) / wanted + 1, passed = 0;

	for (size_t i = 0; i < memtable__partitions(memtable); i++) {
		const struct log *log = &memtable->pins.logs[i];
		uint64_t at = (step - passed % step) % step, count = log_count(log);

		for (; at < count; at += step) {
			struct segment_cells cells;
			struct zp_slice texts;

			cells_of_entry((const struct entry *)log_at(log, at), &cells, &texts);
			segment__writer_sample(writer, &cells, texts);
		}
		passed += count;
	}
}

/* ---- Ordered families ------------------------------------------------------------------------ */

/* One row. Mostly the first three tell it from another; when they are in order, those of one key
 * become one, and what is said of them takes the place. */
struct entry_item {
	uint64_t moment;
	union {
		uint64_t head;      /* the first 64 bits of the digest */
		uint64_t operation; /* of several rows: what they come to */
	};
	union {
		/* of family time, whose rows are ordered by it first; 0 of others */
		uint32_t namespace_id;
		uint32_t is_sum; /* `operation` is set; else it is the row's */
	};
	uint32_t number; /* in the log: the newest is the highest */
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
	return (const struct entry *)keyed_at(&entries->memtable->pins, row->entry);
}

static void
entry_of_item(
    const struct memtable_entries *entries, uint32_t number, struct segment_entry *entry_out)
{
	const struct index_row *row = index_row_at(entries, number);

	entry_out->operation = row->operation;
	entry_out->value = NULL;
	index__entry_columns(
	    entries->family, index_row_pin(entries, row)->key, row->moment, entry_out->columns);
}

/* Asks the memory for the pin of a row that is not far. */
static void
index_row_prefetch(const struct memtable_entries *entries, uint32_t number)
{
	__builtin_prefetch(index_row_pin(entries, index_row_at(entries, number)));
}

/* By columns; 0 only when all are the same. */
static int
rows_compare(const void *context, uint64_t a, uint64_t b)
{
	const struct memtable_entries *entries = context;
	struct segment_entry left, right;

	entry_of_item(entries, (uint32_t)a, &left);
	entry_of_item(entries, (uint32_t)b, &right);
	return segment__columns_compare(
	    left.columns, right.columns, segment__key_columns(entries->family));
}

static int
entry_items_compare(
    const struct memtable_entries *entries, const struct entry_item *a, const struct entry_item *b)
{
	if (a->namespace_id != b->namespace_id)
		return a->namespace_id < b->namespace_id ? -1 : 1;
	if (a->moment != b->moment)
		return a->moment < b->moment ? -1 : 1;
	if (a->head != b->head)
		return a->head < b->head ? -1 : 1;
	return rows_compare(entries, a->number, b->number);
}

/* Of equal columns the newest first. */
static int
entry_item_order(const void *left, const void *right, void *context)
{
	const struct entry_item *a = left, *b = right;
	int order = entry_items_compare(context, a, b);

	return order != 0 ? order : a->number > b->number ? -1 : 1;
}

static bool
is_same_moment(const struct entry_item *a, const struct entry_item *b)
{
	return a->namespace_id == b->namespace_id && a->moment == b->moment;
}

/* Of one moment: by digest, as pins are. */
static void
moment_sort(
    struct memtable_entries *entries, struct sort *sort, struct entry_item *items, size_t count)
{
	sort_begin(sort, count);
	sort->compare = rows_compare;
	sort->context = entries;
	sort->count = count;
	for (size_t i = 0; i < count; i++)
		sort->items[i] = (struct sort_item){.prefix = items[i].head, .at = items[i].number};
	items_sort(sort);
	for (size_t i = 0; i < count; i++) {
		items[i].head = sort->items[i].prefix;
		items[i].number = (uint32_t)sort->items[i].at;
	}
}

/* Sorts those of each moment; false where moments don't rise. */
static bool
moments_sort(struct memtable_entries *entries, struct sort *sort)
{
	struct entry_item *items = entries->items;
	size_t end;

	for (size_t begin = 0; begin < entries->count; begin = end) {
		bool is_sorted = true;

		for (end = begin + 1;
		     end < entries->count && is_same_moment(&items[begin], &items[end]); end++)
			is_sorted = is_sorted && items[end - 1].head < items[end].head;
		if (!is_sorted)
			moment_sort(entries, sort, &items[begin], end - begin);
		if (end < entries->count &&
		    entry_items_compare(entries, &items[end - 1], &items[end]) > 0)
			return false;
	}
	return true;
}

static bool
is_one_namespace(const struct memtable_entries *entries)
{
	for (size_t i = 1; i < entries->count; i++) {
		if (entries->items[i].namespace_id != entries->items[0].namespace_id)
			return false;
	}
	return true;
}

static int
no_compare(const void *context, uint64_t a, uint64_t b)
{
	(void)context;
	(void)a;
	(void)b;
	return 0;
}

/* By moment alone. */
static void
by_moment_sort(struct memtable_entries *entries, struct sort *sort)
{
	size_t bytes = entries->count * sizeof(entries->items[0]);
	struct entry_item *before = memcpy(zp_pages_alloc(bytes), entries->items, bytes);

	sort_begin(sort, entries->count);
	sort->compare = no_compare;
	sort->count = entries->count;
	for (size_t i = 0; i < entries->count; i++)
		sort->items[i] = (struct sort_item){.prefix = before[i].moment, .at = i};
	items_sort(sort);
	for (size_t i = 0; i < entries->count; i++)
		entries->items[i] = before[sort->items[i].at];
	zp_pages_free(before, bytes);
}

/* Pins mostly come in the order of their times, so that only those of one second are not in order:
 * a few, or all when they are added at once. An import's come in any. */
static void
entry_items_sort(struct memtable_entries *entries)
{
	struct sort sort = {0};

	if (!moments_sort(entries, &sort)) {
		if (is_one_namespace(entries))
			by_moment_sort(entries, &sort);
		else
			qsort_r(entries->items, entries->count, sizeof(entries->items[0]),
			    entry_item_order, entries);
		ZP_ASSERT(moments_sort(entries, &sort));
	}
	sort_done(&sort);
}

/* What items [begin, end) of one key come to, whose newest is the first; false: nothing. */
static bool
items_sum(
    const struct memtable_entries *entries, size_t begin, size_t end, struct entry_item *item_out)
{
	struct times_sum sum = {0};

	*item_out = entries->items[begin];
	item_out->is_sum = false;
	if (entries->family != ZP_FAMILY_TIME || end == begin + 1)
		return true;
	for (size_t i = begin; i < end; i++) {
		const struct index_row *row = index_row_at(entries, entries->items[i].number);
		struct times_sum added = times__of_operation(row->operation);

		times__combine(&sum, &added);
	}
	if (times__is_nothing(&sum))
		return false;
	item_out->is_sum = true;
	item_out->operation = times__operation(&sum);
	return true;
}

/* Those of one key become one. */
static void
entry_items_unite(struct memtable_entries *entries)
{
	const struct entry_item *items = entries->items;
	size_t kept = 0, end;

	for (size_t begin = 0; begin < entries->count; begin = end) {
		struct entry_item item;

		for (end = begin + 1; end < entries->count; end++) {
			if (entry_items_compare(entries, &items[end - 1], &items[end]) != 0)
				break;
		}
		if (items_sum(entries, begin, end, &item))
			entries->items[kept++] = item;
	}
	entries->count = kept;
}

struct memtable_entries *
memtable__entries_open(struct memtable *memtable, enum zp_family family, uint64_t moment_max)
{
	struct memtable_entries *entries = zp_alloc_zero(1, sizeof(*entries));
	uint64_t count;

	entries->memtable = memtable__hold(memtable);
	entries->family = family;
	entries->log = family == ZP_FAMILY_TIME ? &memtable->times : &memtable->expiries;
	count = log_count(entries->log);
	entries->items_bytes = count * sizeof(entries->items[0]);
	entries->items = zp_pages_alloc(entries->items_bytes);
	ZP_ASSERT(count <= UINT32_MAX);
	for (uint32_t i = 0; i < count; i++) {
		const struct index_row *row = index_row_at(entries, i);
		const uint8_t *key = index_row_pin(entries, row)->key;

		if (i + ENTRIES_AHEAD < count)
			index_row_prefetch(entries, i + ENTRIES_AHEAD);
		if (row->moment <= moment_max)
			entries->items[entries->count++] = (struct entry_item){
			    .moment = row->moment,
			    .head = zp_load_u64be(key),
			    .namespace_id = family == ZP_FAMILY_TIME ? zp_load_u32be(key + 42) : 0,
			    .number = i};
	}
	entry_items_sort(entries);
	entry_items_unite(entries);
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
	if (index + ENTRIES_AHEAD < entries->count)
		index_row_prefetch(entries, entries->items[index + ENTRIES_AHEAD].number);
	entry_of_item(entries, entries->items[index].number, entry_out);
	if (entries->items[index].is_sum)
		entry_out->operation = entries->items[index].operation;
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
	const struct log *log = &memtable->tracks.logs[0];
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
	const struct log *log = &memtable->accesses.logs[0];
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
