/*
 * facts.c - what the node counts, for metrics, health and people.
 *
 * Flow: api, metric → here. Any thread; waits for nothing.
 */
#include "command/command_internal.h"

static void
engines_add(struct zp_engine_facts *sum, const struct zp_engine_facts *facts)
{
	for (unsigned i = 0; i < ZP_PIN_TYPE_COUNT; i++)
		sum->pins[i] += facts->pins[i];
	sum->size_bytes += facts->size_bytes;
	sum->manifest_number = zp_max_u64(sum->manifest_number, facts->manifest_number);
	sum->runs += facts->runs;
	sum->segments += facts->segments;
	sum->disk_bytes += facts->disk_bytes;
	sum->time_bytes += facts->time_bytes;
	sum->access_bytes += facts->access_bytes;
	sum->access_rows += facts->access_rows;
	sum->memtable_bytes += facts->memtable_bytes;
	sum->memtable_entries += facts->memtable_entries;
	sum->resident_bytes += facts->resident_bytes;
	sum->damaged_segments += facts->damaged_segments;
	sum->flushed_bytes += facts->flushed_bytes;
	sum->merged_bytes += facts->merged_bytes;
}

int
zp_node_free_bytes(struct zp_node *node, uint64_t *bytes_out, struct zp_err *err)
{
	bool was_hurried = zp_store_hurry(true);
	struct zp_store_space space;
	int rc = zp_store_space_get(node->journal_store, &space, err);

	zp_store_hurry(was_hurried);
	if (rc == ZP_OK)
		*bytes_out = space.bytes_free;
	return rc;
}

void
zp_node_facts_get(struct zp_node *node, struct zp_node_facts *facts_out)
{
	*facts_out = (struct zp_node_facts){
	    .shards = zp_shards_map(node->shards)->count,
	    .checkpoint_number = node->checkpoint_number,
	    .checkpoint_batch = node->checkpoint_batch,
	    .checkpoint_time_microseconds = node->checkpoint_time,
	    .writes_done = node->writes_done,
	    .commits = node->commits,
	    .expired = node->expired,
	    .replayed_records = node->replayed,
	    .texts_cache_bytes = zp_texts_cache_bytes(node->texts_cache),
	    .block_cache_bytes = zp_block_cache_bytes(node->block_cache),
	    .read_only = node->read_only,
	    .merge_pauses = node->pace.pauses,
	    .merge_paused_ns = node->pace.paused_ns,
	    .is_full = command__is_full(node),
	    .is_broken = node->is_broken,
	};
	for (uint32_t i = 0; i < facts_out->shards; i++) {
		struct zp_engine_facts facts;

		zp_engine_facts_get(zp_shards_engine(node->shards, i), &facts);
		engines_add(&facts_out->engines, &facts);
		facts_out->suspended_shards += facts.is_suspended;
	}
	command__journal_facts_get(node, &facts_out->journal);
	command__moments_facts_get(node, facts_out);
	command__hang_facts_get(node, facts_out);
	command__accesses_facts_get(node, facts_out);
	zp_mutex_lock(&node->damage.lock);
	facts_out->damages = node->damage.count;
	facts_out->damages_met = node->damage.met;
	zp_mutex_unlock(&node->damage.lock);
	zp_mutex_lock(&node->queue.lock);
	facts_out->writes_waiting = node->queue.writes;
	zp_mutex_unlock(&node->queue.lock);
	if (facts_out->is_broken)
		memcpy(facts_out->broken_text, node->broken_text, sizeof(facts_out->broken_text));
}
