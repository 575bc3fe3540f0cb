/*
 * tables.c - peers and allocation lists by id: what fact "allocations" means.
 *
 * Flow:    command registers, record facts refer, api shows.
 * Threads: one thread adds and finds; any thread reads JSON. An id is published by the atomic
 *          count behind it, JSON texts by an atomic pointer; nothing that was handed out moves or
 *          is freed before the tables are.
 */
#include "engine/tables_internal.h"

#include <stdio.h>

static const struct zp_buf empty_list_json = {.data = (uint8_t *)"[]", .length = 2};

struct zp_tables *
zp_tables_new(void)
{
	struct zp_tables *tables = zp_alloc_zero(1, sizeof(*tables));

	tables->file_bytes = ENVELOPE_BYTES;
	return tables;
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

/* What cannot be written to a file must not come in: no checkpoint would ever succeed again. */
static int
file_room_check(const struct zp_tables *tables, size_t bytes, struct zp_err *err)
{
	if (bytes > TABLES_BYTES_MAX - tables->file_bytes)
		return zp_fail(err, ZP_E_FULL,
		    "the tables of peers and allocation lists are full (%u bytes)",
		    TABLES_BYTES_MAX);
	return ZP_OK;
}

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

/* Whether the way from `id` along the moves comes by `peer`. */
static bool
moves_pass(const struct zp_tables *tables, uint32_t id, uint32_t peer)
{
	while (id != 0 && id != peer)
		id = peer_at(tables, id)->moved_to;
	return id != 0;
}

static bool
list_names(const struct zp_tables *tables, const struct list *list, uint32_t peer)
{
	for (uint32_t i = 0; i < list->count; i++) {
		if (moves_pass(tables, list->peers[i], peer))
			return true;
	}
	return false;
}

/* ---- Stand-ins for what is lost -------------------------------------------------------------- */

#define LOST_PEER "lost peer %u"
#define LOST_LIST "lost list %u"

/* A peer id that nobody has: an identity multihash of the text. */
static struct zp_slice
lost_content(const char *format, uint32_t id, uint8_t bytes[34])
{
	int length = snprintf((char *)bytes + 2, 32, format, id);

	bytes[0] = 0;
	bytes[1] = (uint8_t)length;
	return (struct zp_slice){bytes, 2 + (size_t)length};
}

static bool
is_stand_in(struct zp_slice binary)
{
	static const char peer[] = LOST_PEER, list[] = LOST_LIST;
	size_t length = sizeof(peer) - sizeof("%u");

	return binary.length > 2 + length && binary.data[0] == 0 &&
	       (memcmp(binary.data + 2, peer, length) == 0 ||
		   memcmp(binary.data + 2, list, length) == 0);
}

bool
zp_tables_list_is_lost(const struct zp_tables *tables, uint32_t id)
{
	uint8_t bytes[34];

	return id != 0 && id <= tables->list_count && list_at(tables, id)->count == 1 &&
	       zp_slice_equal(peer_content(tables, list_at(tables, id)->peers[0]),
		   lost_content(LOST_LIST, id, bytes));
}

int
zp_tables_peer_lose(struct zp_tables *tables, struct zp_err *err)
{
	uint32_t id = zp_tables_peer_next(tables);
	uint8_t bytes[34];

	return zp_tables_peer_add(tables, id, lost_content(LOST_PEER, id, bytes), err);
}

int
zp_tables_list_lose(struct zp_tables *tables, struct zp_err *err)
{
	uint32_t id = zp_tables_list_next(tables), peer = zp_tables_peer_next(tables);
	uint8_t bytes[34];
	int rc = zp_tables_peer_add(tables, peer, lost_content(LOST_LIST, id, bytes), err);

	return rc < 0 ? rc : zp_tables_list_add(tables, id, &peer, 1, err);
}

static void
json_renew(struct zp_tables *tables, struct list *list)
{
	tables->retired =
	    zp_realloc(tables->retired, (tables->retired_count + 1) * sizeof(struct zp_buf *));
	tables->retired[tables->retired_count++] =
	    atomic_exchange(&list->json, list_json(tables, list));
}

/* The list's peers after all. Found by its new content from now on; the old one's place in the
 * index leads to it, too, and is passed over. */
static void
list_replace(struct zp_tables *tables, uint32_t id, struct zp_slice content)
{
	struct list *list = list_at(tables, id);

	tables->file_bytes += content.length - list->count * sizeof(uint32_t);
	zp_free(list->peers);
	list->peers = zp_alloc(content.length);
	memcpy(list->peers, content.data, content.length);
	list->count = (uint32_t)(content.length / sizeof(uint32_t));
	index_add(tables, &tables->list_index, list_content, id);
	json_renew(tables, list);
	tables->generation++;
}

/* A peer comes under an id that stood in for it. If it stood in for a list, that list gets another.
 */
static int
peer_replace(struct zp_tables *tables, uint32_t id, struct zp_slice binary, struct zp_err *err)
{
	struct peer *peer = peer_at(tables, id);
	uint32_t moved[1] = {zp_tables_peer_next(tables)};
	uint32_t lost = 0;
	uint8_t bytes[34];
	int rc;

	for (uint32_t list = 1; lost == 0 && list <= tables->list_count; list++) {
		if (list_at(tables, list)->peers[0] == id && zp_tables_list_is_lost(tables, list))
			lost = list;
	}
	rc = file_room_check(tables, binary.length, err);
	tables->file_bytes += binary.length - peer->length;
	zp_free(peer->binary);
	peer->binary = zp_alloc(binary.length);
	memcpy(peer->binary, binary.data, binary.length);
	peer->length = (uint32_t)binary.length;
	index_add(tables, &tables->peer_index, peer_content, id);
	tables->generation++;
	if (rc == ZP_OK && lost != 0)
		rc =
		    zp_tables_peer_add(tables, moved[0], lost_content(LOST_LIST, lost, bytes), err);
	if (rc == ZP_OK && lost != 0)
		list_replace(
		    tables, lost, (struct zp_slice){(const uint8_t *)moved, sizeof(moved)});
	for (uint32_t list = 1; list <= tables->list_count; list++) {
		if (list_names(tables, list_at(tables, list), id))
			json_renew(tables, list_at(tables, list));
	}
	return rc;
}

/* ---- Adding peers and lists ------------------------------------------------------------------ */

int
zp_tables_peer_add(
    struct zp_tables *tables, uint32_t id, struct zp_slice binary, struct zp_err *err)
{
	size_t file_bytes = FIELD_BYTES + binary.length;
	struct peer *peer;
	int rc;

	if (id != 0 && id <= tables->peer_count) {
		if (!zp_slice_equal(peer_content(tables, id), binary)) {
			/* Of one and its stand-in the real one counts, whichever came first. */
			if (is_stand_in(binary))
				return ZP_OK;
			if (is_stand_in(peer_content(tables, id)) && binary.length > 0 &&
			    binary.length <= ZP_PEER_ID_BYTES_MAX)
				return peer_replace(tables, id, binary, err);
			return zp_fail(err, ZP_E_CORRUPT, "peer %u is defined twice", id);
		}
		return ZP_OK;
	}
	if (binary.length == 0 || binary.length > ZP_PEER_ID_BYTES_MAX)
		return zp_fail(err, ZP_E_INVALID, "a peer id of %zu bytes", binary.length);
	if (id != tables->peer_count + 1)
		return zp_fail(
		    err, ZP_E_CORRUPT, "peer %u comes behind peer %u", id, tables->peer_count);
	if (id >= ZP_PEERS_MAX)
		return zp_fail(err, ZP_E_FULL, "there are %u peers, the limit", ZP_PEERS_MAX);
	rc = file_room_check(tables, file_bytes, err);
	if (rc < 0)
		return rc;
	if (tables->peers[id / CHUNK_ENTRIES] == NULL)
		tables->peers[id / CHUNK_ENTRIES] =
		    zp_alloc_zero(CHUNK_ENTRIES, sizeof(struct peer));
	peer = peer_at(tables, id);
	peer->binary = zp_alloc(binary.length);
	memcpy(peer->binary, binary.data, binary.length);
	peer->length = (uint32_t)binary.length;
	tables->file_bytes += file_bytes;
	tables->peer_count = id;
	index_add(tables, &tables->peer_index, peer_content, id);
	tables->generation++;
	return ZP_OK;
}

int
zp_tables_list_add(
    struct zp_tables *tables, uint32_t id, const uint32_t *peers, size_t count, struct zp_err *err)
{
	struct zp_slice content = {
	    .data = (const uint8_t *)peers, .length = count * sizeof(uint32_t)};
	bool is_lost = zp_tables_list_is_lost(tables, id);
	struct list *list;
	int rc;

	if (id != 0 && id <= tables->list_count && !is_lost) {
		if (!zp_slice_equal(list_content(tables, id), content))
			return zp_fail(
			    err, ZP_E_CORRUPT, "allocation list %u is defined twice", id);
		return ZP_OK;
	}
	if (count == 0 || count > ZP_ALLOCATIONS_COUNT_MAX)
		return zp_fail(err, ZP_E_INVALID, "an allocation list of %zu peers", count);
	if (!is_lost && id != tables->list_count + 1)
		return zp_fail(err, ZP_E_CORRUPT, "allocation list %u comes behind list %u", id,
		    tables->list_count);
	if (id >= ZP_ALLOCATION_LISTS_MAX)
		return zp_fail(err, ZP_E_FULL, "there are %u allocation lists, the limit",
		    ZP_ALLOCATION_LISTS_MAX);
	rc = file_room_check(tables, FIELD_BYTES + content.length, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < count; i++) {
		if (peers[i] == 0 || peers[i] > tables->peer_count)
			return zp_fail(err, ZP_E_CORRUPT,
			    "allocation list %u names peer %u, which is not known", id, peers[i]);
	}
	if (is_lost) {
		if (!zp_slice_equal(list_content(tables, id), content))
			list_replace(tables, id, content);
		return ZP_OK;
	}
	if (tables->lists[id / CHUNK_ENTRIES] == NULL)
		tables->lists[id / CHUNK_ENTRIES] =
		    zp_alloc_zero(CHUNK_ENTRIES, sizeof(struct list));
	list = list_at(tables, id);
	list->peers = zp_alloc(content.length);
	memcpy(list->peers, peers, content.length);
	list->count = (uint32_t)count;
	list->json = list_json(tables, list);
	tables->file_bytes += FIELD_BYTES + content.length;
	tables->list_count = id;
	index_add(tables, &tables->list_index, list_content, id);
	tables->generation++;
	return ZP_OK;
}

int
tables__move_set(struct zp_tables *tables, uint32_t from, uint32_t to, struct zp_err *err)
{
	size_t file_bytes = FIELD_BYTES + sizeof(uint32_t);
	int rc;

	if (from == 0 || to == 0 || from > tables->peer_count || to > tables->peer_count)
		return zp_fail(err, ZP_E_NOT_FOUND, "peer %u or %u is not known", from, to);
	/* Anywhere on the way, not only at its end: `from` may have been moved elsewhere before. */
	if (moves_pass(tables, to, from))
		return zp_fail(err, ZP_E_INVALID, "peer %u was moved to peer %u before", to, from);
	if (peer_at(tables, from)->moved_to == 0) {
		rc = file_room_check(tables, file_bytes, err);
		if (rc < 0)
			return rc;
		tables->file_bytes += file_bytes;
	}
	peer_at(tables, from)->moved_to = to;
	tables->moves++;
	tables->generation++;
	return ZP_OK;
}

int
zp_tables_peer_move(struct zp_tables *tables, uint32_t from, uint32_t to, struct zp_err *err)
{
	int rc;

	if (from != 0 && from <= tables->peer_count && to != 0 &&
	    peer_at(tables, from)->moved_to == to)
		return ZP_OK;
	rc = tables__move_set(tables, from, to, err);
	if (rc < 0)
		return rc;
	for (uint32_t id = 1; id <= tables->list_count; id++) {
		struct list *list = list_at(tables, id);

		if (!list_names(tables, list, from))
			continue;
		json_renew(tables, list);
	}
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

void
tables__texts_renew(struct zp_tables *tables)
{
	for (uint32_t id = 1; id <= tables->list_count; id++) {
		struct list *list = list_at(tables, id);
		bool moved = false;

		for (uint32_t i = 0; i < list->count && !moved; i++)
			moved = peer_at(tables, list->peers[i])->moved_to != 0;
		if (moved)
			json_free(atomic_exchange(&list->json, list_json(tables, list)));
	}
}
