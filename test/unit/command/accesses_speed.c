/*
 * accesses_speed.c - what accesses cost. Not a test: it prints CPU time and bytes.
 *
 * A node of one shard without syncs, in a directory that the first argument names, with as many
 * pins as the second says: each is noted once, in sixteen rounds with a checkpoint behind each, and
 * once exactly, in batches of 1000 writes; then lists without and with accesses.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "command/command_internal.h"

#define BATCH 1000u
#define ROUNDS 16u

static uint64_t pins;
static struct zp_err err;

static void
must(int rc)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "%s\n", err.text);
	exit(EXIT_FAILURE);
}

static void
report(const char *what, uint64_t cpu_ns, uint64_t count)
{
	printf("%-34s %7.1f ns CPU\n", what, (double)cpu_ns / (double)count);
}

/* Of all threads. */
static uint64_t
process_cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static struct zp_key
key_of(uint64_t n)
{
	struct zp_key key = {.version = 1, .codec = ZP_CODEC_RAW};

	for (size_t i = 0; i < 4; i++)
		zp_store_u64le(key.digest + 8 * i, zp_hash64(&n, sizeof(n), i));
	return key;
}

static void
writes_send(struct zp_node *node, enum zp_write_kind kind, uint64_t from)
{
	static struct zp_write writes[BATCH];
	struct zp_write_batch batch = {.writes = writes, .count = BATCH};

	for (uint64_t i = 0; i < BATCH; i++) {
		writes[i].kind = kind;
		writes[i].key = key_of(from + i);
		writes[i].record.facts[ZP_FACT_MAX_DEPTH] = zp_zigzag(-1);
		writes[i].accesses = (struct zp_accesses){
		    .count = 1, .last_seconds = zp_clock_realtime_us() / 1000000};
	}
	must(zp_command_write_wait(node, &batch, &err));
}

static void
rounds(struct zp_node *node)
{
	uint64_t noted_ns = 0, noted = 0;
	struct zp_node_facts facts = {.accesses_pending = 1};

	for (uint64_t round = 0; round < ROUNDS; round++) {
		uint64_t begin_ns = zp_clock_thread_cpu_ns();

		for (uint64_t n = round; n < pins; n += ROUNDS) {
			struct zp_accesses_note note = {.key = key_of(n),
			    .accesses = {
				.count = 1, .last_seconds = 1700000000 + (int64_t)(n % 3600)}};

			must(zp_command_accesses_note(node, &note, 1, &err));
			noted++;
		}
		noted_ns += zp_clock_thread_cpu_ns() - begin_ns;
		do {
			(void)command__accesses_send(node);
			zp_node_facts_get(node, &facts);
		} while (facts.accesses_pending > 0 || facts.accesses_written < noted);
		must(zp_command_checkpoint(node, &err));
	}
	report("an access is noted", noted_ns, pins);
	must(zp_command_settle(node, &err));
	zp_node_facts_get(node, &facts);
	printf("%-34s %7.2f bytes a row, %llu rows, %llu bytes\n", "merged by the policy",
	    (double)facts.engines.access_bytes / (double)facts.engines.access_rows,
	    (unsigned long long)facts.engines.access_rows,
	    (unsigned long long)facts.engines.access_bytes);
}

static void
list(struct zp_node *node, bool with)
{
	uint64_t begin_ns = zp_clock_thread_cpu_ns();
	struct zp_accesses accesses;
	struct zp_record record;
	struct zp_list *list;
	struct zp_key key;

	must(zp_list_open(node, 0, NULL, &list, &err));
	while (zp_list_next(list, &key, &record, &err) == ZP_OK) {
		if (with)
			must(zp_list_accesses_get(list, &accesses, &err));
	}
	zp_list_close(list);
	report(with ? "a pin is listed, with accesses" : "a pin is listed",
	    zp_clock_thread_cpu_ns() - begin_ns, pins);
}

int
main(int argc, char **argv)
{
	struct zp_node_options options = {.root = argc > 1 ? argv[1] : "",
	    .shards = 1,
	    .no_sync = true,
	    .memtable_bytes_max = 1u << 30,
	    .replication_min = -1,
	    .replication_max = -1,
	    .accesses_mode = ZP_ACCESSES_EXACT};
	struct zp_node_facts facts;
	struct zp_node *node;
	uint64_t begin_ns;

	pins = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000;
	must(zp_node_create(&options, &err));
	must(zp_node_open(&options, &node, &err));
	zp_mutex_lock(&node->queue.lock);
	node->upkeep.accesses_at_ns = 0;
	zp_mutex_unlock(&node->queue.lock);
	for (uint64_t n = 0; n < pins; n += BATCH)
		writes_send(node, ZP_WRITE_IMPORT, n);
	must(zp_command_seal(node, &err));
	zp_node_facts_get(node, &facts);
	printf("%-34s %7.2f bytes a pin\n", "files without accesses",
	    (double)facts.engines.disk_bytes / (double)pins);
	list(node, true);
	rounds(node);
	begin_ns = process_cpu_ns();
	for (uint64_t n = 0; n < pins; n += BATCH)
		writes_send(node, ZP_WRITE_ACCESS, n);
	printf("%-34s %7.1f ns CPU, all threads\n", "an access is written exactly",
	    (double)(process_cpu_ns() - begin_ns) / (double)pins);
	must(zp_command_checkpoint(node, &err));
	list(node, false);
	list(node, true);
	must(zp_command_seal(node, &err));
	zp_node_facts_get(node, &facts);
	printf("%-34s %7.2f bytes a pin\n", "sealed",
	    (double)facts.engines.access_bytes / (double)facts.engines.access_rows);
	list(node, true);
	zp_node_close(node);
	return 0;
}
