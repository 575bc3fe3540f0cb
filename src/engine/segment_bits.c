/*
 * segment_bits.c - the one operation on bits that has a fast form for some processors.
 *
 * Flow: bits.h.
 */
#include "engine/bits.h"

unsigned
bits__select_plain(uint64_t word, unsigned rank)
{
	while (rank-- > 0)
		word &= word - 1;
	return (unsigned)__builtin_ctzll(word);
}

#if defined(__x86_64__)
#include <immintrin.h>

/* pdep puts the one bit where the word's set bit of that rank is. */
__attribute__((target("bmi,bmi2"))) static unsigned
select_pdep(uint64_t word, unsigned rank)
{
	return (unsigned)__builtin_ctzll(_pdep_u64(UINT64_C(1) << rank, word));
}

unsigned
bits__select(uint64_t word, unsigned rank)
{
	return __builtin_cpu_supports("bmi2") ? select_pdep(word, rank)
					      : bits__select_plain(word, rank);
}
#else
unsigned
bits__select(uint64_t word, unsigned rank)
{
	return bits__select_plain(word, rank);
}
#endif
