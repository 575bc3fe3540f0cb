/*
 * segment_open.c - opens a segment: footer, header and small sections, each offset and length
 * checked against the file before it is used. Where its blocks are is read later (segment_index.c).
 *
 * Flow:    view.c opens; get, iterate and verify ask for places.
 * Threads: nothing changes after open but the count of users.
 */
#include "engine/segment_dictionary.h"
#include "engine/segment_internal.h"

#include <stdio.h>

static atomic_uint_fast64_t serial_last;

/* ---- Checks of sections --------------------------------------------------------------------- */

/* Sections stand back to back between the groups and the footer. */
static const char *
sections_check(const struct segment_footer *footer, uint64_t bytes)
{
	uint64_t at = footer->sections[SECTION_DIRECTORY].offset;
	uint64_t end = bytes - SEGMENT_FOOTER_BYTES;

	if (at < SEGMENT_HEADER_BYTES + BLOCK_BYTES_MIN || at > end)
		return "the directory is outside the file";
	for (size_t i = 0; i < SECTION_COUNT; i++) {
		if (i == SECTION_DICTIONARY && !segment__has_dictionary(footer))
			break;
		if (footer->sections[i].offset != at || footer->sections[i].length > end - at)
			return "the sections do not follow each other";
		at += footer->sections[i].length;
	}
	return at == end ? NULL : "there are bytes between the sections and the footer";
}

/* ---- Reading -------------------------------------------------------------------------------- */

int
segment__section_read(
    const struct segment *segment, enum segment_section section, uint8_t *to, struct zp_err *err)
{
	const struct segment_section_place *place = &segment->footer.sections[section];
	int rc = 0;

	if (place->length > 0)
		rc = zp_store_file_read(segment->file, place->offset, to, place->length, err);
	if (rc != 0)
		return zp_wrap(err, rc, "section %d", (int)section);
	if (zp_hash64(to, place->length, segment->layout.seed + 1 + section) != place->checksum)
		return zp_fail(
		    err, ZP_E_CORRUPT, "the checksum of section %d is wrong", (int)section);
	return 0;
}

static const char *
columns_decode(struct segment *segment, struct zp_slice section)
{
	struct segment_layout *layout = &segment->layout;

	for (size_t i = 0; i < layout->columns_count; i++) {
		const char *fault =
		    column__section_decode(&section, &layout->codes[i], &layout->ranges[i]);

		if (fault != NULL)
			return fault;
		if (layout->codes[i].is_differences && i != segment__rising_column(layout->family))
			return "a column that need not rise is stored as differences";
		if ((segment->footer.features_incompatible & SEGMENT_FEATURE_SHORT_COLUMNS) == 0 &&
		    (layout->codes[i].is_differences || layout->codes[i].encoder == COLUMN_PREFIX))
			return "a column is stored in a way that the footer does not name";
	}
	segment__layout_ready(layout);
	if (layout->is_bucketed)
		image__layout_init(&segment->image, layout);
	return section.length == 0 ? NULL : "there are bytes behind the columns";
}

static int
columns_read(struct segment *segment, struct zp_err *err)
{
	size_t length = segment->footer.sections[SECTION_COLUMNS].length;
	struct zp_slice section = {.length = length};
	const char *fault;
	uint8_t *bytes;
	int rc;

	/* the largest that version 1 can make; before anything is allocated for it */
	if (length > SEGMENT_COLUMNS_MAX * (32 + COLUMN_DICTIONARY_MAX * (size_t)8))
		return zp_fail(err, ZP_E_CORRUPT, "the columns section is too long");
	bytes = zp_alloc(length + 1);
	section.data = bytes;
	rc = segment__section_read(segment, SECTION_COLUMNS, bytes, err);
	if (rc == 0) {
		fault = columns_decode(segment, section);
		if (fault != NULL)
			rc = zp_fail(err, ZP_E_CORRUPT, "%s", fault);
	}
	zp_free(bytes);
	return rc;
}

static int
filter_read(struct segment *segment, struct zp_err *err)
{
	size_t length = segment->footer.sections[SECTION_FILTER].length;
	const char *fault;
	int rc;

	if (length == 0)
		return 0;
	rc = segment__section_read(
	    segment, SECTION_FILTER, filter__section_room(&segment->filter, length), err);
	if (rc != 0)
		return rc;
	fault = filter__section_adopt(&segment->filter, length, segment->layout.seed);
	if (fault == NULL && segment->filter.blocks_count == 0 &&
	    (segment->footer.features_incompatible & SEGMENT_FEATURE_RIBBON) == 0)
		fault = "the filter is of a kind that the footer does not name";
	return fault == NULL ? 0 : zp_fail(err, ZP_E_CORRUPT, "%s", fault);
}

static int
dictionary_read(struct segment *segment, struct zp_err *err)
{
	size_t length = segment->footer.sections[SECTION_DICTIONARY].length;
	uint8_t *bytes;
	int rc;

	if (length == 0 || length > DICTIONARY_BYTES_MAX)
		return zp_fail(err, ZP_E_CORRUPT, "the texts' dictionary has an impossible length");
	bytes = zp_alloc(length);
	rc = segment__section_read(segment, SECTION_DICTIONARY, bytes, err);
	if (rc == 0)
		rc = texts__dictionary_open(segment, (struct zp_slice){bytes, length}, err);
	zp_free(bytes);
	return rc;
}

static int
sections_read(struct segment *segment, bool with_filter, struct zp_err *err)
{
	const struct segment_section_place *places = segment->footer.sections;
	const char *fault = sections_check(&segment->footer, segment->info.bytes);
	int rc;

	if (fault != NULL)
		return zp_fail(err, ZP_E_CORRUPT, "%s", fault);
	segment->blocks_end = places[SECTION_DIRECTORY].offset;
	rc = segment__index_open(segment, err);
	if (rc == 0 && with_filter)
		rc = filter_read(segment, err);
	if (rc == 0)
		rc = columns_read(segment, err);
	if (rc == 0 && segment__has_dictionary(&segment->footer))
		rc = dictionary_read(segment, err);
	return rc;
}

static int
footer_read(struct segment *segment, struct zp_err *err)
{
	uint8_t header[SEGMENT_HEADER_BYTES], footer[SEGMENT_FOOTER_BYTES];
	struct segment_info *info = &segment->info;
	int rc;

	info->bytes = zp_store_file_bytes(segment->file);
	if (info->bytes < SEGMENT_HEADER_BYTES + BLOCK_BYTES_MIN + SEGMENT_FOOTER_BYTES)
		return zp_fail(
		    err, ZP_E_CORRUPT, "%llu bytes are too few", (unsigned long long)info->bytes);
	rc = zp_store_file_read(
	    segment->file, info->bytes - sizeof(footer), footer, sizeof(footer), err);
	if (rc == 0)
		rc = segment__footer_decode(footer, &segment->footer, err);
	if (rc == 0)
		rc = zp_store_file_read(segment->file, 0, header, sizeof(header), err);
	if (rc == 0)
		rc = segment__header_check(header, &segment->footer, err);
	if (rc != 0)
		return rc;
	info->id = segment->footer.id;
	info->rows = segment->footer.rows;
	info->tombstones = segment->footer.tombstones;
	memcpy(info->first_key, segment->footer.first_key, sizeof(info->first_key));
	memcpy(info->last_key, segment->footer.last_key, sizeof(info->last_key));
	segment__layout_init(&segment->layout, segment->footer.family, segment->footer.prefix_bits,
	    segment->footer.bucket_bits, zp_load_u64be(segment->footer.first_key),
	    segment->footer.id.low);
	return 0;
}

/* Of the keys the manifest keeps the first 48 bytes. */
static int
expected_check(
    const struct segment_info *info, const struct segment_info *expected, struct zp_err *err)
{
	if (info->id.low != expected->id.low || info->id.high != expected->id.high)
		return zp_fail(err, ZP_E_CORRUPT, "it is another segment than the manifest names");
	if (info->bytes != expected->bytes || info->rows != expected->rows ||
	    info->tombstones != expected->tombstones ||
	    memcmp(info->first_key, expected->first_key, 48) != 0 ||
	    memcmp(info->last_key, expected->last_key, 48) != 0)
		return zp_fail(err, ZP_E_CORRUPT, "it is not as the manifest describes it");
	return 0;
}

static void
segment_free(struct segment *segment)
{
	zp_store_file_close(segment->file);
	segment__layout_done(&segment->layout);
	filter__done(&segment->filter);
	texts__dictionary_close(segment);
	segment__index_close(segment);
	zp_free(segment);
}

static int
segment_open(struct zp_store *store, const struct segment_name *name,
    const struct segment_info *expected, bool with_filter, struct segment **segment_out,
    struct zp_err *err)
{
	struct segment *segment = zp_alloc_zero(1, sizeof(*segment));
	char file_name[ZP_FILE_NAME_MAX];
	int rc;

	segment__name_format(name, file_name);
	snprintf(segment->label, sizeof(segment->label), "segment %s", file_name);
	segment->info.name = *name;
	segment->serial = atomic_fetch_add(&serial_last, 1) + 1;
	atomic_init(&segment->users, 1);
	rc = zp_store_file_open(store, file_name, &segment->file, err);
	if (rc == 0)
		rc = footer_read(segment, err);
	if (rc == 0 && expected != NULL)
		rc = expected_check(&segment->info, expected, err);
	if (rc == 0)
		rc = sections_read(segment, with_filter, err);
	if (rc != 0) {
		rc = zp_wrap(err, rc, "%s", segment->label);
		segment_free(segment);
		return rc;
	}
	*segment_out = segment;
	return 0;
}

int
segment__open(struct zp_store *store, const struct segment_name *name,
    const struct segment_info *expected, struct segment **segment_out, struct zp_err *err)
{
	return segment_open(store, name, expected, true, segment_out, err);
}

int
segment__open_unfiltered(struct zp_store *store, const struct segment_name *name,
    const struct segment_info *expected, struct segment **segment_out, struct zp_err *err)
{
	return segment_open(store, name, expected, false, segment_out, err);
}

void
segment__caches_set(
    struct segment *segment, struct zp_texts_cache *texts, struct zp_block_cache *blocks)
{
	segment->texts_cache = texts;
	segment->block_cache = blocks;
}

struct segment *
segment__hold(struct segment *segment)
{
	atomic_fetch_add_explicit(&segment->users, 1, memory_order_relaxed);
	return segment;
}

void
segment__release(struct segment *segment)
{
	if (segment != NULL &&
	    atomic_fetch_sub_explicit(&segment->users, 1, memory_order_acq_rel) == 1)
		segment_free(segment);
}

const struct segment_info *
segment__info(const struct segment *segment)
{
	return &segment->info;
}

enum zp_family
segment__family(const struct segment *segment)
{
	return segment->layout.family;
}

uint64_t
segment__memory_bytes(const struct segment *segment)
{
	return sizeof(*segment) + segment__index_bytes(segment) +
	       (segment->filter.memory == NULL ? 0
					       : segment->footer.sections[SECTION_FILTER].length) +
	       segment->footer.sections[SECTION_COLUMNS].length + texts__dictionary_bytes(segment);
}

bool
segment__may_contain(const struct segment *segment, const struct zp_key *key)
{
	struct filter_key asked;
	uint8_t bytes[ZP_KEY_BYTES];

	ZP_ASSERT(segment__has_filter(segment->layout.family));
	if (segment->filter.memory == NULL)
		return true;
	zp_key_encode(key, bytes);
	asked = filter__key(bytes);
	return filter__may_contain(&segment->filter, &asked);
}
