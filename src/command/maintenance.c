/*
 * maintenance.c - the one background thread: checkpoints when due, merges, and due pins.
 *
 * Flow:  it sleeps until a limit, a time or a request wakes it. Owner: the maintenance thread; the
 *        same work on request (checkpoint, settle, snapshot, verify) runs on the caller's thread
 *        under upkeep_lock.
 *
 * A merge gives way to a checkpoint once. The second time it is let finish and writers wait for
 * memory, since merges that never end would cost every read more and more.
 */
#include "command/command_internal.h"

#define SECOND_NS UINT64_C(1000000000)
#define MARGIN (UINT64_C(16) << 20) /* bytes for small files, and for what is measured roughly */

uint32_t
command__backoff_seconds(uint32_t failures)
{
	if (failures == 0)
		return 0;
	if (failures > 8)
		return COMMAND__BACKOFF_SECONDS_MAX;
	return (uint32_t)zp_min_u64(UINT64_C(1) << (failures - 1), COMMAND__BACKOFF_SECONDS_MAX);
}

static uint64_t
after_seconds(uint64_t seconds)
{
	return zp_clock_monotonic_ns() + seconds * SECOND_NS;
}

void
command__leftovers_owe(struct zp_node *node)
{
	if (node->upkeep.has_leftovers)
		node->upkeep.checkpoints_owed = COMMAND__CHECKPOINTS_KEPT;
	node->upkeep.has_leftovers = false;
}

/* What writes are to leave for merges: those of all shards, as far as they go before a checkpoint
 * lets go of what they have replaced. */
static void
merge_room_look(struct zp_node *node)
{
	uint64_t sum = 0, most = 0;

	for (uint32_t i = 0; i < zp_shards_map(node->shards)->count; i++) {
		struct zp_merge_room room =
		    zp_engine_merge_room(zp_shards_engine(node->shards, i), ZP_MERGE_COMING);

		sum += room.all;
		most = zp_max_u64(most, room.most);
	}
	/* A second checkpoint is what removes the files. */
	node->upkeep.merge_room = zp_min_u64(sum, 2 * COMMAND__MERGED_BYTES_MAX + most);
}

void
command__upkeep_init(struct zp_node *node)
{
	struct command__upkeep *upkeep = &node->upkeep;

	zp_cond_init(&upkeep->wake);
	merge_room_look(node);
	upkeep->merge_gave_way =
	    zp_alloc_zero(zp_shards_map(node->shards)->count, sizeof(*upkeep->merge_gave_way));
	if (node->options.offline)
		return;
	upkeep->merge_due = true;
	upkeep->has_leftovers = true;
	if (node->options.checkpoint_interval_seconds > 0)
		upkeep->checkpoint_at_ns = after_seconds(node->options.checkpoint_interval_seconds);
	if (node->options.expiry_interval_seconds > 0)
		upkeep->expire_at_ns = after_seconds(node->options.expiry_interval_seconds);
}

void
command__upkeep_done(struct zp_node *node)
{
	zp_cond_done(&node->upkeep.wake);
	zp_free(node->upkeep.merge_gave_way);
	node->upkeep.merge_gave_way = NULL;
}

/* ---- One at a time -------------------------------------------------------------------------- */

void
command__upkeep_enter(struct zp_node *node)
{
	zp_mutex_lock(&node->queue.lock);
	node->upkeep_waiting++;
	if (node->merge_may_stop)
		node->merge_stop = true;
	zp_mutex_unlock(&node->queue.lock);
	zp_mutex_lock(&node->upkeep_lock);
	node->upkeep_waiting--;
	node->upkeep_working = true;
}

void
command__upkeep_leave(struct zp_node *node)
{
	node->upkeep_working = false;
	zp_mutex_unlock(&node->upkeep_lock);
}

void
command__upkeep_poke(struct zp_node *node)
{
	zp_mutex_lock(&node->queue.lock);
	node->upkeep.merge_due = !node->options.offline;
	zp_cond_signal(&node->upkeep.wake);
	zp_mutex_unlock(&node->queue.lock);
}

void
zp_node_work_stop(struct zp_node *node)
{
	if (node != NULL)
		node->work_stop = true;
}

bool
zp_node_work_is_stopping(const struct zp_node *node)
{
	return node->work_stop;
}

void
command__upkeep_stop(struct zp_node *node)
{
	zp_mutex_lock(&node->queue.lock);
	node->upkeep.stopping = true;
	node->merge_stop = true;
	zp_cond_signal(&node->upkeep.wake);
	zp_mutex_unlock(&node->queue.lock);
}

/* ---- The jobs ------------------------------------------------------------------------------- */

static int
checkpoint_once(struct zp_node *node, struct zp_err *err)
{
	int rc;

	command__upkeep_enter(node);
	rc = command__checkpoint(node, err);
	command__upkeep_leave(node);
	merge_room_look(node);
	return rc;
}

static void
checkpoint_job(struct zp_node *node, bool room_wanted)
{
	struct command__upkeep *upkeep = &node->upkeep;
	struct zp_err err = {0};
	int rc = checkpoint_once(node, &err);

	if (rc == ZP_OK)
		upkeep->failures = 0;
	/* What the first one has replaced goes with the second and third. */
	for (int i = 0; i < 2 && rc == ZP_OK && room_wanted && command__is_full(node); i++)
		rc = checkpoint_once(node, &err);
	if (rc == ZP_OK) {
		upkeep->retry_at_ns = 0;
	} else {
		upkeep->failures++;
		upkeep->retry_at_ns = after_seconds(command__backoff_seconds(upkeep->failures));
		command__log(node, 3, "%s; next try in %u s", err.text,
		    command__backoff_seconds(upkeep->failures));
	}
	zp_mutex_lock(&node->queue.lock);
	upkeep->checkpoint_due = upkeep->checkpoint_due || (rc < 0 && !node->is_broken);
	upkeep->merge_due = !node->options.offline;
	if (upkeep->checkpoint_at_ns != 0)
		upkeep->checkpoint_at_ns = after_seconds(node->options.checkpoint_interval_seconds);
	zp_mutex_unlock(&node->queue.lock);
}

/*
 * Memory must get into files whatever a merge takes: a disk that is full with memory unwritten has
 * no way back, since its checkpoints would have made room. So a step that might take that room does
 * not begin, and writes count what it takes as gone while it is under way.
 */
static int
merge_room_take(struct zp_node *node, struct zp_engine *engine, bool seals, struct zp_err *err)
{
	uint64_t bytes = zp_engine_merge_room(engine, seals ? ZP_MERGE_SEAL : ZP_MERGE_DUE).most;
	uint64_t memory_bytes;
	struct zp_store_space space;

	if (bytes == 0)
		return ZP_OK;
	node->upkeep.merge_written = 0;
	node->upkeep.merge_taking = bytes; /* before the look: no write gets between */
	memory_bytes = zp_shards_memory_bytes(node->shards);
	/* A file system that does not say how full it is: the merge will tell. */
	if (zp_store_space_get(node->journal_store, &space, NULL) < 0 ||
	    space.bytes_free >= bytes + memory_bytes + zp_min_u64(space.bytes_total / 64, MARGIN))
		return ZP_OK;
	return zp_fail(err, ZP_E_NO_SPACE,
	    "a step takes up to %llu KiB and what is in memory %llu KiB, and %llu KiB of the disk "
	    "are free",
	    (unsigned long long)bytes >> 10, (unsigned long long)memory_bytes >> 10,
	    (unsigned long long)space.bytes_free >> 10);
}

int
command__merge(struct zp_node *node, uint32_t index, bool seals, const _Atomic(bool) *stop,
    bool *merged_out, struct zp_err *err)
{
	struct zp_engine *engine = zp_shards_engine(node->shards, index);
	uint64_t bytes = zp_engine_merged_bytes(engine);
	struct zp_err why = {0};
	int rc;

	err = err != NULL ? err : &why; /* its text names the damage */
	rc = merge_room_take(node, engine, seals, err);
	*merged_out = false;
	if (rc == ZP_OK)
		rc = seals ? zp_engine_seal(engine, stop, merged_out, err)
			   : zp_engine_merge(engine, stop, merged_out, err);
	node->upkeep.merge_taking = 0;
	if (rc == ZP_E_NO_SPACE)
		command__leftovers_owe(node);
	if (*merged_out) {
		node->upkeep.merged_bytes += zp_engine_merged_bytes(engine) - bytes;
		node->upkeep.checkpoints_owed = COMMAND__CHECKPOINTS_KEPT;
	}
	return command__damage_note(node, index, rc, err);
}

/* So much was merged that what it replaced takes too much room: a checkpoint lets it go. */
static bool
is_room_wanted(const struct zp_node *node)
{
	uint64_t most = node->seam.merged_bytes_max;

	return node->upkeep.merged_bytes >= (most == 0 ? COMMAND__MERGED_BYTES_MAX : most);
}

/* A step of a merge of the shard if it wants one; true when it did something. */
static bool
merge_shard(struct zp_node *node, uint32_t index)
{
	uint8_t *gave_way = &node->upkeep.merge_gave_way[index];
	struct zp_err err = {0};
	bool merged = false, room_wanted;
	int rc;

	zp_mutex_lock(&node->upkeep_lock);
	node->upkeep_working = true;
	zp_mutex_lock(&node->queue.lock);
	node->merge_stop = node->upkeep.stopping || (!*gave_way && node->upkeep_waiting > 0);
	node->merge_may_stop = !*gave_way;
	zp_mutex_unlock(&node->queue.lock);
	rc = command__merge(node, index, false, &node->merge_stop, &merged, &err);
	room_wanted =
	    is_room_wanted(node) || (rc == ZP_E_NO_SPACE && node->upkeep.checkpoints_owed > 0);
	node->merge_may_stop = false;
	node->upkeep_working = false;
	zp_mutex_unlock(&node->upkeep_lock);
	*gave_way = rc == ZP_E_STOPPING;
	if (room_wanted) {
		zp_mutex_lock(&node->queue.lock);
		node->upkeep.checkpoint_due = true;
		zp_mutex_unlock(&node->queue.lock);
	}
	/* Once, not of each shard and try. */
	if (rc < 0 && rc != ZP_E_STOPPING &&
	    !(rc == ZP_E_NO_SPACE && node->upkeep.merge_lacks_room))
		command__log(node, 3, "merge of shard %016llx: %s",
		    (unsigned long long)zp_shards_map(node->shards)->ranges[index].id, err.text);
	if (merged || rc == ZP_E_NO_SPACE)
		node->upkeep.merge_lacks_room = rc == ZP_E_NO_SPACE;
	return merged || rc == ZP_E_STOPPING;
}

static bool
is_checkpoint_due(struct zp_node *node, uint64_t now_ns)
{
	const struct command__upkeep *upkeep = &node->upkeep;

	if (node->is_broken || now_ns < upkeep->retry_at_ns)
		return false;
	return upkeep->checkpoint_due ||
	       (upkeep->checkpoint_at_ns != 0 && now_ns >= upkeep->checkpoint_at_ns);
}

/* Walks the shards until something more urgent comes up. */
static void
merge_job(struct zp_node *node)
{
	uint32_t shards = zp_shards_map(node->shards)->count;
	bool merged = false, interrupted = false;

	for (uint32_t i = 0; i < shards && !interrupted; i++) {
		merged = merge_shard(node, i) || merged;
		zp_mutex_lock(&node->queue.lock);
		interrupted = node->upkeep.stopping || node->upkeep_waiting > 0 ||
			      is_checkpoint_due(node, zp_clock_monotonic_ns());
		zp_mutex_unlock(&node->queue.lock);
	}
	merge_room_look(node);
	if (merged || interrupted) {
		zp_mutex_lock(&node->queue.lock);
		node->upkeep.merge_due = true;
		zp_mutex_unlock(&node->queue.lock);
	}
}

/* ---- The loop ------------------------------------------------------------------------------- */

static uint64_t
earlier(uint64_t a_ns, uint64_t b_ns)
{
	if (a_ns == 0 || b_ns == 0)
		return a_ns == 0 ? b_ns : a_ns;
	return zp_min_u64(a_ns, b_ns);
}

/* With queue.lock held. */
static void
sleep_until_due(struct zp_node *node)
{
	const struct command__upkeep *upkeep = &node->upkeep;
	uint64_t deadline = upkeep->checkpoint_due ? upkeep->retry_at_ns : 0;

	deadline = earlier(deadline, zp_max_u64(upkeep->checkpoint_at_ns, upkeep->retry_at_ns));
	deadline = earlier(deadline, upkeep->expire_at_ns);
	deadline = earlier(deadline, upkeep->accesses_at_ns);
	if (deadline == 0 || node->is_broken)
		zp_cond_wait(&node->upkeep.wake, &node->queue.lock);
	else
		zp_cond_wait_until(&node->upkeep.wake, &node->queue.lock, deadline);
}

void
command__upkeep_run(void *context)
{
	struct zp_node *node = context;
	struct command__upkeep *upkeep = &node->upkeep;

	zp_mutex_lock(&node->queue.lock);
	while (!upkeep->stopping) {
		uint64_t now_ns = zp_clock_monotonic_ns();
		bool checkpoint = is_checkpoint_due(node, now_ns);
		bool expire = upkeep->expire_at_ns != 0 && now_ns >= upkeep->expire_at_ns;
		bool accesses = upkeep->accesses_at_ns != 0 && now_ns >= upkeep->accesses_at_ns;
		bool merge = upkeep->merge_due && !node->is_broken && node->upkeep_waiting == 0;
		bool room_wanted = upkeep->write_lacks_room;

		if (!checkpoint && !expire && !accesses && !merge) {
			sleep_until_due(node);
			continue;
		}
		/* Taken back before the work: what comes up meanwhile is not lost. */
		if (checkpoint)
			upkeep->checkpoint_due = upkeep->write_lacks_room = false;
		if (merge)
			upkeep->merge_due = false;
		zp_mutex_unlock(&node->queue.lock);
		if (checkpoint)
			checkpoint_job(node, room_wanted);
		if (expire)
			command__expire_tick(node);
		if (accesses)
			command__accesses_tick(node);
		if (merge)
			merge_job(node);
		zp_mutex_lock(&node->queue.lock);
	}
	zp_mutex_unlock(&node->queue.lock);
}

/* ---- On request ----------------------------------------------------------------------------- */

/* Merges, or seals, the shard to the end. */
static int
shard_merge(struct zp_node *node, uint32_t index, bool seals, struct zp_err *err)
{
	bool merged = true;
	int rc = ZP_OK;

	while (rc == ZP_OK && merged) {
		rc = command__merge(node, index, seals, &node->work_stop, &merged, err);
		if (rc == ZP_E_NO_SPACE && node->upkeep.checkpoints_owed > 0) {
			zp_err_clear(err);
			rc = command__checkpoint(node, err);
			merged = true; /* there may be room now */
		} else if (rc == ZP_OK && is_room_wanted(node)) {
			rc = command__checkpoint(node, err);
		}
	}
	return rc;
}

/* What was merged goes before the caller is told. */
static int
merged_collect(struct zp_node *node, struct zp_err *err)
{
	int rc = ZP_OK;

	while (rc == ZP_OK && node->upkeep.checkpoints_owed > 0)
		rc = command__checkpoint(node, err);
	return rc;
}

static int
shards_merge(struct zp_node *node, bool seals, struct zp_err *err)
{
	int rc = ZP_OK;

	for (uint32_t i = 0; rc == ZP_OK && i < zp_shards_map(node->shards)->count; i++) {
		command__upkeep_enter(node);
		rc = shard_merge(node, i, seals, err);
		command__upkeep_leave(node);
	}
	if (rc < 0)
		return rc;
	command__upkeep_enter(node);
	rc = merged_collect(node, err);
	command__upkeep_leave(node);
	return rc;
}

int
zp_command_settle(struct zp_node *node, struct zp_err *err)
{
	if (node->options.read_only)
		return zp_fail(err, ZP_E_READ_ONLY, "the node was opened read-only");
	return shards_merge(node, false, err);
}

int
zp_command_seal(struct zp_node *node, struct zp_err *err)
{
	int rc = zp_command_checkpoint(node, err);

	return rc < 0 ? rc : shards_merge(node, true, err);
}
