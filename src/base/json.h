/*
 * json.h - a strict pull reader for JSON text and a writer that prints as Go's encoding/json does.
 *
 * Flow:   the reader walks text that is already in memory; requests, import lines and Kubo's
 *         answers go through it. The writer appends to a buffer.
 * Owner:  whoever holds the reader; no state outside it, no allocation.
 * Errors: ZP_E_INVALID with the byte offset; ZP_E_TOO_LARGE past ZP_JSON_DEPTH_MAX.
 *
 * RFC 8259 exactly: no comments, no trailing commas, UTF-8 checked, control characters refused.
 */
#ifndef ZP_BASE_JSON_H
#define ZP_BASE_JSON_H

#include "base/base.h"

enum zp_json_type {
	ZP_JSON_NULL,
	ZP_JSON_BOOL,
	ZP_JSON_NUMBER,
	ZP_JSON_STRING,
	ZP_JSON_ARRAY,
	ZP_JSON_OBJECT,
};

struct zp_json {
	const uint8_t *start; /* of the text, for offsets in messages */
	const uint8_t *at;    /* next byte to read */
	const uint8_t *end;
	uint32_t depth; /* containers open */
	bool is_first;  /* no item of the innermost container was read yet */
};

/* A string as it stands in the text, between its quotes. Checked: unescaping can't fail. */
struct zp_json_string {
	struct zp_slice raw; /* borrowed from the text */
	bool has_escapes;    /* otherwise `raw` is the value itself */
};

/* `text` must outlive the reader and every slice it gives. */
void zp_json_init(struct zp_json *json, struct zp_slice text);

/* The type of the next value, which is not consumed and, but for its first byte, not checked. */
ZP_MUST_CHECK int zp_json_peek(
    struct zp_json *json, enum zp_json_type *type_out, struct zp_err *err);

/* Consumes a null and says so; anything else stays where it is. */
bool zp_json_take_null(struct zp_json *json);

/*
 * Containers: begin, then next until ZP_END. Each 0 must be followed by exactly one read (or skip)
 * of the value. Names are given in their order, duplicates included.
 */
ZP_MUST_CHECK int zp_json_object_begin(struct zp_json *json, struct zp_err *err);
ZP_MUST_CHECK int zp_json_object_next(
    struct zp_json *json, struct zp_json_string *name_out, struct zp_err *err);
/* Takes a member's name where exactly ,"name": comes next, without white space and, for the first,
 * without the comma. Anything else stays where it is, for zp_json_object_next. It is how a reader
 * that knows the order of its writer's members is spared looking for their ends. */
bool zp_json_take_member(struct zp_json *json, const char *name, size_t name_length);
ZP_MUST_CHECK int zp_json_array_begin(struct zp_json *json, struct zp_err *err);
ZP_MUST_CHECK int zp_json_array_next(struct zp_json *json, struct zp_err *err);

ZP_MUST_CHECK int zp_json_read_string(
    struct zp_json *json, struct zp_json_string *string_out, struct zp_err *err);
ZP_MUST_CHECK int zp_json_read_bool(struct zp_json *json, bool *value_out, struct zp_err *err);
/* Whole numbers without fraction and exponent, as Go takes them for its integer types. */
ZP_MUST_CHECK int zp_json_read_int64(struct zp_json *json, int64_t *value_out, struct zp_err *err);
ZP_MUST_CHECK int zp_json_read_uint64(
    struct zp_json *json, uint64_t *value_out, struct zp_err *err);
/* Any number that a double can hold; one that would be infinite is refused. */
ZP_MUST_CHECK int zp_json_read_double(struct zp_json *json, double *value_out, struct zp_err *err);

/* Reads over the next value of any type, checking it. */
ZP_MUST_CHECK int zp_json_skip(struct zp_json *json, struct zp_err *err);

/* Nothing but white space may be left. */
ZP_MUST_CHECK int zp_json_end(struct zp_json *json, struct zp_err *err);

/* Writes the value of `string` to `to`, which has room for string->raw.length bytes (the value is
 * never longer), and returns its length. A lone surrogate becomes U+FFFD, as in Go. */
size_t zp_json_unescape(const struct zp_json_string *string, uint8_t *to);

/* Appends the value of `string`. */
void zp_json_string_append(const struct zp_json_string *string, struct zp_buf *buf);

/* Whether the value of `string` is `text`. */
bool zp_json_string_is(const struct zp_json_string *string, const char *text);

/* ---- Writer --------------------------------------------------------------------------------- */

/* A string in quotes with Go's default escapes: <, >, & and U+2028/9 as \u…, \b \f \n \r \t, other
 * control characters as \u00XX, each byte that is not UTF-8 as \ufffd. */
void zp_json_put_string(struct zp_buf *buf, struct zp_slice value);
void zp_json_put_text(struct zp_buf *buf, const char *value);
/* As Go prints a float64: shortest digits that read back, exponents below 1e-6 and from 1e21. NaN
 * and infinities, which JSON lacks, are null. */
void zp_json_put_double(struct zp_buf *buf, double value);
void zp_json_put_bool(struct zp_buf *buf, bool value);

/*
 * A comma where one is due, which the buffer's last byte tells: none after '{' or '['. So the
 * buffer must still hold the container's beginning or its last item.
 */
void zp_json_put_name(struct zp_buf *buf, const char *name); /* for an object: ,"name": */
void zp_json_put_comma(struct zp_buf *buf);                  /* for an array */

/* ---- UTF-8 (RFC 3629: no surrogates, shortest form) ------------------------------------------ */

/* Length in bytes of the character at `at`, 1 to 4, or 0 where there is none. */
size_t zp_utf8_decode(const uint8_t *at, const uint8_t *end, uint32_t *character_out);
size_t zp_utf8_encode(uint32_t character, uint8_t to[4]);
bool zp_utf8_is_valid(struct zp_slice text);

#endif
