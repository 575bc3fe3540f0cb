/*
 * pin_json_read.c - a pin from JSON: a line of `state export`, or a request's object.
 *
 * Flow: import and the API read, zp_pin_to_record stores. Owner: the pin's.
 *
 * IPFS Cluster writes the members in one order and without white space, so the next member is
 * looked for, byte by byte, where the last one was found; only what is not there is read as JSON.
 * Where Go's decoder is loose this is too: names match without regard to case, the last of equal
 * names wins, null is the zero value, unknown members are read over.
 */
#include "pin/pin_internal.h"

typedef int member_read(struct zp_json *json, struct zp_pin *pin, struct zp_err *err);

/* The value of a string; it lives as long as the text or the pin. */
static int
read_text(struct zp_json *json, struct zp_pin *pin, struct zp_slice *text_out, struct zp_err *err)
{
	struct zp_json_string string;
	uint8_t *value;
	int rc = zp_json_read_string(json, &string, err);

	if (rc < 0)
		return rc;
	if (!string.has_escapes) {
		*text_out = string.raw;
		return ZP_OK;
	}
	value = pin__arena_take(&pin->arena, string.raw.length);
	*text_out = (struct zp_slice){.data = value, .length = zp_json_unescape(&string, value)};
	return ZP_OK;
}

static int
read_name(struct zp_json *json, struct zp_pin *pin, struct zp_err *err)
{
	pin->name = (struct zp_slice){0};
	return zp_json_take_null(json) ? ZP_OK : read_text(json, pin, &pin->name, err);
}

/* IPFS Cluster stores these in 32 bits. */
static int
read_int32(struct zp_json *json, int64_t *value_out, struct zp_err *err)
{
	int64_t value = 0;
	int rc = zp_json_take_null(json) ? ZP_OK : zp_json_read_int64(json, &value, err);

	if (rc < 0)
		return rc;
	if (value < INT32_MIN || value > INT32_MAX)
		return zp_fail(err, ZP_E_INVALID, "%lld is out of range", (long long)value);
	*value_out = value;
	return ZP_OK;
}

static int
read_replication_min(struct zp_json *json, struct zp_pin *pin, struct zp_err *err)
{
	return read_int32(json, &pin->replication_min, err);
}

static int
read_replication_max(struct zp_json *json, struct zp_pin *pin, struct zp_err *err)
{
	return read_int32(json, &pin->replication_max, err);
}

static int
read_max_depth(struct zp_json *json, struct zp_pin *pin, struct zp_err *err)
{
	return read_int32(json, &pin->max_depth, err);
}

static int
read_size(struct zp_json *json, struct zp_pin *pin, struct zp_err *err)
{
	pin->size = 0;
	return zp_json_take_null(json) ? ZP_OK : zp_json_read_uint64(json, &pin->size, err);
}

static int
read_shard_size(struct zp_json *json, struct zp_pin *pin, struct zp_err *err)
{
	pin->shard_size = 0;
	return zp_json_take_null(json) ? ZP_OK : zp_json_read_uint64(json, &pin->shard_size, err);
}

static int
read_time(struct zp_json *json, struct zp_pin *pin, int64_t *seconds_out, uint32_t *nanoseconds_out,
    struct zp_err *err)
{
	static const struct zp_slice zero = {
	    .data = (const uint8_t *)"0001-01-01T00:00:00Z", .length = 20};
	struct zp_slice text;
	int rc;

	*seconds_out = ZP_TIME_ZERO_SECONDS;
	*nanoseconds_out = 0;
	if (zp_json_take_null(json))
		return ZP_OK;
	rc = read_text(json, pin, &text, err);
	if (rc < 0 || zp_slice_equal(text, zero)) /* most pins never expire */
		return rc;
	return zp_time_parse(text, seconds_out, nanoseconds_out, err);
}

static int
read_timestamp(struct zp_json *json, struct zp_pin *pin, struct zp_err *err)
{
	return read_time(json, pin, &pin->created_seconds, &pin->created_nanoseconds, err);
}

static int
read_expire_at(struct zp_json *json, struct zp_pin *pin, struct zp_err *err)
{
	uint32_t nanoseconds; /* IPFS Cluster stores whole seconds */

	return read_time(json, pin, &pin->expire_at_seconds, &nanoseconds, err);
}

static int
read_type(struct zp_json *json, struct zp_pin *pin, struct zp_err *err)
{
	struct zp_slice name;
	int rc;

	pin->type = ZP_PIN_DATA;
	if (zp_json_take_null(json))
		return ZP_OK;
	rc = read_text(json, pin, &name, err);
	if (rc < 0)
		return rc;
	if (zp_pin_type_parse(name, &pin->type) < 0)
		return zp_fail(
		    err, ZP_E_INVALID, "unknown pin type \"%.*s\"", pin__shown(name), name.data);
	return ZP_OK;
}

/* *is_there_out tells null from a CID. */
static int
read_cid(struct zp_json *json, struct zp_pin *pin, struct zp_cid *cid_out, bool *is_there_out,
    struct zp_err *err)
{
	struct zp_slice text;
	int rc;

	*is_there_out = false;
	if (zp_json_take_null(json))
		return ZP_OK;
	rc = read_text(json, pin, &text, err);
	if (rc == ZP_OK)
		rc = zp_cid_parse(text, cid_out, err);
	*is_there_out = rc == ZP_OK;
	return rc;
}

static int
read_pin_cid(struct zp_json *json, struct zp_pin *pin, struct zp_err *err)
{
	bool is_there;
	int rc = read_cid(json, pin, &pin->cid, &is_there, err);

	if (!is_there)
		pin->cid.length = 0;
	return rc;
}

static int
read_pin_update(struct zp_json *json, struct zp_pin *pin, struct zp_err *err)
{
	return read_cid(json, pin, &pin->pin_update, &pin->has_pin_update, err);
}

static int
read_reference(struct zp_json *json, struct zp_pin *pin, struct zp_err *err)
{
	return read_cid(json, pin, &pin->reference, &pin->has_reference, err);
}

static int
read_metadata(struct zp_json *json, struct zp_pin *pin, struct zp_err *err)
{
	struct zp_json_string name;
	int rc;

	pin->metadata_count = 0;
	pin->metadata = NULL;
	if (zp_json_take_null(json))
		return ZP_OK;
	rc = zp_json_object_begin(json, err);
	while (rc == ZP_OK && (rc = zp_json_object_next(json, &name, err)) == ZP_OK) {
		struct zp_slice key = name.raw, value = {0};

		if (name.has_escapes) {
			uint8_t *text = pin__arena_take(&pin->arena, name.raw.length);

			key.data = text;
			key.length = zp_json_unescape(&name, text);
		}
		if (!zp_json_take_null(json))
			rc = read_text(json, pin, &value, err);
		if (rc == ZP_OK)
			rc = zp_pin_metadata_put(pin, key, value, err);
	}
	return rc == ZP_END ? ZP_OK : rc;
}

/* An array of strings, each given to `add`. */
static int
read_list(struct zp_json *json, struct zp_pin *pin,
    int (*add)(struct zp_pin *pin, struct zp_slice text, struct zp_err *err), struct zp_err *err)
{
	int rc;

	if (zp_json_take_null(json))
		return ZP_OK;
	rc = zp_json_array_begin(json, err);
	while (rc == ZP_OK && (rc = zp_json_array_next(json, err)) == ZP_OK) {
		struct zp_slice text;

		rc = read_text(json, pin, &text, err);
		if (rc == ZP_OK)
			rc = add(pin, text, err);
	}
	return rc == ZP_END ? ZP_OK : rc;
}

static int
read_origins(struct zp_json *json, struct zp_pin *pin, struct zp_err *err)
{
	pin->origins_count = 0;
	pin->origins = NULL;
	return read_list(json, pin, zp_pin_origin_add, err);
}

static int
read_allocations(struct zp_json *json, struct zp_pin *pin, struct zp_err *err)
{
	pin->allocations_count = 0;
	pin->allocations = NULL;
	return read_list(json, pin, zp_pin_allocation_add, err);
}

static int
read_user_allocations(struct zp_json *json, struct zp_pin *pin, struct zp_err *err)
{
	pin->user_allocations_count = 0;
	pin->user_allocations = NULL;
	return read_list(json, pin, zp_pin_user_allocation_add, err);
}

/* max_depth decides. */
static int
read_mode(struct zp_json *json, struct zp_pin *pin, struct zp_err *err)
{
	return zp_json_skip(json, err);
}

struct member {
	const char *name;
	size_t name_length;
	member_read *read;
};

#define MEMBER(text, function)                   \
	{                                        \
		text, sizeof(text) - 1, function \
	}

/* In the order in which IPFS Cluster writes them. */
static const struct member members[] = {
    MEMBER("replication_factor_min", read_replication_min),
    MEMBER("replication_factor_max", read_replication_max),
    MEMBER("name", read_name),
    MEMBER("mode", read_mode),
    MEMBER("shard_size", read_shard_size),
    MEMBER("user_allocations", read_user_allocations),
    MEMBER("expire_at", read_expire_at),
    MEMBER("metadata", read_metadata),
    MEMBER("pin_update", read_pin_update),
    MEMBER("origins", read_origins),
    MEMBER("cid", read_pin_cid),
    MEMBER("type", read_type),
    MEMBER("allocations", read_allocations),
    MEMBER("max_depth", read_max_depth),
    MEMBER("reference", read_reference),
    MEMBER("timestamp", read_timestamp),
    MEMBER("size", read_size),
};

static bool
is_same_folded(struct zp_slice name, const struct member *member)
{
	for (size_t i = 0; i < member->name_length; i++) {
		uint8_t byte = name.data[i];

		if (byte >= 'A' && byte <= 'Z')
			byte |= 0x20;
		if (byte != (uint8_t)member->name[i])
			return false;
	}
	return true;
}

/* NULL where it is none of ours. *expected is the index that is tried first and then the next. */
static const struct member *
member_of(struct zp_slice name, size_t *expected)
{
	for (size_t i = 0; i < ZP_ARRAY_COUNT(members); i++) {
		size_t index = (*expected + i) % ZP_ARRAY_COUNT(members);
		const struct member *member = &members[index];

		if (name.length == member->name_length &&
		    (memcmp(name.data, member->name, name.length) == 0 ||
			is_same_folded(name, member))) {
			*expected = index + 1;
			return member;
		}
	}
	return NULL;
}

static int
member_read_value(
    struct zp_json *json, struct zp_pin *pin, const struct member *member, struct zp_err *err)
{
	int rc = member->read(json, pin, err);

	return rc < 0 ? zp_wrap(err, rc, "%s", member->name) : ZP_OK;
}

#define ESCAPED_NAME_MAX 256u /* longer than any of ours, each character written as \u00XX */

static int
read_member(struct zp_json *json, struct zp_pin *pin, const struct zp_json_string *name,
    size_t *expected, struct zp_err *err)
{
	uint8_t unescaped[ESCAPED_NAME_MAX];
	struct zp_slice text = name->raw;
	const struct member *member;

	if (name->has_escapes && text.length <= sizeof(unescaped))
		text = (struct zp_slice){
		    .data = unescaped, .length = zp_json_unescape(name, unescaped)};
	member = member_of(text, expected);
	return member == NULL ? zp_json_skip(json, err) : member_read_value(json, pin, member, err);
}

/* Notes where the value stood, if it is a string of the line's own. */
static void
place_note(struct pin__places *places, const struct zp_json *json, const struct member *member,
    const uint8_t *value)
{
	static member_read *const own[ZP_PIN_LINE_OWN] = {read_name, read_pin_cid, read_timestamp};
	size_t index = 0;

	while (index < ZP_PIN_LINE_OWN && own[index] != member->read)
		index++;
	if (index == ZP_PIN_LINE_OWN)
		return;
	if (*value != '"' || index != places->found) { /* null, or twice */
		places->is_usual = false;
		return;
	}
	places->own[places->found++] = (struct zp_pin_line_place){
	    (size_t)(value - json->start), (size_t)(json->at - json->start)};
}

/* The next member and its value, or ZP_END. */
static int
next_member(struct zp_json *json, struct zp_pin *pin, size_t *expected, struct pin__places *places,
    struct zp_err *err)
{
	const struct member *member = &members[*expected % ZP_ARRAY_COUNT(members)];
	struct zp_json_string name;
	int rc;

	if (zp_json_take_member(json, member->name, member->name_length)) {
		const uint8_t *value = json->at;

		++*expected;
		rc = member_read_value(json, pin, member, err);
		if (rc == ZP_OK && places != NULL)
			place_note(places, json, member, value);
		return rc;
	}
	rc = zp_json_object_next(json, &name, err);
	if (rc != ZP_OK)
		return rc;
	if (places != NULL)
		places->is_usual = false;
	return read_member(json, pin, &name, expected, err);
}

int
pin__from_json(
    struct zp_slice text, struct zp_pin *pin, struct pin__places *places, struct zp_err *err)
{
	struct zp_json json;
	size_t expected = 0;
	int rc;

	if (places != NULL)
		*places = (struct pin__places){.is_usual = true};
	zp_pin_reset(pin);
	zp_json_init(&json, text);
	rc = zp_json_object_begin(&json, err);
	while (rc == ZP_OK)
		rc = next_member(&json, pin, &expected, places, err);
	if (rc < 0)
		return rc;
	rc = zp_json_end(&json, err);
	if (rc < 0)
		return rc;
	if (pin->cid.length == 0)
		return zp_fail(err, ZP_E_INVALID, "the pin has no cid");
	return ZP_OK;
}

int
zp_pin_from_json(struct zp_slice text, struct zp_pin *pin, struct zp_err *err)
{
	return pin__from_json(text, pin, NULL, err);
}
