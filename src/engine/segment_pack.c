/*
 * segment_pack.c - turns the blocks and texts that wait in a writer into bytes of the file.
 *
 * Flow: segment_pack.h. A texts block is written as soon as it is full, blocks when their group is,
 * so a block always finds its texts behind itself and a writer holds one group at most.
 */
#include "engine/segment_pack.h"

struct pending_block *
pack__block_new(struct pending_set *set, uint64_t bucket, uint64_t part)
{
	struct pending_block *block;

	ZP_ASSERT(set->count < SEGMENT_GROUP_BLOCKS);
	if (set->blocks[set->count] == NULL)
		set->blocks[set->count] = zp_alloc(sizeof(*block));
	block = set->blocks[set->count++];
	block->bucket = bucket;
	block->part = part;
	block->texts_bytes = 0;
	block->texts_waiting = false;
	block->texts = (struct texts_place){0};
	block->rows.count = 0;
	block->rows.tombstones = 0;
	return block;
}

void
pack__set_done(struct pending_set *set)
{
	for (size_t i = 0; i < SEGMENT_GROUP_BLOCKS; i++)
		zp_free(set->blocks[i]);
	*set = (struct pending_set){0};
}

int
pack__write(struct segment_writer *writer, const void *data, size_t length, struct zp_err *err)
{
	int rc;

	if (length == 0)
		return 0;
	segment__hash_update(writer->hash, data, length);
	rc = zp_store_writer_append(writer->file, data, length, err);
	if (rc != 0)
		return zp_wrap(err, rc, "write a segment");
	writer->position += length;
	return 0;
}

static void
texts_settle(struct pending_set *set, const struct texts_place *place)
{
	for (uint32_t i = 0; i < set->count; i++) {
		struct pending_block *block = set->blocks[i];

		if (!block->texts_waiting)
			continue;
		block->texts.offset = place->offset;
		block->texts.compressed_length = place->compressed_length;
		block->texts.length = place->length;
		block->texts_waiting = false;
	}
}

/* Before the first texts block is compressed. */
static int
dictionary_choose(struct segment_writer *writer, struct zp_err *err)
{
	if (writer->dictionary_chosen)
		return 0;
	writer->dictionary_chosen = true;
	dictionary__train(&writer->texts_sample, writer->plan.rows_expected,
	    writer->plan.zstd_level, &writer->dictionary);
	if (writer->dictionary.length == 0)
		return 0;
	writer->footer.features_incompatible |= SEGMENT_FEATURE_DICTIONARY;
	return segment__compressor_set(
		   writer->compressor, writer->plan.zstd_level, &writer->dictionary) == 0
		   ? 0
		   : zp_fail(err, ZP_E_INTERNAL, "zstd refuses a dictionary of its own");
}

int
pack__texts(struct segment_writer *writer, struct zp_err *err)
{
	struct texts_place place = {0};
	int rc;

	if (writer->texts.length == 0)
		return 0;
	rc = dictionary_choose(writer, err);
	if (rc != 0)
		return rc;
	place.offset = writer->position;
	zp_buf_clear(&writer->packed);
	rc = texts__compress(writer->compressor, writer->layout.seed, place.offset,
	    zp_buf_slice(&writer->texts), &writer->packed, err);
	if (rc == 0)
		rc = pack__write(writer, writer->packed.data, writer->packed.length, err);
	if (rc != 0)
		return rc;
	place.length = (uint32_t)writer->texts.length;
	place.compressed_length = (uint32_t)writer->packed.length - CHECKSUM_BYTES;
	texts_settle(&writer->group, &place);
	texts_settle(&writer->overflow, &place);
	writer->footer.texts_bytes += writer->texts.length;
	zp_buf_clear(&writer->texts);
	return 0;
}

/* Appends one block to `packed`, which begins at the present end of the file. */
static uint32_t
block_pack(struct segment_writer *writer, struct pending_block *block, uint64_t number)
{
	size_t before = writer->packed.length;

	ZP_ASSERT(!block->texts_waiting);
	block__encode(&writer->layout, &block->rows, block->texts_bytes > 0 ? &block->texts : NULL,
	    writer->position + before, number, &writer->packed, writer->layout.ranges);
	writer->footer.blocks++;
	writer->footer.rows += block->rows.count;
	writer->footer.tombstones += block->rows.tombstones;
	return (uint32_t)(writer->packed.length - before);
}

void
pack__groups_skip(struct segment_writer *writer, uint64_t group)
{
	static const uint8_t none[SEGMENT_GROUP_ENTRY_BYTES - 8];

	for (; writer->groups_written < group; writer->groups_written++) {
		zp_buf_append_u64le(&writer->directory, writer->position);
		zp_buf_append(&writer->directory, none, sizeof(none));
	}
}

int
pack__group(struct segment_writer *writer, uint64_t group, struct zp_err *err)
{
	uint16_t lengths[SEGMENT_GROUP_BLOCKS] = {0};
	int rc = pack__texts(writer, err);

	if (rc != 0)
		return rc;
	pack__groups_skip(writer, group);
	zp_buf_clear(&writer->packed);
	for (uint32_t i = 0; i < writer->group.count; i++) {
		struct pending_block *block = writer->group.blocks[i];
		uint16_t *length = &lengths[block->bucket % SEGMENT_GROUP_BLOCKS];

		/* a block without rows stands for a bucket whose blocks are in the fences */
		*length = block->rows.count > 0 ? (uint16_t)block_pack(writer, block, block->bucket)
						: SEGMENT_FENCED;
	}
	zp_buf_append_u64le(&writer->directory, writer->position);
	zp_buf_append_u32le(&writer->directory, (uint32_t)writer->packed.length);
	for (size_t i = 0; i < SEGMENT_GROUP_BLOCKS; i++)
		zp_buf_append_u16le(&writer->directory, lengths[i]);
	writer->groups_written++;
	writer->group.count = 0;
	return pack__write(writer, writer->packed.data, writer->packed.length, err);
}

int
pack__ordered(struct segment_writer *writer, struct zp_err *err)
{
	int rc = pack__texts(writer, err);

	if (rc != 0)
		return rc;
	zp_buf_clear(&writer->packed);
	for (uint32_t i = 0; i < writer->group.count; i++) {
		struct pending_block *block = writer->group.blocks[i];

		zp_buf_append_u64le(&writer->directory, writer->position + writer->packed.length);
		zp_buf_append_u32le(&writer->directory, block_pack(writer, block, block->part));
		zp_buf_append_u32le(&writer->directory, 0);
		for (size_t c = 0; c < segment__key_columns(writer->layout.family); c++)
			zp_buf_append_u64le(&writer->directory, block->rows.columns[c][0]);
	}
	writer->group.count = 0;
	return pack__write(writer, writer->packed.data, writer->packed.length, err);
}

static void
fence_append(struct segment_writer *writer, const struct pending_block *block, uint64_t offset,
    uint32_t length)
{
	struct segment_cells first;
	uint8_t key[ZP_KEY_BYTES];

	block__row_get(&writer->layout, &block->rows, 0, &first);
	segment__cells_pin_key_encode(&writer->layout, &first, key);
	zp_buf_append_u32le(&writer->fences, (uint32_t)block->bucket);
	zp_buf_append_u32le(&writer->fences, length);
	zp_buf_append_u64le(&writer->fences, offset);
	zp_buf_append(&writer->fences, key, sizeof(key));
	zp_buf_append_u16le(&writer->fences, 0);
}

int
pack__overflow(struct segment_writer *writer, struct zp_err *err)
{
	int rc = pack__texts(writer, err);

	if (rc != 0)
		return rc;
	zp_buf_clear(&writer->packed);
	for (uint32_t i = 0; i < writer->overflow.count; i++) {
		struct pending_block *block = writer->overflow.blocks[i];
		uint64_t offset = writer->position + writer->packed.length;
		uint32_t length = block_pack(writer, block, block->bucket | block->part << 40);

		fence_append(writer, block, offset, length);
	}
	writer->overflow.count = 0;
	return pack__write(writer, writer->packed.data, writer->packed.length, err);
}
