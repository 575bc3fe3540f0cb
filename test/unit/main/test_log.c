/*
 * test_log.c - lines of the log: whole, one line each, and nothing in them that a terminal obeys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/json.h"
#include "main/log.h"

#define LINE_BYTES_MAX 16384u

/* What one line is, read back from a pipe in the place of standard error. */
static struct zp_slice
line_of(bool as_json, const char *message, const struct zp_log_field *fields, size_t count)
{
	static uint8_t line[2 * LINE_BYTES_MAX];
	int ends[2], kept = dup(STDERR_FILENO);
	ssize_t length;

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	zp_log_setup(ZP_LOG_DEBUG, as_json);
	zp_log_line(ZP_LOG_INFO, message, fields, count);
	dup2(kept, STDERR_FILENO);
	close(kept);
	close(ends[1]);
	length = read(ends[0], line, sizeof(line));
	close(ends[0]);
	assert_true(length > 0 && (size_t)length <= LINE_BYTES_MAX);
	assert_int_equal(line[length - 1], '\n');
	return (struct zp_slice){line, (size_t)length - 1};
}

static void
assert_harmless(struct zp_slice line)
{
	for (size_t i = 0; i < line.length; i++) {
		assert_true(line.data[i] >= ' ' && line.data[i] != 0x7f);
		assert_false(i > 0 && line.data[i - 1] == 0xc2 && line.data[i] < 0xa0);
	}
}

/* Control characters of both sets, in message and fields, of both forms. */
static void
nothing_reaches_the_terminal_raw(void **state)
{
	const char *text = "a\x1b[31m\xc2\x9b"
			   "31m\xc2\x80\xc2\x9f\x7f\n\u00a0\u00e9";
	const struct zp_log_field fields[] = {{.name = "x", .text = zp_slice_of(text)}};
	struct zp_slice line;

	(void)state;
	for (int as_json = 0; as_json < 2; as_json++) {
		line = line_of(as_json, text, fields, 1);
		assert_harmless(line);
		assert_non_null(memmem(line.data, line.length,
		    "\\u009b31m\\u0080\\u009f\\u007f\\n\u00a0\u00e9\"", 34));
	}
	line = line_of(true, "\xc2", NULL, 0); /* half a character at the end */
	assert_harmless(line);
}

/* Texts of any length, and of what JSON makes longer, leave valid JSON with all members. */
static void
a_long_line_is_whole_json(void **state)
{
	static const char *const units[] = {
	    "x", "\\", "\x01", "\u00e9", "\U0001f600", "\xc2\x9b", "\xff"};
	static char text[3 * LINE_BYTES_MAX];

	(void)state;
	for (size_t u = 0; u < ZP_ARRAY_COUNT(units); u++) {
		size_t unit = strlen(units[u]);

		for (size_t length = 1000; length < sizeof(text) - 8; length += 1999) {
			struct zp_log_field fields[12];
			struct zp_json_string name;
			struct zp_json json;
			struct zp_err err = {0};
			unsigned members = 0;
			int rc;

			for (size_t at = 0; at < length; at += unit)
				memcpy(text + at, units[u], unit);
			for (size_t i = 0; i < ZP_ARRAY_COUNT(fields); i++)
				fields[i] = (struct zp_log_field){.name = "name",
				    .text = {i % 3 == 2 ? NULL : (const uint8_t *)text, length},
				    .number = UINT64_MAX};
			zp_json_init(
			    &json, line_of(true, "message", fields, ZP_ARRAY_COUNT(fields)));
			rc = zp_json_object_begin(&json, &err);
			while (rc == 0 && (rc = zp_json_object_next(&json, &name, &err)) == 0) {
				members++;
				rc = zp_json_skip(&json, &err);
			}
			if (rc != ZP_END || zp_json_end(&json, &err) != 0)
				fail_msg("%s", err.text);
			assert_int_equal(members, 3 + ZP_ARRAY_COUNT(fields));
			(void)line_of(false, "message", fields, ZP_ARRAY_COUNT(fields));
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nothing_reaches_the_terminal_raw),
	    cmocka_unit_test(a_long_line_is_whole_json),
	};

	unsetenv("JOURNAL_STREAM");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
