/*
 * merge_span.c - see merge_span.h. Keys are compared by the beginnings that the manifest has: two
 * that differ behind them are taken for equal, and merged together.
 */
#include "engine/merge_span.h"

static const struct manifest_run *
run_of(const struct merge_span *span, size_t nth)
{
	return &span->manifest->runs[span->first_run + nth];
}

/* The run's segment behind the span; NULL: it has no more. */
static const struct segment_info *
segment_behind(const struct merge_span *span, size_t nth)
{
	const struct manifest_run *run = run_of(span, nth);

	return span->end[nth] == run->segment_count ? NULL : &run->segments[span->end[nth]];
}

static int
key_compare(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, MANIFEST_KEY_BYTES);
}

void
merge_span__init(
    struct merge_span *span, const struct manifest *manifest, size_t first_run, size_t run_count)
{
	*span = (struct merge_span){
	    .manifest = manifest, .first_run = first_run, .run_count = run_count};
	span->from = zp_alloc_zero(run_count, sizeof(span->from[0]));
	span->end = zp_alloc_zero(run_count, sizeof(span->end[0]));
}

void
merge_span__done(struct merge_span *span)
{
	zp_free(span->from);
	zp_free(span->end);
	*span = (struct merge_span){0};
}

static void
segment_take(struct merge_span *span, size_t nth, const struct segment_info *segment)
{
	if (span->segments == 0 || key_compare(segment->last_key, span->last_key) > 0)
		memcpy(span->last_key, segment->last_key, MANIFEST_KEY_BYTES);
	if (span->segments == 0)
		memcpy(span->first_key, segment->first_key, MANIFEST_KEY_BYTES);
	span->end[nth]++;
	span->segments++;
	span->bytes += segment->bytes;
	span->rows += segment->rows;
	span->tombstones += segment->tombstones;
}

/* The run whose next segment begins first. False: none has one. */
static bool
run_next(const struct merge_span *span, size_t *nth_out)
{
	const struct segment_info *first = NULL;

	for (size_t i = 0; i < span->run_count; i++) {
		const struct segment_info *segment = segment_behind(span, i);

		if (segment == NULL ||
		    (first != NULL && key_compare(segment->first_key, first->first_key) >= 0))
			continue;
		first = segment;
		*nth_out = i;
	}
	return first != NULL;
}

static bool
is_output(const struct merge_span *span, const struct manifest_run *run)
{
	return run->level == span->output_level && run->age == span->output_age;
}

/* Adds the next segments up to the first key that none of them lies across; `is_made` is of these
 * alone. */
static bool
smallest_take(struct merge_span *span)
{
	size_t before = span->segments, nth;

	span->is_made = true;
	while (run_next(span, &nth)) {
		const struct segment_info *segment = segment_behind(span, nth);

		if (span->segments > before && key_compare(segment->first_key, span->last_key) > 0)
			break;
		span->is_made = span->is_made && is_output(span, run_of(span, nth));
		segment_take(span, nth, segment);
	}
	return span->segments > before;
}

bool
merge_span__next(struct merge_span *span, uint64_t bytes_max)
{
	size_t bytes = span->run_count * sizeof(span->end[0]);
	size_t *end = zp_alloc(bytes);
	struct merge_span before;

	memcpy(span->from, span->end, bytes);
	span->segments = 0;
	span->bytes = span->rows = span->tombstones = 0;
	memcpy(end, span->end, bytes);
	before = *span;
	while (smallest_take(span) &&
	       (before.segments == 0 || (!span->is_made && span->bytes <= bytes_max))) {
		memcpy(end, span->end, bytes);
		before = *span;
		if (span->is_made)
			break;
	}
	*span = before;
	memcpy(span->end, end, bytes);
	zp_free(end);
	return span->segments > 0;
}

bool
merge_span__is_oldest(const struct merge_span *span)
{
	const struct manifest *manifest = span->manifest;

	for (size_t i = span->first_run + span->run_count; i < manifest->run_count; i++) {
		const struct manifest_run *run = &manifest->runs[i];

		if (run->family != manifest->runs[span->first_run].family)
			break;
		for (size_t j = 0; j < run->segment_count; j++) {
			if (key_compare(run->segments[j].first_key, span->last_key) <= 0 &&
			    key_compare(run->segments[j].last_key, span->first_key) >= 0)
				return false;
		}
	}
	return true;
}
