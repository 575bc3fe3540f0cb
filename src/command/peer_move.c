/*
 * peer_move.c - from now on one peer reads as another in every allocation list: `zpin peers map`.
 *
 * Flow:  caller → errand on the commit thread → tables and journal. No pin is rewritten.
 */
#include "command/command_internal.h"

struct move {
	struct zp_slice from;
	struct zp_slice to;
};

/* The tables refuse what makes no sense (a peer moved to itself over others), and replay could not
 * take that either: so they are asked before anything is journaled. */
static int
move(struct zp_node *node, void *context, struct zp_err *err)
{
	const struct move *wanted = context;
	struct zp_tables *tables = zp_shards_tables(node->shards);
	struct command__commit *commit = &node->commit;
	uint32_t from = zp_tables_peer_find(tables, wanted->from);
	uint32_t to;
	int rc;

	if (node->is_broken)
		return zp_fail(err, ZP_E_IO, "%s", node->broken_text);
	if (from == 0)
		return zp_fail(err, ZP_E_NOT_FOUND, "no allocation list has this peer");
	commit->now_microseconds = zp_clock_realtime_us();
	commit->append_rc = ZP_OK;
	rc = command__peer_register(node, wanted->to, &to, err);
	if (rc < 0)
		return rc;
	if (from == to)
		return zp_fail(err, ZP_E_INVALID, "a peer cannot be moved to itself");
	rc = zp_tables_peer_move(tables, from, to, err);
	if (rc == ZP_E_INVALID) /* the tables know only numbers */
		rc = zp_fail(
		    err, rc, "the new peer reads as the old one already, by an earlier move");
	if (rc == ZP_OK) {
		zp_buf_clear(&commit->payload);
		zp_shard_peer_moved_encode(from, to, &commit->payload);
		rc = command__record_add(node, 0, 0, ZP_OP_PEER_MOVED, err);
		if (rc < 0)
			command__break(node, err);
	}
	/* Also after a refusal: the new peer's record must not wait for someone else's batch. */
	if (!node->is_broken && command__records_close(node, NULL, err) < 0)
		command__break(node, err);
	if (node->is_broken)
		return zp_fail(err, ZP_E_IO, "%s", node->broken_text);
	if (rc == ZP_OK)
		return command__journal_commit(node, err);
	zp_ignore(command__journal_commit(node, NULL)); /* the refusal is the answer */
	return rc;
}

int
zp_command_peer_move(
    struct zp_node *node, struct zp_slice from, struct zp_slice to, struct zp_err *err)
{
	struct move wanted = {.from = from, .to = to};

	if (node->read_only)
		return zp_fail(err, ZP_E_READ_ONLY, "the node is read-only");
	return command__errand_run(node, move, &wanted, err);
}
