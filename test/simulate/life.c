/*
 * life.c - opening the node, ending it in every way, and opening what is left.
 */
#include "simulate.h"

#include <inttypes.h>
#include <stdio.h>

struct journal_file {
	char name[64];
	size_t bytes;
};

static void
log_keep(void *context, int level, const char *text)
{
	(void)context;
	memmove(run.log_last[0], run.log_last[1], 2 * sizeof(run.log_last[0]));
	snprintf(run.log_last[2], sizeof(run.log_last[2]), "%s", text);
	tell("    log %d: %s", level, text);
}

/* Sizes and intervals are drawn anew each time: files of one life must serve every other. */
static void
options_draw(void)
{
	static const enum zp_accesses_mode modes[] = {
	    ZP_ACCESSES_OFF, ZP_ACCESSES_RELATIVE, ZP_ACCESSES_EXACT, ZP_ACCESSES_EXACT};
	struct zp_node_options *options = &run.options;

	if (run.has_plain_options)
		return; /* what the node takes when nothing is said */
	options->memtable_bytes_max = one_in(3) ? 1 : 64u << 20;
	options->journal_bytes_max = one_in(3) ? 10000 : 1u << 30;
	run.seam.journal_file_bytes = one_in(2) ? 2000 : 0;
	run.seam.journal_read_bytes = one_in(2) ? 300 : 0;
	run.seam.segment_bytes = one_in(2) ? one_in(2) ? 2000 : 8000 : 0;
	options->texts_cache_bytes_max = one_in(2) ? 1u << 16 : 0;
	options->block_cache_bytes_max = one_in(2) ? 1u << 20 : 0;
	options->checkpoint_interval_seconds = one_in(2) ? 30 : 0;
	options->expiry_interval_seconds = one_in(3) ? 0 : 10;
	options->scrub_bytes_per_second = one_in(2) ? 1u << 16 : 0;
	options->scrub_interval_seconds = 600;
	options->accesses_mode = modes[random_below(ZP_ARRAY_COUNT(modes))];
	options->accesses_interval_seconds = one_in(2) ? 2 : 3600;
}

static bool
node_open(struct zp_err *err)
{
	run.counts[COUNT_OPENINGS]++;
	options_draw();
	tell("  open");
	if (command__node_open(&run.options, &run.seam, &run.node, err) == ZP_OK)
		return true;
	tell("  it does not open: %s", err->text);
	run.node = NULL;
	return false;
}

void
life_begin(void)
{
	struct zp_err err = {0};

	run.options = (struct zp_node_options){
	    .root = "node", .shards = run.shards, .peer_id_bytes = 4, .log = log_keep};
	run.seam.disk = sim_store_disk(run.sim);
	if (command__node_create(&run.options, &run.seam, &err) < 0)
		wrong("create: %s", err.text);
	if (!node_open(&err))
		wrong("open: %s", err.text);
	for (uint32_t i = 0; i < run.shards; i++)
		run.shard_ids[i] = zp_shards_map(run.node->shards)->ranges[i].id;
}

/* ---- Ending --------------------------------------------------------------------------------- */

static void
crash(void)
{
	static const enum sim_crash powers[] = {SIM_CRASH_LOSE, SIM_CRASH_RANDOM, SIM_CRASH_RANDOM};
	enum sim_crash kind = one_in(3) ? SIM_CRASH_PROCESS : powers[random_below(3)];

	run.counts[COUNT_CRASHES]++;
	tell("  crash of kind %d", kind);
	/* After a power cut damage in the last commits cannot be told from a write of them that was
	 * torn, as README says: so not both at once. */
	if (kind != SIM_CRASH_PROCESS)
		sim_store_heal_directory(run.sim, "node/journal");
	sim_store_crash(run.sim, kind);
}

/* Nobody waits for an answer any more, and no node is open. */
static void
node_end(enum end end)
{
	bool is_well;

	if (end == END_ANY)
		end = random_below(END_ANY);
	tell("  end of kind %d", end);
	if (end != END_STOP && !sim_store_is_dead(run.sim))
		sim_store_die_at_call(run.sim, SIM_CALL_ANY, 1 + random_below(3));
	if (end == END_STOP && !sim_store_is_dead(run.sim) && run.faults.episode != EPISODE_CRASH)
		writes_wait_all();
	list_close();
	is_well = end == END_STOP && run.faults.episode == EPISODE_NONE && run.slots_count == 0 &&
		  !run.model.is_torn && !run.is_unknown && !sim_store_is_dead(run.sim);
	zp_node_close(run.node);
	run.node = NULL;
	/* All of them were answered now, some perhaps without telling what became of them. */
	writes_wait_all();
	now_seconds();
	if (is_well && !sim_store_is_dead(run.sim)) /* a stop writes what there is */
		model_notes_written(&run.model);
	else
		model_notes_gone(&run.model);
	if (sim_store_is_dead(run.sim) || end != END_STOP)
		crash();
	else if (one_in(3)) /* stopped, and then the power goes */
		sim_store_crash(run.sim, SIM_CRASH_LOSE);
	run.is_unknown = false;
}

/* A node whose journal is whole has nothing that could be repaired, nor lost, and says so; whenever
 * looking ends. */
static void
repair_look(void)
{
	struct zp_repair_options repair = {.accept_loss = one_in(2)};
	struct zp_repair_report report = {0};
	struct zp_err err = {0};

	if (run.has_plain_options || fault_excuses_opening() || !one_in(4))
		return;
	tell("  repair%s", repair.accept_loss ? " --accept-loss" : "");
	run.counts[COUNT_UPKEEP]++;
	if (command__node_repair(&run.options, &run.seam, &repair, &report, &err) < 0) {
		if (!sim_store_is_dead(run.sim))
			wrong("repair: %s", err.text);
	} else if (report.is_repaired || report.damage[0] != '\0') {
		wrong("repair of what is whole: %s", report.damage);
	}
}

/* Shards whose opening failed with the call that was to fail: their reads do until the next
 * opening. */
static void
suspended_look(void)
{
	struct zp_node_facts facts;

	zp_node_facts_get(run.node, &facts);
	if (facts.suspended_shards > 0 && fault_excuses_opening())
		run.faults.reads_may_fail = true;
}

static void
journal_file_take(void *context, const char *path, const char *name, size_t bytes)
{
	struct journal_file *newest = context;

	/* Their names rise. */
	if (strcmp(path, "node/journal") != 0 || strncmp(name, "journal-", 8) != 0 || bytes == 0 ||
	    strcmp(name, newest->name) < 0)
		return;
	snprintf(newest->name, sizeof(newest->name), "%s", name);
	newest->bytes = bytes;
}

/* Of a log that cannot be read nothing is known, so nothing of it may be cut. After a power cut it
 * is the reading alone that tells this from a last write that was torn; and nothing else does where
 * it fails once. */
static void
journal_read_fails(void)
{
	struct journal_file newest = {0};
	uint64_t at;

	if (!run.faults.log_may_fail)
		return;
	sim_store_files(run.sim, journal_file_take, &newest);
	if (newest.bytes == 0)
		return;
	run.counts[COUNT_FAULTS]++;
	if (one_in(2)) {
		at = newest.bytes - 1 - random_below(zp_min_u64(newest.bytes, 500));
		if (one_in(2)) {
			tell("  a read of %s will end at %" PRIu64, newest.name, at);
			sim_store_short_read_at(run.sim, "node/journal", newest.name, at);
			return;
		}
		tell("  %s cannot be read at %" PRIu64 " once", newest.name, at);
		sim_store_read_error_once(run.sim, "node/journal", newest.name, at, 1);
		return;
	}
	at = random_below(newest.bytes);
	tell("  %s cannot be read from %" PRIu64 " on", newest.name, at);
	sim_store_read_error(
	    run.sim, "node/journal", newest.name, at, 1 + random_below(newest.bytes));
}

void
life_reopen(enum end end)
{
	bool may_die_opening = run.faults.episode == EPISODE_CRASH;
	struct zp_err err = {0};

	node_end(end);
	for (;;) {
		zp_err_clear(&err);
		fault_suspects_look();
		if (may_die_opening && one_in(4))
			sim_store_die_at_call(run.sim, SIM_CALL_ANY, 1 + random_below(60));
		repair_look();
		journal_read_fails();
		if (node_open(&err)) {
			suspended_look();
			run.counts_are_off = run.counts_are_off || fault_excuses_any_read();
			run.entries_are_off = run.entries_are_off || run.counts_are_off;
			if (!sim_store_is_dead(run.sim))
				break;
			node_end(END_KILL);
			may_die_opening = one_in(2);
			continue;
		}
		if (sim_store_is_dead(run.sim)) {
			crash();
			may_die_opening = one_in(2);
			continue;
		}
		if (!fault_excuses_opening())
			wrong("it does not open: %s", err.text);
		fault_disarm();
		fault_heal();
		fault_over();
		may_die_opening = false;
	}
	sim_store_die_at_call(run.sim, SIM_CALL_ANY, 0);
	compare_all();
}

void
life_end(void)
{
	list_close();
	zp_node_close(run.node);
	run.node = NULL;
	sim_store_free(run.sim);
}
