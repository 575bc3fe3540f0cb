/*
 * test_filter.c - the filter never denies a key it was given, and seldom admits another.
 */
#include "segment_testing.h"

#define KEYS 20000u

static void
key_of(uint64_t number, uint8_t key[ZP_KEY_BYTES])
{
	memset(key, 0, ZP_KEY_BYTES);
	zp_store_u64be(key + 24, number);
}

/* At most 2 % of keys that are not there are admitted, none that is there is denied; the same after
 * the section was written and read. */
static void
denies_no_key_and_admits_few_others(void **state)
{
	struct filter filter, read = {0};
	struct zp_slice section;
	uint8_t key[ZP_KEY_BYTES];
	uint64_t admitted = 0;

	(void)state;
	filter__init(&filter, KEYS, 99);
	for (uint64_t i = 0; i < KEYS; i++) {
		key_of(i, key);
		filter__add(&filter, key);
	}
	section = filter__section(&filter);
	memcpy(filter__section_room(&read, section.length), section.data, section.length);
	assert_null(filter__section_adopt(&read, section.length, 99));
	for (uint64_t i = 0; i < 11 * (uint64_t)KEYS; i++) {
		bool answer;

		key_of(i, key);
		answer = filter__may_contain(&read, key);
		assert_int_equal(answer, filter__may_contain(&filter, key));
		if (i < KEYS)
			assert_true(answer);
		else
			admitted += answer;
	}
	print_message("false positives: %.2f %%\n", (double)admitted * 100 / (10.0 * KEYS));
	assert_true(admitted * 50 <= 10 * (uint64_t)KEYS);
	assert_true(section.length * 8 <= 11 * (uint64_t)KEYS);
	filter__done(&filter);
	filter__done(&read);
}

/* A filter for a set of any size, none included, has at least one block and works. */
static void
small_filters_work(void **state)
{
	(void)state;
	for (uint64_t keys = 0; keys < 200; keys++) {
		struct filter filter;
		uint8_t key[ZP_KEY_BYTES];

		filter__init(&filter, keys, keys);
		key_of(keys, key);
		assert_false(filter__may_contain(&filter, key));
		filter__add(&filter, key);
		assert_true(filter__section(&filter).length > 0); /* ends the adding */
		assert_true(filter__may_contain(&filter, key));
		filter__done(&filter);
	}
}

/* Sections whose numbers can't be are refused; none at all means that every key may be there. */
static void
impossible_sections_are_refused(void **state)
{
	struct filter good, bad;
	uint8_t key[ZP_KEY_BYTES];
	struct zp_slice section;
	const struct {
		size_t offset, cut;
		uint8_t value;
	} changes[] = {{0, 0, 2}, {4, 0, 0}, {4, 0, 8}, {8, 0, 9}, {8, 0, 0}, {15, 0, 1}, {0, 1, 1},
	    {0, 64, 1}};

	(void)state;
	filter__init(&good, 100, 1);
	section = filter__section(&good);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(changes); i++) {
		size_t length = section.length - changes[i].cut;
		uint8_t *room;

		bad = (struct filter){0};
		room = filter__section_room(&bad, length);
		memcpy(room, section.data, length);
		room[changes[i].offset] = changes[i].value;
		assert_non_null(filter__section_adopt(&bad, length, 1));
		filter__done(&bad);
	}
	bad = (struct filter){0};
	key_of(1, key);
	assert_true(filter__may_contain(&bad, key));
	for (size_t length = 0; length <= 16; length++) {
		memcpy(filter__section_room(&bad, length), section.data, length);
		assert_non_null(filter__section_adopt(&bad, length, 1));
		filter__done(&bad);
	}
	filter__done(&good);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(denies_no_key_and_admits_few_others),
	    cmocka_unit_test(small_filters_work),
	    cmocka_unit_test(impossible_sections_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
