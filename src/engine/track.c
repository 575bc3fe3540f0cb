/*
 * track.c - family track: a pin's status at one peer, where it is not the default.
 *
 * Flow:   zp_engine_track_apply → memtable → flush; scan.c reads the rows back beside the pins.
 * Owner:  the commit thread applies; pure otherwise.
 * Format: docs/formats.md, "Track".
 */
#include "engine/engine_internal.h"
#include "engine/segment_internal.h"

enum track_value {
	VALUE_STATUS = 0,
	VALUE_SINCE = 1,
	VALUE_ATTEMPTS = 2,
	VALUE_FLAGS = 3,
};
#define FLAG_PRIORITY 1u
#define PEER_COLUMN SEGMENT_PIN_COLUMNS

/* ---- Rows ------------------------------------------------------------------------------------ */

void
track__entry_of_key(const struct zp_key *key, uint32_t peer, struct segment_entry *entry_out)
{
	*entry_out = (struct segment_entry){.operation = ZP_ROW_TOMBSTONE};
	index__key_columns(key, entry_out->columns);
	entry_out->columns[PEER_COLUMN] = peer;
}

void
track__entry_of(const struct zp_key *key, const struct zp_track *track,
    struct segment_value *value_out, struct segment_entry *entry_out)
{
	track__entry_of_key(key, track->peer, entry_out);
	*value_out = (struct segment_value){
	    .columns = {[VALUE_STATUS] = track->status,
		[VALUE_SINCE] = zp_zigzag(track->since_microseconds),
		[VALUE_ATTEMPTS] = track->attempts,
		[VALUE_FLAGS] = track->is_priority ? FLAG_PRIORITY : 0},
	    .texts = track->texts,
	};
	entry_out->operation = ZP_ROW_PUT;
	entry_out->value = value_out;
}

const char *
track__of_entry(
    const struct segment_entry *entry, struct zp_key *key_out, struct zp_track *track_out)
{
	const struct segment_value *value = entry->value;
	struct zp_track track = {.peer = (uint32_t)entry->columns[PEER_COLUMN]};

	if (index__key_of_columns(entry->columns, key_out, NULL) < 0)
		return "a row's key is impossible";
	if (entry->columns[PEER_COLUMN] == 0 || entry->columns[PEER_COLUMN] > UINT32_MAX)
		return "a row's peer is impossible";
	*track_out = track;
	if (value == NULL)
		return NULL;
	if (value->columns[VALUE_STATUS] > UINT8_MAX ||
	    value->columns[VALUE_ATTEMPTS] > UINT32_MAX ||
	    value->columns[VALUE_FLAGS] > FLAG_PRIORITY)
		return "a row's status is impossible";
	track.status = (uint8_t)value->columns[VALUE_STATUS];
	track.since_microseconds = zp_unzigzag(value->columns[VALUE_SINCE]);
	track.attempts = (uint32_t)value->columns[VALUE_ATTEMPTS];
	track.is_priority = value->columns[VALUE_FLAGS] == FLAG_PRIORITY;
	track.texts = value->texts;
	if (zp_track_check(&track, key_out->kind, NULL) < 0)
		return "a row's status or texts are damaged";
	*track_out = track;
	return NULL;
}

const char *
track__entry_fault(const struct segment_entry *entry)
{
	struct zp_track track;
	struct zp_key key;

	return track__of_entry(entry, &key, &track);
}

/* ---- Owner ----------------------------------------------------------------------------------- */

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
	*old_status = value == NULL ? 0 : (uint8_t)value->columns[VALUE_STATUS];
}

static void
count_change(struct zp_engine *engine, const struct zp_track_change *change, uint8_t old_status)
{
	struct manifest_counter *counter;

	pthread_mutex_lock(&engine->facts_lock);
	if (old_status != 0) {
		counter = manifest__counter_of(
		    &engine->tracks, &engine->track_count, change->track.peer, old_status);
		counter->pins -= counter->pins > 0;
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

	ZP_ASSERT(change->track.peer != 0);
	old_settle(engine, change, &has_old, &old_status);
	if (!has_old && !change->has_new)
		return;
	if (change->has_new)
		track__entry_of(&change->key, &change->track, &value, &entry);
	memtable__track_put(engine->active, &change->key, change->track.peer,
	    change->has_new ? &value : NULL, has_old);
	count_change(engine, change, old_status);
}
