/* store_lmdb.c - LMDB, one write transaction a commit; its map is the page cache. */
#include "engine/bench.h"

#include <lmdb.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAP_BYTES_BASE (UINT64_C(1) << 30)
#define MAP_BYTES_PER_RECORD 400u

struct lmdb {
	MDB_env *env;
	MDB_dbi table;
	MDB_txn *reading; /* kept from read to read */
};

static void
check(int rc)
{
	if (rc != 0)
		bench_fail("lmdb: %s", mdb_strerror(rc));
}

static void *
lmdb_open(const struct bench_options *wanted)
{
	struct lmdb *lmdb = calloc(1, sizeof(*lmdb));
	MDB_txn *txn;

	mkdir(wanted->directory, 0777);
	check(mdb_env_create(&lmdb->env));
	check(mdb_env_set_mapsize(
	    lmdb->env, MAP_BYTES_BASE + MAP_BYTES_PER_RECORD * wanted->records));
	check(mdb_env_open(lmdb->env, wanted->directory, MDB_NORDAHEAD, 0666));
	check(mdb_txn_begin(lmdb->env, NULL, 0, &txn));
	check(mdb_dbi_open(txn, NULL, 0, &lmdb->table));
	check(mdb_txn_commit(txn));
	return lmdb;
}

static void
lmdb_commit(void *store, const struct bench_record *records, size_t count)
{
	struct lmdb *lmdb = store;
	MDB_txn *txn;

	check(mdb_txn_begin(lmdb->env, NULL, 0, &txn));
	for (size_t i = 0; i < count; i++) {
		uint8_t bytes[BENCH_VALUE_BYTES];
		MDB_val key = {BENCH_KEY_BYTES, (void *)(uintptr_t)records[i].key};
		MDB_val value = {BENCH_VALUE_BYTES, bytes};

		bench_value_encode(&records[i], bytes);
		check(mdb_put(txn, lmdb->table, &key, &value, 0));
	}
	check(mdb_txn_commit(txn));
}

static void
lmdb_settle(void *store)
{
	check(mdb_env_sync(((struct lmdb *)store)->env, 1));
}

static uint64_t
value_sum(const MDB_val *value)
{
	uint64_t size;
	uint32_t created;

	if (value->mv_size != BENCH_VALUE_BYTES)
		bench_fail("lmdb gave a value of %zu bytes", value->mv_size);
	memcpy(&size, value->mv_data, 8);
	memcpy(&created, (const char *)value->mv_data + 8, 4);
	return size + created;
}

static MDB_txn *
reading(struct lmdb *lmdb)
{
	if (lmdb->reading == NULL)
		check(mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &lmdb->reading));
	return lmdb->reading;
}

static bool
lmdb_get(void *store, const struct bench_record *wanted, uint64_t *sum)
{
	struct lmdb *lmdb = store;
	MDB_val key = {BENCH_KEY_BYTES, (void *)(uintptr_t)wanted->key}, value;
	int rc = mdb_get(reading(lmdb), lmdb->table, &key, &value);

	if (rc == MDB_NOTFOUND)
		return false;
	check(rc);
	*sum += value_sum(&value);
	return true;
}

static uint64_t
lmdb_scan(void *store, uint64_t *sum)
{
	struct lmdb *lmdb = store;
	MDB_cursor *cursor;
	MDB_val key, value;
	uint64_t count = 0;

	check(mdb_cursor_open(reading(lmdb), lmdb->table, &cursor));
	while (mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0) {
		*sum += value_sum(&value);
		count++;
	}
	mdb_cursor_close(cursor);
	return count;
}

static void
lmdb_facts(void *store)
{
	struct lmdb *lmdb = store;
	MDB_envinfo info;
	MDB_stat stat;

	check(mdb_env_info(lmdb->env, &info));
	check(mdb_env_stat(lmdb->env, &stat));
	bench_print("lmdb", "disk_bytes", (double)(info.me_last_pgno + 1) * stat.ms_psize, "bytes");
}

static void
lmdb_close(void *store)
{
	struct lmdb *lmdb = store;

	if (lmdb->reading != NULL)
		mdb_txn_abort(lmdb->reading);
	mdb_env_close(lmdb->env);
	free(lmdb);
}

const struct bench_store bench_lmdb = {
    .name = "lmdb",
    .open = lmdb_open,
    .commit = lmdb_commit,
    .settle = lmdb_settle,
    .get = lmdb_get,
    .scan = lmdb_scan,
    .facts = lmdb_facts,
    .close = lmdb_close,
};
