/*
 * fuzz_checkpoint.c - checkpoints, shard maps and journal payloads from any bytes.
 *
 * The first byte chooses: 0 a checkpoint's file, 1 a map's, 2 and 3 the same with a frame that is
 * made whole (so that what is behind the checksum is reached), else the payload of a journal
 * record with that operation.
 *
 * Holds: what decodes makes sense (ids rise, ranges cover the key space once), encodes again, and
 * decodes to the same.
 */
#include "shard/shard_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_checkpoint(struct zp_slice file)
{
	ZP_AUTO_BUF(again, SHARD__CHECKPOINT_BYTES_MAX);
	struct zp_checkpoint first, second;

	if (zp_checkpoint_decode(file, &first, NULL) < 0)
		return;
	for (uint32_t i = 0; i < first.shards_count; i++) {
		ZP_ASSERT(zp_checkpoint_find(&first, first.shards[i].id) == &first.shards[i]);
		ZP_ASSERT(zp_checkpoint_trim(&first) <= first.shards[i].covered);
	}
	zp_checkpoint_encode(&first, &again);
	ZP_ASSERT(zp_checkpoint_decode(zp_buf_slice(&again), &second, NULL) == ZP_OK);
	ZP_ASSERT(first.batch == second.batch && first.shards_count == second.shards_count &&
		  first.origins_count == second.origins_count);
	zp_checkpoint_done(&first);
	zp_checkpoint_done(&second);
}

static void
check_map(struct zp_slice file)
{
	ZP_AUTO_BUF(again, SHARD__MAP_BYTES_MAX);
	struct zp_shard_map first, second;
	struct zp_key key;

	if (zp_shard_map_decode(file, &first, NULL) < 0)
		return;
	for (uint32_t i = 0; i < first.count; i++) {
		if (zp_key_decode(first.ranges[i].low, &key, NULL) == ZP_OK)
			ZP_ASSERT(zp_shard_map_find(&first, &key) == i);
	}
	zp_shard_map_encode(&first, &again);
	ZP_ASSERT(zp_shard_map_decode(zp_buf_slice(&again), &second, NULL) == ZP_OK);
	ZP_ASSERT(first.number == second.number && first.count == second.count);
	zp_shard_map_done(&first);
	zp_shard_map_done(&second);
}

static void
payload_encode(const struct zp_shard_change *change, struct zp_buf *payload)
{
	switch (change->operation) {
	case ZP_OP_PUT:
		zp_shard_put_encode(&change->key, &change->record, payload);
		break;
	case ZP_OP_DELETE:
		zp_shard_delete_encode(&change->key, payload);
		break;
	case ZP_OP_EXPIRE:
		zp_shard_expire_encode(&change->key, change->expire_fact, payload);
		break;
	case ZP_OP_TRACK:
		zp_shard_track_encode(&change->key, &change->track, payload);
		break;
	case ZP_OP_TRACK_END:
		zp_shard_track_end_encode(&change->key, change->track.peer, payload);
		break;
	case ZP_OP_ACCESS:
		zp_shard_access_encode(&change->key, &change->accesses, payload);
		break;
	case ZP_OP_PEER:
		zp_shard_peer_encode(change->id, change->binary, payload);
		break;
	case ZP_OP_ALLOCATION_LIST:
		zp_shard_list_encode(change->id, change->peers, change->peers_count, payload);
		break;
	default:
		zp_shard_peer_moved_encode(change->id, change->to, payload);
		break;
	}
}

/* A payload has one encoding. */
static void
check_payload(uint8_t operation, struct zp_slice payload)
{
	static struct zp_shard_change change; /* large */
	ZP_AUTO_BUF(again, 1u << 20);

	if (zp_shard_change_decode(operation, payload, &change, NULL) < 0)
		return;
	payload_encode(&change, &again);
	ZP_ASSERT(zp_slice_equal(zp_buf_slice(&again), payload));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ZP_AUTO_BUF(file, SHARD__MAP_BYTES_MAX);
	uint8_t choice = size == 0 ? 0 : data[0];
	struct zp_slice rest = {data + 1, size - 1};

	if (size == 0)
		return 0;
	switch (choice) {
	case 0:
		check_checkpoint(rest);
		break;
	case 1:
		check_map(rest);
		break;
	case 2:
	case 3:
		zp_envelope_begin(&file, choice == 2 ? "ZPINchkp" : "ZPINmap1");
		zp_buf_append_slice(&file, rest);
		if (file.overflow)
			break;
		zp_envelope_end(&file);
		(choice == 2 ? check_checkpoint : check_map)(zp_buf_slice(&file));
		break;
	default:
		check_payload(choice >= 4 && choice <= 6 ? choice - 3 : choice, rest);
		break;
	}
	return 0;
}
