/*
 * fuzz_record.c - stored records and keys from any bytes.
 *
 * Holds: a record that decodes encodes to the very bytes it came from, its texts can be walked, and
 * printing it succeeds or reports damage. The first 54 bytes are taken as a key, which has one
 * encoding too.
 */
#include "pin/pin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_record(struct zp_slice bytes, const struct zp_key *key)
{
	ZP_AUTO_BUF(again, ZP_RECORD_BYTES_MAX);
	ZP_AUTO_BUF(json, 1u << 20);
	struct zp_record record;
	struct zp_slice value;
	enum zp_text_tag tag;
	struct zp_cid cid;
	size_t position = 0;
	int rc;

	if (zp_record_decode(bytes, &record, NULL) < 0)
		return;
	zp_record_encode(&record, &again);
	ZP_ASSERT(zp_slice_equal(zp_buf_slice(&again), bytes));
	while (zp_texts_next(record.texts, &position, &tag, &value) == ZP_OK)
		ZP_ASSERT(tag >= ZP_TEXT_CID && tag <= ZP_TEXT_REFERENCE);
	ZP_ASSERT(position == record.texts.length);
	rc = zp_pin_to_json(key, &record,
	    (struct zp_slice){.data = (const uint8_t *)"[]", .length = 2}, NULL, &json, NULL);
	ZP_ASSERT(rc == ZP_OK || rc == ZP_E_CORRUPT);
	if (rc == ZP_OK)
		ZP_ASSERT(zp_cid_of_record(key, &record, &cid, NULL) == ZP_OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zp_slice bytes = {.data = data, .length = size};
	uint8_t key_bytes[ZP_KEY_BYTES];
	struct zp_key key = {.version = 1, .codec = ZP_CODEC_RAW};

	check_record(bytes, &key);
	if (size < ZP_KEY_BYTES || zp_key_decode(data, &key, NULL) < 0)
		return 0;
	zp_key_encode(&key, key_bytes);
	ZP_ASSERT(memcmp(key_bytes, data, ZP_KEY_BYTES) == 0);
	check_record(
	    (struct zp_slice){.data = data + ZP_KEY_BYTES, .length = size - ZP_KEY_BYTES}, &key);
	return 0;
}
