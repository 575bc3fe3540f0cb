/*
 * block_image.c - see block_image.h.
 */
#include "engine/block_image.h"

#include "engine/segment_internal.h"

_Static_assert(IMAGE_SLOTS == SEGMENT_SLOTS, "a slot is a slot");
_Static_assert(offsetof(struct block_image, rows) % 8 == 0, "rows begin where a word can");

/* ---- Where fields are ------------------------------------------------------------------------ */

/* The next `width` bits at `*at`, so that one load of 8 bytes has them all. */
static struct image_field
field_place(uint32_t *at, unsigned width, uint64_t base)
{
	struct image_field field = {.mask = bits_mask(width), .base = base};

	if (*at % 8 + width > 64)
		*at = (*at + 7) & ~7u;
	field.byte = (uint16_t)(*at / 8);
	field.shift = (uint8_t)(*at % 8);
	*at += width;
	return field;
}

void
image__layout_init(struct image_layout *image, const struct segment_layout *layout)
{
	uint32_t at = 8 * IMAGE_DIGEST_BYTES;

	*image = (struct image_layout){0};
	image->remainder = field_place(&at, layout->remainder_bits, 0);
	for (uint8_t i = 0; i < layout->columns_count; i++) {
		struct column_range range = layout->ranges[i];

		if (range.smallest > range.largest) /* facts of tombstones, which are no facts */
			range = (struct column_range){0};
		image->constants[i] = range.smallest;
		if (range.smallest == range.largest)
			continue;
		image->fields[image->fields_count] =
		    field_place(&at, bits_needed(range.largest - range.smallest), range.smallest);
		image->fields[image->fields_count++].column = i;
	}
	image->has_texts = layout->ranges[layout->texts_column].largest > 0;
	if (image->has_texts)
		image->texts_begin = field_place(&at, bits_needed(TEXTS_BLOCK_MAX), 0);
	image->row_bytes = (at + 7) / 8;
	ZP_ASSERT(image->row_bytes <= IMAGE_ROW_BYTES_MAX);
}

/* ---- Making ---------------------------------------------------------------------------------- */

/* The row's bits of the field are still 0. */
static void
field_put(const struct image_field *field, uint8_t *row, uint64_t value)
{
	uint8_t *to = row + field->byte;

	zp_store_u64le(to, zp_load_u64le(to) | (value - field->base) << field->shift);
}

/* Rows of a block: all, or those of one slot. */
struct row_span {
	uint32_t first;
	uint32_t count;
};

static void
digests_put(const struct image_layout *layout, const struct block_view *view,
    const uint8_t ends[IMAGE_SLOTS], struct row_span span, uint8_t *rows)
{
	uint8_t digest[32];
	unsigned slot = 0;

	for (uint32_t i = span.first; i < span.first + span.count; i++, rows += layout->row_bytes) {
		while (ends[slot] <= i)
			slot++;
		block__digest(view, i, slot, digest);
		memcpy(rows, digest + 8, IMAGE_DIGEST_BYTES);
		field_put(&layout->remainder, rows, zp_load_u64be(digest) & layout->remainder.mask);
	}
}

/* Some values of one column, and what of their rows says what they are worth. */
struct column_values {
	const uint64_t *values; /* step 0: one for all rows */
	size_t step;
	const bool *passes; /* rows whose value says nothing; NULL: none */
	uint32_t count;
};

/* Whether all values that say something are in the range. */
static bool
range_has(struct column_range range, const struct column_values *column)
{
	uint64_t span = range.largest - range.smallest;
	bool is_none = range.smallest > range.largest; /* then no row says anything */
	bool is_out = false;

	if (!is_none && column->step == 0 && *column->values - range.smallest <= span)
		return true;
	for (uint32_t i = 0; i < column->count; i++)
		is_out |= (is_none || column->values[i * column->step] - range.smallest > span) &&
			  (column->passes == NULL || !column->passes[i]);
	return !is_out;
}

static void
column_put(const struct image_field *field, uint32_t row_bytes, const struct column_values *column,
    uint8_t *rows)
{
	for (uint32_t i = 0; i < column->count; i++, rows += row_bytes) {
		if (column->passes == NULL || !column->passes[i])
			field_put(field, rows, column->values[i * column->step]);
	}
}

/* Where the texts of each row begin: behind those of the rows before, so the lengths are those of
 * all. False: they can't. */
static bool
texts_put(const struct image_layout *layout, const struct block_view *view, const uint64_t *lengths,
    size_t step, struct row_span span, uint8_t *rows)
{
	uint64_t begin = view->texts.begin;

	for (uint32_t i = 0; i < span.first + span.count; i++) {
		uint64_t length = lengths[i * step];

		if (length == 0)
			continue;
		if (!view->has_texts || length > view->texts.length - begin)
			return false;
		if (i >= span.first)
			field_put(&layout->texts_begin,
			    rows + (size_t)(i - span.first) * layout->row_bytes, begin);
		begin += length;
	}
	return true;
}

static const char *
columns_put(const struct image_layout *image, const struct block_view *view, struct row_span span,
    uint8_t *rows)
{
	const struct segment_layout *layout = view->layout;
	const struct image_field *field = image->fields;
	uint64_t values[BLOCK_ROWS_MAX], payload_at = view->payloads_at;
	bool tombstones[BLOCK_ROWS_MAX], has_tombstones = false;

	for (unsigned i = 0; i < layout->columns_count; i++) {
		const struct column_code *code = &view->codes[i];
		bool varies = (view->places->varying >> i & 1) != 0;
		bool has_texts = i == layout->texts_column && image->has_texts;
		/* What follows the payloads, or where texts begin, is known by all rows. */
		struct row_span some = column__has_payloads(code) || has_texts
					   ? (struct row_span){0, view->rows}
					   : span;
		const uint64_t *all = varies ? values : &view->constants[i];
		struct column_values column = {all + varies * (span.first - some.first), varies,
		    segment__is_fact(layout, i) && has_tombstones ? tombstones : NULL, span.count};

		if (varies && !column__unpack(code, view->bits,
				  block__column_at(view, i) + (uint64_t)some.first * code->width,
				  some.count, view->bits_end, &payload_at, values))
			return "a column's bits are damaged";
		for (uint32_t row = 0; row < span.count && i == layout->operation_column; row++) {
			tombstones[row] = column.values[row * column.step] == ZP_ROW_TOMBSTONE;
			has_tombstones |= tombstones[row];
		}
		if (!range_has(layout->ranges[i], &column))
			return "a value is outside the range of its column";
		if (field < image->fields + image->fields_count && field->column == i)
			column_put(field++, image->row_bytes, &column, rows);
		if (has_texts && !texts_put(image, view, all, varies, span, rows))
			return "its text lengths are impossible";
	}
	return 8 * bits_bytes(payload_at) == view->bits_end ? NULL
							    : "its length is not that of its rows";
}

const char *
image__make(const struct image_layout *layout, const struct block_view *view, unsigned slot,
    struct zp_buf *to)
{
	uint8_t ends[IMAGE_SLOTS];
	struct row_span span = {0, view->rows};
	struct block_image *image;
	const char *fault = NULL;
	size_t bytes;

	block__slot_ends(view, ends);
	if (slot != IMAGE_SLOTS) {
		span.first = slot == 0 ? 0 : ends[slot - 1];
		span.count = ends[slot] - span.first;
	}
	bytes = sizeof(*image) + (size_t)span.count * layout->row_bytes;
	image = (struct block_image *)zp_buf_reserve(to, bytes + BITS_SLACK);
	ZP_ASSERT(image != NULL);
	memset(image, 0, bytes + BITS_SLACK);
	image->number = view->number;
	if (view->has_texts)
		image->texts = view->texts;
	digests_put(layout, view, ends, span, image->rows);
	if (slot == IMAGE_SLOTS)
		memcpy(image->ends, ends, sizeof(ends));
	else
		memset(image->ends + slot, (int)span.count, IMAGE_SLOTS - slot);
	if (span.count > 0)
		fault = columns_put(layout, view, span, image->rows);
	if (fault == NULL)
		to->length += bytes + BITS_SLACK;
	return fault;
}
