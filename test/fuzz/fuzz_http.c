/*
 * fuzz_http.c - the head parser and the chunk decoder give one result however the bytes are cut.
 *
 * The first byte of the input seeds the cuts, the second chooses small limits or the usual ones,
 * the rest is what a client sends: heads, and behind each good one that is chunked, its body.
 * Pieces stand in memory of their own size, so that a read beyond them is seen.
 */
#include "http/http_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t
random_next(uint32_t *random)
{
	*random = *random * 1664525u + 1013904223u;
	return *random >> 16;
}

static int
parse_copy(struct http_head *head, const struct http_head_limits *limits, const uint8_t *data,
    size_t length)
{
	uint8_t *bytes = zp_alloc(length);
	int rc;

	memcpy(bytes, data, length);
	rc = http__head_parse(head, limits, bytes, length);
	zp_free(bytes);
	return rc;
}

/* As the bytes come in pieces: each call sees all that is there so far. */
static int
parse_cut(struct http_head *head, const struct http_head_limits *limits, const uint8_t *data,
    size_t size, uint32_t random)
{
	size_t length = 0;
	int rc = 0;

	http__head_reset(head);
	while (rc == 0 && length < size) {
		length += zp_min_u64(size - length, 1 + random_next(&random) % 20);
		rc = parse_copy(head, limits, data, length);
	}
	return rc;
}

static void
head_compare(const struct http_head *a, const struct http_head *b, const uint8_t *data)
{
	ZP_ASSERT(a->length == b->length && a->field_count == b->field_count);
	ZP_ASSERT(memcmp(a->fields, b->fields, a->field_count * sizeof(a->fields[0])) == 0);
	ZP_ASSERT(a->is_chunked == b->is_chunked && a->content_length == b->content_length);
	ZP_ASSERT(!(a->is_chunked && a->has_length));
	ZP_ASSERT(!a->is_http_1_1 || a->has_host);
	ZP_ASSERT(memchr(data, '\0', a->length) == NULL);
	for (size_t i = 1; i < a->length; i++)
		ZP_ASSERT((data[i] == '\n') == (data[i - 1] == '\r'));
	for (size_t i = 0; i < a->field_count; i++)
		ZP_ASSERT(a->fields[i].value.offset + a->fields[i].value.length < a->length);
}

struct outcome {
	enum http_chunk_result result;
	size_t used;
	uint64_t hash;
	size_t body_bytes;
};

static struct outcome
chunks_run(const uint8_t *data, size_t size, bool cut, uint32_t random)
{
	struct outcome outcome = {.result = HTTP_CHUNK_MORE};
	struct http_chunked decoder;

	http__chunked_init(&decoder);
	while (outcome.result == HTTP_CHUNK_MORE && outcome.used < size) {
		size_t length = size - outcome.used;
		struct zp_slice slice = {.length = length};
		uint8_t *bytes;

		if (cut)
			slice.length = length = zp_min_u64(length, 1 + random_next(&random) % 9);
		slice.data = bytes = zp_alloc(length);
		memcpy(bytes, data + outcome.used, length);
		do {
			struct zp_slice piece = {0};

			outcome.result = http__chunked_next(&decoder, &slice, &piece);
			for (size_t i = 0; i < piece.length; i++)
				outcome.hash = outcome.hash * 31 + piece.data[i];
			outcome.body_bytes += piece.length;
		} while (outcome.result == HTTP_CHUNK_DATA);
		outcome.used += length - slice.length;
		zp_free(bytes);
	}
	return outcome;
}

/* Returns what the body used; 0 when it is not complete or bad. */
static size_t
chunks_check(const uint8_t *data, size_t size, uint32_t random)
{
	struct outcome whole = chunks_run(data, size, false, 0);
	struct outcome cut = chunks_run(data, size, true, random);

	ZP_ASSERT(whole.result == cut.result && whole.used == cut.used);
	ZP_ASSERT(whole.hash == cut.hash && whole.body_bytes == cut.body_bytes);
	return whole.result == HTTP_CHUNK_END ? whole.used : 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct http_head_limits both[] = {{256, 4}, {16384, ZP_HTTP_HEADERS_MAX}};
	const struct http_head_limits *limits;
	uint32_t random;

	if (size < 2)
		return 0;
	random = data[0];
	limits = &both[data[1] & 1];
	data += 2;
	size -= 2;
	while (size > 0) {
		struct http_head whole;
		struct http_head cut;
		size_t used;
		int rc;

		http__head_reset(&whole);
		rc = parse_copy(&whole, limits, data, size);
		ZP_ASSERT(parse_cut(&cut, limits, data, size, random) == rc);
		ZP_ASSERT(rc <= limits->head_bytes_max && (size_t)(rc > 0 ? rc : 0) <= size);
		if (rc <= 0)
			return 0;
		head_compare(&whole, &cut, data);
		used = (size_t)rc;
		if (whole.is_chunked && size > used) {
			size_t body = chunks_check(data + used, size - used, random);

			if (body == 0)
				return 0;
			used += body;
		}
		data += used;
		size -= used;
	}
	return 0;
}
