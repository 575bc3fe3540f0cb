/*
 * record.c - the canonical encoding of a pin's facts and texts.
 *
 * Flow: command → record → journal, segment; back on every read. Owner: none; no state.
 * Drawn in docs/formats.md, "Record".
 *
 * Every record has exactly one encoding: what is not canonical is damage, because two encodings of
 * one pin would have two checksums.
 */
#include "pin/pin_internal.h"

#define RECORD_VERSION 1u

size_t
zp_record_head_encode(const struct zp_record *record, uint8_t head_out[ZP_RECORD_HEAD_BYTES_MAX])
{
	uint64_t mask = 0;
	size_t at = 1;

	head_out[0] = RECORD_VERSION;
	for (unsigned i = 0; i < ZP_FACT_COUNT; i++)
		mask |= (uint64_t)(record->facts[i] != 0) << i;
	at += zp_varint_put_wide(head_out + at, mask);
	for (; mask != 0; mask &= mask - 1)
		at += zp_varint_put_wide(head_out + at, record->facts[__builtin_ctzll(mask)]);
	return at + zp_varint_put_wide(head_out + at, record->texts.length);
}

size_t
pin__record_bytes(const struct zp_record *record)
{
	size_t bytes = 1 + zp_varint_bytes(record->texts.length) + record->texts.length;
	uint64_t mask = 0;

	for (unsigned i = 0; i < ZP_FACT_COUNT; i++) {
		mask |= (uint64_t)(record->facts[i] != 0) << i;
		bytes += record->facts[i] != 0 ? zp_varint_bytes(record->facts[i]) : 0;
	}
	return bytes + zp_varint_bytes(mask);
}

void
zp_record_encode(const struct zp_record *record, struct zp_buf *bytes)
{
	uint8_t head[ZP_RECORD_HEAD_BYTES_MAX];

	zp_buf_append(bytes, head, zp_record_head_encode(record, head));
	zp_buf_append_slice(bytes, record->texts);
}

/* What each fact can be; 0: anything. */
static const uint64_t fact_max[ZP_FACT_COUNT] = {
    [ZP_FACT_TYPE] = ZP_PIN_TYPE_COUNT - 1,
    /* zigzag of an int32 */
    [ZP_FACT_MAX_DEPTH] = UINT32_MAX,
    [ZP_FACT_REPLICATION_MIN] = UINT32_MAX,
    [ZP_FACT_REPLICATION_MAX] = UINT32_MAX,
};

static int
facts_decode(struct zp_slice bytes, size_t *at, uint64_t facts[ZP_FACT_COUNT], struct zp_err *err)
{
	size_t length;
	uint64_t mask;

	length = zp_varint_get(bytes.data + *at, bytes.length - *at, &mask);
	if (length == 0 || mask >> ZP_FACT_COUNT != 0)
		return zp_fail(err, ZP_E_CORRUPT, "record: bad mask of facts");
	*at += length;
	memset(facts, 0, ZP_FACT_COUNT * sizeof(facts[0]));
	for (; mask != 0; mask &= mask - 1) {
		unsigned i = (unsigned)__builtin_ctzll(mask);

		length = zp_varint_get(bytes.data + *at, bytes.length - *at, &facts[i]);
		if (length == 0 || facts[i] == 0)
			return zp_fail(err, ZP_E_CORRUPT, "record: bad value of fact %u", i);
		*at += length;
		if (fact_max[i] != 0 && facts[i] > fact_max[i])
			return zp_fail(err, ZP_E_CORRUPT, "record: fact %u is out of range: %llu",
			    i, (unsigned long long)facts[i]);
	}
	return ZP_OK;
}

/* All but a look at the texts. */
static int
record_split(struct zp_slice bytes, uint64_t facts_out[ZP_FACT_COUNT], struct zp_slice *texts_out,
    struct zp_err *err)
{
	uint64_t texts_length;
	size_t length, at = 1;
	int rc;

	if (bytes.length == 0)
		return zp_fail(err, ZP_E_CORRUPT, "record is empty");
	if (bytes.length > ZP_RECORD_BYTES_MAX)
		return zp_fail(err, ZP_E_CORRUPT, "record of %zu bytes, at most %u are possible",
		    bytes.length, ZP_RECORD_BYTES_MAX);
	if (bytes.data[0] > RECORD_VERSION)
		return zp_fail(err, ZP_E_VERSION, "record has version %u, this zpin reads %u",
		    bytes.data[0], RECORD_VERSION);
	if (bytes.data[0] != RECORD_VERSION)
		return zp_fail(err, ZP_E_CORRUPT, "record has version %u", bytes.data[0]);
	rc = facts_decode(bytes, &at, facts_out, err);
	if (rc < 0)
		return rc;
	length = zp_varint_get(bytes.data + at, bytes.length - at, &texts_length);
	if (length == 0 || texts_length != bytes.length - at - length)
		return zp_fail(err, ZP_E_CORRUPT, "record: bad length of texts");
	*texts_out = (struct zp_slice){.data = bytes.data + at + length, .length = texts_length};
	return ZP_OK;
}

int
zp_record_decode(struct zp_slice bytes, struct zp_record *record_out, struct zp_err *err)
{
	struct zp_record record;
	int rc = record_split(bytes, record.facts, &record.texts, err);

	if (rc == ZP_OK)
		rc = pin__texts_check(record.texts, -1, ZP_E_CORRUPT, err);
	if (rc < 0)
		return rc;
	*record_out = record;
	return ZP_OK;
}

void
zp_record_decode_own(
    struct zp_slice bytes, uint64_t facts_out[ZP_FACT_COUNT], struct zp_slice *texts_out)
{
	ZP_ASSERT(record_split(bytes, facts_out, texts_out, NULL) == ZP_OK);
}

/* ---- Texts ---------------------------------------------------------------------------------- */

void
pin__text_append(struct zp_buf *texts, enum zp_text_tag tag, struct zp_slice value)
{
	zp_buf_append_byte(texts, (uint8_t)tag);
	zp_buf_append_varint(texts, value.length);
	zp_buf_append_slice(texts, value);
}

bool
pin__text_read(
    struct zp_slice texts, size_t *position, uint8_t *tag_out, struct zp_slice *value_out)
{
	size_t at = *position + 1;
	uint64_t length;
	size_t bytes;

	if (*position >= texts.length)
		return false;
	bytes = zp_varint_get(texts.data + at, texts.length - at, &length);
	if (bytes == 0 || length > texts.length - at - bytes)
		return false;
	*tag_out = texts.data[*position];
	*value_out = (struct zp_slice){.data = texts.data + at + bytes, .length = (size_t)length};
	*position = at + bytes + (size_t)length;
	return true;
}

int
zp_texts_next(
    struct zp_slice texts, size_t *position, enum zp_text_tag *tag_out, struct zp_slice *value_out)
{
	bool is_whole;
	uint8_t tag;

	if (*position >= texts.length)
		return ZP_END;
	is_whole = pin__text_read(texts, position, &tag, value_out);
	ZP_ASSERT(is_whole); /* they were checked */
	*tag_out = (enum zp_text_tag)tag;
	return ZP_OK;
}

/* What was read so far. */
struct texts_walk {
	uint8_t last_tag;
	struct zp_slice last_key; /* of metadata */
	size_t metadata_count;
	size_t origins_count;
	bool has_cid;
};

static bool
slice_is_below(struct zp_slice a, struct zp_slice b)
{
	size_t shorter = zp_min_u64(a.length, b.length);
	int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);

	return order < 0 || (order == 0 && a.length < b.length);
}

/* A value follows its key and nothing else does; keys and origins repeat; other tags rise. */
static bool
order_is_right(const struct texts_walk *walk, uint8_t tag, struct zp_slice value)
{
	if (walk->last_tag == ZP_TEXT_METADATA_KEY || tag == ZP_TEXT_METADATA_VALUE)
		return walk->last_tag == ZP_TEXT_METADATA_KEY && tag == ZP_TEXT_METADATA_VALUE;
	if (tag == ZP_TEXT_METADATA_KEY && walk->last_tag == ZP_TEXT_METADATA_VALUE)
		return slice_is_below(walk->last_key, value);
	if (tag == ZP_TEXT_ORIGIN && walk->last_tag == ZP_TEXT_ORIGIN)
		return true;
	return tag > walk->last_tag;
}

const char *
pin__text_cid_problem(struct zp_slice value)
{
	struct zp_cid cid;

	if (zp_cid_decode(value, &cid, NULL) < 0)
		return "no CID";
	return pin__kind_of(&cid) == ZP_KIND_OTHER ? NULL : "a CID that its key holds";
}

static const char *
text_problem(struct texts_walk *walk, uint8_t tag, struct zp_slice value)
{
	struct zp_cid cid;

	switch (tag) {
	case ZP_TEXT_CID:
		walk->has_cid = true;
		return pin__text_cid_problem(value);
	case ZP_TEXT_PIN_UPDATE:
	case ZP_TEXT_REFERENCE:
		return zp_cid_decode(value, &cid, NULL) < 0 ? "no CID" : NULL;
	case ZP_TEXT_METADATA_KEY:
		walk->last_key = value;
		if (++walk->metadata_count > ZP_METADATA_COUNT_MAX)
			return "too many entries";
		break;
	case ZP_TEXT_METADATA_VALUE:
		break;
	case ZP_TEXT_ORIGIN:
		if (++walk->origins_count > ZP_ORIGINS_COUNT_MAX)
			return "too many origins";
		if (value.length == 0)
			return "empty";
		break;
	case ZP_TEXT_NAME:
		if (value.length == 0)
			return "empty";
		break;
	default:
		return "unknown";
	}
	return zp_utf8_is_valid(value) ? NULL : "invalid UTF-8";
}

int
pin__texts_check(struct zp_slice texts, int kind, int code, struct zp_err *err)
{
	static const char *const names[] = {"text 0", "cid", "name", "metadata key",
	    "metadata value", "origin", "pin_update", "reference"};
	struct texts_walk walk = {0};
	size_t position = 0;

	while (position < texts.length) {
		struct zp_slice value;
		const char *problem;
		uint8_t tag;

		if (!pin__text_read(texts, &position, &tag, &value))
			return zp_fail(err, code, "texts are cut off");
		problem = order_is_right(&walk, tag, value) ? text_problem(&walk, tag, value)
							    : "out of order";
		if (problem != NULL)
			return zp_fail(err, code, "%s: %s",
			    tag < ZP_ARRAY_COUNT(names) ? names[tag] : "text", problem);
		walk.last_tag = tag;
	}
	if (walk.last_tag == ZP_TEXT_METADATA_KEY)
		return zp_fail(err, code, "metadata key without a value");
	if (kind >= 0 && walk.has_cid != (kind == ZP_KIND_OTHER))
		return zp_fail(err, code, "%s",
		    walk.has_cid ? "a CID is kept that the key holds" : "the CID is missing");
	return ZP_OK;
}

int
zp_texts_check(struct zp_slice texts, uint8_t kind, struct zp_err *err)
{
	return pin__texts_check(texts, kind, ZP_E_CORRUPT, err);
}

/* ---- The CID of a record -------------------------------------------------------------------- */

static void
cid_of_key(const struct zp_key *key, struct zp_cid *cid_out)
{
	size_t at = 0;

	if (key->version == 1) {
		cid_out->bytes[at++] = 1;
		at += zp_varint_put(cid_out->bytes + at, key->codec);
	}
	cid_out->bytes[at++] = ZP_MULTIHASH_SHA2_256;
	cid_out->bytes[at++] = 32;
	memcpy(cid_out->bytes + at, key->digest, 32);
	cid_out->version = key->version;
	cid_out->codec = key->codec;
	cid_out->multihash_code = ZP_MULTIHASH_SHA2_256;
	cid_out->digest_offset = (uint32_t)at;
	cid_out->digest_length = 32;
	cid_out->length = (uint32_t)at + 32;
}

int
zp_cid_of_record(const struct zp_key *key, const struct zp_record *record, struct zp_cid *cid_out,
    struct zp_err *err)
{
	struct zp_slice value;
	struct zp_key computed;
	size_t position = 0;
	uint8_t tag;

	if (key->kind == ZP_KIND_SHA2_256) {
		if (key->version > 1 || key->codec > INT64_MAX)
			return zp_fail(err, ZP_E_CORRUPT, "key is no CID's");
		cid_of_key(key, cid_out);
		return ZP_OK;
	}
	if (!pin__text_read(record->texts, &position, &tag, &value) || tag != ZP_TEXT_CID)
		return zp_fail(err, ZP_E_CORRUPT, "the record lacks its CID");
	if (zp_cid_decode(value, cid_out, NULL) < 0)
		return zp_fail(err, ZP_E_CORRUPT, "what the record keeps as its CID is none");
	zp_key_of_cid(cid_out, key->namespace_id, key->claim, &computed);
	if (zp_key_compare(key, &computed) != 0)
		return zp_fail(err, ZP_E_CORRUPT, "the record's CID is not the one of its key");
	return ZP_OK;
}
