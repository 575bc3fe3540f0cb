/*
 * test_access.c - passwords, the cache of verified ones, and tokens.
 */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include "access/access_internal.h"

#define NOW 1795396609 /* seconds; the day of the captures */

/* Captured from IPFS Cluster 1.1.6: POST /token as user:pass. */
#define CAPTURED_TOKEN                                              \
	"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJ1c2VyIn0." \
	"QezMUPmvhZET9xHCT52dxFfGlmLRebSpplZ1p4W9KTI"

struct waiter {
	struct zp_access_check check;
	sem_t answered;
};

static void
waiter_done(struct zp_access_check *check)
{
	sem_post(&((struct waiter *)(void *)check)->answered);
}

/* Verifies at full cost, as api does after ZP_ACCESS_UNKNOWN. */
static int
verify_wait(struct zp_access *access, const char *name, const char *password, uint64_t now_ms,
    const struct zp_access_user **user_out)
{
	struct waiter waiter = {.check = {.name = zp_slice_of(name),
				    .password = zp_slice_of(password),
				    .now_ms = now_ms,
				    .done = waiter_done}};

	sem_init(&waiter.answered, 0, 0);
	assert_int_equal(zp_access_check_submit(access, &waiter.check, NULL), 0);
	while (sem_wait(&waiter.answered) != 0)
		continue;
	sem_destroy(&waiter.answered);
	*user_out = waiter.check.user;
	return waiter.check.rc;
}

static struct zp_access *
access_make(bool token_key_is_password)
{
	static char hash[crypto_pwhash_STRBYTES];
	struct zp_access_account accounts[2] = {
	    {.name = "user", .password = "pass", .token_secret = "secret-of-user"},
	    {.name = "hashed", .password_hash = hash},
	};
	struct zp_access_options options = {
	    .accounts = accounts,
	    .accounts_count = 2,
	    .token_key_is_password = token_key_is_password,
	    .cache_life_ms = 1000,
	};
	struct zp_access *access = NULL;
	struct zp_err err = {0};

	assert_true(sodium_init() >= 0);
	assert_int_equal(crypto_pwhash_str(hash, "right", 5, crypto_pwhash_OPSLIMIT_MIN,
			     crypto_pwhash_MEMLIMIT_MIN),
	    0);
	if (zp_access_new(&options, &access, &err) != 0)
		fail_msg("%s", err.text);
	return access;
}

static int
find(struct zp_access *access, const char *name, const char *password, uint64_t now_ms)
{
	const struct zp_access_user *user = NULL;

	return zp_access_password_find(
	    access, zp_slice_of(name), zp_slice_of(password), now_ms, &user);
}

/* A password costs one verification and is known for the cache's life after its last use; wrong
 * passwords and unknown names are never known. */
static void
verified_password_is_known_for_a_while(void **state)
{
	struct zp_access *access = access_make(false);
	const struct zp_access_user *user = NULL;

	(void)state;
	assert_int_equal(find(access, "hashed", "right", 1000), ZP_ACCESS_UNKNOWN);
	assert_int_equal(verify_wait(access, "hashed", "right", 1000, &user), 0);
	assert_string_equal(zp_access_user_name(user), "hashed");
	assert_int_equal(find(access, "hashed", "right", 1999), 0);
	assert_int_equal(find(access, "hashed", "right", 2998), 0);
	assert_int_equal(find(access, "hashed", "right", 3998), ZP_ACCESS_UNKNOWN);

	assert_int_equal(verify_wait(access, "hashed", "wrong", 4000, &user), ZP_E_DENIED);
	assert_null(user);
	assert_int_equal(find(access, "hashed", "wrong", 4000), ZP_ACCESS_UNKNOWN);
	assert_int_equal(verify_wait(access, "nobody", "right", 4000, &user), ZP_E_DENIED);
	assert_int_equal(verify_wait(access, "user", "pass", 4000, &user), 0);
	assert_int_equal(find(access, "user", "pass", 4001), 0);
	/* The bytes of name and password together are the same, the pair is not. */
	assert_int_equal(find(access, "userp", "ass", 4001), ZP_ACCESS_UNKNOWN);
	zp_access_free(access);
}

/* IPFS Cluster never takes an empty user or password; over-long ones cost nothing here. */
static void
empty_and_huge_credentials_are_denied_at_once(void **state)
{
	struct zp_access *access = access_make(false);
	char huge[ZP_ACCESS_PASSWORD_BYTES_MAX + 2];

	(void)state;
	memset(huge, 'a', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	assert_int_equal(find(access, "", "pass", 0), ZP_E_DENIED);
	assert_int_equal(find(access, "user", "", 0), ZP_E_DENIED);
	assert_int_equal(find(access, huge, "pass", 0), ZP_E_DENIED);
	assert_int_equal(find(access, "user", huge, 0), ZP_E_DENIED);
	zp_access_free(access);
}

struct gate {
	struct waiter waiter;
	sem_t open;
};

static void
gate_done(struct zp_access_check *check)
{
	struct gate *gate = (struct gate *)(void *)check;

	sem_post(&gate->waiter.answered);
	while (sem_wait(&gate->open) != 0)
		continue;
}

/* The queue of verifications has an end, and closing answers what waits. The thread is held up in
 * the first check's `done`, so the queue fills exactly. */
static void
queue_is_bounded_and_closing_answers_it(void **state)
{
	static struct waiter waiters[ZP_ACCESS_CHECKS_MAX + 1];
	struct zp_access *access = access_make(false);
	struct gate gate = {.waiter.check = {.name = zp_slice_of("hashed"),
				.password = zp_slice_of("wrong"),
				.done = gate_done}};

	(void)state;
	sem_init(&gate.waiter.answered, 0, 0);
	sem_init(&gate.open, 0, 0);
	assert_int_equal(zp_access_check_submit(access, &gate.waiter.check, NULL), 0);
	while (sem_wait(&gate.waiter.answered) != 0)
		continue;
	for (unsigned i = 0; i < ZP_ARRAY_COUNT(waiters); i++) {
		waiters[i] = (struct waiter){.check = {.name = zp_slice_of("hashed"),
						 .password = zp_slice_of("wrong"),
						 .done = waiter_done}};
		sem_init(&waiters[i].answered, 0, 0);
		assert_int_equal(zp_access_check_submit(access, &waiters[i].check, NULL),
		    i < ZP_ACCESS_CHECKS_MAX ? 0 : ZP_E_FULL);
	}
	sem_post(&gate.open);
	zp_access_free(access);
	for (unsigned i = 0; i < ZP_ACCESS_CHECKS_MAX; i++) {
		assert_int_equal(sem_trywait(&waiters[i].answered), 0);
		assert_true(
		    waiters[i].check.rc == ZP_E_DENIED || waiters[i].check.rc == ZP_E_STOPPING);
	}
}

/* Guesses of one address stop another's password for one hash at most, also when they fill the
 * queue; one that was right before is next in any case. */
static void
addresses_take_turns(void **state)
{
	static struct zp_access_check checks[ZP_ACCESS_CHECKS_MAX + 8];
	struct access_queue queue = {0};
	struct zp_access_check *evicted;
	unsigned next = 0;

	(void)state;
	for (; next < ZP_ACCESS_CHECKS_MAX; next++) {
		checks[next].address = 1;
		assert_true(access__queue_put(&queue, &checks[next], &evicted));
		assert_null(evicted);
	}
	checks[next].address = 1;
	assert_false(access__queue_put(&queue, &checks[next], &evicted));
	for (unsigned i = 0; i < 3; i++) { /* of others: each takes the guesser's last place */
		checks[next + i].address = 2 + i / 2;
		assert_true(access__queue_put(&queue, &checks[next + i], &evicted));
		assert_ptr_equal(evicted, &checks[ZP_ACCESS_CHECKS_MAX - 1 - i]);
	}
	checks[next + 3].address = 1;
	checks[next + 3].was_right = true;
	assert_true(access__queue_put(&queue, &checks[next + 3], &evicted));
	assert_ptr_equal(evicted, &checks[ZP_ACCESS_CHECKS_MAX - 4]);

	assert_ptr_equal(access__queue_take(&queue), &checks[next + 3]);
	assert_ptr_equal(access__queue_take(&queue), &checks[0]);
	assert_ptr_equal(access__queue_take(&queue), &checks[next]);     /* 2's first */
	assert_ptr_equal(access__queue_take(&queue), &checks[next + 2]); /* 3's */
	assert_ptr_equal(access__queue_take(&queue), &checks[1]);
	assert_ptr_equal(access__queue_take(&queue), &checks[next + 1]);
	checks[next + 4].address = 4; /* who comes late waits for those of this turn */
	assert_true(access__queue_put(&queue, &checks[next + 4], &evicted));
	assert_ptr_equal(access__queue_take(&queue), &checks[next + 4]);
	for (unsigned i = 2; i < ZP_ACCESS_CHECKS_MAX - 4; i++)
		assert_ptr_equal(access__queue_take(&queue), &checks[i]);
	assert_null(access__queue_take(&queue));
}

/* As many addresses as there are places: nobody has to leave, and the next one is refused. */
static void
a_full_queue_of_single_checks_refuses(void **state)
{
	static struct zp_access_check checks[ZP_ACCESS_CHECKS_MAX + 1];
	struct access_queue queue = {0};
	struct zp_access_check *evicted;

	(void)state;
	for (unsigned i = 0; i <= ZP_ACCESS_CHECKS_MAX; i++) {
		checks[i].address = i;
		assert_int_equal(
		    access__queue_put(&queue, &checks[i], &evicted), i < ZP_ACCESS_CHECKS_MAX);
		assert_null(evicted);
	}
}

/* A full set of the cache gives up the entry that would end first, and no other. */
static void
cache_gives_up_the_oldest(void **state)
{
	static struct access_cache cache;
	static const struct zp_access_user users[ACCESS_CACHE_WAYS + 1];
	uint8_t tag[ACCESS_TAG_BYTES] = {7};

	(void)state;
	memset(&cache, 0, sizeof(cache));
	cache.life_ms = 100;
	for (uint8_t i = 0; i <= ACCESS_CACHE_WAYS; i++) {
		tag[1] = i;
		access__cache_put(&cache, tag, &users[i], 10u + i);
	}
	for (uint8_t i = 0; i <= ACCESS_CACHE_WAYS; i++) {
		tag[1] = i;
		assert_ptr_equal(access__cache_get(&cache, tag, 20), i == 0 ? NULL : &users[i]);
	}
}

/* Accounts that could never work are told at the start. */
static void
bad_accounts_are_refused(void **state)
{
	static const struct zp_access_account bad[][2] = {
	    {{.name = "", .password = "x"}},
	    {{.name = "a"}},
	    {{.name = "a", .password_hash = "$2b$10$abcdefghijklmnopqrstuv"}},
	    {{.name = "a", .password = "x", .password_hash = "y"}},
	    {{.name = "a", .password = "x"}, {.name = "a", .password = "y"}},
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(bad); i++) {
		struct zp_access_options options = {
		    .accounts = bad[i], .accounts_count = bad[i][1].name != NULL ? 2 : 1};
		struct zp_access *access = NULL;

		assert_int_equal(zp_access_new(&options, &access, NULL), ZP_E_INVALID);
		assert_null(access);
	}
}

/* ---- Tokens --------------------------------------------------------------------------------- */

static struct zp_slice
key_of_user(void *context, struct zp_slice issuer)
{
	(void)context;
	return zp_slice_is(issuer, "user") ? zp_slice_of("pass") : (struct zp_slice){0};
}

static void
put_base64(char *to, size_t room, const void *bytes, size_t length)
{
	sodium_bin2base64(to, room, bytes, length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

/* A token with any header and claims, signed for what it says. */
static int
signed_verify(const char *header, const char *claims, const EVP_MD *digest, const char *key)
{
	char head[400], body[400], signature[200], token[1100];
	uint8_t bytes[64];
	unsigned length;
	int used;

	put_base64(head, sizeof(head), header, strlen(header));
	put_base64(body, sizeof(body), claims, strlen(claims));
	used = snprintf(token, sizeof(token), "%s.%s", head, body);
	HMAC(digest, key, (int)strlen(key), (const uint8_t *)token, (size_t)used, bytes, &length);
	put_base64(signature, sizeof(signature), bytes, length);
	snprintf(token + used, sizeof(token) - (size_t)used, ".%s", signature);
	return access__jwt_verify(zp_slice_of(token), NOW, key_of_user, NULL, NULL);
}

/* Our HS256 token is byte for byte the captured one, and is taken back. */
static void
minted_token_is_ipfs_clusters(void **state)
{
	struct zp_access *access = access_make(true);
	const struct zp_access_user *user = NULL;
	ZP_AUTO_BUF(token, ZP_ACCESS_TOKEN_BYTES_MAX);

	(void)state;
	assert_int_equal(
	    zp_access_token_verify(access, zp_slice_of(CAPTURED_TOKEN), NOW, &user, NULL), 0);
	assert_string_equal(zp_access_user_name(user), "user");
	assert_int_equal(zp_access_token_mint(access, user, &token, NULL), 0);
	assert_int_equal(token.length, strlen(CAPTURED_TOKEN));
	assert_memory_equal(token.data, CAPTURED_TOKEN, token.length);
	zp_access_free(access);
}

/* With token_key secret the password signs nothing, and an account without a secret has no tokens.
 */
static void
secret_signs_and_password_does_not(void **state)
{
	struct zp_access *access = access_make(false);
	const struct zp_access_user *user = NULL;
	ZP_AUTO_BUF(token, ZP_ACCESS_TOKEN_BYTES_MAX);

	(void)state;
	assert_int_equal(
	    zp_access_token_verify(access, zp_slice_of(CAPTURED_TOKEN), NOW, &user, NULL),
	    ZP_E_DENIED);
	assert_int_equal(verify_wait(access, "user", "pass", 1, &user), 0);
	assert_int_equal(zp_access_token_mint(access, user, &token, NULL), 0);
	assert_int_equal(zp_access_token_verify(access, zp_buf_slice(&token), NOW, &user, NULL), 0);
	assert_int_equal(verify_wait(access, "hashed", "right", 1, &user), 0);
	assert_int_equal(zp_access_token_mint(access, user, &token, NULL), ZP_E_UNSUPPORTED);
	zp_access_free(access);
}

/* Each header and set of claims, correctly signed: what is decided by them alone. */
static void
header_and_claims_decide(void **state)
{
#define HS256 "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define ISS "\"iss\":\"user\""
	static const struct {
		const char *header;
		const char *claims;
		unsigned bits;
		int rc;
	} rows[] = {
	    {HS256, "{" ISS "}", 256, 0},
	    {"{\"alg\":\"HS384\"}", "{" ISS "}", 384, 0},
	    {"{\"alg\":\"HS512\"}", "{" ISS "}", 512, 0},
	    {HS256, "{" ISS ",\"exp\":1795396610}", 256, 0},
	    {HS256, "{" ISS ",\"exp\":\"1795396610\"}", 256, 0},
	    {HS256, "{" ISS ",\"nbf\":1795396609.9,\"iat\":-1.5,\"exp\":9e18}", 256, 0},
	    {HS256, "{" ISS ",\"aud\":null,\"sub\":null,\"jti\":\"x\"}", 256, 0},
	    {HS256, "{" ISS ",\"exp\":null,\"aud\":[\"x\"],\"sub\":\"y\"}", 256, 0},
	    {HS256, "{" ISS ",\"nbf\":1795396609,\"iat\":1795396609}", 256, 0},
	    {HS256, "{" ISS ",\"exp\":1795396609}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"exp\":0}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"exp\":1795396609.9}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"exp\":\"1795396610 \"}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"exp\":\"tomorrow\"}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"exp\":true}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"exp\":1e19}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"nbf\":-1e19}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"aud\":5}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"aud\":[\"x\",[]]}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"sub\":[\"x\"]}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"jti\":{}}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"exp\":1e12,\"exp\":1e12}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"nbf\":1795396610}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"iat\":1795396610}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS "," ISS "}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"EXP\":1e12}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"\\u0065x\\u0050\":1}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"Nbf\":1}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"ISS\":\"user\"}", 256, ZP_E_DENIED},
	    {HS256, "{" ISS ",\"expo\":1,\"EX\":1}", 256, 0},
	    {HS256, "{\"iss\":\"other\"}", 256, ZP_E_DENIED},
	    {HS256, "{\"iss\":5}", 256, ZP_E_DENIED},
	    {HS256, "{}", 256, ZP_E_DENIED},
	    {HS256, "[]", 256, ZP_E_DENIED},
	    {HS256, "{" ISS "} x", 256, ZP_E_DENIED},
	    {"{\"alg\":\"none\"}", "{" ISS "}", 256, ZP_E_DENIED},
	    {"{\"alg\":\"RS256\"}", "{" ISS "}", 256, ZP_E_DENIED},
	    {"{\"alg\":\"ES256\"}", "{" ISS "}", 256, ZP_E_DENIED},
	    {"{\"alg\":\"hs256\"}", "{" ISS "}", 256, ZP_E_DENIED},
	    {"{\"alg\":\"HS512\"}", "{" ISS "}", 256, ZP_E_DENIED},
	    {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", "{" ISS "}", 256, ZP_E_DENIED},
	    {"{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", "{" ISS "}", 256, ZP_E_DENIED},
	    {"{\"typ\":\"JWT\"}", "{" ISS "}", 256, ZP_E_DENIED},
	};

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(rows); i++) {
		const EVP_MD *digest = rows[i].bits == 256   ? EVP_sha256()
				       : rows[i].bits == 384 ? EVP_sha384()
							     : EVP_sha512();
		int rc = signed_verify(rows[i].header, rows[i].claims, digest, "pass");

		if (rc != rows[i].rc)
			fail_msg("row %zu: %s %s: %d", i, rows[i].header, rows[i].claims, rc);
	}
	assert_int_equal(signed_verify(HS256, "{" ISS "}", EVP_sha256(), "Pass"), ZP_E_DENIED);
	assert_int_equal(signed_verify(HS256, "{" ISS "}", EVP_sha256(), ""), ZP_E_DENIED);
}

/* No changed, missing or added byte of a good token is taken. */
static void
any_changed_byte_is_refused(void **state)
{
	char token[sizeof(CAPTURED_TOKEN) + 1] = CAPTURED_TOKEN;
	size_t length = strlen(token);

	(void)state;
	for (size_t i = 0; i < length; i++) {
		char byte = token[i];

		for (unsigned flip = 1; flip < 256; flip <<= 1) {
			token[i] = (char)(byte ^ (char)flip);
			assert_int_equal(
			    access__jwt_verify((struct zp_slice){(uint8_t *)token, length}, NOW,
				key_of_user, NULL, NULL),
			    ZP_E_DENIED);
		}
		token[i] = byte;
		assert_int_equal(access__jwt_verify((struct zp_slice){(uint8_t *)token, i}, NOW,
				     key_of_user, NULL, NULL),
		    ZP_E_DENIED);
	}
	for (unsigned byte = 0; byte < 256; byte++) {
		token[length] = (char)byte;
		assert_int_equal(access__jwt_verify((struct zp_slice){(uint8_t *)token, length + 1},
				     NOW, key_of_user, NULL, NULL),
		    ZP_E_DENIED);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(verified_password_is_known_for_a_while),
	    cmocka_unit_test(empty_and_huge_credentials_are_denied_at_once),
	    cmocka_unit_test(queue_is_bounded_and_closing_answers_it),
	    cmocka_unit_test(addresses_take_turns),
	    cmocka_unit_test(a_full_queue_of_single_checks_refuses),
	    cmocka_unit_test(cache_gives_up_the_oldest),
	    cmocka_unit_test(bad_accounts_are_refused),
	    cmocka_unit_test(minted_token_is_ipfs_clusters),
	    cmocka_unit_test(secret_signs_and_password_does_not),
	    cmocka_unit_test(header_and_claims_decide),
	    cmocka_unit_test(any_changed_byte_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
