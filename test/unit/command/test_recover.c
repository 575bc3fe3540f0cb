/*
 * test_recover.c - what a node does with what it finds: kills, damaged files, files of another
 * time.
 *
 * Method: real directories. A kill is a child that ends with _exit, or a copy of a live node's
 * files; damage is a flipped byte; another time is a copy put back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node_fixture.h"

#include <sys/wait.h>
#include <unistd.h>

/* Journal files so small that a few writes fill one: then a checkpoint trims. */
static void
reopen_with_small_journal(struct node_fixture *fixture)
{
	struct command__seam seam = {.journal_file_bytes = 4096};
	struct zp_err err = {0};

	fixture_close(fixture);
	if (command__node_open(&fixture->options, &seam, &fixture->node, &err) < 0)
		fail_msg("%s", err.text);
}

static void
pin_range(struct node_fixture *fixture, uint64_t from, uint64_t to, const char *name)
{
	struct zp_err err = {0};

	for (uint64_t n = from; n < to; n++) {
		if (fixture_pin(fixture, n, name, &err) < 0)
			fail_msg("%s", err.text);
	}
}

static void
checkpoint(struct node_fixture *fixture)
{
	struct zp_err err = {0};

	if (zp_command_checkpoint(fixture->node, &err) < 0)
		fail_msg("%s", err.text);
}

/* The first shard's directory, below the root. */
static const char *
shard_directory(struct node_fixture *fixture, uint32_t index)
{
	static char path[64];

	snprintf(path, sizeof(path), "shards/%016llx",
	    (unsigned long long)zp_shards_map(fixture->node->shards)->ranges[index].id);
	return path;
}

/* Copies the files of the open node, journal last, so that the copy is as if the machine had
 * stopped at some moment, and makes the fixture go on with the copy. */
static void
kill_by_copy_closed(struct node_fixture *fixture)
{
	fixture_shell(fixture, "rm -rf /tmp/zpin-copy.$PPID && mkdir /tmp/zpin-copy.$PPID && cp -a "
			       ". /tmp/zpin-copy.$PPID/");
	fixture_close(fixture);
	fixture_shell(
	    fixture, "rm -rf ./* && cp -a /tmp/zpin-copy.$PPID/. . && rm -rf /tmp/zpin-copy.$PPID");
}

static void
kill_by_copy(struct node_fixture *fixture)
{
	kill_by_copy_closed(fixture);
	fixture_open(fixture);
}

/* ---- Kills ---------------------------------------------------------------------------------- */

/* Everything a process was told is durable is there after it is gone without a word. */
static void
acknowledged_writes_survive_a_kill(void **state)
{
	struct node_fixture fixture;
	struct zp_node_facts facts;
	struct zp_err err = {0};
	uint64_t acknowledged = 0, n;
	int ends[2], status;
	pid_t child;

	fixture_make(&fixture, 4);
	fixture_close(&fixture);
	assert_int_equal(pipe(ends), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		fixture_open(&fixture);
		for (n = 0; n < 300; n++) {
			if (fixture_pin(&fixture, n, "kept", &err) < 0 ||
			    write(ends[1], &n, sizeof(n)) != sizeof(n))
				_exit(1);
			if (n == 100)
				checkpoint(&fixture);
		}
		_exit(0);
	}
	close(ends[1]);
	while (read(ends[0], &n, sizeof(n)) == sizeof(n))
		acknowledged = n + 1;
	close(ends[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(acknowledged, 300);

	fixture_open(&fixture);
	zp_node_facts_get(fixture.node, &facts);
	assert_true(facts.replayed_records > 0);
	assert_int_equal(fixture_count(&fixture), acknowledged);
	assert_int_equal(fixture_list_count(&fixture), acknowledged);
	for (n = 0; n < acknowledged; n++)
		assert_string_equal(fixture_name(&fixture, n), "kept");
	fixture_drop(&fixture);
}

/* Puts, deletes and puts again of the same pins come out in their order, counts included, wherever
 * the checkpoint fell. */
static void
order_survives_a_kill(void **state)
{
	struct node_fixture fixture;
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	pin_range(&fixture, 0, 20, "first");
	checkpoint(&fixture);
	pin_range(&fixture, 5, 15, "second");
	for (uint64_t n = 8; n < 12; n++)
		assert_int_equal(fixture_unpin(&fixture, n, &err), 0);
	pin_range(&fixture, 9, 10, "third");
	kill_by_copy(&fixture);
	assert_int_equal(fixture_count(&fixture), 17);
	assert_int_equal(fixture_list_count(&fixture), 17);
	assert_string_equal(fixture_name(&fixture, 4), "first");
	assert_string_equal(fixture_name(&fixture, 5), "second");
	assert_null(fixture_name(&fixture, 8));
	assert_string_equal(fixture_name(&fixture, 9), "third");
	assert_null(fixture_name(&fixture, 10));
	fixture_drop(&fixture);
}

/* More in the journal than the memory may hold: it is flushed on the way. */
static void
replay_keeps_to_the_memory_budget(void **state)
{
	struct node_fixture fixture;
	struct zp_node_facts facts;

	fixture_make(&fixture, 2);
	pin_range(&fixture, 0, 3000, "some text that takes memory until it is flushed");
	fixture.options.memtable_bytes_max = 200000; /* from the next opening on */
	kill_by_copy(&fixture);
	zp_node_facts_get(fixture.node, &facts);
	assert_int_equal(facts.replayed_records, 3000);
	/* A few flushes, not one a batch. */
	assert_true(facts.engines.manifest_number > 3 && facts.engines.manifest_number < 30);
	assert_int_equal(fixture_count(&fixture), 3000);
	assert_int_equal(fixture_list_count(&fixture), 3000);
	fixture_drop(&fixture);
}

/* ---- Damage --------------------------------------------------------------------------------- */

/* A damaged newest checkpoint costs a longer replay and a warning, nothing else. */
static void
older_checkpoint_is_used(void **state)
{
	struct node_fixture fixture;

	fixture_make(&fixture, 2);
	reopen_with_small_journal(&fixture);
	pin_range(&fixture, 0, 100, "a");
	checkpoint(&fixture);
	pin_range(&fixture, 50, 150, "b");
	checkpoint(&fixture);
	pin_range(&fixture, 100, 200, "c");
	fixture_close(&fixture);
	fixture_shell(&fixture, "f=$(ls journal/checkpoint-* | tail -1) && printf X | dd of=$f "
				"bs=1 seek=70 conv=notrunc status=none");
	fixture_open(&fixture);
	assert_non_null(strstr(fixture.log, "using an older checkpoint"));
	assert_int_equal(fixture_count(&fixture), 200);
	assert_string_equal(fixture_name(&fixture, 40), "a");
	assert_string_equal(fixture_name(&fixture, 60), "b");
	assert_string_equal(fixture_name(&fixture, 120), "c");
	fixture_drop(&fixture);
}

/* With no whole checkpoint left the node says so and does not guess. */
static void
no_whole_checkpoint_is_refused(void **state)
{
	struct node_fixture fixture;
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	pin_range(&fixture, 0, 10, "a");
	fixture_close(&fixture);
	fixture_shell(&fixture, "for f in journal/checkpoint-*; do truncate -s 60 $f; done");
	assert_int_equal(fixture_try_open(&fixture, &err), ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, "no checkpoint is whole"));
	fixture_drop(&fixture);
}

/* A damaged newest manifest: the older one and the journal give the same pins. */
static void
older_manifest_is_used(void **state)
{
	struct node_fixture fixture;

	fixture_make(&fixture, 1);
	pin_range(&fixture, 0, 100, "a");
	checkpoint(&fixture);
	pin_range(&fixture, 50, 150, "b");
	checkpoint(&fixture);
	pin_range(&fixture, 140, 160, "c");
	fixture_close(&fixture);
	fixture_shell(&fixture, "f=$(ls shards/*/manifest-* | tail -1) && printf X | dd of=$f bs=1 "
				"seek=60 conv=notrunc status=none");
	fixture_open(&fixture);
	assert_non_null(strstr(fixture.log, "manifest"));
	assert_int_equal(fixture_count(&fixture), 160);
	assert_int_equal(fixture_list_count(&fixture), 160);
	assert_string_equal(fixture_name(&fixture, 149), "c");
	assert_string_equal(fixture_name(&fixture, 60), "b");
	assert_string_equal(fixture_name(&fixture, 10), "a");
	fixture_drop(&fixture);
}

/* Each of the two maps comes back from the other, before that one is lost, too. */
static void
the_map_is_there_twice_again(void **state)
{
	struct node_fixture fixture;

	fixture_make(&fixture, 2);
	pin_range(&fixture, 0, 10, "a");
	for (int round = 0; round < 2; round++) {
		fixture_close(&fixture);
		fixture_shell(&fixture, "rm journal/copy-of-map-*");
		fixture_open(&fixture);
		fixture_close(&fixture);
		fixture_shell(&fixture, "printf X | dd of=$(ls journal/map-*) bs=1 seek=30 "
					"conv=notrunc status=none");
		fixture_open(&fixture);
	}
	assert_int_equal(fixture_count(&fixture), 10);
	fixture_drop(&fixture);
}

/* Without peers and lists the next ones would get the ids of those that pins name already. */
static void
lost_tables_are_refused(void **state)
{
	struct node_fixture fixture;
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	pin_range(&fixture, 0, 10, "a");
	checkpoint(&fixture);
	fixture_close(&fixture);
	fixture_shell(&fixture, "for f in shards/*/*.tab; do printf X | dd of=$f bs=1 seek=20 "
				"conv=notrunc status=none; done");
	assert_int_equal(fixture_try_open(&fixture, &err), ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, "restore"));
	fixture_drop(&fixture);
}

/* ---- Suspended shards ----------------------------------------------------------------------- */

/* Pins n of one shard (or of all others) in [from, to): the code that a get or a write answers. */
static void
expect_answers(struct node_fixture *fixture, uint32_t shard, bool of_others, uint64_t from,
    uint64_t to, int get_rc, int write_rc)
{
	const struct zp_shard_map *map = zp_shards_map(fixture->node->shards);

	for (uint64_t n = from; n < to; n++) {
		struct zp_key key = fixture_key(n);
		struct zp_record record;
		struct zp_err err = {0};

		if ((zp_shard_map_find(map, &key) == shard) == of_others)
			continue;
		assert_int_equal(zp_command_get(fixture->node, &key, fixture->scratch,
				     &fixture->texts, &record, &err),
		    get_rc);
		assert_int_equal(fixture_pin(fixture, n, "new", &err), write_rc);
	}
}

/* One shard is suspended and named, pins [0, to) of the others are read and written. */
static void
expect_suspended(struct node_fixture *fixture, uint32_t shard, uint64_t to)
{
	struct zp_node_facts facts;

	zp_node_facts_get(fixture->node, &facts);
	assert_int_equal(facts.suspended_shards, 1);
	assert_non_null(strstr(fixture->log, "is suspended"));
	assert_non_null(strstr(fixture->log, strchr(shard_directory(fixture, shard), '/') + 1));
	expect_answers(fixture, shard, false, 0, to, ZP_E_CORRUPT, ZP_E_CORRUPT);
	expect_answers(fixture, shard, true, 0, to, ZP_OK, ZP_OK);
}

/* While its folder is away the other shard serves, writes and checkpoints; the journal keeps what
 * it lacks, and when it is back everything is there. */
static void
a_suspended_shard_comes_back_whole(void **state)
{
	struct node_fixture fixture;
	struct zp_node_facts facts;
	struct zp_err err = {0};
	char shard[64];

	fixture_make(&fixture, 2);
	reopen_with_small_journal(&fixture);
	pin_range(&fixture, 0, 100, "old");
	checkpoint(&fixture);
	pin_range(&fixture, 100, 200, "old"); /* in the journal only */
	strcpy(shard, shard_directory(&fixture, 0));
	kill_by_copy_closed(&fixture);
	fixture_shell(&fixture, "mv %s away", shard);
	fixture_open(&fixture);
	for (int round = 0; round < 3; round++) {
		reopen_with_small_journal(&fixture);
		expect_suspended(&fixture, 0, 200);
		checkpoint(&fixture);
		assert_int_equal(zp_command_snapshot(fixture.node, "s", &err), ZP_E_CORRUPT);
	}
	fixture_close(&fixture);
	fixture_shell(&fixture, "mv away %s", shard);
	fixture_open(&fixture);
	zp_node_facts_get(fixture.node, &facts);
	assert_int_equal(facts.suspended_shards, 0);
	assert_int_equal(fixture_count(&fixture), 200);
	assert_int_equal(fixture_list_count(&fixture), 200);
	expect_answers(&fixture, 0, false, 0, 200, ZP_OK, ZP_OK);
	for (int round = 0; round < 2; round++)
		checkpoint(&fixture);
	zp_node_facts_get(fixture.node, &facts);
	assert_int_equal(facts.journal.first_batch, facts.journal.last_batch + 1);
	fixture_drop(&fixture);
}

/* What is deleted stays so when its file cannot be read while the journal is replayed, and comes
 * back later: the journal is believed, whose own copy of the delete goes meanwhile. */
static void
deletes_outlive_damaged_files(void **state)
{
	struct zp_write expire = {.kind = ZP_WRITE_IMPORT, .key = fixture_key(50)};
	struct node_fixture fixture;
	struct zp_err err = {0};
	char shard[64];

	fixture_make(&fixture, 1);
	pin_range(&fixture, 0, 50, "old");
	expire.record = fixture_record("old", &fixture.texts);
	expire.record.facts[ZP_FACT_EXPIRE_AT] = zp_zigzag(40000000000) + 1;
	assert_int_equal(fixture_write(&fixture, &expire, &err), 0);
	checkpoint(&fixture);
	for (uint64_t n = 10; n < 20; n++)
		assert_int_equal(fixture_unpin(&fixture, n, &err), 0);
	expire.kind = ZP_WRITE_EXPIRE;
	assert_int_equal(fixture_write(&fixture, &expire, &err), 0);
	strcpy(shard, shard_directory(&fixture, 0));
	kill_by_copy_closed(&fixture);
	fixture_shell(&fixture,
	    "file=$(ls -S %s/*.seg | head -1) && cp $file away && echo $file >name && "
	    "chmod u+w $file && truncate -s 100 $file",
	    shard);
	fixture_open(&fixture);
	for (int round = 0; round < 2; round++)
		checkpoint(&fixture);
	fixture_close(&fixture);
	fixture_shell(&fixture, "cp away $(cat name)");
	fixture_open(&fixture);
	for (uint64_t n = 0; n < 50; n++) {
		if (n < 10 || n >= 20)
			assert_string_equal(fixture_name(&fixture, n), "old");
		else
			assert_null(fixture_name(&fixture, n));
	}
	assert_null(fixture_name(&fixture, 50));
	assert_int_equal(fixture_list_count(&fixture), 40);
	assert_int_equal(fixture_count(&fixture), 40);
	zp_buf_done(&expire.result_texts);
	fixture_drop(&fixture);
}

/* Not one shard: then it is the file system below them that is missing. */
static void
a_node_without_any_shard_is_refused(void **state)
{
	struct node_fixture fixture;
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	pin_range(&fixture, 0, 10, "a");
	fixture_close(&fixture);
	fixture_shell(&fixture, "mkdir saved && mv shards/* saved/");
	assert_int_equal(fixture_try_open(&fixture, &err), ZP_E_NOT_FOUND);
	fixture_shell(&fixture, "mv saved/* shards/ && rm shards/*/manifest-*");
	assert_int_equal(fixture_try_open(&fixture, &err), ZP_E_NOT_FOUND);
	assert_non_null(strstr(err.text, "is the dataset mounted?"));
	fixture_drop(&fixture);
}

/* ---- Another time --------------------------------------------------------------------------- */

/* A shard whose files are from before is brought up to date while the journal has what it lacks. */
static void
rolled_back_shard_is_replayed(void **state)
{
	struct node_fixture fixture;
	const char *shard;

	fixture_make(&fixture, 2);
	pin_range(&fixture, 0, 50, "a");
	checkpoint(&fixture);
	shard = shard_directory(&fixture, 0);
	fixture_shell(&fixture, "cp -a %s saved", shard);
	pin_range(&fixture, 25, 100, "b");
	shard = shard_directory(&fixture, 0);
	fixture_close(&fixture);
	fixture_shell(&fixture, "rm -rf %s && mv saved %s", shard, shard);
	fixture_open(&fixture);
	assert_int_equal(fixture_count(&fixture), 100);
	assert_int_equal(fixture_list_count(&fixture), 100);
	assert_string_equal(fixture_name(&fixture, 30), "b");
	fixture_drop(&fixture);
}

/* Publishes manifests of a stopped node's shard that say no more than the last, as merges do. */
static void
manifests_publish(const struct node_fixture *fixture, const char *shard, uint64_t to)
{
	struct zp_store_directory_options directory = {0};
	struct zp_engine_options options = {0};
	struct zp_tables *tables;
	struct zp_engine *engine;
	struct zp_err err = {0};
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", fixture->root, shard);
	options.shard_id = strtoull(strchr(shard, '/') + 1, NULL, 16);
	memset(options.high, 0xff, ZP_KEY_BYTES);
	zp_store_u32be(options.high, 1u << 31); /* the first of two */
	memset(options.high + 4, 0, ZP_KEY_BYTES - 4);
	assert_int_equal(zp_store_directory_open(path, &directory, &options.store, NULL), 0);
	if (zp_engine_open(&options, &engine, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(zp_engine_tables_read(engine, &tables, NULL), 0);
	while (zp_engine_manifest_number(engine) < to) {
		uint8_t peer[] = {0, 1, (uint8_t)zp_tables_peer_next(tables)};

		assert_int_equal(zp_tables_peer_add(tables, zp_tables_peer_next(tables),
				     (struct zp_slice){peer, sizeof(peer)}, NULL),
		    0);
		assert_int_equal(zp_engine_flush(engine, tables, NULL), 0);
	}
	zp_tables_free(tables);
	zp_engine_close(engine);
	zp_store_close(options.store);
}

/* Files from before a checkpoint, whose numbers merges then brought past those that it names: they
 * have what they had, and the journal the rest. */
static void
old_files_with_new_numbers_are_replayed(void **state)
{
	struct node_fixture fixture;
	char shard[64];

	fixture_make(&fixture, 2);
	pin_range(&fixture, 0, 50, "a");
	checkpoint(&fixture);
	strcpy(shard, shard_directory(&fixture, 0));
	fixture_shell(&fixture, "cp -a %s saved", shard);
	pin_range(&fixture, 25, 100, "c");
	checkpoint(&fixture);
	kill_by_copy_closed(&fixture);
	fixture_shell(&fixture, "rm -rf %s && mv saved %s", shard, shard);
	manifests_publish(&fixture, shard, 100);
	fixture_open(&fixture);
	assert_int_equal(fixture_count(&fixture), 100);
	assert_int_equal(fixture_list_count(&fixture), 100);
	for (uint64_t n = 25; n < 100; n++)
		assert_string_equal(fixture_name(&fixture, n), "c");
	fixture_drop(&fixture);
}

/* When the journal was trimmed past it, the shard is suspended: what it lacks is gone. When that is
 * so of all, the node is refused. */
static void
rolled_back_shard_is_suspended(void **state)
{
	struct node_fixture fixture;
	struct zp_err err = {0};
	char shard[64];

	fixture_make(&fixture, 2);
	reopen_with_small_journal(&fixture);
	pin_range(&fixture, 0, 100, "a");
	checkpoint(&fixture);
	strcpy(shard, shard_directory(&fixture, 1));
	fixture_shell(&fixture, "cp -a shards saved");
	for (uint64_t round = 1; round < 5; round++) {
		pin_range(&fixture, round * 100, round * 100 + 100, "b");
		checkpoint(&fixture);
	}
	fixture_close(&fixture);
	fixture_shell(&fixture, "rm -rf %s && cp -a saved%s shards/", shard, strchr(shard, '/'));
	fixture_open(&fixture);
	assert_non_null(strstr(fixture.log, "were rolled back or lost"));
	expect_suspended(&fixture, 1, 500);
	fixture_close(&fixture);
	fixture_shell(&fixture, "rm -rf shards && mv saved shards");
	assert_int_equal(fixture_try_open(&fixture, &err), ZP_E_CONFLICT);
	assert_non_null(strstr(err.text, "restore"));
	fixture_drop(&fixture);
}

/* A journal that is gone or from before is not taken for the end of history. */
static void
lost_journal_is_refused(void **state)
{
	struct node_fixture fixture;
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	pin_range(&fixture, 0, 10, "a");
	checkpoint(&fixture);
	fixture_shell(&fixture, "mkdir saved && cp journal/checkpoint-* saved/");
	pin_range(&fixture, 10, 20, "b");
	fixture_close(&fixture); /* writes a checkpoint */
	/* Back to the older checkpoint, without the journal: the shards are ahead of both. */
	fixture_shell(&fixture, "rm journal/checkpoint-* journal/*.log && cp saved/* journal/");
	assert_true(fixture_try_open(&fixture, &err) < 0);
	assert_non_null(strstr(err.text, "journal"));
	fixture_drop(&fixture);
}

/* A raised incarnation stands: what the journal holds of the one before is void for that shard, and
 * only for it. */
static void
raised_incarnation_voids_older_records(void **state)
{
	struct node_fixture fixture;
	struct zp_err err = {0};
	uint64_t in_first = 0, before;

	fixture_make(&fixture, 2);
	pin_range(&fixture, 0, 20, "kept");
	checkpoint(&fixture);
	before = fixture_count(&fixture);
	pin_range(&fixture, 20, 60, "maybe");
	for (uint64_t n = 20; n < 60; n++) {
		struct zp_key key = fixture_key(n);

		in_first += zp_shard_map_find(zp_shards_map(fixture.node->shards), &key) == 0;
	}
	assert_true(in_first > 0 && in_first < 40);
	/* As a restore does it: the shard's files are what they are, and the journal's end is
	 * theirs. */
	assert_int_equal(zp_shards_incarnation_raise(fixture.node->shards, 0, fixture.node->epoch,
			     fixture.node->commit.last_batch, &err),
	    0);
	kill_by_copy(&fixture);
	assert_int_equal(fixture_count(&fixture), before + 40 - in_first);
	assert_int_equal(fixture_list_count(&fixture), before + 40 - in_first);
	/* And the shard goes on from there. */
	pin_range(&fixture, 20, 60, "again");
	kill_by_copy(&fixture);
	assert_int_equal(fixture_count(&fixture), 60);
	fixture_drop(&fixture);
}

/* Files from before a restore, by their incarnation, are not used although the journal would reach.
 */
static void
lower_incarnation_is_suspended(void **state)
{
	struct node_fixture fixture;
	struct zp_err err = {0};
	char shard[64];

	fixture_make(&fixture, 2);
	pin_range(&fixture, 0, 20, "a");
	checkpoint(&fixture);
	strcpy(shard, shard_directory(&fixture, 0));
	fixture_shell(&fixture, "cp -a %s saved", shard);
	assert_int_equal(zp_shards_incarnation_raise(fixture.node->shards, 0, fixture.node->epoch,
			     fixture.node->commit.last_batch, &err),
	    0);
	fixture_close(&fixture);
	fixture_shell(&fixture, "rm -rf %s && mv saved %s", shard, shard);
	fixture_open(&fixture);
	assert_non_null(strstr(fixture.log, "incarnation"));
	expect_suspended(&fixture, 0, 20);
	fixture_drop(&fixture);
}

/* A restore that was cut short behind the shard's files: the map follows them. */
static void
interrupted_raise_is_completed(void **state)
{
	struct node_fixture fixture;
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	pin_range(&fixture, 0, 20, "a");
	checkpoint(&fixture);
	fixture_shell(&fixture, "mkdir saved && cp journal/*map-* saved");
	assert_int_equal(zp_shards_incarnation_raise(fixture.node->shards, 0, fixture.node->epoch,
			     fixture.node->commit.last_batch, &err),
	    0);
	fixture_close(&fixture);
	fixture_shell(&fixture, "rm journal/*map-* && mv saved/* journal && rmdir saved");
	fixture_open(&fixture);
	assert_non_null(strstr(fixture.log, "the map follows"));
	pin_range(&fixture, 20, 40, "b");
	kill_by_copy(&fixture);
	assert_null(strstr(fixture.log, "the map follows"));
	assert_int_equal(fixture_count(&fixture), 40);
	fixture_drop(&fixture);
}

/* ---- Small files ---------------------------------------------------------------------------- */

static void
byte_flip(const struct node_fixture *fixture, const char *name)
{
	char path[300];
	FILE *file;
	int byte;

	snprintf(path, sizeof(path), "%s/%s", fixture->root, name);
	file = fopen(path, "r+b");
	assert_non_null(file);
	assert_int_equal(fseek(file, 40, SEEK_SET), 0); /* each of them has a checksum over this */
	byte = fgetc(file);
	assert_int_not_equal(byte, EOF);
	assert_int_equal(fseek(file, 40, SEEK_SET), 0);
	assert_int_equal(fputc(byte ^ 4, file), byte ^ 4);
	assert_int_equal(fclose(file), 0);
}

/* Each small file damaged, then each removed: of all there are two. Returns how many. */
static unsigned
small_files_try(struct node_fixture *fixture, uint64_t pins)
{
	char command[300], name[200];
	unsigned count = 0;
	FILE *list;

	fixture_close(fixture);
	fixture_shell(fixture, "mkdir saved && cp -a journal shards saved");
	snprintf(command, sizeof(command),
	    "cd %s && ls journal/*map-* journal/checkpoint-* shards/*/manifest-*", fixture->root);
	list = popen(command, "r");
	assert_non_null(list);
	while (fgets(name, sizeof(name), list) != NULL) {
		name[strcspn(name, "\n")] = '\0';
		for (int removed = 0; removed < 2; removed++) {
			if (removed)
				fixture_shell(fixture, "rm %s", name);
			else
				byte_flip(fixture, name);
			fixture_open(fixture);
			assert_int_equal(fixture_count(fixture), pins);
			assert_int_equal(fixture_list_count(fixture), pins);
			fixture_close(fixture);
			fixture_shell(fixture, "rm -r journal shards && cp -a saved/* .");
		}
		count++;
	}
	assert_int_equal(pclose(list), 0);
	fixture_shell(fixture, "rm -r saved");
	fixture_open(fixture);
	return count;
}

/* However long a shard was idle, and also when it is new. */
static void
one_damaged_small_file_costs_nothing(void **state)
{
	struct node_fixture fixture;

	fixture_make(&fixture, 2);
	assert_int_equal(small_files_try(&fixture, 0), 2 + 2 + 2 * 2);
	pin_range(&fixture, 0, 20, "a");
	for (int round = 0; round < 3; round++)
		checkpoint(&fixture);
	assert_int_equal(small_files_try(&fixture, 20), 2 + 2 + 2 * 2);
	fixture_drop(&fixture);
}

/* What a newer zpin wrote is not damage: an older checkpoint would be taken for the truth. */
static void
newer_checkpoint_is_refused(void **state)
{
	struct node_fixture fixture;
	uint8_t bytes[4096];
	struct zp_err err = {0};
	char path[300];
	FILE *file, *list;
	size_t length;

	fixture_make(&fixture, 1);
	pin_range(&fixture, 0, 20, "a");
	checkpoint(&fixture);
	fixture_close(&fixture);
	snprintf(path, sizeof(path), "ls %s/journal/checkpoint-* | tail -n 1", fixture.root);
	list = popen(path, "r");
	assert_non_null(list);
	assert_non_null(fgets(path, sizeof(path), list));
	path[strcspn(path, "\n")] = '\0';
	assert_int_equal(pclose(list), 0);
	file = fopen(path, "r+b");
	assert_non_null(file);
	length = fread(bytes, 1, sizeof(bytes), file);
	assert_in_range(length, 57, sizeof(bytes) - 1);
	zp_store_u32le(bytes + 16, 2); /* the version, behind a checksum that is right */
	zp_store_u64le(bytes + 8, zp_hash64(bytes + 16, length - 16, 0));
	rewind(file);
	assert_int_equal(fwrite(bytes, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(fixture_try_open(&fixture, &err), ZP_E_VERSION);
	fixture.node = NULL;
	fixture_drop(&fixture);
}

/* ---- Records by hand ------------------------------------------------------------------------ */

/* The code that replaying records as the next batch gives; *count_out: pins afterwards. */
static int
replay_records(struct node_fixture *fixture, const struct zp_journal_record *list, uint32_t length,
    uint64_t *count_out)
{
	ZP_AUTO_BUF(records, 100000);
	struct zp_store_directory_options directory = {.no_sync = true};
	struct zp_shards_options options = {.root = fixture->root, .no_sync = true};
	struct zp_journal_batch batch = {
	    .kind = ZP_JOURNAL_RECORDS, .epoch = 1, .record_count = length};
	struct zp_shards *shards;
	char path[128];
	int rc;

	snprintf(path, sizeof(path), "%s/journal", fixture->root);
	assert_int_equal(zp_store_directory_open(path, &directory, &options.store, NULL), 0);
	assert_int_equal(zp_shards_open(&options, &shards, NULL), 0);
	batch.number = zp_shards_applied_max(shards) + 1;
	assert_int_equal(zp_shards_replay_begin(shards, batch.number, batch.number, NULL), 0);
	for (uint32_t i = 0; i < length; i++)
		assert_int_equal(zp_journal_record_append(&records, &list[i], NULL), 0);
	batch.records = zp_buf_slice(&records);
	rc = zp_shards_replay(shards, &batch, NULL);
	*count_out = 0;
	for (uint32_t i = 0; i < zp_shards_map(shards)->count; i++)
		*count_out += zp_engine_count(zp_shards_engine(shards, i), 0, ZP_PIN_DATA);
	zp_shards_replay_end(shards);
	zp_shards_close(shards);
	zp_store_close(options.store);
	return rc;
}

static int
replay_one(
    struct node_fixture *fixture, const struct zp_journal_record *record, uint64_t *count_out)
{
	return replay_records(fixture, record, 1, count_out);
}

/* Whole records are judged by what they name: an older incarnation is void, a newer one, an unknown
 * shard, a key of another shard and an operation that is not a shard's are refused. */
static void
records_are_judged(void **state)
{
	struct node_fixture fixture;
	ZP_AUTO_BUF(payload, 1000);
	ZP_AUTO_BUF(peer, 1000);
	struct zp_shard_range ranges[2];
	struct zp_journal_record record = {.operation = ZP_OP_PUT};
	struct zp_record pin = {.facts = {[ZP_FACT_CREATED] = 1}};
	struct zp_key key = fixture_key(1);
	struct zp_err err = {0};
	uint32_t home;
	uint64_t count;

	fixture_make(&fixture, 2);
	assert_int_equal(zp_shards_incarnation_raise(fixture.node->shards, 0, 1, 0, &err), 0);
	assert_int_equal(zp_shards_incarnation_raise(fixture.node->shards, 1, 1, 0, &err), 0);
	memcpy(ranges, zp_shards_map(fixture.node->shards)->ranges, sizeof(ranges));
	home = zp_shard_map_find(zp_shards_map(fixture.node->shards), &key);
	fixture_close(&fixture);
	zp_shard_put_encode(&key, &pin, &payload);
	record.payload = zp_buf_slice(&payload);

	record.shard_id = ranges[home].id;
	record.incarnation = 2;
	assert_int_equal(replay_one(&fixture, &record, &count), 0);
	assert_int_equal(count, 1);
	record.incarnation = 1;
	assert_int_equal(replay_one(&fixture, &record, &count), 0);
	assert_int_equal(count, 0);
	record.incarnation = 3;
	assert_int_equal(replay_one(&fixture, &record, &count), ZP_E_CONFLICT);
	record.incarnation = 2;
	record.shard_id = ranges[1 - home].id;
	assert_int_equal(replay_one(&fixture, &record, &count), ZP_E_CORRUPT);
	record.shard_id = ranges[0].id ^ ranges[1].id ^ 1;
	assert_int_equal(replay_one(&fixture, &record, &count), ZP_E_CORRUPT);
	record.shard_id = 0;
	assert_int_equal(replay_one(&fixture, &record, &count), ZP_E_CORRUPT);
	zp_shard_peer_encode(1, zp_slice_of("peer"), &peer);
	record.operation = ZP_OP_PEER;
	record.payload = zp_buf_slice(&peer);
	assert_int_equal(replay_one(&fixture, &record, &count), 0);
	record.shard_id = ranges[0].id;
	assert_int_equal(replay_one(&fixture, &record, &count), ZP_E_CORRUPT);
	fixture_drop(&fixture);
}

/* An expiry removes the pin that was to expire then, and none that has got another time since. */
static void
an_expiry_is_of_its_time(void **state)
{
	struct node_fixture fixture;
	ZP_AUTO_BUF(put, 1000);
	struct zp_record pin = {.facts = {[ZP_FACT_CREATED] = 1, [ZP_FACT_EXPIRE_AT] = 200}};
	struct zp_key key = fixture_key(1);
	struct zp_journal_record records[2] = {
	    {.operation = ZP_OP_PUT}, {.operation = ZP_OP_EXPIRE}};
	uint64_t count;

	fixture_make(&fixture, 1);
	records[0].shard_id = zp_shards_map(fixture.node->shards)->ranges[0].id;
	records[0].incarnation = zp_shards_map(fixture.node->shards)->ranges[0].incarnation;
	records[1].shard_id = records[0].shard_id;
	records[1].incarnation = records[0].incarnation;
	fixture_close(&fixture);
	zp_shard_put_encode(&key, &pin, &put);
	records[0].payload = zp_buf_slice(&put);
	for (uint64_t fact = 199; fact <= 201; fact++) {
		ZP_AUTO_BUF(expiry, 1000);

		zp_shard_expire_encode(&key, fact, &expiry);
		records[1].payload = zp_buf_slice(&expiry);
		assert_int_equal(replay_records(&fixture, records, 2, &count), 0);
		assert_int_equal(count, fact == 200 ? 0 : 1);
	}
	fixture_drop(&fixture);
}

/* ---- Statuses ------------------------------------------------------------------------------- */

/* Appends batches of statuses to the journal of a closed node, as the node itself would: a round of
 * TRACK, and for every other pin a TRACK_END in a later batch. */
static void
statuses_append(struct node_fixture *fixture, uint64_t pins, uint32_t peers)
{
	struct zp_store_directory_options directory = {.no_sync = true};
	struct zp_shards_options options = {.root = fixture->root, .no_sync = true};
	struct zp_journal_options journal_options = {.node = 1, .epoch = 1};
	struct zp_journal_record record = {0};
	ZP_AUTO_BUF(payload, 4096);
	ZP_AUTO_BUF(texts, 4096);
	struct zp_journal *journal;
	const struct zp_shard_map *map;
	struct zp_shards *shards;
	struct zp_err err = {0};
	char path[128];

	snprintf(path, sizeof(path), "%s/journal", fixture->root);
	assert_int_equal(zp_store_directory_open(path, &directory, &options.store, NULL), 0);
	assert_int_equal(zp_shards_open(&options, &shards, NULL), 0);
	map = zp_shards_map(shards);
	journal_options.store = options.store;
	journal_options.node = map->node;
	memcpy(journal_options.cluster_id, map->cluster_id, 16);
	journal_options.first_batch = zp_shards_newest(shards)->batch + 1;
	if (zp_journal_open(&journal_options, &journal, &err) < 0)
		fail_msg("%s", err.text);
	zp_track_texts((struct zp_slice){0}, zp_slice_of("no route to the peer"), &texts);
	for (uint64_t n = 0; n < 2 * pins; n++) {
		struct zp_key key = fixture_key(n % pins);
		ZP_AUTO_BUF(records, 1 << 20);

		if (n >= pins && n % 2 == 0)
			continue;
		for (uint32_t peer = 1; peer <= peers; peer++) {
			const struct zp_shard_range *range =
			    &map->ranges[zp_shard_map_find(map, &key)];
			struct zp_track track = {.peer = peer,
			    .status = ZP_TRACK_PIN_ERROR,
			    .since_microseconds = (int64_t)n,
			    .attempts = peer,
			    .texts = zp_buf_slice(&texts)};

			zp_buf_clear(&payload);
			record.operation = n < pins ? ZP_OP_TRACK : ZP_OP_TRACK_END;
			if (n < pins)
				zp_shard_track_encode(&key, &track, &payload);
			else
				zp_shard_track_end_encode(&key, peer, &payload);
			record.shard_id = range->id;
			record.incarnation = range->incarnation;
			record.payload = zp_buf_slice(&payload);
			assert_int_equal(zp_journal_record_append(&records, &record, NULL), 0);
		}
		assert_int_equal(zp_journal_append(journal, ZP_JOURNAL_RECORDS, NULL,
				     zp_buf_slice(&records), peers, 1, NULL, NULL),
		    0);
	}
	assert_int_equal(zp_journal_commit(journal, NULL), 0);
	zp_journal_close(journal);
	zp_shards_close(shards);
	zp_store_close(options.store);
}

static void
statuses_expect(struct node_fixture *fixture, uint64_t pins, uint32_t peers)
{
	uint64_t counted = 0;

	for (uint32_t i = 0; i < zp_shards_map(fixture->node->shards)->count; i++) {
		for (uint32_t peer = 1; peer <= peers; peer++)
			counted += zp_engine_track_count(
			    zp_shards_engine(fixture->node->shards, i), peer, ZP_TRACK_PIN_ERROR);
	}
	assert_int_equal(counted, pins / 2 * peers);
	for (uint64_t n = 0; n < pins; n++) {
		struct zp_key key = fixture_key(n), found;
		struct zp_view *view = zp_engine_view_get(zp_shards_engine(fixture->node->shards,
		    zp_shard_map_find(zp_shards_map(fixture->node->shards), &key)));
		struct zp_track track;
		struct zp_track_scan *scan;

		assert_int_equal(zp_track_scan_open(view, &key, true, &scan, NULL), 0);
		for (uint32_t peer = 1; n % 2 == 0 && peer <= peers; peer++) {
			assert_int_equal(zp_track_scan_next(scan, &found, &track, NULL), 0);
			assert_int_equal(zp_key_compare(&found, &key), 0);
			assert_int_equal(track.peer, peer);
			assert_int_equal(track.attempts, peer);
			assert_int_equal(track.since_microseconds, n);
			assert_true(zp_slice_is(zp_track_error(&track), "no route to the peer"));
		}
		assert_int_equal(zp_track_scan_next(scan, &found, &track, NULL), ZP_END);
		zp_track_scan_close(scan);
		zp_view_release(view);
	}
}

/* The whole way of a status: from the journal into memory, twice, and from there into files, which
 * say the same; a peer that nobody registered is refused. */
static void
statuses_of_the_journal_reach_files(void **state)
{
	enum { PINS = 300, PEERS = 2 };
	struct node_fixture fixture;
	struct zp_err err = {0};

	fixture_make(&fixture, 4);
	pin_range(&fixture, 0, PINS, "a");
	for (uint32_t peer = 1; peer <= PEERS; peer++)
		assert_int_equal(zp_tables_peer_add(zp_shards_tables(fixture.node->shards), peer,
				     (struct zp_slice){(uint8_t *)&peer, 4}, NULL),
		    0);
	fixture_close(&fixture);
	statuses_append(&fixture, PINS, PEERS);
	fixture_open(&fixture);
	statuses_expect(&fixture, PINS, PEERS);
	kill_by_copy(&fixture); /* again from the same batches */
	statuses_expect(&fixture, PINS, PEERS);
	checkpoint(&fixture);
	statuses_expect(&fixture, PINS, PEERS);
	kill_by_copy(&fixture); /* from files alone */
	statuses_expect(&fixture, PINS, PEERS);
	fixture_close(&fixture);
	statuses_append(&fixture, 1, PEERS + 1);
	assert_int_equal(fixture_try_open(&fixture, &err), ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, "which is not known"));
	fixture.node = NULL;
	fixture_drop(&fixture);
}

/* ---- Trimming ------------------------------------------------------------------------------- */

/* The journal is trimmed to the older of the two checkpoints, which are all that stays. */
static void
checkpoints_trim_the_journal(void **state)
{
	struct node_fixture fixture;
	struct zp_node_facts facts;

	fixture_make(&fixture, 2);
	reopen_with_small_journal(&fixture);
	for (uint64_t round = 0; round < 6; round++) {
		pin_range(&fixture, round * 100, round * 100 + 100, "a");
		checkpoint(&fixture);
	}
	zp_node_facts_get(fixture.node, &facts);
	assert_true(facts.journal.first_batch > 300);
	assert_true(facts.journal.first_batch <= 501); /* nothing that the older one needs */
	assert_int_equal(facts.checkpoint_batch, 600);
	fixture_shell(&fixture, "test $(ls journal/checkpoint-* | wc -l) = 2");
	fixture_shell(&fixture, "test $(ls journal/map-* journal/copy-of-map-* | wc -l) = 2");
	fixture_shell(
	    &fixture, "for s in shards/*; do test $(ls $s/manifest-* | wc -l) = 2 || exit 1; done");
	/* One more without writes lets the journal go; after it there is nothing left to do. */
	for (int round = 0; round < 3; round++) {
		checkpoint(&fixture);
		zp_node_facts_get(fixture.node, &facts);
		assert_int_equal(facts.checkpoint_number, 9);
		assert_int_equal(facts.journal.first_batch, 601);
	}
	fixture_drop(&fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(acknowledged_writes_survive_a_kill),
	    cmocka_unit_test(order_survives_a_kill),
	    cmocka_unit_test(replay_keeps_to_the_memory_budget),
	    cmocka_unit_test(older_checkpoint_is_used),
	    cmocka_unit_test(no_whole_checkpoint_is_refused),
	    cmocka_unit_test(older_manifest_is_used),
	    cmocka_unit_test(the_map_is_there_twice_again),
	    cmocka_unit_test(lost_tables_are_refused),
	    cmocka_unit_test(rolled_back_shard_is_replayed),
	    cmocka_unit_test(a_suspended_shard_comes_back_whole),
	    cmocka_unit_test(deletes_outlive_damaged_files),
	    cmocka_unit_test(a_node_without_any_shard_is_refused),
	    cmocka_unit_test(old_files_with_new_numbers_are_replayed),
	    cmocka_unit_test(rolled_back_shard_is_suspended),
	    cmocka_unit_test(lost_journal_is_refused),
	    cmocka_unit_test(raised_incarnation_voids_older_records),
	    cmocka_unit_test(lower_incarnation_is_suspended),
	    cmocka_unit_test(interrupted_raise_is_completed),
	    cmocka_unit_test(one_damaged_small_file_costs_nothing),
	    cmocka_unit_test(newer_checkpoint_is_refused),
	    cmocka_unit_test(records_are_judged),
	    cmocka_unit_test(statuses_of_the_journal_reach_files),
	    cmocka_unit_test(an_expiry_is_of_its_time),
	    cmocka_unit_test(checkpoints_trim_the_journal),
	};

	return cmocka_run_group_tests_name("command: recover", tests, NULL, NULL);
}
