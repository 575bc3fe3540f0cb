/*
 * checkpoint_format.c - the checkpoint's file: which manifests hold everything up to a position.
 *
 * Flow:   checkpoint.c writes it, open.c reads it. Owner: whoever holds the struct.
 * Format: docs/formats.md, "Checkpoint".
 */
#include "shard/shard_internal.h"

enum {
	TAG_NUMBER = 1,
	TAG_POSITION = 2,
	TAG_TIME = 3,
	TAG_MAP = 4,
	TAG_SHARD = 5,
	TAG_ORIGIN = 6,
	TAG_CLUSTER = 8,
	TAG_SAID = 0x8001,
	SHARD_BYTES = 40,
	SAID_BYTES = 32,
	ORIGIN_BYTES = 32,
};

void
zp_checkpoint_done(struct zp_checkpoint *checkpoint)
{
	if (checkpoint == NULL)
		return;
	zp_free(checkpoint->shards);
	zp_free(checkpoint->origins);
	*checkpoint = (struct zp_checkpoint){0};
}

const struct zp_checkpoint_shard *
zp_checkpoint_find(const struct zp_checkpoint *checkpoint, uint64_t shard_id)
{
	uint32_t from = 0, to = checkpoint->shards_count;

	while (from < to) {
		uint32_t middle = from + (to - from) / 2;

		if (checkpoint->shards[middle].id == shard_id)
			return &checkpoint->shards[middle];
		if (checkpoint->shards[middle].id < shard_id)
			from = middle + 1;
		else
			to = middle;
	}
	return NULL;
}

uint64_t
zp_checkpoint_trim(const struct zp_checkpoint *checkpoint)
{
	uint64_t trim = checkpoint->batch;

	for (uint32_t i = 0; i < checkpoint->shards_count; i++)
		trim = zp_min_u64(trim, checkpoint->shards[i].covered);
	return trim;
}

static void
u64_field(struct zp_buf *file, uint16_t tag, uint64_t value)
{
	uint8_t bytes[8];

	zp_store_u64le(bytes, value);
	zp_envelope_field(file, tag, bytes, sizeof(bytes));
}

void
zp_checkpoint_encode(const struct zp_checkpoint *checkpoint, struct zp_buf *file)
{
	uint8_t bytes[SHARD_BYTES];

	zp_envelope_begin(file, "ZPINchkp");
	u64_field(file, TAG_NUMBER, checkpoint->number);
	zp_store_u64le(bytes, checkpoint->node);
	zp_store_u64le(bytes + 8, checkpoint->epoch);
	zp_store_u64le(bytes + 16, checkpoint->batch);
	zp_envelope_field(file, TAG_POSITION, bytes, 24);
	u64_field(file, TAG_TIME, (uint64_t)checkpoint->time_microseconds);
	u64_field(file, TAG_MAP, checkpoint->map_number);
	for (uint32_t i = 0; i < checkpoint->shards_count; i++) {
		const struct zp_checkpoint_shard *shard = &checkpoint->shards[i];

		zp_store_u64le(bytes, shard->id);
		zp_store_u32le(bytes + 8, shard->incarnation);
		zp_store_u32le(bytes + 12, 0);
		zp_store_u64le(bytes + 16, shard->manifest_number);
		zp_store_u64le(bytes + 24, shard->manifest_checksum);
		zp_store_u64le(bytes + 32, shard->covered);
		zp_envelope_field(file, TAG_SHARD, bytes, SHARD_BYTES);
	}
	for (uint32_t i = 0; i < checkpoint->origins_count; i++) {
		const struct zp_checkpoint_origin *origin = &checkpoint->origins[i];

		memcpy(bytes, origin->id, 16);
		zp_store_u64le(bytes + 16, origin->sequence);
		zp_store_u64le(bytes + 24, (uint64_t)origin->time_microseconds);
		zp_envelope_field(file, TAG_ORIGIN, bytes, ORIGIN_BYTES);
	}
	zp_envelope_field(file, TAG_CLUSTER, checkpoint->cluster_id, 16);
	for (uint32_t i = 0; i < checkpoint->shards_count; i++) {
		const struct zp_checkpoint_shard *shard = &checkpoint->shards[i];

		if (!shard->has_said)
			continue;
		zp_store_u64le(bytes, shard->id);
		zp_store_u64le(bytes + 8, shard->applied);
		zp_store_u64le(bytes + 16, shard->pins);
		zp_store_u64le(bytes + 24, 0);
		zp_envelope_field(file, TAG_SAID, bytes, SAID_BYTES);
	}
	zp_envelope_end(file);
}

static int
shard_decode(struct zp_slice field, struct zp_checkpoint *checkpoint, struct zp_err *err)
{
	uint32_t count = checkpoint->shards_count;
	struct zp_checkpoint_shard *shard;

	if (field.length != SHARD_BYTES || zp_load_u32le(field.data + 12) != 0)
		return zp_fail(err, ZP_E_CORRUPT, "shard %u is not well formed", count);
	if (count == ZP_SHARDS_MAX)
		return zp_fail(err, ZP_E_CORRUPT, "more than %u shards", ZP_SHARDS_MAX);
	shard = &checkpoint->shards[checkpoint->shards_count++];
	shard->id = zp_load_u64le(field.data);
	shard->incarnation = zp_load_u32le(field.data + 8);
	shard->manifest_number = zp_load_u64le(field.data + 16);
	shard->manifest_checksum = zp_load_u64le(field.data + 24);
	shard->covered = zp_load_u64le(field.data + 32);
	if (shard->id == 0 || (count > 0 && checkpoint->shards[count - 1].id >= shard->id))
		return zp_fail(err, ZP_E_CORRUPT, "shard ids do not rise");
	return ZP_OK;
}

/* The shards themselves stand before it. */
static int
said_decode(
    struct zp_slice field, struct zp_checkpoint *checkpoint, uint64_t *last, struct zp_err *err)
{
	struct zp_checkpoint_shard *shard;
	uint64_t id;

	if (field.length != SAID_BYTES || zp_load_u64le(field.data + 24) != 0)
		return zp_fail(err, ZP_E_CORRUPT, "what a manifest says is not well formed");
	id = zp_load_u64le(field.data);
	shard = (struct zp_checkpoint_shard *)zp_checkpoint_find(checkpoint, id);
	if (shard == NULL || id <= *last)
		return zp_fail(err, ZP_E_CORRUPT,
		    "what a manifest of shard %016llx says is out of place",
		    (unsigned long long)id);
	*last = id;
	shard->has_said = true;
	shard->applied = zp_load_u64le(field.data + 8);
	shard->pins = zp_load_u64le(field.data + 16);
	return ZP_OK;
}

static int
origin_decode(struct zp_slice field, struct zp_checkpoint *checkpoint, struct zp_err *err)
{
	struct zp_checkpoint_origin *origin;

	if (field.length != ORIGIN_BYTES)
		return zp_fail(err, ZP_E_CORRUPT, "an origin is not well formed");
	if (checkpoint->origins_count == ZP_ORIGINS_MAX)
		return zp_fail(err, ZP_E_CORRUPT, "more than %u origins", ZP_ORIGINS_MAX);
	origin = &checkpoint->origins[checkpoint->origins_count++];
	memcpy(origin->id, field.data, 16);
	origin->sequence = zp_load_u64le(field.data + 16);
	origin->time_microseconds = (int64_t)zp_load_u64le(field.data + 24);
	return ZP_OK;
}

static int
field_decode(
    uint16_t tag, struct zp_slice field, struct zp_checkpoint *checkpoint, struct zp_err *err)
{
	static const uint8_t lengths[] = {[TAG_NUMBER] = 8,
	    [TAG_POSITION] = 24,
	    [TAG_TIME] = 8,
	    [TAG_MAP] = 8,
	    [TAG_CLUSTER] = 16};

	if (tag == TAG_SHARD)
		return shard_decode(field, checkpoint, err);
	if (tag == TAG_ORIGIN)
		return origin_decode(field, checkpoint, err);
	/* Not damage, for which an older checkpoint would be used. */
	if (tag >= sizeof(lengths) || lengths[tag] == 0)
		return zp_fail(err, ZP_E_VERSION, "field %u was written by a newer zpin", tag);
	if (field.length != lengths[tag])
		return zp_fail(err, ZP_E_CORRUPT, "field %u has %zu bytes", tag, field.length);
	switch (tag) {
	case TAG_NUMBER:
		checkpoint->number = zp_load_u64le(field.data);
		break;
	case TAG_POSITION:
		checkpoint->node = zp_load_u64le(field.data);
		checkpoint->epoch = zp_load_u64le(field.data + 8);
		checkpoint->batch = zp_load_u64le(field.data + 16);
		break;
	case TAG_TIME:
		checkpoint->time_microseconds = (int64_t)zp_load_u64le(field.data);
		break;
	case TAG_MAP:
		checkpoint->map_number = zp_load_u64le(field.data);
		break;
	default:
		memcpy(checkpoint->cluster_id, field.data, 16);
		break;
	}
	return ZP_OK;
}

int
zp_checkpoint_decode(struct zp_slice file, struct zp_checkpoint *checkpoint_out, struct zp_err *err)
{
	struct zp_envelope_reader reader;
	struct zp_checkpoint checkpoint = {0};
	uint32_t seen = 0; /* bit per tag */
	uint64_t said_last = 0;
	struct zp_slice field;
	uint16_t tag;
	int rc = zp_envelope_open(file, "ZPINchkp", "checkpoint", &reader, err);

	if (rc < 0)
		return rc;
	checkpoint.shards = zp_alloc_zero(ZP_SHARDS_MAX, sizeof(*checkpoint.shards));
	checkpoint.origins = zp_alloc_zero(ZP_ORIGINS_MAX, sizeof(*checkpoint.origins));
	reader.optional_max = TAG_SAID;
	while ((rc = zp_envelope_next(&reader, &tag, &field, err)) == ZP_OK) {
		if (tag >= ZP_ENVELOPE_OPTIONAL) {
			rc = tag == TAG_SAID ? said_decode(field, &checkpoint, &said_last, err)
					     : ZP_OK;
			if (rc < 0)
				break;
			continue;
		}
		rc = field_decode(tag, field, &checkpoint, err);
		if (rc < 0)
			break;
		if ((seen >> tag & 1) != 0 && tag != TAG_SHARD && tag != TAG_ORIGIN) {
			rc = zp_fail(err, ZP_E_CORRUPT, "field %u is there twice", tag);
			break;
		}
		seen |= 1u << tag;
	}
	if (rc == ZP_END) {
		bool whole = seen == (1u << TAG_NUMBER | 1u << TAG_POSITION | 1u << TAG_TIME |
					 1u << TAG_MAP | 1u << TAG_SHARD | 1u << TAG_CLUSTER |
					 (seen & 1u << TAG_ORIGIN));

		rc = whole && checkpoint.number != 0
			 ? ZP_OK
			 : zp_fail(err, ZP_E_CORRUPT, "a field is missing");
	}
	if (rc < 0) {
		zp_checkpoint_done(&checkpoint);
		return zp_wrap(err, rc, "checkpoint");
	}
	*checkpoint_out = checkpoint;
	return ZP_OK;
}
