/*
 * err.h - error codes and the error object that travels up the call chain.
 *
 * A function that can fail returns int: 0, or a negative ZP_E_* code. Iterators return 0 for an
 * item, ZP_END (1) at the end, or a negative code. The last parameter, `struct zp_err *err`, is
 * owned by the request or job and may be NULL: the first failure sets code, place and text; each
 * layer on the way up may put its own place in front with zp_wrap(). Outputs are written only on
 * success.
 */
#ifndef ZP_BASE_ERR_H
#define ZP_BASE_ERR_H

#include <stddef.h>

enum zp_error_code {
	ZP_OK = 0,
	ZP_END = 1,
#define ZP_ERR(name, number, text, http_status, exit_code, retry) ZP_E_##name = -(number),
#include "base/err.def"
#undef ZP_ERR
};

#define ZP_ERR_TEXT_BYTES 480

struct zp_err {
	int code;                     /* ZP_E_*, 0 while nothing failed */
	int line;                     /* where it was born */
	const char *file;             /* the same; a string literal */
	char text[ZP_ERR_TEXT_BYTES]; /* NUL-terminated UTF-8, says what to do where it can */
};

/* To be used on everything that returns an error code. */
#define ZP_MUST_CHECK __attribute__((warn_unused_result))

/* Ignores a result on purpose; write the reason beside it. */
#define zp_ignore(call)     \
	do {                \
		if (call) { \
		}           \
	} while (0)

/* Sets the error (unless err is NULL) and returns `code`, so that `return zp_fail(…)` works. */
#define zp_fail(err, code, ...) zp_err_set((err), (code), __FILE__, __LINE__, __VA_ARGS__)

/* The same for a failed system call: maps errno_value to a code and appends its text. */
#define zp_fail_errno(err, errno_value, ...) \
	zp_err_set_errno((err), (errno_value), __FILE__, __LINE__, __VA_ARGS__)

/* Puts "<text>: " in front of the error's text and returns `code`. */
#define zp_wrap(err, code, ...) zp_err_prefix((err), (code), __VA_ARGS__)

int zp_err_set(struct zp_err *err, int code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
int zp_err_set_errno(struct zp_err *err, int errno_value, const char *file, int line,
    const char *format, ...) __attribute__((format(printf, 5, 6)));
int zp_err_prefix(struct zp_err *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void zp_err_clear(struct zp_err *err);

/* The facts of err.def. Unknown codes answer as ZP_E_INTERNAL. */
const char *zp_err_name(int code); /* "not_found" is "NOT_FOUND" here */
const char *zp_err_summary(int code);
int zp_err_http_status(int code);
int zp_err_exit_code(int code);
int zp_err_is_retryable(int code);

/* errno → ZP_E_*; what has no better name is ZP_E_IO. */
int zp_err_from_errno(int errno_value);

#endif
