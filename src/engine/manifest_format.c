/*
 * manifest_format.c - the manifest in bytes, and its file's name.
 *
 * Flow: manifest.h. Pure. Format: docs/formats.md, "Manifest".
 */
#include "engine/manifest.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	TAG_SHARD = 1,
	TAG_NUMBER = 2,
	TAG_INCARNATION = 3,
	TAG_LOW = 4,
	TAG_HIGH = 5,
	TAG_KEY_TRANSFORM = 6,
	TAG_LANE = 7,
	TAG_COUNTER = 8,
	TAG_RUN = 9,
	TAG_TABLES = 10,
	TAG_WRITER = 12,
	TAG_MERGED = 13,
	TAG_CLUSTER = 14,
	TAG_TRACK_COUNTER = 18,
	LANE_BYTES = 24,
	COUNTER_BYTES = 24,
	RUN_HEADER_BYTES = 16,
	SEGMENT_BYTES = 160,
	RUN_ENCODER = 1,
	RUN_ENCODER_SAME_AGE = 2, /* of one that has the age of the run before it */
	FIELD_HEADER_BYTES = 8,
	REQUIRED = 1 << TAG_SHARD | 1 << TAG_NUMBER | 1 << TAG_INCARNATION | 1 << TAG_LOW |
		   1 << TAG_HIGH | 1 << TAG_KEY_TRANSFORM | 1 << TAG_CLUSTER,
	ONCE = REQUIRED | 1 << TAG_TABLES | 1 << TAG_WRITER,
	FIXED_BYTES_MAX = 1024, /* envelope and the fields that stand once */
};

static const char writer_name[] = "zpin 0.1.0";

int
manifest__limits_check(const struct manifest *manifest, struct zp_err *err)
{
	uint64_t bytes = FIXED_BYTES_MAX + manifest->merged_count * (FIELD_HEADER_BYTES + 16) +
			 manifest->lane_count * (FIELD_HEADER_BYTES + LANE_BYTES) +
			 (manifest->counter_count + manifest->track_count) *
			     (FIELD_HEADER_BYTES + COUNTER_BYTES);
	size_t segments = 0; /* of the run that has the most */

	for (size_t i = 0; i < manifest->run_count; i++) {
		segments = zp_max_u64(segments, manifest->runs[i].segment_count);
		bytes += FIELD_HEADER_BYTES + RUN_HEADER_BYTES +
			 manifest->runs[i].segment_count * SEGMENT_BYTES;
	}
	if (manifest->run_count > MANIFEST_RUNS_MAX || segments > MANIFEST_SEGMENTS_MAX ||
	    manifest->merged_count > MANIFEST_SEGMENTS_MAX ||
	    manifest->counter_count > MANIFEST_COUNTERS_MAX ||
	    manifest->track_count > MANIFEST_COUNTERS_MAX || bytes > MANIFEST_BYTES_MAX)
		return zp_fail(err, ZP_E_FULL,
		    "the manifest would have %zu runs of up to %zu files and %zu counters in %llu "
		    "bytes, over its limits",
		    manifest->run_count, segments, manifest->counter_count,
		    (unsigned long long)bytes);
	return ZP_OK;
}

/* ---- To bytes -------------------------------------------------------------------------------- */

static void
name_encode(uint8_t to[16], uint64_t low, uint64_t high)
{
	zp_store_u64le(to, low);
	zp_store_u64le(to + 8, high);
}

static void
run_encode(const struct manifest_run *run, uint16_t encoder, struct zp_buf *field)
{
	uint8_t header[RUN_HEADER_BYTES] = {(uint8_t)run->family, run->level};

	zp_store_u16le(header + 2, encoder);
	zp_store_u32le(header + 4, (uint32_t)run->segment_count);
	zp_store_u64le(header + 8, run->age);
	zp_buf_clear(field);
	zp_buf_append(field, header, sizeof(header));
	for (size_t i = 0; i < run->segment_count; i++) {
		const struct segment_info *segment = &run->segments[i];
		uint8_t entry[SEGMENT_BYTES] = {0};

		name_encode(entry, segment->name.low, segment->name.high);
		name_encode(entry + 16, segment->id.low, segment->id.high);
		zp_store_u64le(entry + 32, segment->bytes);
		zp_store_u64le(entry + 40, segment->rows);
		zp_store_u64le(entry + 48, segment->tombstones);
		memcpy(entry + 64, segment->first_key, MANIFEST_KEY_BYTES);
		memcpy(entry + 112, segment->last_key, MANIFEST_KEY_BYTES);
		zp_buf_append(field, entry, sizeof(entry));
	}
}

static void
u64_field(struct zp_buf *file, uint16_t tag, uint64_t value)
{
	uint8_t bytes[8];

	zp_store_u64le(bytes, value);
	zp_envelope_field(file, tag, bytes, sizeof(bytes));
}

static void
counters_encode(
    uint16_t tag, const struct manifest_counter *counters, size_t count, struct zp_buf *file)
{
	uint8_t bytes[COUNTER_BYTES];

	for (size_t i = 0; i < count; i++) {
		zp_store_u32le(bytes, counters[i].namespace_id);
		zp_store_u32le(bytes + 4, counters[i].type);
		zp_store_u64le(bytes + 8, counters[i].pins);
		zp_store_u64le(bytes + 16, counters[i].size_bytes);
		zp_envelope_field(file, tag, bytes, COUNTER_BYTES);
	}
}

static void
lists_encode(const struct manifest *manifest, struct zp_buf *file)
{
	ZP_AUTO_BUF(field, MANIFEST_BYTES_MAX);
	uint8_t bytes[LANE_BYTES];

	for (size_t i = 0; i < manifest->lane_count; i++) {
		zp_store_u64le(bytes, manifest->lanes[i].node);
		zp_store_u64le(bytes + 8, manifest->lanes[i].epoch);
		zp_store_u64le(bytes + 16, manifest->lanes[i].applied);
		zp_envelope_field(file, TAG_LANE, bytes, LANE_BYTES);
	}
	counters_encode(TAG_COUNTER, manifest->counters, manifest->counter_count, file);
	for (size_t i = 0; i < manifest->run_count; i++) {
		bool is_of_one_age =
		    i > 0 && manifest__are_of_one_age(&manifest->runs[i - 1], &manifest->runs[i]);

		run_encode(
		    &manifest->runs[i], is_of_one_age ? RUN_ENCODER_SAME_AGE : RUN_ENCODER, &field);
		zp_envelope_field(file, TAG_RUN, field.data, field.length);
	}
}

void
manifest__encode(struct manifest *manifest, struct zp_buf *file)
{
	uint8_t bytes[24];

	zp_envelope_begin(file, "ZPINmani");
	u64_field(file, TAG_SHARD, manifest->shard_id);
	u64_field(file, TAG_NUMBER, manifest->number);
	zp_store_u32le(bytes, manifest->incarnation);
	zp_envelope_field(file, TAG_INCARNATION, bytes, 4);
	zp_envelope_field(file, TAG_LOW, manifest->low, ZP_KEY_BYTES);
	zp_envelope_field(file, TAG_HIGH, manifest->high, ZP_KEY_BYTES);
	bytes[0] = 0;
	zp_envelope_field(file, TAG_KEY_TRANSFORM, bytes, 1);
	lists_encode(manifest, file);
	if (manifest->has_tables) {
		name_encode(bytes, manifest->tables.low, manifest->tables.high);
		zp_store_u64le(bytes + 16, manifest->tables_bytes);
		zp_envelope_field(file, TAG_TABLES, bytes, 24);
	}
	zp_envelope_field(file, TAG_WRITER, writer_name, sizeof(writer_name) - 1);
	for (size_t i = 0; i < manifest->merged_count; i++) {
		name_encode(bytes, manifest->merged[i].low, manifest->merged[i].high);
		zp_envelope_field(file, TAG_MERGED, bytes, 16);
	}
	zp_envelope_field(file, TAG_CLUSTER, manifest->cluster_id, 16);
	counters_encode(TAG_TRACK_COUNTER, manifest->tracks, manifest->track_count, file);
	manifest->checksum = zp_envelope_end(file);
}

/* ---- From bytes ------------------------------------------------------------------------------ */

static int
segment_decode(const uint8_t *entry, struct segment_info *info_out, struct zp_err *err)
{
	*info_out = (struct segment_info){
	    .name = {.low = zp_load_u64le(entry), .high = zp_load_u64le(entry + 8)},
	    .id = {.low = zp_load_u64le(entry + 16), .high = zp_load_u64le(entry + 24)},
	    .bytes = zp_load_u64le(entry + 32),
	    .rows = zp_load_u64le(entry + 40),
	    .tombstones = zp_load_u64le(entry + 48),
	};
	memcpy(info_out->first_key, entry + 64, MANIFEST_KEY_BYTES);
	memcpy(info_out->last_key, entry + 112, MANIFEST_KEY_BYTES);
	if (zp_load_u64le(entry + 56) != 0 || info_out->rows == 0 ||
	    info_out->tombstones > info_out->rows ||
	    memcmp(info_out->first_key, info_out->last_key, MANIFEST_KEY_BYTES) > 0)
		return zp_fail(err, ZP_E_CORRUPT, "a segment entry contradicts itself");
	return ZP_OK;
}

/* Whether the run follows those that were read, and its encoder says how. */
static int
run_order_check(const struct manifest *manifest, const struct manifest_run *run, uint16_t encoder,
    struct zp_err *err)
{
	const struct manifest_run *before =
	    manifest->run_count == 0 ? NULL : &manifest->runs[manifest->run_count - 1];
	bool is_of_one_age = before != NULL && manifest__are_of_one_age(before, run);

	if ((before != NULL && !manifest__run_is_before(before, run)) ||
	    is_of_one_age != (encoder == RUN_ENCODER_SAME_AGE))
		return zp_fail(err, ZP_E_CORRUPT, "run %zu is out of order", manifest->run_count);
	return ZP_OK;
}

static int
segments_decode(struct zp_slice field, struct manifest_run *run, struct zp_err *err)
{
	for (size_t i = 0; i < run->segment_count; i++) {
		int rc = segment_decode(
		    field.data + RUN_HEADER_BYTES + i * SEGMENT_BYTES, &run->segments[i], err);

		if (rc < 0)
			return rc;
		if (i > 0 && memcmp(run->segments[i - 1].last_key, run->segments[i].first_key,
				 MANIFEST_KEY_BYTES) > 0)
			return zp_fail(err, ZP_E_CORRUPT, "segment %zu is out of order", i);
	}
	return ZP_OK;
}

static int
run_decode(struct zp_slice field, struct manifest *manifest, struct zp_err *err)
{
	struct manifest_run run = {0};
	uint16_t encoder;
	int rc;

	if (field.length < RUN_HEADER_BYTES || manifest->run_count >= MANIFEST_RUNS_MAX)
		return zp_fail(
		    err, ZP_E_CORRUPT, "run %zu is too short or too many", manifest->run_count);
	run.family = field.data[0];
	run.level = field.data[1];
	encoder = zp_load_u16le(field.data + 2);
	run.segment_count = zp_load_u32le(field.data + 4);
	run.age = zp_load_u64le(field.data + 8);
	if (!segment__family_known(run.family))
		return zp_fail(err, ZP_E_VERSION,
		    "a run of family %u, which this zpin does not know", run.family);
	if (encoder != RUN_ENCODER && encoder != RUN_ENCODER_SAME_AGE)
		return zp_fail(err, ZP_E_VERSION,
		    "a run of encoder %u, which this zpin does not know", encoder);
	if (run.segment_count == 0 || run.segment_count > MANIFEST_SEGMENTS_MAX ||
	    field.length != RUN_HEADER_BYTES + run.segment_count * SEGMENT_BYTES)
		return zp_fail(err, ZP_E_CORRUPT, "run %zu of %zu bytes has %zu segments",
		    manifest->run_count, field.length, run.segment_count);
	rc = run_order_check(manifest, &run, encoder, err);
	if (rc < 0)
		return rc;
	run.segments = zp_alloc(run.segment_count * sizeof(struct segment_info));
	rc = segments_decode(field, &run, err);
	if (rc < 0) {
		size_t at = manifest->run_count;

		manifest__run_done(&run);
		return zp_wrap(err, rc, "run %zu", at);
	}
	manifest__run_add(manifest, run);
	return ZP_OK;
}

static int
lane_decode(struct zp_slice field, struct manifest *manifest, struct zp_err *err)
{
	struct zp_lane lane;

	if (field.length != LANE_BYTES || manifest->lane_count >= MANIFEST_LANES_MAX)
		return zp_fail(err, ZP_E_CORRUPT, "lane %zu has a wrong length or is too many",
		    manifest->lane_count);
	lane = (struct zp_lane){
	    .node = zp_load_u64le(field.data),
	    .epoch = zp_load_u64le(field.data + 8),
	    .applied = zp_load_u64le(field.data + 16),
	};
	if (manifest->lane_count > 0 && manifest->lanes[manifest->lane_count - 1].node >= lane.node)
		return zp_fail(err, ZP_E_CORRUPT, "lane %zu is out of order", manifest->lane_count);
	manifest__lane_set(manifest, &lane);
	return ZP_OK;
}

/* One counter more of an array that doubles. `kinds`: how many pin types, or statuses, are known.
 */
static int
counter_decode(struct zp_slice field, struct manifest_counter **counters, size_t *count,
    uint32_t kinds, struct zp_err *err)
{
	struct manifest_counter counter;

	if (field.length != COUNTER_BYTES || *count >= MANIFEST_COUNTERS_MAX)
		return zp_fail(
		    err, ZP_E_CORRUPT, "counter %zu has a wrong length or is too many", *count);
	counter = (struct manifest_counter){
	    .namespace_id = zp_load_u32le(field.data),
	    .type = zp_load_u32le(field.data + 4),
	    .pins = zp_load_u64le(field.data + 8),
	    .size_bytes = zp_load_u64le(field.data + 16),
	};
	if (counter.pins == 0 ||
	    (*count > 0 && !manifest__counter_is_before(
			       &(*counters)[*count - 1], counter.namespace_id, counter.type)))
		return zp_fail(
		    err, ZP_E_CORRUPT, "counter %zu is of no pins or out of order", *count);
	if (counter.type >= kinds)
		return zp_fail(err, ZP_E_VERSION,
		    "a counter of pin type or status %u, which this zpin does not know",
		    counter.type);
	if ((*count & (*count - 1)) == 0)
		*counters = zp_realloc(*counters, zp_max_u64(1, *count * 2) * sizeof(**counters));
	(*counters)[(*count)++] = counter;
	return ZP_OK;
}

static int
track_counter_decode(struct zp_slice field, struct manifest *manifest, struct zp_err *err)
{
	int rc = counter_decode(
	    field, &manifest->tracks, &manifest->track_count, ZP_TRACK_STATUS_COUNT, err);
	const struct manifest_counter *counter;

	if (rc < 0)
		return rc;
	counter = &manifest->tracks[manifest->track_count - 1];
	if (counter->namespace_id == 0 || counter->type == 0 || counter->size_bytes != 0)
		return zp_fail(
		    err, ZP_E_CORRUPT, "a counter of peer 0 or status 0, or with a size");
	return ZP_OK;
}

static int
merged_decode(struct zp_slice field, struct manifest *manifest, struct zp_err *err)
{
	if (field.length != 16 || manifest->merged_count >= MANIFEST_SEGMENTS_MAX)
		return zp_fail(
		    err, ZP_E_CORRUPT, "a merged segment has a wrong length or is too many");
	if ((manifest->merged_count & (manifest->merged_count - 1)) == 0)
		manifest->merged = zp_realloc(manifest->merged,
		    zp_max_u64(1, manifest->merged_count * 2) * sizeof(struct segment_name));
	manifest->merged[manifest->merged_count++] = (struct segment_name){
	    .low = zp_load_u64le(field.data), .high = zp_load_u64le(field.data + 8)};
	return ZP_OK;
}

static int
scalar_decode(uint16_t tag, struct zp_slice field, struct manifest *manifest, struct zp_err *err)
{
	static const size_t lengths[] = {
	    [TAG_SHARD] = 8,
	    [TAG_NUMBER] = 8,
	    [TAG_INCARNATION] = 4,
	    [TAG_LOW] = ZP_KEY_BYTES,
	    [TAG_HIGH] = ZP_KEY_BYTES,
	    [TAG_KEY_TRANSFORM] = 1,
	    [TAG_TABLES] = 24,
	    [TAG_CLUSTER] = 16,
	};

	if (tag >= ZP_ARRAY_COUNT(lengths) || lengths[tag] == 0)
		return zp_fail(err, ZP_E_VERSION, "field %u was written by a newer zpin", tag);
	if (field.length != lengths[tag])
		return zp_fail(err, ZP_E_CORRUPT, "field %u has %zu bytes", tag, field.length);
	switch (tag) {
	case TAG_SHARD:
		manifest->shard_id = zp_load_u64le(field.data);
		break;
	case TAG_NUMBER:
		manifest->number = zp_load_u64le(field.data);
		break;
	case TAG_INCARNATION:
		manifest->incarnation = zp_load_u32le(field.data);
		break;
	case TAG_LOW:
		memcpy(manifest->low, field.data, ZP_KEY_BYTES);
		break;
	case TAG_HIGH:
		memcpy(manifest->high, field.data, ZP_KEY_BYTES);
		break;
	case TAG_KEY_TRANSFORM:
		if (field.data[0] != 0)
			return zp_fail(err, ZP_E_VERSION,
			    "key transform %u, which this zpin does not know", field.data[0]);
		break;
	case TAG_CLUSTER:
		memcpy(manifest->cluster_id, field.data, 16);
		break;
	default:
		manifest->has_tables = true;
		manifest->tables = (struct segment_name){
		    .low = zp_load_u64le(field.data), .high = zp_load_u64le(field.data + 8)};
		manifest->tables_bytes = zp_load_u64le(field.data + 16);
	}
	return ZP_OK;
}

static int
field_decode(uint16_t tag, struct zp_slice field, struct manifest *manifest, struct zp_err *err)
{
	switch (tag) {
	case TAG_LANE:
		return lane_decode(field, manifest, err);
	case TAG_COUNTER:
		return counter_decode(
		    field, &manifest->counters, &manifest->counter_count, ZP_PIN_TYPE_COUNT, err);
	case TAG_TRACK_COUNTER:
		return track_counter_decode(field, manifest, err);
	case TAG_RUN:
		return run_decode(field, manifest, err);
	case TAG_WRITER:
		return ZP_OK;
	case TAG_MERGED:
		return merged_decode(field, manifest, err);
	default:
		return scalar_decode(tag, field, manifest, err);
	}
}

int
manifest__decode(struct zp_slice file, struct manifest *manifest_out, struct zp_err *err)
{
	struct zp_envelope_reader reader;
	struct manifest manifest = {0};
	struct zp_slice field;
	unsigned seen = 0; /* tags that stood already */
	uint16_t tag;
	int rc = zp_envelope_open(file, "ZPINmani", "manifest", &reader, err);

	if (rc < 0)
		return rc;
	manifest.checksum = reader.checksum;
	while ((rc = zp_envelope_next(&reader, &tag, &field, err)) == ZP_OK) {
		if (tag < 32 && (seen & ONCE & (1u << tag)) != 0)
			rc = zp_fail(err, ZP_E_CORRUPT, "field %u stands twice", tag);
		else
			rc = field_decode(tag, field, &manifest, err);
		if (rc < 0)
			break;
		seen |= 1u << tag; /* those of 32 and above are not known */
	}
	if (rc == ZP_END && (seen & REQUIRED) != REQUIRED)
		rc = zp_fail(err, ZP_E_CORRUPT, "a field is missing");
	if (rc == ZP_END && memcmp(manifest.low, manifest.high, ZP_KEY_BYTES) >= 0)
		rc = zp_fail(err, ZP_E_CORRUPT, "the low key is not below the high key");
	if (rc < 0) {
		manifest__done(&manifest);
		return zp_wrap(err, rc, "manifest");
	}
	*manifest_out = manifest;
	return ZP_OK;
}

/* ---- Names ---------------------------------------------------------------------------------- */

void
manifest__name_format(uint64_t number, char *text)
{
	snprintf(text, ZP_FILE_NAME_MAX, "manifest-%016llx", (unsigned long long)number);
}

void
manifest__tables_name_format(const struct segment_name *content, char *text)
{
	snprintf(text, ZP_FILE_NAME_MAX, "%016llx%016llx.tab", (unsigned long long)content->high,
	    (unsigned long long)content->low);
}

bool
manifest__tables_name_parse(const char *text, struct segment_name *content_out)
{
	char half[17] = {0}, again[ZP_FILE_NAME_MAX];
	struct segment_name content;

	if (strlen(text) != 36)
		return false;
	memcpy(half, text, 16);
	content.high = strtoull(half, NULL, 16);
	memcpy(half, text + 16, 16);
	content.low = strtoull(half, NULL, 16);
	manifest__tables_name_format(&content, again);
	if (strcmp(text, again) != 0)
		return false;
	*content_out = content;
	return true;
}

bool
manifest__name_parse(const char *text, uint64_t *number_out)
{
	char again[ZP_FILE_NAME_MAX];
	char *end;

	if (strncmp(text, "manifest-", 9) != 0 || strlen(text) != 25)
		return false;
	*number_out = strtoull(text + 9, &end, 16);
	manifest__name_format(*number_out, again);
	return *end == '\0' && strcmp(text, again) == 0;
}
