/*
 * disk.c - the file calls of the system behind zp_disk.
 *
 * Flow:    store/ calls through the table of disk.h.
 * Threads: any; no state.
 */
#include "os/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

/* Linux moves at most about 2 GiB a call; asking for less keeps the result easy to reason about. */
#define IO_BYTES_MAX (1u << 30)

static int
sync_handle(int handle)
{
	/* No loop: after EINTR or EIO a second fsync may claim success for pages that were lost. */
	return fsync(handle) == 0 ? 0 : errno;
}

int
zp_disk_entry_sync(const char *path)
{
	char *parent = zp_strdup(path);
	size_t length = strlen(parent);
	int handle;
	int rc;

	while (length > 1 && parent[length - 1] == '/')
		length--;
	while (length > 0 && parent[length - 1] != '/')
		length--;
	parent[length] = '\0';
	handle = open(length == 0 ? "." : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	zp_free(parent);
	if (handle < 0)
		return errno;
	rc = sync_handle(handle);
	close(handle);
	return rc;
}

static int
file_fill(int handle, unsigned mode, const uint8_t *bytes, size_t length)
{
	while (length > 0) {
		ssize_t count = write(handle, bytes, length);

		if (count < 0)
			return errno;
		bytes += count;
		length -= (size_t)count;
	}
	if (fchmod(handle, mode) != 0)
		return errno;
	return sync_handle(handle);
}

int
zp_disk_file_create(const char *path, unsigned mode, const void *bytes, size_t length)
{
	size_t room = strlen(path) + 32;
	char *part = zp_alloc(room);
	int handle, rc;

	/* Of this process, so that two do not write into one; what a killed one left is nobody's.
	 */
	snprintf(part, room, "%s.part-%ld", path, (long)getpid());
	handle = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (handle < 0) {
		rc = errno;
		zp_free(part);
		return rc;
	}
	rc = file_fill(handle, mode, bytes, length);
	if (close(handle) != 0 && rc == 0)
		rc = errno;
	/* Not rename, which would take the place of what is there. */
	if (rc == 0 && link(part, path) != 0)
		rc = errno;
	unlink(part);
	zp_free(part);
	return rc != 0 ? rc : zp_disk_entry_sync(path);
}

static int
system_directory_open(struct zp_disk *disk, const char *path, bool create, int *directory_out)
{
	int handle;
	int rc;

	(void)disk;
	if (create) {
		bool is_new = mkdir(path, 0700) == 0;

		if (!is_new && errno != EEXIST)
			return errno;
		/* Also for one that was there: who made it may have died before this sync. */
		rc = zp_disk_entry_sync(path);
		if (rc != 0 && (is_new || rc != EACCES))
			return rc;
	}
	handle = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (handle < 0)
		return errno;
	*directory_out = handle;
	return 0;
}

static int
system_sync(struct zp_disk *disk, int directory)
{
	(void)disk;
	return sync_handle(directory);
}

static bool
is_regular(int directory, const struct dirent *entry)
{
	struct stat facts;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_REG;
	return fstatat(directory, entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(facts.st_mode);
}

static int
system_directory_list(struct zp_disk *disk, int directory,
    int (*each)(void *context, const char *name), void *context, int *answer_out)
{
	/* A handle of its own: the position in a directory belongs to the open file. */
	int handle = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = handle < 0 ? NULL : fdopendir(handle);
	int answer = 0;
	int rc;

	(void)disk;
	if (listing == NULL) {
		rc = errno;
		if (handle >= 0)
			close(handle);
		return rc;
	}
	for (;;) {
		struct dirent *entry;

		errno = 0;
		entry = readdir(listing);
		rc = errno;
		if (entry == NULL)
			break;
		if (is_regular(directory, entry))
			answer = each(context, entry->d_name);
		if (answer != 0)
			break;
	}
	closedir(listing);
	*answer_out = answer;
	return answer != 0 ? 0 : rc;
}

static int
system_directory_space(struct zp_disk *disk, int directory, uint64_t *free_out, uint64_t *total_out)
{
	struct statvfs facts;

	(void)disk;
	if (fstatvfs(directory, &facts) != 0)
		return errno;
	*free_out = (uint64_t)facts.f_bavail * facts.f_frsize;
	*total_out = (uint64_t)facts.f_blocks * facts.f_frsize;
	return 0;
}

static int
system_rename(struct zp_disk *disk, int directory, const char *from, const char *to)
{
	(void)disk;
	return renameat(directory, from, directory, to) == 0 ? 0 : errno;
}

static int
system_unlink(struct zp_disk *disk, int directory, const char *name)
{
	(void)disk;
	return unlinkat(directory, name, 0) == 0 ? 0 : errno;
}

static int
system_link(struct zp_disk *disk, int directory, const char *name, int to_directory)
{
	(void)disk;
	return linkat(directory, name, to_directory, name, 0) == 0 ? 0 : errno;
}

static int
system_directory_remove(struct zp_disk *disk, const char *path)
{
	(void)disk;
	return rmdir(path) == 0 ? 0 : errno;
}

static int
system_file_open(
    struct zp_disk *disk, int directory, const char *name, enum zp_disk_mode mode, int *file_out)
{
	static const int flags[] = {
	    [ZP_DISK_READ] = O_RDONLY,
	    [ZP_DISK_WRITE] = O_RDWR,
	    [ZP_DISK_CREATE] = O_RDWR | O_CREAT | O_EXCL,
	};
	int handle;

	(void)disk;
	handle = openat(directory, name, flags[mode] | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (handle < 0)
		return errno;
	*file_out = handle;
	return 0;
}

static int
system_file_read(
    struct zp_disk *disk, int file, uint64_t offset, void *to, size_t length, size_t *read_out)
{
	size_t done = 0;

	(void)disk;
	while (done < length) {
		ssize_t got = pread(file, (uint8_t *)to + done,
		    zp_min_u64(length - done, IO_BYTES_MAX), (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return errno;
		if (got == 0)
			break;
		done += (size_t)got;
	}
	*read_out = done;
	return 0;
}

static int
system_file_read_cached(struct zp_disk *disk, int file, uint64_t offset, void *to, size_t length)
{
	struct iovec part = {.iov_base = to, .iov_len = length};

	(void)disk;
	if (length > IO_BYTES_MAX)
		return EAGAIN;
	return preadv2(file, &part, 1, (off_t)offset, RWF_NOWAIT) == (ssize_t)length ? 0 : EAGAIN;
}

static int
system_file_write(struct zp_disk *disk, int file, uint64_t offset, const void *data, size_t length)
{
	size_t done = 0;

	(void)disk;
	while (done < length) {
		ssize_t put = pwrite(file, (const uint8_t *)data + done,
		    zp_min_u64(length - done, IO_BYTES_MAX), (off_t)(offset + done));

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return errno;
		if (put == 0)
			return EIO; /* not in POSIX for length > 0; it would never end */
		done += (size_t)put;
	}
	return 0;
}

static int
system_file_truncate(struct zp_disk *disk, int file, uint64_t bytes)
{
	(void)disk;
	return ftruncate(file, (off_t)bytes) == 0 ? 0 : errno;
}

static int
system_file_sync(struct zp_disk *disk, int file)
{
	(void)disk;
	return fdatasync(file) == 0 ? 0 : errno; /* no loop, as in sync_handle */
}

static int
system_file_bytes(struct zp_disk *disk, int file, uint64_t *bytes_out)
{
	struct stat facts;

	(void)disk;
	if (fstat(file, &facts) != 0)
		return errno;
	*bytes_out = (uint64_t)facts.st_size;
	return 0;
}

static void
system_close(struct zp_disk *disk, int handle)
{
	(void)disk;
	close(handle); /* everything that matters was synced before, so its answer tells nothing */
}

struct zp_disk *
zp_disk_system(void)
{
	static const struct zp_disk_ops ops = {
	    .directory_open = system_directory_open,
	    .directory_sync = system_sync,
	    .directory_list = system_directory_list,
	    .directory_space = system_directory_space,
	    .rename = system_rename,
	    .unlink = system_unlink,
	    .link = system_link,
	    .directory_remove = system_directory_remove,
	    .file_open = system_file_open,
	    .file_read = system_file_read,
	    .file_read_cached = system_file_read_cached,
	    .reads_open = zp_disk_reads_open,
	    .reads_begin = zp_disk_reads_begin,
	    .reads_wait = zp_disk_reads_wait,
	    .reads_close = zp_disk_reads_close,
	    .file_write = system_file_write,
	    .file_truncate = system_file_truncate,
	    .file_sync = system_file_sync,
	    .file_bytes = system_file_bytes,
	    .close = system_close,
	};
	static struct zp_disk disk = {.ops = &ops};

	return &disk;
}
