/*
 * segment_get.c - one row by its key.
 *
 * Flow:  view.c asks the runs newest first. digest bits → bucket → directory → one read → checksum
 * → slot → remainder and key columns → the other columns of that row only → its texts, by way of
 * the cache.
 */
#include "engine/segment_internal.h"
#include "engine/texts_cache.h"

/* Where the one block is that may hold the key; false when there is none. */
static bool
place_find(const struct segment *segment, const struct zp_key *key, struct block_place *place_out)
{
	const struct segment_layout *layout = &segment->layout;
	uint64_t head = zp_load_u64be(key->digest);
	uint64_t bucket = segment__bucket_of(layout, head);
	struct group_entry group;
	uint64_t offset;
	uint16_t length;

	if (!segment__prefix_matches(layout, head))
		return false;
	group = segment__group(segment, bucket / SEGMENT_GROUP_BLOCKS);
	length = zp_load_u16le(group.lengths + 2 * (bucket % SEGMENT_GROUP_BLOCKS));
	if (length == 0)
		return false;
	if (length == SEGMENT_FENCED) {
		uint8_t bytes[ZP_KEY_BYTES];
		uint64_t first, end;

		zp_key_encode(key, bytes);
		segment__fences_of(segment, bucket, &first, &end);
		*place_out = segment__fence_place(
		    segment, segment__fence_find(segment, first, end, bytes), first);
		return true;
	}
	offset = group.offset;
	for (size_t i = 0; i < bucket % SEGMENT_GROUP_BLOCKS; i++) {
		uint16_t before = zp_load_u16le(group.lengths + 2 * i);

		offset += before == SEGMENT_FENCED ? 0 : before;
	}
	*place_out = (struct block_place){.offset = offset, .length = length, .number = bucket};
	return true;
}

static int
block_read(const struct segment *segment, const struct block_place *place,
    struct segment_scratch *scratch, struct block_view *view_out, struct zp_err *err)
{
	const char *fault;
	uint8_t *to;
	int rc;

	zp_buf_clear(&scratch->block);
	to = zp_buf_reserve(&scratch->block, place->length + BITS_SLACK);
	ZP_ASSERT(to != NULL); /* open checked the length */
	rc = zp_store_file_read(segment->file, place->offset, to, place->length, err);
	if (rc != 0)
		return zp_wrap(err, rc, "%s", segment->label);
	memset(to + place->length, 0, BITS_SLACK);
	fault = block__parse(
	    &segment->layout, to, place->length, place->offset, place->number, view_out);
	return fault == NULL ? 0 : segment__block_fault(segment, place->number, fault, err);
}

/* The columns of the key: 1 equal, 0 not, −1 damaged. */
static int
key_matches(const struct block_view *view, uint32_t row, const struct zp_key *key)
{
	const uint64_t wanted[PIN_KEY_COLUMNS] = {
	    key->kind,
	    key->version,
	    key->codec,
	    key->namespace_id,
	    key->claim,
	};

	for (unsigned i = 0; i < PIN_KEY_COLUMNS; i++) {
		uint64_t value;

		if (!block__column_get(view, i, row, &value))
			return -1;
		if (value != wanted[i])
			return 0;
	}
	return 1;
}

/* Finds the row in its slot. Several rows have one digest when they differ in the rest of the key.
 */
static int
row_find(const struct block_view *view, const struct zp_key *key, uint32_t *row_out)
{
	unsigned slot = segment__slot_of(view->layout, zp_load_u64be(key->digest));
	uint32_t first, end;

	block__slot_rows(view, slot, &first, &end);
	for (uint32_t row = first; row < end; row++) {
		uint8_t digest[32];
		int match;

		block__digest(view, row, slot, digest);
		if (memcmp(digest, key->digest, sizeof(digest)) != 0)
			continue;
		match = key_matches(view, row, key);
		if (match != 0) {
			*row_out = row;
			return match;
		}
	}
	return 0;
}

/* `length` bytes from `begin` on of the texts block at `place`, from the scratch, the cache or the
 * file. */
static int
texts_read(const struct segment *segment, const struct texts_place *place, uint64_t begin,
    uint64_t length, struct segment_scratch *scratch, struct zp_slice *texts_out,
    struct zp_err *err)
{
	const struct texts_cache_place at = {segment->serial, place->offset, place->length};
	enum texts_cache_answer answer = TEXTS_CACHE_MISS;
	int rc;

	if (!texts__is_loaded(segment, place, scratch)) {
		zp_buf_clear(&scratch->row_texts);
		answer =
		    texts_cache__get(segment->texts_cache, &at, begin, length, &scratch->row_texts);
	}
	if (answer == TEXTS_CACHE_HIT) {
		*texts_out = zp_buf_slice(&scratch->row_texts);
		return 0;
	}
	rc = texts__load(segment, place, NULL, scratch, err);
	if (rc != 0)
		return rc;
	if (answer == TEXTS_CACHE_WANTED)
		texts_cache__keep(segment->texts_cache, &at, scratch->texts.data);
	*texts_out = (struct zp_slice){scratch->texts.data + begin, length};
	return 0;
}

static int
texts_get(const struct segment *segment, const struct block_place *place,
    const struct block_view *view, uint32_t row, struct segment_scratch *scratch,
    struct segment_row *row_out, struct zp_err *err)
{
	uint64_t begin, length;
	int rc;

	if (!view->has_texts || !block__texts_of(view, row, &begin, &length))
		return segment__block_fault(
		    segment, place->number, "its text lengths are impossible", err);
	rc = texts_read(segment, &view->texts, begin, length, scratch, &row_out->record.texts, err);
	if (rc != 0)
		return rc;
	rc = zp_texts_check(row_out->record.texts, row_out->key.kind, err);
	return rc == 0
		   ? 0
		   : segment__block_fault(segment, place->number, "a row's texts are damaged", err);
}

int
segment__get(const struct segment *segment, const struct zp_key *key,
    struct segment_scratch *scratch, struct segment_row *row_out, struct zp_err *err)
{
	uint64_t columns[SEGMENT_COLUMNS_MAX];
	struct segment_row row = {.key = *key};
	struct block_place place;
	struct block_view view;
	const char *fault;
	uint32_t index;
	int rc;

	ZP_ASSERT(segment->layout.is_bucketed);
	if (!place_find(segment, key, &place))
		return ZP_E_NOT_FOUND;
	rc = block_read(segment, &place, scratch, &view, err);
	if (rc != 0)
		return rc;
	rc = row_find(&view, key, &index);
	if (rc == 0)
		return ZP_E_NOT_FOUND;
	for (unsigned i = 0; i < SEGMENT_COLUMNS_MAX && rc > 0; i++) {
		if (!block__column_get(&view, i, index, &columns[i]))
			rc = -1;
	}
	if (rc < 0)
		return segment__block_fault(
		    segment, place.number, "a column's bits are damaged", err);
	fault = segment__row_of_columns(columns, &row);
	if (fault != NULL)
		return segment__block_fault(segment, place.number, fault, err);
	if (columns[PIN_TEXTS] > 0) {
		rc = texts_get(segment, &place, &view, index, scratch, &row, err);
		if (rc != 0)
			return rc;
	}
	*row_out = row;
	return 0;
}
