/*
 * test_texts_cache.c - the cache of unpacked texts: right answers, in its limit, from any thread.
 *
 * Method: blocks whose bytes follow from their place, so that a mixed-up one is seen; and a segment
 * in memory whose reads are counted and whose bytes are damaged behind the cache's back.
 */
#include "engine/texts_cache.h"
#include "segment_testing.h"

#include <pthread.h>

#define ROWS 3000u
#define MISSES_MANY 16u /* after so many misses a block is surely kept */

static void
block_fill(const struct texts_cache_place *place, uint8_t *block)
{
	for (uint32_t i = 0; i < place->length; i++)
		block[i] = (uint8_t)(place->serial * 31 + place->offset * 7 + i);
}

/* As segment_get.c does; whether it was a hit, whose bytes are asserted. */
static bool
block_ask(struct zp_texts_cache *cache, const struct texts_cache_place *place)
{
	ZP_AUTO_BUF(to, TEXTS_BLOCK_MAX);
	uint8_t block[4096];
	uint64_t begin = place->length / 3, length = place->length - begin;
	enum texts_cache_answer answer = texts_cache__get(cache, place, begin, length, &to);

	block_fill(place, block);
	if (answer == TEXTS_CACHE_HIT) {
		assert_int_equal(to.length, length);
		assert_memory_equal(to.data, block + begin, length);
	}
	if (answer == TEXTS_CACHE_WANTED)
		texts_cache__keep(cache, place, block);
	return answer == TEXTS_CACHE_HIT;
}

/* Once is not enough; another serial, offset or length is another block. */
static void
what_is_asked_often_is_kept(void **state)
{
	struct zp_texts_cache *cache = zp_texts_cache_new(1u << 20);
	struct texts_cache_place place = {.serial = 7, .offset = 4096, .length = 1500};
	struct texts_cache_place other = place;

	(void)state;
	assert_false(block_ask(cache, &place));
	assert_false(block_ask(cache, &place));
	assert_int_equal(zp_texts_cache_bytes(cache), 0);
	for (size_t i = 0; i < MISSES_MANY; i++)
		(void)block_ask(cache, &place);
	assert_true(block_ask(cache, &place));
	assert_in_range(zp_texts_cache_bytes(cache), 1500, 1700);
	other.serial = 8;
	assert_false(block_ask(cache, &other));
	other = place;
	other.offset = 4097;
	assert_false(block_ask(cache, &other));
	other = place;
	other.length = 1501;
	assert_false(block_ask(cache, &other));
	assert_true(block_ask(cache, &place));
	assert_int_equal(texts_cache__get(NULL, &place, 0, 1, NULL), TEXTS_CACHE_MISS);
	zp_texts_cache_free(cache);
}

/* Ten times what fits: never over the limit, and what is asked for all the time stays. */
static void
the_limit_holds(void **state)
{
	const uint64_t limit = 256u << 10;
	struct zp_texts_cache *cache = zp_texts_cache_new(limit);
	struct texts_cache_place hot = {.serial = 1, .offset = 1, .length = 1000};
	size_t hits = 0, asked = 0;

	(void)state;
	for (uint64_t round = 0; round < 8; round++) {
		for (uint64_t i = 0; i < 2000; i++) {
			struct texts_cache_place place = {
			    .serial = 2, .offset = i * 1300, .length = 1200 + (uint32_t)i % 300};

			(void)block_ask(cache, &place);
			assert_true(zp_texts_cache_bytes(cache) <= limit);
			if (round >= 2) {
				hits += block_ask(cache, &hot);
				asked++;
			}
		}
	}
	assert_true(zp_texts_cache_bytes(cache) > limit / 2);
	assert_true(hits > asked - 100);
	zp_texts_cache_free(cache);
}

/* More than any part begins with room for: all of it is found, and nothing is there twice. */
static void
all_that_fits_is_kept(void **state)
{
	struct zp_texts_cache *cache = zp_texts_cache_new(8u << 20);
	uint64_t bytes = 0;

	(void)state;
	for (size_t round = 0; round <= MISSES_MANY; round++) {
		bytes = 0;
		for (uint64_t i = 0; i < 3000; i++) {
			struct texts_cache_place place = {.serial = 1 + i % 5,
			    .offset = i * 1300,
			    .length = 900 + (uint32_t)i % 300};
			bool was_hit = block_ask(cache, &place);

			if (round == MISSES_MANY)
				assert_true(was_hit);
			bytes += place.length;
		}
	}
	assert_in_range(zp_texts_cache_bytes(cache), bytes, bytes + 3000 * 100);
	zp_texts_cache_free(cache);
}

/* What is larger than its part is let be. */
static void
a_block_too_large_is_not_kept(void **state)
{
	struct zp_texts_cache *cache = zp_texts_cache_new(16 * 1024);
	struct texts_cache_place place = {.serial = 1, .offset = 1, .length = 2000};

	(void)state;
	for (size_t i = 0; i < MISSES_MANY; i++)
		assert_false(block_ask(cache, &place));
	assert_int_equal(zp_texts_cache_bytes(cache), 0);
	zp_texts_cache_free(cache);
}

static void *
asker(void *context)
{
	struct zp_texts_cache *cache = context;
	uint64_t seed = (uint64_t)(uintptr_t)&seed;

	for (size_t i = 0; i < 40000; i++) {
		uint64_t number = random_next(&seed) % 200;
		struct texts_cache_place place = {.serial = 1 + number % 3,
		    .offset = number * 900,
		    .length = 800 + (uint32_t)number};

		(void)block_ask(cache, &place);
	}
	return NULL;
}

static void
threads_share_it(void **state)
{
	struct zp_texts_cache *cache = zp_texts_cache_new(64u << 10); /* a third of what is asked */
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, asker, cache), 0);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(threads); i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_in_range(zp_texts_cache_bytes(cache), 1, 64u << 10);
	zp_texts_cache_free(cache);
}

/* ---- In a segment --------------------------------------------------------------------------- */

static struct rows *
rows_named(void)
{
	struct rows *rows = rows_new(ROWS);
	uint64_t seed = 5;

	for (size_t i = 0; i < ROWS; i++) {
		char name[32];

		random_digest(&seed, rows->rows[i].key.digest);
		row_facts(&rows->rows[i], &seed);
		snprintf(name, sizeof(name), "pin-%010zu", i);
		row_name(rows, i, name, strlen(name));
	}
	rows_sort(rows);
	return rows;
}

/* Each of every 40th row with a scratch of its own; how many could not be read. */
static size_t
gets(const struct rows *rows, struct segment *segment)
{
	size_t lost = 0;

	for (size_t i = 0; i < rows->count; i += 40) {
		struct segment_scratch scratch;
		struct segment_row row;
		int rc;

		segment__scratch_init(&scratch);
		rc = segment__get(segment, &rows->rows[i].key, &scratch, &row, NULL);
		if (rc == 0)
			row_assert_equal(&row, &rows->rows[i]);
		else
			assert_int_equal(rc, ZP_E_CORRUPT);
		lost += rc != 0;
		segment__scratch_done(&scratch);
	}
	return lost;
}

static void
faults_count(void *context, const char *what)
{
	(void)what;
	++*(size_t *)context;
}

/*
 * A get of a cached row reads the block and not its texts. Damage of the texts on disk is found by
 * verify while the cache has them, and by every get once the file is opened anew.
 */
static void
a_cached_block_ends_with_its_file(void **state)
{
	struct zp_texts_cache *cache = zp_texts_cache_new(4u << 20);
	struct rows *rows = rows_named();
	struct segment_plan plan = plan_of(rows);
	struct memory_store store;
	struct segment_info info;
	struct segment *segment;
	struct memory_file *file;
	char name[ZP_FILE_NAME_MAX];
	size_t faults = 0, asked = (rows->count + 39) / 40;
	uint64_t reads;

	(void)state;
	memory_store_init(&store);
	segment = rows_write(&store, rows, &plan, &info);
	segment__name_format(&info.name, name);
	file = memory_store_find(&store, name);
	segment__caches_set(segment, cache, NULL);
	assert_int_equal(segment__index_load(segment, NULL), 0);
	reads = store.reads;
	assert_int_equal(gets(rows, segment), 0);
	assert_int_equal(store.reads - reads, 2 * asked);
	for (size_t i = 0; i < MISSES_MANY; i++)
		assert_int_equal(gets(rows, segment), 0);
	reads = store.reads;
	assert_int_equal(gets(rows, segment), 0);
	assert_int_equal(store.reads - reads, asked);

	/* The first texts block, which stands right behind the header. */
	file->bytes.data[SEGMENT_HEADER_BYTES + 9] ^= 1;
	assert_int_equal(gets(rows, segment), 0);
	assert_int_equal(segment__verify(segment,
			     &(struct zp_check){.damage = faults_count, .context = &faults}, NULL),
	    ZP_E_CORRUPT);
	assert_true(faults > 0);
	segment__release(segment);

	assert_int_equal(segment__open(&store.base, &info.name, NULL, &segment, NULL), 0);
	segment__caches_set(segment, cache, NULL);
	for (size_t i = 0; i < MISSES_MANY; i++)
		assert_true(gets(rows, segment) > 0);
	segment__release(segment);
	zp_texts_cache_free(cache);
	memory_store_done(&store);
	rows_free(rows);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_asked_often_is_kept),
	    cmocka_unit_test(the_limit_holds),
	    cmocka_unit_test(all_that_fits_is_kept),
	    cmocka_unit_test(a_block_too_large_is_not_kept),
	    cmocka_unit_test(threads_share_it),
	    cmocka_unit_test(a_cached_block_ends_with_its_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
