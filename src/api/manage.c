/*
 * manage.c - what only the operator sees and does: info, health, scrub, metrics, and the way to
 * snapshots.c and manage_jobs.c.
 *
 * Flow:    management listener → sign-in as for the REST API → here, or on to the REST API.
 * Threads: workers answer.
 */
#include <stdio.h>

#include "api/api_internal.h"
#include "api/manage_internal.h"
#include "api/metrics_page.h"

#define ANSWER_BYTES_MAX API_MANAGE_BYTES_MAX
#define SCRUB_RATE_MAX (UINT64_C(1) << 40)

void
api__manage_answer(struct zp_http_request *request, unsigned status, struct zp_buf *body)
{
	zp_buf_append_byte(body, '\n');
	zp_http_answer_header_text(request, "Content-Type", "application/json");
	if (status == 503)
		zp_http_answer_header_text(request, "Retry-After", "1");
	zp_http_answer(request, status, zp_buf_slice(body));
}

static void
answer_error(struct zp_http_request *request, unsigned status, const char *text)
{
	ZP_AUTO_BUF(body, ANSWER_BYTES_MAX);

	zp_buf_printf(&body, "{\"code\":%u,\"message\":", status);
	zp_json_put_text(&body, text);
	zp_buf_append_byte(&body, '}');
	api__manage_answer(request, status, &body);
}

void
api__manage_failure(struct zp_http_request *request, int code, const char *text)
{
	api__note_error(request, text);
	zp_http_answer_header_text(request, API_ERROR_HEADER, zp_err_name(code));
	answer_error(request, (unsigned)zp_err_http_status(code), text);
}

/* ---- Info ------------------------------------------------------------------------------------ */

void
api__put_u64(struct zp_buf *body, const char *name, uint64_t value)
{
	zp_json_put_name(body, name);
	zp_buf_append_decimal_u64(body, value);
}

void
api__put_text(struct zp_buf *body, const char *name, const char *value)
{
	zp_json_put_name(body, name);
	zp_json_put_text(body, value);
}

void
api__put_time(struct zp_buf *body, const char *name, int64_t microseconds)
{
	zp_json_put_name(body, name);
	zp_buf_append_byte(body, '"');
	zp_time_format(microseconds / 1000000, (uint32_t)(microseconds % 1000000) * 1000, body);
	zp_buf_append_byte(body, '"');
}

void
api__put_pinset(struct zp_buf *body, const struct zp_node_facts *facts)
{
	uint64_t pins = 0;

	for (unsigned type = 0; type < ZP_PIN_TYPE_COUNT; type++)
		pins += facts->engines.pins[type];
	api__put_u64(body, "pins", pins);
	api__put_u64(body, "size_bytes", facts->engines.size_bytes);
	api__put_u64(body, "shards", facts->shards);
	api__put_u64(body, "suspended_shards", facts->suspended_shards);
	api__put_u64(body, "runs", facts->engines.runs);
	api__put_u64(body, "segments", facts->engines.segments);
	api__put_u64(body, "damaged_segments", facts->engines.damaged_segments);
	api__put_u64(body, "damaged_blocks", facts->damages);
	api__put_u64(body, "disk_bytes", facts->engines.disk_bytes);
	api__put_u64(body, "time_bytes", facts->engines.time_bytes);
	api__put_u64(body, "resident_bytes", facts->engines.resident_bytes);
	api__put_u64(body, "checkpoint_number", facts->checkpoint_number);
	api__put_u64(body, "checkpoint_batch", facts->checkpoint_batch);
}

static void
info_answer(struct zp_manage *manage, struct zp_http_request *request)
{
	ZP_AUTO_BUF(body, ANSWER_BYTES_MAX);
	struct zp_node_facts facts;
	struct zp_slice as_of;

	if (zp_http_query_get(request, "as_of", &as_of)) {
		api__moment_info(manage->options.node, request);
		return;
	}
	zp_node_facts_get(manage->options.node, &facts);
	zp_buf_append_byte(&body, '{');
	api__put_text(&body, "root", manage->options.root);
	api__put_text(&body, "version", manage->options.version);
	api__put_pinset(&body, &facts);
	zp_json_put_name(&body, "checkpoint_time");
	zp_buf_append_byte(&body, '"');
	zp_time_format(facts.checkpoint_time_microseconds / 1000000, 0, &body);
	zp_buf_append_byte(&body, '"');
	api__put_u64(&body, "journal_bytes", facts.journal.bytes);
	api__put_u64(&body, "memtable_bytes", facts.engines.memtable_bytes);
	api__put_u64(&body, "last_batch", facts.journal.last_batch);
	api__put_u64(&body, "replayed_records", facts.replayed_records);
	zp_json_put_name(&body, "read_only");
	zp_json_put_bool(&body, facts.read_only);
	zp_json_put_name(&body, "broken");
	if (facts.is_broken)
		zp_json_put_text(&body, facts.broken_text);
	else
		zp_buf_append_text(&body, "null");
	zp_buf_append_byte(&body, '}');
	api__manage_answer(request, 200, &body);
}

bool
manage__is_damaged(const struct zp_node_facts *facts)
{
	return facts->damages > 0 || facts->engines.damaged_segments > 0 ||
	       facts->hanging_calls > 0;
}

static void
hang_text(const struct zp_node_facts *facts, const char *before, char text[ZP_ERR_TEXT_BYTES])
{
	snprintf(text, ZP_ERR_TEXT_BYTES, "%sthe disk does not answer: %.400s hangs for %llu s",
	    before, facts->hang_text, (unsigned long long)facts->hang_seconds);
}

/* The damage that is known, as members of an object: how much, of that how much is whole shards and
 * files, and the first places. */
void
manage__put_damage(struct zp_manage *manage, const struct zp_node_facts *facts, struct zp_buf *body)
{
	char texts[ZP_NODE_DAMAGES_MAX][ZP_ERR_TEXT_BYTES];
	uint32_t count = zp_node_damages_get(manage->options.node, texts);

	api__put_u64(body, "damaged_blocks", facts->damages);
	api__put_u64(body, "damaged_segments", facts->engines.damaged_segments);
	api__put_u64(body, "suspended_shards", facts->suspended_shards);
	api__put_u64(body, "hanging_calls", facts->hanging_calls);
	zp_json_put_name(body, "damages");
	zp_buf_append_byte(body, '[');
	if (facts->hanging_calls > 0) {
		char text[ZP_ERR_TEXT_BYTES];

		hang_text(facts, "", text);
		zp_json_put_text(body, text);
	}
	for (uint32_t i = 0; i < count; i++) {
		zp_json_put_comma(body);
		zp_json_put_text(body, texts[i]);
	}
	zp_buf_append_byte(body, ']');
}

/* The node serves all but what is damaged, so that it is no reason to take it out of service. */
static void
damage_answer(
    struct zp_manage *manage, struct zp_http_request *request, const struct zp_node_facts *facts)
{
	ZP_AUTO_BUF(body, ANSWER_BYTES_MAX);

	zp_buf_append_byte(&body, '{');
	manage__put_damage(manage, facts, &body);
	zp_buf_append_byte(&body, '}');
	api__manage_answer(request, 200, &body);
}

/* 503 when the node can take no writes although it should, 200 where something is damaged or hangs,
 * or 204. */
static void
health_answer(struct zp_manage *manage, struct zp_http_request *request)
{
	char text[ZP_ERR_TEXT_BYTES];
	struct zp_node_facts facts;

	zp_node_facts_get(manage->options.node, &facts);
	hang_text(&facts, "no writes are taken, ", text);
	if (facts.is_broken)
		answer_error(request, 503, facts.broken_text);
	else if (facts.writes_hang)
		answer_error(request, 503, text);
	else if (facts.is_full)
		answer_error(
		    request, 503, "the disk is full: writes are refused until there is space");
	else if (manage__is_damaged(&facts))
		damage_answer(manage, request, &facts);
	else
		zp_http_answer(request, 204, (struct zp_slice){0});
}

/* ---- Scrub ----------------------------------------------------------------------------------- */

/* A time or null. */
static void
put_time(struct zp_buf *body, const char *name, int64_t microseconds)
{
	zp_json_put_name(body, name);
	if (microseconds == 0) {
		zp_buf_append_text(body, "null");
		return;
	}
	zp_buf_append_byte(body, '"');
	zp_time_format(microseconds / 1000000, 0, body);
	zp_buf_append_byte(body, '"');
}

static void
scrub_answer(struct zp_manage *manage, struct zp_http_request *request)
{
	ZP_AUTO_BUF(body, ANSWER_BYTES_MAX);
	struct zp_scrub_facts scrub;
	struct zp_node_facts facts;

	zp_node_scrub_facts_get(manage->options.node, &scrub);
	zp_node_facts_get(manage->options.node, &facts);
	zp_buf_append_byte(&body, '{');
	api__put_text(&body, "state",
	    scrub.is_paused      ? "paused"
	    : scrub.is_running   ? "running"
	    : scrub.is_automatic ? "waiting"
				 : "off");
	api__put_u64(&body, "rate", scrub.bytes_per_second);
	api__put_u64(&body, "every_seconds", scrub.interval_seconds);
	api__put_u64(&body, "shards", scrub.shards);
	api__put_u64(&body, "shards_done", scrub.shards_done);
	api__put_u64(&body, "bytes", scrub.pass_bytes);
	api__put_u64(&body, "bytes_total", scrub.bytes);
	put_time(&body, "began", scrub.begun_microseconds);
	put_time(&body, "last_began", scrub.last_begun_microseconds);
	put_time(&body, "last_ended", scrub.last_ended_microseconds);
	put_time(&body, "next", scrub.next_microseconds);
	manage__put_damage(manage, &facts, &body);
	zp_buf_append_byte(&body, '}');
	api__manage_answer(request, 200, &body);
}

static int
rate_take(struct zp_http_request *request, uint64_t *rate_out, struct zp_err *err)
{
	struct zp_slice text;
	uint64_t rate = 0;

	if (!zp_http_query_get(request, "rate", &text))
		return ZP_OK;
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] < '0' || text.data[i] > '9' || rate > SCRUB_RATE_MAX)
			rate = SCRUB_RATE_MAX + 1;
		else
			rate = rate * 10 + (uint64_t)(text.data[i] - '0');
	}
	if (rate == 0 || rate > SCRUB_RATE_MAX)
		return zp_fail(err, ZP_E_INVALID, "rate is a number of bytes a second, 1 to %llu",
		    (unsigned long long)SCRUB_RATE_MAX);
	*rate_out = rate;
	return ZP_OK;
}

/* What it comes to is in the answer of GET /scrub, which is given. */
static void
scrub_act(struct zp_manage *manage, struct zp_http_request *request)
{
	struct zp_node *node = manage->options.node;
	struct zp_slice what = {0};
	struct zp_err err = {0};
	uint64_t rate = 0;
	int rc = ZP_OK;

	if (!zp_http_query_get(request, "do", &what))
		what = (struct zp_slice){0};
	if (zp_slice_is(what, "start")) {
		rc = rate_take(request, &rate, &err);
		if (rc == ZP_OK)
			rc = zp_command_scrub_start(node, rate, &err);
	} else if (zp_slice_is(what, "pause")) {
		rc = zp_command_scrub_pause(node, &err);
	} else if (zp_slice_is(what, "stop")) {
		rc = zp_command_scrub_stop(node, &err);
	} else {
		rc = zp_fail(&err, ZP_E_INVALID, "say do=start, do=pause or do=stop");
	}
	if (rc == ZP_OK) {
		scrub_answer(manage, request);
		return;
	}
	zp_http_answer_header_text(request, API_ERROR_HEADER, zp_err_name(rc));
	answer_error(request, (unsigned)zp_err_http_status(rc), err.text);
}

static void
metrics_answer(struct zp_manage *manage, struct zp_http_request *request)
{
	ZP_AUTO_BUF(page, ANSWER_BYTES_MAX);

	api__metrics_page(&manage->options, &page);
	zp_http_answer_header_text(request, "Content-Type", "text/plain; version=0.0.4");
	zp_http_answer(request, 200, zp_buf_slice(&page));
}

static void
snapshots_answer(struct zp_manage *manage, struct zp_http_request *request)
{
	api__snapshots(manage->options.node, request);
}

static void
snapshot_remove(struct zp_manage *manage, struct zp_http_request *request)
{
	api__snapshot_remove(manage->options.node, request);
}

static void
read_only_set(struct zp_manage *manage, struct zp_http_request *request)
{
	ZP_AUTO_BUF(body, 100);
	struct zp_slice on;

	if (!zp_http_query_get(request, "on", &on) ||
	    !(zp_slice_is(on, "true") || zp_slice_is(on, "false"))) {
		answer_error(request, 400, "say on=true or on=false");
		return;
	}
	zp_node_read_only_set(manage->options.node, zp_slice_is(on, "true"));
	zp_buf_printf(&body, "{\"read_only\":%.*s}", (int)on.length, on.data);
	api__manage_answer(request, 200, &body);
}

/* ---- Routes ---------------------------------------------------------------------------------- */

/* What is answered at once; what takes long is among the jobs. */
static const struct manage_route {
	enum zp_http_method method;
	const char *path;
	void (*answer)(struct zp_manage *manage, struct zp_http_request *request);
} routes[] = {
    {ZP_HTTP_GET, "/metrics", metrics_answer},
    {ZP_HTTP_GET, "/health", health_answer},
    {ZP_HTTP_GET, "/info", info_answer},
    {ZP_HTTP_GET, "/scrub", scrub_answer},
    {ZP_HTTP_POST, "/scrub", scrub_act},
    {ZP_HTTP_GET, "/snapshots", snapshots_answer},
    {ZP_HTTP_DELETE, "/snapshot", snapshot_remove},
    {ZP_HTTP_POST, "/read-only", read_only_set},
};

static const struct manage_route *
route_find(enum zp_http_method method, struct zp_slice path)
{
	if (method == ZP_HTTP_HEAD)
		method = ZP_HTTP_GET;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(routes); i++) {
		if (routes[i].method == method && zp_slice_is(path, routes[i].path))
			return &routes[i];
	}
	return NULL;
}

/* Who asks is known. */
static void
manage_admitted(struct api_call *call)
{
	struct zp_manage *manage = call->admitted_context;
	struct zp_http_request *request = call->request;
	const struct manage_route *route =
	    route_find(zp_http_method(request), zp_http_path(request));
	const struct manage_job_kind *job =
	    manage__job_find(zp_http_method(request), zp_http_path(request));

	if (route == NULL && job == NULL) {
		api__serve(call);
		return;
	}
	api__call_put(call);
	if ((job != NULL || route->method != ZP_HTTP_GET) && api__browser_is_elsewhere(request))
		answer_error(request, 403, "not for pages of other sites");
	else if (job != NULL)
		manage__job_start(manage, request, job);
	else
		route->answer(manage, request);
}

static void
manage_handle(struct zp_http_request *request, void *context)
{
	struct zp_manage *manage = context;

	api__admit(manage->options.api, request, manage_admitted, manage);
}

static void
manage_finished(struct zp_http_request *request, void *context)
{
	const struct zp_manage *manage = context;

	api__finished(request, manage->options.api);
}

static void
metrics_handle(struct zp_http_request *request, void *context)
{
	struct zp_manage *manage = context;
	enum zp_http_method method = zp_http_method(request);
	struct zp_slice path = zp_http_path(request);

	if (method != ZP_HTTP_GET && method != ZP_HTTP_HEAD)
		answer_error(request, 405, "only GET");
	else if (zp_slice_is(path, "/metrics"))
		metrics_answer(manage, request);
	else if (zp_slice_is(path, "/health"))
		health_answer(manage, request);
	else
		answer_error(request, 404, "not found");
}

struct zp_manage *
zp_manage_new(const struct zp_manage_options *options)
{
	struct zp_manage *manage = zp_alloc_zero(1, sizeof(*manage));

	manage->options = *options;
	manage->options.root = zp_strdup(options->root);
	manage->options.version = zp_strdup(options->version);
	zp_mutex_init(&manage->lock);
	return manage;
}

void
zp_manage_free(struct zp_manage *manage)
{
	if (manage == NULL)
		return;
	manage__worker_join(manage);
	zp_mutex_done(&manage->lock);
	zp_free((char *)manage->options.root);
	zp_free((char *)manage->options.version);
	zp_free(manage);
}

void
zp_manage_listen(struct zp_manage *manage, struct zp_http_listen *listen)
{
	listen->handler = manage_handle;
	listen->finished = manage_finished;
	listen->context = manage;
}

void
zp_manage_listen_metrics(struct zp_manage *manage, struct zp_http_listen *listen)
{
	listen->handler = metrics_handle;
	listen->finished = NULL;
	listen->context = manage;
}
