/*
 * segment_texts.c - texts blocks: runs of rows' texts, compressed together.
 *
 * Flow:   the writer packs them in front of the blocks that point back to them; get and iterate
 * load one at a time into a scratch. Format: docs/formats.md, "Block", "Texts".
 */
#include "engine/segment_internal.h"

#include <zstd.h>

#define ZSTD_LEVEL_DEFAULT 3

/* Frames without checksum (ours covers them), size (the block has it) and dictionary's number
 * (there is one in the file). */
int
segment__compressor_set(struct ZSTD_CCtx_s *compressor, int level, const struct zp_buf *dictionary)
{
	size_t rc = ZSTD_CCtx_setParameter(
	    compressor, ZSTD_c_compressionLevel, level == 0 ? ZSTD_LEVEL_DEFAULT : level);

	if (!ZSTD_isError(rc))
		rc = ZSTD_CCtx_setParameter(compressor, ZSTD_c_contentSizeFlag, 0);
	if (!ZSTD_isError(rc))
		rc = ZSTD_CCtx_setParameter(compressor, ZSTD_c_checksumFlag, 0);
	if (!ZSTD_isError(rc))
		rc = ZSTD_CCtx_setParameter(compressor, ZSTD_c_dictIDFlag, 0);
	if (!ZSTD_isError(rc) && dictionary != NULL)
		rc = ZSTD_CCtx_loadDictionary(compressor, dictionary->data, dictionary->length);
	return ZSTD_isError(rc) ? -1 : 0;
}

int
texts__dictionary_open(struct segment *segment, struct zp_slice bytes, struct zp_err *err)
{
	/* A raw piece of text would do for zstd; ours are trained and have their magic number. */
	if (bytes.length < 8 || zp_load_u32le(bytes.data) != ZSTD_MAGIC_DICTIONARY)
		return zp_fail(err, ZP_E_CORRUPT, "the texts' dictionary is none");
	segment->dictionary = ZSTD_createDDict(bytes.data, bytes.length);
	return segment->dictionary != NULL
		   ? 0
		   : zp_fail(err, ZP_E_CORRUPT, "the texts' dictionary is damaged");
}

void
texts__dictionary_close(struct segment *segment)
{
	ZSTD_freeDDict(segment->dictionary);
}

size_t
texts__dictionary_bytes(const struct segment *segment)
{
	return ZSTD_sizeof_DDict(segment->dictionary);
}

uint32_t
texts__checksum(uint64_t seed, uint64_t offset, const uint8_t *bytes, size_t length)
{
	return (uint32_t)zp_hash64(bytes, length, seed + (UINT64_C(1) << 63) + offset);
}

int
texts__compress(struct ZSTD_CCtx_s *compressor, uint64_t seed, uint64_t offset, struct zp_slice raw,
    struct zp_buf *to, struct zp_err *err)
{
	size_t begin = to->length;
	uint8_t *room = zp_buf_reserve(to, raw.length + CHECKSUM_BYTES);
	size_t length;

	if (room == NULL)
		return zp_buf_check(to, "a texts block", err);
	/* an answer that needs more room than the raw bytes is as good as an error: keep them raw
	 */
	length = ZSTD_compress2(compressor, room, raw.length, raw.data, raw.length);
	if (ZSTD_isError(length) || length >= raw.length) {
		memcpy(room, raw.data, raw.length);
		length = raw.length;
	}
	to->length += length;
	zp_buf_append_u32le(to, texts__checksum(seed, offset, to->data + begin, length));
	return 0;
}

void
segment__scratch_init(struct segment_scratch *scratch)
{
	*scratch = (struct segment_scratch){
	    .block = ZP_BUF_INIT(BLOCK_BYTES_MAX + BITS_SLACK),
	    .image = ZP_BUF_INIT(sizeof(struct block_cache_entry) + IMAGE_BYTES_MAX),
	    .texts_compressed = ZP_BUF_INIT(TEXTS_BLOCK_MAX + CHECKSUM_BYTES),
	    .texts = ZP_BUF_INIT(TEXTS_BLOCK_MAX),
	    .row_texts = ZP_BUF_INIT(BLOCK_TEXTS_MAX),
	};
}

void
segment__scratch_done(struct segment_scratch *scratch)
{
	zp_buf_done(&scratch->block);
	zp_buf_done(&scratch->image);
	zp_buf_done(&scratch->texts_compressed);
	zp_buf_done(&scratch->texts);
	zp_buf_done(&scratch->row_texts);
	ZSTD_freeDCtx(scratch->decompressor);
	scratch->decompressor = NULL;
	scratch->texts_serial = 0;
}

static int
decompress(const struct segment *segment, const struct texts_place *place,
    const uint8_t *compressed, struct segment_scratch *scratch, struct zp_err *err)
{
	uint8_t *to;
	size_t length;

	zp_buf_clear(&scratch->texts);
	to = zp_buf_reserve(&scratch->texts, place->length);
	ZP_ASSERT(to != NULL); /* block__parse checked the length */
	if (place->compressed_length == place->length) {
		memcpy(to, compressed, place->length);
		scratch->texts.length = place->length;
		return 0;
	}
	if (scratch->decompressor == NULL)
		scratch->decompressor = ZSTD_createDCtx();
	if (scratch->decompressor == NULL)
		return zp_fail(err, ZP_E_MEMORY, "no memory to decompress texts");
	length = ZSTD_decompress_usingDDict(scratch->decompressor, to, place->length, compressed,
	    place->compressed_length, segment->dictionary); /* NULL: none */
	if (ZSTD_isError(length) || length != place->length)
		return zp_fail(err, ZP_E_CORRUPT, "its texts at %llu do not decompress",
		    (unsigned long long)place->offset);
	scratch->texts.length = length;
	return 0;
}

bool
texts__is_loaded(const struct segment *segment, const struct texts_place *place,
    const struct segment_scratch *scratch)
{
	return scratch->texts_serial == segment->serial && scratch->texts_offset == place->offset &&
	       scratch->texts.length == place->length;
}

int
texts__load(const struct segment *segment, const struct texts_place *place,
    const uint8_t *compressed, struct segment_scratch *scratch, struct zp_err *err)
{
	int rc;

	if (texts__is_loaded(segment, place, scratch))
		return 0;
	scratch->texts_serial = 0;
	if (compressed == NULL) {
		uint8_t *to;

		zp_buf_clear(&scratch->texts_compressed);
		to = zp_buf_reserve(
		    &scratch->texts_compressed, place->compressed_length + CHECKSUM_BYTES);
		ZP_ASSERT(to != NULL);
		rc = zp_store_file_read(segment->file, place->offset, to,
		    place->compressed_length + CHECKSUM_BYTES, err);
		if (rc != 0)
			return zp_wrap(err, rc, "its texts");
		compressed = to;
	}
	if (texts__checksum(segment->layout.seed, place->offset, compressed,
		place->compressed_length) != zp_load_u32le(compressed + place->compressed_length))
		return zp_fail(err, ZP_E_CORRUPT, "its texts at %llu have a wrong checksum",
		    (unsigned long long)place->offset);
	rc = decompress(segment, place, compressed, scratch, err);
	if (rc == 0) {
		scratch->texts_serial = segment->serial;
		scratch->texts_offset = place->offset;
	}
	return rc;
}
