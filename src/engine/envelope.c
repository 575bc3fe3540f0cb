/*
 * envelope.c - the common frame of manifest, checkpoint, map and tables.
 *
 * Flow:   written and read by engine and shard. Owner: the caller's thread.
 * Format: docs/formats.md, "Envelope of the small files".
 */
#include "engine/engine.h"

enum {
	ENVELOPE_BYTES = 56,
	CHECKSUM_FROM = 16, /* the checksum covers all bytes from here */
	ENVELOPE_VERSION = 1,
	FIELD_HEADER_BYTES = 8,
};

void
zp_envelope_begin(struct zp_buf *file, const char magic[8])
{
	uint8_t header[ENVELOPE_BYTES] = {0};

	memcpy(header, magic, 8);
	zp_store_u32le(header + 16, ENVELOPE_VERSION);
	zp_buf_clear(file);
	zp_buf_append(file, header, sizeof(header));
}

void
zp_envelope_field(struct zp_buf *file, uint16_t tag, const void *bytes, size_t length)
{
	ZP_ASSERT(length <= UINT32_MAX);
	zp_buf_append_u16le(file, tag);
	zp_buf_append_u16le(file, 0);
	zp_buf_append_u32le(file, (uint32_t)length);
	zp_buf_append(file, bytes, length);
}

uint64_t
zp_envelope_end(struct zp_buf *file)
{
	uint64_t checksum;

	ZP_ASSERT(!file->overflow && file->length >= ENVELOPE_BYTES);
	zp_store_u64le(file->data + 48, file->length - ENVELOPE_BYTES);
	checksum = zp_hash64(file->data + CHECKSUM_FROM, file->length - CHECKSUM_FROM, 0);
	zp_store_u64le(file->data + 8, checksum);
	return checksum;
}

int
zp_envelope_open(struct zp_slice file, const char magic[8], const char *what,
    struct zp_envelope_reader *reader_out, struct zp_err *err)
{
	uint64_t checksum;

	if (file.length < ENVELOPE_BYTES)
		return zp_fail(err, ZP_E_CORRUPT, "%s is only %zu bytes long", what, file.length);
	if (memcmp(file.data, magic, 8) != 0)
		return zp_fail(err, ZP_E_CORRUPT, "%s does not begin with %.8s", what, magic);
	checksum = zp_hash64(file.data + CHECKSUM_FROM, file.length - CHECKSUM_FROM, 0);
	if (checksum != zp_load_u64le(file.data + 8))
		return zp_fail(err, ZP_E_CORRUPT, "%s: checksum does not match its bytes", what);
	if (zp_load_u32le(file.data + 16) != ENVELOPE_VERSION)
		return zp_fail(err, ZP_E_VERSION,
		    "%s has format version %u, this zpin reads version %u: use the zpin that wrote "
		    "it",
		    what, zp_load_u32le(file.data + 16), ENVELOPE_VERSION);
	if (zp_load_u64le(file.data + 32) != 0 || zp_load_u64le(file.data + 40) != 0)
		return zp_fail(err, ZP_E_VERSION,
		    "%s uses features this zpin does not know: use the zpin that wrote it", what);
	if (zp_load_u32le(file.data + 20) != 0 ||
	    zp_load_u64le(file.data + 48) != file.length - ENVELOPE_BYTES)
		return zp_fail(err, ZP_E_CORRUPT, "%s: header does not fit its length", what);
	*reader_out = (struct zp_envelope_reader){
	    .body = {.data = file.data + ENVELOPE_BYTES, .length = file.length - ENVELOPE_BYTES},
	    .checksum = checksum,
	};
	return ZP_OK;
}

int
zp_envelope_next(struct zp_envelope_reader *reader, uint16_t *tag_out, struct zp_slice *field_out,
    struct zp_err *err)
{
	while (reader->position < reader->body.length) {
		const uint8_t *at = reader->body.data + reader->position;
		size_t left = reader->body.length - reader->position;
		uint32_t length;
		uint16_t tag;

		if (left < FIELD_HEADER_BYTES)
			return zp_fail(err, ZP_E_CORRUPT, "a field is cut off");
		tag = zp_load_u16le(at);
		length = zp_load_u32le(at + 4);
		if (zp_load_u16le(at + 2) != 0 || length > left - FIELD_HEADER_BYTES)
			return zp_fail(err, ZP_E_CORRUPT, "field %u is longer than the file", tag);
		if (tag < reader->last_tag)
			return zp_fail(err, ZP_E_CORRUPT, "field %u stands behind field %u", tag,
			    reader->last_tag);
		reader->last_tag = tag;
		reader->position += FIELD_HEADER_BYTES + length;
		if (tag >= ZP_ENVELOPE_OPTIONAL && tag > reader->optional_max)
			continue;
		*tag_out = tag;
		*field_out = (struct zp_slice){.data = at + FIELD_HEADER_BYTES, .length = length};
		return ZP_OK;
	}
	return ZP_END;
}
