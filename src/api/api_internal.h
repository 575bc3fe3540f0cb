/*
 * api_internal.h - calls, answers and handlers: what the files of api share. README.md has the
 * order in which a request meets them.
 */
#ifndef ZP_API_API_INTERNAL_H
#define ZP_API_API_INTERNAL_H

#include <stdatomic.h>

#include "api/api.h"
#include "api/cors.h"
#include "api/query.h"
#include "api/router.h"
#include "api/status.h"
#include "base/json.h"
#include "os/os.h"

/* ---- Limits --------------------------------------------------------------------------------- */

#define API_BODY_BYTES_MAX 65536u     /* of a small JSON request */
#define API_JSON_BYTES_MAX (4u << 20) /* one answer in memory; a page of a listing ends there */
#define API_CALLS_KEPT_MAX 256u       /* idle request objects */
#define API_CALL_BYTES_KEPT_MAX (64u << 10) /* of a buffer of an idle request object */
#define API_PAGES_BYTES_MAX (256u << 20)    /* of all pages in memory together; over it: 503 */
#define API_AS_OF_BYTES_MAX (ZP_SNAPSHOT_NAME_MAX + 1u)
#define API_UPLOADS_MAX 64u /* POST /pins and POST /import under way; over it: 503 */

struct listing;
struct telling;

/* ---- Calls ---------------------------------------------------------------------------------- */

struct zp_api {
	struct zp_node *node;
	struct zp_access *access;
	struct api_self self;
	char *id_json; /* GET /id */
	char *version_json;
	struct zp_api_header *headers;
	size_t headers_count;
	struct api_cors cors;
	bool (*free_space)(void *context, uint64_t *bytes_out);
	bool (*log_wants)(void *context, unsigned status);
	void (*log)(void *context, const struct zp_api_log_line *line);
	void *context;
	atomic_size_t pages_bytes;
	atomic_uint uploads;
	struct zp_mutex pool_mutex;
	struct api_call *pool; /* guarded by it */
	unsigned pool_count;
};

/*
 * One request under way, with everything it needs; kept for reuse. It belongs to the request's
 * worker thread, but while a write or a password check has it.
 */
struct api_call {
	struct api_call *next; /* in the pool */
	struct zp_api *api;
	struct zp_http_request *request;
	void (*admitted)(struct api_call *call); /* goes on when it is known who asks */
	void *admitted_context;
	const struct api_route *route;
	struct zp_slice captures[API_CAPTURES_MAX]; /* of `path` */
	struct zp_buf path;                         /* decoded and clean */
	bool path_was_unclean;
	struct api_query query;
	struct zp_node *node;     /* whose pins are asked for: the API's, or `moment`'s */
	struct zp_moment *moment; /* of as_of (as_of.c), held; NULL: the present */
	struct zp_moment_task moment_task;
	char as_of[API_AS_OF_BYTES_MAX];
	uint64_t moment_id; /* that a cursor goes on in; 0: any */
	int moment_rc;
	struct zp_err err;
	struct zp_task task;
	struct zp_access_check check;
	const struct zp_access_user *user; /* NULL: not signed in */
	struct zp_buf credentials;         /* user:password, decoded */
	struct zp_pin pin;
	struct zp_buf texts;
	struct zp_buf text; /* small things */
	struct zp_buf json; /* the answer */
	struct zp_read_scratch *scratch;
	struct listing *listing; /* of a page being made (list.c) */
	struct telling *telling; /* of accesses that are being written (accesses.c) */
	size_t page_bytes;       /* counted in pages_bytes until the call is put back */
	bool is_incomplete;      /* what the answer lacks, `err` says; so does its trailer */
	struct zp_write write;
	struct zp_write_batch batch;
	/* A write that the disk holds up (pins.c): its client was answered, the node still has it.
	 */
	bool is_late;
	struct zp_task late_task;
	struct zp_err late_err;
};

struct api_call *api__call_take(struct zp_api *api, struct zp_http_request *request);
void api__call_put(struct api_call *call);

/*
 * Takes a call with its clean path and signs it in; nobody needs to where there are no accounts, on
 * a Unix socket, for OPTIONS and for GET /health. Then `admitted` goes on, at once or later on the
 * request's thread, and ends the call. Who is refused gets the answer here.
 */
void api__admit(struct zp_api *api, struct zp_http_request *request,
    void (*admitted)(struct api_call *call), void *context);
/* What the REST API does with an admitted call: CORS, clean path, route. */
void api__serve(struct api_call *call);

/* ---- Pages in browsers (browser.c) ---------------------------------------------------------- */

/* localhost, a name under it, or an address; with or without a port. */
bool api__host_is_no_name(struct zp_slice host);

/* A page of another site asks. */
bool api__browser_is_elsewhere(struct zp_http_request *request);

/* Anybody may do anything here, and a browser asks by a name that may be a page's own. */
bool api__browser_is_rebound(const struct zp_api *api, struct zp_http_request *request);

/* False: a page of another site, which api.cors_* does not allow this method. */
bool api__browser_may_write(const struct zp_api *api, struct zp_http_request *request);

int64_t api__now_us(void);

/* ---- Answers (answer.c): each ends the call ------------------------------------------------- */

/* call->json and a newline, 200. */
void api__answer_json(struct api_call *call);
void api__answer_empty(struct api_call *call, unsigned status);
void api__answer_error(struct api_call *call, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* call->err, with the status of its code. */
void api__answer_failure(struct api_call *call, int code);
/* As failure, but with IPFS Cluster's 500 for all that a user did wrong in a write. */
void api__answer_write_failure(struct api_call *call, int code);

/* The configured headers and the type; for answers that are made elsewhere. */
void api__headers_add(struct api_call *call, const char *content_type);

/* Keeps the reason for the log. */
void api__note_error(struct zp_http_request *request, const char *text);
void api__note_user(struct zp_http_request *request, const char *name);
void api__finished(struct zp_http_request *request, void *context);

/* call->json as a stream with the trailer X-Stream-Error; 204 when it is empty. */
void api__answer_lines(struct api_call *call);

#define API_STREAM_TRAILER "X-Stream-Error"
#define API_ERROR_HEADER "X-Zpin-Error" /* of a failure: its name in err.def */

/* ---- Parts of handlers that several share --------------------------------------------------- */

/* Parses the captured CID into call->pin.cid; checks the query's options on the way, as IPFS
 * Cluster does on every path with a CID. False: answered. */
bool api__cid_take(struct api_call *call);

/* The stored pin under `key`: its JSON as reads give it. */
int api__pin_json(struct api_call *call, const struct zp_key *key, const struct zp_record *record,
    const struct zp_pin_json_style *style, struct zp_buf *json, struct zp_err *err);

/* Fills the upper part of a write from a pin; `texts` holds what its record borrows. */
int api__write_fill(struct zp_pin *pin, enum zp_write_kind kind, int64_t now_us,
    struct zp_buf *texts, struct zp_write *write, struct zp_err *err);

/* Of a batch whose context is the call: the client is told that the disk does not answer. `done`
 * must then post api__late_end in place of an answer, where call->is_late. */
void api__write_late(struct zp_write_batch *batch, const struct zp_err *err);
void api__late_end(struct zp_task *task);

/* The answer to a write that was done: the pin object. `scratch` is overwritten. */
int api__write_json(struct api_call *call, const struct zp_write *write, struct zp_buf *scratch,
    struct zp_buf *json, struct zp_err *err);

/* ---- Accesses (accesses.c) ------------------------------------------------------------------ */

/* A line of POST /accesses; not empty, without white space around it. Pure. */
ZP_MUST_CHECK int api__access_line_read(struct zp_slice line, int64_t now_seconds,
    struct zp_accesses_note *note_out, struct zp_err *err);
/* All lines of a body; empty ones, and those of no access, say nothing. Pure. */
#define API_ACCESS_LINES_MAX 1000u
ZP_MUST_CHECK int api__access_lines_read(struct zp_slice body, int64_t now_seconds,
    struct zp_accesses_note notes[API_ACCESS_LINES_MAX], size_t *count_out, struct zp_err *err);
/* Adds what is known of its accesses to the pin object that `object` ends with. */
void api__accesses_append(const struct zp_accesses *accesses, struct zp_buf *object);

/* ---- As of a moment (as_of.c) --------------------------------------------------------------- */

/* Calls the route's handler with the node of the moment that `as_of` says, once it is open. Only
 * what reads pins has one: others are answered with 400. */
void api__as_of(struct api_call *call);

/* ---- Listings (list.c) ---------------------------------------------------------------------- */

/* 1: appended a line to `out`; 0: left out; or an error. */
typedef int (*api__list_print)(struct api_call *call, const struct api_filter *filter,
    const struct zp_key *key, const struct zp_record *record, struct zp_buf *out,
    struct zp_err *err);

struct api_list_options {
	api__list_print print;
	const char *content_type;
	bool empty_is_200; /* else 204 */
};

/* Answers with all pins that `filter` takes: a page where it has a limit, else a stream. */
void api__list(
    struct api_call *call, const struct api_filter *filter, const struct api_list_options *options);

/* ---- Uploads: long bodies that are answered while they come (upload.c) ---------------------- */

/* One of API_UPLOADS_MAX places. False: answered with 503. */
bool api__upload_begin(struct api_call *call);
void api__upload_end(struct zp_api *api);

/* Moves up to a piece from the front of `lines` to `out`; true while some is left. */
bool api__lines_move(struct zp_buf *lines, struct zp_buf *out);

/* Appends {"<what>":line,"error":"…"} and a newline. */
void api__line_error(struct zp_buf *lines, const char *what, uint64_t line, const char *error);

/* ---- Handlers ------------------------------------------------------------------------------- */

extern const struct api_route api__routes[];
extern const size_t api__routes_count;

void api__id(struct api_call *call);
void api__version(struct api_call *call);
void api__peers(struct api_call *call);
void api__peer_add(struct api_call *call);
void api__peer_remove(struct api_call *call);
void api__allocations(struct api_call *call);
void api__allocation(struct api_call *call);
void api__statuses(struct api_call *call);
void api__status(struct api_call *call);
void api__recover(struct api_call *call);
void api__recover_all(struct api_call *call);
void api__pin(struct api_call *call);
void api__pin_path(struct api_call *call);
void api__unpin(struct api_call *call);
void api__unpin_path(struct api_call *call);
void api__bulk(struct api_call *call);
void api__import(struct api_call *call);
void api__import_state(struct api_call *call);
void api__export(struct api_call *call);
void api__accesses(struct api_call *call);
void api__add(struct api_call *call);
void api__gc(struct api_call *call);
void api__graph(struct api_call *call);
void api__alerts(struct api_call *call);
void api__bandwidth(struct api_call *call);
void api__metric_names(struct api_call *call);
void api__metrics(struct api_call *call);
void api__token(struct api_call *call);
void api__health(struct api_call *call);

#endif
