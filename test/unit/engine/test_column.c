/*
 * test_column.c - what a column's code packs it unpacks, whatever the values; and it chooses well.
 */
#include "segment_testing.h"

#define ROWS 255u

static struct column_range
range_of(const uint64_t *values, size_t count)
{
	struct column_range range = COLUMN_RANGE_NONE;

	for (size_t i = 0; i < count; i++) {
		range.smallest = zp_min_u64(range.smallest, values[i]);
		range.largest = zp_max_u64(range.largest, values[i]);
	}
	return range;
}

/* Packs at an odd place and unpacks, after the code itself went through its
 * section. */
static void
pack_assert(const struct column_code *code, const uint64_t *values, size_t count)
{
	ZP_AUTO_BUF(section, 1 << 20);
	struct column_code read = {0};
	struct column_range range = range_of(values, count), range_read;
	uint64_t number_bits, payload_bits, end, at = 3, payload_at, unpacked[ROWS];
	struct bits_writer writer = {.bits = (unsigned)at};
	uint16_t numbers[ROWS];
	struct zp_slice slice;
	uint8_t *bits;

	column__section_encode(code, range, &section);
	slice = zp_buf_slice(&section);
	assert_null(column__section_decode(&slice, &read, &range_read));
	assert_int_equal(slice.length, 0);
	assert_int_equal(range_read.smallest, range.smallest);
	assert_int_equal(range_read.largest, range.largest);

	assert_true(
	    column__measure(code, values, count, range, numbers, &number_bits, &payload_bits));
	end = at + number_bits + payload_bits;
	bits = zp_alloc_zero(1, bits_bytes(end) + BITS_SLACK);
	payload_at = at + number_bits;
	writer.to = bits;
	column__pack_numbers(code, values, numbers, count, &writer);
	assert_int_equal(8 * (uint64_t)(writer.to - bits) + writer.bits, payload_at);
	column__pack_payloads(code, values, numbers, count, &writer);
	assert_int_equal(8 * (uint64_t)(writer.to - bits) + writer.bits, end);
	bits_write_end(&writer);
	assert_true(column__unpack(&read, bits, at, count, end, &payload_at, unpacked));
	assert_int_equal(payload_at, end);
	assert_memory_equal(unpacked, values, count * sizeof(*values));
	payload_at = at + number_bits;
	if (column__has_payloads(code)) {
		assert_true(column__payloads_pass(&read, bits, at, count, end, &payload_at));
		assert_int_equal(payload_at, end);
	}
	payload_at = at + number_bits;
	if (payload_bits > 0) { /* one bit less room is noticed */
		assert_false(
		    column__unpack(&read, bits, at, count, end - 1, &payload_at, unpacked));
	}
	zp_free(bits);
	column__code_done(&read);
}

/* Frames of each width from 0 to 64 bits, each shift, with the extreme values in them. */
static void
frames_of_every_width(void **state)
{
	uint64_t seed = 1, values[ROWS];

	(void)state;
	for (unsigned width = 0; width <= 64; width++) {
		for (unsigned shift = 0; shift + width <= 64 && shift < 64; shift += 7) {
			struct column_code code = {.encoder = COLUMN_FRAME};

			code.width = (uint8_t)width;
			code.shift = (uint8_t)shift;
			code.base =
			    random_next(&seed) & ~(bits_mask(width) << shift) & bits_mask(63);
			for (size_t i = 0; i < ROWS; i++)
				values[i] =
				    code.base + ((random_next(&seed) & bits_mask(width)) << shift);
			values[0] = code.base;
			values[1] = code.base + (bits_mask(width) << shift);
			if (values[1] >= code.base)
				pack_assert(&code, values, ROWS);
		}
	}
}

/* The values of a block always fit the frame made of them. */
static void
own_frames_fit(void **state)
{
	uint64_t seed = 2, values[ROWS];

	(void)state;
	for (size_t round = 0; round < 300; round++) {
		size_t count = 1 + random_next(&seed) % ROWS;
		unsigned shift = random_next(&seed) % 64;
		struct column_code code;

		for (size_t i = 0; i < count; i++)
			values[i] = random_next(&seed) >> shift;
		if (round % 3 == 0)
			values[0] = UINT64_MAX;
		code = column__frame_of(range_of(values, count));
		pack_assert(&code, values, count);
	}
}

enum kind {
	KIND_CONSTANT,
	KIND_SECONDS, /* zigzag seconds of two years: 26 bits and one that never changes */
	KIND_SECONDS_AND_OUTLIERS,
	KIND_FEW,      /* 5 far values */
	KIND_HUNDREDS, /* 200 far values */
	KIND_SIZES,
	KIND_ANY,
	KIND_EVERY_POWER,
	KIND_COUNT,
};

static uint64_t
value_of(enum kind kind, uint64_t *seed)
{
	uint64_t r = random_next(seed);

	switch (kind) {
	case KIND_CONSTANT:
		return 77;
	case KIND_SECONDS_AND_OUTLIERS:
		if (r % 2000 == 0)
			return 0;
		/* fall through */
	case KIND_SECONDS:
		return 2 * (1700000000 + r % 63072000);
	case KIND_FEW:
		return (r % 5) * UINT64_C(0x123456789abcde);
	case KIND_HUNDREDS:
		return (r % 200) * (r % 200) * UINT64_C(0x123456789);
	case KIND_SIZES:
		return random_size(seed);
	case KIND_EVERY_POWER:
		return random_next(seed) >> r % 64;
	default:
		return r;
	}
}

static void
measure_same(const struct column_code *code, const struct column_code *searching, uint64_t value)
{
	struct column_range range = {value, value};
	uint64_t bits[2], payloads[2];
	uint16_t numbers[2];
	bool fits = column__measure(code, &value, 1, range, &numbers[0], &bits[0], &payloads[0]);

	assert_int_equal(
	    column__measure(searching, &value, 1, range, &numbers[1], &bits[1], &payloads[1]),
	    fits);
	if (!fits)
		return;
	assert_int_equal(numbers[0], numbers[1]);
	assert_int_equal(payloads[0], payloads[1]);
}

/* What a finder says of a value is what a search of the entries says. The code gets one. */
static void
finder_assert(struct column_code *code, uint64_t *seed)
{
	struct column_code searching = *code;

	if (code->count == 0)
		return;
	column__finder_add(code);
	for (size_t i = 0; i < code->count; i++) {
		for (uint64_t above = 0; above < 4; above++)
			measure_same(code, &searching, code->entries[i] + above - 1);
	}
	for (unsigned bits = 0; bits < 64; bits++) {
		measure_same(code, &searching, UINT64_C(1) << bits);
		measure_same(code, &searching, (UINT64_C(1) << bits) - 1);
		measure_same(code, &searching, random_next(seed) >> bits);
	}
}

/* What is chosen for each kind of column, and that it packs values like the sample's. */
static void
choice_suits_the_values(void **state)
{
	const struct {
		enum column_encoder encoder;
		unsigned width;
	} expected[KIND_COUNT] = {
	    [KIND_CONSTANT] = {COLUMN_CONSTANT, 0},
	    [KIND_SECONDS] = {COLUMN_FRAME, 26},
	    [KIND_SECONDS_AND_OUTLIERS] = {COLUMN_FRAME, 26},
	    [KIND_FEW] = {COLUMN_PREFIX, 0},
	    [KIND_HUNDREDS] = {COLUMN_DICTIONARY, 8},
	    [KIND_SIZES] = {COLUMN_PREFIX, 0},
	    [KIND_ANY] = {COLUMN_FRAME, 64},
	    [KIND_EVERY_POWER] = {COLUMN_PREFIX, 0},
	};

	(void)state;
	for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
		struct column_sample sample;
		struct column_code code;
		uint64_t seed = kind, values[ROWS];
		size_t fitting = 0;

		column__sample_init(&sample);
		for (size_t i = 0; i < 9000; i++)
			column__sample_add(&sample, value_of(kind, &seed));
		assert_true(sample.count > COLUMN_SAMPLE_MAX / 4);
		column__choose(&sample, 100000, true, &code);
		assert_int_equal(code.encoder, expected[kind].encoder);
		assert_int_equal(code.width, expected[kind].width);
		finder_assert(&code, &seed);
		for (size_t round = 0; round < 1000 && fitting < ROWS; round++) {
			uint64_t value = value_of(kind, &seed), bits, payload;
			uint16_t number;

			if (column__measure(&code, &value, 1, (struct column_range){value, value},
				&number, &bits, &payload))
				values[fitting++] = value;
		}
		assert_int_equal(fitting, ROWS);
		pack_assert(&code, values, fitting);
		column__sample_done(&sample);
		column__code_done(&code);
	}
}

/* Samples of few and odd values never break the choice, and their own values fit it or are measured
 * as not fitting. */
static void
small_samples_are_fine(void **state)
{
	uint64_t seed = 11;

	(void)state;
	for (size_t round = 0; round < 2000; round++) {
		size_t count = random_next(&seed) % 20;
		struct column_sample sample;
		struct column_code code;
		uint64_t values[20], bits, payload;
		uint16_t numbers[20];

		column__sample_init(&sample);
		for (size_t i = 0; i < count; i++) {
			values[i] = random_next(&seed) >> (random_next(&seed) % 64);
			if (random_next(&seed) % 3 == 0)
				values[i] = i % 2 == 0 ? 0 : UINT64_MAX;
			column__sample_add(&sample, values[i]);
		}
		column__choose(&sample, 100000, true, &code);
		finder_assert(&code, &seed);
		if (count > 0 && column__measure(&code, values, count, range_of(values, count),
				     numbers, &bits, &payload))
			pack_assert(&code, values, count);
		column__sample_done(&sample);
		column__code_done(&code);
	}
}

/* Few values in prefix codes, of which several are read in one step: any number of rows, of any
 * mix. */
static void
dictionaries_in_prefix_codes_come_back(void **state)
{
	uint64_t seed = 15, in_prefix_codes = 0;

	(void)state;
	for (size_t round = 0; round < 500; round++) {
		struct column_sample sample;
		struct column_code code;
		uint64_t values[ROWS], few = 2 + random_next(&seed) % 30;
		unsigned skew = 1 + (unsigned)(random_next(&seed) % 4);

		column__sample_init(&sample);
		for (size_t i = 0; i < 4000 + ROWS; i++) {
			uint64_t value = random_next(&seed) % few;

			for (unsigned j = 0; j < skew; j++)
				value = value * (random_next(&seed) % few) / few;
			values[i % ROWS] = 1000003 * value;
			column__sample_add(&sample, 1000003 * value);
		}
		column__choose(&sample, 1000000, true, &code);
		in_prefix_codes += code.encoder == COLUMN_PREFIX;
		for (size_t count = 1; count <= ROWS; count += 1 + random_next(&seed) % 9) {
			uint64_t bits, payload;
			uint16_t numbers[ROWS];

			if (column__measure(&code, values, count, range_of(values, count), numbers,
				&bits, &payload))
				pack_assert(&code, values, count);
		}
		column__sample_done(&sample);
		column__code_done(&code);
	}
	assert_true(in_prefix_codes > 100);
}

/* A table of entries costs bytes too: where there are few rows it is not made. */
static void
few_rows_get_no_table(void **state)
{
	const uint64_t rows[] = {200, 1000000};
	uint64_t seed = 5;

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(rows); i++) {
		struct column_sample sample;
		struct column_code code;

		column__sample_init(&sample);
		for (size_t j = 0; j < 200; j++)
			column__sample_add(&sample, UINT64_C(7919) * (random_next(&seed) % 40));
		column__choose(&sample, rows[i], true, &code);
		assert_int_equal(code.count > 0, i > 0);
		column__sample_done(&sample);
		column__code_done(&code);
	}
}

/* Classes with numbers of one width: what is chosen less often since there are prefix codes. */
static void
classes_come_back(void **state)
{
	struct column_code code = {.encoder = COLUMN_CLASSES, .width = 6, .count = 64};
	uint64_t seed = 14, values[ROWS];

	(void)state;
	code.entries = zp_alloc(64 * sizeof(*code.entries));
	code.entry_widths = zp_alloc(64);
	for (unsigned i = 0; i < 64; i++) {
		code.entries[i] = i == 0 ? 0 : UINT64_C(1) << i;
		code.entry_widths[i] = (uint8_t)(i == 0 ? 1 : i);
	}
	for (size_t round = 0; round < 20; round++) {
		for (size_t i = 0; i < ROWS; i++)
			values[i] = value_of(KIND_EVERY_POWER, &seed);
		pack_assert(&code, values, ROWS);
	}
	column__code_done(&code);
}

static void
prefix_assert(const uint32_t *weights, size_t count)
{
	uint8_t lengths[PREFIX_NUMBERS_MAX], widths[PREFIX_NUMBERS_MAX], bits;
	uint16_t codes[PREFIX_NUMBERS_MAX];
	uint32_t *table;

	prefix__lengths(weights, count, lengths);
	assert_true(prefix__is_complete(lengths, count));
	prefix__codes(lengths, count, codes);
	for (size_t i = 0; i < count; i++)
		widths[i] = (uint8_t)(i % 65);
	table = prefix__table_new(lengths, widths, count, &bits);
	for (size_t i = 0; i < count; i++) {
		for (uint32_t behind = 0; behind < 4; behind++) {
			uint32_t at = (codes[i] | behind << lengths[i]) & (uint32_t)bits_mask(bits);

			assert_int_equal(
			    table[at], i | (uint32_t)lengths[i] << 8 | (uint32_t)widths[i] << 16);
		}
	}
	zp_free(table);
	/* One that is missing, and one too many. */
	assert_false(prefix__is_complete(lengths, count - 1));
	lengths[0] -= lengths[0] > 1;
	assert_true(lengths[0] == 1 || !prefix__is_complete(lengths, count));
	lengths[0] = PREFIX_BITS_MAX + 1;
	assert_false(prefix__is_complete(lengths, count));
}

/* Codes of any weights can be told apart and are short, from all alike to each twice the one
 * before. */
static void
prefix_codes_are_complete(void **state)
{
	uint64_t seed = 13;

	(void)state;
	for (size_t round = 0; round < 3000; round++) {
		uint32_t weights[PREFIX_NUMBERS_MAX];
		size_t count = round % 9 == 0 ? PREFIX_NUMBERS_MAX
					      : 2 + random_next(&seed) % (PREFIX_NUMBERS_MAX - 1);

		for (size_t i = 0; i < count; i++) {
			weights[i] =
			    (uint32_t)(random_next(&seed) >> (32 + random_next(&seed) % 32));
			if (round % 3 == 0)
				weights[i] = i < 32 ? 1u << i : 0;
			if (round % 3 == 1)
				weights[i] = 5;
		}
		prefix_assert(weights, count);
	}
}

/* What is frequent costs little: not more than a bit over its entropy, and no less than Shannon
 * allows. */
static void
frequent_numbers_are_short(void **state)
{
	const uint32_t weights[] = {900, 50, 25, 25};
	uint8_t lengths[4];

	(void)state;
	prefix__lengths(weights, 4, lengths);
	assert_memory_equal(lengths, ((uint8_t[]){1, 2, 3, 3}), 4);
}

/* Numbers of any width at any position come back and touch no neighbour. */
static void
bits_of_any_width_at_any_place(void **state)
{
	(void)state;
	for (unsigned width = 0; width <= 64; width++) {
		for (unsigned at = 0; at < 16; at++) {
			uint8_t bytes[16 + BITS_SLACK] = {0};
			struct bits_writer writer = {.to = bytes, .bits = at};

			bits_write(&writer, width, bits_mask(width));
			bits_write_end(&writer);
			assert_int_equal(bits_get(bytes, at, width), bits_mask(width));
			assert_int_equal(bits_get(bytes, 0, at), 0);
			assert_int_equal(bits_get(bytes, at + width, 40), 0);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(frames_of_every_width),
	    cmocka_unit_test(own_frames_fit),
	    cmocka_unit_test(choice_suits_the_values),
	    cmocka_unit_test(small_samples_are_fine),
	    cmocka_unit_test(dictionaries_in_prefix_codes_come_back),
	    cmocka_unit_test(few_rows_get_no_table),
	    cmocka_unit_test(classes_come_back),
	    cmocka_unit_test(prefix_codes_are_complete),
	    cmocka_unit_test(frequent_numbers_are_short),
	    cmocka_unit_test(bits_of_any_width_at_any_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
