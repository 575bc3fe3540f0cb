/*
 * bench.h - one load and one set of reads for stores that differ: zpin's engine, RocksDB, LMDB.
 *
 * Flow:    ../engine.py runs main.c once for each store and step, in turn; main.c → records.c (what
 * to put and to ask for) → store_zpin.c, store_rocksdb.c, store_lmdb.c. Threads: one for the bench,
 * and one more where a line says so; a store may have its own, whose CPU time counts. Errors:  a
 * bench that fails prints why and exits with 1: there is nothing to save.
 */
#ifndef ZP_BENCH_ENGINE_BENCH_H
#define ZP_BENCH_ENGINE_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Records: the same for every store ------------------------------------------------------- */

#define BENCH_KEY_BYTES 32u
#define BENCH_VALUE_BYTES \
	24u /* to a store of bytes: size 8, created 4, list 4, five codes, 3 unused */

struct bench_record {
	uint8_t key[BENCH_KEY_BYTES];
	uint64_t size;    /* 45 % 262,144; 15 % 1,048,576; 10 % of 100 values; else log-uniform */
	uint32_t created; /* seconds, rising over two years */
	uint32_t list;    /* of allocations: 1 to 127, small ones more often */
	uint8_t codec;    /* 60, 35, 4, 1 % */
	uint8_t mode;     /* 78, 12, 10 % */
	uint8_t version;  /* 1 in 90 %, 0 in 10 % */
	uint8_t tier;     /* 70, 20, 8, 2 % */
};

/* Record `number` of `count`. Its key is uniform, the same for every count. */
void bench_record_make(uint64_t number, uint64_t count, struct bench_record *record_out);
/* From now on they differ in their keys alone. */
void bench_records_keys_only(void);
/* As above, but a key that no number below 2^61 has. */
void bench_record_make_absent(uint64_t number, struct bench_record *record_out);
void bench_value_encode(const struct bench_record *record, uint8_t bytes_out[BENCH_VALUE_BYTES]);
/* A number below `bound`, other for each `step`; uniform. */
uint64_t bench_random_below(uint64_t step, uint64_t bound);

/* ---- Stores ---------------------------------------------------------------------------------- */

struct bench_options {
	const char *directory;
	uint64_t records;      /* all that there will be */
	uint64_t batch;        /* records of one durable commit */
	uint64_t memory_bytes; /* for what is not in files yet */
	uint64_t cache_bytes;  /* for what is */
};

struct bench_store {
	const char *name;
	/* Opens what is there or makes it. */
	void *(*open)(const struct bench_options *options);
	/* Puts the records and returns when they would survive a power cut. */
	void (*commit)(void *store, const struct bench_record *records, size_t count);
	/* Everything in files, and merged as far as the store's own policy wants. */
	void (*settle)(void *store);
	/* Everything in one run; NULL where there is nothing like it. */
	void (*seal)(void *store);
	/* What one more thread looks up with, in place of the store, beside those that have one
	 * already; NULL: lookups by several threads are not measured. */
	void *(*reader_open)(void *store);
	void (*reader_close)(void *reader);
	/* One record by its key: whether it is there, and a sum of what it says. */
	bool (*get)(void *reader, const struct bench_record *wanted, uint64_t *sum);
	/* How many of the wanted are there; NULL: one after the other. */
	size_t (*get_batch)(
	    void *reader, const struct bench_record *wanted, size_t count, uint64_t *sum);
	/* All records in the order of keys: how many. */
	uint64_t (*scan)(void *store, uint64_t *sum);
	/* Lookups from now on as a node does them for its clients; NULL: there is no such thing. */
	void (*hurry)(void *store, bool on);
	/* The same of sizes alone, with the keys or without; NULL where columns are not apart. */
	uint64_t (*scan_sizes)(void *store, bool with_keys, uint64_t *sum);
	/* Where most of the records are, for lookups from the disk; NULL: these are not measured.
	 */
	const char *(*largest_file)(void *store);
	/* Checks every byte and recounts the records, `deep`: also what files say of each other;
	 * how many there are. NULL: there is nothing like it. */
	uint64_t (*verify)(void *store, bool deep);
	/* Lines of its own: bytes, memory. */
	void (*facts)(void *store);
	void (*close)(void *store);
};

extern const struct bench_store bench_zpin, bench_rocksdb, bench_lmdb;

/* Ends the program. */
void bench_fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* "name value unit" on standard output. */
void bench_print(const char *store, const char *what, double value, const char *unit);

#endif
