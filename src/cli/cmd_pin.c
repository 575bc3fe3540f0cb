/*
 * cmd_pin.c - pin add, rm and update: a request for each CID. cmd_bulk.c has one for a stream of
 * them.
 */
#include "cli/cli_internal.h"

#include <stdlib.h>
#include <time.h>

#include "pin/pin.h"

/* ---- One CID -------------------------------------------------------------------------------- */

void
cli__pin_path(const char *cid, struct zp_buf *url)
{
	static const char *const roots[] = {"/ipfs/", "/ipns/", "/ipld/"};

	zp_buf_append_text(url, "/pins");
	for (size_t i = 0; i < ZP_ARRAY_COUNT(roots); i++) {
		if (strncmp(cid, roots[i], strlen(roots[i])) != 0)
			continue;
		/* A path keeps its slashes. */
		while (*cid == '/') {
			size_t length = strcspn(cid + 1, "/");

			zp_buf_append_byte(url, '/');
			cli__url_encode((struct zp_slice){(const uint8_t *)cid + 1, length}, url);
			cid += 1 + length;
		}
		return;
	}
	zp_buf_append_byte(url, '/');
	cli__url_encode(zp_slice_of(cid), url);
}

int
cli__get(struct cli_call *call, const char *base, const char *path, struct zp_buf *body)
{
	struct cli_request request = {
	    .base = base,
	    .method = "GET",
	    .path = path,
	    .sink = cli__body_sink,
	    .sink_context = body,
	};

	zp_buf_clear(body);
	return cli__request(call, &request);
}

int
cli__pin_report(struct cli_call *call, const char *verb, struct zp_slice json, struct zp_err *err)
{
	static const char *const names[] = {"cid", "name"};
	struct zp_buf values[2] = {
	    ZP_BUF_INIT(CLI_LINE_BYTES_MAX), ZP_BUF_INIT(CLI_LINE_BYTES_MAX)};
	ZP_AUTO_BUF(line, CLI_LINE_BYTES_MAX);
	int rc;

	if (call->settings.is_json) {
		while (json.length > 0 && json.data[json.length - 1] == '\n')
			json.length--;
		return cli__print_line(call, json, err);
	}
	rc = cli__pick(json, names, values, 2, err);
	if (rc == 0 && !call->settings.is_quiet) {
		zp_buf_printf(&line, "%s ", verb);
		cli__text_fit(zp_buf_slice(&values[0]), 0, &line);
		if (values[1].length > 0)
			zp_buf_append_byte(&line, ' ');
		cli__text_fit(zp_buf_slice(&values[1]), 0, &line);
		rc = cli__print_line(call, zp_buf_slice(&line), err);
	}
	zp_buf_done(&values[0]);
	zp_buf_done(&values[1]);
	return rc;
}

/* What would be taken for a path of the API. */
static int
cid_check(const char *cid, struct zp_err *err)
{
	const char *rest = strstr(cid, "://");

	if (rest != NULL && (strncmp(cid, "ipfs:", 5) == 0 || strncmp(cid, "ipns:", 5) == 0))
		return zp_fail(err, ZP_E_INVALID, "\"%s\" is no CID: write it as /%.4s/%s", cid,
		    cid, rest + 3);
	if (strchr(cid, '/') == NULL || strncmp(cid, "/ipfs/", 6) == 0 ||
	    strncmp(cid, "/ipns/", 6) == 0 || strncmp(cid, "/ipld/", 6) == 0)
		return 0;
	return zp_fail(err, ZP_E_INVALID,
	    "\"%s\" is no CID, and no path that begins with /ipfs/, /ipns/ or /ipld/", cid);
}

static int
pin_write(struct cli_call *call, const char *method, const char *verb, const char *cid,
    const char *update_from)
{
	ZP_AUTO_BUF(url, CLI_URL_BYTES_MAX);
	ZP_AUTO_BUF(body, CLI_LINE_BYTES_MAX);
	struct cli_request request = {
	    .method = method,
	    .sink = cli__body_sink,
	    .sink_context = &body,
	};
	int rc = cid_check(cid, &call->err);

	if (rc < 0)
		return rc;
	cli__pin_path(cid, &url);
	cli__query_add_given(&url, call->parsed);
	if (update_from != NULL)
		cli__query_add(&url, "pin-update", update_from);
	rc = cli__url_end(&url, &call->err);
	request.path = (const char *)url.data;
	if (rc == 0)
		rc = cli__request(call, &request);
	if (rc == 0)
		rc = cli__pin_report(call, verb, zp_buf_slice(&body), &call->err);
	return rc;
}

/* ---- Commands ------------------------------------------------------------------------------- */

/* Does the rest of a list although one failed; the exit code is that of the first failure. */
static int
each_noted(struct cli_call *call, const char *cid, int rc, int rc_first)
{
	if (rc == 0 || call->is_out_closed)
		return rc_first;
	if (call->parsed->arguments_count > 1 || strcmp(call->parsed->arguments[0], "-") == 0) {
		cli__note(call, "%s: %s", cid, call->err.text);
		zp_err_clear(&call->err);
	}
	return rc_first == 0 ? rc : rc_first;
}

/* What the node would refuse in the words of its config's keys, or as a conflict. */
static int
options_check(struct cli_call *call)
{
	const char *minimum = cli__value(call->parsed, "replication-min");
	const char *maximum = cli__value(call->parsed, "replication-max");
	const char *expiry = cli__value(call->parsed, "expire-at");
	int64_t seconds = INT64_MAX;
	uint32_t nanoseconds;

	if (minimum != NULL && maximum != NULL && atoll(maximum) > 0 &&
	    atoll(minimum) > atoll(maximum))
		return zp_fail(&call->err, ZP_E_INVALID,
		    "zpin pin %s: --replication-min %s is larger than --replication-max %s",
		    call->parsed->command->name, minimum, maximum);
	if (expiry != NULL && cli__has(call->parsed, "expire-in"))
		return zp_fail(&call->err, ZP_E_INVALID,
		    "zpin pin %s: --expire-in or --expire-at, one of them",
		    call->parsed->command->name);
	if (expiry != NULL &&
	    zp_time_parse(zp_slice_of(expiry), &seconds, &nanoseconds, NULL) == 0 &&
	    seconds < (int64_t)time(NULL))
		return zp_fail(&call->err, ZP_E_INVALID, "zpin pin %s: --expire-at %s is past",
		    call->parsed->command->name, expiry);
	return 0;
}

int
cli__cmd_pin_add(struct cli_call *call)
{
	const struct cli_parsed *parsed = call->parsed;
	int rc_first = options_check(call);

	if (rc_first < 0)
		return rc_first;

	if (parsed->arguments_count == 1 && strcmp(parsed->arguments[0], "-") == 0)
		return cli__pin_add_stream(call);
	for (size_t i = 0; i < parsed->arguments_count && !call->is_out_closed; i++) {
		const char *cid = parsed->arguments[i];

		rc_first =
		    each_noted(call, cid, pin_write(call, "POST", "pinned", cid, NULL), rc_first);
	}
	return rc_first;
}

struct removal {
	struct cli_call *call;
	int rc_first;
};

static int
removal_line(void *context, struct zp_slice line, struct zp_err *err)
{
	struct removal *removal = context;
	ZP_AUTO_BUF(cid, CLI_URL_BYTES_MAX);
	int rc;

	zp_buf_append_slice(&cid, line);
	rc = cli__url_end(&cid, err);
	if (rc < 0)
		return rc;
	rc = pin_write(removal->call, "DELETE", "unpinned", (const char *)cid.data, NULL);
	removal->rc_first =
	    each_noted(removal->call, (const char *)cid.data, rc, removal->rc_first);
	return removal->call->is_out_closed ? rc : 0;
}

static int
pin_rm_stream(struct cli_call *call)
{
	struct removal removal = {.call = call};
	struct cli_input *input = NULL;
	struct cli_lines lines;
	size_t length = 1;
	int rc = cli__input_open("-", &input, &call->err);

	cli__lines_init(&lines, removal_line, &removal);
	while (rc == 0 && length > 0) {
		uint8_t block[16384];

		rc = cli__input_read(input, block, sizeof(block), &length, &call->err);
		if (rc == 0)
			rc = cli__lines_add(&lines, (struct zp_slice){block, length}, &call->err);
	}
	if (rc == 0)
		rc = cli__lines_end(&lines, &call->err);
	cli__lines_done(&lines);
	cli__input_close(input);
	return rc < 0 ? rc : removal.rc_first;
}

int
cli__cmd_pin_rm(struct cli_call *call)
{
	const struct cli_parsed *parsed = call->parsed;
	int rc_first = 0;

	if (parsed->arguments_count == 1 && strcmp(parsed->arguments[0], "-") == 0)
		return pin_rm_stream(call);
	for (size_t i = 0; i < parsed->arguments_count && !call->is_out_closed; i++) {
		const char *cid = parsed->arguments[i];

		rc_first = each_noted(
		    call, cid, pin_write(call, "DELETE", "unpinned", cid, NULL), rc_first);
	}
	return rc_first;
}

int
cli__cmd_pin_update(struct cli_call *call)
{
	int rc = options_check(call);

	return rc < 0 ? rc
		      : pin_write(call, "POST", "pinned", call->parsed->arguments[1],
			    call->parsed->arguments[0]);
}
