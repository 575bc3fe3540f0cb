/*
 * snapshots.c - GET /snapshots, DELETE /snapshot and GET /info?as_of= of the management address.
 *
 * Flow: manage.c's route → here → the node's thread for moments, since all of it waits for the disk
 * → the answer on the request's thread. Owner: whoever has the job.
 *
 * It does not stand behind the long work of manage.c: snapshots are looked at while a verify runs.
 */
#include "api/api_internal.h"
#include "api/manage.h"

struct job {
	struct zp_node *node;
	struct zp_http_request *request;
	int (*run)(struct job *job, struct zp_err *err);
	char argument[API_AS_OF_BYTES_MAX];
	struct zp_buf answer;
	int rc;
	struct zp_err err;
	struct zp_moment_task moment_task;
	struct zp_task task;
};

static void
job_free(struct job *job)
{
	zp_buf_done(&job->answer);
	zp_free(job);
}

static void
job_answer(struct zp_task *task)
{
	struct job *job = ZP_CONTAINER(task, struct job, task);

	if (job->rc == 0)
		job->rc = zp_buf_check(&job->answer, "the answer", &job->err);
	if (job->rc < 0)
		api__manage_failure(job->request, job->rc, job->err.text);
	else
		api__manage_answer(job->request, 200, &job->answer);
	job_free(job);
}

static void
job_run(struct zp_moment_task *task)
{
	struct job *job = ZP_CONTAINER(task, struct job, moment_task);

	job->rc = job->run(job, &job->err);
	job->task.run = job_answer;
	zp_http_post(job->request, &job->task); /* the job is the request's thread's from here */
}

/* `name`: of the parameter that it needs, or NULL. */
static int
argument_take(struct job *job, const char *name, struct zp_err *err)
{
	struct zp_slice value;

	if (name == NULL)
		return 0;
	if (!zp_http_query_get(job->request, name, &value) || value.length == 0 ||
	    value.length >= sizeof(job->argument) || memchr(value.data, '\0', value.length) != NULL)
		return zp_fail(err, ZP_E_INVALID, "parameter %s invalid: it takes 1 to %u bytes",
		    name, (unsigned)sizeof(job->argument) - 1);
	memcpy(job->argument, value.data, value.length);
	return 0;
}

static void
job_start(struct zp_node *node, struct zp_http_request *request, const char *argument,
    int (*run)(struct job *job, struct zp_err *err))
{
	struct job *job = zp_alloc_zero(1, sizeof(*job));
	int rc;

	job->node = node;
	job->request = request;
	job->run = run;
	job->moment_task.run = job_run;
	zp_buf_init(&job->answer, API_MANAGE_BYTES_MAX);
	rc = argument_take(job, argument, &job->err);
	if (rc == 0)
		rc = zp_moment_post(node, &job->moment_task, &job->err);
	if (rc < 0) {
		api__manage_failure(request, rc, job->err.text);
		job_free(job);
	}
}

/* ---- GET /snapshots -------------------------------------------------------------------------- */

static int
snapshot_put(void *context, const struct zp_snapshot *snapshot, struct zp_err *err)
{
	struct zp_buf *body = context;

	(void)err;
	zp_json_put_comma(body);
	zp_buf_append_byte(body, '{');
	api__put_text(body, "name", snapshot->name);
	if (snapshot->fault[0] != '\0') {
		api__put_text(body, "error", snapshot->fault);
		zp_buf_append_byte(body, '}');
		return 0;
	}
	api__put_time(body, "time", snapshot->time_microseconds);
	api__put_u64(body, "checkpoint_number", snapshot->checkpoint_number);
	api__put_u64(body, "checkpoint_batch", snapshot->checkpoint_batch);
	if (snapshot->has_pins)
		api__put_u64(body, "pins", snapshot->pins);
	else
		zp_buf_append_text(body, ",\"pins\":null");
	api__put_u64(body, "bytes", snapshot->bytes);
	api__put_u64(body, "bytes_own", snapshot->bytes_own);
	zp_buf_append_byte(body, '}');
	return 0;
}

static int
list_run(struct job *job, struct zp_err *err)
{
	int rc;

	zp_buf_append_byte(&job->answer, '[');
	rc = zp_command_snapshots(job->node, snapshot_put, &job->answer, err);
	zp_buf_append_byte(&job->answer, ']');
	return rc;
}

void
api__snapshots(struct zp_node *node, struct zp_http_request *request)
{
	job_start(node, request, NULL, list_run);
}

/* ---- DELETE /snapshot ------------------------------------------------------------------------ */

static int
remove_run(struct job *job, struct zp_err *err)
{
	int rc = zp_command_snapshot_remove(job->node, job->argument, err);

	zp_buf_append_byte(&job->answer, '{');
	api__put_text(&job->answer, "removed", job->argument);
	zp_buf_append_byte(&job->answer, '}');
	return rc;
}

void
api__snapshot_remove(struct zp_node *node, struct zp_http_request *request)
{
	job_start(node, request, "name", remove_run);
}

/* ---- GET /info?as_of= ------------------------------------------------------------------------ */

static int
info_run(struct job *job, struct zp_err *err)
{
	struct zp_moment *moment;
	struct zp_node_facts facts;
	int rc = zp_moment_open(job->node, job->argument, 0, &moment, err);

	if (rc < 0)
		return rc;
	zp_node_facts_get(zp_moment_node(moment), &facts);
	zp_buf_append_byte(&job->answer, '{');
	api__put_text(&job->answer, "as_of", zp_moment_name(moment));
	api__put_time(&job->answer, "time", zp_moment_time(moment));
	api__put_pinset(&job->answer, &facts);
	zp_buf_append_byte(&job->answer, '}');
	zp_moment_release(moment);
	return 0;
}

void
api__moment_info(struct zp_node *node, struct zp_http_request *request)
{
	job_start(node, request, "as_of", info_run);
}
