/*
 * key.c - where a pin stands in the order of all pins.
 *
 * Flow: command and engine make keys of CIDs; the engine, journal and shards order by them.
 * Owner: none; no state. Drawn in docs/formats.md, "Key".
 */
/* The plain SHA-256 calls allocate nothing and look nothing up; OpenSSL 3 only prefers others. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "pin/pin_internal.h"

#include <openssl/sha.h>

enum zp_key_kind
pin__kind_of(const struct zp_cid *cid)
{
	return cid->multihash_code == ZP_MULTIHASH_SHA2_256 && cid->digest_length == 32
		   ? ZP_KIND_SHA2_256
		   : ZP_KIND_OTHER;
}

static void
sha256(const uint8_t *bytes, size_t length, uint8_t digest_out[32])
{
	SHA256_CTX context;

	SHA256_Init(&context);
	SHA256_Update(&context, bytes, length);
	SHA256_Final(digest_out, &context);
}

void
zp_key_of_cid(
    const struct zp_cid *cid, uint32_t namespace_id, uint64_t claim, struct zp_key *key_out)
{
	key_out->claim = claim;
	key_out->namespace_id = namespace_id;
	key_out->kind = (uint8_t)pin__kind_of(cid);
	if (key_out->kind == ZP_KIND_SHA2_256) {
		key_out->version = cid->version;
		key_out->codec = cid->codec;
		memcpy(key_out->digest, cid->bytes + cid->digest_offset, 32);
		return;
	}
	key_out->version = 0;
	key_out->codec = 0;
	sha256(cid->bytes, cid->length, key_out->digest);
}

void
zp_key_encode(const struct zp_key *key, uint8_t bytes_out[ZP_KEY_BYTES])
{
	memcpy(bytes_out, key->digest, 32);
	bytes_out[32] = key->kind;
	bytes_out[33] = key->version;
	zp_store_u64be(bytes_out + 34, key->codec);
	zp_store_u32be(bytes_out + 42, key->namespace_id);
	zp_store_u64be(bytes_out + 46, key->claim);
}

int
zp_key_decode(const uint8_t bytes[ZP_KEY_BYTES], struct zp_key *key_out, struct zp_err *err)
{
	struct zp_key key = {
	    .kind = bytes[32],
	    .version = bytes[33],
	    .codec = zp_load_u64be(bytes + 34),
	    .namespace_id = zp_load_u32be(bytes + 42),
	    .claim = zp_load_u64be(bytes + 46),
	};

	if (key.kind > ZP_KIND_OTHER)
		return zp_fail(err, ZP_E_CORRUPT, "key of unknown kind %u", key.kind);
	if (key.version > 1)
		return zp_fail(err, ZP_E_CORRUPT, "key with CID version %u", key.version);
	if (key.kind == ZP_KIND_OTHER && (key.version != 0 || key.codec != 0))
		return zp_fail(err, ZP_E_CORRUPT, "key of another multihash with a CID's form");
	if (key.kind == ZP_KIND_SHA2_256 && key.version == 0 && key.codec != ZP_CODEC_DAG_PB)
		return zp_fail(err, ZP_E_CORRUPT, "key of CID version 0 with codec 0x%llx",
		    (unsigned long long)key.codec);
	if (key.codec > INT64_MAX)
		return zp_fail(err, ZP_E_CORRUPT, "key with a codec over 63 bits");
	if (key.namespace_id == 0 && key.claim != 0)
		return zp_fail(err, ZP_E_CORRUPT, "key with a claim in namespace 0");
	memcpy(key.digest, bytes, 32);
	*key_out = key;
	return ZP_OK;
}

static int
compare_u64(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

int
zp_key_compare(const struct zp_key *a, const struct zp_key *b)
{
	int order = memcmp(a->digest, b->digest, 32);

	if (order == 0)
		order = compare_u64(a->kind, b->kind);
	if (order == 0)
		order = compare_u64(a->version, b->version);
	if (order == 0)
		order = compare_u64(a->codec, b->codec);
	if (order == 0)
		order = compare_u64(a->namespace_id, b->namespace_id);
	if (order == 0)
		order = compare_u64(a->claim, b->claim);
	return order;
}
