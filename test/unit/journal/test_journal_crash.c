/*
 * test_journal_crash.c - what was committed survives every crash, and each sync is needed for that.
 *
 * Method: a history of many lives on one simulated disk. Each life opens the journal, compares
 * every batch with the model, then appends, commits, begins new files and trims until the machine
 * dies at a change that the seed chose (also while opening), a call fails, or it closes. Then the
 * process or the power is lost, and the next life begins. The model knows what was committed (must
 * be there, unchanged), what was under way (may be there, whole and in order), and nothing else may
 * be there. A batch that a life has found counts as committed from then on.
 *
 * With one kind of sync left out, the same histories must break the model: then taking that sync
 * out of the code makes the first tests fail.
 */
#include "journal_fixture.h"

#define NUMBERS_MAX 4000
#define LIVES 30
#define SEEDS 60

struct expected {
	uint64_t seed;
	uint32_t count;
};

struct history {
	struct sim_store *sim;
	struct zp_store *store;
	struct zp_journal *journal;
	uint64_t random;
	uint64_t serial; /* of batches ever appended, the seed of their content */
	uint64_t committed;
	uint64_t tried;   /* the highest number that was under way */
	uint64_t trimmed; /* trimming was asked for up to here */
	unsigned skip_running;
	unsigned skip_opening;
	struct expected batches[NUMBERS_MAX];
};

static uint64_t
roll(struct history *history, uint64_t limit)
{
	history->random++;
	return zp_hash64(&history->random, sizeof(history->random), 0) % limit;
}

/* ---- One life ------------------------------------------------------------------------------- */

/* What is read is what the model says. */
static bool
batches_match(struct history *history, uint64_t first, uint64_t last)
{
	struct zp_journal_reader *reader = NULL;
	struct zp_journal_batch batch;
	bool matches = true;

	if (zp_journal_reader_open(history->journal, first, &reader, NULL) != 0)
		return false;
	for (uint64_t number = first; matches && number <= last; number++) {
		const struct expected *expected = &history->batches[number];

		matches = zp_journal_reader_next(reader, &batch, NULL) == 0 &&
			  batch.number == number &&
			  fixture_batch_is(&batch, expected->seed, expected->count);
	}
	matches = matches && zp_journal_reader_next(reader, &batch, NULL) == ZP_END;
	zp_journal_reader_close(reader);
	return matches;
}

static bool
model_holds(struct history *history)
{
	struct zp_journal_facts facts;

	zp_journal_facts_get(history->journal, &facts);
	if (facts.last_batch < history->committed || facts.last_batch > history->tried ||
	    facts.first_batch > history->trimmed + 1)
		return false;
	if (!batches_match(history, facts.first_batch, facts.last_batch))
		return false;
	history->committed = facts.last_batch;
	history->tried = facts.last_batch;
	return true;
}

/* One step of work; false when a call failed. */
static bool
work(struct history *history)
{
	uint64_t number = 0;
	uint32_t count = (uint32_t)roll(history, 20);

	switch (roll(history, 8)) {
	default:
		history->serial++;
		if (fixture_append(history->journal, history->serial, count, &number) != 0)
			return false;
		assert_int_equal(number, history->tried + 1);
		history->tried = number;
		history->batches[number] = (struct expected){history->serial, count};
		return true;
	case 5:
	case 6:
		if (zp_journal_commit(history->journal, NULL) != 0)
			return false;
		history->committed = history->tried;
		return true;
	case 7:
		number = history->committed - roll(history, history->committed + 1) / 2;
		history->trimmed = zp_max_u64(history->trimmed, number);
		return zp_journal_trim(history->journal, number, NULL) == 0;
	}
}

/* Opens; a failure is fine only when the disk failed. */
static bool
journal_begin(struct history *history, bool *holds_out)
{
	struct zp_journal_options options;
	int rc = sim_store_open(history->sim, FIXTURE_PATH, &history->store, NULL);

	if (rc == 0) {
		options = fixture_options(history->store);
		sim_store_skip_sync(history->sim, history->skip_opening, 0);
		rc = zp_journal_open(&options, &history->journal, NULL);
		sim_store_skip_sync(history->sim, history->skip_running, 0);
	}
	*holds_out = rc == 0 || sim_store_is_dead(history->sim);
	if (rc == 0)
		*holds_out = sim_store_is_dead(history->sim) || model_holds(history);
	return rc == 0 && *holds_out && !sim_store_is_dead(history->sim);
}

static void
journal_end(struct history *history)
{
	zp_journal_close(history->journal);
	zp_store_close(history->store);
	history->journal = NULL;
	history->store = NULL;
}

/* After a failure the journal refuses everything. */
static void
expect_broken(struct history *history)
{
	struct zp_journal_facts facts;

	if (sim_store_is_dead(history->sim))
		return;
	zp_journal_facts_get(history->journal, &facts);
	if (!facts.is_broken)
		return; /* a trim failed, which leaves the journal as it is */
	assert_int_not_equal(fixture_append(history->journal, 1, 1, NULL), 0);
	assert_int_equal(zp_journal_commit(history->journal, NULL), ZP_E_IO);
	assert_int_equal(zp_journal_trim(history->journal, 1, NULL), ZP_E_IO);
}

/* False when the model was broken. */
static bool
live(struct history *history)
{
	static const unsigned faults[] = {SIM_CALL_WRITE, SIM_CALL_SYNC_FILE, SIM_CALL_CHANGES};
	uint64_t steps = roll(history, 60);
	bool holds;

	if (roll(history, 4) > 0)
		sim_store_die_at(history->sim, 1 + roll(history, 40));
	if (!journal_begin(history, &holds)) {
		journal_end(history);
		return holds;
	}
	if (roll(history, 3) == 0)
		sim_store_fail(history->sim, faults[roll(history, 3)], 1 + roll(history, 12),
		    roll(history, 2) == 0 ? EIO : ENOSPC);
	while (steps > 0 && work(history))
		steps--;
	if (steps > 0)
		expect_broken(history);
	journal_end(history);
	return true;
}

static bool
history_holds(uint64_t seed, unsigned skip_running, unsigned skip_opening)
{
	static const enum sim_crash kinds[] = {
	    SIM_CRASH_PROCESS, SIM_CRASH_LOSE, SIM_CRASH_RANDOM, SIM_CRASH_RANDOM};
	struct history *history = zp_alloc_zero(1, sizeof(*history));
	bool holds = true;

	history->sim = sim_store_new(seed);
	history->random = seed << 32;
	history->skip_running = skip_running;
	history->skip_opening = skip_opening;
	for (unsigned i = 0; holds && i < LIVES; i++) {
		holds = live(history);
		sim_store_crash(history->sim, kinds[roll(history, ZP_ARRAY_COUNT(kinds))]);
	}
	if (holds) {
		journal_begin(history, &holds); /* at last without any fault */
		journal_end(history);
	}
	sim_store_free(history->sim);
	zp_free(history);
	return holds;
}

static unsigned
histories_lost(uint64_t seeds, unsigned skip_running, unsigned skip_opening)
{
	unsigned lost = 0;

	for (uint64_t seed = 1; seed <= seeds; seed++)
		lost += !history_holds(seed, skip_running, skip_opening);
	return lost;
}

/* ---- Tests ---------------------------------------------------------------------------------- */

static void
committed_batches_survive_every_crash(void **state)
{
	(void)state;
	assert_int_equal(histories_lost(10 * SEEDS, 0, 0), 0);
}

static void
commit_needs_its_sync(void **state)
{
	(void)state;
	assert_int_not_equal(histories_lost(SEEDS, SIM_SITE_LOG, 0), 0);
}

static void
new_file_needs_the_sync_of_its_header(void **state)
{
	(void)state;
	assert_int_not_equal(histories_lost(SEEDS, SIM_SITE_WRITER, 0), 0);
}

static void
new_file_needs_the_sync_of_its_name(void **state)
{
	(void)state;
	assert_int_not_equal(histories_lost(SEEDS, SIM_SITE_RENAME, 0), 0);
}

static void
trim_needs_a_sync_after_each_removal(void **state)
{
	(void)state;
	assert_int_not_equal(histories_lost(SEEDS, SIM_SITE_REMOVE, 0), 0);
}

static void
opening_needs_the_sync_of_the_last_write(void **state)
{
	(void)state;
	assert_int_not_equal(histories_lost(SEEDS, 0, SIM_SITE_LOG), 0);
}

static void
opening_needs_the_sync_of_the_names(void **state)
{
	(void)state;
	assert_int_not_equal(histories_lost(SEEDS, 0, SIM_SITE_RENAME), 0);
}

/* A fixed script, killed at each of its changes in turn, so that no place is left to chance. */
static void
every_single_place_to_die_is_survived(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++) {
		bool is_over = false;

		for (uint64_t n = 1; !is_over; n++) {
			struct history *history = zp_alloc_zero(1, sizeof(*history));
			bool holds = true;

			history->sim = sim_store_new(seed * 1000 + n);
			history->random = seed << 32; /* the same work for every n */
			sim_store_die_at(history->sim, n);
			if (journal_begin(history, &holds)) {
				for (unsigned i = 0; i < 60 && work(history); i++)
					;
			}
			is_over = !sim_store_is_dead(history->sim);
			journal_end(history);
			sim_store_crash(history->sim, SIM_CRASH_RANDOM);
			assert_true(holds);
			assert_true(journal_begin(history, &holds));
			journal_end(history);
			sim_store_free(history->sim);
			zp_free(history);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(committed_batches_survive_every_crash),
	    cmocka_unit_test(every_single_place_to_die_is_survived),
	    cmocka_unit_test(commit_needs_its_sync),
	    cmocka_unit_test(new_file_needs_the_sync_of_its_header),
	    cmocka_unit_test(new_file_needs_the_sync_of_its_name),
	    cmocka_unit_test(trim_needs_a_sync_after_each_removal),
	    cmocka_unit_test(opening_needs_the_sync_of_the_last_write),
	    cmocka_unit_test(opening_needs_the_sync_of_the_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
