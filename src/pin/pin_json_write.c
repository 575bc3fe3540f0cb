/*
 * pin_json_write.c - a stored pin as IPFS Cluster prints it.
 *
 * Flow: listings, answers and exports. Owner: the buffer's; no state.
 *
 * An export prints a billion of these, so fixed parts are gathered on the stack and appended in a
 * few pieces.
 */
#include "pin/pin_internal.h"

#define PIECE_BYTES_MAX 512u /* more than the fixed text and numbers between two user texts */

struct piece {
	size_t length;
	uint8_t bytes[PIECE_BYTES_MAX];
};

/* Inlined, so that the length of a literal is known. */
static inline __attribute__((always_inline)) void
put(struct piece *piece, const char *literal)
{
	size_t length = strlen(literal);

	ZP_ASSERT(length <= PIECE_BYTES_MAX - piece->length);
	memcpy(piece->bytes + piece->length, literal, length);
	piece->length += length;
}

static void
put_decimal_u64(struct piece *piece, uint64_t value)
{
	uint8_t digits[20];
	size_t at = sizeof(digits);

	ZP_ASSERT(sizeof(digits) <= PIECE_BYTES_MAX - piece->length);
	do {
		digits[--at] = (uint8_t)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	memcpy(piece->bytes + piece->length, digits + at, sizeof(digits) - at);
	piece->length += sizeof(digits) - at;
}

static void
put_zigzag(struct piece *piece, uint64_t zigzag)
{
	int64_t value = zp_unzigzag(zigzag);

	if (value < 0)
		put(piece, "-");
	put_decimal_u64(piece, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

static void
put_time(struct piece *piece, int64_t seconds, uint32_t nanoseconds)
{
	ZP_ASSERT(PIN__TIME_TEXT_MAX <= PIECE_BYTES_MAX - piece->length);
	piece->length += pin__time_print(seconds, nanoseconds, piece->bytes + piece->length);
}

static void
flush(struct piece *piece, struct zp_buf *json)
{
	zp_buf_append(json, piece->bytes, piece->length);
	piece->length = 0;
}

/* What the run of texts holds, for members that stand in another order. */
struct texts {
	struct zp_slice name;
	struct zp_slice pin_update;
	struct zp_slice reference;
	size_t metadata_start; /* position of the first key; 0 with metadata_count 0 */
	size_t metadata_count;
	size_t origins_start;
	size_t origins_count;
};

static struct texts
texts_of(struct zp_slice run)
{
	struct texts texts = {0};
	size_t position = 0, before = 0;
	struct zp_slice value;
	enum zp_text_tag tag;

	for (; zp_texts_next(run, &position, &tag, &value) == ZP_OK; before = position) {
		switch (tag) {
		case ZP_TEXT_NAME:
			texts.name = value;
			break;
		case ZP_TEXT_METADATA_KEY:
			if (texts.metadata_count++ == 0)
				texts.metadata_start = before;
			break;
		case ZP_TEXT_ORIGIN:
			if (texts.origins_count++ == 0)
				texts.origins_start = before;
			break;
		case ZP_TEXT_PIN_UPDATE:
			texts.pin_update = value;
			break;
		case ZP_TEXT_REFERENCE:
			texts.reference = value;
			break;
		case ZP_TEXT_CID:
		case ZP_TEXT_METADATA_VALUE:
		case ZP_TEXT_ERROR:
			break;
		}
	}
	return texts;
}

static void
append_metadata(
    struct zp_slice run, const struct texts *texts, bool is_post_answer, struct zp_buf *json)
{
	size_t position = texts->metadata_start;

	if (texts->metadata_count == 0) {
		zp_buf_append_text(json, is_post_answer ? "{}" : "null");
		return;
	}
	for (size_t i = 0; i < texts->metadata_count; i++) {
		struct zp_slice key, value;
		enum zp_text_tag tag;

		zp_ignore(zp_texts_next(run, &position, &tag, &key));   /* they were counted */
		zp_ignore(zp_texts_next(run, &position, &tag, &value)); /* the same */
		zp_buf_append_byte(json, i == 0 ? '{' : ',');
		zp_json_put_string(json, key);
		zp_buf_append_byte(json, ':');
		zp_json_put_string(json, value);
	}
	zp_buf_append_byte(json, '}');
}

static void
append_origins(
    struct zp_slice run, const struct texts *texts, bool is_post_answer, struct zp_buf *json)
{
	size_t position = texts->origins_start;

	if (texts->origins_count == 0) {
		zp_buf_append_text(json, is_post_answer ? "null" : "[]");
		return;
	}
	for (size_t i = 0; i < texts->origins_count; i++) {
		struct zp_slice origin;
		enum zp_text_tag tag;

		zp_ignore(zp_texts_next(run, &position, &tag, &origin)); /* they were counted */
		zp_buf_append_byte(json, i == 0 ? '[' : ',');
		zp_json_put_string(json, origin);
	}
	zp_buf_append_byte(json, ']');
}

/* A CID in quotes, or null where `binary` is empty. It was checked with the texts. */
static void
append_cid(struct zp_slice binary, struct zp_buf *json)
{
	struct zp_cid cid;

	if (binary.length == 0 || zp_cid_decode(binary, &cid, NULL) < 0) {
		zp_buf_append_text(json, "null");
		return;
	}
	zp_buf_append_byte(json, '"');
	zp_cid_format(&cid, json);
	zp_buf_append_byte(json, '"');
}

static int64_t
expire_seconds(const struct zp_record *record)
{
	uint64_t fact = record->facts[ZP_FACT_EXPIRE_AT];

	return fact == 0 ? ZP_TIME_ZERO_SECONDS : zp_unzigzag(fact - 1);
}

static int
record_check(const struct zp_key *key, const struct zp_record *record, struct zp_err *err)
{
	if (record->facts[ZP_FACT_TYPE] >= ZP_PIN_TYPE_COUNT)
		return zp_fail(err, ZP_E_CORRUPT, "record of unknown type %llu",
		    (unsigned long long)record->facts[ZP_FACT_TYPE]);
	if (!pin__time_is_printable(zp_unzigzag(record->facts[ZP_FACT_CREATED])) ||
	    !pin__time_is_printable(expire_seconds(record)))
		return zp_fail(err, ZP_E_CORRUPT, "record with a time outside of years 0 to 9999");
	return zp_texts_check(record->texts, key->kind, err);
}

/* Up to the metadata. */
static void
append_options(const struct zp_record *record, const struct texts *texts,
    const struct zp_pin_json_style *style, struct zp_buf *json)
{
	struct piece piece = {.length = 0};

	put(&piece, "{\"replication_factor_min\":");
	put_zigzag(&piece, record->facts[ZP_FACT_REPLICATION_MIN]);
	put(&piece, ",\"replication_factor_max\":");
	put_zigzag(&piece, record->facts[ZP_FACT_REPLICATION_MAX]);
	put(&piece, ",\"name\":");
	flush(&piece, json);
	zp_json_put_string(json, texts->name);
	/* Only 0 is direct; a shard's 1 is called recursive too. */
	if (record->facts[ZP_FACT_MAX_DEPTH] == 0)
		put(&piece, ",\"mode\":\"direct\",\"shard_size\":");
	else
		put(&piece, ",\"mode\":\"recursive\",\"shard_size\":");
	put_decimal_u64(&piece, record->facts[ZP_FACT_SHARD_SIZE]);
	put(&piece, ",\"user_allocations\":");
	if (style->user_allocations_json == NULL) {
		put(&piece, "null");
	} else {
		flush(&piece, json);
		zp_buf_append_slice(json, *style->user_allocations_json);
	}
	put(&piece, ",\"expire_at\":\"");
	put_time(&piece, expire_seconds(record), 0);
	put(&piece, "\",\"metadata\":");
	flush(&piece, json);
}

/* From the allocations to the end. */
static void
append_rest(const struct zp_record *record, const struct texts *texts,
    struct zp_slice allocations_json, const struct zp_pin_json_style *style, struct zp_buf *json)
{
	struct piece piece = {.length = 0};
	int64_t created = zp_unzigzag(record->facts[ZP_FACT_CREATED]);

	put(&piece, ",\"type\":\"");
	put(&piece, zp_pin_type_name((enum zp_pin_type)record->facts[ZP_FACT_TYPE]));
	put(&piece, "\",\"allocations\":");
	flush(&piece, json);
	zp_buf_append_slice(json, allocations_json);
	put(&piece, ",\"max_depth\":");
	put_zigzag(&piece, record->facts[ZP_FACT_MAX_DEPTH]);
	put(&piece, ",\"reference\":");
	flush(&piece, json);
	append_cid(texts->reference, json);
	put(&piece, ",\"timestamp\":\"");
	put_time(&piece, created, style->created_nanoseconds);
	put(&piece, "\"");
	if (record->facts[ZP_FACT_SIZE] != 0) {
		put(&piece, ",\"size\":");
		put_decimal_u64(&piece, record->facts[ZP_FACT_SIZE]);
	}
	put(&piece, "}");
	flush(&piece, json);
}

int
zp_pin_to_json(const struct zp_key *key, const struct zp_record *record,
    struct zp_slice allocations_json, const struct zp_pin_json_style *style, struct zp_buf *json,
    struct zp_err *err)
{
	static const struct zp_pin_json_style read_style = {0};
	const size_t length_before = json->length;
	const bool was_full = json->overflow;
	struct texts texts;
	struct zp_cid cid;
	int rc = record_check(key, record, err);

	if (rc == ZP_OK)
		rc = zp_cid_of_record(key, record, &cid, err);
	if (rc < 0)
		return rc;
	if (style == NULL)
		style = &read_style;
	texts = texts_of(record->texts);
	append_options(record, &texts, style, json);
	append_metadata(record->texts, &texts, style->is_post_answer, json);
	zp_buf_append_text(json, ",\"pin_update\":");
	append_cid(texts.pin_update, json);
	zp_buf_append_text(json, ",\"origins\":");
	append_origins(record->texts, &texts, style->is_post_answer, json);
	zp_buf_append_text(json, ",\"cid\":\"");
	zp_cid_format(&cid, json);
	zp_buf_append_byte(json, '"');
	append_rest(record, &texts, allocations_json, style, json);
	rc = zp_buf_check(json, "pin", err);
	if (rc < 0) {
		json->length = length_before;
		json->overflow = was_full;
	}
	return rc;
}
