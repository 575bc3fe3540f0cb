/*
 * check.h - who watches a long check of files: is told each fault, paces the check, and may end it.
 *
 * Flow: command makes one; journal, shard and engine call it from the thread that checks.
 */
#ifndef ZP_BASE_CHECK_H
#define ZP_BASE_CHECK_H

#include <stdint.h>

#include "base/err.h"

struct zp_check {
	/* One fault, in the words in which a read that meets it tells it. NULL: nobody wants them.
	 */
	void (*damage)(void *context, const char *text);
	/* Behind each piece of work, for which `bytes` were read; may wait. What is not 0 ends the
	 * check, which returns it. NULL: nothing ends it early. */
	int (*step)(void *context, uint64_t bytes, struct zp_err *err);
	void *context;
};

/* `check` may be NULL. */
static inline void
zp_check_damage(const struct zp_check *check, const char *text)
{
	if (check != NULL && check->damage != NULL)
		check->damage(check->context, text);
}

ZP_MUST_CHECK static inline int
zp_check_step(const struct zp_check *check, uint64_t bytes, struct zp_err *err)
{
	return check == NULL || check->step == NULL ? 0 : check->step(check->context, bytes, err);
}

#endif
