/*
 * query.c - the query of a request as a list of pairs, with Go's rules for asking it.
 *
 * Flow: api.c reads it once a request; options.c, filter.c and handlers ask. Owner: the call's.
 */
#include "api/api_internal.h"

int
api__query_add(
    struct api_query *query, struct zp_slice key, struct zp_slice value, struct zp_err *err)
{
	if (query->count == API_QUERY_PAIRS_MAX)
		return zp_fail(
		    err, ZP_E_TOO_LARGE, "more than %u query parameters", API_QUERY_PAIRS_MAX);
	if (query->count == query->capacity) {
		query->capacity = query->capacity == 0 ? 16 : query->capacity * 2;
		query->pairs = zp_realloc(query->pairs, query->capacity * sizeof(query->pairs[0]));
	}
	query->pairs[query->count++] = (struct zp_pair){.key = key, .value = value};
	return 0;
}

int
api__query_read(struct api_query *query, struct zp_http_request *request, struct zp_err *err)
{
	struct zp_slice key, value;
	size_t position = 0;

	query->count = 0;
	while (zp_http_query_next(request, &position, &key, &value) == 0) {
		int rc = api__query_add(query, key, value, err);

		if (rc < 0)
			return rc;
	}
	return 0;
}

void
api__query_done(struct api_query *query)
{
	zp_free(query->pairs);
	*query = (struct api_query){0};
}

static const struct zp_pair *
query_find(const struct api_query *query, const char *key)
{
	for (size_t i = 0; i < query->count; i++)
		if (zp_slice_is(query->pairs[i].key, key))
			return &query->pairs[i];
	return NULL;
}

struct zp_slice
api__query_get(const struct api_query *query, const char *key)
{
	const struct zp_pair *pair = query_find(query, key);

	return pair != NULL ? pair->value : (struct zp_slice){0};
}

bool
api__query_has(const struct api_query *query, const char *key)
{
	return query_find(query, key) != NULL;
}

bool
api__query_is_true(const struct api_query *query, const char *key)
{
	return zp_slice_is(api__query_get(query, key), "true");
}

bool
api__list_next(struct zp_slice *rest, struct zp_slice *item_out)
{
	const uint8_t *comma;

	if (rest->data == NULL)
		return false;
	comma = memchr(rest->data, ',', rest->length);
	if (comma == NULL) {
		*item_out = *rest;
		*rest = (struct zp_slice){0};
		return true;
	}
	item_out->data = rest->data;
	item_out->length = (size_t)(comma - rest->data);
	rest->data = comma + 1;
	rest->length -= item_out->length + 1;
	return true;
}

bool
api__decimal_read(struct zp_slice text, uint64_t max, uint64_t *value_out)
{
	uint64_t value = 0;

	for (size_t i = 0; i < text.length; i++) {
		unsigned digit = (unsigned)text.data[i] - '0';

		if (digit > 9 || value > (max - zp_min_u64(digit, max)) / 10)
			return false;
		value = value * 10 + digit;
	}
	if (text.length == 0 || value > max)
		return false;
	*value_out = value;
	return true;
}
