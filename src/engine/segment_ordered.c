/*
 * segment_ordered.c - the directory of an ordered segment, most of which stays in the file.
 *
 * Flow:   segment_index.c has it read once, piece by piece, and all of it checked; of each part of
 * 128 blocks the first row's key and a hash stay in memory: 0.08 bits a row of family time instead
 * of 4. Iterators read the parts that they come to. Safety: a part that is read again must be, byte
 * for byte, what was checked.
 */
#include "engine/segment_internal.h"

#define PART_BLOCKS 128u
#define ENTRY_BYTES_MAX (16u + 8u * SEGMENT_KEY_COLUMNS_MAX)

static size_t
entry_bytes(const struct segment *segment)
{
	return 16 + 8 * segment__key_columns(segment->layout.family);
}

static uint64_t
parts_count(const struct segment *segment)
{
	return (segment->footer.blocks + PART_BLOCKS - 1) / PART_BLOCKS;
}

static size_t
part_blocks(const struct segment *segment, uint64_t part)
{
	return (size_t)zp_min_u64(PART_BLOCKS, segment->footer.blocks - part * PART_BLOCKS);
}

static uint64_t
part_hash(const struct segment *segment, uint64_t part, const uint8_t *bytes, size_t length)
{
	return zp_hash64(bytes, length, segment->layout.seed ^ part);
}

static int
part_read(const struct segment *segment, uint64_t part, uint8_t *bytes, struct zp_err *err)
{
	return zp_store_file_read(segment->file,
	    segment->footer.sections[SECTION_DIRECTORY].offset +
		part * PART_BLOCKS * entry_bytes(segment),
	    bytes, part_blocks(segment, part) * entry_bytes(segment), err);
}

static struct block_place
entry_place(const uint8_t *entry, uint64_t block)
{
	return (struct block_place){
	    .offset = zp_load_u64le(entry),
	    .length = zp_load_u32le(entry + 8),
	    .number = block,
	};
}

static void
entry_first(const struct segment *segment, const uint8_t *entry, uint64_t *columns_out)
{
	memcpy(columns_out, entry + 16, 8 * segment__key_columns(segment->layout.family));
}

/* ---- In memory ------------------------------------------------------------------------------- */

/* Words that stay of each part: the hash of its bytes, then the key columns of its first row. */
static size_t
part_words(const struct segment *segment)
{
	return 1 + segment__key_columns(segment->layout.family);
}

static const uint64_t *
words_of(const struct segment *segment, uint64_t part)
{
	return (const uint64_t *)segment__index(segment) + part * part_words(segment);
}

/* ---- Reading it ------------------------------------------------------------------------------ */

/* What holds between one entry and the next. */
struct ordered_check {
	uint64_t at; /* behind the last block */
	bool has_last;
	uint64_t last[SEGMENT_KEY_COLUMNS_MAX];
};

static const char *
entry_check(const struct segment *segment, const uint8_t *entry, struct ordered_check *check)
{
	struct block_place place = entry_place(entry, 0);
	size_t columns = segment__key_columns(segment->layout.family);
	uint64_t first[SEGMENT_KEY_COLUMNS_MAX];

	entry_first(segment, entry, first);
	/* Between blocks there is nothing but texts. */
	if (segment->layout.texts_column == 0 ? place.offset != check->at
					      : place.offset < check->at)
		return "a block is not where it can be";
	if (place.offset > segment->blocks_end || place.length < BLOCK_BYTES_MIN ||
	    place.length > BLOCK_BYTES_MAX || place.length > segment->blocks_end - place.offset)
		return "a block is outside the file";
	if (check->has_last && segment__columns_compare(check->last, first, columns) >= 0)
		return "the directory is out of order";
	memcpy(check->last, first, sizeof(first[0]) * columns);
	check->has_last = true;
	check->at = place.offset + place.length;
	return NULL;
}

/* Checks a part and keeps what stays of it. */
static const char *
part_take(const struct segment *segment, uint64_t part, const uint8_t *bytes,
    struct ordered_check *check, uint64_t *words_out)
{
	size_t blocks = part_blocks(segment, part), length = entry_bytes(segment);

	for (size_t i = 0; i < blocks; i++) {
		const char *fault = entry_check(segment, bytes + i * length, check);

		if (fault != NULL)
			return fault;
	}
	words_out[0] = part_hash(segment, part, bytes, blocks * length);
	entry_first(segment, bytes, words_out + 1);
	return NULL;
}

int
segment__ordered_read(const struct segment *segment, uint64_t *words_out, struct zp_err *err)
{
	const struct segment_section_place *place = &segment->footer.sections[SECTION_DIRECTORY];
	struct ordered_check check = {.at = SEGMENT_HEADER_BYTES};
	struct segment_hash *hash =
	    segment__hash64_new(segment->layout.seed + 1 + SECTION_DIRECTORY);
	uint8_t bytes[PART_BLOCKS * ENTRY_BYTES_MAX];
	const char *fault = NULL;
	int rc = 0;

	for (uint64_t part = 0; part < parts_count(segment) && rc == 0 && fault == NULL; part++) {
		rc = part_read(segment, part, bytes, err);
		if (rc != 0)
			break;
		segment__hash_update(
		    hash, bytes, part_blocks(segment, part) * entry_bytes(segment));
		fault =
		    part_take(segment, part, bytes, &check, words_out + part * part_words(segment));
	}
	if (rc != 0)
		rc = zp_wrap(err, rc, "section %d", (int)SECTION_DIRECTORY);
	else if (fault == NULL && segment__hash64_end(hash) != place->checksum)
		fault = "the checksum of section 0 is wrong";
	else if (fault == NULL && check.at != segment->blocks_end)
		fault = "there are bytes behind the last block";
	segment__hash_free(hash);
	return fault == NULL ? rc : zp_fail(err, ZP_E_CORRUPT, "%s", fault);
}

const char *
segment__ordered_lengths_check(const struct segment *segment)
{
	const struct segment_section_place *places = segment->footer.sections;

	if (places[SECTION_FENCES].length != 0)
		return "an ordered segment has fences";
	if (places[SECTION_FILTER].length != 0 && !segment__has_filter(segment->layout.family))
		return "there is a filter in a family that has none";
	return places[SECTION_DIRECTORY].length % entry_bytes(segment) == 0 &&
		       places[SECTION_DIRECTORY].length / entry_bytes(segment) ==
			   segment->footer.blocks
		   ? NULL
		   : "footer and directory count different blocks";
}

uint64_t
segment__ordered_bytes(const struct segment *segment)
{
	return parts_count(segment) * part_words(segment) * sizeof(uint64_t);
}

/* ---- Asking ---------------------------------------------------------------------------------- */

/* Makes the part that has the block the one at hand. */
static int
part_load(
    const struct segment *segment, uint64_t block, struct ordered_part *part, struct zp_err *err)
{
	uint64_t number = block / PART_BLOCKS;
	size_t length = part_blocks(segment, number) * entry_bytes(segment);
	int rc;

	if (part->bytes != NULL && part->number == number)
		return 0;
	if (part->bytes == NULL)
		part->bytes = zp_alloc(PART_BLOCKS * entry_bytes(segment));
	part->number = UINT64_MAX;
	rc = part_read(segment, number, part->bytes, err);
	if (rc != 0)
		return zp_wrap(err, rc, "%s", segment->label);
	if (part_hash(segment, number, part->bytes, length) != words_of(segment, number)[0])
		return segment__block_fault(
		    segment, block, "its entry in the directory has changed", err);
	part->number = number;
	return 0;
}

static const uint8_t *
part_entry(const struct segment *segment, const struct ordered_part *part, uint64_t block)
{
	return part->bytes + block % PART_BLOCKS * entry_bytes(segment);
}

int
segment__ordered_place(const struct segment *segment, uint64_t block, struct ordered_part *part,
    struct block_place *place_out, struct zp_err *err)
{
	int rc = part_load(segment, block, part, err);

	if (rc == 0)
		*place_out = entry_place(part_entry(segment, part, block), block);
	return rc;
}

void
segment__ordered_first(const struct segment *segment, uint64_t block,
    const struct ordered_part *part, uint64_t *columns_out)
{
	ZP_ASSERT(part->number == block / PART_BLOCKS);
	entry_first(segment, part_entry(segment, part, block), columns_out);
}

void
segment__ordered_bounds(
    const struct segment *segment, uint64_t block, uint64_t *first_out, uint64_t *last_out)
{
	uint64_t number = zp_min_u64(block, segment->footer.blocks - 1) / PART_BLOCKS;
	size_t columns = segment__key_columns(segment->layout.family);
	size_t blocks = part_blocks(segment, number), length = entry_bytes(segment);
	const uint64_t *words = words_of(segment, number);
	uint8_t bytes[PART_BLOCKS * ENTRY_BYTES_MAX];

	memcpy(first_out, words + 1, columns * sizeof(uint64_t));
	for (size_t i = 0; i < columns; i++)
		last_out[i] = zp_load_u64be(segment->info.last_key + 8 * i);
	if (number + 1 < parts_count(segment))
		memcpy(last_out, words + part_words(segment) + 1, columns * sizeof(uint64_t));
	if (part_read(segment, number, bytes, NULL) != 0 ||
	    part_hash(segment, number, bytes, blocks * length) != words[0])
		return;
	entry_first(segment, bytes + block % PART_BLOCKS * length, first_out);
	if (block % PART_BLOCKS + 1 < blocks)
		entry_first(segment, bytes + (block % PART_BLOCKS + 1) * length, last_out);
}

/* The last of the rising keys, `stride` bytes apart, that is not above `from`; 0 where all are. */
static uint64_t
keys_find(const uint8_t *keys, size_t stride, uint64_t count, const uint64_t *from, size_t columns)
{
	uint64_t low = 1, high = count;

	while (low < high) {
		uint64_t middle = (low + high) / 2;
		uint64_t key[SEGMENT_KEY_COLUMNS_MAX];

		memcpy(key, keys + middle * stride, columns * sizeof(key[0]));
		if (segment__columns_compare(key, from, columns) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low - 1;
}

int
segment__ordered_find(const struct segment *segment, const uint64_t *from,
    struct ordered_part *part, uint64_t *block_out, struct zp_err *err)
{
	size_t columns = segment__key_columns(segment->layout.family);
	uint64_t number = keys_find((const uint8_t *)(words_of(segment, 0) + 1),
	    part_words(segment) * sizeof(uint64_t), parts_count(segment), from, columns);
	int rc = part_load(segment, number * PART_BLOCKS, part, err);

	if (rc == 0)
		*block_out =
		    number * PART_BLOCKS + keys_find(part->bytes + 16, entry_bytes(segment),
					       part_blocks(segment, number), from, columns);
	return rc;
}

void
segment__ordered_part_done(struct ordered_part *part)
{
	zp_free(part->bytes);
	*part = (struct ordered_part){0};
}
