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

/* Adds the next segments up to the first key that none of them lies across; `is_made` and
 * `is_of_one` are of these alone. */
static bool
smallest_take(struct merge_span *span)
{
	size_t before = span->segments, nth, first = 0;

	span->is_made = span->is_of_one = true;
	while (run_next(span, &nth)) {
		const struct segment_info *segment = segment_behind(span, nth);

		if (span->segments > before && key_compare(segment->first_key, span->last_key) > 0)
			break;
		if (span->segments == before)
			first = nth;
		span->is_of_one = span->is_of_one && nth == first;
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
		span->is_of_one = span->is_of_one && before.segments == 0;
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

/* ---- Parting --------------------------------------------------------------------------------- */

/* The run that has most bytes in the span, and how many. */
static size_t
longest_run(const struct merge_span *span, uint64_t *most_out)
{
	size_t longest = 0;

	*most_out = 0;
	for (size_t i = 0; i < span->run_count; i++) {
		uint64_t bytes = 0;

		for (size_t j = span->from[i]; j < span->end[i]; j++)
			bytes += run_of(span, i)->segments[j].bytes;
		if (bytes > *most_out)
			longest = i;
		*most_out = zp_max_u64(*most_out, bytes);
	}
	return longest;
}

/* The shortest beginning of a key that parts two files: mostly the prefix at which they were cut.
 */
static void
cut_between(const uint8_t *last, const uint8_t *first, uint8_t *cut_out)
{
	uint64_t apart = zp_load_u64be(last) ^ zp_load_u64be(first);
	unsigned shift;

	memcpy(cut_out, first, MANIFEST_KEY_BYTES);
	if (apart == 0)
		return;
	shift = 63 - (unsigned)__builtin_clzll(apart);
	memset(cut_out, 0, MANIFEST_KEY_BYTES);
	zp_store_u64be(cut_out, zp_load_u64be(first) >> shift << shift);
}

/* All places of the span where it may be parted. They follow from the longest run, so that they
 * stay the same when files of others have been cut there. */
static void
cuts_find(const struct merge_span *span, uint64_t bytes, struct merge_cuts *cuts)
{
	uint64_t most, since = 0;
	size_t longest = longest_run(span, &most);
	const struct segment_info *segments = run_of(span, longest)->segments;

	for (; most < span->bytes; most *= 2)
		bytes /= 2; /* its share of them */
	cuts->count = 0;
	cuts->keys = zp_alloc((span->end[longest] - span->from[longest]) * sizeof(cuts->keys[0]));
	for (size_t j = span->from[longest] + 1; j < span->end[longest]; j++) {
		const uint8_t *last = segments[j - 1].last_key, *first = segments[j].first_key;

		since += segments[j - 1].bytes;
		if (since < bytes || key_compare(last, first) >= 0)
			continue;
		cut_between(last, first, cuts->keys[cuts->count++]);
		since = 0;
	}
}

/* Leaves the places that the segment lies across; false: there are none, and all stay. */
static bool
cuts_narrow(struct merge_cuts *cuts, const struct segment_info *segment)
{
	size_t first = 0, end = cuts->count;

	while (first < end && key_compare(cuts->keys[first], segment->first_key) <= 0)
		first++;
	while (first < end && key_compare(cuts->keys[end - 1], segment->last_key) > 0)
		end--;
	if (first == end)
		return false;
	cuts->count = end - first;
	memmove(cuts->keys, cuts->keys + first, cuts->count * sizeof(cuts->keys[0]));
	return true;
}

bool
merge_span__part(const struct merge_span *span, uint64_t bytes, struct merge_span *part_out,
    struct merge_cuts *cuts_out)
{
	cuts_find(span, bytes, cuts_out);
	for (size_t i = 0; i < span->run_count; i++) {
		for (size_t j = span->from[i]; j < span->end[i]; j++) {
			const struct segment_info *segment = &run_of(span, i)->segments[j];

			if (!cuts_narrow(cuts_out, segment))
				continue;
			merge_span__init(part_out, span->manifest, span->first_run + i, 1);
			part_out->from[0] = part_out->end[0] = j;
			segment_take(part_out, 0, segment);
			return true;
		}
	}
	zp_free(cuts_out->keys);
	return false;
}
