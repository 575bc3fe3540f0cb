/*
 * cmd_access.c - access note: tells a node that pins' content was read.
 *
 * Flow: CIDs of the arguments, or lines of standard input → requests of up to LINES_MAX lines →
 * POST /accesses. The first that fails ends it: what was answered before it is noted.
 */
#include "cli/cli_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/json.h"

#define READ_BYTES 16384u
#define LINES_MAX 1000u            /* that the node takes in one request, */
#define BODY_BYTES_FULL (1u << 19) /* and half of the bytes */

struct noting {
	struct cli_call *call;
	struct zp_buf body;
	size_t body_sent;
	uint64_t lines;              /* in the body */
	uint64_t numbers[LINES_MAX]; /* of each of them in the input */
	struct cli_lines lines_in;
	uint64_t noted;
	uint64_t unknown;
};

static int
body_read(void *context, uint8_t *to, size_t bytes, size_t *length_out, struct zp_err *err)
{
	struct noting *noting = context;
	size_t length = zp_min_u64(bytes, noting->body.length - noting->body_sent);

	(void)err;
	if (length > 0)
		memcpy(to, noting->body.data + noting->body_sent, length);
	noting->body_sent += length;
	*length_out = length;
	return 0;
}

static int
answer_line(void *context, struct zp_slice line, struct zp_err *err)
{
	static const char *const names[] = {"noted", "unknown"};
	struct zp_buf values[2] = {ZP_BUF_INIT(64), ZP_BUF_INIT(64)};
	struct noting *noting = context;
	int rc = cli__pick(line, names, values, 2, err);

	if (rc == 0) {
		noting->noted += cli__pick_count(&values[0]);
		noting->unknown += cli__pick_count(&values[1]);
	}
	zp_buf_done(&values[0]);
	zp_buf_done(&values[1]);
	if (rc == 0 && noting->call->settings.is_json)
		rc = cli__print_line(noting->call, line, err);
	return rc;
}

/* "line 3: why" is the third of the request. */
static void
line_number_set(const struct noting *noting, struct zp_err *err)
{
	static const char before[] = "line ";
	struct zp_err why = *err;
	char *end;
	unsigned long long line;

	if (strncmp(why.text, before, strlen(before)) != 0)
		return;
	line = strtoull(why.text + strlen(before), &end, 10);
	if (*end == ':' && line > 0 && line <= noting->lines)
		zp_ignore(zp_fail(err, why.code, "%s%" PRIu64 "%s", before,
		    noting->numbers[line - 1], end)); /* the same */
}

static int
body_send(struct noting *noting, struct zp_err *err)
{
	struct cli_lines lines;
	struct cli_request request = {
	    .method = "POST",
	    .path = "/accesses",
	    .sink = cli__lines_add,
	    .sink_context = &lines,
	    .source = body_read,
	    .source_context = noting,
	};
	int rc;

	if (noting->lines == 0)
		return 0;
	noting->body_sent = 0;
	cli__lines_init(&lines, answer_line, noting);
	rc = cli__request(noting->call, &request);
	if (rc == 0)
		rc = cli__lines_end(&lines, err);
	else
		line_number_set(noting, err);
	cli__lines_done(&lines);
	zp_buf_clear(&noting->body);
	noting->lines = 0;
	return rc;
}

/* A CID gets what the options say, an object says it itself. */
static int
line_add(void *context, struct zp_slice line, struct zp_err *err)
{
	struct noting *noting = context;
	const struct cli_parsed *parsed = noting->call->parsed;
	struct zp_buf *body = &noting->body;

	if (line.data[0] == '{') {
		zp_buf_append_slice(body, line);
	} else {
		zp_buf_append_text(body, "{\"cid\":");
		zp_json_put_string(body, line);
		zp_json_put_name(body, "access_count");
		zp_buf_append_decimal(body, (int64_t)cli__count(parsed, "count", 1));
		if (cli__has(parsed, "last")) {
			zp_json_put_name(body, "last_accessed");
			zp_json_put_text(body, cli__value(parsed, "last"));
		}
		zp_buf_append_byte(body, '}');
	}
	zp_buf_append_byte(body, '\n');
	noting->numbers[noting->lines++] = noting->lines_in.number;
	if (noting->lines == LINES_MAX || body->length >= BODY_BYTES_FULL)
		return body_send(noting, err);
	return zp_buf_check(body, "a request", err);
}

static int
input_add(struct noting *noting)
{
	struct zp_err *err = &noting->call->err;
	struct cli_lines *lines = &noting->lines_in;
	struct cli_input *input = NULL;
	size_t length = 1;
	int rc = cli__input_open("-", &input, err);

	cli__lines_init(lines, line_add, noting);
	while (rc == 0 && length > 0) {
		uint8_t block[READ_BYTES];

		rc = cli__input_read(input, block, sizeof(block), &length, err);
		if (rc == 0)
			rc = cli__lines_add(lines, (struct zp_slice){block, length}, err);
	}
	if (rc == 0)
		rc = cli__lines_end(lines, err);
	cli__lines_done(lines);
	cli__input_close(input);
	return rc;
}

int
cli__cmd_access_note(struct cli_call *call)
{
	const struct cli_parsed *parsed = call->parsed;
	struct noting noting = {
	    .call = call, .body = ZP_BUF_INIT(BODY_BYTES_FULL + CLI_LINE_BYTES_MAX)};
	int rc = 0;

	if (parsed->arguments_count == 1 && strcmp(parsed->arguments[0], "-") == 0)
		rc = input_add(&noting);
	else
		for (size_t i = 0; rc == 0 && i < parsed->arguments_count; i++) {
			noting.lines_in.number = i + 1;
			rc = line_add(&noting, zp_slice_of(parsed->arguments[i]), &call->err);
		}
	if (rc == 0)
		rc = body_send(&noting, &call->err);
	zp_buf_done(&noting.body);
	if (!call->settings.is_json && !call->settings.is_quiet && (rc == 0 || noting.noted > 0))
		fprintf(call->out, "noted %" PRIu64 "\n", noting.noted);
	if (noting.unknown > 0)
		cli__note(call, "%" PRIu64 " were of CIDs that are not pinned", noting.unknown);
	return rc == 0 ? cli__out_check(call, &call->err) : rc;
}
