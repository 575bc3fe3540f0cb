/*
 * journal.c - appending: gather, commit with one write and one sync, begin new files, trim.
 *
 * Flow:    command → here → shard. Owner: see journal.h.
 */
#include "journal/journal_internal.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- Opening and closing -------------------------------------------------------------------- */

int
zp_journal_open(
    const struct zp_journal_options *options, struct zp_journal **journal_out, struct zp_err *err)
{
	struct zp_journal *journal = zp_alloc_zero(1, sizeof(*journal));
	int rc;

	journal->store = options->store;
	journal->identity.node = options->node;
	memcpy(journal->identity.cluster_id, options->cluster_id, 16);
	journal->epoch = options->epoch;
	journal->read_bytes = options->read_bytes;
	journal->file_bytes =
	    options->file_bytes != 0 ? options->file_bytes : JOURNAL_FILE_BYTES_DEFAULT;
	journal->read_only = options->read_only;
	journal->no_mark = options->no_mark;
	zp_buf_init(&journal->gathered, ZP_JOURNAL_GATHER_BYTES_MAX);
	zp_mutex_init(&journal->lock);
	rc = journal__load(journal, zp_max_u64(options->first_batch, 1), err);
	if (rc < 0) {
		zp_journal_close(journal);
		return rc;
	}
	*journal_out = journal;
	return 0;
}

void
zp_journal_close(struct zp_journal *journal)
{
	if (journal == NULL)
		return;
	journal__mark_close(journal);
	zp_store_log_close(journal->log);
	zp_buf_done(&journal->gathered);
	zp_free(journal->files);
	zp_mutex_done(&journal->lock);
	zp_free(journal);
}

void
zp_journal_facts_get(const struct zp_journal *journal, struct zp_journal_facts *facts_out)
{
	struct zp_mutex *lock = (struct zp_mutex *)&journal->lock; /* reading needs it too */
	struct zp_journal_facts facts = {0};

	zp_mutex_lock(lock);
	facts.first_batch = journal->files_count > 0 ? journal->files[0].first_batch
						     : journal->committed.number + 1;
	facts.last_batch = journal->committed.number;
	facts.last_time_microseconds = journal->committed.time_microseconds;
	facts.last_epoch = journal->committed.epoch;
	facts.is_sealed = journal->committed.is_sealed;
	for (size_t i = 0; i < journal->files_count; i++)
		facts.bytes += journal->files[i].bytes;
	facts.cut_bytes = journal->cut_bytes;
	facts.syncs = journal->syncs;
	facts.is_broken = journal->is_broken;
	facts.mark_was_lost = journal->mark_was_lost;
	zp_mutex_unlock(lock);
	*facts_out = facts;
}

/* ---- The table of files ---------------------------------------------------------------------- */

void
journal__files_add(struct zp_journal *journal, uint64_t first_batch, uint64_t bytes)
{
	ZP_ASSERT(journal->files_count < ZP_JOURNAL_FILES_MAX);
	zp_mutex_lock(&journal->lock);
	if (journal->files_count == journal->files_capacity) {
		journal->files_capacity = journal->files_capacity * 2 + 16;
		journal->files =
		    zp_realloc(journal->files, journal->files_capacity * sizeof(journal->files[0]));
	}
	journal->files[journal->files_count++] = (struct journal_file){first_batch, bytes};
	zp_mutex_unlock(&journal->lock);
}

static void
files_remove_oldest(struct zp_journal *journal)
{
	zp_mutex_lock(&journal->lock);
	journal->oldest_is_going = false;
	journal->files_count--;
	memmove(&journal->files[0], &journal->files[1],
	    journal->files_count * sizeof(journal->files[0]));
	zp_mutex_unlock(&journal->lock);
}

static void
oldest_is_going(struct zp_journal *journal)
{
	zp_mutex_lock(&journal->lock);
	journal->oldest_is_going = true;
	zp_mutex_unlock(&journal->lock);
}

/* ---- Appending ------------------------------------------------------------------------------ */

static int
writable_check(const struct zp_journal *journal, struct zp_err *err)
{
	if (journal->read_only)
		return zp_fail(err, ZP_E_READ_ONLY, "the journal is open read-only");
	if (journal->broken_text[0] != '\0')
		return zp_fail(err, ZP_E_IO, "%s", journal->broken_text);
	return 0;
}

/* The next commit begins a new file. */
static bool
file_is_full(const struct zp_journal *journal)
{
	return journal->log == NULL ||
	       journal->files[journal->files_count - 1].bytes >= journal->file_bytes;
}

static int
append_check(const struct zp_journal *journal, enum zp_journal_kind kind, struct zp_slice records,
    uint32_t record_count, struct zp_err *err)
{
	struct zp_err inner = {0};
	int rc = writable_check(journal, err);

	if (rc < 0)
		return rc;
	if (journal->chain.is_sealed && journal->chain.epoch == journal->epoch)
		return zp_fail(err, ZP_E_READ_ONLY, "epoch %" PRIu64 " of the journal is sealed",
		    journal->epoch);
	if (kind != ZP_JOURNAL_RECORDS && records.length != 0)
		return zp_fail(err, ZP_E_INVALID, "an OPEN or SEAL with records");
	if (records.length > ZP_JOURNAL_BATCH_BYTES_MAX - JOURNAL_BATCH_HEADER_BYTES ||
	    record_count > ZP_JOURNAL_BATCH_RECORDS_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE,
		    "a journal batch of %" PRIu32 " records and %zu bytes", record_count,
		    records.length);
	if (journal->files_count == ZP_JOURNAL_FILES_MAX && file_is_full(journal))
		return zp_fail(err, ZP_E_FULL, "the journal has %u files: it must be trimmed",
		    ZP_JOURNAL_FILES_MAX);
	/* Looked at once more, since what can't be read back would stop every later start. */
	if (journal__records_check(records, record_count, &inner) < 0)
		return zp_fail(err, ZP_E_INVALID, "journal records: %s", inner.text);
	if (JOURNAL_BATCH_HEADER_BYTES + records.length >
	    ZP_JOURNAL_GATHER_BYTES_MAX - journal->gathered.length)
		return zp_fail(err, ZP_E_FULL, "%zu bytes of journal wait for a commit",
		    journal->gathered.length);
	return 0;
}

int
zp_journal_append(struct zp_journal *journal, enum zp_journal_kind kind,
    const struct zp_journal_origin *origin, struct zp_slice records, uint32_t record_count,
    int64_t now_microseconds, uint64_t *number_out, struct zp_err *err)
{
	struct journal_chain *chain = &journal->chain;
	struct journal_frame frame = {
	    .identity = journal->identity,
	    .durable = journal->committed.number,
	    .previous = chain->checksum,
	    .batch =
		{
		    .kind = kind,
		    .epoch = journal->epoch,
		    .number = chain->number + 1,
		    .time_microseconds = now_microseconds,
		    .record_count = record_count,
		    .records = records,
		},
	};
	uint8_t *to;
	int rc = append_check(journal, kind, records, record_count, err);

	if (rc < 0)
		return rc;
	if (frame.batch.time_microseconds < chain->time_microseconds)
		frame.batch.time_microseconds = chain->time_microseconds;
	if (origin != NULL)
		frame.batch.origin = *origin;
	to = zp_buf_reserve(&journal->gathered, JOURNAL_BATCH_HEADER_BYTES + records.length);
	ZP_ASSERT(to != NULL);
	if (records.length > 0)
		memcpy(to + JOURNAL_BATCH_HEADER_BYTES, records.data, records.length);
	journal__frame_encode(&frame, to);
	journal->gathered.length += JOURNAL_BATCH_HEADER_BYTES + records.length;
	*chain = (struct journal_chain){
	    .number = frame.batch.number,
	    .checksum = frame.checksum,
	    .epoch = frame.batch.epoch,
	    .durable = frame.durable,
	    .time_microseconds = frame.batch.time_microseconds,
	    .is_sealed = kind == ZP_JOURNAL_SEAL,
	};
	if (number_out != NULL)
		*number_out = frame.batch.number;
	return 0;
}

/* ---- Committing ----------------------------------------------------------------------------- */

/* From here on only opening the journal again tells what is on the disk. */
static int
journal_break(struct zp_journal *journal, const struct zp_err *cause, struct zp_err *err)
{
	if (journal->chain.number == journal->committed.number)
		snprintf(journal->broken_text, sizeof(journal->broken_text),
		    "the journal is broken and takes nothing until it is opened again: %.300s",
		    cause->text);
	else
		snprintf(journal->broken_text, sizeof(journal->broken_text),
		    "the journal is broken, the outcome of batches %" PRIu64 " to %" PRIu64
		    " is unknown until it is opened again: %.300s",
		    journal->committed.number + 1, journal->chain.number, cause->text);
	zp_mutex_lock(&journal->lock);
	journal->is_broken = true;
	zp_mutex_unlock(&journal->lock);
	return zp_fail(err, ZP_E_IO, "%s", journal->broken_text);
}

/*
 * Begins the file of the first gathered batch. It is published with its header in it, so that a
 * file whose header can't be read is always damage and never an unfinished start.
 */
static int
file_begin(struct zp_journal *journal, struct zp_err *err)
{
	struct journal_header header = {
	    .identity = journal->identity,
	    .first_batch = journal->committed.number + 1,
	    .previous = journal->committed.checksum,
	};
	uint8_t bytes[JOURNAL_HEADER_BYTES];
	char name[JOURNAL_NAME_BYTES];
	struct zp_store_log *log = NULL;
	int rc;

	journal__name_format(header.first_batch, name);
	journal__header_encode(&header, bytes);
	rc = zp_store_write_all(journal->store, name, (struct zp_slice){bytes, sizeof(bytes)}, err);
	if (rc == 0)
		rc = zp_store_log_open(journal->store, name, false, &log, err);
	if (rc < 0)
		return rc;
	zp_store_log_close(journal->log);
	journal->log = log;
	journal__files_add(journal, header.first_batch, sizeof(bytes));
	zp_mutex_lock(&journal->lock);
	journal->syncs += 2;
	zp_mutex_unlock(&journal->lock);
	return 0;
}

int
zp_journal_room_check(const struct zp_journal *journal, uint64_t bytes, uint64_t upkeep_bytes,
    uint64_t *free_out, struct zp_err *err)
{
	struct zp_store_space space;
	uint64_t reserve;
	int rc = zp_store_space_get(journal->store, &space, err);

	if (rc < 0)
		return rc;
	reserve =
	    zp_min_u64(space.bytes_total / 32, zp_max_u64(JOURNAL_RESERVE_BYTES, upkeep_bytes));
	if (bytes <= space.bytes_free && space.bytes_free - bytes > reserve) {
		if (free_out != NULL)
			*free_out = space.bytes_free;
		return 0;
	}
	return zp_fail(err, ZP_E_NO_SPACE,
	    "the disk is full: of %" PRIu64 " KiB that are free %" PRIu64
	    " KiB are kept for flushes and merges, and %" PRIu64
	    " KiB are wanted; nothing was written, and writes go on when there is space",
	    space.bytes_free >> 10, reserve >> 10, (bytes + 1023) >> 10);
}

int
zp_journal_commit(struct zp_journal *journal, struct zp_err *err)
{
	struct zp_err cause = {0};
	int rc = writable_check(journal, err);

	if (rc < 0 || journal->gathered.length == 0)
		return rc;
	if (file_is_full(journal))
		rc = file_begin(journal, &cause);
	if (rc == 0)
		rc = zp_store_log_append(
		    journal->log, journal->gathered.data, journal->gathered.length, &cause);
	if (rc == 0)
		rc = zp_store_log_sync(journal->log, &cause);
	if (rc < 0)
		return journal_break(journal, &cause, err);
	zp_mutex_lock(&journal->lock);
	journal->committed = journal->chain;
	journal->files[journal->files_count - 1].bytes += journal->gathered.length;
	journal->syncs++;
	zp_mutex_unlock(&journal->lock);
	journal__mark_set(journal);
	zp_buf_clear(&journal->gathered);
	return 0;
}

int
zp_journal_seal(struct zp_journal *journal, int64_t now_microseconds, struct zp_err *err)
{
	int rc = zp_journal_append(
	    journal, ZP_JOURNAL_SEAL, NULL, (struct zp_slice){0}, 0, now_microseconds, NULL, err);

	if (rc < 0)
		return rc;
	return zp_journal_commit(journal, err);
}

/* ---- Trimming ------------------------------------------------------------------------------- */

/* A file that was not begun well may be there all the same (its directory's sync failed): named for
 * the next batch, which must then not go into the one before it. */
static int
next_file_begin(struct zp_journal *journal, struct zp_err *err)
{
	struct zp_store_file *file = NULL;
	struct zp_err cause = {0};
	char name[JOURNAL_NAME_BYTES];
	int rc = file_begin(journal, &cause);

	if (rc == 0)
		return 0;
	journal__name_format(journal->committed.number + 1, name);
	if (zp_store_file_open(journal->store, name, &file, NULL) == ZP_E_NOT_FOUND)
		return zp_fail(err, rc, "%s", cause.text);
	zp_store_file_close(file);
	return journal_break(journal, &cause, err);
}

int
zp_journal_file_end(struct zp_journal *journal, struct zp_err *err)
{
	int rc = writable_check(journal, err);

	/* An empty file can't keep a seal. */
	if (rc < 0 || journal->gathered.length != 0 || journal->log == NULL ||
	    journal->chain.is_sealed ||
	    journal->files[journal->files_count - 1].bytes <= JOURNAL_HEADER_BYTES)
		return rc;
	return next_file_begin(journal, err);
}

int
zp_journal_trim(struct zp_journal *journal, uint64_t number, struct zp_err *err)
{
	int rc = writable_check(journal, err);

	/* When all of it may go, an empty file takes the last one's place and keeps the chain. */
	if (rc == 0 && number >= journal->committed.number)
		rc = zp_journal_file_end(journal, err);
	if (rc < 0)
		return rc;
	while (journal->files_count > 1 && journal->files[1].first_batch - 1 <= number) {
		char name[JOURNAL_NAME_BYTES];

		journal__name_format(journal->files[0].first_batch, name);
		oldest_is_going(journal); /* before: who checks may be quicker */
		rc = zp_store_remove(journal->store, name, err);
		if (rc < 0 && rc != ZP_E_NOT_FOUND) /* an earlier trim got this far */
			return rc;
		/* Each removal before the next: one that came first would leave a hole. */
		rc = zp_store_sync_directory(journal->store, err);
		if (rc < 0)
			return rc;
		files_remove_oldest(journal);
	}
	return 0;
}
