/*
 * test_pace.c - merges beside clients: they pause while somebody is served and for nobody who waits
 * for them, and runs never get so many that reads are slow.
 *
 * Method: counts, not times. A real node in a directory; background work only when the test asks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "node_fixture.h"

#define BATCH 8192u
#define RUNS_MERGED 8u

static void
pins_write(struct node_fixture *fixture, uint64_t first)
{
	struct zp_write *writes = zp_alloc_zero(BATCH, sizeof(*writes));
	struct zp_write_batch batch = {.writes = writes, .count = BATCH};
	ZP_AUTO_BUF(texts, ZP_RECORD_BYTES_MAX);
	struct zp_err err = {0};

	for (uint32_t i = 0; i < BATCH; i++) {
		writes[i].kind = ZP_WRITE_PIN;
		writes[i].key = fixture_key(first + i);
		writes[i].record = fixture_record("", &texts);
	}
	assert_int_equal(zp_command_write_wait(fixture->node, &batch, &err), 0);
	for (uint32_t i = 0; i < BATCH; i++)
		zp_buf_done(&writes[i].result_texts);
	zp_free(writes);
}

/* So many runs that they want a merge, of pins that were not there before. */
static void
runs_make(struct node_fixture *fixture, uint64_t *next)
{
	struct zp_err err = {0};

	for (unsigned i = 0; i < RUNS_MERGED; i++, *next += BATCH) {
		pins_write(fixture, *next);
		assert_int_equal(zp_command_checkpoint(fixture->node, &err), 0);
	}
}

static uint64_t
pauses(struct node_fixture *fixture)
{
	struct zp_node_facts facts;

	zp_node_facts_get(fixture->node, &facts);
	return facts.merge_pauses;
}

static uint64_t
runs(struct node_fixture *fixture)
{
	struct zp_node_facts facts;

	zp_node_facts_get(fixture->node, &facts);
	return facts.engines.runs;
}

static void
node_make(struct node_fixture *fixture)
{
	fixture_make(fixture, 1);
	fixture_close(fixture);
	fixture->options.offline = true; /* merges when the test says */
	fixture_open(fixture);
}

struct reading {
	struct node_fixture *fixture;
	atomic_bool stop;
};

static void
read_on(void *context)
{
	struct reading *reading = context;
	struct node_fixture own = *reading->fixture; /* scratch and texts of this thread */
	struct zp_record record;
	struct zp_err err = {0};

	own.scratch = zp_read_scratch_new();
	zp_buf_init(&own.texts, ZP_RECORD_BYTES_MAX);
	for (uint64_t n = 0; !atomic_load(&reading->stop); n = (n + 1) % BATCH) {
		struct zp_key key = fixture_key(n);

		assert_int_equal(
		    zp_command_get(own.node, &key, own.scratch, &own.texts, &record, &err), 0);
	}
	zp_read_scratch_free(own.scratch);
	zp_buf_done(&own.texts);
}

/* One pause may be for the writes before. With reads beside it there are more, if need be after
 * some merges: a slow machine may run the reader seldom. */
static void
a_merge_pauses_while_clients_are_served(void **state)
{
	struct node_fixture fixture;
	struct reading reading = {.fixture = &fixture};
	struct zp_thread *thread;
	struct zp_err err = {0};
	uint64_t next = 0, idle, before;

	(void)state;
	node_make(&fixture);
	runs_make(&fixture, &next);
	before = pauses(&fixture);
	assert_int_equal(zp_command_settle(fixture.node, &err), 0);
	idle = pauses(&fixture) - before;
	assert_true(idle <= 1);

	assert_int_equal(zp_thread_start("reader", read_on, &reading, &thread, &err), 0);
	do {
		runs_make(&fixture, &next);
		before = pauses(&fixture);
		assert_int_equal(zp_command_settle(fixture.node, &err), 0);
	} while (pauses(&fixture) - before <= 1);
	atomic_store(&reading.stop, true);
	zp_thread_join(thread);
	assert_int_equal(fixture_list_count(&fixture), next);
	fixture_drop(&fixture);
}

/* Nobody merges but the flush that would add one run too many. */
static void
a_flush_waits_for_merges_that_fell_behind(void **state)
{
	struct node_fixture fixture;
	struct zp_err err = {0};
	uint64_t most = 0;
	unsigned n;

	(void)state;
	node_make(&fixture);
	for (n = 0; n < 3 * COMMAND__RUNS_BEHIND; n++) {
		assert_int_equal(fixture_pin(&fixture, n, "pin", &err), 0);
		assert_int_equal(zp_command_checkpoint(fixture.node, &err), 0);
		most = zp_max_u64(most, runs(&fixture));
	}
	assert_int_equal(most, COMMAND__RUNS_BEHIND);
	assert_int_equal(fixture_list_count(&fixture), n);
	fixture_drop(&fixture);
}

static uint64_t
checkpoints(struct node_fixture *fixture)
{
	uint64_t number;

	command__upkeep_enter(fixture->node);
	number = zp_shards_newest(fixture->node->shards)->number;
	command__upkeep_leave(fixture->node);
	return number;
}

/* As node_make, with a checkpoint due after so many bytes of merges. */
static void
node_make_merging(struct node_fixture *fixture, uint64_t merged_bytes_max, bool offline)
{
	struct command__seam seam = {.merged_bytes_max = merged_bytes_max};
	struct zp_err err = {0};

	fixture_make(fixture, 1);
	fixture_close(fixture);
	fixture->options.offline = offline;
	fixture->options.checkpoint_interval_seconds = 0;
	if (command__node_open(&fixture->options, &seam, &fixture->node, &err) < 0)
		fail_msg("%s", err.text);
}

/* Two merges of a family at least, with a checkpoint behind each of them; else there are the two at
 * the end alone, which let go what was merged. */
static void
much_that_was_merged_is_let_go_between_steps(void **state)
{
	static const uint64_t most[] = {0, 1};
	uint64_t made[ZP_ARRAY_COUNT(most)];

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(most); i++) {
		struct node_fixture fixture;
		struct zp_err err = {0};
		uint64_t next = 0;

		node_make_merging(&fixture, most[i], true);
		runs_make(&fixture, &next);
		runs_make(&fixture, &next);
		made[i] = checkpoints(&fixture);
		assert_int_equal(zp_command_settle(fixture.node, &err), 0);
		made[i] = checkpoints(&fixture) - made[i];
		assert_int_equal(fixture_list_count(&fixture), next);
		fixture_drop(&fixture);
	}
	assert_int_equal(made[0], 2);
	assert_true(made[1] > 3);
}

/* In the background, where nothing else asks for checkpoints, they come by themselves. */
static void
much_that_was_merged_makes_a_checkpoint_due(void **state)
{
	struct node_fixture fixture;
	uint64_t next = 0, asked;

	(void)state;
	node_make_merging(&fixture, 1, false);
	asked = checkpoints(&fixture) + RUNS_MERGED;
	runs_make(&fixture, &next); /* its checkpoints tell upkeep that there are runs to merge */
	while (runs(&fixture) > 1 || checkpoints(&fixture) == asked)
		usleep(1000);
	assert_int_equal(fixture_list_count(&fixture), next);
	fixture_drop(&fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_merge_pauses_while_clients_are_served),
	    cmocka_unit_test(a_flush_waits_for_merges_that_fell_behind),
	    cmocka_unit_test(much_that_was_merged_is_let_go_between_steps),
	    cmocka_unit_test(much_that_was_merged_makes_a_checkpoint_due),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
