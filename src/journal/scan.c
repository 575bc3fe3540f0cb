/*
 * scan.c - walks the batches of one journal file through a window of memory.
 *
 * Flow:    open.c and reader.c.
 * Owner:   whoever made the scan.
 */
#include "journal/journal_internal.h"

#define WINDOW_READ_BYTES (1u << 20)
#define WINDOW_BYTES_MAX (ZP_JOURNAL_BATCH_BYTES_MAX + WINDOW_READ_BYTES)

int
journal__scan_open(
    struct journal_scan *scan, struct zp_store *store, uint64_t first_batch, struct zp_err *err)
{
	int rc;

	*scan = (struct journal_scan){
	    .offset = JOURNAL_HEADER_BYTES,
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
	    zp_min_u64(zp_max_u64(length - window->length, WINDOW_READ_BYTES), scan->limit - end);
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

/*
 * Whether the batch at `offset`, if there is one, proves that batch `number` was acknowledged: all
 * that came before its own write had been synced then. A batch of the same write proves nothing,
 * for a disk may keep the second half of an unfinished write and lose the first.
 */
static int
witness_at(struct journal_scan *scan, uint64_t offset, uint64_t number,
    const struct journal_identity *identity, uint64_t *witness_out, struct zp_err *err)
{
	uint64_t left = scan->limit - offset;
	const uint8_t *bytes;
	uint64_t witness;
	size_t length;
	int rc;

	if (left < JOURNAL_BATCH_HEADER_BYTES)
		return ZP_END;
	rc = journal__scan_bytes(scan, offset, JOURNAL_BATCH_HEADER_BYTES, &bytes, err);
	if (rc < 0)
		return rc;
	length = journal__frame_length(bytes);
	witness = journal__frame_number(bytes);
	/* The cheap questions first: a payload may be full of what looks like a batch. */
	if (length == 0 || length > left || !journal__frame_is_of(bytes, identity) ||
	    witness <= number || journal__frame_durable(bytes) < number)
		return ZP_END;
	rc = journal__scan_bytes(scan, offset, length, &bytes, err);
	if (rc < 0)
		return rc;
	if (!journal__frame_is_whole(bytes, length, witness))
		return ZP_END;
	*witness_out = witness;
	return 0;
}

int
journal__scan_witness(struct journal_scan *scan, uint64_t number,
    const struct journal_identity *identity, uint64_t *witness_out, struct zp_err *err)
{
	uint64_t offset = scan->offset;

	while (scan->limit - offset >= JOURNAL_BATCH_HEADER_BYTES) {
		size_t length = zp_min_u64(scan->limit - offset, WINDOW_READ_BYTES);
		const uint8_t *bytes;
		const uint8_t *found;
		int rc = journal__scan_bytes(scan, offset, length, &bytes, err);

		if (rc < 0)
			return rc;
		found = journal__magic_find(bytes, length);
		if (found == NULL) {
			/* A magic may lie across the border of two pieces. */
			offset += length - (JOURNAL_BATCH_HEADER_BYTES - 1);
			continue;
		}
		offset += (size_t)(found - bytes);
		rc = witness_at(scan, offset, number, identity, witness_out, err);
		if (rc != ZP_END)
			return rc;
		offset++;
	}
	return ZP_END;
}
