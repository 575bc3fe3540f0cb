/*
 * days.c - what snapshots cost: a shard that is flushed once a day, merged by its own policy, with
 * a snapshot of each of the last thirty days.
 *
 * Flow:  bench-days DIRECTORY DAYS PINS_A_DAY: real files, real merges, a snapshot is the list of
 * files that it would hold. Prints "days.what value unit" lines. Nothing is measured by a clock.
 */
#include "engine/bench.h"

#include "engine/engine.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SNAPSHOTS 30u /* that are kept */
#define FILES_MAX 65536u
#define FLUSHED_MAX 8u /* families, and more */
/* Files are cut as those of a shard with a thousand times the pins. */
#define SEGMENT_BYTES_A_PIN 512u

struct file {
	char name[ZP_FILE_NAME_MAX];
	uint64_t bytes;
	uint64_t day; /* that had it last */
};

struct days {
	struct zp_engine *engine;
	struct zp_store *store;
	struct zp_tables *tables;
	const char *directory;
	uint64_t pins_a_day;
	uint64_t day;
	struct file *files; /* that any kept snapshot or the shard has */
	size_t file_count;
	double *spaces;      /* of each day, the files of snapshots and shard over the shard's */
	uint64_t merged_all; /* the last day on which most of the shard was written anew */
	uint64_t fresh;      /* bytes of files that yesterday's snapshot does not have */
	char flushed[FLUSHED_MAX][ZP_FILE_NAME_MAX]; /* today's files, before merges */
	size_t flushed_count;
	uint64_t fresh_merged; /* of the fresh, those of merges */
	uint64_t merged;       /* bytes that merges have written up to yesterday */
	uint64_t twice;        /* in files that no snapshot has, since they were merged again */
	uint64_t runs_most;
};

static void
check(int rc, const struct zp_err *err)
{
	if (rc < 0)
		bench_fail("%s", err->text);
}

static void
days_open(struct days *days)
{
	struct zp_store_directory_options store_options = {.create = true, .no_sync = true};
	struct zp_engine_options options = {.shard_id = 1,
	    .incarnation = 1,
	    .segment_bytes = days->pins_a_day * SEGMENT_BYTES_A_PIN};
	struct zp_err err = {0};

	mkdir(days->directory, 0777);
	check(zp_store_directory_open(days->directory, &store_options, &days->store, &err), &err);
	options.store = days->store;
	memset(options.high, 0xff, sizeof(options.high));
	check(zp_engine_create(&options, &err), &err);
	check(zp_engine_open(&options, &days->engine, &err), &err);
	days->tables = zp_tables_new();
	days->files = calloc(FILES_MAX, sizeof(*days->files));
}

static void
pins_add(struct days *days)
{
	for (uint64_t i = 0; i < days->pins_a_day; i++) {
		struct zp_change change = {.has_new = true, .key = {.version = 1}};
		struct bench_record record;

		bench_record_make(days->day * days->pins_a_day + i, UINT64_C(1) << 40, &record);
		memcpy(change.key.digest, record.key, sizeof(change.key.digest));
		change.key.codec = ZP_CODEC_RAW;
		change.new_record.facts[ZP_FACT_SIZE] = record.size;
		change.new_record.facts[ZP_FACT_CREATED] =
		    zp_zigzag((int64_t)(days->day * 86400 + i * 86400 / days->pins_a_day));
		zp_engine_apply(days->engine, &change);
	}
}

static size_t
file_find(const struct days *days, const char *name)
{
	size_t at = 0;

	while (at < days->file_count && strcmp(days->files[at].name, name) != 0)
		at++;
	return at;
}

/* A file that yesterday's snapshot does not have. */
static int
flushed_note(void *context, const char *name, struct zp_err *err)
{
	struct days *days = context;

	(void)err;
	if (strstr(name, ".seg") == NULL || file_find(days, name) < days->file_count)
		return ZP_OK;
	if (days->flushed_count == FLUSHED_MAX)
		bench_fail("a flush makes more than %u files", FLUSHED_MAX);
	snprintf(days->flushed[days->flushed_count++], sizeof(days->flushed[0]), "%s", name);
	return ZP_OK;
}

static bool
is_flushed(const struct days *days, const char *name)
{
	for (size_t i = 0; i < days->flushed_count; i++) {
		if (strcmp(days->flushed[i], name) == 0)
			return true;
	}
	return false;
}

static void
merge(struct days *days)
{
	struct zp_err err = {0};
	bool merged = true;

	zp_engine_applied_set(days->engine, 0, 1, days->day + 1);
	zp_engine_freeze(days->engine);
	check(zp_engine_flush(days->engine, days->tables, &err), &err);
	days->flushed_count = 0;
	check(zp_engine_files(days->engine, flushed_note, days, &err), &err);
	while (merged) {
		check(zp_engine_merge(days->engine, NULL, &merged, &err), &err);
		check(
		    zp_engine_collect(days->engine, zp_engine_manifest_number(days->engine), &err),
		    &err);
	}
}

/* Today's snapshot has the file. Its bytes are taken while it is there. */
static int
file_note(void *context, const char *name, struct zp_err *err)
{
	struct days *days = context;
	struct stat facts;
	char path[4096];
	size_t at;

	(void)err;
	if (strstr(name, ".seg") == NULL)
		return ZP_OK;
	at = file_find(days, name);
	if (at == FILES_MAX)
		bench_fail("more than %u files", FILES_MAX);
	if (at == days->file_count) {
		snprintf(path, sizeof(path), "%s/%s", days->directory, name);
		if (stat(path, &facts) != 0)
			bench_fail("%s is not there", path);
		snprintf(days->files[at].name, sizeof(days->files[at].name), "%s", name);
		days->files[at].bytes = (uint64_t)facts.st_size;
		days->fresh += days->files[at].bytes;
		days->fresh_merged += is_flushed(days, name) ? 0 : days->files[at].bytes;
		days->file_count++;
	}
	days->files[at].day = days->day;
	return ZP_OK;
}

/* The snapshot of today; that of 30 days ago goes. */
static void
snapshot(struct days *days)
{
	uint64_t live = 0, all = 0;
	struct zp_engine_facts facts;
	struct zp_err err = {0};
	size_t kept = 0;

	days->fresh = days->fresh_merged = 0;
	check(zp_engine_files(days->engine, file_note, days, &err), &err);
	for (size_t i = 0; i < days->file_count; i++) {
		const struct file *file = &days->files[i];

		if (file->day + SNAPSHOTS <= days->day)
			continue;
		all += file->bytes;
		live += file->day == days->day ? file->bytes : 0;
		days->files[kept++] = *file;
	}
	days->file_count = kept;
	if (days->fresh > live / 2)
		days->merged_all = days->day;
	zp_engine_facts_get(days->engine, &facts);
	days->twice += facts.merged_bytes - days->merged - days->fresh_merged;
	days->merged = facts.merged_bytes;
	if (facts.runs > days->runs_most)
		days->runs_most = facts.runs;
	days->spaces[days->day] = (double)all / (double)live;
}

/* Of the days from `first` on. */
static void
spaces_print(const struct days *days, const char *what, uint64_t first, uint64_t last)
{
	double sum = 0, most = 0;
	char line[64];

	for (uint64_t i = first; i < last; i++) {
		sum += days->spaces[i];
		most = days->spaces[i] > most ? days->spaces[i] : most;
	}
	bench_print("days", what, sum / (double)(last - first), "times");
	snprintf(line, sizeof(line), "%s_most", what);
	bench_print("days", line, most, "times");
}

int
main(int argc, char **argv)
{
	struct zp_engine_facts facts;
	struct days days = {0};
	uint64_t last;

	if (argc != 4 || atoll(argv[2]) <= (long long)SNAPSHOTS || atoll(argv[3]) <= 0)
		bench_fail("usage: bench-days DIRECTORY DAYS PINS_A_DAY");
	days.directory = argv[1];
	last = (uint64_t)atoll(argv[2]);
	days.pins_a_day = (uint64_t)atoll(argv[3]);
	days.spaces = calloc(last, sizeof(*days.spaces));
	days_open(&days);
	for (days.day = 0; days.day < last; days.day++) {
		pins_add(&days);
		merge(&days);
		snapshot(&days);
	}
	zp_engine_facts_get(days.engine, &facts);
	bench_print("days", "write_amplification",
	    (double)(facts.flushed_bytes + facts.merged_bytes) / (double)facts.flushed_bytes,
	    "times");
	spaces_print(&days, "space_30_snapshots_all", SNAPSHOTS, last);
	if (last > days.merged_all + SNAPSHOTS)
		spaces_print(&days, "space_30_snapshots", days.merged_all + SNAPSHOTS, last);
	bench_print(
	    "days", "rewritten_twice", (double)days.twice / (double)facts.flushed_bytes, "times");
	bench_print("days", "runs_most", (double)days.runs_most, "runs");
	zp_engine_close(days.engine);
	zp_tables_free(days.tables);
	zp_store_close(days.store);
	return 0;
}
