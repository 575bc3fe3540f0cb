/*
 * test_table.c - columns that fit, characters two columns wide, and text that would command a
 * terminal.
 */
#include "cli/cli_internal.h"

#include <locale.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const struct cli_column columns[] = {
    {"CID", 3, false, false},
    {"NAME", 4, false, true},
    {"SIZE", 4, true, false},
};

static void
widths_are_those_of_a_terminal(void **state)
{
	static const struct {
		const char *text;
		size_t width;
	} texts[] = {
	    {"", 0}, {"abc", 3}, {"ä", 1}, {"固定", 4},
	    {"e\xcc\x81", 1},          /* e and a combining accent */
	    {"📌", 2}, {"\xff\xfe", 2}, /* not UTF-8: a U+FFFD each */
	    {"a\tb", 3},               /* control characters show as U+FFFD */
	    {"\xe2\x80\xae"
	     "abc",
		4}, /* U+202E turns text around */
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(texts); i++)
		assert_int_equal(cli__text_width(zp_slice_of(texts[i].text)), texts[i].width);
}

static void
text_is_cut_between_characters(void **state)
{
	static const struct {
		const char *text;
		size_t width;
		const char *fitted;
	} texts[] = {
	    {"abcdef", 6, "abcdef"}, {"abcdef", 5, "abcd…"}, {"abcdef", 1, "…"},
	    {"固定固定", 8, "固定固定"}, {"固定固定", 7, "固定固…"},
	    {"固定固定", 6, "固定…"}, /* half a character doesn't fit */
	    {"e\xcc\x81"
	     "e\xcc\x81"
	     "e\xcc\x81",
		2, "e\xcc\x81…"},
	    {"abc", 0, "abc"}, {"\033[31mred\007", 0, "\xef\xbf\xbd[31mred\xef\xbf\xbd"},
	    {"a\nb", 0,
		"a\xef\xbf\xbd"
		"b"},
	    {"\xc2\x9b"
	     "31m",
		0,
		"\xef\xbf\xbd"
		"31m"}, /* CSI as one character */
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(texts); i++) {
		ZP_AUTO_BUF(out, 256);
		size_t used = cli__text_fit(zp_slice_of(texts[i].text), texts[i].width, &out);

		assert_true(zp_slice_is(zp_buf_slice(&out), texts[i].fitted));
		assert_int_equal(used, cli__text_width(zp_buf_slice(&out)));
		assert_true(texts[i].width == 0 || used <= texts[i].width);
	}
}

static void
a_nul_within_text_is_shown(void **state)
{
	ZP_AUTO_BUF(out, 16);

	(void)state;
	cli__text_fit((struct zp_slice){(const uint8_t *)"a\0b", 3}, 0, &out);
	assert_true(zp_slice_is(zp_buf_slice(&out), "a\xef\xbf\xbd"
						    "b"));
}

static void
elastic_columns_give_way_to_their_least(void **state)
{
	unsigned widths[3] = {10, 50, 6};

	(void)state;
	cli__table_fit(columns, 3, 80, widths);
	assert_int_equal(widths[1], 50);
	cli__table_fit(columns, 3, 40, widths);
	assert_int_equal(widths[0] + widths[1] + widths[2] + 4, 40);
	assert_int_equal(widths[0], 10);
	assert_int_equal(widths[2], 6);
	cli__table_fit(columns, 3, 10, widths);
	assert_int_equal(widths[1], 4); /* wider than the terminal, but no column vanishes */
}

/* Prints `count` rows and returns what came out; free() it. */
static char *
print_rows(const char *const rows[][3], size_t count, unsigned width)
{
	struct cli_table table;
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	/* A memory stream is no terminal, so the header is not bold. */
	cli__table_begin(&table, out, columns, 3, width);
	for (size_t i = 0; i < count; i++) {
		cli__table_row(&table, (const struct zp_slice[]){zp_slice_of(rows[i][0]),
					   zp_slice_of(rows[i][1]), zp_slice_of(rows[i][2])});
	}
	cli__table_end(&table);
	fclose(out);
	return text;
}

static const char *const few[][3] = {
    {"Qm1", "固定", "5"},
    {"bafy22", "a\tname", "12345"},
};

static void
a_terminal_gets_aligned_columns(void **state)
{
	char *text = print_rows(few, 2, 80);

	(void)state;
	assert_string_equal(text, "CID     NAME     SIZE\n"
				  "Qm1     固定        5\n"
				  "bafy22  a\xef\xbf\xbdname  12345\n");
	free(text);
}

static void
a_narrow_terminal_cuts_the_elastic_column(void **state)
{
	char *text = print_rows(few, 2, 19);

	(void)state;
	assert_string_equal(text, "CID     NAME   SIZE\n"
				  "Qm1     固定      5\n"
				  "bafy22  a\xef\xbf\xbdn…  12345\n");
	free(text);
}

static void
programs_get_tabs_and_whole_cells(void **state)
{
	char *text = print_rows(few, 2, 0);

	(void)state;
	assert_string_equal(text, "Qm1\t固定\t5\nbafy22\ta\xef\xbf\xbdname\t12345\n");
	free(text);
}

static void
no_rows_are_no_header(void **state)
{
	char *text = print_rows(few, 0, 80);

	(void)state;
	assert_string_equal(text, "");
	free(text);
}

/* Rows behind the sample stream with the sample's widths; an inelastic cell is never cut. */
static void
later_rows_keep_the_widths(void **state)
{
	static const char *rows[CLI_TABLE_SAMPLE_ROWS + 1][3];
	const char *last;
	char *text;

	(void)state;
	for (size_t i = 0; i < CLI_TABLE_SAMPLE_ROWS; i++) {
		rows[i][0] = "Qm1";
		rows[i][1] = "name";
		rows[i][2] = "1";
	}
	rows[CLI_TABLE_SAMPLE_ROWS][0] = "QmLonger";
	rows[CLI_TABLE_SAMPLE_ROWS][1] = "longer name";
	rows[CLI_TABLE_SAMPLE_ROWS][2] = "2";
	text = print_rows(rows, CLI_TABLE_SAMPLE_ROWS + 1, 80);
	last = strstr(text, "QmLonger");
	assert_non_null(last);
	assert_string_equal(last, "QmLonger  lon…     2\n");
	free(text);
}

static int
utf8_set(void **state)
{
	(void)state;
	return setlocale(LC_CTYPE, "C.UTF-8") == NULL;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(widths_are_those_of_a_terminal),
	    cmocka_unit_test(text_is_cut_between_characters),
	    cmocka_unit_test(a_nul_within_text_is_shown),
	    cmocka_unit_test(elastic_columns_give_way_to_their_least),
	    cmocka_unit_test(a_terminal_gets_aligned_columns),
	    cmocka_unit_test(a_narrow_terminal_cuts_the_elastic_column),
	    cmocka_unit_test(programs_get_tabs_and_whole_cells),
	    cmocka_unit_test(no_rows_are_no_header),
	    cmocka_unit_test(later_rows_keep_the_widths),
	};

	return cmocka_run_group_tests(tests, utf8_set, NULL);
}
