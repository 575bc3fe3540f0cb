/*
 * test_moment.c - as-of reads: a snapshot or a checkpoint is read exactly, whatever the node does.
 *
 * Method: pins whose names say in which round they were made, rounds of writes, checkpoints and
 * merges in between, and each moment held against what was there when it was made. What is on the
 * disk is damaged or mixed up with the shell.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "node_fixture.h"

#define PINS 60u

static void
must(int rc, const struct zp_err *err)
{
	if (rc < 0)
		fail_msg("%s", err->text);
}

/* Round `round`: pins n of [round, PINS + round) are there, all with that round's name. */
static void
round_write(struct node_fixture *fixture, unsigned round)
{
	char name[16];
	struct zp_err err = {0};

	snprintf(name, sizeof(name), "r%u", round);
	for (unsigned n = 0; n < round; n++)
		zp_ignore(fixture_unpin(fixture, n, NULL)); /* most are gone already */
	for (unsigned n = round; n < PINS + round; n++)
		must(fixture_pin(fixture, n, name, &err), &err);
}

/* Reads of the moment, by the fixture's words. */
static struct node_fixture
reading(struct node_fixture *fixture, struct zp_node *node)
{
	struct node_fixture past = *fixture;

	past.node = node;
	zp_buf_init(&past.texts, ZP_RECORD_BYTES_MAX); /* its own: reading_done frees it */
	return past;
}

static void
reading_done(struct node_fixture *past)
{
	zp_buf_done(&past->texts);
}

/* Exactly the pins of that round, by list, by name, and by counters. */
static void
round_check(struct node_fixture *fixture, struct zp_node *node, unsigned round)
{
	struct node_fixture past = reading(fixture, node);
	char name[16];

	snprintf(name, sizeof(name), "r%u", round);
	assert_int_equal(fixture_list_count(&past), PINS);
	assert_int_equal(fixture_count(&past), PINS);
	for (unsigned n = 0; n < PINS + round + 20; n++) {
		const char *found = fixture_name(&past, n);

		if (n < round || n >= PINS + round)
			assert_null(found);
		else
			assert_string_equal(found, name);
	}
	reading_done(&past);
}

static struct zp_moment *
moment_of(struct node_fixture *fixture, const char *as_of)
{
	struct zp_moment *moment = NULL;
	struct zp_err err = {0};

	must(zp_moment_open(fixture->node, as_of, 0, &moment, &err), &err);
	return moment;
}

static int
open_fails(struct node_fixture *fixture, const char *as_of, uint64_t id, struct zp_err *err)
{
	struct zp_moment *moment;

	zp_err_clear(err);
	return zp_moment_open(fixture->node, as_of, id, &moment, err);
}

static void
settle(struct node_fixture *fixture)
{
	struct zp_err err = {0};

	must(zp_command_checkpoint(fixture->node, &err), &err);
	must(zp_command_settle(fixture->node, &err), &err);
}

/* ---- Snapshots ------------------------------------------------------------------------------ */

static void
a_snapshot_is_read_exactly(void **state)
{
	struct node_fixture fixture;
	struct zp_moment *first, *second, *again;
	struct zp_err err = {0};

	fixture_make(&fixture, 4);
	round_write(&fixture, 0);
	must(zp_command_snapshot(fixture.node, "r0", &err), &err);
	round_write(&fixture, 1);
	first = moment_of(&fixture, "r0");
	round_check(&fixture, zp_moment_node(first), 0);
	/* Many rounds, so that every file that the snapshot has is merged away in the node. */
	for (unsigned round = 2; round < 20; round++) {
		round_write(&fixture, round);
		settle(&fixture);
		if (round == 10)
			must(zp_command_snapshot(fixture.node, "r10", &err), &err);
	}
	must(zp_command_seal(fixture.node, &err), &err);
	round_check(&fixture, zp_moment_node(first), 0);
	second = moment_of(&fixture, "r10");
	round_check(&fixture, zp_moment_node(second), 10);
	assert_int_not_equal(zp_moment_id(first), zp_moment_id(second));
	/* One that is open is not opened again. */
	assert_int_equal(zp_moment_find(fixture.node, "r10", 0, &again), 0);
	assert_ptr_equal(again, second);
	zp_moment_release(again);
	zp_moment_release(first);
	zp_moment_release(second);
	fixture_close(&fixture);
	fixture_open(&fixture);
	assert_int_equal(zp_moment_find(fixture.node, "r10", 0, &again), ZP_E_NOT_FOUND);
	again = moment_of(&fixture, "r10");
	round_check(&fixture, zp_moment_node(again), 10);
	assert_int_equal(
	    fixture_pin(&(struct node_fixture){.node = zp_moment_node(again)}, 1, "", &err),
	    ZP_E_READ_ONLY);
	zp_moment_release(again);
	fixture_drop(&fixture);
}

/* A snapshot right after merges has no manifest of the number that its checkpoint names. */
static void
a_snapshot_after_merges_is_read(void **state)
{
	struct node_fixture fixture;
	struct zp_moment *moment;
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	round_write(&fixture, 0);
	settle(&fixture);
	round_write(&fixture, 1);
	must(zp_command_checkpoint(fixture.node, &err), &err);
	must(zp_command_checkpoint(fixture.node, &err), &err);
	must(zp_command_seal(fixture.node, &err), &err);
	must(zp_command_snapshot(fixture.node, "merged", &err), &err);
	moment = moment_of(&fixture, "merged");
	round_check(&fixture, zp_moment_node(moment), 1);
	zp_moment_release(moment);
	fixture_drop(&fixture);
}

/* Due pins that were still there are there: nothing expires in a moment. */
static void
due_pins_stay_as_they_were(void **state)
{
	ZP_AUTO_BUF(texts, ZP_RECORD_BYTES_MAX);
	struct zp_write write = {.kind = ZP_WRITE_IMPORT, .key = fixture_key(1)};
	struct node_fixture fixture, past;
	struct zp_moment *moment;
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	write.record = fixture_record("due", &texts);
	write.record.facts[ZP_FACT_EXPIRE_AT] = zp_zigzag(1000) + 1;
	must(fixture_write(&fixture, &write, &err), &err);
	zp_buf_done(&write.result_texts);
	must(zp_command_snapshot(fixture.node, "s", &err), &err);
	must(fixture_unpin(&fixture, 1, &err), &err);
	moment = moment_of(&fixture, "s");
	past = reading(&fixture, zp_moment_node(moment));
	assert_string_equal(fixture_name(&past, 1), "due");
	reading_done(&past);
	zp_moment_release(moment);
	fixture_drop(&fixture);
}

static void
a_snapshot_of_the_first_version_is_read(void **state)
{
	struct node_fixture fixture;
	struct zp_moment *moment;
	struct zp_err err = {0};
	struct node_fixture past;

	fixture_make(&fixture, 2);
	fixture_shell(
	    &fixture, "mkdir snapshots && cp -r " ZPIN_GOLDEN "/snapshot-v1 snapshots/old");
	moment = moment_of(&fixture, "old");
	past = reading(&fixture, zp_moment_node(moment));
	assert_int_equal(fixture_list_count(&past), 17);
	assert_int_equal(fixture_count(&past), 17);
	reading_done(&past);
	zp_moment_release(moment);
	must(zp_command_snapshot_remove(fixture.node, "old", &err), &err);
	fixture_drop(&fixture);
}

/* ---- Checkpoints ---------------------------------------------------------------------------- */

static void
the_newest_checkpoint_is_read_exactly(void **state)
{
	struct node_fixture fixture;
	struct zp_moment *moments[3], *found;
	struct zp_err err = {0};

	fixture_make(&fixture, 4);
	for (unsigned round = 0; round < 3; round++) {
		round_write(&fixture, round);
		must(zp_command_checkpoint(fixture.node, &err), &err);
		/* Manifests go on, and so do writes: neither is in it. */
		must(zp_command_seal(fixture.node, &err), &err);
		round_write(&fixture, round + 1);
		moments[round] = moment_of(&fixture, "checkpoint");
		round_check(&fixture, zp_moment_node(moments[round]), round);
	}
	for (unsigned round = 0; round < 3; round++)
		round_check(&fixture, zp_moment_node(moments[round]), round);
	assert_int_equal(zp_moment_find(fixture.node, "checkpoint", 0, &found), 0);
	assert_ptr_equal(found, moments[2]);
	zp_moment_release(found);
	/* By its id an older one is had, as long as it is open. */
	assert_int_equal(
	    zp_moment_find(fixture.node, "checkpoint", zp_moment_id(moments[0]), &found), 0);
	assert_ptr_equal(found, moments[0]);
	zp_moment_release(found);
	for (unsigned round = 0; round < 3; round++)
		zp_moment_release(moments[round]);
	fixture_drop(&fixture);
}

/* Of a walk that began in a checkpoint the next page is of the same, or is refused. */
static void
a_checkpoint_is_had_by_its_id_while_it_is_kept(void **state)
{
	struct node_fixture fixture;
	struct zp_moment *moment;
	struct zp_err err = {0};
	uint64_t id;

	fixture_make(&fixture, 2);
	round_write(&fixture, 0);
	must(zp_command_checkpoint(fixture.node, &err), &err);
	moment = moment_of(&fixture, "checkpoint");
	id = zp_moment_id(moment);
	zp_moment_release(moment);
	fixture_close(&fixture);
	fixture_open(&fixture);
	round_write(&fixture, 1);
	must(zp_command_checkpoint(fixture.node, &err), &err);
	/* It is the older of the two now. */
	must(zp_moment_open(fixture.node, "checkpoint", id, &moment, &err), &err);
	round_check(&fixture, zp_moment_node(moment), 0);
	round_write(&fixture, 2);
	must(zp_command_checkpoint(fixture.node, &err), &err);
	round_write(&fixture, 3);
	must(zp_command_checkpoint(fixture.node, &err), &err);
	must(zp_command_seal(fixture.node, &err), &err);
	round_check(&fixture, zp_moment_node(moment), 0); /* collected, but held */
	zp_moment_release(moment);
	must(zp_moment_open(fixture.node, "checkpoint", id, &moment, &err), &err); /* still open */
	zp_moment_release(moment);
	fixture_close(&fixture);
	fixture_open(&fixture);
	assert_int_equal(open_fails(&fixture, "checkpoint", id, &err), ZP_E_INVALID);
	assert_non_null(strstr(err.text, "cursor"));
	fixture_drop(&fixture);
}

/* What a stop within a checkpoint leaves: files that are ahead of the newest record. They are
 * passed over for those that it names, also without the node's process. */
static void
files_ahead_of_the_checkpoint_are_not_read(void **state)
{
	struct node_fixture fixture;
	struct zp_moment *moment;
	struct zp_node *node;
	struct zp_err err = {0};

	fixture_make(&fixture, 4);
	round_write(&fixture, 0);
	must(zp_command_checkpoint(fixture.node, &err), &err);
	round_write(&fixture, 1);
	must(zp_command_checkpoint(fixture.node, &err), &err);
	fixture_shell(&fixture, "cp -a . /tmp/zpin-ahead.%d", getpid());
	fixture_close(&fixture);
	fixture_shell(&fixture,
	    "rm -rf ./* && cp -a /tmp/zpin-ahead.%d/. . && rm -rf /tmp/zpin-ahead.%d && "
	    "rm journal/$(ls journal | grep ^checkpoint | tail -1) && rm -f lock",
	    getpid(), getpid());
	must(zp_node_open_as_of(&fixture.options, "checkpoint", &node, &err), &err);
	round_check(&fixture, node, 0);
	zp_node_close(node);
	fixture_open(&fixture);
	moment = moment_of(&fixture, "checkpoint");
	round_check(&fixture, zp_moment_node(moment), 0);
	round_check(&fixture, fixture.node, 1);
	zp_moment_release(moment);
	fixture_drop(&fixture);
}

/* ---- Which one ------------------------------------------------------------------------------ */

static void
as_of_is_a_name_or_a_time(void **state)
{
	static const char *const wrong[] = {"", "../up", ".", "..", ".hidden", "a/b", "2020-01-01",
	    "2020-01-01T00:00:00", "1:2", "a b"};
	struct node_fixture fixture;
	struct zp_moment *moment;
	struct zp_err err = {0};
	ZP_AUTO_BUF(between, 64);

	fixture_make(&fixture, 2);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(wrong); i++) {
		int rc = open_fails(&fixture, wrong[i], 0, &err);

		assert_int_equal(
		    rc, strcmp(wrong[i], "2020-01-01") == 0 ? ZP_E_NOT_FOUND : ZP_E_INVALID);
	}
	assert_int_equal(open_fails(&fixture, "none", 0, &err), ZP_E_NOT_FOUND);
	assert_non_null(strstr(err.text, "zpin snapshot ls"));
	assert_int_equal(open_fails(&fixture, "2999-01-01T00:00:00Z", 0, &err), ZP_E_NOT_FOUND);
	round_write(&fixture, 0);
	must(zp_command_snapshot(fixture.node, "z-first", &err), &err);
	zp_time_format(zp_clock_realtime_us() / 1000000,
	    (uint32_t)(zp_clock_realtime_us() % 1000000) * 1000, &between);
	zp_buf_append_byte(&between, '\0');
	usleep(2000);
	round_write(&fixture, 1);
	must(zp_command_snapshot(fixture.node, "a-second", &err), &err);
	moment = moment_of(&fixture, "2999-01-01T00:00:00Z");
	assert_string_equal(zp_moment_name(moment), "a-second");
	zp_moment_release(moment);
	moment = moment_of(&fixture, (const char *)between.data);
	assert_string_equal(zp_moment_name(moment), "z-first");
	round_check(&fixture, zp_moment_node(moment), 0);
	zp_moment_release(moment);
	assert_int_equal(open_fails(&fixture, "2001-01-01T00:00:00Z", 0, &err), ZP_E_NOT_FOUND);
	/* In whatever order the folders stand. */
	for (unsigned i = 0; i < 6; i++) {
		char name[16];

		snprintf(name, sizeof(name), "s%u", (i * 5 + 2) % 6);
		usleep(2000);
		must(fixture_pin(&fixture, 1000, name, &err), &err);
		must(zp_command_snapshot(fixture.node, name, &err), &err);
		moment = moment_of(&fixture, "2999-01-01T00:00:00Z");
		assert_string_equal(zp_moment_name(moment), name);
		zp_moment_release(moment);
	}
	/* Where one cannot be read, none is taken in its place. */
	fixture_shell(&fixture, "for f in snapshots/a-second/journal/checkpoint-*; do "
				"cp $f t && mv t $f && printf x | dd of=$f bs=1 seek=40 "
				"conv=notrunc 2>/dev/null; done");
	assert_int_equal(open_fails(&fixture, "2999-01-01T00:00:00Z", 0, &err), ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, "a-second"));
	/* Names that mean something else are not given. */
	assert_int_equal(zp_command_snapshot(fixture.node, "checkpoint", &err), ZP_E_INVALID);
	assert_int_equal(zp_command_snapshot(fixture.node, "ls", &err), ZP_E_INVALID);
	assert_int_equal(zp_command_snapshot(fixture.node, "rm", &err), ZP_E_INVALID);
	fixture_drop(&fixture);
}

/* The id of another moment, by whatever name, is refused. */
static void
another_moments_id_is_refused(void **state)
{
	struct node_fixture fixture;
	struct zp_moment *first, *second;
	struct zp_err err = {0};
	uint64_t id;

	fixture_make(&fixture, 2);
	round_write(&fixture, 0);
	must(zp_command_snapshot(fixture.node, "a", &err), &err);
	round_write(&fixture, 1);
	must(zp_command_snapshot(fixture.node, "b", &err), &err);
	first = moment_of(&fixture, "a");
	second = moment_of(&fixture, "b");
	id = zp_moment_id(first);
	assert_int_equal(open_fails(&fixture, "b", id, &err), ZP_E_INVALID);
	assert_int_equal(open_fails(&fixture, "checkpoint", id + 1, &err), ZP_E_INVALID);
	assert_int_equal(open_fails(&fixture, "a", zp_moment_id(second), &err), ZP_E_INVALID);
	zp_moment_release(first);
	zp_moment_release(second);
	/* Nor is one of the same name that was made anew. */
	must(zp_command_snapshot_remove(fixture.node, "a", &err), &err);
	assert_int_equal(open_fails(&fixture, "a", id, &err), ZP_E_NOT_FOUND);
	round_write(&fixture, 2);
	must(zp_command_snapshot(fixture.node, "a", &err), &err);
	assert_int_equal(open_fails(&fixture, "a", id, &err), ZP_E_INVALID);
	first = moment_of(&fixture, "a");
	round_check(&fixture, zp_moment_node(first), 2);
	zp_moment_release(first);
	fixture_drop(&fixture);
}

/* ---- Damage --------------------------------------------------------------------------------- */

static unsigned
unreadable_count(struct node_fixture *fixture, struct zp_node *node, unsigned round)
{
	unsigned unreadable = 0;
	char name[16];

	snprintf(name, sizeof(name), "r%u", round);
	for (unsigned n = round; n < PINS + round; n++) {
		struct zp_key key = fixture_key(n);
		struct zp_record record;
		struct zp_err err = {0};
		int rc =
		    zp_command_get(node, &key, fixture->scratch, &fixture->texts, &record, &err);

		assert_true(rc == ZP_OK || rc == ZP_E_CORRUPT);
		unreadable += rc == ZP_E_CORRUPT;
	}
	return unreadable;
}

/* Lost files cost their own pins an error; nothing older is read in their place. */
static void
damage_is_told(void **state)
{
	struct node_fixture fixture;
	struct zp_moment *moment;
	struct zp_err err = {0};
	unsigned unreadable;

	fixture_make(&fixture, 4);
	round_write(&fixture, 0);
	must(zp_command_snapshot(fixture.node, "before", &err), &err);
	round_write(&fixture, 1);
	must(zp_command_snapshot(fixture.node, "s", &err), &err);
	fixture_shell(&fixture, "rm -r snapshots/s/shards/$(ls snapshots/s/shards | head -1)");
	moment = moment_of(&fixture, "s");
	unreadable = unreadable_count(&fixture, zp_moment_node(moment), 1);
	assert_true(unreadable > 0 && unreadable < PINS);
	zp_moment_release(moment);
	round_check(&fixture, fixture.node, 1);

	/* Files of an earlier moment, put in the place of lost ones, are not taken for it. */
	must(zp_command_snapshot_remove(fixture.node, "s", &err), &err);
	must(zp_command_snapshot(fixture.node, "s", &err), &err);
	fixture_shell(&fixture,
	    "d=$(ls snapshots/s/shards | head -1) && rm -r snapshots/s/shards/$d && "
	    "cp -r snapshots/before/shards/$d snapshots/s/shards/");
	moment = moment_of(&fixture, "s");
	assert_int_equal(unreadable_count(&fixture, zp_moment_node(moment), 1), unreadable);
	zp_moment_release(moment);
	/* Nor are those of a later one. */
	fixture_shell(&fixture,
	    "d=$(ls snapshots/s/shards | head -1) && rm -r snapshots/before/shards/$d && "
	    "cp -r shards/$d snapshots/before/shards/");
	moment = moment_of(&fixture, "before");
	assert_true(unreadable_count(&fixture, zp_moment_node(moment), 0) > 0);
	zp_moment_release(moment);

	fixture_shell(&fixture, "rm -r snapshots/s/shards");
	must(zp_command_snapshot_remove(fixture.node, "s", &err), &err);
	must(zp_command_snapshot(fixture.node, "s", &err), &err);
	fixture_shell(&fixture, "rm -r snapshots/s/shards/*");
	assert_true(open_fails(&fixture, "s", 0, &err) < 0);
	fixture_drop(&fixture);
}

/* ---- Life ----------------------------------------------------------------------------------- */

static struct zp_node_facts
facts_of(struct node_fixture *fixture)
{
	struct zp_node_facts facts;

	zp_node_facts_get(fixture->node, &facts);
	return facts;
}

static void
so_many_are_open_and_no_more(void **state)
{
	struct node_fixture fixture;
	struct zp_moment *moments[ZP_MOMENTS_MAX], *found;
	struct zp_err err = {0};
	char name[16];

	fixture_make(&fixture, 2);
	for (unsigned i = 0; i <= ZP_MOMENTS_MAX; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		round_write(&fixture, i);
		must(zp_command_snapshot(fixture.node, name, &err), &err);
	}
	for (unsigned i = 0; i < ZP_MOMENTS_MAX; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		moments[i] = moment_of(&fixture, name);
	}
	snprintf(name, sizeof(name), "s%u", ZP_MOMENTS_MAX);
	assert_int_equal(open_fails(&fixture, name, 0, &err), ZP_E_FULL);
	assert_int_equal(facts_of(&fixture).moments_open, ZP_MOMENTS_MAX);
	assert_int_equal(facts_of(&fixture).moments_held, ZP_MOMENTS_MAX);
	assert_true(facts_of(&fixture).moments_bytes > 0);
	/* The one that was let go first makes room. */
	zp_moment_release(moments[2]);
	zp_moment_release(moments[1]);
	moments[2] = moment_of(&fixture, name);
	round_check(&fixture, zp_moment_node(moments[2]), ZP_MOMENTS_MAX);
	assert_int_equal(zp_moment_find(fixture.node, "s2", 0, &found), ZP_E_NOT_FOUND);
	assert_int_equal(zp_moment_find(fixture.node, "s1", 0, &moments[1]), 0);
	assert_int_equal(facts_of(&fixture).moments_open, ZP_MOMENTS_MAX);
	assert_int_equal(facts_of(&fixture).moments_opened, ZP_MOMENTS_MAX + 1);
	for (unsigned i = 0; i < ZP_MOMENTS_MAX; i++)
		zp_moment_release(moments[i]);
	fixture_drop(&fixture);
}

static void
nothing(struct zp_moment_task *task)
{
	(void)task;
}

static void
one_that_nobody_reads_is_closed(void **state)
{
	struct node_fixture fixture;
	struct zp_moment_task task = {.run = nothing};
	struct zp_moment *held, *idle;
	struct zp_err err = {0};
	uint64_t deadline = zp_clock_monotonic_ns() + UINT64_C(60000000000);

	fixture_make(&fixture, 2);
	fixture_close(&fixture);
	must(command__node_open(&fixture.options,
		 &(struct command__seam){.moment_idle_ns = 20000000}, &fixture.node, &err),
	    &err);
	must(zp_command_snapshot(fixture.node, "a", &err), &err);
	must(zp_command_snapshot(fixture.node, "b", &err), &err);
	held = moment_of(&fixture, "a");
	idle = moment_of(&fixture, "b");
	zp_moment_release(idle);
	must(zp_moment_post(fixture.node, &task, &err), &err); /* its thread sees to it */
	while (facts_of(&fixture).moments_open > 1 && zp_clock_monotonic_ns() < deadline)
		usleep(1000);
	assert_int_equal(facts_of(&fixture).moments_open, 1);
	usleep(100000);
	assert_int_equal(facts_of(&fixture).moments_open, 1); /* who is held stays */
	zp_moment_release(held);
	while (facts_of(&fixture).moments_open > 0 && zp_clock_monotonic_ns() < deadline)
		usleep(1000);
	assert_int_equal(facts_of(&fixture).moments_open, 0);
	fixture_drop(&fixture);
}

struct waiting {
	struct zp_moment_task task;
	struct zp_node *node;
	_Atomic(int) rc; /* 1: not run yet */
};

static void
waiting_run(struct zp_moment_task *task)
{
	struct waiting *waiting = (struct waiting *)task;
	struct zp_moment *moment;
	struct zp_err err = {0};
	int rc;

	usleep(20000); /* so that the node is closed while others wait */
	rc = zp_moment_open(waiting->node, "a", 0, &moment, &err);
	if (rc == ZP_OK)
		zp_moment_release(moment);
	waiting->rc = rc;
}

/* Who waits for a moment when the node is closed is told so. */
static void
a_node_that_stops_answers_who_waits(void **state)
{
	struct waiting waiting[8];
	struct node_fixture fixture;
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	must(zp_command_snapshot(fixture.node, "a", &err), &err);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(waiting); i++) {
		waiting[i] =
		    (struct waiting){.task.run = waiting_run, .node = fixture.node, .rc = 1};
		must(zp_moment_post(fixture.node, &waiting[i].task, &err), &err);
	}
	fixture_close(&fixture);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(waiting); i++)
		assert_true(waiting[i].rc == ZP_OK || waiting[i].rc == ZP_E_STOPPING);
	assert_int_equal(waiting[7].rc, ZP_E_STOPPING);
	fixture_drop(&fixture);
}

/* ---- Listing and removing ------------------------------------------------------------------- */

struct told {
	struct zp_snapshot list[8];
	unsigned count;
};

static int
tell(void *context, const struct zp_snapshot *snapshot, struct zp_err *err)
{
	struct told *told = context;

	(void)err;
	told->list[told->count++] = *snapshot;
	return ZP_OK;
}

static void
snapshots_are_listed(void **state)
{
	struct node_fixture fixture;
	struct zp_err err = {0};
	struct told told = {0};

	fixture_make(&fixture, 2);
	must(zp_command_snapshots(fixture.node, tell, &told, &err), &err);
	assert_int_equal(told.count, 0);
	round_write(&fixture, 0);
	must(zp_command_snapshot(fixture.node, "z", &err), &err);
	must(fixture_pin(&fixture, 1000, "one more", &err), &err);
	must(zp_command_snapshot(fixture.node, "a", &err), &err);
	fixture_shell(
	    &fixture, "mkdir -p snapshots/half/shards snapshots/.hidden && touch snapshots/file");
	must(zp_command_snapshots(fixture.node, tell, &told, &err), &err);
	assert_int_equal(told.count, 3);
	assert_string_equal(told.list[0].name, "half");
	assert_non_null(strstr(told.list[0].fault, "was not finished"));
	assert_string_equal(told.list[1].name, "z");
	assert_int_equal(told.list[1].pins, PINS);
	assert_string_equal(told.list[2].name, "a");
	assert_int_equal(told.list[2].pins, PINS + 1);
	assert_true(told.list[2].has_pins && told.list[2].fault[0] == '\0');
	assert_true(told.list[2].time_microseconds > told.list[1].time_microseconds);
	assert_true(told.list[2].checkpoint_batch > told.list[1].checkpoint_batch);
	assert_true(told.list[1].bytes > 1000);
	assert_true(told.list[1].bytes_own < told.list[1].bytes);
	/* When the node has merged them away, and no other snapshot has them, they are its own. */
	must(zp_command_snapshot_remove(fixture.node, "a", &err), &err);
	for (unsigned round = 0; round < 3; round++) {
		round_write(&fixture, round);
		must(zp_command_seal(fixture.node, &err), &err);
	}
	told.count = 0;
	must(zp_command_snapshots(fixture.node, tell, &told, &err), &err);
	assert_string_equal(told.list[1].name, "z");
	assert_true(told.list[1].bytes_own > 0);
	fixture_drop(&fixture);
}

static void
a_snapshot_is_removed_when_nobody_reads_it(void **state)
{
	struct node_fixture fixture;
	struct zp_moment *moment;
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	round_write(&fixture, 0);
	must(zp_command_snapshot(fixture.node, "s", &err), &err);
	must(zp_command_snapshot(fixture.node, "other", &err), &err);
	moment = moment_of(&fixture, "s");
	assert_int_equal(zp_command_snapshot_remove(fixture.node, "s", &err), ZP_E_LOCKED);
	round_check(&fixture, zp_moment_node(moment), 0);
	zp_moment_release(moment);
	must(zp_command_snapshot_remove(fixture.node, "s", &err), &err);
	fixture_shell(&fixture, "! test -e snapshots/s && test -d snapshots/other/journal");
	assert_int_equal(open_fails(&fixture, "s", 0, &err), ZP_E_NOT_FOUND);
	assert_int_equal(zp_moment_find(fixture.node, "s", 0, &moment), ZP_E_NOT_FOUND);
	assert_int_equal(zp_command_snapshot_remove(fixture.node, "s", &err), ZP_E_NOT_FOUND);
	/* By hand, while it is open: it is not found any more either. */
	zp_moment_release(moment_of(&fixture, "other"));
	fixture_shell(&fixture, "rm -r snapshots/other");
	assert_int_equal(zp_moment_find(fixture.node, "other", 0, &moment), ZP_E_NOT_FOUND);
	assert_int_equal(open_fails(&fixture, "other", 0, &err), ZP_E_NOT_FOUND);
	round_check(&fixture, fixture.node, 0);

	/* Only what stands in snapshots/ under a snapshot's name, and nothing by a link. */
	assert_int_equal(zp_command_snapshot_remove(fixture.node, "..", &err), ZP_E_INVALID);
	assert_int_equal(zp_command_snapshot_remove(fixture.node, "../shards", &err), ZP_E_INVALID);
	assert_int_equal(zp_command_snapshot_remove(fixture.node, ".", &err), ZP_E_INVALID);
	assert_int_equal(zp_command_snapshot_remove(fixture.node, "", &err), ZP_E_INVALID);
	fixture_shell(&fixture,
	    "mkdir -p outside/journal && touch outside/kept && ln -s ../outside "
	    "snapshots/link && mkdir -p snapshots/half/shards && ln -s ../../outside "
	    "snapshots/half/folder && ln -s ../../outside/kept snapshots/half/file");
	assert_int_equal(zp_command_snapshot_remove(fixture.node, "link", &err), ZP_E_INVALID);
	must(zp_command_snapshot_remove(fixture.node, "half", &err), &err);
	fixture_shell(&fixture,
	    "test -e outside/kept && test -d outside/journal && ! test -e snapshots/half");
	fixture_drop(&fixture);
}

/* ---- Without the node's process ------------------------------------------------------------- */

/* A node that is at a checkpoint writes nothing, and whatever asks it to is refused. */
static void
a_node_at_a_checkpoint_refuses_work(void **state)
{
	struct zp_verify_report report;
	struct zp_node_facts facts;
	struct node_fixture fixture;
	struct zp_node *node;
	struct zp_err err = {0};
	const struct zp_slice peer = {(const uint8_t *)"\x00\x01x", 3};

	fixture_make(&fixture, 2);
	round_write(&fixture, 0);
	must(zp_command_snapshot(fixture.node, "s", &err), &err);
	round_write(&fixture, 1);
	/* Beside the running node. */
	must(zp_node_open_as_of(&fixture.options, "s", &node, &err), &err);
	round_check(&fixture, node, 0);
	must(zp_command_verify(node, NULL, &report, &err), &err);
	assert_int_equal(report.pins, PINS);
	zp_node_facts_get(node, &facts);
	assert_int_equal(facts.journal.last_batch, 0);
	assert_true(facts.read_only && !facts.is_full);
	assert_int_equal(zp_command_checkpoint(node, &err), ZP_E_READ_ONLY);
	assert_int_equal(zp_command_settle(node, &err), ZP_E_READ_ONLY);
	assert_int_equal(zp_command_seal(node, &err), ZP_E_READ_ONLY);
	assert_int_equal(zp_command_snapshot(node, "t", &err), ZP_E_READ_ONLY);
	assert_int_equal(zp_command_snapshot_remove(node, "t", &err), ZP_E_READ_ONLY);
	assert_int_equal(zp_command_peer_move(node, peer, peer, &err), ZP_E_READ_ONLY);
	assert_int_equal(
	    fixture_pin(&(struct node_fixture){.node = node}, 1, "", &err), ZP_E_READ_ONLY);
	zp_node_close(node);
	/* The running one has the lock, so its checkpoint is asked of it. */
	assert_int_equal(
	    zp_node_open_as_of(&fixture.options, "checkpoint", &node, &err), ZP_E_LOCKED);
	fixture_drop(&fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_snapshot_is_read_exactly),
	    cmocka_unit_test(a_snapshot_after_merges_is_read),
	    cmocka_unit_test(due_pins_stay_as_they_were),
	    cmocka_unit_test(a_snapshot_of_the_first_version_is_read),
	    cmocka_unit_test(the_newest_checkpoint_is_read_exactly),
	    cmocka_unit_test(a_checkpoint_is_had_by_its_id_while_it_is_kept),
	    cmocka_unit_test(files_ahead_of_the_checkpoint_are_not_read),
	    cmocka_unit_test(as_of_is_a_name_or_a_time),
	    cmocka_unit_test(another_moments_id_is_refused),
	    cmocka_unit_test(damage_is_told),
	    cmocka_unit_test(so_many_are_open_and_no_more),
	    cmocka_unit_test(one_that_nobody_reads_is_closed),
	    cmocka_unit_test(a_node_that_stops_answers_who_waits),
	    cmocka_unit_test(snapshots_are_listed),
	    cmocka_unit_test(a_snapshot_is_removed_when_nobody_reads_it),
	    cmocka_unit_test(a_node_at_a_checkpoint_refuses_work),
	};

	return cmocka_run_group_tests_name("command: as of a moment", tests, NULL, NULL);
}
