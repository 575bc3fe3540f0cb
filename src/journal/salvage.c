/*
 * salvage.c - what a journal that does not open still has.
 *
 * Flow:    zp_node_repair, when an operator gives up what is lost.
 * Owner:   the caller; nobody has the journal open.
 *
 * Opening believes nothing behind damage, because a write that is missing there was acknowledged.
 * Here that is known: each batch that is whole counts, in the order of the numbers, whatever is
 * missing between two of them.
 */
#include "journal/journal_internal.h"

struct salvage {
	struct journal_identity identity;
	struct zp_store *store;
	int (*each)(void *context, const struct zp_journal_batch *batch, struct zp_err *err);
	void *context;
	struct zp_journal_salvage found;
	uint64_t first; /* number of the first batch; 0: none yet */
	uint64_t last;
};

/* One batch at scan->offset, known to be whole. What no zpin writes is passed over as damage. */
static int
batch_take(struct salvage *salvage, struct journal_scan *scan, uint64_t number, struct zp_err *err)
{
	struct journal_frame frame;
	struct zp_err why = {0};
	uint64_t offset = scan->offset;
	int rc = journal__scan_next(scan, number, &frame, &why);

	if (rc == 0)
		rc = journal__records_check(frame.batch.records, frame.batch.record_count, &why);
	if (rc == ZP_E_VERSION || rc == ZP_E_IO)
		return zp_fail(err, rc, "batch %llu at offset %llu: %s", (unsigned long long)number,
		    (unsigned long long)offset, why.text);
	if (rc != 0) {
		scan->offset = offset + 1;
		salvage->found.skipped_bytes++;
		return 0;
	}
	if (salvage->first == 0)
		salvage->first = number;
	salvage->last = number;
	salvage->found.batches++;
	return salvage->each == NULL ? 0 : salvage->each(salvage->context, &frame.batch, err);
}

static int
file_take(struct salvage *salvage, uint64_t first_batch, struct zp_err *err)
{
	struct journal_scan scan;
	int rc = journal__scan_open(&scan, salvage->store, first_batch, err);

	/* The header says nothing that a batch does not say, too. */
	while (rc == 0 && scan.offset < scan.limit) {
		uint64_t before = scan.offset;
		uint64_t number;

		rc =
		    journal__scan_whole(&scan, salvage->last + 1, &salvage->identity, &number, err);
		if (rc == ZP_END)
			scan.offset = scan.limit;
		salvage->found.skipped_bytes += scan.offset - before;
		if (rc == 0)
			rc = batch_take(salvage, &scan, number, err);
	}
	if (rc < 0)
		rc = zp_wrap(err, rc, "%s", scan.name);
	journal__scan_close(&scan);
	return rc < 0 ? rc : 0;
}

int
zp_journal_salvage(const struct zp_journal_options *options,
    int (*each)(void *context, const struct zp_journal_batch *batch, struct zp_err *err),
    void *context, struct zp_journal_salvage *found_out, struct zp_err *err)
{
	struct salvage salvage = {
	    .identity.node = options->node,
	    .store = options->store,
	    .each = each,
	    .context = context,
	};
	struct zp_journal journal = {.store = options->store};
	struct journal_file_list list = {0};
	struct journal_mark mark = {0};
	uint64_t begin;
	int rc;

	memcpy(salvage.identity.cluster_id, options->cluster_id, 16);
	journal.identity = salvage.identity;
	rc = journal__mark_read(&journal, &mark, err);
	if (rc == ZP_E_NOT_FOUND || rc == ZP_E_CORRUPT) {
		zp_err_clear(err);
		rc = 0;
	}
	if (rc == 0)
		rc = journal__files_list(options->store, &list, err);
	for (size_t i = 0; rc == 0 && i < list.count; i++)
		rc = file_take(&salvage, list.first_batches[i], err);
	zp_free(list.first_batches);
	if (rc < 0)
		return zp_wrap(err, rc, "salvage journal");
	salvage.found.last_known = zp_max_u64(salvage.last, mark.number);
	begin = zp_max_u64(options->first_batch, 1);
	if (salvage.first > 0)
		begin = zp_min_u64(begin, salvage.first);
	if (salvage.found.last_known >= begin)
		salvage.found.missing =
		    salvage.found.last_known - begin + 1 - salvage.found.batches;
	*found_out = salvage.found;
	return 0;
}

int
zp_journal_files(struct zp_store *store,
    int (*each)(void *context, const char *name, struct zp_err *err), void *context,
    struct zp_err *err)
{
	struct journal_file_list list = {0};
	struct zp_store_file *mark;
	char name[JOURNAL_NAME_BYTES];
	int rc = journal__files_list(store, &list, err);

	for (size_t i = 0; rc == 0 && i < list.count; i++) {
		journal__name_format(list.first_batches[i], name);
		rc = each(context, name, err);
	}
	zp_free(list.first_batches);
	if (rc < 0 || zp_store_file_open(store, JOURNAL_MARK_NAME, &mark, NULL) < 0)
		return rc;
	zp_store_file_close(mark);
	return each(context, JOURNAL_MARK_NAME, err);
}

static int
file_remove(void *context, const char *name, struct zp_err *err)
{
	return zp_store_remove(context, name, err);
}

/* No sync: what a power cut brings back ends before the checkpoint and is refused, and the first
 * file of the new journal syncs the directory. */
int
zp_journal_remove(struct zp_store *store, struct zp_err *err)
{
	return zp_journal_files(store, file_remove, store, err);
}
