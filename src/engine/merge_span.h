/*
 * merge_span.h - what of several runs must be merged together, and what need not; private to
 * engine/.
 *
 * A *span* is a range of keys that no segment of the runs lies across: its segments can be merged,
 * and their files replaced, without the rest. The spans of runs that are cut at the same key
 * prefixes are those prefixes, so a merge needs room for one span at a time.
 */
#ifndef ZP_ENGINE_MERGE_SPAN_H
#define ZP_ENGINE_MERGE_SPAN_H

#include "engine/manifest.h"

struct merge_span {
	const struct manifest *manifest; /* borrowed */
	size_t first_run;                /* of the runs to merge, newest first */
	size_t run_count;
	/* Of the run that is being made: what it has is merged with other runs' only. */
	uint8_t output_level;
	uint64_t output_age;
	/* Owned: of each run the segments [from, end) are in the span. */
	size_t *from;
	size_t *end;
	size_t segments; /* in all */
	bool is_made;    /* all are the output's */
	bool is_of_one;  /* all are of one run, and no more than must be merged together */
	uint64_t bytes;
	uint64_t rows;
	uint64_t tombstones;
	uint8_t first_key[MANIFEST_KEY_BYTES]; /* beginnings of the ends, both inclusive */
	uint8_t last_key[MANIFEST_KEY_BYTES];
};

/* Where files are cut: a key with such a beginning, or one above, begins the next. */
struct merge_cuts {
	uint8_t (*keys)[MANIFEST_KEY_BYTES]; /* owned, rising */
	size_t count;
};

/* Before the first span; set the output's level and age then. The manifest must outlive it. */
void merge_span__init(
    struct merge_span *span, const struct manifest *manifest, size_t first_run, size_t run_count);
/* The span with the next keys, and those behind it as long as they are `bytes_max` together: small
 * files become larger ones. False: there is none. */
bool merge_span__next(struct merge_span *span, uint64_t bytes_max);
/* Whether no run that is older than those of the span may have one of its keys. */
bool merge_span__is_oldest(const struct merge_span *span);
/*
 * A file of a short run may lie across many of a long one, which are one span then. To part that: a
 * file that lies across places some `bytes` apart, where files of the longest run begin, as a span
 * of its own (to be done), and those places. False: there is none.
 */
bool merge_span__part(const struct merge_span *span, uint64_t bytes, struct merge_span *part_out,
    struct merge_cuts *cuts_out);
void merge_span__done(struct merge_span *span);

#endif
