/*
 * test_write.c - what writes come to: IPFS Cluster's rules and texts, several writes to one key in
 * one batch, streams, peers and allocation lists, limits.
 *
 * Method: a real node, one batch at a time, so that what is in a batch is in one group.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node_fixture.h"

/* A pin with what a rule looks at, everything else usual. */
struct wish {
	int64_t minimum, maximum, depth;
	uint64_t type;
	int64_t expire_at; /* seconds; 0 none */
	bool has_reference;
};

static struct zp_write
write_of(const struct wish *wish, struct zp_buf *texts)
{
	struct zp_write write = {.kind = ZP_WRITE_PIN, .key = fixture_key(1)};

	write.record = fixture_record("", texts);
	write.record.facts[ZP_FACT_TYPE] = wish->type;
	write.record.facts[ZP_FACT_MAX_DEPTH] = zp_zigzag(wish->depth);
	write.record.facts[ZP_FACT_REPLICATION_MIN] = zp_zigzag(wish->minimum);
	write.record.facts[ZP_FACT_REPLICATION_MAX] = zp_zigzag(wish->maximum);
	if (wish->expire_at != 0)
		write.record.facts[ZP_FACT_EXPIRE_AT] = zp_zigzag(wish->expire_at) + 1;
	if (wish->has_reference) {
		zp_buf_append_byte(texts, ZP_TEXT_REFERENCE);
		zp_buf_append_varint(texts, 1);
		zp_buf_append_byte(texts, 'r');
		write.record.texts = zp_buf_slice(texts);
	}
	return write;
}

static const struct command__rules rules = {
    .replication_min = 1, .replication_max = 2, .now_microseconds = 2000000000, .created = 2000};

/* Each refusal of IPFS Cluster, with its text; NULL: taken. */
static void
pin_add_refuses_as_ipfs_cluster_does(void **state)
{
	const struct {
		struct wish wish;
		const struct wish *old;
		const char *text;
	} cases[] = {
	    {{-1, -1, -1}, NULL, NULL},
	    {{0, 0, -1}, NULL, NULL},
	    {{3, 2, -1}, NULL, "cluster.replication_factor_min is larger than max"},
	    {{-2, 2, -1}, NULL, "cluster.replication_factor_min is wrong"},
	    {{-2, -2, -1}, NULL, "cluster.replication_factor_min is wrong"},
	    {{-1, 2, -1}, NULL,
		"cluster.replication_factor_min and max must be -1 when one of them is"},
	    {{5, 5, -1}, NULL,
		"not enough peers to allocate CID. Needed at least: 5. Wanted at most: 5. "
		"Available candidates: 1. See logs for more info."},
	    {{1, 5, -1}, NULL, NULL},
	    {{-1, -1, -1, 0, 1999}, NULL, "pin.ExpireAt set before current time"},
	    {{-1, -1, -1, 0, 2001}, NULL, NULL},
	    {{-1, -1, 0}, &(struct wish){-1, -1, -1},
		"cannot repin a CID which is already pinned in recursive mode (new pin is pinned "
		"as direct). Unpin it first."},
	    {{-1, -1, -1}, &(struct wish){-1, -1, 0}, NULL},
	    {{-1, -1, 0}, &(struct wish){-1, -1, 0}, NULL},
	    {{-1, -1, -1}, &(struct wish){-1, -1, -1, ZP_PIN_META},
		"cannot repin CID with different tracking method, clear state with pin rm to "
		"proceed. New: pin. Was: meta-pin"},
	    {{-1, -1, -1, 0, 0, true}, &(struct wish){-1, -1, -1},
		"data pins should not reference other pins"},
	    {{-1, -1, -1, 0, 0, true}, NULL, NULL}, /* asked of repins only */
	    {{-1, -1, 2, ZP_PIN_SHARD}, &(struct wish){-1, -1, 1, ZP_PIN_SHARD},
		"must pin shards go depth 1"},
	    {{-1, -1, -1, ZP_PIN_CLUSTER_DAG, 0, true},
		&(struct wish){-1, -1, 0, ZP_PIN_CLUSTER_DAG}, "must pin roots directly"},
	    {{-1, -1, 0, ZP_PIN_CLUSTER_DAG}, &(struct wish){-1, -1, 0, ZP_PIN_CLUSTER_DAG},
		"clusterDAG pins should reference a Meta pin"},
	    {{-1, -1, -1, ZP_PIN_META}, &(struct wish){-1, -1, -1, ZP_PIN_META},
		"metaPins should reference a ClusterDAG"},
	};

	for (size_t i = 0; i < ZP_ARRAY_COUNT(cases); i++) {
		ZP_AUTO_BUF(texts, 1000);
		ZP_AUTO_BUF(old_texts, 1000);
		struct zp_write write = write_of(&cases[i].wish, &texts), old = {0};
		struct command__decision decision;
		struct zp_err err = {0};
		int rc;

		if (cases[i].old != NULL)
			old = write_of(cases[i].old, &old_texts);
		rc = command__pin_add(&write, cases[i].old == NULL ? NULL : &old.record, false,
		    &rules, &decision, &err);
		if (cases[i].text == NULL) {
			assert_int_equal(rc, 0);
			continue;
		}
		assert_int_equal(rc, ZP_E_CONFLICT); /* HTTP 500, as there */
		assert_string_equal(err.text, cases[i].text);
	}
}

/* Whom a pin goes to, where this node is the only one: everywhere, to it, or where it was. */
static void
pin_add_allocates(void **state)
{
	ZP_AUTO_BUF(texts, 1000);
	ZP_AUTO_BUF(old_texts, 1000);
	struct zp_write old = write_of(&(struct wish){1, 1, -1}, &old_texts), write;
	struct command__decision decision;
	struct zp_err err = {0};

	old.record.facts[ZP_FACT_ALLOCATIONS] = 14;
	write = write_of(&(struct wish){0, 0, -1}, &texts); /* the defaults, 1 and 2 */
	assert_int_equal(command__pin_add(&write, NULL, false, &rules, &decision, &err), 0);
	assert_int_equal(decision.allocation, COMMAND__SELF);
	assert_int_equal(decision.record.facts[ZP_FACT_REPLICATION_MIN], zp_zigzag(1));
	assert_int_equal(decision.record.facts[ZP_FACT_REPLICATION_MAX], zp_zigzag(2));
	assert_int_equal(decision.record.facts[ZP_FACT_CREATED], zp_zigzag(2000));

	write = write_of(&(struct wish){-1, -1, -1}, &texts);
	assert_int_equal(command__pin_add(&write, &old.record, true, &rules, &decision, &err), 0);
	assert_int_equal(decision.allocation, COMMAND__EVERYWHERE);

	write = write_of(&(struct wish){1, 3, -1}, &texts);
	assert_int_equal(command__pin_add(&write, &old.record, true, &rules, &decision, &err), 0);
	assert_int_equal(decision.allocation, COMMAND__KEEP);
	assert_int_equal(decision.record.facts[ZP_FACT_ALLOCATIONS], 14);
	assert_int_equal(command__pin_add(&write, &old.record, false, &rules, &decision, &err), 0);
	assert_int_equal(decision.allocation, COMMAND__SELF);

	write = write_of(&(struct wish){2, 3, -1}, &texts); /* one has it, one more is needed */
	assert_int_equal(
	    command__pin_add(&write, &old.record, true, &rules, &decision, &err), ZP_E_CONFLICT);
	assert_string_equal(err.text,
	    "not enough peers to allocate CID. Needed at least: 1. Wanted at most: 2. "
	    "Available candidates: 0. See logs for more info.");
}

static void
pin_rm_refuses_as_ipfs_cluster_does(void **state)
{
	struct zp_record record = {.facts = {[ZP_FACT_TYPE] = ZP_PIN_SHARD}};
	struct zp_err err = {0};

	assert_int_equal(command__pin_rm(NULL, &err), ZP_E_NOT_FOUND);
	assert_string_equal(err.text, "pin is not part of the pinset");
	zp_err_clear(&err);
	assert_int_equal(command__pin_rm(&record, &err), ZP_E_CONFLICT);
	assert_string_equal(
	    err.text, "cannot unpin a shard directly. Unpin content root CID instead");
	zp_err_clear(&err);
	record.facts[ZP_FACT_TYPE] = ZP_PIN_CLUSTER_DAG;
	assert_int_equal(command__pin_rm(&record, &err), ZP_E_CONFLICT);
	assert_string_equal(
	    err.text, "cannot unpin a Cluster DAG directly. Unpin content root CID instead");
	record.facts[ZP_FACT_TYPE] = ZP_PIN_META;
	assert_int_equal(command__pin_rm(&record, &err), 0);
}

/* ---- Batches -------------------------------------------------------------------------------- */

static struct zp_write
pin_write(uint64_t n, const char *name, struct zp_buf *texts)
{
	struct zp_write write = {.kind = ZP_WRITE_PIN, .key = fixture_key(n)};

	write.record = fixture_record(name, texts);
	return write;
}

/* Several writes to one key in one batch see each other in order, and the counts come out right. */
static void
writes_of_a_batch_see_each_other(void **state)
{
	static const int expected[] = {ZP_E_NOT_FOUND, 0, 0, 0, ZP_E_NOT_FOUND, 0, 0};
	struct node_fixture fixture;
	struct zp_buf texts[7] = {0};
	struct zp_write writes[7];
	struct zp_write_batch batch = {.writes = writes, .count = ZP_ARRAY_COUNT(writes)};
	struct zp_err err = {0};

	fixture_make(&fixture, 4);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(writes); i++) {
		char name[8];

		zp_buf_init(&texts[i], 1000);
		snprintf(name, sizeof(name), "%zu", i);
		writes[i] = pin_write(1, name, &texts[i]);
	}
	writes[0].kind = ZP_WRITE_UNPIN;
	writes[3].kind = ZP_WRITE_UNPIN;
	writes[4].kind = ZP_WRITE_UNPIN;
	writes[6] = (struct zp_write){.kind = ZP_WRITE_PIN,
	    .key = fixture_key(2),
	    .record = writes[6].record,
	    .has_update_from = true,
	    .update_from = fixture_key(1),
	    .update_keeps_name = true,
	    .update_keeps_expiry = true};
	assert_int_equal(zp_command_write_wait(fixture.node, &batch, &err), 0);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(writes); i++)
		assert_int_equal(writes[i].rc, expected[i]);
	assert_false(writes[1].was_there);
	assert_true(writes[2].was_there);
	assert_memory_equal(writes[3].result.texts.data + 2, "2", 1); /* what was removed */
	assert_false(writes[5].was_there);
	for (int round = 0; round < 2; round++) {
		assert_string_equal(fixture_name(&fixture, 1), "5");
		assert_string_equal(fixture_name(&fixture, 2), "5"); /* copied within the batch */
		assert_int_equal(fixture_count(&fixture), 2);
		assert_int_equal(fixture_list_count(&fixture), 2);
		fixture_close(&fixture);
		fixture_open(&fixture);
	}
	for (size_t i = 0; i < ZP_ARRAY_COUNT(writes); i++) {
		zp_buf_done(&texts[i]);
		zp_buf_done(&writes[i].result_texts);
	}
	fixture_drop(&fixture);
}

/* pin-update copies options and allocations, takes a name and a future expiry, and leaves `from`.
 */
static void
pin_update_copies(void **state)
{
	struct node_fixture fixture;
	ZP_AUTO_BUF(texts, 1000);
	struct zp_write write = pin_write(1, "old name", &texts);
	struct zp_err err = {0};
	struct zp_slice value;
	enum zp_text_tag tag;
	size_t position = 0;
	bool has_update = false;

	fixture_make(&fixture, 2);
	write.record.facts[ZP_FACT_REPLICATION_MIN] = zp_zigzag(1);
	write.record.facts[ZP_FACT_REPLICATION_MAX] = zp_zigzag(1);
	assert_int_equal(fixture_write(&fixture, &write, &err), 0);
	assert_int_not_equal(write.result.facts[ZP_FACT_ALLOCATIONS], 0);

	write = pin_write(2, "new name", &texts);
	write.has_update_from = true;
	write.update_from = fixture_key(1);
	write.update_keeps_expiry = true;
	assert_int_equal(fixture_write(&fixture, &write, &err), 0);
	assert_int_equal(write.result.facts[ZP_FACT_REPLICATION_MIN], zp_zigzag(1));
	assert_int_not_equal(write.result.facts[ZP_FACT_ALLOCATIONS], 0);
	while (zp_texts_next(write.result.texts, &position, &tag, &value) == ZP_OK)
		has_update = has_update || tag == ZP_TEXT_PIN_UPDATE;
	assert_true(has_update);
	assert_int_equal(zp_texts_check(write.result.texts, write.key.kind, &err), 0);
	assert_string_equal(fixture_name(&fixture, 2), "new name");
	assert_string_equal(fixture_name(&fixture, 1), "old name");
	zp_buf_done(&write.result_texts);

	write = pin_write(3, "", &texts);
	write.has_update_from = true;
	write.update_from = fixture_key(99);
	assert_int_equal(fixture_write(&fixture, &write, &err), ZP_E_NOT_FOUND);
	assert_string_equal(err.text, "pin is not part of the pinset");
	zp_buf_done(&write.result_texts);
	fixture_drop(&fixture);
}

/* Pins of other namespaces get times that no two of them share, in microseconds. */
static void
other_namespaces_have_rising_times(void **state)
{
	struct node_fixture fixture;
	struct zp_buf texts[50];
	struct zp_write writes[50];
	struct zp_write_batch batch = {.writes = writes, .count = ZP_ARRAY_COUNT(writes)};
	struct zp_err err = {0};
	int64_t last = 0;

	fixture_make(&fixture, 4);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(writes); i++) {
		zp_buf_init(&texts[i], 1000);
		writes[i] = pin_write(i, "", &texts[i]);
		writes[i].key.namespace_id = 5;
		writes[i].key.claim = i;
	}
	assert_int_equal(zp_command_write_wait(fixture.node, &batch, &err), 0);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(writes); i++) {
		int64_t created = zp_unzigzag(writes[i].result.facts[ZP_FACT_CREATED]);

		assert_true(created > last);
		assert_true(created > INT64_C(1000000000000000)); /* not seconds */
		last = created;
		zp_buf_done(&texts[i]);
	}
	fixture_drop(&fixture);
}

/* ---- One sync ------------------------------------------------------------------------------- */

/* A batch whose pins are in 1,024 shards is one journal sync. */
static void
a_batch_is_one_sync(void **state)
{
	struct node_fixture fixture;
	struct zp_write *writes = zp_alloc_zero(4096, sizeof(*writes));
	struct zp_write_batch batch = {.writes = writes, .count = 4096};
	struct zp_node_facts before, after;
	ZP_AUTO_BUF(texts, 1000);
	struct zp_err err = {0};
	uint8_t touched[1024] = {0};
	uint32_t count = 0;

	fixture_make(&fixture, 1024);
	for (uint64_t n = 0; n < 4096; n++) {
		uint32_t shard;

		writes[n] = pin_write(n, "", &texts);
		zp_store_u32be(writes[n].key.digest, (uint32_t)n << 20);
		shard = zp_shard_map_find(zp_shards_map(fixture.node->shards), &writes[n].key);
		count += touched[shard] == 0;
		touched[shard] = 1;
	}
	assert_int_equal(count, 1024);
	/* The file's own syncs are done with its first batch. */
	assert_int_equal(fixture_pin(&fixture, 9999, "", &err), 0);
	zp_node_facts_get(fixture.node, &before);
	assert_int_equal(zp_command_write_wait(fixture.node, &batch, &err), 0);
	zp_node_facts_get(fixture.node, &after);
	assert_int_equal(after.journal.syncs - before.journal.syncs, 1);
	assert_int_equal(after.commits - before.commits, 1);
	assert_int_equal(after.writes_done - before.writes_done, 4096);
	assert_int_equal(fixture_count(&fixture), 4097);
	zp_free(writes);
	fixture_drop(&fixture);
}

/* ---- Streams -------------------------------------------------------------------------------- */

/* A stream's sequence moves with its batches, survives a stop, and is not taken twice. */
static void
a_stream_is_taken_once(void **state)
{
	struct node_fixture fixture;
	ZP_AUTO_BUF(texts, 1000);
	struct zp_write write;
	struct zp_write_batch batch = {.writes = &write, .count = 1, .origin = {.id = {1, 2, 3}}};
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	for (uint64_t sequence = 10; sequence <= 30; sequence += 10) {
		write = pin_write(sequence, "once", &texts);
		batch.origin.sequence = sequence;
		assert_int_equal(zp_command_write_wait(fixture.node, &batch, &err), 0);
		assert_int_equal(
		    zp_command_origin_sequence(fixture.node, batch.origin.id), sequence);
		if (sequence == 20)
			assert_int_equal(zp_command_checkpoint(fixture.node, &err), 0);
	}
	fixture_close(&fixture);
	fixture_open(&fixture);
	assert_int_equal(zp_command_origin_sequence(fixture.node, batch.origin.id), 30);
	write = pin_write(20, "twice", &texts);
	batch.origin.sequence = 20;
	assert_int_equal(zp_command_write_wait(fixture.node, &batch, &err), 0);
	assert_string_equal(fixture_name(&fixture, 20), "once");
	/* The one that comes again after a lost answer is the last. */
	write = pin_write(30, "twice", &texts);
	batch.origin.sequence = 30;
	assert_int_equal(zp_command_write_wait(fixture.node, &batch, &err), 0);
	assert_string_equal(fixture_name(&fixture, 30), "once");
	write = pin_write(20, "twice", &texts);
	batch.origin = (struct zp_journal_origin){.id = {9}, .sequence = 1};
	assert_int_equal(zp_command_origin_sequence(fixture.node, batch.origin.id), 0);
	assert_int_equal(zp_command_write_wait(fixture.node, &batch, &err), 0);
	assert_string_equal(fixture_name(&fixture, 20), "twice"); /* another stream */
	fixture_drop(&fixture);
}

/* ---- Peers ---------------------------------------------------------------------------------- */

static struct zp_slice
peer_of(uint8_t n, uint8_t bytes[38])
{
	memcpy(bytes, "\x00\x24\x08\x01\x12\x20", 6);
	memset(bytes + 6, n, 32);
	return (struct zp_slice){bytes, 38};
}

static void
allocations_of(struct node_fixture *fixture, uint64_t n, struct zp_buf *json)
{
	struct zp_key key = fixture_key(n);
	struct zp_record record;
	struct zp_slice text;
	struct zp_err err = {0};

	assert_int_equal(
	    zp_command_get(fixture->node, &key, fixture->scratch, &fixture->texts, &record, &err),
	    0);
	assert_int_equal(zp_tables_allocations_json(zp_node_tables(fixture->node),
			     record.facts[ZP_FACT_ALLOCATIONS], &text, &err),
	    0);
	zp_buf_clear(json);
	zp_buf_append_slice(json, text);
	zp_buf_append_byte(json, 0);
}

/* Any list comes back in its order; a moved peer reads as the new one everywhere; both survive a
 * stop and a checkpoint without other writes. */
static void
allocation_lists_and_moves_survive(void **state)
{
	struct node_fixture fixture;
	uint8_t bytes[4][38];
	struct zp_slice peers[3] = {
	    peer_of(1, bytes[0]), peer_of(2, bytes[1]), peer_of(3, bytes[2])};
	struct zp_slice fourth = peer_of(4, bytes[3]);
	ZP_AUTO_BUF(texts, 1000);
	ZP_AUTO_BUF(before, 4096);
	ZP_AUTO_BUF(after, 4096);
	ZP_AUTO_BUF(fourth_text, 256);
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	for (uint64_t n = 0; n < 10; n++) {
		struct zp_slice list[3] = {peers[n % 3], peers[(n + 1) % 3], peers[(n + 2) % 3]};
		struct zp_write write = pin_write(n, "", &texts);

		write.kind = ZP_WRITE_IMPORT;
		write.allocations = list;
		write.allocations_count = n == 9 ? 0 : 3;
		assert_int_equal(fixture_write(&fixture, &write, &err), 0);
	}
	allocations_of(&fixture, 9, &before);
	assert_string_equal(before.data, "[]");
	allocations_of(&fixture, 3, &before);
	allocations_of(&fixture, 4, &after);
	assert_string_not_equal(before.data, after.data);
	allocations_of(&fixture, 0, &after);
	assert_string_equal(before.data, after.data); /* one list, one id */

	assert_int_equal(zp_command_checkpoint(fixture.node, &err), 0);
	assert_int_equal(zp_command_peer_move(fixture.node, peers[0], fourth, &err), 0);
	assert_int_equal(
	    zp_command_peer_move(fixture.node, peers[0], peers[0], &err), ZP_E_INVALID);
	assert_int_equal(zp_command_peer_move(fixture.node, fourth, peers[0], &err), ZP_E_INVALID);
	zp_peer_id_format(fourth, &fourth_text);
	zp_buf_append_byte(&fourth_text, 0);
	for (int round = 0; round < 4; round++) {
		allocations_of(&fixture, 3, &after);
		assert_non_null(strstr((char *)after.data, (char *)fourth_text.data));
		assert_string_not_equal(before.data, after.data);
		assert_int_equal(zp_command_checkpoint(fixture.node, &err), 0);
		fixture_close(&fixture);
		fixture_open(&fixture);
		/* New lists go on behind the old ids. */
		struct zp_write write = pin_write(100 + (uint64_t)round, "", &texts);
		write.kind = ZP_WRITE_IMPORT;
		write.allocations = (struct zp_slice[]){peers[round % 3]};
		write.allocations_count = 1;
		assert_int_equal(fixture_write(&fixture, &write, &err), 0);
	}
	fixture_drop(&fixture);
}

/* ---- Limits --------------------------------------------------------------------------------- */

struct gate {
	struct zp_mutex lock;
	struct zp_cond changed;
	bool is_open;
	uint32_t done;
};

static void
gate_done(struct zp_write_batch *batch)
{
	struct gate *gate = batch->context;

	zp_mutex_lock(&gate->lock);
	while (!gate->is_open)
		zp_cond_wait(&gate->changed, &gate->lock);
	gate->done++;
	zp_cond_broadcast(&gate->changed);
	zp_mutex_unlock(&gate->lock);
}

/* A full queue refuses at once, and what it had taken is answered. */
static void
a_full_queue_refuses(void **state)
{
	enum { BATCHES = 40 };
	struct node_fixture fixture;
	struct zp_write *writes = zp_alloc_zero(BATCHES * (size_t)4096, sizeof(*writes));
	struct zp_write_batch batches[BATCHES];
	struct gate gate = {.is_open = false};
	struct zp_err err = {0};
	uint32_t taken = 0;
	int rc = 0;

	fixture_make(&fixture, 1);
	zp_mutex_init(&gate.lock);
	zp_cond_init(&gate.changed);
	for (uint32_t i = 0; i < BATCHES && rc == 0; i++) {
		for (size_t w = 0; w < 4096; w++)
			writes[i * 4096 + w] =
			    (struct zp_write){.kind = ZP_WRITE_DELETE, .key = fixture_key(w)};
		batches[i] = (struct zp_write_batch){.writes = &writes[i * 4096],
		    .count = 4096,
		    .done = gate_done,
		    .context = &gate};
		rc = zp_command_write(fixture.node, &batches[i], &err);
		taken += rc == 0;
	}
	assert_int_equal(rc, ZP_E_FULL);
	assert_true(taken >= 16 && taken < BATCHES);
	zp_mutex_lock(&gate.lock);
	gate.is_open = true;
	zp_cond_broadcast(&gate.changed);
	while (gate.done < taken)
		zp_cond_wait(&gate.changed, &gate.lock);
	zp_mutex_unlock(&gate.lock);
	assert_int_equal(fixture_pin(&fixture, 1, "", &err), 0);
	fixture_drop(&fixture);
	zp_cond_done(&gate.changed);
	zp_mutex_done(&gate.lock);
	zp_free(writes);
}

/* What would not fit is refused before it is queued. */
static void
too_large_batches_are_refused(void **state)
{
	struct node_fixture fixture;
	ZP_AUTO_BUF(texts, 100000);
	static uint8_t name[60000];
	struct zp_write *writes = zp_alloc_zero(ZP_WRITE_BATCH_MAX + 1, sizeof(*writes));
	struct zp_write_batch batch = {.writes = writes, .count = ZP_WRITE_BATCH_MAX + 1};
	struct zp_err err = {0};

	fixture_make(&fixture, 1);
	for (size_t i = 0; i <= ZP_WRITE_BATCH_MAX; i++)
		writes[i] = (struct zp_write){.kind = ZP_WRITE_DELETE, .key = fixture_key(i)};
	assert_int_equal(zp_command_write_wait(fixture.node, &batch, &err), ZP_E_TOO_LARGE);
	batch.count = ZP_WRITE_BATCH_MAX;
	assert_int_equal(zp_command_write_wait(fixture.node, &batch, &err), 0);

	memset(name, 'n', sizeof(name));
	zp_buf_append_byte(&texts, ZP_TEXT_NAME);
	zp_buf_append_varint(&texts, sizeof(name));
	zp_buf_append(&texts, name, sizeof(name));
	for (size_t i = 0; i < 20; i++) {
		writes[i].kind = ZP_WRITE_IMPORT;
		writes[i].record.texts = zp_buf_slice(&texts);
	}
	batch.count = 20; /* over 1 MiB: more than a journal batch, so not as one of a stream's */
	batch.origin = (struct zp_journal_origin){.id = {1}, .sequence = 1};
	assert_int_equal(zp_command_write_wait(fixture.node, &batch, &err), ZP_E_TOO_LARGE);
	batch.origin.id[0] = 0;
	assert_int_equal(zp_command_write_wait(fixture.node, &batch, &err), 0);
	assert_int_equal(fixture_count(&fixture), 20);
	zp_free(writes);
	fixture_drop(&fixture);
}

/* Much more is written than the memory may hold: writers wait for flushes, nothing is lost. */
static void
memory_is_bounded(void **state)
{
	struct node_fixture fixture;
	struct zp_write *writes = zp_alloc_zero(4096, sizeof(*writes));
	ZP_AUTO_BUF(texts, 1000);
	struct zp_node_facts facts;
	struct zp_err err = {0};

	fixture_make(&fixture, 2);
	fixture_close(&fixture);
	fixture.options.memtable_bytes_max = 2u << 20;
	fixture.options.offline = true;
	fixture_open(&fixture);
	for (uint64_t round = 0; round < 12; round++) {
		struct zp_write_batch batch = {.writes = writes, .count = 4096};

		for (uint64_t i = 0; i < 4096; i++)
			writes[i] = pin_write(round * 4096 + i, "a name of usual length", &texts);
		assert_int_equal(zp_command_write_wait(fixture.node, &batch, &err), 0);
		zp_node_facts_get(fixture.node, &facts);
		assert_true(
		    facts.engines.memtable_bytes < fixture.node->memory_floor * 2 + (12u << 20));
	}
	assert_true(facts.checkpoint_number > 3);
	assert_int_equal(fixture_count(&fixture), 12 * 4096);
	zp_free(writes);
	fixture_drop(&fixture);
}

/* Read-only by command: refused, and taken again afterwards. */
static void
read_only_refuses(void **state)
{
	struct node_fixture fixture;
	struct zp_err err = {0};

	fixture_make(&fixture, 1);
	zp_node_read_only_set(fixture.node, true);
	assert_int_equal(fixture_pin(&fixture, 1, "", &err), ZP_E_READ_ONLY);
	zp_node_read_only_set(fixture.node, false);
	assert_int_equal(fixture_pin(&fixture, 1, "", &err), 0);
	fixture_drop(&fixture);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pin_add_refuses_as_ipfs_cluster_does),
	    cmocka_unit_test(pin_add_allocates),
	    cmocka_unit_test(pin_rm_refuses_as_ipfs_cluster_does),
	    cmocka_unit_test(writes_of_a_batch_see_each_other),
	    cmocka_unit_test(pin_update_copies),
	    cmocka_unit_test(other_namespaces_have_rising_times),
	    cmocka_unit_test(a_batch_is_one_sync),
	    cmocka_unit_test(a_stream_is_taken_once),
	    cmocka_unit_test(allocation_lists_and_moves_survive),
	    cmocka_unit_test(a_full_queue_refuses),
	    cmocka_unit_test(too_large_batches_are_refused),
	    cmocka_unit_test(memory_is_bounded),
	    cmocka_unit_test(read_only_refuses),
	};

	return cmocka_run_group_tests_name("command: write", tests, NULL, NULL);
}
