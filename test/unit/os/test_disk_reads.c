/*
 * test_disk_reads.c - many reads under way together: by io_uring, and where the kernel forbids it.
 *
 * Method: a file whose bytes tell where they stand, and more reads than may be under way, some of
 * which end behind it or name no file. Each is done once and as a plain read would be. The same in
 * children whom a filter of system calls denies io_uring, or all of it but the making of rings.
 * What the kernel seldom answers (an interrupted read, a short one) is put in its mouth, for which
 * this is compiled with the source itself.
 */
#include "../../../src/os/disk_reads.c"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <cmocka.h>

#define FILE_BYTES 300000u
#define READS 1000u

static uint8_t
byte_at(uint64_t offset)
{
	return (uint8_t)(offset * 7 + offset / 251);
}

/* Of a file without a name. */
static int
file_make(void)
{
	char path[] = "reads-test-XXXXXX";
	int file = mkstemp(path);
	uint8_t *bytes = zp_alloc(FILE_BYTES);

	assert_true(file >= 0);
	assert_int_equal(unlink(path), 0);
	for (uint64_t i = 0; i < FILE_BYTES; i++)
		bytes[i] = byte_at(i);
	assert_int_equal(write(file, bytes, FILE_BYTES), FILE_BYTES);
	zp_free(bytes);
	return file;
}

/* As a plain read of the same would have been. */
static void
read_assert_right(const struct zp_disk_read *read, int file)
{
	size_t there = read->offset < FILE_BYTES ? FILE_BYTES - read->offset : 0;

	if (read->file != file) {
		assert_int_equal(read->rc, EBADF);
		return;
	}
	assert_int_equal(read->rc, 0);
	assert_int_equal(read->got, zp_min_u64(there, read->length));
	for (size_t i = 0; i < read->got; i++)
		assert_int_equal(read->bytes[i], byte_at(read->offset + i));
}

/* The last begin while the bytes of the one before are looked at. */
static void
reads_run(bool is_ringed)
{
	static struct zp_disk_read places[READS];
	static bool is_done[READS];
	int file = file_make();
	struct zp_disk_reads *reads = zp_disk_reads_open(zp_disk_system());
	unsigned begun = 0;

#if ZP_HAVE_URING
	assert_int_equal(reads->has_ring, is_ringed);
#endif
	memset(is_done, 0, sizeof(is_done));
	for (unsigned done = 0; done < READS; done++) {
		struct zp_disk_read *read;

		for (; begun < READS && begun - done < ZP_DISK_READS_MAX; begun++) {
			places[begun] = (struct zp_disk_read){.file = begun % 50 == 7 ? -1 : file,
			    .offset = begun * 977u % (FILE_BYTES + 5000),
			    .length = begun % 9 == 0 ? 70000 : begun * 31 % 5000 + 1};
			zp_disk_reads_begin(reads, &places[begun]);
		}
		read = zp_disk_reads_wait(reads);
		assert_true(read >= places && read < places + begun);
		assert_false(is_done[read - places]);
		is_done[read - places] = true;
		read_assert_right(read, file);
	}
	zp_disk_reads_close(reads);
	close(file);
}

static void
forget_idle(void)
{
	while (idle.first != NULL) {
		struct zp_disk_reads *reads = idle.first;

		idle.first = reads->next_idle;
		idle.count--;
		reads_free(reads);
	}
}

/* What is idle is used again. */
static void
each_read_is_done_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		reads_run(ZP_HAVE_URING);
	assert_int_equal(idle.count, 1);
	forget_idle();
}

/* ---- Forbidden ------------------------------------------------------------------------------- */

static void
deny(unsigned call)
{
	struct sock_filter filter[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {ZP_ARRAY_COUNT(filter), filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(77);
}

/* In a child, which exits with 0 when all was right. */
static void
run_denied(unsigned call, void (*run)(void))
{
	pid_t child = fork();
	int status = 0;

	assert_true(child >= 0);
	if (child == 0) {
		deny(call);
		run();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
run_plainly(void)
{
	reads_run(false);
	reads_run(false);
}

static void
forbidden_io_uring_is_done_without(void **state)
{
	(void)state;
	forget_idle();
	run_denied(SYS_io_uring_setup, run_plainly);
	run_denied(SYS_io_uring_enter, run_plainly); /* the ring can be made, and does nothing */
}

#if ZP_HAVE_URING

/* A ring whose calls fail from some time on gives what it was not asked for to plain reads. */
static void
run_ring_lost(void)
{
	static struct zp_disk_read places[ZP_DISK_READS_MAX];
	int file = file_make();
	struct zp_disk_reads *reads = idle.first;

	zp_ignore(reads == zp_disk_reads_open(zp_disk_system()));
	for (unsigned i = 0; i < ZP_DISK_READS_MAX; i++) {
		places[i] = (struct zp_disk_read){.file = file, .offset = i * 4001, .length = 3000};
		zp_disk_reads_begin(reads, &places[i]);
	}
	for (unsigned i = 0; i < ZP_DISK_READS_MAX; i++)
		read_assert_right(zp_disk_reads_wait(reads), file);
	if (reads->has_ring)
		_exit(1);
	zp_disk_reads_close(reads);
	reads_run(false);
}

static void
a_lost_ring_is_done_without(void **state)
{
	(void)state;
	reads_run(true);
	run_denied(SYS_io_uring_enter, run_ring_lost);
	forget_idle();
}

/* ---- What the kernel seldom answers ---------------------------------------------------------- */

static void
odd_answers_are_asked_again(void **state)
{
	static const int results[] = {-EINTR, -EAGAIN, -EIO, -ENOMEM, -EINVAL, 0, 1, 1999, 2000};
	uint8_t bytes[2000];
	int file = file_make();

	(void)state;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(results); i++) {
		struct zp_disk_read read = {
		    .file = file, .offset = 5000, .length = sizeof(bytes), .bytes = bytes};
		struct slot slot = {.read = &read, .bytes = bytes, .capacity = sizeof(bytes)};

		memset(bytes, 0, sizeof(bytes));
		for (int at = 0; at < results[i]; at++)
			bytes[at] = byte_at(5000 + (uint64_t)at);
		ring_answer(&slot, results[i]);
		read_assert_right(&read, file);
		assert_int_equal(read.got, sizeof(bytes));
		read.file = -1;
		ring_answer(&slot, -EIO);
		assert_int_equal(read.rc, EBADF); /* of the read that was made again */
		assert_int_equal(read.got, 0);
	}
	close(file);
}

#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_read_is_done_once),
		cmocka_unit_test(forbidden_io_uring_is_done_without),
#if ZP_HAVE_URING
		cmocka_unit_test(a_lost_ring_is_done_without),
		cmocka_unit_test(odd_answers_are_asked_again),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
