/*
 * segment_bits.c - the one operation on bits that has a fast form for some processors.
 *
 * Flow: bits.h. AMD's processors before Zen 3 have pdep as microcode, which takes 50 ns; there the
 * plain form is the fast one.
 */
#include "engine/bits.h"

/* The bytes that come before the one with the bit are those whose sum of 1s, of all up to them, is
 * not above the rank: Vigna, "Broadword implementation of rank/select queries", 2008. */
unsigned
bits__select_plain(uint64_t word, unsigned rank)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
	uint64_t sums = word - (word >> 1 & UINT64_C(0x5555555555555555)), reached;
	unsigned place;

	sums = (sums & UINT64_C(0x3333333333333333)) + (sums >> 2 & UINT64_C(0x3333333333333333));
	sums = ((sums + (sums >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f)) * ones;
	reached = (((rank * ones) | highs) - sums) & highs;
	place = (unsigned)((reached >> 7) * ones >> 56) * 8;
	rank -= (unsigned)(sums << 8 >> place & 255);
	word = word >> place & 255;
	while (rank-- > 0)
		word &= word - 1;
	return place + (unsigned)__builtin_ctzll(word);
}

#if defined(__x86_64__)
#include <immintrin.h>

/* pdep puts the one bit where the word's set bit of that rank is. */
__attribute__((target("bmi,bmi2"))) static unsigned
select_pdep(uint64_t word, unsigned rank)
{
	return (unsigned)__builtin_ctzll(_pdep_u64(UINT64_C(1) << rank, word));
}

static bool
pdep_is_fast(void)
{
	return __builtin_cpu_supports("bmi2") && !__builtin_cpu_is("znver1") &&
	       !__builtin_cpu_is("znver2") && !__builtin_cpu_is("bdver4");
}

unsigned
bits__select(uint64_t word, unsigned rank)
{
	return pdep_is_fast() ? select_pdep(word, rank) : bits__select_plain(word, rank);
}
#else
unsigned
bits__select(uint64_t word, unsigned rank)
{
	return bits__select_plain(word, rank);
}
#endif
