/*
 * test_late.c - writes through HTTP whose disk does not answer: the client is told, each request is
 * answered once, and what hung counts when it returns.
 *
 * Method: a real node and server, with a disk in memory whose syncs do not return until the test
 * lets them. How long that is does not matter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "api/api.h"
#include "command/command_internal.h"
#include "sim_store.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#define HANG_AFTER_NS (UINT64_C(240) * 1000000)
#define CID "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR"
#define CID_OTHER "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"

struct served {
	struct sim_store *sim;
	struct zp_node *node;
	struct zp_http_server *server;
	struct zp_http_listener *listener;
	struct zp_api *api;
	char answer[4096];
};

static void
served_begin(struct served *served)
{
	static const uint8_t peer_id[4] = {1, 2, 3, 4};
	struct zp_node_options options = {.root = "node",
	    .shards = 1,
	    .peer_id = {1, 2, 3, 4},
	    .peer_id_bytes = sizeof(peer_id),
	    .accesses_mode = ZP_ACCESSES_EXACT,
	    .hang_after_ns = HANG_AFTER_NS};
	struct zp_api_options api_options = {.peer_id = peer_id,
	    .peer_id_bytes = sizeof(peer_id),
	    .peer_name = "peer",
	    .version = "1"};
	struct zp_http_listen listen = {.host = "127.0.0.1"};
	struct command__seam seam = {0};
	struct zp_http_config config;
	struct zp_err err = {0};

	memset(served, 0, sizeof(*served));
	served->sim = sim_store_new(3);
	seam.disk = sim_store_disk(served->sim);
	if (command__node_create(&options, &seam, &err) < 0 ||
	    command__node_open(&options, &seam, &served->node, &err) < 0)
		fail_msg("%s", err.text);
	api_options.node = served->node;
	zp_http_config_defaults(&config);
	if (zp_http_server_new(&config, &served->server, &err) < 0 ||
	    zp_api_new(&api_options, &served->api, &err) < 0)
		fail_msg("%s", err.text);
	zp_api_listen(served->api, &listen);
	if (zp_http_server_listen(served->server, &listen, &served->listener, &err) < 0 ||
	    zp_http_server_start(served->server, &err) < 0)
		fail_msg("%s", err.text);
}

static void
served_end(struct served *served)
{
	assert_int_equal(zp_http_server_stop(served->server, 10000), 0);
	zp_node_close(served->node);
	zp_http_server_free(served->server);
	zp_api_free(served->api);
	sim_store_free(served->sim);
}

/* One request on a connection of its own, to the end; the status. */
static int
ask(struct served *served, const char *head, const char *body)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	    .sin_port = htons(zp_http_listener_port(served->listener)),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int client = socket(AF_INET, SOCK_STREAM, 0);
	char request[1024];
	size_t got = 0;
	ssize_t part;
	int length = snprintf(request, sizeof(request),
	    "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
	    head, strlen(body), body);

	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(write(client, request, (size_t)length), length);
	while ((part = read(client, served->answer + got, sizeof(served->answer) - 1 - got)) > 0)
		got += (size_t)part;
	close(client);
	served->answer[got] = '\0';
	assert_true(got > 12);
	/* Once: what comes after a whole answer would be another one. */
	assert_null(strstr(served->answer + 1, "HTTP/1.1"));
	return atoi(served->answer + strlen("HTTP/1.1 "));
}

static void
answer_has(const struct served *served, const char *text)
{
	if (strstr(served->answer, text) == NULL)
		fail_msg("%s", served->answer);
}

static void
answers_again_wait(struct served *served)
{
	struct zp_node_facts facts;

	sim_store_go_on(served->sim);
	do {
		usleep(1000);
		zp_node_facts_get(served->node, &facts);
	} while (facts.hanging_calls > 0 || facts.writes_hang);
}

/* Told accesses are of those who want to know that they count: they are told that nobody does. */
static void
told_accesses_are_answered_late(void **state)
{
	struct served served;

	(void)state;
	served_begin(&served);
	assert_int_equal(ask(&served, "POST /pins/" CID, ""), 200);
	assert_int_equal(ask(&served, "POST /accesses", CID "\n" CID_OTHER "\n"), 200);
	answer_has(&served, "{\"noted\":1,\"unknown\":1}");
	sim_store_hang(served.sim, "node/journal", SIM_CALL_SYNC_FILE);
	assert_int_equal(
	    ask(&served, "POST /accesses", "{\"cid\":\"" CID "\",\"access_count\":5}"), 503);
	answer_has(&served, "outcome not known");
	assert_int_equal(sim_store_hanging(served.sim), 1);
	assert_int_equal(ask(&served, "POST /accesses", CID), 503); /* and at once */
	answer_has(&served, "nothing was written");
	answers_again_wait(&served);
	assert_int_equal(ask(&served, "POST /accesses", CID), 200);
	assert_int_equal(ask(&served, "GET /allocations/" CID "?access=true", ""), 200);
	answer_has(&served, "\"access_count\":7");
	served_end(&served);
}

/* The same of a pin. */
static void
a_pin_is_answered_late(void **state)
{
	struct served served;

	(void)state;
	served_begin(&served);
	sim_store_hang(served.sim, "node/journal", SIM_CALL_SYNC_FILE);
	assert_int_equal(ask(&served, "POST /pins/" CID, ""), 503);
	answer_has(&served, "outcome not known");
	assert_int_equal(ask(&served, "GET /allocations/" CID, ""), 404);
	answers_again_wait(&served);
	assert_int_equal(ask(&served, "GET /allocations/" CID, ""), 200);
	served_end(&served);
}

/* A server that stops meanwhile has answered all, and nothing of a late one is left. */
static void
a_server_stops_while_the_disk_hangs(void **state)
{
	struct served served;

	(void)state;
	served_begin(&served);
	assert_int_equal(ask(&served, "POST /pins/" CID, ""), 200);
	sim_store_hang(served.sim, "node/journal", SIM_CALL_SYNC_FILE);
	assert_int_equal(ask(&served, "POST /accesses", CID), 503);
	zp_http_server_stop(served.server, 0);
	sim_store_go_on(served.sim);
	zp_node_close(served.node);
	zp_http_server_free(served.server);
	zp_api_free(served.api);
	sim_store_free(served.sim);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(told_accesses_are_answered_late),
	    cmocka_unit_test(a_pin_is_answered_late),
	    cmocka_unit_test(a_server_stops_while_the_disk_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
