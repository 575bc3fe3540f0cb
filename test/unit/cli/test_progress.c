/*
 * test_progress.c - rates, times left and how numbers are written; time is an argument everywhere.
 */
#include "cli/cli_internal.h"

#include <math.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define SECOND INT64_C(1000000000)

static void
time_left_follows_from_share_and_time(void **state)
{
	(void)state;
	assert_int_equal(cli__eta_seconds(0.5, 10 * SECOND), 10);
	assert_int_equal(cli__eta_seconds(0.25, 10 * SECOND), 30);
	assert_int_equal(cli__eta_seconds(1, 10 * SECOND), 0);
	assert_int_equal(cli__eta_seconds(1.5, 10 * SECOND), 0);
	assert_int_equal(cli__eta_seconds(0, 10 * SECOND), -1);
	assert_int_equal(cli__eta_seconds(-1, 10 * SECOND), -1);
	assert_int_equal(cli__eta_seconds(0.5, 0), -1);
	assert_int_equal(cli__eta_seconds(1e-300, 10 * SECOND), -1);
	assert_int_equal(cli__eta_seconds((double)NAN, 10 * SECOND), -1);
}

/* A steady rate is found at once; a changed one is half taken over after 3 s. */
static void
rates_are_smoothed(void **state)
{
	struct cli_progress progress;

	(void)state;
	cli__progress_begin(&progress, stderr, true, 100 * SECOND);
	cli__progress_sample(&progress, 5000, 101 * SECOND);
	assert_true(fabs(progress.items_per_second - 5000) < 1e-6);
	cli__progress_sample(&progress, 10000, 102 * SECOND);
	assert_true(fabs(progress.items_per_second - 5000) < 1e-6);
	cli__progress_sample(&progress, 10000, 105 * SECOND); /* nothing for 3 s */
	assert_true(fabs(progress.items_per_second - 2500) < 1e-6);
	cli__progress_sample(&progress, 20000, 105 * SECOND + 1); /* too soon to say */
	assert_true(fabs(progress.items_per_second - 2500) < 1e-6);
	cli__progress_sample(&progress, 9000, 106 * SECOND); /* counts never fall */
	assert_true(fabs(progress.items_per_second - 2500) < 1e-6);
}

static void
assert_text(struct zp_buf *text, const char *expected)
{
	zp_buf_append_byte(text, '\0');
	assert_string_equal((const char *)text->data, expected);
	zp_buf_clear(text);
}

static void
numbers_have_three_digits(void **state)
{
	ZP_AUTO_BUF(text, 64);

	(void)state;
	cli__format_count(0, &text);
	assert_text(&text, "0");
	cli__format_count(9999, &text);
	assert_text(&text, "9999");
	cli__format_count(10000, &text);
	assert_text(&text, "10.0 k");
	cli__format_count(999499, &text);
	assert_text(&text, "999 k");
	cli__format_count(999500, &text);
	assert_text(&text, "1.00 M");
	cli__format_count(UINT64_MAX, &text);
	assert_text(&text, "18.4 E");
	cli__format_bytes(0, &text);
	assert_text(&text, "0 B");
	cli__format_bytes(999, &text);
	assert_text(&text, "999 B");
	cli__format_bytes(1000, &text);
	assert_text(&text, "1.00 kB");
	cli__format_bytes(1234567890, &text);
	assert_text(&text, "1.23 GB");
	cli__format_bytes(UINT64_MAX, &text);
	assert_text(&text, "18.4 EB");
	cli__format_seconds(59, &text);
	assert_text(&text, "59s");
	cli__format_seconds(60, &text);
	assert_text(&text, "1m00s");
	cli__format_seconds(3600, &text);
	assert_text(&text, "1h00m");
	cli__format_seconds(47 * 3600 + 60, &text);
	assert_text(&text, "47h01m");
	cli__format_seconds(50 * 3600, &text);
	assert_text(&text, "2d02h");
	cli__format_elapsed(0, &text);
	assert_text(&text, "0.00s");
	cli__format_elapsed(1234567890, &text);
	assert_text(&text, "1.23s");
	cli__format_elapsed(59600000000, &text);
	assert_text(&text, "1m00s");
}

static void
the_line_says_what_is_known(void **state)
{
	struct zp_cli_counts counts = {.line = 50, .imported = 50000, .bytes = 20000000};
	struct cli_progress progress;
	ZP_AUTO_BUF(text, 256);

	(void)state;
	cli__progress_begin(&progress, stderr, true, 0);
	progress.items_per_second = 5000;
	cli__progress_line(&progress, &counts, 0.5, 10 * SECOND, &text);
	assert_text(&text, " 50%  50.0 k pins  20.0 MB  5000 pins/s  10s left");
	counts.skipped = 3;
	cli__progress_line(&progress, &counts, -1, 10 * SECOND, &text);
	assert_text(&text, "50.0 k pins  20.0 MB  5000 pins/s  3 skipped");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(time_left_follows_from_share_and_time),
	    cmocka_unit_test(rates_are_smoothed),
	    cmocka_unit_test(numbers_have_three_digits),
	    cmocka_unit_test(the_line_says_what_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
