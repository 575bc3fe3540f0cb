/*
 * give_up.c - the node goes on without a shard that is lost.
 *
 * Flow:  zpin repair --give-up-shard → here: an empty shard in its place, with what the journal
 * still has of it. Owner: the caller's thread; nobody has the node open.
 *
 * With a whole journal nothing else changes: the other shards take from it what they lack when the
 * node starts. With a damaged one repair.c replays it for all of them.
 */
#include "command/command_internal.h"

bool
command__is_given_up(const struct zp_repair_options *repair, uint64_t shard_id)
{
	for (size_t i = 0; i < repair->give_up_count; i++) {
		if (repair->give_up[i] == shard_id)
			return true;
	}
	return false;
}

/* The map's index; what is given up was looked for before. */
static uint32_t
index_of(struct zp_node *node, uint64_t shard_id)
{
	const struct zp_shard_map *map = zp_shards_map(node->shards);
	uint32_t index = 0;

	while (map->ranges[index].id != shard_id)
		index++;
	return index;
}

static int
shard_check(
    struct zp_node *node, uint64_t shard_id, struct zp_repair_shard *shard_out, struct zp_err *err)
{
	const struct zp_shard_map *map = zp_shards_map(node->shards);
	const struct zp_checkpoint_shard *known =
	    zp_checkpoint_find(zp_shards_newest(node->shards), shard_id);
	struct zp_repair_shard shard = {.id = shard_id};
	const struct zp_engine *engine;
	uint32_t index = 0;

	while (index < map->count && map->ranges[index].id != shard_id)
		index++;
	if (index == map->count)
		return zp_fail(
		    err, ZP_E_INVALID, "there is no shard %016llx", (unsigned long long)shard_id);
	engine = zp_shards_engine(node->shards, index);
	if (!zp_engine_is_suspended(engine))
		return zp_fail(err, ZP_E_INVALID,
		    "shard %016llx is not suspended: it is read and written, and is not given up",
		    (unsigned long long)shard_id);
	memcpy(shard.low, map->ranges[index].low, sizeof(shard.low));
	memcpy(shard.high, map->ranges[index].high, sizeof(shard.high));
	snprintf(shard.why, sizeof(shard.why), "%s", zp_engine_suspended_why(engine));
	shard.has_count = known != NULL && known->has_said;
	shard.pins = shard.has_count ? known->pins : 0;
	*shard_out = shard;
	return ZP_OK;
}

int
command__give_up_check(
    struct zp_node *node, const struct zp_repair_options *repair, struct zp_err *err)
{
	int rc = ZP_OK;

	for (size_t i = 0; rc == ZP_OK && i < repair->give_up_count; i++) {
		for (size_t j = 0; j < i; j++) {
			if (repair->give_up[j] == repair->give_up[i])
				return zp_fail(err, ZP_E_INVALID, "shard %016llx is named twice",
				    (unsigned long long)repair->give_up[i]);
		}
		rc = shard_check(node, repair->give_up[i], &repair->shards[i], err);
	}
	return rc;
}

int
command__give_up_begin(
    struct zp_node *node, const struct zp_repair_options *repair, struct zp_err *err)
{
	int rc = ZP_OK;

	for (size_t i = 0; rc == ZP_OK && i < repair->give_up_count; i++)
		rc = zp_shards_renew(node->shards, index_of(node, repair->give_up[i]), err);
	return rc;
}

int
command__give_up_end(struct zp_node *node, const struct zp_repair_options *repair, uint64_t batch,
    struct zp_err *err)
{
	int rc = ZP_OK;

	for (size_t i = 0; rc == ZP_OK && i < repair->give_up_count; i++) {
		uint32_t index = index_of(node, repair->give_up[i]);

		rc = zp_shards_renewed_end(node->shards, index, node->epoch, batch, err);
		if (rc == ZP_OK)
			repair->shards[i].pins_left =
			    zp_engine_manifest_pins(zp_shards_engine(node->shards, index));
	}
	return rc;
}

/* ---- With a whole journal -------------------------------------------------------------------- */

static int
records_count(struct zp_node *node, const struct zp_repair_options *repair,
    const struct zp_journal_batch *batch, struct zp_err *err)
{
	struct zp_journal_record record;
	size_t position = 0;
	int rc;

	while ((rc = zp_journal_record_next(batch->records, &position, &record, err)) == ZP_OK) {
		for (size_t i = 0; i < repair->give_up_count; i++)
			repair->shards[i].journal_records += repair->give_up[i] == record.shard_id;
	}
	return rc < 0 ? rc : ZP_OK;
}

static int
batches_walk(struct zp_node *node, const struct zp_repair_options *repair,
    struct zp_journal_reader *reader, struct zp_err *err)
{
	struct zp_journal_batch batch;
	int rc;

	while ((rc = zp_journal_reader_next(reader, &batch, err)) == ZP_OK) {
		rc = records_count(node, repair, &batch, err);
		if (rc == ZP_OK && repair->accept_loss)
			rc = zp_shards_replay(node->shards, &batch, err);
		if (rc < 0)
			return rc;
	}
	return rc == ZP_END ? ZP_OK : rc;
}

/* Opened for writing when something is to be built on it: its end is made durable then. */
int
command__give_up(struct zp_node *node, const struct zp_repair_options *repair, struct zp_err *err)
{
	struct zp_journal_options options;
	struct zp_journal_reader *reader;
	struct zp_journal_facts facts;
	int rc;

	command__journal_options_set(node, &options);
	rc = zp_journal_open(&options, &node->journal, err);
	if (rc == ZP_OK && repair->accept_loss)
		rc = command__give_up_begin(node, repair, err);
	if (rc < 0)
		return rc;
	if (repair->accept_loss)
		zp_shards_replay_begin_renewed(node->shards);
	zp_journal_facts_get(node->journal, &facts);
	if (facts.first_batch <= facts.last_batch) {
		rc = zp_journal_reader_open(node->journal, facts.first_batch, &reader, err);
		if (rc == ZP_OK) {
			rc = batches_walk(node, repair, reader, err);
			zp_journal_reader_close(reader);
		}
	}
	if (!repair->accept_loss)
		return rc;
	zp_shards_replay_end(node->shards);
	return rc < 0 ? rc : command__give_up_end(node, repair, facts.last_batch, err);
}
