/*
 * pace.c - how fast merges go beside what clients ask.
 *
 * Flow:  a merge between its rows → here; a checkpoint before its flush → here. Owner: whoever has
 *        upkeep_lock.
 *
 * A merge works in slices of a few milliseconds and looks after each whether a client was served
 * meanwhile. If so it pauses for as long as it has worked: it takes half of a processor at most,
 * and all of one when nobody asks. There is no rate to set: what a merge costs grows with the
 * machine that it is on, and so does what it leaves.
 *
 * It pauses for nobody who waits for it: a checkpoint that it is in the way of, a shard whose runs
 * are so many that merges have fallen behind. Then a flush waits for merges, memory fills, and
 * writers wait: that is the back-pressure, and reads are never slower than so many runs make them.
 */
#include "command/command_internal.h"

#define SLICE_NS (UINT64_C(2) * 1000000)
#define PAUSE_NS_MAX (UINT64_C(20) * 1000000)

static bool
is_awaited(const struct zp_node *node)
{
	return node->pace.is_urgent || node->upkeep_waiting > 0 || node->merge_stop ||
	       node->work_stop;
}

/* Ends early when the maintenance thread is woken: for a checkpoint, or the end. */
static void
pause(struct zp_node *node, uint64_t ns)
{
	uint64_t began_ns = zp_clock_monotonic_ns();

	zp_mutex_lock(&node->queue.lock);
	if (!is_awaited(node) && !node->upkeep.checkpoint_due)
		zp_cond_wait_until(&node->upkeep.wake, &node->queue.lock, began_ns + ns);
	zp_mutex_unlock(&node->queue.lock);
	node->pace.pauses++;
	node->pace.paused_ns += zp_clock_monotonic_ns() - began_ns;
}

void
command__pace_turn(void *context, uint64_t bytes)
{
	struct zp_node *node = context;
	struct command__pace *pace = &node->pace;
	uint64_t now_ns = zp_clock_monotonic_ns();
	uint64_t worked_ns = now_ns - pace->turn_ns;

	node->upkeep.merge_written = bytes; /* not free any more, and taken no second time */
	if (worked_ns < SLICE_NS)
		return;
	if (atomic_exchange(&pace->was_served, false) && !is_awaited(node))
		pause(node, zp_min_u64(worked_ns, PAUSE_NS_MAX));
	pace->turn_ns = zp_clock_monotonic_ns();
}

/* What cannot be merged stays: damage in one run must not keep memory from being flushed. */
static void
shard_catch_up(struct zp_node *node, uint32_t index)
{
	struct zp_engine *engine = zp_shards_engine(node->shards, index);
	struct zp_engine_facts facts;
	struct zp_err err = {0};
	bool merged = true;

	zp_engine_facts_get(engine, &facts);
	while (merged && facts.runs >= COMMAND__RUNS_BEHIND) {
		merged = false;
		zp_ignore(command__merge(
		    node, index, false, &node->work_stop, &merged, &err)); /* as above */
		zp_engine_facts_get(engine, &facts);
	}
}

void
command__pace_catch_up(struct zp_node *node)
{
	node->pace.is_urgent = true;
	for (uint32_t i = 0; i < zp_shards_map(node->shards)->count; i++)
		shard_catch_up(node, i);
	node->pace.is_urgent = false;
}
