/*
 * journal.h - the ordered, durable log of a node's writes.
 *
 * A write is acknowledged when the journal has it. Batches are gathered with zp_journal_append and
 * made durable together by one zp_journal_commit: one write and one sync for all waiting writers,
 * however many shards they touch.
 *
 * Flow:    command → journal → shard. The same calls will serve a replicated lane.
 * Owner:   one thread at a time appends, commits, trims and seals. Readers have their own
 *          zp_journal_reader and may run beside it, as may zp_journal_facts_get; they end before
 *          it.
 * Format:  docs/formats.md, "Journal" and "Mark". The files are journal-<first batch>.log and mark
 *          in the store; other files there are left alone.
 * Errors:  after a failed commit the journal is broken: the outcome of what it held is unknown
 *          (ZP_E_IO), every later append, commit and trim says so, and only opening it again
 *          (which reads what is there) tells. An append that is refused (a limit, a wrong record,
 *          a sealed epoch) changes nothing. Damage before the end is ZP_E_CORRUPT with file and
 *          offset.
 */
#ifndef ZP_JOURNAL_JOURNAL_H
#define ZP_JOURNAL_JOURNAL_H

#include "base/base.h"
#include "base/check.h"
#include "store/store.h"

struct zp_journal;
struct zp_journal_reader;

enum zp_journal_kind {
	ZP_JOURNAL_RECORDS = 0,
	ZP_JOURNAL_OPEN = 1, /* an epoch opens; no records */
	ZP_JOURNAL_SEAL = 2, /* the lane is sealed: nothing of this epoch may follow; no records */
};

/* Operations of records; codes are final (docs/formats.md). */
enum zp_journal_operation {
	ZP_OP_PUT = 1,
	ZP_OP_DELETE = 2,
	ZP_OP_EXPIRE = 3,
	ZP_OP_TRACK = 7,
	ZP_OP_TRACK_END = 8,
	ZP_OP_ACCESS = 10,
	ZP_OP_PEER = 16,
	ZP_OP_ALLOCATION_LIST = 17,
	ZP_OP_PEER_MOVED = 18,
};

#define ZP_JOURNAL_RECORD_HEADER_BYTES 16u
#define ZP_JOURNAL_RECORD_PAYLOAD_MAX 0xffffffu
#define ZP_JOURNAL_GATHER_BYTES_MAX (32u << 20) /* batches that wait for one commit */
#define ZP_JOURNAL_FILES_MAX 65536u

struct zp_journal_record {
	uint64_t shard_id;    /* 0: the node itself */
	uint32_t incarnation; /* of the shard */
	uint8_t operation;    /* enum zp_journal_operation; unknown ones are ZP_E_VERSION */
	struct zp_slice payload;
};

struct zp_journal_origin {
	uint8_t id[16];    /* all 0: none */
	uint64_t sequence; /* the client's own number of this batch */
};

struct zp_journal_batch {
	enum zp_journal_kind kind;
	uint32_t node;
	uint64_t epoch;
	uint64_t number;           /* 1, 2, 3 … */
	int64_t time_microseconds; /* since 1970, never falling */
	struct zp_journal_origin origin;
	uint32_t record_count;
	struct zp_slice records; /* encoded; walk with zp_journal_record_next */
};

struct zp_journal_options {
	struct zp_store *store; /* borrowed; must outlive the journal */
	uint8_t cluster_id[16];
	uint32_t node;
	uint64_t epoch;      /* of new batches; ZP_E_CONFLICT when a later one is found */
	uint64_t file_bytes; /* a new file begins past this; 0: 64 MiB */
	size_t read_bytes;   /* at once, while opening; 0: 1 MiB */
	bool read_only;      /* never repairs, never appends */
	bool no_mark; /* for a store that does not sync: commits leave the mark alone, which a
		       * power cut could otherwise leave ahead of them */
	uint64_t
	    first_batch; /* 0: 1. What the checkpoint does not cover, its position + 1: the number
			  * of an empty journal's first batch; ZP_E_CORRUPT when a journal that is
			  * not empty ends before it, since numbers are never given twice */
};

struct zp_journal_facts {
	uint64_t first_batch; /* oldest batch still there; last_batch + 1 when empty */
	uint64_t last_batch;  /* newest durable batch; options.first_batch - 1 when none is there */
	int64_t last_time_microseconds; /* INT64_MIN when there is no batch */
	uint64_t last_epoch;            /* of the newest durable batch; 0 when there is none */
	bool is_sealed;                 /* the newest durable batch is a SEAL */
	uint64_t bytes;                 /* of all files */
	uint64_t cut_bytes;             /* of an unfinished write that opening cut off */
	uint64_t syncs;                 /* since opening */
	bool is_broken;
	bool mark_was_lost; /* opening found batches but no mark that could be read: that none is
			     * missing behind the last one could not be proved */
};

/*
 * Opens the journal, checks every batch of every file (checksums, numbers, chain, times, epochs,
 * records), cuts off an unfinished write at the end and makes durable what it accepts. ZP_E_CORRUPT
 * where acknowledged batches are damaged or missing, in between or at the end: the text names file,
 * offset and what to do. ZP_E_CONFLICT for another cluster's or node's files, ZP_E_VERSION for a
 * newer zpin's. An empty journal has no file until the first commit.
 */
ZP_MUST_CHECK int zp_journal_open(
    const struct zp_journal_options *options, struct zp_journal **journal_out, struct zp_err *err);
void zp_journal_close(struct zp_journal *journal); /* NULL is allowed */

void zp_journal_facts_get(const struct zp_journal *journal, struct zp_journal_facts *facts_out);

/* Encodes one record at the end of `records`. ZP_E_TOO_LARGE past 24 bits of payload. */
ZP_MUST_CHECK int zp_journal_record_append(
    struct zp_buf *records, const struct zp_journal_record *record, struct zp_err *err);

/*
 * Gathers one batch; gives it the next number and `now_microseconds` (or the last time, when the
 * clock went back). Nothing is durable until zp_journal_commit. `records` is copied; `origin` may
 * be NULL (none), `number_out` too. ZP_E_TOO_LARGE over ZP_JOURNAL_BATCH_BYTES_MAX, ZP_E_FULL when
 * ZP_JOURNAL_GATHER_BYTES_MAX wait already, ZP_E_INVALID when `records` is not `record_count` whole
 * records, ZP_E_READ_ONLY behind a SEAL of this epoch.
 */
ZP_MUST_CHECK int zp_journal_append(struct zp_journal *journal, enum zp_journal_kind kind,
    const struct zp_journal_origin *origin, struct zp_slice records, uint32_t record_count,
    int64_t now_microseconds, uint64_t *number_out, struct zp_err *err);

/*
 * Whether `bytes` more may be committed with a reserve left over, which flushes and merges need to
 * make room again: 64 MiB, or `upkeep_bytes` where that is more, but at most a 32nd of the file
 * system. ZP_E_NO_SPACE says how much is free, as does *free_out (may be NULL) where there is room.
 * To be asked before a group is decided: a commit that meets the end of the disk breaks the
 * journal. Any thread.
 */
ZP_MUST_CHECK int zp_journal_room_check(const struct zp_journal *journal, uint64_t bytes,
    uint64_t upkeep_bytes, uint64_t *free_out, struct zp_err *err);

/* Writes all gathered batches with one write and one sync (two more where a new file begins: its
 * header's and the directory's). Nothing gathered: does nothing. */
ZP_MUST_CHECK int zp_journal_commit(struct zp_journal *journal, struct zp_err *err);

/* Removes the files whose batches are all at or below `number`, oldest first. When that is all of
 * them, an empty file is made first, which keeps number and chain. */
ZP_MUST_CHECK int zp_journal_trim(struct zp_journal *journal, uint64_t number, struct zp_err *err);

/* Appends and commits a SEAL; appending afterwards is refused until the next epoch. */
ZP_MUST_CHECK int zp_journal_seal(
    struct zp_journal *journal, int64_t now_microseconds, struct zp_err *err);

/* Reads committed batches from number `from` on; ZP_E_NOT_FOUND when it was trimmed, ZP_E_INVALID
 * past the number after the last. */
ZP_MUST_CHECK int zp_journal_reader_open(struct zp_journal *journal, uint64_t from,
    struct zp_journal_reader **reader_out, struct zp_err *err);
/* 0 and a batch that is valid until the next call; ZP_END when nothing more is committed, and a
 * later call may find more; ZP_E_NOT_FOUND when it was trimmed meanwhile; or damage. */
ZP_MUST_CHECK int zp_journal_reader_next(
    struct zp_journal_reader *reader, struct zp_journal_batch *batch_out, struct zp_err *err);
void zp_journal_reader_close(struct zp_journal_reader *reader);

/* ---- Reading it again ------------------------------------------------------------------------ */

struct zp_journal_checked {
	uint64_t batches; /* whole ones */
	uint64_t bytes;
	uint64_t damages; /* told to `check` one by one; one of each file at most */
};

/*
 * Any thread, beside the writer. Reads every committed batch of every file from the disk, and the
 * mark. Damage is told to `check` with file, batch and offset, and the check goes on with the next
 * file; the answer is what ended it. `each` (NULL: nothing more; called with check->context) looks
 * at each batch; its error is damage.
 */
ZP_MUST_CHECK int zp_journal_check(struct zp_journal *journal, const struct zp_check *check,
    int (*each)(void *context, const struct zp_journal_batch *batch, struct zp_err *err),
    struct zp_journal_checked *checked_out, struct zp_err *err);

/* Whether all files that it needs, and the mark, are found and as long as they should be, which is
 * what is known without reading them. For the owner. */
bool zp_journal_is_there(const struct zp_journal *journal);

/* What is appended next goes into a new file, so that the present one can be trimmed as soon as
 * nothing needs it. For the owner, with nothing gathered. */
ZP_MUST_CHECK int zp_journal_file_end(struct zp_journal *journal, struct zp_err *err);

/* A mark whose file is gone or damaged is written again. For the owner. */
ZP_MUST_CHECK int zp_journal_mark_renew(struct zp_journal *journal, struct zp_err *err);

/* ---- A journal that does not open ------------------------------------------------------------ */

struct zp_journal_salvage {
	uint64_t batches; /* whole ones */
	uint64_t missing; /* numbers from options.first_batch, or an earlier one, to the last known
			   * that are not among them */
	uint64_t last_known; /* the highest number that a batch or the mark names, 0 for none */
	uint64_t skipped_bytes;
};

/*
 * Calls `each` for every whole batch of this cluster and node that the files still have, with
 * rising numbers, whatever is damaged or missing between them, and says what was found. `options`
 * as for opening; nothing is changed. A batch is valid during the call; `each` may end it with an
 * error.
 */
ZP_MUST_CHECK int zp_journal_salvage(const struct zp_journal_options *options,
    int (*each)(void *context, const struct zp_journal_batch *batch, struct zp_err *err),
    void *context, struct zp_journal_salvage *found_out, struct zp_err *err);

/* Removes all files of the journal, the mark too, so that opening begins an empty one. */
ZP_MUST_CHECK int zp_journal_remove(struct zp_store *store, struct zp_err *err);

/* Names of those files, for whoever keeps a copy. */
ZP_MUST_CHECK int zp_journal_files(struct zp_store *store,
    int (*each)(void *context, const char *name, struct zp_err *err), void *context,
    struct zp_err *err);

/* Walks the records of a batch: 0, ZP_END, ZP_E_CORRUPT, or ZP_E_VERSION for an unknown operation.
 * *position starts at 0. */
ZP_MUST_CHECK int zp_journal_record_next(struct zp_slice records, size_t *position,
    struct zp_journal_record *record_out, struct zp_err *err);

#endif
