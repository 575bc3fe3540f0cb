/*
 * test_engine.c - a shard's store against a simple map, through flushes, merges and reopening.
 *
 * Method: random changes drawn from a seed go into the engine and into a sorted array; after each
 *         step
 * gets, batches, scans and counters must agree. Then the single promises: damage stays where it
 * is, collecting keeps what a manifest names, views do not move, expiry finds what is due.
 */
#include "engine/engine.h"
#include "engine/engine_internal.h"
#include "seal_all.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

enum { KEYS = 600 };

struct model_pin {
	bool there;
	struct zp_key key;
	uint64_t facts[ZP_FACT_COUNT];
	char name[40];
};

struct fixture {
	char path[64];
	struct zp_store *store;
	struct zp_engine_options options;
	struct zp_engine *engine;
	struct zp_tables *tables;
	struct model_pin pins[KEYS]; /* in key order */
	uint64_t random;
	uint64_t batch;
	unsigned warnings;
};

static uint64_t
draw(struct fixture *fixture)
{
	fixture->random += 0x9E3779B97F4A7C15ull;
	return zp_hash64(&fixture->random, sizeof(fixture->random), 1);
}

static int
key_order(const void *left, const void *right)
{
	return zp_key_compare(
	    &((const struct model_pin *)left)->key, &((const struct model_pin *)right)->key);
}

static void
warning_count(void *context, const char *text)
{
	(void)text;
	((struct fixture *)context)->warnings++;
}

static void
store_open(struct fixture *fixture)
{
	struct zp_store_directory_options options = {.no_sync = true};
	struct zp_err err = {0};

	if (zp_store_directory_open(fixture->path, &options, &fixture->store, &err) != ZP_OK)
		fail_msg("%s", err.text);
	fixture->options.store = fixture->store;
}

static void
engine_open(struct fixture *fixture)
{
	struct zp_err err = {0};

	if (zp_engine_open(&fixture->options, &fixture->engine, &err) != ZP_OK)
		fail_msg("%s", err.text);
}

static struct fixture *
fixture_new(uint64_t seed)
{
	struct fixture *fixture = zp_alloc_zero(1, sizeof(*fixture));
	struct zp_err err = {0};

	fixture->random = seed;
	strcpy(fixture->path, "/tmp/zpin-engine-XXXXXX");
	assert_non_null(mkdtemp(fixture->path));
	fixture->options.shard_id = 77;
	fixture->options.incarnation = 1;
	fixture->options.warn = warning_count;
	fixture->options.warn_context = fixture;
	memset(fixture->options.high, 0xff, ZP_KEY_BYTES);
	store_open(fixture);
	if (zp_engine_create(&fixture->options, &err) != ZP_OK)
		fail_msg("%s", err.text);
	assert_int_equal(zp_engine_create(&fixture->options, &err), ZP_E_EXISTS);
	engine_open(fixture);
	fixture->tables = zp_tables_new();
	for (size_t i = 0; i < KEYS; i++) {
		struct model_pin *pin = &fixture->pins[i];

		for (size_t j = 0; j < 4; j++)
			zp_store_u64le(pin->key.digest + 8 * j, draw(fixture));
		if (i % 3 == 0 && i > 0) /* some digests twice, with another codec */
			memcpy(pin->key.digest, fixture->pins[i - 1].key.digest, 32);
		pin->key.version = 1;
		pin->key.codec = i % 3 == 0 ? ZP_CODEC_RAW : ZP_CODEC_DAG_PB;
	}
	qsort(fixture->pins, KEYS, sizeof(fixture->pins[0]), key_order);
	return fixture;
}

static void
fixture_free(struct fixture *fixture)
{
	char command[128];

	zp_engine_close(fixture->engine);
	zp_store_close(fixture->store);
	zp_tables_free(fixture->tables);
	snprintf(command, sizeof(command), "rm -rf %s", fixture->path);
	assert_int_equal(system(command), 0);
	zp_free(fixture);
}

static void
reopen(struct fixture *fixture)
{
	zp_engine_close(fixture->engine);
	fixture->engine = NULL;
	engine_open(fixture);
}

/* The texts of a model pin, encoded into `texts`. */
static struct zp_record
record_of(const struct model_pin *pin, struct zp_buf *texts)
{
	struct zp_record record = {0};

	memcpy(record.facts, pin->facts, sizeof(record.facts));
	zp_buf_clear(texts);
	if (pin->name[0] != '\0') {
		zp_buf_append_byte(texts, ZP_TEXT_NAME);
		zp_buf_append_varint(texts, strlen(pin->name));
		zp_buf_append_text(texts, pin->name);
	}
	record.texts = zp_buf_slice(texts);
	return record;
}

static void
change_one(struct fixture *fixture, struct model_pin *pin, bool remove)
{
	ZP_AUTO_BUF(old_texts, 1000);
	ZP_AUTO_BUF(new_texts, 1000);
	struct zp_change change = {.key = pin->key, .has_old = pin->there, .has_new = !remove};

	if (remove && !pin->there)
		return;
	change.old_record = record_of(pin, &old_texts);
	if (!remove) {
		pin->facts[ZP_FACT_TYPE] = draw(fixture) % ZP_PIN_TYPE_COUNT;
		pin->facts[ZP_FACT_SIZE] = draw(fixture) % 1000;
		pin->facts[ZP_FACT_CREATED] = zp_zigzag((int64_t)(draw(fixture) % 100000));
		pin->facts[ZP_FACT_EXPIRE_AT] =
		    draw(fixture) % 4 == 0 ? zp_zigzag((int64_t)(draw(fixture) % 1000)) + 1 : 0;
		snprintf(pin->name, sizeof(pin->name), draw(fixture) % 5 == 0 ? "" : "pin-%llu",
		    (unsigned long long)(draw(fixture) % 100000));
	}
	pin->there = !remove;
	change.new_record = record_of(pin, &new_texts);
	zp_engine_apply(fixture->engine, &change);
	zp_engine_applied_set(fixture->engine, 1, 1, ++fixture->batch);
}

static void
change_some(struct fixture *fixture, size_t count)
{
	while (count-- > 0)
		change_one(fixture, &fixture->pins[draw(fixture) % KEYS], draw(fixture) % 3 == 0);
}

static void
flush(struct fixture *fixture)
{
	struct zp_err err = {0};

	zp_engine_freeze(fixture->engine);
	if (zp_engine_flush(fixture->engine, fixture->tables, &err) != ZP_OK)
		fail_msg("%s", err.text);
}

static void
record_check(const struct model_pin *pin, const struct zp_record *record)
{
	ZP_AUTO_BUF(texts, 1000);
	struct zp_record expected = record_of(pin, &texts);

	assert_memory_equal(record->facts, expected.facts, sizeof(expected.facts));
	assert_true(zp_slice_equal(record->texts, expected.texts));
}

static void
gets_check(struct fixture *fixture, struct zp_view *view)
{
	struct zp_read_scratch *scratch = zp_read_scratch_new();
	struct zp_batch_answer answers[KEYS];
	const struct zp_key *keys[KEYS];
	ZP_AUTO_BUF(texts, 1 << 20);
	struct zp_err err = {0};

	for (size_t i = 0; i < KEYS; i++) {
		const struct model_pin *pin = &fixture->pins[i];
		struct zp_record record;
		int rc = zp_view_get(view, &pin->key, scratch, &record, &err);

		assert_int_equal(rc, pin->there ? ZP_OK : ZP_E_NOT_FOUND);
		if (pin->there)
			record_check(pin, &record);
		keys[i] = &pin->key;
	}
	assert_int_equal(
	    zp_view_get_batch(view, keys, KEYS, scratch, &texts, answers, &err), ZP_OK);
	for (size_t i = 0; i < KEYS; i++) {
		assert_int_equal(answers[i].rc, fixture->pins[i].there ? ZP_OK : ZP_E_NOT_FOUND);
		if (fixture->pins[i].there)
			record_check(&fixture->pins[i], &answers[i].record);
	}
	zp_read_scratch_free(scratch);
}

/* The scan from key number `from` gives exactly the model's pins, in order. */
static void
scan_check(struct fixture *fixture, struct zp_view *view, size_t from)
{
	struct zp_scan_options options = {.from = from == 0 ? NULL : &fixture->pins[from].key};
	struct zp_err err = {0};
	struct zp_record record;
	struct zp_scan *scan;
	struct zp_key key;

	assert_int_equal(zp_scan_open(view, &options, &scan, &err), ZP_OK);
	for (size_t i = from; i < KEYS; i++) {
		if (!fixture->pins[i].there)
			continue;
		assert_int_equal(zp_scan_next(scan, &key, &record, &err), ZP_OK);
		assert_int_equal(zp_key_compare(&key, &fixture->pins[i].key), 0);
		record_check(&fixture->pins[i], &record);
	}
	assert_int_equal(zp_scan_next(scan, &key, &record, &err), ZP_END);
	zp_scan_close(scan);
}

static void
counters_check(struct fixture *fixture)
{
	uint64_t pins[ZP_PIN_TYPE_COUNT] = {0}, size = 0;
	struct zp_engine_facts facts;

	for (size_t i = 0; i < KEYS; i++) {
		if (!fixture->pins[i].there)
			continue;
		pins[fixture->pins[i].facts[ZP_FACT_TYPE]]++;
		size += fixture->pins[i].facts[ZP_FACT_SIZE];
	}
	zp_engine_facts_get(fixture->engine, &facts);
	assert_memory_equal(facts.pins, pins, sizeof(pins));
	assert_int_equal(facts.size_bytes, size);
	for (unsigned type = 0; type < ZP_PIN_TYPE_COUNT; type++)
		assert_int_equal(zp_engine_count(fixture->engine, 0, type), pins[type]);
}

static void
all_check(struct fixture *fixture)
{
	struct zp_view *view = zp_engine_view_get(fixture->engine);

	gets_check(fixture, view);
	scan_check(fixture, view, 0);
	scan_check(fixture, view, draw(fixture) % KEYS);
	counters_check(fixture);
	zp_view_release(view);
}

static void
verify_check(struct fixture *fixture)
{
	struct zp_verify_report report;
	struct zp_err err = {0};

	if (zp_engine_verify(fixture->engine, true, NULL, &report, &err) != ZP_OK)
		fail_msg("%s", err.text);
	assert_int_equal(report.damages, 0);
}

static void
reopen_with_files_of(struct fixture *fixture, uint64_t segment_bytes)
{
	fixture->options.segment_bytes = segment_bytes;
	reopen(fixture);
}

/* Whatever comes in whatever order, the engine answers as a map does. */
static void
engine_answers_as_a_map(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		struct fixture *fixture = fixture_new(seed);

		reopen_with_files_of(fixture, seed % 2 == 0 ? 0 : 8192);
		for (unsigned step = 0; step < 60; step++) {
			bool merged = true;
			struct zp_err err = {0};

			change_some(fixture, 1 + draw(fixture) % 60);
			if (draw(fixture) % 2 == 0)
				flush(fixture);
			while (merged && draw(fixture) % 2 == 0)
				assert_int_equal(
				    zp_engine_merge(fixture->engine, NULL, &merged, &err), ZP_OK);
			if (draw(fixture) % 10 == 0)
				assert_int_equal(seal_all(fixture->engine, NULL, &err), ZP_OK);
			if (draw(fixture) % 6 == 0) {
				flush(fixture); /* what is not in files would be the journal's */
				reopen(fixture);
			}
			if (draw(fixture) % 4 == 0)
				assert_int_equal(
				    zp_engine_collect(fixture->engine,
					zp_engine_manifest_number(fixture->engine), &err),
				    ZP_OK);
			all_check(fixture);
		}
		flush(fixture);
		verify_check(fixture);
		assert_int_equal(fixture->warnings, 0);
		fixture_free(fixture);
	}
}

/* A scan opened before changes, flushes, a seal and a collection gives exactly what was there then.
 */
static void
a_scan_does_not_move(void **state)
{
	struct fixture *fixture = fixture_new(9);
	struct model_pin *then = zp_alloc(sizeof(fixture->pins));
	struct zp_err err = {0};
	struct zp_record record;
	struct zp_view *view;
	struct zp_scan *scan;
	struct zp_key key;

	(void)state;
	change_some(fixture, 500);
	flush(fixture);
	change_some(fixture, 300); /* some rows in memory, some in a file */
	view = zp_engine_view_get(fixture->engine);
	assert_int_equal(zp_scan_open(view, &(struct zp_scan_options){0}, &scan, &err), ZP_OK);
	zp_view_release(view); /* the scan holds it */
	memcpy(then, fixture->pins, sizeof(fixture->pins));
	for (unsigned i = 0; i < 10; i++) {
		change_some(fixture, 200);
		flush(fixture);
	}
	assert_int_equal(seal_all(fixture->engine, NULL, &err), ZP_OK);
	assert_int_equal(zp_engine_collect(fixture->engine, UINT64_MAX, &err), ZP_OK);
	for (size_t i = 0; i < KEYS; i++) {
		if (!then[i].there)
			continue;
		assert_int_equal(zp_scan_next(scan, &key, &record, &err), ZP_OK);
		assert_int_equal(zp_key_compare(&key, &then[i].key), 0);
		record_check(&then[i], &record);
	}
	assert_int_equal(zp_scan_next(scan, &key, &record, &err), ZP_END);
	zp_scan_close(scan);
	all_check(fixture);
	zp_free(then);
	fixture_free(fixture);
}

/* The name of the newest file of family pin, as the manifest has it. */
static void
newest_segment(struct fixture *fixture, char *path, size_t path_bytes)
{
	struct version *version = engine__version_get(fixture->engine);
	char name[ZP_FILE_NAME_MAX];

	assert_int_equal(version->manifest.runs[0].family, ZP_FAMILY_PIN);
	segment__name_format(&version->manifest.runs[0].segments[0].name, name);
	snprintf(path, path_bytes, "%s/%s", fixture->path, name);
	version__release(version);
}

/* A missing newest segment makes its keys an error; older answers are never given in its place;
 * keys of newer runs still answer. */
static void
a_missing_segment_hides_nothing(void **state)
{
	struct fixture *fixture = fixture_new(11);
	struct zp_read_scratch *scratch = zp_read_scratch_new();
	struct zp_err err = {0};
	struct zp_record record;
	struct zp_view *view;
	struct zp_scan *scan;
	struct zp_key key;
	char path[300];
	size_t damaged = 0, given = 0;

	(void)state;
	for (size_t i = 0; i < KEYS; i++)
		change_one(fixture, &fixture->pins[i], false);
	flush(fixture);
	for (size_t i = 0; i < KEYS; i++)
		change_one(fixture, &fixture->pins[i], i % 2 == 0);
	flush(fixture);
	newest_segment(fixture, path, sizeof(path));
	zp_engine_close(fixture->engine);
	assert_int_equal(unlink(path), 0);
	engine_open(fixture);
	assert_int_equal(fixture->warnings, 1);
	change_one(fixture, &fixture->pins[5], false);
	view = zp_engine_view_get(fixture->engine);
	for (size_t i = 0; i < KEYS; i++) {
		int rc = zp_view_get(view, &fixture->pins[i].key, scratch, &record, &err);

		if (i == 5)
			assert_int_equal(rc, ZP_OK);
		else
			assert_int_equal(rc, ZP_E_CORRUPT);
		damaged += rc == ZP_E_CORRUPT;
	}
	assert_int_equal(damaged, KEYS - 1);
	assert_int_equal(zp_scan_open(view, &(struct zp_scan_options){0}, &scan, &err), ZP_OK);
	while (zp_scan_next(scan, &key, &record, &err) == ZP_OK)
		given++;
	assert_int_equal(err.code, ZP_E_CORRUPT);
	assert_true(given > 0);
	zp_scan_close(scan);
	zp_view_release(view);
	zp_read_scratch_free(scratch);
	fixture_free(fixture);
}

/* A newest manifest that is not whole is passed over with a warning, and the one before it counts.
 */
static void
a_damaged_manifest_falls_back(void **state)
{
	struct fixture *fixture = fixture_new(12);
	uint64_t number, batch;
	char path[200];
	int file;

	(void)state;
	change_some(fixture, 100);
	flush(fixture);
	batch = fixture->batch;
	change_some(fixture, 100);
	flush(fixture);
	number = zp_engine_manifest_number(fixture->engine);
	zp_engine_close(fixture->engine);
	snprintf(
	    path, sizeof(path), "%s/manifest-%016llx", fixture->path, (unsigned long long)number);
	file = open(path, O_RDWR);
	assert_true(file >= 0);
	assert_int_equal(pwrite(file, "x", 1, 60), 1);
	close(file);
	engine_open(fixture);
	assert_int_equal(fixture->warnings, 2); /* what is damaged, and what is used instead */
	assert_int_equal(zp_engine_manifest_number(fixture->engine), number - 1);
	assert_int_equal(zp_engine_lane_get(fixture->engine, 1), batch);
	/* Numbers are never used twice: the next one is above the damaged one. */
	change_some(fixture, 10);
	flush(fixture);
	assert_int_equal(zp_engine_manifest_number(fixture->engine), number + 1);
	fixture_free(fixture);
}

/* Due pins are found until they are deleted, others never; an entry of a changed expiry is stale.
 */
static void
expiry_finds_what_is_due(void **state)
{
	struct fixture *fixture = fixture_new(13);
	struct zp_read_scratch *scratch = zp_read_scratch_new();
	struct zp_err err = {0};

	(void)state;
	change_some(fixture, 2000);
	for (int64_t now = 0; now <= 1000; now += 50) {
		struct zp_key keys[KEYS];
		uint64_t facts[KEYS];
		size_t count, expected = 0;

		if (now % 200 == 0)
			flush(fixture);
		if (now == 400)
			reopen(fixture);
		for (size_t i = 0; i < KEYS; i++) {
			uint64_t fact = fixture->pins[i].facts[ZP_FACT_EXPIRE_AT];

			expected +=
			    fixture->pins[i].there && fact != 0 && zp_unzigzag(fact - 1) <= now;
		}
		for (int round = 0; round < 2; round++) {
			struct zp_view *view = zp_engine_view_get(fixture->engine);

			assert_int_equal(
			    zp_view_expired(view, now, scratch, keys, facts, KEYS, &count, &err),
			    ZP_OK);
			zp_view_release(view);
			assert_int_equal(count, expected);
		}
		for (size_t k = 0; k < count; k++) {
			for (size_t i = 0; i < KEYS; i++) {
				if (zp_key_compare(&fixture->pins[i].key, &keys[k]) == 0)
					change_one(fixture, &fixture->pins[i], true);
			}
		}
	}
	zp_read_scratch_free(scratch);
	fixture_free(fixture);
}

/* What is chosen of runs of these levels, newest first, each of one byte. */
static struct merge_choice
choice_of(const char *levels, uint64_t step_bytes)
{
	struct merge_candidate runs[64];
	size_t count = strlen(levels);

	assert_true(count <= ZP_ARRAY_COUNT(runs));
	for (size_t i = 0; i < count; i++)
		runs[i] = (struct merge_candidate){.level = (uint8_t)(levels[i] - '0'), .bytes = 1};
	return merge__choose(runs, count, step_bytes);
}

/* Eight runs of a level become one of the next; less is left alone; only neighbours are merged. */
static void
merge_choice_is_tiered(void **state)
{
	struct merge_choice choice;

	(void)state;
	choice = choice_of("0000000", 100);
	assert_int_equal(choice.count, 0);
	choice = choice_of("000000000", 100);
	assert_int_equal(choice.first, 1);
	assert_int_equal(choice.count, 8);
	assert_int_equal(choice.level, 1);
	choice = choice_of("00111111112", 100);
	assert_int_equal(choice.first, 2);
	assert_int_equal(choice.level, 2);
}

/* Nothing is written that the next merge, due by it, would write again, where there is room. */
static void
merges_that_follow_each_other_are_one(void **state)
{
	struct merge_choice choice;

	(void)state;
	choice = choice_of("000000000111111123", 15);
	assert_int_equal(choice.first, 1);
	assert_int_equal(choice.count, 15);
	assert_int_equal(choice.level, 2);
	choice = choice_of("00000000111111122222223", 22);
	assert_int_equal(choice.first, 0);
	assert_int_equal(choice.count, 22);
	assert_int_equal(choice.level, 3);
	choice = choice_of("00000000111111122222223", 21);
	assert_int_equal(choice.count, 15);
	assert_int_equal(choice.level, 2);
	choice = choice_of("00000000111111122222223", 14);
	assert_int_equal(choice.count, 8);
	assert_int_equal(choice.level, 1);
	choice = choice_of("00000000111111", 100);
	assert_int_equal(choice.count, 8);
	assert_int_equal(choice.level, 1);
}

/* Every flipped byte of a manifest is reported, and nothing is made of it. */
static void
any_flipped_byte_of_a_manifest_is_reported(void **state)
{
	struct fixture *fixture = fixture_new(14);
	struct version *version;
	ZP_AUTO_BUF(file, 1 << 20);
	struct manifest copy, out;
	struct zp_err err = {0};

	(void)state;
	change_some(fixture, 300);
	flush(fixture);
	version = engine__version_get(fixture->engine);
	manifest__next(&version->manifest, &copy);
	manifest__encode(&copy, &file);
	assert_int_equal(manifest__decode(zp_buf_slice(&file), &out, &err), ZP_OK);
	assert_int_equal(out.run_count, copy.run_count);
	assert_int_equal(out.counter_count, copy.counter_count);
	assert_int_equal(out.lanes[0].applied, fixture->batch);
	manifest__done(&out);
	for (size_t at = 0; at < file.length; at++) {
		file.data[at] ^= 0x10;
		assert_int_equal(manifest__decode(zp_buf_slice(&file), &out, &err), ZP_E_CORRUPT);
		file.data[at] ^= 0x10;
	}
	manifest__done(&copy);
	version__release(version);
	fixture_free(fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(engine_answers_as_a_map),
	    cmocka_unit_test(a_scan_does_not_move),
	    cmocka_unit_test(a_missing_segment_hides_nothing),
	    cmocka_unit_test(a_damaged_manifest_falls_back),
	    cmocka_unit_test(expiry_finds_what_is_due),
	    cmocka_unit_test(merge_choice_is_tiered),
	    cmocka_unit_test(merges_that_follow_each_other_are_one),
	    cmocka_unit_test(any_flipped_byte_of_a_manifest_is_reported),
	};

	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
