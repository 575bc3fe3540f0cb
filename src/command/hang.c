/*
 * hang.c - a disk that does not answer: who waits for it is told, and nobody else comes to wait.
 *
 * Flow:    the watch thread looks at the store's calls and at the commit thread; queue.c, facts.c,
 *          damage.c and main ask here. Owner: the watch thread; the text under hang.lock.
 *
 * Only what a client waits for is given up, and only by telling the client: the call itself cannot
 * be ended, its thread stays in it, and when it returns everything goes on with what came of it. A
 * batch that is in the journal's hands stays there until then, whatever was said meanwhile.
 */
#include "command/command_internal.h"

#define NS_PER_SECOND UINT64_C(1000000000)
#define LOOKS 8u /* while one hang_after passes */

static uint64_t
seconds_since(uint64_t since_ns)
{
	return (zp_clock_monotonic_ns() - since_ns) / NS_PER_SECOND;
}

/* ---- The disk -------------------------------------------------------------------------------- */

static void
hang_begin(struct zp_node *node, const struct zp_store_hang *found)
{
	if (!node->hang.is_hung || strcmp(node->hang.text, found->text) != 0)
		command__log(node, 3, "the disk does not answer: %s hangs for %llu s now",
		    found->text, (unsigned long long)seconds_since(found->since_ns));
	if (!node->hang.is_hung)
		node->hang.hangs++;
}

static void
hang_end(struct zp_node *node)
{
	if (node->hang.is_hung)
		command__log(node, 2, "the disk answers again: %s returned after %llu s",
		    node->hang.text, (unsigned long long)seconds_since(node->hang.since_ns));
}

/* Looks, logs what has changed, and keeps it for who asks. Returns whether something hangs. */
static bool
disk_look(struct zp_node *node, struct zp_store_hang *found)
{
	struct command__hang *hang = &node->hang;
	bool is_hung = zp_store_watch_look(hang->watch, found);

	if (is_hung)
		hang_begin(node, found);
	else
		hang_end(node);
	zp_mutex_lock(&hang->lock);
	hang->is_hung = is_hung;
	hang->calls = is_hung ? found->calls : 0;
	if (is_hung) {
		hang->since_ns = found->since_ns;
		memcpy(hang->text, found->text, sizeof(hang->text));
	}
	zp_mutex_unlock(&hang->lock);
	return is_hung;
}

/* ---- Writers --------------------------------------------------------------------------------- */

/* With queue.lock held: what the commit thread has in its hands. Told once. */
static void
group_tell(struct zp_node *node, const char *what)
{
	struct command__queue *queue = &node->queue;
	struct zp_err err = {0};

	if (queue->is_told)
		return;
	queue->is_told = true;
	zp_ignore(zp_fail(&err, ZP_E_TIMEOUT,
	    "outcome not known: the disk does not answer, %.400s hangs; the write counts if that "
	    "still succeeds",
	    what));
	for (struct zp_write_batch *batch = queue->under_way; batch != NULL; batch = batch->next) {
		if (batch->late != NULL)
			batch->late(batch, &err);
	}
}

/* With queue.lock held: takes those out who want to be told rather than to wait. */
static struct zp_write_batch *
waiting_take(struct command__queue *queue)
{
	struct zp_write_batch *taken = NULL, **taken_end = &taken, **at = &queue->first;

	queue->last = NULL;
	while (*at != NULL) {
		struct zp_write_batch *batch = *at;

		if (batch->late == NULL) {
			queue->last = batch;
			at = &batch->next;
			continue;
		}
		*at = batch->next;
		queue->writes -= batch->count;
		queue->bytes -= batch->bytes;
		batch->next = NULL;
		*taken_end = batch;
		taken_end = &batch->next;
	}
	return taken;
}

static void
writers_look(struct zp_node *node, bool is_hung, const struct zp_store_hang *found)
{
	struct command__queue *queue = &node->queue;
	struct zp_write_batch *refused = NULL;
	char text[ZP_ERR_TEXT_BYTES];
	bool writes_hang;

	zp_mutex_lock(&queue->lock);
	writes_hang = is_hung && queue->busy_since_ns != 0 &&
		      zp_clock_monotonic_ns() - queue->busy_since_ns >= node->options.hang_after_ns;
	node->hang.writes_hang = writes_hang;
	if (writes_hang) {
		group_tell(node, found->text);
		refused = waiting_take(queue);
	}
	zp_mutex_unlock(&queue->lock);
	if (refused == NULL)
		return;
	snprintf(text, sizeof(text),
	    "nothing was written: the disk does not answer, %.400s hangs; try again when it does",
	    found->text);
	command__refuse_all(node, refused, ZP_E_TIMEOUT, text);
}

int
command__hang_refuse(struct zp_node *node, struct zp_err *err)
{
	char text[ZP_ERR_TEXT_BYTES];

	if (!node->hang.writes_hang)
		return ZP_OK;
	zp_mutex_lock(&node->hang.lock);
	memcpy(text, node->hang.text, sizeof(text));
	zp_mutex_unlock(&node->hang.lock);
	return zp_fail(err, ZP_E_TIMEOUT,
	    "nothing was written: the disk does not answer, %.400s hangs; try again when it does",
	    text);
}

/* ---- The thread ------------------------------------------------------------------------------ */

/* A stop that shall not wait waits for nothing that hangs already: whoever owns the process ends
 * it. */
static void
stop_look(struct zp_node *node, bool is_hung)
{
	char text[ZP_ERR_TEXT_BYTES + 100];

	if (!is_hung || !node->work_stop || node->options.stop_hangs == NULL)
		return;
	snprintf(text, sizeof(text), "%.400s hangs for %llu s", node->hang.text,
	    (unsigned long long)seconds_since(node->hang.since_ns));
	node->options.stop_hangs(node->options.log_context, text);
}

void
command__hang_run(void *context)
{
	struct zp_node *node = context;
	struct command__hang *hang = &node->hang;
	uint64_t pause_ns = node->options.hang_after_ns / LOOKS;

	zp_mutex_lock(&hang->lock);
	while (!hang->stopping) {
		struct zp_store_hang found = {0};
		bool is_hung;

		zp_mutex_unlock(&hang->lock);
		is_hung = disk_look(node, &found);
		writers_look(node, is_hung, &found);
		stop_look(node, is_hung);
		zp_mutex_lock(&hang->lock);
		if (!hang->stopping)
			zp_cond_wait_until(
			    &hang->wake, &hang->lock, zp_clock_monotonic_ns() + pause_ns);
	}
	zp_mutex_unlock(&hang->lock);
}

void
command__hang_init(struct zp_node *node)
{
	zp_mutex_init(&node->hang.lock);
	zp_cond_init(&node->hang.wake);
	if (node->seam.node != NULL)
		node->hang.watch = node->seam.node->hang.watch;
	else if (node->options.hang_after_ns > 0 && !node->options.offline)
		node->hang.watch = zp_store_watch_new(node->options.hang_after_ns);
}

void
command__hang_stop(struct zp_node *node)
{
	zp_mutex_lock(&node->hang.lock);
	node->hang.stopping = true;
	zp_cond_signal(&node->hang.wake);
	zp_mutex_unlock(&node->hang.lock);
	zp_thread_join(node->hang.thread);
	node->hang.thread = NULL;
}

void
command__hang_done(struct zp_node *node)
{
	if (node->seam.node == NULL)
		zp_store_watch_free(node->hang.watch);
	zp_cond_done(&node->hang.wake);
	zp_mutex_done(&node->hang.lock);
}

/* ---- Looking --------------------------------------------------------------------------------- */

void
command__hang_facts_get(struct zp_node *node, struct zp_node_facts *facts)
{
	struct command__hang *hang = &node->hang;

	facts->hangs = hang->hangs;
	facts->writes_hang = hang->writes_hang;
	zp_mutex_lock(&hang->lock);
	if (hang->is_hung) {
		facts->hanging_calls = hang->calls;
		facts->hang_seconds = seconds_since(hang->since_ns);
		memcpy(facts->hang_text, hang->text, sizeof(facts->hang_text));
	}
	zp_mutex_unlock(&hang->lock);
}
