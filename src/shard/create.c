/*
 * create.c - making a node's shards.
 *
 * Flow:  zp_node_create → here → engine. Owner: the caller's thread.
 *
 * The checkpoint is what makes a directory a node: it is written last when one is made, and linked
 * last into a snapshot, so that whatever was cut short is not taken for a node.
 */
#include "shard/shard_internal.h"

#include <stdlib.h>

static int
compare_checkpoint_shards(const void *a, const void *b)
{
	uint64_t left = ((const struct zp_checkpoint_shard *)a)->id;
	uint64_t right = ((const struct zp_checkpoint_shard *)b)->id;

	return (left > right) - (left < right);
}

/* Position 0 of empty shards: manifest 1, whose checksum is left unsaid. Two, as there are later.
 */
static int
first_checkpoints_write(const struct zp_shards_options *options, const struct zp_shard_map *map,
    uint64_t epoch, int64_t now_microseconds, struct zp_err *err)
{
	struct zp_checkpoint checkpoint = {
	    .node = map->node,
	    .epoch = epoch,
	    .time_microseconds = now_microseconds,
	    .map_number = map->number,
	    .shards_count = map->count,
	};
	int rc = ZP_OK;

	memcpy(checkpoint.cluster_id, map->cluster_id, 16);
	checkpoint.shards = zp_alloc_zero(map->count, sizeof(*checkpoint.shards));
	for (uint32_t i = 0; i < map->count; i++) {
		checkpoint.shards[i].id = map->ranges[i].id;
		checkpoint.shards[i].incarnation = map->ranges[i].incarnation;
		checkpoint.shards[i].manifest_number = 1;
		checkpoint.shards[i].has_said = true;
	}
	qsort(checkpoint.shards, map->count, sizeof(*checkpoint.shards), compare_checkpoint_shards);
	while (rc == ZP_OK && checkpoint.number < 2) {
		checkpoint.number++;
		rc = shard__checkpoint_write(options->store, &checkpoint, err);
	}
	zp_checkpoint_done(&checkpoint);
	return rc;
}

int
zp_shards_create(const struct zp_shards_options *options, const struct zp_shard_map *map,
    uint64_t epoch, int64_t now_microseconds, struct zp_err *err)
{
	struct zp_store *store;
	uint64_t number;
	size_t count;
	int rc = shard__numbers_list(options->store, "checkpoint", &number, 1, &count, err);

	if (rc == ZP_OK && count > 0)
		rc = zp_fail(err, ZP_E_EXISTS, "%s is a node already", options->root);
	if (rc == ZP_OK)
		rc = shard__directory_open(options, "shards", true, &store, err);
	if (rc == ZP_OK)
		zp_store_close(store);
	for (uint32_t i = 0; rc == ZP_OK && i < map->count; i++)
		rc = shard__member_create(options, map, i, err);
	if (rc == ZP_OK)
		rc = shard__map_write(options->store, map, err);
	if (rc == ZP_OK)
		rc = first_checkpoints_write(options, map, epoch, now_microseconds, err);
	return rc;
}
