/*
 * access.h - who may use the API: accounts with passwords and signed tokens.
 *
 * Flow:    api asks with each request. A password that was verified a moment ago is answered from a
 *          cache; otherwise the answer costs an argon2id hash (tens of milliseconds and megabytes),
 *          which one thread of its own does, so that strangers who guess stop nobody's requests.
 *          Passwords that wait for it take turns by who sent them (queue.c).
 * Threads: any thread may call anything here.
 * Owner:   users belong to the access object.
 * Errors:  ZP_E_DENIED never says whether name or password was wrong, nor do the times taken.
 */
#ifndef ZP_ACCESS_ACCESS_H
#define ZP_ACCESS_ACCESS_H

#include "base/base.h"

struct zp_access;      /* opaque */
struct zp_access_user; /* opaque */

#define ZP_ACCESS_NAME_BYTES_MAX 256u
#define ZP_ACCESS_PASSWORD_BYTES_MAX 1024u
#define ZP_ACCESS_TOKEN_BYTES_MAX 8192u
#define ZP_ACCESS_CHECKS_MAX 64u /* passwords waiting to be verified */

/* Absent texts are NULL or "". Copied. */
struct zp_access_account {
	const char *name;
	const char *password_hash; /* argon2id, as crypto_pwhash_str of libsodium makes it */
	const char *password;      /* in clear, instead of a hash */
	const char *token_secret;  /* absent: this account's tokens are refused */
};

struct zp_access_options {
	const struct zp_access_account *accounts;
	size_t accounts_count;      /* at least 1 */
	bool token_key_is_password; /* tokens are signed with `password`, as in IPFS Cluster */
	uint32_t cache_life_ms;     /* of a verified password since its last use; 0: 5 minutes */
};

ZP_MUST_CHECK int zp_access_new(
    const struct zp_access_options *options, struct zp_access **access_out, struct zp_err *err);

/* Checks that still wait are answered with ZP_E_STOPPING. NULL is allowed. */
void zp_access_free(struct zp_access *access);

const char *zp_access_user_name(const struct zp_access_user *user);

/* ---- Passwords ------------------------------------------------------------------------------ */

#define ZP_ACCESS_UNKNOWN 1 /* not in the cache: submit a check */

/* 0 and the user, ZP_E_DENIED, or ZP_ACCESS_UNKNOWN. Takes microseconds. `now_ms` is any rising
 * clock, the same in all calls. */
ZP_MUST_CHECK int zp_access_password_find(struct zp_access *access, struct zp_slice name,
    struct zp_slice password, uint64_t now_ms, const struct zp_access_user **user_out);

/* One costly verification; embedded in the caller's request. */
struct zp_access_check {
	struct zp_slice name; /* both borrowed until `done` */
	struct zp_slice password;
	uint64_t now_ms;
	uint64_t address; /* says who asks: those of one address wait for each other */
	/* Once, on the thread of the checks, or on one that submits another check. */
	void (*done)(struct zp_access_check *check);
	int rc; /* answers: 0, ZP_E_DENIED, ZP_E_STOPPING; ZP_E_FULL when others had to have its
		   place */
	const struct zp_access_user *user;
	uint64_t turn;  /* the queue's own, as the next */
	bool was_right; /* some time ago */
};

/* ZP_E_FULL when ZP_ACCESS_CHECKS_MAX wait and no other address has more of them: `done` is not
 * called then. */
ZP_MUST_CHECK int zp_access_check_submit(
    struct zp_access *access, struct zp_access_check *check, struct zp_err *err);

/* ---- Tokens: HMAC JWTs, whose issuer is the account ----------------------------------------- */

/* `now_seconds` is the real time, for exp, nbf and iat. ZP_E_DENIED. */
ZP_MUST_CHECK int zp_access_token_verify(const struct zp_access *access, struct zp_slice token,
    int64_t now_seconds, const struct zp_access_user **user_out, struct zp_err *err);

/* Appends an HS256 token with the claim iss alone, which never expires. ZP_E_UNSUPPORTED for an
 * account without token secret. */
ZP_MUST_CHECK int zp_access_token_mint(const struct zp_access *access,
    const struct zp_access_user *user, struct zp_buf *token, struct zp_err *err);

#endif
