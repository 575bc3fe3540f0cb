/*
 * segment_dictionary.c - see segment_dictionary.h.
 */
#include "engine/segment_dictionary.h"

#include "engine/segment_internal.h"

#include <zdict.h>
#include <zstd.h>

#define DICTIONARY_BYTES 2048u
#define TEXTS_WORTH (1u << 20) /* of all rows: training takes some 30 ms */
#define TRIED 4u               /* of so many pieces one is to try on */
#define PIECES_MIN 12u
#define PIECE_ROWS 64u /* as a block of pins has, whose texts stay together */
#define GAIN_MIN 16u   /* a dictionary must save a 16th: each open file holds one */

void
texts_sample__init(struct texts_sample *sample)
{
	memset(sample, 0, sizeof(*sample));
	zp_buf_init(&sample->bytes, TEXTS_SAMPLES_MAX * (size_t)TEXTS_BLOCK_MAX);
}

void
texts_sample__done(struct texts_sample *sample)
{
	zp_buf_done(&sample->bytes);
}

void
texts_sample__add(struct texts_sample *sample, struct zp_slice texts)
{
	if (sample->is_full)
		return;
	sample->rows++;
	sample->rows_of_last++;
	if (texts.length == 0)
		return;
	if (sample->count == 0 || (sample->rows_of_last > PIECE_ROWS &&
				      sample->lengths[sample->count - 1] >= TEXTS_BLOCK_TARGET)) {
		sample->is_full = sample->count == TEXTS_SAMPLES_MAX;
		if (sample->is_full)
			return;
		sample->lengths[sample->count++] = 0;
		sample->rows_of_last = 1;
	}
	if (sample->lengths[sample->count - 1] + texts.length > TEXTS_BLOCK_MAX) {
		sample->rows--; /* passed over */
		return;
	}
	zp_buf_append_slice(&sample->bytes, texts);
	sample->lengths[sample->count - 1] += texts.length;
}

/* Bytes of the pieces from `first` on, compressed one by one; 0: that failed. */
static uint64_t
compressed_bytes(const struct texts_sample *sample, unsigned first, size_t offset,
    const struct zp_buf *dictionary, int level)
{
	ZSTD_CCtx *compressor = ZSTD_createCCtx();
	uint8_t *to = zp_alloc(ZSTD_compressBound(TEXTS_BLOCK_MAX));
	uint64_t bytes = 0;
	bool is_fine =
	    compressor != NULL && segment__compressor_set(compressor, level, dictionary) == 0;

	for (unsigned i = first; i < sample->count && is_fine; i++) {
		size_t length = ZSTD_compress2(compressor, to, ZSTD_compressBound(TEXTS_BLOCK_MAX),
		    sample->bytes.data + offset, sample->lengths[i]);

		is_fine = !ZSTD_isError(length);
		bytes += zp_min_u64(length, sample->lengths[i]); /* a block is kept raw then */
		offset += sample->lengths[i];
	}
	ZSTD_freeCCtx(compressor);
	zp_free(to);
	return is_fine ? bytes : 0;
}

void
dictionary__train(
    const struct texts_sample *sample, uint64_t rows, int level, struct zp_buf *dictionary)
{
	unsigned trained = sample->count - sample->count / TRIED;
	uint64_t tried = 0, without, with, all;
	size_t offset = 0, length;
	uint8_t *room;

	if (sample->count < PIECES_MIN)
		return;
	all = sample->bytes.length * rows / sample->rows;
	if (all < TEXTS_WORTH)
		return;
	for (unsigned i = 0; i < trained; i++)
		offset += sample->lengths[i];
	tried = sample->bytes.length - offset;
	room = zp_buf_reserve(dictionary, DICTIONARY_BYTES);
	ZP_ASSERT(room != NULL);
	length = ZDICT_trainFromBuffer(
	    room, DICTIONARY_BYTES, sample->bytes.data, sample->lengths, trained);
	if (ZDICT_isError(length)) /* nothing in common */
		return;
	dictionary->length = length;
	without = compressed_bytes(sample, trained, offset, NULL, level);
	with = compressed_bytes(sample, trained, offset, dictionary, level);
	if (with == 0 || with + without / GAIN_MIN > without ||
	    (without - with) * (all / tried) < length)
		zp_buf_clear(dictionary);
}
