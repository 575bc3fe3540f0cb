/*
 * allocation.c - lists of peers as the fact "allocations": registered once, named by id.
 *
 * Flow:  commit.c asks while it decides; new peers and lists become node records of the same
 * journal batch, before the pin that names them. Owner: the commit thread.
 *
 * The tables in memory learn an id before its record is durable. Nobody can see it until then: the
 * pin that names it is applied after the commit; and ids that a crash takes back name nothing.
 */
#include "command/command_internal.h"

int
command__peer_register(
    struct zp_node *node, struct zp_slice binary, uint32_t *id_out, struct zp_err *err)
{
	struct zp_tables *tables = zp_shards_tables(node->shards);
	uint32_t id = zp_tables_peer_find(tables, binary);
	int rc;

	if (id == 0) {
		id = zp_tables_peer_next(tables);
		rc = zp_tables_peer_add(tables, id, binary, err);
		if (rc < 0)
			return rc;
		zp_buf_clear(&node->commit.payload);
		zp_shard_peer_encode(id, binary, &node->commit.payload);
		rc = command__record_add(node, 0, 0, ZP_OP_PEER, err);
		if (rc < 0)
			return rc;
	}
	*id_out = id;
	return ZP_OK;
}

int
command__allocation_register(struct zp_node *node, const struct zp_slice *peers, size_t count,
    uint64_t *fact_out, struct zp_err *err)
{
	struct zp_tables *tables = zp_shards_tables(node->shards);
	uint32_t ids[ZP_ALLOCATIONS_COUNT_MAX];
	uint32_t list;
	int rc;

	if (count == 0) {
		*fact_out = 0;
		return ZP_OK;
	}
	if (count > ZP_ALLOCATIONS_COUNT_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE, "%zu allocations, at most %u are possible",
		    count, ZP_ALLOCATIONS_COUNT_MAX);
	for (size_t i = 0; i < count; i++) {
		rc = command__peer_register(node, peers[i], &ids[i], err);
		if (rc < 0)
			return rc;
	}
	list = zp_tables_list_find(tables, ids, count);
	if (list == 0) {
		list = zp_tables_list_next(tables);
		rc = zp_tables_list_add(tables, list, ids, count, err);
		if (rc < 0)
			return rc;
		zp_buf_clear(&node->commit.payload);
		zp_shard_list_encode(list, ids, count, &node->commit.payload);
		rc = command__record_add(node, 0, 0, ZP_OP_ALLOCATION_LIST, err);
		if (rc < 0)
			return rc;
	}
	*fact_out = (uint64_t)list << 1;
	return ZP_OK;
}

/* By the text that readers see, so that moved peers count as what they were moved to. */
bool
command__allocation_has_self(struct zp_node *node, uint64_t fact)
{
	ZP_AUTO_BUF(quoted, 2 * ZP_PEER_ID_BYTES_MAX + 2);
	struct zp_slice self = {node->options.peer_id, node->options.peer_id_bytes};
	struct zp_slice json;

	if (fact == 0 ||
	    zp_tables_allocations_json(zp_shards_tables(node->shards), fact, &json, NULL) < 0)
		return false;
	zp_buf_append_byte(&quoted, '"');
	zp_peer_id_format(self, &quoted);
	zp_buf_append_byte(&quoted, '"');
	return memmem(json.data, json.length, quoted.data, quoted.length) != NULL;
}
