/*
 * test_journal.c - what journal.h promises while nothing crashes.
 */
#include "journal_fixture.h"

struct fixture {
	struct sim_store *sim;
	struct zp_store *store;
	struct zp_journal_options options;
	struct zp_journal *journal;
};

static void
reopen(struct fixture *fixture)
{
	struct zp_err err = {0};

	zp_journal_close(fixture->journal);
	fixture->journal = NULL;
	assert_int_equal(zp_journal_open(&fixture->options, &fixture->journal, &err), 0);
}

static int
setup(void **state)
{
	struct fixture *fixture = zp_alloc_zero(1, sizeof(*fixture));

	fixture->sim = sim_store_new(1);
	assert_int_equal(sim_store_open(fixture->sim, FIXTURE_PATH, &fixture->store, NULL), 0);
	fixture->options = fixture_options(fixture->store);
	reopen(fixture);
	*state = fixture;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *fixture = *state;

	zp_journal_close(fixture->journal);
	zp_store_close(fixture->store);
	sim_store_free(fixture->sim);
	zp_free(fixture);
	return 0;
}

static struct zp_journal_facts
facts_of(const struct fixture *fixture)
{
	struct zp_journal_facts facts;

	zp_journal_facts_get(fixture->journal, &facts);
	return facts;
}

static void
append_and_commit(struct fixture *fixture, unsigned batches)
{
	for (unsigned i = 0; i < batches; i++) {
		assert_int_equal(fixture_append(fixture->journal, i, 10, NULL), 0);
		assert_int_equal(zp_journal_commit(fixture->journal, NULL), 0);
	}
}

/* An empty journal has no batches and no file; its first commit makes both. */
static void
empty_journal_is_empty(void **state)
{
	struct fixture *fixture = *state;
	struct zp_journal_facts facts = facts_of(fixture);

	assert_int_equal(facts.first_batch, 1);
	assert_int_equal(facts.last_batch, 0);
	assert_int_equal(facts.bytes, 0);
	assert_int_equal(zp_journal_commit(fixture->journal, NULL), 0);
	assert_int_equal(facts_of(fixture).syncs, 0);
	append_and_commit(fixture, 1);
	facts = facts_of(fixture);
	assert_int_equal(facts.first_batch, 1);
	assert_int_equal(facts.last_batch, 1);
	assert_int_equal(facts.bytes,
	    sim_store_file_bytes(fixture->sim, FIXTURE_PATH, "journal-0000000000000001.log"));
}

/* A batch for 1,024 shards, and 50 batches gathered together, are one write and one sync each; the
 * mark is another write and no sync. */
static void
many_shards_and_batches_are_one_sync(void **state)
{
	struct fixture *fixture = *state;
	ZP_AUTO_BUF(records, ZP_JOURNAL_BATCH_BYTES_MAX);
	uint64_t syncs;
	uint64_t writes;

	fixture->options.file_bytes = 1u << 30;
	reopen(fixture);
	append_and_commit(fixture, 1);
	syncs = sim_store_calls(fixture->sim, SIM_CALL_SYNC_FILE | SIM_CALL_SYNC_DIRECTORY);
	writes = sim_store_calls(fixture->sim, SIM_CALL_WRITE);
	for (uint64_t shard = 1; shard <= 1024; shard++) {
		struct zp_journal_record record = {
		    .shard_id = shard,
		    .operation = ZP_OP_PUT,
		    .payload = zp_slice_of("0123456789012345678901234567890123456789"),
		};

		assert_int_equal(zp_journal_record_append(&records, &record, NULL), 0);
	}
	assert_int_equal(zp_journal_append(fixture->journal, ZP_JOURNAL_RECORDS, NULL,
			     zp_buf_slice(&records), 1024, 0, NULL, NULL),
	    0);
	assert_int_equal(zp_journal_commit(fixture->journal, NULL), 0);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(fixture_append(fixture->journal, i, 10, NULL), 0);
	assert_int_equal(zp_journal_commit(fixture->journal, NULL), 0);
	assert_int_equal(
	    sim_store_calls(fixture->sim, SIM_CALL_SYNC_FILE | SIM_CALL_SYNC_DIRECTORY), syncs + 2);
	assert_int_equal(sim_store_calls(fixture->sim, SIM_CALL_WRITE), writes + 2 * 2);
	assert_int_equal(facts_of(fixture).last_batch, 52);
}

/* Everything of a batch comes back, over files and a reopening; the time never falls. */
static void
batches_come_back_whole(void **state)
{
	struct fixture *fixture = *state;
	struct zp_journal_origin origin = {.id = "0123456789abcde", .sequence = 99};
	struct zp_journal_reader *reader = NULL;
	struct zp_journal_batch batch;
	uint64_t number = 0;

	append_and_commit(fixture, 30);
	assert_int_equal(zp_journal_append(fixture->journal, ZP_JOURNAL_RECORDS, &origin,
			     (struct zp_slice){0}, 0, 5000, &number, NULL),
	    0);
	assert_int_equal(number, 31);
	assert_int_equal(fixture_append(fixture->journal, 31, 3, &number), 0); /* at time 1000 */
	assert_int_equal(zp_journal_commit(fixture->journal, NULL), 0);
	reopen(fixture);
	assert_int_equal(facts_of(fixture).last_time_microseconds, 5000);
	assert_int_equal(zp_journal_reader_open(fixture->journal, 1, &reader, NULL), 0);
	for (unsigned i = 0; i < 30; i++) {
		assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), 0);
		assert_int_equal(batch.number, i + 1);
		assert_int_equal(batch.epoch, 1);
		assert_int_equal(batch.time_microseconds, 1000);
		assert_true(fixture_batch_is(&batch, i, 10));
	}
	assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), 0);
	assert_memory_equal(&batch.origin.id, origin.id, sizeof(origin.id));
	assert_int_equal(batch.origin.sequence, 99);
	assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), 0);
	assert_int_equal(batch.time_microseconds, 5000);
	assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), ZP_END);
	zp_journal_reader_close(reader);
}

/* Records come back as they were, an unknown operation is of a newer zpin, a cut one is damage. */
static void
records_round_trip(void **state)
{
	ZP_AUTO_BUF(records, 1000);
	struct zp_journal_record in = {
	    .shard_id = UINT64_MAX - 1,
	    .incarnation = 0x12345678,
	    .operation = ZP_OP_EXPIRE,
	    .payload = zp_slice_of("payload"),
	};
	struct zp_journal_record out;
	size_t position = 0;

	(void)state;
	assert_int_equal(zp_journal_record_append(&records, &in, NULL), 0);
	assert_int_equal(zp_journal_record_next(zp_buf_slice(&records), &position, &out, NULL), 0);
	assert_int_equal(out.shard_id, in.shard_id);
	assert_int_equal(out.incarnation, in.incarnation);
	assert_int_equal(out.operation, in.operation);
	assert_true(zp_slice_equal(out.payload, in.payload));
	assert_int_equal(
	    zp_journal_record_next(zp_buf_slice(&records), &position, &out, NULL), ZP_END);
	for (size_t length = 1; length < records.length; length++) {
		struct zp_slice cut = {records.data, length};

		position = 0;
		assert_int_equal(zp_journal_record_next(cut, &position, &out, NULL), ZP_E_CORRUPT);
	}
	records.data[12] = 99;
	position = 0;
	assert_int_equal(
	    zp_journal_record_next(zp_buf_slice(&records), &position, &out, NULL), ZP_E_VERSION);
	in.payload.length = ZP_JOURNAL_RECORD_PAYLOAD_MAX + 1;
	assert_int_equal(zp_journal_record_append(&records, &in, NULL), ZP_E_TOO_LARGE);
}

/* What could not be read back is refused when it is appended, and changes nothing. */
static void
wrong_appends_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct zp_journal *journal = fixture->journal;
	ZP_AUTO_BUF(records, ZP_JOURNAL_BATCH_BYTES_MAX);
	struct zp_slice whole;
	struct zp_slice cut;
	struct zp_slice large;

	fixture_records(1, 10, &records);
	whole = zp_buf_slice(&records);
	cut = (struct zp_slice){whole.data, whole.length - 1};
	large = (struct zp_slice){whole.data, ZP_JOURNAL_BATCH_BYTES_MAX - 100};
	assert_int_equal(
	    zp_journal_append(journal, ZP_JOURNAL_RECORDS, NULL, whole, 9, 0, NULL, NULL),
	    ZP_E_INVALID);
	assert_int_equal(
	    zp_journal_append(journal, ZP_JOURNAL_RECORDS, NULL, cut, 10, 0, NULL, NULL),
	    ZP_E_INVALID);
	assert_int_equal(
	    zp_journal_append(journal, ZP_JOURNAL_OPEN, NULL, whole, 10, 0, NULL, NULL),
	    ZP_E_INVALID);
	assert_int_equal(
	    zp_journal_append(journal, ZP_JOURNAL_RECORDS, NULL, large, 10, 0, NULL, NULL),
	    ZP_E_TOO_LARGE);
	assert_int_equal(facts_of(fixture).is_broken, false);
	append_and_commit(fixture, 1);
	assert_int_equal(facts_of(fixture).last_batch, 1);
}

/* What waits for a commit has a limit, and a commit makes room. */
static void
gathering_has_a_limit(void **state)
{
	struct fixture *fixture = *state;
	unsigned gathered = 0;
	int rc;

	while ((rc = fixture_append(fixture->journal, 1, 15000, NULL)) == 0)
		gathered++;
	assert_int_equal(rc, ZP_E_FULL);
	assert_true(gathered > 32);
	assert_int_equal(zp_journal_commit(fixture->journal, NULL), 0);
	assert_int_equal(facts_of(fixture).last_batch, gathered);
	assert_int_equal(fixture_append(fixture->journal, 1, 15000, NULL), 0);
}

/* Trimming removes the files that are wholly covered, and readers are told; when that is all,
 * numbers and chain go on in an empty file. */
static void
trim_removes_whole_files(void **state)
{
	struct fixture *fixture = *state;
	struct zp_journal_reader *reader = NULL;
	struct zp_journal_batch batch;
	uint64_t bytes;

	append_and_commit(fixture, 40);
	bytes = facts_of(fixture).bytes;
	assert_int_equal(zp_journal_reader_open(fixture->journal, 1, &reader, NULL), 0);
	assert_int_equal(zp_journal_trim(fixture->journal, 20, NULL), 0);
	assert_true(facts_of(fixture).first_batch > 10 && facts_of(fixture).first_batch <= 21);
	assert_true(facts_of(fixture).bytes < bytes);
	assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), ZP_E_NOT_FOUND);
	zp_journal_reader_close(reader);
	assert_int_equal(
	    zp_journal_reader_open(fixture->journal, 1, &reader, NULL), ZP_E_NOT_FOUND);
	assert_int_equal(zp_journal_reader_open(fixture->journal, 42, &reader, NULL), ZP_E_INVALID);
	assert_int_equal(zp_journal_trim(fixture->journal, 1000, NULL), 0);
	assert_int_equal(facts_of(fixture).first_batch, 41);
	assert_int_equal(facts_of(fixture).last_batch, 40);
	bytes = facts_of(fixture).bytes;
	assert_int_equal(zp_journal_trim(fixture->journal, 1000, NULL), 0);
	assert_int_equal(facts_of(fixture).bytes, bytes); /* not one empty file after the other */
	reopen(fixture);
	append_and_commit(fixture, 1);
	assert_int_equal(facts_of(fixture).last_batch, 41);
	reopen(fixture);
	assert_int_equal(facts_of(fixture).last_batch, 41);
}

/* Behind a SEAL nothing of its epoch is taken, also after a reopening; the next epoch goes on. */
static void
seal_ends_its_epoch(void **state)
{
	struct fixture *fixture = *state;
	struct zp_journal_reader *reader = NULL;
	struct zp_journal_batch batch;
	struct zp_journal *old = NULL;

	append_and_commit(fixture, 1);
	assert_int_equal(zp_journal_seal(fixture->journal, 2000, NULL), 0);
	assert_int_equal(fixture_append(fixture->journal, 1, 1, NULL), ZP_E_READ_ONLY);
	reopen(fixture);
	assert_true(facts_of(fixture).is_sealed);
	assert_int_equal(fixture_append(fixture->journal, 1, 1, NULL), ZP_E_READ_ONLY);
	fixture->options.epoch = 2;
	reopen(fixture);
	assert_int_equal(zp_journal_append(fixture->journal, ZP_JOURNAL_OPEN, NULL,
			     (struct zp_slice){0}, 0, 0, NULL, NULL),
	    0);
	assert_int_equal(zp_journal_commit(fixture->journal, NULL), 0);
	assert_int_equal(zp_journal_reader_open(fixture->journal, 2, &reader, NULL), 0);
	assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), 0);
	assert_int_equal(batch.kind, ZP_JOURNAL_SEAL);
	assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), 0);
	assert_int_equal(batch.kind, ZP_JOURNAL_OPEN);
	assert_int_equal(batch.epoch, 2);
	assert_int_equal(batch.number, 3);
	zp_journal_reader_close(reader);
	fixture->options.epoch = 1;
	assert_int_equal(zp_journal_open(&fixture->options, &old, NULL), ZP_E_CONFLICT);
}

/* The first number is what the checkpoint leaves; a journal that ends before it lost something. */
static void
numbers_follow_the_checkpoint(void **state)
{
	struct fixture *fixture = *state;
	struct zp_journal *journal = NULL;

	fixture->options.first_batch = 101;
	reopen(fixture);
	assert_int_equal(facts_of(fixture).first_batch, 101);
	append_and_commit(fixture, 5);
	assert_int_equal(facts_of(fixture).last_batch, 105);
	fixture->options.first_batch = 106;
	reopen(fixture);
	fixture->options.first_batch = 107;
	assert_int_equal(zp_journal_open(&fixture->options, &journal, NULL), ZP_E_CORRUPT);
}

/* Read-only reads an unfinished end without cutting it, and appends nothing. */
static void
read_only_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	ZP_AUTO_BUF(bytes, 1u << 20);
	uint64_t changes;

	append_and_commit(fixture, 2);
	sim_store_file_get(fixture->sim, FIXTURE_PATH, "journal-0000000000000001.log", &bytes);
	sim_store_file_put(fixture->sim, FIXTURE_PATH, "journal-0000000000000001.log", bytes.data,
	    bytes.length - 1);
	sim_store_file_remove(fixture->sim, FIXTURE_PATH, "mark"); /* it would know better */
	fixture->options.read_only = true;
	reopen(fixture);
	changes = sim_store_calls(fixture->sim, SIM_CALL_CHANGES);
	reopen(fixture);
	assert_int_equal(facts_of(fixture).last_batch, 1);
	assert_true(facts_of(fixture).cut_bytes > 0);
	assert_int_equal(fixture_append(fixture->journal, 1, 1, NULL), ZP_E_READ_ONLY);
	assert_int_equal(sim_store_calls(fixture->sim, SIM_CALL_CHANGES), changes);
	assert_true(facts_of(fixture).mark_was_lost);
	assert_int_equal(
	    sim_store_file_bytes(fixture->sim, FIXTURE_PATH, "journal-0000000000000001.log"),
	    bytes.length - 1);
}

/* A commit whose sync failed is never acknowledged later, however well the disk is again. */
static void
failed_sync_is_never_acknowledged(void **state)
{
	struct fixture *fixture = *state;
	struct zp_err err = {0};

	append_and_commit(fixture, 3);
	assert_int_equal(fixture_append(fixture->journal, 77, 5, NULL), 0);
	sim_store_fail(fixture->sim, SIM_CALL_SYNC_FILE, 1, EIO);
	assert_int_equal(zp_journal_commit(fixture->journal, &err), ZP_E_IO);
	assert_non_null(strstr(err.text, "batches 4 to 4 is unknown"));
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(zp_journal_commit(fixture->journal, NULL), ZP_E_IO);
	assert_int_equal(fixture_append(fixture->journal, 78, 5, NULL), ZP_E_IO);
	assert_int_equal(zp_journal_seal(fixture->journal, 0, NULL), ZP_E_IO);
	assert_int_equal(facts_of(fixture).last_batch, 3);
	assert_true(facts_of(fixture).is_broken);
}

/* Opens the journal, then again after the power went; says what was the last batch each time. */
static void
last_batch_before_and_after_power_loss(struct fixture *fixture, uint64_t last_out[2])
{
	reopen(fixture);
	last_out[0] = facts_of(fixture).last_batch;
	zp_journal_close(fixture->journal);
	fixture->journal = NULL;
	zp_store_close(fixture->store);
	sim_store_crash(fixture->sim, SIM_CRASH_LOSE);
	assert_int_equal(sim_store_open(fixture->sim, FIXTURE_PATH, &fixture->store, NULL), 0);
	fixture->options.store = fixture->store;
	reopen(fixture);
	last_out[1] = facts_of(fixture).last_batch;
}

/*
 * What opening finds after a failed sync is on the disk from then on: the cache calls it clean, so
 * only writing it again brings it there. Many times, for a failed sync leaves a random part.
 */
static void
found_after_a_failed_sync_is_durable(void **state)
{
	struct fixture *fixture = *state;

	fixture->options.file_bytes = 1u << 20;
	reopen(fixture);
	for (unsigned i = 0; i < 20; i++) {
		uint64_t last[2];

		append_and_commit(fixture, 3);
		assert_int_equal(fixture_append(fixture->journal, 77, 5, NULL), 0);
		sim_store_fail(fixture->sim, SIM_CALL_SYNC_FILE, 1, EIO);
		assert_int_equal(zp_journal_commit(fixture->journal, NULL), ZP_E_IO);
		last_batch_before_and_after_power_loss(fixture, last);
		assert_int_equal(last[0] % 4, 0);
		assert_int_equal(last[0], last[1]);
	}
}

/* A 32nd of the disk at most is kept, of which 64 MiB always, and more for upkeep that needs more.
 */
static void
what_is_kept_free(void **state)
{
	const uint64_t mib = 1u << 20;
	const struct {
		uint64_t total_mib, upkeep_mib, kept_mib;
	} disks[] = {{320, 0, 10}, {320, 500, 10}, {32000, 0, 64}, {32000, 63, 64},
	    {32000, 900, 900}, {32000, 2000, 1000}};
	struct fixture *fixture = *state;

	for (size_t i = 0; i < ZP_ARRAY_COUNT(disks); i++) {
		uint64_t upkeep = disks[i].upkeep_mib * mib, free_bytes, fits;

		sim_store_space_set(fixture->sim, disks[i].total_mib * mib);
		assert_int_equal(
		    zp_journal_room_check(fixture->journal, 0, upkeep, &free_bytes, NULL), ZP_OK);
		fits = free_bytes - disks[i].kept_mib * mib - 1;
		assert_int_equal(
		    zp_journal_room_check(fixture->journal, fits, upkeep, NULL, NULL), ZP_OK);
		assert_int_equal(
		    zp_journal_room_check(fixture->journal, fits + 1, upkeep, NULL, NULL),
		    ZP_E_NO_SPACE);
	}
	sim_store_space_set(fixture->sim, 0);
}

/* A full disk breaks the journal with a reason; with space again, opening goes on where it was. */
static void
full_disk_breaks_and_heals_by_opening(void **state)
{
	struct fixture *fixture = *state;
	struct zp_err err = {0};

	append_and_commit(fixture, 2);
	sim_store_space_set(
	    fixture->sim, facts_of(fixture).bytes +
			      sim_store_file_bytes(fixture->sim, FIXTURE_PATH, "mark") + 50);
	assert_int_equal(fixture_append(fixture->journal, 5, 10, NULL), 0);
	assert_int_equal(zp_journal_commit(fixture->journal, &err), ZP_E_IO);
	assert_non_null(strstr(err.text, "No space left"));
	sim_store_space_set(fixture->sim, 0);
	assert_int_equal(zp_journal_commit(fixture->journal, NULL), ZP_E_IO);
	reopen(fixture);
	assert_int_equal(facts_of(fixture).last_batch, 2);
	assert_int_equal(facts_of(fixture).cut_bytes, 50);
	append_and_commit(fixture, 1);
	assert_int_equal(facts_of(fixture).last_batch, 3);
}

/* A file that trimming began may be there although its directory's sync failed: a batch that went
 * into the one before would be one that no start finds. */
static void
half_begun_file_ends_the_journal(void **state)
{
	struct fixture *fixture = *state;
	struct zp_err err = {0};

	append_and_commit(fixture, 3);
	sim_store_fail(fixture->sim, SIM_CALL_SYNC_DIRECTORY, 1, EIO);
	assert_int_equal(zp_journal_trim(fixture->journal, 3, &err), ZP_E_IO);
	assert_non_null(strstr(err.text, "takes nothing until it is opened again"));
	assert_int_equal(fixture_append(fixture->journal, 77, 5, NULL), ZP_E_IO);
	zp_journal_close(fixture->journal);
	fixture->journal = NULL;
	zp_store_close(fixture->store);
	assert_int_equal(sim_store_open(fixture->sim, FIXTURE_PATH, &fixture->store, NULL), 0);
	fixture->options.store = fixture->store;
	reopen(fixture);
	assert_int_equal(facts_of(fixture).last_batch, 3);
	append_and_commit(fixture, 1);
	reopen(fixture);
	assert_int_equal(facts_of(fixture).last_batch, 4);
}

static void
damage_refuse(void *context, const char *text)
{
	(void)context;
	fail_msg("%s", text);
}

/* Nobody is told to restore a file that trimming removed, although it could not end that. */
static void
half_removed_file_is_no_damage(void **state)
{
	struct fixture *fixture = *state;
	struct zp_check check = {.damage = damage_refuse};
	struct zp_journal_checked checked;

	append_and_commit(fixture, 40);
	sim_store_fail(fixture->sim, SIM_CALL_SYNC_DIRECTORY, 1, EIO);
	assert_int_equal(zp_journal_trim(fixture->journal, 20, NULL), ZP_E_IO);
	assert_int_equal(facts_of(fixture).first_batch, 1);
	assert_int_equal(zp_journal_check(fixture->journal, &check, NULL, &checked, NULL), 0);
	assert_true(checked.batches > 0 && checked.damages == 0);
}

/* Nor if its name was gone before trimming knew: it is told of a failure, or who checks is quicker.
 */
static void
file_that_is_being_removed_is_no_damage(void **state)
{
	struct fixture *fixture = *state;
	struct zp_check check = {.damage = damage_refuse};
	struct zp_journal_checked checked;

	append_and_commit(fixture, 40);
	assert_int_equal(zp_store_remove(fixture->store, "journal-0000000000000001.log", NULL), 0);
	sim_store_fail(fixture->sim, SIM_CALL_REMOVE, 1, EIO);
	assert_int_equal(zp_journal_trim(fixture->journal, 20, NULL), ZP_E_IO);
	assert_int_equal(facts_of(fixture).first_batch, 1);
	assert_int_equal(zp_journal_check(fixture->journal, &check, NULL, &checked, NULL), 0);
	assert_true(checked.batches > 0 && checked.damages == 0);
	assert_int_equal(zp_journal_trim(fixture->journal, 20, NULL), 0);
	assert_true(facts_of(fixture).first_batch > 1);
}

/* One that is not there does no harm: the disk was full, and has room again. */
static void
file_that_was_not_begun_does_no_harm(void **state)
{
	struct fixture *fixture = *state;

	append_and_commit(fixture, 3);
	for (unsigned nth = 1; nth <= 2; nth++) {
		sim_store_fail(fixture->sim, SIM_CALL_CREATE | SIM_CALL_WRITE, nth, ENOSPC);
		assert_int_equal(zp_journal_trim(fixture->journal, 3, NULL), ZP_E_NO_SPACE);
	}
	append_and_commit(fixture, 1);
	reopen(fixture);
	assert_int_equal(facts_of(fixture).last_batch, 4);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(empty_journal_is_empty),
	    WITH(many_shards_and_batches_are_one_sync),
	    WITH(batches_come_back_whole),
	    WITH(records_round_trip),
	    WITH(wrong_appends_are_refused),
	    WITH(gathering_has_a_limit),
	    WITH(trim_removes_whole_files),
	    WITH(seal_ends_its_epoch),
	    WITH(numbers_follow_the_checkpoint),
	    WITH(read_only_changes_nothing),
	    WITH(failed_sync_is_never_acknowledged),
	    WITH(found_after_a_failed_sync_is_durable),
	    WITH(what_is_kept_free),
	    WITH(full_disk_breaks_and_heals_by_opening),
	    WITH(half_begun_file_ends_the_journal),
	    WITH(half_removed_file_is_no_damage),
	    WITH(file_that_is_being_removed_is_no_damage),
	    WITH(file_that_was_not_begun_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
