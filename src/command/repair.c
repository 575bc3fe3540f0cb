/*
 * repair.c - a node whose journal is damaged goes on with what is left of it.
 *
 * Flow:  zpin repair → here: lock, shards, whatever is whole in the journal, two checkpoints, a new
 *        journal. Owner: the caller's thread; nobody has the node open.
 *
 * The order lets it be cut short anywhere. Until the old files go nothing in them is needed less:
 * what is replayed may go to files, but not the position up to which it was. And a journal that
 * ends before a checkpoint is refused, so that the repair is asked for again.
 */
#include "command/command_internal.h"

#define PATH_BYTES 4096u

struct copying {
	char **names;
	size_t count;
};

static int
name_add(void *context, const char *name, struct zp_err *err)
{
	struct copying *copying = context;

	(void)err;
	copying->names = zp_realloc(copying->names, (copying->count + 1) * sizeof(*copying->names));
	copying->names[copying->count++] = zp_strdup(name);
	return ZP_OK;
}

/* Hard links of the old files beside the new: what is lost may be found by other means. */
static int
journal_keep(struct zp_node *node, struct zp_repair_report *report, struct zp_err *err)
{
	struct copying copying = {0};
	char from[PATH_BYTES];
	int rc = ZP_OK;

	if (snprintf(from, sizeof(from), "%s/journal", node->root) >= (int)sizeof(from) ||
	    snprintf(report->kept_in, sizeof(report->kept_in), "%s/journal-before-repair-%lld",
		node->root,
		(long long)(zp_clock_realtime_us() / 1000000)) >= (int)sizeof(report->kept_in))
		return zp_fail(err, ZP_E_INVALID, "the path of the node is too long");
	rc = zp_journal_files(node->journal_store, name_add, &copying, err);
	if (rc == ZP_OK && copying.count > 0)
		rc = zp_store_directory_link(node->seam.disk, from,
		    (const char *const *)copying.names, copying.count, report->kept_in, err);
	if (copying.count == 0)
		report->kept_in[0] = '\0';
	for (size_t i = 0; i < copying.count; i++)
		zp_free(copying.names[i]);
	zp_free(copying.names);
	return rc;
}

/* ---- Replaying with gaps -------------------------------------------------------------------- */

struct replaying {
	struct zp_shards *shards;
	struct zp_tables *tables;
	struct zp_shard_change *change;
	uint64_t lost_peers, lost_lists;
};

/* Ids are given in order, so one that is not there was given by a batch that is lost. Something
 * must stand in its place: else what comes behind it could not be taken, and what was named by it
 * would be named by the next one. The stand-in is a peer id of its own that nobody has, for `zpin
 * peers map`. */
static int
lost_peers_add(struct replaying *replaying, uint32_t id_end, struct zp_err *err)
{
	int rc = ZP_OK;

	while (rc == ZP_OK && zp_tables_peer_next(replaying->tables) < id_end) {
		rc = zp_tables_peer_lose(replaying->tables, err);
		replaying->lost_peers += rc == ZP_OK;
	}
	return rc;
}

static int
lost_lists_add(struct replaying *replaying, uint32_t id_end, struct zp_err *err)
{
	int rc = ZP_OK;

	while (rc == ZP_OK && zp_tables_list_next(replaying->tables) < id_end) {
		rc = zp_tables_list_lose(replaying->tables, err);
		replaying->lost_peers += rc == ZP_OK;
		replaying->lost_lists += rc == ZP_OK;
	}
	return rc;
}

/* The peers that a record gives or names: all of them were given before it or by it. Ids over the
 * limits are refused when the record goes in. */
static int
peers_fill(struct replaying *replaying, struct zp_err *err)
{
	const struct zp_shard_change *change = replaying->change;
	int rc = ZP_OK;

	switch (change->operation) {
	case ZP_OP_PEER:
		rc = lost_peers_add(replaying, change->id, err);
		return rc < 0 ? rc : zp_shards_tables_apply(replaying->shards, change, err);
	case ZP_OP_ALLOCATION_LIST:
		for (size_t i = 0; rc == ZP_OK && i < change->peers_count; i++)
			rc = lost_peers_add(replaying, change->peers[i] + 1, err);
		return rc;
	case ZP_OP_PEER_MOVED:
		rc = lost_peers_add(replaying, change->id + 1, err);
		return rc < 0 ? rc : lost_peers_add(replaying, change->to + 1, err);
	case ZP_OP_TRACK:
	case ZP_OP_TRACK_END:
		return lost_peers_add(replaying, change->track.peer + 1, err);
	default:
		return ZP_OK;
	}
}

/* Likewise the lists. */
static int
lists_fill(struct replaying *replaying, struct zp_err *err)
{
	const struct zp_shard_change *change = replaying->change;
	uint64_t allocations = change->record.facts[ZP_FACT_ALLOCATIONS];
	int rc = ZP_OK;

	switch (change->operation) {
	case ZP_OP_ALLOCATION_LIST:
		rc = lost_lists_add(replaying, change->id, err);
		return rc < 0 ? rc : zp_shards_tables_apply(replaying->shards, change, err);
	case ZP_OP_PUT:
		if ((allocations & 1) != 0 || allocations >> 1 >= UINT32_MAX)
			return ZP_OK;
		return lost_lists_add(replaying, (uint32_t)(allocations >> 1) + 1, err);
	default:
		return ZP_OK;
	}
}

static int
records_walk(struct replaying *replaying, const struct zp_journal_batch *batch,
    int (*each)(struct replaying *replaying, struct zp_err *err), struct zp_err *err)
{
	struct zp_journal_record record;
	size_t position = 0;
	int rc;

	while ((rc = zp_journal_record_next(batch->records, &position, &record, err)) == ZP_OK) {
		rc = zp_shard_change_decode(
		    record.operation, record.payload, replaying->change, err);
		if (rc == ZP_OK)
			rc = each(replaying, err);
		if (rc < 0)
			return rc;
	}
	return rc < 0 ? rc : ZP_OK;
}

/* Of the whole journal before anything else: a lost list's peer must not have the id of one that a
 * later batch gives. */
static int
batch_peers(void *context, const struct zp_journal_batch *batch, struct zp_err *err)
{
	return records_walk(context, batch, peers_fill, err);
}

/* First what the batch says of lists, gaps filled, then the batch itself. */
static int
batch_replay(void *context, const struct zp_journal_batch *batch, struct zp_err *err)
{
	struct replaying *replaying = context;
	int rc = records_walk(replaying, batch, lists_fill, err);

	return rc < 0 ? rc : zp_shards_replay(replaying->shards, batch, err);
}

/* ---- Repairing ------------------------------------------------------------------------------- */

/* A suspended shard needs the very journal that would go. */
static int
shards_check(struct zp_node *node, const struct zp_repair_options *repair, struct zp_err *err)
{
	const struct zp_shard_map *map = zp_shards_map(node->shards);

	for (uint32_t i = 0; i < map->count; i++) {
		unsigned long long id = map->ranges[i].id;

		if (zp_engine_is_suspended(zp_shards_engine(node->shards, i)) &&
		    !command__is_given_up(repair, id))
			return zp_fail(err, ZP_E_CORRUPT,
			    "shard %016llx is suspended and needs the journal as it is: mend the "
			    "shard first, or give it up, too: zpin repair --give-up-shard %016llx",
			    id, id);
	}
	return ZP_OK;
}

/* What is lost at the journal's end had numbers, and nothing may say which: with the mark gone,
 * too, they would be given again, to other writes. So many batches of the least length are half a
 * terabyte, more than the end of a journal that was never in files. */
#define NUMBERS_PASSED_OVER (UINT64_C(1) << 32)

/* Everything in files, as of a number above all that were ever given; then the journal begins anew.
 */
static int
journal_renew(struct zp_node *node, const struct zp_repair_options *repair, uint64_t last_known,
    struct zp_err *err)
{
	uint64_t known = zp_max_u64(last_known, zp_shards_applied_max(node->shards));
	uint64_t trim, batch = known + NUMBERS_PASSED_OVER;
	int rc;

	if (batch < known)
		return zp_fail(err, ZP_E_FULL, "there are no numbers of batches left");
	rc = zp_shards_flush(node->shards, err); /* what replaying froze */

	if (rc == ZP_OK)
		rc = command__give_up_end(node, repair, batch, err);
	if (rc < 0)
		return rc;
	for (int i = 0; i < 2; i++) { /* both that are kept: neither needs the old journal */
		zp_shards_freeze(node->shards, node->epoch, batch);
		rc = zp_shards_checkpoint(node->shards, zp_clock_realtime_us(), &trim, err);
		if (rc < 0)
			return rc;
	}
	return zp_journal_remove(node->journal_store, err);
}

/* Whether the journal opens and has what the shards need. */
static int
journal_look(struct zp_node *node, struct zp_err *err)
{
	struct zp_journal_options options;
	struct zp_journal_facts facts;
	int rc;

	command__journal_options_set(node, &options);
	options.read_only = true;
	rc = zp_journal_open(&options, &node->journal, err);
	if (rc < 0)
		return rc;
	zp_journal_facts_get(node->journal, &facts);
	zp_journal_close(node->journal);
	node->journal = NULL;
	rc = zp_shards_replay_begin(node->shards, facts.first_batch, facts.last_batch, err);
	if (rc == ZP_OK)
		zp_shards_replay_end(node->shards);
	return rc;
}

static int
salvage(struct zp_node *node, const struct zp_repair_options *repair,
    struct zp_repair_report *report, struct zp_err *err)
{
	struct replaying replaying = {
	    .shards = node->shards, .tables = zp_shards_tables(node->shards)};
	struct zp_journal_options options;
	uint64_t replayed;
	int rc;

	command__journal_options_set(node, &options);
	rc = shards_check(node, repair, err);
	if (rc == ZP_OK)
		rc = zp_journal_salvage(&options, NULL, NULL, &report->journal, err);
	if (rc < 0 || !repair->accept_loss)
		return rc;
	rc = command__give_up_begin(node, repair, err);
	if (rc < 0)
		return rc;
	/* From the first number to the last of all: that some are missing is what is accepted. */
	rc = zp_shards_replay_begin(node->shards, 0, UINT64_MAX, err);
	if (rc < 0)
		return rc;
	zp_shards_positions_keep(node->shards);
	replaying.change = zp_alloc(sizeof(*replaying.change));
	rc = zp_journal_salvage(&options, batch_peers, &replaying, &report->journal, err);
	if (rc == ZP_OK)
		rc = zp_journal_salvage(&options, batch_replay, &replaying, &report->journal, err);
	replayed = zp_shards_replay_end(node->shards);
	zp_free(replaying.change);
	if (rc < 0)
		return rc;
	report->replayed_records = replayed;
	report->lost_peers = replaying.lost_peers;
	report->lost_lists = replaying.lost_lists;
	rc = journal_keep(node, report, err);
	if (rc == ZP_OK)
		rc = journal_renew(node, repair, report->journal.last_known, err);
	report->is_repaired = rc == ZP_OK;
	report->is_given_up = rc == ZP_OK && repair->give_up_count > 0;
	return rc;
}

static void
suspended_tell(struct zp_node *node, struct zp_repair_report *report)
{
	const struct zp_shard_map *map = zp_shards_map(node->shards);

	for (uint32_t i = 0; i < map->count; i++) {
		const struct zp_engine *engine = zp_shards_engine(node->shards, i);

		if (!zp_engine_is_suspended(engine) || report->suspended++ > 0)
			continue;
		report->suspended_first = map->ranges[i].id;
		snprintf(report->suspended_why, sizeof(report->suspended_why), "%s",
		    zp_engine_suspended_why(engine));
	}
}

static int
repair_open(struct zp_node *node, const struct zp_repair_options *repair,
    struct zp_repair_report *report, struct zp_err *err)
{
	struct zp_err why = {0};
	int looked = journal_look(node, &why);
	int rc;

	suspended_tell(node, report);
	rc = command__give_up_check(node, repair, err);
	if (rc < 0)
		return rc;
	if (looked == ZP_OK) {
		rc = repair->give_up_count == 0 ? ZP_OK : command__give_up(node, repair, err);
		report->is_given_up =
		    rc == ZP_OK && repair->give_up_count > 0 && repair->accept_loss;
		return rc;
	}
	snprintf(report->damage, sizeof(report->damage), "%s", why.text);
	if (looked == ZP_E_CORRUPT || looked == ZP_E_CONFLICT)
		return salvage(node, repair, report, err);
	return zp_fail(err, looked, "%s", why.text); /* nothing that giving up could mend */
}

int
command__node_repair(const struct zp_node_options *options, const struct command__seam *seam,
    const struct zp_repair_options *repair, struct zp_repair_report *report_out, struct zp_err *err)
{
	struct zp_repair_report report = {0};
	struct zp_node_options read_only = *options;
	struct zp_node *node;
	int rc;

	read_only.read_only = true; /* a look changes nothing */
	rc = command__node_files_open(repair->accept_loss ? options : &read_only, seam, &node, err);
	if (rc == ZP_OK) {
		rc = repair_open(node, repair, &report, err);
		command__node_files_close(node);
	}
	if (rc < 0)
		return command__open_fail(options, rc, err);
	*report_out = report;
	return ZP_OK;
}

int
zp_node_repair(const struct zp_node_options *options, const struct zp_repair_options *repair,
    struct zp_repair_report *report_out, struct zp_err *err)
{
	return command__node_repair(options, &(struct command__seam){0}, repair, report_out, err);
}
