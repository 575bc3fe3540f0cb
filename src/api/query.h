/*
 * query.h - what a request asks for: its query, the options of a pin, the filter of a listing.
 */
#ifndef ZP_API_QUERY_H
#define ZP_API_QUERY_H

#include "http/http.h"
#include "pin/pin.h"

#define API_QUERY_PAIRS_MAX 2048u

/* ---- Query (query.c) ------------------------------------------------------------------------ */

/* The decoded pairs of a request, in order. The slices live as long as the request. */
struct api_query {
	struct zp_pair *pairs;
	size_t count;
	size_t capacity;
};

int api__query_read(struct api_query *query, struct zp_http_request *request, struct zp_err *err);
int api__query_add(
    struct api_query *query, struct zp_slice key, struct zp_slice value, struct zp_err *err);
void api__query_done(struct api_query *query);

/* The first value of `key`, empty when there is none: Go's Values.Get. */
struct zp_slice api__query_get(const struct api_query *query, const char *key);
bool api__query_has(const struct api_query *query, const char *key);
bool api__query_is_true(const struct api_query *query, const char *key); /* the literal "true" */

/* The next item of a comma list; an empty list has one empty item. False at the end. *rest.data is
 * NULL at the end. */
bool api__list_next(struct zp_slice *rest, struct zp_slice *item_out);

/* Decimal digits only. */
bool api__decimal_read(struct zp_slice text, uint64_t max, uint64_t *value_out);

/* ---- Options of a pin (options.c; pure) ----------------------------------------------------- */

/* Sets what the query says on `pin`, whose cid is not touched. `now_us` is for expire-in. The text
 * of the error is IPFS Cluster's. */
int api__options_read(
    const struct api_query *query, int64_t now_us, struct zp_pin *pin, struct zp_err *err);

/* Binary peer ids as a JSON array of texts. */
void api__peers_json(const struct zp_slice *peers, size_t count, struct zp_buf *json);

/* ---- Filters of lists (filter.c; pure) ------------------------------------------------------ */

/* Bits of enum api_status, 0: everything. ZP_E_INVALID "invalid filter value". */
int api__status_filter_parse(struct zp_slice text, uint32_t *bits_out, struct zp_err *err);

/* Bits (1 << enum zp_pin_type), 0: all. */
int api__type_filter_parse(struct zp_slice text, uint32_t *bits_out, struct zp_err *err);

#define API_FILTER_METADATA_MAX 64u

/* Where a page ended. */
struct api_cursor {
	uint64_t moment_id;        /* of the moment that it goes on in; 0: the present */
	uint8_t key[ZP_KEY_BYTES]; /* the last that was looked at */
	bool newest_first;         /* in a list where they do; */
	int64_t created;           /* then of its pin */
};

/* What a listing was asked for. */
struct api_filter {
	uint32_t types;    /* 0: all */
	uint32_t statuses; /* 0: all; of /pins */
	bool has_name, has_before, has_after;
	bool with_accesses; /* not a filter: what is shown beside; of stored pins */
	struct zp_slice name;
	int64_t before_seconds, after_seconds;
	struct zp_pair metadata[API_FILTER_METADATA_MAX]; /* all must be there */
	size_t metadata_count;
	uint64_t limit;    /* of a page; 0: everything, streamed */
	bool newest_first; /* else in the order of keys */
	bool has_cursor;
	struct api_cursor cursor;
};

/* Reads limit, order, cursor, name, meta-*, before and after. */
int api__filter_read(const struct api_query *query, struct api_filter *filter, struct zp_err *err);

/* Whether the stored pin is asked for, but for `statuses`. */
bool api__filter_matches(const struct api_filter *filter, const struct zp_record *record);

/* What of that can be told by a pin's facts alone. */
void api__filter_facts(const struct api_filter *filter, struct zp_scan_filter *facts_out);

/* A cursor is an encoded key in hex; before it stand, in 16 digits each, the id of a moment where
 * there is one, and where the newest come first "n" and the time (two's complement). */
void api__cursor_format(const struct api_cursor *cursor, struct zp_buf *text);
int api__cursor_parse(struct zp_slice text, struct api_cursor *cursor_out, struct zp_err *err);

/* The filter's cursor, if it has one, goes on in that moment (0: the present); else ZP_E_INVALID.
 */
int api__cursor_check(const struct api_filter *filter, uint64_t moment_id, struct zp_err *err);

#endif
