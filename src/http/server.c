/*
 * server.c - the server: its worker threads, their start and their orderly end, and the counters.
 *
 * Flow:  main makes it, listener.c adds addresses, _start runs the loops, _stop drains them.
 * Owner: the caller's thread; workers are reached through their loops' mailboxes.
 */
#include "http/http_internal.h"

#include <errno.h>
#include <signal.h>
#include <sys/random.h>
#include <time.h>

#define STOP_CUT_MS 60000u /* cutting needs no client; more would mean a handler that blocks */

void
zp_http_config_defaults(struct zp_http_config *config)
{
	*config = (struct zp_http_config){
	    .worker_count = 2,
	    .connections_max = 16384,
	    .head_bytes_max = ZP_HTTP_HEAD_BYTES_MAX,
	    .headers_max = ZP_HTTP_HEADERS_MAX,
	    .head_timeout_ms = 5000,
	    .body_progress_ms = 30000,
	    .write_progress_ms = 30000,
	    .idle_timeout_ms = 120000,
	};
}

static int
config_check(const struct zp_http_config *config, struct zp_err *err)
{
	if (config->worker_count < 1 || config->worker_count > 256)
		return zp_fail(err, ZP_E_INVALID, "HTTP workers must be 1 to 256, not %u",
		    config->worker_count);
	if (config->head_bytes_max < 256 || config->head_bytes_max > HTTP_HEAD_BYTES_LIMIT)
		return zp_fail(err, ZP_E_INVALID,
		    "the limit of a request's head must be 256 to %u "
		    "bytes, not %u",
		    HTTP_HEAD_BYTES_LIMIT, config->head_bytes_max);
	if (config->headers_max < 1 || config->headers_max > ZP_HTTP_HEADERS_MAX)
		return zp_fail(err, ZP_E_INVALID,
		    "the limit of header lines must be 1 to %u, not %u", ZP_HTTP_HEADERS_MAX,
		    config->headers_max);
	return 0;
}

static void
worker_done(struct http_worker *worker)
{
	while (worker->pool != NULL) {
		struct zp_http_request *request = worker->pool;

		worker->pool = request->pool_next;
		zp_buf_done(&request->answer_headers);
		zp_free(request);
	}
	zp_loop_free(worker->loop);
	zp_free(worker->in_bytes);
	zp_buf_done(&worker->out);
	zp_buf_done(&worker->piece);
}

static int
worker_init(struct http_worker *worker, struct zp_http_server *server, struct zp_err *err)
{
	worker->server = server;
	worker->in_bytes = zp_alloc(HTTP_READ_BYTES);
	zp_buf_init(&worker->out, HTTP_OUT_BYTES_MAX);
	zp_buf_init(&worker->piece, ZP_HTTP_PIECE_BYTES_MAX);
	return zp_loop_new(&worker->loop, err);
}

int
zp_http_server_new(
    const struct zp_http_config *config, struct zp_http_server **server_out, struct zp_err *err)
{
	struct zp_http_server *server;
	pthread_condattr_t attributes;
	int rc = config_check(config, err);

	if (rc < 0)
		return rc;
	server = zp_alloc_zero(1, sizeof(*server));
	server->config = *config;
	server->head_limits.head_bytes_max = (uint16_t)config->head_bytes_max;
	server->head_limits.headers_max = (uint16_t)config->headers_max;
	pthread_mutex_init(&server->stop_lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&server->stop_changed, &attributes);
	pthread_condattr_destroy(&attributes);
	server->workers = zp_alloc_zero(config->worker_count, sizeof(*server->workers));
	if (getrandom(&server->id_secret, sizeof(server->id_secret), 0) < 0) {
		rc = zp_fail_errno(err, errno, "get random bytes");
		goto fail;
	}
	for (unsigned i = 0; i < config->worker_count; i++) {
		rc = worker_init(&server->workers[i], server, err);
		if (rc < 0)
			goto fail;
	}
	*server_out = server;
	return 0;
fail:
	zp_http_server_free(server);
	return rc;
}

/* ---- Start ---------------------------------------------------------------------------------- */

static void *
worker_run(void *argument)
{
	struct http_worker *worker = argument;
	sigset_t pipe;

	/* OpenSSL writes without MSG_NOSIGNAL. */
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, NULL);
	zp_loop_run(worker->loop);
	return NULL;
}

int
zp_http_server_start(struct zp_http_server *server, struct zp_err *err)
{
	ZP_ASSERT(!server->started);
	server->started = true;
	for (unsigned i = 0; i < server->config.worker_count; i++) {
		struct http_worker *worker = &server->workers[i];
		int rc;

		for (unsigned j = 0; j < server->listener_count; j++)
			http__acceptor_start(
			    &worker->acceptors[j], worker, server->listeners[j], i);
		rc = pthread_create(&worker->thread, NULL, worker_run, worker);
		if (rc != 0)
			return zp_fail_errno(err, rc, "start HTTP worker %u", i);
		worker->has_thread = true;
	}
	return 0;
}

/* ---- Stop ----------------------------------------------------------------------------------- */

static void
stop_arrived(struct zp_http_server *server)
{
	pthread_mutex_lock(&server->stop_lock);
	ZP_ASSERT(server->stop_waiting > 0);
	if (--server->stop_waiting == 0)
		pthread_cond_broadcast(&server->stop_changed);
	pthread_mutex_unlock(&server->stop_lock);
}

void
http__worker_connection_gone(struct http_worker *worker)
{
	atomic_fetch_sub_explicit(&worker->server->connection_count, 1, memory_order_relaxed);
	if (worker->stopping && worker->connection_count == 0)
		stop_arrived(worker->server);
}

/* Calls `each` for all connections; each may free the one it is called with, but no other. */
static void
connections_each(struct http_worker *worker, void (*each)(struct http_connection *connection))
{
	struct http_connection *connection = worker->connections;

	while (connection != NULL) {
		struct http_connection *next = connection->next;

		each(connection);
		connection = next;
	}
}

/* A last look for a request that is already there; the pump closes what is idle after it. */
static void
connection_wind_down(struct http_connection *connection)
{
	connection->readable = true;
	http__connection_kick(connection);
}

static void
worker_stop(struct zp_task *task)
{
	struct http_worker *worker = ZP_CONTAINER(task, struct http_worker, stop_task);

	for (unsigned i = 0; i < worker->server->listener_count; i++)
		http__acceptor_stop(&worker->acceptors[i]);
	worker->stopping = true;
	if (worker->connection_count == 0)
		stop_arrived(worker->server);
	else
		connections_each(worker, connection_wind_down);
}

static void
worker_cut(struct zp_task *task)
{
	struct http_worker *worker = ZP_CONTAINER(task, struct http_worker, cut_task);

	/* A worker that has arrived is not waited for any more and leaves the count alone. */
	if (worker->connection_count == 0)
		return;
	pthread_mutex_lock(&worker->server->stop_lock);
	worker->server->stop_cut += worker->connection_count;
	pthread_mutex_unlock(&worker->server->stop_lock);
	connections_each(worker, http__connection_cut);
}

/* Waits until all workers have no connections, or the deadline. Returns how many were cut so far.
 */
static unsigned
stop_wait(struct zp_http_server *server, uint64_t deadline_ms)
{
	struct timespec until = {.tv_sec = (time_t)(deadline_ms / 1000),
	    .tv_nsec = (long)(deadline_ms % 1000 * 1000000)};
	unsigned cut;
	int rc = 0;

	pthread_mutex_lock(&server->stop_lock);
	while (server->stop_waiting > 0 && rc == 0)
		rc = pthread_cond_timedwait(&server->stop_changed, &server->stop_lock, &until);
	cut = server->stop_cut;
	pthread_mutex_unlock(&server->stop_lock);
	return cut;
}

unsigned
zp_http_server_stop(struct zp_http_server *server, uint32_t deadline_ms)
{
	unsigned cut;

	if (!server->started || server->stopped)
		return 0;
	server->stopped = true;
	for (unsigned i = 0; i < server->config.worker_count; i++)
		server->stop_waiting += server->workers[i].has_thread;
	for (unsigned i = 0; i < server->config.worker_count; i++) {
		struct http_worker *worker = &server->workers[i];

		worker->stop_task.run = worker_stop;
		if (worker->has_thread)
			zp_loop_post(worker->loop, &worker->stop_task);
	}
	stop_wait(server, zp_clock_ms() + deadline_ms);
	for (unsigned i = 0; i < server->config.worker_count; i++) {
		struct http_worker *worker = &server->workers[i];

		worker->cut_task.run = worker_cut;
		if (worker->has_thread)
			zp_loop_post(worker->loop, &worker->cut_task);
	}
	cut = stop_wait(server, zp_clock_ms() + STOP_CUT_MS);
	for (unsigned i = 0; i < server->listener_count; i++)
		http__listener_close(server->listeners[i]);
	return cut;
}

void
zp_http_server_free(struct zp_http_server *server)
{
	if (server == NULL)
		return;
	zp_ignore((int)zp_http_server_stop(server, 0)); /* how many were cut is of no interest */
	for (unsigned i = 0; i < server->config.worker_count; i++) {
		struct http_worker *worker = &server->workers[i];

		if (worker->has_thread) {
			zp_loop_stop(worker->loop);
			pthread_join(worker->thread, NULL);
		}
		/* A kept request would answer into freed memory. */
		ZP_ASSERT(worker->requests_out == 0);
		worker_done(worker);
	}
	for (unsigned i = 0; i < server->listener_count; i++)
		http__listener_free(server->listeners[i]);
	pthread_mutex_destroy(&server->stop_lock);
	pthread_cond_destroy(&server->stop_changed);
	zp_free(server->workers);
	zp_free(server);
}

/* ---- Counters ------------------------------------------------------------------------------- */

void
zp_http_server_counters(const struct zp_http_server *server, struct zp_http_counters *counters_out)
{
	struct zp_http_counters sum = {
	    .connections_open =
		atomic_load_explicit(&server->connection_count, memory_order_relaxed),
	};

	for (unsigned i = 0; i < server->config.worker_count; i++) {
		const struct http_counters *from = &server->workers[i].counters;

		sum.connections += from->connections;
		sum.connections_refused += from->connections_refused;
		sum.requests += from->requests;
		for (size_t j = 0; j < ZP_ARRAY_COUNT(sum.answers); j++)
			sum.answers[j] += from->answers[j];
		sum.bytes_in += from->bytes_in;
		sum.bytes_out += from->bytes_out;
		sum.parse_errors += from->parse_errors;
		sum.timeouts += from->timeouts;
		sum.tls_failures += from->tls_failures;
	}
	*counters_out = sum;
}
