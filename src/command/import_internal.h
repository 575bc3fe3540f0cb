/*
 * import_internal.h - the two halves of an import: flow (import.c) and lines (import_lines.c).
 */
#ifndef ZP_COMMAND_IMPORT_INTERNAL_H
#define ZP_COMMAND_IMPORT_INTERNAL_H

#include "command/command_internal.h"

#define IMPORT__BATCH_WRITES_MAX 4096u
#define IMPORT__BATCHES 3u /* one is filled while one is committed and one waits */
#define IMPORT__LINE_BYTES_MAX (1u << 20)
/* A batch's journal bytes bound what its writes borrow: texts, and peers with their slices. */
#define IMPORT__ARENA_BYTES (2u << 20)

struct import__batch {
	struct zp_write_batch batch;
	struct zp_import *import;
	struct zp_write *writes; /* IMPORT__BATCH_WRITES_MAX */
	uint8_t *arena;          /* what the writes borrow; never moves */
	size_t arena_used;
	size_t journal_bytes; /* what the writes take at most */
	uint64_t line_first;  /* of the input */
	uint64_t line_last;
	bool is_under_way; /* with the import's lock */
};

/* What a line is read into; one per import, used again for every line. */
struct import__reader {
	struct zp_node *node;
	const struct zp_import_options *options;
	struct zp_pin_lines lines;
	struct zp_buf texts;
};

void import__reader_init(
    struct import__reader *reader, struct zp_node *node, const struct zp_import_options *options);
void import__reader_done(struct import__reader *reader);

/* Adds the pin that the line says to the batch. ZP_E_FULL: it does not fit any more, nothing was
 * added. Any other error is the line's. */
ZP_MUST_CHECK int import__line_add(struct import__reader *reader, struct zp_slice line,
    struct import__batch *batch, struct zp_err *err);

/* Adds a delete; the batch must not be full. */
void import__delete_add(struct import__batch *batch, const struct zp_key *key);

void import__batch_clear(struct import__batch *batch);

#endif
