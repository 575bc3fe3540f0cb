/*
 * node.c - making, opening and closing a node.
 *
 * Flow:  main and tools → here: lock, journal, shards, replay, threads; and back in reverse.
 * Owner: the opening and closing thread.
 */
#include "command/command_internal.h"

#include <inttypes.h>
#include <stdarg.h>

#define PATH_BYTES 4096u

void
command__log(struct zp_node *node, int level, const char *format, ...)
{
	char text[ZP_ERR_TEXT_BYTES];
	va_list args;

	if (node->options.log == NULL)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	node->options.log(node->options.log_context, level, text);
}

static int
path_make(const char *root, const char *name, char path_out[PATH_BYTES], struct zp_err *err)
{
	int length =
	    snprintf(path_out, PATH_BYTES, "%s%s%s", root, name[0] == '\0' ? "" : "/", name);

	if (root == NULL || length < 0 || length >= (int)PATH_BYTES)
		return zp_fail(err, ZP_E_INVALID, "the path of the node is too long");
	return ZP_OK;
}

static int
directory_open(const char *root, const char *name, const struct zp_store_directory_options *options,
    struct zp_store **store_out, struct zp_err *err)
{
	char path[PATH_BYTES];
	int rc = path_make(root, name, path, err);

	return rc < 0 ? rc : zp_store_directory_open(path, options, store_out, err);
}

/* ---- Creating ------------------------------------------------------------------------------- */

static int
map_create(uint32_t shards, struct zp_shard_map *map_out, struct zp_err *err)
{
	uint32_t count = shards == 0 ? 16 : shards;
	uint64_t *ids;
	uint8_t cluster_id[16];
	int rc;

	if (count > ZP_SHARDS_MAX)
		return zp_fail(
		    err, ZP_E_INVALID, "%u shards, at most %u are possible", count, ZP_SHARDS_MAX);
	ids = zp_alloc(count * sizeof(*ids));
	/* 64 random bits: that two of a node are equal, or one is 0, is not going to happen, and
	 * opening would refuse it. */
	zp_random_bytes(ids, count * sizeof(*ids));
	zp_random_bytes(cluster_id, sizeof(cluster_id));
	rc = zp_shard_map_create(ids, count, cluster_id, COMMAND__NODE_NUMBER, map_out, err);
	zp_free(ids);
	return rc;
}

static int
create_locked(const struct zp_node_options *options, const struct command__seam *seam,
    const struct zp_shard_map *map, struct zp_err *err)
{
	struct zp_store_directory_options directory = {
	    .create = true, .no_sync = options->no_sync, .disk = seam->disk};
	struct zp_shards_options shards = {
	    .root = options->root, .no_sync = options->no_sync, .disk = seam->disk};
	int rc = directory_open(options->root, "journal", &directory, &shards.store, err);

	if (rc < 0)
		return rc;
	rc = zp_shards_create(&shards, map, 1, zp_clock_realtime_us(), err);
	zp_store_close(shards.store);
	return rc;
}

int
command__node_create(
    const struct zp_node_options *options, const struct command__seam *seam, struct zp_err *err)
{
	struct zp_store_directory_options directory = {
	    .create = true, .no_sync = options->no_sync, .disk = seam->disk};
	struct zp_store_lock *lock = NULL;
	struct zp_shard_map map = {0};
	struct zp_store *root;
	char path[PATH_BYTES];
	int rc = path_make(options->root, "lock", path, err);

	if (rc == ZP_OK) /* before anything is made */
		rc = map_create(options->shards, &map, err);
	if (rc == ZP_OK)
		rc = directory_open(options->root, "", &directory, &root, err);
	if (rc == ZP_OK) {
		zp_store_close(root);
		if (seam->disk == NULL)
			rc = zp_store_lock_take(path, &lock, err);
		if (rc == ZP_OK)
			rc = create_locked(options, seam, &map, err);
		zp_store_lock_release(lock);
	}
	zp_shard_map_done(&map);
	return rc < 0 ? zp_wrap(err, rc, "create node") : ZP_OK;
}

int
zp_node_create(const struct zp_node_options *options, struct zp_err *err)
{
	return command__node_create(options, &(struct command__seam){0}, err);
}

/* ---- Opening -------------------------------------------------------------------------------- */

static void
shards_warn(void *context, const char *text)
{
	command__log(context, 2, "%s", text);
}

/* A moment's are the node's, which outlives it. */
static void
caches_open(struct zp_node *node)
{
	const struct zp_node_options *options = &node->options;

	if (node->seam.node != NULL) {
		node->texts_cache = node->seam.node->texts_cache;
		node->block_cache = node->seam.node->block_cache;
		return;
	}
	if (options->texts_cache_bytes_max > 0)
		node->texts_cache = zp_texts_cache_new(options->texts_cache_bytes_max);
	if (options->block_cache_bytes_max > 0)
		node->block_cache = zp_block_cache_new(options->block_cache_bytes_max);
	if (options->block_cache_bytes_max > 0 && node->block_cache == NULL)
		command__log(node, 2,
		    "there is no room for a cache of %" PRIu64 " bytes: lookups go to the files",
		    options->block_cache_bytes_max);
}

static void
caches_close(struct zp_node *node)
{
	if (node->seam.node != NULL)
		return;
	zp_texts_cache_free(node->texts_cache);
	zp_block_cache_free(node->block_cache);
}

static int
files_open(struct zp_node *node, struct zp_err *err)
{
	const struct zp_node_options *options = &node->options;
	struct zp_store_directory_options directory = {.read_only = options->read_only,
	    .no_sync = options->no_sync,
	    .disk = node->seam.disk,
	    .watch = node->hang.watch};
	struct zp_shards_options shards = {
	    .root = node->root,
	    .read_only = options->read_only,
	    .no_sync = options->no_sync,
	    .disk = node->seam.disk,
	    .watch = node->hang.watch,
	    .merge_turn = command__pace_turn,
	    .merge_turn_context = node,
	    .segment_bytes = node->seam.segment_bytes,
	    .memory_bytes_max = options->memtable_bytes_max,
	    .warn = shards_warn,
	    .warn_context = node,
	    .at_checkpoint = options->at_checkpoint,
	    .checkpoint_number = node->seam.checkpoint_number,
	    .without_filters = node->seam.node != NULL,
	};
	char path[PATH_BYTES];
	int rc = path_make(node->root, "lock", path, err);

	if (rc == ZP_OK)
		rc = directory_open(node->root, "journal", &directory, &node->journal_store, err);
	if (rc == ZP_OK && node->seam.disk == NULL && node->seam.node == NULL)
		rc = options->read_only ? zp_store_lock_share(path, &node->lock, err)
					: zp_store_lock_take(path, &node->lock, err);
	if (rc < 0)
		return rc;
	caches_open(node);
	shards.texts_cache = node->texts_cache;
	shards.block_cache = node->block_cache;
	shards.store = node->journal_store;
	rc = zp_shards_open(&shards, &node->shards, err);
	if (rc < 0)
		return rc;
	node->memory_floor = zp_shards_memory_bytes(node->shards);
	return ZP_OK;
}

void
command__journal_options_set(struct zp_node *node, struct zp_journal_options *options_out)
{
	const struct zp_shard_map *map = zp_shards_map(node->shards);
	const struct zp_checkpoint *newest = zp_shards_newest(node->shards);

	*options_out = (struct zp_journal_options){
	    .store = node->journal_store,
	    .node = map->node,
	    .epoch = newest->epoch,
	    .file_bytes = node->seam.journal_file_bytes,
	    .read_bytes = node->seam.journal_read_bytes,
	    .read_only = node->options.read_only,
	    .no_mark = node->options.no_sync,
	    .first_batch = newest->batch + 1,
	};
	memcpy(options_out->cluster_id, map->cluster_id, sizeof(options_out->cluster_id));
	node->epoch = newest->epoch;
}

static int
journal_open(struct zp_node *node, struct zp_err *err)
{
	struct zp_journal_options options;

	command__journal_options_set(node, &options);
	return zp_journal_open(&options, &node->journal, err);
}

static int
batches_replay(struct zp_node *node, struct zp_journal_reader *reader, struct zp_err *err)
{
	struct zp_journal_batch batch;
	int rc;

	while ((rc = zp_journal_reader_next(reader, &batch, err)) == ZP_OK) {
		rc = zp_shards_replay(node->shards, &batch, err);
		if (rc < 0)
			return rc;
	}
	return rc == ZP_END ? ZP_OK : rc;
}

static int
replay(struct zp_node *node, struct zp_err *err)
{
	struct zp_journal_reader *reader;
	struct zp_journal_facts facts;
	int rc;

	zp_journal_facts_get(node->journal, &facts);
	rc = zp_shards_replay_begin(node->shards, facts.first_batch, facts.last_batch, err);
	if (rc == ZP_OK && facts.first_batch <= facts.last_batch) {
		rc = zp_journal_reader_open(node->journal, facts.first_batch, &reader, err);
		if (rc < 0)
			return rc;
		rc = batches_replay(node, reader, err);
		zp_journal_reader_close(reader);
	}
	if (rc < 0)
		return rc;
	node->replayed = zp_shards_replay_end(node->shards);
	if (facts.mark_was_lost)
		command__log(node, 2,
		    "journal/mark is missing or damaged: that the journal has every acknowledged "
		    "write could not be proved%s",
		    node->options.read_only ? "" : "; a new mark was made");
	if (facts.cut_bytes > 0)
		command__log(node, 2, "%llu bytes of a write that never finished %s",
		    (unsigned long long)facts.cut_bytes,
		    node->options.read_only ? "end the journal, and are not read"
					    : "were cut off the journal");
	if (node->replayed > 0)
		command__log(node, 1, "%llu writes were replayed from the journal",
		    (unsigned long long)node->replayed);
	return ZP_OK;
}

static int
threads_start(struct zp_node *node, struct zp_err *err)
{
	int rc = ZP_OK;

	if (node->hang.watch != NULL && node->seam.node == NULL)
		rc =
		    zp_thread_start("zpin-watch", command__hang_run, node, &node->hang.thread, err);
	if (rc < 0 || node->options.read_only)
		return rc;
	node->queue.has_consumer = true;
	rc = zp_thread_start("zpin-commit", command__commit_run, node, &node->commit_thread, err);
	if (rc < 0) {
		node->queue.has_consumer = false;
		return rc;
	}
	rc = zp_thread_start("zpin-upkeep", command__upkeep_run, node, &node->upkeep_thread, err);
	if (rc < 0 || node->options.offline)
		return rc;
	return zp_thread_start("zpin-scrub", command__scrub_run, node, &node->scrub_thread, err);
}

static struct zp_node *
node_new(const struct zp_node_options *options)
{
	struct zp_node *node = zp_alloc_zero(1, sizeof(*node));

	node->options = *options;
	node->root = zp_strdup(options->root);
	node->options.root = node->root;
	if (node->options.memtable_bytes_max == 0)
		node->options.memtable_bytes_max = COMMAND__MEMTABLE_BYTES_DEFAULT;
	if (node->options.journal_bytes_max == 0)
		node->options.journal_bytes_max = COMMAND__JOURNAL_BYTES_DEFAULT;
	if (node->options.replication_min == 0)
		node->options.replication_min = -1;
	if (node->options.replication_max == 0)
		node->options.replication_max = -1;
	node->options.read_only = options->read_only || options->at_checkpoint;
	node->read_only = node->options.read_only;
	zp_mutex_init(&node->queue.lock);
	zp_cond_init(&node->queue.wake);
	zp_cond_init(&node->queue.done);
	zp_mutex_init(&node->upkeep_lock);
	zp_mutex_init(&node->origins_lock);
	zp_mutex_init(&node->damage.lock);
	zp_mutex_init(&node->scrub.lock);
	zp_cond_init(&node->scrub.wake);
	zp_mutex_init(&node->snapshots_lock);
	command__moments_init(&node->moments);
	return node;
}

static void
node_free(struct zp_node *node)
{
	zp_journal_close(node->journal);
	zp_shards_close(node->shards);
	caches_close(node);
	zp_store_close(node->journal_store);
	command__hang_stop(node); /* until here something might have hung */
	command__hang_done(node);
	zp_store_lock_release(node->lock);
	zp_cond_done(&node->queue.wake);
	zp_cond_done(&node->queue.done);
	zp_mutex_done(&node->queue.lock);
	zp_mutex_done(&node->upkeep_lock);
	zp_mutex_done(&node->origins_lock);
	zp_mutex_done(&node->damage.lock);
	zp_mutex_done(&node->scrub.lock);
	zp_cond_done(&node->scrub.wake);
	command__scrub_state_done(&node->scrub.state);
	command__damage_done(node);
	zp_mutex_done(&node->snapshots_lock);
	command__moments_done(&node->moments);
	zp_free(node->root);
	zp_free(node);
}

int
command__node_files_open(const struct zp_node_options *options, const struct command__seam *seam,
    struct zp_node **node_out, struct zp_err *err)
{
	struct zp_node *node = node_new(options);
	int rc;

	node->seam = *seam;
	command__hang_init(node);
	rc = files_open(node, err);
	if (rc < 0)
		node_free(node);
	else
		*node_out = node;
	return rc;
}

void
command__node_files_close(struct zp_node *node)
{
	node_free(node);
}

int
command__open_fail(const struct zp_node_options *options, int rc, struct zp_err *err)
{
	if (rc == ZP_E_VERSION)
		rc = zp_wrap(
		    err, rc, "it was written by a newer zpin: run that one, or a newer one");
	return zp_wrap(err, rc, "%s", options->root);
}

int
command__node_open(const struct zp_node_options *options, const struct command__seam *seam,
    struct zp_node **node_out, struct zp_err *err)
{
	struct zp_node *node;
	int rc;

	if (options->peer_id_bytes > ZP_PEER_ID_BYTES_MAX)
		return zp_fail(err, ZP_E_INVALID, "a peer id of %zu bytes", options->peer_id_bytes);
	node = node_new(options);
	node->seam = *seam;
	command__hang_init(node);
	rc = files_open(node, err);
	if (rc == ZP_OK && !options->at_checkpoint)
		rc = journal_open(node, err);
	if (rc == ZP_OK && !options->at_checkpoint)
		rc = replay(node, err);
	if (rc < 0) {
		node_free(node);
		return command__open_fail(options, rc, err);
	}
	command__damage_begin(node);
	command__commit_init(node);
	command__upkeep_init(node);
	command__scrub_init(node);
	command__accesses_init(node);
	command__checkpoint_facts_set(node);
	rc = threads_start(node, err);
	if (rc < 0) {
		zp_node_close(node);
		return rc;
	}
	*node_out = node;
	return ZP_OK;
}

int
zp_node_open(const struct zp_node_options *options, struct zp_node **node_out, struct zp_err *err)
{
	return command__node_open(options, &(struct command__seam){0}, node_out, err);
}

void
command__journal_facts_get(struct zp_node *node, struct zp_journal_facts *facts_out)
{
	if (node->journal == NULL)
		*facts_out = (struct zp_journal_facts){0};
	else
		zp_journal_facts_get(node->journal, facts_out);
}

int
zp_node_open_as_of(const struct zp_node_options *options, const char *as_of,
    struct zp_node **node_out, struct zp_err *err)
{
	struct zp_node_options past = *options;
	struct command__place place;
	int rc = command__place_find(options->root, NULL, as_of, 0, &place, err);

	if (rc < 0)
		return rc;
	past.root = place.root;
	past.at_checkpoint = true;
	return command__node_open(&past,
	    &(struct command__seam){.checkpoint_number = place.checkpoint_number}, node_out, err);
}

/* ---- Closing -------------------------------------------------------------------------------- */

/* What a failure costs is a longer start: the journal has everything. Where it has not, because
 * files of it are gone, no start may need them. */
static void
last_checkpoint(struct zp_node *node)
{
	struct zp_err err = {0};
	int rc = zp_journal_is_there(node->journal) ? command__checkpoint(node, &err)
						    : command__journal_renew(node, &err);

	if (rc < 0)
		command__log(node, 3, "at the stop: %s", err.text);
}

void
zp_node_close(struct zp_node *node)
{
	if (node == NULL)
		return;
	node->work_stop = true;
	command__scrub_stop(node);
	command__moments_stop(node);
	/* The maintenance thread stays until the queue is empty: writes may wait for memory. */
	zp_mutex_lock(&node->queue.lock);
	node->queue.stopping = true;
	zp_cond_signal(&node->queue.wake);
	zp_mutex_unlock(&node->queue.lock);
	zp_thread_join(node->commit_thread);
	command__upkeep_stop(node);
	zp_thread_join(node->upkeep_thread);
	zp_thread_join(node->scrub_thread); /* it may have waited for either */
	command__accesses_drain(node);
	if (!node->options.read_only && !node->is_broken)
		last_checkpoint(node);
	command__expire_done(node);
	command__accesses_done(node);
	command__upkeep_done(node);
	command__commit_done(node);
	node_free(node);
}

/* ---- Looking -------------------------------------------------------------------------------- */

const struct zp_tables *
zp_node_tables(const struct zp_node *node)
{
	return zp_shards_tables(node->shards);
}

void
zp_node_read_only_set(struct zp_node *node, bool read_only)
{
	node->read_only = read_only || node->options.read_only;
}

uint64_t
zp_command_origin_sequence(struct zp_node *node, const uint8_t origin_id[16])
{
	uint64_t sequence;

	zp_mutex_lock(&node->origins_lock);
	sequence = zp_shards_origin_get(node->shards, origin_id);
	zp_mutex_unlock(&node->origins_lock);
	return sequence;
}
