/*
 * block_cache.c - see block_cache.h.
 *
 * Entries stand in a ring in the order in which they came: a new one goes to its head, and room is
 * made at its tail. What was found since it came, or since it was last at the tail, goes to the
 * head once more.
 *
 * They are found by sets of seven ways, one cache line each: a byte of hash for every way, and a
 * word that is the entry's address and bits that say whether it was found and had a turn.
 *
 * Room at the tail can be written over once every visit that began before the tail passed it is
 * over: such a visit says where the tail was. Who begins one later finds no name of what was there:
 * either its own loads come after the name went, or whoever wants the room sees the visit. For that
 * the four accesses are in one order for all threads (memory_order_seq_cst).
 */
#include "engine/block_cache.h"

#include <pthread.h>
#include <sys/mman.h>

#define WAYS 7u
#define PAGE_SETS 64u /* 4 KiB of them */
#define NEIGHBOURS 2u /* blocks that stand side by side and share a set */
#define ADDRESS_MASK (~UINT64_C(63))
#define WAS_FOUND UINT64_C(1)
#define HAD_TURN \
	UINT64_C(2) /* at the tail: when it is found then, it is asked for again and again */
#define ENTRY_ALIGNMENT 64u
#define SET_BYTES_USUAL                                                           \
	4096u /* of entries: one or two of the usual size, for sets fill unevenly \
	       */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1; older ones refuse it, and nothing is lost */
#endif
#define MISSED_PER_SET 4u /* blocks that were not here of late: twice as many as there may be */
#define ROOM_BYTES (64u << 10) /* any entry finds room while so much is free */
#define TURNS_MAX 8u           /* entries that go to the head again to let one in, */
#define TURNS_AGAIN_MAX 64u    /* and with those that had been there again before */
#define SPARE_DIVISOR 8u /* of the ring, at most, is kept free for what visits still look at */
#define SPARE_BYTES (ROOM_BYTES / 2)
#define VISITS 64u

struct set {
	_Atomic(uint64_t) tags; /* a byte for each way; the last is not used */
	_Atomic(uint64_t) ways[WAYS];
};
_Static_assert(sizeof(struct set) == 64, "a set is one cache line");

struct block_cache_visit {
	_Atomic(uint64_t) since; /* 1 + where the tail was; 0: there is none */
	uint64_t line[7];
};
_Static_assert(sizeof(struct block_cache_visit) == 64, "a visit is one cache line");

struct zp_block_cache {
	struct set *sets;
	uint64_t pages_count;      /* of sets */
	_Atomic(uint16_t) *missed; /* by hash; another part of the hash */
	struct block_cache_visit *visits;
	uint8_t *ring;
	uint64_t ring_bytes;
	pthread_mutex_t lock;   /* for what comes in and goes out: all below */
	uint64_t head;          /* where the next entry goes: counts on, is never taken modulo */
	_Atomic(uint64_t) tail; /* the oldest; visits read it */
	uint64_t seen_to;       /* what is before it, and so before the tail, no visit looks at */
	bool sets_are_huge;
	struct zp_buf moving;   /* an entry on its way from tail to head */
	_Atomic(uint64_t) used; /* head − tail, for facts */
};

static void *
memory_map(uint64_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static uint64_t
missed_count(const struct zp_block_cache *cache)
{
	return cache->pages_count * PAGE_SETS * MISSED_PER_SET;
}

struct zp_block_cache *
zp_block_cache_new(uint64_t bytes_max)
{
	struct zp_block_cache *cache = zp_alloc_zero(1, sizeof(*cache));

	cache->ring_bytes = (bytes_max & ~(uint64_t)(ENTRY_ALIGNMENT - 1)) + ENTRY_ALIGNMENT;
	cache->pages_count = bytes_max / SET_BYTES_USUAL / PAGE_SETS + 1;
	cache->ring = memory_map(cache->ring_bytes);
	cache->sets = memory_map(cache->pages_count * PAGE_SETS * sizeof(struct set));
	cache->missed = memory_map(missed_count(cache) * sizeof(cache->missed[0]));
	cache->visits = memory_map(VISITS * sizeof(cache->visits[0]));
	pthread_mutex_init(&cache->lock, NULL);
	zp_buf_init(&cache->moving, cache->ring_bytes);
	if (cache->ring == NULL || cache->sets == NULL || cache->missed == NULL ||
	    cache->visits == NULL) {
		zp_block_cache_free(cache);
		return NULL;
	}
	madvise(cache->ring, cache->ring_bytes, MADV_HUGEPAGE); /* a wish */
	return cache;
}

void
zp_block_cache_free(struct zp_block_cache *cache)
{
	if (cache == NULL)
		return;
	if (cache->sets != NULL)
		munmap(cache->sets, cache->pages_count * PAGE_SETS * sizeof(struct set));
	if (cache->missed != NULL)
		munmap(cache->missed, missed_count(cache) * sizeof(cache->missed[0]));
	if (cache->visits != NULL)
		munmap(cache->visits, VISITS * sizeof(cache->visits[0]));
	if (cache->ring != NULL)
		munmap(cache->ring, cache->ring_bytes);
	zp_buf_done(&cache->moving);
	pthread_mutex_destroy(&cache->lock);
	zp_free(cache);
}

uint64_t
zp_block_cache_bytes(const struct zp_block_cache *cache)
{
	return cache == NULL ? 0 : atomic_load_explicit(&cache->used, memory_order_relaxed);
}

static size_t
entry_bytes(const struct block_cache_entry *entry)
{
	size_t bytes = sizeof(*entry) + entry->bytes;

	return (bytes + ENTRY_ALIGNMENT - 1) & ~(size_t)(ENTRY_ALIGNMENT - 1);
}

static struct block_cache_entry *
entry_of(uint64_t word)
{
	return (struct block_cache_entry *)(uintptr_t)(word & ADDRESS_MASK);
}

/* ---- Visits ---------------------------------------------------------------------------------- */

/* Each thread tries a place of its own first. */
static unsigned
place_first(void)
{
	static _Atomic(unsigned) threads;
	static _Thread_local unsigned place;

	if (place == 0)
		place = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) + 1;
	return place;
}

struct block_cache_visit *
block_cache__enter(struct zp_block_cache *cache)
{
	if (cache == NULL)
		return NULL;
	for (unsigned place = place_first();; place++) {
		struct block_cache_visit *visit = &cache->visits[place % VISITS];
		uint64_t none = 0;
		uint64_t since = atomic_load_explicit(&cache->tail, memory_order_acquire) + 1;

		if (atomic_compare_exchange_strong(&visit->since, &none, since))
			return visit;
	}
}

void
block_cache__leave(struct block_cache_visit *visit)
{
	if (visit != NULL)
		atomic_store_explicit(&visit->since, 0, memory_order_release);
}

/* ---- Finding --------------------------------------------------------------------------------- */

/* Serials and numbers are ours, so nobody can choose blocks that share a set. */
static uint64_t
hash_of(uint64_t serial, uint64_t number)
{
	uint64_t hash = serial * UINT64_C(0x9e3779b97f4a7c15) + number;

	hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
}

/* Blocks that are neighbours share a page, two to a set: a segment whose blocks are here takes few
 * pages, whose addresses the processor then knows. */
static struct set *
set_of(const struct zp_block_cache *cache, uint64_t serial, uint64_t number)
{
	uint64_t hash = hash_of(serial, number / (NEIGHBOURS * PAGE_SETS));
	uint64_t page = (uint64_t)(((unsigned __int128)hash * cache->pages_count) >> 64);

	return &cache->sets[page * PAGE_SETS + number / NEIGHBOURS % PAGE_SETS];
}

static uint8_t
tag_of(uint64_t serial, uint64_t number)
{
	return (uint8_t)(hash_of(serial, number) >> 56);
}

/* The ways that may have that tag, as the highest bit of a byte each: the lowest has. */
static uint64_t
ways_alike(uint64_t tags, uint8_t tag)
{
	const uint64_t ones = UINT64_C(0x0001010101010101), highs = ones << 7;
	uint64_t differing = (tags ^ tag * ones) & (ones * 255);

	return (differing - ones) & ~differing & highs;
}

void
block_cache__prefetch(const struct zp_block_cache *cache, uint64_t serial, uint64_t number)
{
	if (cache != NULL)
		__builtin_prefetch(set_of(cache, serial, number));
}

static const struct block_cache_entry *
way_entry(_Atomic(uint64_t) *way)
{
	uint64_t word = atomic_load(way);

	if ((word & WAS_FOUND) ==
	    0) /* if it goes just now, the bit is of nothing or of what comes */
		atomic_fetch_or_explicit(way, WAS_FOUND, memory_order_relaxed);
	return entry_of(word);
}

/* The ways of the block's set that may be it. */
static inline uint64_t
alike_of(struct zp_block_cache *cache, uint64_t serial, uint64_t number, struct set **set_out)
{
	struct set *set = set_of(cache, serial, number);

	*set_out = set;
	return ways_alike(
	    atomic_load_explicit(&set->tags, memory_order_acquire), tag_of(serial, number));
}

const struct block_cache_entry *
block_cache__candidate(struct zp_block_cache *cache, uint64_t serial, uint64_t number)
{
	struct set *set;
	uint64_t alike;

	if (cache == NULL)
		return NULL;
	alike = alike_of(cache, serial, number, &set);
	return alike == 0 ? NULL : way_entry(&set->ways[__builtin_ctzll(alike) / 8]);
}

bool
block_cache__is(const struct block_cache_entry *entry, uint64_t serial, uint64_t number)
{
	return entry->serial == serial && entry->number == number;
}

const struct block_cache_entry *
block_cache__find(struct zp_block_cache *cache, uint64_t serial, uint64_t number)
{
	struct set *set;
	uint64_t alike;

	if (cache == NULL)
		return NULL;
	alike = alike_of(cache, serial, number, &set);
	for (; alike != 0; alike &= alike - 1) {
		const struct block_cache_entry *entry =
		    way_entry(&set->ways[__builtin_ctzll(alike) / 8]);

		if (entry != NULL && block_cache__is(entry, serial, number))
			return entry;
	}
	return NULL;
}

bool
block_cache__wants(struct zp_block_cache *cache, uint64_t serial, uint64_t number)
{
	uint64_t hash = hash_of(serial, number);
	uint16_t mark = (uint16_t)(hash | 1); /* 0: none */
	_Atomic(uint16_t) *missed;

	if (cache == NULL || atomic_load_explicit(&cache->used, memory_order_relaxed) + ROOM_BYTES <
				 cache->ring_bytes)
		return true;
	missed = &cache->missed[((unsigned __int128)hash * missed_count(cache)) >> 64];
	return atomic_exchange_explicit(missed, mark, memory_order_relaxed) == mark;
}

/* ---- The ring: under the lock ---------------------------------------------------------------- */

/* The way that names the entry; NULL: none does any more. */
static _Atomic(uint64_t) *
way_of(struct zp_block_cache *cache, const struct block_cache_entry *entry)
{
	struct set *set = set_of(cache, entry->serial, entry->number);

	for (unsigned way = 0; way < WAYS; way++) {
		if (entry_of(set->ways[way]) == entry)
			return &set->ways[way];
	}
	return NULL;
}

/* Names the entry in its set, in place of one that was not found since the set was last full: that
 * one's room is free when the tail comes to it. */
static void
entry_name(struct zp_block_cache *cache, struct block_cache_entry *entry, uint64_t had_turn)
{
	uint8_t tag = tag_of(entry->serial, entry->number);
	struct set *set = set_of(cache, entry->serial, entry->number);

	for (unsigned step = 0; step < 2 * WAYS; step++) {
		unsigned way = step % WAYS;
		uint64_t word = set->ways[way], tags;
		bool spared = entry_of(word) != NULL && (step < WAYS || (word & WAS_FOUND) != 0);

		if (step >= WAYS)
			atomic_fetch_and_explicit(
			    &set->ways[way], ~WAS_FOUND, memory_order_relaxed);
		if (spared || !atomic_compare_exchange_strong(
				  &set->ways[way], &word, (uint64_t)(uintptr_t)entry | had_turn))
			continue;
		tags = set->tags & ~(UINT64_C(255) << 8 * way);
		atomic_store_explicit(
		    &set->tags, tags | (uint64_t)tag << 8 * way, memory_order_release);
		return;
	}
}

static struct block_cache_entry *
ring_at(const struct zp_block_cache *cache, uint64_t position)
{
	return (struct block_cache_entry *)(void *)(cache->ring + position % cache->ring_bytes);
}

/* Room for an entry at the head, in one piece; the rest of the ring's end is an entry of nothing.
 */
static struct block_cache_entry *
head_take(struct zp_block_cache *cache, uint64_t bytes)
{
	uint64_t to_end = cache->ring_bytes - cache->head % cache->ring_bytes;
	struct block_cache_entry *entry = ring_at(cache, cache->head);

	if (bytes > to_end) {
		*entry = (struct block_cache_entry){.bytes_all = (uint32_t)to_end};
		cache->head += to_end;
		entry = ring_at(cache, cache->head);
	}
	cache->head += bytes;
	return entry;
}

/* What head_take would use. */
static uint64_t
head_wants(const struct zp_block_cache *cache, uint64_t bytes)
{
	uint64_t to_end = cache->ring_bytes - cache->head % cache->ring_bytes;

	return bytes > to_end ? bytes + to_end : bytes;
}

/* Of what the tail has passed, no visit that is left began before. */
static void
visits_look(struct zp_block_cache *cache)
{
	uint64_t seen_to = cache->tail;

	for (unsigned i = 0; i < VISITS; i++) {
		uint64_t since = atomic_load(&cache->visits[i].since);

		if (since != 0)
			seen_to = zp_min_u64(seen_to, since - 1);
	}
	/* One that has read the tail long before it said so can't find what went meanwhile. */
	cache->seen_to = zp_max_u64(cache->seen_to, seen_to);
}

/* What can be written over now. */
static uint64_t
ring_free(struct zp_block_cache *cache)
{
	visits_look(cache);
	return cache->ring_bytes - (cache->head - cache->seen_to);
}

/* Ends the oldest entry, or gives it one more turn. */
static void
tail_turn(struct zp_block_cache *cache, unsigned *turns)
{
	struct block_cache_entry *entry = ring_at(cache, cache->tail);
	uint64_t bytes = entry->bytes_all;
	_Atomic(uint64_t) *way = entry->serial == 0 ? NULL : way_of(cache, entry);
	uint64_t word = way == NULL ? 0 : atomic_exchange(way, 0);

	atomic_store_explicit(&cache->tail, cache->tail + bytes, memory_order_release);
	if ((word & WAS_FOUND) != 0 &&
	    *turns < ((word & HAD_TURN) != 0 ? TURNS_AGAIN_MAX : TURNS_MAX) &&
	    head_wants(cache, bytes) <= ring_free(cache)) {
		struct block_cache_entry *to;

		++*turns;
		/* By way of a copy: its new place, or the ring's end before that, may be where it
		 * is. */
		zp_buf_clear(&cache->moving);
		zp_buf_append(&cache->moving, entry, bytes);
		to = head_take(cache, bytes);
		memcpy(to, cache->moving.data, bytes);
		entry_name(cache, to, HAD_TURN);
	}
}

/* Ends what has to go so that so much is free, and some more, that visits may still look at. */
static void
tail_turns(struct zp_block_cache *cache, uint64_t bytes)
{
	uint64_t spare = zp_min_u64(SPARE_BYTES, cache->ring_bytes / SPARE_DIVISOR);
	unsigned turns = 0;

	while (cache->tail < cache->head &&
	       cache->ring_bytes - (cache->head - cache->tail) < head_wants(cache, bytes) + spare)
		tail_turn(cache, &turns);
}

/* The sets are touched at random, so they get huge pages only when entries take more memory than
 * those will: a node that is seldom asked stays small. */
static void
sets_spread(struct zp_block_cache *cache)
{
	uint64_t bytes = cache->pages_count * PAGE_SETS * sizeof(struct set);

	if (cache->sets_are_huge || cache->used < 2 * bytes)
		return;
	cache->sets_are_huge = true;
	madvise(cache->sets, bytes, MADV_HUGEPAGE);
	madvise(cache->sets, bytes, MADV_COLLAPSE); /* now, not when the kernel comes by */
}

void
block_cache__keep(struct zp_block_cache *cache, const struct block_cache_entry *entry)
{
	uint64_t bytes = entry_bytes(entry);
	struct block_cache_entry *kept;
	bool is_there;

	if (cache == NULL || bytes > cache->ring_bytes / 2)
		return;
	pthread_mutex_lock(&cache->lock); /* under which nothing is written over: no visit needed */
	is_there = block_cache__find(cache, entry->serial, entry->number) != NULL;
	if (!is_there)
		tail_turns(cache, bytes);
	if (!is_there && head_wants(cache, bytes) <= ring_free(cache)) {
		kept = head_take(cache, bytes);
		memcpy(kept, entry, sizeof(*entry) + entry->bytes);
		kept->bytes_all = (uint32_t)bytes;
		entry_name(cache, kept, 0);
		sets_spread(cache);
	}
	cache->used = cache->head - cache->tail;
	pthread_mutex_unlock(&cache->lock);
}
