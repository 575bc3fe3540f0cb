/*
 * test_store.c - what store.h promises, on a real directory and on the simulated disk.
 */
#include "os/os.h"
#include "sim_store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define PATH "store-test-XXXXXX"

struct fixture {
	char path[sizeof(PATH)]; /* a real directory, or empty */
	struct sim_store *sim;   /* or a simulated disk */
	struct zp_store *store;
};

static struct slices {
	struct zp_slice a;
	struct zp_slice b;
} texts;

static int
open_directory(const char *path, bool read_only, struct zp_store **store_out)
{
	struct zp_store_directory_options options = {.read_only = read_only, .create = true};

	return zp_store_directory_open(path, &options, store_out, NULL);
}

static int
setup_real(void **state)
{
	struct fixture *fixture = zp_alloc_zero(1, sizeof(*fixture));

	memcpy(fixture->path, PATH, sizeof(PATH));
	if (mkdtemp(fixture->path) == NULL)
		return -1;
	*state = fixture;
	return open_directory(fixture->path, false, &fixture->store);
}

static int
setup_sim(void **state)
{
	struct fixture *fixture = zp_alloc_zero(1, sizeof(*fixture));

	fixture->sim = sim_store_new(1);
	*state = fixture;
	return sim_store_open(fixture->sim, "d", &fixture->store, NULL);
}

static int
remove_one(void *context, const char *name, struct zp_err *err)
{
	return zp_store_remove(context, name, err);
}

static int
teardown(void **state)
{
	struct fixture *fixture = *state;
	int rc = zp_store_list(fixture->store, remove_one, fixture->store, NULL);

	zp_store_close(fixture->store);
	if (fixture->path[0] != '\0')
		rc |= rmdir(fixture->path);
	sim_store_free(fixture->sim);
	zp_free(fixture);
	return rc;
}

struct names {
	char text[256];
	int stop_after;
};

static int
collect(void *context, const char *name, struct zp_err *err)
{
	struct names *names = context;

	(void)err;
	strcat(names->text, name);
	strcat(names->text, " ");
	return --names->stop_after == 0 ? ZP_END : 0;
}

static bool
store_has_only(struct zp_store *store, const char *expected)
{
	struct names names = {0};

	assert_int_equal(zp_store_list(store, collect, &names, NULL), 0);
	return strcmp(names.text, expected) == 0;
}

/* A published file has its name and every byte, whatever pieces it came in; before that it has
 * neither. */
static void
writer_publishes_all_pieces(void **state)
{
	static const size_t pieces[] = {1, 511, 0, 300000, 600000, 524288, 7, 1500000};
	struct zp_store *store = ((struct fixture *)*state)->store;
	struct zp_store_writer *writer = NULL;
	struct zp_store_file *file = NULL;
	ZP_AUTO_BUF(expected, 4u << 20);
	ZP_AUTO_BUF(got, 4u << 20);

	assert_int_equal(zp_store_writer_open(store, "a-1.seg", &writer, NULL), 0);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(pieces); i++) {
		uint8_t *piece = zp_buf_reserve(&expected, pieces[i]);

		zp_random_bytes(piece, pieces[i]);
		expected.length += pieces[i];
		assert_int_equal(zp_store_writer_append(writer, piece, pieces[i], NULL), 0);
	}
	assert_true(store_has_only(store, "a-1.seg.tmp "));
	assert_int_equal(zp_store_file_open(store, "b-2.seg", &file, NULL), ZP_E_NOT_FOUND);
	assert_int_equal(zp_store_writer_publish(writer, "b-2.seg", NULL), 0);
	assert_true(store_has_only(store, "b-2.seg "));
	assert_int_equal(zp_store_read_all(store, "b-2.seg", 4u << 20, &got, NULL), 0);
	assert_true(zp_slice_equal(zp_buf_slice(&expected), zp_buf_slice(&got)));
}

/* A discarded writer leaves nothing, and one that finds a leftover takes its place. */
static void
writer_leaves_no_rubbish(void **state)
{
	struct zp_store *store = ((struct fixture *)*state)->store;
	struct zp_store_writer *writer = NULL;
	ZP_AUTO_BUF(got, 100);

	assert_int_equal(zp_store_writer_open(store, "x", &writer, NULL), 0);
	assert_int_equal(zp_store_writer_append(writer, "abc", 3, NULL), 0);
	zp_store_writer_discard(writer);
	assert_true(store_has_only(store, ""));
	assert_int_equal(zp_store_writer_open(store, "x", &writer, NULL), 0);
	assert_int_equal(zp_store_writer_publish(writer, "bad/name", NULL), ZP_E_INVALID);
	assert_true(store_has_only(store, ""));
	assert_int_equal(zp_store_write_all(store, "x", texts.a, NULL), 0);
	assert_int_equal(zp_store_write_all(store, "x", texts.b, NULL), 0);
	assert_int_equal(zp_store_read_all(store, "x", 100, &got, NULL), 0);
	assert_true(zp_slice_equal(zp_buf_slice(&got), texts.b));
}

/* Names that could leave the directory, hide or be taken for rubbish are refused at every door. */
static void
bad_names_are_refused(void **state)
{
	static const char *const bad[] = {
	    "", ".", "..", ".a", "a/b", "/a", "A", "a b", "a\n", "ä", "a_b"};
	struct zp_store *store = ((struct fixture *)*state)->store;
	struct zp_store_writer *writer = NULL;
	struct zp_store_file *file = NULL;
	struct zp_store_log *log = NULL;
	struct zp_err err = {0};
	char longest[ZP_FILE_NAME_MAX + 2];

	for (size_t i = 0; i < ZP_ARRAY_COUNT(bad); i++) {
		assert_int_equal(zp_store_writer_open(store, bad[i], &writer, &err), ZP_E_INVALID);
		assert_int_equal(zp_store_file_open(store, bad[i], &file, &err), ZP_E_INVALID);
		assert_int_equal(zp_store_log_open(store, bad[i], true, &log, &err), ZP_E_INVALID);
		assert_int_equal(zp_store_remove(store, bad[i], &err), ZP_E_INVALID);
	}
	assert_int_equal(zp_store_writer_open(store, "a.tmp", &writer, &err), ZP_E_INVALID);
	memset(longest, 'a', sizeof(longest));
	longest[ZP_FILE_NAME_MAX + 1] = '\0';
	assert_int_equal(zp_store_writer_open(store, longest, &writer, &err), ZP_E_INVALID);
	longest[ZP_FILE_NAME_MAX] = '\0';
	assert_int_equal(zp_store_write_all(store, longest, texts.a, &err), 0);
}

/* Reading past the end is damage and names the file; too large a file is refused. */
static void
short_files_are_damage(void **state)
{
	struct zp_store *store = ((struct fixture *)*state)->store;
	struct zp_store_file *file = NULL;
	struct zp_err err = {0};
	ZP_AUTO_BUF(got, 100);
	uint8_t bytes[8];

	assert_int_equal(zp_store_write_all(store, "short", texts.a, NULL), 0);
	assert_int_equal(zp_store_file_open(store, "short", &file, NULL), 0);
	assert_int_equal(zp_store_file_bytes(file), texts.a.length);
	assert_int_equal(zp_store_file_read(file, texts.a.length - 3, bytes, 3, &err), 0);
	assert_int_equal(
	    zp_store_file_read(file, texts.a.length - 3, bytes, 4, &err), ZP_E_CORRUPT);
	assert_non_null(strstr(err.text, "/short"));
	zp_store_file_close(file);
	assert_int_equal(zp_store_read_all(store, "short", 2, &got, &err), ZP_E_TOO_LARGE);
}

/* A log grows at its end, is seen by a reader that was open before, and can be cut and rewritten.
 */
static void
log_appends_cuts_and_rewrites(void **state)
{
	struct zp_store *store = ((struct fixture *)*state)->store;
	struct zp_store_file *file = NULL;
	struct zp_store_log *log = NULL;
	struct zp_store_log *other = NULL;
	ZP_AUTO_BUF(got, 100);
	uint8_t bytes[4];

	assert_int_equal(zp_store_log_open(store, "log", false, &log, NULL), ZP_E_NOT_FOUND);
	assert_int_equal(zp_store_log_open(store, "log", true, &log, NULL), 0);
	assert_int_equal(zp_store_log_open(store, "log", true, &other, NULL), ZP_E_EXISTS);
	assert_int_equal(zp_store_file_open(store, "log", &file, NULL), 0);
	assert_int_equal(zp_store_log_append(log, "0123456789", 10, NULL), 0);
	assert_int_equal(zp_store_log_sync(log, NULL), 0);
	assert_int_equal(zp_store_file_read(file, 6, bytes, 4, NULL), 0);
	assert_memory_equal(bytes, "6789", 4);
	zp_store_file_close(file);
	assert_int_equal(zp_store_log_truncate(log, 5, NULL), 0);
	assert_int_equal(zp_store_log_append(log, "x", 1, NULL), 0);
	zp_store_log_close(log);
	assert_int_equal(zp_store_log_open(store, "log", false, &log, NULL), 0);
	assert_int_equal(zp_store_log_bytes(log), 6);
	assert_int_equal(zp_store_log_rewrite(log, 1, "12", 2, NULL), 0);
	assert_int_equal(zp_store_log_append(log, "y", 1, NULL), 0);
	zp_store_log_close(log);
	assert_int_equal(zp_store_read_all(store, "log", 100, &got, NULL), 0);
	assert_true(zp_slice_is(zp_buf_slice(&got), "01234xy"));
}

/* Listing stops at the first non-zero answer and returns it; a removed file is gone. */
static void
list_stops_and_remove_removes(void **state)
{
	struct zp_store *store = ((struct fixture *)*state)->store;
	struct names names = {.stop_after = 2};
	struct zp_err err = {0};

	assert_int_equal(zp_store_write_all(store, "a", texts.a, NULL), 0);
	assert_int_equal(zp_store_write_all(store, "b", texts.a, NULL), 0);
	assert_int_equal(zp_store_write_all(store, "c", texts.a, NULL), 0);
	assert_int_equal(zp_store_list(store, collect, &names, NULL), ZP_END);
	assert_int_equal(strlen(names.text), 4);
	assert_int_equal(zp_store_remove(store, "a", NULL), 0);
	assert_int_equal(zp_store_remove(store, "b", NULL), 0);
	assert_int_equal(zp_store_remove(store, "b", &err), ZP_E_NOT_FOUND);
	assert_int_equal(zp_store_sync_directory(store, NULL), 0);
	assert_true(store_has_only(store, "c "));
}

static void
space_is_told(void **state)
{
	struct zp_store *store = ((struct fixture *)*state)->store;
	struct zp_store_space space = {0};

	assert_int_equal(zp_store_space_get(store, &space, NULL), 0);
	assert_true(space.bytes_total > 0 && space.bytes_free <= space.bytes_total);
}

/* ---- Only on a real directory --------------------------------------------------------------- */

/* A read-only store reads and refuses every change; nothing is made for it. */
static void
read_only_refuses_changes(void **state)
{
	struct fixture *fixture = *state;
	struct zp_store_writer *writer = NULL;
	struct zp_store_log *log = NULL;
	struct zp_store *store = NULL;
	ZP_AUTO_BUF(got, 100);

	assert_int_equal(zp_store_write_all(fixture->store, "a", texts.a, NULL), 0);
	assert_int_equal(open_directory("not-there", true, &store), ZP_E_NOT_FOUND);
	assert_int_equal(open_directory(fixture->path, true, &store), 0);
	assert_int_equal(zp_store_writer_open(store, "b", &writer, NULL), ZP_E_READ_ONLY);
	assert_int_equal(zp_store_log_open(store, "a", false, &log, NULL), ZP_E_READ_ONLY);
	assert_int_equal(zp_store_remove(store, "a", NULL), ZP_E_READ_ONLY);
	assert_int_equal(zp_store_sync_directory(store, NULL), ZP_E_READ_ONLY);
	assert_int_equal(zp_store_read_all(store, "a", 100, &got, NULL), 0);
	zp_store_close(store);
}

/* What others left in the directory is not listed, and a link is not followed out of it. */
static void
foreign_files_are_left_alone(void **state)
{
	struct fixture *fixture = *state;
	struct zp_store_file *file = NULL;
	char path[64];

	snprintf(path, sizeof(path), "%s/Foreign_File", fixture->path);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_true(store_has_only(fixture->store, ""));
	unlink(path);
	snprintf(path, sizeof(path), "%s/link", fixture->path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(zp_store_file_open(fixture->store, "link", &file, NULL), ZP_E_IO);
	unlink(path);
}

/* A lock is held once, by a process whose number the other one is told, and goes with its holder.
 */
static void
lock_names_its_holder(void **state)
{
	struct fixture *fixture = *state;
	struct zp_store_lock *lock = NULL;
	struct zp_store_lock *other = NULL;
	struct zp_err err = {0};
	char path[64];
	char holder[64];

	snprintf(path, sizeof(path), "%s/lock", fixture->path);
	snprintf(holder, sizeof(holder), "held by process %ld", (long)getpid());
	assert_int_equal(zp_store_lock_take(path, &lock, NULL), 0);
	assert_int_equal(zp_store_lock_take(path, &other, &err), ZP_E_LOCKED);
	assert_non_null(strstr(err.text, holder));
	zp_store_lock_release(lock);
	assert_int_equal(zp_store_lock_take(path, &lock, NULL), 0);
	zp_store_lock_release(lock);
}

/* A hard-link snapshot keeps its files when the originals go; half of one is not left behind. */
static void
links_keep_what_was(void **state)
{
	static const char *const names[] = {"a", "b"};
	static const char *const missing[] = {"a", "not-there"};
	struct fixture *fixture = *state;
	struct zp_store *snapshot = NULL;
	ZP_AUTO_BUF(got, 100);
	char path[64];

	snprintf(path, sizeof(path), "%s/snapshot", fixture->path);
	assert_int_equal(zp_store_write_all(fixture->store, "a", texts.a, NULL), 0);
	assert_int_equal(zp_store_write_all(fixture->store, "b", texts.b, NULL), 0);
	assert_int_equal(
	    zp_store_directory_link(NULL, fixture->path, missing, 2, path, NULL), ZP_E_NOT_FOUND);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(zp_store_directory_link(NULL, fixture->path, names, 2, path, NULL), 0);
	assert_int_equal(
	    zp_store_directory_link(NULL, fixture->path, names, 2, path, NULL), ZP_E_EXISTS);
	assert_int_equal(zp_store_remove(fixture->store, "a", NULL), 0);
	assert_int_equal(zp_store_write_all(fixture->store, "b", texts.a, NULL), 0);
	assert_int_equal(open_directory(path, false, &snapshot), 0);
	assert_int_equal(zp_store_read_all(snapshot, "a", 100, &got, NULL), 0);
	assert_true(zp_slice_equal(zp_buf_slice(&got), texts.a));
	assert_int_equal(zp_store_read_all(snapshot, "b", 100, &got, NULL), 0);
	assert_true(zp_slice_equal(zp_buf_slice(&got), texts.b));
	assert_int_equal(zp_store_list(snapshot, remove_one, snapshot, NULL), 0);
	zp_store_close(snapshot);
	assert_int_equal(rmdir(path), 0);
}

#define BOTH(test)                                                              \
	{#test " on a directory", test, setup_real, teardown, NULL},            \
	{                                                                       \
#test " on the simulated disk", test, setup_sim, teardown, NULL \
	}
#define REAL(test)                                      \
	{                                               \
#test, test, setup_real, teardown, NULL \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    BOTH(writer_publishes_all_pieces),
	    BOTH(writer_leaves_no_rubbish),
	    BOTH(bad_names_are_refused),
	    BOTH(short_files_are_damage),
	    BOTH(log_appends_cuts_and_rewrites),
	    BOTH(list_stops_and_remove_removes),
	    BOTH(space_is_told),
	    REAL(read_only_refuses_changes),
	    REAL(foreign_files_are_left_alone),
	    REAL(lock_names_its_holder),
	    REAL(links_keep_what_was),
	};

	texts.a = zp_slice_of("first content");
	texts.b = zp_slice_of("second content");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
