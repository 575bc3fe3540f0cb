/*
 * map.c - the shard map: which range of keys is which shard's.
 *
 * Flow:   every write and read asks zp_shard_map_find; set.c reads and writes the file.
 * Owner:  set.c's; never changed in place while others look.
 * Format: docs/formats.md, "Map".
 */
#include "shard/shard_internal.h"

#include <stdlib.h>

enum {
	TAG_NUMBER = 1,
	TAG_CLUSTER = 2,
	TAG_NODE = 3,
	TAG_SHARD = 4,
	RANGE_BYTES = 128,
};

static void
end_key(uint8_t key[ZP_KEY_BYTES])
{
	memset(key, 0xff, ZP_KEY_BYTES);
}

int
zp_shard_map_create(const uint64_t *ids, uint32_t count, const uint8_t cluster_id[16],
    uint32_t node, struct zp_shard_map *map_out, struct zp_err *err)
{
	struct zp_shard_map map = {.number = 1, .node = node, .count = count};

	if (count == 0 || count > ZP_SHARDS_MAX || (count & (count - 1)) != 0)
		return zp_fail(err, ZP_E_INVALID,
		    "%u shards: a power of two from 1 to %u is needed", count, ZP_SHARDS_MAX);
	memcpy(map.cluster_id, cluster_id, sizeof(map.cluster_id));
	map.ranges = zp_alloc_zero(count, sizeof(*map.ranges));
	for (uint32_t i = 0; i < count; i++) {
		struct zp_shard_range *range = &map.ranges[i];
		uint64_t width = (UINT64_C(1) << 32) / count;

		range->id = ids[i];
		range->incarnation = 1;
		zp_store_u32be(range->low, (uint32_t)(i * width));
		if (i + 1 < count)
			zp_store_u32be(range->high, (uint32_t)((i + 1) * width));
		else
			end_key(range->high);
	}
	*map_out = map;
	return ZP_OK;
}

void
zp_shard_map_done(struct zp_shard_map *map)
{
	if (map == NULL)
		return;
	zp_free(map->ranges);
	*map = (struct zp_shard_map){0};
}

uint32_t
zp_shard_map_find(const struct zp_shard_map *map, const struct zp_key *key)
{
	uint8_t bytes[ZP_KEY_BYTES];
	uint32_t from = 0, to = map->count;

	ZP_ASSERT(map->count > 0);
	zp_key_encode(key, bytes);
	/* Invariant: ranges[from].low <= key < ranges[to].low (or the end). */
	while (to - from > 1) {
		uint32_t middle = from + (to - from) / 2;

		if (memcmp(bytes, map->ranges[middle].low, ZP_KEY_BYTES) >= 0)
			from = middle;
		else
			to = middle;
	}
	return from;
}

/* ---- The file ------------------------------------------------------------------------------- */

void
zp_shard_map_encode(const struct zp_shard_map *map, struct zp_buf *file)
{
	uint8_t number[8], node[4];

	zp_store_u64le(number, map->number);
	zp_store_u32le(node, map->node);
	zp_envelope_begin(file, "ZPINmap1");
	zp_envelope_field(file, TAG_NUMBER, number, sizeof(number));
	zp_envelope_field(file, TAG_CLUSTER, map->cluster_id, sizeof(map->cluster_id));
	zp_envelope_field(file, TAG_NODE, node, sizeof(node));
	for (uint32_t i = 0; i < map->count; i++) {
		const struct zp_shard_range *range = &map->ranges[i];
		uint8_t bytes[RANGE_BYTES] = {0};

		zp_store_u64le(bytes, range->id);
		zp_store_u32le(bytes + 8, range->incarnation);
		memcpy(bytes + 16, range->low, ZP_KEY_BYTES);
		memcpy(bytes + 70, range->high, ZP_KEY_BYTES);
		zp_envelope_field(file, TAG_SHARD, bytes, sizeof(bytes));
	}
	zp_envelope_end(file);
}

static int
range_decode(struct zp_slice field, struct zp_shard_map *map, struct zp_err *err)
{
	struct zp_shard_range *range;

	if (field.length != RANGE_BYTES || zp_load_u32le(field.data + 12) != 0 ||
	    zp_load_u32le(field.data + 124) != 0)
		return zp_fail(err, ZP_E_CORRUPT, "shard %u is not well formed", map->count);
	if (map->count == ZP_SHARDS_MAX)
		return zp_fail(err, ZP_E_CORRUPT, "more than %u shards", ZP_SHARDS_MAX);
	range = &map->ranges[map->count++];
	range->id = zp_load_u64le(field.data);
	range->incarnation = zp_load_u32le(field.data + 8);
	memcpy(range->low, field.data + 16, ZP_KEY_BYTES);
	memcpy(range->high, field.data + 70, ZP_KEY_BYTES);
	return ZP_OK;
}

static int
field_decode(uint16_t tag, struct zp_slice field, struct zp_shard_map *map, struct zp_err *err)
{
	switch (tag) {
	case TAG_NUMBER:
		if (field.length != 8 || map->number != 0)
			break;
		map->number = zp_load_u64le(field.data);
		return ZP_OK;
	case TAG_CLUSTER:
		if (field.length != sizeof(map->cluster_id))
			break;
		memcpy(map->cluster_id, field.data, field.length);
		return ZP_OK;
	case TAG_NODE:
		if (field.length != 4)
			break;
		map->node = zp_load_u32le(field.data);
		return ZP_OK;
	case TAG_SHARD:
		return range_decode(field, map, err);
	default:
		return zp_fail(err, ZP_E_VERSION, "field %u was written by a newer zpin", tag);
	}
	return zp_fail(err, ZP_E_CORRUPT,
	    "field %u of %zu bytes has another length or is there twice", tag, field.length);
}

static int
compare_ids(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

static bool
ids_are_unique(const struct zp_shard_map *map)
{
	uint64_t *ids = zp_alloc(map->count * sizeof(*ids));
	bool unique;

	for (uint32_t i = 0; i < map->count; i++)
		ids[i] = map->ranges[i].id;
	qsort(ids, map->count, sizeof(*ids), compare_ids);
	unique = ids[0] != 0;
	for (uint32_t i = 1; i < map->count; i++)
		unique = unique && ids[i] != ids[i - 1];
	zp_free(ids);
	return unique;
}

/* The ranges must cover the key space once: a gap or an overlap would lose or double pins. */
static int
map_check(const struct zp_shard_map *map, struct zp_err *err)
{
	uint8_t expected[ZP_KEY_BYTES] = {0};

	if (map->number == 0 || map->count == 0)
		return zp_fail(err, ZP_E_CORRUPT, "number or shards are missing");
	for (uint32_t i = 0; i < map->count; i++) {
		const struct zp_shard_range *range = &map->ranges[i];

		if (memcmp(range->low, expected, ZP_KEY_BYTES) != 0 ||
		    memcmp(range->high, range->low, ZP_KEY_BYTES) <= 0)
			return zp_fail(err, ZP_E_CORRUPT,
			    "shard %u does not begin where the one before ends", i);
		memcpy(expected, range->high, ZP_KEY_BYTES);
	}
	for (uint32_t i = 0; i < ZP_KEY_BYTES; i++) {
		if (expected[i] != 0xff)
			return zp_fail(err, ZP_E_CORRUPT, "the last shard does not reach the end");
	}
	if (!ids_are_unique(map))
		return zp_fail(err, ZP_E_CORRUPT, "a shard id is 0 or there twice");
	return ZP_OK;
}

int
zp_shard_map_decode(struct zp_slice file, struct zp_shard_map *map_out, struct zp_err *err)
{
	struct zp_envelope_reader reader;
	struct zp_shard_map map = {0};
	struct zp_slice field;
	uint16_t tag;
	int rc = zp_envelope_open(file, "ZPINmap1", "shard map", &reader, err);

	if (rc < 0)
		return rc;
	map.ranges = zp_alloc_zero(ZP_SHARDS_MAX, sizeof(*map.ranges));
	while ((rc = zp_envelope_next(&reader, &tag, &field, err)) == ZP_OK) {
		rc = field_decode(tag, field, &map, err);
		if (rc < 0)
			break;
	}
	if (rc == ZP_END)
		rc = map_check(&map, err);
	if (rc < 0) {
		zp_shard_map_done(&map);
		return zp_wrap(err, rc, "shard map");
	}
	*map_out = map;
	return ZP_OK;
}
