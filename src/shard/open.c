/*
 * open.c - making a node's shards and opening them: map, checkpoints, stores, engines, tables.
 *
 * Flow:  zp_node_create, zp_node_open → here → engine. Owner: the opening thread.
 *
 * The checkpoint is what makes a directory a node: it is written last when one is made, and linked
 * last into a snapshot, so that whatever was cut short is not taken for a node.
 */
#include "shard/shard_internal.h"

#include "os/os.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECKPOINTS_LOOKED_AT 16u
#define PATH_BYTES 4096u

void
shard__warn(const struct zp_shards *shards, const char *format, ...)
{
	char text[ZP_ERR_TEXT_BYTES];
	va_list args;

	if (shards->options.warn == NULL)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	shards->options.warn(shards->options.warn_context, text);
}

int64_t
shard__find_id(const struct zp_shards *shards, uint64_t shard_id)
{
	uint32_t from = 0, to = shards->map.count;

	while (from < to) {
		uint32_t middle = from + (to - from) / 2;
		uint64_t id = shards->map.ranges[shards->by_id[middle]].id;

		if (id == shard_id)
			return shards->by_id[middle];
		if (id < shard_id)
			from = middle + 1;
		else
			to = middle;
	}
	return -1;
}

/* ---- One shard ------------------------------------------------------------------------------ */

int
shard__store_open(const struct zp_shards_options *options, uint64_t shard_id, bool create,
    struct zp_store **store_out, struct zp_err *err)
{
	struct zp_store_directory_options directory = {.create = create,
	    .read_only = options->read_only,
	    .no_sync = options->no_sync,
	    .disk = options->disk,
	    .watch = options->watch};
	char path[PATH_BYTES];
	int length = snprintf(
	    path, sizeof(path), "%s/shards/%016llx", options->root, (unsigned long long)shard_id);

	if (length < 0 || length >= (int)sizeof(path))
		return zp_fail(err, ZP_E_INVALID, "the path of the node is too long");
	return zp_store_directory_open(path, &directory, store_out, err);
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

/* ---- Creating ------------------------------------------------------------------------------- */

static int
directory_make(const struct zp_shards_options *options, const char *name, struct zp_err *err)
{
	struct zp_store_directory_options directory = {
	    .create = true, .no_sync = options->no_sync, .disk = options->disk};
	struct zp_store *store;
	char path[PATH_BYTES];
	int length = snprintf(path, sizeof(path), "%s/%s", options->root, name);
	int rc;

	if (length < 0 || length >= (int)sizeof(path))
		return zp_fail(err, ZP_E_INVALID, "the path of the node is too long");
	rc = zp_store_directory_open(path, &directory, &store, err);
	if (rc == ZP_OK)
		zp_store_close(store);
	return rc;
}

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
	uint64_t number;
	size_t count;
	int rc = shard__numbers_list(options->store, "checkpoint", &number, 1, &count, err);

	if (rc == ZP_OK && count > 0)
		rc = zp_fail(err, ZP_E_EXISTS, "%s is a node already", options->root);
	if (rc == ZP_OK)
		rc = directory_make(options, "shards", err);
	for (uint32_t i = 0; rc == ZP_OK && i < map->count; i++)
		rc = shard__member_create(options, map, i, err);
	if (rc == ZP_OK)
		rc = shard__map_write(options->store, map, err);
	if (rc == ZP_OK)
		rc = first_checkpoints_write(options, map, epoch, now_microseconds, err);
	return rc;
}

/* ---- Opening: map and checkpoints ----------------------------------------------------------- */

/* What the bytes of a file may be damaged like: many file systems answer with an error. */
static bool
is_file_damage(int rc)
{
	return rc == ZP_E_CORRUPT || rc == ZP_E_IO;
}

static int
map_file_read(const struct zp_shards *shards, const char *prefix, uint64_t number,
    struct zp_shard_map *map_out, struct zp_err *err)
{
	ZP_AUTO_BUF(file, SHARD__MAP_BYTES_MAX);
	char name[SHARD__NAME_BYTES];
	int rc;

	shard__name(prefix, number, name);
	rc = zp_store_read_all(shards->options.store, name, SHARD__MAP_BYTES_MAX, &file, err);
	/* Empty, or longer than any: as damaged as a wrong checksum. */
	if (rc == ZP_E_TOO_LARGE)
		rc = ZP_E_CORRUPT;
	if (rc == ZP_OK)
		rc = zp_shard_map_decode(zp_buf_slice(&file), map_out, err);
	if (rc == ZP_OK && map_out->number != number) {
		rc = zp_fail(
		    err, ZP_E_CORRUPT, "it holds map %llu", (unsigned long long)map_out->number);
		zp_shard_map_done(map_out);
	}
	return rc < 0 ? zp_wrap(err, rc, "%s", name) : ZP_OK;
}

/* There are two again, so that the next damage costs nothing either. That there are not yet is no
 * reason not to start. */
static void
map_twin_renew(struct zp_shards *shards, const char *prefix)
{
	struct zp_shard_map map = {0};
	struct zp_err why = {0};
	int rc = map_file_read(shards, prefix, shards->map.number, &map, &why);

	zp_shard_map_done(&map);
	if (rc == ZP_OK || shards->options.read_only)
		return;
	zp_err_clear(&why);
	if (shard__map_write(shards->options.store, &shards->map, &why) < 0)
		shard__warn(shards, "there is one whole copy of the map only: %s", why.text);
}

/* The highest, from its file or from the copy. */
static int
map_read(struct zp_shards *shards, struct zp_err *err)
{
	struct zp_store *store = shards->options.store;
	struct zp_err why = {0};
	uint64_t number = 0, copy = 0;
	size_t count, copies;
	int rc = shard__numbers_list(store, "map", &number, 1, &count, err);

	if (rc == ZP_OK)
		rc = shard__numbers_list(store, SHARD__MAP_COPY, &copy, 1, &copies, err);
	if (rc < 0)
		return rc;
	if (count + copies == 0)
		return zp_fail(err, ZP_E_NOT_FOUND,
		    "journal/map-* and journal/copy-of-map-* are gone: restore one of them from a "
		    "snapshot or copy; only a node that never started may be removed and made "
		    "again");
	number = zp_max_u64(number, copy);
	rc = map_file_read(shards, "map", number, &shards->map, &why);
	if (is_file_damage(rc) || rc == ZP_E_NOT_FOUND) {
		rc = map_file_read(shards, SHARD__MAP_COPY, number, &shards->map, err);
		if (rc == ZP_OK) {
			shard__warn(shards, "%s; its copy is used", why.text);
			map_twin_renew(shards, "map");
		}
		return rc < 0 ? zp_wrap(err, rc,
				    "neither map-%016llx nor its copy is whole, restore them from "
				    "a snapshot",
				    (unsigned long long)number)
			      : ZP_OK;
	}
	if (rc < 0)
		return zp_fail(err, rc, "%s", why.text);
	map_twin_renew(shards, SHARD__MAP_COPY);
	return ZP_OK;
}

/* Of this node, as the map says it. */
static int
checkpoint_read(struct zp_shards *shards, uint64_t number, struct zp_checkpoint *checkpoint_out,
    struct zp_err *err)
{
	int rc = zp_checkpoint_read(shards->options.store, number, checkpoint_out, err);

	if (rc < 0)
		return rc;
	if (memcmp(checkpoint_out->cluster_id, shards->map.cluster_id, 16) == 0 &&
	    checkpoint_out->node == shards->map.node)
		return ZP_OK;
	zp_checkpoint_done(checkpoint_out);
	return shard__mixed_up(number, number, err);
}

/* The two newest that are whole. Only damage is passed over: what is not known might be the truth.
 */
static int
checkpoints_read(struct zp_shards *shards, struct zp_err *err)
{
	uint64_t numbers[CHECKPOINTS_LOOKED_AT];
	struct zp_err why = {0};
	size_t count;
	int rc = shard__numbers_list(
	    shards->options.store, "checkpoint", numbers, CHECKPOINTS_LOOKED_AT, &count, err);

	if (rc < 0)
		return rc;
	if (shards->options.checkpoint_number != 0)
		return checkpoint_read(
		    shards, shards->options.checkpoint_number, &shards->newest, err);
	if (count == 0)
		return zp_fail(err, ZP_E_NOT_FOUND,
		    "there is no checkpoint: restore journal/checkpoint-* from a snapshot or copy; "
		    "only a node that never started may be removed and made again");
	shards->checkpoint_highest = numbers[0];
	for (size_t i = 0; i < count && shards->older.number == 0; i++) {
		struct zp_checkpoint checkpoint;

		rc = checkpoint_read(shards, numbers[i], &checkpoint, &why);
		if (is_file_damage(rc)) {
			shard__warn(shards, "%s; using an older checkpoint", why.text);
			continue;
		}
		if (rc < 0)
			return zp_fail(err, rc, "%s", why.text);
		if (shards->newest.number == 0)
			shards->newest = checkpoint;
		else
			shards->older = checkpoint;
	}
	if (shards->newest.number == 0)
		return zp_fail(err, ZP_E_CORRUPT,
		    "no checkpoint is whole (%s): restore the node from a snapshot", why.text);
	shards->origins.count = shards->newest.origins_count;
	memcpy(shards->origins.entries, shards->newest.origins,
	    shards->newest.origins_count * sizeof(*shards->newest.origins));
	return ZP_OK;
}

/* ---- Opening: tables ------------------------------------------------------------------------ */

/* Adds the peers and lists of one copy to another: nothing where they agree. Moves are left alone,
 * since a later one replaces an earlier. */
static int
tables_add(struct zp_tables *tables, const struct zp_tables *from, struct zp_err *err)
{
	ZP_AUTO_BUF(file, 256u << 20);
	struct zp_envelope_reader reader;
	uint32_t peers[ZP_ALLOCATIONS_COUNT_MAX];
	struct zp_slice field;
	uint16_t tag;
	int rc;

	zp_tables_encode(from, &file);
	rc = zp_envelope_open(zp_buf_slice(&file), "ZPINtabl", "tables", &reader, err);
	while (rc == ZP_OK && (rc = zp_envelope_next(&reader, &tag, &field, err)) == ZP_OK) {
		uint32_t id = zp_load_u32le(field.data);
		struct zp_slice rest = {field.data + 4, field.length - 4};

		if (tag == 1) {
			rc = zp_tables_peer_add(tables, id, rest, err);
		} else if (tag == 2 && zp_tables_list_is_lost(from, id)) {
			/* Its peer may be another's by now. */
			if (id == zp_tables_list_next(tables))
				rc = zp_tables_list_lose(tables, err);
		} else if (tag == 2) {
			ZP_ASSERT(rest.length <= sizeof(peers));
			memcpy(peers, rest.data, rest.length);
			rc = zp_tables_list_add(tables, id, peers, rest.length / 4, err);
		}
	}
	return rc == ZP_END ? ZP_OK : rc;
}

/*
 * Each shard's files carry a copy of the node's tables as of their last checkpoint: the one with
 * most in it is the newest, and every other must say the same as far as it goes. What is newer
 * still is in the journal.
 */
static int
tables_read(struct zp_shards *shards, struct zp_err *err)
{
	struct zp_tables *best = zp_tables_new();
	uint32_t found = 0, lost = 0;
	int rc = ZP_OK;

	for (uint32_t i = 0; rc == ZP_OK && i < shards->map.count; i++) {
		struct zp_tables *tables, *other;

		rc = zp_engine_tables_read(shards->members[i].engine, &tables, err);
		if (rc == ZP_E_NOT_FOUND) {
			rc = ZP_OK;
			continue;
		}
		if (rc < 0) {
			/* The others have a copy; this shard gets one with the next checkpoint. */
			shard__warn(shards, "shard %016llx: %s; taking another shard's copy",
			    (unsigned long long)shards->map.ranges[i].id,
			    err == NULL ? "its tables are damaged" : err->text);
			rc = is_file_damage(rc) ? ZP_OK : rc;
			lost++;
			continue;
		}
		found++;
		other = best;
		if (zp_tables_generation(tables) > zp_tables_generation(best)) {
			other = best;
			best = tables;
		} else {
			other = tables;
		}
		rc = tables_add(best, other, err);
		zp_tables_free(other);
		if (rc < 0)
			rc = zp_wrap(err, rc,
			    "shard %016llx disagrees with another on peers or lists",
			    (unsigned long long)shards->map.ranges[i].id);
	}
	/* Without them the next peer would get the id of one that pins name already. */
	if (rc == ZP_OK && lost > 0 && found == 0)
		rc = zp_fail(err, ZP_E_CORRUPT,
		    "no shard has whole tables of peers and allocation lists: restore one of the "
		    "files that the log names from a snapshot or copy");
	if (rc < 0) {
		zp_tables_free(best);
		return rc;
	}
	zp_err_clear(err);
	shards->tables = best;
	return ZP_OK;
}

/* ---- Opening -------------------------------------------------------------------------------- */

struct id_order {
	uint64_t id;
	uint32_t index;
};

static int
compare_id_order(const void *a, const void *b)
{
	uint64_t left = ((const struct id_order *)a)->id;
	uint64_t right = ((const struct id_order *)b)->id;

	return (left > right) - (left < right);
}

static void
by_id_make(struct zp_shards *shards)
{
	struct id_order *order = zp_alloc(shards->map.count * sizeof(*order));

	for (uint32_t i = 0; i < shards->map.count; i++)
		order[i] = (struct id_order){.id = shards->map.ranges[i].id, .index = i};
	qsort(order, shards->map.count, sizeof(*order), compare_id_order);
	shards->by_id = zp_alloc(shards->map.count * sizeof(*shards->by_id));
	for (uint32_t i = 0; i < shards->map.count; i++)
		shards->by_id[i] = order[i].index;
	zp_free(order);
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

/* What is wrong with this shard's files alone. Anything else is the node's, and no shard is served.
 */
static bool
is_damage(int rc)
{
	return rc == ZP_E_CORRUPT || rc == ZP_E_NOT_FOUND || rc == ZP_E_IO || rc == ZP_E_CONFLICT;
}

/* When not one shard can be opened it is not the shards: the likely reason is a file system that is
 * not mounted. */
static int
none_opened(const struct zp_shards *shards, const struct zp_err *first, struct zp_err *err)
{
	unsigned long long id = shards->map.ranges[0].id;

	if (first->code == ZP_E_NOT_FOUND)
		return zp_fail(err, ZP_E_NOT_FOUND,
		    "no shard is there: is the file system mounted? (first of %u: shard %016llx: "
		    "%s)",
		    shards->map.count, id, first->text);
	return zp_fail(err, first->code,
	    "no shard can be opened: restore the node from a snapshot or copy (first of %u: shard "
	    "%016llx: %s)",
	    shards->map.count, id, first->text);
}

static int
members_open(struct zp_shards *shards, struct zp_err *err)
{
	bool map_changed = false;
	uint32_t open_count = 0;
	struct zp_err *why;
	int rc = ZP_OK;

	shards->members = zp_alloc_zero(shards->map.count, sizeof(*shards->members));
	why = zp_alloc_zero(shards->map.count, sizeof(*why));
	by_id_make(shards);
	for (uint32_t i = 0; rc == ZP_OK && i < shards->map.count; i++) {
		rc = shards->options.at_checkpoint
			 ? shard__member_open_at(shards, i, &why[i])
			 : shard__member_open(shards, i, &map_changed, &why[i]);
		open_count += rc == ZP_OK;
		why[i].code = rc;
		if (rc < 0 && !is_damage(rc))
			rc = zp_fail(err, rc, "shard %016llx: %s",
			    (unsigned long long)shards->map.ranges[i].id, why[i].text);
		else
			rc = ZP_OK;
	}
	if (rc == ZP_OK && open_count == 0)
		rc = none_opened(shards, &why[0], err);
	for (uint32_t i = 0; rc == ZP_OK && i < shards->map.count; i++) {
		if (why[i].code < 0)
			shard__suspend(shards, i, why[i].text);
	}
	zp_free(why);
	if (rc == ZP_OK && map_changed && !shards->options.read_only) {
		shards->map.number++;
		rc = shard__map_write(shards->options.store, &shards->map, err);
	}
	return rc;
}

int
zp_shards_open(
    const struct zp_shards_options *options, struct zp_shards **shards_out, struct zp_err *err)
{
	struct zp_shards *shards = zp_alloc_zero(1, sizeof(*shards));
	int rc;

	shards->root = zp_strdup(options->root);
	shards->options = *options;
	shards->options.root = shards->root;
	rc = options->read_only ? ZP_OK : shard__unfinished_remove(options->store, err);
	if (rc == ZP_OK)
		rc = map_read(shards, err);
	if (rc == ZP_OK)
		rc = checkpoints_read(shards, err);
	if (rc == ZP_OK)
		rc = members_open(shards, err);
	if (rc == ZP_OK)
		rc = tables_read(shards, err);
	if (rc < 0) {
		zp_shards_close(shards);
		return rc;
	}
	*shards_out = shards;
	return ZP_OK;
}

void
zp_shards_close(struct zp_shards *shards)
{
	if (shards == NULL)
		return;
	zp_group_free(shards->replay_group);
	zp_free(shards->replay_change);
	for (uint32_t i = 0; shards->members != NULL && i < shards->map.count; i++) {
		zp_engine_close(shards->members[i].engine);
		zp_store_close(shards->members[i].store);
	}
	zp_free(shards->members);
	zp_free(shards->by_id);
	zp_tables_free(shards->tables);
	zp_checkpoint_done(&shards->newest);
	zp_checkpoint_done(&shards->older);
	zp_shard_map_done(&shards->map);
	zp_free(shards->root);
	zp_free(shards);
}

/* ---- Looking -------------------------------------------------------------------------------- */

const struct zp_shard_map *
zp_shards_map(const struct zp_shards *shards)
{
	return &shards->map;
}

const struct zp_checkpoint *
zp_shards_newest(const struct zp_shards *shards)
{
	return &shards->newest;
}

const struct zp_checkpoint *
zp_shards_older(const struct zp_shards *shards)
{
	return &shards->older;
}

struct zp_engine *
zp_shards_engine(const struct zp_shards *shards, uint32_t index)
{
	ZP_ASSERT(index < shards->map.count);
	return shards->members[index].engine;
}

struct zp_tables *
zp_shards_tables(struct zp_shards *shards)
{
	return shards->tables;
}

uint64_t
zp_shards_memory_bytes(const struct zp_shards *shards)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < shards->map.count; i++)
		bytes += zp_engine_memory_bytes(shards->members[i].engine);
	return bytes;
}
