/*
 * format.c - the bytes of journal files, batches and records.
 *
 * Flow:    journal.c encodes; open.c and reader.c decode, through scan.c.
 * Format:  docs/formats.md, "Journal". Pure.
 */
#include "journal/journal_internal.h"

#include <inttypes.h>
#include <stdio.h>

static const uint8_t header_magic[8] = {'Z', 'P', 'I', 'N', 'j', 'r', 'n', 'l'};
static const uint8_t batch_magic[4] = {'Z', 'P', 'j', 'b'};

/* Where the fields stand. */
enum header_offset {
	HEADER_CHECKSUM = 8,
	HEADER_VERSION = 16,
	HEADER_NODE = 20,
	HEADER_CLUSTER = 24,
	HEADER_FIRST_BATCH = 40,
	HEADER_PREVIOUS = 48,
	HEADER_INCOMPATIBLE = 56,
};

enum batch_offset {
	BATCH_LENGTH = 4,
	BATCH_CHECKSUM = 8,
	BATCH_VERSION = 16,
	BATCH_KIND = 17,
	BATCH_RESERVED = 18,
	BATCH_COUNT = 20,
	BATCH_CLUSTER = 24,
	BATCH_NODE = 40,
	BATCH_RESERVED_2 = 44,
	BATCH_EPOCH = 48,
	BATCH_NUMBER = 56,
	BATCH_TIME = 64,
	BATCH_ORIGIN = 72,
	BATCH_ORIGIN_SEQUENCE = 88,
	BATCH_PREVIOUS = 96,
	BATCH_DURABLE = 104,
};

/* What a checksum covers begins behind it, in headers and batches alike. */
#define CHECKED_OFFSET 16u

/* ---- Names and file headers ----------------------------------------------------------------- */

void
journal__name_format(uint64_t first_batch, char name_out[JOURNAL_NAME_BYTES])
{
	snprintf(name_out, JOURNAL_NAME_BYTES, "journal-%016" PRIx64 ".log", first_batch);
}

bool
journal__name_parse(const char *name, uint64_t *first_batch_out)
{
	char again[JOURNAL_NAME_BYTES];
	uint64_t first_batch;

	if (strlen(name) != JOURNAL_NAME_BYTES - 1 ||
	    sscanf(name, "journal-%16" SCNx64, &first_batch) != 1)
		return false;
	/* Only the one spelling that we write. */
	journal__name_format(first_batch, again);
	if (strcmp(name, again) != 0)
		return false;
	*first_batch_out = first_batch;
	return true;
}

void
journal__header_encode(const struct journal_header *header, uint8_t bytes_out[JOURNAL_HEADER_BYTES])
{
	memset(bytes_out, 0, JOURNAL_HEADER_BYTES);
	memcpy(bytes_out, header_magic, sizeof(header_magic));
	zp_store_u32le(bytes_out + HEADER_VERSION, JOURNAL_VERSION);
	zp_store_u32le(bytes_out + HEADER_NODE, header->identity.node);
	memcpy(bytes_out + HEADER_CLUSTER, header->identity.cluster_id, 16);
	zp_store_u64le(bytes_out + HEADER_FIRST_BATCH, header->first_batch);
	zp_store_u64le(bytes_out + HEADER_PREVIOUS, header->previous);
	zp_store_u64le(bytes_out + HEADER_CHECKSUM,
	    zp_hash64(bytes_out + CHECKED_OFFSET, JOURNAL_HEADER_BYTES - CHECKED_OFFSET, 0));
}

int
journal__header_decode(const uint8_t bytes[JOURNAL_HEADER_BYTES], struct journal_header *header_out,
    struct zp_err *err)
{
	struct journal_header header = {
	    .identity.node = zp_load_u32le(bytes + HEADER_NODE),
	    .first_batch = zp_load_u64le(bytes + HEADER_FIRST_BATCH),
	    .previous = zp_load_u64le(bytes + HEADER_PREVIOUS),
	};
	uint64_t checksum =
	    zp_hash64(bytes + CHECKED_OFFSET, JOURNAL_HEADER_BYTES - CHECKED_OFFSET, 0);

	if (memcmp(bytes, header_magic, sizeof(header_magic)) != 0)
		return zp_fail(err, ZP_E_CORRUPT, "the file header's magic is wrong");
	if (zp_load_u64le(bytes + HEADER_CHECKSUM) != checksum)
		return zp_fail(err, ZP_E_CORRUPT, "the file header's checksum is wrong");
	if (zp_load_u32le(bytes + HEADER_VERSION) != JOURNAL_VERSION ||
	    zp_load_u64le(bytes + HEADER_INCOMPATIBLE) != 0)
		return zp_fail(err, ZP_E_VERSION,
		    "written by a newer zpin (version %" PRIu32 ", features %" PRIx64 ")",
		    zp_load_u32le(bytes + HEADER_VERSION),
		    zp_load_u64le(bytes + HEADER_INCOMPATIBLE));
	memcpy(header.identity.cluster_id, bytes + HEADER_CLUSTER, 16);
	*header_out = header;
	return 0;
}

/* ---- Batches -------------------------------------------------------------------------------- */

void
journal__frame_encode(struct journal_frame *frame, uint8_t *to)
{
	const struct zp_journal_batch *batch = &frame->batch;
	size_t length = JOURNAL_BATCH_HEADER_BYTES + batch->records.length;

	memcpy(to, batch_magic, sizeof(batch_magic));
	zp_store_u32le(to + BATCH_LENGTH, (uint32_t)length);
	to[BATCH_VERSION] = JOURNAL_VERSION;
	to[BATCH_KIND] = (uint8_t)batch->kind;
	zp_store_u16le(to + BATCH_RESERVED, 0);
	zp_store_u32le(to + BATCH_COUNT, batch->record_count);
	memcpy(to + BATCH_CLUSTER, frame->identity.cluster_id, 16);
	zp_store_u32le(to + BATCH_NODE, frame->identity.node);
	zp_store_u32le(to + BATCH_RESERVED_2, 0);
	zp_store_u64le(to + BATCH_EPOCH, batch->epoch);
	zp_store_u64le(to + BATCH_NUMBER, batch->number);
	zp_store_u64le(to + BATCH_TIME, (uint64_t)batch->time_microseconds);
	memcpy(to + BATCH_ORIGIN, batch->origin.id, 16);
	zp_store_u64le(to + BATCH_ORIGIN_SEQUENCE, batch->origin.sequence);
	zp_store_u64le(to + BATCH_PREVIOUS, frame->previous);
	zp_store_u64le(to + BATCH_DURABLE, frame->durable);
	frame->checksum = zp_hash64(to + CHECKED_OFFSET, length - CHECKED_OFFSET, batch->number);
	zp_store_u64le(to + BATCH_CHECKSUM, frame->checksum);
}

size_t
journal__frame_length(const uint8_t head[JOURNAL_BATCH_HEADER_BYTES])
{
	uint32_t length = zp_load_u32le(head + BATCH_LENGTH);

	if (memcmp(head, batch_magic, sizeof(batch_magic)) != 0 ||
	    length < JOURNAL_BATCH_HEADER_BYTES || length > ZP_JOURNAL_BATCH_BYTES_MAX)
		return 0;
	return length;
}

uint64_t
journal__frame_number(const uint8_t head[JOURNAL_BATCH_HEADER_BYTES])
{
	return zp_load_u64le(head + BATCH_NUMBER);
}

uint64_t
journal__frame_durable(const uint8_t head[JOURNAL_BATCH_HEADER_BYTES])
{
	return zp_load_u64le(head + BATCH_DURABLE);
}

bool
journal__frame_is_of(
    const uint8_t head[JOURNAL_BATCH_HEADER_BYTES], const struct journal_identity *identity)
{
	return zp_load_u32le(head + BATCH_NODE) == identity->node &&
	       memcmp(head + BATCH_CLUSTER, identity->cluster_id, 16) == 0;
}

const uint8_t *
journal__magic_find(const uint8_t *bytes, size_t length)
{
	return memmem(bytes, length, batch_magic, sizeof(batch_magic));
}

bool
journal__frame_is_whole(const uint8_t *bytes, size_t length, uint64_t number)
{
	ZP_ASSERT(length >= JOURNAL_BATCH_HEADER_BYTES);
	return journal__frame_number(bytes) == number &&
	       zp_load_u64le(bytes + BATCH_CHECKSUM) ==
		   zp_hash64(bytes + CHECKED_OFFSET, length - CHECKED_OFFSET, number);
}

int
journal__frame_decode(
    const uint8_t *bytes, size_t length, struct journal_frame *frame_out, struct zp_err *err)
{
	struct journal_frame frame = {
	    .batch =
		{
		    .kind = bytes[BATCH_KIND],
		    .node = zp_load_u32le(bytes + BATCH_NODE),
		    .epoch = zp_load_u64le(bytes + BATCH_EPOCH),
		    .number = zp_load_u64le(bytes + BATCH_NUMBER),
		    .time_microseconds = (int64_t)zp_load_u64le(bytes + BATCH_TIME),
		    .origin.sequence = zp_load_u64le(bytes + BATCH_ORIGIN_SEQUENCE),
		    .record_count = zp_load_u32le(bytes + BATCH_COUNT),
		    .records = {bytes + JOURNAL_BATCH_HEADER_BYTES,
			length - JOURNAL_BATCH_HEADER_BYTES},
		},
	    .identity.node = zp_load_u32le(bytes + BATCH_NODE),
	    .durable = journal__frame_durable(bytes),
	    .previous = zp_load_u64le(bytes + BATCH_PREVIOUS),
	    .checksum = zp_load_u64le(bytes + BATCH_CHECKSUM),
	};

	memcpy(frame.identity.cluster_id, bytes + BATCH_CLUSTER, 16);
	memcpy(frame.batch.origin.id, bytes + BATCH_ORIGIN, 16);
	if (bytes[BATCH_VERSION] != JOURNAL_VERSION || bytes[BATCH_KIND] > ZP_JOURNAL_SEAL)
		return zp_fail(err, ZP_E_VERSION,
		    "written by a newer zpin (batch version %u, kind %u)", bytes[BATCH_VERSION],
		    bytes[BATCH_KIND]);
	if (zp_load_u16le(bytes + BATCH_RESERVED) != 0 ||
	    zp_load_u32le(bytes + BATCH_RESERVED_2) != 0)
		return zp_fail(err, ZP_E_CORRUPT, "reserved bytes of a batch are not 0");
	if (frame.batch.kind != ZP_JOURNAL_RECORDS && frame.batch.records.length != 0)
		return zp_fail(
		    err, ZP_E_CORRUPT, "a batch of kind %u has records", bytes[BATCH_KIND]);
	*frame_out = frame;
	return 0;
}

static int
chain_refuse(const struct journal_chain *chain, const struct journal_identity *identity,
    const struct journal_frame *frame, struct zp_err *err)
{
	const struct zp_journal_batch *batch = &frame->batch;

	if (frame->identity.node != identity->node ||
	    memcmp(frame->identity.cluster_id, identity->cluster_id, 16) != 0)
		return zp_fail(err, ZP_E_CORRUPT, "it is of another cluster or node");
	if (batch->number != chain->number + 1)
		return zp_fail(err, ZP_E_CORRUPT, "its number does not follow");
	if (frame->previous != chain->checksum)
		return zp_fail(err, ZP_E_CORRUPT, "it does not follow the batch before it");
	if (frame->durable < chain->durable || frame->durable >= batch->number)
		return zp_fail(err, ZP_E_CORRUPT, "it says that batch %" PRIu64 " was durable",
		    frame->durable);
	if (batch->time_microseconds < chain->time_microseconds)
		return zp_fail(err, ZP_E_CORRUPT, "its time is before that of the batch before it");
	if (batch->epoch < chain->epoch || (chain->is_sealed && batch->epoch == chain->epoch))
		return zp_fail(err, ZP_E_CORRUPT, "its epoch %" PRIu64 " had ended", batch->epoch);
	return 0;
}

int
journal__chain_follow(struct journal_chain *chain, const struct journal_identity *identity,
    const struct journal_frame *frame, struct zp_err *err)
{
	int rc = chain_refuse(chain, identity, frame, err);

	if (rc < 0)
		return rc;
	*chain = (struct journal_chain){
	    .number = frame->batch.number,
	    .checksum = frame->checksum,
	    .epoch = frame->batch.epoch,
	    .time_microseconds = frame->batch.time_microseconds,
	    .durable = frame->durable,
	    .is_sealed = frame->batch.kind == ZP_JOURNAL_SEAL,
	};
	return 0;
}

/* ---- Records -------------------------------------------------------------------------------- */

static bool
operation_is_known(uint8_t operation)
{
	switch (operation) {
	case ZP_OP_PUT:
	case ZP_OP_DELETE:
	case ZP_OP_EXPIRE:
	case ZP_OP_TRACK:
	case ZP_OP_TRACK_END:
	case ZP_OP_ACCESS:
	case ZP_OP_PEER:
	case ZP_OP_ALLOCATION_LIST:
	case ZP_OP_PEER_MOVED:
		return true;
	default:
		return false;
	}
}

int
zp_journal_record_append(
    struct zp_buf *records, const struct zp_journal_record *record, struct zp_err *err)
{
	size_t length = record->payload.length;
	uint8_t *to;

	if (length > ZP_JOURNAL_RECORD_PAYLOAD_MAX)
		return zp_fail(err, ZP_E_TOO_LARGE, "a journal record of %zu bytes, at most %u",
		    length, ZP_JOURNAL_RECORD_PAYLOAD_MAX);
	to = zp_buf_reserve(records, ZP_JOURNAL_RECORD_HEADER_BYTES + length);
	if (to == NULL)
		return zp_buf_check(records, "the records of a batch", err);
	zp_store_u64le(to, record->shard_id);
	zp_store_u32le(to + 8, record->incarnation);
	zp_store_u32le(to + 12, record->operation | (uint32_t)length << 8);
	if (length > 0)
		memcpy(to + ZP_JOURNAL_RECORD_HEADER_BYTES, record->payload.data, length);
	records->length += ZP_JOURNAL_RECORD_HEADER_BYTES + length;
	return 0;
}

int
zp_journal_record_next(struct zp_slice records, size_t *position,
    struct zp_journal_record *record_out, struct zp_err *err)
{
	const uint8_t *from = records.data + *position;
	size_t left = records.length - *position;
	uint32_t word;

	if (left == 0)
		return ZP_END;
	if (left < ZP_JOURNAL_RECORD_HEADER_BYTES)
		return zp_fail(err, ZP_E_CORRUPT, "a record is cut off");
	word = zp_load_u32le(from + 12);
	if (word >> 8 > left - ZP_JOURNAL_RECORD_HEADER_BYTES)
		return zp_fail(err, ZP_E_CORRUPT, "a record's payload is cut off");
	if (!operation_is_known((uint8_t)word))
		return zp_fail(err, ZP_E_VERSION, "written by a newer zpin (operation %u)",
		    (unsigned)(uint8_t)word);
	*record_out = (struct zp_journal_record){
	    .shard_id = zp_load_u64le(from),
	    .incarnation = zp_load_u32le(from + 8),
	    .operation = (uint8_t)word,
	    .payload = {from + ZP_JOURNAL_RECORD_HEADER_BYTES, word >> 8},
	};
	*position += ZP_JOURNAL_RECORD_HEADER_BYTES + (word >> 8);
	return 0;
}

int
journal__records_check(struct zp_slice records, uint32_t count, struct zp_err *err)
{
	struct zp_journal_record record;
	size_t position = 0;
	uint32_t found = 0;
	int rc;

	while ((rc = zp_journal_record_next(records, &position, &record, err)) == 0)
		found++;
	if (rc < 0)
		return rc;
	if (found != count)
		return zp_fail(err, ZP_E_CORRUPT,
		    "%" PRIu32 " records where %" PRIu32 " were expected", found, count);
	return 0;
}
