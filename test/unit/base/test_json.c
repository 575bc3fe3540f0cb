/*
 * test_json.c - the JSON reader takes RFC 8259 and nothing else; the writer prints as Go does.
 *
 * Expected texts of the writer and of odd escapes were taken from Go 1.26's encoding/json.
 */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <float.h>
#include <stdlib.h>

#include <cmocka.h>

/* The whole text is one value. */
static int
check(struct zp_slice text, struct zp_err *err)
{
	struct zp_json json;
	int rc;

	zp_json_init(&json, text);
	rc = zp_json_skip(&json, err);
	return rc < 0 ? rc : zp_json_end(&json, err);
}

/* Like the y_ files of JSONTestSuite. */
static void
valid_texts_are_taken(void **state)
{
	static const char *const texts[] = {"null", "true", "false", "0", "-0", "1", "-1", "0.5",
	    "-0.0", "1e5", "1E5", "1e+5", "1E-5", "0e0", "0E+1", "123.456e-7",
	    "1234567890123456789012", "\"\"", "\"a\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
	    "\"\\u0000\"", "\"\\u12aB\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "\"\\ude00\\ud83d\"",
	    "\"\xc3\xa9\"", "\"\xe2\x82\xac\"", "\"\xf0\x9f\x9a\x80\"", "\"\xf4\x8f\xbf\xbf\"",
	    "\"\xef\xbf\xbf\"", "\"\x7f\"", "\"\xe2\x80\xa8\"", "[]", "[ ]", "{}", "{ }", "[1]",
	    "[1,2]", "[[]]", "[[],[[]],{}]", "{\"a\":1}", "{\"a\":1,\"a\":2}", "{\"\":0}",
	    "{\"a\":{\"b\":[1,{}]}}", " \t\r\n[ \t\r\n1 \t\r\n, \t\r\n2 \t\r\n] \t\r\n",
	    " { \"a\" : 1 , \"b\" : [ ] } ", "[null,true,false,\"x\",-1.5e3]"};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(texts); i++) {
		struct zp_err err = {0};

		if (check(zp_slice_of(texts[i]), &err) != ZP_OK)
			fail_msg("%s: %s", texts[i], err.text);
	}
}

/* Like the n_ files of JSONTestSuite. */
static void
invalid_texts_are_refused(void **state)
{
	static const char *const texts[] = {"", " ", "nul", "nulL", "True", "tru", "fals", "x",
	    "'a'", "01", "-01", "00", "-", "+1", ".5", "1.", "1.e5", "1e", "1e+", "0x1", "1_0",
	    "--1", "1a", "NaN", "Infinity", "-Infinity", "\"", "\"a", "\"\\\"", "\"\\x41\"",
	    "\"\\u12\"", "\"\\u12g4\"", "\"\\U0041\"", "\"\\", "\"\\u", "\"\n\"", "\"\t\"",
	    "\"\x01\"", "\"\x1f\"", "\"\x80\"", "\"\xc0\xaf\"", "\"\xc1\xbf\"", "\"\xc3\"",
	    "\"\xc3(\"", "\"\xe2\x82\"", "\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"",
	    "\"\xf4\x90\x80\x80\"", "\"\xf5\x80\x80\x80\"", "\"\xf0\x80\x80\x80\"", "\"\xff\"", "[",
	    "]", "[1", "[1,", "[1,]", "[,1]", "[,]", "[1,,2]", "[1 2]", "[1:2]", "[}", "{]", "{",
	    "}", "{\"a\"", "{\"a\":", "{\"a\":}", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{,}",
	    "{\"a\" 1}", "{\"a\",1}", "{a:1}", "{1:1}", "{\"a\":1 \"b\":2}", "{\"a\":1;\"b\":2}",
	    "{null:1}", "[1]]", "{}}", "1 2", "null null", "[] []", "\"a\"\"b\"", "[1]x", "// c\n1",
	    "/**/1", "1 // c",
	    "\xef\xbb\xbf"
	    "1",
	    "\v1", "\f1", "\xa0", "[1\f]"};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(texts); i++) {
		struct zp_err err = {0};

		if (check(zp_slice_of(texts[i]), &err) != ZP_E_INVALID)
			fail_msg("taken: %s", texts[i]);
		assert_non_null(strstr(err.text, "byte"));
	}
	/* A NUL is no white space and no end. */
	assert_int_equal(check((struct zp_slice){(const uint8_t *)"1\0", 2}, NULL), ZP_E_INVALID);
	assert_int_equal(check((struct zp_slice){(const uint8_t *)"\0", 1}, NULL), ZP_E_INVALID);
	assert_int_equal(check((struct zp_slice){(const uint8_t *)"[\0]", 3}, NULL), ZP_E_INVALID);
	assert_int_equal(check((struct zp_slice){NULL, 0}, NULL), ZP_E_INVALID);
}

/* No prefix of a value that ends in a bracket is a value, and none is read past its end: each is
 * copied to memory of its own size, which the address sanitizer watches. */
static void
every_prefix_is_refused(void **state)
{
	static const char text[] = "{\"name\":\"a plain text, longer than "
				   "sixteen\",\"n\":[1,-2.5e3,true,null,\"\\u00e9\"]}";

	(void)state;
	for (size_t length = 0; length < sizeof(text) - 1; length++) {
		uint8_t *copy = zp_alloc(length);

		memcpy(copy, text, length);
		assert_int_equal(check((struct zp_slice){copy, length}, NULL), ZP_E_INVALID);
		zp_free(copy);
	}
	assert_int_equal(check(zp_slice_of(text), NULL), ZP_OK);
}

/* A special byte ends a string wherever it stands in a block of sixteen. */
static void
every_place_of_a_block_is_looked_at(void **state)
{
	static const struct {
		const char *special;
		int rc;
	} cases[] = {{"\\\"", ZP_OK}, {"\x1f", ZP_E_INVALID}, {"\x80", ZP_E_INVALID},
	    {"\xc3\xa9", ZP_OK}, {"\x7f", ZP_OK}, {" ", ZP_OK}, {"\"", ZP_E_INVALID}};

	(void)state;
	for (size_t c = 0; c < ZP_ARRAY_COUNT(cases); c++) {
		for (size_t before = 0; before < 40; before++) {
			ZP_AUTO_BUF(text, 128);

			zp_buf_append_byte(&text, '"');
			for (size_t i = 0; i < before; i++)
				zp_buf_append_byte(&text, 'a');
			zp_buf_append_text(&text, cases[c].special);
			zp_buf_append_text(&text, "bcd\"");
			assert_int_equal(check(zp_buf_slice(&text), NULL), cases[c].rc);
		}
	}
}

static void
depth_is_limited(void **state)
{
	ZP_AUTO_BUF(text, 4096);

	(void)state;
	for (unsigned i = 0; i < ZP_JSON_DEPTH_MAX; i++)
		zp_buf_append_byte(&text, '[');
	for (unsigned i = 0; i < ZP_JSON_DEPTH_MAX; i++)
		zp_buf_append_byte(&text, ']');
	assert_int_equal(check(zp_buf_slice(&text), NULL), ZP_OK);
	zp_buf_clear(&text);
	for (unsigned i = 0; i < ZP_JSON_DEPTH_MAX; i++)
		zp_buf_append_text(&text, "{\"a\":");
	zp_buf_append_text(&text, "[");
	assert_int_equal(check(zp_buf_slice(&text), NULL), ZP_E_TOO_LARGE);
}

static void
whole_numbers_keep_their_range(void **state)
{
	static const struct {
		const char *text;
		bool is_int64, is_uint64;
	} cases[] = {{"0", true, true}, {"-0", true, false}, {"-1", true, false},
	    {"9223372036854775807", true, true}, {"9223372036854775808", false, true},
	    {"-9223372036854775808", true, false}, {"-9223372036854775809", false, false},
	    {"18446744073709551615", false, true}, {"18446744073709551616", false, false},
	    {"99999999999999999999999", false, false}, {"1.0", false, false}, {"1e2", false, false},
	    {"01", false, false}, {"-", false, false}, {"\"1\"", false, false},
	    {"null", false, false}, {"", false, false}};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		uint64_t unsigned_value = 77;
		int64_t value = 77;
		struct zp_json json;

		zp_json_init(&json, zp_slice_of(cases[i].text));
		assert_int_equal(zp_json_read_int64(&json, &value, NULL),
		    cases[i].is_int64 ? ZP_OK : ZP_E_INVALID);
		if (cases[i].is_int64)
			assert_true(value == strtoll(cases[i].text, NULL, 10));
		else
			assert_int_equal(value, 77);
		zp_json_init(&json, zp_slice_of(cases[i].text));
		assert_int_equal(zp_json_read_uint64(&json, &unsigned_value, NULL),
		    cases[i].is_uint64 ? ZP_OK : ZP_E_INVALID);
		if (cases[i].is_uint64)
			assert_true(unsigned_value == strtoull(cases[i].text, NULL, 10));
		else
			assert_int_equal(unsigned_value, 77);
	}
}

/* Printed as Go prints it, and read back as the same bits. */
static void
doubles_come_back(void **state)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {{0, "0"}, {-0.0, "-0"}, {1, "1"}, {-1.5, "-1.5"}, {0.1, "0.1"}, {100, "100"},
	    {1e20, "100000000000000000000"}, {1e21, "1e+21"}, {-1e21, "-1e+21"},
	    {1.2345678901234567e20, "123456789012345670000"}, {0.000001, "0.000001"},
	    {0.0000001, "1e-7"}, {1.5e-9, "1.5e-9"}, {12858.77, "12858.77"},
	    {DBL_MAX, "1.7976931348623157e+308"}, {5e-324, "5e-324"},
	    {DBL_EPSILON, "2.220446049250313e-16"}, {9007199254740993.0, "9007199254740992"},
	    {1.0 / 3, "0.3333333333333333"}};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		ZP_AUTO_BUF(text, 64);
		struct zp_json json;
		double value;

		zp_json_put_double(&text, cases[i].value);
		if (!zp_slice_is(zp_buf_slice(&text), cases[i].text))
			fail_msg("%s is %.*s", cases[i].text, (int)text.length, text.data);
		zp_json_init(&json, zp_buf_slice(&text));
		assert_int_equal(zp_json_read_double(&json, &value, NULL), ZP_OK);
		assert_memory_equal(&value, &cases[i].value, sizeof(value));
	}
	ZP_AUTO_BUF(text, 64);
	zp_json_put_double(&text, (double)DBL_MAX * 10);
	assert_true(zp_slice_is(zp_buf_slice(&text), "null"));
	struct zp_json json;
	double value;
	zp_json_init(&json, zp_slice_of("1e309"));
	assert_int_equal(zp_json_read_double(&json, &value, NULL), ZP_E_INVALID);
}

static void
unescape_to(const char *text, struct zp_buf *value)
{
	struct zp_json_string string;
	struct zp_json json;

	zp_json_init(&json, zp_slice_of(text));
	assert_int_equal(zp_json_read_string(&json, &string, NULL), ZP_OK);
	zp_buf_clear(value);
	zp_json_string_append(&string, value);
	assert_true(value->length <= string.raw.length);
}

static void
escapes_are_resolved_as_go_does(void **state)
{
	static const struct {
		const char *text, *value;
	} cases[] = {{"\"plain\"", "plain"}, {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
	    {"\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac"},
	    {"\"\\ud83d\\ude80!\"", "\xf0\x9f\x9a\x80!"}, {"\"\\ud83d\"", "\xef\xbf\xbd"},
	    {"\"\\ud83dx\"", "\xef\xbf\xbdx"},
	    {"\"\\ud83d\\u0041\"", "\xef\xbf\xbd"
				   "A"},
	    {"\"\\ude80\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd"},
	    {"\"\\ud83d\\ud83d\\ude80\"", "\xef\xbf\xbd\xf0\x9f\x9a\x80"},
	    {"\"\\ud83d\\n\"", "\xef\xbf\xbd\n"}, {"\"\\udbff\\udfff\"", "\xf4\x8f\xbf\xbf"}};
	ZP_AUTO_BUF(value, 256);

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		unescape_to(cases[i].text, &value);
		if (!zp_slice_is(zp_buf_slice(&value), cases[i].value))
			fail_msg("%s is %.*s", cases[i].text, (int)value.length, value.data);
	}
	unescape_to("\"\\u0000\"", &value);
	assert_int_equal(value.length, 1);
	assert_int_equal(value.data[0], 0);
}

static void
strings_are_printed_as_go_does(void **state)
{
	static const struct {
		const char *value, *text;
	} cases[] = {{"", "\"\""}, {"a/b", "\"a/b\""},
	    {"<a href=\"x\">&'", "\"\\u003ca href=\\\"x\\\"\\u003e\\u0026'\""},
	    {"\b\f\n\r\t\\", "\"\\b\\f\\n\\r\\t\\\\\""},
	    {"\x01\x0b\x0e\x1f\x7f", "\"\\u0001\\u000b\\u000e\\u001f\x7f\""},
	    {"\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", "\"\\u2028\\u2029\xe2\x80\xaa\""},
	    {"\xff"
	     "a\xc3",
		"\"\\ufffda\\ufffd\""},
	    {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
	    {"\xef\xbf\xbd\xc3\xa9\xf0\x9f\x9a\x80", "\"\xef\xbf\xbd\xc3\xa9\xf0\x9f\x9a\x80\""}};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		ZP_AUTO_BUF(text, 256);

		zp_json_put_text(&text, cases[i].value);
		if (!zp_slice_is(zp_buf_slice(&text), cases[i].text))
			fail_msg("%s is %.*s", cases[i].text, (int)text.length, text.data);
	}
}

/* Names, items and commas of a nested text; read back in the same order. */
static void
containers_are_written_and_walked(void **state)
{
	ZP_AUTO_BUF(text, 256);
	struct zp_json_string name;
	struct zp_json json;
	uint64_t value;
	bool flag;

	(void)state;
	zp_buf_append_byte(&text, '{');
	zp_json_put_name(&text, "list");
	zp_buf_append_byte(&text, '[');
	for (uint64_t i = 0; i < 3; i++) {
		zp_json_put_comma(&text);
		zp_buf_append_decimal_u64(&text, i);
	}
	zp_buf_append_byte(&text, ']');
	zp_json_put_name(&text, "empty");
	zp_buf_append_text(&text, "{}");
	zp_json_put_name(&text, "flag");
	zp_json_put_bool(&text, true);
	zp_buf_append_byte(&text, '}');
	assert_true(
	    zp_slice_is(zp_buf_slice(&text), "{\"list\":[0,1,2],\"empty\":{},\"flag\":true}"));

	zp_json_init(&json, zp_buf_slice(&text));
	assert_int_equal(zp_json_object_begin(&json, NULL), ZP_OK);
	assert_int_equal(zp_json_object_next(&json, &name, NULL), ZP_OK);
	assert_true(zp_json_string_is(&name, "list"));
	assert_int_equal(zp_json_array_begin(&json, NULL), ZP_OK);
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(zp_json_array_next(&json, NULL), ZP_OK);
		assert_int_equal(zp_json_read_uint64(&json, &value, NULL), ZP_OK);
		assert_int_equal(value, i);
	}
	assert_int_equal(zp_json_array_next(&json, NULL), ZP_END);
	assert_int_equal(zp_json_object_next(&json, &name, NULL), ZP_OK);
	assert_int_equal(zp_json_object_begin(&json, NULL), ZP_OK);
	assert_int_equal(zp_json_object_next(&json, &name, NULL), ZP_END);
	assert_int_equal(zp_json_object_next(&json, &name, NULL), ZP_OK);
	assert_true(zp_json_string_is(&name, "flag"));
	assert_int_equal(zp_json_read_bool(&json, &flag, NULL), ZP_OK);
	assert_true(flag);
	assert_int_equal(zp_json_object_next(&json, &name, NULL), ZP_END);
	assert_int_equal(zp_json_end(&json, NULL), ZP_OK);
}

/* Exactly ,"name": and nothing like it; what is not taken is still there to be read. */
static void
members_are_taken_byte_by_byte(void **state)
{
	static const char *const others[] = {"{\"nam\":1}", "{\"names\":1}", "{\"namex:1}",
	    "{\"Name\":1}", "{ \"name\":1}", "{\"name\" :1}", "{\"n\\u0061me\":1}", "{,\"name\":1}",
	    "{\"name\"", "{\"name", "{", "{}", "{\"a\":0}"};
	struct zp_json_string name;
	struct zp_json json;
	int64_t value;

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(others); i++) {
		zp_json_init(&json, zp_slice_of(others[i]));
		assert_int_equal(zp_json_object_begin(&json, NULL), ZP_OK);
		assert_false(zp_json_take_member(&json, "name", 4));
		assert_int_equal(json.at - json.start, 1);
	}
	zp_json_init(&json, zp_slice_of("{\"name\":1,\"b\":2, \"c\":3}"));
	assert_int_equal(zp_json_object_begin(&json, NULL), ZP_OK);
	assert_true(zp_json_take_member(&json, "name", 4));
	assert_int_equal(zp_json_read_int64(&json, &value, NULL), ZP_OK);
	assert_true(zp_json_take_member(&json, "b", 1));
	assert_int_equal(zp_json_read_int64(&json, &value, NULL), ZP_OK);
	assert_int_equal(value, 2);
	assert_false(zp_json_take_member(&json, "c", 1));
	assert_int_equal(zp_json_object_next(&json, &name, NULL), ZP_OK);
	assert_true(zp_json_string_is(&name, "c"));
	assert_int_equal(zp_json_read_int64(&json, &value, NULL), ZP_OK);
	assert_int_equal(zp_json_object_next(&json, &name, NULL), ZP_END);
}

/* A wrong type says what was wanted, what is there, and where. */
static void
messages_name_type_and_place(void **state)
{
	struct zp_json_string string;
	struct zp_err err = {0};
	struct zp_json json;
	bool flag;

	(void)state;
	zp_json_init(&json, zp_slice_of("  [1]"));
	assert_int_equal(zp_json_read_string(&json, &string, &err), ZP_E_INVALID);
	assert_string_equal(err.text, "at byte 2: expected a string, found an array");
	zp_json_init(&json, zp_slice_of("tru"));
	assert_int_equal(zp_json_read_bool(&json, &flag, &err), ZP_E_INVALID);
	assert_string_equal(err.text, "invalid JSON at byte 0: expected true or false");
	assert_int_equal(check(zp_slice_of("{\"a\":?}"), &err), ZP_E_INVALID);
	assert_string_equal(err.text, "invalid JSON at byte 5: expected a value");
	assert_int_equal(check(zp_slice_of("[1"), &err), ZP_E_INVALID);
	assert_string_equal(err.text, "invalid JSON at byte 2: unexpected end");
}

static void
names_match_through_escapes(void **state)
{
	struct zp_json_string name;
	struct zp_json json;

	(void)state;
	zp_json_init(&json, zp_slice_of("{\"\\u0063id\":1}"));
	assert_int_equal(zp_json_object_begin(&json, NULL), ZP_OK);
	assert_int_equal(zp_json_object_next(&json, &name, NULL), ZP_OK);
	assert_true(zp_json_string_is(&name, "cid"));
	assert_false(zp_json_string_is(&name, "\\u0063id"));
}

/* Every character survives both ways; what is none is refused. */
static void
utf8_is_exact(void **state)
{
	(void)state;
	for (uint32_t character = 0; character <= 0x10ffff; character++) {
		uint8_t bytes[4];
		uint32_t back = 0;
		size_t length = zp_utf8_encode(character, bytes);
		bool is_surrogate = character >= 0xd800 && character <= 0xdfff;

		if (zp_utf8_decode(bytes, bytes + length, &back) != (is_surrogate ? 0 : length))
			fail_msg("U+%04X", character);
		if (!is_surrogate && back != character)
			fail_msg("U+%04X is U+%04X", character, back);
		if (length > 1 && zp_utf8_decode(bytes, bytes + length - 1, &back) != 0)
			fail_msg("U+%04X is taken without its last byte", character);
	}
	assert_true(zp_utf8_is_valid(zp_slice_of("plain ascii \xc3\xa9 and more plain")));
	assert_false(zp_utf8_is_valid(zp_slice_of("plain ascii \xc3 and more plain")));
	assert_true(zp_utf8_is_valid((struct zp_slice){NULL, 0}));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(valid_texts_are_taken),
	    cmocka_unit_test(invalid_texts_are_refused),
	    cmocka_unit_test(every_prefix_is_refused),
	    cmocka_unit_test(every_place_of_a_block_is_looked_at),
	    cmocka_unit_test(depth_is_limited),
	    cmocka_unit_test(whole_numbers_keep_their_range),
	    cmocka_unit_test(doubles_come_back),
	    cmocka_unit_test(escapes_are_resolved_as_go_does),
	    cmocka_unit_test(strings_are_printed_as_go_does),
	    cmocka_unit_test(containers_are_written_and_walked),
	    cmocka_unit_test(members_are_taken_byte_by_byte),
	    cmocka_unit_test(messages_name_type_and_place),
	    cmocka_unit_test(names_match_through_escapes),
	    cmocka_unit_test(utf8_is_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
