/*
 * test_journal_mark.c - acknowledged batches that are gone from the end are missed, and a mark that
 * is damaged, old or absent never makes a good journal look bad.
 *
 * Method: five commits, each in a file of its own, then hands on the disk.
 */
#include "journal_fixture.h"

#define BATCHES 5u
#define MARK "mark"
#define SLOT_DISTANCE 4096u

struct fixture {
	struct sim_store *sim;
	struct zp_store *store;
	struct zp_journal *journal;
};

static int
open_journal(struct fixture *fixture, struct zp_err *err)
{
	struct zp_journal_options options = fixture_options(fixture->store);

	options.file_bytes = 1;
	return zp_journal_open(&options, &fixture->journal, err);
}

static void
close_journal(struct fixture *fixture)
{
	zp_journal_close(fixture->journal);
	fixture->journal = NULL;
}

static void
commit(struct fixture *fixture, uint64_t seed)
{
	assert_int_equal(fixture_append(fixture->journal, seed, 3, NULL), 0);
	assert_int_equal(zp_journal_commit(fixture->journal, NULL), 0);
}

static int
setup(void **state)
{
	struct fixture *fixture = zp_alloc_zero(1, sizeof(*fixture));

	fixture->sim = sim_store_new(11);
	assert_int_equal(sim_store_open(fixture->sim, FIXTURE_PATH, &fixture->store, NULL), 0);
	assert_int_equal(open_journal(fixture, NULL), 0);
	for (uint64_t number = 1; number <= BATCHES; number++)
		commit(fixture, number);
	*state = fixture;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *fixture = *state;

	close_journal(fixture);
	zp_store_close(fixture->store);
	sim_store_free(fixture->sim);
	zp_free(fixture);
	return 0;
}

static void
newest_file_remove(struct fixture *fixture, uint64_t number)
{
	char name[40];

	fixture_name(number, name);
	sim_store_file_remove(fixture->sim, FIXTURE_PATH, name);
}

/* Opens what should be fine and says how many batches there are. */
static struct zp_journal_facts
facts_when_opened(struct fixture *fixture)
{
	struct zp_journal_facts facts;

	assert_int_equal(open_journal(fixture, NULL), 0);
	zp_journal_facts_get(fixture->journal, &facts);
	close_journal(fixture);
	return facts;
}

static void
lost_newest_files_are_missed(void **state)
{
	struct fixture *fixture = *state;
	struct zp_err err = {0};

	close_journal(fixture);
	for (uint64_t number = BATCHES; number > 0; number--) {
		newest_file_remove(fixture, number);
		assert_int_equal(open_journal(fixture, &err), ZP_E_CORRUPT);
		assert_non_null(strstr(err.text, "batch 5 was acknowledged"));
		assert_non_null(strstr(err.text, "restore"));
	}
}

/* The process is killed: no close has synced anything, and the cache stays. */
static void
mark_of_a_killed_process_counts(void **state)
{
	struct fixture *fixture = *state;

	sim_store_crash(fixture->sim, SIM_CRASH_PROCESS);
	close_journal(fixture);
	zp_store_close(fixture->store);
	assert_int_equal(sim_store_open(fixture->sim, FIXTURE_PATH, &fixture->store, NULL), 0);
	newest_file_remove(fixture, BATCHES);
	assert_int_equal(open_journal(fixture, NULL), ZP_E_CORRUPT);
}

static int
rc_after_clean_stop_and_power_cut(struct fixture *fixture)
{
	close_journal(fixture);
	sim_store_crash(fixture->sim, SIM_CRASH_LOSE);
	zp_store_close(fixture->store);
	assert_int_equal(sim_store_open(fixture->sim, FIXTURE_PATH, &fixture->store, NULL), 0);
	newest_file_remove(fixture, BATCHES);
	return open_journal(fixture, NULL);
}

static void
clean_stop_leaves_a_durable_mark(void **state)
{
	assert_int_equal(rc_after_clean_stop_and_power_cut(*state), ZP_E_CORRUPT);
}

static void
clean_stop_needs_the_sync_of_the_mark(void **state)
{
	struct fixture *fixture = *state;

	sim_store_skip_sync(fixture->sim, SIM_SITE_LOG, 0);
	assert_int_equal(rc_after_clean_stop_and_power_cut(fixture), 0);
}

/* One slot may be torn at any time; the other one is at most a commit older. */
static void
any_flipped_bit_of_the_mark_is_survived(void **state)
{
	struct fixture *fixture = *state;

	close_journal(fixture);
	for (size_t slot = 0; slot < 2; slot++) {
		for (size_t offset = 0; offset < 64; offset++) {
			struct zp_journal_facts facts;

			sim_store_file_flip(fixture->sim, FIXTURE_PATH, MARK,
			    slot * SLOT_DISTANCE + offset, (uint8_t)(1u << offset % 8));
			facts = facts_when_opened(fixture);
			assert_int_equal(facts.last_batch, BATCHES);
			assert_false(facts.mark_was_lost);
			/* Opening may have written either slot; the next round needs both whole. */
			sim_store_file_remove(fixture->sim, FIXTURE_PATH, MARK);
			facts_when_opened(fixture);
		}
	}
}

static void
lost_mark_is_told_and_made_anew(void **state)
{
	struct fixture *fixture = *state;
	const uint8_t zeroes[3] = {0};

	close_journal(fixture);
	assert_false(facts_when_opened(fixture).mark_was_lost);
	sim_store_file_remove(fixture->sim, FIXTURE_PATH, MARK);
	assert_true(facts_when_opened(fixture).mark_was_lost);
	assert_false(facts_when_opened(fixture).mark_was_lost);
	sim_store_file_put(fixture->sim, FIXTURE_PATH, MARK, zeroes, sizeof(zeroes));
	assert_true(facts_when_opened(fixture).mark_was_lost);
	sim_store_file_flip(fixture->sim, FIXTURE_PATH, MARK, 0, 1);
	sim_store_file_flip(fixture->sim, FIXTURE_PATH, MARK, SLOT_DISTANCE, 1);
	assert_true(facts_when_opened(fixture).mark_was_lost);
	newest_file_remove(fixture, BATCHES);
	assert_int_equal(open_journal(fixture, NULL), ZP_E_CORRUPT);
}

static void
newer_mark_is_refused(void **state)
{
	struct fixture *fixture = *state;
	ZP_AUTO_BUF(mark, 1u << 20);

	close_journal(fixture);
	sim_store_file_get(fixture->sim, FIXTURE_PATH, MARK, &mark);
	zp_store_u32le(mark.data + 16, 2);
	zp_store_u64le(mark.data + 8, zp_hash64(mark.data + 16, 48, 0));
	sim_store_file_put(fixture->sim, FIXTURE_PATH, MARK, mark.data, mark.length);
	assert_int_equal(open_journal(fixture, NULL), ZP_E_VERSION);
}

/* Files of one moment beside the mark of another. */
static void
mark_of_another_history_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct zp_err err = {0};
	ZP_AUTO_BUF(mark, 1u << 20);

	sim_store_file_get(fixture->sim, FIXTURE_PATH, MARK, &mark);
	close_journal(fixture);
	newest_file_remove(fixture, BATCHES);
	sim_store_file_remove(fixture->sim, FIXTURE_PATH, MARK);
	assert_int_equal(open_journal(fixture, NULL), 0);
	commit(fixture, 99); /* another batch 5 */
	close_journal(fixture);
	sim_store_file_put(fixture->sim, FIXTURE_PATH, MARK, mark.data, mark.length);
	assert_int_equal(open_journal(fixture, &err), ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, "different moments"));
}

/* A node must start on a full disk. */
static void
full_disk_opens_without_a_mark(void **state)
{
	struct fixture *fixture = *state;
	struct zp_journal_facts facts;

	close_journal(fixture);
	sim_store_file_remove(fixture->sim, FIXTURE_PATH, MARK);
	sim_store_space_set(fixture->sim, 1);
	facts = facts_when_opened(fixture);
	assert_int_equal(facts.last_batch, BATCHES);
	assert_true(facts.mark_was_lost);
	sim_store_space_set(fixture->sim, 0);
	facts_when_opened(fixture);
	assert_false(facts_when_opened(fixture).mark_was_lost);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH(lost_newest_files_are_missed),
	    WITH(mark_of_a_killed_process_counts),
	    WITH(clean_stop_leaves_a_durable_mark),
	    WITH(clean_stop_needs_the_sync_of_the_mark),
	    WITH(any_flipped_bit_of_the_mark_is_survived),
	    WITH(lost_mark_is_told_and_made_anew),
	    WITH(newer_mark_is_refused),
	    WITH(mark_of_another_history_is_refused),
	    WITH(full_disk_opens_without_a_mark),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
