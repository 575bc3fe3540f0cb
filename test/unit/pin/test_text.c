/*
 * test_text.c - multiaddresses, times and durations, as go-multiaddr 0.16.1 and Go 1.26 read and
 * print them.
 */
#include "pin/pin_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PEER "12D3KooWCFZ28HemDVKBQSVZGdCmKV5Gzr2Jq9hxqj9U1v7Z6ALa"
#define PEER_RSA "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
#define ONION3 "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd"

/* ---- Multiaddresses ------------------------------------------------------------------------- */

static void
multiaddresses_have_a_normal_form(void **state)
{
	static const struct {
		const char *text, *normal; /* NULL: the same */
	} cases[] = {
	    {"/ip4/1.2.3.4/tcp/4001/p2p/" PEER, NULL},
	    {"/ip4/1.2.3.4/tcp/4001/ipfs/" PEER_RSA, "/ip4/1.2.3.4/tcp/4001/p2p/" PEER_RSA},
	    {"/p2p/bafzbeie5745rpv2m6tjyuugywy4d5ewrqgqqhfnf445he3omzpjbx5xqxe", "/p2p/" PEER_RSA},
	    {"/ip4/1.2.3.4/", "/ip4/1.2.3.4"},
	    {"/ip4/1.2.3.4///", "/ip4/1.2.3.4"},
	    {"/ip4/::ffff:1.2.3.4", "/ip4/1.2.3.4"},
	    {"/tcp/00080", "/tcp/80"},
	    {"/tcp/0/udp/65535", NULL},
	    {"/ip6/::", NULL},
	    {"/ip6/::1/tcp/1", NULL},
	    {"/ip6/2001:DB8:0:0:0:0:0:1", "/ip6/2001:db8::1"},
	    {"/ip6/1:0:0:2:0:0:0:3", "/ip6/1:0:0:2::3"},
	    {"/ip6/1:0:0:2:3:0:0:4", "/ip6/1::2:3:0:0:4"},
	    {"/ip6/1:0:2:3:4:5:6:7", NULL},
	    {"/ip6/1:2:3:4:5:6:7::", "/ip6/1:2:3:4:5:6:7:0"},
	    {"/ip6/1:2:3:4:5:6:0:0", "/ip6/1:2:3:4:5:6::"},
	    {"/ip6/::1.2.3.4", "/ip6/::102:304"},
	    {"/ip6/::ffff:1.2.3.4", NULL},
	    {"/ip6/1.2.3.4", "/ip6/::ffff:1.2.3.4"},
	    {"/ip6zone/eth0/ip6/fe80::1", NULL},
	    {"/ip6/2001:db8::/ipcidr/32", NULL},
	    {"/dns/example.com/dns4/a/dns6/b/dnsaddr/c", NULL},
	    {"/ip4/1.2.3.4/udp/4001/quic-v1/webtransport/certhash/"
	     "uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g/certhash/"
	     "uEiDDq4_xNyDorZBH3TlGazyJdOWSwvo4PUo5YHFMrvDE8g/p2p/" PEER,
		NULL},
	    {"/certhash/f1203aabbcc", "/certhash/uEgOqu8w"},
	    {"/dns4/a.b/tcp/443/wss/p2p/" PEER "/p2p-circuit/p2p/" PEER_RSA, NULL},
	    {"/dns/a/tcp/443/tls/sni/b/ws", NULL},
	    {"/dns/a/tcp/443/tls/http/http-path/a%2Fb+c%7e",
		"/dns/a/tcp/443/tls/http/http-path/a%2Fb+c~"},
	    {"/http-path/%ff%20+\xc3\xbc", "/http-path/%FF++%C3%BC"},
	    {"/unix/tmp/x.sock", NULL},
	    {"/unix/p2p/" PEER "//y/", "/unix/p2p/" PEER "//y"},
	    {"/onion/TIMAQ4YGG2IEGCI7:080", "/onion/timaq4ygg2iegci7:80"},
	    {"/onion3/" ONION3 ":1234/http", NULL},
	    {"/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq", NULL},
	    {"/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq====",
		"/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertzuq"},
	    {"/memory/18446744073709551615", NULL},
	    {"/sctp/1/dccp/2/utp/udt/quic/noise/webrtc/webrtc-direct/p2p-webrtc-direct", NULL},
	    {"/plaintextv2/https/p2p-websocket-star", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		const char *expected = cases[i].normal != NULL ? cases[i].normal : cases[i].text;
		ZP_AUTO_BUF(normal, 4096);
		ZP_AUTO_BUF(again, 4096);
		struct zp_err err = {0};

		if (zp_multiaddr_normalize(zp_slice_of(cases[i].text), &normal, &err) < 0)
			fail_msg("%s: %s", cases[i].text, err.text);
		if (!zp_slice_is(zp_buf_slice(&normal), expected))
			fail_msg("%s is %.*s", cases[i].text, (int)normal.length, normal.data);
		assert_int_equal(zp_multiaddr_normalize(zp_buf_slice(&normal), &again, NULL), 0);
		assert_true(zp_slice_is(zp_buf_slice(&again), expected));
	}
}

static void
bad_multiaddresses_are_refused(void **state)
{
	static const char *const texts[] = {"", "/", "//", "ip4/1.2.3.4", "1.2.3.4", "/nope",
	    "/ip4", "/ip4/", "/ip4/1.2.3", "/ip4/1.2.3.4.5", "/ip4/1.2.3.256", "/ip4/01.2.3.4",
	    "/ip4/::1", "/ip4/1.2.3.4 ", "/ip4/1.2.3.4//tcp/1", "//ip4/1.2.3.4",
	    "/ip6/1:2:3:4:5:6:7", "/ip6/1:2:3:4:5:6:7:8:9", "/ip6/1::2::3", "/ip6/::12345",
	    "/ip6/fe80::1%eth0", "/ip6/g::", "/tcp", "/tcp/", "/tcp/65536", "/tcp/-1", "/tcp/+1",
	    "/tcp/1x", "/tcp/0x1", "/udp/99999999999999999999999", "/dns", "/dns//tcp/1", "/p2p",
	    "/p2p/", "/p2p/QmBad", "/p2p/12D3", "/p2p/bafkqaaa", "/p2p/nobody", "/quic/1.2.3.4",
	    "/ws/x", "/certhash/x", "/certhash/f12", "/certhash/f1203aabb",
	    "/certhash/f1203aabbccdd", "/http-path/%", "/http-path/%4", "/http-path/%zz", "/unix",
	    "/unix/", "/onion/timaq4ygg2iegci7", "/onion/timaq4ygg2iegci7:0",
	    "/onion/timaq4ygg2iegci7:70000", "/onion/timaq4ygg2iegci:80",
	    "/onion/timaq4ygg2iegci7:80:80", "/onion/9imaq4ygg2iegci7:80", "/onion3/" ONION3,
	    "/onion3/timaq4ygg2iegci7:80", "/garlic64/AAAA",
	    "/garlic64/===", "/garlic32/566niximlxdzpanmn4qouucvua3k7neniwss47li5r6ugoertz",
	    "/garlic32/", "/garlic32/566NIXIMLXDZPANMN4QOUUCVUA3K7NENIWSS47LI5R6UGOERTZUQ",
	    "/memory/x", "/memory/18446744073709551616", "/ip6zone/", "/ipcidr/256",
	    "/ip4/1.2.3.4\xff"};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(texts); i++) {
		ZP_AUTO_BUF(normal, 4096);
		struct zp_err err = {0};

		zp_buf_append_text(&normal, "before");
		if (zp_multiaddr_normalize(zp_slice_of(texts[i]), &normal, &err) != ZP_E_INVALID)
			fail_msg("taken: %s", texts[i]);
		assert_true(zp_slice_is(zp_buf_slice(&normal), "before"));
		assert_non_null(strstr(err.text, "failed to parse multiaddr"));
	}
	/* A NUL ends nothing, and a full buffer is as it was. */
	ZP_AUTO_BUF(small, 20);
	assert_int_equal(
	    zp_multiaddr_normalize(
		(struct zp_slice){(const uint8_t *)"/ip4/1.2.3.4\0", 13}, &small, NULL),
	    ZP_E_INVALID);
	assert_int_equal(zp_multiaddr_normalize(zp_slice_of("/ip4/1.2.3.4/tcp/4001"), &small, NULL),
	    ZP_E_TOO_LARGE);
	assert_int_equal(
	    zp_multiaddr_normalize(zp_slice_of("/ip4/1.2.3.4/tcp/400"), &small, NULL), ZP_OK);
}

/* Messages are go-multiaddr's, Go's and go-libp2p's word for word: clients show them. */
static void
messages_say_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
	    {"/", "failed to parse multiaddr \"\": empty multiaddr"},
	    {"x\"y", "failed to parse multiaddr \"x\\\"y\": must begin with /"},
	    {"/ip4/1.2.3", "failed to parse multiaddr \"/ip4/1.2.3\": invalid value \"1.2.3\" for "
			   "protocol ip4: failed to parse ip4 addr: 1.2.3"},
	    {"/tcp/65536", "failed to parse multiaddr \"/tcp/65536\": invalid value \"65536\" for "
			   "protocol tcp: failed to parse port addr: strconv.ParseUint: parsing "
			   "\"65536\": value out of range"},
	    {"/memory/x\n",
		"failed to parse multiaddr \"/memory/x\\n\": invalid value \"x\\n\" for "
		"protocol memory: strconv.ParseUint: parsing \"x\\n\": invalid syntax"},
	    {"/ipfs/x",
		"failed to parse multiaddr \"/ipfs/x\": invalid value \"x\" for protocol p2p: "
		"failed to parse p2p addr: x invalid cid: cid too short"},
	    {"/http-path/a%4",
		"failed to parse multiaddr \"/http-path/a%4\": invalid value \"a%4\" "
		"for protocol http-path: invalid URL escape \"%4\""},
	    {"/onion3/x:1", "failed to parse multiaddr \"/onion3/x:1\": invalid value \"x:1\" for "
			    "protocol onion3: failed to parse onion addr: x:1 not a Tor onionv3 "
			    "address. len == 1"},
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		ZP_AUTO_BUF(normal, 4096);
		struct zp_err err = {0};

		assert_int_equal(zp_multiaddr_normalize(zp_slice_of(cases[i].text), &normal, &err),
		    ZP_E_INVALID);
		assert_string_equal(err.text, cases[i].message);
	}
}

/* Quotes, escapes, bytes that are no UTF-8, and a cut between characters. */
static void
texts_are_quoted_as_go_does(void **state)
{
	static const struct {
		struct zp_slice text;
		const char *go, *time;
	} cases[] = {
#define CASE(text, go, time) {{(const uint8_t *)(text), sizeof(text) - 1}, go, time}
	    CASE("", "\"\"", "\"\""),
	    CASE("a\"\\b", "\"a\\\"\\\\b\"", "\"a\\\"\\\\b\""),
	    CASE("\0\a\n\x7f", "\"\\x00\\a\\n\\x7f\"", "\"\\x00\\x07\\x0a\x7f\""),
	    CASE("\xc3\xa9\xff", "\"\xc3\xa9\\xff\"", "\"\\xc3\\xa9\\xff\""),
	    CASE("\xe2\x80\xa8\xc2\xa0", "\"\\u2028\\u00a0\"", "\"\\xe2\\x80\\xa8\\xc2\\xa0\""),
	    CASE("\xf4\x8f\xbf\xbf", "\"\\U0010ffff\"", "\"\\xf4\\x8f\\xbf\\xbf\""),
#undef CASE
	};
	uint8_t worst[2 * ZP_QUOTED_BYTES_MAX];
	struct zp_quoted quoted;

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		assert_string_equal(zp_quote(cases[i].text, ZP_QUOTE_GO, &quoted), cases[i].go);
		assert_string_equal(zp_quote(cases[i].text, ZP_QUOTE_TIME, &quoted), cases[i].time);
	}
	memset(worst, 0xff, sizeof(worst));
	for (int style = ZP_QUOTE_GO; style <= ZP_QUOTE_TIME; style++)
		assert_int_equal(
		    strlen(zp_quote((struct zp_slice){worst, sizeof(worst)}, style, &quoted)),
		    4 * ZP_QUOTED_BYTES_MAX + 2);
	worst[0] = 'a';
	for (size_t i = 1; i + 1 < sizeof(worst); i += 2)
		memcpy(worst + i, "\xc3\xa9", 2);
	assert_int_equal(
	    strlen(zp_quote((struct zp_slice){worst, sizeof(worst)}, ZP_QUOTE_GO, &quoted)),
	    ZP_QUOTED_BYTES_MAX - 1 + 2);
}

/* Only a component called p2p counts, not the same letters in another's value. */
static void
peers_are_found_in_components(void **state)
{
	static const struct {
		const char *text;
		bool has_peer;
	} cases[] = {{"/p2p/" PEER, true}, {"/ip4/1.2.3.4/tcp/1/p2p/" PEER, true},
	    {"/p2p/" PEER "/p2p-circuit", true}, {"/ip4/1.2.3.4/tcp/1", false},
	    {"/p2p-circuit", false}, {"/dns/p2p/tcp/1", false}, {"/unix/p2p/" PEER, false},
	    {"/unix/a/p2p/" PEER, false}, {"/dns/p2p/ws/p2p/" PEER, true}, {"", false},
	    {"nonsense", false}};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++)
		assert_int_equal(
		    zp_multiaddr_has_peer(zp_slice_of(cases[i].text)), cases[i].has_peer);
}

/* ---- Times ---------------------------------------------------------------------------------- */

static void
times_are_read_as_go_does(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
		uint32_t nanoseconds;
		const char *printed; /* NULL: the same */
	} cases[] = {
	    {"1970-01-01T00:00:00Z", 0, 0, NULL},
	    {"0001-01-01T00:00:00Z", ZP_TIME_ZERO_SECONDS, 0, NULL},
	    {"0000-01-01T00:00:00Z", -62167219200, 0, NULL},
	    {"9999-12-31T23:59:59.999999999Z", 253402300799, 999999999, NULL},
	    {"2026-11-23T01:16:06.116404744Z", 1795396566, 116404744, NULL},
	    {"2024-02-29T12:00:00Z", 1709208000, 0, NULL},
	    {"2000-02-29T00:00:00Z", 951782400, 0, NULL},
	    {"1969-12-31T23:59:59.5Z", -1, 500000000, NULL},
	    {"2026-11-23T01:16:06.100Z", 1795396566, 100000000, "2026-11-23T01:16:06.1Z"},
	    {"2026-11-23T01:16:06.000000001Z", 1795396566, 1, NULL},
	    {"2026-11-23T01:16:06.0000000019Z", 1795396566, 1, "2026-11-23T01:16:06.000000001Z"},
	    {"2026-11-23T01:16:06,25Z", 1795396566, 250000000, "2026-11-23T01:16:06.25Z"},
	    {"2026-11-23T01:16:06+01:00", 1795392966, 0, "2026-11-23T00:16:06Z"},
	    {"2026-11-23T01:16:06-00:30", 1795398366, 0, "2026-11-23T01:46:06Z"},
	    {"2026-11-23T01:16:06+24:60", 1795306566, 0, "2026-11-22T00:16:06Z"},
	    {"2026-11-23T1:16:06Z", 1795396566, 0, "2026-11-23T01:16:06Z"},
	    {"2024-12-31T23:59:59-23:59", 1735775939, 0, "2025-01-01T23:58:59Z"},
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		ZP_AUTO_BUF(text, 64);
		struct zp_err err = {0};
		uint32_t nanoseconds;
		int64_t seconds;

		if (zp_time_parse(zp_slice_of(cases[i].text), &seconds, &nanoseconds, &err) < 0)
			fail_msg("%s", err.text);
		assert_true(seconds == cases[i].seconds);
		assert_int_equal(nanoseconds, cases[i].nanoseconds);
		zp_time_format(seconds, nanoseconds, &text);
		if (!zp_slice_is(zp_buf_slice(&text),
			cases[i].printed != NULL ? cases[i].printed : cases[i].text))
			fail_msg("%s is %.*s", cases[i].text, (int)text.length, text.data);
	}
}

static void
bad_times_are_refused(void **state)
{
	static const char *const texts[] = {"", "2026", "2026-11-23", "2026-11-23T01:16:06",
	    "2026-11-23 01:16:06Z", "2026-11-23t01:16:06Z", "2026-11-23T01:16:06z",
	    "2026-1-23T01:16:06Z", "2026-11-3T01:16:06Z", "26-11-23T01:16:06Z",
	    "+2026-11-23T01:16:06Z", "-001-11-23T01:16:06Z", "12026-11-23T01:16:06Z",
	    "2026-00-23T01:16:06Z", "2026-13-23T01:16:06Z", "2026-11-00T01:16:06Z",
	    "2026-11-31T01:16:06Z", "2026-02-29T01:16:06Z", "1900-02-29T01:16:06Z",
	    "2026-11-23T24:16:06Z", "2026-11-23T01:60:06Z", "2026-11-23T01:16:60Z",
	    "2026-11-23T01:6:06Z", "2026-11-23T01:16:6Z", "2026-11-23T01:16:06.Z",
	    "2026-11-23T01:16:06.xZ", "2026-11-23T01:16:06Zx", "2026-11-23T01:16:06Z ",
	    " 2026-11-23T01:16:06Z", "2026-11-23T01:16:06+0100", "2026-11-23T01:16:06+1:00",
	    "2026-11-23T01:16:06+25:00", "2026-11-23T01:16:06+01:61", "2026-11-23T01:16:06 01:00",
	    "2026-11-23T01:16:06+01:0", "0000-01-01T00:00:00+01:00", "9999-12-31T23:59:59-00:01"};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(texts); i++) {
		struct zp_err err = {0};
		uint32_t nanoseconds;
		int64_t seconds;

		if (zp_time_parse(zp_slice_of(texts[i]), &seconds, &nanoseconds, &err) !=
		    ZP_E_INVALID)
			fail_msg("taken: %s", texts[i]);
		assert_non_null(strstr(err.text, "time \""));
	}
}

static bool
is_leap(unsigned year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Every day of the years 0 to 9999 comes back, and days follow each other; counted here one by one.
 */
static void
every_day_comes_back(void **state)
{
	static const unsigned lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int64_t expected = -62167219200;

	(void)state;
	for (unsigned year = 0; year <= 9999; year++) {
		for (unsigned month = 1; month <= 12; month++) {
			unsigned days = lengths[month - 1] + (month == 2 && is_leap(year));

			for (unsigned day = 1; day <= days; day++, expected += 86400) {
				uint8_t text[PIN__TIME_TEXT_MAX];
				char wanted[64];
				uint32_t nanoseconds;
				int64_t seconds = 0;
				size_t length = pin__time_print(expected + 3661, 0, text);

				snprintf(wanted, sizeof(wanted), "%04u-%02u-%02uT01:01:01Z", year,
				    month, day);
				if (length != strlen(wanted) || memcmp(text, wanted, length) != 0)
					fail_msg("%s is %.*s", wanted, (int)length, text);
				if (zp_time_parse(
					zp_slice_of(wanted), &seconds, &nanoseconds, NULL) < 0 ||
				    seconds != expected + 3661)
					fail_msg("%s is %lld", wanted, (long long)seconds);
			}
		}
	}
}

/* A time that no year from 0 to 9999 has prints as the nearest that one has. */
static void
unprintable_times_are_clamped(void **state)
{
	ZP_AUTO_BUF(text, 200);

	(void)state;
	zp_time_format(INT64_MIN, 0, &text);
	zp_time_format(INT64_MAX, 0, &text);
	zp_time_format(-62167219201, 0, &text);
	zp_time_format(253402300800, 0, &text);
	assert_true(zp_slice_is(zp_buf_slice(&text), "0000-01-01T00:00:00Z9999-12-31T23:59:59Z"
						     "0000-01-01T00:00:00Z9999-12-31T23:59:59Z"));
}

/* ---- Durations ------------------------------------------------------------------------------ */

static void
durations_are_read_as_go_does(void **state)
{
	static const struct {
		const char *text;
		int64_t nanoseconds;
	} cases[] = {{"0", 0}, {"-0", 0}, {"+0", 0}, {"0s", 0}, {"240h", 864000000000000},
	    {"1m30s", 90000000000}, {"-1.5h", -5400000000000}, {"100ms", 100000000},
	    {"5.s", 5000000000}, {".5s", 500000000}, {"+5.6s", 5600000000}, {"10ns", 10},
	    {"11us", 11000}, {"12\xc2\xb5s", 12000}, {"12\xce\xbcs", 12000},
	    {"3h30m", 12600000000000}, {"10.5s4m", 250500000000},
	    {"1h2m3s4ms5us6ns", 3723004005006}, {"39h9m14.425s", 140954425000000},
	    {"52763797000ns", 52763797000}, {"0.3333333333333333333h", 1200000000000},
	    {"9007199254740993ns", 9007199254740993}, {"9223372036854775807ns", INT64_MAX},
	    {"9223372036854775.807us", INT64_MAX}, {"9223372036s854ms775us807ns", INT64_MAX},
	    {"-9223372036854775808ns", INT64_MIN}, {"-9223372036854775.808us", INT64_MIN},
	    {"0.100000000000000000000h", 360000000000}, {"0.830103483285477580700h", 2988372539827},
	    {"1s1s", 2000000000}};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		struct zp_err err = {0};
		int64_t value;

		if (zp_duration_parse(zp_slice_of(cases[i].text), &value, &err) < 0)
			fail_msg("%s", err.text);
		if (value != cases[i].nanoseconds)
			fail_msg("%s is %lld", cases[i].text, (long long)value);
	}
}

static void
bad_durations_are_refused(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {{"", "time: invalid duration \"\""},
	    {"3", "time: missing unit in duration \"3\""}, {"-", "time: invalid duration \"-\""},
	    {"s", "time: invalid duration \"s\""}, {".", "time: invalid duration \".\""},
	    {"-.", "time: invalid duration \"-.\""}, {".s", "time: invalid duration \".s\""},
	    {"+.s", "time: invalid duration \"+.s\""},
	    {"1d", "time: unknown unit \"d\" in duration \"1d\""},
	    {"00", "time: missing unit in duration \"00\""},
	    {"1h ", "time: unknown unit \"h \" in duration \"1h \""},
	    {" 1h", "time: invalid duration \" 1h\""},
	    {"1h-1m", "time: unknown unit \"h-\" in duration \"1h-1m\""},
	    {"--1h", "time: invalid duration \"--1h\""},
	    {"9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""},
	    {"-9223372036854775809ns", "time: invalid duration \"-9223372036854775809ns\""},
	    {"9223372036854775810ns", "time: invalid duration \"9223372036854775810ns\""},
	    {"9223372036854775.808us", "time: invalid duration \"9223372036854775.808us\""},
	    {"9223372036854ms775us808ns", "time: invalid duration \"9223372036854ms775us808ns\""},
	    {"3000000h", "time: invalid duration \"3000000h\""}};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		struct zp_err err = {0};
		int64_t value = 77;

		assert_int_equal(
		    zp_duration_parse(zp_slice_of(cases[i].text), &value, &err), ZP_E_INVALID);
		assert_string_equal(err.text, cases[i].message);
		assert_int_equal(value, 77);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(multiaddresses_have_a_normal_form),
	    cmocka_unit_test(bad_multiaddresses_are_refused),
	    cmocka_unit_test(messages_say_what_is_wrong),
	    cmocka_unit_test(texts_are_quoted_as_go_does),
	    cmocka_unit_test(peers_are_found_in_components),
	    cmocka_unit_test(times_are_read_as_go_does),
	    cmocka_unit_test(bad_times_are_refused),
	    cmocka_unit_test(every_day_comes_back),
	    cmocka_unit_test(unprintable_times_are_clamped),
	    cmocka_unit_test(durations_are_read_as_go_does),
	    cmocka_unit_test(bad_durations_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
