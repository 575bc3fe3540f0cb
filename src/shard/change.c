/*
 * change.c - a change as the payload of a journal record, and back.
 *
 * Flow:   command encodes what it decided; replay.c decodes at start. Owner: none, no state.
 * Format: docs/formats.md, "Journal", operations; the compact key.
 *
 * Decoding trusts nothing: a checksum proves that the bytes are those that were written, not that
 * whoever wrote them was sane, and lanes will carry records of other nodes.
 */
#include "shard/shard_internal.h"

#define COMPACT_KEY_BYTES_MAX (32u + 1 + 10 + 5 + 10)

static void
key_encode(const struct zp_key *key, struct zp_buf *payload)
{
	uint8_t *to = zp_buf_reserve(payload, COMPACT_KEY_BYTES_MAX);
	size_t at = 33;

	if (to == NULL)
		return;
	memcpy(to, key->digest, 32);
	to[32] = (uint8_t)(key->kind << 4 | key->version);
	at += zp_varint_put(to + at, key->codec);
	at += zp_varint_put(to + at, key->namespace_id);
	at += zp_varint_put(to + at, key->claim);
	payload->length += at;
}

size_t
zp_shard_put_encode(
    const struct zp_key *key, const struct zp_record *record, struct zp_buf *payload)
{
	size_t before;

	key_encode(key, payload);
	before = payload->length;
	zp_record_encode(record, payload);
	return payload->overflow ? SIZE_MAX : payload->length - before;
}

void
zp_shard_delete_encode(const struct zp_key *key, struct zp_buf *payload)
{
	key_encode(key, payload);
}

void
zp_shard_expire_encode(const struct zp_key *key, uint64_t expire_fact, struct zp_buf *payload)
{
	key_encode(key, payload);
	zp_buf_append_varint(payload, expire_fact);
}

#define TRACK_PRIORITY 1u

void
zp_shard_track_encode(
    const struct zp_key *key, const struct zp_track *track, struct zp_buf *payload)
{
	key_encode(key, payload);
	zp_buf_append_varint(payload, track->peer);
	zp_buf_append_varint(payload, track->status);
	zp_buf_append_varint(payload, zp_zigzag(track->since_microseconds));
	zp_buf_append_varint(payload, track->attempts);
	zp_buf_append_varint(payload, track->is_priority ? TRACK_PRIORITY : 0);
	zp_buf_append_varint(payload, track->texts.length);
	zp_buf_append_slice(payload, track->texts);
}

void
zp_shard_track_end_encode(const struct zp_key *key, uint32_t peer, struct zp_buf *payload)
{
	key_encode(key, payload);
	zp_buf_append_varint(payload, peer);
}

void
zp_shard_access_encode(
    const struct zp_key *key, const struct zp_accesses *access, struct zp_buf *payload)
{
	key_encode(key, payload);
	zp_buf_append_varint(payload, access->count);
	zp_buf_append_varint(payload, (uint64_t)access->last_seconds);
}

void
zp_shard_peer_encode(uint32_t id, struct zp_slice binary, struct zp_buf *payload)
{
	zp_buf_append_varint(payload, id);
	zp_buf_append_slice(payload, binary);
}

void
zp_shard_list_encode(uint32_t id, const uint32_t *peers, size_t count, struct zp_buf *payload)
{
	zp_buf_append_varint(payload, id);
	zp_buf_append_varint(payload, count);
	for (size_t i = 0; i < count; i++)
		zp_buf_append_varint(payload, peers[i]);
}

void
zp_shard_peer_moved_encode(uint32_t from, uint32_t to, struct zp_buf *payload)
{
	zp_buf_append_varint(payload, from);
	zp_buf_append_varint(payload, to);
}

/* ---- Decoding ------------------------------------------------------------------------------- */

/* A cursor over a payload; `bad` stays set once something did not fit. */
struct reader {
	struct zp_slice left;
	bool bad;
};

static uint64_t
read_varint(struct reader *reader, uint64_t maximum)
{
	uint64_t value = 0;
	size_t length = zp_varint_get(reader->left.data, reader->left.length, &value);

	if (reader->bad || length == 0 || value > maximum) {
		reader->bad = true;
		return 0;
	}
	reader->left.data += length;
	reader->left.length -= length;
	return value;
}

/* By way of the full form, so that one place (zp_key_decode) knows what a key may be. */
static int
read_key(struct reader *reader, struct zp_key *key_out, struct zp_err *err)
{
	uint8_t bytes[ZP_KEY_BYTES];

	if (reader->left.length < 33)
		return zp_fail(err, ZP_E_CORRUPT, "journal record: the key is cut off");
	memcpy(bytes, reader->left.data, 32);
	bytes[32] = reader->left.data[32] >> 4;
	bytes[33] = reader->left.data[32] & 15;
	reader->left.data += 33;
	reader->left.length -= 33;
	zp_store_u64be(bytes + 34, read_varint(reader, UINT64_MAX));
	zp_store_u32be(bytes + 42, (uint32_t)read_varint(reader, UINT32_MAX));
	zp_store_u64be(bytes + 46, read_varint(reader, UINT64_MAX));
	if (reader->bad)
		return zp_fail(err, ZP_E_CORRUPT, "journal record: the key is not well formed");
	return zp_key_decode(bytes, key_out, err);
}

static int
read_put(struct reader *reader, struct zp_shard_change *change, struct zp_err *err)
{
	int rc = read_key(reader, &change->key, err);

	if (rc == ZP_OK)
		rc = zp_record_decode(reader->left, &change->record, err);
	if (rc == ZP_OK)
		rc = zp_texts_check(change->record.texts, change->key.kind, err);
	reader->left.length = 0; /* a record takes all */
	return rc;
}

static int
read_track(struct reader *reader, struct zp_shard_change *change, struct zp_err *err)
{
	struct zp_track *track = &change->track;
	int rc = read_key(reader, &change->key, err);

	if (rc < 0)
		return rc;
	*track = (struct zp_track){.peer = (uint32_t)read_varint(reader, UINT32_MAX)};
	track->status = (uint8_t)read_varint(reader, UINT8_MAX);
	track->since_microseconds = zp_unzigzag(read_varint(reader, UINT64_MAX));
	track->attempts = (uint32_t)read_varint(reader, UINT32_MAX);
	track->is_priority = read_varint(reader, TRACK_PRIORITY) != 0;
	reader->bad |= read_varint(reader, ZP_TRACK_TEXTS_BYTES_MAX) != reader->left.length;
	track->texts = reader->left;
	reader->left.length = 0; /* the texts take the rest */
	return reader->bad ? ZP_OK : zp_track_check(track, change->key.kind, err);
}

static int
read_track_end(struct reader *reader, struct zp_shard_change *change, struct zp_err *err)
{
	int rc = read_key(reader, &change->key, err);

	change->track = (struct zp_track){.peer = (uint32_t)read_varint(reader, UINT32_MAX)};
	if (rc == ZP_OK && !reader->bad && change->track.peer == 0)
		return zp_fail(err, ZP_E_CORRUPT, "journal record: a status of peer 0 ends");
	return rc;
}

static int
read_access(struct reader *reader, struct zp_shard_change *change, struct zp_err *err)
{
	int rc = read_key(reader, &change->key, err);

	change->accesses.count = read_varint(reader, ZP_ACCESS_COUNT_MAX);
	change->accesses.last_seconds = (int64_t)read_varint(reader, ZP_ACCESS_SECONDS_MAX);
	if (rc == ZP_OK && !reader->bad && change->accesses.count == 0)
		return zp_fail(err, ZP_E_CORRUPT, "journal record: no access is none");
	return rc;
}

static void
read_list(struct reader *reader, struct zp_shard_change *change)
{
	change->id = (uint32_t)read_varint(reader, UINT32_MAX);
	change->peers_count = (uint32_t)read_varint(reader, ZP_ALLOCATIONS_COUNT_MAX);
	for (uint32_t i = 0; i < change->peers_count; i++)
		change->peers[i] = (uint32_t)read_varint(reader, UINT32_MAX);
}

static int
read_body(struct reader *reader, struct zp_shard_change *change, struct zp_err *err)
{
	int rc;

	switch (change->operation) {
	case ZP_OP_PUT:
		return read_put(reader, change, err);
	case ZP_OP_DELETE:
		return read_key(reader, &change->key, err);
	case ZP_OP_EXPIRE:
		rc = read_key(reader, &change->key, err);
		change->expire_fact = read_varint(reader, UINT64_MAX);
		return rc;
	case ZP_OP_TRACK:
		return read_track(reader, change, err);
	case ZP_OP_TRACK_END:
		return read_track_end(reader, change, err);
	case ZP_OP_ACCESS:
		return read_access(reader, change, err);
	case ZP_OP_PEER:
		change->id = (uint32_t)read_varint(reader, UINT32_MAX);
		change->binary = reader->left;
		reader->left.length = 0;
		return ZP_OK;
	case ZP_OP_ALLOCATION_LIST:
		read_list(reader, change);
		return ZP_OK;
	case ZP_OP_PEER_MOVED:
		change->id = (uint32_t)read_varint(reader, UINT32_MAX);
		change->to = (uint32_t)read_varint(reader, UINT32_MAX);
		return ZP_OK;
	default:
		return zp_fail(err, ZP_E_VERSION,
		    "the journal has operation %u, which this zpin does not know: use the zpin "
		    "that wrote it",
		    change->operation);
	}
}

int
zp_shard_change_decode(uint8_t operation, struct zp_slice payload,
    struct zp_shard_change *change_out, struct zp_err *err)
{
	struct reader reader = {.left = payload};
	int rc;

	change_out->operation = operation;
	rc = read_body(&reader, change_out, err);
	if (rc < 0)
		return rc;
	if (reader.bad || reader.left.length != 0)
		return zp_fail(err, ZP_E_CORRUPT,
		    "journal record: the payload of operation %u is not well formed", operation);
	return ZP_OK;
}
