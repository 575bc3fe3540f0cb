/*
 * memtable_times.c - which pins a memtable has that were created when: by the rows of its log, in
 * no order.
 *
 * Flow:   created.c. Any thread, beside the owner that adds.
 */
#include "engine/memtable_internal.h"

static const struct index_row *
time_row(const struct memtable *memtable, uint64_t at)
{
	return (const struct index_row *)(const void *)log_at(&memtable->times, at);
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

	for (uint64_t i = 0; i < count; i++) {
		const struct index_row *row = time_row(memtable, i);

		if (row->moment > moment_max || (found && row->moment <= last) ||
		    (row->operation & ZP_ROW_TOMBSTONE) != 0 ||
		    key_namespace(row_key(memtable, row)) != namespace_id)
			continue;
		last = row->moment;
		found = true;
	}
	*moment_out = last;
	return found;
}

int
memtable__created_keys(const struct memtable *memtable, const struct memtable_times *wanted,
    int (*each)(void *context, uint64_t moment, const uint8_t key[ZP_KEY_BYTES]), void *context)
{
	uint64_t count = log_count(&memtable->times);
	int rc = ZP_OK;

	for (uint64_t i = 0; i < count && rc == ZP_OK; i++) {
		const struct index_row *row = time_row(memtable, i);
		const uint8_t *key;
		uint64_t head;

		if (row->moment < wanted->first || row->moment > wanted->last ||
		    (row->operation & ZP_ROW_TOMBSTONE) != 0)
			continue;
		key = row_key(memtable, row);
		head = zp_load_u64be(key);
		if (key_namespace(key) == wanted->namespace_id && head >= wanted->head_first &&
		    head <= wanted->head_last)
			rc = each(context, row->moment, key);
	}
	return rc;
}
