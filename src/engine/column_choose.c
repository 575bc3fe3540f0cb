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
/* A single read of a column with payloads walks rows before it, and so does a scan, row by row:
 * half a bit a row must be won for that. Where whole blocks are read, it only takes a little
 * longer. */
#define COST_WALK_BITS (COST_ROWS / 2)
#define COST_PAYLOADS_BITS (COST_ROWS / 8)

struct distinct {
	uint64_t value;
	uint32_t count;
	uint32_t exponent; /* of the power-of-two class that would take it */
};

struct candidate {
	struct column_code code;
	uint64_t cost; /* bits of a block of COST_ROWS rows, times the sample's count */
};

/* What the values of a sample are like. */
struct choice {
	struct distinct *distinct;
	size_t distinct_count;
	uint64_t count; /* of the sample */
	uint64_t rows;  /* that will be stored */
	unsigned whole_width;
	uint64_t payloads_cost; /* of a code with payloads, besides its bits */
	uint64_t
	    exponents; /* a bit for each power-of-two class that a value may need; powers of them */
	size_t powers;
	size_t repeated; /* values that the sample has more than once: the first ones by gain */
	struct candidate best;
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
 * The price of a code that spends `bits` on all values and fails `misses` of them. The
 * chance that a block has a miss is taken as min(1, COST_ROWS × misses / their count).
 */
static uint64_t
price(const struct choice *choice, uint64_t bits, uint64_t misses)
{
	uint64_t own_bits = (uint64_t)choice->whole_width * COST_ROWS + COST_OWN_BITS;

	return bits * COST_ROWS + zp_min_u64(misses * COST_ROWS, choice->count) * own_bits;
}

static void
keep_cheaper(struct choice *choice, struct column_code code, uint64_t cost)
{
	struct candidate *best = &choice->best;

	/* What the entries take is shared by all rows. */
	cost +=
	    8 * column__entry_bytes(&code) * code.count * COST_ROWS * choice->count / choice->rows;
	if (cost < best->cost) {
		column__code_done(&best->code);
		*best = (struct candidate){.code = code, .cost = cost};
	} else {
		column__code_done(&code);
	}
}

static void
try_constant(struct choice *choice)
{
	struct column_code code = {.encoder = COLUMN_CONSTANT};
	uint32_t most = 0;

	for (size_t i = 0; i < choice->distinct_count; i++) {
		if (choice->distinct[i].count > most) {
			most = choice->distinct[i].count;
			code.base = choice->distinct[i].value;
		}
	}
	keep_cheaper(choice, code, price(choice, 0, choice->count - most));
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
try_frames(const struct column_sample *sample, struct choice *choice)
{
	const uint32_t trims[] = {0, sample->count / 512, sample->count / 64};

	for (size_t i = 0; i < ZP_ARRAY_COUNT(trims) * ZP_ARRAY_COUNT(trims); i++) {
		uint32_t low = trims[i / ZP_ARRAY_COUNT(trims)];
		uint32_t high = trims[i % ZP_ARRAY_COUNT(trims)];
		struct column_code code =
		    frame_for(sample->values + low, sample->count - low - high);

		keep_cheaper(
		    choice, code, price(choice, (uint64_t)code.width * sample->count, low + high));
	}
}

/* Values seen once stand for those not seen yet (Good and Turing): their share is the share of
 * misses. */
static void
try_dictionary(struct choice *choice)
{
	struct column_code code = {.encoder = COLUMN_DICTIONARY};
	uint64_t seen_once = 0;

	if (choice->distinct_count > COLUMN_DICTIONARY_MAX)
		return;
	code.width = (uint8_t)bits_needed(choice->distinct_count - 1);
	code.count = (uint16_t)choice->distinct_count;
	code.entries = zp_alloc(choice->distinct_count * sizeof(*code.entries));
	for (size_t i = 0; i < choice->distinct_count; i++) {
		code.entries[i] = choice->distinct[i].value;
		seen_once += choice->distinct[i].count == 1;
	}
	keep_cheaper(choice, code, price(choice, code.width * choice->count, seen_once));
}

/* Where the power-of-two class of an exponent begins; 0 and 1 share the lowest. */
static uint64_t
power_base(unsigned exponent)
{
	return exponent == 0 ? 0 : UINT64_C(1) << exponent;
}

static uint8_t
power_width(unsigned exponent)
{
	return (uint8_t)(exponent == 0 ? 1 : exponent);
}

/* Bits that a class of its own would save; what the sample has once is not known to come again. */
static uint64_t
gain_of(const struct distinct *distinct)
{
	return distinct->count < 2 ? 0
				   : (uint64_t)distinct->count * power_width(distinct->exponent);
}

/* Most bits saved first; ties by value, so that the order is one. */
static int
gain_order(const void *a, const void *b)
{
	const struct distinct *left = a, *right = b;
	uint64_t left_gain = gain_of(left), right_gain = gain_of(right);

	if (left_gain != right_gain)
		return left_gain > right_gain ? -1 : 1;
	return left->value < right->value ? -1 : left->value > right->value;
}

/* The entries of a column with payloads: the first `exact` values as classes of no bits, a class
 * for each power of two. */
static void
classes_fill(const struct choice *choice, size_t exact, struct column_code *code)
{
	uint64_t values[PREFIX_NUMBERS_MAX];
	size_t taken = 0;

	for (size_t i = 0; i < exact; i++)
		values[i] = choice->distinct[i].value;
	qsort(values, exact, sizeof(*values), u64_order);
	code->entries = zp_alloc((exact + choice->powers) * sizeof(*code->entries));
	code->entry_widths = zp_alloc(exact + choice->powers);
	for (unsigned exponent = 0; exponent < 64; exponent++) {
		uint64_t base = power_base(exponent);

		if ((choice->exponents >> exponent & 1) == 0)
			continue;
		/* the exact values before it, and the one at its base: narrow stands first */
		for (; taken < exact && values[taken] <= base; taken++) {
			code->entries[code->count] = values[taken];
			code->entry_widths[code->count++] = 0;
		}
		code->entries[code->count] = base;
		code->entry_widths[code->count++] = power_width(exponent);
	}
	for (; taken < exact; taken++) {
		code->entries[code->count] = values[taken];
		code->entry_widths[code->count++] = 0;
	}
}

/* Bits of the payloads when the first `exact` values have classes of their own. */
static uint64_t
payload_bits(const struct choice *choice, size_t exact)
{
	uint64_t bits = 0;

	for (size_t i = exact; i < choice->distinct_count; i++)
		bits +=
		    (uint64_t)choice->distinct[i].count * power_width(choice->distinct[i].exponent);
	return bits;
}

/*
 * Classes: the values that save most get a class each, the others share one for each power of two.
 * Tried for each width of the class number; what a width has room for beyond the powers goes to
 * single values.
 */
static void
try_classes(struct choice *choice)
{
	for (unsigned width = 1; UINT64_C(1) << width <= COLUMN_CLASSES_MAX; width++) {
		struct column_code code = {.encoder = COLUMN_CLASSES};
		size_t room = (size_t)1 << width;
		size_t exact;

		if (room < choice->powers)
			continue;
		exact = zp_min_u64(room - choice->powers, choice->repeated);
		classes_fill(choice, exact, &code);
		code.width = (uint8_t)bits_needed(code.count - 1u);
		keep_cheaper(choice, code,
		    price(choice, payload_bits(choice, exact) + code.width * choice->count, 0) +
			choice->payloads_cost * choice->count);
	}
}

/* How often each entry stands in the sample. */
static void
weights_of(const struct choice *choice, const struct column_code *code,
    uint32_t weights_out[PREFIX_NUMBERS_MAX])
{
	memset(weights_out, 0, PREFIX_NUMBERS_MAX * sizeof(*weights_out));
	for (size_t i = 0; i < choice->distinct_count; i++) {
		const struct distinct *distinct = &choice->distinct[i];

		weights_out[column__class_of(code, distinct->value)] += distinct->count;
	}
}

/* Gives the entries of a code their lengths, by their weights in the sample: bits of all that it
 * has. */
static uint64_t
prefix_fill(const struct choice *choice, struct column_code *code)
{
	uint32_t weights[PREFIX_NUMBERS_MAX];
	uint64_t bits = 0;

	weights_of(choice, code, weights);
	code->code_lengths = zp_alloc(code->count);
	code->prefix_codes = zp_alloc(code->count * sizeof(*code->prefix_codes));
	prefix__lengths(weights, code->count, code->code_lengths);
	prefix__codes(code->code_lengths, code->count, code->prefix_codes);
	for (size_t number = 0; number < code->count; number++)
		bits += (uint64_t)weights[number] * code->code_lengths[number];
	return bits;
}

/* The same entries, more of them, and the frequent ones in fewer bits. */
static void
try_prefix(struct choice *choice)
{
	static const uint16_t exacts[] = {0, 4, 16, 48, 96, 192};

	for (size_t i = 0; i < ZP_ARRAY_COUNT(exacts); i++) {
		struct column_code code = {.encoder = COLUMN_PREFIX};
		size_t exact = zp_min_u64(exacts[i], choice->repeated);
		uint64_t bits;

		if (exact + choice->powers < 2 || (i > 0 && exact <= exacts[i - 1]))
			continue;
		classes_fill(choice, exact, &code);
		bits = payload_bits(choice, exact) + prefix_fill(choice, &code);
		keep_cheaper(
		    choice, code, price(choice, bits, 0) + choice->payloads_cost * choice->count);
	}
}

/* A dictionary in prefix codes: what the sample has not is a miss, but several codes are read in
 * one step. */
static void
try_prefix_dictionary(struct choice *choice)
{
	struct column_code code = {.encoder = COLUMN_PREFIX};
	struct choice exact = *choice;
	uint64_t bits;

	if (choice->distinct_count < 2 || choice->distinct_count > PREFIX_NUMBERS_MAX)
		return;
	exact.exponents = 0;
	exact.powers = 0;
	classes_fill(&exact, choice->distinct_count, &code);
	bits = prefix_fill(choice, &code);
	keep_cheaper(choice, code,
	    price(choice, bits, choice->distinct_count - choice->repeated) +
		choice->payloads_cost * choice->count);
}

/* Which powers there are, and the values that gain most by a class of their own first. */
static void
classes_prepare(struct choice *choice)
{
	for (size_t i = 0; i < choice->distinct_count; i++) {
		struct distinct *distinct = &choice->distinct[i];

		distinct->exponent = distinct->value < 2 ? 0 : bits_needed(distinct->value) - 1;
		choice->exponents |= UINT64_C(1) << distinct->exponent;
		choice->repeated += distinct->count > 1;
	}
	choice->powers = (size_t)__builtin_popcountll(choice->exponents);
	qsort(choice->distinct, choice->distinct_count, sizeof(*choice->distinct), gain_order);
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
column__choose(
    struct column_sample *sample, uint64_t rows, bool is_looked_up, struct column_code *code_out)
{
	struct choice choice = {.count = sample->count,
	    .rows = zp_max_u64(rows, sample->count),
	    .best = {.cost = UINT64_MAX}};

	if (sample->count == 0) {
		*code_out = (struct column_code){.encoder = COLUMN_CONSTANT};
		return;
	}
	qsort(sample->values, sample->count, sizeof(*sample->values), u64_order);
	choice.whole_width = bits_needed(sample->values[sample->count - 1] - sample->values[0]);
	choice.payloads_cost = is_looked_up ? COST_WALK_BITS : COST_PAYLOADS_BITS;
	choice.distinct = zp_alloc(sample->count * sizeof(*choice.distinct));
	choice.distinct_count = distinct_of(sample, choice.distinct);
	try_constant(&choice);
	try_frames(sample, &choice);
	try_dictionary(&choice);
	classes_prepare(&choice);
	try_classes(&choice);
	try_prefix(&choice);
	try_prefix_dictionary(&choice);
	zp_free(choice.distinct);
	*code_out = choice.best.code;
}
