/*
 * disk.h - the file calls that store/ makes, as a table.
 *
 * A table so that a test can put a disk that loses power (test/sim) under the very code that runs
 * in production: then taking a sync out of that code makes a test fail. zp_disk_system() is the
 * real one.
 *
 * Handles: small non-negative numbers, a directory's or a file's; ended with close. Names are
 *          single path components, relative to a directory's handle.
 * Errors:  0 or a positive errno value; the caller knows the path and makes the zp_err.
 * Threads: any thread may call anything.
 */
#ifndef ZP_OS_DISK_H
#define ZP_OS_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum zp_disk_mode {
	ZP_DISK_READ,   /* an existing file, to read */
	ZP_DISK_WRITE,  /* an existing file, to read and write */
	ZP_DISK_CREATE, /* a new file (EEXIST where there is one), to read and write */
};

/* One of the reads that are under way together. */
struct zp_disk_read {
	int file;
	uint64_t offset;
	size_t length;
	/* When it is done: */
	int rc;               /* 0 or an errno value */
	size_t got;           /* less than `length` only at the end of the file */
	const uint8_t *bytes; /* until the next wait */
};

#define ZP_DISK_READS_MAX 64u /* under way together */

struct zp_disk_reads; /* the disk's own; one thread uses it */
struct zp_disk;

struct zp_disk_ops {
	/* `create` makes the last component where it is missing and syncs its parent. */
	int (*directory_open)(
	    struct zp_disk *disk, const char *path, bool create, int *directory_out);
	int (*directory_sync)(struct zp_disk *disk, int directory);
	/* Regular files only; stops at the first non-zero answer of `each`, which goes to
	 * *answer_out. */
	int (*directory_list)(struct zp_disk *disk, int directory,
	    int (*each)(void *context, const char *name), void *context, int *answer_out);
	int (*directory_space)(
	    struct zp_disk *disk, int directory, uint64_t *free_out, uint64_t *total_out);
	int (*rename)(struct zp_disk *disk, int directory, const char *from, const char *to);
	int (*unlink)(struct zp_disk *disk, int directory, const char *name);
	/* The file under the same name in another directory too; EXDEV on another file system. */
	int (*link)(struct zp_disk *disk, int directory, const char *name, int to_directory);
	/* An empty directory. */
	int (*directory_remove)(struct zp_disk *disk, const char *path);

	int (*file_open)(struct zp_disk *disk, int directory, const char *name,
	    enum zp_disk_mode mode, int *file_out);
	/* *read_out is less than `length` only at the end of the file. */
	int (*file_read)(struct zp_disk *disk, int file, uint64_t offset, void *to, size_t length,
	    size_t *read_out);
	/* The same where it waits for no disk: 0 and all of it, or EAGAIN, also where the file
	 * system can't tell. NULL: it never can. */
	int (*file_read_cached)(
	    struct zp_disk *disk, int file, uint64_t offset, void *to, size_t length);
	/*
	 * Reads that are under way together: begun, and each waited for once, which may be any of
	 * those that were begun (the caller knows it again by its place). Until then it stays where
	 * it is.
	 */
	struct zp_disk_reads *(*reads_open)(struct zp_disk *disk);
	void (*reads_begin)(struct zp_disk_reads *reads, struct zp_disk_read *read);
	struct zp_disk_read *(*reads_wait)(struct zp_disk_reads *reads);
	void (*reads_close)(struct zp_disk_reads *reads); /* none is under way */
	/* All of it or an error; then a part may be written. */
	int (*file_write)(
	    struct zp_disk *disk, int file, uint64_t offset, const void *data, size_t length);
	int (*file_truncate)(struct zp_disk *disk, int file, uint64_t bytes);
	int (*file_sync)(struct zp_disk *disk, int file); /* data and size, as fdatasync */
	int (*file_bytes)(struct zp_disk *disk, int file, uint64_t *bytes_out);

	void (*close)(struct zp_disk *disk, int handle);
};

struct zp_disk {
	const struct zp_disk_ops *ops;
};

/* Syncs the directory that holds the entry `path`, so that a file that was made or renamed there
 * outlives a power cut. For the few files that do not go through store/. 0 or an errno value. */
int zp_disk_entry_sync(const char *path);

/* Makes a file that is whole or not there, also after a power cut: written under another name
 * beside it, synced, and then named. 0 or an errno value: EEXIST where something has the name. */
int zp_disk_file_create(const char *path, unsigned mode, const void *bytes, size_t length);

/* The calls of the machine's own disk that disk_reads.c has. */
struct zp_disk_reads *zp_disk_reads_open(struct zp_disk *disk);
void zp_disk_reads_begin(struct zp_disk_reads *reads, struct zp_disk_read *read);
struct zp_disk_read *zp_disk_reads_wait(struct zp_disk_reads *reads);
void zp_disk_reads_close(struct zp_disk_reads *reads);

/* The machine's own files. Static; never freed. */
struct zp_disk *zp_disk_system(void);

#endif
