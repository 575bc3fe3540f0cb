/*
 * http.h - an HTTP/1.1 server: listeners, requests in, answers out. Knows no pins.
 *
 * Flow:   main makes a server, adds listeners, starts it; each listener's handler is called with
 *         each request when its head has arrived; api answers.
 * Owner:  a request belongs to the worker thread (loop) of its connection. All functions that take
 *         a request are for that thread, except those under "Any thread".
 * Rule:   the handler owns the request until it answers, and answers exactly once, at once or
 *         later, whatever happens; when the client is gone the answer goes nowhere but ends the
 *         request. Slices got from a request live until its answer is given (a stream's: until
 *         its end).
 */
#ifndef ZP_HTTP_HTTP_H
#define ZP_HTTP_HTTP_H

#include "base/base.h"
#include "loop/loop.h"

/* Opaque: a set of worker threads; an address with its handler, which lives as long as the server;
 * one request. */
struct zp_http_server;
struct zp_http_listener;
struct zp_http_request;

/* ---- Server --------------------------------------------------------------------------------- */

struct zp_http_config {
	unsigned worker_count;      /* threads, 1 to 256 */
	unsigned connections_max;   /* of all listeners together; over it: 503 and closed */
	uint32_t head_bytes_max;    /* request line and headers, 256 to 65535 */
	uint32_t headers_max;       /* header lines, 1 to ZP_HTTP_HEADERS_MAX */
	uint32_t head_timeout_ms;   /* first byte to end of head; also the TLS handshake */
	uint32_t body_progress_ms;  /* some body byte must come within this */
	uint32_t write_progress_ms; /* the client must take some byte within this */
	uint32_t idle_timeout_ms;   /* keep-alive without a request */
};

/* 2 workers, 16,384 connections, the limits of base/limits.h, 5 s head, 30 s body and write, 2 min.
 */
void zp_http_config_defaults(struct zp_http_config *config);

typedef void (*zp_http_handler)(struct zp_http_request *request, void *context);

struct zp_http_listen {
	const char *host;          /* address or name, IPv6 without brackets; "::" takes IPv4 too */
	uint16_t port;             /* 0: the kernel chooses, see zp_http_listener_port */
	const char *unix_path;     /* a Unix socket instead of host and port; else NULL */
	unsigned unix_mode;        /* of its file, as 0660 */
	const char *tls_cert_file; /* PEM chain; NULL: plain */
	const char *tls_key_file;  /* PEM */
	zp_http_handler handler;   /* called on a worker thread when a request's head is complete */
	zp_http_handler finished; /* NULL or called once per answer, for a log; request read-only */
	void *context;            /* of both; must outlive the server */
};

ZP_MUST_CHECK int zp_http_server_new(
    const struct zp_http_config *config, struct zp_http_server **server_out, struct zp_err *err);

/* Binds and listens, so that a taken port is an error here; accepts only after _start. Before it.
 */
ZP_MUST_CHECK int zp_http_server_listen(struct zp_http_server *server,
    const struct zp_http_listen *listen, struct zp_http_listener **listener_out,
    struct zp_err *err);

uint16_t zp_http_listener_port(const struct zp_http_listener *listener); /* 0 for Unix sockets */

/* Whether these files would serve: readable, a pair, and the certificate in date. */
ZP_MUST_CHECK int zp_http_tls_check(
    const char *cert_file, const char *key_file, struct zp_err *err);

/* Reads the certificate and key files again; on failure the old ones stay. Any thread. */
ZP_MUST_CHECK int zp_http_listener_tls_reload(
    struct zp_http_listener *listener, struct zp_err *err);

ZP_MUST_CHECK int zp_http_server_start(struct zp_http_server *server, struct zp_err *err);

/*
 * Stops accepting, lets requests finish for up to `deadline_ms`, closes what is left and returns.
 * Requests that handlers still keep stay valid and must still be answered before _free. Not for
 * worker threads. Returns the number of connections that had to be cut.
 */
unsigned zp_http_server_stop(struct zp_http_server *server, uint32_t deadline_ms);

/* Stops if that was not done, ends the threads and frees. NULL is allowed. */
void zp_http_server_free(struct zp_http_server *server);

/* All only grow, but for connections_open. Read without locks: a sum of what each worker has. */
struct zp_http_counters {
	uint64_t connections_open;
	uint64_t connections;         /* accepted */
	uint64_t connections_refused; /* over connections_max */
	uint64_t requests;
	uint64_t answers[6]; /* by class: [2] is 2xx; [0] ended without an answer on the wire */
	uint64_t bytes_in;
	uint64_t bytes_out;
	uint64_t parse_errors; /* heads or bodies that were not HTTP */
	uint64_t timeouts;     /* head, body, write; not idle */
	uint64_t tls_failures; /* handshakes */
};
void zp_http_server_counters(
    const struct zp_http_server *server, struct zp_http_counters *counters_out);

/* ---- Request -------------------------------------------------------------------------------- */

enum zp_http_method {
	ZP_HTTP_OTHER, /* any other token: see zp_http_method_text; CONNECT never gets here */
	ZP_HTTP_GET,
	ZP_HTTP_HEAD,
	ZP_HTTP_POST,
	ZP_HTTP_PUT,
	ZP_HTTP_PATCH,
	ZP_HTTP_DELETE,
	ZP_HTTP_OPTIONS,
};

enum zp_http_method zp_http_method(const struct zp_http_request *request);
struct zp_slice zp_http_method_text(const struct zp_http_request *request);
struct zp_slice zp_http_path(const struct zp_http_request *request);  /* raw; "*" of OPTIONS * */
struct zp_slice zp_http_query(const struct zp_http_request *request); /* raw, without the '?' */
struct zp_slice zp_http_host(
    const struct zp_http_request *request); /* target's or Host's; may be "" */
struct zp_slice zp_http_peer(
    struct zp_http_request *request);                        /* "127.0.0.1:5", "[::1]:5", "unix" */
struct zp_slice zp_http_id(struct zp_http_request *request); /* 16 hex digits, unique here */
bool zp_http_is_tls(const struct zp_http_request *request);
void *zp_http_user(const struct zp_http_request *request); /* NULL or what the handler set */
void zp_http_user_set(struct zp_http_request *request, void *user);

/* The first header of that name (any case): true and its value, trimmed. */
bool zp_http_header(
    const struct zp_http_request *request, const char *name, struct zp_slice *value_out);
/* All headers in order: 0 or ZP_END. *position starts at 0. */
int zp_http_header_next(const struct zp_http_request *request, size_t *position,
    struct zp_slice *name_out, struct zp_slice *value_out);

/* Segments between the path's slashes, percent-decoded ("/a//b" has "a", "", "b"; "/" has "").
 * 0, ZP_END, or ZP_E_INVALID for a bad escape (Go answers 400 then). *position starts at 0. */
int zp_http_path_next(
    struct zp_http_request *request, size_t *position, struct zp_slice *segment_out);

/* Query pairs in order as Go's url.ParseQuery gives them: '+' is a space, pairs with a bad escape
 * or a semicolon are dropped, empty ones too. 0 or ZP_END. *position starts at 0. */
int zp_http_query_next(struct zp_http_request *request, size_t *position, struct zp_slice *key_out,
    struct zp_slice *value_out);
/* The first value of `key`. */
bool zp_http_query_get(
    struct zp_http_request *request, const char *key, struct zp_slice *value_out);

/* ---- Body of the request: ask for it in the handler, at most once; unasked it is discarded --- */

/* `done` is called once: error 0 and the whole body; ZP_E_TOO_LARGE over `length_max` (answer 413),
 * ZP_E_INVALID (400), ZP_E_TIMEOUT (408), ZP_E_IO (client gone): answer in each case. It may be
 * called before _read returns. */
typedef void (*zp_http_body_done)(
    struct zp_http_request *request, void *context, int error, struct zp_slice body);
void zp_http_body_read(
    struct zp_http_request *request, size_t length_max, zp_http_body_done done, void *context);

#define ZP_HTTP_BODY_PIECE_BYTES_MAX (256u << 10)

struct zp_http_sink {
	/* A piece; valid during the call, all of it is taken. True: pause after it, until
	 * zp_http_body_resume. One that was asked for before the pause may end it: then one more
	 * piece comes, and can be answered with true again. */
	bool (*data)(struct zp_http_request *request, void *context, struct zp_slice data);
	/* Once: 0 when the body is complete, else an error as above. Not called after an answer at
	 * once; with a streamed answer it is, when the body outlasts it, before the stream's `end`.
	 */
	void (*end)(struct zp_http_request *request, void *context, int error);
	void *context;
};
void zp_http_body_stream(struct zp_http_request *request, const struct zp_http_sink *sink);

/* ---- Answer --------------------------------------------------------------------------------- */

/* Adds a header to the answer to come; name and value go out as given, but CR, LF and NUL in a
 * value become spaces. Server makes Date, Connection, Content-Length and Transfer-Encoding itself.
 */
void zp_http_answer_header(
    struct zp_http_request *request, const char *name, struct zp_slice value);
void zp_http_answer_header_text(
    struct zp_http_request *request, const char *name, const char *value);
void zp_http_answer_header_remove(struct zp_http_request *request, const char *name);
void zp_http_answer_headers_clear(struct zp_http_request *request);

/* Answers at once; the body is copied. The request is over: do not touch it again. */
void zp_http_answer(struct zp_http_request *request, unsigned status, struct zp_slice body);

enum zp_http_produced {
	ZP_HTTP_MORE,  /* call again when the client has taken this */
	ZP_HTTP_WAIT,  /* nothing more now: zp_http_stream_resume will come */
	ZP_HTTP_DONE,  /* that was all; trailers are set */
	ZP_HTTP_ABORT, /* cut the connection, so that the client sees a broken answer */
};

#define ZP_HTTP_PIECE_BYTES 65536u         /* a producer should stop at about this length */
#define ZP_HTTP_PIECE_BYTES_MAX (2u << 20) /* of one call; overflow of `out` aborts the stream */

struct zp_http_producer {
	/* Appends to `out`, which is empty at each call. May add trailers. */
	enum zp_http_produced (*produce)(
	    struct zp_http_request *request, void *context, struct zp_buf *out);
	/* Once, when the stream has ended in any way; frees the context. complete: nothing was cut
	 * off by an abort, an error or the client going away. */
	void (*end)(struct zp_http_request *request, void *context, bool complete);
	void *context;
};

/* Answers with a stream: chunked for 1.1, until close for 1.0. The request is over after `end`.
 * Allowed while the request's body is still streaming in. */
void zp_http_answer_stream(
    struct zp_http_request *request, unsigned status, const struct zp_http_producer *producer);

/* Inside produce: a field after the last chunk, also with an empty value; several of one name are
 * several lines. Announce it with a `Trailer` header. Dropped for 1.0. */
void zp_http_trailer(struct zp_http_request *request, const char *name, struct zp_slice value);

/* Of an answer: for `finished`. */
unsigned zp_http_answer_status(const struct zp_http_request *request);
uint64_t zp_http_answer_bytes(const struct zp_http_request *request); /* of the body */
uint64_t zp_http_started_ms(const struct zp_http_request *request);   /* zp_clock_ms of the head */

/* ---- Any thread ----------------------------------------------------------------------------- */

/* Runs the task on the request's thread; to be used to answer from elsewhere. The request must not
 * be over, or be held. */
void zp_http_post(struct zp_http_request *request, struct zp_task *task);

/* A held request's memory stays, though it may be over; resuming then does nothing. */
void zp_http_hold(struct zp_http_request *request);
void zp_http_release(struct zp_http_request *request);

void zp_http_stream_resume(struct zp_http_request *request);
void zp_http_body_resume(struct zp_http_request *request);

/* ---- For others ----------------------------------------------------------------------------- */

/* Decodes %XX (and '+' where asked) from `raw` to `to`, which has room for raw.length bytes.
 * Returns the length or ZP_E_INVALID. */
ZP_MUST_CHECK int zp_http_unescape(struct zp_slice raw, bool plus_is_space, uint8_t *to);

#endif
