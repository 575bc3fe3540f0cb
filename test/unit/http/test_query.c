/*
 * test_query.c - percent-decoding, path segments and query pairs, against what Go's net/url says.
 */
#include "http/http_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

/* A request of that target as the server makes it, with just the room it needs. */
static struct zp_http_request *
request_of(const char *target)
{
	static const struct http_head_limits limits = {16384, 10};
	struct zp_http_request *request = zp_alloc_zero(1, sizeof(*request));
	char head[1000];
	int length = snprintf(head, sizeof(head), "GET %s HTTP/1.0\r\n\r\n", target);

	http__head_reset(&request->head);
	assert_int_equal(
	    http__head_parse(&request->head, &limits, (uint8_t *)head, (size_t)length), length);
	request->bytes = zp_alloc((size_t)length + request->head.target.length);
	memcpy(request->bytes, head, (size_t)length);
	return request;
}

static void
request_free(struct zp_http_request *request)
{
	zp_free(request->bytes);
	zp_free(request);
}

static void
assert_pairs(const char *target, const char *expected)
{
	struct zp_http_request *request = request_of(target);

	/* Twice: walking again gives the same. */
	for (int round = 0; round < 2; round++) {
		ZP_AUTO_BUF(text, 4096);
		struct zp_slice key;
		struct zp_slice value;
		size_t position = 0;

		while (zp_http_query_next(request, &position, &key, &value) == 0)
			zp_buf_printf(&text, "[%.*s=%.*s]", (int)key.length, key.data,
			    (int)value.length, value.data);
		if (!zp_slice_is(zp_buf_slice(&text), expected))
			fail_msg("%s gives %.*s", target, (int)text.length, text.data);
	}
	request_free(request);
}

/* The expectations are what Go 1.19's url.ParseQuery keeps: bad pairs go, the others stay. */
static void
query_pairs_are_as_in_go(void **state)
{
	(void)state;
	assert_pairs("/", "");
	assert_pairs("/?", "");
	assert_pairs("/?a=1&b=2", "[a=1][b=2]");
	assert_pairs("/?a=1&a=2", "[a=1][a=2]");
	assert_pairs("/?a", "[a=]");
	assert_pairs("/?a=", "[a=]");
	assert_pairs("/?=b", "[=b]");
	assert_pairs("/?&&a=1&&", "[a=1]");
	assert_pairs("/?a=b=c", "[a=b=c]");
	assert_pairs("/?a=x+y%20z%2B", "[a=x y z+]");
	assert_pairs("/?a%3Db=c%26d", "[a=b=c&d]");
	assert_pairs("/?a=%zz&b=2", "[b=2]");
	assert_pairs("/?%z=1&b=2", "[b=2]");
	assert_pairs("/?a=%4&b=%&c=%41", "[c=A]");
	assert_pairs("/?a=1;b=2&c=3", "[c=3]");
	assert_pairs("/?a=1%3Bb&c=3", "[a=1;b][c=3]");
	assert_pairs("/?x?y=/?", "[x?y=/?]");
	assert_pairs("/p+%41?meta-k=%C3%A4", "[meta-k=\xc3\xa4]");
}

static void
assert_segments(const char *target, const char *expected)
{
	struct zp_http_request *request = request_of(target);
	ZP_AUTO_BUF(text, 4096);
	struct zp_slice segment;
	size_t position = 0;
	int rc;

	while ((rc = zp_http_path_next(request, &position, &segment)) == 0)
		zp_buf_printf(&text, "[%.*s]", (int)segment.length, segment.data);
	if (rc != ZP_END)
		zp_buf_printf(&text, "!");
	if (!zp_slice_is(zp_buf_slice(&text), expected))
		fail_msg("%s gives %.*s", target, (int)text.length, text.data);
	request_free(request);
}

static void
path_segments_are_split_then_decoded(void **state)
{
	(void)state;
	assert_segments("/", "[]");
	assert_segments("/a", "[a]");
	assert_segments("/a/", "[a][]");
	assert_segments("/a//b", "[a][][b]");
	assert_segments("/a%2Fb/c", "[a/b][c]");
	assert_segments("/a+b/%2b", "[a+b][+]");
	assert_segments("/a/%zz/c", "[a]!");
	assert_segments("/a%4", "!");
	assert_segments("/../a?b/c", "[..][a]");
	assert_segments("http://h", "[]");
	assert_segments("http://h?x/y", "[]");
	assert_segments("http://h/a/b", "[a][b]");
}

/* The first value of a key; a key that is only a part of another is not it. */
static void
the_first_value_is_found(void **state)
{
	struct zp_http_request *request = request_of("/?aa=0&%61=x%20y&a=2");
	struct zp_slice value = {0};

	(void)state;
	assert_true(zp_http_query_get(request, "a", &value));
	assert_true(zp_slice_is(value, "x y"));
	assert_false(zp_http_query_get(request, "b", &value));
	assert_true(zp_slice_is(value, "x y"));
	request_free(request);
}

/* All 256 bytes survive being escaped, in both cases of the digits. */
static void
every_byte_can_be_escaped(void **state)
{
	(void)state;
	for (unsigned byte = 0; byte < 256; byte++) {
		uint8_t out[3];
		char text[8];

		snprintf(text, sizeof(text), "%%%02x", byte);
		assert_int_equal(zp_http_unescape(zp_slice_of(text), false, out), 1);
		assert_int_equal(out[0], byte);
		snprintf(text, sizeof(text), "%%%02X", byte);
		assert_int_equal(zp_http_unescape(zp_slice_of(text), true, out), 1);
		assert_int_equal(out[0], byte);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(query_pairs_are_as_in_go),
	    cmocka_unit_test(path_segments_are_split_then_decoded),
	    cmocka_unit_test(the_first_value_is_found),
	    cmocka_unit_test(every_byte_can_be_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
