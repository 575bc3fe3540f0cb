/*
 * moment_place.c - what `as_of` says: which checkpoint, of which folder.
 *
 * Flow:  moment.c and tools → here → names of folders and their checkpoints' records. Owner: the
 *        caller's thread. Nothing is opened but these.
 */
#include "command/command_internal.h"

#define CHECKPOINTS_LOOKED_AT 16u

int
command__as_of_parse(
    const char *as_of, enum command__as_of *kind_out, int64_t *time_us_out, struct zp_err *err)
{
	uint32_t nanoseconds;
	int64_t seconds;
	int rc;

	*time_us_out = 0;
	if (strchr(as_of, ':') != NULL) { /* which no name has */
		rc = zp_time_parse(zp_slice_of(as_of), &seconds, &nanoseconds, err);
		if (rc < 0)
			return zp_wrap(err, ZP_E_INVALID, "as_of: %.64s", as_of);
		*kind_out = COMMAND__AS_OF_TIME;
		*time_us_out = seconds * 1000000 + nanoseconds / 1000;
		return ZP_OK;
	}
	if (strcmp(as_of, "checkpoint") == 0) {
		*kind_out = COMMAND__AS_OF_CHECKPOINT;
		return ZP_OK;
	}
	*kind_out = COMMAND__AS_OF_SNAPSHOT;
	rc = command__snapshot_name_check(as_of, err);
	return rc < 0 ? zp_wrap(err, rc,
			    "as_of takes a snapshot's name, a time (RFC 3339), or checkpoint")
		      : ZP_OK;
}

/* By what the pinset follows from, and not by when or how often it was written: the second
 * checkpoint of a clean stop is the first one again. */
static uint64_t
id_of(const struct zp_checkpoint *checkpoint)
{
	uint8_t bytes[40];
	uint64_t id;

	memcpy(bytes, checkpoint->cluster_id, 16);
	zp_store_u64le(bytes + 16, checkpoint->node);
	zp_store_u64le(bytes + 24, checkpoint->epoch);
	zp_store_u64le(bytes + 32, checkpoint->batch);
	id = zp_hash64(bytes, sizeof(bytes), 0);
	for (uint32_t i = 0; i < checkpoint->shards_count; i++) {
		const struct zp_checkpoint_shard *shard = &checkpoint->shards[i];

		zp_store_u64le(bytes, shard->id);
		zp_store_u64le(bytes + 8, shard->incarnation);
		zp_store_u64le(bytes + 16, shard->applied);
		zp_store_u64le(bytes + 24, shard->pins);
		id = zp_hash64(bytes, 32, id);
	}
	return id == 0 ? 1 : id;
}

static int
other_moment(const char *as_of, struct zp_err *err)
{
	return zp_fail(err, ZP_E_INVALID,
	    "parameter cursor invalid: it goes on in another moment than as_of=%s is now; begin "
	    "again, or name a snapshot where a walk takes long",
	    as_of);
}

/* The newest that is whole, or the one with that id. */
static int
checkpoint_find(const char *root, struct zp_disk *disk, uint64_t id, struct command__place *place,
    struct zp_err *err)
{
	struct zp_store_directory_options options = {.read_only = true, .disk = disk};
	uint64_t numbers[CHECKPOINTS_LOOKED_AT];
	char path[COMMAND__PATH_BYTES];
	struct zp_store *store;
	struct zp_err why = {0};
	size_t count = 0;
	int rc;

	if (snprintf(path, sizeof(path), "%s/journal", root) >= (int)sizeof(path))
		return zp_fail(err, ZP_E_INVALID, "the path of the node is too long");
	rc = zp_store_directory_open(path, &options, &store, err);
	if (rc < 0)
		return rc;
	rc = zp_checkpoints_list(store, numbers, CHECKPOINTS_LOOKED_AT, &count, err);
	place->id = 0;
	for (size_t i = 0; rc == ZP_OK && i < count && place->id == 0; i++) {
		struct zp_checkpoint checkpoint;
		int rc_read = zp_checkpoint_read(store, numbers[i], &checkpoint, &why);

		/* Damaged, or collected just now; opening a node takes the next one, too. */
		if (rc_read == ZP_E_CORRUPT || rc_read == ZP_E_IO || rc_read == ZP_E_NOT_FOUND)
			continue;
		if (rc_read < 0) {
			rc = zp_fail(err, rc_read, "%s", why.text);
			break;
		}
		if (id == 0 || id_of(&checkpoint) == id) {
			place->checkpoint_number = numbers[i];
			place->time_microseconds = checkpoint.time_microseconds;
			place->id = id_of(&checkpoint);
		}
		zp_checkpoint_done(&checkpoint);
	}
	zp_store_close(store);
	if (rc < 0 || place->id != 0)
		return rc;
	if (id != 0)
		return other_moment("checkpoint", err);
	return why.code < 0 ? zp_fail(err, ZP_E_CORRUPT, "no checkpoint is whole: %s", why.text)
			    : zp_fail(err, ZP_E_NOT_FOUND, "there is no checkpoint in %s", path);
}

static int
snapshot_take(
    const char *root, struct zp_disk *disk, struct command__place *place, struct zp_err *err)
{
	struct zp_checkpoint checkpoint;
	int rc = command__snapshot_read(root, disk, place->name, &checkpoint, err);

	if (rc < 0)
		return rc;
	place->checkpoint_number = checkpoint.number;
	place->id = id_of(&checkpoint);
	place->time_microseconds = checkpoint.time_microseconds;
	zp_checkpoint_done(&checkpoint);
	return command__snapshot_path(place->root, root, place->name, "", err);
}

/* ---- By time -------------------------------------------------------------------------------- */

struct search {
	const char *root;
	struct zp_disk *disk;
	int64_t time_us;          /* at or before it */
	struct command__place at; /* the newest so far */
	bool found;
};

/* One that cannot be read may be the one: another in its place would be a guess. */
static int
search_step(void *context, const char *name, struct zp_err *err)
{
	struct search *search = context;
	struct command__place place = {0};
	int rc;

	if (command__snapshot_name_check(name, NULL) < 0)
		return ZP_OK;
	strcpy(place.name, name);
	rc = snapshot_take(search->root, search->disk, &place, err);
	if (rc == ZP_E_NOT_FOUND) {
		zp_err_clear(err);
		return ZP_OK;
	}
	if (rc < 0)
		return zp_wrap(err, rc,
		    "of when it is cannot be told: give the name of the snapshot that is meant");
	if (place.time_microseconds > search->time_us ||
	    (search->found && place.time_microseconds < search->at.time_microseconds))
		return ZP_OK;
	search->found = true;
	search->at = place;
	return ZP_OK;
}

static int
time_find(const char *root, struct zp_disk *disk, const char *as_of, int64_t time_us,
    struct command__place *place, struct zp_err *err)
{
	struct search search = {.root = root, .disk = disk, .time_us = time_us};
	char path[COMMAND__PATH_BYTES];
	int rc = command__snapshot_path(path, root, "", "", err);

	if (rc == ZP_OK)
		rc = zp_store_folders_list(path, search_step, &search, err);
	if (rc == ZP_OK && !search.found)
		rc = zp_fail(err, ZP_E_NOT_FOUND,
		    "there is no snapshot of %s or before: `zpin snapshot ls`, or GET /snapshots "
		    "of "
		    "the management address, lists those there are",
		    as_of);
	if (rc == ZP_OK)
		*place = search.at;
	return rc;
}

int
command__place_find(const char *root, struct zp_disk *disk, const char *as_of, uint64_t id,
    struct command__place *place_out, struct zp_err *err)
{
	struct command__place place = {0};
	enum command__as_of kind;
	int64_t time_us;
	int rc = command__as_of_parse(as_of, &kind, &time_us, err);

	if (rc < 0)
		return rc;
	if (kind == COMMAND__AS_OF_TIME) {
		rc = time_find(root, disk, as_of, time_us, &place, err);
	} else if (kind == COMMAND__AS_OF_CHECKPOINT) {
		snprintf(place.root, sizeof(place.root), "%s", root);
		rc = checkpoint_find(root, disk, id, &place, err);
	} else {
		snprintf(place.name, sizeof(place.name), "%s", as_of);
		rc = snapshot_take(root, disk, &place, err);
	}
	if (rc == ZP_OK && id != 0 && place.id != id)
		rc = other_moment(as_of, err);
	if (rc == ZP_OK)
		*place_out = place;
	return rc;
}
