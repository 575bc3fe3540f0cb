/*
 * import.h - the options of POST /import, between its two files and their test.
 */
#ifndef ZP_API_IMPORT_H
#define ZP_API_IMPORT_H

#include "api/api_internal.h"

#define API_IMPORT_MAP_MAX 128u

/* Init with zeros; end with zp_buf_done(&ids). */
struct api_import_options {
	struct zp_import_options options;
	struct zp_slice map[API_IMPORT_MAP_MAX][2];
	struct zp_buf ids; /* what `map` points into */
};

int api__import_options_read(
    const struct api_query *query, struct api_import_options *import, struct zp_err *err);

/* 32 hex digits, not all zero. */
int api__origin_read(struct zp_slice text, uint8_t id_out[16], struct zp_err *err);

#endif
