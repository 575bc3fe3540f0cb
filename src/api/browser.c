/*
 * browser.c - what a page in somebody's browser may not do here.
 *
 * Flow: api.c asks before it signs anybody in and before a write; manage.c before it does anything.
 * Owner: the request's.
 *
 * A browser that can reach the node sends it requests for any page that it shows. Two ways are
 * shut. A page of another site can make it send a POST without a word of permission: refused,
 * unless api.cors_* allows that site this method. And a page can have its own name lead to the node
 * (DNS rebinding): for the browser the node is then the page's own site, and the answers are its to
 * read. Where there are accounts it has none; where there are none, a browser has to ask by an
 * address or as localhost, which no page can have for a name.
 *
 * Programs are not browsers and are asked for nothing.
 */
#include <arpa/inet.h>
#include <strings.h>

#include "api/api_internal.h"

static bool
has_header(struct zp_http_request *request, const char *name)
{
	struct zp_slice value;

	return zp_http_header(request, name, &value);
}

/*
 * What a page cannot take out of the requests that it makes. It cannot forge what begins with Sec-
 * either, but browsers send that only over TLS or to localhost. The fetch of Node.js, which is no
 * browser, has an Accept-Language too, and of the Sec-Fetch headers, which a browser sends
 * together, only the mode.
 */
static bool
is_of_browser(struct zp_http_request *request)
{
	if (has_header(request, "Origin") || has_header(request, "Sec-Fetch-Site") ||
	    has_header(request, "Referer"))
		return true;
	return has_header(request, "Accept-Language") && !has_header(request, "Sec-Fetch-Mode");
}

static bool
equals(struct zp_slice text, const char *name)
{
	return text.length == strlen(name) &&
	       strncasecmp((const char *)text.data, name, text.length) == 0;
}

/* The host of a Host header, which the HTTP server has checked: name, address or [address]. */
static struct zp_slice
without_port(struct zp_slice host)
{
	size_t length = host.length;

	while (length > 0 && host.data[length - 1] >= '0' && host.data[length - 1] <= '9')
		length--;
	if (length > 0 && host.data[length - 1] == ':')
		host.length = length - 1;
	return host;
}

bool
api__host_is_no_name(struct zp_slice host)
{
	const char *const local = ".localhost";
	char text[INET_ADDRSTRLEN] = "";
	struct in_addr address;

	host = without_port(host);
	if (host.length > 0 && host.data[0] == '[') /* an IPv6 address, or the head was refused */
		return true;
	if (equals(host, local + 1))
		return true;
	if (host.length > strlen(local) &&
	    strncasecmp(
		(const char *)host.data + host.length - strlen(local), local, strlen(local)) == 0)
		return true;
	if (host.length >= sizeof(text))
		return false;
	memcpy(text, host.data, host.length);
	return inet_pton(AF_INET, text, &address) == 1;
}

bool
api__browser_is_elsewhere(struct zp_http_request *request)
{
	struct zp_slice origin, site, host = zp_http_host(request);

	/* The browser's own word, also where a proxy has changed the Host. */
	if (zp_http_header(request, "Sec-Fetch-Site", &site))
		return !zp_slice_is(site, "same-origin") && !zp_slice_is(site, "none");
	if (!zp_http_header(request, "Origin", &origin))
		return false;
	if (host.length == 0 || origin.length < host.length + 3)
		return true;
	return strncasecmp((const char *)origin.data + origin.length - host.length,
		   (const char *)host.data, host.length) != 0 ||
	       memcmp(origin.data + origin.length - host.length - 3, "://", 3) != 0;
}

bool
api__browser_is_rebound(const struct zp_api *api, struct zp_http_request *request)
{
	struct zp_slice origin;

	if (api->access != NULL || zp_slice_is(zp_http_peer(request), "unix") ||
	    !is_of_browser(request) || api__host_is_no_name(zp_http_host(request)))
		return false;
	/* A site that the config names may ask by any name. */
	return !zp_http_header(request, "Origin", &origin) || !api__cors_names(&api->cors, origin);
}

bool
api__browser_may_write(const struct zp_api *api, struct zp_http_request *request)
{
	struct zp_slice origin = {0};

	if (!api__browser_is_elsewhere(request))
		return true;
	return zp_http_header(request, "Origin", &origin) &&
	       api__cors_allows(&api->cors, origin, zp_http_method_text(request));
}
