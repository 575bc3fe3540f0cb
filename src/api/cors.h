/*
 * cors.h - cross-origin headers (cors.c).
 */
#ifndef ZP_API_CORS_H
#define ZP_API_CORS_H

#include "api/api.h"

struct api_cors {
	struct zp_api_cors options; /* lists are copied */
	char *exposed;              /* NULL: none */
	bool all_origins;
	bool all_headers;
};

void api__cors_init(struct api_cors *cors, const struct zp_api_cors *options);
void api__cors_done(struct api_cors *cors);

/* Adds the headers. True: it was a preflight, which the caller answers with an empty 204. */
bool api__cors_apply(const struct api_cors *cors, struct zp_http_request *request);

/* Whether pages of `origin` are allowed this method. */
bool api__cors_allows(const struct api_cors *cors, struct zp_slice origin, struct zp_slice method);

/* Whether the config has this very origin, not only a pattern. */
bool api__cors_names(const struct api_cors *cors, struct zp_slice origin);

bool api__origin_matches(struct zp_slice pattern, struct zp_slice origin);

#endif
