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

/* Where the one block is that may hold the key, and its number for the cache; false when there is
 * none. */
static bool
place_find(const struct segment *segment, const struct zp_key *key, struct block_place *place_out,
    uint64_t *cache_number_out)
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
		*cache_number_out = place_out->number | CACHE_FENCED;
		return true;
	}
	offset = group.offset;
	for (size_t i = 0; i < bucket % SEGMENT_GROUP_BLOCKS; i++) {
		uint16_t before = zp_load_u16le(group.lengths + 2 * i);

		offset += before == SEGMENT_FENCED ? 0 : before;
	}
	*place_out = (struct block_place){.offset = offset, .length = length, .number = bucket};
	*cache_number_out = bucket;
	return true;
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

/* Reads the block and makes its image in the scratch, with a copy for the cache. */
static int
block_read(struct segment_probe *probe, const struct block_place *place, uint64_t cache_number,
    struct segment_scratch *scratch, struct zp_err *err)
{
	const struct segment *segment = probe->segment;
	struct block_cache_entry head = {.serial = segment->serial, .number = cache_number};
	struct block_cache_entry *entry;
	struct block_view view;
	const char *fault;
	uint8_t *bytes;
	int rc;

	zp_buf_clear(&scratch->block);
	bytes = zp_buf_reserve(&scratch->block, place->length + BITS_SLACK);
	ZP_ASSERT(bytes != NULL); /* open checked the length */
	rc = zp_store_file_read(segment->file, place->offset, bytes, place->length, err);
	if (rc != 0)
		return segment__block_wrap(segment, place->number, rc, err);
	memset(bytes + place->length, 0, BITS_SLACK);
	fault = block__parse(
	    &segment->layout, bytes, place->length, place->offset, place->number, &view);
	zp_buf_clear(&scratch->image);
	zp_buf_append(&scratch->image, &head, sizeof(head));
	if (fault == NULL)
		fault = image__make(&segment->image, &view, &scratch->image);
	if (fault != NULL)
		return segment__block_fault(segment, place->number, fault, err);
	entry = (struct block_cache_entry *)scratch->image.data;
	entry->bytes = (uint32_t)(scratch->image.length - sizeof(head));
	block_cache__keep(segment->block_cache, entry);
	slot_open(probe, entry_image(entry));
	return 0;
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
texts_get(const struct segment_probe *probe, uint64_t length, struct segment_scratch *scratch,
    struct segment_row *row_out, struct zp_err *err)
{
	const struct segment *segment = probe->segment;
	uint64_t begin = image__field(&segment->image.texts_begin, probe->row);
	uint64_t number = probe->image->number;
	int rc = texts_read(
	    segment, &probe->image->texts, begin, length, scratch, &row_out->record.texts, err);

	if (rc != 0)
		return segment__block_wrap(segment, number, rc, err);
	rc = zp_texts_check(row_out->record.texts, row_out->key.kind, err);
	return rc == 0 ? 0
		       : segment__block_fault(segment, number, "a row's texts are damaged", err);
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
	probe->ref = (struct block_cache_ref){0};
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
	/* Those of a bucket that has many are found by their fences (block_fetch). */
	probe->ref = block_cache__candidate(segment->block_cache, segment->serial, probe->bucket);
	if (probe->ref.entry == NULL)
		return;
	image = entry_image(probe->ref.entry);
	__builtin_prefetch(probe->ref.entry);
	__builtin_prefetch(&image->ends[probe->slot]);
}

void
probe__locate(struct segment_probe *probe)
{
	const struct segment *segment = probe->segment;

	if (probe->ref.entry == NULL)
		return;
	if (!block_cache__is(probe->ref, segment->serial, probe->bucket)) {
		block_cache__release(probe->ref);
		probe->ref =
		    block_cache__find(segment->block_cache, segment->serial, probe->bucket);
		if (probe->ref.entry == NULL)
			return;
	}
	slot_open(probe, entry_image(probe->ref.entry));
	if (probe->rows > 0) {
		__builtin_prefetch(probe->row);
		__builtin_prefetch(probe->row + segment->image.row_bytes - 1);
	}
}

/* The block is not in memory, or not under its bucket's number. */
static int
block_fetch(struct segment_probe *probe, struct segment_scratch *scratch, struct zp_err *err)
{
	const struct segment *segment = probe->segment;
	struct block_place place;
	uint64_t cache_number;

	if (!place_find(segment, probe->key, &place, &cache_number))
		return ZP_E_NOT_FOUND;
	if ((cache_number & CACHE_FENCED) != 0)
		probe->ref = block_cache__find(segment->block_cache, segment->serial, cache_number);
	if (probe->ref.entry == NULL)
		return block_read(probe, &place, cache_number, scratch, err);
	slot_open(probe, entry_image(probe->ref.entry));
	return 0;
}

static int
row_get(struct segment_probe *probe, struct segment_scratch *scratch, struct segment_row *row_out,
    struct zp_err *err)
{
	uint64_t columns[SEGMENT_COLUMNS_MAX];
	const char *fault;

	if (!row_find(probe, columns))
		return ZP_E_NOT_FOUND;
	memcpy(row_out->key.digest, probe->key->digest, sizeof(row_out->key.digest));
	fault = segment__row_of_columns(columns, row_out);
	if (fault != NULL)
		return segment__block_fault(probe->segment, probe->image->number, fault, err);
	return columns[PIN_TEXTS] > 0 ? texts_get(probe, columns[PIN_TEXTS], scratch, row_out, err)
				      : 0;
}

int
probe__end(struct segment_probe *probe, struct segment_scratch *scratch,
    struct segment_row *row_out, struct zp_err *err)
{
	int rc = probe->is_outside ? ZP_E_NOT_FOUND : 0;

	if (rc == 0 && probe->image == NULL)
		rc = block_fetch(probe, scratch, err);
	if (rc == 0)
		rc = row_get(probe, scratch, row_out, err);
	block_cache__release(probe->ref);
	return rc;
}

void
segment__want(const struct segment *segment, const struct zp_key *key)
{
	struct block_cache_ref ref;
	struct block_place place;
	uint64_t cache_number;

	if (!place_find(segment, key, &place, &cache_number))
		return;
	ref = block_cache__find(segment->block_cache, segment->serial, cache_number);
	block_cache__release(ref);
	if (ref.entry == NULL)
		zp_store_file_want(segment->file, place.offset, place.length);
}

int
segment__get(const struct segment *segment, const struct zp_key *key,
    struct segment_scratch *scratch, struct segment_row *row_out, struct zp_err *err)
{
	struct segment_probe probe;

	probe__begin(&probe, segment, key);
	probe__find(&probe);
	probe__locate(&probe);
	return probe__end(&probe, scratch, row_out, err);
}
