/*
 * test_give_up.c - a shard of which there is no copy is given up: what the journal has of it comes
 * back, the others lose nothing, and no moment of it can't be repeated.
 *
 * Method: a node of two shards whose journal was trimmed; the first shard's files are damaged or
 * gone. In real directories for what is seen from outside, and on a disk in memory (test/sim) that
 * dies at every change of the repair and keeps a random part of what was not synced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node_fixture.h"
#include "sim_store.h"

#define PINS 120u
#define FILE_BYTES 2000u /* of the journal: a few batches */

static struct zp_repair_shard lost; /* what the last repair said of the shard */
static struct zp_repair_report report;

static int
give_up(const struct node_fixture *fixture, const struct command__seam *seam, uint64_t id,
    bool accept_loss, struct zp_err *err)
{
	struct zp_repair_options repair = {
	    .accept_loss = accept_loss, .give_up = &id, .shards = &lost, .give_up_count = 1};

	lost = (struct zp_repair_shard){0};
	return command__node_repair(&fixture->options, seam, &repair, &report, err);
}

/* Two thirds of the pins are in files, and of these the journal has the end only. */
static void
pins_make(struct node_fixture *fixture)
{
	struct zp_err err = {0};

	for (uint64_t n = 0; n < PINS; n++) {
		assert_int_equal(fixture_pin(fixture, n, "a", &err), 0);
		if (n == PINS / 3 || n == PINS / 2 || n == PINS / 3 * 2)
			assert_int_equal(zp_command_checkpoint(fixture->node, &err), 0);
	}
}

static uint64_t
shard_id(struct node_fixture *fixture, uint32_t index)
{
	return zp_shards_map(fixture->node->shards)->ranges[index].id;
}

/* Pins of the shard (index 0 or 1) that can be read. */
static uint64_t
pins_of(struct node_fixture *fixture, uint32_t shard)
{
	uint64_t count = 0;

	for (uint64_t n = 0; n < PINS; n++) {
		struct zp_key key = fixture_key(n);
		struct zp_record record;

		count += zp_shard_map_find(zp_shards_map(fixture->node->shards), &key) == shard &&
			 zp_command_get(fixture->node, &key, fixture->scratch, &fixture->texts,
			     &record, NULL) == ZP_OK;
	}
	return count;
}

static uint64_t
suspended(struct node_fixture *fixture)
{
	struct zp_node_facts facts;

	zp_node_facts_get(fixture->node, &facts);
	assert_int_equal(facts.engines.damaged_segments, 0);
	return facts.suspended_shards;
}

/* ---- In directories -------------------------------------------------------------------------- */

static void
open_with_small_journal(struct node_fixture *fixture)
{
	struct command__seam seam = {.journal_file_bytes = FILE_BYTES};
	struct zp_err err = {0};

	fixture->log[0] = '\0';
	if (command__node_open(&fixture->options, &seam, &fixture->node, &err) < 0)
		fail_msg("%s", err.text);
}

/* A node that was killed. Returns its first shard. */
static uint64_t
killed_make(struct node_fixture *fixture)
{
	uint64_t id;

	fixture_make(fixture, 2);
	fixture_close(fixture);
	open_with_small_journal(fixture);
	pins_make(fixture);
	id = shard_id(fixture, 0);
	fixture_shell(fixture, "cp -a . ../copy.$PPID");
	fixture_close(fixture);
	fixture_shell(fixture, "rm -rf ./* && mv ../copy.$PPID/* . && rmdir ../copy.$PPID");
	return id;
}

static void
a_lost_shard_begins_anew(void **state)
{
	static const struct command__seam seam;
	struct node_fixture fixture;
	struct zp_node_facts facts;
	struct zp_err err = {0};
	uint64_t id = killed_make(&fixture), all[2], left;
	char command[64];

	open_with_small_journal(&fixture);
	all[0] = pins_of(&fixture, 0);
	all[1] = pins_of(&fixture, 1);
	zp_node_facts_get(fixture.node, &facts);
	assert_true(facts.journal.first_batch > 20);
	fixture_close(&fixture);
	fixture_drop(&fixture);

	id = killed_make(&fixture);
	snprintf(command, sizeof(command), "shards/%016llx", (unsigned long long)id);
	fixture_shell(&fixture, "cp -a %s saved && truncate -s 70 %s/manifest-*", command, command);
	fixture_shell(&fixture, "find . -type f -exec sha256sum {} + | sort > ../before.$PPID");
	assert_int_equal(give_up(&fixture, &seam, id, false, &err), 0);
	assert_false(report.is_given_up);
	assert_int_equal(report.suspended, 1);
	assert_int_equal(lost.id, id);
	assert_non_null(strstr(lost.why, "no manifest is whole"));
	assert_true(lost.has_count && lost.pins > 20 && lost.pins < all[0]);
	assert_true(lost.journal_records > 10 && lost.journal_records < all[0]);
	assert_int_equal(zp_load_u32be(lost.low), 0);
	assert_int_equal(zp_load_u32be(lost.high), 1u << 31);
	/* A look changes nothing. */
	fixture_shell(&fixture,
	    "find . -type f -exec sha256sum {} + | sort | cmp - ../before.$PPID "
	    "&& rm ../before.$PPID");
	/* Starting says what to do, with the shard's id. */
	snprintf(command, sizeof(command), "zpin repair --give-up-shard %016llx",
	    (unsigned long long)id);
	fixture_open(&fixture);
	assert_non_null(strstr(fixture.log, command));
	assert_int_equal(zp_command_snapshot(fixture.node, "s", &err), ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, command));
	fixture_close(&fixture);

	assert_int_equal(give_up(&fixture, &seam, id, true, &err), 0);
	assert_true(report.is_given_up);
	left = lost.journal_records; /* each is a pin; the stop before trimmed some */
	assert_true(left > 10);
	assert_int_equal(lost.pins_left, left);
	fixture_shell(&fixture, "ls shards/%016llx/manifest-*.given-up-1 > /dev/null",
	    (unsigned long long)id);
	open_with_small_journal(&fixture);
	assert_int_equal(suspended(&fixture), 0);
	assert_int_equal(pins_of(&fixture, 0), left);
	assert_int_equal(pins_of(&fixture, 1), all[1]);
	assert_int_equal(fixture_count(&fixture), left + all[1]);
	assert_int_equal(fixture_list_count(&fixture), left + all[1]);
	/* It takes writes, is in snapshots, and lets the journal go. */
	for (uint64_t n = 0; n < PINS; n++)
		assert_int_equal(fixture_pin(&fixture, n, "again", &err), 0);
	assert_int_equal(zp_command_snapshot(fixture.node, "s", &err), 0);
	assert_int_equal(zp_command_checkpoint(fixture.node, &err), 0);
	zp_node_facts_get(fixture.node, &facts);
	assert_int_equal(facts.journal.first_batch, facts.journal.last_batch + 1);
	fixture_close(&fixture);
	/* The old files can't come back under it. */
	fixture_shell(&fixture, "cd shards/%016llx && rm -f manifest-* && cp ../../saved/* .",
	    (unsigned long long)id);
	fixture_open(&fixture);
	assert_int_equal(suspended(&fixture), 1);
	fixture_drop(&fixture);
}

/* A folder that is gone as a whole, after several shards' worth of other things were asked for. */
static void
only_what_is_suspended_is_given_up(void **state)
{
	static const struct command__seam seam;
	struct node_fixture fixture;
	struct zp_repair_shard shards[2];
	struct zp_err err = {0};
	uint64_t id = killed_make(&fixture);
	uint64_t ids[2] = {id, id};
	struct zp_repair_options twice = {
	    .accept_loss = true, .give_up = ids, .shards = shards, .give_up_count = 2};

	assert_int_equal(give_up(&fixture, &seam, id, true, &err), ZP_E_INVALID);
	assert_non_null(strstr(err.text, "is not suspended"));
	assert_int_equal(give_up(&fixture, &seam, id + 1, true, &err), ZP_E_INVALID);
	assert_non_null(strstr(err.text, "there is no shard"));
	fixture_shell(&fixture, "mv shards/%016llx gone", (unsigned long long)id);
	assert_int_equal(zp_node_repair(&fixture.options, &twice, &report, &err), ZP_E_INVALID);
	assert_non_null(strstr(err.text, "twice"));
	fixture_shell(&fixture, "test ! -e shards/%016llx", (unsigned long long)id);
	/* Without the shard's name nothing is given up, and it is told. */
	assert_int_equal(zp_node_repair(&fixture.options,
			     &(struct zp_repair_options){.accept_loss = true}, &report, &err),
	    0);
	assert_int_equal(report.suspended, 1);
	assert_int_equal(report.suspended_first, id);
	fixture_shell(&fixture, "test ! -e shards/%016llx", (unsigned long long)id);
	assert_int_equal(give_up(&fixture, &seam, id, true, &err), 0);
	fixture_open(&fixture);
	assert_int_equal(suspended(&fixture), 0);
	fixture_drop(&fixture);
}

/* Journal and shard are damaged: each alone can't be given up, both can. */
static void
a_damaged_journal_goes_with_it(void **state)
{
	static const struct command__seam seam;
	struct node_fixture fixture;
	struct zp_err err = {0};
	uint64_t id = killed_make(&fixture), others;

	open_with_small_journal(&fixture);
	others = pins_of(&fixture, 1);
	fixture_drop(&fixture);
	id = killed_make(&fixture);
	fixture_shell(&fixture,
	    "rm shards/%016llx/manifest-* && f=$(ls journal/*.log | tail -2 | head "
	    "-1) && printf X | dd of=$f bs=1 seek=300 conv=notrunc status=none",
	    (unsigned long long)id);
	assert_int_equal(zp_node_repair(&fixture.options,
			     &(struct zp_repair_options){.accept_loss = true}, &report, &err),
	    ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, "--give-up-shard"));
	assert_int_equal(give_up(&fixture, &seam, id, true, &err), 0);
	assert_true(report.is_repaired && report.is_given_up);
	assert_int_equal(report.journal.missing, 1);
	assert_true(lost.pins_left > 10);
	open_with_small_journal(&fixture);
	assert_int_equal(suspended(&fixture), 0);
	assert_int_equal(pins_of(&fixture, 0), lost.pins_left);
	assert_in_range(pins_of(&fixture, 1), others - 1, others);
	fixture_drop(&fixture);
}

/* ---- On a disk that dies --------------------------------------------------------------------- */

struct sim_node {
	struct node_fixture fixture;
	struct sim_store *sim;
	struct command__seam seam;
	uint64_t id; /* of the shard that is lost */
	char path[64];
};

enum loss {
	MANIFESTS_GONE,
	MANIFEST_FOREIGN, /* the newest one, and what is behind it is whole */
	LOSSES,
};

static void
sim_open(struct sim_node *node)
{
	struct zp_err err = {0};

	if (command__node_open(&node->fixture.options, &node->seam, &node->fixture.node, &err) < 0)
		fail_msg("%s", err.text);
}

static int
manifest_lose(void *context, const char *name, struct zp_err *err)
{
	struct sim_node *node = context;

	(void)err;
	if (strncmp(name, "manifest-", 9) == 0)
		sim_store_file_remove(node->sim, node->path, name);
	return 0;
}

static int
last_take(void *context, const char *name, struct zp_err *err)
{
	(void)err;
	if (strncmp(name, "manifest-", 9) == 0 && strcmp(name, context) > 0)
		snprintf(context, ZP_FILE_NAME_MAX, "%s", name);
	return 0;
}

/* The shard's files go, or a manifest of the other shard stands before them. */
static void
shard_lose(struct sim_node *node, enum loss loss, uint64_t other)
{
	struct zp_store *store;
	ZP_AUTO_BUF(file, 65536);
	char path[64], name[ZP_FILE_NAME_MAX] = "";

	snprintf(path, sizeof(path), "node/shards/%016llx", (unsigned long long)other);
	assert_int_equal(
	    sim_store_open(node->sim, loss == MANIFESTS_GONE ? node->path : path, &store, NULL), 0);
	assert_int_equal(zp_store_list(store, loss == MANIFESTS_GONE ? manifest_lose : last_take,
			     loss == MANIFESTS_GONE ? (void *)node : name, NULL),
	    0);
	zp_store_close(store);
	if (loss == MANIFESTS_GONE)
		return;
	sim_store_file_get(node->sim, path, name, &file);
	sim_store_file_put(
	    node->sim, node->path, "manifest-0000000000001000", file.data, file.length);
}

static void
sim_make(struct sim_node *node, uint64_t seed, enum loss loss)
{
	struct zp_err err = {0};
	uint64_t other;

	memset(node, 0, sizeof(*node));
	node->sim = sim_store_new(seed);
	node->seam.disk = sim_store_disk(node->sim);
	node->seam.journal_file_bytes = FILE_BYTES;
	node->fixture.options = (struct zp_node_options){
	    .root = "node", .shards = 2, .offline = true, .peer_id_bytes = 4};
	node->fixture.scratch = zp_read_scratch_new();
	zp_buf_init(&node->fixture.texts, ZP_RECORD_BYTES_MAX);
	assert_int_equal(command__node_create(&node->fixture.options, &node->seam, &err), 0);
	sim_open(node);
	pins_make(&node->fixture);
	node->id = shard_id(&node->fixture, 0);
	other = shard_id(&node->fixture, 1);
	snprintf(
	    node->path, sizeof(node->path), "node/shards/%016llx", (unsigned long long)node->id);
	sim_store_die_at(node->sim, 1);
	fixture_close(&node->fixture);
	sim_store_crash(node->sim, SIM_CRASH_LOSE);
	shard_lose(node, loss, other);
}

/* With a memory so small that the journal goes into files in several parts. */
static int
sim_give_up(struct sim_node *node, struct zp_err *err)
{
	int rc;

	node->fixture.options.memtable_bytes_max = 4000;
	rc = give_up(&node->fixture, &node->seam, node->id, true, err);
	node->fixture.options.memtable_bytes_max = 0;
	return rc;
}

static void
sim_drop(struct sim_node *node)
{
	fixture_close(&node->fixture);
	sim_store_free(node->sim);
	zp_read_scratch_free(node->fixture.scratch);
	zp_buf_done(&node->fixture.texts);
}

/* Opens after a crash: suspended as before, or all that a shard given up has, or, where only a
 * foreign manifest hid it, all that there was. Returns whether it is suspended. */
static bool
sim_judge(struct sim_node *node, const uint64_t left[2], uint64_t all)
{
	uint64_t found;
	bool is_suspended;

	sim_open(node);
	is_suspended = suspended(&node->fixture) > 0;
	assert_int_equal(pins_of(&node->fixture, 1), left[1]);
	found = pins_of(&node->fixture, 0);
	if (is_suspended)
		assert_int_equal(found, 0);
	else
		assert_true(found == left[0] || found == all);
	/* No checkpoint, which would trim the journal. */
	sim_store_die_at(node->sim, 1);
	fixture_close(&node->fixture);
	sim_store_crash(node->sim, SIM_CRASH_PROCESS);
	return is_suspended;
}

static void
it_can_be_cut_short_anywhere(void **state)
{
	for (enum loss loss = 0; loss < LOSSES; loss++) {
		struct sim_node node;
		struct zp_err err = {0};
		uint64_t left[2], all = 0, changes;

		sim_make(&node, 1, loss);
		changes = sim_store_calls(node.sim, SIM_CALL_CHANGES);
		if (sim_give_up(&node, &err) < 0)
			fail_msg("%s", err.text);
		changes = sim_store_calls(node.sim, SIM_CALL_CHANGES) - changes;
		assert_true(changes > 100);
		sim_open(&node);
		left[0] = pins_of(&node.fixture, 0);
		left[1] = pins_of(&node.fixture, 1);
		assert_int_equal(left[0], lost.pins_left);
		assert_true(left[0] > 10);
		sim_drop(&node);
		if (loss == MANIFEST_FOREIGN)
			all = PINS - left[1];
		/* In the middle it writes one part of the journal as the other. */
		for (uint64_t nth = 1; nth <= changes + 1;
		     nth += nth < 60 || nth > changes - 60 ? 1 : 9) {
			bool is_dead;

			sim_make(&node, nth, loss);
			sim_store_die_at(node.sim, nth);
			zp_ignore(sim_give_up(&node, &err));
			is_dead = sim_store_is_dead(node.sim);
			sim_store_crash(
			    node.sim, nth % 2 == 0 ? SIM_CRASH_RANDOM : SIM_CRASH_PROCESS);
			if (sim_judge(&node, left, all)) {
				assert_true(is_dead);
				if (sim_give_up(&node, &err) < 0)
					fail_msg("%s", err.text);
				assert_false(sim_judge(&node, left, all));
			}
			sim_open(&node);
			for (uint64_t n = 0; n < PINS; n++)
				assert_int_equal(fixture_pin(&node.fixture, n, "b", &err), 0);
			assert_int_equal(fixture_count(&node.fixture), PINS);
			sim_drop(&node);
			assert_true(is_dead == (nth <= changes));
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_lost_shard_begins_anew),
	    cmocka_unit_test(only_what_is_suspended_is_given_up),
	    cmocka_unit_test(a_damaged_journal_goes_with_it),
	    cmocka_unit_test(it_can_be_cut_short_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
