/*
 * test_hang.c - a disk that does not answer: who waits is told, the others go on, and all is well
 * when it answers again.
 *
 * Method: calls on a disk in memory that do not return until the test lets them. How long a hang is
 * does not matter: the tests wait for what must come, and a slow machine only makes it come later.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "node_fixture.h"
#include "sim_store.h"

#include <unistd.h>

#define HANG_AFTER_NS (UINT64_C(240) * 1000000)
#define PINS 40u

struct hang_fixture {
	struct node_fixture fixture; /* first */
	struct sim_store *sim;
	struct command__seam seam;
	atomic_bool stop_was_told;
	char stop_text[ZP_ERR_TEXT_BYTES + 100];
};

/* A write whose sender wants to be told. */
struct sent {
	struct zp_write write;
	struct zp_write_batch batch;
	struct zp_buf texts;
	struct zp_err late_err;
	atomic_bool is_late;
	atomic_bool is_done;
};

static void
pause_briefly(void)
{
	usleep(1000);
}

static void
sent_done(struct zp_write_batch *batch)
{
	struct sent *sent = batch->context;

	atomic_store(&sent->is_done, true);
}

static void
sent_late(struct zp_write_batch *batch, const struct zp_err *err)
{
	struct sent *sent = batch->context;

	sent->late_err = *err;
	atomic_store(&sent->is_late, true);
}

static int
send(
    struct hang_fixture *hang, struct sent *sent, uint64_t n, size_t name_bytes, struct zp_err *err)
{
	char *name = zp_alloc_zero(1, name_bytes + 1);

	memset(name, 'n', name_bytes);
	memset(sent, 0, sizeof(*sent));
	zp_buf_init(&sent->texts, ZP_RECORD_BYTES_MAX);
	sent->write.kind = ZP_WRITE_PIN;
	sent->write.key = fixture_key(n);
	sent->write.record = fixture_record(name, &sent->texts);
	sent->batch = (struct zp_write_batch){.writes = &sent->write,
	    .count = 1,
	    .done = sent_done,
	    .late = sent_late,
	    .context = sent};
	zp_free(name);
	return zp_command_write(hang->fixture.node, &sent->batch, err);
}

static void
sent_drop(struct sent *sent)
{
	zp_buf_done(&sent->texts);
	zp_buf_done(&sent->write.result_texts);
}

static void
done_wait(struct sent *sent)
{
	while (!atomic_load(&sent->is_done))
		pause_briefly();
}

/* The node tells it from its own thread; the disk answers again, so that the test ends. */
static void
stop_take(void *context, const char *text)
{
	struct hang_fixture *hang = context;

	if (atomic_load(&hang->stop_was_told))
		return;
	snprintf(hang->stop_text, sizeof(hang->stop_text), "%s", text);
	atomic_store(&hang->stop_was_told, true);
	sim_store_go_on(hang->sim);
}

static void
hang_make(struct hang_fixture *hang)
{
	struct zp_err err = {0};

	memset(hang, 0, sizeof(*hang));
	hang->sim = sim_store_new(3);
	hang->seam.disk = sim_store_disk(hang->sim);
	hang->fixture.options = (struct zp_node_options){.root = "node",
	    .shards = 2,
	    .peer_id_bytes = 4,
	    .memtable_bytes_max = 1 << 20,
	    .hang_after_ns = HANG_AFTER_NS,
	    .stop_hangs = stop_take,
	    .log_context = hang};
	hang->fixture.scratch = zp_read_scratch_new();
	zp_buf_init(&hang->fixture.texts, ZP_RECORD_BYTES_MAX);
	assert_int_equal(command__node_create(&hang->fixture.options, &hang->seam, &err), 0);
	assert_int_equal(
	    command__node_open(&hang->fixture.options, &hang->seam, &hang->fixture.node, &err), 0);
}

static void
hang_drop(struct hang_fixture *hang)
{
	zp_node_close(hang->fixture.node);
	sim_store_free(hang->sim);
	zp_read_scratch_free(hang->fixture.scratch);
	zp_buf_done(&hang->fixture.texts);
}

static struct zp_node_facts
facts_of(struct hang_fixture *hang)
{
	struct zp_node_facts facts;

	zp_node_facts_get(hang->fixture.node, &facts);
	return facts;
}

static int
get(struct hang_fixture *hang, uint64_t n, struct zp_err *err)
{
	struct node_fixture *fixture = &hang->fixture;
	struct zp_key key = fixture_key(n);
	struct zp_record record;

	return zp_command_get(fixture->node, &key, fixture->scratch, &fixture->texts, &record, err);
}

/* While anything hangs the others are given milliseconds here, which a slow machine may need for a
 * turn of a thread: then it is asked again. */
static int
get_again(struct hang_fixture *hang, uint64_t n, struct zp_err *err)
{
	int rc;

	while ((rc = get(hang, n, err)) == ZP_E_TIMEOUT)
		pause_briefly();
	return rc;
}

static int
unpin_again(struct hang_fixture *hang, uint64_t n, struct zp_err *err)
{
	int rc;

	while ((rc = fixture_unpin(&hang->fixture, n, err)) == ZP_E_TIMEOUT)
		pause_briefly();
	return rc;
}

static uint32_t
shard_of(struct hang_fixture *hang, uint64_t n)
{
	struct zp_key key = fixture_key(n);

	return zp_shard_map_find(zp_shards_map(hang->fixture.node->shards), &key);
}

/* ---- The journal ----------------------------------------------------------------------------- */

/* Who is in the journal's hands hears "outcome not known", who waits behind "nothing was written",
 * who comes then the same at once; reads go on; and the write counts when the sync returns after
 * all. */
static void
a_hung_journal_is_told_and_recovers(void **state)
{
	struct sent first, second, third;
	struct hang_fixture hang;
	struct zp_node_facts facts;
	struct zp_err err = {0};
	int rc;

	(void)state;
	hang_make(&hang);
	assert_int_equal(fixture_pin(&hang.fixture, 1, "one", &err), 0);
	sim_store_hang(hang.sim, "node/journal", SIM_CALL_SYNC_FILE);
	assert_int_equal(send(&hang, &first, 2, 3, &err), 0);
	while (sim_store_hanging(hang.sim) == 0)
		pause_briefly();
	rc = send(&hang, &second, 3, 3, &err); /* refused already, if this machine is slow */
	while (!atomic_load(&first.is_late))
		pause_briefly();
	assert_int_equal(first.late_err.code, ZP_E_TIMEOUT);
	assert_non_null(strstr(first.late_err.text, "outcome not known"));
	assert_non_null(strstr(first.late_err.text, "sync node/journal/"));
	assert_false(atomic_load(&first.is_done));
	if (rc == 0) {
		done_wait(&second);
		assert_int_equal(second.write.rc, ZP_E_TIMEOUT);
		assert_non_null(strstr(second.write.err.text, "nothing was written"));
		assert_false(atomic_load(&second.is_late));
	}
	assert_int_equal(send(&hang, &third, 4, 3, &err), ZP_E_TIMEOUT);
	assert_non_null(strstr(err.text, "nothing was written"));

	assert_int_equal(get(&hang, 1, &err), 0);
	assert_int_equal(get(&hang, 2, &err), ZP_E_NOT_FOUND);
	facts = facts_of(&hang);
	assert_true(facts.writes_hang);
	assert_int_equal(facts.hanging_calls, 1);
	assert_non_null(strstr(facts.hang_text, "sync node/journal/"));

	sim_store_go_on(hang.sim);
	done_wait(&first);
	assert_int_equal(first.write.rc, 0);
	while (facts_of(&hang).hanging_calls > 0 || facts_of(&hang).writes_hang)
		pause_briefly();
	assert_true(facts_of(&hang).hangs > 0);
	assert_int_equal(get(&hang, 2, &err), 0);
	assert_int_equal(get(&hang, 3, &err), ZP_E_NOT_FOUND);
	assert_int_equal(fixture_pin(&hang.fixture, 5, "five", &err), 0);
	sent_drop(&first);
	sent_drop(&second);
	sent_drop(&third);
	hang_drop(&hang);
}

static void
waiting_run(void *context)
{
	struct hang_fixture *hang = context;
	struct zp_err err = {0};

	assert_int_equal(fixture_pin(&hang->fixture, 2, "two", &err), 0);
}

/* Who did not ask to be told (an import) waits, and is answered as if nothing had been. */
static void
who_rather_waits_is_left_to_wait(void **state)
{
	struct hang_fixture hang;
	struct zp_thread *thread;
	struct sent sent;
	struct zp_err err = {0};

	(void)state;
	hang_make(&hang);
	sim_store_hang(hang.sim, "node/journal", SIM_CALL_SYNC_FILE);
	assert_int_equal(send(&hang, &sent, 1, 3, &err), 0);
	while (!atomic_load(&sent.is_late))
		pause_briefly();
	assert_int_equal(zp_thread_start("waits", waiting_run, &hang, &thread, &err), 0);
	while (facts_of(&hang).writes_waiting == 0)
		pause_briefly();
	sim_store_go_on(hang.sim);
	zp_thread_join(thread);
	done_wait(&sent);
	assert_int_equal(get(&hang, 1, &err), 0);
	assert_int_equal(get(&hang, 2, &err), 0);
	sent_drop(&sent);
	hang_drop(&hang);
}

/* ---- A shard --------------------------------------------------------------------------------- */

static void
pins_into_files(struct hang_fixture *hang)
{
	struct zp_err err = {0};

	for (uint64_t n = 0; n < PINS; n++)
		assert_int_equal(fixture_pin(&hang->fixture, n, "pin", &err), 0);
	assert_int_equal(zp_command_checkpoint(hang->fixture.node, &err), 0);
}

static uint64_t
first_of_shard(struct hang_fixture *hang, uint32_t shard)
{
	uint64_t n = 0;

	while (shard_of(hang, n) != shard)
		n++;
	return n;
}

/* One read waits and is given up, the next ones are refused before they call, and nothing of it
 * counts as damage; the other shard is read and written. */
static void
a_hung_shard_is_suspended_and_the_others_serve(void **state)
{
	struct hang_fixture hang;
	uint64_t bad, good, reads;
	struct zp_err err = {0};
	struct sent sent;
	char path[64], id[40];

	(void)state;
	hang_make(&hang);
	pins_into_files(&hang);
	bad = first_of_shard(&hang, 0);
	good = first_of_shard(&hang, 1);
	snprintf(id, sizeof(id), "shard %016llx",
	    (unsigned long long)zp_shards_map(hang.fixture.node->shards)->ranges[0].id);
	snprintf(path, sizeof(path), "node/shards/%s", id + strlen("shard "));
	sim_store_hang(hang.sim, path, SIM_CALL_READ);

	assert_int_equal(get(&hang, bad, &err), ZP_E_TIMEOUT);
	assert_non_null(strstr(err.text, id));
	assert_int_equal(sim_store_hanging(hang.sim), 1);
	reads = sim_store_calls(hang.sim, SIM_CALL_READ);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(get(&hang, bad, &err), ZP_E_TIMEOUT);
	assert_int_equal(sim_store_hanging(hang.sim), 1);
	assert_int_equal(sim_store_calls(hang.sim, SIM_CALL_READ), reads);

	assert_int_equal(get_again(&hang, good, &err), 0);
	assert_int_equal(unpin_again(&hang, good, &err), 0);
	assert_int_equal(fixture_unpin(&hang.fixture, bad, &err), ZP_E_TIMEOUT);
	assert_non_null(strstr(err.text, "does not answer"));
	while (facts_of(&hang).hanging_calls == 0)
		pause_briefly();
	assert_false(facts_of(&hang).writes_hang);
	assert_int_equal(facts_of(&hang).damages, 0);
	assert_int_equal(send(&hang, &sent, PINS + good, 3, &err), 0);
	done_wait(&sent);
	sent_drop(&sent);

	sim_store_go_on(hang.sim);
	assert_int_equal(get_again(&hang, bad, &err), 0);
	assert_int_equal(unpin_again(&hang, bad, &err), 0);
	assert_int_equal(facts_of(&hang).damages, 0);
	hang_drop(&hang);
}

/* A list says that it lacks pins, and has all of the other shard. */
static void
a_list_goes_on_behind_a_hung_shard(void **state)
{
	struct hang_fixture hang;
	struct zp_list *list;
	struct zp_record record;
	struct zp_key key;
	uint32_t listed = 0, there = 0;
	struct zp_err err = {0};
	char path[64];
	int rc;

	(void)state;
	hang_make(&hang);
	pins_into_files(&hang);
	for (uint64_t n = 0; n < PINS; n++)
		there += shard_of(&hang, n) == 1;
	snprintf(path, sizeof(path), "node/shards/%016llx",
	    (unsigned long long)zp_shards_map(hang.fixture.node->shards)->ranges[0].id);
	sim_store_hang(hang.sim, path, SIM_CALL_READ);
	do { /* as in get_again */
		listed = 0;
		assert_int_equal(zp_list_open(hang.fixture.node, 0, NULL, &list, &err), 0);
		while ((rc = zp_list_next(list, &key, &record, &err)) == 0)
			listed++;
		assert_true(rc < 0);
		assert_non_null(strstr(err.text, "does not answer"));
		zp_list_close(list);
	} while (listed != there);
	assert_int_equal(facts_of(&hang).damages, 0);
	sim_store_go_on(hang.sim);
	hang_drop(&hang);
}

/* A flush that hangs holds nobody up until memory is full; then writers are told, and go on when it
 * returns. */
static void
a_hung_flush_is_told_when_memory_is_full(void **state)
{
	struct hang_fixture hang;
	struct zp_err err = {0};
	struct sent sent = {0};
	uint64_t n = 1000;
	char path[64];
	int rc;

	(void)state;
	hang_make(&hang);
	snprintf(path, sizeof(path), "node/shards/%016llx",
	    (unsigned long long)zp_shards_map(hang.fixture.node->shards)->ranges[0].id);
	sim_store_hang(hang.sim, path, SIM_CALL_SYNC_FILE);
	do {
		sent_drop(&sent);
		rc = send(&hang, &sent, n++, 50000, &err);
		if (rc == 0) {
			done_wait(&sent);
			rc = sent.write.rc;
		}
	} while (rc == 0);
	assert_int_equal(rc, ZP_E_TIMEOUT);
	assert_false(atomic_load(&sent.is_late));
	assert_int_equal(sim_store_hanging(hang.sim), 1);
	assert_int_equal(get(&hang, 1000, &err), 0);
	sent_drop(&sent);
	sim_store_go_on(hang.sim);
	assert_int_equal(fixture_pin(&hang.fixture, n, "waits for memory", &err), 0);
	hang_drop(&hang);
}

/* ---- Stopping -------------------------------------------------------------------------------- */

/* Who owns the process is told what a stop would wait for, again and again. */
static void
a_stop_says_what_it_waits_for(void **state)
{
	struct hang_fixture hang;
	struct zp_err err = {0};
	struct sent sent;

	(void)state;
	hang_make(&hang);
	sim_store_hang(hang.sim, "node/journal", SIM_CALL_SYNC_FILE);
	assert_int_equal(send(&hang, &sent, 1, 3, &err), 0);
	while (sim_store_hanging(hang.sim) == 0)
		pause_briefly();
	assert_false(atomic_load(&hang.stop_was_told));
	hang_drop(&hang); /* stop_take lets it go on */
	assert_true(atomic_load(&hang.stop_was_told));
	assert_non_null(strstr(hang.stop_text, "sync node/journal/"));
	assert_true(atomic_load(&sent.is_done));
	assert_int_equal(sent.write.rc, 0);
	sent_drop(&sent);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_hung_journal_is_told_and_recovers),
	    cmocka_unit_test(who_rather_waits_is_left_to_wait),
	    cmocka_unit_test(a_hung_shard_is_suspended_and_the_others_serve),
	    cmocka_unit_test(a_list_goes_on_behind_a_hung_shard),
	    cmocka_unit_test(a_hung_flush_is_told_when_memory_is_full),
	    cmocka_unit_test(a_stop_says_what_it_waits_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
