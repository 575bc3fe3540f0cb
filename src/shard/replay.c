/*
 * replay.c - bringing the shards up to the journal's end at start.
 *
 * Flow:  zp_node_open reads the journal and hands over batch after batch. Owner: the opening
 * thread.
 *
 * Each shard has its own position: everything up to `covered` is in its files, by what its own
 * manifest says or by what a checkpoint says of that manifest (an idle shard's manifest is old, and
 * nothing is missing in it). A record is applied when its batch is beyond that.
 */
#include "shard/shard_internal.h"

#include "os/os.h"

/* ---- From where ----------------------------------------------------------------------------- */

/* The checkpoint vouches for a shard whose files are at its manifest or a later one. A later number
 * alone does not show that: files that were put back from before it get there by merges. So they
 * must have themselves what that manifest had; what it did not have up to `covered` is not there to
 * be had. The same number with another checksum is another history: a shard that was rolled back
 * and written on. */
static uint64_t
checkpoint_covers(
    const struct zp_shards *shards, const struct zp_checkpoint *checkpoint, uint32_t index)
{
	struct zp_engine *engine = shards->members[index].engine;
	const struct zp_checkpoint_shard *entry =
	    zp_checkpoint_find(checkpoint, shards->map.ranges[index].id);
	uint32_t incarnation = zp_engine_incarnation(engine);
	uint64_t number = zp_engine_manifest_number(engine);

	if (entry == NULL || checkpoint->number == 0 || incarnation < entry->incarnation)
		return 0;
	if (incarnation > entry->incarnation)
		return 0; /* a restore since: its manifest knows its own position */
	if (number < entry->manifest_number)
		return 0;
	if (number == entry->manifest_number && entry->manifest_checksum != 0 &&
	    zp_engine_manifest_checksum(engine) != entry->manifest_checksum)
		return 0;
	if (entry->has_said && zp_engine_lane_get(engine, shards->map.node) < entry->applied)
		return 0;
	return entry->covered;
}

/* What the checkpoints said last is what a suspended shard will need the journal from. */
static uint64_t
suspended_covered(const struct zp_shards *shards, uint32_t index)
{
	uint64_t id = shards->map.ranges[index].id;
	const struct zp_checkpoint_shard *newest = zp_checkpoint_find(&shards->newest, id);
	const struct zp_checkpoint_shard *older = zp_checkpoint_find(&shards->older, id);

	if (newest == NULL)
		return older == NULL ? 0 : older->covered;
	return newest->covered;
}

static uint64_t
covered_by(const struct zp_shards *shards, uint32_t index)
{
	uint64_t covered;

	if (shards->members[index].is_renewed)
		return 0;
	if (zp_engine_is_suspended(shards->members[index].engine))
		return suspended_covered(shards, index);
	covered = zp_engine_lane_get(shards->members[index].engine, shards->map.node);

	covered = zp_max_u64(covered, checkpoint_covers(shards, &shards->newest, index));
	return zp_max_u64(covered, checkpoint_covers(shards, &shards->older, index));
}

uint64_t
zp_shards_applied_max(const struct zp_shards *shards)
{
	uint64_t applied = shards->newest.batch;

	for (uint32_t i = 0; i < shards->map.count; i++)
		applied = zp_max_u64(
		    applied, zp_engine_lane_get(shards->members[i].engine, shards->map.node));
	return applied;
}

/* A shard that needs more than the journal has is suspended; when that is every one, it is the
 * journal that is wrong. */
static int
rolled_back_suspend(struct zp_shards *shards, uint64_t first, struct zp_err *err)
{
	unsigned long long last = 0; /* id of the shard that `why` is of */
	struct zp_err why = {0};
	uint32_t fit = 0;

	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < shards->map.count; i++) {
			uint64_t covered = shards->members[i].covered;

			if (zp_engine_is_suspended(shards->members[i].engine))
				continue;
			if (covered + 1 >= first) {
				fit += pass == 0;
				continue;
			}
			zp_err_clear(&why);
			zp_ignore(zp_fail(&why, ZP_E_CONFLICT,
			    "its files are at batch %llu, and the journal begins at %llu: they "
			    "were rolled back or lost; restore the shard or the node from a "
			    "snapshot taken since",
			    (unsigned long long)covered, (unsigned long long)first));
			last = shards->map.ranges[i].id;
			if (pass == 1) {
				shard__suspend(shards, i, why.text);
				shards->members[i].covered = covered_by(shards, i);
			}
		}
		if (fit == 0)
			return zp_fail(err, why.code, "shard %016llx: %s", last, why.text);
	}
	return ZP_OK;
}

static void
replaying_begin(struct zp_shards *shards)
{
	uint64_t seed;

	zp_random_bytes(&seed, sizeof(seed));
	shards->replay_group = zp_group_new(shards, seed);
	shards->replay_change = zp_alloc(sizeof(*shards->replay_change));
	shards->memory_floor = zp_shards_memory_bytes(shards);
}

int
zp_shards_replay_begin(struct zp_shards *shards, uint64_t first, uint64_t last, struct zp_err *err)
{
	int rc;

	for (uint32_t i = 0; i < shards->map.count; i++) {
		uint64_t covered = covered_by(shards, i);

		if (covered > last)
			return zp_fail(err, ZP_E_CONFLICT,
			    "shard %016llx has batches up to %llu, but the journal ends at %llu: "
			    "the journal was lost or rolled back; restore its files from a copy, "
			    "or see `zpin repair --help`",
			    (unsigned long long)shards->map.ranges[i].id,
			    (unsigned long long)covered, (unsigned long long)last);
		shards->members[i].covered = covered;
	}
	rc = rolled_back_suspend(shards, first, err);
	if (rc == ZP_OK)
		replaying_begin(shards);
	return rc;
}

void
zp_shards_replay_begin_renewed(struct zp_shards *shards)
{
	for (uint32_t i = 0; i < shards->map.count; i++)
		shards->members[i].covered = shards->members[i].is_renewed ? 0 : UINT64_MAX;
	replaying_begin(shards);
	zp_shards_positions_keep(shards);
}

/* ---- One record ----------------------------------------------------------------------------- */

/* The tables in the files may be ahead of the batch: what is there already is taken again without
 * effect. A move that no longer makes sense was followed by others, which the files have. */
int
zp_shards_tables_apply(
    struct zp_shards *shards, const struct zp_shard_change *change, struct zp_err *err)
{
	int rc;

	switch (change->operation) {
	case ZP_OP_PEER:
		return zp_tables_peer_add(shards->tables, change->id, change->binary, err);
	case ZP_OP_ALLOCATION_LIST:
		return zp_tables_list_add(
		    shards->tables, change->id, change->peers, change->peers_count, err);
	case ZP_OP_PEER_MOVED:
		rc = zp_tables_peer_move(shards->tables, change->id, change->to, err);
		return rc == ZP_E_INVALID ? ZP_OK : rc;
	default:
		return zp_fail(
		    err, ZP_E_CORRUPT, "operation %u of a pin names no shard", change->operation);
	}
}

/* Whether the change goes in, by what stands under the key now. Where that cannot be read the
 * journal is believed: it has a delete only of what was there, and if that was left out the pin
 * would come back with the file. */
static bool
change_decide(const struct zp_shard_change *change, struct zp_change *decided)
{
	switch (change->operation) {
	case ZP_OP_PUT:
		decided->has_new = true;
		decided->new_record = change->record;
		return true;
	case ZP_OP_EXPIRE:
		return decided->old_is_unknown ||
		       (decided->has_old &&
			   decided->old_record.facts[ZP_FACT_EXPIRE_AT] == change->expire_fact);
	default: /* a delete, or accesses of a pin */
		return decided->has_old || decided->old_is_unknown;
	}
}

/* Index of the record's shard when it is to be applied, -1 when the shard has it, or an error. */
static int
shard_judge(const struct zp_shards *shards, const struct zp_journal_record *record, uint64_t batch,
    int64_t *index_out, struct zp_err *err)
{
	int64_t index = shard__find_id(shards, record->shard_id);
	unsigned long long id = record->shard_id;
	uint32_t incarnation;

	if (index < 0)
		return zp_fail(err, ZP_E_CORRUPT, "shard %016llx is not in the map", id);
	incarnation = shards->map.ranges[index].incarnation;
	if (record->incarnation > incarnation)
		return zp_fail(err, ZP_E_CONFLICT,
		    "shard %016llx is written to with incarnation %u, its files have %u: restore "
		    "it again",
		    id, record->incarnation, incarnation);
	if (record->incarnation < incarnation || batch <= shards->members[index].covered ||
	    zp_engine_is_suspended(shards->members[index].engine))
		index = -1;
	*index_out = index;
	return ZP_OK;
}

/* ---- A batch -------------------------------------------------------------------------------- */

static int
record_decode(
    const struct zp_journal_record *record, struct zp_shard_change *change, struct zp_err *err)
{
	int rc = zp_shard_change_decode(record->operation, record->payload, change, err);

	if (rc == ZP_OK && record->shard_id != 0 && record->operation >= ZP_OP_PEER)
		return zp_fail(
		    err, ZP_E_CORRUPT, "operation %u of the node names a shard", record->operation);
	return rc;
}

static bool
is_track(const struct zp_shard_change *change)
{
	return change->operation == ZP_OP_TRACK || change->operation == ZP_OP_TRACK_END;
}

/* The change's texts borrow from the batch, which outlives the group. */
static int
track_gather(struct zp_shards *shards, const struct zp_shard_change *change, struct zp_err *err)
{
	struct zp_track_change track = {.key = change->key,
	    .track = change->track,
	    .has_new = change->operation == ZP_OP_TRACK};

	if (change->track.peer >= zp_tables_peer_next(shards->tables))
		return zp_fail(err, ZP_E_CORRUPT, "a status at peer %u, which is not known",
		    change->track.peer);
	zp_group_track_add(shards->replay_group, &track);
	shards->replayed++;
	return ZP_OK;
}

/* First walk: node records go in, keys of what is to be applied are gathered, up to a full group,
 * and statuses as they are. *position is where the next walk goes on. */
static int
gather(struct zp_shards *shards, const struct zp_journal_batch *batch, size_t *position,
    struct zp_err *err)
{
	struct zp_shard_change *change = shards->replay_change;
	struct zp_journal_record record;
	uint32_t count = 0;
	int rc = ZP_OK;

	zp_group_clear(shards->replay_group);
	while (rc == ZP_OK && count < ZP_GROUP_ITEMS_MAX) {
		int64_t index = -1;

		rc = zp_journal_record_next(batch->records, position, &record, err);
		if (rc != ZP_OK)
			break;
		rc = record_decode(&record, change, err);
		if (rc == ZP_OK && record.shard_id == 0)
			rc = zp_shards_tables_apply(shards, change, err);
		else if (rc == ZP_OK)
			rc = shard_judge(shards, &record, batch->number, &index, err);
		if (rc < 0 || index < 0)
			continue;
		if (zp_shard_map_find(&shards->map, &change->key) != (uint32_t)index)
			return zp_fail(err, ZP_E_CORRUPT,
			    "a key is outside the bounds of shard %016llx",
			    (unsigned long long)record.shard_id);
		if (is_track(change))
			rc = track_gather(shards, change, err);
		else
			zp_group_add(shards->replay_group, &change->key);
		count++;
	}
	return rc < 0 ? rc : (int)count;
}

/* Second walk over the same records: decide in order. */
static int
decide(struct zp_shards *shards, const struct zp_journal_batch *batch, size_t from, size_t to,
    struct zp_err *err)
{
	struct zp_shard_change *change = shards->replay_change;
	struct zp_journal_record record;
	uint32_t at = 0;
	int rc = ZP_OK;

	while (from < to) {
		struct zp_group_item *item;
		int64_t index;

		rc = zp_journal_record_next(batch->records, &from, &record, err);
		if (rc != ZP_OK)
			return rc < 0 ? rc : ZP_OK;
		if (record.shard_id == 0)
			continue;
		rc = shard_judge(shards, &record, batch->number, &index, err);
		if (rc == ZP_OK && index < 0)
			continue;
		if (rc == ZP_OK)
			rc = record_decode(&record, change, err);
		if (rc < 0)
			return rc;
		if (is_track(change))
			continue;
		item = zp_group_turn(shards->replay_group, at);
		item->change.old_is_unknown = item->rc < 0;
		shards->replay_unknown += item->rc < 0;
		if (!change_decide(change, &item->change))
			; /* it says nothing any more */
		else if (change->operation == ZP_OP_ACCESS)
			zp_group_access(shards->replay_group, at, &change->accesses);
		else
			zp_group_settle(shards->replay_group, at);
		at++;
		shards->replayed++;
	}
	return ZP_OK;
}

/* Many more batches than usual may wait, after a crash with a larger budget than now. Who may not
 * write has no place to put them: twice the budget is then what a node of that budget can have
 * left. */
static int
memory_relieve(struct zp_shards *shards, uint64_t epoch, uint64_t batch, struct zp_err *err)
{
	if (shards->options.memory_bytes_max == 0 ||
	    zp_shards_memory_bytes(shards) <
		shards->options.memory_bytes_max + shards->memory_floor)
		return ZP_OK;
	if (shards->options.read_only &&
	    zp_shards_memory_bytes(shards) <
		2 * shards->options.memory_bytes_max + shards->memory_floor)
		return ZP_OK;
	if (shards->options.read_only)
		return zp_fail(err, ZP_E_FULL,
		    "the journal has more that is not in the shards' files than twice the memory "
		    "for it: start the node once, or raise storage.memory");
	for (uint32_t i = 0; i < shards->map.count; i++) {
		/* A shard that is ahead of the replay has an empty memtable; it stays where it is.
		 */
		if (shards->members[i].covered < batch && !shards->keeps_positions)
			zp_engine_applied_set(
			    shards->members[i].engine, shards->map.node, epoch, batch);
		zp_engine_freeze(shards->members[i].engine);
	}
	return zp_shards_flush(shards, err);
}

int
zp_shards_replay(struct zp_shards *shards, const struct zp_journal_batch *batch, struct zp_err *err)
{
	size_t position = 0;
	int count;

	if (batch->kind != ZP_JOURNAL_RECORDS)
		return ZP_OK;
	do {
		size_t from = position;
		int rc;

		count = gather(shards, batch, &position, err);
		rc = count;
		if (count > 0)
			rc = zp_group_lookup(shards->replay_group, err);
		if (rc >= 0 && count > 0)
			rc = decide(shards, batch, from, position, err);
		if (rc < 0)
			return zp_wrap(
			    err, rc, "replay of batch %llu", (unsigned long long)batch->number);
		/* Only the last part of a batch makes its number true. */
		if (count > 0)
			zp_group_apply(shards->replay_group, batch->epoch,
			    count < (int)ZP_GROUP_ITEMS_MAX ? batch->number : batch->number - 1);
	} while (count == (int)ZP_GROUP_ITEMS_MAX);
	if (batch->origin.sequence != 0)
		shard__origin_set(&shards->origins, batch->origin.id, batch->origin.sequence,
		    batch->time_microseconds);
	return memory_relieve(shards, batch->epoch, batch->number, err);
}

void
zp_shards_positions_keep(struct zp_shards *shards)
{
	shards->keeps_positions = true;
}

uint64_t
zp_shards_replay_end(struct zp_shards *shards)
{
	if (shards->replay_unknown > 0)
		shard__warn(shards,
		    "%llu replayed writes replace pins in damaged files: counts may be off from "
		    "now on; when the files are restored, `zpin verify` sets them right",
		    (unsigned long long)shards->replay_unknown);
	zp_group_free(shards->replay_group);
	zp_free(shards->replay_change);
	shards->replay_group = NULL;
	shards->replay_change = NULL;
	return shards->replayed;
}
