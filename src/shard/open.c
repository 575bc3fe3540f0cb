/*
 * open.c - opening a node's shards: map, checkpoints, members, tables.
 *
 * Flow:  zp_node_open → here → member.c. Owner: the opening thread.
 */
#include "shard/shard_internal.h"

#include "os/os.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECKPOINTS_LOOKED_AT 16u

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

void
zp_shards_map_renew(struct zp_shards *shards)
{
	map_twin_renew(shards, "map");
	map_twin_renew(shards, SHARD__MAP_COPY);
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
