/*
 * flush.c - the frozen memtable becomes one run per family.
 *
 * Flow:   checkpoint → zp_engine_flush → segment writer → manifest. Owner: the maintenance thread.
 * Rule:   rows in = rows out (+ tombstones that have nothing to hide), asserted.
 */
#include "engine/engine_internal.h"


#define RUNS_OF_FLUSH 4u /* one a family */

static bool
family_is_empty(const struct manifest *manifest, enum zp_family family)
{
	for (size_t i = 0; i < manifest->run_count; i++) {
		if (manifest->runs[i].family == family)
			return false;
	}
	return true;
}

static uint64_t
age_next(const struct manifest *manifest)
{
	uint64_t age = 0;

	for (size_t i = 0; i < manifest->run_count; i++)
		age = zp_max_u64(age, manifest->runs[i].age);
	return age + 1;
}

static void
run_add(struct manifest *manifest, enum zp_family family, uint64_t age,
    const struct segment_info *info)
{
	struct manifest_run run = {.family = family, .level = 0, .age = age, .segment_count = 1};

	run.segments = zp_alloc(sizeof(*info));
	run.segments[0] = *info;
	manifest__run_add(manifest, run);
}

static struct segment_plan
flush_plan(const struct zp_engine *engine, enum zp_family family, uint64_t rows,
    bool drops_tombstones)
{
	return (struct segment_plan){
	    .id = merge__segment_id(engine, family, SEGMENT_BY_FLUSH, drops_tombstones,
		engine->frozen_lanes, engine->frozen_lane_count, NULL, 0),
	    .shard_id = engine->options.shard_id,
	    .family = family,
	    .prefix_bits = engine__prefix_bits(engine),
	    .rows_expected = rows,
	    .with_filter = segment__has_filter(family),
	    /* A merge will soon compress them again, and better. */
	    .zstd_level = 1,
	};
}

/* Shows every n-th row to the writer. */
static void
rows_sample(const struct memtable_rows *rows, struct segment_writer *writer)
{
	size_t count = memtable__rows_count(rows);
	struct segment_row row;

	for (size_t i = 0; i < count; i += count / SAMPLE_ROWS + 1) {
		memtable__rows_at(rows, i, &row);
		segment__writer_sample_row(writer, &row);
	}
}

static int
pins_write(struct zp_engine *engine, struct memtable *memtable, struct manifest *manifest,
    uint64_t age, uint64_t *bytes, struct zp_err *err)
{
	struct memtable_rows *rows = memtable__rows_open(memtable, NULL);
	bool drop = family_is_empty(manifest, ZP_FAMILY_PIN);
	struct segment_plan plan =
	    flush_plan(engine, ZP_FAMILY_PIN, memtable__rows_count(rows), drop);
	struct segment_writer *writer;
	struct segment_info info;
	struct segment_row row;
	uint64_t written = 0, dropped = 0;
	int rc = segment__writer_open(engine->options.store, &plan, &writer, err);

	if (rc < 0)
		goto done;
	rows_sample(rows, writer);
	while (rc == ZP_OK && memtable__rows_next(rows, &row) == ZP_OK) {
		if (drop && row.operation == ZP_ROW_TOMBSTONE) {
			dropped++;
			continue;
		}
		rc = segment__writer_add_row(writer, &row, err);
		written++;
	}
	if (rc < 0 || written == 0) {
		segment__writer_discard(writer);
		goto done;
	}
	ZP_ASSERT(written + dropped == memtable__rows_count(rows));
	rc = segment__writer_finish(writer, &info, err);
	if (rc < 0)
		goto done;
	ZP_ASSERT(info.rows == written);
	run_add(manifest, ZP_FAMILY_PIN, age, &info);
	*bytes += info.bytes;
done:
	memtable__rows_close(rows);
	return rc;
}

static int
entries_write(struct zp_engine *engine, struct memtable *memtable, enum zp_family family,
    struct manifest *manifest, uint64_t age, uint64_t *bytes, struct zp_err *err)
{
	struct segment_entry *entries;
	size_t count = family == ZP_FAMILY_TRACK
			   ? memtable__tracks_sorted(memtable, NULL, false, &entries)
			   : memtable__entries_sorted(memtable, family, UINT64_MAX, &entries);
	bool drop = family_is_empty(manifest, family);
	struct segment_plan plan = flush_plan(engine, family, count, drop);
	struct segment_writer *writer;
	struct segment_info info;
	uint64_t written = 0;
	int rc = ZP_OK;

	if (count == 0)
		goto done;
	rc = segment__writer_open(engine->options.store, &plan, &writer, err);
	if (rc < 0)
		goto done;
	for (size_t i = 0; i < count; i += count / SAMPLE_ROWS + 1)
		segment__writer_sample_entry(writer, &entries[i]);
	for (size_t i = 0; i < count && rc == ZP_OK; i++) {
		if (drop && entries[i].operation == ZP_ROW_TOMBSTONE)
			continue;
		rc = segment__writer_add_entry(writer, &entries[i], err);
		written++;
	}
	if (rc < 0 || written == 0) {
		segment__writer_discard(writer);
		goto done;
	}
	rc = segment__writer_finish(writer, &info, err);
	if (rc < 0)
		goto done;
	ZP_ASSERT(info.rows == written);
	run_add(manifest, family, age, &info);
	*bytes += info.bytes;
done:
	zp_free(entries);
	return rc;
}

/* Writes the tables under their content's name unless the manifest has them. */
static int
tables_write(struct zp_engine *engine, const struct zp_tables *tables, struct manifest *manifest,
    struct zp_err *err)
{
	ZP_AUTO_BUF(file, TABLES_BYTES_MAX);
	struct segment_name content;
	struct zp_hash128 hash;
	char name[ZP_FILE_NAME_MAX];
	int rc;

	zp_tables_encode(tables, &file);
	rc = zp_buf_check(&file, "the tables of peers and allocation lists", err);
	if (rc < 0)
		return rc;
	hash = zp_hash128_of(file.data, file.length);
	if (manifest->has_tables && manifest->tables.low == hash.low &&
	    manifest->tables.high == hash.high)
		return ZP_OK;
	content = (struct segment_name){.low = hash.low, .high = hash.high};
	manifest__tables_name_format(&content, name);
	rc = zp_store_write_all(engine->options.store, name, zp_buf_slice(&file), err);
	if (rc < 0)
		return rc;
	manifest->has_tables = true;
	manifest->tables = content;
	manifest->tables_bytes = file.length;
	return ZP_OK;
}

/* The frozen rows, counters and lanes go into `manifest`. */
static int
frozen_write(struct zp_engine *engine, struct memtable *frozen, struct manifest *manifest,
    uint64_t *bytes, struct zp_err *err)
{
	uint64_t age = age_next(manifest);
	int rc = pins_write(engine, frozen, manifest, age, bytes, err);

	if (rc == ZP_OK)
		rc = entries_write(engine, frozen, ZP_FAMILY_TRACK, manifest, age, bytes, err);
	if (rc == ZP_OK)
		rc = entries_write(engine, frozen, ZP_FAMILY_TIME, manifest, age, bytes, err);
	if (rc == ZP_OK)
		rc = entries_write(engine, frozen, ZP_FAMILY_EXPIRE, manifest, age, bytes, err);
	if (rc < 0)
		return rc;
	/* Copied: the frozen ones stay for another try if publishing fails. */
	zp_free(manifest->counters);
	zp_free(manifest->tracks);
	manifest->counter_count = engine->frozen_counter_count;
	manifest->counters =
	    engine__counters_copy(engine->frozen_counters, &manifest->counter_count);
	manifest->track_count = engine->frozen_track_count;
	manifest->tracks = engine__counters_copy(engine->frozen_tracks, &manifest->track_count);
	for (size_t i = 0; i < engine->frozen_lane_count; i++)
		manifest__lane_set(manifest, &engine->frozen_lanes[i]);
	return ZP_OK;
}

int
zp_engine_flush(struct zp_engine *engine, const struct zp_tables *tables, struct zp_err *err)
{
	struct zp_view *view = zp_engine_view_get(engine);
	/* Read before encoding: what is added meanwhile is written next time. */
	uint64_t generation = zp_tables_generation(tables);
	bool has_frozen = view->frozen != NULL;
	struct manifest manifest;
	uint64_t bytes = 0;
	int rc = ZP_OK;

	if (zp_engine_is_suspended(engine) ||
	    (!has_frozen && generation == engine->tables_generation)) {
		zp_view_release(view);
		return ZP_OK;
	}
	manifest__next(&view->version->manifest, &manifest);
	if (has_frozen && manifest.run_count + RUNS_OF_FLUSH > MANIFEST_RUNS_MAX)
		rc = zp_fail(err, ZP_E_FULL, "there are %zu runs: merges have failed for long",
		    manifest.run_count);
	if (rc == ZP_OK && has_frozen)
		rc = frozen_write(engine, view->frozen, &manifest, &bytes, err);
	if (rc == ZP_OK && generation != engine->tables_generation)
		rc = tables_write(engine, tables, &manifest, err);
	if (rc == ZP_OK && (has_frozen || manifest.tables.low != view->version->manifest.tables.low ||
			       manifest.has_tables != view->version->manifest.has_tables))
		rc = engine__publish(engine, &manifest, has_frozen, err);
	else
		manifest__done(&manifest);
	zp_view_release(view);
	if (rc < 0)
		return zp_wrap(err, rc, "flush shard %016llx",
		    (unsigned long long)engine->options.shard_id);
	engine->tables_generation = generation;
	if (has_frozen) {
		pthread_mutex_lock(&engine->facts_lock);
		engine->flushed_bytes += bytes;
		pthread_mutex_unlock(&engine->facts_lock);
		engine__frozen_facts_free(engine);
	}
	return ZP_OK;
}
