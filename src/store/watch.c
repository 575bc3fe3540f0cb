/*
 * watch.c - calls of the disk that do not return: which are under way, and since when.
 *
 * Flow:    the store's calls begin and end a slot here (calls.c); command's watch thread looks.
 * Threads: any. A slot belongs to the thread whose call is in it; others only read it.
 *
 * A disk that hangs (ZFS with failmode=wait, NFS, a dead path) gives no error: the call just does
 * not come back, and no signal ends it. All that can be done is to know, to say so, and to let
 * nobody else wait. So each call that may reach the disk writes down its beginning, which costs a
 * look at the clock and no lock.
 */
#include "store/store_internal.h"

#include <stdio.h>

/* Marks a slot as taken while it is filled in. */
#define SLOT_FILLING 1u

/* ---- The calls ------------------------------------------------------------------------------- */

static void
name_set(struct store_slot *slot, const char *name)
{
	size_t length = strnlen(name, STORE_TEMPORARY_NAME_BYTES - 1);

	for (size_t at = 0; at <= length; at += sizeof(uint64_t)) {
		uint64_t word = 0;

		memcpy(&word, name + at, zp_min_u64(sizeof(word), length - at));
		atomic_store_explicit(&slot->name[at / sizeof(word)], word, memory_order_relaxed);
	}
}

static void
name_get(struct store_slot *slot, char name[STORE_SLOT_NAME_WORDS * sizeof(uint64_t)])
{
	for (size_t i = 0; i < STORE_SLOT_NAME_WORDS; i++) {
		uint64_t word = atomic_load_explicit(&slot->name[i], memory_order_relaxed);

		memcpy(name + i * sizeof(word), &word, sizeof(word));
	}
	name[STORE_SLOT_NAME_WORDS * sizeof(uint64_t) - 1] = '\0';
}

struct store_slot *
store__call_begin(struct directory_store *store, const char *what, const char *name)
{
	static _Thread_local unsigned hint; /* where this thread's last call was */
	struct zp_store_watch *watch = store->watch;

	if (watch == NULL)
		return NULL;
	for (unsigned i = 0; i < STORE_SLOTS_MAX; i++) {
		unsigned at = (hint + i) % STORE_SLOTS_MAX;
		struct store_slot *slot = &watch->slots[at];
		uint64_t is_free = 0;

		if (!atomic_compare_exchange_strong_explicit(&slot->began_ns, &is_free,
			SLOT_FILLING, memory_order_acquire, memory_order_relaxed))
			continue;
		hint = at;
		atomic_store_explicit(&slot->store, store, memory_order_relaxed);
		atomic_store_explicit(&slot->what, what, memory_order_relaxed);
		name_set(slot, name);
		atomic_store_explicit(
		    &slot->began_ns, zp_clock_monotonic_ns(), memory_order_release);
		return slot;
	}
	return NULL; /* so many are under way that some of them are seen to hang */
}

void
store__call_end(struct store_slot *slot)
{
	if (slot != NULL)
		atomic_store_explicit(&slot->began_ns, 0, memory_order_release);
}

/* ---- Looking --------------------------------------------------------------------------------- */

/* With the lock held, without which no store ends: so it is there for as long as it is looked at
 * when its call was still under way after the slot was read. False: it was not. */
static bool
slot_describe(struct store_slot *slot, uint64_t began_ns, struct zp_store_hang *hang)
{
	char name[STORE_SLOT_NAME_WORDS * sizeof(uint64_t)];
	const struct directory_store *store =
	    atomic_load_explicit(&slot->store, memory_order_relaxed);
	const char *what = atomic_load_explicit(&slot->what, memory_order_relaxed);

	name_get(slot, name);
	atomic_thread_fence(memory_order_acquire);
	if (atomic_load_explicit(&slot->began_ns, memory_order_relaxed) != began_ns)
		return false;
	hang->since_ns = began_ns;
	snprintf(hang->text, sizeof(hang->text), "%s %.400s%s%s", what, store->path,
	    name[0] == '\0' ? "" : "/", name);
	return true;
}

bool
zp_store_watch_look(struct zp_store_watch *watch, struct zp_store_hang *hang_out)
{
	uint64_t now_ns = zp_clock_monotonic_ns();
	struct zp_store_hang hang = {0};

	zp_mutex_lock(&watch->lock);
	for (unsigned i = 0; i < STORE_SLOTS_MAX; i++) {
		struct store_slot *slot = &watch->slots[i];
		uint64_t began_ns = atomic_load_explicit(&slot->began_ns, memory_order_acquire);

		if (began_ns <= SLOT_FILLING || began_ns > now_ns ||
		    now_ns - began_ns < watch->hang_after_ns)
			continue;
		hang.calls++;
		if (hang.since_ns == 0 || began_ns < hang.since_ns)
			(void)slot_describe(slot, began_ns, &hang); /* false: it has returned */
	}
	zp_mutex_unlock(&watch->lock);
	if (hang.since_ns == 0)
		return false;
	*hang_out = hang;
	return true;
}

/* ---- Life ------------------------------------------------------------------------------------ */

struct zp_store_watch *
zp_store_watch_new(uint64_t hang_after_ns)
{
	struct zp_store_watch *watch = zp_alloc_zero(1, sizeof(*watch));

	watch->hang_after_ns = hang_after_ns;
	zp_mutex_init(&watch->lock);
	zp_cond_init(&watch->returned);
	zp_cond_init(&watch->idle);
	return watch;
}

void
zp_store_watch_free(struct zp_store_watch *watch)
{
	if (watch == NULL)
		return;
	store__readers_stop(watch);
	zp_cond_done(&watch->returned);
	zp_cond_done(&watch->idle);
	zp_mutex_done(&watch->lock);
	zp_free(watch);
}
