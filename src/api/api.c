/*
 * api.c - the life of the API and of one call: sign in, CORS, clean path, route.
 *
 * Flow: http → api__handle → (access) → serve → a handler of the table in routes.c.
 * Owner: a call belongs to its request's thread; the pool of idle calls is under a lock.
 *
 * The order is IPFS Cluster's: credentials first, except for OPTIONS and GET /health; so a 401 has
 * no CORS headers.
 */
#include <arpa/inet.h>
#include <sodium.h>

#include "api/api_internal.h"

#define REDIRECT_BYTES_MAX 12288u

int64_t
api__now_us(void)
{
	return zp_clock_realtime_us();
}

/* ---- Calls ---------------------------------------------------------------------------------- */

static struct api_call *
call_new(struct zp_api *api)
{
	struct api_call *call = zp_alloc_zero(1, sizeof(*call));

	call->api = api;
	call->scratch = zp_read_scratch_new();
	zp_pin_init(&call->pin);
	zp_buf_init(&call->path, 4 * ZP_HTTP_HEAD_BYTES_MAX);
	zp_buf_init(&call->credentials, ZP_HTTP_HEAD_BYTES_MAX * 4);
	zp_buf_init(&call->texts, ZP_RECORD_BYTES_MAX);
	zp_buf_init(&call->text, 4 * ZP_HTTP_HEAD_BYTES_MAX);
	zp_buf_init(&call->json, API_JSON_BYTES_MAX);
	return call;
}

static void
call_free(struct api_call *call)
{
	zp_buf_done(&call->path);
	zp_buf_done(&call->credentials);
	zp_buf_done(&call->texts);
	zp_buf_done(&call->text);
	zp_buf_done(&call->json);
	zp_buf_done(&call->write.result_texts);
	zp_pin_done(&call->pin);
	api__query_done(&call->query);
	zp_read_scratch_free(call->scratch);
	zp_free(call);
}

struct api_call *
api__call_take(struct zp_api *api, struct zp_http_request *request)
{
	struct api_call *call;

	zp_mutex_lock(&api->pool_mutex);
	call = api->pool;
	if (call != NULL) {
		api->pool = call->next;
		api->pool_count--;
	}
	zp_mutex_unlock(&api->pool_mutex);
	if (call == NULL)
		call = call_new(api);
	call->request = request;
	call->node = api->node;
	call->route = NULL;
	call->user = NULL;
	return call;
}

static void
buffer_reset(struct zp_buf *buf)
{
	size_t length_max = buf->length_max;

	if (buf->capacity > API_CALL_BYTES_KEPT_MAX)
		zp_buf_done(buf);
	zp_buf_clear(buf);
	buf->length_max = length_max;
}

void
api__call_put(struct api_call *call)
{
	struct zp_api *api = call->api;
	bool is_kept;

	call->request = NULL;
	if (call->credentials.length > 0)
		sodium_memzero(call->credentials.data, call->credentials.length);
	buffer_reset(&call->path);
	buffer_reset(&call->credentials);
	buffer_reset(&call->texts);
	buffer_reset(&call->text);
	buffer_reset(&call->json);
	zp_pin_reset(&call->pin);
	call->query.count = 0;
	call->listing = NULL;
	zp_moment_release(call->moment);
	call->moment = NULL;
	if (call->page_bytes > 0)
		atomic_fetch_sub(&api->pages_bytes, call->page_bytes);
	call->page_bytes = 0;
	zp_err_clear(&call->err);
	call->is_incomplete = false;

	zp_mutex_lock(&api->pool_mutex);
	is_kept = api->pool_count < API_CALLS_KEPT_MAX;
	if (is_kept) {
		call->next = api->pool;
		api->pool = call;
		api->pool_count++;
	}
	zp_mutex_unlock(&api->pool_mutex);
	if (!is_kept)
		call_free(call);
}

/* ---- From path to handler ------------------------------------------------------------------- */

static void
put_html(struct zp_buf *text, struct zp_slice url)
{
	for (size_t i = 0; i < url.length; i++) {
		switch (url.data[i]) {
		case '&':
			zp_buf_append_text(text, "&amp;");
			break;
		case '<':
			zp_buf_append_text(text, "&lt;");
			break;
		case '>':
			zp_buf_append_text(text, "&gt;");
			break;
		case '"':
			zp_buf_append_text(text, "&#34;");
			break;
		case '\'':
			zp_buf_append_text(text, "&#39;");
			break;
		default:
			zp_buf_append_byte(text, url.data[i]);
		}
	}
}

static void
answer_plain(struct api_call *call, unsigned status, const char *text)
{
	if (text[0] != '\0')
		zp_http_answer_header_text(
		    call->request, "Content-Type", "text/plain; charset=utf-8");
	zp_http_answer(call->request, status, zp_slice_of(text));
	api__call_put(call);
}

/* To the clean path. Go says 301 for one that was not clean, and IPFS Cluster 307, with a page for
 * people, for one that only has a slash too many. */
static void
redirect(struct api_call *call, struct zp_slice path, unsigned status)
{
	struct zp_http_request *request = call->request;
	struct zp_slice query = zp_http_query(request);
	enum zp_http_method method = zp_http_method(request);
	ZP_AUTO_BUF(location, 8 * ZP_HTTP_HEAD_BYTES_MAX);

	api__path_escape(path, &location);
	if (query.length > 0)
		zp_buf_append_byte(&location, '?');
	for (size_t i = 0; i < query.length; i++) {
		if (status == 307 && query.data[i] >= 0x80)
			zp_buf_printf(&location, "%%%02x", query.data[i]);
		else
			zp_buf_append_byte(&location, query.data[i]);
	}
	/* Escaped it may be three times what came, which no header of ours has room for. */
	if (location.length > REDIRECT_BYTES_MAX) {
		answer_plain(call, 414, "414 Request URI Too Long");
		return;
	}
	zp_http_answer_header(request, "Location", zp_buf_slice(&location));
	zp_buf_clear(&call->json);
	if (status == 307 && (method == ZP_HTTP_GET || method == ZP_HTTP_HEAD)) {
		zp_http_answer_header_text(request, "Content-Type", "text/html; charset=utf-8");
		zp_buf_append_text(&call->json, "<a href=\"");
		put_html(&call->json, zp_buf_slice(&location));
		zp_buf_append_text(&call->json, "\">Temporary Redirect</a>.\n\n");
	}
	zp_http_answer(request, status, zp_buf_slice(&call->json));
	api__call_put(call);
}

static bool
is_write(struct zp_http_request *request)
{
	enum zp_http_method method = zp_http_method(request);

	return method != ZP_HTTP_GET && method != ZP_HTTP_HEAD && method != ZP_HTTP_OPTIONS;
}

static void
route(struct api_call *call, struct zp_slice path)
{
	int rc = api__route_find(api__routes, api__routes_count, zp_http_method(call->request),
	    path, &call->route, call->captures);

	if (rc == ZP_E_UNSUPPORTED) {
		answer_plain(call, 405, "");
		return;
	}
	if (rc < 0) {
		api__answer_error(call, 404, "not found");
		return;
	}
	if (is_write(call->request) && !api__browser_may_write(call->api, call->request)) {
		api__answer_error(
		    call, 403, "not for pages of other sites; see api.cors_allowed_methods");
		return;
	}
	rc = api__query_read(&call->query, call->request, &call->err);
	if (rc < 0)
		api__answer_failure(call, rc);
	else if (api__query_has(&call->query, "as_of"))
		api__as_of(call);
	else
		call->route->handle(call);
}

void
api__serve(struct api_call *call)
{
	struct zp_slice path = zp_buf_slice(&call->path);

	if (api__cors_apply(&call->api->cors, call->request)) {
		zp_http_answer(call->request, 204, (struct zp_slice){0});
		api__call_put(call);
		return;
	}
	if (path.length > 1 && path.data[path.length - 1] == '/') {
		path.length--;
		redirect(call, path, 307);
	} else if (call->path_was_unclean) {
		redirect(call, path, 301);
	} else {
		route(call, path);
	}
}

/* ---- Credentials ---------------------------------------------------------------------------- */

static bool
scheme_take(struct zp_slice value, const char *scheme, struct zp_slice *rest_out)
{
	size_t length = strlen(scheme);

	if (value.length < length || strncasecmp((const char *)value.data, scheme, length) != 0)
		return false;
	rest_out->data = value.data + length;
	rest_out->length = value.length - length;
	return true;
}

static void
refuse(struct api_call *call, const char *challenge, const char *second, const char *text)
{
	zp_http_answer_header_text(call->request, "Www-Authenticate", challenge);
	if (second != NULL)
		zp_http_answer_header_text(call->request, "Www-Authenticate", second);
	api__answer_error(call, 401, "%s", text);
}

#define REALM "realm=\"Restricted IPFS Cluster API\""

static void
signed_in(struct api_call *call, int rc)
{
	if (rc == ZP_E_DENIED) {
		refuse(call, "Basic " REALM, NULL, "unauthorized: access denied");
	} else if (rc < 0) {
		api__answer_failure(call, rc);
	} else {
		api__note_user(call->request, zp_access_user_name(call->user));
		call->admitted(call);
	}
}

static void
check_resume(struct zp_task *task)
{
	struct api_call *call = ZP_CONTAINER(task, struct api_call, task);

	call->user = call->check.user;
	signed_in(call, call->check.rc);
}

static void
check_done(struct zp_access_check *check)
{
	struct api_call *call = ZP_CONTAINER(check, struct api_call, check);

	call->task.run = check_resume;
	zp_http_post(call->request, &call->task);
}

/* Base64 of name:password. False: that is not what it is. */
static bool
basic_read(struct api_call *call, struct zp_slice encoded, struct zp_access_check *check)
{
	uint8_t *to = zp_buf_reserve(&call->credentials, encoded.length + 1);
	const uint8_t *colon;
	size_t length;

	if (to == NULL ||
	    sodium_base642bin(to, encoded.length + 1, (const char *)encoded.data, encoded.length,
		NULL, &length, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
		return false;
	call->credentials.length = length;
	colon = length == 0 ? NULL : memchr(to, ':', length);
	if (colon == NULL)
		return false;
	check->name = (struct zp_slice){to, (size_t)(colon - to)};
	check->password = (struct zp_slice){colon + 1, length - check->name.length - 1};
	return true;
}

/* Who asks, for fairness: "address:port" without the port, and of IPv6 the network, in which one
 * has as many addresses as one likes. */
static uint64_t
address_of(struct zp_slice peer)
{
	const uint8_t *colon = memrchr(peer.data, ':', peer.length);
	char text[INET6_ADDRSTRLEN] = "";
	struct in6_addr address;
	size_t length = colon == NULL ? peer.length : (size_t)(colon - peer.data);

	if (peer.data[0] == '[' && length > 2 && length - 2 < sizeof(text)) {
		memcpy(text, peer.data + 1, length - 2);
		if (inet_pton(AF_INET6, text, &address) == 1)
			return zp_hash64(&address, 8, 0);
	}
	return zp_hash64(peer.data, length, 0);
}

static void
sign_in_basic(struct api_call *call)
{
	struct zp_access_check *check = &call->check;
	int rc;

	check->now_ms = zp_clock_ms();
	rc = zp_access_password_find(
	    call->api->access, check->name, check->password, check->now_ms, &call->user);
	if (rc != ZP_ACCESS_UNKNOWN) {
		signed_in(call, rc);
		return;
	}
	check->done = check_done;
	check->address = address_of(zp_http_peer(call->request));
	rc = zp_access_check_submit(call->api->access, check, &call->err);
	if (rc < 0)
		api__answer_failure(call, rc);
}

static void
sign_in(struct api_call *call)
{
	struct zp_slice value = {0}, rest;

	(void)zp_http_header(call->request, "Authorization", &value);
	if (scheme_take(value, "Basic ", &rest) && basic_read(call, rest, &call->check)) {
		sign_in_basic(call);
	} else if (scheme_take(value, "Bearer ", &rest)) {
		if (zp_access_token_verify(
			call->api->access, rest, api__now_us() / 1000000, &call->user, NULL) < 0) {
			refuse(call, "Bearer " REALM ", error=\"invalid_token\"", NULL,
			    "unauthorized: invalid token");
			return;
		}
		signed_in(call, 0);
	} else {
		refuse(call, "Bearer " REALM, "Basic " REALM, "unauthorized: no auth provided");
	}
}

void
api__admit(struct zp_api *api, struct zp_http_request *request,
    void (*admitted)(struct api_call *call), void *context)
{
	struct api_call *call = api__call_take(api, request);
	enum zp_http_method method = zp_http_method(request);
	bool is_open;

	call->admitted = admitted;
	call->admitted_context = context;
	/* Of the server as a whole: nobody has to sign in for it, and no page is asked for. */
	if (zp_slice_is(zp_http_path(request), "*")) {
		answer_plain(call, 200, "");
		return;
	}
	if (api__path_clean(zp_http_path(request), &call->path, &call->path_was_unclean) < 0) {
		answer_plain(call, 400, "400 Bad Request");
		return;
	}
	if (api__browser_is_rebound(api, request)) {
		api__answer_error(call, 403,
		    "without accounts a browser must ask by address or as localhost; see "
		    "api.cors_allowed_origins");
		return;
	}
	/* Who may open the Unix socket's file may do everything: that is what its mode is for. */
	is_open = api->access == NULL || method == ZP_HTTP_OPTIONS ||
		  zp_slice_is(zp_http_peer(request), "unix") ||
		  (method == ZP_HTTP_GET && !call->path_was_unclean &&
		      zp_slice_is(zp_buf_slice(&call->path), "/health"));
	if (is_open)
		call->admitted(call);
	else
		sign_in(call);
}

static void
handle(struct zp_http_request *request, void *context)
{
	api__admit(context, request, api__serve, NULL);
}

/* ---- Life ----------------------------------------------------------------------------------- */

static char *
text_of(struct zp_buf *text)
{
	zp_buf_append_byte(text, '\0');
	return zp_strdup((const char *)text->data);
}

/* GET /id, which does not change while the node runs. */
static void
id_json_make(struct zp_api *api, const char *version)
{
	ZP_AUTO_BUF(json, ZP_RECORD_BYTES_MAX);

	zp_buf_printf(&json,
	    "{\"id\":\"%s\",\"addresses\":[],\"cluster_peers\":[\"%s\"],"
	    "\"cluster_peers_addresses\":[],\"version\":",
	    api->self.id, api->self.id);
	zp_json_put_text(&json, version);
	zp_buf_append_text(&json,
	    ",\"commit\":\"\",\"rpc_protocol_version\":\"/zpin/1.0/rpc\",\"error\":\"\",\"ipfs\":{"
	    "\"addresses\":null,\"error\":\"no IPFS daemon is configured on this node\"},"
	    "\"peername\":");
	zp_buf_append_text(&json, api->self.name_json);
	zp_buf_append_byte(&json, '}');
	api->id_json = text_of(&json);
	zp_buf_clear(&json);
	zp_buf_append_text(&json, "{\"version\":");
	zp_json_put_text(&json, version);
	zp_buf_append_byte(&json, '}');
	api->version_json = text_of(&json);
}

static void
self_make(struct zp_api *api, const struct zp_api_options *options)
{
	ZP_AUTO_BUF(text, ZP_RECORD_BYTES_MAX);

	zp_peer_id_format((struct zp_slice){options->peer_id, options->peer_id_bytes}, &text);
	api->self.id = text_of(&text);
	api->self.name = zp_strdup(options->peer_name != NULL ? options->peer_name : "");
	zp_buf_clear(&text);
	zp_json_put_text(&text, api->self.name);
	api->self.name_json = text_of(&text);
}

int
zp_api_new(const struct zp_api_options *options, struct zp_api **api_out, struct zp_err *err)
{
	struct zp_api *api;

	if (options->peer_id_bytes == 0 || options->peer_id_bytes > ZP_PEER_ID_BYTES_MAX)
		return zp_fail(err, ZP_E_INVALID, "api: the node has no peer id");
	api = zp_alloc_zero(1, sizeof(*api));
	api->node = options->node;
	api->access = options->access;
	api->free_space = options->free_space;
	api->log_wants = options->log_wants;
	api->log = options->log;
	api->context = options->context;
	zp_mutex_init(&api->pool_mutex);
	self_make(api, options);
	id_json_make(api, options->version);
	api->headers = zp_alloc_zero(options->headers_count + 1, sizeof(api->headers[0]));
	api->headers_count = options->headers_count;
	for (size_t i = 0; i < options->headers_count; i++) {
		api->headers[i].name = zp_strdup(options->headers[i].name);
		api->headers[i].value = zp_strdup(options->headers[i].value);
	}
	api__cors_init(&api->cors, &options->cors);
	*api_out = api;
	return 0;
}

void
zp_api_free(struct zp_api *api)
{
	if (api == NULL)
		return;
	while (api->pool != NULL) {
		struct api_call *call = api->pool;

		api->pool = call->next;
		call_free(call);
	}
	for (size_t i = 0; i < api->headers_count; i++) {
		zp_free((char *)(uintptr_t)api->headers[i].name);
		zp_free((char *)(uintptr_t)api->headers[i].value);
	}
	zp_free(api->headers);
	api__cors_done(&api->cors);
	zp_free(api->self.id);
	zp_free(api->self.name);
	zp_free(api->self.name_json);
	zp_free(api->id_json);
	zp_free(api->version_json);
	zp_mutex_done(&api->pool_mutex);
	zp_free(api);
}

void
zp_api_listen(struct zp_api *api, struct zp_http_listen *listen)
{
	listen->handler = handle;
	listen->finished = api__finished;
	listen->context = api;
}
