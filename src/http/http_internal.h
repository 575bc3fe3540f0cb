/*
 * http_internal.h - what the files of http/ share. README.md walks one request through them.
 */
#ifndef ZP_HTTP_HTTP_INTERNAL_H
#define ZP_HTTP_HTTP_INTERNAL_H

#include <openssl/types.h>
#include <pthread.h>
#include <stdatomic.h>

#include "http/http.h"

/* ---- Limits that nobody sets ---------------------------------------------------------------- */

#define HTTP_HEAD_BYTES_LIMIT 65535u         /* offsets in a head are 16 bits */
#define HTTP_METHOD_BYTES_MAX 32u            /* longer: 501 */
#define HTTP_CHUNK_EXTENSION_BYTES_MAX 4096u /* of one body, all chunks together */
#define HTTP_CHUNK_TRAILER_BYTES_MAX 8192u
/* One recv of a body; a worker has one such buffer. */
#define HTTP_READ_BYTES ZP_HTTP_BODY_PIECE_BYTES_MAX
#define HTTP_READ_HEADS_BYTES (32u << 10)  /* one recv of heads: what may wait in a connection */
#define HTTP_TURN_BYTES (1u << 20)         /* a connection lets others go first after this many */
#define HTTP_BURST_BYTES (256u << 10)      /* of pipelined answers in one write */
#define HTTP_DISCARD_BYTES_MAX (64u << 10) /* of an unread body, to keep the connection */
#define HTTP_LINGER_BYTES_MAX (1u << 20)   /* drained after our last byte, so that it is not lost */
#define HTTP_LINGER_MS 2000u
#define HTTP_ANSWER_BODY_BYTES_MAX (64u << 20)
#define HTTP_OUT_BYTES_MAX (72u << 20) /* one such answer behind what a burst holds */
#define HTTP_OUT_BYTES_KEPT (1u << 20) /* by a worker between bursts */
#define HTTP_ANSWER_HEADERS_BYTES_MAX (16u << 10)
#define HTTP_PROGRESS_BYTES 1024u /* of a body, per body_progress_ms */
#define HTTP_REQUEST_POOL_MAX 64u /* request objects a worker keeps for reuse */
#define HTTP_ACCEPTS_PER_TURN 64

/* ---- Head parser (parse.c; pure) ------------------------------------------------------------ */

struct http_span {
	uint16_t offset; /* from the head's first byte */
	uint16_t length;
};

struct http_field {
	struct http_span name;
	struct http_span value; /* without the white space around it */
};

enum http_stage {
	HTTP_STAGE_START, /* no byte seen */
	HTTP_STAGE_LINE,  /* in the request line */
	HTTP_STAGE_FIELDS,
	HTTP_STAGE_DONE,
};

/* A request's head, while it arrives and after. Offsets only: the bytes may move between calls. */
struct http_head {
	uint8_t stage;         /* enum http_stage */
	uint8_t method;        /* enum zp_http_method */
	bool is_http_1_1;      /* else 1.0 */
	bool connection_close; /* the header's word */
	bool connection_keep_alive;
	bool expects_continue;
	bool expects_other;
	bool has_host;
	bool has_length;
	bool is_chunked;
	bool has_coding;     /* a Transfer-Encoding of any kind */
	bool skipped_line;   /* the one empty line that may come before a request */
	bool is_absolute;    /* host is the target's */
	uint16_t line_start; /* of the line being looked for */
	uint16_t scanned;    /* no line end before this */
	uint16_t length;     /* the head's, with the empty line; when done */
	uint16_t field_count;
	struct http_span method_text;
	struct http_span target;
	struct http_span path; /* empty only for an absolute target without one */
	struct http_span query;
	struct http_span host;
	uint64_t content_length;
	struct http_field fields[ZP_HTTP_HEADERS_MAX]; /* not cleared by reset */
};

struct http_head_limits {
	uint16_t head_bytes_max;
	uint16_t headers_max;
};

void http__head_reset(struct http_head *head);

/*
 * Continues with the bytes that are there: data[0] is the head's first byte at each call. Returns
 * the head's length, 0 when more bytes are needed, or minus the HTTP status of what is wrong. The
 * verdict does not depend on how the bytes were cut.
 */
int http__head_parse(struct http_head *head, const struct http_head_limits *limits,
    const uint8_t *data, size_t length);

bool http__is_token(uint8_t byte); /* of a method or a header's name */
bool http__is_text(uint8_t byte);  /* of a header's value */
bool http__text_equal(const uint8_t *text, size_t length, const char *name); /* any case */

/* ---- Chunk decoder (chunk.c; pure) ---------------------------------------------------------- */

enum http_chunk_result {
	HTTP_CHUNK_MORE, /* all bytes are used */
	HTTP_CHUNK_DATA, /* *piece_out is body */
	HTTP_CHUNK_END,  /* the last byte of the body's framing is used */
	HTTP_CHUNK_BAD,
};

struct http_chunked {
	uint64_t remaining; /* of this chunk; or its size so far */
	uint16_t extension_bytes;
	uint16_t trailer_bytes;
	uint8_t state;
	uint8_t digits;
};

void http__chunked_init(struct http_chunked *decoder);
enum http_chunk_result http__chunked_next(
    struct http_chunked *decoder, struct zp_slice *bytes, struct zp_slice *piece_out);

/* ---- Objects -------------------------------------------------------------------------------- */

struct http_worker;
struct http_connection;

enum http_body_mode {
	HTTP_BODY_UNASKED, /* not read until asked for or answered */
	HTTP_BODY_WHOLE,
	HTTP_BODY_SINK,
	HTTP_BODY_DISCARD,
};

enum http_answer_state {
	HTTP_ANSWER_NONE,
	HTTP_ANSWER_STREAM,
	HTTP_ANSWER_OVER, /* the handler has nothing more to do with it */
};

#define HTTP_WAKE_STREAM 1u
#define HTTP_WAKE_BODY 2u
#define HTTP_WAKE_QUEUED 4u

#define HTTP_REQUEST_ROOM_BYTES 1024u

/*
 * References: one of the connection and the handler together, until the answer is over and the
 * connection has let go; one for each zp_http_hold; one while its task is queued.
 */
struct zp_http_request {
	struct http_connection *connection; /* NULL: the client is gone */
	struct http_worker *worker;
	const struct zp_http_listener *listener;
	struct zp_http_request *pool_next;
	atomic_uint references;
	atomic_uint wake; /* HTTP_WAKE_* */
	struct zp_task task;

	uint64_t started_ms;
	void *user;
	uint8_t *bytes; /* the head, then room for its decoded target; room[] or heap */
	char id[16];
	char peer[56];
	uint8_t peer_length;
	bool has_id;
	bool keep_alive; /* as far as the request goes */

	/* Body in. */
	uint8_t body_mode;  /* enum http_body_mode */
	bool body_complete; /* all of it has come, or there is none */
	bool body_failed;   /* told so; nothing more will be read */
	bool body_paused;
	bool continue_owed; /* the client waits for 100 Continue */
	uint64_t body_left; /* with a Content-Length */
	uint64_t body_discarded;
	struct http_chunked chunked;
	struct zp_buf body; /* HTTP_BODY_WHOLE */
	zp_http_body_done body_done;
	void *body_context;
	struct zp_http_sink sink;

	/* Answer out. */
	uint8_t answer_state; /* enum http_answer_state */
	bool answer_close;    /* it said Connection: close, or must end so */
	bool answer_chunked;
	bool answer_no_body; /* HEAD */
	bool stream_waits;
	uint16_t status;
	uint64_t answer_bytes;
	struct zp_buf answer_headers;
	struct zp_buf trailers;
	struct zp_http_producer producer;

	struct http_head head;
	uint8_t room[HTTP_REQUEST_ROOM_BYTES];
};

enum http_deadline {
	HTTP_DEADLINE_NONE,
	HTTP_DEADLINE_IDLE,
	HTTP_DEADLINE_HEAD,
	HTTP_DEADLINE_BODY,
	HTTP_DEADLINE_WRITE,
	HTTP_DEADLINE_LINGER,
};

/* Kept small: ten thousand of them may be idle. */
struct http_connection {
	struct zp_source source;
	struct zp_timer timer;
	struct zp_task task; /* pump again */
	struct http_worker *worker;
	const struct zp_http_listener *listener;
	struct http_connection *next;
	struct http_connection **link;
	struct zp_http_request *request; /* its head arriving, or under way; NULL while idle */
	SSL *tls;                        /* NULL: plain */
	struct zp_buf in;                /* read, not yet used; empty while idle */
	struct zp_buf out;               /* not yet taken by the socket; empty while idle */
	uint32_t out_sent;               /* bytes of `out` that are on their way */
	uint8_t peer_address[16];
	uint16_t peer_port;
	uint16_t peer_family;
	uint32_t progress_bytes; /* of a body, since the deadline was last moved */
	uint32_t unsent_bytes;   /* in the kernel when the write deadline was last looked at */
	uint8_t deadline;        /* enum http_deadline */
	bool expired;            /* the timer fired; the pump acts on it */
	bool readable;           /* the socket may have bytes */
	bool tls_wants_out;
	bool saw_eof;
	bool failed;    /* the socket is of no more use */
	bool closing;   /* no more requests; close when all is written */
	bool lingering; /* our side is shut; draining theirs */
	bool queued;    /* task is posted */
	bool dead;      /* freed when the task has run */
};

/* One per worker and listener. */
struct http_acceptor {
	struct zp_source source;
	struct zp_timer timer; /* accepting again after a lack of descriptors */
	struct http_worker *worker;
	struct zp_http_listener *listener;
	bool listening;
};

struct http_counters {
	_Atomic uint64_t connections, connections_refused, requests, answers[6], bytes_in,
	    bytes_out, parse_errors, timeouts, tls_failures;
};

#define HTTP_LISTENERS_MAX 32

struct http_worker {
	struct zp_http_server *server;
	struct zp_loop *loop;
	struct http_connection *connections;
	struct http_connection *current; /* being pumped: in_bytes and out are its */
	struct zp_http_request *pool;
	unsigned pool_count;
	unsigned requests_out; /* requests whose answer is not over */
	bool stopping;
	uint8_t *in_bytes; /* HTTP_READ_BYTES */
	struct zp_buf out;
	struct zp_buf piece; /* what a producer makes */
	int64_t date_seconds;
	char date[40]; /* "Date: …\r\n" */
	unsigned connection_count;
	struct http_acceptor acceptors[HTTP_LISTENERS_MAX];
	struct zp_task stop_task;
	struct zp_task cut_task;
	pthread_t thread;
	bool has_thread;
	struct http_counters counters;
};

struct zp_http_listener {
	struct zp_http_server *server;
	struct zp_http_listen listen; /* texts are owned copies */
	uint16_t port;
	bool is_unix;
	bool unix_bound; /* the socket's file is ours to remove */
	int family;
	int *fds;                 /* one per worker; a Unix socket's are one descriptor */
	pthread_mutex_t tls_lock; /* tls_context changes while connections are accepted */
	SSL_CTX *tls_context;     /* NULL: plain */
};

struct zp_http_server {
	struct zp_http_config config;
	struct http_head_limits head_limits;
	struct http_worker *workers;
	struct zp_http_listener *listeners[HTTP_LISTENERS_MAX];
	unsigned listener_count;
	bool started;
	bool stopped;
	atomic_uint connection_count;
	atomic_uint_least64_t request_counter;
	uint64_t id_secret;
	pthread_mutex_t stop_lock;
	pthread_cond_t stop_changed;
	unsigned stop_waiting; /* workers that still have what is waited for */
	unsigned stop_cut;     /* connections cut at the deadline */
};

static inline void
http__count(_Atomic uint64_t *counter, uint64_t more)
{
	/* Only the worker writes, so no locked instruction is needed. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
	    memory_order_relaxed);
}

/* ---- connection.c --------------------------------------------------------------------------- */

/* Takes over the accepted descriptor. tls is owned or NULL. */
void http__connection_open(struct http_worker *worker, const struct zp_http_listener *listener,
    int fd, SSL *tls, const void *peer);
/* Does all that can be done now; may free the connection. Queues it when another is being pumped.
 */
void http__connection_kick(struct http_connection *connection);
void http__connection_cut(struct http_connection *connection); /* now, without a word */
/* Where bytes for the client are put: the worker's buffer while it is pumped, else its own. */
struct zp_buf *http__connection_out(struct http_connection *connection);
bool http__connection_is_idle(const struct http_connection *connection);

/* ---- transport.c ---------------------------------------------------------------------------- */

#define HTTP_IO_AGAIN (-1)
#define HTTP_IO_FAILED (-2)

/* Bytes moved, 0 for the end (receive only), HTTP_IO_AGAIN or HTTP_IO_FAILED. */
ssize_t http__receive(struct http_connection *connection, uint8_t *to, size_t bytes_max);
ssize_t http__send(struct http_connection *connection, const uint8_t *from, size_t bytes);
uint32_t http__unsent(const struct http_connection *connection); /* bytes not yet acknowledged */
void http__shutdown(struct http_connection *connection);         /* our side; theirs may go on */
ZP_MUST_CHECK int http__tls_context_new(
    const char *cert_file, const char *key_file, SSL_CTX **context_out, struct zp_err *err);

/* ---- request.c ------------------------------------------------------------------------------ */

struct zp_http_request *http__request_new(struct http_connection *connection);
void http__request_release(struct zp_http_request *request);
/* Takes the parsed head's bytes and decides how the body comes. */
void http__request_begin(struct zp_http_request *request, const uint8_t *head_bytes);
/* The answer has ended; the connection lets go of it when the body has ended too. */
void http__request_over(struct zp_http_request *request, bool on_the_wire);
/* The client is gone: ends what is under way. The handler still answers where it has not. */
void http__request_detach(struct zp_http_request *request);
struct zp_slice http__request_slice(const struct zp_http_request *request, struct http_span span);

/* ---- body.c --------------------------------------------------------------------------------- */

bool http__body_wants(const struct zp_http_request *request); /* bytes, now */
void http__body_feed(struct zp_http_request *request, struct zp_slice *bytes);
void http__body_fail(struct zp_http_request *request, int error);
void http__body_discard(struct zp_http_request *request); /* answered: the rest is of no interest */

/* ---- answer.c ------------------------------------------------------------------------------- */

/* The server's own answer, before there is a request for a handler. Closes. */
void http__answer_error(struct http_connection *connection, unsigned status);
const char *http__reason(unsigned status);
void http__stream_run(struct zp_http_request *request); /* produces until full, waiting or over */
void http__stream_end(struct zp_http_request *request, bool complete);

/* ---- listener.c ----------------------------------------------------------------------------- */

void http__acceptor_start(struct http_acceptor *acceptor, struct http_worker *worker,
    struct zp_http_listener *listener, unsigned worker_index);
void http__acceptor_stop(struct http_acceptor *acceptor);
void http__listener_close(struct zp_http_listener *listener); /* when no worker accepts */
void http__listener_free(struct zp_http_listener *listener);

/* ---- server.c ------------------------------------------------------------------------------- */

void http__worker_connection_gone(struct http_worker *worker);

#endif
