/*
 * model.c - see model.h.
 */
#include "model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
must_have(void *block)
{
	if (block == NULL)
		abort();
	return block;
}

void
model_init(struct model *model, size_t keys)
{
	memset(model, 0, sizeof(*model));
	model->keys = keys;
	for (size_t i = 0; i <= MODEL_PENDING_MAX; i++)
		model->states[i].pins = must_have(calloc(keys, sizeof(struct model_pin)));
	model->changed_at = must_have(calloc(keys, sizeof(uint64_t)));
	model->noted = must_have(calloc(keys, sizeof(struct model_noted)));
	model->states_count = 1;
}

void
model_done(struct model *model)
{
	for (size_t i = 0; i <= MODEL_PENDING_MAX; i++)
		free(model->states[i].pins);
	free(model->changed_at);
	free(model->noted);
}

/* ---- Writes --------------------------------------------------------------------------------- */

static bool
is_due(const struct model *model, const struct model_pin *pin)
{
	return pin->name != 0 && pin->expire_at != 0 && pin->expire_at <= model->now_seconds;
}

/* Of the pin that is put where this one stands: the same, but one that is due may be gone. */
static struct model_accesses
accesses_kept(const struct model *model, const struct model_pin *pin)
{
	struct model_accesses accesses = pin->accesses;

	if (pin->name == 0)
		return (struct model_accesses){0};
	if (is_due(model, pin))
		accesses.least = 0, accesses.last_least = 0;
	return accesses;
}

static int64_t
later_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void
access_add(struct model_pin *pin, uint64_t count, int64_t last)
{
	struct model_accesses *accesses = &pin->accesses;

	if (pin->name == 0)
		return;
	accesses->least += count;
	accesses->most += count;
	if (last != MODEL_NO_BOUND)
		accesses->last_least = later_of(accesses->last_least, last);
	accesses->last_most = later_of(accesses->last_most, last);
}

static void
change_apply(const struct model *model, struct model_pin *pins, const struct model_change *change)
{
	struct model_pin *pin = &pins[change->key];
	struct model_accesses kept = accesses_kept(model, pin);
	uint32_t name = change->pin.name;

	switch (change->kind) {
	case MODEL_PUT:
		*pin = change->pin;
		pin->accesses = kept;
		break;
	case MODEL_COPY:
		if (pins[change->from].name == 0)
			break;
		*pin = pins[change->from];
		pin->is_of_clock = true;
		pin->accesses = kept;
		if (!change->keeps_name)
			pin->name = name;
		break;
	case MODEL_ACCESS:
		access_add(pin, change->count, change->last);
		break;
	case MODEL_EXPIRE:
		if (pin->name != 0 && pin->expire_at == change->pin.expire_at)
			*pin = (struct model_pin){0};
		break;
	case MODEL_REMOVE:
	case MODEL_DELETE:
		*pin = (struct model_pin){0};
		break;
	}
}

static void
state_copy(const struct model *model, struct model_state *to, const struct model_state *from)
{
	memcpy(to->pins, from->pins, model->keys * sizeof(to->pins[0]));
	to->sequence = from->sequence;
}

/* states[index + 1] from states[index]. */
static void
state_make(struct model *model, size_t index, const bool *refused)
{
	const struct model_batch *batch = &model->pending[index];
	struct model_state *to = &model->states[index + 1];

	state_copy(model, to, &model->states[index]);
	for (size_t i = 0; i < batch->count; i++) {
		if (refused == NULL || !refused[i])
			change_apply(model, to->pins, &batch->changes[i]);
	}
	if (batch->sequence != 0)
		to->sequence = batch->sequence;
}

struct model_batch *
model_batch_new(struct model *model)
{
	struct model_batch *batch;

	if (model->is_torn || model->states_count > MODEL_PENDING_MAX)
		abort();
	batch = &model->pending[model->states_count - 1];
	batch->count = 0;
	batch->sequence = 0;
	return batch;
}

/* What was noted of a pin that the batch may remove, or that may be gone before, may be lost. */
static void
noted_doubt(struct model *model, const struct model_state *before, const struct model_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		const struct model_change *change = &batch->changes[i];
		const struct model_pin *pin = &before->pins[change->key];

		if (pin->name == 0 || is_due(model, pin) || change->kind == MODEL_REMOVE ||
		    change->kind == MODEL_DELETE || change->kind == MODEL_EXPIRE)
			model->noted[change->key].is_of_this = false;
	}
}

uint64_t
model_clock_answered(const struct model *model)
{
	return model->states_count > 1 ? model->pending[0].sent_at - 1 : model->clock;
}

void
model_batch_send(struct model *model)
{
	struct model_batch *batch = &model->pending[model->states_count - 1];

	state_make(model, model->states_count - 1, NULL);
	noted_doubt(model, &model->states[model->states_count - 1], batch);
	model->states_count++;
	batch->sent_at = ++model->clock;
	for (size_t i = 0; i < batch->count; i++)
		model->changed_at[batch->changes[i].key] = model->clock;
}

void
model_batch_take_back(struct model *model)
{
	model->states_count--;
}

enum model_answer
model_expects(const struct model *model, size_t index)
{
	const struct model_batch *batch = &model->pending[0];
	const struct model_change *change = &batch->changes[index];
	struct model_pin pin = model->states[0].pins[change->key];
	struct model_pin from = model->states[0].pins[change->from];

	/* What the batch itself did before. */
	for (size_t i = 0; i < index; i++) {
		struct model_pin *pins = model->states[0].pins;
		const struct model_change *earlier = &batch->changes[i];

		if (earlier->key != change->key &&
		    (change->kind != MODEL_COPY || earlier->key != change->from))
			continue;
		/* Rare enough: played through on a copy. */
		pins = must_have(malloc(model->keys * sizeof(pins[0])));
		memcpy(pins, model->states[0].pins, model->keys * sizeof(pins[0]));
		for (size_t k = 0; k < index; k++)
			change_apply(model, pins, &batch->changes[k]);
		pin = pins[change->key];
		from = pins[change->from];
		free(pins);
		break;
	}
	switch (change->kind) {
	case MODEL_COPY:
		return from.name != 0 ? MODEL_DONE : MODEL_ABSENT;
	case MODEL_REMOVE:
	case MODEL_ACCESS:
		if (is_due(model, &pin))
			return MODEL_EITHER;
		return pin.name != 0 ? MODEL_DONE : MODEL_ABSENT;
	case MODEL_EXPIRE:
		if (is_due(model, &pin))
			return MODEL_EITHER;
		return pin.name != 0 && pin.expire_at == change->pin.expire_at ? MODEL_DONE
									       : MODEL_ABSENT;
	default:
		return MODEL_DONE;
	}
}

void
model_batch_answered(struct model *model, const bool *refused)
{
	struct model_state first = model->states[0];

	noted_doubt(model, &first, &model->pending[0]); /* it is later than when it was sent */
	state_make(model, 0, refused);
	for (size_t i = 0; i + 1 < model->states_count; i++)
		model->states[i] = model->states[i + 1];
	model->states_count--;
	model->states[model->states_count] = first; /* its memory */
	for (size_t i = 0; i + 1 < MODEL_PENDING_MAX; i++) {
		if (i + 1 < model->states_count)
			memcpy(
			    &model->pending[i], &model->pending[i + 1], sizeof(model->pending[i]));
	}
	/* A refusal changes what those behind it come to. */
	for (size_t i = 0; i + 1 < model->states_count; i++)
		state_make(model, i, NULL);
}

/* ---- Reads ---------------------------------------------------------------------------------- */

static bool
pin_fits(const struct model *model, const struct model_pin *pin, const struct model_pin *seen)
{
	if (seen->name == 0)
		return pin->name == 0 || is_due(model, pin);
	return seen->name == pin->name && seen->expire_at == pin->expire_at;
}

static bool
accesses_fit(const struct model *model, uint32_t key, const struct model_pin *pin,
    const struct model_seen *seen)
{
	const struct model_accesses *accesses = &pin->accesses;
	const struct model_noted *noted = &model->noted[key];

	if (!seen->has_accesses)
		return true;
	if (seen->count == 0)
		return seen->last == 0 &&
		       (pin->name == 0 || accesses->least == 0 || is_due(model, pin));
	return pin->name != 0 && seen->count >= accesses->least &&
	       seen->count <= accesses->most + noted->count && seen->last <= model->now_seconds &&
	       seen->last >= accesses->last_least &&
	       seen->last <= later_of(accesses->last_most, noted->last);
}

bool
model_permits_accesses(const struct model *model, uint32_t key, const struct model_seen *seen)
{
	bool fits = false;

	for (size_t i = 0; i < model->states_count && !fits; i++)
		fits = accesses_fit(model, key, &model->states[i].pins[key], seen);
	return fits;
}

bool
model_permits(const struct model *model, uint32_t key, const struct model_seen *seen)
{
	bool fits = false;

	for (size_t i = 0; i < model->states_count && !fits; i++)
		fits = pin_fits(model, &model->states[i].pins[key], &seen->pin);
	return fits && model_permits_accesses(model, key, seen);
}

bool
model_permits_none(const struct model *model, uint32_t key)
{
	return model_permits(model, key, &(struct model_seen){0});
}

bool
model_has_accesses(const struct model *model, uint32_t key)
{
	bool has = model->noted[key].count > 0;

	for (size_t i = 0; i < model->states_count; i++)
		has = has || model->states[i].pins[key].accesses.most > 0;
	return has;
}

void
model_counts(const struct model *model, size_t *least_out, size_t *most_out)
{
	*least_out = *most_out = 0;
	for (size_t key = 0; key < model->keys; key++) {
		const struct model_pin *pin = &model->states[0].pins[key];

		*least_out += pin->name != 0 && !is_due(model, pin);
		*most_out += pin->name != 0;
	}
}

/* ---- Noted accesses ------------------------------------------------------------------------- */

void
model_note(struct model *model, uint32_t key, uint64_t count, int64_t last)
{
	struct model_noted *noted = &model->noted[key];

	noted->is_of_this = (noted->is_of_this || noted->count == 0) && !model->is_torn;
	for (size_t i = 0; i < model->states_count; i++)
		noted->is_of_this = noted->is_of_this && model->states[i].pins[key].name != 0;
	noted->count += count;
	noted->last = later_of(noted->last, last);
	model->changed_at[key] = ++model->clock;
}

static void
notes_end(struct model *model, bool is_written)
{
	model->clock++;
	for (size_t key = 0; key < model->keys; key++) {
		struct model_noted *noted = &model->noted[key];

		if (noted->count == 0)
			continue;
		for (size_t i = 0; i < model->states_count; i++) {
			struct model_pin *pin = &model->states[i].pins[key];
			struct model_accesses before = pin->accesses;

			access_add(pin, noted->count, noted->last);
			if (is_written && noted->is_of_this && !is_due(model, pin))
				continue;
			pin->accesses.least = before.least;
			pin->accesses.last_least = before.last_least;
		}
		*noted = (struct model_noted){0};
		model->changed_at[key] = model->clock;
	}
}

void
model_notes_written(struct model *model)
{
	if (model->states_count != 1 || model->is_torn)
		abort();
	notes_end(model, true);
}

void
model_notes_gone(struct model *model)
{
	notes_end(model, false);
}

/* What was seen is so; the rest of what was noted may still come. */
static void
accesses_adopt(struct model *model, uint32_t key, const struct model_seen *seen)
{
	struct model_accesses *accesses = &model->states[0].pins[key].accesses;
	struct model_noted *noted = &model->noted[key];

	if (!seen->has_accesses)
		return;
	noted->is_of_this = noted->is_of_this && accesses->least == accesses->most;
	if (seen->count > accesses->most)
		noted->count -= seen->count - accesses->most;
	if (noted->count == 0)
		*noted = (struct model_noted){0};
	*accesses = (struct model_accesses){seen->count, seen->count, seen->last, seen->last};
}

/* ---- After a crash -------------------------------------------------------------------------- */

void
model_crashed(struct model *model)
{
	model->is_torn = true;
}

static bool
state_fits(const struct model *model, const struct model_state *state,
    const struct model_seen *seen, uint64_t sequence, char text[200])
{
	if (state->sequence != sequence) {
		snprintf(text, 200, "the stream is at %" PRIu64 ", not %" PRIu64, sequence,
		    state->sequence);
		return false;
	}
	for (size_t key = 0; key < model->keys; key++) {
		if (seen[key].is_unknown)
			continue;
		if (!accesses_fit(model, (uint32_t)key, &state->pins[key], &seen[key])) {
			const struct model_accesses *accesses = &state->pins[key].accesses;

			snprintf(text, 200,
			    "pin %zu has %" PRIu64 " accesses, the last %" PRId64 ", not %" PRIu64
			    " to %" PRIu64 ", %" PRId64 " to %" PRId64,
			    key, seen[key].count, seen[key].last, accesses->least,
			    accesses->most + model->noted[key].count, accesses->last_least,
			    accesses->last_most);
			return false;
		}
		if (pin_fits(model, &state->pins[key], &seen[key].pin))
			continue;
		snprintf(text, 200,
		    "pin %zu is name %" PRIu32 " expiry %" PRId64 ", not name %" PRIu32
		    " expiry %" PRId64,
		    key, seen[key].pin.name, seen[key].pin.expire_at, state->pins[key].name,
		    state->pins[key].expire_at);
		return false;
	}
	return true;
}

/* Takes for the state's what was before all batches, where that is what was seen. */
static void
refusals_take(const struct model_state *before, const struct model_seen *seen,
    struct model_state *state, const struct model *model)
{
	for (size_t key = 0; model->may_refuse && key < model->keys; key++) {
		if (!seen[key].is_unknown && !pin_fits(model, &state->pins[key], &seen[key].pin) &&
		    pin_fits(model, &before->pins[key], &seen[key].pin))
			state->pins[key] = before->pins[key];
	}
}

/* Of each write that tells of accesses it is open whether it was refused, and whether what removes
 * the pin was. */
static void
refusals_widen(const struct model_state *before, struct model_state *state, struct model *model)
{
	for (size_t i = 0; model->may_refuse && i + 1 < model->states_count; i++) {
		for (size_t k = 0; k < model->pending[i].count; k++) {
			const struct model_change *change = &model->pending[i].changes[k];
			struct model_accesses *accesses = &state->pins[change->key].accesses;

			if (accesses->most < before->pins[change->key].accesses.most)
				accesses->most = before->pins[change->key].accesses.most;
			*accesses = (struct model_accesses){
			    0, accesses->most + change->count, 0, MODEL_NO_BOUND};
		}
	}
}

const char *
model_settle(struct model *model, const struct model_seen *seen, uint64_t sequence)
{
	static char text[MODEL_PENDING_MAX * 200 + 400];
	struct model_state before = model->states[0];
	bool fits[MODEL_PENDING_MAX + 1];
	size_t kept = 0, count = 0, length = 0;
	bool is_unknown = false;

	for (size_t i = 0; i < model->states_count; i++) {
		char why[200];
		struct model_state state = model->states[i];

		refusals_take(&before, seen, &state, model);
		refusals_widen(&before, &state, model);
		fits[i] = state_fits(model, &state, seen, sequence, why);
		count += fits[i];
		if (!fits[i])
			length += (size_t)snprintf(
			    text + length, sizeof(text) - length, "; with %zu batches: %s", i, why);
	}
	if (count == 0)
		return text;
	for (size_t key = 0; key < model->keys && !is_unknown; key++)
		is_unknown = seen[key].is_unknown ||
			     (!seen[key].has_accesses && model_has_accesses(model, (uint32_t)key));
	/* What could not be seen may be what was refused: its pin is as before then. */
	if (is_unknown && model->may_refuse)
		return NULL;
	for (size_t i = 0; i < model->states_count; i++) {
		struct model_state state = model->states[i];

		if (!fits[i])
			continue;
		model->states[i] = model->states[kept];
		model->states[kept++] = state;
	}
	if (is_unknown && kept > 1) {
		model->states_count = kept; /* still one of them */
		return NULL;
	}
	model->states_count = 1;
	model->is_torn = false;
	model->may_refuse = false;
	model->clock++;
	for (size_t key = 0; key < model->keys; key++) {
		model->changed_at[key] = model->clock;
		if (!seen[key].is_unknown && seen[key].pin.name == 0)
			model->states[0].pins[key] = (struct model_pin){0};
		else if (!seen[key].is_unknown)
			accesses_adopt(model, (uint32_t)key, &seen[key]);
	}
	return NULL;
}
