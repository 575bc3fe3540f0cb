/*
 * cmd_bulk.c - `pin add -`: CIDs or JSON objects of standard input as one request.
 *
 * Flow: cli_input → lines → each with the options' members in front → POST /pins → answers, which
 * are told as they come, while the request still runs.
 */
#include "cli/cli_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "pin/pin.h"

#define READ_BYTES 16384u

struct bulk {
	struct cli_call *call;
	struct cli_input *input;
	struct cli_lines lines_in;
	struct zp_buf members; /* what the options say, as the beginning of each line's object */
	struct zp_buf ready;   /* NDJSON not yet sent */
	uint64_t lines;        /* of the request so far */
	uint64_t done;
	uint64_t failed;
};

/* ---- Options as members --------------------------------------------------------------------- */

/* A comma-separated list as a JSON array. */
static void
array_put(
    const struct cli_parsed *parsed, const char *option, const char *member, struct zp_buf *json)
{
	const char *list = cli__value(parsed, option);

	if (list == NULL)
		return;
	zp_json_put_name(json, member);
	zp_buf_append_byte(json, '[');
	while (*list != '\0') {
		size_t length = strcspn(list, ",");

		zp_json_put_comma(json);
		zp_json_put_string(json, (struct zp_slice){(const uint8_t *)list, length});
		list += length + (list[length] == ',');
	}
	zp_buf_append_byte(json, ']');
}

static void
metadata_put(const struct cli_parsed *parsed, struct zp_buf *json)
{
	if (!cli__has(parsed, "metadata"))
		return;
	zp_json_put_name(json, "metadata");
	zp_buf_append_byte(json, '{');
	for (size_t i = 0; i < parsed->given_count; i++) {
		const char *value = parsed->given[i].value;
		const char *equals = strchr(value, '=');

		if (strcmp(parsed->given[i].option->name, "metadata") != 0)
			continue;
		zp_json_put_comma(json);
		zp_json_put_string(
		    json, (struct zp_slice){(const uint8_t *)value, (size_t)(equals - value)});
		zp_buf_append_byte(json, ':');
		zp_json_put_text(json, equals + 1);
	}
	zp_buf_append_byte(json, '}');
}

static void
text_put(
    const struct cli_parsed *parsed, const char *option, const char *member, struct zp_buf *json)
{
	if (!cli__has(parsed, option))
		return;
	zp_json_put_name(json, member);
	zp_json_put_text(json, cli__value(parsed, option));
}

/* --replication goes before its two halves, as in the API. */
static void
replication_put(
    const struct cli_parsed *parsed, const char *option, const char *member, struct zp_buf *json)
{
	const char *value = cli__value(parsed, "replication");

	if (value == NULL)
		value = cli__value(parsed, option);
	if (value == NULL)
		return;
	zp_json_put_name(json, member);
	zp_buf_append_decimal(json, strtoll(value, NULL, 10));
}

/* A line has only expire_at; what --expire-in counts from is now. */
static int
expiry_put(const struct cli_parsed *parsed, struct zp_buf *json, struct zp_err *err)
{
	const char *duration = cli__value(parsed, "expire-in");
	ZP_AUTO_BUF(text, 64);
	int64_t nanoseconds;
	int rc;

	text_put(parsed, "expire-at", "expire_at", json);
	if (duration == NULL)
		return 0;
	rc = zp_duration_parse(zp_slice_of(duration), &nanoseconds, err);
	if (rc < 0)
		return rc;
	zp_time_format((int64_t)time(NULL) + nanoseconds / 1000000000, 0, &text);
	zp_json_put_name(json, "expire_at");
	zp_json_put_string(json, zp_buf_slice(&text));
	return 0;
}

/* The options of `pin add` as the beginning of a pin object: {"name":"x","metadata":{…} */
static int
members_make(const struct cli_parsed *parsed, struct zp_buf *json, struct zp_err *err)
{
	int rc;

	zp_buf_append_byte(json, '{');
	text_put(parsed, "name", "name", json);
	text_put(parsed, "mode", "mode", json);
	text_put(parsed, "pin-update", "pin_update", json);
	replication_put(parsed, "replication-min", "replication_factor_min", json);
	replication_put(parsed, "replication-max", "replication_factor_max", json);
	array_put(parsed, "allocations", "user_allocations", json);
	array_put(parsed, "origins", "origins", json);
	metadata_put(parsed, json);
	rc = expiry_put(parsed, json, err);
	return rc < 0 ? rc : zp_buf_check(json, "the options", err);
}

/* ---- Lines in ------------------------------------------------------------------------------- */

/* Lines are numbered as those of the input, of which the empty ones are not handed on: they go in
 * as such. */
static void
empty_lines_put(struct bulk *bulk, uint64_t end)
{
	for (; bulk->lines < end; bulk->lines++)
		zp_buf_append_byte(&bulk->ready, '\n');
}

/* Members of a JSON line come behind those of the options, so that the line's own count. */
static int
line_in(void *context, struct zp_slice line, struct zp_err *err)
{
	struct bulk *bulk = context;

	empty_lines_put(bulk, bulk->lines_in.number - 1);
	bulk->lines++;
	zp_buf_append_slice(&bulk->ready, zp_buf_slice(&bulk->members));
	if (line.data[0] == '{') {
		if (bulk->members.length > 1)
			zp_buf_append_byte(&bulk->ready, ',');
		zp_buf_append(&bulk->ready, line.data + 1, line.length - 1);
	} else {
		zp_json_put_name(&bulk->ready, "cid");
		zp_json_put_string(&bulk->ready, line);
		zp_buf_append_byte(&bulk->ready, '}');
	}
	zp_buf_append_byte(&bulk->ready, '\n');
	return zp_buf_check(&bulk->ready, "standard input", err);
}

static int
body_read(void *context, uint8_t *to, size_t bytes, size_t *length_out, struct zp_err *err)
{
	struct bulk *bulk = context;
	size_t length = 1;

	while (bulk->ready.length == 0 && length > 0) {
		uint8_t block[READ_BYTES];
		int rc = cli__input_read(bulk->input, block, sizeof(block), &length, err);

		if (rc == 0 && length > 0)
			rc = cli__lines_add(&bulk->lines_in, (struct zp_slice){block, length}, err);
		else if (rc == 0)
			rc = cli__lines_end(&bulk->lines_in, err);
		if (rc < 0)
			return rc;
		if (length > 0 && bulk->ready.length == 0)
			empty_lines_put(bulk, bulk->lines_in.number);
	}
	length = zp_min_u64(bytes, bulk->ready.length);
	if (length > 0)
		memcpy(to, bulk->ready.data, length);
	zp_buf_consume(&bulk->ready, length);
	*length_out = length;
	return 0;
}

/* ---- Answers out ---------------------------------------------------------------------------- */

/* The pin, or {"line": n, "error": why}. */
static int
line_out(void *context, struct zp_slice line, struct zp_err *err)
{
	static const char *const names[] = {"line", "error"};
	struct zp_buf values[2] = {
	    ZP_BUF_INIT(CLI_LINE_BYTES_MAX), ZP_BUF_INIT(CLI_LINE_BYTES_MAX)};
	struct bulk *bulk = context;
	int rc = cli__pick(line, names, values, 2, err);

	if (rc == 0 && values[1].length > 0) {
		bulk->failed++;
		cli__note(bulk->call, "line %.*s: %.*s", (int)values[0].length,
		    (const char *)values[0].data, (int)values[1].length,
		    (const char *)values[1].data);
		if (bulk->call->settings.is_json)
			rc = cli__print_line(bulk->call, line, err);
	} else if (rc == 0) {
		bulk->done++;
		rc = cli__pin_report(bulk->call, "pinned", line, err);
	}
	zp_buf_done(&values[0]);
	zp_buf_done(&values[1]);
	return rc;
}

static int
request_run(struct bulk *bulk)
{
	struct cli_lines lines_out;
	struct cli_request request = {
	    .method = "POST",
	    .path = "/pins",
	    .sink = cli__lines_add,
	    .sink_context = &lines_out,
	    .source = body_read,
	    .source_context = bulk,
	    .is_patient = true,
	};
	int rc;

	cli__lines_init(&lines_out, line_out, bulk);
	rc = cli__request(bulk->call, &request);
	if (rc == 0)
		rc = cli__lines_end(&lines_out, &bulk->call->err);
	cli__lines_done(&lines_out);
	return rc;
}

int
cli__pin_add_stream(struct cli_call *call)
{
	struct bulk bulk = {
	    .call = call,
	    .members = ZP_BUF_INIT(ZP_RECORD_BYTES_MAX * 2),
	    .ready = ZP_BUF_INIT(CLI_LINE_BYTES_MAX * 4),
	};
	int rc = members_make(call->parsed, &bulk.members, &call->err);

	cli__lines_init(&bulk.lines_in, line_in, &bulk);
	if (rc == 0)
		rc = cli__input_open("-", &bulk.input, &call->err);
	if (rc == 0)
		rc = request_run(&bulk);
	if (rc == 0 && bulk.failed > 0)
		rc = zp_fail(&call->err, ZP_E_CONFLICT,
		    "%" PRIu64 " of %" PRIu64 " lines were not pinned", bulk.failed,
		    bulk.failed + bulk.done);
	cli__lines_done(&bulk.lines_in);
	cli__input_close(bulk.input);
	zp_buf_done(&bulk.members);
	zp_buf_done(&bulk.ready);
	return rc;
}
