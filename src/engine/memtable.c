/*
 * memtable.c - see memtable.h.
 *
 * Owner: the commit thread adds, any thread reads. What readers follow is published with release
 * stores: a slot of the hash table, the table itself when it grew, and the counts of the logs.
 */
#include "engine/memtable.h"

#include "engine/segment_internal.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
	CHUNK_FIRST = 256,   /* entries of the first chunk; each next one is twice as large */
	CHUNKS_MAX = 24,     /* 256 × (2^24 − 1) entries: over any budget */
	ARENA_FIRST = 16384, /* bytes */
	ARENA_MAX = 1 << 20,
	TABLE_FIRST = 512,   /* slots */
	SORT_PART_ITEMS = 4096,
	SORT_PARTS_MAX = 1024,
};

/* One cache line. The value is a u32 length and that many bytes of canonical record; NULL: tombstone. */
struct entry {
	uint8_t key[ZP_KEY_BYTES];
	uint8_t reserved[2];
	const uint8_t *value;
};
_Static_assert(sizeof(struct entry) == 64, "an entry is one cache line");

/* A pin's status at one peer, whatever became of it. Chained to the pin's others, which are older. */
struct track_entry {
	uint8_t key[ZP_KEY_BYTES];
	bool had_old;
	uint32_t peer;
	const struct track_entry *other;
	_Atomic(const struct segment_value *) value; /* NULL: no row any more */
};

/* Entry number + 1 in the low half, the key's hash in the high half (which also says where a slot goes when
 * the table grows, without looking at its entry); 0 is empty. */
struct table {
	struct table *older; /* readers may still be in it: freed with the memtable */
	uint64_t mask;
	_Atomic(uint64_t) slots[];
};

struct arena_block {
	struct arena_block *older;
	uint8_t bytes[];
};

/* A log of fixed-size rows in chunks that never move. */
struct log {
	uint8_t *chunks[CHUNKS_MAX];
	_Atomic(uint64_t) count;
	size_t row_bytes;
};

/* A log whose rows begin with a key, the newest of each found by it. */
struct keyed {
	struct log log;
	_Atomic(struct table *) table;
	uint64_t slots_used;
};

struct memtable {
	_Atomic(uint64_t) holds;
	_Atomic(uint64_t) bytes;
	uint64_t seed;
	struct keyed pins;   /* struct entry */
	struct keyed tracks; /* struct track_entry */
	struct log times;
	struct log expiries;
	struct zp_buf encoded; /* the owner's: of the record being added */
	struct arena_block *arena;
	size_t arena_used;
	size_t arena_bytes;
};

/* ---- Logs ------------------------------------------------------------------------------------ */

/* Row `at` is in chunk c = floor(log2(at / CHUNK_FIRST + 1)), which begins at CHUNK_FIRST × (2^c − 1). */
static uint8_t *
log_at(const struct log *log, uint64_t at)
{
	unsigned chunk = 63u - (unsigned)__builtin_clzll(at / CHUNK_FIRST + 1);
	uint64_t first = ((1ull << chunk) - 1) * CHUNK_FIRST;

	return log->chunks[chunk] + (at - first) * log->row_bytes;
}

static uint64_t
log_count(const struct log *log)
{
	return atomic_load_explicit(&log->count, memory_order_acquire);
}

/* Where the next row goes; it counts only after log_publish. */
static uint8_t *
log_reserve(struct memtable *memtable, struct log *log)
{
	uint64_t at = atomic_load_explicit(&log->count, memory_order_relaxed);
	unsigned chunk = 63u - (unsigned)__builtin_clzll(at / CHUNK_FIRST + 1);

	ZP_ASSERT(chunk < CHUNKS_MAX);
	if (log->chunks[chunk] == NULL) {
		size_t bytes = ((size_t)CHUNK_FIRST << chunk) * log->row_bytes;

		log->chunks[chunk] = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
		ZP_ASSERT(log->chunks[chunk] != NULL);
		memtable->bytes += bytes;
	}
	return log_at(log, at);
}

static void
log_publish(struct log *log)
{
	uint64_t at = atomic_load_explicit(&log->count, memory_order_relaxed);

	atomic_store_explicit(&log->count, at + 1, memory_order_release);
}

static void
log_done(struct log *log)
{
	for (unsigned i = 0; i < CHUNKS_MAX; i++)
		free(log->chunks[i]);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static struct table *
table_new(uint64_t slots)
{
	struct table *table = zp_alloc_zero(1, sizeof(*table) + slots * sizeof(table->slots[0]));

	table->mask = slots - 1;
	return table;
}

/* The key columns and the operation: a row of time is half as long as one of expire. */
static size_t
index_row_bytes(enum zp_family family)
{
	return (segment__key_columns(family) + 1) * sizeof(uint64_t);
}

struct memtable *
memtable__new(uint64_t hash_seed)
{
	struct memtable *memtable = zp_alloc_zero(1, sizeof(*memtable));

	memtable->holds = 1;
	zp_buf_init(&memtable->encoded, ZP_RECORD_BYTES_MAX);
	/* The address adds what a caller without randomness lacks. */
	memtable->seed = hash_seed ^ (uint64_t)(uintptr_t)memtable;
	memtable->pins.log.row_bytes = sizeof(struct entry);
	memtable->tracks.log.row_bytes = sizeof(struct track_entry);
	memtable->times.row_bytes = index_row_bytes(ZP_FAMILY_TIME);
	memtable->expiries.row_bytes = index_row_bytes(ZP_FAMILY_EXPIRE);
	return memtable;
}

struct memtable *
memtable__hold(struct memtable *memtable)
{
	atomic_fetch_add_explicit(&memtable->holds, 1, memory_order_relaxed);
	return memtable;
}

static void
keyed_done(struct keyed *keyed)
{
	for (struct table *table = keyed->table; table != NULL;) {
		struct table *older = table->older;

		zp_free(table);
		table = older;
	}
	log_done(&keyed->log);
}

void
memtable__release(struct memtable *memtable)
{
	struct arena_block *block;

	if (memtable == NULL ||
	    atomic_fetch_sub_explicit(&memtable->holds, 1, memory_order_acq_rel) != 1)
		return;
	keyed_done(&memtable->pins);
	keyed_done(&memtable->tracks);
	for (block = memtable->arena; block != NULL;) {
		struct arena_block *older = block->older;

		zp_free(block);
		block = older;
	}
	zp_buf_done(&memtable->encoded);
	log_done(&memtable->times);
	log_done(&memtable->expiries);
	zp_free(memtable);
}

uint64_t
memtable__bytes(const struct memtable *memtable)
{
	return atomic_load_explicit(&memtable->bytes, memory_order_relaxed);
}

uint64_t
memtable__entries(const struct memtable *memtable)
{
	return log_count(&memtable->pins.log);
}

bool
memtable__is_empty(const struct memtable *memtable)
{
	return log_count(&memtable->pins.log) == 0 && log_count(&memtable->tracks.log) == 0;
}

/* ---- Adding ---------------------------------------------------------------------------------- */

static uint8_t *
arena_take(struct memtable *memtable, size_t bytes)
{
	uint8_t *at;

	if (memtable->arena == NULL || bytes > memtable->arena_bytes - memtable->arena_used) {
		struct arena_block *block;

		memtable->arena_bytes = memtable->arena == NULL
		    ? ARENA_FIRST
		    : zp_min_u64(memtable->arena_bytes * 2, ARENA_MAX);
		memtable->arena_bytes = zp_max_u64(memtable->arena_bytes, bytes);
		block = zp_alloc(sizeof(*block) + memtable->arena_bytes);
		block->older = memtable->arena;
		memtable->arena = block;
		memtable->arena_used = 0;
		memtable->bytes += memtable->arena_bytes;
	}
	at = memtable->arena->bytes + memtable->arena_used;
	memtable->arena_used += bytes;
	return at;
}

static uint32_t
key_hash(const struct memtable *memtable, const uint8_t key[ZP_KEY_BYTES])
{
	return (uint32_t)zp_hash64(key, ZP_KEY_BYTES, memtable->seed);
}

/* The row that a slot names; it begins with its key. */
static const uint8_t *
slot_row(const struct keyed *keyed, uint64_t slot)
{
	return log_at(&keyed->log, (slot & UINT32_MAX) - 1);
}

/*
 * Where the slot of the key is, or the empty one where it would go, and what was found in it. A reader
 * must go by that: an empty slot may hold another key the next moment.
 */
static uint64_t
slot_find(const struct keyed *keyed, const struct table *table, const uint8_t key[ZP_KEY_BYTES],
    uint32_t hash, uint64_t *slot_out)
{
	for (uint64_t at = hash & table->mask;; at = (at + 1) & table->mask) {
		uint64_t slot = atomic_load_explicit(&table->slots[at], memory_order_acquire);

		if (slot == 0 || (slot >> 32 == hash &&
				     memcmp(slot_row(keyed, slot), key, ZP_KEY_BYTES) == 0)) {
			*slot_out = slot;
			return at;
		}
	}
}

/* Doubles the table, keeping at most half of it in use. */
static void
table_grow(struct memtable *memtable, struct keyed *keyed)
{
	struct table *old = keyed->table;
	struct table *table = table_new(old == NULL ? TABLE_FIRST : (old->mask + 1) * 2);

	for (uint64_t i = 0; old != NULL && i <= old->mask; i++) {
		uint64_t slot = atomic_load_explicit(&old->slots[i], memory_order_relaxed);
		uint64_t at;

		if (slot == 0)
			continue;
		at = (slot >> 32) & table->mask;
		while (table->slots[at] != 0)
			at = (at + 1) & table->mask;
		atomic_store_explicit(&table->slots[at], slot, memory_order_relaxed);
	}
	table->older = old;
	memtable->bytes += (table->mask + 1) * sizeof(table->slots[0]);
	atomic_store_explicit(&keyed->table, table, memory_order_release);
}

/* Makes row `number`, which is published, the newest of its key, which has that hash. */
static void
keyed_link(struct memtable *memtable, struct keyed *keyed, uint64_t number, uint32_t hash)
{
	const uint8_t *key = log_at(&keyed->log, number);
	struct table *table = keyed->table;
	uint64_t at, slot;

	if (table == NULL || keyed->slots_used * 2 > table->mask) {
		table_grow(memtable, keyed);
		table = keyed->table;
	}
	at = slot_find(keyed, table, key, hash, &slot);
	keyed->slots_used += slot == 0;
	atomic_store_explicit(
	    &table->slots[at], (uint64_t)hash << 32 | (number + 1), memory_order_release);
}

/* The newest row of the key, or NULL. */
static const void *
keyed_find(const struct memtable *memtable, const struct keyed *keyed,
    const uint8_t key[ZP_KEY_BYTES])
{
	const struct table *table = atomic_load_explicit(
	    (_Atomic(struct table *) *)&keyed->table, memory_order_acquire);
	uint64_t slot;

	if (table == NULL)
		return NULL;
	slot_find(keyed, table, key, key_hash(memtable, key), &slot);
	return slot == 0 ? NULL : slot_row(keyed, slot);
}

static const uint8_t *
value_store(struct memtable *memtable, const struct zp_record *record)
{
	struct zp_buf *bytes = &memtable->encoded;
	uint8_t *value;

	zp_buf_clear(bytes);
	zp_record_encode(record, bytes);
	ZP_ASSERT(!bytes->overflow); /* what is in the journal fits */
	value = arena_take(memtable, sizeof(uint32_t) + bytes->length);
	zp_store_u32le(value, (uint32_t)bytes->length);
	memcpy(value + sizeof(uint32_t), bytes->data, bytes->length);
	return value;
}

static void
slot_prefetch(const struct memtable *memtable, uint32_t hash)
{
	const struct table *table = atomic_load_explicit(
	    (_Atomic(struct table *) *)&memtable->pins.table, memory_order_acquire);

	if (table != NULL)
		__builtin_prefetch(&table->slots[hash & table->mask]);
}

void
memtable__place(const struct memtable *memtable, const struct zp_key *key,
    struct memtable_place *place_out)
{
	zp_key_encode(key, place_out->key);
	place_out->hash = key_hash(memtable, place_out->key);
	slot_prefetch(memtable, place_out->hash);
}

void
memtable__put(struct memtable *memtable, const struct memtable_place *place,
    const struct zp_record *record)
{
	struct keyed *pins = &memtable->pins;
	uint64_t number = atomic_load_explicit(&pins->log.count, memory_order_relaxed);
	struct entry *entry;

	ZP_ASSERT(number < UINT32_MAX - 1);
	entry = (struct entry *)log_reserve(memtable, &pins->log);
	memcpy(entry->key, place->key, ZP_KEY_BYTES);
	memset(entry->reserved, 0, sizeof(entry->reserved));
	entry->value = record == NULL ? NULL : value_store(memtable, record);
	log_publish(&pins->log);
	keyed_link(memtable, pins, number, place->hash);
}

void
memtable__entry_add(struct memtable *memtable, enum zp_family family,
    const struct segment_entry *entry)
{
	struct log *log = family == ZP_FAMILY_TIME ? &memtable->times : &memtable->expiries;
	uint64_t operation = entry->operation;
	uint8_t *row;

	ZP_ASSERT(family == ZP_FAMILY_TIME || family == ZP_FAMILY_EXPIRE);
	row = log_reserve(memtable, log);
	memcpy(row, entry->columns, log->row_bytes - sizeof(operation));
	memcpy(row + log->row_bytes - sizeof(operation), &operation, sizeof(operation));
	log_publish(log);
}

static const struct segment_value *
track_value_store(struct memtable *memtable, const struct segment_value *value)
{
	struct segment_value *stored;
	uint8_t *texts;
	uintptr_t at;

	if (value == NULL)
		return NULL;
	/* In one piece; what the arena gives is not aligned, since pins are packed in it. */
	at = (uintptr_t)arena_take(memtable, sizeof(*stored) + value->texts.length + 7);
	stored = (struct segment_value *)((at + 7) & ~(uintptr_t)7);
	texts = (uint8_t *)(stored + 1);
	*stored = *value;
	if (value->texts.length > 0)
		memcpy(texts, value->texts.data, value->texts.length);
	stored->texts.data = texts;
	return stored;
}

static const struct track_entry *
track_find(const struct memtable *memtable, const uint8_t key[ZP_KEY_BYTES], uint32_t peer)
{
	const struct track_entry *entry = keyed_find(memtable, &memtable->tracks, key);

	while (entry != NULL && entry->peer != peer)
		entry = entry->other;
	return entry;
}

void
memtable__track_put(struct memtable *memtable, const struct zp_key *key, uint32_t peer,
    const struct segment_value *value, bool had_old)
{
	struct keyed *tracks = &memtable->tracks;
	uint64_t number = atomic_load_explicit(&tracks->log.count, memory_order_relaxed);
	const struct segment_value *stored = track_value_store(memtable, value);
	struct track_entry *entry;
	uint8_t bytes[ZP_KEY_BYTES];

	zp_key_encode(key, bytes);
	entry = (struct track_entry *)(uintptr_t)track_find(memtable, bytes, peer); /* ours */
	if (entry != NULL) {
		atomic_store_explicit(&entry->value, stored, memory_order_release);
		return;
	}
	ZP_ASSERT(number < UINT32_MAX - 1);
	entry = (struct track_entry *)log_reserve(memtable, &tracks->log);
	memcpy(entry->key, bytes, ZP_KEY_BYTES);
	entry->had_old = had_old;
	entry->peer = peer;
	entry->other = keyed_find(memtable, tracks, bytes);
	atomic_init(&entry->value, stored);
	log_publish(&tracks->log);
	keyed_link(memtable, tracks, number, key_hash(memtable, bytes));
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Ours, so it decodes; what does not is a bug, not damage. */
static void
row_of_entry(const struct entry *entry, struct segment_row *row_out)
{
	struct zp_slice bytes;

	*row_out = (struct segment_row){.operation = ZP_ROW_TOMBSTONE};
	ZP_ASSERT(zp_key_decode(entry->key, &row_out->key, NULL) == ZP_OK);
	if (entry->value == NULL)
		return;
	bytes.length = zp_load_u32le(entry->value);
	bytes.data = entry->value + sizeof(uint32_t);
	row_out->operation = ZP_ROW_PUT;
	zp_record_decode_own(bytes, &row_out->record);
}

bool
memtable__get(const struct memtable *memtable, const uint8_t key[ZP_KEY_BYTES],
    struct segment_row *row_out)
{
	const struct entry *entry = keyed_find(memtable, &memtable->pins, key);

	if (entry != NULL)
		row_of_entry(entry, row_out);
	return entry != NULL;
}

bool
memtable__track_get(const struct memtable *memtable, const struct zp_key *key, uint32_t peer,
    const struct segment_value **value_out)
{
	const struct track_entry *entry;
	uint8_t bytes[ZP_KEY_BYTES];

	zp_key_encode(key, bytes);
	entry = track_find(memtable, bytes, peer);
	if (entry != NULL)
		*value_out = atomic_load_explicit(&entry->value, memory_order_acquire);
	return entry != NULL;
}

void
memtable__prefetch(const struct memtable *memtable, const uint8_t key[ZP_KEY_BYTES])
{
	slot_prefetch(memtable, key_hash(memtable, key));
}

/* ---- Sorted ---------------------------------------------------------------------------------- */

struct sort_item {
	uint64_t prefix; /* first 8 bytes of the key, as a number */
	const struct entry *entry;
	uint64_t number;
};

struct memtable_rows {
	struct memtable *memtable; /* held */
	struct sort_item *items;
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

/* Moves items from one array to the other by their buckets. ends[i] is then where bucket i ends; there is
 * room for one more. */
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
 * Digests are uniform, so as many buckets as items leave about one in each. Prefixes that are not (chosen
 * ones) share buckets, which are sorted like any array.
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
	struct sort_item *spread = zp_alloc(count * sizeof(*spread));
	uint32_t *ends = zp_alloc((count + 1) * sizeof(*ends));
	uint32_t part_ends[SORT_PARTS_MAX + 1];
	struct buckets parts =
	    buckets_of(items, count, zp_min_u64(count / SORT_PART_ITEMS + 1, SORT_PARTS_MAX));

	items_spread(items, spread, count, &parts, part_ends);
	for (size_t i = 0, begin = 0; i < parts.count; begin = part_ends[i++])
		part_sort(&spread[begin], &items[begin], part_ends[i] - begin, ends);
	zp_free(spread);
	zp_free(ends);
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
	rows->items = zp_alloc(count * sizeof(rows->items[0]));
	for (uint64_t i = 0; i < count; i++) {
		const struct entry *entry =
		    (const struct entry *)log_at(&memtable->pins.log, i);

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

void
memtable__rows_at(const struct memtable_rows *rows, size_t index, struct segment_row *row_out)
{
	ZP_ASSERT(index < rows->count);
	row_of_entry(rows->items[index].entry, row_out);
}

int
memtable__rows_next(struct memtable_rows *rows, struct segment_row *row_out)
{
	enum { ENTRY_AHEAD = 16, VALUE_AHEAD = 8 }; /* the value's place is in the entry */

	if (rows->at == rows->count)
		return ZP_END;
	if (rows->at + ENTRY_AHEAD < rows->count)
		__builtin_prefetch(rows->items[rows->at + ENTRY_AHEAD].entry);
	if (rows->at + VALUE_AHEAD < rows->count)
		__builtin_prefetch(rows->items[rows->at + VALUE_AHEAD].entry->value);
	row_of_entry(rows->items[rows->at++].entry, row_out);
	return ZP_OK;
}

void
memtable__rows_close(struct memtable_rows *rows)
{
	if (rows == NULL)
		return;
	memtable__release(rows->memtable);
	zp_free(rows->items);
	zp_free(rows);
}

static int
columns_compare(const struct segment_entry *a, const struct segment_entry *b)
{
	for (size_t i = 0; i < SEGMENT_KEY_COLUMNS_MAX; i++) {
		if (a->columns[i] != b->columns[i])
			return a->columns[i] < b->columns[i] ? -1 : 1;
	}
	return 0;
}

/* By columns; of equal ones the newest, which is the last, first. */
static int
entry_place_compare(const void *left, const void *right)
{
	const struct segment_entry *a = *(const struct segment_entry *const *)left;
	const struct segment_entry *b = *(const struct segment_entry *const *)right;
	int order = columns_compare(a, b);

	return order != 0 ? order : a > b ? -1 : 1;
}

/* Sorts and keeps the newest of equal columns; the array may become another. */
static size_t
entries_sort(struct segment_entry **entries, size_t count)
{
	const struct segment_entry **places = zp_alloc(count * sizeof(*places));
	struct segment_entry *sorted = zp_alloc(count * sizeof(*sorted));
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		places[i] = &(*entries)[i];
	qsort(places, count, sizeof(*places), entry_place_compare);
	for (size_t i = 0; i < count; i++) {
		if (kept == 0 || columns_compare(&sorted[kept - 1], places[i]) != 0)
			sorted[kept++] = *places[i];
	}
	zp_free(places);
	zp_free(*entries);
	*entries = sorted;
	return kept;
}

size_t
memtable__entries_sorted(const struct memtable *memtable, enum zp_family family,
    uint64_t first_max, struct segment_entry **entries_out)
{
	const struct log *log =
	    family == ZP_FAMILY_TIME ? &memtable->times : &memtable->expiries;
	uint64_t count = log_count(log);
	struct segment_entry *entries = zp_alloc(count * sizeof(*entries));
	bool is_sorted = true; /* times mostly come in order */
	size_t wanted = 0;

	for (uint64_t i = 0; i < count; i++) {
		struct segment_entry *entry = &entries[wanted];
		const uint8_t *row = log_at(log, i);
		uint64_t operation;

		if (((const uint64_t *)(const void *)row)[0] > first_max)
			continue;
		*entry = (struct segment_entry){0};
		memcpy(entry->columns, row, log->row_bytes - sizeof(operation));
		memcpy(&operation, row + log->row_bytes - sizeof(operation), sizeof(operation));
		entry->operation = (uint8_t)operation;
		is_sorted = is_sorted && (wanted == 0 || columns_compare(entry - 1, entry) < 0);
		wanted++;
	}
	if (!is_sorted)
		wanted = entries_sort(&entries, wanted);
	*entries_out = entries;
	return wanted;
}

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
		entry = keyed_find(memtable, &memtable->tracks, from_bytes);
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
