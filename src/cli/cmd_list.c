/*
 * cmd_list.c - pin ls, get, status and recover: streams of objects into tables.
 */
#include "cli/cli_internal.h"

#include <inttypes.h>

#define NEVER "0001-01-01T00:00:00Z"
#define PICKED_MAX 10u

/* A stream on its way into a table, or as it came with --json. */
struct listing {
	struct cli_call *call;
	struct cli_table table;
	struct cli_lines lines;
	int (*row)(struct listing *listing, struct zp_slice object, struct zp_err *err);
	struct zp_buf values[PICKED_MAX]; /* of the object at hand */
	uint64_t rows;
	bool is_incomplete; /* of the last answer; see struct cli_request */
};

static const struct cli_column pin_columns[] = {
    {"CID", 46, false, false},
    {"NAME", 8, false, true},
    {"TYPE", 4, false, false},
    {"COPIES", 6, false, false},
    {"EXPIRES", 7, false, false},
    {"ADDED", 5, false, false},
    {"READS", 5, true, false}, /* with --access, as the next */
    {"LAST READ", 9, false, false},
};
#define PIN_COLUMNS (ZP_ARRAY_COUNT(pin_columns) - 2)

static const struct cli_column status_columns[] = {
    {"CID", 46, false, false},
    {"NAME", 8, false, true},
    {"PEER", 8, false, true},
    {"STATUS", 6, false, false},
    {"SINCE", 5, false, false},
    {"ERROR", 8, false, true},
};

static int
listing_line(void *context, struct zp_slice line, struct zp_err *err)
{
	struct listing *listing = context;
	int rc;

	listing->rows++;
	rc = listing->call->settings.is_json ? cli__print_line(listing->call, line, err)
					     : listing->row(listing, line, err);
	return rc == 0 ? cli__out_check(listing->call, err) : rc;
}

static void
listing_begin(struct listing *listing, struct cli_call *call, const struct cli_column *columns,
    size_t columns_count,
    int (*row)(struct listing *listing, struct zp_slice object, struct zp_err *err))
{
	*listing = (struct listing){.call = call, .row = row};
	for (size_t i = 0; i < PICKED_MAX; i++)
		zp_buf_init(&listing->values[i], CLI_LINE_BYTES_MAX);
	cli__lines_init(&listing->lines, listing_line, listing);
	cli__table_begin(
	    &listing->table, call->out, columns, columns_count, cli__terminal_width(call->out));
}

static int
listing_end(struct listing *listing, int rc)
{
	if (rc == 0)
		rc = cli__lines_end(&listing->lines, &listing->call->err);
	cli__table_end(&listing->table);
	if (rc == 0)
		rc = cli__out_check(listing->call, &listing->call->err);
	cli__lines_done(&listing->lines);
	for (size_t i = 0; i < PICKED_MAX; i++)
		zp_buf_done(&listing->values[i]);
	return rc;
}

/* One request whose answer is one object or a stream of them. `url` is ended here. */
static int
listing_request(
    struct listing *listing, const char *method, struct zp_buf *url, struct zp_buf *cursor)
{
	struct cli_call *call = listing->call;
	struct cli_request request = {
	    .method = method,
	    .sink = cli__lines_add,
	    .sink_context = &listing->lines,
	    .cursor = cursor,
	};
	int rc = cli__url_end(url, &call->err);

	request.path = (const char *)url->data;
	if (rc == 0)
		rc = cli__request(call, &request);
	listing->is_incomplete = request.is_incomplete;
	return rc;
}

/* The same for each CID of the arguments: <prefix>CID<suffix>. Goes on after a failure. */
static int
listing_each(struct listing *listing, const char *method, const char *prefix, const char *suffix)
{
	const struct cli_parsed *parsed = listing->call->parsed;
	int rc_first = 0;

	for (size_t i = 0; i < parsed->arguments_count && !listing->call->is_out_closed; i++) {
		ZP_AUTO_BUF(url, CLI_URL_BYTES_MAX);
		int rc;

		if (strchr(parsed->arguments[i], '/') != NULL)
			return zp_fail(&listing->call->err, ZP_E_INVALID,
			    "\"%s\" is a path; this takes CIDs", parsed->arguments[i]);
		zp_buf_append_text(&url, prefix);
		cli__url_encode(zp_slice_of(parsed->arguments[i]), &url);
		zp_buf_append_text(&url, suffix);
		cli__query_add_given(&url, parsed);
		rc = listing_request(listing, method, &url, NULL);
		if (rc < 0 && parsed->arguments_count > 1) {
			cli__note(
			    listing->call, "%s: %s", parsed->arguments[i], listing->call->err.text);
			zp_err_clear(&listing->call->err);
		}
		if (rc_first == 0)
			rc_first = rc;
	}
	return rc_first;
}

/* ---- Pins ----------------------------------------------------------------------------------- */

static void
copies_format(struct zp_slice min, struct zp_slice max, struct zp_buf *text)
{
	if (zp_slice_is(min, "-1")) {
		zp_buf_append_text(text, "everywhere");
		return;
	}
	zp_buf_append_slice(text, min);
	if (!zp_slice_equal(min, max)) {
		zp_buf_append_byte(text, '-');
		zp_buf_append_slice(text, max);
	}
}

static int
pin_row(struct listing *listing, struct zp_slice object, struct zp_err *err)
{
	static const char *const names[] = {"cid", "name", "type", "mode", "replication_factor_min",
	    "replication_factor_max", "expire_at", "timestamp", "access_count", "last_accessed"};
	ZP_AUTO_BUF(copies, 64);
	struct zp_slice value[ZP_ARRAY_COUNT(names)];
	int rc = cli__pick(object, names, listing->values, ZP_ARRAY_COUNT(names), err);

	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(names); i++)
		value[i] = zp_buf_slice(&listing->values[i]);
	copies_format(value[4], value[5], &copies);
	cli__table_row(
	    &listing->table, (const struct zp_slice[]){
				 value[0],
				 value[1],
				 zp_slice_is(value[2], "pin") ? value[3] : value[2],
				 zp_buf_slice(&copies),
				 zp_slice_is(value[6], NEVER) ? zp_slice_of("never") : value[6],
				 value[7],
				 value[8],
				 zp_slice_is(value[8], "0") ? zp_slice_of("never") : value[9],
			     });
	return 0;
}

/* One page of at most `page` pins (0: all); `cursor` is where it begins and then where it ended. */
static int
pin_ls_page(struct listing *listing, uint64_t page, struct zp_buf *cursor)
{
	ZP_AUTO_BUF(url, CLI_URL_BYTES_MAX);
	char number[24];

	zp_buf_append_text(&url, "/allocations");
	cli__query_add_given(&url, listing->call->parsed);
	if (page > 0) {
		snprintf(number, sizeof(number), "%" PRIu64, page);
		cli__query_add(&url, "limit", number);
	}
	if (cursor->length > 0) {
		zp_buf_append_byte(cursor, '\0');
		cli__query_add(&url, "cursor", (const char *)cursor->data);
	}
	zp_buf_clear(cursor);
	return listing_request(listing, "GET", &url, cursor);
}

/* Pages until `limit` pins (0: all) are there or the node names no next page. An empty page that
 * leads on is fine, as a node may end one early; one that leads to itself is not. Behind a page
 * that lacks pins which can't be read come others; the first such error is the answer's. */
static int
pin_ls_pages(struct listing *listing, uint64_t limit, struct zp_buf *cursor)
{
	const char *begin = cli__value(listing->call->parsed, "cursor");
	ZP_AUTO_BUF(before, CLI_URL_BYTES_MAX);
	struct zp_err *err = &listing->call->err;
	struct zp_err damage = {0};
	int rc;

	if (begin != NULL)
		zp_buf_append_text(cursor, begin);
	do {
		uint64_t page =
		    limit == 0 ? 0 : zp_min_u64(limit - listing->rows, CLI_LIST_PAGE_MAX);

		zp_buf_clear(&before);
		zp_buf_append_slice(&before, zp_buf_slice(cursor));
		rc = pin_ls_page(listing, page, cursor);
		if (rc < 0 && listing->is_incomplete) {
			if (damage.code == 0)
				damage = *err;
			zp_err_clear(err);
			rc = 0;
		}
		if (rc == 0 && cursor->length > 0 &&
		    zp_slice_equal(zp_buf_slice(cursor), zp_buf_slice(&before)))
			rc = zp_fail(&listing->call->err, ZP_E_IO,
			    "the node's page names itself as the next one");
	} while (rc == 0 && cursor->length > 0 && (limit == 0 || listing->rows < limit));
	return rc == 0 && damage.code < 0 ? zp_fail(err, damage.code, "%s", damage.text) : rc;
}

int
cli__cmd_pin_ls(struct cli_call *call)
{
	ZP_AUTO_BUF(cursor, CLI_URL_BYTES_MAX);
	uint64_t limit = cli__count(call->parsed, "limit", 0);
	struct listing listing;
	int rc;

	if (cli__has(call->parsed, "limit") && limit == 0)
		return zp_fail(&call->err, ZP_E_INVALID, "--limit: at least 1");
	listing_begin(&listing, call, pin_columns,
	    cli__has(call->parsed, "access") ? ZP_ARRAY_COUNT(pin_columns) : PIN_COLUMNS, pin_row);
	if (call->parsed->arguments_count > 0)
		rc = listing_each(&listing, "GET", "/allocations/", "");
	else
		rc = pin_ls_pages(&listing, limit, &cursor);
	rc = listing_end(&listing, rc);
	if (cursor.length > 0 && (rc == 0 || rc == ZP_E_CORRUPT) && !call->settings.is_quiet)
		cli__note(call, "more pins: --cursor %.*s", (int)cursor.length,
		    (const char *)cursor.data);
	return rc;
}

/* ---- Everything about one pin --------------------------------------------------------------- */

static const struct cli_column member_columns[] = {
    {"MEMBER", 6, false, false},
    {"VALUE", 20, false, false},
};

static int
member_row(void *context, struct zp_slice name, struct zp_slice value, struct zp_err *err)
{
	struct listing *listing = context;
	ZP_AUTO_BUF(wrapped, CLI_LINE_BYTES_MAX);
	static const char *const names[] = {"v"};
	int rc;

	/* Through an object of one member, so that texts are unescaped and lists joined. */
	zp_buf_append_text(&wrapped, "{\"v\":");
	zp_buf_append_slice(&wrapped, value);
	zp_buf_append_byte(&wrapped, '}');
	rc = zp_buf_check(&wrapped, "the node's answer", err);
	if (rc == 0)
		rc = cli__pick(zp_buf_slice(&wrapped), names, listing->values, 1, err);
	if (rc == 0)
		cli__table_row(&listing->table,
		    (const struct zp_slice[]){name, zp_buf_slice(&listing->values[0])});
	return rc;
}

static int
members_row(struct listing *listing, struct zp_slice object, struct zp_err *err)
{
	return cli__each(object, member_row, listing, err);
}

int
cli__cmd_pin_get(struct cli_call *call)
{
	struct listing listing;

	listing_begin(&listing, call, member_columns, ZP_ARRAY_COUNT(member_columns), members_row);
	return listing_end(&listing, listing_each(&listing, "GET", "/allocations/", ""));
}

/* ---- Status --------------------------------------------------------------------------------- */

/* One peer of a pin's peer_map; values[0] and [1] are the pin's CID and name. */
static int
status_peer(void *context, struct zp_slice peer, struct zp_slice object, struct zp_err *err)
{
	static const char *const names[] = {"peername", "status", "timestamp", "error"};
	struct listing *listing = context;
	struct zp_buf *values = listing->values + 3;
	int rc = cli__pick(object, names, values, ZP_ARRAY_COUNT(names), err);

	if (rc < 0)
		return rc;
	cli__table_row(&listing->table, (const struct zp_slice[]){
					    zp_buf_slice(&listing->values[0]),
					    zp_buf_slice(&listing->values[1]),
					    values[0].length > 0 ? zp_buf_slice(&values[0]) : peer,
					    zp_buf_slice(&values[1]),
					    zp_buf_slice(&values[2]),
					    zp_buf_slice(&values[3]),
					});
	return 0;
}

static int
status_row(struct listing *listing, struct zp_slice object, struct zp_err *err)
{
	static const char *const names[] = {"cid", "name", "peer_map"};
	int rc = cli__pick(object, names, listing->values, ZP_ARRAY_COUNT(names), err);

	if (rc < 0 || listing->values[2].length == 0)
		return rc;
	return cli__each(zp_buf_slice(&listing->values[2]), status_peer, listing, err);
}

int
cli__cmd_pin_status(struct cli_call *call)
{
	struct listing listing;
	int rc;

	listing_begin(&listing, call, status_columns, ZP_ARRAY_COUNT(status_columns), status_row);
	if (call->parsed->arguments_count > 0) {
		rc = listing_each(&listing, "GET", "/pins/", "");
	} else {
		ZP_AUTO_BUF(url, CLI_URL_BYTES_MAX);

		zp_buf_append_text(&url, "/pins");
		cli__query_add_given(&url, call->parsed);
		rc = listing_request(&listing, "GET", &url, NULL);
	}
	return listing_end(&listing, rc);
}

int
cli__cmd_pin_recover(struct cli_call *call)
{
	bool is_all = cli__has(call->parsed, "all");
	struct listing listing;
	int rc;

	if (is_all == (call->parsed->arguments_count > 0))
		return zp_fail(&call->err, ZP_E_INVALID, "zpin pin recover: needs CIDs or --all");
	listing_begin(&listing, call, status_columns, ZP_ARRAY_COUNT(status_columns), status_row);
	if (!is_all) {
		rc = listing_each(&listing, "POST", "/pins/", "/recover");
	} else {
		ZP_AUTO_BUF(url, CLI_URL_BYTES_MAX);

		zp_buf_append_text(&url, "/pins/recover");
		cli__query_add_given(&url, call->parsed);
		rc = listing_request(&listing, "POST", &url, NULL);
	}
	return listing_end(&listing, rc);
}
