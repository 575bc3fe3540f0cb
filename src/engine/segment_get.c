/*
 * segment_get.c - one row by its key.
 *
 * Flow:  read.c asks the runs newest first. digest bits → bucket → the block, in memory or by way
 * of the directory, one read and its checksum → slot → remainder and key columns → the other
 * columns of that row only → its texts, by way of their cache.
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

/* Takes the rows of the key's slot. */
static void
slot_open(struct segment_probe *probe)
{
	block__slot_rows(&probe->view, segment__slot_of(&probe->segment->layout, probe->words[0]),
	    &probe->first, &probe->end);
}

/* Leaves a copy to the cache. */
static void
block_keep(const struct segment *segment, const struct block_place *place, uint64_t cache_number,
    const struct block_view *view, const uint8_t *bytes)
{
	struct block_cache_entry head = {.serial = segment->serial,
	    .number = cache_number,
	    .offset = place->offset,
	    .length = place->length,
	    .marks_count = block__marks_count(view)};
	uint32_t marks[BLOCK_MARKS_MAX];

	/* One with damaged payloads stays out: each of its rows is told for itself. */
	if (segment->block_cache != NULL && block__marks_make(view, marks) == NULL)
		block_cache__keep(segment->block_cache, &head, bytes, marks);
}

/* Reads the block into the scratch. */
static int
block_read(struct segment_probe *probe, const struct block_place *place, uint64_t cache_number,
    struct segment_scratch *scratch, struct zp_err *err)
{
	const struct segment *segment = probe->segment;
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
	    &segment->layout, bytes, place->length, place->offset, place->number, &probe->view);
	if (fault != NULL)
		return segment__block_fault(segment, place->number, fault, err);
	block_keep(segment, place, cache_number, &probe->view, bytes);
	slot_open(probe);
	return 0;
}

/* Takes the block apart that the probe holds. */
static int
block_open(struct segment_probe *probe, struct zp_err *err)
{
	const struct segment *segment = probe->segment;
	const struct block_cache_entry *entry = probe->ref.entry;
	uint64_t number = entry->number & ~CACHE_FENCED;
	const char *fault = block__reopen(&segment->layout, block_cache__entry_block(entry),
	    entry->length, entry->offset, number, &probe->view);

	if (fault != NULL) /* its bytes were whole when they came in */
		return segment__block_fault(segment, number, fault, err);
	probe->view.marks = entry->marks;
	slot_open(probe);
	return 0;
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
		uint64_t value = view->constants[i];

		if ((view->places->varying >> i & 1) != 0 &&
		    !block__column_get(view, i, row, &value))
			return -1;
		if (value != wanted[i])
			return 0;
	}
	return 1;
}

/* Finds the row in its slot. Several rows have one digest when they differ in the rest of the key.
 */
static int
row_find(const struct segment_probe *probe, uint32_t *row_out)
{
	for (uint32_t row = probe->first; row < probe->end; row++) {
		int match;

		if (!block__digest_is(&probe->view, row, probe->words))
			continue;
		match = key_matches(&probe->view, row, probe->key);
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
texts_get(const struct segment_probe *probe, uint32_t row, struct segment_scratch *scratch,
    struct segment_row *row_out, struct zp_err *err)
{
	const struct segment *segment = probe->segment;
	const struct block_view *view = &probe->view;
	uint64_t number = view->number, begin, length;
	int rc;

	if (!view->has_texts || !block__texts_of(view, row, &begin, &length))
		return segment__block_fault(
		    segment, number, "its text lengths are impossible", err);
	rc = texts_read(segment, &view->texts, begin, length, scratch, &row_out->record.texts, err);
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

	ZP_ASSERT(layout->is_bucketed);
	probe->segment = segment;
	probe->key = key;
	probe->ref = (struct block_cache_ref){0};
	for (size_t i = 0; i < 4; i++)
		probe->words[i] = zp_load_u64be(key->digest + 8 * i);
	probe->is_outside = !segment__prefix_matches(layout, probe->words[0]);
	if (!probe->is_outside)
		block_cache__prefetch(segment->block_cache, segment->serial,
		    segment__bucket_of(layout, probe->words[0]));
}

void
probe__find(struct segment_probe *probe)
{
	const struct segment *segment = probe->segment;

	if (probe->is_outside)
		return;
	/* Those of a bucket that has many are found by their fences (block_fetch). */
	probe->ref = block_cache__find(segment->block_cache, segment->serial,
	    segment__bucket_of(&segment->layout, probe->words[0]));
	if (probe->ref.entry != NULL) {
		__builtin_prefetch(probe->ref.entry);
		__builtin_prefetch((const uint8_t *)probe->ref.entry + 64);
		__builtin_prefetch((const uint8_t *)probe->ref.entry + 128);
	}
}

void
probe__locate(struct segment_probe *probe)
{
	probe->rc = probe->is_outside ? ZP_E_NOT_FOUND : 0;
	if (probe->ref.entry == NULL)
		return;
	probe->rc = block_open(probe, NULL);
	if (probe->rc == 0 && probe->first < probe->end)
		block__row_prefetch(&probe->view, probe->first);
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
	return probe->ref.entry != NULL ? block_open(probe, err)
					: block_read(probe, &place, cache_number, scratch, err);
}

static int
row_get(struct segment_probe *probe, struct segment_scratch *scratch, struct segment_row *row_out,
    struct zp_err *err)
{
	uint64_t columns[SEGMENT_COLUMNS_MAX];
	uint64_t number = probe->view.number;
	const char *fault;
	uint32_t index;
	int found = row_find(probe, &index);

	if (found == 0)
		return ZP_E_NOT_FOUND;
	if (found < 0 || !block__columns_get(&probe->view, index, columns))
		return segment__block_fault(
		    probe->segment, number, "a column's bits are damaged", err);
	memcpy(row_out->key.digest, probe->key->digest, sizeof(row_out->key.digest));
	fault = segment__row_of_columns(columns, row_out);
	if (fault != NULL)
		return segment__block_fault(probe->segment, number, fault, err);
	return columns[PIN_TEXTS] > 0 ? texts_get(probe, index, scratch, row_out, err) : 0;
}

int
probe__end(struct segment_probe *probe, struct segment_scratch *scratch,
    struct segment_row *row_out, struct zp_err *err)
{
	int rc = probe->rc;

	if (rc == 0 && probe->ref.entry == NULL)
		rc = block_fetch(probe, scratch, err);
	if (rc == 0)
		rc = row_get(probe, scratch, row_out, err);
	block_cache__release(probe->ref);
	return rc;
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
