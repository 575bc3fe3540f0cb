/*
 * query_of.h - a query for tests, from pairs in C.
 */
#ifndef ZP_TEST_QUERY_OF_H
#define ZP_TEST_QUERY_OF_H

#include "api/api_internal.h"

/* "a=1&b=2" without any escape. End it with api__query_done. */
static inline struct api_query
query_of(const char *text)
{
	struct api_query query = {0};

	while (*text != '\0') {
		size_t length = strcspn(text, "&"), key = strcspn(text, "=");

		ZP_ASSERT(key < length);
		ZP_ASSERT(api__query_add(&query, (struct zp_slice){(const uint8_t *)text, key},
			      (struct zp_slice){(const uint8_t *)text + key + 1, length - key - 1},
			      NULL) == 0);
		text += length + (text[length] == '&');
	}
	return query;
}

#endif
