/*
 * server.c - a small server on src/http for the black-box tests and for measuring.
 *
 * Usage: http-test-server [key=value …]; prints "ready port=… tls_port=…" and runs until SIGTERM,
 *        then stops with a deadline of stop_ms and prints "stopped cut=…". SIGHUP reads the
 *        certificate again.
 *
 * Each path shows one way to use a request; a helper thread plays the part of "another thread".
 *
 * full=N: of N + 1 sends in a row only the last finds room in the socket. So what depends on the
 * moment at which a client reads happens each time.
 */
#include "http/http.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static struct zp_http_server *server;
static atomic_uint streams_ended, streams_cut, bodies_failed;
static char body_300[300];

/* ---- Sockets that are full ------------------------------------------------------------------ */

static uint32_t sends_refused; /* of a row */
static atomic_uint sends;

ssize_t __real_send(int fd, const void *bytes, size_t length, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t length, int flags);

/* The linker puts it where src/http calls send. */
ssize_t
__wrap_send(int fd, const void *bytes, size_t length, int flags)
{
	if (sends_refused > 0 &&
	    atomic_fetch_add(&sends, 1) % (sends_refused + 1) < sends_refused) {
		errno = EAGAIN;
		return -1;
	}
	return __real_send(fd, bytes, length, flags);
}

/* ---- The other thread: does what it is given after a moment --------------------------------- */

struct job {
	struct zp_task task; /* for the way back */
	struct job *next;
	void (*work)(struct job *job); /* on the other thread */
	struct zp_http_request *request;
	uint64_t number;
	uint64_t sum;
	bool wait;
	bool ended;
};

static pthread_mutex_t jobs_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t jobs_changed = PTHREAD_COND_INITIALIZER;
static struct job *jobs;
static bool jobs_over;

static void
job_give(struct job *job)
{
	pthread_mutex_lock(&jobs_lock);
	job->next = jobs;
	jobs = job;
	pthread_cond_signal(&jobs_changed);
	pthread_mutex_unlock(&jobs_lock);
}

static void *
jobs_run(void *argument)
{
	(void)argument;
	pthread_mutex_lock(&jobs_lock);
	while (!jobs_over || jobs != NULL) {
		struct job *job = jobs;

		if (job == NULL) {
			pthread_cond_wait(&jobs_changed, &jobs_lock);
			continue;
		}
		jobs = job->next;
		pthread_mutex_unlock(&jobs_lock);
		usleep(5000);
		job->work(job);
		pthread_mutex_lock(&jobs_lock);
	}
	pthread_mutex_unlock(&jobs_lock);
	return NULL;
}

static struct job *
job_new(struct zp_http_request *request, void (*work)(struct job *job))
{
	struct job *job = zp_alloc_zero(1, sizeof(*job));

	job->request = request;
	job->work = work;
	return job;
}

/* ---- Small things --------------------------------------------------------------------------- */

static void
answer_text(struct zp_http_request *request, unsigned status, const char *text)
{
	zp_http_answer_header_text(request, "Content-Type", "text/plain");
	zp_http_answer(request, status, zp_slice_of(text));
}

static uint64_t
number_get(struct zp_http_request *request, const char *key, uint64_t otherwise)
{
	struct zp_slice value;
	char text[24] = "";

	if (!zp_http_query_get(request, key, &value) || value.length >= sizeof(text))
		return otherwise;
	memcpy(text, value.data, value.length);
	return strtoull(text, NULL, 10);
}

static unsigned
status_of(int error)
{
	switch (error) {
	case 0:
		return 200;
	case ZP_E_TOO_LARGE:
		return 413;
	case ZP_E_INVALID:
		return 400;
	case ZP_E_TIMEOUT:
		return 408;
	default:
		return 499;
	}
}

/* ---- Answered later ------------------------------------------------------------------------- */

static void
later_answer(struct zp_task *task)
{
	struct job *job = ZP_CONTAINER(task, struct job, task);

	answer_text(job->request, 200, "later\n");
	zp_free(job);
}

static void
later_work(struct job *job)
{
	job->task.run = later_answer;
	zp_http_post(job->request, &job->task);
}

/* ---- Bodies --------------------------------------------------------------------------------- */

static void
echo_done(struct zp_http_request *request, void *context, int error, struct zp_slice body)
{
	(void)context;
	if (error != 0) {
		atomic_fetch_add(&bodies_failed, 1);
		answer_text(request, status_of(error), "body failed\n");
		return;
	}
	zp_http_answer(request, 200, body);
}

/* The body is asked for after some time, as by who has to sign in first. */
static void
later_echo_ask(struct zp_task *task)
{
	struct job *job = ZP_CONTAINER(task, struct job, task);
	struct zp_http_request *request = job->request;

	zp_free(job);
	zp_http_body_read(request, 1u << 20, echo_done, NULL);
}

static void
later_echo_work(struct job *job)
{
	usleep(300000); /* enough for a reset to come first, most of the time */
	job->task.run = later_echo_ask;
	zp_http_post(job->request, &job->task);
}

static void
sink_resume(struct job *job)
{
	zp_http_body_resume(job->request);
	zp_http_release(job->request);
	zp_free(job);
}

static bool
sink_data(struct zp_http_request *request, void *context, struct zp_slice data)
{
	struct job *sums = context;

	for (size_t i = 0; i < data.length; i++)
		sums->sum = sums->sum * 31 + data.data[i];
	sums->number += data.length;
	if (!sums->wait)
		return false;
	zp_http_hold(request);
	job_give(job_new(request, sink_resume));
	return true;
}

static void
sink_end(struct zp_http_request *request, void *context, int error)
{
	struct job *sums = context;
	char text[80];

	if (error != 0)
		atomic_fetch_add(&bodies_failed, 1);
	snprintf(
	    text, sizeof(text), "%lu %lu\n", (unsigned long)sums->number, (unsigned long)sums->sum);
	answer_text(request, status_of(error), text);
	zp_free(sums);
}

/* ---- Streams -------------------------------------------------------------------------------- */

struct stream {
	uint64_t left;
	uint64_t line_bytes;
	bool wait;
	bool abort;
	bool empty_trailer;
	struct zp_buf held; /* duplex: what has come and not yet gone */
	bool body_over;
	bool is_duplex;
};

static void
stream_wake(struct job *job)
{
	zp_http_stream_resume(job->request);
	zp_http_release(job->request);
	zp_free(job);
}

static void
stream_trailers(struct zp_http_request *request, const struct stream *stream)
{
	if (stream->empty_trailer) {
		zp_http_trailer(request, "X-Stream-Error", zp_slice_of(""));
	} else {
		zp_http_trailer(request, "X-Stream-Error", zp_slice_of("first\r\nX-Evil: 1"));
		zp_http_trailer(request, "X-Stream-Error", zp_slice_of("second"));
	}
}

static enum zp_http_produced
stream_produce(struct zp_http_request *request, void *context, struct zp_buf *out)
{
	struct stream *stream = context;

	while (stream->left > 0 && out->length < ZP_HTTP_PIECE_BYTES) {
		for (uint64_t i = 1; i < stream->line_bytes; i++)
			zp_buf_append_byte(out, (uint8_t)('a' + stream->left % 26));
		zp_buf_append_byte(out, '\n');
		stream->left--;
		if (stream->wait) {
			zp_http_hold(request);
			job_give(job_new(request, stream_wake));
			return ZP_HTTP_WAIT;
		}
	}
	if (stream->left > 0)
		return ZP_HTTP_MORE;
	if (stream->abort)
		return ZP_HTTP_ABORT;
	stream_trailers(request, stream);
	return ZP_HTTP_DONE;
}

static void
stream_end(struct zp_http_request *request, void *context, bool complete)
{
	struct stream *stream = context;

	(void)request;
	atomic_fetch_add(complete ? &streams_ended : &streams_cut, 1);
	zp_buf_done(&stream->held);
	zp_free(stream);
}

static void
stream_answer(struct zp_http_request *request)
{
	struct stream *stream = zp_alloc_zero(1, sizeof(*stream));

	stream->left = number_get(request, "count", 10);
	stream->line_bytes = number_get(request, "bytes", 8);
	stream->wait = number_get(request, "wait", 0) != 0;
	stream->abort = number_get(request, "abort", 0) != 0;
	stream->empty_trailer = number_get(request, "error", 0) == 0;
	zp_http_answer_header_text(request, "Trailer", "X-Stream-Error");
	zp_http_answer_stream(
	    request, 200, &(struct zp_http_producer){stream_produce, stream_end, stream});
}

/* Both ways at once: what comes in goes out again, at the client's pace. */
static bool
duplex_data(struct zp_http_request *request, void *context, struct zp_slice data)
{
	struct stream *stream = context;

	zp_buf_append_slice(&stream->held, data);
	zp_http_stream_resume(request);
	return stream->held.length > (256u << 10);
}

static void
duplex_body_end(struct zp_http_request *request, void *context, int error)
{
	struct stream *stream = context;

	stream->body_over = true;
	stream->abort = error != 0;
	zp_http_stream_resume(request);
}

static enum zp_http_produced
duplex_produce(struct zp_http_request *request, void *context, struct zp_buf *out)
{
	struct stream *stream = context;
	size_t length = zp_min_u64(stream->held.length, ZP_HTTP_PIECE_BYTES);

	zp_buf_append(out, stream->held.data, length);
	zp_buf_consume(&stream->held, length);
	if (stream->held.length > 0)
		return ZP_HTTP_MORE;
	if (stream->body_over)
		return stream->abort ? ZP_HTTP_ABORT : ZP_HTTP_DONE;
	zp_http_body_resume(request);
	return ZP_HTTP_WAIT;
}

static void
duplex_answer(struct zp_http_request *request)
{
	struct stream *stream = zp_alloc_zero(1, sizeof(*stream));

	zp_buf_init(&stream->held, 1u << 20);
	zp_http_body_stream(request, &(struct zp_http_sink){duplex_data, duplex_body_end, stream});
	zp_http_answer_stream(
	    request, 200, &(struct zp_http_producer){duplex_produce, stream_end, stream});
}

/* ---- Routes --------------------------------------------------------------------------------- */

static void
query_answer(struct zp_http_request *request)
{
	ZP_AUTO_BUF(text, 65536);
	struct zp_slice key;
	struct zp_slice value;
	size_t position = 0;
	int rc;

	while ((rc = zp_http_path_next(request, &position, &value)) == 0) {
		zp_buf_append_byte(&text, '/');
		zp_buf_append_slice(&text, value);
	}
	if (rc < 0) {
		answer_text(request, 400, "bad path\n");
		return;
	}
	position = 0;
	while (zp_http_query_next(request, &position, &key, &value) == 0) {
		zp_buf_append_byte(&text, '\n');
		zp_buf_append_slice(&text, key);
		zp_buf_append_byte(&text, '=');
		zp_buf_append_slice(&text, value);
	}
	zp_http_answer(request, 200, zp_buf_slice(&text));
}

static void
state_answer(struct zp_http_request *request)
{
	struct zp_http_counters counters;
	struct zp_slice peer = zp_http_peer(request);
	struct zp_slice id = zp_http_id(request);
	struct rusage usage;
	char text[700];

	getrusage(RUSAGE_SELF, &usage);
	zp_http_server_counters(server, &counters);
	snprintf(text, sizeof(text),
	    "{\"open\":%lu,\"accepted\":%lu,\"refused\":%lu,\"requests\":%lu,\"class2\":%lu,"
	    "\"class4\":%lu,\"unsent\":%lu,\"parse_errors\":%lu,\"timeouts\":%lu,"
	    "\"tls_failures\":%lu,\"ended\":%u,\"cut\":%u,\"bodies_failed\":%u,"
	    "\"peer\":\"%.*s\",\"id\":\"%.*s\",\"tls\":%d,\"cpu_us\":%lu}\n",
	    counters.connections_open, counters.connections, counters.connections_refused,
	    counters.requests, counters.answers[2], counters.answers[4], counters.answers[0],
	    counters.parse_errors, counters.timeouts, counters.tls_failures, streams_ended,
	    streams_cut, bodies_failed, (int)peer.length, peer.data, (int)id.length, id.data,
	    zp_http_is_tls(request),
	    (unsigned long)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
		(unsigned long)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec));
	zp_http_answer_header_text(request, "Content-Type", "application/json");
	zp_http_answer(request, 200, zp_slice_of(text));
}

static void
big_answer(struct zp_http_request *request)
{
	size_t bytes = number_get(request, "bytes", 1000);
	uint8_t *body = zp_alloc(bytes + 1);

	memset(body, 'b', bytes);
	zp_http_answer(request, 200, (struct zp_slice){body, bytes});
	zp_free(body);
}

static void
sink_answer(struct zp_http_request *request)
{
	struct job *sums = job_new(request, NULL);

	sums->wait = number_get(request, "pause", 0) != 0;
	zp_http_body_stream(request, &(struct zp_http_sink){sink_data, sink_end, sums});
}

static void
handle(struct zp_http_request *request, void *context)
{
	struct zp_slice path = zp_http_path(request);

	(void)context;
	if (zp_slice_is(path, "/"))
		zp_http_answer(
		    request, 200, (struct zp_slice){(uint8_t *)body_300, sizeof(body_300)});
	else if (zp_slice_is(path, "/later"))
		job_give(job_new(request, later_work));
	else if (zp_slice_is(path, "/echo"))
		zp_http_body_read(request, number_get(request, "max", 1u << 20), echo_done, NULL);
	else if (zp_slice_is(path, "/later-echo"))
		job_give(job_new(request, later_echo_work));
	else if (zp_slice_is(path, "/sink"))
		sink_answer(request);
	else if (zp_slice_is(path, "/stream"))
		stream_answer(request);
	else if (zp_slice_is(path, "/duplex"))
		duplex_answer(request);
	else if (zp_slice_is(path, "/big"))
		big_answer(request);
	else if (zp_slice_is(path, "/state"))
		state_answer(request);
	else if (zp_slice_is(path, "/empty"))
		zp_http_answer(request, 204, (struct zp_slice){0});
	else if (path.length > 3 && memcmp(path.data, "/q/", 3) == 0)
		query_answer(request);
	else
		answer_text(request, 404, "not found\n");
}

/* ---- Main ----------------------------------------------------------------------------------- */

static const char *
option_get(char **options, const char *key)
{
	size_t length = strlen(key);

	for (; *options != NULL; options++)
		if (strncmp(*options, key, length) == 0 && (*options)[length] == '=')
			return *options + length + 1;
	return NULL;
}

static void
number_set(char **options, const char *key, uint32_t *number)
{
	const char *text = option_get(options, key);

	if (text != NULL)
		*number = (uint32_t)strtoul(text, NULL, 10);
}

static struct zp_http_listener *
listen_or_die(struct zp_http_listen *listen)
{
	struct zp_http_listener *listener = NULL;
	struct zp_err err = {0};

	listen->handler = handle;
	if (zp_http_server_listen(server, listen, &listener, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	return listener;
}

static struct zp_http_listener *
listeners_open(char **options)
{
	const char *cert = option_get(options, "cert");
	const char *path = option_get(options, "unix");
	const char *host = option_get(options, "host");
	const char *port_text = option_get(options, "port");
	struct zp_http_listen listen = {.host = host != NULL ? host : "127.0.0.1",
	    .port = (uint16_t)(port_text != NULL ? atoi(port_text) : 0)};
	struct zp_http_listener *plain = listen_or_die(&listen);
	struct zp_http_listener *tls = NULL;

	if (cert != NULL) {
		listen.port = 0;
		listen.tls_cert_file = cert;
		listen.tls_key_file = option_get(options, "key");
		tls = listen_or_die(&listen);
	}
	if (path != NULL)
		listen_or_die(&(struct zp_http_listen){.unix_path = path, .unix_mode = 0620});
	printf("ready port=%u tls_port=%u\n", zp_http_listener_port(plain),
	    tls != NULL ? zp_http_listener_port(tls) : 0);
	fflush(stdout);
	return tls;
}

int
main(int argc, char **argv)
{
	struct zp_http_config config;
	struct zp_http_listener *tls;
	struct zp_err err = {0};
	uint32_t stop_ms = 5000;
	pthread_t other;
	sigset_t signals;
	int signal_number;

	(void)argc;
	memset(body_300, 'x', sizeof(body_300));
	zp_http_config_defaults(&config);
	number_set(argv + 1, "workers", &config.worker_count);
	number_set(argv + 1, "connections", &config.connections_max);
	number_set(argv + 1, "head_ms", &config.head_timeout_ms);
	number_set(argv + 1, "body_ms", &config.body_progress_ms);
	number_set(argv + 1, "write_ms", &config.write_progress_ms);
	number_set(argv + 1, "idle_ms", &config.idle_timeout_ms);
	number_set(argv + 1, "head_bytes", &config.head_bytes_max);
	number_set(argv + 1, "stop_ms", &stop_ms);
	number_set(argv + 1, "full", &sends_refused);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	if (zp_http_server_new(&config, &server, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	tls = listeners_open(argv + 1);
	if (zp_http_server_start(server, &err) < 0 || pthread_create(&other, NULL, jobs_run, NULL))
		return 1;
	while (sigwait(&signals, &signal_number) == 0 && signal_number == SIGHUP)
		if (tls != NULL && zp_http_listener_tls_reload(tls, &err) < 0)
			fprintf(stderr, "%s\n", err.text);
	printf("stopped cut=%u\n", zp_http_server_stop(server, stop_ms));
	pthread_mutex_lock(&jobs_lock);
	jobs_over = true;
	pthread_cond_signal(&jobs_changed);
	pthread_mutex_unlock(&jobs_lock);
	pthread_join(other, NULL);
	zp_http_server_free(server);
	return 0;
}
