/*
 * column_prefix.c - see column_prefix.h.
 */
#include "engine/column_prefix.h"

#include <stdlib.h>

struct leaf {
	uint64_t weight;
	uint32_t number;
};

/* Light ones first; of equal ones the lower number, so that the order is one. */
static int
leaf_order(const void *a, const void *b)
{
	const struct leaf *left = a, *right = b;

	if (left->weight != right->weight)
		return left->weight < right->weight ? -1 : 1;
	return left->number < right->number ? -1 : 1;
}

/*
 * Joins the two lightest until one is left. The leaves are sorted and the joined ones come in order
 * too, so the lightest is at the front of either. Returns the longest length.
 */
static unsigned
lengths_unlimited(struct leaf *leaves, size_t count, uint8_t *lengths_out)
{
	uint64_t weights[PREFIX_NUMBERS_MAX];     /* of what was joined */
	uint32_t parents[2 * PREFIX_NUMBERS_MAX]; /* leaves, then what was joined; the last is the
						     root */
	unsigned depths[2 * PREFIX_NUMBERS_MAX];
	unsigned longest = 0;
	size_t leaf = 0, joined = 0;

	qsort(leaves, count, sizeof(*leaves), leaf_order);
	for (size_t next = 0; next + 1 < count; next++) {
		weights[next] = 0;
		for (size_t child = 0; child < 2; child++) {
			bool takes_leaf = leaf < count && (joined == next || leaves[leaf].weight <=
										 weights[joined]);
			size_t node = takes_leaf ? leaf : count + joined;

			weights[next] += takes_leaf ? leaves[leaf].weight : weights[joined];
			parents[node] = (uint32_t)(count + next);
			leaf += takes_leaf;
			joined += !takes_leaf;
		}
	}
	depths[2 * count - 2] = 0;
	for (size_t node = 2 * count - 2; node-- > 0;)
		depths[node] = depths[parents[node]] + 1;
	for (size_t i = 0; i < count; i++) {
		lengths_out[leaves[i].number] = (uint8_t)depths[i];
		longest = depths[i] > longest ? depths[i] : longest;
	}
	return longest;
}

void
prefix__lengths(const uint32_t *weights, size_t count, uint8_t *lengths_out)
{
	struct leaf leaves[PREFIX_NUMBERS_MAX];

	ZP_ASSERT(count >= 2 && count <= PREFIX_NUMBERS_MAX);
	/* Weights that are nearer to each other give shorter longest codes. */
	for (unsigned shift = 0;; shift++) {
		for (size_t i = 0; i < count; i++)
			leaves[i] = (struct leaf){(weights[i] >> shift) + 1, (uint32_t)i};
		if (lengths_unlimited(leaves, count, lengths_out) <= PREFIX_BITS_MAX)
			return;
	}
}

bool
prefix__is_complete(const uint8_t *lengths, size_t count)
{
	uint64_t taken = 0;

	for (size_t i = 0; i < count; i++) {
		if (lengths[i] == 0 || lengths[i] > PREFIX_BITS_MAX)
			return false;
		taken += UINT64_C(1) << (PREFIX_BITS_MAX - lengths[i]);
	}
	return taken == UINT64_C(1) << PREFIX_BITS_MAX;
}

void
prefix__codes(const uint8_t *lengths, size_t count, uint16_t *codes_out)
{
	unsigned code = 0;

	for (unsigned length = 1; length <= PREFIX_BITS_MAX; length++, code <<= 1) {
		for (size_t i = 0; i < count; i++) {
			unsigned reversed = 0;

			if (lengths[i] != length)
				continue;
			for (unsigned bit = 0; bit < length; bit++)
				reversed |= (code >> bit & 1) << (length - 1 - bit);
			codes_out[i] = (uint16_t)reversed;
			code++;
		}
	}
}

uint32_t *
prefix__table_new(const uint8_t *lengths, const uint8_t *widths, size_t count, uint8_t *bits_out)
{
	uint16_t codes[PREFIX_NUMBERS_MAX];
	uint32_t *table;
	uint8_t bits = 0;

	for (size_t i = 0; i < count; i++)
		bits = lengths[i] > bits ? lengths[i] : bits;
	table = zp_alloc(((size_t)1 << bits) * sizeof(*table));
	prefix__codes(lengths, count, codes);
	for (size_t i = 0; i < count; i++) {
		for (size_t at = codes[i]; at < (size_t)1 << bits; at += (size_t)1 << lengths[i])
			table[at] =
			    (uint32_t)i | (uint32_t)lengths[i] << 8 | (uint32_t)widths[i] << 16;
	}
	*bits_out = bits;
	return table;
}

uint64_t *
prefix__several_new(const uint8_t *lengths, size_t count, uint8_t *bits_out)
{
	static const uint8_t no_widths[PREFIX_NUMBERS_MAX];
	uint8_t longest, bits;
	uint32_t *single = prefix__table_new(lengths, no_widths, count, &longest);
	uint64_t *table;

	bits = longest > PREFIX_SEVERAL_BITS ? longest : (uint8_t)PREFIX_SEVERAL_BITS;
	table = zp_alloc(((size_t)1 << bits) * sizeof(*table));
	for (size_t at = 0; at < (size_t)1 << bits; at++) {
		uint64_t found = 0, used = 0;
		unsigned codes = 0;

		while (codes < PREFIX_SEVERAL) {
			uint32_t next = single[at >> used & (((size_t)1 << longest) - 1)];

			if (used + (next >> 8) > bits)
				break;
			used += next >> 8;
			found |= (uint64_t)(next & 255) << (16 + 8 * codes++);
		}
		table[at] = found | used | codes << 8;
	}
	zp_free(single);
	*bits_out = bits;
	return table;
}
