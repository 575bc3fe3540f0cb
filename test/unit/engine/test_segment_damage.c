/*
 * test_segment_damage.c - no damaged segment gives a wrong answer: it gives the right one or an
 * error.
 *
 * Method: a small good segment, one change, and then everything is asked of it. The changes are
 * exhaustive where the file is small enough: every bit, every length.
 */
#include "segment_testing.h"

#define ROWS 60u

/* Rows of every sort, several buckets, one of them with fences. */
static struct rows *
rows_small(void)
{
	struct rows *rows = rows_new(ROWS);
	uint64_t seed = 77;

	for (size_t i = 0; i < ROWS; i++) {
		struct segment_row *row = &rows->rows[i];
		char name[32];

		random_digest(&seed, row->key.digest);
		if (i % 7 == 0) {
			row->operation = ZP_ROW_TOMBSTONE;
			continue;
		}
		row_facts(row, &seed);
		row->record.facts[ZP_FACT_TYPE] = i % 3;
		snprintf(name, sizeof(name), "pin number %zu", i);
		if (i % 4 != 0)
			row_name(rows, i, name, strlen(name));
	}
	rows_sort(rows);
	return rows;
}

struct fixture {
	struct rows *rows;
	struct memory_store store;
	struct segment_info info;
	struct memory_file *file;
};

static void
fixture_init(struct fixture *fixture, struct rows *rows, const struct segment_plan *plan)
{
	char name[ZP_FILE_NAME_MAX];

	fixture->rows = rows;
	memory_store_init(&fixture->store);
	segment__release(rows_write(&fixture->store, rows, plan, &fixture->info));
	segment__name_format(&fixture->info.name, name);
	fixture->file = memory_store_find(&fixture->store, name);
	assert_non_null(fixture->file);
}

static void
fixture_done(struct fixture *fixture)
{
	memory_store_done(&fixture->store);
	rows_free(fixture->rows);
}

/* Gets and scans give what the array has, or damage. */
static void
answers_assert(const struct rows *rows, struct segment *segment)
{
	struct segment_iterator *iterator = NULL;
	struct segment_scratch scratch;
	struct segment_row row;
	size_t at = 0;
	int rc;

	segment__scratch_init(&scratch);
	for (size_t i = 0; i < rows->count; i += 5) {
		rc = segment__get(segment, &rows->rows[i].key, &scratch, &row, NULL);
		if (rc == 0)
			row_assert_equal(&row, &rows->rows[i]);
		else
			assert_int_equal(rc, ZP_E_CORRUPT);
	}
	segment__scratch_done(&scratch);
	rc = segment__iterator_open(segment, NULL, SEGMENT_READ_ALL, &iterator, NULL);
	while (rc == 0) {
		rc = segment__iterator_next(iterator, &row, NULL);
		if (rc == 0)
			row_assert_equal(&row, &rows->rows[at++]);
	}
	assert_true(rc == ZP_E_CORRUPT || (rc == ZP_END && at == rows->count));
	segment__iterator_close(iterator);
}

/* That the content is not what the name says would show without looking at any of it. */
static void
lies_count(void *context, const char *what)
{
	*(size_t *)context += strstr(what, "the content is not") == NULL;
}

static void
faults_count(void *context, const char *what)
{
	assert_true(strlen(what) > 0);
	++*(size_t *)context;
}

/* Every single flipped bit is refused at open or found by verify, and changes no answer. */
static void
any_flipped_bit_is_found(void **state)
{
	struct fixture fixture;
	struct rows *rows = rows_small();
	struct segment_plan plan = plan_of(rows);
	size_t opened = 0;

	(void)state;
	plan.rows_expected = 300; /* 4 buckets */
	fixture_init(&fixture, rows, &plan);
	for (size_t bit = 0; bit < 8 * fixture.file->bytes.length; bit++) {
		struct segment *segment = NULL;
		uint8_t *byte = &fixture.file->bytes.data[bit / 8];
		int rc;

		*byte ^= (uint8_t)(1u << bit % 8);
		rc = segment__open(
		    &fixture.store.base, &fixture.info.name, &fixture.info, &segment, NULL);
		if (rc == 0) {
			struct zp_err err = {0};
			size_t faults = 0;

			opened++;
			answers_assert(rows, segment);
			rc = segment__verify(segment,
			    &(struct zp_check){.damage = faults_count, .context = &faults}, &err);
			assert_true(faults > 0);
			segment__release(segment);
		} else {
			assert_null(segment);
		}
		assert_int_equal(rc, ZP_E_CORRUPT);
		*byte ^= (uint8_t)(1u << bit % 8);
	}
	assert_true(
	    opened > 8 * ROWS * 30); /* damage in blocks and texts is found later than at open */
	fixture_done(&fixture);
}

/* A file cut at any length is refused, cleanly. */
static void
any_truncation_is_refused(void **state)
{
	struct fixture fixture;
	struct rows *rows = rows_small();
	struct segment_plan plan = plan_of(rows);
	size_t whole;

	(void)state;
	fixture_init(&fixture, rows, &plan);
	whole = fixture.file->bytes.length;
	for (size_t length = 0; length < whole; length++) {
		struct segment *segment = NULL;

		fixture.file->bytes.length = length;
		assert_int_equal(
		    segment__open(&fixture.store.base, &fixture.info.name, NULL, &segment, NULL),
		    ZP_E_CORRUPT);
	}
	fixture.file->bytes.length = whole;
	fixture_done(&fixture);
}

static struct rows *
rows_plain(size_t count)
{
	struct rows *rows = rows_new(count);
	uint64_t seed = 78;

	for (size_t i = 0; i < count; i++) {
		random_digest(&seed, rows->rows[i].key.digest);
		row_name(rows, i, &"abcdefgh"[i % 8], 1);
	}
	rows_sort(rows);
	return rows;
}

/* Blocks of equal length that change places, within a file, are refused where they are read. */
static void
a_moved_block_is_refused(void **state)
{
	struct fixture fixture;
	struct rows *rows = rows_plain(20000);
	struct segment_plan plan = plan_of(rows);
	struct segment *segment = NULL;
	struct group_entry group;
	uint64_t offsets[SEGMENT_GROUP_BLOCKS], offset;
	size_t moved = 0;

	(void)state;
	fixture_init(&fixture, rows, &plan);
	assert_int_equal(
	    segment__open(&fixture.store.base, &fixture.info.name, NULL, &segment, NULL), 0);
	assert_int_equal(segment__index_load(segment, NULL), 0);
	group = segment__group(segment, 3);
	offset = group.offset;
	for (size_t i = 0; i < SEGMENT_GROUP_BLOCKS; i++) {
		offsets[i] = offset;
		offset += zp_load_u16le(group.lengths + 2 * i);
	}
	for (size_t i = 0; i < SEGMENT_GROUP_BLOCKS; i++) {
		for (size_t j = 0; j < i; j++) {
			uint16_t length = zp_load_u16le(group.lengths + 2 * i);
			uint8_t *bytes = fixture.file->bytes.data;
			uint8_t saved[4096];
			size_t faults = 0;

			if (length != zp_load_u16le(group.lengths + 2 * j))
				continue;
			assert_true(length <= sizeof(saved));
			memcpy(saved, bytes + offsets[i], length);
			memcpy(bytes + offsets[i], bytes + offsets[j], length);
			answers_assert(rows, segment);
			assert_int_equal(
			    segment__verify(segment,
				&(struct zp_check){.damage = faults_count, .context = &faults},
				NULL),
			    ZP_E_CORRUPT);
			assert_int_equal(faults, 1); /* the content is wrong by that alone */
			memcpy(bytes + offsets[i], saved, length);
			moved++;
		}
	}
	assert_true(moved > 0);
	segment__release(segment);
	fixture_done(&fixture);
}

/* Blocks and texts of another segment with the same rows at the same place are refused. */
static void
another_segments_bytes_are_refused(void **state)
{
	struct fixture mine, other;
	struct rows *rows = rows_plain(1000);
	struct segment_plan plan = plan_of(rows);
	struct segment *segment = NULL;
	struct segment_scratch scratch;
	struct segment_row row;
	size_t faults = 0;

	(void)state;
	fixture_init(&mine, rows, &plan);
	plan.id.low ^= 1;
	fixture_init(&other, rows_plain(1000), &plan);
	assert_int_equal(segment__open(&mine.store.base, &mine.info.name, NULL, &segment, NULL), 0);
	assert_int_equal(mine.file->bytes.length, other.file->bytes.length);
	memcpy(mine.file->bytes.data + SEGMENT_HEADER_BYTES,
	    other.file->bytes.data + SEGMENT_HEADER_BYTES,
	    segment->blocks_end - SEGMENT_HEADER_BYTES);
	segment__scratch_init(&scratch);
	for (size_t i = 0; i < rows->count; i++)
		assert_int_equal(
		    segment__get(segment, &rows->rows[i].key, &scratch, &row, NULL), ZP_E_CORRUPT);
	segment__scratch_done(&scratch);
	assert_int_equal(segment__verify(segment,
			     &(struct zp_check){.damage = faults_count, .context = &faults}, NULL),
	    ZP_E_CORRUPT);
	assert_int_equal(faults, segment->footer.blocks);
	segment__release(segment);
	fixture_done(&mine);
	fixture_done(&other);
}

/* One damaged block takes nothing from the others: verify names it and counts one, gets elsewhere
 * work. */
static void
damage_stays_where_it_is(void **state)
{
	struct fixture fixture;
	struct rows *rows = rows_plain(5000);
	struct segment_plan plan = plan_of(rows);
	struct segment *segment = NULL;
	struct segment_scratch scratch;
	struct segment_row row;
	size_t lost = 0, faults = 0;

	(void)state;
	fixture_init(&fixture, rows, &plan);
	assert_int_equal(
	    segment__open(&fixture.store.base, &fixture.info.name, NULL, &segment, NULL), 0);
	assert_int_equal(segment__index_load(segment, NULL), 0);
	fixture.file->bytes.data[segment__group(segment, 1).offset + 20] ^= 4;
	segment__scratch_init(&scratch);
	for (size_t i = 0; i < rows->count; i++)
		lost += segment__get(segment, &rows->rows[i].key, &scratch, &row, NULL) != 0;
	segment__scratch_done(&scratch);
	assert_in_range(lost, 20, 140);
	assert_int_equal(segment__verify(segment,
			     &(struct zp_check){.damage = faults_count, .context = &faults}, NULL),
	    ZP_E_CORRUPT);
	assert_int_equal(faults, 1);
	segment__release(segment);
	fixture_done(&fixture);
}

/* Makes the checksums of sections and footer right again after a change. */
static void
checksums_fix(struct memory_file *file)
{
	uint8_t *footer = file->bytes.data + file->bytes.length - SEGMENT_FOOTER_BYTES;
	uint64_t seed = zp_load_u64le(footer + 24);

	for (size_t i = 0; i < SECTION_COUNT; i++) {
		uint8_t *entry = footer + segment__section_at(i);

		if (zp_load_u64le(entry) == 0) /* no dictionary */
			continue;
		zp_store_u64le(entry + 16, zp_hash64(file->bytes.data + zp_load_u64le(entry),
					       zp_load_u64le(entry + 8), seed + 1 + i));
	}
	zp_store_u64le(footer + 8, zp_hash64(footer + 16, SEGMENT_FOOTER_BYTES - 16, 0));
}

/* A segment whose checksums are right but whose parts contradict each other, as a faulty writer
 * would leave it: verify finds each lie beside the changed content. */
static void
lies_are_found(void **state)
{
	enum lie { FILTER, FENCE, RANGE, ROWS_LOW, TOMBSTONES, FIRST_KEY, LAST_KEY, LIES };
	struct rows *many = rows_new(600);
	struct segment_plan plan = plan_of(many);

	(void)state;
	for (size_t i = 0; i < many->count; i++) { /* one bucket, three blocks */
		memset(many->rows[i].key.digest, 3, 32);
		many->rows[i].key.namespace_id = 1;
		many->rows[i].key.claim = 2 * i;
	}
	plan.rows_expected = 60;
	for (enum lie lie = FILTER; lie < LIES; lie++) {
		struct fixture fixture;
		struct segment *segment = NULL;
		uint8_t *bytes, *footer;
		size_t faults = 0;

		fixture_init(&fixture, many, &plan);
		bytes = fixture.file->bytes.data;
		footer = bytes + fixture.file->bytes.length - SEGMENT_FOOTER_BYTES;
		if (lie == FILTER)
			memset(bytes + zp_load_u64le(footer + 304) + 24, 0xff, 60);
		if (lie == FENCE) /* the claim of the second fence: odd, so no row's */
			bytes[zp_load_u64le(footer + 280) + SEGMENT_FENCE_BYTES + 16 + 53] |= 1;
		if (lie == RANGE)
			bytes[zp_load_u64le(footer + 328) + 32 * PIN_NAMESPACE + 16] ^= 1;
		if (lie == ROWS_LOW)
			footer[72]--;
		if (lie == TOMBSTONES)
			footer[80]++;
		if (lie == FIRST_KEY)
			footer[112 + 41]--; /* the codec: still below the last key */
		if (lie == LAST_KEY)
			footer[184 + 53] |= 1;
		checksums_fix(fixture.file);
		assert_int_equal(
		    segment__open(&fixture.store.base, &fixture.info.name, NULL, &segment, NULL),
		    0);
		assert_int_equal(
		    segment__verify(segment,
			&(struct zp_check){.damage = lies_count, .context = &faults}, NULL),
		    ZP_E_CORRUPT);
		assert_true(faults >= 1);
		segment__release(segment);
		memory_store_done(&fixture.store);
	}
	rows_free(many);
}

/* A value that is not in its column's range is damage to whoever looks it up, never another value.
 */
static void
values_outside_their_range_are_damage(void **state)
{
	struct rows *rows = rows_plain(40);
	struct segment_plan plan = plan_of(rows);
	struct segment *segment = NULL;
	struct segment_scratch scratch;
	struct fixture fixture;
	struct segment_row row;
	struct zp_err err = {0};

	(void)state;
	fixture_init(&fixture, rows, &plan);
	assert_int_equal(
	    segment__open(&fixture.store.base, &fixture.info.name, NULL, &segment, NULL), 0);
	segment->layout.ranges[PIN_FACTS + ZP_FACT_SIZE] = (struct column_range){1, 2};
	image__layout_init(&segment->image, &segment->layout);
	segment__scratch_init(&scratch);
	assert_int_equal(
	    segment__get(segment, &rows->rows[7].key, &scratch, &row, &err), ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, "outside the range of its column"));
	segment__scratch_done(&scratch);
	segment__release(segment);
	fixture_done(&fixture);
}

/* Opening reads no directory. Who first asks where a block is finds its damage, with every read
 * until the segment is opened anew, and the file is not read again for that. */
static void
a_damaged_directory_is_found_by_lookups(void **state)
{
	struct rows *rows = rows_plain(5000);
	struct segment_plan plan = plan_of(rows);
	struct segment_iterator *iterator;
	struct segment *segment = NULL;
	struct segment_scratch scratch;
	struct segment_row row;
	struct fixture fixture;
	struct zp_err err = {0};
	uint8_t *damaged;
	uint64_t reads;

	(void)state;
	fixture_init(&fixture, rows, &plan);
	assert_int_equal(
	    segment__open(&fixture.store.base, &fixture.info.name, NULL, &segment, NULL), 0);
	damaged =
	    &fixture.file->bytes.data[segment->footer.sections[SECTION_DIRECTORY].offset + 13];
	*damaged ^= 1;
	segment__scratch_init(&scratch);
	assert_int_equal(
	    segment__get(segment, &rows->rows[7].key, &scratch, &row, &err), ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, "digests"));
	*damaged ^= 1;
	reads = fixture.store.reads;
	assert_int_equal(
	    segment__get(segment, &rows->rows[8].key, &scratch, &row, &err), ZP_E_CORRUPT);
	assert_int_equal(
	    segment__iterator_open(segment, NULL, SEGMENT_READ_ALL, &iterator, &err), ZP_E_CORRUPT);
	assert_int_equal(fixture.store.reads, reads);
	segment__release(segment);
	assert_int_equal(
	    segment__open(&fixture.store.base, &fixture.info.name, NULL, &segment, NULL), 0);
	assert_int_equal(segment__get(segment, &rows->rows[7].key, &scratch, &row, NULL), 0);
	segment__scratch_done(&scratch);
	segment__release(segment);
	fixture_done(&fixture);
}

/* The one block of a segment that has one: encoded again with rows a and b exchanged but for the
 * digest. */
static void
rows_exchange(struct memory_file *file, const struct segment *segment, size_t a, size_t b)
{
	struct block_rows *rows = zp_alloc_zero(1, sizeof(*rows));
	struct group_entry group;
	uint16_t length;
	struct block_columns *columns = zp_alloc_zero(1, sizeof(*columns));
	struct segment_cells exchanged;
	struct column_range ranges[SEGMENT_COLUMNS_MAX];
	ZP_AUTO_BUF(bytes, BLOCK_BYTES_MAX);
	struct block_view view;

	assert_int_equal(segment__index_load(segment, NULL), 0);
	group = segment__group(segment, 0);
	length = zp_load_u16le(group.lengths);
	assert_null(block__parse(
	    &segment->layout, file->bytes.data + group.offset, length, group.offset, 0, &view));
	assert_null(block__decode(&view, rows));
	exchanged = rows->cells[a];
	memcpy(rows->cells[a].columns, rows->cells[b].columns, sizeof(exchanged.columns));
	memcpy(rows->cells[b].columns, exchanged.columns, sizeof(exchanged.columns));
	for (uint32_t i = 0; i < rows->count; i++)
		block__row_add(&segment->layout, &rows->cells[i], columns);
	block__encode(&segment->layout, columns, view.has_texts ? &view.texts : NULL, group.offset,
	    0, &bytes, ranges);
	assert_int_equal(bytes.length, length);
	memcpy(file->bytes.data + group.offset, bytes.data, length);
	zp_free(columns);
	zp_free(rows);
}

/* Rows that do not rise are damage to whoever walks them: a merge relies on their order. */
static void
rows_out_of_order_are_damage(void **state)
{
	struct rows *rows = rows_new(20);
	struct segment_plan plan = plan_of(rows);
	struct segment_iterator *iterator = NULL;
	struct segment *segment = NULL;
	struct segment_row row;
	struct fixture fixture;
	size_t faults = 0;

	(void)state;
	for (size_t i = 0; i < rows->count; i++) { /* one digest, told apart by the claim */
		rows->rows[i].key.namespace_id = 1;
		rows->rows[i].key.claim = i;
	}
	fixture_init(&fixture, rows, &plan);
	assert_int_equal(
	    segment__open(&fixture.store.base, &fixture.info.name, NULL, &segment, NULL), 0);
	rows_exchange(fixture.file, segment, 7, 8);
	assert_int_equal(
	    segment__iterator_open(segment, NULL, SEGMENT_READ_ALL, &iterator, NULL), 0);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(segment__iterator_next(iterator, &row, NULL), 0);
	assert_int_equal(segment__iterator_next(iterator, &row, NULL), ZP_E_CORRUPT);
	assert_int_equal(segment__iterator_next(iterator, &row, NULL), ZP_END);
	segment__iterator_close(iterator);
	assert_int_equal(segment__verify(segment,
			     &(struct zp_check){.damage = lies_count, .context = &faults}, NULL),
	    ZP_E_CORRUPT);
	assert_true(faults >= 1);
	segment__release(segment);
	fixture_done(&fixture);
}

/* Texts that are not canonical are never given out, checksum or not: who reads them walks them
 * unchecked. */
static void
broken_texts_are_damage(void **state)
{
	struct rows *rows = rows_new(1);
	struct segment_plan plan = plan_of(rows);
	struct segment_iterator *iterator = NULL;
	struct segment_scratch scratch;
	struct segment *segment = NULL;
	struct segment_row row;
	struct fixture fixture;
	uint8_t *texts;

	(void)state;
	row_name(rows, 0, "name", 4);
	fixture_init(&fixture, rows, &plan);
	assert_int_equal(
	    segment__open(&fixture.store.base, &fixture.info.name, NULL, &segment, NULL), 0);
	texts = fixture.file->bytes.data + SEGMENT_HEADER_BYTES;
	assert_int_equal(texts[0], ZP_TEXT_NAME);
	texts[1] = 200; /* a length past the end */
	zp_store_u32le(
	    texts + 6, texts__checksum(segment->layout.seed, SEGMENT_HEADER_BYTES, texts, 6));
	segment__scratch_init(&scratch);
	assert_int_equal(
	    segment__get(segment, &rows->rows[0].key, &scratch, &row, NULL), ZP_E_CORRUPT);
	segment__scratch_done(&scratch);
	assert_int_equal(
	    segment__iterator_open(segment, NULL, SEGMENT_READ_ALL, &iterator, NULL), 0);
	assert_int_equal(segment__iterator_next(iterator, &row, NULL), ZP_E_CORRUPT);
	segment__iterator_close(iterator);
	segment__release(segment);
	fixture_done(&fixture);
}

/* Open compares with what the manifest says. */
static void
the_manifest_is_believed(void **state)
{
	struct fixture fixture;
	struct rows *rows = rows_plain(10);
	struct segment_plan plan = plan_of(rows);

	(void)state;
	fixture_init(&fixture, rows, &plan);
	for (unsigned change = 0; change < 6; change++) {
		struct segment_info expected = fixture.info;
		struct segment *segment = NULL;

		expected.id.high ^= change == 0;
		expected.bytes ^= change == 1;
		expected.rows ^= change == 2;
		expected.tombstones ^= change == 3;
		expected.first_key[3] ^= change == 4;
		expected.last_key[47] ^= change == 5;
		assert_int_equal(segment__open(&fixture.store.base, &fixture.info.name, &expected,
				     &segment, NULL),
		    ZP_E_CORRUPT);
	}
	fixture_done(&fixture);
}

/* Of a dictionary every bit counts, and one that is whole but none is refused too. */
static void
a_dictionary_is_checked(void **state)
{
	struct rows *rows = rows_new(24000);
	struct segment_plan plan;
	struct fixture fixture;
	uint64_t seed = 8;
	uint8_t *dictionary, *footer;

	(void)state;
	for (size_t i = 0; i < rows->count; i++) {
		char name[100];

		random_digest(&seed, rows->rows[i].key.digest);
		snprintf(name, sizeof(name), "customers/%05u/photographs of the year/%05u.jpg",
		    (unsigned)(random_next(&seed) % 50000), (unsigned)(random_next(&seed) % 50000));
		row_name(rows, i, name, strlen(name));
	}
	rows_sort(rows);
	plan = plan_of(rows);
	fixture_init(&fixture, rows, &plan);
	footer = fixture.file->bytes.data + fixture.file->bytes.length - SEGMENT_FOOTER_BYTES;
	assert_int_equal(zp_load_u32le(footer + 356), 1);
	dictionary = fixture.file->bytes.data +
		     zp_load_u64le(footer + segment__section_at(SECTION_DICTIONARY));
	for (size_t at = 0; at < 1000; at += 37) {
		struct segment *segment = NULL;

		dictionary[at] ^= 1;
		assert_int_equal(
		    segment__open(&fixture.store.base, &fixture.info.name, NULL, &segment, NULL),
		    ZP_E_CORRUPT);
		dictionary[at] ^= 1;
	}
	for (unsigned lie = 0; lie < 4; lie++) {
		uint8_t *place = footer + segment__section_at(SECTION_DICTIONARY);
		struct segment *segment = NULL;
		uint8_t kept[SEGMENT_FOOTER_BYTES];

		memcpy(kept, footer, sizeof(kept));
		if (lie == 0)
			dictionary[0] ^= 1; /* no dictionary of zstd */
		if (lie == 1)
			zp_store_u64le(place + 8, zp_load_u64le(place + 8) - 1);
		if (lie == 2)
			zp_store_u32le(footer + 356, 0);
		if (lie == 3)
			footer[64] &= (uint8_t)~SEGMENT_FEATURE_DICTIONARY;
		checksums_fix(fixture.file);
		assert_int_equal(
		    segment__open(&fixture.store.base, &fixture.info.name, NULL, &segment, NULL),
		    ZP_E_CORRUPT);
		if (lie == 0)
			dictionary[0] ^= 1;
		memcpy(footer, kept, sizeof(kept));
	}
	fixture_done(&fixture);
}

/* What a newer zpin wrote is told apart from damage. */
static void
newer_files_are_told_apart(void **state)
{
	const size_t places[] = {16, 64, 352, 356};
	struct fixture fixture;
	struct rows *rows = rows_plain(10);
	struct segment_plan plan = plan_of(rows);
	uint8_t *footer;

	(void)state;
	fixture_init(&fixture, rows, &plan);
	footer = fixture.file->bytes.data + fixture.file->bytes.length - SEGMENT_FOOTER_BYTES;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(places); i++) {
		struct segment *segment = NULL;
		struct segment_footer decoded;

		footer[places[i]] ^= 64;
		assert_int_equal(
		    segment__open(&fixture.store.base, &fixture.info.name, NULL, &segment, NULL),
		    ZP_E_CORRUPT); /* the checksum speaks first */
		zp_store_u64le(footer + 8, zp_hash64(footer + 16, SEGMENT_FOOTER_BYTES - 16, 0));
		assert_int_equal(segment__footer_decode(footer, &decoded, NULL), ZP_E_VERSION);
		footer[places[i]] ^= 64;
	}
	fixture_done(&fixture);
}

/* Names: 32 hex digits and ".seg", nothing else. */
static void
names_go_both_ways(void **state)
{
	const struct segment_name name = {.low = 0x1234, .high = UINT64_C(0xfedcba9876543210)};
	struct segment_name parsed;
	char text[ZP_FILE_NAME_MAX];

	(void)state;
	segment__name_format(&name, text);
	assert_string_equal(text, "fedcba98765432100000000000001234.seg");
	assert_true(segment__name_parse(text, &parsed));
	assert_int_equal(parsed.low, name.low);
	assert_int_equal(parsed.high, name.high);
	assert_false(segment__name_parse("fedcba98765432100000000000001234.tab", &parsed));
	assert_false(segment__name_parse("fedcba98765432100000000000001234.seg.tmp", &parsed));
	assert_false(segment__name_parse("Fedcba98765432100000000000001234.seg", &parsed));
	assert_false(segment__name_parse("fedcba9876543210", &parsed));
	assert_false(segment__name_parse("", &parsed));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(any_flipped_bit_is_found),
	    cmocka_unit_test(any_truncation_is_refused),
	    cmocka_unit_test(a_moved_block_is_refused),
	    cmocka_unit_test(another_segments_bytes_are_refused),
	    cmocka_unit_test(damage_stays_where_it_is),
	    cmocka_unit_test(a_damaged_directory_is_found_by_lookups),
	    cmocka_unit_test(lies_are_found),
	    cmocka_unit_test(values_outside_their_range_are_damage),
	    cmocka_unit_test(rows_out_of_order_are_damage),
	    cmocka_unit_test(broken_texts_are_damage),
	    cmocka_unit_test(the_manifest_is_believed),
	    cmocka_unit_test(newer_files_are_told_apart),
	    cmocka_unit_test(a_dictionary_is_checked),
	    cmocka_unit_test(names_go_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
