/*
 * origins.c - how far each client's stream is durable: the latest 1,024 streams.
 *
 * Flow:  commit and replay set it, a checkpoint keeps it. Owner: the commit thread; a freeze takes
 *        a copy.
 *
 * A stream that was forgotten answers 0: its client sends from the start again, which writes
 * nothing twice, only slower. A linear search over 16 KiB costs less than a microsecond and is done
 * once a batch.
 */
#include "shard/shard_internal.h"

static struct zp_checkpoint_origin *
find(struct shard__origins *origins, const uint8_t id[16])
{
	for (uint32_t i = 0; i < origins->count; i++) {
		if (memcmp(origins->entries[i].id, id, 16) == 0)
			return &origins->entries[i];
	}
	return NULL;
}

uint64_t
shard__origin_get(const struct shard__origins *origins, const uint8_t id[16])
{
	for (uint32_t i = 0; i < origins->count; i++) {
		if (memcmp(origins->entries[i].id, id, 16) == 0)
			return origins->entries[i].sequence;
	}
	return 0;
}

static struct zp_checkpoint_origin *
take_place(struct shard__origins *origins)
{
	struct zp_checkpoint_origin *oldest = &origins->entries[0];

	if (origins->count < ZP_ORIGINS_MAX)
		return &origins->entries[origins->count++];
	for (uint32_t i = 1; i < origins->count; i++) {
		if (origins->entries[i].time_microseconds < oldest->time_microseconds)
			oldest = &origins->entries[i];
	}
	return oldest;
}

void
shard__origin_set(struct shard__origins *origins, const uint8_t id[16], uint64_t sequence,
    int64_t now_microseconds)
{
	struct zp_checkpoint_origin *entry = find(origins, id);

	if (entry == NULL) {
		entry = take_place(origins);
		memcpy(entry->id, id, 16);
		entry->sequence = 0;
	}
	entry->sequence = zp_max_u64(entry->sequence, sequence);
	entry->time_microseconds = now_microseconds;
}

uint64_t
zp_shards_origin_get(const struct zp_shards *shards, const uint8_t id[16])
{
	return shard__origin_get(&shards->origins, id);
}

void
zp_shards_origin_set(
    struct zp_shards *shards, const uint8_t id[16], uint64_t sequence, int64_t now_microseconds)
{
	shard__origin_set(&shards->origins, id, sequence, now_microseconds);
}
