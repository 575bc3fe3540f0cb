/*
 * fuzz_jwt.c - tokens from strangers.
 *
 * First byte even: the rest is a whole token; it is taken only when its signature is right, which
 * is computed here anew. Odd: the rest is a header, a newline and claims, which are signed first,
 * so that the parsers behind the signature are reached too. Issuer "user" has a key, others have
 * none.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdlib.h>

#include "access/access_internal.h"

#define NOW 1795396609

static bool issuer_was_user;

static struct zp_slice
key_of(void *context, struct zp_slice issuer)
{
	(void)context;
	issuer_was_user = zp_slice_is(issuer, "user");
	return issuer_was_user ? zp_slice_of("pass") : (struct zp_slice){0};
}

static void
put_base64(struct zp_buf *text, const uint8_t *bytes, size_t length)
{
	size_t room = sodium_base64_ENCODED_LEN(length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	uint8_t *to = zp_buf_reserve(text, room);

	ZP_ASSERT(to != NULL);
	sodium_bin2base64(
	    (char *)to, room, bytes, length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	text->length += room - 1;
}

static void
signed_token(const uint8_t *data, size_t length, struct zp_buf *token)
{
	const uint8_t *newline = length > 0 ? memchr(data, '\n', length) : NULL;
	size_t header = newline != NULL ? (size_t)(newline - data) : length;
	uint8_t signature[64];
	unsigned signature_bytes;

	put_base64(token, data, header);
	zp_buf_append_byte(token, '.');
	if (newline != NULL)
		put_base64(token, newline + 1, length - header - 1);
	HMAC(EVP_sha256(), "pass", 4, token->data, token->length, signature, &signature_bytes);
	zp_buf_append_byte(token, '.');
	put_base64(token, signature, signature_bytes);
}

/* What was taken must carry one of the three signatures under the key. */
static void
signature_must_be_right(struct zp_slice token)
{
	const EVP_MD *digests[] = {EVP_sha256(), EVP_sha384(), EVP_sha512()};
	const uint8_t *dot = memrchr(token.data, '.', token.length);
	size_t signed_bytes = (size_t)(dot - token.data);
	bool is_right = false;

	for (unsigned i = 0; i < 3; i++) {
		ZP_AUTO_BUF(text, 256);
		uint8_t signature[64];
		unsigned bytes;

		HMAC(digests[i], "pass", 4, token.data, signed_bytes, signature, &bytes);
		put_base64(&text, signature, bytes);
		is_right |= zp_slice_equal(zp_buf_slice(&text),
		    (struct zp_slice){dot + 1, token.length - signed_bytes - 1});
	}
	ZP_ASSERT(is_right);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	ZP_AUTO_BUF(token, 1u << 20);
	struct zp_err err = {0};
	int rc;

	if (length == 0 || length > 8192 || sodium_init() < 0)
		return 0;
	if (data[0] % 2 == 0)
		zp_buf_append(&token, data + 1, length - 1);
	else
		signed_token(data + 1, length - 1, &token);
	issuer_was_user = false;
	rc = access__jwt_verify(zp_buf_slice(&token), NOW, key_of, NULL, &err);
	ZP_ASSERT(rc == 0 || (rc == ZP_E_DENIED && err.text[0] != '\0'));
	if (rc == 0) {
		ZP_ASSERT(issuer_was_user);
		signature_must_be_right(zp_buf_slice(&token));
	}
	return 0;
}
