/*
 * member.c - one shard's store and engine: made, opened, or opened as the checkpoint has it.
 *
 * Flow: open.c, create.c and give_up.c → here → engine. Owner: the opening thread.
 */
#include "shard/shard_internal.h"

#include "os/os.h"

#include <stdio.h>

#define PATH_BYTES 4096u

int
shard__directory_open(const struct zp_shards_options *options, const char *name, bool create,
    struct zp_store **store_out, struct zp_err *err)
{
	struct zp_store_directory_options directory = {.create = create,
	    .read_only = options->read_only,
	    .no_sync = options->no_sync,
	    .disk = options->disk,
	    .watch = options->watch};
	char path[PATH_BYTES];
	int length = snprintf(path, sizeof(path), "%s/%s", options->root, name);

	if (length < 0 || length >= (int)sizeof(path))
		return zp_fail(err, ZP_E_INVALID, "the path of the node is too long");
	return zp_store_directory_open(path, &directory, store_out, err);
}

int
shard__store_open(const struct zp_shards_options *options, uint64_t shard_id, bool create,
    struct zp_store **store_out, struct zp_err *err)
{
	char name[32];

	snprintf(name, sizeof(name), "shards/%016llx", (unsigned long long)shard_id);
	return shard__directory_open(options, name, create, store_out, err);
}

/* Incarnation 0 takes any: what differs from the map is judged by shard__member_open, which can say
 * more.
 */
static struct zp_engine_options
engine_options(const struct zp_shards_options *options, const struct zp_shard_map *map,
    uint32_t index, struct zp_store *store)
{
	const struct zp_shard_range *range = &map->ranges[index];
	struct zp_engine_options engine = {
	    .store = store,
	    .texts_cache = options->texts_cache,
	    .block_cache = options->block_cache,
	    .merge_turn = options->merge_turn,
	    .merge_turn_context = options->merge_turn_context,
	    .segment_bytes = options->segment_bytes,
	    .shard_id = range->id,
	    .read_only = options->read_only,
	    .without_filters = options->without_filters,
	    .warn = options->warn,
	    .warn_context = options->warn_context,
	};

	memcpy(engine.cluster_id, map->cluster_id, sizeof(engine.cluster_id));
	memcpy(engine.low, range->low, ZP_KEY_BYTES);
	memcpy(engine.high, range->high, ZP_KEY_BYTES);
	zp_random_bytes(&engine.hash_seed, sizeof(engine.hash_seed));
	return engine;
}

int
shard__member_create(const struct zp_shards_options *options, const struct zp_shard_map *map,
    uint32_t index, struct zp_err *err)
{
	struct zp_engine_options engine;
	struct zp_store *store;
	int rc = shard__store_open(options, map->ranges[index].id, true, &store, err);

	if (rc < 0)
		return rc;
	engine = engine_options(options, map, index, store);
	engine.incarnation = map->ranges[index].incarnation;
	rc = zp_engine_create(&engine, err);
	zp_store_close(store);
	return rc;
}

/*
 * A shard's files with a lower incarnation than the map's are from before a restore, and what the
 * journal has since does not fit them. A higher one is a restore that was cut short between
 * the files and the map: the files have what was restored, and the map follows. Errors leave it to
 * the caller to name the shard.
 */
int
shard__member_open(struct zp_shards *shards, uint32_t index, bool *map_changed, struct zp_err *err)
{
	struct shard__member *member = &shards->members[index];
	struct zp_shard_range *range = &shards->map.ranges[index];
	struct zp_engine_options engine;
	uint32_t incarnation;
	int rc = shard__store_open(&shards->options, range->id, false, &member->store, err);

	if (rc < 0)
		return rc;
	engine = engine_options(&shards->options, &shards->map, index, member->store);
	rc = zp_engine_open(&engine, &member->engine, err);
	if (rc < 0)
		return rc;
	incarnation = zp_engine_incarnation(member->engine);
	if (incarnation < range->incarnation)
		return zp_fail(err, ZP_E_CONFLICT,
		    "its files have incarnation %u, the map says %u: they are older than its last "
		    "restore; restore a snapshot taken since",
		    incarnation, range->incarnation);
	if (incarnation > range->incarnation) {
		shard__warn(shards,
		    "shard %016llx has incarnation %u, the map says %u: its restore was "
		    "interrupted; the map follows",
		    (unsigned long long)range->id, incarnation, range->incarnation);
		range->incarnation = incarnation;
		*map_changed = true;
	}
	return ZP_OK;
}

/* The files must have what the checkpoint says of them, and no more. One of an older zpin does not
 * say how far they are: then they may not be ahead of it. */
static int
member_check_at(struct zp_shards *shards, uint32_t index, const struct zp_checkpoint_shard *entry,
    struct zp_err *err)
{
	struct zp_engine *engine = shards->members[index].engine;
	uint64_t position = zp_engine_lane_get(engine, shards->map.node);

	if (zp_engine_incarnation(engine) == entry->incarnation &&
	    (entry->has_said ? position == entry->applied : position <= entry->covered))
		return ZP_OK;
	return zp_fail(err, ZP_E_CONFLICT,
	    "its files are at batch %llu of incarnation %u, and checkpoint %llu has them at %llu "
	    "of "
	    "%u: files of another time were put in",
	    (unsigned long long)position, zp_engine_incarnation(engine),
	    (unsigned long long)shards->newest.number,
	    (unsigned long long)(entry->has_said ? entry->applied : entry->covered),
	    entry->incarnation);
}

/* By the manifest that the checkpoint names, or one before it with the same in it. A snapshot has
 * only the newest of its moment, which merges since the checkpoint may have made. */
int
shard__member_open_at(struct zp_shards *shards, uint32_t index, struct zp_err *err)
{
	struct shard__member *member = &shards->members[index];
	uint64_t id = shards->map.ranges[index].id;
	const struct zp_checkpoint_shard *entry = zp_checkpoint_find(&shards->newest, id);
	struct zp_engine_options engine;
	int rc;

	if (entry == NULL)
		return zp_fail(err, ZP_E_CONFLICT, "the checkpoint does not name it");
	rc = shard__store_open(&shards->options, id, false, &member->store, err);
	if (rc < 0)
		return rc;
	engine = engine_options(&shards->options, &shards->map, index, member->store);
	engine.manifest_max = entry->manifest_number;
	rc = zp_engine_open(&engine, &member->engine, err);
	if (rc == ZP_E_NOT_FOUND) {
		zp_err_clear(err);
		engine.manifest_max = 0;
		rc = zp_engine_open(&engine, &member->engine, err);
	}
	return rc < 0 ? rc : member_check_at(shards, index, entry, err);
}

void
shard__suspend(struct zp_shards *shards, uint32_t index, const char *why)
{
	struct shard__member *member = &shards->members[index];
	struct zp_engine_options engine =
	    engine_options(&shards->options, &shards->map, index, NULL);

	engine.incarnation = shards->map.ranges[index].incarnation;
	zp_engine_close(member->engine);
	zp_store_close(member->store);
	member->store = NULL;
	member->engine = zp_engine_suspended_new(&engine, why);
	shard__warn(shards,
	    "shard %016llx is suspended: %s; its pins can't be read or changed, the other shards "
	    "serve. Mend it and start again: the journal keeps what it lacks. When there is no "
	    "copy "
	    "of its files anywhere: see `zpin repair --give-up-shard %016llx`",
	    (unsigned long long)engine.shard_id, why, (unsigned long long)engine.shard_id);
}
