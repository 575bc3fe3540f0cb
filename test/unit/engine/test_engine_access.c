/*
 * test_engine_access.c - accesses: what rows come to, what ends with a pin, what damage costs.
 *
 * Whether reads, merges, replays and crashes agree with a table in memory is the model's
 * (engine_model.c, test_engine_crash.c, test_engine_track.c); these are the single promises.
 */
#include "engine_model.h"

#include "engine/accesses.h"

/* Runs of family access in the newest files, their rows, and how many are tombstones. */
static size_t
access_runs(struct model *model, uint64_t *rows_out, uint64_t *tombstones_out)
{
	struct version *version = engine__version_get(model->engine);
	size_t runs = 0;

	*rows_out = *tombstones_out = 0;
	for (size_t i = 0; i < version->manifest.run_count; i++) {
		const struct manifest_run *run = &version->manifest.runs[i];

		if (run->family != ZP_FAMILY_ACCESS)
			continue;
		runs++;
		for (size_t j = 0; j < run->segment_count; j++) {
			*rows_out += run->segments[j].rows;
			*tombstones_out += run->segments[j].tombstones;
		}
	}
	version__release(version);
	return runs;
}

/* ---- Sums ----------------------------------------------------------------------------------- */

static struct accesses_sum
sum_draw(struct model *model)
{
	switch (model_draw(model, 5)) {
	case 0:
		return (struct accesses_sum){.replaces = true, .is_end = true};
	case 1:
		return (struct accesses_sum){
		    .count = ACCESSES_COUNT_MAX - model_draw(model, 3), .last = 5};
	default:
		return (struct accesses_sum){.count = 1 + model_draw(model, 9),
		    .last = model_draw(model, 100),
		    .replaces = model_draw(model, 4) == 0};
	}
}

/* What rows come to does not depend on which of them were merged before: merges may stand in any
 * order. Counts stay at their limit and do not go round. */
static void
any_grouping_comes_to_the_same(void **state)
{
	struct model *model = model_new(1);
	struct accesses_sum sums[8], one, left;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		size_t count = 2 + model_draw(model, 7);

		for (size_t i = 0; i < count; i++)
			sums[i] = sum_draw(model);
		one = sums[0];
		for (size_t i = 1; i < count; i++)
			accesses__combine(&one, &sums[i]);
		assert_true(one.count <= ACCESSES_COUNT_MAX && (one.count > 0) != one.is_end);
		while (count > 1) {
			size_t at = model_draw(model, count - 1);

			left = sums[at];
			accesses__combine(&left, &sums[at + 1]);
			sums[at] = left;
			memmove(&sums[at + 1], &sums[at + 2], (count - at - 2) * sizeof(sums[0]));
			count--;
		}
		assert_int_equal(one.count, sums[0].count);
		assert_int_equal(one.last, sums[0].last);
		assert_int_equal(one.replaces, sums[0].replaces);
		assert_int_equal(one.is_end, sums[0].is_end);
	}
	model_free(model);
}

/* ---- Life ----------------------------------------------------------------------------------- */

/* A shard nobody told of an access has no row of one, whatever is pinned and unpinned. */
static void
without_accesses_nothing_is_written(void **state)
{
	struct model *model = model_begin(2);
	uint64_t rows, tombstones;

	(void)state;
	for (uint32_t i = 0; i < 20; i++)
		model_change(model, i, false);
	model_flush_well(model);
	for (uint32_t i = 0; i < 20; i++)
		model_change(model, i, true);
	model_flush_well(model);
	assert_int_equal(access_runs(model, &rows, &tombstones), 0);
	model_expect_holds(model);
	model_free(model);
}

/* However many accesses: one row a pin and flush, and one a pin when they are merged. */
static void
rows_are_added_not_rewritten(void **state)
{
	struct model *model = model_begin(3);
	uint64_t rows, tombstones;
	struct zp_err err = {0};

	(void)state;
	for (uint32_t i = 0; i < MODEL_KEYS; i++)
		model_change(model, i, false);
	model_flush_well(model);
	for (unsigned round = 1; round <= 3; round++) {
		for (unsigned n = 0; n < 50; n++)
			model_access(model, (uint32_t)(n % 5));
		model_flush_well(model);
		assert_int_equal(access_runs(model, &rows, &tombstones), round);
		assert_int_equal(rows, round * 5);
		model_expect_holds(model);
	}
	assert_int_equal(seal_all(model->engine, NULL, &err), ZP_OK);
	assert_int_equal(access_runs(model, &rows, &tombstones), 1);
	assert_int_equal(rows, 5);
	model_expect_holds(model);
	model_free(model);
}

/* A pin that goes takes its accesses along, wherever they are: a new one of the same key has its
 * own only. Behind the oldest run nothing is left of it. */
static void
a_new_pin_begins_at_none(void **state)
{
	struct model *model = model_begin(4);
	uint64_t rows, tombstones;
	struct zp_err err = {0};

	(void)state;
	model_change(model, 3, false);
	model_change(model, 4, false);
	model_access(model, 3);
	model_access(model, 4);
	model_flush_well(model);
	model_change(model, 3, true); /* hides what files have */
	model_expect_holds(model);
	model_change(model, 3, false);
	model_expect_holds(model);
	model_access(model, 3); /* counts from there */
	model_change(model, 4, true);
	model_expect_holds(model);
	zp_engine_freeze(model->engine);
	model->frozen = model->log_count;
	model_change(model, 3, true); /* hides what is frozen */
	model_expect_holds(model);
	model_flush_well(model);
	assert_int_equal(access_runs(model, &rows, &tombstones), 2);
	assert_int_equal(rows, 4);
	assert_int_equal(tombstones, 1); /* of 4; of 3 there was a row that replaces */
	model_expect_holds(model);
	model_flush_well(model);
	assert_int_equal(access_runs(model, &rows, &tombstones), 3);
	assert_int_equal(tombstones, 2);
	model_expect_holds(model);
	assert_int_equal(seal_all(model->engine, NULL, &err), ZP_OK);
	assert_int_equal(access_runs(model, &rows, &tombstones), 0);
	model_change(model, 3, false);
	model_expect_holds(model);
	model_free(model);
}

/* Changes of one group that follow each other: each access counts for the pin that was there then.
 */
static void
the_order_of_a_group_counts(void **state)
{
	struct model *model = model_begin(5);
	struct zp_change put = {.key = model->keys[1], .has_new = true};
	struct zp_change gone = {.key = model->keys[1], .has_old = true};
	struct zp_change access = {
	    .key = model->keys[1], .accesses = {.count = 7, .last_seconds = 9}};
	const struct zp_change *changes[] = {&put, &access, &access, &gone, &put, &access};
	struct zp_accesses accesses;
	struct zp_view *view;

	(void)state;
	zp_engine_apply_all(model->engine, changes, 3);
	view = zp_engine_view_get(model->engine);
	assert_int_equal(zp_view_accesses_get(view, &model->keys[1], &accesses, NULL), ZP_OK);
	assert_int_equal(accesses.count, 14);
	zp_engine_apply_all(model->engine, changes + 3, 3);
	assert_int_equal(zp_view_accesses_get(view, &model->keys[1], &accesses, NULL), ZP_OK);
	assert_int_equal(accesses.count, 7);
	assert_int_equal(accesses.last_seconds, 9);
	zp_engine_apply_all(model->engine, changes + 3, 1);
	assert_int_equal(zp_view_accesses_get(view, &model->keys[1], &accesses, NULL), ZP_OK);
	assert_int_equal(accesses.count, 0);
	assert_int_equal(accesses.last_seconds, 0);
	zp_view_release(view);
	model_free(model);
}

/* ---- Short keys ----------------------------------------------------------------------------- */

static void
expect_access(
    struct zp_view *view, struct zp_accesses_walk *walk, const struct zp_key *key, uint64_t count)
{
	struct zp_accesses accesses;

	assert_int_equal(zp_view_accesses_get(view, key, &accesses, NULL), ZP_OK);
	assert_int_equal(accesses.count, count);
	assert_int_equal(zp_accesses_walk_get(walk, key, &accesses, NULL), ZP_OK);
	assert_int_equal(accesses.count, count);
}

/* A thousand pins whose digests have the same first 8 bytes, which anybody can make: each has its
 * own count, and a walk finds them though their rows are in another order and more than it keeps.
 */
static void
digests_that_begin_alike_are_told_apart(void **state)
{
	enum { PINS = 1000 };
	struct model *model = model_begin(6);
	struct zp_accesses_walk *walk;
	struct zp_view *view;
	struct zp_err err = {0};
	struct zp_verify_report report;

	(void)state;
	for (unsigned i = 0; i < PINS; i++) {
		struct zp_key key = {.digest = {0x41}, .version = 1, .codec = ZP_CODEC_RAW};
		struct zp_change put = {.has_new = true}, access = {.accesses = {.count = i + 1}};

		zp_store_u64be(key.digest + 24, i);
		put.key = access.key = key;
		zp_engine_apply(model->engine, &put);
		if (i % 4 != 0)
			zp_engine_apply(model->engine, &access);
		if (i == PINS / 2) {
			zp_engine_freeze(model->engine);
			assert_int_equal(zp_engine_flush(model->engine, model->tables, &err), 0);
		}
	}
	for (unsigned pass = 0; pass < 2; pass++) {
		view = zp_engine_view_get(model->engine);
		assert_int_equal(zp_accesses_walk_open(view, NULL, false, &walk, &err), ZP_OK);
		for (unsigned i = 0; i < PINS; i++) {
			struct zp_key key = {.digest = {0x41}, .version = 1, .codec = ZP_CODEC_RAW};

			zp_store_u64be(key.digest + 24, i);
			expect_access(view, walk, &key, i % 4 == 0 ? 0 : i + 1);
		}
		zp_accesses_walk_close(walk);
		zp_view_release(view);
		zp_engine_freeze(model->engine);
		assert_int_equal(zp_engine_flush(model->engine, model->tables, &err), 0);
	}
	assert_int_equal(zp_engine_verify(model->engine, true, NULL, &report, &err), ZP_OK);
	model_free(model);
}

/* ---- Damage --------------------------------------------------------------------------------- */

static void
access_segment_break(struct model *model, size_t run)
{
	struct version *version = engine__version_get(model->engine);

	for (size_t i = 0; i < version->manifest.run_count; i++) {
		if (version->manifest.runs[i].family == ZP_FAMILY_ACCESS && run-- == 0) {
			segment__release(version->runs[i][0]);
			version->runs[i][0] = NULL; /* as when it could not be opened */
		}
	}
	version__release(version);
}

/* Of two runs one is damaged, the newer or the older: what is in its range is not known, and told;
 * the rest is what it was. Never is a number given that lacks something. */
static void
damage_makes_what_it_may_have_unknown(void **state)
{
	(void)state;
	for (size_t broken = 0; broken < 2; broken++) {
		struct model *model = model_begin(7);
		struct zp_accesses_walk *walk;
		struct zp_accesses accesses;
		struct zp_view *view;
		struct zp_err err = {0};

		for (uint32_t i = 0; i < MODEL_KEYS; i++)
			model_change(model, i, false);
		for (uint32_t i = broken == 0 ? 0 : 12; i < (broken == 0 ? MODEL_KEYS : 20); i++)
			model_access(model, i);
		model_flush_well(model);
		for (uint32_t i = broken == 0 ? 12 : 0; i < (broken == 0 ? 20 : MODEL_KEYS); i++)
			model_access(model, i);
		model_flush_well(model);
		access_segment_break(model, broken);
		view = zp_engine_view_get(model->engine);
		assert_int_equal(zp_accesses_walk_open(view, NULL, false, &walk, &err), ZP_OK);
		for (uint32_t i = 0; i < MODEL_KEYS; i++) {
			bool is_in = i >= 12 && i < 20;
			int rc = zp_accesses_walk_get(walk, &model->keys[i], &accesses, &err);

			assert_true(model_access_is_honest(model, view, i));
			assert_int_equal(rc, is_in ? ZP_E_CORRUPT : ZP_OK);
			assert_int_equal(
			    zp_view_accesses_get(view, &model->keys[i], &accesses, NULL), rc);
			if (!is_in)
				assert_int_equal(accesses.count, model->state.accesses[i].count);
		}
		zp_accesses_walk_close(walk);
		zp_view_release(view);
		model_free(model);
	}
}

/* A flipped bit of a block costs that block's pins, and the walk goes on behind it. */
static void
a_damaged_block_costs_its_pins(void **state)
{
	enum { PINS = 3000 };
	struct model *model = model_begin(8);
	unsigned lost = 0, lost_alone = 0;
	struct version *version;
	struct zp_accesses_walk *walk;
	char name[ZP_FILE_NAME_MAX];
	struct zp_view *view;
	struct zp_err err = {0};

	(void)state;
	for (unsigned i = 0; i < PINS; i++) {
		struct zp_change access = {.key = {.version = 1, .codec = ZP_CODEC_RAW},
		    .accesses = {.count = i + 1, .last_seconds = i}};

		zp_store_u64be(
		    access.key.digest, UINT64_C(0x4000000000000000) + ((uint64_t)i << 48));
		zp_engine_apply(model->engine, &access);
	}
	zp_engine_freeze(model->engine);
	assert_int_equal(zp_engine_flush(model->engine, model->tables, &err), ZP_OK);
	version = engine__version_get(model->engine);
	segment__name_format(&version->manifest.runs[0].segments[0].name, name);
	version__release(version);
	sim_store_file_flip(model->sim, MODEL_PATH, name, 6000, 1);
	view = zp_engine_view_get(model->engine);
	assert_int_equal(zp_accesses_walk_open(view, NULL, false, &walk, &err), ZP_OK);
	for (unsigned i = 0; i < PINS; i++) {
		struct zp_key key = {.version = 1, .codec = ZP_CODEC_RAW};
		struct zp_accesses accesses;
		int rc;

		zp_store_u64be(key.digest, UINT64_C(0x4000000000000000) + ((uint64_t)i << 48));
		rc = zp_accesses_walk_get(walk, &key, &accesses, &err);
		if (rc == ZP_OK)
			assert_int_equal(accesses.count, i + 1);
		lost += rc == ZP_E_CORRUPT;
		rc = zp_view_accesses_get(view, &key, &accesses, &err);
		assert_true(rc == ZP_E_CORRUPT || accesses.count == i + 1);
		lost_alone += rc == ZP_E_CORRUPT;
	}
	assert_in_range(lost, 255, 257);       /* with the rows around it */
	assert_in_range(lost_alone, 255, 256); /* its own */
	zp_accesses_walk_close(walk);
	zp_view_release(view);
	model_free(model);
}

static void
text_keep(void *context, const char *text)
{
	snprintf(context, 200, "%s", text);
}

/* Rows of no pin are found by a deep verify. */
static void
a_row_of_no_pin_is_told(void **state)
{
	struct model *model = model_begin(9);
	struct zp_change stray = {.key = model->keys[9], .accesses = {.count = 1}};
	char text[200] = "";
	struct zp_check check = {.damage = text_keep, .context = text};
	struct zp_verify_report report;

	(void)state;
	model_change(model, 1, false);
	model_access(model, 1);
	zp_engine_apply(model->engine, &stray);
	model_flush_well(model);
	assert_int_equal(zp_engine_verify(model->engine, false, &check, &report, NULL), ZP_OK);
	assert_int_equal(
	    zp_engine_verify(model->engine, true, &check, &report, NULL), ZP_E_CORRUPT);
	assert_string_equal(text, "family access: 1 rows are of no pin");
	model_free(model);
}

static void
a_suspended_shard_knows_nothing(void **state)
{
	struct model *model = model_new(8);
	struct zp_engine *engine = zp_engine_suspended_new(&model->options, "not mounted");
	struct zp_view *view = zp_engine_view_get(engine);
	struct zp_accesses accesses;

	(void)state;
	assert_int_equal(
	    zp_view_accesses_get(view, &model->keys[0], &accesses, NULL), ZP_E_CORRUPT);
	zp_view_release(view);
	zp_engine_close(engine);
	model_free(model);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(any_grouping_comes_to_the_same),
	    cmocka_unit_test(without_accesses_nothing_is_written),
	    cmocka_unit_test(rows_are_added_not_rewritten),
	    cmocka_unit_test(a_new_pin_begins_at_none),
	    cmocka_unit_test(the_order_of_a_group_counts),
	    cmocka_unit_test(digests_that_begin_alike_are_told_apart),
	    cmocka_unit_test(damage_makes_what_it_may_have_unknown),
	    cmocka_unit_test(a_damaged_block_costs_its_pins),
	    cmocka_unit_test(a_row_of_no_pin_is_told),
	    cmocka_unit_test(a_suspended_shard_knows_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
