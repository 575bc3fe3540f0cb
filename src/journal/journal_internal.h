/*
 * journal_internal.h - the parts of the journal.
 *
 *   format.c   bytes ⇄ structs, one batch at a time; pure
 *   scan.c     walks the batches of one file; looks behind damage
 *   mark.c     the last acknowledged batch, said outside of the files
 *   open.c     checks all files, repairs the end
 *   journal.c  append, commit, new file, trim, seal
 *   reader.c   reads beside the writer
 *   salvage.c  what a damaged journal still has
 *   check.c    reads all of it again
 *
 * Threads: `lock` guards what readers see (marked "shared"); the rest is the owner's.
 */
#ifndef ZP_JOURNAL_JOURNAL_INTERNAL_H
#define ZP_JOURNAL_JOURNAL_INTERNAL_H

#include "journal/journal.h"
#include "os/os.h"

#define JOURNAL_HEADER_BYTES 64u
#define JOURNAL_BATCH_HEADER_BYTES 112u
#define JOURNAL_VERSION 1u
#define JOURNAL_FILE_BYTES_DEFAULT (64u << 20)
#define JOURNAL_RESERVE_BYTES (UINT64_C(64) << 20)
#define JOURNAL_MARK_NAME "mark"
#define JOURNAL_NAME_BYTES sizeof("journal-0123456789abcdef.log")
#define JOURNAL_TORN 2 /* a scan's answer beside 0 and ZP_END: no whole batch stands here */

/* Whose journal it is; in every file and batch. */
struct journal_identity {
	uint8_t cluster_id[16];
	uint32_t node;
};

struct journal_header {
	struct journal_identity identity;
	uint64_t first_batch;
	uint64_t previous; /* checksum of the batch before the first, 0 for the first of all */
};

/* A batch with what only the journal itself needs. */
struct journal_frame {
	struct zp_journal_batch batch;
	struct journal_identity identity;
	uint64_t durable;  /* the highest batch that was synced when this one was written */
	uint64_t previous; /* checksum of the batch before */
	uint64_t checksum; /* its own; set by encoding too */
};

/* What the next batch must fit: the state behind the last one. */
struct journal_chain {
	uint64_t number;
	uint64_t checksum;
	uint64_t epoch;
	int64_t time_microseconds;
	uint64_t durable; /* what it said was synced */
	bool is_sealed;
};

/* A batch that was acknowledged. */
struct journal_mark {
	uint64_t number;
	uint64_t checksum; /* of the batch */
};

struct journal_file {
	uint64_t first_batch;
	uint64_t bytes; /* committed */
};

struct zp_journal {
	struct zp_store *store; /* borrowed */
	struct journal_identity identity;
	uint64_t epoch;
	uint64_t file_bytes;
	size_t read_bytes;
	bool read_only;
	bool no_mark;
	struct zp_store_log *log;            /* of the last file; NULL before the first commit */
	struct zp_store_log *mark_log;       /* NULL: the mark is not written */
	unsigned mark_slot;                  /* the one with the newer mark */
	struct journal_mark mark;            /* as found when opening; number 0: none */
	struct journal_chain chain;          /* gathered batches included */
	struct zp_buf gathered;              /* encoded batches that wait for the commit */
	char broken_text[ZP_ERR_TEXT_BYTES]; /* why; empty while it works */

	struct zp_mutex lock;
	struct journal_chain committed; /* shared */
	struct journal_file *files;     /* shared; oldest first */
	size_t files_count;             /* shared */
	bool oldest_is_going;  /* shared: its name goes, or went and that is not durable yet */
	size_t files_capacity; /* shared */
	uint64_t cut_bytes;    /* shared */
	uint64_t syncs;        /* shared */
	bool mark_was_lost;    /* shared */
	bool is_broken;        /* shared */
};

/* ---- format.c ------------------------------------------------------------------------------- */

void journal__name_format(uint64_t first_batch, char name_out[JOURNAL_NAME_BYTES]);
bool journal__name_parse(const char *name, uint64_t *first_batch_out);

void journal__header_encode(
    const struct journal_header *header, uint8_t bytes_out[JOURNAL_HEADER_BYTES]);
ZP_MUST_CHECK int journal__header_decode(const uint8_t bytes[JOURNAL_HEADER_BYTES],
    struct journal_header *header_out, struct zp_err *err);

/* Writes the batch header in front of batch.records, which already stand behind it at `to`. */
void journal__frame_encode(struct journal_frame *frame, uint8_t *to);

/* The length that a batch header claims, or 0 when it is none. */
size_t journal__frame_length(const uint8_t head[JOURNAL_BATCH_HEADER_BYTES]);

/* Number and durable as the header claims them, unchecked. */
uint64_t journal__frame_number(const uint8_t head[JOURNAL_BATCH_HEADER_BYTES]);
uint64_t journal__frame_durable(const uint8_t head[JOURNAL_BATCH_HEADER_BYTES]);

/* True when a batch header claims this cluster and node. */
bool journal__frame_is_of(
    const uint8_t head[JOURNAL_BATCH_HEADER_BYTES], const struct journal_identity *identity);

/* The first batch magic in the bytes, or NULL. */
const uint8_t *journal__magic_find(const uint8_t *bytes, size_t length);

/* True when the bytes are batch `number`, as written. */
bool journal__frame_is_whole(const uint8_t *bytes, size_t length, uint64_t number);

/* Of bytes that are whole. ZP_E_VERSION, or ZP_E_CORRUPT for what no zpin writes. */
ZP_MUST_CHECK int journal__frame_decode(
    const uint8_t *bytes, size_t length, struct journal_frame *frame_out, struct zp_err *err);

/* ZP_E_INVALID unless `records` is exactly `count` records. */
ZP_MUST_CHECK int journal__records_check(
    struct zp_slice records, uint32_t count, struct zp_err *err);

/* Checks that the frame may follow `chain`, and moves the chain on. ZP_E_CORRUPT. */
ZP_MUST_CHECK int journal__chain_follow(struct journal_chain *chain,
    const struct journal_identity *identity, const struct journal_frame *frame, struct zp_err *err);

/* ---- scan.c --------------------------------------------------------------------------------- */

struct journal_scan {
	struct zp_store_file *file; /* owned */
	char name[JOURNAL_NAME_BYTES];
	uint64_t offset;      /* of the next batch */
	uint64_t limit;       /* nothing from here on is looked at */
	size_t read_bytes;    /* that are asked for at once, at least */
	struct zp_buf window; /* bytes of the file from window_offset on */
	uint64_t window_offset;
};

/* Opens the file; the header is not read. The limit is its present end. May be closed also when
 * this failed. */
ZP_MUST_CHECK int journal__scan_open(
    struct journal_scan *scan, struct zp_store *store, uint64_t first_batch, struct zp_err *err);
void journal__scan_close(struct journal_scan *scan);

/* The `length` bytes at `offset`, below the limit; valid until the next call. */
ZP_MUST_CHECK int journal__scan_bytes(struct journal_scan *scan, uint64_t offset, size_t length,
    const uint8_t **bytes_out, struct zp_err *err);

/* Decodes batch `number` at scan->offset and moves on: 0, ZP_END at the limit, JOURNAL_TORN. The
 * batch is valid until the next call. */
ZP_MUST_CHECK int journal__scan_next(struct journal_scan *scan, uint64_t number,
    struct journal_frame *frame_out, struct zp_err *err);

/*
 * Looks behind the damage at scan->offset for a whole batch that says batch `number` was durable. 0
 * and which one, or ZP_END.
 */
ZP_MUST_CHECK int journal__scan_witness(struct journal_scan *scan, uint64_t number,
    const struct journal_identity *identity, uint64_t *witness_out, struct zp_err *err);

/*
 * Moves on to the first whole batch from scan->offset on with a number of at least `number_min`,
 * whatever stands before it. 0 and its number, or ZP_END.
 */
ZP_MUST_CHECK int journal__scan_whole(struct journal_scan *scan, uint64_t number_min,
    const struct journal_identity *identity, uint64_t *number_out, struct zp_err *err);

struct journal_file_list {
	uint64_t *first_batches; /* rising; owned */
	size_t count;
	size_t capacity;
};

/* The journal's files by their names. To be freed also when this failed. */
ZP_MUST_CHECK int journal__files_list(
    struct zp_store *store, struct journal_file_list *list, struct zp_err *err);

/* ---- mark.c --------------------------------------------------------------------------------- */

/* ZP_E_NOT_FOUND, ZP_E_CORRUPT when neither slot is whole, ZP_E_VERSION, ZP_E_CONFLICT for another
 * journal's. */
ZP_MUST_CHECK int journal__mark_read(
    struct zp_journal *journal, struct journal_mark *mark_out, struct zp_err *err);
/* Whether a start would find it whole. Any thread; a slot may be written meanwhile. */
ZP_MUST_CHECK int journal__mark_look(const struct zp_journal *journal, struct zp_err *err);
/* Opens it, made anew where it is not (usably) there, and moves it to what is committed. */
ZP_MUST_CHECK int journal__mark_open(struct zp_journal *journal, bool is_there, struct zp_err *err);
/* What is committed now was acknowledged, or is about to be. */
void journal__mark_set(struct zp_journal *journal);
void journal__mark_close(struct zp_journal *journal); /* nothing open is allowed */

/* ---- open.c, journal.c ---------------------------------------------------------------------- */

/* Finds and checks the files; fills files, chain and committed, and repairs. */
ZP_MUST_CHECK int journal__load(
    struct zp_journal *journal, uint64_t first_batch, struct zp_err *err);

/* Adds the newest file to the table; the caller saw to it that there is room. */
void journal__files_add(struct zp_journal *journal, uint64_t first_batch, uint64_t bytes);

#endif
