/*
 * engine.h - the store of one shard: a memtable over immutable runs, read through counted views.
 *
 * Flow:    shard → engine → store. The owner applies changes that the journal has made durable;
 *          the maintenance thread flushes and merges; any thread reads.
 * Threads: "owner" calls are made by one thread at a time (the commit thread), "maintenance" calls
 *          by one thread at a time (which may be another), "any" calls by all at once.
 * Format:  docs/formats.md, "Segment", "Manifest", "Tables".
 * Errors:  a damaged segment is ZP_E_CORRUPT for the keys whose newest row could be in it; the
 *          rest stays readable. A failed flush or merge leaves the shard as it was.
 */
#ifndef ZP_ENGINE_ENGINE_H
#define ZP_ENGINE_ENGINE_H

#include "base/check.h"
#include "pin/pin.h"
#include "store/store.h"

struct zp_engine;
struct zp_view;
struct zp_scan;
struct zp_tables;

/* ---- Opening -------------------------------------------------------------------------------- */

/* How far a lane (a node's journal) is in the shard's files. */
struct zp_lane {
	uint64_t node;
	uint64_t epoch;
	uint64_t applied; /* number of the last batch that is in; 0 none */
};

/* Unpacked texts (names and the like) that are read often, for all engines of a node. Any thread.
 */
struct zp_texts_cache;
struct zp_texts_cache *zp_texts_cache_new(uint64_t bytes_max);
void zp_texts_cache_free(struct zp_texts_cache *cache); /* NULL is allowed; no engine uses it */
uint64_t zp_texts_cache_bytes(struct zp_texts_cache *cache); /* NULL: 0 */

/* Blocks that were read and checked, for all engines of a node. Any thread. NULL where the system
 * does not give so much address space: a cache is no need. */
struct zp_block_cache;
struct zp_block_cache *zp_block_cache_new(uint64_t bytes_max);
void zp_block_cache_free(struct zp_block_cache *cache); /* NULL is allowed; no engine uses it */
uint64_t zp_block_cache_bytes(const struct zp_block_cache *cache); /* NULL: 0 */

struct zp_engine_options {
	struct zp_store *store;             /* borrowed; must outlive the engine */
	struct zp_texts_cache *texts_cache; /* borrowed, likewise; NULL: none */
	struct zp_block_cache *block_cache; /* borrowed, likewise; NULL: none */
	uint8_t cluster_id[16];             /* the lineage of the ids in the rows */
	uint64_t shard_id;
	uint32_t incarnation;
	uint64_t hash_seed;         /* secret, random: keeps memory tables safe from chosen keys */
	uint8_t low[ZP_KEY_BYTES];  /* first key of the shard */
	uint8_t high[ZP_KEY_BYTES]; /* first key behind it; all ff: the end */
	bool read_only;         /* opens any moment as it is: never repairs, writes nothing; changes
				 * stay in memory */
	uint64_t manifest_max;  /* take no manifest above this number; 0: the newest */
	uint64_t segment_bytes; /* merges cut their files to about so much at most; 0: 512 MiB */
	bool without_filters;   /* they stay on the disk, and a lookup asks every run: for what is
				 * seldom asked and shall take little memory */
	/* Called by a merge again and again, each time after some thousand rows, with the bytes of
	 * the files that it has ended so far: it may take a pause there, so that others get their
	 * turn. May be NULL. */
	void (*merge_turn)(void *context, uint64_t bytes);
	void *merge_turn_context;
	/* Where damage and fallbacks are told; may be NULL. Called by the opening thread. */
	void (*warn)(void *context, const char *text);
	void *warn_context;
};

/* Writes the first two manifests, twins, into an empty store. ZP_E_EXISTS where there is one. */
ZP_MUST_CHECK int zp_engine_create(const struct zp_engine_options *options, struct zp_err *err);

/*
 * Opens the newest manifest whose bytes are whole; a damaged one is skipped with a warning, and the
 * caller decides by zp_engine_lane_get whether the journal still has what an older one lacks. A
 * segment that is missing or damaged is told and its keys answer ZP_E_CORRUPT. Removes
 * unfinished files. ZP_E_NOT_FOUND: no manifest; ZP_E_VERSION: a newer zpin's.
 */
ZP_MUST_CHECK int zp_engine_open(
    const struct zp_engine_options *options, struct zp_engine **engine_out, struct zp_err *err);

/*
 * Stands in for a shard that could not be opened (`why`), so that the others can serve: every key
 * answers ZP_E_CORRUPT, a scan ends with it, verify tells it, and nothing is written.
 * options->store is not used and may be NULL. The owner must not apply changes to it.
 */
struct zp_engine *zp_engine_suspended_new(const struct zp_engine_options *options, const char *why);
bool zp_engine_is_suspended(const struct zp_engine *engine);
const char *zp_engine_suspended_why(const struct zp_engine *engine); /* "": it is open */

void zp_engine_close(struct zp_engine *engine); /* NULL is allowed; views must be released */

uint64_t zp_engine_shard_id(const struct zp_engine *engine);
uint32_t zp_engine_incarnation(const struct zp_engine *engine);
uint64_t zp_engine_manifest_number(struct zp_engine *engine);
uint64_t zp_engine_manifest_checksum(struct zp_engine *engine);

/* ---- Writing: owner ------------------------------------------------------------------------- */

/* Accesses of a pin: how many, and when the last was. All 0: none is known. */
struct zp_accesses {
	uint64_t count;
	int64_t last_seconds; /* since 1970, 0 to ZP_ACCESS_SECONDS_MAX */
};

/*
 * One pin's change, with what was there before: counters and index entries follow from both. Or its
 * accesses alone, which are added to those that it has: then the pin stays as it is, whatever else
 * is here. A pin that goes takes its accesses along.
 */
struct zp_change {
	struct zp_key key;
	struct zp_accesses accesses; /* count 0: it is of the pin */
	bool has_old;
	bool has_new;        /* false: delete */
	bool old_is_unknown; /* without has_old: what is there could not be read, and a delete hides
				it */
	struct zp_record old_record;
	struct zp_record new_record;
};

/* Puts the change into the memtable. It must be in the journal. Copies what it keeps. */
void zp_engine_apply(struct zp_engine *engine, const struct zp_change *change);
/* The same for several, in their order. */
void zp_engine_apply_all(
    struct zp_engine *engine, const struct zp_change *const *changes, size_t count);

/* A pin's status at one peer: a row where it is not the default (docs/formats.md, "Track"). The
 * pin's own row is not asked: it may be gone already. */
struct zp_track_change {
	struct zp_key key;
	struct zp_track track; /* the new row; of a row that goes only `peer` counts */
	bool has_new;          /* false: the row goes, if there is one */
	bool has_old;          /* a view had a row, or could not tell: looked up before the group */
	uint8_t old_status;    /* its status; 0 where it could not be told */
};

/* The same for a status. Counters follow from both; a row that comes and goes before it is flushed
 * never reaches a file. */
void zp_engine_track_apply(struct zp_engine *engine, const struct zp_track_change *change);

/* The shard has everything of the lane up to `batch`. Rises only. */
void zp_engine_applied_set(struct zp_engine *engine, uint64_t node, uint64_t epoch, uint64_t batch);

/* Makes the memtable immutable and begins a new one; the frozen one is what the next flush writes.
 * The previous frozen one must be flushed. An empty memtable is not frozen. */
void zp_engine_freeze(struct zp_engine *engine);

/* Bytes of both memtables; or, where the one that is added to must be frozen whatever it has, since
 * its rows can be told apart no longer, more than any budget. Any thread. */
#define ZP_ENGINE_MEMORY_FULL (UINT64_C(1) << 47) /* all shards' add up */
uint64_t zp_engine_memory_bytes(const struct zp_engine *engine);

/* ---- Files: maintenance --------------------------------------------------------------------- */

/*
 * Writes the frozen memtable as one run per family and publishes a manifest that covers it.
 * `tables` are written too when they are not the ones the shard has, also when nothing is frozen.
 * Neither: nothing is done.
 */
ZP_MUST_CHECK int zp_engine_flush(
    struct zp_engine *engine, const struct zp_tables *tables, struct zp_err *err);

/*
 * Does one step of a merge if the policy wants one: what cannot be merged without each other, some
 * files of each run (merge_span.h). *merged_out tells whether it did; call again until it did not.
 * Inputs can be collected after each step, so the room that a merge needs is that of a step.
 * `stop`: looked at between rows; a step that is stopped leaves nothing behind.
 */
ZP_MUST_CHECK int zp_engine_merge(
    struct zp_engine *engine, const _Atomic(bool) *stop, bool *merged_out, struct zp_err *err);

/* The same towards one run a family, without tombstones or filters. */
ZP_MUST_CHECK int zp_engine_seal(
    struct zp_engine *engine, const _Atomic(bool) *stop, bool *merged_out, struct zp_err *err);

enum zp_merge_kind {
	ZP_MERGE_DUE,    /* zp_engine_merge */
	ZP_MERGE_COMING, /* the same, now or when one more run of each family is there */
	ZP_MERGE_SEAL,   /* zp_engine_seal */
};

/* Bytes of the disk that one step takes, at most, until its inputs can be collected. */
struct zp_merge_room {
	uint64_t all;  /* of each family */
	uint64_t most; /* of one family: what a single call takes. 0: nothing is due */
};

/* Any thread. */
struct zp_merge_room zp_engine_merge_room(struct zp_engine *engine, enum zp_merge_kind kind);

/* Removes manifests below `manifest_min` and every file that no manifest which stays names. Two
 * always stay: where only one would, its twin, an equal manifest, does or is made. */
ZP_MUST_CHECK int zp_engine_collect(
    struct zp_engine *engine, uint64_t manifest_min, struct zp_err *err);

/* Maintenance. What the newest manifest says is in memory too: where its file is gone or damaged an
 * equal one is published. */
ZP_MUST_CHECK int zp_engine_manifest_renew(
    struct zp_engine *engine, bool *renewed_out, struct zp_err *err);

/* Publishes a manifest with a higher incarnation that says `applied` of the lane is in: what a
 * rollback or a restore does, so that replay cannot undo it. The shard is what its files are: what
 * was only in memory is void, as it is in the journal. The owner must not write meanwhile. */
ZP_MUST_CHECK int zp_engine_incarnation_raise(
    struct zp_engine *engine, uint32_t incarnation, const struct zp_lane *lane, struct zp_err *err);

/* Files that make up the shard as its newest manifest says, for a snapshot: calls `each` with every
 * name, the manifest's own included. */
ZP_MUST_CHECK int zp_engine_files(struct zp_engine *engine,
    int (*each)(void *context, const char *name, struct zp_err *err), void *context,
    struct zp_err *err);

struct zp_verify_report {
	uint64_t segments;
	uint64_t rows;
	uint64_t bytes;
	uint64_t pins;         /* live, recounted */
	uint64_t entries;      /* of families time and expire, live; deep only */
	uint64_t damages;      /* told one by one */
	uint64_t counters_set; /* that were off */
};

struct zp_scrub_report {
	uint64_t files; /* that are whole */
	uint64_t bytes; /* read */
	uint64_t damages;
};

/*
 * Any thread. Reads every file of the shard by its name, what is live and what an older manifest
 * still names: manifests, tables, and segments, whose whole content must be what the name says.
 * Damage is told to `check` (not NULL) with file, block and keys, and the scrub goes on; the answer
 * is what ended it, or an error of the directory itself. `whole` (may be NULL, called with
 * check->context) is told each file that is whole. Reads no cache and fills none. Of a shard that
 * is suspended nothing is read.
 */
ZP_MUST_CHECK int zp_engine_scrub(struct zp_engine *engine, const struct zp_check *check,
    void (*whole)(void *context, const char *name), struct zp_scrub_report *report_out,
    struct zp_err *err);

/* Maintenance. A live segment's file was put back where it was damaged or missing: opens it anew,
 * and reads go by it from now on. ZP_E_NOT_FOUND when no run has that file. */
ZP_MUST_CHECK int zp_engine_reopen(struct zp_engine *engine, const char *name, struct zp_err *err);

/* Any thread. Whether a live segment of that file is not read by for damage that its opening, a
 * read or a merge met: when the file is whole, it is to be opened anew. */
bool zp_engine_misses(struct zp_engine *engine, const char *name);

/* Tells each segment that could not be opened, in the words of a read that misses it. None of a
 * shard that is suspended. */
void zp_engine_unopened(
    struct zp_engine *engine, void (*each)(void *context, const char *text), void *context);

/* Reads every byte of every segment, checks it, and recounts the pins against the counters; looks
 * whether the shard's files are still there, and its manifests whole. `deep`:
 * and what families and tables say of each other, in memory of a fixed size: each pin has its
 * entries of time and expiry and each entry its pin, each list of allocations is in the tables,
 * each key in the shard. ZP_E_CORRUPT where there is damage. `check` may be NULL; when it ends the
 * verify the report is of what was read. */
ZP_MUST_CHECK int zp_engine_verify(struct zp_engine *engine, bool deep,
    const struct zp_check *check, struct zp_verify_report *report_out, struct zp_err *err);
/* Maintenance. The same; counters that are off are set right, in a new manifest and in memory, and
 * are no damage. */
ZP_MUST_CHECK int zp_engine_verify_recounting(struct zp_engine *engine, bool deep,
    const struct zp_check *check, struct zp_verify_report *report_out, struct zp_err *err);

/* ---- Facts: any ----------------------------------------------------------------------------- */

struct zp_engine_facts {
	uint64_t pins[ZP_PIN_TYPE_COUNT]; /* live, all namespaces */
	uint64_t size_bytes;              /* sum of the pins' known sizes */
	uint64_t manifest_number;
	uint64_t runs;         /* of family pin */
	uint64_t segments;     /* of all families */
	uint64_t disk_bytes;   /* of live segments */
	uint64_t time_bytes;   /* of those of family time, */
	uint64_t access_bytes; /* and of family access */
	uint64_t access_rows;  /* in these */
	uint64_t memtable_bytes;
	uint64_t memtable_entries;
	uint64_t resident_bytes; /* directories and filters */
	uint64_t damaged_segments;
	bool is_suspended;      /* it could not be opened */
	uint64_t flushed_bytes; /* written by flushes and */
	uint64_t merged_bytes;  /* by merges since opening */
};
void zp_engine_facts_get(struct zp_engine *engine, struct zp_engine_facts *facts_out);
uint64_t zp_engine_merged_bytes(struct zp_engine *engine); /* that fact alone */

/* Live pins of a namespace and type; exact. */
uint64_t zp_engine_count(struct zp_engine *engine, uint32_t namespace_id, enum zp_pin_type type);

/* Track rows of a peer that have this status; exact. */
uint64_t zp_engine_track_count(
    struct zp_engine *engine, uint32_t peer, enum zp_track_status status);

/* The position of a lane in the newest manifest (0 when it has none). */
uint64_t zp_engine_lane_get(struct zp_engine *engine, uint64_t node);

/* Pins that the newest manifest counts: those in files. */
uint64_t zp_engine_manifest_pins(struct zp_engine *engine);

/* Reads the shard's tables as its manifest names them; ZP_E_NOT_FOUND when it has none yet. */
ZP_MUST_CHECK int zp_engine_tables_read(
    struct zp_engine *engine, struct zp_tables **tables_out, struct zp_err *err);

/* ---- Reading: any --------------------------------------------------------------------------- */

/* What reads fill; one per thread or request, reused from call to call. */
struct zp_read_scratch;
struct zp_read_scratch *zp_read_scratch_new(void);
void zp_read_scratch_free(struct zp_read_scratch *scratch);

/* The shard as it is now: memtables and runs that stay as long as the view is held. Takes no lock
 * that the owner holds while it works. */
struct zp_view *zp_engine_view_get(struct zp_engine *engine);
void zp_view_release(struct zp_view *view); /* NULL is allowed */

/* The pin under `key`, or ZP_E_NOT_FOUND. Texts live in `scratch` or the view until the next call.
 */
ZP_MUST_CHECK int zp_view_get(struct zp_view *view, const struct zp_key *key,
    struct zp_read_scratch *scratch, struct zp_record *record_out, struct zp_err *err);

/* One answer of a batch. Texts live in the batch's buffer. */
struct zp_batch_answer {
	int rc; /* 0, ZP_E_NOT_FOUND, or an error such as ZP_E_CORRUPT */
	struct zp_record record;
};

/*
 * Answers all keys, in the caller's order: with one pass over each memtable, then each key from the
 * newest run whose filter says that it may be there. The memory that many keys need is fetched
 * while others are looked at, and blocks that are not in memory are read together. Keys are not
 * sorted, which was measured to gain nothing; the places that are read are. Texts are copied into
 * `texts` (which must have room enough to not overflow: ZP_E_TOO_LARGE then).
 */
ZP_MUST_CHECK int zp_view_get_batch(struct zp_view *view, const struct zp_key *const *keys,
    size_t count, struct zp_read_scratch *scratch, struct zp_buf *texts,
    struct zp_batch_answer *answers_out, struct zp_err *err);

/* What a scan gives of each pin: facts, and what is not asked for reads as 0. */
#define ZP_SCAN_FACT(fact) (1u << (fact))
#define ZP_SCAN_FACTS ((1u << ZP_FACT_COUNT) - 1)
#define ZP_SCAN_NAMESPACE (1u << ZP_FACT_COUNT) /* of a key that is not asked for */
#define ZP_SCAN_KEYS (2u << ZP_FACT_COUNT)
#define ZP_SCAN_TEXTS (4u << ZP_FACT_COUNT)

/* Which pins a scan is for. All 0: every one. */
struct zp_scan_filter {
	uint32_t types; /* 1 << enum zp_pin_type for each; 0: all */
	bool has_namespace;
	uint32_t namespace_id;
	bool has_created;
	int64_t created_min; /* both inclusive, in the fact's own unit */
	int64_t created_max;
};

struct zp_scan_options {
	const struct zp_key *from; /* first key to give, NULL: the shard's first */
	uint32_t columns;          /* ZP_SCAN_…; 0: all of them */
	struct zp_scan_filter filter;
	/* Told of each fault at once, code and text; may be NULL. The end tells the first again. */
	void (*fault)(void *context, const struct zp_err *why);
	void *context;
};

/*
 * Live pins in key order, merged from all runs and memtables of the view as of now. Holds the view.
 * What the options leave out is not unpacked, and blocks of which no pin is wanted are passed over;
 * each block is read and its checksum verified all the same.
 */
ZP_MUST_CHECK int zp_scan_open(struct zp_view *view, const struct zp_scan_options *options,
    struct zp_scan **scan_out, struct zp_err *err);
/* 0 and a pin valid until the next call, ZP_END, or an error (the scan is then over). */
ZP_MUST_CHECK int zp_scan_next(
    struct zp_scan *scan, struct zp_key *key_out, struct zp_record *record_out, struct zp_err *err);
void zp_scan_close(struct zp_scan *scan); /* NULL is allowed */

/* Of pin i values[i * step]. */
struct zp_scan_column {
	const uint64_t *values;
	size_t step; /* 0: the same of all */
};

/* Some pins in key order, by columns, of which only those that were asked for are there. */
struct zp_scan_rows {
	size_t count;
	const uint8_t (*digests)[32];
	struct zp_scan_column kinds, versions, codecs, namespaces, claims;
	struct zp_scan_column facts[ZP_FACT_COUNT];
};

/* As zp_scan_next, of as many pins as are at hand, which may be none: the scan has moved on all the
 * same. Texts are not given. */
ZP_MUST_CHECK int zp_scan_next_rows(
    struct zp_scan *scan, struct zp_scan_rows *rows_out, struct zp_err *err);
/* As zp_scan_next, but looks at some hundred pins only: ZP_SCAN_PASSED where none of them is
 * wanted. */
#define ZP_SCAN_PASSED 2
ZP_MUST_CHECK int zp_scan_step(
    struct zp_scan *scan, struct zp_key *key_out, struct zp_record *record_out, struct zp_err *err);
/* Behind ZP_SCAN_PASSED a key that no pin which is still to come is at or before, and none that
 * came is behind. False: none can be told here. */
bool zp_scan_passed(const struct zp_scan *scan, struct zp_key *key_out);

static inline uint64_t
zp_scan_value(const struct zp_scan_column *column, size_t at)
{
	return column->values[at * column->step];
}

static inline void
zp_scan_key(const struct zp_scan_rows *rows, size_t at, struct zp_key *key_out)
{
	memcpy(key_out->digest, rows->digests[at], sizeof(key_out->digest));
	key_out->kind = (uint8_t)zp_scan_value(&rows->kinds, at);
	key_out->version = (uint8_t)zp_scan_value(&rows->versions, at);
	key_out->codec = zp_scan_value(&rows->codecs, at);
	key_out->namespace_id = (uint32_t)zp_scan_value(&rows->namespaces, at);
	key_out->claim = zp_scan_value(&rows->claims, at);
}

/*
 * Pins by their time of creation. An entry of family time has no more of a key than the beginning
 * of its digest, so what is given are keys that pins may have: who wants the pins looks them up,
 * and passes over those that are gone or were created at another time. No pin that nobody touches
 * is missing but by damage.
 */
struct zp_created_range {
	uint32_t namespace_id;
	int64_t first, last;            /* fact created; both inclusive, as all bounds */
	uint64_t head_first, head_last; /* first 64 bits of digests; all, unless first is last */
};
struct zp_created_wanted {
	struct zp_created_range range;
	size_t keys_max; /* where there are more, ZP_E_FULL, before they are looked for */
	/* With keys in no order, one perhaps several times. What is not 0 ends that and is
	 * returned. */
	int (*each)(void *context, int64_t created, const struct zp_key *key);
	/* Told of each fault; what can be read is given all the same, and then ZP_E_CORRUPT
	 * returned. */
	void (*fault)(void *context, const struct zp_err *why);
	void *context;
};
ZP_MUST_CHECK int zp_view_created_keys(
    struct zp_view *view, const struct zp_created_wanted *wanted, struct zp_err *err);
/* The latest time up to `last` of which there may be keys, at most a pin's that is gone: ZP_END
 * where there is none. Where something cannot be read it may be later than any. */
ZP_MUST_CHECK int zp_view_created_last(struct zp_view *view, uint32_t namespace_id, int64_t last,
    int64_t *created_out, struct zp_err *err);

/*
 * Track rows in the order of keys, of one pin by peer: to be walked beside a scan of the view's
 * pins. From the first of pin `from` on (NULL: all), or `only` that pin's: then runs that don't
 * have it are not read.
 */
struct zp_track_scan;
ZP_MUST_CHECK int zp_track_scan_open(struct zp_view *view, const struct zp_key *from, bool only,
    struct zp_track_scan **scan_out, struct zp_err *err);
/* As zp_scan_next. */
ZP_MUST_CHECK int zp_track_scan_next(struct zp_track_scan *scan, struct zp_key *key_out,
    struct zp_track *track_out, struct zp_err *err);
void zp_track_scan_close(struct zp_track_scan *scan); /* NULL is allowed */

/*
 * Accesses of pins whose keys rise, to be walked beside a scan of the view's pins: from the first
 * key on (NULL: all), or `only` that pin's. One thread a walk; it holds the view.
 */
struct zp_accesses_walk;
ZP_MUST_CHECK int zp_accesses_walk_open(struct zp_view *view, const struct zp_key *from, bool only,
    struct zp_accesses_walk **walk_out, struct zp_err *err);
/* What is known of the pin; ZP_E_CORRUPT where something of it may be in what cannot be read: the
 * walk goes on with other pins. */
ZP_MUST_CHECK int zp_accesses_walk_get(struct zp_accesses_walk *walk, const struct zp_key *key,
    struct zp_accesses *access_out, struct zp_err *err);
void zp_accesses_walk_close(struct zp_accesses_walk *walk); /* NULL is allowed */
/* The same of one pin. */
ZP_MUST_CHECK int zp_view_accesses_get(struct zp_view *view, const struct zp_key *key,
    struct zp_accesses *access_out, struct zp_err *err);

/* Keys whose expiry is at or before `now_seconds`, in no order, at most `keys_max`, perhaps one
 * twice. Entries that no longer hold are left out by looking the pin up. One caller at a time. */
ZP_MUST_CHECK int zp_view_expired(struct zp_view *view, int64_t now_seconds,
    struct zp_read_scratch *scratch, struct zp_key *keys_out, uint64_t *expire_facts_out,
    size_t keys_max, size_t *count_out, struct zp_err *err);

/* ---- Tables: peers and allocation lists by id ------------------------------------------------ */

/*
 * What record fact "allocations" means. The node has one set, kept by the commit thread; each
 * shard's files carry a copy, so that a shard's snapshot stands alone. Ids begin at 1, rise, are
 * never reused. Reading is for any thread while only one adds.
 */
struct zp_tables *zp_tables_new(void);
void zp_tables_free(struct zp_tables *tables);

/* By content, 0: none; and the id that a new one would get. For the thread that adds. */
uint32_t zp_tables_peer_find(const struct zp_tables *tables, struct zp_slice binary);
uint32_t zp_tables_list_find(const struct zp_tables *tables, const uint32_t *peers, size_t count);
uint32_t zp_tables_peer_next(const struct zp_tables *tables);
uint32_t zp_tables_list_next(const struct zp_tables *tables);

/* Adds under an id as the journal or a file says; an id that is there with the same content is
 * fine. ZP_E_INVALID, ZP_E_FULL (limits.h). */
ZP_MUST_CHECK int zp_tables_peer_add(
    struct zp_tables *tables, uint32_t id, struct zp_slice binary, struct zp_err *err);
ZP_MUST_CHECK int zp_tables_list_add(
    struct zp_tables *tables, uint32_t id, const uint32_t *peers, size_t count, struct zp_err *err);
/*
 * Stand-ins under the next ids, for what was given by a batch that is lost: a peer id that nobody
 * has, and a list of one of its own. When the real one comes after all it takes the place; adding a
 * stand-in where it stands does nothing. For opening and repair, while nobody else reads.
 */
ZP_MUST_CHECK int zp_tables_peer_lose(struct zp_tables *tables, struct zp_err *err);
ZP_MUST_CHECK int zp_tables_list_lose(struct zp_tables *tables, struct zp_err *err);
bool zp_tables_list_is_lost(const struct zp_tables *tables, uint32_t id);

/* From now on `from` reads as `to` in every list. ZP_E_INVALID: that would go in a circle. */
ZP_MUST_CHECK int zp_tables_peer_move(
    struct zp_tables *tables, uint32_t from, uint32_t to, struct zp_err *err);

/* The list of fact "allocations" as a ready JSON array ("[]" for 0), moved peers replaced.
 * Borrowed; lives as long as the tables. ZP_E_CORRUPT for an id that is not there. */
ZP_MUST_CHECK int zp_tables_allocations_json(const struct zp_tables *tables, uint64_t allocations,
    struct zp_slice *json_out, struct zp_err *err);

uint64_t zp_tables_generation(const struct zp_tables *tables); /* rises with each addition */

/* The file form. */
void zp_tables_encode(const struct zp_tables *tables, struct zp_buf *file);
ZP_MUST_CHECK int zp_tables_decode(
    struct zp_slice file, struct zp_tables **tables_out, struct zp_err *err);

/* ---- The envelope of small files: manifest, checkpoint, map, tables -------------------------- */

/* Begins a file: header with room for checksum and length. */
void zp_envelope_begin(struct zp_buf *file, const char magic[8]);
/* Adds a field; tags must not fall. */
void zp_envelope_field(struct zp_buf *file, uint16_t tag, const void *bytes, size_t length);
/* Fills in length and checksum; returns the checksum. */
uint64_t zp_envelope_end(struct zp_buf *file);

struct zp_envelope_reader {
	struct zp_slice body;
	size_t position;
	uint16_t last_tag;
	uint64_t checksum;
	uint16_t optional_max; /* for the caller to set: the last optional tag that is given, too */
};
/* Checks checksum first, then version and features. `what` names the file in errors. */
ZP_MUST_CHECK int zp_envelope_open(struct zp_slice file, const char magic[8], const char *what,
    struct zp_envelope_reader *reader_out, struct zp_err *err);
/* 0 and a field, ZP_END, or ZP_E_CORRUPT. Tags above these are skipped, unless optional_max says
 * otherwise: an older zpin may do without them. */
#define ZP_ENVELOPE_OPTIONAL 0x8000u
ZP_MUST_CHECK int zp_envelope_next(struct zp_envelope_reader *reader, uint16_t *tag_out,
    struct zp_slice *field_out, struct zp_err *err);

#endif
