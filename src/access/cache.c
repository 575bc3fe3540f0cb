/*
 * cache.c - passwords that were verified a moment ago, as keyed hashes in a table of fixed size.
 *
 * Flow: access.c looks here before it pays for an argon2id. Owner: access.c, under its lock.
 *
 * The tag is a keyed hash that no client can compute, so comparing its bytes tells a client
 * nothing.
 */
#include "access/access_internal.h"

static struct access_cache_entry *
cache_set(struct access_cache *cache, const uint8_t tag[ACCESS_TAG_BYTES])
{
	return cache->entries[tag[0] % ACCESS_CACHE_SETS];
}

static struct access_cache_entry *
cache_find(struct access_cache *cache, const uint8_t tag[ACCESS_TAG_BYTES])
{
	struct access_cache_entry *set = cache_set(cache, tag);

	for (unsigned way = 0; way < ACCESS_CACHE_WAYS; way++)
		if (set[way].deadline_ms != 0 && memcmp(set[way].tag, tag, ACCESS_TAG_BYTES) == 0)
			return &set[way];
	return NULL;
}

const struct zp_access_user *
access__cache_get(struct access_cache *cache, const uint8_t tag[ACCESS_TAG_BYTES], uint64_t now_ms)
{
	struct access_cache_entry *entry = cache_find(cache, tag);

	if (entry == NULL || entry->deadline_ms <= now_ms)
		return NULL;
	entry->deadline_ms = now_ms + cache->life_ms;
	return entry->user;
}

bool
access__cache_had(struct access_cache *cache, const uint8_t tag[ACCESS_TAG_BYTES])
{
	return cache_find(cache, tag) != NULL;
}

void
access__cache_put(struct access_cache *cache, const uint8_t tag[ACCESS_TAG_BYTES],
    const struct zp_access_user *user, uint64_t now_ms)
{
	struct access_cache_entry *entry = cache_find(cache, tag);
	struct access_cache_entry *set = cache_set(cache, tag);

	if (entry == NULL) {
		entry = &set[0];
		for (unsigned way = 1; way < ACCESS_CACHE_WAYS; way++)
			if (set[way].deadline_ms < entry->deadline_ms)
				entry = &set[way];
	}
	memcpy(entry->tag, tag, ACCESS_TAG_BYTES);
	entry->deadline_ms = now_ms + cache->life_ms;
	entry->user = user;
}
