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
#define TEXT_BYTES_MAX 8192u /* of one text in it */
#define FIELD_BYTES_MIN \
	128u /* that every field has room for: its name, and a number or some text */

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

/* U+0080 to U+009F, which a terminal obeys as it does ESC and a letter. JSON lets them be. */
static bool
is_c1(struct zp_slice text, size_t at)
{
	return text.data[at] == 0xc2 && at + 1 < text.length && text.data[at + 1] >= 0x80 &&
	       text.data[at + 1] < 0xa0;
}

/* Of a JSON string: the bytes of what stands at `at` and can't be cut, a character or an escape. */
static size_t
step_of(struct zp_slice json, size_t at)
{
	uint8_t byte = json.data[at];

	if (byte == '\\')
		return json.data[at + 1] == 'u' ? 6 : 2;
	return byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

/* A JSON string of at most `room` bytes, with escapes for all that a terminal obeys; "…" is where
 * something is missing. */
static void
quoted_append(struct zp_buf *line, struct zp_slice text, size_t room)
{
	/* JSON makes six bytes of one at most; what goes beyond `room` need not be looked at. */
	ZP_AUTO_BUF(quoted, 6 * (size_t)TEXT_BYTES_MAX + 8);
	size_t end = line->length + room - strlen("…\"");
	struct zp_slice json;
	size_t step;
	size_t at = 0;

	text.length = zp_min_u64(text.length, TEXT_BYTES_MAX);
	zp_json_put_string(&quoted, text);
	json = zp_buf_slice(&quoted);
	for (; at < json.length; at += step) {
		bool c1 = is_c1(json, at);

		step = step_of(json, at);
		if (line->length + (c1 || json.data[at] == 0x7f ? 6 : step) > end)
			break;
		if (c1 || json.data[at] == 0x7f)
			zp_buf_printf(line, "\\u%04x", json.data[at + c1]);
		else
			zp_buf_append(line, json.data + at, step);
	}
	if (at < json.length)
		zp_buf_append_text(line, "…\"");
}

/* How much of the line the next text may take, so that `more` fields have room after it. */
static size_t
room_of(const struct zp_buf *line, size_t more)
{
	size_t kept = (more + 1) * FIELD_BYTES_MIN;
	size_t used = line->length + kept;

	return zp_min_u64(
	    TEXT_BYTES_MAX, used < LINE_BYTES_MAX ? LINE_BYTES_MAX - used : FIELD_BYTES_MIN / 2);
}

static void
json_line(struct zp_buf *line, enum zp_log_level level, struct zp_slice message,
    const struct zp_log_field *fields, size_t field_count)
{
	zp_buf_append_text(line, "{\"time\":\"");
	time_append(line);
	zp_buf_printf(line, "\",\"level\":\"%s\",\"message\":", levels[level].name);
	quoted_append(line, message, room_of(line, field_count));
	for (size_t i = 0; i < field_count; i++) {
		zp_buf_printf(line, ",\"%s\":", fields[i].name);
		if (fields[i].text.data != NULL)
			quoted_append(line, fields[i].text, room_of(line, field_count - i));
		else
			zp_buf_append_decimal_u64(line, fields[i].number);
	}
	zp_buf_append_byte(line, '}');
}

/* What could break the line or the terminal becomes a JSON string. */
static void
text_append(struct zp_buf *line, struct zp_slice text, size_t room)
{
	bool plain = text.length > 0 && text.length <= room;

	for (size_t i = 0; i < text.length && plain; i++)
		plain = text.data[i] > ' ' && text.data[i] != '"' && text.data[i] < 0x7f;
	if (plain)
		zp_buf_append_slice(line, text);
	else
		quoted_append(line, text, room);
}

static void
message_append(struct zp_buf *line, struct zp_slice message)
{
	for (size_t i = 0; i < message.length; i++) {
		bool c1 = is_c1(message, i);

		i += c1;
		zp_buf_append_byte(line,
		    c1 || message.data[i] < ' ' || message.data[i] == 0x7f ? ' ' : message.data[i]);
	}
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
	message_append(line, message);
	for (size_t i = 0; i < field_count; i++) {
		zp_buf_printf(line, " %s=", fields[i].name);
		if (fields[i].text.data != NULL)
			text_append(line, fields[i].text, room_of(line, field_count - i));
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
