/*
 * segment_get.c - one row by its key.
 *
 * Flow:  read.c asks the runs newest first. digest bits → bucket → the block's image, in memory or
 * made of the block, which takes the directory, one read and its checksum → slot → the row: its
 * digest, then its columns → its texts, by way of their cache.
 */
#include "engine/segment_internal.h"
#include "engine/texts_cache.h"

/*
 * Under this number the cache has the blocks of a bucket that has several: the first of them has
 * the bucket's own number, under which only a block that is all of its bucket may be found.
 */
#define CACHE_FENCED (UINT64_C(1) << 63)

/* The one block that may hold the key, or ZP_E_NOT_FOUND. */
static int
place_find(const struct segment *segment, const struct zp_key *key, struct block_wanted *wanted_out,
    struct zp_err *err)
{
	const struct segment_layout *layout = &segment->layout;
	uint64_t head = zp_load_u64be(key->digest);
	uint64_t bucket = segment__bucket_of(layout, head);
	struct group_entry group;
	uint64_t offset;
	uint16_t length;
	int rc;

	if (!segment__prefix_matches(layout, head))
		return ZP_E_NOT_FOUND;
	rc = segment__index_load(segment, err);
	if (rc != 0)
		return rc;
	group = segment__group(segment, bucket / SEGMENT_GROUP_BLOCKS);
	length = zp_load_u16le(group.lengths + 2 * (bucket % SEGMENT_GROUP_BLOCKS));
	if (length == 0)
		return ZP_E_NOT_FOUND;
	if (length == SEGMENT_FENCED) {
		uint8_t bytes[ZP_KEY_BYTES];
		uint64_t first, end;

		zp_key_encode(key, bytes);
		segment__fences_of(segment, bucket, &first, &end);
		wanted_out->place = segment__fence_place(
		    segment, segment__fence_find(segment, first, end, bytes), first);
		wanted_out->cache_number = wanted_out->place.number | CACHE_FENCED;
		return 0;
	}
	offset = group.offset;
	for (size_t i = 0; i < bucket % SEGMENT_GROUP_BLOCKS; i++) {
		uint16_t before = zp_load_u16le(group.lengths + 2 * i);

		offset += before == SEGMENT_FENCED ? 0 : before;
	}
	wanted_out->place =
	    (struct block_place){.offset = offset, .length = length, .number = bucket};
	wanted_out->cache_number = bucket;
	return 0;
}

/* The image's rows that may be the key's. */
static void
slot_open(struct segment_probe *probe, const struct block_image *image)
{
	uint32_t first = probe->slot == 0 ? 0 : image->ends[probe->slot - 1];

	probe->image = image;
	probe->row = image__row(&probe->segment->image, image, first);
	probe->rows = image->ends[probe->slot] - first;
}

/* The images that are in memory hold no faults. */
static const struct block_image *
entry_image(const struct block_cache_entry *entry)
{
	return (const struct block_image *)entry->content;
}

/* The image that was made last. */
static const struct block_image *
scratch_image(const struct segment_scratch *scratch)
{
	return entry_image((const struct block_cache_entry *)scratch->image.data);
}

/* Makes the image of the block whose bytes are in the scratch, with a copy for the cache; or, where
 * that does not want it, of the slot alone. */
static int
image_make(const struct segment *segment, const struct block_wanted *wanted, unsigned slot,
    struct segment_scratch *scratch, struct zp_err *err)
{
	const struct block_place *place = &wanted->place;
	struct block_cache_entry head = {.serial = segment->serial, .number = wanted->cache_number};
	struct block_cache_entry *entry;
	struct block_view view;
	const char *fault;
	uint8_t *bytes = scratch->block.data;

	memset(bytes + place->length, 0, BITS_SLACK);
	fault = block__parse(
	    &segment->layout, bytes, place->length, place->offset, place->number, &view);
	zp_buf_clear(&scratch->image);
	zp_buf_append(&scratch->image, &head, sizeof(head));
	scratch->image_is_whole =
	    block_cache__wants(segment->block_cache, segment->serial, wanted->cache_number);
	if (fault == NULL)
		fault = image__make(&segment->image, &view,
		    scratch->image_is_whole ? IMAGE_SLOTS : slot, &scratch->image);
	if (fault != NULL)
		return segment__block_fault(segment, place->number, fault, err);
	entry = (struct block_cache_entry *)scratch->image.data;
	entry->bytes = (uint32_t)(scratch->image.length - sizeof(head));
	if (scratch->image_is_whole)
		block_cache__keep(segment->block_cache, entry);
	return 0;
}

/* Where a block's bytes go. */
static uint8_t *
block_room(const struct block_wanted *wanted, struct segment_scratch *scratch)
{
	uint8_t *bytes;

	zp_buf_clear(&scratch->block);
	bytes = zp_buf_reserve(&scratch->block, wanted->place.length + BITS_SLACK);
	ZP_ASSERT(bytes != NULL); /* open checked the length */
	return bytes;
}

static int
block_read(struct segment_probe *probe, const struct block_wanted *wanted,
    struct segment_scratch *scratch, struct zp_err *err)
{
	const struct segment *segment = probe->segment;
	int rc = zp_store_file_read(segment->file, wanted->place.offset,
	    block_room(wanted, scratch), wanted->place.length, err);

	if (rc != 0)
		return segment__block_wrap(segment, wanted->place.number, rc, err);
	rc = image_make(segment, wanted, probe->slot, scratch, err);
	if (rc == 0)
		slot_open(probe, scratch_image(scratch));
	return rc;
}

static bool
key_matches(const uint64_t *columns, const struct zp_key *key)
{
	return columns[PIN_KIND] == key->kind && columns[PIN_VERSION] == key->version &&
	       columns[PIN_CODEC] == key->codec && columns[PIN_NAMESPACE] == key->namespace_id &&
	       columns[PIN_CLAIM] == key->claim;
}

/* Finds the row in its slot, and takes its columns. Several rows have one digest when they differ
 * in the rest of the key. */
static bool
row_find(struct segment_probe *probe, uint64_t columns_out[SEGMENT_COLUMNS_MAX])
{
	const struct image_layout *layout = &probe->segment->image;

	for (; probe->rows > 0; probe->rows--, probe->row += layout->row_bytes) {
		if (!image__digest_is(layout, probe->row, probe->key->digest))
			continue;
		image__columns(layout, probe->row, columns_out);
		if (key_matches(columns_out, probe->key))
			return true;
	}
	return false;
}

static int
texts_check(const struct segment *segment, const struct texts_wanted *wanted, uint8_t kind,
    struct zp_slice texts, struct zp_err *err)
{
	return zp_texts_check(texts, kind, err) == 0
		   ? 0
		   : segment__block_fault(segment, wanted->block, "a row's texts are damaged", err);
}

/* From the scratch or the cache: false when they are in neither. */
static bool
texts_find(const struct segment *segment, struct texts_wanted *wanted,
    struct segment_scratch *scratch, struct zp_slice *texts_out)
{
	const struct texts_cache_place at = {
	    segment->serial, wanted->place.offset, wanted->place.length};
	enum texts_cache_answer answer;

	wanted->is_kept = false;
	if (texts__is_loaded(segment, &wanted->place, scratch)) {
		*texts_out = (struct zp_slice){scratch->texts.data + wanted->begin, wanted->length};
		return true;
	}
	zp_buf_clear(&scratch->row_texts);
	answer = texts_cache__get(
	    segment->texts_cache, &at, wanted->begin, wanted->length, &scratch->row_texts);
	wanted->is_kept = answer == TEXTS_CACHE_WANTED;
	*texts_out = zp_buf_slice(&scratch->row_texts);
	return answer == TEXTS_CACHE_HIT;
}

int
segment__texts_get(const struct segment *segment, const struct texts_wanted *wanted, uint8_t kind,
    const uint8_t *bytes, struct segment_scratch *scratch, struct zp_slice *texts_out,
    struct zp_err *err)
{
	const struct texts_cache_place at = {
	    segment->serial, wanted->place.offset, wanted->place.length};
	struct zp_slice texts;
	int rc = texts__load(segment, &wanted->place, bytes, scratch, err);

	if (rc != 0)
		return segment__block_wrap(segment, wanted->block, rc, err);
	if (wanted->is_kept)
		texts_cache__keep(segment->texts_cache, &at, scratch->texts.data);
	texts = (struct zp_slice){scratch->texts.data + wanted->begin, wanted->length};
	rc = texts_check(segment, wanted, kind, texts, err);
	if (rc == 0)
		*texts_out = texts;
	return rc;
}

/* ---- The steps ------------------------------------------------------------------------------ */

void
probe__begin(struct segment_probe *probe, const struct segment *segment, const struct zp_key *key)
{
	const struct segment_layout *layout = &segment->layout;
	uint64_t head = zp_load_u64be(key->digest);

	ZP_ASSERT(layout->is_bucketed);
	probe->segment = segment;
	probe->key = key;
	probe->entry = NULL;
	probe->image = NULL;
	probe->bucket = segment__bucket_of(layout, head);
	probe->slot = (uint8_t)segment__slot_of(layout, head);
	probe->is_outside = !segment__prefix_matches(layout, head);
	if (!probe->is_outside)
		block_cache__prefetch(segment->block_cache, segment->serial, probe->bucket);
}

void
probe__find(struct segment_probe *probe)
{
	const struct segment *segment = probe->segment;
	const struct block_image *image;

	if (probe->is_outside)
		return;
	/* Those of a bucket that has many are found by their fences (block_find). */
	probe->entry = block_cache__candidate(segment->block_cache, segment->serial, probe->bucket);
	if (probe->entry == NULL)
		return;
	image = entry_image(probe->entry);
	__builtin_prefetch(probe->entry);
	__builtin_prefetch(&image->ends[probe->slot]);
}

void
probe__locate(struct segment_probe *probe)
{
	const struct segment *segment = probe->segment;

	if (probe->entry == NULL)
		return;
	if (!block_cache__is(probe->entry, segment->serial, probe->bucket))
		probe->entry =
		    block_cache__find(segment->block_cache, segment->serial, probe->bucket);
	if (probe->entry == NULL)
		return;
	slot_open(probe, entry_image(probe->entry));
	if (probe->rows > 0) {
		__builtin_prefetch(probe->row);
		__builtin_prefetch(probe->row + segment->image.row_bytes - 1);
	}
}

/* The block is not in memory, or not under its bucket's number. 0: it has been opened, or is to be
 * read (*wanted_out), as the probe's image says. */
static int
block_find(struct segment_probe *probe, struct block_wanted *wanted_out, struct zp_err *err)
{
	const struct segment *segment = probe->segment;
	int rc = place_find(segment, probe->key, wanted_out, err);

	if (rc != 0)
		return rc;
	if ((wanted_out->cache_number & CACHE_FENCED) != 0)
		probe->entry = block_cache__find(
		    segment->block_cache, segment->serial, wanted_out->cache_number);
	if (probe->entry != NULL)
		slot_open(probe, entry_image(probe->entry));
	return 0;
}

/* The row of an opened slot. Where its texts are in the file only, *texts_out says so. */
static int
row_get(struct segment_probe *probe, struct segment_scratch *scratch, struct segment_row *row_out,
    struct texts_wanted *texts_out, struct zp_err *err)
{
	const struct segment *segment = probe->segment;
	uint64_t columns[SEGMENT_COLUMNS_MAX];
	const char *fault;

	texts_out->length = 0;
	if (!row_find(probe, columns))
		return ZP_E_NOT_FOUND;
	memcpy(row_out->key.digest, probe->key->digest, sizeof(row_out->key.digest));
	fault = segment__row_of_columns(columns, row_out);
	if (fault != NULL)
		return segment__block_fault(segment, probe->image->number, fault, err);
	if (columns[PIN_TEXTS] == 0)
		return 0;
	*texts_out = (struct texts_wanted){.place = probe->image->texts,
	    .begin = image__field(&segment->image.texts_begin, probe->row),
	    .length = columns[PIN_TEXTS],
	    .block = probe->image->number};
	if (!texts_find(segment, texts_out, scratch, &row_out->record.texts))
		return 0;
	texts_out->length = 0;
	return texts_check(segment, texts_out, row_out->key.kind, row_out->record.texts, err);
}

int
probe__end_without(struct segment_probe *probe, struct segment_scratch *scratch,
    struct segment_row *row_out, struct texts_wanted *texts_out, struct zp_err *err)
{
	struct block_wanted wanted;
	int rc = probe->is_outside ? ZP_E_NOT_FOUND : 0;

	if (rc == 0 && probe->image == NULL)
		rc = block_find(probe, &wanted, err);
	if (rc == 0 && probe->image == NULL)
		rc = block_read(probe, &wanted, scratch, err);
	return rc == 0 ? row_get(probe, scratch, row_out, texts_out, err) : rc;
}

bool
segment__block_wanted(
    const struct segment *segment, const struct zp_key *key, struct block_wanted *wanted_out)
{
	return place_find(segment, key, wanted_out, NULL) == 0 &&
	       block_cache__find(segment->block_cache, segment->serial, wanted_out->cache_number) ==
		   NULL;
}

int
segment__block_give(const struct segment *segment, const struct block_wanted *wanted,
    const struct zp_key *key, const uint8_t *bytes, struct segment_scratch *scratch,
    struct zp_err *err)
{
	unsigned slot = segment__slot_of(&segment->layout, zp_load_u64be(key->digest));

	memcpy(block_room(wanted, scratch), bytes, wanted->place.length);
	return image_make(segment, wanted, slot, scratch, err);
}

int
segment__get_given(const struct segment *segment, const struct zp_key *key,
    struct segment_scratch *scratch, struct segment_row *row_out, struct texts_wanted *texts_out,
    struct zp_err *err)
{
	uint64_t head = zp_load_u64be(key->digest);
	struct segment_probe probe = {.segment = segment,
	    .key = key,
	    .slot = (uint8_t)segment__slot_of(&segment->layout, head)};

	slot_open(&probe, scratch_image(scratch));
	return row_get(&probe, scratch, row_out, texts_out, err);
}

int
segment__get(const struct segment *segment, const struct zp_key *key,
    struct segment_scratch *scratch, struct segment_row *row_out, struct zp_err *err)
{
	struct block_cache_visit *visit;
	struct segment_probe probe;
	struct block_wanted wanted;
	struct texts_wanted texts;
	int rc = 0;

	probe__begin(&probe, segment, key);
	if (probe.is_outside)
		return ZP_E_NOT_FOUND;
	visit = block_cache__enter(segment->block_cache);
	probe__find(&probe);
	probe__locate(&probe);
	if (probe.image == NULL) {
		block_cache__leave(visit); /* while the disk may have to be waited for */
		rc = segment__index_load(segment, err);
		visit = block_cache__enter(segment->block_cache);
		if (rc == 0)
			rc = block_find(&probe, &wanted, err);
	}
	if (rc == 0 && probe.image == NULL) {
		block_cache__leave(visit);
		visit = NULL;
		rc = block_read(&probe, &wanted, scratch, err);
	}
	if (rc == 0)
		rc = row_get(&probe, scratch, row_out, &texts, err);
	block_cache__leave(visit);
	if (rc == 0 && texts.length > 0)
		rc = segment__texts_get(
		    segment, &texts, key->kind, NULL, scratch, &row_out->record.texts, err);
	return rc;
}
