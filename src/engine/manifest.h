/*
 * manifest.h - the immutable numbered list of a shard's files; private to engine/.
 *
 * Flow:   flush and merge publish one, opening reads the newest whole one.
 * Format: docs/formats.md, "Manifest".
 */
#ifndef ZP_ENGINE_MANIFEST_H
#define ZP_ENGINE_MANIFEST_H

#include "engine/engine.h"
#include "engine/segment.h"

#define MANIFEST_BYTES_MAX (64u << 20)
#define MANIFEST_LANES_MAX 1024u
#define MANIFEST_COUNTERS_MAX 1048576u
#define MANIFEST_RUNS_MAX 4096u
#define MANIFEST_SEGMENTS_MAX 262144u /* of one run, and merged at once */
#define MANIFEST_KEY_BYTES 48u        /* of a first or last key that a manifest has */

/* Live pins of one namespace and type. Of family track: rows of one peer (in place of the
 * namespace) and status (in place of the type); their size is 0. In memory one that is off may be
 * below 0, as two's complement. */
struct manifest_counter {
	uint32_t namespace_id;
	uint32_t type; /* enum zp_pin_type */
	uint64_t pins;
	uint64_t size_bytes;
};

struct manifest_run {
	enum zp_family family;
	uint8_t level;
	/* Rises with each flush; a merge has the lowest of its inputs. While that merge is not
	 * done, its run and the rest of its oldest input have the same; the lower level is the
	 * newer one. */
	uint64_t age;
	struct segment_info *segments; /* owned, in key order, their ranges apart */
	size_t segment_count;
};

struct manifest {
	uint64_t shard_id;
	uint64_t number;
	uint64_t checksum; /* of the file, once encoded or decoded */
	uint32_t incarnation;
	uint8_t cluster_id[16];
	uint8_t low[ZP_KEY_BYTES];
	uint8_t high[ZP_KEY_BYTES]; /* all ff: the end */
	struct zp_lane *lanes;      /* owned, rising by node */
	size_t lane_count;
	struct manifest_counter *counters; /* owned, rising by namespace, type */
	size_t counter_count;
	struct manifest_counter *tracks; /* owned, rising by peer, status */
	size_t track_count;
	/* Owned; families rising, newest first within one, of one age the lower level first. */
	struct manifest_run *runs;
	size_t run_count;
	bool has_tables;
	struct segment_name tables;
	uint64_t tables_bytes;
	struct segment_name *merged; /* owned: inputs of the merge that led here */
	size_t merged_count;
};

void manifest__init(struct manifest *manifest);
void manifest__done(struct manifest *manifest); /* NULL is allowed */

/* A deep copy with the next number and no `merged`. */
void manifest__next(const struct manifest *from, struct manifest *to);

/* How runs stand in the manifest: families rising, within a family newest first, of one age the
 * lower level first. */
bool manifest__run_is_before(const struct manifest_run *a, const struct manifest_run *b);
bool manifest__are_of_one_age(const struct manifest_run *a, const struct manifest_run *b);
/* Puts a run (moved in) where it belongs. */
void manifest__run_add(struct manifest *manifest, struct manifest_run run);
void manifest__run_done(struct manifest_run *run);
/* Takes segments of the run out; it stays, if need be empty, until manifest__runs_tidy. */
void manifest__segments_remove(struct manifest_run *run, size_t at, size_t count);
void manifest__runs_tidy(struct manifest *manifest);
/* Puts segments whose ranges nothing else of that run has (copied) where they belong. The run of
 * that family, level and age is made when there is none. */
void manifest__segments_add(struct manifest *manifest, enum zp_family family, uint8_t level,
    uint64_t age, const struct segment_info *segments, size_t count);

/* Of all segments of the run. */
struct manifest_sum {
	uint64_t bytes;
	uint64_t rows;
};
struct manifest_sum manifest__run_sum(const struct manifest_run *run);

bool manifest__has_family(const struct manifest *manifest, enum zp_family family);

/* Sets or raises the lane's applied batch. */
void manifest__lane_set(struct manifest *manifest, const struct zp_lane *lane);
uint64_t manifest__lane_applied(const struct manifest *manifest, uint64_t node);

/* The counter of the namespace and type in an array that is kept rising; made when it is not there.
 */
struct manifest_counter *manifest__counter_of(
    struct manifest_counter **counters, size_t *count, uint32_t namespace_id, uint32_t type);

/* Whether it stands before the counter of the two. */
bool manifest__counter_is_before(
    const struct manifest_counter *counter, uint32_t namespace_id, uint32_t type);

/* ZP_E_FULL when it has more than a reader takes, or its file would be too long. */
ZP_MUST_CHECK int manifest__limits_check(const struct manifest *manifest, struct zp_err *err);

void manifest__encode(struct manifest *manifest, struct zp_buf *file); /* sets the checksum */
ZP_MUST_CHECK int manifest__decode(
    struct zp_slice file, struct manifest *manifest_out, struct zp_err *err);

/* "manifest-<16 hex>" and back. `text` has ZP_FILE_NAME_MAX bytes. */
void manifest__name_format(uint64_t number, char *text);
bool manifest__name_parse(const char *text, uint64_t *number_out);

/* "<32 hex>.tab", the name of a tables file by its content. */
void manifest__tables_name_format(const struct segment_name *content, char *text);
bool manifest__tables_name_parse(const char *text, struct segment_name *content_out);

#endif
