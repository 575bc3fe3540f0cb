/*
 * test_store_crash.c - after a power cut everything that store.h calls durable is there, and each
 * sync in the store is needed for that.
 *
 * Method: a job is run on the simulated disk and killed at its n-th change, for every n, under many
 * seeds; after the crash a check looks for what had been promised. With one kind of sync left out
 * the same check must fail at least once: so taking that sync out of the code makes the first test
 * fail.
 */
#include "sim_store.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define SEEDS 20

static const char content_1[] = "first content, a little longer than the second";
static const char content_2[] = "second content";

/* How far a job got before the machine died. */
struct promise {
	unsigned steps;
};

static bool
file_is(struct zp_store *store, const char *name, const char *expected)
{
	ZP_AUTO_BUF(got, 1000);

	return zp_store_read_all(store, name, 1000, &got, NULL) == 0 &&
	       zp_slice_is(zp_buf_slice(&got), expected);
}

static bool
file_is_absent(struct zp_store *store, const char *name)
{
	ZP_AUTO_BUF(got, 1000);

	return zp_store_read_all(store, name, 1000, &got, NULL) == ZP_E_NOT_FOUND;
}

/* ---- Job: publish a file, replace it, publish another --------------------------------------- */

static void
publish_job(struct zp_store *store, struct promise *promise)
{
	if (zp_store_write_all(store, "a", zp_slice_of(content_1), NULL) != 0)
		return;
	promise->steps++;
	if (zp_store_write_all(store, "a", zp_slice_of(content_2), NULL) != 0)
		return;
	promise->steps++;
	if (zp_store_write_all(store, "b", zp_slice_of(content_1), NULL) != 0)
		return;
	promise->steps++;
}

/* A name, where it is, always has whole content. */
static bool
publish_holds(struct zp_store *store, const struct promise *promise)
{
	bool a_is_1 = file_is(store, "a", content_1);
	bool a_is_2 = file_is(store, "a", content_2);
	bool b_is_1 = file_is(store, "b", content_1);

	switch (promise->steps) {
	case 0:
		return a_is_1 || file_is_absent(store, "a");
	case 1:
		return a_is_1 || a_is_2;
	case 2:
		return a_is_2 && (b_is_1 || file_is_absent(store, "b"));
	default:
		return a_is_2 && b_is_1;
	}
}

/* ---- Job: create a log, append, cut --------------------------------------------------------- */

static void
log_job(struct zp_store *store, struct promise *promise)
{
	struct zp_store_log *log = NULL;

	if (zp_store_log_open(store, "log", true, &log, NULL) != 0)
		return;
	promise->steps++;
	if (zp_store_log_append(log, content_1, strlen(content_1), NULL) == 0 &&
	    zp_store_log_sync(log, NULL) == 0)
		promise->steps++;
	if (promise->steps == 2 && zp_store_log_truncate(log, 5, NULL) == 0)
		promise->steps++;
	zp_store_log_close(log);
}

static bool
log_holds(struct zp_store *store, const struct promise *promise)
{
	switch (promise->steps) {
	case 0:
		return true;
	case 1:
		return !file_is_absent(store, "log");
	case 2:
		return file_is(store, "log", content_1) || file_is(store, "log", "first");
	default:
		return file_is(store, "log", "first");
	}
}

/* ---- Job: remove ---------------------------------------------------------------------------- */

static void
remove_job(struct zp_store *store, struct promise *promise)
{
	if (zp_store_write_all(store, "a", zp_slice_of(content_1), NULL) != 0)
		return;
	promise->steps++;
	if (zp_store_remove(store, "a", NULL) == 0 && zp_store_sync_directory(store, NULL) == 0)
		promise->steps++;
}

static bool
remove_holds(struct zp_store *store, const struct promise *promise)
{
	return promise->steps < 2 || file_is_absent(store, "a");
}

/* ---- Running them --------------------------------------------------------------------------- */

struct job {
	void (*run)(struct zp_store *store, struct promise *promise);
	bool (*holds)(struct zp_store *store, const struct promise *promise);
};

/* One run that dies at change `n`. *is_over_out: it ended by itself. */
static bool
survives(const struct job *job, uint64_t seed, uint64_t n, unsigned skipped, bool *is_over_out)
{
	struct sim_store *sim = sim_store_new(seed);
	struct promise promise = {0};
	struct zp_store *store = NULL;
	bool holds;

	assert_int_equal(sim_store_open(sim, "d", &store, NULL), 0);
	sim_store_die_at(sim, n);
	sim_store_skip_sync(sim, skipped, 0);
	job->run(store, &promise);
	*is_over_out = !sim_store_is_dead(sim);
	zp_store_close(store);
	sim_store_crash(sim, seed % 4 == 0 ? SIM_CRASH_LOSE : SIM_CRASH_RANDOM);
	assert_int_equal(sim_store_open(sim, "d", &store, NULL), 0);
	holds = job->holds(store, &promise);
	zp_store_close(store);
	sim_store_free(sim);
	return holds;
}

/* How often the promise was broken, over all places to die and all seeds. */
static unsigned
losses(const struct job *job, unsigned skipped)
{
	unsigned lost = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		bool is_over = false;

		for (uint64_t n = 1; !is_over; n++)
			lost += !survives(job, seed, n, skipped, &is_over);
	}
	return lost;
}

static const struct job publish = {publish_job, publish_holds};
static const struct job logging = {log_job, log_holds};
static const struct job removal = {remove_job, remove_holds};

static void
published_files_survive(void **state)
{
	(void)state;
	assert_int_equal(losses(&publish, 0), 0);
}

static void
publish_needs_the_sync_of_the_file(void **state)
{
	(void)state;
	assert_int_not_equal(losses(&publish, SIM_SITE_WRITER), 0);
}

static void
publish_needs_the_sync_of_the_directory(void **state)
{
	(void)state;
	assert_int_not_equal(losses(&publish, SIM_SITE_RENAME), 0);
}

static void
logs_survive(void **state)
{
	(void)state;
	assert_int_equal(losses(&logging, 0), 0);
}

static void
log_creation_needs_its_sync(void **state)
{
	(void)state;
	assert_int_not_equal(losses(&logging, SIM_SITE_CREATE), 0);
}

static void
log_append_needs_its_sync(void **state)
{
	(void)state;
	assert_int_not_equal(losses(&logging, SIM_SITE_LOG), 0);
}

static void
log_cut_needs_its_sync(void **state)
{
	(void)state;
	assert_int_not_equal(losses(&logging, SIM_SITE_CUT), 0);
}

static void
removals_survive(void **state)
{
	(void)state;
	assert_int_equal(losses(&removal, 0), 0);
	assert_int_not_equal(losses(&removal, SIM_SITE_REMOVE), 0);
}

/* ---- Failures that are not crashes ---------------------------------------------------------- */

static unsigned names_count;

static int
count_name(void *context, const char *name, struct zp_err *err)
{
	(void)context;
	(void)name;
	(void)err;
	names_count++;
	return 0;
}

/* Any single failed call of a publish leaves either the file or nothing, and never a leftover; the
 * error names the path. Only a failed sync of the directory leaves the outcome open. */
static void
failed_publish_leaves_nothing(void **state)
{
	(void)state;
	for (uint64_t n = 1;; n++) {
		struct sim_store *sim = sim_store_new(n);
		struct zp_store *store = NULL;
		struct zp_err err = {0};
		uint64_t directory_syncs;
		int rc;

		assert_int_equal(sim_store_open(sim, "d", &store, NULL), 0);
		directory_syncs = sim_store_calls(sim, SIM_CALL_SYNC_DIRECTORY);
		/* The first change is the removal of a leftover, the second the new file. */
		sim_store_fail(sim, SIM_CALL_CHANGES, n, n % 2 == 0 ? ENOSPC : EIO);
		rc = zp_store_write_all(store, "a", zp_slice_of(content_1), &err);
		names_count = 0;
		assert_int_equal(zp_store_list(store, count_name, NULL, NULL), 0);
		if (rc == 0)
			assert_true(file_is(store, "a", content_1));
		else if (sim_store_calls(sim, SIM_CALL_SYNC_DIRECTORY) == directory_syncs)
			assert_int_equal(names_count, 0);
		if (rc != 0) {
			assert_int_equal(rc, n % 2 == 0 ? ZP_E_NO_SPACE : ZP_E_IO);
			assert_non_null(strstr(err.text, "d"));
		}
		zp_store_close(store);
		sim_store_free(sim);
		if (rc == 0)
			break;
		assert_true(n < 20);
	}
}

/* A full disk is ZP_E_NO_SPACE, the unfinished file goes, and its space can be used again. */
static void
full_disk_leaves_no_rubbish(void **state)
{
	struct sim_store *sim = sim_store_new(1);
	struct zp_store *store = NULL;
	struct zp_store_space space;
	struct zp_err err = {0};

	(void)state;
	assert_int_equal(sim_store_open(sim, "d", &store, NULL), 0);
	sim_store_space_set(sim, 20);
	assert_int_equal(
	    zp_store_write_all(store, "a", zp_slice_of(content_1), &err), ZP_E_NO_SPACE);
	assert_true(file_is_absent(store, "a"));
	assert_int_equal(sim_store_file_bytes(sim, "d", "a.tmp"), SIZE_MAX);
	assert_int_equal(zp_store_sync_directory(store, NULL), 0);
	assert_int_equal(zp_store_space_get(store, &space, NULL), 0);
	assert_int_equal(space.bytes_free, 20);
	assert_int_equal(zp_store_write_all(store, "a", zp_slice_of(content_2), &err), 0);
	zp_store_close(store);
	sim_store_free(sim);
}

/* After a failed sync of a log nothing more is taken, not even when the disk is well again. */
static void
failed_log_sync_is_final(void **state)
{
	struct sim_store *sim = sim_store_new(1);
	struct zp_store *store = NULL;
	struct zp_store_log *log = NULL;

	(void)state;
	assert_int_equal(sim_store_open(sim, "d", &store, NULL), 0);
	assert_int_equal(zp_store_log_open(store, "log", true, &log, NULL), 0);
	assert_int_equal(zp_store_log_append(log, content_1, 10, NULL), 0);
	sim_store_fail(sim, SIM_CALL_SYNC_FILE, 1, EIO);
	assert_int_equal(zp_store_log_sync(log, NULL), ZP_E_IO);
	assert_int_equal(zp_store_log_sync(log, NULL), ZP_E_IO);
	assert_int_equal(zp_store_log_append(log, content_1, 10, NULL), ZP_E_IO);
	assert_int_equal(zp_store_log_truncate(log, 0, NULL), ZP_E_IO);
	zp_store_log_close(log);
	zp_store_close(store);
	sim_store_free(sim);
}

/* After a failed write of a log its end is unknown until it is cut. */
static void
failed_log_append_needs_a_cut(void **state)
{
	struct sim_store *sim = sim_store_new(1);
	struct zp_store *store = NULL;
	struct zp_store_log *log = NULL;

	(void)state;
	assert_int_equal(sim_store_open(sim, "d", &store, NULL), 0);
	assert_int_equal(zp_store_log_open(store, "log", true, &log, NULL), 0);
	assert_int_equal(zp_store_log_append(log, "kept ", 5, NULL), 0);
	sim_store_fail(sim, SIM_CALL_WRITE, 1, ENOSPC);
	assert_int_equal(zp_store_log_append(log, content_1, 40, NULL), ZP_E_NO_SPACE);
	assert_int_equal(zp_store_log_append(log, content_1, 40, NULL), ZP_E_IO);
	assert_int_equal(zp_store_log_sync(log, NULL), ZP_E_IO);
	assert_int_equal(zp_store_log_truncate(log, 5, NULL), 0);
	assert_int_equal(zp_store_log_append(log, content_2, 6, NULL), 0);
	assert_int_equal(zp_store_log_sync(log, NULL), 0);
	zp_store_log_close(log);
	assert_true(file_is(store, "log", "kept second"));
	zp_store_close(store);
	sim_store_free(sim);
}

/* After a failed sync of the directory no later name is promised. */
static void
failed_directory_sync_is_final(void **state)
{
	struct sim_store *sim = sim_store_new(1);
	struct zp_store *store = NULL;
	struct zp_store_log *log = NULL;

	(void)state;
	assert_int_equal(sim_store_open(sim, "d", &store, NULL), 0);
	sim_store_fail(sim, SIM_CALL_SYNC_DIRECTORY, 1, EIO);
	assert_int_equal(zp_store_write_all(store, "a", zp_slice_of(content_1), NULL), ZP_E_IO);
	assert_int_equal(zp_store_write_all(store, "b", zp_slice_of(content_1), NULL), ZP_E_IO);
	assert_true(file_is_absent(store, "b"));
	assert_int_equal(zp_store_log_open(store, "log", true, &log, NULL), ZP_E_IO);
	assert_int_equal(zp_store_sync_directory(store, NULL), ZP_E_IO);
	zp_store_close(store);
	sim_store_free(sim);
}

/* A read error is an error of input and output, never an end of file or damage. */
static void
read_errors_are_errors(void **state)
{
	struct sim_store *sim = sim_store_new(1);
	struct zp_store *store = NULL;
	ZP_AUTO_BUF(got, 1000);

	(void)state;
	assert_int_equal(sim_store_open(sim, "d", &store, NULL), 0);
	assert_int_equal(zp_store_write_all(store, "a", zp_slice_of(content_1), NULL), 0);
	sim_store_read_error(sim, "d", "a", 10, 1);
	assert_int_equal(zp_store_read_all(store, "a", 1000, &got, NULL), ZP_E_IO);
	sim_store_read_error(sim, "d", "a", 0, 0);
	assert_int_equal(zp_store_read_all(store, "a", 1000, &got, NULL), 0);
	zp_store_close(store);
	sim_store_free(sim);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(published_files_survive),
	    cmocka_unit_test(publish_needs_the_sync_of_the_file),
	    cmocka_unit_test(publish_needs_the_sync_of_the_directory),
	    cmocka_unit_test(logs_survive),
	    cmocka_unit_test(log_creation_needs_its_sync),
	    cmocka_unit_test(log_append_needs_its_sync),
	    cmocka_unit_test(log_cut_needs_its_sync),
	    cmocka_unit_test(removals_survive),
	    cmocka_unit_test(failed_publish_leaves_nothing),
	    cmocka_unit_test(full_disk_leaves_no_rubbish),
	    cmocka_unit_test(failed_log_sync_is_final),
	    cmocka_unit_test(failed_log_append_needs_a_cut),
	    cmocka_unit_test(failed_directory_sync_is_final),
	    cmocka_unit_test(read_errors_are_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
