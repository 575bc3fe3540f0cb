/*
 * status_json.c - what has become of a pin, peer by peer: IPFS Cluster's GlobalPinInfo. Pure.
 *
 * Flow: status.c, for one pin or for each of a listing. Owner: none.
 *
 * No Kubo is known yet, so a status follows from the pin alone: what is allocated here waits, what
 * is allocated elsewhere is remote, and a peer that an import brought along and that no node here
 * is can't be asked.
 */
#include <stdlib.h>

#include "api/api_internal.h"

#define ERROR_QUEUED "no IPFS daemon is configured on this node; the pin waits in the queue"
#define ERROR_FOREIGN                                             \
	"this peer is not part of this cluster; `zpin peers map " \
	"OLD=NEW` moves its pins to a peer that is"

struct peer_list {
	struct zp_slice ids[ZP_ALLOCATIONS_COUNT_MAX];
	size_t count;
};

/* The ids of a ready JSON array, which has nothing that needs an escape. */
static bool
peer_next(struct zp_slice *json, struct zp_slice *id_out)
{
	const uint8_t *end = json->data + json->length;
	const uint8_t *open = json->length == 0 ? NULL : memchr(json->data, '"', json->length);
	const uint8_t *close =
	    open == NULL ? NULL : memchr(open + 1, '"', (size_t)(end - open - 1));

	if (close == NULL)
		return false;
	*id_out = (struct zp_slice){open + 1, (size_t)(close - open - 1)};
	json->length = (size_t)(end - close - 1);
	json->data = close + 1;
	return true;
}

static bool
is_everywhere(const struct zp_record *record)
{
	return record->facts[ZP_FACT_REPLICATION_MIN] == zp_zigzag(-1) &&
	       record->facts[ZP_FACT_REPLICATION_MAX] == zp_zigzag(-1);
}

static enum api_status
own_status(const struct api_self *self, const struct api_status_pin *pin)
{
	struct zp_slice rest = pin->allocations, id;

	if (pin->record == NULL)
		return API_STATUS_UNPINNED;
	if (pin->record->facts[ZP_FACT_TYPE] == ZP_PIN_META)
		return API_STATUS_SHARDED;
	if (is_everywhere(pin->record))
		return API_STATUS_PIN_QUEUED;
	while (peer_next(&rest, &id))
		if (zp_slice_is(id, self->id))
			return API_STATUS_PIN_QUEUED;
	return API_STATUS_REMOTE;
}

/* Others are only asked where the pin is theirs. */
static bool
has_foreign(const struct api_status_pin *pin)
{
	return !pin->local && pin->record != NULL && !is_everywhere(pin->record);
}

uint32_t
api__status_bits(const struct api_self *self, const struct api_status_pin *pin)
{
	struct zp_slice rest = pin->allocations, id;
	uint32_t bits = own_status(self, pin);

	while (has_foreign(pin) && peer_next(&rest, &id))
		if (!zp_slice_is(id, self->id))
			bits |= API_STATUS_CLUSTER_ERROR;
	return bits;
}

static void
put_time(struct zp_buf *json, const char *name, int64_t seconds, uint32_t nanoseconds)
{
	zp_json_put_name(json, name);
	zp_buf_append_byte(json, '"');
	zp_time_format(seconds, nanoseconds, json);
	zp_buf_append_byte(json, '"');
}

static void
put_now(struct zp_buf *json, const char *name, int64_t now_us)
{
	put_time(json, name, now_us / 1000000, (uint32_t)(now_us % 1000000) * 1000);
}

/* ---- Name, origins, metadata ---------------------------------------------------------------- */

static void
put_tagged(struct zp_buf *json, struct zp_slice texts, enum zp_text_tag wanted)
{
	struct zp_slice value;
	enum zp_text_tag tag;
	size_t position = 0;

	while (zp_texts_next(texts, &position, &tag, &value) == 0) {
		if (tag != wanted)
			continue;
		zp_json_put_comma(json);
		zp_json_put_string(json, value);
	}
}

static void
put_name(struct zp_buf *json, struct zp_slice texts)
{
	struct zp_slice value, name = {0};
	enum zp_text_tag tag;
	size_t position = 0;

	while (zp_texts_next(texts, &position, &tag, &value) == 0)
		if (tag == ZP_TEXT_NAME)
			name = value;
	zp_json_put_name(json, "name");
	zp_json_put_string(json, name);
}

static void
put_metadata(struct zp_buf *json, struct zp_slice texts)
{
	struct zp_slice value;
	enum zp_text_tag tag;
	size_t position = 0, count = 0;

	zp_json_put_name(json, "metadata");
	while (zp_texts_next(texts, &position, &tag, &value) == 0) {
		if (tag == ZP_TEXT_METADATA_KEY) {
			zp_buf_append_byte(json, count++ == 0 ? '{' : ',');
			zp_json_put_string(json, value);
		} else if (tag == ZP_TEXT_METADATA_VALUE) {
			zp_buf_append_byte(json, ':');
			zp_json_put_string(json, value);
		}
	}
	zp_buf_append_text(json, count == 0 ? "null" : "}");
}

/* ---- Peers ---------------------------------------------------------------------------------- */

static int
id_compare(const void *a, const void *b)
{
	const struct zp_slice *left = a, *right = b;
	int order = memcmp(left->data, right->data, zp_min_u64(left->length, right->length));

	return order != 0 ? order : (left->length > right->length) - (left->length < right->length);
}

/* This node and the foreign ones, in the order of Go's maps on the wire. */
static void
peers_collect(
    const struct api_self *self, const struct api_status_pin *pin, struct peer_list *peers)
{
	struct zp_slice rest = pin->allocations, id;

	peers->ids[0] = zp_slice_of(self->id);
	peers->count = 1;
	while (has_foreign(pin) && peers->count < ZP_ALLOCATIONS_COUNT_MAX && peer_next(&rest, &id))
		if (!zp_slice_is(id, self->id))
			peers->ids[peers->count++] = id;
	if (peers->count > 1)
		qsort(peers->ids, peers->count, sizeof(peers->ids[0]), id_compare);
}

static void
put_peer(const struct api_self *self, const struct api_status_pin *pin, struct zp_slice id,
    struct zp_buf *json)
{
	bool is_self = zp_slice_is(id, self->id);
	enum api_status status = is_self ? own_status(self, pin) : API_STATUS_CLUSTER_ERROR;
	const char *error = !is_self                          ? ERROR_FOREIGN
			    : status == API_STATUS_PIN_QUEUED ? ERROR_QUEUED
							      : "";

	zp_json_put_comma(json);
	zp_json_put_string(json, id);
	zp_buf_append_text(json, ":{\"peername\":");
	zp_buf_append_text(json, is_self ? self->name_json : "\"\"");
	zp_json_put_name(json, "status");
	zp_json_put_text(json, api__status_name(status));
	if (pin->record == NULL || !is_self)
		put_now(json, "timestamp", pin->now_us);
	else
		put_time(json, "timestamp", zp_unzigzag(pin->record->facts[ZP_FACT_CREATED]), 0);
	zp_json_put_name(json, "error");
	zp_json_put_text(json, error);
	zp_buf_append_text(json, ",\"attempt_count\":0,\"priority_pin\":false}");
}

static void
put_peers(const struct api_self *self, const struct api_status_pin *pin, struct zp_buf *json)
{
	struct peer_list peers;

	peers_collect(self, pin, &peers);
	zp_json_put_name(json, "peer_map");
	zp_buf_append_byte(json, '{');
	for (size_t i = 0; i < peers.count; i++)
		if (i == 0 || id_compare(&peers.ids[i - 1], &peers.ids[i]) != 0)
			put_peer(self, pin, peers.ids[i], json);
	zp_buf_append_text(json, "}}");
}

/* ---- Whole ---------------------------------------------------------------------------------- */

static void
put_absent(struct zp_buf *json, const struct api_status_pin *pin)
{
	zp_buf_append_text(json, ",\"name\":\"\",\"allocations\":");
	if (pin->local) {
		/* IPFS Cluster's tracker leaves all of it at Go's zero values. */
		zp_buf_append_text(json, "null,\"origins\":null");
		put_time(json, "created", ZP_TIME_ZERO_SECONDS, 0);
	} else {
		zp_buf_append_text(json, "[],\"origins\":null");
		put_now(json, "created", pin->now_us);
	}
	zp_buf_append_text(json, ",\"metadata\":null");
}

static void
put_stored(struct zp_buf *json, const struct api_status_pin *pin)
{
	struct zp_slice texts = pin->record->texts;

	put_name(json, texts);
	zp_buf_append_text(json, ",\"allocations\":");
	zp_buf_append_slice(json, pin->allocations);
	zp_buf_append_text(json, ",\"origins\":[");
	put_tagged(json, texts, ZP_TEXT_ORIGIN);
	zp_buf_append_byte(json, ']');
	put_time(json, "created", zp_unzigzag(pin->record->facts[ZP_FACT_CREATED]), 0);
	put_metadata(json, texts);
}

int
api__status_json(const struct api_self *self, const struct api_status_pin *pin, struct zp_buf *json,
    struct zp_err *err)
{
	zp_buf_append_text(json, "{\"cid\":\"");
	zp_cid_format(pin->cid, json);
	zp_buf_append_byte(json, '"');
	if (pin->record == NULL)
		put_absent(json, pin);
	else
		put_stored(json, pin);
	put_peers(self, pin, json);
	return zp_buf_check(json, "the status", err);
}
