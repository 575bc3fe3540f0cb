/*
 * memtable_times.c - which pins a memtable has that were created when: by the rows of its log, in
 * no order, but with the least and greatest time of each thousand.
 *
 * Flow:   created.c. Any thread, beside the owner that adds.
 */
#include "engine/memtable_internal.h"

/* The rows of one chunk of the log, which lie together. */
struct piece {
	const struct index_row *rows;
	size_t count;
};

/* Of `rows` that the log has, chunk `number`. */
static struct piece
piece_of(const struct memtable *memtable, uint64_t rows, uint64_t number)
{
	uint64_t first = number * LOG_CHUNK_ROWS;

	return (struct piece){
	    .rows = (const struct index_row *)(const void *)log_at(&memtable->times, first),
	    .count = (size_t)zp_min_u64(LOG_CHUNK_ROWS, rows - first)};
}

static uint64_t
pieces_count(uint64_t rows)
{
	return (rows + LOG_CHUNK_ROWS - 1) / LOG_CHUNK_ROWS;
}

/* False: no row of the group that has the chunk is of first..last. */
static bool
group_may_have(const struct memtable *memtable, uint64_t piece, uint64_t first, uint64_t last)
{
	uint64_t group = piece / (TIMES_GROUP / LOG_CHUNK_ROWS);
	const struct moments *bounds;

	if (group >= log_count(&memtable->times_bounds))
		return true; /* it is the last, still growing */
	bounds = (const struct moments *)(const void *)log_at(&memtable->times_bounds, group);
	return bounds->first <= last && bounds->last >= first;
}

static const uint8_t *
row_key(const struct memtable *memtable, const struct index_row *row)
{
	return ((const struct entry *)(const void *)keyed_at(&memtable->pins, row->entry))->key;
}

static uint32_t
key_namespace(const uint8_t key[ZP_KEY_BYTES])
{
	return zp_load_u32be(key + 42);
}

bool
memtable__created_last(const struct memtable *memtable, uint32_t namespace_id, uint64_t moment_max,
    uint64_t *moment_out)
{
	uint64_t count = log_count(&memtable->times), last = 0;
	bool found = false;

	/* From the end, where the latest are as a rule: a pin's key is looked at where its time is
	 * later than all that were found, and that costs. */
	for (uint64_t number = pieces_count(count);
	     number-- > 0 && !(found && last == moment_max);) {
		struct piece piece = piece_of(memtable, count, number);

		if (!group_may_have(memtable, number, found ? last + 1 : 0, moment_max))
			continue;
		for (size_t i = piece.count; i-- > 0;) {
			const struct index_row *row = &piece.rows[i];

			if (row->moment > moment_max || (found && row->moment <= last) ||
			    (row->operation & ZP_ROW_TOMBSTONE) != 0 ||
			    key_namespace(row_key(memtable, row)) != namespace_id)
				continue;
			last = row->moment;
			found = true;
		}
	}
	*moment_out = last;
	return found;
}

static bool
is_wanted(const struct memtable_times *wanted, const uint8_t key[ZP_KEY_BYTES])
{
	uint64_t head = zp_load_u64be(key);

	return key_namespace(key) == wanted->namespace_id && head >= wanted->head_first &&
	       head <= wanted->head_last;
}

int
memtable__created_keys(const struct memtable *memtable, const struct memtable_times *wanted,
    int (*each)(void *context, uint64_t moment, const uint8_t key[ZP_KEY_BYTES]), void *context)
{
	uint64_t count = log_count(&memtable->times);
	int rc = ZP_OK;

	for (uint64_t number = 0; rc == ZP_OK && number < pieces_count(count); number++) {
		struct piece piece = piece_of(memtable, count, number);

		if (!group_may_have(memtable, number, wanted->first, wanted->last))
			continue;
		for (size_t i = 0; i < piece.count && rc == ZP_OK; i++) {
			const struct index_row *row = &piece.rows[i];

			if (row->moment < wanted->first || row->moment > wanted->last ||
			    (row->operation & ZP_ROW_TOMBSTONE) != 0)
				continue;
			if (is_wanted(wanted, row_key(memtable, row)))
				rc = each(context, row->moment, row_key(memtable, row));
		}
	}
	return rc;
}
