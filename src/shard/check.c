/*
 * check.c - the node's small files read again: both kept checkpoints, the map and its copy.
 *
 * Flow: the scrubber and verify → here. Owner: maintenance, which alone replaces them.
 */
#include "shard/shard_internal.h"

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

int
zp_shards_records_check(struct zp_shards *shards, const struct zp_check *check, struct zp_err *err)
{
	struct checking checking = {.shards = shards, .check = check};

	file_check(&checking, "checkpoint", shards->newest.number, checkpoint_decode);
	file_check(&checking, "checkpoint", shards->older.number, checkpoint_decode);
	file_check(&checking, "map", shards->map.number, map_decode);
	file_check(&checking, SHARD__MAP_COPY, shards->map.number, map_decode);
	return zp_check_step(check, checking.bytes, err);
}
