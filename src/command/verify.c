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

	for (uint32_t i = 0; i < zp_shards_map(node->shards)->count; i++) {
		struct zp_verify_report report = {0};
		int rc;

		command__upkeep_enter(node);
		rc = zp_engine_verify(
		    zp_shards_engine(node->shards, i), damage, context, &report, err);
		command__upkeep_leave(node);
		if (rc < 0)
			return rc;
		sum.segments += report.segments;
		sum.rows += report.rows;
		sum.bytes += report.bytes;
		sum.pins += report.pins;
		sum.damages += report.damages;
	}
	*report_out = sum;
	return ZP_OK;
}
