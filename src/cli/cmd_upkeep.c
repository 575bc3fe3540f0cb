/*
 * cmd_upkeep.c - long work on a whole node: verify, repair, checkpoint, seal, snapshot, peers map;
 * cmd_snapshot.c has what is done with snapshots later.
 *
 * Flow: POST to the management address, which answers when the work is done; meanwhile a terminal
 * shows for how long. `verify --offline` reads the data of a stopped node in this process.
 */
#include "cli/cli_internal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/json.h"

#define SECOND_NS INT64_C(1000000000)
#define ANSWER_BYTES_MAX CLI_ERROR_BODY_BYTES_MAX

/* ---- Waiting -------------------------------------------------------------------------------- */

/* "verifying, 12s" on a terminal, drawn over itself. */
struct waiting {
	struct cli_progress progress; /* where and since when */
	const char *what;
	uint64_t done, all; /* bytes; 0: not known */
};

static void
waiting_tick(void *context)
{
	struct waiting *waiting = context;
	struct cli_progress *progress = &waiting->progress;
	int64_t now_ns = cli__now_ns();
	ZP_AUTO_BUF(text, 128);

	if (!progress->is_terminal || now_ns - progress->shown_ns < SECOND_NS / 2)
		return;
	progress->shown_ns = now_ns;
	cli__format_seconds((now_ns - progress->begin_ns) / SECOND_NS, &text);
	if (waiting->all > 0)
		zp_buf_printf(&text, ", %" PRIu64 "%%", waiting->done * 100 / waiting->all);
	fprintf(progress->notes, "\r\033[K%s, %.*s", waiting->what, (int)text.length,
	    (const char *)text.data);
	fflush(progress->notes);
}

static void
waiting_begin(struct waiting *waiting, struct cli_call *call, const char *what)
{
	*waiting = (struct waiting){.what = what};
	cli__progress_begin(
	    &waiting->progress, call->notes, call->settings.is_quiet, cli__now_ns());
	waiting->progress.shown_ns -= SECOND_NS; /* so that the first tick draws */
	waiting_tick(waiting);
}

/* ---- Asking --------------------------------------------------------------------------------- */

int
cli__manage(struct cli_call *call, const char *method, const char *path, const char *what,
    struct zp_buf *body)
{
	struct waiting waiting;
	struct cli_request request = {
	    .base = call->settings.management,
	    .method = method,
	    .path = path,
	    .sink = cli__body_sink,
	    .sink_context = body,
	    .is_patient = true,
	    .error_body = body,
	    .tick = waiting_tick,
	    .tick_context = &waiting,
	};
	int rc;

	if (request.base == NULL)
		return zp_fail(
		    &call->err, ZP_E_INVALID, "a node elsewhere needs --management URL for this");
	waiting_begin(&waiting, call, what);
	rc = cli__request(call, &request);
	cli__progress_clear(&waiting.progress);
	while (body->length > 0 && body->data[body->length - 1] == '\n')
		body->length--;
	return rc;
}

int
cli__manage_print(struct cli_call *call, const struct zp_buf *body, const char *verb,
    const char *first, const char *join, const char *second)
{
	const char *names[] = {first, second};
	struct zp_buf values[] = {ZP_BUF_INIT(CLI_LINE_BYTES_MAX), ZP_BUF_INIT(CLI_LINE_BYTES_MAX)};
	ZP_AUTO_BUF(text, CLI_LINE_BYTES_MAX);
	ZP_AUTO_BUF(shown, CLI_LINE_BYTES_MAX);
	int rc;

	if (call->settings.is_json)
		return cli__print_line(call, zp_buf_slice(body), &call->err);
	if (call->settings.is_quiet)
		return 0;
	rc = cli__pick(zp_buf_slice(body), names, values, second == NULL ? 1 : 2, &call->err);
	zp_buf_append_text(&text, verb);
	zp_buf_append_slice(&text, zp_buf_slice(&values[0]));
	zp_buf_append_text(&text, join);
	zp_buf_append_slice(&text, zp_buf_slice(&values[1]));
	cli__text_fit(zp_buf_slice(&text), 0, &shown);
	zp_buf_done(&values[0]);
	zp_buf_done(&values[1]);
	return rc < 0 ? rc : cli__print_line(call, zp_buf_slice(&shown), &call->err);
}

int
cli__cmd_checkpoint(struct cli_call *call)
{
	ZP_AUTO_BUF(body, ANSWER_BYTES_MAX);
	int rc = cli__manage(call, "POST", "/checkpoint", "writing a checkpoint", &body);

	return rc < 0 ? rc
		      : cli__manage_print(call, &body, "checkpoint ", "checkpoint_number",
			    " at journal position ", "checkpoint_batch");
}

int
cli__cmd_seal(struct cli_call *call)
{
	ZP_AUTO_BUF(body, ANSWER_BYTES_MAX);
	int rc = cli__manage(call, "POST", "/seal", "merging every shard to one run", &body);

	return rc < 0 ? rc
		      : cli__manage_print(
			    call, &body, "runs ", "runs", ", bytes of memory ", "resident_bytes");
}

int
cli__cmd_snapshot(struct cli_call *call)
{
	ZP_AUTO_BUF(url, CLI_URL_BYTES_MAX);
	ZP_AUTO_BUF(body, ANSWER_BYTES_MAX);
	int rc;

	zp_buf_append_text(&url, "/snapshot");
	cli__query_add(&url, "name", call->parsed->arguments[0]);
	rc = cli__url_end(&url, &call->err);
	if (rc == 0)
		rc = cli__manage(call, "POST", (const char *)url.data, "making a snapshot", &body);
	if (rc == 0)
		rc = cli__manage_print(call, &body, "made snapshot ", "snapshot", "", NULL);
	return rc < 0 ? rc
		      : cli__damage_judge(call, zp_buf_slice(&body),
			    "the snapshot is made, and has what is damaged here");
}

int
cli__cmd_peers_map(struct cli_call *call)
{
	const char *pair = call->parsed->arguments[0];
	const char *equals = strchr(pair, '=');
	ZP_AUTO_BUF(url, CLI_URL_BYTES_MAX);
	ZP_AUTO_BUF(from, CLI_URL_BYTES_MAX);
	ZP_AUTO_BUF(body, ANSWER_BYTES_MAX);
	int rc;

	if (equals == NULL || equals == pair || equals[1] == '\0')
		return zp_fail(
		    &call->err, ZP_E_INVALID, "zpin peers map: \"%s\" is not OLD=NEW", pair);
	zp_buf_append(&from, pair, (size_t)(equals - pair));
	rc = cli__url_end(&from, &call->err);
	if (rc < 0)
		return rc;
	zp_buf_append_text(&url, "/peers/move");
	cli__query_add(&url, "from", (const char *)from.data);
	cli__query_add(&url, "to", equals + 1);
	rc = cli__url_end(&url, &call->err);
	if (rc == 0)
		rc = cli__manage(call, "POST", (const char *)url.data, "moving a peer", &body);
	return rc < 0 ? rc : cli__manage_print(call, &body, "", "from", " reads as ", "to");
}

/* ---- Verify --------------------------------------------------------------------------------- */

int
cli__damage_line(struct cli_call *call, struct zp_slice text)
{
	ZP_AUTO_BUF(shown, CLI_LINE_BYTES_MAX);

	zp_buf_append_text(&shown, "damaged: ");
	cli__text_fit(text, 0, &shown);
	return cli__print_line(call, zp_buf_slice(&shown), NULL);
}

static int
verified_print(struct cli_call *call, const struct zp_cli_verify *verify)
{
	ZP_AUTO_BUF(text, 256);

	if (call->settings.is_quiet)
		return 0;
	zp_buf_printf(
	    &text, "%" PRIu64 " pins in %" PRIu64 " files, ", verify->pins, verify->segments);
	if (verify->journal_records > 0)
		zp_buf_printf(
		    &text, "%" PRIu64 " writes in the journal alone, ", verify->journal_records);
	zp_buf_printf(&text, "%" PRIu64 " rows, ", verify->rows);
	if (verify->entries > 0)
		zp_buf_printf(&text, "%" PRIu64 " entries of times recounted, ", verify->entries);
	if (verify->counters_set > 0)
		zp_buf_printf(&text, "%" PRIu64 " counters set right, ", verify->counters_set);
	cli__format_bytes(verify->bytes, &text);
	zp_buf_append_text(&text, " read, no damage");
	return cli__print_line(call, zp_buf_slice(&text), &call->err);
}

/* One of the damages in the node's answer. */
static int
each_damage(void *context, struct zp_slice name, struct zp_slice value, struct zp_err *err)
{
	static const char *const names[] = {"text"};
	struct zp_buf text = ZP_BUF_INIT(CLI_LINE_BYTES_MAX);
	ZP_AUTO_BUF(object, CLI_LINE_BYTES_MAX);
	int rc;

	(void)name;
	zp_buf_append_text(&object, "{\"text\":"); /* cli__pick unescapes members only */
	zp_buf_append_slice(&object, value);
	zp_buf_append_byte(&object, '}');
	rc = cli__pick(zp_buf_slice(&object), names, &text, 1, err);
	if (rc == 0)
		rc = cli__damage_line(context, zp_buf_slice(&text));
	zp_buf_done(&text);
	return rc;
}

static int
each_damage_member(void *context, struct zp_slice name, struct zp_slice value, struct zp_err *err)
{
	return zp_slice_is(name, "damages") ? cli__each(value, each_damage, context, err) : 0;
}

int
cli__damage_judge(struct cli_call *call, struct zp_slice object, const char *what)
{
	static const char *const names[] = {
	    "damaged_blocks", "damaged_segments", "suspended_shards", "hanging_calls"};
	struct zp_buf values[] = {
	    ZP_BUF_INIT(64), ZP_BUF_INIT(64), ZP_BUF_INIT(64), ZP_BUF_INIT(64)};
	uint64_t counts[ZP_ARRAY_COUNT(names)];
	int rc = cli__pick(object, names, values, ZP_ARRAY_COUNT(names), &call->err);

	for (size_t i = 0; i < ZP_ARRAY_COUNT(names); i++) {
		counts[i] = cli__pick_count(&values[i]);
		zp_buf_done(&values[i]);
	}
	if (rc < 0 || counts[0] + counts[1] + counts[3] == 0)
		return rc;
	if (!call->settings.is_json)
		rc = cli__each(object, each_damage_member, call, &call->err);
	if (rc == 0 && counts[0] + counts[1] == 0)
		return zp_fail(&call->err, ZP_E_CORRUPT,
		    "%s: the disk does not answer, in %" PRIu64 " calls", what, counts[3]);
	return rc < 0 ? rc
		      : zp_fail(&call->err, ZP_E_CORRUPT,
			    "%s: %" PRIu64 " damaged places are known, of these %" PRIu64
			    " shards that are suspended and %" PRIu64
			    " files that could not be opened; `zpin verify` names them all",
			    what, counts[0], counts[2], counts[1]);
}

static int
verify_online(struct cli_call *call)
{
	static const char *const names[] = {
	    "pins", "segments", "rows", "bytes", "entries", "counters_set"};
	struct zp_buf values[ZP_ARRAY_COUNT(names)];
	struct zp_cli_verify verify = {0};
	ZP_AUTO_BUF(body, ANSWER_BYTES_MAX);
	bool deep = cli__has(call->parsed, "deep");
	int rc =
	    cli__manage(call, "POST", deep ? "/verify?deep=true" : "/verify", "verifying", &body);
	int rc_print = 0;

	if (rc < 0 && body.length == 0)
		return rc;
	if (call->settings.is_json) {
		rc_print = cli__print_line(call, zp_buf_slice(&body), NULL);
		return rc < 0 ? rc : rc_print;
	}
	/* What can't be read of a failure's body adds nothing to the failure. */
	if (rc < 0) {
		zp_ignore(cli__each(zp_buf_slice(&body), each_damage_member, call, NULL));
		return rc;
	}
	for (size_t i = 0; i < ZP_ARRAY_COUNT(names); i++)
		zp_buf_init(&values[i], CLI_LINE_BYTES_MAX);
	rc = cli__pick(zp_buf_slice(&body), names, values, ZP_ARRAY_COUNT(names), &call->err);
	verify.pins = cli__pick_count(&values[0]);
	verify.segments = cli__pick_count(&values[1]);
	verify.rows = cli__pick_count(&values[2]);
	verify.bytes = cli__pick_count(&values[3]);
	verify.entries = cli__pick_count(&values[4]);
	verify.counters_set = cli__pick_count(&values[5]);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(names); i++)
		zp_buf_done(&values[i]);
	return rc < 0 ? rc : verified_print(call, &verify);
}

/* The damages of an offline verify, as lines or as the items of an array. */
struct offline {
	struct cli_call *call;
	struct waiting waiting;
	struct zp_buf json;
};

static void
on_damage(void *context, const char *text)
{
	struct offline *offline = context;

	if (!offline->call->settings.is_json) {
		zp_ignore(
		    cli__damage_line(offline->call, zp_slice_of(text))); /* the end looks at out */
		return;
	}
	zp_json_put_comma(&offline->json);
	zp_json_put_text(&offline->json, text);
}

static void
on_progress(void *context, uint64_t bytes, uint64_t bytes_all)
{
	struct offline *offline = context;

	offline->waiting.done = bytes;
	offline->waiting.all = bytes_all;
	waiting_tick(&offline->waiting);
}

/* The members of the node's answer, and what that has none of: it writes a checkpoint first. */
static int
offline_json(struct offline *offline, const struct zp_cli_verify *verify)
{
	struct zp_buf *json = &offline->json;
	int rc;

	zp_buf_printf(json,
	    "],\"damage_count\":%" PRIu64 ",\"segments\":%" PRIu64 ",\"rows\":%" PRIu64
	    ",\"bytes\":%" PRIu64 ",\"pins\":%" PRIu64 ",\"entries\":%" PRIu64
	    ",\"journal_records\":%" PRIu64 "}",
	    verify->damages, verify->segments, verify->rows, verify->bytes, verify->pins,
	    verify->entries, verify->journal_records);
	rc = zp_buf_check(json, "the damages", NULL);
	return rc < 0 ? rc : cli__print_line(offline->call, zp_buf_slice(json), NULL);
}

static int
verify_offline(struct cli_call *call)
{
	struct offline offline = {.call = call, .json = ZP_BUF_INIT(64u << 20)};
	struct zp_cli_verify verify = {.deep = cli__has(call->parsed, "deep"),
	    .damage = on_damage,
	    .progress = on_progress,
	    .context = &offline};
	int rc;
	int rc_print = 0;

	verify.as_of = cli__value(call->parsed, "as-of");
	if (call->ops->verify == NULL)
		return zp_fail(&call->err, ZP_E_UNSUPPORTED, "--offline: not in this build");
	zp_buf_append_text(&offline.json, "{\"damages\":[");
	waiting_begin(&offline.waiting, call, "verifying");
	rc = call->ops->verify(call->settings.config_path, &verify, &call->err);
	cli__progress_clear(&offline.waiting.progress);
	if (call->settings.is_json && (rc == 0 || rc == ZP_E_CORRUPT))
		rc_print = offline_json(&offline, &verify);
	else if (rc == 0)
		rc_print = verified_print(call, &verify);
	zp_buf_done(&offline.json);
	return rc < 0 ? rc : rc_print;
}

int
cli__cmd_verify(struct cli_call *call)
{
	if (cli__has(call->parsed, "offline"))
		return verify_offline(call);
	if (cli__has(call->parsed, "as-of"))
		return zp_fail(&call->err, ZP_E_INVALID,
		    "zpin verify: --as-of goes with --offline; a snapshot is read beside its "
		    "running "
		    "node");
	return verify_online(call);
}

/* ---- Repair ---------------------------------------------------------------------------------- */

static void
repair_shards_json(struct zp_buf *json, const struct zp_cli_repair *repair)
{
	zp_buf_printf(json, ",\"suspended_shards\":%" PRIu32 ",\"given_up\":%s,\"shards\":[",
	    repair->suspended, repair->is_given_up ? "true" : "false");
	for (size_t i = 0; i < repair->give_up_count; i++) {
		const struct zp_cli_repair_shard *shard = &repair->shards[i];

		zp_buf_printf(json,
		    "%s{\"shard\":\"%016" PRIx64 "\",\"suspended\":", i > 0 ? "," : "", shard->id);
		zp_json_put_text(json, shard->why);
		zp_buf_append_text(json, ",\"pins\":");
		if (shard->has_count)
			zp_buf_printf(json, "%" PRIu64, shard->pins);
		else
			zp_buf_append_text(json, "null");
		zp_buf_printf(json, ",\"journal_records\":%" PRIu64 ",\"pins_left\":%" PRIu64 "}",
		    shard->journal_records, shard->pins_left);
	}
	zp_buf_append_byte(json, ']');
}

static int
repair_json(struct cli_call *call, const struct zp_cli_repair *repair)
{
	ZP_AUTO_BUF(json, CLI_LINE_BYTES_MAX);

	zp_buf_append_text(&json, "{\"damage\":");
	if (repair->damage[0] == '\0')
		zp_buf_append_text(&json, "null");
	else
		zp_json_put_text(&json, repair->damage);
	zp_buf_printf(&json,
	    ",\"whole_batches\":%" PRIu64 ",\"missing_batches\":%" PRIu64
	    ",\"repaired\":%s,\"records\":%" PRIu64 ",\"lost_lists\":%" PRIu64 ",\"kept_in\":",
	    repair->batches, repair->missing, repair->is_repaired ? "true" : "false",
	    repair->records, repair->lost_lists);
	zp_json_put_text(&json, repair->kept_in);
	repair_shards_json(&json, repair);
	zp_buf_append_byte(&json, '}');
	return cli__print_line(call, zp_buf_slice(&json), &call->err);
}

static void
repair_journal_print(struct zp_buf *text, const struct zp_cli_repair *repair)
{
	if (repair->damage[0] == '\0') {
		zp_buf_append_text(text, "the journal is fine");
		return;
	}
	zp_buf_printf(text,
	    "damage: %s\njournal: %" PRIu64 " batches are whole, %" PRIu64
	    " are known to be missing",
	    repair->damage, repair->batches, repair->missing);
	if (repair->is_repaired)
		zp_buf_printf(text,
		    "\nrepaired: %" PRIu64 " records went into the shards, a new journal begins",
		    repair->records);
	if (repair->lost_lists > 0)
		zp_buf_printf(text,
		    "\n%" PRIu64 " lists of allocations are lost, a peer that nobody has stands in "
		    "for each: see `zpin peers map`",
		    repair->lost_lists);
	if (repair->kept_in[0] != '\0')
		zp_buf_printf(text, "\nthe old files are in %s", repair->kept_in);
}

static void
repair_shard_print(struct zp_buf *text, const struct zp_cli_repair *repair,
    const struct zp_cli_repair_shard *shard)
{
	zp_buf_printf(text,
	    "\nshard %016" PRIx64 ": %s\n  pins whose digest begins with %s: ", shard->id,
	    shard->why, shard->keys);
	if (shard->has_count)
		zp_buf_printf(text, "%" PRIu64 " at the last checkpoint", shard->pins);
	else
		zp_buf_append_text(text, "how many is not known");
	if (repair->damage[0] == '\0')
		zp_buf_printf(text, "\n  the journal still has %" PRIu64 " records of it",
		    shard->journal_records);
	if (repair->is_given_up)
		zp_buf_printf(text,
		    "\n  given up: %" PRIu64
		    " pins came back from the journal; the old files are in "
		    "its folder, as *.given-up-*",
		    shard->pins_left);
}

static int
repair_print(struct cli_call *call, const struct zp_cli_repair *repair)
{
	ZP_AUTO_BUF(text, CLI_LINE_BYTES_MAX);

	if (call->settings.is_json)
		return repair_json(call, repair);
	repair_journal_print(&text, repair);
	for (size_t i = 0; i < repair->give_up_count; i++)
		repair_shard_print(&text, repair, &repair->shards[i]);
	if (repair->give_up_count == 0 && repair->suspended > 0)
		zp_buf_printf(&text,
		    "\n%" PRIu32 " shards are suspended, the first: %s\nmount or restore it; when "
		    "there is no copy of it anywhere: zpin repair --give-up-shard %016" PRIx64,
		    repair->suspended, repair->suspended_why, repair->suspended_first);
	else if (repair->damage[0] == '\0' && repair->give_up_count == 0)
		zp_buf_append_text(&text, ", nothing was done");
	return cli__print_line(call, zp_buf_slice(&text), &call->err);
}

/* "00c0ffee00c0ffee", as folders and messages have it. */
static int
shard_id_parse(const char *text, uint64_t *id_out, struct zp_err *err)
{
	if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
		return zp_fail(err, ZP_E_INVALID,
		    "zpin repair: --give-up-shard %s: a shard has 16 hex digits, as its folder",
		    text);
	*id_out = strtoull(text, NULL, 16);
	return 0;
}

/* What was asked for and not done, or what there is to do: exit status 4. */
static int
repair_judge(struct cli_call *call, const struct zp_cli_repair *repair)
{
	if (repair->give_up_count > 0 && !repair->is_given_up)
		return zp_fail(&call->err, ZP_E_CORRUPT,
		    "nothing was changed: mount or restore the shard, or go on without what is in "
		    "it: --accept-loss");
	if (repair->damage[0] != '\0' && !repair->is_repaired)
		return zp_fail(&call->err, ZP_E_CORRUPT,
		    "nothing was changed: restore the file from a copy, or go on without what is "
		    "lost: zpin repair --accept-loss");
	if (repair->give_up_count == 0 && repair->suspended > 0)
		return zp_fail(&call->err, ZP_E_CORRUPT, "%" PRIu32 " shards are suspended",
		    repair->suspended);
	return 0;
}

int
cli__cmd_repair(struct cli_call *call)
{
	struct zp_cli_repair_shard *shards = zp_alloc_zero(CLI_OPTIONS_MAX, sizeof(*shards));
	struct zp_cli_repair repair = {
	    .accept_loss = cli__has(call->parsed, "accept-loss"), .shards = shards};
	uint64_t ids[CLI_OPTIONS_MAX];
	int rc = 0;

	repair.give_up = ids;
	for (size_t i = 0; rc == 0 && i < call->parsed->given_count; i++) {
		const struct cli_given *given = &call->parsed->given[i];

		if (strcmp(given->option->name, "give-up-shard") == 0)
			rc = shard_id_parse(given->value, &ids[repair.give_up_count++], &call->err);
	}
	if (rc == 0 && call->ops->repair == NULL)
		rc = zp_fail(&call->err, ZP_E_UNSUPPORTED, "repair: not in this build");
	if (rc == 0)
		rc = call->ops->repair(call->settings.config_path, &repair, &call->err);
	if (rc == 0)
		rc = repair_print(call, &repair);
	zp_free(shards);
	return rc < 0 ? rc : repair_judge(call, &repair);
}
