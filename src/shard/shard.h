/*
 * shard.h - the shards of a node: which one a key belongs to, their stores opened together, brought
 * up to date from the journal, and checkpointed at one position.
 *
 * Flow:    command → journal → shard → engine. Commands hand over what the journal has: groups of
 *          decided changes while running, whole batches while starting. Nothing here writes the
 *          journal or trims it; a checkpoint says up to where command may.
 * Threads: "owner" calls by the commit thread (or the opening one), "maintenance" calls by one
 *          thread at a time, "any" by all at once.
 * Format:  docs/formats.md, "Map", "Checkpoint", payloads of "Journal".
 */
#ifndef ZP_SHARD_SHARD_H
#define ZP_SHARD_SHARD_H

#include "engine/engine.h"
#include "journal/journal.h"
#include "pin/pin.h"

/* ---- Map: from key to shard ------------------------------------------------------------------ */

struct zp_shard_range {
	uint64_t id;                /* random, never 0, never used again */
	uint32_t incarnation;       /* raised by each rollback or restore */
	uint8_t low[ZP_KEY_BYTES];  /* first key */
	uint8_t high[ZP_KEY_BYTES]; /* first key behind it; all ff: the end */
};

struct zp_shard_map {
	uint64_t number;
	uint8_t cluster_id[16];
	uint32_t node;
	uint32_t count;
	struct zp_shard_range *ranges; /* owned; rising by low key, without gaps */
};

/* `count` equal ranges (a power of two, 1 to ZP_SHARDS_MAX) with the ids given, incarnation 1. */
ZP_MUST_CHECK int zp_shard_map_create(const uint64_t *ids, uint32_t count,
    const uint8_t cluster_id[16], uint32_t node, struct zp_shard_map *map_out, struct zp_err *err);
void zp_shard_map_done(struct zp_shard_map *map); /* NULL is allowed */

/* The index of the range that holds `key`. There always is one. */
uint32_t zp_shard_map_find(const struct zp_shard_map *map, const struct zp_key *key);

void zp_shard_map_encode(const struct zp_shard_map *map, struct zp_buf *file);
ZP_MUST_CHECK int zp_shard_map_decode(
    struct zp_slice file, struct zp_shard_map *map_out, struct zp_err *err);

/* ---- Checkpoint: all memory of one journal position is in files ----------------------------- */

#define ZP_ORIGINS_MAX 1024u /* client streams remembered; the latest stay */

struct zp_checkpoint_shard {
	uint64_t id;
	uint32_t incarnation;
	uint64_t manifest_number;
	uint64_t manifest_checksum;
	uint64_t covered; /* batches up to here are in that manifest */
	/* What that manifest says of itself; a checkpoint of an older zpin does not tell. */
	bool has_said;
	uint64_t applied; /* the last batch that it has something of */
	uint64_t pins;
};

struct zp_checkpoint_origin {
	uint8_t id[16];
	uint64_t sequence; /* the last that is durable */
	int64_t time_microseconds;
};

struct zp_checkpoint {
	uint64_t number;
	uint64_t node;
	uint64_t epoch;
	uint64_t batch; /* the position P */
	int64_t time_microseconds;
	uint64_t map_number;
	uint8_t cluster_id[16];
	uint32_t shards_count;
	uint32_t origins_count;
	struct zp_checkpoint_shard *shards;   /* owned; rising by id */
	struct zp_checkpoint_origin *origins; /* owned */
};

void zp_checkpoint_done(struct zp_checkpoint *checkpoint); /* NULL is allowed */
void zp_checkpoint_encode(const struct zp_checkpoint *checkpoint, struct zp_buf *file);
ZP_MUST_CHECK int zp_checkpoint_decode(
    struct zp_slice file, struct zp_checkpoint *checkpoint_out, struct zp_err *err);
/* Numbers of the checkpoints in `store`, falling, at most `numbers_max`; and one of them.
 * ZP_E_NOT_FOUND, ZP_E_CORRUPT. For who looks at a node from outside: any thread. */
ZP_MUST_CHECK int zp_checkpoints_list(struct zp_store *store, uint64_t *numbers_out,
    size_t numbers_max, size_t *count_out, struct zp_err *err);
ZP_MUST_CHECK int zp_checkpoint_read(struct zp_store *store, uint64_t number,
    struct zp_checkpoint *checkpoint_out, struct zp_err *err);
/* NULL when it does not name the shard. */
const struct zp_checkpoint_shard *zp_checkpoint_find(
    const struct zp_checkpoint *checkpoint, uint64_t shard_id);
/* The highest batch that nothing needs any more once this is the older of the two kept ones. */
uint64_t zp_checkpoint_trim(const struct zp_checkpoint *checkpoint);

/* ---- Changes as journal payloads ------------------------------------------------------------ */

/* What a record of the journal says, decoded. */
struct zp_shard_change {
	uint8_t operation;           /* enum zp_journal_operation */
	struct zp_key key;           /* PUT, DELETE, EXPIRE, TRACK, TRACK_END, ACCESS */
	struct zp_record record;     /* PUT; borrows from the payload */
	uint64_t expire_fact;        /* EXPIRE: the fact that must still stand */
	struct zp_track track;       /* TRACK; borrows. TRACK_END: only the peer */
	struct zp_accesses accesses; /* ACCESS: what is added */
	uint32_t id;                 /* PEER, ALLOCATION_LIST; PEER_MOVED: the old peer */
	uint32_t to;                 /* PEER_MOVED: the new peer */
	struct zp_slice binary;      /* PEER; borrows */
	uint32_t peers_count;        /* ALLOCATION_LIST */
	uint32_t peers[ZP_ALLOCATIONS_COUNT_MAX];
};

/* Append the payload; the caller frames it with zp_journal_record_append. Returns the record's
 * bytes, which the caller holds against ZP_RECORD_BYTES_MAX. */
size_t zp_shard_put_encode(
    const struct zp_key *key, const struct zp_record *record, struct zp_buf *payload);
void zp_shard_delete_encode(const struct zp_key *key, struct zp_buf *payload);
void zp_shard_expire_encode(const struct zp_key *key, uint64_t expire_fact, struct zp_buf *payload);
void zp_shard_track_encode(
    const struct zp_key *key, const struct zp_track *track, struct zp_buf *payload);
void zp_shard_track_end_encode(const struct zp_key *key, uint32_t peer, struct zp_buf *payload);
void zp_shard_access_encode(
    const struct zp_key *key, const struct zp_accesses *access, struct zp_buf *payload);
void zp_shard_peer_encode(uint32_t id, struct zp_slice binary, struct zp_buf *payload);
void zp_shard_list_encode(uint32_t id, const uint32_t *peers, size_t count, struct zp_buf *payload);
void zp_shard_peer_moved_encode(uint32_t from, uint32_t to, struct zp_buf *payload);

/* Checks every byte; ZP_E_CORRUPT, or ZP_E_VERSION for an operation this zpin does not know. */
ZP_MUST_CHECK int zp_shard_change_decode(uint8_t operation, struct zp_slice payload,
    struct zp_shard_change *change_out, struct zp_err *err);

/* ---- The set of open shards ----------------------------------------------------------------- */

struct zp_shards;

struct zp_shards_options {
	const char *root;       /* of the node; the shards are in <root>/shards/<id> */
	struct zp_store *store; /* <root>/journal: maps and checkpoints; borrowed */
	bool read_only;
	bool no_sync;
	struct zp_disk *disk;               /* under the shards' stores; NULL: the system's */
	struct zp_store_watch *watch;       /* of the shards' stores; NULL: none */
	struct zp_texts_cache *texts_cache; /* of the engines; borrowed; NULL: none */
	struct zp_block_cache *block_cache; /* likewise */
	void (*merge_turn)(void *context, uint64_t bytes); /* of the engines, as its context */
	void *merge_turn_context;
	uint64_t segment_bytes;    /* of the engines */
	uint64_t memory_bytes_max; /* replay flushes when the memtables hold this much */
	/* With read_only: the pinset as of a checkpoint, exactly. Each shard is opened as that
	 * checkpoint names it; one whose files are of another time is suspended. Nothing is to be
	 * replayed. */
	bool at_checkpoint;
	uint64_t checkpoint_number;                    /* which; 0: the newest that is whole */
	bool without_filters;                          /* of the engines */
	void (*warn)(void *context, const char *text); /* damage and fallbacks; may be NULL */
	void *warn_context;
};

/* Makes the shards of a new node: directories, first manifests, map, and, last, a checkpoint at 0.
 * `map` has number 1. ZP_E_EXISTS where there is a checkpoint. */
ZP_MUST_CHECK int zp_shards_create(const struct zp_shards_options *options,
    const struct zp_shard_map *map, uint64_t epoch, int64_t now_microseconds, struct zp_err *err);

/* Reads map and checkpoints and opens every shard; what the journal has is not in yet.
 * ZP_E_NOT_FOUND: there is no node. */
ZP_MUST_CHECK int zp_shards_open(
    const struct zp_shards_options *options, struct zp_shards **shards_out, struct zp_err *err);
void zp_shards_close(struct zp_shards *shards); /* NULL is allowed */

const struct zp_shard_map *zp_shards_map(const struct zp_shards *shards);
/* The newest; changes only by zp_shards_checkpoint. */
const struct zp_checkpoint *zp_shards_newest(const struct zp_shards *shards);
const struct zp_checkpoint *zp_shards_older(const struct zp_shards *shards); /* the one before */
struct zp_engine *zp_shards_engine(const struct zp_shards *shards, uint32_t index);
struct zp_tables *zp_shards_tables(struct zp_shards *shards);
uint64_t zp_shards_memory_bytes(const struct zp_shards *shards); /* of all memtables; any */
/* The highest batch that any shard's files hold: the journal must reach it. */
uint64_t zp_shards_applied_max(const struct zp_shards *shards);

/* ---- Starting: bringing the shards up to the journal's end ---------------------------------- */

/* Refuses, naming the shard, when one needs batches before `first` (trimmed) or holds some after
 * `last` (the journal was lost or rolled back). */
ZP_MUST_CHECK int zp_shards_replay_begin(
    struct zp_shards *shards, uint64_t first, uint64_t last, struct zp_err *err);
/* Instead, for shards that zp_shards_renew made alone: all that the journal has of them goes in,
 * and nothing of the others. */
void zp_shards_replay_begin_renewed(struct zp_shards *shards);
/* Applies what of the batch is not in the shards' files. In order, from `first` on. */
ZP_MUST_CHECK int zp_shards_replay(
    struct zp_shards *shards, const struct zp_journal_batch *batch, struct zp_err *err);
/* From now on what is replayed is not said to be in the shards: batches are missing among those
 * that come, and who has them again must be able to replay all. Until zp_shards_freeze says
 * otherwise. */
void zp_shards_positions_keep(struct zp_shards *shards);
/* A peer, list or move of the journal goes into the node's tables; again without effect. */
ZP_MUST_CHECK int zp_shards_tables_apply(
    struct zp_shards *shards, const struct zp_shard_change *change, struct zp_err *err);
/* Everything is in; returns how many records were applied. */
uint64_t zp_shards_replay_end(struct zp_shards *shards);

/* ---- Origins: how far a client's stream is durable ------------------------------------------ */

/* The last sequence taken, 0 when unknown. Owner. */
uint64_t zp_shards_origin_get(const struct zp_shards *shards, const uint8_t id[16]);
/* Remembers a sequence; forgets the stream that was silent for longest when full. Owner. */
void zp_shards_origin_set(
    struct zp_shards *shards, const uint8_t id[16], uint64_t sequence, int64_t now_microseconds);

/* ---- Groups: writes that are looked up together, decided in order, and applied -------------- */

/*
 * How a group is used: clear; add every key; lookup; then, in order, `turn` an item, decide by
 * change.has_old and change.old_record, fill has_new and new_record and `settle` it (or leave it);
 * journal; apply. A later item of the same key sees what an earlier one settled.
 */
struct zp_group_item {
	struct zp_change change;
	int rc;         /* of the lookup: 0, or why the old record can't be known */
	uint32_t shard; /* index */
	uint32_t first; /* the group's own: the item that first had this key, and in that one the */
	uint32_t latest; /* item that settled it last */
	bool is_settled;
};

struct zp_group;
struct zp_group *zp_group_new(struct zp_shards *shards, uint64_t seed);
void zp_group_free(struct zp_group *group);  /* NULL is allowed */
void zp_group_clear(struct zp_group *group); /* keeps memory of a usual size */
/* Adds an item and returns its index; the group must not be full. */
#define ZP_GROUP_ITEMS_MAX 16384u
uint32_t zp_group_add(struct zp_group *group, const struct zp_key *key);
/* The item's turn came, and the pin is there: this is added to its accesses, and it stays as it is
 * for later items. Instead of zp_group_settle. */
void zp_group_access(struct zp_group *group, uint32_t index, const struct zp_accesses *access);
/* Adds a status's change, whose texts are borrowed until the group is cleared; has_old and
 * old_status are the lookup's to fill. Items and statuses together are at most ZP_GROUP_ITEMS_MAX.
 */
void zp_group_track_add(struct zp_group *group, const struct zp_track_change *change);
/* Looks all items up; one error of a key is that item's rc, others fail the call. Owner. */
ZP_MUST_CHECK int zp_group_lookup(struct zp_group *group, struct zp_err *err);
/* The item with its old record as of now. Valid until the next add or clear. */
struct zp_group_item *zp_group_turn(struct zp_group *group, uint32_t index);
void zp_group_settle(struct zp_group *group, uint32_t index);
/* Puts all settled changes and all statuses into the shards, which then have everything up to
 * `batch`. Owner. */
void zp_group_apply(struct zp_group *group, uint64_t epoch, uint64_t batch);

/* ---- Checkpoints and restores --------------------------------------------------------------- */

/* Owner: all shards have everything up to `batch`; freezes their memory there. What an earlier
 * freeze left must be flushed. */
void zp_shards_freeze(struct zp_shards *shards, uint64_t epoch, uint64_t batch);

/* Maintenance: flushes what is frozen; nothing else. To be called before a freeze, so that what a
 * failed checkpoint left is in files. */
ZP_MUST_CHECK int zp_shards_flush(struct zp_shards *shards, struct zp_err *err);

/*
 * Maintenance: flushes what zp_shards_freeze froze, writes the checkpoint, removes what the older
 * of the two kept ones does not need. After 0 the journal may be trimmed to *trim_out. On failure
 * the checkpoints are as they were and nothing was removed.
 */
ZP_MUST_CHECK int zp_shards_checkpoint(
    struct zp_shards *shards, int64_t now_microseconds, uint64_t *trim_out, struct zp_err *err);

/* A suspended shard of which there is no copy: puts its files aside, in their folder under other
 * names, and opens an empty one in its place. Until zp_shards_renewed_end whoever opens the node
 * finds it suspended again. The opening thread. */
ZP_MUST_CHECK int zp_shards_renew(struct zp_shards *shards, uint32_t index, struct zp_err *err);
/* What was replayed of it goes into files, as of `batch`, with one incarnation more. */
ZP_MUST_CHECK int zp_shards_renewed_end(
    struct zp_shards *shards, uint32_t index, uint64_t epoch, uint64_t batch, struct zp_err *err);

/* Maintenance: reads checkpoints, the map and its copy again, those that are there and those that
 * should be. Damage is told to `check`, whose step is asked once. */
ZP_MUST_CHECK int zp_shards_records_check(
    struct zp_shards *shards, const struct zp_check *check, struct zp_err *err);
bool zp_shards_records_are_whole(struct zp_shards *shards);

/* Maintenance. Writes the map and its copy again, from memory, where either is not whole; and the
 * newest manifest of a shard. */
void zp_shards_map_renew(struct zp_shards *shards);
ZP_MUST_CHECK int zp_shards_manifest_renew(
    struct zp_shards *shards, uint32_t index, struct zp_err *err);

/* After a shard's files were rolled back or restored: it counts as having everything up to `batch`
 * with one incarnation more, and the map says so too. Maintenance, without writers. */
ZP_MUST_CHECK int zp_shards_incarnation_raise(
    struct zp_shards *shards, uint32_t index, uint64_t epoch, uint64_t batch, struct zp_err *err);

#endif
