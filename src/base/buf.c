/*
 * buf.c - the growing buffer.
 *
 * Flow: used by every folder. Owner: whoever made the buffer.
 */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>

void
zp_buf_init(struct zp_buf *buf, size_t length_max)
{
	*buf = ZP_BUF_INIT(length_max);
}

void
zp_buf_done(struct zp_buf *buf)
{
	if (buf == NULL)
		return;
	zp_free(buf->data);
	*buf = ZP_BUF_INIT(buf->length_max);
}

void
zp_buf_clear(struct zp_buf *buf)
{
	buf->length = 0;
	buf->overflow = false;
}

uint8_t *
zp_buf_reserve(struct zp_buf *buf, size_t bytes)
{
	ZP_ASSERT(buf->length <= buf->length_max);
	if (buf->overflow || bytes > buf->length_max - buf->length) {
		buf->overflow = true;
		return NULL;
	}
	if (bytes > buf->capacity - buf->length) {
		size_t wanted = zp_max_u64(buf->length + bytes, buf->capacity * 2);

		wanted = zp_min_u64(zp_max_u64(wanted, 64), buf->length_max);
		buf->data = zp_realloc(buf->data, wanted);
		buf->capacity = wanted;
	}
	return buf->data + buf->length;
}

void
zp_buf_append(struct zp_buf *buf, const void *data, size_t length)
{
	uint8_t *to;

	if (length == 0)
		return;
	to = zp_buf_reserve(buf, length);
	if (to == NULL)
		return;
	memcpy(to, data, length);
	buf->length += length;
}

void
zp_buf_append_text(struct zp_buf *buf, const char *text)
{
	zp_buf_append(buf, text, strlen(text));
}

void
zp_buf_append_slice(struct zp_buf *buf, struct zp_slice slice)
{
	zp_buf_append(buf, slice.data, slice.length);
}

void
zp_buf_append_byte(struct zp_buf *buf, uint8_t byte)
{
	zp_buf_append(buf, &byte, 1);
}

void
zp_buf_append_u16le(struct zp_buf *buf, uint16_t value)
{
	zp_buf_append(buf, &value, sizeof(value));
}

void
zp_buf_append_u32le(struct zp_buf *buf, uint32_t value)
{
	zp_buf_append(buf, &value, sizeof(value));
}

void
zp_buf_append_u64le(struct zp_buf *buf, uint64_t value)
{
	zp_buf_append(buf, &value, sizeof(value));
}

void
zp_buf_append_varint(struct zp_buf *buf, uint64_t value)
{
	uint8_t bytes[10];

	zp_buf_append(buf, bytes, zp_varint_put(bytes, value));
}

void
zp_buf_append_decimal_u64(struct zp_buf *buf, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	zp_buf_append(buf, digits + at, sizeof(digits) - at);
}

void
zp_buf_append_decimal(struct zp_buf *buf, int64_t value)
{
	uint64_t magnitude = (uint64_t)value;

	if (value < 0) {
		zp_buf_append_byte(buf, '-');
		magnitude = 0 - magnitude;
	}
	zp_buf_append_decimal_u64(buf, magnitude);
}

void
zp_buf_printf(struct zp_buf *buf, const char *format, ...)
{
	char stack[512];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(stack, sizeof(stack), format, args);
	va_end(args);
	ZP_ASSERT(length >= 0);
	if ((size_t)length < sizeof(stack)) {
		zp_buf_append(buf, stack, (size_t)length);
		return;
	}
	if (zp_buf_reserve(buf, (size_t)length + 1) == NULL)
		return;
	va_start(args, format);
	vsnprintf((char *)buf->data + buf->length, (size_t)length + 1, format, args);
	va_end(args);
	buf->length += (size_t)length;
}

void
zp_buf_consume(struct zp_buf *buf, size_t bytes)
{
	ZP_ASSERT(bytes <= buf->length);
	if (bytes == 0)
		return;
	memmove(buf->data, buf->data + bytes, buf->length - bytes);
	buf->length -= bytes;
}

int
zp_buf_check(const struct zp_buf *buf, const char *what, struct zp_err *err)
{
	if (!buf->overflow)
		return ZP_OK;
	return zp_fail(
	    err, ZP_E_TOO_LARGE, "%s is over its limit of %zu bytes", what, buf->length_max);
}

struct zp_slice
zp_slice_of(const char *text)
{
	return (struct zp_slice){.data = (const uint8_t *)text, .length = strlen(text)};
}

bool
zp_slice_equal(struct zp_slice a, struct zp_slice b)
{
	return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

bool
zp_slice_is(struct zp_slice slice, const char *text)
{
	return zp_slice_equal(slice, zp_slice_of(text));
}
