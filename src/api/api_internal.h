/*
 * api_internal.h - what the files of api share. README.md has the order in which a request meets
 * them.
 */
#ifndef ZP_API_API_INTERNAL_H
#define ZP_API_API_INTERNAL_H

#include <stdatomic.h>

#include "api/api.h"
#include "base/json.h"
#include "os/os.h"

/* ---- Limits --------------------------------------------------------------------------------- */

#define API_BODY_BYTES_MAX 65536u     /* of a small JSON request */
#define API_JSON_BYTES_MAX (4u << 20) /* one answer in memory; a page of a listing ends there */
#define API_QUERY_PAIRS_MAX 2048u
#define API_CALLS_KEPT_MAX 256u             /* idle request objects */
#define API_CALL_BYTES_KEPT_MAX (64u << 10) /* of a buffer of an idle request object */
#define API_PAGES_BYTES_MAX (256u << 20)    /* of all pages in memory together; over it: 503 */
#define API_CAPTURES_MAX 2u
#define API_UPLOADS_MAX 64u /* POST /pins and POST /import under way; over it: 503 */

/* ---- Query (query.c) ------------------------------------------------------------------------ */

/* The decoded pairs of a request, in order. The slices live as long as the request. */
struct api_query {
	struct zp_pair *pairs;
	size_t count;
	size_t capacity;
};

int api__query_read(struct api_query *query, struct zp_http_request *request, struct zp_err *err);
int api__query_add(
    struct api_query *query, struct zp_slice key, struct zp_slice value, struct zp_err *err);
void api__query_done(struct api_query *query);

/* The first value of `key`, empty when there is none: Go's Values.Get. */
struct zp_slice api__query_get(const struct api_query *query, const char *key);
bool api__query_has(const struct api_query *query, const char *key);
bool api__query_is_true(const struct api_query *query, const char *key); /* the literal "true" */

/* The next item of a comma list; an empty list has one empty item. False at the end. *rest.data is
 * NULL at the end. */
bool api__list_next(struct zp_slice *rest, struct zp_slice *item_out);

/* Decimal digits only. */
bool api__decimal_read(struct zp_slice text, uint64_t max, uint64_t *value_out);

/* ---- Options of a pin (options.c; pure) ----------------------------------------------------- */

/* Sets what the query says on `pin`, whose cid is not touched. `now_us` is for expire-in. The text
 * of the error is IPFS Cluster's. */
int api__options_read(
    const struct api_query *query, int64_t now_us, struct zp_pin *pin, struct zp_err *err);

/* Binary peer ids as a JSON array of texts. */
void api__peers_json(const struct zp_slice *peers, size_t count, struct zp_buf *json);

/* ---- Filters of lists (filter.c; pure) ------------------------------------------------------ */

enum api_status {
	API_STATUS_CLUSTER_ERROR = 1u << 1,
	API_STATUS_PIN_ERROR = 1u << 2,
	API_STATUS_UNPIN_ERROR = 1u << 3,
	API_STATUS_PINNED = 1u << 4,
	API_STATUS_PINNING = 1u << 5,
	API_STATUS_UNPINNING = 1u << 6,
	API_STATUS_UNPINNED = 1u << 7,
	API_STATUS_REMOTE = 1u << 8,
	API_STATUS_PIN_QUEUED = 1u << 9,
	API_STATUS_UNPIN_QUEUED = 1u << 10,
	API_STATUS_SHARDED = 1u << 11,
	API_STATUS_UNEXPECTEDLY_UNPINNED = 1u << 12,
};

const char *api__status_name(enum api_status status);

/* Bits of enum api_status, 0: everything. ZP_E_INVALID "invalid filter value". */
int api__status_filter_parse(struct zp_slice text, uint32_t *bits_out, struct zp_err *err);

/* Bits (1 << enum zp_pin_type), 0: all. */
int api__type_filter_parse(struct zp_slice text, uint32_t *bits_out, struct zp_err *err);

#define API_FILTER_METADATA_MAX 64u

/* What a listing was asked for. */
struct api_filter {
	uint32_t types;    /* 0: all */
	uint32_t statuses; /* 0: all; of /pins */
	bool has_name, has_before, has_after;
	struct zp_slice name;
	int64_t before_seconds, after_seconds;
	struct zp_pair metadata[API_FILTER_METADATA_MAX]; /* all must be there */
	size_t metadata_count;
	uint64_t limit; /* of a page; 0: everything, streamed */
	bool has_cursor;
	uint8_t cursor[ZP_KEY_BYTES];
};

/* Reads limit, cursor, name, meta-*, before and after. */
int api__filter_read(const struct api_query *query, struct api_filter *filter, struct zp_err *err);

/* Whether the stored pin is asked for, but for `statuses`. */
bool api__filter_matches(const struct api_filter *filter, const struct zp_record *record);

/* A cursor is an encoded key in hex. */
void api__cursor_format(const uint8_t cursor[ZP_KEY_BYTES], struct zp_buf *text);

/* ---- Status (status_json.c; pure) ----------------------------------------------------------- */

/* What a status object needs to know about this node. */
struct api_self {
	char *id; /* base58 */
	char *name;
	char *name_json; /* in quotes */
};

struct api_status_pin {
	const struct zp_cid *cid;
	const struct zp_record *record; /* NULL: not in the pinset */
	struct zp_slice allocations;    /* JSON array */
	bool local;                     /* only this node's word */
	int64_t now_us;
};

/* The bits of all peers of the pin. */
uint32_t api__status_bits(const struct api_self *self, const struct api_status_pin *pin);

/* Appends IPFS Cluster's GlobalPinInfo, without a newline. */
int api__status_json(const struct api_self *self, const struct api_status_pin *pin,
    struct zp_buf *json, struct zp_err *err);

/* ---- Routes (router.c; pure) ---------------------------------------------------------------- */

struct api_call;
struct listing;

struct api_route {
	enum zp_http_method method;
	/* Segments: a literal, * (any one, captured), @ (ipfs, ipns or ipld, captured); a last **
	 * (all that follows, captured). */
	const char *pattern;
	void (*handle)(struct api_call *call);
};

/* 0 and the first route that fits with what was captured; ZP_E_NOT_FOUND; ZP_E_UNSUPPORTED where
 * only other methods are known. */
int api__route_find(const struct api_route *routes, size_t count, enum zp_http_method method,
    struct zp_slice path, const struct api_route **route_out,
    struct zp_slice captures_out[API_CAPTURES_MAX]);

/* Decodes the raw path and appends it to `path`, as Go's path.Clean leaves it, with its last slash.
 * *changed_out: it was not clean. ZP_E_INVALID for a bad escape. */
int api__path_clean(struct zp_slice raw, struct zp_buf *path, bool *changed_out);

/* Appends the path as net/url writes it. */
void api__path_escape(struct zp_slice path, struct zp_buf *text);

/* ---- CORS (cors.c) -------------------------------------------------------------------------- */

struct api_cors {
	struct zp_api_cors options; /* lists are copied */
	char *exposed;              /* NULL: none */
	bool all_origins;
	bool all_headers;
};

void api__cors_init(struct api_cors *cors, const struct zp_api_cors *options);
void api__cors_done(struct api_cors *cors);

/* Adds the headers. True: it was a preflight, which the caller answers with an empty 204. */
bool api__cors_apply(const struct api_cors *cors, struct zp_http_request *request);

bool api__origin_matches(struct zp_slice pattern, struct zp_slice origin);

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
	size_t page_bytes;       /* counted in pages_bytes until the call is put back */
	struct zp_write write;
	struct zp_write_batch batch;
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

/* The answer to a write that was done: the pin object. `scratch` is overwritten. */
int api__write_json(struct api_call *call, const struct zp_write *write, struct zp_buf *scratch,
    struct zp_buf *json, struct zp_err *err);

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
