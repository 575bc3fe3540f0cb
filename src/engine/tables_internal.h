/*
 * tables_internal.h - the inside of the tables: what tables.c adds to and tables_format.c writes
 * and reads.
 */
#ifndef ZP_ENGINE_TABLES_INTERNAL_H
#define ZP_ENGINE_TABLES_INTERNAL_H

#include "engine/engine_internal.h"

#include <stdatomic.h>

enum {
	CHUNK_ENTRIES = 4096,
	PEER_CHUNKS = ZP_PEERS_MAX / CHUNK_ENTRIES,
	LIST_CHUNKS = ZP_ALLOCATION_LISTS_MAX / CHUNK_ENTRIES,
	ENVELOPE_BYTES = 56,
	FIELD_BYTES = 12, /* of a field: its header and the id */
};

struct peer {
	uint8_t *binary; /* owned */
	uint32_t length;
	_Atomic(uint32_t) moved_to; /* 0: not moved */
};

struct list {
	uint32_t *peers; /* owned */
	uint32_t count;
	_Atomic(struct zp_buf *) json; /* the present text; old ones are in `retired` */
};

/* Open addressing over ids, for finding by content; the adder's only. */
struct index {
	uint32_t *slots; /* id, 0 empty */
	uint32_t mask;
	uint32_t used;
};

struct zp_tables {
	struct peer *peers[PEER_CHUNKS + 1];
	struct list *lists[LIST_CHUNKS + 1];
	_Atomic(uint32_t) peer_count; /* ids 1 … count are there */
	_Atomic(uint32_t) list_count;
	_Atomic(uint64_t) generation;
	_Atomic(uint64_t)
	    moves;           /* rises behind each move: who copies them sees whether they changed */
	uint64_t file_bytes; /* of the file form, kept below TABLES_BYTES_MAX */
	struct index peer_index;
	struct index list_index;
	struct zp_buf **retired; /* JSON texts that a move replaced; readers may still hold them */
	size_t retired_count;
};

static inline struct peer *
peer_at(const struct zp_tables *tables, uint32_t id)
{
	return &tables->peers[id / CHUNK_ENTRIES][id % CHUNK_ENTRIES];
}

static inline struct list *
list_at(const struct zp_tables *tables, uint32_t id)
{
	return &tables->lists[id / CHUNK_ENTRIES][id % CHUNK_ENTRIES];
}

static inline struct zp_slice
peer_content(const struct zp_tables *tables, uint32_t id)
{
	const struct peer *peer = peer_at(tables, id);

	return (struct zp_slice){.data = peer->binary, .length = peer->length};
}

static inline struct zp_slice
list_content(const struct zp_tables *tables, uint32_t id)
{
	const struct list *list = list_at(tables, id);

	return (struct zp_slice){
	    .data = (const uint8_t *)list->peers, .length = list->count * sizeof(uint32_t)};
}

/* The move without its effect on the lists' texts; errors as of zp_tables_peer_move. */
ZP_MUST_CHECK int tables__move_set(
    struct zp_tables *tables, uint32_t from, uint32_t to, struct zp_err *err);
/* Texts of lists that were made before the moves, as in a file; nobody reads them yet. */
void tables__texts_renew(struct zp_tables *tables);

#endif
