/*
 * track.c - rows of family track: a pin's status at one peer, where it is not the default.
 *
 * Flow:   apply.c makes rows of changes; scan.c gives them back beside the pins. Pure.
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

uint8_t
track__status(const struct segment_value *value)
{
	return value == NULL ? 0 : (uint8_t)value->columns[VALUE_STATUS];
}
