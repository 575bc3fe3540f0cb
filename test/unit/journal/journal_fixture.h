/*
 * journal_fixture.h - a journal on a simulated disk, and batches whose content follows from a seed.
 */
#ifndef ZP_TEST_JOURNAL_FIXTURE_H
#define ZP_TEST_JOURNAL_FIXTURE_H

#include "journal/journal.h"
#include "sim_store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define FIXTURE_PATH "journal"
#define FIXTURE_NODE 7u

static inline struct zp_journal_options
fixture_options(struct zp_store *store)
{
	return (struct zp_journal_options){
	    .store = store,
	    .cluster_id = "the-cluster-0001",
	    .node = FIXTURE_NODE,
	    .epoch = 1,
	    .file_bytes = 2000,
	};
}

/* Appends `count` records to `records`, of which everything follows from `seed`. */
static inline void
fixture_records(uint64_t seed, uint32_t count, struct zp_buf *records)
{
	for (uint32_t i = 0; i < count; i++) {
		uint8_t payload[64];
		uint64_t hash = zp_hash64(&i, sizeof(i), seed);
		struct zp_journal_record record = {
		    .shard_id = hash % 16,
		    .incarnation = (uint32_t)i,
		    .operation = i % 3 == 0 ? ZP_OP_DELETE : ZP_OP_PUT,
		    .payload = {payload, hash % sizeof(payload)},
		};

		for (size_t k = 0; k < sizeof(payload); k++)
			payload[k] = (uint8_t)(hash >> (k % 8 * 8)) ^ (uint8_t)k;
		assert_int_equal(zp_journal_record_append(records, &record, NULL), 0);
	}
}

/* Appends a batch of `count` records. */
static inline int
fixture_append(struct zp_journal *journal, uint64_t seed, uint32_t count, uint64_t *number_out)
{
	ZP_AUTO_BUF(records, ZP_JOURNAL_BATCH_BYTES_MAX);
	struct zp_journal_origin origin = {.sequence = seed};

	fixture_records(seed, count, &records);
	return zp_journal_append(journal, ZP_JOURNAL_RECORDS, &origin, zp_buf_slice(&records),
	    count, 1000, number_out, NULL);
}

/* True when the batch is the one that fixture_append made of this seed. */
static inline bool
fixture_batch_is(const struct zp_journal_batch *batch, uint64_t seed, uint32_t count)
{
	ZP_AUTO_BUF(records, ZP_JOURNAL_BATCH_BYTES_MAX);

	fixture_records(seed, count, &records);
	return batch->kind == ZP_JOURNAL_RECORDS && batch->node == FIXTURE_NODE &&
	       batch->origin.sequence == seed && batch->record_count == count &&
	       zp_slice_equal(batch->records, zp_buf_slice(&records));
}

static inline void
fixture_name(uint64_t first_batch, char name[40])
{
	snprintf(name, 40, "journal-%016llx.log", (unsigned long long)first_batch);
}

#endif
