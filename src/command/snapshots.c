/*
 * snapshots.c - the snapshots that there are: looked at, listed, removed.
 *
 * Flow:  api and as-of reads → here → the folders under <root>/snapshots. Owner: the caller's
 * thread.
 *
 * A snapshot is a folder with a checkpoint in its journal/, which is linked last when it is made
 * and goes first when it is removed: so one that was cut short either way is told from a whole one.
 */
#include "command/command_internal.h"

#include <stdlib.h>

/* ---- One ------------------------------------------------------------------------------------ */

static int
not_there(const char *root, const char *name, struct zp_err *err)
{
	struct zp_store_tree tree;
	char path[COMMAND__PATH_BYTES];
	int rc = command__snapshot_path(path, root, name, "", err);

	if (rc < 0)
		return rc;
	zp_err_clear(err);
	if (zp_store_tree_measure(path, &tree, NULL) == ZP_E_NOT_FOUND)
		return zp_fail(err, ZP_E_NOT_FOUND,
		    "there is no snapshot %s: `zpin snapshot ls`, or GET /snapshots of the "
		    "management address, lists those there are",
		    name);
	return zp_fail(err, ZP_E_NOT_FOUND,
	    "snapshot %s was not finished, or not wholly removed: `zpin snapshot rm %s` removes "
	    "what is there of it",
	    name, name);
}

int
command__snapshot_read(const char *root, struct zp_disk *disk, const char *name,
    struct zp_checkpoint *checkpoint_out, struct zp_err *err)
{
	struct zp_store_directory_options options = {.read_only = true, .disk = disk};
	char path[COMMAND__PATH_BYTES];
	struct zp_store *store;
	uint64_t number = 0;
	size_t count = 0;
	int rc = command__snapshot_path(path, root, name, "/journal", err);

	if (rc == ZP_OK)
		rc = zp_store_directory_open(path, &options, &store, err);
	if (rc == ZP_E_NOT_FOUND)
		return not_there(root, name, err);
	if (rc < 0)
		return rc;
	rc = zp_checkpoints_list(store, &number, 1, &count, err);
	if (rc == ZP_OK && count == 0)
		rc = not_there(root, name, err);
	else if (rc == ZP_OK)
		rc = zp_checkpoint_read(store, number, checkpoint_out, err);
	zp_store_close(store);
	return rc < 0 ? zp_wrap(err, rc, "snapshot %s", name) : ZP_OK;
}

/* ---- All ------------------------------------------------------------------------------------ */

struct listing {
	struct zp_snapshot *list;
	size_t count;
	size_t capacity;
};

static int
name_add(void *context, const char *name, struct zp_err *err)
{
	struct listing *listing = context;
	struct zp_snapshot *snapshot;

	if (command__snapshot_name_check(name, NULL) < 0) /* nobody can have made it here */
		return ZP_OK;
	if (listing->count == ZP_SNAPSHOTS_LISTED_MAX)
		return zp_fail(
		    err, ZP_E_TOO_LARGE, "more than %u snapshots", ZP_SNAPSHOTS_LISTED_MAX);
	if (listing->count == listing->capacity) {
		listing->capacity = listing->capacity * 2 + 16;
		listing->list =
		    zp_realloc(listing->list, listing->capacity * sizeof(*listing->list));
	}
	snapshot = &listing->list[listing->count++];
	*snapshot = (struct zp_snapshot){0};
	strcpy(snapshot->name, name);
	return ZP_OK;
}

static void
checkpoint_take(const struct zp_checkpoint *checkpoint, struct zp_snapshot *snapshot)
{
	snapshot->time_microseconds = checkpoint->time_microseconds;
	snapshot->checkpoint_number = checkpoint->number;
	snapshot->checkpoint_batch = checkpoint->batch;
	snapshot->has_pins = true;
	for (uint32_t i = 0; i < checkpoint->shards_count; i++) {
		snapshot->has_pins = snapshot->has_pins && checkpoint->shards[i].has_said;
		snapshot->pins += checkpoint->shards[i].pins;
	}
}

/* What is wrong with one is said of it and hides no other. */
static void
look(struct zp_node *node, struct zp_snapshot *snapshot)
{
	struct zp_checkpoint checkpoint;
	struct zp_store_tree tree = {0};
	char path[COMMAND__PATH_BYTES];
	struct zp_err why = {0};
	int rc =
	    command__snapshot_read(node->root, node->seam.disk, snapshot->name, &checkpoint, &why);

	if (rc == ZP_OK) {
		checkpoint_take(&checkpoint, snapshot);
		zp_checkpoint_done(&checkpoint);
		rc = command__snapshot_path(path, node->root, snapshot->name, "", &why);
		if (rc == ZP_OK)
			rc = zp_store_tree_measure(path, &tree, &why);
	}
	if (rc < 0)
		snprintf(snapshot->fault, sizeof(snapshot->fault), "%s", why.text);
	snapshot->bytes = tree.bytes;
	snapshot->bytes_own = tree.bytes_own;
}

static int
compare_snapshots(const void *a, const void *b)
{
	const struct zp_snapshot *left = a, *right = b;

	if (left->time_microseconds != right->time_microseconds)
		return left->time_microseconds < right->time_microseconds ? -1 : 1;
	return strcmp(left->name, right->name);
}

int
zp_command_snapshots(struct zp_node *node,
    int (*each)(void *context, const struct zp_snapshot *snapshot, struct zp_err *err),
    void *context, struct zp_err *err)
{
	struct listing listing = {0};
	char path[COMMAND__PATH_BYTES];
	int rc = command__snapshot_path(path, node->root, "", "", err);

	if (rc == ZP_OK)
		rc = zp_store_folders_list(path, name_add, &listing, err);
	for (size_t i = 0; rc == ZP_OK && i < listing.count; i++)
		look(node, &listing.list[i]);
	if (listing.count > 1)
		qsort(listing.list, listing.count, sizeof(*listing.list), compare_snapshots);
	for (size_t i = 0; rc == ZP_OK && i < listing.count; i++)
		rc = each(context, &listing.list[i], err);
	zp_free(listing.list);
	return rc;
}

/* ---- Removing ------------------------------------------------------------------------------- */

static int
folder_remove(struct zp_node *node, const char *name, struct zp_err *err)
{
	char path[COMMAND__PATH_BYTES];
	struct zp_store_tree tree;
	int rc = command__snapshot_path(path, node->root, name, "", err);

	if (rc == ZP_OK && zp_store_tree_measure(path, &tree, NULL) == ZP_E_NOT_FOUND)
		return not_there(node->root, name, err);
	return rc < 0 ? rc : zp_store_tree_remove(path, "journal", err);
}

int
zp_command_snapshot_remove(struct zp_node *node, const char *name, struct zp_err *err)
{
	int rc = command__snapshot_name_check(name, err);

	if (rc < 0)
		return rc;
	if (node->options.read_only)
		return zp_fail(err, ZP_E_READ_ONLY, "the node was opened read-only");
	zp_mutex_lock(&node->snapshots_lock);
	zp_mutex_lock(&node->moments.open_lock);
	rc = command__moments_evict(node, name, err);
	if (rc == ZP_OK)
		rc = folder_remove(node, name, err);
	zp_mutex_unlock(&node->moments.open_lock);
	zp_mutex_unlock(&node->snapshots_lock);
	return rc;
}
