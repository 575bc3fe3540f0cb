/*
 * store_rocksdb.c - RocksDB, tuned for this work: no compression (keys do not compress), a Bloom
 * filter of 10 bits, blocks of 4 KiB with hash index, all in a block cache, four large write
 * buffers, direct I/O for flushes and compactions.
 */
#include "engine/bench.h"

#include <rocksdb/c.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAX 1024u
#define FILTER_BITS 10
#define BLOCK_BYTES 4096u
#define HASH_INDEX_FULL 0.75
#define WRITE_BUFFERS 4
#define FILE_BYTES (UINT64_C(256) << 20)
#define THREADS 2

struct rocks {
	rocksdb_t *db;
	rocksdb_options_t *options;
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *write;
	rocksdb_writebatch_t *batch;
	rocksdb_column_family_handle_t *family;
};

static void
check(char *error)
{
	if (error != NULL)
		bench_fail("rocksdb: %s", error);
}

static rocksdb_options_t *
options_make(const struct bench_options *wanted)
{
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

	rocksdb_block_based_options_set_block_size(table, BLOCK_BYTES);
	rocksdb_block_based_options_set_filter_policy(
	    table, rocksdb_filterpolicy_create_bloom_full(FILTER_BITS));
	rocksdb_block_based_options_set_data_block_index_type(
	    table, rocksdb_block_based_table_data_block_index_type_binary_search_and_hash);
	rocksdb_block_based_options_set_data_block_hash_ratio(table, HASH_INDEX_FULL);
	rocksdb_block_based_options_set_block_cache(
	    table, rocksdb_cache_create_lru(wanted->cache_bytes));
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_options_set_create_if_missing(options, 1);
	rocksdb_options_set_compression(options, rocksdb_no_compression);
	rocksdb_options_set_write_buffer_size(options, wanted->memory_bytes);
	rocksdb_options_set_max_write_buffer_number(options, WRITE_BUFFERS);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
	rocksdb_options_set_target_file_size_base(options, FILE_BYTES);
	rocksdb_options_set_use_direct_io_for_flush_and_compaction(options, 1);
	rocksdb_options_increase_parallelism(options, THREADS);
	return options;
}

static void *
rocks_open(const struct bench_options *wanted)
{
	struct rocks *rocks = calloc(1, sizeof(*rocks));
	const char *family = "default";
	char *error = NULL;

	rocks->options = options_make(wanted);
	rocks->read = rocksdb_readoptions_create();
	rocks->write = rocksdb_writeoptions_create();
	rocksdb_writeoptions_set_sync(rocks->write, 1);
	rocks->batch = rocksdb_writebatch_create();
	rocks->db = rocksdb_open_column_families(rocks->options, wanted->directory, 1, &family,
	    (const rocksdb_options_t *const *)&rocks->options, &rocks->family, &error);
	check(error);
	return rocks;
}

static void
rocks_commit(void *store, const struct bench_record *records, size_t count)
{
	struct rocks *rocks = store;
	char *error = NULL;

	rocksdb_writebatch_clear(rocks->batch);
	for (size_t i = 0; i < count; i++) {
		uint8_t value[BENCH_VALUE_BYTES];

		bench_value_encode(&records[i], value);
		rocksdb_writebatch_put(rocks->batch, (const char *)records[i].key, BENCH_KEY_BYTES,
		    (const char *)value, sizeof(value));
	}
	rocksdb_write(rocks->db, rocks->write, rocks->batch, &error);
	check(error);
}

static void
rocks_seal(void *store)
{
	rocksdb_compact_range(((struct rocks *)store)->db, NULL, 0, NULL, 0);
}

/* Everything in files, and every compaction that the shape wants: a compaction of all is how
 * RocksDB lets one wait for that. */
static void
rocks_settle(void *store)
{
	struct rocks *rocks = store;
	rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
	char *error = NULL;

	rocksdb_flushoptions_set_wait(options, 1);
	rocksdb_flush(rocks->db, options, &error);
	check(error);
	rocksdb_flushoptions_destroy(options);
	rocks_seal(store);
}

static uint64_t
value_sum(const char *value, size_t length)
{
	uint64_t size;
	uint32_t created;

	if (length != BENCH_VALUE_BYTES)
		bench_fail("rocksdb gave a value of %zu bytes", length);
	memcpy(&size, value, 8);
	memcpy(&created, value + 8, 4);
	return size + created;
}

static bool
rocks_get(void *store, const struct bench_record *wanted, uint64_t *sum)
{
	struct rocks *rocks = store;
	rocksdb_pinnableslice_t *slice;
	char *error = NULL;
	const char *value;
	size_t length;

	slice = rocksdb_get_pinned(
	    rocks->db, rocks->read, (const char *)wanted->key, BENCH_KEY_BYTES, &error);
	check(error);
	if (slice == NULL)
		return false;
	value = rocksdb_pinnableslice_value(slice, &length);
	*sum += value_sum(value, length);
	rocksdb_pinnableslice_destroy(slice);
	return true;
}

/* Sorted first: it was measured to be the fastest for RocksDB. */
static int
record_order(const void *left, const void *right)
{
	return memcmp(*(const char *const *)left, *(const char *const *)right, BENCH_KEY_BYTES);
}

static size_t
rocks_get_batch(void *store, const struct bench_record *wanted, size_t count, uint64_t *sum)
{
	struct rocks *rocks = store;
	const char *keys[BATCH_MAX];
	size_t lengths[BATCH_MAX], found = 0;
	rocksdb_pinnableslice_t *values[BATCH_MAX];
	char *errors[BATCH_MAX];

	for (size_t i = 0; i < count; i++) {
		keys[i] = (const char *)wanted[i].key;
		lengths[i] = BENCH_KEY_BYTES;
	}
	qsort(keys, count, sizeof(keys[0]), record_order);
	rocksdb_batched_multi_get_cf(
	    rocks->db, rocks->read, rocks->family, count, keys, lengths, values, errors, true);
	for (size_t i = 0; i < count; i++) {
		const char *value;
		size_t length;

		check(errors[i]);
		if (values[i] == NULL)
			continue;
		value = rocksdb_pinnableslice_value(values[i], &length);
		*sum += value_sum(value, length);
		rocksdb_pinnableslice_destroy(values[i]);
		found++;
	}
	return found;
}

static uint64_t
rocks_scan(void *store, uint64_t *sum)
{
	struct rocks *rocks = store;
	rocksdb_iterator_t *iterator = rocksdb_create_iterator(rocks->db, rocks->read);
	uint64_t count = 0;

	for (rocksdb_iter_seek_to_first(iterator); rocksdb_iter_valid(iterator);
	     rocksdb_iter_next(iterator)) {
		size_t length;
		const char *value = rocksdb_iter_value(iterator, &length);

		*sum += value_sum(value, length);
		count++;
	}
	rocksdb_iter_destroy(iterator);
	return count;
}

static void
rocks_facts(void *store)
{
	struct rocks *rocks = store;
	char *bytes = rocksdb_property_value(rocks->db, "rocksdb.total-sst-files-size");
	char *readers = rocksdb_property_value(rocks->db, "rocksdb.estimate-table-readers-mem");

	bench_print("rocksdb", "disk_bytes", atof(bytes), "bytes");
	bench_print("rocksdb", "resident_bytes", atof(readers), "bytes");
	free(bytes);
	free(readers);
}

static void
rocks_close(void *store)
{
	struct rocks *rocks = store;

	rocksdb_column_family_handle_destroy(rocks->family);
	rocksdb_close(rocks->db);
	free(rocks);
}

const struct bench_store bench_rocksdb = {
    .name = "rocksdb",
    .open = rocks_open,
    .commit = rocks_commit,
    .settle = rocks_settle,
    .get = rocks_get,
    .get_batch = rocks_get_batch,
    .scan = rocks_scan,
    .facts = rocks_facts,
    .close = rocks_close,
};
