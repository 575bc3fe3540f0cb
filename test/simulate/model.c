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
	model->states_count = 1;
}

void
model_done(struct model *model)
{
	for (size_t i = 0; i <= MODEL_PENDING_MAX; i++)
		free(model->states[i].pins);
	free(model->changed_at);
}

/* ---- Writes --------------------------------------------------------------------------------- */

static void
change_apply(struct model_pin *pins, const struct model_change *change)
{
	struct model_pin *pin = &pins[change->key];
	uint32_t name = change->pin.name;

	switch (change->kind) {
	case MODEL_PUT:
		*pin = change->pin;
		break;
	case MODEL_COPY:
		if (pins[change->from].name == 0)
			break;
		*pin = pins[change->from];
		if (!change->keeps_name)
			pin->name = name;
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
			change_apply(to->pins, &batch->changes[i]);
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

void
model_batch_send(struct model *model)
{
	const struct model_batch *batch = &model->pending[model->states_count - 1];

	state_make(model, model->states_count - 1, NULL);
	model->states_count++;
	model->clock++;
	for (size_t i = 0; i < batch->count; i++)
		model->changed_at[batch->changes[i].key] = model->clock;
}

void
model_batch_take_back(struct model *model)
{
	model->states_count--;
}

static bool
is_due(const struct model *model, const struct model_pin *pin)
{
	return pin->name != 0 && pin->expire_at != 0 && pin->expire_at <= model->now_seconds;
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
			change_apply(pins, &batch->changes[k]);
		pin = pins[change->key];
		from = pins[change->from];
		free(pins);
		break;
	}
	switch (change->kind) {
	case MODEL_COPY:
		return from.name != 0 ? MODEL_DONE : MODEL_ABSENT;
	case MODEL_REMOVE:
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

bool
model_permits(const struct model *model, uint32_t key, struct model_pin seen)
{
	for (size_t i = 0; i < model->states_count; i++) {
		if (pin_fits(model, &model->states[i].pins[key], &seen))
			return true;
	}
	return false;
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
		if (seen[key].is_unknown || pin_fits(model, &state->pins[key], &seen[key].pin))
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

const char *
model_settle(struct model *model, const struct model_seen *seen, uint64_t sequence)
{
	static char text[MODEL_PENDING_MAX * 200 + 400];
	struct model_state before = model->states[0];
	size_t kept = 0, length = 0;
	bool is_unknown = false;

	for (size_t i = 0; i < model->states_count; i++) {
		char why[200];
		struct model_state state = model->states[i];

		refusals_take(&before, seen, &state, model);
		if (state_fits(model, &state, seen, sequence, why)) {
			model->states[i] = model->states[kept];
			model->states[kept++] = state;
		} else {
			length += (size_t)snprintf(
			    text + length, sizeof(text) - length, "; with %zu batches: %s", i, why);
		}
	}
	if (kept == 0)
		return text;
	for (size_t key = 0; key < model->keys && !is_unknown; key++)
		is_unknown = seen[key].is_unknown;
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
	}
	return NULL;
}
