/*
 * chunk.c - takes a chunked body apart.
 *
 * Flow:  body.c feeds it what comes after the head.
 * Owner: nobody; pure. One byte of state decides, so that any cut of the bytes reads the same.
 *
 * Extensions and trailers are checked, limited and dropped: nothing here understands any.
 */
#include "http/http_internal.h"

enum {
	CHUNK_SIZE,      /* hexadecimal digits */
	CHUNK_EXTENSION, /* from ';' to CR */
	CHUNK_SIZE_LF,
	CHUNK_BYTES,
	CHUNK_BYTES_CR,
	CHUNK_BYTES_LF,
	CHUNK_FIELD_START, /* of a trailer line, or the last CR */
	CHUNK_FIELD_NAME,
	CHUNK_FIELD_VALUE,
	CHUNK_FIELD_LF,
	CHUNK_LAST_LF,
	CHUNK_OVER,
	CHUNK_WRONG,
};

#define CHUNK_DIGITS_MAX 15 /* so that sums of sizes cannot overflow */

void
http__chunked_init(struct http_chunked *decoder)
{
	*decoder = (struct http_chunked){.state = CHUNK_SIZE};
}

static int
hex_of(uint8_t byte)
{
	if (byte >= '0' && byte <= '9')
		return byte - '0';
	byte |= 0x20;
	return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

static uint8_t
size_step(struct http_chunked *decoder, uint8_t byte)
{
	int digit = hex_of(byte);

	if (digit >= 0) {
		if (++decoder->digits > CHUNK_DIGITS_MAX)
			return CHUNK_WRONG;
		decoder->remaining = decoder->remaining << 4 | (uint64_t)digit;
		return CHUNK_SIZE;
	}
	if (decoder->digits == 0)
		return CHUNK_WRONG;
	if (byte == '\r')
		return CHUNK_SIZE_LF;
	return byte == ';' ? CHUNK_EXTENSION : CHUNK_WRONG;
}

static uint8_t
extension_step(struct http_chunked *decoder, uint8_t byte)
{
	if (byte == '\r')
		return CHUNK_SIZE_LF;
	if (!http__is_text(byte) || ++decoder->extension_bytes > HTTP_CHUNK_EXTENSION_BYTES_MAX)
		return CHUNK_WRONG;
	return CHUNK_EXTENSION;
}

static uint8_t
field_step(struct http_chunked *decoder, uint8_t byte)
{
	if (++decoder->trailer_bytes > HTTP_CHUNK_TRAILER_BYTES_MAX)
		return CHUNK_WRONG;
	switch (decoder->state) {
	case CHUNK_FIELD_START:
		if (byte == '\r')
			return CHUNK_LAST_LF;
		return http__is_token(byte) ? CHUNK_FIELD_NAME : CHUNK_WRONG;
	case CHUNK_FIELD_NAME:
		if (byte == ':')
			return CHUNK_FIELD_VALUE;
		return http__is_token(byte) ? CHUNK_FIELD_NAME : CHUNK_WRONG;
	default:
		if (byte == '\r')
			return CHUNK_FIELD_LF;
		return http__is_text(byte) ? CHUNK_FIELD_VALUE : CHUNK_WRONG;
	}
}

static uint8_t
framing_step(struct http_chunked *decoder, uint8_t byte)
{
	switch (decoder->state) {
	case CHUNK_SIZE:
		return size_step(decoder, byte);
	case CHUNK_EXTENSION:
		return extension_step(decoder, byte);
	case CHUNK_SIZE_LF:
		if (byte != '\n')
			return CHUNK_WRONG;
		return decoder->remaining > 0 ? CHUNK_BYTES : CHUNK_FIELD_START;
	case CHUNK_BYTES_CR:
		return byte == '\r' ? CHUNK_BYTES_LF : CHUNK_WRONG;
	case CHUNK_BYTES_LF:
		decoder->digits = 0;
		return byte == '\n' ? CHUNK_SIZE : CHUNK_WRONG;
	case CHUNK_FIELD_LF:
		return byte == '\n' ? CHUNK_FIELD_START : CHUNK_WRONG;
	case CHUNK_LAST_LF:
		return byte == '\n' ? CHUNK_OVER : CHUNK_WRONG;
	default:
		return field_step(decoder, byte);
	}
}

enum http_chunk_result
http__chunked_next(struct http_chunked *decoder, struct zp_slice *bytes, struct zp_slice *piece_out)
{
	ZP_ASSERT(decoder->state != CHUNK_OVER);
	while (bytes->length > 0 && decoder->state != CHUNK_WRONG) {
		if (decoder->state == CHUNK_BYTES) {
			size_t length = zp_min_u64(bytes->length, decoder->remaining);

			*piece_out = (struct zp_slice){.data = bytes->data, .length = length};
			bytes->data += length;
			bytes->length -= length;
			decoder->remaining -= length;
			if (decoder->remaining == 0)
				decoder->state = CHUNK_BYTES_CR;
			return HTTP_CHUNK_DATA;
		}
		decoder->state = framing_step(decoder, *bytes->data);
		bytes->data++;
		bytes->length--;
		if (decoder->state == CHUNK_OVER)
			return HTTP_CHUNK_END;
	}
	return decoder->state == CHUNK_WRONG ? HTTP_CHUNK_BAD : HTTP_CHUNK_MORE;
}
