/*
 * engine_internal.h - what the files of engine/ share: version, view, engine.
 *
 * A *version* is one manifest with its segments open; it never changes and is counted. A *view* is
 * a version with the memtables of that moment; the engine's present view is swapped under
 * view_lock, which nobody holds longer than a few instructions.
 */
#ifndef ZP_ENGINE_INTERNAL_H
#define ZP_ENGINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/engine.h"
#include "engine/manifest.h"
#include "engine/memtable.h"
#include "engine/segment.h"

#define MERGE_RUNS 8u          /* K: so many runs of a level become one of the next */
#define MERGE_LEVEL_NEVER 255u /* of a run that must not be merged */
#define MERGE_TURN_ROWS 1024u  /* of a merge, then others may have a turn */
#define SAMPLE_ROWS 1024u      /* shown to a segment writer before it chooses encoders */
#define TABLES_BYTES_MAX (256u << 20)

struct version {
	_Atomic(uint64_t) holds;
	struct manifest manifest;
	/* For each run of the manifest its segments, NULL where one is damaged or missing. */
	struct segment ***runs;
};

struct zp_view {
	_Atomic(uint64_t) holds;
	struct zp_engine *engine; /* outlives its views */
	struct version *version;
	struct memtable *active; /* NULL in a view of files only */
	struct memtable *frozen; /* NULL: none */
};

struct zp_engine {
	struct zp_engine_options options;
	char suspended_why[ZP_ERR_TEXT_BYTES]; /* empty: it is open */
	pthread_mutex_t view_lock;             /* guards `view` */
	struct zp_view *view;                  /* the present one, held */
	struct memtable *active;               /* owner only, held: the view's */

	pthread_mutex_t facts_lock;        /* guards counters, lanes and the sums below */
	struct manifest_counter *counters; /* rising by namespace, type; some of 0 pins */
	size_t counter_count;
	struct manifest_counter *tracks; /* rising by peer, status; some of 0 rows */
	size_t track_count;
	struct zp_lane *lanes; /* applied to memory */
	size_t lane_count;
	uint64_t flushed_bytes;
	uint64_t merged_bytes;

	/* Of the frozen memtable: made before it is in a view, freed when it is no more. */
	struct manifest_counter *frozen_counters;
	size_t frozen_counter_count;
	struct manifest_counter *frozen_tracks;
	size_t frozen_track_count;
	struct zp_lane *frozen_lanes;
	size_t frozen_lane_count;

	/* Accesses may be in files or memory: a pin that goes must hide them. Once so it stays. The
	 * owner's, and the opening thread's. */
	bool has_accesses;

	_Atomic(uint32_t) incarnation;  /* the manifest's; options have what opening asked for */
	_Atomic(uint64_t) expire_floor; /* no live expiry entry is below this column value */

	/* Maintenance only. */
	uint64_t number_next;       /* of the next manifest: above every one ever seen here */
	uint64_t tables_generation; /* of the tables that the version has; ~0: not known */
	struct zp_err merge_fault;  /* what kept a family from being merged, until it is told */
};

/* ---- version.c ------------------------------------------------------------------------------- */

struct version *version__hold(struct version *version);
void version__release(struct version *version); /* NULL is allowed */

/* Opens the segments of `manifest` (moved in) that `old` does not have open already. Without `old`
 * (at start) damaged ones are told and stay NULL; with it, a new one that does not open is the
 * error. */
ZP_MUST_CHECK int version__open(struct zp_engine *engine, struct manifest *manifest,
    const struct version *old, struct version **version_out, struct zp_err *err);

/* Where the manifest names that file: its run, and which of that run's segments. */
bool version__find(const struct version *version, const struct segment_name *name, size_t *run_out,
    size_t *at_out);

/* A view that holds its parts; active and frozen may be NULL. */
struct zp_view *view__new(struct zp_engine *engine, struct version *version,
    struct memtable *active, struct memtable *frozen);

/* The counters that have something left, copied: what a manifest may have. */
struct manifest_counter *engine__counters_copy(
    const struct manifest_counter *counters, size_t *count);

/* Makes the present view from its parts. `version` NULL keeps it; `freeze`: active becomes frozen
 * and a fresh one begins (owner); `drop_frozen`: its rows are in the version's files now. */
void view__change(struct zp_engine *engine, struct version *version, bool freeze, bool drop_frozen);

/* The present version, held. */
struct version *engine__version_get(struct zp_engine *engine);

/* Tells manifests that are damaged or gone, and files of the version that are gone while they are
 * open (scrub.c). */
ZP_MUST_CHECK int engine__names_verify(struct zp_engine *engine, const struct version *version,
    const struct zp_check *check, struct zp_err *err);

/* Calls for the name of every segment and tables file of a manifest. */
ZP_MUST_CHECK int engine__manifest_files(const struct manifest *manifest,
    int (*each)(void *context, const char *name, struct zp_err *err), void *context,
    struct zp_err *err);

/* Writes `manifest` (moved in, number set here) and makes it the present version. `drop_frozen`:
 * its rows are in the files now. */
ZP_MUST_CHECK int engine__publish(
    struct zp_engine *engine, struct manifest *manifest, bool drop_frozen, struct zp_err *err);

/* Memory, counters and lanes become those of the files alone. Owner and maintenance in one. */
void engine__memory_drop(struct zp_engine *engine);

void engine__frozen_facts_free(struct zp_engine *engine);

/* A view of a version alone, without memory: for verify. */
struct zp_view *view__of_version(struct zp_engine *engine, struct version *version);

/* ZP_E_CORRUPT, with the reason, when the engine only stands in for its shard. */
ZP_MUST_CHECK int engine__suspended_check(const struct zp_engine *engine, struct zp_err *err);

void engine__warn(struct zp_engine *engine, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Leading digest bits that all keys of the shard share. */
uint8_t engine__prefix_bits(const struct zp_engine *engine);
struct memtable *engine__memtable_new(const struct zp_engine *engine);

/* ---- recount.c ------------------------------------------------------------------------------- */

/* Counts the version's live rows and tells of each counter of its manifest that is something else,
 * or, where it is the present one and the caller is maintenance, sets it right. What ended it, or
 * 0. */
ZP_MUST_CHECK int engine__recount(struct zp_engine *engine, struct version *version,
    bool sets_counters, const struct zp_check *check, struct zp_verify_report *report,
    struct zp_err *err);

/* ---- verify_deep.c --------------------------------------------------------------------------- */

/* What families say of each other; adds to the report. What ended it, or 0: damage is told. */
ZP_MUST_CHECK int engine__verify_deep(struct zp_engine *engine, struct version *version,
    const struct zp_check *check, struct zp_verify_report *report, struct zp_err *err);

/* ---- index.c: rows of the ordered families --------------------------------------------------- */

uint64_t index__created(const struct zp_record *record); /* as a column */
uint64_t index__expiry(const struct zp_record *record);  /* likewise; it has one */
void index__key_columns(const struct zp_key *key, uint64_t columns_out[SEGMENT_PIN_COLUMNS]);
ZP_MUST_CHECK int index__key_of_columns(
    const uint64_t columns[SEGMENT_PIN_COLUMNS], struct zp_key *key_out, struct zp_err *err);
ZP_MUST_CHECK int index__expire_key(
    const struct segment_entry *entry, struct zp_key *key_out, struct zp_err *err);
/* Adds what the change means for the ordered families to the memtable. */
void index__apply(struct memtable *memtable, const struct zp_change *change);

/* ---- merge.c --------------------------------------------------------------------------------- */

/* Which runs of one family to merge: `runs` newest first. count 0: nothing. Of several levels at
 * once where one merge would make the next one due and all have at most `step_bytes`. Pure. */
struct merge_candidate {
	uint8_t level;
	uint64_t bytes;
};
struct merge_choice {
	size_t first; /* index of the newest input */
	size_t count;
	uint8_t level; /* of the output */
};
struct merge_choice merge__choose(
    const struct merge_candidate *runs, size_t count, uint64_t step_bytes);

/* The id of a segment that is made from the given things, the `part`th of these; docs/formats.md,
 * "Segment". */
enum segment_maker { SEGMENT_BY_FLUSH = 1, SEGMENT_BY_MERGE = 2 };
struct zp_hash128 merge__segment_id(const struct zp_engine *engine, enum zp_family family,
    enum segment_maker maker, bool drops_tombstones, uint32_t part, const struct zp_lane *lanes,
    size_t lane_count, const struct segment_name *inputs, size_t input_count);

#endif
