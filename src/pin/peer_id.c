/*
 * peer_id.c - libp2p peer ids between text and binary form.
 *
 * Flow: allocations of pins, the registry of peers, /p2p/ parts of multiaddresses. Owner: none.
 *
 * A peer id is a multihash of a public key: identity for small keys ("12D3KooW…", "16Uiu2…"),
 * sha2-256 for large ones ("Qm…"). Its text is bare base58btc, or a CIDv1 with the codec
 * libp2p-key. https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md
 */
#include "pin/pin_internal.h"

#include <stdio.h>

#define CODEC_LIBP2P_KEY 0x72u

static int
check(struct zp_slice binary, struct zp_err *err)
{
	struct pin__multihash multihash;
	int rc = pin__multihash_read_whole(binary, &multihash, err);

	if (rc < 0)
		return rc;
	if (binary.length > ZP_PEER_ID_BYTES_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE, "peer ID of %zu bytes, at most %u are taken",
		    binary.length, ZP_PEER_ID_BYTES_MAX);
	if (multihash.code != ZP_MULTIHASH_SHA2_256 && multihash.code != ZP_MULTIHASH_IDENTITY)
		return zp_fail(err, ZP_E_INVALID,
		    "invalid multihash code %llu expected sha-256 or identity",
		    (unsigned long long)multihash.code);
	if (multihash.code == ZP_MULTIHASH_SHA2_256 && multihash.digest_length != 32)
		return zp_fail(err, ZP_E_INVALID,
		    "invalid digest length %zu for sha256: expected 32", multihash.digest_length);
	return ZP_OK;
}

static int
decode_base58(struct zp_slice text, uint8_t *binary_out, size_t *length_out, struct zp_err *err)
{
	uint8_t bytes[ZP_CID_BYTES_MAX];
	size_t length, bad;
	int rc;

	if (pin__radix_decode(&pin__base58btc, text, bytes, &length, &bad) != PIN__DECODED)
		return zp_fail(err, ZP_E_INVALID, "input isn't valid multihash");
	rc = check((struct zp_slice){.data = bytes, .length = length}, err);
	if (rc < 0)
		return rc;
	memcpy(binary_out, bytes, length);
	*length_out = length;
	return ZP_OK;
}

/* Go's multicodec prints its name; of those that somebody may take for a peer's. */
static const char *
codec_name(uint64_t codec, char room[32])
{
	static const struct {
		uint64_t codec;
		const char *name;
	} names[] = {{0x50, "protobuf"}, {0x51, "cbor"}, {0x55, "raw"}, {0x70, "dag-pb"},
	    {0x71, "dag-cbor"}, {0x78, "git-raw"}, {0x85, "dag-jose"}, {0x0129, "dag-json"},
	    {0x0200, "json"}, {0x0202, "car"}};

	for (size_t i = 0; i < ZP_ARRAY_COUNT(names); i++)
		if (names[i].codec == codec)
			return names[i].name;
	snprintf(room, 32, "Code(%llu)", (unsigned long long)codec);
	return room;
}

static int
fail_codec(struct zp_slice text, enum pin__peer_place place, uint64_t codec, struct zp_err *err)
{
	char room[32];

	if (place == PIN__PEER_ALONE)
		return zp_fail(err, ZP_E_INVALID, "can't convert CID of type \"%s\" to a peer ID",
		    codec_name(codec, room));
	return zp_fail(err, ZP_E_INVALID,
	    "failed to parse p2p addr: %.*s has the invalid codec %llu", pin__shown(text),
	    text.data, (unsigned long long)codec);
}

/* Says of what the error is. */
static int
wrap(struct zp_slice text, enum pin__peer_place place, int rc, struct zp_err *err)
{
	struct zp_err why;

	if (place == PIN__PEER_ALONE || err == NULL)
		return zp_wrap(err, rc, "failed to parse peer ID");
	why = *err;
	zp_err_clear(err);
	return zp_fail(
	    err, rc, "failed to parse p2p addr: %.*s %s", pin__shown(text), text.data, why.text);
}

int
pin__peer_id_decode(struct zp_slice text, enum pin__peer_place place,
    uint8_t binary_out[ZP_PEER_ID_BYTES_MAX], size_t *length_out, struct zp_err *err)
{
	struct zp_slice binary;
	struct zp_cid cid;
	int rc;

	if (text.length > 0 &&
	    (text.data[0] == '1' || (text.length > 1 && memcmp(text.data, "Qm", 2) == 0))) {
		rc = decode_base58(text, binary_out, length_out, err);
		return rc < 0 ? wrap(text, place, rc, err) : rc;
	}
	rc = zp_cid_parse(text, &cid, err);
	if (rc == ZP_OK && cid.codec != CODEC_LIBP2P_KEY)
		return fail_codec(text, place, cid.codec, err);
	if (rc < 0)
		return wrap(text, place, rc, err);
	/* The multihash is what follows version and codec, both of one byte here. */
	binary = (struct zp_slice){.data = cid.bytes + 2, .length = cid.length - 2};
	rc = check(binary, err);
	if (rc < 0)
		return wrap(text, place, rc, err);
	memcpy(binary_out, binary.data, binary.length);
	*length_out = binary.length;
	return ZP_OK;
}

int
zp_peer_id_parse(struct zp_slice text, struct zp_buf *binary, struct zp_err *err)
{
	uint8_t bytes[ZP_PEER_ID_BYTES_MAX];
	size_t length;
	int rc = pin__peer_id_decode(text, PIN__PEER_ALONE, bytes, &length, err);

	if (rc < 0)
		return rc;
	zp_buf_append(binary, bytes, length);
	return zp_buf_check(binary, "peer ID", err);
}

void
zp_peer_id_format(struct zp_slice binary, struct zp_buf *text)
{
	ZP_ASSERT(binary.length <= ZP_PEER_ID_BYTES_MAX);
	pin__radix_encode(&pin__base58btc, binary, text);
}
