/*
 * as_of.c - reads of the pinset as it was: `as_of=` on what lists and shows pins.
 *
 * Flow: api.c's route → here → the handler, with call->node a moment's instead of the API's. Owner:
 *       the request's thread; while a moment is opened, which may wait for the disk, the node's
 *       thread for that has the call.
 *
 * The moment is held until the call is put back, so a stream reads one pinset to its end. So do
 * pages: a cursor carries the moment's id, and is refused in any other.
 */
#include "api/api_internal.h"

static bool
takes_as_of(const struct api_route *route)
{
	static void (*const readers[])(struct api_call * call) = {
	    api__allocations, api__allocation, api__statuses, api__status, api__export};

	for (size_t i = 0; i < ZP_ARRAY_COUNT(readers); i++) {
		if (route->handle == readers[i])
			return true;
	}
	return false;
}

static void
moment_read(struct api_call *call)
{
	int64_t time_us = zp_moment_time(call->moment);

	call->node = zp_moment_node(call->moment);
	zp_buf_clear(&call->text);
	zp_buf_printf(&call->text, "%s ", zp_moment_name(call->moment));
	zp_time_format(time_us / 1000000, (uint32_t)(time_us % 1000000) * 1000, &call->text);
	zp_http_answer_header(call->request, "X-As-Of", zp_buf_slice(&call->text));
	call->route->handle(call);
}

static void
opened(struct zp_task *task)
{
	struct api_call *call = ZP_CONTAINER(task, struct api_call, task);

	if (call->moment_rc < 0)
		api__answer_failure(call, call->moment_rc);
	else
		moment_read(call);
}

static void
open_run(struct zp_moment_task *task)
{
	struct api_call *call = ZP_CONTAINER(task, struct api_call, moment_task);

	call->moment_rc = zp_moment_open(
	    call->api->node, call->as_of, call->moment_id, &call->moment, &call->err);
	call->task.run = opened;
	zp_http_post(call->request, &call->task);
}

/* What is asked for: the text, and the id of the cursor, which is looked at again by the listing.
 */
static int
wanted_read(struct api_call *call, struct zp_err *err)
{
	struct zp_slice as_of = api__query_get(&call->query, "as_of");
	struct zp_slice cursor = api__query_get(&call->query, "cursor");
	struct api_filter filter = {.has_cursor = cursor.length > 0};
	int rc;

	if (!takes_as_of(call->route))
		return zp_fail(err, ZP_E_INVALID,
		    "as_of goes with GET of /allocations, /pins and /export: nothing else is of "
		    "the "
		    "past");
	if (as_of.length == 0 || as_of.length >= sizeof(call->as_of) ||
	    memchr(as_of.data, '\0', as_of.length) != NULL)
		return zp_fail(err, ZP_E_INVALID,
		    "as_of takes a snapshot's name, a time (RFC 3339), or checkpoint");
	memcpy(call->as_of, as_of.data, as_of.length);
	call->as_of[as_of.length] = '\0';
	call->moment_id = 0;
	if (!filter.has_cursor)
		return 0;
	rc = api__cursor_parse(cursor, &filter.cursor, err);
	if (rc == 0)
		call->moment_id = filter.cursor.moment_id;
	if (rc == 0 && call->moment_id == 0) /* 1: of some moment */
		rc = api__cursor_check(&filter, 1, err);
	return rc;
}

void
api__as_of(struct api_call *call)
{
	int rc = wanted_read(call, &call->err);

	if (rc < 0) {
		api__answer_failure(call, rc);
		return;
	}
	if (zp_moment_find(call->api->node, call->as_of, call->moment_id, &call->moment) == 0) {
		moment_read(call);
		return;
	}
	call->moment_task.run = open_run;
	rc = zp_moment_post(call->api->node, &call->moment_task, &call->err);
	if (rc < 0)
		api__answer_failure(call, rc);
}
