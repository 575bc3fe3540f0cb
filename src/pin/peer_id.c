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

#define CODEC_LIBP2P_KEY 0x72u

static int
check(struct zp_slice binary, struct zp_err *err)
{
	struct pin__multihash multihash;
	const char *problem = pin__multihash_read(binary, &multihash);

	if (problem == NULL && multihash.length != binary.length)
		problem = "multihash length inconsistent";
	if (problem != NULL)
		return zp_fail(err, ZP_E_INVALID, "failed to parse peer ID: %s", problem);
	if (binary.length > ZP_PEER_ID_BYTES_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE, "peer ID of %zu bytes, at most %u are taken",
		    binary.length, ZP_PEER_ID_BYTES_MAX);
	if (multihash.code != ZP_MULTIHASH_SHA2_256 && multihash.code != ZP_MULTIHASH_IDENTITY)
		return zp_fail(err, ZP_E_INVALID,
		    "failed to parse peer ID: invalid multihash code %llu expected sha-256 or "
		    "identity",
		    (unsigned long long)multihash.code);
	if (multihash.code == ZP_MULTIHASH_SHA2_256 && multihash.digest_length != 32)
		return zp_fail(err, ZP_E_INVALID,
		    "failed to parse peer ID: invalid digest length %zu for sha256: expected 32",
		    multihash.digest_length);
	return ZP_OK;
}

static int
decode_base58(struct zp_slice text, uint8_t *binary_out, size_t *length_out, struct zp_err *err)
{
	uint8_t bytes[ZP_CID_BYTES_MAX];
	size_t length, bad;
	int rc;

	if (pin__radix_decode(&pin__base58btc, text, bytes, &length, &bad) != PIN__DECODED)
		return zp_fail(
		    err, ZP_E_INVALID, "failed to parse peer ID: input isn't valid multihash");
	rc = check((struct zp_slice){.data = bytes, .length = length}, err);
	if (rc < 0)
		return rc;
	memcpy(binary_out, bytes, length);
	*length_out = length;
	return ZP_OK;
}

int
pin__peer_id_decode(struct zp_slice text, uint8_t binary_out[ZP_PEER_ID_BYTES_MAX],
    size_t *length_out, struct zp_err *err)
{
	struct zp_slice binary;
	struct zp_cid cid;
	int rc;

	if (text.length > 0 &&
	    (text.data[0] == '1' || (text.length > 1 && memcmp(text.data, "Qm", 2) == 0)))
		return decode_base58(text, binary_out, length_out, err);
	rc = zp_cid_parse(text, &cid, err);
	if (rc < 0)
		return zp_wrap(err, rc, "failed to parse peer ID");
	if (cid.codec != CODEC_LIBP2P_KEY)
		return zp_fail(err, ZP_E_INVALID, "can't convert CID of codec 0x%llx to a peer ID",
		    (unsigned long long)cid.codec);
	/* The multihash is what follows version and codec, both of one byte here. */
	binary = (struct zp_slice){.data = cid.bytes + 2, .length = cid.length - 2};
	rc = check(binary, err);
	if (rc < 0)
		return rc;
	memcpy(binary_out, binary.data, binary.length);
	*length_out = binary.length;
	return ZP_OK;
}

int
zp_peer_id_parse(struct zp_slice text, struct zp_buf *binary, struct zp_err *err)
{
	uint8_t bytes[ZP_PEER_ID_BYTES_MAX];
	size_t length;
	int rc = pin__peer_id_decode(text, bytes, &length, err);

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
