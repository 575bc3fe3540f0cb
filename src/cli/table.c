/*
 * table.c - rows of text in columns that fit the terminal, or separated by tabs for programs.
 *
 * A list may have a trillion rows: the first CLI_TABLE_SAMPLE_ROWS decide the widths, the rest
 * stream. Names come from strangers, so nothing that a terminal would obey gets through.
 */
#include "cli/cli_internal.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/json.h"

#define GAP 2u
#define REPLACEMENT 0xfffdu

/* ---- Text ----------------------------------------------------------------------------------- */

/* Marks that make a terminal show text in another order than it stands. */
static bool
is_reordering(uint32_t character)
{
	return (character >= 0x202a && character <= 0x202e) ||
	       (character >= 0x2066 && character <= 0x2069);
}

/* The next character and its width; control characters and what is not UTF-8 become U+FFFD. */
static size_t
character_next(struct zp_slice text, size_t at, uint32_t *character_out, int *width_out)
{
	uint32_t character;
	size_t length = zp_utf8_decode(text.data + at, text.data + text.length, &character);
	int width;

	if (length == 0) {
		length = 1;
		character = REPLACEMENT;
	}
	width = is_reordering(character) || character == 0 ? -1 : wcwidth((wchar_t)character);
	if (width < 0) {
		character = REPLACEMENT;
		width = 1;
	}
	*character_out = character;
	*width_out = width;
	return length;
}

size_t
cli__text_width(struct zp_slice text)
{
	size_t width = 0;

	for (size_t at = 0; at < text.length;) {
		uint32_t character;
		int columns;

		at += character_next(text, at, &character, &columns);
		width += (size_t)columns;
	}
	return width;
}

size_t
cli__text_fit(struct zp_slice text, size_t width, struct zp_buf *out)
{
	bool is_cut = width > 0 && cli__text_width(text) > width;
	size_t room = is_cut ? width - 1 : SIZE_MAX;
	size_t used = 0;

	for (size_t at = 0; at < text.length;) {
		uint8_t bytes[4];
		uint32_t character;
		int columns;

		at += character_next(text, at, &character, &columns);
		if (used + (size_t)columns > room)
			break;
		used += (size_t)columns;
		zp_buf_append(out, bytes, zp_utf8_encode(character, bytes));
	}
	if (is_cut) {
		zp_buf_append_text(out, "…");
		used++;
	}
	return used;
}

unsigned
cli__terminal_width(FILE *out)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	unsigned long width;

	if (!isatty(fileno(out)))
		return 0;
	width = columns != NULL ? strtoul(columns, NULL, 10) : 0;
	if (width == 0 && ioctl(fileno(out), TIOCGWINSZ, &size) == 0)
		width = size.ws_col;
	return width >= 20 && width <= 10000 ? (unsigned)width : 80;
}

/* ---- Widths --------------------------------------------------------------------------------- */

/*
 * Elastic columns give up space, the widest first, until the row fits or all are at their least. A
 * row that still doesn't fit is left to the terminal to wrap: a cut CID is of no use to anybody.
 */
void
cli__table_fit(const struct cli_column *columns, size_t count, unsigned width, unsigned *widths)
{
	unsigned sum = (unsigned)(count - 1) * GAP;

	for (size_t i = 0; i < count; i++)
		sum += widths[i];
	while (sum > width) {
		size_t widest = count;

		for (size_t i = 0; i < count; i++) {
			if (columns[i].is_elastic && widths[i] > columns[i].width_min &&
			    (widest == count || widths[i] > widths[widest]))
				widest = i;
		}
		if (widest == count)
			return;
		widths[widest]--;
		sum--;
	}
}

/* ---- Rows ----------------------------------------------------------------------------------- */

void
cli__table_begin(struct cli_table *table, FILE *out, const struct cli_column *columns,
    size_t columns_count, unsigned width)
{
	ZP_ASSERT(columns_count > 0 && columns_count <= CLI_COLUMNS_MAX);
	*table = (struct cli_table){
	    .out = out,
	    .columns = columns,
	    .columns_count = columns_count,
	    .width = width,
	    .is_bold = width > 0 && isatty(fileno(out)),
	    .is_begun = width == 0,
	};
	if (width > 0)
		table->held =
		    zp_alloc_zero(CLI_TABLE_SAMPLE_ROWS * columns_count, sizeof(*table->held));
}

static void
row_print(const struct cli_table *table, const struct zp_slice *cells, bool is_header)
{
	ZP_AUTO_BUF(line, CLI_LINE_BYTES_MAX * 2);

	for (size_t i = 0; i < table->columns_count; i++) {
		const struct cli_column *column = &table->columns[i];
		bool is_last = i + 1 == table->columns_count;
		ZP_AUTO_BUF(cell, CLI_LINE_BYTES_MAX);
		size_t pad = 0;

		if (table->width == 0) {
			cli__text_fit(cells[i], 0, &cell);
		} else {
			size_t limit = column->is_elastic ? table->widths[i] : 0;
			size_t used = cli__text_fit(cells[i], limit, &cell);

			pad = used < table->widths[i] ? table->widths[i] - used : 0;
		}
		for (; pad > 0 && column->is_right; pad--)
			zp_buf_append_byte(&line, ' ');
		zp_buf_append_slice(&line, zp_buf_slice(&cell));
		for (pad += GAP; table->width > 0 && !is_last && pad > 0; pad--)
			zp_buf_append_byte(&line, ' ');
		if (table->width == 0 && !is_last)
			zp_buf_append_byte(&line, '\t');
	}
	if (is_header && table->is_bold)
		fputs("\033[1m", table->out);
	fwrite(line.data, 1, line.length, table->out);
	fputs(is_header && table->is_bold ? "\033[0m\n" : "\n", table->out);
}

/* Decides the widths from what is held, and prints header and held rows. */
static void
table_flush(struct cli_table *table)
{
	struct zp_slice cells[CLI_COLUMNS_MAX];
	size_t count = table->columns_count;

	for (size_t i = 0; i < count; i++) {
		size_t widest = cli__text_width(zp_slice_of(table->columns[i].title));

		for (size_t row = 0; row < table->held_count; row++) {
			const struct zp_buf *cell = &table->held[row * count + i];

			widest = zp_max_u64(widest, cli__text_width(zp_buf_slice(cell)));
		}
		table->widths[i] =
		    (unsigned)zp_min_u64(zp_max_u64(widest, table->columns[i].width_min), 100000);
		cells[i] = zp_slice_of(table->columns[i].title);
	}
	cli__table_fit(table->columns, count, table->width, table->widths);
	table->is_begun = true;
	row_print(table, cells, true);
	for (size_t row = 0; row < table->held_count; row++) {
		for (size_t i = 0; i < count; i++) {
			cells[i] = zp_buf_slice(&table->held[row * count + i]);
		}
		row_print(table, cells, false);
	}
}

void
cli__table_row(struct cli_table *table, const struct zp_slice *cells)
{
	if (!table->is_begun && table->held_count == CLI_TABLE_SAMPLE_ROWS)
		table_flush(table);
	if (table->is_begun) {
		row_print(table, cells, false);
		return;
	}
	for (size_t i = 0; i < table->columns_count; i++) {
		struct zp_buf *cell = &table->held[table->held_count * table->columns_count + i];

		zp_buf_init(cell, CLI_LINE_BYTES_MAX);
		zp_buf_append_slice(cell, cells[i]);
	}
	table->held_count++;
}

void
cli__table_end(struct cli_table *table)
{
	if (!table->is_begun && table->held_count > 0)
		table_flush(table);
	for (size_t i = 0; i < table->held_count * table->columns_count; i++)
		zp_buf_done(&table->held[i]);
	zp_free(table->held);
	table->held = NULL;
	table->held_count = 0;
	fflush(table->out);
}
