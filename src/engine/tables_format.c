/*
 * tables_format.c - the file of the tables.
 *
 * Flow:   a flush writes it beside the manifest, opening reads it. Any thread may write one while
 *         another adds.
 * Format: docs/formats.md, "Tables".
 */
#include "engine/tables_internal.h"

enum {
	TAG_PEER = 1,
	TAG_LIST = 2,
	TAG_MOVED = 3,
};

/*
 * Moves are single steps, so a copy made while one came in is as the moves were before or after it.
 * Of a copy made over several that cannot be said (it may even go in a circle): it is made again.
 */
static void
moves_encode(const struct zp_tables *tables, uint32_t peer_count, struct zp_buf *file)
{
	size_t begin = file->length;
	uint64_t moves;

	do {
		moves = tables->moves;
		if (!file->overflow)
			file->length = begin;
		for (uint32_t id = 1; id <= peer_count; id++) {
			uint32_t to = peer_at(tables, id)->moved_to;
			uint8_t field[8];

			if (to == 0 || to > peer_count) /* later than this copy: in the next */
				continue;
			zp_store_u32le(field, id);
			zp_store_u32le(field + 4, to);
			zp_envelope_field(file, TAG_MOVED, field, sizeof(field));
		}
	} while (tables->moves != moves);
}

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
	moves_encode(tables, peer_count, file);
	if (!file->overflow) /* the caller checks */
		zp_envelope_end(file);
}

struct decoding {
	struct zp_tables *tables;
	uint32_t moved_last;
};

/* Ids stand once each and rise by one, as they are written. */
static int
id_check(uint32_t id, uint32_t next, const char *what, struct zp_err *err)
{
	if (id != next)
		return zp_fail(
		    err, ZP_E_CORRUPT, "%s %u stands where %u should be", what, id, next);
	return ZP_OK;
}

static int
peer_decode(struct zp_tables *tables, struct zp_slice field, struct zp_err *err)
{
	uint32_t id = zp_load_u32le(field.data);
	int rc = id_check(id, zp_tables_peer_next(tables), "peer", err);

	return rc < 0 ? rc
		      : zp_tables_peer_add(
			    tables, id, (struct zp_slice){field.data + 4, field.length - 4}, err);
}

static int
list_decode(struct zp_tables *tables, struct zp_slice field, struct zp_err *err)
{
	uint32_t id = zp_load_u32le(field.data), peers[ZP_ALLOCATIONS_COUNT_MAX];
	size_t count = (field.length - 4) / 4;
	int rc = id_check(id, zp_tables_list_next(tables), "allocation list", err);

	if (rc < 0)
		return rc;
	if (field.length % 4 != 0 || count > ZP_ALLOCATIONS_COUNT_MAX)
		return zp_fail(err, ZP_E_CORRUPT, "an allocation list of %zu bytes", field.length);
	for (size_t i = 0; i < count; i++)
		peers[i] = zp_load_u32le(field.data + 4 + 4 * i);
	return zp_tables_list_add(tables, id, peers, count, err);
}

static int
moved_decode(struct decoding *decoding, struct zp_slice field, struct zp_err *err)
{
	uint32_t from = zp_load_u32le(field.data);

	if (field.length != 8)
		return zp_fail(err, ZP_E_CORRUPT, "a moved peer of %zu bytes", field.length);
	if (from <= decoding->moved_last)
		return zp_fail(err, ZP_E_CORRUPT, "moved peer %u stands behind %u", from,
		    decoding->moved_last);
	decoding->moved_last = from;
	return tables__move_set(decoding->tables, from, zp_load_u32le(field.data + 4), err);
}

static int
field_decode(struct decoding *decoding, uint16_t tag, struct zp_slice field, struct zp_err *err)
{
	if (field.length < 4)
		return zp_fail(err, ZP_E_CORRUPT, "field %u is too short", tag);
	switch (tag) {
	case TAG_PEER:
		return peer_decode(decoding->tables, field, err);
	case TAG_LIST:
		return list_decode(decoding->tables, field, err);
	case TAG_MOVED:
		return moved_decode(decoding, field, err);
	default:
		return zp_fail(err, ZP_E_VERSION, "field %u was written by a newer zpin", tag);
	}
}

int
zp_tables_decode(struct zp_slice file, struct zp_tables **tables_out, struct zp_err *err)
{
	struct zp_envelope_reader reader;
	struct decoding decoding = {0};
	struct zp_err why = {0};
	struct zp_slice field;
	uint16_t tag;
	int rc = zp_envelope_open(file, "ZPINtabl", "tables", &reader, err);

	if (rc < 0)
		return rc;
	decoding.tables = zp_tables_new();
	while ((rc = zp_envelope_next(&reader, &tag, &field, &why)) == ZP_OK) {
		rc = field_decode(&decoding, tag, field, &why);
		if (rc < 0)
			break;
	}
	if (rc < 0) {
		zp_tables_free(decoding.tables);
		/* A file that says such a thing is damaged, whatever the reason, or newer. */
		return zp_fail(err, rc == ZP_E_VERSION ? rc : ZP_E_CORRUPT, "tables: %s", why.text);
	}
	tables__texts_renew(decoding.tables);
	*tables_out = decoding.tables;
	return ZP_OK;
}
