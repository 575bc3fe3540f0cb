/*
 * test_parse.c - the head parser and the chunk decoder: tables of bytes and verdicts.
 *
 * Method: each row is read whole, byte by byte, and cut in two at every place; each time from
 *         memory of exactly that size, so that the sanitizer sees a read beyond it. All must give
 * one verdict.
 */
#include "http/http_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const struct http_head_limits limits = {.head_bytes_max = 600, .headers_max = 10};

#define H "Host: a\r\n"
#define G "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\n" H
#define TEXT(text) text, sizeof(text) - 1
#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

struct row {
	const char *text;
	size_t length;
	int verdict; /* 0: a good head; else minus the status */
};

static const struct row heads[] = {
    /* Good. */
    {TEXT(G H "\r\n"), 0},
    {TEXT(G H "\r\nGET"), 0},
    {TEXT("\r\n" G H "\r\n"), 0},
    {TEXT("GET / HTTP/1.0\r\n\r\n"), 0},
    {TEXT(G "Host:\r\n\r\n"), 0},
    {TEXT(G "hOsT:\t [::1]:80 \t\r\n\r\n"), 0},
    {TEXT(G "Host: a.b-c_d:8080\r\nX: \x80\xff\t y\r\nEmpty:\r\n\r\n"), 0},
    {TEXT("OPTIONS * HTTP/1.1\r\n" H "\r\n"), 0},
    {TEXT("GET http://b:80 HTTP/1.1\r\n" H "\r\n"), 0},
    {TEXT("GET HTTPS://b/c?d HTTP/1.1\r\n" H "\r\n"), 0},
    {TEXT("BREW /?a=%zz&b HTTP/1.1\r\n" H "\r\n"), 0},
    {TEXT("GET /a\xc3\xa4?b=\xff HTTP/1.1\r\n" H "\r\n"), 0},
    {TEXT(POST "Content-Length: 0005\r\n\r\nhello"), 0},
    {TEXT(POST "Transfer-Encoding: Chunked\r\n\r\n"), 0},
    {TEXT(POST "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n"), 0},
    {TEXT("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: magic\r\n\r\n"), 0},
    {TEXT(G H "A:1\r\nA:2\r\nA:3\r\nA:4\r\nA:5\r\nA:6\r\nA:7\r\nA:8\r\nA:9\r\n\r\n"), 0},
    /* Line ends. */
    {TEXT("GET / HTTP/1.1\nHost: a\n\n"), -400},
    {TEXT("\n" G H "\r\n"), -400},
    {TEXT("\r\n\r\n" G H "\r\n"), -400},
    {TEXT("\rGET / HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT(G H "A: b\n\r\n"), -400},
    {TEXT(G H "A: b\rc\r\n\r\n"), -400},
    {TEXT(G H "A: b\r\r\n\r\n"), -400},
    {TEXT(G H "\n"), -400},
    {TEXT(G H "\r\r\n"), -400},
    {TEXT("GET / HTTP/1.1\r\r\n" H "\r\n"), -400},
    /* Fields. */
    {TEXT(G H "A: b\0c\r\n\r\n"), -400},
    {TEXT(G H "A: b\x7f\r\n\r\n"), -400},
    {TEXT(G H "A: 123456789abcdefghi\x01klm\r\n\r\n"), -400},
    {TEXT(G H "A: b\r\n c\r\n\r\n"), -400},
    {TEXT(G H "A: b\r\n\tc\r\n\r\n"), -400},
    {TEXT(G " " H "\r\n"), -400},
    {TEXT(G "Host : a\r\n\r\n"), -400},
    {TEXT(G H "A\r\n\r\n"), -400},
    {TEXT(G H ": b\r\n\r\n"), -400},
    {TEXT(G H "A b: c\r\n\r\n"), -400},
    {TEXT(G H "A\x80: c\r\n\r\n"), -400},
    {TEXT(G H "A(b): c\r\n\r\n"), -400},
    /* Host. */
    {TEXT(G "\r\n"), -400},
    {TEXT(G H H "\r\n"), -400},
    {TEXT("GET / HTTP/1.0\r\n" H H "\r\n"), -400},
    {TEXT(G "Host: a b\r\n\r\n"), -400},
    {TEXT(G "Host: a/b\r\n\r\n"), -400},
    {TEXT(G "Host: u@a\r\n\r\n"), -400},
    {TEXT(G "Host: a:b\r\n\r\n"), -400},
    {TEXT(G "Host: a:123456\r\n\r\n"), -400},
    {TEXT(G "Host: [::1\r\n\r\n"), -400},
    {TEXT(G "Host: [::g]\r\n\r\n"), -400},
    {TEXT(G "Host: a\x80\r\n\r\n"), -400},
    /* Length and coding. */
    {TEXT(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), -400},
    {TEXT(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), -400},
    {TEXT(POST "Content-Length: 5, 5\r\n\r\n"), -400},
    {TEXT(POST "Content-Length: +5\r\n\r\n"), -400},
    {TEXT(POST "Content-Length: -5\r\n\r\n"), -400},
    {TEXT(POST "Content-Length: 0x5\r\n\r\n"), -400},
    {TEXT(POST "Content-Length: 5 5\r\n\r\n"), -400},
    {TEXT(POST "Content-Length: 5.0\r\n\r\n"), -400},
    {TEXT(POST "Content-Length:\r\n\r\n"), -400},
    {TEXT(POST "Content-Length: 18446744073709551621\r\n\r\n"), -400},
    {TEXT(POST "Content-Length: 99999999999999999999999\r\n\r\n"), -400},
    {TEXT(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), -400},
    {TEXT(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), -400},
    {TEXT(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), -400},
    {TEXT(POST "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n\r\n"), -400},
    {TEXT(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), -501},
    {TEXT(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), -501},
    {TEXT(POST "Transfer-Encoding: chunked, identity\r\n\r\n"), -501},
    {TEXT(POST "Transfer-Encoding: identity\r\n\r\n"), -501},
    {TEXT(POST "Transfer-Encoding: xchunked\r\n\r\n"), -501},
    {TEXT(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), -501},
    {TEXT(POST "Transfer-Encoding:\r\n\r\n"), -501},
    {TEXT(POST "Transfer-Encoding: \x0b"
	       "chunked\r\n\r\n"),
	-400},
    {TEXT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), -400},
    {TEXT(POST "Content-Length: 1\r\nExpect: 200-maybe\r\n\r\n"), -417},
    /* The request line. */
    {TEXT("GET  / HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("GET /  HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("GET / HTTP/1.1 \r\n" H "\r\n"), -400},
    {TEXT("GET\t/ HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT(" GET / HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("GET /\r\n\r\n"), -400},
    {TEXT("GET\r\n\r\n"), -400},
    {TEXT("GET  HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("G@T / HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("GET a HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("GET a:80 HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("GET * HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("OPTIONS *a HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("GET ftp://a/ HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("GET http:///a HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("GET http:// HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("GET http://u@a/ HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("GET http://:80/ HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("GET http://b/ HTTP/1.1\r\n\r\n"), -400},
    {TEXT("GET /a#b HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("GET /a\x01 HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("GET /a\0 HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("GET /a\x7f HTTP/1.1\r\n" H "\r\n"), -400},
    {TEXT("CONNECT a:80 HTTP/1.1\r\n" H "\r\n"), -501},
    {TEXT("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGH / HTTP/1.1\r\n" H "\r\n"), -501},
    {TEXT("GET / http/1.1\r\n" H "\r\n"), -400},
    {TEXT("GET / HTTP/1.\r\n" H "\r\n"), -400},
    {TEXT("GET / HTTP/1.11\r\n" H "\r\n"), -400},
    {TEXT("GET / HTTP/1,1\r\n" H "\r\n"), -400},
    {TEXT("GET / HTTPS/1.1\r\n" H "\r\n"), -400},
    {TEXT("GET / HTTP/1.2\r\n" H "\r\n"), -505},
    {TEXT("GET / HTTP/0.9\r\n" H "\r\n"), -505},
    {TEXT("GET / HTTP/3.0\r\n" H "\r\n"), -505},
    {TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), -505},
    {TEXT("\x16\x03\x01\x02"), -400},
    /* Limits. */
    {TEXT("GET /" X100 X100 X100 X100 X100 X100 " HTTP/1.1\r\n" H "\r\n"), -414},
    {TEXT("GET /" X100 X100 X100 X100 X100 X100), -414},
    {TEXT(G H "A: " X100 X100 X100 X100 X100 X100 "\r\n\r\n"), -431},
    {TEXT(G H "A: " X100 X100 X100 X100 X100 X100), -431},
    {TEXT(G H "A:1\r\nA:2\r\nA:3\r\nA:4\r\nA:5\r\nA:6\r\nA:7\r\nA:8\r\nA:9\r\nA:10\r\n\r\n"), -431},
};

/* Reads the first `length` bytes, as they would stand in a buffer of just that size. */
static int
parse_prefix(struct http_head *head, const struct row *row, size_t length)
{
	uint8_t *bytes = zp_alloc(length);
	int rc;

	memcpy(bytes, row->text, length);
	rc = http__head_parse(head, &limits, bytes, length);
	zp_free(bytes);
	return rc;
}

static int
verdict_with_cut(const struct row *row, size_t cut, struct http_head *head)
{
	int rc;

	http__head_reset(head);
	rc = cut > 0 ? parse_prefix(head, row, cut) : 0;
	return rc != 0 ? rc : parse_prefix(head, row, row->length);
}

static int
verdict_bytewise(const struct row *row, struct http_head *head)
{
	int rc = 0;

	http__head_reset(head);
	for (size_t length = 1; length <= row->length && rc == 0; length++)
		rc = parse_prefix(head, row, length);
	return rc;
}

static void
heads_have_one_verdict_however_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(heads); i++) {
		const struct row *row = &heads[i];
		struct http_head whole;
		struct http_head other;
		int verdict = verdict_with_cut(row, 0, &whole);

		if (row->verdict == 0 ? verdict <= 0 : verdict != row->verdict)
			fail_msg("row %zu is %d, not %d: %s", i, verdict, row->verdict, row->text);
		for (size_t cut = 1; cut <= row->length; cut++) {
			if (verdict_with_cut(row, cut, &other) != verdict)
				fail_msg("row %zu cut at %zu: %s", i, cut, row->text);
			if (verdict > 0)
				assert_memory_equal(whole.fields, other.fields,
				    whole.field_count * sizeof(whole.fields[0]));
		}
		if (verdict_bytewise(row, &other) != verdict)
			fail_msg("row %zu byte by byte: %s", i, row->text);
	}
}

/* A good head that is not complete asks for more, at every length. */
static void
an_incomplete_head_asks_for_more(void **state)
{
	static const struct row row = {TEXT(POST "Content-Length: 5\r\nA: b\r\n\r\n"), 0};

	(void)state;
	for (size_t length = 1; length < row.length; length++) {
		struct http_head head;

		http__head_reset(&head);
		assert_int_equal(parse_prefix(&head, &row, length), 0);
	}
}

static void
assert_span(const struct row *row, struct http_span span, const char *text)
{
	assert_int_equal(span.length, strlen(text));
	assert_memory_equal(row->text + span.offset, text, span.length);
}

/* What the parser says about a head is where it stands in it. */
static void
heads_are_taken_apart(void **state)
{
	static const struct row row = {TEXT("\r\nPOST http://b:1/c/d?e=f?g HTTP/1.1\r\n" H
					    "Content-Length: 12\r\nConnection: x , "
					    "CLOSE\r\nExpect: 100-continue\r\nV: \t w x\t \r\n"
					    "\r\nabc"),
	    0};
	struct http_head head;

	(void)state;
	assert_int_equal(verdict_with_cut(&row, 0, &head), row.length - 3);
	assert_int_equal(head.method, ZP_HTTP_POST);
	assert_span(&row, head.method_text, "POST");
	assert_span(&row, head.target, "http://b:1/c/d?e=f?g");
	assert_span(&row, head.path, "/c/d");
	assert_span(&row, head.query, "e=f?g");
	assert_span(&row, head.host, "b:1");
	assert_int_equal(head.content_length, 12);
	assert_true(head.is_http_1_1 && head.connection_close && head.expects_continue);
	assert_false(head.connection_keep_alive);
	assert_int_equal(head.field_count, 5);
	assert_span(&row, head.fields[4].name, "V");
	assert_span(&row, head.fields[4].value, "w x");
}

/* ---- Chunks --------------------------------------------------------------------------------- */

struct chunk_row {
	const char *text;
	size_t length;
	const char *body; /* NULL: bad; else what it decodes to */
	size_t rest;      /* bytes after its end */
};

static const struct chunk_row bodies[] = {
    {TEXT("0\r\n\r\n"), "", 0},
    {TEXT("5\r\nhello\r\n0\r\n\r\n"), "hello", 0},
    {TEXT("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nGET"), "hello!", 3},
    {TEXT("005\r\nhello\r\n000\r\n\r\n"), "hello", 0},
    {TEXT("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"), "01234567890123456789", 0},
    {TEXT("5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n"), "hello", 0},
    {TEXT("0\r\nA: b\r\nC:\td \x80\r\nE:\r\n\r\n"), "", 0},
    {TEXT("0x5\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {TEXT("+5\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {TEXT("-5\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {TEXT(" 5\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {TEXT("5 \r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {TEXT("5 ;a\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {TEXT("\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {TEXT(";a\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {TEXT("\r\n\r\n"), NULL, 0},
    {TEXT(";a\r\n\r\n"), NULL, 0},
    {TEXT("5\r\nhello\rx0\r\n\r\n"), NULL, 0},
    {TEXT("g\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {TEXT("5\nhello\r\n0\r\n\r\n"), NULL, 0},
    {TEXT("5\rhello\r\n0\r\n\r\n"), NULL, 0},
    {TEXT("5\r\nhello\n0\r\n\r\n"), NULL, 0},
    {TEXT("5\r\nhello0\r\n\r\n"), NULL, 0},
    {TEXT("4\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {TEXT("6\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {TEXT("5\r\nhello\r0\r\n\r\n"), NULL, 0},
    {TEXT("5;a\nhello\r\n0\r\n\r\n"), NULL, 0},
    {TEXT("5;a\rb\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {TEXT("5;\0\r\nhello\r\n0\r\n\r\n"), NULL, 0},
    {TEXT("0\r\n\n"), NULL, 0},
    {TEXT("0\r\n\r\r\n"), NULL, 0},
    {TEXT("0\n\n"), NULL, 0},
    {TEXT("0\r\nA: b\n\r\n"), NULL, 0},
    {TEXT("0\r\n A: b\r\n\r\n"), NULL, 0},
    {TEXT("0\r\nA: b\r\n c\r\n\r\n"), NULL, 0},
    {TEXT("0\r\nA : b\r\n\r\n"), NULL, 0},
    {TEXT("0\r\n: b\r\n\r\n"), NULL, 0},
    {TEXT("0\r\nA\r\n\r\n"), NULL, 0},
    {TEXT("0\r\nA: \x01\r\n\r\n"), NULL, 0},
    {TEXT("ffffffffffffffff\r\nhello"), NULL, 0},
    {TEXT("0000000000000005\r\nhello\r\n0\r\n\r\n"), NULL, 0},
};

/* Decodes with the bytes cut at `step` (0: whole). Returns the rest's length or -1 when bad. */
static long
chunks_decode(const char *text, size_t length, size_t step, struct zp_buf *body)
{
	struct http_chunked decoder;
	size_t at = 0;

	http__chunked_init(&decoder);
	while (at < length) {
		size_t size = step == 0 ? length : zp_min_u64(step, length - at);
		uint8_t *bytes = zp_alloc(size);
		struct zp_slice slice = {bytes, size};
		enum http_chunk_result result = HTTP_CHUNK_DATA;

		memcpy(bytes, text + at, size);
		while (result == HTTP_CHUNK_DATA) {
			struct zp_slice piece = {0};

			result = http__chunked_next(&decoder, &slice, &piece);
			zp_buf_append_slice(body, piece);
		}
		at += size - slice.length;
		zp_free(bytes);
		if (result == HTTP_CHUNK_BAD)
			return -1;
		if (result == HTTP_CHUNK_END)
			return (long)(length - at);
	}
	return -2; /* it wants more */
}

static void
chunks_have_one_verdict_however_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(bodies); i++) {
		const struct chunk_row *row = &bodies[i];

		for (size_t step = 0; step <= row->length; step++) {
			ZP_AUTO_BUF(body, 100);
			long rest = chunks_decode(row->text, row->length, step, &body);

			if (row->body == NULL ? rest != -1 : rest != (long)row->rest)
				fail_msg("row %zu in steps of %zu gives %ld: %s", i, step, rest,
				    row->text);
			if (row->body != NULL)
				assert_true(zp_slice_is(zp_buf_slice(&body), row->body));
		}
	}
}

/* Extensions are limited over the whole body, trailers too: neither can be used to feed us for
 * ever. */
static void
what_chunks_carry_besides_is_limited(void **state)
{
	ZP_AUTO_BUF(text, 1u << 20);
	ZP_AUTO_BUF(body, 1u << 20);

	(void)state;
	for (unsigned i = 0; i < HTTP_CHUNK_EXTENSION_BYTES_MAX / 4; i++)
		zp_buf_append_text(&text, "1;abc\r\nx\r\n");
	zp_buf_append_text(&text, "0\r\n\r\n");
	assert_int_equal(chunks_decode((char *)text.data, text.length, 0, &body), 0);
	zp_buf_clear(&text);
	for (unsigned i = 0; i < HTTP_CHUNK_EXTENSION_BYTES_MAX / 3 + 1; i++)
		zp_buf_append_text(&text, "1;abc\r\nx\r\n");
	zp_buf_append_text(&text, "0\r\n\r\n");
	assert_int_equal(chunks_decode((char *)text.data, text.length, 0, &body), -1);
	zp_buf_clear(&text);
	zp_buf_append_text(&text, "0\r\n");
	for (unsigned i = 0; i < HTTP_CHUNK_TRAILER_BYTES_MAX / 4; i++)
		zp_buf_append_text(&text, "A: b\r\n");
	zp_buf_append_text(&text, "\r\n");
	assert_int_equal(chunks_decode((char *)text.data, text.length, 0, &body), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(heads_have_one_verdict_however_cut),
	    cmocka_unit_test(an_incomplete_head_asks_for_more),
	    cmocka_unit_test(heads_are_taken_apart),
	    cmocka_unit_test(chunks_have_one_verdict_however_cut),
	    cmocka_unit_test(what_chunks_carry_besides_is_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
