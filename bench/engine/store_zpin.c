/*
 * store_zpin.c - one shard of zpin: journal, engine, files, without the node around them.
 *
 * A commit is journalled as the node does it, one sync for all its batches, then applied. Records
 * are put as new: a node also looks each one up first.
 */
#include "engine/bench.h"

#include "engine/engine.h"
#include "journal/journal.h"
#include "shard/shard.h"
#include "store/store.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define SHARD_ID 1u
#define BATCH_BYTES_CLOSE (ZP_JOURNAL_BATCH_BYTES_MAX - 4096u)
#define BATCH_KEYS_MAX 1024u
#define PEERS 7u    /* whose subsets are the lists of allocations, 1 to 127 */
#define CHANGES 64u /* applied together */
#define TEXTS_CACHE_BYTES (1u << 20)
#define HANG_AFTER_NS (UINT64_C(30) * 1000000000)

struct zpin {
	struct bench_options options;
	struct zp_store_watch *watch;
	struct zp_store *files;
	struct zp_store *log;
	struct zp_engine *engine;
	struct zp_journal *journal;
	struct zp_tables *tables;
	struct zp_block_cache *cache;
	struct zp_change changes[CHANGES];
	struct zp_buf payload;
	struct zp_buf records;
	uint32_t records_count;
	uint64_t batch;         /* the last that is in memory */
	uint64_t flushed_batch; /* the last that is in files */
	struct zp_view *view;   /* of scans */
};

/* What a thread looks up with. */
struct zpin_reader {
	struct zp_view *view; /* kept from read to read */
	struct zp_read_scratch *scratch;
	struct zp_buf texts;
	struct zp_batch_answer *answers;
};

static void
check(int rc, const struct zp_err *err)
{
	if (rc < 0)
		bench_fail("zpin: %s", err->text);
}

static struct zp_store *
store_open(struct zp_store_watch *watch, const char *directory, const char *name)
{
	struct zp_store_directory_options options = {.create = true, .watch = watch};
	struct zp_store *store;
	struct zp_err err = {0};
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	check(zp_store_directory_open(path, &options, &store, &err), &err);
	return store;
}

/* The files of the shard, without its journal; what has to be made first is not timed. */
static void
engine_open(struct zpin *zpin, const struct zp_engine_options *options)
{
	struct timespec begin, end;
	struct zp_err err = {0};
	int rc;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	rc = zp_engine_open(options, &zpin->engine, &err);
	clock_gettime(CLOCK_MONOTONIC, &end);
	if (rc == ZP_OK)
		bench_print("zpin", "open_shard_s",
		    (double)(end.tv_sec - begin.tv_sec) +
			(double)(end.tv_nsec - begin.tv_nsec) / 1e9,
		    "s");
	if (rc == ZP_E_NOT_FOUND) {
		check(zp_engine_create(options, &err), &err);
		rc = zp_engine_open(options, &zpin->engine, &err);
	}
	check(rc, &err);
}

/* Every list of allocations that a record names: the sets of seven peers, by number. */
static struct zp_tables *
tables_make(void)
{
	/* An Ed25519 key as a peer ID: multihash `identity`, length, key type, the key's own
	 * length. */
	uint8_t peer[] = {0x00, 0x24, 0x08, 0x01, 0x12, 0x20, [37] = 0};
	struct zp_tables *tables = zp_tables_new();
	struct zp_err err = {0};

	for (uint32_t i = 1; i <= PEERS; i++) {
		peer[37] = (uint8_t)i;
		check(zp_tables_peer_add(tables, i, (struct zp_slice){peer, sizeof(peer)}, &err),
		    &err);
	}
	for (uint32_t list = 1; list < 1u << PEERS; list++) {
		uint32_t peers[PEERS];
		size_t count = 0;

		for (uint32_t i = 0; i < PEERS; i++) {
			if ((list >> i & 1) != 0)
				peers[count++] = i + 1;
		}
		check(zp_tables_list_add(tables, list, peers, count, &err), &err);
	}
	return tables;
}

static void *
zpin_open(const struct bench_options *wanted)
{
	struct zpin *zpin = calloc(1, sizeof(*zpin));
	struct zp_engine_options options = {.shard_id = SHARD_ID, .incarnation = 1};
	struct zp_journal_options log_options = {0};
	struct zp_err err = {0};

	mkdir(wanted->directory, 0777);
	zpin->options = *wanted;
	zpin->watch = zp_store_watch_new(HANG_AFTER_NS);
	zpin->files = store_open(zpin->watch, wanted->directory, "shard");
	zpin->log = store_open(zpin->watch, wanted->directory, "journal");
	zpin->cache = zp_block_cache_new(wanted->cache_bytes);
	options.store = zpin->files;
	options.block_cache = zpin->cache;
	memset(options.high, 0xff, sizeof(options.high));
	engine_open(zpin, &options);
	zpin->flushed_batch = zp_engine_lane_get(zpin->engine, 0);
	log_options.store = zpin->log;
	log_options.epoch = 1;
	log_options.first_batch = zpin->flushed_batch + 1;
	check(zp_journal_open(&log_options, &zpin->journal, &err), &err);
	zpin->tables = tables_make();
	zp_buf_init(&zpin->payload, ZP_RECORD_BYTES_MAX);
	zp_buf_init(&zpin->records, ZP_JOURNAL_BATCH_BYTES_MAX);
	return zpin;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void
key_of(const struct bench_record *record, struct zp_key *key_out)
{
	static const uint64_t codecs[] = {ZP_CODEC_RAW, ZP_CODEC_DAG_PB, 0x71, 0x78};

	*key_out = (struct zp_key){.version = record->version};
	memcpy(key_out->digest, record->key, sizeof(key_out->digest));
	/* A CID of version 0 has no codec of its own. */
	key_out->codec = record->version == 0 ? ZP_CODEC_DAG_PB : codecs[record->codec];
}

static void
record_of(const struct bench_record *record, struct zp_record *record_out)
{
	static const int64_t depths[] = {-1, 0, 1}, replications[] = {-1, 1, 2, 3};

	*record_out = (struct zp_record){0};
	record_out->facts[ZP_FACT_SIZE] = record->size;
	record_out->facts[ZP_FACT_CREATED] = zp_zigzag(record->created);
	record_out->facts[ZP_FACT_ALLOCATIONS] = (uint64_t)record->list << 1;
	record_out->facts[ZP_FACT_MAX_DEPTH] = zp_zigzag(depths[record->mode]);
	record_out->facts[ZP_FACT_REPLICATION_MIN] = zp_zigzag(replications[record->tier]);
	record_out->facts[ZP_FACT_REPLICATION_MAX] = zp_zigzag(-1);
}

static void
batch_append(struct zpin *zpin)
{
	struct zp_err err = {0};

	check(zp_journal_append(zpin->journal, ZP_JOURNAL_RECORDS, NULL,
		  zp_buf_slice(&zpin->records), zpin->records_count, 0, &zpin->batch, &err),
	    &err);
	zp_buf_clear(&zpin->records);
	zpin->records_count = 0;
}

static void
record_append(struct zpin *zpin, const struct bench_record *made)
{
	struct zp_journal_record entry = {
	    .shard_id = SHARD_ID, .incarnation = 1, .operation = ZP_OP_PUT};
	struct zp_record record;
	struct zp_key key;
	struct zp_err err = {0};

	key_of(made, &key);
	record_of(made, &record);
	zp_buf_clear(&zpin->payload);
	zp_shard_put_encode(&key, &record, &zpin->payload);
	entry.payload = zp_buf_slice(&zpin->payload);
	check(zp_journal_record_append(&zpin->records, &entry, &err), &err);
	zpin->records_count++;
	if (zpin->records.length > BATCH_BYTES_CLOSE ||
	    zpin->records_count == ZP_JOURNAL_BATCH_RECORDS_MAX)
		batch_append(zpin);
}

static void
merged_collect(struct zpin *zpin)
{
	struct zp_err err = {0};

	check(zp_engine_collect(zpin->engine, zp_engine_manifest_number(zpin->engine), &err), &err);
}

static void
merge_all(struct zpin *zpin)
{
	struct zp_err err = {0};
	bool merged = true;

	while (merged) {
		check(zp_engine_merge(zpin->engine, NULL, &merged, &err), &err);
		merged_collect(zpin);
	}
}

static void
flush(struct zpin *zpin)
{
	struct zp_err err = {0};

	zp_engine_applied_set(zpin->engine, 0, 1, zpin->batch);
	zp_engine_freeze(zpin->engine);
	check(zp_engine_flush(zpin->engine, zpin->tables, &err), &err);
	merge_all(zpin);
	check(zp_journal_trim(zpin->journal, zpin->flushed_batch, &err), &err);
	zpin->flushed_batch = zpin->batch;
}

static void
zpin_commit(void *store, const struct bench_record *records, size_t count)
{
	struct zpin *zpin = store;
	struct zp_err err = {0};

	for (size_t i = 0; i < count; i++)
		record_append(zpin, &records[i]);
	if (zpin->records_count > 0)
		batch_append(zpin);
	check(zp_journal_commit(zpin->journal, &err), &err);
	for (size_t at = 0; at < count; at += CHANGES) {
		size_t some = count - at < CHANGES ? count - at : CHANGES;
		const struct zp_change *places[CHANGES];

		for (size_t i = 0; i < some; i++) {
			places[i] = &zpin->changes[i];
			zpin->changes[i].has_new = true;
			key_of(&records[at + i], &zpin->changes[i].key);
			record_of(&records[at + i], &zpin->changes[i].new_record);
		}
		zp_engine_apply_all(zpin->engine, places, some);
	}
	if (zp_engine_memory_bytes(zpin->engine) > zpin->options.memory_bytes)
		flush(zpin);
}

static void
zpin_settle(void *store)
{
	flush(store);
}

static void
zpin_seal(void *store)
{
	struct zpin *zpin = store;
	struct zp_err err = {0};
	bool merged = true;

	while (merged) {
		check(zp_engine_seal(zpin->engine, NULL, &merged, &err), &err);
		merged_collect(zpin);
	}
}

/* ---- Reading --------------------------------------------------------------------------------- */

static struct zp_view *
view_of(struct zpin *zpin)
{
	if (zpin->view == NULL)
		zpin->view = zp_engine_view_get(zpin->engine);
	return zpin->view;
}

/* Nothing is written any more. */
static void *
zpin_reader_open(void *store)
{
	struct zpin_reader *reader = calloc(1, sizeof(*reader));

	reader->view = zp_engine_view_get(((struct zpin *)store)->engine);
	reader->scratch = zp_read_scratch_new();
	zp_buf_init(&reader->texts, TEXTS_CACHE_BYTES);
	reader->answers = calloc(BATCH_KEYS_MAX, sizeof(*reader->answers));
	return reader;
}

static void
zpin_reader_close(void *context)
{
	struct zpin_reader *reader = context;

	zp_view_release(reader->view);
	zp_read_scratch_free(reader->scratch);
	zp_buf_done(&reader->texts);
	free(reader->answers);
	free(reader);
}

static uint64_t
record_sum(const struct zp_record *record)
{
	return record->facts[ZP_FACT_SIZE] + record->facts[ZP_FACT_CREATED];
}

static bool
zpin_get(void *context, const struct bench_record *wanted, uint64_t *sum)
{
	struct zpin_reader *reader = context;
	struct zp_err err = {0};
	struct zp_record record;
	struct zp_key key;
	int rc;

	key_of(wanted, &key);
	rc = zp_view_get(reader->view, &key, reader->scratch, &record, &err);
	if (rc == ZP_E_NOT_FOUND)
		return false;
	check(rc, &err);
	*sum += record_sum(&record);
	return true;
}

static size_t
zpin_get_batch(void *context, const struct bench_record *wanted, size_t count, uint64_t *sum)
{
	struct zpin_reader *reader = context;
	const struct zp_key *keys[BATCH_KEYS_MAX];
	struct zp_key made[BATCH_KEYS_MAX];
	struct zp_err err = {0};
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		key_of(&wanted[i], &made[i]);
		keys[i] = &made[i];
	}
	zp_buf_clear(&reader->texts);
	check(zp_view_get_batch(reader->view, keys, count, reader->scratch, &reader->texts,
		  reader->answers, &err),
	    &err);
	for (size_t i = 0; i < count; i++) {
		if (reader->answers[i].rc == ZP_E_NOT_FOUND)
			continue;
		if (reader->answers[i].rc < 0)
			bench_fail("zpin: a key of a batch: %d", reader->answers[i].rc);
		*sum += record_sum(&reader->answers[i].record);
		found++;
	}
	return found;
}

static uint64_t
zpin_scan(void *store, uint64_t *sum)
{
	struct zpin *zpin = store;
	struct zp_scan_options options = {0};
	struct zp_record record;
	struct zp_err err = {0};
	struct zp_scan *scan;
	struct zp_key key;
	uint64_t count = 0;
	int rc;

	check(zp_scan_open(view_of(zpin), &options, &scan, &err), &err);
	while ((rc = zp_scan_next(scan, &key, &record, &err)) == ZP_OK) {
		*sum += record_sum(&record);
		count++;
	}
	check(rc == ZP_END ? ZP_OK : rc, &err);
	zp_scan_close(scan);
	return count;
}

static void
zpin_hurry(void *store, bool on)
{
	(void)store;
	zp_store_hurry(on);
}

static uint64_t
zpin_scan_sizes(void *store, bool with_keys, uint64_t *sum)
{
	struct zpin *zpin = store;
	struct zp_scan_options options = {
	    .columns = ZP_SCAN_FACT(ZP_FACT_SIZE) | (with_keys ? ZP_SCAN_KEYS : 0)};
	struct zp_scan_rows rows;
	struct zp_err err = {0};
	struct zp_scan *scan;
	uint64_t count = 0;
	int rc;

	check(zp_scan_open(view_of(zpin), &options, &scan, &err), &err);
	while ((rc = zp_scan_next_rows(scan, &rows, &err)) == ZP_OK) {
		for (size_t i = 0; i < rows.count; i++)
			*sum += zp_scan_value(&rows.facts[ZP_FACT_SIZE], i);
		for (size_t i = 0; with_keys && i < rows.count; i++)
			*sum += rows.digests[i][31];
		count += rows.count;
	}
	check(rc == ZP_END ? ZP_OK : rc, &err);
	zp_scan_close(scan);
	return count;
}

static void
damage_print(void *context, const char *text)
{
	(void)context;
	fprintf(stderr, "# %s\n", text);
}

static uint64_t
zpin_verify(void *store, bool deep)
{
	const struct zp_check told = {.damage = damage_print};
	struct zpin *zpin = store;
	struct zp_verify_report report;
	struct zp_err err = {0};

	check(zp_engine_verify(zpin->engine, deep, &told, &report, &err), &err);
	return report.pins;
}

static const char *
zpin_largest_file(void *store)
{
	static char path[8192];
	struct zpin *zpin = store;
	char directory[4096];
	off_t largest = 0;
	struct dirent *entry;
	DIR *listing;

	snprintf(directory, sizeof(directory), "%s/shard", zpin->options.directory);
	listing = opendir(directory);
	if (listing == NULL)
		bench_fail("%s cannot be listed", directory);
	while ((entry = readdir(listing)) != NULL) {
		char name[8192];
		struct stat facts;

		snprintf(name, sizeof(name), "%s/%s", directory, entry->d_name);
		if (stat(name, &facts) != 0 || facts.st_size <= largest)
			continue;
		largest = facts.st_size;
		memcpy(path, name, sizeof(path));
	}
	closedir(listing);
	return path;
}

static void
zpin_facts(void *store)
{
	struct zpin *zpin = store;
	struct zp_engine_facts facts;

	zp_engine_facts_get(zpin->engine, &facts);
	bench_print("zpin", "disk_bytes", (double)facts.disk_bytes, "bytes");
	bench_print("zpin", "resident_bytes", (double)facts.resident_bytes, "bytes");
	bench_print("zpin", "runs", (double)facts.runs, "runs");
	bench_print("zpin", "time_bytes", (double)facts.time_bytes, "bytes");
	bench_print("zpin", "flushed_bytes", (double)facts.flushed_bytes, "bytes");
	bench_print(
	    "zpin", "written_bytes", (double)(facts.flushed_bytes + facts.merged_bytes), "bytes");
}

static void
zpin_close(void *store)
{
	struct zpin *zpin = store;

	zp_view_release(zpin->view);
	zp_buf_done(&zpin->payload);
	zp_buf_done(&zpin->records);
	zp_journal_close(zpin->journal);
	zp_engine_close(zpin->engine);
	zp_block_cache_free(zpin->cache);
	zp_tables_free(zpin->tables);
	zp_store_close(zpin->log);
	zp_store_close(zpin->files);
	zp_store_watch_free(zpin->watch);
	free(zpin);
}

const struct bench_store bench_zpin = {
    .name = "zpin",
    .open = zpin_open,
    .commit = zpin_commit,
    .settle = zpin_settle,
    .seal = zpin_seal,
    .reader_open = zpin_reader_open,
    .reader_close = zpin_reader_close,
    .get = zpin_get,
    .get_batch = zpin_get_batch,
    .scan = zpin_scan,
    .hurry = zpin_hurry,
    .scan_sizes = zpin_scan_sizes,
    .largest_file = zpin_largest_file,
    .verify = zpin_verify,
    .facts = zpin_facts,
    .close = zpin_close,
};
