/*
 * test_segment.c - what is written into a segment comes out of it: by get, by scan, by seek.
 */
#include "segment_testing.h"

/* How the digests of a set are made. */
enum shape {
	SHAPE_RANDOM,
	SHAPE_ONE_BUCKET, /* the first 40 bits equal */
	SHAPE_ONE_DIGEST, /* only the rest of the key differs */
	SHAPE_ARITHMETIC, /* the digest is a number that rises by a step */
	SHAPE_FEW_HOT,	  /* a tenth of the rows share 3 digests */
};

static struct rows *
rows_of(size_t count, enum shape shape, unsigned prefix_bits, uint64_t seed)
{
	struct rows *rows = rows_new(count);
	uint64_t state = seed;

	for (size_t i = 0; i < count; i++) {
		struct segment_row *row = &rows->rows[i];
		uint64_t head;

		random_digest(&state, row->key.digest);
		row_facts(row, &state);
		if (shape == SHAPE_ONE_BUCKET)
			memset(row->key.digest, 0x5a, 5);
		if (shape == SHAPE_ONE_DIGEST || (shape == SHAPE_FEW_HOT && i % 10 == 0)) {
			memset(row->key.digest, shape == SHAPE_FEW_HOT ? (int)(i % 3) * 50 : 9, 32);
			row->key.codec = random_next(&state) % 50;
			row->key.claim = random_next(&state) % 3 == 0 ? 0 : i;
			row->key.namespace_id = (uint32_t)(random_next(&state) % 7);
		}
		if (shape == SHAPE_ARITHMETIC) {
			memset(row->key.digest, 0, 32);
			zp_store_u64be(row->key.digest + 3, i * 0x10001);
		}
		head = zp_load_u64be(row->key.digest);
		head = (head & bits_mask(64 - prefix_bits)) |
		       (UINT64_C(0xabcdef0123456789) & ~bits_mask(64 - prefix_bits));
		zp_store_u64be(row->key.digest, head);
	}
	rows_sort(rows);
	return rows;
}

static void
round_trip(struct rows *rows, unsigned prefix_bits)
{
	struct segment_plan plan = plan_of(rows);
	struct memory_store store;
	struct segment *segment;

	memory_store_init(&store);
	plan.prefix_bits = (uint8_t)prefix_bits;
	segment = rows_write(&store, rows, &plan, NULL);
	rows_assert_in(rows, segment);
	segment__release(segment);
	memory_store_done(&store);
	rows_free(rows);
}

/* Every number of rows around the sizes of slots, blocks, groups. */
static void
sets_of_any_size_come_back(void **state)
{
	const size_t sizes[] = {1, 2, 63, 64, 65, 89, 90, 91, 255, 256, 257, 1000, 1440, 100000};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(sizes); i++)
		round_trip(rows_of(sizes[i], SHAPE_RANDOM, 0, i), 0);
}

/* Bits that all keys share are not stored; keys with other bits are not found. */
static void
shared_prefixes_are_implied(void **state)
{
	const unsigned prefixes[] = {1, 4, 13, 40, 50, 58};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(prefixes); i++)
		round_trip(rows_of(5000, SHAPE_RANDOM, prefixes[i], i), prefixes[i]);
}

/* Keys that are far from uniform are slower, never wrong. */
static void
skewed_sets_come_back(void **state)
{
	const enum shape shapes[] = {SHAPE_ONE_BUCKET, SHAPE_ONE_DIGEST, SHAPE_ARITHMETIC,
	    SHAPE_FEW_HOT};
	const size_t sizes[] = {2, 255, 256, 300, 10000};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(shapes); i++) {
		for (size_t j = 0; j < ZP_ARRAY_COUNT(sizes); j++)
			round_trip(rows_of(sizes[j], shapes[i], 0, i), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sets_of_any_size_come_back),
	    cmocka_unit_test(shared_prefixes_are_implied),
	    cmocka_unit_test(skewed_sets_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
