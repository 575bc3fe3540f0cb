/*
 * options.c - the options of a pin from query parameters, with IPFS Cluster's rules and wording.
 *
 * Flow: pins.c before a write; also every other path with a CID, which only wants to know whether
 *       they are good. Pure: the time is told. Owner: none.
 *
 * The order of the checks is IPFS Cluster's, so that a query with two mistakes gets the same
 * answer.
 */
#include "api/api_internal.h"

#define META_PREFIX "meta-"
#define NANOSECONDS_PER_SECOND 1000000000LL

/* Go's strconv.Atoi: an optional sign and digits, in 64 bits. An absent or empty text is 0. */
static int
integer_read(struct zp_slice text, const char *name, int64_t *value_out, struct zp_err *err)
{
	struct zp_slice digits = text;
	bool negative = text.length > 0 && text.data[0] == '-';
	uint64_t value;

	if (text.length == 0) {
		*value_out = 0;
		return 0;
	}
	if (negative || text.data[0] == '+') {
		digits.data++;
		digits.length--;
	}
	if (!api__decimal_read(digits, (uint64_t)INT64_MAX + negative, &value))
		return zp_fail(err, ZP_E_INVALID, "parameter %s invalid", name);
	*value_out = negative ? (int64_t)(0 - value) : (int64_t)value;
	return 0;
}

static int
replication_read(const struct api_query *query, struct zp_pin *pin, struct zp_err *err)
{
	struct zp_slice both = api__query_get(query, "replication");
	struct zp_slice min = both.length > 0 ? both : api__query_get(query, "replication-min");
	struct zp_slice max = both.length > 0 ? both : api__query_get(query, "replication-max");
	int rc = integer_read(min, "replication-min", &pin->replication_min, err);

	return rc < 0 ? rc : integer_read(max, "replication-max", &pin->replication_max, err);
}

static int
shard_size_read(struct zp_slice text, struct zp_pin *pin, struct zp_err *err)
{
	pin->shard_size = 0;
	if (text.length > 0 && !api__decimal_read(text, UINT64_MAX, &pin->shard_size))
		return zp_fail(err, ZP_E_INVALID, "parameter shard_size is invalid");
	return 0;
}

/* Ids that are none are dropped without a word. */
static int
user_allocations_read(struct zp_slice list, struct zp_pin *pin, struct zp_err *err)
{
	struct zp_slice item;

	if (list.length == 0)
		return 0;
	while (api__list_next(&list, &item)) {
		int rc = zp_pin_user_allocation_add(pin, item, err);

		if (rc < 0 && rc != ZP_E_INVALID)
			return rc;
	}
	zp_err_clear(err);
	return 0;
}

/* A record can't say 1970-01-01T00:00:00Z; one second later is as much in the past. */
static void
expire_at_set(struct zp_pin *pin, int64_t seconds)
{
	pin->expire_at_seconds = seconds == 0 ? 1 : seconds;
}

static int
expiry_read(
    struct zp_slice at, struct zp_slice in, int64_t now_us, struct zp_pin *pin, struct zp_err *err)
{
	int64_t seconds, duration;
	uint32_t nanoseconds;
	int rc;

	if (at.length > 0) {
		rc = zp_time_parse(at, &seconds, &nanoseconds, err);
		if (rc < 0)
			return zp_wrap(err, rc, "expire-at cannot be parsed");
		/* Whole seconds are kept and compared: a moment of this second that has passed must
		 * be past by them too, or the pin is taken and gone at once. */
		if (seconds == now_us / 1000000 && nanoseconds / 1000 < now_us % 1000000)
			seconds--;
		expire_at_set(pin, seconds);
		return 0;
	}
	if (in.length == 0)
		return 0;
	rc = zp_duration_parse(in, &duration, err);
	if (rc < 0)
		return zp_wrap(err, rc, "expire-in cannot be parsed");
	if (duration < NANOSECONDS_PER_SECOND)
		return zp_fail(err, ZP_E_INVALID, "expire-in duration too short");
	expire_at_set(pin, (now_us + duration / 1000) / 1000000);
	return 0;
}

/* From the last pair to the first, so that the first of equal keys is what stays. */
static int
metadata_read(const struct api_query *query, struct zp_pin *pin, struct zp_err *err)
{
	const size_t prefix = strlen(META_PREFIX);

	for (size_t i = query->count; i-- > 0;) {
		struct zp_slice key = query->pairs[i].key;
		int rc;

		if (key.length <= prefix || memcmp(key.data, META_PREFIX, prefix) != 0)
			continue;
		key.data += prefix;
		key.length -= prefix;
		rc = zp_pin_metadata_put(pin, key, query->pairs[i].value, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int
pin_update_read(struct zp_slice text, struct zp_pin *pin, struct zp_err *err)
{
	int rc;

	if (text.length == 0)
		return 0;
	rc = zp_cid_parse(text, &pin->pin_update, err);
	if (rc < 0)
		return zp_wrap(err, rc, "error decoding update option parameter");
	pin->has_pin_update = true;
	return 0;
}

static int
origins_read(struct zp_slice list, struct zp_pin *pin, struct zp_err *err)
{
	struct zp_slice item;

	if (list.length == 0)
		return 0;
	while (api__list_next(&list, &item)) {
		int rc = zp_pin_origin_add(pin, item, err);

		if (rc == ZP_E_INVALID)
			return zp_wrap(err, rc, "error decoding multiaddress");
		if (rc < 0)
			return rc;
		if (!zp_multiaddr_has_peer(pin->origins[pin->origins_count - 1]))
			return zp_fail(err, ZP_E_INVALID,
			    "multiaddress does not contain peer ID: protocol not found in "
			    "multiaddr");
	}
	return 0;
}

int
api__options_read(
    const struct api_query *query, int64_t now_us, struct zp_pin *pin, struct zp_err *err)
{
	int rc;

	pin->name = api__query_get(query, "name");
	pin->max_depth = zp_slice_is(api__query_get(query, "mode"), "direct") ? 0 : -1;
	rc = replication_read(query, pin, err);
	if (rc == 0)
		rc = shard_size_read(api__query_get(query, "shard-size"), pin, err);
	if (rc == 0)
		rc = user_allocations_read(api__query_get(query, "user-allocations"), pin, err);
	if (rc == 0)
		rc = expiry_read(api__query_get(query, "expire-at"),
		    api__query_get(query, "expire-in"), now_us, pin, err);
	if (rc == 0)
		rc = metadata_read(query, pin, err);
	if (rc == 0)
		rc = pin_update_read(api__query_get(query, "pin-update"), pin, err);
	if (rc == 0)
		rc = origins_read(api__query_get(query, "origins"), pin, err);
	return rc;
}

void
api__peers_json(const struct zp_slice *peers, size_t count, struct zp_buf *json)
{
	zp_buf_append_byte(json, '[');
	for (size_t i = 0; i < count; i++) {
		zp_buf_append_text(json, i == 0 ? "\"" : ",\"");
		zp_peer_id_format(peers[i], json);
		zp_buf_append_byte(json, '"');
	}
	zp_buf_append_byte(json, ']');
}
