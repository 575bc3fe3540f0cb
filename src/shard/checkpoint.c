/*
 * checkpoint.c - all memory of one journal position into files, and what may go afterwards.
 *
 * Flow:   command freezes between two groups on the commit thread, then runs the rest on the
 *         maintenance thread while writes go on.
 * Rule:   nothing is removed and nothing may be trimmed before the checkpoint that makes it
 * unneeded is durable; a failure anywhere leaves both kept checkpoints true.
 */
#include "shard/shard_internal.h"

#include <stdlib.h>

#define OLD_FILES_MAX 64u /* removed at once; what is left goes next time */

void
zp_shards_freeze(struct zp_shards *shards, uint64_t epoch, uint64_t batch)
{
	for (uint32_t i = 0; i < shards->map.count; i++) {
		struct zp_engine *engine = shards->members[i].engine;

		zp_engine_applied_set(engine, shards->map.node, epoch, batch);
		zp_engine_freeze(engine);
	}
	shards->frozen_epoch = epoch;
	shards->frozen_batch = batch;
	shards->frozen_origins = shards->origins;
}

int
zp_shards_flush(struct zp_shards *shards, struct zp_err *err)
{
	for (uint32_t i = 0; i < shards->map.count; i++) {
		int rc = zp_engine_flush(shards->members[i].engine, shards->tables, err);

		if (rc < 0)
			return zp_wrap(err, rc, "flush of shard %016llx",
			    (unsigned long long)shards->map.ranges[i].id);
	}
	return ZP_OK;
}

/* What the checkpoint says, from the engines as they are after the flush. */
static void
checkpoint_make(
    const struct zp_shards *shards, int64_t now_microseconds, struct zp_checkpoint *checkpoint_out)
{
	const struct zp_shard_map *map = &shards->map;
	struct zp_checkpoint checkpoint = {
	    .number = shards->checkpoint_highest + 1,
	    .node = map->node,
	    .epoch = shards->frozen_epoch,
	    .batch = shards->frozen_batch,
	    .time_microseconds = now_microseconds,
	    .map_number = map->number,
	    .shards_count = map->count,
	    .origins_count = shards->frozen_origins.count,
	};

	memcpy(checkpoint.cluster_id, map->cluster_id, 16);
	checkpoint.shards = zp_alloc_zero(map->count, sizeof(*checkpoint.shards));
	for (uint32_t i = 0; i < map->count; i++) {
		uint32_t index = shards->by_id[i];
		struct zp_engine *engine = shards->members[index].engine;

		/* What a suspended shard has is not known: it needs the journal from where it did.
		 */
		if (zp_engine_is_suspended(engine)) {
			const struct zp_checkpoint_shard *known =
			    zp_checkpoint_find(&shards->newest, map->ranges[index].id);

			if (known != NULL)
				checkpoint.shards[i] = *known;
			else
				checkpoint.shards[i].id = map->ranges[index].id;
			continue;
		}
		checkpoint.shards[i] = (struct zp_checkpoint_shard){
		    .id = map->ranges[index].id,
		    .incarnation = map->ranges[index].incarnation,
		    .manifest_number = zp_engine_manifest_number(engine),
		    .manifest_checksum = zp_engine_manifest_checksum(engine),
		    .covered = shards->frozen_batch,
		    .has_said = true,
		    .applied = zp_engine_lane_get(engine, map->node),
		    .pins = zp_engine_manifest_pins(engine),
		};
	}
	checkpoint.origins = zp_alloc_zero(ZP_ORIGINS_MAX, sizeof(*checkpoint.origins));
	memcpy(checkpoint.origins, shards->frozen_origins.entries,
	    checkpoint.origins_count * sizeof(*checkpoint.origins));
	*checkpoint_out = checkpoint;
}

/* Removes "<prefix>-…" files numbered below `keep`. */
static int
old_files_remove(struct zp_shards *shards, const char *prefix, uint64_t keep, struct zp_err *err)
{
	uint64_t numbers[OLD_FILES_MAX];
	size_t count;
	int rc =
	    shard__numbers_list(shards->options.store, prefix, numbers, OLD_FILES_MAX, &count, err);

	for (size_t i = 0; rc == ZP_OK && i < count; i++) {
		char name[SHARD__NAME_BYTES];

		if (numbers[i] >= keep)
			continue;
		shard__name(prefix, numbers[i], name);
		rc = zp_store_remove(shards->options.store, name, err);
	}
	return rc;
}

/* What only an older checkpoint than the two kept ones needed. A failure costs space, not safety.
 */
static void
collect(struct zp_shards *shards)
{
	uint64_t map_keep = zp_min_u64(shards->older.map_number, shards->map.number);
	struct zp_err err = {0};
	int rc = old_files_remove(shards, "checkpoint", shards->older.number, &err);

	if (rc == ZP_OK)
		rc = old_files_remove(shards, "map", map_keep, &err);
	if (rc == ZP_OK)
		rc = old_files_remove(shards, SHARD__MAP_COPY, map_keep, &err);
	/* Where it fails in one shard it may be needed in the next; the first is told. */
	for (uint32_t i = 0; i < shards->older.shards_count; i++) {
		const struct zp_checkpoint_shard *entry = &shards->older.shards[i];
		int64_t index = shard__find_id(shards, entry->id);
		struct zp_err why = {0};
		int shard_rc = index < 0 ? ZP_OK
					 : zp_engine_collect(shards->members[index].engine,
					       entry->manifest_number, &why);

		if (shard_rc < 0 && rc == ZP_OK)
			rc = zp_fail(&err, shard_rc, "%s", why.text);
	}
	if (rc < 0)
		shard__warn(shards, "files that are not needed any more stay: %s", err.text);
}

int
zp_shards_checkpoint(
    struct zp_shards *shards, int64_t now_microseconds, uint64_t *trim_out, struct zp_err *err)
{
	struct zp_checkpoint checkpoint;
	int rc = zp_shards_flush(shards, err);

	if (rc < 0)
		return rc;
	checkpoint_make(shards, now_microseconds, &checkpoint);
	/* Even a write that failed may have made the file: its number is used up. */
	shards->checkpoint_highest = checkpoint.number;
	rc = shard__checkpoint_write(shards->options.store, &checkpoint, err);
	if (rc < 0) {
		zp_checkpoint_done(&checkpoint);
		return zp_wrap(err, rc, "checkpoint %llu", (unsigned long long)checkpoint.number);
	}
	zp_checkpoint_done(&shards->older);
	shards->older = shards->newest;
	shards->newest = checkpoint;
	collect(shards);
	*trim_out = zp_checkpoint_trim(&shards->older);
	return ZP_OK;
}

int
zp_shards_manifest_renew(struct zp_shards *shards, uint32_t index, struct zp_err *err)
{
	bool renewed;
	int rc = zp_engine_manifest_renew(shards->members[index].engine, &renewed, err);

	if (renewed && rc == ZP_OK)
		shard__warn(shards,
		    "shard %016llx: the newest manifest was damaged and is written again",
		    (unsigned long long)shards->map.ranges[index].id);
	return rc;
}

/* The shard's files first: cut short between the two, opening finds the files ahead and takes the
 * map along; the other way round it would refuse files that are as good as restored. */
int
zp_shards_incarnation_raise(
    struct zp_shards *shards, uint32_t index, uint64_t epoch, uint64_t batch, struct zp_err *err)
{
	struct zp_shard_range *range = &shards->map.ranges[index];
	struct zp_lane lane = {.node = shards->map.node, .epoch = epoch, .applied = batch};
	int rc = zp_engine_incarnation_raise(
	    shards->members[index].engine, range->incarnation + 1, &lane, err);

	if (rc < 0)
		return rc;
	range->incarnation++;
	shards->map.number++;
	return shard__map_write(shards->options.store, &shards->map, err);
}
