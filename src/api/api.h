/*
 * api.h - IPFS Cluster's REST API, as a handler for an HTTP listener.
 *
 * Flow:    main makes it with the node's parts, fills a zp_http_listen and gives that to the
 *          server. Request → (access) → CORS → route → options → command → JSON.
 * Threads: requests run on the server's workers. Reads are done there and then; writes are
 *          answered when the commit thread is done with them. What may take long goes in bounded
 *          steps.
 * Ending:  zp_http_server_stop, zp_node_close (which answers the writes that wait),
 *          zp_access_free, zp_http_server_free, zp_api_free, in this order.
 */
#ifndef ZP_API_API_H
#define ZP_API_API_H

#include "access/access.h"
#include "command/command.h"
#include "http/http.h"

struct zp_api; /* opaque */

struct zp_api_header {
	const char *name;
	const char *value;
};

/* What rs/cors, which IPFS Cluster uses, calls by these names. Lists end with their count. */
struct zp_api_cors {
	const char *const *allowed_origins; /* any case; a star stands for anything; none: all */
	size_t allowed_origins_count;
	const char *const *allowed_methods; /* none: GET, POST, HEAD */
	size_t allowed_methods_count;
	const char *const
	    *allowed_headers; /* "*" or names; none: accept, content-type, x-requested-with */
	size_t allowed_headers_count;
	const char *const *exposed_headers;
	size_t exposed_headers_count;
	bool allow_credentials;
	int64_t max_age_seconds; /* 0: not sent */
};

/* One answered request, for the access log. Everything is borrowed for the call. */
struct zp_api_log_line {
	struct zp_slice id; /* 16 hex digits, also the answer to "which request was that" */
	struct zp_slice peer;
	struct zp_slice method;
	struct zp_slice path; /* raw, without the query */
	const char *user;     /* NULL: nobody signed in */
	unsigned status;      /* 0: the client went away first */
	uint64_t bytes;       /* of the answer's body */
	uint64_t milliseconds;
	const char *error; /* NULL, or why it failed */
};

/* Copied, except node, access and the contexts, which must outlive the API. */
struct zp_api_options {
	struct zp_node *node;
	struct zp_access *access; /* NULL: everybody may do everything */
	const uint8_t *peer_id;   /* this node's, binary */
	size_t peer_id_bytes;
	const char *peer_name;
	const char *version;
	const struct zp_api_header *headers; /* added to every answer of a handler */
	size_t headers_count;
	struct zp_api_cors cors;
	/* Bytes that are free where the node keeps its files, for the metric "freespace". NULL: it
	 * is not shown. False: not known now. Any thread. */
	bool (*free_space)(void *context, uint64_t *bytes_out);
	/* Whether an answer with this status is logged, so that no line is made for nobody. NULL:
	 * all are. Any thread. */
	bool (*log_wants)(void *context, unsigned status);
	/* Told of each answer that is, on a worker thread. NULL: no log. */
	void (*log)(void *context, const struct zp_api_log_line *line);
	void *context;
};

/* IPFS Cluster's defaults: any origin, GET, its exposed headers, credentials. */
void zp_api_cors_defaults(struct zp_api_cors *cors);

ZP_MUST_CHECK int zp_api_new(
    const struct zp_api_options *options, struct zp_api **api_out, struct zp_err *err);

/* No request may be under way. NULL is allowed. */
void zp_api_free(struct zp_api *api);

/* Fills in handler, finished and context; address and TLS are the caller's. */
void zp_api_listen(struct zp_api *api, struct zp_http_listen *listen);

/* ---- Management ------------------------------------------------------------------------------ */

/*
 * What only the operator sees and does. A metrics listener has GET /metrics and /health, open to
 * all. A management listener has these, GET /info and /snapshots, POST /checkpoint, /settle, /seal,
 * /verify, /snapshot?name=, /peers/move?from=&to= and /read-only?on=, and DELETE /snapshot?name=,
 * and hands every other path to the REST API, so that one Unix socket serves the command line. Its
 * sign-in is the REST API's: none on a Unix socket, which is guarded by its mode. Long work runs on
 * a thread of its own, one at a time; a second is told 503.
 */
struct zp_manage; /* opaque */

struct zp_manage_options {
	struct zp_node *node;
	struct zp_api *api;                  /* for the other paths; must outlive it */
	const struct zp_http_server *server; /* whose counters are shown */
	const char *root;                    /* shown by /info */
	const char *version;
	bool (*free_space)(void *context, uint64_t *bytes_out);
	void *context;
};

/* Copied, except node, api, server and context. */
struct zp_manage *zp_manage_new(const struct zp_manage_options *options);
/* Waits for the work under way. No request may be. NULL is allowed. */
void zp_manage_free(struct zp_manage *manage);

/* Fills in handler, finished and context of a management or a metrics listener. */
void zp_manage_listen(struct zp_manage *manage, struct zp_http_listen *listen);
void zp_manage_listen_metrics(struct zp_manage *manage, struct zp_http_listen *listen);

#endif
