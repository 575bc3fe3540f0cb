/*
 * scrub.c - in the background every file of the node is read and checked, at a set rate.
 *
 * Flow:  time or a request → pass: the node's own files, then each shard → damage.c. Owner: the
 *        scrub thread; requests and facts come from any.
 *
 * The thread holds no lock while it reads or waits: flushes, merges and writes never wait for it.
 * It reads by itself, not through the caches, so that what is asked for often stays in them. While
 * the node works it takes a quarter of its rate.
 *
 * A pass ends with what is known to be damaged being what it found: what was mended is forgotten,
 * and a file that is whole again is opened anew in place of the damaged one.
 */
#include "command/command_internal.h"

#include <inttypes.h>

#define SECOND_NS UINT64_C(1000000000)
#define SECOND_US INT64_C(1000000)
#define START_DELAY_SECONDS 60u /* behind an opening, which has enough to do */
#define BUSY_FACTOR 4u

/* ---- Pace ----------------------------------------------------------------------------------- */

/* Someone waits for the disk, or soon will. */
static bool
is_busy(struct zp_node *node)
{
	bool busy;

	if (node->upkeep_working || node->upkeep_waiting > 0)
		return true;
	zp_mutex_lock(&node->queue.lock);
	busy = node->queue.writes > 0;
	zp_mutex_unlock(&node->queue.lock);
	return busy;
}

/* Behind a read of `bytes`: waits until the next one may be. ZP_E_STOPPING: the pass ends here. */
static int
step(void *context, uint64_t bytes, struct zp_err *err)
{
	struct zp_node *node = context;
	struct command__scrub *scrub = &node->scrub;
	uint64_t factor = is_busy(node) ? BUSY_FACTOR : 1;
	bool ended;

	zp_mutex_lock(&scrub->lock);
	scrub->pass_bytes += bytes;
	scrub->bytes += bytes;
	/* What was not used up while nothing was read is not made up for. */
	scrub->next_ns = zp_max_u64(scrub->next_ns, zp_clock_monotonic_ns());
	if (scrub->rate > 0)
		scrub->next_ns += (uint64_t)((double)bytes * (double)factor * (double)SECOND_NS /
					     (double)scrub->rate);
	while (!(ended = scrub->stopping || scrub->end_wanted || node->work_stop)) {
		if (scrub->is_paused)
			zp_cond_wait(&scrub->wake, &scrub->lock);
		else if (zp_clock_monotonic_ns() >= scrub->next_ns ||
			 !zp_cond_wait_until(&scrub->wake, &scrub->lock, scrub->next_ns))
			break;
	}
	zp_mutex_unlock(&scrub->lock);
	return ended ? zp_fail(err, ZP_E_STOPPING, "the scrub ends") : ZP_OK;
}

/* ---- One shard ------------------------------------------------------------------------------ */

struct shard_scrub {
	struct zp_node *node;
	uint32_t index;
};

static int
shard_step(void *context, uint64_t bytes, struct zp_err *err)
{
	const struct shard_scrub *scrub = context;

	return step(scrub->node, bytes, err);
}

static void
shard_damage(void *context, const char *text)
{
	const struct shard_scrub *scrub = context;
	struct zp_err why = {0};
	int rc = zp_fail(&why, ZP_E_CORRUPT, "%s", text);

	zp_ignore(command__damage_note(scrub->node, scrub->index, rc, &why)); /* counted */
}

/* A file that was damaged and is not: what is open may be the damaged one. */
static void
shard_whole(void *context, const char *name)
{
	const struct shard_scrub *scrub = context;
	struct zp_node *node = scrub->node;
	struct zp_engine *engine = zp_shards_engine(node->shards, scrub->index);
	struct zp_err err = {0};
	int rc;

	/* What nobody told of may be known to be damaged all the same: a read that meets several
	 * tells of one. */
	if (!command__damage_has(node, scrub->index, name) && !zp_engine_misses(engine, name))
		return;
	command__upkeep_enter(node);
	rc = zp_engine_reopen(engine, name, &err);
	command__upkeep_leave(node);
	if (rc < 0 && rc != ZP_E_NOT_FOUND) /* changed again since it was read */
		return;
	command__damage_forget(node, scrub->index, name);
	command__log(node, 1, "shard %016llx: %s is whole again",
	    (unsigned long long)zp_shards_map(node->shards)->ranges[scrub->index].id, name);
	command__upkeep_poke(node); /* its run can be merged again */
}

void
command__manifest_renew(struct zp_node *node, uint32_t index)
{
	struct zp_err err = {0};
	int rc;

	if (node->is_broken)
		return;
	command__upkeep_enter(node);
	rc = zp_shards_manifest_renew(node->shards, index, &err);
	command__upkeep_leave(node);
	if (rc < 0)
		command__log(node, 3,
		    "shard %016llx: the newest manifest is damaged and cannot be written again: "
		    "%s: do not stop the node before it can",
		    (unsigned long long)zp_shards_map(node->shards)->ranges[index].id, err.text);
}

/* 0, or that the pass ends; what else goes wrong is damage. */
static int
shard_scrub(struct zp_node *node, uint32_t index, struct zp_err *err)
{
	struct zp_engine *engine = zp_shards_engine(node->shards, index);
	struct shard_scrub scrub = {.node = node, .index = index};
	struct zp_check check = {.damage = shard_damage, .step = shard_step, .context = &scrub};
	struct zp_scrub_report report;
	struct zp_err why = {0};
	uint32_t round = command__damage_round(node);
	int rc;

	if (zp_engine_is_suspended(engine)) /* told at the start, and until the next */
		return ZP_OK;
	rc = zp_engine_scrub(engine, &check, shard_whole, &report, &why);
	if (rc == ZP_E_STOPPING)
		return zp_fail(err, rc, "%s", why.text);
	if (rc < 0)
		shard_damage(&scrub, why.text);
	else
		command__damage_sweep(node, index, round);
	if (report.damages > 0)
		command__manifest_renew(node, index);
	return ZP_OK;
}

/* ---- The node's own files ------------------------------------------------------------------- */

static void
node_damage(void *context, const char *text)
{
	command__damage_note_node(context, text);
}

static int
file_end(struct zp_node *node, void *context, struct zp_err *err)
{
	struct zp_err why = {0};
	int rc = zp_journal_file_end(node->journal, err);

	(void)context;
	/* A start that finds none makes one, so that checkpoints need not wait for it. */
	if (zp_journal_mark_renew(node->journal, &why) < 0)
		command__log(node, 3, "the journal's mark cannot be written again: %s", why.text);
	return rc;
}

int
command__journal_renew(struct zp_node *node, struct zp_err *err)
{
	struct zp_err why = {0};
	int rc = command__errand_run(node, file_end, NULL, &why);
	int rc_checkpoint = ZP_OK;

	node->upkeep.trim_owed = true; /* also where all of it was in files before */
	/* What it had gets into files also where no new file of the journal can be begun. */
	for (uint32_t i = 0; rc_checkpoint == ZP_OK && i < COMMAND__CHECKPOINTS_KEPT; i++)
		rc_checkpoint = command__checkpoint(node, err);
	if (rc_checkpoint < 0)
		return rc_checkpoint;
	return rc < 0 ? zp_fail(err, rc, "%s", why.text) : ZP_OK;
}

/*
 * What these files lost is in memory as long as the node runs, and a start would need it: two
 * checkpoints later it does not, and the damaged files are replaced or go.
 */
static void
node_mend(struct zp_node *node)
{
	struct zp_err err = {0};
	int rc;

	command__upkeep_enter(node);
	rc = command__journal_renew(node, &err);
	command__upkeep_leave(node);
	command__upkeep_poke(node);
	if (rc == ZP_OK)
		command__log(node, 2,
		    "the journal or what stands beside it is damaged: what it had is in the "
		    "shards' files now, as of a checkpoint");
	else
		command__log(node, 3,
		    "the journal or what stands beside it is damaged and cannot be written again: "
		    "%s: do not stop the node before `zpin checkpoint` has succeeded twice",
		    err.text);
}

/* Journal and mark, checkpoints, map. */
static int
node_check(struct zp_node *node, struct zp_err *err)
{
	struct zp_check check = {.damage = node_damage, .step = step, .context = node};
	struct zp_journal_checked checked;
	int rc = zp_journal_check(node->journal, &check, NULL, &checked, err);

	if (rc < 0)
		return rc;
	check.step = NULL; /* small files, under the lock */
	command__upkeep_enter(node);
	rc = zp_shards_records_check(node->shards, &check, err);
	command__upkeep_leave(node);
	return rc;
}

/* The node's own files. What they lost is saved before it is told what they lack. */
static int
node_scrub(struct zp_node *node, struct zp_err *err)
{
	uint32_t round = command__damage_round(node);
	int rc = node_check(node, err);

	if (rc == ZP_OK && !node->is_broken && command__damage_met(node, round)) {
		node_mend(node);
		round = command__damage_round(node);
		rc = node_check(node, err);
	}
	if (rc == ZP_OK)
		command__damage_sweep(node, COMMAND__DAMAGE_NODE, round);
	return rc;
}

/* ---- A pass --------------------------------------------------------------------------------- */

/* The index of the shard, or of any when there is none of that id. */
static uint32_t
index_of(const struct zp_shard_map *map, uint64_t shard_id)
{
	uint64_t any;

	for (uint32_t i = 0; i < map->count; i++) {
		if (map->ranges[i].id == shard_id)
			return i;
	}
	zp_random_bytes(&any, sizeof(any));
	return (uint32_t)(any % map->count);
}

/* Which shards have damage now, for whoever opens the node next. */
static void
damaged_take(struct zp_node *node, struct command__scrub_state *state)
{
	const struct zp_shard_map *map = zp_shards_map(node->shards);

	if (state->damaged == NULL)
		state->damaged = zp_alloc(ZP_SHARDS_MAX * sizeof(state->damaged[0]));
	state->damaged_count = 0;
	for (uint32_t i = 0; i < map->count; i++) {
		if (command__damage_has(node, i, ""))
			state->damaged[state->damaged_count++] = map->ranges[i].id;
	}
}

/* A pass goes on where one was cut; a new one begins at a shard by chance, so that also nodes that
 * cannot keep the state look at all of them in the long run. */
static void
pass_begin(struct zp_node *node)
{
	struct command__scrub *scrub = &node->scrub;
	const struct zp_shard_map *map = zp_shards_map(node->shards);
	struct command__scrub_state *state = &scrub->state;

	if (state->begun_us == 0) {
		state->begun_us = zp_clock_realtime_us();
		state->first_shard = state->next_shard = map->ranges[index_of(map, 0)].id;
	}
	scrub->pass_bytes = 0;
	scrub->shards_done =
	    (index_of(map, state->next_shard) + map->count - index_of(map, state->first_shard)) %
	    map->count;
}

/* What an earlier run found is looked at first: this one does not know of it. */
static int
damaged_scrub(struct zp_node *node, struct zp_err *err)
{
	const struct zp_shard_map *map = zp_shards_map(node->shards);
	struct command__scrub_state *state = &node->scrub.state;
	int rc = ZP_OK;

	for (size_t i = 0; rc == ZP_OK && i < state->damaged_count; i++) {
		uint32_t index = index_of(map, state->damaged[i]);

		if (!command__damage_has(node, index, ""))
			rc = shard_scrub(node, index, err);
	}
	return rc;
}

static int
shards_scrub(struct zp_node *node, struct zp_err *err)
{
	struct command__scrub *scrub = &node->scrub;
	const struct zp_shard_map *map = zp_shards_map(node->shards);
	struct command__scrub_state *state = &scrub->state;
	uint32_t first = index_of(map, state->first_shard);

	while (scrub->shards_done < map->count) {
		uint32_t index = (first + scrub->shards_done) % map->count;
		int rc = shard_scrub(node, index, err);

		if (rc < 0)
			return rc;
		zp_mutex_lock(&scrub->lock);
		scrub->shards_done++;
		zp_mutex_unlock(&scrub->lock);
		state->next_shard = map->ranges[(index + 1) % map->count].id;
		damaged_take(node, state);
		if (scrub->shards_done < map->count)
			command__scrub_state_write(node, state);
	}
	return ZP_OK;
}

static int
pass_run(struct zp_node *node)
{
	struct zp_err err = {0};
	int rc = damaged_scrub(node, &err);

	if (rc == ZP_OK)
		rc = node_scrub(node, &err);
	if (rc == ZP_OK)
		rc = shards_scrub(node, &err);
	return rc;
}

static void
pass_end(struct zp_node *node, int rc)
{
	struct command__scrub *scrub = &node->scrub;
	struct command__scrub_state *state = &scrub->state;
	int64_t now_us = zp_clock_realtime_us();
	bool was_ended;

	zp_mutex_lock(&scrub->lock);
	was_ended = scrub->end_wanted;
	if (rc == ZP_OK) {
		state->last_begun_us = state->begun_us;
		state->last_ended_us = now_us;
		scrub->passes++;
	}
	if (rc == ZP_OK || was_ended)
		state->begun_us = 0;
	scrub->is_running = false;
	scrub->is_wanted = was_ended && scrub->is_wanted;
	scrub->end_wanted = false;
	scrub->is_paused = false;
	if (!scrub->is_wanted)
		scrub->rate = node->options.scrub_bytes_per_second;
	scrub->due_ns =
	    zp_clock_monotonic_ns() + (uint64_t)node->options.scrub_interval_seconds * SECOND_NS;
	zp_mutex_unlock(&scrub->lock);
	damaged_take(node, state);
	command__scrub_state_write(node, state);
	if (rc == ZP_OK)
		command__log(node, state->damaged_count > 0 ? 2 : 1,
		    "scrub: %" PRIu64 " bytes read, %zu shards have damage", scrub->pass_bytes,
		    state->damaged_count);
}

/* ---- The thread ----------------------------------------------------------------------------- */

static bool
is_automatic(const struct zp_node *node)
{
	return node->options.scrub_bytes_per_second > 0 && node->options.scrub_interval_seconds > 0;
}

/* When the next pass is to begin: at once (a minute after opening) where one was cut, or found
 * damage that is not known now. */
static uint64_t
first_due_ns(const struct zp_node *node)
{
	const struct command__scrub_state *state = &node->scrub.state;
	int64_t interval_us = (int64_t)node->options.scrub_interval_seconds * SECOND_US;
	int64_t since_us = zp_clock_realtime_us() - state->last_begun_us;
	int64_t wait_us = START_DELAY_SECONDS * SECOND_US;

	/* A clock that went back is no reason to wait for longer than an interval. */
	if (state->begun_us == 0 && state->damaged_count == 0 && state->last_begun_us != 0 &&
	    since_us < interval_us - wait_us)
		wait_us = interval_us - (since_us < 0 ? 0 : since_us);
	return zp_clock_monotonic_ns() + (uint64_t)wait_us * 1000;
}

/* With scrub.lock held. */
static bool
is_due(const struct zp_node *node)
{
	const struct command__scrub *scrub = &node->scrub;

	return scrub->is_wanted || (is_automatic(node) && zp_clock_monotonic_ns() >= scrub->due_ns);
}

void
command__scrub_run(void *context)
{
	struct zp_node *node = context;
	struct command__scrub *scrub = &node->scrub;

	zp_mutex_lock(&scrub->lock);
	while (!scrub->stopping) {
		int rc;

		if (!is_due(node)) {
			if (is_automatic(node))
				zp_cond_wait_until(&scrub->wake, &scrub->lock, scrub->due_ns);
			else
				zp_cond_wait(&scrub->wake, &scrub->lock);
			continue;
		}
		scrub->is_running = true;
		pass_begin(node);
		zp_mutex_unlock(&scrub->lock);
		rc = pass_run(node);
		pass_end(node, rc);
		zp_mutex_lock(&scrub->lock);
	}
	zp_mutex_unlock(&scrub->lock);
}

void
command__scrub_init(struct zp_node *node)
{
	struct command__scrub *scrub = &node->scrub;

	scrub->rate = node->options.scrub_bytes_per_second;
	command__scrub_state_read(node, &scrub->state);
	scrub->due_ns = first_due_ns(node);
}

void
command__scrub_stop(struct zp_node *node)
{
	zp_mutex_lock(&node->scrub.lock);
	node->scrub.stopping = true;
	zp_cond_broadcast(&node->scrub.wake);
	zp_mutex_unlock(&node->scrub.lock);
}

/* ---- On request ----------------------------------------------------------------------------- */

static int
thread_check(const struct zp_node *node, struct zp_err *err)
{
	if (node->scrub_thread == NULL)
		return zp_fail(err, ZP_E_READ_ONLY,
		    "the node was opened read-only and does not scrub; `zpin verify` reads all of "
		    "it");
	return ZP_OK;
}

int
zp_command_scrub_start(struct zp_node *node, uint64_t bytes_per_second, struct zp_err *err)
{
	struct command__scrub *scrub = &node->scrub;
	uint64_t rate =
	    bytes_per_second > 0 ? bytes_per_second : node->options.scrub_bytes_per_second;
	int rc = thread_check(node, err);

	if (rc < 0)
		return rc;
	if (rate == 0)
		return zp_fail(err, ZP_E_INVALID,
		    "scrub.rate is 0: say how many bytes a second this scrub may read");
	zp_mutex_lock(&scrub->lock);
	scrub->rate = rate;
	scrub->next_ns = 0;      /* what was read at another rate is paid */
	scrub->is_wanted = true; /* also where the one under way is being ended */
	scrub->is_paused = false;
	zp_cond_broadcast(&scrub->wake);
	zp_mutex_unlock(&scrub->lock);
	return ZP_OK;
}

int
zp_command_scrub_pause(struct zp_node *node, struct zp_err *err)
{
	struct command__scrub *scrub = &node->scrub;
	int rc = thread_check(node, err);

	if (rc < 0)
		return rc;
	zp_mutex_lock(&scrub->lock);
	if (scrub->is_running)
		scrub->is_paused = true;
	else
		rc = zp_fail(err, ZP_E_INVALID, "no scrub is under way");
	zp_mutex_unlock(&scrub->lock);
	return rc;
}

int
zp_command_scrub_stop(struct zp_node *node, struct zp_err *err)
{
	struct command__scrub *scrub = &node->scrub;
	int rc = thread_check(node, err);

	if (rc < 0)
		return rc;
	zp_mutex_lock(&scrub->lock);
	scrub->is_wanted = false;
	scrub->end_wanted = scrub->is_running;
	zp_cond_broadcast(&scrub->wake);
	zp_mutex_unlock(&scrub->lock);
	return ZP_OK;
}

void
zp_node_scrub_facts_get(struct zp_node *node, struct zp_scrub_facts *facts_out)
{
	struct command__scrub *scrub = &node->scrub;
	uint64_t now_ns = zp_clock_monotonic_ns();

	zp_mutex_lock(&scrub->lock);
	*facts_out = (struct zp_scrub_facts){
	    .is_automatic = node->scrub_thread != NULL && is_automatic(node),
	    .is_running = (scrub->is_running || scrub->is_wanted) && !scrub->end_wanted,
	    .is_paused = scrub->is_paused,
	    .bytes_per_second = scrub->rate,
	    .interval_seconds = node->options.scrub_interval_seconds,
	    .shards = zp_shards_map(node->shards)->count,
	    .shards_done = scrub->is_running ? scrub->shards_done : 0,
	    .pass_bytes = scrub->pass_bytes,
	    .bytes = scrub->bytes,
	    .passes = scrub->passes,
	    .begun_microseconds = scrub->state.begun_us,
	    .last_begun_microseconds = scrub->state.last_begun_us,
	    .last_ended_microseconds = scrub->state.last_ended_us,
	};
	if (facts_out->is_automatic && !facts_out->is_running)
		facts_out->next_microseconds =
		    zp_clock_realtime_us() +
		    (int64_t)(scrub->due_ns > now_ns ? (scrub->due_ns - now_ns) / 1000 : 0);
	zp_mutex_unlock(&scrub->lock);
}
