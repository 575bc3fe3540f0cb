/*
 * memtable_sorted.c - a memtable's rows in order: pins, statuses, accesses.
 *
 * Flow: flush.c and scan.c. Any thread: all rows that were there before it was opened, and maybe
 *       some that came meanwhile, of one part and not of another.
 */
#include "engine/memtable_internal.h"
#include "engine/memtable_sort.h"

#include "engine/accesses.h"

#include <stdlib.h>

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
	sort__begin(&rows->sort, count);
	rows->sort.compare = pins_compare;
	rows->sort.context = rows->log;
	for (uint64_t i = 0; i < count; i++) {
		const struct entry *entry = pin_at(rows->log, i);

		/* Chunks lie apart, so the processor does not guess where it goes on. */
		if (i + ENTRIES_AHEAD < count)
			__builtin_prefetch(pin_at(rows->log, i + ENTRIES_AHEAD));
		if (is_first && memcmp(entry->key, rows->from, ZP_KEY_BYTES) < 0)
			continue;
		rows->sort.items[rows->sort.count++] =
		    (struct sort_item){.prefix = zp_load_u64be(entry->key), .at = i};
	}
	if (rows->sort.count == 0)
		return;
	sort__items(&rows->sort);
	sort__unique(&rows->sort);
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
	uint64_t *columns = cells_out->columns;

	segment__key_cells(entry->key, cells_out);
	columns[PIN_OPERATION] = memtable__entry_record(entry, columns + PIN_FACTS, texts_out);
	columns[PIN_TEXTS] = texts_out->length;
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
	sort__done(&rows->sort);
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
