/*
 * test_engine_threads.c - owner, maintenance and readers at once.
 *
 * Method: the owner applies and freezes, maintenance flushes, merges, seals and collects, readers
 * take views, get, batch, scan and ask for facts and due pins. Pins change in pairs that a view
 * must show together as far as it can: the owner writes the second of a pair only after the first,
 * each with the turn it belongs to, so a reader that sees turn n of the second sees at least turn n
 * of the first. Run under ThreadSanitizer it shows that nothing is shared without order.
 */
#include "engine_model.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { PAIRS = 300, READERS = 2, TURNS = 120 };

struct shared {
	struct model *model;
	struct zp_key keys[2][PAIRS];
	_Atomic(uint64_t) turn; /* every pair has at least this one */
	_Atomic(bool) frozen;   /* the owner froze; maintenance flushes and takes it back */
	_Atomic(bool) owner_done;
	_Atomic(bool) done;
	_Atomic(uint64_t) wrong;
	_Atomic(uint64_t) looked;
};

static void
expect(struct shared *shared, bool right)
{
	if (!right)
		shared->wrong++;
}

static void
keys_make(struct shared *shared)
{
	for (uint64_t i = 0; i < PAIRS; i++) {
		for (uint64_t which = 0; which < 2; which++) {
			struct zp_key *key = &shared->keys[which][i];

			key->version = 1;
			key->codec = ZP_CODEC_RAW;
			for (uint64_t j = 0; j < 4; j++)
				zp_store_u64le(key->digest + 8 * j,
				    zp_hash64(&(uint64_t[]){i, which, j}, 24, 3));
			key->digest[0] = (uint8_t)(0x40 | (key->digest[0] & 0x3f));
		}
	}
}

/* What a pin is in a turn: in every fifth it is deleted. */
static struct zp_record
record_of(uint64_t turn)
{
	struct zp_record record = {0};

	record.facts[ZP_FACT_SIZE] = turn;
	record.facts[ZP_FACT_CREATED] = zp_zigzag((int64_t)turn);
	if (turn % 3 == 0)
		record.facts[ZP_FACT_EXPIRE_AT] = zp_zigzag((int64_t)turn) + 1;
	return record;
}

static bool
is_deleted(uint64_t turn, uint64_t pair)
{
	return turn == 0 || (turn + pair) % 5 == 0;
}

static void *
owner_run(void *context)
{
	struct shared *shared = context;
	struct zp_engine *engine = shared->model->engine;
	uint64_t batch = 0;

	for (uint64_t turn = 1; turn <= TURNS; turn++) {
		for (uint64_t pair = 0; pair < PAIRS; pair++) {
			for (int which = 0; which < 2; which++) {
				struct zp_change change = {.key = shared->keys[which][pair],
				    .has_old = !is_deleted(turn - 1, pair),
				    .has_new = !is_deleted(turn, pair),
				    .old_record = record_of(turn - 1),
				    .new_record = record_of(turn)};

				if (change.has_old || change.has_new)
					zp_engine_apply(engine, &change);
				zp_engine_applied_set(engine, 1, 1, ++batch);
			}
			if (!shared->frozen && pair % 64 == 0) {
				zp_engine_freeze(engine);
				shared->frozen = true;
			}
		}
		shared->turn = turn;
		/* So that the others take part also where one core runs all. */
		while (turn % 8 == 0 && shared->looked < turn / 8)
			nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
	}
	shared->owner_done = true;
	return NULL;
}

static void *
maintenance_run(void *context)
{
	struct shared *shared = context;
	struct zp_engine *engine = shared->model->engine;
	struct zp_verify_report report;
	struct zp_err err = {0};
	uint64_t rounds = 0;
	bool merged;

	while (!shared->owner_done || shared->frozen) {
		if (!shared->frozen) {
			nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
			continue;
		}
		expect(shared, zp_engine_flush(engine, shared->model->tables, &err) == ZP_OK);
		shared->frozen = false;
		rounds++;
		expect(shared, zp_engine_merge(engine, NULL, &merged, &err) == ZP_OK);
		if (rounds % 7 == 0)
			expect(shared, seal_all(engine, NULL, &err) == ZP_OK);
		if (rounds % 3 == 0)
			expect(shared, zp_engine_collect(engine, UINT64_MAX, &err) == ZP_OK);
		if (rounds % 10 == 0)
			expect(
			    shared, zp_engine_verify(engine, true, NULL, &report, &err) == ZP_OK);
	}
	return NULL;
}

/* The turn a pin shows: its size; 0 for one that is not there. */
static uint64_t
turn_of(struct shared *shared, struct zp_view *view, const struct zp_key *key,
    struct zp_read_scratch *scratch)
{
	struct zp_record record;
	struct zp_err err = {0};
	int rc = zp_view_get(view, key, scratch, &record, &err);

	expect(shared, rc == ZP_OK || rc == ZP_E_NOT_FOUND);
	return rc == ZP_OK ? record.facts[ZP_FACT_SIZE] : 0;
}

/* A pair's turn is one that may be shown: not an old one, and not one in which it is deleted. */
static void
turn_check(struct shared *shared, uint64_t pair, uint64_t turn, uint64_t begun)
{
	bool may_be_gone = is_deleted(begun, pair);

	/* Turns that the owner was in meanwhile; it may be several when this thread had to wait. */
	for (uint64_t later = begun + 1; later <= shared->turn + 1; later++)
		may_be_gone = may_be_gone || is_deleted(later, pair);
	expect(shared, turn == 0 ? may_be_gone : turn >= begun && !is_deleted(turn, pair));
}

/* All rows of a scan, which is as of one moment: a pair's second is not ahead of its first. */
static void
scan_check(struct shared *shared, struct zp_view *view, uint64_t begun)
{
	uint64_t turns[2][PAIRS] = {{0}};
	struct zp_err err = {0};
	struct zp_record record;
	struct zp_scan *scan;
	struct zp_key key, before;
	bool first = true;
	int rc = zp_scan_open(view, &(struct zp_scan_options){0}, &scan, &err);

	expect(shared, rc == ZP_OK);
	while ((rc = zp_scan_next(scan, &key, &record, &err)) == ZP_OK) {
		expect(shared, first || zp_key_compare(&before, &key) < 0);
		before = key;
		first = false;
		for (size_t i = 0; i < 2 * PAIRS; i++) {
			if (zp_key_compare(&shared->keys[i / PAIRS][i % PAIRS], &key) == 0)
				turns[i / PAIRS][i % PAIRS] = record.facts[ZP_FACT_SIZE];
		}
	}
	expect(shared, rc == ZP_END);
	zp_scan_close(scan);
	for (uint64_t pair = 0; pair < PAIRS; pair++) {
		turn_check(shared, pair, turns[0][pair], begun);
		turn_check(shared, pair, turns[1][pair], begun);
		if (turns[0][pair] != 0 && turns[1][pair] != 0) /* as of one moment */
			expect(shared, turns[0][pair] >= turns[1][pair] &&
					   turns[0][pair] <= turns[1][pair] + 1);
	}
}

/* All pins in one batch: what is asked first, the second of each pair, is not ahead of the other.
 */
static void
batch_check(
    struct shared *shared, struct zp_view *view, struct zp_read_scratch *scratch, uint64_t begun)
{
	ZP_AUTO_BUF(texts, 1u << 20);
	struct zp_batch_answer answers[2 * PAIRS];
	const struct zp_key *keys[2 * PAIRS];
	struct zp_err err = {0};

	for (size_t i = 0; i < 2 * PAIRS; i++)
		keys[i] = &shared->keys[i < PAIRS][i % PAIRS];
	expect(shared,
	    zp_view_get_batch(view, keys, 2 * PAIRS, scratch, &texts, answers, &err) == ZP_OK);
	for (size_t i = 0; i < 2 * PAIRS; i++) {
		bool is_there = answers[i].rc == ZP_OK;
		uint64_t turn = is_there ? answers[i].record.facts[ZP_FACT_SIZE] : 0;

		expect(shared, is_there || answers[i].rc == ZP_E_NOT_FOUND);
		turn_check(shared, i % PAIRS, turn, begun);
		if (i >= PAIRS && is_there && answers[i - PAIRS].rc == ZP_OK)
			expect(shared, turn >= answers[i - PAIRS].record.facts[ZP_FACT_SIZE]);
	}
}

static void
facts_check(struct shared *shared)
{
	struct zp_engine *engine = shared->model->engine;
	struct zp_engine_facts facts;

	zp_engine_facts_get(engine, &facts);
	expect(shared, facts.pins[0] <= 2 * PAIRS && facts.damaged_segments == 0);
	expect(shared, zp_engine_memory_bytes(engine) < (1u << 30));
	expect(shared, zp_engine_count(engine, 0, 0) <= 2 * PAIRS);
	expect(shared, zp_engine_incarnation(engine) == 1);
	expect(shared, zp_engine_lane_get(engine, 1) <= 2 * PAIRS * TURNS);
}

static void *
reader_run(void *context)
{
	struct shared *shared = context;
	struct zp_read_scratch *scratch = zp_read_scratch_new();
	uint64_t random = (uintptr_t)&random;

	while (!shared->done) {
		uint64_t begun = shared->turn;
		struct zp_view *view = zp_engine_view_get(shared->model->engine);

		for (int i = 0; i < 100; i++) {
			uint64_t pair = zp_hash64(&random, sizeof(random), 0) % PAIRS;
			uint64_t second = turn_of(shared, view, &shared->keys[1][pair], scratch);
			uint64_t one = turn_of(shared, view, &shared->keys[0][pair], scratch);

			random++;
			turn_check(shared, pair, one, begun);
			turn_check(shared, pair, second, begun);
			expect(shared, one == 0 || second == 0 || one >= second);
		}
		batch_check(shared, view, scratch, begun);
		scan_check(shared, view, begun);
		facts_check(shared);
		zp_view_release(view);
		shared->looked++;
	}
	zp_read_scratch_free(scratch);
	return NULL;
}

/* Due pins, like the thread that deletes them asks: another view each time. One thread only. */
static void *
expiry_run(void *context)
{
	struct shared *shared = context;
	struct zp_read_scratch *scratch = zp_read_scratch_new();

	while (!shared->done) {
		struct zp_view *view = zp_engine_view_get(shared->model->engine);
		struct zp_key keys[64];
		struct zp_err err = {0};
		uint64_t facts[64];
		size_t count;

		expect(shared, zp_view_expired(view, (int64_t)shared->turn, scratch, keys, facts,
				   64, &count, &err) == ZP_OK);
		zp_view_release(view);
	}
	zp_read_scratch_free(scratch);
	return NULL;
}

/* At the end: the last turn's pins and no others, and all that is due is found. */
static void
end_check(struct shared *shared)
{
	struct zp_read_scratch *scratch = zp_read_scratch_new();
	struct zp_view *view = zp_engine_view_get(shared->model->engine);
	struct zp_key *keys = zp_alloc(4 * PAIRS * sizeof(keys[0]));
	uint64_t *facts = zp_alloc(4 * PAIRS * sizeof(facts[0]));
	struct zp_err err = {0};
	size_t count, live = 0;

	for (uint64_t pair = 0; pair < PAIRS; pair++) {
		for (int which = 0; which < 2; which++) {
			uint64_t turn = turn_of(shared, view, &shared->keys[which][pair], scratch);

			assert_int_equal(turn, is_deleted(TURNS, pair) ? 0 : TURNS);
			live += turn != 0;
		}
	}
	assert_int_equal(zp_engine_count(shared->model->engine, 0, 0), live);
	assert_int_equal(
	    zp_view_expired(view, TURNS, scratch, keys, facts, 4 * PAIRS, &count, &err), ZP_OK);
	assert_true(TURNS % 3 == 0 && count >= live);
	zp_view_release(view);
	zp_free(keys);
	zp_free(facts);
	zp_read_scratch_free(scratch);
}

static void
everybody_at_once(void **state)
{
	struct shared shared = {.model = model_new(1)};
	pthread_t owner, maintenance, expiry, readers[READERS];
	struct zp_err err = {0};

	(void)state;
	assert_int_equal(model_open(shared.model, &err), ZP_OK);
	keys_make(&shared);
	for (int i = 0; i < READERS; i++)
		pthread_create(&readers[i], NULL, reader_run, &shared);
	pthread_create(&expiry, NULL, expiry_run, &shared);
	pthread_create(&maintenance, NULL, maintenance_run, &shared);
	pthread_create(&owner, NULL, owner_run, &shared);
	pthread_join(owner, NULL);
	pthread_join(maintenance, NULL);
	shared.done = true;
	pthread_join(expiry, NULL);
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(shared.wrong, 0);
	end_check(&shared);
	assert_int_equal(shared.model->warnings, 0);
	model_free(shared.model);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(everybody_at_once)};

	return cmocka_run_group_tests_name("engine threads", tests, NULL, NULL);
}
