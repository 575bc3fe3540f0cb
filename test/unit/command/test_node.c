/*
 * test_node.c - a node keeps what it acknowledged: through checkpoints, stops and kills.
 *
 * Method: real nodes in directories of their own; a kill is a child that leaves with _exit, or a
 * copy of the files of a node that is still open.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node_fixture.h"

#include <sys/wait.h>
#include <unistd.h>

/* What is pinned can be read, counted and listed, before and after a clean stop. */
static void
pins_survive_a_stop(void **state)
{
	struct node_fixture fixture;
	struct zp_node_facts facts;
	struct zp_err err = {0};
	char name[32];

	fixture_make(&fixture, 4);
	for (uint64_t n = 0; n < 200; n++) {
		snprintf(name, sizeof(name), "pin %llu", (unsigned long long)n);
		assert_int_equal(fixture_pin(&fixture, n, name, &err), 0);
	}
	for (uint64_t n = 0; n < 50; n++)
		assert_int_equal(fixture_unpin(&fixture, n, &err), 0);
	assert_int_equal(zp_command_checkpoint(fixture.node, &err), 0);
	for (uint64_t n = 50; n < 100; n++)
		assert_int_equal(fixture_unpin(&fixture, n, &err), 0);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(fixture_count(&fixture), 100);
		assert_int_equal(fixture_list_count(&fixture), 100);
		assert_null(fixture_name(&fixture, 7));
		assert_null(fixture_name(&fixture, 77));
		assert_string_equal(fixture_name(&fixture, 177), "pin 177");
		fixture_close(&fixture);
		fixture_open(&fixture);
	}
	zp_node_facts_get(fixture.node, &facts);
	assert_int_equal(facts.replayed_records, 0); /* the stop wrote a checkpoint */
	fixture_drop(&fixture);
}

/* Long work that was asked for ends when the node is to stop; nothing is lost by it, and without
 * the word it ends well. */
static void
long_work_ends_for_a_stop(void **state)
{
	struct node_fixture fixture;
	struct zp_verify_report report;
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	for (uint64_t n = 0; n < 20; n++)
		assert_int_equal(fixture_pin(&fixture, n, "", &err), 0);
	assert_int_equal(zp_command_verify(fixture.node, NULL, &report, &err), 0);
	assert_int_equal(report.pins, 20);
	for (int runs = 0; runs < 2; runs++) { /* several, so that there is something to merge */
		assert_int_equal(fixture_pin(&fixture, 100 + (uint64_t)runs, "", &err), 0);
		assert_int_equal(zp_command_checkpoint(fixture.node, &err), 0);
	}
	zp_node_work_stop(fixture.node);
	assert_int_equal(zp_command_verify(fixture.node, NULL, &report, &err), ZP_E_STOPPING);
	zp_err_clear(&err);
	fixture_close(&fixture);
	fixture_open(&fixture);
	assert_int_equal(fixture_list_count(&fixture), 22);
	assert_int_equal(zp_command_verify(fixture.node, NULL, &report, &err), 0);
	assert_int_equal(zp_command_settle(fixture.node, &err), 0);
	fixture_drop(&fixture);
}

/* Every segment file that is there has its place: what was merged went before the caller was told.
 */
static void
files_check(const struct node_fixture *fixture)
{
	struct zp_node_facts facts;

	zp_node_facts_get(fixture->node, &facts);
	fixture_shell(fixture, "test $(find %s/shards -name '*.seg' | wc -l) -eq %llu",
	    fixture->root, (unsigned long long)facts.engines.segments);
}

static void
what_was_merged_goes_at_once(void **state)
{
	struct node_fixture fixture;
	struct zp_err err = {0};
	uint64_t n = 0;

	(void)state;
	fixture_make(&fixture, 2);
	fixture_close(&fixture);
	fixture.options.offline = true; /* merges when the test says */
	fixture_open(&fixture);
	for (unsigned runs = 0; runs < 9; runs++) {
		for (unsigned i = 0; i < 10; i++)
			assert_int_equal(fixture_pin(&fixture, n++, "", &err), 0);
		assert_int_equal(zp_command_checkpoint(fixture.node, &err), 0);
	}
	assert_int_equal(zp_command_settle(fixture.node, &err), 0);
	files_check(&fixture);
	assert_int_equal(zp_command_seal(fixture.node, &err), 0);
	files_check(&fixture);
	assert_int_equal(fixture_list_count(&fixture), n);
	fixture_drop(&fixture);
}

/* Few of many pins are wanted. A list says when it has passed over many, and goes on there, also
 * when it is opened anew: what is wanted comes once. */
static void
a_filtered_list_goes_on_where_it_has_passed(void **state)
{
	enum { PINS = 8000, META_EVERY = 1000 };
	struct zp_write *writes = zp_alloc_zero(PINS, sizeof(*writes));
	struct zp_write_batch batch = {.writes = writes, .count = PINS};
	struct zp_scan_filter filter = {.types = 1u << ZP_PIN_META};
	struct node_fixture fixture;
	struct zp_list *list;
	struct zp_record record;
	struct zp_key key, before = {0};
	uint8_t cursor[ZP_KEY_BYTES];
	unsigned found = 0, passed = 0;
	ZP_AUTO_BUF(texts, 64);
	int64_t created;
	int rc = ZP_OK;

	(void)state;
	fixture_make(&fixture, 2);
	for (uint64_t n = 0; n < PINS; n++) {
		writes[n].kind = ZP_WRITE_IMPORT;
		writes[n].key = fixture_key(n);
		writes[n].record = fixture_record("", &texts);
		writes[n].record.facts[ZP_FACT_TYPE] =
		    n % META_EVERY == 7 ? ZP_PIN_META : ZP_PIN_DATA;
	}
	assert_int_equal(zp_command_write_wait(fixture.node, &batch, NULL), 0);
	assert_int_equal(zp_command_checkpoint(fixture.node, NULL), 0);
	assert_int_equal(zp_list_open(fixture.node, 0, NULL, &list, NULL), 0);
	zp_list_want(list, 0, &filter);
	while ((rc = zp_list_next(list, &key, &record, NULL)) != ZP_END) {
		assert_true(rc == ZP_OK || rc == ZP_SCAN_PASSED);
		if (rc == ZP_OK) {
			assert_int_equal(record.facts[ZP_FACT_TYPE], ZP_PIN_META);
			assert_true(zp_key_compare(&before, &key) < 0);
			before = key;
			found++;
			continue;
		}
		passed++;
		if (!zp_list_last(list, &key, &created))
			continue;
		assert_true(zp_key_compare(&before, &key) <= 0);
		zp_key_encode(&key, cursor);
		zp_list_close(list);
		assert_int_equal(zp_list_open(fixture.node, 0, cursor, &list, NULL), 0);
		zp_list_want(list, 0, &filter);
	}
	zp_list_close(list);
	assert_int_equal(found, PINS / META_EVERY);
	assert_in_range(passed, 2, 100);
	fixture_drop(&fixture);
	for (size_t n = 0; n < PINS; n++)
		zp_buf_done(&writes[n].result_texts);
	zp_free(writes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pins_survive_a_stop),
	    cmocka_unit_test(a_filtered_list_goes_on_where_it_has_passed),
	    cmocka_unit_test(long_work_ends_for_a_stop),
	    cmocka_unit_test(what_was_merged_goes_at_once),
	};

	return cmocka_run_group_tests_name("command: node", tests, NULL, NULL);
}
