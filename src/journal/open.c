/*
 * open.c - opening a journal: every file is checked from first to last byte, and the end is made
 * sure.
 *
 * Flow:    zp_journal_open → list → check each file → repair the last one.
 * Owner:   the thread that opens; nobody else has the journal yet.
 *
 * What may be cut. The only bytes that a power cut may leave unfinished are those of the last
 * write. Its batches are the last ones of the last file, and each carries its place in that write.
 * So damage is an unfinished write unless behind it stands a whole batch of a later write, which
 * was begun only after everything before it had been synced and acknowledged, or the mark says so.
 * The mark also tells when whole batches are missing at the end.
 */
#include "journal/journal_internal.h"

#include <inttypes.h>

/* How the last file ends. */
struct journal_end {
	uint64_t first_batch; /* names the file */
	uint64_t group;       /* where the last write begins */
	uint64_t valid;       /* where the last whole batch ends */
	uint64_t limit;       /* where the file ends */
};

/* Reads the header of an open file and starts the chain, or checks that it goes on. */
static int
header_check(struct zp_journal *journal, struct journal_scan *scan, uint64_t first_batch,
    bool is_oldest, struct zp_err *err)
{
	struct journal_header header;
	const uint8_t *bytes;
	int rc;

	if (scan->limit < JOURNAL_HEADER_BYTES)
		return zp_fail(err, ZP_E_CORRUPT,
		    "the file has no whole header: restore it from a copy, or see `zpin repair "
		    "--help`");
	rc = journal__scan_bytes(scan, 0, JOURNAL_HEADER_BYTES, &bytes, err);
	if (rc == 0)
		rc = journal__header_decode(bytes, &header, err);
	if (rc < 0)
		return rc;
	if (memcmp(header.identity.cluster_id, journal->identity.cluster_id, 16) != 0)
		return zp_fail(err, ZP_E_CONFLICT, "the file is of another cluster");
	if (header.identity.node != journal->identity.node)
		return zp_fail(err, ZP_E_CONFLICT,
		    "the file is of node %" PRIu32 ", this is node %" PRIu32, header.identity.node,
		    journal->identity.node);
	if (header.first_batch != first_batch || first_batch == 0)
		return zp_fail(err, ZP_E_CORRUPT,
		    "the file begins with batch %" PRIu64 " but is named for %" PRIu64,
		    header.first_batch, first_batch);
	if (is_oldest) {
		journal->chain.number = first_batch - 1;
		journal->chain.checksum = header.previous;
	} else if (header.previous != journal->chain.checksum) {
		return zp_fail(err, ZP_E_CORRUPT, "the file does not follow the one before it");
	}
	return 0;
}

/* Says what to do about batch chain.number + 1, which is not whole. 0: it may be cut. */
static int
damage_judge(
    struct zp_journal *journal, struct journal_scan *scan, bool is_last, struct zp_err *err)
{
	uint64_t number = journal->chain.number + 1;
	uint64_t witness;
	int rc;

	if (!is_last)
		return zp_fail(err, ZP_E_CORRUPT,
		    "batch %" PRIu64 " at offset %" PRIu64
		    " is damaged, and it was acknowledged: restore the file from a copy, or see "
		    "`zpin repair --help`",
		    number, scan->offset);
	rc = journal__scan_witness(scan, number, &journal->identity, &witness, err);
	if (rc < 0)
		return rc;
	if (rc == ZP_END && number <= journal->mark.number)
		return zp_fail(err, ZP_E_CORRUPT,
		    "batch %" PRIu64 " at offset %" PRIu64
		    " is damaged or cut off, and it was acknowledged, as the mark says: "
		    "restore the file from a copy, or see `zpin repair --help`",
		    number, scan->offset);
	if (rc == 0)
		return zp_fail(err, ZP_E_CORRUPT,
		    "batch %" PRIu64 " at offset %" PRIu64 " is damaged, and batch %" PRIu64
		    " behind it proves that it was acknowledged: "
		    "restore the file from a copy, or see `zpin repair --help`",
		    number, scan->offset, witness);
	return 0;
}

/* The batch that the mark names must be the one that is there. */
static int
mark_compare(const struct zp_journal *journal, struct zp_err *err)
{
	if (journal->chain.number != journal->mark.number ||
	    journal->chain.checksum == journal->mark.checksum)
		return 0;
	return zp_fail(err, ZP_E_CORRUPT,
	    "another batch %" PRIu64 " than this one was acknowledged: files of different moments "
	    "were mixed; restore the journal's folder from one copy, or see `zpin repair --help`",
	    journal->mark.number);
}

/* Checks the batches of one file. *group_out is where the last write in it begins. */
static int
batches_check(struct zp_journal *journal, struct journal_scan *scan, bool is_last,
    uint64_t *group_out, struct zp_err *err)
{
	for (;;) {
		struct journal_frame frame;
		uint64_t offset = scan->offset;
		int rc = journal__scan_next(scan, journal->chain.number + 1, &frame, err);

		if (rc == 0)
			rc = journal__records_check(
			    frame.batch.records, frame.batch.record_count, err);
		if (rc == 0)
			rc =
			    journal__chain_follow(&journal->chain, &journal->identity, &frame, err);
		if (rc == 0)
			rc = mark_compare(journal, err);
		if (rc < 0)
			return zp_wrap(err, rc, "batch %" PRIu64 " at offset %" PRIu64,
			    journal->chain.number + 1, offset);
		if (rc == JOURNAL_TORN)
			return damage_judge(journal, scan, is_last, err);
		if (rc == ZP_END)
			return 0;
		if (frame.durable == frame.batch.number - 1)
			*group_out = offset;
	}
}

static int
file_load(struct zp_journal *journal, uint64_t first_batch, bool is_oldest, bool is_last,
    struct journal_end *end_out, struct zp_err *err)
{
	struct journal_scan scan;
	struct journal_end end = {.group = JOURNAL_HEADER_BYTES};
	int rc;

	rc = journal__scan_open(&scan, journal->store, first_batch, err);
	if (rc < 0)
		return rc;
	if (journal->read_bytes != 0)
		scan.read_bytes = journal->read_bytes;
	rc = header_check(journal, &scan, first_batch, is_oldest, err);
	if (rc == 0)
		rc = batches_check(journal, &scan, is_last, &end.group, err);
	if (rc == 0) {
		journal__files_add(journal, first_batch, scan.offset);
		end.first_batch = first_batch;
		end.valid = scan.offset;
		end.limit = scan.limit;
		*end_out = end;
	} else {
		rc = zp_wrap(err, rc, "%s", scan.name);
	}
	journal__scan_close(&scan);
	return rc;
}

static int
files_load(struct zp_journal *journal, const struct journal_file_list *list,
    struct journal_end *end_out, struct zp_err *err)
{
	for (size_t i = 0; i < list->count; i++) {
		uint64_t first_batch = list->first_batches[i];
		int rc;

		if (i > 0 && first_batch != journal->chain.number + 1)
			return zp_fail(err, ZP_E_CORRUPT,
			    "batches %" PRIu64 " to %" PRIu64 " are missing between the journal's "
			    "files: restore the missing file from a copy, or see `zpin repair "
			    "--help`",
			    journal->chain.number + 1, first_batch - 1);
		rc = file_load(journal, first_batch, i == 0, i == list->count - 1, end_out, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* What must hold before anything is changed. */
static int
place_check(const struct zp_journal *journal, uint64_t first_batch, struct zp_err *err)
{
	if (journal->chain.number < journal->mark.number)
		return zp_fail(err, ZP_E_CORRUPT,
		    "the journal ends with batch %" PRIu64 " but batch %" PRIu64
		    " was acknowledged: its newest file was lost or cut off; restore it from a "
		    "copy, or see `zpin repair --help`",
		    journal->chain.number, journal->mark.number);
	if (journal->chain.number + 1 < first_batch)
		return zp_fail(err, ZP_E_CORRUPT,
		    "the journal ends with batch %" PRIu64 " but a checkpoint covers %" PRIu64
		    ": its newest batches were lost, or it was rolled back; restore its files from "
		    "a copy, or see `zpin repair --help`",
		    journal->chain.number, first_batch - 1);
	if (journal->chain.epoch > journal->epoch)
		return zp_fail(err, ZP_E_CONFLICT,
		    "the journal is in epoch %" PRIu64 ", this process has %" PRIu64
		    ": another one took over",
		    journal->chain.epoch, journal->epoch);
	return 0;
}

/* Writes the last write again, in place: its bytes may have been read from the system's cache only,
 * for the process that wrote them may have died before its sync, or seen the sync fail, after which
 * the cache calls them clean. Never by cutting first, since they may be acknowledged. */
static int
group_rewrite(struct zp_journal *journal, const struct journal_end *end, struct zp_err *err)
{
	struct journal_scan scan;
	uint64_t offset = end->group;
	int rc;

	rc = journal__scan_open(&scan, journal->store, end->first_batch, err);
	while (rc == 0 && offset < end->valid) {
		size_t length = zp_min_u64(end->valid - offset, ZP_JOURNAL_BATCH_BYTES_MAX);
		const uint8_t *bytes;

		rc = journal__scan_bytes(&scan, offset, length, &bytes, err);
		if (rc == 0)
			rc = zp_store_log_rewrite(journal->log, offset, bytes, length, err);
		offset += length;
	}
	journal__scan_close(&scan);
	if (rc < 0)
		return rc;
	return zp_store_log_sync(journal->log, err);
}

static int
end_repair(struct zp_journal *journal, const struct journal_end *end, struct zp_err *err)
{
	char name[JOURNAL_NAME_BYTES];
	int rc;

	journal__name_format(end->first_batch, name);
	rc = zp_store_log_open(journal->store, name, false, &journal->log, err);
	if (rc < 0)
		return rc;
	if (zp_store_log_bytes(journal->log) != end->limit)
		return zp_fail(err, ZP_E_CONFLICT, "somebody else writes to %s", name);
	if (end->valid < end->limit) {
		rc = zp_store_log_truncate(journal->log, end->valid, err);
		if (rc < 0)
			return rc;
	}
	rc = group_rewrite(journal, end, err);
	if (rc < 0)
		return rc;
	/* The names as well: the file may have been made just before its process died. */
	return zp_store_sync_directory(journal->store, err);
}

/* Before the files are looked at: who reads beside a writer must not find the mark ahead of them.
 */
static int
mark_load(struct zp_journal *journal, bool *found_out, struct zp_err *err)
{
	int rc = journal__mark_read(journal, &journal->mark, err);

	*found_out = rc == 0;
	if (rc != ZP_E_NOT_FOUND && rc != ZP_E_CORRUPT)
		return rc;
	zp_err_clear(err);
	return 0;
}

int
journal__load(struct zp_journal *journal, uint64_t first_batch, struct zp_err *err)
{
	struct journal_file_list list = {0};
	struct journal_end end = {0};
	bool has_mark;
	int rc;

	rc = mark_load(journal, &has_mark, err);
	if (rc < 0)
		return rc;
	journal->chain = (struct journal_chain){
	    .number = first_batch - 1,
	    .time_microseconds = INT64_MIN,
	};
	rc = journal__files_list(journal->store, &list, err);
	if (rc == 0 && list.count > 0)
		rc = files_load(journal, &list, &end, err);
	if (rc == 0)
		rc = place_check(journal, first_batch, err);
	if (rc == 0 && list.count > 0 && !journal->read_only)
		rc = end_repair(journal, &end, err);
	zp_free(list.first_batches);
	if (rc < 0)
		return rc;
	journal->cut_bytes = end.limit - end.valid;
	journal->committed = journal->chain;
	/* Without a batch there was nothing to mark. */
	journal->mark_was_lost = !has_mark && journal->chain.number >= first_batch;
	if (journal->read_only || journal->no_mark)
		return 0;
	return journal__mark_open(journal, has_mark, err);
}
