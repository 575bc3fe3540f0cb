/*
 * identity.h - who this node is: an Ed25519 key and the peer id made from it.
 *
 * The file is IPFS Cluster's identity.json, so that a peer's own can be taken over:
 * {"id": "12D3KooW…", "private_key": "<base64 of libp2p's PrivateKey protobuf>"}.
 */
#ifndef ZP_MAIN_IDENTITY_H
#define ZP_MAIN_IDENTITY_H

#include "base/base.h"

struct zp_identity {
	uint8_t peer_id[64]; /* binary multihash */
	size_t peer_id_bytes;
	char text[128]; /* the same in base58, NUL-terminated */
};

/* Makes a key and writes the file, readable by its owner only. ZP_E_EXISTS where there is one. */
ZP_MUST_CHECK int zp_identity_create(
    const char *path, struct zp_identity *identity_out, struct zp_err *err);

/* Reads the file; an Ed25519 key must fit the id. */
ZP_MUST_CHECK int zp_identity_read(
    const char *path, struct zp_identity *identity_out, struct zp_err *err);

#endif
