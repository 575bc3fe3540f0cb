/*
 * test_accesses.c - accesses that are told: off, relative and exact; counted once over crashes and
 * replays, ended with their pin, read as of a moment.
 *
 * Method: a real node. Where a test says when what was noted is written, the node's own tick is put
 * off and the test does it. A crash is a copy of the directory while the node runs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node_fixture.h"

static void
mode_open(struct node_fixture *fixture, enum zp_accesses_mode mode, uint32_t interval_seconds)
{
	*fixture = (struct node_fixture){0};
	fixture_make(fixture, 4);
	fixture_close(fixture);
	fixture->options.accesses_mode = mode;
	fixture->options.accesses_interval_seconds = interval_seconds;
	fixture_open(fixture);
	zp_mutex_lock(&fixture->node->queue.lock);
	fixture->node->upkeep.accesses_at_ns = 0; /* the test's to do */
	zp_mutex_unlock(&fixture->node->queue.lock);
}

static struct zp_accesses
accesses_of(struct zp_node *node, uint64_t n)
{
	struct zp_key key = fixture_key(n);
	struct zp_accesses accesses;
	struct zp_err err = {0};

	if (zp_command_accesses_get(node, &key, &accesses, &err) < 0)
		fail_msg("%s", err.text);
	return accesses;
}

static uint64_t
count_of(const struct node_fixture *fixture, uint64_t n)
{
	return accesses_of(fixture->node, n).count;
}

static int
access_write(struct node_fixture *fixture, uint64_t n, uint64_t count, int64_t last)
{
	struct zp_write write = {.kind = ZP_WRITE_ACCESS,
	    .key = fixture_key(n),
	    .accesses = {.count = count, .last_seconds = last}};

	return fixture_write(fixture, &write, NULL);
}

static int
note(const struct node_fixture *fixture, uint64_t n, uint64_t count, int64_t last)
{
	struct zp_accesses_note told = {
	    .key = fixture_key(n), .accesses = {.count = count, .last_seconds = last}};

	return zp_command_accesses_note(fixture->node, &told, 1, NULL);
}

/* What is due goes into the journal, and is applied. */
static void
notes_write(struct node_fixture *fixture)
{
	struct zp_write nothing = {.kind = ZP_WRITE_DELETE, .key = fixture_key(1000000)};

	while (!command__accesses_send(fixture->node))
		;
	assert_int_equal(fixture_write(fixture, &nothing, NULL), ZP_OK); /* behind it */
}

/* The node as a crash at this moment would leave it, opened and then gone. */
static uint64_t
count_after_crash(const struct node_fixture *fixture, uint64_t n)
{
	struct zp_node_options options = fixture->options;
	char root[80];
	struct zp_node *node;
	struct zp_err err = {0};
	uint64_t count = 0;

	snprintf(root, sizeof(root), "%s.crashed", fixture->root);
	/* No checkpoint comes or goes meanwhile, which cp would stumble over. */
	command__upkeep_enter(fixture->node);
	fixture_shell(fixture, "cp -r . \"$PWD.crashed\"");
	command__upkeep_leave(fixture->node);
	options.root = root;
	options.log = NULL;
	for (int again = 0; again < 2; again++) { /* the second time from a checkpoint */
		if (zp_node_open(&options, &node, &err) < 0)
			fail_msg("%s", err.text);
		assert_true(again == 0 || accesses_of(node, n).count == count);
		count = accesses_of(node, n).count;
		zp_node_close(node);
	}
	fixture_shell(fixture, "rm -rf \"$PWD.crashed\"");
	return count;
}

static uint64_t
rows_in_files(const struct node_fixture *fixture)
{
	struct zp_node_facts facts;

	assert_int_equal(zp_command_checkpoint(fixture->node, NULL), ZP_OK);
	zp_node_facts_get(fixture->node, &facts);
	return facts.engines.access_rows;
}

/* ---- Off ------------------------------------------------------------------------------------- */

static void
off_keeps_nothing(void **state)
{
	struct node_fixture fixture;
	struct zp_err err = {0};
	struct zp_accesses_note told = {.key = fixture_key(1), .accesses = {.count = 1}};

	(void)state;
	mode_open(&fixture, ZP_ACCESSES_OFF, 0);
	assert_int_equal(fixture_pin(&fixture, 1, "", NULL), ZP_OK);
	assert_int_equal(zp_command_accesses_note(fixture.node, &told, 1, &err), ZP_E_UNSUPPORTED);
	assert_string_equal(
	    err.text, "accesses are not kept: set storage.accesses to relative or exact");
	assert_int_equal(access_write(&fixture, 1, 1, 1), ZP_E_UNSUPPORTED);
	assert_int_equal(fixture_unpin(&fixture, 1, NULL), ZP_OK);
	assert_int_equal(rows_in_files(&fixture), 0);
	fixture_drop(&fixture);
}

/* What was kept before is still told, and ends with its pin. */
static void
off_again_keeps_what_was(void **state)
{
	struct node_fixture fixture;

	(void)state;
	mode_open(&fixture, ZP_ACCESSES_EXACT, 0);
	assert_int_equal(fixture_pin(&fixture, 1, "", NULL), ZP_OK);
	assert_int_equal(access_write(&fixture, 1, 5, 77), ZP_OK);
	fixture_close(&fixture);
	fixture.options.accesses_mode = ZP_ACCESSES_OFF;
	fixture_open(&fixture);
	assert_int_equal(count_of(&fixture, 1), 5);
	assert_int_equal(fixture_unpin(&fixture, 1, NULL), ZP_OK);
	assert_int_equal(fixture_pin(&fixture, 1, "", NULL), ZP_OK);
	assert_int_equal(count_of(&fixture, 1), 0);
	fixture_drop(&fixture);
}

/* ---- Exact ----------------------------------------------------------------------------------- */

/* Each write counts once: while the node runs, and for who finds it dead at any moment: before a
 * checkpoint, behind it, with more behind that, and after merges. */
static void
exact_counts_once_over_crashes(void **state)
{
	struct node_fixture fixture;
	uint64_t expected = 0;

	(void)state;
	mode_open(&fixture, ZP_ACCESSES_EXACT, 0);
	assert_int_equal(fixture_pin(&fixture, 1, "", NULL), ZP_OK);
	for (uint64_t round = 1; round <= 10; round++) {
		assert_int_equal(access_write(&fixture, 1, round, (int64_t)round), ZP_OK);
		expected += round;
		assert_int_equal(count_of(&fixture, 1), expected);
		if (round < 3 || round == 9)
			assert_int_equal(count_after_crash(&fixture, 1), expected);
		assert_int_equal(zp_command_checkpoint(fixture.node, NULL), ZP_OK);
		if (round < 3 || round == 9)
			assert_int_equal(count_after_crash(&fixture, 1), expected);
	}
	assert_int_equal(zp_command_settle(fixture.node, NULL), ZP_OK);
	assert_int_equal(zp_command_seal(fixture.node, NULL), ZP_OK);
	assert_int_equal(rows_in_files(&fixture), 1);
	assert_int_equal(count_of(&fixture, 1), expected);
	assert_int_equal(accesses_of(fixture.node, 1).last_seconds, 10);
	assert_int_equal(count_after_crash(&fixture, 1), expected);
	fixture_drop(&fixture);
}

/* In the order of the batch, and again so from the journal. */
static void
an_access_is_of_the_pin_of_its_turn(void **state)
{
	struct node_fixture fixture;
	ZP_AUTO_BUF(texts, 1000);
	struct zp_key key = fixture_key(1);
	struct zp_write writes[] = {
	    {.kind = ZP_WRITE_ACCESS, .key = key, .accesses = {.count = 1}},
	    {.kind = ZP_WRITE_IMPORT, .key = key, .record = fixture_record("", &texts)},
	    {.kind = ZP_WRITE_ACCESS, .key = key, .accesses = {.count = 2}},
	    {.kind = ZP_WRITE_DELETE, .key = key},
	    {.kind = ZP_WRITE_ACCESS, .key = key, .accesses = {.count = 4}},
	    {.kind = ZP_WRITE_IMPORT, .key = key, .record = fixture_record("", &texts)},
	    {.kind = ZP_WRITE_ACCESS, .key = key, .accesses = {.count = 8}},
	    {.kind = ZP_WRITE_ACCESS, .key = key, .accesses = {.count = 16}},
	};
	const int expected[] = {ZP_E_NOT_FOUND, 0, 0, 0, ZP_E_NOT_FOUND, 0, 0, 0};
	struct zp_write_batch batch = {.writes = writes, .count = ZP_ARRAY_COUNT(writes)};
	struct zp_node_facts facts;
	struct zp_err err = {0};

	(void)state;
	mode_open(&fixture, ZP_ACCESSES_EXACT, 0);
	assert_int_equal(zp_command_write_wait(fixture.node, &batch, &err), ZP_OK);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(writes); i++) {
		assert_int_equal(writes[i].rc, expected[i]);
		zp_buf_done(&writes[i].result_texts);
	}
	assert_int_equal(count_of(&fixture, 1), 24);
	assert_int_equal(count_after_crash(&fixture, 1), 24);
	zp_node_facts_get(fixture.node, &facts);
	assert_int_equal(facts.accesses_unknown, 5);
	assert_int_equal(facts.accesses_written, 26);
	fixture_drop(&fixture);
}

/* A batch of a stream that is sent again, because its answer was lost, counts once. */
static void
a_batch_of_a_stream_counts_once(void **state)
{
	struct node_fixture fixture;
	struct zp_write write = {
	    .kind = ZP_WRITE_ACCESS, .key = fixture_key(1), .accesses = {.count = 3}};

	(void)state;
	mode_open(&fixture, ZP_ACCESSES_EXACT, 0);
	assert_int_equal(fixture_pin(&fixture, 1, "", NULL), ZP_OK);
	for (uint64_t sequence = 1; sequence <= 2; sequence++) {
		for (int again = 0; again < 3; again++) {
			struct zp_write_batch batch = {.writes = &write,
			    .count = 1,
			    .origin = {.id = "of-one-gateway-1", .sequence = sequence}};

			assert_int_equal(zp_command_write_wait(fixture.node, &batch, NULL), ZP_OK);
			assert_int_equal(count_of(&fixture, 1), 3 * sequence);
		}
	}
	fixture_drop(&fixture);
}

/* However the pin goes: a new one begins at none. */
static void
a_pin_that_expires_takes_its_accesses(void **state)
{
	struct node_fixture fixture;
	ZP_AUTO_BUF(texts, 1000);
	struct zp_write pin = {.kind = ZP_WRITE_IMPORT, .key = fixture_key(1)};
	struct zp_write expire = {.kind = ZP_WRITE_EXPIRE, .key = fixture_key(1)};

	(void)state;
	mode_open(&fixture, ZP_ACCESSES_EXACT, 0);
	pin.record = fixture_record("", &texts);
	pin.record.facts[ZP_FACT_EXPIRE_AT] = expire.record.facts[ZP_FACT_EXPIRE_AT] =
	    zp_zigzag(INT64_C(4000000000)) + 1;
	assert_int_equal(fixture_write(&fixture, &pin, NULL), ZP_OK);
	assert_int_equal(access_write(&fixture, 1, 3, 5), ZP_OK);
	assert_int_equal(zp_command_checkpoint(fixture.node, NULL), ZP_OK);
	pin.record.facts[ZP_FACT_SIZE] = 77; /* changed, not gone */
	assert_int_equal(fixture_write(&fixture, &pin, NULL), ZP_OK);
	assert_int_equal(count_of(&fixture, 1), 3);
	assert_int_equal(fixture_write(&fixture, &expire, NULL), ZP_OK);
	assert_int_equal(fixture_write(&fixture, &pin, NULL), ZP_OK);
	assert_int_equal(count_of(&fixture, 1), 0);
	assert_int_equal(accesses_of(fixture.node, 1).last_seconds, 0);
	assert_int_equal(count_after_crash(&fixture, 1), 0);
	zp_buf_done(&expire.result_texts);
	fixture_drop(&fixture);
}

/* A clock that is ahead must not stand for years, one that is behind changes nothing. */
static void
times_to_come_count_as_now(void **state)
{
	struct node_fixture fixture;
	int64_t now = zp_clock_realtime_us() / 1000000, last;

	(void)state;
	mode_open(&fixture, ZP_ACCESSES_EXACT, 0);
	assert_int_equal(fixture_pin(&fixture, 1, "", NULL), ZP_OK);
	assert_int_equal(access_write(&fixture, 1, 1, ZP_ACCESS_SECONDS_MAX), ZP_OK);
	last = accesses_of(fixture.node, 1).last_seconds;
	assert_in_range(last, now, now + 300);
	assert_int_equal(note(&fixture, 1, 1, 1234), ZP_OK);
	notes_write(&fixture);
	assert_int_equal(accesses_of(fixture.node, 1).last_seconds, last);
	assert_int_equal(count_of(&fixture, 1), 2);
	assert_int_equal(access_write(&fixture, 1, 0, 1), ZP_E_INVALID);
	assert_int_equal(access_write(&fixture, 1, 1, -1), ZP_E_INVALID);
	assert_int_equal(access_write(&fixture, 1, ZP_ACCESS_COUNT_MAX + 1ull, 1), ZP_E_INVALID);
	fixture_drop(&fixture);
}

/* ---- Noted ----------------------------------------------------------------------------------- */

/* Exact: all that was noted goes with the next tick; what is not pinned is counted as such. */
static void
exact_notes_are_written_with_the_tick(void **state)
{
	struct node_fixture fixture;
	struct zp_node_facts facts;

	(void)state;
	mode_open(&fixture, ZP_ACCESSES_EXACT, 0);
	for (uint64_t n = 0; n < 300; n++)
		assert_int_equal(fixture_pin(&fixture, n, "", NULL), ZP_OK);
	for (unsigned round = 1; round <= 3; round++) {
		for (uint64_t n = 0; n < 400; n++)
			assert_int_equal(note(&fixture, n, n + 1, round), ZP_OK);
		assert_int_equal(note(&fixture, 7, 1, round), ZP_OK);
		assert_int_equal(count_of(&fixture, 299), (round - 1) * 300);
		notes_write(&fixture);
		for (uint64_t n = 0; n < 300; n++) {
			assert_int_equal(count_of(&fixture, n), round * (n + 1 + (n == 7)));
			assert_int_equal(accesses_of(fixture.node, n).last_seconds, round);
		}
		zp_node_facts_get(fixture.node, &facts);
		assert_int_equal(facts.accesses_pending, 0);
	}
	assert_int_equal(facts.accesses_noted, 3 * (400 * 401 / 2 + 1));
	assert_int_equal(facts.accesses_written + facts.accesses_unknown, facts.accesses_noted);
	assert_int_equal(count_of(&fixture, 350), 0);
	fixture_drop(&fixture);
}

/* The node does it by itself. */
static void
the_tick_comes(void **state)
{
	struct node_fixture fixture;
	uint64_t end_ns = zp_clock_monotonic_ns() + UINT64_C(60000000000);

	(void)state;
	mode_open(&fixture, ZP_ACCESSES_EXACT, 0);
	assert_int_equal(fixture_pin(&fixture, 1, "", NULL), ZP_OK);
	assert_int_equal(note(&fixture, 1, 1, 1), ZP_OK);
	zp_mutex_lock(&fixture.node->queue.lock);
	fixture.node->upkeep.accesses_at_ns = 1;
	zp_cond_signal(&fixture.node->upkeep.wake);
	zp_mutex_unlock(&fixture.node->queue.lock);
	while (count_of(&fixture, 1) == 0)
		assert_true(zp_clock_monotonic_ns() < end_ns);
	fixture_drop(&fixture);
}

/* Relative: the first access of a pin is written, those of the interval behind it wait, however
 * many they are; a stop writes them. */
static void
relative_is_one_row_an_interval(void **state)
{
	struct node_fixture fixture;
	struct zp_node_facts facts;

	(void)state;
	mode_open(&fixture, ZP_ACCESSES_RELATIVE, 86400);
	assert_int_equal(fixture_pin(&fixture, 1, "", NULL), ZP_OK);
	assert_int_equal(note(&fixture, 1, 1, 100), ZP_OK);
	notes_write(&fixture);
	assert_int_equal(count_of(&fixture, 1), 1);
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(note(&fixture, 1, 1, 200 + i), ZP_OK);
		notes_write(&fixture);
	}
	assert_int_equal(count_of(&fixture, 1), 1);
	assert_int_equal(accesses_of(fixture.node, 1).last_seconds, 100);
	zp_node_facts_get(fixture.node, &facts);
	assert_int_equal(facts.accesses_pending, 1);
	assert_int_equal(rows_in_files(&fixture), 1);
	assert_int_equal(count_after_crash(&fixture, 1), 1); /* these are lost, and no more */
	fixture_close(&fixture);
	fixture_open(&fixture);
	assert_int_equal(count_of(&fixture, 1), 1001);
	assert_int_equal(accesses_of(fixture.node, 1).last_seconds, 1199);
	fixture_drop(&fixture);
}

/* Without an interval, or when it is over, it is written; who was not read since is forgotten. */
static void
relative_goes_on_behind_the_interval(void **state)
{
	struct node_fixture fixture;
	struct zp_node_facts facts;

	(void)state;
	mode_open(&fixture, ZP_ACCESSES_RELATIVE, 0);
	assert_int_equal(fixture_pin(&fixture, 1, "", NULL), ZP_OK);
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(note(&fixture, 1, 2, i), ZP_OK);
		notes_write(&fixture);
		assert_int_equal(count_of(&fixture, 1), 2 * i);
	}
	notes_write(&fixture);
	zp_node_facts_get(fixture.node, &facts);
	assert_int_equal(facts.accesses_pending, 0);
	fixture_drop(&fixture);
}

/* What was written of a pin that is gone says nothing of the one that stands there now. */
static void
a_new_pin_has_no_older_time(void **state)
{
	struct node_fixture fixture;

	(void)state;
	mode_open(&fixture, ZP_ACCESSES_RELATIVE, 86400);
	assert_int_equal(fixture_pin(&fixture, 1, "", NULL), ZP_OK);
	assert_int_equal(note(&fixture, 1, 3, 5000), ZP_OK);
	notes_write(&fixture);
	assert_int_equal(accesses_of(fixture.node, 1).last_seconds, 5000);
	assert_int_equal(fixture_unpin(&fixture, 1, NULL), ZP_OK);
	assert_int_equal(fixture_pin(&fixture, 1, "", NULL), ZP_OK);
	assert_int_equal(note(&fixture, 1, 2, 1000), ZP_OK);
	fixture_close(&fixture); /* which writes it */
	fixture_open(&fixture);
	assert_int_equal(count_of(&fixture, 1), 2);
	assert_int_equal(accesses_of(fixture.node, 1).last_seconds, 1000);
	fixture_drop(&fixture);
}

/* More pins than there is room for: some are not counted, which is told and counted; when they are
 * written there is room again. */
static void
memory_for_notes_has_an_end(void **state)
{
	struct node_fixture fixture;
	struct zp_node_facts facts;
	uint64_t n = 0, lost = 0;

	(void)state;
	mode_open(&fixture, ZP_ACCESSES_RELATIVE, 86400);
	for (; n < ZP_ACCESSES_PENDING_MAX + 100000; n++) {
		int rc = note(&fixture, n, 1, 1);

		assert_true(rc == ZP_OK || rc == ZP_E_FULL);
		lost += rc == ZP_E_FULL;
	}
	zp_node_facts_get(fixture.node, &facts);
	assert_true(lost >= 100000 && facts.accesses_lost == lost);
	assert_true(facts.accesses_pending <= ZP_ACCESSES_PENDING_MAX);
	assert_int_equal(facts.accesses_pending, n - lost);
	notes_write(&fixture); /* of no pin: nothing stays of them */
	notes_write(&fixture);
	assert_int_equal(note(&fixture, n, 1, 1), ZP_OK);
	zp_node_facts_get(fixture.node, &facts);
	assert_int_equal(facts.accesses_unknown, n - lost);
	fixture_drop(&fixture);
}

/* Many pins of one digest, as many accounts make them of a CID, have the room that others have. */
static void
one_digest_has_room_for_many_pins(void **state)
{
	struct node_fixture fixture;
	struct zp_accesses_note told = {.key = fixture_key(1), .accesses = {.count = 1}};

	(void)state;
	mode_open(&fixture, ZP_ACCESSES_RELATIVE, 86400);
	told.key.namespace_id = 1;
	while (told.key.claim++ < ZP_ACCESSES_PENDING_MAX / 8)
		assert_int_equal(zp_command_accesses_note(fixture.node, &told, 1, NULL), ZP_OK);
	fixture_drop(&fixture);
}

static void
a_read_only_node_takes_none(void **state)
{
	struct node_fixture fixture;

	(void)state;
	mode_open(&fixture, ZP_ACCESSES_EXACT, 0);
	assert_int_equal(fixture_pin(&fixture, 1, "", NULL), ZP_OK);
	assert_int_equal(access_write(&fixture, 1, 1, 1), ZP_OK);
	zp_node_read_only_set(fixture.node, true);
	assert_int_equal(note(&fixture, 1, 1, 1), ZP_E_READ_ONLY);
	assert_int_equal(access_write(&fixture, 1, 1, 1), ZP_E_READ_ONLY);
	fixture_close(&fixture);
	fixture.options.read_only = true;
	fixture_open(&fixture);
	assert_int_equal(note(&fixture, 1, 1, 1), ZP_E_READ_ONLY);
	assert_int_equal(count_of(&fixture, 1), 1);
	fixture_drop(&fixture);
}

/* ---- Lists and moments ----------------------------------------------------------------------- */

static void
list_check(struct zp_node *node, uint64_t pins, uint64_t sum)
{
	struct zp_accesses accesses;
	struct zp_record record;
	struct zp_list *list;
	struct zp_err err = {0};
	struct zp_key key;
	uint64_t listed = 0;
	int rc;

	assert_int_equal(zp_list_open(node, 0, NULL, &list, &err), ZP_OK);
	while ((rc = zp_list_next(list, &key, &record, &err)) == ZP_OK) {
		if (listed++ % 10 == 3)
			zp_list_rest(list);
		if (zp_list_accesses_get(list, &accesses, &err) < 0)
			fail_msg("%s", err.text);
		sum -= accesses.count;
	}
	assert_int_equal(rc, ZP_END);
	assert_int_equal(listed, pins);
	assert_int_equal(sum, 0);
	zp_list_close(list);
}

/* Beside each pin of a list; and of a snapshot as they were then. */
static void
lists_and_snapshots_have_them(void **state)
{
	struct node_fixture fixture;
	struct zp_moment *moment;

	(void)state;
	mode_open(&fixture, ZP_ACCESSES_EXACT, 0);
	for (uint64_t n = 0; n < 100; n++) {
		assert_int_equal(fixture_pin(&fixture, n, "", NULL), ZP_OK);
		if (n % 3 == 0)
			assert_int_equal(access_write(&fixture, n, 10, 1), ZP_OK);
	}
	list_check(fixture.node, 100, 340);
	assert_int_equal(zp_command_snapshot(fixture.node, "then", NULL), ZP_OK);
	for (uint64_t n = 0; n < 100; n++)
		assert_int_equal(access_write(&fixture, n, 1, 1), ZP_OK);
	list_check(fixture.node, 100, 440);
	assert_int_equal(zp_moment_open(fixture.node, "then", 0, &moment, NULL), ZP_OK);
	list_check(zp_moment_node(moment), 100, 340);
	assert_int_equal(accesses_of(zp_moment_node(moment), 3).count, 10);
	zp_moment_release(moment);
	fixture_drop(&fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(off_keeps_nothing),
	    cmocka_unit_test(off_again_keeps_what_was),
	    cmocka_unit_test(exact_counts_once_over_crashes),
	    cmocka_unit_test(an_access_is_of_the_pin_of_its_turn),
	    cmocka_unit_test(a_batch_of_a_stream_counts_once),
	    cmocka_unit_test(a_pin_that_expires_takes_its_accesses),
	    cmocka_unit_test(times_to_come_count_as_now),
	    cmocka_unit_test(exact_notes_are_written_with_the_tick),
	    cmocka_unit_test(the_tick_comes),
	    cmocka_unit_test(relative_is_one_row_an_interval),
	    cmocka_unit_test(relative_goes_on_behind_the_interval),
	    cmocka_unit_test(a_new_pin_has_no_older_time),
	    cmocka_unit_test(memory_for_notes_has_an_end),
	    cmocka_unit_test(one_digest_has_room_for_many_pins),
	    cmocka_unit_test(a_read_only_node_takes_none),
	    cmocka_unit_test(lists_and_snapshots_have_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
