/*
 * test_pin_json.c - what a pin's JSON may look like on its way in, and the styles on its way out.
 *
 * Whole lines that come back byte for byte are in test_export.c; here are the liberties that Go's
 * decoder takes, and what the answer to POST has of its own.
 */
#include "pin/pin_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define CID "bafkreic7gwonrewmt3hitnfalzcklpayvbf4bs6nq6lg54753fae5i3n64"
#define PEER "12D3KooWCFZ28HemDVKBQSVZGdCmKV5Gzr2Jq9hxqj9U1v7Z6ALa"

static void
read_pin(const char *json, struct zp_pin *pin)
{
	struct zp_err err = {0};

	if (zp_pin_from_json(zp_slice_of(json), pin, &err) < 0)
		fail_msg("%s: %s", json, err.text);
}

static void
missing_members_are_zero(void **state)
{
	struct zp_pin pin;

	(void)state;
	zp_pin_init(&pin);
	read_pin("{\"cid\":\"" CID "\"}", &pin);
	assert_int_equal(pin.type, ZP_PIN_DATA);
	assert_int_equal(pin.max_depth, 0); /* direct */
	assert_int_equal(pin.replication_min, 0);
	assert_true(pin.created_seconds == ZP_TIME_ZERO_SECONDS);
	assert_true(pin.expire_at_seconds == ZP_TIME_ZERO_SECONDS);
	assert_int_equal(pin.name.length, 0);
	assert_int_equal(pin.metadata_count, 0);
	assert_false(pin.has_pin_update);
	assert_false(pin.has_reference);
	zp_pin_done(&pin);
}

/* null is the zero value, in every member, and undoes what came before. */
static void
nulls_are_zero(void **state)
{
	struct zp_pin pin;

	(void)state;
	zp_pin_init(&pin);
	read_pin(
	    "{\"replication_factor_min\":null,\"replication_factor_max\":null,\"name\":\"x\","
	    "\"name\":null,"
	    "\"mode\":null,\"shard_size\":null,\"user_allocations\":null,\"expire_at\":null,"
	    "\"metadata\":"
	    "{\"a\":\"b\"},\"metadata\":null,\"pin_update\":\"" CID
	    "\",\"pin_update\":null,\"origins\":null,"
	    "\"cid\":\"" CID "\",\"type\":null,\"allocations\":[\"" PEER "\"],\"allocations\":null,"
	    "\"max_depth\":null,\"reference\":null,\"timestamp\":null,\"size\":5,\"size\":null}",
	    &pin);
	assert_int_equal(pin.name.length, 0);
	assert_int_equal(pin.metadata_count, 0);
	assert_int_equal(pin.allocations_count, 0);
	assert_false(pin.has_pin_update);
	assert_int_equal(pin.size, 0);
	zp_pin_done(&pin);
}

/* Any order, any case, escapes in names, unknown members of any shape; the last of equal names
 * wins. */
static void
members_are_found_in_any_form(void **state)
{
	struct zp_pin pin;

	(void)state;
	zp_pin_init(&pin);
	read_pin(" { \"unknown\" : [ { \"cid\" : 1 } , \"x\" ] , \"TIMESTAMP\" : "
		 "\"2026-11-23T02:18:13.5+01:00\" ,"
		 "\"Max_Depth\":-1,\"n\\u0061me\":\"first\",\"Name\":\"\\u003clast\\u003e\","
		 "\"type\":\"meta-pin\","
		 "\"size\":7,\"\":0,\"namex\":\"no\",\"cid\":"
		 "\"QmUkJrcLwkCedk1TWwzAWFY5ZV49ULssptnM4WFEVcJpk6\","
		 "\"CID\":\"" CID "\",\"mode\":\"direct\"}\n ",
	    &pin);
	assert_int_equal(pin.cid.version, 1);
	assert_int_equal(pin.max_depth, -1); /* mode is not looked at */
	assert_true(zp_slice_is(pin.name, "<last>"));
	assert_int_equal(pin.type, ZP_PIN_META);
	assert_int_equal(pin.size, 7);
	assert_true(pin.created_seconds == 1795396693);
	assert_int_equal(pin.created_nanoseconds, 500000000);
	zp_pin_done(&pin);
}

/* Keys come sorted by bytes and unique, the last value wins, null is empty. */
static void
metadata_is_sorted(void **state)
{
	static const char *const expected[][2] = {
	    {"", "e"}, {"B", "2"}, {"a", "last"}, {"ab", ""}, {"b", "1"}, {"z", "9"}};
	struct zp_pin pin;

	(void)state;
	zp_pin_init(&pin);
	read_pin("{\"cid\":\"" CID
		 "\",\"metadata\":{\"z\":\"9\",\"b\":\"1\",\"a\":\"first\",\"ab\":null,\"B\":"
		 "\"2\",\"\":\"e\",\"\\u0061\":\"last\"}}",
	    &pin);
	assert_int_equal(pin.metadata_count, ZP_ARRAY_COUNT(expected));
	for (size_t i = 0; i < pin.metadata_count; i++) {
		assert_true(zp_slice_is(pin.metadata[i].key, expected[i][0]));
		assert_true(zp_slice_is(pin.metadata[i].value, expected[i][1]));
	}
	zp_pin_done(&pin);
}

/* As many entries as the limit, in falling and in mixed order. */
static void
much_metadata_is_sorted(void **state)
{
	(void)state;
	for (unsigned factor = 1; factor < ZP_METADATA_COUNT_MAX; factor += 338) {
		ZP_AUTO_BUF(json, 1u << 20);
		struct zp_pin pin;

		zp_buf_append_text(&json, "{\"cid\":\"" CID "\",\"metadata\":{");
		for (unsigned i = 0; i < ZP_METADATA_COUNT_MAX;
		     i++) /* factor is odd: a permutation */
			zp_buf_printf(&json, "%s\"%04u\":\"%u\"", i == 0 ? "" : ",",
			    ZP_METADATA_COUNT_MAX - 1 - i * factor % ZP_METADATA_COUNT_MAX, i);
		zp_buf_append_text(&json, "}}");
		zp_pin_init(&pin);
		assert_int_equal(zp_pin_from_json(zp_buf_slice(&json), &pin, NULL), 0);
		assert_int_equal(pin.metadata_count, ZP_METADATA_COUNT_MAX);
		for (unsigned i = 0; i < ZP_METADATA_COUNT_MAX; i++) {
			char key[16];

			snprintf(key, sizeof(key), "%04u", i);
			assert_true(zp_slice_is(pin.metadata[i].key, key));
		}
		zp_pin_done(&pin);
	}
}

/* One pin object reads line after line and keeps nothing of the one before. */
static void
a_pin_is_used_again(void **state)
{
	struct zp_pin pin;

	(void)state;
	zp_pin_init(&pin);
	for (unsigned i = 0; i < 3; i++) {
		read_pin(
		    "{\"cid\":\"" CID
		    "\",\"name\":\"\\u0041\",\"origins\":[\"/dns/a/\"],\"allocations\":[\"" PEER
		    "\"],\"user_allocations\":[\"" PEER "\"],\"reference\":\"" CID
		    "\",\"expire_at\":"
		    "\"2030-01-01T00:00:00Z\",\"max_depth\":-1}",
		    &pin);
		assert_true(zp_slice_is(pin.name, "A"));
		assert_int_equal(pin.origins_count, 1);
		assert_true(zp_slice_is(pin.origins[0], "/dns/a"));
		assert_int_equal(pin.allocations_count, 1);
		assert_int_equal(pin.allocations[0].length, 38);
		assert_int_equal(pin.user_allocations_count, 1);
		assert_true(pin.has_reference);
		read_pin("{\"cid\":\"" CID "\"}", &pin);
		assert_int_equal(pin.origins_count, 0);
		assert_int_equal(pin.allocations_count, 0);
		assert_int_equal(pin.user_allocations_count, 0);
		assert_false(pin.has_reference);
		assert_true(pin.expire_at_seconds == ZP_TIME_ZERO_SECONDS);
	}
	/* A failure leaves a pin that can be used and freed. */
	assert_int_equal(zp_pin_from_json(zp_slice_of("{\"origins\":[\"/dns/a\",5]}"), &pin, NULL),
	    ZP_E_INVALID);
	read_pin("{\"cid\":\"" CID "\"}", &pin);
	zp_pin_done(&pin);
	zp_pin_done(&pin);
	zp_pin_done(NULL);
}

static void
messages_name_the_member(void **state)
{
	static const struct {
		const char *json, *message;
	} cases[] = {
	    {"{\"cid\":\"x\"}", "cid: invalid cid: cid too short"},
	    {"{\"name\":5}", "name: at byte 8: expected a string, found a number"},
	    {"{\"type\":\"all\"}", "type: unknown pin type \"all\""},
	    {"{\"max_depth\":2147483648}", "max_depth: 2147483648 is out of range"},
	    {"{\"replication_factor_min\":1.5}",
		"replication_factor_min: at byte 26: expected a whole number"},
	    {"{}", "the pin has no cid"},
	    {"{\"timestamp\":\"x\"}",
		"timestamp: parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse "
		"\"x\" as \"2006\""},
	};
	struct zp_pin pin;

	(void)state;
	zp_pin_init(&pin);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		struct zp_err err = {0};

		assert_int_equal(
		    zp_pin_from_json(zp_slice_of(cases[i].json), &pin, &err), ZP_E_INVALID);
		assert_string_equal(err.text, cases[i].message);
	}
	zp_pin_done(&pin);
}

/* ---- To records and out --------------------------------------------------------------------- */

/* What a handler may have put into a pin by itself is checked when the record is made. */
static void
records_of_bad_pins_are_refused(void **state)
{
	struct zp_pair twice[2] = {{zp_slice_of("a"), {0}}, {zp_slice_of("a"), {0}}};
	ZP_AUTO_BUF(texts, ZP_RECORD_BYTES_MAX);
	struct zp_record record;
	struct zp_pin pin;

	(void)state;
	zp_pin_init(&pin);
	read_pin("{\"cid\":\"" CID "\"}", &pin);
	assert_int_equal(zp_pin_to_record(&pin, 0, &texts, &record, NULL), 0);
	pin.name = zp_slice_of("\xff");
	assert_int_equal(zp_pin_to_record(&pin, 0, &texts, &record, NULL), ZP_E_INVALID);
	pin.name = (struct zp_slice){0};
	pin.metadata = twice;
	pin.metadata_count = 2;
	assert_int_equal(zp_pin_to_record(&pin, 0, &texts, &record, NULL), ZP_E_INVALID);
	pin.metadata_count = 1;
	pin.replication_max = 1ll << 31;
	assert_int_equal(zp_pin_to_record(&pin, 0, &texts, &record, NULL), ZP_E_INVALID);
	pin.replication_max = INT32_MAX;
	pin.created_seconds = INT64_MAX;
	assert_int_equal(zp_pin_to_record(&pin, 0, &texts, &record, NULL), ZP_E_INVALID);
	pin.created_seconds = 0;
	pin.type = (enum zp_pin_type)4;
	assert_int_equal(zp_pin_to_record(&pin, 0, &texts, &record, NULL), ZP_E_INVALID);
	pin.type = ZP_PIN_SHARD;
	assert_int_equal(zp_pin_to_record(&pin, 0, &texts, &record, NULL), 0);
	zp_pin_done(&pin);
}

/* The largest record passes and one byte more does not. */
static void
record_size_is_limited(void **state)
{
	static uint8_t name[ZP_RECORD_BYTES_MAX];
	ZP_AUTO_BUF(texts, ZP_RECORD_BYTES_MAX);
	ZP_AUTO_BUF(bytes, ZP_RECORD_BYTES_MAX);
	struct zp_record record;
	struct zp_err err = {0};
	struct zp_pin pin;

	(void)state;
	memset(name, 'n', sizeof(name));
	zp_pin_init(&pin);
	read_pin("{\"cid\":\"" CID "\",\"timestamp\":\"1970-01-01T00:00:00Z\"}", &pin);
	/* version, mask, length of 3 bytes; tag and length of 3 bytes of the name */
	pin.name = (struct zp_slice){name, ZP_RECORD_BYTES_MAX - 5 - 4};
	assert_int_equal(zp_pin_to_record(&pin, 0, &texts, &record, NULL), 0);
	zp_record_encode(&record, &bytes);
	assert_int_equal(bytes.length, ZP_RECORD_BYTES_MAX);
	assert_int_equal(zp_record_decode(zp_buf_slice(&bytes), &record, NULL), 0);
	pin.name.length++;
	assert_int_equal(zp_pin_to_record(&pin, 0, &texts, &record, &err), ZP_E_TOO_LARGE);
	assert_string_equal(err.text, "pin is over the limit of 65536 bytes");
	pin.name.length = sizeof(name);
	assert_int_equal(zp_pin_to_record(&pin, 0, &texts, &record, &err), ZP_E_TOO_LARGE);
	zp_pin_done(&pin);
}

/* 1970-01-01 is never, as IPFS Cluster has it, and so is the zero time. */
static void
never_is_zero(void **state)
{
	ZP_AUTO_BUF(texts, ZP_RECORD_BYTES_MAX);
	struct zp_record record;
	struct zp_pin pin;

	(void)state;
	zp_pin_init(&pin);
	read_pin("{\"cid\":\"" CID "\",\"expire_at\":\"1970-01-01T00:00:00Z\"}", &pin);
	assert_int_equal(zp_pin_to_record(&pin, 0, &texts, &record, NULL), 0);
	assert_int_equal(record.facts[ZP_FACT_EXPIRE_AT], 0);
	read_pin("{\"cid\":\"" CID "\",\"expire_at\":\"1970-01-01T00:00:01Z\"}", &pin);
	assert_int_equal(zp_pin_to_record(&pin, 0, &texts, &record, NULL), 0);
	assert_int_equal(record.facts[ZP_FACT_EXPIRE_AT], 3);
	zp_pin_done(&pin);
}

/* The captured answer to POST /pins/ipfs/…: {} and null instead of null and [], and nanoseconds. */
static void
post_answer_differs_from_reads(void **state)
{
	static const char read_line[] =
	    "{\"replication_factor_min\":-1,\"replication_factor_max\":-1,\"name\":\"path\","
	    "\"mode\":\"direct\","
	    "\"shard_size\":0,\"user_allocations\":null,\"expire_at\":\"0001-01-01T00:00:00Z\","
	    "\"metadata\":null,"
	    "\"pin_update\":null,\"origins\":[],\"cid\":"
	    "\"QmaRGe7bVmVaLmxbrMiVNXqW4pRNNp3xq7hFtyRKA3mtJL\","
	    "\"type\":\"pin\",\"allocations\":[],\"max_depth\":0,\"reference\":null,"
	    "\"timestamp\":\"2026-11-23T01:16:06Z\"}";
	static const char post_line[] =
	    "{\"replication_factor_min\":-1,\"replication_factor_max\":-1,\"name\":\"path\","
	    "\"mode\":\"direct\","
	    "\"shard_size\":0,\"user_allocations\":[\"x\"],\"expire_at\":\"0001-01-01T00:00:00Z\","
	    "\"metadata\":{},"
	    "\"pin_update\":null,\"origins\":null,\"cid\":"
	    "\"QmaRGe7bVmVaLmxbrMiVNXqW4pRNNp3xq7hFtyRKA3mtJL\","
	    "\"type\":\"pin\",\"allocations\":[],\"max_depth\":0,\"reference\":null,"
	    "\"timestamp\":\"2026-11-23T01:16:06.116404744Z\"}";
	struct zp_slice users = zp_slice_of("[\"x\"]");
	struct zp_pin_json_style style = {.is_post_answer = true,
	    .created_nanoseconds = 116404744,
	    .user_allocations_json = &users};
	ZP_AUTO_BUF(texts, ZP_RECORD_BYTES_MAX);
	ZP_AUTO_BUF(json, 4096);
	struct zp_record record;
	struct zp_pin pin;
	struct zp_key key;

	(void)state;
	zp_pin_init(&pin);
	read_pin(read_line, &pin);
	assert_int_equal(zp_pin_to_record(&pin, 0, &texts, &record, NULL), 0);
	zp_key_of_cid(&pin.cid, 0, 0, &key);
	assert_int_equal(zp_pin_to_json(&key, &record, zp_slice_of("[]"), &style, &json, NULL), 0);
	assert_true(zp_slice_is(zp_buf_slice(&json), post_line));
	zp_buf_clear(&json);
	assert_int_equal(zp_pin_to_json(&key, &record, zp_slice_of("[]"), NULL, &json, NULL), 0);
	assert_true(zp_slice_is(zp_buf_slice(&json), read_line));
	/* Where there is no room, nothing half is left behind. */
	json.length_max = json.length + 100;
	assert_int_equal(
	    zp_pin_to_json(&key, &record, zp_slice_of("[]"), NULL, &json, NULL), ZP_E_TOO_LARGE);
	assert_true(zp_slice_is(zp_buf_slice(&json), read_line));
	assert_false(json.overflow);
	zp_pin_done(&pin);
}

/* Damage is reported, not printed and never asserted. */
static void
damaged_records_are_not_printed(void **state)
{
	struct zp_record record = {{0}, {0}};
	struct zp_cid cid;
	struct zp_key key;
	ZP_AUTO_BUF(json, 4096);

	(void)state;
	assert_int_equal(zp_cid_parse(zp_slice_of(CID), &cid, NULL), 0);
	zp_key_of_cid(&cid, 0, 0, &key);
	assert_int_equal(zp_pin_to_json(&key, &record, zp_slice_of("[]"), NULL, &json, NULL), 0);
	record.facts[ZP_FACT_TYPE] = 4;
	assert_int_equal(
	    zp_pin_to_json(&key, &record, zp_slice_of("[]"), NULL, &json, NULL), ZP_E_CORRUPT);
	record.facts[ZP_FACT_TYPE] = 0;
	record.facts[ZP_FACT_CREATED] = UINT64_MAX;
	assert_int_equal(
	    zp_pin_to_json(&key, &record, zp_slice_of("[]"), NULL, &json, NULL), ZP_E_CORRUPT);
	record.facts[ZP_FACT_CREATED] = 0;
	record.facts[ZP_FACT_EXPIRE_AT] = UINT64_MAX;
	assert_int_equal(
	    zp_pin_to_json(&key, &record, zp_slice_of("[]"), NULL, &json, NULL), ZP_E_CORRUPT);
	record.facts[ZP_FACT_EXPIRE_AT] = 0;
	record.texts = zp_slice_of("\x02\x7f"
				   "cut");
	assert_int_equal(
	    zp_pin_to_json(&key, &record, zp_slice_of("[]"), NULL, &json, NULL), ZP_E_CORRUPT);
}

static void
type_names(void **state)
{
	enum zp_pin_type type;

	(void)state;
	for (unsigned i = 0; i < ZP_PIN_TYPE_COUNT; i++) {
		assert_int_equal(
		    zp_pin_type_parse(zp_slice_of(zp_pin_type_name((enum zp_pin_type)i)), &type),
		    0);
		assert_int_equal(type, i);
	}
	assert_string_equal(zp_pin_type_name((enum zp_pin_type)9), "bad-type");
	assert_int_equal(zp_pin_type_parse(zp_slice_of("bad-type"), &type), ZP_E_INVALID);
	assert_int_equal(zp_pin_type_parse(zp_slice_of("Pin"), &type), ZP_E_INVALID);
}

/* ---- Lines like each other ------------------------------------------------------------------ */

#define OTHER_CID "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
#define NEVER "0001-01-01T00:00:00Z"
/* A line in IPFS Cluster's order. `user` to `metadata` are JSON, the others what is in a string. */
#define LINE(name, user, metadata, cid, allocations, timestamp, end)                       \
	"{\"replication_factor_min\":-1,\"replication_factor_max\":-1,\"name\":" name      \
	",\"mode\":\"recursive\",\"shard_size\":0,\"user_allocations\":" user              \
	",\"expire_at\":\"" NEVER "\",\"metadata\":" metadata ",\"pin_update\":null,"      \
	"\"origins\":[],\"cid\":\"" cid "\",\"type\":\"pin\",\"allocations\":" allocations \
	",\"max_depth\":-1,\"reference\":null,\"timestamp\":" timestamp end

static void
read_both(struct zp_pin_lines *lines, const char *json, struct zp_pin *pin, bool *is_like_out)
{
	/* In memory of its own: what was borrowed from a line that is gone would be noticed. */
	struct zp_slice line = {.data = (uint8_t *)strdup(json), .length = strlen(json)};
	ZP_AUTO_BUF(texts, ZP_RECORD_BYTES_MAX);
	ZP_AUTO_BUF(other_texts, ZP_RECORD_BYTES_MAX);
	struct zp_err err = {0}, other_err = {0};
	struct zp_record record, other;
	size_t before = lines->like.length;
	int rc = zp_pin_lines_read(lines, line, &err);

	/* Members that are read one by one are read from a copy. */
	*is_like_out = rc == 0 && before > 0 && lines->pin.name.data > line.data &&
		       lines->pin.name.data < line.data + line.length;
	assert_int_equal(zp_pin_from_json(line, pin, &other_err), rc);
	assert_string_equal(err.text, other_err.text);
	if (rc == 0) {
		assert_int_equal(zp_pin_to_record(&lines->pin, 7, &texts, &record, NULL), 0);
		assert_int_equal(zp_pin_to_record(pin, 7, &other_texts, &other, NULL), 0);
		assert_memory_equal(record.facts, other.facts, sizeof(other.facts));
		assert_true(zp_slice_equal(record.texts, other.texts));
		assert_true(lines->pin.cid.length == pin->cid.length &&
			    memcmp(lines->pin.cid.bytes, pin->cid.bytes, pin->cid.length) == 0);
		assert_int_equal(lines->pin.allocations_count, pin->allocations_count);
		for (size_t i = 0; i < pin->allocations_count; i++)
			assert_true(zp_slice_equal(lines->pin.allocations[i], pin->allocations[i]));
	}
	free((void *)(uintptr_t)line.data);
}

/* Every line after every other reads as it does alone, errors too: most of them are the first one
 * with one thing changed. Also that lines like each other are found to be. */
static void
lines_read_as_alone(void **state)
{
	static const char *const all[] = {
	    LINE("\"a\"", "null", "null", CID, "[]", "\"2026-05-01T00:00:00Z\"", "}"),
	    LINE("\"bc\"", "null", "null", OTHER_CID, "[]", "\"2026-05-01T00:00:01.5Z\"", "}"),
	    LINE("\"\"", "null", "null", CID, "[]", "\"" NEVER "\"", "}"),
	    LINE("\"\xc3\xa9\"", "null", "null", CID, "[]", "\"2026-05-01T00:00:00Z\"", "}"),
	    LINE("\"\\u00e9\\\"\"", "null", "null", CID, "[]", "\"2026-05-01T00:00:00Z\"", "}"),
	    LINE("\"\xff\"", "null", "null", CID, "[]", "\"2026-05-01T00:00:00Z\"", "}"),
	    LINE("null", "null", "null", CID, "[]", "\"2026-05-01T00:00:00Z\"", "}"),
	    LINE("null", "null", "null", CID, "[]", "\"2026-05-01T00:00:00Z\"",
		",\"size\":1,\"replication_factor_min\":2,\"replication_factor_max\":2,"
		"\"name\":\"last\"}"),
	    LINE("\"a\"", "null", "null", CID, "[]", "\"2026-05-01T00:00:00Z\"",
		",\"size\":1,\"replication_factor_min\":2,\"replication_factor_max\":2,"
		"\"name\":\"last\"}"),
	    LINE("\"a\"", "null", "null", CID, "[]", "\"2026-05-01T00:00:00Z\"", ",\"size\":5}"),
	    LINE("\"a\"", "null", "null", CID, "[]", "\"2026-05-01T00:00:00Z\"", ",\"cid\":null}"),
	    LINE("\"a\"", "null", "null", CID, "[]", "\"2026-05-01T00:00:00Z\"", ""),
	    LINE("\"a\"", "null", "null", CID, "[]", "\"2026-05-01T00:00:00Z\"", "}x"),
	    LINE("\"a\"", "null", "null", CID, "[]", "\"2026-05-01T00:00:00Z\"", "} "),
	    LINE("\"a\"", "null", "null", CID, "[]", "\"2026-05-32T00:00:00Z\"", "}"),
	    LINE("\"a\"", "null", "null", CID, "[]", "null", "}"),
	    LINE("\"a\"", "null", "null", CID "a", "[]", "\"2026-05-01T00:00:00Z\"", "}"),
	    LINE("\"a\"", "null", "null", "", "[]", "\"2026-05-01T00:00:00Z\"", "}"),
	    LINE("\"a\"", "null", "{\"k\":\"v\\n\",\"name\":\"n\"}", CID, "[\"" PEER "\"]",
		"\"2026-05-01T00:00:00Z\"", "}"),
	    LINE("\"b\"", "null", "{\"k\":\"v\\n\",\"name\":\"n\"}", OTHER_CID, "[\"" PEER "\"]",
		"\"2026-06-01T00:00:00Z\"", "}"),
	    LINE("\"a\"", "[\"" PEER "\"]", "null", CID, "[]", "\"2026-05-01T00:00:00Z\"", "}"),
	    "{\"cid\":\"" CID "\",\"name\":\"x\"}",
	    "{\"cid\":\"" CID "\"}",
	    "{}",
	    "",
	};
	struct zp_pin_lines lines;
	struct zp_pin pin;
	bool is_like;

	(void)state;
	zp_pin_lines_init(&lines);
	zp_pin_init(&pin);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(all); i++) {
		for (size_t j = 0; j < ZP_ARRAY_COUNT(all); j++) {
			read_both(&lines, all[i], &pin, &is_like);
			read_both(&lines, all[j], &pin, &is_like);
			if ((i == 0 && j == 1) || (i == 18 && j == 19))
				assert_true(is_like);
		}
	}
	zp_pin_done(&pin);
	zp_pin_lines_done(&lines);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(missing_members_are_zero),
	    cmocka_unit_test(nulls_are_zero),
	    cmocka_unit_test(members_are_found_in_any_form),
	    cmocka_unit_test(metadata_is_sorted),
	    cmocka_unit_test(much_metadata_is_sorted),
	    cmocka_unit_test(a_pin_is_used_again),
	    cmocka_unit_test(messages_name_the_member),
	    cmocka_unit_test(records_of_bad_pins_are_refused),
	    cmocka_unit_test(record_size_is_limited),
	    cmocka_unit_test(never_is_zero),
	    cmocka_unit_test(post_answer_differs_from_reads),
	    cmocka_unit_test(damaged_records_are_not_printed),
	    cmocka_unit_test(type_names),
	    cmocka_unit_test(lines_read_as_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
