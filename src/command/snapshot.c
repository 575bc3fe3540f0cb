/*
 * snapshot.c - a copy of the whole node at one position, by hard links: exact, and free until files
 * go.
 *
 * Flow:  caller → checkpoint → links of every shard's files, then map and checkpoint. Owner: the
 *        caller's thread under upkeep_lock, so that no file goes meanwhile.
 *
 * The checkpoint is linked last: a copy that was cut short has none and does not open.
 */
#include "command/command_internal.h"

#define PATH_BYTES COMMAND__PATH_BYTES
#define FILES_MAX 1048576u /* of one shard */

/* Names as the store takes them; owned. */
struct names {
	char **list;
	size_t count;
	size_t capacity;
};

static void
names_done(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		zp_free(names->list[i]);
	zp_free(names->list);
	*names = (struct names){0};
}

static int
names_add(void *context, const char *name, struct zp_err *err)
{
	struct names *names = context;

	if (names->count == FILES_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE, "a shard of more than %u files", FILES_MAX);
	if (names->count == names->capacity) {
		names->capacity = names->capacity * 2 + 16;
		names->list = zp_realloc(names->list, names->capacity * sizeof(*names->list));
	}
	names->list[names->count++] = zp_strdup(name);
	return ZP_OK;
}

int
command__snapshot_name_check(const char *name, struct zp_err *err)
{
	size_t length = strlen(name);

	if (length == 0 || length > ZP_SNAPSHOT_NAME_MAX || name[0] == '.' ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") !=
		length)
		return zp_fail(err, ZP_E_INVALID,
		    "a snapshot's name has letters, digits, '_', '.' and '-', at most %u, and no "
		    "'.' first",
		    ZP_SNAPSHOT_NAME_MAX);
	return ZP_OK;
}

/* What `as_of` and the command line give another meaning. */
static int
name_is_free(const char *name, struct zp_err *err)
{
	static const char *const taken[] = {"checkpoint", "ls", "rm"};
	int rc = command__snapshot_name_check(name, err);

	for (size_t i = 0; rc == ZP_OK && i < ZP_ARRAY_COUNT(taken); i++) {
		if (strcmp(name, taken[i]) == 0)
			rc = zp_fail(err, ZP_E_INVALID,
			    "%s is no name for a snapshot: it means something else", name);
	}
	return rc;
}

int
command__snapshot_path(char path[COMMAND__PATH_BYTES], const char *root, const char *name,
    const char *rest, struct zp_err *err)
{
	int length = snprintf(path, PATH_BYTES, "%s/snapshots/%s%s", root, name, rest);

	if (length < 0 || length >= (int)PATH_BYTES)
		return zp_fail(err, ZP_E_INVALID, "the path of the snapshot is too long");
	return ZP_OK;
}

static int
directory_make(struct zp_node *node, const char *name, const char *rest, struct zp_err *err)
{
	struct zp_store_directory_options options = {
	    .create = true, .no_sync = node->options.no_sync, .disk = node->seam.disk};
	struct zp_store *store;
	char path[PATH_BYTES];
	int rc = command__snapshot_path(path, node->root, name, rest, err);

	if (rc == ZP_OK)
		rc = zp_store_directory_open(path, &options, &store, err);
	if (rc == ZP_OK)
		zp_store_close(store);
	return rc;
}

static bool
is_directory(struct zp_node *node, const char *path)
{
	struct zp_store_directory_options options = {.read_only = true, .disk = node->seam.disk};
	struct zp_store *store;
	int rc = zp_store_directory_open(path, &options, &store, NULL);

	if (rc == ZP_OK)
		zp_store_close(store);
	return rc != ZP_E_NOT_FOUND;
}

/* The journal's folder is made last: without it a snapshot was cut short. */
static int
absent_check(struct zp_node *node, const char *name, struct zp_err *err)
{
	char path[PATH_BYTES], journal[PATH_BYTES];
	int rc = command__snapshot_path(path, node->root, name, "", err);

	if (rc == ZP_OK)
		rc = command__snapshot_path(journal, node->root, name, "/journal", err);
	if (rc < 0 || !is_directory(node, path))
		return rc;
	if (is_directory(node, journal))
		return zp_fail(err, ZP_E_EXISTS, "snapshot %s exists already", name);
	return zp_fail(err, ZP_E_EXISTS,
	    "an earlier snapshot %s was not finished: `zpin snapshot rm %s`, or take another name",
	    name, name);
}

/* A snapshot is of the whole node or not made at all. */
static int
shards_check(struct zp_node *node, struct zp_err *err)
{
	const struct zp_shard_map *map = zp_shards_map(node->shards);

	for (uint32_t i = 0; i < map->count; i++) {
		if (zp_engine_is_suspended(zp_shards_engine(node->shards, i)))
			return zp_fail(err, ZP_E_CORRUPT,
			    "shard %016llx is suspended: mount or restore it; when there is no "
			    "copy of it, see `zpin repair --give-up-shard %016llx`",
			    (unsigned long long)map->ranges[i].id,
			    (unsigned long long)map->ranges[i].id);
	}
	return ZP_OK;
}

static int
shard_link(struct zp_node *node, const char *name, uint32_t index, struct zp_err *err)
{
	unsigned long long id = zp_shards_map(node->shards)->ranges[index].id;
	struct names names = {0};
	char from[PATH_BYTES], to[PATH_BYTES], rest[64];
	int rc = zp_engine_files(zp_shards_engine(node->shards, index), names_add, &names, err);

	snprintf(rest, sizeof(rest), "/shards/%016llx", id);
	if (rc == ZP_OK)
		rc = command__snapshot_path(to, node->root, name, rest, err);
	if (rc == ZP_OK &&
	    snprintf(from, sizeof(from), "%s%s", node->root, rest) >= (int)PATH_BYTES)
		rc = zp_fail(err, ZP_E_INVALID, "the path of the node is too long");
	if (rc == ZP_OK)
		rc = zp_store_directory_link(
		    node->seam.disk, from, (const char *const *)names.list, names.count, to, err);
	names_done(&names);
	return rc;
}

static int
journal_link(struct zp_node *node, const char *name, struct zp_err *err)
{
	const struct zp_checkpoint *newest = zp_shards_newest(node->shards);
	char map[32], copy[32], checkpoint[32], from[PATH_BYTES], to[PATH_BYTES];
	const char *names[] = {map, copy, checkpoint};
	unsigned long long number = zp_shards_map(node->shards)->number;
	int rc = command__snapshot_path(to, node->root, name, "/journal", err);

	snprintf(map, sizeof(map), "map-%016llx", number);
	snprintf(copy, sizeof(copy), "copy-of-map-%016llx", number);
	snprintf(checkpoint, sizeof(checkpoint), "checkpoint-%016llx",
	    (unsigned long long)newest->number);
	if (rc == ZP_OK &&
	    snprintf(from, sizeof(from), "%s/journal", node->root) >= (int)PATH_BYTES)
		rc = zp_fail(err, ZP_E_INVALID, "the path of the node is too long");
	return rc < 0 ? rc
		      : zp_store_directory_link(
			    node->seam.disk, from, names, ZP_ARRAY_COUNT(names), to, err);
}

static int
snapshot(struct zp_node *node, const char *name, struct zp_err *err)
{
	int rc = command__checkpoint(node, err);

	if (rc == ZP_OK)
		rc = directory_make(node, "", "", err);
	if (rc == ZP_OK)
		rc = directory_make(node, name, "", err);
	if (rc == ZP_OK)
		rc = directory_make(node, name, "/shards", err);
	for (uint32_t i = 0; rc == ZP_OK && i < zp_shards_map(node->shards)->count; i++)
		rc = shard_link(node, name, i, err);
	return rc < 0 ? rc : journal_link(node, name, err);
}

static int
snapshot_checked(struct zp_node *node, const char *name, struct zp_err *err)
{
	int rc = absent_check(node, name, err);

	if (rc == ZP_OK)
		rc = shards_check(node, err);
	if (rc < 0)
		return rc;
	command__upkeep_enter(node);
	rc = snapshot(node, name, err);
	command__upkeep_leave(node);
	command__upkeep_poke(node);
	return rc < 0 ? zp_wrap(err, rc, "snapshot %s", name) : ZP_OK;
}

int
zp_command_snapshot(struct zp_node *node, const char *name, struct zp_err *err)
{
	int rc = name_is_free(name, err);

	if (rc < 0)
		return rc;
	zp_mutex_lock(&node->snapshots_lock);
	rc = snapshot_checked(node, name, err);
	zp_mutex_unlock(&node->snapshots_lock);
	return rc;
}
