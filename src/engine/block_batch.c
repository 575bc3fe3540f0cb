/*
 * block_batch.c - see block_batch.h.
 */
#include "engine/block_batch.h"

/* Whether a value of some is above its limit is seen by the bits that they have set. */
_Static_assert(ZP_KIND_OTHER == 1 && ZP_ROW_TOMBSTONE == 1, "one bit");
_Static_assert((ZP_PIN_TYPE_COUNT & (ZP_PIN_TYPE_COUNT - 1)) == 0, "whole bits");

void
batch__of_view(struct block_batch *batch)
{
	const struct block_view *view = &batch->view;

	batch->count = view->rows;
	batch->has_heads = batch->has_digests = batch->has_tombstones = false;
	batch->varying = view->places->varying;
	batch->classes = view->places->classes;
	batch->there = 0;
	batch->constants = view->constants;
	batch->payloads_placed = 0;
	batch->payload_at = view->payloads_at;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

void
batch__of_memory(struct block_batch *batch)
{
	batch->count = 0;
	batch->has_heads = batch->has_digests = true;
	batch->has_tombstones = false;
	batch->classes = 0;
	batch->varying = batch->there = BATCH_COLUMN(SEGMENT_COLUMNS_MAX) - 1;
	if (batch->texts == NULL)
		batch->texts = zp_alloc(BLOCK_ROWS_MAX * sizeof(batch->texts[0]));
}

void
batch__memory_add(
    struct block_batch *batch, const struct segment_cells *cells, struct zp_slice texts)
{
	uint32_t row = batch->count++;

	ZP_ASSERT(row < BLOCK_ROWS_MAX);
	batch->heads[row] = zp_load_u64be(cells->digest);
	memcpy(batch->digests[row], cells->digest, sizeof(cells->digest));
	for (size_t i = 0; i < SEGMENT_COLUMNS_MAX; i++)
		batch->values[i][row] = cells->columns[i];
	batch->texts[row] = texts;
	batch->has_tombstones |= cells->columns[PIN_OPERATION] == ZP_ROW_TOMBSTONE;
}

/* ---- Columns --------------------------------------------------------------------------------- */

/* Where the payloads of the column begin; those before it are passed. */
static const char *
payloads_place(struct block_batch *batch, unsigned column)
{
	const struct block_view *view = &batch->view;

	for (; batch->payloads_placed <= column; batch->payloads_placed++) {
		unsigned at = batch->payloads_placed;

		batch->payload_places[at] = batch->payload_at;
		if ((batch->classes >> at & 1) != 0 &&
		    !column__payloads_pass(&view->codes[at], view->bits, block__column_at(view, at),
			view->rows, view->bits_end, &batch->payload_at))
			return "a column's bits are damaged";
	}
	return NULL;
}

static const char *
column_unpack(struct block_batch *batch, unsigned column)
{
	const struct block_view *view = &batch->view;
	bool has_payloads = (batch->classes >> column & 1) != 0, is_next;
	uint64_t payload_at = 0;
	const char *fault = NULL;

	if (has_payloads && column > 0)
		fault = payloads_place(batch, column - 1);
	if (fault != NULL)
		return fault;
	is_next = has_payloads && batch->payloads_placed == column;
	if (has_payloads)
		payload_at = is_next ? batch->payload_at : batch->payload_places[column];
	if (!column__unpack(&view->codes[column], view->bits, block__column_at(view, column),
		view->rows, view->bits_end, &payload_at, batch->values[column]))
		return "a column's bits are damaged";
	if (is_next) {
		batch->payload_places[batch->payloads_placed++] = batch->payload_at;
		batch->payload_at = payload_at;
	}
	return NULL;
}

/* What any of the column's values has set. */
ZP_CLONES
static uint64_t
bits_of(const uint64_t *values, uint32_t count)
{
	uint64_t bits = 0;

	for (uint32_t i = 0; i < count; i++)
		bits |= values[i];
	return bits;
}

/* The same of puts alone. */
static uint64_t
bits_of_puts(const struct block_batch *batch, size_t column)
{
	size_t step, operation_step;
	const uint64_t *values = batch__values(batch, column, &step);
	const uint64_t *operations = batch__values(batch, PIN_OPERATION, &operation_step);
	uint64_t bits = 0;

	for (uint32_t i = 0; i < batch->count; i++)
		bits |= operations[i * operation_step] == ZP_ROW_PUT ? values[i * step] : 0;
	return bits;
}

static const char *
texts_place(struct block_batch *batch)
{
	const struct block_view *view = &batch->view;
	uint64_t at = view->texts.begin, end = view->has_texts ? view->texts.length : at;
	size_t step;
	const uint64_t *lengths = batch__values(batch, PIN_TEXTS, &step);

	if (step == 0 && *lengths == 0)
		return NULL;
	for (uint32_t i = 0; i < batch->count; i++) {
		uint64_t length = lengths[i * step];

		if (length > end - at)
			return "its text lengths are impossible";
		if (length > 0 && batch__value(batch, PIN_OPERATION, i) == ZP_ROW_TOMBSTONE)
			return "a tombstone has texts";
		batch->texts_at[i] = at;
		at += length;
	}
	return NULL;
}

/* What is wrong with the values of a column that is unpacked; its operations are. */
static const char *
column_fault(struct block_batch *batch, unsigned column)
{
	bool varies = (batch->varying >> column & 1) != 0;
	uint64_t bits = batch->constants[column];

	if (varies && column <= PIN_OPERATION)
		bits = bits_of(batch->values[column], batch->count);
	switch (column) {
	case PIN_KIND:
	case PIN_VERSION:
		return bits > 1 ? "a row's key is impossible" : NULL;
	case PIN_NAMESPACE:
		return bits > UINT32_MAX ? "a row's key is impossible" : NULL;
	case PIN_OPERATION:
		batch->has_tombstones = bits != ZP_ROW_PUT;
		return bits > 1 ? "a row's operation is unknown" : NULL;
	case PIN_FACTS + ZP_FACT_TYPE:
		if (varies || batch->has_tombstones)
			bits = bits_of_puts(batch, column);
		return bits >= ZP_PIN_TYPE_COUNT ? "a row's pin type is unknown" : NULL;
	case PIN_TEXTS:
		return texts_place(batch);
	default:
		return NULL;
	}
}

const char *
batch__columns(struct block_batch *batch, uint32_t mask)
{
	const char *fault = NULL;

	if ((batch->there & BATCH_COLUMN(PIN_OPERATION)) == 0 &&
	    mask != BATCH_COLUMN(PIN_OPERATION)) /* says what the others are worth */
		fault = batch__columns(batch, BATCH_COLUMN(PIN_OPERATION));
	for (mask &= ~batch->there; fault == NULL && mask != 0; mask &= mask - 1) {
		unsigned column = (unsigned)__builtin_ctz(mask);

		if ((batch->varying >> column & 1) != 0)
			fault = column_unpack(batch, column);
		if (fault == NULL)
			fault = column_fault(batch, column);
		if (fault == NULL)
			batch->there |= BATCH_COLUMN(column);
	}
	/* All payloads are passed. Without any the block's parse has looked. */
	if (fault == NULL && batch->classes != 0 && batch->classes >> batch->payloads_placed == 0 &&
	    8 * bits_bytes(batch->payload_at) != batch->view.bits_end)
		fault = "its length is not that of its rows";
	return fault;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

/* Bucket and slot stand in the head. */
static void
digest_get(const struct block_batch *batch, uint32_t row, uint8_t digest_out[32])
{
	const struct segment_layout *layout = batch->view.layout;

	if (batch->has_digests)
		memcpy(digest_out, batch->digests[row], 32);
	else
		block__digest(
		    &batch->view, row, segment__slot_of(layout, batch->heads[row]), digest_out);
}

int
batch__rows_compare(
    const struct block_batch *a, uint32_t row, const struct block_batch *b, uint32_t other)
{
	uint8_t left[32], right[32];
	int order;

	if (a->heads[row] != b->heads[other])
		return a->heads[row] < b->heads[other] ? -1 : 1;
	digest_get(a, row, left);
	digest_get(b, other, right);
	order = memcmp(left, right, sizeof(left));
	for (size_t i = 0; order == 0 && i < PIN_KEY_COLUMNS; i++) {
		uint64_t value = batch__value(a, i, row), against = batch__value(b, i, other);

		order = value == against ? 0 : value < against ? -1 : 1;
	}
	return order;
}

/* How many are not above the one before. */
ZP_CLONES
static uint64_t
not_rising(const uint64_t *values, uint32_t count)
{
	uint64_t found = 0;

	for (uint32_t i = 1; i < count; i++)
		found += values[i] <= values[i - 1];
	return found;
}

const char *
batch__heads(struct block_batch *batch)
{
	const char *fault;
	bool falls = false;

	if (batch->has_heads)
		return NULL;
	fault = batch__columns(batch, BATCH_KEY_COLUMNS);
	if (fault != NULL)
		return fault;
	block__heads(&batch->view, batch->heads);
	if (not_rising(batch->heads, batch->count) >
	    0) { /* or equal, and the rest of the key tells */
		for (uint32_t i = 1; i < batch->count; i++)
			falls |= batch__rows_compare(batch, i - 1, batch, i) >= 0;
	}
	batch->has_heads = !falls;
	return falls ? "its rows are out of order" : NULL;
}

const char *
batch__digests(struct block_batch *batch)
{
	const char *fault = batch__heads(batch);

	if (fault == NULL && !batch->has_digests) {
		block__digests(&batch->view, batch->heads, batch->digests);
		batch->has_digests = true;
	}
	return fault;
}

void
batch__key_encode(
    const struct block_batch *batch, uint32_t row, uint8_t key_out[SEGMENT_KEY_FIELD_BYTES])
{
	memset(key_out + ZP_KEY_BYTES, 0, SEGMENT_KEY_FIELD_BYTES - ZP_KEY_BYTES);
	digest_get(batch, row, key_out);
	key_out[32] = (uint8_t)batch__value(batch, PIN_KIND, row);
	key_out[33] = (uint8_t)batch__value(batch, PIN_VERSION, row);
	zp_store_u64be(key_out + 34, batch__value(batch, PIN_CODEC, row));
	zp_store_u32be(key_out + 42, (uint32_t)batch__value(batch, PIN_NAMESPACE, row));
	zp_store_u64be(key_out + 46, batch__value(batch, PIN_CLAIM, row));
}
