/*
 * log.c - see log.h.
 */
#include "main/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "os/os.h"
#include "pin/pin.h"

#define LINE_BYTES_MAX 16384u

static const struct {
	const char *name;
	int priority; /* of syslog */
} levels[] = {
    [ZP_LOG_DEBUG] = {"debug", 7},
    [ZP_LOG_INFO] = {"info", 6},
    [ZP_LOG_WARNING] = {"warning", 4},
    [ZP_LOG_ERROR] = {"error", 3},
};

static _Atomic(int) level_least = ZP_LOG_INFO;
static _Atomic(bool) is_json;

void
zp_log_setup(enum zp_log_level least, bool as_json)
{
	level_least = (int)least;
	is_json = as_json;
}

/* Always with three digits, so that lines stand below each other and sort. */
static void
time_append(struct zp_buf *line)
{
	int64_t now_us = zp_clock_realtime_us();

	zp_time_format(now_us / 1000000, 0, line);
	line->length--; /* the Z */
	zp_buf_printf(line, ".%03uZ", (unsigned)(now_us % 1000000 / 1000));
}

static void
json_line(struct zp_buf *line, enum zp_log_level level, struct zp_slice message,
    const struct zp_log_field *fields, size_t field_count)
{
	zp_buf_append_text(line, "{\"time\":\"");
	time_append(line);
	zp_buf_printf(line, "\",\"level\":\"%s\",\"message\":", levels[level].name);
	zp_json_put_string(line, message);
	for (size_t i = 0; i < field_count; i++) {
		zp_buf_printf(line, ",\"%s\":", fields[i].name);
		if (fields[i].text.data != NULL)
			zp_json_put_string(line, fields[i].text);
		else
			zp_buf_append_decimal_u64(line, fields[i].number);
	}
	zp_buf_append_byte(line, '}');
}

/* What could break the line or the terminal becomes a JSON string. */
static void
text_append(struct zp_buf *line, struct zp_slice text)
{
	bool plain = text.length > 0;

	for (size_t i = 0; i < text.length && plain; i++)
		plain = text.data[i] > ' ' && text.data[i] != '"' && text.data[i] < 0x7f;
	if (plain)
		zp_buf_append_slice(line, text);
	else
		zp_json_put_string(line, text);
}

static void
text_line(struct zp_buf *line, enum zp_log_level level, struct zp_slice message,
    const struct zp_log_field *fields, size_t field_count)
{
	if (getenv("JOURNAL_STREAM") != NULL) {
		zp_buf_printf(line, "<%d>", levels[level].priority);
	} else {
		time_append(line);
		zp_buf_printf(line, " %-7s ", levels[level].name);
	}
	for (size_t i = 0; i < message.length; i++)
		zp_buf_append_byte(line, message.data[i] < ' ' ? ' ' : message.data[i]);
	for (size_t i = 0; i < field_count; i++) {
		zp_buf_printf(line, " %s=", fields[i].name);
		if (fields[i].text.data != NULL)
			text_append(line, fields[i].text);
		else
			zp_buf_append_decimal_u64(line, fields[i].number);
	}
}

bool
zp_log_wants(enum zp_log_level level)
{
	return (int)level >= level_least;
}

void
zp_log_line(enum zp_log_level level, const char *message, const struct zp_log_field *fields,
    size_t field_count)
{
	ZP_AUTO_BUF(line, LINE_BYTES_MAX);

	if (!zp_log_wants(level))
		return;
	if (is_json)
		json_line(&line, level, zp_slice_of(message), fields, field_count);
	else
		text_line(&line, level, zp_slice_of(message), fields, field_count);
	if (line.overflow) /* cut, but one line still */
		line.length = zp_min_u64(line.length, LINE_BYTES_MAX - 1);
	line.overflow = false;
	zp_buf_append_byte(&line, '\n');
	/* A log that cannot be written has nowhere to be told. */
	zp_ignore(write(STDERR_FILENO, line.data, line.length) < 0);
}

void
zp_log(enum zp_log_level level, const char *format, ...)
{
	char message[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	zp_log_line(level, message, NULL, 0);
}
