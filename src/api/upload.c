/*
 * upload.c - what bulk pinning and import share: both answer line by line while the body comes.
 */
#include "api/api_internal.h"

bool
api__upload_begin(struct api_call *call)
{
	if (atomic_fetch_add(&call->api->uploads, 1) < API_UPLOADS_MAX)
		return true;
	atomic_fetch_sub(&call->api->uploads, 1);
	api__answer_error(
	    call, 503, "%u uploads are under way, which is all there may be", API_UPLOADS_MAX);
	return false;
}

void
api__upload_end(struct zp_api *api)
{
	atomic_fetch_sub(&api->uploads, 1);
}

bool
api__lines_move(struct zp_buf *lines, struct zp_buf *out)
{
	size_t piece = zp_min_u64(lines->length, ZP_HTTP_PIECE_BYTES);

	zp_buf_append(out, lines->data, piece);
	zp_buf_consume(lines, piece);
	return lines->length > 0;
}

void
api__line_error(struct zp_buf *lines, const char *what, uint64_t line, const char *error)
{
	zp_buf_printf(lines, "{\"%s\":%llu,\"error\":", what, (unsigned long long)line);
	zp_json_put_text(lines, error);
	zp_buf_append_text(lines, "}\n");
}
