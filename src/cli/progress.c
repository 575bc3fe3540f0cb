/*
 * progress.c - how far, how fast, how long still: arithmetic apart from drawing.
 */
#include "cli/cli_internal.h"

#include <inttypes.h>
#include <math.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)
#define DRAW_NS (SECOND_NS / 5)
#define SAMPLE_NS (SECOND_NS / 4)
#define HALF_LIFE_S 3.0

int64_t
cli__now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

void
cli__progress_begin(struct cli_progress *progress, FILE *notes, bool is_quiet, int64_t now_ns)
{
	*progress = (struct cli_progress){
	    .notes = is_quiet ? NULL : notes,
	    .is_terminal = !is_quiet && isatty(fileno(notes)),
	    .begin_ns = now_ns,
	    .shown_ns = now_ns - DRAW_NS,
	    .rate_ns = now_ns,
	};
}

void
cli__progress_sample(struct cli_progress *progress, uint64_t items, int64_t now_ns)
{
	int64_t elapsed_ns = now_ns - progress->rate_ns;
	double seconds = (double)elapsed_ns / (double)SECOND_NS;
	double rate;
	double keep;

	if (elapsed_ns < SAMPLE_NS || items < progress->rate_items)
		return;
	rate = (double)(items - progress->rate_items) / seconds;
	keep = progress->rate_ns == progress->begin_ns ? 0 : exp2(-seconds / HALF_LIFE_S);
	progress->items_per_second = progress->items_per_second * keep + rate * (1 - keep);
	progress->rate_items = items;
	progress->rate_ns = now_ns;
}

int64_t
cli__eta_seconds(double share, int64_t elapsed_ns)
{
	double seconds;

	if (!(share > 0) || elapsed_ns <= 0)
		return -1;
	if (share >= 1)
		return 0;
	seconds = (double)elapsed_ns / (double)SECOND_NS * (1 - share) / share;
	return seconds < 1e12 ? (int64_t)(seconds + 0.5) : -1;
}

/* Three digits that count: "1.23", "12.3", "123". */
static void
three_digits(double value, struct zp_buf *text)
{
	zp_buf_printf(text, value < 9.995 ? "%.2f" : value < 99.95 ? "%.1f" : "%.0f", value);
}

void
cli__format_count(uint64_t count, struct zp_buf *text)
{
	static const char *const units[] = {"", " k", " M", " G", " T", " P", " E"};
	double value = (double)count;
	size_t unit = 0;

	if (count < 10000) {
		zp_buf_append_decimal_u64(text, count);
		return;
	}
	while (value >= 999.5) {
		value /= 1000;
		unit++;
	}
	three_digits(value, text);
	zp_buf_append_text(text, units[unit]);
}

void
cli__format_bytes(uint64_t bytes, struct zp_buf *text)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 999.5) {
		value /= 1000;
		unit++;
	}
	if (unit == 0)
		zp_buf_printf(text, "%" PRIu64, bytes);
	else
		three_digits(value, text);
	zp_buf_printf(text, " %s", units[unit]);
}

void
cli__format_seconds(int64_t seconds, struct zp_buf *text)
{
	if (seconds < 60)
		zp_buf_printf(text, "%" PRId64 "s", seconds);
	else if (seconds < 3600)
		zp_buf_printf(text, "%" PRId64 "m%02" PRId64 "s", seconds / 60, seconds % 60);
	else if (seconds < 48 * 3600)
		zp_buf_printf(
		    text, "%" PRId64 "h%02" PRId64 "m", seconds / 3600, seconds / 60 % 60);
	else
		zp_buf_printf(
		    text, "%" PRId64 "d%02" PRId64 "h", seconds / 86400, seconds / 3600 % 24);
}

void
cli__format_elapsed(int64_t elapsed_ns, struct zp_buf *text)
{
	if (elapsed_ns < 10 * SECOND_NS)
		zp_buf_printf(text, "%.2fs", (double)elapsed_ns / (double)SECOND_NS);
	else
		cli__format_seconds((elapsed_ns + SECOND_NS / 2) / SECOND_NS, text);
}

void
cli__progress_line(const struct cli_progress *progress, const struct zp_cli_counts *counts,
    double share, int64_t now_ns, struct zp_buf *text)
{
	int64_t left_s = cli__eta_seconds(share, now_ns - progress->begin_ns);

	if (share >= 0)
		zp_buf_printf(text, "%3.0f%%  ", share * 100);
	cli__format_count(counts->imported, text);
	zp_buf_append_text(text, " pins  ");
	cli__format_bytes(counts->bytes, text);
	zp_buf_append_text(text, "  ");
	cli__format_count((uint64_t)progress->items_per_second, text);
	zp_buf_append_text(text, " pins/s");
	if (counts->skipped > 0) {
		zp_buf_append_text(text, "  ");
		cli__format_count(counts->skipped, text);
		zp_buf_append_text(text, " skipped");
	}
	if (left_s >= 0) {
		zp_buf_append_text(text, "  ");
		cli__format_seconds(left_s, text);
		zp_buf_append_text(text, " left");
	}
}

void
cli__progress_show(
    struct cli_progress *progress, const struct zp_cli_counts *counts, double share, int64_t now_ns)
{
	ZP_AUTO_BUF(line, 512);

	cli__progress_sample(progress, counts->imported, now_ns);
	if (!progress->is_terminal || now_ns - progress->shown_ns < DRAW_NS)
		return;
	progress->shown_ns = now_ns;
	cli__progress_line(progress, counts, share, now_ns, &line);
	fprintf(progress->notes, "\r\033[K%.*s", (int)line.length, (const char *)line.data);
	fflush(progress->notes);
}

void
cli__progress_clear(struct cli_progress *progress)
{
	if (!progress->is_terminal)
		return;
	fputs("\r\033[K", progress->notes);
	fflush(progress->notes);
}
