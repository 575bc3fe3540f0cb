/*
 * test_engine_crash.c - a shard survives every crash and every failed call, and each sync is
 * needed.
 *
 * Method: histories of many lives on a simulated disk. Each life opens the shard, compares its
 * files with the model at the position they say (engine_model.h), replays the rest as the journal
 * would, and works until the machine dies at a change of the disk. Then the process or the power is
 * lost. A short script dies at every change there is; long histories where the seed says.
 *
 * With one kind of sync left out the same histories must break the model, so that taking the sync
 * out of the code makes the first tests fail.
 */
#include "engine_model.h"

#include <errno.h>

enum { SCRIPT_STEPS = 24 };

/* Under the sanitizers everything takes ten times as long; what they look for is in any part of it.
 */
#ifdef __SANITIZE_ADDRESS__
#define FIRST_SEED 3u
#define STEPS_STRIDE 3u
#else
#define FIRST_SEED 1u
#define STEPS_STRIDE 1u
#endif

/* ---- A script that has everything in it ----------------------------------------------------- */

static int
merge_all(struct model *model, struct zp_err *err)
{
	bool merged = true;
	int rc = ZP_OK;

	while (merged && rc == ZP_OK)
		rc = zp_engine_merge(model->engine, NULL, &merged, err);
	return rc;
}

static int
reopen(struct model *model, struct zp_err *err)
{
	int rc;

	model_close(model);
	rc = model_open(model, err);
	if (rc == ZP_OK)
		model_replay(model, zp_engine_lane_get(model->engine, 1) + 1);
	return rc;
}

static int
script_step(struct model *model, unsigned step, struct zp_err *err)
{
	switch (step) {
	case 12:
		return merge_all(model, err);
	case 13:
		return model_collect(model, 2, err);
	case 15:
		return reopen(model, err);
	case 17:
		for (uint32_t key = 0; key < MODEL_KEYS; key++)
			model_change(model, key, true); /* all gone */
		return model_flush(model, err);
	case 18:
		return seal_all(model->engine, NULL, err);
	case 20:
		return model_collect(model, 1, err);
	case 21:
		return model_raise(model, err);
	case 23:
		return model_collect(model, 2, err);
	default:
		model_change_some(model, 8);
		return model_flush(model, err);
	}
}

/* ---- Crashes -------------------------------------------------------------------------------- */

/* Opens and compares files, replays, compares all. False: broken, or the machine died. */
static bool
life_begin(struct model *model)
{
	struct zp_err err = {0};
	int rc = model_open(model, &err);

	if (sim_store_is_dead(model->sim))
		return false;
	if (rc != ZP_OK)
		return model_broken(model, "open: %s", err.text);
	if (!model_files_hold(model))
		return false;
	model_replay(model, zp_engine_lane_get(model->engine, 1) + 1);
	return model_holds(model);
}

static void
life_end(struct model *model, enum sim_crash kind)
{
	model_close(model);
	sim_store_crash(model->sim, kind);
}

static bool
model_is_fine(const struct model *model)
{
	return model->broken[0] == '\0';
}

/* The script dies at change `nth`; returns whether it did before its end. */
static bool
script_dies(struct model *model, uint64_t nth, enum sim_crash kind)
{
	struct zp_err err = {0};
	bool died;

	if (life_begin(model)) {
		sim_store_die_at(model->sim, nth);
		for (unsigned step = 0; step < SCRIPT_STEPS; step++) {
			int rc = script_step(model, step, &err);

			if (sim_store_is_dead(model->sim))
				break;
			if (rc < 0)
				model_broken(model, "step %u: %s", step, err.text);
		}
	}
	died = sim_store_is_dead(model->sim);
	life_end(model, kind);
	return died;
}

/*
 * The script in a crash at change `nth`, then a life that only looks and adds a little, then a loss
 * of power, then a last look: what was found once stays found. Returns whether there was such a
 * change.
 */
static bool
script_and_two_crashes(struct model *model, uint64_t nth, enum sim_crash kind)
{
	bool died = script_dies(model, nth, kind);

	if (life_begin(model))
		model_change_some(model, 3);
	life_end(model, SIM_CRASH_LOSE);
	life_begin(model);
	return died;
}

static void
script_survives_a_crash_at_every_change(void **state)
{
	static const enum sim_crash kinds[] = {SIM_CRASH_PROCESS, SIM_CRASH_LOSE, SIM_CRASH_RANDOM};

	(void)state;
	for (uint64_t seed = FIRST_SEED; seed <= 3; seed++) {
		bool died = true;

		for (uint64_t nth = 1; died; nth++) {
			struct model *model = model_new(seed);

			died = script_and_two_crashes(model, nth, kinds[seed % 3]);
			if (!model_is_fine(model))
				fail_msg("seed %llu, change %llu: %s", (unsigned long long)seed,
				    (unsigned long long)nth, model->broken);
			model_free(model);
		}
	}
}

/* One step of a long life; false when a call failed. */
static bool
work(struct model *model)
{
	struct zp_err err = {0};
	int rc = ZP_OK;

	switch (model_draw(model, 16)) {
	case 0:
	case 1:
	case 2:
	case 3:
		rc = model_flush(model, &err);
		break;
	case 4:
		rc = seal_all(model->engine, NULL, &err);
		break;
	case 5:
	case 6:
		rc = model_collect(model, 1 + model_draw(model, 3), &err);
		break;
	case 7:
	case 8:
		rc = merge_all(model, &err);
		break;
	case 9:
		rc = model_flush(model, &err); /* what was frozen before */
		if (rc == ZP_OK)
			rc = model_flush(model, &err);
		if (rc == ZP_OK)
			rc = model_raise(model, &err);
		break;
	default:
		model_change_some(model, (uint32_t)model_draw(model, 12));
		/* Freezing alone: what comes behind it is not in the next manifest. */
		if (model_draw(model, 4) == 0) {
			struct zp_view *view = zp_engine_view_get(model->engine);

			if (view->frozen == NULL)
				zp_engine_freeze(model->engine);
			zp_view_release(view);
		}
	}
	if (rc < 0 && !sim_store_is_dead(model->sim))
		model_broken(model, "work: %s", err.text);
	return rc == ZP_OK;
}

static void
history_run(struct model *model, unsigned lives)
{
	while (model_is_fine(model) && lives-- > 0 && model->log_count < MODEL_LOG_MAX - 500) {
		sim_store_die_at(
		    model->sim, 1 + model_draw(model, model_draw(model, 2) ? 40 : 400));
		if (life_begin(model)) {
			unsigned steps = 40;

			while (steps-- > 0 && work(model))
				;
			if (!sim_store_is_dead(model->sim) && model_is_fine(model))
				model_holds(model);
		}
		life_end(model, model_draw(model, 3));
	}
}

static void
long_histories_survive_crashes(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 15; seed++) {
		struct model *model = model_new(100 + seed);

		history_run(model, 25);
		if (!model_is_fine(model))
			fail_msg("seed %llu: %s", (unsigned long long)seed, model->broken);
		assert_true(model->number > 10);
		model_free(model);
	}
}

/* ---- Syncs ---------------------------------------------------------------------------------- */

/* Whether one of 40 histories breaks when such syncs say yes and do nothing. */
static bool
broken_without(unsigned sites)
{
	bool broken = false;

	for (uint64_t seed = 1; seed <= 40 && !broken; seed++) {
		struct model *model = model_new(1000 + seed);

		model->skip_running = sites;
		history_run(model, 25);
		broken = !model_is_fine(model);
		model_free(model);
	}
	return broken;
}

/* The content of segments, tables and manifests before their names. */
static void
the_sync_of_a_file_is_needed(void **state)
{
	(void)state;
	assert_true(broken_without(SIM_SITE_WRITER));
}

/* The name of a segment before the manifest that names it, and the manifest's before it counts. */
static void
the_sync_of_a_name_is_needed(void **state)
{
	(void)state;
	assert_true(broken_without(SIM_SITE_RENAME));
}

/* In collect, between manifests that go and the files they named. */
static void
the_sync_of_a_removal_is_needed(void **state)
{
	(void)state;
	assert_true(broken_without(SIM_SITE_REMOVE));
}

/* At the start, of names that a process left in the cache only, and that are believed from then on.
 */
static void
the_sync_when_opening_is_needed(void **state)
{
	bool died = true, broken = false;

	(void)state;
	for (uint64_t nth = 1; died && !broken; nth++) {
		struct model *model = model_new(3);

		model->skip_opening = SIM_SITE_RENAME;
		died = script_and_two_crashes(model, nth, SIM_CRASH_PROCESS);
		broken = !model_is_fine(model);
		model_free(model);
	}
	assert_true(broken);
}

/* ---- Failed calls --------------------------------------------------------------------------- */

/* Reopening may find a segment that it could not read; then nothing wrong is said of its keys. */
static void
damaged_open_check(struct model *model)
{
	struct zp_read_scratch *scratch = zp_read_scratch_new();
	struct zp_view *view = zp_engine_view_get(model->engine);
	struct zp_err err = {0};

	for (size_t i = 0; i < MODEL_KEYS; i++) {
		struct zp_record record;
		int rc = zp_view_get(view, &model->keys[i], scratch, &record, &err);

		assert_true(rc == ZP_E_CORRUPT ||
			    rc == (model->state.pins[i].there ? ZP_OK : ZP_E_NOT_FOUND));
		if (rc == ZP_OK)
			assert_true(model_record_is(&model->state.pins[i], &record));
		assert_true(model_tracks_are_honest(model, view, i));
	}
	zp_view_release(view);
	zp_read_scratch_free(scratch);
}

static void
expect_fine(struct model *model, unsigned step, uint64_t nth)
{
	if (!model_is_fine(model))
		fail_msg("step %u, call %llu: %s", step, (unsigned long long)nth, model->broken);
}

/* A step failed: all answers are as before; tried again it works, or after reopening. */
static void
recover(struct model *model, unsigned step, uint64_t nth)
{
	struct zp_err err = {0};

	if (model->engine != NULL)
		model_holds(model);
	expect_fine(model, step, nth);
	if (model->engine == NULL || script_step(model, step, &err) < 0) {
		if (reopen(model, &err) != ZP_OK)
			fail_msg("step %u, call %llu: %s", step, (unsigned long long)nth, err.text);
		model_holds(model);
		expect_fine(model, step, nth);
		if (script_step(model, step, &err) < 0)
			fail_msg("step %u, call %llu: %s", step, (unsigned long long)nth, err.text);
	}
	model_holds(model);
	expect_fine(model, step, nth);
}

/* The script with call number `nth` of step `at` failing; returns whether there was such a call. */
static bool
script_with_fault(unsigned at, uint64_t nth, unsigned calls, int errno_value)
{
	struct model *model = model_new(at);
	struct zp_err err = {0};
	bool reached = false;

	if (!life_begin(model))
		fail_msg("%s", model->broken);
	for (unsigned step = 0; step < SCRIPT_STEPS; step++) {
		uint64_t before = sim_store_calls(model->sim, calls);
		int rc;

		if (step == at)
			sim_store_fail(model->sim, calls, nth, errno_value);
		rc = script_step(model, step, &err);
		sim_store_fail(model->sim, 0, 0, 0);
		reached =
		    reached || (step == at && sim_store_calls(model->sim, calls) - before >= nth);
		if (model->warnings > 0) {
			assert_int_equal(step, at);
			damaged_open_check(model);
			model->warnings = 0;
			assert_int_equal(reopen(model, &err), ZP_OK);
		}
		if (rc < 0)
			recover(model, step, nth);
	}
	life_end(model, nth % 2 == 0 ? SIM_CRASH_LOSE : SIM_CRASH_RANDOM);
	life_begin(model);
	expect_fine(model, at, nth);
	model_free(model);
	return reached;
}

static void
fault_everywhere(unsigned calls, int errno_value)
{
	unsigned faults = 0;

	/* Each step that is different from those before it. */
	static const unsigned steps[] = {0, 12, 13, 15, 17, 18, 21};

	for (size_t i = 0; i < ZP_ARRAY_COUNT(steps); i += STEPS_STRIDE) {
		uint64_t nth = 1;

		while (script_with_fault(steps[i], nth, calls, errno_value))
			nth++;
		faults += (unsigned)nth - 1;
	}
	assert_true(faults > 30 / STEPS_STRIDE);
}

static void
any_failed_call_leaves_the_shard_as_it_was(void **state)
{
	(void)state;
	fault_everywhere(SIM_CALL_ANY, EIO);
}

static void
a_full_disk_leaves_the_shard_as_it_was(void **state)
{
	(void)state;
	fault_everywhere(SIM_CALL_CREATE | SIM_CALL_WRITE, ENOSPC);
}

/* A disk that is full for long: every flush fails, writes in memory go on, and with room all is
 * well. */
static void
a_disk_that_stays_full_loses_nothing(void **state)
{
	struct model *model = model_new(5);
	struct zp_err err = {0};

	(void)state;
	assert_true(life_begin(model));
	model_change_some(model, 30);
	assert_int_equal(model_flush(model, &err), ZP_OK);
	sim_store_space_set(model->sim, 1);
	for (unsigned i = 0; i < 5; i++) {
		model_change_some(model, 10);
		assert_int_equal(model_flush(model, &err), ZP_E_NO_SPACE);
		/* It removes what it can; a twin of the newest manifest has to wait. */
		assert_int_equal(zp_engine_collect(model->engine, UINT64_MAX, &err), ZP_E_NO_SPACE);
		assert_true(model_holds(model));
	}
	sim_store_space_set(model->sim, 0);
	assert_int_equal(model_flush(model, &err), ZP_OK); /* what was frozen */
	assert_true(zp_engine_lane_get(model->engine, 1) < model->log_count);
	assert_int_equal(model_flush(model, &err), ZP_OK); /* the rest */
	assert_int_equal(zp_engine_lane_get(model->engine, 1), model->log_count);
	life_end(model, SIM_CRASH_LOSE);
	if (!life_begin(model))
		fail_msg("%s", model->broken);
	model_free(model);
}

/* ---- Single promises ------------------------------------------------------------------------ */

/* Numbers are never used again, and a store with any manifest is not empty. */
static void
numbers_only_rise(void **state)
{
	struct model *model = model_new(6);
	struct zp_err err = {0};
	uint64_t number;

	(void)state;
	assert_true(life_begin(model));
	model_change_some(model, 10);
	assert_int_equal(model_flush(model, &err), ZP_OK);
	assert_int_equal(model_collect(model, 1, &err), ZP_OK); /* manifest 1 is gone */
	assert_int_equal(zp_engine_create(&model->options, &err), ZP_E_EXISTS);
	number = zp_engine_manifest_number(model->engine);
	sim_store_file_put(model->sim, MODEL_PATH, "manifest-00000000000000f0", "damaged", 7);
	assert_int_equal(reopen(model, &err), ZP_OK);
	assert_int_equal(model->warnings, 2);
	assert_int_equal(zp_engine_manifest_number(model->engine), number);
	model_change_some(model, 10);
	assert_int_equal(model_flush(model, &err), ZP_OK);
	assert_int_equal(zp_engine_manifest_number(model->engine), 0xf1);
	/* While one that should stay cannot be read, nothing goes. */
	assert_int_equal(zp_engine_collect(model->engine, number, &err), ZP_E_CORRUPT);
	assert_int_equal(zp_engine_collect(model->engine, 0xf1, &err), ZP_OK);
	model_free(model);
}

/* After a rollback the shard is what its files are: what was in memory only is void, now and after
 * a crash, and the shard goes on from there. */
static void
a_raised_incarnation_voids_memory(void **state)
{
	struct model *model = model_new(7);
	struct model_state then;
	struct zp_err err = {0};
	uint64_t position;

	(void)state;
	assert_true(life_begin(model));
	model_change_some(model, 30);
	assert_int_equal(model_flush(model, &err), ZP_OK);
	position = model->log_count;
	then = model->state;
	model_change_some(model, 20);
	zp_engine_freeze(model->engine);
	model_change_some(model, 20);
	model->state = then;
	model->log_count = position; /* the rest is void */
	assert_int_equal(model_raise(model, &err), ZP_OK);
	assert_int_equal(zp_engine_incarnation(model->engine), 2);
	if (!model_holds(model))
		fail_msg("%s", model->broken);
	model_change_some(model, 20);
	assert_int_equal(model_flush(model, &err), ZP_OK);
	assert_int_equal(zp_engine_lane_get(model->engine, 1), model->log_count);
	life_end(model, SIM_CRASH_LOSE);
	if (!life_begin(model))
		fail_msg("%s", model->broken);
	model_free(model);
}

/* What is stopped leaves nothing behind: no file, no manifest. */
static void
a_stopped_merge_leaves_nothing(void **state)
{
	struct model *model = model_new(8);
	_Atomic(bool) stop = true;
	struct zp_err err = {0};
	bool merged;
	uint64_t number;

	(void)state;
	assert_true(life_begin(model));
	for (unsigned i = 0; i < MERGE_RUNS; i++) {
		model_change_some(model, 20);
		assert_int_equal(model_flush(model, &err), ZP_OK);
	}
	number = zp_engine_manifest_number(model->engine);
	assert_int_equal(zp_engine_merge(model->engine, &stop, &merged, &err), ZP_E_STOPPING);
	assert_false(merged);
	assert_int_equal(seal_all(model->engine, &stop, &err), ZP_E_STOPPING);
	assert_int_equal(zp_engine_manifest_number(model->engine), number);
	assert_true(model_holds(model));
	stop = false;
	assert_int_equal(zp_engine_merge(model->engine, &stop, &merged, &err), ZP_OK);
	assert_true(merged && model_holds(model));
	model_free(model);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(script_survives_a_crash_at_every_change),
	    cmocka_unit_test(long_histories_survive_crashes),
	    cmocka_unit_test(the_sync_of_a_file_is_needed),
	    cmocka_unit_test(the_sync_of_a_name_is_needed),
	    cmocka_unit_test(the_sync_of_a_removal_is_needed),
	    cmocka_unit_test(the_sync_when_opening_is_needed),
	    cmocka_unit_test(any_failed_call_leaves_the_shard_as_it_was),
	    cmocka_unit_test(a_full_disk_leaves_the_shard_as_it_was),
	    cmocka_unit_test(a_disk_that_stays_full_loses_nothing),
	    cmocka_unit_test(numbers_only_rise),
	    cmocka_unit_test(a_raised_incarnation_voids_memory),
	    cmocka_unit_test(a_stopped_merge_leaves_nothing),
	};

	return cmocka_run_group_tests_name("engine crash", tests, NULL, NULL);
}
