/*
 * cmd_import.c - a pinset out of a file into the node: by the API, or in this process when stopped.
 *
 * Flow: cli_input uncompresses; the node (either way) reads lines, counts them and reports back;
 * this file shows it. Who reads the input decides about lines, so that both ways agree.
 */
#include "cli/cli_internal.h"

#include <inttypes.h>

#define BAD_LINES_SHOWN_MAX 100u
#define REPORT_MEMBERS 8u

struct import {
	struct cli_call *call;
	struct cli_input *input;
	struct cli_progress progress;
	struct zp_cli_counts counts;
	struct zp_buf values[REPORT_MEMBERS];
	uint64_t bytes_sent;   /* uncompressed */
	uint64_t lines_before; /* of an earlier import, which this one goes on with */
	uint64_t bad_lines;
	uint64_t bad_line; /* the one that ended the import; 0: none */
	bool is_done;      /* the node said so */
	bool has_ended;    /* done or failed: nothing more needs to be sent */
};

/* ---- What both ways report ------------------------------------------------------------------ */

static int
input_read(void *context, uint8_t *to, size_t bytes, size_t *length_out, struct zp_err *err)
{
	struct import *import = context;
	int rc;

	*length_out = 0;
	if (import->has_ended)
		return 0;
	rc = cli__input_read(import->input, to, bytes, length_out, err);
	if (rc == 0)
		import->bytes_sent += *length_out;
	return rc;
}

static void
on_progress(void *context, const struct zp_cli_counts *counts)
{
	struct import *import = context;

	import->counts = *counts;
	import->counts.bytes = import->bytes_sent; /* the API does not say */
	cli__progress_show(
	    &import->progress, &import->counts, cli__input_share(import->input), cli__now_ns());
}

static void
on_bad_line(void *context, uint64_t line, struct zp_slice text, const char *why)
{
	struct import *import = context;
	ZP_AUTO_BUF(shown, 2048);

	/* One that ends the import is the import's error. */
	if (!cli__has(import->call->parsed, "skip-bad") ||
	    ++import->bad_lines > BAD_LINES_SHOWN_MAX)
		return;
	cli__progress_clear(&import->progress);
	cli__text_fit(text, 200, &shown);
	cli__note(import->call, "line %" PRIu64 ": %s%s%.*s", line, why,
	    shown.length > 0 ? ": " : "", (int)shown.length, (const char *)shown.data);
	if (import->bad_lines == BAD_LINES_SHOWN_MAX)
		cli__note(import->call, "further bad lines are counted and not shown");
}

static void
on_resume(void *context, uint64_t lines)
{
	struct import *import = context;

	import->lines_before = lines;
	if (import->call->settings.is_quiet)
		return;
	if (lines > 0)
		cli__note(import->call, "going on behind line %" PRIu64, lines);
	else
		cli__note(import->call,
		    "no import of this file with these options was begun: from line 1 on");
}

/* "imported 12.3 M pins, 4.60 GB in 1m05s, 190 k pins/s, 3 bad lines skipped" */
static void
summary_print(struct import *import, int64_t now_ns)
{
	int64_t elapsed_ns = now_ns - import->progress.begin_ns;
	double seconds = (double)(elapsed_ns > 0 ? elapsed_ns : 1) / 1e9;
	ZP_AUTO_BUF(text, 512);

	if (import->call->settings.is_quiet)
		return;
	zp_buf_printf(&text, "imported %" PRIu64 " pins, ", import->counts.imported);
	cli__format_bytes(import->bytes_sent, &text);
	zp_buf_append_text(&text, " in ");
	cli__format_elapsed(elapsed_ns, &text);
	zp_buf_append_text(&text, ", ");
	cli__format_count((uint64_t)((double)import->counts.imported / seconds), &text);
	zp_buf_append_text(&text, " pins/s");
	if (import->counts.skipped > 0)
		zp_buf_printf(&text, ", %" PRIu64 " bad lines skipped", import->counts.skipped);
	cli__note(import->call, "%.*s", (int)text.length, (const char *)text.data);
	if (import->lines_before > 0 && import->counts.line <= import->lines_before)
		cli__note(import->call,
		    "nothing was left of that import; without --resume all of it is read again");
}

/* ---- By the API ----------------------------------------------------------------------------- */

enum report_member {
	REPORT_LINES,
	REPORT_IMPORTED,
	REPORT_SKIPPED,
	REPORT_DONE,
	REPORT_BAD_LINE,
	REPORT_ERROR,
	REPORT_LINE,
	REPORT_ERROR_CODE,
};

/* The error of a member that says why; the node's own words. */
static const char *
why_of(struct import *import)
{
	struct zp_buf *why = &import->values[REPORT_ERROR];

	why->length = zp_min_u64(why->length, 1000);
	zp_buf_append_byte(why, '\0');
	return (const char *)why->data;
}

/* One object of the answer's stream; see cli.h. */
static int
report_line(void *context, struct zp_slice object, struct zp_err *err)
{
	static const char *const names[REPORT_MEMBERS] = {
	    "lines", "imported", "skipped", "done", "bad_line", "error", "line", "error_code"};
	struct import *import = context;
	struct zp_buf *values = import->values;
	struct zp_cli_counts counts = import->counts;
	int rc = cli__pick(object, names, values, REPORT_MEMBERS, err);

	if (rc < 0)
		return rc;
	if (values[REPORT_BAD_LINE].length > 0) {
		on_bad_line(import, cli__pick_count(&values[REPORT_BAD_LINE]), (struct zp_slice){0},
		    why_of(import));
		return 0;
	}
	if (values[REPORT_ERROR].length > 0) {
		import->has_ended = true;
		import->bad_line = cli__pick_count(&values[REPORT_LINE]);
		rc = cli__code_of_name(zp_buf_slice(&values[REPORT_ERROR_CODE]), ZP_E_INVALID);
		return zp_fail(err, rc, "%s", why_of(import));
	}
	counts.line = cli__pick_count(&values[REPORT_LINES]);
	counts.imported = cli__pick_count(&values[REPORT_IMPORTED]);
	counts.skipped = cli__pick_count(&values[REPORT_SKIPPED]);
	import->is_done = zp_slice_is(zp_buf_slice(&values[REPORT_DONE]), "true");
	import->has_ended = import->is_done;
	on_progress(import, &counts);
	return import->is_done && import->call->settings.is_json
		   ? cli__print_line(import->call, object, err)
		   : 0;
}

/* How far the node has a stream. */
static int
lines_done(void *context, const char *stream, uint64_t *lines_out, struct zp_err *err)
{
	static const char *const names[] = {"lines_done"};
	struct cli_call *call = context;
	struct zp_buf lines = ZP_BUF_INIT(64);
	ZP_AUTO_BUF(body, 4096);
	char path[64];
	int rc;

	snprintf(path, sizeof(path), "/import?origin=%s", stream);
	rc = cli__get(call, NULL, path, &body);
	while (body.length > 0 && body.data[body.length - 1] == '\n')
		body.length--;
	if (rc == 0)
		rc = cli__pick(zp_buf_slice(&body), names, &lines, 1, err);
	if (rc == 0)
		*lines_out = cli__pick_count(&lines);
	zp_buf_done(&lines);
	return rc;
}

/* The stream of this import, as query parameters. */
static int
stream_query(struct import *import, const struct zp_cli_import *job, struct zp_buf *url)
{
	struct cli_call *call = import->call;
	char stream[sizeof(job->stream)];
	char number[24];
	uint64_t lines;
	int rc;

	memcpy(stream, job->stream, sizeof(stream));
	rc = zp_cli_stream_choose(stream, job->resume, lines_done, call, &lines, &call->err);
	if (rc < 0 || stream[0] == '\0')
		return rc;
	cli__query_add(url, "origin", stream);
	if (!job->resume)
		return 0;
	snprintf(number, sizeof(number), "%" PRIu64, lines);
	cli__query_add(url, "lines_done", number);
	on_resume(import, lines);
	return 0;
}

static int
import_query(struct import *import, const struct zp_cli_import *job, struct zp_buf *url)
{
	static const char *const allocations[] = {
	    [ZP_CLI_ALLOCATIONS_KEEP] = "keep",
	    [ZP_CLI_ALLOCATIONS_DROP] = "drop",
	    [ZP_CLI_ALLOCATIONS_MAP] = "map",
	};

	zp_buf_append_text(url, "/import");
	cli__query_add(url, "allocations", allocations[job->allocations]);
	if (job->mode == ZP_CLI_IMPORT_REPLACE)
		cli__query_add(url, "replace", "true");
	if (job->skip_bad)
		cli__query_add(url, "skip_bad", "true");
	for (size_t i = 0; i < job->maps_count; i++) {
		const char *equals = strchr(job->maps[i], '=');
		struct zp_slice old = {
		    (const uint8_t *)job->maps[i], (size_t)(equals - job->maps[i])};

		zp_buf_append_text(url, "&map=");
		cli__url_encode(old, url);
		zp_buf_append_byte(url, ':');
		cli__url_encode(zp_slice_of(equals + 1), url);
	}
	return stream_query(import, job, url);
}

/* The node knows the number of the line that it refused; a file still has its text. */
static void
bad_line_show(struct import *import)
{
	ZP_AUTO_BUF(text, 2048);
	ZP_AUTO_BUF(shown, 8192);
	struct zp_err err = {0};

	if (import->bad_line == 0 || strcmp(import->call->parsed->arguments[0], "-") == 0 ||
	    cli__input_line(import->call->parsed->arguments[0], import->bad_line, &text, &err) < 0)
		return;
	cli__progress_clear(&import->progress);
	cli__text_fit(zp_buf_slice(&text), 200, &shown);
	cli__note(import->call, "line %" PRIu64 " is: %.*s", import->bad_line, (int)shown.length,
	    (const char *)shown.data);
}

static int
import_online(struct import *import, const struct zp_cli_import *job)
{
	struct cli_call *call = import->call;
	ZP_AUTO_BUF(url, CLI_URL_BYTES_MAX);
	struct cli_lines lines;
	struct cli_request request = {
	    .method = "POST",
	    .sink = cli__lines_add,
	    .sink_context = &lines,
	    .source = input_read,
	    .source_context = import,
	    .is_patient = true,
	};
	int rc = import_query(import, job, &url);

	cli__lines_init(&lines, report_line, import);
	if (rc == 0)
		rc = cli__url_end(&url, &call->err);
	request.path = (const char *)url.data;
	if (rc == 0)
		rc = cli__request(call, &request);
	if (rc == 0)
		rc = cli__lines_end(&lines, &call->err);
	if (rc == 0 && !import->is_done)
		rc = zp_fail(&call->err, ZP_E_IO,
		    "the node did not say that the import is done; %" PRIu64
		    " pins are in for certain",
		    import->counts.imported);
	cli__lines_done(&lines);
	if (rc == ZP_E_INVALID || rc == ZP_E_TOO_LARGE) /* or else the line is not to blame */
		bad_line_show(import);
	return rc;
}

/* ---- In this process ------------------------------------------------------------------------ */

static int
import_offline(struct import *import, const struct zp_cli_import *job)
{
	struct cli_call *call = import->call;
	struct zp_cli_counts counts = {0};
	int rc;

	if (call->ops->import == NULL)
		return zp_fail(&call->err, ZP_E_UNSUPPORTED, "--offline: not in this build");
	rc = call->ops->import(call->settings.config_path, job, &counts, &call->err);
	import->counts = counts;
	import->counts.bytes = import->bytes_sent;
	if (rc == 0 && call->settings.is_json)
		fprintf(call->out,
		    "{\"done\":true,\"lines\":%" PRIu64 ",\"imported\":%" PRIu64
		    ",\"skipped\":%" PRIu64 ",\"bytes\":%" PRIu64 "}\n",
		    counts.line, counts.imported, counts.skipped, counts.bytes);
	return rc;
}

/* ---- The command ---------------------------------------------------------------------------- */

static struct zp_slice
without_blanks(struct zp_slice text)
{
	while (text.length > 0 && strchr(" \t\r\n", text.data[0]) != NULL && text.data[0] != '\0') {
		text.data++;
		text.length--;
	}
	return text;
}

static const char *
value_or(const struct cli_parsed *parsed, const char *name, const char *otherwise)
{
	const char *value = cli__value(parsed, name);

	return value == NULL ? otherwise : value;
}

/* The options as a job; `maps` has room for CLI_OPTIONS_MAX. */
static int
job_of_options(struct import *import, const char **maps, struct zp_cli_import *job)
{
	const struct cli_parsed *parsed = import->call->parsed;
	const char *allocations = value_or(parsed, "allocations", "keep");
	struct zp_err *err = &import->call->err;

	*job = (struct zp_cli_import){
	    .mode = strcmp(value_or(parsed, "mode", "merge"), "replace") == 0
			? ZP_CLI_IMPORT_REPLACE
			: ZP_CLI_IMPORT_MERGE,
	    .allocations = strcmp(allocations, "drop") == 0  ? ZP_CLI_ALLOCATIONS_DROP
			   : strcmp(allocations, "map") == 0 ? ZP_CLI_ALLOCATIONS_MAP
							     : ZP_CLI_ALLOCATIONS_KEEP,
	    .maps = maps,
	    .skip_bad = cli__has(parsed, "skip-bad"),
	    .resume = cli__has(parsed, "resume"),
	    .read = input_read,
	    .progress = on_progress,
	    .bad_line = on_bad_line,
	    .resumed = on_resume,
	    .context = import,
	};
	for (size_t i = 0; i < parsed->given_count; i++) {
		if (strcmp(parsed->given[i].option->name, "map") == 0)
			maps[job->maps_count++] = parsed->given[i].value;
	}
	if ((job->allocations == ZP_CLI_ALLOCATIONS_MAP) != (job->maps_count > 0))
		return zp_fail(err, ZP_E_INVALID,
		    "zpin import: --allocations map and --map OLD=NEW go together");
	return 0;
}

/* A stream is the same only with the same input and the same options. */
static void
stream_name(const char *input_name, struct zp_cli_import *job)
{
	ZP_AUTO_BUF(facts, CLI_URL_BYTES_MAX);
	struct zp_hash128 hash;

	zp_buf_printf(&facts, "%s %d %d %d", input_name, (int)job->mode, (int)job->allocations,
	    job->skip_bad);
	for (size_t i = 0; i < job->maps_count; i++)
		zp_buf_printf(&facts, " %s", job->maps[i]);
	hash = zp_hash128_of(facts.data, facts.length);
	snprintf(job->stream, sizeof(job->stream), "%016" PRIx64 "%012" PRIx64 "0000", hash.high,
	    hash.low >> 16);
}

/* What the input itself says: its form, its name, and that it isn't empty. */
static int
job_of_input(struct import *import, struct zp_cli_import *job)
{
	struct zp_err *err = &import->call->err;
	struct zp_slice head;
	char name[33];
	bool is_file;
	int rc = cli__input_peek(import->input, &head, err);

	if (rc == 0)
		rc = cli__input_name(import->input, name, &is_file, err);
	if (rc < 0)
		return rc;
	if (is_file)
		stream_name(name, job);
	head = without_blanks(head);
	if (job->mode == ZP_CLI_IMPORT_REPLACE && head.length == 0)
		return zp_fail(err, ZP_E_INVALID,
		    "the input is empty, and --mode replace would remove every pin");
	if (job->resume && !is_file)
		return zp_fail(err, ZP_E_INVALID,
		    "--resume needs a file; standard input can't be known again");
	job->is_cids =
	    cli__has(import->call->parsed, "from-cids") || (head.length > 0 && head.data[0] != '{');
	return 0;
}

/* After a failure that is not the input's: the same import can go on. */
static void
resume_tell(struct import *import, const struct zp_cli_import *job, int rc)
{
	ZP_AUTO_BUF(text, CLI_COMMAND_BYTES_MAX);
	ZP_AUTO_BUF(shown, CLI_COMMAND_BYTES_MAX);

	if ((rc != ZP_E_IO && !zp_err_is_retryable(rc)) || import->bytes_sent == 0)
		return;
	if (job->stream[0] == '\0')
		return; /* the summary says how much is in, and all of it can be given again */
	cli__resume_command(import->call->parsed, &text);
	cli__text_fit(zp_buf_slice(&text), 0, &shown);
	/* Not a note, which is cut where it is long. */
	fprintf(import->call->notes,
	    "zpin: what was imported stays. When this is mended, go on with: %.*s\n",
	    (int)shown.length, (const char *)shown.data);
}

/* What was there is gone when the first line is taken, however the import ends. */
static void
replace_tell(struct import *import, const struct zp_cli_import *job)
{
	if (job->mode == ZP_CLI_IMPORT_REPLACE && import->bytes_sent > 0)
		cli__note(import->call, "--mode replace removes every pin before the first line: "
					"look with `zpin pin ls` "
					"what is there now");
}

int
cli__cmd_import(struct cli_call *call)
{
	const char *maps[CLI_OPTIONS_MAX];
	struct import import = {.call = call};
	struct zp_cli_import job;
	int rc;

	rc = job_of_options(&import, maps, &job);
	if (rc == 0)
		rc = cli__input_open(call->parsed->arguments[0], &import.input, &call->err);
	if (rc == 0)
		rc = job_of_input(&import, &job);
	if (rc < 0) {
		cli__input_close(import.input);
		return rc;
	}
	for (size_t i = 0; i < REPORT_MEMBERS; i++)
		zp_buf_init(&import.values[i], CLI_LINE_BYTES_MAX);
	cli__progress_begin(&import.progress, call->notes, call->settings.is_quiet, cli__now_ns());
	cli__resume_begin(call->parsed, job.stream[0] != '\0');
	if (cli__has(call->parsed, "offline"))
		rc = import_offline(&import, &job);
	else
		rc = import_online(&import, &job);
	cli__resume_end();
	cli__progress_clear(&import.progress);
	if (rc < 0) {
		replace_tell(&import, &job);
		resume_tell(&import, &job, rc);
	}
	if (rc == 0 || import.counts.imported > 0)
		summary_print(&import, cli__now_ns());
	for (size_t i = 0; i < REPORT_MEMBERS; i++)
		zp_buf_done(&import.values[i]);
	cli__input_close(import.input);
	return rc;
}
