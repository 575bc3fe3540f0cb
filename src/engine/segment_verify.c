/*
 * segment_verify.c - reads a whole segment and says all that is wrong with it.
 *
 * Flow: `zpin verify`, the scrubber where a file's content is not what its name says, and tests.
 * Damage is told to the caller one fault at a time, in a read's words; the check goes on with the
 * next block.
 */
#include "engine/segment_iterate.h"

#include <stdio.h>

#define VERIFY_READ_BYTES (256u << 10)

struct verification {
	struct segment *segment;
	const struct zp_check *check;
	uint64_t faults;
	uint64_t block;      /* number of the one at hand */
	uint64_t bytes_told; /* to check->step, of this pass over the file */
	uint64_t rows;
	uint64_t tombstones;
	bool blocks_missing; /* some block was damaged, so counts and ends can't be compared */
	uint8_t first_key[SEGMENT_KEY_FIELD_BYTES];
	uint8_t last_key[SEGMENT_KEY_FIELD_BYTES];
	struct column_range ranges[SEGMENT_COLUMNS_MAX];
};

/* `text` names the file. */
static void
fault_tell(struct verification *verification, const char *text)
{
	verification->faults++;
	zp_check_damage(verification->check, text);
}

/* Of the block at hand. */
static void
block_tell(struct verification *verification, const char *what)
{
	struct zp_err why = {0};

	zp_ignore(segment__block_fault(
	    verification->segment, verification->block, what, &why)); /* its text */
	fault_tell(verification, why.text);
}

/* Of the file as a whole. */
static void
file_tell(struct verification *verification, const char *what)
{
	struct zp_err why = {0};

	zp_ignore(zp_fail(
	    &why, ZP_E_CORRUPT, "%s: %s", verification->segment->label, what)); /* its text */
	fault_tell(verification, why.text);
}

static void
range_note(struct column_range *range, uint64_t value)
{
	range->smallest = zp_min_u64(range->smallest, value);
	range->largest = zp_max_u64(range->largest, value);
}

static void
filter_check(struct verification *verification, const struct segment_cells *cells)
{
	const struct segment *segment = verification->segment;
	uint8_t key[ZP_KEY_BYTES];
	struct filter_key asked;

	if (!segment__has_filter(segment->layout.family))
		return;
	segment__cells_pin_key_encode(&segment->layout, cells, key);
	asked = filter__key(key);
	if (!filter__may_contain(&segment->filter, &asked))
		block_tell(verification, "a row's key is not in the filter");
}

/* What only family pin has. */
static void
pin_check(
    struct verification *verification, const struct segment_cells *cells, struct zp_slice texts)
{
	const struct segment_layout *layout = &verification->segment->layout;
	bool is_tombstone = segment__is_tombstone(layout, cells);
	uint8_t key[ZP_KEY_BYTES];
	struct zp_key decoded;

	segment__cells_pin_key_encode(layout, cells, key);
	if (zp_key_decode(key, &decoded, NULL) != 0)
		block_tell(verification, "a row's key is impossible");
	if (!segment__prefix_matches(layout, zp_load_u64be(cells->digest)))
		block_tell(verification, "a row is outside the segment's prefix");
	/* also texts that are not there */
	if (!is_tombstone && zp_texts_check(texts, (uint8_t)cells->columns[PIN_KIND], NULL) != 0)
		block_tell(verification, "a row's texts are damaged");
}

static void
row_note(
    struct verification *verification, const struct segment_cells *cells, struct zp_slice texts)
{
	const struct segment_layout *layout = &verification->segment->layout;
	bool is_tombstone = segment__is_tombstone(layout, cells);
	uint8_t key[SEGMENT_KEY_FIELD_BYTES];

	segment__cells_key_encode(layout, cells, key);
	if (verification->rows == 0)
		memcpy(verification->first_key, key, sizeof(key));
	memcpy(verification->last_key, key, sizeof(key));
	verification->rows++;
	verification->tombstones += is_tombstone;
	for (size_t i = 0; i < layout->columns_count; i++) {
		if (!is_tombstone || !segment__is_fact(layout, i))
			range_note(&verification->ranges[i], cells->columns[i]);
	}
	if (layout->is_bucketed)
		pin_check(verification, cells, texts);
	filter_check(verification, cells);
}

/* The first row of a block with a fence, or of an ordered block, is the one its directory says. */
static void
first_check(struct verification *verification, const struct segment_iterator *iterator)
{
	const struct segment *segment = verification->segment;
	const struct segment_cells *cells = &iterator->rows.cells[0];
	uint64_t first[SEGMENT_KEY_COLUMNS_MAX];
	uint8_t key[ZP_KEY_BYTES];
	bool is_right = true;

	if (!segment->layout.is_bucketed) {
		segment__ordered_first(segment, iterator->place.number, &iterator->part, first);
		is_right = segment__columns_compare(cells->columns, first,
			       segment__key_columns(segment->layout.family)) == 0;
	} else if (iterator->place_first != NULL) {
		segment__cells_pin_key_encode(&segment->layout, cells, key);
		is_right = memcmp(key, iterator->place_first, sizeof(key)) == 0;
	}
	if (!is_right)
		block_tell(verification, "a block does not begin where the directory says");
}

/* All rows of the block that the iterator has decoded. */
static void
block_verify(struct verification *verification, struct segment_iterator *iterator)
{
	int rc = 0;

	verification->block = iterator->place.number;
	first_check(verification, iterator);
	while (rc == 0) {
		const struct segment_cells *cells;
		struct zp_slice texts;
		struct zp_err fault = {0};

		rc = iterator__cells(iterator, &cells, &texts, &fault);
		if (rc == 0)
			row_note(verification, cells, texts);
		if (rc == ZP_E_CORRUPT) {
			/* the iterator has stepped over the row already */
			fault_tell(verification, fault.text);
			verification->blocks_missing = true;
			rc = 0;
		}
	}
}

/* What can be told of one place, so that the rest is looked at. */
static bool
is_fault(int rc)
{
	return rc == ZP_E_CORRUPT || rc == ZP_E_IO;
}

/* Between blocks and between reads of the whole; `bytes` of the file are read. */
static int
step(struct verification *verification, uint64_t bytes, struct zp_err *err)
{
	uint64_t more = bytes > verification->bytes_told ? bytes - verification->bytes_told : 0;

	verification->bytes_told += more;
	return zp_check_step(verification->check, more, err);
}

static int
blocks_verify(struct verification *verification, struct zp_err *err)
{
	struct segment_iterator *iterator = NULL;
	struct zp_err fault = {0};
	int rc;

	if (verification->segment->layout.is_bucketed)
		rc = segment__iterator_open(
		    verification->segment, NULL, SEGMENT_READ_ALL, &iterator, &fault);
	else
		rc = segment__entries_open(verification->segment, NULL, &iterator, &fault);
	if (is_fault(rc)) { /* of the directory: no block can be found */
		fault_tell(verification, fault.text);
		verification->blocks_missing = true;
		return 0;
	}
	if (rc != 0)
		return zp_fail(err, rc, "%s", fault.text);
	/* as they are stored: the file says what is smallest and largest */
	iterator->operation_mark = 0;
	while (rc == 0) {
		fault = (struct zp_err){0};

		rc = iterator__block(iterator, &fault);
		if (rc == 0) {
			block_verify(verification, iterator);
		} else if (is_fault(rc)) {
			fault_tell(verification, fault.text);
			verification->blocks_missing = true;
			rc = 0;
		} else if (rc < 0) {
			rc = zp_fail(err, rc, "%s", fault.text);
		}
		if (rc == 0)
			rc = step(
			    verification, iterator->place.offset + iterator->place.length, err);
	}
	segment__iterator_close(iterator);
	return rc == ZP_END ? 0 : rc;
}

/* Footer and columns section against what the rows were. */
static void
totals_verify(struct verification *verification)
{
	const struct segment *segment = verification->segment;

	if (verification->blocks_missing)
		return;
	if (verification->rows != segment->footer.rows ||
	    verification->tombstones != segment->footer.tombstones)
		file_tell(verification, "the footer counts other rows than there are");
	if (memcmp(verification->first_key, segment->footer.first_key, SEGMENT_KEY_FIELD_BYTES) !=
		0 ||
	    memcmp(verification->last_key, segment->footer.last_key, SEGMENT_KEY_FIELD_BYTES) != 0)
		file_tell(verification, "first or last key of the footer is not the rows'");
	for (size_t i = 0; i < segment->layout.columns_count; i++) {
		if (verification->ranges[i].smallest != segment->layout.ranges[i].smallest ||
		    verification->ranges[i].largest != segment->layout.ranges[i].largest)
			file_tell(verification, "a column's smallest or largest value is wrong");
	}
}

/* The whole file is what its name says. */
static int
content_verify(struct verification *verification, struct zp_err *err)
{
	const struct segment *segment = verification->segment;
	uint8_t *bytes = zp_alloc(VERIFY_READ_BYTES);
	struct segment_hash *hash = segment__hash_new();
	struct zp_hash128 content;
	struct zp_err why = {0};
	int rc = 0;

	verification->bytes_told = 0;
	for (uint64_t at = 0; rc == 0 && at < segment->info.bytes; at += VERIFY_READ_BYTES) {
		size_t length = zp_min_u64(VERIFY_READ_BYTES, segment->info.bytes - at);

		rc = zp_store_file_read(segment->file, at, bytes, length, &why);
		if (rc == 0) {
			segment__hash_update(hash, bytes, length);
			rc = step(verification, at + length, &why);
		}
	}
	content = segment__hash_end(hash);
	/* A fault that was told is in the content, too: it is one, and the same file. */
	if (verification->faults == 0 && is_fault(rc))
		file_tell(verification, why.text);
	else if (verification->faults == 0 && rc == 0 &&
		 (content.low != segment->info.name.low || content.high != segment->info.name.high))
		file_tell(verification, "the content is not what the name says");
	segment__hash_free(hash);
	zp_free(bytes);
	return rc == 0 || is_fault(rc) ? 0 : zp_fail(err, rc, "%s", why.text);
}

int
segment__verify(struct segment *segment, const struct zp_check *check, struct zp_err *err)
{
	struct verification verification = {.segment = segment, .check = check};
	int rc;

	for (size_t i = 0; i < SEGMENT_COLUMNS_MAX; i++)
		verification.ranges[i] = COLUMN_RANGE_NONE;
	rc = blocks_verify(&verification, err);
	if (rc == 0) {
		totals_verify(&verification);
		rc = content_verify(&verification, err);
	}
	if (rc != 0)
		return zp_wrap(err, rc, "%s", segment->label);
	if (verification.faults > 0)
		return zp_fail(err, ZP_E_CORRUPT, "%s: %llu faults", segment->label,
		    (unsigned long long)verification.faults);
	return 0;
}
