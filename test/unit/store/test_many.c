/*
 * test_many.c - many reads together: each is told of once and as a read of it alone would be, for
 * threads in a hurry and others, on a real directory and on the simulated disk.
 */
#include "os/os.h"
#include "sim_store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define PATH "many-test-XXXXXX"
#define FILE_BYTES 400000u
#define READS_MAX 700u
#define HANG_AFTER_NS (UINT64_C(240) * 1000000)

struct fixture {
	char path[sizeof(PATH)]; /* a real directory, or empty */
	struct sim_store *sim;   /* or a simulated disk */
	struct zp_store_watch *watch;
	struct zp_store *store;
	struct zp_store_file *files[2];
	struct zp_buf bytes[2]; /* of each */
	struct zp_store_read reads[READS_MAX];
	int rcs[READS_MAX]; /* what was told */
	unsigned told[READS_MAX];
	unsigned told_count;
	unsigned stop_after; /* 0: never */
	atomic_uint calls;   /* of the disk, since a hang was set up */
};

static int
fixture_open(void **state, bool is_real, uint64_t hang_after_ns)
{
	struct fixture *fixture = zp_alloc_zero(1, sizeof(*fixture));
	struct zp_store_directory_options options = {.create = true};

	memcpy(fixture->path, PATH, sizeof(PATH));
	if (is_real && mkdtemp(fixture->path) == NULL)
		return -1;
	if (!is_real) {
		fixture->sim = sim_store_new(1);
		options.disk = sim_store_disk(fixture->sim);
	}
	fixture->watch = zp_store_watch_new(hang_after_ns);
	options.watch = fixture->watch;
	*state = fixture;
	if (zp_store_directory_open(fixture->path, &options, &fixture->store, NULL) != 0)
		return -1;
	for (unsigned i = 0; i < 2; i++) {
		zp_buf_init(&fixture->bytes[i], FILE_BYTES);
		zp_random_bytes(zp_buf_reserve(&fixture->bytes[i], FILE_BYTES), FILE_BYTES);
		fixture->bytes[i].length = FILE_BYTES;
		if (zp_store_write_all(fixture->store, i == 0 ? "a" : "b",
			zp_buf_slice(&fixture->bytes[i]), NULL) != 0 ||
		    zp_store_file_open(
			fixture->store, i == 0 ? "a" : "b", &fixture->files[i], NULL) != 0)
			return -1;
	}
	return 0;
}

static int
setup_real(void **state)
{
	return fixture_open(state, true, HANG_AFTER_NS);
}

static int
setup_sim(void **state)
{
	return fixture_open(state, false, HANG_AFTER_NS);
}

/* Nobody gives up while the test runs. */
static int
setup_patient(void **state)
{
	return fixture_open(state, false, UINT64_C(600) * 1000000000);
}

static int
teardown(void **state)
{
	struct fixture *fixture = *state;
	int rc = 0;

	if (fixture->sim != NULL) {
		sim_store_on_call(fixture->sim, NULL, NULL);
		sim_store_go_on(fixture->sim); /* also after a failure */
	}
	zp_store_hurry(false);
	for (unsigned i = 0; i < 2; i++) {
		zp_store_file_close(fixture->files[i]);
		rc |= zp_store_remove(fixture->store, i == 0 ? "a" : "b", NULL);
		zp_buf_done(&fixture->bytes[i]);
	}
	zp_store_close(fixture->store);
	zp_store_watch_free(fixture->watch);
	if (fixture->sim == NULL)
		rc |= rmdir(fixture->path);
	sim_store_free(fixture->sim);
	zp_free(fixture);
	return rc;
}

static int
told(void *context, size_t index, int rc, const uint8_t *bytes)
{
	struct fixture *fixture = context;
	const struct zp_store_read *read = &fixture->reads[index];
	unsigned file = read->file == fixture->files[1];

	fixture->told[index]++;
	fixture->rcs[index] = rc;
	if (rc == 0)
		assert_memory_equal(bytes, fixture->bytes[file].data + read->offset, read->length);
	return ++fixture->told_count == fixture->stop_after ? -77 : 0;
}

/* The answer of all; `count` reads in both files, the last byte of the files among them. */
static int
read_many(struct fixture *fixture, size_t count)
{
	memset(fixture->told, 0, sizeof(fixture->told));
	fixture->told_count = 0;
	for (size_t i = 0; i < count; i++) {
		size_t length = i % 11 == 3 ? 69000 : i * 37 % 6000 + 1;

		fixture->reads[i] = (struct zp_store_read){
		    fixture->files[i % 2], i * 12347 % (FILE_BYTES - length + 1), length};
	}
	fixture->reads[count - 1].offset = FILE_BYTES - fixture->reads[count - 1].length;
	return zp_store_read_many(fixture->reads, count, told, fixture);
}

/* How many were told each code; each was told once. */
static unsigned
told_with(const struct fixture *fixture, size_t count, int rc)
{
	unsigned found = 0;

	for (size_t i = 0; i < count; i++) {
		assert_int_equal(fixture->told[i], 1);
		found += fixture->rcs[i] == rc;
	}
	return found;
}

static void
many_reads_are_each_told_once(void **state)
{
	static const size_t counts[] = {1, 2, 63, 64, 65, 129, READS_MAX};
	struct fixture *fixture = *state;

	assert_int_equal(zp_store_read_many(NULL, 0, told, fixture), 0);
	for (unsigned hurried = 0; hurried < 2; hurried++) {
		zp_store_hurry(hurried == 1);
		for (size_t i = 0; i < ZP_ARRAY_COUNT(counts); i++) {
			assert_int_equal(read_many(fixture, counts[i]), 0);
			assert_int_equal(told_with(fixture, counts[i], 0), counts[i]);
		}
	}
	zp_store_hurry(false);
}

/* A read past the end is damage of its own, and no other's. */
static void
a_short_one_costs_itself_only(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned hurried = 0; hurried < 2; hurried++) {
		zp_store_hurry(hurried == 1);
		assert_int_equal(read_many(fixture, 200), 0);
		memset(fixture->told, 0, sizeof(fixture->told));
		fixture->reads[100].offset = FILE_BYTES - 1;
		fixture->reads[100].length = 2;
		assert_int_equal(zp_store_read_many(fixture->reads, 200, told, fixture), 0);
		assert_int_equal(told_with(fixture, 200, 0), 199);
		assert_int_equal(fixture->rcs[100], ZP_E_CORRUPT);
	}
	zp_store_hurry(false);
}

/* Who has enough is told no more, and the store is as before. */
static void
an_answer_ends_it(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned hurried = 0; hurried < 2; hurried++) {
		zp_store_hurry(hurried == 1);
		for (fixture->stop_after = 1; fixture->stop_after < 300;
		     fixture->stop_after += 59) {
			assert_int_equal(read_many(fixture, 300), -77);
			assert_int_equal(fixture->told_count, fixture->stop_after);
		}
		fixture->stop_after = 0;
		assert_int_equal(read_many(fixture, 300), 0);
		assert_int_equal(told_with(fixture, 300, 0), 300);
	}
	zp_store_hurry(false);
}

/* ---- Faults ---------------------------------------------------------------------------------- */

/* Whichever of the reads it is that fails, the others come. */
static void
a_failed_one_costs_itself_only(void **state)
{
	static const struct {
		int errno_value;
		int rc;
	} faults[] = {{EIO, ZP_E_IO}, {EINTR, ZP_E_IO}, {EAGAIN, ZP_E_IO}, {ENOMEM, ZP_E_MEMORY},
	    {0, ZP_E_CORRUPT}};
	struct fixture *fixture = *state;

	for (unsigned hurried = 0; hurried < 2; hurried++) {
		zp_store_hurry(hurried == 1);
		for (uint64_t nth = 1; nth <= 150; nth++) {
			size_t fault = nth % ZP_ARRAY_COUNT(faults);

			if (faults[fault].errno_value == 0)
				sim_store_short_read(fixture->sim, nth);
			else
				sim_store_fail(
				    fixture->sim, SIM_CALL_READ, nth, faults[fault].errno_value);
			assert_int_equal(read_many(fixture, 150), 0);
			assert_int_equal(told_with(fixture, 150, faults[fault].rc), 1);
			assert_int_equal(told_with(fixture, 150, 0), 149);
		}
	}
	zp_store_hurry(false);
}

/* As many are under way as may be, whoever asks. */
static void
reads_are_under_way_together(void **state)
{
	struct fixture *fixture = *state;

	for (unsigned hurried = 0; hurried < 2; hurried++) {
		zp_store_hurry(hurried == 1);
		assert_int_equal(read_many(fixture, 30), 0);
		assert_int_equal(sim_store_reads_together(fixture->sim), 30);
		assert_int_equal(read_many(fixture, 200), 0);
		assert_int_equal(sim_store_reads_together(fixture->sim), ZP_DISK_READS_MAX);
	}
	zp_store_hurry(false);
}

/* ---- A disk that does not answer ------------------------------------------------------------- */

#define READS_BEFORE_HANG 40u

static void
on_call_hang_at(void *context, enum sim_call call)
{
	struct fixture *fixture = context;

	if (call == SIM_CALL_READ && atomic_fetch_add(&fixture->calls, 1) == READS_BEFORE_HANG)
		sim_store_hang(fixture->sim, fixture->path, SIM_CALL_READ);
}

static struct zp_store_file *
file_open_again(struct fixture *fixture, const char *name)
{
	struct zp_store_file *file = NULL;

	assert_int_equal(zp_store_file_open(fixture->store, name, &file, NULL), 0);
	return file;
}

/* Who is in a hurry gives up what does not come, has all that came, asks no more, and may close the
 * files; what was given up is written to nobody's memory when it comes. */
static void
many_that_hang_are_given_up(void **state)
{
	struct fixture *fixture = *state;
	unsigned came;

	zp_store_hurry(true);
	for (unsigned round = 0; round < 2; round++) {
		atomic_store(&fixture->calls, 0);
		sim_store_on_call(fixture->sim, on_call_hang_at, fixture);
		if (round == 1)
			sim_store_hang(fixture->sim, fixture->path, SIM_CALL_READ);
		assert_int_equal(read_many(fixture, 300), 0);
		sim_store_on_call(fixture->sim, NULL, NULL);
		came = told_with(fixture, 300, 0);
		assert_int_equal(came + told_with(fixture, 300, ZP_E_TIMEOUT), 300);
		assert_int_equal(came, round == 0 ? READS_BEFORE_HANG : 0);
		assert_int_equal(sim_store_hanging(fixture->sim), 1);
		assert_int_equal(read_many(fixture, 300), 0); /* refused at once */
		assert_int_equal(told_with(fixture, 300, ZP_E_TIMEOUT), 300);
		assert_int_equal(sim_store_hanging(fixture->sim), 1);
		zp_store_file_close(fixture->files[1]);
		sim_store_go_on(fixture->sim);
		fixture->files[1] = file_open_again(fixture, "b");
		do /* until what hung is back */
			assert_int_equal(read_many(fixture, 300), 0);
		while (told_with(fixture, 300, 0) != 300);
	}
	zp_store_hurry(false);
}

#define CLIENTS 80u /* more than there may be readers */

static void
client_run(void *context)
{
	struct fixture *fixture = context;
	uint8_t bytes[16];

	zp_store_hurry(true);
	if (zp_store_file_read(fixture->files[0], 0, bytes, sizeof(bytes), NULL) == 0)
		atomic_fetch_add(&fixture->calls, 1);
}

/* On a disk that is slow and hangs not, however many they are who are in a hurry. */
static void
more_clients_than_readers_wait(void **state)
{
	struct fixture *fixture = *state;
	struct zp_thread *threads[CLIENTS];

	sim_store_hang(fixture->sim, fixture->path, SIM_CALL_READ);
	for (unsigned i = 0; i < CLIENTS; i++)
		assert_int_equal(
		    zp_thread_start("client", client_run, fixture, &threads[i], NULL), 0);
	while (sim_store_hanging(fixture->sim) < 64)
		usleep(1000);
	usleep(20000); /* for the others to ask, so that the test can fail */
	sim_store_go_on(fixture->sim);
	for (unsigned i = 0; i < CLIENTS; i++)
		zp_thread_join(threads[i]);
	assert_int_equal(atomic_load(&fixture->calls), CLIENTS);
}

#define SLOW_US 150000u /* less than a client's patience, twice that is more */
#define SLOW_TRIES 20u

/* A sixth of it is a client's patience. */
static int
setup_slow(void **state)
{
	return fixture_open(state, false, 6 * UINT64_C(220) * 1000000);
}

static void
on_call_slow(void *context, enum sim_call call)
{
	(void)context;
	if (call == SIM_CALL_READ)
		usleep(SLOW_US);
}

/* Who has waited for a reader has not waited for the disk yet. (A machine that is busy may be late
 * for all: another try.) */
static void
who_waited_for_a_reader_waits_for_the_disk(void **state)
{
	struct fixture *fixture = *state;
	struct zp_thread *threads[CLIENTS];
	unsigned served = 0;

	sim_store_on_call(fixture->sim, on_call_slow, NULL);
	for (unsigned nth = 0; nth < SLOW_TRIES && served < CLIENTS; nth++) {
		atomic_store(&fixture->calls, 0);
		for (unsigned i = 0; i < CLIENTS; i++)
			assert_int_equal(
			    zp_thread_start("client", client_run, fixture, &threads[i], NULL), 0);
		for (unsigned i = 0; i < CLIENTS; i++)
			zp_thread_join(threads[i]);
		served = atomic_load(&fixture->calls);
		if (served < CLIENTS)
			usleep(2 * SLOW_US); /* what was given up is back */
	}
	sim_store_on_call(fixture->sim, NULL, NULL);
	assert_int_equal(served, CLIENTS);
}

#define BOTH(test)                                                              \
	{#test " on a directory", test, setup_real, teardown, NULL},            \
	{                                                                       \
#test " on the simulated disk", test, setup_sim, teardown, NULL \
	}
#define SIMULATED(test)                                \
	{                                              \
#test, test, setup_sim, teardown, NULL \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    BOTH(many_reads_are_each_told_once),
	    BOTH(a_short_one_costs_itself_only),
	    BOTH(an_answer_ends_it),
	    SIMULATED(a_failed_one_costs_itself_only),
	    SIMULATED(reads_are_under_way_together),
	    SIMULATED(many_that_hang_are_given_up),
	    cmocka_unit_test_setup_teardown(
		more_clients_than_readers_wait, setup_patient, teardown),
	    cmocka_unit_test_setup_teardown(
		who_waited_for_a_reader_waits_for_the_disk, setup_slow, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
