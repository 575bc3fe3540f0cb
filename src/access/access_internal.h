/*
 * access_internal.h - what the files of access share.
 */
#ifndef ZP_ACCESS_ACCESS_INTERNAL_H
#define ZP_ACCESS_ACCESS_INTERNAL_H

#include "access/access.h"
#include "os/os.h"

/* ---- Accounts (account.c; pure but for libsodium's work) ------------------------------------ */

struct zp_access_user {
	char *name;
	char *password_hash; /* NULL where `password` is kept */
	char *password;
	char *token_key; /* NULL: no tokens */
};

struct access_accounts {
	struct zp_access_user *users;
	size_t count;
	const char *decoy_hash; /* of some account: what an unknown name is checked against */
	uint8_t key[32];        /* of this process: for keyed hashes of passwords */
};

int access__accounts_init(
    struct access_accounts *accounts, const struct zp_access_options *options, struct zp_err *err);
void access__accounts_done(struct access_accounts *accounts);

/* NULL when there is none. */
const struct zp_access_user *access__user_find(
    const struct access_accounts *accounts, struct zp_slice name);

/* Verifies at full cost; the cost is the same for a name that does not exist. NULL: denied. */
const struct zp_access_user *access__password_verify(
    const struct access_accounts *accounts, struct zp_slice name, struct zp_slice password);

#define ACCESS_TAG_BYTES 32u

/* What stands for (name, password) in the cache; says nothing without the key. */
void access__tag(const struct access_accounts *accounts, struct zp_slice name,
    struct zp_slice password, uint8_t tag_out[ACCESS_TAG_BYTES]);

/* ---- Cache (cache.c; pure) ------------------------------------------------------------------ */

#define ACCESS_CACHE_SETS 256u
#define ACCESS_CACHE_WAYS 4u

struct access_cache_entry {
	uint8_t tag[ACCESS_TAG_BYTES];
	uint64_t deadline_ms; /* 0: empty */
	const struct zp_access_user *user;
};

/* A fixed table: a full set gives up the entry that would end first. */
struct access_cache {
	uint64_t life_ms;
	struct access_cache_entry entries[ACCESS_CACHE_SETS][ACCESS_CACHE_WAYS];
};

/* The user, whose entry lives on from now; or NULL. */
const struct zp_access_user *access__cache_get(
    struct access_cache *cache, const uint8_t tag[ACCESS_TAG_BYTES], uint64_t now_ms);
void access__cache_put(struct access_cache *cache, const uint8_t tag[ACCESS_TAG_BYTES],
    const struct zp_access_user *user, uint64_t now_ms);

/* Whether it was put some time ago, and is still remembered though its life is over. */
bool access__cache_had(struct access_cache *cache, const uint8_t tag[ACCESS_TAG_BYTES]);

/* ---- Queue (queue.c; pure) ------------------------------------------------------------------ */

/* What waits, in the order of its coming. */
struct access_queue {
	struct zp_access_check *checks[ZP_ACCESS_CHECKS_MAX];
	unsigned count;
	uint64_t turn; /* of the check that was taken last; an address has one check in each */
};

/* False: there is no place. *evicted_out, or NULL, had to leave for it. Address and was_right are
 * set. */
bool access__queue_put(struct access_queue *queue, struct zp_access_check *check,
    struct zp_access_check **evicted_out);
/* NULL when nothing waits. */
struct zp_access_check *access__queue_take(struct access_queue *queue);

/* ---- JWT (jwt.c; pure) ---------------------------------------------------------------------- */

/* The key of an issuer, or an empty slice: the token is then refused after the same work. */
typedef struct zp_slice (*access__jwt_key)(void *context, struct zp_slice issuer);

/* Checks form, algorithm, times and signature. The issuer that was looked up last is who it is. */
int access__jwt_verify(struct zp_slice token, int64_t now_seconds, access__jwt_key key_of,
    void *context, struct zp_err *err);

void access__jwt_mint(struct zp_slice issuer, struct zp_slice key, struct zp_buf *token);

#endif
