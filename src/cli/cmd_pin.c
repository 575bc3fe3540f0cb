/*
 * cmd_pin.c - pin add, rm and update: writes, one request a CID or one for a whole stream of them.
 */
#include "cli/cli_internal.h"

#include "base/json.h"

/* ---- One CID
 * -------------------------------------------------------------------------------------- */

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

static int
buffer_sink(void *context, struct zp_slice block, struct zp_err *err)
{
	zp_buf_append_slice(context, block);
	return zp_buf_check(context, "the node's answer", err);
}

int
cli__get(struct cli_call *call, const char *base, const char *path, struct zp_buf *body)
{
	struct cli_request request = {
	    .base = base,
	    .method = "GET",
	    .path = path,
	    .sink = buffer_sink,
	    .sink_context = body,
	};

	zp_buf_clear(body);
	return cli__request(call, &request);
}

/* "pinned CID NAME", or the JSON as it came. */
static int
pin_report(struct cli_call *call, const char *verb, struct zp_slice json, struct zp_err *err)
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

static int
pin_write(struct cli_call *call, const char *method, const char *verb, const char *cid,
    const char *update_from)
{
	ZP_AUTO_BUF(url, CLI_URL_BYTES_MAX);
	ZP_AUTO_BUF(body, CLI_LINE_BYTES_MAX);
	struct cli_request request = {
	    .method = method,
	    .sink = buffer_sink,
	    .sink_context = &body,
	};
	int rc;

	cli__pin_path(cid, &url);
	cli__query_add_given(&url, call->parsed);
	if (update_from != NULL)
		cli__query_add(&url, "pin-update", update_from);
	rc = cli__url_end(&url, &call->err);
	request.path = (const char *)url.data;
	if (rc == 0)
		rc = cli__request(call, &request);
	if (rc == 0)
		rc = pin_report(call, verb, zp_buf_slice(&body), &call->err);
	return rc;
}

/* ---- Lines of standard input
 * ------------------------------------------------------------------------ */

/* CIDs on their way from standard input into one request, and the answers on their way out. */
struct bulk {
	struct cli_call *call;
	struct cli_input *input;
	struct cli_lines lines_in;
	struct zp_buf ready; /* NDJSON not yet sent */
	uint64_t done;
	uint64_t failed;
	int rc_first; /* of the first line that failed */
};

static int
bulk_line_in(void *context, struct zp_slice line, struct zp_err *err)
{
	struct bulk *bulk = context;

	if (line.data[0] == '{') {
		zp_buf_append_slice(&bulk->ready, line);
	} else {
		zp_buf_append_text(&bulk->ready, "{\"cid\":");
		zp_json_put_string(&bulk->ready, line);
		zp_buf_append_byte(&bulk->ready, '}');
	}
	zp_buf_append_byte(&bulk->ready, '\n');
	return zp_buf_check(&bulk->ready, "standard input", err);
}

static int
bulk_source(void *context, uint8_t *to, size_t bytes, size_t *length_out, struct zp_err *err)
{
	struct bulk *bulk = context;
	size_t length = 1;

	while (bulk->ready.length == 0 && length > 0) {
		uint8_t block[16384];
		int rc = cli__input_read(bulk->input, block, sizeof(block), &length, err);

		if (rc == 0)
			rc = length > 0 ? cli__lines_add(&bulk->lines_in,
					      (struct zp_slice){block, length}, err)
					: cli__lines_end(&bulk->lines_in, err);
		if (rc < 0)
			return rc;
	}
	length = zp_min_u64(bytes, bulk->ready.length);
	if (length > 0)
		memcpy(to, bulk->ready.data, length);
	zp_buf_consume(&bulk->ready, length);
	*length_out = length;
	return 0;
}

static int
bulk_line_out(void *context, struct zp_slice line, struct zp_err *err)
{
	static const char *const names[] = {"cid", "code", "message", "line"};
	struct bulk *bulk = context;
	struct zp_buf values[4];
	int rc;

	for (size_t i = 0; i < 4; i++)
		zp_buf_init(&values[i], CLI_LINE_BYTES_MAX);
	rc = cli__pick(line, names, values, 4, err);
	if (rc == 0 && values[1].length > 0) {
		int code = cli__code_of_status((long)cli__pick_count(&values[1]));

		bulk->failed++;
		if (bulk->rc_first == 0)
			bulk->rc_first = code;
		cli__note(bulk->call, "line %.*s: %.*s: %.*s", (int)values[3].length,
		    (const char *)values[3].data, (int)values[0].length,
		    (const char *)values[0].data, (int)values[2].length,
		    (const char *)values[2].data);
		if (bulk->call->settings.is_json)
			rc = cli__print_line(bulk->call, line, err);
	} else if (rc == 0) {
		bulk->done++;
		rc = pin_report(bulk->call, "pinned", line, err);
	}
	for (size_t i = 0; i < 4; i++)
		zp_buf_done(&values[i]);
	return rc;
}

static int
bulk_request(struct bulk *bulk)
{
	ZP_AUTO_BUF(url, CLI_URL_BYTES_MAX);
	struct cli_lines lines_out;
	struct cli_request request = {
	    .method = "POST",
	    .sink = cli__lines_add,
	    .sink_context = &lines_out,
	    .source = bulk_source,
	    .source_context = bulk,
	    .is_patient = true,
	};
	int rc;

	cli__lines_init(&lines_out, bulk_line_out, bulk);
	zp_buf_append_text(&url, "/pins");
	cli__query_add_given(&url, bulk->call->parsed);
	rc = cli__url_end(&url, &bulk->call->err);
	request.path = (const char *)url.data;
	if (rc == 0)
		rc = cli__request(bulk->call, &request);
	if (rc == 0)
		rc = cli__lines_end(&lines_out, &bulk->call->err);
	cli__lines_done(&lines_out);
	return rc;
}

static int
pin_add_stream(struct cli_call *call)
{
	struct bulk bulk = {.call = call, .ready = ZP_BUF_INIT(CLI_LINE_BYTES_MAX * 4)};
	int rc = cli__input_open("-", &bulk.input, &call->err);

	if (rc < 0)
		return rc;
	cli__lines_init(&bulk.lines_in, bulk_line_in, &bulk);
	rc = bulk_request(&bulk);
	if (rc == 0 && bulk.failed > 0)
		rc = zp_fail(&call->err, bulk.rc_first, "%llu of %llu lines were not pinned",
		    (unsigned long long)bulk.failed, (unsigned long long)(bulk.failed + bulk.done));
	cli__lines_done(&bulk.lines_in);
	cli__input_close(bulk.input);
	zp_buf_done(&bulk.ready);
	return rc;
}

/* ---- Commands
 * ----------------------------------------------------------------------------------------- */

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

int
cli__cmd_pin_add(struct cli_call *call)
{
	const struct cli_parsed *parsed = call->parsed;
	int rc_first = 0;

	if (parsed->arguments_count == 1 && strcmp(parsed->arguments[0], "-") == 0)
		return pin_add_stream(call);
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
	return pin_write(
	    call, "POST", "pinned", call->parsed->arguments[1], call->parsed->arguments[0]);
}
