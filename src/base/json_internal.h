/*
 * json_internal.h - what json.c and json_string.c share.
 */
#ifndef ZP_BASE_JSON_INTERNAL_H
#define ZP_BASE_JSON_INTERNAL_H

#include "base/json.h"

/* Length of the escape whose backslash is at `at`, 0 where it is none. */
size_t json__escape_length(const uint8_t *at, const uint8_t *end);

#endif
