/*
 * checkpoint.c - all memory into files, and the journal trimmed: POST /checkpoint, and what limits,
 * time, snapshots and a clean stop ask for.
 *
 * Flow:  upkeep → freeze on the commit thread → flush and checkpoint here → trim on the commit
 * thread. Owner: whoever holds upkeep_lock.
 */
#include "command/command_internal.h"

static int
freeze(struct zp_node *node, void *context, struct zp_err *err)
{
	if (node->is_broken)
		return zp_fail(err, ZP_E_IO, "%s", node->broken_text);
	zp_shards_freeze(node->shards, node->epoch, node->commit.last_batch);
	return ZP_OK;
}

static int
trim(struct zp_node *node, void *context, struct zp_err *err)
{
	return zp_journal_trim(node->journal, *(const uint64_t *)context, err);
}

/* The commit thread may be waiting for memory. */
static void
memory_freed(struct zp_node *node, int rc, const struct zp_err *err)
{
	zp_mutex_lock(&node->queue.lock);
	node->checkpoint_is_failing = rc < 0;
	if (rc < 0)
		snprintf(node->checkpoint_failure, sizeof(node->checkpoint_failure),
		    "memory for writes is full and cannot be flushed: %.300s", err->text);
	zp_cond_signal(&node->queue.wake);
	zp_mutex_unlock(&node->queue.lock);
}

void
command__checkpoint_facts_set(struct zp_node *node)
{
	const struct zp_checkpoint *newest = zp_shards_newest(node->shards);
	struct zp_journal_facts facts;

	command__journal_facts_get(node, &facts);
	node->journal_bytes_at_checkpoint = facts.bytes;
	node->checkpoint_number = newest->number;
	node->checkpoint_batch = newest->batch;
	node->checkpoint_time = newest->time_microseconds;
}

/* Of all shards; the first failure is told. */
static int
manifests_renew(struct zp_node *node, struct zp_err *err)
{
	int rc = ZP_OK;

	for (uint32_t i = 0; i < zp_shards_map(node->shards)->count; i++) {
		struct zp_err why = {0};
		int shard_rc = zp_shards_manifest_renew(node->shards, i, &why);

		if (shard_rc < 0 && rc == ZP_OK)
			rc = zp_fail(err, shard_rc, "%s", why.text);
	}
	return rc;
}

static int
checkpoint_do(struct zp_node *node, struct zp_err *err)
{
	struct zp_err trim_err = {0};
	uint64_t trim_to = 0;
	int rc;

	command__pace_catch_up(node);
	rc = zp_shards_flush(node->shards, err); /* what a failed one left frozen */

	if (rc == ZP_OK)
		rc = command__errand_run(node, freeze, NULL, err);
	if (rc == ZP_OK)
		rc = zp_shards_checkpoint(node->shards, zp_clock_realtime_us(), &trim_to, err);
	if (rc < 0)
		return rc;
	/* It needs less of the journal only where it can be read what it goes by. */
	rc = manifests_renew(node, err);
	/* The checkpoint stands whether or not old journal files can go. */
	node->upkeep.trim_owed = rc < 0 || command__errand_run(node, trim, &trim_to, &trim_err) < 0;
	if (rc == ZP_OK && node->upkeep.trim_owed)
		command__log(
		    node, 2, "the journal keeps files that are not needed: %s", trim_err.text);
	command__checkpoint_facts_set(node);
	return rc;
}

int
command__checkpoint(struct zp_node *node, struct zp_err *err)
{
	struct zp_err failure = {0};
	struct zp_journal_facts facts;
	bool is_whole;
	int rc;

	if (node->options.read_only)
		return zp_fail(err, ZP_E_READ_ONLY, "the node was opened read-only");
	/* Whoever opens the node next needs what is in memory as well now. */
	is_whole = zp_shards_records_are_whole(node->shards);
	if (!is_whole)
		zp_shards_map_renew(node->shards);
	if (command__is_full(node))
		command__leftovers_owe(node);
	zp_journal_facts_get(node->journal, &facts);
	/* Without writes or merges a second one is still of use, and only that: the older of the
	 * two kept ones is then at the end too, and the journal and what was merged can go. */
	if (is_whole && node->upkeep.checkpoints_owed == 0 && !node->upkeep.trim_owed &&
	    facts.last_batch == zp_shards_newest(node->shards)->batch &&
	    facts.last_batch == zp_shards_older(node->shards)->batch)
		return manifests_renew(node, err);
	rc = checkpoint_do(node, &failure);
	memory_freed(node, rc, &failure);
	if (rc == ZP_OK) {
		node->upkeep.merged_bytes = 0;
		node->upkeep.checkpoints_owed -= node->upkeep.checkpoints_owed > 0;
	}
	return rc < 0 ? zp_fail(err, rc, "checkpoint: %s", failure.text) : ZP_OK;
}

int
zp_command_checkpoint(struct zp_node *node, struct zp_err *err)
{
	int rc;

	command__upkeep_enter(node);
	rc = command__checkpoint(node, err);
	command__upkeep_leave(node);
	command__upkeep_poke(node); /* new runs may want a merge */
	return rc;
}
