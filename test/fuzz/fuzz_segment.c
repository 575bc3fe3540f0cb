/*
 * fuzz_segment.c - any bytes as a segment: open, get, iterate, verify.
 *
 * The first byte of an input says what is done with the rest. Its lowest bit set: the checksums of
 * footer, header, sections and of every block that the directory leads to are set right first, so
 * that the fuzzer reaches the decoders behind them. Texts blocks are left alone: what is behind
 * their checksum is zstd, zp_texts_check and zp_track_check, which other targets reach.
 */
#include "engine/accesses.h"
#include "engine/block_batch.h"
#include "engine/segment_iterate.h"
#include "engine/times.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A store with one file: the input. */
struct input_file {
	struct zp_store_file base;
	const uint8_t *bytes;
	size_t length;
};

struct input_store {
	struct zp_store base;
	struct input_file file;
};

static int
input_open(
    struct zp_store *store, const char *name, struct zp_store_file **file_out, struct zp_err *err)
{
	(void)name;
	(void)err;
	*file_out = &((struct input_store *)store)->file.base;
	return 0;
}

static int
input_read(struct zp_store_file *base, uint64_t offset, void *to, size_t length, struct zp_err *err)
{
	const struct input_file *file = (const struct input_file *)base;

	if (offset > file->length || length > file->length - offset)
		return zp_fail(err, ZP_E_CORRUPT, "the input ends early");
	memcpy(to, file->bytes + offset, length);
	return 0;
}

static uint64_t
input_bytes(const struct zp_store_file *base)
{
	return ((const struct input_file *)base)->length;
}

static void
input_close(struct zp_store_file *base)
{
	(void)base;
}

static const struct zp_store_ops input_ops = {
    .file_open = input_open,
    .file_read = input_read,
    .file_bytes = input_bytes,
    .file_close = input_close,
};

/* ---- Setting checksums right ---------------------------------------------------------------- */

static void
block_fix(uint8_t *bytes, size_t size, uint64_t offset, uint64_t length, uint64_t seed)
{
	if (length < BLOCK_BYTES_MIN || offset > size || length > size - offset)
		return;
	zp_store_u32le(bytes + offset + length - CHECKSUM_BYTES,
	    (uint32_t)zp_hash64(bytes + offset, length - CHECKSUM_BYTES, seed));
}

static void
bucketed_fix(uint8_t *bytes, size_t size, struct zp_slice directory, uint64_t seed)
{
	for (uint64_t group = 0; directory.length >= SEGMENT_GROUP_ENTRY_BYTES; group++) {
		uint64_t offset = zp_load_u64le(directory.data);

		for (size_t i = 0; i < SEGMENT_GROUP_BLOCKS; i++) {
			uint16_t length = zp_load_u16le(directory.data + 12 + 2 * i);

			if (length == 0 || length == SEGMENT_FENCED)
				continue;
			block_fix(
			    bytes, size, offset, length, seed + group * SEGMENT_GROUP_BLOCKS + i);
			offset += length;
		}
		directory.data += SEGMENT_GROUP_ENTRY_BYTES;
		directory.length -= SEGMENT_GROUP_ENTRY_BYTES;
	}
}

static void
fences_fix(uint8_t *bytes, size_t size, struct zp_slice fences, uint64_t seed)
{
	uint64_t part = 0;
	uint32_t bucket_last = UINT32_MAX;

	for (; fences.length >= SEGMENT_FENCE_BYTES; fences.length -= SEGMENT_FENCE_BYTES) {
		uint32_t bucket = zp_load_u32le(fences.data);

		part = bucket == bucket_last ? part + 1 : 0;
		bucket_last = bucket;
		block_fix(bytes, size, zp_load_u64le(fences.data + 8),
		    zp_load_u32le(fences.data + 4), seed + (bucket | part << 40));
		fences.data += SEGMENT_FENCE_BYTES;
	}
}

static void
ordered_fix(uint8_t *bytes, size_t size, struct zp_slice directory, size_t entry, uint64_t seed)
{
	for (uint64_t block = 0; directory.length >= entry; block++) {
		block_fix(bytes, size, zp_load_u64le(directory.data),
		    zp_load_u32le(directory.data + 8), seed + block);
		directory.data += entry;
		directory.length -= entry;
	}
}

static void
checksums_fix(uint8_t *bytes, size_t size)
{
	uint8_t *footer = bytes + size - SEGMENT_FOOTER_BYTES;
	struct zp_slice sections[SECTION_COUNT] = {0};
	uint64_t seed;

	if (size < SEGMENT_HEADER_BYTES + SEGMENT_FOOTER_BYTES)
		return;
	seed = zp_load_u64le(footer + 24);
	for (size_t i = 0; i < SECTION_COUNT; i++) {
		uint64_t offset = zp_load_u64le(footer + segment__section_at(i));
		uint64_t length = zp_load_u64le(footer + segment__section_at(i) + 8);

		if (offset <= size && length <= size - offset)
			sections[i] = (struct zp_slice){bytes + offset, length};
	}
	if (footer[21] == LAYOUT_ORDERED && segment__family_known(footer[20])) {
		size_t keys = segment__key_columns((enum zp_family)footer[20]);

		ordered_fix(bytes, size, sections[SECTION_DIRECTORY], 16 + 8 * keys, seed);
	} else {
		bucketed_fix(bytes, size, sections[SECTION_DIRECTORY], seed);
		fences_fix(bytes, size, sections[SECTION_FENCES], seed);
	}
	for (size_t i = 0; i < SECTION_COUNT; i++) {
		if (i == SECTION_DICTIONARY && zp_load_u32le(footer + 356) == 0)
			break;
		zp_store_u64le(footer + segment__section_at(i) + 16,
		    zp_hash64(sections[i].data, sections[i].length, seed + 1 + i));
	}
	zp_store_u64le(footer + 8, zp_hash64(footer + 16, SEGMENT_FOOTER_BYTES - 16, 0));
	zp_store_u64le(bytes + 8, zp_hash64(bytes + 16, SEGMENT_HEADER_BYTES - 16, 0));
}

/* ---- Reading -------------------------------------------------------------------------------- */

/* A row that was given out can be used: its texts walked to their end, its key compared. */
static void
row_use(const struct segment_row *row)
{
	size_t position = 0, sum = 0;
	enum zp_text_tag tag;
	struct zp_slice value;

	while (zp_texts_next(row->record.texts, &position, &tag, &value) == 0)
		sum += value.length + (value.length > 0 ? value.data[value.length - 1] : 0);
	ZP_ASSERT(sum < UINT32_MAX);
	ZP_ASSERT(row->operation <= ZP_ROW_TOMBSTONE);
}

/* Every row of a scan is found by get, or damage is; only fences that lie may hide it. */
static void
rows_read(struct segment *segment, enum segment_read read)
{
	struct segment_iterator *iterator = NULL, *seek = NULL;
	struct segment_scratch scratch;
	struct segment_row row, found;
	uint64_t count = 0;

	if (segment__iterator_open(segment, NULL, read, &iterator, NULL) != 0)
		return;
	segment__scratch_init(&scratch);
	while (segment__iterator_next(iterator, &row, NULL) == 0) {
		int rc;

		row_use(&row);
		if (count++ % 64 != 0)
			continue;
		rc = segment__get(segment, &row.key, &scratch, &found, NULL);
		ZP_ASSERT(rc != ZP_E_NOT_FOUND || segment__fences_count(segment) > 0);
		if (rc == 0)
			row_use(&found);
		zp_ignore(segment__may_contain(segment, &row.key)); /* any answer, no fault */
		row.key.digest[31] ^= 1;
		rc = segment__get(segment, &row.key, &scratch, &found, NULL);
		if (rc == 0)
			row_use(&found);
		if (segment__iterator_open(segment, &row.key, read, &seek, NULL) == 0) {
			if (segment__iterator_next(seek, &found, NULL) == 0)
				row_use(&found);
			segment__iterator_close(seek);
		}
	}
	segment__scratch_done(&scratch);
	segment__iterator_close(iterator);
}

/* NULL, or what reading row by row says is wrong with the block without its texts. */
static const char *
rows_fault(const struct segment_layout *layout, const struct block_rows *rows,
    const struct block_view *view)
{
	uint64_t texts = 0;

	for (uint32_t i = 0; i < rows->count; i++) {
		const char *fault = segment__row_columns_fault(rows->cells[i].columns);
		uint64_t length = rows->cells[i].columns[PIN_TEXTS];

		if (fault == NULL && i > 0 &&
		    segment__cells_compare(layout, &rows->cells[i - 1], &rows->cells[i]) >= 0)
			fault = "order";
		if (fault == NULL &&
		    length > (view->has_texts ? view->texts.length - view->texts.begin - texts : 0))
			fault = "texts";
		if (fault != NULL)
			return fault;
		texts += length;
	}
	return NULL;
}

/* A block by its columns, asked for in any order, is what it is by rows, and so are its faults. */
static void
batch_use(struct block_batch *batch, uint64_t order)
{
	static struct block_rows rows;
	const char *fault = block__decode(&batch->view, &rows), *found = NULL;

	if (fault == NULL)
		fault = rows_fault(batch->view.layout, &rows, &batch->view);
	for (unsigned i = 0; i < SEGMENT_COLUMNS_MAX && found == NULL; i++)
		found = batch__columns(batch, BATCH_COLUMN((order + 7 * i) % SEGMENT_COLUMNS_MAX) |
						  (uint32_t)(order >> 8 & 2));
	if (found == NULL)
		found = batch__digests(batch);
	ZP_ASSERT((fault == NULL) == (found == NULL));
	for (uint32_t i = 0; fault == NULL && i < rows.count; i++) {
		const struct segment_cells *cells = &rows.cells[i];

		ZP_ASSERT(memcmp(batch->digests[i], cells->digest, sizeof(cells->digest)) == 0);
		ZP_ASSERT(batch->heads[i] == zp_load_u64be(cells->digest));
		for (unsigned column = 0; column < SEGMENT_COLUMNS_MAX; column++)
			ZP_ASSERT(batch__value(batch, column, i) == cells->columns[column]);
	}
}

static void
batches_read(struct segment *segment)
{
	struct segment_iterator *iterator;
	static struct block_batch batch;
	uint64_t number = 0;
	int rc;

	if (segment__views_open(segment, NULL, false, &iterator, NULL) != 0)
		return;
	while ((rc = iterator__view(iterator, &batch.view, NULL)) != ZP_END) {
		if (rc < 0)
			continue;
		batch__of_view(&batch);
		batch_use(&batch, number++ * 37);
	}
	segment__iterator_close(iterator);
}

static void
access_use(const struct segment_entry *entry)
{
	struct accesses_sum sum = accesses__of_entry(entry), older = sum;
	struct segment_entry again = *entry;
	struct segment_value value;

	accesses__combine(&sum, &older);
	accesses__to_entry(&sum, &value, &again);
	ZP_ASSERT(accesses__entry_fault(&again) == NULL);
	ZP_ASSERT(sum.last == older.last && sum.count >= older.count);
}

/* An entry that was given out can be used: a status is a status, its error can be walked. */
static void
entry_use(const struct segment *segment, const struct segment_entry *entry)
{
	struct zp_track track;
	struct zp_key key;

	if (segment__family(segment) == ZP_FAMILY_TIME) {
		struct times_sum sum = times__of_operation(entry->operation);

		ZP_ASSERT(!times__is_nothing(&sum) && times__operation(&sum) == entry->operation);
	} else {
		ZP_ASSERT(entry->operation <= ZP_ROW_TOMBSTONE);
	}
	if (segment__family(segment) == ZP_FAMILY_ACCESS) {
		ZP_ASSERT(accesses__entry_fault(entry) == NULL);
		if (entry->value != NULL) /* what a sum of it is written as reads back */
			access_use(entry);
	}
	if (segment__family(segment) != ZP_FAMILY_TRACK)
		return;
	ZP_ASSERT(track__of_entry(entry, &key, &track) == NULL);
	ZP_ASSERT(track.peer != 0 && (entry->value == NULL) == (track.status == 0));
	ZP_ASSERT(zp_track_error(&track).length <= ZP_TRACK_ERROR_BYTES_MAX);
	zp_ignore(segment__may_contain(segment, &key)); /* any answer, no fault */
}

static void
entries_read(struct segment *segment)
{
	struct segment_iterator *iterator = NULL, *seek = NULL;
	struct segment_entry entry, found;
	uint64_t count = 0;

	if (segment__entries_open(segment, NULL, &iterator, NULL) != 0)
		return;
	while (segment__entries_next(iterator, &entry, NULL) == 0) {
		entry_use(segment, &entry);
		if (count++ % 64 != 0 ||
		    segment__entries_open(segment, entry.columns, &seek, NULL) != 0)
			continue;
		if (segment__entries_next(seek, &found, NULL) == 0)
			entry_use(segment, &found);
		segment__iterator_close(seek);
	}
	segment__iterator_close(iterator);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct segment_name name = {0};
	struct input_store store = {.base = {.ops = &input_ops}};
	struct segment *segment = NULL;
	uint8_t *bytes;

	if (size < 2)
		return 0;
	bytes = malloc(size - 1); /* exactly, so that a read past its end is seen */
	if (bytes == NULL)
		return 0;
	memcpy(bytes, data + 1, size - 1);
	if ((data[0] & 1) != 0)
		checksums_fix(bytes, size - 1);
	store.file = (struct input_file){{&input_ops}, bytes, size - 1};
	if (segment__open(&store.base, &name, NULL, &segment, NULL) == 0) {
		if (segment__family(segment) == ZP_FAMILY_PIN) {
			rows_read(segment, SEGMENT_READ_ALL);
			rows_read(segment, SEGMENT_READ_WITHOUT_TEXTS);
			batches_read(segment);
		} else {
			entries_read(segment);
		}
		/* the name is never right, so this can't be 0 */
		ZP_ASSERT(segment__verify(segment, NULL, NULL) != 0);
	}
	segment__release(segment);
	free(bytes);
	return 0;
}
