/*
 * pick.c - a few members of a JSON object as text, for tables.
 */
#include "cli/cli_internal.h"

#include <stdlib.h>

#include "base/json.h"

/* The text of any value; the reader stands before it. */
static int
value_append(struct zp_json *json, struct zp_buf *value, struct zp_err *err)
{
	struct zp_json_string string;
	enum zp_json_type type;
	const uint8_t *begin;
	int rc = zp_json_peek(json, &type, err);

	if (rc < 0)
		return rc;
	if (zp_json_take_null(json))
		return 0;
	if (type == ZP_JSON_STRING) {
		rc = zp_json_read_string(json, &string, err);
		if (rc == 0)
			zp_json_string_append(&string, value);
		return rc;
	}
	begin = json->at;
	rc = zp_json_skip(json, err);
	while (rc == 0 && begin < json->at && (*begin == ' ' || *begin == '\t'))
		begin++;
	if (rc == 0)
		zp_buf_append(value, begin, (size_t)(json->at - begin));
	return rc;
}

static int
array_append(struct zp_json *json, struct zp_buf *value, struct zp_err *err)
{
	bool is_first = true;
	int rc = zp_json_array_begin(json, err);

	while (rc == 0) {
		rc = zp_json_array_next(json, err);
		if (rc == ZP_END)
			return 0;
		if (rc == 0 && !is_first)
			zp_buf_append_byte(value, ',');
		is_first = false;
		if (rc == 0)
			rc = value_append(json, value, err);
	}
	return rc;
}

static int
member_append(struct zp_json *json, struct zp_buf *value, struct zp_err *err)
{
	enum zp_json_type type;
	int rc = zp_json_peek(json, &type, err);

	if (rc < 0)
		return rc;
	return type == ZP_JSON_ARRAY ? array_append(json, value, err)
				     : value_append(json, value, err);
}

static int
object_read(struct zp_json *json, const char *const *names, struct zp_buf *values, size_t count,
    struct zp_err *err)
{
	struct zp_json_string name;
	int rc = zp_json_object_begin(json, err);

	while (rc == 0) {
		size_t i = 0;

		rc = zp_json_object_next(json, &name, err);
		if (rc == ZP_END)
			return zp_json_end(json, err);
		if (rc < 0)
			return rc;
		while (i < count && !zp_json_string_is(&name, names[i]))
			i++;
		if (i == count) {
			rc = zp_json_skip(json, err);
			continue;
		}
		zp_buf_clear(&values[i]);
		rc = member_append(json, &values[i], err);
		if (rc == 0)
			rc = zp_buf_check(&values[i], names[i], err);
	}
	return rc;
}

int
cli__pick(struct zp_slice object, const char *const *names, struct zp_buf *values, size_t count,
    struct zp_err *err)
{
	struct zp_json json;
	int rc;

	for (size_t i = 0; i < count; i++)
		zp_buf_clear(&values[i]);
	zp_json_init(&json, object);
	rc = object_read(&json, names, values, count, err);
	if (rc < 0 && err != NULL)
		err->code = ZP_E_IO; /* the caller's input was fine; the node's answer is not */
	return rc < 0 ? zp_wrap(err, ZP_E_IO, "the node's answer is not what was expected") : 0;
}

static int
item_hand_on(struct zp_json *json, struct zp_slice name,
    int (*each)(void *context, struct zp_slice name, struct zp_slice value, struct zp_err *err),
    void *context, struct zp_err *err)
{
	const uint8_t *begin;
	enum zp_json_type type;
	int rc = zp_json_peek(json, &type, err); /* also passes white space */

	begin = json->at;
	if (rc == 0)
		rc = zp_json_skip(json, err);
	if (rc == 0)
		rc = each(context, name, (struct zp_slice){begin, (size_t)(json->at - begin)}, err);
	return rc;
}

int
cli__each(struct zp_slice container,
    int (*each)(void *context, struct zp_slice name, struct zp_slice value, struct zp_err *err),
    void *context, struct zp_err *err)
{
	struct zp_json_string name = {0};
	enum zp_json_type type;
	struct zp_json json;
	bool is_object;
	int rc;

	zp_json_init(&json, container);
	rc = zp_json_peek(&json, &type, err);
	if (rc < 0)
		return rc;
	is_object = type == ZP_JSON_OBJECT;
	rc = is_object ? zp_json_object_begin(&json, err) : zp_json_array_begin(&json, err);
	while (rc == 0) {
		rc = is_object ? zp_json_object_next(&json, &name, err)
			       : zp_json_array_next(&json, err);
		if (rc == ZP_END)
			return zp_json_end(&json, err);
		if (rc == 0)
			rc = item_hand_on(&json, name.raw, each, context, err);
	}
	return rc;
}

uint64_t
cli__pick_count(const struct zp_buf *value)
{
	char digits[24];

	if (value->length == 0 || value->length >= sizeof(digits) || value->data[0] < '0' ||
	    value->data[0] > '9')
		return 0;
	memcpy(digits, value->data, value->length);
	digits[value->length] = '\0';
	return strtoull(digits, NULL, 10);
}
