/*
 * filter.c - what a listing asks for: types, statuses, names, metadata, times, pages.
 *
 * Flow: allocations.c and status.c read it once; list.c asks it of each pin. Pure. Owner: the
 * listing's.
 */
#include "api/api_internal.h"

/* ---- Status --------------------------------------------------------------------------------- */

#define STATUS_ERROR (API_STATUS_CLUSTER_ERROR | API_STATUS_PIN_ERROR | API_STATUS_UNPIN_ERROR)
#define STATUS_QUEUED (API_STATUS_PIN_QUEUED | API_STATUS_UNPIN_QUEUED)

/* In the order of the bits; the composites after them. */
static const struct {
	const char *name;
	uint32_t bits;
} statuses[] = {
    {"cluster_error", API_STATUS_CLUSTER_ERROR},
    {"pin_error", API_STATUS_PIN_ERROR},
    {"unpin_error", API_STATUS_UNPIN_ERROR},
    {"pinned", API_STATUS_PINNED},
    {"pinning", API_STATUS_PINNING},
    {"unpinning", API_STATUS_UNPINNING},
    {"unpinned", API_STATUS_UNPINNED},
    {"remote", API_STATUS_REMOTE},
    {"pin_queued", API_STATUS_PIN_QUEUED},
    {"unpin_queued", API_STATUS_UNPIN_QUEUED},
    {"sharded", API_STATUS_SHARDED},
    {"unexpectedly_unpinned", API_STATUS_UNEXPECTEDLY_UNPINNED},
    {"error", STATUS_ERROR},
    {"queued", STATUS_QUEUED},
};

const char *
api__status_name(enum api_status status)
{
	for (size_t i = 0; i < ZP_ARRAY_COUNT(statuses); i++)
		if (statuses[i].bits == status)
			return statuses[i].name;
	return "undefined";
}

/* IPFS Cluster takes the blanks out first, wherever they are. */
static bool
is_without_blanks(struct zp_slice text, const char *name)
{
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] == ' ')
			continue;
		if (*name == '\0' || text.data[i] != (uint8_t)*name)
			return false;
		name++;
	}
	return *name == '\0';
}

int
api__status_filter_parse(struct zp_slice text, uint32_t *bits_out, struct zp_err *err)
{
	struct zp_slice rest = text, item;
	uint32_t bits = 0;

	while (api__list_next(&rest, &item))
		for (size_t i = 0; i < ZP_ARRAY_COUNT(statuses); i++)
			if (is_without_blanks(item, statuses[i].name))
				bits |= statuses[i].bits;
	if (bits == 0 && text.length > 0)
		return zp_fail(err, ZP_E_INVALID, "invalid filter value");
	*bits_out = bits;
	return 0;
}

/* ---- Type ----------------------------------------------------------------------------------- */

/* An unknown name is only wrong where no other name is known. */
int
api__type_filter_parse(struct zp_slice text, uint32_t *bits_out, struct zp_err *err)
{
	const uint32_t all = (1u << ZP_PIN_TYPE_COUNT) - 1;
	struct zp_slice rest = text, item;
	uint32_t bits = text.length == 0 ? all : 0;
	enum zp_pin_type type;

	while (api__list_next(&rest, &item)) {
		if (item.length == 0 || zp_slice_is(item, "all"))
			bits |= all;
		else if (zp_pin_type_parse(item, &type) == 0)
			bits |= 1u << type;
	}
	if (bits == 0)
		return zp_fail(err, ZP_E_INVALID, "invalid filter value");
	*bits_out = bits == all ? 0 : bits;
	return 0;
}

/* ---- Pages and the rest --------------------------------------------------------------------- */

static int
hex_digit(uint8_t byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* `count` bytes of two digits each. */
static bool
hex_read(struct zp_slice text, uint8_t *to, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int high = hex_digit(text.data[2 * i]), low = hex_digit(text.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		to[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* 16 digits, which are taken off the text. */
static bool
number_read(struct zp_slice *text, uint64_t *number_out)
{
	uint8_t bytes[8];

	if (text->length < 2 * sizeof(bytes) || !hex_read(*text, bytes, sizeof(bytes)))
		return false;
	*number_out = zp_load_u64be(bytes);
	text->data += 2 * sizeof(bytes);
	text->length -= 2 * sizeof(bytes);
	return true;
}

int
api__cursor_parse(struct zp_slice text, struct api_cursor *cursor_out, struct zp_err *err)
{
	struct api_cursor cursor = {0};
	bool has_moment = text.length % 2 == 0 ? text.length == 2 * (8 + ZP_KEY_BYTES)
					       : text.length == 2 * (16 + ZP_KEY_BYTES) + 1;
	bool is_right = true;
	uint64_t created = 0;
	struct zp_key key;

	/* None has the id 0, which would make it one of the present. */
	if (has_moment)
		is_right = number_read(&text, &cursor.moment_id) && cursor.moment_id != 0;
	cursor.newest_first = is_right && text.length > 0 && text.data[0] == 'n';
	if (cursor.newest_first) {
		text.data++;
		text.length--;
		is_right = number_read(&text, &created);
	}
	if (!is_right || text.length != 2 * ZP_KEY_BYTES ||
	    !hex_read(text, cursor.key, ZP_KEY_BYTES) || zp_key_decode(cursor.key, &key, NULL) < 0)
		return zp_fail(err, ZP_E_INVALID, "parameter cursor invalid");
	cursor.created = (int64_t)created;
	*cursor_out = cursor;
	return 0;
}

void
api__cursor_format(const struct api_cursor *cursor, struct zp_buf *text)
{
	if (cursor->moment_id != 0)
		zp_buf_printf(text, "%016llx", (unsigned long long)cursor->moment_id);
	if (cursor->newest_first)
		zp_buf_printf(text, "n%016llx", (unsigned long long)cursor->created);
	for (size_t i = 0; i < ZP_KEY_BYTES; i++)
		zp_buf_printf(text, "%02x", cursor->key[i]);
}

int
api__cursor_check(const struct api_filter *filter, uint64_t moment_id, struct zp_err *err)
{
	if (!filter->has_cursor || filter->cursor.moment_id == moment_id)
		return 0;
	if (moment_id == 0)
		return zp_fail(err, ZP_E_INVALID,
		    "parameter cursor invalid: it goes on in a list as_of a moment; say that as_of "
		    "again");
	return zp_fail(err, ZP_E_INVALID,
	    "parameter cursor invalid: it goes on in a list of %s, not in this moment",
	    filter->cursor.moment_id == 0 ? "the present" : "another moment");
}

static int
time_read(const struct api_query *query, const char *name, bool *has_out, int64_t *seconds_out,
    struct zp_err *err)
{
	struct zp_slice text = api__query_get(query, name);
	uint32_t nanoseconds;
	int rc;

	*has_out = text.length > 0;
	if (text.length == 0)
		return 0;
	rc = zp_time_parse(text, seconds_out, &nanoseconds, err);
	if (rc < 0)
		return zp_wrap(err, rc, "%s cannot be parsed", name);
	/* Pins have whole seconds: before 1.5 s is before 2 s, after 1.5 s is after 1 s. */
	if (strcmp(name, "before") == 0 && nanoseconds > 0)
		(*seconds_out)++;
	return 0;
}

static int
metadata_read(const struct api_query *query, struct api_filter *filter, struct zp_err *err)
{
	const size_t prefix = strlen("meta-");

	filter->metadata_count = 0;
	for (size_t i = 0; i < query->count; i++) {
		struct zp_pair pair = query->pairs[i];

		if (pair.key.length <= prefix || memcmp(pair.key.data, "meta-", prefix) != 0)
			continue;
		if (filter->metadata_count == API_FILTER_METADATA_MAX)
			return zp_fail(err, ZP_E_TOO_LARGE, "more than %u metadata filters",
			    API_FILTER_METADATA_MAX);
		pair.key.data += prefix;
		pair.key.length -= prefix;
		filter->metadata[filter->metadata_count++] = pair;
	}
	return 0;
}

int
api__filter_read(const struct api_query *query, struct api_filter *filter, struct zp_err *err)
{
	struct zp_slice limit = api__query_get(query, "limit");
	struct zp_slice cursor = api__query_get(query, "cursor");
	struct zp_slice order = api__query_get(query, "order");
	int rc;

	filter->limit = 0;
	if (limit.length > 0 &&
	    (!api__decimal_read(limit, ZP_LIST_PAGE_MAX, &filter->limit) || filter->limit == 0))
		return zp_fail(
		    err, ZP_E_INVALID, "parameter limit invalid: 1 to %u", ZP_LIST_PAGE_MAX);
	if (order.length > 0 && !zp_slice_is(order, "key") && !zp_slice_is(order, "newest"))
		return zp_fail(err, ZP_E_INVALID, "parameter order invalid: key or newest");
	filter->newest_first = zp_slice_is(order, "newest");
	filter->has_cursor = cursor.length > 0;
	rc = filter->has_cursor ? api__cursor_parse(cursor, &filter->cursor, err) : 0;
	if (rc == 0 && filter->has_cursor && filter->cursor.newest_first != filter->newest_first)
		rc = zp_fail(err, ZP_E_INVALID,
		    "parameter cursor invalid: it goes on in a list of another order");
	filter->name = api__query_get(query, "name");
	filter->has_name = filter->name.length > 0;
	if (rc == 0)
		rc = time_read(query, "before", &filter->has_before, &filter->before_seconds, err);
	if (rc == 0)
		rc = time_read(query, "after", &filter->has_after, &filter->after_seconds, err);
	return rc < 0 ? rc : metadata_read(query, filter, err);
}

/* ---- One pin -------------------------------------------------------------------------------- */

/* Whether the texts have each of the pairs; a key stands once in both. */
static bool
texts_match(const struct api_filter *filter, struct zp_slice texts)
{
	struct zp_slice value, key = {0};
	bool has_name = !filter->has_name;
	enum zp_text_tag tag;
	size_t position = 0, found = 0;

	while (zp_texts_next(texts, &position, &tag, &value) == 0) {
		if (tag == ZP_TEXT_NAME && filter->has_name)
			has_name = zp_slice_equal(value, filter->name);
		if (tag == ZP_TEXT_METADATA_KEY)
			key = value;
		if (tag != ZP_TEXT_METADATA_VALUE)
			continue;
		for (size_t i = 0; i < filter->metadata_count; i++)
			found += zp_slice_equal(key, filter->metadata[i].key) &&
				 zp_slice_equal(value, filter->metadata[i].value);
	}
	return has_name && found == filter->metadata_count;
}

void
api__filter_facts(const struct api_filter *filter, struct zp_scan_filter *facts_out)
{
	bool is_never = (filter->has_after && filter->after_seconds == INT64_MAX) ||
			(filter->has_before && filter->before_seconds == INT64_MIN);

	*facts_out = (struct zp_scan_filter){.types = filter->types,
	    .has_created = (filter->has_before || filter->has_after) && !is_never,
	    .created_min = filter->has_after && !is_never ? filter->after_seconds + 1 : INT64_MIN,
	    .created_max =
		filter->has_before && !is_never ? filter->before_seconds - 1 : INT64_MAX};
}

bool
api__filter_matches(const struct api_filter *filter, const struct zp_record *record)
{
	int64_t created = zp_unzigzag(record->facts[ZP_FACT_CREATED]);

	if (filter->types != 0 && (filter->types >> record->facts[ZP_FACT_TYPE] & 1) == 0)
		return false;
	if (filter->has_before && created >= filter->before_seconds)
		return false;
	if (filter->has_after && created <= filter->after_seconds)
		return false;
	if (!filter->has_name && filter->metadata_count == 0)
		return true;
	return texts_match(filter, record->texts);
}
