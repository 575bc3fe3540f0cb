/*
 * check.c - the node's small files read again: checkpoints, maps and their copies.
 *
 * Flow: the scrubber and verify → here. Owner: maintenance, which alone replaces them.
 */
#include "shard/shard_internal.h"

#define CHECKED_MAX 64u /* files of one kind; two are kept */

struct checking {
	struct zp_shards *shards;
	const struct zp_check *check;
	uint64_t bytes;
};

static int
checkpoint_decode(
    const struct checking *checking, struct zp_slice file, uint64_t number, struct zp_err *err)
{
	struct zp_checkpoint checkpoint = {0};
	int rc = zp_checkpoint_decode(file, &checkpoint, err);

	(void)checking;
	if (rc < 0)
		return rc;
	if (checkpoint.number != number)
		rc = zp_fail(err, ZP_E_CORRUPT, "it is another checkpoint");
	zp_checkpoint_done(&checkpoint);
	return rc;
}

static int
map_decode(
    const struct checking *checking, struct zp_slice file, uint64_t number, struct zp_err *err)
{
	struct zp_shard_map map = {0};
	int rc = zp_shard_map_decode(file, &map, err);

	if (rc < 0)
		return rc;
	if (map.number != number ||
	    memcmp(map.cluster_id, checking->shards->map.cluster_id, sizeof(map.cluster_id)) != 0)
		rc = zp_fail(err, ZP_E_CORRUPT, "it is another map");
	zp_shard_map_done(&map);
	return rc;
}

static void
file_check(struct checking *checking, const char *prefix, uint64_t number,
    int (*decode)(
	const struct checking *checking, struct zp_slice file, uint64_t number, struct zp_err *err))
{
	ZP_AUTO_BUF(file, zp_max_u64(SHARD__MAP_BYTES_MAX, SHARD__CHECKPOINT_BYTES_MAX));
	char name[SHARD__NAME_BYTES];
	struct zp_err why = {0};
	int rc;

	if (number == 0)
		return; /* there is none */
	shard__name(prefix, number, name);
	rc = zp_store_read_all(checking->shards->options.store, name,
	    zp_max_u64(SHARD__MAP_BYTES_MAX, SHARD__CHECKPOINT_BYTES_MAX), &file, &why);
	if (rc == ZP_E_NOT_FOUND)
		rc = zp_fail(&why, ZP_E_CORRUPT, "the file is gone");
	checking->bytes += file.length;
	if (rc == ZP_OK)
		rc = decode(checking, zp_buf_slice(&file), number, &why);
	if (rc < 0) {
		zp_ignore(zp_wrap(&why, rc, "%s", name)); /* its text */
		zp_check_damage(checking->check, why.text);
	}
}

/* Every one that is there, and those that should be. */
static int
files_check(struct checking *checking, const char *prefix, const uint64_t *expected,
    size_t expected_count,
    int (*decode)(
	const struct checking *checking, struct zp_slice file, uint64_t number, struct zp_err *err),
    struct zp_err *err)
{
	uint64_t numbers[CHECKED_MAX];
	size_t count;
	int rc = shard__numbers_list(
	    checking->shards->options.store, prefix, numbers, CHECKED_MAX, &count, err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < count; i++) {
		bool is_expected = false;

		for (size_t j = 0; j < expected_count; j++)
			is_expected = is_expected || numbers[i] == expected[j];
		if (!is_expected)
			file_check(checking, prefix, numbers[i], decode);
	}
	for (size_t j = 0; j < expected_count; j++)
		file_check(checking, prefix, expected[j], decode);
	return ZP_OK;
}

/* A shard whose newest manifest went is the one before, made good from the journal. */
static void
manifests_check(const struct checking *checking)
{
	const struct zp_checkpoint *newest = &checking->shards->newest;

	for (uint32_t i = 0; i < newest->shards_count; i++) {
		const struct zp_checkpoint_shard *entry = &newest->shards[i];
		int64_t index = shard__find_id(checking->shards, entry->id);
		struct zp_engine *engine =
		    index < 0 ? NULL : checking->shards->members[index].engine;
		struct zp_err why = {0};

		if (engine == NULL || zp_engine_is_suspended(engine) ||
		    zp_engine_manifest_number(engine) >= entry->manifest_number)
			continue;
		zp_ignore(zp_fail(&why, ZP_E_CORRUPT,
		    "shard %016llx: manifest-%016llx is gone or damaged, which the newest "
		    "checkpoint names",
		    (unsigned long long)entry->id, (unsigned long long)entry->manifest_number));
		zp_check_damage(checking->check, why.text);
	}
}

int
zp_shards_records_check(struct zp_shards *shards, const struct zp_check *check, struct zp_err *err)
{
	struct checking checking = {.shards = shards, .check = check};
	const uint64_t checkpoints[] = {shards->newest.number, shards->older.number};
	int rc = files_check(&checking, "checkpoint", checkpoints, ZP_ARRAY_COUNT(checkpoints),
	    checkpoint_decode, err);

	if (rc == ZP_OK)
		rc = files_check(&checking, "map", &shards->map.number, 1, map_decode, err);
	if (rc == ZP_OK)
		rc = files_check(
		    &checking, SHARD__MAP_COPY, &shards->map.number, 1, map_decode, err);
	if (rc < 0)
		return rc;
	manifests_check(&checking);
	return zp_check_step(check, checking.bytes, err);
}

static void
damage_count(void *context, const char *text)
{
	(void)text;
	++*(size_t *)context;
}

bool
zp_shards_records_are_whole(struct zp_shards *shards)
{
	size_t damages = 0;
	struct zp_check check = {.damage = damage_count, .context = &damages};

	return zp_shards_records_check(shards, &check, NULL) == ZP_OK && damages == 0;
}
