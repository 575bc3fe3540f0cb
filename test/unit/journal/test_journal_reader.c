/*
 * test_journal_reader.c - readers beside the writer see committed batches only, all of them, in
 * order.
 *
 * Method: three readers follow a writer that commits groups of batches over many files and trims
 * behind them. Before each commit the writer publishes the highest number it may make durable; a
 * reader that sees a higher one has read what was not committed. Run under ThreadSanitizer too.
 */
#include "journal_fixture.h"

#include <stdatomic.h>

#include "os/os.h"

#define READERS 3u
#define BATCHES 3000u

struct scene {
	struct zp_journal *journal;
	atomic_uint_fast64_t begun; /* batches whose commit has begun */
	atomic_uint_fast64_t read_up_to[READERS];
	atomic_uint failures;
};

struct follower {
	struct scene *scene;
	unsigned index;
};

static void
note(struct scene *scene, bool is_failure)
{
	if (is_failure)
		atomic_fetch_add(&scene->failures, 1);
}

static void
follow(void *context)
{
	struct follower *follower = context;
	struct scene *scene = follower->scene;
	struct zp_journal_reader *reader = NULL;
	struct zp_journal_batch batch;
	uint64_t next = 1;
	int rc;

	note(scene, zp_journal_reader_open(scene->journal, 1, &reader, NULL) != 0);
	while (next <= BATCHES && atomic_load(&scene->failures) == 0) {
		rc = zp_journal_reader_next(reader, &batch, NULL);
		if (rc == ZP_END)
			continue;
		note(scene, rc != 0 || batch.number != next ||
				batch.number > atomic_load(&scene->begun) ||
				batch.origin.sequence != next);
		atomic_store(&scene->read_up_to[follower->index], next);
		next++;
	}
	zp_journal_reader_close(reader);
}

static uint64_t
slowest(struct scene *scene)
{
	uint64_t lowest = UINT64_MAX;

	for (unsigned i = 0; i < READERS; i++)
		lowest = zp_min_u64(lowest, atomic_load(&scene->read_up_to[i]));
	return lowest;
}

static void
write_all(struct scene *scene)
{
	uint64_t number = 0;
	unsigned commits = 0;

	while (number < BATCHES && atomic_load(&scene->failures) == 0) {
		unsigned group = 1 + number % 4;

		for (unsigned i = 0; i < group && number < BATCHES; i++)
			note(scene, fixture_append(scene->journal, number + 1, 2, &number) != 0);
		atomic_store(&scene->begun, number);
		note(scene, zp_journal_commit(scene->journal, NULL) != 0);
		if (++commits % 32 == 0)
			note(scene, zp_journal_trim(scene->journal, slowest(scene), NULL) != 0);
	}
}

static void
readers_follow_the_writer(void **state)
{
	struct sim_store *sim = sim_store_new(1);
	struct zp_thread *threads[READERS] = {NULL};
	struct follower followers[READERS];
	struct zp_store *store = NULL;
	struct zp_journal_options options;
	struct zp_journal_facts facts;
	struct scene scene = {.journal = NULL};

	(void)state;
	assert_int_equal(sim_store_open(sim, FIXTURE_PATH, &store, NULL), 0);
	options = fixture_options(store);
	assert_int_equal(zp_journal_open(&options, &scene.journal, NULL), 0);
	for (unsigned i = 0; i < READERS; i++) {
		followers[i] = (struct follower){&scene, i};
		assert_int_equal(
		    zp_thread_start("follow", follow, &followers[i], &threads[i], NULL), 0);
	}
	write_all(&scene);
	for (unsigned i = 0; i < READERS; i++)
		zp_thread_join(threads[i]);
	assert_int_equal(atomic_load(&scene.failures), 0);
	zp_journal_facts_get(scene.journal, &facts);
	assert_int_equal(facts.last_batch, BATCHES);
	zp_journal_close(scene.journal);
	zp_store_close(store);
	sim_store_free(sim);
}

/* What is gathered is not read, and what a failed commit wrote is not either. */
static void
uncommitted_batches_are_not_read(void **state)
{
	struct sim_store *sim = sim_store_new(1);
	struct zp_journal_reader *reader = NULL;
	struct zp_journal *journal = NULL;
	struct zp_store *store = NULL;
	struct zp_journal_options options;
	struct zp_journal_batch batch;

	(void)state;
	assert_int_equal(sim_store_open(sim, FIXTURE_PATH, &store, NULL), 0);
	options = fixture_options(store);
	assert_int_equal(zp_journal_open(&options, &journal, NULL), 0);
	assert_int_equal(zp_journal_reader_open(journal, 1, &reader, NULL), 0);
	assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), ZP_END);
	assert_int_equal(fixture_append(journal, 1, 1, NULL), 0);
	assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), ZP_END);
	assert_int_equal(zp_journal_commit(journal, NULL), 0);
	assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), 0);
	assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), ZP_END);
	assert_int_equal(fixture_append(journal, 2, 1, NULL), 0);
	sim_store_fail(sim, SIM_CALL_SYNC_FILE, 1, EIO);
	assert_int_equal(zp_journal_commit(journal, NULL), ZP_E_IO);
	assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), ZP_END);
	zp_journal_reader_close(reader);
	assert_int_equal(zp_journal_reader_open(journal, 1, &reader, NULL), 0);
	assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), 0);
	assert_int_equal(zp_journal_reader_next(reader, &batch, NULL), ZP_END);
	zp_journal_reader_close(reader);
	zp_journal_close(journal);
	zp_store_close(store);
	sim_store_free(sim);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(readers_follow_the_writer),
	    cmocka_unit_test(uncommitted_batches_are_not_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
