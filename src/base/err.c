/*
 * err.c - the error object and the tables made from err.def.
 *
 * Flow: used by every folder. Owner: the caller's thread; no global state.
 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err_facts {
	int code;
	const char *name;
	const char *summary;
	int http_status;
	int exit_code;
	int retry;
};

static const struct err_facts err_table[] = {
#define ZP_ERR(name, number, text, http_status, exit_code, retry) \
	{ZP_E_##name, #name, text, http_status, exit_code, retry},
#include "base/err.def"
#undef ZP_ERR
};

static const struct err_facts *
facts_of(int code)
{
	for (size_t i = 0; i < sizeof(err_table) / sizeof(err_table[0]); i++) {
		if (err_table[i].code == code)
			return &err_table[i];
	}
	return facts_of(ZP_E_INTERNAL);
}

static void
set_v(struct zp_err *err, int code, const char *file, int line, const char *format, va_list args)
{
	if (err == NULL)
		return;
	err->code = code;
	err->file = file;
	err->line = line;
	if (strchr(format, '%') == NULL && strlen(format) < sizeof(err->text))
		strcpy(err->text, format); /* as it is: a lookup that misses does not format */
	else
		vsnprintf(err->text, sizeof(err->text), format, args);
}

int
zp_err_set(struct zp_err *err, int code, const char *file, int line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	set_v(err, code, file, line, format, args);
	va_end(args);
	return code;
}

int
zp_err_from_errno(int errno_value)
{
	switch (errno_value) {
	case ENOENT:
		return ZP_E_NOT_FOUND;
	case EEXIST:
		return ZP_E_EXISTS;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return ZP_E_NO_SPACE;
	case EACCES:
	case EPERM:
		return ZP_E_DENIED;
	case EROFS:
		return ZP_E_READ_ONLY;
	case ENOMEM:
		return ZP_E_MEMORY;
	case EINVAL:
		return ZP_E_INVALID;
	case ETIMEDOUT:
		return ZP_E_TIMEOUT;
	default:
		return ZP_E_IO;
	}
}

int
zp_err_set_errno(
    struct zp_err *err, int errno_value, const char *file, int line, const char *format, ...)
{
	int code = zp_err_from_errno(errno_value);
	va_list args;
	size_t length;

	if (err == NULL)
		return code;
	va_start(args, format);
	set_v(err, code, file, line, format, args);
	va_end(args);
	length = strlen(err->text);
	snprintf(err->text + length, sizeof(err->text) - length, ": %s", strerror(errno_value));
	return code;
}

int
zp_err_prefix(struct zp_err *err, int code, const char *format, ...)
{
	char old[ZP_ERR_TEXT_BYTES];
	va_list args;
	size_t length;

	if (err == NULL)
		return code;
	memcpy(old, err->text, sizeof(old));
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	length = strlen(err->text);
	snprintf(err->text + length, sizeof(err->text) - length, ": %s", old);
	if (err->code == ZP_OK)
		err->code = code;
	return code;
}

void
zp_err_clear(struct zp_err *err)
{
	if (err == NULL)
		return;
	err->code = ZP_OK;
	err->file = NULL;
	err->line = 0;
	err->text[0] = '\0';
}

const char *
zp_err_name(int code)
{
	return facts_of(code)->name;
}

const char *
zp_err_summary(int code)
{
	return facts_of(code)->summary;
}

int
zp_err_http_status(int code)
{
	return facts_of(code)->http_status;
}

int
zp_err_exit_code(int code)
{
	return facts_of(code)->exit_code;
}

int
zp_err_is_retryable(int code)
{
	return facts_of(code)->retry;
}
