/*
 * block_batch.h - some rows of pins by their columns, each unpacked when it is first wanted;
 * private to engine/.
 *
 * Flow:   pin_source.c takes one at a time of each run (a block) and of each memtable, and asks for
 * the columns that its caller wants. One thread. Checks: the block's checksum was right before it
 * comes here. A column is checked as a whole when it is unpacked, what row by row reading would say
 * is wrong with its rows is said of the block.
 */
#ifndef ZP_ENGINE_BLOCK_BATCH_H
#define ZP_ENGINE_BLOCK_BATCH_H

#include "engine/segment_internal.h"

/* So that the values of one row in all columns do not fall into the same few sets of a cache. */
#define BATCH_ROOM 264u
_Static_assert(BATCH_ROOM >= BLOCK_ROWS_MAX, "a batch holds a block");

#define BATCH_COLUMN(column) (1u << (column))
#define BATCH_KEY_COLUMNS \
	(BATCH_COLUMN(PIN_KEY_COLUMNS) - 1) /* what is in a key besides the digest */

struct block_batch {
	uint32_t count;
	bool has_heads; /* and the key's columns */
	bool has_digests;
	bool has_tombstones; /* once PIN_OPERATION is there */
	uint32_t varying;    /* a bit for each column that has values; the others have constants */
	uint32_t classes;    /* one for each that has payloads */
	uint32_t there;      /* a bit for each column that may be asked for */
	const uint64_t *constants;
	struct block_view view;   /* of a block */
	unsigned payloads_placed; /* so many columns have the place of their payloads */
	uint64_t payload_at;      /* of the next one */
	uint64_t payload_places[SEGMENT_COLUMNS_MAX];
	struct zp_slice *texts;            /* of memory's rows; owned; NULL: never needed */
	uint64_t texts_at[BLOCK_ROWS_MAX]; /* of a block's rows, in its texts block, once PIN_TEXTS
					      is there */
	uint64_t heads[BLOCK_ROWS_MAX];
	uint8_t digests[BLOCK_ROWS_MAX][32];
	uint64_t values[SEGMENT_COLUMNS_MAX][BATCH_ROOM];
};

/* Its view is another block now. */
void batch__of_view(struct block_batch *batch);
/* It has no rows, and will get some of memory. */
void batch__of_memory(struct block_batch *batch);
void batch__memory_add(
    struct block_batch *batch, const struct segment_cells *cells, struct zp_slice texts);

/* Makes the columns of the mask ready. NULL, or what is wrong with the block. */
const char *batch__columns(struct block_batch *batch, uint32_t mask);
/* The first 64 bits of each digest, and the key's columns; sees that keys rise. Likewise. */
const char *batch__heads(struct block_batch *batch);
/* The digests too. */
const char *batch__digests(struct block_batch *batch);

/* A column that is there: of row i values[i * step]. */
static inline const uint64_t *
batch__values(const struct block_batch *batch, size_t column, size_t *step_out)
{
	*step_out = batch->varying >> column & 1;
	return *step_out == 0 ? &batch->constants[column] : batch->values[column];
}

static inline uint64_t
batch__value(const struct block_batch *batch, size_t column, uint32_t row)
{
	return (batch->varying >> column & 1) == 0 ? batch->constants[column]
						   : batch->values[column][row];
}

/* By key; both have heads. */
int batch__rows_compare(
    const struct block_batch *a, uint32_t row, const struct block_batch *b, uint32_t other);
void batch__key_encode(
    const struct block_batch *batch, uint32_t row, uint8_t key_out[SEGMENT_KEY_FIELD_BYTES]);

#endif
