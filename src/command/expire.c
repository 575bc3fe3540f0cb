/*
 * expire.c - pins whose time is over are deleted like by a client: journaled, one by one.
 *
 * Flow:  the maintenance thread looks due pins up and queues "delete if expire_at is still this";
 * the commit thread answers. Owner: the maintenance thread, but `is_busy`.
 *
 * It never waits for the answer: the commit thread may itself wait for memory that only the
 * maintenance thread can free.
 */
#include "command/command_internal.h"

#define SECOND_NS UINT64_C(1000000000)
#define SOON_NS (SECOND_NS / 10) /* while there is more, or the queue is full */

struct command__expiry {
	struct zp_node *node;
	struct zp_read_scratch *scratch;
	struct zp_key *keys; /* COMMAND__EXPIRE_KEYS_MAX, as the next two */
	uint64_t *facts;
	struct zp_write *writes;
	struct zp_write_batch batch;
	uint32_t shard;        /* where the round goes on */
	_Atomic(bool) is_busy; /* the batch is under way */
};

static struct command__expiry *
expiry_get(struct zp_node *node)
{
	struct command__expiry *expiry = node->upkeep.expiry;

	if (expiry != NULL)
		return expiry;
	expiry = zp_alloc_zero(1, sizeof(*expiry));
	expiry->node = node;
	expiry->scratch = zp_read_scratch_new();
	expiry->keys = zp_alloc_zero(COMMAND__EXPIRE_KEYS_MAX, sizeof(*expiry->keys));
	expiry->facts = zp_alloc_zero(COMMAND__EXPIRE_KEYS_MAX, sizeof(*expiry->facts));
	expiry->writes = zp_alloc_zero(COMMAND__EXPIRE_KEYS_MAX, sizeof(*expiry->writes));
	node->upkeep.expiry = expiry;
	return expiry;
}

void
command__expire_done(struct zp_node *node)
{
	struct command__expiry *expiry = node->upkeep.expiry;

	if (expiry == NULL)
		return;
	ZP_ASSERT(!expiry->is_busy);
	for (size_t i = 0; i < COMMAND__EXPIRE_KEYS_MAX; i++)
		zp_buf_done(&expiry->writes[i].result_texts);
	zp_read_scratch_free(expiry->scratch);
	zp_free(expiry->keys);
	zp_free(expiry->facts);
	zp_free(expiry->writes);
	zp_free(expiry);
	node->upkeep.expiry = NULL;
}

static void
batch_done(struct zp_write_batch *batch)
{
	struct command__expiry *expiry = batch->context;

	for (size_t i = 0; i < batch->count; i++)
		expiry->node->expired += batch->writes[i].rc == ZP_OK;
	expiry->is_busy = false;
}

static int
batch_send(struct command__expiry *expiry, size_t count, struct zp_err *err)
{
	int rc;

	for (size_t i = 0; i < count; i++) {
		struct zp_write *write = &expiry->writes[i];

		write->kind = ZP_WRITE_EXPIRE;
		write->key = expiry->keys[i];
		write->record.facts[ZP_FACT_EXPIRE_AT] = expiry->facts[i];
	}
	expiry->batch = (struct zp_write_batch){
	    .writes = expiry->writes, .count = count, .done = batch_done, .context = expiry};
	expiry->is_busy = true;
	rc = zp_command_write(expiry->node, &expiry->batch, err);
	if (rc < 0)
		expiry->is_busy = false;
	return rc;
}

/* Due pins of the shard where the round is; *count_out may be the most that fit: then there is
 * more. */
static int
shard_look(struct command__expiry *expiry, size_t *count_out, struct zp_err *err)
{
	struct zp_view *view =
	    zp_engine_view_get(zp_shards_engine(expiry->node->shards, expiry->shard));
	int rc = zp_view_expired(view, zp_clock_realtime_us() / 1000000, expiry->scratch,
	    expiry->keys, expiry->facts, COMMAND__EXPIRE_KEYS_MAX, count_out, err);

	zp_view_release(view);
	return rc;
}

/* Looks at shards until a batch is sent or the round is over; true: the round is over. */
static bool
round_go_on(struct zp_node *node, struct command__expiry *expiry)
{
	uint32_t shards = zp_shards_map(node->shards)->count;

	while (expiry->shard < shards) {
		struct zp_err err = {0};
		size_t count = 0;
		int rc = shard_look(expiry, &count, &err);

		if (rc == ZP_OK && count > 0)
			rc = batch_send(expiry, count, &err);
		if (rc == ZP_E_FULL)
			return false;
		if (rc < 0)
			command__log(node, rc == ZP_E_STOPPING ? 0 : 2,
			    "due pins of shard %016llx stay: %s",
			    (unsigned long long)zp_shards_map(node->shards)
				->ranges[expiry->shard]
				.id,
			    err.text);
		if (rc < 0 || count < COMMAND__EXPIRE_KEYS_MAX)
			expiry->shard++;
		if (expiry->is_busy)
			return false;
	}
	expiry->shard = 0;
	return true;
}

void
command__expire_tick(struct zp_node *node)
{
	struct command__expiry *expiry = expiry_get(node);
	uint64_t wait_ns = SOON_NS;

	if (!expiry->is_busy && (node->read_only || round_go_on(node, expiry)))
		wait_ns = node->options.expiry_interval_seconds * SECOND_NS;
	zp_mutex_lock(&node->queue.lock);
	node->upkeep.expire_at_ns = zp_clock_monotonic_ns() + wait_ns;
	zp_mutex_unlock(&node->queue.lock);
}
