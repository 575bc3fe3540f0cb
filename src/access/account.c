/*
 * account.c - the accounts and what verifying a password costs.
 *
 * Flow: made once at the start; read by all threads. Owner: access.c; never changes afterwards.
 */
#include <sodium.h>

#include "access/access_internal.h"

static char *
text_copy(const char *text)
{
	return text == NULL || text[0] == '\0' ? NULL : zp_strdup(text);
}

/* Also checks that libsodium can read the hash, so that a typing error is told at the start. */
static int
user_init(struct zp_access_user *user, const struct zp_access_account *account,
    bool token_key_is_password, struct zp_err *err)
{
	user->name = text_copy(account->name);
	user->password_hash = text_copy(account->password_hash);
	user->password = text_copy(account->password);
	user->token_key =
	    text_copy(token_key_is_password ? account->password : account->token_secret);
	if (user->name == NULL || strlen(user->name) > ZP_ACCESS_NAME_BYTES_MAX)
		return zp_fail(err, ZP_E_INVALID, "the name is empty or longer than %u bytes",
		    ZP_ACCESS_NAME_BYTES_MAX);
	if ((user->password_hash == NULL) == (user->password == NULL))
		return zp_fail(err, ZP_E_INVALID, "give either password_hash or password");
	if (user->password_hash != NULL &&
	    crypto_pwhash_str_needs_rehash(
		user->password_hash, crypto_pwhash_OPSLIMIT_MIN, crypto_pwhash_MEMLIMIT_MIN) < 0)
		return zp_fail(err, ZP_E_INVALID, "password_hash is not an argon2id hash");
	return 0;
}

int
access__accounts_init(
    struct access_accounts *accounts, const struct zp_access_options *options, struct zp_err *err)
{
	if (sodium_init() < 0)
		return zp_fail(err, ZP_E_INTERNAL, "libsodium does not start");
	if (options->accounts_count == 0)
		return zp_fail(err, ZP_E_INVALID, "there are no accounts");
	randombytes_buf(accounts->key, sizeof(accounts->key));
	accounts->users = zp_alloc_zero(options->accounts_count, sizeof(accounts->users[0]));
	accounts->count = options->accounts_count;
	for (size_t i = 0; i < accounts->count; i++) {
		struct zp_access_user *user = &accounts->users[i];
		int rc =
		    user_init(user, &options->accounts[i], options->token_key_is_password, err);

		if (rc < 0)
			return zp_wrap(err, rc, "account %zu", i + 1);
		if (access__user_find(accounts, zp_slice_of(user->name)) != user)
			return zp_fail(err, ZP_E_INVALID, "account %zu: the name %s is taken",
			    i + 1, user->name);
		if (user->password_hash != NULL)
			accounts->decoy_hash = user->password_hash;
	}
	return 0;
}

static void
secret_free(char *secret)
{
	if (secret != NULL)
		sodium_memzero(secret, strlen(secret));
	zp_free(secret);
}

void
access__accounts_done(struct access_accounts *accounts)
{
	for (size_t i = 0; i < accounts->count; i++) {
		zp_free(accounts->users[i].name);
		secret_free(accounts->users[i].password_hash);
		secret_free(accounts->users[i].password);
		secret_free(accounts->users[i].token_key);
	}
	zp_free(accounts->users);
	sodium_memzero(accounts, sizeof(*accounts));
}

const struct zp_access_user *
access__user_find(const struct access_accounts *accounts, struct zp_slice name)
{
	for (size_t i = 0; i < accounts->count; i++)
		if (accounts->users[i].name != NULL && zp_slice_is(name, accounts->users[i].name))
			return &accounts->users[i];
	return NULL;
}

void
access__tag(const struct access_accounts *accounts, struct zp_slice name, struct zp_slice password,
    uint8_t tag_out[ACCESS_TAG_BYTES])
{
	uint64_t name_bytes = name.length; /* so that ("ab", "c") is not ("a", "bc") */
	crypto_generichash_state state;

	crypto_generichash_init(&state, accounts->key, sizeof(accounts->key), ACCESS_TAG_BYTES);
	crypto_generichash_update(&state, (const uint8_t *)&name_bytes, sizeof(name_bytes));
	crypto_generichash_update(&state, name.data, name.length);
	crypto_generichash_update(&state, password.data, password.length);
	crypto_generichash_final(&state, tag_out, ACCESS_TAG_BYTES);
	sodium_memzero(&state, sizeof(state));
}

static bool
hash_verify(const char *hash, struct zp_slice password)
{
	return crypto_pwhash_str_verify(hash, (const char *)password.data, password.length) == 0;
}

/* Compares hashes, so that the time does not depend on what the texts have in common. */
static bool
clear_verify(const struct access_accounts *accounts, const char *expected, struct zp_slice password)
{
	struct zp_slice no_name = {0};
	uint8_t tags[2][ACCESS_TAG_BYTES];

	access__tag(accounts, no_name, zp_slice_of(expected), tags[0]);
	access__tag(accounts, no_name, password, tags[1]);
	return sodium_memcmp(tags[0], tags[1], ACCESS_TAG_BYTES) == 0;
}

const struct zp_access_user *
access__password_verify(
    const struct access_accounts *accounts, struct zp_slice name, struct zp_slice password)
{
	const struct zp_access_user *user = access__user_find(accounts, name);
	bool is_right;

	if (user == NULL) {
		if (accounts->decoy_hash != NULL)
			(void)hash_verify(accounts->decoy_hash, password);
		else
			(void)clear_verify(accounts, accounts->users[0].password, password);
		return NULL;
	}
	if (user->password_hash != NULL)
		is_right = hash_verify(user->password_hash, password);
	else
		is_right = clear_verify(accounts, user->password, password);
	return is_right ? user : NULL;
}
