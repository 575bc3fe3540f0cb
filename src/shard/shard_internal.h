/*
 * shard_internal.h - what the files of shard share.
 *
 * Owner: the opening thread first, then as shard.h says of each call.
 */
#ifndef ZP_SHARD_SHARD_INTERNAL_H
#define ZP_SHARD_SHARD_INTERNAL_H

#include "shard/shard.h"

#define SHARD__NAME_BYTES 64u /* "checkpoint-" and 16 hex digits fit */

/* Encoded sizes at the limits, with room for headers. */
#define SHARD__MAP_BYTES_MAX (4096u + ZP_SHARDS_MAX * 136u)
#define SHARD__CHECKPOINT_BYTES_MAX (4096u + ZP_SHARDS_MAX * 88u + ZP_ORIGINS_MAX * 40u)

/* ---- Origins (origins.c) -------------------------------------------------------------------- */

struct shard__origins {
	struct zp_checkpoint_origin entries[ZP_ORIGINS_MAX];
	uint32_t count;
};

uint64_t shard__origin_get(const struct shard__origins *origins, const uint8_t id[16]);
void shard__origin_set(struct shard__origins *origins, const uint8_t id[16], uint64_t sequence,
    int64_t now_microseconds);

/* ---- The set (set.c) ------------------------------------------------------------------------ */

struct shard__member {
	struct zp_store *store;   /* owned */
	struct zp_engine *engine; /* owned */
	uint64_t covered;         /* while starting: batches up to here are in the files */
	bool is_renewed;          /* zp_shards_renew made it: it is replayed from the first batch */
};

struct zp_shards {
	struct zp_shards_options options; /* root is our own copy */
	char *root;
	struct zp_shard_map map;
	struct shard__member *members; /* map.count, in the map's order */
	uint32_t *by_id;               /* indexes of members, rising by shard id */
	struct zp_tables *tables;
	struct shard__origins origins;

	struct zp_checkpoint newest;
	struct zp_checkpoint older;  /* number 0: there is none */
	uint64_t checkpoint_highest; /* number ever seen in the directory, whole or not */

	/* Of the last freeze; written by the owner, read by maintenance, never at the same time. */
	uint64_t frozen_epoch;
	uint64_t frozen_batch;
	struct shard__origins frozen_origins;

	/* While starting. */
	struct zp_group *replay_group;
	struct zp_shard_change *replay_change;
	uint64_t memory_floor; /* bytes of all memtables while empty */
	bool keeps_positions;
	uint64_t replayed;
	uint64_t replay_unknown; /* records whose old state is in damaged files */
};

/* Index of the member with that id, or -1. */
int64_t shard__find_id(const struct zp_shards *shards, uint64_t shard_id);

/* A folder below the node's root. */
ZP_MUST_CHECK int shard__directory_open(const struct zp_shards_options *options, const char *name,
    bool create, struct zp_store **store_out, struct zp_err *err);
/* The shard's folder; its files as the map has it, made and opened (member.c). */
ZP_MUST_CHECK int shard__store_open(const struct zp_shards_options *options, uint64_t shard_id,
    bool create, struct zp_store **store_out, struct zp_err *err);
ZP_MUST_CHECK int shard__member_create(const struct zp_shards_options *options,
    const struct zp_shard_map *map, uint32_t index, struct zp_err *err);
ZP_MUST_CHECK int shard__member_open(
    struct zp_shards *shards, uint32_t index, bool *map_changed, struct zp_err *err);

/* The same as of shards->newest. */
ZP_MUST_CHECK int shard__member_open_at(
    struct zp_shards *shards, uint32_t index, struct zp_err *err);

/* Goes on without the shard; what was open of it is closed. Opening only. */
void shard__suspend(struct zp_shards *shards, uint32_t index, const char *why);

void shard__warn(const struct zp_shards *shards, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The map has no older one to fall back to, so there are two files of each. */
#define SHARD__MAP_COPY "copy-of-map"
/* Written as map.number, which the caller has raised; the copy first. */
ZP_MUST_CHECK int shard__map_write(
    struct zp_store *store, const struct zp_shard_map *map, struct zp_err *err);
ZP_MUST_CHECK int shard__checkpoint_write(
    struct zp_store *store, const struct zp_checkpoint *checkpoint, struct zp_err *err);

/* "checkpoint-<number> is checkpoint <found> of another node" */
int shard__mixed_up(uint64_t number, uint64_t found, struct zp_err *err);

/* ---- Files of the node's directory (files.c) ------------------------------------------------ */

/* Numbers of the files "<prefix>-<16 hex digits>", falling; at most `numbers_max` are kept. */
ZP_MUST_CHECK int shard__numbers_list(struct zp_store *store, const char *prefix,
    uint64_t *numbers_out, size_t numbers_max, size_t *count_out, struct zp_err *err);
/* Removes "*.tmp": writes that never finished. */
ZP_MUST_CHECK int shard__unfinished_remove(struct zp_store *store, struct zp_err *err);
void shard__name(const char *prefix, uint64_t number, char name_out[SHARD__NAME_BYTES]);

#endif
