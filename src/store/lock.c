/*
 * lock.c - the lock file that keeps two processes from opening one node.
 *
 * flock belongs to the open file, so it goes with the process however that ends. The file itself
 * stays: removing it would let a third process lock a new file while a second one waits for the
 * old.
 */
#include "os/os.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

struct zp_store_lock {
	int file;
};

/* The text of the lock file: who holds it, for people. */
static void
holder_read(int file, char *text, size_t bytes)
{
	ssize_t length = pread(file, text, bytes - 1, 0);

	text[length > 0 ? length : 0] = '\0';
	text[strspn(text, "0123456789")] = '\0';
	if (text[0] == '\0')
		snprintf(text, bytes, "of unknown number");
}

static int
holder_write(int file)
{
	char text[24];
	int length = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	if (ftruncate(file, 0) != 0)
		return errno;
	return pwrite(file, text, (size_t)length, 0) == length ? 0 : errno;
}

static int
lock_file(int file, int how, const char *path, struct zp_err *err)
{
	char holder[24];

	while (flock(file, how | LOCK_NB) != 0) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			return zp_fail_errno(err, errno, "lock %s", path);
		/* Readers leave no number. */
		if (how == LOCK_EX && flock(file, LOCK_SH | LOCK_NB) == 0)
			return zp_fail(err, ZP_E_LOCKED,
			    "%s is held by a process that only reads: wait until it has ended",
			    path);
		holder_read(file, holder, sizeof(holder));
		return zp_fail(err, ZP_E_LOCKED, "%s is held by process %s", path, holder);
	}
	return 0;
}

static struct zp_store_lock *
lock_new(int file)
{
	struct zp_store_lock *lock = zp_alloc_zero(1, sizeof(*lock));

	lock->file = file;
	return lock;
}

int
zp_store_lock_take(const char *path, struct zp_store_lock **lock_out, struct zp_err *err)
{
	int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc;

	if (file < 0)
		return zp_fail_errno(err, errno, "open %s", path);
	rc = lock_file(file, LOCK_EX, path, err);
	if (rc == 0) {
		rc = holder_write(file);
		if (rc != 0)
			rc = zp_fail_errno(err, rc, "write %s", path);
	}
	if (rc < 0) {
		close(file);
		return rc;
	}
	*lock_out = lock_new(file);
	return 0;
}

int
zp_store_lock_share(const char *path, struct zp_store_lock **lock_out, struct zp_err *err)
{
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int rc;

	*lock_out = NULL;
	if (file < 0 && errno == ENOENT)
		return 0;
	if (file < 0)
		return zp_fail_errno(err, errno, "open %s", path);
	rc = lock_file(file, LOCK_SH, path, err);
	if (rc < 0) {
		close(file);
		return rc;
	}
	*lock_out = lock_new(file);
	return 0;
}

void
zp_store_lock_release(struct zp_store_lock *lock)
{
	if (lock == NULL)
		return;
	/* A number that stays behind misleads nobody: only a held lock is ever read. */
	close(lock->file);
	zp_free(lock);
}
