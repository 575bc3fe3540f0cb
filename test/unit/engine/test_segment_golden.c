/*
 * test_segment_golden.c - the files of test/golden are read as the rows they were made of, and
 * those of the present way of writing, made again, are the same bytes.
 *
 * The files of a way of writing are never changed. Compressed texts depend on the release of zstd,
 * so the one file that has them is compared byte by byte only with the release that made it. To
 * make the files of a new way: add it to ways[], and ZPIN_GOLDEN_WRITE=1 (which writes those that
 * are compared).
 */
#include "segment_testing.h"

#include "engine/accesses.h"
#include "engine/times.h"

#include <zstd.h>

#define GOLDEN_ZSTD 10504u

/* Oldest first. */
static const char *const ways[] = {"v1", "v1-short", "v1-ribbon", "v1-codes", "v1-added"};
#define WAY_NOW 3u   /* how segments are written now */
#define WAY_ADDED 4u /* before that, of family time alone */

static void
golden_path(size_t way, const char *name, char path[4096])
{
	snprintf(path, 4096, "%s/segment-%s-%s.seg", ZPIN_GOLDEN, ways[way], name);
}

static void
golden_read(size_t way, const char *name, struct zp_buf *bytes)
{
	char path[4096];
	uint8_t part[4096];
	size_t length;
	FILE *file;

	golden_path(way, name, path);
	file = fopen(path, "rb");
	if (file == NULL)
		fail_msg("%s is missing", path);
	while ((length = fread(part, 1, sizeof(part), file)) > 0)
		zp_buf_append(bytes, part, length);
	fclose(file);
	assert_int_equal(zp_buf_check(bytes, path, NULL), 0);
}

static void
golden_write(size_t way, const char *name, const struct zp_buf *bytes)
{
	char path[4096];
	FILE *file;

	golden_path(way, name, path);
	file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes->data, 1, bytes->length, file), bytes->length);
	fclose(file);
}

/* Compares what was just made with the kept file (where they are to be the same), puts the kept
 * file in its place and opens that. */
static struct segment *
golden_open(struct memory_store *store, size_t way, const char *name,
    const struct segment_info *made, bool same_bytes)
{
	ZP_AUTO_BUF(kept, 1 << 20);
	struct segment_info expected = *made;
	struct segment *segment = NULL;
	struct zp_hash128 content;
	char file_name[ZP_FILE_NAME_MAX];
	struct memory_file *file;
	struct zp_err err = {0};

	segment__name_format(&made->name, file_name);
	file = memory_store_find(store, file_name);
	if (same_bytes && getenv("ZPIN_GOLDEN_WRITE") != NULL)
		golden_write(way, name, &file->bytes);
	golden_read(way, name, &kept);
	if (same_bytes) {
		assert_int_equal(kept.length, file->bytes.length);
		assert_memory_equal(kept.data, file->bytes.data, kept.length);
	}
	content = zp_hash128_of(kept.data, kept.length);
	expected.name = (struct segment_name){content.low, content.high};
	expected.bytes = kept.length;
	segment__name_format(&expected.name, file_name);
	memory_store_put(store, file_name, kept.data, kept.length);
	if (segment__open(&store->base, &expected.name, &expected, &segment, &err) != 0)
		fail_msg("%s", err.text);
	return segment;
}

static void
golden_rows(const char *name, struct rows *rows, bool same_bytes)
{
	struct segment_plan plan = plan_of(rows);
	struct memory_store store;
	struct segment_info made;
	struct segment *segment;

	memory_store_init(&store);
	plan.prefix_bits = 3;
	segment__release(rows_write(&store, rows, &plan, &made));
	for (size_t way = 0; way <= WAY_NOW; way++) {
		segment = golden_open(&store, way, name, &made, same_bytes && way == WAY_NOW);
		rows_assert_in(rows, segment);
		segment__release(segment);
	}
	memory_store_done(&store);
	rows_free(rows);
}

/* Facts of every kind, both encodings of tombstones' neighbours, classes, dictionary, own columns.
 */
static struct rows *
rows_of_facts(size_t count)
{
	struct rows *rows = rows_new(count);
	uint64_t seed = 1;

	for (size_t i = 0; i < count; i++) {
		struct segment_row *row = &rows->rows[i];

		random_digest(&seed, row->key.digest);
		row->key.digest[0] = (uint8_t)(0xa0 | (row->key.digest[0] & 0x1f));
		if (i % 4 == 0) { /* some hundred claims on one digest */
			memset(row->key.digest, 0xaa, sizeof(row->key.digest));
			row->key.namespace_id = 5;
			row->key.claim = i;
		}
		if (i % 11 == 0) {
			row->operation = ZP_ROW_TOMBSTONE;
			continue;
		}
		row_facts(row, &seed);
		row->record.facts[ZP_FACT_ALLOCATIONS] = 2 * (i % 7 * 1000);
		if (i % 500 == 1)
			row->record.facts[ZP_FACT_EXPIRE_AT] = UINT64_MAX - i;
	}
	return rows;
}

static void
golden_facts(void **state)
{
	struct rows *rows = rows_of_facts(1200);

	(void)state;
	rows_sort(rows);
	golden_rows("facts", rows, true);
}

/* Short texts that stay as they are, for they are too few to compress. */
static void
golden_texts_raw(void **state)
{
	struct rows *rows = rows_of_facts(5);

	(void)state;
	row_name(rows, 1, "x", 1);
	row_name(rows, 2, "caf\xc3\xa9", 5);
	rows_sort(rows);
	golden_rows("texts-raw", rows, true);
}

static void
golden_texts(void **state)
{
	struct rows *rows = rows_of_facts(300);

	(void)state;
	for (size_t i = 0; i < rows->count; i++) {
		char name[32];

		if (rows->rows[i].operation == ZP_ROW_TOMBSTONE)
			continue;
		snprintf(name, sizeof(name), "pin-%010zu", i);
		row_name(rows, i, name, strlen(name));
	}
	rows_sort(rows);
	golden_rows("texts", rows, ZSTD_versionNumber() == GOLDEN_ZSTD);
}

/* The index entries that golden_entries wrote. Those of time from before they were added up all
 * replace. */
static void
index_entries_assert_in(struct segment *segment, enum zp_family family)
{
	uint64_t marks = family == ZP_FAMILY_TIME ? TIMES_REPLACES : 0;
	struct segment_iterator *iterator = NULL;
	struct segment_entry read;

	assert_int_equal(segment__family(segment), family);
	assert_int_equal(segment__verify(segment, NULL, NULL), 0);
	assert_int_equal(segment__entries_open(segment, NULL, &iterator, NULL), 0);
	for (uint64_t i = 0; i < 300; i++) {
		assert_int_equal(segment__entries_next(iterator, &read, NULL), 0);
		assert_int_equal(read.columns[0], i / 100);
		assert_int_equal(read.columns[1], UINT64_C(1) << 63 | i * 60);
		assert_int_equal(read.columns[2], i * UINT64_C(0x9E3779B97F4A7C15));
		assert_int_equal(read.columns[3], 0);
		assert_int_equal(read.operation, marks | (i % 50 == 0));
	}
	assert_int_equal(segment__entries_next(iterator, &read, NULL), ZP_END);
	segment__iterator_close(iterator);
	segment__release(segment);
}

static void
golden_entries(const char *name, enum zp_family family)
{
	struct segment_plan plan = {.id = {9, 8}, .shard_id = 2, .family = family};
	struct segment_writer *writer = NULL;
	struct segment_entry entry = {0};
	struct segment_info info;
	struct memory_store store;

	memory_store_init(&store);
	assert_int_equal(segment__writer_open(&store.base, &plan, &writer, NULL), 0);
	for (uint64_t i = 0; i < 300; i++) {
		entry.columns[0] = i / 100;
		entry.columns[1] = UINT64_C(1) << 63 | i * 60;
		entry.columns[2] = i * UINT64_C(0x9E3779B97F4A7C15);
		entry.operation = i % 50 == 0;
		assert_int_equal(entry_add(writer, family, &entry, NULL), 0);
	}
	assert_int_equal(segment__writer_finish(writer, &info, NULL), 0);
	/* the last of family time that are not added up are older */
	for (size_t way = 0; way < WAY_NOW + (family != ZP_FAMILY_TIME); way++)
		index_entries_assert_in(
		    golden_open(&store, way, name, &info, way == WAY_NOW), family);
	memory_store_done(&store);
}

static void
golden_time(void **state)
{
	(void)state;
	golden_entries("time", ZP_FAMILY_TIME);
}

static void
times_assert_in(struct segment *segment, const struct segment_entry *entries)
{
	struct segment_iterator *iterator = NULL;
	struct segment_entry read;

	assert_int_equal(segment__verify(segment, NULL, NULL), 0);
	assert_int_equal(segment__entries_open(segment, NULL, &iterator, NULL), 0);
	for (size_t i = 0; i < 300; i++) {
		assert_int_equal(segment__entries_next(iterator, &read, NULL), 0);
		assert_memory_equal(read.columns, entries[i].columns,
		    SEGMENT_TIME_COLUMNS * sizeof(read.columns[0]));
		assert_int_equal(read.operation, entries[i].operation);
	}
	assert_int_equal(segment__entries_next(iterator, &read, NULL), ZP_END);
	segment__iterator_close(iterator);
	segment__release(segment);
}

/* Rows of every kind: of one pin and of many, more and fewer, such that replace. */
static void
golden_time_added(void **state)
{
	struct segment_plan plan = {.id = {9, 8}, .shard_id = 2, .family = ZP_FAMILY_TIME};
	struct segment_writer *writer = NULL;
	struct segment_entry entries[300] = {0};
	struct memory_store store;
	struct segment_info info;

	(void)state;
	memory_store_init(&store);
	assert_int_equal(segment__writer_open(&store.base, &plan, &writer, NULL), 0);
	for (uint64_t i = 0; i < 300; i++) {
		struct times_sum sum = {.pins = 1};

		if (i % 50 == 0)
			sum = (struct times_sum){.pins = (int64_t)(i / 50) - 3, .replaces = i > 99};
		if (i == 299)
			sum.pins = TIMES_PINS_MAX;
		entries[i].columns[0] = i / 100;
		entries[i].columns[1] = UINT64_C(1) << 63 | i * 60;
		entries[i].columns[2] = i * UINT64_C(0x9E3779B97F4A7C15);
		entries[i].operation = times__operation(&sum);
		assert_int_equal(entry_add(writer, ZP_FAMILY_TIME, &entries[i], NULL), 0);
	}
	assert_int_equal(segment__writer_finish(writer, &info, NULL), 0);
	assert_int_equal(info.tombstones, 4); /* -3, -2, -1 and 0 */
	times_assert_in(golden_open(&store, WAY_ADDED, "time", &info, false), entries);
	times_assert_in(golden_open(&store, WAY_NOW, "time", &info, true), entries);
	memory_store_done(&store);
}

static void
golden_expire(void **state)
{
	(void)state;
	golden_entries("expire", ZP_FAMILY_EXPIRE);
}

static void
tracks_assert_in(struct segment *segment, const struct segment_entry *entries)
{
	struct segment_iterator *iterator = NULL;
	struct segment_entry read;

	assert_int_equal(segment__family(segment), ZP_FAMILY_TRACK);
	assert_int_equal(segment__verify(segment, NULL, NULL), 0);
	assert_int_equal(segment__entries_open(segment, NULL, &iterator, NULL), 0);
	for (size_t i = 0; i < 400; i++) {
		const struct segment_value *value = entries[i].value;

		assert_int_equal(segment__entries_next(iterator, &read, NULL), 0);
		assert_memory_equal(read.columns, entries[i].columns, sizeof(read.columns));
		assert_int_equal(read.operation, i % 20 == 5);
		assert_int_equal(read.value == NULL, i % 20 == 5);
		if (read.value == NULL)
			continue;
		assert_memory_equal(read.value->columns, value->columns, sizeof(value->columns));
		assert_true(zp_slice_equal(read.value->texts, value->texts));
	}
	assert_int_equal(segment__entries_next(iterator, &read, NULL), ZP_END);
	segment__iterator_close(iterator);
	segment__release(segment);
}

/* Statuses of two hundred pins at one to three peers: tombstones, values that fit and values of
 * their own, errors that are too short to compress. */
static void
golden_track(void **state)
{
	struct segment_plan plan = {.id = {7, 6},
	    .shard_id = 2,
	    .family = ZP_FAMILY_TRACK,
	    .rows_expected = 400,
	    .filter_bits = 5};
	struct segment_writer *writer = NULL;
	struct segment_entry entries[400];
	struct segment_value values[400];
	uint8_t texts[400][4];
	struct segment_info info;
	struct memory_store store;

	(void)state;
	memory_store_init(&store);
	assert_int_equal(segment__writer_open(&store.base, &plan, &writer, NULL), 0);
	for (size_t i = 0; i < 400; i++) {
		struct zp_key key = {.version = 1, .codec = ZP_CODEC_DAG_PB};
		struct zp_track track = {.peer = 1 + (uint32_t)(i % 2),
		    .status = i % 9 == 0 ? ZP_TRACK_PIN_ERROR : ZP_TRACK_PIN_QUEUED,
		    .since_microseconds = 1700000000000000 + (int64_t)i * 1000,
		    .attempts = i % 9 == 0,
		    .is_priority = i % 100 == 8};

		zp_store_u64be(key.digest, (i / 2 + 1) * UINT64_C(0x0012345678abcdef));
		memset(key.digest + 8, (int)i / 2, 24);
		if (i % 50 == 8) {
			track.since_microseconds = -1;
			track.attempts = UINT32_MAX;
			track.status = ZP_TRACK_UNEXPECTEDLY_UNPINNED;
		}
		memcpy(texts[i], (uint8_t[]){ZP_TEXT_ERROR, 2, 'n', (uint8_t)('0' + i % 10)}, 4);
		if (i == 9 || i == 300)
			track.texts = (struct zp_slice){texts[i], 4};
		if (i % 20 == 5)
			track__entry_of_key(&key, track.peer, &entries[i]);
		else
			track__entry_of(&key, &track, &values[i], &entries[i]);
		assert_int_equal(entry_add(writer, ZP_FAMILY_TRACK, &entries[i], NULL), 0);
	}
	assert_int_equal(segment__writer_finish(writer, &info, NULL), 0);
	for (size_t way = 0; way <= WAY_NOW; way++)
		tracks_assert_in(golden_open(&store, way, "track", &info, way == WAY_NOW), entries);
	memory_store_done(&store);
}

static void
accesses_assert_in(struct segment *segment, const struct segment_entry *entries)
{
	struct segment_iterator *iterator = NULL;
	struct segment_entry read;

	assert_int_equal(segment__family(segment), ZP_FAMILY_ACCESS);
	assert_int_equal(segment__verify(segment, NULL, NULL), 0);
	assert_int_equal(segment__entries_open(segment, NULL, &iterator, NULL), 0);
	for (size_t i = 0; i < 400; i++) {
		assert_int_equal(segment__entries_next(iterator, &read, NULL), 0);
		assert_memory_equal(read.columns, entries[i].columns,
		    SEGMENT_ACCESS_COLUMNS * sizeof(read.columns[0]));
		assert_int_equal(read.operation, entries[i].operation);
		assert_int_equal(read.value == NULL, entries[i].value == NULL);
		if (read.value != NULL)
			assert_memory_equal(read.value->columns, entries[i].value->columns,
			    SEGMENT_ACCESS_VALUES * sizeof(read.value->columns[0]));
	}
	assert_int_equal(segment__entries_next(iterator, &read, NULL), ZP_END);
	segment__iterator_close(iterator);
	segment__release(segment);
}

/* Accesses of four hundred pins: once and often, tombstones, rows that replace, digests that begin
 * alike, the highest count and time. */
static void
golden_access(void **state)
{
	struct segment_plan plan = {
	    .id = {5, 4}, .shard_id = 2, .family = ZP_FAMILY_ACCESS, .rows_expected = 400};
	struct segment_writer *writer = NULL;
	struct segment_entry entries[400] = {0};
	struct segment_value values[400];
	struct segment_info info;
	struct memory_store store;

	(void)state;
	memory_store_init(&store);
	assert_int_equal(segment__writer_open(&store.base, &plan, &writer, NULL), 0);
	for (size_t i = 0; i < 400; i++) {
		struct accesses_sum sum = {.count = i % 7 == 0 ? 1 + i * i : 1,
		    .last = 1700000000 + i * 17 % 3600,
		    .replaces = i % 50 == 3,
		    .is_end = i % 20 == 5};
		uint64_t *columns = entries[i].columns;

		columns[0] = (i - i % 3) * UINT64_C(0x0012345678abcdef);
		columns[1] = i % 3 << 30 | i; /* a tag */
		columns[2] = 1;               /* kind 0, version 1 */
		columns[3] = i % 9 == 0 ? ZP_CODEC_DAG_PB : ZP_CODEC_RAW;
		if (i == 300)
			sum = (struct accesses_sum){
			    .count = ACCESSES_COUNT_MAX, .last = ZP_ACCESS_SECONDS_MAX};
		accesses__to_entry(&sum, &values[i], &entries[i]);
		assert_int_equal(entry_add(writer, ZP_FAMILY_ACCESS, &entries[i], NULL), 0);
	}
	assert_int_equal(segment__writer_finish(writer, &info, NULL), 0);
	for (size_t way = 1; way <= WAY_NOW; way++) /* since then there is the family */
		accesses_assert_in(
		    golden_open(&store, way, "access", &info, way == WAY_NOW), entries);
	memory_store_done(&store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(golden_facts),
	    cmocka_unit_test(golden_texts_raw),
	    cmocka_unit_test(golden_texts),
	    cmocka_unit_test(golden_time),
	    cmocka_unit_test(golden_time_added),
	    cmocka_unit_test(golden_expire),
	    cmocka_unit_test(golden_track),
	    cmocka_unit_test(golden_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
