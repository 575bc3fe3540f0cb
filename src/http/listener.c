/*
 * listener.c - addresses to listen on, and accepting from them.
 *
 * Flow:  zp_http_server_listen binds one socket per worker (SO_REUSEPORT; a Unix socket is shared);
 *        each worker accepts on its own and hands what it gets to connection.c.
 * Owner: listeners belong to the server and do not change while it runs, but for the TLS context,
 *        which is under tls_lock. Acceptors belong to their workers.
 */
#include "http/http_internal.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_BACKLOG 4096
#define ACCEPT_PAUSE_MS 100u

/* ---- Binding -------------------------------------------------------------------------------- */

static void
option_on(int fd, int level, int option)
{
	int on = 1;

	zp_ignore(setsockopt(fd, level, option, &on, sizeof(on))); /* bind tells where it matters */
}

/* "::" means IPv4 too, whatever the system's default is. */
static void
both_families(int fd, const struct sockaddr_storage *address)
{
	int off = 0;

	if (address->ss_family == AF_INET6)
		zp_ignore(
		    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off))); /* a wish */
}

/* One socket of an address, bound and listening. */
static int
tcp_bind(struct sockaddr_storage *address, socklen_t length, int *fd_out, struct zp_err *err)
{
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return zp_fail_errno(err, errno, "make a socket");
	option_on(fd, SOL_SOCKET, SO_REUSEADDR);
	option_on(fd, SOL_SOCKET, SO_REUSEPORT);
	both_families(fd, address);
	if (bind(fd, (struct sockaddr *)address, length) < 0) {
		rc = zp_fail_errno(err, errno, "bind");
		goto fail;
	}
	if (listen(fd, LISTEN_BACKLOG) < 0) {
		rc = zp_fail_errno(err, errno, "listen");
		goto fail;
	}
	*fd_out = fd;
	return 0;
fail:
	close(fd);
	return rc;
}

static in_port_t *
port_of(struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)address)->sin6_port
					      : &((struct sockaddr_in *)address)->sin_port;
}

static int
address_taken(struct zp_err *err)
{
	return zp_fail(err, ZP_E_LOCKED,
	    "another program has this address: stop it, or choose another address");
}

/*
 * SO_REUSEPORT would also let a second process of the same user share the port, and each get half
 * of the clients. So a plain bind goes first: it fails where anybody else listens.
 */
static int
port_probe(struct sockaddr_storage *address, socklen_t length, struct zp_err *err)
{
	int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = 0;

	if (fd < 0)
		return zp_fail_errno(err, errno, "make a socket");
	option_on(fd, SOL_SOCKET, SO_REUSEADDR);
	both_families(fd, address);
	if (bind(fd, (struct sockaddr *)address, length) < 0)
		rc = errno == EADDRINUSE ? address_taken(err) : zp_fail_errno(err, errno, "bind");
	close(fd);
	return rc;
}

static int
tcp_listen(struct zp_http_listener *listener, unsigned count, struct zp_err *err)
{
	const struct addrinfo hints = {
	    .ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
	struct sockaddr_storage address;
	struct addrinfo *found;
	socklen_t length;
	char port[8];
	int rc;

	snprintf(port, sizeof(port), "%u", listener->listen.port);
	rc = getaddrinfo(listener->listen.host, port, &hints, &found);
	if (rc != 0)
		return zp_fail(err, ZP_E_INVALID, "%s", gai_strerror(rc));
	memcpy(&address, found->ai_addr, found->ai_addrlen);
	length = found->ai_addrlen;
	freeaddrinfo(found);
	listener->family = address.ss_family;
	if (listener->listen.port != 0) {
		rc = port_probe(&address, length, err);
		if (rc < 0)
			return rc;
	}
	for (unsigned i = 0; i < count; i++) {
		rc = tcp_bind(&address, length, &listener->fds[i], err);
		if (rc < 0)
			return rc;
		/* Where the kernel chose the port, the other workers take the same. */
		length = sizeof(address);
		if (getsockname(listener->fds[i], (struct sockaddr *)&address, &length) < 0)
			return zp_fail_errno(err, errno, "ask for the bound port");
	}
	listener->port = ntohs(*port_of(&address));
	return 0;
}

/* A socket file that nobody listens on any more is left from a crash. */
static int
unix_remove_stale(const struct sockaddr_un *address, struct zp_err *err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat info;
	int rc = 0;

	if (fd < 0)
		return zp_fail_errno(err, errno, "make a socket");
	if (lstat(address->sun_path, &info) < 0)
		goto out;
	if (!S_ISSOCK(info.st_mode))
		rc = zp_fail(err, ZP_E_EXISTS, "is there already and is no socket");
	else if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		rc = address_taken(err);
	else if (unlink(address->sun_path) < 0 && errno != ENOENT)
		rc = zp_fail_errno(err, errno, "remove the old socket");
out:
	close(fd);
	return rc;
}

static int
unix_listen(struct zp_http_listener *listener, unsigned count, struct zp_err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = listener->listen.unix_path;
	mode_t mode = (mode_t)listener->listen.unix_mode;
	int fd;
	int rc;

	if (strlen(path) >= sizeof(address.sun_path))
		return zp_fail(err, ZP_E_INVALID, "a socket's path has at most %zu bytes",
		    sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, path, strlen(path) + 1);
	rc = unix_remove_stale(&address, err);
	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return zp_fail_errno(err, errno, "make a socket");
	for (unsigned i = 0; i < count; i++)
		listener->fds[i] = fd;
	/* fchmod before bind: the file is never wider than asked, not for a moment. */
	if (fchmod(fd, mode) < 0)
		return zp_fail_errno(err, errno, "set the mode");
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return zp_fail_errno(err, errno, "bind");
	listener->unix_bound = true;
	/* And once more for the bits that the umask took. */
	if (chmod(path, mode) < 0)
		return zp_fail_errno(err, errno, "set the mode");
	if (listen(fd, LISTEN_BACKLOG) < 0)
		return zp_fail_errno(err, errno, "listen");
	return 0;
}

static char *
text_copy(const char *text)
{
	return text == NULL ? NULL : zp_strdup(text);
}

int
zp_http_server_listen(struct zp_http_server *server, const struct zp_http_listen *listen,
    struct zp_http_listener **listener_out, struct zp_err *err)
{
	struct zp_http_listener *listener;
	unsigned count = server->config.worker_count;
	int rc;

	ZP_ASSERT(!server->started && listen->handler != NULL);
	ZP_ASSERT((listen->host == NULL) != (listen->unix_path == NULL));
	ZP_ASSERT((listen->tls_cert_file == NULL) == (listen->tls_key_file == NULL));
	if (server->listener_count == HTTP_LISTENERS_MAX)
		return zp_fail(
		    err, ZP_E_TOO_LARGE, "at most %d addresses to listen on", HTTP_LISTENERS_MAX);
	listener = zp_alloc_zero(1, sizeof(*listener));
	listener->server = server;
	listener->listen = *listen;
	listener->listen.host = text_copy(listen->host);
	listener->listen.unix_path = text_copy(listen->unix_path);
	listener->listen.tls_cert_file = text_copy(listen->tls_cert_file);
	listener->listen.tls_key_file = text_copy(listen->tls_key_file);
	listener->is_unix = listen->unix_path != NULL;
	pthread_mutex_init(&listener->tls_lock, NULL);
	listener->fds = zp_alloc_zero(count, sizeof(*listener->fds));
	for (unsigned i = 0; i < count; i++)
		listener->fds[i] = -1;
	rc = listen->tls_cert_file == NULL ? 0 : zp_http_listener_tls_reload(listener, err);
	if (rc == 0)
		rc = listener->is_unix ? unix_listen(listener, count, err)
				       : tcp_listen(listener, count, err);
	if (rc < 0) {
		http__listener_free(listener);
		if (listen->host == NULL)
			return zp_wrap(err, rc, "listen on %s", listen->unix_path);
		return zp_wrap(err, rc, "listen on %s port %u", listen->host, listen->port);
	}
	server->listeners[server->listener_count++] = listener;
	*listener_out = listener;
	return 0;
}

uint16_t
zp_http_listener_port(const struct zp_http_listener *listener)
{
	return listener->port;
}

void
http__listener_close(struct zp_http_listener *listener)
{
	unsigned count = listener->server->config.worker_count;

	for (unsigned i = 0; i < count; i++) {
		if (listener->fds[i] >= 0 && (i == 0 || !listener->is_unix))
			close(listener->fds[i]);
		listener->fds[i] = -1;
	}
	if (listener->unix_bound)
		zp_ignore(unlink(listener->listen.unix_path)); /* gone already: as well */
	listener->unix_bound = false;
}

void
http__listener_free(struct zp_http_listener *listener)
{
	http__listener_close(listener);
	SSL_CTX_free(listener->tls_context);
	pthread_mutex_destroy(&listener->tls_lock);
	zp_free(listener->fds);
	zp_free((char *)listener->listen.host);
	zp_free((char *)listener->listen.unix_path);
	zp_free((char *)listener->listen.tls_cert_file);
	zp_free((char *)listener->listen.tls_key_file);
	zp_free(listener);
}

/* ---- TLS ------------------------------------------------------------------------------------ */

int
zp_http_listener_tls_reload(struct zp_http_listener *listener, struct zp_err *err)
{
	SSL_CTX *context;
	SSL_CTX *old;
	int rc;

	if (listener->listen.tls_cert_file == NULL)
		return zp_fail(err, ZP_E_UNSUPPORTED, "this listener has no TLS");
	rc = http__tls_context_new(
	    listener->listen.tls_cert_file, listener->listen.tls_key_file, &context, err);
	if (rc < 0)
		return rc;
	pthread_mutex_lock(&listener->tls_lock);
	old = listener->tls_context;
	listener->tls_context = context;
	pthread_mutex_unlock(&listener->tls_lock);
	SSL_CTX_free(old); /* connections that use it hold it */
	return 0;
}

static SSL *
tls_new(struct zp_http_listener *listener, int fd)
{
	SSL *tls;

	pthread_mutex_lock(&listener->tls_lock);
	tls = SSL_new(listener->tls_context);
	pthread_mutex_unlock(&listener->tls_lock);
	if (tls != NULL && SSL_set_fd(tls, fd) != 1) {
		SSL_free(tls);
		return NULL;
	}
	if (tls != NULL)
		SSL_set_accept_state(tls);
	return tls;
}

/* ---- Accepting ------------------------------------------------------------------------------ */

/* Over connections_max. One send into an empty socket buffer; who doesn't read it has lost little.
 */
static void
connection_refuse(struct http_acceptor *acceptor, int fd)
{
	static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
				     "Retry-After: 1\r\nContent-Length: 0\r\n\r\n";

	http__count(&acceptor->worker->counters.connections_refused, 1);
	if (acceptor->listener->listen.tls_cert_file == NULL)
		zp_ignore(send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0); /* as above */
	close(fd);
}

static void
connection_take(struct http_acceptor *acceptor, int fd, const struct sockaddr_storage *peer)
{
	struct zp_http_listener *listener = acceptor->listener;
	struct zp_http_server *server = listener->server;
	SSL *tls = NULL;

	if (atomic_fetch_add_explicit(&server->connection_count, 1, memory_order_relaxed) >=
	    server->config.connections_max) {
		atomic_fetch_sub_explicit(&server->connection_count, 1, memory_order_relaxed);
		connection_refuse(acceptor, fd);
		return;
	}
	if (!listener->is_unix)
		option_on(fd, IPPROTO_TCP, TCP_NODELAY);
	if (listener->listen.tls_cert_file != NULL) {
		tls = tls_new(listener, fd);
		if (tls == NULL) {
			atomic_fetch_sub_explicit(
			    &server->connection_count, 1, memory_order_relaxed);
			close(fd);
			return;
		}
	}
	http__connection_open(acceptor->worker, listener, fd, tls, peer);
}

static void
acceptor_listen(struct http_acceptor *acceptor)
{
	uint32_t events = EPOLLIN | (acceptor->listener->is_unix ? EPOLLEXCLUSIVE : 0);

	acceptor->listening =
	    zp_loop_add(acceptor->worker->loop, &acceptor->source, events, NULL) == 0;
}

/* Out of descriptors or memory: the connection stays in the queue, and asking again at once would
 * only spin. */
static void
acceptor_pause(struct http_acceptor *acceptor)
{
	struct zp_loop *loop = acceptor->worker->loop;

	zp_loop_remove(loop, &acceptor->source);
	acceptor->listening = false;
	zp_wheel_set(zp_loop_wheel(loop), &acceptor->timer, zp_loop_now_ms(loop) + ACCEPT_PAUSE_MS);
}

static void
acceptor_resume(struct zp_timer *timer)
{
	struct http_acceptor *acceptor = ZP_CONTAINER(timer, struct http_acceptor, timer);
	struct zp_loop *loop = acceptor->worker->loop;

	acceptor_listen(acceptor);
	if (!acceptor->listening)
		zp_wheel_set(zp_loop_wheel(loop), timer, zp_loop_now_ms(loop) + ACCEPT_PAUSE_MS);
}

static void
acceptor_ready(struct zp_source *source, uint32_t events)
{
	struct http_acceptor *acceptor = ZP_CONTAINER(source, struct http_acceptor, source);

	(void)events;
	for (int i = 0; i < HTTP_ACCEPTS_PER_TURN; i++) {
		struct sockaddr_storage peer = {0};
		socklen_t length = sizeof(peer);
		int fd = accept4(
		    source->fd, (struct sockaddr *)&peer, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			connection_take(acceptor, fd, &peer);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			acceptor_pause(acceptor);
		/* EAGAIN: none left. Others are of a client that is gone already; epoll calls again
		 * if there are more. */
		return;
	}
}

void
http__acceptor_start(struct http_acceptor *acceptor, struct http_worker *worker,
    struct zp_http_listener *listener, unsigned worker_index)
{
	acceptor->worker = worker;
	acceptor->listener = listener;
	acceptor->source =
	    (struct zp_source){.ready = acceptor_ready, .fd = listener->fds[worker_index]};
	zp_timer_init(&acceptor->timer, acceptor_resume);
	acceptor_listen(acceptor);
	if (!acceptor->listening)
		zp_wheel_set(zp_loop_wheel(worker->loop), &acceptor->timer,
		    zp_loop_now_ms(worker->loop) + ACCEPT_PAUSE_MS);
}

void
http__acceptor_stop(struct http_acceptor *acceptor)
{
	zp_wheel_cancel(zp_loop_wheel(acceptor->worker->loop), &acceptor->timer);
	if (acceptor->listening)
		zp_loop_remove(acceptor->worker->loop, &acceptor->source);
	acceptor->listening = false;
	/* Who comes now is refused, and does not wait for nobody; also where the socket is shared.
	 */
	zp_ignore(
	    shutdown(acceptor->source.fd, SHUT_RDWR)); /* the second worker's changes nothing */
}
