/*
 * reader.c - reads committed batches, beside the writer.
 *
 * Flow:    journal → shard (replay, a warm replica).
 * Threads: one thread a reader. Of the journal it reads only the table of files, under the lock;
 * the bytes below a file's committed length never change.
 */
#include "journal/journal_internal.h"

#include <inttypes.h>

struct zp_journal_reader {
	struct zp_journal *journal; /* borrowed */
	uint64_t next;              /* the batch to give next */
	bool is_open;               /* scan is in a file */
	struct journal_file file;   /* which one, and how far it was committed */
	struct journal_chain chain; /* behind the last batch scanned */
	struct journal_scan scan;
};

/* The file that has, or will have, batch `next`: 0, ZP_END when that is not committed yet. */
static int
file_find(struct zp_journal_reader *reader, struct journal_file *file_out, struct zp_err *err)
{
	struct zp_journal *journal = reader->journal;
	uint64_t oldest = 0;
	int rc = ZP_END;

	zp_mutex_lock(&journal->lock);
	if (journal->files_count > 0)
		oldest = journal->files[0].first_batch;
	if (reader->next < oldest) {
		rc = ZP_E_NOT_FOUND;
	} else if (reader->next <= journal->committed.number) {
		size_t low = 0;
		size_t high = journal->files_count;

		/* The last file that does not begin behind it. */
		while (high - low > 1) {
			size_t middle = low + (high - low) / 2;

			if (journal->files[middle].first_batch <= reader->next)
				low = middle;
			else
				high = middle;
		}
		*file_out = journal->files[low];
		rc = 0;
	}
	zp_mutex_unlock(&journal->lock);
	if (rc == ZP_E_NOT_FOUND)
		return zp_fail(err, rc,
		    "batch %" PRIu64 " of the journal was trimmed, the oldest "
		    "is %" PRIu64,
		    reader->next, oldest);
	return rc;
}

/* Opens the file anew and reads its header, which starts the chain. */
static int
file_enter(struct zp_journal_reader *reader, const struct journal_file *file, struct zp_err *err)
{
	struct journal_header header;
	const uint8_t *bytes;
	int rc;

	if (reader->is_open)
		journal__scan_close(&reader->scan);
	reader->is_open = false;
	rc = journal__scan_open(&reader->scan, reader->journal->store, file->first_batch, err);
	if (rc < 0) /* ZP_E_NOT_FOUND: trimmed between the look at the table and now */
		return rc;
	reader->is_open = true;
	reader->file = *file;
	reader->scan.limit = file->bytes;
	rc = journal__scan_bytes(&reader->scan, 0, JOURNAL_HEADER_BYTES, &bytes, err);
	if (rc == 0)
		rc = journal__header_decode(bytes, &header, err);
	if (rc < 0)
		return zp_wrap(err, rc, "%s", reader->scan.name);
	reader->chain = (struct journal_chain){
	    .number = file->first_batch - 1,
	    .checksum = header.previous,
	    .time_microseconds = INT64_MIN,
	};
	return 0;
}

/* Sees to it that the scan has something to read: 0, or ZP_END. */
static int
file_advance(struct zp_journal_reader *reader, struct zp_err *err)
{
	struct journal_file file;
	int rc;

	if (reader->is_open && reader->scan.offset < reader->scan.limit)
		return 0;
	rc = file_find(reader, &file, err);
	if (rc != 0)
		return rc;
	if (reader->is_open && file.first_batch == reader->file.first_batch) {
		reader->scan.limit = file.bytes;
		return 0;
	}
	return file_enter(reader, &file, err);
}

int
zp_journal_reader_open(struct zp_journal *journal, uint64_t from,
    struct zp_journal_reader **reader_out, struct zp_err *err)
{
	struct zp_journal_facts facts;
	struct zp_journal_reader *reader;

	zp_journal_facts_get(journal, &facts);
	if (from < facts.first_batch)
		return zp_fail(err, ZP_E_NOT_FOUND,
		    "batch %" PRIu64 " of the journal was trimmed, "
		    "the oldest is %" PRIu64,
		    from, facts.first_batch);
	if (from > facts.last_batch + 1)
		return zp_fail(err, ZP_E_INVALID,
		    "batch %" PRIu64 " of the journal was never "
		    "written, the last is %" PRIu64,
		    from, facts.last_batch);
	reader = zp_alloc_zero(1, sizeof(*reader));
	reader->journal = journal;
	reader->next = from;
	*reader_out = reader;
	return 0;
}

int
zp_journal_reader_next(
    struct zp_journal_reader *reader, struct zp_journal_batch *batch_out, struct zp_err *err)
{
	for (;;) {
		struct journal_frame frame;
		uint64_t offset;
		int rc = file_advance(reader, err);

		if (rc != 0)
			return rc;
		offset = reader->scan.offset;
		rc = journal__scan_next(&reader->scan, reader->chain.number + 1, &frame, err);
		if (rc == JOURNAL_TORN || rc == ZP_END) /* the table promised one */
			rc = zp_fail(err, ZP_E_CORRUPT, "it is damaged");
		if (rc == 0)
			rc = journal__chain_follow(
			    &reader->chain, &reader->journal->identity, &frame, err);
		if (rc < 0)
			return zp_wrap(err, rc, "%s: batch %" PRIu64 " at offset %" PRIu64,
			    reader->scan.name, reader->chain.number + 1, offset);
		if (frame.batch.number < reader->next)
			continue; /* on the way to where reading was to begin */
		reader->next = frame.batch.number + 1;
		*batch_out = frame.batch;
		return 0;
	}
}

void
zp_journal_reader_close(struct zp_journal_reader *reader)
{
	if (reader == NULL)
		return;
	if (reader->is_open)
		journal__scan_close(&reader->scan);
	zp_free(reader);
}
