/*
 * manifest.c - the manifest in memory.
 *
 * Flow:  see manifest.h. Owner: the maintenance thread; a published manifest never changes.
 */
#include "engine/manifest.h"

void
manifest__init(struct manifest *manifest)
{
	*manifest = (struct manifest){0};
}

void
manifest__run_done(struct manifest_run *run)
{
	zp_free(run->segments);
	*run = (struct manifest_run){0};
}

void
manifest__done(struct manifest *manifest)
{
	if (manifest == NULL)
		return;
	for (size_t i = 0; i < manifest->run_count; i++)
		manifest__run_done(&manifest->runs[i]);
	zp_free(manifest->runs);
	zp_free(manifest->lanes);
	zp_free(manifest->counters);
	zp_free(manifest->tracks);
	zp_free(manifest->merged);
	manifest__init(manifest);
}

static void *
copied(const void *from, size_t bytes)
{
	void *to = zp_alloc(bytes);

	if (bytes != 0)
		memcpy(to, from, bytes);
	return to;
}

void
manifest__next(const struct manifest *from, struct manifest *to)
{
	*to = *from;
	to->number++;
	to->checksum = 0;
	to->lanes = copied(from->lanes, from->lane_count * sizeof(from->lanes[0]));
	to->counters = copied(from->counters, from->counter_count * sizeof(from->counters[0]));
	to->tracks = copied(from->tracks, from->track_count * sizeof(from->tracks[0]));
	to->runs = copied(from->runs, from->run_count * sizeof(from->runs[0]));
	for (size_t i = 0; i < from->run_count; i++)
		to->runs[i].segments = copied(from->runs[i].segments,
		    from->runs[i].segment_count * sizeof(struct segment_info));
	to->merged = NULL;
	to->merged_count = 0;
}

bool
manifest__run_is_before(const struct manifest_run *a, const struct manifest_run *b)
{
	if (a->family != b->family)
		return a->family < b->family;
	return a->age != b->age ? a->age > b->age : a->level < b->level;
}

bool
manifest__are_of_one_age(const struct manifest_run *a, const struct manifest_run *b)
{
	return a->family == b->family && a->age == b->age;
}

void
manifest__run_add(struct manifest *manifest, struct manifest_run run)
{
	size_t at = 0;

	while (at < manifest->run_count && manifest__run_is_before(&manifest->runs[at], &run))
		at++;
	manifest->runs =
	    zp_realloc(manifest->runs, (manifest->run_count + 1) * sizeof(manifest->runs[0]));
	memmove(&manifest->runs[at + 1], &manifest->runs[at],
	    (manifest->run_count - at) * sizeof(manifest->runs[0]));
	manifest->runs[at] = run;
	manifest->run_count++;
}

void
manifest__segments_remove(struct manifest_run *run, size_t at, size_t count)
{
	ZP_ASSERT(count <= run->segment_count && at <= run->segment_count - count);
	run->segment_count -= count;
	memmove(run->segments + at, run->segments + at + count,
	    (run->segment_count - at) * sizeof(run->segments[0]));
}

void
manifest__runs_tidy(struct manifest *manifest)
{
	size_t kept = 0;

	for (size_t i = 0; i < manifest->run_count; i++) {
		if (manifest->runs[i].segment_count == 0)
			manifest__run_done(&manifest->runs[i]);
		else
			manifest->runs[kept++] = manifest->runs[i];
	}
	manifest->run_count = kept;
}

static void
segment_insert(struct manifest_run *run, const struct segment_info *segment)
{
	size_t at = run->segment_count;

	run->segments =
	    zp_realloc(run->segments, (run->segment_count + 1) * sizeof(run->segments[0]));
	for (; at > 0 && memcmp(run->segments[at - 1].first_key, segment->first_key,
			     sizeof(segment->first_key)) > 0;
	     at--)
		run->segments[at] = run->segments[at - 1];
	run->segments[at] = *segment;
	run->segment_count++;
}

void
manifest__segments_add(struct manifest *manifest, enum zp_family family, uint8_t level,
    uint64_t age, const struct segment_info *segments, size_t count)
{
	struct manifest_run run = {.family = family, .level = level, .age = age};
	size_t at = 0;

	if (count == 0)
		return;
	while (at < manifest->run_count && manifest__run_is_before(&manifest->runs[at], &run))
		at++;
	if (at == manifest->run_count || !manifest__are_of_one_age(&manifest->runs[at], &run) ||
	    manifest->runs[at].level != level)
		manifest__run_add(manifest, run);
	for (size_t i = 0; i < count; i++)
		segment_insert(&manifest->runs[at], &segments[i]);
}

struct manifest_sum
manifest__run_sum(const struct manifest_run *run)
{
	struct manifest_sum sum = {0};

	for (size_t i = 0; i < run->segment_count; i++) {
		sum.bytes += run->segments[i].bytes;
		sum.rows += run->segments[i].rows;
	}
	return sum;
}

bool
manifest__has_family(const struct manifest *manifest, enum zp_family family)
{
	for (size_t i = 0; i < manifest->run_count; i++) {
		if (manifest->runs[i].family == family)
			return true;
	}
	return false;
}

void
manifest__lane_set(struct manifest *manifest, const struct zp_lane *lane)
{
	size_t at = 0;

	while (at < manifest->lane_count && manifest->lanes[at].node < lane->node)
		at++;
	if (at < manifest->lane_count && manifest->lanes[at].node == lane->node) {
		ZP_ASSERT(manifest->lanes[at].applied <= lane->applied);
		manifest->lanes[at] = *lane;
		return;
	}
	ZP_ASSERT(manifest->lane_count < MANIFEST_LANES_MAX);
	manifest->lanes =
	    zp_realloc(manifest->lanes, (manifest->lane_count + 1) * sizeof(manifest->lanes[0]));
	memmove(&manifest->lanes[at + 1], &manifest->lanes[at],
	    (manifest->lane_count - at) * sizeof(manifest->lanes[0]));
	manifest->lanes[at] = *lane;
	manifest->lane_count++;
}

uint64_t
manifest__lane_applied(const struct manifest *manifest, uint64_t node)
{
	for (size_t i = 0; i < manifest->lane_count; i++) {
		if (manifest->lanes[i].node == node)
			return manifest->lanes[i].applied;
	}
	return 0;
}

bool
manifest__counter_is_before(
    const struct manifest_counter *counter, uint32_t namespace_id, uint32_t type)
{
	return counter->namespace_id != namespace_id ? counter->namespace_id < namespace_id
						     : counter->type < type;
}

struct manifest_counter *
manifest__counter_of(
    struct manifest_counter **counters, size_t *count, uint32_t namespace_id, uint32_t type)
{
	size_t at = 0, end = *count;

	while (at < end) {
		size_t middle = at + (end - at) / 2;

		if (manifest__counter_is_before(&(*counters)[middle], namespace_id, type))
			at = middle + 1;
		else
			end = middle;
	}
	if (at == *count || (*counters)[at].namespace_id != namespace_id ||
	    (*counters)[at].type != type) {
		*counters = zp_realloc(*counters, (*count + 1) * sizeof(**counters));
		memmove(&(*counters)[at + 1], &(*counters)[at], (*count - at) * sizeof(**counters));
		(*counters)[at] =
		    (struct manifest_counter){.namespace_id = namespace_id, .type = type};
		(*count)++;
	}
	return &(*counters)[at];
}
