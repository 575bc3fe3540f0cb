/*
 * merge_internal.h - between merge.c, which chooses and publishes, and merge_files.c, which writes.
 */
#ifndef ZP_ENGINE_MERGE_INTERNAL_H
#define ZP_ENGINE_MERGE_INTERNAL_H

#include "engine/engine_internal.h"
#include "engine/merge_span.h"

/* What a merge writes: the files of one span, in key order, and the run that they are to be of. */
struct merge_files {
	struct segment_info *infos; /* owned */
	size_t count;
	uint64_t bytes;
	uint8_t level;
	uint64_t age;
};

struct merge_plan {
	struct zp_engine *engine;
	const struct version *version;
	const struct merge_span *span; /* of the version's manifest */
	const struct merge_cuts *cuts; /* where files are cut; NULL: where they become long */
	uint8_t filter_bits;
	bool drops_tombstones;     /* and makes rows of accesses those of the oldest run */
	const _Atomic(bool) *stop; /* or NULL */
};

/* Merges the segments of the span. After a failure nothing is there, and nothing to free. */
ZP_MUST_CHECK int merge__span(
    const struct merge_plan *plan, struct merge_files *files_out, struct zp_err *err);

/* No file of a merge is expected to be longer. */
uint64_t merge__segment_bytes(const struct zp_engine *engine);

#endif
