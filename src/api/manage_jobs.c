/*
 * manage_jobs.c - long work of the operator's: checkpoint, seal, verify, snapshots, peers that
 * move.
 *
 * Flow: manage.c finds the kind and starts it; one job at a time, on a thread of its own, which
 *       posts the answer back to the request's.
 */
#include <pthread.h>
#include <stdio.h>

#include "api/api_internal.h"
#include "api/manage_internal.h"

#define DAMAGES_SHOWN_MAX 1000u
#define JOB_ARGUMENTS 2u

/* One long piece of work. */
struct job {
	struct zp_manage *manage;
	struct zp_http_request *request;
	int (*run)(struct job *job, struct zp_err *err);
	char argument[JOB_ARGUMENTS][512];
	struct zp_buf answer; /* JSON */
	int rc;
	struct zp_err err;
	uint64_t damages;
	struct zp_task task;
};

struct manage_job_kind {
	const char *path; /* of a POST */
	int (*run)(struct job *job, struct zp_err *err);
	const char *arguments[JOB_ARGUMENTS]; /* of its query */
};

/* ---- A job's way ------------------------------------------------------------------------------
 */

static void
job_answer(struct zp_task *task)
{
	struct job *job = (struct job *)((char *)task - offsetof(struct job, task));

	if (job->rc < 0) {
		api__note_error(job->request, job->err.text);
		zp_http_answer_header_text(job->request, API_ERROR_HEADER, zp_err_name(job->rc));
	}
	api__manage_answer(
	    job->request, job->rc < 0 ? (unsigned)zp_err_http_status(job->rc) : 200, &job->answer);
	zp_buf_done(&job->answer);
	zp_free(job);
}

static void
job_run(void *context)
{
	struct job *job = context;
	struct zp_manage *manage = job->manage;

	zp_buf_append_byte(&job->answer, '{');
	job->rc = job->run(job, &job->err);
	if (job->rc < 0) {
		/* What the job said so far (a verify's damages) stays beside the error. */
		api__put_u64(&job->answer, "code", (uint64_t)zp_err_http_status(job->rc));
		api__put_text(&job->answer, "message", job->err.text);
	}
	zp_buf_append_byte(&job->answer, '}');
	zp_mutex_lock(&manage->lock);
	manage->is_busy = false;
	zp_mutex_unlock(&manage->lock);
	job->task.run = job_answer;
	zp_http_post(job->request, &job->task); /* the job is the request's thread's from here */
}

void
manage__worker_join(struct zp_manage *manage)
{
	zp_thread_join(manage->worker);
	manage->worker = NULL;
}

/* A name that was cut would be another name. */
static int
arguments_take(struct job *job, const char *const names[JOB_ARGUMENTS], struct zp_err *err)
{
	struct zp_slice value;

	for (size_t i = 0; i < JOB_ARGUMENTS; i++) {
		if (names[i] == NULL || !zp_http_query_get(job->request, names[i], &value) ||
		    value.length == 0)
			continue;
		if (value.length >= sizeof(job->argument[i]) ||
		    memchr(value.data, '\0', value.length) != NULL)
			return zp_fail(err, ZP_E_INVALID, "parameter %s invalid", names[i]);
		memcpy(job->argument[i], value.data, value.length);
	}
	return ZP_OK;
}

/* Under the lock: makes sure that no other work is under way, and begins this. */
static int
worker_start(struct zp_manage *manage, struct job *job, struct zp_err *err)
{
	int rc;

	if (manage->is_busy)
		return zp_fail(err, ZP_E_FULL, "other long work is under way: try again later");
	manage__worker_join(manage);
	rc = zp_thread_start("zp-manage", job_run, job, &manage->worker, err);
	manage->is_busy = rc == ZP_OK;
	return rc;
}

void
manage__job_start(
    struct zp_manage *manage, struct zp_http_request *request, const struct manage_job_kind *kind)
{
	struct job *job = zp_alloc_zero(1, sizeof(*job));
	struct zp_err err = {0};
	int rc;

	job->manage = manage;
	job->request = request;
	job->run = kind->run;
	zp_buf_init(&job->answer, API_MANAGE_BYTES_MAX);
	rc = arguments_take(job, kind->arguments, &err);
	if (rc == ZP_OK) {
		zp_mutex_lock(&manage->lock);
		rc = worker_start(manage, job, &err);
		zp_mutex_unlock(&manage->lock);
	}
	if (rc < 0) {
		zp_buf_done(&job->answer);
		zp_free(job);
		api__manage_failure(request, rc, err.text);
	}
}

/* ---- Kinds ----------------------------------------------------------------------------------- */

static int
checkpoint_run(struct job *job, struct zp_err *err)
{
	struct zp_node_facts facts;
	int rc = zp_command_checkpoint(job->manage->options.node, err);

	if (rc < 0)
		return rc;
	zp_node_facts_get(job->manage->options.node, &facts);
	api__put_u64(&job->answer, "checkpoint_number", facts.checkpoint_number);
	api__put_u64(&job->answer, "checkpoint_batch", facts.checkpoint_batch);
	return ZP_OK;
}

static int
settle_run(struct job *job, struct zp_err *err)
{
	return zp_command_settle(job->manage->options.node, err);
}

static int
seal_run(struct job *job, struct zp_err *err)
{
	struct zp_node_facts facts;
	int rc = zp_command_seal(job->manage->options.node, err);

	if (rc < 0)
		return rc;
	zp_node_facts_get(job->manage->options.node, &facts);
	api__put_u64(&job->answer, "runs", facts.engines.runs);
	api__put_u64(&job->answer, "resident_bytes", facts.engines.resident_bytes);
	return ZP_OK;
}

static int
snapshot_run(struct job *job, struct zp_err *err)
{
	struct zp_node_facts facts;
	int rc = zp_command_snapshot(job->manage->options.node, job->argument[0], err);

	if (rc < 0)
		return rc;
	api__put_text(&job->answer, "snapshot", job->argument[0]);
	zp_node_facts_get(job->manage->options.node, &facts);
	if (manage__is_damaged(&facts)) /* and so is the snapshot, whose files are the same */
		manage__put_damage(job->manage, &facts, &job->answer);
	return ZP_OK;
}

static void
damage_add(void *context, const char *text)
{
	struct job *job = context;

	if (job->damages++ >= DAMAGES_SHOWN_MAX)
		return;
	zp_json_put_comma(&job->answer);
	zp_json_put_text(&job->answer, text);
}

static int
verify_run(struct job *job, struct zp_err *err)
{
	struct zp_verify_report report = {0};
	bool deep = strcmp(job->argument[0], "true") == 0;
	struct zp_verify_options options = {.deep = deep, .damage = damage_add, .context = job};
	int rc;

	if (!deep && job->argument[0][0] != '\0' && strcmp(job->argument[0], "false") != 0)
		return zp_fail(err, ZP_E_INVALID, "say deep=true or deep=false");
	zp_json_put_name(&job->answer, "damages");
	zp_buf_append_byte(&job->answer, '[');
	rc = zp_command_verify(job->manage->options.node, &options, &report, err);
	zp_buf_append_byte(&job->answer, ']');
	api__put_u64(&job->answer, "damage_count", job->damages);
	api__put_u64(&job->answer, "segments", report.segments);
	api__put_u64(&job->answer, "rows", report.rows);
	api__put_u64(&job->answer, "bytes", report.bytes);
	api__put_u64(&job->answer, "pins", report.pins);
	api__put_u64(&job->answer, "entries", report.entries);
	api__put_u64(&job->answer, "counters_set", report.counters_set);
	return rc;
}

static int
peer_move_run(struct job *job, struct zp_err *err)
{
	ZP_AUTO_BUF(from, ZP_PEER_ID_BYTES_MAX);
	ZP_AUTO_BUF(to, ZP_PEER_ID_BYTES_MAX);
	int rc = zp_peer_id_parse(zp_slice_of(job->argument[0]), &from, err);

	if (rc == ZP_OK)
		rc = zp_peer_id_parse(zp_slice_of(job->argument[1]), &to, err);
	if (rc < 0)
		return rc;
	rc = zp_command_peer_move(
	    job->manage->options.node, zp_buf_slice(&from), zp_buf_slice(&to), err);
	if (rc == ZP_OK) {
		api__put_text(&job->answer, "from", job->argument[0]);
		api__put_text(&job->answer, "to", job->argument[1]);
	}
	return rc;
}

static const struct manage_job_kind kinds[] = {
    {"/checkpoint", checkpoint_run, {NULL}},
    {"/settle", settle_run, {NULL}},
    {"/seal", seal_run, {NULL}},
    {"/verify", verify_run, {"deep", NULL}},
    {"/snapshot", snapshot_run, {"name", NULL}},
    {"/peers/move", peer_move_run, {"from", "to"}},
};

const struct manage_job_kind *
manage__job_find(enum zp_http_method method, struct zp_slice path)
{
	if (method != ZP_HTTP_POST)
		return NULL;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(kinds); i++) {
		if (zp_slice_is(path, kinds[i].path))
			return &kinds[i];
	}
	return NULL;
}
