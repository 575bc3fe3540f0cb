/*
 * file.c - reading a file of a directory store.
 *
 * Flow:    segments, manifests and the journal's readers.
 * Threads: any number may read one file.
 */
#include "store/store_internal.h"

#include <inttypes.h>

int
store__file_open(
    struct zp_store *base, const char *name, struct zp_store_file **file_out, struct zp_err *err)
{
	struct directory_store *store = (struct directory_store *)base;
	struct directory_file *file;
	uint64_t bytes = 0;
	int handle;
	int rc = store__name_check(store->path, name, err);

	if (rc < 0)
		return rc;
	rc = store__disk_open(store, name, ZP_DISK_READ, &handle, &bytes);
	if (rc != 0)
		return zp_fail_errno(err, rc, "open %s/%s", store->path, name);
	file = zp_alloc_zero(1, sizeof(*file));
	file->base.ops = base->ops;
	file->store = store;
	file->file = handle;
	file->bytes = bytes;
	memcpy(file->name, name, strlen(name) + 1);
	*file_out = &file->base;
	return 0;
}

/* What the system has in memory is given at once; only the rest may have to wait for the disk. */
static int
file_read(struct directory_file *file, uint64_t offset, void *to, size_t length, size_t *got_out,
    struct zp_err *err)
{
	struct directory_store *store = file->store;
	struct zp_disk *disk = store->disk;

	if (!store__is_hurried(store))
		return store__disk_read(store, file->file, file->name, offset, to, length, got_out);
	if (disk->ops->file_read_cached != NULL &&
	    disk->ops->file_read_cached(disk, file->file, offset, to, length) == 0) {
		*got_out = length;
		return 0;
	}
	return store__read_hurried(file, offset, to, length, got_out, err);
}

int
store__read_answer(const struct zp_store_read *read, int rc, size_t got, struct zp_err *err)
{
	const struct directory_file *file = (const struct directory_file *)read->file;
	const char *path = file->store->path;

	if (rc < 0)
		return rc;
	if (rc != 0)
		return zp_fail_errno(
		    err, rc, "read %s/%s at %" PRIu64, path, file->name, read->offset);
	if (got < read->length)
		return zp_fail(err, ZP_E_CORRUPT,
		    "%s/%s ends at %" PRIu64 ", %zu bytes at %" PRIu64 " were expected", path,
		    file->name, read->offset + got, read->length, read->offset);
	return 0;
}

int
store__file_read(
    struct zp_store_file *base, uint64_t offset, void *to, size_t length, struct zp_err *err)
{
	struct directory_file *file = (struct directory_file *)base;
	struct zp_store_read read = {base, offset, length};
	size_t got = 0;
	int rc = file_read(file, offset, to, length, &got, err);

	return store__read_answer(&read, rc, got, err);
}

uint64_t
store__file_bytes(const struct zp_store_file *base)
{
	return ((const struct directory_file *)base)->bytes;
}

void
store__file_free(struct directory_file *file)
{
	store__disk_close(file->store, file->file, file->name);
	zp_free(file);
}

void
store__file_close(struct zp_store_file *base)
{
	struct directory_file *file = (struct directory_file *)base;
	struct zp_store_watch *watch = file->store->watch;
	bool is_stuck = false;

	if (watch != NULL) {
		zp_mutex_lock(&watch->lock);
		is_stuck = file->stuck > 0;
		file->is_closed = true;
		zp_mutex_unlock(&watch->lock);
	}
	if (!is_stuck)
		store__file_free(file);
}
