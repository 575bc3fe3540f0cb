/*
 * command.h - what zpin can do: the one door for the API, background work, offline tools and tests.
 *
 * Flow:    api → command → journal → shard → engine. A read skips the journal.
 * Threads: any thread may call anything here. Writes are answered by the commit thread, which
 *          gathers everything that waits, looks the old records up together, decides, makes one
 * journal commit (one sync) and applies: so an answer means durable, and decisions are serial.
 * Errors:  user errors carry IPFS Cluster's texts. After a failed journal sync every write answers
 *          ZP_E_IO "outcome unknown" until the node is restarted; reads go on.
 */
#ifndef ZP_COMMAND_COMMAND_H
#define ZP_COMMAND_COMMAND_H

#include "engine/engine.h"
#include "journal/journal.h"
#include "pin/pin.h"

/* What is kept of accesses that are told (see "Accesses"). */
enum zp_accesses_mode {
	ZP_ACCESSES_OFF = 0,
	ZP_ACCESSES_RELATIVE = 1,
	ZP_ACCESSES_EXACT = 2,
};

/* ---- The node ------------------------------------------------------------------------------- */

struct zp_node;

struct zp_node_options {
	const char *root; /* directory of the node's files */
	uint32_t shards;  /* at creation only; a power of two, 1 to ZP_SHARDS_MAX */
	uint8_t peer_id[ZP_PEER_ID_BYTES_MAX]; /* this node's own, binary */
	size_t peer_id_bytes;
	int32_t replication_min; /* defaults for pins that ask for 0; -1: everywhere */
	int32_t replication_max;
	uint64_t texts_cache_bytes_max; /* of all shards together; 0: no cache */
	uint64_t block_cache_bytes_max; /* likewise */
	uint64_t memtable_bytes_max; /* of all shards together; a checkpoint begins at half of it */
	uint64_t journal_bytes_max;  /* a checkpoint begins at this much journal */
	uint32_t checkpoint_interval_seconds;
	uint32_t expiry_interval_seconds; /* how often due pins are looked for; 0: never */
	enum zp_accesses_mode accesses_mode;
	uint32_t accesses_interval_seconds; /* RELATIVE: what is told of a pin is written at most
					     * once in this time */
	uint64_t scrub_bytes_per_second;    /* of the scrubber; 0: it reads on request only */
	uint32_t scrub_interval_seconds;    /* from pass to pass; 0: on request only */
	uint64_t hang_after_ns; /* a call of the disk that takes so long hangs, and who waits for
				 * it is told; 0: everybody waits */
	bool read_only;         /* changes no file, for snapshots and nodes that were stopped or
				 * killed: what only the journal has is replayed into memory.
				 * Shares the lock with others that only read */
	bool at_checkpoint; /* the pinset of the newest checkpoint, exactly: a snapshot, or what a
			     * node was then. What only the journal has is not in it. With it
			     * read_only is implied */
	bool offline;       /* no background work but what full memory needs: for tools */
	bool no_sync;       /* tests only */
	/* Where the node tells what happens; may be NULL. level: 0 debug … 3 error. */
	void (*log)(void *context, int level, const char *text);
	/* While the node was told to stop (zp_node_work_stop) and a call of the disk hangs, again
	 * and again, on a thread of the node's own: closing would wait for it. May be NULL. */
	void (*stop_hangs)(void *context, const char *text);
	void *log_context; /* of both */
};

/* Makes a new node's files. ZP_E_EXISTS where there is one. Of the options it takes root, shards
 * (0: 16), no_sync and log. */
ZP_MUST_CHECK int zp_node_create(const struct zp_node_options *options, struct zp_err *err);

/* Takes the lock, reads checkpoint and map, opens the shards, replays the journal, starts the
 * commit and maintenance threads. The text of an error says what to do. */
ZP_MUST_CHECK int zp_node_open(
    const struct zp_node_options *options, struct zp_node **node_out, struct zp_err *err);

/* Answers what waits, writes a checkpoint (unless read_only or the journal is broken), ends the
 * threads and closes. NULL is allowed. */
void zp_node_close(struct zp_node *node);

struct zp_repair_report {
	char damage[ZP_ERR_TEXT_BYTES]; /* why the node does not open; empty: the journal is fine */
	struct zp_journal_salvage journal; /* what is left of it */
	bool is_repaired;
	uint64_t replayed_records; /* went into the shards */
	uint64_t lost_peers;       /* ids whose peer is not known: "lost peer N" stands for it */
	uint64_t lost_lists;       /* allocation lists that are one such peer now */
	char kept_in[4200];        /* folder with the old files; empty: there were none */
	uint32_t suspended;        /* shards that were found so */
	uint64_t suspended_first;  /* id of the first of them, and */
	char suspended_why[ZP_ERR_TEXT_BYTES];
	bool is_given_up; /* those that were asked for */
};

/* A shard that is suspended and shall be given up. */
struct zp_repair_shard {
	uint64_t id;
	uint8_t low[ZP_KEY_BYTES]; /* its keys, as in zp_shard_range */
	uint8_t high[ZP_KEY_BYTES];
	char why[ZP_ERR_TEXT_BYTES]; /* it is suspended */
	bool has_count;              /* the last checkpoint counted */
	uint64_t pins;               /* so many pins in its files */
	uint64_t journal_records;    /* of it, which the journal still has */
	uint64_t pins_left;          /* once it is given up: what became of those */
};

struct zp_repair_options {
	bool accept_loss;
	const uint64_t *give_up;        /* ids of shards */
	struct zp_repair_shard *shards; /* out: one for each of them */
	size_t give_up_count;
};

/*
 * For a node whose journal is damaged or lost, or one of whose shards is. Without `accept_loss` it
 * only looks, and changes nothing. With it everything that is whole in a damaged journal goes into
 * the shards, whatever is missing between, and an empty journal begins; the old files are kept
 * beside it. A shard in `give_up` becomes an empty one with what the journal has of it; its files
 * stay in its folder under other names. ZP_E_INVALID for one that is not suspended: nothing is done
 * then. Cut short, it can be repeated. ZP_E_CORRUPT while a shard is suspended that is not given up
 * and the journal is damaged: the shard needs the journal.
 */
ZP_MUST_CHECK int zp_node_repair(const struct zp_node_options *options,
    const struct zp_repair_options *repair, struct zp_repair_report *report_out,
    struct zp_err *err);

/* Opens read-only, in this process alone, what `as_of` says of the node in options->root (see "As
 * of a moment"). A snapshot is read whether or not the node runs. */
ZP_MUST_CHECK int zp_node_open_as_of(const struct zp_node_options *options, const char *as_of,
    struct zp_node **node_out, struct zp_err *err);

const struct zp_tables *zp_node_tables(const struct zp_node *node); /* read side; any thread */
/* Writes answer ZP_E_READ_ONLY from now on, or are taken again. A node that was opened read-only
 * stays so. */
void zp_node_read_only_set(struct zp_node *node, bool read_only);
/* For a stop that shall not wait: zp_command_verify, _settle and _seal end with ZP_E_STOPPING,
 * those under way too, and change nothing by it; no more moments are opened. Any thread; NULL is
 * allowed. */
void zp_node_work_stop(struct zp_node *node);
/* Whether that was asked for: what can end early shall. */
bool zp_node_work_is_stopping(const struct zp_node *node);

/* ---- Writes --------------------------------------------------------------------------------- */

enum zp_write_kind {
	ZP_WRITE_PIN = 1,    /* POST /pins: IPFS Cluster's rules and refusals, created = now */
	ZP_WRITE_UNPIN = 2,  /* DELETE /pins: ZP_E_NOT_FOUND "pin is not part of the pinset" */
	ZP_WRITE_IMPORT = 3, /* as the line says, created kept, no refusals */
	ZP_WRITE_EXPIRE = 4, /* delete if fact expire_at is still record.facts[ZP_FACT_EXPIRE_AT] */
	ZP_WRITE_DELETE = 5, /* delete without any rule (replacing import); absent is fine */
	ZP_WRITE_ACCESS = 6, /* so many more accesses; ZP_E_NOT_FOUND where there is no pin */
};

/*
 * One write. The caller fills the upper part, keeps everything it points to until the batch is
 * done, and reads the lower part then. Fact allocations of `record` is decided by the commit
 * thread: PIN allocates, IMPORT registers `allocations`.
 */
struct zp_write {
	enum zp_write_kind kind;
	bool has_update_from;     /* PIN with pin-update: copy that pin's options */
	bool update_keeps_name;   /* no name was given: keep the old pin's */
	bool update_keeps_expiry; /* likewise expire_at */
	bool was_there;           /* answer: a pin stood under the key before */
	int rc;                   /* answer, as all below `update_from` */
	struct zp_key key;
	struct zp_record record;     /* PIN, IMPORT: facts and texts (borrowed) */
	struct zp_accesses accesses; /* ACCESS: 1 to ZP_ACCESS_COUNT_MAX, not before 1970 */
	const struct zp_slice
	    *allocations; /* PIN: user_allocations; IMPORT: the list; binary ids */
	size_t allocations_count;
	struct zp_key update_from;

	/* Answers, valid in `done` and until the batch is freed or reused. */
	struct zp_record result;      /* PIN: as stored. UNPIN, EXPIRE: what was removed */
	struct zp_buf result_texts;   /* owned, zero at first: what result.texts borrows where
				       * it must; the caller ends it with zp_buf_done */
	uint32_t created_nanoseconds; /* PIN: the part of a second that is not stored */
	struct zp_err err;            /* with a negative rc */
};

struct zp_write_batch {
	struct zp_write *writes; /* owned by the caller */
	size_t count;
	struct zp_journal_origin origin; /* zero, or the client's stream: already applied sequences
					  * are answered without being written again */
	/* Called once on a thread of the node's, when all writes are answered. Must not block. */
	void (*done)(struct zp_write_batch *batch);
	/* Called before that, at most once, when the disk does not answer: nobody knows what comes
	 * of the writes, and who waits may be told so. The batch stays the node's until `done`, and
	 * its writes are not to be looked at. Must not block, nor call the node. NULL: who sent it
	 * rather waits, for the disk too. */
	void (*late)(struct zp_write_batch *batch, const struct zp_err *err);
	void *context;
	struct zp_write_batch *next; /* the queue's own, */
	uint64_t bytes;              /* and so is this */
};

/*
 * Hands a batch to the commit thread. `done` is not called after an error: ZP_E_FULL when the queue
 * is at its limit, ZP_E_READ_ONLY, ZP_E_STOPPING, ZP_E_IO after a failed journal, and
 * ZP_E_TIMEOUT while the disk does not answer (not with `late` NULL), ZP_E_TOO_LARGE for more than
 * ZP_WRITE_BATCH_MAX writes, 16 MiB, or, of a stream, what one journal batch holds (1 MiB). A batch
 * of a stream may have no writes: it only moves the sequence on.
 */
#define ZP_WRITE_BATCH_MAX 8192u
ZP_MUST_CHECK int zp_command_write(
    struct zp_node *node, struct zp_write_batch *batch, struct zp_err *err);

/* The same, waiting for the answer; for tools and tests. Returns writes[0].rc when count is 1. */
ZP_MUST_CHECK int zp_command_write_wait(
    struct zp_node *node, struct zp_write_batch *batch, struct zp_err *err);

/* ---- Accesses -------------------------------------------------------------------------------- */

/*
 * Whoever serves the content of pins tells it here: zpin serves none itself, and to look a pin up
 * is no access. What is told of no pin is not kept; a pin that goes takes its accesses along. A
 * time that is still to come counts as now.
 *
 * RELATIVE: it gathers in memory, and what was told of a pin is written when the interval is over
 * since it was last written: so at most one row of the pin an interval, a time that is right to
 * within an interval, and a count that lags by as much; a crash loses what was not written, a stop
 * nothing. EXACT: all of it is written with the next second. Who must know that it is durable sends
 * writes of kind ZP_WRITE_ACCESS instead: those are counted once, also over a crash, and once
 * however often a batch of a stream is sent.
 */
struct zp_accesses_note {
	struct zp_key key;
	struct zp_accesses accesses; /* as in zp_write */
};
/* Waits for nothing but other threads that note. ZP_E_UNSUPPORTED: the mode is OFF; ZP_E_READ_ONLY;
 * ZP_E_FULL: some were not counted, because too many pins wait to be written. */
ZP_MUST_CHECK int zp_command_accesses_note(
    struct zp_node *node, const struct zp_accesses_note *notes, size_t count, struct zp_err *err);
enum zp_accesses_mode zp_node_accesses_mode(const struct zp_node *node);

/* What is written of the pin's accesses; whatever the mode is now. */
ZP_MUST_CHECK int zp_command_accesses_get(struct zp_node *node, const struct zp_key *key,
    struct zp_accesses *accesses_out, struct zp_err *err);

/* ---- Reads ---------------------------------------------------------------------------------- */

/* The pin under `key`; ZP_E_NOT_FOUND "pin is not part of the pinset". Its texts are copied into
 * `texts` (cleared first; made with room for ZP_RECORD_BYTES_MAX), since the memory they come from
 * may go. */
ZP_MUST_CHECK int zp_command_get(struct zp_node *node, const struct zp_key *key,
    struct zp_read_scratch *scratch, struct zp_buf *texts, struct zp_record *record_out,
    struct zp_err *err);

/* Many keys of any shards, answered in the caller's order; see zp_view_get_batch. `texts` is
 * cleared first. At most ZP_COMMAND_KEYS_MAX keys. */
#define ZP_COMMAND_KEYS_MAX 65536u
ZP_MUST_CHECK int zp_command_get_batch(struct zp_node *node, const struct zp_key *keys,
    size_t count, struct zp_read_scratch *scratch, struct zp_buf *texts,
    struct zp_batch_answer *answers_out, struct zp_err *err);

struct zp_list;

/* Pins of one namespace in key order after `cursor` (an encoded key, NULL: from the start). A view
 * is given up after a minute and taken anew behind the last key: pins that nobody touched appear
 * exactly once. Which of them are wanted is for the caller to say, who knows when to let others go
 * first. */
ZP_MUST_CHECK int zp_list_open(struct zp_node *node, uint32_t namespace_id, const uint8_t *cursor,
    struct zp_list **list_out, struct zp_err *err);
/* Before the first pin: what is asked of them (ZP_SCAN_*; 0: everything, and keys always), and
 * which ones of the namespace (NULL: all). Those that the filter does not take cost little. */
void zp_list_want(struct zp_list *list, uint32_t columns, const struct zp_scan_filter *filter);
/* After that, before the first pin: the newest come first, of one second in key order. A cursor
 * goes on behind the pin of that key that was created then, whether it is there or not. Each costs
 * a lookup. */
void zp_list_newest_first(struct zp_list *list, int64_t after_created);
/* 0 and a pin valid until the next call, ZP_END, or, of a list with a filter or of the newest,
 * ZP_SCAN_PASSED: among some hundred pins none was wanted, and others may have their turn. Where
 * pins cannot be read the list goes on behind them, in this shard and the next ones, and the error
 * comes at the end instead of ZP_END.
 */
ZP_MUST_CHECK int zp_list_next(
    struct zp_list *list, struct zp_key *key_out, struct zp_record *record_out, struct zp_err *err);
/* What is written of the accesses of the pin that was given last. ZP_E_CORRUPT: it cannot be read;
 * the list goes on, and tells it at the end like pins. */
ZP_MUST_CHECK int zp_list_accesses_get(
    struct zp_list *list, struct zp_accesses *accesses_out, struct zp_err *err);
/* Whether the list so far lacks pins that could not be read: 0, or the error that comes at the end.
 */
int zp_list_damage(const struct zp_list *list, struct zp_err *err);
/* Where the list goes on: behind this key, which need not be a pin's, of the newest first behind it
 * of that time (0 of other lists). False: at its start. */
bool zp_list_last(const struct zp_list *list, struct zp_key *key_out, int64_t *created_out);
/* Lets go of memory and files until the next call, for a slow reader. */
void zp_list_rest(struct zp_list *list);
void zp_list_close(struct zp_list *list);

/* ---- As of a moment ------------------------------------------------------------------------- */

/*
 * A pinset that does not change any more, open to be read: a snapshot of this node, or a checkpoint
 * of it. Exact: every pin of then, and no other; those whose time was over but which were not
 * removed yet, too. Counted. At most ZP_MOMENTS_MAX are open; one that nobody holds stays for the
 * next who asks, for ZP_MOMENT_IDLE_SECONDS, unless another needs its place. It shares the node's
 * caches, and has no filters in memory.
 *
 * `as_of` says which: "checkpoint" for the newest one, a snapshot's name, or a time (RFC 3339) for
 * the newest snapshot of then or before. `id` (0: any) asks for that very one, so that pages of one
 * walk are of one moment: a checkpoint is still had by its id when there is a newer one, while it
 * is open or the older of the two that are kept.
 */
struct zp_moment;

/* Holds it if it is open already; ZP_E_NOT_FOUND if not. Waits for nothing. */
ZP_MUST_CHECK int zp_moment_find(
    struct zp_node *node, const char *as_of, uint64_t id, struct zp_moment **moment_out);
/* Holds it, opening it first where that is needed: waits for the disk, so not for threads that
 * serve others. ZP_E_NOT_FOUND; ZP_E_INVALID for what is no name and no time, and where `id` is
 * another's; ZP_E_FULL when all that may be open are held; ZP_E_CORRUPT. */
ZP_MUST_CHECK int zp_moment_open(struct zp_node *node, const char *as_of, uint64_t id,
    struct zp_moment **moment_out, struct zp_err *err);
void zp_moment_release(struct zp_moment *moment); /* NULL is allowed */

struct zp_node *zp_moment_node(struct zp_moment *moment); /* to be read from while it is held */
int64_t zp_moment_time(const struct zp_moment *moment);   /* microseconds since 1970 */
uint64_t zp_moment_id(const struct zp_moment *moment);
const char *zp_moment_name(const struct zp_moment *moment); /* of the snapshot, or "checkpoint" */

/* Work that waits for the disk like this, on a thread of the node that is there for it; one after
 * the other. Each is run, also when the node is closed first. ZP_E_FULL. */
struct zp_moment_task {
	void (*run)(struct zp_moment_task *task);
	struct zp_moment_task *next; /* the queue's own */
};
ZP_MUST_CHECK int zp_moment_post(
    struct zp_node *node, struct zp_moment_task *task, struct zp_err *err);

/* ---- Import --------------------------------------------------------------------------------- */

enum zp_import_allocations {
	ZP_IMPORT_ALLOCATIONS_KEEP = 0, /* as they are, foreign peers included */
	ZP_IMPORT_ALLOCATIONS_DROP = 1, /* none: everywhere by the pin's replication factors */
	ZP_IMPORT_ALLOCATIONS_MAP = 2,  /* by the pairs given; peers not in them are kept */
};

struct zp_import_options {
	enum zp_import_allocations allocations;
	const struct zp_slice (*map)[2]; /* binary peer ids: old, new */
	size_t map_count;
	bool replace;  /* remove every pin of namespace 0 first */
	bool skip_bad; /* report bad lines and go on */
	struct zp_journal_origin
	    origin;          /* id of the stream; sequence is set from the line number */
	uint64_t lines_done; /* resume: lines up to here are taken already */
};

struct zp_import_progress {
	uint64_t lines;         /* read */
	uint64_t lines_durable; /* everything up to this line is in the journal */
	uint64_t imported;      /* durable */
	uint64_t skipped;       /* bad lines */
	uint64_t bytes;         /* of input read */
	bool finished;
};

struct zp_import;

/* `bad_line` is told each bad line (number from 1, text of the error); may be NULL. `ready` is
 * called on the commit thread when a feed that answered ZP_E_FULL may go on, and when finishing is
 * complete. */
ZP_MUST_CHECK int zp_import_open(struct zp_node *node, const struct zp_import_options *options,
    void (*bad_line)(void *context, uint64_t line, const char *text), void (*ready)(void *context),
    void *context, struct zp_import **import_out, struct zp_err *err);

/*
 * Takes bytes of the input: JSON objects one a line (what `state export` and GET /allocations
 * write) or bare CIDs one a line; told apart by the first byte that is not white space of each
 * line. Takes as much as it can: *taken_out is less than `length` when too much is under way, and
 * `ready` follows. ZP_E_INVALID: a bad line and not skip_bad; what came before it is kept.
 */
ZP_MUST_CHECK int zp_import_feed(struct zp_import *import, const void *bytes, size_t length,
    size_t *taken_out, struct zp_err *err);
/* The input pauses: what was fed goes now if nothing is under way, though more would fit. Each
 * commit has a price, so not for input that only has to be read. A failure comes with what is
 * called next. */
void zp_import_push(struct zp_import *import);

/* No more input: takes a last line without newline, sends what is left. Progress says when it is
 * done. */
ZP_MUST_CHECK int zp_import_finish(struct zp_import *import, struct zp_err *err);
/* Waits until everything sent is durable or failed; for tools. */
ZP_MUST_CHECK int zp_import_wait(struct zp_import *import, struct zp_err *err);
/* The first failure of a write (0 while there is none) and how far it is. Any thread. */
int zp_import_progress_get(
    struct zp_import *import, struct zp_import_progress *progress_out, struct zp_err *err);
void zp_import_close(struct zp_import *import); /* waits for what is under way; NULL is allowed */

/* The last sequence of a client's stream that is durable; 0 when unknown. */
uint64_t zp_command_origin_sequence(struct zp_node *node, const uint8_t origin_id[16]);

/* ---- Peers ---------------------------------------------------------------------------------- */

/* From now on `from` reads as `to` in every allocation list, journaled; binary ids. */
ZP_MUST_CHECK int zp_command_peer_move(
    struct zp_node *node, struct zp_slice from, struct zp_slice to, struct zp_err *err);

/* ---- Upkeep --------------------------------------------------------------------------------- */

/* Freezes all memory at one journal position, flushes it, writes manifests and the checkpoint,
 * trims the journal. Waits. */
ZP_MUST_CHECK int zp_command_checkpoint(struct zp_node *node, struct zp_err *err);

/* Merges until the policy wants nothing more. Waits. */
ZP_MUST_CHECK int zp_command_settle(struct zp_node *node, struct zp_err *err);

/* A checkpoint, then every shard's files merged to one run of each family, without the filter that
 * only many runs need. Waits; other upkeep gets its turn between two shards. */
ZP_MUST_CHECK int zp_command_seal(struct zp_node *node, struct zp_err *err);

/* A checkpoint, then hard links of all its files under <root>/snapshots/<name>. The copy opens as a
 * node of its own (read_only) and never changes. */
ZP_MUST_CHECK int zp_command_snapshot(struct zp_node *node, const char *name, struct zp_err *err);

struct zp_snapshot {
	char name[ZP_SNAPSHOT_NAME_MAX + 1];
	int64_t time_microseconds; /* of its checkpoint */
	uint64_t checkpoint_number;
	uint64_t checkpoint_batch;
	bool has_pins; /* one of an older zpin does not count them */
	uint64_t pins;
	uint64_t bytes;                /* of its files */
	uint64_t bytes_own;            /* of those that only it has: what its removal gives back */
	char fault[ZP_ERR_TEXT_BYTES]; /* "" or why it cannot be opened; the time is then 0 */
};
/* Tells each snapshot, the oldest first. Any thread; reads a file of each. `each` may end it with
 * an error. */
ZP_MUST_CHECK int zp_command_snapshots(struct zp_node *node,
    int (*each)(void *context, const struct zp_snapshot *snapshot, struct zp_err *err),
    void *context, struct zp_err *err);

/* Removes it, finished or not. ZP_E_LOCKED while it is read, ZP_E_NOT_FOUND. */
ZP_MUST_CHECK int zp_command_snapshot_remove(
    struct zp_node *node, const char *name, struct zp_err *err);

struct zp_verify_options {
	bool deep; /* recounts everything: see zp_engine_verify; and reads the journal, checkpoints
		    * and map */
	void (*damage)(void *context, const char *text); /* may be NULL, as the next */
	/* Of what all shards' files have, read twice; not of the recount that follows. */
	void (*progress)(void *context, uint64_t bytes, uint64_t bytes_all);
	void *context;
};

/* A checkpoint, where one can be written, then everything is read and counted. `options` NULL:
 * neither deep nor told. */
ZP_MUST_CHECK int zp_command_verify(struct zp_node *node, const struct zp_verify_options *options,
    struct zp_verify_report *report_out, struct zp_err *err);

/*
 * Scrub: all files are read in the background, at a rate, and what is damaged is told as any other
 * damage, until a later pass finds it whole. A start while a pass runs changes its rate (0: the
 * node's own) and ends a pause; ZP_E_INVALID without any rate. A stop ends the pass under way at
 * its next read; the next begins in its time. A node that is opened read-only has none:
 * ZP_E_READ_ONLY.
 */
ZP_MUST_CHECK int zp_command_scrub_start(
    struct zp_node *node, uint64_t bytes_per_second, struct zp_err *err);
ZP_MUST_CHECK int zp_command_scrub_pause(struct zp_node *node, struct zp_err *err);
ZP_MUST_CHECK int zp_command_scrub_stop(struct zp_node *node, struct zp_err *err);

struct zp_scrub_facts {
	bool is_automatic; /* passes begin by themselves */
	bool is_running;   /* paused or not */
	bool is_paused;
	uint64_t bytes_per_second;
	uint32_t interval_seconds;
	uint32_t shards;
	uint32_t shards_done; /* of the pass under way */
	uint64_t pass_bytes;  /* read by it, or by the last one, since the start of the node */
	uint64_t bytes;       /* by all since then */
	uint64_t passes;      /* that came to their end since then */
	/* Since 1970; 0: none. Kept over restarts. */
	int64_t begun_microseconds;      /* the pass under way, or that will go on */
	int64_t last_begun_microseconds; /* the last whole one */
	int64_t last_ended_microseconds;
	int64_t next_microseconds; /* when the next begins by itself */
};
void zp_node_scrub_facts_get(struct zp_node *node, struct zp_scrub_facts *facts_out);

struct zp_node_facts {
	struct zp_engine_facts engines; /* summed over the shards */
	struct zp_journal_facts journal;
	uint32_t shards;
	uint32_t suspended_shards; /* could not be opened: their pins answer an error */
	uint64_t checkpoint_number;
	uint64_t checkpoint_batch; /* its position P */
	int64_t checkpoint_time_microseconds;
	uint64_t writes_waiting;
	uint64_t writes_done;
	uint64_t commits; /* journal syncs that acknowledged something */
	uint64_t expired;
	uint64_t accesses_noted;   /* told since the start; none with mode OFF */
	uint64_t accesses_written; /* since the start, also those that were sent as writes; */
	uint64_t accesses_unknown; /* and those told of what is not pinned */
	uint64_t accesses_lost;    /* there was no room for them */
	uint64_t accesses_pending; /* pins of which some wait to be written, or may soon */
	uint64_t replayed_records; /* at start */
	uint64_t damages;          /* places known to be damaged, at most 1024 are told apart */
	uint64_t damages_met;      /* since the start, those that were mended too */
	uint64_t texts_cache_bytes;
	uint64_t block_cache_bytes;
	uint64_t moments_open;             /* snapshots and checkpoints, to be read */
	uint64_t moments_held;             /* of these are being read */
	uint64_t moments_bytes;            /* their directories in memory */
	uint64_t moments_opened;           /* since the start */
	uint64_t hanging_calls;            /* of the disk, for hang_after or longer */
	uint64_t hang_seconds;             /* of these the oldest, */
	char hang_text[ZP_ERR_TEXT_BYTES]; /* and what it does: "sync PATH" */
	uint64_t merge_pauses;             /* that merges took for clients, and */
	uint64_t merge_paused_ns;          /* how long they were together */
	uint64_t hangs;                    /* since the start: from one that hangs to none */
	bool writes_hang;                  /* and so writes are refused */
	bool read_only;
	bool is_full;   /* the disk: writes are refused until there is space again */
	bool is_broken; /* the journal failed; see broken_text */
	char broken_text[ZP_ERR_TEXT_BYTES];
};
void zp_node_facts_get(struct zp_node *node, struct zp_node_facts *facts_out);
/* Of the node's disk; ZP_E_TIMEOUT when it does not answer. */
ZP_MUST_CHECK int zp_node_free_bytes(struct zp_node *node, uint64_t *bytes_out, struct zp_err *err);

/* The first damages that were met since the node was opened, each with shard, file and what to do;
 * room for ZP_NODE_DAMAGES_MAX. Returns how many there are. */
#define ZP_NODE_DAMAGES_MAX 16u
uint32_t zp_node_damages_get(struct zp_node *node, char (*texts_out)[ZP_ERR_TEXT_BYTES]);

#endif
