/*
 * cors.c - cross-origin headers exactly as rs/cors, which IPFS Cluster uses, gives them.
 *
 * Flow: api.c, after access and before the route. Owner: read-only after the start.
 */
#include "api/api_internal.h"

static const char *const origins_default[] = {"*"};
static const char *const methods_default[] = {"GET"};
static const char *const exposed_default[] = {
    "Content-Type", "X-Stream-Output", "X-Chunked-Output", "X-Content-Length"};
static const char *const simple_methods[] = {"GET", "POST", "HEAD"};
static const char *const simple_headers[] = {"accept", "content-type", "x-requested-with"};

void
zp_api_cors_defaults(struct zp_api_cors *cors)
{
	*cors = (struct zp_api_cors){
	    .allowed_origins = origins_default,
	    .allowed_origins_count = ZP_ARRAY_COUNT(origins_default),
	    .allowed_methods = methods_default,
	    .allowed_methods_count = ZP_ARRAY_COUNT(methods_default),
	    .exposed_headers = exposed_default,
	    .exposed_headers_count = ZP_ARRAY_COUNT(exposed_default),
	    .allow_credentials = true,
	};
}

static uint8_t
lower(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte;
}

static const char *const *
list_copy(const char *const *list, size_t count)
{
	char **copy = zp_alloc_zero(count + 1, sizeof(copy[0]));

	for (size_t i = 0; i < count; i++)
		copy[i] = zp_strdup(list[i]);
	return (const char *const *)copy;
}

static void
list_free(const char *const *list)
{
	for (size_t i = 0; list != NULL && list[i] != NULL; i++)
		zp_free((char *)(uintptr_t)list[i]);
	zp_free((void *)(uintptr_t)list);
}

static bool
list_has(const char *const *list, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(list[i], text) == 0)
			return true;
	return false;
}

/* The value of Access-Control-Expose-Headers, names as Go writes them: Content-Type. */
static char *
exposed_make(const struct zp_api_cors *options)
{
	ZP_AUTO_BUF(text, ZP_HTTP_HEAD_BYTES_MAX);

	for (size_t i = 0; i < options->exposed_headers_count; i++) {
		bool begins = true;

		zp_buf_append_text(&text, i == 0 ? "" : ", ");
		for (const char *at = options->exposed_headers[i]; *at != '\0'; at++) {
			uint8_t byte = lower((uint8_t)*at);

			if (begins && byte >= 'a' && byte <= 'z')
				byte = (uint8_t)(byte - 32);
			begins = byte == '-';
			zp_buf_append_byte(&text, byte);
		}
	}
	zp_buf_append_byte(&text, '\0');
	return text.overflow || text.length == 1 ? NULL : zp_strdup((const char *)text.data);
}

void
api__cors_init(struct api_cors *cors, const struct zp_api_cors *options)
{
	struct zp_api_cors *own = &cors->options;

	*own = *options;
	if (own->allowed_methods_count == 0) {
		own->allowed_methods = simple_methods;
		own->allowed_methods_count = ZP_ARRAY_COUNT(simple_methods);
	}
	if (own->allowed_headers_count == 0) {
		own->allowed_headers = simple_headers;
		own->allowed_headers_count = ZP_ARRAY_COUNT(simple_headers);
	}
	cors->all_origins = own->allowed_origins_count == 0 ||
			    list_has(own->allowed_origins, own->allowed_origins_count, "*");
	cors->all_headers = list_has(own->allowed_headers, own->allowed_headers_count, "*");
	cors->exposed = exposed_make(own);
	own->allowed_origins = list_copy(own->allowed_origins, own->allowed_origins_count);
	own->allowed_methods = list_copy(own->allowed_methods, own->allowed_methods_count);
	own->allowed_headers = list_copy(own->allowed_headers, own->allowed_headers_count);
	own->exposed_headers = NULL;
	own->exposed_headers_count = 0;
}

void
api__cors_done(struct api_cors *cors)
{
	list_free(cors->options.allowed_origins);
	list_free(cors->options.allowed_methods);
	list_free(cors->options.allowed_headers);
	zp_free(cors->exposed);
}

/* ---- Decisions ------------------------------------------------------------------------------ */

static bool
begins_with(struct zp_slice text, const uint8_t *prefix, size_t length)
{
	if (text.length < length)
		return false;
	for (size_t i = 0; i < length; i++)
		if (lower(text.data[i]) != lower(prefix[i]))
			return false;
	return true;
}

/* Any case; the first '*' of the pattern stands for anything. */
bool
api__origin_matches(struct zp_slice pattern, struct zp_slice origin)
{
	const uint8_t *star =
	    pattern.length == 0 ? NULL : memchr(pattern.data, '*', pattern.length);
	size_t head = star == NULL ? pattern.length : (size_t)(star - pattern.data);
	size_t tail = star == NULL ? 0 : pattern.length - head - 1;
	struct zp_slice end;

	if (!begins_with(origin, pattern.data, head))
		return false;
	if (star == NULL)
		return origin.length == head;
	if (origin.length < head + tail)
		return false;
	end = (struct zp_slice){origin.data + origin.length - tail, tail};
	return begins_with(end, star + 1, tail);
}

static bool
origin_is_allowed(const struct api_cors *cors, struct zp_slice origin)
{
	for (size_t i = 0; !cors->all_origins && i < cors->options.allowed_origins_count; i++)
		if (api__origin_matches(zp_slice_of(cors->options.allowed_origins[i]), origin))
			return true;
	return cors->all_origins;
}

static bool
method_is_allowed(const struct api_cors *cors, struct zp_slice method)
{
	for (size_t i = 0; i < cors->options.allowed_methods_count; i++)
		if (zp_slice_is(method, cors->options.allowed_methods[i]))
			return true;
	return zp_slice_is(method, "OPTIONS");
}

bool
api__cors_allows(const struct api_cors *cors, struct zp_slice origin, struct zp_slice method)
{
	return origin_is_allowed(cors, origin) && method_is_allowed(cors, method);
}

bool
api__cors_names(const struct api_cors *cors, struct zp_slice origin)
{
	for (size_t i = 0; i < cors->options.allowed_origins_count; i++) {
		struct zp_slice allowed = zp_slice_of(cors->options.allowed_origins[i]);

		if (memchr(allowed.data, '*', allowed.length) == NULL &&
		    api__origin_matches(allowed, origin))
			return true;
	}
	return false;
}

static struct zp_slice
trimmed(struct zp_slice text)
{
	while (text.length > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
		text.data++;
		text.length--;
	}
	while (text.length > 0 &&
	       (text.data[text.length - 1] == ' ' || text.data[text.length - 1] == '\t'))
		text.length--;
	return text;
}

static bool
headers_are_allowed(const struct api_cors *cors, struct zp_slice list)
{
	struct zp_slice item;

	while (!cors->all_headers && api__list_next(&list, &item)) {
		bool known = trimmed(item).length == 0;

		for (size_t i = 0; i < cors->options.allowed_headers_count; i++) {
			const char *name = cors->options.allowed_headers[i];

			known |= trimmed(item).length == strlen(name) &&
				 begins_with(trimmed(item), (const uint8_t *)name, strlen(name));
		}
		if (!known)
			return false;
	}
	return true;
}

/* ---- Headers -------------------------------------------------------------------------------- */

static void
origin_add(const struct api_cors *cors, struct zp_http_request *request, struct zp_slice origin)
{
	zp_http_answer_header(
	    request, "Access-Control-Allow-Origin", cors->all_origins ? zp_slice_of("*") : origin);
	if (cors->options.allow_credentials)
		zp_http_answer_header_text(request, "Access-Control-Allow-Credentials", "true");
}

static void
preflight(const struct api_cors *cors, struct zp_http_request *request, struct zp_slice method)
{
	struct zp_slice origin, headers = {0};

	zp_http_answer_header_text(request, "Vary",
	    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
	if (!zp_http_header(request, "Origin", &origin) || origin.length == 0 ||
	    !origin_is_allowed(cors, origin) || !method_is_allowed(cors, method))
		return;
	if (zp_http_header(request, "Access-Control-Request-Headers", &headers) &&
	    !headers_are_allowed(cors, headers))
		return;
	origin_add(cors, request, origin);
	zp_http_answer_header(request, "Access-Control-Allow-Methods", method);
	if (headers.length > 0)
		zp_http_answer_header(request, "Access-Control-Allow-Headers", headers);
	if (cors->options.max_age_seconds != 0) {
		ZP_AUTO_BUF(text, 32);

		zp_buf_append_decimal(
		    &text, cors->options.max_age_seconds < 0 ? 0 : cors->options.max_age_seconds);
		zp_http_answer_header(request, "Access-Control-Max-Age", zp_buf_slice(&text));
	}
}

bool
api__cors_apply(const struct api_cors *cors, struct zp_http_request *request)
{
	struct zp_slice value;

	if (zp_http_method(request) == ZP_HTTP_OPTIONS &&
	    zp_http_header(request, "Access-Control-Request-Method", &value) && value.length > 0) {
		preflight(cors, request, value);
		return true;
	}
	zp_http_answer_header_text(request, "Vary", "Origin");
	if (!zp_http_header(request, "Origin", &value) || value.length == 0 ||
	    !api__cors_allows(cors, value, zp_http_method_text(request)))
		return false;
	origin_add(cors, request, value);
	if (cors->exposed != NULL)
		zp_http_answer_header_text(request, "Access-Control-Expose-Headers", cors->exposed);
	return false;
}
