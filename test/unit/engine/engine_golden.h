/*
 * engine_golden.h - one kept file of each kind and version, never changed: what is made today must
 * be the same bytes. To make the files of a new version: ZPIN_GOLDEN_WRITE=1.
 */
#ifndef ZP_TEST_ENGINE_GOLDEN_H
#define ZP_TEST_ENGINE_GOLDEN_H

#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* Reads test/golden/<name> into `kept` (cleared), and sees that `made` is the same. */
static inline void
golden_compare(const char *name, const struct zp_buf *made, struct zp_buf *kept)
{
	uint8_t part[4096];
	char path[4096];
	size_t length;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", ZPIN_GOLDEN, name);
	if (getenv("ZPIN_GOLDEN_WRITE") != NULL) {
		file = fopen(path, "wb");
		assert_non_null(file);
		assert_int_equal(fwrite(made->data, 1, made->length, file), made->length);
		fclose(file);
	}
	file = fopen(path, "rb");
	if (file == NULL)
		fail_msg("%s is missing", path);
	zp_buf_clear(kept);
	while ((length = fread(part, 1, sizeof(part), file)) > 0)
		zp_buf_append(kept, part, length);
	fclose(file);
	assert_int_equal(kept->length, made->length);
	assert_memory_equal(kept->data, made->data, made->length);
}

#endif
