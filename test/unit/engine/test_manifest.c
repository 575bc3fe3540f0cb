/*
 * test_manifest.c - the manifest as bytes: the golden file, contradictions, limits.
 *
 * Method: one manifest that has everything, made here by hand, is the kept file of version 1. Then
 * its fields are turned wrong one at a time behind a right checksum.
 */
#include "engine/engine_internal.h"
#include "engine_golden.h"

#define FILE_BYTES (1u << 20)

static struct segment_info
segment_of(uint8_t first, uint8_t last, uint64_t rows)
{
	struct segment_info info = {
	    .name = {first + 0x100, last + 0x200},
	    .id = {first + 0x300, last + 0x400},
	    .bytes = 1000 * rows,
	    .rows = rows,
	    .tombstones = rows / 3,
	};

	memset(info.first_key, first, 48);
	memset(info.last_key, last, 48);
	return info;
}

static void
run_add(
    struct manifest *manifest, enum zp_family family, uint8_t level, uint64_t age, size_t segments)
{
	struct manifest_run run = {
	    .family = family, .level = level, .age = age, .segment_count = segments};

	run.segments = zp_alloc(segments * sizeof(run.segments[0]));
	for (size_t i = 0; i < segments; i++)
		run.segments[i] =
		    segment_of((uint8_t)(0x40 + 16 * i), (uint8_t)(0x4f + 16 * i), 3 + i);
	manifest__run_add(manifest, run);
}

/* Everything a manifest may have; to be freed with manifest__done. */
static struct manifest
example(void)
{
	struct manifest manifest = {.shard_id = 77,
	    .number = 0x123,
	    .incarnation = 4,
	    .cluster_id = "the-cluster-0001",
	    .has_tables = true,
	    .tables = {0x11, 0x22},
	    .tables_bytes = 333};

	manifest.low[0] = 0x40;
	manifest.high[0] = 0x80;
	manifest__lane_set(&manifest, &(struct zp_lane){9, 2, 500});
	manifest__lane_set(&manifest, &(struct zp_lane){3, 1, 400});
	manifest__lane_set(&manifest, &(struct zp_lane){9, 3, 501});
	for (uint32_t type = 3; type-- > 0;) {
		struct manifest_counter *counter = manifest__counter_of(
		    &manifest.counters, &manifest.counter_count, 7 - type, type);

		counter->pins = 10 + type;
		counter->size_bytes = 1000 + type;
	}
	run_add(&manifest, ZP_FAMILY_EXPIRE, 0, 12, 1);
	run_add(&manifest, ZP_FAMILY_PIN, 2, 5, 3);
	run_add(&manifest, ZP_FAMILY_PIN, 0, 12, 1);
	run_add(&manifest, ZP_FAMILY_TIME, 1, 12, 2);
	manifest.merged = zp_alloc(2 * sizeof(manifest.merged[0]));
	manifest.merged[0] = (struct segment_name){1, 2};
	manifest.merged[1] = (struct segment_name){3, 4};
	manifest.merged_count = 2;
	return manifest;
}

static void
example_check(const struct manifest *manifest)
{
	static const enum zp_family families[] = {
	    ZP_FAMILY_PIN, ZP_FAMILY_PIN, ZP_FAMILY_TIME, ZP_FAMILY_EXPIRE};
	static const uint64_t ages[] = {12, 5, 12, 12};
	static const size_t segments[] = {1, 3, 2, 1};

	assert_int_equal(manifest->shard_id, 77);
	assert_int_equal(manifest->number, 0x123);
	assert_int_equal(manifest->incarnation, 4);
	assert_memory_equal(manifest->cluster_id, "the-cluster-0001", 16);
	assert_int_equal(manifest->low[0], 0x40);
	assert_int_equal(manifest->high[0], 0x80);
	assert_int_equal(manifest->lane_count, 2);
	assert_int_equal(manifest->lanes[0].node, 3);
	assert_int_equal(manifest->lanes[1].epoch, 3);
	assert_int_equal(manifest__lane_applied(manifest, 9), 501);
	assert_int_equal(manifest__lane_applied(manifest, 4), 0);
	assert_int_equal(manifest->counter_count, 3);
	for (uint32_t i = 0; i < 3; i++) { /* rising by namespace */
		assert_int_equal(manifest->counters[i].namespace_id, 5 + i);
		assert_int_equal(manifest->counters[i].type, 2 - i);
		assert_int_equal(manifest->counters[i].pins, 12 - i);
		assert_int_equal(manifest->counters[i].size_bytes, 1002 - i);
	}
	assert_int_equal(manifest->run_count, 4);
	for (size_t i = 0; i < 4; i++) {
		const struct manifest_run *run = &manifest->runs[i];

		assert_int_equal(run->family, families[i]);
		assert_int_equal(run->age, ages[i]);
		assert_int_equal(run->segment_count, segments[i]);
		for (size_t j = 0; j < run->segment_count; j++) {
			struct segment_info expected =
			    segment_of((uint8_t)(0x40 + 16 * j), (uint8_t)(0x4f + 16 * j), 3 + j);

			assert_memory_equal(&run->segments[j], &expected, sizeof(expected));
		}
	}
	assert_int_equal(manifest->runs[1].level, 2);
	assert_true(manifest->has_tables);
	assert_int_equal(manifest->tables.high, 0x22);
	assert_int_equal(manifest->tables_bytes, 333);
	assert_int_equal(manifest->merged_count, 2);
	assert_int_equal(manifest->merged[1].low, 3);
}

static void
golden_file_is_the_same(void **state)
{
	struct manifest manifest = example(), kept_manifest;
	ZP_AUTO_BUF(file, FILE_BYTES);
	ZP_AUTO_BUF(kept, FILE_BYTES);
	struct zp_err err = {0};

	(void)state;
	manifest__encode(&manifest, &file);
	golden_compare("manifest-v1", &file, &kept);
	assert_int_equal(manifest__decode(zp_buf_slice(&kept), &kept_manifest, &err), ZP_OK);
	assert_int_equal(kept_manifest.checksum, manifest.checksum);
	example_check(&kept_manifest);
	manifest__encode(&kept_manifest, &file);
	assert_int_equal(file.length, kept.length);
	assert_memory_equal(file.data, kept.data, kept.length);
	manifest__done(&manifest);
	manifest__done(&kept_manifest);
}

/* A copy for the next number has everything of its own, but what was merged to get here. */
static void
the_next_is_a_copy(void **state)
{
	struct manifest manifest = example(), next;

	(void)state;
	manifest__next(&manifest, &next);
	manifest__done(&manifest);
	assert_int_equal(next.number, 0x124);
	assert_int_equal(next.merged_count, 0);
	next.number--;
	next.merged = zp_alloc_zero(2, sizeof(next.merged[0]));
	next.merged[1].low = 3;
	next.merged_count = 2;
	example_check(&next);
	manifest__done(&next);
}

/* ---- Contradictions ------------------------------------------------------------------------- */

/* Byte offset of the nth field of the tag, of its content. */
static size_t
field_find(const struct zp_buf *file, uint16_t tag, unsigned nth)
{
	size_t at = 56;

	while (at < file->length) {
		if (zp_load_u16le(file->data + at) == tag && nth-- == 0)
			return at + 8;
		at += 8 + zp_load_u32le(file->data + at + 4);
	}
	fail_msg("no field %u", tag);
	return 0;
}

struct wrong {
	uint16_t tag;
	unsigned nth;
	size_t at; /* in the field */
	uint8_t value;
	int rc;
};

static void
a_contradiction_is_damage(void **state)
{
	static const struct wrong cases[] = {
	    {4, 0, 0, 0x80, ZP_E_CORRUPT},              /* low is not below high */
	    {6, 0, 0, 1, ZP_E_VERSION},                 /* another key transform */
	    {7, 0, 0, 9, ZP_E_CORRUPT},                 /* a lane twice */
	    {7, 0, 0, 10, ZP_E_CORRUPT},                /* lanes fall */
	    {8, 1, 0, 4, ZP_E_CORRUPT},                 /* counters fall */
	    {8, 0, 8, 0, ZP_E_CORRUPT},                 /* a counter of 0 pins */
	    {8, 2, 4, ZP_PIN_TYPE_COUNT, ZP_E_VERSION}, /* of an unknown type */
	    {9, 0, 0, 6, ZP_E_VERSION},                 /* an unknown family */
	    {9, 2, 0, 4, ZP_E_CORRUPT},                 /* families fall */
	    {9, 0, 2, 3, ZP_E_VERSION},                 /* another encoder */
	    {9, 1, 2, 2, ZP_E_CORRUPT},                 /* of the age before, which it is not */
	    {9, 0, 4, 2, ZP_E_CORRUPT},                 /* more segments than bytes */
	    {9, 0, 4, 0, ZP_E_CORRUPT},                 /* none */
	    {9, 0, 8, 5, ZP_E_CORRUPT},                 /* two runs of an age */
	    {9, 0, 16 + 40, 0, ZP_E_CORRUPT},           /* no rows */
	    {9, 0, 16 + 48, 4, ZP_E_CORRUPT},           /* more tombstones than rows */
	    {9, 0, 16 + 56, 1, ZP_E_CORRUPT},           /* reserved */
	    {9, 0, 16 + 64, 0x50, ZP_E_CORRUPT},        /* first key above the last */
	    {9, 1, 16 + 112, 0x51, ZP_E_CORRUPT},       /* reaches into the next segment */
	};
	struct manifest manifest = example(), out;
	ZP_AUTO_BUF(file, FILE_BYTES);
	struct zp_err err = {0};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		const struct wrong *wrong = &cases[i];
		int rc;

		manifest__encode(&manifest, &file);
		file.data[field_find(&file, wrong->tag, wrong->nth) + wrong->at] = wrong->value;
		zp_envelope_end(&file);
		rc = manifest__decode(zp_buf_slice(&file), &out, &err);
		if (rc != wrong->rc)
			fail_msg("case %zu gave %d", i, rc);
	}
	manifest__done(&manifest);
}

/* A merge under way: what is left of its oldest input, and what was made. */
static void
a_merge_under_way_is_kept(void **state)
{
	struct segment_info made[2] = {segment_of(0x60, 0x6f, 9), segment_of(0x20, 0x2f, 8)};
	struct manifest manifest = example(), out;
	ZP_AUTO_BUF(file, FILE_BYTES);
	struct zp_err err = {0};

	(void)state;
	manifest__segments_remove(&manifest.runs[1], 0, 1); /* pins of age 5: 0x50 and 0x60 stay */
	manifest__segments_remove(&manifest.runs[0], 0, 1);
	manifest__runs_tidy(&manifest);
	manifest__segments_add(&manifest, ZP_FAMILY_PIN, 3, 5, &made[0], 1);
	manifest__segments_add(&manifest, ZP_FAMILY_PIN, 3, 5, &made[1], 1);
	manifest__encode(&manifest, &file);
	assert_int_equal(manifest__decode(zp_buf_slice(&file), &out, &err), ZP_OK);
	assert_int_equal(out.run_count, 4);
	assert_int_equal(out.runs[0].level, 2);
	assert_int_equal(out.runs[0].age, 5);
	assert_int_equal(out.runs[0].segment_count, 2);
	assert_int_equal(out.runs[0].segments[0].first_key[0], 0x50);
	assert_int_equal(out.runs[1].level, 3);
	assert_int_equal(out.runs[1].age, 5);
	assert_int_equal(out.runs[1].segment_count, 2);
	assert_int_equal(out.runs[1].segments[0].first_key[0], 0x20);
	assert_int_equal(out.runs[1].segments[1].first_key[0], 0x60);
	/* An encoder of its own, so that no zpin that does not know it takes it for damage. */
	assert_int_equal(file.data[field_find(&file, 9, 0) + 2], 1);
	assert_int_equal(file.data[field_find(&file, 9, 1) + 2], 2);
	manifest__done(&manifest);
	manifest__done(&out);
}

/* Two fields that have changed places. */
static void
fields_that_do_not_rise_are_damage(void **state)
{
	struct manifest manifest = example(), out;
	ZP_AUTO_BUF(file, FILE_BYTES);
	ZP_AUTO_BUF(changed, FILE_BYTES);
	struct zp_err err = {0};
	size_t first, second, end;

	(void)state;
	manifest__encode(&manifest, &file);
	first = field_find(&file, 2, 0) - 8;
	second = field_find(&file, 3, 0) - 8;
	end = second + 8 + zp_load_u32le(file.data + second + 4);
	zp_buf_append(&changed, file.data, first);
	zp_buf_append(&changed, file.data + second, end - second);
	zp_buf_append(&changed, file.data + first, second - first);
	zp_buf_append(&changed, file.data + end, file.length - end);
	zp_envelope_end(&changed);
	assert_int_equal(manifest__decode(zp_buf_slice(&changed), &out, &err), ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, "field 2 stands behind field 3"));
	manifest__done(&manifest);
}

/* Each field that stands once: refused when it is missing (where it must be there), twice, or of
 * another length. Unknown fields: a newer zpin's below 0x8000 (never damage, which would be passed
 * over for an older manifest), passed over from there on. */
static void
fields_stand_as_often_as_they_may(void **state)
{
	static const uint16_t once[] = {1, 2, 3, 4, 5, 6, 10, 12, 14};
	struct manifest manifest = example(), out;
	ZP_AUTO_BUF(file, FILE_BYTES);
	ZP_AUTO_BUF(changed, FILE_BYTES);
	struct zp_err err = {0};

	(void)state;
	manifest__encode(&manifest, &file);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(once); i++) {
		size_t begin = field_find(&file, once[i], 0) - 8;
		size_t end = begin + 8 + zp_load_u32le(file.data + begin + 4);
		bool optional = once[i] == 10 || once[i] == 12;

		for (int times = 0; times < 3; times++) {
			zp_buf_clear(&changed);
			zp_buf_append(&changed, file.data, begin);
			for (int n = 0; n < times; n++)
				zp_buf_append(&changed, file.data + begin, end - begin);
			zp_buf_append(&changed, file.data + end, file.length - end);
			zp_envelope_end(&changed);
			if (times == 1 || (times == 0 && optional)) {
				assert_int_equal(
				    manifest__decode(zp_buf_slice(&changed), &out, &err), ZP_OK);
				manifest__done(&out);
			} else {
				assert_int_equal(
				    manifest__decode(zp_buf_slice(&changed), &out, &err),
				    ZP_E_CORRUPT);
			}
		}
		zp_buf_clear(&changed);
		zp_buf_append(&changed, file.data, end);
		zp_store_u32le(changed.data + begin + 4, (uint32_t)(end - begin - 8 + 1));
		zp_buf_append_byte(&changed, 0);
		zp_buf_append(&changed, file.data + end, file.length - end);
		zp_envelope_end(&changed);
		if (once[i] != 12) /* a text */
			assert_int_equal(
			    manifest__decode(zp_buf_slice(&changed), &out, &err), ZP_E_CORRUPT);
	}
	for (unsigned tag = 15; tag <= 0x8000; tag += tag == 15 ? 0x7fff - 15 : 1) {
		manifest__encode(&manifest, &file);
		zp_envelope_field(&file, (uint16_t)tag, "new", 3);
		zp_envelope_end(&file);
		if (tag < 0x8000) {
			assert_int_equal(
			    manifest__decode(zp_buf_slice(&file), &out, &err), ZP_E_VERSION);
			continue;
		}
		assert_int_equal(manifest__decode(zp_buf_slice(&file), &out, &err), ZP_OK);
		example_check(&out);
		manifest__done(&out);
	}
	manifest__done(&manifest);
}

/* Counters of statuses are read back, and none of what never is is taken. */
static void
counters_of_statuses_are_read_back(void **state)
{
	static const struct wrong cases[] = {
	    {18, 1, 0, 7, ZP_E_CORRUPT},                     /* they fall */
	    {18, 0, 0, 0, ZP_E_CORRUPT},                     /* peer 0 */
	    {18, 0, 4, 0, ZP_E_CORRUPT},                     /* status 0 */
	    {18, 1, 4, ZP_TRACK_STATUS_COUNT, ZP_E_VERSION}, /* an unknown one */
	    {18, 0, 8, 0, ZP_E_CORRUPT},                     /* of no rows */
	    {18, 0, 16, 1, ZP_E_CORRUPT},                    /* with a size */
	};
	struct manifest manifest = example(), out;
	ZP_AUTO_BUF(file, FILE_BYTES);

	(void)state;
	manifest__counter_of(&manifest.tracks, &manifest.track_count, 9, 12)->pins = 1;
	manifest__counter_of(&manifest.tracks, &manifest.track_count, 8, 2)->pins = 77;
	manifest__encode(&manifest, &file);
	assert_int_equal(manifest__decode(zp_buf_slice(&file), &out, NULL), ZP_OK);
	assert_int_equal(out.track_count, 2);
	assert_memory_equal(out.tracks, manifest.tracks, 2 * sizeof(out.tracks[0]));
	manifest__done(&out);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		const struct wrong *wrong = &cases[i];

		manifest__encode(&manifest, &file);
		file.data[field_find(&file, wrong->tag, wrong->nth) + wrong->at] = wrong->value;
		zp_envelope_end(&file);
		assert_int_equal(manifest__decode(zp_buf_slice(&file), &out, NULL), wrong->rc);
	}
	manifest__done(&manifest);
}

static void
a_newer_file_is_said_to_be_newer(void **state)
{
	static const size_t offsets[] = {
	    16, 32, 40}; /* version, read-only and incompatible features */
	struct manifest manifest = example(), out;
	ZP_AUTO_BUF(file, FILE_BYTES);
	struct zp_err err = {0};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(offsets); i++) {
		manifest__encode(&manifest, &file);
		file.data[offsets[i]] = 2;
		zp_envelope_end(&file);
		assert_int_equal(manifest__decode(zp_buf_slice(&file), &out, &err), ZP_E_VERSION);
	}
	manifest__encode(&manifest, &file);
	file.data[24] = 1; /* a compatible feature */
	zp_envelope_end(&file);
	assert_int_equal(manifest__decode(zp_buf_slice(&file), &out, &err), ZP_OK);
	manifest__done(&out);
	manifest__done(&manifest);
}

/* ---- Limits --------------------------------------------------------------------------------- */

/* What passes the check decodes; what a reader would refuse never passes. */
static void
limits_of_writer_and_reader_agree(void **state)
{
	struct manifest manifest = example(), out;
	ZP_AUTO_BUF(file, MANIFEST_BYTES_MAX);
	struct zp_err err = {0};

	(void)state;
	while (manifest.run_count < MANIFEST_RUNS_MAX)
		run_add(&manifest, ZP_FAMILY_EXPIRE, 0, 13 + manifest.run_count, 1);
	assert_int_equal(manifest__limits_check(&manifest, &err), ZP_OK);
	manifest__encode(&manifest, &file);
	assert_int_equal(manifest__decode(zp_buf_slice(&file), &out, &err), ZP_OK);
	assert_int_equal(out.run_count, MANIFEST_RUNS_MAX);
	manifest__done(&out);
	run_add(&manifest, ZP_FAMILY_EXPIRE, 0, 13 + manifest.run_count, 1);
	assert_int_equal(manifest__limits_check(&manifest, &err), ZP_E_FULL);
	manifest__encode(&manifest, &file);
	assert_int_equal(manifest__decode(zp_buf_slice(&file), &out, &err), ZP_E_CORRUPT);
	manifest__segments_remove(&manifest.runs[manifest.run_count - 1], 0,
	    manifest.runs[manifest.run_count - 1].segment_count);
	manifest__runs_tidy(&manifest);
	manifest.counter_count = MANIFEST_COUNTERS_MAX + 1;
	assert_int_equal(manifest__limits_check(&manifest, &err), ZP_E_FULL);
	manifest.counter_count = 3;
	manifest.merged_count = MANIFEST_BYTES_MAX / 24;
	assert_int_equal(manifest__limits_check(&manifest, &err), ZP_E_FULL);
	manifest.merged_count = MANIFEST_SEGMENTS_MAX + 1;
	assert_int_equal(manifest__limits_check(&manifest, &err), ZP_E_FULL);
	manifest.merged_count = 2;
	manifest.runs[0].segment_count += MANIFEST_SEGMENTS_MAX;
	assert_int_equal(manifest__limits_check(&manifest, &err), ZP_E_FULL);
	manifest.runs[0].segment_count -= MANIFEST_SEGMENTS_MAX;
	manifest__done(&manifest);
}

static void
names_are_exact(void **state)
{
	static const char *const wrong[] = {"manifest-", "manifest-123",
	    "manifest-000000000000012G", "manifest-000000000000012A",
	    "manifest-0000000000000123.tmp", "manifest-+00000000000012", "manifest--00000000000001",
	    "manifest- 00000000000001", "Manifest-0000000000000123", "manifest-0x00000000000123",
	    ""};
	char name[ZP_FILE_NAME_MAX];
	uint64_t number;

	(void)state;
	manifest__name_format(UINT64_MAX - 5, name);
	assert_true(manifest__name_parse(name, &number));
	assert_true(number == UINT64_MAX - 5);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(wrong); i++)
		assert_false(manifest__name_parse(wrong[i], &number));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(golden_file_is_the_same),
	    cmocka_unit_test(the_next_is_a_copy),
	    cmocka_unit_test(a_contradiction_is_damage),
	    cmocka_unit_test(a_merge_under_way_is_kept),
	    cmocka_unit_test(fields_that_do_not_rise_are_damage),
	    cmocka_unit_test(fields_stand_as_often_as_they_may),
	    cmocka_unit_test(counters_of_statuses_are_read_back),
	    cmocka_unit_test(a_newer_file_is_said_to_be_newer),
	    cmocka_unit_test(limits_of_writer_and_reader_agree),
	    cmocka_unit_test(names_are_exact),
	};

	return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
