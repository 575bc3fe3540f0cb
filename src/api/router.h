/*
 * router.h - paths and routes. Pure (router.c).
 */
#ifndef ZP_API_ROUTER_H
#define ZP_API_ROUTER_H

#include "http/http.h"

#define API_CAPTURES_MAX 2u

struct api_call;

struct api_route {
	enum zp_http_method method;
	/* Segments: a literal, * (any one, captured), @ (ipfs, ipns or ipld, captured); a last **
	 * (all that follows, captured). */
	const char *pattern;
	void (*handle)(struct api_call *call);
};

/* 0 and the first route that fits with what was captured; ZP_E_NOT_FOUND; ZP_E_UNSUPPORTED where
 * only other methods are known. */
int api__route_find(const struct api_route *routes, size_t count, enum zp_http_method method,
    struct zp_slice path, const struct api_route **route_out,
    struct zp_slice captures_out[API_CAPTURES_MAX]);

/* Decodes the raw path and appends it to `path`, as Go's path.Clean leaves it, with its last slash.
 * *changed_out: it was not clean. ZP_E_INVALID for a bad escape. */
int api__path_clean(struct zp_slice raw, struct zp_buf *path, bool *changed_out);

/* Appends the path as net/url writes it. */
void api__path_escape(struct zp_slice path, struct zp_buf *text);

#endif
