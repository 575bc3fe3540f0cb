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
	SHAPE_FEW_HOT,    /* a tenth of the rows share 3 digests */
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
			row->key.namespace_id = (uint32_t)(1 + random_next(&state) % 7);
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

/* A key outside the shared prefix costs no read. */
static void
other_prefixes_cost_no_read(void **state)
{
	struct rows *rows = rows_of(1000, SHAPE_RANDOM, 13, 1);
	struct segment_plan plan = plan_of(rows);
	struct segment_scratch scratch;
	struct memory_store store;
	struct segment *segment;
	struct segment_row row;
	struct zp_key key = rows->rows[5].key;

	(void)state;
	memory_store_init(&store);
	plan.prefix_bits = 13;
	segment = rows_write(&store, rows, &plan, NULL);
	segment__scratch_init(&scratch);
	store.reads = 0;
	key.digest[1] ^= 8; /* the last of the 13 bits */
	assert_int_equal(segment__get(segment, &key, &scratch, &row, NULL), ZP_E_NOT_FOUND);
	assert_int_equal(store.reads, 0);
	key.digest[1] ^= 8;
	for (uint64_t i = 0; i < 2; i++) {
		assert_int_equal(segment__get(segment, &key, &scratch, &row, NULL), 0);
		assert_int_equal(store.reads, 2 + i); /* the directory once, and the block */
	}
	segment__scratch_done(&scratch);
	segment__release(segment);
	memory_store_done(&store);
	rows_free(rows);
}

/* Keys that are far from uniform are slower, never wrong. */
static void
skewed_sets_come_back(void **state)
{
	const enum shape shapes[] = {
	    SHAPE_ONE_BUCKET, SHAPE_ONE_DIGEST, SHAPE_ARITHMETIC, SHAPE_FEW_HOT};
	const size_t sizes[] = {2, 255, 256, 300, 10000};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(shapes); i++) {
		for (size_t j = 0; j < ZP_ARRAY_COUNT(sizes); j++)
			round_trip(rows_of(sizes[j], shapes[i], 0, i), 0);
	}
}

/* The blocks of many keys are read apart from them: a block is wanted until it is in memory, gives
 * all its keys as gets do, and is damaged for all of them. */
static void
blocks_are_read_apart(void **state)
{
	struct zp_block_cache *cache = zp_block_cache_new(4u << 20);
	struct rows *rows = rows_of(3000, SHAPE_RANDOM, 0, 8);
	struct segment_plan plan = plan_of(rows);
	uint8_t bytes[BLOCK_BYTES_MAX];
	struct memory_store store;
	struct segment_info info;
	struct segment *segment;
	struct segment_scratch scratch;
	uint64_t blocks = 0;

	(void)state;
	memory_store_init(&store);
	segment = rows_write(&store, rows, &plan, &info);
	segment__caches_set(segment, NULL, cache);
	segment__scratch_init(&scratch);
	assert_int_equal(segment__index_load(segment, NULL), 0);
	store.reads = 0;
	for (size_t i = 0; i < rows->count; i++) {
		const struct zp_key *key = &rows->rows[i].key;
		struct texts_wanted texts;
		struct block_wanted wanted;
		struct segment_row row;

		if (segment__block_wanted(segment, key, &wanted)) {
			memcpy(bytes, store.files[0].bytes.data + wanted.place.offset,
			    wanted.place.length);
			bytes[wanted.place.length / 2] ^= 1;
			assert_int_equal(
			    segment__block_give(segment, &wanted, key, bytes, &scratch, NULL),
			    ZP_E_CORRUPT);
			assert_true(segment__block_wanted(segment, key, &wanted));
			bytes[wanted.place.length / 2] ^= 1;
			assert_int_equal(
			    segment__block_give(segment, &wanted, key, bytes, &scratch, NULL), 0);
			blocks++;
		}
		assert_false(segment__block_wanted(segment, key, &wanted));
		assert_int_equal(segment__get_given(segment, key, &scratch, &row, &texts, NULL), 0);
		assert_int_equal(texts.length, 0);
		row_assert_equal(&row, &rows->rows[i]);
	}
	assert_int_equal(blocks, segment->footer.blocks);
	assert_int_equal(store.reads, 0);
	segment__scratch_done(&scratch);
	segment__release(segment);
	memory_store_done(&store);
	rows_free(rows);
	zp_block_cache_free(cache);
}

/* Where the cache is full, a block that is read gives one slot's rows: the same as all of them did,
 * for rows with texts, tombstones and columns of their own, and for keys that are not there. */
static void
a_full_cache_gives_the_same_rows(void **state)
{
	struct zp_block_cache *cache = zp_block_cache_new(70u << 10);
	struct rows *rows = rows_of(3000, SHAPE_RANDOM, 0, 9);
	struct memory_store store;
	struct segment *segment;
	struct segment_scratch scratch;
	struct segment_plan plan;
	unsigned in_part = 0;

	(void)state;
	memory_store_init(&store);
	for (size_t i = 0; i < rows->count; i++) {
		if (i % 7 == 0) {
			rows->rows[i].operation = ZP_ROW_TOMBSTONE;
			rows->rows[i].record = (struct zp_record){0};
		} else if (i % 3 == 0) {
			row_name(rows, i, "a name of some length", i % 20 + 1);
		}
		if (i % 501 == 1 && i % 7 != 0) /* outside of what the others have */
			rows->rows[i].record.facts[ZP_FACT_SIZE] = UINT64_MAX - i;
	}
	plan = plan_of(rows);
	segment = rows_write(&store, rows, &plan, NULL);
	segment__caches_set(segment, NULL, cache);
	segment__scratch_init(&scratch);
	for (size_t i = 0; i < 3 * rows->count; i++) {
		const struct segment_row *expected = &rows->rows[i * 1009 % rows->count];
		struct zp_key key = expected->key;
		struct segment_row row;

		assert_int_equal(segment__get(segment, &key, &scratch, &row, NULL), 0);
		row_assert_equal(&row, expected);
		in_part += !scratch.image_is_whole;
		key.digest[31] ^= 1;
		assert_int_equal(segment__get(segment, &key, &scratch, &row, NULL), ZP_E_NOT_FOUND);
	}
	assert_true(in_part > 1000);
	segment__scratch_done(&scratch);
	segment__release(segment);
	memory_store_done(&store);
	rows_free(rows);
	zp_block_cache_free(cache);
}

/* A tombstone is a row: its facts are 0 and it costs its neighbours' columns nothing. */
static void
tombstones_come_back(void **state)
{
	for (unsigned every = 1; every <= 64; every *= 4) {
		struct rows *rows = rows_of(3000, SHAPE_RANDOM, 0, every);

		for (size_t i = 0; i < rows->count; i += every) {
			rows->rows[i].operation = ZP_ROW_TOMBSTONE;
			rows->rows[i].record = (struct zp_record){0};
		}
		round_trip(rows, 0);
	}
	(void)state;
}

/* Names of every length from none to the longest record, some that no compressor shortens. */
static void
texts_come_back(void **state)
{
	const size_t lengths[] = {0, 1, 14, 500, 4096, 65000, 65532};
	uint64_t seed = 5;

	for (size_t kind = 0; kind < 3; kind++) {
		struct rows *rows =
		    rows_of(700, kind == 2 ? SHAPE_ONE_BUCKET : SHAPE_RANDOM, 0, kind);

		for (size_t i = 0; i < rows->count; i++) {
			size_t length = lengths[random_next(&seed) % ZP_ARRAY_COUNT(lengths)];
			char *name = zp_alloc(length + 1);

			for (size_t c = 0; c < length; c++)
				name[c] = kind == 0 ? (char)('a' + c % 5)
						    : (char)(random_next(&seed) % 95 + 32);
			if (length > 0)
				row_name(rows, i, name, length);
			zp_free(name);
		}
		round_trip(rows, 0);
	}
	(void)state;
}

static void
letters_draw(uint64_t *seed, char *to, size_t length)
{
	for (size_t i = 0; i < length; i++)
		to[i] = (char)('a' + random_next(seed) % 26);
}

/* Enough names for a dictionary: 0 many that begin alike, 1 nothing in common. */
static struct rows *
rows_named(unsigned kind)
{
	struct rows *rows = rows_of(20000, SHAPE_RANDOM, 0, 3);
	char beginnings[40][56], name[60];
	uint64_t seed = 6;

	letters_draw(&seed, beginnings[0], sizeof(beginnings));
	for (size_t i = 0; i < rows->count; i++) {
		letters_draw(&seed, name, sizeof(name));
		if (kind == 0)
			memcpy(name, beginnings[random_next(&seed) % ZP_ARRAY_COUNT(beginnings)],
			    sizeof(beginnings[0]));
		row_name(rows, i, name, sizeof(name));
	}
	return rows;
}

/* Texts that have much in common get a dictionary, which pays; others none. */
static void
a_dictionary_is_used_where_it_pays(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 2; kind++) {
		struct rows *rows = rows_named(kind);
		struct segment_plan plan = plan_of(rows);
		struct segment_info with, without;
		struct memory_store store;
		struct segment *segment;

		memory_store_init(&store);
		segment = rows_write(&store, rows, &plan, &with);
		assert_int_equal(segment__has_dictionary(&segment->footer), kind == 0);
		rows_assert_in(rows, segment);
		segment__release(segment);
		plan.rows_expected = 16000; /* too few texts to be worth it */
		segment = rows_write(&store, rows, &plan, &without);
		assert_false(segment__has_dictionary(&segment->footer));
		segment__release(segment);
		if (kind == 0)
			assert_true(with.bytes + 2 * rows->count < without.bytes);
		memory_store_done(&store);
		rows_free(rows);
	}
}

/* Pins of other multihashes come back with the CID that their texts keep. */
static void
other_multihashes_come_back(void **state)
{
	struct rows *rows = rows_new(500);

	(void)state;
	for (size_t i = 0; i < rows->count; i++) {
		/* CID version 1, raw, identity, 8 bytes of data */
		uint8_t binary[12] = {1, ZP_CODEC_RAW, ZP_MULTIHASH_IDENTITY, 8};
		uint8_t *texts = zp_alloc(2 + sizeof(binary));
		struct zp_cid cid;

		zp_store_u64be(binary + 4, i);
		assert_int_equal(
		    zp_cid_decode((struct zp_slice){binary, sizeof(binary)}, &cid, NULL), 0);
		zp_key_of_cid(&cid, 0, 0, &rows->rows[i].key);
		texts[0] = ZP_TEXT_CID;
		texts[1] = sizeof(binary);
		memcpy(texts + 2, binary, sizeof(binary));
		rows->texts[i] = texts;
		rows->rows[i].record.texts = (struct zp_slice){texts, 2 + sizeof(binary)};
	}
	rows_sort(rows);
	round_trip(rows, 0);
}

/* Rows of extreme numbers come back; a sample that says nothing about them costs bytes only. */
static void
rows_unlike_the_sample_come_back(void **state)
{
	struct rows *rows = rows_of(5000, SHAPE_RANDOM, 0, 3);
	uint64_t seed = 4;

	for (size_t i = 0; i < rows->count; i++) {
		uint64_t *facts = rows->rows[i].record.facts;

		if (i % 5 == 0) /* every fifth row is in the sample: keep those plain */
			continue;
		facts[ZP_FACT_TYPE] = random_next(&seed) % ZP_PIN_TYPE_COUNT;
		for (size_t f = ZP_FACT_TYPE + 1; f < ZP_FACT_COUNT; f++)
			facts[f] = random_next(&seed) >> random_next(&seed) % 64;
		rows->rows[i].key.namespace_id = UINT32_MAX - (uint32_t)(i % 3);
		rows->rows[i].key.claim = UINT64_MAX - i;
	}
	(void)state;
	round_trip(rows, 0);
}

/* The same rows and the same sample are the same bytes, and so the same name. */
static void
writing_is_deterministic(void **state)
{
	struct rows *rows = rows_of(3000, SHAPE_FEW_HOT, 0, 9);
	struct segment_plan plan = plan_of(rows);
	struct segment_info first, second;
	struct memory_store store;

	(void)state;
	memory_store_init(&store);
	row_name(rows, 0, "a", 1);
	segment__release(rows_write(&store, rows, &plan, &first));
	segment__release(rows_write(&store, rows, &plan, &second));
	assert_int_equal(first.name.low, second.name.low);
	assert_int_equal(first.name.high, second.name.high);
	plan.id.low++;
	segment__release(rows_write(&store, rows, &plan, &second));
	assert_int_not_equal(first.name.low, second.name.low);
	memory_store_done(&store);
	rows_free(rows);
}

/* A scan reads ahead: many groups a read, and without texts not even those. */
static void
scans_read_ahead(void **state)
{
	struct rows *rows = rows_of(50000, SHAPE_RANDOM, 0, 2);
	struct segment_plan plan = plan_of(rows);
	struct memory_store store;
	struct segment_iterator *iterator = NULL;
	struct segment_row row;
	struct segment *segment;

	(void)state;
	memory_store_init(&store);
	segment = rows_write(&store, rows, &plan, NULL);
	store.reads = 0;
	assert_int_equal(
	    segment__iterator_open(segment, NULL, SEGMENT_READ_ALL, &iterator, NULL), 0);
	while (segment__iterator_next(iterator, &row, NULL) == 0)
		;
	segment__iterator_close(iterator);
	assert_true(store.reads <= segment__info(segment)->bytes / (200 << 10) + 2);
	segment__release(segment);
	memory_store_done(&store);
	rows_free(rows);
}

/* An append that fails ends the writing: nothing is published, later calls say so. */
static void
a_full_disk_publishes_nothing(void **state)
{
	struct rows *rows = rows_of(20000, SHAPE_RANDOM, 0, 2);
	struct segment_plan plan = plan_of(rows);

	(void)state;
	for (uint64_t fails_at = 1;; fails_at++) {
		struct memory_store store;
		struct segment_writer *writer = NULL;
		struct segment_info info;
		int rc;

		memory_store_init(&store);
		store.append_fails_at = fails_at;
		rc = segment__writer_open(&store.base, &plan, &writer, NULL);
		for (size_t i = 0; rc == 0 && i < rows->count; i++)
			rc = row_add(writer, &rows->rows[i], NULL);
		if (rc != 0 && writer != NULL) {
			struct segment_row *last = &rows->rows[rows->count - 1];

			assert_int_equal(row_add(writer, last, NULL), ZP_E_NO_SPACE);
		}
		if (writer != NULL)
			rc = segment__writer_finish(writer, &info, NULL);
		assert_int_equal(store.count, rc == 0 ? 1 : 0);
		memory_store_done(&store);
		if (rc == 0)
			break; /* it needed fewer appends than that */
		assert_int_equal(rc, ZP_E_NO_SPACE);
		assert_true(fails_at < 1000);
	}
	rows_free(rows);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sets_of_any_size_come_back),
	    cmocka_unit_test(shared_prefixes_are_implied),
	    cmocka_unit_test(other_prefixes_cost_no_read),
	    cmocka_unit_test(skewed_sets_come_back),
	    cmocka_unit_test(blocks_are_read_apart),
	    cmocka_unit_test(a_full_cache_gives_the_same_rows),
	    cmocka_unit_test(tombstones_come_back),
	    cmocka_unit_test(texts_come_back),
	    cmocka_unit_test(a_dictionary_is_used_where_it_pays),
	    cmocka_unit_test(other_multihashes_come_back),
	    cmocka_unit_test(rows_unlike_the_sample_come_back),
	    cmocka_unit_test(writing_is_deterministic),
	    cmocka_unit_test(scans_read_ahead),
	    cmocka_unit_test(a_full_disk_publishes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
