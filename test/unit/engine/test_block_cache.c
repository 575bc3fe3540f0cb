/*
 * test_block_cache.c - the cache of blocks: right bytes, in its limit, from any thread.
 *
 * Method: blocks whose bytes follow from their place, so that one that is moved, mixed up or
 * written over while it is looked at is seen; and a segment whose reads are counted.
 */
#include "engine/block_cache.h"
#include "segment_testing.h"

#include <pthread.h>

#define CONTENT_BYTES 1000u
#define CONTENT_BYTES_MAX (CONTENT_BYTES + 700u)
#define THREADS 4u
#define VISITS_SOME 20u

static uint32_t
bytes_of(uint64_t number)
{
	return (uint32_t)(CONTENT_BYTES + number % 700);
}

static uint8_t
byte_of(uint64_t serial, uint64_t number, uint32_t at)
{
	return (uint8_t)(serial * 37 + number * 11 + at * 3);
}

static void
block_keep(struct zp_block_cache *cache, uint64_t serial, uint64_t number)
{
	struct block_cache_entry *entry = zp_alloc_zero(1, sizeof(*entry) + CONTENT_BYTES_MAX);

	entry->serial = serial;
	entry->number = number;
	entry->bytes = bytes_of(number);
	for (uint32_t i = 0; i < entry->bytes; i++)
		entry->content[i] = byte_of(serial, number, i);
	block_cache__keep(cache, entry);
	zp_free(entry);
}

/* Whether everything in the entry is of that block. */
static bool
is_whole(const struct block_cache_entry *entry, uint64_t serial, uint64_t number)
{
	bool whole =
	    entry->serial == serial && entry->number == number && entry->bytes == bytes_of(number);

	for (uint32_t i = 0; whole && i < entry->bytes; i++)
		whole = entry->content[i] == byte_of(serial, number, i);
	return whole;
}

static bool
block_find(struct zp_block_cache *cache, uint64_t serial, uint64_t number)
{
	struct block_cache_visit *visit = block_cache__enter(cache);
	const struct block_cache_entry *entry = block_cache__find(cache, serial, number);

	if (entry != NULL)
		assert_true(is_whole(entry, serial, number));
	block_cache__leave(visit);
	return entry != NULL;
}

static void
what_is_kept_is_found(void **state)
{
	struct zp_block_cache *cache = zp_block_cache_new(1u << 20);

	(void)state;
	assert_false(block_find(cache, 1, 5));
	block_keep(cache, 1, 5);
	block_keep(cache, 1, 5);
	assert_true(block_find(cache, 1, 5));
	assert_in_range(zp_block_cache_bytes(cache), 1000, 1400);
	assert_false(block_find(cache, 2, 5));
	assert_false(block_find(cache, 1, 6));
	assert_false(block_find(NULL, 1, 5));
	block_keep(NULL, 1, 5);
	zp_block_cache_free(cache);
}

/* Ten times what fits: never over the limit, and what is asked for all the time stays. */
static void
the_limit_holds_and_the_asked_for_stays(void **state)
{
	const uint64_t limit = 256u << 10;
	struct zp_block_cache *cache = zp_block_cache_new(limit);
	size_t hot = 0, recent = 0;

	(void)state;
	block_keep(cache, 9, 0);
	for (uint64_t i = 1; i < 2000; i++) {
		hot += block_find(cache, 9, 0);
		block_keep(cache, 1, i);
		recent += block_find(cache, 1, i);
		assert_true(zp_block_cache_bytes(cache) <= limit + 64);
	}
	assert_true(zp_block_cache_bytes(cache) > limit / 2);
	assert_int_equal(hot, 1999);
	assert_true(recent > 1990);
	assert_false(block_find(cache, 1, 1));
	zp_block_cache_free(cache);
}

/* Its bytes stay as they are while the rest of the cache would be turned over many times, also when
 * other visits come and go. Then they go. */
static void
what_a_visit_found_stays(void **state)
{
	struct zp_block_cache *cache = zp_block_cache_new(64u << 10);
	const struct block_cache_entry *entry;
	struct block_cache_visit *visit;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		block_keep(cache, 2, i);
	block_keep(cache, 3, 7);
	visit = block_cache__enter(cache);
	entry = block_cache__find(cache, 3, 7);
	assert_non_null(entry);
	for (uint64_t i = 0; i < 1000; i++) {
		block_keep(cache, 4, i);
		block_find(cache, 4, i);
		assert_true(is_whole(entry, 3, 7));
	}
	block_cache__leave(visit);
	for (uint64_t i = 0; i < 1000; i++)
		block_keep(cache, 4, i);
	assert_true(block_find(cache, 4, 999));
	assert_false(block_find(cache, 3, 7));
	zp_block_cache_free(cache);
}

/* Visits of several times: what the oldest may look at stays. */
static void
the_oldest_visit_counts(void **state)
{
	struct zp_block_cache *cache = zp_block_cache_new(64u << 10);
	const struct block_cache_entry *entries[VISITS_SOME];
	struct block_cache_visit *visits[VISITS_SOME];

	(void)state;
	for (uint64_t i = 0; i < VISITS_SOME; i++) {
		block_keep(cache, 3, i);
		visits[i] = block_cache__enter(cache);
		entries[i] = block_cache__find(cache, 3, i);
	}
	for (uint64_t left = 0; left < VISITS_SOME; left++) {
		for (uint64_t i = 0; i < 100; i++)
			block_keep(cache, 4, 100 * left + i);
		for (uint64_t i = left; i < VISITS_SOME; i++)
			assert_true(entries[i] == NULL || is_whole(entries[i], 3, i));
		block_cache__leave(visits[left]);
	}
	zp_block_cache_free(cache);
}

/* One that is larger than half of the ring is not kept, and does no harm. */
static void
too_large_a_block(void **state)
{
	struct zp_block_cache *cache = zp_block_cache_new(1500);

	(void)state;
	block_keep(cache, 1, 1);
	assert_false(block_find(cache, 1, 1));
	zp_block_cache_free(cache);
}

/* More than the system has addresses for: there is no cache, and all calls take that. */
static void
no_room_is_no_cache(void **state)
{
	struct zp_block_cache *cache = zp_block_cache_new(UINT64_C(1) << 50);

	(void)state;
	assert_null(cache);
	block_keep(cache, 1, 1);
	assert_false(block_find(cache, 1, 1));
	assert_int_equal(zp_block_cache_bytes(cache), 0);
	zp_block_cache_free(cache);
}

struct turn {
	struct zp_block_cache *cache;
	uint64_t seed;
	bool is_whole;
	uint64_t hits;
};

static void *
turn_over(void *context)
{
	struct turn *turn = context;

	for (size_t i = 0; i < 20000; i++) {
		uint64_t number = random_next(&turn->seed) % 200;
		struct block_cache_visit *visit = block_cache__enter(turn->cache);
		const struct block_cache_entry *entry = block_cache__find(turn->cache, 1, number);
		bool is_there = entry != NULL;

		turn->hits += is_there;
		turn->is_whole = turn->is_whole && (!is_there || is_whole(entry, 1, number));
		block_cache__leave(visit);
		if (!is_there)
			block_keep(turn->cache, 1, number);
	}
	return NULL;
}

/* Each block of a segment can be kept, those that share a set too; a candidate is the one in most
 * cases, and another block or none in the rest. */
static void
neighbours_are_found(void **state)
{
	struct zp_block_cache *cache = zp_block_cache_new(8u << 20);
	uint64_t right = 0;

	(void)state;
	for (uint64_t i = 0; i < 2000; i++)
		block_keep(cache, 1 + i % 3, i);
	for (uint64_t i = 0; i < 2000; i++) {
		struct block_cache_visit *visit = block_cache__enter(cache);
		const struct block_cache_entry *entry = block_cache__candidate(cache, 1 + i % 3, i);

		assert_true(block_find(cache, 1 + i % 3, i));
		assert_non_null(entry);
		right += block_cache__is(entry, 1 + i % 3, i);
		block_cache__leave(visit);
	}
	assert_in_range(right, 1900, 2000);
	zp_block_cache_free(cache);
}

static void
threads_find_whole_blocks(void **state)
{
	struct zp_block_cache *cache = zp_block_cache_new(128u << 10);
	struct turn turns[THREADS];
	pthread_t threads[THREADS];

	(void)state;
	for (size_t i = 0; i < THREADS; i++) {
		turns[i] = (struct turn){.cache = cache, .seed = i + 1, .is_whole = true};
		assert_int_equal(pthread_create(&threads[i], NULL, turn_over, &turns[i]), 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(turns[i].is_whole);
		assert_true(turns[i].hits > 0);
	}
	zp_block_cache_free(cache);
}

/* While there is room every block is wanted; then those that were asked for lately. */
static void
a_full_cache_wants_what_is_asked_for_again(void **state)
{
	struct zp_block_cache *cache = zp_block_cache_new(256u << 10);
	uint64_t number = 0;

	(void)state;
	assert_true(block_cache__wants(NULL, 1, 0));
	for (; block_cache__wants(cache, 1, number); number++)
		block_keep(cache, 1, number);
	assert_true(number > 50);
	assert_true(block_cache__wants(cache, 1, number));
	for (uint64_t other = 10000; other < 10020; other++) {
		assert_false(block_cache__wants(cache, 1, other));
		assert_false(block_cache__wants(cache, 2, other));
		assert_true(block_cache__wants(cache, 1, other));
	}
	zp_block_cache_free(cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_kept_is_found),
	    cmocka_unit_test(the_limit_holds_and_the_asked_for_stays),
	    cmocka_unit_test(what_a_visit_found_stays),
	    cmocka_unit_test(the_oldest_visit_counts),
	    cmocka_unit_test(too_large_a_block),
	    cmocka_unit_test(no_room_is_no_cache),
	    cmocka_unit_test(neighbours_are_found),
	    cmocka_unit_test(a_full_cache_wants_what_is_asked_for_again),
	    cmocka_unit_test(threads_find_whole_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
