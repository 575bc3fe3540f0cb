/*
 * column_choose.c - from a sample of values to the code that should store them in the fewest bits.
 *
 * Flow: column.h. Each encoder makes one candidate or a few; each candidate is priced on the sample
 *       as if it filled blocks of COST_ROWS rows, where one row that does not fit makes the whole
 *       block pay for a frame of its own. So an outlier in a thousand rows does not widen the
 * column, and one in ten does. Everything is integers or sorted: the same sample gives the same
 * code.
 */
#include "engine/column.h"

#include <stdlib.h>

#define COST_ROWS 64u
/* Bits a block pays for a frame of its own besides the rows' bits: mask, width and base. */
#define COST_OWN_BITS 72u
/* A single read of a class column walks the rows before it; one bit a row must be won for that. */
#define COST_CLASSES_BITS COST_ROWS

struct distinct {
	uint64_t value;
	uint32_t count;
	uint32_t exponent; /* bits a power-of-two class would spend on it */
};

struct candidate {
	struct column_code code;
	uint64_t cost; /* bits of a block of COST_ROWS rows, times the sample's count */
};

void
column__sample_init(struct column_sample *sample)
{
	*sample = (struct column_sample){.stride = 1};
}

void
column__sample_done(struct column_sample *sample)
{
	zp_free(sample->values);
	*sample = (struct column_sample){.stride = 1};
}

void
column__sample_add(struct column_sample *sample, uint64_t value)
{
	if (sample->shown++ % sample->stride != 0)
		return;
	if (sample->values == NULL)
		sample->values = zp_alloc(COLUMN_SAMPLE_MAX * sizeof(*sample->values));
	if (sample->count == COLUMN_SAMPLE_MAX) {
		for (uint32_t i = 0; i < COLUMN_SAMPLE_MAX / 2; i++)
			sample->values[i] = sample->values[2 * i];
		sample->count = COLUMN_SAMPLE_MAX / 2;
		sample->stride *= 2;
		if ((sample->shown - 1) % sample->stride != 0)
			return;
	}
	sample->values[sample->count++] = value;
}

static int
u64_order(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

/*
 * The price of a code that spends `bits` on all `count` values and fails `misses` of them. The
 * chance that a block has a miss is taken as min(1, COST_ROWS × misses / count).
 */
static uint64_t
price(uint64_t bits, uint64_t misses, uint64_t count, unsigned whole_width)
{
	uint64_t own_bits = (uint64_t)whole_width * COST_ROWS + COST_OWN_BITS;

	return bits * COST_ROWS + zp_min_u64(misses * COST_ROWS, count) * own_bits;
}

static void
keep_cheaper(struct candidate *best, struct column_code code, uint64_t cost)
{
	if (cost < best->cost) {
		column__code_done(&best->code);
		*best = (struct candidate){.code = code, .cost = cost};
	} else {
		column__code_done(&code);
	}
}

static void
try_constant(const struct distinct *distinct, size_t distinct_count, uint64_t count,
    unsigned whole_width, struct candidate *best)
{
	struct column_code code = {.encoder = COLUMN_CONSTANT};
	uint32_t most = 0;

	for (size_t i = 0; i < distinct_count; i++) {
		if (distinct[i].count > most) {
			most = distinct[i].count;
			code.base = distinct[i].value;
		}
	}
	keep_cheaper(best, code, price(0, count - most, count, whole_width));
}

/*
 * The frame of rising values. Low bits that never differ are not stored: zigzag leaves one, sizes
 * in whole blocks more. What is left of the width is shared between below and above, for the
 * sample's smallest and largest are rarely those of all rows.
 */
static struct column_code
frame_for(const uint64_t *values, uint32_t count)
{
	struct column_code code =
	    column__frame_of((struct column_range){values[0], values[count - 1]});
	uint64_t differing = 0, range = values[count - 1] - values[0], slack;

	for (uint32_t i = 1; i < count; i++)
		differing |= values[i] - values[0];
	code.shift = (uint8_t)(differing == 0 ? 0 : __builtin_ctzll(differing));
	code.width = (uint8_t)bits_needed(range >> code.shift);
	slack = bits_mask(code.width) - (range >> code.shift);
	code.base -= zp_min_u64(slack / 2, code.base >> code.shift) << code.shift;
	return code;
}

/* Frames over the values between two percentiles. */
static void
try_frames(const struct column_sample *sample, unsigned whole_width, struct candidate *best)
{
	const uint32_t trims[] = {0, sample->count / 512, sample->count / 64};

	for (size_t i = 0; i < ZP_ARRAY_COUNT(trims) * ZP_ARRAY_COUNT(trims); i++) {
		uint32_t low = trims[i / ZP_ARRAY_COUNT(trims)];
		uint32_t high = trims[i % ZP_ARRAY_COUNT(trims)];
		struct column_code code =
		    frame_for(sample->values + low, sample->count - low - high);

		keep_cheaper(best, code,
		    price((uint64_t)code.width * sample->count, low + high, sample->count,
			whole_width));
	}
}

/* Values seen once stand for those not seen yet (Good and Turing): their share is the share of
 * misses. */
static void
try_dictionary(const struct distinct *distinct, size_t distinct_count, uint64_t count,
    unsigned whole_width, struct candidate *best)
{
	struct column_code code = {.encoder = COLUMN_DICTIONARY};
	uint64_t seen_once = 0;

	if (distinct_count > COLUMN_DICTIONARY_MAX)
		return;
	code.width = (uint8_t)bits_needed(distinct_count - 1);
	code.count = (uint16_t)distinct_count;
	code.entries = zp_alloc(distinct_count * sizeof(*code.entries));
	for (size_t i = 0; i < distinct_count; i++) {
		code.entries[i] = distinct[i].value;
		seen_once += distinct[i].count == 1;
	}
	keep_cheaper(best, code, price(code.width * count, seen_once, count, whole_width));
}

/* Most bits saved first; ties by value, so that the order is one. */
static int
gain_order(const void *a, const void *b)
{
	const struct distinct *left = a, *right = b;
	uint64_t left_gain = (uint64_t)left->count * left->exponent;
	uint64_t right_gain = (uint64_t)right->count * right->exponent;

	if (left_gain != right_gain)
		return left_gain > right_gain ? -1 : 1;
	return left->value < right->value ? -1 : left->value > right->value;
}

/* Builds the table: the first `exact` values as classes of no bits, a class for each power of two.
 */
static struct column_code
classes_of(const struct distinct *by_gain, size_t exact, uint64_t exponents)
{
	struct column_code code = {.encoder = COLUMN_CLASSES};
	uint64_t values[COLUMN_CLASSES_MAX];
	size_t taken = 0;

	for (size_t i = 0; i < exact; i++)
		values[i] = by_gain[i].value;
	qsort(values, exact, sizeof(*values), u64_order);
	code.entries = zp_alloc(COLUMN_CLASSES_MAX * sizeof(*code.entries));
	code.entry_widths = zp_alloc(COLUMN_CLASSES_MAX);
	for (unsigned exponent = 0; exponent < 64; exponent++) {
		uint64_t base = exponent == 0 ? 0 : UINT64_C(1) << exponent;

		if ((exponents >> exponent & 1) == 0)
			continue;
		/* the exact values before it, and the one at its base: narrow stands first */
		for (; taken < exact && values[taken] <= base; taken++) {
			code.entries[code.count] = values[taken];
			code.entry_widths[code.count++] = 0;
		}
		code.entries[code.count] = base;
		code.entry_widths[code.count++] = (uint8_t)(exponent == 0 ? 1 : exponent);
	}
	for (; taken < exact; taken++) {
		code.entries[code.count] = values[taken];
		code.entry_widths[code.count++] = 0;
	}
	code.width = (uint8_t)bits_needed(code.count - 1u);
	return code;
}

/*
 * Classes: the values that save most get a class each, the others share one for each power of two
 * (0 and 1 share the lowest). Tried for each width of the class number; what a width has room for
 * beyond the powers goes to single values.
 */
static void
try_classes(struct distinct *distinct, size_t distinct_count, uint64_t count, unsigned whole_width,
    struct candidate *best)
{
	uint64_t exponents = 0;
	size_t powers;

	for (size_t i = 0; i < distinct_count; i++) {
		uint64_t value = distinct[i].value;

		distinct[i].exponent = value < 2 ? 1 : bits_needed(value) - 1;
		exponents |= UINT64_C(1) << (value < 2 ? 0 : distinct[i].exponent);
	}
	powers = (size_t)__builtin_popcountll(exponents);
	qsort(distinct, distinct_count, sizeof(*distinct), gain_order);
	for (unsigned width = 1; UINT64_C(1) << width <= COLUMN_CLASSES_MAX; width++) {
		size_t room = (size_t)1 << width;
		size_t exact;
		uint64_t bits = 0;
		struct column_code code;

		if (room < powers)
			continue;
		exact = zp_min_u64(room - powers, distinct_count);
		for (size_t i = exact; i < distinct_count; i++)
			bits += (uint64_t)distinct[i].count * distinct[i].exponent;
		code = classes_of(distinct, exact, exponents);
		keep_cheaper(best, code,
		    price(bits + code.width * count, 0, count, whole_width) +
			COST_CLASSES_BITS * count);
	}
}

static size_t
distinct_of(const struct column_sample *sample, struct distinct *distinct)
{
	size_t found = 0;

	for (uint32_t i = 0; i < sample->count; i++) {
		if (found > 0 && distinct[found - 1].value == sample->values[i])
			distinct[found - 1].count++;
		else
			distinct[found++] = (struct distinct){sample->values[i], 1, 0};
	}
	return found;
}

void
column__choose(struct column_sample *sample, struct column_code *code_out)
{
	struct candidate best = {.cost = UINT64_MAX};
	struct distinct *distinct;
	size_t distinct_count;
	unsigned whole_width;

	if (sample->count == 0) {
		*code_out = (struct column_code){.encoder = COLUMN_CONSTANT};
		return;
	}
	qsort(sample->values, sample->count, sizeof(*sample->values), u64_order);
	whole_width = bits_needed(sample->values[sample->count - 1] - sample->values[0]);
	distinct = zp_alloc(sample->count * sizeof(*distinct));
	distinct_count = distinct_of(sample, distinct);
	try_constant(distinct, distinct_count, sample->count, whole_width, &best);
	try_frames(sample, whole_width, &best);
	try_dictionary(distinct, distinct_count, sample->count, whole_width, &best);
	try_classes(distinct, distinct_count, sample->count, whole_width, &best);
	zp_free(distinct);
	*code_out = best.code;
}
