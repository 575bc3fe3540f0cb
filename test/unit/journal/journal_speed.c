/*
 * journal_speed.c - what a record costs in the journal. Not a test: it prints CPU time.
 *
 * Batches of 10,000 records of 64 bytes, one commit each, without syncs, in a directory that the
 * first argument names; then the check at opening and a reading of all of it.
 */
#include "journal/journal.h"
#include "os/os.h"

#include <stdio.h>
#include <stdlib.h>

#define RECORDS 10000u
#define PAYLOAD_BYTES 64u
#define BATCHES 500u

static void
must(int rc, const struct zp_err *err)
{
	if (rc == 0)
		return;
	fprintf(stderr, "%s\n", err->text);
	exit(EXIT_FAILURE);
}

static void
report(const char *what, uint64_t cpu_ns, uint64_t wall_ns, uint64_t bytes)
{
	double records = (double)RECORDS * BATCHES;

	printf("%-18s %6.1f ns CPU a record, %6.1f ns wall, %7.0f MB/s\n", what,
	    (double)cpu_ns / records, (double)wall_ns / records,
	    (double)bytes * 1e3 / (double)wall_ns);
}

static void
encode(struct zp_buf *records, struct zp_err *err)
{
	uint8_t payload[PAYLOAD_BYTES] = {1};

	zp_buf_clear(records);
	for (uint32_t i = 0; i < RECORDS; i++) {
		struct zp_journal_record record = {
		    .shard_id = i % 16,
		    .operation = ZP_OP_PUT,
		    .payload = {payload, sizeof(payload)},
		};

		zp_store_u32le(payload, i);
		must(zp_journal_record_append(records, &record, err), err);
	}
}

static void
write_batches(struct zp_journal *journal, struct zp_buf *records, struct zp_err *err)
{
	uint64_t encoded_ns = 0;
	uint64_t appended_ns = 0;
	uint64_t cpu = zp_clock_thread_cpu_ns();
	uint64_t wall = zp_clock_monotonic_ns();
	struct zp_journal_facts facts;

	for (unsigned i = 0; i < BATCHES; i++) {
		uint64_t begin = zp_clock_thread_cpu_ns();

		encode(records, err);
		encoded_ns += zp_clock_thread_cpu_ns() - begin;
		begin = zp_clock_thread_cpu_ns();
		must(zp_journal_append(journal, ZP_JOURNAL_RECORDS, NULL, zp_buf_slice(records),
			 RECORDS, 0, NULL, err),
		    err);
		appended_ns += zp_clock_thread_cpu_ns() - begin;
		must(zp_journal_commit(journal, err), err);
	}
	zp_journal_facts_get(journal, &facts);
	cpu = zp_clock_thread_cpu_ns() - cpu;
	wall = zp_clock_monotonic_ns() - wall;
	report("encode", encoded_ns, encoded_ns, facts.bytes);
	report("append", appended_ns, appended_ns, facts.bytes);
	report("append and commit", cpu - encoded_ns, wall - encoded_ns, facts.bytes);
}

static void
read_batches(struct zp_journal *journal, struct zp_err *err)
{
	uint64_t cpu = zp_clock_thread_cpu_ns();
	uint64_t wall = zp_clock_monotonic_ns();
	struct zp_journal_reader *reader = NULL;
	struct zp_journal_batch batch;
	struct zp_journal_facts facts;
	uint64_t records = 0;
	int rc;

	must(zp_journal_reader_open(journal, 1, &reader, err), err);
	while ((rc = zp_journal_reader_next(reader, &batch, err)) == 0) {
		struct zp_journal_record record;
		size_t position = 0;

		while (zp_journal_record_next(batch.records, &position, &record, err) == 0)
			records += record.payload.length == PAYLOAD_BYTES;
	}
	must(rc == ZP_END && records == (uint64_t)RECORDS * BATCHES ? 0 : ZP_E_INTERNAL, err);
	zp_journal_reader_close(reader);
	zp_journal_facts_get(journal, &facts);
	report("read", zp_clock_thread_cpu_ns() - cpu, zp_clock_monotonic_ns() - wall, facts.bytes);
}

static int
remove_log(void *context, const char *name, struct zp_err *err)
{
	return strncmp(name, "journal-", 8) == 0 ? zp_store_remove(context, name, err) : 0;
}

int
main(int argc, char **argv)
{
	struct zp_store_directory_options directory = {.create = true, .no_sync = true};
	struct zp_journal_options options = {.node = 1, .epoch = 1};
	ZP_AUTO_BUF(records, ZP_JOURNAL_BATCH_BYTES_MAX);
	struct zp_journal *journal = NULL;
	struct zp_journal_facts facts;
	struct zp_err err = {0};
	uint64_t cpu;
	uint64_t wall;

	if (argc != 2)
		return EXIT_FAILURE;
	must(zp_store_directory_open(argv[1], &directory, &options.store, &err), &err);
	must(zp_journal_open(&options, &journal, &err), &err);
	zp_journal_facts_get(journal, &facts);
	if (facts.last_batch != 0)
		must(zp_fail(&err, ZP_E_EXISTS, "%s has a journal already", argv[1]), &err);
	write_batches(journal, &records, &err);
	zp_journal_facts_get(journal, &facts);
	zp_journal_close(journal);
	cpu = zp_clock_thread_cpu_ns();
	wall = zp_clock_monotonic_ns();
	must(zp_journal_open(&options, &journal, &err), &err);
	report("open and check", zp_clock_thread_cpu_ns() - cpu, zp_clock_monotonic_ns() - wall,
	    facts.bytes);
	read_batches(journal, &err);
	zp_journal_close(journal);
	must(zp_store_list(options.store, remove_log, options.store, &err), &err);
	zp_store_close(options.store);
	return EXIT_SUCCESS;
}
