/*
 * command_internal.h - what the files of command share: the node and its two threads.
 *
 * Threads: the commit thread decides, journals and applies; the maintenance thread flushes, merges
 *          and looks for due pins. Callers only queue, wait and read.
 * Locks:   `queue.lock` and `upkeep_lock`; whoever holds upkeep_lock may take queue.lock, never the
 *          other way round. `snapshots_lock` comes before upkeep_lock and moments.open_lock, that
 *          before moments.lock. `origins_lock`, `damage.lock`, `hang.lock`, `scrub.lock` and
 *          those of accesses are taken alone.
 */
#ifndef ZP_COMMAND_COMMAND_INTERNAL_H
#define ZP_COMMAND_COMMAND_INTERNAL_H

#include <stdatomic.h>
#include <stdio.h>

#include "command/command.h"
#include "os/os.h"
#include "shard/shard.h"

/* A group: what one journal commit makes durable. Twice the writes must fit ZP_GROUP_ITEMS_MAX,
 * since a pin-update looks at a second key. */
#define COMMAND__GROUP_WRITES_MAX ZP_WRITE_BATCH_MAX
#define COMMAND__GROUP_BYTES_MAX (16u << 20) /* half of what the journal gathers */
#define COMMAND__GROUP_ORIGINS_MAX 64u       /* batches of streams: each is a journal batch */
#define COMMAND__QUEUE_WRITES_MAX 65536u     /* that wait for the commit thread */
#define COMMAND__QUEUE_BYTES_MAX (64u << 20)
#define COMMAND__JOURNAL_RECORDS_BYTES_MAX (ZP_JOURNAL_BATCH_BYTES_MAX - 256u)

#define COMMAND__MEMTABLE_BYTES_DEFAULT (UINT64_C(256) << 20)
#define COMMAND__JOURNAL_BYTES_DEFAULT (UINT64_C(1) << 30)
#define COMMAND__BACKOFF_SECONDS_MAX 300u
/* Of a shard: merges have fallen behind. Eight a level and a level for each factor of eight: a
 * shard has half of this when its largest run has eight hundred times what one flush writes. */
#define COMMAND__RUNS_BEHIND 64u
#define COMMAND__EXPIRE_KEYS_MAX 4096u
#define COMMAND__ACCESSES_TICK_SECONDS 1u
#define COMMAND__NODE_NUMBER 1u /* of a node that is alone; a cluster gives others */

/* ---- A task that must run between two groups, on the commit thread (queue.c) ---------------- */

struct command__errand {
	int (*run)(struct zp_node *node, void *context, struct zp_err *err);
	void *context;
	struct zp_err *err;
	int rc;
	bool is_done;
	struct command__errand *next;
};

struct command__queue {
	struct zp_mutex lock;
	struct zp_cond wake; /* the commit thread: something to do, or memory is free again */
	struct zp_cond done; /* an errand is done */
	struct zp_write_batch *first, *last;
	uint64_t writes; /* waiting */
	uint64_t bytes;
	struct command__errand *errand_first, *errand_last;
	bool stopping;                    /* nothing more is taken */
	bool has_consumer;                /* the commit thread runs */
	struct zp_write_batch *under_way; /* in the commit thread's hands and not answered */
	uint64_t busy_since_ns; /* the commit thread is in a group or errand, or waits for memory */
	bool is_told;           /* who is under way knows that it takes long */
};

/* Brings nearer what of a write the feeding and the commit thread look at: they hand each other
 * thousands, so that none of them is near by itself. */
static inline void
command__write_prefetch(const struct zp_write *write)
{
	const char *begin = (const char *)write;
	enum { LINE = 64, END = offsetof(struct zp_write, update_from) - 1 };

	for (size_t at = 0; at < END; at += LINE)
		__builtin_prefetch(begin + at, 1);
	__builtin_prefetch(begin + END, 1);
}

/* ---- What the commit thread works with (commit.c) ------------------------------------------- */

struct command__commit {
	struct zp_group *group;
	struct zp_buf records; /* of the journal batch being made */
	uint32_t records_count;
	struct zp_buf payload;
	uint64_t last_batch;      /* number of the last journal batch; what the memory has */
	int64_t now_microseconds; /* of the group */
	int64_t created_last;     /* microseconds: rises for each pin of the other namespaces */
	bool *skipped; /* per batch of the group: its stream's sequence is durable already */
	int append_rc; /* of the group: an append that failed */
	uint64_t memory_measured; /* bytes of the memtables when last looked at */
	uint64_t memory_added;    /* about how much since */
	uint64_t free_bytes; /* of the journal's file system, before the last group; 0: not known */
	uint64_t room_at_ns; /* when a refused write may ask for a checkpoint again */
};

struct command__upkeep {
	struct zp_cond wake; /* with queue.lock */
	bool stopping;
	bool checkpoint_due;  /* the commit thread saw a limit */
	bool merge_due;       /* there may be something to merge; the maintenance thread's own */
	uint32_t failures;    /* of the checkpoint, in a row */
	uint64_t retry_at_ns; /* not before */
	uint64_t checkpoint_at_ns; /* by time; 0: never */
	uint64_t expire_at_ns;     /* 0: never */
	uint64_t accesses_at_ns;   /* likewise */
	uint8_t *merge_gave_way;   /* per shard: its last merge was stopped for a checkpoint */
	struct command__expiry *expiry;
	/* With upkeep_lock. Files that were merged go when no checkpoint that is kept names them.
	 */
	uint64_t merged_bytes;        /* by merges since the last checkpoint */
	uint8_t checkpoints_owed;     /* until the inputs of all merges can go */
	bool has_leftovers;           /* of merges before the start, which may be owed some, too */
	bool trim_owed;               /* the last checkpoint could not let the journal go */
	_Atomic(uint64_t) merge_room; /* bytes of the disk that writes leave for merges, */
	_Atomic(uint64_t) merge_taking;  /* of these, what the one under way takes in all, */
	_Atomic(uint64_t) merge_written; /* and what it has on the disk already */
	bool merge_lacks_room;           /* it was told */
	bool write_lacks_room;           /* one was refused; with queue.lock */
};

#define COMMAND__MERGED_BYTES_MAX (UINT64_C(4) << 30) /* then a checkpoint is due */
#define COMMAND__CHECKPOINTS_KEPT 2u /* so many later nothing names what was merged before */

/* ---- What could not be read (damage.c) ------------------------------------------------------ */

#define COMMAND__DAMAGES_COUNTED_MAX 1024u /* then no more are told apart */

#define COMMAND__DAMAGE_NODE UINT32_MAX /* in place of a shard's index: the node's own files */

struct command__damage_place {
	uint32_t shard; /* index */
	uint32_t round; /* when it was met last */
	uint64_t hash;  /* command__damage_hash of the text */
	char *text;     /* owned */
};

struct command__damage {
	struct zp_mutex lock;
	uint32_t round; /* rises with each look at all files of a shard, or of the node */
	uint32_t count;
	uint64_t met; /* in all, those that were mended too */
	struct command__damage_place places[COMMAND__DAMAGES_COUNTED_MAX];
};

/* ---- The scrubber (scrub.c, scrub_state.c) -------------------------------------------------- */

/* What is kept over a restart; microseconds since 1970, 0: never. */
struct command__scrub_state {
	int64_t last_begun_us; /* the last pass that was whole */
	int64_t last_ended_us;
	int64_t begun_us;     /* the one under way, or cut by the end of the node; 0: none */
	uint64_t first_shard; /* id: where it began */
	uint64_t next_shard;  /* where it goes on */
	uint64_t *damaged;    /* owned: ids of shards with damage; NULL: room is made when needed */
	size_t damaged_count;
};

struct command__scrub {
	struct zp_mutex
	    lock; /* guards all but what is the thread's own; nothing else is taken in it */
	struct zp_cond wake;
	bool stopping;
	bool is_wanted; /* on request */
	bool is_running;
	bool is_paused;
	bool end_wanted;  /* of the pass under way */
	uint64_t rate;    /* bytes a second */
	uint64_t next_ns; /* no read before */
	uint64_t due_ns;  /* the next pass */
	uint32_t shards_done;
	uint64_t pass_bytes;
	uint64_t bytes;
	uint64_t passes;
	struct command__scrub_state state; /* changed by the thread alone, times under the lock */
};

/* ---- Moments: snapshots and checkpoints that are open to be read (moment.c) ----------------- */

struct command__moments {
	struct zp_mutex open_lock; /* one opening or removal at a time; taken before `lock` */
	struct zp_mutex lock;
	struct zp_cond wake;     /* the thread: a task, or the end */
	struct zp_cond released; /* the end: one is not held any more */
	struct zp_moment *list;
	uint32_t count;
	uint64_t opened;
	struct zp_moment_task *first, *last;
	uint32_t tasks;
	struct zp_thread *thread; /* with the first task */
	bool stopping;
};

/* ---- How fast merges go (pace.c) ------------------------------------------------------------ */

struct command__pace {
	_Atomic(bool) was_served;  /* a read or write since the merge looked last */
	_Atomic(bool) is_urgent;   /* somebody waits for this merge */
	_Atomic(uint64_t) turn_ns; /* the slice of work began; whoever has upkeep_lock */
	_Atomic(uint64_t) pauses;
	_Atomic(uint64_t) paused_ns;
};

/* A client is served. Any thread; most often a look at a word that nobody writes. */
static inline void
command__pace_serve(struct command__pace *pace)
{
	if (!atomic_load_explicit(&pace->was_served, memory_order_relaxed))
		atomic_store_explicit(&pace->was_served, true, memory_order_relaxed);
}

/* ---- A disk that does not answer (hang.c) --------------------------------------------------- */

struct command__hang {
	struct zp_store_watch *watch; /* NULL: everybody waits; a moment has its node's */
	struct zp_thread *thread;
	struct zp_mutex lock; /* guards what follows; nothing else is taken in it */
	struct zp_cond wake;
	bool stopping;
	bool is_hung;
	uint64_t calls;
	uint64_t since_ns;
	char text[ZP_ERR_TEXT_BYTES];
	_Atomic(uint64_t) hangs;
	_Atomic(bool) writes_hang; /* set under queue.lock */
};

/* ---- What is not for everybody: another disk or size, for tests; a moment of a node (node.c) - */

struct command__seam {
	struct zp_disk *disk; /* under all stores, instead of the system's; takes no lock then */
	uint64_t journal_file_bytes; /* of one journal file; 0: as usual */
	size_t journal_read_bytes;   /* that opening reads of it at once; 0: as usual */
	uint64_t segment_bytes;      /* merges cut their files to about so much; 0: the default */
	uint64_t merged_bytes_max;   /* 0: COMMAND__MERGED_BYTES_MAX */
	uint64_t moment_idle_ns;     /* 0: as usual */
	const struct zp_node *node;  /* this one is a moment of it: its lock and its caches serve */
	uint64_t checkpoint_number;  /* at_checkpoint: which; 0: the newest */
};

struct zp_node {
	struct zp_node_options options; /* root is our own copy; zeroes resolved */
	struct command__seam seam;
	char *root;
	struct zp_store_lock *lock;
	struct zp_store *journal_store;
	struct zp_journal *journal;
	struct zp_texts_cache *texts_cache; /* NULL: none */
	struct zp_block_cache *block_cache; /* likewise */
	struct zp_shards *shards;
	uint64_t epoch;
	uint64_t memory_floor; /* bytes of all memtables while empty */

	struct command__queue queue;
	struct command__commit commit;
	struct zp_thread *commit_thread;

	struct command__upkeep upkeep;
	struct zp_thread *upkeep_thread;
	struct zp_mutex upkeep_lock;      /* one flush, merge, checkpoint, snapshot at a time */
	_Atomic(uint32_t) upkeep_waiting; /* callers that want upkeep_lock: a merge gives way */
	_Atomic(bool) upkeep_working;     /* someone has it */
	_Atomic(bool) merge_stop; /* set under queue.lock; the engine looks at it between rows */
	_Atomic(bool) merge_may_stop; /* the running one has not given way before */
	_Atomic(bool) work_stop;      /* what was asked for and takes long ends early */

	struct command__hang hang;
	struct command__pace pace;

	struct command__scrub scrub;
	struct zp_thread *scrub_thread; /* NULL: none */

	struct zp_mutex origins_lock;
	struct command__damage damage;
	struct zp_mutex snapshots_lock; /* one is made or removed at a time */
	struct command__moments moments;
	struct command__accesses *accesses; /* NULL: none are taken */

	/* Facts. */
	_Atomic(bool) read_only;
	_Atomic(bool) is_broken; /* set once, after broken_text */
	char broken_text[ZP_ERR_TEXT_BYTES];
	_Atomic(bool) checkpoint_is_failing;
	char checkpoint_failure[ZP_ERR_TEXT_BYTES]; /* under queue.lock */
	_Atomic(uint64_t) writes_done;
	_Atomic(uint64_t) commits;
	_Atomic(uint64_t) expired;
	_Atomic(uint64_t) accesses_written;
	_Atomic(uint64_t) accesses_unknown;
	_Atomic(uint64_t) replayed;
	_Atomic(uint64_t) checkpoint_number;
	_Atomic(uint64_t) checkpoint_batch;
	_Atomic(int64_t) checkpoint_time;
	_Atomic(uint64_t) journal_bytes_at_checkpoint;
};

_Static_assert(2 * COMMAND__GROUP_WRITES_MAX <= ZP_GROUP_ITEMS_MAX, "a group fits its lookup");

void command__log(struct zp_node *node, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/*
 * A read of the shard (its index) answered `rc`. Damage, and what the disk would not give, is
 * counted and logged when it is met first, and `err` (NULL: nobody wants it) then names the shard
 * and what to do. Returns rc.
 */
int command__damage_note(struct zp_node *node, uint32_t shard, int rc, struct zp_err *err);
/* Of the place that the text names, whoever met it. */
uint64_t command__damage_hash(uint32_t shard, const char *text);
/* The same for a file of the node itself, `text` naming it. */
void command__damage_note_node(struct zp_node *node, const char *text);
/* All files of a shard, or the node's own, are about to be read: what is met from now on is of this
 * round. */
uint32_t command__damage_round(struct zp_node *node);
/* They were: what was not met in it is not there any more. */
void command__damage_sweep(struct zp_node *node, uint32_t shard, uint32_t round);
/* Whether anything of the node's own files was met in it. */
bool command__damage_met(struct zp_node *node, uint32_t round);
/* Whether something of the shard whose text has `name` is known to be damaged; and is not. */
bool command__damage_has(struct zp_node *node, uint32_t shard, const char *name);
void command__damage_forget(struct zp_node *node, uint32_t shard, const char *name);
void command__damage_done(struct zp_node *node);
/* Notes what opening the node found: shards that are suspended, files that could not be opened. */
void command__damage_begin(struct zp_node *node);
/* The same for a key whose answer said no more than that. */
int command__damage_of_key(
    struct zp_node *node, const struct zp_key *key, int rc, struct zp_err *err);

/* ---- Opening (node.c) ----------------------------------------------------------------------- */

ZP_MUST_CHECK int command__node_create(
    const struct zp_node_options *options, const struct command__seam *seam, struct zp_err *err);
ZP_MUST_CHECK int command__node_open(const struct zp_node_options *options,
    const struct command__seam *seam, struct zp_node **node_out, struct zp_err *err);

/* Says of which node an error is that came while it was opened, and what to do where it is of a
 * newer format. Returns rc. */
ZP_MUST_CHECK int command__open_fail(
    const struct zp_node_options *options, int rc, struct zp_err *err);

/* Lock and shards alone, without journal and threads. */
ZP_MUST_CHECK int command__node_files_open(const struct zp_node_options *options,
    const struct command__seam *seam, struct zp_node **node_out, struct zp_err *err);
void command__node_files_close(struct zp_node *node);
/* How this node opens its journal. */
void command__journal_options_set(struct zp_node *node, struct zp_journal_options *options_out);

/* Zeroes of a node that is at a checkpoint and has no journal open. */
void command__journal_facts_get(struct zp_node *node, struct zp_journal_facts *facts_out);

/* ---- Snapshots and moments (snapshot.c, snapshots.c, moment_place.c, moment.c) --------------- */

#define COMMAND__PATH_BYTES 4096u

ZP_MUST_CHECK int command__snapshot_name_check(const char *name, struct zp_err *err);
/* <root>/snapshots/<name><rest> */
ZP_MUST_CHECK int command__snapshot_path(char path[COMMAND__PATH_BYTES], const char *root,
    const char *name, const char *rest, struct zp_err *err);
/* Its checkpoint. ZP_E_NOT_FOUND, also when it was not finished. */
ZP_MUST_CHECK int command__snapshot_read(const char *root, struct zp_disk *disk, const char *name,
    struct zp_checkpoint *checkpoint_out, struct zp_err *err);

/* Where the files of a moment are, and what it is. */
struct command__place {
	char name[ZP_SNAPSHOT_NAME_MAX + 1]; /* of a snapshot; "": a checkpoint of the node */
	char root[COMMAND__PATH_BYTES];
	uint64_t checkpoint_number;
	int64_t time_microseconds; /* of that checkpoint */
	uint64_t id;               /* the same for the same pinset, by whatever name; never 0 */
};

enum command__as_of {
	COMMAND__AS_OF_CHECKPOINT,
	COMMAND__AS_OF_SNAPSHOT, /* its name is a good one */
	COMMAND__AS_OF_TIME,
};
ZP_MUST_CHECK int command__as_of_parse(
    const char *as_of, enum command__as_of *kind_out, int64_t *time_us_out, struct zp_err *err);
ZP_MUST_CHECK int command__place_find(const char *root, struct zp_disk *disk, const char *as_of,
    uint64_t id, struct command__place *place_out, struct zp_err *err);

void command__moments_init(struct command__moments *moments);
void command__moments_done(struct command__moments *moments);
/* Runs the tasks that wait, then closes all moments, once they are released. */
void command__moments_stop(struct zp_node *node);
/* With open_lock held: closes what is open of that snapshot. ZP_E_LOCKED while it is held. */
ZP_MUST_CHECK int command__moments_evict(
    struct zp_node *node, const char *name, struct zp_err *err);
void command__moments_facts_get(struct zp_node *node, struct zp_node_facts *facts);

/* ---- Repair (repair.c, give_up.c) ------------------------------------------------------------ */

ZP_MUST_CHECK int command__node_repair(const struct zp_node_options *options,
    const struct command__seam *seam, const struct zp_repair_options *repair,
    struct zp_repair_report *report_out, struct zp_err *err);

/* Each shard that is to be given up is there, once, and suspended; says what is known of it. */
ZP_MUST_CHECK int command__give_up_check(
    struct zp_node *node, const struct zp_repair_options *repair, struct zp_err *err);
/* Empty shards in their place; then what the caller replays, and the end as of `batch`. */
ZP_MUST_CHECK int command__give_up_begin(
    struct zp_node *node, const struct zp_repair_options *repair, struct zp_err *err);
ZP_MUST_CHECK int command__give_up_end(struct zp_node *node, const struct zp_repair_options *repair,
    uint64_t batch, struct zp_err *err);
/* All of it with a journal that is whole, or, without accept_loss, what that has of them. */
ZP_MUST_CHECK int command__give_up(
    struct zp_node *node, const struct zp_repair_options *repair, struct zp_err *err);
bool command__is_given_up(const struct zp_repair_options *repair, uint64_t shard_id);

/* ---- Queue (queue.c) ------------------------------------------------------------------------ */

/* About what the write takes in the journal, at most; with what it may register. */
size_t command__write_bytes(const struct zp_write *write);
/* zp_command_write; `is_bounded_already`: the caller keeps its own limit (an import's few batches)
 * and would have nobody to tell it when the queue has room; it has summed up batch->bytes. */
ZP_MUST_CHECK int command__write_queue(struct zp_node *node, struct zp_write_batch *batch,
    bool is_bounded_already, struct zp_err *err);
/* Runs on the commit thread between groups (or here, when there is none) and waits. */
ZP_MUST_CHECK int command__errand_run(struct zp_node *node,
    int (*run)(struct zp_node *node, void *context, struct zp_err *err), void *context,
    struct zp_err *err);
/* The commit thread's loop. */
void command__commit_run(void *context);

/* ---- A disk that does not answer (hang.c) --------------------------------------------------- */

void command__hang_init(struct zp_node *node); /* before files are opened */
void command__hang_run(void *context);         /* the watch thread's loop */
void command__hang_stop(struct zp_node *node); /* joins it */
void command__hang_done(struct zp_node *node); /* after files are closed */
/* ZP_E_TIMEOUT while writes wait for a disk that does not answer. */
ZP_MUST_CHECK int command__hang_refuse(struct zp_node *node, struct zp_err *err);
void command__hang_facts_get(struct zp_node *node, struct zp_node_facts *facts);

/* ---- Commit (commit.c) ---------------------------------------------------------------------- */

void command__commit_init(struct zp_node *node);
void command__commit_done(struct zp_node *node);
/* Decides, journals, applies and answers a list of batches that fits the group's limits. */
void command__commit_group(struct zp_node *node, struct zp_write_batch *first);
/* Commit thread. Bytes that memtables may have beyond what they have while empty: as configured,
 * and while there is room for them on the disk, where a flush takes no more than it had in memory.
 */
uint64_t command__memory_limit(const struct zp_node *node);
/* Any thread. Whether the disk has no room for the smallest write. */
bool command__is_full(struct zp_node *node);
/* Answers them all with the same refusal. */
void command__refuse_all(
    struct zp_node *node, struct zp_write_batch *first, int rc, const char *text);
/* One journal commit of what was appended; a failure breaks the node. */
ZP_MUST_CHECK int command__journal_commit(struct zp_node *node, struct zp_err *err);
/* Closes the journal batch in `records`; empty and without origin: nothing. */
ZP_MUST_CHECK int command__records_close(
    struct zp_node *node, const struct zp_journal_origin *origin, struct zp_err *err);
/* Frames commit.payload as a record; begins another batch when this one is full. */
ZP_MUST_CHECK int command__record_add(struct zp_node *node, uint64_t shard_id, uint32_t incarnation,
    uint8_t operation, struct zp_err *err);
void command__break(struct zp_node *node, const struct zp_err *cause);

/* ---- Deciding: pure (pin_add.c, pin_update.c, pin_rm.c) ------------------------------------- */

struct command__rules {
	int32_t replication_min; /* for pins that ask for 0 */
	int32_t replication_max;
	int64_t now_microseconds;
	int64_t created; /* what fact created of a new pin holds, before zigzag */
};

/* Who shall hold a pin. */
enum command__allocation {
	COMMAND__EVERYWHERE, /* the empty list */
	COMMAND__KEEP,       /* the record's fact is right already */
	COMMAND__SELF,       /* this node */
	COMMAND__LIST,       /* the list that came with the write */
};

/* What a write comes to. */
struct command__decision {
	bool has_new;
	struct zp_record record; /* with has_new; fact allocations as `allocation` says */
	enum command__allocation allocation;
};

/* IPFS Cluster's pin(): `old` is NULL when there is none; `self_holds`: its list has this node. */
ZP_MUST_CHECK int command__pin_add(const struct zp_write *write, const struct zp_record *old,
    bool self_holds, const struct command__rules *rules, struct command__decision *decision_out,
    struct zp_err *err);
/* IPFS Cluster's PinUpdate(): a copy of `from`'s options under write->key. `texts` gets the texts.
 */
ZP_MUST_CHECK int command__pin_update(const struct zp_write *write, const struct zp_record *from,
    const struct command__rules *rules, struct zp_buf *texts,
    struct command__decision *decision_out, struct zp_err *err);
/* IPFS Cluster's Unpin(). */
ZP_MUST_CHECK int command__pin_rm(const struct zp_record *old, struct zp_err *err);
/* Replication factors of a pin: zeroes become defaults, then IPFS Cluster's checks. */
ZP_MUST_CHECK int command__replication_resolve(
    struct zp_record *record, const struct command__rules *rules, struct zp_err *err);
/* 1970 is IPFS Cluster's other way to say never. */
void command__expiry_normalize(struct zp_record *record);

/* ---- Allocations (allocation.c); commit thread ---------------------------------------------- */

/* The fact for a list of binary peer ids; registers what is new as node records of the batch. */
ZP_MUST_CHECK int command__allocation_register(struct zp_node *node, const struct zp_slice *peers,
    size_t count, uint64_t *fact_out, struct zp_err *err);
/* The id of one peer, new or known. */
ZP_MUST_CHECK int command__peer_register(
    struct zp_node *node, struct zp_slice binary, uint32_t *id_out, struct zp_err *err);
bool command__allocation_has_self(struct zp_node *node, uint64_t fact);

/* ---- Upkeep (maintenance.c, expire.c, checkpoint.c) ----------------------------------------- */

/* Under upkeep_lock, where room is wanted: what merges replaced before the start, or had not made
 * to the end, is to go like what they replace now. An idle node makes no checkpoints for it. */
void command__leftovers_owe(struct zp_node *node);
void command__upkeep_init(struct zp_node *node);
void command__upkeep_done(struct zp_node *node);
void command__upkeep_run(void *context); /* the maintenance thread's loop */
void command__upkeep_stop(struct zp_node *node);
void command__upkeep_poke(struct zp_node *node);  /* queue.lock not held */
void command__upkeep_enter(struct zp_node *node); /* takes upkeep_lock; a merge gives way */
void command__upkeep_leave(struct zp_node *node);

/* ---- Scrub (scrub.c, scrub_state.c) --------------------------------------------------------- */

/* Under upkeep_lock: what the journal had gets into files, so that none of its old files is needed;
 * they go, and a mark is there again. */
ZP_MUST_CHECK int command__journal_renew(struct zp_node *node, struct zp_err *err);

void command__scrub_init(struct zp_node *node);
void command__scrub_run(void *context); /* the scrub thread's loop */
void command__scrub_stop(struct zp_node *node);
/* A damaged newest manifest is written again from memory, and told. */
void command__manifest_renew(struct zp_node *node, uint32_t index);

void command__scrub_state_read(struct zp_node *node, struct command__scrub_state *state_out);
void command__scrub_state_write(struct zp_node *node, const struct command__scrub_state *state);
void command__scrub_state_encode(const struct command__scrub_state *state, struct zp_buf *file);
ZP_MUST_CHECK int command__scrub_state_decode(
    struct zp_slice file, struct command__scrub_state *state_out, struct zp_err *err);
void command__scrub_state_done(struct command__scrub_state *state); /* NULL is allowed */

/* What a merge calls between its rows: takes a pause while clients are served. */
void command__pace_turn(void *context, uint64_t bytes);
/* With upkeep_lock held, before a flush adds runs: merges first where there are too many. */
void command__pace_catch_up(struct zp_node *node);

/* A step of a merge, or of sealing, of a shard; *merged_out: there was something to do. Owner:
 * whoever holds upkeep_lock. */
ZP_MUST_CHECK int command__merge(struct zp_node *node, uint32_t index, bool seals,
    const _Atomic(bool) *stop, bool *merged_out, struct zp_err *err);

void command__checkpoint_facts_set(struct zp_node *node);
/* With upkeep_lock held. Nothing new since the last one: does nothing. */
ZP_MUST_CHECK int command__checkpoint(struct zp_node *node, struct zp_err *err);
/* ---- newest.c -------------------------------------------------------------------------------- */

struct newest;
struct newest_options {
	struct zp_scan_filter wanted;
	const struct zp_key *after; /* pins up to this one, created then, were had; NULL: none */
	int64_t after_created;
	void (*fault)(void *context, uint32_t shard, const struct zp_err *why);
	void *context;
};
struct newest *newest__new(struct zp_node *node, const struct newest_options *options);
void newest__free(struct newest *newest); /* NULL is allowed */
/* 0 and a pin valid until the next call, ZP_SCAN_PASSED when others may have their turn, ZP_END, or
 * an error. Damage is told to `fault`, and the walk goes on. */
int newest__next(struct newest *newest, struct zp_key *key_out, struct zp_record *record_out,
    struct zp_err *err);
/* Behind which key of which time the walk goes on, which need not be a pin's. False: at its start.
 */
bool newest__passed(const struct newest *newest, struct zp_key *key_out, int64_t *created_out);

/* Seconds until the next try after so many failures in a row: 1, 2, 4 … to the limit. */
uint32_t command__backoff_seconds(uint32_t failures);

/* Sends deletes for due pins unless the last ones are still under way. */
void command__expire_tick(struct zp_node *node);
void command__expire_done(struct zp_node *node); /* the commit thread has ended */

/* ---- Accesses (accesses.c) ------------------------------------------------------------------- */

void command__accesses_init(struct zp_node *node);
void command__accesses_done(struct zp_node *node);
/* ZP_E_UNSUPPORTED where none are kept. */
ZP_MUST_CHECK int command__accesses_check(const struct zp_node *node, struct zp_err *err);
/* Sends what is due unless the last batch is still under way; true: there is no more for now. Only
 * the maintenance thread, which does it in its tick. */
bool command__accesses_send(struct zp_node *node);
void command__accesses_tick(struct zp_node *node);
/* Writes all that was told. When the threads have ended. */
void command__accesses_drain(struct zp_node *node);
void command__accesses_facts_get(struct zp_node *node, struct zp_node_facts *facts);

#endif
