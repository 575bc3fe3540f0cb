/*
 * test_segment_ordered.c - index entries written are read back by scan and by seek.
 */
#include "segment_testing.h"

struct entries {
	struct segment_entry *entries;
	struct segment_value *values; /* owned, of family track; as their texts */
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
	    .id = {3, 4}, .family = set->family, .rows_expected = set->count, .filter_bits = 5};
	struct segment_writer *writer = NULL;
	struct segment *segment = NULL;
	struct segment_info info;
	struct zp_err err = {0};

	assert_int_equal(segment__writer_open(&store->base, &plan, &writer, &err), 0);
	for (size_t i = 0; i < samples && i < set->count; i++) {
		struct segment_cells cells;

		segment__entry_cells(set->family, &set->entries[i], &cells);
		segment__writer_sample(writer, &cells, (struct zp_slice){0});
	}
	for (size_t i = 0; i < set->count; i++)
		assert_int_equal(entry_add(writer, set->family, &set->entries[i], &err), 0);
	assert_int_equal(segment__writer_finish(writer, &info, &err), 0);
	assert_int_equal(info.rows, set->count);
	if (segment__open(&store->base, &info.name, &info, &segment, &err) != 0)
		fail_msg("%s", err.text);
	return segment;
}

static void
value_assert_equal(const struct segment_value *a, const struct segment_value *b)
{
	assert_int_equal(a == NULL, b == NULL);
	if (a == NULL)
		return;
	assert_memory_equal(a->columns, b->columns, sizeof(a->columns));
	assert_true(zp_slice_equal(a->texts, b->texts));
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
		value_assert_equal(entry.value, set->entries[at].value);
	}
	segment__iterator_close(iterator);
}

static void
set_round_trip(struct entries set, size_t samples)
{
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
	if (segment__verify(segment, NULL, &err) != 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; set.family == ZP_FAMILY_TRACK && i < set.count; i++) {
		struct zp_track track;
		struct zp_key key;

		assert_null(track__of_entry(&set.entries[i], &key, &track));
		assert_true(segment__may_contain(segment, &key));
	}
	segment__release(segment);
	memory_store_done(&store);
	for (size_t i = 0; set.values != NULL && i < set.count; i++)
		zp_free((void *)(uintptr_t)set.values[i].texts.data);
	zp_free(set.values);
	zp_free(set.entries);
}

static void
round_trip(size_t count, enum zp_family family, uint64_t spread, size_t samples)
{
	set_round_trip(entries_new(count, family, spread), samples);
}

static void
entries_come_back(void **state)
{
	const size_t sizes[] = {1, 2, 254, 255, 256, 4080, 4081, 40000};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(sizes); i++) {
		round_trip(sizes[i], ZP_FAMILY_TIME, UINT64_MAX, 1000);
		round_trip(sizes[i], ZP_FAMILY_TIME, 9, 0);
		round_trip(sizes[i], ZP_FAMILY_EXPIRE, 3, 10);
		round_trip(sizes[i], ZP_FAMILY_EXPIRE, UINT64_MAX, 0);
	}
}

/* Statuses of pins at up to five peers; one row in ten a tombstone, errors of up to `error_max`
 * bytes. */
static struct entries
tracks_new(size_t count, size_t error_max)
{
	struct entries set = {
	    .family = ZP_FAMILY_TRACK, .keys = SEGMENT_TRACK_COLUMNS, .count = count};
	uint64_t seed = count + error_max;
	struct zp_key key = {.version = 1, .codec = ZP_CODEC_RAW};

	set.entries = zp_alloc_zero(count, sizeof(*set.entries));
	set.values = zp_alloc_zero(count, sizeof(*set.values));
	for (size_t i = 0; i < count; i++) {
		struct zp_track track = {.peer = 1 + (uint32_t)(i % 5),
		    .status = (uint8_t)(1 + random_next(&seed) % (ZP_TRACK_STATUS_COUNT - 1)),
		    .is_priority = i % 7 == 0,
		    .attempts = (uint32_t)(random_next(&seed) % 6),
		    .since_microseconds = 1700000000000000 + (int64_t)(random_next(&seed) >> 24)};
		ZP_AUTO_BUF(texts, ZP_TRACK_TEXTS_BYTES_MAX);
		char error[ZP_TRACK_ERROR_BYTES_MAX];

		if (i % 5 == 0) /* keys rise: the head is the number */
			random_digest(&seed, key.digest);
		zp_store_u64be(key.digest, (i / 5 + 1) * (UINT64_MAX / (count / 5 + 2)));
		if (i % 10 == 3) {
			track__entry_of_key(&key, track.peer, &set.entries[i]);
			continue;
		}
		for (size_t at = 0; at < error_max; at++)
			error[at] = (char)('a' + random_next(&seed) % 26);
		zp_track_texts((struct zp_slice){0},
		    (struct zp_slice){(uint8_t *)error, i % 3 == 0 ? 0 : error_max}, &texts);
		track.texts = (struct zp_slice){zp_alloc(texts.length), texts.length};
		if (texts.length > 0)
			memcpy((void *)(uintptr_t)track.texts.data, texts.data, texts.length);
		track__entry_of(&key, &track, &set.values[i], &set.entries[i]);
	}
	return set;
}

/* Rows with values and texts, none, short and of the limit: 255 of those would be four times what a
 * block's texts may be, so blocks end early. */
static void
statuses_come_back(void **state)
{
	const size_t sizes[] = {1, 2, 254, 255, 256, 4080, 4081, 10000};
	const size_t errors[] = {0, 9, ZP_TRACK_ERROR_BYTES_MAX};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(sizes); i++) {
		for (size_t e = 0; e < ZP_ARRAY_COUNT(errors); e++) {
			set_round_trip(tracks_new(sizes[i], errors[e]), 0);
			set_round_trip(tracks_new(sizes[i], errors[e]), 100);
		}
	}
}

static void
damage_count(void *context, const char *what)
{
	(void)what;
	++*(unsigned *)context;
}

/* Every byte of a small file of statuses, texts and filter included, is missed when it is another.
 */
static void
a_changed_byte_of_statuses_is_found(void **state)
{
	struct entries set = tracks_new(40, 30);
	struct memory_store store;
	struct memory_file *file;
	struct segment *segment;
	struct segment_info info;
	char name[ZP_FILE_NAME_MAX];

	(void)state;
	memory_store_init(&store);
	segment = entries_write(&store, &set, 0);
	info = *segment__info(segment);
	segment__release(segment);
	segment__name_format(&info.name, name);
	file = memory_store_find(&store, name);
	for (size_t at = 0; at < file->bytes.length; at++) {
		unsigned faults = 0;

		file->bytes.data[at] ^= 0x10;
		if (segment__open(&store.base, &info.name, &info, &segment, NULL) == 0) {
			assert_int_equal(
			    segment__verify(segment,
				&(struct zp_check){.damage = damage_count, .context = &faults},
				NULL),
			    ZP_E_CORRUPT);
			assert_true(faults > 0);
			segment__release(segment);
		}
		file->bytes.data[at] ^= 0x10;
	}
	memory_store_done(&store);
	for (size_t i = 0; i < set.count; i++)
		zp_free((void *)(uintptr_t)set.values[i].texts.data);
	zp_free(set.values);
	zp_free(set.entries);
}

/* Whole blocks with rows that no status is: told, and the rows behind are given. */
static void
impossible_statuses_are_damage(void **state)
{
	static const struct impossible {
		size_t column; /* of the key, or 9 and above: of the value */
		uint64_t value;
	} cases[] = {
	    {4, 2},
	    {4, 1ull << 32 | 1},
	    {6, 1ull << 32},
	    {8, 0},
	    {8, 1ull << 32 | 1},
	    {9, 0},
	    {9, ZP_TRACK_STATUS_COUNT},
	    {9, 256 + 1},
	    {11, 1ull << 32},
	    {12, 2},
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		struct entries set = tracks_new(3, 0);
		struct segment_iterator *iterator = NULL;
		struct segment_entry entry;
		struct memory_store store;
		struct segment *segment;

		set.entries[1].columns[8] = 2;
		if (cases[i].column < 9)
			set.entries[2].columns[cases[i].column] = cases[i].value;
		else
			set.values[2].columns[cases[i].column - 9] = cases[i].value;
		if (cases[i].column == 8 && cases[i].value == 0)
			set.entries[2].columns[3]++; /* still behind the one before */
		memory_store_init(&store);
		segment = entries_write(&store, &set, 0);
		assert_int_equal(segment__entries_open(segment, NULL, &iterator, NULL), 0);
		assert_int_equal(segment__entries_next(iterator, &entry, NULL), 0);
		assert_int_equal(segment__entries_next(iterator, &entry, NULL), 0);
		assert_int_equal(segment__entries_next(iterator, &entry, NULL), ZP_E_CORRUPT);
		segment__iterator_close(iterator);
		assert_int_equal(segment__verify(segment, NULL, NULL), ZP_E_CORRUPT);
		segment__release(segment);
		memory_store_done(&store);
		for (size_t n = 0; n < set.count; n++)
			zp_free((void *)(uintptr_t)set.values[n].texts.data);
		zp_free(set.values);
		zp_free(set.entries);
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
	/* 8 bytes of digest, 1 bit of time, a directory entry and a block's head for 255 rows */
	assert_true(segment__info(segment)->bytes < set.count * 85 / 10);
	segment__release(segment);
	memory_store_done(&store);
	zp_free(set.entries);
}

/* Little of the directory stays in memory; what is read again is held against what was checked. */
static void
a_directory_that_changed_is_seen(void **state)
{
	struct entries set = entries_new(60000, ZP_FAMILY_TIME, UINT64_C(1) << 40);
	struct segment_iterator *iterator = NULL;
	struct memory_store store;
	struct segment *segment;
	char name[ZP_FILE_NAME_MAX];
	struct zp_err err = {0};
	struct segment_entry entry;
	uint64_t directory, seen = 0;
	int rc;

	(void)state;
	memory_store_init(&store);
	segment = entries_write(&store, &set, 1000);
	scan_assert(&set, segment, NULL, 0, SIZE_MAX);
	assert_true(segment__memory_bytes(segment) - sizeof(*segment) < set.count / 16);
	segment__name_format(&segment__info(segment)->name, name);
	directory = segment->footer.sections[SECTION_DIRECTORY].offset;
	/* of block 140, in the second part */
	memory_store_find(&store, name)->bytes.data[directory + 140 * 64 + 20] ^= 1;
	scan_assert(&set, segment, set.entries[100].columns, 100, 500);
	rc = segment__entries_open(segment, set.entries[140 * 255 + 5].columns, &iterator, &err);
	assert_int_equal(rc, ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, "directory has changed"));
	/* All of it, from the beginning: the first part's rows, then the fault, never other rows.
	 */
	assert_int_equal(segment__entries_open(segment, NULL, &iterator, &err), 0);
	while ((rc = segment__entries_next(iterator, &entry, &err)) == 0) {
		assert_memory_equal(entry.columns, set.entries[seen].columns, 8 * set.keys);
		seen++;
	}
	assert_int_equal(rc, ZP_E_CORRUPT);
	assert_int_equal(seen, 128 * 255);
	segment__iterator_close(iterator);
	segment__release(segment);
	memory_store_done(&store);
	zp_free(set.entries);
}

static void
fault_note(void *context, const char *text)
{
	if (strstr(text, "segment ") != NULL && strstr(text, "creation times") != NULL)
		++*(unsigned *)context;
}

/* Opening does not read the directory; whoever reads it first finds its damage, again each time. */
static void
a_damaged_directory_is_found_when_it_is_read(void **state)
{
	struct entries set = entries_new(60000, ZP_FAMILY_TIME, UINT64_C(1) << 40);
	struct segment_iterator *iterator = NULL;
	struct memory_store store;
	struct segment *segment;
	char name[ZP_FILE_NAME_MAX];
	struct zp_err err = {0};
	unsigned faults = 0;
	struct zp_check check = {.context = &faults, .damage = fault_note};
	struct segment_name parsed;
	uint8_t *damaged;

	(void)state;
	memory_store_init(&store);
	segment = entries_write(&store, &set, 1000);
	segment__name_format(&segment__info(segment)->name, name);
	damaged =
	    &memory_store_find(&store, name)
		 ->bytes.data[segment->footer.sections[SECTION_DIRECTORY].offset + 140 * 64 + 20];
	*damaged ^= 1;
	segment__release(segment);
	assert_true(segment__name_parse(name, &parsed));
	assert_int_equal(segment__open(&store.base, &parsed, NULL, &segment, &err), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(
		    segment__entries_open(segment, set.entries[5].columns, &iterator, &err),
		    ZP_E_CORRUPT);
		assert_non_null(strstr(err.text, "creation times"));
	}
	assert_int_equal(segment__verify(segment, &check, &err), ZP_E_CORRUPT);
	assert_int_equal(faults, 1);
	segment__release(segment);
	*damaged ^= 1;
	assert_int_equal(segment__open(&store.base, &parsed, NULL, &segment, &err), 0);
	scan_assert(&set, segment, NULL, 0, SIZE_MAX);
	assert_int_equal(segment__verify(segment, &check, &err), 0);
	segment__release(segment);
	memory_store_done(&store);
	zp_free(set.entries);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(entries_come_back),
	    cmocka_unit_test(a_damaged_directory_is_found_when_it_is_read),
	    cmocka_unit_test(time_entries_are_small),
	    cmocka_unit_test(a_directory_that_changed_is_seen),
	    cmocka_unit_test(statuses_come_back),
	    cmocka_unit_test(a_changed_byte_of_statuses_is_found),
	    cmocka_unit_test(impossible_statuses_are_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
