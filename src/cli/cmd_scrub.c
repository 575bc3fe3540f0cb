/*
 * cmd_scrub.c - scrub, scrub start, pause, stop: the background check of all files.
 *
 * Flow: GET or POST /scrub of the management address, which answers at once how it fares.
 */
#include "cli/cli_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#define ANSWER_BYTES_MAX CLI_ERROR_BODY_BYTES_MAX

enum scrub_member {
	STATE,
	RATE,
	SHARDS_DONE,
	SHARDS,
	BYTES,
	BEGAN,
	LAST_ENDED,
	NEXT,
	MEMBERS,
};

static const char *const member_names[MEMBERS] = {
    "state", "rate", "shards_done", "shards", "bytes", "began", "last_ended", "next"};

static void
time_add(struct zp_buf *text, const char *what, const struct zp_buf *time)
{
	if (time->length == 0 || zp_slice_is(zp_buf_slice(time), "null"))
		return;
	zp_buf_append_text(text, what);
	zp_buf_append_slice(text, zp_buf_slice(time));
}

static void
sentence(struct zp_buf *values, struct zp_buf *text)
{
	struct zp_slice state = zp_buf_slice(&values[STATE]);
	bool is_under_way = zp_slice_is(state, "running") || zp_slice_is(state, "paused");

	zp_buf_append_text(text, "scrub ");
	zp_buf_append_slice(text, state);
	if (is_under_way) {
		zp_buf_printf(text, ": %" PRIu64 " of %" PRIu64 " shards, ",
		    cli__pick_count(&values[SHARDS_DONE]), cli__pick_count(&values[SHARDS]));
		cli__format_bytes(cli__pick_count(&values[BYTES]), text);
		zp_buf_append_text(text, " read at ");
		cli__format_bytes(cli__pick_count(&values[RATE]), text);
		zp_buf_append_text(text, "/s at most");
		time_add(text, ", since ", &values[BEGAN]);
	}
	time_add(text, "; next ", &values[NEXT]);
	if (values[LAST_ENDED].length == 0 ||
	    zp_slice_is(zp_buf_slice(&values[LAST_ENDED]), "null"))
		zp_buf_append_text(text, "; not all files have been read yet");
	else
		time_add(text, "; all files were read last by ", &values[LAST_ENDED]);
}

static int
answer_print(struct cli_call *call, const struct zp_buf *body)
{
	struct zp_buf values[MEMBERS];
	ZP_AUTO_BUF(text, CLI_LINE_BYTES_MAX);
	ZP_AUTO_BUF(shown, CLI_LINE_BYTES_MAX);
	struct zp_slice line = zp_buf_slice(body);
	int rc;

	while (line.length > 0 && line.data[line.length - 1] == '\n')
		line.length--;
	if (call->settings.is_json) {
		rc = cli__print_line(call, line, &call->err);
		return rc < 0 ? rc : cli__damage_judge(call, line, "the scrub");
	}
	for (size_t i = 0; i < MEMBERS; i++)
		zp_buf_init(&values[i], CLI_LINE_BYTES_MAX);
	rc = cli__pick(line, member_names, values, MEMBERS, &call->err);
	if (rc == 0)
		sentence(values, &text);
	for (size_t i = 0; i < MEMBERS; i++)
		zp_buf_done(&values[i]);
	cli__text_fit(zp_buf_slice(&text), 0, &shown);
	if (rc == 0 && !call->settings.is_quiet)
		rc = cli__print_line(call, zp_buf_slice(&shown), &call->err);
	return rc < 0 ? rc : cli__damage_judge(call, line, "the scrub");
}

static int
scrub(struct cli_call *call, const char *method, const char *path)
{
	ZP_AUTO_BUF(body, ANSWER_BYTES_MAX);
	struct cli_request request = {
	    .base = call->settings.management,
	    .method = method,
	    .path = path,
	    .sink = cli__body_sink,
	    .sink_context = &body,
	};
	int rc;

	if (request.base == NULL)
		return zp_fail(
		    &call->err, ZP_E_INVALID, "a node elsewhere needs --management URL for this");
	rc = cli__request(call, &request);
	return rc < 0 ? rc : answer_print(call, &body);
}

int
cli__cmd_scrub(struct cli_call *call)
{
	return scrub(call, "GET", "/scrub");
}

int
cli__cmd_scrub_pause(struct cli_call *call)
{
	return scrub(call, "POST", "/scrub?do=pause");
}

int
cli__cmd_scrub_stop(struct cli_call *call)
{
	return scrub(call, "POST", "/scrub?do=stop");
}

/* "200MiB", "64KiB", "1GiB", or bytes. */
static int
rate_parse(const char *text, uint64_t *rate_out, struct zp_err *err)
{
	static const struct {
		const char *name;
		unsigned shift;
	} units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	for (size_t i = 0; text[0] >= '0' && text[0] <= '9' && i < ZP_ARRAY_COUNT(units); i++) {
		if (strcmp(end, units[i].name) != 0 || value == 0 || value >> (40 - units[i].shift))
			continue;
		*rate_out = value << units[i].shift;
		return 0;
	}
	return zp_fail(err, ZP_E_INVALID,
	    "--rate \"%s\" is not a number of bytes a second such as 64MiB, below 1TiB", text);
}

int
cli__cmd_scrub_start(struct cli_call *call)
{
	const char *rate_text = cli__value(call->parsed, "rate");
	ZP_AUTO_BUF(url, CLI_URL_BYTES_MAX);
	uint64_t rate = 0;
	int rc = 0;

	zp_buf_append_text(&url, "/scrub?do=start");
	if (rate_text != NULL) {
		rc = rate_parse(rate_text, &rate, &call->err);
		if (rc == 0)
			zp_buf_printf(&url, "&rate=%" PRIu64, rate);
	}
	if (rc == 0)
		rc = cli__url_end(&url, &call->err);
	return rc < 0 ? rc : scrub(call, "POST", (const char *)url.data);
}
