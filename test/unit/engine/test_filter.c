/*
 * test_filter.c - the filter never denies a key it was given, and seldom admits another.
 *
 * Method: sorted keys from a seed; every second one is added, and the others are asked for as well.
 */
#include "segment_testing.h"

#define KEYS 50000u

struct key {
	uint8_t bytes[ZP_KEY_BYTES];
};

static int
key_order(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct key));
}

/* Digests of which the bits outside `mask` of the first 8 bytes are those of `fixed`. */
static struct key *
keys_new(size_t count, uint64_t mask, uint64_t fixed)
{
	struct key *keys = zp_alloc_zero(count + 1, sizeof(*keys));
	uint64_t seed = count + 5;

	for (size_t i = 0; i < count; i++) {
		random_digest(&seed, keys[i].bytes);
		zp_store_u64be(
		    keys[i].bytes, (zp_load_u64be(keys[i].bytes) & mask) | (fixed & ~mask));
	}
	qsort(keys, count, sizeof(*keys), key_order);
	return keys;
}

/* The filter of every second key, as it is after its section was written and read. */
static size_t
filter_make(const struct key *keys, size_t count, unsigned bits, unsigned prefix_bits,
    struct filter *filter_out)
{
	struct ribbon_writer writer;
	struct zp_slice section;

	ribbon__writer_init(&writer, bits, count / 2, prefix_bits);
	for (size_t i = 0; i < count; i += 2)
		filter__add(&writer, keys[i].bytes);
	section = ribbon__writer_end(&writer);
	*filter_out = (struct filter){0};
	memcpy(filter__section_room(filter_out, section.length), section.data, section.length);
	assert_null(filter__section_adopt(filter_out, section.length, 99));
	ribbon__writer_done(&writer);
	return section.length;
}

/* How many that were not added are admitted; none that was is denied. */
static size_t
admitted_count(const struct filter *filter, const struct key *keys, size_t count)
{
	size_t admitted = 0;

	for (size_t i = 0; i < count; i++) {
		struct filter_key key = filter__key(keys[i].bytes);
		bool answer = filter__may_contain(filter, &key);

		if (i % 2 == 0)
			assert_true(answer);
		else
			admitted += answer;
	}
	return admitted;
}

/* Of 2^bits keys that are not there about one is admitted, and no key costs much over its bits. */
static void
denies_no_key_and_admits_few_others(void **state)
{
	(void)state;
	for (unsigned bits = 1; bits <= RIBBON_BITS_MAX; bits++) {
		struct key *keys = keys_new(2 * KEYS, UINT64_MAX, 0);
		struct filter filter;
		size_t length = filter_make(keys, 2 * KEYS, bits, 0, &filter);
		size_t admitted = admitted_count(&filter, keys, 2 * KEYS);

		print_message("%u bits: %.2f bits a key, %.2f %% admitted\n", bits,
		    (double)length * 8 / KEYS, (double)admitted * 100 / KEYS);
		assert_true(length * 8 <= KEYS * bits + KEYS * bits / 6);
		assert_in_range(admitted << bits, KEYS * 85 / 100, KEYS * 125 / 100);
		filter__done(&filter);
		zp_free(keys);
	}
}

/* A filter of any number of keys, none included, works; none denies all. */
static void
small_filters_work(void **state)
{
	struct key *others = keys_new(100, UINT64_MAX, 0);

	(void)state;
	for (size_t count = 0; count < 300; count++) {
		struct key *keys = keys_new(count, UINT64_MAX, 0);
		struct filter filter;

		filter_make(keys, count, 8, 0, &filter);
		assert_true(admitted_count(&filter, keys, count) <= 5);
		for (size_t i = 0; i < 100 && count == 0; i++) {
			struct filter_key key = filter__key(others[i].bytes);

			assert_false(filter__may_contain(&filter, &key));
		}
		filter__done(&filter);
		zp_free(keys);
	}
	zp_free(others);
}

/* A prefix that all share costs nothing, whatever its length. */
static void
shared_prefixes_are_passed_over(void **state)
{
	(void)state;
	for (unsigned prefix_bits = 0; prefix_bits <= 64; prefix_bits += 4) {
		uint64_t mask = prefix_bits == 64 ? 0 : UINT64_MAX >> prefix_bits;
		struct key *keys = keys_new(KEYS, mask, UINT64_C(0xa5a5a5a5a5a5a5a5));
		struct filter filter;
		size_t admitted;

		filter_make(keys, KEYS, 8, prefix_bits, &filter);
		admitted = admitted_count(&filter, keys, KEYS);
		if (prefix_bits <= 40)
			assert_true(admitted < KEYS / 2 / 150);
		filter__done(&filter);
		zp_free(keys);
	}
}

/* Digests that somebody chose: all alike, in one chunk, more than a chunk takes. Keys that were
 * added are never denied, and where digests are uniform the filter is as good as ever. */
static void
chosen_digests_spoil_only_their_place(void **state)
{
	struct key *keys = keys_new(6 * KEYS, UINT64_MAX, 0);
	struct filter filter;
	size_t uniform = 0;

	(void)state;
	for (size_t i = 0; i < 3 * KEYS; i++)
		zp_store_u64be(keys[i].bytes, i < KEYS ? 7 : UINT64_C(1) << 40 | i);
	qsort(keys, 3 * KEYS, sizeof(*keys), key_order);
	filter_make(keys, 6 * KEYS, 8, 0, &filter);
	admitted_count(&filter, keys, 6 * KEYS);
	for (size_t i = 3 * KEYS + 1; i < 6 * KEYS; i += 2) {
		struct filter_key key = filter__key(keys[i].bytes);

		uniform += filter__may_contain(&filter, &key);
	}
	assert_true(uniform < 3 * KEYS / 2 / 150);
	filter__done(&filter);
	zp_free(keys);
}

/* The same keys give the same bytes, in the room of another filter too. */
static void
making_is_deterministic(void **state)
{
	struct key *keys = keys_new(KEYS, UINT64_MAX, 0);
	struct filter filters[2];
	size_t length = filter_make(keys, KEYS, 5, 0, &filters[0]);

	(void)state;
	assert_int_equal(filter_make(keys, KEYS, 5, 0, &filters[1]), length);
	assert_memory_equal(filters[0].blocks - 16, filters[1].blocks - 16, length);
	filter__done(&filters[0]);
	filter__done(&filters[1]);
	zp_free(keys);
}

static void
expect_refused(struct zp_slice section, size_t length, size_t offset, uint8_t value)
{
	struct filter bad = {0};
	uint8_t *room = filter__section_room(&bad, length);

	memcpy(room, section.data, length);
	if (offset < length)
		room[offset] = value;
	assert_non_null(filter__section_adopt(&bad, length, 1));
	filter__done(&bad);
}

/* Sections whose numbers can't be are refused; none at all means that every key may be there. */
static void
impossible_sections_are_refused(void **state)
{
	struct key *keys = keys_new(KEYS, UINT64_MAX, 0);
	struct ribbon_writer writer;
	struct zp_slice section;
	struct filter_key key;
	struct filter none = {0};
	/* One chunk of three groups: fewer rows than a key is summed over. */
	const uint8_t short_chunk[16 + 8 + 3] = {2, [4] = 1, [8] = 3, [20] = 3};
	const struct {
		size_t offset;
		uint8_t value;
	} changes[] = {{0, 3}, {0, 1}, {4, 0}, {4, 9}, {5, 58}, {6, 25}, {6, 0}, {7, 1}, {8, 0},
	    {16, 1}, {23, 1}, {27, 255}, {12, 1}};

	(void)state;
	ribbon__writer_init(&writer, 5, KEYS, 0);
	for (size_t i = 0; i < KEYS; i++)
		filter__add(&writer, keys[i].bytes);
	section = ribbon__writer_end(&writer);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(changes); i++)
		expect_refused(section, section.length, changes[i].offset, changes[i].value);
	for (size_t length = 0; length <= 60; length++)
		expect_refused(section, length, SIZE_MAX, 0);
	expect_refused(section, section.length - 1, SIZE_MAX, 0);
	expect_refused(
	    (struct zp_slice){short_chunk, sizeof(short_chunk)}, sizeof(short_chunk), SIZE_MAX, 0);
	key = filter__key(keys[0].bytes);
	assert_true(filter__may_contain(&none, &key));
	ribbon__writer_done(&writer);
	zp_free(keys);
}

/* Filters of segments that were written before there were ribbons are asked by their own rule. */
static void
bloom_filters_are_asked(void **state)
{
	struct key *keys = keys_new(1000, UINT64_MAX, 0);
	struct filter filter = {0};
	uint8_t *section = filter__section_room(&filter, 16 + 64 * 10);

	(void)state;
	memset(section, 0, 16 + 64 * 10);
	zp_store_u32le(section, 1);
	zp_store_u32le(section + 4, 6);
	zp_store_u64le(section + 8, 10);
	for (size_t i = 0; i < 1000; i += 2) {
		uint64_t hash = zp_hash64(keys[i].bytes, ZP_KEY_BYTES, 99);
		uint8_t *block = section + 16 + 64 * (size_t)(((unsigned __int128)hash * 10) >> 64);
		uint64_t bits = hash * UINT64_C(0x9E3779B97F4A7C15);

		for (size_t bit = 0; bit < 6; bit++, bits >>= 9)
			block[(bits & 511) / 8] |= (uint8_t)(1u << (bits & 7));
	}
	assert_null(filter__section_adopt(&filter, 16 + 64 * 10, 99));
	assert_true(admitted_count(&filter, keys, 1000) < 30);
	filter__done(&filter);
	zp_free(keys);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(denies_no_key_and_admits_few_others),
	    cmocka_unit_test(small_filters_work),
	    cmocka_unit_test(shared_prefixes_are_passed_over),
	    cmocka_unit_test(chosen_digests_spoil_only_their_place),
	    cmocka_unit_test(making_is_deterministic),
	    cmocka_unit_test(impossible_sections_are_refused),
	    cmocka_unit_test(bloom_filters_are_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
