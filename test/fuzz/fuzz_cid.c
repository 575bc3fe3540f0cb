/*
 * fuzz_cid.c - CIDs and peer ids as text and as bytes.
 *
 * Holds: what parses prints as a text that parses to the same CID; a CID's bytes decode to it; its
 * key survives its encoding and gives the CID back.
 */
#include "pin/pin_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_same(const struct zp_cid *a, const struct zp_cid *b)
{
	ZP_ASSERT(a->version == b->version && a->codec == b->codec);
	ZP_ASSERT(a->multihash_code == b->multihash_code);
	ZP_ASSERT(a->digest_offset == b->digest_offset && a->digest_length == b->digest_length);
	ZP_ASSERT(a->digest_offset + a->digest_length == a->length);
	ZP_ASSERT(a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0);
}

static void
check_key(const struct zp_cid *cid)
{
	struct zp_record record = {{0}, {0}};
	uint8_t bytes[ZP_KEY_BYTES];
	ZP_AUTO_BUF(texts, ZP_RECORD_BYTES_MAX);
	struct zp_key key, back;
	struct zp_cid again;
	int rc;

	zp_key_of_cid(cid, 0, 0, &key);
	zp_key_encode(&key, bytes);
	rc = zp_key_decode(bytes, &back, NULL);
	ZP_ASSERT(rc == ZP_OK && zp_key_compare(&key, &back) == 0);
	if (key.kind == ZP_KIND_OTHER)
		pin__text_append(&texts, ZP_TEXT_CID,
		    (struct zp_slice){.data = cid->bytes, .length = cid->length});
	record.texts = zp_buf_slice(&texts);
	rc = zp_texts_check(record.texts, key.kind, NULL);
	ZP_ASSERT(rc == ZP_OK);
	rc = zp_cid_of_record(&back, &record, &again, NULL);
	ZP_ASSERT(rc == ZP_OK);
	check_same(cid, &again);
}

static void
check_cid(const struct zp_cid *cid)
{
	ZP_AUTO_BUF(text, ZP_CID_TEXT_MAX);
	struct zp_cid again;
	int rc;

	zp_cid_format(cid, &text);
	rc = zp_cid_parse(zp_buf_slice(&text), &again, NULL);
	ZP_ASSERT(rc == ZP_OK);
	check_same(cid, &again);
	rc = zp_cid_decode(
	    (struct zp_slice){.data = cid->bytes, .length = cid->length}, &again, NULL);
	ZP_ASSERT(rc == ZP_OK);
	check_same(cid, &again);
	check_key(cid);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zp_slice slice = {.data = data, .length = size};
	ZP_AUTO_BUF(binary, ZP_PEER_ID_BYTES_MAX);
	ZP_AUTO_BUF(text, ZP_CID_TEXT_MAX);
	ZP_AUTO_BUF(again, ZP_PEER_ID_BYTES_MAX);
	struct zp_cid cid;

	if (zp_cid_parse(slice, &cid, NULL) == ZP_OK)
		check_cid(&cid);
	if (zp_cid_decode(slice, &cid, NULL) == ZP_OK)
		check_cid(&cid);
	if (zp_peer_id_parse(slice, &binary, NULL) == ZP_OK) {
		int rc;

		zp_peer_id_format(zp_buf_slice(&binary), &text);
		rc = zp_peer_id_parse(zp_buf_slice(&text), &again, NULL);
		ZP_ASSERT(rc == ZP_OK);
		ZP_ASSERT(zp_slice_equal(zp_buf_slice(&binary), zp_buf_slice(&again)));
	}
	return 0;
}
