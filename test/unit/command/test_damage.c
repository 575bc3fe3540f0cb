/*
 * test_damage.c - one damaged block of one shard: all else is listed, and nobody takes it for all.
 *
 * Method: a node of four shards whose second shard by key has a flipped byte in the middle of its
 * largest file. What cannot be read is known by asking for each pin.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node_fixture.h"

#define PINS 8000u
#define SHARDS 4u
#define DAMAGED 1u /* not the last: others come behind it */

static uint64_t
damaged_id(const struct node_fixture *fixture)
{
	return zp_shards_map(fixture->node->shards)->ranges[DAMAGED].id;
}

/* Returns how many pins cannot be read. */
static uint64_t
damage_make(struct node_fixture *fixture)
{
	uint64_t lost = 0;

	fixture_make(fixture, SHARDS);
	for (uint64_t n = 0; n < PINS; n++)
		assert_int_equal(fixture_pin(fixture, n, "", NULL), 0);
	assert_int_equal(zp_command_checkpoint(fixture->node, NULL), 0);
	fixture_shell(fixture,
	    "file=$(ls -S shards/%016llx/*.seg | head -1) && chmod u+w $file && "
	    "python3 -c 'import sys; f = open(sys.argv[1], \"r+b\"); d = f.read(); "
	    "f.seek(len(d) // 2); f.write(bytes([d[len(d) // 2] ^ 16]))' $file",
	    (unsigned long long)damaged_id(fixture));
	fixture_close(fixture);
	fixture_open(fixture);
	for (uint64_t n = 0; n < PINS; n++) {
		struct zp_key key = fixture_key(n);
		struct zp_record record;
		struct zp_err err = {0};
		int rc = zp_command_get(
		    fixture->node, &key, fixture->scratch, &fixture->texts, &record, &err);

		assert_true(rc == ZP_OK || rc == ZP_E_CORRUPT);
		lost += rc != ZP_OK;
	}
	assert_in_range(lost, 1, PINS / SHARDS);
	return lost;
}

static void
assert_names_the_place(const struct node_fixture *fixture, const char *text)
{
	char shard[32];

	snprintf(shard, sizeof(shard), "shard %016llx: ", (unsigned long long)damaged_id(fixture));
	assert_non_null(strstr(text, shard));
	assert_non_null(strstr(text, ".seg: block "));
	assert_non_null(strstr(text, "restore the file from a snapshot or copy"));
}

/* Lists everything, letting go of the view each `rest_every` pins (0: never); the end's code. */
static int
list_all(struct node_fixture *fixture, uint64_t rest_every, uint64_t *count_out, struct zp_err *err)
{
	struct zp_record record;
	struct zp_list *list;
	struct zp_key key;
	int rc;

	*count_out = 0;
	assert_int_equal(zp_list_open(fixture->node, 0, NULL, &list, err), 0);
	while ((rc = zp_list_next(list, &key, &record, err)) == ZP_OK) {
		if (++*count_out == rest_every)
			zp_list_rest(list);
	}
	assert_int_equal(zp_list_damage(list, NULL), rc == ZP_END ? 0 : rc);
	zp_list_close(list);
	return rc;
}

static void
a_list_goes_on_behind_damage_and_tells_it(void **state)
{
	struct node_fixture fixture;
	uint64_t lost = damage_make(&fixture);
	uint64_t count;
	struct zp_err err = {0};

	(void)state;
	assert_int_equal(list_all(&fixture, 0, &count, &err), ZP_E_CORRUPT);
	assert_int_equal(count, PINS - lost);
	assert_non_null(strstr(err.text, "the list lacks pins that cannot be read"));
	assert_names_the_place(&fixture, err.text);
	fixture_drop(&fixture);
}

/* A new view knows nothing of what the one before it met. */
static void
a_list_that_rested_still_tells_it(void **state)
{
	struct node_fixture fixture;
	uint64_t lost = damage_make(&fixture);
	uint64_t count;
	struct zp_err err = {0};

	(void)state;
	assert_int_equal(list_all(&fixture, PINS - lost - 1, &count, &err), ZP_E_CORRUPT);
	assert_int_equal(count, PINS - lost);
	assert_names_the_place(&fixture, err.text);
	fixture_drop(&fixture);
}

/* An import that replaces stops at the damage, and says how much it deleted before. */
static void
a_replacing_import_tells_what_it_did(void **state)
{
	struct zp_import_options options = {.replace = true};
	struct node_fixture fixture;
	struct zp_import *import;
	struct zp_err err = {0};
	size_t taken;

	(void)state;
	damage_make(&fixture);
	assert_int_equal(
	    zp_import_open(fixture.node, &options, NULL, NULL, NULL, &import, &err), 0);
	/* The damage is in the first batch of them, which is not sent then. */
	assert_int_equal(zp_import_feed(import, "", 0, &taken, &err), ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, "0 pins were deleted already, nothing was imported"));
	assert_names_the_place(&fixture, err.text);
	zp_import_close(import);
	assert_int_equal(fixture_count(&fixture), PINS);
	fixture_drop(&fixture);
}

/* However often and by whom it is met. */
static void
damage_is_counted_and_named_once(void **state)
{
	char texts[ZP_NODE_DAMAGES_MAX][ZP_ERR_TEXT_BYTES];
	struct node_fixture fixture;
	struct zp_node_facts facts;
	uint64_t count;
	struct zp_err err = {0};

	(void)state;
	damage_make(&fixture);
	for (int i = 0; i < 3; i++)
		assert_int_equal(list_all(&fixture, 0, &count, &err), ZP_E_CORRUPT);
	for (uint64_t n = 0; n < PINS; n++) {
		int rc = fixture_pin(&fixture, n, "renamed", &err);

		if (rc < 0)
			assert_names_the_place(&fixture, err.text);
	}
	zp_node_facts_get(fixture.node, &facts);
	assert_int_equal(facts.damages, 1);
	assert_int_equal(zp_node_damages_get(fixture.node, texts), 1);
	assert_names_the_place(&fixture, texts[0]);
	assert_names_the_place(&fixture, fixture.log);
	assert_null(strstr(strstr(fixture.log, "block "), "\nshard")); /* not again */
	fixture_drop(&fixture);
}

static void
a_whole_node_has_none(void **state)
{
	struct node_fixture fixture;
	struct zp_node_facts facts;
	uint64_t count;
	struct zp_err err = {0};

	(void)state;
	fixture_make(&fixture, SHARDS);
	assert_int_equal(fixture_pin(&fixture, 1, "", NULL), 0);
	assert_int_equal(list_all(&fixture, 1, &count, &err), ZP_END);
	assert_int_equal(count, 1);
	zp_node_facts_get(fixture.node, &facts);
	assert_int_equal(facts.damages, 0);
	fixture_drop(&fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_list_goes_on_behind_damage_and_tells_it),
	    cmocka_unit_test(a_list_that_rested_still_tells_it),
	    cmocka_unit_test(a_replacing_import_tells_what_it_did),
	    cmocka_unit_test(damage_is_counted_and_named_once),
	    cmocka_unit_test(a_whole_node_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
