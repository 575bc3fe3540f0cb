/*
 * block_image.h - a block as lookups want it in memory; private to engine/.
 *
 * Flow:   segment_get.c makes one of each block that it reads, looks the row up in it and leaves it
 * to block_cache.c, so that the next lookup finds the row in two cache lines. Never in a file.
 * Shape:  for each slot where its rows end, then the rows, all of the same length: the digest's
 * last 24 bytes, then in one bit string its remainder and the columns that vary in the segment,
 * each as its distance from the segment's smallest value. So a value is where it is in every row of
 *         every block of the segment, and reading it takes no table.
 */
#ifndef ZP_ENGINE_BLOCK_IMAGE_H
#define ZP_ENGINE_BLOCK_IMAGE_H

#include "engine/bits.h"
#include "engine/segment.h"

struct block_view;
struct segment_layout;

#define IMAGE_SLOTS 64u
#define IMAGE_DIGEST_BYTES \
	24u /* of each digest, whole; bucket, slot and remainder say the first 8 */

/* Where the texts of a block are. */
struct texts_place {
	uint64_t offset;            /* of the texts block in the file */
	uint32_t compressed_length; /* without its checksum */
	uint32_t length;            /* uncompressed */
	uint32_t begin;             /* of this block's texts in it */
};

/* A number in a row: one load of 8 bytes, a shift and a mask. */
struct image_field {
	uint64_t mask;
	uint64_t base; /* what is added */
	uint16_t byte; /* of the row */
	uint8_t shift;
	uint8_t column;
};

/* Where things are in the rows of one segment's images. */
struct image_layout {
	uint32_t row_bytes;
	uint8_t fields_count;
	bool has_texts;
	struct image_field remainder;
	struct image_field texts_begin; /* in the texts block; only with texts */
	struct image_field fields[SEGMENT_COLUMNS_MAX];
	uint64_t constants[SEGMENT_COLUMNS_MAX]; /* of the columns without a field */
};

struct block_image {
	uint8_t ends[IMAGE_SLOTS]; /* the number of the row behind the slot's last */
	uint64_t number;           /* of the block */
	struct texts_place texts;
	uint8_t rows[]; /* then BITS_SLACK bytes of 0 */
};

/* The longest: every column and where the texts begin in words of their own. */
#define IMAGE_ROW_BYTES_MAX (IMAGE_DIGEST_BYTES + 8u * (SEGMENT_COLUMNS_MAX + 2u))
#define IMAGE_BYTES_MAX (sizeof(struct block_image) + 255u * IMAGE_ROW_BYTES_MAX + BITS_SLACK)

/* The segment's columns and their ranges are known. */
void image__layout_init(struct image_layout *image, const struct segment_layout *layout);

/* Appends the image of a block whose checksum was right, 8-byte aligned if `to` is; with a slot
 * other than IMAGE_SLOTS of that slot's rows only. NULL, or what is wrong with the block, as far as
 * that took a look at it. */
const char *image__make(const struct image_layout *layout, const struct block_view *view,
    unsigned slot, struct zp_buf *to);

static inline const uint8_t *
image__row(const struct image_layout *layout, const struct block_image *image, uint32_t row)
{
	return image->rows + (size_t)row * layout->row_bytes;
}

static inline uint64_t
image__field(const struct image_field *field, const uint8_t *row)
{
	return (zp_load_u64le(row + field->byte) >> field->shift & field->mask) + field->base;
}

/* Whether the row has that digest, whose bucket and slot are those of the row. */
static inline bool
image__digest_is(const struct image_layout *layout, const uint8_t *row, const uint8_t digest[32])
{
	return image__field(&layout->remainder, row) ==
		   (zp_load_u64be(digest) & layout->remainder.mask) &&
	       memcmp(row, digest + 8, IMAGE_DIGEST_BYTES) == 0;
}

/* All columns of the row. */
static inline void
image__columns(const struct image_layout *layout, const uint8_t *row,
    uint64_t columns_out[SEGMENT_COLUMNS_MAX])
{
	memcpy(columns_out, layout->constants, sizeof(layout->constants));
	for (size_t i = 0; i < layout->fields_count; i++)
		columns_out[layout->fields[i].column] = image__field(&layout->fields[i], row);
}

#endif
