/*
 * fuzz_journal.c - arbitrary bytes as a journal's only file, and as the last of two.
 *
 * Opening never crashes, and changes nothing where it refuses. What it accepts is what zpin writes:
 * every header, batch and record that it read, encoded again, gives the bytes of the file.
 * Salvaging never crashes either, gives whole batches in rising order, and where the journal opens,
 * the same.
 *
 * The first byte of the input says how: bit 0, the last of two files rather than the only one; bit
 * 1, numbers, chain and checksums are set right before, so that the fuzzer gets past them; bit 2,
 * the next bytes are the two slots of the mark (which bit 1 sets right, too).
 */
#include "journal/journal_internal.h"
#include "sim_store.h"

#define PATH "journal"
#define FIRST_FILE_BATCHES 3u
#define FILE_BYTES_MAX (2u << 20)
#define MARK_SLOT_BYTES 64u
#define MARK_SLOT_DISTANCE 4096u

static struct zp_journal_options
options_of(struct zp_store *store)
{
	return (struct zp_journal_options){
	    .store = store,
	    .cluster_id = "the-cluster-0001",
	    .node = 7,
	    .epoch = UINT64_MAX,
	};
}

/* Writes the first of two files; returns what the second must follow. */
static struct journal_chain
first_file_write(struct zp_store *store)
{
	struct zp_journal_options options = options_of(store);
	struct zp_journal *journal = NULL;
	struct journal_chain chain;

	options.epoch = 1;
	ZP_ASSERT(zp_journal_open(&options, &journal, NULL) == 0);
	for (unsigned i = 0; i < FIRST_FILE_BATCHES; i++) {
		ZP_ASSERT(zp_journal_append(journal, ZP_JOURNAL_RECORDS, NULL, (struct zp_slice){0},
			      0, 1000, NULL, NULL) == 0);
		ZP_ASSERT(zp_journal_commit(journal, NULL) == 0);
	}
	chain = journal->committed;
	zp_journal_close(journal);
	return chain;
}

/* Sets right what a fuzzer can't guess, in whatever looks like a header and batches. */
static void
make_whole(struct zp_buf *file, const struct journal_chain *before)
{
	uint64_t number = before->number + 1;
	uint64_t previous = before->checksum;
	size_t offset = JOURNAL_HEADER_BYTES;

	if (file->length < JOURNAL_HEADER_BYTES)
		return;
	zp_store_u64le(file->data + 40, number);
	zp_store_u64le(file->data + 48, previous);
	zp_store_u64le(file->data + 8, zp_hash64(file->data + 16, JOURNAL_HEADER_BYTES - 16, 0));
	while (file->length - offset >= JOURNAL_BATCH_HEADER_BYTES) {
		uint8_t *batch = file->data + offset;
		size_t length = journal__frame_length(batch);

		if (length == 0 || length > file->length - offset)
			return;
		zp_store_u64le(batch + 56, number);
		zp_store_u64le(batch + 96, previous);
		previous = zp_hash64(batch + 16, length - 16, number++);
		zp_store_u64le(batch + 8, previous);
		offset += length;
	}
}

static void
records_encode(struct zp_slice records, struct zp_buf *to)
{
	struct zp_journal_record record;
	size_t position = 0;
	int rc;

	while ((rc = zp_journal_record_next(records, &position, &record, NULL)) == 0)
		ZP_ASSERT(zp_journal_record_append(to, &record, NULL) == 0);
	ZP_ASSERT(rc == ZP_END);
}

/* Encodes the accepted file anew and compares. */
static void
expect_same(struct zp_store *store, const struct journal_chain *before, struct zp_slice file)
{
	ZP_AUTO_BUF(again, FILE_BYTES_MAX);
	struct journal_header header;
	struct journal_scan scan;
	struct journal_frame frame;
	uint64_t number = before->number + 1;
	int rc;

	ZP_ASSERT(journal__header_decode(file.data, &header, NULL) == 0);
	journal__header_encode(&header, zp_buf_reserve(&again, JOURNAL_HEADER_BYTES));
	again.length = JOURNAL_HEADER_BYTES;
	ZP_ASSERT(journal__scan_open(&scan, store, number, NULL) == 0);
	while ((rc = journal__scan_next(&scan, number++, &frame, NULL)) == 0) {
		ZP_AUTO_BUF(records, ZP_JOURNAL_BATCH_BYTES_MAX);
		size_t length = JOURNAL_BATCH_HEADER_BYTES + frame.batch.records.length;
		uint8_t *to = zp_buf_reserve(&again, length);

		records_encode(frame.batch.records, &records);
		ZP_ASSERT(records.length == frame.batch.records.length);
		if (records.length > 0)
			memcpy(to + JOURNAL_BATCH_HEADER_BYTES, records.data, records.length);
		journal__frame_encode(&frame, to);
		again.length += length;
	}
	ZP_ASSERT(rc == ZP_END); /* an unfinished end was cut */
	journal__scan_close(&scan);
	ZP_ASSERT(zp_slice_equal(zp_buf_slice(&again), file));
}

/* Puts a mark of two slots there; returns how many bytes of the input that took. */
static size_t
mark_put(struct sim_store *sim, const uint8_t *data, size_t size, bool is_made_whole)
{
	struct zp_journal_options options = options_of(NULL);
	uint8_t mark[2 * MARK_SLOT_DISTANCE] = {0};

	if (size < 2 * MARK_SLOT_BYTES)
		return 0;
	for (size_t i = 0; i < 2; i++) {
		uint8_t *slot = mark + i * MARK_SLOT_DISTANCE;

		memcpy(slot, data + i * MARK_SLOT_BYTES, MARK_SLOT_BYTES);
		if (!is_made_whole)
			continue;
		memcpy(slot, "ZPINmark", 8);
		zp_store_u32le(slot + 20, options.node);
		memcpy(slot + 24, options.cluster_id, 16);
		zp_store_u64le(slot + 8, zp_hash64(slot + 16, MARK_SLOT_BYTES - 16, i));
	}
	sim_store_file_put(sim, PATH, "mark", mark, sizeof(mark));
	return 2 * MARK_SLOT_BYTES;
}

struct salvaged {
	uint64_t last;
	uint64_t batches;
};

static int
salvaged_add(void *context, const struct zp_journal_batch *batch, struct zp_err *err)
{
	struct salvaged *salvaged = context;

	(void)err;
	ZP_ASSERT(batch->number > salvaged->last);
	ZP_ASSERT(journal__records_check(batch->records, batch->record_count, NULL) == 0);
	salvaged->last = batch->number;
	salvaged->batches++;
	return 0;
}

/* A reader gives the batches that opening accepted, all of them. */
static void
expect_read(struct zp_journal *journal, uint64_t first)
{
	struct zp_journal_reader *reader = NULL;
	struct zp_journal_batch batch;
	struct zp_journal_facts facts;
	int rc;

	zp_journal_facts_get(journal, &facts);
	ZP_ASSERT(zp_journal_reader_open(journal, first, &reader, NULL) == 0);
	while ((rc = zp_journal_reader_next(reader, &batch, NULL)) == 0)
		ZP_ASSERT(batch.number == first++);
	ZP_ASSERT(rc == ZP_END && first == facts.last_batch + 1);
	zp_journal_reader_close(reader);
}

/* Opens the journal whose last file is `file`. */
static void
check(struct sim_store *sim, struct zp_store *store, const struct journal_chain *before,
    struct zp_slice file)
{
	struct zp_journal_options options = options_of(store);
	struct zp_journal *journal = NULL;
	char name[JOURNAL_NAME_BYTES];
	ZP_AUTO_BUF(after, FILE_BYTES_MAX);
	struct salvaged salvaged = {0};
	struct zp_journal_salvage found;
	struct zp_journal_facts facts;
	int salvage_rc;
	int rc;

	journal__name_format(before->number + 1, name);
	sim_store_file_put(sim, PATH, name, file.data, file.length);
	salvage_rc = zp_journal_salvage(&options, salvaged_add, &salvaged, &found, NULL);
	ZP_ASSERT(salvage_rc != 0 || found.batches == salvaged.batches);
	rc = zp_journal_open(&options, &journal, NULL);
	sim_store_file_get(sim, PATH, name, &after);
	if (rc < 0) {
		ZP_ASSERT(zp_slice_equal(zp_buf_slice(&after), file));
		return;
	}
	zp_journal_facts_get(journal, &facts);
	ZP_ASSERT(salvage_rc == 0 && salvaged.batches >= facts.last_batch + 1 - facts.first_batch);
	ZP_ASSERT(after.length <= file.length);
	ZP_ASSERT(memcmp(after.data, file.data, after.length) == 0);
	expect_same(store, before, zp_buf_slice(&after));
	expect_read(journal, before->number + 1);
	zp_journal_close(journal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal_chain before = {0};
	struct zp_store *store = NULL;
	struct sim_store *sim;
	size_t from = 1;
	ZP_AUTO_BUF(file, FILE_BYTES_MAX);

	if (size < 1 || size > FILE_BYTES_MAX / 2)
		return 0;
	sim = sim_store_new(1);
	ZP_ASSERT(sim_store_open(sim, PATH, &store, NULL) == 0);
	if ((data[0] & 1) != 0)
		before = first_file_write(store);
	if ((data[0] & 4) != 0)
		from += mark_put(sim, data + from, size - from, (data[0] & 2) != 0);
	zp_buf_append(&file, data + from, size - from);
	if ((data[0] & 2) != 0)
		make_whole(&file, &before);
	check(sim, store, &before, zp_buf_slice(&file));
	zp_store_close(store);
	sim_store_free(sim);
	return 0;
}
