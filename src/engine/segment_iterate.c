/*
 * segment_iterate.c - rows in key order, read ahead and decoded a block at a time.
 *
 * Flow:   scans and merges. cursor → place of the next block → window → block_view → block_rows
 *         → rows. The order of keys is checked as they pass: a merge relies on it.
 * Reads:  one for about WINDOW_BYTES of whole groups, texts included where they are wanted; a group
 * whose texts make it larger than a window is read block by block.
 */
#include "engine/segment_iterate.h"

#include "engine/times.h"

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

int
iterator__view(struct segment_iterator *iterator, struct block_view *view_out, struct zp_err *err)
{
	const struct segment *segment = iterator->segment;
	const struct block_place *place = &iterator->place;
	const char *fault;
	int rc = place_next(iterator, err);

	if (rc != 0)
		return rc;
	fault = block__parse(&segment->layout,
	    iterator->window.bytes + (place->offset - iterator->window.offset), place->length,
	    place->offset, place->number, view_out);
	return fault == NULL ? 0 : segment__block_fault(segment, place->number, fault, err);
}

int
iterator__texts_load(
    struct segment_iterator *iterator, const struct block_view *view, struct zp_err *err)
{
	const struct read_window *window = &iterator->window;
	uint64_t stored = view->texts.compressed_length + CHECKSUM_BYTES;
	const uint8_t *compressed = NULL;
	int rc;

	if (window_has(window, view->texts.offset, stored))
		compressed = window->bytes + (view->texts.offset - window->offset);
	rc = texts__load(iterator->segment, &view->texts, compressed, &iterator->scratch, err);
	return rc == 0 ? 0
		       : segment__block_wrap(iterator->segment, iterator->place.number, rc, err);
}

/* Loads the texts of the block and sees that the rows' lengths stay inside. */
static int
texts_open(struct segment_iterator *iterator, const struct block_view *view, struct zp_err *err)
{
	const struct block_rows *rows = &iterator->rows;
	size_t column = iterator->segment->layout.texts_column;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < rows->count; i++) {
		uint64_t length = rows->cells[i].columns[column];

		if (length > (view->has_texts ? view->texts.length - view->texts.begin - sum : 0))
			return segment__block_fault(iterator->segment, iterator->place.number,
			    "its text lengths are impossible", err);
		sum += length;
	}
	iterator->texts_at = view->texts.begin;
	return !view->has_texts || iterator->without_texts
		   ? 0
		   : iterator__texts_load(iterator, view, err);
}

static void
operations_mark(struct segment_iterator *iterator)
{
	size_t column = iterator->segment->layout.operation_column;

	for (uint32_t i = 0; i < iterator->rows.count; i++)
		iterator->rows.cells[i].columns[column] ^= iterator->operation_mark;
}

int
iterator__block(struct segment_iterator *iterator, struct zp_err *err)
{
	const struct segment *segment = iterator->segment;
	struct block_view view;
	const char *fault;
	int rc;

	if (iterator->last != NULL) {
		iterator->last_kept = *iterator->last;
		iterator->last = &iterator->last_kept;
	}
	iterator->rows.count = 0;
	iterator->next_row = 0;
	rc = iterator__view(iterator, &view, err);
	if (rc != 0)
		return rc;
	fault = block__decode(&view, &iterator->rows);
	if (iterator->operation_mark != 0)
		operations_mark(iterator);
	if (fault != NULL)
		rc = segment__block_fault(segment, iterator->place.number, fault, err);
	else if (segment->layout.texts_column != 0)
		rc = texts_open(iterator, &view, err);
	if (rc != 0)
		iterator->rows.count = 0;
	return rc;
}

/* ---- Rows ----------------------------------------------------------------------------------- */

/* Steps over the texts of the row, and returns where they are. */
static struct zp_slice
texts_pass(struct segment_iterator *iterator, const struct segment_cells *cells)
{
	size_t column = iterator->segment->layout.texts_column;
	uint64_t at = iterator->texts_at;

	if (column == 0 || cells->columns[column] == 0)
		return (struct zp_slice){0};
	iterator->texts_at += cells->columns[column];
	return iterator->without_texts
		   ? (struct zp_slice){0}
		   : (struct zp_slice){iterator->scratch.texts.data + at, cells->columns[column]};
}

/* NULL, or what is wrong with a row of family pin. */
static const char *
pin_fault(const struct segment_cells *cells, struct zp_slice texts)
{
	const char *fault = segment__row_columns_fault(cells->columns);

	if (fault == NULL && texts.length > 0 &&
	    zp_texts_check(texts, (uint8_t)cells->columns[PIN_KIND], NULL) != 0)
		fault = "a row's texts are damaged";
	return fault;
}

static void
entry_of_cells(struct segment_iterator *iterator, const struct segment_cells *cells,
    struct zp_slice texts, struct segment_entry *entry_out)
{
	const struct segment_layout *layout = &iterator->segment->layout;
	size_t keys = layout->operation_column;
	struct segment_value *value = &iterator->value;

	memcpy(entry_out->columns, cells->columns, keys * sizeof(entry_out->columns[0]));
	entry_out->operation = cells->columns[keys];
	entry_out->value = NULL;
	if (layout->values_end == keys + 1 || entry_out->operation == ZP_ROW_TOMBSTONE)
		return;
	memcpy(value->columns, cells->columns + keys + 1,
	    (layout->values_end - keys - 1) * sizeof(value->columns[0]));
	value->texts = texts;
	entry_out->value = value;
}

/* The same of an ordered family. */
static const char *
entry_fault(
    struct segment_iterator *iterator, const struct segment_cells *cells, struct zp_slice texts)
{
	const struct segment_layout *layout = &iterator->segment->layout;
	struct segment_entry entry;

	if ((cells->columns[layout->operation_column] ^ iterator->operation_mark) >
	    iterator->operation_max)
		return "a row's operation is unknown";
	if (layout->values_end == layout->operation_column + 1u)
		return NULL;
	entry_of_cells(iterator, cells, texts, &entry);
	if (entry.operation == ZP_ROW_TOMBSTONE && layout->texts_column != 0 &&
	    cells->columns[layout->texts_column] != 0)
		return "a tombstone has texts";
	return segment__entry_fault(layout->family, &entry);
}

int
iterator__cells(struct segment_iterator *iterator, const struct segment_cells **cells_out,
    struct zp_slice *texts_out, struct zp_err *err)
{
	const struct segment_layout *layout = &iterator->segment->layout;
	const struct segment_cells *cells = &iterator->rows.cells[iterator->next_row];
	struct zp_slice texts;
	const char *fault;

	if (iterator->next_row == iterator->rows.count)
		return ZP_END;
	iterator->next_row++;
	texts = texts_pass(iterator, cells);
	fault = layout->is_bucketed ? pin_fault(cells, texts) : entry_fault(iterator, cells, texts);
	if (fault == NULL && iterator->last != NULL &&
	    segment__cells_compare(layout, iterator->last, cells) >= 0)
		fault = "its rows are out of order";
	if (fault != NULL)
		return segment__block_fault(iterator->segment, iterator->place.number, fault, err);
	iterator->last = cells;
	*cells_out = cells;
	*texts_out = texts;
	return 0;
}

int
segment__cells_next(struct segment_iterator *iterator, const struct segment_cells **cells_out,
    struct zp_slice *texts_out, struct zp_err *err)
{
	int rc;

	if (iterator->is_over)
		return ZP_END;
	while ((rc = iterator__cells(iterator, cells_out, texts_out, err)) == ZP_END) {
		rc = iterator__block(iterator, err);
		if (rc != 0)
			break;
	}
	iterator->is_over = rc != 0;
	return rc;
}

int
segment__iterator_next(
    struct segment_iterator *iterator, struct segment_row *row_out, struct zp_err *err)
{
	const struct segment_cells *cells;
	struct zp_slice texts;
	int rc;

	ZP_ASSERT(iterator->segment->layout.is_bucketed);
	rc = segment__cells_next(iterator, &cells, &texts, err);
	if (rc != 0)
		return rc;
	segment__row_of_cells(cells, row_out);
	row_out->record.texts = texts;
	return 0;
}

int
segment__entries_next(
    struct segment_iterator *iterator, struct segment_entry *entry_out, struct zp_err *err)
{
	const struct segment_cells *cells;
	struct zp_slice texts;
	int rc;

	ZP_ASSERT(!iterator->segment->layout.is_bucketed);
	rc = segment__cells_next(iterator, &cells, &texts, err);
	if (rc == 0)
		entry_of_cells(iterator, cells, texts, entry_out);
	return rc;
}

/* ---- Open and seek -------------------------------------------------------------------------- */

static bool
is_added_up(const struct segment *segment)
{
	return (segment->footer.features_incompatible & SEGMENT_FEATURE_ADDED) != 0;
}

static struct segment_iterator *
iterator_new(struct segment *segment, bool is_seek)
{
	struct segment_iterator *iterator = zp_alloc(sizeof(*iterator));

	memset(iterator, 0, offsetof(struct segment_iterator, rows));
	iterator->rows.count = 0;
	iterator->next_row = 0;
	iterator->texts_at = 0;
	iterator->last = NULL;
	iterator->segment = segment__hold(segment);
	iterator->window.ahead = is_seek ? WINDOW_BYTES_SEEK : WINDOW_BYTES;
	iterator->operation_max = ZP_ROW_TOMBSTONE;
	if (segment->layout.family == ZP_FAMILY_TIME && is_added_up(segment))
		iterator->operation_max = TIMES_OPERATION_MAX;
	else if (segment->layout.family == ZP_FAMILY_TIME)
		iterator->operation_mark = TIMES_REPLACES;
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

/* Moves behind the rows that are before `from`, of which only the key is looked at. */
static int
seek_row(struct segment_iterator *iterator, const struct segment_cells *from, struct zp_err *err)
{
	const struct segment_layout *layout = &iterator->segment->layout;
	const struct block_rows *rows = &iterator->rows;
	int rc = 0;

	while (rc == 0 && iterator->next_row == rows->count) {
		rc = iterator__block(iterator, err);
		for (; rc == 0 && iterator->next_row < rows->count; iterator->next_row++) {
			const struct segment_cells *cells = &rows->cells[iterator->next_row];

			if (segment__cells_compare(layout, cells, from) >= 0)
				break;
			texts_pass(iterator, cells);
		}
	}
	return rc;
}

int
segment__iterator_open(struct segment *segment, const struct zp_key *from, enum segment_read read,
    struct segment_iterator **iterator_out, struct zp_err *err)
{
	struct segment_iterator *iterator;
	int rc = segment__index_load(segment, err);

	ZP_ASSERT(segment->layout.is_bucketed);
	if (rc != 0)
		return rc;
	iterator = iterator_new(segment, from != NULL);
	iterator->without_texts = read == SEGMENT_READ_WITHOUT_TEXTS;
	if (from != NULL) {
		struct segment_row row = {.key = *from};
		struct segment_cells cells;

		segment__row_cells(&row, &cells);
		seek_bucket(iterator, from);
		rc = seek_row(iterator, &cells, err);
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
segment__views_open(struct segment *segment, const struct zp_key *from, bool reads_texts,
    struct segment_iterator **iterator_out, struct zp_err *err)
{
	struct segment_iterator *iterator;
	int rc = segment__index_load(segment, err);

	ZP_ASSERT(segment->layout.is_bucketed);
	if (rc != 0)
		return rc;
	iterator = iterator_new(segment, from != NULL);
	iterator->without_texts = !reads_texts;
	if (from != NULL)
		seek_bucket(iterator, from);
	*iterator_out = iterator;
	return 0;
}

int
segment__entries_open(struct segment *segment, const uint64_t *from,
    struct segment_iterator **iterator_out, struct zp_err *err)
{
	struct segment_iterator *iterator;
	int rc = segment__index_load(segment, err);

	ZP_ASSERT(!segment->layout.is_bucketed);
	if (rc != 0)
		return rc;
	iterator = iterator_new(segment, from != NULL);
	if (from != NULL) {
		struct segment_cells cells;

		memcpy(cells.columns, from,
		    segment->layout.operation_column * sizeof(cells.columns[0]));
		rc = segment__ordered_find(segment, from, &iterator->part, &iterator->bucket, err);
		if (rc == 0)
			rc = seek_row(iterator, &cells, err);
	}
	if (rc < 0) {
		segment__iterator_close(iterator);
		return rc;
	}
	iterator->is_over = rc == ZP_END;
	*iterator_out = iterator;
	return 0;
}
