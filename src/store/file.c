/*
 * file.c - reading a file of a directory store.
 *
 * Flow:    segments, manifests and the journal's readers.
 * Threads: any number may read one file.
 */
#include "store/store_internal.h"

#include <inttypes.h>

struct directory_file {
	struct zp_store_file base; /* first */
	struct directory_store *store;
	int file;       /* handle of disk */
	uint64_t bytes; /* when it was opened */
	char name[STORE_TEMPORARY_NAME_BYTES];
};

int
store__file_open(
    struct zp_store *base, const char *name, struct zp_store_file **file_out, struct zp_err *err)
{
	struct directory_store *store = (struct directory_store *)base;
	struct zp_disk *disk = store->disk;
	struct directory_file *file;
	uint64_t bytes = 0;
	int handle;
	int rc = store__name_check(store->path, name, err);

	if (rc < 0)
		return rc;
	rc = disk->ops->file_open(disk, store->directory, name, ZP_DISK_READ, &handle);
	if (rc != 0)
		return zp_fail_errno(err, rc, "open %s/%s", store->path, name);
	rc = disk->ops->file_bytes(disk, handle, &bytes);
	if (rc != 0) {
		disk->ops->close(disk, handle);
		return zp_fail_errno(err, rc, "length of %s/%s", store->path, name);
	}
	file = zp_alloc_zero(1, sizeof(*file));
	file->base.ops = base->ops;
	file->store = store;
	file->file = handle;
	file->bytes = bytes;
	memcpy(file->name, name, strlen(name) + 1);
	*file_out = &file->base;
	return 0;
}

int
store__file_read(
    struct zp_store_file *base, uint64_t offset, void *to, size_t length, struct zp_err *err)
{
	struct directory_file *file = (struct directory_file *)base;
	struct directory_store *store = file->store;
	size_t got = 0;
	int rc;

	rc = store->disk->ops->file_read(store->disk, file->file, offset, to, length, &got);
	if (rc != 0)
		return zp_fail_errno(
		    err, rc, "read %s/%s at %" PRIu64, store->path, file->name, offset);
	if (got < length)
		return zp_fail(err, ZP_E_CORRUPT,
		    "%s/%s ends at %" PRIu64 ", %zu bytes at %" PRIu64 " were expected",
		    store->path, file->name, offset + got, length, offset);
	return 0;
}

uint64_t
store__file_bytes(const struct zp_store_file *base)
{
	return ((const struct directory_file *)base)->bytes;
}

void
store__file_close(struct zp_store_file *base)
{
	struct directory_file *file = (struct directory_file *)base;

	file->store->disk->ops->close(file->store->disk, file->file);
	zp_free(file);
}
