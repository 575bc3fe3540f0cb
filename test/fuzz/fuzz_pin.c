/*
 * fuzz_pin.c - pins from JSON, whatever is read.
 *
 * Holds: a pin that is taken makes a record or is refused with a message; the record prints as JSON
 * that reads as a pin with the same record. Its lines, one after the other, read as each does
 * alone.
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

static void
check_line(struct zp_pin_lines *lines, struct zp_slice line, struct zp_pin *pin)
{
	ZP_AUTO_BUF(texts, ZP_RECORD_BYTES_MAX);
	ZP_AUTO_BUF(other_texts, ZP_RECORD_BYTES_MAX);
	struct zp_record record, other;
	int rc = zp_pin_lines_read(lines, line, NULL);

	ZP_ASSERT(rc == zp_pin_from_json(line, pin, NULL));
	if (rc < 0)
		return;
	rc = zp_pin_to_record(&lines->pin, lines->pin.allocations_count, &texts, &record, NULL);
	ZP_ASSERT(rc == zp_pin_to_record(pin, pin->allocations_count, &other_texts, &other, NULL));
	if (rc < 0)
		return;
	ZP_ASSERT(memcmp(record.facts, other.facts, sizeof(other.facts)) == 0);
	ZP_ASSERT(zp_slice_equal(record.texts, other.texts));
	ZP_ASSERT(pin->cid.length == lines->pin.cid.length &&
		  memcmp(pin->cid.bytes, lines->pin.cid.bytes, pin->cid.length) == 0);
}

static void
check_lines(struct zp_slice text, struct zp_pin *pin)
{
	struct zp_pin_lines lines;

	zp_pin_lines_init(&lines);
	while (text.length > 0) {
		const uint8_t *end = memchr(text.data, '\n', text.length);
		size_t length = end == NULL ? text.length : (size_t)(end - text.data);

		check_line(&lines, (struct zp_slice){text.data, length}, pin);
		length += end != NULL;
		text = (struct zp_slice){text.data + length, text.length - length};
	}
	zp_pin_lines_done(&lines);
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
	check_lines((struct zp_slice){.data = data, .length = size}, &pin);
	zp_pin_done(&pin);
	return 0;
}
