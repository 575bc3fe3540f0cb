/*
 * segment_hash.c - hashes of bytes that come in pieces.
 *
 * Flow: the writer names the file by hash128, and verify compares; hash64 is of a directory that is
 * not held as a whole. The same values as zp_hash128_of() and zp_hash64().
 */
#include "engine/segment_internal.h"

#include <xxhash.h>

/* The hash's own state behind a name of ours, so that no header needs xxhash.h. */
struct segment_hash *
segment__hash_new(void)
{
	XXH3_state_t *state = XXH3_createState();

	ZP_ASSERT(state != NULL);
	ZP_ASSERT(XXH3_128bits_reset(state) == XXH_OK);
	return (struct segment_hash *)state;
}

void
segment__hash_free(struct segment_hash *hash)
{
	XXH3_freeState((XXH3_state_t *)hash);
}

void
segment__hash_update(struct segment_hash *hash, const void *data, size_t length)
{
	ZP_ASSERT(XXH3_128bits_update((XXH3_state_t *)hash, data, length) == XXH_OK);
}

struct zp_hash128
segment__hash_end(const struct segment_hash *hash)
{
	XXH128_hash_t value = XXH3_128bits_digest((const XXH3_state_t *)hash);

	return (struct zp_hash128){.low = value.low64, .high = value.high64};
}

struct segment_hash *
segment__hash64_new(uint64_t seed)
{
	XXH3_state_t *state = XXH3_createState();

	ZP_ASSERT(state != NULL);
	ZP_ASSERT(XXH3_64bits_reset_withSeed(state, seed) == XXH_OK);
	return (struct segment_hash *)state;
}

uint64_t
segment__hash64_end(const struct segment_hash *hash)
{
	return XXH3_64bits_digest((const XXH3_state_t *)hash);
}
