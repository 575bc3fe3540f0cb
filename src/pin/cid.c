/*
 * cid.c - CIDs between text, binary form and their parts.
 *
 * Flow: everything a user names comes in through zp_cid_parse; records keep binary CIDs. Owner:
 * none; no state.
 *
 * Takes what go-cid takes and says what go-cid says (its wrapped messages repeat "invalid cid: "),
 * but for one thing: a version 0 in multibase is refused, as the CID specification demands.
 */
#include "pin/pin_internal.h"

#define CID_V0_BYTES 34u
#define CID_V0_TEXT_LENGTH 46u

/* As go-varint: minimal and below 2^63. NULL, or what is wrong. */
static const char *
varint63_read(struct zp_slice bytes, size_t *at, uint64_t *value_out)
{
	size_t rest = bytes.length - *at;
	uint64_t value;
	size_t length = zp_varint_get(bytes.data + *at, rest, &value);

	if (length > 0 && value <= INT64_MAX) {
		*at += length;
		*value_out = value;
		return NULL;
	}
	for (size_t i = 0; length == 0 && i < 9; i++) {
		if (i == rest)
			return "varints malformed, could not reach the end";
		if ((bytes.data[*at + i] & 0x80) == 0)
			return "varint not minimally encoded";
	}
	return "varints larger than uint63 not supported";
}

const char *
pin__multihash_read(struct zp_slice bytes, struct pin__multihash *multihash_out)
{
	const char *problem;
	uint64_t code, length;
	size_t at = 0;

	if (bytes.length < 2)
		return "multihash too short. must be >= 2 bytes";
	problem = varint63_read(bytes, &at, &code);
	if (problem == NULL)
		problem = varint63_read(bytes, &at, &length);
	if (problem != NULL)
		return problem;
	if (length > INT32_MAX)
		return "digest too long, supporting only <= 2^31-1";
	if (length > bytes.length - at)
		return "length greater than remaining number of bytes in buffer";
	*multihash_out = (struct pin__multihash){.code = code,
	    .digest_offset = at,
	    .digest_length = (size_t)length,
	    .length = at + (size_t)length};
	return NULL;
}

int
pin__multihash_read_whole(
    struct zp_slice bytes, struct pin__multihash *multihash_out, struct zp_err *err)
{
	const char *problem = pin__multihash_read(bytes, multihash_out);

	if (problem != NULL)
		return zp_fail(err, ZP_E_INVALID, "%s", problem);
	if (multihash_out->length != bytes.length)
		return zp_fail(err, ZP_E_INVALID,
		    "multihash length inconsistent: expected %zu; got %zu",
		    multihash_out->digest_length, multihash_out->length);
	return ZP_OK;
}

static bool
is_v0_prefix(struct zp_slice bytes)
{
	return bytes.length > 2 && bytes.data[0] == ZP_MULTIHASH_SHA2_256 && bytes.data[1] == 32;
}

static int
decode_v0(struct zp_slice bytes, struct zp_cid *cid_out, struct zp_err *err)
{
	if (bytes.length < CID_V0_BYTES)
		return zp_fail(
		    err, ZP_E_INVALID, "invalid cid: invalid cid: not enough bytes for cid v0");
	if (bytes.length > CID_V0_BYTES)
		return zp_fail(err, ZP_E_INVALID,
		    "invalid cid: trailing bytes in data buffer passed to cid Cast");
	cid_out->version = 0;
	cid_out->codec = ZP_CODEC_DAG_PB;
	cid_out->multihash_code = ZP_MULTIHASH_SHA2_256;
	cid_out->digest_offset = 2;
	cid_out->digest_length = 32;
	cid_out->length = CID_V0_BYTES;
	memcpy(cid_out->bytes, bytes.data, CID_V0_BYTES);
	return ZP_OK;
}

int
zp_cid_decode(struct zp_slice bytes, struct zp_cid *cid_out, struct zp_err *err)
{
	struct pin__multihash multihash;
	uint64_t version, codec;
	const char *problem;
	size_t at = 0;

	if (is_v0_prefix(bytes))
		return decode_v0(bytes, cid_out, err);
	if (bytes.length > ZP_CID_BYTES_MAX)
		return zp_fail(
		    err, ZP_E_TOO_LARGE, "invalid cid: longer than %u bytes", ZP_CID_BYTES_MAX);
	problem = varint63_read(bytes, &at, &version);
	if (problem == NULL && version != 1)
		return zp_fail(err, ZP_E_INVALID,
		    "invalid cid: invalid cid: expected 1 as the cid version number, got: %llu",
		    (unsigned long long)version);
	if (problem == NULL)
		problem = varint63_read(bytes, &at, &codec);
	if (problem == NULL)
		problem = pin__multihash_read(
		    (struct zp_slice){.data = bytes.data + at, .length = bytes.length - at},
		    &multihash);
	if (problem != NULL)
		return zp_fail(err, ZP_E_INVALID, "invalid cid: invalid cid: %s", problem);
	if (at + multihash.length != bytes.length)
		return zp_fail(err, ZP_E_INVALID,
		    "invalid cid: trailing bytes in data buffer passed to cid Cast");
	cid_out->version = 1;
	cid_out->codec = codec;
	cid_out->multihash_code = multihash.code;
	cid_out->digest_offset = (uint32_t)(at + multihash.digest_offset);
	cid_out->digest_length = (uint32_t)multihash.digest_length;
	cid_out->length = (uint32_t)bytes.length;
	memcpy(cid_out->bytes, bytes.data, bytes.length);
	return ZP_OK;
}

/* The 46 characters from "Qm" on: bare base58btc of a sha2-256 multihash. */
static int
parse_v0(struct zp_slice text, struct zp_cid *cid_out, struct zp_err *err)
{
	uint8_t bytes[ZP_CID_BYTES_MAX];
	struct pin__multihash multihash;
	size_t length, bad;
	int rc;

	if (pin__radix_decode(&pin__base58btc, text, bytes, &length, &bad) != PIN__DECODED)
		return zp_fail(err, ZP_E_INVALID, "invalid cid: input isn't valid multihash");
	/* "Qm" and 44 characters more begin with 0x12 and 30 to 33: nearly always a sha2-256. */
	rc = pin__multihash_read_whole(
	    (struct zp_slice){.data = bytes, .length = length}, &multihash, err);
	if (rc < 0)
		return zp_wrap(err, rc, "invalid cid");
	if (length != CID_V0_BYTES || bytes[0] != ZP_MULTIHASH_SHA2_256 || bytes[1] != 32)
		return zp_fail(err, ZP_E_INVALID, "invalid cid: input isn't valid multihash");
	return decode_v0((struct zp_slice){.data = bytes, .length = length}, cid_out, err);
}

int
zp_cid_parse(struct zp_slice text, struct zp_cid *cid_out, struct zp_err *err)
{
	uint8_t bytes[PIN__MULTIBASE_ROOM];
	size_t length;
	int rc;

	if (text.length < 2)
		return zp_fail(err, ZP_E_INVALID, "invalid cid: cid too short");
	if (text.length == CID_V0_TEXT_LENGTH && memcmp(text.data, "Qm", 2) == 0)
		return parse_v0(text, cid_out, err);
	rc = pin__multibase_decode(text, bytes, &length, err);
	if (rc < 0)
		return zp_wrap(err, rc, "invalid cid");
	if (is_v0_prefix((struct zp_slice){.data = bytes, .length = length}))
		return zp_fail(
		    err, ZP_E_INVALID, "invalid cid: a version 0 may not be multibase encoded");
	return zp_cid_decode((struct zp_slice){.data = bytes, .length = length}, cid_out, err);
}

void
zp_cid_format(const struct zp_cid *cid, struct zp_buf *text)
{
	struct zp_slice bytes = {.data = cid->bytes, .length = cid->length};

	if (cid->version == 0) {
		pin__radix_encode(&pin__base58btc, bytes, text);
		return;
	}
	zp_buf_append_byte(text, 'b');
	pin__base32_encode(bytes, text);
}
