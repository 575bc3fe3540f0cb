/*
 * main.c - one step of one store, measured: load (or load-keys: of records that are but keys),
 * seal, read, lookup, scan, verify or disk.
 *
 * Flow: bench.h. Prints "store.what value unit" lines; CPU is that of the whole process, user and
 * system, with the store's own threads.
 */
#include "engine/bench.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BATCH_KEYS 1024u
#define LOOKUP_THREADS 2u

struct bench {
	const struct bench_store *store;
	struct bench_options options;
	uint64_t questions;
	void *opened;
	void *reader; /* of the bench's own thread: the store itself where it has none */
};

static double
cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double
clock_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
print(const struct bench *bench, const char *what, double value, const char *unit)
{
	bench_print(bench->store->name, what, value, unit);
}

/* Of a load that takes minutes: to standard error, twenty times. */
static void
progress(const struct bench *bench, uint64_t before, uint64_t now, double cpu, double clock)
{
	uint64_t part = bench->options.records / 20;
	struct rusage usage;

	if (bench->options.records < 100000000 || before / part == now / part)
		return;
	getrusage(RUSAGE_SELF, &usage);
	fprintf(stderr, "# %llu million records: %.0f s, %.0f s of CPU, at most %ld MB resident\n",
	    (unsigned long long)now / 1000000, clock_seconds() - clock, cpu_seconds() - cpu,
	    usage.ru_maxrss / 1024);
}

static void
load(struct bench *bench)
{
	uint64_t records = bench->options.records, batch = bench->options.batch;
	struct bench_record *made = malloc(batch * sizeof(*made));
	double cpu = cpu_seconds(), clock = clock_seconds();

	for (uint64_t at = 0; at < records;) {
		size_t count = records - at < batch ? records - at : batch;

		for (size_t i = 0; i < count; i++)
			bench_record_make(at + i, records, &made[i]);
		bench->store->commit(bench->opened, made, count);
		progress(bench, at, at + count, cpu, clock);
		at += count;
	}
	print(bench, "load.foreground_per_cpu_s", (double)records / (cpu_seconds() - cpu), "/s");
	bench->store->settle(bench->opened);
	print(bench, "load.per_cpu_s", (double)records / (cpu_seconds() - cpu), "/s");
	print(bench, "load.per_s", (double)records / (clock_seconds() - clock), "/s");
	bench->store->facts(bench->opened);
	free(made);
}

static void
seal(struct bench *bench)
{
	double cpu = cpu_seconds();

	if (bench->store->seal == NULL)
		return;
	bench->store->seal(bench->opened);
	print(
	    bench, "seal.per_cpu_s", (double)bench->options.records / (cpu_seconds() - cpu), "/s");
	bench->store->facts(bench->opened);
}

/* ---- Reads ----------------------------------------------------------------------------------- */

static void
question_make(const struct bench *bench, uint64_t step, bool hit, struct bench_record *wanted)
{
	if (hit)
		bench_record_make(bench_random_below(step, bench->options.records),
		    bench->options.records, wanted);
	else
		bench_record_make_absent(step, wanted);
}

static void
found_check(uint64_t found, uint64_t asked, bool hit)
{
	if (found != (hit ? asked : 0))
		bench_fail("%llu of %llu %s were found", (unsigned long long)found,
		    (unsigned long long)asked, hit ? "that are there" : "that are not there");
}

/* Questions, made before the clock starts. */
static struct bench_record *
questions_make(const struct bench *bench, bool hit)
{
	struct bench_record *wanted = malloc(bench->questions * sizeof(*wanted));

	for (uint64_t i = 0; i < bench->questions; i++)
		question_make(bench, i, hit, &wanted[i]);
	return wanted;
}

static void
gets(struct bench *bench, const char *what, bool hit, bool batched)
{
	const struct bench_store *store = bench->store;
	uint64_t asked = bench->questions, found = 0, sum = 0;
	struct bench_record *wanted = questions_make(bench, hit);
	double cpu = cpu_seconds();

	for (uint64_t i = 0; i < asked;) {
		if (batched && store->get_batch != NULL) {
			found += store->get_batch(bench->reader, &wanted[i], BATCH_KEYS, &sum);
			i += BATCH_KEYS;
		} else {
			found += store->get(bench->reader, &wanted[i++], &sum);
		}
	}
	cpu = cpu_seconds() - cpu;
	found_check(found, asked, hit);
	if (what != NULL)
		print(bench, what, (double)asked / cpu, "/s");
	free(wanted);
}

/* One of several threads that look up at the same time. */
struct asking {
	const struct bench *bench;
	const struct bench_record *wanted;
	void *reader;
	uint64_t first; /* of the questions, all of which are asked */
	uint64_t found;
	uint64_t sum;
};

static void *
asking_run(void *context)
{
	struct asking *asking = context;
	uint64_t asked = asking->bench->questions;

	for (uint64_t i = 0; i < asked; i += BATCH_KEYS)
		asking->found += asking->bench->store->get_batch(asking->reader,
		    &asking->wanted[(asking->first + i) % asked], BATCH_KEYS, &asking->sum);
	return NULL;
}

/* Batches by several threads: as many lookups a second as so many processors would do that do
 * nothing else. */
static void
gets_together(struct bench *bench, const char *what, bool hit)
{
	struct bench_record *wanted = questions_make(bench, hit);
	struct asking askings[LOOKUP_THREADS];
	pthread_t ids[LOOKUP_THREADS];
	uint64_t batches = bench->questions / BATCH_KEYS;
	double cpu;

	for (unsigned i = 0; i < LOOKUP_THREADS; i++)
		askings[i] = (struct asking){.bench = bench,
		    .wanted = wanted,
		    .reader = bench->store->reader_open(bench->opened),
		    .first = batches * i / LOOKUP_THREADS * BATCH_KEYS};
	cpu = cpu_seconds();
	for (unsigned i = 0; i < LOOKUP_THREADS; i++) {
		if (pthread_create(&ids[i], NULL, asking_run, &askings[i]) != 0)
			bench_fail("a thread cannot be made");
	}
	for (unsigned i = 0; i < LOOKUP_THREADS; i++)
		pthread_join(ids[i], NULL);
	cpu = cpu_seconds() - cpu;
	for (unsigned i = 0; i < LOOKUP_THREADS; i++) {
		found_check(askings[i].found, bench->questions, hit);
		bench->store->reader_close(askings[i].reader);
	}
	print(bench, what, (double)(LOOKUP_THREADS * bench->questions) / (cpu / LOOKUP_THREADS),
	    "/s");
	free(wanted);
}

enum scanned { ROWS, KEYS_AND_SIZES, SIZES };

static void
scan(struct bench *bench, const char *what, enum scanned scanned)
{
	const struct bench_store *store = bench->store;
	uint64_t sum = 0, found;
	double cpu = cpu_seconds();

	found = scanned == ROWS ? store->scan(bench->opened, &sum)
				: store->scan_sizes(bench->opened, scanned == KEYS_AND_SIZES, &sum);
	cpu = cpu_seconds() - cpu;
	if (found != bench->options.records)
		bench_fail("a scan gave %llu records", (unsigned long long)found);
	print(bench, what, (double)found / cpu, "/s");
}

static void
scans(struct bench *bench)
{
	scan(bench, "scan.per_cpu_s", ROWS);
	if (bench->store->scan_sizes != NULL) {
		scan(bench, "scan_keys.per_cpu_s", KEYS_AND_SIZES);
		scan(bench, "scan_column.per_cpu_s", SIZES);
	}
}

static void
verify(struct bench *bench, const char *what, bool deep)
{
	double cpu = cpu_seconds(), clock = clock_seconds();
	uint64_t found = bench->store->verify(bench->opened, deep);
	char line[64];

	cpu = cpu_seconds() - cpu;
	clock = clock_seconds() - clock;
	if (found != bench->options.records)
		bench_fail("%s counted %llu records", what, (unsigned long long)found);
	snprintf(line, sizeof(line), "%s.per_cpu_s", what);
	print(bench, line, (double)found / cpu, "/s");
	snprintf(line, sizeof(line), "%s.per_s", what);
	print(bench, line, (double)found / clock, "/s");
}

static void
verifies(struct bench *bench)
{
	verify(bench, "verify", false);
	verify(bench, "verify_deep", true);
}

static void
lookups(struct bench *bench)
{
	gets(bench, NULL, true, true); /* brings into memory what will be asked for */
	gets(bench, "hit.per_cpu_s", true, false);
	gets(bench, "miss.per_cpu_s", false, false);
	gets(bench, "batch_hit.per_cpu_s", true, true);
	gets(bench, "batch_miss.per_cpu_s", false, true);
	if (bench->store->reader_open == NULL)
		return;
	gets_together(bench, "batch_lookups_per_s", true);
	gets_together(bench, "batch_misses_per_s", false);
}

static void
reads(struct bench *bench)
{
	lookups(bench);
	scans(bench);
	bench->store->facts(bench->opened);
}

/* ---- Lookups from the disk ------------------------------------------------------------------- */

#define DISK_KEYS 8192u
#define DISK_SINGLES 1024u
#define DEVICE_READ_BYTES 8192u
#define DEVICE_THREADS 64u /* as many reads as a batch has under way */
#define DISK_ROUNDS 9u

struct device {
	int file;
	uint64_t bytes;
	uint64_t reads; /* of each thread */
	uint64_t step;  /* other places in each round and thread */
};

/* What the kernel has of the file goes. */
static void
file_forget(const char *path)
{
	int file = open(path, O_RDONLY);

	if (file < 0 || fdatasync(file) != 0 || posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) != 0)
		bench_fail("%s cannot be put out of memory", path);
	close(file);
}

static void *
device_read(void *context)
{
	struct device *device = context;
	uint64_t pages = (device->bytes - DEVICE_READ_BYTES) / 4096;
	void *to = aligned_alloc(4096, DEVICE_READ_BYTES);

	for (uint64_t i = 0; i < device->reads; i++) {
		uint64_t at = 4096 * bench_random_below(device->step + i, pages);

		if (pread(device->file, to, DEVICE_READ_BYTES, (off_t)at) != DEVICE_READ_BYTES)
			bench_fail("the device does not read");
	}
	free(to);
	return NULL;
}

/* Reads a second, past the kernel's memory. */
static double
device_rate(const char *path, unsigned threads, uint64_t reads, uint64_t round)
{
	struct device devices[DEVICE_THREADS];
	pthread_t ids[DEVICE_THREADS];
	int file = open(path, O_RDONLY | O_DIRECT);
	struct stat facts;
	double clock = clock_seconds();

	if (file < 0 || fstat(file, &facts) != 0)
		bench_fail("%s cannot be read directly", path);
	for (unsigned i = 0; i < threads; i++) {
		devices[i] = (struct device){file, (uint64_t)facts.st_size, reads / threads,
		    (round * DEVICE_THREADS + i) << 32};
		if (pthread_create(&ids[i], NULL, device_read, &devices[i]) != 0)
			bench_fail("a thread cannot be made");
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	close(file);
	return (double)reads / (clock_seconds() - clock);
}

/* Lookups a second, and the CPU of one, the kernel's part of it too. */
static double
lookup_rate(struct bench *bench, bool batched, uint64_t keys, uint64_t round, double *cpu_us_out)
{
	struct bench_record *wanted = malloc(keys * sizeof(*wanted));
	uint64_t found = 0, sum = 0;
	double clock, cpu;

	for (uint64_t i = 0; i < keys; i++)
		question_make(bench, (round << 40) + i, true, &wanted[i]);
	clock = clock_seconds();
	cpu = cpu_seconds();
	for (uint64_t i = 0; i < keys;) {
		if (batched) {
			found +=
			    bench->store->get_batch(bench->reader, &wanted[i], BATCH_KEYS, &sum);
			i += BATCH_KEYS;
		} else {
			found += bench->store->get(bench->reader, &wanted[i++], &sum);
		}
	}
	clock = clock_seconds() - clock;
	*cpu_us_out = (cpu_seconds() - cpu) * 1e6 / (double)keys;
	found_check(found, keys, true);
	free(wanted);
	return (double)keys / clock;
}

static int
number_order(const void *a, const void *b)
{
	double difference = *(const double *)a - *(const double *)b;

	return (difference > 0) - (difference < 0);
}

/* Device and lookups in turn, on the same file; the medians. */
static void
disk(struct bench *bench)
{
	const struct {
		const char *name;
		bool batched;
		bool hurried;
		uint64_t keys;
		unsigned threads;
	} ways[] = {{"disk_single", false, false, DISK_SINGLES, 1},
	    {"disk_batch", true, false, DISK_KEYS, DEVICE_THREADS},
	    {"disk_hurried", true, true, DISK_KEYS, DEVICE_THREADS}};
	const char *path = bench->store->largest_file(bench->opened);
	uint64_t round = 1;

	for (size_t way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
		double rates[DISK_ROUNDS], shares[DISK_ROUNDS], cpus[DISK_ROUNDS];
		char line[64];

		if (ways[way].hurried && bench->store->hurry == NULL)
			continue;
		if (bench->store->hurry != NULL)
			bench->store->hurry(bench->opened, ways[way].hurried);
		for (size_t i = 0; i < DISK_ROUNDS; i++, round++) {
			double device = device_rate(path, ways[way].threads, ways[way].keys, round);

			file_forget(path);
			rates[i] =
			    lookup_rate(bench, ways[way].batched, ways[way].keys, round, &cpus[i]);
			shares[i] = rates[i] / device;
		}
		qsort(rates, DISK_ROUNDS, sizeof(rates[0]), number_order);
		qsort(shares, DISK_ROUNDS, sizeof(shares[0]), number_order);
		qsort(cpus, DISK_ROUNDS, sizeof(cpus[0]), number_order);
		snprintf(line, sizeof(line), "%s.per_s", ways[way].name);
		print(bench, line, rates[DISK_ROUNDS / 2], "/s");
		snprintf(line, sizeof(line), "%s.device_share", ways[way].name);
		print(bench, line, shares[DISK_ROUNDS / 2], "times");
		snprintf(line, sizeof(line), "%s.cpu_us", ways[way].name);
		print(bench, line, cpus[DISK_ROUNDS / 2], "us");
	}
}

/* ---- Command line ---------------------------------------------------------------------------- */

static uint64_t
number(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || value < 1)
		bench_fail("%s is not a number", text);
	return (uint64_t)value;
}

int
main(int argc, char **argv)
{
	const struct bench_store *const stores[] = {&bench_zpin, &bench_rocksdb, &bench_lmdb};
	struct bench bench = {.options = {.memory_bytes = 256u << 20}};
	double opening;

	if (argc != 8)
		bench_fail("usage: bench-engine STORE "
			   "load|load-keys|seal|read|lookup|scan|verify|disk DIRECTORY "
			   "RECORDS BATCH "
			   "QUESTIONS MEMORY_MIB");
	for (size_t i = 0; i < sizeof(stores) / sizeof(stores[0]); i++) {
		if (strcmp(argv[1], stores[i]->name) == 0)
			bench.store = stores[i];
	}
	if (bench.store == NULL)
		bench_fail("there is no store %s", argv[1]);
	bench.options.directory = argv[3];
	bench.options.records = number(argv[4]);
	bench.options.batch = number(argv[5]);
	bench.questions = (number(argv[6]) + BATCH_KEYS - 1) / BATCH_KEYS * BATCH_KEYS;
	bench.options.memory_bytes = number(argv[7]) << 20;
	bench.options.cache_bytes = strcmp(argv[2], "disk") == 0 ? 1u << 20 : UINT64_C(4) << 30;
	opening = clock_seconds();
	bench.opened = bench.store->open(&bench.options);
	bench.reader = bench.store->reader_open == NULL ? bench.opened
							: bench.store->reader_open(bench.opened);
	print(&bench, "open_s", clock_seconds() - opening, "s");
	if (strcmp(argv[2], "load-keys") == 0)
		bench_records_keys_only();
	if (strcmp(argv[2], "load") == 0 || strcmp(argv[2], "load-keys") == 0)
		load(&bench);
	else if (strcmp(argv[2], "seal") == 0)
		seal(&bench);
	else if (strcmp(argv[2], "read") == 0)
		reads(&bench);
	else if (strcmp(argv[2], "lookup") == 0)
		lookups(&bench);
	else if (strcmp(argv[2], "scan") == 0)
		scans(&bench);
	else if (strcmp(argv[2], "verify") == 0 && bench.store->verify != NULL)
		verifies(&bench);
	else if (strcmp(argv[2], "disk") == 0 && bench.store->largest_file != NULL)
		disk(&bench);
	else
		bench_fail("there is no step %s", argv[2]);
	if (bench.store->reader_close != NULL)
		bench.store->reader_close(bench.reader);
	bench.store->close(bench.opened);
	return 0;
}
