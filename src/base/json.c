/*
 * json.c - the pull reader.
 *
 * Flow: see json.h. Owner: whoever holds the reader; no state outside it.
 *
 * Pins are mostly strings, and finding their ends is most of what an import does: it goes sixteen
 * bytes at a time, and a string without escapes is never looked at twice.
 */
#include "base/json_internal.h"

#include <math.h>
#include <stdlib.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Longer numbers are no doubles that anyone wrote on purpose. */
#define NUMBER_BYTES_MAX 1024u

static int
fail_at(const struct zp_json *json, const uint8_t *at, struct zp_err *err, const char *what)
{
	return zp_fail(err, ZP_E_INVALID, "invalid JSON at byte %zu: %s",
	    (size_t)(at - json->start), at == json->end ? "unexpected end" : what);
}

static inline void
skip_space(struct zp_json *json)
{
	while (json->at < json->end &&
	       (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t'))
		json->at++;
}

/* The next byte that is not white space, or 0 at the end; a NUL is no JSON token either. */
static inline uint8_t
next_byte(struct zp_json *json)
{
	skip_space(json);
	return json->at < json->end ? *json->at : 0;
}

void
zp_json_init(struct zp_json *json, struct zp_slice text)
{
	const uint8_t *start = text.length > 0 ? text.data : (const uint8_t *)"";

	*json = (struct zp_json){.start = start, .at = start, .end = start + text.length};
}

static bool
type_of(uint8_t first, enum zp_json_type *type_out)
{
	switch (first) {
	case '"':
		*type_out = ZP_JSON_STRING;
		return true;
	case '{':
		*type_out = ZP_JSON_OBJECT;
		return true;
	case '[':
		*type_out = ZP_JSON_ARRAY;
		return true;
	case 't':
	case 'f':
		*type_out = ZP_JSON_BOOL;
		return true;
	case 'n':
		*type_out = ZP_JSON_NULL;
		return true;
	default:
		*type_out = ZP_JSON_NUMBER;
		return first == '-' || (first >= '0' && first <= '9');
	}
}

int
zp_json_peek(struct zp_json *json, enum zp_json_type *type_out, struct zp_err *err)
{
	enum zp_json_type type;

	if (!type_of(next_byte(json), &type))
		return fail_at(json, json->at, err, "expected a value");
	*type_out = type;
	return ZP_OK;
}

/* The value that stands here is not of the wanted type, or none at all. */
static int
fail_type(struct zp_json *json, const char *wanted, struct zp_err *err)
{
	static const char *const names[] = {
	    "null", "a boolean", "a number", "a string", "an array", "an object"};
	enum zp_json_type type;
	int rc = zp_json_peek(json, &type, err);

	if (rc < 0)
		return rc;
	return zp_fail(err, ZP_E_INVALID, "at byte %zu: expected %s, found %s",
	    (size_t)(json->at - json->start), wanted, names[type]);
}

static bool
take_literal(struct zp_json *json, const char *literal, size_t length)
{
	skip_space(json);
	if ((size_t)(json->end - json->at) < length || memcmp(json->at, literal, length) != 0)
		return false;
	json->at += length;
	return true;
}

bool
zp_json_take_null(struct zp_json *json)
{
	return take_literal(json, "null", 4);
}

static int
container_begin(struct zp_json *json, char open, const char *wanted, struct zp_err *err)
{
	if (next_byte(json) != open)
		return fail_type(json, wanted, err);
	if (json->depth == ZP_JSON_DEPTH_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE, "JSON at byte %zu is nested deeper than %u",
		    (size_t)(json->at - json->start), ZP_JSON_DEPTH_MAX);
	json->at++;
	json->depth++;
	json->is_first = true;
	return ZP_OK;
}

/* Moves to the next item of the innermost container: 0, ZP_END or an error. */
static inline int
container_next(struct zp_json *json, char close, const char *wanted, struct zp_err *err)
{
	uint8_t byte = next_byte(json);
	bool is_first = json->is_first;

	ZP_ASSERT(json->depth > 0);
	json->is_first = false;
	if (byte == close) {
		json->at++;
		json->depth--;
		return ZP_END;
	}
	if (is_first)
		return ZP_OK;
	if (byte != ',')
		return fail_at(json, json->at, err, wanted);
	json->at++;
	return ZP_OK;
}

/*
 * The first byte that ends a run of plain ASCII: a quote, a backslash, a control character or one
 * of UTF-8's long forms; `end` where there is none.
 */
static inline const uint8_t *
plain_end(const uint8_t *at, const uint8_t *end)
{
#ifdef __SSE2__
	while (end - at >= 16) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)at);
		__m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
		__m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
		/* Signed: bytes from 0x80 on are below zero. */
		__m128i control_or_high = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
		int special = _mm_movemask_epi8(
		    _mm_or_si128(_mm_or_si128(quote, backslash), control_or_high));

		if (special != 0)
			return at + __builtin_ctz((unsigned)special);
		at += 16;
	}
#endif
	while (at < end && *at >= 0x20 && *at < 0x80 && *at != '"' && *at != '\\')
		at++;
	return at;
}

/* The closing quote of a string, from the first byte on that is not plain. */
static __attribute__((noinline)) int
string_end(const struct zp_json *json, const uint8_t *at, bool *has_escapes_out,
    const uint8_t **end_out, struct zp_err *err)
{
	bool has_escapes = false;

	while (at < json->end && *at != '"') {
		uint32_t character;
		size_t length;

		if (*at < 0x20)
			return fail_at(json, at, err, "control character in a string");
		if (*at == '\\') {
			length = json__escape_length(at, json->end);
			if (length == 0)
				return fail_at(json, at, err, "bad escape in a string");
			has_escapes = true;
		} else {
			length = zp_utf8_decode(at, json->end, &character);
			if (length == 0)
				return fail_at(json, at, err, "invalid UTF-8 in a string");
		}
		at = plain_end(at + length, json->end);
	}
	if (at == json->end)
		return fail_at(json, at, err, NULL);
	*has_escapes_out = has_escapes;
	*end_out = at;
	return ZP_OK;
}

/* The string whose opening quote is the next byte. */
static inline int
read_string(struct zp_json *json, struct zp_json_string *string_out, struct zp_err *err)
{
	const uint8_t *start = json->at + 1;
	const uint8_t *end = plain_end(start, json->end);
	bool has_escapes = false;

	if (end == json->end || *end != '"') {
		int rc = string_end(json, end, &has_escapes, &end, err);

		if (rc < 0)
			return rc;
	}
	string_out->raw = (struct zp_slice){.data = start, .length = (size_t)(end - start)};
	string_out->has_escapes = has_escapes;
	json->at = end + 1;
	return ZP_OK;
}

int
zp_json_read_string(struct zp_json *json, struct zp_json_string *string_out, struct zp_err *err)
{
	if (next_byte(json) != '"')
		return fail_type(json, "a string", err);
	return read_string(json, string_out, err);
}

int
zp_json_object_begin(struct zp_json *json, struct zp_err *err)
{
	return container_begin(json, '{', "an object", err);
}

int
zp_json_object_next(struct zp_json *json, struct zp_json_string *name_out, struct zp_err *err)
{
	int rc = container_next(json, '}', "expected ',' or '}'", err);

	if (rc != ZP_OK)
		return rc;
	if (next_byte(json) != '"')
		return fail_at(json, json->at, err, "expected a member's name");
	rc = read_string(json, name_out, err);
	if (rc < 0)
		return rc;
	if (next_byte(json) != ':')
		return fail_at(json, json->at, err, "expected ':'");
	json->at++;
	return ZP_OK;
}

bool
zp_json_take_member(struct zp_json *json, const char *name, size_t name_length)
{
	size_t comma = json->is_first ? 0 : 1;
	const uint8_t *quote = json->at + comma;

	ZP_ASSERT(json->depth > 0);
	if ((size_t)(json->end - json->at) < comma + name_length + 3 ||
	    (comma > 0 && *json->at != ',') || *quote != '"' ||
	    memcmp(quote + 1, name, name_length) != 0 || quote[name_length + 1] != '"' ||
	    quote[name_length + 2] != ':')
		return false;
	json->is_first = false;
	json->at = quote + name_length + 3;
	return true;
}

int
zp_json_array_begin(struct zp_json *json, struct zp_err *err)
{
	return container_begin(json, '[', "an array", err);
}

int
zp_json_array_next(struct zp_json *json, struct zp_err *err)
{
	return container_next(json, ']', "expected ',' or ']'", err);
}

int
zp_json_read_bool(struct zp_json *json, bool *value_out, struct zp_err *err)
{
	if (take_literal(json, "true", 4))
		*value_out = true;
	else if (take_literal(json, "false", 5))
		*value_out = false;
	else if (json->at < json->end && (*json->at == 't' || *json->at == 'f'))
		return fail_at(json, json->at, err, "expected true or false");
	else
		return fail_type(json, "true or false", err);
	return ZP_OK;
}

/* Sign and digits of a whole number; *at_out is behind them. */
static int
read_whole(struct zp_json *json, bool *is_negative_out, uint64_t *magnitude_out,
    const uint8_t **at_out, struct zp_err *err)
{
	bool is_negative = next_byte(json) == '-';
	const uint8_t *at = json->at + (is_negative ? 1 : 0);
	const uint8_t *digits = at;
	uint64_t magnitude = 0;

	while (at < json->end && *at >= '0' && *at <= '9') {
		if (__builtin_mul_overflow(magnitude, 10u, &magnitude) ||
		    __builtin_add_overflow(magnitude, (uint64_t)(*at - '0'), &magnitude))
			return zp_fail(err, ZP_E_INVALID, "at byte %zu: number out of range",
			    (size_t)(json->at - json->start));
		at++;
	}
	if (at == digits)
		return is_negative ? fail_at(json, at, err, "expected a digit")
				   : fail_type(json, "a whole number", err);
	if (*digits == '0' && at > digits + 1)
		return fail_at(json, digits, err, "a number begins with 0");
	if (at < json->end && (*at == '.' || (*at | 0x20) == 'e'))
		return zp_fail(err, ZP_E_INVALID, "at byte %zu: expected a whole number",
		    (size_t)(json->at - json->start));
	*is_negative_out = is_negative;
	*magnitude_out = magnitude;
	*at_out = at;
	return ZP_OK;
}

int
zp_json_read_int64(struct zp_json *json, int64_t *value_out, struct zp_err *err)
{
	const uint8_t *at;
	uint64_t magnitude;
	bool is_negative;
	int rc = read_whole(json, &is_negative, &magnitude, &at, err);

	if (rc < 0)
		return rc;
	if (magnitude > (uint64_t)INT64_MAX + (is_negative ? 1 : 0))
		return zp_fail(err, ZP_E_INVALID, "at byte %zu: number out of range",
		    (size_t)(json->at - json->start));
	*value_out = (int64_t)(is_negative ? 0 - magnitude : magnitude);
	json->at = at;
	return ZP_OK;
}

int
zp_json_read_uint64(struct zp_json *json, uint64_t *value_out, struct zp_err *err)
{
	const uint8_t *at;
	uint64_t magnitude;
	bool is_negative;
	int rc = read_whole(json, &is_negative, &magnitude, &at, err);

	if (rc < 0)
		return rc;
	if (is_negative)
		return zp_fail(err, ZP_E_INVALID, "at byte %zu: number out of range",
		    (size_t)(json->at - json->start));
	*value_out = magnitude;
	json->at = at;
	return ZP_OK;
}

static const uint8_t *
digits_end(const uint8_t *at, const uint8_t *end)
{
	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return at;
}

/* The end of the number that begins here, by RFC 8259's grammar. */
static int
number_end(struct zp_json *json, const uint8_t **end_out, struct zp_err *err)
{
	const uint8_t *at = json->at;
	const uint8_t *digits;

	if (at < json->end && *at == '-')
		at++;
	digits = at;
	at = digits_end(at, json->end);
	if (at == digits)
		return fail_at(json, at, err, "expected a digit");
	if (*digits == '0' && at > digits + 1)
		return fail_at(json, digits, err, "a number begins with 0");
	if (at < json->end && *at == '.') {
		digits = ++at;
		at = digits_end(at, json->end);
		if (at == digits)
			return fail_at(json, at, err, "expected a digit");
	}
	if (at < json->end && (*at | 0x20) == 'e') {
		at++;
		if (at < json->end && (*at == '+' || *at == '-'))
			at++;
		digits = at;
		at = digits_end(at, json->end);
		if (at == digits)
			return fail_at(json, at, err, "expected a digit");
	}
	*end_out = at;
	return ZP_OK;
}

int
zp_json_read_double(struct zp_json *json, double *value_out, struct zp_err *err)
{
	char text[NUMBER_BYTES_MAX + 1];
	enum zp_json_type type;
	const uint8_t *end;
	size_t length;
	double value;
	int rc;

	if (!type_of(next_byte(json), &type) || type != ZP_JSON_NUMBER)
		return fail_type(json, "a number", err);
	rc = number_end(json, &end, err);
	if (rc < 0)
		return rc;
	length = (size_t)(end - json->at);
	if (length > NUMBER_BYTES_MAX)
		return fail_at(json, json->at, err, "number is too long");
	memcpy(text, json->at, length);
	text[length] = '\0';
	value = strtod(text, NULL);
	if (!isfinite(value))
		return zp_fail(err, ZP_E_INVALID, "at byte %zu: number out of range",
		    (size_t)(json->at - json->start));
	*value_out = value;
	json->at = end;
	return ZP_OK;
}

static int
skip_container(struct zp_json *json, bool is_object, struct zp_err *err)
{
	struct zp_json_string name;
	int rc = is_object ? zp_json_object_begin(json, err) : zp_json_array_begin(json, err);

	while (rc == ZP_OK) {
		rc = is_object ? zp_json_object_next(json, &name, err)
			       : zp_json_array_next(json, err);
		if (rc == ZP_END)
			return ZP_OK;
		if (rc == ZP_OK)
			rc = zp_json_skip(json, err); /* no deeper than ZP_JSON_DEPTH_MAX */
	}
	return rc;
}

int
zp_json_skip(struct zp_json *json, struct zp_err *err)
{
	struct zp_json_string string;
	enum zp_json_type type;
	const uint8_t *end;
	bool value;
	int rc = zp_json_peek(json, &type, err);

	if (rc < 0)
		return rc;
	switch (type) {
	case ZP_JSON_NULL:
		return zp_json_take_null(json) ? ZP_OK
					       : fail_at(json, json->at, err, "expected null");
	case ZP_JSON_BOOL:
		return zp_json_read_bool(json, &value, err);
	case ZP_JSON_NUMBER:
		rc = number_end(json, &end, err);
		if (rc == ZP_OK)
			json->at = end;
		return rc;
	case ZP_JSON_STRING:
		return zp_json_read_string(json, &string, err);
	case ZP_JSON_ARRAY:
	case ZP_JSON_OBJECT:
		break;
	}
	return skip_container(json, type == ZP_JSON_OBJECT, err);
}

int
zp_json_end(struct zp_json *json, struct zp_err *err)
{
	skip_space(json);
	if (json->at != json->end)
		return fail_at(json, json->at, err, "more text after the value");
	return ZP_OK;
}
