/*
 * store.h - where the files of a shard, or of the journal, are: a directory, or a ZFS dataset's
 * mount point.
 *
 * Flow:    engine and journal see the world only through this; store/ makes it real, and a test
 *          puts a store with injected faults in its place.
 * Threads: any thread may call anything; one writer object is used by one thread at a time.
 * Names:   of files inside the store: [a-z0-9.-], not beginning with a dot, at most
 *          ZP_FILE_NAME_MAX, no path; others are ZP_E_INVALID. "*.tmp" is for unfinished files
 *          only. One writer a name.
 * Life:    writers, files and logs end before their store.
 * Errors:  ZP_E_IO, ZP_E_NO_SPACE, ZP_E_NOT_FOUND, ZP_E_EXISTS, ZP_E_LOCKED, ZP_E_TIMEOUT, always
 *          with the path in the text. A failed sync is final for that writer or log (and one of
 *          the directory for every later publish, log creation and directory sync of the store):
 *          what it covered is lost or unknown, and it is never retried into success.
 */
#ifndef ZP_STORE_STORE_H
#define ZP_STORE_STORE_H

#include "base/base.h"

struct zp_disk; /* os/disk.h */
struct zp_store;
struct zp_store_writer; /* a file being written under a temporary name */
struct zp_store_file;   /* a finished file, open for reading */
struct zp_store_log;    /* a file that is appended to and synced */

/* One of many reads. */
struct zp_store_read {
	struct zp_store_file *file;
	uint64_t offset;
	size_t length; /* at most ZP_STORE_READ_BYTES_MAX */
};
#define ZP_STORE_READ_BYTES_MAX (128u << 10)

/* Told of the read at `index`: 0 and its bytes, which are there during the call only, or what
 * zp_store_file_read would have answered. Not 0: no more are read. */
typedef int zp_store_read_each(void *context, size_t index, int rc, const uint8_t *bytes);

struct zp_store_space {
	uint64_t bytes_free; /* for us, without the file system's reserve */
	uint64_t bytes_total;
};

/* What a kind of store provides; the inline calls below are how it is used. */
struct zp_store_ops {
	int (*writer_open)(struct zp_store *store, const char *name,
	    struct zp_store_writer **writer_out, struct zp_err *err);
	int (*writer_append)(
	    struct zp_store_writer *writer, const void *data, size_t length, struct zp_err *err);
	int (*writer_publish)(struct zp_store_writer *writer, const char *name, struct zp_err *err);
	void (*writer_discard)(struct zp_store_writer *writer);

	int (*file_open)(struct zp_store *store, const char *name, struct zp_store_file **file_out,
	    struct zp_err *err);
	int (*file_read)(struct zp_store_file *file, uint64_t offset, void *to, size_t length,
	    struct zp_err *err);
	int (*read_many)(const struct zp_store_read *reads, size_t count, zp_store_read_each *each,
	    void *context); /* or NULL: one after the other */
	uint64_t (*file_bytes)(const struct zp_store_file *file);
	void (*file_close)(struct zp_store_file *file);

	int (*log_open)(struct zp_store *store, const char *name, bool create,
	    struct zp_store_log **log_out, struct zp_err *err);
	int (*log_append)(
	    struct zp_store_log *log, const void *data, size_t length, struct zp_err *err);
	int (*log_rewrite)(struct zp_store_log *log, uint64_t offset, const void *data,
	    size_t length, struct zp_err *err);
	int (*log_sync)(struct zp_store_log *log, struct zp_err *err);
	int (*log_truncate)(struct zp_store_log *log, uint64_t bytes, struct zp_err *err);
	uint64_t (*log_bytes)(const struct zp_store_log *log);
	void (*log_close)(struct zp_store_log *log);

	int (*list)(struct zp_store *store,
	    int (*each)(void *context, const char *name, struct zp_err *err), void *context,
	    struct zp_err *err);
	int (*remove)(struct zp_store *store, const char *name, struct zp_err *err);
	int (*rename)(struct zp_store *store, const char *from, const char *to, struct zp_err *err);
	int (*sync_directory)(struct zp_store *store, struct zp_err *err);
	int (*space)(struct zp_store *store, struct zp_store_space *space_out, struct zp_err *err);
	void (*close)(struct zp_store *store);
};

/* The first member of every store, writer, file and log that a kind makes. */
struct zp_store {
	const struct zp_store_ops *ops;
};
struct zp_store_writer {
	const struct zp_store_ops *ops;
};
struct zp_store_file {
	const struct zp_store_ops *ops;
};
struct zp_store_log {
	const struct zp_store_ops *ops;
};

/* ---- Writing a file once -------------------------------------------------------------------- */

/* Begins "<name>.tmp", replacing a leftover of that name. */
ZP_MUST_CHECK static inline int
zp_store_writer_open(struct zp_store *store, const char *name, struct zp_store_writer **writer_out,
    struct zp_err *err)
{
	return store->ops->writer_open(store, name, writer_out, err);
}

/* Appends; the store may gather small pieces. */
ZP_MUST_CHECK static inline int
zp_store_writer_append(
    struct zp_store_writer *writer, const void *data, size_t length, struct zp_err *err)
{
	return writer->ops->writer_append(writer, data, length, err);
}

/*
 * Writes what is left, syncs the file, renames it to `name` and syncs the directory: after 0 the
 * file is there after a power cut. Ends the writer in every case; on failure nothing of that name
 * was made (or, if only the last sync failed, its fate is unknown). An existing `name` is replaced,
 * which is right because names are by content or by number.
 */
ZP_MUST_CHECK static inline int
zp_store_writer_publish(struct zp_store_writer *writer, const char *name, struct zp_err *err)
{
	return writer->ops->writer_publish(writer, name, err);
}

/* Ends the writer and removes what it wrote. NULL is allowed. */
static inline void
zp_store_writer_discard(struct zp_store_writer *writer)
{
	if (writer != NULL)
		writer->ops->writer_discard(writer);
}

/* ---- Reading -------------------------------------------------------------------------------- */

ZP_MUST_CHECK static inline int
zp_store_file_open(
    struct zp_store *store, const char *name, struct zp_store_file **file_out, struct zp_err *err)
{
	return store->ops->file_open(store, name, file_out, err);
}

/* Reads exactly `length` bytes; an end of file before that is ZP_E_CORRUPT. Sees what a log has
 * appended since this file was opened. */
ZP_MUST_CHECK static inline int
zp_store_file_read(
    struct zp_store_file *file, uint64_t offset, void *to, size_t length, struct zp_err *err)
{
	return file->ops->file_read(file, offset, to, length, err);
}

/*
 * Reads from files that are all of one store, as many at a time as it can, and tells `each` of
 * every one as it comes, in no order. Returns the first answer of `each` that is not 0. One that
 * cannot be read costs the others nothing.
 */
ZP_MUST_CHECK int zp_store_read_many(
    const struct zp_store_read *reads, size_t count, zp_store_read_each *each, void *context);

/* Its length when it was opened. */
static inline uint64_t
zp_store_file_bytes(const struct zp_store_file *file)
{
	return file->ops->file_bytes(file);
}

static inline void
zp_store_file_close(struct zp_store_file *file)
{
	if (file != NULL)
		file->ops->file_close(file);
}

/* Reads a whole file of at most `bytes_max` into `to` (cleared first). */
ZP_MUST_CHECK int zp_store_read_all(struct zp_store *store, const char *name, size_t bytes_max,
    struct zp_buf *to, struct zp_err *err);

/* Writes a whole small file and publishes it. */
ZP_MUST_CHECK int zp_store_write_all(
    struct zp_store *store, const char *name, struct zp_slice bytes, struct zp_err *err);

/* ---- A log ---------------------------------------------------------------------------------- */

/* Opens for appending. `create`: must not exist; the directory is synced, so that the name stays.
 */
ZP_MUST_CHECK static inline int
zp_store_log_open(struct zp_store *store, const char *name, bool create,
    struct zp_store_log **log_out, struct zp_err *err)
{
	return store->ops->log_open(store, name, create, log_out, err);
}

/* Appends at the end, in one write where the system allows. After an error the end is unknown until
 * zp_store_log_truncate. */
ZP_MUST_CHECK static inline int
zp_store_log_append(struct zp_store_log *log, const void *data, size_t length, struct zp_err *err)
{
	return log->ops->log_append(log, data, length, err);
}

/*
 * Writes bytes again that are there already. After a start nobody knows whether bytes that can be
 * read are on the disk or only in the system's cache (after a failed sync they even count as clean
 * there); written again and synced, they are on the disk.
 */
ZP_MUST_CHECK static inline int
zp_store_log_rewrite(
    struct zp_store_log *log, uint64_t offset, const void *data, size_t length, struct zp_err *err)
{
	return log->ops->log_rewrite(log, offset, data, length, err);
}

/* fdatasync. After a failure every later append and sync fails too. */
ZP_MUST_CHECK static inline int
zp_store_log_sync(struct zp_store_log *log, struct zp_err *err)
{
	return log->ops->log_sync(log, err);
}

/* Cuts to `bytes` and syncs. */
ZP_MUST_CHECK static inline int
zp_store_log_truncate(struct zp_store_log *log, uint64_t bytes, struct zp_err *err)
{
	return log->ops->log_truncate(log, bytes, err);
}

static inline uint64_t
zp_store_log_bytes(const struct zp_store_log *log)
{
	return log->ops->log_bytes(log);
}

static inline void
zp_store_log_close(struct zp_store_log *log)
{
	if (log != NULL)
		log->ops->log_close(log);
}

/* ---- The directory -------------------------------------------------------------------------- */

/* Calls `each` for every file, in no order, "*.tmp" included; stops at its first non-zero answer
 * and returns it. */
ZP_MUST_CHECK static inline int
zp_store_list(struct zp_store *store,
    int (*each)(void *context, const char *name, struct zp_err *err), void *context,
    struct zp_err *err)
{
	return store->ops->list(store, each, context, err);
}

/* Unlinks; those who have it open keep it. The removal is durable only after
 * zp_store_sync_directory. */
ZP_MUST_CHECK static inline int
zp_store_remove(struct zp_store *store, const char *name, struct zp_err *err)
{
	return store->ops->remove(store, name, err);
}

/* Gives a file another name, for good only after zp_store_sync_directory; one of that name is
 * replaced. */
ZP_MUST_CHECK static inline int
zp_store_rename(struct zp_store *store, const char *from, const char *to, struct zp_err *err)
{
	return store->ops->rename(store, from, to, err);
}

ZP_MUST_CHECK static inline int
zp_store_sync_directory(struct zp_store *store, struct zp_err *err)
{
	return store->ops->sync_directory(store, err);
}

ZP_MUST_CHECK static inline int
zp_store_space_get(struct zp_store *store, struct zp_store_space *space_out, struct zp_err *err)
{
	return store->ops->space(store, space_out, err);
}

static inline void
zp_store_close(struct zp_store *store)
{
	if (store != NULL)
		store->ops->close(store);
}

/* ---- The kinds ------------------------------------------------------------------------------ */

struct zp_store_directory_options {
	bool create;          /* make the directory (and sync its parent) when it is not there */
	bool read_only;       /* every change is refused with ZP_E_READ_ONLY */
	bool no_sync;         /* syncs do nothing: for tests and throw-away imports only */
	struct zp_disk *disk; /* where the directory is; NULL: the machine's own. Borrowed */
	struct zp_store_watch *watch; /* sees its calls; NULL: nobody does. Borrowed */
};

/* A store in the directory `path` of any file system. */
ZP_MUST_CHECK int zp_store_directory_open(const char *path,
    const struct zp_store_directory_options *options, struct zp_store **store_out,
    struct zp_err *err);

/*
 * Hard-links the files that `names` lists into the directory `to_path` (made, must be empty or
 * absent) and syncs it: a snapshot that later removals do not touch, since files never change.
 * `disk`: where both are; NULL: the machine's own.
 */
ZP_MUST_CHECK int zp_store_directory_link(struct zp_disk *disk, const char *from_path,
    const char *const *names, size_t names_count, const char *to_path, struct zp_err *err);

/* ---- A disk that does not answer ----------------------------------------------------------- */

/*
 * Sees which calls of its stores have been under way for how long. Ends after its stores, and waits
 * for reads that were given up.
 */
struct zp_store_watch;
struct zp_store_watch *zp_store_watch_new(uint64_t hang_after_ns);
void zp_store_watch_free(struct zp_store_watch *watch); /* NULL is allowed */

struct zp_store_hang {
	uint64_t since_ns; /* of zp_clock_monotonic_ns: when the oldest call began */
	uint32_t calls;    /* that are under way for hang_after */
	char text[640];    /* the oldest: "sync /var/lib/zpin/journal/log-…" */
};
/* Whether a call is under way for hang_after or longer, and which. */
bool zp_store_watch_look(struct zp_store_watch *watch, struct zp_store_hang *hang_out);

/*
 * From now on the calling thread does not wait for ever: its reads of files of a watched store, and
 * looks at the space, answer ZP_E_TIMEOUT when they take longer than a sixth of hang_after, and at
 * once while such a one hangs. That is no damage. Returns what held before, to be set again.
 */
bool zp_store_hurry(bool on);

/* ---- Folders of snapshots -------------------------------------------------------------------- */

/* Calls `each` with the name of every folder in `path`, in no order; none where there is no `path`.
 * Stops at its first non-zero answer and returns it. */
ZP_MUST_CHECK int zp_store_folders_list(const char *path,
    int (*each)(void *context, const char *name, struct zp_err *err), void *context,
    struct zp_err *err);

struct zp_store_tree {
	uint64_t files;
	uint64_t bytes;
	uint64_t bytes_own; /* of files that have no name elsewhere: what a removal gives back */
};

/* Measures the folder `path` and all in it. Symbolic links are not followed here or below, nor is
 * `path` itself one: ZP_E_NOT_FOUND, or ZP_E_INVALID for what is no folder. */
ZP_MUST_CHECK int zp_store_tree_measure(
    const char *path, struct zp_store_tree *tree_out, struct zp_err *err);

/* Removes it, the folder `first` in it before all else; for good after 0. Cut short it can be
 * repeated. */
ZP_MUST_CHECK int zp_store_tree_remove(const char *path, const char *first, struct zp_err *err);

/* A lock file held until closed; ZP_E_LOCKED says who holds it. */
struct zp_store_lock;
ZP_MUST_CHECK int zp_store_lock_take(
    const char *path, struct zp_store_lock **lock_out, struct zp_err *err);
/* For one of any number of processes that only read, and writes nothing. *lock_out is NULL where
 * there is no file: in a snapshot, which nobody writes. */
ZP_MUST_CHECK int zp_store_lock_share(
    const char *path, struct zp_store_lock **lock_out, struct zp_err *err);
void zp_store_lock_release(struct zp_store_lock *lock);

#endif
