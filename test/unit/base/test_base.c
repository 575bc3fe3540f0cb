/*
 * test_base.c - errors, buffers and varints.
 */
#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* A wrapped error reads from the outermost place to the first failure. */
static void
error_text_grows_outward(void **state)
{
	struct zp_err err = {0};
	int rc = zp_fail(&err, ZP_E_CORRUPT, "checksum %d", 7);

	(void)state;
	rc = zp_wrap(&err, rc, "block %d", 3);
	rc = zp_wrap(&err, rc, "segment %s", "a");
	assert_int_equal(rc, ZP_E_CORRUPT);
	assert_string_equal(err.text, "segment a: block 3: checksum 7");
	assert_int_equal(zp_err_http_status(rc), 500);
	assert_int_equal(zp_err_exit_code(ZP_E_NOT_FOUND), 3);
}

/* A buffer never grows past its maximum, and says so at the check. */
static void
buffer_refuses_past_its_maximum(void **state)
{
	ZP_AUTO_BUF(buf, 10);
	struct zp_err err = {0};

	(void)state;
	zp_buf_append(&buf, "0123456789", 10);
	assert_int_equal(zp_buf_check(&buf, "name", &err), ZP_OK);
	zp_buf_append_byte(&buf, 'x');
	assert_int_equal(buf.length, 10);
	assert_int_equal(zp_buf_check(&buf, "name", &err), ZP_E_TOO_LARGE);
}

/* Every width of varint comes back; truncated, padded and over-long ones are refused. */
static void
varints_round_trip(void **state)
{
	uint8_t bytes[11], wide[20];
	uint64_t back;

	(void)state;
	for (unsigned shift = 0; shift < 64; shift++) {
		uint64_t value = 1ull << shift;

		for (int delta = -1; delta <= 1; delta++) {
			uint64_t v = value + (uint64_t)delta;
			size_t length = zp_varint_put(bytes, v);

			assert_int_equal(zp_varint_get(bytes, length, &back), length);
			assert_true(back == v);
			assert_int_equal(zp_varint_get(bytes, length - 1, &back), 0);
			memset(wide, 0xff, sizeof(wide));
			assert_int_equal(zp_varint_put_wide(wide, v), length);
			assert_memory_equal(wide, bytes, length);
			memset(wide + length, 0xff, sizeof(wide) - length);
			assert_int_equal(zp_varint_get(wide, sizeof(wide), &back), length);
			assert_true(back == v);
		}
	}
	assert_int_equal(zp_varint_get((const uint8_t *)"\x80\x00", 2, &back), 0);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(zp_varint_get(bytes, sizeof(bytes), &back), 0);
}

/* Blocks of all sizes: none overlaps another, also when one that was given back is used again. */
static void
pages_are_apart_and_used_again(void **state)
{
	static const size_t sizes[] = {0, 1, 64, 100000, 2 << 20, (2 << 20) + 1, 5 << 20, 9 << 20};
	uint8_t *blocks[ZP_ARRAY_COUNT(sizes)];
	void *freed, *many[100];

	(void)state;
	for (uint8_t turn = 1; turn <= 3; turn++) {
		for (size_t i = 0; i < ZP_ARRAY_COUNT(sizes); i++) {
			blocks[i] = zp_pages_alloc(sizes[i]);
			assert_int_equal((uintptr_t)blocks[i] % 64, 0);
			memset(blocks[i], (int)(turn * 16 + i), sizes[i]);
		}
		for (size_t i = 0; i < ZP_ARRAY_COUNT(sizes); i++) {
			for (size_t at = 0; at < sizes[i]; at++)
				assert_int_equal(blocks[i][at], turn * 16 + i);
			zp_pages_free(blocks[i], sizes[i]);
		}
	}
	freed = zp_pages_alloc(9 << 20);
	zp_pages_free(freed, 9 << 20);
#ifndef __SANITIZE_ADDRESS__
	assert_ptr_equal(zp_pages_alloc((9 << 20) - 1), freed); /* the same size of block */
	zp_pages_free(freed, 9 << 20);
#endif
	for (size_t i = 0; i < 100; i++) /* more than are kept: the oldest go */
		many[i] = zp_pages_alloc(3 << 20);
	for (size_t i = 0; i < 100; i++)
		zp_pages_free(many[i], 3 << 20);
	zp_pages_free(NULL, 9 << 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(error_text_grows_outward),
	    cmocka_unit_test(buffer_refuses_past_its_maximum),
	    cmocka_unit_test(varints_round_trip),
	    cmocka_unit_test(pages_are_apart_and_used_again),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
