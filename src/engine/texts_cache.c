/*
 * texts_cache.c - see texts_cache.h.
 *
 * Each part has a table of chains and one queue from the newest entry to the oldest. Who is to go
 * is taken from its end; one that was read since it was last there goes to its beginning instead.
 */
#include "engine/texts_cache.h"

#include <pthread.h>

enum {
	PARTS = 16,
	KEEP_MISSES = 8,
	SLOTS_FIRST = 64,
	BLOCK_BYTES_USUAL = 2048,
	COUNTERS_MIN = 256, /* of a part: a power of two, as many as usual blocks fit */
	COUNTERS_MAX = 1 << 20,
};

struct entry {
	struct entry *chain; /* the next of the same slot */
	struct entry *newer; /* in the queue */
	struct texts_cache_place place;
	bool was_read; /* since it was last looked at for removal */
	uint8_t block[];
};

struct part {
	pthread_mutex_t lock;
	struct entry **slots; /* at least as many as entries */
	uint64_t slot_mask;
	uint64_t count;
	struct entry *oldest;
	struct entry *newest;
	uint64_t bytes;
	uint64_t misses;      /* since the counters were halved: KEEP_MISSES for each at most */
	uint8_t *miss_counts; /* by hash: two blocks may share one */
};

struct zp_texts_cache {
	uint64_t part_bytes_max;
	uint64_t counter_mask; /* of each part */
	struct part parts[PARTS];
};

struct zp_texts_cache *
zp_texts_cache_new(uint64_t bytes_max)
{
	struct zp_texts_cache *cache = zp_alloc_zero(1, sizeof(*cache));
	uint64_t counters = COUNTERS_MIN;

	cache->part_bytes_max = bytes_max / PARTS;
	while (counters * BLOCK_BYTES_USUAL < cache->part_bytes_max && counters < COUNTERS_MAX)
		counters *= 2;
	cache->counter_mask = counters - 1;
	for (size_t i = 0; i < PARTS; i++) {
		struct part *part = &cache->parts[i];

		pthread_mutex_init(&part->lock, NULL);
		part->slots = zp_alloc_zero(SLOTS_FIRST, sizeof(part->slots[0]));
		part->slot_mask = SLOTS_FIRST - 1;
		part->miss_counts = zp_alloc_zero(counters, 1);
	}
	return cache;
}

void
zp_texts_cache_free(struct zp_texts_cache *cache)
{
	if (cache == NULL)
		return;
	for (size_t i = 0; i < PARTS; i++) {
		struct part *part = &cache->parts[i];

		while (part->oldest != NULL) {
			struct entry *entry = part->oldest;

			part->oldest = entry->newer;
			zp_free(entry);
		}
		zp_free(part->slots);
		zp_free(part->miss_counts);
		pthread_mutex_destroy(&part->lock);
	}
	zp_free(cache);
}

uint64_t
zp_texts_cache_bytes(struct zp_texts_cache *cache)
{
	uint64_t bytes = 0;

	for (size_t i = 0; cache != NULL && i < PARTS; i++) {
		pthread_mutex_lock(&cache->parts[i].lock);
		bytes += cache->parts[i].bytes;
		pthread_mutex_unlock(&cache->parts[i].lock);
	}
	return bytes;
}

/* Serials and offsets are ours, so nobody can choose keys that share a slot. */
static uint64_t
hash_of(const struct texts_cache_place *place)
{
	uint64_t hash = (place->serial * 0x9E3779B97F4A7C15u) ^ place->offset;

	hash = (hash ^ hash >> 32) * 0xD6E8FEB86659FD93u;
	return hash ^ hash >> 32;
}

static struct part *
part_of(struct zp_texts_cache *cache, uint64_t hash)
{
	return &cache->parts[hash >> 60];
}

/* With its part of the slots, of which there are at most two for each entry. */
static uint64_t
bytes_of(const struct entry *entry)
{
	return sizeof(*entry) + entry->place.length + 2 * sizeof(struct entry *);
}

static bool
is_at(const struct entry *entry, const struct texts_cache_place *place)
{
	return entry->place.serial == place->serial && entry->place.offset == place->offset &&
	       entry->place.length == place->length;
}

static struct entry **
entry_find(struct part *part, uint64_t hash, const struct texts_cache_place *place)
{
	struct entry **link = &part->slots[hash & part->slot_mask];

	while (*link != NULL && !is_at(*link, place))
		link = &(*link)->chain;
	return link;
}

/* Whether the block was missed often enough to be kept. */
static bool
miss_count(const struct zp_texts_cache *cache, struct part *part, uint64_t hash)
{
	uint8_t *count = &part->miss_counts[(hash >> 32) & cache->counter_mask];
	bool is_wanted;

	*count += *count < UINT8_MAX;
	is_wanted = *count >= KEEP_MISSES;
	if (++part->misses > cache->counter_mask * KEEP_MISSES) {
		part->misses = 0;
		for (size_t i = 0; i <= cache->counter_mask; i++)
			part->miss_counts[i] /= 2;
	}
	return is_wanted;
}

enum texts_cache_answer
texts_cache__get(struct zp_texts_cache *cache, const struct texts_cache_place *place,
    uint64_t begin, uint64_t length, struct zp_buf *to)
{
	enum texts_cache_answer answer = TEXTS_CACHE_MISS;
	struct entry *entry;
	struct part *part;
	uint64_t hash;

	if (cache == NULL)
		return TEXTS_CACHE_MISS;
	ZP_ASSERT(begin <= place->length && length <= place->length - begin);
	hash = hash_of(place);
	part = part_of(cache, hash);
	pthread_mutex_lock(&part->lock);
	entry = *entry_find(part, hash, place);
	if (entry != NULL) {
		entry->was_read = true;
		zp_buf_append(to, entry->block + begin, length);
		answer = TEXTS_CACHE_HIT;
	} else if (miss_count(cache, part, hash)) {
		answer = TEXTS_CACHE_WANTED;
	}
	pthread_mutex_unlock(&part->lock);
	return answer;
}

static void
queue_add(struct part *part, struct entry *entry)
{
	entry->newer = NULL;
	if (part->newest == NULL)
		part->oldest = entry;
	else
		part->newest->newer = entry;
	part->newest = entry;
}

/* The oldest goes, or, once, to the beginning of the queue. */
static void
oldest_turn(struct part *part)
{
	struct entry *entry = part->oldest;
	struct entry **link;

	part->oldest = entry->newer;
	if (part->oldest == NULL)
		part->newest = NULL;
	if (entry->was_read) {
		entry->was_read = false;
		queue_add(part, entry);
		return;
	}
	link = entry_find(part, hash_of(&entry->place), &entry->place);
	*link = entry->chain;
	part->count--;
	part->bytes -= bytes_of(entry);
	zp_free(entry);
}

static void
slots_double(struct part *part)
{
	uint64_t slots = 2 * (part->slot_mask + 1);

	zp_free(part->slots);
	part->slots = zp_alloc_zero(slots, sizeof(part->slots[0]));
	part->slot_mask = slots - 1;
	for (struct entry *entry = part->oldest; entry != NULL; entry = entry->newer) {
		struct entry **slot = &part->slots[hash_of(&entry->place) & part->slot_mask];

		entry->chain = *slot;
		*slot = entry;
	}
}

void
texts_cache__keep(
    struct zp_texts_cache *cache, const struct texts_cache_place *place, const uint8_t *block)
{
	uint64_t hash = hash_of(place);
	struct part *part = part_of(cache, hash);
	struct entry *entry = zp_alloc(sizeof(*entry) + place->length);
	struct entry **link;

	*entry = (struct entry){.place = *place};
	memcpy(entry->block, block, place->length);
	pthread_mutex_lock(&part->lock);
	if (part->count > part->slot_mask)
		slots_double(part);
	link = entry_find(part, hash, place);
	if (*link == NULL && bytes_of(entry) <= cache->part_bytes_max) {
		*link = entry;
		queue_add(part, entry);
		part->count++;
		part->bytes += bytes_of(entry);
		while (part->bytes > cache->part_bytes_max)
			oldest_turn(part);
		entry = NULL;
	}
	pthread_mutex_unlock(&part->lock);
	zp_free(entry); /* another thread was first, or it is too large */
}
