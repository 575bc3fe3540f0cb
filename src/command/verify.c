/*
 * verify.c - every byte of every shard read and checked, pins recounted.
 *
 * Flow:  caller → engine by engine. Owner: the caller's thread, under upkeep_lock one shard at a
 * time, so that checkpoints can go on in between.
 */
#include "command/command_internal.h"

int
zp_command_verify(struct zp_node *node, void (*damage)(void *context, const char *text),
    void *context, struct zp_verify_report *report_out, struct zp_err *err)
{
	struct zp_verify_report sum = {0};
	struct zp_err why = {0};

	/* What is only in memory yet is written first, where that can be, to be read back with the rest. */
	if (!node->options.read_only && !node->is_broken &&
	    zp_command_checkpoint(node, &why) < 0)
		command__log(node, 2, "verify reads what is in files; the rest could not be written: %s",
		    why.text);
	for (uint32_t i = 0; i < zp_shards_map(node->shards)->count; i++) {
		struct zp_verify_report report = {0};
		int rc;

		command__upkeep_enter(node);
		rc = zp_engine_verify(
		    zp_shards_engine(node->shards, i), damage, context, &node->work_stop, &report,
		    err);
		command__upkeep_leave(node);
		/* Damage in one shard is no reason to leave the others unread. */
		if (rc < 0 && rc != ZP_E_CORRUPT)
			return rc;
		sum.segments += report.segments;
		sum.rows += report.rows;
		sum.bytes += report.bytes;
		sum.pins += report.pins;
		sum.damages += report.damages;
	}
	*report_out = sum;
	if (sum.damages > 0)
		return zp_fail(err, ZP_E_CORRUPT,
		    "%llu damages: restore the files named from a snapshot or replica",
		    (unsigned long long)sum.damages);
	return ZP_OK;
}
