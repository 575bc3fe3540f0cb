/*
 * identity.c - see identity.h. Owner: the main thread, at start.
 *
 * Source of the encodings: libp2p specs, peer-ids: a key is the protobuf {1: type, 2: bytes},
 * Ed25519 is type 1, its private bytes are seed and public key; a peer id is the multihash of the
 * public key's protobuf, identity (0x00) up to 42 bytes.
 */
#include "main/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <unistd.h>

#include "base/json.h"
#include "os/os.h"
#include "pin/pin.h"

enum {
	SEED_BYTES = 32,
	PUBLIC_BYTES = 32,
	KEY_HEADER_BYTES = 4, /* 08 01 (Ed25519) 12 <length> */
	PRIVATE_PROTO_BYTES = KEY_HEADER_BYTES + SEED_BYTES + PUBLIC_BYTES,
	PUBLIC_PROTO_BYTES = KEY_HEADER_BYTES + PUBLIC_BYTES,
	FILE_BYTES_MAX = 16384,
};

static int
peer_id_set(struct zp_slice binary, struct zp_identity *identity, struct zp_err *err)
{
	ZP_AUTO_BUF(text, sizeof(identity->text) - 1);

	if (binary.length > sizeof(identity->peer_id))
		return zp_fail(err, ZP_E_INVALID, "the peer id is longer than %zu bytes",
		    sizeof(identity->peer_id));
	memcpy(identity->peer_id, binary.data, binary.length);
	identity->peer_id_bytes = binary.length;
	zp_peer_id_format(binary, &text);
	memcpy(identity->text, text.data, text.length);
	identity->text[text.length] = '\0';
	return zp_buf_check(&text, "the peer id", err);
}

static int
peer_id_of_public(
    const uint8_t public_key[PUBLIC_BYTES], struct zp_identity *identity, struct zp_err *err)
{
	uint8_t multihash[2 + PUBLIC_PROTO_BYTES] = {
	    0x00, PUBLIC_PROTO_BYTES, 0x08, 0x01, 0x12, PUBLIC_BYTES};

	memcpy(multihash + 2 + KEY_HEADER_BYTES, public_key, PUBLIC_BYTES);
	return peer_id_set((struct zp_slice){multihash, sizeof(multihash)}, identity, err);
}

int
zp_identity_create(const char *path, struct zp_identity *identity_out, struct zp_err *err)
{
	uint8_t proto[PRIVATE_PROTO_BYTES] = {0x08, 0x01, 0x12, SEED_BYTES + PUBLIC_BYTES};
	char base64[4 * ((PRIVATE_PROTO_BYTES + 2) / 3) + 1];
	size_t seed_bytes = SEED_BYTES, public_bytes = PUBLIC_BYTES;
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	ZP_AUTO_BUF(json, FILE_BYTES_MAX);
	int rc = ZP_OK;

	if (key == NULL ||
	    EVP_PKEY_get_raw_private_key(key, proto + KEY_HEADER_BYTES, &seed_bytes) != 1 ||
	    EVP_PKEY_get_raw_public_key(
		key, proto + KEY_HEADER_BYTES + SEED_BYTES, &public_bytes) != 1)
		rc = zp_fail(err, ZP_E_INTERNAL, "OpenSSL could not make an Ed25519 key");
	EVP_PKEY_free(key);
	if (rc == ZP_OK)
		rc = peer_id_of_public(proto + KEY_HEADER_BYTES + SEED_BYTES, identity_out, err);
	if (rc == ZP_OK) {
		EVP_EncodeBlock((unsigned char *)base64, proto, sizeof(proto));
		zp_buf_printf(&json, "{\n    \"id\": \"%s\",\n    \"private_key\": \"%s\"\n}\n",
		    identity_out->text, base64);
		rc = zp_disk_file_create(path, 0600, json.data, json.length);
		if (rc != 0)
			rc = zp_fail_errno(err, rc, "%s", path);
	}
	OPENSSL_cleanse(proto, sizeof(proto));
	OPENSSL_cleanse(base64, sizeof(base64));
	if (json.data != NULL)
		OPENSSL_cleanse(json.data, json.capacity);
	return rc;
}

static int
file_read(const char *path, struct zp_buf *to, struct zp_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = -1;

	if (fd < 0)
		return zp_fail_errno(err, errno, "%s", path);
	if (zp_buf_reserve(to, FILE_BYTES_MAX) != NULL)
		got = read(fd, to->data, FILE_BYTES_MAX);
	close(fd);
	if (got < 0)
		return zp_fail_errno(err, errno, "%s", path);
	to->length = (size_t)got;
	return ZP_OK;
}

static int
members_read(
    struct zp_slice text, struct zp_buf *id, struct zp_buf *private_key, struct zp_err *err)
{
	struct zp_json json;
	struct zp_json_string name, value;
	int rc;

	zp_json_init(&json, text);
	rc = zp_json_object_begin(&json, err);
	while (rc == ZP_OK && (rc = zp_json_object_next(&json, &name, err)) == ZP_OK) {
		bool is_id = zp_json_string_is(&name, "id");

		if (!is_id && !zp_json_string_is(&name, "private_key")) {
			rc = zp_json_skip(&json, err);
			continue;
		}
		rc = zp_json_read_string(&json, &value, err);
		if (rc == ZP_OK)
			zp_json_string_append(&value, is_id ? id : private_key);
	}
	return rc == ZP_END ? zp_json_end(&json, err) : rc;
}

/* An Ed25519 key must be the id's; other kinds are not ours to check. */
static int
key_check(struct zp_slice base64, const struct zp_identity *identity, struct zp_err *err)
{
	uint8_t proto[FILE_BYTES_MAX];
	struct zp_identity made;
	int length = base64.length < FILE_BYTES_MAX
			 ? EVP_DecodeBlock(proto, base64.data, (int)base64.length)
			 : -1;
	int rc = ZP_OK;

	if (length < KEY_HEADER_BYTES) {
		rc = zp_fail(err, ZP_E_INVALID, "private_key is not base64 of a key");
	} else if (memcmp(proto, (const uint8_t[]){0x08, 0x01, 0x12, 0x40}, 4) == 0 &&
		   length >= PRIVATE_PROTO_BYTES) {
		rc = peer_id_of_public(proto + KEY_HEADER_BYTES + SEED_BYTES, &made, err);
		if (rc == ZP_OK && strcmp(made.text, identity->text) != 0)
			rc = zp_fail(err, ZP_E_INVALID,
			    "id is not that of private_key, which is %s", made.text);
	}
	OPENSSL_cleanse(proto, sizeof(proto));
	return rc;
}

int
zp_identity_read(const char *path, struct zp_identity *identity_out, struct zp_err *err)
{
	ZP_AUTO_BUF(text, FILE_BYTES_MAX);
	ZP_AUTO_BUF(id, FILE_BYTES_MAX);
	ZP_AUTO_BUF(private_key, FILE_BYTES_MAX);
	ZP_AUTO_BUF(binary, ZP_PEER_ID_BYTES_MAX);
	int rc = file_read(path, &text, err);

	if (rc < 0)
		return rc;
	rc = members_read(zp_buf_slice(&text), &id, &private_key, err);
	if (rc == ZP_OK)
		rc = zp_peer_id_parse(zp_buf_slice(&id), &binary, err);
	if (rc == ZP_OK)
		rc = peer_id_set(zp_buf_slice(&binary), identity_out, err);
	if (rc == ZP_OK)
		rc = key_check(zp_buf_slice(&private_key), identity_out, err);
	if (text.data != NULL)
		OPENSSL_cleanse(text.data, text.capacity);
	if (private_key.data != NULL)
		OPENSSL_cleanse(private_key.data, private_key.capacity);
	return rc < 0 ? zp_wrap(err, rc, "%s", path) : ZP_OK;
}
