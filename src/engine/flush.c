/*
 * flush.c - the frozen memtable becomes one run per family.
 *
 * Flow:   checkpoint → zp_engine_flush → segment writer → manifest. Owner: the maintenance thread.
 * Rule:   rows in = rows out (+ tombstones that have nothing to hide), asserted.
 */
#include "engine/accesses.h"
#include "engine/engine_internal.h"
#include "engine/segment_internal.h"

#define RUNS_OF_FLUSH 5u /* one a family */

static uint64_t
age_next(const struct manifest *manifest)
{
	uint64_t age = 0;

	for (size_t i = 0; i < manifest->run_count; i++)
		age = zp_max_u64(age, manifest->runs[i].age);
	return age + 1;
}

static struct segment_plan
flush_plan(
    const struct zp_engine *engine, enum zp_family family, uint64_t rows, bool drops_tombstones)
{
	return (struct segment_plan){
	    .id = merge__segment_id(engine, family, SEGMENT_BY_FLUSH, drops_tombstones, 0,
		engine->frozen_lanes, engine->frozen_lane_count, NULL, 0),
	    .shard_id = engine->options.shard_id,
	    .family = family,
	    .prefix_bits = engine__prefix_bits(engine),
	    .rows_expected = rows,
	    .filter_bits = segment__filter_bits(family, rows),
	    /* A merge will soon compress them again, and better. */
	    .zstd_level = 1,
	};
}

/* What one family of a memtable has, in order, whatever it is kept as. */
struct source {
	enum zp_family family;
	struct memtable *memtable; /* borrowed */
	struct memtable_rows *pins;
	struct memtable_entries *entries; /* of time or expire */
	struct segment_entry *rows;       /* of track or access; owned */
	uint64_t count;
	uint64_t next; /* of entries and rows */
};

static void
source_open(struct source *source, struct memtable *memtable, enum zp_family family)
{
	*source = (struct source){.family = family, .memtable = memtable};
	switch (family) {
	case ZP_FAMILY_PIN:
		source->pins = memtable__rows_open(memtable, NULL);
		source->count = memtable__keys(memtable);
		break;
	case ZP_FAMILY_TRACK:
		source->count = memtable__tracks_sorted(memtable, NULL, false, &source->rows);
		break;
	case ZP_FAMILY_ACCESS:
		source->count = memtable__accesses_sorted(memtable, NULL, &source->rows);
		break;
	default:
		source->entries = memtable__entries_open(memtable, family, UINT64_MAX);
		source->count = memtable__entries_count(source->entries);
	}
}

static void
source_close(struct source *source)
{
	memtable__rows_close(source->pins);
	memtable__entries_close(source->entries);
	zp_free(source->rows);
}

/* Of entries and tracks. */
static void
source_at(const struct source *source, uint64_t index, struct segment_cells *cells_out,
    struct zp_slice *texts_out)
{
	struct segment_entry entry;

	if (source->rows != NULL)
		entry = source->rows[index];
	else
		memtable__entries_at(source->entries, index, &entry);
	segment__entry_cells(source->family, &entry, cells_out);
	*texts_out = entry.value == NULL ? (struct zp_slice){0} : entry.value->texts;
}

static bool
source_next(struct source *source, struct segment_cells *cells_out, struct zp_slice *texts_out)
{
	if (source->family == ZP_FAMILY_PIN)
		return memtable__rows_next_cells(source->pins, cells_out, texts_out) == ZP_OK;
	if (source->next == source->count)
		return false;
	source_at(source, source->next++, cells_out, texts_out);
	return true;
}

static void
source_sample(const struct source *source, struct segment_writer *writer)
{
	if (source->family == ZP_FAMILY_PIN) {
		memtable__rows_sample(source->memtable, SAMPLE_ROWS, writer);
		return;
	}
	for (uint64_t i = 0; i < source->count; i += source->count / SAMPLE_ROWS + 1) {
		struct segment_cells cells;
		struct zp_slice texts;

		source_at(source, i, &cells, &texts);
		segment__writer_sample(writer, &cells, texts);
	}
}

/* Rows in = rows written + dropped. */
static int
rows_write(struct source *source, struct segment_writer *writer, bool drop, uint64_t *written_out,
    struct zp_err *err)
{
	size_t operation = segment__operation_column(source->family);
	struct segment_cells cells;
	struct zp_slice texts;
	uint64_t written = 0, dropped = 0;
	int rc = ZP_OK;

	source_sample(source, writer);
	while (rc == ZP_OK && source_next(source, &cells, &texts)) {
		if (drop && (cells.columns[operation] & ZP_ROW_TOMBSTONE) != 0) {
			dropped++;
			continue;
		}
		if (drop && source->family == ZP_FAMILY_ACCESS)
			accesses__cells_oldest(&cells);
		rc = segment__writer_add(writer, &cells, texts, err);
		written++;
	}
	ZP_ASSERT(rc < 0 || written + dropped == source->count);
	*written_out = written;
	return rc;
}

/* Writes the family's rows as one run, unless there are none. */
static int
family_write(struct zp_engine *engine, struct memtable *memtable, enum zp_family family,
    struct manifest *manifest, uint64_t age, uint64_t *bytes, struct zp_err *err)
{
	bool drop = !manifest__has_family(manifest, family);
	struct segment_writer *writer;
	struct segment_plan plan;
	struct segment_info info;
	struct source source;
	uint64_t written = 0;
	int rc = ZP_OK;

	source_open(&source, memtable, family);
	if (source.count == 0)
		goto done;
	plan = flush_plan(engine, family, source.count, drop);
	rc = segment__writer_open(engine->options.store, &plan, &writer, err);
	if (rc < 0)
		goto done;
	rc = rows_write(&source, writer, drop, &written, err);
	if (rc < 0 || written == 0) {
		segment__writer_discard(writer);
		goto done;
	}
	rc = segment__writer_finish(writer, &info, err);
	if (rc < 0)
		goto done;
	ZP_ASSERT(info.rows == written);
	manifest__segments_add(manifest, family, 0, age, &info, 1);
	*bytes += info.bytes;
done:
	source_close(&source);
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
	static const enum zp_family families[RUNS_OF_FLUSH] = {
	    ZP_FAMILY_PIN, ZP_FAMILY_TRACK, ZP_FAMILY_TIME, ZP_FAMILY_EXPIRE, ZP_FAMILY_ACCESS};
	uint64_t age = age_next(manifest);
	int rc = ZP_OK;

	for (size_t i = 0; i < RUNS_OF_FLUSH && rc == ZP_OK; i++)
		rc = family_write(engine, frozen, families[i], manifest, age, bytes, err);
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
	if (rc == ZP_OK &&
	    (has_frozen || manifest.tables.low != view->version->manifest.tables.low ||
		manifest.has_tables != view->version->manifest.has_tables))
		rc = engine__publish(engine, &manifest, has_frozen, err);
	else
		manifest__done(&manifest);
	zp_view_release(view);
	if (rc < 0)
		return zp_wrap(
		    err, rc, "flush shard %016llx", (unsigned long long)engine->options.shard_id);
	engine->tables_generation = generation;
	if (has_frozen) {
		pthread_mutex_lock(&engine->facts_lock);
		engine->flushed_bytes += bytes;
		pthread_mutex_unlock(&engine->facts_lock);
		engine__frozen_facts_free(engine);
	}
	return ZP_OK;
}
