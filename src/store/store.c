/*
 * store.c - whole small files, and many reads, over any kind of store.
 *
 * Flow:    manifests, checkpoints, maps, tables.
 * Threads: any; no state.
 */
#include "store/store.h"

#include <inttypes.h>

int
zp_store_read_all(struct zp_store *store, const char *name, size_t bytes_max, struct zp_buf *to,
    struct zp_err *err)
{
	struct zp_store_file *file = NULL;
	uint8_t *room = NULL;
	uint64_t bytes;
	int rc;

	zp_buf_clear(to);
	rc = zp_store_file_open(store, name, &file, err);
	if (rc < 0)
		return rc;
	bytes = zp_store_file_bytes(file);
	if (bytes <= bytes_max)
		room = zp_buf_reserve(to, zp_max_u64(bytes, 1)); /* an empty file has a place too */
	if (room == NULL)
		rc = zp_fail(err, ZP_E_TOO_LARGE, "%s has %" PRIu64 " bytes, at most %zu are read",
		    name, bytes, bytes_max);
	else
		rc = zp_store_file_read(file, 0, room, bytes, err);
	if (rc == 0)
		to->length = bytes;
	zp_store_file_close(file);
	return rc;
}

int
zp_store_write_all(
    struct zp_store *store, const char *name, struct zp_slice bytes, struct zp_err *err)
{
	struct zp_store_writer *writer = NULL;
	int rc;

	rc = zp_store_writer_open(store, name, &writer, err);
	if (rc < 0)
		return rc;
	rc = zp_store_writer_append(writer, bytes.data, bytes.length, err);
	if (rc < 0) {
		zp_store_writer_discard(writer);
		return rc;
	}
	return zp_store_writer_publish(writer, name, err);
}

/* One after the other. */
static int
read_each(const struct zp_store_read *reads, size_t count, zp_store_read_each *each, void *context)
{
	uint8_t *bytes = zp_alloc(ZP_STORE_READ_BYTES_MAX);
	int answer = 0;

	for (size_t i = 0; answer == 0 && i < count; i++) {
		int rc = zp_store_file_read(
		    reads[i].file, reads[i].offset, bytes, reads[i].length, NULL);

		answer = each(context, i, rc, bytes);
	}
	zp_free(bytes);
	return answer;
}

int
zp_store_read_many(
    const struct zp_store_read *reads, size_t count, zp_store_read_each *each, void *context)
{
	if (count == 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		ZP_ASSERT(reads[i].length <= ZP_STORE_READ_BYTES_MAX);
	return reads[0].file->ops->read_many == NULL
		   ? read_each(reads, count, each, context)
		   : reads[0].file->ops->read_many(reads, count, each, context);
}
