/*
 * test_engine_time.c - entries of time: pins that share one, and files from before they were added
 * up.
 *
 * Whether entries and pins agree after any changes, merges, replays and crashes is the model's
 * (engine_model.c), which chooses digests that begin alike and recounts by verify; these are the
 * single promises.
 */
#include "engine_model.h"

#include "engine/run_walk.h"
#include "engine/times.h"

/* ---- Sums ----------------------------------------------------------------------------------- */

static struct times_sum
sum_draw(struct model *model)
{
	for (;;) {
		struct times_sum sum = {.pins = (int64_t)model_draw(model, 9) - 4,
		    .replaces = model_draw(model, 4) == 0};

		if (!times__is_nothing(&sum))
			return sum;
	}
}

/* What a row says is what it was made of. */
static void
a_row_is_read_as_it_was_written(void **state)
{
	(void)state;
	for (int64_t pins = -300; pins <= 300; pins++) {
		for (unsigned replaces = 0; replaces < 2; replaces++) {
			struct times_sum sum = {pins, replaces}, read;
			uint64_t operation;

			if (times__is_nothing(&sum))
				continue;
			operation = times__operation(&sum);
			read = times__of_operation(operation);
			assert_int_equal(read.pins, pins);
			assert_int_equal(read.replaces, replaces);
			assert_int_equal(operation & ZP_ROW_TOMBSTONE, pins <= 0);
			assert_true(operation <= TIMES_OPERATION_MAX);
		}
	}
	assert_int_equal(
	    times__operation(&(struct times_sum){.pins = TIMES_PINS_MAX}) | 3, TIMES_OPERATION_MAX);
	/* As it always was: */
	assert_int_equal(times__operation(&(struct times_sum){.pins = 1}), ZP_ROW_PUT);
	assert_int_equal(times__operation(&(struct times_sum){.pins = -1}), ZP_ROW_TOMBSTONE);
}

/* What rows come to does not depend on which of them were merged before, also where one came to
 * nothing and was left out. */
static void
any_grouping_comes_to_the_same(void **state)
{
	struct model *model = model_new(1);
	struct times_sum sums[8];

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		struct times_sum one = {0}, grouped = {0};
		size_t count = 2 + model_draw(model, 7);

		for (size_t i = 0; i < count; i++) {
			sums[i] = sum_draw(model);
			times__combine(&one, &sums[i]);
		}
		while (count > 1) {
			size_t at = model_draw(model, count - 1), left;

			times__combine(&sums[at], &sums[at + 1]);
			left = times__is_nothing(&sums[at]) ? at : at + 1;
			memmove(&sums[left], &sums[at + 2], (count - at - 2) * sizeof(sums[0]));
			count -= at + 2 - left;
			if (left == at + 1)
				sums[at] = times__of_operation(
				    times__operation(&sums[at])); /* by way of a file */
		}
		if (count == 1)
			grouped = sums[0];
		assert_int_equal(one.pins, grouped.pins);
		assert_int_equal(one.replaces, grouped.replaces);
	}
	model_free(model);
}

/* ---- Pins that share an entry --------------------------------------------------------------- */

/* Rows of family time in the newest files, and how many pins the first key's come to. */
static size_t
time_rows(struct model *model, int64_t *pins_out)
{
	struct version *version = engine__version_get(model->engine);
	struct run_walk runs[MANIFEST_RUNS_MAX] = {0};
	struct run_walks walks;
	size_t count = 0, rows = 0;

	*pins_out = 0;
	for (size_t i = 0; i < version->manifest.run_count; i++) {
		if (version->manifest.runs[i].family != ZP_FAMILY_TIME)
			continue;
		runs[count++] = (struct run_walk){.segments = version->runs[i],
		    .segment_count = version->manifest.runs[i].segment_count};
		for (size_t j = 0; j < version->manifest.runs[i].segment_count; j++)
			rows += version->manifest.runs[i].segments[j].rows;
	}
	run_walks__init(&walks, ZP_FAMILY_TIME, runs, count);
	assert_int_equal(run_walks__first(&walks, NULL), ZP_OK);
	if (run_walks__present(&walks) != NULL)
		*pins_out = times__of_rows(&walks).pins;
	run_walks__done(&walks);
	version__release(version);
	return rows;
}

/* Pins `from` … of five whose digests begin alike, all created in one second: come or go. */
static void
sharers_change(struct model *model, unsigned from, unsigned count, bool come)
{
	struct zp_change change = {.has_old = !come, .has_new = come};

	for (unsigned i = from; i < from + count; i++) {
		change.key = (struct zp_key){.version = 1, .codec = ZP_CODEC_RAW};
		memset(change.key.digest, 0x55, 8);
		change.key.digest[31] = (uint8_t)i;
		zp_engine_apply(model->engine, &change);
	}
	zp_engine_applied_set(model->engine, 1, 1, ++model->log_count);
}

static void
files_are_right(struct model *model, int64_t pins, size_t rows)
{
	struct zp_verify_report report;
	struct zp_err err = {0};
	int64_t there;

	model_flush_well(model);
	if (zp_engine_verify(model->engine, true, NULL, &report, &err) != ZP_OK)
		fail_msg("%s", err.text);
	assert_int_equal(report.pins, pins);
	assert_int_equal(time_rows(model, &there), rows);
	assert_int_equal(there, pins);
}

/* One entry for all of them: it is there until the last of them goes, wherever the rows are. */
static void
an_entry_stays_for_who_still_wants_it(void **state)
{
	struct model *model = model_begin(2);

	(void)state;
	sharers_change(model, 0, 3, true);
	files_are_right(model, 3, 1);
	sharers_change(model, 1, 1, false);
	files_are_right(model, 2, 2);
	sharers_change(model, 3, 2, true); /* two come and one goes: one row */
	sharers_change(model, 0, 1, false);
	files_are_right(model, 3, 3);
	sharers_change(model, 0, 1, true); /* and what comes and goes, or the other way, is none */
	sharers_change(model, 0, 1, false);
	sharers_change(model, 4, 1, false);
	sharers_change(model, 4, 1, true);
	files_are_right(model, 3, 3);
	assert_int_equal(seal_all(model->engine, NULL, NULL), ZP_OK);
	files_are_right(model, 3, 1);
	sharers_change(model, 2, 3, false);
	files_are_right(model, 0, 2);
	assert_int_equal(seal_all(model->engine, NULL, NULL), ZP_OK);
	files_are_right(model, 0, 0);
	model_free(model);
}

/* A pin whose other facts change has its entry once. */
static void
a_pin_that_is_written_again_is_counted_once(void **state)
{
	struct model *model = model_begin(3);
	struct zp_change change = {.key = model->keys[0], .has_new = true};

	(void)state;
	zp_engine_apply(model->engine, &change);
	for (unsigned i = 0; i < 3; i++) {
		files_are_right(model, 1, 1);
		change.has_old = true;
		change.old_record = change.new_record;
		change.new_record.facts[ZP_FACT_EXPIRE_AT] = zp_zigzag(i % 2) + 1;
		zp_engine_apply(model->engine, &change);
	}
	files_are_right(model, 1, 1);
	model_free(model);
}

/* ---- Files from before ---------------------------------------------------------------------- */

/* A file whose rows were written to be added up, as one whose rows replace: for rows of one pin
 * each it is what was written before. */
static struct segment_name
file_age(struct model *model, const struct segment_name *name)
{
	ZP_AUTO_BUF(file, 1 << 20);
	char text[ZP_FILE_NAME_MAX];
	struct segment_name aged;
	struct zp_hash128 content;
	uint8_t *footer;

	segment__name_format(name, text);
	sim_store_file_get(model->sim, MODEL_PATH, text, &file);
	footer = file.data + file.length - SEGMENT_FOOTER_BYTES;
	zp_store_u64le(footer + 64, zp_load_u64le(footer + 64) & ~(uint64_t)SEGMENT_FEATURE_ADDED);
	zp_store_u64le(footer + 8, zp_hash64(footer + 16, SEGMENT_FOOTER_BYTES - 16, 0));
	content = zp_hash128_of(file.data, file.length);
	aged = (struct segment_name){.low = content.low, .high = content.high};
	segment__name_format(&aged, text);
	sim_store_file_put(model->sim, MODEL_PATH, text, file.data, file.length);
	return aged;
}

static void
files_age(struct model *model)
{
	struct version *version = engine__version_get(model->engine);
	struct manifest manifest;
	struct zp_err err = {0};

	manifest__next(&version->manifest, &manifest);
	version__release(version);
	for (size_t i = 0; i < manifest.run_count; i++) {
		struct manifest_run *run = &manifest.runs[i];

		for (size_t j = 0; run->family == ZP_FAMILY_TIME && j < run->segment_count; j++)
			run->segments[j].name = file_age(model, &run->segments[j].name);
	}
	if (engine__publish(model->engine, &manifest, false, &err) != ZP_OK)
		fail_msg("%s", err.text);
}

static void
merge_all_levels(struct model *model)
{
	bool merged = true;

	while (merged)
		assert_int_equal(zp_engine_merge(model->engine, NULL, &merged, NULL), ZP_OK);
}

/* Changes of the pins that share an entry with nobody. */
static void
change_lonely(struct model *model, unsigned count)
{
	while (count > 0) {
		uint32_t key = (uint32_t)model_draw(model, MODEL_KEYS);
		uint64_t head = zp_load_u64be(model->keys[key].digest);
		bool is_first = key == 0 || zp_load_u64be(model->keys[key - 1].digest) != head;
		bool is_last =
		    key + 1 == MODEL_KEYS || zp_load_u64be(model->keys[key + 1].digest) != head;

		if (!is_first || !is_last)
			continue;
		model_change(model, key, model_draw(model, 3) == 0);
		count--;
	}
}

/* Old runs below, among and above merges, then pins that share entries on top of them: it is all
 * the same as if rows had been added up from the beginning. One who opens such files as they are
 * reads what was meant: so the newest row of an old file hides all that is older. */
static void
files_from_before_go_on(void **state)
{
	(void)state;
	for (uint64_t seed = 10; seed < 22; seed++) {
		struct model *model = model_begin(seed);
		unsigned before = 1 + (unsigned)model_draw(model, 14);

		for (unsigned i = 0; i < before; i++) {
			change_lonely(model, 30);
			model_flush_well(model);
			if (model_draw(model, 4) == 0)
				merge_all_levels(model);
			files_age(model);
		}
		model_expect_holds(model);
		for (unsigned i = 0; i < 12; i++) {
			model_change_some(model, 40);
			model_flush_well(model);
			if (model_draw(model, 2) == 0)
				merge_all_levels(model);
		}
		model_expect_holds(model);
		assert_int_equal(seal_all(model->engine, NULL, NULL), ZP_OK);
		model_expect_holds(model);
		model_free(model);
	}
}

/* Where an old writer said again what there was already, it is one pin all the same. */
static void
what_was_said_twice_before_is_said_once(void **state)
{
	(void)state;
	for (unsigned how = 0; how < 2; how++) {
		struct model *model = model_begin(4);
		struct zp_change change = {.key = model->keys[0], .has_new = true};

		for (unsigned i = 0; i < MERGE_RUNS; i++) {
			zp_engine_apply(model->engine, &change); /* without has_old */
			model_flush_well(model);
			files_age(model);
			if (i + 1 == how * MERGE_RUNS)
				merge_all_levels(model);
		}
		change.has_old = true;
		change.has_new = false;
		zp_engine_apply(model->engine, &change);
		model_flush_well(model);
		assert_int_equal(seal_all(model->engine, NULL, NULL), ZP_OK);
		assert_int_equal(time_rows(model, &(int64_t){0}), 0);
		model_free(model);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_row_is_read_as_it_was_written),
	    cmocka_unit_test(any_grouping_comes_to_the_same),
	    cmocka_unit_test(an_entry_stays_for_who_still_wants_it),
	    cmocka_unit_test(a_pin_that_is_written_again_is_counted_once),
	    cmocka_unit_test(files_from_before_go_on),
	    cmocka_unit_test(what_was_said_twice_before_is_said_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
