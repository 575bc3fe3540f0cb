/*
 * pin_rm.c - whether DELETE /pins may remove a pin. Pure.
 *
 * Flow:   commit.c asks. Owner: none; no state.
 * Source: ipfs-cluster 1.1.6, cluster.go (Unpin). Of a meta pin it removes the DAG's shards too,
 * which it reads from Kubo: that is the API's to do, with a ZP_WRITE_DELETE each.
 */
#include "command/command_internal.h"

int
command__pin_rm(const struct zp_record *old, struct zp_err *err)
{
	if (old == NULL)
		return zp_fail(err, ZP_E_NOT_FOUND, "pin is not part of the pinset");
	switch ((enum zp_pin_type)old->facts[ZP_FACT_TYPE]) {
	case ZP_PIN_DATA:
	case ZP_PIN_META:
		return ZP_OK;
	case ZP_PIN_SHARD:
		return zp_fail(err, ZP_E_CONFLICT,
		    "cannot unpin a shard directly. Unpin content root CID instead");
	case ZP_PIN_CLUSTER_DAG:
		return zp_fail(err, ZP_E_CONFLICT,
		    "cannot unpin a Cluster DAG directly. Unpin content root CID instead");
	default:
		return zp_fail(err, ZP_E_CONFLICT, "unrecognized pin type");
	}
}
