/*
 * recorder.c - notes what a power cut would leave: preloaded into the real program.
 *
 * A file's content is durable as it was at its last fsync or fdatasync, a directory's names as they
 * were at its own. So nothing but these two calls has to be seen: each copies what it is asked to
 * make durable into the folder $ZPIN_POWER, before the real call. power.py builds the tree from
 * that.
 *
 *   <folder>/<key>    of a file: its bytes; of a directory: a line for each entry: type key name
 *   key               inode and birth time, since an inode's number is used again
 *
 * Everything else a disk may do (keep some of what was not synced, in any order, torn) is the
 * simulated disk's part (test/sim); what that can't see is shown here: the system calls themselves,
 * the making of directories, hard links, and files that do not go through store/.
 *
 * Threads: one lock. A failure of the recorder ends the program: a test must not pass by it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEY_BYTES 64
#define PIECE_BYTES 65536

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void
give_up(const char *what)
{
	fprintf(stderr, "power recorder: %s: %s\n", what, strerror(errno));
	_exit(99);
}

static void
key_print(char key[KEY_BYTES], int directory, const char *name, int flags, unsigned *mode_out)
{
	struct statx facts;

	if (statx(directory, name, flags, STATX_BASIC_STATS | STATX_BTIME, &facts) != 0)
		give_up("statx");
	snprintf(key, KEY_BYTES, "%llu-%lld.%09u", (unsigned long long)facts.stx_ino,
	    (long long)facts.stx_btime.tv_sec, facts.stx_btime.tv_nsec);
	*mode_out = facts.stx_mode;
}

static void
names_copy(int handle, FILE *to)
{
	/* A position of its own: the program may be reading this handle. */
	int own = openat(handle, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = own < 0 ? NULL : fdopendir(own);
	struct dirent *entry;

	if (listing == NULL)
		give_up("list");
	while ((entry = readdir(listing)) != NULL) {
		char key[KEY_BYTES];
		unsigned mode;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (entry->d_type != DT_REG && entry->d_type != DT_DIR)
			continue;
		/* What another thread has just removed counts as removed. */
		if (faccessat(handle, entry->d_name, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		key_print(key, handle, entry->d_name, AT_SYMLINK_NOFOLLOW, &mode);
		fprintf(to, "%c %s %s\n", S_ISDIR(mode) ? 'd' : 'f', key, entry->d_name);
	}
	closedir(listing);
}

static void
bytes_copy(int handle, FILE *to)
{
	char path[64], piece[PIECE_BYTES];
	ssize_t got;
	int own;

	/* The handle may be for writing only. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", handle);
	own = open(path, O_RDONLY | O_CLOEXEC);
	if (own < 0)
		give_up("open again");
	while ((got = read(own, piece, sizeof(piece))) > 0) {
		if (fwrite(piece, 1, (size_t)got, to) != (size_t)got)
			give_up("write");
	}
	if (got < 0)
		give_up("read");
	close(own);
}

static void
note(int handle)
{
	const char *folder = getenv("ZPIN_POWER");
	char key[KEY_BYTES], path[4096], unfinished[4200];
	unsigned mode;
	FILE *to;

	if (folder == NULL)
		return;
	pthread_mutex_lock(&lock);
	key_print(key, handle, "", AT_EMPTY_PATH, &mode);
	snprintf(path, sizeof(path), "%s/%s", folder, key);
	snprintf(unfinished, sizeof(unfinished), "%s.unfinished", path);
	to = fopen(unfinished, "we");
	if (to == NULL)
		give_up(unfinished);
	if (S_ISDIR(mode))
		names_copy(handle, to);
	else
		bytes_copy(handle, to);
	/* Whole or not at all: the program may be killed here. */
	if (fclose(to) != 0 || rename(unfinished, path) != 0)
		give_up("finish");
	pthread_mutex_unlock(&lock);
}

int
fsync(int handle)
{
	note(handle);
	return (int)syscall(SYS_fsync, handle);
}

int
fdatasync(int handle)
{
	note(handle);
	return (int)syscall(SYS_fdatasync, handle);
}
