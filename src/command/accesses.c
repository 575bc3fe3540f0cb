/*
 * accesses.c - accesses that were told and are not in the journal yet, and how they get there.
 *
 * Flow:  whoever serves content → zp_command_accesses_note → memory here → (maintenance thread) a
 *        batch of writes → commit. Who wants to know that they are durable sends the writes
 * himself. Owner: any thread notes; the maintenance thread takes out; the commit thread answers.
 *
 * To note is to add two numbers under the lock of one stripe: it waits for no sync, no disk and no
 * queue. What there is no room for is counted as lost. Relative: what was noted of a pin stays here
 * until the interval is over since it was last written, so that a pin costs at most one row an
 * interval, however busy it is. Exact: it goes with the next tick.
 */
#include "command/command_internal.h"

#define SECOND_NS UINT64_C(1000000000)
#define SOON_NS (SECOND_NS / 10) /* while there is more, or the queue is full */
#define STRIPES 16u
#define STRIPE_ENTRIES_MAX (ZP_ACCESSES_PENDING_MAX / STRIPES)
#define SLOTS_FIRST 64u

/* A pin of which something was told. */
struct pending {
	struct zp_key key;
	uint64_t count;      /* not written yet; 0: it is here for written_ns only */
	int64_t last;        /* seconds since 1970 */
	uint64_t written_ns; /* when it was last sent; 0: not since it came here */
	bool is_used;
};

/* Open addressing, at most half full. */
struct stripe {
	struct zp_mutex lock;
	struct pending *slots; /* owned; NULL: none yet */
	uint32_t slots_count;
	uint32_t used;
};

struct command__accesses {
	struct zp_node *node;
	uint64_t seed;
	struct stripe stripes[STRIPES];
	uint32_t stripe_next; /* where the round goes on; the maintenance thread's, as the next */
	struct zp_write *writes; /* ZP_WRITE_BATCH_MAX */
	struct zp_write_batch batch;
	_Atomic(bool) is_busy; /* the batch is under way */
	_Atomic(uint64_t) noted;
	_Atomic(uint64_t) lost;
	_Atomic(uint64_t) pins;
};

/* ---- Stripes --------------------------------------------------------------------------------- */

/* The slot of the key, or the empty one where it would go. */
static struct pending *
slot_find(const struct stripe *stripe, const struct zp_key *key, uint64_t hash)
{
	uint32_t mask = stripe->slots_count - 1;

	for (uint32_t at = (uint32_t)hash & mask;; at = (at + 1) & mask) {
		struct pending *slot = &stripe->slots[at];

		if (!slot->is_used || zp_key_compare(&slot->key, key) == 0)
			return slot;
	}
}

/* Of all of it: whoever may pin can make many pins of one digest. */
static uint64_t
key_hash(const struct command__accesses *accesses, const struct zp_key *key)
{
	uint8_t bytes[ZP_KEY_BYTES];

	zp_key_encode(key, bytes);
	return zp_hash64(bytes, sizeof(bytes), accesses->seed);
}

static struct stripe *
stripe_of(struct command__accesses *accesses, uint64_t hash)
{
	return &accesses->stripes[hash >> 60];
}
_Static_assert(STRIPES == 16, "the hash's first four bits say which");

/* A table of that size with the entries that stay: those with something left to write, and those
 * whose interval is not over. */
static void
stripe_rebuild(struct command__accesses *accesses, struct stripe *stripe, uint32_t slots_count,
    uint64_t written_min_ns)
{
	struct stripe old = *stripe;

	stripe->slots = zp_alloc_zero(slots_count, sizeof(*stripe->slots));
	stripe->slots_count = slots_count;
	stripe->used = 0;
	for (uint32_t i = 0; i < old.slots_count; i++) {
		const struct pending *entry = &old.slots[i];

		if (!entry->is_used || (entry->count == 0 && entry->written_ns < written_min_ns))
			continue;
		*slot_find(stripe, &entry->key, key_hash(accesses, &entry->key)) = *entry;
		stripe->used++;
	}
	accesses->pins -= old.used - stripe->used;
	zp_free(old.slots);
}

/* False: there is no room. */
static bool
pending_add(
    struct command__accesses *accesses, const struct zp_key *key, const struct zp_accesses *added)
{
	uint64_t hash = key_hash(accesses, key);
	struct stripe *stripe = stripe_of(accesses, hash);
	struct pending *slot = NULL;
	bool is_taken = true;

	zp_mutex_lock(&stripe->lock);
	if (stripe->slots_count > 0)
		slot = slot_find(stripe, key, hash);
	if (slot == NULL || !slot->is_used) {
		is_taken = stripe->used < STRIPE_ENTRIES_MAX;
		if (is_taken && 2 * (stripe->used + 1) > stripe->slots_count) {
			stripe_rebuild(accesses, stripe,
			    stripe->slots_count == 0 ? SLOTS_FIRST : 2 * stripe->slots_count, 0);
			slot = slot_find(stripe, key, hash);
		}
	}
	if (is_taken && !slot->is_used) {
		*slot = (struct pending){.key = *key, .is_used = true};
		stripe->used++;
		accesses->pins++;
	}
	if (is_taken) {
		slot->count += added->count;
		if (slot->last < added->last_seconds)
			slot->last = added->last_seconds;
	}
	zp_mutex_unlock(&stripe->lock);
	return is_taken;
}

/* Moves what is due of the stripe into writes, as long as there is room; returns how many there are
 * then. `all`: whatever the interval says. */
static size_t
stripe_take(struct command__accesses *accesses, struct stripe *stripe, bool all, size_t count)
{
	const struct zp_node_options *options = &accesses->node->options;
	bool is_relative = options->accesses_mode == ZP_ACCESSES_RELATIVE;
	uint64_t now_ns = zp_clock_monotonic_ns();
	uint64_t interval_ns = is_relative ? options->accesses_interval_seconds * SECOND_NS : 0;
	uint64_t due_ns = now_ns > interval_ns ? now_ns - interval_ns : 0; /* written by then */

	zp_mutex_lock(&stripe->lock);
	all = all || stripe->used > STRIPE_ENTRIES_MAX / 2; /* room matters more than bytes */
	for (uint32_t i = 0; i < stripe->slots_count && count < ZP_WRITE_BATCH_MAX; i++) {
		struct pending *entry = &stripe->slots[i];
		struct zp_write *write = &accesses->writes[count];

		if (!entry->is_used || entry->count == 0 ||
		    (!all && entry->written_ns != 0 && entry->written_ns > due_ns))
			continue;
		write->kind = ZP_WRITE_ACCESS;
		write->key = entry->key;
		write->accesses =
		    (struct zp_accesses){.count = zp_min_u64(entry->count, ZP_ACCESS_COUNT_MAX),
			.last_seconds = entry->last};
		entry->count -= write->accesses.count;
		if (entry->count == 0) /* what comes next may be of another pin under the key */
			entry->last = 0;
		entry->written_ns = now_ns;
		count++;
	}
	if (stripe->slots_count > 0)
		stripe_rebuild(accesses, stripe, stripe->slots_count, all ? now_ns : due_ns + 1);
	zp_mutex_unlock(&stripe->lock);
	return count;
}

/* ---- Telling --------------------------------------------------------------------------------- */

enum zp_accesses_mode
zp_node_accesses_mode(const struct zp_node *node)
{
	return node->options.accesses_mode;
}

int
command__accesses_check(const struct zp_node *node, struct zp_err *err)
{
	if (node->options.accesses_mode == ZP_ACCESSES_OFF)
		return zp_fail(err, ZP_E_UNSUPPORTED,
		    "accesses are not kept: set storage.accesses to relative or exact");
	return ZP_OK;
}

int
zp_command_accesses_note(
    struct zp_node *node, const struct zp_accesses_note *notes, size_t count, struct zp_err *err)
{
	int64_t now = zp_clock_realtime_us() / 1000000;
	struct command__accesses *accesses = node->accesses;
	int rc = command__accesses_check(node, err);

	if (rc == ZP_OK && (node->read_only || accesses == NULL))
		rc = zp_fail(err, ZP_E_READ_ONLY, "the node is read-only");
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < count; i++) {
		struct zp_accesses added = notes[i].accesses;

		ZP_ASSERT(added.count > 0 && added.count <= ZP_ACCESS_COUNT_MAX);
		if (added.last_seconds > now) /* another clock's must not stand for years */
			added.last_seconds = now;
		ZP_ASSERT(added.last_seconds >= 0);
		accesses->noted += added.count;
		if (pending_add(accesses, &notes[i].key, &added))
			continue;
		accesses->lost += added.count;
		rc = ZP_E_FULL;
	}
	return rc < 0 ? zp_fail(err, rc, "too many pins were read at once: some were not counted")
		      : ZP_OK;
}

/* ---- Into the journal ------------------------------------------------------------------------ */

/* What could not be written waits again; of no pin there is nothing to keep. */
static void
batch_done(struct zp_write_batch *batch)
{
	struct command__accesses *accesses = batch->context;

	for (size_t i = 0; i < batch->count; i++) {
		const struct zp_write *write = &batch->writes[i];

		if (write->rc < 0 && write->rc != ZP_E_NOT_FOUND &&
		    !pending_add(accesses, &write->key, &write->accesses))
			accesses->lost += write->accesses.count;
	}
	accesses->is_busy = false;
}

/* The next batch of what is due, from the stripe on where the last ended; true: the round is over.
 */
static bool
batch_fill(struct command__accesses *accesses, bool all, size_t *count_out)
{
	size_t count = 0;

	for (; accesses->stripe_next < STRIPES; accesses->stripe_next++) {
		struct stripe *stripe = &accesses->stripes[accesses->stripe_next];

		count = stripe_take(accesses, stripe, all, count);
		if (count == ZP_WRITE_BATCH_MAX)
			break; /* it may have more */
	}
	*count_out = count;
	if (accesses->stripe_next < STRIPES)
		return false;
	accesses->stripe_next = 0;
	return true;
}

static void
batch_make(struct command__accesses *accesses, size_t count)
{
	accesses->batch = (struct zp_write_batch){
	    .writes = accesses->writes, .count = count, .done = batch_done, .context = accesses};
}

bool
command__accesses_send(struct zp_node *node)
{
	struct command__accesses *accesses = node->accesses;
	struct zp_err err = {0};
	bool is_over;
	size_t count;

	if (accesses->is_busy || node->read_only || node->is_broken)
		return false;
	is_over = batch_fill(accesses, false, &count);
	if (count == 0)
		return is_over;
	batch_make(accesses, count);
	accesses->is_busy = true;
	if (zp_command_write(node, &accesses->batch, &err) == ZP_OK)
		return is_over;
	for (size_t i = 0; i < count; i++)
		accesses->writes[i].rc = err.code;
	batch_done(&accesses->batch);
	return false;
}

void
command__accesses_tick(struct zp_node *node)
{
	uint64_t wait_ns =
	    command__accesses_send(node) ? COMMAND__ACCESSES_TICK_SECONDS * SECOND_NS : SOON_NS;

	zp_mutex_lock(&node->queue.lock);
	node->upkeep.accesses_at_ns = zp_clock_monotonic_ns() + wait_ns;
	zp_mutex_unlock(&node->queue.lock);
}

void
command__accesses_drain(struct zp_node *node)
{
	struct command__accesses *accesses = node->accesses;
	bool is_over = false;

	if (accesses == NULL)
		return;
	ZP_ASSERT(!accesses->is_busy);
	accesses->stripe_next = 0;
	while (!is_over && !node->read_only && !node->is_broken) {
		size_t count;

		is_over = batch_fill(accesses, true, &count);
		if (count == 0)
			continue;
		batch_make(accesses, count);
		for (size_t i = 0; i < count; i++)
			accesses->batch.bytes += command__write_bytes(&accesses->writes[i]);
		command__commit_group(node, &accesses->batch);
	}
}

/* ---- Life ------------------------------------------------------------------------------------ */

void
command__accesses_init(struct zp_node *node)
{
	struct command__accesses *accesses;

	if (node->options.accesses_mode == ZP_ACCESSES_OFF || node->options.read_only ||
	    node->options.offline)
		return;
	accesses = zp_alloc_zero(1, sizeof(*accesses));
	accesses->node = node;
	zp_random_bytes(&accesses->seed, sizeof(accesses->seed));
	for (size_t i = 0; i < STRIPES; i++)
		zp_mutex_init(&accesses->stripes[i].lock);
	accesses->writes = zp_alloc_zero(ZP_WRITE_BATCH_MAX, sizeof(accesses->writes[0]));
	node->accesses = accesses;
	node->upkeep.accesses_at_ns =
	    zp_clock_monotonic_ns() + COMMAND__ACCESSES_TICK_SECONDS * SECOND_NS;
}

void
command__accesses_done(struct zp_node *node)
{
	struct command__accesses *accesses = node->accesses;

	if (accesses == NULL)
		return;
	ZP_ASSERT(!accesses->is_busy);
	for (size_t i = 0; i < STRIPES; i++) {
		zp_free(accesses->stripes[i].slots);
		zp_mutex_done(&accesses->stripes[i].lock);
	}
	zp_free(accesses->writes);
	zp_free(accesses);
	node->accesses = NULL;
}

void
command__accesses_facts_get(struct zp_node *node, struct zp_node_facts *facts)
{
	const struct command__accesses *accesses = node->accesses;

	facts->accesses_written = node->accesses_written;
	facts->accesses_unknown = node->accesses_unknown;
	if (accesses == NULL)
		return;
	facts->accesses_noted = accesses->noted;
	facts->accesses_lost = accesses->lost;
	facts->accesses_pending = accesses->pins;
}
