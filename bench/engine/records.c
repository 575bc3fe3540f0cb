/*
 * records.c - pins as a pinning service has them, made of their number alone.
 *
 * The mix of sizes and codes is an assumption (docs/benchmarks.md says which); the keys are
 * uniform, as digests are.
 */
#include "engine/bench.h"

#include <string.h>

#define CREATED_FIRST 1700000000u
#define CREATED_SPAN (2u * 365 * 86400)
#define ABSENT (UINT64_C(1) << 61)

static bool keys_only;

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
static uint64_t
mix(uint64_t value)
{
	value += UINT64_C(0x9e3779b97f4a7c15);
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

static void
key_make(uint64_t number, uint8_t key_out[BENCH_KEY_BYTES])
{
	for (size_t i = 0; i < BENCH_KEY_BYTES / 8; i++) {
		uint64_t word = mix(number * 4 + i);

		memcpy(key_out + 8 * i, &word, 8);
	}
}

static uint64_t
size_make(uint64_t random)
{
	unsigned percent = (unsigned)(random % 100), bits = 4 + (unsigned)(random / 100 % 27);

	if (percent < 45)
		return 262144;
	if (percent < 60)
		return 1048576;
	if (percent < 70)
		return 1000 + 37 * (random / 100 % 100);
	return (UINT64_C(1) << bits) | (random >> 32 & ((UINT64_C(1) << bits) - 1));
}

/* The number of the first step that is above. */
static uint8_t
choose(uint64_t random, const uint8_t *steps)
{
	uint8_t percent = (uint8_t)(random % 100), at = 0;

	while (percent >= steps[at])
		at++;
	return at;
}

void
bench_record_make(uint64_t number, uint64_t count, struct bench_record *record_out)
{
	uint64_t random = mix(~number);

	key_make(number, record_out->key);
	if (keys_only) {
		memset((uint8_t *)record_out + BENCH_KEY_BYTES, 0,
		    sizeof(*record_out) - BENCH_KEY_BYTES);
		record_out->created = CREATED_FIRST;
		record_out->version = 1;
		return;
	}
	record_out->size = size_make(random);
	record_out->created =
	    CREATED_FIRST + (uint32_t)((unsigned __int128)number * CREATED_SPAN / count);
	random = mix(random);
	record_out->list = (uint32_t)(random & random >> 7 & 127);
	record_out->list += record_out->list == 0;
	record_out->codec = choose(random >> 14 & 0xffff, (const uint8_t[]){60, 95, 99, 100});
	record_out->mode = choose(random >> 30 & 0xffff, (const uint8_t[]){78, 90, 100});
	record_out->version = choose(random >> 40 & 0xffff, (const uint8_t[]){10, 100});
	record_out->tier = choose(random >> 48, (const uint8_t[]){70, 90, 98, 100});
}

void
bench_records_keys_only(void)
{
	keys_only = true;
}

void
bench_record_make_absent(uint64_t number, struct bench_record *record_out)
{
	bench_record_make(number + ABSENT, 2 * ABSENT, record_out);
}

void
bench_value_encode(const struct bench_record *record, uint8_t bytes_out[BENCH_VALUE_BYTES])
{
	memset(bytes_out, 0, BENCH_VALUE_BYTES);
	memcpy(bytes_out, &record->size, 8);
	memcpy(bytes_out + 8, &record->created, 4);
	memcpy(bytes_out + 12, &record->list, 4);
	bytes_out[16] = record->codec;
	bytes_out[17] = record->mode;
	bytes_out[18] = record->version;
	bytes_out[19] = record->tier;
}

uint64_t
bench_random_below(uint64_t step, uint64_t bound)
{
	return (uint64_t)((unsigned __int128)mix(step ^ UINT64_C(0x5bf03635)) * bound >> 64);
}
