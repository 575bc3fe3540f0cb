/*
 * manage.h - what the management's files share; private to api/.
 */
#ifndef ZP_API_MANAGE_H
#define ZP_API_MANAGE_H

#include "api/api.h"

#define API_MANAGE_BYTES_MAX (4u << 20) /* of one answer */

/* Ends the body with a newline and answers. */
void api__manage_answer(struct zp_http_request *request, unsigned status, struct zp_buf *body);
void api__manage_failure(struct zp_http_request *request, int code, const char *text);

/* Members of an object. */
void api__put_u64(struct zp_buf *body, const char *name, uint64_t value);
void api__put_text(struct zp_buf *body, const char *name, const char *value);
void api__put_time(struct zp_buf *body, const char *name, int64_t microseconds);
/* What of a node's facts is its pinset's: "pins" and so on. */
void api__put_pinset(struct zp_buf *body, const struct zp_node_facts *facts);

/* ---- Snapshots (snapshots.c): answered by the node's thread for moments --------------------- */

/* GET /snapshots, DELETE /snapshot?name=, GET /info?as_of= */
void api__snapshots(struct zp_node *node, struct zp_http_request *request);
void api__snapshot_remove(struct zp_node *node, struct zp_http_request *request);
void api__moment_info(struct zp_node *node, struct zp_http_request *request);

#endif
