/*
 * test_record.c - keys order as their bytes do; records have one encoding each.
 */
#include "pin/pin_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct zp_cid
cid_of(const char *text)
{
	struct zp_err err = {0};
	struct zp_cid cid;

	if (zp_cid_parse(zp_slice_of(text), &cid, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	return cid;
}

/* ---- Keys ----------------------------------------------------------------------------------- */

static int
sign(int value)
{
	return (value > 0) - (value < 0);
}

/* Few values in each field, so that the later fields decide often. */
static struct zp_key
random_key(void)
{
	static const uint64_t codecs[] = {0, 0x55, 0x70, 0x71, 0x129, 1ull << 33, INT64_MAX};
	struct zp_key key = {.kind = (uint8_t)(rand() % 2)};

	for (size_t i = 0; i < 32; i++)
		key.digest[i] = i % 31 == 0 ? (uint8_t)(rand() % 3 * 127) : 5;
	if (key.kind == ZP_KIND_SHA2_256) {
		key.version = (uint8_t)(rand() % 2);
		key.codec = key.version == 0 ? ZP_CODEC_DAG_PB
					     : codecs[(size_t)rand() % ZP_ARRAY_COUNT(codecs)];
	}
	key.namespace_id = (uint32_t)(rand() % 3) * 0x01000001u;
	if (key.namespace_id != 0)
		key.claim = (uint64_t)(rand() % 3) * 0x0100000000000001u;
	return key;
}

/* Shown on random pairs: the order is memcmp's, and both forms come back. */
static void
key_order_is_that_of_its_bytes(void **state)
{
	size_t equal = 0;

	(void)state;
	srand(11);
	for (size_t i = 0; i < 20000; i++) {
		struct zp_key a = random_key(), b = random_key(), back;
		uint8_t a_bytes[ZP_KEY_BYTES], b_bytes[ZP_KEY_BYTES];

		zp_key_encode(&a, a_bytes);
		zp_key_encode(&b, b_bytes);
		assert_int_equal(
		    sign(zp_key_compare(&a, &b)), sign(memcmp(a_bytes, b_bytes, ZP_KEY_BYTES)));
		equal += zp_key_compare(&a, &b) == 0;
		assert_int_equal(zp_key_decode(a_bytes, &back, NULL), 0);
		assert_int_equal(zp_key_compare(&a, &back), 0);
	}
	assert_true(equal > 0);
}

static void
keys_of_no_cid_are_damage(void **state)
{
	static const struct {
		size_t offset;
		uint8_t value;
	} changes[] = {{32, 2}, {33, 2}, {33, 0} /* version 0 of raw */, {32, 1} /* with a codec */,
	    {34, 0x80} /* codec of 64 bits */, {53, 1} /* claim in namespace 0 */};
	struct zp_cid cid = cid_of("bafkreic7gwonrewmt3hitnfalzcklpayvbf4bs6nq6lg54753fae5i3n64");
	uint8_t bytes[ZP_KEY_BYTES];
	struct zp_key key;

	(void)state;
	zp_key_of_cid(&cid, 0, 0, &key);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(changes); i++) {
		zp_key_encode(&key, bytes);
		bytes[changes[i].offset] = changes[i].value;
		assert_int_equal(zp_key_decode(bytes, &key, NULL), ZP_E_CORRUPT);
	}
}

/* A CID of another hash is keyed by the digest of its own bytes. Somebody may pin raw data that
 * hash to the same digest: the kinds keep the two apart. */
static void
crafted_digest_does_not_collide(void **state)
{
	struct zp_cid identity = cid_of("bafkqablimvwgy3y"), crafted;
	struct zp_record record = {{0}, {0}};
	struct zp_key identity_key, crafted_key;
	ZP_AUTO_BUF(texts, 256);
	struct zp_cid back;

	(void)state;
	zp_key_of_cid(&identity, 0, 0, &identity_key);
	assert_int_equal(identity_key.kind, ZP_KIND_OTHER);
	crafted = cid_of("bafkreic7gwonrewmt3hitnfalzcklpayvbf4bs6nq6lg54753fae5i3n64");
	memcpy(crafted.bytes + crafted.digest_offset, identity_key.digest, 32);
	zp_key_of_cid(&crafted, 0, 0, &crafted_key);
	assert_memory_equal(crafted_key.digest, identity_key.digest, 32);
	assert_int_not_equal(zp_key_compare(&crafted_key, &identity_key), 0);

	/* Each gives its own CID back; the kept one is checked against its key. */
	assert_int_equal(zp_cid_of_record(&crafted_key, &record, &back, NULL), 0);
	assert_memory_equal(back.bytes, crafted.bytes, crafted.length);
	assert_int_equal(zp_cid_of_record(&identity_key, &record, &back, NULL), ZP_E_CORRUPT);
	pin__text_append(&texts, ZP_TEXT_CID, (struct zp_slice){identity.bytes, identity.length});
	record.texts = zp_buf_slice(&texts);
	assert_int_equal(zp_cid_of_record(&identity_key, &record, &back, NULL), 0);
	assert_memory_equal(back.bytes, identity.bytes, identity.length);
	identity_key.digest[0] ^= 1;
	assert_int_equal(zp_cid_of_record(&identity_key, &record, &back, NULL), ZP_E_CORRUPT);
}

/* Only a sha2-256 of 32 bytes is its own key; v0 and v1 of one digest stand side by side. */
static void
kinds_of_cids(void **state)
{
	struct zp_cid v0 = cid_of("QmUkJrcLwkCedk1TWwzAWFY5ZV49ULssptnM4WFEVcJpk6");
	struct zp_cid raw = cid_of("bafkreic7gwonrewmt3hitnfalzcklpayvbf4bs6nq6lg54753fae5i3n64");
	struct zp_cid truncated = cid_of("f01551204aabbccdd");
	struct zp_key a, b;

	(void)state;
	zp_key_of_cid(&v0, 0, 0, &a);
	zp_key_of_cid(&raw, 0, 0, &b);
	assert_memory_equal(a.digest, b.digest, 32);
	assert_true(zp_key_compare(&a, &b) < 0);
	assert_int_equal(a.codec, ZP_CODEC_DAG_PB);
	zp_key_of_cid(&truncated, 7, 9, &a);
	assert_int_equal(a.kind, ZP_KIND_OTHER);
	assert_int_equal(a.codec, 0);
	assert_int_equal(a.version, 0);
	assert_int_equal(a.namespace_id, 7);
	assert_int_equal(a.claim, 9);
}

/* ---- Records -------------------------------------------------------------------------------- */

static void
put(struct zp_buf *texts, enum zp_text_tag tag, const char *value)
{
	pin__text_append(texts, tag, zp_slice_of(value));
}

static void
record_example(struct zp_buf *texts, struct zp_record *record_out)
{
	struct zp_cid update = cid_of("QmUkJrcLwkCedk1TWwzAWFY5ZV49ULssptnM4WFEVcJpk6");

	zp_buf_clear(texts);
	put(texts, ZP_TEXT_NAME, "name");
	put(texts, ZP_TEXT_METADATA_KEY, "a");
	put(texts, ZP_TEXT_METADATA_VALUE, "");
	put(texts, ZP_TEXT_METADATA_KEY, "ab");
	put(texts, ZP_TEXT_METADATA_VALUE, "2");
	put(texts, ZP_TEXT_ORIGIN, "/dns/b");
	put(texts, ZP_TEXT_ORIGIN, "/dns/a");
	pin__text_append(texts, ZP_TEXT_PIN_UPDATE, (struct zp_slice){update.bytes, update.length});
	*record_out = (struct zp_record){.facts = {[ZP_FACT_MAX_DEPTH] = 1,
					     [ZP_FACT_REPLICATION_MIN] = 4,
					     [ZP_FACT_REPLICATION_MAX] = 6,
					     [ZP_FACT_SIZE] = UINT64_MAX,
					     [ZP_FACT_CREATED] = zp_zigzag(1795396445),
					     [ZP_FACT_ALLOCATIONS] = 6},
	    .texts = zp_buf_slice(texts)};
}

/* The golden encoding of version 1: this text may never change. */
static void
encoding_is_the_golden_one(void **state)
{
	static const char golden[] =
	    "01de02010406ffffffffffffffffff01bacd9cb00d06460204"
	    "6e616d650301610400030261620401320506"
	    "2f646e732f6205062f646e732f610622"
	    "12205f359cd892cc9ece89b4a05e44a5bc18a84bc0cbcd87966ef3fdd9404ea36df7";
	struct zp_record record, decoded;
	ZP_AUTO_BUF(texts, 1024);
	ZP_AUTO_BUF(bytes, 1024);
	ZP_AUTO_BUF(hex, 1024);
	ZP_AUTO_BUF(again, 1024);
	struct zp_err err = {0};

	(void)state;
	record_example(&texts, &record);
	zp_record_encode(&record, &bytes);
	for (size_t i = 0; i < bytes.length; i++)
		zp_buf_printf(&hex, "%02x", bytes.data[i]);
	if (!zp_slice_is(zp_buf_slice(&hex), golden))
		fail_msg("%.*s", (int)hex.length, hex.data);
	assert_int_equal(zp_record_decode(zp_buf_slice(&bytes), &decoded, &err), 0);
	assert_memory_equal(decoded.facts, record.facts, sizeof(record.facts));
	assert_true(zp_slice_equal(decoded.texts, record.texts));
	assert_true(decoded.texts.data > bytes.data); /* borrowed, not copied */
	zp_record_encode(&decoded, &again);
	assert_true(zp_slice_equal(zp_buf_slice(&bytes), zp_buf_slice(&again)));
}

/* A prefix is never a record, nor is anything with a byte more. */
static void
cut_and_longer_records_are_damage(void **state)
{
	struct zp_record record, decoded;
	ZP_AUTO_BUF(texts, 1024);
	ZP_AUTO_BUF(bytes, 1024);

	(void)state;
	record_example(&texts, &record);
	zp_record_encode(&record, &bytes);
	for (size_t length = 0; length < bytes.length; length++) {
		uint8_t *copy = zp_alloc(length); /* of its own size, for the address sanitizer */

		memcpy(copy, bytes.data, length);
		assert_int_equal(zp_record_decode((struct zp_slice){copy, length}, &decoded, NULL),
		    ZP_E_CORRUPT);
		zp_free(copy);
	}
	zp_buf_append_byte(&bytes, 0);
	assert_int_equal(zp_record_decode(zp_buf_slice(&bytes), &decoded, NULL), ZP_E_CORRUPT);
}

/* What changes by one bit is refused or another record: it never decodes to the same one. */
static void
every_bit_counts(void **state)
{
	struct zp_record record, decoded;
	ZP_AUTO_BUF(texts, 1024);
	ZP_AUTO_BUF(bytes, 1024);

	(void)state;
	record_example(&texts, &record);
	zp_record_encode(&record, &bytes);
	for (size_t bit = 0; bit < bytes.length * 8; bit++) {
		bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		if (zp_record_decode(zp_buf_slice(&bytes), &decoded, NULL) == 0)
			assert_false(
			    memcmp(decoded.facts, record.facts, sizeof(record.facts)) == 0 &&
			    zp_slice_equal(decoded.texts, record.texts));
		bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static int
decode_hex(const char *hex)
{
	struct zp_record record;
	uint8_t bytes[256];
	size_t length = strlen(hex) / 2;

	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)strtoul((char[3]){hex[2 * i], hex[2 * i + 1], 0}, NULL, 16);
	return zp_record_decode((struct zp_slice){bytes, length}, &record, NULL);
}

static void
heads_that_are_not_canonical_are_damage(void **state)
{
	(void)state;
	assert_int_equal(decode_hex("010000"), ZP_OK); /* all zero */
	assert_int_equal(decode_hex("01020100"), ZP_OK);
	assert_int_equal(decode_hex("02000000"), ZP_E_VERSION);
	assert_int_equal(decode_hex("ff0000"), ZP_E_VERSION);
	assert_int_equal(decode_hex("000000"), ZP_E_CORRUPT);
	assert_int_equal(decode_hex("01800000"), ZP_E_CORRUPT);   /* long mask */
	assert_int_equal(decode_hex("0180040100"), ZP_E_CORRUPT); /* fact 9 */
	assert_int_equal(decode_hex("01020000"), ZP_E_CORRUPT);   /* a fact of 0 in the mask */
	assert_int_equal(decode_hex("0102810000"), ZP_E_CORRUPT); /* long varint */
	assert_int_equal(decode_hex("01008000"), ZP_E_CORRUPT);   /* long length */
	assert_int_equal(decode_hex("01010400"), ZP_E_CORRUPT);   /* type 4 */
	assert_int_equal(decode_hex("010103"
				    "00"),
	    ZP_OK);
	assert_int_equal(decode_hex("0102ffffffff0f00"), ZP_OK); /* -2^31 */
	assert_int_equal(decode_hex("0102808080801000"), ZP_E_CORRUPT);
	assert_int_equal(decode_hex("0110ffffffffffffffffff0100"), ZP_OK);
	assert_int_equal(decode_hex("0110ffffffffffffffffff0200"), ZP_E_CORRUPT);
	assert_int_equal(decode_hex("010001"), ZP_E_CORRUPT);
}

struct text {
	enum zp_text_tag tag;
	const char *value;
};

static int
check_texts(const struct text *texts, size_t count, int kind)
{
	ZP_AUTO_BUF(run, 4096);

	for (size_t i = 0; i < count; i++)
		put(&run, texts[i].tag, texts[i].value);
	return zp_texts_check(zp_buf_slice(&run), (uint8_t)kind, NULL);
}

#define CHECK_TEXTS(kind, ...)                    \
	check_texts((struct text[]){__VA_ARGS__}, \
	    sizeof((struct text[]){__VA_ARGS__}) / sizeof(struct text), kind)
#define IDENTITY_CID "\x01\x55\x01\x01x" /* some hash of code 1 */

static void
texts_that_are_not_canonical_are_damage(void **state)
{
	const enum zp_text_tag K = ZP_TEXT_METADATA_KEY, V = ZP_TEXT_METADATA_VALUE;
	const enum zp_text_tag N = ZP_TEXT_NAME, O = ZP_TEXT_ORIGIN;

	(void)state;
	assert_int_equal(zp_texts_check((struct zp_slice){NULL, 0}, 0, NULL), ZP_OK);
	assert_int_equal(zp_texts_check((struct zp_slice){NULL, 0}, 1, NULL), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {N, "a"}, {K, ""}, {V, ""}, {K, "a"}, {V, "b"}, {O, "x"},
			     {O, "a"}, {O, "a"}),
	    ZP_OK);
	assert_int_equal(CHECK_TEXTS(1, {ZP_TEXT_CID, IDENTITY_CID}, {N, "a"}), ZP_OK);
	/* The CID is there exactly where the key lacks it. */
	assert_int_equal(CHECK_TEXTS(0, {ZP_TEXT_CID, IDENTITY_CID}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(1, {N, "a"}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(1, {ZP_TEXT_CID, "\x01\x55\x12\x20"
						      "0123456789abcdef0123456789abcdef"}),
	    ZP_E_CORRUPT);
	/* Each at most once, tags rising. */
	assert_int_equal(CHECK_TEXTS(0, {N, "a"}, {N, "b"}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {O, "a"}, {N, "b"}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {K, "a"}, {V, "b"}, {N, "b"}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {O, "a"}, {K, "a"}, {V, "b"}), ZP_E_CORRUPT);
	assert_int_equal(
	    CHECK_TEXTS(0, {ZP_TEXT_PIN_UPDATE, IDENTITY_CID}, {ZP_TEXT_PIN_UPDATE, IDENTITY_CID}),
	    ZP_E_CORRUPT);
	assert_int_equal(
	    CHECK_TEXTS(0, {ZP_TEXT_REFERENCE, IDENTITY_CID}, {ZP_TEXT_PIN_UPDATE, IDENTITY_CID}),
	    ZP_E_CORRUPT);
	/* Metadata: pairs, rising. */
	assert_int_equal(CHECK_TEXTS(0, {K, "a"}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {V, "a"}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {K, "a"}, {K, "b"}, {V, "c"}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {K, "a"}, {O, "b"}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {K, "a"}, {V, "b"}, {V, "c"}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {K, "a"}, {V, ""}, {K, "a"}, {V, ""}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {K, "b"}, {V, ""}, {K, "a"}, {V, ""}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {K, "ab"}, {V, ""}, {K, "a"}, {V, ""}), ZP_E_CORRUPT);
	/* Empty, unknown, not UTF-8, no CID. */
	assert_int_equal(CHECK_TEXTS(0, {N, ""}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {O, ""}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {(enum zp_text_tag)8, "a"}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {(enum zp_text_tag)0, "a"}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {N, "\xff"}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {K, "\xff"}, {V, ""}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {K, ""}, {V, "\xed\xa0\x80"}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {O, "\xc3"}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {ZP_TEXT_PIN_UPDATE, ""}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(0, {ZP_TEXT_REFERENCE, "\x02\x55\x01\x01x"}), ZP_E_CORRUPT);
	assert_int_equal(CHECK_TEXTS(1, {ZP_TEXT_CID, "no"}), ZP_E_CORRUPT);
}

static void
counts_are_limited(void **state)
{
	(void)state;
	for (size_t over = 0; over < 2; over++) {
		ZP_AUTO_BUF(metadata, ZP_RECORD_BYTES_MAX);
		ZP_AUTO_BUF(origins, ZP_RECORD_BYTES_MAX);

		for (unsigned i = 0; i < ZP_METADATA_COUNT_MAX + over; i++) {
			char key[8] = {(char)('A' + i / 26 / 26), (char)('A' + i / 26 % 26),
			    (char)('A' + i % 26)};

			put(&metadata, ZP_TEXT_METADATA_KEY, key);
			put(&metadata, ZP_TEXT_METADATA_VALUE, "");
		}
		for (unsigned i = 0; i < ZP_ORIGINS_COUNT_MAX + over; i++)
			put(&origins, ZP_TEXT_ORIGIN, "/dns/a");
		assert_int_equal(
		    zp_texts_check(zp_buf_slice(&metadata), 0, NULL), over ? ZP_E_CORRUPT : ZP_OK);
		assert_int_equal(
		    zp_texts_check(zp_buf_slice(&origins), 0, NULL), over ? ZP_E_CORRUPT : ZP_OK);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(key_order_is_that_of_its_bytes),
	    cmocka_unit_test(keys_of_no_cid_are_damage),
	    cmocka_unit_test(crafted_digest_does_not_collide),
	    cmocka_unit_test(kinds_of_cids),
	    cmocka_unit_test(encoding_is_the_golden_one),
	    cmocka_unit_test(cut_and_longer_records_are_damage),
	    cmocka_unit_test(every_bit_counts),
	    cmocka_unit_test(heads_that_are_not_canonical_are_damage),
	    cmocka_unit_test(texts_that_are_not_canonical_are_damage),
	    cmocka_unit_test(counts_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
