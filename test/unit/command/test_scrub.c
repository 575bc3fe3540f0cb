/*
 * test_scrub.c - the scrubber finds whatever is damaged while the node runs, says where, costs the
 * rest nothing, and forgets what was mended.
 *
 * Method: a node of four shards whose files are flipped, removed and put back under it. A scrub is
 * asked for and waited for; what it says is held against what can be read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "node_fixture.h"

#define PINS 4000u
#define SHARDS 4u
#define DAMAGED 1u
#define RATE_FAST (UINT64_C(1) << 40)
#define WEEK_SECONDS 604800u

/* ---- Words ---------------------------------------------------------------------------------- */

static void
node_make(struct node_fixture *fixture)
{
	fixture_make(fixture, SHARDS);
	for (uint64_t n = 0; n < PINS; n++)
		assert_int_equal(fixture_pin(fixture, n, n % 3 == 0 ? "a name" : "", NULL), 0);
	assert_int_equal(zp_command_checkpoint(fixture->node, NULL), 0);
}

static struct zp_scrub_facts
facts_of(struct node_fixture *fixture)
{
	struct zp_scrub_facts facts;

	zp_node_scrub_facts_get(fixture->node, &facts);
	return facts;
}

/* One whole pass, until the thread has told of it, which is the last that it does. */
static void
scrub(struct node_fixture *fixture)
{
	uint64_t passes = facts_of(fixture).passes;
	unsigned told = fixture_told(fixture, " bytes read, ");

	assert_int_equal(zp_command_scrub_start(fixture->node, RATE_FAST, NULL), 0);
	while (facts_of(fixture).passes == passes || fixture_told(fixture, " bytes read, ") == told)
		usleep(1000);
}

static uint64_t
damages(struct node_fixture *fixture)
{
	struct zp_node_facts facts;

	zp_node_facts_get(fixture->node, &facts);
	return facts.damages;
}

/* The only damage that is known. */
static const char *
damage_text(struct node_fixture *fixture)
{
	static char texts[ZP_NODE_DAMAGES_MAX][ZP_ERR_TEXT_BYTES];

	assert_int_equal(zp_node_damages_get(fixture->node, texts), 1);
	return texts[0];
}

static int
get(struct node_fixture *fixture, uint64_t n)
{
	struct zp_key key = fixture_key(n);
	struct zp_record record;

	return zp_command_get(
	    fixture->node, &key, fixture->scratch, &fixture->texts, &record, NULL);
}

static uint64_t
unreadable(struct node_fixture *fixture)
{
	uint64_t lost = 0;

	for (uint64_t n = 0; n < PINS; n++)
		lost += get(fixture, n) != ZP_OK;
	return lost;
}

/* Keeps a copy of the file that `pattern` (below the root; of several the largest) names, and flips
 * a bit of it in place, at a fraction of its length. */
static void
flip(const struct node_fixture *fixture, const char *pattern, double at)
{
	fixture_shell(fixture,
	    "file=$(ls -S %s | head -1) && echo $file > name && cp $file copy && chmod u+w $file "
	    "&& "
	    "python3 -c 'import sys; f = open(sys.argv[1], \"r+b\"); d = f.read(); "
	    "at = int((len(d) - 1) * %f); f.seek(at); f.write(bytes([d[at] ^ 16]))' $file",
	    pattern, at);
}

/* Puts the copy in its place, as another file of that name. */
static void
mend(const struct node_fixture *fixture)
{
	fixture_shell(fixture, "cp copy new && mv -f new $(cat name)");
}

static void
shard_pattern(const struct node_fixture *fixture, const char *files, char pattern[64])
{
	snprintf(pattern, 64, "shards/%016llx/%s",
	    (unsigned long long)zp_shards_map(fixture->node->shards)->ranges[DAMAGED].id, files);
}

/* What a list by creation says at its end, of which the accesses of each pin are asked for. */
static int
newest_damage(struct node_fixture *fixture)
{
	struct zp_accesses accesses;
	struct zp_list *list = NULL;
	struct zp_record record;
	struct zp_key key;
	int rc;

	assert_int_equal(zp_list_open(fixture->node, 0, NULL, &list, NULL), 0);
	zp_list_newest_first(list, 0);
	while ((rc = zp_list_next(list, &key, &record, NULL)) == ZP_OK || rc == ZP_SCAN_PASSED) {
		if (rc == ZP_OK) /* the end tells */
			zp_ignore(zp_list_accesses_get(list, &accesses, NULL));
	}
	rc = zp_list_damage(list, NULL);
	zp_list_close(list);
	return rc;
}

/* ---- Tests ---------------------------------------------------------------------------------- */

/* In a block of a file that is open: told with shard, file, block and digests, of which exactly
 * those that it names cannot be read; mended under the running node it is forgotten, and read. */
static void
a_damaged_block_is_found_and_mended(void **state)
{
	struct node_fixture fixture;
	struct zp_verify_report report;
	unsigned long long first, last;
	char pattern[64], shard[64];
	const char *text, *digests;
	uint64_t lost = 0;

	(void)state;
	node_make(&fixture);
	shard_pattern(&fixture, "*.seg", pattern);
	flip(&fixture, pattern, 0.5);
	assert_int_equal(damages(&fixture), 0);
	scrub(&fixture);
	assert_int_equal(damages(&fixture), 1);
	text = damage_text(&fixture);
	snprintf(shard, sizeof(shard), "shard %.16s: segment ", pattern + strlen("shards/"));
	assert_ptr_equal(strstr(text, shard), text);
	digests = strstr(text, ".seg: block ");
	assert_non_null(digests);
	digests = strstr(text, "(digests ");
	assert_int_equal(sscanf(digests, "(digests %llx to %llx)", &first, &last), 2);
	assert_non_null(strstr(text, "restore the file from a snapshot or copy"));
	assert_true(fixture_told(&fixture, text));
	for (uint64_t n = 0; n < PINS; n++) {
		struct zp_key key = fixture_key(n);
		uint64_t head = zp_load_u64be(key.digest);
		bool is_told = head >= first && head <= last;

		assert_int_equal(get(&fixture, n), is_told ? ZP_E_CORRUPT : ZP_OK);
		lost += is_told;
	}
	assert_in_range(lost, 1, 255);
	scrub(&fixture);
	assert_int_equal(newest_damage(&fixture), ZP_E_CORRUPT);
	assert_int_equal(zp_command_verify(fixture.node, NULL, &report, NULL), ZP_E_CORRUPT);
	for (uint64_t n = PINS; n < PINS + 50; n++) /* so that there is something to seal */
		zp_ignore(fixture_pin(&fixture, n, "", NULL));
	assert_int_equal(zp_command_seal(fixture.node, NULL), ZP_E_CORRUPT);
	assert_int_equal(damages(&fixture), 1); /* it is the same, whoever meets it */
	mend(&fixture);
	scrub(&fixture);
	assert_int_equal(damages(&fixture), 0);
	assert_int_equal(unreadable(&fixture), 0);
	assert_true(fixture_told(&fixture, "is whole again"));
	fixture_drop(&fixture);
}

/* A file that could not even be opened at the start, and one that is removed under the node. */
static void
a_file_is_found_again(void **state)
{
	struct node_fixture fixture;
	struct zp_node_facts facts;
	char pattern[64];

	(void)state;
	node_make(&fixture);
	shard_pattern(&fixture, "*.seg", pattern);
	flip(&fixture, pattern, 1.0); /* the footer */
	fixture_close(&fixture);
	fixture_open(&fixture);
	scrub(&fixture);
	assert_int_equal(damages(&fixture), 1);
	assert_non_null(strstr(damage_text(&fixture), "it could not be opened"));
	assert_non_null(strstr(damage_text(&fixture), "(digests "));
	assert_in_range(unreadable(&fixture), 1, PINS / 2);
	mend(&fixture);
	scrub(&fixture);
	zp_node_facts_get(fixture.node, &facts);
	assert_int_equal(facts.damages, 0);
	assert_int_equal(facts.engines.damaged_segments, 0);
	assert_int_equal(unreadable(&fixture), 0);
	assert_int_equal(fixture_pin(&fixture, PINS + 1, "written again", NULL), 0);

	fixture_shell(&fixture, "rm $(cat name)");
	scrub(&fixture);
	assert_int_equal(damages(&fixture), 1);
	assert_int_equal(unreadable(&fixture), 0); /* it is open */
	mend(&fixture);
	scrub(&fixture);
	assert_int_equal(damages(&fixture), 0);
	fixture_drop(&fixture);
}

static int
accesses_get(struct node_fixture *fixture, uint64_t *count_out, struct zp_err *err)
{
	struct zp_key key = fixture_key(0);
	struct zp_accesses accesses = {0};
	int rc = zp_command_accesses_get(fixture->node, &key, &accesses, err);

	*count_out = accesses.count;
	return rc;
}

/* A read that meets several damaged files tells of one. When all are mended, one scrub is enough:
 * those that nobody told of are opened anew too. */
static void
what_was_never_told_is_mended_too(void **state)
{
	struct zp_write write = {
	    .kind = ZP_WRITE_ACCESS, .key = fixture_key(0), .accesses = {.count = 5}};
	struct node_fixture fixture = {0};
	struct zp_err err = {0};
	uint64_t count;

	(void)state;
	fixture_make(&fixture, 1);
	fixture_close(&fixture);
	fixture.options.accesses_mode = ZP_ACCESSES_EXACT;
	fixture_open(&fixture);
	assert_int_equal(fixture_pin(&fixture, 0, "", NULL), 0);
	for (unsigned i = 0; i < 2; i++) { /* a file of accesses each */
		assert_int_equal(fixture_write(&fixture, &write, NULL), 0);
		assert_int_equal(zp_command_checkpoint(fixture.node, NULL), 0);
	}
	fixture_close(&fixture);
	/* Files of family 5: of each the directory, as its footer says, is damaged. */
	fixture_shell(&fixture, "mkdir kept && cp -p shards/*/*.seg kept && python3 -c '"
				"import glob, struct\n"
				"for name in glob.glob(\"shards/*/*.seg\"):\n"
				"    d = bytearray(open(name, \"rb\").read())\n"
				"    at = struct.unpack_from(\"<Q\", d, len(d) - 384 + 256)[0]\n"
				"    d[at] ^= 16 if d[20] == 5 else 0\n"
				"    open(name + \".new\", \"wb\").write(d)' && "
				"for file in shards/*/*.seg; do mv -f $file.new $file; done");
	fixture_open(&fixture);
	assert_int_equal(accesses_get(&fixture, &count, NULL), ZP_E_CORRUPT);
	assert_int_equal(damages(&fixture), 1);
	assert_non_null(strstr(damage_text(&fixture), ".seg (digests ")); /* though nobody asked */
	assert_int_equal(newest_damage(&fixture), ZP_E_CORRUPT);
	fixture_shell(&fixture, "mv -f kept/*.seg shards/*/");
	scrub(&fixture);
	assert_int_equal(damages(&fixture), 0);
	if (accesses_get(&fixture, &count, &err) != ZP_OK)
		fail_msg("%s", err.text);
	assert_int_equal(count, 10);
	assert_int_equal(newest_damage(&fixture), ZP_OK);
	fixture_drop(&fixture);
}

/* Every kind of file, each in its first and last byte. The node serves all the while, and writes
 * its own files again, which are in memory. */
static void
every_kind_of_file_is_read(void **state)
{
	static const char *const kinds[] = {"shards/*/*.seg", "shards/*/manifest-*",
	    "shards/*/*.tab", "journal/checkpoint-*", "journal/map-*", "journal/copy-of-map-*"};
	const size_t own = 3; /* from there on */
	struct node_fixture fixture;

	(void)state;
	node_make(&fixture);
	for (size_t i = 0; i < 2 * ZP_ARRAY_COUNT(kinds); i++) {
		const char *name;
		char expected[160] = "";
		FILE *file;

		flip(&fixture, kinds[i / 2], (double)(i % 2));
		scrub(&fixture);
		snprintf(expected, sizeof(expected), "%s/name", fixture.root);
		file = fopen(expected, "r");
		assert_non_null(file);
		assert_non_null(fgets(expected, sizeof(expected), file));
		fclose(file);
		expected[strcspn(expected, "\n")] = '\0';
		name = strrchr(expected, '/') + 1;
		if (i / 2 < own
			? damages(&fixture) != 1 || strstr(damage_text(&fixture), name) == NULL
			: damages(&fixture) != 0 || !fixture_told(&fixture, name))
			fail_msg("%s: %llu damages are known", expected,
			    (unsigned long long)damages(&fixture));
		assert_int_equal(fixture_pin(&fixture, PINS + i, "", NULL), 0);
		if (i / 2 < own)
			mend(&fixture);
		scrub(&fixture);
		assert_int_equal(damages(&fixture), 0);
	}
	assert_int_equal(unreadable(&fixture), 0);
	fixture_drop(&fixture);
}

static uint64_t
verify_damages(struct node_fixture *fixture)
{
	struct zp_verify_report report = {0};

	if (zp_command_verify(
		fixture->node, &(struct zp_verify_options){.deep = true}, &report, NULL) == ZP_OK)
		assert_int_equal(report.damages, 0);
	return report.damages;
}

/* Somebody removes files under a running node. What it has in memory it writes again, of what it
 * has open only it says so; a stop costs nothing. */
static void
what_is_removed_comes_back(void **state)
{
	static const char *const gone[] = {
	    "journal/*map-*", "journal/checkpoint-*", "journal/mark", "shards/*/manifest-*"};
	struct node_fixture fixture;

	(void)state;
	node_make(&fixture);
	fixture_close(&fixture);
	fixture.options.no_sync = false; /* which has no mark */
	fixture_open(&fixture);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(gone); i++) {
		for (unsigned round = 0; round < 3; round++) {
			fixture_shell(&fixture, "rm %s", gone[i]);
			if (round == 0)
				scrub(&fixture);
			else if (round == 1)
				verify_damages(&fixture);
			fixture_close(&fixture);
			fixture_open(&fixture);
			assert_int_equal(verify_damages(&fixture), 0);
			assert_int_equal(unreadable(&fixture), 0);
		}
	}
	/* A segment is open, and found to be gone. */
	fixture_shell(&fixture, "mkdir kept && mv shards/*/*.seg kept");
	assert_int_equal(unreadable(&fixture), 0);
	assert_true(verify_damages(&fixture) > 0);
	fixture_shell(&fixture, "for d in shards/*; do cp kept/*.seg $d; done");
	assert_int_equal(verify_damages(&fixture), 0);
	fixture_drop(&fixture);
}

/* Also of the journal itself: the newest of several files, none of which a checkpoint covers. */
static void
a_removed_journal_comes_back(void **state)
{
	struct command__seam seam = {.journal_file_bytes = 4096};
	struct node_fixture fixture;

	(void)state;
	fixture_make(&fixture, SHARDS);
	for (unsigned round = 0; round < 2; round++) {
		fixture_close(&fixture);
		assert_int_equal(
		    command__node_open(&fixture.options, &seam, &fixture.node, NULL), ZP_OK);
		for (uint64_t n = 0; n < PINS / 10; n++)
			assert_int_equal(fixture_pin(&fixture, n, round == 0 ? "a" : "b", NULL), 0);
		fixture_shell(&fixture, "test $(ls journal/journal-* | wc -l) -gt 2");
		fixture_shell(&fixture, round == 0
					    ? "rm $(ls journal/journal-* | tail -1)"
					    : "truncate -s 100 $(ls journal/journal-* | tail -1)");
		fixture_close(&fixture);
		fixture_open(&fixture);
		assert_int_equal(fixture_count(&fixture), PINS / 10);
		assert_string_equal(fixture_name(&fixture, PINS / 10 - 1), round == 0 ? "a" : "b");
	}
	fixture_drop(&fixture);
}

/* A checkpoint that cannot write a shard's newest manifest again says so, and the journal stays. */
static void
the_journal_stays_while_a_manifest_is_gone(void **state)
{
	struct node_fixture fixture;
	struct zp_engine *engine;
	unsigned long long shard, number;

	(void)state;
	node_make(&fixture);
	engine = zp_shards_engine(fixture.node->shards, 0);
	shard = zp_shards_map(fixture.node->shards)->ranges[0].id;
	number = zp_engine_manifest_number(engine);
	/* Nothing can get the names that would be next. */
	for (unsigned i = 1; i < 10; i++)
		fixture_shell(
		    &fixture, "mkdir -p shards/%016llx/manifest-%016llx/x", shard, number + i);
	fixture_shell(&fixture,
	    "rm shards/%016llx/manifest-%016llx && ls journal/journal-* > before", shard, number);
	for (unsigned i = 0; i < 4; i++) {
		struct zp_err err = {0};

		assert_true(zp_command_checkpoint(fixture.node, &err) < 0);
		assert_non_null(strstr(err.text, "manifest"));
	}
	fixture_shell(&fixture, "ls journal/journal-* | diff - before");
	fixture_shell(&fixture, "rm -r shards/%016llx/manifest-*/", shard);
	assert_int_equal(zp_command_checkpoint(fixture.node, NULL), ZP_OK);
	fixture_shell(&fixture, "! ls journal/journal-* | diff -q - before"); /* then it goes */
	fixture_close(&fixture);
	fixture_open(&fixture);
	assert_int_equal(unreadable(&fixture), 0);
	fixture_drop(&fixture);
}

/* The journal has what memory has and no file yet. A batch of it that is damaged is saved by the
 * scrub: the node as it then stands on the disk opens, with every pin. */
static void
a_damaged_journal_is_saved(void **state)
{
	struct node_fixture fixture, copy;

	(void)state;
	fixture_make(&fixture, SHARDS);
	for (uint64_t n = 0; n < PINS; n++)
		assert_int_equal(fixture_pin(&fixture, n, "", NULL), 0);
	flip(&fixture, "journal/journal-*", 0.5);
	scrub(&fixture);
	assert_true(fixture_told(&fixture, ".log: batch "));
	assert_int_equal(damages(&fixture), 0);
	assert_int_equal(fixture_pin(&fixture, PINS, "", NULL), 0);

	copy = fixture;
	strcpy(copy.root, "/tmp/zpin-test-XXXXXX");
	assert_non_null(mkdtemp(copy.root));
	copy.options.root = copy.root;
	copy.options.log_context = &copy;
	fixture_shell(&fixture, "cp -r journal shards %s/", copy.root);
	fixture_open(&copy);
	assert_int_equal(fixture_count(&copy), PINS + 1);
	fixture_close(&copy);
	fixture_shell(&copy, "rm -rf .");
	fixture_drop(&fixture);
}

/* At a byte a second a pass is at its first read for ever: the node works beside it, and it can be
 * paused, sped up and ended. */
static void
a_scrub_holds_nothing_up(void **state)
{
	struct node_fixture fixture;
	struct zp_scrub_facts facts;

	(void)state;
	node_make(&fixture);
	assert_int_equal(zp_command_scrub_pause(fixture.node, NULL), ZP_E_INVALID);
	assert_int_equal(zp_command_scrub_start(fixture.node, 0, NULL), ZP_E_INVALID);
	assert_int_equal(zp_command_scrub_start(fixture.node, 1, NULL), 0);
	while (facts_of(&fixture).pass_bytes == 0)
		usleep(1000);
	for (uint64_t n = PINS; n < PINS + 10; n++) {
		assert_int_equal(fixture_pin(&fixture, n, "", NULL), 0);
		assert_int_equal(zp_command_checkpoint(fixture.node, NULL), 0);
	}
	assert_int_equal(zp_command_settle(fixture.node, NULL), 0);
	assert_int_equal(unreadable(&fixture), 0);
	facts = facts_of(&fixture);
	assert_true(facts.is_running && !facts.is_paused && facts.shards_done == 0);
	assert_true(facts.begun_microseconds != 0 && facts.passes == 0);

	assert_int_equal(zp_command_scrub_pause(fixture.node, NULL), 0);
	assert_true(facts_of(&fixture).is_paused);
	scrub(&fixture); /* goes on, faster */
	assert_false(facts_of(&fixture).is_running);

	assert_int_equal(zp_command_scrub_start(fixture.node, 1, NULL), 0);
	while (facts_of(&fixture).pass_bytes == 0)
		usleep(1000);
	assert_int_equal(zp_command_scrub_stop(fixture.node, NULL), 0);
	assert_false(facts_of(&fixture).is_running);
	while (facts_of(&fixture).begun_microseconds != 0)
		usleep(1000);
	assert_int_equal(facts_of(&fixture).passes, 1);
	fixture_drop(&fixture);
}

/* What is read is not what somebody asked for. */
static void
a_scrub_leaves_the_caches_alone(void **state)
{
	struct node_fixture fixture;
	struct zp_node_facts before, after;

	(void)state;
	node_make(&fixture);
	fixture_close(&fixture);
	fixture.options.block_cache_bytes_max = 16u << 20;
	fixture.options.texts_cache_bytes_max = 4u << 20;
	fixture_open(&fixture);
	for (uint64_t n = 0; n < 10; n++)
		assert_int_equal(get(&fixture, n), ZP_OK);
	zp_node_facts_get(fixture.node, &before);
	scrub(&fixture);
	zp_node_facts_get(fixture.node, &after);
	assert_int_equal(after.block_cache_bytes, before.block_cache_bytes);
	assert_int_equal(after.texts_cache_bytes, before.texts_cache_bytes);
	assert_true(facts_of(&fixture).bytes > after.engines.disk_bytes);
	fixture_drop(&fixture);
}

/* A pass that was cut goes on, the next after a whole one has time, and after damage has not. */
static void
it_knows_how_far_it_was(void **state)
{
	struct node_fixture fixture;
	struct zp_scrub_facts facts;
	int64_t ended, begun, minute = 60 * INT64_C(1000000);
	char pattern[64];

	(void)state;
	node_make(&fixture);
	fixture_close(&fixture);
	fixture.options.scrub_bytes_per_second = 1;
	fixture.options.scrub_interval_seconds = WEEK_SECONDS;
	fixture_open(&fixture);
	facts = facts_of(&fixture);
	assert_true(facts.is_automatic && !facts.is_running);
	assert_true(facts.next_microseconds <= zp_clock_realtime_us() + minute);
	scrub(&fixture);
	ended = facts_of(&fixture).last_ended_microseconds;
	assert_true(ended != 0);
	fixture_close(&fixture);
	fixture_open(&fixture);
	facts = facts_of(&fixture);
	assert_int_equal(facts.last_ended_microseconds, ended);
	assert_true(facts.next_microseconds > zp_clock_realtime_us() + 10 * minute);

	/* Through its first shard, which is all that it may read, and cut in the next. */
	assert_int_equal(zp_command_scrub_start(fixture.node, 1, NULL), 0);
	while (facts_of(&fixture).pass_bytes == 0)
		usleep(1000);
	begun = facts_of(&fixture).begun_microseconds;
	fixture_close(&fixture);
	fixture_open(&fixture);
	facts = facts_of(&fixture);
	assert_int_equal(facts.begun_microseconds, begun);
	assert_int_equal(facts.last_ended_microseconds, ended);
	assert_true(facts.next_microseconds <= zp_clock_realtime_us() + minute);
	scrub(&fixture);
	assert_int_equal(facts_of(&fixture).last_begun_microseconds, begun);

	shard_pattern(&fixture, "*.seg", pattern);
	flip(&fixture, pattern, 0.5);
	scrub(&fixture);
	fixture_close(&fixture);
	fixture_open(&fixture);
	assert_int_equal(damages(&fixture), 0); /* not met yet */
	assert_true(facts_of(&fixture).next_microseconds <= zp_clock_realtime_us() + minute);
	fixture_drop(&fixture);
}

/* The file of its state: what is written is read, and anything else is no reason not to open. */
static void
its_state_is_only_a_help(void **state)
{
	struct command__scrub_state first = {.last_begun_us = 1,
					.last_ended_us = 2,
					.begun_us = 3,
					.first_shard = 4,
					.next_shard = 5,
					.damaged_count = 2},
				    again;
	struct node_fixture fixture;
	ZP_AUTO_BUF(file, 4096);

	(void)state;
	first.damaged = zp_alloc(2 * sizeof(first.damaged[0]));
	first.damaged[0] = 6;
	first.damaged[1] = UINT64_MAX;
	command__scrub_state_encode(&first, &file);
	assert_int_equal(command__scrub_state_decode(zp_buf_slice(&file), &again, NULL), 0);
	assert_int_equal(again.last_begun_us, 1);
	assert_int_equal(again.last_ended_us, 2);
	assert_int_equal(again.begun_us, 3);
	assert_int_equal(again.first_shard, 4);
	assert_int_equal(again.next_shard, 5);
	assert_int_equal(again.damaged_count, 2);
	assert_memory_equal(again.damaged, first.damaged, 16);
	command__scrub_state_done(&first);
	command__scrub_state_done(&again);

	node_make(&fixture);
	scrub(&fixture);
	flip(&fixture, "journal/scrub", 0.7);
	fixture_close(&fixture);
	fixture_open(&fixture);
	assert_true(fixture_told(&fixture, "journal/scrub"));
	assert_int_equal(facts_of(&fixture).last_ended_microseconds, 0);
	scrub(&fixture);
	assert_int_equal(damages(&fixture), 0);
	fixture_drop(&fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_damaged_block_is_found_and_mended),
	    cmocka_unit_test(a_file_is_found_again),
	    cmocka_unit_test(what_was_never_told_is_mended_too),
	    cmocka_unit_test(every_kind_of_file_is_read),
	    cmocka_unit_test(what_is_removed_comes_back),
	    cmocka_unit_test(a_removed_journal_comes_back),
	    cmocka_unit_test(the_journal_stays_while_a_manifest_is_gone),
	    cmocka_unit_test(a_damaged_journal_is_saved),
	    cmocka_unit_test(a_scrub_holds_nothing_up),
	    cmocka_unit_test(a_scrub_leaves_the_caches_alone),
	    cmocka_unit_test(it_knows_how_far_it_was),
	    cmocka_unit_test(its_state_is_only_a_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
