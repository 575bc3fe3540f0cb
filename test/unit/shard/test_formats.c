/*
 * test_formats.c - map, checkpoint and journal payloads: what is written is read back, and nothing
 * else is taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../engine/engine_golden.h"
#include "shard/shard_internal.h"

static const uint8_t cluster[16] = "the cluster's id";

static struct zp_shard_map
map_of(uint32_t count)
{
	struct zp_shard_map map;
	uint64_t *ids = zp_alloc(count * sizeof(*ids));

	for (uint32_t i = 0; i < count; i++)
		ids[i] = (i * 0x9E3779B97F4A7C15u) | 1;
	assert_int_equal(zp_shard_map_create(ids, count, cluster, 7, &map, NULL), 0);
	zp_free(ids);
	return map;
}

static struct zp_key
key_at(uint32_t prefix, uint8_t fill)
{
	struct zp_key key = {.codec = ZP_CODEC_RAW, .version = 1};

	memset(key.digest, fill, sizeof(key.digest));
	zp_store_u32be(key.digest, prefix);
	return key;
}

/* ---- Map ------------------------------------------------------------------------------------ */

/* Every key has one shard: the edges of each range belong to it and not to its neighbours. */
static void
map_finds_the_edges(void **state)
{
	static const uint32_t counts[] = {1, 2, 16, 1024, ZP_SHARDS_MAX};

	for (size_t c = 0; c < ZP_ARRAY_COUNT(counts); c++) {
		struct zp_shard_map map = map_of(counts[c]);

		for (uint32_t i = 0; i < map.count; i++) {
			uint32_t low = zp_load_u32be(map.ranges[i].low);
			uint32_t high = zp_load_u32be(map.ranges[i].high);
			struct zp_key first = key_at(low, 0);
			struct zp_key last = key_at(i + 1 < map.count ? high - 1 : high, 0xff);

			assert_int_equal(zp_shard_map_find(&map, &first), i);
			assert_int_equal(zp_shard_map_find(&map, &last), i);
		}
		zp_shard_map_done(&map);
	}
}

/* Only powers of two to the limit make a map. */
static void
map_counts_are_limited(void **state)
{
	static const uint32_t bad[] = {0, 3, 12, ZP_SHARDS_MAX * 2, UINT32_MAX};
	uint64_t ids[16] = {0};
	struct zp_shard_map map;

	for (size_t i = 0; i < ZP_ARRAY_COUNT(bad); i++)
		assert_int_equal(
		    zp_shard_map_create(ids, bad[i], cluster, 1, &map, NULL), ZP_E_INVALID);
}

static void
map_is_read_back(void **state)
{
	ZP_AUTO_BUF(file, SHARD__MAP_BYTES_MAX);
	struct zp_shard_map map = map_of(ZP_SHARDS_MAX), back;

	map.number = 42;
	map.ranges[3].incarnation = 9;
	zp_shard_map_encode(&map, &file);
	assert_int_equal(zp_shard_map_decode(zp_buf_slice(&file), &back, NULL), 0);
	assert_int_equal(back.number, 42);
	assert_int_equal(back.node, 7);
	assert_memory_equal(back.cluster_id, cluster, 16);
	assert_int_equal(back.count, map.count);
	for (uint32_t i = 0; i < map.count; i++) {
		assert_int_equal(back.ranges[i].id, map.ranges[i].id);
		assert_int_equal(back.ranges[i].incarnation, map.ranges[i].incarnation);
		assert_memory_equal(back.ranges[i].low, map.ranges[i].low, ZP_KEY_BYTES);
		assert_memory_equal(back.ranges[i].high, map.ranges[i].high, ZP_KEY_BYTES);
	}
	zp_shard_map_done(&map);
	zp_shard_map_done(&back);
}

/* Whole files that make no sense: a gap, an overlap, an end too early, ids twice or 0, no number.
 */
static void
map_that_makes_no_sense_is_refused(void **state)
{
	ZP_AUTO_BUF(file, SHARD__MAP_BYTES_MAX);

	for (int fault = 0; fault < 7; fault++) {
		struct zp_shard_map map = map_of(4), back = {0};

		switch (fault) {
		case 0:
			map.ranges[2].low[5] = 1;
			break;
		case 1:
			map.ranges[1].high[5] = 1;
			break;
		case 2:
			map.ranges[3].high[ZP_KEY_BYTES - 1] = 0;
			break;
		case 3:
			map.ranges[3].id = map.ranges[0].id;
			break;
		case 4:
			map.ranges[1].id = 0;
			break;
		case 5:
			map.number = 0;
			break;
		default:
			map.ranges[0].low[ZP_KEY_BYTES - 1] = 1;
			break;
		}
		zp_shard_map_encode(&map, &file);
		assert_int_equal(
		    zp_shard_map_decode(zp_buf_slice(&file), &back, NULL), ZP_E_CORRUPT);
		assert_null(back.ranges);
		zp_shard_map_done(&map);
	}
}

/* ---- Checkpoint ----------------------------------------------------------------------------- */

static struct zp_checkpoint
checkpoint_make(void)
{
	struct zp_checkpoint checkpoint = {.number = 5,
	    .node = 7,
	    .epoch = 2,
	    .batch = 900,
	    .time_microseconds = -3,
	    .map_number = 4,
	    .shards_count = 3,
	    .origins_count = 2};

	memcpy(checkpoint.cluster_id, cluster, 16);
	checkpoint.shards = zp_alloc_zero(3, sizeof(*checkpoint.shards));
	checkpoint.origins = zp_alloc_zero(2, sizeof(*checkpoint.origins));
	for (uint32_t i = 0; i < 3; i++)
		checkpoint.shards[i] = (struct zp_checkpoint_shard){.id = 10 + i * 5,
		    .incarnation = i + 1,
		    .manifest_number = 100 + i,
		    .manifest_checksum = UINT64_MAX - i,
		    .covered = 900 - i,
		    .has_said = i != 1,
		    .applied = i != 1 ? 890 - i : 0,
		    .pins = i != 1 ? 70 + i : 0};
	for (uint8_t i = 0; i < 2; i++)
		checkpoint.origins[i] = (struct zp_checkpoint_origin){
		    .id = {i + 1}, .sequence = 55 + i, .time_microseconds = 77};
	return checkpoint;
}

static void
checkpoint_is_read_back(void **state)
{
	ZP_AUTO_BUF(file, SHARD__CHECKPOINT_BYTES_MAX);
	struct zp_checkpoint made = checkpoint_make(), back;

	zp_checkpoint_encode(&made, &file);
	assert_int_equal(zp_checkpoint_decode(zp_buf_slice(&file), &back, NULL), 0);
	assert_int_equal(back.number, 5);
	assert_int_equal(back.node, 7);
	assert_int_equal(back.epoch, 2);
	assert_int_equal(back.batch, 900);
	assert_int_equal(back.time_microseconds, -3);
	assert_int_equal(back.map_number, 4);
	assert_memory_equal(back.cluster_id, cluster, 16);
	assert_int_equal(back.shards_count, 3);
	assert_memory_equal(back.shards, made.shards, 3 * sizeof(*made.shards));
	assert_int_equal(back.origins_count, 2);
	assert_memory_equal(back.origins, made.origins, 2 * sizeof(*made.origins));
	assert_int_equal(zp_checkpoint_trim(&back), 898);
	assert_int_equal(zp_checkpoint_find(&back, 15)->manifest_number, 101);
	assert_null(zp_checkpoint_find(&back, 14));
	assert_null(zp_checkpoint_find(&back, 21));
	zp_checkpoint_done(&made);
	zp_checkpoint_done(&back);
}

/* Files of the first version open: a checkpoint that says nothing of its manifests, and a map. */
static void
first_files_are_read(void **state)
{
	ZP_AUTO_BUF(file, SHARD__CHECKPOINT_BYTES_MAX);
	ZP_AUTO_BUF(kept, SHARD__CHECKPOINT_BYTES_MAX);
	struct zp_checkpoint made = checkpoint_make(), back;
	struct zp_shard_map map = map_of(4), map_back;

	for (uint32_t i = 0; i < 3; i++)
		made.shards[i].has_said = false;
	zp_checkpoint_encode(&made, &file);
	golden_compare("checkpoint-v1", &file, &kept);
	assert_int_equal(zp_checkpoint_decode(zp_buf_slice(&kept), &back, NULL), 0);
	assert_int_equal(back.shards[2].covered, 898);
	assert_false(back.shards[2].has_said);
	zp_checkpoint_done(&made);
	zp_checkpoint_done(&back);
	zp_shard_map_encode(&map, &file);
	golden_compare("map-v1", &file, &kept);
	assert_int_equal(zp_shard_map_decode(zp_buf_slice(&kept), &map_back, NULL), 0);
	assert_int_equal(map_back.count, 4);
	zp_shard_map_done(&map);
	zp_shard_map_done(&map_back);
}

/* What is said of a manifest: of a shard that is not there, twice, or of a wrong length. An
 * optional field that is not known is passed over. */
static void
checkpoint_says_of_its_own_shards_only(void **state)
{
	ZP_AUTO_BUF(file, SHARD__CHECKPOINT_BYTES_MAX);
	static const struct {
		uint16_t tag;
		uint8_t id, length;
		int rc;
	} cases[] = {{0x8001, 15, 32, ZP_E_CORRUPT}, {0x8001, 20, 32, ZP_E_CORRUPT},
	    {0x8001, 99, 32, ZP_E_CORRUPT}, {0x8001, 99, 31, ZP_E_CORRUPT},
	    {0x8002, 99, 32, ZP_OK}};

	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		struct zp_checkpoint made = checkpoint_make(), back;
		uint8_t field[32] = {cases[i].id};

		zp_checkpoint_encode(&made, &file); /* says of 10 and 20 */
		zp_envelope_field(&file, cases[i].tag, field, cases[i].length);
		zp_envelope_end(&file);
		assert_int_equal(
		    zp_checkpoint_decode(zp_buf_slice(&file), &back, NULL), cases[i].rc);
		zp_checkpoint_done(&made);
		if (cases[i].rc == ZP_OK)
			zp_checkpoint_done(&back);
	}
}

/* A field that is not known is a newer zpin's, and one of a wrong length is damage. */
static void
newer_fields_are_said_to_be_newer(void **state)
{
	ZP_AUTO_BUF(file, SHARD__CHECKPOINT_BYTES_MAX);
	static const struct {
		const char *magic;
		uint16_t tag;
		int rc;
	} cases[] = {{"ZPINchkp", 7, ZP_E_VERSION}, {"ZPINchkp", 9, ZP_E_VERSION},
	    {"ZPINchkp", 0x7fff, ZP_E_VERSION}, {"ZPINchkp", 8, ZP_E_CORRUPT},
	    {"ZPINmap1", 5, ZP_E_VERSION}, {"ZPINmap1", 0x7fff, ZP_E_VERSION},
	    {"ZPINmap1", 3, ZP_E_CORRUPT}};

	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		struct zp_checkpoint checkpoint;
		struct zp_shard_map map;
		uint8_t field[24] = {1};

		zp_envelope_begin(&file, cases[i].magic);
		zp_envelope_field(&file, 1, field, 8);
		zp_envelope_field(&file, cases[i].tag, field, sizeof(field));
		zp_envelope_end(&file);
		assert_int_equal(cases[i].magic[4] == 'c'
				     ? zp_checkpoint_decode(zp_buf_slice(&file), &checkpoint, NULL)
				     : zp_shard_map_decode(zp_buf_slice(&file), &map, NULL),
		    cases[i].rc);
	}
}

/* Every single flipped byte and every cut is reported as damage (or, of the version, as newer), and
 * the output is left alone. */
static void
checkpoint_damage_is_found(void **state)
{
	ZP_AUTO_BUF(file, SHARD__CHECKPOINT_BYTES_MAX);
	struct zp_checkpoint made = checkpoint_make(), back = {0};

	zp_checkpoint_encode(&made, &file);
	for (size_t i = 0; i < file.length; i++) {
		file.data[i] ^= 0x40;
		assert_int_equal(
		    zp_checkpoint_decode(zp_buf_slice(&file), &back, NULL), ZP_E_CORRUPT);
		file.data[i] ^= 0x40;
	}
	for (size_t i = 0; i < file.length; i++)
		assert_int_equal(zp_checkpoint_decode((struct zp_slice){file.data, i}, &back, NULL),
		    ZP_E_CORRUPT);
	assert_null(back.shards);
	zp_checkpoint_done(&made);
}

/* Shards that do not rise by id, an id of 0, no number, no shard. */
static void
checkpoint_that_makes_no_sense_is_refused(void **state)
{
	ZP_AUTO_BUF(file, SHARD__CHECKPOINT_BYTES_MAX);

	for (int fault = 0; fault < 4; fault++) {
		struct zp_checkpoint made = checkpoint_make(), back;

		if (fault == 0)
			made.shards[1].id = made.shards[0].id;
		else if (fault == 1)
			made.shards[0].id = 0;
		else if (fault == 2)
			made.number = 0;
		else
			made.shards_count = 0;
		zp_checkpoint_encode(&made, &file);
		assert_int_equal(
		    zp_checkpoint_decode(zp_buf_slice(&file), &back, NULL), ZP_E_CORRUPT);
		zp_checkpoint_done(&made);
	}
}

/* ---- Changes -------------------------------------------------------------------------------- */

static struct zp_shard_change decoded; /* large */

/* Any payload decodes to what it was made of, no beginning of it decodes, and neither does one with
 * a byte too many. */
static void
payload_check(uint8_t operation, const struct zp_buf *payload)
{
	ZP_AUTO_BUF(longer, 4096);

	assert_int_equal(
	    zp_shard_change_decode(operation, zp_buf_slice(payload), &decoded, NULL), 0);
	assert_int_equal(decoded.operation, operation);
	if (operation == ZP_OP_PEER)
		return; /* the peer id takes all there is */
	for (size_t i = 0; i < payload->length; i++) {
		struct zp_slice cut = {payload->data, i};

		assert_int_equal(
		    zp_shard_change_decode(operation, cut, &decoded, NULL), ZP_E_CORRUPT);
	}
	zp_buf_append(&longer, payload->data, payload->length);
	zp_buf_append_byte(&longer, 0);
	assert_int_equal(
	    zp_shard_change_decode(operation, zp_buf_slice(&longer), &decoded, NULL), ZP_E_CORRUPT);
	assert_int_equal(
	    zp_shard_change_decode(operation, zp_buf_slice(payload), &decoded, NULL), 0);
}

static void
changes_are_read_back(void **state)
{
	ZP_AUTO_BUF(payload, 4096);
	static const uint8_t texts[] = {ZP_TEXT_NAME, 2, 'h', 'i'};
	static const uint32_t peers[] = {1, 300, UINT32_MAX};
	struct zp_record record = {.facts = {[ZP_FACT_CREATED] = 12, [ZP_FACT_SIZE] = UINT64_MAX},
	    .texts = {texts, sizeof(texts)}};
	struct zp_key key = key_at(0x01020304, 9);

	key.namespace_id = 12345;
	key.claim = UINT64_MAX;
	assert_true(zp_shard_put_encode(&key, &record, &payload) < payload.length);
	payload_check(ZP_OP_PUT, &payload);
	assert_int_equal(zp_key_compare(&decoded.key, &key), 0);
	assert_memory_equal(decoded.record.facts, record.facts, sizeof(record.facts));
	assert_true(zp_slice_equal(decoded.record.texts, record.texts));

	zp_buf_clear(&payload);
	zp_shard_delete_encode(&key, &payload);
	payload_check(ZP_OP_DELETE, &payload);
	assert_int_equal(zp_key_compare(&decoded.key, &key), 0);

	zp_buf_clear(&payload);
	zp_shard_expire_encode(&key, 1u << 30, &payload);
	payload_check(ZP_OP_EXPIRE, &payload);
	assert_int_equal(decoded.expire_fact, 1u << 30);

	zp_buf_clear(&payload);
	zp_shard_access_encode(
	    &key, &(struct zp_accesses){.count = ZP_ACCESS_COUNT_MAX, .last_seconds = 1}, &payload);
	payload_check(ZP_OP_ACCESS, &payload);
	assert_int_equal(zp_key_compare(&decoded.key, &key), 0);
	assert_int_equal(decoded.accesses.count, ZP_ACCESS_COUNT_MAX);
	assert_int_equal(decoded.accesses.last_seconds, 1);
	zp_buf_clear(&payload); /* of the year 10000, and none at all */
	zp_shard_access_encode(&key,
	    &(struct zp_accesses){.count = 1, .last_seconds = ZP_ACCESS_SECONDS_MAX + 1}, &payload);
	assert_int_equal(
	    zp_shard_change_decode(ZP_OP_ACCESS, zp_buf_slice(&payload), &decoded, NULL),
	    ZP_E_CORRUPT);
	zp_buf_clear(&payload);
	zp_shard_access_encode(&key, &(struct zp_accesses){.last_seconds = 1}, &payload);
	assert_int_equal(
	    zp_shard_change_decode(ZP_OP_ACCESS, zp_buf_slice(&payload), &decoded, NULL),
	    ZP_E_CORRUPT);

	zp_buf_clear(&payload);
	zp_shard_peer_encode(70000, (struct zp_slice){texts, 4}, &payload);
	payload_check(ZP_OP_PEER, &payload);
	assert_int_equal(decoded.id, 70000);
	assert_true(zp_slice_equal(decoded.binary, (struct zp_slice){texts, 4}));

	zp_buf_clear(&payload);
	zp_shard_list_encode(3, peers, 3, &payload);
	payload_check(ZP_OP_ALLOCATION_LIST, &payload);
	assert_int_equal(decoded.id, 3);
	assert_int_equal(decoded.peers_count, 3);
	assert_memory_equal(decoded.peers, peers, sizeof(peers));

	zp_buf_clear(&payload);
	zp_shard_peer_moved_encode(3, 4, &payload);
	payload_check(ZP_OP_PEER_MOVED, &payload);
	assert_int_equal(decoded.id, 3);
	assert_int_equal(decoded.to, 4);
}

static void
statuses_are_read_back(void **state)
{
	ZP_AUTO_BUF(payload, 4096);
	ZP_AUTO_BUF(texts, 4096);
	static const uint8_t identity[] = {1, 0x55, 0, 2, 'h', 'i'};
	struct zp_track track = {.peer = 70000,
	    .status = ZP_TRACK_PIN_ERROR,
	    .is_priority = true,
	    .attempts = UINT32_MAX,
	    .since_microseconds = INT64_MIN};
	struct zp_key key = key_at(0x01020304, 9);
	struct zp_cid cid;

	zp_track_texts((struct zp_slice){0}, zp_slice_of("the peer is gone"), &texts);
	track.texts = zp_buf_slice(&texts);
	zp_shard_track_encode(&key, &track, &payload);
	payload_check(ZP_OP_TRACK, &payload);
	assert_int_equal(zp_key_compare(&decoded.key, &key), 0);
	assert_int_equal(decoded.track.peer, 70000);
	assert_int_equal(decoded.track.status, ZP_TRACK_PIN_ERROR);
	assert_true(decoded.track.is_priority);
	assert_int_equal(decoded.track.attempts, UINT32_MAX);
	assert_int_equal(decoded.track.since_microseconds, INT64_MIN);
	assert_true(zp_slice_is(zp_track_error(&decoded.track), "the peer is gone"));

	zp_buf_clear(&payload);
	zp_shard_track_end_encode(&key, UINT32_MAX, &payload);
	payload_check(ZP_OP_TRACK_END, &payload);
	assert_int_equal(decoded.track.peer, UINT32_MAX);

	/* What is unpinned after its pin is gone must still be known by name. */
	assert_int_equal(
	    zp_cid_decode((struct zp_slice){identity, sizeof(identity)}, &cid, NULL), 0);
	zp_key_of_cid(&cid, 0, 0, &key);
	zp_buf_clear(&texts);
	zp_track_texts((struct zp_slice){identity, sizeof(identity)}, (struct zp_slice){0}, &texts);
	track.texts = zp_buf_slice(&texts);
	zp_buf_clear(&payload);
	zp_shard_track_encode(&key, &track, &payload);
	payload_check(ZP_OP_TRACK, &payload);
	assert_true(zp_slice_equal(decoded.track.texts, track.texts));
	assert_int_equal(zp_track_error(&decoded.track).length, 0);
}

/* What no status is: peer 0, statuses that are not, flags of the future, a CID too many or missing,
 * an error that is empty, too long, or no UTF-8, texts of a pin. */
static void
hostile_statuses_are_refused(void **state)
{
	static const uint8_t identity[] = {1, 0x55, 0, 2, 'h', 'i'};
	static char long_error[ZP_TRACK_ERROR_BYTES_MAX + 1];
	static const struct hostile {
		uint32_t peer;
		uint8_t status;
		uint8_t kind;
		uint8_t tags[3]; /* of texts, 0 none */
		const char *error;
	} cases[] = {
	    {0, 1, 0, {0}, NULL},
	    {1, 0, 0, {0}, NULL},
	    {1, ZP_TRACK_STATUS_COUNT, 0, {0}, NULL},
	    {1, 1, 0, {ZP_TEXT_CID}, NULL},
	    {1, 1, 1, {0}, NULL},
	    {1, 1, 1, {ZP_TEXT_ERROR}, "no CID"},
	    {1, 1, 1, {ZP_TEXT_ERROR, ZP_TEXT_CID}, "the wrong way"},
	    {1, 1, 0, {ZP_TEXT_ERROR, ZP_TEXT_ERROR}, "two"},
	    {1, 1, 0, {ZP_TEXT_ERROR}, ""},
	    {1, 1, 0, {ZP_TEXT_ERROR}, "\xff"},
	    {1, 1, 0, {ZP_TEXT_ERROR}, long_error},
	    {1, 1, 0, {ZP_TEXT_NAME}, "a pin's"},
	};

	memset(long_error, 'e', sizeof(long_error) - 1);
	for (size_t i = 0; i <= ZP_ARRAY_COUNT(cases); i++) {
		const struct hostile *hostile = &cases[i % ZP_ARRAY_COUNT(cases)];
		ZP_AUTO_BUF(payload, 4096);
		ZP_AUTO_BUF(texts, 4096);
		struct zp_track track = {.peer = hostile->peer, .status = hostile->status};
		struct zp_key key = key_at(1, 2);

		if (hostile->kind == ZP_KIND_OTHER) {
			key.kind = ZP_KIND_OTHER;
			key.version = 0;
			key.codec = 0;
		}
		for (size_t t = 0; t < 3 && hostile->tags[t] != 0; t++) {
			struct zp_slice value = hostile->tags[t] == ZP_TEXT_CID
						    ? (struct zp_slice){identity, sizeof(identity)}
						    : zp_slice_of(hostile->error);

			if (hostile->error == long_error)
				value = (struct zp_slice){
				    (const uint8_t *)long_error, sizeof(long_error)};
			zp_buf_append_byte(&texts, hostile->tags[t]);
			zp_buf_append_varint(&texts, value.length);
			zp_buf_append_slice(&texts, value);
		}
		track.texts = zp_buf_slice(&texts);
		zp_shard_track_encode(&key, &track, &payload);
		if (i ==
		    ZP_ARRAY_COUNT(cases)) { /* the first again, as it should be but for a flag */
			payload.data[payload.length - 6] = 1;
			payload.data[payload.length - 5] = 1;
			payload.data[payload.length - 2] = 2;
		}
		assert_int_equal(
		    zp_shard_change_decode(ZP_OP_TRACK, zp_buf_slice(&payload), &decoded, NULL),
		    ZP_E_CORRUPT);
	}
}

/* An error of any bytes and length is kept as far as it fits, cut between two characters. */
static void
errors_are_cut(void **state)
{
	char text[ZP_TRACK_ERROR_BYTES_MAX + 8];
	ZP_AUTO_BUF(texts, 4096);
	struct zp_track track = {.peer = 1, .status = ZP_TRACK_PIN_ERROR};

	memset(text, 'e', sizeof(text));
	memcpy(text + ZP_TRACK_ERROR_BYTES_MAX - 1, "\xc3\xa9", 2); /* does not fit */
	text[3] = '\xff';
	zp_track_texts(
	    (struct zp_slice){0}, (struct zp_slice){(const uint8_t *)text, sizeof(text)}, &texts);
	track.texts = zp_buf_slice(&texts);
	assert_int_equal(zp_track_check(&track, ZP_KIND_SHA2_256, NULL), 0);
	assert_int_equal(zp_track_error(&track).length, ZP_TRACK_ERROR_BYTES_MAX - 1);
	assert_int_equal(zp_track_error(&track).data[3], '?');
	assert_true(texts.length <= ZP_TRACK_TEXTS_BYTES_MAX);
}

/* Whole but wrong: kinds, versions and codecs that no key has, texts that do not fit the key, lists
 * over the limit, operations of the future. */
static void
hostile_changes_are_refused(void **state)
{
	ZP_AUTO_BUF(payload, 65536);
	static const uint32_t peers[ZP_ALLOCATIONS_COUNT_MAX + 1];
	struct zp_record record = {.facts = {[ZP_FACT_CREATED] = 12}};
	struct zp_key key = key_at(1, 2);

	key.kind = ZP_KIND_OTHER; /* keeps its CID in a text, which is not there */
	key.version = 0;
	key.codec = 0;
	zp_shard_put_encode(&key, &record, &payload);
	assert_true(zp_shard_change_decode(ZP_OP_PUT, zp_buf_slice(&payload), &decoded, NULL) < 0);
	for (unsigned form = 0; form < 256; form++) {
		int rc;

		key = key_at(1, 2);
		zp_buf_clear(&payload);
		zp_shard_delete_encode(&key, &payload);
		payload.data[32] = (uint8_t)form;
		rc = zp_shard_change_decode(ZP_OP_DELETE, zp_buf_slice(&payload), &decoded, NULL);
		assert_int_equal(rc, form == 1 ? 0 : ZP_E_CORRUPT); /* raw: only as version 1 */
	}
	zp_buf_clear(&payload);
	zp_shard_list_encode(1, peers, ZP_ARRAY_COUNT(peers), &payload);
	assert_int_equal(
	    zp_shard_change_decode(ZP_OP_ALLOCATION_LIST, zp_buf_slice(&payload), &decoded, NULL),
	    ZP_E_CORRUPT);
	for (unsigned operation = 0; operation < 256; operation++) {
		bool known = operation == ZP_OP_PUT || operation == ZP_OP_DELETE ||
			     operation == ZP_OP_EXPIRE || operation == ZP_OP_TRACK ||
			     operation == ZP_OP_TRACK_END || operation == ZP_OP_ACCESS ||
			     operation == ZP_OP_PEER || operation == ZP_OP_ALLOCATION_LIST ||
			     operation == ZP_OP_PEER_MOVED;

		if (!known)
			assert_int_equal(zp_shard_change_decode((uint8_t)operation,
					     zp_buf_slice(&payload), &decoded, NULL),
			    ZP_E_VERSION);
	}
}

/* ---- Origins -------------------------------------------------------------------------------- */

/* The latest 1,024 streams are remembered; the one that was silent for longest goes first. */
static void
origins_forget_the_oldest(void **state)
{
	static struct shard__origins origins;
	uint8_t id[16] = {0};

	for (uint32_t i = 0; i < ZP_ORIGINS_MAX; i++) {
		zp_store_u32le(id, i + 1);
		shard__origin_set(&origins, id, i + 100, i);
	}
	zp_store_u32le(id, 1); /* speaks again: no longer the oldest */
	shard__origin_set(&origins, id, 50, 5000);
	assert_int_equal(shard__origin_get(&origins, id), 100); /* never falls */
	zp_store_u32le(id, 9999);
	shard__origin_set(&origins, id, 7, 6000);
	assert_int_equal(shard__origin_get(&origins, id), 7);
	zp_store_u32le(id, 2);
	assert_int_equal(shard__origin_get(&origins, id), 0);
	zp_store_u32le(id, 1);
	assert_int_equal(shard__origin_get(&origins, id), 100);
	assert_int_equal(origins.count, ZP_ORIGINS_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(map_finds_the_edges),
	    cmocka_unit_test(map_counts_are_limited),
	    cmocka_unit_test(map_is_read_back),
	    cmocka_unit_test(map_that_makes_no_sense_is_refused),
	    cmocka_unit_test(checkpoint_is_read_back),
	    cmocka_unit_test(checkpoint_damage_is_found),
	    cmocka_unit_test(first_files_are_read),
	    cmocka_unit_test(newer_fields_are_said_to_be_newer),
	    cmocka_unit_test(checkpoint_says_of_its_own_shards_only),
	    cmocka_unit_test(checkpoint_that_makes_no_sense_is_refused),
	    cmocka_unit_test(changes_are_read_back),
	    cmocka_unit_test(statuses_are_read_back),
	    cmocka_unit_test(hostile_statuses_are_refused),
	    cmocka_unit_test(errors_are_cut),
	    cmocka_unit_test(hostile_changes_are_refused),
	    cmocka_unit_test(origins_forget_the_oldest),
	};

	return cmocka_run_group_tests_name("shard: formats", tests, NULL, NULL);
}
