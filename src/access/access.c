/*
 * access.c - the door: cache first, then the thread that verifies.
 *
 * Flow:  api → zp_access_password_find → (unknown) zp_access_check_submit → `done` on our thread.
 * Owner: the lock guards cache and queue; accounts never change. The thread holds no lock while it
 *        hashes, and there is one, so guessing costs at most one processor and one hash's memory.
 */
#include <sodium.h>

#include "access/access_internal.h"

#define CACHE_LIFE_MS_DEFAULT (5u * 60 * 1000)

struct zp_access {
	struct access_accounts accounts;
	struct zp_thread *thread;
	struct zp_mutex mutex;
	struct zp_cond wake;
	struct access_queue queue;
	bool stopping;
	struct access_cache cache;
};

static void
check_run(struct zp_access *access, struct zp_access_check *check, bool stopping)
{
	uint8_t tag[ACCESS_TAG_BYTES];

	check->user =
	    stopping ? NULL
		     : access__password_verify(&access->accounts, check->name, check->password);
	check->rc = stopping ? ZP_E_STOPPING : check->user != NULL ? 0 : ZP_E_DENIED;
	if (check->user != NULL) {
		access__tag(&access->accounts, check->name, check->password, tag);
		zp_mutex_lock(&access->mutex);
		access__cache_put(&access->cache, tag, check->user, check->now_ms);
		zp_mutex_unlock(&access->mutex);
	}
	check->done(check);
}

static void
check_thread(void *context)
{
	struct zp_access *access = context;
	struct zp_access_check *check;
	bool stopping;

	do {
		zp_mutex_lock(&access->mutex);
		while (access->queue.count == 0 && !access->stopping)
			zp_cond_wait(&access->wake, &access->mutex);
		check = access__queue_take(&access->queue);
		stopping = access->stopping;
		zp_mutex_unlock(&access->mutex);
		if (check != NULL)
			check_run(access, check, stopping);
	} while (check != NULL || !stopping);
}

int
zp_access_new(
    const struct zp_access_options *options, struct zp_access **access_out, struct zp_err *err)
{
	struct zp_access *access = zp_alloc_zero(1, sizeof(*access));
	int rc;

	zp_mutex_init(&access->mutex);
	zp_cond_init(&access->wake);
	access->cache.life_ms =
	    options->cache_life_ms != 0 ? options->cache_life_ms : CACHE_LIFE_MS_DEFAULT;
	rc = access__accounts_init(&access->accounts, options, err);
	if (rc == 0)
		rc = zp_thread_start("zp-access", check_thread, access, &access->thread, err);
	if (rc < 0) {
		zp_access_free(access);
		return zp_wrap(err, rc, "access");
	}
	*access_out = access;
	return 0;
}

void
zp_access_free(struct zp_access *access)
{
	if (access == NULL)
		return;
	zp_mutex_lock(&access->mutex);
	access->stopping = true;
	zp_cond_signal(&access->wake);
	zp_mutex_unlock(&access->mutex);
	zp_thread_join(access->thread);
	access__accounts_done(&access->accounts);
	zp_cond_done(&access->wake);
	zp_mutex_done(&access->mutex);
	zp_free(access);
}

const char *
zp_access_user_name(const struct zp_access_user *user)
{
	return user->name;
}

int
zp_access_password_find(struct zp_access *access, struct zp_slice name, struct zp_slice password,
    uint64_t now_ms, const struct zp_access_user **user_out)
{
	const struct zp_access_user *user;
	uint8_t tag[ACCESS_TAG_BYTES];

	if (name.length == 0 || name.length > ZP_ACCESS_NAME_BYTES_MAX || password.length == 0 ||
	    password.length > ZP_ACCESS_PASSWORD_BYTES_MAX)
		return ZP_E_DENIED;
	access__tag(&access->accounts, name, password, tag);
	zp_mutex_lock(&access->mutex);
	user = access__cache_get(&access->cache, tag, now_ms);
	zp_mutex_unlock(&access->mutex);
	if (user == NULL)
		return ZP_ACCESS_UNKNOWN;
	*user_out = user;
	return 0;
}

int
zp_access_check_submit(struct zp_access *access, struct zp_access_check *check, struct zp_err *err)
{
	struct zp_access_check *evicted = NULL;
	uint8_t tag[ACCESS_TAG_BYTES];
	int rc = 0;

	access__tag(&access->accounts, check->name, check->password, tag);
	zp_mutex_lock(&access->mutex);
	check->was_right = access__cache_had(&access->cache, tag);
	if (access->stopping)
		rc = ZP_E_STOPPING;
	else if (!access__queue_put(&access->queue, check, &evicted))
		rc = ZP_E_FULL;
	else
		zp_cond_signal(&access->wake);
	zp_mutex_unlock(&access->mutex);
	if (evicted != NULL) {
		evicted->user = NULL;
		evicted->rc = ZP_E_FULL;
		evicted->done(evicted);
	}
	if (rc == ZP_E_FULL)
		return zp_fail(err, rc, "%u passwords wait to be verified", ZP_ACCESS_CHECKS_MAX);
	return rc < 0 ? zp_fail(err, rc, "the node is stopping") : 0;
}

/* ---- Tokens --------------------------------------------------------------------------------- */

struct token_lookup {
	const struct zp_access *access;
	const struct zp_access_user *user;
};

static struct zp_slice
token_key_of(void *context, struct zp_slice issuer)
{
	struct token_lookup *lookup = context;
	const struct zp_access_user *user = access__user_find(&lookup->access->accounts, issuer);

	if (user == NULL || user->token_key == NULL)
		return (struct zp_slice){0};
	lookup->user = user;
	return zp_slice_of(user->token_key);
}

int
zp_access_token_verify(const struct zp_access *access, struct zp_slice token, int64_t now_seconds,
    const struct zp_access_user **user_out, struct zp_err *err)
{
	struct token_lookup lookup = {.access = access};
	int rc = access__jwt_verify(token, now_seconds, token_key_of, &lookup, err);

	if (rc < 0)
		return rc;
	ZP_ASSERT(lookup.user != NULL);
	*user_out = lookup.user;
	return 0;
}

int
zp_access_token_mint(const struct zp_access *access, const struct zp_access_user *user,
    struct zp_buf *token, struct zp_err *err)
{
	if (user->token_key == NULL)
		return zp_fail(err, ZP_E_UNSUPPORTED,
		    "account %s has no token_secret; `zpin account %s` prints one", user->name,
		    user->name);
	access__jwt_mint(zp_slice_of(user->name), zp_slice_of(user->token_key), token);
	return zp_buf_check(token, "the token", err);
}
