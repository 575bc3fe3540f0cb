/*
 * test_engine_track.c - statuses: what reaches a file, what hides what, and what damage costs.
 *
 * Whether reads, counters, merges, replays and crashes agree with a table in memory is the model's
 * (engine_model.c, test_engine_crash.c); these are the single promises.
 */
#include "engine_model.h"

/* Runs and rows of family track in the newest files. */
static size_t
track_runs(struct model *model, uint64_t *rows_out)
{
	struct version *version = engine__version_get(model->engine);
	size_t runs = 0;

	*rows_out = 0;
	for (size_t i = 0; i < version->manifest.run_count; i++) {
		if (version->manifest.runs[i].family != ZP_FAMILY_TRACK)
			continue;
		runs++;
		*rows_out += version->manifest.runs[i].segments[0].rows;
	}
	version__release(version);
	return runs;
}

/* What begins and ends between two flushes leaves no byte, though older runs might have hidden it;
 * what a file has is hidden by a tombstone, and a merge leaves neither. */
static void
what_is_over_before_a_flush_leaves_no_trace(void **state)
{
	struct model *model = model_begin(1);
	struct zp_err err = {0};
	uint64_t rows;

	(void)state;
	model_track(model, 3, 1, false);
	model_track(model, 3, 2, false);
	model_flush_well(model);
	assert_int_equal(track_runs(model, &rows), 1);
	assert_int_equal(rows, 2);
	for (int i = 0; i < 5; i++) {
		model_track(model, 4, 1, false); /* queued, failed, tried again … */
		model_track(model, 4, 1, false);
		model_track(model, 4, 1, true); /* … and pinned */
	}
	model_change(model, 4, false);
	model_flush_well(model);
	assert_int_equal(track_runs(model, &rows), 1);
	assert_int_equal(rows, 2);
	model_track(model, 3, 1, true);
	model_flush_well(model);
	assert_int_equal(track_runs(model, &rows), 2);
	assert_int_equal(rows, 3);
	model_expect_holds(model);
	model_track(model, 3, 1, false); /* behind a tombstone there is nothing again */
	model_track(model, 3, 1, true);
	model_track(model, 3, 2, true);
	model_flush_well(model);
	assert_int_equal(seal_all(model->engine, NULL, &err), ZP_OK);
	assert_int_equal(track_runs(model, &rows), 0);
	model_expect_holds(model);
	model_free(model);
}

/* A memtable that heard of a row when it was there must hide it, however often it came and went
 * since; and the next memtable begins with what the frozen one has. */
static void
a_frozen_row_is_hidden(void **state)
{
	struct model *model = model_begin(2);
	uint64_t rows;

	(void)state;
	model_track(model, 5, 1, false);
	zp_engine_freeze(model->engine); /* not in a file yet */
	model->frozen = model->log_count;
	model_track(model, 5, 1, true);
	model_track(model, 5, 1, false);
	model_track(model, 5, 1, true);
	if (!model_holds(model))
		fail_msg("%s", model->broken);
	model_flush_well(model);
	assert_int_equal(track_runs(model, &rows), 1);
	model_flush_well(model);
	assert_int_equal(track_runs(model, &rows), 2);
	assert_int_equal(rows, 2); /* a row and the tombstone that hides it */
	model_expect_holds(model);
	model_free(model);
}

/* A pin's deletion leaves its statuses: unpinning is a status too. */
static void
statuses_outlive_their_pin(void **state)
{
	struct model *model = model_begin(3);

	(void)state;
	model_change(model, 7, false);
	model_track(model, 7, 1, false);
	model_flush_well(model);
	model_change(model, 7, true);
	model_track(model, 7, 1, false);
	model_expect_holds(model);
	model_flush_well(model);
	model_expect_holds(model);
	model_free(model);
}

/* What can't be looked up counts as there: its tombstone is kept, and no counter falls below 0. */
static void
an_unknown_row_is_hidden(void **state)
{
	struct model *model = model_begin(4);
	struct zp_track_change change = {
	    .key = model->keys[1], .track = {.peer = 1}, .has_old = true};
	uint64_t rows;

	(void)state;
	zp_engine_track_apply(model->engine, &change);
	zp_engine_applied_set(model->engine, 1, 1, 1);
	model_track(model, 2, 1, false);
	zp_engine_freeze(model->engine);
	assert_int_equal(zp_engine_flush(model->engine, model->tables, NULL), ZP_OK);
	assert_int_equal(track_runs(model, &rows), 1);
	assert_int_equal(rows, 1); /* nothing older in files: the tombstone itself went */
	zp_engine_track_apply(model->engine, &change);
	zp_engine_freeze(model->engine);
	assert_int_equal(zp_engine_flush(model->engine, model->tables, NULL), ZP_OK);
	assert_int_equal(track_runs(model, &rows), 2);
	assert_int_equal(rows, 2);
	model_free(model);
}

/* A group looks all up before it applies any: what it did itself is known all the same. */
static void
changes_of_a_group_follow_each_other(void **state)
{
	struct model *model = model_begin(6);
	struct zp_track_change change = {.key = model->keys[1],
	    .track = {.peer = 1, .status = ZP_TRACK_PIN_QUEUED},
	    .has_new = true};
	uint64_t rows;

	(void)state;
	zp_engine_track_apply(model->engine, &change);
	change.track.status = ZP_TRACK_PIN_ERROR;
	zp_engine_track_apply(model->engine, &change);
	assert_int_equal(zp_engine_track_count(model->engine, 1, ZP_TRACK_PIN_QUEUED), 0);
	assert_int_equal(zp_engine_track_count(model->engine, 1, ZP_TRACK_PIN_ERROR), 1);
	change.has_new = false;
	zp_engine_track_apply(model->engine, &change);
	zp_engine_track_apply(model->engine, &change);
	assert_int_equal(zp_engine_track_count(model->engine, 1, ZP_TRACK_PIN_ERROR), 0);
	zp_engine_freeze(model->engine);
	assert_int_equal(zp_engine_flush(model->engine, model->tables, NULL), ZP_OK);
	assert_int_equal(track_runs(model, &rows), 0);
	model_free(model);
}

static void
track_segments_break(struct model *model, size_t run)
{
	struct version *version = engine__version_get(model->engine);

	for (size_t i = 0; i < version->manifest.run_count; i++) {
		if (version->manifest.runs[i].family == ZP_FAMILY_TRACK && run-- == 0) {
			segment__release(version->runs[i][0]);
			version->runs[i][0] = NULL; /* as when it could not be opened */
		}
	}
	version__release(version);
}

/* Where the newer of two runs is damaged, nothing that it could hide is given, and the reader is
 * told. */
static void
damage_hides_what_it_may_hide(void **state)
{
	struct model *model = model_begin(5);
	struct zp_view *view;
	unsigned given = 0;
	struct zp_track track;
	struct zp_track_scan *scan;
	struct zp_err err = {0};
	struct zp_key key;
	int rc;

	(void)state;
	for (uint32_t i = 0; i < MODEL_KEYS; i++)
		model_track(model, i, 1, false);
	model_flush_well(model);
	for (uint32_t i = 10; i < 20; i++)
		model_track(model, i, 1, i % 2 == 0);
	model_flush_well(model);
	track_segments_break(model, 0);
	view = zp_engine_view_get(model->engine);
	for (size_t i = 0; i < MODEL_KEYS; i++) {
		assert_true(model_tracks_are_honest(model, view, i));
		assert_int_equal(zp_track_scan_open(view, &model->keys[i], true, &scan, &err), 0);
		rc = zp_track_scan_next(scan, &key, &track, &err);
		assert_int_equal(rc, i < 10 || i >= 20 ? ZP_OK : ZP_E_CORRUPT);
		zp_track_scan_close(scan);
	}
	assert_int_equal(zp_track_scan_open(view, NULL, false, &scan, &err), 0);
	while ((rc = zp_track_scan_next(scan, &key, &track, &err)) == ZP_OK)
		given++;
	assert_int_equal(rc, ZP_E_CORRUPT);
	assert_int_equal(given, MODEL_KEYS - 10);
	zp_track_scan_close(scan);
	zp_view_release(view);
	model_free(model);
}

/* Of a shard that could not be opened neither pins nor statuses are said not to be there. */
static void
a_suspended_shard_knows_nothing(void **state)
{
	struct model *model = model_new(8);
	struct zp_engine *engine = zp_engine_suspended_new(&model->options, "not mounted");
	struct zp_view *view = zp_engine_view_get(engine);
	struct zp_track track;
	struct zp_track_scan *scan;
	struct zp_key key;

	(void)state;
	for (int only = 0; only < 2; only++) {
		assert_int_equal(
		    zp_track_scan_open(view, only ? &model->keys[0] : NULL, only, &scan, NULL), 0);
		assert_int_equal(zp_track_scan_next(scan, &key, &track, NULL), ZP_E_CORRUPT);
		zp_track_scan_close(scan);
	}
	zp_view_release(view);
	zp_engine_close(engine);
	model_free(model);
}

/* Many rounds of changes, flushes, merges and reopenings with replay, against the model. */
static void
statuses_are_those_of_the_model(void **state)
{
	(void)state;
	for (uint64_t seed = 10; seed < 14; seed++) {
		struct model *model = model_begin(seed);
		struct zp_err err = {0};

		for (int round = 0; round < 40; round++) {
			bool merged = true;

			model_change_some(model, (uint32_t)model_draw(model, 60));
			model_flush_well(model);
			model_change_some(model, (uint32_t)model_draw(model, 10));
			while (merged)
				assert_int_equal(
				    zp_engine_merge(model->engine, NULL, &merged, &err), ZP_OK);
			if (round % 10 == 9)
				assert_int_equal(seal_all(model->engine, NULL, &err), ZP_OK);
			if (!model_holds(model))
				fail_msg("%s", model->broken);
			if (round % 7 == 6) { /* dies, and hears all again */
				model_close(model);
				assert_int_equal(model_open(model, &err), ZP_OK);
				model_replay(model, zp_engine_lane_get(model->engine, 1) + 1);
				model_expect_holds(model);
			}
		}
		model_expect_holds(model);
		model_free(model);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_over_before_a_flush_leaves_no_trace),
	    cmocka_unit_test(a_frozen_row_is_hidden),
	    cmocka_unit_test(statuses_outlive_their_pin),
	    cmocka_unit_test(an_unknown_row_is_hidden),
	    cmocka_unit_test(changes_of_a_group_follow_each_other),
	    cmocka_unit_test(damage_hides_what_it_may_hide),
	    cmocka_unit_test(a_suspended_shard_knows_nothing),
	    cmocka_unit_test(statuses_are_those_of_the_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
