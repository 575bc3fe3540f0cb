/*
 * fuzz_query.c - any target: walking its path and query stays inside, twice gives the same, and a
 * decoded part is never longer than its raw form.
 */
#include "http/http_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t
slice_hash(uint64_t hash, struct zp_slice slice)
{
	hash = hash * 31 + slice.length + 1;
	for (size_t i = 0; i < slice.length; i++)
		hash = hash * 31 + slice.data[i];
	return hash;
}

static uint64_t
walk(struct zp_http_request *request, size_t *decoded_out)
{
	struct zp_slice key;
	struct zp_slice value;
	struct zp_slice got;
	size_t position = 0;
	uint64_t hash = 0;

	*decoded_out = 0;
	while (zp_http_path_next(request, &position, &value) == 0) {
		hash = slice_hash(hash, value);
		*decoded_out += value.length;
	}
	position = 0;
	while (zp_http_query_next(request, &position, &key, &value) == 0) {
		ZP_ASSERT(memchr(key.data, '&', key.length) == NULL ||
			  zp_http_query(request).length > key.length);
		hash = slice_hash(slice_hash(hash, key), value);
		*decoded_out += key.length + value.length;
	}
	if (zp_http_query_get(request, "name", &got))
		hash = slice_hash(hash, got);
	return hash;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct http_head_limits limits = {16384, 1};
	struct zp_http_request *request;
	struct zp_buf head = ZP_BUF_INIT(20000);
	size_t decoded;
	uint64_t hash;

	if (size > 16000)
		return 0;
	zp_buf_append_text(&head, "GET /");
	zp_buf_append(&head, data, size);
	zp_buf_append_text(&head, " HTTP/1.0\r\n\r\n");
	request = zp_alloc_zero(1, sizeof(*request));
	http__head_reset(&request->head);
	if (http__head_parse(&request->head, &limits, head.data, head.length) == (int)head.length) {
		size_t bytes = head.length + request->head.target.length;

		request->bytes = zp_alloc_zero(1, bytes);
		memcpy(request->bytes, head.data, head.length);
		hash = walk(request, &decoded);
		ZP_ASSERT(decoded <= request->head.target.length);
		ZP_ASSERT(walk(request, &decoded) == hash);
		ZP_ASSERT(memcmp(request->bytes, head.data, head.length) == 0);
		zp_free(request->bytes);
	}
	zp_free(request);
	zp_buf_done(&head);
	return 0;
}
