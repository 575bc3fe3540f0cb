/*
 * jwt.c - JSON Web Tokens (RFC 7519) with an HMAC, compact form, and nothing else of JOSE.
 *
 * Flow: zp_access_token_verify and _mint. Pure: the time is told. Owner: none.
 *
 * Strict where golang-jwt, whose tokens these must be, is lax without need: members that decide
 * (alg, iss, exp, nbf, iat) may come once, `crit` is refused as RFC 7515 demands. An algorithm that
 * is not an HMAC is refused by name, and each HMAC's length is its own, so no key is ever used for
 * another kind of signature than the account's.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>

#include "access/access_internal.h"
#include "base/json.h"

#define HEADER_HS256 "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9" /* {"alg":"HS256","typ":"JWT"} */
#define SIGNATURE_BYTES_MAX 64u
#define TIME_TEXT_MAX 64u
#define CLAIM_RAW_BYTES_MAX 18u        /* three letters, all escaped */
#define TIME_MAX 9223372036854775808.0 /* 2^63 s: what Go holds */

struct jwt_part {
	struct zp_slice text; /* base64url, as it stands in the token */
	uint8_t bytes[ZP_ACCESS_TOKEN_BYTES_MAX];
	size_t length;
};

struct jwt_claims {
	uint8_t issuer[ZP_ACCESS_NAME_BYTES_MAX];
	size_t issuer_length;
	bool has_issuer;
	bool has_time[3]; /* exp, nbf, iat */
	int64_t time[3];  /* seconds since 1970 */
};

enum { TIME_EXP, TIME_NBF, TIME_IAT };

struct jwt_algorithm {
	const char *name;
	const EVP_MD *(*digest)(void);
	size_t bytes;
};

static const struct jwt_algorithm algorithms[] = {
    {"HS256", EVP_sha256, 32},
    {"HS384", EVP_sha384, 48},
    {"HS512", EVP_sha512, 64},
};

static int
part_decode(struct jwt_part *part, const char *what, struct zp_err *err)
{
	if (sodium_base642bin(part->bytes, sizeof(part->bytes), (const char *)part->text.data,
		part->text.length, NULL, &part->length, NULL,
		sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
		return zp_fail(err, ZP_E_DENIED, "token: the %s is not base64url", what);
	return 0;
}

/* Cuts at the dots, of which there must be two. */
static int
token_split(struct zp_slice token, struct zp_slice parts_out[3], struct zp_err *err)
{
	const uint8_t *at = token.data;
	const uint8_t *end = at + token.length;

	if (token.length > ZP_ACCESS_TOKEN_BYTES_MAX)
		return zp_fail(
		    err, ZP_E_DENIED, "token: longer than %u bytes", ZP_ACCESS_TOKEN_BYTES_MAX);
	for (unsigned i = 0; i < 3; i++) {
		const uint8_t *dot = at == end ? NULL : memchr(at, '.', (size_t)(end - at));

		if ((dot == NULL) != (i == 2))
			return zp_fail(err, ZP_E_DENIED, "token: not three parts");
		parts_out[i].data = at;
		parts_out[i].length = (size_t)((i == 2 ? end : dot) - at);
		at = i == 2 ? end : dot + 1;
	}
	return 0;
}

static int
header_member(struct zp_json *json, const struct zp_json_string *name,
    const struct jwt_algorithm **algorithm, struct zp_err *err)
{
	struct zp_json_string value;
	int rc;

	if (zp_json_string_is(name, "crit"))
		return zp_fail(err, ZP_E_DENIED, "token: it has critical extensions");
	if (!zp_json_string_is(name, "alg"))
		return zp_json_skip(json, err);
	if (*algorithm != NULL)
		return zp_fail(err, ZP_E_DENIED, "token: two algorithms");
	rc = zp_json_read_string(json, &value, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(algorithms); i++)
		if (zp_json_string_is(&value, algorithms[i].name))
			*algorithm = &algorithms[i];
	return *algorithm != NULL ? 0 : zp_fail(err, ZP_E_DENIED, "token: not signed with an HMAC");
}

static int
header_read(
    const struct jwt_part *part, const struct jwt_algorithm **algorithm_out, struct zp_err *err)
{
	const struct jwt_algorithm *algorithm = NULL;
	struct zp_json_string name;
	struct zp_json json;
	int rc;

	zp_json_init(&json, (struct zp_slice){part->bytes, part->length});
	rc = zp_json_object_begin(&json, err);
	while (rc == 0 && (rc = zp_json_object_next(&json, &name, err)) == 0)
		rc = header_member(&json, &name, &algorithm, err);
	if (rc == ZP_END)
		rc = zp_json_end(&json, err);
	if (rc == 0 && algorithm == NULL)
		rc = zp_fail(err, ZP_E_DENIED, "token: no algorithm");
	if (rc == 0)
		*algorithm_out = algorithm;
	return rc;
}

static int
issuer_read(struct zp_json *json, struct jwt_claims *claims, struct zp_err *err)
{
	struct zp_json_string value;
	int rc = zp_json_read_string(json, &value, err);

	if (rc < 0)
		return rc;
	if (claims->has_issuer || value.raw.length > sizeof(claims->issuer))
		return zp_fail(err, ZP_E_DENIED, "token: two issuers, or one of too many bytes");
	claims->has_issuer = true;
	claims->issuer_length = zp_json_unescape(&value, claims->issuer);
	return 0;
}

static bool
is_digit(uint8_t byte)
{
	return byte >= '0' && byte <= '9';
}

static int
quoted_read(struct zp_json *json, double *value_out, struct zp_err *err)
{
	uint8_t text[TIME_TEXT_MAX];
	struct zp_json_string quoted;
	struct zp_json inner;
	size_t length;
	int rc = zp_json_read_string(json, &quoted, err);

	if (rc < 0)
		return rc;
	if (quoted.raw.length > sizeof(text))
		return zp_fail(err, ZP_E_DENIED, "token: a time of too many digits");
	length = zp_json_unescape(&quoted, text);
	if (length == 0 || !is_digit(text[length - 1]) || (text[0] != '-' && !is_digit(text[0])))
		return zp_fail(err, ZP_E_DENIED, "token: a time that is none");
	zp_json_init(&inner, (struct zp_slice){text, length});
	rc = zp_json_read_double(&inner, value_out, err);
	return rc < 0 ? rc : zp_json_end(&inner, err);
}

/* A number, or one in quotes: Go's json.Number takes both. Whole seconds, as golang-jwt has them.
 */
static int
time_read(struct zp_json *json, int64_t *seconds_out, struct zp_err *err)
{
	enum zp_json_type type;
	double value = 0;
	int rc = zp_json_peek(json, &type, err);

	if (rc == 0 && type == ZP_JSON_STRING)
		rc = quoted_read(json, &value, err);
	else if (rc == 0)
		rc = zp_json_read_double(json, &value, err);
	if (rc < 0)
		return rc;
	if (!(value > -TIME_MAX && value < TIME_MAX))
		return zp_fail(err, ZP_E_DENIED, "token: a time that is none");
	*seconds_out = (int64_t)value;
	*seconds_out -= (double)*seconds_out > value;
	return 0;
}

/* One text, or null; a list of them too where `is_list`. What they say is nobody's concern here. */
static int
texts_skip(struct zp_json *json, bool is_list, struct zp_err *err)
{
	struct zp_json_string value;
	enum zp_json_type type;
	int rc = zp_json_peek(json, &type, err);

	if (rc < 0 || zp_json_take_null(json))
		return rc;
	if (!is_list || type != ZP_JSON_ARRAY)
		return zp_json_read_string(json, &value, err);
	rc = zp_json_array_begin(json, err);
	while (rc == 0 && (rc = zp_json_array_next(json, err)) == 0)
		rc = texts_skip(json, false, err);
	return rc == ZP_END ? 0 : rc;
}

/* A claim that decides, in another case: golang-jwt would heed it, RFC 7519 would not. */
static bool
is_disguised(const struct zp_json_string *name)
{
	static const char *const claims[] = {"iss", "exp", "nbf", "iat"};
	uint8_t text[CLAIM_RAW_BYTES_MAX];
	size_t length;

	if (name->raw.length > sizeof(text))
		return false;
	length = zp_json_unescape(name, text);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(claims); i++)
		if (length == strlen(claims[i]) &&
		    strncasecmp((const char *)text, claims[i], length) == 0)
			return true;
	return false;
}

static int
claim_member(struct zp_json *json, const struct zp_json_string *name, struct jwt_claims *claims,
    struct zp_err *err)
{
	static const char *const times[] = {"exp", "nbf", "iat"};
	static const char *const texts[] = {"sub", "aud", "jti"};

	if (zp_json_string_is(name, "iss"))
		return issuer_read(json, claims, err);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(times); i++) {
		if (!zp_json_string_is(name, times[i]))
			continue;
		if (zp_json_take_null(json))
			return 0;
		if (claims->has_time[i])
			return zp_fail(err, ZP_E_DENIED, "token: two claims %s", times[i]);
		claims->has_time[i] = true;
		return time_read(json, &claims->time[i], err);
	}
	for (size_t i = 0; i < ZP_ARRAY_COUNT(texts); i++)
		if (zp_json_string_is(name, texts[i]))
			return texts_skip(json, strcmp(texts[i], "aud") == 0, err);
	if (is_disguised(name))
		return zp_fail(err, ZP_E_DENIED, "token: a claim in another case");
	return zp_json_skip(json, err);
}

static int
claims_read(const struct jwt_part *part, struct jwt_claims *claims, struct zp_err *err)
{
	struct zp_json_string name;
	struct zp_json json;
	int rc;

	zp_json_init(&json, (struct zp_slice){part->bytes, part->length});
	rc = zp_json_object_begin(&json, err);
	while (rc == 0 && (rc = zp_json_object_next(&json, &name, err)) == 0)
		rc = claim_member(&json, &name, claims, err);
	if (rc == ZP_END)
		rc = zp_json_end(&json, err);
	if (rc == 0 && !claims->has_issuer)
		rc = zp_fail(err, ZP_E_DENIED, "token: no issuer");
	return rc;
}

static int
times_check(const struct jwt_claims *claims, int64_t now_seconds, struct zp_err *err)
{
	if (claims->has_time[TIME_EXP] && now_seconds >= claims->time[TIME_EXP])
		return zp_fail(err, ZP_E_DENIED, "token: expired");
	if (claims->has_time[TIME_NBF] && now_seconds < claims->time[TIME_NBF])
		return zp_fail(err, ZP_E_DENIED, "token: not valid yet");
	if (claims->has_time[TIME_IAT] && now_seconds < claims->time[TIME_IAT])
		return zp_fail(err, ZP_E_DENIED, "token: used before issued");
	return 0;
}

static bool
signature_is_right(const struct jwt_algorithm *algorithm, struct zp_slice key,
    struct zp_slice signed_part, const struct jwt_part *signature)
{
	uint8_t expected[SIGNATURE_BYTES_MAX];
	unsigned length = 0;

	if (signature->length != algorithm->bytes)
		return false;
	if (HMAC(algorithm->digest(), key.data, (int)key.length, signed_part.data,
		signed_part.length, expected, &length) == NULL)
		return false;
	ZP_ASSERT(length == algorithm->bytes);
	return CRYPTO_memcmp(expected, signature->bytes, length) == 0;
}

int
access__jwt_verify(struct zp_slice token, int64_t now_seconds, access__jwt_key key_of,
    void *context, struct zp_err *err)
{
	static const uint8_t no_key[32] = {1};
	const struct jwt_algorithm *algorithm = NULL;
	struct jwt_claims claims = {0};
	struct zp_slice parts[3], key, signed_part;
	struct jwt_part part;

	if (token_split(token, parts, err) < 0)
		return ZP_E_DENIED;
	part.text = parts[0];
	if (part_decode(&part, "header", err) < 0 || header_read(&part, &algorithm, err) < 0)
		return ZP_E_DENIED;
	part.text = parts[1];
	if (part_decode(&part, "payload", err) < 0 || claims_read(&part, &claims, err) < 0)
		return ZP_E_DENIED;
	part.text = parts[2];
	if (part_decode(&part, "signature", err) < 0)
		return ZP_E_DENIED;

	key = key_of(context, (struct zp_slice){claims.issuer, claims.issuer_length});
	signed_part = (struct zp_slice){token.data, parts[0].length + 1 + parts[1].length};
	if (!signature_is_right(algorithm,
		key.length > 0 ? key : (struct zp_slice){no_key, sizeof(no_key)}, signed_part,
		&part) ||
	    key.length == 0)
		return zp_fail(err, ZP_E_DENIED, "token: unknown issuer or wrong signature");
	return times_check(&claims, now_seconds, err);
}

static void
put_base64(struct zp_buf *text, struct zp_slice bytes)
{
	size_t room =
	    sodium_base64_ENCODED_LEN(bytes.length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	uint8_t *to = zp_buf_reserve(text, room); /* with a NUL */

	if (to == NULL)
		return;
	sodium_bin2base64(
	    (char *)to, room, bytes.data, bytes.length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	text->length += room - 1;
}

void
access__jwt_mint(struct zp_slice issuer, struct zp_slice key, struct zp_buf *token)
{
	ZP_AUTO_BUF(claims, 8 * ZP_ACCESS_NAME_BYTES_MAX + 64);
	uint8_t signature[SIGNATURE_BYTES_MAX];
	size_t start = token->length;
	unsigned length = 0;

	zp_buf_append_text(&claims, "{");
	zp_json_put_name(&claims, "iss");
	zp_json_put_string(&claims, issuer);
	zp_buf_append_text(&claims, "}");
	zp_buf_append_text(token, HEADER_HS256 ".");
	put_base64(token, zp_buf_slice(&claims));
	if (token->overflow)
		return;
	HMAC(EVP_sha256(), key.data, (int)key.length, token->data + start, token->length - start,
	    signature, &length);
	ZP_ASSERT(length == 32);
	zp_buf_append_byte(token, '.');
	put_base64(token, (struct zp_slice){signature, length});
}
