/*
 * test_repair.c - giving up what is lost of a journal costs that and nothing else.
 *
 * Method: every pin is a commit and so a batch of its own, in small files; a batch is damaged, or a
 * file removed, in a node that was killed, and afterwards exactly the pins of those are missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node_fixture.h"

#define PINS 60u
#define FILE_BYTES 2000u

/* A node of 2 shards that was killed with all its pins in the journal alone. */
static void
killed_make(struct node_fixture *fixture)
{
	struct command__seam seam = {.journal_file_bytes = FILE_BYTES};
	struct zp_err err = {0};

	fixture_make(fixture, 2);
	fixture_close(fixture);
	fixture->options.no_sync = false; /* else there is no mark */
	assert_int_equal(command__node_open(&fixture->options, &seam, &fixture->node, &err), 0);
	for (uint64_t n = 0; n < PINS; n++)
		assert_int_equal(fixture_pin(fixture, n, "a", &err), 0);
	fixture_shell(
	    fixture, "mkdir ../$(basename $PWD).copy && cp -a . ../$(basename $PWD).copy/");
	fixture_close(fixture);
	fixture_shell(fixture, "rm -rf ./* && mv ../$(basename $PWD).copy/* . && rmdir "
			       "../$(basename $PWD).copy");
}

static void
byte_flip(const struct node_fixture *fixture, const char *name, long offset)
{
	char path[300];
	FILE *file;
	int byte;

	snprintf(path, sizeof(path), "%s/%s", fixture->root, name);
	file = fopen(path, "r+b");
	assert_non_null(file);
	assert_int_equal(fseek(file, offset, SEEK_SET), 0);
	byte = fgetc(file);
	assert_int_equal(fseek(file, offset, SEEK_SET), 0);
	assert_int_equal(fputc(byte ^ 1, file), byte ^ 1);
	assert_int_equal(fclose(file), 0);
}

static struct zp_repair_report
repair(const struct node_fixture *fixture, bool accept_loss)
{
	struct zp_repair_report report;
	struct zp_err err = {0};

	if (zp_node_repair(&fixture->options,
		&(struct zp_repair_options){.accept_loss = accept_loss}, &report, &err) < 0)
		fail_msg("%s", err.text);
	return report;
}

/* Opens; how many of the pins are there, each as it was. */
static uint64_t
pins_left(struct node_fixture *fixture)
{
	uint64_t left = 0;

	fixture_open(fixture);
	for (uint64_t n = 0; n < PINS; n++) {
		const char *name = fixture_name(fixture, n);

		if (name == NULL)
			continue;
		assert_string_equal(name, "a");
		left++;
	}
	assert_int_equal(fixture_count(fixture), left);
	assert_int_equal(fixture_list_count(fixture), left);
	return left;
}

static void
one_damaged_batch_costs_its_pin(void **state)
{
	struct node_fixture fixture;
	struct zp_repair_report report;
	struct zp_err err = {0};

	killed_make(&fixture);
	byte_flip(&fixture, "journal/journal-0000000000000001.log", 400);
	fixture_shell(&fixture, "find . -type f -exec sha256sum {} + | sort > ../before.$PPID");
	assert_int_equal(fixture_try_open(&fixture, &err), ZP_E_CORRUPT);
	report = repair(&fixture, false);
	assert_non_null(strstr(report.damage, "damaged"));
	assert_int_equal(report.journal.batches, PINS - 1);
	assert_int_equal(report.journal.missing, 1);
	assert_false(report.is_repaired);
	/* A look changes nothing. */
	fixture_shell(&fixture,
	    "find . -type f -exec sha256sum {} + | sort | cmp - ../before.$PPID "
	    "&& rm ../before.$PPID");
	report = repair(&fixture, true);
	assert_true(report.is_repaired);
	assert_int_equal(report.replayed_records, PINS - 1);
	fixture_shell(&fixture, "test -f journal-before-repair-*/mark");
	assert_int_equal(pins_left(&fixture), PINS - 1);
	/* And the node goes on, over a restart too. */
	for (uint64_t n = 0; n < PINS; n++)
		assert_int_equal(fixture_pin(&fixture, n, "a", &err), 0);
	fixture_close(&fixture);
	assert_string_equal(repair(&fixture, true).damage, "");
	assert_int_equal(pins_left(&fixture), PINS);
	fixture_drop(&fixture);
}

/* A file in the middle, then the newest one, which only the mark knows of. */
static void
lost_files_cost_their_pins(void **state)
{
	struct node_fixture fixture;
	struct zp_repair_report report;
	struct zp_err err = {0};

	for (int newest = 0; newest < 2; newest++) {
		killed_make(&fixture);
		fixture_shell(
		    &fixture, "rm $(ls journal/*.log | %s)", newest ? "tail -1" : "sed -n 2p");
		assert_int_equal(fixture_try_open(&fixture, &err), ZP_E_CORRUPT);
		report = repair(&fixture, true);
		assert_true(report.journal.missing > 0 && report.journal.missing < PINS / 2);
		assert_int_equal(report.journal.batches + report.journal.missing, PINS);
		assert_int_equal(pins_left(&fixture), report.journal.batches);
		fixture_drop(&fixture);
	}
}

/* The journal's end is gone, and the mark that named it: the numbers of the batches that were lost
 * are not given to others. */
static void
no_number_comes_again(void **state)
{
	struct node_fixture fixture;
	struct zp_node_facts facts;
	struct zp_err err = {0};
	uint64_t last;

	killed_make(&fixture);
	fixture_shell(&fixture, "cp -a . ../copy.$PPID");
	fixture_open(&fixture);
	zp_node_facts_get(fixture.node, &facts);
	last = facts.journal.last_batch;
	fixture_close(&fixture);
	fixture_shell(&fixture, "rm -rf ./* && mv ../copy.$PPID/* . && rmdir ../copy.$PPID");
	fixture_shell(&fixture, "rm journal/mark $(ls journal/*.log | tail -3)");
	byte_flip(&fixture, "journal/journal-0000000000000001.log", 400);
	assert_true(repair(&fixture, true).journal.last_known < last);
	fixture_open(&fixture);
	assert_int_equal(fixture_pin(&fixture, 1000, "b", &err), 0);
	zp_node_facts_get(fixture.node, &facts);
	assert_true(facts.journal.first_batch > last);
	fixture_drop(&fixture);
}

/* Cut short before the old files went: the node is refused until it is repeated, which adds
 * nothing. */
static void
a_repair_can_be_repeated(void **state)
{
	struct node_fixture fixture;
	struct zp_repair_report report;
	struct zp_err err = {0};

	killed_make(&fixture);
	byte_flip(&fixture, "journal/journal-0000000000000001.log", 400);
	report = repair(&fixture, true);
	fixture_shell(&fixture, "mv %s/* journal/", report.kept_in);
	assert_int_equal(fixture_try_open(&fixture, &err), ZP_E_CORRUPT);
	report = repair(&fixture, true);
	assert_true(report.is_repaired);
	assert_int_equal(report.replayed_records, 0);
	assert_int_equal(pins_left(&fixture), PINS - 1);
	fixture_drop(&fixture);
}

/* ---- Lists that are lost --------------------------------------------------------------------- */

static void
pin_allocated(struct node_fixture *fixture, uint64_t n, uint8_t peer)
{
	uint8_t binary[4] = {0, 2, 'p', peer};
	struct zp_slice allocations[] = {{binary, sizeof(binary)}};
	struct zp_write write = {.kind = ZP_WRITE_IMPORT, .key = fixture_key(n)};
	struct zp_err err = {0};

	write.record = fixture_record("a", &fixture->texts);
	write.allocations = allocations;
	write.allocations_count = 1;
	assert_int_equal(fixture_write(fixture, &write, &err), 0);
}

/* The allocations of pin n as JSON. */
static struct zp_slice
allocations_of(struct node_fixture *fixture, uint64_t n)
{
	struct zp_key key = fixture_key(n);
	struct zp_record record;
	struct zp_slice json;
	struct zp_err err = {0};

	assert_int_equal(
	    zp_command_get(fixture->node, &key, fixture->scratch, &fixture->texts, &record, &err),
	    0);
	if (zp_tables_allocations_json(
		zp_node_tables(fixture->node), record.facts[ZP_FACT_ALLOCATIONS], &json, &err) < 0)
		fail_msg("%s", err.text);
	return json;
}

/* The batch that gave peer and list 1 is lost: what names them gets a stand-in, and the ids of peer
 * and list 2, and of those that come after, stay what they are. */
static void
lost_lists_have_stand_ins(void **state)
{
	struct node_fixture fixture;
	struct zp_repair_report report;
	struct zp_slice first, second, third;

	fixture_make(&fixture, 2);
	pin_allocated(&fixture, 0, '1');
	pin_allocated(&fixture, 1, '1');
	pin_allocated(&fixture, 2, '2');
	fixture_shell(&fixture, "cp -a . ../copy.$PPID");
	fixture_close(&fixture);
	fixture_shell(&fixture, "rm -rf ./* && mv ../copy.$PPID/* . && rmdir ../copy.$PPID");
	byte_flip(&fixture, "journal/journal-0000000000000001.log", 200);
	report = repair(&fixture, true);
	assert_int_equal(report.journal.missing, 1);
	assert_int_equal(report.lost_lists, 1);
	fixture_open(&fixture);
	assert_int_equal(fixture_count(&fixture), 2);
	first = allocations_of(&fixture, 1);
	second = allocations_of(&fixture, 2);
	assert_false(zp_slice_equal(first, second));
	pin_allocated(&fixture, 3, '3');
	third = allocations_of(&fixture, 3);
	assert_false(zp_slice_equal(first, third) || zp_slice_equal(second, third));
	fixture_drop(&fixture);
}

static void
node_kill(struct node_fixture *fixture)
{
	fixture_shell(fixture, "cp -a . ../copy.$PPID");
	fixture_close(fixture);
	fixture_shell(fixture, "rm -rf ./* && mv ../copy.$PPID/* . && rmdir ../copy.$PPID");
}

/* Appends a record to the journal of a node that is not open. */
static void
record_append(const struct node_fixture *fixture, const struct zp_journal_record *record)
{
	struct zp_store_directory_options directory = {0};
	struct zp_shards_options options = {.root = fixture->root, .read_only = true};
	struct zp_journal_options journal_options = {.node = 1, .epoch = 1};
	ZP_AUTO_BUF(records, 4096);
	struct zp_journal *journal;
	struct zp_shards *shards;
	struct zp_err err = {0};
	char path[128];

	snprintf(path, sizeof(path), "%s/journal", fixture->root);
	assert_int_equal(zp_store_directory_open(path, &directory, &options.store, NULL), 0);
	assert_int_equal(zp_shards_open(&options, &shards, NULL), 0);
	journal_options.store = options.store;
	journal_options.node = zp_shards_map(shards)->node;
	journal_options.first_batch = zp_shards_newest(shards)->batch + 1;
	journal_options.file_bytes = FILE_BYTES;
	memcpy(journal_options.cluster_id, zp_shards_map(shards)->cluster_id, 16);
	if (zp_journal_open(&journal_options, &journal, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(zp_journal_record_append(&records, record, NULL), 0);
	assert_int_equal(zp_journal_append(journal, ZP_JOURNAL_RECORDS, NULL,
			     zp_buf_slice(&records), 1, 1, NULL, NULL),
	    0);
	assert_int_equal(zp_journal_commit(journal, NULL), 0);
	zp_journal_close(journal);
	zp_shards_close(shards);
	zp_store_close(options.store);
}

/* Damages the batch with this text in it. */
static void
batch_spoil(const struct node_fixture *fixture, const char *text)
{
	fixture_shell(
	    fixture, "sed -i 's/%s/%.*s_/' journal/journal-*", text, (int)strlen(text) - 1, text);
}

static void
pin_listed(struct node_fixture *fixture, uint64_t n, const char *name, const char *peers)
{
	uint8_t binary[4][4];
	struct zp_slice allocations[4];
	struct zp_write write = {.kind = ZP_WRITE_IMPORT, .key = fixture_key(n)};
	struct zp_err err = {0};

	for (size_t i = 0; peers[i] != '\0'; i++) {
		memcpy(binary[i], (uint8_t[]){0, 2, 'p', (uint8_t)peers[i]}, 4);
		allocations[i] = (struct zp_slice){binary[i], 4};
		write.allocations_count++;
	}
	write.record = fixture_record(name, &fixture->texts);
	write.allocations = allocations;
	assert_int_equal(fixture_write(fixture, &write, &err), 0);
}

/* A list that is lost, of peers that are not, and a new peer behind it: the list's stand-in must
 * not have that peer's id. */
static void
a_stand_in_takes_no_id_of_a_peer(void **state)
{
	struct node_fixture fixture;
	struct zp_repair_report report;
	struct zp_slice json;

	fixture_make(&fixture, 2);
	pin_listed(&fixture, 0, "first", "12");
	pin_listed(&fixture, 1, "second", "21");
	pin_listed(&fixture, 2, "third", "21");
	pin_listed(&fixture, 3, "fourth", "3");
	node_kill(&fixture);
	batch_spoil(&fixture, "second");
	report = repair(&fixture, true);
	assert_int_equal(report.journal.missing, 1);
	assert_int_equal(report.lost_lists, 1);
	assert_int_equal(report.lost_peers, 1);
	fixture_open(&fixture);
	assert_int_equal(fixture_count(&fixture), 3);
	json = allocations_of(&fixture, 0);
	assert_non_null(memchr(json.data, ',', json.length));
	assert_false(zp_slice_equal(allocations_of(&fixture, 2), allocations_of(&fixture, 3)));
	json = allocations_of(&fixture, 3);
	pin_allocated(&fixture, 4, '3');
	assert_true(zp_slice_equal(json, allocations_of(&fixture, 4)));
	fixture_drop(&fixture);
}

/* A repair that put stand-ins into files is cut short, and repeated with a better copy of the
 * journal: what is real takes their places, and a list that is still lost does not get another's
 * peer. */
static void
what_comes_after_all_takes_its_place(void **state)
{
	for (int better = 0; better < 2; better++) {
		struct zp_journal_record stranger = {.shard_id = 12345, .operation = ZP_OP_DELETE};
		struct zp_key key = fixture_key(0);
		struct node_fixture fixture;
		struct zp_repair_report report;
		struct zp_slice json;
		struct zp_err err = {0};
		ZP_AUTO_BUF(payload, 4096);

		fixture_make(&fixture, 2);
		pin_listed(&fixture, 0, "first", "12");
		pin_listed(&fixture, 1, "second", "21"); /* list 2 */
		pin_listed(&fixture, 2, "third", "21");
		pin_listed(&fixture, 3, "fourth", "3"); /* peer 3, list 3 */
		pin_listed(&fixture, 4, "fifth", "3");
		node_kill(&fixture);
		fixture_shell(&fixture, "cp -a journal good");
		zp_shard_delete_encode(&key, &payload);
		stranger.payload = zp_buf_slice(&payload);
		/* Such a record ends the repair when all before it is in files. */
		record_append(&fixture, &stranger);
		batch_spoil(&fixture, "second");
		batch_spoil(&fixture, "fourth");
		fixture.options.memtable_bytes_max = 1;
		assert_int_equal(
		    zp_node_repair(&fixture.options,
			&(struct zp_repair_options){.accept_loss = true}, &report, &err),
		    ZP_E_CORRUPT);
		fixture.options.memtable_bytes_max = 0;
		fixture_shell(
		    &fixture, "ls shards/*/*.tab > /dev/null && rm -r journal && mv good journal");
		if (better == 0) { /* all of it */
			fixture_open(&fixture);
			assert_int_equal(fixture_count(&fixture), 5);
			pin_listed(&fixture, 5, "second again", "21");
			assert_true(zp_slice_equal(
			    allocations_of(&fixture, 1), allocations_of(&fixture, 5)));
		} else { /* list 2 is lost still, peer 3 is not */
			batch_spoil(&fixture, "second");
			report = repair(&fixture, true);
			assert_int_equal(report.journal.missing, 1);
			fixture_open(&fixture);
			assert_int_equal(fixture_count(&fixture), 4);
		}
		json = allocations_of(&fixture, 0);
		assert_non_null(memchr(json.data, ',', json.length));
		pin_listed(&fixture, 6, "sixth", "3");
		assert_true(
		    zp_slice_equal(allocations_of(&fixture, 4), allocations_of(&fixture, 6)));
		assert_true(
		    zp_slice_equal(allocations_of(&fixture, 3), allocations_of(&fixture, 6)));
		assert_false(
		    zp_slice_equal(allocations_of(&fixture, 2), allocations_of(&fixture, 6)));
		/* And over a restart, from the files. */
		fixture_close(&fixture);
		fixture_open(&fixture);
		assert_true(
		    zp_slice_equal(allocations_of(&fixture, 4), allocations_of(&fixture, 6)));
		assert_false(
		    zp_slice_equal(allocations_of(&fixture, 2), allocations_of(&fixture, 6)));
		fixture_drop(&fixture);
	}
}

/* What names a peer whose batch is lost: a move to it, and a status at it. */
static void
lost_peers_have_stand_ins(void **state)
{
	enum { MOVED, STATUS, STATUS_END, CASES };

	for (int which = 0; which < CASES; which++) {
		struct zp_track track = {.peer = 2, .status = ZP_TRACK_PIN_ERROR};
		struct zp_journal_record record = {.operation = ZP_OP_PEER_MOVED};
		struct zp_key key = fixture_key(0);
		const struct zp_shard_range *range;
		struct zp_repair_report report;
		struct node_fixture fixture;
		ZP_AUTO_BUF(payload, 4096);
		ZP_AUTO_BUF(texts, 4096);

		fixture_make(&fixture, 2);
		range = &zp_shards_map(fixture.node->shards)
			     ->ranges[zp_shard_map_find(zp_shards_map(fixture.node->shards), &key)];
		record.shard_id = which == MOVED ? 0 : range->id;
		record.incarnation = which == MOVED ? 0 : range->incarnation;
		pin_listed(&fixture, 0, "first", "1");
		pin_listed(&fixture, 1, "second", "2");
		node_kill(&fixture);
		zp_track_texts((struct zp_slice){0}, zp_slice_of("no"), &texts);
		track.texts = zp_buf_slice(&texts);
		if (which == MOVED) {
			zp_shard_peer_moved_encode(1, 2, &payload);
		} else if (which == STATUS) {
			record.operation = ZP_OP_TRACK;
			zp_shard_track_encode(&key, &track, &payload);
		} else {
			record.operation = ZP_OP_TRACK_END;
			zp_shard_track_end_encode(&key, 2, &payload);
		}
		record.payload = zp_buf_slice(&payload);
		record_append(&fixture, &record);
		batch_spoil(&fixture, "second");
		report = repair(&fixture, true);
		assert_int_equal(report.lost_peers, 1);
		fixture_open(&fixture);
		assert_int_equal(fixture_count(&fixture), 1);
		fixture_drop(&fixture);
	}
}

/* A repair that ends in an error has put some of what it replayed into files, for want of memory.
 * Whoever finds a good copy of the journal after all has every pin again. */
static void
a_repair_that_failed_hides_nothing(void **state)
{
	struct zp_journal_record stranger = {.shard_id = 12345, .operation = ZP_OP_DELETE};
	struct node_fixture fixture;
	struct zp_repair_report report;
	struct zp_key key = fixture_key(0);
	struct zp_err err = {0};
	ZP_AUTO_BUF(payload, 4096);

	killed_make(&fixture);
	fixture_shell(&fixture, "cp -a journal good");
	zp_shard_delete_encode(&key, &payload);
	stranger.payload = zp_buf_slice(&payload);
	record_append(&fixture, &stranger);
	byte_flip(&fixture, "journal/journal-0000000000000001.log", 400);
	fixture.options.memtable_bytes_max = 1;
	assert_int_equal(zp_node_repair(&fixture.options,
			     &(struct zp_repair_options){.accept_loss = true}, &report, &err),
	    ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, "not in the map"));
	fixture.options.memtable_bytes_max = 0;
	fixture_shell(
	    &fixture, "ls shards/*/*.seg > /dev/null && rm -r journal && mv good journal");
	assert_int_equal(pins_left(&fixture), PINS);
	fixture_drop(&fixture);
}

/* A suspended shard needs the journal that a repair would put away. */
static void
a_suspended_shard_forbids_it(void **state)
{
	struct node_fixture fixture;
	struct zp_repair_report report;
	struct zp_err err = {0};

	killed_make(&fixture);
	byte_flip(&fixture, "journal/journal-0000000000000001.log", 400);
	fixture_shell(&fixture, "mkdir saved && mv $(ls -d shards/* | head -1) saved/");
	assert_int_equal(zp_node_repair(&fixture.options,
			     &(struct zp_repair_options){.accept_loss = true}, &report, &err),
	    ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, "mend the shard first"));
	fixture_shell(&fixture, "mv saved/* shards/");
	assert_true(repair(&fixture, true).is_repaired);
	assert_int_equal(pins_left(&fixture), PINS - 1);
	fixture_drop(&fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(one_damaged_batch_costs_its_pin),
	    cmocka_unit_test(lost_files_cost_their_pins),
	    cmocka_unit_test(no_number_comes_again),
	    cmocka_unit_test(a_repair_can_be_repeated),
	    cmocka_unit_test(lost_lists_have_stand_ins),
	    cmocka_unit_test(a_stand_in_takes_no_id_of_a_peer),
	    cmocka_unit_test(what_comes_after_all_takes_its_place),
	    cmocka_unit_test(lost_peers_have_stand_ins),
	    cmocka_unit_test(a_repair_that_failed_hides_nothing),
	    cmocka_unit_test(a_suspended_shard_forbids_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
