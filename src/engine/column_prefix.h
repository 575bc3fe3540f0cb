/*
 * column_prefix.h - prefix codes: frequent numbers in few bits, rare ones in more.
 *
 * Flow:   a column of encoder COLUMN_PREFIX stores its entry numbers so; private to engine/. Pure.
 * Source: D. Huffman, "A Method for the Construction of Minimum-Redundancy Codes", 1952; canonical
 * codes with their bits reversed, as in RFC 1951 section 3.2.2. Format: docs/formats.md, "Columns".
 */
#ifndef ZP_ENGINE_COLUMN_PREFIX_H
#define ZP_ENGINE_COLUMN_PREFIX_H

#include "base/base.h"

#define PREFIX_NUMBERS_MAX 256u
#define PREFIX_BITS_MAX 10u /* of the longest code: a table of 4 KiB decodes it in one step */
#define PREFIX_SEVERAL 6u   /* codes that prefix__several_new finds in one step */
#define PREFIX_SEVERAL_BITS 8u

/* The lengths that cost least for these weights (0 counts as 1), none above PREFIX_BITS_MAX.
 * `count` is 2 to PREFIX_NUMBERS_MAX. The same weights give the same lengths. */
void prefix__lengths(const uint32_t *weights, size_t count, uint8_t *lengths_out);

/* Whether the codes of these lengths are all that there are: each string of bits begins with
 * exactly one. */
bool prefix__is_complete(const uint8_t *lengths, size_t count);

/* The codes of complete lengths, first bit lowest. */
void prefix__codes(const uint8_t *lengths, size_t count, uint16_t *codes_out);

/* What reading goes by: the next *bits_out bits are the index of number | length << 8 | width <<
 * 16, where the width is the number's. The caller frees it. */
uint32_t *prefix__table_new(
    const uint8_t *lengths, const uint8_t *widths, size_t count, uint8_t *bits_out);

/* The same where there is nothing between the codes: the next *bits_out bits (PREFIX_SEVERAL_BITS,
 * or those of the longest code) are the index of the bits of the codes that they have whole, up to
 * PREFIX_SEVERAL, | how many << 8 | their numbers << 16, 24 …. */
uint64_t *prefix__several_new(const uint8_t *lengths, size_t count, uint8_t *bits_out);

#endif
