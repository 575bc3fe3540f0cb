/*
 * health.c - whether the node lives, whom it knows, and the metrics that allocators look at.
 *
 * One node without Kubo: nobody else to see, no alerts, no traffic between peers.
 */
#include "api/api_internal.h"

#define METRIC_LIFE_NS (30LL * 1000000000)

void
api__health(struct api_call *call)
{
	api__answer_empty(call, 204);
}

void
api__graph(struct api_call *call)
{
	const struct api_self *self = &call->api->self;

	zp_buf_printf(&call->json,
	    "{\"cluster_id\":\"%s\",\"id_to_peername\":{\"%s\":%s},\"ipfs_links\":{},"
	    "\"cluster_links\":{\"%s\":[]},\"cluster_trust_links\":{\"%s\":true},"
	    "\"cluster_to_ipfs\":{}}",
	    self->id, self->id, self->name_json, self->id, self->id);
	api__answer_json(call);
}

void
api__alerts(struct api_call *call)
{
	zp_buf_append_text(&call->json, "[]");
	api__answer_json(call);
}

void
api__bandwidth(struct api_call *call)
{
	zp_buf_append_text(&call->json, "{}");
	api__answer_json(call);
}

/* ---- Metrics -------------------------------------------------------------------------------- */

struct metric {
	int64_t weight;
	bool is_known;
	bool is_partitionable;
};

static uint64_t
pins_count(const struct zp_api *api)
{
	struct zp_node_facts facts;
	uint64_t count = 0;

	zp_node_facts_get(api->node, &facts);
	for (unsigned type = 0; type < ZP_PIN_TYPE_COUNT; type++)
		count += facts.engines.pins[type];
	return count;
}

static struct metric
metric_ping(const struct zp_api *api, struct zp_buf *value)
{
	ZP_AUTO_BUF(json, ZP_RECORD_BYTES_MAX);

	zp_buf_append_text(&json, "{\"peer_name\":");
	zp_buf_append_text(&json, api->self.name_json);
	zp_buf_append_text(&json, ",\"ipfs_id\":\"\"}");
	zp_json_put_string(value, zp_buf_slice(&json));
	return (struct metric){.is_known = true};
}

static struct metric
metric_freespace(const struct zp_api *api, struct zp_buf *value)
{
	uint64_t bytes = 0;
	bool is_known = api->free_space != NULL && api->free_space(api->context, &bytes);

	zp_buf_printf(value, "\"%llu\"", (unsigned long long)bytes);
	return (struct metric){.is_known = is_known, .weight = (int64_t)bytes};
}

/* Without Kubo every pin waits. IPFS Cluster ranks peers by queues in steps of 100,000. */
static struct metric
metric_pinqueue(const struct zp_api *api, struct zp_buf *value)
{
	uint64_t count = pins_count(api);

	zp_buf_printf(value, "\"%llu\"", (unsigned long long)count);
	return (struct metric){.is_known = true, .weight = -(int64_t)(count / 100000)};
}

static struct metric
metric_group(const struct zp_api *api, struct zp_buf *value)
{
	(void)api;
	zp_buf_append_text(value, "\"default\"");
	return (struct metric){.is_known = true, .is_partitionable = true};
}

static struct metric
metric_numpin(const struct zp_api *api, struct zp_buf *value)
{
	zp_buf_printf(value, "\"%llu\"", (unsigned long long)pins_count(api));
	return (struct metric){.is_known = true};
}

static const struct {
	const char *name;
	struct metric (*read)(const struct zp_api *api, struct zp_buf *value);
} metrics[] = {
    {"freespace", metric_freespace},
    {"numpin", metric_numpin},
    {"ping", metric_ping},
    {"pinqueue", metric_pinqueue},
    {"tag:group", metric_group},
};

void
api__metric_names(struct api_call *call)
{
	zp_buf_append_byte(&call->json, '[');
	for (size_t i = 0; i < ZP_ARRAY_COUNT(metrics); i++) {
		zp_json_put_comma(&call->json);
		zp_json_put_text(&call->json, metrics[i].name);
	}
	zp_buf_append_byte(&call->json, ']');
	api__answer_json(call);
}

static void
put_metric(struct api_call *call, size_t index)
{
	int64_t now = api__now_us() * 1000;
	struct metric metric = metrics[index].read(call->api, &call->text);

	if (!metric.is_known)
		return;
	zp_buf_append_text(&call->json, "{\"name\":");
	zp_json_put_text(&call->json, metrics[index].name);
	zp_buf_printf(&call->json, ",\"peer\":\"%s\",\"value\":", call->api->self.id);
	zp_buf_append_slice(&call->json, zp_buf_slice(&call->text));
	zp_buf_printf(&call->json,
	    ",\"expire\":%lld,\"valid\":true,\"weight\":%lld,\"partitionable\":%s,"
	    "\"received_at\":%lld}",
	    (long long)(now + METRIC_LIFE_NS), (long long)metric.weight,
	    metric.is_partitionable ? "true" : "false", (long long)now);
}

void
api__metrics(struct api_call *call)
{
	zp_buf_append_byte(&call->json, '[');
	for (size_t i = 0; i < ZP_ARRAY_COUNT(metrics); i++)
		if (zp_slice_is(call->captures[0], metrics[i].name))
			put_metric(call, i);
	zp_buf_append_byte(&call->json, ']');
	api__answer_json(call);
}
