/*
 * commit.c - a group of writes: looked up together, decided in order, one journal commit, applied,
 * answered.
 *
 * Flow:  queue.c → here → journal, then shard. Owner: the commit thread.
 *
 * Nothing is applied before it is durable, so readers never see what a crash could take back. A
 * batch that names a stream is a journal batch of its own and carries the stream's sequence; the
 * others share one. The order of the journal is the order of decisions.
 *
 * No allocation per write: all memory here stays from group to group.
 */
#include "command/command_internal.h"

#define WRITES_AHEAD 4u  /* that are brought nearer while one is worked on */
#define MEMORY_LOOKS 32u /* at the memtables while their budget fills, */
/* and more often where it is large: a shard may say that it can take no more (engine.h). */
#define MEMORY_LOOK_BYTES (UINT64_C(256) << 20)
#define ROOM_EVERY_NS (UINT64_C(5) * 1000000000) /* checkpoints are asked for by refused writes */

void
command__commit_init(struct zp_node *node)
{
	struct command__commit *commit = &node->commit;
	struct zp_journal_facts facts;
	uint64_t seed;

	zp_random_bytes(&seed, sizeof(seed));
	command__journal_facts_get(node, &facts);
	commit->group = zp_group_new(node->shards, seed);
	zp_buf_init(&commit->records, ZP_JOURNAL_BATCH_BYTES_MAX);
	zp_buf_init(&commit->payload, 2 * ZP_RECORD_BYTES_MAX);
	commit->skipped = zp_alloc_zero(COMMAND__GROUP_WRITES_MAX, sizeof(*commit->skipped));
	commit->last_batch = facts.last_batch;
	commit->created_last = facts.last_time_microseconds;
	commit->memory_measured = zp_shards_memory_bytes(node->shards);
}

void
command__commit_done(struct zp_node *node)
{
	struct command__commit *commit = &node->commit;

	zp_group_free(commit->group);
	zp_buf_done(&commit->records);
	zp_buf_done(&commit->payload);
	zp_free(commit->skipped);
	*commit = (struct command__commit){0};
}

/* ---- Journal batches ------------------------------------------------------------------------ */

int
command__records_close(
    struct zp_node *node, const struct zp_journal_origin *origin, struct zp_err *err)
{
	struct command__commit *commit = &node->commit;
	int rc;

	if (commit->records_count == 0 && origin == NULL)
		return ZP_OK;
	rc = zp_journal_append(node->journal, ZP_JOURNAL_RECORDS, origin,
	    zp_buf_slice(&commit->records), commit->records_count, commit->now_microseconds,
	    &commit->last_batch, err);
	zp_buf_clear(&commit->records);
	commit->records_count = 0;
	/* Remembered: a write's own error answers that write, this one ends the group. */
	if (rc < 0)
		commit->append_rc = rc;
	return rc;
}

int
command__record_add(struct zp_node *node, uint64_t shard_id, uint32_t incarnation,
    uint8_t operation, struct zp_err *err)
{
	struct command__commit *commit = &node->commit;
	struct zp_journal_record record = {
	    .shard_id = shard_id,
	    .incarnation = incarnation,
	    .operation = operation,
	    .payload = zp_buf_slice(&commit->payload),
	};
	int rc = ZP_OK;

	if (commit->records.length + ZP_JOURNAL_RECORD_HEADER_BYTES + commit->payload.length >
		COMMAND__JOURNAL_RECORDS_BYTES_MAX ||
	    commit->records_count == ZP_JOURNAL_BATCH_RECORDS_MAX)
		rc = command__records_close(node, NULL, err);
	if (rc == ZP_OK)
		rc = zp_journal_record_append(&commit->records, &record, err);
	if (rc < 0)
		return rc;
	commit->records_count++;
	return ZP_OK;
}

void
command__break(struct zp_node *node, const struct zp_err *cause)
{
	if (node->is_broken)
		return;
	snprintf(node->broken_text, sizeof(node->broken_text),
	    "outcome unknown until zpin is restarted, the journal failed: %.300s", cause->text);
	node->is_broken = true;
	command__log(node, 3, "no more writes are taken: %s", node->broken_text);
}

int
command__journal_commit(struct zp_node *node, struct zp_err *err)
{
	struct zp_err cause = {0};
	int rc = zp_journal_commit(node->journal, &cause);

	if (rc == ZP_OK)
		return ZP_OK;
	command__break(node, &cause);
	return zp_fail(err, ZP_E_IO, "%s", node->broken_text);
}

/* ---- Deciding one write --------------------------------------------------------------------- */

/* Copies what stands under the key for the answer: the group's memory is used again before the
 * caller is done with it. */
static void
result_keep(struct zp_write *write, const struct zp_record *record)
{
	struct zp_buf *texts = &write->result_texts;

	if (texts->length_max == 0)
		zp_buf_init(texts, ZP_RECORD_BYTES_MAX);
	zp_buf_clear(texts);
	zp_buf_append_slice(texts, record->texts);
	write->result = *record;
	write->result.texts = zp_buf_slice(texts);
}

static int64_t
created_of(struct command__commit *commit, const struct zp_write *write)
{
	if (write->key.namespace_id == 0)
		return commit->now_microseconds / 1000000;
	/* Other namespaces list by time and page by it: no two pins share one. */
	commit->created_last = commit->now_microseconds > commit->created_last
				   ? commit->now_microseconds
				   : commit->created_last + 1;
	return commit->created_last;
}

static bool
is_update(const struct zp_write *write)
{
	return write->kind == ZP_WRITE_PIN && write->has_update_from &&
	       zp_key_compare(&write->update_from, &write->key) != 0;
}

static int
update_decide(struct zp_node *node, struct zp_write *write, uint32_t from_index,
    const struct command__rules *rules, struct command__decision *decision, struct zp_err *err)
{
	const struct zp_group_item *from = zp_group_turn(node->commit.group, from_index);

	if (from->rc < 0)
		return zp_fail(err, from->rc, "the pin to update from cannot be read");
	if (!from->change.has_old)
		return zp_fail(err, ZP_E_NOT_FOUND, "pin is not part of the pinset");
	if (write->result_texts.length_max == 0)
		zp_buf_init(&write->result_texts, ZP_RECORD_BYTES_MAX);
	zp_buf_clear(&write->result_texts);
	return command__pin_update(
	    write, &from->change.old_record, rules, &write->result_texts, decision, err);
}

static int
pin_decide(struct zp_node *node, struct zp_write *write, const struct zp_record *old,
    uint32_t index, struct command__decision *decision, struct zp_err *err)
{
	struct command__rules rules = {
	    .replication_min = node->options.replication_min,
	    .replication_max = node->options.replication_max,
	    .now_microseconds = node->commit.now_microseconds,
	    .created = created_of(&node->commit, write),
	};

	write->created_nanoseconds = (uint32_t)(rules.now_microseconds % 1000000) * 1000;
	if (is_update(write))
		return update_decide(node, write, index + 1, &rules, decision, err);
	return command__pin_add(write, old,
	    old != NULL && command__allocation_has_self(node, old->facts[ZP_FACT_ALLOCATIONS]),
	    &rules, decision, err);
}

/* What the write comes to; *change_out: whether anything is to be written. */
static int
write_decide(struct zp_node *node, struct zp_write *write, const struct zp_record *old,
    uint32_t index, struct command__decision *decision, bool *change_out, struct zp_err *err)
{
	int rc = ZP_OK;

	*change_out = true;
	switch (write->kind) {
	case ZP_WRITE_PIN:
		return pin_decide(node, write, old, index, decision, err);
	case ZP_WRITE_IMPORT:
		decision->has_new = true;
		decision->record = write->record;
		decision->allocation = COMMAND__LIST;
		command__expiry_normalize(&decision->record);
		return ZP_OK;
	case ZP_WRITE_UNPIN:
		rc = command__pin_rm(old, err);
		break;
	case ZP_WRITE_EXPIRE:
		if (old == NULL ||
		    old->facts[ZP_FACT_EXPIRE_AT] != write->record.facts[ZP_FACT_EXPIRE_AT])
			rc = zp_fail(err, ZP_E_NOT_FOUND, "no pin with this expiry");
		break;
	case ZP_WRITE_DELETE:
		*change_out = old != NULL;
		return ZP_OK;
	default:
		return zp_fail(err, ZP_E_INVALID, "a write of unknown kind %d", (int)write->kind);
	}
	if (rc == ZP_OK)
		result_keep(write, old);
	return rc;
}

static int
allocate(struct zp_node *node, const struct zp_write *write, struct command__decision *decision,
    struct zp_err *err)
{
	struct zp_slice self = {node->options.peer_id, node->options.peer_id_bytes};
	uint64_t *fact = &decision->record.facts[ZP_FACT_ALLOCATIONS];

	switch (decision->allocation) {
	case COMMAND__EVERYWHERE:
		*fact = 0;
		return ZP_OK;
	case COMMAND__SELF:
		return command__allocation_register(node, &self, 1, fact, err);
	case COMMAND__LIST:
		return command__allocation_register(
		    node, write->allocations, write->allocations_count, fact, err);
	default:
		return ZP_OK;
	}
}

static bool
record_equal(const struct zp_record *a, const struct zp_record *b)
{
	return memcmp(a->facts, b->facts, sizeof(a->facts)) == 0 &&
	       zp_slice_equal(a->texts, b->texts);
}

/* Encodes what was decided as a record of the journal. */
static int
change_journal(struct zp_node *node, const struct zp_write *write, const struct zp_group_item *item,
    struct zp_err *err)
{
	const struct zp_shard_range *range = &zp_shards_map(node->shards)->ranges[item->shard];
	struct zp_buf *payload = &node->commit.payload;
	enum zp_journal_operation operation = ZP_OP_DELETE;

	zp_buf_clear(payload);
	if (item->change.has_new) {
		operation = ZP_OP_PUT;
		if (zp_shard_put_encode(&item->change.key, &item->change.new_record, payload) >
		    ZP_RECORD_BYTES_MAX)
			return zp_fail(err, ZP_E_TOO_LARGE, "the pin takes more than %u bytes",
			    ZP_RECORD_BYTES_MAX);
	} else if (write->kind == ZP_WRITE_EXPIRE) {
		operation = ZP_OP_EXPIRE;
		zp_shard_expire_encode(
		    &item->change.key, write->record.facts[ZP_FACT_EXPIRE_AT], payload);
	} else {
		zp_shard_delete_encode(&item->change.key, payload);
	}
	node->commit.memory_added += payload->length + 64;
	return command__record_add(node, range->id, range->incarnation, (uint8_t)operation, err);
}

/* Accesses of a pin that is there: it stays as it is. */
static int
access_take(struct zp_node *node, struct zp_write *write, uint32_t index,
    const struct zp_group_item *item, struct zp_err *err)
{
	const struct zp_shard_range *range = &zp_shards_map(node->shards)->ranges[item->shard];
	struct zp_accesses accesses = write->accesses;
	int64_t now = node->commit.now_microseconds / 1000000;
	int rc = command__accesses_check(node, err);

	if (rc == ZP_OK && !item->change.has_old) {
		node->accesses_unknown += accesses.count;
		rc = zp_fail(err, ZP_E_NOT_FOUND, "pin is not part of the pinset");
	}
	if (rc == ZP_OK && (accesses.count == 0 || accesses.count > ZP_ACCESS_COUNT_MAX ||
			       accesses.last_seconds < 0))
		rc = zp_fail(err, ZP_E_INVALID, "accesses without a count, or before 1970");
	if (rc < 0)
		return rc;
	if (accesses.last_seconds > now) /* another clock's must not stand for years */
		accesses.last_seconds = now;
	zp_buf_clear(&node->commit.payload);
	zp_shard_access_encode(&item->change.key, &accesses, &node->commit.payload);
	node->commit.memory_added += node->commit.payload.length + 64;
	rc = command__record_add(node, range->id, range->incarnation, ZP_OP_ACCESS, err);
	if (rc < 0)
		return rc;
	zp_group_access(node->commit.group, index, &accesses);
	node->accesses_written += accesses.count;
	return ZP_OK;
}

static int
write_take(struct zp_node *node, struct zp_write *write, uint32_t index, struct zp_err *err)
{
	struct zp_group_item *item = zp_group_turn(node->commit.group, index);
	const struct zp_record *old = item->change.has_old ? &item->change.old_record : NULL;
	struct command__decision decision;
	bool has_change;
	int rc;

	if (item->rc < 0)
		return command__damage_of_key(node, &item->change.key, item->rc, err);
	write->was_there = old != NULL;
	if (write->kind == ZP_WRITE_ACCESS)
		return access_take(node, write, index, item, err);
	decision.has_new = false;
	decision.allocation = COMMAND__EVERYWHERE;
	rc = write_decide(node, write, old, index, &decision, &has_change, err);
	if (rc == ZP_OK && decision.has_new)
		rc = allocate(node, write, &decision, err);
	if (rc < 0)
		return rc;
	if (decision.has_new) {
		if (write->kind == ZP_WRITE_PIN)
			write->result = decision.record;
		/* An import that is repeated writes nothing. */
		has_change = old == NULL || !record_equal(old, &decision.record);
	}
	if (!has_change)
		return ZP_OK;
	item->change.has_new = decision.has_new;
	item->change.new_record = decision.record;
	rc = change_journal(node, write, item, err);
	if (rc < 0) {
		item->change.has_new = false;
		return rc;
	}
	zp_group_settle(node->commit.group, index);
	return ZP_OK;
}

/* ---- A group -------------------------------------------------------------------------------- */

static bool
has_origin(const struct zp_write_batch *batch)
{
	static const uint8_t none[16];

	return memcmp(batch->origin.id, none, sizeof(none)) != 0;
}

/* Whether the stream's batch is durable already, or stands earlier in this group. */
static bool
is_taken(
    struct zp_node *node, const struct zp_write_batch *first, const struct zp_write_batch *batch)
{
	if (!has_origin(batch) || batch->origin.sequence == 0)
		return false;
	if (zp_shards_origin_get(node->shards, batch->origin.id) >= batch->origin.sequence)
		return true;
	for (; first != batch; first = first->next) {
		if (memcmp(first->origin.id, batch->origin.id, sizeof(batch->origin.id)) == 0 &&
		    first->origin.sequence >= batch->origin.sequence)
			return true;
	}
	return false;
}

static void
keys_gather(struct zp_node *node, struct zp_write_batch *first)
{
	struct command__commit *commit = &node->commit;
	size_t at = 0;

	zp_group_clear(commit->group);
	for (struct zp_write_batch *batch = first; batch != NULL; batch = batch->next, at++) {
		commit->skipped[at] = is_taken(node, first, batch);
		for (size_t i = 0; i < batch->count && !commit->skipped[at]; i++) {
			if (i + WRITES_AHEAD < batch->count)
				command__write_prefetch(&batch->writes[i + WRITES_AHEAD]);
			zp_group_add(commit->group, &batch->writes[i].key);
			if (is_update(&batch->writes[i]))
				zp_group_add(commit->group, &batch->writes[i].update_from);
		}
	}
}

/* One batch; an error here is the journal's, a write's own is its answer. */
static int
batch_take(struct zp_node *node, struct zp_write_batch *batch, uint32_t *index, struct zp_err *err)
{
	struct zp_err why; /* a write's own is only touched where there is something to say */
	int rc = ZP_OK;

	if (has_origin(batch))
		rc = command__records_close(node, NULL, err);
	for (size_t i = 0; rc == ZP_OK && i < batch->count; i++) {
		struct zp_write *write = &batch->writes[i];

		if (i + WRITES_AHEAD < batch->count)
			command__write_prefetch(write + WRITES_AHEAD);
		zp_err_clear(&why);
		write->rc = write_take(node, write, *index, &why);
		*index += is_update(write) ? 2 : 1;
		if (write->rc < 0)
			write->err = why;
		rc = node->commit.append_rc;
		if (rc < 0)
			*err = why;
	}
	if (rc == ZP_OK && has_origin(batch))
		rc = command__records_close(node, &batch->origin, err);
	return rc;
}

static int
group_take(struct zp_node *node, struct zp_write_batch *first, struct zp_err *err)
{
	uint32_t index = 0;
	size_t at = 0;
	int rc = ZP_OK;

	for (struct zp_write_batch *batch = first; rc == ZP_OK && batch != NULL;
	     batch = batch->next, at++) {
		if (!node->commit.skipped[at]) {
			rc = batch_take(node, batch, &index, err);
			continue;
		}
		for (size_t i = 0; i < batch->count; i++)
			batch->writes[i].rc = ZP_OK;
	}
	return rc < 0 ? rc : command__records_close(node, NULL, err);
}

static void
origins_set(struct zp_node *node, const struct zp_write_batch *first)
{
	size_t at = 0;

	for (; first != NULL; first = first->next, at++) {
		if (!has_origin(first) || node->commit.skipped[at])
			continue;
		zp_mutex_lock(&node->origins_lock);
		zp_shards_origin_set(node->shards, first->origin.id, first->origin.sequence,
		    node->commit.now_microseconds);
		zp_mutex_unlock(&node->origins_lock);
	}
}

/* Counted before it is told: who was answered can rely on the facts. */
static void
answer_all(struct zp_node *node, struct zp_write_batch *first)
{
	/* From here on nobody else may tell them anything. */
	zp_mutex_lock(&node->queue.lock);
	if (node->queue.under_way == first)
		node->queue.under_way = NULL;
	zp_mutex_unlock(&node->queue.lock);
	for (const struct zp_write_batch *batch = first; batch != NULL; batch = batch->next)
		node->writes_done += batch->count;
	while (first != NULL) {
		struct zp_write_batch *next = first->next; /* `done` may free the batch */

		first->done(first);
		first = next;
	}
}

static void
refusal_set(struct zp_write_batch *first, int rc, const char *text)
{
	for (; first != NULL; first = first->next) {
		for (size_t i = 0; i < first->count; i++) {
			zp_err_clear(&first->writes[i].err);
			first->writes[i].rc = zp_fail(&first->writes[i].err, rc, "%s", text);
		}
	}
}

void
command__refuse_all(struct zp_node *node, struct zp_write_batch *first, int rc, const char *text)
{
	refusal_set(first, rc, text);
	answer_all(node, first);
}

uint64_t
command__memory_limit(const struct zp_node *node)
{
	uint64_t limit = node->options.memtable_bytes_max, room = node->commit.free_bytes;

	return room == 0 ? limit : zp_min_u64(limit, room / 4 * 3);
}

/* Wakes the maintenance thread when memory or journal want a checkpoint. */
static void
limits_watch(struct zp_node *node)
{
	struct command__commit *commit = &node->commit;
	struct zp_journal_facts facts;
	uint64_t memory;

	/* What a write takes in a memtable is only guessed: looked at again before guesses add up.
	 */
	if (commit->memory_added >
	    zp_min_u64(node->options.memtable_bytes_max / MEMORY_LOOKS, MEMORY_LOOK_BYTES)) {
		commit->memory_measured = zp_shards_memory_bytes(node->shards);
		commit->memory_added = 0;
	}
	memory = commit->memory_measured + commit->memory_added;
	zp_journal_facts_get(node->journal, &facts);
	if (memory < command__memory_limit(node) / 2 + node->memory_floor &&
	    facts.bytes < node->options.journal_bytes_max + node->journal_bytes_at_checkpoint)
		return;
	zp_mutex_lock(&node->queue.lock);
	if (node->merge_may_stop)
		node->merge_stop = true;
	node->upkeep.checkpoint_due = true;
	zp_cond_signal(&node->upkeep.wake);
	zp_mutex_unlock(&node->queue.lock);
}

/* What a merge under way may take yet is as good as gone; it is of what is kept for merges. */
static int
room_check(struct zp_node *node, uint64_t bytes, uint64_t *free_out, struct zp_err *err)
{
	uint64_t taking = node->upkeep.merge_taking, room = node->upkeep.merge_room;
	uint64_t others = room - zp_min_u64(room, taking), free_bytes = 0;
	int rc;

	taking -= zp_min_u64(taking, node->upkeep.merge_written);
	rc = zp_journal_room_check(node->journal, bytes + taking, others, &free_bytes, err);

	*free_out = free_bytes - zp_min_u64(free_bytes, taking);
	return rc;
}

bool
command__is_full(struct zp_node *node)
{
	bool was_hurried = zp_store_hurry(true);
	uint64_t free_bytes;
	int rc = ZP_OK;

	if (node->journal != NULL)
		rc = room_check(node, 0, &free_bytes, NULL);
	zp_store_hurry(was_hurried);
	return rc == ZP_E_NO_SPACE;
}

/* The journal and files that were merged go with checkpoints, which no write would bring about any
 * more. */
static void
room_make(struct zp_node *node)
{
	uint64_t now_ns = zp_clock_monotonic_ns();

	if (now_ns < node->commit.room_at_ns)
		return;
	node->commit.room_at_ns = now_ns + ROOM_EVERY_NS;
	zp_mutex_lock(&node->queue.lock);
	node->upkeep.write_lacks_room = true;
	node->upkeep.checkpoint_due = true;
	zp_cond_signal(&node->upkeep.wake);
	zp_mutex_unlock(&node->queue.lock);
}

/* Before anything is decided, so that a refusal has nothing to take back. A file system that cannot
 * say how full it is refuses nothing: the commit will tell. */
static int
group_room_check(struct zp_node *node, const struct zp_write_batch *first, struct zp_err *err)
{
	uint64_t bytes = 0, free_bytes;
	int rc;

	for (; first != NULL; first = first->next)
		bytes += first->bytes;
	rc = room_check(node, bytes, &free_bytes, err);
	if (rc == ZP_E_NO_SPACE) {
		room_make(node);
		return rc;
	}
	if (rc == ZP_OK)
		node->commit.free_bytes = free_bytes;
	zp_err_clear(err);
	return ZP_OK;
}

void
command__commit_group(struct zp_node *node, struct zp_write_batch *first)
{
	struct command__commit *commit = &node->commit;
	uint64_t before = commit->last_batch;
	struct zp_err err = {0};
	int rc;

	command__pace_serve(&node->pace);
	commit->now_microseconds = zp_clock_realtime_us();
	commit->append_rc = ZP_OK;
	rc = group_room_check(node, first, &err);
	if (rc == ZP_OK) {
		bool was_hurried = zp_store_hurry(true);

		keys_gather(node, first);
		rc = zp_group_lookup(commit->group, &err);
		zp_store_hurry(was_hurried);
	}
	if (rc < 0) {
		command__refuse_all(node, first, rc, err.text);
		return;
	}
	rc = group_take(node, first, &err);
	if (rc == ZP_OK)
		rc = command__journal_commit(node, &err);
	else
		command__break(node, &err);
	if (rc < 0) {
		command__refuse_all(node, first, ZP_E_IO, node->broken_text);
		return;
	}
	zp_group_apply(commit->group, node->epoch, commit->last_batch);
	origins_set(node, first);
	node->commits += commit->last_batch != before;
	limits_watch(node);
	answer_all(node, first);
}
