/*
 * serve.c - the daemon: its parts in order, and taken down in the reverse order.
 *
 * Flow:  config → node → access → server → api and management → listeners → signals.
 * Owner: the main thread, which waits for signals while the parts work on their own threads.
 *        SIGTERM, SIGINT: drain and stop. SIGHUP: read the config again (log, read_only,
 *        certificates).
 */
#include "main/serve.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access/access.h"
#include "api/api.h"
#include "http/http.h"
#include "main/log.h"
#include "main/parts.h"
#include "os/os.h"
#include "os/process.h"

enum {
	DRAIN_MS = 10000,
	LISTENERS_MAX = 256,
	NS_PER_MS = 1000000,
};

#define API_URL_DEFAULT "http://127.0.0.1:9094" /* what commands ask unless told */

struct daemon {
	struct zp_config config;
	bool read_only; /* what the config said last */
	const char *config_path;
	struct zp_identity identity;
	char peer_name[256];
	struct zp_node *node;
	struct zp_access *access;
	struct zp_http_server *server;
	struct zp_api *api;
	struct zp_manage *manage;
	struct zp_http_listener *listeners[LISTENERS_MAX]; /* of the API: with certificates */
	size_t listener_count;
	atomic_bool is_drained; /* while it stops: nobody waits for an answer any more */
	char api_url[128];      /* the first, for people */
};

static enum zp_log_level
log_level(const struct zp_config *config)
{
	static const enum zp_log_level levels[] = {
	    [ZP_CONFIG_LOG_ERROR] = ZP_LOG_ERROR,
	    [ZP_CONFIG_LOG_WARNING] = ZP_LOG_WARNING,
	    [ZP_CONFIG_LOG_INFO] = ZP_LOG_INFO,
	    [ZP_CONFIG_LOG_DEBUG] = ZP_LOG_DEBUG,
	};

	return levels[config->log.level];
}

static void
log_apply(const struct zp_config *config)
{
	zp_log_setup(log_level(config), config->log.format == ZP_CONFIG_LOG_JSON);
}

/* Requests get their time first. What is not closed is as after a kill: the journal has what was
 * acknowledged. No thread that is in such a call can be ended from here, so the system may keep the
 * process until the disk answers. */
static void
stop_hangs(void *context, const char *text)
{
	struct daemon *daemon = context;

	if (!atomic_load(&daemon->is_drained))
		return;
	zp_log(ZP_LOG_ERROR,
	    "stopped without waiting for the disk: %s; no checkpoint was written, the journal is "
	    "read at the next start",
	    text);
	_exit(1);
}

/* ---- Parts ----------------------------------------------------------------------------------- */

static int
node_start(struct daemon *daemon, struct zp_err *err)
{
	struct zp_node_options options;
	int rc = main__node_options(
	    &daemon->config, daemon->config_path, &daemon->identity, &options, err);

	daemon->read_only = daemon->config.node.read_only;
	options.stop_hangs = stop_hangs;
	options.log_context = daemon;
	if (rc == ZP_OK)
		rc = zp_node_open(&options, &daemon->node, err);
	if (daemon->config.node.name[0] != '\0')
		snprintf(
		    daemon->peer_name, sizeof(daemon->peer_name), "%s", daemon->config.node.name);
	else
		zp_machine_name(daemon->peer_name, sizeof(daemon->peer_name));
	return rc;
}

static int
access_start(struct daemon *daemon, struct zp_err *err)
{
	const struct zp_config_accounts *from = &daemon->config.access.accounts;
	struct zp_access_options options = {.accounts_count = from->count,
	    .token_key_is_password =
		daemon->config.access.token_key == ZP_CONFIG_TOKEN_KEY_PASSWORD};
	struct zp_access_account *accounts;
	int rc;

	if (from->count == 0)
		return ZP_OK;
	accounts = zp_alloc_zero(from->count, sizeof(*accounts));
	for (size_t i = 0; i < from->count; i++)
		accounts[i] = (struct zp_access_account){
		    .name = from->items[i].name,
		    .password_hash = from->items[i].password_hash,
		    .password = from->items[i].password,
		    .token_secret = from->items[i].token_secret,
		};
	options.accounts = accounts;
	rc = zp_access_new(&options, &daemon->access, err);
	zp_free(accounts);
	return rc;
}

static uint32_t
milliseconds_of(int64_t nanoseconds)
{
	return (uint32_t)zp_min_u64((uint64_t)(nanoseconds / NS_PER_MS), UINT32_MAX);
}

static int
server_start(struct daemon *daemon, struct zp_err *err)
{
	const struct zp_config *from = &daemon->config;
	struct zp_http_config config;

	zp_http_config_defaults(&config);
	config.worker_count =
	    from->api.workers != 0 ? (unsigned)from->api.workers : zp_machine_cpu_count();
	config.connections_max = (unsigned)from->api.max_connections;
	/* Go's server, whose limit this names, gives 4 KiB on top. */
	config.head_bytes_max = (uint32_t)zp_min_u64(from->api.max_header_bytes + 4096, UINT16_MAX);
	config.head_timeout_ms = milliseconds_of(from->api.header_timeout_ns);
	config.body_progress_ms = milliseconds_of(from->api.read_timeout_ns);
	config.write_progress_ms = milliseconds_of(from->api.write_timeout_ns);
	config.idle_timeout_ms = milliseconds_of(from->api.idle_timeout_ns);
	return zp_http_server_new(&config, &daemon->server, err);
}

static bool
free_space(void *context, uint64_t *bytes_out)
{
	struct daemon *daemon = context;

	return zp_node_free_bytes(daemon->node, bytes_out, NULL) == ZP_OK;
}

static enum zp_log_level
request_level(unsigned status)
{
	return status >= 500 ? ZP_LOG_WARNING : ZP_LOG_DEBUG;
}

static bool
request_log_wants(void *context, unsigned status)
{
	(void)context;
	return zp_log_wants(request_level(status));
}

static void
request_log(void *context, const struct zp_api_log_line *line)
{
	struct zp_log_field fields[9];
	size_t count = 0;

	(void)context;
	fields[count++] = (struct zp_log_field){"request", line->id, 0};
	fields[count++] = (struct zp_log_field){"peer", line->peer, 0};
	fields[count++] = (struct zp_log_field){"method", line->method, 0};
	fields[count++] = (struct zp_log_field){"path", line->path, 0};
	fields[count++] = (struct zp_log_field){.name = "status", .number = line->status};
	fields[count++] = (struct zp_log_field){.name = "bytes", .number = line->bytes};
	fields[count++] = (struct zp_log_field){.name = "ms", .number = line->milliseconds};
	if (line->user != NULL)
		fields[count++] = (struct zp_log_field){"user", zp_slice_of(line->user), 0};
	if (line->error != NULL)
		fields[count++] = (struct zp_log_field){"error", zp_slice_of(line->error), 0};
	zp_log_line(request_level(line->status), "request", fields, count);
}

static void
cors_fill(const struct zp_config *from, struct zp_api_cors *cors)
{
#define LIST(name) ((const char *const *)from->api.cors_##name.items)
	*cors = (struct zp_api_cors){
	    .allowed_origins = LIST(allowed_origins),
	    .allowed_origins_count = from->api.cors_allowed_origins.count,
	    .allowed_methods = LIST(allowed_methods),
	    .allowed_methods_count = from->api.cors_allowed_methods.count,
	    .allowed_headers = LIST(allowed_headers),
	    .allowed_headers_count = from->api.cors_allowed_headers.count,
	    .exposed_headers = LIST(exposed_headers),
	    .exposed_headers_count = from->api.cors_exposed_headers.count,
	    .allow_credentials = from->api.cors_allow_credentials,
	    .max_age_seconds = from->api.cors_max_age_ns / 1000000000,
	};
#undef LIST
}

static int
api_start(struct daemon *daemon, struct zp_err *err)
{
	const struct zp_config_headers *from = &daemon->config.api.headers;
	struct zp_api_header *headers = zp_alloc_zero(from->count, sizeof(*headers));
	struct zp_api_options options = {
	    .node = daemon->node,
	    .access = daemon->access,
	    .peer_id = daemon->identity.peer_id,
	    .peer_id_bytes = daemon->identity.peer_id_bytes,
	    .peer_name = daemon->peer_name,
	    .version = ZP_VERSION,
	    .headers = headers,
	    .headers_count = from->count,
	    .free_space = free_space,
	    .log_wants = request_log_wants,
	    .log = request_log,
	    .context = daemon,
	};
	int rc;

	for (size_t i = 0; i < from->count; i++)
		headers[i] = (struct zp_api_header){from->items[i].name, from->items[i].value};
	cors_fill(&daemon->config, &options.cors);
	rc = zp_api_new(&options, &daemon->api, err);
	zp_free(headers);
	if (rc < 0)
		return rc;
	daemon->manage = zp_manage_new(&(struct zp_manage_options){
	    .node = daemon->node,
	    .api = daemon->api,
	    .server = daemon->server,
	    .root = daemon->config.node.data,
	    .version = ZP_VERSION,
	    .free_space = free_space,
	    .context = daemon,
	});
	return ZP_OK;
}

/* ---- Listeners ------------------------------------------------------------------------------- */

/* Opens one and says so; `what` names it in the log, `key` in an error. */
static int
listen_one(struct daemon *daemon, const char *what, const char *key,
    const struct zp_config_address *address, struct zp_http_listen *listen,
    struct zp_http_listener **listener_out, struct zp_err *err)
{
	const char *scheme = listen->tls_cert_file != NULL ? "https" : "http";
	bool is_v6 = strchr(address->host, ':') != NULL;
	char url[128];
	int rc;

	listen->host = address->host;
	listen->port = address->port;
	rc = zp_http_server_listen(daemon->server, listen, listener_out, err);
	if (rc < 0)
		return zp_wrap(err, rc, "%s", key);
	snprintf(url, sizeof(url), "%s://%s%s%s:%u", scheme, is_v6 ? "[" : "", address->host,
	    is_v6 ? "]" : "", zp_http_listener_port(*listener_out));
	zp_log(ZP_LOG_INFO, "%s on %s", what, url);
	if (daemon->api_url[0] == '\0') /* the API's come first */
		snprintf(daemon->api_url, sizeof(daemon->api_url), "%s", url);
	return ZP_OK;
}

static int
listen_api(struct daemon *daemon, struct zp_err *err)
{
	const struct zp_config *config = &daemon->config;
	bool tls = config->api.tls_certificate[0] != '\0';
	int rc = ZP_OK;

	for (size_t i = 0; i < config->api.listen.count && rc == ZP_OK; i++) {
		struct zp_http_listen listen = {
		    .tls_cert_file = tls ? config->api.tls_certificate : NULL,
		    .tls_key_file = tls ? config->api.tls_key : NULL,
		};

		if (daemon->listener_count == LISTENERS_MAX)
			return zp_fail(
			    err, ZP_E_TOO_LARGE, "more than %d addresses", LISTENERS_MAX);
		zp_api_listen(daemon->api, &listen);
		rc = listen_one(daemon, "REST API", "api.listen", &config->api.listen.items[i],
		    &listen, &daemon->listeners[daemon->listener_count], err);
		if (rc == ZP_OK)
			daemon->listener_count++;
	}
	return rc;
}

static int
listen_management(struct daemon *daemon, struct zp_err *err)
{
	const struct zp_config *config = &daemon->config;
	struct zp_http_listener *listener;
	int rc = ZP_OK;

	for (size_t i = 0; i < config->management.listen.count && rc == ZP_OK; i++) {
		struct zp_http_listen listen = {0};

		zp_manage_listen(daemon->manage, &listen);
		rc = listen_one(daemon, "management", "management.listen",
		    &config->management.listen.items[i], &listen, &listener, err);
	}
	for (size_t i = 0; i < config->metrics.listen.count && rc == ZP_OK; i++) {
		struct zp_http_listen listen = {0};

		zp_manage_listen_metrics(daemon->manage, &listen);
		rc = listen_one(daemon, "metrics", "metrics.listen",
		    &config->metrics.listen.items[i], &listen, &listener, err);
	}
	if (rc == ZP_OK && config->management.socket[0] != '\0') {
		struct zp_http_listen listen = {
		    .unix_path = config->management.socket, .unix_mode = 0660};

		zp_manage_listen(daemon->manage, &listen);
		rc = zp_http_server_listen(daemon->server, &listen, &listener, err);
		if (rc < 0) /* nor is it a node that is not there */
			return zp_wrap(err, rc == ZP_E_NOT_FOUND ? ZP_E_INVALID : rc,
			    "management.socket (set it to another path, or to \"\" for none)");
		zp_log(ZP_LOG_INFO, "management on %s", config->management.socket);
	}
	return rc;
}

static int
daemon_start(struct daemon *daemon, struct zp_err *err)
{
	int rc = node_start(daemon, err);

	if (rc == ZP_OK)
		rc = access_start(daemon, err);
	if (rc == ZP_OK)
		rc = server_start(daemon, err);
	if (rc == ZP_OK)
		rc = api_start(daemon, err);
	if (rc == ZP_OK)
		rc = listen_api(daemon, err);
	if (rc == ZP_OK)
		rc = listen_management(daemon, err);
	if (rc == ZP_OK)
		rc = zp_http_server_start(daemon->server, err);
	return rc;
}

/* The order that api.h asks for. Each part may be missing. */
static void
daemon_stop(struct daemon *daemon)
{
	unsigned cut;

	zp_node_work_stop(daemon->node); /* a verify may take an hour */
	cut = daemon->server == NULL ? 0 : zp_http_server_stop(daemon->server, DRAIN_MS);
	atomic_store(&daemon->is_drained, true);
	if (cut > 0)
		zp_log(ZP_LOG_WARNING, "%u connections were cut off", cut);
	zp_manage_free(daemon->manage);
	zp_node_close(daemon->node);
	zp_access_free(daemon->access);
	zp_http_server_free(daemon->server);
	zp_api_free(daemon->api);
}

/* ---- Signals --------------------------------------------------------------------------------- */

static void
reload(struct daemon *daemon)
{
	bool is_new = daemon->config.api.tls_certificate[0] != '\0';
	struct zp_config config;
	struct zp_err err = {0};

	zp_process_notify("RELOADING=1");
	if (zp_config_load(daemon->config_path, environ, &config, &err) < 0) {
		zp_log(ZP_LOG_ERROR, "reload: %s; the old config stays", err.text);
		zp_process_notify("READY=1");
		return;
	}
	log_apply(&config);
	/* Only what was changed in the config: a new certificate must not undo what an operator has
	 * said to the running node (POST /read-only). */
	if (config.node.read_only != daemon->read_only)
		zp_node_read_only_set(daemon->node, config.node.read_only);
	daemon->read_only = config.node.read_only;
	for (size_t i = 0; i < daemon->listener_count && is_new; i++) {
		is_new = zp_http_listener_tls_reload(daemon->listeners[i], &err) == 0;
		if (!is_new)
			zp_log(ZP_LOG_ERROR, "reload: %s; the old certificate stays", err.text);
	}
	zp_log(ZP_LOG_INFO, "reloaded: log, node.read_only%s; other keys need a restart",
	    is_new ? ", certificate" : "");
	zp_config_done(&config);
	zp_process_notify("READY=1");
}

static void
signals_wait(struct daemon *daemon, const sigset_t *signals)
{
	int number;

	while (sigwait(signals, &number) == 0) {
		if (number == SIGHUP) {
			reload(daemon);
			continue;
		}
		zp_log(ZP_LOG_INFO, "stopping");
		zp_process_notify("STOPPING=1");
		return;
	}
}

/* A second SIGINT or SIGTERM while draining ends the process at once; the journal has what was
 * said. */
static void
signals_release(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
}

/* What a person can paste into another terminal: with the program and the address as they are. */
static void
commands_show(const struct daemon *daemon)
{
	const char *program = main__program();
	const char *socket = daemon->config.management.socket;
	bool by_socket = daemon->access != NULL && socket[0] != '\0'; /* asks for no password */
	char address[ZP_CONFIG_TEXT_BYTES_MAX + 32] = "";

	if (by_socket)
		snprintf(address, sizeof(address), " --api unix:%s", socket);
	else if (strcmp(daemon->api_url, API_URL_DEFAULT) != 0)
		snprintf(address, sizeof(address), " --api %s", daemon->api_url);
	fprintf(stderr,
	    "\nThree commands to try, in another terminal:\n\n"
	    "  %s%s pin add "
	    "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi --name first\n"
	    "  %s%s pin ls\n"
	    "  curl -s %s%s%s/pins\n\n"
	    "Ctrl-C stops the node.\n\n",
	    program, address, program, address, by_socket ? "--unix-socket " : "",
	    by_socket ? socket : "", by_socket ? " http://localhost" : daemon->api_url);
}

static void
greet(const struct daemon *daemon)
{
	char suspended[48] = "";
	struct zp_node_facts facts;
	uint64_t pins = 0;

	zp_node_facts_get(daemon->node, &facts);
	for (unsigned type = 0; type < ZP_PIN_TYPE_COUNT; type++)
		pins += facts.engines.pins[type];
	if (facts.suspended_shards > 0)
		snprintf(suspended, sizeof(suspended), " (%u suspended, not counted)",
		    facts.suspended_shards);
	zp_log(ZP_LOG_INFO, "ready: %llu pins in %u shards%s, data in %s, peer id %s",
	    (unsigned long long)pins, facts.shards, suspended, daemon->config.node.data,
	    daemon->identity.text);
	if (isatty(STDERR_FILENO))
		commands_show(daemon);
}

int
zp_node_serve(const char *config_path, struct zp_err *err)
{
	struct daemon *daemon = zp_alloc_zero(1, sizeof(*daemon));
	sigset_t signals;
	int rc;

	/* Before any thread: signals are the main thread's. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	zp_process_files_raise();

	daemon->config_path = config_path;
	rc = zp_config_load(config_path, environ, &daemon->config, err);
	if (rc < 0) {
		zp_free(daemon);
		return rc;
	}
	log_apply(&daemon->config);
	rc = daemon_start(daemon, err);
	if (rc == ZP_OK) {
		greet(daemon);
		zp_process_notify("READY=1");
		signals_wait(daemon, &signals);
	}
	signals_release();
	daemon_stop(daemon);
	if (rc == ZP_OK)
		zp_log(ZP_LOG_INFO, "stopped");
	zp_config_done(&daemon->config);
	zp_free(daemon);
	return rc;
}
