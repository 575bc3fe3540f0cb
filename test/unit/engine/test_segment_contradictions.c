/*
 * test_segment_contradictions.c - a directory that contradicts itself is refused: of pins when the
 * segment is opened, of an ordered family when it is first read.
 *
 * Method: one thing of a good segment is changed and every checksum made right again, as a faulty
 * writer would leave it; the fault that opening or reading names must be the one that was made.
 */
#include "segment_testing.h"

#define ENTRIES 600u /* of an ordered segment: three blocks */
#define ENTRY_BYTES (16 + 8 * 6)

struct crafted {
	struct memory_store store;
	struct memory_file *file;
	struct segment_info info;
};

static uint8_t *
footer_of(struct crafted *crafted)
{
	return crafted->file->bytes.data + crafted->file->bytes.length - SEGMENT_FOOTER_BYTES;
}

static uint8_t *
section_of(struct crafted *crafted, enum segment_section section)
{
	return crafted->file->bytes.data + zp_load_u64le(footer_of(crafted) + 256 + 24 * section);
}

static void
file_find(struct crafted *crafted)
{
	char name[ZP_FILE_NAME_MAX];

	segment__name_format(&crafted->info.name, name);
	crafted->file = memory_store_find(&crafted->store, name);
	assert_non_null(crafted->file);
}

static void
expect_fault(struct crafted *crafted, const char *fault)
{
	uint8_t *footer = footer_of(crafted);
	uint64_t seed = zp_load_u64le(footer + 24);
	struct segment *segment = NULL;
	struct zp_err err = {0};
	int rc;

	for (enum segment_section section = 0; section < SECTION_DICTIONARY; section++) {
		uint8_t *place = footer + segment__section_at(section);

		zp_store_u64le(
		    place + 16, zp_hash64(crafted->file->bytes.data + zp_load_u64le(place),
				    zp_load_u64le(place + 8), seed + 1 + section));
	}
	zp_store_u64le(footer + 8, zp_hash64(footer + 16, SEGMENT_FOOTER_BYTES - 16, 0));
	rc = segment__open(&crafted->store.base, &crafted->info.name, NULL, &segment, &err);
	if (rc == 0)
		rc = segment__index_load(segment, &err);
	assert_int_equal(rc, ZP_E_CORRUPT);
	segment__release(segment);
	if (strstr(err.text, fault) == NULL)
		fail_msg("\"%s\" is not \"%s\"", err.text, fault);
	memory_store_done(&crafted->store);
}

/* An ordered segment of index entries. */
static void
ordered_make(struct crafted *crafted)
{
	struct segment_plan plan = {
	    .id = {3, 4}, .family = ZP_FAMILY_TIME, .rows_expected = ENTRIES};
	struct segment_writer *writer = NULL;
	struct zp_err err = {0};

	memory_store_init(&crafted->store);
	assert_int_equal(segment__key_columns(ZP_FAMILY_TIME), 6);
	assert_int_equal(segment__writer_open(&crafted->store.base, &plan, &writer, &err), 0);
	for (uint64_t i = 0; i < ENTRIES; i++) {
		struct segment_entry entry = {.columns = {0, i}};

		assert_int_equal(entry_add(writer, ZP_FAMILY_TIME, &entry, &err), 0);
	}
	assert_int_equal(segment__writer_finish(writer, &crafted->info, &err), 0);
	file_find(crafted);
}

/* One bucket of pins with three blocks, so that it has fences. */
static void
fenced_make(struct crafted *crafted)
{
	struct rows *rows = rows_new(600);
	struct segment_plan plan = plan_of(rows);

	for (size_t i = 0; i < rows->count; i++) {
		memset(rows->rows[i].key.digest, 3, 32);
		rows->rows[i].key.namespace_id = 1;
		rows->rows[i].key.claim = i;
	}
	plan.rows_expected = 60;
	memory_store_init(&crafted->store);
	segment__release(rows_write(&crafted->store, rows, &plan, &crafted->info));
	rows_free(rows);
	file_find(crafted);
}

static void
a_gap_between_blocks_is_refused(void **state)
{
	struct crafted crafted;
	uint8_t *second;

	(void)state;
	ordered_make(&crafted);
	second = section_of(&crafted, SECTION_DIRECTORY) + ENTRY_BYTES;
	zp_store_u64le(second, zp_load_u64le(second) + 4);
	zp_store_u32le(second + 8, zp_load_u32le(second + 8) - 4);
	expect_fault(&crafted, "a block is not where it can be");
}

static void
blocks_that_begin_alike_are_refused(void **state)
{
	struct crafted crafted;
	uint8_t *second;

	(void)state;
	ordered_make(&crafted);
	second = section_of(&crafted, SECTION_DIRECTORY) + ENTRY_BYTES;
	memcpy(second + ENTRY_BYTES + 16, second + 16, ENTRY_BYTES - 16);
	expect_fault(&crafted, "the directory is out of order");
}

static void
bytes_behind_the_last_block_are_refused(void **state)
{
	struct crafted crafted;
	uint8_t *last;

	(void)state;
	ordered_make(&crafted);
	last = section_of(&crafted, SECTION_DIRECTORY) + 2 * ENTRY_BYTES;
	zp_store_u32le(last + 8, zp_load_u32le(last + 8) - 1);
	expect_fault(&crafted, "there are bytes behind the last block");
}

static void
bytes_behind_the_columns_are_refused(void **state)
{
	static const uint8_t more[8];
	struct crafted crafted;
	uint8_t footer[SEGMENT_FOOTER_BYTES];
	uint8_t *place;

	(void)state;
	ordered_make(&crafted);
	memcpy(footer, footer_of(&crafted), sizeof(footer));
	crafted.file->bytes.length -= sizeof(footer);
	zp_buf_append(&crafted.file->bytes, more, sizeof(more));
	zp_buf_append(&crafted.file->bytes, footer, sizeof(footer));
	place = footer_of(&crafted) + 256 + 24 * SECTION_COLUMNS;
	zp_store_u64le(place + 8, zp_load_u64le(place + 8) + sizeof(more));
	expect_fault(&crafted, "there are bytes behind the columns");
}

#define COLUMN_FLAGS \
	3 /* its place in what describes a column; a column without entries has 32 bytes */

/* Only a column whose values rise may be stored as differences. */
static void
differences_of_another_column_are_refused(void **state)
{
	struct crafted crafted;

	(void)state;
	ordered_make(&crafted);
	section_of(&crafted, SECTION_COLUMNS)[COLUMN_FLAGS] = 1;
	expect_fault(&crafted, "need not rise");
	fenced_make(&crafted);
	section_of(&crafted, SECTION_COLUMNS)[COLUMN_FLAGS] = 1;
	expect_fault(&crafted, "need not rise");
	ordered_make(&crafted);
	section_of(&crafted, SECTION_COLUMNS)[COLUMN_FLAGS] = 2;
	expect_fault(&crafted, "reserved");
}

/* An older zpin would not have known that it can't read it. */
static void
a_way_that_is_not_named_is_refused(void **state)
{
	struct crafted crafted;

	(void)state;
	ordered_make(&crafted);
	assert_int_equal(section_of(&crafted, SECTION_COLUMNS)[32 + COLUMN_FLAGS], 1);
	zp_store_u64le(footer_of(&crafted) + 64, 0);
	expect_fault(&crafted, "does not name");
}

static void
fences_that_are_alike_are_refused(void **state)
{
	struct crafted crafted;
	uint8_t *fences;

	(void)state;
	fenced_make(&crafted);
	fences = section_of(&crafted, SECTION_FENCES);
	memcpy(fences + SEGMENT_FENCE_BYTES + 16, fences + 16, ZP_KEY_BYTES);
	expect_fault(&crafted, "the fences are out of order");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_gap_between_blocks_is_refused),
	    cmocka_unit_test(blocks_that_begin_alike_are_refused),
	    cmocka_unit_test(bytes_behind_the_last_block_are_refused),
	    cmocka_unit_test(bytes_behind_the_columns_are_refused),
	    cmocka_unit_test(differences_of_another_column_are_refused),
	    cmocka_unit_test(a_way_that_is_not_named_is_refused),
	    cmocka_unit_test(fences_that_are_alike_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
