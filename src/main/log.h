/*
 * log.h - the node's log: one line an event, to standard error.
 *
 * Text:  2026-11-23T07:15:02.123Z info  node started root=/var/lib/zpin
 * JSON:  {"time":"…","level":"info","message":"…","request":"…",…}
 * Under systemd lines begin with the priority it understands ("<6>") and have no time of their own.
 * Threads: any; a line is one write.
 */
#ifndef ZP_MAIN_LOG_H
#define ZP_MAIN_LOG_H

#include "base/base.h"

enum zp_log_level {
	ZP_LOG_DEBUG = 0,
	ZP_LOG_INFO = 1,
	ZP_LOG_WARNING = 2,
	ZP_LOG_ERROR = 3,
};

/* Changes how later lines look. Any thread. */
void zp_log_setup(enum zp_log_level least, bool as_json);

/* One member of a line; `text` NULL: `number` is the value. */
struct zp_log_field {
	const char *name;
	struct zp_slice text;
	uint64_t number;
};

/* Whether a line of this level would be written: for those that cost something to make. */
bool zp_log_wants(enum zp_log_level level);
void zp_log_line(enum zp_log_level level, const char *message, const struct zp_log_field *fields,
    size_t field_count);
void zp_log(enum zp_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
