/*
 * bounds.c - what hostile digests cost, beside uniform ones: bytes of files and memory, and what a
 * get reads. None may cost much more; how they are answered is for the other runs.
 */
#include "simulate.h"

#include <inttypes.h>
#include <stdio.h>

enum {
	PINS = BOUNDS_KEYS / 2,
	BATCH = 500,
	FLUSHES = 20,
	GETS = 2000,
};

static void
pins_write(struct zp_write *writes, size_t from)
{
	static uint8_t texts[BATCH][NAME_BYTES];
	struct zp_write_batch batch = {.writes = writes, .count = BATCH};
	struct zp_err err = {0};

	for (size_t i = 0; i < BATCH; i++) {
		/* Every second key, in an order of its own: the others are not there. */
		size_t at = (from + i) * UINT64_C(7919) % PINS * 2;

		writes[i] = (struct zp_write){.kind = ZP_WRITE_IMPORT, .key = run.keys[at]};
		texts[i][0] = ZP_TEXT_NAME;
		texts[i][1] = (uint8_t)snprintf((char *)texts[i] + 2, 20, "name %zu", at);
		writes[i].record.texts = (struct zp_slice){texts[i], texts[i][1] + 2u};
		writes[i].record.facts[ZP_FACT_MAX_DEPTH] = zp_zigzag(-1);
	}
	if (zp_command_write_wait(run.node, &batch, &err) < 0)
		wrong("import: %s", err.text);
	for (size_t i = 0; i < BATCH; i++) {
		if (writes[i].rc < 0)
			wrong("import: %s", writes[i].err.text);
	}
}

static void
gets_do(void)
{
	struct zp_record record;

	for (size_t i = 0; i < GETS; i++) {
		size_t at = i * 2 * PINS / GETS + (i & 1);
		int rc =
		    zp_command_get(run.node, &run.keys[at], run.scratch, &run.texts, &record, NULL);

		if (rc != (at % 2 == 0 ? ZP_OK : ZP_E_NOT_FOUND))
			wrong("key %zu answers %d", at, rc);
	}
}

void
bounds_measure(struct costs *costs_out)
{
	struct zp_write *writes = zp_alloc_zero(BATCH, sizeof(*writes));
	struct costs costs = {0};
	struct zp_node_facts facts;
	struct zp_err err = {0};

	for (size_t from = 0; from < PINS; from += BATCH) {
		pins_write(writes, from);
		zp_node_facts_get(run.node, &facts);
		costs.memtable_bytes =
		    zp_max_u64(costs.memtable_bytes, facts.engines.memtable_bytes);
		if ((from + BATCH) % (PINS / FLUSHES) == 0 &&
		    zp_command_checkpoint(run.node, &err) < 0)
			wrong("checkpoint: %s", err.text);
	}
	if (zp_command_seal(run.node, &err) < 0)
		wrong("seal: %s", err.text);
	zp_node_facts_get(run.node, &facts);
	costs.files_bytes = facts.engines.disk_bytes;
	costs.resident_bytes = facts.engines.resident_bytes;
	costs.segments = facts.engines.segments;
	costs.reads = sim_store_calls(run.sim, SIM_CALL_READ);
	costs.read_bytes = sim_store_read_bytes(run.sim);
	gets_do();
	costs.reads = sim_store_calls(run.sim, SIM_CALL_READ) - costs.reads;
	costs.read_bytes = sim_store_read_bytes(run.sim) - costs.read_bytes;
	zp_free(writes);
	*costs_out = costs;
}

static void
cost_check(const char *what, uint64_t uniform, uint64_t cost, double times)
{
	if ((double)cost > (double)uniform * times)
		wrong("%s: %" PRIu64 ", of uniform keys %" PRIu64, what, cost, uniform);
}

void
bounds_check(const struct costs *uniform, const struct costs *costs)
{
	cost_check("bytes of memory", uniform->memtable_bytes, costs->memtable_bytes, 1.25);
	cost_check("bytes of files", uniform->files_bytes, costs->files_bytes, 1.25);
	cost_check("bytes of directories", uniform->resident_bytes, costs->resident_bytes, 4);
	cost_check("segments", uniform->segments, costs->segments, 1);
	cost_check("reads of gets", uniform->reads, costs->reads, 2);
	cost_check("bytes read by gets", uniform->read_bytes, costs->read_bytes,
	    4); /* blocks of at most that */
}
