/*
 * column.c - packs and unpacks the values of one column, and its description in the segment.
 *
 * Flow: column.h. The loops over a frame are the ones a later SIMD form replaces.
 */
#include "engine/column.h"

#define COLUMN_HEADER_BYTES 32u

void
column__code_done(struct column_code *code)
{
	zp_free(code->entries);
	zp_free(code->entry_widths);
	*code = (struct column_code){0};
}

/* How many of the rising entries are at or below `value`. Without branches that depend on it. */
static size_t
entries_through(const struct column_code *code, uint64_t value)
{
	const uint64_t *entry = code->entries;
	size_t left = code->count;

	while (left > 1) {
		size_t half = left / 2;

		entry = entry[half - 1] <= value ? entry + half : entry;
		left -= half;
	}
	return (size_t)(entry - code->entries) + (left == 1 && *entry <= value);
}

/* The class of `value` with the nearest base, or `count` when none has it. Classes of one base
 * stand narrow first, so the walk down remembers the narrower one. */
static size_t
class_of(const struct column_code *code, uint64_t value)
{
	size_t found = code->count;

	for (size_t i = entries_through(code, value); i > 0; i--) {
		uint64_t distance = value - code->entries[i - 1];

		if (found < code->count && code->entries[i - 1] != code->entries[found])
			break;
		if (distance <= bits_mask(code->entry_widths[i - 1]))
			found = i - 1;
	}
	return found;
}

static bool
number_of(const struct column_code *code, uint64_t value, size_t *number_out)
{
	size_t number;

	if (code->encoder == COLUMN_CLASSES) {
		number = class_of(code, value);
	} else {
		number = entries_through(code, value);
		number =
		    number > 0 && code->entries[number - 1] == value ? number - 1 : code->count;
	}
	*number_out = number;
	return number < code->count;
}

/* Frames: whether all are in it. */
static bool
frame_fits(
    const struct column_code *code, const uint64_t *values, size_t count, struct column_range range)
{
	uint64_t odd = 0;

	if (range.smallest < code->base ||
	    (range.largest - code->base) >> code->shift > bits_mask(code->width))
		return false;
	for (size_t i = 0; i < count && code->shift > 0; i++)
		odd |= values[i] - code->base;
	return (odd & bits_mask(code->shift)) == 0;
}

bool
column__measure(const struct column_code *code, const uint64_t *values, size_t count,
    struct column_range range, uint16_t *numbers_out, uint64_t *number_bits_out,
    uint64_t *payload_bits_out)
{
	uint64_t payload_bits = 0;

	*number_bits_out = (uint64_t)code->width * count;
	*payload_bits_out = 0;
	if (code->encoder == COLUMN_CONSTANT || code->encoder == COLUMN_FRAME)
		return frame_fits(code, values, count, range);
	for (size_t i = 0; i < count; i++) {
		size_t number;

		if (i > 0 && values[i] == values[i - 1])
			number = numbers_out[i - 1];
		else if (!number_of(code, values[i], &number))
			return false;
		numbers_out[i] = (uint16_t)number;
		if (code->encoder == COLUMN_CLASSES)
			payload_bits += code->entry_widths[number];
	}
	*payload_bits_out = payload_bits;
	return true;
}

void
column__pack_numbers(const struct column_code *code, const uint64_t *values,
    const uint16_t *numbers, size_t count, struct bits_writer *writer)
{
	if (code->encoder == COLUMN_CONSTANT || code->width == 0)
		return;
	if (code->encoder == COLUMN_FRAME) {
		for (size_t i = 0; i < count; i++)
			bits_write(writer, code->width, (values[i] - code->base) >> code->shift);
	} else {
		for (size_t i = 0; i < count; i++)
			bits_write(writer, code->width, numbers[i]);
	}
}

void
column__pack_payloads(const struct column_code *code, const uint64_t *values,
    const uint16_t *numbers, size_t count, struct bits_writer *writer)
{
	for (size_t i = 0; i < count && code->encoder == COLUMN_CLASSES; i++)
		bits_write(
		    writer, code->entry_widths[numbers[i]], values[i] - code->entries[numbers[i]]);
}

struct column_code
column__frame_of(struct column_range range)
{
	struct column_code code = {.encoder = COLUMN_FRAME, .base = range.smallest};

	ZP_ASSERT(range.smallest <= range.largest);
	code.width = (uint8_t)bits_needed(range.largest - range.smallest);
	return code;
}

static void
frame_unpack(const struct column_code *code, const uint8_t *bits, uint64_t at, size_t count,
    uint64_t *values_out)
{
	uint64_t mask = bits_mask(code->width);

	if (code->width <= 56) { /* one load holds it, at any of the 8 shifts */
		for (size_t i = 0; i < count; i++, at += code->width)
			values_out[i] =
			    code->base +
			    ((zp_load_u64le(bits + at / 8) >> (at % 8) & mask) << code->shift);
	} else {
		for (size_t i = 0; i < count; i++, at += code->width)
			values_out[i] =
			    code->base + (bits_get(bits, at, code->width) << code->shift);
	}
}

bool
column__unpack(const struct column_code *code, const uint8_t *bits, uint64_t at, size_t count,
    uint64_t bits_end, uint64_t *payload_at, uint64_t *values_out)
{
	if (code->encoder == COLUMN_CONSTANT || code->encoder == COLUMN_FRAME) {
		frame_unpack(code, bits, at, count, values_out);
		return true;
	}
	for (size_t i = 0; i < count; i++, at += code->width) {
		uint64_t number = bits_get(bits, at, code->width);

		if (number >= code->count)
			return false;
		values_out[i] = code->entries[number];
		if (code->encoder == COLUMN_CLASSES) {
			unsigned width = code->entry_widths[number];

			if (width > bits_end - *payload_at)
				return false;
			values_out[i] += bits_get(bits, *payload_at, width);
			*payload_at += width;
		}
	}
	return true;
}

bool
column__payload_bits(const struct column_code *code, const uint8_t *bits, uint64_t at, size_t count,
    uint64_t *payload_bits_out)
{
	uint64_t payload_bits = 0;

	for (size_t i = 0; i < count && code->encoder == COLUMN_CLASSES; i++, at += code->width) {
		uint64_t number = bits_get(bits, at, code->width);

		if (number >= code->count)
			return false;
		payload_bits += code->entry_widths[number];
	}
	*payload_bits_out = payload_bits;
	return true;
}

bool
column__get(const struct column_code *code, const uint8_t *bits, uint64_t at, size_t row,
    uint64_t bits_end, uint64_t payload_at, uint64_t *value_out)
{
	uint64_t number = bits_get(bits, at + row * code->width, code->width);
	uint64_t payload_bits;
	unsigned width;

	if (code->encoder == COLUMN_CONSTANT || code->encoder == COLUMN_FRAME) {
		*value_out = code->base + (number << code->shift);
		return true;
	}
	if (number >= code->count)
		return false;
	*value_out = code->entries[number];
	if (code->encoder == COLUMN_DICTIONARY)
		return true;
	width = code->entry_widths[number];
	if (!column__payload_bits(code, bits, at, row, &payload_bits) || payload_at > bits_end ||
	    payload_bits > bits_end - payload_at || width > bits_end - payload_at - payload_bits)
		return false;
	*value_out += bits_get(bits, payload_at + payload_bits, width);
	return true;
}

void
column__section_encode(
    const struct column_code *code, struct column_range range, struct zp_buf *section)
{
	zp_buf_append_byte(section, code->encoder);
	zp_buf_append_byte(section, code->width);
	zp_buf_append_byte(section, code->shift);
	zp_buf_append_byte(section, 0);
	zp_buf_append_u32le(section, code->count);
	zp_buf_append_u64le(section, code->base);
	zp_buf_append_u64le(section, range.smallest);
	zp_buf_append_u64le(section, range.largest);
	for (size_t i = 0; i < code->count; i++)
		zp_buf_append_u64le(section, code->entries[i]);
	if (code->encoder == COLUMN_CLASSES)
		zp_buf_append(section, code->entry_widths, code->count);
}

/* What holds for the numbers of every encoder, before the entries are read. */
static const char *
header_check(const struct column_code *code, uint32_t count)
{
	if (code->shift != 0 && code->encoder != COLUMN_FRAME)
		return "a column that is no frame has a shift";
	switch (code->encoder) {
	case COLUMN_CONSTANT:
		return code->width == 0 && count == 0 ? NULL : "a constant column has bits";
	case COLUMN_FRAME:
		return code->width + code->shift <= 64 && code->shift < 64 && count == 0
			   ? NULL
			   : "a frame is over 64 bits wide";
	case COLUMN_DICTIONARY:
	case COLUMN_CLASSES:
		if (count == 0 || code->base != 0 ||
		    count > (code->encoder == COLUMN_CLASSES ? COLUMN_CLASSES_MAX
							     : COLUMN_DICTIONARY_MAX))
			return "a column has no or too many entries";
		return code->width == bits_needed(count - 1)
			   ? NULL
			   : "a column's width and entries disagree";
	default:
		return "a column has an unknown encoder";
	}
}

static const char *
entries_check(const struct column_code *code)
{
	for (size_t i = 0; i < code->count; i++) {
		bool is_twin = i > 0 && code->entries[i] == code->entries[i - 1];

		if (code->entry_widths != NULL && code->entry_widths[i] > 64)
			return "a class is over 64 bits wide";
		if (i > 0 && code->entries[i] < code->entries[i - 1])
			return "a column's entries do not rise";
		if (is_twin && (code->entry_widths == NULL ||
				   code->entry_widths[i] <= code->entry_widths[i - 1]))
			return "a column has an entry twice";
	}
	return NULL;
}

const char *
column__section_decode(
    struct zp_slice *section, struct column_code *code_out, struct column_range *range_out)
{
	struct column_code code = {0};
	const uint8_t *from = section->data;
	const char *fault;
	uint32_t count;
	size_t bytes;

	if (section->length < COLUMN_HEADER_BYTES)
		return "the columns end early";
	code.encoder = from[0];
	code.width = from[1];
	code.shift = from[2];
	count = zp_load_u32le(from + 4);
	code.base = zp_load_u64le(from + 8);
	fault = header_check(&code, count);
	if (fault == NULL && from[3] != 0)
		fault = "a reserved field of a column is not 0";
	if (fault != NULL)
		return fault;
	bytes = COLUMN_HEADER_BYTES + (size_t)count * (code.encoder == COLUMN_CLASSES ? 9 : 8);
	if (section->length < bytes)
		return "a column's entries end early";
	if (count > 0) {
		code.count = (uint16_t)count;
		code.entries = zp_alloc(count * sizeof(*code.entries));
		memcpy(code.entries, from + COLUMN_HEADER_BYTES, count * sizeof(*code.entries));
	}
	if (code.encoder == COLUMN_CLASSES) {
		code.entry_widths = zp_alloc(count);
		memcpy(code.entry_widths, from + bytes - count, count);
	}
	fault = entries_check(&code);
	if (fault != NULL) {
		column__code_done(&code);
		return fault;
	}
	*range_out = (struct column_range){zp_load_u64le(from + 16), zp_load_u64le(from + 24)};
	*code_out = code;
	section->data += bytes;
	section->length -= bytes;
	return NULL;
}
