/*
 * import_lines.c - one line of an import as one write: a pin object, or a bare CID.
 *
 * Flow:  import.c cuts lines → here → a batch of writes. Owner: the feeding thread.
 *
 * A write borrows its texts and peers from its batch's arena, one block of fixed size: no
 * allocation per line, and what was borrowed never moves.
 */
#include "command/import_internal.h"

void
import__reader_init(
    struct import__reader *reader, struct zp_node *node, const struct zp_import_options *options)
{
	reader->node = node;
	reader->options = options;
	zp_pin_lines_init(&reader->lines);
	zp_buf_init(&reader->texts, ZP_RECORD_BYTES_MAX);
}

void
import__reader_done(struct import__reader *reader)
{
	zp_pin_lines_done(&reader->lines);
	zp_buf_done(&reader->texts);
}

void
import__batch_clear(struct import__batch *batch)
{
	batch->batch.count = 0;
	batch->arena_used = 0;
	batch->journal_bytes = 0;
}

/* ---- The arena ------------------------------------------------------------------------------ */

/* NULL when it is full. */
static void *
arena_take(struct import__batch *batch, size_t bytes)
{
	size_t rounded = (bytes + 15) & ~(size_t)15;
	uint8_t *taken = batch->arena + batch->arena_used;

	if (rounded > IMPORT__ARENA_BYTES - batch->arena_used)
		return NULL;
	batch->arena_used += rounded;
	return taken;
}

static bool
arena_copy(struct import__batch *batch, struct zp_slice from, struct zp_slice *to)
{
	uint8_t *bytes = arena_take(batch, from.length);

	if (bytes == NULL)
		return false;
	if (from.length > 0)
		memcpy(bytes, from.data, from.length);
	*to = (struct zp_slice){.data = bytes, .length = from.length};
	return true;
}

/* ---- Reading -------------------------------------------------------------------------------- */

/* What `POST /pins/<cid>` without options would make of it, but for rules and refusals. */
static int
cid_read(struct import__reader *reader, struct zp_slice line, struct zp_err *err)
{
	const struct zp_node_options *node = &reader->node->options;
	struct zp_pin *pin = &reader->lines.pin;

	zp_pin_lines_reset(&reader->lines);
	pin->max_depth = -1;
	pin->replication_min = node->replication_min;
	pin->replication_max = node->replication_max;
	pin->created_seconds = zp_clock_realtime_us() / 1000000;
	return zp_cid_parse(line, &pin->cid, err);
}

static struct zp_slice
peer_mapped(const struct zp_import_options *options, struct zp_slice peer)
{
	for (size_t i = 0; i < options->map_count; i++) {
		if (zp_slice_equal(options->map[i][0], peer))
			return options->map[i][1];
	}
	return peer;
}

static bool
allocations_copy(const struct zp_import_options *options, const struct zp_slice *peers,
    size_t count, struct import__batch *batch, struct zp_write *write)
{
	struct zp_slice *copies;

	write->allocations = NULL;
	write->allocations_count = 0;
	if (count == 0 || options->allocations == ZP_IMPORT_ALLOCATIONS_DROP)
		return true;
	copies = arena_take(batch, count * sizeof(*copies));
	for (size_t i = 0; copies != NULL && i < count; i++) {
		struct zp_slice peer = options->allocations == ZP_IMPORT_ALLOCATIONS_MAP
					   ? peer_mapped(options, peers[i])
					   : peers[i];

		if (!arena_copy(batch, peer, &copies[i]))
			return false;
	}
	write->allocations = copies;
	write->allocations_count = count;
	return copies != NULL;
}

/* Field by field: what answers is set by the commit, and the answer's texts keep their memory. */
static void
write_begin(struct zp_write *write, enum zp_write_kind kind)
{
	write->kind = kind;
	write->allocations = NULL;
	write->allocations_count = 0;
	write->has_update_from = false;
	write->update_keeps_name = false;
	write->update_keeps_expiry = false;
	write->rc = ZP_OK;
	write->was_there = false;
}

/* Puts the pin that was read into the batch's next write. */
static int
write_add(struct import__reader *reader, const struct zp_record *record,
    const struct zp_slice *peers, size_t peers_count, struct import__batch *batch,
    struct zp_err *err)
{
	enum { AHEAD = 2 };
	struct zp_write *write = &batch->writes[batch->batch.count];
	size_t before = batch->arena_used, bytes;

	if (batch->batch.count + AHEAD < IMPORT__BATCH_WRITES_MAX)
		command__write_prefetch(write + AHEAD);
	write_begin(write, ZP_WRITE_IMPORT);
	write->record = *record;
	zp_key_of_cid(&reader->lines.pin.cid, 0, 0, &write->key);
	if (!arena_copy(batch, record->texts, &write->record.texts) ||
	    !allocations_copy(reader->options, peers, peers_count, batch, write)) {
		batch->arena_used = before;
		return zp_fail(err, ZP_E_FULL, "the batch has no room for the line");
	}
	bytes = command__write_bytes(write);
	if (batch->journal_bytes + bytes > COMMAND__JOURNAL_RECORDS_BYTES_MAX) {
		batch->arena_used = before;
		return zp_fail(err, ZP_E_FULL, "the batch has no room for the line");
	}
	batch->journal_bytes += bytes;
	batch->batch.count++;
	return ZP_OK;
}

int
import__line_add(struct import__reader *reader, struct zp_slice line, struct import__batch *batch,
    struct zp_err *err)
{
	struct zp_slice self = {reader->node->options.peer_id, reader->node->options.peer_id_bytes};
	const struct zp_pin *pin = &reader->lines.pin;
	const struct zp_slice *peers;
	size_t peers_count;
	struct zp_record record;
	bool is_object = line.data[0] == '{';
	int rc;

	if (batch->batch.count == IMPORT__BATCH_WRITES_MAX)
		return zp_fail(err, ZP_E_FULL, "the batch has no room for the line");
	rc = is_object ? zp_pin_lines_read(&reader->lines, line, err) : cid_read(reader, line, err);
	if (rc == ZP_OK)
		rc = zp_pin_to_record(pin, 0, &reader->texts, &record, err);
	if (rc < 0)
		return rc;
	peers = pin->allocations;
	peers_count = pin->allocations_count;
	if (!is_object && pin->replication_min > 0) {
		peers = &self;
		peers_count = 1;
	}
	return write_add(reader, &record, peers, peers_count, batch, err);
}

void
import__delete_add(struct import__batch *batch, const struct zp_key *key)
{
	struct zp_write *write = &batch->writes[batch->batch.count];

	ZP_ASSERT(batch->batch.count < IMPORT__BATCH_WRITES_MAX);
	write_begin(write, ZP_WRITE_DELETE);
	write->key = *key;
	batch->journal_bytes += command__write_bytes(write);
	batch->batch.count++;
}
