/*
 * scrub_state.c - how far the scrubber is, kept over a restart in journal/scrub.
 *
 * Flow:   scrub.c writes it behind each shard and reads it when the node is opened. Owner: the
 *         scrub thread.
 * Format: docs/formats.md, "Scrub". Nothing depends on it: one that is missing, damaged or of
 *         another time costs a pass that begins anew, at a random shard.
 */
#include "command/command_internal.h"

#include <stdlib.h>

#define SCRUB_FILE "scrub"
#define SCRUB_FILE_BYTES_MAX (4096u + ZP_SHARDS_MAX * 16u)
#define LAST_BYTES 16u
#define PASS_BYTES 24u
#define TIME_US_MAX (INT64_C(253402300799) * 1000000) /* the end of 9999 */

static const char magic[8] = {'Z', 'P', 'I', 'N', 's', 'c', 'r', 'b'};

enum scrub_tag {
	SCRUB_LAST = 1,    /* begin and end of the last whole pass */
	SCRUB_PASS = 2,    /* begin, first shard and next shard of the one under way */
	SCRUB_DAMAGED = 3, /* each: a shard with damage */
};

void
command__scrub_state_done(struct command__scrub_state *state)
{
	if (state == NULL)
		return;
	zp_free(state->damaged);
	*state = (struct command__scrub_state){0};
}

void
command__scrub_state_encode(const struct command__scrub_state *state, struct zp_buf *file)
{
	uint8_t bytes[PASS_BYTES];

	zp_envelope_begin(file, magic);
	zp_store_u64le(bytes, (uint64_t)state->last_begun_us);
	zp_store_u64le(bytes + 8, (uint64_t)state->last_ended_us);
	zp_envelope_field(file, SCRUB_LAST, bytes, LAST_BYTES);
	if (state->begun_us != 0) {
		zp_store_u64le(bytes, (uint64_t)state->begun_us);
		zp_store_u64le(bytes + 8, state->first_shard);
		zp_store_u64le(bytes + 16, state->next_shard);
		zp_envelope_field(file, SCRUB_PASS, bytes, PASS_BYTES);
	}
	for (size_t i = 0; i < state->damaged_count; i++) {
		zp_store_u64le(bytes, state->damaged[i]);
		zp_envelope_field(file, SCRUB_DAMAGED, bytes, 8);
	}
	zp_envelope_end(file);
}

static int64_t
time_get(const uint8_t *bytes)
{
	return (int64_t)zp_load_u64le(bytes);
}

static bool
times_are_possible(const struct command__scrub_state *state)
{
	return state->last_begun_us >= 0 && state->last_begun_us <= TIME_US_MAX &&
	       state->last_ended_us >= 0 && state->last_ended_us <= TIME_US_MAX &&
	       state->begun_us >= 0 && state->begun_us <= TIME_US_MAX;
}

static int
field_take(
    struct command__scrub_state *state, uint16_t tag, struct zp_slice field, struct zp_err *err)
{
	const uint8_t *bytes = field.data;

	if (tag == SCRUB_LAST && field.length == LAST_BYTES) {
		state->last_begun_us = time_get(bytes);
		state->last_ended_us = time_get(bytes + 8);
	} else if (tag == SCRUB_PASS && field.length == PASS_BYTES) {
		state->begun_us = time_get(bytes);
		state->first_shard = zp_load_u64le(bytes + 8);
		state->next_shard = zp_load_u64le(bytes + 16);
	} else if (tag == SCRUB_DAMAGED && field.length == 8 &&
		   state->damaged_count < ZP_SHARDS_MAX) {
		if (state->damaged == NULL)
			state->damaged = zp_alloc(ZP_SHARDS_MAX * sizeof(state->damaged[0]));
		state->damaged[state->damaged_count++] = zp_load_u64le(bytes);
	} else {
		return zp_fail(err, ZP_E_CORRUPT, "field %u is impossible", tag);
	}
	return ZP_OK;
}

int
command__scrub_state_decode(
    struct zp_slice file, struct command__scrub_state *state_out, struct zp_err *err)
{
	struct command__scrub_state state = {0};
	struct zp_envelope_reader reader;
	struct zp_slice field;
	uint16_t tag;
	int rc = zp_envelope_open(file, magic, SCRUB_FILE, &reader, err);

	while (rc == ZP_OK && (rc = zp_envelope_next(&reader, &tag, &field, err)) == ZP_OK)
		rc = field_take(&state, tag, field, err);
	if (rc == ZP_END && !times_are_possible(&state))
		rc = zp_fail(err, ZP_E_CORRUPT, "a time is impossible");
	if (rc < 0) {
		command__scrub_state_done(&state);
		return rc;
	}
	*state_out = state;
	return ZP_OK;
}

void
command__scrub_state_read(struct zp_node *node, struct command__scrub_state *state_out)
{
	ZP_AUTO_BUF(file, SCRUB_FILE_BYTES_MAX);
	struct zp_err err = {0};
	int rc =
	    zp_store_read_all(node->journal_store, SCRUB_FILE, SCRUB_FILE_BYTES_MAX, &file, &err);

	*state_out = (struct command__scrub_state){0};
	if (rc == ZP_OK)
		rc = command__scrub_state_decode(zp_buf_slice(&file), state_out, &err);
	if (rc < 0 && rc != ZP_E_NOT_FOUND)
		command__log(node, 2,
		    "journal/scrub: %s: the scrub begins anew; nothing else needs the file",
		    err.text);
}

void
command__scrub_state_write(struct zp_node *node, const struct command__scrub_state *state)
{
	ZP_AUTO_BUF(file, SCRUB_FILE_BYTES_MAX);
	struct zp_err err = {0};

	command__scrub_state_encode(state, &file);
	if (zp_store_write_all(node->journal_store, SCRUB_FILE, zp_buf_slice(&file), &err) < 0)
		command__log(node, 0, "how far the scrub is cannot be kept: %s", err.text);
}
