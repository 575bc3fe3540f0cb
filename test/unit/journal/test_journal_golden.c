/*
 * test_journal_golden.c - one kept journal file and one kept mark, never changed.
 *
 * A journal is written to a simulated disk: records of every kind of operation, a batch of a
 * stream, an empty batch, a sealed epoch. Its files must be the kept ones to the byte, and a
 * journal that finds the kept ones must read all of it.
 */
#include "../engine/engine_golden.h"
#include "journal_fixture.h"

#define FILE_BYTES (1u << 16)
#define FILE_NAME "journal-0000000000000001.log"
#define MARK_NAME "mark"

static const enum zp_journal_operation operations[] = {ZP_OP_PUT, ZP_OP_DELETE, ZP_OP_EXPIRE,
    ZP_OP_TRACK, ZP_OP_TRACK_END, ZP_OP_PEER, ZP_OP_ALLOCATION_LIST, ZP_OP_PEER_MOVED};
static const struct zp_journal_origin origin = {.id = "of-one-stream-01", .sequence = 99};

static struct zp_journal *
journal_open(struct zp_store *store)
{
	struct zp_journal_options options = fixture_options(store);
	struct zp_journal *journal = NULL;

	options.file_bytes = FILE_BYTES;
	assert_int_equal(zp_journal_open(&options, &journal, NULL), 0);
	return journal;
}

static struct zp_journal_record
record_of(size_t i)
{
	return (struct zp_journal_record){
	    .shard_id = UINT64_C(0x0123456789abcdef) + i,
	    .incarnation = (uint32_t)(3 * i),
	    .operation = operations[i],
	    .payload = {(const uint8_t *)"the payload of a record", 3 * i},
	};
}

static void
example_write(struct zp_journal *journal)
{
	ZP_AUTO_BUF(records, ZP_JOURNAL_BATCH_BYTES_MAX);

	for (size_t i = 0; i < ZP_ARRAY_COUNT(operations); i++) {
		struct zp_journal_record record = record_of(i);

		assert_int_equal(zp_journal_record_append(&records, &record, NULL), 0);
	}
	assert_int_equal(
	    zp_journal_append(journal, ZP_JOURNAL_RECORDS, &origin, zp_buf_slice(&records),
		ZP_ARRAY_COUNT(operations), INT64_C(1700000000123456), NULL, NULL),
	    0);
	assert_int_equal(zp_journal_commit(journal, NULL), 0);
	assert_int_equal(zp_journal_append(journal, ZP_JOURNAL_RECORDS, NULL, (struct zp_slice){0},
			     0, INT64_C(1700000000123457), NULL, NULL),
	    0);
	assert_int_equal(zp_journal_commit(journal, NULL), 0);
	assert_int_equal(zp_journal_seal(journal, INT64_C(1700000000123458), NULL), 0);
}

static void
example_check(struct zp_journal *journal)
{
	struct zp_journal_reader *reader = NULL;
	struct zp_journal_batch batch;
	struct zp_journal_record record;
	size_t position = 0;

	assert_int_equal(zp_journal_reader_open(journal, 1, &reader, NULL), 0);
	assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), 0);
	assert_int_equal(batch.number, 1);
	assert_int_equal(batch.epoch, 1);
	assert_int_equal(batch.node, FIXTURE_NODE);
	assert_int_equal(batch.time_microseconds, INT64_C(1700000000123456));
	assert_memory_equal(batch.origin.id, origin.id, sizeof(origin.id));
	assert_int_equal(batch.origin.sequence, origin.sequence);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(operations); i++) {
		struct zp_journal_record expected = record_of(i);

		assert_int_equal(
		    zp_journal_record_next(batch.records, &position, &record, NULL), 0);
		assert_int_equal(record.shard_id, expected.shard_id);
		assert_int_equal(record.incarnation, expected.incarnation);
		assert_int_equal(record.operation, expected.operation);
		assert_true(zp_slice_equal(record.payload, expected.payload));
	}
	assert_int_equal(zp_journal_record_next(batch.records, &position, &record, NULL), ZP_END);
	assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), 0);
	assert_int_equal(batch.record_count, 0);
	assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), 0);
	assert_int_equal(batch.kind, ZP_JOURNAL_SEAL);
	assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), ZP_END);
	zp_journal_reader_close(reader);
}

static void
golden_files_are_the_same(void **state)
{
	struct sim_store *sim = sim_store_new(1), *sim_kept = sim_store_new(1);
	struct zp_store *store;
	struct zp_journal *journal;
	ZP_AUTO_BUF(made, FILE_BYTES);
	ZP_AUTO_BUF(kept, FILE_BYTES);

	(void)state;
	assert_int_equal(sim_store_open(sim, FIXTURE_PATH, &store, NULL), 0);
	journal = journal_open(store);
	example_write(journal);
	zp_journal_close(journal);
	zp_store_close(store);

	assert_int_equal(sim_store_open(sim_kept, FIXTURE_PATH, &store, NULL), 0);
	sim_store_file_get(sim, FIXTURE_PATH, FILE_NAME, &made);
	golden_compare("journal-v1.log", &made, &kept);
	sim_store_file_put(sim_kept, FIXTURE_PATH, FILE_NAME, kept.data, kept.length);
	zp_buf_clear(&made);
	sim_store_file_get(sim, FIXTURE_PATH, MARK_NAME, &made);
	golden_compare("mark-v1", &made, &kept);
	sim_store_file_put(sim_kept, FIXTURE_PATH, MARK_NAME, kept.data, kept.length);
	sim_store_free(sim);

	journal = journal_open(store);
	example_check(journal);
	zp_journal_close(journal);
	zp_store_close(store);
	sim_store_free(sim_kept);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(golden_files_are_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
