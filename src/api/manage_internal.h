/*
 * manage_internal.h - between manage.c, which answers at once, and manage_jobs.c, whose work takes
 * long.
 */
#ifndef ZP_API_MANAGE_INTERNAL_H
#define ZP_API_MANAGE_INTERNAL_H

#include "api/manage.h"

struct zp_manage {
	struct zp_manage_options options;
	struct zp_mutex lock;     /* guards the next two */
	struct zp_thread *worker; /* of the job under way or the last one; joined by the next */
	bool is_busy;
};

bool manage__is_damaged(const struct zp_node_facts *facts);
/* Members of an object. */
void manage__put_damage(
    struct zp_manage *manage, const struct zp_node_facts *facts, struct zp_buf *body);

/* What a POST of that path begins; NULL: nothing that takes long. */
struct manage_job_kind;
const struct manage_job_kind *manage__job_find(enum zp_http_method method, struct zp_slice path);
/* Answers when it is over, or at once where it cannot begin. */
void manage__job_start(
    struct zp_manage *manage, struct zp_http_request *request, const struct manage_job_kind *kind);
/* Waits for the thread of a job that has given its answer. Under the lock, or when nobody asks any
 * more. */
void manage__worker_join(struct zp_manage *manage);

#endif
