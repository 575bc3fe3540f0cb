/*
 * load.c - a load generator for HTTP/1.1: one thread, many kept connections, given request lines.
 *
 * Usage:  load [-c CONNECTIONS] [-h] ADDRESS PORT FILE
 *         FILE has one request a line: METHOD SPACE PATH. Each connection sends the next line when
 * the last answer is whole, without pipelining. Prints one line of JSON:
 *         {"requests":n,"failed":n,"seconds":s,"p50_us":n,"p99_us":n}; failed: not 200.
 *         -h (hold): each connection sends one request and stays open; "held" is printed when all
 * are answered, and the program ends when its standard input does. Place:  bench/node.py builds and
 * runs it; its CPU is not counted. It is no part of zpin and shares no code with it, so that a
 * fault in our parser can't hide itself. Limits: answers need Content-Length or the chunked coding
 * without trailers and fit ANSWER_BYTES_MAX. Anything unexpected ends the program: a benchmark that
 * stumbles has no result.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <fcntl.h>

enum {
	ANSWER_BYTES_MAX = 16384,
	REQUEST_BYTES_MAX = 8192,
	CONNECTIONS_MAX = 65536,
	EVENTS_MAX = 256,
	PORTS_PER_SOURCE = 20000, /* connections from one 127.0.0.x, below the usual port range */
	LATENCY_US_MAX = 1000000, /* longer ones count as this */
};

struct connection {
	int fd;
	bool is_busy;
	uint64_t sent_ns;
	size_t length; /* of the answer so far */
	char answer[];
};

struct load {
	struct sockaddr_in address;
	const char *requests; /* the file */
	const char *next;     /* the next line in it */
	const char *end;
	int epoll_fd;
	bool hold;
	unsigned connections_count;
	unsigned busy_count;
	uint64_t requests_count;
	uint64_t failed_count;
	uint32_t *latencies; /* count by microsecond */
};

static uint64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void
file_map(struct load *load, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		err(1, "%s", path);
	load->requests =
	    mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (load->requests == MAP_FAILED)
		err(1, "mmap %s", path);
	load->next = load->requests;
	load->end = load->requests + status.st_size;
	close(fd);
}

/* Loopback has some 28,000 ports for one pair of addresses: later connections come from 127.0.0.2
 * on. */
static struct connection *
connection_open(struct load *load, unsigned index)
{
	struct connection *connection = calloc(1, sizeof(*connection) + ANSWER_BYTES_MAX + 1);
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
	struct sockaddr_in source = {.sin_family = AF_INET};
	int one = 1;

	if (connection == NULL)
		err(1, "memory");
	connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->fd < 0)
		err(1, "socket %u", index);
	source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + index / PORTS_PER_SOURCE);
	setsockopt(connection->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (bind(connection->fd, (struct sockaddr *)&source, sizeof(source)) < 0)
		err(1, "bind %u", index);
	if (connect(connection->fd, (struct sockaddr *)&load->address, sizeof(load->address)) < 0)
		err(1, "connect %u", index);
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (epoll_ctl(load->epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) < 0)
		err(1, "epoll_ctl");
	return connection;
}

/* A request is far smaller than a socket's buffer, and the one before is answered: one write takes
 * it. */
static void
request_send(struct load *load, struct connection *connection)
{
	const char *newline;
	char request[REQUEST_BYTES_MAX];
	bool has_body;
	int length;

	if (load->next >= load->end)
		return;
	newline = memchr(load->next, '\n', (size_t)(load->end - load->next));
	if (newline == NULL)
		errx(1, "the last request has no newline");
	has_body = load->next[0] == 'P';
	length = snprintf(request, sizeof(request), "%.*s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n",
	    (int)(newline - load->next), load->next, has_body ? "Content-Length: 0\r\n" : "");
	load->next = newline + 1;
	if (length <= 0 || length >= (int)sizeof(request))
		errx(1, "a request is longer than %d bytes", REQUEST_BYTES_MAX);
	connection->sent_ns = now_ns();
	connection->length = 0;
	connection->is_busy = true;
	load->busy_count++;
	if (send(connection->fd, request, (size_t)length, MSG_NOSIGNAL) != length)
		err(1, "send");
}

/* The length of the whole answer, or 0 while that can't be known. */
static size_t
answer_bytes(const struct connection *connection)
{
	const char *head_end = memmem(connection->answer, connection->length, "\r\n\r\n", 4);
	const char *header;
	size_t head_bytes;

	if (head_end == NULL)
		return 0;
	head_bytes = (size_t)(head_end - connection->answer) + 4;
	header = strcasestr(connection->answer, "\r\nContent-Length:");
	if (header != NULL && header < head_end)
		return head_bytes + strtoul(header + sizeof("\r\nContent-Length:") - 1, NULL, 10);
	header = strcasestr(connection->answer, "\r\nTransfer-Encoding:");
	if (header == NULL || header > head_end)
		return head_bytes;
	if (memcmp(connection->answer + connection->length - 5, "0\r\n\r\n", 5) == 0)
		return connection->length;
	return 0;
}

static void
answer_count(struct load *load, const struct connection *connection)
{
	uint64_t us = (now_ns() - connection->sent_ns) / 1000;

	if (memcmp(connection->answer, "HTTP/1.1 200", 12) != 0 && load->failed_count++ == 0)
		fprintf(stderr, "load: the first failure: %.200s\n", connection->answer);
	load->requests_count++;
	load->latencies[us < LATENCY_US_MAX ? us : LATENCY_US_MAX]++;
}

static void
answer_read(struct load *load, struct connection *connection)
{
	ssize_t count = recv(connection->fd, connection->answer + connection->length,
	    ANSWER_BYTES_MAX - connection->length, MSG_DONTWAIT);
	size_t bytes;

	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count <= 0)
		errx(1, "the server closed a connection after %llu answers",
		    (unsigned long long)load->requests_count);
	connection->length += (size_t)count;
	connection->answer[connection->length] = '\0';
	bytes = answer_bytes(connection);
	if (bytes == 0 || connection->length < bytes) {
		if (connection->length == ANSWER_BYTES_MAX)
			errx(1, "an answer is longer than %d bytes", ANSWER_BYTES_MAX);
		return;
	}
	if (connection->length > bytes || !connection->is_busy)
		errx(1, "more bytes than were asked for");
	answer_count(load, connection);
	connection->is_busy = false;
	load->busy_count--;
	if (!load->hold)
		request_send(load, connection);
}

static void
events_wait(struct load *load)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(load->epoll_fd, events, EVENTS_MAX, 30000);

	if (count == 0)
		errx(1, "no answer for 30 s");
	for (int i = 0; i < count; i++)
		answer_read(load, events[i].data.ptr);
}

/* Connections are opened before the clock starts. Those that hold are asked one at a time, since
 * 10,000 at once would measure the queues of the kernel. */
static double
run(struct load *load)
{
	struct connection **connections = calloc(load->connections_count, sizeof(*connections));
	uint64_t begin_ns;

	if (connections == NULL)
		err(1, "memory");
	for (unsigned i = 0; i < load->connections_count; i++) {
		connections[i] = connection_open(load, i);
		if (!load->hold)
			continue;
		request_send(load, connections[i]);
		while (load->busy_count > 0)
			events_wait(load);
	}
	begin_ns = now_ns();
	for (unsigned i = 0; i < load->connections_count && !load->hold; i++)
		request_send(load, connections[i]);
	while (load->busy_count > 0)
		events_wait(load);
	free(connections); /* what they point to stays until the end, as their descriptors do */
	return (double)(now_ns() - begin_ns) / 1e9;
}

static unsigned
quantile_us(const struct load *load, double share)
{
	uint64_t wanted = (uint64_t)((double)load->requests_count * share), seen = 0;

	for (unsigned us = 0; us < LATENCY_US_MAX; us++) {
		seen += load->latencies[us];
		if (seen > wanted)
			return us;
	}
	return LATENCY_US_MAX;
}

static void
files_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit); /* too few show as an error of socket() */
	}
}

int
main(int argc, char **argv)
{
	struct load load = {.connections_count = 1, .address.sin_family = AF_INET};
	double seconds;
	int option;

	while ((option = getopt(argc, argv, "c:h")) != -1) {
		if (option == 'c')
			load.connections_count = (unsigned)atoi(optarg);
		else if (option == 'h')
			load.hold = true;
	}
	if (argc - optind != 3 || load.connections_count < 1 ||
	    load.connections_count > CONNECTIONS_MAX)
		errx(2, "usage: load [-c CONNECTIONS] [-h] ADDRESS PORT FILE");
	if (inet_pton(AF_INET, argv[optind], &load.address.sin_addr) != 1)
		errx(2, "%s: not an IPv4 address", argv[optind]);
	load.address.sin_port = htons((uint16_t)atoi(argv[optind + 1]));
	load.latencies = calloc(LATENCY_US_MAX + 1, sizeof(*load.latencies));
	load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (load.latencies == NULL || load.epoll_fd < 0)
		err(1, "start");
	files_raise();
	file_map(&load, argv[optind + 2]);

	seconds = run(&load);
	if (load.hold) {
		printf("held %llu\n", (unsigned long long)load.requests_count);
		fflush(stdout);
		while (getchar() != EOF)
			continue;
		return load.failed_count > 0;
	}
	printf("{\"requests\":%llu,\"failed\":%llu,\"seconds\":%.6f,\"p50_us\":%u,\"p99_us\":%u}\n",
	    (unsigned long long)load.requests_count, (unsigned long long)load.failed_count, seconds,
	    quantile_us(&load, 0.5), quantile_us(&load, 0.99));
	return load.failed_count > 0;
}
