/*
 * memtable_entries.c - a memtable's rows of the ordered families, time and expire, in order.
 *
 * Flow:  flush.c and scan.c. Any thread: all rows that were there before it was opened, and maybe
 *        some that came meanwhile.
 * Order: pins mostly come in that of their times, so that only those of one second are sorted.
 */
#include "engine/memtable_internal.h"
#include "engine/memtable_sort.h"

#include "engine/times.h"

#include <stdlib.h>

/* One row. Mostly the first three tell it from another; when they are in order, those of one key
 * become one, and what is said of them takes the place. */
struct entry_item {
	uint64_t moment;
	union {
		uint64_t head;      /* the first 64 bits of the digest */
		uint64_t operation; /* of several rows (`is_sum`): what they come to */
	};
	uint32_t namespace_id; /* of family time, whose rows are ordered by it first; 0 of others */
	uint32_t number;       /* in the log: the newest is the highest */
	uint8_t tail; /* of the pin's key, in tails[]; TAIL_ELSEWHERE: only the pin has it */
	uint8_t row_operation;
	bool is_sum;
};

/* Nearly all keys end in one of a few ways: an item that knows its end needs no look at its pin,
 * which lies anywhere in memory. A tail has the place that its hash gives it, the first to come. */
#define TAIL_BITS 6u
#define TAIL_ELSEWHERE (1u << TAIL_BITS)

struct memtable_entries {
	struct memtable *memtable; /* held */
	enum zp_family family;
	const struct log *log;
	struct entry_item *items;
	size_t items_bytes;
	size_t count;
	struct key_tail tails[1u << TAIL_BITS];
	bool has_tail[1u << TAIL_BITS];
};

static uint8_t
tail_note(struct memtable_entries *entries, const uint8_t key[ZP_KEY_BYTES])
{
	struct key_tail tail = index__key_tail(key);
	uint64_t mixed =
	    tail.kind_and_version ^ tail.codec << 8 ^ tail.namespace_id << 24 ^ tail.claim << 40;
	unsigned at = (unsigned)(mixed * UINT64_C(0x9E3779B97F4A7C15) >> (64 - TAIL_BITS));
	const struct key_tail *kept = &entries->tails[at];

	if (!entries->has_tail[at]) {
		entries->has_tail[at] = true;
		entries->tails[at] = tail;
	}
	return kept->kind_and_version == tail.kind_and_version && kept->codec == tail.codec &&
		       kept->namespace_id == tail.namespace_id && kept->claim == tail.claim
		   ? (uint8_t)at
		   : TAIL_ELSEWHERE;
}

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

/* What else of an item moves with its head when those of a moment are sorted: by the number. */
static uint64_t
item_moved(const struct entry_item *item)
{
	return (uint64_t)item->number << 16 | (uint64_t)item->tail << 8 | item->row_operation;
}

static int
moved_compare(const void *entries, uint64_t a, uint64_t b)
{
	return rows_compare(entries, a >> 16, b >> 16);
}

/* Of one moment: by digest, as pins are. */
static void
moment_sort(
    struct memtable_entries *entries, struct sort *sort, struct entry_item *items, size_t count)
{
	sort__begin(sort, count);
	sort->compare = moved_compare;
	sort->context = entries;
	sort->count = count;
	for (size_t i = 0; i < count; i++)
		sort->items[i] =
		    (struct sort_item){.prefix = items[i].head, .at = item_moved(&items[i])};
	sort__items(sort);
	for (size_t i = 0; i < count; i++) {
		items[i].head = sort->items[i].prefix;
		items[i].number = (uint32_t)(sort->items[i].at >> 16);
		items[i].tail = (uint8_t)(sort->items[i].at >> 8);
		items[i].row_operation = (uint8_t)sort->items[i].at;
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

	sort__begin(sort, entries->count);
	sort->compare = no_compare;
	sort->count = entries->count;
	for (size_t i = 0; i < entries->count; i++)
		sort->items[i] = (struct sort_item){.prefix = before[i].moment, .at = i};
	sort__items(sort);
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
	sort__done(&sort);
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
		if (kept == begin && end == begin + 1)
			kept++; /* nearly all: it stays where it is */
		else if (items_sum(entries, begin, end, &item))
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
			    .number = i,
			    .tail =
				family == ZP_FAMILY_TIME ? tail_note(entries, key) : TAIL_ELSEWHERE,
			    .row_operation = (uint8_t)row->operation};
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

static bool
is_in_item(const struct entry_item *item)
{
	return item->tail != TAIL_ELSEWHERE && !item->is_sum;
}

void
memtable__entries_at(
    const struct memtable_entries *entries, size_t index, struct segment_entry *entry_out)
{
	const struct entry_item *item = &entries->items[index];

	ZP_ASSERT(index < entries->count);
	if (index + ENTRIES_AHEAD < entries->count && !is_in_item(item + ENTRIES_AHEAD))
		index_row_prefetch(entries, item[ENTRIES_AHEAD].number);
	if (is_in_item(item)) {
		entry_out->operation = item->row_operation;
		entry_out->value = NULL;
		index__time_columns(
		    &entries->tails[item->tail], item->head, item->moment, entry_out->columns);
		return;
	}
	entry_of_item(entries, item->number, entry_out);
	if (item->is_sum)
		entry_out->operation = item->operation;
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
