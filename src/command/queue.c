/*
 * queue.c - the bounded queue in front of the commit thread, and the thread's loop.
 *
 * Flow:  zp_command_write → here → commit.c. Owner: any thread puts in, the commit thread takes
 * out.
 *
 * Whatever waits when the thread comes back from a sync is its next group: under load the groups
 * grow by themselves and nobody waits for a timer.
 */
#include "command/command_internal.h"

/* ---- Size ----------------------------------------------------------------------------------- */

/* Record header and compact key at their longest; a new peer's record beside its id. */
#define RECORD_HEAD_BYTES (ZP_JOURNAL_RECORD_HEADER_BYTES + 58u)
#define LIST_BYTES (ZP_JOURNAL_RECORD_HEADER_BYTES + 10u)
#define PEER_BYTES (ZP_JOURNAL_RECORD_HEADER_BYTES + 5u + 5u)

size_t
command__write_bytes(const struct zp_write *write)
{
	size_t bytes = RECORD_HEAD_BYTES;

	if (write->kind != ZP_WRITE_PIN && write->kind != ZP_WRITE_IMPORT)
		return bytes + 11; /* an expiry, or accesses */
	if (write->has_update_from)
		return bytes + ZP_RECORD_BYTES_MAX; /* the other pin's texts, not known yet */
	bytes += 8 + write->record.texts.length;
	for (unsigned i = 0; i < ZP_FACT_COUNT; i++)
		bytes += zp_varint_bytes(write->record.facts[i]);
	bytes += 10; /* facts that are decided later: created, allocations */
	if (write->kind == ZP_WRITE_PIN)
		return bytes + LIST_BYTES + PEER_BYTES + ZP_PEER_ID_BYTES_MAX;
	if (write->allocations_count > 0)
		bytes += LIST_BYTES;
	for (size_t i = 0; i < write->allocations_count; i++)
		bytes += PEER_BYTES + write->allocations[i].length;
	return bytes;
}

static bool
has_origin(const struct zp_write_batch *batch)
{
	static const uint8_t none[16];

	return memcmp(batch->origin.id, none, sizeof(none)) != 0;
}

/* ---- Putting in ----------------------------------------------------------------------------- */

static int
batch_check(const struct zp_write_batch *batch, uint64_t bytes, struct zp_err *err)
{
	if (batch->count > COMMAND__GROUP_WRITES_MAX || bytes > COMMAND__GROUP_BYTES_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE,
		    "a batch of %zu writes and %llu bytes: at most %u and %u go together",
		    batch->count, (unsigned long long)bytes, COMMAND__GROUP_WRITES_MAX,
		    COMMAND__GROUP_BYTES_MAX);
	/* A stream's batch is one journal batch, so that its sequence is durable wholly or not at
	 * all. */
	if (has_origin(batch) && bytes > COMMAND__JOURNAL_RECORDS_BYTES_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE,
		    "a batch of a stream may take %u bytes of journal, this one takes up to %llu",
		    COMMAND__JOURNAL_RECORDS_BYTES_MAX, (unsigned long long)bytes);
	return ZP_OK;
}

static int
node_check(struct zp_node *node, const struct zp_write_batch *batch, struct zp_err *err)
{
	if (node->is_broken)
		return zp_fail(err, ZP_E_IO, "%s", node->broken_text);
	if (node->read_only)
		return zp_fail(err, ZP_E_READ_ONLY, "the node is read-only");
	return batch->late == NULL ? ZP_OK : command__hang_refuse(node, err);
}

int
command__write_queue(
    struct zp_node *node, struct zp_write_batch *batch, bool is_bounded_already, struct zp_err *err)
{
	struct command__queue *queue = &node->queue;
	uint64_t bytes = is_bounded_already ? batch->bytes : 0;
	int rc = node_check(node, batch, err);

	for (size_t i = 0; rc == ZP_OK && !is_bounded_already && i < batch->count; i++)
		bytes += command__write_bytes(&batch->writes[i]);
	if (rc == ZP_OK)
		rc = batch_check(batch, bytes, err);
	if (rc < 0)
		return rc;
	zp_mutex_lock(&queue->lock);
	if (queue->stopping)
		rc = zp_fail(err, ZP_E_STOPPING, "the node is stopping");
	else if (!is_bounded_already && (queue->writes + batch->count > COMMAND__QUEUE_WRITES_MAX ||
					    queue->bytes + bytes > COMMAND__QUEUE_BYTES_MAX))
		rc = zp_fail(err, ZP_E_FULL, "%llu writes wait already: try again soon",
		    (unsigned long long)queue->writes);
	if (rc == ZP_OK) {
		batch->next = NULL;
		batch->bytes = bytes;
		if (queue->last == NULL)
			queue->first = batch;
		else
			queue->last->next = batch;
		queue->last = batch;
		queue->writes += batch->count;
		queue->bytes += bytes;
		zp_cond_signal(&queue->wake);
	}
	zp_mutex_unlock(&queue->lock);
	return rc;
}

int
zp_command_write(struct zp_node *node, struct zp_write_batch *batch, struct zp_err *err)
{
	return command__write_queue(node, batch, false, err);
}

struct waiter {
	struct zp_mutex lock;
	struct zp_cond done;
	bool is_done;
};

static void
waiter_done(struct zp_write_batch *batch)
{
	struct waiter *waiter = batch->context;

	zp_mutex_lock(&waiter->lock);
	waiter->is_done = true;
	zp_cond_signal(&waiter->done);
	zp_mutex_unlock(&waiter->lock);
}

int
zp_command_write_wait(struct zp_node *node, struct zp_write_batch *batch, struct zp_err *err)
{
	struct waiter waiter = {.is_done = false};
	int rc;

	zp_mutex_init(&waiter.lock);
	zp_cond_init(&waiter.done);
	batch->done = waiter_done;
	batch->context = &waiter;
	rc = zp_command_write(node, batch, err);
	if (rc == ZP_OK) {
		zp_mutex_lock(&waiter.lock);
		while (!waiter.is_done)
			zp_cond_wait(&waiter.done, &waiter.lock);
		zp_mutex_unlock(&waiter.lock);
		if (batch->count == 1 && batch->writes[0].rc < 0)
			rc = zp_fail(err, batch->writes[0].rc, "%s", batch->writes[0].err.text);
	}
	zp_cond_done(&waiter.done);
	zp_mutex_done(&waiter.lock);
	return rc;
}

/* ---- Errands -------------------------------------------------------------------------------- */

int
command__errand_run(struct zp_node *node,
    int (*run)(struct zp_node *node, void *context, struct zp_err *err), void *context,
    struct zp_err *err)
{
	struct command__queue *queue = &node->queue;
	struct command__errand errand = {.run = run, .context = context, .err = err};

	zp_mutex_lock(&queue->lock);
	if (!queue->has_consumer) {
		zp_mutex_unlock(&queue->lock);
		return run(node, context, err);
	}
	if (queue->errand_last == NULL)
		queue->errand_first = &errand;
	else
		queue->errand_last->next = &errand;
	queue->errand_last = &errand;
	zp_cond_signal(&queue->wake);
	while (!errand.is_done)
		zp_cond_wait(&queue->done, &queue->lock);
	zp_mutex_unlock(&queue->lock);
	return errand.rc;
}

/* With the lock held, which is let go meanwhile. */
static void
errand_next(struct zp_node *node)
{
	struct command__queue *queue = &node->queue;
	struct command__errand *errand = queue->errand_first;

	queue->errand_first = errand->next;
	if (queue->errand_first == NULL)
		queue->errand_last = NULL;
	zp_mutex_unlock(&queue->lock);
	errand->rc = errand->run(node, errand->context, errand->err);
	zp_mutex_lock(&queue->lock);
	errand->is_done = true;
	zp_cond_broadcast(&queue->done);
}

/* ---- Taking out ----------------------------------------------------------------------------- */

/* From the front as much as one group may hold, at least one batch. */
static struct zp_write_batch *
group_take(struct command__queue *queue)
{
	struct zp_write_batch *first = queue->first, *last = NULL;
	uint64_t writes = 0, bytes = 0, origins = 0, batches = 0;

	while (queue->first != NULL) {
		struct zp_write_batch *batch = queue->first;

		if (last != NULL && (writes + batch->count > COMMAND__GROUP_WRITES_MAX ||
					bytes + batch->bytes > COMMAND__GROUP_BYTES_MAX ||
					origins + has_origin(batch) > COMMAND__GROUP_ORIGINS_MAX ||
					batches == COMMAND__GROUP_WRITES_MAX))
			break;
		writes += batch->count;
		bytes += batch->bytes;
		origins += has_origin(batch);
		batches++;
		last = batch;
		queue->first = batch->next;
	}
	if (queue->first == NULL)
		queue->last = NULL;
	last->next = NULL;
	queue->writes -= writes;
	queue->bytes -= bytes;
	return first;
}

/* Whether the memtables are at their limit. Looked at closely only when the estimate says so. */
static bool
memory_is_full(struct zp_node *node)
{
	struct command__commit *commit = &node->commit;
	uint64_t limit = command__memory_limit(node) + 2 * node->memory_floor;

	if (commit->memory_measured + commit->memory_added < limit)
		return false;
	commit->memory_measured = zp_shards_memory_bytes(node->shards);
	commit->memory_added = 0;
	return commit->memory_measured >= limit;
}

/* With the lock held: the commit thread begins or ends what may have to wait for the disk. */
static void
busy_set(struct zp_node *node, bool is_busy)
{
	node->queue.busy_since_ns = is_busy ? zp_clock_monotonic_ns() : 0;
	node->queue.is_told = false;
	if (!is_busy)
		node->hang.writes_hang = false;
}

/* With the lock held. While memory is full writers wait for the flush; when flushes fail they are
 * told instead, since waiting would not help. */
static void
group_next(struct zp_node *node)
{
	struct command__queue *queue = &node->queue;
	struct zp_write_batch *first = group_take(queue);
	char failure[ZP_ERR_TEXT_BYTES];
	bool refuse = node->checkpoint_is_failing && memory_is_full(node);

	memcpy(failure, node->checkpoint_failure, sizeof(failure));
	queue->under_way = first;
	zp_mutex_unlock(&queue->lock);
	if (node->is_broken)
		command__refuse_all(node, first, ZP_E_IO, node->broken_text);
	else if (refuse)
		command__refuse_all(node, first, ZP_E_FULL, failure);
	else
		command__commit_group(node, first);
	zp_mutex_lock(&queue->lock);
}

void
command__commit_run(void *context)
{
	struct zp_node *node = context;
	struct command__queue *queue = &node->queue;

	zp_mutex_lock(&queue->lock);
	for (;;) {
		bool waits_for_memory = queue->first != NULL && memory_is_full(node) &&
					!node->checkpoint_is_failing && !node->is_broken;

		if (queue->errand_first != NULL) {
			busy_set(node, true);
			errand_next(node);
			busy_set(node, false);
		} else if (queue->first != NULL && !waits_for_memory) {
			busy_set(node, true);
			group_next(node);
			busy_set(node, false);
		} else if (queue->first == NULL && queue->stopping) {
			queue->has_consumer = false;
			break;
		} else {
			if (!waits_for_memory) {
				busy_set(node, false);
			} else {
				if (queue->busy_since_ns == 0)
					busy_set(node, true);
				node->upkeep.checkpoint_due = true;
				zp_cond_signal(&node->upkeep.wake);
			}
			zp_cond_wait(&queue->wake, &queue->lock);
		}
	}
	zp_mutex_unlock(&queue->lock);
}
