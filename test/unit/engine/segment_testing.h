/*
 * segment_testing.h - what the tests of segments share: a store in memory, rows made from a seed,
 * and writing and opening a segment of them.
 */
#ifndef ZP_TEST_SEGMENT_TESTING_H
#define ZP_TEST_SEGMENT_TESTING_H

#include "engine/segment_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* ---- A store of a few files in memory ------------------------------------------------------- */

#define MEMORY_FILES_MAX 64u

struct memory_file {
	char name[ZP_FILE_NAME_MAX];
	struct zp_buf bytes;
};

struct memory_store {
	struct zp_store base;
	struct memory_file files[MEMORY_FILES_MAX];
	size_t count;
	uint64_t reads;           /* calls of file_read */
	uint64_t append_fails_at; /* this append fails, counted from 1; 0 never */
	uint64_t appends;
};

struct memory_writer {
	struct zp_store_writer base;
	struct memory_store *store;
	struct zp_buf bytes;
};

struct memory_reader {
	struct zp_store_file base;
	struct memory_store *store;
	struct memory_file *file;
};

void memory_store_init(struct memory_store *store);
void memory_store_done(struct memory_store *store);
struct memory_file *memory_store_find(struct memory_store *store, const char *name);
/* Puts bytes there under `name`, replacing. */
struct memory_file *memory_store_put(
    struct memory_store *store, const char *name, const void *bytes, size_t length);

/* ---- Rows ----------------------------------------------------------------------------------- */

struct rows {
	struct segment_row *rows;
	uint8_t **texts; /* owned, one per row or NULL */
	size_t texts_count;
	size_t count;
};

/* A mixer of 64 bits: the same numbers everywhere. */
uint64_t random_next(uint64_t *state);
void random_digest(uint64_t *state, uint8_t digest[32]);
/* Sizes as pins have them: two chunk sizes, a hundred folder sizes, the rest spread over 27 powers.
 */
uint64_t random_size(uint64_t *state);

struct rows *rows_new(size_t count);
void rows_free(struct rows *rows);
/* Plain facts of a pin; created and size from the state. */
void row_facts(struct segment_row *row, uint64_t *state);
void row_name(struct rows *rows, size_t index, const void *name, size_t length);
/* Sorts by key; removes rows of equal keys. */
void rows_sort(struct rows *rows);

/* ---- Segments ------------------------------------------------------------------------------- */

struct segment_plan plan_of(const struct rows *rows);
int row_add(struct segment_writer *writer, const struct segment_row *row, struct zp_err *err);
int entry_add(struct segment_writer *writer, enum zp_family family,
    const struct segment_entry *entry, struct zp_err *err);
/* Writes (with a sample of a thousand rows) and opens; everything is asserted to work. */
struct segment *rows_write(struct memory_store *store, const struct rows *rows,
    const struct segment_plan *plan, struct segment_info *info_out);
void row_assert_equal(const struct segment_row *a, const struct segment_row *b);
/* Get of each, misses near each, whole scan, seeks, verify: all as in `rows`. */
void rows_assert_in(const struct rows *rows, struct segment *segment);

#endif
