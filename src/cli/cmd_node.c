/*
 * cmd_node.c - who the node is and how it fares (info, peers, metrics, health, version), and what
 * is handed to the node inside this process (serve, init, config).
 */
#include "cli/cli_internal.h"

#include <inttypes.h>

#include "base/json.h"

#define BODY_BYTES_MAX (4u << 20)

/* ---- Handed on ------------------------------------------------------------------------------ */

static int
not_here(struct cli_call *call)
{
	return zp_fail(&call->err, ZP_E_UNSUPPORTED, "zpin %s: not in this build",
	    call->parsed->command->name);
}

int
cli__cmd_serve(struct cli_call *call)
{
	if (call->ops->serve == NULL)
		return not_here(call);
	return call->ops->serve(call->settings.config_path, &call->err);
}

int
cli__cmd_init(struct cli_call *call)
{
	ZP_AUTO_BUF(report, BODY_BYTES_MAX);
	const char *directory =
	    call->parsed->arguments_count > 0 ? call->parsed->arguments[0] : NULL;
	int rc;

	if (call->ops->init == NULL)
		return not_here(call);
	rc = call->ops->init(
	    call->settings.config_path, directory, call->settings.is_json, &report, &call->err);
	if (rc == 0 && (call->settings.is_json || !call->settings.is_quiet))
		rc = cli__print(call, zp_buf_slice(&report), &call->err);
	return rc;
}

/* Each line as a note that begins with `what`, or as an item of the array `json`. */
static void
lines_tell(struct cli_call *call, const struct zp_buf *lines, const char *what, struct zp_buf *json)
{
	for (size_t at = 0; at < lines->length;) {
		const char *line = (const char *)lines->data + at;
		const char *newline = memchr(line, '\n', lines->length - at);
		size_t length = newline == NULL ? lines->length - at : (size_t)(newline - line);

		if (call->settings.is_json) {
			zp_json_put_comma(json);
			zp_json_put_string(json, (struct zp_slice){(const uint8_t *)line, length});
		} else {
			cli__note(call, "%s%.*s", what, (int)length, line);
		}
		at += length + 1;
	}
}

int
cli__cmd_config_check(struct cli_call *call)
{
	ZP_AUTO_BUF(faults, BODY_BYTES_MAX);
	ZP_AUTO_BUF(warnings, BODY_BYTES_MAX);
	ZP_AUTO_BUF(values, BODY_BYTES_MAX);
	ZP_AUTO_BUF(json, BODY_BYTES_MAX);
	bool is_json = call->settings.is_json;
	bool show = cli__has(call->parsed, "show");
	int rc = call->ops->config_check(
	    call->settings.config_path, show, &faults, &warnings, &values, &call->err);

	zp_buf_append_text(&json, rc < 0 ? "{\"errors\":[" : "{\"warnings\":[");
	if (rc < 0)
		lines_tell(call, &faults, "", &json);
	else
		lines_tell(call, &warnings, "warning: ", &json);
	zp_buf_append_text(&json, "]}");
	if (rc < 0 && is_json && faults.length > 0)
		zp_ignore(
		    cli__print_line(call, zp_buf_slice(&json), &call->err)); /* failed already */
	else if (rc == 0 && is_json && !show)
		rc = cli__print_line(call, zp_buf_slice(&json), &call->err);
	else if (rc == 0 && show)
		rc = cli__print(call, zp_buf_slice(&values), &call->err);
	else if (rc == 0 && !call->settings.is_quiet)
		rc = cli__print_line(call, zp_slice_of("the config is good"), &call->err);
	return rc;
}

int
cli__cmd_config_example(struct cli_call *call)
{
	ZP_AUTO_BUF(text, BODY_BYTES_MAX);

	call->ops->config_example(&text);
	return cli__print(call, zp_buf_slice(&text), &call->err);
}

int
cli__cmd_config_reference(struct cli_call *call)
{
	ZP_AUTO_BUF(text, BODY_BYTES_MAX);

	call->ops->config_reference(cli__has(call->parsed, "scdoc"), &text);
	return cli__print(call, zp_buf_slice(&text), &call->err);
}

/* ---- Of the table itself -------------------------------------------------------------------- */

int
cli__cmd_completion(struct cli_call *call)
{
	ZP_AUTO_BUF(text, BODY_BYTES_MAX);
	const char *shell = call->parsed->arguments[0];

	if (strcmp(shell, "bash") == 0)
		cli__completion_bash(&text);
	else if (strcmp(shell, "zsh") == 0)
		cli__completion_zsh(&text);
	else if (strcmp(shell, "fish") == 0)
		cli__completion_fish(&text);
	else
		return zp_fail(&call->err, ZP_E_INVALID,
		    "zpin completion: \"%s\" is none of bash, zsh and fish", shell);
	return cli__print(call, zp_buf_slice(&text), &call->err);
}

/* The command whose words these are, or all of a group. */
static void
help_find(const struct cli_parsed *parsed, struct zp_buf *text)
{
	for (size_t i = 0; i < cli__commands_count; i++) {
		const struct cli_command *command = &cli__commands[i];
		const char *const *words = (const char *const *)parsed->arguments;
		bool is_group = command->group != NULL && strcmp(words[0], command->group) == 0;
		bool is_match =
		    command->group == NULL
			? parsed->arguments_count == 1 && strcmp(words[0], command->name) == 0
			: is_group && (parsed->arguments_count == 1 ||
					  strcmp(words[1], command->name) == 0);

		if (!is_match)
			continue;
		if (text->length > 0)
			zp_buf_append_byte(text, '\n');
		cli__help_command(command, text);
	}
}

int
cli__cmd_help(struct cli_call *call)
{
	ZP_AUTO_BUF(text, BODY_BYTES_MAX);

	if (cli__has(call->parsed, "scdoc"))
		cli__help_scdoc(&text);
	else if (call->parsed->arguments_count == 0)
		cli__help_all(&text);
	else
		help_find(call->parsed, &text);
	if (text.length == 0)
		return zp_fail(&call->err, ZP_E_INVALID, "zpin help: there is no such command");
	return cli__print(call, zp_buf_slice(&text), &call->err);
}

/* ---- Asked of the node ---------------------------------------------------------------------- */

static struct zp_slice
line_of(const struct zp_buf *body)
{
	struct zp_slice line = zp_buf_slice(body);

	while (line.length > 0 && line.data[line.length - 1] == '\n')
		line.length--;
	return line;
}

/* Prints "name<gap>value" for each of the members that is there. */
static int
members_print(struct cli_call *call, struct zp_slice object, const char *const *names,
    const char *const *titles, size_t count)
{
	struct zp_buf values[CLI_COLUMNS_MAX];
	bool is_terminal = cli__terminal_width(call->out) > 0;
	int rc;

	ZP_ASSERT(count <= CLI_COLUMNS_MAX);
	for (size_t i = 0; i < count; i++)
		zp_buf_init(&values[i], CLI_LINE_BYTES_MAX);
	rc = cli__pick(object, names, values, count, &call->err);
	for (size_t i = 0; rc == 0 && i < count; i++) {
		ZP_AUTO_BUF(shown, CLI_LINE_BYTES_MAX);

		if (values[i].length == 0)
			continue;
		cli__text_fit(zp_buf_slice(&values[i]), 0, &shown);
		fprintf(call->out, is_terminal ? "%-14s %.*s\n" : "%s\t%.*s\n", titles[i],
		    (int)shown.length, (const char *)shown.data);
	}
	for (size_t i = 0; i < count; i++)
		zp_buf_done(&values[i]);
	return rc;
}

static int
member_print(void *context, struct zp_slice name, struct zp_slice value, struct zp_err *err)
{
	struct cli_call *call = context;
	ZP_AUTO_BUF(object, CLI_LINE_BYTES_MAX);
	ZP_AUTO_BUF(title, CLI_LINE_BYTES_MAX);
	const char *names[] = {"value"};
	const char *titles[1];
	int rc;

	if (zp_slice_is(name, "version")) /* which the API said already */
		return 0;
	cli__text_fit(name, 0, &title);
	zp_buf_append_byte(&title, '\0');
	titles[0] = (const char *)title.data;
	zp_buf_append_text(&object, "{\"value\":");
	zp_buf_append_slice(&object, value);
	zp_buf_append_byte(&object, '}');
	rc = zp_buf_check(&object, "the node's answer", err);
	return rc < 0 ? rc : members_print(call, zp_buf_slice(&object), names, titles, 1);
}

/* A node may keep its management address closed: that is said, and failed only where it was named.
 */
static int
management_missed(struct cli_call *call, int rc)
{
	if (!call->settings.is_management_guessed)
		return zp_wrap(&call->err, rc, "management");
	cli__note(call, "management: %s", call->err.text);
	zp_err_clear(&call->err);
	return 0;
}

/* Where shards are suspended the pins are more than was counted. */
static int
info_note(struct cli_call *call, struct zp_slice object)
{
	static const char *const names[] = {"suspended_shards"};
	struct zp_buf value = ZP_BUF_INIT(64);
	int rc = cli__pick(object, names, &value, 1, &call->err);
	uint64_t suspended = cli__pick_count(&value);

	zp_buf_done(&value);
	if (rc == 0 && suspended > 0)
		cli__note(call,
		    "%" PRIu64 " shards are suspended, and their pins not among those counted: "
		    "`zpin health` says why",
		    suspended);
	return rc;
}

/* What only the management address tells. */
static int
info_management(struct cli_call *call)
{
	ZP_AUTO_BUF(body, BODY_BYTES_MAX);
	int rc;

	if (call->settings.management == NULL)
		return 0;
	rc = cli__get(call, call->settings.management, "/info", &body);
	if (rc < 0)
		return management_missed(call, rc);
	if (call->settings.is_json)
		return cli__print_line(call, line_of(&body), &call->err);
	rc = cli__each(line_of(&body), member_print, call, &call->err);
	return rc < 0 ? rc : info_note(call, line_of(&body));
}

/* Of one moment, which only the management address tells. */
static int
info_as_of(struct cli_call *call)
{
	ZP_AUTO_BUF(url, CLI_URL_BYTES_MAX);
	ZP_AUTO_BUF(body, BODY_BYTES_MAX);
	int rc;

	zp_buf_append_text(&url, "/info");
	cli__query_add_given(&url, call->parsed);
	rc = cli__url_end(&url, &call->err);
	if (rc == 0)
		rc = cli__manage(
		    call, "GET", (const char *)url.data, "opening what was then", &body);
	if (rc < 0)
		return rc;
	if (call->settings.is_json)
		return cli__print_line(call, line_of(&body), &call->err);
	rc = cli__each(line_of(&body), member_print, call, &call->err);
	return rc < 0 ? rc : info_note(call, line_of(&body));
}

int
cli__cmd_info(struct cli_call *call)
{
	static const char *const names[] = {
	    "id", "peername", "version", "addresses", "cluster_peers", "error"};
	static const char *const titles[] = {
	    "id", "name", "version", "addresses", "peers", "error"};
	ZP_AUTO_BUF(body, BODY_BYTES_MAX);
	int rc;

	if (cli__has(call->parsed, "as-of"))
		return info_as_of(call);
	rc = cli__get(call, NULL, "/id", &body);
	if (rc < 0)
		return rc;
	if (call->settings.is_json)
		rc = cli__print_line(call, line_of(&body), &call->err);
	else
		rc = members_print(call, line_of(&body), names, titles, ZP_ARRAY_COUNT(names));
	return rc < 0 ? rc : info_management(call);
}

/* ---- Tables --------------------------------------------------------------------------------- */

#define ROW_MEMBERS_MAX 6u

/* Objects whose members `names` are the cells, in the columns' order. */
struct simple_table {
	struct cli_call *call;
	struct cli_table table;
	const char *const *names;
	size_t count;
	struct zp_buf values[ROW_MEMBERS_MAX];
};

static int
simple_row(void *context, struct zp_slice name, struct zp_slice object, struct zp_err *err)
{
	struct simple_table *simple = context;
	struct zp_slice cells[ROW_MEMBERS_MAX];
	int rc = cli__pick(object, simple->names, simple->values, simple->count, err);

	(void)name;
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < simple->count; i++)
		cells[i] = zp_buf_slice(&simple->values[i]);
	cli__table_row(&simple->table, cells);
	return cli__out_check(simple->call, err);
}

static int
simple_line(void *context, struct zp_slice line, struct zp_err *err)
{
	struct simple_table *simple = context;

	if (simple->call->settings.is_json)
		return cli__print_line(simple->call, line, err);
	return simple_row(context, (struct zp_slice){0}, line, err);
}

static void
simple_begin(struct simple_table *simple, struct cli_call *call, const struct cli_column *columns,
    const char *const *names, size_t count)
{
	ZP_ASSERT(count <= ROW_MEMBERS_MAX);
	*simple = (struct simple_table){.call = call, .names = names, .count = count};
	for (size_t i = 0; i < count; i++)
		zp_buf_init(&simple->values[i], CLI_LINE_BYTES_MAX);
	cli__table_begin(&simple->table, call->out, columns, count, cli__terminal_width(call->out));
}

static void
simple_end(struct simple_table *simple)
{
	cli__table_end(&simple->table);
	for (size_t i = 0; i < simple->count; i++)
		zp_buf_done(&simple->values[i]);
}

int
cli__array_print(struct cli_call *call, const char *base, const char *path,
    const struct cli_column *columns, const char *const *names, size_t count)
{
	ZP_AUTO_BUF(body, BODY_BYTES_MAX);
	struct simple_table simple;
	int rc = cli__get(call, base, path, &body);

	if (rc < 0)
		return rc;
	if (call->settings.is_json)
		return cli__print_line(call, line_of(&body), &call->err);
	simple_begin(&simple, call, columns, names, count);
	rc = cli__each(line_of(&body), simple_row, &simple, &call->err);
	simple_end(&simple);
	return rc;
}

static int
metric_print(struct cli_call *call, const char *path)
{
	static const struct cli_column columns[] = {
	    {"PEER", 52, false, false},
	    {"NAME", 4, false, false},
	    {"VALUE", 8, false, true},
	    {"VALID", 5, false, false},
	};
	static const char *const names[] = {"peer", "name", "value", "valid"};
	ZP_AUTO_BUF(body, BODY_BYTES_MAX);
	int rc = cli__get(call, NULL, path, &body);

	if (rc == 0 && zp_slice_is(line_of(&body), "[]"))
		return zp_fail(&call->err, ZP_E_NOT_FOUND,
		    "no peer has a metric \"%s\"; `zpin metrics` lists them",
		    call->parsed->arguments[0]);
	return rc < 0 ? rc
		      : cli__array_print(call, NULL, path, columns, names, ZP_ARRAY_COUNT(names));
}

int
cli__cmd_peers(struct cli_call *call)
{
	static const struct cli_column columns[] = {
	    {"ID", 52, false, false},
	    {"NAME", 8, false, true},
	    {"VERSION", 7, false, false},
	    {"ADDRESSES", 9, false, true},
	    {"ERROR", 5, false, true},
	};
	static const char *const names[] = {"id", "peername", "version", "addresses", "error"};
	struct simple_table simple;
	struct cli_lines lines;
	struct cli_request request = {
	    .method = "GET",
	    .path = "/peers",
	    .sink = cli__lines_add,
	    .sink_context = &lines,
	};
	int rc;

	simple_begin(&simple, call, columns, names, ZP_ARRAY_COUNT(names));
	cli__lines_init(&lines, simple_line, &simple);
	rc = cli__request(call, &request);
	if (rc == 0)
		rc = cli__lines_end(&lines, &call->err);
	cli__lines_done(&lines);
	simple_end(&simple);
	return rc;
}

static int
print_sink(void *context, struct zp_slice block, struct zp_err *err)
{
	return cli__print(context, block, err);
}

static int
metrics_page(struct cli_call *call)
{
	struct cli_request request = {
	    .base = call->settings.management,
	    .method = "GET",
	    .path = "/metrics",
	    .sink = print_sink,
	    .sink_context = call,
	};

	if (request.base == NULL)
		return zp_fail(&call->err, ZP_E_INVALID,
		    "--prometheus needs --management URL for a node elsewhere");
	return cli__request(call, &request);
}

static int
name_print(void *context, struct zp_slice name, struct zp_slice value, struct zp_err *err)
{
	struct cli_call *call = context;
	ZP_AUTO_BUF(shown, CLI_LINE_BYTES_MAX);

	(void)name;
	if (value.length >= 2 && value.data[0] == '"') {
		value.data++;
		value.length -= 2;
	}
	cli__text_fit(value, 0, &shown);
	return cli__print_line(call, zp_buf_slice(&shown), err);
}

int
cli__cmd_metrics(struct cli_call *call)
{
	ZP_AUTO_BUF(url, CLI_URL_BYTES_MAX);
	ZP_AUTO_BUF(body, BODY_BYTES_MAX);
	int rc;

	if (cli__has(call->parsed, "prometheus"))
		return metrics_page(call);
	zp_buf_append_text(&url, "/monitor/metrics");
	if (call->parsed->arguments_count > 0) {
		zp_buf_append_byte(&url, '/');
		cli__url_encode(zp_slice_of(call->parsed->arguments[0]), &url);
		rc = cli__url_end(&url, &call->err);
		return rc < 0 ? rc : metric_print(call, (const char *)url.data);
	}
	rc = cli__get(call, NULL, "/monitor/metrics", &body);
	if (rc == 0 && call->settings.is_json)
		return cli__print_line(call, line_of(&body), &call->err);
	return rc < 0 ? rc : cli__each(line_of(&body), name_print, call, &call->err);
}

/* An answer of 204 has none. */
static int
health_damage(struct cli_call *call, const struct zp_buf *body)
{
	return body->length == 0 ? 0
				 : cli__damage_judge(call, line_of(body),
				       "the node answers, but not all is well");
}

/* What the node says of itself where only its operator asks. One that keeps that address closed can
 * still be asked whether it answers. */
static int
health_management(struct cli_call *call)
{
	ZP_AUTO_BUF(body, BODY_BYTES_MAX);
	struct cli_request request = {
	    .base = call->settings.management,
	    .method = "GET",
	    .path = "/health",
	    .sink = cli__body_sink,
	    .sink_context = &body,
	    .error_body = &body,
	};
	int rc = request.base == NULL ? 0 : cli__request(call, &request);
	int rc_print = 0;

	if (rc < 0 && request.status == 0)
		return management_missed(call, rc);
	if (call->settings.is_json && body.length > 0)
		rc_print = cli__print_line(call, line_of(&body), &call->err);
	if (rc == 0)
		rc = health_damage(call, &body);
	else if (request.status == 503)
		rc = zp_wrap(&call->err, rc, "the node answers, but takes no writes");
	return rc < 0 ? rc : rc_print;
}

int
cli__cmd_health(struct cli_call *call)
{
	static const struct cli_column columns[] = {
	    {"ALERT", 8, false, false},
	    {"PEER", 52, false, false},
	    {"SINCE", 8, false, false},
	    {"VALUE", 8, false, true},
	};
	static const char *const names[] = {"name", "peer", "triggered_at", "value"};
	ZP_AUTO_BUF(body, BODY_BYTES_MAX);
	int rc = cli__get(call, NULL, "/health", &body);

	if (rc == 0)
		rc = health_management(call);
	if (rc < 0)
		return rc;
	if (!call->settings.is_json && !call->settings.is_quiet)
		rc = cli__print_line(call, zp_slice_of("the node answers"), &call->err);
	return rc < 0 ? rc
		      : cli__array_print(
			    call, NULL, "/health/alerts", columns, names, ZP_ARRAY_COUNT(names));
}

/* The program's own version is known without a node, so a missing one is no failure. */
int
cli__cmd_version(struct cli_call *call)
{
	static const char *const names[] = {"version"};
	struct zp_buf version = ZP_BUF_INIT(CLI_LINE_BYTES_MAX);
	ZP_AUTO_BUF(body, BODY_BYTES_MAX);
	ZP_AUTO_BUF(shown, CLI_LINE_BYTES_MAX);
	int rc = cli__get(call, NULL, "/version", &body);

	if (rc == 0)
		rc = cli__pick(line_of(&body), names, &version, 1, &call->err);
	cli__text_fit(zp_buf_slice(&version), 64, &shown);
	zp_buf_done(&version);
	if (call->settings.is_json) {
		fprintf(call->out, "{\"program\":\"%s\"", ZP_VERSION);
		if (rc == 0)
			fprintf(call->out, ",\"node\":%.*s", (int)line_of(&body).length,
			    (const char *)body.data);
		fprintf(call->out, "}\n");
	} else {
		fprintf(call->out, "program\t%s\n", ZP_VERSION);
		if (rc == 0)
			fprintf(
			    call->out, "node\t%.*s\n", (int)shown.length, (const char *)shown.data);
	}
	if (rc < 0 && !call->settings.is_quiet)
		cli__note(call, "node: %s", call->err.text);
	zp_err_clear(&call->err);
	return 0;
}
