/*
 * verify.c - every byte of every shard read and checked, pins recounted.
 *
 * Flow:  caller → engine by engine. Owner: the caller's thread, under upkeep_lock one shard at a
 * time, so that checkpoints can go on in between.
 */
#include "command/command_internal.h"

/* Its damages name the shard and are counted with the others. */
struct verifying {
	struct zp_node *node;
	uint32_t shard; /* COMMAND__DAMAGE_NODE: the node's own files */
	const struct zp_verify_options *options;
	struct zp_verify_report *sum;
	struct zp_shard_change *change; /* owned, large */
	uint64_t bytes, bytes_all;
	bool may_write; /* counters that are off are set right */
};

static void
damage_tell(void *context, const char *text)
{
	struct verifying *verifying = context;
	struct zp_err why = {0};
	int rc = zp_fail(&why, ZP_E_CORRUPT, "%s", text);

	if (verifying->shard == COMMAND__DAMAGE_NODE) {
		command__damage_note_node(verifying->node, text);
		verifying->sum->damages++;
	} else {
		zp_ignore(command__damage_note(
		    verifying->node, verifying->shard, rc, &why)); /* the same */
	}
	if (verifying->options->damage != NULL)
		verifying->options->damage(verifying->options->context, why.text);
}

static int
step(void *context, uint64_t bytes, struct zp_err *err)
{
	struct verifying *verifying = context;

	if (verifying->node->work_stop)
		return zp_fail(err, ZP_E_STOPPING, "the node is stopping");
	verifying->bytes += bytes;
	if (bytes > 0 && verifying->options->progress != NULL)
		verifying->options->progress(verifying->options->context,
		    zp_min_u64(verifying->bytes, verifying->bytes_all), verifying->bytes_all);
	return ZP_OK;
}

static int
shard_verify(struct verifying *verifying, uint32_t index, struct zp_err *err)
{
	struct zp_node *node = verifying->node;
	struct zp_engine *engine = zp_shards_engine(node->shards, index);
	struct zp_check check = {.damage = damage_tell, .step = step, .context = verifying};
	struct zp_verify_report report = {0}, *sum = verifying->sum;
	int rc;

	verifying->shard = index;
	if (zp_engine_is_suspended(engine)) { /* one damage, whatever stands in for it */
		damage_tell(verifying, "suspended");
		sum->damages++;
		return ZP_OK;
	}
	command__upkeep_enter(node);
	if (verifying->may_write)
		rc = zp_engine_verify_recounting(
		    engine, verifying->options->deep, &check, &report, err);
	else
		rc = zp_engine_verify(engine, verifying->options->deep, &check, &report, err);
	command__upkeep_leave(node);
	if (report.damages > 0 && verifying->may_write)
		command__manifest_renew(node, index);
	sum->segments += report.segments;
	sum->rows += report.rows;
	sum->bytes += report.bytes;
	sum->pins += report.pins;
	sum->entries += report.entries;
	sum->damages += report.damages;
	sum->counters_set += report.counters_set;
	if (report.counters_set > 0) /* what an earlier one told of them */
		command__damage_forget(node, index, ": it counts ");
	/* Damage in one shard is no reason to leave the others unread. */
	return rc == ZP_E_CORRUPT ? ZP_OK : rc;
}

/* ---- The node's own files ------------------------------------------------------------------- */

static bool
shard_is_known(const struct zp_shard_map *map, uint64_t shard_id)
{
	for (uint32_t i = 0; i < map->count; i++) {
		if (map->ranges[i].id == shard_id)
			return true;
	}
	return shard_id == 0; /* the node itself */
}

/* Each record of a batch must mean something to whoever replays it. */
static int
batch_look(void *context, const struct zp_journal_batch *batch, struct zp_err *err)
{
	struct verifying *verifying = context;
	struct zp_journal_record record;
	size_t position = 0;
	int rc;

	while ((rc = zp_journal_record_next(batch->records, &position, &record, err)) == ZP_OK) {
		rc = zp_shard_change_decode(
		    record.operation, record.payload, verifying->change, err);
		if (rc < 0)
			return rc;
		if (!shard_is_known(zp_shards_map(verifying->node->shards), record.shard_id))
			return zp_fail(err, ZP_E_CORRUPT,
			    "a record is of shard %016llx, which there is not",
			    (unsigned long long)record.shard_id);
	}
	return rc == ZP_END ? ZP_OK : rc;
}

static int
node_verify(struct verifying *verifying, struct zp_err *err)
{
	struct zp_node *node = verifying->node;
	struct zp_check check = {.damage = damage_tell, .step = step, .context = verifying};
	struct zp_journal_checked checked;
	int rc = ZP_OK;

	verifying->shard = COMMAND__DAMAGE_NODE;
	verifying->change = zp_alloc(sizeof(*verifying->change));
	if (!node->options.at_checkpoint) /* of which no journal is read */
		rc = zp_journal_check(node->journal, &check, batch_look, &checked, err);
	zp_free(verifying->change);
	if (rc < 0)
		return rc;
	command__upkeep_enter(node);
	rc = zp_shards_records_check(node->shards, &check, err);
	command__upkeep_leave(node);
	return rc;
}

int
zp_command_verify(struct zp_node *node, const struct zp_verify_options *options,
    struct zp_verify_report *report_out, struct zp_err *err)
{
	static const struct zp_verify_options plain;
	struct zp_verify_report sum = {0};
	struct verifying verifying = {
	    .node = node, .options = options == NULL ? &plain : options, .sum = &sum};
	struct zp_node_facts facts;
	struct zp_err why = {0};
	int rc = ZP_OK;

	verifying.may_write = !node->options.read_only && !node->is_broken;
	/* What is only in memory yet is written first, where that can be, to be read back with the
	 * rest. */
	if (verifying.may_write && zp_command_checkpoint(node, &why) < 0)
		command__log(node, 2,
		    "verify reads what is in files; the rest could not be written: %s", why.text);
	zp_node_facts_get(node, &facts);
	verifying.bytes_all = 2 * facts.engines.disk_bytes; /* blocks, then the whole content */
	for (uint32_t i = 0; rc == ZP_OK && i < zp_shards_map(node->shards)->count; i++)
		rc = shard_verify(&verifying, i, err);
	if (rc == ZP_OK && verifying.options->deep)
		rc = node_verify(&verifying, err);
	if (rc < 0)
		return rc;
	*report_out = sum;
	if (sum.damages > 0)
		return zp_fail(err, ZP_E_CORRUPT,
		    "%llu damages: restore the files named from a snapshot or copy",
		    (unsigned long long)sum.damages);
	return ZP_OK;
}
