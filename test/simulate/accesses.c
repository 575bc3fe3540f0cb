/*
 * accesses.c - accesses that are told, noted and read.
 *
 * Those that are told are writes as all others. Those that are noted wait in the node's memory: the
 * model knows bounds, which become one number when they must have been written.
 */
#include "simulate.h"

#include <inttypes.h>

#define SECOND_NS UINT64_C(1000000000)

enum {
	NOTES_MAX = 30,
	WRITTEN_SECONDS = 100, /* long enough, whatever upkeep is under way */
	NEVER_ONE_IN = 16,     /* pins that never had any are asked for theirs too */
};

bool
accesses_are_kept(void)
{
	return run.options.accesses_mode != ZP_ACCESSES_OFF;
}

/* ---- Told and noted ------------------------------------------------------------------------- */

struct zp_accesses
accesses_draw(int64_t *last_out)
{
	int64_t now = sim_world_realtime_us() / 1000000;
	struct zp_accesses accesses = {.count = 1 + random_below(one_in(4) ? 100000 : 3)};

	accesses.last_seconds = one_in(4) ? (int64_t)random_below((uint64_t)now) : now / 2;
	*last_out = accesses.last_seconds;
	if (one_in(8)) { /* another clock's, to come: it counts as then */
		accesses.last_seconds = now + 1000;
		*last_out = MODEL_NO_BOUND;
	}
	return accesses;
}

void
accesses_note(void)
{
	struct zp_accesses_note notes[NOTES_MAX];
	size_t count = 1 + random_below(NOTES_MAX);
	struct zp_err err = {0};

	if (!accesses_are_kept())
		return;
	for (size_t i = 0; i < count; i++) {
		uint32_t key = (uint32_t)random_below(run.keys_count);
		int64_t last;

		notes[i] = (struct zp_accesses_note){
		    .key = run.keys[key], .accesses = accesses_draw(&last)};
		tell("    %" PRIu64 " accesses of pin %" PRIu32 ", the last %" PRId64,
		    notes[i].accesses.count, key, last);
		model_note(&run.model, key, notes[i].accesses.count, last);
		run.counts[COUNT_ACCESSES]++;
	}
	if (zp_command_accesses_note(run.node, notes, count, &err) < 0)
		wrong("accesses are not noted: %s", err.text);
}

/* Relative: only what was not written lately is due, so nothing is sure. */
void
accesses_wait_written(void)
{
	struct zp_node_facts facts;

	writes_wait_all();
	if (run.options.accesses_mode != ZP_ACCESSES_EXACT || run.faults.episode != EPISODE_NONE ||
	    run.model.is_torn || run.is_unknown)
		return;
	for (unsigned i = 0; i < WRITTEN_SECONDS; i++) {
		sim_world_sleep_ns(SECOND_NS);
		zp_node_facts_get(run.node, &facts);
		if (facts.accesses_pending == 0)
			break;
	}
	if (facts.accesses_pending > 0 || facts.accesses_lost > 0)
		wrong("%" PRIu64 " accesses wait to be written, %" PRIu64 " are lost",
		    facts.accesses_pending, facts.accesses_lost);
	sim_world_sleep_ns(SECOND_NS); /* the last of them is under way */
	now_seconds();
	model_notes_written(&run.model);
	tell("  all accesses are written");
}

/* ---- Read ----------------------------------------------------------------------------------- */

static void
see(uint32_t key, int rc, const struct zp_accesses *accesses, const struct zp_err *err,
    struct model_seen *seen)
{
	if (rc < 0) {
		if (!fault_excuses_read(key))
			wrong("accesses of pin %" PRIu32 " cannot be read: %s", key, err->text);
		return;
	}
	seen->has_accesses = true;
	seen->count = accesses->count;
	seen->last = accesses->last_seconds;
}

void
accesses_see(uint32_t key, struct model_seen *seen)
{
	struct zp_accesses accesses = {0};
	struct zp_err err = {0};

	if (seen->is_unknown ||
	    (!model_has_accesses(&run.model, key) && random_below(NEVER_ONE_IN) != 0))
		return;
	see(key, zp_command_accesses_get(run.node, &run.keys[key], &accesses, &err), &accesses,
	    &err, seen);
}

void
accesses_see_listed(uint32_t key, struct zp_list *list, struct model_seen *seen)
{
	struct zp_accesses accesses = {0};
	struct zp_err err = {0};

	see(key, zp_list_accesses_get(list, &accesses, &err), &accesses, &err, seen);
}

void
accesses_check(uint32_t key, const struct model_seen *seen, const char *by)
{
	const struct model_accesses *first = &run.model.states[0].pins[key].accesses;

	if (model_permits_accesses(&run.model, key, seen))
		return;
	wrong("%s: pin %" PRIu32 " has %" PRIu64 " accesses, the last %" PRId64
	      ", by the model %" PRIu64 " to %" PRIu64 " and %" PRIu64
	      " that were noted, the last %" PRId64 " to %" PRId64 " (or one of %zu states)",
	    by, key, seen->count, seen->last, first->least, first->most, run.model.noted[key].count,
	    first->last_least, first->last_most, run.model.states_count);
}

/* ---- Snapshots ------------------------------------------------------------------------------ */

void
accesses_keep_snapshot(const struct snapshot *snapshot)
{
	for (uint32_t key = 0; key < run.keys_count; key++) {
		struct model_accesses *accesses = &snapshot->pins[key].accesses;
		const struct model_noted *noted = &run.model.noted[key];

		accesses->most += noted->count;
		if (noted->count > 0 && noted->last > accesses->last_most)
			accesses->last_most = noted->last;
	}
}

void
accesses_compare_snapshot(const struct snapshot *snapshot, struct zp_node *node, uint32_t key)
{
	const struct model_accesses *were = &snapshot->pins[key].accesses;
	struct zp_accesses accesses;
	struct zp_err err = {0};

	if (zp_command_accesses_get(node, &run.keys[key], &accesses, &err) < 0) {
		if (!sim_store_is_dead(run.sim))
			wrong("snapshot %s: accesses of pin %" PRIu32 ": %s", snapshot->name, key,
			    err.text);
		return;
	}
	if (accesses.count < were->least || accesses.count > were->most ||
	    accesses.last_seconds < were->last_least || accesses.last_seconds > were->last_most)
		wrong("snapshot %s: pin %" PRIu32 " has %" PRIu64 " accesses, the last %" PRId64
		      ", had %" PRIu64 " to %" PRIu64 ", %" PRId64 " to %" PRId64,
		    snapshot->name, key, accesses.count, accesses.last_seconds, were->least,
		    were->most, were->last_least, were->last_most);
}
