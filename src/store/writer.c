/*
 * writer.c - a file written once: gathered, synced, renamed, its directory synced.
 *
 * Flow:    segments, manifests, maps and new journal files come through here.
 * Owner:   one thread at a time per writer.
 */
#include "store/store_internal.h"

#include <errno.h>
#include <stdio.h>

/* Large enough that a call costs nothing beside its bytes, and a multiple of ZFS's recordsize. */
#define WRITER_GATHER_BYTES (512u << 10)

struct directory_writer {
	struct zp_store_writer base; /* first */
	struct directory_store *store;
	int file;               /* handle of disk */
	uint64_t bytes;         /* written to the file */
	struct zp_buf gathered; /* not yet written */
	bool failed;            /* a write failed; only discard is left */
	char temporary[STORE_TEMPORARY_NAME_BYTES];
};

static struct directory_writer *
writer_of(struct zp_store_writer *writer)
{
	return (struct directory_writer *)writer;
}

/* A final name: one that is not taken for rubbish at the next start. */
static int
final_name_check(const struct directory_store *store, const char *name, struct zp_err *err)
{
	int rc = store__name_check(store->path, name, err);

	if (rc < 0)
		return rc;
	if (store__name_is_temporary(name))
		return zp_fail(err, ZP_E_INVALID, "%s/%s: a file of this name would be removed",
		    store->path, name);
	return 0;
}

int
store__writer_open(struct zp_store *base, const char *name, struct zp_store_writer **writer_out,
    struct zp_err *err)
{
	struct directory_store *store = (struct directory_store *)base;
	struct directory_writer *writer;
	int rc = final_name_check(store, name, err);

	if (rc == 0)
		rc = store__change_check(store, name, err);
	if (rc < 0)
		return rc;
	writer = zp_alloc_zero(1, sizeof(*writer));
	writer->base.ops = base->ops;
	writer->store = store;
	zp_buf_init(&writer->gathered, WRITER_GATHER_BYTES);
	snprintf(writer->temporary, sizeof(writer->temporary), "%s" STORE_TEMPORARY_SUFFIX, name);

	/* A new file rather than a truncated one: a reader of the leftover, if any, keeps its
	 * bytes. */
	rc = store__disk_unlink(store, writer->temporary);
	if (rc == 0 || rc == ENOENT)
		rc =
		    store__disk_open(store, writer->temporary, ZP_DISK_CREATE, &writer->file, NULL);
	if (rc != 0) {
		rc = zp_fail_errno(err, rc, "create %s/%s", store->path, writer->temporary);
		zp_free(writer);
		return rc;
	}
	*writer_out = &writer->base;
	return 0;
}

static int
writer_write(struct directory_writer *writer, const void *data, size_t length, struct zp_err *err)
{
	struct directory_store *store = writer->store;
	int rc =
	    store__disk_write(store, writer->file, writer->temporary, writer->bytes, data, length);

	if (rc != 0) {
		writer->failed = true;
		return zp_fail_errno(err, rc, "write %s/%s", store->path, writer->temporary);
	}
	writer->bytes += length;
	return 0;
}

static int
writer_flush(struct directory_writer *writer, struct zp_err *err)
{
	int rc = 0;

	if (writer->gathered.length > 0)
		rc = writer_write(writer, writer->gathered.data, writer->gathered.length, err);
	if (rc == 0)
		zp_buf_clear(&writer->gathered);
	return rc;
}

int
store__writer_append(
    struct zp_store_writer *base, const void *data, size_t length, struct zp_err *err)
{
	struct directory_writer *writer = writer_of(base);
	const uint8_t *from = data;
	int rc;

	if (writer->failed)
		return zp_fail(err, ZP_E_IO, "%s/%s: an earlier write failed", writer->store->path,
		    writer->temporary);
	while (length > 0) {
		size_t part = zp_min_u64(length, WRITER_GATHER_BYTES - writer->gathered.length);

		if (part == WRITER_GATHER_BYTES) {
			/* Nothing is gathered and a whole piece is here: no need to copy it. */
			rc = writer_write(writer, from, part, err);
			if (rc < 0)
				return rc;
		} else {
			zp_buf_append(&writer->gathered, from, part);
		}
		if (writer->gathered.length == WRITER_GATHER_BYTES) {
			rc = writer_flush(writer, err);
			if (rc < 0)
				return rc;
		}
		from += part;
		length -= part;
	}
	return 0;
}

static void
writer_free(struct directory_writer *writer)
{
	store__disk_close(writer->store, writer->file, writer->temporary);
	zp_buf_done(&writer->gathered);
	zp_free(writer);
}

static int
writer_sync(struct directory_writer *writer, struct zp_err *err)
{
	struct directory_store *store = writer->store;
	int rc;

	if (store->no_sync)
		return 0;
	rc = store__disk_sync(store, writer->file, writer->temporary);
	if (rc != 0)
		return zp_fail_errno(err, rc, "sync %s/%s", store->path, writer->temporary);
	return 0;
}

/* All that must be durable before the name may be: otherwise a power cut could leave the name with
 * empty or old content behind it. */
static int
writer_finish(struct directory_writer *writer, const char *name, struct zp_err *err)
{
	struct directory_store *store = writer->store;
	int rc = final_name_check(store, name, err);

	if (rc < 0)
		return rc;
	if (writer->failed)
		return zp_fail(
		    err, ZP_E_IO, "%s/%s: an earlier write failed", store->path, writer->temporary);
	if (atomic_load(&store->directory_lost))
		return zp_fail(err, ZP_E_IO, "%s/%s: an earlier sync of the directory failed",
		    store->path, name);
	rc = writer_flush(writer, err);
	if (rc < 0)
		return rc;
	return writer_sync(writer, err);
}

int
store__writer_publish(struct zp_store_writer *base, const char *name, struct zp_err *err)
{
	struct directory_writer *writer = writer_of(base);
	struct directory_store *store = writer->store;
	int rc = writer_finish(writer, name, err);

	if (rc == 0) {
		rc = store__disk_rename(store, writer->temporary, name);
		if (rc != 0)
			rc = zp_fail_errno(
			    err, rc, "rename %s/%s to %s", store->path, writer->temporary, name);
	}
	if (rc < 0) {
		store__writer_discard(base);
		return rc;
	}
	rc = store__directory_sync(store, err);
	writer_free(writer);
	return rc;
}

void
store__writer_discard(struct zp_store_writer *base)
{
	struct directory_writer *writer = writer_of(base);
	struct directory_store *store = writer->store;

	/* What can't be removed now is removed at the next start, as after a power cut. */
	zp_ignore(store__disk_unlink(store, writer->temporary));
	writer_free(writer);
}
