/*
 * memtable_times.c - which pins a memtable has that were created when: by the rows of its log, in
 * no order.
 *
 * Flow:   created.c. Any thread, beside the owner that adds.
 */
#include "engine/memtable_internal.h"

/* Rows of the log that lie together: of its `piece`th part. */
static const struct index_row *
piece_rows(const struct memtable *memtable, uint64_t piece)
{
	return (const struct index_row *)(const void *)log_at(
	    &memtable->times, piece * LOG_CHUNK_ROWS);
}

static uint64_t
pieces_count(uint64_t rows)
{
	return (rows + LOG_CHUNK_ROWS - 1) / LOG_CHUNK_ROWS;
}

static size_t
piece_count(uint64_t rows, uint64_t piece)
{
	return (size_t)zp_min_u64(LOG_CHUNK_ROWS, rows - piece * LOG_CHUNK_ROWS);
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
	for (uint64_t piece = pieces_count(count); piece-- > 0;) {
		const struct index_row *rows = piece_rows(memtable, piece);

		for (size_t i = piece_count(count, piece); i-- > 0;) {
			if (rows[i].moment > moment_max || (found && rows[i].moment <= last) ||
			    (rows[i].operation & ZP_ROW_TOMBSTONE) != 0 ||
			    key_namespace(row_key(memtable, &rows[i])) != namespace_id)
				continue;
			last = rows[i].moment;
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

	for (uint64_t piece = 0; piece < pieces_count(count); piece++) {
		const struct index_row *rows = piece_rows(memtable, piece);
		size_t rows_count = piece_count(count, piece);

		for (size_t i = 0; i < rows_count && rc == ZP_OK; i++) {
			if (rows[i].moment < wanted->first || rows[i].moment > wanted->last ||
			    (rows[i].operation & ZP_ROW_TOMBSTONE) != 0)
				continue;
			if (is_wanted(wanted, row_key(memtable, &rows[i])))
				rc = each(context, rows[i].moment, row_key(memtable, &rows[i]));
		}
		if (rc != ZP_OK)
			break;
	}
	return rc;
}
