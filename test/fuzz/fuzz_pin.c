/*
 * fuzz_pin.c - pins from JSON, whatever is read.
 *
 * Holds: a pin that is taken makes a record or is refused with a message; the record prints as JSON
 * that reads as a pin with the same record.
 */
#include "pin/pin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
list_print(const struct zp_pin *pin, struct zp_buf *json)
{
	zp_buf_append_byte(json, '[');
	for (size_t i = 0; i < pin->allocations_count; i++) {
		zp_buf_append_text(json, i == 0 ? "\"" : ",\"");
		zp_peer_id_format(pin->allocations[i], json);
		zp_buf_append_byte(json, '"');
	}
	zp_buf_append_byte(json, ']');
}

static void
encode(
    const struct zp_pin *pin, struct zp_buf *texts, struct zp_record *record, struct zp_buf *bytes)
{
	int rc = zp_pin_to_record(pin, pin->allocations_count, texts, record, NULL);

	ZP_ASSERT(rc == ZP_OK);
	zp_record_encode(record, bytes);
}

static void
check_round(struct zp_pin *pin)
{
	ZP_AUTO_BUF(texts, ZP_RECORD_BYTES_MAX);
	ZP_AUTO_BUF(bytes, ZP_RECORD_BYTES_MAX);
	ZP_AUTO_BUF(again, ZP_RECORD_BYTES_MAX);
	ZP_AUTO_BUF(list, 1u << 20);
	ZP_AUTO_BUF(json, 2u << 20);
	struct zp_record record, decoded;
	struct zp_key key;
	struct zp_err err = {0};
	int rc;

	encode(pin, &texts, &record, &bytes);
	rc = zp_record_decode(zp_buf_slice(&bytes), &decoded, &err);
	ZP_ASSERT(rc == ZP_OK);
	zp_key_of_cid(&pin->cid, 0, 0, &key);
	list_print(pin, &list);
	rc = zp_pin_to_json(&key, &decoded, zp_buf_slice(&list), NULL, &json, &err);
	ZP_ASSERT(rc == ZP_OK);
	rc = zp_pin_from_json(zp_buf_slice(&json), pin, &err);
	ZP_ASSERT(rc == ZP_OK);
	encode(pin, &texts, &record, &again);
	ZP_ASSERT(zp_slice_equal(zp_buf_slice(&bytes), zp_buf_slice(&again)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ZP_AUTO_BUF(texts, ZP_RECORD_BYTES_MAX);
	struct zp_record record;
	struct zp_err err = {0};
	struct zp_pin pin;
	int rc;

	zp_pin_init(&pin);
	rc = zp_pin_from_json((struct zp_slice){.data = data, .length = size}, &pin, &err);
	if (rc == ZP_OK)
		rc = zp_pin_to_record(&pin, pin.allocations_count, &texts, &record, &err);
	if (rc == ZP_OK)
		check_round(&pin);
	else
		ZP_ASSERT(err.code == rc && err.text[0] != '\0');
	zp_pin_done(&pin);
	return 0;
}
