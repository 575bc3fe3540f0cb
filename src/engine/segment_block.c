/*
 * segment_block.c - rows to the bytes of one block and back. Pure.
 *
 * Flow: segment_internal.h. Format: docs/formats.md, "Block".
 */
#include "engine/segment_internal.h"

#define FLAG_OWN_COLUMNS 1u
#define FLAG_TEXTS 2u
#define DIGEST_WORDS_WHOLE 3u /* of a digest's four words: all but the first are stored whole */
#define OWN_COLUMN_BITS 24u   /* what a column of its own costs besides its base and rows: about */

/* ---- Encoding ------------------------------------------------------------------------------- */

void
block__row_add(const struct segment_layout *layout, const struct segment_cells *cells,
    struct block_columns *rows)
{
	uint32_t row = rows->count++;

	ZP_ASSERT(row < BLOCK_ROWS_MAX);
	for (size_t i = 0; i < layout->columns_count; i++)
		rows->columns[i][row] = cells->columns[i];
	if (layout->is_bucketed)
		memcpy(rows->digests[row], cells->digest, sizeof(cells->digest));
	rows->tombstones += segment__is_tombstone(layout, cells);
}

void
block__row_get(const struct segment_layout *layout, const struct block_columns *rows, uint32_t row,
    struct segment_cells *cells_out)
{
	*cells_out = (struct segment_cells){0};
	for (size_t i = 0; i < layout->columns_count; i++)
		cells_out->columns[i] = rows->columns[i][row];
	if (layout->is_bucketed)
		memcpy(cells_out->digest, rows->digests[row], sizeof(cells_out->digest));
}

/* How one block stores its columns, and how long that is. */
struct block_shape {
	const struct column_code *codes[SEGMENT_COLUMNS_MAX]; /* the segment's, or own[] */
	const uint64_t *values[SEGMENT_COLUMNS_MAX]; /* the rows', or made[]; none of constants */
	struct column_code own[SEGMENT_COLUMNS_MAX];
	uint64_t made[SEGMENT_COLUMNS_MAX][BLOCK_ROWS_MAX];
	uint16_t numbers[SEGMENT_COLUMNS_MAX][BLOCK_ROWS_MAX]; /* of those that have entries */
	uint64_t own_mask;
	uint64_t number_bits; /* of all columns */
	uint64_t payload_bits;
};

static inline __attribute__((always_inline)) struct column_range
range_of(const uint64_t *values, size_t count)
{
	struct column_range range = {values[0], values[0]};

	for (size_t i = 1; i < count; i++) {
		range.smallest = zp_min_u64(range.smallest, values[i]);
		range.largest = zp_max_u64(range.largest, values[i]);
	}
	return range;
}

/* Of each column. */
ZP_CLONES
static void
ranges_of(const struct block_columns *rows, size_t columns,
    struct column_range ranges_out[SEGMENT_COLUMNS_MAX])
{
	for (size_t i = 0; i < columns; i++)
		ranges_out[i] = range_of(rows->columns[i], rows->count);
}

/* The segment's code, unless the values don't fit it or a frame of their own is shorter by more
 * than it costs to say so. */
static void
shape_column(struct block_shape *shape, size_t column, const struct column_code *code, size_t count,
    struct column_range range)
{
	struct column_code own = column__frame_of(range);
	uint64_t number_bits, payload_bits;

	if (column__measure(code, shape->values[column], count, range, shape->numbers[column],
		&number_bits, &payload_bits) &&
	    (number_bits + payload_bits == 0 ||
		number_bits + payload_bits <= (uint64_t)own.width * count +
						  8 * zp_varint_bytes(own.base) +
						  OWN_COLUMN_BITS)) {
		shape->codes[column] = code;
		shape->number_bits += number_bits;
		shape->payload_bits += payload_bits;
		return;
	}
	shape->own[column] = own;
	shape->codes[column] = &shape->own[column];
	shape->number_bits += (uint64_t)own.width * count;
	shape->own_mask |= UINT64_C(1) << column;
}

static void
range_widen(struct column_range *range, struct column_range with)
{
	range->smallest = zp_min_u64(range->smallest, with.smallest);
	range->largest = zp_max_u64(range->largest, with.largest);
}

/*
 * The facts of a tombstone are read as 0 whatever is stored, so they take the value of the row
 * before (or the first put behind), which costs least. False when all rows are tombstones: then
 * they take what number 0 of the segment's code stands for.
 */
static bool
facts_fill(const uint64_t *operations, const struct column_code *code, uint32_t count,
    const uint64_t *values, uint64_t *values_out)
{
	uint64_t value = code->count > 0 ? code->entries[0] : code->base;
	uint32_t first = 0;

	while (first < count && (operations[first] & ZP_ROW_TOMBSTONE) != 0)
		first++;
	if (first < count)
		value = values[first];
	for (uint32_t i = 0; i < count; i++) {
		if ((operations[i] & ZP_ROW_TOMBSTONE) == 0)
			value = values[i];
		values_out[i] = value;
	}
	return first < count;
}

/* What each row adds to the one before; the first, which is stored apart, is given what costs
 * nothing more. */
static void
differences_make(
    const struct column_code *code, const uint64_t *values, uint32_t count, uint64_t *values_out)
{
	for (uint32_t i = 1; i < count; i++)
		values_out[i] = values[i] - values[i - 1];
	if (count > 1)
		values_out[0] = values_out[1];
	else
		values_out[0] = code->count > 0 ? code->entries[0] : code->base;
}

static void
shape_of(const struct segment_layout *layout, const struct block_columns *rows,
    struct block_shape *shape_out, struct column_range *ranges)
{
	const uint64_t *operations = rows->columns[layout->operation_column];
	struct column_range own_ranges[SEGMENT_COLUMNS_MAX];

	shape_out->own_mask = 0;
	shape_out->number_bits = shape_out->payload_bits = 0;
	ranges_of(rows, layout->columns_count, own_ranges);
	for (size_t i = 0; i < layout->columns_count; i++) {
		const struct column_code *code = &layout->codes[i];
		struct column_range range = own_ranges[i];
		bool counts = true, is_made = i == layout->difference_column;

		shape_out->values[i] = rows->columns[i];
		if (segment__is_fact(layout, i) && rows->tombstones > 0) {
			counts = facts_fill(
			    operations, code, rows->count, rows->columns[i], shape_out->made[i]);
			is_made = true;
		}
		if (i == layout->difference_column)
			differences_make(code, rows->columns[i], rows->count, shape_out->made[i]);
		if (is_made) {
			shape_out->values[i] = shape_out->made[i];
			range = range_of(shape_out->made[i], rows->count);
		}
		if (counts)
			range_widen(
			    &ranges[i], i == layout->difference_column ? own_ranges[i] : range);
		if (code->encoder == COLUMN_CONSTANT && range.smallest == code->base &&
		    range.largest == code->base)
			shape_out->codes[i] = code; /* most are */
		else
			shape_column(shape_out, i, code, rows->count, range);
	}
}

static void
head_encode(const struct block_shape *shape, const struct segment_layout *layout,
    const struct block_columns *rows, const struct texts_place *texts, uint64_t offset,
    struct zp_buf *to)
{
	zp_buf_append_byte(to, (uint8_t)(rows->count - 1));
	zp_buf_append_byte(to, (uint8_t)((shape->own_mask != 0 ? FLAG_OWN_COLUMNS : 0) |
					 (texts != NULL ? FLAG_TEXTS : 0)));
	if (shape->own_mask != 0)
		zp_buf_append_varint(to, shape->own_mask);
	for (size_t i = 0; i < layout->columns_count; i++) {
		if ((shape->own_mask >> i & 1) != 0) {
			zp_buf_append_byte(to, shape->own[i].width);
			zp_buf_append_varint(to, shape->own[i].base);
		}
	}
	if (layout->difference_column < layout->columns_count)
		zp_buf_append_varint(to, rows->columns[layout->difference_column][0]);
	if (texts != NULL) {
		zp_buf_append_varint(to, offset - texts->offset);
		zp_buf_append_varint(to, texts->compressed_length);
		zp_buf_append_varint(to, texts->length);
		zp_buf_append_varint(to, texts->begin);
	}
}

/* Slots and remainders. */
static void
digests_pack(const struct segment_layout *layout, const struct block_columns *rows,
    struct bits_writer *writer)
{
	uint64_t slots[(BLOCK_ROWS_MAX + SEGMENT_SLOTS + 63) / 64] = {0};
	uint64_t heads[BLOCK_ROWS_MAX];
	uint32_t bits = rows->count + SEGMENT_SLOTS;

	for (uint32_t i = 0; i < rows->count; i++) {
		uint32_t at;

		heads[i] = zp_load_u64be(rows->digests[i]);
		at = i + segment__slot_of(layout, heads[i]);
		slots[at / 64] |= UINT64_C(1) << at % 64;
	}
	for (uint32_t at = 0; at < bits; at += 64)
		bits_write(writer, (unsigned)zp_min_u64(64, bits - at), slots[at / 64]);
	for (uint32_t i = 0; i < rows->count; i++) {
		for (size_t word = DIGEST_WORDS_WHOLE; word > 0; word--)
			bits_write(writer, 64, zp_load_u64be(rows->digests[i] + 8 * word));
		bits_write(
		    writer, layout->remainder_bits, heads[i] & bits_mask(layout->remainder_bits));
	}
}

static uint64_t
digests_bits(const struct segment_layout *layout, uint64_t rows)
{
	return layout->is_bucketed ? rows + SEGMENT_SLOTS +
					 rows * (64 * DIGEST_WORDS_WHOLE + layout->remainder_bits)
				   : 0;
}

void
block__encode(const struct segment_layout *layout, const struct block_columns *rows,
    const struct texts_place *texts, uint64_t offset, uint64_t number, struct zp_buf *to,
    struct column_range *ranges)
{
	struct block_shape shape;
	struct bits_writer writer = {0};
	size_t begin = to->length, length;

	ZP_ASSERT(rows->count > 0 && rows->count <= BLOCK_ROWS_MAX);
	shape_of(layout, rows, &shape, ranges);
	head_encode(&shape, layout, rows, texts, offset, to);
	length =
	    bits_bytes(digests_bits(layout, rows->count) + shape.number_bits + shape.payload_bits);
	writer.to = zp_buf_reserve(to, length + BITS_SLACK);
	ZP_ASSERT(writer.to != NULL);
	to->length += length;
	if (layout->is_bucketed)
		digests_pack(layout, rows, &writer);
	for (size_t i = 0; i < layout->columns_count; i++)
		column__pack_numbers(
		    shape.codes[i], shape.values[i], shape.numbers[i], rows->count, &writer);
	for (size_t i = 0; i < layout->columns_count; i++)
		column__pack_payloads(
		    shape.codes[i], shape.values[i], shape.numbers[i], rows->count, &writer);
	bits_write_end(&writer);
	ZP_ASSERT(writer.to + bits_bytes(writer.bits) == to->data + to->length);
	zp_buf_append_u32le(
	    to, (uint32_t)zp_hash64(to->data + begin, to->length - begin, layout->seed + number));
	ZP_ASSERT(to->length - begin <= BLOCK_BYTES_MAX);
}

/* ---- Taking apart --------------------------------------------------------------------------- */

static bool
varint_next(struct zp_slice *from, uint64_t *value_out)
{
	size_t bytes = zp_varint_get(from->data, from->length, value_out);

	from->data += bytes;
	from->length -= bytes;
	return bytes != 0;
}

static const char *
own_columns_parse(struct zp_slice *from, struct block_view *view)
{
	size_t columns = view->layout->columns_count;
	uint64_t mask;

	if (!varint_next(from, &mask) || mask == 0 || mask > bits_mask((unsigned)columns))
		return "its mask of columns is impossible";
	memcpy(view->own, view->layout->codes, columns * sizeof(view->own[0]));
	memcpy(view->own_constants, view->layout->constants, sizeof(view->own_constants));
	view->codes = view->own;
	view->constants = view->own_constants;
	for (size_t i = 0; i < columns; i++) {
		struct column_code code = {.encoder = COLUMN_FRAME};

		if ((mask >> i & 1) == 0)
			continue;
		if (from->length == 0 || from->data[0] > 64)
			return "a column of its own is over 64 bits wide";
		code.width = from->data[0];
		from->data++;
		from->length--;
		if (!varint_next(from, &code.base))
			return "a column of its own has no base";
		view->own[i] = code;
		view->own_constants[i] = code.base;
	}
	segment__places_of(view->own, columns, &view->own_places);
	view->places = &view->own_places;
	return NULL;
}

static const char *
texts_parse(struct zp_slice *from, uint64_t offset, struct texts_place *texts_out)
{
	uint64_t distance, compressed_length, length, begin;

	if (!varint_next(from, &distance) || !varint_next(from, &compressed_length) ||
	    !varint_next(from, &length) || !varint_next(from, &begin))
		return "its texts have no address";
	if (length == 0 || length > TEXTS_BLOCK_MAX || compressed_length == 0 ||
	    compressed_length > length || begin >= length)
		return "the lengths of its texts are impossible";
	if (offset < SEGMENT_HEADER_BYTES || distance > offset - SEGMENT_HEADER_BYTES ||
	    distance < compressed_length + CHECKSUM_BYTES)
		return "the address of its texts is outside";
	*texts_out = (struct texts_place){
	    .offset = offset - distance,
	    .compressed_length = (uint32_t)compressed_length,
	    .length = (uint32_t)length,
	    .begin = (uint32_t)begin,
	};
	return NULL;
}

/* Exactly one 1 a row, and the last bit is the 0 that ends the last slot. */
static bool
slots_check(const struct block_view *view)
{
	uint32_t bits = view->rows + SEGMENT_SLOTS, ones = 0;

	for (uint32_t at = 0; at < bits; at += 64)
		ones += bits_count(bits_get(view->bits, at, (unsigned)zp_min_u64(64, bits - at)));
	return ones == view->rows && bits_get(view->bits, bits - 1, 1) == 0;
}

/* Where the columns begin; the fixed parts must be there, payloads may follow. */
static const char *
columns_place(struct block_view *view, size_t bits_length)
{
	size_t needed;

	view->remainders_at = view->rows + SEGMENT_SLOTS;
	view->columns_at = digests_bits(view->layout, view->rows);
	view->payloads_at = block__column_at(view, view->layout->columns_count);
	view->bits_end = 8 * (uint64_t)bits_length;
	needed = bits_bytes(view->payloads_at);
	if (needed > bits_length || (view->places->classes == 0 && needed != bits_length))
		return "its length is not that of its rows";
	return NULL;
}

static const char *
head_parse(const struct segment_layout *layout, const uint8_t *bytes, size_t length,
    uint64_t offset, uint64_t number, struct block_view *view_out)
{
	struct zp_slice from = {bytes + 2, length - 2 - CHECKSUM_BYTES};
	struct block_view *view = view_out;
	const char *fault = NULL;
	uint8_t flags = bytes[1];

	view->layout = layout;
	view->codes = layout->codes;
	view->places = &layout->places;
	view->constants = layout->constants;
	view->rows = bytes[0] + 1u;
	view->number = number;
	view->bucket = number & bits_mask(40);
	view->has_texts = (flags & FLAG_TEXTS) != 0;
	view->texts = (struct texts_place){0};
	if (view->rows > BLOCK_ROWS_MAX)
		return "it has too many rows";
	if ((flags & ~(FLAG_OWN_COLUMNS | FLAG_TEXTS)) != 0 ||
	    (view->has_texts && layout->texts_column == 0))
		return "its flags are unknown";
	if ((flags & FLAG_OWN_COLUMNS) != 0)
		fault = own_columns_parse(&from, view);
	if (fault == NULL && layout->difference_column < layout->columns_count &&
	    !varint_next(&from, &view->first))
		fault = "its first value is not there";
	if (fault == NULL && view->has_texts)
		fault = texts_parse(&from, offset, &view->texts);
	if (fault != NULL)
		return fault;
	view->bits = from.data;
	return columns_place(view, from.length);
}

const char *
block__parse(const struct segment_layout *layout, const uint8_t *bytes, size_t length,
    uint64_t offset, uint64_t number, struct block_view *view_out)
{
	const char *fault;

	if (length < BLOCK_BYTES_MIN || length > BLOCK_BYTES_MAX)
		return "its length is impossible";
	if ((uint32_t)zp_hash64(bytes, length - CHECKSUM_BYTES, layout->seed + number) !=
	    zp_load_u32le(bytes + length - CHECKSUM_BYTES))
		return "its checksum is wrong, or it is not the block of this place";
	fault = head_parse(layout, bytes, length, offset, number, view_out);
	if (fault == NULL && layout->is_bucketed && !slots_check(view_out))
		fault = "its slots and rows disagree";
	return fault;
}

/* ---- Looking up one row --------------------------------------------------------------------- */

void
block__slot_ends(const struct block_view *view, uint8_t ends_out[SEGMENT_SLOTS])
{
	uint32_t bits = view->rows + SEGMENT_SLOTS, slot = 0;

	for (uint32_t at = 0; at < bits; at += 64) {
		unsigned some = (unsigned)zp_min_u64(64, bits - at);
		uint64_t zeros = ~bits_get(view->bits, at, some) & bits_mask(some);

		for (; zeros != 0; zeros &= zeros - 1, slot++)
			ends_out[slot] = (uint8_t)(at + (uint32_t)__builtin_ctzll(zeros) - slot);
	}
	ZP_ASSERT(slot == SEGMENT_SLOTS); /* block__parse counted them */
}

void
block__digest(const struct block_view *view, uint32_t row, unsigned slot, uint8_t digest_out[32])
{
	const struct segment_layout *layout = view->layout;
	uint64_t at = view->remainders_at +
		      row * (uint64_t)(64 * DIGEST_WORDS_WHOLE + layout->remainder_bits);
	uint64_t head = layout->prefix | (uint64_t)slot << layout->remainder_bits;

	for (size_t word = DIGEST_WORDS_WHOLE; word > 0; word--, at += 64)
		zp_store_u64be(digest_out + 8 * word, bits_get(view->bits, at, 64));
	if (layout->bucket_bits > 0)
		head |= view->bucket << (layout->remainder_bits + SEGMENT_SLOT_BITS);
	zp_store_u64be(digest_out, head | bits_get(view->bits, at, layout->remainder_bits));
}

/* ---- All rows ------------------------------------------------------------------------------- */

/* The 64 bits there. */
static inline uint64_t
word_at(const uint8_t *bytes, unsigned shift)
{
	return zp_load_u64le(bytes) >> shift | zp_load_u64le(bytes + 8) << 1 << (63 - shift);
}

void
block__heads(const struct block_view *view, uint64_t *heads_out)
{
	const struct segment_layout *layout = view->layout;
	unsigned remainder_bits = layout->remainder_bits;
	uint64_t stride = 64 * DIGEST_WORDS_WHOLE + remainder_bits;
	uint64_t at = view->remainders_at + 64 * DIGEST_WORDS_WHOLE;
	uint32_t bits = view->rows + SEGMENT_SLOTS, row = 0;
	uint64_t head = layout->prefix;

	if (layout->bucket_bits > 0)
		head |= view->bucket << (remainder_bits + SEGMENT_SLOT_BITS);
	for (uint32_t from = 0; from < bits; from += 64) {
		uint64_t ones = bits_get(view->bits, from, (unsigned)zp_min_u64(64, bits - from));

		for (; ones != 0; ones &= ones - 1, row++) {
			uint64_t slot = from + (uint32_t)__builtin_ctzll(ones) - row;

			heads_out[row] = head | slot << remainder_bits;
		}
	}
	ZP_ASSERT(row == view->rows); /* block__parse counted them */
	for (uint32_t i = 0; i < row; i++, at += stride)
		heads_out[i] |= word_at(view->bits + at / 8, at % 8) & bits_mask(remainder_bits);
}

void
block__digests(const struct block_view *view, const uint64_t *heads, uint8_t (*digests_out)[32])
{
	uint64_t stride = 64 * DIGEST_WORDS_WHOLE + view->layout->remainder_bits;
	uint64_t at = view->remainders_at;

	for (uint32_t i = 0; i < view->rows; i++, at += stride) {
		const uint8_t *from = view->bits + at / 8;
		uint8_t *to = digests_out[i];
		unsigned shift = at % 8;

		zp_store_u64be(to, heads[i]);
		zp_store_u64be(to + 24, word_at(from, shift));
		zp_store_u64be(to + 16, word_at(from + 8, shift));
		zp_store_u64be(to + 8, word_at(from + 16, shift));
	}
}

static void
digests_decode(const struct block_view *view, struct segment_cells *cells)
{
	uint32_t bits = view->rows + SEGMENT_SLOTS, row = 0;

	for (uint32_t at = 0; at < bits; at += 64) {
		uint64_t ones = bits_get(view->bits, at, (unsigned)zp_min_u64(64, bits - at));

		for (; ones != 0; ones &= ones - 1, row++) {
			uint32_t position = at + (uint32_t)__builtin_ctzll(ones);

			block__digest(view, row, position - row, cells[row].digest);
		}
	}
	ZP_ASSERT(row == view->rows); /* block__parse counted them */
}

/* What the rows add to the ones before becomes what they are. */
static void
differences_add(const struct block_view *view, struct segment_cells *cells)
{
	size_t column = view->layout->difference_column;
	uint64_t value = view->first;

	for (uint32_t i = 0; i < view->rows; i++) {
		value += i == 0 ? 0 : cells[i].columns[column];
		cells[i].columns[column] = value;
	}
}

const char *
block__decode(const struct block_view *view, struct block_rows *rows_out)
{
	struct segment_cells *cells = rows_out->cells;
	uint64_t payload_at = view->payloads_at;
	uint64_t values[BLOCK_ROWS_MAX];

	rows_out->count = view->rows;
	for (uint32_t i = 0; i < view->rows; i++)
		memcpy(cells[i].columns, view->constants, sizeof(cells[i].columns));
	if (view->layout->is_bucketed)
		digests_decode(view, cells);
	for (uint32_t some = view->places->varying; some != 0; some &= some - 1) {
		unsigned column = (unsigned)__builtin_ctz(some);

		if (!column__unpack(&view->codes[column], view->bits,
			block__column_at(view, column), view->rows, view->bits_end, &payload_at,
			values))
			return "a column's bits are damaged";
		for (uint32_t i = 0; i < view->rows; i++)
			cells[i].columns[column] = values[i];
	}
	if (view->layout->difference_column < view->layout->columns_count)
		differences_add(view, cells);
	if (8 * bits_bytes(payload_at) != view->bits_end)
		return "its length is not that of its rows";
	return NULL;
}
