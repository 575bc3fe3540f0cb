/*
 * test_os.c - clocks, random bytes, threads, and the traps of file calls.
 */
#include "os/os.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

/* Clocks go forward, and work costs CPU time of the thread that does it. */
static void
clocks_go_forward(void **state)
{
	uint64_t start = zp_clock_monotonic_ns();
	uint64_t cpu = zp_clock_thread_cpu_ns();

	(void)state;
	while (zp_clock_thread_cpu_ns() == cpu)
		;
	assert_true(zp_clock_monotonic_ns() > start);
	assert_true(zp_clock_realtime_us() > INT64_C(1577836800000000)); /* 2020 */
}

/* Random bytes fill all of the room and nothing behind it. */
static void
random_bytes_fill_the_room(void **state)
{
	uint8_t room[1001] = {0};
	unsigned seen[256] = {0};
	unsigned different = 0;

	(void)state;
	zp_random_bytes(room, 1000);
	for (size_t i = 0; i < 1000; i++)
		different += seen[room[i]]++ == 0;
	assert_true(different > 200); /* about 251 are expected */
	assert_int_equal(room[1000], 0);
}

static void
machine_facts_are_plausible(void **state)
{
	(void)state;
	assert_true(zp_machine_page_bytes() >= 4096);
	assert_true(zp_machine_memory_bytes() > zp_machine_page_bytes());
	assert_true(zp_machine_cpu_count() >= 1);
}

struct meeting {
	struct zp_mutex mutex;
	struct zp_cond cond;
	bool is_there;
	bool signals_are_blocked;
	char name[16];
};

static void
come_to_meeting(void *context)
{
	struct meeting *meeting = context;
	sigset_t blocked;

	zp_mutex_lock(&meeting->mutex);
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	meeting->signals_are_blocked = sigismember(&blocked, SIGTERM) == 1;
	pthread_getname_np(pthread_self(), meeting->name, sizeof(meeting->name));
	meeting->is_there = true;
	zp_cond_signal(&meeting->cond);
	zp_mutex_unlock(&meeting->mutex);
}

/* A thread runs under its name with signals blocked, and a condition carries news of it; a deadline
 * that has passed ends a wait. */
static void
threads_meet(void **state)
{
	struct meeting meeting = {.is_there = false};
	struct zp_thread *thread = NULL;

	(void)state;
	zp_mutex_init(&meeting.mutex);
	zp_cond_init(&meeting.cond);
	zp_mutex_lock(&meeting.mutex);
	assert_false(zp_cond_wait_until(&meeting.cond, &meeting.mutex, 1));
	assert_int_equal(
	    zp_thread_start("a-name-of-more-than-15", come_to_meeting, &meeting, &thread, NULL), 0);
	while (!meeting.is_there)
		zp_cond_wait(&meeting.cond, &meeting.mutex);
	zp_mutex_unlock(&meeting.mutex);
	zp_thread_join(thread);
	assert_true(meeting.signals_are_blocked);
	assert_string_equal(meeting.name, "a-name-of-more-");
	zp_cond_done(&meeting.cond);
	zp_mutex_done(&meeting.mutex);
}

/* The disk calls: a read past the end is short and no error, a new file must be new, and only
 * regular files are listed. */
static int
count_name(void *context, const char *name)
{
	unsigned *count = context;

	(void)name;
	(*count)++;
	return 0;
}

static void
disk_calls_say_errno(void **state)
{
	struct zp_disk *disk = zp_disk_system();
	char path[] = "os-test-XXXXXX";
	char inner[64];
	uint8_t bytes[8] = {0};
	unsigned count = 0;
	size_t got = 0;
	int answer = 0;
	int directory;
	int file;

	(void)state;
	assert_non_null(mkdtemp(path));
	snprintf(inner, sizeof(inner), "%s/inner", path);
	assert_int_equal(disk->ops->directory_open(disk, inner, false, &directory), ENOENT);
	assert_int_equal(disk->ops->directory_open(disk, inner, true, &directory), 0);
	disk->ops->close(disk, directory);
	assert_int_equal(disk->ops->directory_open(disk, path, true, &directory), 0);
	assert_int_equal(disk->ops->file_open(disk, directory, "f", ZP_DISK_WRITE, &file), ENOENT);
	assert_int_equal(disk->ops->file_open(disk, directory, "f", ZP_DISK_CREATE, &file), 0);
	assert_int_equal(disk->ops->file_write(disk, file, 2, "abc", 3), 0);
	assert_int_equal(disk->ops->file_sync(disk, file), 0);
	assert_int_equal(disk->ops->file_read(disk, file, 1, bytes, sizeof(bytes), &got), 0);
	assert_int_equal(got, 4);
	assert_memory_equal(bytes, "\0abc\0", 5);
	disk->ops->close(disk, file);
	assert_int_equal(disk->ops->file_open(disk, directory, "f", ZP_DISK_CREATE, &file), EEXIST);
	assert_int_equal(
	    disk->ops->directory_list(disk, directory, count_name, &count, &answer), 0);
	assert_int_equal(count, 1);
	assert_int_equal(disk->ops->unlink(disk, directory, "f"), 0);
	assert_int_equal(disk->ops->directory_sync(disk, directory), 0);
	disk->ops->close(disk, directory);
	assert_int_equal(rmdir(inner), 0);
	assert_int_equal(rmdir(path), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(clocks_go_forward),
	    cmocka_unit_test(random_bytes_fill_the_room),
	    cmocka_unit_test(machine_facts_are_plausible),
	    cmocka_unit_test(threads_meet),
	    cmocka_unit_test(disk_calls_say_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
