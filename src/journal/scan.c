/*
 * scan.c - walks the batches of one journal file through a window of memory.
 *
 * Flow:    open.c and reader.c.
 * Owner:   whoever made the scan.
 */
#include "journal/journal_internal.h"

#include <stdlib.h>

#define WINDOW_READ_BYTES (1u << 20)
#define WINDOW_BYTES_MAX (ZP_JOURNAL_BATCH_BYTES_MAX + WINDOW_READ_BYTES)

static int
list_add(void *context, const char *name, struct zp_err *err)
{
	struct journal_file_list *list = context;
	uint64_t first_batch;

	if (!journal__name_parse(name, &first_batch))
		return 0;
	if (list->count == ZP_JOURNAL_FILES_MAX)
		return zp_fail(
		    err, ZP_E_FULL, "the journal has more than %u files", ZP_JOURNAL_FILES_MAX);
	if (list->count == list->capacity) {
		list->capacity = list->capacity * 2 + 16;
		list->first_batches = zp_realloc(
		    list->first_batches, list->capacity * sizeof(list->first_batches[0]));
	}
	list->first_batches[list->count++] = first_batch;
	return 0;
}

static int
compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int
journal__files_list(struct zp_store *store, struct journal_file_list *list, struct zp_err *err)
{
	int rc = zp_store_list(store, list_add, list, err);

	if (rc == 0 && list->count > 0)
		qsort(
		    list->first_batches, list->count, sizeof(list->first_batches[0]), compare_u64);
	return rc;
}

int
journal__scan_open(
    struct journal_scan *scan, struct zp_store *store, uint64_t first_batch, struct zp_err *err)
{
	int rc;

	*scan = (struct journal_scan){
	    .offset = JOURNAL_HEADER_BYTES,
	    .read_bytes = WINDOW_READ_BYTES,
	    .window = ZP_BUF_INIT(WINDOW_BYTES_MAX),
	};
	journal__name_format(first_batch, scan->name);
	rc = zp_store_file_open(store, scan->name, &scan->file, err);
	if (rc < 0)
		return rc;
	scan->limit = zp_store_file_bytes(scan->file);
	return 0;
}

void
journal__scan_close(struct journal_scan *scan)
{
	zp_store_file_close(scan->file);
	scan->file = NULL;
	zp_buf_done(&scan->window);
}

int
journal__scan_bytes(struct journal_scan *scan, uint64_t offset, size_t length,
    const uint8_t **bytes_out, struct zp_err *err)
{
	struct zp_buf *window = &scan->window;
	uint64_t end = scan->window_offset + window->length;
	uint8_t *room;
	size_t wanted;
	int rc;

	ZP_ASSERT(offset <= scan->limit && length <= scan->limit - offset);
	if (offset >= scan->window_offset && offset + length <= end) {
		*bytes_out = window->data + (offset - scan->window_offset);
		return 0;
	}
	if (offset >= scan->window_offset && offset < end)
		zp_buf_consume(window, offset - scan->window_offset); /* keeps what overlaps */
	else
		zp_buf_clear(window);
	scan->window_offset = offset;
	end = offset + window->length;
	wanted =
	    zp_min_u64(zp_max_u64(length - window->length, scan->read_bytes), scan->limit - end);
	room = zp_buf_reserve(window, wanted);
	ZP_ASSERT(room != NULL); /* length is at most a batch, and the window a batch and a read */
	rc = zp_store_file_read(scan->file, end, room, wanted, err);
	if (rc < 0) {
		zp_buf_clear(window);
		return rc;
	}
	window->length += wanted;
	*bytes_out = window->data;
	return 0;
}

int
journal__scan_next(
    struct journal_scan *scan, uint64_t number, struct journal_frame *frame_out, struct zp_err *err)
{
	uint64_t left = scan->limit - scan->offset;
	const uint8_t *bytes;
	size_t length;
	int rc;

	if (left == 0)
		return ZP_END;
	if (left < JOURNAL_BATCH_HEADER_BYTES)
		return JOURNAL_TORN;
	rc = journal__scan_bytes(scan, scan->offset, JOURNAL_BATCH_HEADER_BYTES, &bytes, err);
	if (rc < 0)
		return rc;
	length = journal__frame_length(bytes);
	if (length == 0 || length > left)
		return JOURNAL_TORN;
	rc = journal__scan_bytes(scan, scan->offset, length, &bytes, err);
	if (rc < 0)
		return rc;
	if (!journal__frame_is_whole(bytes, length, number))
		return JOURNAL_TORN;
	rc = journal__frame_decode(bytes, length, frame_out, err);
	if (rc < 0)
		return rc;
	scan->offset += length;
	return 0;
}

/* What is looked for behind damage. */
struct wanted {
	const struct journal_identity *identity;
	uint64_t number_min;
	uint64_t durable_min;
};

/* Whether a batch that is wanted stands at `offset`: 0, ZP_END, or an error. */
static int
wanted_at(struct journal_scan *scan, uint64_t offset, const struct wanted *wanted,
    uint64_t *number_out, struct zp_err *err)
{
	uint64_t left = scan->limit - offset;
	const uint8_t *bytes;
	uint64_t number;
	size_t length;
	int rc;

	if (left < JOURNAL_BATCH_HEADER_BYTES)
		return ZP_END;
	rc = journal__scan_bytes(scan, offset, JOURNAL_BATCH_HEADER_BYTES, &bytes, err);
	if (rc < 0)
		return rc;
	length = journal__frame_length(bytes);
	number = journal__frame_number(bytes);
	/* The cheap questions first: a payload may be full of what looks like a batch. That it is
	 * not one that a client made is for the cluster's id, which is random and told to nobody,
	 * to show. */
	if (length == 0 || length > left || !journal__frame_is_of(bytes, wanted->identity) ||
	    number < wanted->number_min || journal__frame_durable(bytes) < wanted->durable_min)
		return ZP_END;
	rc = journal__scan_bytes(scan, offset, length, &bytes, err);
	if (rc < 0)
		return rc;
	if (!journal__frame_is_whole(bytes, length, number))
		return ZP_END;
	*number_out = number;
	return 0;
}

/* The first wanted batch from *offset on; 0 and where, or ZP_END. */
static int
wanted_find(struct journal_scan *scan, const struct wanted *wanted, uint64_t *offset,
    uint64_t *number_out, struct zp_err *err)
{
	while (scan->limit - *offset >= JOURNAL_BATCH_HEADER_BYTES) {
		size_t length = zp_min_u64(scan->limit - *offset, WINDOW_READ_BYTES);
		const uint8_t *bytes;
		const uint8_t *found;
		int rc = journal__scan_bytes(scan, *offset, length, &bytes, err);

		if (rc < 0)
			return rc;
		found = journal__magic_find(bytes, length);
		if (found == NULL) {
			/* A magic may lie across the border of two pieces. */
			*offset += length - (JOURNAL_BATCH_HEADER_BYTES - 1);
			continue;
		}
		*offset += (size_t)(found - bytes);
		rc = wanted_at(scan, *offset, wanted, number_out, err);
		if (rc != ZP_END)
			return rc;
		(*offset)++;
	}
	return ZP_END;
}

/* A batch of the same write proves nothing, for a disk may keep the second half of an unfinished
 * write and lose the first. One that names the lost one as durable does: all that came before its
 * own write had been synced then. */
int
journal__scan_witness(struct journal_scan *scan, uint64_t number,
    const struct journal_identity *identity, uint64_t *witness_out, struct zp_err *err)
{
	struct wanted wanted = {identity, number + 1, number};
	uint64_t offset = scan->offset;

	return wanted_find(scan, &wanted, &offset, witness_out, err);
}

int
journal__scan_whole(struct journal_scan *scan, uint64_t number_min,
    const struct journal_identity *identity, uint64_t *number_out, struct zp_err *err)
{
	struct wanted wanted = {identity, number_min, 0};

	return wanted_find(scan, &wanted, &scan->offset, number_out, err);
}
