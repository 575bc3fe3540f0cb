/*
 * test_memtable.c - a memtable under its owner and readers at once, and under chosen keys.
 *
 * Method: every record says in its facts which key it was put under, so that a reader knows without
 * a model whether what it got is right. One thread adds while others get and open sorted rows; run
 * under ThreadSanitizer the same tests also show that nothing is read before it was published.
 * Speed is compared within one run: chosen keys against random ones.
 */
#include "engine_model.h"

#include "engine/memtable_internal.h"
#include "engine/times.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

enum { READERS = 2 };

static uint64_t
mix(uint64_t number)
{
	return zp_hash64(&number, sizeof(number), 7);
}

/* Key `number` of the test; random digests. */
static struct zp_key
key_of(uint64_t number)
{
	struct zp_key key = {.version = 1, .codec = ZP_CODEC_RAW};

	for (size_t i = 0; i < 4; i++)
		zp_store_u64le(key.digest + 8 * i, mix(4 * number + i));
	return key;
}

/* The record of key `number` in its `turn`: says both. */
static struct zp_record
record_of(uint64_t number, uint64_t turn)
{
	struct zp_record record = {0};

	record.facts[ZP_FACT_SIZE] = number + 1;
	record.facts[ZP_FACT_SHARD_SIZE] = turn + 1;
	return record;
}

/* So that there are several logs; and that there is one, 16, and as many as can be. */
#define ENTRIES_EXPECTED 10000
static const uint64_t expected_of_logs[] = {0, ENTRIES_EXPECTED, UINT64_C(1) << 40};

static size_t
rows_left(struct memtable_rows *rows)
{
	struct segment_cells cells;
	struct zp_slice texts;
	size_t count = 0;

	while (memtable__rows_next_cells(rows, &cells, &texts) == ZP_OK)
		count++;
	return count;
}

static void
put_record(struct memtable *memtable, const struct zp_key *key, const struct zp_record *record)
{
	struct memtable_place place;

	memtable__place(memtable, key, &place);
	memtable__put(memtable, &place, record);
}

static void
put(struct memtable *memtable, uint64_t number, uint64_t turn)
{
	struct zp_key key = key_of(number);
	struct zp_record record = record_of(number, turn);

	put_record(memtable, &key, &record);
}

static bool
get(struct memtable *memtable, uint64_t number, struct segment_row *row_out)
{
	struct zp_key key = key_of(number);
	uint8_t bytes[ZP_KEY_BYTES];

	zp_key_encode(&key, bytes);
	return memtable__get(memtable, bytes, row_out);
}

/* ---- Times of creation ----------------------------------------------------------------------- */

enum { TIMES = 5000 };
static uint64_t moments[TIMES];

struct moments_heard {
	const struct memtable_times *wanted;
	size_t count;
	uint64_t sum;
};

static int
moment_hear(void *context, uint64_t moment, const uint8_t key[ZP_KEY_BYTES])
{
	struct moments_heard *heard = context;

	assert_true(moment >= heard->wanted->first && moment <= heard->wanted->last);
	heard->count++;
	heard->sum += zp_load_u64be(key);
	return ZP_OK;
}

/* Of the first `count` pins, by looking at each. */
static void
times_check(const struct memtable *memtable, size_t count, const struct memtable_times *wanted)
{
	struct moments_heard heard = {.wanted = wanted};
	uint64_t sum = 0, latest = 0, told = 0;
	size_t wanted_count = 0;
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		uint64_t head = zp_load_u64be(key_of(i).digest);

		if (moments[i] <= wanted->last) {
			latest = any && latest > moments[i] ? latest : moments[i];
			any = true;
		}
		if (moments[i] < wanted->first || moments[i] > wanted->last ||
		    head < wanted->head_first || head > wanted->head_last)
			continue;
		wanted_count++;
		sum += head;
	}
	assert_int_equal(memtable__created_keys(memtable, wanted, moment_hear, &heard), ZP_OK);
	assert_int_equal(heard.count, wanted_count);
	assert_int_equal(heard.sum, sum);
	assert_int_equal(memtable__created_last(memtable, 0, wanted->last, &told), any);
	assert_int_equal(told, latest);
	assert_false(memtable__created_last(memtable, 1, wanted->last, &told));
}

/* Rising, falling, all alike, anyhow, and with a group's first row the latest of it; while groups
 * are open, and when they are full. */
static void
times_are_found_in_any_order(void **state)
{
	(void)state;
	for (unsigned order = 0; order < 5; order++) {
		struct memtable *memtable = memtable__new(1, 0, 0, ENTRIES_EXPECTED);

		for (size_t i = 0; i < TIMES; i++) {
			const uint64_t of_order[] = {i / 3, TIMES - i, 9, mix(i) % TIMES,
			    i % TIMES_GROUP == 0 ? TIMES + i : i};

			moments[i] = of_order[order];
			put(memtable, i, 0);
			memtable__index_add(memtable, ZP_FAMILY_TIME, moments[i], ZP_ROW_PUT);
			if (i % 511 != 0 && i % TIMES_GROUP != 0)
				continue;
			for (uint64_t first = 0; first < TIMES; first += 700) {
				const struct memtable_times wanted = {.first = first,
				    .last = first + mix(i + first) % 1000,
				    .head_first = i % 2 == 0 ? 0 : UINT64_MAX / 3,
				    .head_last = UINT64_MAX};

				times_check(memtable, i + 1, &wanted);
			}
			times_check(memtable, i + 1,
			    &(struct memtable_times){.last = UINT64_MAX, .head_last = UINT64_MAX});
		}
		memtable__release(memtable);
	}
}

/* ---- Owner alone ---------------------------------------------------------------------------- */

/* Through many growths of table and log each key has its last record, and sorted rows have each
 * once. */
static void
replaced_keys_of(uint64_t entries_expected)
{
	enum { KEYS = 5000, TURNS = 5 };
	struct memtable *memtable = memtable__new(1, 0, 0, entries_expected);
	struct memtable_rows *rows;
	struct segment_row row, before;
	uint64_t bytes = 0;
	size_t count = 0;

	assert_true(memtable__is_empty(memtable));
	for (uint64_t turn = 0; turn < TURNS; turn++) {
		for (uint64_t i = 0; i < KEYS; i++) {
			struct zp_key key = key_of(i);

			if ((i + turn) % 7 == 0)
				put_record(memtable, &key, NULL);
			else
				put(memtable, i, turn);
			assert_true(memtable__bytes(memtable) >= bytes);
			bytes = memtable__bytes(memtable);
		}
	}
	assert_int_equal(memtable__entries(memtable), KEYS * TURNS);
	assert_true(bytes >= KEYS * TURNS * 64);
	for (uint64_t i = 0; i < KEYS; i++) {
		assert_true(get(memtable, i, &row));
		if ((i + TURNS - 1) % 7 == 0) {
			assert_int_equal(row.operation, ZP_ROW_TOMBSTONE);
			continue;
		}
		assert_int_equal(row.operation, ZP_ROW_PUT);
		assert_int_equal(row.record.facts[ZP_FACT_SIZE], i + 1);
		assert_int_equal(row.record.facts[ZP_FACT_SHARD_SIZE], TURNS);
	}
	for (uint64_t i = KEYS; i < 2 * KEYS; i++)
		assert_false(get(memtable, i, &row));
	rows = memtable__rows_open(memtable, NULL);
	assert_int_equal(memtable__keys(memtable), KEYS);
	while (memtable__rows_next(rows, &row) == ZP_OK) {
		if (count++ > 0)
			assert_true(zp_key_compare(&before.key, &row.key) < 0);
		if (row.operation == ZP_ROW_PUT)
			assert_int_equal(row.record.facts[ZP_FACT_SHARD_SIZE], TURNS);
		before = row;
	}
	assert_int_equal(count, KEYS);
	memtable__rows_close(rows);
	memtable__release(memtable);
}

static void
replaced_keys_have_their_last_record(void **state)
{
	(void)state;
	for (size_t logs = 0; logs < ZP_ARRAY_COUNT(expected_of_logs); logs++)
		replaced_keys_of(expected_of_logs[logs]);
}

/* Rows from a key begin exactly there, also when the key itself is not in. */
static void
rows_from_of(uint64_t entries_expected)
{
	enum { KEYS = 300 };
	struct memtable *memtable = memtable__new(2, 0, 0, entries_expected);
	uint8_t from[ZP_KEY_BYTES], all[KEYS][ZP_KEY_BYTES];
	struct memtable_rows *rows;
	struct segment_row row;

	for (uint64_t i = 0; i < KEYS; i++)
		put(memtable, i, 0);
	rows = memtable__rows_open(memtable, NULL);
	for (size_t i = 0; i < KEYS; i++) {
		assert_int_equal(memtable__rows_next(rows, &row), ZP_OK);
		zp_key_encode(&row.key, all[i]);
	}
	memtable__rows_close(rows);
	for (size_t i = 0; i < KEYS; i++) {
		for (int above = 0; above < 2; above++) {
			memcpy(from, all[i], sizeof(from));
			from[ZP_KEY_BYTES - 1] = (uint8_t)(from[ZP_KEY_BYTES - 1] + above);
			rows = memtable__rows_open(memtable, from);
			assert_int_equal(rows_left(rows), KEYS - i - (size_t)above);
			memtable__rows_close(rows);
		}
	}
	memtable__release(memtable);
}

static void
rows_begin_where_they_are_asked_to(void **state)
{
	(void)state;
	for (size_t logs = 0; logs < ZP_ARRAY_COUNT(expected_of_logs); logs++)
		rows_from_of(expected_of_logs[logs]);
}

/* Of a shard that is a part of all keys, of whose digests 4 to 64 bits are the same: also from keys
 * that are before or behind all of it. */
static void
rows_of_a_part_begin_anywhere_of(unsigned prefix_bits, uint64_t entries_expected)
{
	enum { KEYS = 1000 };
	uint64_t rest = prefix_bits == 64 ? 0 : UINT64_MAX >> prefix_bits;
	uint64_t low = UINT64_C(0xA5A5A5A5A5A5A5A5) & ~rest;
	const struct {
		uint64_t head;
		size_t count;
	} froms[] = {{0, KEYS}, {low - 1, KEYS}, {low, KEYS}, {low + rest + 1, 0}, {UINT64_MAX, 0}};
	struct memtable *memtable = memtable__new(7, low, prefix_bits, entries_expected);
	uint8_t from[ZP_KEY_BYTES] = {0};
	struct memtable_rows *rows;
	uint64_t head = 0;
	struct segment_row row;

	for (uint64_t i = 0; i < KEYS; i++) {
		struct zp_key key = {.codec = ZP_CODEC_RAW, .version = 1};

		zp_store_u64be(key.digest, low | (mix(i) & rest));
		zp_store_u64be(key.digest + 8, i);
		put_record(memtable, &key, NULL);
	}
	for (size_t i = 0; i < ZP_ARRAY_COUNT(froms); i++) {
		zp_store_u64be(from, froms[i].head);
		rows = memtable__rows_open(memtable, from);
		assert_int_equal(rows_left(rows), froms[i].count);
		memtable__rows_close(rows);
	}
	rows = memtable__rows_open(memtable, NULL);
	while (memtable__rows_next(rows, &row) == ZP_OK) {
		assert_true(zp_load_u64be(row.key.digest) >= head);
		head = zp_load_u64be(row.key.digest);
	}
	memtable__rows_close(rows);
	memtable__release(memtable);
}

static void
rows_of_a_part_begin_anywhere(void **state)
{
	static const unsigned prefixes[] = {4, 57, 58, 59, 60, 63, 64};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(prefixes); i++) {
		for (size_t logs = 0; logs < ZP_ARRAY_COUNT(expected_of_logs); logs++) {
			rows_of_a_part_begin_anywhere_of(prefixes[i], expected_of_logs[logs]);
		}
	}
}

/* Ten entries a moment, of one or two namespaces, and of each what was said last and what it all
 * comes to. */
struct said {
	bool is_said;
	uint8_t last;
	int64_t sum;
};
enum { ENTRIES = 4000, DIFFERENT = 700, PINS_OF_MOMENT = 10 };

static struct zp_key
entry_key(uint64_t which, unsigned namespaces)
{
	uint32_t namespace_id = namespaces == 1 || which % 2 == 0 ? 0 : 7;
	/* behind the digest keys end in three ways, or in one for each claim */
	struct zp_key key = {.version = 1,
	    .codec = ZP_CODEC_RAW + which % 3,
	    .namespace_id = namespace_id,
	    .claim = namespace_id == 0 ? 0 : 1 + which};

	key.digest[0] = (uint8_t)(which % PINS_OF_MOMENT);
	zp_store_u64be(key.digest + 8, which);
	return key;
}

static void
entries_assert(struct memtable *memtable, enum zp_family family, uint64_t moment_max,
    const struct said *said, unsigned namespaces)
{
	struct memtable_entries *entries = memtable__entries_open(memtable, family, moment_max);
	size_t count = memtable__entries_count(entries), expected = 0;
	uint64_t before[SEGMENT_KEY_COLUMNS_MAX] = {0};
	struct segment_entry entry;

	for (uint64_t which = 0; which < DIFFERENT; which++)
		expected +=
		    (family == ZP_FAMILY_TIME ? said[which].sum != 0 : said[which].is_said) &&
		    which / PINS_OF_MOMENT <= moment_max;
	assert_int_equal(count, expected);
	for (size_t i = 0; i < count; i++) {
		uint64_t columns[SEGMENT_KEY_COLUMNS_MAX] = {0};
		uint8_t bytes[ZP_KEY_BYTES];
		uint64_t moment, which;
		struct zp_key key;

		memtable__entries_at(entries, i, &entry);
		moment = entry.columns[family == ZP_FAMILY_TIME];
		which = moment * PINS_OF_MOMENT +
			(entry.columns[family == ZP_FAMILY_TIME ? 2 : 1] >> 56);
		key = entry_key(which, namespaces);
		zp_key_encode(&key, bytes);
		index__entry_columns(family, bytes, moment, columns);
		assert_memory_equal(
		    entry.columns, columns, segment__key_columns(family) * sizeof(columns[0]));
		if (family == ZP_FAMILY_TIME)
			assert_int_equal(
			    times__of_operation(entry.operation).pins, said[which].sum);
		else
			assert_int_equal(entry.operation, said[which].last);
		assert_true(i == 0 || segment__columns_compare(
					  before, columns, segment__key_columns(family)) < 0);
		memcpy(before, columns, sizeof(before));
	}
	memtable__entries_close(entries);
}

/* Entries of time and expire: sorted, the newest of equal columns, or of time what they come to;
 * none above the limit; whether they came in the order of their moments or not. */
static void
entries_are_sorted_and_newest(void **state)
{
	(void)state;
	for (unsigned turn = 0; turn < 4; turn++) {
		unsigned in_order = turn % 2, namespaces = 1 + turn / 2;
		struct memtable *memtable = memtable__new(3, 0, 0, ENTRIES_EXPECTED);
		struct said said[DIFFERENT] = {0};

		for (uint64_t i = 0; i < ENTRIES; i++) {
			uint64_t which = mix(i) % DIFFERENT;
			struct zp_key key;

			if (in_order)
				which = i * DIFFERENT / ENTRIES / PINS_OF_MOMENT * PINS_OF_MOMENT +
					mix(i) % PINS_OF_MOMENT;
			key = entry_key(which, namespaces);
			said[which].is_said = true;
			said[which].last = (uint8_t)(mix(i + ENTRIES) % 2);
			said[which].sum += said[which].last == ZP_ROW_PUT ? 1 : -1;
			put_record(memtable, &key, NULL);
			memtable__index_add(
			    memtable, ZP_FAMILY_EXPIRE, which / PINS_OF_MOMENT, said[which].last);
			memtable__index_add(
			    memtable, ZP_FAMILY_TIME, which / PINS_OF_MOMENT, said[which].last);
		}
		entries_assert(memtable, ZP_FAMILY_EXPIRE, UINT64_MAX, said, namespaces);
		entries_assert(memtable, ZP_FAMILY_TIME, UINT64_MAX, said, namespaces);
		entries_assert(memtable, ZP_FAMILY_EXPIRE, 29, said, namespaces);
		memtable__release(memtable);
	}
}

/* ---- Rows that numbers can't tell apart any more --------------------------------------------- */

static struct memtable *
memtable_nearly_full(uint64_t rows_full)
{
	struct memtable *memtable = memtable__new(5, 0, 0, 1u << 20);

	for (unsigned i = 0; i < memtable__partitions(memtable); i++) {
		assert_int_equal(
		    memtable->pins.logs[i].rows_full, (UINT32_MAX >> memtable->pins.log_bits) / 2);
		memtable->pins.logs[i].rows_full = rows_full;
	}
	assert_int_equal(memtable->times.rows_full, UINT32_MAX / 2);
	memtable->times.rows_full = memtable->expiries.rows_full = 4 * rows_full;
	return memtable;
}

/* Chosen digests all go to one log, uniform ones to all: the memtable says that it is full when one
 * log is, whichever, and goes on taking what comes. */
static void
a_log_that_is_full_is_told(void **state)
{
	enum { FULL = 256 };
	struct memtable *memtable = memtable_nearly_full(FULL);
	struct zp_key key = {.version = 1, .codec = ZP_CODEC_RAW};
	size_t put = 0;

	(void)state;
	assert_true(memtable__partitions(memtable) == PARTITIONS_MAX);
	for (; !memtable__is_full(memtable); put++) {
		zp_store_u64be(key.digest + 8, put);
		put_record(memtable, &key, NULL);
	}
	assert_in_range(put, FULL, FULL + LOG_CHUNK_ROWS);
	zp_store_u64be(key.digest + 8, put);
	put_record(memtable, &key, NULL);
	assert_int_equal(memtable__keys(memtable), put + 1);
	memtable__release(memtable);

	memtable = memtable_nearly_full(FULL);
	for (put = 0; !memtable__is_full(memtable); put++) {
		struct zp_key uniform = key_of(put);

		put_record(memtable, &uniform, NULL);
	}
	assert_true(put > FULL * PARTITIONS_MAX / 2);
	memtable__release(memtable);

	memtable = memtable_nearly_full(FULL);
	put_record(memtable, &key, NULL);
	for (put = 0; !memtable__is_full(memtable); put++)
		memtable__index_add(memtable, ZP_FAMILY_TIME, put, ZP_ROW_PUT);
	assert_in_range(put, 4 * FULL, 4 * FULL + LOG_CHUNK_ROWS);
	memtable__release(memtable);
}

/* The engine then has more memory than any budget, until it is frozen. */
static void
a_full_memtable_is_over_any_budget(void **state)
{
	struct model *model = model_begin(3);

	(void)state;
	model_change(model, 0, false);
	model->engine->active->times.rows_full = 1;
	assert_true(zp_engine_memory_bytes(model->engine) < 1u << 20);
	for (uint32_t i = 0; i < MODEL_KEYS; i++)
		model_change(model, i, false);
	assert_int_equal(zp_engine_memory_bytes(model->engine), ZP_ENGINE_MEMORY_FULL);
	model_flush_well(model);
	assert_true(zp_engine_memory_bytes(model->engine) < 1u << 20);
	model_expect_holds(model);
	model_free(model);
}

/* ---- Chosen keys ---------------------------------------------------------------------------- */

enum skew { SKEW_NONE, SKEW_ONE_DIGEST, SKEW_COUNTING, SKEW_LAST_WORD, SKEW_KINDS };

static struct zp_key
skewed_key(enum skew skew, uint64_t number)
{
	struct zp_key key = {.version = 1, .codec = ZP_CODEC_RAW};

	switch (skew) {
	case SKEW_ONE_DIGEST: /* claims of an account on one CID */
		key.namespace_id = 5;
		key.claim = number;
		break;
	case SKEW_COUNTING: /* as if someone had sorted his digests: a rising first word */
		zp_store_u64be(key.digest, number << 20);
		break;
	case SKEW_LAST_WORD: /* all of one bucket */
		zp_store_u64be(key.digest + 24, number);
		break;
	default:
		key = key_of(number);
	}
	return key;
}

/* Nanoseconds of this thread to put, get and sort a hundred thousand such keys. */
static uint64_t
skew_cost(enum skew skew)
{
	enum { KEYS = 100000 };
	struct memtable *memtable = memtable__new(4, 0, 0, ENTRIES_EXPECTED);
	struct memtable_rows *rows;
	struct timespec begin, end;
	struct segment_row row;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
	for (uint64_t i = 0; i < KEYS; i++) {
		struct zp_key key = skewed_key(skew, i);
		struct zp_record record = record_of(i, 0);

		put_record(memtable, &key, &record);
	}
	for (uint64_t i = 0; i < KEYS; i++) {
		struct zp_key key = skewed_key(skew, i);
		uint8_t bytes[ZP_KEY_BYTES];

		zp_key_encode(&key, bytes);
		assert_true(memtable__get(memtable, bytes, &row));
		assert_int_equal(row.record.facts[ZP_FACT_SIZE], i + 1);
	}
	rows = memtable__rows_open(memtable, NULL);
	assert_int_equal(rows_left(rows), KEYS);
	memtable__rows_close(rows);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	memtable__release(memtable);
	return (uint64_t)(end.tv_sec - begin.tv_sec) * 1000000000u + (uint64_t)end.tv_nsec -
	       (uint64_t)begin.tv_nsec;
}

/* A table that took digests for hashes would need 10^10 steps for these, and a thousand times the
 * time. */
static void
chosen_keys_cost_no_more_than_random_ones(void **state)
{
	uint64_t random = zp_max_u64(skew_cost(SKEW_NONE), skew_cost(SKEW_NONE));

	(void)state;
	for (enum skew skew = SKEW_ONE_DIGEST; skew < SKEW_KINDS; skew++)
		assert_true(skew_cost(skew) < 20 * random);
}

/* ---- Owner and readers ---------------------------------------------------------------------- */

struct shared {
	struct memtable *memtable;
	uint64_t keys;
	_Atomic(uint64_t) added;    /* keys below this are in */
	_Atomic(uint64_t) replaced; /* keys below this are in their second turn */
	_Atomic(bool) done;
	_Atomic(uint64_t) wrong;
	_Atomic(uint64_t) looked;
};

static void
expect(struct shared *shared, bool right)
{
	if (!right)
		shared->wrong++;
}

/* A key that is in is found with a record of its own, at least as new as it was when we began. */
static void
reader_get(struct shared *shared, uint64_t number)
{
	uint64_t added = shared->added, replaced = shared->replaced;
	struct segment_row row;
	bool found = get(shared->memtable, number, &row);

	expect(shared, found || number >= added);
	if (!found)
		return;
	expect(shared, row.operation == ZP_ROW_PUT && row.record.facts[ZP_FACT_SIZE] == number + 1);
	expect(shared, number >= replaced || row.record.facts[ZP_FACT_SHARD_SIZE] == 2);
}

/* Sorted rows have at least what was in, rise, and stay right while the owner goes on. */
static void
reader_rows(struct shared *shared)
{
	uint64_t added = shared->added, count = 0;
	struct memtable_rows *rows = memtable__rows_open(shared->memtable, NULL);
	struct segment_row row, before;

	while (memtable__rows_next(rows, &row) == ZP_OK) {
		struct zp_key key = key_of(row.record.facts[ZP_FACT_SIZE] - 1);

		expect(shared, zp_key_compare(&key, &row.key) == 0);
		expect(shared, count == 0 || zp_key_compare(&before.key, &row.key) < 0);
		before = row;
		count++;
	}
	expect(shared, count >= added && count <= shared->keys);
	memtable__rows_close(rows);
}

enum { PINS_OF_SECOND = 16 };

/* Each pin that was in has its entry, one more pin of it; entries of a second come in order. */
static void
reader_entries(struct shared *shared)
{
	uint64_t added = shared->added;
	struct memtable_entries *entries =
	    memtable__entries_open(shared->memtable, ZP_FAMILY_TIME, UINT64_MAX);
	size_t count = memtable__entries_count(entries);
	struct segment_entry entry, before;

	expect(shared, count >= added && count <= shared->keys);
	for (size_t i = 0; i < count; i++) {
		memtable__entries_at(entries, i, &entry);
		expect(shared,
		    entry.operation == ZP_ROW_PUT && entry.columns[1] == i / PINS_OF_SECOND);
		expect(shared, i == 0 || segment__columns_compare(before.columns, entry.columns,
					     SEGMENT_TIME_COLUMNS) < 0);
		before = entry;
	}
	memtable__entries_close(entries);
}

static void *
reader_run(void *context)
{
	struct shared *shared = context;
	uint64_t random = (uintptr_t)&random;

	while (!shared->done) {
		for (int i = 0; i < 500; i++)
			reader_get(shared, mix(random++) % shared->keys);
		reader_rows(shared);
		reader_entries(shared);
		shared->looked++;
	}
	return NULL;
}

static void
readers_of_logs_see(uint64_t entries_expected)
{
	struct shared shared = {
	    .memtable = memtable__new(5, 0, 0, entries_expected), .keys = 20000};
	pthread_t readers[READERS];

	for (int i = 0; i < READERS; i++)
		pthread_create(&readers[i], NULL, reader_run, &shared);
	for (uint64_t i = 0; i < shared.keys; i++) {
		put(shared.memtable, i, 0);
		memtable__index_add(
		    shared.memtable, ZP_FAMILY_TIME, i / PINS_OF_SECOND, ZP_ROW_PUT);
		shared.added = i + 1;
	}
	for (uint64_t i = 0; i < shared.keys; i++) {
		put(shared.memtable, i, 1);
		shared.replaced = i + 1;
	}
	while (shared.looked < 2 * READERS) /* also when the owner was faster than they began */
		;
	shared.done = true;
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(shared.wrong, 0);
	memtable__release(shared.memtable);
}

static void
readers_see_what_is_in(void **state)
{
	(void)state;
	for (size_t logs = 0; logs < ZP_ARRAY_COUNT(expected_of_logs); logs++)
		readers_of_logs_see(expected_of_logs[logs]);
}

/* ---- Statuses ------------------------------------------------------------------------------- */

enum { STATUS_PEERS = 3 };

/* Row `number` is of key number / 3, and says its number and turn. */
static void
status_put(struct memtable *memtable, uint64_t number, uint64_t turn)
{
	struct segment_value value = {.columns = {1, number, turn, 0}};
	struct zp_key key = key_of(number / STATUS_PEERS);

	memtable__track_put(
	    memtable, &key, 1 + (uint32_t)(number % STATUS_PEERS), &value, turn > 0);
}

/* Every row that was in is among the entries, in order, right, and at least as new as it was. */
static void
statuses_expect(struct shared *shared, struct segment_entry *entries, size_t count, uint64_t added,
    uint64_t replaced)
{
	size_t seen = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t number = entries[i].value->columns[1];
		struct zp_key key = key_of(number / STATUS_PEERS);

		expect(shared, entries[i].columns[0] == zp_load_u64be(key.digest));
		expect(shared, entries[i].columns[8] == 1 + number % STATUS_PEERS);
		expect(shared, number >= replaced || entries[i].value->columns[2] == 1);
		expect(shared, i == 0 || memcmp(entries[i - 1].columns, entries[i].columns,
					     sizeof(entries[i].columns)) != 0);
		seen += number < added;
	}
	expect(shared, seen == added);
	free(entries);
}

static void *
status_reader_run(void *context)
{
	struct shared *shared = context;
	uint64_t random = (uintptr_t)&random;

	while (!shared->done) {
		uint64_t added = shared->added, replaced = shared->replaced;
		struct segment_entry *entries;
		size_t count = memtable__tracks_sorted(shared->memtable, NULL, false, &entries);

		statuses_expect(shared, entries, count, added, replaced);
		for (int i = 0; i < 300; i++) {
			uint64_t first = mix(random++) % shared->keys / STATUS_PEERS * STATUS_PEERS;
			struct zp_key key = key_of(first / STATUS_PEERS);

			added = shared->added;
			count = memtable__tracks_sorted(shared->memtable, &key, true, &entries);
			expect(shared, count <= STATUS_PEERS);
			expect(shared, count == STATUS_PEERS || first + count >= added);
			for (size_t n = 0; n < count; n++)
				expect(shared, entries[n].value->columns[1] == first + n);
			free(entries);
		}
		shared->looked++;
	}
	return NULL;
}

static void
readers_see_all_statuses_of_a_pin(void **state)
{
	struct shared shared = {.memtable = memtable__new(6, 0, 0, ENTRIES_EXPECTED), .keys = 6000};
	pthread_t readers[READERS];

	(void)state;
	for (int i = 0; i < READERS; i++)
		pthread_create(&readers[i], NULL, status_reader_run, &shared);
	for (uint64_t i = 0; i < shared.keys; i++) {
		status_put(shared.memtable, i, 0);
		shared.added = i + 1;
	}
	for (uint64_t i = 0; i < shared.keys; i++) {
		status_put(shared.memtable, i, 1);
		shared.replaced = i + 1;
	}
	while (shared.looked < 2 * READERS)
		;
	shared.done = true;
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(shared.wrong, 0);
	memtable__release(shared.memtable);
}

/* ---- A key that is not there, while others come --------------------------------------------- */

struct absent {
	pthread_barrier_t barrier;
	struct memtable *memtable;
	uint64_t round;
	_Atomic(bool) filled;
	bool over;
	uint64_t wrong;
};

static void *
absent_run(void *context)
{
	struct absent *absent = context;

	for (;;) {
		struct segment_row row;
		uint64_t number = 0;

		pthread_barrier_wait(&absent->barrier);
		if (absent->over)
			return NULL;
		while (!absent->filled) {
			number++;
			absent->wrong += get(absent->memtable, (1u << 30) + number % 64, &row);
		}
		pthread_barrier_wait(&absent->barrier);
	}
}

/*
 * A key that was never put is never found, whatever is put at the same moment. Small tables, again
 * and again, so that often a slot that the reader found empty is taken right behind its back.
 */
static void
an_absent_key_is_never_found(void **state)
{
	enum { ROUNDS = 4000, KEYS = 250 };
	struct absent absent = {0};
	pthread_t reader;

	(void)state;
	pthread_barrier_init(&absent.barrier, NULL, 2);
	pthread_create(&reader, NULL, absent_run, &absent);
	for (absent.round = 0; absent.round < ROUNDS; absent.round++) {
		absent.memtable = memtable__new(absent.round, 0, 0, ENTRIES_EXPECTED);
		absent.filled = false;
		pthread_barrier_wait(&absent.barrier);
		for (uint64_t i = 0; i < KEYS; i++)
			put(absent.memtable, absent.round * KEYS + i, 0);
		absent.filled = true;
		pthread_barrier_wait(&absent.barrier);
		memtable__release(absent.memtable);
	}
	absent.over = true;
	pthread_barrier_wait(&absent.barrier);
	pthread_join(reader, NULL);
	pthread_barrier_destroy(&absent.barrier);
	assert_int_equal(absent.wrong, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(replaced_keys_have_their_last_record),
	    cmocka_unit_test(rows_begin_where_they_are_asked_to),
	    cmocka_unit_test(rows_of_a_part_begin_anywhere),
	    cmocka_unit_test(entries_are_sorted_and_newest),
	    cmocka_unit_test(times_are_found_in_any_order),
	    cmocka_unit_test(a_log_that_is_full_is_told),
	    cmocka_unit_test(a_full_memtable_is_over_any_budget),
	    cmocka_unit_test(chosen_keys_cost_no_more_than_random_ones),
	    cmocka_unit_test(readers_see_what_is_in),
	    cmocka_unit_test(readers_see_all_statuses_of_a_pin),
	    cmocka_unit_test(an_absent_key_is_never_found),
	};

	return cmocka_run_group_tests_name("memtable", tests, NULL, NULL);
}
