/*
 * memtable.c - see memtable.h.
 *
 * Owner: the commit thread adds, any thread reads. What readers follow is published with release
 * stores: a slot of the hash table, the table itself when it grew, and the counts of the logs.
 */
#include "engine/memtable_internal.h"

#include "engine/accesses.h"

enum {
	SLAB_FIRST = 1 << 14, /* bytes; each next one is twice as large */
	SLAB_MAX = 1 << 22,
	ARENA_PIECE = 2048,
	TABLE_FIRST = 512,         /* slots */
	TABLE_FIRST_MAX = 1 << 22, /* however many keys are expected */
	PARTITION_ENTRIES = 1024,  /* fewer are not worth the pieces of memory of one more */
	PARTITION_BITS_FIRST = 3,  /* where nothing is known */
};
#define LINE ((size_t)64)

/* ---- Memory ---------------------------------------------------------------------------------- */

/* At the start of a cache line. */
static uint8_t *
slab_take(struct memtable *memtable, size_t bytes)
{
	uint8_t *taken;

	bytes = (bytes + LINE - 1) & ~(LINE - 1);
	if (bytes > memtable->slab.left) {
		size_t size = memtable->slabs == NULL
				  ? SLAB_FIRST
				  : zp_min_u64(2 * memtable->slabs->bytes, SLAB_MAX);
		struct slab *slab;

		size = zp_max_u64(size, sizeof(*slab) + bytes);
		slab = zp_pages_alloc(size);
		slab->older = memtable->slabs;
		slab->bytes = size;
		memtable->slabs = slab;
		memtable->slab = (struct arena){slab->data, size - sizeof(*slab)};
		memtable->bytes += size;
	}
	taken = memtable->slab.at;
	memtable->slab.at += bytes;
	memtable->slab.left -= bytes;
	return taken;
}

static uint8_t *
arena_take(struct memtable *memtable, struct arena *arena, size_t bytes)
{
	uint8_t *taken;

	if (bytes > ARENA_PIECE / 2)
		return slab_take(memtable, bytes);
	if (bytes > arena->left)
		*arena = (struct arena){slab_take(memtable, ARENA_PIECE), ARENA_PIECE};
	taken = arena->at;
	arena->at += bytes;
	arena->left -= bytes;
	return taken;
}

/* ---- Logs ------------------------------------------------------------------------------------ */

static void
chunk_add(struct memtable *memtable, struct log *log, uint64_t chunk)
{
	uint8_t **chunks = atomic_load_explicit(&log->chunks, memory_order_relaxed);

	if (chunk == log->chunks_room) {
		uint64_t room = log->chunks_room == 0 ? 8 : 2 * log->chunks_room;
		uint8_t **more = (uint8_t **)(void *)slab_take(memtable, room * sizeof(*more));

		if (chunk > 0)
			memcpy(more, chunks, chunk * sizeof(*more));
		log->chunks_room = room;
		atomic_store_explicit(&log->chunks, more, memory_order_release);
		chunks = more;
	}
	chunks[chunk] = slab_take(memtable, LOG_CHUNK_ROWS * log->row_bytes);
}

/* Where the next row goes; it counts only after log_publish. */
static uint8_t *
log_reserve(struct memtable *memtable, struct log *log)
{
	uint64_t at = atomic_load_explicit(&log->count, memory_order_relaxed);

	if (at % LOG_CHUNK_ROWS == 0) {
		chunk_add(memtable, log, at / LOG_CHUNK_ROWS);
		if (at >= log->rows_full)
			atomic_store_explicit(&memtable->is_full, true, memory_order_relaxed);
	}
	return log_at(log, at);
}

static void
log_publish(struct log *log)
{
	uint64_t at = atomic_load_explicit(&log->count, memory_order_relaxed);

	atomic_store_explicit(&log->count, at + 1, memory_order_release);
}

/* ---- Life ------------------------------------------------------------------------------------ */

static size_t
slots_bytes(uint64_t slots)
{
	return slots * sizeof(((struct table *)NULL)->slots[0]);
}

static struct table *
table_new(uint64_t slots)
{
	struct table *table = zp_alloc_zero(1, sizeof(*table));

	table->slots = memset(zp_pages_alloc(slots_bytes(slots)), 0, slots_bytes(slots));
	table->mask = slots - 1;
	return table;
}

static void
log_init(struct log *log, size_t row_bytes, unsigned log_bits)
{
	log->row_bytes = row_bytes;
	log->rows_full = (UINT32_MAX >> log_bits) / 2;
}

static unsigned
partition_bits(uint64_t entries_expected)
{
	if (entries_expected == 0)
		return PARTITION_BITS_FIRST;
	return (unsigned)zp_min_u64(
	    bits_needed(entries_expected / PARTITION_ENTRIES), PARTITION_BITS_MAX);
}

/* A table that need not grow for as many keys: what it outgrows stays until the memtable goes. */
static uint64_t
slots_for(uint64_t keys)
{
	uint64_t slots = TABLE_FIRST;

	while (slots < 2 * keys && slots < TABLE_FIRST_MAX)
		slots *= 2;
	return slots;
}

struct memtable *
memtable__new(uint64_t hash_seed, uint64_t low, unsigned prefix_bits, uint64_t entries_expected)
{
	struct memtable *memtable = zp_alloc_zero(1, sizeof(*memtable));

	memtable->holds = 1;
	/* The address adds what a caller without randomness lacks. */
	memtable->seed = hash_seed ^ (uint64_t)(uintptr_t)memtable;
	memtable->prefix_bits = (unsigned)zp_min_u64(prefix_bits, 64 - PARTITION_BITS_MAX);
	memtable->low = memtable->prefix_bits == 0
			    ? 0
			    : low >> (64 - memtable->prefix_bits) << (64 - memtable->prefix_bits);
	memtable->pins.log_bits = partition_bits(entries_expected);
	memtable->pins.slots_first = slots_for(entries_expected);
	memtable->tracks.slots_first = memtable->accesses.slots_first = TABLE_FIRST;
	for (size_t i = 0; i < PARTITIONS_MAX; i++)
		log_init(&memtable->pins.logs[i], sizeof(struct entry), memtable->pins.log_bits);
	log_init(&memtable->tracks.logs[0], sizeof(struct track_entry), 0);
	log_init(&memtable->accesses.logs[0], sizeof(struct access_entry), 0);
	log_init(&memtable->times, sizeof(struct index_row), 0);
	log_init(&memtable->expiries, sizeof(struct index_row), 0);
	log_init(&memtable->times_bounds, sizeof(struct moments), 0);
	return memtable;
}

struct memtable *
memtable__hold(struct memtable *memtable)
{
	atomic_fetch_add_explicit(&memtable->holds, 1, memory_order_relaxed);
	return memtable;
}

static void
tables_free(struct table *table)
{
	while (table != NULL) {
		struct table *older = table->older;

		zp_pages_free(table->slots, slots_bytes(table->mask + 1));
		zp_free(table);
		table = older;
	}
}

void
memtable__release(struct memtable *memtable)
{
	if (memtable == NULL ||
	    atomic_fetch_sub_explicit(&memtable->holds, 1, memory_order_acq_rel) != 1)
		return;
	tables_free(memtable->pins.table);
	tables_free(memtable->tracks.table);
	tables_free(memtable->accesses.table);
	for (struct slab *slab = memtable->slabs; slab != NULL;) {
		struct slab *older = slab->older;

		zp_pages_free(slab, slab->bytes);
		slab = older;
	}
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
	return atomic_load_explicit(&memtable->entries, memory_order_acquire);
}

bool
memtable__is_full(const struct memtable *memtable)
{
	return atomic_load_explicit(&memtable->is_full, memory_order_relaxed);
}

bool
memtable__is_empty(const struct memtable *memtable)
{
	return memtable__entries(memtable) == 0 && log_count(&memtable->tracks.logs[0]) == 0 &&
	       log_count(&memtable->accesses.logs[0]) == 0;
}

/* ---- Adding ---------------------------------------------------------------------------------- */

static uint32_t
key_hash(const struct memtable *memtable, const uint8_t key[ZP_KEY_BYTES])
{
	return (uint32_t)zp_hash64(key, ZP_KEY_BYTES, memtable->seed);
}

/* The row that a slot names; it begins with its key. */
static const uint8_t *
slot_row(const struct keyed *keyed, uint64_t slot)
{
	return keyed_at(keyed, (uint32_t)slot - 1);
}

/*
 * Where the slot of the key is, or the empty one where it would go, and what was found in it. A
 * reader must go by that: an empty slot may hold another key the next moment.
 */
static uint64_t
slot_find(const struct keyed *keyed, const struct table *table, const uint8_t key[ZP_KEY_BYTES],
    uint32_t hash, uint64_t *slot_out)
{
	for (uint64_t at = hash & table->mask;; at = (at + 1) & table->mask) {
		uint64_t slot = atomic_load_explicit(&table->slots[at], memory_order_acquire);

		if (slot == 0 ||
		    (slot >> 32 == hash && memcmp(slot_row(keyed, slot), key, ZP_KEY_BYTES) == 0)) {
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
	struct table *table = table_new(old == NULL ? keyed->slots_first : (old->mask + 1) * 2);

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
keyed_link(struct memtable *memtable, struct keyed *keyed, uint32_t number, uint32_t hash)
{
	const uint8_t *key = keyed_at(keyed, number);
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

const void *
memtable__find(
    const struct memtable *memtable, const struct keyed *keyed, const uint8_t key[ZP_KEY_BYTES])
{
	const struct table *table =
	    atomic_load_explicit((_Atomic(struct table *) *)&keyed->table, memory_order_acquire);
	uint64_t slot;

	if (table == NULL)
		return NULL;
	slot_find(keyed, table, key, key_hash(memtable, key), &slot);
	return slot == 0 ? NULL : slot_row(keyed, slot);
}

static const uint8_t *
value_store(struct memtable *memtable, struct arena *arena, const struct zp_record *record)
{
	uint8_t head[ZP_RECORD_HEAD_BYTES_MAX];
	size_t head_length = zp_record_head_encode(record, head);
	size_t length = head_length + record->texts.length;
	uint8_t *value;

	ZP_ASSERT(length <= ZP_RECORD_BYTES_MAX); /* what is in the journal fits */
	value = arena_take(memtable, arena, sizeof(uint32_t) + length);
	zp_store_u32le(value, (uint32_t)length);
	memcpy(value + sizeof(uint32_t), head, head_length);
	if (record->texts.length > 0)
		memcpy(value + sizeof(uint32_t) + head_length, record->texts.data,
		    record->texts.length);
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
memtable__place(
    const struct memtable *memtable, const struct zp_key *key, struct memtable_place *place_out)
{
	zp_key_encode(key, place_out->key);
	place_out->hash = key_hash(memtable, place_out->key);
	slot_prefetch(memtable, place_out->hash);
}

/* Room for one more row of log `which`: its number. */
static uint32_t
keyed_next(const struct keyed *keyed, unsigned which)
{
	uint64_t at = atomic_load_explicit(&keyed->logs[which].count, memory_order_relaxed);

	/* 4 GB of entries with one beginning: it was said at half of them that it is full. */
	ZP_ASSERT(at < (UINT32_MAX >> keyed->log_bits));
	return (uint32_t)(at << keyed->log_bits | which);
}

void
memtable__put(
    struct memtable *memtable, const struct memtable_place *place, const struct zp_record *record)
{
	struct keyed *pins = &memtable->pins;
	unsigned which = memtable__partition(memtable, zp_load_u64be(place->key));
	uint32_t number = keyed_next(pins, which);
	struct entry *entry;

	entry = (struct entry *)log_reserve(memtable, &pins->logs[which]);
	memcpy(entry->key, place->key, ZP_KEY_BYTES);
	memset(entry->reserved, 0, sizeof(entry->reserved));
	entry->value =
	    record == NULL ? NULL : value_store(memtable, &memtable->arenas[which], record);
	log_publish(&pins->logs[which]);
	atomic_store_explicit(&memtable->entries, memtable->entries + 1, memory_order_release);
	keyed_link(memtable, pins, number, place->hash);
	memtable->newest = number;
}

/* Behind the row: so that lists by creation pass over groups of other times. */
static void
times_bound(struct memtable *memtable, uint64_t moment)
{
	struct moments *group = &memtable->times_unbounded;
	uint64_t count = atomic_load_explicit(&memtable->times.count, memory_order_relaxed);
	bool is_first = count % TIMES_GROUP == 1;

	group->first = is_first ? moment : zp_min_u64(group->first, moment);
	group->last = is_first ? moment : zp_max_u64(group->last, moment);
	if (count % TIMES_GROUP != 0)
		return;
	*(struct moments *)log_reserve(memtable, &memtable->times_bounds) = *group;
	log_publish(&memtable->times_bounds);
}

void
memtable__index_add(
    struct memtable *memtable, enum zp_family family, uint64_t moment, uint8_t operation)
{
	struct log *log = family == ZP_FAMILY_TIME ? &memtable->times : &memtable->expiries;
	struct index_row *row;

	ZP_ASSERT(
	    (family == ZP_FAMILY_TIME || family == ZP_FAMILY_EXPIRE) && memtable->entries > 0);
	row = (struct index_row *)log_reserve(memtable, log);
	*row =
	    (struct index_row){.moment = moment, .entry = memtable->newest, .operation = operation};
	log_publish(log);
	if (family == ZP_FAMILY_TIME)
		times_bound(memtable, moment);
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
	at = (uintptr_t)arena_take(
	    memtable, &memtable->tracks_arena, sizeof(*stored) + value->texts.length + 7);
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
	const struct track_entry *entry = memtable__find(memtable, &memtable->tracks, key);

	while (entry != NULL && entry->peer != peer)
		entry = entry->other;
	return entry;
}

void
memtable__track_put(struct memtable *memtable, const struct zp_key *key, uint32_t peer,
    const struct segment_value *value, bool had_old)
{
	struct keyed *tracks = &memtable->tracks;
	const struct segment_value *stored = track_value_store(memtable, value);
	struct track_entry *entry;
	uint8_t bytes[ZP_KEY_BYTES];
	uint32_t number;

	zp_key_encode(key, bytes);
	entry = (struct track_entry *)(uintptr_t)track_find(memtable, bytes, peer); /* ours */
	if (entry != NULL) {
		atomic_store_explicit(&entry->value, stored, memory_order_release);
		return;
	}
	number = keyed_next(tracks, 0);
	entry = (struct track_entry *)log_reserve(memtable, &tracks->logs[0]);
	memcpy(entry->key, bytes, ZP_KEY_BYTES);
	entry->had_old = had_old;
	entry->peer = peer;
	entry->other = memtable__find(memtable, tracks, bytes);
	atomic_init(&entry->value, stored);
	log_publish(&tracks->logs[0]);
	keyed_link(memtable, tracks, number, key_hash(memtable, bytes));
}

/* The pin's entry; where there is none it is made, with `count`, and *made_out says so. */
static struct access_entry *
access_entry_of(struct memtable *memtable, const struct zp_key *short_key, uint64_t count,
    uint64_t last, bool *made_out)
{
	struct keyed *accesses = &memtable->accesses;
	uint32_t number;
	struct access_entry *entry;
	uint8_t bytes[ZP_KEY_BYTES];

	zp_key_encode(short_key, bytes);
	entry =
	    (struct access_entry *)(uintptr_t)memtable__find(memtable, accesses, bytes); /* ours */
	*made_out = entry == NULL;
	if (entry != NULL)
		return entry;
	number = keyed_next(accesses, 0);
	entry = (struct access_entry *)log_reserve(memtable, &accesses->logs[0]);
	memcpy(entry->key, bytes, ZP_KEY_BYTES);
	atomic_init(&entry->count, count);
	atomic_init(&entry->last, last);
	log_publish(&accesses->logs[0]);
	keyed_link(memtable, accesses, number, key_hash(memtable, bytes));
	return entry;
}

void
memtable__access_add(
    struct memtable *memtable, const struct zp_key *short_key, uint64_t count, uint64_t last)
{
	struct access_entry *entry;
	uint64_t before;
	bool is_made;

	ZP_ASSERT(count > 0 && count <= ACCESSES_COUNT_MAX);
	entry = access_entry_of(memtable, short_key, count, last, &is_made);
	if (is_made)
		return;
	before = atomic_load_explicit(&entry->count, memory_order_relaxed);
	count = zp_min_u64((before & ~ACCESS_HIDES) + count, ACCESSES_COUNT_MAX);
	last = zp_max_u64(atomic_load_explicit(&entry->last, memory_order_relaxed), last);
	atomic_store_explicit(&entry->last, last, memory_order_relaxed);
	atomic_store_explicit(&entry->count, (before & ACCESS_HIDES) | count, memory_order_release);
}

void
memtable__access_end(struct memtable *memtable, const struct zp_key *short_key)
{
	bool is_made;
	struct access_entry *entry =
	    access_entry_of(memtable, short_key, ACCESS_HIDES, 0, &is_made);

	atomic_store_explicit(&entry->count, ACCESS_HIDES, memory_order_release);
	atomic_store_explicit(&entry->last, 0, memory_order_relaxed);
}

/* ---- Reading --------------------------------------------------------------------------------- */

uint8_t
memtable__entry_record(
    const struct entry *entry, uint64_t facts_out[ZP_FACT_COUNT], struct zp_slice *texts_out)
{
	struct zp_slice bytes;

	if (entry->value == NULL) {
		memset(facts_out, 0, ZP_FACT_COUNT * sizeof(facts_out[0]));
		*texts_out = (struct zp_slice){0};
		return ZP_ROW_TOMBSTONE;
	}
	bytes.length = zp_load_u32le(entry->value);
	bytes.data = entry->value + sizeof(uint32_t);
	zp_record_decode_own(bytes, facts_out, texts_out);
	return ZP_ROW_PUT;
}

void
memtable__entry_row(const struct entry *entry, struct segment_row *row_out)
{
	struct zp_record *record = &row_out->record;

	ZP_ASSERT(zp_key_decode(entry->key, &row_out->key, NULL) == ZP_OK);
	row_out->operation = memtable__entry_record(entry, record->facts, &record->texts);
}

bool
memtable__get(
    const struct memtable *memtable, const uint8_t key[ZP_KEY_BYTES], struct segment_row *row_out)
{
	const struct entry *entry = memtable__find(memtable, &memtable->pins, key);

	if (entry != NULL)
		memtable__entry_row(entry, row_out);
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
