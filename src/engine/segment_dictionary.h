/*
 * segment_dictionary.h - what the texts of a segment have in common, for zstd to begin with;
 * private to engine/.
 *
 * A texts block is a KiB, so that one name does not cost the unpacking of many: too short to learn
 * from. Flow: a segment writer collects a sample, and trains a dictionary on it before the first
 * texts block.
 */
#ifndef ZP_ENGINE_SEGMENT_DICTIONARY_H
#define ZP_ENGINE_SEGMENT_DICTIONARY_H

#include "base/base.h"
#include "base/buf.h"

#define DICTIONARY_BYTES_MAX 32768u /* that a reader takes */

#define TEXTS_SAMPLES_MAX 64u

/* Texts of rows, in pieces as long as a texts block. */
struct texts_sample {
	struct zp_buf bytes; /* owned: the pieces, one behind the other */
	size_t lengths[TEXTS_SAMPLES_MAX];
	unsigned count; /* pieces; the last is open */
	uint32_t rows_of_last;
	uint64_t rows; /* that were shown, also those without texts */
	bool is_full;
};

void texts_sample__init(struct texts_sample *sample);
void texts_sample__done(struct texts_sample *sample);
/* One more row; what is over a limit is passed over. */
void texts_sample__add(struct texts_sample *sample, struct zp_slice texts);

/*
 * Fills `dictionary` (empty) when texts like these, of so many rows, would become shorter by it
 * than it is long, as a part of the sample shows that it was not trained on. Else it stays empty.
 * The same sample gives the same bytes. `level` is zstd's.
 */
void dictionary__train(
    const struct texts_sample *sample, uint64_t rows, int level, struct zp_buf *dictionary);

#endif
