/*
 * segment_iterate.h - the inside of an iterator, which verify drives block by block.
 */
#ifndef ZP_ENGINE_SEGMENT_ITERATE_H
#define ZP_ENGINE_SEGMENT_ITERATE_H

#include "engine/segment_internal.h"

/* Bytes of the file that were read ahead. */
struct read_window {
	uint8_t *bytes;  /* owned; BITS_SLACK zeros behind the length */
	size_t capacity; /* without the slack */
	uint64_t offset;
	uint64_t length;
	uint64_t ahead; /* how much the next read is to bring at least */
};

struct segment_iterator {
	struct segment *segment; /* held */
	bool without_texts;
	bool is_over;            /* an error was returned: nothing more comes */
	uint64_t operation_max;  /* of what is stored, in an ordered segment */
	uint64_t operation_mark; /* what rows of this segment are read with (times.h) */
	uint64_t bucket;         /* the next one; of an ordered segment: the next block */
	uint64_t fence;          /* the next one, while it is below fences_end */
	uint64_t fence_first;    /* of that bucket */
	uint64_t fences_end;
	struct read_window window;
	struct ordered_part part;       /* of an ordered segment */
	struct segment_scratch scratch; /* for texts */
	struct block_place place;       /* of the block that is decoded */
	const uint8_t *place_first; /* its first key as the fences have it; NULL without a fence */
	struct block_rows rows;
	uint32_t next_row;
	uint64_t texts_at;                /* of the next row, in scratch.texts */
	struct segment_value value;       /* of the entry that was given last */
	const struct segment_cells *last; /* was returned last, or NULL: keys must rise */
	struct segment_cells last_kept;   /* it, when its block is not there any more */
};

/* Moves to the next block and takes it apart, whose bytes stay until the next call: 0, ZP_END, or
 * damage; after damage the next call goes on with the block behind. */
int iterator__view(
    struct segment_iterator *iterator, struct block_view *view_out, struct zp_err *err);
/* The same for one that begins with the block that may hold `from` (NULL: the first), and of which
 * no rows are taken. Of pins. */
ZP_MUST_CHECK int segment__views_open(struct segment *segment, const struct zp_key *from,
    bool reads_texts, struct segment_iterator **iterator_out, struct zp_err *err);
/* Loads the texts block of the present view into the scratch. */
int iterator__texts_load(
    struct segment_iterator *iterator, const struct block_view *view, struct zp_err *err);

/* Moves to the next block and decodes it with its texts, as iterator__view. */
int iterator__block(struct segment_iterator *iterator, struct zp_err *err);
/* The next row of the block that is decoded, or ZP_END behind its last. After a fault the next call
 * goes on with the row behind. */
int iterator__cells(struct segment_iterator *iterator, const struct segment_cells **cells_out,
    struct zp_slice *texts_out, struct zp_err *err);

#endif
