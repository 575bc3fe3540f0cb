/*
 * test_failure.c - failing disks, snapshots and due pins: what a node does besides answering.
 *
 * Method: failures on a disk in memory (test/sim), where a sync or a write fails on command;
 * snapshots and expiry in real directories.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node_fixture.h"
#include "sim_store.h"

#include <errno.h>
#include <unistd.h>

/* ---- A failed journal ----------------------------------------------------------------------- */

struct sim_fixture {
	struct node_fixture fixture;
	struct sim_store *sim;
	struct command__seam seam;
};

static void
sim_make(struct sim_fixture *sim)
{
	struct zp_err err = {0};

	memset(sim, 0, sizeof(*sim));
	sim->sim = sim_store_new(3);
	sim->seam.disk = sim_store_disk(sim->sim);
	sim->fixture.options = (struct zp_node_options){
	    .root = "node", .shards = 2, .offline = true, .peer_id_bytes = 4};
	sim->fixture.scratch = zp_read_scratch_new();
	zp_buf_init(&sim->fixture.texts, ZP_RECORD_BYTES_MAX);
	assert_int_equal(command__node_create(&sim->fixture.options, &sim->seam, &err), 0);
	assert_int_equal(
	    command__node_open(&sim->fixture.options, &sim->seam, &sim->fixture.node, &err), 0);
}

static void
sim_reopen(struct sim_fixture *sim)
{
	struct zp_err err = {0};

	zp_node_close(sim->fixture.node);
	if (command__node_open(&sim->fixture.options, &sim->seam, &sim->fixture.node, &err) < 0)
		fail_msg("%s", err.text);
}

static void
sim_drop(struct sim_fixture *sim)
{
	zp_node_close(sim->fixture.node);
	sim_store_free(sim->sim);
	zp_read_scratch_free(sim->fixture.scratch);
	zp_buf_done(&sim->fixture.texts);
}

static int
last_take(void *context, const char *name, struct zp_err *err)
{
	char **wanted = context;
	size_t length = strlen(name), end = strlen(wanted[1]);

	(void)err;
	if (strncmp(name, wanted[0], strlen(wanted[0])) == 0 && length > end &&
	    strcmp(name + length - end, wanted[1]) == 0 && strcmp(name, wanted[2]) > 0)
		snprintf(wanted[2], ZP_FILE_NAME_MAX, "%s", name);
	return 0;
}

/* A file of the node that is in use: the last by name in `path` that begins or ends so. */
static const char *
sim_file(struct sim_fixture *sim, const char *path, const char *begin, const char *end)
{
	static char last[ZP_FILE_NAME_MAX];
	struct zp_disk *disk = sim->seam.disk;
	struct zp_store_directory_options options = {.read_only = true, .disk = disk};
	struct zp_store *store;

	last[0] = '\0';
	assert_int_equal(zp_store_directory_open(path, &options, &store, NULL), 0);
	assert_int_equal(
	    zp_store_list(store, last_take, (char *[]){(char *)begin, (char *)end, last}, NULL), 0);
	zp_store_close(store);
	assert_true(last[0] != '\0');
	return last;
}

/* Many file systems answer damage with an error instead of bytes. Of these files there are two, and
 * the other one is as good. */
static void
what_gives_errors_is_damaged(void **state)
{
	static const struct {
		bool of_shard;
		const char *begin, *end;
	} files[] = {
	    {false, "map-", ""},
	    {false, "copy-of-map-", ""},
	    {false, "checkpoint-", ""},
	    {true, "manifest-", ""},
	    {true, "", ".tab"},
	};

	/* First while the node runs and can't know, then while it does not run. */
	for (size_t round = 0; round < 2 * ZP_ARRAY_COUNT(files); round++) {
		bool runs = round < ZP_ARRAY_COUNT(files);
		size_t i = round % ZP_ARRAY_COUNT(files);
		struct sim_fixture sim;
		struct zp_err err = {0};
		char path[64] = "node/journal";

		sim_make(&sim);
		for (uint64_t n = 0; n < 30; n++) {
			assert_int_equal(fixture_pin(&sim.fixture, n, "a", &err), 0);
			if (n % 10 == 9)
				assert_int_equal(zp_command_checkpoint(sim.fixture.node, &err), 0);
		}
		if (files[i].of_shard)
			snprintf(path, sizeof(path), "node/shards/%016llx",
			    (unsigned long long)zp_shards_map(sim.fixture.node->shards)
				->ranges[0]
				.id);
		if (!runs)
			zp_node_close(sim.fixture.node);
		sim_store_read_error(
		    sim.sim, path, sim_file(&sim, path, files[i].begin, files[i].end), 0, 16);
		if (runs)
			zp_node_close(sim.fixture.node);
		if (command__node_open(&sim.fixture.options, &sim.seam, &sim.fixture.node, &err) <
		    0)
			fail_msg("%s %s: %s", files[i].begin, files[i].end, err.text);
		assert_int_equal(fixture_count(&sim.fixture), 30);
		assert_int_equal(fixture_list_count(&sim.fixture), 30);
		sim_drop(&sim);
	}
}

/* After a failed sync the write's outcome is unknown and so says every later one; reads go on, of
 * what was durable before; opening again tells. */
static void
a_failed_sync_breaks_the_node(void **state)
{
	struct sim_fixture sim;
	struct zp_node_facts facts;
	struct zp_err err = {0};
	const char *name;

	sim_make(&sim);
	assert_int_equal(fixture_pin(&sim.fixture, 1, "before", &err), 0);
	sim_store_fail(sim.sim, SIM_CALL_SYNC_FILE, 1, EIO);
	assert_int_equal(fixture_pin(&sim.fixture, 2, "unknown", &err), ZP_E_IO);
	assert_non_null(strstr(err.text, "outcome unknown"));
	zp_err_clear(&err);
	assert_int_equal(fixture_pin(&sim.fixture, 3, "later", &err), ZP_E_IO);
	assert_non_null(strstr(err.text, "outcome unknown"));
	assert_string_equal(fixture_name(&sim.fixture, 1), "before");
	assert_null(fixture_name(&sim.fixture, 2));
	zp_node_facts_get(sim.fixture.node, &facts);
	assert_true(facts.is_broken);
	assert_non_null(strstr(facts.broken_text, "outcome unknown"));
	assert_int_equal(zp_command_checkpoint(sim.fixture.node, &err), ZP_E_IO);
	sim_reopen(&sim);
	assert_string_equal(fixture_name(&sim.fixture, 1), "before");
	assert_null(fixture_name(&sim.fixture, 3));
	name = fixture_name(&sim.fixture, 2);
	assert_true(name == NULL || strcmp(name, "unknown") == 0);
	assert_int_equal(fixture_pin(&sim.fixture, 3, "later", &err), 0);
	sim_drop(&sim);
}

/* A checkpoint that fails at any of its changes leaves everything as it was, and the next one does
 * it. */
static void
a_failed_checkpoint_changes_nothing(void **state)
{
	struct zp_err err = {0};
	uint64_t failures = 0;
	int rc = -1;

	for (uint64_t nth = 1; rc < 0; nth++) {
		struct sim_fixture sim;
		struct zp_node_facts facts;

		sim_make(&sim);
		for (uint64_t n = 0; n < 20; n++)
			assert_int_equal(fixture_pin(&sim.fixture, n, "a", &err), 0);
		sim_store_fail(sim.sim, SIM_CALL_CHANGES, nth, ENOSPC);
		rc = zp_command_checkpoint(sim.fixture.node, &err);
		sim_store_fail(sim.sim, SIM_CALL_CHANGES, UINT64_MAX, ENOSPC);
		failures += rc < 0;
		zp_node_facts_get(sim.fixture.node, &facts);
		assert_int_equal(facts.checkpoint_number, rc < 0 ? 2 : 3);
		assert_int_equal(facts.journal.first_batch, 1); /* never trimmed by a failure */
		assert_int_equal(fixture_count(&sim.fixture), 20);
		if (fixture_pin(&sim.fixture, 20, "b", &err) < 0)
			fail_msg("change %llu: %s", (unsigned long long)nth, err.text);
		zp_err_clear(&err);
		/* A directory whose sync failed is not trusted again before the node is opened
		 * again. */
		if (zp_command_checkpoint(sim.fixture.node, &err) < 0 &&
		    strstr(err.text, "an earlier sync") == NULL)
			fail_msg("after change %llu: %s", (unsigned long long)nth, err.text);
		sim_reopen(&sim);
		assert_int_equal(fixture_count(&sim.fixture), 21);
		assert_int_equal(fixture_list_count(&sim.fixture), 21);
		assert_int_equal(zp_command_checkpoint(sim.fixture.node, &err), 0);
		zp_node_facts_get(sim.fixture.node, &facts);
		assert_int_equal(facts.checkpoint_batch, 21);
		sim_drop(&sim);
		assert_true(nth < 1000);
	}
	assert_true(failures > 5);
}

/* Making a node can be cut short at any change and simply be done again. */
static void
creating_can_be_repeated(void **state)
{
	bool cut = true;

	for (uint64_t nth = 1; cut; nth++) {
		struct sim_store *sim = sim_store_new(nth);
		struct command__seam seam = {.disk = sim_store_disk(sim)};
		struct zp_node_options options = {.root = "node", .shards = 4};
		struct zp_node *node = NULL;
		struct zp_err err = {0};
		int rc;

		sim_store_die_at(sim, nth);
		rc = command__node_create(&options, &seam, &err);
		cut = sim_store_is_dead(sim);
		assert_true(cut || rc == 0);
		sim_store_crash(sim, SIM_CRASH_RANDOM);
		rc = command__node_create(&options, &seam, &err);
		assert_true(rc == 0 || rc == ZP_E_EXISTS); /* it was the very last change */
		if (command__node_open(&options, &seam, &node, &err) < 0)
			fail_msg("cut at change %llu: %s", (unsigned long long)nth, err.text);
		zp_node_close(node);
		sim_store_free(sim);
	}
}

/* Waits between tries double, up to a limit. */
static void
the_backoff_is_bounded(void **state)
{
	uint32_t last = 0;

	assert_int_equal(command__backoff_seconds(0), 0);
	assert_int_equal(command__backoff_seconds(1), 1);
	assert_int_equal(command__backoff_seconds(4), 8);
	for (uint32_t failures = 1; failures < 100; failures++) {
		uint32_t seconds = command__backoff_seconds(failures);

		assert_true(seconds >= last && seconds <= COMMAND__BACKOFF_SECONDS_MAX);
		last = seconds;
	}
	assert_int_equal(last, COMMAND__BACKOFF_SECONDS_MAX);
	assert_int_equal(command__backoff_seconds(UINT32_MAX), COMMAND__BACKOFF_SECONDS_MAX);
}

/* On a full disk writes are refused before they begin, reads go on, and space makes writes go on
 * without anything being opened again. */
static void
a_full_disk_refuses_and_recovers(void **state)
{
	struct sim_fixture sim;
	struct zp_node_facts facts;
	struct zp_err err = {0};

	sim_make(&sim);
	assert_int_equal(fixture_pin(&sim.fixture, 1000, "a", &err), 0);
	sim_store_space_set(sim.sim, 1);
	for (uint64_t n = 0; n < 10; n++)
		assert_int_equal(fixture_pin(&sim.fixture, n, "a", &err), ZP_E_NO_SPACE);
	assert_non_null(strstr(err.text, "nothing was written"));
	zp_node_facts_get(sim.fixture.node, &facts);
	assert_true(facts.is_full);
	assert_false(facts.is_broken);
	assert_string_equal(fixture_name(&sim.fixture, 1000), "a");
	sim_store_space_set(sim.sim, 0);
	zp_node_facts_get(sim.fixture.node, &facts);
	assert_false(facts.is_full);
	assert_int_equal(fixture_pin(&sim.fixture, 1, "a", &err), 0);
	sim_reopen(&sim);
	assert_string_equal(fixture_name(&sim.fixture, 1000), "a");
	assert_string_equal(fixture_name(&sim.fixture, 1), "a");
	sim_drop(&sim);
}

/* Bytes of all files of the disk. */
static uint64_t
sim_used(struct sim_fixture *sim)
{
	uint64_t free_bytes, total_bytes;

	assert_int_equal(
	    sim->seam.disk->ops->directory_space(sim->seam.disk, 0, &free_bytes, &total_bytes), 0);
	return total_bytes - free_bytes;
}

/* Nothing that could be compressed, and another for each pin. */
static void
name_fill(char *name, size_t bytes, uint64_t n)
{
	for (size_t i = 0; i + 1 < bytes; i++)
		name[i] = (char)(0x23 + zp_hash64(&i, sizeof(i), n) % 0x5b);
	name[bytes - 1] = '\0';
}

/* Memory is flushed while there is room for that: when the disk is full the journal can be let go,
 * and then it is not. */
static void
memory_is_flushed_before_the_disk_is_full(void **state)
{
	struct sim_fixture sim;
	struct zp_err err = {0};
	uint64_t pins = 0;
	char name[4000];
	int rc;

	(void)state;
	sim_make(&sim);
	sim_store_space_set(sim.sim, sim_used(&sim) + (8u << 20));
	do {
		name_fill(name, sizeof(name), pins);
		rc = fixture_pin(&sim.fixture, pins, name, &err);
		pins += rc == ZP_OK;
	} while (rc == ZP_OK);
	assert_int_equal(rc, ZP_E_NO_SPACE);
	for (unsigned i = 0; i < 2; i++) { /* so many are kept */
		if (zp_command_checkpoint(sim.fixture.node, &err) < 0)
			fail_msg("after %u pins: %s", (unsigned)pins, err.text);
	}
	assert_int_equal(fixture_pin(&sim.fixture, pins, "a", &err), ZP_OK);
	assert_int_equal(fixture_list_count(&sim.fixture), pins + 1);
	sim_drop(&sim);
}

/* The same node with a maintenance thread. */
static void
sim_serve(struct sim_fixture *sim)
{
	struct zp_err err = {0};

	zp_node_close(sim->fixture.node);
	sim->fixture.options.offline = false;
	if (command__node_open(&sim->fixture.options, &sim->seam, &sim->fixture.node, &err) < 0)
		fail_msg("%s", err.text);
}

/* Nobody asks for a checkpoint, and the journal that fills the disk goes all the same. */
static void
a_full_disk_makes_room_by_itself(void **state)
{
	struct sim_fixture sim;
	struct zp_err err = {0};
	unsigned tries = 0;
	uint64_t pins = 0;
	char name[4000];
	int rc;

	(void)state;
	sim_make(&sim);
	sim_serve(&sim);
	memset(name, 'a', sizeof(name) - 1); /* of which little is left in files */
	name[sizeof(name) - 1] = '\0';
	for (; pins < 1000; pins++)
		assert_int_equal(fixture_pin(&sim.fixture, pins, name, NULL), ZP_OK);
	/* Enough for a flush, and less than is kept. */
	sim_store_space_set(sim.sim, sim_used(&sim) * 32 / 31 - 1000);
	while ((rc = fixture_pin(&sim.fixture, pins, "a", &err)) == ZP_E_NO_SPACE && tries++ < 6000)
		usleep(10000);
	assert_true(tries > 0);
	if (rc < 0)
		fail_msg("after %u pins: %s", (unsigned)pins, err.text);
	assert_int_equal(fixture_list_count(&sim.fixture), pins + 1);
	sim_drop(&sim);
}

/* So many runs of so many pins each, and a checkpoint more, which needs nothing of the journal. */
static void
runs_make(struct sim_fixture *sim, unsigned runs, unsigned pins)
{
	char name[4000];

	for (unsigned n = 0; n < runs * pins; n++) {
		name_fill(name, sizeof(name), n);
		assert_int_equal(fixture_pin(&sim->fixture, n, name, NULL), ZP_OK);
		if (n % pins == pins - 1)
			assert_int_equal(zp_command_checkpoint(sim->fixture.node, NULL), ZP_OK);
	}
	assert_int_equal(zp_command_checkpoint(sim->fixture.node, NULL), ZP_OK);
}

/* What merges replaced before a stop takes room as well, and nobody has written since. */
static void
a_full_disk_makes_room_behind_a_restart(void **state)
{
	enum { RUNS = 8, PINS = 100 };
	struct sim_fixture sim;
	unsigned tries = 0;
	bool merged;
	uint64_t used;
	int rc;

	(void)state;
	sim_make(&sim);
	runs_make(&sim, RUNS, PINS);
	for (uint32_t i = 0; i < sim.fixture.options.shards; i++) {
		do {
			assert_int_equal(
			    command__merge(sim.fixture.node, i, false, NULL, &merged, NULL), ZP_OK);
		} while (merged);
	}
	sim_serve(&sim);
	used = sim_used(&sim);
	sim_store_space_set(sim.sim, used * 32 / 31 - 1000);
	while ((rc = fixture_pin(&sim.fixture, 0, "a", NULL)) == ZP_E_NO_SPACE && tries++ < 3000)
		usleep(10000);
	assert_true(tries > 0);
	assert_int_equal(rc, ZP_OK);
	assert_true(sim_used(&sim) < used / 2 + 100000);
	assert_int_equal(fixture_list_count(&sim.fixture), RUNS * PINS);
	sim_drop(&sim);
}

/* What it has written is on the disk and is not taken again; it is of what is kept for merges. */
static void
a_merge_under_way_is_counted_once(void **state)
{
	const uint64_t total = UINT64_C(4) << 30, reserve = UINT64_C(100) << 20, merge = 10u << 20;
	struct sim_fixture sim;
	struct command__upkeep *upkeep;
	uint64_t taking;

	(void)state;
	sim_make(&sim);
	upkeep = &sim.fixture.node->upkeep;
	sim_store_space_set(sim.sim, total);
	taking = total - sim_used(&sim) - reserve;
	upkeep->merge_taking = taking;
	upkeep->merge_room = taking + reserve - 1;
	assert_false(command__is_full(sim.fixture.node));
	upkeep->merge_room = taking + reserve;
	assert_true(command__is_full(sim.fixture.node));
	sim_store_space_set(sim.sim, total - merge);
	command__pace_turn(sim.fixture.node, merge);
	assert_true(command__is_full(sim.fixture.node));
	command__pace_turn(sim.fixture.node, merge + 1);
	assert_false(command__is_full(sim.fixture.node));
	/* What was thrown away is to be taken again. */
	command__pace_turn(sim.fixture.node, 0);
	assert_true(command__is_full(sim.fixture.node));
	upkeep->merge_taking = upkeep->merge_room = 0;
	sim_drop(&sim);
}

/* A merge takes no room that memory needs to get into files: it does not begin, and says so. */
static void
a_merge_leaves_room_for_memory(void **state)
{
	enum { RUNS = 8, PINS = 200 };
	struct sim_fixture sim;
	struct zp_err err = {0};
	struct zp_node_facts facts;
	char name[4000];
	uint64_t used, least = UINT64_MAX;

	(void)state;
	sim_make(&sim);
	runs_make(&sim, RUNS, PINS);
	for (unsigned n = 0; n < PINS; n++) { /* to stay in memory */
		name_fill(name, sizeof(name), RUNS * PINS + n);
		assert_int_equal(fixture_pin(&sim.fixture, RUNS * PINS + n, name, NULL), ZP_OK);
	}
	for (uint32_t i = 0; i < sim.fixture.options.shards; i++)
		least = zp_min_u64(
		    least, zp_engine_merge_room(
			       zp_shards_engine(sim.fixture.node->shards, i), ZP_MERGE_DUE)
			       .most);
	zp_node_facts_get(sim.fixture.node, &facts);
	used = sim_used(&sim);
	/* As much as the merge, not as memory besides. */
	sim_store_space_set(sim.sim, used + least + facts.engines.memtable_bytes / 2);
	assert_int_equal(zp_command_settle(sim.fixture.node, &err), ZP_E_NO_SPACE);
	assert_non_null(strstr(err.text, "a step takes up to"));
	assert_int_equal(sim_used(&sim), used);
	zp_err_clear(&err);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(zp_command_checkpoint(sim.fixture.node, &err), ZP_OK);
	/* The journal is gone, and there is room. */
	if (zp_command_settle(sim.fixture.node, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(sim_used(&sim) < used);
	assert_int_equal(fixture_list_count(&sim.fixture), (RUNS + 1) * PINS);
	sim_drop(&sim);
}

/* Room for the journal's reserve but not for a flush: when memory is full writers are told, too. */
static void
memory_that_cannot_be_flushed_is_told_to_writers(void **state)
{
	struct sim_fixture sim;
	struct zp_err err = {0};
	char name[4000];

	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = (char)('A' + zp_hash64(&i, sizeof(i), 1) % 26);
	name[sizeof(name) - 1] = '\0';
	sim_make(&sim);
	zp_node_close(sim.fixture.node);
	sim.fixture.options.memtable_bytes_max = 1;
	assert_int_equal(
	    command__node_open(&sim.fixture.options, &sim.seam, &sim.fixture.node, &err), 0);
	assert_int_equal(fixture_pin(&sim.fixture, 1000, "a", &err), 0);
	assert_int_equal(zp_command_checkpoint(sim.fixture.node, &err), 0);
	/* The pin in the journal, but not in a segment as well. */
	sim_store_space_set(sim.sim, sim_used(&sim) * 32 / 31 + sizeof(name) + 1000);
	assert_int_equal(fixture_pin(&sim.fixture, 1, name, &err), 0);
	assert_int_equal(fixture_pin(&sim.fixture, 2, "a", &err), ZP_E_FULL);
	assert_non_null(strstr(err.text, "cannot be flushed"));
	assert_string_equal(fixture_name(&sim.fixture, 1000), "a");
	sim_store_space_set(sim.sim, 0);
	assert_int_equal(zp_command_checkpoint(sim.fixture.node, &err), 0);
	assert_int_equal(fixture_pin(&sim.fixture, 2, "a", &err), 0);
	assert_memory_equal(fixture_name(&sim.fixture, 1), name, 200);
	sim_drop(&sim);
}

/* ---- Snapshots ------------------------------------------------------------------------------ */

/* A snapshot is what was there, opens as a node of its own that refuses writes, and does not change
 * whatever happens to the node. */
static void
a_snapshot_stays_as_it_was(void **state)
{
	struct node_fixture fixture, copy;
	char root[160];
	struct zp_err err = {0};

	fixture_make(&fixture, 4);
	for (uint64_t n = 0; n < 50; n++)
		assert_int_equal(fixture_pin(&fixture, n, "then", &err), 0);
	assert_int_equal(zp_command_snapshot(fixture.node, "monday", &err), 0);
	assert_int_equal(zp_command_snapshot(fixture.node, "monday", &err), ZP_E_EXISTS);
	assert_int_equal(zp_command_snapshot(fixture.node, "../up", &err), ZP_E_INVALID);
	assert_int_equal(zp_command_snapshot(fixture.node, ".hidden", &err), ZP_E_INVALID);
	assert_int_equal(zp_command_snapshot(fixture.node, "", &err), ZP_E_INVALID);
	for (uint64_t n = 25; n < 100; n++)
		assert_int_equal(fixture_pin(&fixture, n, "now", &err), 0);
	for (uint64_t n = 0; n < 10; n++)
		assert_int_equal(fixture_unpin(&fixture, n, &err), 0);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(fixture_pin(&fixture, 1000, "x", &err), 0);
		assert_int_equal(zp_command_checkpoint(fixture.node, &err), 0);
		assert_int_equal(zp_command_settle(fixture.node, &err), 0);
	}

	copy = fixture;
	zp_buf_init(&copy.texts, ZP_RECORD_BYTES_MAX);
	snprintf(root, sizeof(root), "%s/snapshots/monday", fixture.root);
	copy.options.root = root;
	copy.options.read_only = true;
	assert_int_equal(zp_node_open(&copy.options, &copy.node, &err), 0);
	assert_int_equal(fixture_count(&copy), 50);
	assert_int_equal(fixture_list_count(&copy), 50);
	for (uint64_t n = 0; n < 50; n++)
		assert_string_equal(fixture_name(&copy, n), "then");
	assert_int_equal(fixture_pin(&copy, 1, "", &err), ZP_E_READ_ONLY);
	zp_node_read_only_set(copy.node, false); /* it was opened so, and stays so */
	assert_int_equal(fixture_pin(&copy, 1, "", &err), ZP_E_READ_ONLY);
	assert_int_equal(zp_command_checkpoint(copy.node, &err), ZP_E_READ_ONLY);
	zp_node_close(copy.node);

	/* A copy of it is a node to go on with. */
	fixture_shell(&fixture, "cp -a snapshots/monday restored");
	snprintf(root, sizeof(root), "%s/restored", fixture.root);
	copy.options.read_only = false;
	if (zp_node_open(&copy.options, &copy.node, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(fixture_pin(&copy, 500, "new", &err), 0);
	zp_node_close(copy.node);
	assert_int_equal(zp_node_open(&copy.options, &copy.node, &err), 0);
	assert_int_equal(fixture_count(&copy), 51);
	zp_node_close(copy.node);
	zp_buf_done(&copy.texts);
	fixture_drop(&fixture);
}

/* A node that was killed is read as it would be after its recovery, and nothing of it is changed:
 * no file made, removed, cut or written, also where a write never finished. */
static void
read_only_changes_nothing_of_a_killed_node(void **state)
{
	struct node_fixture fixture;
	struct zp_err err = {0};
	pid_t self = getpid();

	fixture_make(&fixture, 2);
	assert_int_equal(fixture_pin(&fixture, 1, "in a file", &err), 0);
	assert_int_equal(zp_command_checkpoint(fixture.node, &err), 0);
	assert_int_equal(fixture_pin(&fixture, 2, "in the journal", &err), 0);
	assert_int_equal(fixture_pin(&fixture, 3, "gone", &err), 0);
	assert_int_equal(fixture_unpin(&fixture, 3, &err), 0);
	fixture_shell(&fixture, "cp -a . /tmp/zpin-unclean.%d", self);
	fixture_close(&fixture);
	fixture_shell(&fixture,
	    "rm -rf ./* && cp -a /tmp/zpin-unclean.%d/. . && rm -rf /tmp/zpin-unclean.%d", self,
	    self);
	fixture_shell(&fixture,
	    "printf unfinished >> $(ls journal/journal-*.log | tail -n 1); "
	    "for d in shards/* journal; do touch $d/x.tmp; done; "
	    "find . -type f -exec sha256sum {} + | sort > /tmp/zpin-before.%d",
	    self);
	fixture.options.read_only = true;
	for (int again = 0; again < 2; again++) {
		fixture_open(&fixture);
		assert_int_equal(fixture_count(&fixture), 2);
		assert_int_equal(fixture_list_count(&fixture), 2);
		assert_string_equal(fixture_name(&fixture, 1), "in a file");
		assert_string_equal(fixture_name(&fixture, 2), "in the journal");
		assert_null(fixture_name(&fixture, 3));
		assert_int_equal(fixture_pin(&fixture, 4, "", &err), ZP_E_READ_ONLY);
		fixture_close(&fixture);
		fixture_shell(&fixture,
		    "find . -type f -exec sha256sum {} + | sort | cmp - /tmp/zpin-before.%d", self);
	}
	fixture.options.read_only = false;
	fixture_open(&fixture);
	assert_int_equal(fixture_count(&fixture), 2);
	fixture_shell(&fixture, "rm /tmp/zpin-before.%d", self);
	fixture_drop(&fixture);
}

/* More in the journal than twice the memory that the config has for it is refused, and not held. */
static void
read_only_keeps_to_its_memory(void **state)
{
	struct node_fixture fixture;
	struct zp_err err = {0};
	pid_t self = getpid();
	char name[4000];

	fixture_make(&fixture, 2);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (uint64_t n = 0; n < 300; n++)
		assert_int_equal(fixture_pin(&fixture, n, name, &err), 0);
	fixture_shell(&fixture, "cp -a . /tmp/zpin-large.%d", self);
	fixture_close(&fixture);
	fixture_shell(&fixture,
	    "rm -rf ./* && cp -a /tmp/zpin-large.%d/. . && rm -rf /tmp/zpin-large.%d", self, self);
	fixture.options.read_only = true;
	fixture.options.memtable_bytes_max = 256 << 10;
	assert_int_equal(fixture_try_open(&fixture, &err), ZP_E_FULL);
	fixture.options.memtable_bytes_max = 4 << 20;
	fixture_open(&fixture);
	assert_int_equal(fixture_count(&fixture), 300);
	fixture_drop(&fixture);
}

/* Any number may read a node that is stopped; who writes is alone. */
static void
readers_share_a_node(void **state)
{
	struct node_fixture fixture;
	struct zp_node_options options;
	struct zp_node *reader = NULL, *other = NULL;
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	options = fixture.options;
	options.read_only = true;
	assert_int_equal(zp_node_open(&options, &reader, &err), ZP_E_LOCKED);
	assert_non_null(strstr(err.text, "held by process"));
	fixture_close(&fixture);
	assert_int_equal(zp_node_open(&options, &reader, &err), 0);
	assert_int_equal(zp_node_open(&options, &other, &err), 0);
	zp_node_close(other);
	assert_int_equal(fixture_try_open(&fixture, &err), ZP_E_LOCKED);
	assert_non_null(strstr(err.text, "only reads"));
	zp_node_close(reader);
	fixture_open(&fixture);
	fixture_drop(&fixture);
}

/* One process at a time. */
static void
a_node_is_locked(void **state)
{
	struct node_fixture fixture;
	struct zp_node *second;
	struct zp_err err = {0};

	fixture_make(&fixture, 1);
	assert_int_equal(zp_node_open(&fixture.options, &second, &err), ZP_E_LOCKED);
	assert_int_equal(zp_node_create(&fixture.options, &err), ZP_E_LOCKED);
	fixture_close(&fixture);
	assert_int_equal(zp_node_create(&fixture.options, &err), ZP_E_EXISTS);
	fixture_open(&fixture);
	fixture_drop(&fixture);
	assert_int_equal(zp_node_open(&fixture.options, &second, &err), ZP_E_NOT_FOUND);
}

/* ---- Time ----------------------------------------------------------------------------------- */

/* Pins whose time is over go by themselves, journaled; the others, and one whose time was moved,
 * stay. */
static void
due_pins_go(void **state)
{
	struct node_fixture fixture;
	struct zp_node_facts facts;
	ZP_AUTO_BUF(texts, 1000);
	struct zp_err err = {0};
	uint64_t deadline;

	fixture_make(&fixture, 4);
	fixture_close(&fixture);
	fixture.options.expiry_interval_seconds = 1;
	fixture_open(&fixture);
	for (uint64_t n = 0; n < 30; n++) {
		struct zp_write write = {.kind = ZP_WRITE_IMPORT, .key = fixture_key(n)};
		int64_t due = n % 3 == 0 ? 1000 : INT64_C(40000000000);

		write.record = fixture_record("", &texts);
		write.record.facts[ZP_FACT_EXPIRE_AT] = zp_zigzag(due) + 1;
		assert_int_equal(fixture_write(&fixture, &write, &err), 0);
	}
	deadline = zp_clock_monotonic_ns() + UINT64_C(30000000000);
	do {
		usleep(20000);
		zp_node_facts_get(fixture.node, &facts);
	} while (facts.expired < 10 && zp_clock_monotonic_ns() < deadline);
	assert_int_equal(facts.expired, 10);
	assert_int_equal(fixture_count(&fixture), 20);
	assert_null(fixture_name(&fixture, 3));
	assert_non_null(fixture_name(&fixture, 4));
	fixture_close(&fixture);
	fixture_open(&fixture);
	assert_int_equal(fixture_count(&fixture), 20);
	fixture_drop(&fixture);
}

/* Memory and journal over their limits make checkpoints without anyone asking. */
static void
the_journal_limit_makes_checkpoints(void **state)
{
	struct node_fixture fixture;
	struct zp_node_facts facts;
	struct zp_err err = {0};
	uint64_t deadline = zp_clock_monotonic_ns() + UINT64_C(30000000000);

	fixture_make(&fixture, 2);
	fixture_close(&fixture);
	fixture.options.journal_bytes_max = 20000;
	fixture_open(&fixture);
	for (uint64_t n = 0; n < 300; n++)
		assert_int_equal(fixture_pin(&fixture, n, "some name", &err), 0);
	do {
		usleep(20000);
		zp_node_facts_get(fixture.node, &facts);
	} while (facts.checkpoint_number < 2 && zp_clock_monotonic_ns() < deadline);
	assert_true(facts.checkpoint_number >= 2);
	fixture_drop(&fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_gives_errors_is_damaged),
	    cmocka_unit_test(a_failed_sync_breaks_the_node),
	    cmocka_unit_test(a_failed_checkpoint_changes_nothing),
	    cmocka_unit_test(creating_can_be_repeated),
	    cmocka_unit_test(the_backoff_is_bounded),
	    cmocka_unit_test(a_full_disk_refuses_and_recovers),
	    cmocka_unit_test(memory_is_flushed_before_the_disk_is_full),
	    cmocka_unit_test(a_full_disk_makes_room_by_itself),
	    cmocka_unit_test(a_full_disk_makes_room_behind_a_restart),
	    cmocka_unit_test(a_merge_under_way_is_counted_once),
	    cmocka_unit_test(a_merge_leaves_room_for_memory),
	    cmocka_unit_test(memory_that_cannot_be_flushed_is_told_to_writers),
	    cmocka_unit_test(a_snapshot_stays_as_it_was),
	    cmocka_unit_test(read_only_changes_nothing_of_a_killed_node),
	    cmocka_unit_test(read_only_keeps_to_its_memory),
	    cmocka_unit_test(readers_share_a_node),
	    cmocka_unit_test(a_node_is_locked),
	    cmocka_unit_test(due_pins_go),
	    cmocka_unit_test(the_journal_limit_makes_checkpoints),
	};

	return cmocka_run_group_tests_name("command: failures, snapshots, time", tests, NULL, NULL);
}
