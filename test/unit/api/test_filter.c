/*
 * test_filter.c - what listings are asked for, and which pins that takes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "query_of.h"

/* Names, composites, blanks, unknown ones; 400 only where nothing valid is left. */
static void
status_filter(void **state)
{
	static const struct {
		const char *text;
		int rc;
		uint32_t bits;
	} rows[] = {
	    {"", 0, 0},
	    {"cluster_error", 0, 1u << 1},
	    {"pin_error", 0, 1u << 2},
	    {"unpin_error", 0, 1u << 3},
	    {"pinned", 0, 1u << 4},
	    {"pinning", 0, 1u << 5},
	    {"unpinning", 0, 1u << 6},
	    {"unpinned", 0, 1u << 7},
	    {"remote", 0, 1u << 8},
	    {"pin_queued", 0, 1u << 9},
	    {"unpin_queued", 0, 1u << 10},
	    {"sharded", 0, 1u << 11},
	    {"unexpectedly_unpinned", 0, 1u << 12},
	    {"error", 0, 1u << 1 | 1u << 2 | 1u << 3},
	    {"queued", 0, 1u << 9 | 1u << 10},
	    {"pinned,queued,pin_queued", 0, 1u << 4 | 1u << 9 | 1u << 10},
	    {" pin ned , re mote", 0, 1u << 4 | 1u << 8},
	    {"pinned,bogus", 0, 1u << 4},
	    {",pinned,", 0, 1u << 4},
	    {"undefined", ZP_E_INVALID, 0},
	    {"bogus", ZP_E_INVALID, 0},
	    {",", ZP_E_INVALID, 0},
	    {"Pinned", ZP_E_INVALID, 0},
	    {"pinned ed", ZP_E_INVALID, 0},
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(rows); i++) {
		struct zp_err err = {0};
		uint32_t bits = 0;
		int rc = api__status_filter_parse(zp_slice_of(rows[i].text), &bits, &err);

		if (rc != rows[i].rc || bits != rows[i].bits)
			fail_msg("%s: %d, bits %x", rows[i].text, rc, bits);
		if (rc < 0)
			assert_string_equal(err.text, "invalid filter value");
		else if (bits != 0 && (bits & (bits - 1)) == 0 &&
			 strchr(rows[i].text, ' ') == NULL && strchr(rows[i].text, ',') == NULL)
			assert_string_equal(api__status_name(bits), rows[i].text);
	}
}

static void
type_filter(void **state)
{
	static const struct {
		const char *text;
		int rc;
		uint32_t bits;
	} rows[] = {
	    {"", 0, 0},
	    {"all", 0, 0},
	    {"pin", 0, 1u << ZP_PIN_DATA},
	    {"pin,meta-pin", 0, 1u << ZP_PIN_DATA | 1u << ZP_PIN_META},
	    {"clusterdag-pin,shard-pin", 0, 1u << ZP_PIN_CLUSTER_DAG | 1u << ZP_PIN_SHARD},
	    {"bogus,pin", 0, 1u << ZP_PIN_DATA},
	    {"pin,", 0, 0}, /* the empty name is all */
	    {"pin,meta-pin,clusterdag-pin,shard-pin", 0, 0},
	    {"bogus", ZP_E_INVALID, 0},
	    {"bogus,xx", ZP_E_INVALID, 0},
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(rows); i++) {
		uint32_t bits = 0;
		int rc = api__type_filter_parse(zp_slice_of(rows[i].text), &bits, NULL);

		if (rc != rows[i].rc || bits != rows[i].bits)
			fail_msg("%s: %d, bits %x", rows[i].text, rc, bits);
	}
}

static int
filter_of(const char *text, struct api_filter *filter, struct zp_err *err)
{
	struct api_query query = query_of(text);
	int rc;

	memset(filter, 0, sizeof(*filter));
	rc = api__filter_read(&query, filter, err);
	api__query_done(&query);
	return rc;
}

static void
pages(void **state)
{
	static const char *const bad[] = {"limit=0", "limit=10001", "limit=x", "limit=-1",
	    "limit= 1", "cursor=00", "cursor=zz", "before=x", "after=2020", "order=oldest"};
	struct api_cursor cursor = {0};
	struct api_filter filter;
	struct zp_cid cid;
	struct zp_key key;
	ZP_AUTO_BUF(text, 1000);

	(void)state;
	assert_int_equal(filter_of("limit=10000", &filter, NULL), 0);
	assert_int_equal(filter.limit, 10000);
	assert_int_equal(filter_of("limit=&cursor=&name=&before=&after=", &filter, NULL), 0);
	assert_int_equal(filter.limit, 0);
	assert_false(filter.has_cursor || filter.has_name || filter.has_before || filter.has_after);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(bad); i++)
		if (filter_of(bad[i], &filter, NULL) != ZP_E_INVALID)
			fail_msg("%s was taken", bad[i]);

	assert_int_equal(
	    zp_cid_parse(zp_slice_of("QmNmVY8XGFNGU5wZmoqKaxVzqpGV4pL5BURyKUhWcK9Ezh"), &cid, NULL),
	    0);
	zp_key_of_cid(&cid, 0, 0, &key);
	zp_key_encode(&key, cursor.key);
	zp_buf_append_text(&text, "cursor=");
	api__cursor_format(&cursor, &text);
	zp_buf_append_byte(&text, '\0');
	assert_int_equal(filter_of((const char *)text.data, &filter, NULL), 0);
	assert_true(filter.has_cursor);
	assert_int_equal(filter.cursor.moment_id, 0);
	assert_memory_equal(filter.cursor.key, cursor.key, ZP_KEY_BYTES);
}

/* A cursor of a list of the newest has their time too, and goes on in no list by key; nor the other
 * way round. */
static void
cursors_have_their_order(void **state)
{
	const uint64_t moments[] = {0, UINT64_C(0xfedcba9876543210)};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(moments); i++) {
		struct api_cursor cursor = {.moment_id = moments[i],
		    .key = {7, [33] = 1, [41] = 0x70},
		    .newest_first = true,
		    .created = -5};
		struct api_filter filter;
		struct zp_err err = {0};
		ZP_AUTO_BUF(text, 1000);
		size_t at;

		zp_buf_append_text(&text, "order=newest&cursor=");
		at = text.length;
		api__cursor_format(&cursor, &text);
		zp_buf_append_byte(&text, '\0');
		assert_int_equal(filter_of((const char *)text.data, &filter, &err), 0);
		assert_true(filter.newest_first && filter.cursor.newest_first);
		assert_true(filter.cursor.created == -5 && filter.cursor.moment_id == moments[i]);
		assert_memory_equal(filter.cursor.key, cursor.key, ZP_KEY_BYTES);
		memcpy(text.data, "order=key&a=", 12);
		assert_int_equal(filter_of((const char *)text.data, &filter, &err), ZP_E_INVALID);
		assert_non_null(strstr(err.text, "another order"));
		memcpy(text.data, "order=newest", 12);
		text.data[at + (moments[i] == 0 ? 0 : 16)] = '0'; /* instead of n */
		assert_int_equal(filter_of((const char *)text.data, &filter, NULL), ZP_E_INVALID);
		text.length = at;
		cursor.newest_first = false;
		api__cursor_format(&cursor, &text);
		zp_buf_append_byte(&text, '\0');
		assert_int_equal(filter_of((const char *)text.data, &filter, NULL), ZP_E_INVALID);
	}
}

/* A cursor goes on in the pinset that it came from: the present, or one moment. */
static void
cursors_have_their_moment(void **state)
{
	struct api_filter filter, none = {0};
	struct api_cursor cursor = {.moment_id = UINT64_C(0x0123456789abcdef),
	    .key = {[33] = 1, [41] = 0x70}}; /* an all-zero digest, dag-pb */
	ZP_AUTO_BUF(text, 1000);

	(void)state;
	zp_buf_append_text(&text, "cursor=");
	api__cursor_format(&cursor, &text);
	zp_buf_append_byte(&text, '\0');
	assert_memory_equal(text.data, "cursor=0123456789abcdef0000", 27);
	assert_int_equal(filter_of((const char *)text.data, &filter, NULL), 0);
	assert_true(filter.cursor.moment_id == UINT64_C(0x0123456789abcdef));
	assert_memory_equal(filter.cursor.key, cursor.key, ZP_KEY_BYTES);
	assert_int_equal(api__cursor_check(&filter, UINT64_C(0x0123456789abcdef), NULL), 0);
	assert_int_equal(
	    api__cursor_check(&filter, UINT64_C(0x0123456789abcdee), NULL), ZP_E_INVALID);
	assert_int_equal(api__cursor_check(&filter, 0, NULL), ZP_E_INVALID);
	filter.cursor.moment_id = 0;
	assert_int_equal(api__cursor_check(&filter, 0, NULL), 0);
	assert_int_equal(api__cursor_check(&filter, 1, NULL), ZP_E_INVALID);
	assert_int_equal(api__cursor_check(&none, 1, NULL), 0);
	/* No moment has the id 0, nor is a digit wrong or missing. */
	memset(text.data + 7, '0', 16);
	assert_int_equal(filter_of((const char *)text.data, &filter, NULL), ZP_E_INVALID);
	text.data[7] = 'x';
	assert_int_equal(filter_of((const char *)text.data, &filter, NULL), ZP_E_INVALID);
	text.data[7] = '1';
	assert_int_equal(filter_of((const char *)text.data, &filter, NULL), 0);
	text.data[text.length - 2] = '\0';
	assert_int_equal(filter_of((const char *)text.data, &filter, NULL), ZP_E_INVALID);
}

/* A record with name "n", metadata a=1 and b=2, created at `created`. */
static struct zp_record
record_of(int64_t created, enum zp_pin_type type, struct zp_buf *texts)
{
	struct zp_record record;
	struct zp_pin pin;

	zp_pin_init(&pin);
	assert_int_equal(zp_cid_parse(zp_slice_of("QmNmVY8XGFNGU5wZmoqKaxVzqpGV4pL5BURyKUhWcK9Ezh"),
			     &pin.cid, NULL),
	    0);
	pin.name = zp_slice_of("n");
	pin.type = type;
	pin.created_seconds = created;
	assert_int_equal(zp_pin_metadata_put(&pin, zp_slice_of("a"), zp_slice_of("1"), NULL), 0);
	assert_int_equal(zp_pin_metadata_put(&pin, zp_slice_of("b"), zp_slice_of("2"), NULL), 0);
	assert_int_equal(zp_pin_to_record(&pin, 0, texts, &record, NULL), 0);
	zp_pin_done(&pin);
	return record;
}

static void
matching(void **state)
{
	static const struct {
		const char *query;
		bool matches;
	} rows[] = {
	    {"", true},
	    {"name=n", true},
	    {"name=N", false},
	    {"name=nn", false},
	    {"meta-a=1", true},
	    {"meta-a=1&meta-b=2", true},
	    {"meta-a=2", false},
	    {"meta-1=a", false},
	    {"meta-a=1&meta-c=3", false},
	    {"name=n&meta-b=2&after=1970-01-01T00:16:39Z&before=1970-01-01T00:16:41Z", true},
	    {"after=1970-01-01T00:16:40Z", false}, /* both are exclusive */
	    {"before=1970-01-01T00:16:40Z", false},
	    {"before=1970-01-01T00:16:40.1Z", true},
	    {"after=1970-01-01T00:16:39.9Z", true},
	};
	ZP_AUTO_BUF(texts, ZP_RECORD_BYTES_MAX);
	struct zp_record record = record_of(1000, ZP_PIN_DATA, &texts);
	struct api_filter filter;

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(rows); i++) {
		struct zp_scan_filter facts;
		bool is_between;

		assert_int_equal(filter_of(rows[i].query, &filter, NULL), 0);
		if (api__filter_matches(&filter, &record) != rows[i].matches)
			fail_msg("%s", rows[i].query);
		/* What facts say alone takes no pin away, and times are facts. */
		api__filter_facts(&filter, &facts);
		is_between =
		    !facts.has_created || (1000 >= facts.created_min && 1000 <= facts.created_max);
		if (rows[i].matches ? !is_between : facts.has_created && is_between)
			fail_msg("%s", rows[i].query);
	}
	memset(&filter, 0, sizeof(filter));
	filter.types = 1u << ZP_PIN_META;
	assert_false(api__filter_matches(&filter, &record));
	filter.types |= 1u << ZP_PIN_DATA;
	assert_true(api__filter_matches(&filter, &record));
}

static void
decimals(void **state)
{
	uint64_t value = 5;

	(void)state;
	assert_true(api__decimal_read(zp_slice_of("18446744073709551615"), UINT64_MAX, &value));
	assert_true(value == UINT64_MAX);
	assert_false(api__decimal_read(zp_slice_of("18446744073709551616"), UINT64_MAX, &value));
	assert_true(api__decimal_read(zp_slice_of("7"), 7, &value));
	assert_false(api__decimal_read(zp_slice_of("8"), 7, &value));
	assert_false(api__decimal_read(zp_slice_of("10"), 7, &value));
	assert_false(api__decimal_read(zp_slice_of(""), 7, &value));
	assert_true(api__decimal_read(zp_slice_of("000000000000000000000003"), 7, &value));
	assert_int_equal(value, 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(status_filter),
	    cmocka_unit_test(type_filter),
	    cmocka_unit_test(pages),
	    cmocka_unit_test(cursors_have_their_moment),
	    cmocka_unit_test(cursors_have_their_order),
	    cmocka_unit_test(matching),
	    cmocka_unit_test(decimals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
