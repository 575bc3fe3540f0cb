/*
 * segment_writer.c - rows in key order to a published segment.
 *
 * Flow:   flush.c and merge.c → here → segment_pack.c → store. segment.h has the contract.
 * Memory: one group of blocks and one texts block, the directory, and the filter.
 */
#include "engine/segment_pack.h"

#include <stdio.h>
#include <zstd.h>

#define BUCKET_ROWS_MAX 90u /* the mean is kept below this and at or above its half */
#define SECTION_BYTES_MAX (UINT64_C(1) << 33)

/* ---- Life ----------------------------------------------------------------------------------- */

static uint8_t
bucket_bits_for(uint64_t rows, uint8_t prefix_bits)
{
	uint8_t bits = 0;

	rows = zp_min_u64(rows, ZP_SEGMENT_RECORDS_MAX);
	while (rows >> bits >= BUCKET_ROWS_MAX &&
	       prefix_bits + bits + SEGMENT_SLOT_BITS < SEGMENT_HEAD_BITS)
		bits++;
	return bits;
}

static struct segment_writer *
writer_new(const struct segment_plan *plan)
{
	struct segment_writer *writer = zp_alloc_zero(1, sizeof(*writer));
	uint8_t prefix_bits = 0, bucket_bits = 0;

	if (segment__is_bucketed(plan->family)) {
		prefix_bits =
		    (uint8_t)zp_min_u64(plan->prefix_bits, SEGMENT_HEAD_BITS - SEGMENT_SLOT_BITS);
		bucket_bits = bucket_bits_for(plan->rows_expected, prefix_bits);
	}
	writer->plan = *plan;
	writer->footer = (struct segment_footer){
	    .family = plan->family,
	    .prefix_bits = prefix_bits,
	    .bucket_bits = bucket_bits,
	    .id = plan->id,
	    .shard_id = plan->shard_id,
	};
	segment__layout_init(
	    &writer->layout, plan->family, prefix_bits, bucket_bits, 0, plan->id.low);
	for (size_t i = 0; i < SEGMENT_COLUMNS_MAX; i++)
		column__sample_init(&writer->samples[i]);
	zp_buf_init(&writer->texts, TEXTS_BLOCK_MAX);
	texts_sample__init(&writer->texts_sample);
	zp_buf_init(&writer->dictionary, DICTIONARY_BYTES_MAX);
	zp_buf_init(&writer->packed,
	    (SEGMENT_GROUP_BLOCKS + 1) * (size_t)BLOCK_BYTES_MAX + TEXTS_BLOCK_MAX);
	zp_buf_init(&writer->directory, SECTION_BYTES_MAX);
	zp_buf_init(&writer->fences, SECTION_BYTES_MAX);
	if (plan->family == ZP_FAMILY_TIME)
		writer->footer.features_incompatible |= SEGMENT_FEATURE_ADDED;
	writer->hash = segment__hash_new();
	return writer;
}

static void
writer_free(struct segment_writer *writer)
{
	segment__layout_done(&writer->layout);
	for (size_t i = 0; i < SEGMENT_COLUMNS_MAX; i++)
		column__sample_done(&writer->samples[i]);
	pack__set_done(&writer->group);
	pack__set_done(&writer->overflow);
	zp_buf_done(&writer->texts);
	texts_sample__done(&writer->texts_sample);
	zp_buf_done(&writer->dictionary);
	zp_buf_done(&writer->packed);
	zp_buf_done(&writer->directory);
	zp_buf_done(&writer->fences);
	ribbon__writer_done(&writer->filter);
	segment__hash_free(writer->hash);
	ZSTD_freeCCtx(writer->compressor);
	zp_free(writer);
}

static int
compressor_make(struct segment_writer *writer, struct zp_err *err)
{
	writer->compressor = ZSTD_createCCtx();
	if (writer->compressor == NULL)
		return zp_fail(err, ZP_E_MEMORY, "no memory to compress texts");
	if (segment__compressor_set(writer->compressor, writer->plan.zstd_level, NULL) != 0)
		return zp_fail(err, ZP_E_INTERNAL, "zstd refuses its parameters");
	return 0;
}

int
segment__writer_open(struct zp_store *store, const struct segment_plan *plan,
    struct segment_writer **writer_out, struct zp_err *err)
{
	struct segment_writer *writer = writer_new(plan);
	uint8_t header[SEGMENT_HEADER_BYTES];
	char name[ZP_FILE_NAME_MAX];
	int rc = compressor_make(writer, err);

	ZP_ASSERT(segment__family_known(plan->family));
	/* the name of an unfinished file is its id's: two writers of one store never share it */
	snprintf(name, sizeof(name), "%016llx%016llx.seg", (unsigned long long)plan->id.high,
	    (unsigned long long)plan->id.low);
	if (rc == 0)
		rc = zp_store_writer_open(store, name, &writer->file, err);
	if (rc == 0) {
		segment__header_encode(&writer->footer, header);
		rc = pack__write(writer, header, sizeof(header), err);
	}
	if (rc != 0) {
		segment__writer_discard(writer);
		return rc;
	}
	if (plan->filter_bits > 0 && segment__has_filter(plan->family)) {
		ribbon__writer_init(
		    &writer->filter, plan->filter_bits, plan->rows_expected, plan->prefix_bits);
		writer->footer.features_incompatible |= SEGMENT_FEATURE_RIBBON;
	}
	*writer_out = writer;
	return 0;
}

void
segment__writer_discard(struct segment_writer *writer)
{
	if (writer == NULL)
		return;
	zp_store_writer_discard(writer->file);
	writer_free(writer);
}

/* ---- Columns -------------------------------------------------------------------------------- */

/* Facts of a tombstone are no facts: they say nothing about how to store facts. */
static void
sample_cells(struct segment_writer *writer, const struct segment_cells *cells)
{
	const struct segment_layout *layout = &writer->layout;
	bool is_tombstone = segment__is_tombstone(layout, cells);

	for (size_t i = 0; i < layout->columns_count; i++) {
		if (!is_tombstone || i <= layout->operation_column)
			column__sample_add(&writer->samples[i], cells->columns[i]);
	}
}

void
segment__writer_sample(
    struct segment_writer *writer, const struct segment_cells *cells, struct zp_slice texts)
{
	ZP_ASSERT(!writer->columns_chosen);
	sample_cells(writer, cells);
	texts_sample__add(&writer->texts_sample, texts);
}

static void
sample_pending(struct segment_writer *writer, const struct pending_set *set)
{
	for (uint32_t i = 0; i < set->count; i++) {
		const struct block_columns *rows = &set->blocks[i]->rows;

		for (uint32_t row = 0; row < rows->count; row++) {
			struct segment_cells cells;

			block__row_get(&writer->layout, rows, row, &cells);
			sample_cells(writer, &cells);
		}
	}
}

/* Of the column that rises from row to row what it rises by, as far as rows wait. */
static void
sample_differences(struct segment_writer *writer, size_t column)
{
	struct column_sample *sample = &writer->samples[column];

	column__sample_done(sample);
	for (uint32_t i = 0; i < writer->group.count; i++) {
		const struct block_columns *rows = &writer->group.blocks[i]->rows;
		const uint64_t *values = rows->columns[column];

		for (uint32_t row = 1; row < rows->count; row++)
			column__sample_add(sample, values[row] - values[row - 1]);
	}
}

/* Before the first block is packed. Without a sample, the rows that wait are it. */
static void
columns_choose(struct segment_writer *writer)
{
	struct segment_layout *layout = &writer->layout;
	size_t rising = segment__rising_column(layout->family);

	if (writer->columns_chosen)
		return;
	if (writer->samples[0].shown == 0) {
		sample_pending(writer, &writer->group);
		sample_pending(writer, &writer->overflow);
	}
	if (rising < layout->columns_count)
		sample_differences(writer, rising);
	for (size_t i = 0; i < layout->columns_count; i++) {
		column__choose(&writer->samples[i], writer->plan.rows_expected, layout->is_bucketed,
		    &layout->codes[i]);
		layout->codes[i].is_differences = i == rising;
		if (layout->codes[i].count > 0)
			column__finder_add(&layout->codes[i]);
		column__sample_done(&writer->samples[i]);
		if (layout->codes[i].encoder == COLUMN_PREFIX || !layout->is_bucketed)
			writer->footer.features_incompatible |= SEGMENT_FEATURE_SHORT_COLUMNS;
	}
	layout->difference_column = (uint8_t)rising;
	writer->columns_chosen = true;
}

/* ---- Rows ----------------------------------------------------------------------------------- */

/* A texts block is closed between two blocks, so that a block's texts are never in two. */
static int
texts_close_if_full(struct segment_writer *writer, struct zp_err *err)
{
	return writer->texts.length >= TEXTS_BLOCK_TARGET ? pack__texts(writer, err) : 0;
}

/* The present bucket has its last row; its group too when `group_ends`. */
static int
bucket_end(struct segment_writer *writer, bool group_ends, struct zp_err *err)
{
	int rc = texts_close_if_full(writer, err);

	if (rc == 0 && writer->bucket_fenced) {
		columns_choose(writer);
		rc = pack__overflow(writer, err);
	}
	writer->bucket_fenced = false;
	if (rc == 0 && group_ends) {
		columns_choose(writer);
		rc = pack__group(writer, writer->bucket / SEGMENT_GROUP_BLOCKS, err);
	}
	return rc;
}

/* The present bucket needs one more block: it becomes, or is, one with fences. */
static int
bucket_overflow(struct segment_writer *writer, struct zp_err *err)
{
	int rc = texts_close_if_full(writer, err);

	if (rc == 0 && !writer->bucket_fenced) {
		struct pending_block **whole = &writer->group.blocks[writer->group.count - 1];
		struct pending_block *empty = pack__block_new(&writer->overflow, writer->bucket, 0);

		ZP_ASSERT(*whole == writer->newest && writer->overflow.count == 1);
		writer->overflow.blocks[0] = *whole;
		*whole = empty;
		writer->bucket_fenced = true;
	}
	if (rc == 0 && writer->overflow.count == SEGMENT_GROUP_BLOCKS) {
		columns_choose(writer);
		rc = pack__overflow(writer, err);
	}
	if (rc == 0)
		writer->newest =
		    pack__block_new(&writer->overflow, writer->bucket, writer->parts++);
	return rc;
}

/* Makes `newest` the block that this row goes to. */
static int
bucket_choose(
    struct segment_writer *writer, uint64_t bucket, size_t texts_length, struct zp_err *err)
{
	struct pending_block *newest = writer->newest;
	int rc;

	if (newest != NULL && bucket == writer->bucket) {
		if (newest->rows.count < BLOCK_ROWS_MAX &&
		    newest->texts_bytes + texts_length <= BLOCK_TEXTS_MAX)
			return 0;
		return bucket_overflow(writer, err);
	}
	if (newest != NULL) {
		rc = bucket_end(writer,
		    bucket / SEGMENT_GROUP_BLOCKS != writer->bucket / SEGMENT_GROUP_BLOCKS, err);
		if (rc != 0)
			return rc;
	}
	writer->bucket = bucket;
	writer->parts = 1;
	writer->newest = pack__block_new(&writer->group, bucket, 0);
	return 0;
}

/* The row that was added last; there is one. */
static void
last_cells(const struct segment_writer *writer, struct segment_cells *cells_out)
{
	const struct block_columns *rows = &writer->newest->rows;

	block__row_get(&writer->layout, rows, rows->count - 1, cells_out);
}

/* Whether the row that was added last is below. Mostly the first 64 bits of a digest, or the first
 * columns, tell. */
static bool
last_is_below(const struct segment_writer *writer, const struct segment_cells *cells)
{
	const struct segment_layout *layout = &writer->layout;
	const struct block_columns *rows = &writer->newest->rows;
	uint32_t last = rows->count - 1;
	struct segment_cells whole;

	if (layout->is_bucketed) {
		uint64_t head = zp_load_u64be(cells->digest);
		uint64_t before = zp_load_u64be(rows->digests[last]);

		if (head != before)
			return before < head;
	}
	for (size_t i = 0; !layout->is_bucketed && i < layout->operation_column; i++) {
		if (rows->columns[i][last] != cells->columns[i])
			return rows->columns[i][last] < cells->columns[i];
	}
	last_cells(writer, &whole);
	return segment__cells_compare(layout, &whole, cells) < 0;
}

/* Keys rise, and the footer keeps the ends. */
static void
order_note(struct segment_writer *writer, const struct segment_cells *cells)
{
	struct segment_layout *layout = &writer->layout;

	if (writer->newest != NULL) {
		ZP_ASSERT(last_is_below(writer, cells));
		return;
	}
	segment__cells_key_encode(layout, cells, writer->footer.first_key);
	if (layout->is_bucketed)
		layout->prefix = zp_load_u64be(cells->digest) &
				 ~bits_mask(SEGMENT_HEAD_BITS - layout->prefix_bits);
}

/* Whether the row is of the same pin as the last: an ordered family's rows of one stand together.
 */
static bool
is_same_pin(const struct segment_writer *writer, const struct segment_cells *cells)
{
	struct segment_cells last;

	if (writer->newest == NULL)
		return false;
	last_cells(writer, &last);
	return segment__columns_compare(last.columns, cells->columns, SEGMENT_PIN_COLUMNS) == 0;
}

static void
filter_note(struct segment_writer *writer, const struct segment_cells *cells)
{
	uint8_t key[ZP_KEY_BYTES];

	if (writer->filter.bits == 0 || (!writer->layout.is_bucketed && is_same_pin(writer, cells)))
		return;
	segment__cells_pin_key_encode(&writer->layout, cells, key);
	filter__add(&writer->filter, key);
}

/* The texts of the row that goes to the newest block. */
static void
texts_put(struct segment_writer *writer, struct zp_slice texts)
{
	struct pending_block *block = writer->newest;

	if (texts.length == 0)
		return;
	if (block->texts_bytes == 0) {
		block->texts.begin = (uint32_t)writer->texts.length;
		block->texts_waiting = true;
	}
	block->texts_bytes += texts.length;
	zp_buf_append_slice(&writer->texts, texts);
	ZP_ASSERT(!writer->texts.overflow);
}

/* Rows that wait are not in the footer's count yet; a full limit's worth of them is left out. */
#define ROWS_MAX (ZP_SEGMENT_RECORDS_MAX - 2 * SEGMENT_GROUP_BLOCKS * BLOCK_ROWS_MAX)

static int
writer_check(struct segment_writer *writer, struct zp_err *err)
{
	if (writer->failed != 0)
		return zp_fail(err, writer->failed, "this segment failed before");
	if (writer->footer.rows > ROWS_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE, "too many rows for one segment");
	return 0;
}

/* Makes `newest` a block with room for one more row with texts of that length. */
static int
ordered_choose(struct segment_writer *writer, size_t texts_length, struct zp_err *err)
{
	const struct pending_block *newest = writer->newest;
	int rc = 0;

	if (newest != NULL && newest->rows.count < BLOCK_ROWS_MAX &&
	    newest->texts_bytes + texts_length <= BLOCK_TEXTS_MAX)
		return 0;
	if (newest != NULL)
		rc = texts_close_if_full(writer, err);
	if (rc == 0 && writer->group.count == SEGMENT_GROUP_BLOCKS) {
		columns_choose(writer);
		rc = pack__ordered(writer, err);
	}
	if (rc == 0)
		writer->newest = pack__block_new(&writer->group, 0, writer->parts++);
	return rc;
}

/* Makes `newest` the block that this row goes to. */
static int
block_choose(struct segment_writer *writer, const struct segment_cells *cells, size_t texts_length,
    struct zp_err *err)
{
	const struct segment_layout *layout = &writer->layout;
	uint64_t head;

	if (!layout->is_bucketed)
		return ordered_choose(writer, texts_length, err);
	head = zp_load_u64be(cells->digest);
	ZP_ASSERT(segment__prefix_matches(layout, head));
	return bucket_choose(writer, segment__bucket_of(layout, head), texts_length, err);
}

int
segment__writer_add(struct segment_writer *writer, const struct segment_cells *cells,
    struct zp_slice texts, struct zp_err *err)
{
	const struct segment_layout *layout = &writer->layout;
	bool is_tombstone = segment__is_tombstone(layout, cells);
	int rc = writer_check(writer, err);

	ZP_ASSERT(texts.length == 0 || (layout->texts_column != 0 && !is_tombstone &&
					   cells->columns[layout->texts_column] == texts.length));
	if (rc == 0 && texts.length > ZP_RECORD_BYTES_MAX)
		rc = zp_fail(err, ZP_E_TOO_LARGE, "texts of %zu bytes", texts.length);
	if (rc != 0)
		return writer->failed = rc;
	order_note(writer, cells);
	filter_note(writer, cells);
	rc = block_choose(writer, cells, texts.length, err);
	if (rc != 0)
		return writer->failed = rc;
	block__row_add(layout, cells, &writer->newest->rows);
	texts_put(writer, texts);
	return 0;
}

/* ---- Finish --------------------------------------------------------------------------------- */

static int
section_write(struct segment_writer *writer, enum segment_section section, struct zp_slice bytes,
    struct zp_err *err)
{
	writer->footer.sections[section] = (struct segment_section_place){
	    .offset = writer->position,
	    .length = bytes.length,
	    .checksum = zp_hash64(bytes.data, bytes.length, writer->layout.seed + 1 + section),
	};
	return pack__write(writer, bytes.data, bytes.length, err);
}

/* The rest of the blocks; the directory goes on to its last group. */
static int
blocks_finish(struct segment_writer *writer, struct zp_err *err)
{
	int rc;

	columns_choose(writer);
	if (!writer->layout.is_bucketed)
		return pack__ordered(writer, err);
	rc = bucket_end(writer, true, err);
	pack__groups_skip(writer, segment__groups_count(&writer->layout));
	zp_buf_append_u64le(&writer->directory, writer->position);
	return rc;
}

static int
sections_finish(struct segment_writer *writer, struct zp_err *err)
{
	ZP_AUTO_BUF(columns, SECTION_BYTES_MAX);
	int rc = zp_buf_check(&writer->directory, "a segment's directory", err);

	if (rc == 0)
		rc = zp_buf_check(&writer->fences, "a segment's fences", err);
	for (size_t i = 0; i < writer->layout.columns_count; i++)
		column__section_encode(
		    &writer->layout.codes[i], writer->layout.ranges[i], &columns);
	if (rc == 0)
		rc =
		    section_write(writer, SECTION_DIRECTORY, zp_buf_slice(&writer->directory), err);
	if (rc == 0)
		rc = section_write(writer, SECTION_FENCES, zp_buf_slice(&writer->fences), err);
	if (rc == 0)
		rc =
		    section_write(writer, SECTION_FILTER, ribbon__writer_end(&writer->filter), err);
	if (rc == 0)
		rc = section_write(writer, SECTION_COLUMNS, zp_buf_slice(&columns), err);
	if (rc == 0 && writer->dictionary.length > 0)
		rc = section_write(
		    writer, SECTION_DICTIONARY, zp_buf_slice(&writer->dictionary), err);
	return rc;
}

static void
info_of(const struct segment_writer *writer, struct segment_info *info_out)
{
	struct zp_hash128 content = segment__hash_end(writer->hash);

	*info_out = (struct segment_info){
	    .name = {.low = content.low, .high = content.high},
	    .id = writer->footer.id,
	    .bytes = writer->position,
	    .rows = writer->footer.rows,
	    .tombstones = writer->footer.tombstones,
	};
	memcpy(info_out->first_key, writer->footer.first_key, SEGMENT_KEY_FIELD_BYTES);
	memcpy(info_out->last_key, writer->footer.last_key, SEGMENT_KEY_FIELD_BYTES);
}

int
segment__writer_finish(
    struct segment_writer *writer, struct segment_info *info_out, struct zp_err *err)
{
	uint8_t footer[SEGMENT_FOOTER_BYTES];
	char name[ZP_FILE_NAME_MAX];
	struct zp_store_writer *file;
	struct segment_info info;
	int rc = writer_check(writer, err);

	if (rc == 0) {
		struct segment_cells last;

		ZP_ASSERT(writer->newest != NULL);
		last_cells(writer, &last);
		segment__cells_key_encode(&writer->layout, &last, writer->footer.last_key);
		rc = blocks_finish(writer, err);
	}
	if (rc == 0)
		rc = sections_finish(writer, err);
	if (rc == 0) {
		segment__footer_encode(&writer->footer, footer);
		rc = pack__write(writer, footer, sizeof(footer), err);
	}
	if (rc != 0) {
		segment__writer_discard(writer);
		return rc;
	}
	info_of(writer, &info);
	segment__name_format(&info.name, name);
	file = writer->file;
	writer_free(writer);
	rc = zp_store_writer_publish(file, name, err);
	if (rc == 0)
		*info_out = info;
	return rc;
}
