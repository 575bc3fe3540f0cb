/*
 * apply.c - what the owner does to a shard: changes of pins and of statuses go into memory.
 *
 * Flow:   journal → shard → here → memtable, index rows, counters. Owner: the commit thread, or the
 *         one that opens.
 * Rule:   counters follow from what a change replaces, so that they are exact without a count.
 */
#include "engine/accesses.h"
#include "engine/engine_internal.h"
#include "engine/segment_internal.h"

/* ---- Pins ------------------------------------------------------------------------------------ */

/* Under facts_lock. */
static struct manifest_counter *
counter_of(struct zp_engine *engine, const struct zp_key *key, const struct zp_record *record)
{
	return manifest__counter_of(&engine->counters, &engine->counter_count, key->namespace_id,
	    (uint32_t)record->facts[ZP_FACT_TYPE]);
}

/* Under facts_lock. */
static void
count_change(struct zp_engine *engine, const struct zp_change *change)
{
	struct manifest_counter *counter;

	if (change->accesses.count > 0)
		return;
	if (change->has_old) {
		uint64_t size = change->old_record.facts[ZP_FACT_SIZE];

		/* Counters come from a file too: one that is wrong is for verify to tell, and must
		 * not stop the node at every start. It may be below 0 until then, so that it is
		 * off by the same all the time. */
		counter = counter_of(engine, &change->key, &change->old_record);
		counter->pins--;
		counter->size_bytes -= size;
	}
	/* Whoever deleted it saw it: its type and size are a guess. */
	if (change->old_is_unknown && !change->has_new) {
		counter = manifest__counter_of(&engine->counters, &engine->counter_count,
		    change->key.namespace_id, ZP_PIN_DATA);
		counter->pins--;
	}
	if (change->has_new) {
		counter = counter_of(engine, &change->key, &change->new_record);
		counter->pins++;
		counter->size_bytes += change->new_record.facts[ZP_FACT_SIZE];
	}
}

/* Scans for due pins begin here or earlier (scan.c). */
static void
expire_floor_lower(struct zp_engine *engine, const struct zp_change *change)
{
	uint64_t floor, column;

	if (!change->has_new || change->new_record.facts[ZP_FACT_EXPIRE_AT] == 0)
		return;
	column = index__expiry(&change->new_record);
	floor = engine->expire_floor;
	while (
	    column < floor && !atomic_compare_exchange_weak(&engine->expire_floor, &floor, column))
		;
}

static void
change_prefetch(const struct zp_change *change)
{
	__builtin_prefetch(change);
	__builtin_prefetch(&change->new_record);
	__builtin_prefetch(&change->new_record.texts);
}

static void
access_apply(struct zp_engine *engine, const struct zp_change *change)
{
	const struct zp_accesses *access = &change->accesses;
	struct zp_key key = accesses__short_key(engine->options.cluster_id, &change->key);

	ZP_ASSERT(access->last_seconds >= 0 && access->last_seconds <= ZP_ACCESS_SECONDS_MAX);
	engine->has_accesses = true;
	memtable__access_add(engine->active, &key, access->count, (uint64_t)access->last_seconds);
}

/* The pin is gone: a new one under its key begins without accesses. */
static void
access_end(struct zp_engine *engine, const struct zp_change *change)
{
	struct zp_key key;

	if (!engine->has_accesses || change->has_new)
		return;
	key = accesses__short_key(engine->options.cluster_id, &change->key);
	memtable__access_end(engine->active, &key);
}

static void
pin_apply(
    struct zp_engine *engine, const struct zp_change *change, const struct memtable_place *place)
{
	ZP_ASSERT(change->has_old || change->has_new || change->old_is_unknown);
	memtable__put(engine->active, place, change->has_new ? &change->new_record : NULL);
	index__apply(engine->active, change);
	access_end(engine, change);
	expire_floor_lower(engine, change);
}

void
zp_engine_apply_all(struct zp_engine *engine, const struct zp_change *const *changes, size_t count)
{
	enum { AHEAD = 8 };       /* changes whose slots are under way while one is applied; */
	enum { FAR = 2 * AHEAD }; /* those themselves are, before their keys are looked at */
	struct memtable_place places[AHEAD];

	ZP_ASSERT(!zp_engine_is_suspended(engine));
	for (size_t i = 0; i < AHEAD && i < count; i++)
		memtable__place(engine->active, &changes[i]->key, &places[i]);
	for (size_t i = 0; i < count; i++) {
		const struct zp_change *change = changes[i];

		if (i + FAR < count)
			change_prefetch(changes[i + FAR]);
		if (change->accesses.count > 0)
			access_apply(engine, change);
		else
			pin_apply(engine, change, &places[i % AHEAD]);
		if (i + AHEAD < count)
			memtable__place(
			    engine->active, &changes[i + AHEAD]->key, &places[i % AHEAD]);
	}
	pthread_mutex_lock(&engine->facts_lock);
	for (size_t i = 0; i < count; i++)
		count_change(engine, changes[i]);
	pthread_mutex_unlock(&engine->facts_lock);
}

void
zp_engine_apply(struct zp_engine *engine, const struct zp_change *change)
{
	zp_engine_apply_all(engine, &change, 1);
}

/* ---- Statuses -------------------------------------------------------------------------------- */

/* What stands under the row's key now: the memtable knows what this group did before. */
static void
old_settle(const struct zp_engine *engine, const struct zp_track_change *change, bool *has_old,
    uint8_t *old_status)
{
	const struct segment_value *value;

	*has_old = change->has_old;
	*old_status = change->has_old ? change->old_status : 0;
	if (!memtable__track_get(engine->active, &change->key, change->track.peer, &value))
		return;
	*has_old = value != NULL;
	*old_status = track__status(value);
}

static void
track_count(struct zp_engine *engine, const struct zp_track_change *change, uint8_t old_status)
{
	struct manifest_counter *counter;

	pthread_mutex_lock(&engine->facts_lock);
	if (old_status != 0) {
		counter = manifest__counter_of(
		    &engine->tracks, &engine->track_count, change->track.peer, old_status);
		counter->pins--;
	}
	if (change->has_new) {
		counter = manifest__counter_of(&engine->tracks, &engine->track_count,
		    change->track.peer, change->track.status);
		counter->pins++;
	}
	pthread_mutex_unlock(&engine->facts_lock);
}

void
zp_engine_track_apply(struct zp_engine *engine, const struct zp_track_change *change)
{
	struct segment_value value;
	struct segment_entry entry;
	uint8_t old_status;
	bool has_old;

	ZP_ASSERT(!zp_engine_is_suspended(engine) && change->track.peer != 0);
	old_settle(engine, change, &has_old, &old_status);
	if (!has_old && !change->has_new)
		return;
	if (change->has_new)
		track__entry_of(&change->key, &change->track, &value, &entry);
	memtable__track_put(engine->active, &change->key, change->track.peer,
	    change->has_new ? &value : NULL, has_old);
	track_count(engine, change, old_status);
}

/* ---- Position -------------------------------------------------------------------------------- */

void
zp_engine_applied_set(struct zp_engine *engine, uint64_t node, uint64_t epoch, uint64_t batch)
{
	struct manifest lanes = {0};

	if (zp_engine_is_suspended(engine))
		return; /* what it has is not known */
	pthread_mutex_lock(&engine->facts_lock);
	lanes.lanes = engine->lanes;
	lanes.lane_count = engine->lane_count;
	manifest__lane_set(
	    &lanes, &(struct zp_lane){.node = node, .epoch = epoch, .applied = batch});
	engine->lanes = lanes.lanes;
	engine->lane_count = lanes.lane_count;
	pthread_mutex_unlock(&engine->facts_lock);
}
