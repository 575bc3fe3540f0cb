/*
 * calls.c - the calls of the disk that a store makes, each seen by the watch while it is under way.
 *
 * Flow:    writer.c, file.c, log.c, directory.c → here → zp_disk. Threads: any; no state.
 *
 * All of them, since on a disk that hangs any may be the one that does not return.
 */
#include "store/store_internal.h"

int
store__disk_list(struct directory_store *store, int (*each)(void *context, const char *name),
    void *context, int *answer_out)
{
	struct store_slot *slot = store__call_begin(store, "list", "");
	int rc = store->disk->ops->directory_list(
	    store->disk, store->directory, each, context, answer_out);

	store__call_end(slot);
	return rc;
}

int
store__disk_space(struct directory_store *store, uint64_t *free_out, uint64_t *all_out)
{
	struct store_slot *slot = store__call_begin(store, "space of", "");
	int rc =
	    store->disk->ops->directory_space(store->disk, store->directory, free_out, all_out);

	store__call_end(slot);
	return rc;
}

int
store__disk_rename(struct directory_store *store, const char *from, const char *to)
{
	struct store_slot *slot = store__call_begin(store, "rename", from);
	int rc = store->disk->ops->rename(store->disk, store->directory, from, to);

	store__call_end(slot);
	return rc;
}

int
store__disk_unlink(struct directory_store *store, const char *name)
{
	struct store_slot *slot = store__call_begin(store, "remove", name);
	int rc = store->disk->ops->unlink(store->disk, store->directory, name);

	store__call_end(slot);
	return rc;
}

/* `bytes_out` (NULL: not wanted) gets its length. */
int
store__disk_open(struct directory_store *store, const char *name, enum zp_disk_mode mode,
    int *file_out, uint64_t *bytes_out)
{
	struct store_slot *slot = store__call_begin(store, "open", name);
	struct zp_disk *disk = store->disk;
	int file = -1;
	int rc = disk->ops->file_open(disk, store->directory, name, mode, &file);

	if (rc == 0 && bytes_out != NULL) {
		rc = disk->ops->file_bytes(disk, file, bytes_out);
		if (rc != 0)
			disk->ops->close(disk, file);
	}
	store__call_end(slot);
	if (rc == 0)
		*file_out = file;
	return rc;
}

int
store__disk_read(struct directory_store *store, int file, const char *name, uint64_t offset,
    void *to, size_t length, size_t *got_out)
{
	struct store_slot *slot = store__call_begin(store, "read", name);
	int rc = store->disk->ops->file_read(store->disk, file, offset, to, length, got_out);

	store__call_end(slot);
	return rc;
}

struct zp_disk_read *
store__disk_reads_wait(struct directory_store *store, struct zp_disk_reads *reads, const char *name)
{
	struct store_slot *slot = store__call_begin(store, "read", name);
	struct zp_disk_read *read = store->disk->ops->reads_wait(reads);

	store__call_end(slot);
	return read;
}

int
store__disk_write(struct directory_store *store, int file, const char *name, uint64_t offset,
    const void *data, size_t length)
{
	struct store_slot *slot = store__call_begin(store, "write", name);
	int rc = store->disk->ops->file_write(store->disk, file, offset, data, length);

	store__call_end(slot);
	return rc;
}

int
store__disk_truncate(struct directory_store *store, int file, const char *name, uint64_t bytes)
{
	struct store_slot *slot = store__call_begin(store, "cut", name);
	int rc = store->disk->ops->file_truncate(store->disk, file, bytes);

	store__call_end(slot);
	return rc;
}

int
store__disk_sync(struct directory_store *store, int file, const char *name)
{
	struct store_slot *slot = store__call_begin(store, "sync", name);
	int rc = store->disk->ops->file_sync(store->disk, file);

	store__call_end(slot);
	return rc;
}

int
store__disk_sync_directory(struct directory_store *store)
{
	struct store_slot *slot = store__call_begin(store, "sync directory", "");
	int rc = store->disk->ops->directory_sync(store->disk, store->directory);

	store__call_end(slot);
	return rc;
}

void
store__disk_close(struct directory_store *store, int file, const char *name)
{
	struct store_slot *slot = store__call_begin(store, "close", name);

	store->disk->ops->close(store->disk, file);
	store__call_end(slot);
}
