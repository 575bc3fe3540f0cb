/*
 * log.c - a file of a directory store that is appended to and synced.
 *
 * Flow:    the journal.
 * Owner:   one thread at a time.
 *
 * Two kinds of failure are kept apart. After a failed write the end of the file is unknown, and a
 * truncate makes it known again. After a failed sync the system may have dropped what it could not
 * write and call it clean, so no later sync of this log may be believed.
 */
#include "store/store_internal.h"

#include <inttypes.h>

struct directory_log {
	struct zp_store_log base; /* first */
	struct directory_store *store;
	int file;         /* handle of disk */
	uint64_t bytes;   /* where the next append goes */
	bool end_unknown; /* a write failed */
	bool sync_failed; /* for good */
	char name[STORE_TEMPORARY_NAME_BYTES];
};

static struct directory_log *
log_of(struct zp_store_log *log)
{
	return (struct directory_log *)log;
}

/* A new log: the file, then its name. ZP_E_EXISTS leaves what is there alone. */
static int
log_create(struct directory_store *store, const char *name, int *file_out, struct zp_err *err)
{
	int file;
	int rc;

	rc = store__disk_open(store, name, ZP_DISK_CREATE, &file, NULL);
	if (rc != 0)
		return zp_fail_errno(err, rc, "create %s/%s", store->path, name);
	rc = store__directory_sync(store, err);
	if (rc < 0) {
		store__disk_close(store, file, name);
		return rc;
	}
	*file_out = file;
	return 0;
}

static int
log_open_existing(struct directory_store *store, const char *name, int *file_out,
    uint64_t *bytes_out, struct zp_err *err)
{
	int rc = store__disk_open(store, name, ZP_DISK_WRITE, file_out, bytes_out);

	return rc == 0 ? 0 : zp_fail_errno(err, rc, "open %s/%s to append", store->path, name);
}

int
store__log_open(struct zp_store *base, const char *name, bool create, struct zp_store_log **log_out,
    struct zp_err *err)
{
	struct directory_store *store = (struct directory_store *)base;
	struct directory_log *log;
	uint64_t bytes = 0;
	int file = -1;
	int rc = store__name_check(store->path, name, err);

	if (rc == 0)
		rc = store__change_check(store, name, err);
	if (rc == 0 && create)
		rc = log_create(store, name, &file, err);
	else if (rc == 0)
		rc = log_open_existing(store, name, &file, &bytes, err);
	if (rc < 0)
		return rc;
	log = zp_alloc_zero(1, sizeof(*log));
	log->base.ops = base->ops;
	log->store = store;
	log->file = file;
	log->bytes = bytes;
	memcpy(log->name, name, strlen(name) + 1);
	*log_out = &log->base;
	return 0;
}

static int
log_usable(const struct directory_log *log, struct zp_err *err)
{
	if (log->sync_failed)
		return zp_fail(
		    err, ZP_E_IO, "%s/%s: an earlier sync failed", log->store->path, log->name);
	return 0;
}

/* For what may not go on after a failed write either. */
static int
log_end_known(const struct directory_log *log, struct zp_err *err)
{
	if (log->end_unknown)
		return zp_fail(
		    err, ZP_E_IO, "%s/%s: an earlier write failed", log->store->path, log->name);
	return log_usable(log, err);
}

int
store__log_append(struct zp_store_log *base, const void *data, size_t length, struct zp_err *err)
{
	struct directory_log *log = log_of(base);
	int rc = log_end_known(log, err);

	if (rc < 0)
		return rc;
	rc = store__disk_write(log->store, log->file, log->name, log->bytes, data, length);
	if (rc != 0) {
		log->end_unknown = true;
		return zp_fail_errno(err, rc, "append %zu bytes at %" PRIu64 " to %s/%s", length,
		    log->bytes, log->store->path, log->name);
	}
	log->bytes += length;
	return 0;
}

int
store__log_rewrite(
    struct zp_store_log *base, uint64_t offset, const void *data, size_t length, struct zp_err *err)
{
	struct directory_log *log = log_of(base);
	int rc = log_end_known(log, err);

	if (rc < 0)
		return rc;
	ZP_ASSERT(offset <= log->bytes && length <= log->bytes - offset);
	rc = store__disk_write(log->store, log->file, log->name, offset, data, length);
	if (rc != 0) {
		log->end_unknown = true;
		return zp_fail_errno(err, rc, "rewrite %zu bytes at %" PRIu64 " of %s/%s", length,
		    offset, log->store->path, log->name);
	}
	return 0;
}

int
store__log_sync(struct zp_store_log *base, struct zp_err *err)
{
	struct directory_log *log = log_of(base);
	struct directory_store *store = log->store;
	int rc = log_end_known(log, err);

	if (rc < 0 || store->no_sync)
		return rc;
	rc = store__disk_sync(store, log->file, log->name);
	if (rc != 0) {
		log->sync_failed = true;
		return zp_fail_errno(err, rc, "sync %s/%s", store->path, log->name);
	}
	return 0;
}

int
store__log_truncate(struct zp_store_log *base, uint64_t bytes, struct zp_err *err)
{
	struct directory_log *log = log_of(base);
	struct directory_store *store = log->store;
	int rc = log_usable(log, err);

	if (rc < 0)
		return rc;
	rc = store__disk_truncate(store, log->file, log->name, bytes);
	if (rc != 0) {
		log->end_unknown = true;
		return zp_fail_errno(
		    err, rc, "cut %s/%s to %" PRIu64 " bytes", store->path, log->name, bytes);
	}
	log->bytes = bytes;
	log->end_unknown = false;
	return store__log_sync(base, err);
}

uint64_t
store__log_bytes(const struct zp_store_log *base)
{
	return ((const struct directory_log *)base)->bytes;
}

void
store__log_close(struct zp_store_log *base)
{
	struct directory_log *log = log_of(base);

	store__disk_close(log->store, log->file, log->name);
	zp_free(log);
}
