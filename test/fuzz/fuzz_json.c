/*
 * fuzz_json.c - the JSON reader on any bytes.
 *
 * Holds: a text that is taken is taken again when it is walked value by value; each string of it,
 * printed and read once more, has the same value; numbers come back.
 */
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_string(const struct zp_json_string *string)
{
	ZP_AUTO_BUF(value, 1u << 20);
	ZP_AUTO_BUF(text, 8u << 20);
	ZP_AUTO_BUF(again, 1u << 20);
	struct zp_json_string second;
	struct zp_json json;
	int rc;

	zp_json_string_append(string, &value);
	ZP_ASSERT(value.length <= string->raw.length);
	ZP_ASSERT(zp_utf8_is_valid(zp_buf_slice(&value)));
	zp_json_put_string(&text, zp_buf_slice(&value));
	zp_json_init(&json, zp_buf_slice(&text));
	rc = zp_json_read_string(&json, &second, NULL);
	ZP_ASSERT(rc == ZP_OK);
	zp_json_string_append(&second, &again);
	ZP_ASSERT(zp_slice_equal(zp_buf_slice(&value), zp_buf_slice(&again)));
}

static void
check_number(struct zp_json *json)
{
	struct zp_json copy = *json;
	ZP_AUTO_BUF(text, 1024);
	double value, again;
	int64_t whole;
	int rc;

	if (zp_json_read_int64(&copy, &whole, NULL) == ZP_OK) {
		struct zp_json printed;
		int64_t second = 0;

		zp_buf_append_decimal(&text, whole);
		zp_json_init(&printed, zp_buf_slice(&text));
		rc = zp_json_read_int64(&printed, &second, NULL);
		ZP_ASSERT(rc == ZP_OK && second == whole);
		zp_buf_clear(&text);
	}
	if (zp_json_read_double(json, &value, NULL) < 0) {
		rc = zp_json_skip(json, NULL); /* too large or too long for a double */
		ZP_ASSERT(rc == ZP_OK);
		return;
	}
	zp_json_put_double(&text, value);
	zp_json_init(&copy, zp_buf_slice(&text));
	rc = zp_json_read_double(&copy, &again, NULL);
	ZP_ASSERT(rc == ZP_OK && again == value);
}

/* The text was taken as a whole, so nothing may fail now. */
static void
walk(struct zp_json *json)
{
	struct zp_json_string string;
	enum zp_json_type type;
	int rc = zp_json_peek(json, &type, NULL);

	ZP_ASSERT(rc == ZP_OK);
	switch (type) {
	case ZP_JSON_STRING:
		rc = zp_json_read_string(json, &string, NULL);
		ZP_ASSERT(rc == ZP_OK);
		check_string(&string);
		return;
	case ZP_JSON_NUMBER:
		check_number(json);
		return;
	case ZP_JSON_ARRAY:
		rc = zp_json_array_begin(json, NULL);
		while (rc == ZP_OK && (rc = zp_json_array_next(json, NULL)) == ZP_OK)
			walk(json);
		ZP_ASSERT(rc == ZP_END);
		return;
	case ZP_JSON_OBJECT:
		rc = zp_json_object_begin(json, NULL);
		while (rc == ZP_OK && (rc = zp_json_object_next(json, &string, NULL)) == ZP_OK) {
			check_string(&string);
			walk(json);
		}
		ZP_ASSERT(rc == ZP_END);
		return;
	case ZP_JSON_NULL:
	case ZP_JSON_BOOL:
		rc = zp_json_skip(json, NULL);
		ZP_ASSERT(rc == ZP_OK);
		return;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zp_slice text = {.data = data, .length = size};
	ZP_AUTO_BUF(printed, 8u << 20);
	struct zp_err err = {0};
	struct zp_json json;
	int rc;

	/* Any bytes print as a string that reads back. */
	zp_json_put_string(&printed, text);
	zp_json_init(&json, zp_buf_slice(&printed));
	rc = zp_json_skip(&json, &err);
	ZP_ASSERT(rc == ZP_OK && zp_json_end(&json, &err) == ZP_OK);

	zp_json_init(&json, text);
	rc = zp_json_skip(&json, &err);
	if (rc == ZP_OK)
		rc = zp_json_end(&json, &err);
	if (rc < 0) {
		ZP_ASSERT(err.code == rc && err.text[0] != '\0');
		return 0;
	}
	zp_json_init(&json, text);
	walk(&json);
	rc = zp_json_end(&json, &err);
	ZP_ASSERT(rc == ZP_OK);
	return 0;
}
