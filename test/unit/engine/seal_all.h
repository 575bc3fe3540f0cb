/*
 * seal_all.h - sealing to the end, as the maintenance of a node does it.
 */
#ifndef ZP_SEAL_ALL_H
#define ZP_SEAL_ALL_H

#include "engine/engine.h"

static inline int
seal_all(struct zp_engine *engine, const _Atomic(bool) *stop, struct zp_err *err)
{
	bool merged = true;
	int rc = ZP_OK;

	while (rc == ZP_OK && merged)
		rc = zp_engine_seal(engine, stop, &merged, err);
	return rc;
}

#endif
