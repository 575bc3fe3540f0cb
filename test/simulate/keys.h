/*
 * keys.h - sets of keys, friendly and hostile.
 */
#ifndef ZP_TEST_SIMULATE_KEYS_H
#define ZP_TEST_SIMULATE_KEYS_H

#include "pin/pin.h"

enum keys_kind {
	KEYS_UNIFORM,    /* digests as they are */
	KEYS_PREFIX,     /* all digests begin with the same 28 bytes */
	KEYS_ARITHMETIC, /* digests are base + i × step, in runs of a few hundred */
	KEYS_SAME,       /* few digests, each under many codecs, versions, accounts and claims */
	KEYS_HOT,        /* uniform, but nine of ten share their first 20 bits */
	KEYS_KINDS,
};

const char *keys_kind_name(enum keys_kind kind);

/* `count` different keys, in no order. */
void keys_make(enum keys_kind kind, uint64_t seed, struct zp_key *keys, size_t count);

#endif
