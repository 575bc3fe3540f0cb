/*
 * segment_iterate.c - rows in key order, read ahead and decoded a block at a time.
 *
 * Flow:   scans and merges. cursor → place of the next block → window → block_view → block_decoded
 *         → rows. The order of keys is checked as they pass: a merge relies on it.
 * Reads:  one for about WINDOW_BYTES of whole groups, texts included where they are wanted; a group
 * whose texts make it larger than a window is read block by block.
 */
#include "engine/segment_iterate.h"

#define WINDOW_BYTES (256u << 10)
#define WINDOW_BYTES_SEEK (16u << 10) /* of the first read behind a seek */
#define WINDOW_BYTES_MAX (SEGMENT_GROUP_BLOCKS * BLOCK_BYTES_MAX) /* a group always fits */
_Static_assert(WINDOW_BYTES <= WINDOW_BYTES_MAX, "a window holds what is read ahead");

/* ---- Reading ahead -------------------------------------------------------------------------- */

static bool
window_has(const struct read_window *window, uint64_t offset, uint64_t length)
{
	return offset >= window->offset && offset - window->offset <= window->length &&
	       length <= window->length - (offset - window->offset);
}

/*
 * Makes the window hold these bytes, the present place's among them, and when `go_on` is set what
 * follows them too. A seek begins with a short read, for many want one page only; each further read
 * doubles.
 */
static int
window_fill(struct segment_iterator *iterator, uint64_t offset, uint64_t length, bool go_on,
    struct zp_err *err)
{
	struct read_window *window = &iterator->window;
	const struct block_place *place = &iterator->place;
	int rc;

	ZP_ASSERT(length <= WINDOW_BYTES_MAX);
	if (window_has(window, offset, length))
		return 0;
	if (go_on)
		length = zp_max_u64(length, window->ahead);
	window->ahead = zp_min_u64(2 * window->ahead, WINDOW_BYTES);
	length = zp_min_u64(length, iterator->segment->blocks_end - offset);
	window->length = 0;
	if (length > window->capacity) {
		zp_free(window->bytes);
		window->capacity = length;
		window->bytes = zp_alloc(length + BITS_SLACK);
	}
	rc = zp_store_file_read(iterator->segment->file, offset, window->bytes, length, err);
	if (rc != 0 && length > place->length) {
		/* A sector that cannot be read costs the blocks in it, not those around them. */
		zp_err_clear(err);
		offset = place->offset;
		length = place->length;
		rc =
		    zp_store_file_read(iterator->segment->file, offset, window->bytes, length, err);
	}
	if (rc != 0)
		return segment__block_wrap(iterator->segment, place->number, rc, err);
	memset(window->bytes + length, 0, BITS_SLACK);
	window->offset = offset;
	window->length = length;
	return 0;
}

/* Reads the group of `bucket` with its texts in front, when they are wanted and fit. */
static int
group_fill(struct segment_iterator *iterator, uint64_t bucket, struct zp_err *err)
{
	const struct segment *segment = iterator->segment;
	uint64_t index = bucket / SEGMENT_GROUP_BLOCKS;
	struct group_entry group = segment__group(segment, index);
	uint64_t end = group.offset + group.bytes, begin = SEGMENT_HEADER_BYTES;
	bool texts_between = segment->footer.texts_bytes > 0;

	if (index > 0) {
		struct group_entry before = segment__group(segment, index - 1);

		begin = before.offset + before.bytes;
	}
	if (!texts_between || iterator->without_texts || end - begin > WINDOW_BYTES_MAX)
		begin = group.offset;
	return window_fill(
	    iterator, begin, end - begin, !texts_between || begin < group.offset, err);
}

/* ---- The next block ------------------------------------------------------------------------- */

/* Where the next block of a bucketed segment is; ZP_END behind the last. */
static int
place_next_bucketed(struct segment_iterator *iterator, struct zp_err *err)
{
	const struct segment *segment = iterator->segment;

	while (iterator->fence == iterator->fences_end) {
		uint64_t bucket = iterator->bucket;
		struct group_entry group;
		uint16_t length;

		if (bucket >> segment->layout.bucket_bits != 0)
			return ZP_END;
		iterator->bucket++;
		group = segment__group(segment, bucket / SEGMENT_GROUP_BLOCKS);
		length = zp_load_u16le(group.lengths + 2 * (bucket % SEGMENT_GROUP_BLOCKS));
		if (length == SEGMENT_FENCED) {
			segment__fences_of(
			    segment, bucket, &iterator->fence_first, &iterator->fences_end);
			iterator->fence = iterator->fence_first;
		} else if (length > 0) {
			uint64_t offset = group.offset;

			for (size_t i = 0; i < bucket % SEGMENT_GROUP_BLOCKS; i++) {
				uint16_t before = zp_load_u16le(group.lengths + 2 * i);

				offset += before == SEGMENT_FENCED ? 0 : before;
			}
			iterator->place = (struct block_place){offset, length, bucket};
			iterator->place_first = NULL;
			return group_fill(iterator, bucket, err);
		}
	}
	iterator->place_first = segment__fence_key(segment, iterator->fence);
	iterator->place = segment__fence_place(segment, iterator->fence++, iterator->fence_first);
	return window_fill(iterator, iterator->place.offset, iterator->place.length,
	    segment->footer.texts_bytes == 0, err);
}

static int
place_next(struct segment_iterator *iterator, struct zp_err *err)
{
	const struct segment *segment = iterator->segment;
	int rc;

	if (segment->layout.is_bucketed)
		return place_next_bucketed(iterator, err);
	if (iterator->bucket == segment->footer.blocks)
		return ZP_END;
	rc = segment__ordered_place(
	    segment, iterator->bucket++, &iterator->part, &iterator->place, err);
	if (rc != 0)
		return rc;
	return window_fill(iterator, iterator->place.offset, iterator->place.length, true, err);
}

/* Loads the texts of the block and sees that the rows' lengths stay inside. */
static int
texts_open(struct segment_iterator *iterator, const struct block_view *view, struct zp_err *err)
{
	const struct read_window *window = &iterator->window;
	const struct block_decoded *rows = &iterator->rows;
	size_t column = iterator->segment->layout.texts_column;
	uint64_t stored = view->texts.compressed_length + CHECKSUM_BYTES;
	const uint8_t *compressed = NULL;
	uint64_t sum = 0;
	int rc;

	for (uint32_t i = 0; i < rows->count; i++) {
		uint64_t length = rows->columns[column][i * rows->steps[column]];

		if (length > (view->has_texts ? view->texts.length - view->texts.begin - sum : 0))
			return segment__block_fault(iterator->segment, iterator->place.number,
			    "its text lengths are impossible", err);
		sum += length;
	}
	iterator->texts_at = view->texts.begin;
	if (!view->has_texts || iterator->without_texts)
		return 0;
	if (window_has(window, view->texts.offset, stored))
		compressed = window->bytes + (view->texts.offset - window->offset);
	rc = texts__load(iterator->segment, &view->texts, compressed, &iterator->scratch, err);
	return rc == 0 ? 0
		       : segment__block_wrap(iterator->segment, iterator->place.number, rc, err);
}

int
iterator__block(struct segment_iterator *iterator, struct zp_err *err)
{
	const struct segment *segment = iterator->segment;
	struct block_view view = {.texts = {0}};
	const struct block_place *place = &iterator->place;
	const char *fault;
	int rc;

	iterator->rows.count = 0;
	iterator->next_row = 0;
	rc = place_next(iterator, err);
	if (rc != 0)
		return rc;
	fault = block__parse(&segment->layout,
	    iterator->window.bytes + (place->offset - iterator->window.offset), place->length,
	    place->offset, place->number, &view);
	if (fault == NULL)
		fault = block__decode(&view, &iterator->rows);
	if (fault != NULL)
		rc = segment__block_fault(segment, place->number, fault, err);
	else if (segment->layout.texts_column != 0)
		rc = texts_open(iterator, &view, err);
	if (rc != 0)
		iterator->rows.count = 0;
	return rc;
}

/* ---- Rows ----------------------------------------------------------------------------------- */

static bool
key_is_above(const struct zp_key *key, const struct zp_key *last)
{
	uint64_t head = zp_load_u64be(key->digest), last_head = zp_load_u64be(last->digest);

	return head != last_head ? head > last_head : zp_key_compare(key, last) > 0;
}

int
iterator__row(struct segment_iterator *iterator, struct segment_row *row_out, struct zp_err *err)
{
	const struct block_decoded *rows = &iterator->rows;
	uint64_t columns[SEGMENT_COLUMNS_MAX];
	uint32_t index = iterator->next_row;
	const char *fault;

	if (index == rows->count)
		return ZP_END;
	iterator->next_row++;
	for (size_t c = 0; c < SEGMENT_COLUMNS_MAX; c++)
		columns[c] = rows->columns[c][index * rows->steps[c]];
	fault = segment__row_of_columns(columns, row_out);
	memcpy(row_out->key.digest, rows->digests[index], sizeof(row_out->key.digest));
	if (fault == NULL && iterator->has_last &&
	    !key_is_above(&row_out->key, &iterator->last.key))
		fault = "its rows are out of order";
	if (fault == NULL && columns[PIN_TEXTS] > 0 && !iterator->without_texts) {
		row_out->record.texts = (struct zp_slice){
		    iterator->scratch.texts.data + iterator->texts_at, columns[PIN_TEXTS]};
		if (zp_texts_check(row_out->record.texts, row_out->key.kind, NULL) != 0)
			fault = "a row's texts are damaged";
	}
	iterator->texts_at += columns[PIN_TEXTS];
	if (fault != NULL)
		return segment__block_fault(iterator->segment, iterator->place.number, fault, err);
	iterator->last.key = row_out->key;
	iterator->has_last = true;
	return 0;
}

/* Steps over the texts of row `index` of an ordered block, and returns where they are. */
static struct zp_slice
entry_texts(struct segment_iterator *iterator, uint32_t index)
{
	const struct block_decoded *rows = &iterator->rows;
	size_t column = iterator->segment->layout.texts_column;
	uint64_t length, at = iterator->texts_at;

	if (column == 0)
		return (struct zp_slice){0};
	length = rows->columns[column][index * rows->steps[column]];
	iterator->texts_at += length;
	return length == 0 ? (struct zp_slice){0}
			   : (struct zp_slice){iterator->scratch.texts.data + at, length};
}

/* What stands under the entry's key. NULL, or what is wrong. */
static const char *
entry_value(struct segment_iterator *iterator, uint32_t index, struct segment_entry *entry)
{
	const struct segment_layout *layout = &iterator->segment->layout;
	const struct block_decoded *rows = &iterator->rows;
	struct segment_value *value = &iterator->value;

	entry->value = NULL;
	value->texts = entry_texts(iterator, index);
	if (layout->texts_column == 0)
		return NULL;
	if (entry->operation == ZP_ROW_TOMBSTONE)
		return value->texts.length == 0 ? track__entry_fault(entry)
						: "a tombstone has texts";
	for (size_t c = layout->operation_column + 1u; c < layout->texts_column; c++)
		value->columns[c - layout->operation_column - 1] =
		    rows->columns[c][index * rows->steps[c]];
	entry->value = value;
	return track__entry_fault(entry);
}

int
iterator__entry(
    struct segment_iterator *iterator, struct segment_entry *entry_out, struct zp_err *err)
{
	const struct block_decoded *rows = &iterator->rows;
	size_t keys = iterator->segment->layout.operation_column;
	uint32_t index = iterator->next_row;
	const char *fault;
	uint64_t operation;

	if (index == rows->count)
		return ZP_END;
	iterator->next_row++;
	for (size_t c = 0; c < keys; c++)
		entry_out->columns[c] = rows->columns[c][index * rows->steps[c]];
	operation = rows->columns[keys][index * rows->steps[keys]];
	entry_out->operation = (uint8_t)operation;
	fault = entry_value(iterator, index, entry_out);
	if (operation > ZP_ROW_TOMBSTONE)
		fault = "a row's operation is unknown";
	else if (iterator->has_last &&
		 segment__columns_compare(iterator->last.columns, entry_out->columns, keys) >= 0)
		fault = "its rows are out of order";
	if (fault != NULL)
		return segment__block_fault(iterator->segment, iterator->place.number, fault, err);
	memcpy(iterator->last.columns, entry_out->columns, keys * sizeof(uint64_t));
	iterator->has_last = true;
	return 0;
}

int
segment__iterator_next(
    struct segment_iterator *iterator, struct segment_row *row_out, struct zp_err *err)
{
	int rc;

	ZP_ASSERT(iterator->segment->layout.is_bucketed);
	if (iterator->is_over)
		return ZP_END;
	while ((rc = iterator__row(iterator, row_out, err)) == ZP_END) {
		rc = iterator__block(iterator, err);
		if (rc != 0)
			break;
	}
	iterator->is_over = rc != 0;
	return rc;
}

int
segment__entries_next(
    struct segment_iterator *iterator, struct segment_entry *entry_out, struct zp_err *err)
{
	int rc;

	ZP_ASSERT(!iterator->segment->layout.is_bucketed);
	if (iterator->is_over)
		return ZP_END;
	while ((rc = iterator__entry(iterator, entry_out, err)) == ZP_END) {
		rc = iterator__block(iterator, err);
		if (rc != 0)
			break;
	}
	iterator->is_over = rc != 0;
	return rc;
}

/* ---- Open and seek -------------------------------------------------------------------------- */

static struct segment_iterator *
iterator_new(struct segment *segment, bool is_seek)
{
	struct segment_iterator *iterator = zp_alloc(sizeof(*iterator));

	memset(iterator, 0, offsetof(struct segment_iterator, rows));
	iterator->rows.count = 0;
	iterator->next_row = 0;
	iterator->texts_at = 0;
	iterator->has_last = false;
	iterator->segment = segment__hold(segment);
	iterator->window.ahead = is_seek ? WINDOW_BYTES_SEEK : WINDOW_BYTES;
	segment__scratch_init(&iterator->scratch);
	return iterator;
}

void
segment__iterator_close(struct segment_iterator *iterator)
{
	if (iterator == NULL)
		return;
	segment__release(iterator->segment);
	segment__scratch_done(&iterator->scratch);
	segment__ordered_part_done(&iterator->part);
	zp_free(iterator->window.bytes);
	zp_free(iterator);
}

/* Puts the cursor on the block that may hold `from`. */
static void
seek_bucket(struct segment_iterator *iterator, const struct zp_key *from)
{
	const struct segment *segment = iterator->segment;
	const struct segment_layout *layout = &segment->layout;
	uint64_t head = zp_load_u64be(from->digest);
	uint8_t key[ZP_KEY_BYTES];
	uint64_t first, end;

	zp_key_encode(from, key);
	if (memcmp(key, segment->info.first_key, ZP_KEY_BYTES) <= 0)
		return;
	if (memcmp(key, segment->info.last_key, ZP_KEY_BYTES) > 0) {
		iterator->bucket = UINT64_C(1) << layout->bucket_bits;
		return;
	}
	/* between two keys that share the prefix, so it has the prefix too */
	iterator->bucket = segment__bucket_of(layout, head);
	segment__fences_of(segment, iterator->bucket, &first, &end);
	if (first < end) {
		iterator->bucket++;
		iterator->fence_first = first;
		iterator->fence = segment__fence_find(segment, first, end, key);
		iterator->fences_end = end;
	}
}

/* Skips rows of the first block that are before `from`, without decoding them into rows. */
static int
seek_row(struct segment_iterator *iterator, const struct zp_key *from, struct zp_err *err)
{
	int rc = 0;

	while (iterator->next_row == iterator->rows.count) {
		rc = iterator__block(iterator, err);
		if (rc != 0)
			return rc;
		for (; iterator->next_row < iterator->rows.count; iterator->next_row++) {
			const struct block_decoded *rows = &iterator->rows;
			uint32_t i = iterator->next_row;
			struct segment_row row;
			uint64_t columns[SEGMENT_COLUMNS_MAX];
			const char *fault;

			for (size_t c = 0; c < SEGMENT_COLUMNS_MAX; c++)
				columns[c] = rows->columns[c][i * rows->steps[c]];
			fault = segment__row_of_columns(columns, &row);
			if (fault != NULL)
				return segment__block_fault(
				    iterator->segment, iterator->place.number, fault, err);
			memcpy(row.key.digest, rows->digests[i], sizeof(row.key.digest));
			if (zp_key_compare(&row.key, from) >= 0)
				break;
			iterator->texts_at += columns[PIN_TEXTS];
		}
	}
	return rc;
}

int
segment__iterator_open(struct segment *segment, const struct zp_key *from, enum segment_read read,
    struct segment_iterator **iterator_out, struct zp_err *err)
{
	struct segment_iterator *iterator;
	int rc = 0;

	ZP_ASSERT(segment->layout.is_bucketed);
	iterator = iterator_new(segment, from != NULL);
	iterator->without_texts = read == SEGMENT_READ_WITHOUT_TEXTS;
	if (from != NULL) {
		seek_bucket(iterator, from);
		rc = seek_row(iterator, from, err);
	}
	if (rc < 0) {
		segment__iterator_close(iterator);
		return rc;
	}
	iterator->is_over = rc == ZP_END;
	*iterator_out = iterator;
	return 0;
}

int
segment__entries_open(struct segment *segment, const uint64_t *from,
    struct segment_iterator **iterator_out, struct zp_err *err)
{
	struct segment_iterator *iterator;
	size_t keys;
	int rc = 0;

	ZP_ASSERT(!segment->layout.is_bucketed);
	keys = segment__key_columns(segment->layout.family);
	iterator = iterator_new(segment, from != NULL);
	if (from != NULL)
		rc = segment__ordered_find(segment, from, &iterator->part, &iterator->bucket, err);
	while (from != NULL && rc == 0 && iterator->next_row == iterator->rows.count) {
		rc = iterator__block(iterator, err);
		for (; rc == 0 && iterator->next_row < iterator->rows.count; iterator->next_row++) {
			const struct block_decoded *rows = &iterator->rows;
			uint64_t columns[SEGMENT_KEY_COLUMNS_MAX];

			for (size_t c = 0; c < keys; c++)
				columns[c] = rows->columns[c][iterator->next_row * rows->steps[c]];
			if (segment__columns_compare(columns, from, keys) >= 0)
				break;
			entry_texts(iterator, iterator->next_row);
		}
	}
	if (rc < 0) {
		segment__iterator_close(iterator);
		return rc;
	}
	iterator->is_over = rc == ZP_END;
	*iterator_out = iterator;
	return 0;
}
