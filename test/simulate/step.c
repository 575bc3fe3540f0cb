/*
 * step.c - what a client and an operator do, drawn one by one.
 */
#include "simulate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SECOND_NS UINT64_C(1000000000)

enum {
	FAR_SECONDS = 1000000000, /* expiries that no run reaches */
	SOON_SECONDS = 300,
	LIST_STEP = 50,
	DAY_SECONDS = 86400,
};

/* ---- Making writes -------------------------------------------------------------------------- */

static void
record_fill(struct zp_record *record, const struct model_pin *pin, uint8_t *texts)
{
	char name[NAME_BYTES];
	size_t at = 1;

	name_print(pin->name, name);
	texts[0] = ZP_TEXT_NAME;
	at += zp_varint_put(texts + at, strlen(name));
	memcpy(texts + at, name, strlen(name));
	*record = (struct zp_record){.texts = {texts, at + strlen(name)}};
	record->facts[ZP_FACT_MAX_DEPTH] = zp_zigzag(-1);
	record->facts[ZP_FACT_REPLICATION_MIN] = zp_zigzag(-1);
	record->facts[ZP_FACT_REPLICATION_MAX] = zp_zigzag(-1);
	record->facts[ZP_FACT_CREATED] = zp_zigzag(created_of(pin->name));
	if (pin->expire_at != 0)
		record->facts[ZP_FACT_EXPIRE_AT] = zp_zigzag(pin->expire_at) + 1;
}

/* One of two in the far future, so that "is it still this" is sometimes true. */
static int64_t
far_expiry(void)
{
	return one_in(2) ? 0 : 4000000000 + (int64_t)random_below(2);
}

/* Whether the pin's expiry is far in all states, and in what this batch did before. */
static bool
may_be_copied(const struct model_batch *batch, uint32_t key)
{
	for (size_t i = 0; i < run.model.states_count; i++) {
		const struct model_pin *pin = &run.model.states[i].pins[key];

		if (pin->expire_at != 0 && pin->expire_at < run.model.now_seconds + FAR_SECONDS)
			return false;
	}
	for (size_t i = 0; i < batch->count; i++) {
		const struct model_change *earlier = &batch->changes[i];

		if (earlier->key == key && earlier->pin.expire_at != 0 &&
		    earlier->pin.expire_at < run.model.now_seconds + FAR_SECONDS)
			return false;
	}
	return true;
}

static void
change_draw(struct model_batch *batch, struct zp_write *write, uint8_t *texts)
{
	static const enum zp_write_kind kinds[] = {ZP_WRITE_PIN, ZP_WRITE_PIN, ZP_WRITE_PIN,
	    ZP_WRITE_IMPORT, ZP_WRITE_IMPORT, ZP_WRITE_IMPORT, ZP_WRITE_UNPIN, ZP_WRITE_UNPIN,
	    ZP_WRITE_EXPIRE, ZP_WRITE_DELETE, ZP_WRITE_ACCESS, ZP_WRITE_ACCESS, ZP_WRITE_ACCESS};
	size_t kinds_count = ZP_ARRAY_COUNT(kinds) - (accesses_are_kept() ? 0 : 3);
	struct model_change *change = &batch->changes[batch->count];
	struct zp_buf result_texts = write->result_texts;

	*change = (struct model_change){.key = (uint32_t)random_below(run.keys_count),
	    .pin = {.name = 1 + (uint32_t)random_below(1000000), .expire_at = far_expiry()}};
	*write = (struct zp_write){.kind = kinds[random_below(kinds_count)],
	    .key = run.keys[change->key],
	    .result_texts = result_texts};
	switch (write->kind) {
	case ZP_WRITE_PIN:
		change->pin.is_of_clock = true;
		change->from = (uint32_t)random_below(run.keys_count);
		if (one_in(5) && change->from != change->key &&
		    may_be_copied(batch, change->from)) {
			change->kind = MODEL_COPY;
			change->keeps_name = one_in(2);
			write->has_update_from = true;
			write->update_from = run.keys[change->from];
			write->update_keeps_name = change->keeps_name;
			write->update_keeps_expiry = true;
		}
		break;
	case ZP_WRITE_IMPORT:
		if (one_in(6))
			change->pin.expire_at =
			    run.model.now_seconds + 1 + (int64_t)random_below(SOON_SECONDS);
		break;
	case ZP_WRITE_UNPIN:
		change->kind = MODEL_REMOVE;
		break;
	case ZP_WRITE_EXPIRE:
		change->kind = MODEL_EXPIRE;
		break;
	case ZP_WRITE_ACCESS:
		change->kind = MODEL_ACCESS;
		write->accesses = accesses_draw(&change->last);
		change->count = write->accesses.count;
		break;
	default:
		change->kind = MODEL_DELETE;
	}
	record_fill(&write->record, &change->pin, texts);
	tell("    %u pin %" PRIu32 " name %" PRIu32 " expiry %" PRId64 " from %" PRIu32,
	    change->kind, change->key, change->pin.name, change->pin.expire_at, change->from);
	batch->count++;
}

/* ---- Sending and hearing -------------------------------------------------------------------- */

static void
slot_done(struct zp_write_batch *batch)
{
	struct slot *slot = batch->context;

	zp_mutex_lock(&run.done_lock);
	slot->is_done = true;
	zp_cond_signal(&run.done);
	zp_mutex_unlock(&run.done_lock);
}

static bool
answer_fits(enum model_answer expected, int rc)
{
	return rc == ZP_OK ? expected != MODEL_ABSENT
			   : rc == ZP_E_NOT_FOUND && expected != MODEL_DONE;
}

/* Whether the write saw what an earlier one of its batch would have left, which was refused. */
static bool
follows_refused(const struct model_change *changes, const bool *refused, size_t index)
{
	const struct model_change *change = &changes[index];

	for (size_t i = 0; i < index; i++) {
		if (refused[i] &&
		    (changes[i].key == change->key ||
			(change->kind == MODEL_COPY && changes[i].key == change->from)))
			return true;
	}
	return false;
}

/* Whether the write had no effect, for a reason that is excused. */
static bool
is_refused(const struct model_change *changes, const bool *refused, const struct zp_write *write,
    size_t index)
{
	const struct model_change *change = &changes[index];
	enum model_answer expected;

	switch (write->rc) {
	case ZP_OK:
	case ZP_E_NOT_FOUND:
		expected = model_expects(&run.model, index);
		if (!answer_fits(expected, write->rc) && !follows_refused(changes, refused, index))
			wrong("write %zu of kind %d to pin %" PRIu32
			      " answers %d (%s), expected %d",
			    index, write->kind, change->key, write->rc, write->err.text, expected);
		return false;
	case ZP_E_NO_SPACE:
	case ZP_E_FULL:
		if (!fault_excuses_write())
			wrong("a write is refused without a cause: %s", write->err.text);
		return true;
	case ZP_E_CORRUPT:
	case ZP_E_IO:
		if (!fault_excuses_read(change->key) &&
		    (change->kind != MODEL_COPY || !fault_excuses_read(change->from)))
			wrong("a write fails without a cause: %s", write->err.text);
		return true;
	default:
		wrong("a write answers %d: %s", write->rc, write->err.text);
	}
}

static bool
is_outcome_unknown(const struct slot *slot)
{
	for (size_t i = 0; i < slot->batch.count; i++) {
		if (slot->writes[i].rc != ZP_E_IO ||
		    strstr(slot->writes[i].err.text, "outcome unknown") == NULL)
			return false;
	}
	return slot->batch.count > 0;
}

void
outcomes_unknown(void)
{
	if (!run.is_unknown)
		model_crashed(&run.model);
	run.is_unknown = true;
}

/* What became of the oldest batch, which was answered. */
static void
slot_take(struct slot *slot)
{
	bool refused[MODEL_BATCH_MAX];
	size_t refusals = 0, whole = 0;

	run.counts[COUNT_WRITES] += slot->batch.count;
	if (run.is_unknown || is_outcome_unknown(slot)) {
		if (!fault_excuses_write())
			wrong("a write fails without a cause: %s", slot->writes[0].err.text);
		tell("  outcome unknown");
		run.model.may_refuse = run.model.may_refuse || run.faults.reads_may_fail ||
				       run.faults.episode == EPISODE_DAMAGE;
		outcomes_unknown();
		return;
	}
	for (size_t i = 0; i < slot->batch.count; i++) {
		refused[i] = is_refused(run.model.pending[0].changes, refused, &slot->writes[i], i);
		refusals += refused[i];
		whole += slot->writes[i].rc == ZP_E_NO_SPACE || slot->writes[i].rc == ZP_E_FULL;
	}
	if (whole > 0 && whole != slot->batch.count)
		wrong("a part of a batch is refused for want of room");
	if (refusals > 0)
		tell("  %zu of %zu writes refused: %d", refusals, slot->batch.count,
		    slot->writes[0].rc);
	if (whole > 0)
		run.model.pending[0].sequence = 0;
	model_batch_answered(&run.model, refused);
}

static void
slot_wait(void)
{
	struct slot *slot = run.slots[0];
	uint64_t deadline_ns = sim_world_now_ns() + DAY_SECONDS * SECOND_NS;

	zp_mutex_lock(&run.done_lock);
	while (!slot->is_done && sim_world_now_ns() < deadline_ns)
		zp_cond_wait_until(&run.done, &run.done_lock, deadline_ns);
	if (!slot->is_done)
		wrong("a batch has no answer for a day");
	zp_mutex_unlock(&run.done_lock);
	now_seconds();
	slot_take(slot);
	run.slots_count--;
	memmove(&run.slots[0], &run.slots[1], (MODEL_PENDING_MAX - 1) * sizeof(run.slots[0]));
	run.slots[MODEL_PENDING_MAX - 1] = slot;
	slot->is_done = false;
}

void
writes_wait_all(void)
{
	while (run.slots_count > 0)
		slot_wait();
}

void
writes_send(void)
{
	struct model_batch *batch;
	struct slot *slot;
	size_t count = 1 + random_below(one_in(20) ? run.batch_max : 20);
	struct zp_err err = {0};
	int rc;

	if (run.slots_count == MODEL_PENDING_MAX)
		slot_wait();
	/* Torn: reads that a fault excuses left it open what is there, which the next look may
	 * tell. */
	if (run.is_unknown || run.model.is_torn)
		return;
	now_seconds();
	slot = run.slots[run.slots_count];
	batch = model_batch_new(&run.model);
	for (size_t i = 0; i < count; i++)
		change_draw(batch, &slot->writes[i], slot->texts[i]);
	slot->batch = (struct zp_write_batch){
	    .writes = slot->writes, .count = count, .done = slot_done, .context = slot};
	if (one_in(4) && count <= 60) { /* more might not fit one batch of the journal */
		batch->sequence = ++run.sequence;
		slot->batch.origin =
		    (struct zp_journal_origin){.id = {'s'}, .sequence = batch->sequence};
	}
	model_batch_send(&run.model);
	run.slots_count++;
	rc = zp_command_write(run.node, &slot->batch, &err);
	if (rc < 0) {
		if (!fault_excuses_write())
			wrong("a batch is refused: %s", err.text);
		run.slots_count--;
		model_batch_take_back(&run.model);
		if (rc == ZP_E_IO)
			outcomes_unknown();
	}
}

static void
step_write(void)
{
	writes_send();
	if (!one_in(3))
		writes_wait_all();
}

/* ---- Reads ---------------------------------------------------------------------------------- */

static void
step_get(void)
{
	for (uint64_t i = 1 + random_below(8); i > 0; i--)
		compare_key((uint32_t)random_below(run.keys_count));
}

static void
step_get_batch(void)
{
	uint32_t indexes[100];
	size_t count = 1 + random_below(ZP_ARRAY_COUNT(indexes));

	for (size_t i = 0; i < count; i++)
		indexes[i] = (uint32_t)random_below(run.keys_count);
	compare_keys(indexes, count);
}

void
list_close(void)
{
	zp_list_close(run.list.list);
	run.list.list = NULL;
}

/* A pin that nobody touched since the list was opened, not even for a time that is over, appears
 * once. */
static void
list_gap_check(uint32_t from, uint32_t to)
{
	for (uint32_t key = from; key < to; key++) {
		if (run.keys[key].namespace_id == run.list.namespace_id &&
		    run.model.changed_at[key] <= run.list.clock &&
		    !model_permits_none(&run.model, key))
			wrong("an open list lacks pin %" PRIu32 ", which nobody touched", key);
	}
}

static void
step_list(void)
{
	struct open_list *list = &run.list;
	struct zp_record record;
	struct zp_key key;
	struct zp_err err = {0};
	int rc = ZP_OK;

	if (fault_excuses_any_read() || run.model.is_torn) {
		list_close();
		return;
	}
	if (list->list == NULL) {
		/* What is under way may come in behind it. */
		*list = (struct open_list){.clock = model_clock_answered(&run.model)};
		list->namespace_id = run.keys_kind == KEYS_SAME ? (uint32_t)random_below(4) : 0;
		if (zp_list_open(run.node, list->namespace_id, NULL, &list->list, &err) < 0)
			wrong("list: %s", err.text);
	}
	for (unsigned i = 0; i < LIST_STEP && rc == ZP_OK; i++) {
		rc = zp_list_next(list->list, &key, &record, &err);
		if (zp_list_damage(list->list, &err) < 0 && fault_excuses_any_read()) {
			list_close(); /* the machine died meanwhile: it lacks what it could not read
				       */
			return;
		}
		if (rc == ZP_OK) {
			uint32_t index = key_find(&key);
			struct model_seen seen = seen_of(index, ZP_OK, &record);

			run.counts[COUNT_LISTED]++;
			accesses_see_listed(index, list->list, &seen);
			now_seconds();
			if (index < list->next)
				wrong("an open list: the keys do not rise");
			list_gap_check(list->next, index);
			list->next = index + 1;
			if (run.model.changed_at[index] <= list->clock &&
			    !model_permits(&run.model, index, &seen))
				wrong("an open list: pin %" PRIu32
				      ", which nobody touched, is name %" PRIu32 " with %" PRIu64
				      " accesses",
				    index, seen.pin.name, seen.count);
		}
	}
	if (rc == ZP_OK) {
		if (one_in(4))
			zp_list_rest(list->list);
		return;
	}
	if (rc < 0)
		wrong("an open list: %s", err.text);
	list_gap_check(list->next, (uint32_t)run.keys_count);
	list_close();
}

/* ---- Upkeep --------------------------------------------------------------------------------- */

static void
upkeep(int (*command)(struct zp_node *node, struct zp_err *err), const char *name)
{
	struct zp_err err = {0};

	run.counts[COUNT_UPKEEP]++;
	if (command(run.node, &err) < 0) {
		tell("  %s: %s", name, err.text);
		if (!fault_excuses_upkeep())
			wrong("%s: %s", name, err.text);
	}
}

static void
step_snapshot(void)
{
	struct snapshot *snapshot = &run.snapshots[run.snapshots_count];
	struct zp_err err = {0};

	if (run.snapshots_count == SNAPSHOTS_MAX || run.faults.is_damaged || run.model.is_torn)
		return;
	writes_wait_all();
	if (run.is_unknown)
		return;
	snprintf(snapshot->name, sizeof(snapshot->name), "s%" PRIu64, run.step);
	if (zp_command_snapshot(run.node, snapshot->name, &err) < 0) {
		tell("  snapshot: %s", err.text);
		if (!fault_excuses_upkeep())
			wrong("snapshot: %s", err.text);
		return;
	}
	snapshot->now_seconds = now_seconds();
	snapshot->pins = zp_alloc(run.keys_count * sizeof(snapshot->pins[0]));
	memcpy(
	    snapshot->pins, run.model.states[0].pins, run.keys_count * sizeof(snapshot->pins[0]));
	accesses_keep_snapshot(snapshot);
	run.snapshots_count++;
	run.counts[COUNT_SNAPSHOTS]++;
}

static void
step_snapshot_look(void)
{
	if (run.snapshots_count > 0 && !run.faults.is_damaged && !fault_excuses_any_read())
		compare_snapshot(&run.snapshots[random_below(run.snapshots_count)]);
}

static void
step_time(void)
{
	if (one_in(8))
		sim_world_realtime_jump_us((int64_t)random_below(60000000) - 30000000);
	sim_world_sleep_ns(one_in(2) ? random_below(SECOND_NS) : random_below(100) * SECOND_NS);
	now_seconds(); /* before the clock jumps back, when some have expired already */
	if (one_in(3))
		accesses_wait_written();
}

static void
step_compare(void)
{
	if (one_in(4))
		writes_wait_all();
	compare_all();
}

/* ---- All ------------------------------------------------------------------------------------ */

static void
step_checkpoint(void)
{
	upkeep(zp_command_checkpoint, "checkpoint");
}

static void
step_settle(void)
{
	upkeep(zp_command_settle, "settle");
}

static void
step_seal(void)
{
	upkeep(zp_command_seal, "seal");
}

static void
step_scrub(void)
{
	compare_scrub();
}

static void
step_reopen(void)
{
	life_reopen(END_ANY);
}

void
step_any(void)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} steps[] = {{"write", step_write}, {"get", step_get}, {"get batch", step_get_batch},
	    {"list", step_list}, {"checkpoint", step_checkpoint}, {"settle", step_settle},
	    {"seal", step_seal}, {"verify", compare_verify}, {"snapshot", step_snapshot},
	    {"look at a snapshot", step_snapshot_look}, {"time", step_time},
	    {"compare", step_compare}, {"reopen", step_reopen}, {"scrub", step_scrub},
	    {"note accesses", accesses_note}};
	uint64_t sum = 0, drawn;
	size_t i = 0;

	for (size_t k = 0; k < ZP_ARRAY_COUNT(steps); k++)
		sum += run.weights[k];
	drawn = random_below(sum);
	while (drawn >= run.weights[i])
		drawn -= run.weights[i++];
	tell("step %" PRIu64 ": %s", run.step, steps[i].name);
	steps[i].run();
}
