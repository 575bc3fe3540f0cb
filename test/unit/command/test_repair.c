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

	if (zp_node_repair(&fixture->options, accept_loss, &report, &err) < 0)
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

/* ---- Lists that are lost ----------------------------------------------------------------------
 */

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
	assert_int_equal(zp_node_repair(&fixture.options, true, &report, &err), ZP_E_CORRUPT);
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
	    cmocka_unit_test(a_repair_can_be_repeated),
	    cmocka_unit_test(lost_lists_have_stand_ins),
	    cmocka_unit_test(a_suspended_shard_forbids_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
