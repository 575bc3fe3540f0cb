/*
 * verify.c - every byte of every shard read and checked, pins recounted.
 *
 * Flow:  caller → engine by engine. Owner: the caller's thread, under upkeep_lock one shard at a
 * time, so that checkpoints can go on in between.
 */
#include "command/command_internal.h"

/* One shard's verify: its damages name the shard and are counted with the others. */
struct verifying {
	struct zp_node *node;
	uint32_t shard;
	void (*damage)(void *context, const char *text);
	void *context;
};

static void
damage_tell(void *context, const char *text)
{
	struct verifying *verifying = context;
	struct zp_err why = {0};
	int rc = zp_fail(&why, ZP_E_CORRUPT, "%s", text);

	zp_ignore(command__damage_note(verifying->node, verifying->shard, rc, &why)); /* the same */
	if (verifying->damage != NULL)
		verifying->damage(verifying->context, why.text);
}

static int
step(void *context, uint64_t bytes, struct zp_err *err)
{
	const struct verifying *verifying = context;

	(void)bytes;
	if (verifying->node->work_stop)
		return zp_fail(err, ZP_E_STOPPING, "the node is stopping");
	return ZP_OK;
}

int
zp_command_verify(struct zp_node *node, void (*damage)(void *context, const char *text),
    void *context, struct zp_verify_report *report_out, struct zp_err *err)
{
	struct zp_verify_report sum = {0};
	struct zp_err why = {0};

	/* What is only in memory yet is written first, where that can be, to be read back with the
	 * rest. */
	if (!node->options.read_only && !node->is_broken && zp_command_checkpoint(node, &why) < 0)
		command__log(node, 2,
		    "verify reads what is in files; the rest could not be written: %s", why.text);
	for (uint32_t i = 0; i < zp_shards_map(node->shards)->count; i++) {
		struct verifying verifying = {
		    .node = node, .shard = i, .damage = damage, .context = context};
		struct zp_check check = {
		    .damage = damage_tell, .step = step, .context = &verifying};
		struct zp_engine *engine = zp_shards_engine(node->shards, i);
		struct zp_verify_report report = {0};
		int rc;

		if (zp_engine_is_suspended(engine)) { /* one damage, whatever stands in for it */
			damage_tell(&verifying, "suspended");
			sum.damages++;
			continue;
		}
		command__upkeep_enter(node);
		rc = zp_engine_verify(engine, &check, &report, err);
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
		    "%llu damages: restore the files named from a snapshot or copy",
		    (unsigned long long)sum.damages);
	return ZP_OK;
}
