/*
 * test_engine_recount.c - counters that are off are told, and set right wherever they are.
 *
 * Method: changes that say less than the truth of what they replace, as a replay over damage does.
 * Then the manifest, what is frozen and what is live are off by the same, and a recount must set
 * all three.
 */
#include "engine_model.h"

#include <errno.h>

/* The kind that most pins of namespace 0 are of: a manifest says none below 0. */
static enum zp_pin_type
usual_type(struct model *model)
{
	enum zp_pin_type usual = ZP_PIN_DATA;

	for (unsigned type = 0; type < ZP_PIN_TYPE_COUNT; type++) {
		if (zp_engine_count(model->engine, 0, type) >
		    zp_engine_count(model->engine, 0, usual))
			usual = type;
	}
	return usual;
}

/* A pin that stays is written by one who takes it for another kind; and statuses that stay by one
 * who cannot see them. */
static unsigned
counters_spoil(struct model *model)
{
	enum zp_pin_type usual = usual_type(model);
	unsigned pins = 0, statuses = 0;

	for (size_t i = 0; i < MODEL_KEYS; i++) {
		const struct model_pin *pin = &model->state.pins[i];
		const struct model_track *track = &model->state.tracks[i][0];
		struct zp_change change = {.key = model->keys[i], .has_old = true, .has_new = true};
		struct zp_track_change same = {.key = model->keys[i],
		    .has_old = true,
		    .has_new = true,
		    .track = {.peer = 1,
			.status = track->status,
			.attempts = track->attempts,
			.is_priority = track->is_priority,
			.since_microseconds = track->since}};
		ZP_AUTO_BUF(texts, 64);

		if (pins == 0 && pin->there && pin->facts[ZP_FACT_TYPE] != usual &&
		    model->keys[i].namespace_id == 0) {
			change.new_record = change.old_record = model_record(pin, &texts);
			change.old_record.facts[ZP_FACT_TYPE] = usual;
			zp_engine_apply(model->engine, &change);
			pins++;
		}
		if (track->there && track->error[0] == '\0') {
			zp_engine_track_apply(model->engine, &same);
			statuses++;
		}
	}
	return pins + statuses;
}

/* Of what holds again it is forgotten that it did not. */
static bool
holds(struct model *model)
{
	model->broken[0] = '\0';
	return model_holds(model);
}

static void
difference_count(void *context, const char *text)
{
	unsigned *count = context;

	assert_non_null(strstr(text, ": it counts "));
	(*count)++;
}

/* How many counters are told to be off. */
static unsigned
counters_off(struct model *model)
{
	unsigned told = 0;
	struct zp_check check = {.damage = difference_count, .context = &told};
	struct zp_verify_report report;
	int rc = zp_engine_verify(model->engine, false, &check, &report, NULL);

	assert_int_equal(rc, told > 0 ? ZP_E_CORRUPT : ZP_OK);
	assert_int_equal(report.damages, told);
	assert_int_equal(report.counters_set, 0);
	return told;
}

static uint64_t
counters_set(struct model *model)
{
	struct zp_verify_report report;
	struct zp_err err = {0};

	if (zp_engine_verify_recounting(model->engine, false, NULL, &report, &err) != ZP_OK)
		fail_msg("%s", err.text);
	assert_int_equal(report.damages, 0);
	assert_int_equal(model->warnings, report.counters_set);
	model->warnings = 0;
	return report.counters_set;
}

/* The model, off in its manifest, with changes that are frozen and others that are live. */
static struct model *
spoiled(uint64_t seed)
{
	struct model *model = model_begin(seed);

	model_change_some(model, 300);
	assert_true(counters_spoil(model) > 1);
	model_flush_well(model);
	model_change_some(model, 30);
	zp_engine_freeze(model->engine);
	model->frozen = model->log_count;
	model_change_some(model, 30);
	assert_false(holds(model));
	return model;
}

static void
all_counters_are_set_at_once(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct model *model = spoiled(seed);
		struct zp_err err = {0};
		unsigned off = counters_off(model);

		assert_true(off > 0);
		assert_int_equal(counters_set(model), off);
		assert_true(holds(model)); /* what is live, */
		assert_int_equal(counters_off(model), 0);
		model_flush_well(model); /* what was frozen, */
		assert_int_equal(counters_off(model), 0);
		assert_true(holds(model));
		model_flush_well(model);
		assert_int_equal(model_collect(model, 1, &err), ZP_OK);
		model_expect_holds(model); /* and what a manifest says */
		model_close(model);
		assert_int_equal(model_open(model, &err), ZP_OK);
		model_expect_holds(model);
		assert_int_equal(counters_set(model), 0);
		model_free(model);
	}
}

/* A size is what whoever pinned said, and sums of them wrap: no number of bytes is off by itself.
 */
static void
sizes_may_be_any_number(void **state)
{
	struct model *model = model_begin(7);
	struct zp_change change = {.key = model->keys[0], .has_new = true};

	(void)state;
	change.key.digest[31] ^= 1;
	change.new_record.facts[ZP_FACT_SIZE] = UINT64_MAX - 5;
	zp_engine_apply(model->engine, &change);
	zp_engine_freeze(model->engine);
	assert_int_equal(zp_engine_flush(model->engine, model->tables, NULL), ZP_OK);
	assert_int_equal(counters_off(model), 0);
	model_free(model);
}

/* Nothing is half right where the manifest cannot be written: it is told as before. */
static void
a_disk_that_is_full_leaves_them(void **state)
{
	struct model *model = spoiled(1);
	struct zp_verify_report report;
	unsigned off = counters_off(model);
	uint64_t number = zp_engine_manifest_number(model->engine);

	(void)state;
	sim_store_fail(model->sim, SIM_CALL_WRITE, 1, ENOSPC);
	assert_int_equal(
	    zp_engine_verify_recounting(model->engine, false, NULL, &report, NULL), ZP_E_CORRUPT);
	assert_int_equal(report.damages, off);
	assert_int_equal(report.counters_set, 0);
	assert_int_equal(zp_engine_manifest_number(model->engine), number);
	assert_false(holds(model));
	model->warnings = 0;
	assert_int_equal(counters_set(model), off);
	assert_true(holds(model));
	model_free(model);
}

/* Where some pins cannot be read nobody knows how many there are. */
static void
nothing_is_set_by_what_cannot_be_read(void **state)
{
	struct model *model = spoiled(2);
	struct zp_verify_report report;
	struct version *version = engine__version_get(model->engine);
	char name[ZP_FILE_NAME_MAX];
	size_t run = 0;

	(void)state;
	while (version->manifest.runs[run].family != ZP_FAMILY_PIN)
		run++;
	segment__name_format(&version->manifest.runs[run].segments[0].name, name);
	version__release(version);
	sim_store_read_error(model->sim, MODEL_PATH, name, 0, 1 << 20);
	assert_int_equal(
	    zp_engine_verify_recounting(model->engine, false, NULL, &report, NULL), ZP_E_CORRUPT);
	sim_store_read_error(model->sim, MODEL_PATH, name, 0, 0);
	assert_false(holds(model));
	model->warnings = 0;
	assert_int_equal(counters_set(model), 2); /* the statuses were set before */
	assert_true(holds(model));
	model_free(model);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(all_counters_are_set_at_once),
	    cmocka_unit_test(sizes_may_be_any_number),
	    cmocka_unit_test(a_disk_that_is_full_leaves_them),
	    cmocka_unit_test(nothing_is_set_by_what_cannot_be_read),
	};

	return cmocka_run_group_tests_name("engine recount", tests, NULL, NULL);
}
