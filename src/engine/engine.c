/*
 * engine.c - opening a shard's store, its present view, and what the owner does to it.
 *
 * Flow:   shard → here → memtable; files come and go through flush.c and merge.c.
 * Owner:  see engine.h for which thread may call what.
 */
#include "engine/engine_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
engine__warn(struct zp_engine *engine, const char *format, ...)
{
	char text[ZP_ERR_TEXT_BYTES];
	va_list args;

	if (engine->options.warn == NULL)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	engine->options.warn(engine->options.warn_context, text);
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* The names in the store that opening cares about. */
struct listing {
	uint64_t *numbers; /* of manifests */
	size_t number_count;
	char (*unfinished)[ZP_FILE_NAME_MAX];
	size_t unfinished_count;
};

static int
listing_add(void *context, const char *name, struct zp_err *err)
{
	struct listing *listing = context;
	size_t length = strlen(name);
	uint64_t number;

	(void)err;
	if (manifest__name_parse(name, &number)) {
		listing->numbers = zp_realloc(
		    listing->numbers, (listing->number_count + 1) * sizeof(listing->numbers[0]));
		listing->numbers[listing->number_count++] = number;
	} else if (length > 4 && length < ZP_FILE_NAME_MAX &&
		   strcmp(name + length - 4, ".tmp") == 0) {
		listing->unfinished = zp_realloc(listing->unfinished,
		    (listing->unfinished_count + 1) * sizeof(listing->unfinished[0]));
		strcpy(listing->unfinished[listing->unfinished_count++], name);
	}
	return ZP_OK;
}

static void
listing_done(struct listing *listing)
{
	zp_free(listing->numbers);
	zp_free(listing->unfinished);
}

int
zp_engine_create(const struct zp_engine_options *options, struct zp_err *err)
{
	ZP_AUTO_BUF(file, MANIFEST_BYTES_MAX);
	struct manifest manifest = {
	    .shard_id = options->shard_id, .incarnation = options->incarnation};
	struct listing listing = {0};
	char name[ZP_FILE_NAME_MAX];
	int rc = zp_store_list(options->store, listing_add, &listing, err);

	if (rc == ZP_OK && listing.number_count > 0)
		rc = zp_fail(err, ZP_E_EXISTS, "there is manifest %llu already",
		    (unsigned long long)listing.numbers[0]);
	listing_done(&listing);
	if (rc < 0)
		return rc;
	memcpy(manifest.cluster_id, options->cluster_id, sizeof(manifest.cluster_id));
	memcpy(manifest.low, options->low, ZP_KEY_BYTES);
	memcpy(manifest.high, options->high, ZP_KEY_BYTES);
	/* Twins, as collecting sees to later: one that is damaged costs nothing. */
	for (manifest.number = 1; rc == ZP_OK && manifest.number <= 2; manifest.number++) {
		zp_buf_clear(&file);
		manifest__name_format(manifest.number, name);
		manifest__encode(&manifest, &file);
		rc = zp_store_write_all(options->store, name, zp_buf_slice(&file), err);
	}
	return rc;
}

static int
number_compare_falling(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a > b ? -1 : a < b;
}

/* Whole, and of this shard as the map has it. */
static int
manifest_fits(const struct zp_engine_options *options, const struct manifest *manifest,
    uint64_t number, struct zp_err *err)
{
	static const uint8_t no_cluster[16];

	if (manifest->number != number || manifest->shard_id != options->shard_id)
		return zp_fail(err, ZP_E_CORRUPT,
		    "manifest %llu is of shard %016llx, not of %016llx: files were moved",
		    (unsigned long long)manifest->number, (unsigned long long)manifest->shard_id,
		    (unsigned long long)options->shard_id);
	if (memcmp(options->cluster_id, no_cluster, 16) != 0 &&
	    memcmp(options->cluster_id, manifest->cluster_id, 16) != 0)
		return zp_fail(err, ZP_E_CORRUPT, "the manifest is of another cluster");
	if (options->incarnation != 0 && manifest->incarnation != options->incarnation)
		return zp_fail(err, ZP_E_CORRUPT,
		    "the manifest has incarnation %u, the map says %u: repeat the restore that "
		    "raised it",
		    manifest->incarnation, options->incarnation);
	if (memcmp(manifest->low, options->low, ZP_KEY_BYTES) != 0 ||
	    memcmp(manifest->high, options->high, ZP_KEY_BYTES) != 0)
		return zp_fail(err, ZP_E_CORRUPT, "the manifest has other bounds than the map");
	return ZP_OK;
}

static int
manifest_read(
    struct zp_engine *engine, uint64_t number, struct manifest *manifest_out, struct zp_err *err)
{
	ZP_AUTO_BUF(file, MANIFEST_BYTES_MAX);
	char name[ZP_FILE_NAME_MAX];
	int rc;

	manifest__name_format(number, name);
	rc = zp_store_read_all(engine->options.store, name, MANIFEST_BYTES_MAX, &file, err);
	if (rc == ZP_E_TOO_LARGE) /* or empty: no manifest either way */
		rc = zp_fail(err, ZP_E_CORRUPT, "its length is impossible");
	if (rc == ZP_OK)
		rc = manifest__decode(zp_buf_slice(&file), manifest_out, err);
	return rc < 0 ? zp_wrap(err, rc, "%s", name) : ZP_OK;
}

/* The newest manifest that is whole; damaged ones, for which some file systems give errors, are
 * told and passed over, anything else that is wrong with one is an error. */
static int
manifest_choose(struct zp_engine *engine, const struct listing *listing,
    struct manifest *manifest_out, struct zp_err *err)
{
	unsigned long long shard_id = engine->options.shard_id;
	struct zp_err why = {0};

	for (size_t i = 0; i < listing->number_count; i++) {
		uint64_t number = listing->numbers[i];
		int rc;

		if (engine->options.manifest_max != 0 && number > engine->options.manifest_max)
			continue;
		rc = manifest_read(engine, number, manifest_out, &why);
		if (rc == ZP_OK) {
			rc = manifest_fits(&engine->options, manifest_out, number, err);
			if (rc < 0)
				manifest__done(manifest_out);
			else if (why.code != ZP_OK)
				engine__warn(engine,
				    "shard %016llx: manifest %llu is whole and used instead; what "
				    "it lacks comes from the journal",
				    shard_id, (unsigned long long)number);
			return rc;
		}
		if (rc != ZP_E_CORRUPT && rc != ZP_E_IO)
			return zp_fail(err, rc, "%s", why.text);
		engine__warn(
		    engine, "shard %016llx: %s; looking for an older one", shard_id, why.text);
	}
	if (why.code != ZP_OK)
		return zp_fail(err, ZP_E_CORRUPT,
		    "no manifest is whole (%s): restore the shard from a snapshot or copy",
		    why.text);
	return zp_fail(err, ZP_E_NOT_FOUND, "no manifest: is the dataset mounted?");
}

static int
engine_load(struct zp_engine *engine, struct zp_err *err)
{
	struct listing listing = {0};
	struct manifest manifest = {0};
	struct version *version;
	int rc = ZP_OK;

	/* What the directory shows may be there in the system's cache only, since a process died
	 * between a rename and its sync. It is believed from here on, and the journal trimmed after
	 * it. */
	if (!engine->options.read_only)
		rc = zp_store_sync_directory(engine->options.store, err);
	if (rc == ZP_OK)
		rc = zp_store_list(engine->options.store, listing_add, &listing, err);
	if (rc == ZP_OK) {
		if (listing.number_count > 1)
			qsort(listing.numbers, listing.number_count, sizeof(listing.numbers[0]),
			    number_compare_falling);
		rc = manifest_choose(engine, &listing, &manifest, err);
	}
	for (size_t i = 0;
	     rc == ZP_OK && !engine->options.read_only && i < listing.unfinished_count; i++)
		rc = zp_store_remove(engine->options.store, listing.unfinished[i], err);
	if (rc == ZP_OK && listing.numbers[0] == UINT64_MAX)
		rc = zp_fail(err, ZP_E_CORRUPT, "there is a manifest of the last number of all");
	if (rc == ZP_OK) {
		engine->number_next = listing.numbers[0] + 1;
		rc = version__open(engine, &manifest, NULL, &version, err);
	}
	listing_done(&listing);
	if (rc < 0) {
		manifest__done(&manifest);
		return rc;
	}
	engine->active = engine__memtable_new(engine);
	engine->view = view__new(engine, version, engine->active, NULL);
	version__release(version);
	return ZP_OK;
}

static void *
copied(const void *from, size_t bytes)
{
	return bytes == 0 ? NULL : memcpy(zp_alloc(bytes), from, bytes);
}

struct manifest_counter *
engine__counters_copy(const struct manifest_counter *counters, size_t *count)
{
	struct manifest_counter *copy = zp_alloc(*count * sizeof(*copy));
	size_t kept = 0;

	for (size_t i = 0; i < *count; i++) {
		if (counters[i].pins > 0)
			copy[kept++] = counters[i];
	}
	*count = kept;
	return copy;
}

/* Counters and lanes as the manifest has them. */
static void
facts_load(struct zp_engine *engine)
{
	const struct manifest *manifest = &engine->view->version->manifest;

	pthread_mutex_lock(&engine->facts_lock);
	zp_free(engine->counters);
	zp_free(engine->tracks);
	zp_free(engine->lanes);
	engine->counter_count = manifest->counter_count;
	engine->counters = engine__counters_copy(manifest->counters, &engine->counter_count);
	engine->track_count = manifest->track_count;
	engine->tracks = engine__counters_copy(manifest->tracks, &engine->track_count);
	engine->lane_count = manifest->lane_count;
	engine->lanes = copied(manifest->lanes, manifest->lane_count * sizeof(manifest->lanes[0]));
	pthread_mutex_unlock(&engine->facts_lock);
}

static struct zp_engine *
engine_new(const struct zp_engine_options *options)
{
	struct zp_engine *engine = zp_alloc_zero(1, sizeof(*engine));

	engine->options = *options;
	engine->tables_generation = UINT64_MAX;
	pthread_mutex_init(&engine->view_lock, NULL);
	pthread_mutex_init(&engine->facts_lock, NULL);
	return engine;
}

int
zp_engine_open(
    const struct zp_engine_options *options, struct zp_engine **engine_out, struct zp_err *err)
{
	struct zp_engine *engine = engine_new(options);
	int rc;

	rc = engine_load(engine, err);
	if (rc < 0) {
		zp_engine_close(engine);
		return rc;
	}
	engine->incarnation = engine->view->version->manifest.incarnation;
	facts_load(engine);
	engine->has_accesses =
	    manifest__has_family(&engine->view->version->manifest, ZP_FAMILY_ACCESS);
	*engine_out = engine;
	return ZP_OK;
}

/* A run of one segment that holds every key and is missing. */
static void
missing_run_add(struct version *version, enum zp_family family)
{
	struct manifest_run run = {.family = family, .segment_count = 1};

	run.segments = zp_alloc_zero(1, sizeof(run.segments[0]));
	memset(run.segments[0].last_key, 0xff, sizeof(run.segments[0].last_key));
	manifest__run_add(&version->manifest, run);
}

/* A shard whose pins and statuses are in such runs: reads treat it like any damage. */
struct zp_engine *
zp_engine_suspended_new(const struct zp_engine_options *options, const char *why)
{
	struct zp_engine *engine = engine_new(options);
	struct version *version = zp_alloc_zero(1, sizeof(*version));

	snprintf(engine->suspended_why, sizeof(engine->suspended_why), "%s", why);
	engine->incarnation = options->incarnation;
	version->holds = 1;
	version->manifest.shard_id = options->shard_id;
	version->manifest.incarnation = options->incarnation;
	missing_run_add(version, ZP_FAMILY_PIN);
	missing_run_add(version, ZP_FAMILY_TRACK);
	version->runs = zp_alloc_zero(version->manifest.run_count, sizeof(version->runs[0]));
	for (size_t i = 0; i < version->manifest.run_count; i++)
		version->runs[i] = zp_alloc_zero(1, sizeof(version->runs[i][0]));
	engine->active = engine__memtable_new(engine);
	engine->view = view__new(engine, version, engine->active, NULL);
	version__release(version);
	return engine;
}

bool
zp_engine_is_suspended(const struct zp_engine *engine)
{
	return engine->suspended_why[0] != '\0';
}

const char *
zp_engine_suspended_why(const struct zp_engine *engine)
{
	return engine->suspended_why;
}

int
engine__suspended_check(const struct zp_engine *engine, struct zp_err *err)
{
	if (!zp_engine_is_suspended(engine))
		return ZP_OK;
	return zp_fail(err, ZP_E_CORRUPT, "shard %016llx is suspended: %s",
	    (unsigned long long)engine->options.shard_id, engine->suspended_why);
}

void
zp_engine_close(struct zp_engine *engine)
{
	if (engine == NULL)
		return;
	zp_view_release(engine->view);
	memtable__release(engine->active);
	zp_free(engine->counters);
	zp_free(engine->tracks);
	zp_free(engine->lanes);
	engine__frozen_facts_free(engine);
	pthread_mutex_destroy(&engine->view_lock);
	pthread_mutex_destroy(&engine->facts_lock);
	zp_free(engine);
}

uint64_t
zp_engine_shard_id(const struct zp_engine *engine)
{
	return engine->options.shard_id;
}

uint32_t
zp_engine_incarnation(const struct zp_engine *engine)
{
	return engine->incarnation;
}

uint8_t
engine__prefix_bits(const struct zp_engine *engine)
{
	uint64_t low = zp_load_u64be(engine->options.low);
	uint64_t last = zp_load_u64be(engine->options.high);
	bool high_is_start = true; /* high begins a prefix: the last key in the shard is below it */

	for (size_t i = 8; i < ZP_KEY_BYTES; i++)
		high_is_start = high_is_start && engine->options.high[i] == 0;
	if (high_is_start)
		last--;
	return low == last ? 64 : (uint8_t)__builtin_clzll(low ^ last);
}

struct memtable *
engine__memtable_new(const struct zp_engine *engine)
{
	/* The next will be as large as the last. */
	return memtable__new(engine->options.hash_seed, zp_load_u64be(engine->options.low),
	    engine__prefix_bits(engine),
	    engine->active == NULL ? 0 : memtable__entries(engine->active));
}

/* ---- Owner ----------------------------------------------------------------------------------- */

/* Pins of a counter, which is below 0 where it is off. (Bytes are what users said, and any number.)
 */
static uint64_t
pins_counted(const struct manifest_counter *counter)
{
	return counter->pins > INT64_MAX ? 0 : counter->pins;
}

static uint64_t
bytes_counted(const struct manifest_counter *counter)
{
	return counter->pins > INT64_MAX ? 0 : counter->size_bytes;
}

/* What goes into a manifest is not below 0, and what is counted on from it neither. */
static void
counters_floor(struct manifest_counter *counters, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		counters[i].size_bytes = bytes_counted(&counters[i]);
		counters[i].pins = pins_counted(&counters[i]);
	}
}

/* Counters and lanes as of now; what has no pins left is not written. */
static void
frozen_facts_take(struct zp_engine *engine)
{
	pthread_mutex_lock(&engine->facts_lock);
	counters_floor(engine->counters, engine->counter_count);
	counters_floor(engine->tracks, engine->track_count);
	engine->frozen_counter_count = engine->counter_count;
	engine->frozen_counters =
	    engine__counters_copy(engine->counters, &engine->frozen_counter_count);
	engine->frozen_track_count = engine->track_count;
	engine->frozen_tracks = engine__counters_copy(engine->tracks, &engine->frozen_track_count);
	engine->frozen_lanes = copied(engine->lanes, engine->lane_count * sizeof(engine->lanes[0]));
	engine->frozen_lane_count = engine->lane_count;
	pthread_mutex_unlock(&engine->facts_lock);
}

void
zp_engine_freeze(struct zp_engine *engine)
{
	struct zp_view *view = zp_engine_view_get(engine);

	/* A second one would push the first out of the view: rows lost. */
	ZP_ASSERT(view->frozen == NULL);
	zp_view_release(view);
	if (memtable__is_empty(engine->active))
		return;
	frozen_facts_take(engine);
	view__change(engine, NULL, true, false);
}

void
engine__frozen_facts_free(struct zp_engine *engine)
{
	zp_free(engine->frozen_counters);
	zp_free(engine->frozen_tracks);
	zp_free(engine->frozen_lanes);
	engine->frozen_counters = NULL;
	engine->frozen_tracks = NULL;
	engine->frozen_lanes = NULL;
	engine->frozen_counter_count = 0;
	engine->frozen_track_count = 0;
	engine->frozen_lane_count = 0;
}

void
engine__memory_drop(struct zp_engine *engine)
{
	view__change(engine, NULL, true, false); /* all there was is frozen, */
	view__change(engine, NULL, false, true); /* and then no more */
	engine__frozen_facts_free(engine);
	facts_load(engine);
	engine->expire_floor = 0; /* entries that memory had replaced count again */
}

/* ---- Facts ----------------------------------------------------------------------------------- */

uint64_t
zp_engine_memory_bytes(const struct zp_engine *engine)
{
	struct zp_view *view = zp_engine_view_get((struct zp_engine *)engine);
	uint64_t bytes = memtable__bytes(view->active);

	if (view->frozen != NULL)
		bytes += memtable__bytes(view->frozen);
	if (memtable__is_full(view->active))
		bytes = ZP_ENGINE_MEMORY_FULL;
	zp_view_release(view);
	return bytes;
}

uint64_t
zp_engine_manifest_number(struct zp_engine *engine)
{
	struct version *version = engine__version_get(engine);
	uint64_t number = version->manifest.number;

	version__release(version);
	return number;
}

uint64_t
zp_engine_manifest_checksum(struct zp_engine *engine)
{
	struct version *version = engine__version_get(engine);
	uint64_t checksum = version->manifest.checksum;

	version__release(version);
	return checksum;
}

uint64_t
zp_engine_lane_get(struct zp_engine *engine, uint64_t node)
{
	struct version *version = engine__version_get(engine);
	uint64_t applied = manifest__lane_applied(&version->manifest, node);

	version__release(version);
	return applied;
}

uint64_t
zp_engine_manifest_pins(struct zp_engine *engine)
{
	struct version *version = engine__version_get(engine);
	uint64_t pins = 0;

	for (size_t i = 0; i < version->manifest.counter_count; i++)
		pins += version->manifest.counters[i].pins;
	version__release(version);
	return pins;
}

/* What the counter of the two says, 0 when there is none. */
static uint64_t
counter_get(struct zp_engine *engine, struct manifest_counter *const *counters, const size_t *count,
    uint32_t first, uint32_t second)
{
	uint64_t pins = 0;

	pthread_mutex_lock(&engine->facts_lock);
	for (size_t i = 0; i < *count; i++) {
		if ((*counters)[i].namespace_id == first && (*counters)[i].type == second)
			pins = pins_counted(&(*counters)[i]);
	}
	pthread_mutex_unlock(&engine->facts_lock);
	return pins;
}

uint64_t
zp_engine_count(struct zp_engine *engine, uint32_t namespace_id, enum zp_pin_type type)
{
	return counter_get(
	    engine, &engine->counters, &engine->counter_count, namespace_id, (uint32_t)type);
}

uint64_t
zp_engine_track_count(struct zp_engine *engine, uint32_t peer, enum zp_track_status status)
{
	return counter_get(engine, &engine->tracks, &engine->track_count, peer, (uint32_t)status);
}

static void
facts_of_version(const struct version *version, struct zp_engine_facts *facts)
{
	facts->manifest_number = version->manifest.number;
	for (size_t i = 0; i < version->manifest.run_count; i++) {
		const struct manifest_run *run = &version->manifest.runs[i];
		struct manifest_sum sum = manifest__run_sum(run);

		facts->runs += run->family == ZP_FAMILY_PIN;
		facts->segments += run->segment_count;
		facts->disk_bytes += sum.bytes;
		if (run->family == ZP_FAMILY_TIME)
			facts->time_bytes += sum.bytes;
		if (run->family == ZP_FAMILY_ACCESS) {
			facts->access_bytes += sum.bytes;
			facts->access_rows += sum.rows;
		}
		for (size_t j = 0; j < run->segment_count; j++) {
			if (version->runs[i][j] == NULL)
				facts->damaged_segments++;
			else
				facts->resident_bytes += segment__memory_bytes(version->runs[i][j]);
		}
	}
}

uint64_t
zp_engine_merged_bytes(struct zp_engine *engine)
{
	uint64_t bytes;

	pthread_mutex_lock(&engine->facts_lock);
	bytes = engine->merged_bytes;
	pthread_mutex_unlock(&engine->facts_lock);
	return bytes;
}

void
zp_engine_facts_get(struct zp_engine *engine, struct zp_engine_facts *facts_out)
{
	struct zp_view *view = zp_engine_view_get(engine);

	*facts_out = (struct zp_engine_facts){.is_suspended = zp_engine_is_suspended(engine)};
	facts_of_version(view->version, facts_out);
	if (facts_out->is_suspended) /* what stands in for its files is none of them */
		facts_out->damaged_segments = 0;
	facts_out->memtable_bytes = memtable__bytes(view->active);
	facts_out->memtable_entries = memtable__entries(view->active);
	if (view->frozen != NULL) {
		facts_out->memtable_bytes += memtable__bytes(view->frozen);
		facts_out->memtable_entries += memtable__entries(view->frozen);
	}
	zp_view_release(view);
	pthread_mutex_lock(&engine->facts_lock);
	for (size_t i = 0; i < engine->counter_count; i++) {
		facts_out->pins[engine->counters[i].type] += pins_counted(&engine->counters[i]);
		facts_out->size_bytes += bytes_counted(&engine->counters[i]);
	}
	facts_out->flushed_bytes = engine->flushed_bytes;
	facts_out->merged_bytes = engine->merged_bytes;
	pthread_mutex_unlock(&engine->facts_lock);
}
