/*
 * test_segment_ordered.c - index entries written are read back by scan and by seek.
 */
#include "segment_testing.h"

struct entries {
	struct segment_entry *entries;
	size_t count;
	size_t keys;
	enum zp_family family;
};

static size_t order_keys; /* how many columns qsort compares */

static int
entry_order(const void *a, const void *b)
{
	return segment__columns_compare(((const struct segment_entry *)a)->columns,
	    ((const struct segment_entry *)b)->columns, order_keys);
}

static struct entries
entries_new(size_t count, enum zp_family family, uint64_t spread)
{
	struct entries set = {.family = family, .keys = segment__key_columns(family)};
	uint64_t seed = count;
	size_t kept = 0;

	set.entries = zp_alloc_zero(count, sizeof(*set.entries));
	for (size_t i = 0; i < count; i++) {
		uint64_t *columns = set.entries[i].columns;

		for (size_t c = 0; c < set.keys; c++)
			columns[c] = random_next(&seed) % spread;
		columns[1] = family == ZP_FAMILY_TIME ? UINT64_C(1) << 63 | columns[1] : columns[1];
		set.entries[i].operation = random_next(&seed) % 10 == 0;
	}
	order_keys = set.keys;
	qsort(set.entries, count, sizeof(*set.entries), entry_order);
	for (size_t i = 0; i < count; i++) {
		if (kept == 0 || entry_order(&set.entries[kept - 1], &set.entries[i]) != 0)
			set.entries[kept++] = set.entries[i];
	}
	set.count = kept;
	return set;
}

static struct segment *
entries_write(struct memory_store *store, const struct entries *set, size_t samples)
{
	struct segment_plan plan = {
	    .id = {3, 4}, .family = set->family, .rows_expected = set->count};
	struct segment_writer *writer = NULL;
	struct segment *segment = NULL;
	struct segment_info info;
	struct zp_err err = {0};

	assert_int_equal(segment__writer_open(&store->base, &plan, &writer, &err), 0);
	for (size_t i = 0; i < samples && i < set->count; i++)
		segment__writer_sample_entry(writer, &set->entries[i]);
	for (size_t i = 0; i < set->count; i++)
		assert_int_equal(segment__writer_add_entry(writer, &set->entries[i], &err), 0);
	assert_int_equal(segment__writer_finish(writer, &info, &err), 0);
	assert_int_equal(info.rows, set->count);
	if (segment__open(&store->base, &info.name, &info, &segment, &err) != 0)
		fail_msg("%s", err.text);
	return segment;
}

static void
scan_assert(const struct entries *set, struct segment *segment, const uint64_t *from, size_t at,
    size_t count_max)
{
	struct segment_iterator *iterator = NULL;
	struct segment_entry entry;
	struct zp_err err = {0};

	assert_int_equal(segment__entries_open(segment, from, &iterator, &err), 0);
	for (size_t i = 0; i < count_max; i++, at++) {
		int rc = segment__entries_next(iterator, &entry, &err);

		if (rc < 0)
			fail_msg("%s", err.text);
		assert_int_equal(rc == ZP_END, at == set->count);
		if (rc == ZP_END)
			break;
		assert_memory_equal(entry.columns, set->entries[at].columns, 8 * set->keys);
		assert_int_equal(entry.operation, set->entries[at].operation);
	}
	segment__iterator_close(iterator);
}

static void
round_trip(size_t count, enum zp_family family, uint64_t spread, size_t samples)
{
	struct entries set = entries_new(count, family, spread);
	struct memory_store store;
	struct segment *segment;
	struct zp_err err = {0};
	uint64_t past[SEGMENT_KEY_COLUMNS_MAX];

	memory_store_init(&store);
	segment = entries_write(&store, &set, samples);
	scan_assert(&set, segment, NULL, 0, SIZE_MAX);
	for (size_t i = 0; i < set.count; i += set.count / 100 + 1) {
		uint64_t from[SEGMENT_KEY_COLUMNS_MAX];

		memcpy(from, set.entries[i].columns, sizeof(from));
		scan_assert(&set, segment, from, i, 200);
		if (++from[set.keys - 1] != 0) /* just behind it comes the next */
			scan_assert(&set, segment, from, i + 1, 2);
	}
	memset(past, 0xff, sizeof(past));
	scan_assert(&set, segment, past, set.count, 1);
	memset(past, 0, sizeof(past));
	scan_assert(&set, segment, past, 0, SIZE_MAX);
	if (segment__verify(segment, NULL, NULL, NULL, &err) != 0)
		fail_msg("%s", err.text);
	segment__release(segment);
	memory_store_done(&store);
	zp_free(set.entries);
}

static void
entries_come_back(void **state)
{
	const size_t sizes[] = {1, 2, 127, 128, 129, 2048, 2049, 30000};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(sizes); i++) {
		round_trip(sizes[i], ZP_FAMILY_TIME, UINT64_MAX, 1000);
		round_trip(sizes[i], ZP_FAMILY_TIME, 9, 0);
		round_trip(sizes[i], ZP_FAMILY_EXPIRE, 3, 10);
		round_trip(sizes[i], ZP_FAMILY_EXPIRE, UINT64_MAX, 0);
	}
}

/* Entries as the time index has them are small: the sorted columns are framed block by block. */
static void
time_entries_are_small(void **state)
{
	struct entries set = {
	    .count = 100000, .keys = SEGMENT_TIME_COLUMNS, .family = ZP_FAMILY_TIME};
	struct memory_store store;
	struct segment *segment;
	uint64_t seed = 1;

	(void)state;
	set.entries = zp_alloc_zero(set.count, sizeof(*set.entries));
	for (size_t i = 0; i < set.count; i++) {
		set.entries[i].columns[1] = UINT64_C(1) << 63 | (1700000000 + i / 3);
		set.entries[i].columns[2] = i % 3 << 62 | random_next(&seed) >> 2;
		set.entries[i].columns[3] = 1;
		set.entries[i].columns[4] = ZP_CODEC_RAW;
	}
	memory_store_init(&store);
	segment = entries_write(&store, &set, 1000);
	scan_assert(&set, segment, NULL, 0, SIZE_MAX);
	/* 8 bytes of digest, 6 bits of time, a directory entry and a block's head for 128 rows */
	assert_true(segment__info(segment)->bytes < set.count * 97 / 10);
	segment__release(segment);
	memory_store_done(&store);
	zp_free(set.entries);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(entries_come_back),
	    cmocka_unit_test(time_entries_are_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
