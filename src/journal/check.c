/*
 * check.c - reads the journal again while it is in use: every committed batch, and the mark.
 *
 * Flow:    the scrubber and `zpin verify --deep` → here. Any thread, beside the writer: of the
 *          journal it reads only the table of files, under the lock.
 *
 * Whatever is damaged is in memory too as long as the node runs, so that a checkpoint still saves
 * it; the next start could not.
 */
#include "journal/journal_internal.h"

#include <inttypes.h>
#include <stdio.h>

#define MARK_LOOKS 8u /* a commit may be writing a slot */

struct checking {
	struct zp_journal *journal;
	const struct zp_check *check;
	int (*each)(void *context, const struct zp_journal_batch *batch, struct zp_err *err);
	struct zp_journal_checked *checked;
	struct journal_chain chain; /* behind the last batch */
	bool has_chain;             /* the file before was whole */
};

static void
damage_tell(struct checking *checking, const char *text)
{
	checking->checked->damages++;
	zp_check_damage(checking->check, text);
}

/* Whether the file is one of the journal's still. */
static bool
is_there(struct zp_journal *journal, uint64_t first_batch)
{
	bool found;

	zp_mutex_lock(&journal->lock);
	found = journal->files_count > 0 &&
		journal->files[journal->oldest_is_going].first_batch <= first_batch;
	zp_mutex_unlock(&journal->lock);
	return found;
}

static int
header_check(
    struct checking *checking, struct journal_scan *scan, uint64_t first_batch, struct zp_err *err)
{
	struct journal_header header;
	const uint8_t *bytes;
	int rc = journal__scan_bytes(scan, 0, JOURNAL_HEADER_BYTES, &bytes, err);

	if (rc == 0)
		rc = journal__header_decode(bytes, &header, err);
	if (rc < 0)
		return zp_wrap(err, rc, "%s", scan->name);
	if (header.first_batch != first_batch ||
	    (checking->has_chain && (header.previous != checking->chain.checksum ||
					first_batch != checking->chain.number + 1)))
		return zp_fail(
		    err, ZP_E_CORRUPT, "%s: it does not follow the file before it", scan->name);
	if (!checking->has_chain)
		checking->chain = (struct journal_chain){.number = first_batch - 1,
		    .checksum = header.previous,
		    .time_microseconds = INT64_MIN};
	return 0;
}

/* Of the next batch in the scan; 0, or what is wrong with it. */
static int
batch_check(struct checking *checking, struct journal_scan *scan, struct zp_err *err)
{
	struct journal_frame frame;
	uint64_t offset = scan->offset, number = checking->chain.number + 1;
	int rc = journal__scan_next(scan, number, &frame, err);

	if (rc == JOURNAL_TORN || rc == ZP_END)
		rc = zp_fail(err, ZP_E_CORRUPT, "it is damaged");
	if (rc == 0)
		rc = journal__chain_follow(
		    &checking->chain, &checking->journal->identity, &frame, err);
	if (rc == 0 && checking->each != NULL)
		rc = checking->each(checking->check->context, &frame.batch, err);
	if (rc == 0)
		checking->checked->batches++;
	return rc < 0 ? zp_wrap(err, rc, "%s: batch %" PRIu64 " at offset %" PRIu64, scan->name,
			    number, offset)
		      : 0;
}

/* What ended the check, or 0; damage is told. */
static int
file_check(struct checking *checking, const struct journal_file *file, struct zp_err *err)
{
	struct journal_scan scan;
	struct zp_err why = {0};
	uint64_t told = 0;
	int ended = 0;
	int rc = journal__scan_open(&scan, checking->journal->store, file->first_batch, &why);

	if (rc == 0 && scan.limit < file->bytes)
		rc = zp_fail(
		    &why, ZP_E_CORRUPT, "%s: it is shorter than what was written", scan.name);
	scan.limit = zp_min_u64(scan.limit, file->bytes);
	if (rc == 0)
		rc = header_check(checking, &scan, file->first_batch, &why);
	while (rc == 0 && ended == 0 && scan.offset < scan.limit) {
		rc = batch_check(checking, &scan, &why);
		ended = zp_check_step(checking->check, scan.offset - told, err);
		told = scan.offset;
	}
	if (scan.file != NULL)
		checking->checked->bytes += scan.offset;
	journal__scan_close(&scan);
	checking->has_chain = rc == 0;
	if (rc < 0 && (rc != ZP_E_NOT_FOUND || is_there(checking->journal, file->first_batch)))
		damage_tell(checking, why.text);
	return ended;
}

/* The table as it is now; the caller frees it. */
static struct journal_file *
files_copy(struct zp_journal *journal, size_t *count_out)
{
	struct journal_file *files;

	zp_mutex_lock(&journal->lock);
	*count_out = journal->files_count;
	files = zp_alloc(zp_max_u64(1, journal->files_count) * sizeof(files[0]));
	if (journal->files_count > 0)
		memcpy(files, journal->files, journal->files_count * sizeof(files[0]));
	zp_mutex_unlock(&journal->lock);
	return files;
}

static void
mark_check(struct checking *checking)
{
	struct zp_journal *journal = checking->journal;
	struct zp_err why = {0};
	int rc = ZP_E_CORRUPT;
	bool has_mark;

	zp_mutex_lock(&journal->lock);
	has_mark = journal->mark_log != NULL;
	zp_mutex_unlock(&journal->lock);
	if (journal->read_only) /* then none is open */
		has_mark = journal->mark_was_lost;
	if (journal->no_mark || !has_mark)
		return;
	for (unsigned i = 0; rc < 0 && i < MARK_LOOKS; i++) {
		zp_err_clear(&why);
		rc = journal__mark_look(checking->journal, &why);
	}
	if (rc < 0)
		damage_tell(checking, why.text);
}

bool
zp_journal_is_there(const struct zp_journal *journal)
{
	bool is_there = journal->mark_log == NULL || journal__mark_look(journal, NULL) == 0;

	for (size_t i = journal->oldest_is_going; is_there && i < journal->files_count; i++) {
		const struct journal_file *file = &journal->files[i];
		struct journal_scan scan;

		is_there =
		    journal__scan_open(&scan, journal->store, file->first_batch, NULL) == 0 &&
		    scan.limit >= file->bytes;
		journal__scan_close(&scan);
	}
	return is_there;
}

int
zp_journal_check(struct zp_journal *journal, const struct zp_check *check,
    int (*each)(void *context, const struct zp_journal_batch *batch, struct zp_err *err),
    struct zp_journal_checked *checked_out, struct zp_err *err)
{
	struct checking checking = {
	    .journal = journal, .check = check, .each = each, .checked = checked_out};
	struct journal_file *files;
	size_t count;
	int rc = 0;

	*checked_out = (struct zp_journal_checked){0};
	files = files_copy(journal, &count);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = file_check(&checking, &files[i], err);
	zp_free(files);
	if (rc == 0)
		mark_check(&checking);
	return rc;
}
