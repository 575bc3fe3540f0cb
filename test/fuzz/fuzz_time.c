/*
 * fuzz_time.c - times and durations of any bytes.
 *
 * Holds: a time that is read prints as a text that reads as the same time and prints the same; any
 * number of seconds prints as a time that can be read.
 */
#include "pin/pin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_time(int64_t seconds, uint32_t nanoseconds)
{
	ZP_AUTO_BUF(text, 64);
	ZP_AUTO_BUF(again, 64);
	uint32_t nanoseconds_again = 0;
	int64_t seconds_again = 0;
	int rc;

	zp_time_format(seconds, nanoseconds, &text);
	rc = zp_time_parse(zp_buf_slice(&text), &seconds_again, &nanoseconds_again, NULL);
	ZP_ASSERT(rc == ZP_OK);
	zp_time_format(seconds_again, nanoseconds_again, &again);
	ZP_ASSERT(zp_slice_equal(zp_buf_slice(&text), zp_buf_slice(&again)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct zp_slice text = {.data = data, .length = size};
	struct zp_err err = {0};
	uint32_t nanoseconds;
	int64_t seconds;
	int rc = zp_time_parse(text, &seconds, &nanoseconds, &err);

	ZP_ASSERT(rc == ZP_OK || (err.code == rc && err.text[0] != '\0'));
	if (rc == ZP_OK) {
		ZP_ASSERT(nanoseconds < 1000000000);
		check_time(seconds, nanoseconds);
	}
	if (size >= 12)
		check_time((int64_t)zp_load_u64le(data), zp_load_u32le(data + 8));
	zp_err_clear(&err);
	rc = zp_duration_parse(text, &seconds, &err);
	ZP_ASSERT(rc == ZP_OK || (err.code == rc && err.text[0] != '\0'));
	return 0;
}
