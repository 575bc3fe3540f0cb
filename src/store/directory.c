/*
 * directory.c - a store in a directory: opening, listing, removing, space.
 *
 * Flow:    engine and journal call through store.h; the calls go to a zp_disk (os/disk.h), relative
 * to a handle of the directory that is held open, so that a renamed or replaced path does no harm.
 * Threads: any.
 */
#include "store/store_internal.h"

bool
store__name_is_temporary(const char *name)
{
	size_t length = strlen(name);
	size_t suffix = strlen(STORE_TEMPORARY_SUFFIX);

	return length > suffix && strcmp(name + length - suffix, STORE_TEMPORARY_SUFFIX) == 0;
}

int
store__name_check(const char *path, const char *name, struct zp_err *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789.-";
	size_t length = strlen(name);
	size_t length_max = ZP_FILE_NAME_MAX;

	if (store__name_is_temporary(name))
		length_max += strlen(STORE_TEMPORARY_SUFFIX);
	if (length == 0 || length > length_max || name[0] == '.' || strspn(name, allowed) != length)
		return zp_fail(
		    err, ZP_E_INVALID, "%s: \"%.200s\" is not a file name here", path, name);
	return 0;
}

int
store__change_check(const struct directory_store *store, const char *name, struct zp_err *err)
{
	if (store->read_only)
		return zp_fail(err, ZP_E_READ_ONLY, "%s/%s: opened read-only", store->path, name);
	return 0;
}

int
store__directory_sync(struct directory_store *store, struct zp_err *err)
{
	int rc;

	if (store->no_sync)
		return 0;
	if (atomic_load(&store->directory_lost))
		return zp_fail(
		    err, ZP_E_IO, "%s: an earlier sync of this directory failed", store->path);
	rc = store__disk_sync_directory(store);
	if (rc != 0) {
		atomic_store(&store->directory_lost, true);
		return zp_fail_errno(err, rc, "sync directory %s", store->path);
	}
	return 0;
}

static struct directory_store *
directory_of(struct zp_store *store)
{
	return (struct directory_store *)store;
}

struct list_context {
	const struct directory_store *store;
	int (*each)(void *context, const char *name, struct zp_err *err);
	void *context;
	struct zp_err *err;
};

static int
list_one(void *context, const char *name)
{
	struct list_context *list = context;

	/* What can't be ours (lost+found, an editor's file) is not ours. */
	if (store__name_check(list->store->path, name, NULL) != 0)
		return 0;
	return list->each(list->context, name, list->err);
}

static int
directory_list(struct zp_store *base,
    int (*each)(void *context, const char *name, struct zp_err *err), void *context,
    struct zp_err *err)
{
	struct directory_store *store = directory_of(base);
	struct list_context list = {store, each, context, err};
	int answer = 0;
	int rc;

	rc = store__disk_list(store, list_one, &list, &answer);
	if (rc != 0)
		return zp_fail_errno(err, rc, "list %s", store->path);
	return answer;
}

static int
directory_remove(struct zp_store *base, const char *name, struct zp_err *err)
{
	struct directory_store *store = directory_of(base);
	int rc = store__name_check(store->path, name, err);

	if (rc == 0)
		rc = store__change_check(store, name, err);
	if (rc < 0)
		return rc;
	rc = store__disk_unlink(store, name);
	if (rc != 0)
		return zp_fail_errno(err, rc, "remove %s/%s", store->path, name);
	return 0;
}

static int
directory_rename(struct zp_store *base, const char *from, const char *to, struct zp_err *err)
{
	struct directory_store *store = directory_of(base);
	int rc = store__name_check(store->path, from, err);

	if (rc == 0)
		rc = store__name_check(store->path, to, err);
	if (rc == 0)
		rc = store__change_check(store, from, err);
	if (rc < 0)
		return rc;
	rc = store__disk_rename(store, from, to);
	if (rc != 0)
		return zp_fail_errno(err, rc, "rename %s/%s to %s", store->path, from, to);
	return 0;
}

static int
directory_sync(struct zp_store *base, struct zp_err *err)
{
	struct directory_store *store = directory_of(base);

	if (store->read_only)
		return zp_fail(err, ZP_E_READ_ONLY, "%s: opened read-only", store->path);
	return store__directory_sync(store, err);
}

static int
directory_space(struct zp_store *base, struct zp_store_space *space_out, struct zp_err *err)
{
	struct directory_store *store = directory_of(base);
	struct zp_store_space space;
	int rc;

	if (store__is_hurried(store))
		rc = store__space_hurried(store, &space.bytes_free, &space.bytes_total, err);
	else
		rc = store__disk_space(store, &space.bytes_free, &space.bytes_total);
	if (rc < 0)
		return rc;
	if (rc != 0)
		return zp_fail_errno(err, rc, "space of %s", store->path);
	*space_out = space;
	return 0;
}

static void
directory_close(struct zp_store *base)
{
	struct directory_store *store = directory_of(base);
	struct zp_store_watch *watch = store->watch;

	if (watch != NULL) {
		zp_mutex_lock(&watch->lock);
		while (store->stuck > 0) /* reads that were given up still need it */
			zp_cond_wait(&watch->returned, &watch->lock);
		zp_mutex_unlock(&watch->lock);
	}
	store->disk->ops->close(store->disk, store->directory);
	zp_free(store->path);
	zp_free(store);
}

static const struct zp_store_ops directory_ops = {
    .writer_open = store__writer_open,
    .writer_append = store__writer_append,
    .writer_publish = store__writer_publish,
    .writer_discard = store__writer_discard,
    .file_open = store__file_open,
    .file_read = store__file_read,
    .read_many = store__read_many,
    .file_bytes = store__file_bytes,
    .file_close = store__file_close,
    .log_open = store__log_open,
    .log_append = store__log_append,
    .log_rewrite = store__log_rewrite,
    .log_sync = store__log_sync,
    .log_truncate = store__log_truncate,
    .log_bytes = store__log_bytes,
    .log_close = store__log_close,
    .list = directory_list,
    .remove = directory_remove,
    .rename = directory_rename,
    .sync_directory = directory_sync,
    .space = directory_space,
    .close = directory_close,
};

int
zp_store_directory_open(const char *path, const struct zp_store_directory_options *options,
    struct zp_store **store_out, struct zp_err *err)
{
	struct zp_disk *disk = options->disk != NULL ? options->disk : zp_disk_system();
	bool create = options->create && !options->read_only;
	struct directory_store *store;
	int directory;
	int rc;

	rc = disk->ops->directory_open(disk, path, create, &directory);
	if (rc != 0)
		return zp_fail_errno(err, rc, "open directory %s", path);
	store = zp_alloc_zero(1, sizeof(*store));
	store->base.ops = &directory_ops;
	store->disk = disk;
	store->directory = directory;
	store->path = zp_strdup(path);
	store->read_only = options->read_only;
	store->no_sync = options->no_sync;
	store->watch = options->watch;
	atomic_init(&store->directory_lost, false);
	*store_out = &store->base;
	return 0;
}
