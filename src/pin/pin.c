/*
 * pin.c - the outside form of a pin: its life, its lists, and its way into a record.
 *
 * Flow: pin_json_read.c and the query parser fill a pin, zp_pin_to_record makes what is stored.
 * Owner: whoever holds the pin.
 */
#include "pin/pin_internal.h"

static const char *const type_names[ZP_PIN_TYPE_COUNT] = {
    [ZP_PIN_DATA] = "pin",
    [ZP_PIN_META] = "meta-pin",
    [ZP_PIN_CLUSTER_DAG] = "clusterdag-pin",
    [ZP_PIN_SHARD] = "shard-pin",
};

const char *
zp_pin_type_name(enum zp_pin_type type)
{
	return (unsigned)type < ZP_PIN_TYPE_COUNT ? type_names[type] : "bad-type";
}

int
zp_pin_type_parse(struct zp_slice name, enum zp_pin_type *type_out)
{
	for (unsigned i = 0; i < ZP_PIN_TYPE_COUNT; i++) {
		if (zp_slice_is(name, type_names[i])) {
			*type_out = (enum zp_pin_type)i;
			return ZP_OK;
		}
	}
	return ZP_E_INVALID;
}

/* ---- Life ----------------------------------------------------------------------------------- */

/* Field by field: the three CIDs are large, and only their lengths say what is in them. */
void
zp_pin_init(struct zp_pin *pin)
{
	pin->arena = NULL;
	zp_pin_reset(pin);
}

void
zp_pin_reset(struct zp_pin *pin)
{
	pin__arena_reset(pin->arena);
	pin->cid.length = 0;
	pin->type = ZP_PIN_DATA;
	pin->max_depth = 0;
	pin->replication_min = 0;
	pin->replication_max = 0;
	pin->size = 0;
	pin->shard_size = 0;
	pin->created_seconds = ZP_TIME_ZERO_SECONDS;
	pin->created_nanoseconds = 0;
	pin->expire_at_seconds = ZP_TIME_ZERO_SECONDS;
	pin->name = (struct zp_slice){0};
	pin->metadata = NULL;
	pin->metadata_count = 0;
	pin->origins = NULL;
	pin->origins_count = 0;
	pin->allocations = NULL;
	pin->allocations_count = 0;
	pin->user_allocations = NULL;
	pin->user_allocations_count = 0;
	pin->has_pin_update = false;
	pin->has_reference = false;
	pin->pin_update.length = 0;
	pin->reference.length = 0;
}

void
zp_pin_done(struct zp_pin *pin)
{
	if (pin == NULL)
		return;
	pin__arena_free(pin->arena);
	zp_pin_init(pin);
}

/* ---- Lists ---------------------------------------------------------------------------------- */

#define LIST_COUNT_FIRST 4u

/* Room for one more item: lists double at powers of two, so their capacity need not be kept. */
static void *
grown(struct zp_pin *pin, void *items, size_t count, size_t item_bytes)
{
	void *larger;

	if (items != NULL && (count < LIST_COUNT_FIRST || (count & (count - 1)) != 0))
		return items;
	larger =
	    pin__arena_take(&pin->arena, item_bytes * (count == 0 ? LIST_COUNT_FIRST : count * 2));
	if (count > 0)
		memcpy(larger, items, count * item_bytes);
	return larger;
}

static struct zp_slice
copy_to_arena(struct zp_pin *pin, const void *data, size_t length)
{
	uint8_t *copy = pin__arena_take(&pin->arena, length);

	memcpy(copy, data, length);
	return (struct zp_slice){.data = copy, .length = length};
}

static int
slice_compare(struct zp_slice a, struct zp_slice b)
{
	size_t shorter = zp_min_u64(a.length, b.length);
	int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);

	return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

int
zp_pin_metadata_put(
    struct zp_pin *pin, struct zp_slice key, struct zp_slice value, struct zp_err *err)
{
	size_t low = 0, high = pin->metadata_count;

	while (low < high) { /* clients mostly send keys in order: look at the last one first */
		size_t middle = high == pin->metadata_count ? high - 1 : low + (high - low) / 2;
		int order = slice_compare(key, pin->metadata[middle].key);

		if (order == 0) {
			pin->metadata[middle].value = value;
			return ZP_OK;
		}
		if (order > 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (pin->metadata_count == ZP_METADATA_COUNT_MAX)
		return zp_fail(
		    err, ZP_E_TOO_LARGE, "more than %u metadata entries", ZP_METADATA_COUNT_MAX);
	pin->metadata = grown(pin, pin->metadata, pin->metadata_count, sizeof(*pin->metadata));
	memmove(pin->metadata + low + 1, pin->metadata + low,
	    (pin->metadata_count - low) * sizeof(*pin->metadata));
	pin->metadata[low] = (struct zp_pair){.key = key, .value = value};
	pin->metadata_count++;
	return ZP_OK;
}

int
zp_pin_origin_add(struct zp_pin *pin, struct zp_slice text, struct zp_err *err)
{
	ZP_AUTO_BUF(normal, ZP_RECORD_BYTES_MAX);
	int rc;

	if (pin->origins_count == ZP_ORIGINS_COUNT_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE, "more than %u origins", ZP_ORIGINS_COUNT_MAX);
	rc = zp_multiaddr_normalize(text, &normal, err);
	if (rc < 0)
		return rc;
	if (!zp_slice_equal(text, zp_buf_slice(&normal)))
		text = copy_to_arena(pin, normal.data, normal.length);
	pin->origins = grown(pin, pin->origins, pin->origins_count, sizeof(*pin->origins));
	pin->origins[pin->origins_count++] = text;
	return ZP_OK;
}

static int
peer_add(struct zp_pin *pin, struct zp_slice text, struct zp_slice **peers, size_t *count,
    struct zp_err *err)
{
	uint8_t binary[ZP_PEER_ID_BYTES_MAX];
	size_t length;
	int rc;

	if (*count == ZP_ALLOCATIONS_COUNT_MAX)
		return zp_fail(
		    err, ZP_E_TOO_LARGE, "more than %u allocations", ZP_ALLOCATIONS_COUNT_MAX);
	rc = pin__peer_id_decode(text, PIN__PEER_ALONE, binary, &length, err);
	if (rc < 0)
		return rc;
	*peers = grown(pin, *peers, *count, sizeof(**peers));
	(*peers)[(*count)++] = copy_to_arena(pin, binary, length);
	return ZP_OK;
}

int
zp_pin_allocation_add(struct zp_pin *pin, struct zp_slice text, struct zp_err *err)
{
	return peer_add(pin, text, &pin->allocations, &pin->allocations_count, err);
}

int
zp_pin_user_allocation_add(struct zp_pin *pin, struct zp_slice text, struct zp_err *err)
{
	return peer_add(pin, text, &pin->user_allocations, &pin->user_allocations_count, err);
}

/* ---- To a record ---------------------------------------------------------------------------- */

static struct zp_slice
cid_slice(const struct zp_cid *cid)
{
	return (struct zp_slice){.data = cid->bytes, .length = cid->length};
}

static void
texts_of_pin(const struct zp_pin *pin, enum zp_key_kind kind, struct zp_buf *texts)
{
	if (kind == ZP_KIND_OTHER)
		pin__text_append(texts, ZP_TEXT_CID, cid_slice(&pin->cid));
	if (pin->name.length > 0)
		pin__text_append(texts, ZP_TEXT_NAME, pin->name);
	for (size_t i = 0; i < pin->metadata_count; i++) {
		pin__text_append(texts, ZP_TEXT_METADATA_KEY, pin->metadata[i].key);
		pin__text_append(texts, ZP_TEXT_METADATA_VALUE, pin->metadata[i].value);
	}
	for (size_t i = 0; i < pin->origins_count; i++)
		pin__text_append(texts, ZP_TEXT_ORIGIN, pin->origins[i]);
	if (pin->has_pin_update)
		pin__text_append(texts, ZP_TEXT_PIN_UPDATE, cid_slice(&pin->pin_update));
	if (pin->has_reference)
		pin__text_append(texts, ZP_TEXT_REFERENCE, cid_slice(&pin->reference));
}

static int
small_check(int64_t value, const char *name, struct zp_err *err)
{
	if (value < INT32_MIN || value > INT32_MAX)
		return zp_fail(
		    err, ZP_E_INVALID, "%s: %lld is out of range", name, (long long)value);
	return ZP_OK;
}

static int
numbers_check(const struct zp_pin *pin, struct zp_err *err)
{
	int rc = small_check(pin->replication_min, "replication_factor_min", err);

	if (rc == ZP_OK)
		rc = small_check(pin->replication_max, "replication_factor_max", err);
	if (rc == ZP_OK)
		rc = small_check(pin->max_depth, "max_depth", err);
	if (rc < 0)
		return rc;
	if ((unsigned)pin->type >= ZP_PIN_TYPE_COUNT)
		return zp_fail(err, ZP_E_INVALID, "type: %d is none", (int)pin->type);
	if (!pin__time_is_printable(pin->created_seconds) ||
	    !pin__time_is_printable(pin->expire_at_seconds))
		return zp_fail(err, ZP_E_INVALID, "time: year outside of range [0,9999]");
	return ZP_OK;
}

/* The zero time is never; so is 1970-01-01T00:00:00Z, as in IPFS Cluster. */
static uint64_t
expire_fact(int64_t seconds)
{
	return seconds == ZP_TIME_ZERO_SECONDS || seconds == 0 ? 0 : zp_zigzag(seconds) + 1;
}

int
zp_pin_to_record(const struct zp_pin *pin, uint64_t allocations, struct zp_buf *texts,
    struct zp_record *record_out, struct zp_err *err)
{
	enum zp_key_kind kind = pin__kind_of(&pin->cid);
	struct zp_record record;
	int rc = numbers_check(pin, err);

	if (rc < 0)
		return rc;
	zp_buf_clear(texts);
	texts_of_pin(pin, kind, texts);
	if (texts->overflow)
		return zp_fail(
		    err, ZP_E_TOO_LARGE, "pin is over the limit of %u bytes", ZP_RECORD_BYTES_MAX);
	rc = pin__texts_check(zp_buf_slice(texts), (int)kind, ZP_E_INVALID, err);
	if (rc < 0)
		return rc;
	record.facts[ZP_FACT_TYPE] = (uint64_t)pin->type;
	record.facts[ZP_FACT_MAX_DEPTH] = zp_zigzag(pin->max_depth);
	record.facts[ZP_FACT_REPLICATION_MIN] = zp_zigzag(pin->replication_min);
	record.facts[ZP_FACT_REPLICATION_MAX] = zp_zigzag(pin->replication_max);
	record.facts[ZP_FACT_SIZE] = pin->size;
	record.facts[ZP_FACT_SHARD_SIZE] = pin->shard_size;
	record.facts[ZP_FACT_CREATED] = zp_zigzag(pin->created_seconds);
	record.facts[ZP_FACT_EXPIRE_AT] = expire_fact(pin->expire_at_seconds);
	record.facts[ZP_FACT_ALLOCATIONS] = allocations;
	record.texts = zp_buf_slice(texts);
	if (pin__record_bytes(&record) > ZP_RECORD_BYTES_MAX)
		return zp_fail(
		    err, ZP_E_TOO_LARGE, "pin is over the limit of %u bytes", ZP_RECORD_BYTES_MAX);
	*record_out = record;
	return ZP_OK;
}
