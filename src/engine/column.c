/*
 * column.c - packs and unpacks the values of one column, and its description in the segment.
 *
 * Flow: column.h.
 */
#include "engine/column.h"

#define COLUMN_HEADER_BYTES 32u

void
column__code_done(struct column_code *code)
{
	zp_free(code->entries);
	zp_free(code->entry_widths);
	zp_free(code->code_lengths);
	zp_free(code->prefix_codes);
	zp_free(code->prefix_table);
	zp_free(code->prefix_several);
	zp_free(code->finder);
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

/* Classes of one base stand narrow first, so the walk down remembers the narrower one. */
size_t
column__class_of(const struct column_code *code, uint64_t value)
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

	if (column__has_payloads(code)) {
		number = column__class_of(code, value);
	} else {
		number = entries_through(code, value);
		number =
		    number > 0 && code->entries[number - 1] == value ? number - 1 : code->count;
	}
	*number_out = number;
	return number < code->count;
}

static inline size_t
finder_slot(const struct column_finder *finder, uint64_t value)
{
	return (size_t)(value * UINT64_C(0x9E3779B97F4A7C15) >> finder->shift);
}

/* Slots that are at most half in use. */
static struct column_finder *
finder_new(size_t entries)
{
	unsigned bits = bits_needed(2 * entries - 1);
	struct column_finder *finder =
	    zp_alloc_zero(1, sizeof(*finder) + ((size_t)1 << bits) * sizeof(finder->slots[0]));

	finder->shift = 64 - bits;
	finder->mask = bits_mask(bits);
	return finder;
}

static void
finder_value_add(struct column_finder *finder, uint64_t value, size_t number)
{
	size_t at = finder_slot(finder, value);

	while (finder->slots[at].number != 0)
		at = (at + 1) & finder->mask;
	finder->slots[at].value = value;
	finder->slots[at].number = (uint16_t)(number + 1);
}

void
column__finder_add(struct column_code *code)
{
	struct column_finder *finder;

	ZP_ASSERT(code->count > 0 && code->finder == NULL);
	finder = finder_new(code->count);
	for (size_t i = 0; i < code->count; i++) {
		unsigned width = column__has_payloads(code) ? code->entry_widths[i] : 0;

		if (width == 0)
			finder_value_add(finder, code->entries[i], i);
		else if (code->entries[i] == 0) /* 0 and 1 share the lowest */
			finder->powers[0] = finder->powers[1] = (uint16_t)(i + 1);
		else
			finder->powers[width + 1] = (uint16_t)(i + 1);
	}
	code->finder = finder;
}

/* The same as number_of. */
static inline bool
number_find(const struct column_code *code, uint64_t value, size_t *number_out)
{
	const struct column_finder *finder = code->finder;
	size_t at, number;

	if (finder == NULL)
		return number_of(code, value, number_out);
	at = finder_slot(finder, value);
	while (finder->slots[at].number != 0 && finder->slots[at].value != value)
		at = (at + 1) & finder->mask;
	number = finder->slots[at].number;
	if (number == 0)
		number = finder->powers[bits_needed(value)];
	*number_out = number - 1;
	return number != 0;
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

		if (!number_find(code, values[i], &number))
			return false;
		numbers_out[i] = (uint16_t)number;
		if (column__has_payloads(code))
			payload_bits += code->entry_widths[number];
		if (code->encoder == COLUMN_PREFIX)
			payload_bits += code->code_lengths[number];
	}
	*payload_bits_out = payload_bits;
	return true;
}

void
column__pack_numbers(const struct column_code *code, const uint64_t *values,
    const uint16_t *numbers, size_t count, struct bits_writer *writer)
{
	bool is_frame = code->encoder == COLUMN_FRAME;
	unsigned width = code->width;
	size_t at_once;

	if (code->encoder == COLUMN_CONSTANT || width == 0)
		return;
	at_once = 64 / width;
	/* As many as a word holds are put together first: that does not wait for the writer. */
	for (size_t i = 0; i < count;) {
		size_t some = zp_min_u64(at_once, count - i);
		uint64_t word = 0;

		for (size_t j = 0; j < some; j++, i++)
			word |= (is_frame ? (values[i] - code->base) >> code->shift : numbers[i])
				<< j * width;
		bits_write(writer, (unsigned)some * width, word);
	}
}

void
column__pack_payloads(const struct column_code *code, const uint64_t *values,
    const uint16_t *numbers, size_t count, struct bits_writer *writer)
{
	for (size_t i = 0; i < count && column__has_payloads(code); i++) {
		uint16_t number = numbers[i];
		unsigned width = code->entry_widths[number], length = 0;
		uint64_t payload = values[i] - code->entries[number];

		if (code->encoder == COLUMN_PREFIX) {
			length = code->code_lengths[number];
			if (length + width <= 64) { /* in one piece */
				payload = payload << length | code->prefix_codes[number];
				width += length;
			} else {
				bits_write(writer, length, code->prefix_codes[number]);
			}
		}
		bits_write(writer, width, payload);
	}
}

struct column_code
column__frame_of(struct column_range range)
{
	struct column_code code = {.encoder = COLUMN_FRAME, .base = range.smallest};

	ZP_ASSERT(range.smallest <= range.largest);
	code.width = (uint8_t)bits_needed(range.largest - range.smallest);
	return code;
}

#define BITS_AT_ONCE 57u /* of a load at any of the 8 shifts */

/* At least BITS_AT_ONCE bits from there on. */
static inline uint64_t
bits_peek(const uint8_t *bits, uint64_t at)
{
	return zp_load_u64le(bits + at / 8) >> at % 8;
}

/* `some` values of each load, which holds that many. */
static inline __attribute__((always_inline)) void
frame_unpack_by(const struct column_code *code, const uint8_t *bits, uint64_t at, size_t count,
    uint64_t *values_out, const size_t some)
{
	uint64_t base = code->base, mask = bits_mask(code->width);
	unsigned width = code->width, shift = code->shift;
	size_t i = 0;

	for (; i + some <= count; i += some, at += some * width) {
		uint64_t word = bits_peek(bits, at);

		for (size_t j = 0; j < some; j++)
			values_out[i + j] = base + ((word >> j * width & mask) << shift);
	}
	for (; i < count; i++, at += width)
		values_out[i] = base + ((bits_peek(bits, at) & mask) << shift);
}

ZP_CLONES
static void
frame_unpack(const struct column_code *code, const uint8_t *bits, uint64_t at, size_t count,
    uint64_t *values_out)
{
	if (code->width <= BITS_AT_ONCE / 8) {
		frame_unpack_by(code, bits, at, count, values_out, 8);
	} else if (code->width <= BITS_AT_ONCE / 4) {
		frame_unpack_by(code, bits, at, count, values_out, 4);
	} else if (code->width <= BITS_AT_ONCE / 2) {
		frame_unpack_by(code, bits, at, count, values_out, 2);
	} else if (code->width <= BITS_AT_ONCE) {
		frame_unpack_by(code, bits, at, count, values_out, 1);
	} else {
		for (size_t i = 0; i < count; i++, at += code->width)
			values_out[i] =
			    code->base + (bits_get(bits, at, code->width) << code->shift);
	}
}

/* Of a row with a prefix code whose bits these are: as prefix__table_new. */
static inline uint32_t
prefix_of(const struct column_code *code, uint64_t word)
{
	return code->prefix_table[word & bits_mask(code->prefix_bits)];
}

static inline unsigned
prefix_row_bits(uint32_t found)
{
	return (found >> 8 & 255) + (found >> 16);
}

/* The same where codes follow each other, so that several are found in one step. Without
 * `values_out` they are passed. */
static inline __attribute__((always_inline)) bool
several_unpack(const struct column_code *code, const uint8_t *bits, size_t count, uint64_t bits_end,
    uint64_t *payload_at, uint64_t *values_out)
{
	uint64_t at = *payload_at, mask = bits_mask(code->prefix_bits);
	size_t i = 0;

	while (i + PREFIX_SEVERAL <= count && at <= bits_end) {
		uint64_t word = bits_peek(bits, at);
		unsigned used = 0;

		while (used + code->prefix_bits <= BITS_AT_ONCE && i + PREFIX_SEVERAL <= count) {
			uint64_t found = code->prefix_several[word >> used & mask];

			for (size_t j = 0; values_out != NULL && j < PREFIX_SEVERAL; j++)
				values_out[i + j] = code->entries[found >> (16 + 8 * j) & 255];
			i += found >> 8 & 255;
			used += found & 255;
		}
		at += used;
	}
	for (; i < count && at <= bits_end; i++) {
		uint64_t found = code->prefix_several[bits_peek(bits, at) & mask];

		if (values_out != NULL)
			values_out[i] = code->entries[found >> 16 & 255];
		at += code->code_lengths[found >> 16 & 255];
	}
	*payload_at = at;
	return at <= bits_end;
}

static bool
prefix_unpack(const struct column_code *code, const uint8_t *bits, size_t count, uint64_t bits_end,
    uint64_t *payload_at, uint64_t *values_out)
{
	uint64_t at = *payload_at;

	if (code->prefix_several != NULL)
		return several_unpack(code, bits, count, bits_end, payload_at, values_out);
	for (size_t i = 0; i < count; i++) {
		uint64_t word = bits_peek(bits, at);
		uint32_t found = prefix_of(code, word);
		unsigned length = found >> 8 & 255, width = found >> 16;

		if (length + width > bits_end - at)
			return false;
		values_out[i] =
		    code->entries[found & 255] + (length + width <= BITS_AT_ONCE
							 ? word >> length & bits_mask(width)
							 : bits_get(bits, at + length, width));
		at += length + width;
	}
	*payload_at = at;
	return true;
}

static bool
classes_unpack(const struct column_code *code, const uint8_t *bits, uint64_t at, size_t count,
    uint64_t bits_end, uint64_t *payload_at, uint64_t *values_out)
{
	for (size_t i = 0; i < count; i++, at += code->width) {
		uint64_t number = bits_peek(bits, at) & bits_mask(code->width);
		unsigned width;

		if (number >= code->count)
			return false;
		width = code->entry_widths[number];
		if (width > bits_end - *payload_at)
			return false;
		values_out[i] = code->entries[number] + bits_get(bits, *payload_at, width);
		*payload_at += width;
	}
	return true;
}

static bool
dictionary_unpack(const struct column_code *code, const uint8_t *bits, uint64_t at, size_t count,
    uint64_t *values_out)
{
	const struct column_code numbers = {.width = code->width};
	bool is_outside = false;

	frame_unpack(&numbers, bits, at, count, values_out);
	for (size_t i = 0; i < count; i++) {
		uint64_t number = values_out[i];

		is_outside |= number >= code->count;
		values_out[i] = code->entries[number < code->count ? number : 0];
	}
	return !is_outside;
}

bool
column__unpack(const struct column_code *code, const uint8_t *bits, uint64_t at, size_t count,
    uint64_t bits_end, uint64_t *payload_at, uint64_t *values_out)
{
	switch (code->encoder) {
	case COLUMN_PREFIX:
		return prefix_unpack(code, bits, count, bits_end, payload_at, values_out);
	case COLUMN_CLASSES:
		return classes_unpack(code, bits, at, count, bits_end, payload_at, values_out);
	case COLUMN_DICTIONARY:
		return dictionary_unpack(code, bits, at, count, values_out);
	default:
		frame_unpack(code, bits, at, count, values_out);
		return true;
	}
}

bool
column__payloads_pass(const struct column_code *code, const uint8_t *bits, uint64_t at,
    size_t count, uint64_t bits_end, uint64_t *payload_at)
{
	uint64_t end = *payload_at;

	ZP_ASSERT(column__has_payloads(code));
	if (code->prefix_several != NULL)
		return several_unpack(code, bits, count, bits_end, payload_at, NULL);
	for (size_t i = 0; i < count; i++, at += code->width) {
		unsigned width;

		if (code->encoder == COLUMN_PREFIX) {
			width = prefix_row_bits(prefix_of(code, bits_peek(bits, end)));
		} else {
			uint64_t number = bits_peek(bits, at) & bits_mask(code->width);

			if (number >= code->count)
				return false;
			width = code->entry_widths[number];
		}
		if (width > bits_end - end)
			return false;
		end += width;
	}
	*payload_at = end;
	return true;
}

#define COLUMN_DIFFERENCES 1u /* a flag */

void
column__section_encode(
    const struct column_code *code, struct column_range range, struct zp_buf *section)
{
	zp_buf_append_byte(section, code->encoder);
	zp_buf_append_byte(section, code->width);
	zp_buf_append_byte(section, code->shift);
	zp_buf_append_byte(section, code->is_differences ? COLUMN_DIFFERENCES : 0);
	zp_buf_append_u32le(section, code->count);
	zp_buf_append_u64le(section, code->base);
	zp_buf_append_u64le(section, range.smallest);
	zp_buf_append_u64le(section, range.largest);
	for (size_t i = 0; i < code->count; i++)
		zp_buf_append_u64le(section, code->entries[i]);
	if (column__has_payloads(code))
		zp_buf_append(section, code->entry_widths, code->count);
	if (code->encoder == COLUMN_PREFIX)
		zp_buf_append(section, code->code_lengths, code->count);
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
	case COLUMN_PREFIX:
		if (count < 2 || count > PREFIX_NUMBERS_MAX || code->base != 0)
			return "a column has too few or too many entries";
		return code->width == 0 ? NULL : "a column of prefix codes has a width";
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
	if (code->encoder == COLUMN_PREFIX && !prefix__is_complete(code->code_lengths, code->count))
		return "a column's prefix codes are not complete";
	return NULL;
}

size_t
column__entry_bytes(const struct column_code *code)
{
	return sizeof(uint64_t) + column__has_payloads(code) + (code->encoder == COLUMN_PREFIX);
}

static void *
bytes_copy(const uint8_t *from, size_t length)
{
	return memcpy(zp_alloc(length), from, length);
}

static void
entries_read(struct column_code *code, const uint8_t *from)
{
	size_t count = code->count;

	if (count == 0)
		return;
	code->entries = bytes_copy(from, count * sizeof(*code->entries));
	from += count * sizeof(*code->entries);
	if (column__has_payloads(code))
		code->entry_widths = bytes_copy(from, count);
	if (code->encoder == COLUMN_PREFIX)
		code->code_lengths = bytes_copy(from + count, count);
}

static void
prefix_tables_make(struct column_code *code)
{
	unsigned widths = 0;

	for (size_t i = 0; i < code->count; i++)
		widths |= code->entry_widths[i];
	if (widths == 0)
		code->prefix_several =
		    prefix__several_new(code->code_lengths, code->count, &code->prefix_bits);
	else
		code->prefix_table = prefix__table_new(
		    code->code_lengths, code->entry_widths, code->count, &code->prefix_bits);
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
	code.is_differences = from[3] == COLUMN_DIFFERENCES;
	fault = header_check(&code, count);
	if (fault == NULL && from[3] > COLUMN_DIFFERENCES)
		fault = "a reserved field of a column is not 0";
	if (fault != NULL)
		return fault;
	code.count = (uint16_t)count;
	bytes = COLUMN_HEADER_BYTES + count * column__entry_bytes(&code);
	if (section->length < bytes)
		return "a column's entries end early";
	entries_read(&code, from + COLUMN_HEADER_BYTES);
	fault = entries_check(&code);
	if (fault != NULL) {
		column__code_done(&code);
		return fault;
	}
	if (code.encoder == COLUMN_PREFIX)
		prefix_tables_make(&code);
	*range_out = (struct column_range){zp_load_u64le(from + 16), zp_load_u64le(from + 24)};
	*code_out = code;
	section->data += bytes;
	section->length -= bytes;
	return NULL;
}
