/*
 * accesses.c - rows of family access as sums: see accesses.h.
 *
 * Flow: apply.c, flush.c and merge.c write by these rules, accesses_walk.c and verify_deep.c read
 * by them. Pure.
 */
#include "engine/accesses.h"

#include "engine/engine_internal.h"
#include "engine/segment_internal.h"

enum access_column {
	COLUMN_HEAD = 0, /* of the digest */
	COLUMN_TAG = 1,
	COLUMN_KIND = 2, /* and version; it and those behind as in other families */
};

enum access_value {
	VALUE_COUNT = 0,
	VALUE_LAST = 1,
	VALUE_REPLACES = 2,
};

struct zp_key
accesses__short_key(const uint8_t cluster_id[16], const struct zp_key *key)
{
	uint64_t seed = zp_load_u64le(cluster_id) ^ zp_load_u64le(cluster_id + 8);
	struct zp_key short_key = *key;

	memset(short_key.digest + 8, 0, sizeof(short_key.digest) - 8);
	zp_store_u32be(
	    short_key.digest + 8, (uint32_t)zp_hash64(key->digest, sizeof(key->digest), seed));
	return short_key;
}

void
accesses__columns(const struct zp_key *short_key, uint64_t columns_out[SEGMENT_ACCESS_COLUMNS])
{
	uint64_t columns[SEGMENT_PIN_COLUMNS];

	index__key_columns(short_key, columns);
	columns_out[COLUMN_HEAD] = columns[0];
	columns_out[COLUMN_TAG] = columns[1] >> 32;
	memcpy(columns_out + COLUMN_KIND, columns + 4, 4 * sizeof(columns[0]));
}

struct accesses_sum
accesses__of_entry(const struct segment_entry *entry)
{
	if (entry->operation == ZP_ROW_TOMBSTONE)
		return (struct accesses_sum){.replaces = true, .is_end = true};
	return (struct accesses_sum){.count = entry->value->columns[VALUE_COUNT],
	    .last = entry->value->columns[VALUE_LAST],
	    .replaces = entry->value->columns[VALUE_REPLACES] != 0};
}

void
accesses__to_entry(const struct accesses_sum *sum, struct segment_value *value_out,
    struct segment_entry *entry_out)
{
	entry_out->operation = sum->is_end ? ZP_ROW_TOMBSTONE : ZP_ROW_PUT;
	entry_out->value = NULL;
	if (sum->is_end)
		return;
	*value_out = (struct segment_value){.columns = {[VALUE_COUNT] = sum->count,
						[VALUE_LAST] = sum->last,
						[VALUE_REPLACES] = sum->replaces}};
	entry_out->value = value_out;
}

struct accesses_sum
accesses__of_cells(const struct segment_cells *cells)
{
	const uint64_t *values = cells->columns + SEGMENT_ACCESS_COLUMNS + 1;

	if (cells->columns[SEGMENT_ACCESS_COLUMNS] == ZP_ROW_TOMBSTONE)
		return (struct accesses_sum){.replaces = true, .is_end = true};
	return (struct accesses_sum){.count = values[VALUE_COUNT],
	    .last = values[VALUE_LAST],
	    .replaces = values[VALUE_REPLACES] != 0};
}

void
accesses__to_cells(const struct accesses_sum *sum, struct segment_cells *cells_out)
{
	uint64_t *values = cells_out->columns + SEGMENT_ACCESS_COLUMNS + 1;

	cells_out->columns[SEGMENT_ACCESS_COLUMNS] = sum->is_end ? ZP_ROW_TOMBSTONE : ZP_ROW_PUT;
	values[VALUE_COUNT] = sum->count;
	values[VALUE_LAST] = sum->last;
	values[VALUE_REPLACES] = sum->replaces && !sum->is_end;
}

const char *
accesses__entry_fault(const struct segment_entry *entry)
{
	const uint64_t *columns = entry->columns;
	uint64_t pin_columns[SEGMENT_PIN_COLUMNS] = {columns[COLUMN_HEAD],
	    columns[COLUMN_TAG] << 32, 0, 0, columns[COLUMN_KIND], columns[COLUMN_KIND + 1],
	    columns[COLUMN_KIND + 2], columns[COLUMN_KIND + 3]};
	const struct segment_value *value = entry->value;
	struct zp_key key;

	if (columns[COLUMN_TAG] > UINT32_MAX || index__key_of_columns(pin_columns, &key, NULL) < 0)
		return "a row's key is impossible";
	if (value != NULL &&
	    (value->columns[VALUE_COUNT] == 0 || value->columns[VALUE_COUNT] > ACCESSES_COUNT_MAX ||
		value->columns[VALUE_LAST] > ZP_ACCESS_SECONDS_MAX ||
		value->columns[VALUE_REPLACES] > 1))
		return "a row's accesses are impossible";
	return NULL;
}

void
accesses__combine(struct accesses_sum *newer, const struct accesses_sum *older)
{
	if (newer->replaces)
		return;
	newer->count = zp_min_u64(newer->count + older->count, ACCESSES_COUNT_MAX);
	newer->last = zp_max_u64(newer->last, older->last);
	newer->replaces = older->replaces;
}

void
accesses__cells_oldest(struct segment_cells *cells)
{
	struct accesses_sum sum = accesses__of_cells(cells);

	sum.replaces = sum.is_end;
	accesses__to_cells(&sum, cells);
}
