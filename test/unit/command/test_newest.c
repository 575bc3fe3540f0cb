/*
 * test_newest.c - lists by creation: every pin once, the newest first, of one second in key order.
 *
 * Method: random imports, unpins and flushes on a node and on a table; the list, whole and from
 * each kind of cursor on, must be the table in order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node_fixture.h"

#define META_EVERY 50u

struct pin {
	bool is_there;
	int64_t created;
	struct zp_key key;
};

struct model {
	struct node_fixture fixture;
	struct pin *pins;         /* owned, by number */
	size_t count;             /* of numbers */
	const struct pin **order; /* owned: those that are there, as the list is to give them */
	size_t there;
	uint64_t seed;
};

static uint64_t
draw(struct model *model, uint64_t below)
{
	model->seed = model->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (model->seed >> 33) % below;
}

static void
must(int rc, const struct zp_err *err)
{
	if (rc < 0)
		fail_msg("%s", err->text);
}

static void
model_init(struct model *model, size_t count, uint32_t shards, uint64_t seed)
{
	*model = (struct model){.count = count, .seed = seed};
	fixture_make(&model->fixture, shards);
	model->pins = zp_alloc_zero(count, sizeof(model->pins[0]));
	model->order = zp_alloc(count * sizeof(model->order[0]));
	for (size_t i = 0; i < count; i++)
		model->pins[i].key = fixture_key(i);
}

static void
model_done(struct model *model)
{
	fixture_drop(&model->fixture);
	zp_free(model->pins);
	zp_free(model->order);
}

static void
pin_import(struct model *model, size_t number, int64_t created)
{
	struct pin *pin = &model->pins[number];
	struct zp_write write = {.kind = ZP_WRITE_IMPORT, .key = pin->key};
	struct zp_err err = {0};

	write.record.facts[ZP_FACT_MAX_DEPTH] = zp_zigzag(-1);
	write.record.facts[ZP_FACT_TYPE] = number % META_EVERY == 0 ? ZP_PIN_META : ZP_PIN_DATA;
	write.record.facts[ZP_FACT_CREATED] = zp_zigzag(created);
	must(fixture_write(&model->fixture, &write, &err), &err);
	pin->is_there = true;
	pin->created = created;
}

static void
pin_delete(struct model *model, size_t number)
{
	struct zp_write write = {.kind = ZP_WRITE_DELETE, .key = model->pins[number].key};
	struct zp_err err = {0};

	must(fixture_write(&model->fixture, &write, &err), &err);
	model->pins[number].is_there = false;
}

static int
pin_order(const void *left, const void *right)
{
	const struct pin *a = *(const struct pin *const *)left,
			 *b = *(const struct pin *const *)right;

	if (a->created != b->created)
		return a->created > b->created ? -1 : 1;
	return zp_key_compare(&a->key, &b->key);
}

static void
model_sort(struct model *model)
{
	model->there = 0;
	for (size_t i = 0; i < model->count; i++) {
		if (model->pins[i].is_there)
			model->order[model->there++] = &model->pins[i];
	}
	qsort(model->order, model->there, sizeof(model->order[0]), pin_order);
}

/* The list behind order[from − 1] (0: all) with that filter is what the table has in it. */
static void
list_check(
    struct model *model, struct zp_node *node, size_t from, const struct zp_scan_filter *filter)
{
	uint8_t cursor[ZP_KEY_BYTES];
	struct zp_list *list;
	struct zp_record record;
	struct zp_err err = {0};
	struct zp_key key;
	int rc;

	if (from > 0)
		zp_key_encode(&model->order[from - 1]->key, cursor);
	must(zp_list_open(node, 0, from > 0 ? cursor : NULL, &list, &err), &err);
	zp_list_want(list, 0, filter);
	zp_list_newest_first(list, from > 0 ? model->order[from - 1]->created : 0);
	for (size_t at = from; at < model->there; at++) {
		int64_t created = model->order[at]->created;

		if (filter != NULL &&
		    (created < filter->created_min || created > filter->created_max))
			continue;
		while ((rc = zp_list_next(list, &key, &record, &err)) == ZP_SCAN_PASSED)
			;
		must(rc, &err);
		assert_int_equal(rc, ZP_OK);
		assert_int_equal(zp_key_compare(&key, &model->order[at]->key), 0);
		assert_true(zp_unzigzag(record.facts[ZP_FACT_CREATED]) == created);
	}
	while ((rc = zp_list_next(list, &key, &record, &err)) == ZP_SCAN_PASSED)
		;
	must(rc, &err);
	assert_int_equal(rc, ZP_END);
	zp_list_close(list);
}

static void
checkpoint(struct model *model)
{
	struct zp_err err = {0};

	must(zp_command_checkpoint(model->fixture.node, &err), &err);
}

/* Times that crowd, lie years apart, are before 1970 and at both ends of what there is. */
static int64_t
created_draw(struct model *model)
{
	switch (draw(model, 6)) {
	case 0:
		return INT64_C(1700000000) + (int64_t)draw(model, 5);
	case 1:
		return INT64_C(1700000000) - (int64_t)draw(model, 100000000);
	case 2:
		return (int64_t)draw(model, 1000) * 86400;
	case 3:
		return -(int64_t)draw(model, 1000000);
	default:
		return INT64_C(1700000000) + (int64_t)draw(model, 2000);
	}
}

static void
lists_are_the_pins_in_order(void **state)
{
	struct model model;

	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		model_init(&model, 300, seed % 3 == 0 ? 64 : seed % 2 == 0 ? 1 : 8, seed);
		for (size_t round = 0; round < 12; round++) {
			struct zp_scan_filter filter = {.has_created = true};

			for (size_t i = 0; i < 60; i++) {
				if (draw(&model, 4) == 0)
					pin_delete(&model, draw(&model, model.count));
				else
					pin_import(&model, draw(&model, model.count),
					    created_draw(&model));
			}
			if (draw(&model, 2) == 0)
				checkpoint(&model);
			model_sort(&model);
			list_check(&model, model.fixture.node, 0, NULL);
			list_check(&model, model.fixture.node, draw(&model, model.there + 1), NULL);
			filter.created_max = model.order[draw(&model, model.there)]->created;
			filter.created_min = filter.created_max - (int64_t)draw(&model, 4000);
			list_check(&model, model.fixture.node, 0, &filter);
		}
		model_done(&model);
	}
}

/* More pins of one second than a window takes: an import of bare CIDs. */
static void
one_second_of_many_pins(void **state)
{
	struct model model;

	(void)state;
	model_init(&model, 40000, 32, 3);
	for (size_t i = 0; i < model.count; i++)
		pin_import(&model, i, INT64_C(1700000000) + (i % 1000 == 0));
	model_sort(&model);
	list_check(&model, model.fixture.node, 0, NULL);
	checkpoint(&model);
	list_check(&model, model.fixture.node, 0, NULL);
	list_check(&model, model.fixture.node, 17000, NULL);
	model_done(&model);
}

/* Digests that begin alike, of one second: entries of time that many pins share. */
static void
digests_that_begin_alike(void **state)
{
	struct model model;

	(void)state;
	model_init(&model, 600, 2, 4);
	for (size_t i = 0; i < model.count; i++) {
		memset(model.pins[i].key.digest, i % 7, 8);
		pin_import(&model, i, 1700000000 + (int64_t)(i % 3));
	}
	for (size_t i = 0; i < model.count; i += 5)
		pin_delete(&model, i);
	model_sort(&model);
	list_check(&model, model.fixture.node, 0, NULL);
	checkpoint(&model);
	for (size_t from = 0; from < model.there; from += 31)
		list_check(&model, model.fixture.node, from, NULL);
	model_done(&model);
}

/* Chosen digests: each entry of time may be of any of the pins that begin so, and only the one that
 * was created then is looked up. */
static void
alike_digests_of_many_times_cost_little(void **state)
{
	unsigned passed = 0;
	struct zp_record record;
	struct zp_err err = {0};
	struct zp_list *list;
	struct model model;
	struct zp_key key;
	int rc;

	(void)state;
	model_init(&model, 1000, 1, 6);
	for (size_t i = 0; i < model.count; i++) {
		memset(model.pins[i].key.digest, 0x5a, 8);
		pin_import(&model, i, 1700000000 + (int64_t)i);
	}
	checkpoint(&model);
	model_sort(&model);
	list_check(&model, model.fixture.node, 0, NULL);
	must(zp_list_open(model.fixture.node, 0, NULL, &list, &err), &err);
	zp_list_newest_first(list, 0);
	while ((rc = zp_list_next(list, &key, &record, &err)) != ZP_END) {
		must(rc, &err);
		passed += rc == ZP_SCAN_PASSED;
	}
	zp_list_close(list);
	assert_true(passed < 100);
	model_done(&model);
}

static bool
is_meta(const struct model *model, const struct pin *pin)
{
	return (size_t)(pin - model->pins) % META_EVERY == 0;
}

/* Few pins are wanted: wherever the list says that it is, another goes on from there, and it says
 * so often. */
static void
a_list_goes_on_where_it_has_passed(void **state)
{
	const struct zp_scan_filter filter = {.types = 1u << ZP_PIN_META};
	uint8_t cursor[ZP_KEY_BYTES] = {0}, bytes[ZP_KEY_BYTES];
	struct zp_record record;
	struct zp_err err = {0};
	struct zp_list *list;
	struct zp_key key;
	struct model model;
	size_t at = 0;
	unsigned passed = 0, waits = 0;
	int64_t created, came_to = 0;
	int rc;

	(void)state;
	model_init(&model, 3000, 4, 9);
	for (size_t i = 0; i < model.count; i++)
		pin_import(&model, i,
		    i % 3 == 0 ? created_draw(&model) : INT64_C(1700000000) - (int64_t)(i % 2));
	checkpoint(&model);
	model_sort(&model);
	must(zp_list_open(model.fixture.node, 0, NULL, &list, &err), &err);
	zp_list_want(list, 0, &filter);
	zp_list_newest_first(list, 0);
	while ((rc = zp_list_next(list, &key, &record, &err)) != ZP_END) {
		must(rc, &err);
		while (rc == ZP_OK && !is_meta(&model, model.order[at]))
			at++;
		if (rc == ZP_OK)
			assert_int_equal(zp_key_compare(&key, &model.order[at++]->key), 0);
		passed += rc == ZP_SCAN_PASSED;
		if (!zp_list_last(list, &key, &created)) {
			assert_true(rc == ZP_SCAN_PASSED);
			continue;
		}
		zp_key_encode(&key, bytes);
		if (created == came_to && memcmp(bytes, cursor, sizeof(cursor)) == 0) {
			/* A window that begins, or is made narrower, says no more. */
			assert_true(++waits < 24);
			continue;
		}
		waits = 0;
		came_to = created;
		memcpy(cursor, bytes, sizeof(cursor));
		zp_list_close(list);
		must(zp_list_open(model.fixture.node, 0, cursor, &list, &err), &err);
		zp_list_want(list, 0, &filter);
		zp_list_newest_first(list, created);
	}
	zp_list_close(list);
	while (at < model.there)
		assert_false(is_meta(&model, model.order[at++]));
	assert_true(passed >= model.count / 64 / 2);
	model_done(&model);
}

struct writing {
	struct model *model;
	_Atomic(bool) stop;
	_Atomic(unsigned) rounds;
};

/* Of every second pin. */
static void
write_run(void *context)
{
	struct writing *writing = context;
	struct model *model = writing->model;

	while (!writing->stop) {
		for (size_t i = 0; i < 50; i++) {
			size_t number = draw(model, model->count / 2) * 2 + 1;

			if (draw(model, 3) == 0)
				pin_delete(model, number);
			else
				pin_import(model, number, created_draw(model));
		}
		if (writing->rounds++ % 2 == 0)
			checkpoint(model);
	}
}

/* Each that nobody touches once and in order, whatever becomes of the others. */
static void
a_list_beside_writes(void **state)
{
	struct zp_thread *thread;
	struct zp_record record;
	struct zp_err err = {0};
	struct zp_list *list;
	struct zp_key key;
	struct model model;
	struct writing writing = {.model = &model};

	(void)state;
	model_init(&model, 800, 4, 12);
	for (size_t i = 0; i < model.count; i += 2)
		pin_import(&model, i, created_draw(&model));
	model_sort(&model);
	must(zp_thread_start("writer", write_run, &writing, &thread, &err), &err);
	while (writing.rounds < 10) {
		struct pin before = {.created = INT64_MAX};
		size_t at = 0;
		int rc;

		must(zp_list_open(model.fixture.node, 0, NULL, &list, &err), &err);
		zp_list_newest_first(list, 0);
		while ((rc = zp_list_next(list, &key, &record, &err)) != ZP_END) {
			struct pin pin = {.key = key};
			const struct pin *one = &pin, *last = &before;

			must(rc, &err);
			if (rc == ZP_SCAN_PASSED)
				continue;
			pin.created = zp_unzigzag(record.facts[ZP_FACT_CREATED]);
			assert_true(pin_order(&last, &one) < 0);
			before = pin;
			if (at < model.there && zp_key_compare(&key, &model.order[at]->key) == 0)
				at++;
		}
		assert_int_equal(at, model.there);
		zp_list_close(list);
	}
	writing.stop = true;
	zp_thread_join(thread);
	model_done(&model);
}

/* A cursor that no list gave: of a time before all that is asked for. */
static void
a_cursor_of_no_list(void **state)
{
	const struct zp_scan_filter filter = {
	    .has_created = true, .created_min = 1699999990, .created_max = INT64_MAX};
	const int64_t times[] = {INT64_MIN, INT64_MIN + 1, -1, 1699999989};
	uint8_t cursor[ZP_KEY_BYTES];
	struct zp_record record;
	struct zp_err err = {0};
	struct zp_list *list;
	struct zp_key key;
	struct model model;

	(void)state;
	model_init(&model, 100, 2, 10);
	for (size_t i = 0; i < model.count; i++)
		pin_import(&model, i, INT64_C(1700000000) - (int64_t)i);
	zp_key_encode(&model.pins[50].key, cursor);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(times); i++) {
		must(zp_list_open(model.fixture.node, 0, cursor, &list, &err), &err);
		zp_list_want(list, 0, &filter);
		zp_list_newest_first(list, times[i]);
		assert_int_equal(zp_list_next(list, &key, &record, &err), ZP_END);
		zp_list_close(list);
	}
	model_done(&model);
}

#define SHARDS 4u

/* A page may be of one second alone, and then no time is looked for. */
static void
a_suspended_shard_is_told_behind_a_cursor(void **state)
{
	const int64_t created = 1700000000;
	const struct zp_scan_filter filter = {
	    .has_created = true, .created_min = created, .created_max = created};
	uint8_t cursor[ZP_KEY_BYTES];
	struct zp_record record;
	struct zp_err err = {0};
	struct zp_list *list;
	struct zp_key key;
	struct model model;
	int rc;

	(void)state;
	model_init(&model, 100, SHARDS, 11);
	for (size_t i = 0; i < model.count; i++)
		pin_import(&model, i, created);
	checkpoint(&model);
	fixture_close(&model.fixture);
	fixture_shell(&model.fixture, "cd shards && truncate -s 70 $(ls | tail -n 1)/manifest-*");
	fixture_open(&model.fixture);
	model_sort(&model);
	zp_key_encode(&model.order[3]->key, cursor);
	must(zp_list_open(model.fixture.node, 0, cursor, &list, &err), &err);
	zp_list_want(list, 0, &filter);
	zp_list_newest_first(list, created);
	while ((rc = zp_list_next(list, &key, &record, &err)) == ZP_SCAN_PASSED)
		;
	assert_int_equal(rc, ZP_OK);
	assert_int_equal(zp_list_damage(list, &err), ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, "is suspended"));
	zp_list_close(list);
	model_done(&model);
}

static uint32_t
shard_of(const struct model *model, const struct zp_key *key)
{
	return zp_shard_map_find(zp_shards_map(model->fixture.node->shards), key);
}

/* What cannot be read is missing, the end says so, and all else comes in order. */
static void
a_damaged_shard_is_told_at_the_end(void **state)
{
	struct zp_record record;
	struct zp_err err = {0};
	struct zp_list *list;
	struct zp_key key;
	struct model model;
	int rc;

	(void)state;
	for (unsigned which = 1; which <= 2; which++) {
		size_t at = 0, missing[SHARDS] = {0}, shards_damaged = 0;

		model_init(&model, 400, SHARDS, 6);
		for (size_t i = 0; i < model.count; i++)
			pin_import(&model, i, created_draw(&model));
		model_sort(&model);
		checkpoint(&model);
		for (size_t i = 0; i < model.there; i++)
			missing[shard_of(&model, &model.order[i]->key)]++;
		fixture_close(&model.fixture);
		/* some shard's larger file is that of its pins, the other that of their times */
		fixture_shell(&model.fixture,
		    "cd shards && cd $(ls | head -n 1) && f=$(ls -S *.seg | sed -n %up) && "
		    "printf zzzz | dd of=$f bs=1 seek=100 conv=notrunc 2>/dev/null",
		    which);
		fixture_open(&model.fixture);
		must(zp_list_open(model.fixture.node, 0, NULL, &list, &err), &err);
		zp_list_newest_first(list, 0);
		while ((rc = zp_list_next(list, &key, &record, &err)) >= 0 && rc != ZP_END) {
			if (rc == ZP_SCAN_PASSED)
				continue;
			while (zp_key_compare(&model.order[at]->key, &key) != 0)
				assert_true(++at < model.there); /* in order, some left out */
			missing[shard_of(&model, &key)]--;
		}
		assert_int_equal(rc, ZP_E_CORRUPT);
		zp_list_close(list);
		for (size_t i = 0; i < SHARDS; i++)
			shards_damaged += missing[i] > 0;
		assert_int_equal(shards_damaged, 1);
		zp_err_clear(&err);
		model_done(&model);
	}
}

/* A moment is listed like the present, and as it was. */
static void
a_snapshot_by_creation(void **state)
{
	struct zp_moment *moment = NULL;
	struct zp_err err = {0};
	struct model model;

	(void)state;
	model_init(&model, 200, 2, 5);
	for (size_t i = 0; i < model.count; i++)
		pin_import(&model, i, created_draw(&model));
	model_sort(&model);
	must(zp_command_snapshot(model.fixture.node, "then", &err), &err);
	must(zp_moment_open(model.fixture.node, "then", 0, &moment, &err), &err);
	for (size_t i = 0; i < model.count; i++) {
		struct pin kept = model.pins[i];

		if (i % 2 == 0)
			pin_delete(&model, i);
		else
			pin_import(&model, i, created_draw(&model));
		model.pins[i] = kept;
	}
	list_check(&model, zp_moment_node(moment), 0, NULL);
	zp_moment_release(moment);
	model_done(&model);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lists_are_the_pins_in_order),
	    cmocka_unit_test(one_second_of_many_pins),
	    cmocka_unit_test(digests_that_begin_alike),
	    cmocka_unit_test(alike_digests_of_many_times_cost_little),
	    cmocka_unit_test(a_snapshot_by_creation),
	    cmocka_unit_test(a_list_goes_on_where_it_has_passed),
	    cmocka_unit_test(a_list_beside_writes),
	    cmocka_unit_test(a_cursor_of_no_list),
	    cmocka_unit_test(a_suspended_shard_is_told_behind_a_cursor),
	    cmocka_unit_test(a_damaged_shard_is_told_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
