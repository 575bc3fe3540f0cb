/*
 * test_status.c - the status object, byte for byte as IPFS Cluster's captures have it but for what
 * a node without Kubo can't say (ipfs_peer_id, "pinned").
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "api/api_internal.h"

#define SELF "12D3KooWCFZ28HemDVKBQSVZGdCmKV5Gzr2Jq9hxqj9U1v7Z6ALa"
#define BEFORE_SELF "12D3KooW9aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define AFTER_SELF "12D3KooWJ8PGhoJ3RwdGBwhwGA5qMw1Uho3mBznLDQ4hcLULP2Ru"
#define CID "QmNmVY8XGFNGU5wZmoqKaxVzqpGV4pL5BURyKUhWcK9Ezh"
#define NOW_US 1795396569866489LL /* 2026-11-23T01:16:09.866489Z */
#define CREATED 1795396566        /* 2026-11-23T01:16:06Z */

#define QUEUED_ERROR "no IPFS daemon is configured on this node; the pin waits in the queue"
#define FOREIGN_ERROR                                                                          \
	"this peer is not part of this cluster; `zpin peers map OLD=NEW` moves its pins to a " \
	"peer "                                                                                \
	"that is"
#define TAIL "\"attempt_count\":0,\"priority_pin\":false}"

static const struct api_self self = {
    .id = (char *)SELF, .name = (char *)"peer4", .name_json = (char *)"\"peer4\""};

struct fixture {
	struct zp_pin pin;
	struct zp_buf texts;
	struct zp_record record;
	struct api_status_pin status;
};

static void
fixture_init(struct fixture *fixture, int64_t min, int64_t max, const char *allocations)
{
	zp_pin_init(&fixture->pin);
	zp_buf_init(&fixture->texts, ZP_RECORD_BYTES_MAX);
	assert_int_equal(zp_cid_parse(zp_slice_of(CID), &fixture->pin.cid, NULL), 0);
	fixture->pin.replication_min = min;
	fixture->pin.replication_max = max;
	fixture->pin.max_depth = -1;
	fixture->pin.created_seconds = CREATED;
	fixture->status = (struct api_status_pin){
	    .cid = &fixture->pin.cid,
	    .record = &fixture->record,
	    .allocations = zp_slice_of(allocations),
	    .now_us = NOW_US,
	};
}

static void
fixture_check(struct fixture *fixture, const char *expected, uint32_t bits)
{
	ZP_AUTO_BUF(json, 100000);

	assert_int_equal(
	    zp_pin_to_record(&fixture->pin, 0, &fixture->texts, &fixture->record, NULL), 0);
	assert_int_equal(api__status_json(&self, &fixture->status, &json, NULL), 0);
	zp_buf_append_byte(&json, '\0');
	assert_string_equal((const char *)json.data, expected);
	assert_int_equal(api__status_bits(&self, &fixture->status), bits);
	zp_pin_done(&fixture->pin);
	zp_buf_done(&fixture->texts);
}

static void
everywhere_waits_here(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture, -1, -1, "[]");
	fixture_check(&fixture,
	    "{\"cid\":\"" CID "\",\"name\":\"\",\"allocations\":[],\"origins\":[],"
	    "\"created\":\"2026-11-23T01:16:06Z\",\"metadata\":null,\"peer_map\":{\"" SELF
	    "\":{\"peername\":\"peer4\",\"status\":\"pin_queued\","
	    "\"timestamp\":\"2026-11-23T01:16:06Z\",\"error\":\"" QUEUED_ERROR "\"," TAIL "}}",
	    API_STATUS_PIN_QUEUED);
}

/* Peers in the order of their ids, the foreign ones with what to do; texts as they are escaped. */
static void
allocated_here_and_to_foreign_peers(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture, 3, 3, "[\"" AFTER_SELF "\",\"" SELF "\",\"" BEFORE_SELF "\"]");
	fixture.pin.name = zp_slice_of("a<b>");
	assert_int_equal(
	    zp_pin_metadata_put(&fixture.pin, zp_slice_of("x"), zp_slice_of("&"), NULL), 0);
	assert_int_equal(
	    zp_pin_metadata_put(&fixture.pin, zp_slice_of("a"), zp_slice_of("1"), NULL), 0);
	assert_int_equal(zp_pin_origin_add(&fixture.pin, zp_slice_of("/p2p/" SELF), NULL), 0);
	assert_int_equal(
	    zp_pin_origin_add(&fixture.pin, zp_slice_of("/ip4/1.2.3.4/tcp/1/p2p/" SELF), NULL), 0);
	fixture_check(&fixture,
	    "{\"cid\":\"" CID "\",\"name\":\"a\\u003cb\\u003e\",\"allocations\":[\"" AFTER_SELF
	    "\",\"" SELF "\",\"" BEFORE_SELF "\"],\"origins\":[\"/p2p/" SELF
	    "\",\"/ip4/1.2.3.4/tcp/1/p2p/" SELF
	    "\"],\"created\":\"2026-11-23T01:16:06Z\",\"metadata\":{\"a\":\"1\",\"x\":\"\\u0026\"},"
	    "\"peer_map\":{\"" BEFORE_SELF "\":{\"peername\":\"\",\"status\":\"cluster_error\","
	    "\"timestamp\":\"2026-11-23T01:16:09.866489Z\",\"error\":\"" FOREIGN_ERROR "\"," TAIL
	    ",\"" SELF "\":{\"peername\":\"peer4\",\"status\":\"pin_queued\","
	    "\"timestamp\":\"2026-11-23T01:16:06Z\",\"error\":\"" QUEUED_ERROR "\"," TAIL
	    ",\"" AFTER_SELF "\":{\"peername\":\"\",\"status\":\"cluster_error\","
	    "\"timestamp\":\"2026-11-23T01:16:09.866489Z\",\"error\":\"" FOREIGN_ERROR "\"," TAIL
	    "}}",
	    API_STATUS_PIN_QUEUED | API_STATUS_CLUSTER_ERROR);
}

static void
allocated_elsewhere_is_remote(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture, 1, 1, "[\"" AFTER_SELF "\"]");
	fixture.status.local = true; /* others are not asked */
	fixture_check(&fixture,
	    "{\"cid\":\"" CID "\",\"name\":\"\",\"allocations\":[\"" AFTER_SELF
	    "\"],\"origins\":[],\"created\":\"2026-11-23T01:16:06Z\",\"metadata\":null,"
	    "\"peer_map\":{\"" SELF "\":{\"peername\":\"peer4\",\"status\":\"remote\","
	    "\"timestamp\":\"2026-11-23T01:16:06Z\",\"error\":\"\"," TAIL "}}",
	    API_STATUS_REMOTE);
}

/* A meta pin stands for its shards, and is never pinned itself. */
static void
meta_pin_is_sharded(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture, -1, -1, "[]");
	fixture.pin.type = ZP_PIN_META;
	fixture_check(&fixture,
	    "{\"cid\":\"" CID "\",\"name\":\"\",\"allocations\":[],\"origins\":[],"
	    "\"created\":\"2026-11-23T01:16:06Z\",\"metadata\":null,\"peer_map\":{\"" SELF
	    "\":{\"peername\":\"peer4\",\"status\":\"sharded\","
	    "\"timestamp\":\"2026-11-23T01:16:06Z\",\"error\":\"\"," TAIL "}}",
	    API_STATUS_SHARDED);
}

/* Unknown to the cluster, and to this node alone: two forms of nothing. */
static void
absent_is_unpinned(void **state)
{
	struct fixture fixture;

	(void)state;
	fixture_init(&fixture, -1, -1, "");
	fixture.status.record = NULL;
	fixture_check(&fixture,
	    "{\"cid\":\"" CID "\",\"name\":\"\",\"allocations\":[],\"origins\":null,"
	    "\"created\":\"2026-11-23T01:16:09.866489Z\",\"metadata\":null,\"peer_map\":{\"" SELF
	    "\":{\"peername\":\"peer4\",\"status\":\"unpinned\","
	    "\"timestamp\":\"2026-11-23T01:16:09.866489Z\",\"error\":\"\"," TAIL "}}",
	    API_STATUS_UNPINNED);
	fixture_init(&fixture, -1, -1, "");
	fixture.status.record = NULL;
	fixture.status.local = true;
	fixture_check(&fixture,
	    "{\"cid\":\"" CID "\",\"name\":\"\",\"allocations\":null,\"origins\":null,"
	    "\"created\":\"0001-01-01T00:00:00Z\",\"metadata\":null,\"peer_map\":{\"" SELF
	    "\":{\"peername\":\"peer4\",\"status\":\"unpinned\","
	    "\"timestamp\":\"2026-11-23T01:16:09.866489Z\",\"error\":\"\"," TAIL "}}",
	    API_STATUS_UNPINNED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(everywhere_waits_here),
	    cmocka_unit_test(allocated_here_and_to_foreign_peers),
	    cmocka_unit_test(allocated_elsewhere_is_remote),
	    cmocka_unit_test(meta_pin_is_sharded),
	    cmocka_unit_test(absent_is_unpinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
