/*
 * keys.c - see keys.h.
 */
#include "keys.h"

enum {
	RUN = 300,        /* keys of an arithmetic run */
	SAME_CLAIMS = 50, /* keys of one digest, about */
};

const char *
keys_kind_name(enum keys_kind kind)
{
	static const char *const names[] = {
	    [KEYS_UNIFORM] = "uniform",
	    [KEYS_PREFIX] = "one prefix",
	    [KEYS_ARITHMETIC] = "arithmetic",
	    [KEYS_SAME] = "same digests",
	    [KEYS_HOT] = "one hot range",
	};

	return names[kind];
}

static void
digest_draw(uint64_t seed, uint64_t number, uint8_t digest_out[32])
{
	for (uint64_t i = 0; i < 4; i++) {
		uint64_t words[2] = {number, i};

		zp_store_u64le(digest_out + 8 * i, zp_hash64(words, sizeof(words), seed));
	}
}

/* Adds to the last eight bytes and carries into those before. */
static void
digest_add(uint8_t digest[32], uint64_t value)
{
	uint64_t low = zp_load_u64be(digest + 24);

	zp_store_u64be(digest + 24, low + value);
	if (low + value < low)
		zp_store_u64be(digest + 16, zp_load_u64be(digest + 16) + 1);
}

static void
key_make(enum keys_kind kind, uint64_t seed, uint64_t i, struct zp_key *key)
{
	static const uint64_t steps[] = {1, 2, 256, 65536, UINT64_C(1) << 55};

	*key = (struct zp_key){.codec = i % 2 == 0 ? ZP_CODEC_DAG_PB : ZP_CODEC_RAW, .version = 1};
	switch (kind) {
	case KEYS_PREFIX:
		digest_draw(seed, 0, key->digest);
		zp_store_u32be(key->digest + 28, (uint32_t)i * 2654435761u);
		break;
	case KEYS_ARITHMETIC:
		digest_draw(seed, i / RUN, key->digest);
		digest_add(key->digest, i % RUN * steps[i / RUN % ZP_ARRAY_COUNT(steps)]);
		break;
	case KEYS_SAME:
		digest_draw(seed, i / SAME_CLAIMS, key->digest);
		key->version = i % SAME_CLAIMS != 0;
		key->codec = i % SAME_CLAIMS < 2 ? ZP_CODEC_DAG_PB : ZP_CODEC_RAW;
		if (i % SAME_CLAIMS >= 10) { /* accounts' claims on the CID */
			key->namespace_id = 1 + (uint32_t)(i % 3);
			key->claim = i % SAME_CLAIMS;
		} else if (i % SAME_CLAIMS > 2) {
			key->codec = 0x71 + i % SAME_CLAIMS;
		}
		break;
	case KEYS_HOT:
		digest_draw(seed, i, key->digest);
		if (i % 10 != 0) {
			key->digest[0] = 0xab;
			key->digest[1] = 0xcd;
			key->digest[2] = (uint8_t)(0xe0 | (key->digest[2] & 0xf));
		}
		break;
	default:
		digest_draw(seed, i, key->digest);
	}
}

void
keys_make(enum keys_kind kind, uint64_t seed, struct zp_key *keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		key_make(kind, seed, i, &keys[i]);
}
