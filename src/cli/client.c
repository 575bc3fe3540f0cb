/*
 * client.c - HTTP to the node by libcurl: one connection kept for all requests of a command.
 *
 * Flow:   commands fill a cli_request; bodies come from a source and go to a sink as they stream.
 * Errors: the node's own message with the code of its status; a stream that was cut or came with
 *         X-Stream-Error is an error too, although what came before was handed on.
 */
#include "cli/cli_internal.h"

#include <curl/curl.h>

#include "base/json.h"

#define UNIX_PREFIX "unix:"
#define CONNECT_TIMEOUT_MS 10000L
#define TIMEOUT_DEFAULT_S 60L

struct cli_client {
	CURL *curl;
};

/* One transfer; lives on the stack of cli__request. */
struct transfer {
	struct cli_call *call;
	struct cli_request *request;
	CURL *curl;
	struct zp_buf error_body;   /* of an answer of 400 and over */
	int error_code;             /* what the node calls it; 0: it did not say */
	struct zp_buf stream_error; /* the trailer's text */
	struct zp_err err;          /* of the source or the sink */
	int rc;                     /* the same */
	char curl_text[CURL_ERROR_SIZE];
};

/* ---- Paths ---------------------------------------------------------------------------------- */

void
cli__url_encode(struct zp_slice text, struct zp_buf *url)
{
	static const char plain[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] != '\0' && strchr(plain, text.data[i]) != NULL)
			zp_buf_append_byte(url, text.data[i]);
		else
			zp_buf_printf(url, "%%%02X", text.data[i]);
	}
}

static void
query_begin(struct zp_buf *url)
{
	bool has_query = url->length > 0 && memchr(url->data, '?', url->length) != NULL;

	zp_buf_append_byte(url, has_query ? '&' : '?');
}

void
cli__query_add(struct zp_buf *url, const char *name, const char *value)
{
	query_begin(url);
	cli__url_encode(zp_slice_of(name), url);
	zp_buf_append_byte(url, '=');
	cli__url_encode(zp_slice_of(value), url);
}

void
cli__query_add_given(struct zp_buf *url, const struct cli_parsed *parsed)
{
	for (size_t i = 0; i < parsed->given_count; i++) {
		const struct cli_option *option = parsed->given[i].option;
		const char *value = parsed->given[i].value;
		const char *equals;

		if (option->parameter == NULL)
			continue;
		if (option->value == CLI_FLAG) {
			cli__query_add(url, option->parameter, "true");
			continue;
		}
		if (option->value != CLI_PAIR) {
			cli__query_add(url, option->parameter, value);
			continue;
		}
		equals = strchr(value, '=');
		query_begin(url);
		cli__url_encode(zp_slice_of(option->parameter), url);
		cli__url_encode(
		    (struct zp_slice){(const uint8_t *)value, (size_t)(equals - value)}, url);
		zp_buf_append_byte(url, '=');
		cli__url_encode(zp_slice_of(equals + 1), url);
	}
}

int
cli__url_end(struct zp_buf *url, struct zp_err *err)
{
	zp_buf_append_byte(url, '\0');
	return zp_buf_check(url, "the request's URL", err);
}

/* ---- Errors --------------------------------------------------------------------------------- */

int
cli__code_of_status(long status)
{
	switch (status) {
	case 400:
	case 413:
	case 414:
	case 422:
	case 431:
		return ZP_E_INVALID;
	case 401:
	case 403:
		return ZP_E_DENIED;
	case 404:
		return ZP_E_NOT_FOUND;
	case 408:
	case 504:
		return ZP_E_TIMEOUT;
	case 409:
		return ZP_E_EXISTS;
	case 405:
	case 501:
		return ZP_E_UNSUPPORTED;
	case 503:
		return ZP_E_FULL;
	case 507:
		return ZP_E_NO_SPACE;
	default:
		return ZP_E_INTERNAL;
	}
}

int
cli__code_of_name(struct zp_slice name, int otherwise)
{
	static const struct {
		const char *name;
		int code;
	} codes[] = {
#define ZP_ERR(name, number, text, http_status, exit_code, retry) {#name, -(number)},
#include "base/err.def"
#undef ZP_ERR
	};

	for (size_t i = 0; i < ZP_ARRAY_COUNT(codes); i++) {
		if (zp_slice_is(name, codes[i].name))
			return codes[i].code;
	}
	return otherwise;
}

/* {"code":n,"message":"…"}; anything else (a proxy's page) is shown by its status alone. */
static int
status_error(struct transfer *transfer, long status, const char *base, struct zp_err *err)
{
	static const char *const names[] = {"message"};
	struct zp_buf message = ZP_BUF_INIT(CLI_ERROR_BODY_BYTES_MAX);
	ZP_AUTO_BUF(shown, CLI_ERROR_BODY_BYTES_MAX * 3);
	int rc = transfer->error_code < 0 ? transfer->error_code : cli__code_of_status(status);

	if (cli__pick(zp_buf_slice(&transfer->error_body), names, &message, 1, NULL) == 0 &&
	    message.length > 0 &&
	    (status != 404 || transfer->error_code < 0 ||
		!zp_slice_is(zp_buf_slice(&message), "not found"))) {
		cli__text_fit(zp_buf_slice(&message), 400, &shown);
		rc = zp_fail(err, rc, "%.*s%s", (int)shown.length, (const char *)shown.data,
		    status == 401 ? " (--credentials or ZPIN_CREDENTIALS say who asks)" : "");
	} else if (status == 401) {
		rc = zp_fail(err, rc, "not permitted; give --credentials or ZPIN_CREDENTIALS");
	} else if (status == 404) { /* of no pin: an API says what is not found */
		rc = zp_fail(err, ZP_E_UNSUPPORTED,
		    "%s answers, but not to this (status 404): is it a node's API?", base);
	} else {
		rc = zp_fail(err, rc, "the node answered with status %ld", status);
	}
	zp_buf_done(&message);
	return rc;
}

void
cli__url_show(const char *url, struct zp_buf *text)
{
	const char *scheme_end = strstr(url, "://");
	const char *at = strrchr(url, '@');

	if (at != NULL && strncmp(url, UNIX_PREFIX, strlen(UNIX_PREFIX)) != 0) {
		if (scheme_end != NULL && scheme_end < at)
			zp_buf_append(text, url, (size_t)(scheme_end + 3 - url));
		zp_buf_append_text(text, "USER:PASSWORD");
		url = at;
	}
	zp_buf_append(text, url, strlen(url) + 1);
}

/* An address with TLS closes what does not begin with it, without a word. */
static int
cut_error(struct transfer *transfer, const char *base, const char *text, struct zp_err *err)
{
	bool is_plain =
	    strncmp(base, "https:", 6) != 0 && strncmp(base, UNIX_PREFIX, strlen(UNIX_PREFIX)) != 0;
	long status = 0;

	curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == 0 && is_plain)
		return zp_fail(
		    err, ZP_E_IO, "%s: no answer (%s); if it speaks TLS, say https://", base, text);
	return zp_fail(err, ZP_E_IO, "%s: the answer was cut (%s)", base, text);
}

static int
curl_error(struct transfer *transfer, CURLcode code, const char *base, struct zp_err *err)
{
	ZP_AUTO_BUF(shown, CLI_URL_BYTES_MAX);
	const char *text =
	    transfer->curl_text[0] != '\0' ? transfer->curl_text : curl_easy_strerror(code);

	/* libcurl speaks of port 80 where it could not open a socket's file. */
	if (code == CURLE_COULDNT_CONNECT && strncmp(base, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
		long why = 0;

		curl_easy_getinfo(transfer->curl, CURLINFO_OS_ERRNO, &why);
		text = why != 0 ? strerror((int)why) : "can't connect";
	}
	cli__url_show(base, &shown);
	base = shown.overflow ? "the node" : (const char *)shown.data;
	switch (code) {
	case CURLE_SSL_CONNECT_ERROR:
		return zp_fail(err, ZP_E_IO,
		    "%s: no TLS there (%s); if it speaks plain HTTP, say http://", base, text);
	case CURLE_COULDNT_CONNECT:
		return zp_fail(err, ZP_E_IO,
		    "no node answers at %s; is `zpin serve` running there? (%s)", base, text);
	case CURLE_OPERATION_TIMEDOUT:
		return zp_fail(err, ZP_E_TIMEOUT, "%s: no answer in time (%s)", base, text);
	case CURLE_PEER_FAILED_VERIFICATION:
		return zp_fail(err, ZP_E_DENIED,
		    "%s: its certificate is not trusted; --ca-file names the authority (%s)", base,
		    text);
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_COULDNT_RESOLVE_HOST:
		return zp_fail(err, ZP_E_INVALID, "%s: %s", base, text);
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
		return cut_error(transfer, base, text, err);
	default:
		return zp_fail(err, ZP_E_IO, "%s: %s", base, text);
	}
}

/* ---- libcurl's callbacks -------------------------------------------------------------------- */

static size_t
on_body(char *data, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;
	struct zp_slice block = {(const uint8_t *)data, size * count};
	long status = 0;

	curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 400) {
		zp_buf_append_slice(&transfer->error_body, block);
		return block.length;
	}
	if (transfer->request->sink == NULL)
		return block.length;
	transfer->rc =
	    transfer->request->sink(transfer->request->sink_context, block, &transfer->err);
	return transfer->rc < 0 ? 0 : block.length;
}

/* The value of `line` when it is the header `name`; trailers come here too. */
static bool
header_is(struct zp_slice line, const char *name, struct zp_slice *value_out)
{
	size_t length = strlen(name);

	if (line.length <= length || line.data[length] != ':' ||
	    strncasecmp((const char *)line.data, name, length) != 0)
		return false;
	line.data += length + 1;
	line.length -= length + 1;
	while (line.length > 0 && (line.data[0] == ' ' || line.data[0] == '\t')) {
		line.data++;
		line.length--;
	}
	while (line.length > 0 && strchr("\r\n \t", line.data[line.length - 1]) != NULL)
		line.length--;
	*value_out = line;
	return true;
}

static size_t
on_header(char *data, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;
	struct zp_slice line = {(const uint8_t *)data, size * count};
	struct zp_slice value;

	if (header_is(line, "X-Stream-Error", &value) && value.length > 0) {
		if (transfer->stream_error.length > 0)
			zp_buf_append_text(&transfer->stream_error, "; ");
		cli__text_fit(value, ZP_ERR_TEXT_BYTES, &transfer->stream_error);
	}
	if (header_is(line, "X-Zpin-Error", &value))
		transfer->error_code = cli__code_of_name(value, 0);
	if (transfer->request->cursor != NULL && header_is(line, "X-Next-Cursor", &value)) {
		zp_buf_clear(transfer->request->cursor);
		zp_buf_append_slice(transfer->request->cursor, value);
	}
	return line.length;
}

static size_t
on_send(char *to, size_t size, size_t count, void *context)
{
	struct transfer *transfer = context;
	size_t length = 0;

	transfer->rc = transfer->request->source(transfer->request->source_context, (uint8_t *)to,
	    size * count, &length, &transfer->err);
	return transfer->rc < 0 ? CURL_READFUNC_ABORT : length;
}

/* Not 0 would end the transfer. */
static int
on_wait(void *context, curl_off_t get_total, curl_off_t get_now, curl_off_t put_total,
    curl_off_t put_now)
{
	const struct cli_request *request = context;

	(void)get_total, (void)get_now, (void)put_total, (void)put_now;
	request->tick(request->tick_context);
	return 0;
}

/* ---- One request ---------------------------------------------------------------------------- */

static int
client_get(struct cli_call *call, CURL **curl_out, struct zp_err *err)
{
	if (call->client == NULL) {
		CURL *curl;

		if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
		    (curl = curl_easy_init()) == NULL)
			return zp_fail(err, ZP_E_MEMORY, "libcurl can't begin");
		call->client = zp_alloc_zero(1, sizeof(*call->client));
		call->client->curl = curl;
	}
	curl_easy_reset(call->client->curl); /* keeps the connection */
	*curl_out = call->client->curl;
	return 0;
}

void
cli__client_free(struct cli_client *client)
{
	if (client == NULL)
		return;
	curl_easy_cleanup(client->curl);
	curl_global_cleanup();
	zp_free(client);
}

/* "unix:/run/zpin/zpin.sock", "http://…", or "host:port", which is http. */
static int
url_set(CURL *curl, const char *base, const char *path, struct zp_err *err)
{
	ZP_AUTO_BUF(url, CLI_URL_BYTES_MAX);
	int rc;

	if (strncmp(base, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, base + strlen(UNIX_PREFIX));
		zp_buf_append_text(&url, "http://localhost");
	} else {
		size_t length = strlen(base);

		while (length > 0 && base[length - 1] == '/')
			length--;
		if (strstr(base, "://") == NULL)
			zp_buf_append_text(&url, "http://");
		zp_buf_append(&url, base, length);
	}
	zp_buf_append_text(&url, path);
	rc = cli__url_end(&url, err);
	if (rc == 0)
		curl_easy_setopt(curl, CURLOPT_URL, url.data);
	return rc;
}

/* A node that sends nothing at all for the time given is taken for gone; long answers are fine. */
static void
timeouts_set(CURL *curl, const struct cli_settings *settings, bool is_patient)
{
	long seconds = TIMEOUT_DEFAULT_S;

	if (settings->is_timeout_given)
		seconds = (long)zp_min_u64(
		    ((uint64_t)settings->timeout_ns + 999999999u) / 1000000000u, 1000000000u);
	else if (is_patient)
		seconds = 0;
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, seconds);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
	    seconds > 0 && seconds * 1000 < CONNECT_TIMEOUT_MS ? seconds * 1000
							       : CONNECT_TIMEOUT_MS);
}

static void
options_set(struct transfer *transfer, struct curl_slist *headers)
{
	const struct cli_settings *settings = &transfer->call->settings;
	const struct cli_request *request = transfer->request;
	CURL *curl = transfer->curl;

	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(
	    curl, CURLOPT_PROXY, ""); /* a proxy of the environment knows no local node */
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "zpin/" ZP_VERSION);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->curl_text);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, transfer);
	if (settings->credentials != NULL) {
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		curl_easy_setopt(curl, CURLOPT_USERPWD, settings->credentials);
	}
	if (settings->ca_file != NULL)
		curl_easy_setopt(curl, CURLOPT_CAINFO, settings->ca_file);
	if (settings->no_certificate_check) {
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (request->tick != NULL) {
		curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_wait);
		curl_easy_setopt(curl, CURLOPT_XFERINFODATA, request);
	}
	timeouts_set(curl, settings, request->is_patient);
	if (request->source != NULL) {
		curl_easy_setopt(curl, CURLOPT_POST, 1L);
		curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_send);
		curl_easy_setopt(curl, CURLOPT_READDATA, transfer);
	} else if (strcmp(request->method, "POST") == 0) {
		curl_easy_setopt(curl, CURLOPT_POST, 1L);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
	} else {
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
	}
}

/* With the code CORRUPT the list goes on behind what can't be read, and says so itself. */
static int
stream_failed(struct transfer *transfer, struct zp_err *err)
{
	bool is_damage = transfer->error_code == ZP_E_CORRUPT;

	transfer->request->is_incomplete = is_damage;
	return zp_fail(err, transfer->error_code < 0 ? transfer->error_code : ZP_E_IO, "%s%.*s",
	    is_damage ? "" : "the node ended the list early: ", (int)transfer->stream_error.length,
	    (const char *)transfer->stream_error.data);
}

/* What the whole transfer came to. The source's or sink's own error says more than libcurl's. */
static int
outcome(struct transfer *transfer, CURLcode code, const char *base, struct zp_err *err)
{
	long status = 0;

	curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &status);
	transfer->request->status = status;
	if (transfer->rc < 0)
		return zp_fail(err, transfer->rc, "%s", transfer->err.text);
	if (status >= 400 && (code == CURLE_OK || transfer->error_body.length > 0))
		return status_error(transfer, status, base, err);
	if (code != CURLE_OK)
		return curl_error(transfer, code, base, err);
	if (transfer->stream_error.length > 0)
		return stream_failed(transfer, err);
	if (status >= 300)
		return zp_fail(err, ZP_E_INVALID,
		    "%s redirects (status %ld); is this a node's API?", base, status);
	return 0;
}

int
cli__body_sink(void *context, struct zp_slice block, struct zp_err *err)
{
	zp_buf_append_slice(context, block);
	return zp_buf_check(context, "the node's answer", err);
}

int
cli__request(struct cli_call *call, struct cli_request *request)
{
	const char *base = request->base != NULL ? request->base : call->settings.api;
	struct transfer transfer = {
	    .call = call,
	    .request = request,
	    .error_body = ZP_BUF_INIT(CLI_ERROR_BODY_BYTES_MAX),
	    .stream_error = ZP_BUF_INIT(CLI_ERROR_BODY_BYTES_MAX),
	};
	struct curl_slist *headers = NULL;
	int rc = client_get(call, &transfer.curl, &call->err);

	request->status = 0;
	request->is_incomplete = false;
	if (rc < 0)
		return rc;
	if (request->source != NULL) {
		headers = curl_slist_append(headers, "Transfer-Encoding: chunked");
		headers = curl_slist_append(headers, "Content-Type: application/x-ndjson");
	}
	headers = curl_slist_append(headers, "Expect:"); /* no pause before the first byte */
	rc = url_set(transfer.curl, base, request->path, &call->err);
	if (rc == 0) {
		options_set(&transfer, headers);
		rc = outcome(&transfer, curl_easy_perform(transfer.curl), base, &call->err);
	}
	if (request->error_body != NULL)
		zp_buf_append_slice(request->error_body, zp_buf_slice(&transfer.error_body));
	curl_easy_setopt(transfer.curl, CURLOPT_ERRORBUFFER, NULL);
	curl_slist_free_all(headers);
	zp_buf_done(&transfer.error_body);
	zp_buf_done(&transfer.stream_error);
	return rc;
}
