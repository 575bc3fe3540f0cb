/*
 * main.c - one step of one store, measured: load, seal or read.
 *
 * Flow: bench.h. Prints "store.what value unit" lines; CPU is that of the whole process, user and
 * system, with the store's own threads.
 */
#include "engine/bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define BATCH_KEYS 1024u

struct bench {
	const struct bench_store *store;
	struct bench_options options;
	uint64_t questions;
	void *opened;
};

void
bench_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("bench-engine: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(1);
}

void
bench_print(const char *store, const char *what, double value, const char *unit)
{
	printf("%s.%s %.6g %s\n", store, what, value, unit);
	fflush(stdout);
}

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

/* ---- Reads -------------------------------------------------------------------------------------
 */

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

/* The questions are made before the clock starts. */
static void
gets(struct bench *bench, const char *what, bool hit, bool batched)
{
	const struct bench_store *store = bench->store;
	uint64_t asked = bench->questions / BATCH_KEYS * BATCH_KEYS, found = 0, sum = 0;
	struct bench_record *wanted = malloc(asked * sizeof(*wanted));
	double cpu;

	for (uint64_t i = 0; i < asked; i++)
		question_make(bench, i, hit, &wanted[i]);
	cpu = cpu_seconds();
	for (uint64_t i = 0; i < asked;) {
		if (batched && store->get_batch != NULL) {
			found += store->get_batch(bench->opened, &wanted[i], BATCH_KEYS, &sum);
			i += BATCH_KEYS;
		} else {
			found += store->get(bench->opened, &wanted[i++], &sum);
		}
	}
	cpu = cpu_seconds() - cpu;
	found_check(found, asked, hit);
	if (what != NULL)
		print(bench, what, (double)asked / cpu, "/s");
	free(wanted);
}

static void
reads(struct bench *bench)
{
	uint64_t sum = 0, found;
	double cpu;

	gets(bench, NULL, true, true); /* brings into memory what will be asked for */
	gets(bench, "hit.per_cpu_s", true, false);
	gets(bench, "miss.per_cpu_s", false, false);
	gets(bench, "batch_hit.per_cpu_s", true, true);
	gets(bench, "batch_miss.per_cpu_s", false, true);
	cpu = cpu_seconds();
	found = bench->store->scan(bench->opened, &sum);
	cpu = cpu_seconds() - cpu;
	if (found != bench->options.records)
		bench_fail("a scan gave %llu records", (unsigned long long)found);
	print(bench, "scan.per_cpu_s", (double)found / cpu, "/s");
	bench->store->facts(bench->opened);
}

/* ---- Command line ------------------------------------------------------------------------------
 */

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

	if (argc != 8)
		bench_fail("usage: bench-engine STORE load|seal|read DIRECTORY RECORDS BATCH "
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
	bench.questions = number(argv[6]);
	bench.options.memory_bytes = number(argv[7]) << 20;
	bench.options.cache_bytes = UINT64_C(4) << 30;
	bench.opened = bench.store->open(&bench.options);
	if (strcmp(argv[2], "load") == 0)
		load(&bench);
	else if (strcmp(argv[2], "seal") == 0)
		seal(&bench);
	else if (strcmp(argv[2], "read") == 0)
		reads(&bench);
	else
		bench_fail("there is no step %s", argv[2]);
	bench.store->close(bench.opened);
	return 0;
}
