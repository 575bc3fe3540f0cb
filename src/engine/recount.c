/*
 * recount.c - counters against the rows that they count, and set right.
 *
 * Flow:  zp_engine_verify → here: live pins and statuses of a version are counted, and what its
 *        manifest says of them is told where it is something else, or made what was found.
 *        Owner: the caller's thread; to set them, maintenance.
 *
 * Counters follow from what each change replaces, so one that was applied where that could not be
 * read leaves them off. All of them by the same: what is frozen and what is live was counted on
 * from the manifest's.
 */
#include "engine/engine_internal.h"

#include <stdio.h>

#define STEP_EVERY_ROWS 1024u

/* Of one kind, as a manifest says them and as they were found. */
struct counts {
	const char *name; /* of the two numbers of a counter */
	const struct manifest_counter *said;
	size_t said_count;
	struct manifest_counter *found; /* owned */
	size_t found_count;
	bool is_whole; /* all that there is could be read */
};

struct recounting {
	struct zp_engine *engine;
	struct version *version; /* borrowed */
	const struct zp_check *check;
	struct zp_verify_report *report;
	struct counts pins, tracks;
};

/* ---- Counting ------------------------------------------------------------------------------- */

static void
rows_count(const struct zp_scan_rows *rows, struct counts *counts)
{
	struct manifest_counter *counter = NULL;

	for (size_t i = 0; i < rows->count; i++) {
		uint32_t namespace_id = (uint32_t)zp_scan_value(&rows->namespaces, i);
		uint32_t type = (uint32_t)zp_scan_value(&rows->facts[ZP_FACT_TYPE], i);

		if (counter == NULL || counter->namespace_id != namespace_id ||
		    counter->type != type)
			counter = manifest__counter_of(
			    &counts->found, &counts->found_count, namespace_id, type);
		counter->pins++;
		counter->size_bytes += zp_scan_value(&rows->facts[ZP_FACT_SIZE], i);
	}
}

/* The live pins of the files alone, as the manifest's counters have them. What could not be read
 * was told before. */
static int
pins_recount(struct recounting *recounting, struct zp_err *err)
{
	struct zp_view *view = view__of_version(recounting->engine, recounting->version);
	struct zp_scan_options options = {
	    .columns = ZP_SCAN_NAMESPACE | ZP_SCAN_FACT(ZP_FACT_TYPE) | ZP_SCAN_FACT(ZP_FACT_SIZE)};
	struct zp_scan_rows rows;
	struct zp_scan *scan;
	struct zp_err why = {0};
	uint64_t stepped = 0, pins = 0;
	int ended = ZP_OK;
	int rc = zp_scan_open(view, &options, &scan, &why);

	ZP_ASSERT(rc == ZP_OK); /* damage comes at the end */
	while (ended == ZP_OK && (rc = zp_scan_next_rows(scan, &rows, &why)) == ZP_OK) {
		rows_count(&rows, &recounting->pins);
		pins += rows.count;
		if (pins / STEP_EVERY_ROWS > stepped) {
			stepped = pins / STEP_EVERY_ROWS;
			ended = zp_check_step(recounting->check, 0, err);
		}
	}
	zp_scan_close(scan);
	zp_view_release(view);
	recounting->report->pins = pins;
	recounting->pins.is_whole = rc == ZP_END;
	return ended;
}

/* The same of the statuses. */
static int
tracks_recount(struct recounting *recounting, struct zp_err *err)
{
	struct zp_view *view = view__of_version(recounting->engine, recounting->version);
	struct counts *counts = &recounting->tracks;
	struct zp_track_scan *scan;
	struct zp_track track;
	struct zp_err why = {0};
	struct zp_key key;
	uint64_t rows = 0;
	int ended = ZP_OK;
	int rc = zp_track_scan_open(view, NULL, false, &scan, &why);

	ZP_ASSERT(rc == ZP_OK);
	while (ended == ZP_OK && (rc = zp_track_scan_next(scan, &key, &track, &why)) == ZP_OK) {
		manifest__counter_of(&counts->found, &counts->found_count, track.peer, track.status)
		    ->pins++;
		if (++rows % STEP_EVERY_ROWS == 0)
			ended = zp_check_step(recounting->check, 0, err);
	}
	zp_track_scan_close(scan);
	zp_view_release(view);
	counts->is_whole = rc == ZP_END;
	return ended;
}

/* ---- Comparing ------------------------------------------------------------------------------ */

/* What the counter of the two says; 0 where there is none. */
static struct manifest_counter
counter_get(const struct manifest_counter *counters, size_t count, uint32_t first, uint32_t second)
{
	for (size_t i = 0; i < count; i++) {
		if (counters[i].namespace_id == first && counters[i].type == second)
			return counters[i];
	}
	return (struct manifest_counter){.namespace_id = first, .type = second};
}

/* Calls for each counter that is something else. */
static uint64_t
counts_differ(
    const struct counts *counts, void (*each)(void *context, const char *text), void *context)
{
	uint64_t differing = 0;

	for (size_t i = 0; counts->is_whole && i < counts->said_count + counts->found_count; i++) {
		bool is_found = i >= counts->said_count;
		const struct manifest_counter *one =
		    is_found ? &counts->found[i - counts->said_count] : &counts->said[i];
		struct manifest_counter said =
		    counter_get(counts->said, counts->said_count, one->namespace_id, one->type);
		struct manifest_counter found =
		    counter_get(counts->found, counts->found_count, one->namespace_id, one->type);
		char text[160];

		if ((is_found && said.pins > 0) || /* met among those that were said */
		    (said.pins == found.pins && said.size_bytes == found.size_bytes))
			continue;
		differing++;
		snprintf(text, sizeof(text), "manifest: %s %u %u: it counts %llu, there are %llu",
		    counts->name, one->namespace_id, one->type, (unsigned long long)said.pins,
		    (unsigned long long)found.pins);
		each(context, text);
	}
	return differing;
}

static void
difference_tell(void *context, const char *text)
{
	zp_check_damage(context, text);
}

static void
difference_warn(void *context, const char *text)
{
	struct zp_engine *engine = context;

	engine__warn(engine, "shard %016llx: %s: set right",
	    (unsigned long long)engine->options.shard_id, text);
}

static void
difference_pass(void *context, const char *text)
{
	(void)context;
	(void)text;
}

/* ---- Setting -------------------------------------------------------------------------------- */

/* Those that were counted on from what was said go on from what was found. */
static void
counters_move(struct manifest_counter **counters, size_t *count, const struct counts *counts)
{
	if (!counts->is_whole)
		return;
	for (size_t i = 0; i < counts->found_count; i++) {
		const struct manifest_counter *found = &counts->found[i];
		struct manifest_counter *counter =
		    manifest__counter_of(counters, count, found->namespace_id, found->type);

		counter->pins += found->pins;
		counter->size_bytes += found->size_bytes;
	}
	for (size_t i = 0; i < counts->said_count; i++) {
		const struct manifest_counter *said = &counts->said[i];
		struct manifest_counter *counter =
		    manifest__counter_of(counters, count, said->namespace_id, said->type);

		counter->pins -= said->pins;
		counter->size_bytes -= said->size_bytes;
	}
}

static void
manifest_set(const struct counts *counts, struct manifest_counter **counters, size_t *count)
{
	if (!counts->is_whole)
		return;
	zp_free(*counters);
	*count = counts->found_count;
	*counters = engine__counters_copy(counts->found, count);
}

static int
counters_set(struct recounting *recounting, struct zp_err *err)
{
	struct zp_engine *engine = recounting->engine;
	struct manifest manifest;
	int rc;

	manifest__next(&recounting->version->manifest, &manifest);
	manifest_set(&recounting->pins, &manifest.counters, &manifest.counter_count);
	manifest_set(&recounting->tracks, &manifest.tracks, &manifest.track_count);
	rc = engine__publish(engine, &manifest, false, err);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&engine->facts_lock);
	counters_move(&engine->counters, &engine->counter_count, &recounting->pins);
	counters_move(&engine->tracks, &engine->track_count, &recounting->tracks);
	if (engine->frozen_counters != NULL) {
		counters_move(
		    &engine->frozen_counters, &engine->frozen_counter_count, &recounting->pins);
		counters_move(
		    &engine->frozen_tracks, &engine->frozen_track_count, &recounting->tracks);
	}
	pthread_mutex_unlock(&engine->facts_lock);
	return ZP_OK;
}

static void
difference_settle(struct recounting *recounting, bool sets_counters)
{
	struct zp_engine *engine = recounting->engine;
	uint64_t differing = counts_differ(&recounting->pins, difference_pass, NULL) +
			     counts_differ(&recounting->tracks, difference_pass, NULL);
	void (*each)(void *context, const char *text) = difference_warn;
	void *context = engine;
	struct zp_err why = {0};

	if (differing == 0)
		return;
	if (sets_counters && counters_set(recounting, &why) < 0) {
		engine__warn(engine, "shard %016llx: counters are not set right: %s",
		    (unsigned long long)engine->options.shard_id, why.text);
		sets_counters = false;
	}
	if (sets_counters) {
		recounting->report->counters_set += differing;
	} else {
		each = difference_tell;
		context = (void *)(uintptr_t)recounting->check; /* which is not written to */
	}
	counts_differ(&recounting->pins, each, context);
	counts_differ(&recounting->tracks, each, context);
}

int
engine__recount(struct zp_engine *engine, struct version *version, bool sets_counters,
    const struct zp_check *check, struct zp_verify_report *report, struct zp_err *err)
{
	const struct manifest *manifest = &version->manifest;
	struct recounting recounting = {.engine = engine,
	    .version = version,
	    .check = check,
	    .report = report,
	    .pins = {.name = "pins of namespace and type",
		.said = manifest->counters,
		.said_count = manifest->counter_count},
	    .tracks = {.name = "statuses of peer and status",
		.said = manifest->tracks,
		.said_count = manifest->track_count}};
	int rc = pins_recount(&recounting, err);

	if (rc == ZP_OK)
		rc = tracks_recount(&recounting, err);
	if (rc == ZP_OK)
		difference_settle(&recounting, sets_counters);
	zp_free(recounting.pins.found);
	zp_free(recounting.tracks.found);
	return rc;
}
