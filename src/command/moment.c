/*
 * moment.c - snapshots and checkpoints that are open to be read, a few at a time.
 *
 * Flow:  an as-of read → zp_moment_find, or on the moments' thread zp_moment_open → a node that is
 *        opened at a checkpoint → reads as of any node. Owner: who holds a moment may read; the
 * list is under `lock`, and whoever opens or removes has `open_lock`.
 *
 * A moment holds what it needs: its files are open, so that neither a collected checkpoint nor a
 * removed folder takes anything from it. Its name is only how it is found.
 */
#include "command/command_internal.h"

#define TASKS_MAX 1024u
#define TRIES 4u
#define IDLE_NS (ZP_MOMENT_IDLE_SECONDS * UINT64_C(1000000000))

struct zp_moment {
	struct zp_moment *next;
	struct zp_node *parent;
	struct zp_node *node;
	struct command__place place;
	uint64_t bytes; /* its directories in memory */
	uint32_t holds; /* under `lock`, like the next */
	uint64_t used_at_ns;
};

void
command__moments_init(struct command__moments *moments)
{
	zp_mutex_init(&moments->open_lock);
	zp_mutex_init(&moments->lock);
	zp_cond_init(&moments->wake);
	zp_cond_init(&moments->released);
}

void
command__moments_done(struct command__moments *moments)
{
	zp_cond_done(&moments->wake);
	zp_cond_done(&moments->released);
	zp_mutex_done(&moments->lock);
	zp_mutex_done(&moments->open_lock);
}

/* ---- What is held --------------------------------------------------------------------------- */

struct zp_node *
zp_moment_node(struct zp_moment *moment)
{
	return moment->node;
}

uint64_t
zp_moment_id(const struct zp_moment *moment)
{
	return moment->place.id;
}

int64_t
zp_moment_time(const struct zp_moment *moment)
{
	return moment->place.time_microseconds;
}

const char *
zp_moment_name(const struct zp_moment *moment)
{
	return moment->place.name[0] == '\0' ? "checkpoint" : moment->place.name;
}

void
zp_moment_release(struct zp_moment *moment)
{
	struct command__moments *moments;

	if (moment == NULL)
		return;
	moments = &moment->parent->moments;
	zp_mutex_lock(&moments->lock);
	ZP_ASSERT(moment->holds > 0);
	moment->holds--;
	moment->used_at_ns = zp_clock_monotonic_ns();
	if (moments->stopping)
		zp_cond_signal(&moments->released);
	zp_mutex_unlock(&moments->lock);
}

static void
moment_close(struct zp_moment *moment)
{
	if (moment == NULL)
		return;
	zp_node_close(moment->node);
	zp_free(moment);
}

/* With the lock held: the first that `fits`, held. */
static struct zp_moment *
list_hold(struct command__moments *moments,
    bool (*fits)(const struct zp_moment *moment, const void *wanted), const void *wanted)
{
	for (struct zp_moment *moment = moments->list; moment != NULL; moment = moment->next) {
		if (!fits(moment, wanted))
			continue;
		moment->holds++;
		moment->used_at_ns = zp_clock_monotonic_ns();
		return moment;
	}
	return NULL;
}

/* With the lock held: takes it off the list. */
static void
list_remove(struct command__moments *moments, struct zp_moment *moment)
{
	struct zp_moment **at = &moments->list;

	while (*at != moment)
		at = &(*at)->next;
	*at = moment->next;
	moments->count--;
}

/* With the lock held: the one that nobody holds and nobody has for longest, or NULL. */
static struct zp_moment *
list_oldest(const struct command__moments *moments)
{
	struct zp_moment *oldest = NULL;

	for (struct zp_moment *moment = moments->list; moment != NULL; moment = moment->next) {
		if (moment->holds == 0 &&
		    (oldest == NULL || moment->used_at_ns < oldest->used_at_ns))
			oldest = moment;
	}
	return oldest;
}

/* ---- Finding -------------------------------------------------------------------------------- */

struct wanted {
	const char *name; /* "": a checkpoint, */
	uint64_t number;  /* this one when there is no id */
	uint64_t id;
};

static bool
fits_wanted(const struct zp_moment *moment, const void *context)
{
	const struct wanted *wanted = context;

	if (strcmp(moment->place.name, wanted->name) != 0)
		return false;
	if (wanted->id != 0)
		return moment->place.id == wanted->id;
	return wanted->name[0] != '\0' || moment->place.checkpoint_number == wanted->number;
}

/* Somebody may have removed the folder by hand. */
static bool
has_folder(const struct zp_moment *moment)
{
	struct zp_store_directory_options options = {.read_only = true};
	char path[COMMAND__PATH_BYTES];
	struct zp_store *store;

	if (command__snapshot_path(
		path, moment->parent->root, moment->place.name, "/journal", NULL) < 0 ||
	    zp_store_directory_open(path, &options, &store, NULL) < 0)
		return false;
	zp_store_close(store);
	return true;
}

int
zp_moment_find(struct zp_node *node, const char *as_of, uint64_t id, struct zp_moment **moment_out)
{
	struct command__moments *moments = &node->moments;
	struct wanted wanted = {.name = as_of, .number = node->checkpoint_number, .id = id};
	struct zp_moment *moment;
	enum command__as_of kind;
	int64_t time_us;

	if (command__as_of_parse(as_of, &kind, &time_us, NULL) < 0 || kind == COMMAND__AS_OF_TIME)
		return ZP_E_NOT_FOUND;
	if (kind == COMMAND__AS_OF_CHECKPOINT)
		wanted.name = "";
	zp_mutex_lock(&moments->lock);
	moment = list_hold(moments, fits_wanted, &wanted);
	zp_mutex_unlock(&moments->lock);
	if (moment != NULL && wanted.name[0] != '\0' && !has_folder(moment)) {
		zp_moment_release(moment);
		moment = NULL;
	}
	if (moment == NULL)
		return ZP_E_NOT_FOUND;
	*moment_out = moment;
	return ZP_OK;
}

/* ---- Opening: with open_lock held ----------------------------------------------------------- */

static void
moment_log(void *context, int level, const char *text)
{
	struct zp_moment *moment = context;

	command__log(moment->parent, level, "as of %s: %s", zp_moment_name(moment), text);
}

static uint64_t
bytes_of(struct zp_node *node)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < zp_shards_map(node->shards)->count; i++) {
		struct zp_engine_facts facts;

		zp_engine_facts_get(zp_shards_engine(node->shards, i), &facts);
		bytes += facts.resident_bytes;
	}
	return bytes;
}

static int
moment_new(struct zp_node *node, const struct command__place *place, struct zp_moment **moment_out,
    struct zp_err *err)
{
	struct zp_moment *moment = zp_alloc_zero(1, sizeof(*moment));
	struct zp_node_options options = node->options;
	struct command__seam seam = {
	    .disk = node->seam.disk, .node = node, .checkpoint_number = place->checkpoint_number};
	int rc;

	moment->parent = node;
	moment->place = *place;
	options.root = moment->place.root;
	options.at_checkpoint = true;
	options.log = moment_log;
	options.log_context = moment;
	rc = command__node_open(&options, &seam, &moment->node, err);
	if (rc < 0) {
		zp_free(moment);
		return rc;
	}
	moment->bytes = bytes_of(moment->node);
	moment->holds = 1;
	*moment_out = moment;
	return ZP_OK;
}

/* A checkpoint's record goes before any file of it does: when it still stands, nothing of it was
 * gone while it was opened. */
static int
still_there(struct zp_node *node, const struct command__place *place, struct zp_err *err)
{
	struct command__place again;

	return place->name[0] != '\0' ? ZP_OK
				      : command__place_find(node->root, node->seam.disk,
					    "checkpoint", place->id, &again, err);
}

/* Closes the one that was not used for longest when there are as many as may be. */
static int
room_make(struct command__moments *moments, struct zp_err *err)
{
	struct zp_moment *oldest = NULL;
	int rc = ZP_OK;

	zp_mutex_lock(&moments->lock);
	if (moments->count >= ZP_MOMENTS_MAX) {
		oldest = list_oldest(moments);
		if (oldest != NULL)
			list_remove(moments, oldest);
		else
			rc = zp_fail(err, ZP_E_FULL,
			    "%u snapshots and checkpoints are being read, and no more may be open: "
			    "try again when one of them is done",
			    ZP_MOMENTS_MAX);
	}
	zp_mutex_unlock(&moments->lock);
	moment_close(oldest);
	return rc;
}

static bool
fits_place(const struct zp_moment *moment, const void *context)
{
	const struct command__place *place = context;

	return strcmp(moment->place.name, place->name) == 0 && moment->place.id == place->id;
}

/* ZP_END: it was collected meanwhile. */
static int
place_open(struct zp_node *node, const struct command__place *place, struct zp_moment **moment_out,
    struct zp_err *err)
{
	struct command__moments *moments = &node->moments;
	struct zp_moment *moment;
	int rc;

	zp_mutex_lock(&moments->lock);
	moment = list_hold(moments, fits_place, place);
	if (moment != NULL) /* by a newer record of the same */
		moment->place.checkpoint_number = place->checkpoint_number;
	zp_mutex_unlock(&moments->lock);
	if (moment != NULL) {
		*moment_out = moment;
		return ZP_OK;
	}
	rc = room_make(moments, err);
	if (rc == ZP_OK)
		rc = moment_new(node, place, &moment, err);
	if (rc != ZP_E_FULL && still_there(node, place, NULL) < 0) {
		if (rc == ZP_OK)
			moment_close(moment);
		zp_err_clear(err);
		return ZP_END;
	}
	if (rc < 0)
		return rc;
	zp_mutex_lock(&moments->lock);
	moment->used_at_ns = zp_clock_monotonic_ns();
	moment->next = moments->list;
	moments->list = moment;
	moments->count++;
	moments->opened++;
	zp_mutex_unlock(&moments->lock);
	*moment_out = moment;
	return ZP_OK;
}

static int
moment_open(struct zp_node *node, const char *as_of, uint64_t id, struct zp_moment **moment_out,
    struct zp_err *err)
{
	struct command__place place;
	int rc = ZP_END;

	for (unsigned i = 0; rc == ZP_END && i < TRIES; i++) {
		if (node->work_stop)
			return zp_fail(err, ZP_E_STOPPING, "the node is stopping");
		rc = command__place_find(node->root, node->seam.disk, as_of, id, &place, err);
		if (rc == ZP_OK)
			rc = place_open(node, &place, moment_out, err);
	}
	if (rc == ZP_END)
		rc = zp_fail(err, ZP_E_FULL,
		    "checkpoints come faster than one can be opened: try again, or make a "
		    "snapshot");
	return rc;
}

int
zp_moment_open(struct zp_node *node, const char *as_of, uint64_t id, struct zp_moment **moment_out,
    struct zp_err *err)
{
	int rc = ZP_E_NOT_FOUND;

	/* Also a checkpoint that is open, and whose record is collected. */
	if (id != 0)
		rc = zp_moment_find(node, as_of, id, moment_out);
	if (rc == ZP_OK)
		return rc;
	zp_mutex_lock(&node->moments.open_lock);
	rc = moment_open(node, as_of, id, moment_out, err);
	zp_mutex_unlock(&node->moments.open_lock);
	return rc;
}

int
command__moments_evict(struct zp_node *node, const char *name, struct zp_err *err)
{
	struct command__moments *moments = &node->moments;
	int rc = ZP_END;

	while (rc == ZP_END) {
		struct zp_moment *moment;

		zp_mutex_lock(&moments->lock);
		moment = moments->list;
		while (moment != NULL && strcmp(moment->place.name, name) != 0)
			moment = moment->next;
		rc = moment == NULL ? ZP_OK : ZP_END;
		if (moment != NULL && moment->holds > 0) {
			rc = zp_fail(err, ZP_E_LOCKED,
			    "snapshot %s is being read, by %u requests: try again when they are "
			    "done",
			    name, moment->holds);
			moment = NULL;
		}
		if (moment != NULL)
			list_remove(moments, moment);
		zp_mutex_unlock(&moments->lock);
		moment_close(moment);
	}
	return rc;
}

/* ---- The thread ----------------------------------------------------------------------------- */

/* With the lock held. Takes a moment off that nobody used for long, or says when to look again. */
static struct zp_moment *
idle_take(struct zp_node *node, uint64_t *look_at_ns_out)
{
	struct command__moments *moments = &node->moments;
	uint64_t idle_ns = node->seam.moment_idle_ns != 0 ? node->seam.moment_idle_ns : IDLE_NS;
	uint64_t now_ns = zp_clock_monotonic_ns();
	struct zp_moment *oldest = list_oldest(moments);

	*look_at_ns_out = moments->count == 0 ? 0 : now_ns + idle_ns;
	if (oldest == NULL)
		return NULL;
	if (now_ns - oldest->used_at_ns >= idle_ns) {
		list_remove(moments, oldest);
		return oldest;
	}
	*look_at_ns_out = oldest->used_at_ns + idle_ns;
	return NULL;
}

static void
task_run(struct command__moments *moments)
{
	struct zp_moment_task *task = moments->first;

	moments->first = task->next;
	moments->tasks--;
	zp_mutex_unlock(&moments->lock);
	task->run(task);
	zp_mutex_lock(&moments->lock);
}

static void
moments_run(void *context)
{
	struct zp_node *node = context;
	struct command__moments *moments = &node->moments;
	uint64_t look_at_ns;

	zp_mutex_lock(&moments->lock);
	while (moments->first != NULL || !moments->stopping) {
		struct zp_moment *idle = NULL;

		if (moments->first != NULL) {
			task_run(moments);
			continue;
		}
		idle = idle_take(node, &look_at_ns);
		if (idle != NULL) {
			zp_mutex_unlock(&moments->lock);
			moment_close(idle);
			zp_mutex_lock(&moments->lock);
		} else if (look_at_ns == 0) {
			zp_cond_wait(&moments->wake, &moments->lock);
		} else {
			zp_cond_wait_until(&moments->wake, &moments->lock, look_at_ns);
		}
	}
	zp_mutex_unlock(&moments->lock);
}

int
zp_moment_post(struct zp_node *node, struct zp_moment_task *task, struct zp_err *err)
{
	struct command__moments *moments = &node->moments;
	int rc = ZP_OK;

	zp_mutex_lock(&moments->lock);
	if (moments->stopping)
		rc = zp_fail(err, ZP_E_STOPPING, "the node is stopping");
	else if (moments->tasks == TASKS_MAX)
		rc = zp_fail(err, ZP_E_FULL, "%u requests wait for snapshots: try again soon",
		    moments->tasks);
	else if (moments->thread == NULL)
		rc = zp_thread_start("zpin-moments", moments_run, node, &moments->thread, err);
	if (rc == ZP_OK) {
		task->next = NULL;
		if (moments->first == NULL)
			moments->first = task;
		else
			moments->last->next = task;
		moments->last = task;
		moments->tasks++;
		zp_cond_signal(&moments->wake);
	}
	zp_mutex_unlock(&moments->lock);
	return rc;
}

void
command__moments_stop(struct zp_node *node)
{
	struct command__moments *moments = &node->moments;

	node->work_stop = true;
	zp_mutex_lock(&moments->lock);
	moments->stopping = true;
	zp_cond_signal(&moments->wake);
	zp_mutex_unlock(&moments->lock);
	zp_thread_join(moments->thread);
	zp_mutex_lock(&moments->lock);
	while (moments->list != NULL) {
		struct zp_moment *moment = list_oldest(moments);

		if (moment == NULL) {
			zp_cond_wait(&moments->released, &moments->lock);
			continue;
		}
		list_remove(moments, moment);
		zp_mutex_unlock(&moments->lock);
		moment_close(moment);
		zp_mutex_lock(&moments->lock);
	}
	zp_mutex_unlock(&moments->lock);
}

void
command__moments_facts_get(struct zp_node *node, struct zp_node_facts *facts)
{
	struct command__moments *moments = &node->moments;

	zp_mutex_lock(&moments->lock);
	facts->moments_open = moments->count;
	facts->moments_opened = moments->opened;
	for (struct zp_moment *moment = moments->list; moment != NULL; moment = moment->next) {
		facts->moments_held += moment->holds > 0;
		facts->moments_bytes += moment->bytes;
	}
	zp_mutex_unlock(&moments->lock);
}
