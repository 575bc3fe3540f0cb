/*
 * column.h - one column of numbers: how a segment chooses to store it, and storing it.
 *
 * Flow:    the writer samples rows and chooses a code for each column; segment_block.c packs and
 * unpacks the values of one block with it; private to engine/. Pure. Format:  docs/formats.md,
 * "Columns".
 */
#ifndef ZP_ENGINE_COLUMN_H
#define ZP_ENGINE_COLUMN_H

#include "engine/bits.h"
#include "engine/column_prefix.h"

#define COLUMN_DICTIONARY_MAX 4096u /* entries; 12 bits a row is where a frame is as good */
#define COLUMN_CLASSES_MAX 64u      /* a table that stays in the first cache */
#define COLUMN_SAMPLE_MAX 4096u     /* values kept of what a writer is shown */

enum column_encoder {
	COLUMN_CONSTANT = 0,   /* base, no bits */
	COLUMN_FRAME = 1,      /* base + (number << shift) */
	COLUMN_DICTIONARY = 2, /* entries[number] */
	COLUMN_CLASSES = 3,    /* entries[number] + a payload of that class's width */
	COLUMN_PREFIX = 4,     /* the same, the number in a prefix code right before its payload */
};

/*
 * Finds the number of a value at once, where column__choose made the code: an entry is of one
 * value, or of all from a power of two up to the next. So it is the one of that value, which a hash
 * finds, or else that of its highest bit.
 */
struct column_finder {
	uint16_t powers[65]; /* by how many bits a value needs: the number + 1; 0: none */
	unsigned shift;      /* brings a hash down to a slot */
	uint64_t mask;       /* slots - 1 */
	struct {
		uint64_t value;
		uint16_t number; /* + 1; 0: empty */
	} slots[];
};

/* How the values of a column become bits. */
struct column_code {
	uint8_t encoder;     /* enum column_encoder */
	uint8_t width;       /* bits of each row's number; 0 for prefix codes */
	uint8_t shift;       /* of a frame: low bits in which all values are like the base */
	bool is_differences; /* the values are what each row's adds to that of the row before */
	uint8_t prefix_bits; /* of an index of the table of prefix codes */
	uint16_t count;      /* entries */
	uint64_t base;
	uint64_t *entries;      /* owned by column__code_done; NULL for constant and frame */
	uint8_t *entry_widths;  /* the same, of columns with payloads only */
	uint8_t *code_lengths;  /* the same, of prefix codes only */
	uint16_t *prefix_codes; /* likewise */
	uint32_t
	    *prefix_table; /* likewise: as prefix__table_new; or, where no entry has a payload, */
	uint64_t *prefix_several;     /* as prefix__several_new. To unpack only */
	struct column_finder *finder; /* likewise; NULL: numbers are searched for */
};

/* Whether values have bits behind those of all columns' numbers. */
static inline bool
column__has_payloads(const struct column_code *code)
{
	return code->encoder >= COLUMN_CLASSES;
}

/* The smallest and largest value of a column; smallest > largest when there was none. */
struct column_range {
	uint64_t smallest;
	uint64_t largest;
};
#define COLUMN_RANGE_NONE ((struct column_range){UINT64_MAX, 0})

/* Frees what a code of column__choose or column__section_decode owns. */
void column__code_done(struct column_code *code);

/* ---- Choosing ------------------------------------------------------------------------------- */

/* Values the writer was shown, thinned evenly when they are too many. */
struct column_sample {
	uint64_t *values; /* owned, COLUMN_SAMPLE_MAX of them once there is one */
	uint32_t count;
	uint32_t stride; /* every stride-th value shown is kept */
	uint64_t shown;
};

void column__sample_init(struct column_sample *sample);
void column__sample_done(struct column_sample *sample);
void column__sample_add(struct column_sample *sample, uint64_t value);

/*
 * The code that should need the fewest bits for so many values like these in blocks of about 64
 * rows, and for itself. The sample is sorted by this. Without values: constant 0. Where single rows
 * are looked up, a code that makes the reader walk the rows before must be shorter by half a bit a
 * row.
 */
void column__choose(
    struct column_sample *sample, uint64_t rows, bool is_looked_up, struct column_code *code_out);
/* Bytes of the columns section for each entry of the code. */
size_t column__entry_bytes(const struct column_code *code);

/* The entry of a code with payloads that stores `value`: the one with the nearest base, or `count`
 * when none has it. */
size_t column__class_of(const struct column_code *code, uint64_t value);

/* ---- Packing the values of one block -------------------------------------------------------- */

/* Many values will be packed with this code, which has entries and is column__choose's. */
void column__finder_add(struct column_code *code);

/* Bits of `count` values in this code, their payloads apart; false when one does not fit.
 * *numbers_out has room for as many, and is what packing wants: of dictionaries and classes the
 * entries that were found. */
bool column__measure(const struct column_code *code, const uint64_t *values, size_t count,
    struct column_range range, uint16_t *numbers_out, uint64_t *number_bits_out,
    uint64_t *payload_bits_out);

/* Write values that fit; those without payloads have none. */
void column__pack_numbers(const struct column_code *code, const uint64_t *values,
    const uint16_t *numbers, size_t count, struct bits_writer *writer);
void column__pack_payloads(const struct column_code *code, const uint64_t *values,
    const uint16_t *numbers, size_t count, struct bits_writer *writer);

/* The frame of exactly these values: what a block uses for a column of its own. */
struct column_code column__frame_of(struct column_range range);

/* ---- Unpacking ------------------------------------------------------------------------------ */

/* Reads all values. `bits_end` bounds the payloads. *payload_at moves behind this column's. False:
 * the bits are damaged (a number without an entry, payloads past the end). */
bool column__unpack(const struct column_code *code, const uint8_t *bits, uint64_t at, size_t count,
    uint64_t bits_end, uint64_t *payload_at, uint64_t *values_out);

/* Moves *payload_at behind a column with payloads, as unpacking it does. */
bool column__payloads_pass(const struct column_code *code, const uint8_t *bits, uint64_t at,
    size_t count, uint64_t bits_end, uint64_t *payload_at);

/* ---- The columns section -------------------------------------------------------------------- */

void column__section_encode(
    const struct column_code *code, struct column_range range, struct zp_buf *section);
/* Reads one column and moves *section behind it. NULL, or what is wrong with it. */
const char *column__section_decode(
    struct zp_slice *section, struct column_code *code_out, struct column_range *range_out);

#endif
