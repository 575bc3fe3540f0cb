/*
 * test_options.c - each option of a pin: what it sets, and the text of what is wrong with it.
 *
 * The texts were captured from IPFS Cluster 1.1.6 (POST /pins/<cid>?…).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "api/import.h"
#include "query_of.h"

#define NOW_US 1795396609500000LL
#define PEER_A "12D3KooWCFZ28HemDVKBQSVZGdCmKV5Gzr2Jq9hxqj9U1v7Z6ALa"
#define PEER_B "12D3KooWJgrJda94V87zcsns9VwoUVSUjjKQg1nxFL7a9WEZV358"
#define CID_A "bafkreia22brx2qsunhs3fjl32vzkkmlxo5xqnpselaxidh4r2n2eriydp4"

static int
read_text(const char *text, struct zp_pin *pin, struct zp_err *err)
{
	struct api_query query = query_of(text);
	int rc;

	zp_pin_init(pin);
	rc = api__options_read(&query, NOW_US, pin, err);
	api__query_done(&query);
	return rc;
}

/* Each bad value has IPFS Cluster's words. */
static void
bad_options_have_ipfs_clusters_texts(void **state)
{
	static const struct {
		const char *query;
		const char *text;
	} rows[] = {
	    {"replication-min=x", "parameter replication-min invalid"},
	    {"replication-min=99999999999999999999", "parameter replication-min invalid"},
	    {"replication-min= 1", "parameter replication-min invalid"},
	    {"replication-min=0x10", "parameter replication-min invalid"},
	    {"replication-min=1_0", "parameter replication-min invalid"},
	    {"replication-min=-", "parameter replication-min invalid"},
	    {"replication-max=1.5", "parameter replication-max invalid"},
	    {"replication=q", "parameter replication-min invalid"},
	    {"replication=q&replication-min=1", "parameter replication-min invalid"},
	    {"shard-size=-1", "parameter shard_size is invalid"},
	    {"shard-size=99999999999999999999999", "parameter shard_size is invalid"},
	    {"shard-size=18446744073709551616", "parameter shard_size is invalid"},
	    {"expire-at=2020", "expire-at cannot be parsed: parsing time \"2020\" as "
			       "\"2006-01-02T15:04:05Z07:00\": "
			       "cannot parse \"\" as \"-\""},
	    {"expire-at=2020-01-01", "expire-at cannot be parsed: parsing time \"2020-01-01\" as "
				     "\"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"T\""},
	    {"expire-at=2020-01-01T00:00:00",
		"expire-at cannot be parsed: parsing time \"2020-01-01T00:00:00\" as "
		"\"2006-01-02T15:04:05Z07:00\": cannot parse \"\" as \"Z07:00\""},
	    {"expire-at=2020-13-01T00:00:00Z", "expire-at cannot be parsed: parsing time "
					       "\"2020-13-01T00:00:00Z\": month out of range"},
	    {"expire-in=x", "expire-in cannot be parsed: time: invalid duration \"x\""},
	    {"expire-in=1", "expire-in cannot be parsed: time: missing unit in duration \"1\""},
	    {"expire-in=100000000h",
		"expire-in cannot be parsed: time: invalid duration \"100000000h\""},
	    {"expire-in=1ms", "expire-in duration too short"},
	    {"expire-in=-5s", "expire-in duration too short"},
	    {"expire-in=999999999ns", "expire-in duration too short"},
	    {"pin-update=xx", "error decoding update option parameter: invalid cid: selected "
			      "encoding not supported"},
	    {"origins=abc", "error decoding multiaddress: failed to parse multiaddr \"abc\": must "
			    "begin with /"},
	    {"origins=/ip4/1.2.3.4/tcp/4001",
		"multiaddress does not contain peer ID: protocol not found in multiaddr"},
	    {"origins=/ip4/1.2.3.4/tcp/4001,",
		"multiaddress does not contain peer ID: protocol not found in multiaddr"},
	    /* Two mistakes: the first in IPFS Cluster's order. */
	    {"origins=abc&replication-min=x", "parameter replication-min invalid"},
	    {"pin-update=xx&expire-in=1ms", "expire-in duration too short"},
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(rows); i++) {
		struct zp_err err = {0};
		struct zp_pin pin;

		if (read_text(rows[i].query, &pin, &err) != ZP_E_INVALID)
			fail_msg("%s was taken", rows[i].query);
		assert_string_equal(err.text, rows[i].text);
		zp_pin_done(&pin);
	}
}

/* An origin list that ends with a comma has an empty last one, which is none. */
static void
empty_origin_is_refused(void **state)
{
	struct zp_err err = {0};
	struct zp_pin pin;

	(void)state;
	assert_int_equal(read_text("origins=/p2p/" PEER_A ",", &pin, &err), ZP_E_INVALID);
	assert_memory_equal(err.text, "error decoding multiaddress: ", 29);
	zp_pin_done(&pin);
}

static void
numbers_and_mode(void **state)
{
	static const struct {
		const char *query;
		int64_t min, max, depth;
		uint64_t shard_size;
	} rows[] = {
	    {"", 0, 0, -1, 0},
	    {"mode=direct", 0, 0, 0, 0},
	    {"mode=recursive", 0, 0, -1, 0},
	    {"mode=bogus", 0, 0, -1, 0},
	    {"mode=", 0, 0, -1, 0},
	    {"replication-min=2&replication-max=3", 2, 3, -1, 0},
	    {"replication-min=+2&replication-max=-0", 2, 0, -1, 0},
	    {"replication-min=1&replication=5&replication-max=9", 5, 5, -1, 0},
	    {"replication=-1", -1, -1, -1, 0},
	    {"replication=&replication-min=&replication-max=&shard-size=", 0, 0, -1, 0},
	    {"shard-size=18446744073709551615", 0, 0, -1, UINT64_MAX},
	    {"shard-size=104857600&mode=direct", 0, 0, 0, 104857600},
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(rows); i++) {
		struct zp_pin pin;

		assert_int_equal(read_text(rows[i].query, &pin, NULL), 0);
		assert_int_equal(pin.replication_min, rows[i].min);
		assert_int_equal(pin.replication_max, rows[i].max);
		assert_int_equal(pin.max_depth, rows[i].depth);
		assert_true(pin.shard_size == rows[i].shard_size);
		assert_int_equal(pin.expire_at_seconds, ZP_TIME_ZERO_SECONDS);
		zp_pin_done(&pin);
	}
}

/* expire-at wins over expire-in; parts of a second are dropped, as they are when it is stored. */
static void
expiry(void **state)
{
	static const struct {
		const char *query;
		int64_t seconds;
	} rows[] = {
	    {"expire-at=2030-01-01T00:00:00Z", 1893456000},
	    {"expire-at=2030-01-01T00:00:00.9Z", 1893456000},
	    /* Half a second is gone of this one: its first half is past. */
	    {"expire-at=2026-11-23T01:16:49.499999Z", NOW_US / 1000000 - 1},
	    {"expire-at=2026-11-23T01:16:49.5Z", NOW_US / 1000000},
	    {"expire-at=2026-11-23T01:16:48.9Z", NOW_US / 1000000 - 1},
	    {"expire-at=2030-01-01T00:00:00+02:00", 1893456000 - 7200},
	    {"expire-at=2030-01-01T00:00:00Z&expire-in=bad", 1893456000},
	    {"expire-at=&expire-in=1s", 1795396610},
	    {"expire-in=1.5h", 1795396609 + 5400},
	    {"expire-in=500ms500ms", 1795396610},
	    {"expire-in=", ZP_TIME_ZERO_SECONDS},
	    {"expire-at=0001-01-01T00:00:00Z", ZP_TIME_ZERO_SECONDS},
	    /* 0 would be "never" in a record; what is meant is long past. */
	    {"expire-at=1970-01-01T00:00:00Z", 1},
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(rows); i++) {
		struct zp_pin pin;

		assert_int_equal(read_text(rows[i].query, &pin, NULL), 0);
		assert_int_equal(pin.expire_at_seconds, rows[i].seconds);
		zp_pin_done(&pin);
	}
}

/* The empty key is left out, the first of equal keys stays, and the order is that of keys. */
static void
metadata(void **state)
{
	struct zp_pin pin;

	(void)state;
	assert_int_equal(
	    read_text("meta-b=2&meta-=x&meta-a=1&meta-a=9&meta=z&name=n&meta-c=", &pin, NULL), 0);
	assert_true(zp_slice_is(pin.name, "n"));
	assert_int_equal(pin.metadata_count, 3);
	assert_true(zp_slice_is(pin.metadata[0].key, "a"));
	assert_true(zp_slice_is(pin.metadata[0].value, "1"));
	assert_true(zp_slice_is(pin.metadata[1].key, "b"));
	assert_true(zp_slice_is(pin.metadata[2].key, "c"));
	assert_int_equal(pin.metadata[2].value.length, 0);
	zp_pin_done(&pin);
}

/* Peers that are none are dropped; origins are brought into normal form. */
static void
peers_and_origins(void **state)
{
	struct zp_pin pin;
	ZP_AUTO_BUF(text, 1000);

	(void)state;
	assert_int_equal(read_text("user-allocations=bad,," PEER_B ",x," PEER_A
				   "&origins=/dns4/foo/tcp/4001/p2p/" PEER_A
				   ",/ip4/1.2.3.4/udp/4001/quic-v1/ipfs/" PEER_B,
			     &pin, NULL),
	    0);
	assert_int_equal(pin.user_allocations_count, 2);
	api__peers_json(pin.user_allocations, 2, &text);
	assert_true(zp_slice_is(zp_buf_slice(&text), "[\"" PEER_B "\",\"" PEER_A "\"]"));
	assert_int_equal(pin.origins_count, 2);
	assert_true(zp_slice_is(pin.origins[0], "/dns4/foo/tcp/4001/p2p/" PEER_A));
	assert_true(zp_slice_is(pin.origins[1], "/ip4/1.2.3.4/udp/4001/quic-v1/p2p/" PEER_B));
	zp_pin_done(&pin);
}

static void
pin_update(void **state)
{
	struct zp_pin pin;
	ZP_AUTO_BUF(text, 1000);

	(void)state;
	assert_int_equal(read_text("pin-update=", &pin, NULL), 0);
	assert_false(pin.has_pin_update);
	zp_pin_done(&pin);
	assert_int_equal(read_text("pin-update=" CID_A, &pin, NULL), 0);
	assert_true(pin.has_pin_update);
	zp_cid_format(&pin.pin_update, &text);
	assert_true(zp_slice_is(zp_buf_slice(&text), CID_A));
	zp_pin_done(&pin);
}

/* What may come in any number has an end. */
static void
lists_are_bounded(void **state)
{
	struct api_query query = {0};
	static char names[API_QUERY_PAIRS_MAX][24];
	struct zp_err err = {0};
	struct zp_pin pin;

	(void)state;
	for (size_t i = 0; i <= ZP_METADATA_COUNT_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "meta-%zu", i);
		assert_int_equal(
		    api__query_add(&query, zp_slice_of(names[i]), zp_slice_of("v"), NULL), 0);
	}
	zp_pin_init(&pin);
	assert_int_equal(api__options_read(&query, NOW_US, &pin, &err), ZP_E_TOO_LARGE);
	zp_pin_done(&pin);
	while (query.count < API_QUERY_PAIRS_MAX)
		assert_int_equal(
		    api__query_add(&query, zp_slice_of("a"), zp_slice_of(""), NULL), 0);
	assert_int_equal(
	    api__query_add(&query, zp_slice_of("a"), zp_slice_of(""), NULL), ZP_E_TOO_LARGE);
	api__query_done(&query);
}

/* ---- Import --------------------------------------------------------------------------------- */

static int
import_read(const char *text, struct api_import_options *import, struct zp_err *err)
{
	struct api_query query = query_of(text);
	int rc;

	memset(import, 0, sizeof(*import));
	rc = api__import_options_read(&query, import, err);
	api__query_done(&query);
	return rc;
}

static void
import_options(void **state)
{
	struct api_import_options import;
	ZP_AUTO_BUF(text, 1000);

	(void)state;
	assert_int_equal(import_read("", &import, NULL), 0);
	assert_int_equal(import.options.allocations, ZP_IMPORT_ALLOCATIONS_KEEP);
	assert_false(import.options.replace || import.options.skip_bad);
	zp_buf_done(&import.ids);

	assert_int_equal(import_read("allocations=map&map=" PEER_A ":" PEER_B "&map=" PEER_B
				     ":" PEER_A "&replace=true&skip_bad=1&lines_done=7&origin="
				     "000102030405060708090a0b0c0d0eFf",
			     &import, NULL),
	    0);
	assert_int_equal(import.options.map_count, 2);
	api__peers_json(import.options.map[1], 2, &text);
	assert_true(zp_slice_is(zp_buf_slice(&text), "[\"" PEER_B "\",\"" PEER_A "\"]"));
	assert_true(import.options.replace && import.options.skip_bad);
	assert_int_equal(import.options.lines_done, 7);
	assert_int_equal(import.options.origin.id[1], 1);
	assert_int_equal(import.options.origin.id[15], 255);
	zp_buf_done(&import.ids);
}

static void
bad_import_options(void **state)
{
	static const char *const rows[] = {
	    "allocations=all",
	    "map=" PEER_A ":" PEER_B, /* without allocations=map */
	    "allocations=map&map=" PEER_A,
	    "allocations=map&map=" PEER_A ":x",
	    "allocations=map&map=:" PEER_A,
	    "replace=yes",
	    "skip_bad=2",
	    "origin=0001",
	    "origin=00000000000000000000000000000000",
	    "origin=000102030405060708090a0b0c0d0e0g",
	    "lines_done=-1",
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(rows); i++) {
		struct api_import_options import;
		struct zp_err err = {0};

		if (import_read(rows[i], &import, &err) != ZP_E_INVALID || err.text[0] == '\0')
			fail_msg("%s was taken", rows[i]);
		zp_buf_done(&import.ids);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(bad_options_have_ipfs_clusters_texts),
	    cmocka_unit_test(empty_origin_is_refused),
	    cmocka_unit_test(numbers_and_mode),
	    cmocka_unit_test(expiry),
	    cmocka_unit_test(metadata),
	    cmocka_unit_test(peers_and_origins),
	    cmocka_unit_test(pin_update),
	    cmocka_unit_test(lists_are_bounded),
	    cmocka_unit_test(import_options),
	    cmocka_unit_test(bad_import_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
