/*
 * buf.h - a growing byte buffer that is made with its maximum, and a borrowed slice of bytes.
 *
 * Appending over the maximum sets `overflow` and changes nothing more; the caller checks it once at
 * the end (zp_buf_check) instead of after each append.
 */
#ifndef ZP_BASE_BUF_H
#define ZP_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Borrowed bytes; whoever gave them says how long they live. Not NUL-terminated. */
struct zp_slice {
	const uint8_t *data;
	size_t length;
};

struct zp_buf {
	uint8_t *data;     /* owned; NULL while empty */
	size_t length;     /* bytes in use */
	size_t capacity;   /* bytes allocated */
	size_t length_max; /* never grows past this */
	bool overflow;     /* an append was refused */
};

#define ZP_BUF_INIT(maximum) ((struct zp_buf){.length_max = (maximum)})

void zp_buf_init(struct zp_buf *buf, size_t length_max);
void zp_buf_done(struct zp_buf *buf);  /* frees; NULL and half-built are fine */
void zp_buf_clear(struct zp_buf *buf); /* keeps the memory */

/* Makes room for `bytes` more and returns where they go, or NULL (and overflow) past the maximum.
 * The caller then adds what it wrote to `length`. */
uint8_t *zp_buf_reserve(struct zp_buf *buf, size_t bytes);

void zp_buf_append(struct zp_buf *buf, const void *data, size_t length);
void zp_buf_append_text(struct zp_buf *buf, const char *text);
void zp_buf_append_slice(struct zp_buf *buf, struct zp_slice slice);
void zp_buf_append_byte(struct zp_buf *buf, uint8_t byte);
void zp_buf_append_u16le(struct zp_buf *buf, uint16_t value);
void zp_buf_append_u32le(struct zp_buf *buf, uint32_t value);
void zp_buf_append_u64le(struct zp_buf *buf, uint64_t value);
void zp_buf_append_varint(struct zp_buf *buf, uint64_t value);
void zp_buf_append_decimal(struct zp_buf *buf, int64_t value);
void zp_buf_append_decimal_u64(struct zp_buf *buf, uint64_t value);
void zp_buf_printf(struct zp_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Drops the first `bytes` bytes. */
void zp_buf_consume(struct zp_buf *buf, size_t bytes);

/* ZP_E_TOO_LARGE naming `what` when an append was refused, else 0. */
ZP_MUST_CHECK int zp_buf_check(const struct zp_buf *buf, const char *what, struct zp_err *err);

static inline struct zp_slice
zp_buf_slice(const struct zp_buf *buf)
{
	return (struct zp_slice){.data = buf->data, .length = buf->length};
}

struct zp_slice zp_slice_of(const char *text); /* without the NUL */
bool zp_slice_equal(struct zp_slice a, struct zp_slice b);
bool zp_slice_is(struct zp_slice slice, const char *text);

/* The cleanup attribute for locals: ZP_AUTO_BUF(name, maximum); */
#define ZP_AUTO_BUF(name, maximum) \
	__attribute__((cleanup(zp_buf_done))) struct zp_buf name = ZP_BUF_INIT(maximum)

#endif
