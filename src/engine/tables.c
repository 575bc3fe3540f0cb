/*
 * tables.c - peers and allocation lists by id: what fact "allocations" means.
 *
 * Flow:    command registers, record facts refer, api shows.
 * Threads: one thread adds and finds; any thread reads JSON. An id is published by the atomic
 *          count behind it, JSON texts by an atomic pointer; nothing that was handed out moves or is
 *          freed before the tables are.
 * Format:  docs/formats.md, "Tables".
 */
#include "engine/engine.h"

#include <stdatomic.h>

enum {
	CHUNK_ENTRIES = 4096,
	PEER_CHUNKS = ZP_PEERS_MAX / CHUNK_ENTRIES,
	LIST_CHUNKS = ZP_ALLOCATION_LISTS_MAX / CHUNK_ENTRIES,
	TAG_PEER = 1,
	TAG_LIST = 2,
	TAG_MOVED = 3,
};

struct peer {
	uint8_t *binary;	    /* owned */
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
	struct index peer_index;
	struct index list_index;
	struct zp_buf **retired; /* JSON texts that a move replaced; readers may still hold them */
	size_t retired_count;
};

static const struct zp_buf empty_list_json = {.data = (uint8_t *)"[]", .length = 2};

static struct peer *
peer_at(const struct zp_tables *tables, uint32_t id)
{
	return &tables->peers[id / CHUNK_ENTRIES][id % CHUNK_ENTRIES];
}

static struct list *
list_at(const struct zp_tables *tables, uint32_t id)
{
	return &tables->lists[id / CHUNK_ENTRIES][id % CHUNK_ENTRIES];
}

struct zp_tables *
zp_tables_new(void)
{
	return zp_alloc_zero(1, sizeof(struct zp_tables));
}

static void
json_free(struct zp_buf *json)
{
	zp_buf_done(json);
	zp_free(json);
}

void
zp_tables_free(struct zp_tables *tables)
{
	if (tables == NULL)
		return;
	for (uint32_t id = 1; id <= tables->peer_count; id++)
		zp_free(peer_at(tables, id)->binary);
	for (uint32_t id = 1; id <= tables->list_count; id++) {
		zp_free(list_at(tables, id)->peers);
		json_free(list_at(tables, id)->json);
	}
	for (size_t i = 0; i < ZP_ARRAY_COUNT(tables->peers); i++)
		zp_free(tables->peers[i]);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(tables->lists); i++)
		zp_free(tables->lists[i]);
	for (size_t i = 0; i < tables->retired_count; i++)
		json_free(tables->retired[i]);
	zp_free(tables->retired);
	zp_free(tables->peer_index.slots);
	zp_free(tables->list_index.slots);
	zp_free(tables);
}

/* ---- Finding by content ---------------------------------------------------------------------- */

static struct zp_slice
peer_content(const struct zp_tables *tables, uint32_t id)
{
	const struct peer *peer = peer_at(tables, id);

	return (struct zp_slice){.data = peer->binary, .length = peer->length};
}

static struct zp_slice
list_content(const struct zp_tables *tables, uint32_t id)
{
	const struct list *list = list_at(tables, id);

	return (struct zp_slice){
	    .data = (const uint8_t *)list->peers, .length = list->count * sizeof(uint32_t)};
}

typedef struct zp_slice content_of(const struct zp_tables *tables, uint32_t id);

static uint32_t
index_find(const struct zp_tables *tables, const struct index *index, content_of *content,
    struct zp_slice wanted)
{
	if (index->slots == NULL)
		return 0;
	for (uint32_t at = (uint32_t)zp_hash64(wanted.data, wanted.length, 0);; at++) {
		uint32_t id = index->slots[at & index->mask];

		if (id == 0 || zp_slice_equal(content(tables, id), wanted))
			return id;
	}
}

static void
index_insert(struct index *index, uint32_t id, struct zp_slice content)
{
	uint32_t at = (uint32_t)zp_hash64(content.data, content.length, 0);

	while (index->slots[at & index->mask] != 0)
		at++;
	index->slots[at & index->mask] = id;
	index->used++;
}

static void
index_add(const struct zp_tables *tables, struct index *index, content_of *content, uint32_t id)
{
	if (index->slots == NULL || index->used * 2 > index->mask) {
		uint32_t *old = index->slots;
		uint32_t old_mask = index->mask;

		index->mask = old == NULL ? 63 : old_mask * 2 + 1;
		index->slots = zp_alloc_zero((size_t)index->mask + 1, sizeof(uint32_t));
		index->used = 0;
		for (uint32_t i = 0; old != NULL && i <= old_mask; i++) {
			if (old[i] != 0)
				index_insert(index, old[i], content(tables, old[i]));
		}
		zp_free(old);
	}
	index_insert(index, id, content(tables, id));
}

uint32_t
zp_tables_peer_find(const struct zp_tables *tables, struct zp_slice binary)
{
	return index_find(tables, &tables->peer_index, peer_content, binary);
}

uint32_t
zp_tables_list_find(const struct zp_tables *tables, const uint32_t *peers, size_t count)
{
	struct zp_slice wanted = {
	    .data = (const uint8_t *)peers, .length = count * sizeof(uint32_t)};

	return index_find(tables, &tables->list_index, list_content, wanted);
}

uint32_t
zp_tables_peer_next(const struct zp_tables *tables)
{
	return tables->peer_count + 1;
}

uint32_t
zp_tables_list_next(const struct zp_tables *tables)
{
	return tables->list_count + 1;
}

uint64_t
zp_tables_generation(const struct zp_tables *tables)
{
	return tables->generation;
}

/* ---- Adding ---------------------------------------------------------------------------------- */

/* The peer that `id` stands for after all moves; moves have no cycles (zp_tables_peer_move). */
static uint32_t
peer_resolve(const struct zp_tables *tables, uint32_t id)
{
	uint32_t to;

	while ((to = peer_at(tables, id)->moved_to) != 0)
		id = to;
	return id;
}

/* A list's JSON: a peer that moves made equal to one before it is left out. */
static struct zp_buf *
list_json(const struct zp_tables *tables, const struct list *list)
{
	struct zp_buf *json = zp_alloc(sizeof(*json));

	zp_buf_init(json, (size_t)list->count * (2 * ZP_PEER_ID_BYTES_MAX + 3) + 2);
	zp_buf_append_byte(json, '[');
	for (uint32_t i = 0; i < list->count; i++) {
		uint32_t id = peer_resolve(tables, list->peers[i]);
		bool seen = false;

		for (uint32_t before = 0; before < i && !seen; before++)
			seen = peer_resolve(tables, list->peers[before]) == id;
		if (seen)
			continue;
		zp_buf_append_text(json, json->length == 1 ? "\"" : ",\"");
		zp_peer_id_format(peer_content(tables, id), json);
		zp_buf_append_byte(json, '"');
	}
	zp_buf_append_byte(json, ']');
	ZP_ASSERT(!json->overflow);
	return json;
}

int
zp_tables_peer_add(struct zp_tables *tables, uint32_t id, struct zp_slice binary,
    struct zp_err *err)
{
	struct peer *peer;

	if (id != 0 && id <= tables->peer_count) {
		if (!zp_slice_equal(peer_content(tables, id), binary))
			return zp_fail(err, ZP_E_CORRUPT, "peer %u is defined twice", id);
		return ZP_OK;
	}
	if (binary.length == 0 || binary.length > ZP_PEER_ID_BYTES_MAX)
		return zp_fail(err, ZP_E_INVALID, "a peer id of %zu bytes", binary.length);
	if (id != tables->peer_count + 1)
		return zp_fail(err, ZP_E_CORRUPT, "peer %u comes behind peer %u", id,
		    tables->peer_count);
	if (id >= ZP_PEERS_MAX)
		return zp_fail(err, ZP_E_FULL, "there are %u peers, the limit", ZP_PEERS_MAX);
	if (tables->peers[id / CHUNK_ENTRIES] == NULL)
		tables->peers[id / CHUNK_ENTRIES] =
		    zp_alloc_zero(CHUNK_ENTRIES, sizeof(struct peer));
	peer = peer_at(tables, id);
	peer->binary = zp_alloc(binary.length);
	memcpy(peer->binary, binary.data, binary.length);
	peer->length = (uint32_t)binary.length;
	tables->peer_count = id;
	index_add(tables, &tables->peer_index, peer_content, id);
	tables->generation++;
	return ZP_OK;
}

int
zp_tables_list_add(struct zp_tables *tables, uint32_t id, const uint32_t *peers, size_t count,
    struct zp_err *err)
{
	struct zp_slice content = {
	    .data = (const uint8_t *)peers, .length = count * sizeof(uint32_t)};
	struct list *list;

	if (id != 0 && id <= tables->list_count) {
		if (!zp_slice_equal(list_content(tables, id), content))
			return zp_fail(err, ZP_E_CORRUPT, "allocation list %u is defined twice", id);
		return ZP_OK;
	}
	if (count == 0 || count > ZP_ALLOCATIONS_COUNT_MAX)
		return zp_fail(err, ZP_E_INVALID, "an allocation list of %zu peers", count);
	if (id != tables->list_count + 1)
		return zp_fail(err, ZP_E_CORRUPT, "allocation list %u comes behind list %u", id,
		    tables->list_count);
	if (id >= ZP_ALLOCATION_LISTS_MAX)
		return zp_fail(err, ZP_E_FULL, "there are %u allocation lists, the limit",
		    ZP_ALLOCATION_LISTS_MAX);
	for (size_t i = 0; i < count; i++) {
		if (peers[i] == 0 || peers[i] > tables->peer_count)
			return zp_fail(err, ZP_E_CORRUPT, "allocation list %u names peer %u, which is not known",
			    id, peers[i]);
	}
	if (tables->lists[id / CHUNK_ENTRIES] == NULL)
		tables->lists[id / CHUNK_ENTRIES] =
		    zp_alloc_zero(CHUNK_ENTRIES, sizeof(struct list));
	list = list_at(tables, id);
	list->peers = zp_alloc(content.length);
	memcpy(list->peers, peers, content.length);
	list->count = (uint32_t)count;
	list->json = list_json(tables, list);
	tables->list_count = id;
	index_add(tables, &tables->list_index, list_content, id);
	tables->generation++;
	return ZP_OK;
}

int
zp_tables_peer_move(struct zp_tables *tables, uint32_t from, uint32_t to, struct zp_err *err)
{
	if (from == 0 || to == 0 || from > tables->peer_count || to > tables->peer_count)
		return zp_fail(err, ZP_E_NOT_FOUND, "peer %u or %u is not known", from, to);
	if (peer_at(tables, from)->moved_to == to)
		return ZP_OK;
	if (peer_resolve(tables, to) == from)
		return zp_fail(err, ZP_E_INVALID, "peer %u was moved to peer %u before", to, from);
	peer_at(tables, from)->moved_to = to;
	for (uint32_t id = 1; id <= tables->list_count; id++) {
		struct list *list = list_at(tables, id);
		struct zp_buf *json = list_json(tables, list);

		tables->retired = zp_realloc(tables->retired,
		    (tables->retired_count + 1) * sizeof(struct zp_buf *));
		tables->retired[tables->retired_count++] = atomic_exchange(&list->json, json);
	}
	tables->generation++;
	return ZP_OK;
}

int
zp_tables_allocations_json(const struct zp_tables *tables, uint64_t allocations,
    struct zp_slice *json_out, struct zp_err *err)
{
	if (allocations == 0) {
		*json_out = zp_buf_slice(&empty_list_json);
		return ZP_OK;
	}
	if ((allocations & 1) != 0 || allocations >> 1 > tables->list_count)
		return zp_fail(err, ZP_E_CORRUPT, "allocations %llu are not in the tables",
		    (unsigned long long)allocations);
	*json_out = zp_buf_slice(list_at(tables, (uint32_t)(allocations >> 1))->json);
	return ZP_OK;
}

/* ---- The file -------------------------------------------------------------------------------- */

void
zp_tables_encode(const struct zp_tables *tables, struct zp_buf *file)
{
	ZP_AUTO_BUF(field, (ZP_ALLOCATIONS_COUNT_MAX + 1) * sizeof(uint32_t));
	/* Lists first: every peer that a list names was there before the list. */
	uint32_t list_count = tables->list_count;
	uint32_t peer_count = tables->peer_count;

	zp_envelope_begin(file, "ZPINtabl");
	for (uint32_t id = 1; id <= peer_count; id++) {
		zp_buf_clear(&field);
		zp_buf_append_u32le(&field, id);
		zp_buf_append_slice(&field, peer_content(tables, id));
		zp_envelope_field(file, TAG_PEER, field.data, field.length);
	}
	for (uint32_t id = 1; id <= list_count; id++) {
		zp_buf_clear(&field);
		zp_buf_append_u32le(&field, id);
		zp_buf_append_slice(&field, list_content(tables, id));
		zp_envelope_field(file, TAG_LIST, field.data, field.length);
	}
	for (uint32_t id = 1; id <= peer_count; id++) {
		uint32_t to = peer_at(tables, id)->moved_to;

		if (to == 0 || to > peer_count) /* later than this copy: in the next */
			continue;
		zp_buf_clear(&field);
		zp_buf_append_u32le(&field, id);
		zp_buf_append_u32le(&field, to);
		zp_envelope_field(file, TAG_MOVED, field.data, field.length);
	}
	if (!file->overflow) /* the caller checks */
		zp_envelope_end(file);
}

static int
field_apply(struct zp_tables *tables, uint16_t tag, struct zp_slice field, struct zp_err *err)
{
	uint32_t peers[ZP_ALLOCATIONS_COUNT_MAX];
	size_t count;

	if (field.length < 4)
		return zp_fail(err, ZP_E_CORRUPT, "field %u is too short", tag);
	switch (tag) {
	case TAG_PEER:
		return zp_tables_peer_add(tables, zp_load_u32le(field.data),
		    (struct zp_slice){field.data + 4, field.length - 4}, err);
	case TAG_LIST:
		count = (field.length - 4) / 4;
		if (field.length % 4 != 0 || count > ZP_ALLOCATIONS_COUNT_MAX)
			return zp_fail(err, ZP_E_CORRUPT, "an allocation list of %zu bytes",
			    field.length);
		memcpy(peers, field.data + 4, count * 4);
		return zp_tables_list_add(tables, zp_load_u32le(field.data), peers, count, err);
	case TAG_MOVED:
		if (field.length != 8)
			return zp_fail(err, ZP_E_CORRUPT, "a moved peer of %zu bytes", field.length);
		return zp_tables_peer_move(tables, zp_load_u32le(field.data),
		    zp_load_u32le(field.data + 4), err);
	default:
		return zp_fail(err, ZP_E_CORRUPT, "field %u is not known", tag);
	}
}

int
zp_tables_decode(struct zp_slice file, struct zp_tables **tables_out, struct zp_err *err)
{
	struct zp_envelope_reader reader;
	struct zp_tables *tables;
	struct zp_slice field;
	uint16_t tag;
	int rc = zp_envelope_open(file, "ZPINtabl", "tables", &reader, err);

	if (rc < 0)
		return rc;
	tables = zp_tables_new();
	while ((rc = zp_envelope_next(&reader, &tag, &field, err)) == ZP_OK) {
		rc = field_apply(tables, tag, field, err);
		if (rc < 0)
			break;
	}
	if (rc < 0) {
		zp_tables_free(tables);
		return zp_wrap(err, ZP_E_CORRUPT, "tables");
	}
	*tables_out = tables;
	return ZP_OK;
}
