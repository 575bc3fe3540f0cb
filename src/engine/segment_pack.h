/*
 * segment_pack.h - the inside of a segment writer: rows wait in blocks until their group is
 * written.
 *
 * Flow: segment_writer.c takes rows in and chooses columns; segment_pack.c turns blocks into bytes.
 */
#ifndef ZP_ENGINE_SEGMENT_PACK_H
#define ZP_ENGINE_SEGMENT_PACK_H

#include "engine/segment_dictionary.h"
#include "engine/segment_internal.h"

/* A block that is being filled, or that waits for the rest of its group and for its texts. */
struct pending_block {
	uint64_t bucket;
	uint64_t part;        /* its number within the bucket; of ordered: its number in all */
	uint64_t texts_bytes; /* raw, of this block */
	bool texts_waiting; /* its texts block is not written yet: texts.begin is all that is known
			     */
	struct texts_place texts;
	struct block_columns rows;
};

/* Blocks that are written together. Slots are allocated when first used and kept. */
struct pending_set {
	struct pending_block *blocks[SEGMENT_GROUP_BLOCKS];
	uint32_t count;
};

struct segment_writer {
	struct zp_store_writer *file;
	struct segment_hash *hash;
	struct ZSTD_CCtx_s *compressor;
	struct segment_plan plan;
	struct segment_footer footer;
	struct segment_layout layout;
	struct ribbon_writer filter;
	struct column_sample samples[SEGMENT_COLUMNS_MAX];
	bool columns_chosen;
	struct texts_sample texts_sample;
	struct zp_buf dictionary; /* of texts; empty: none */
	bool dictionary_chosen;
	struct pending_block *newest; /* the block rows go to; NULL before the first */
	uint64_t bucket;              /* of the newest block */
	uint64_t parts;           /* blocks begun in this bucket, or in all of an ordered segment */
	bool bucket_fenced;       /* this bucket has several blocks: they go to `overflow` */
	int failed;               /* an earlier error: nothing more is taken */
	uint64_t position;        /* bytes written so far */
	uint64_t groups_written;  /* bucketed: entries in the directory */
	struct pending_set group; /* blocks of the present group, or of an ordered segment */
	struct pending_set overflow; /* blocks of the present bucket, when it has several */
	struct zp_buf texts;         /* raw, of the texts block that is open */
	struct zp_buf packed;        /* bytes on the way to the store */
	struct zp_buf directory;
	struct zp_buf fences;
};

/* Puts a new empty block at the end of the set. */
struct pending_block *pack__block_new(struct pending_set *set, uint64_t bucket, uint64_t part);
void pack__set_done(struct pending_set *set);

/* Writes raw bytes behind what is written, hashing them. */
int pack__write(struct segment_writer *writer, const void *data, size_t length, struct zp_err *err);
/* Closes the texts block that is open and tells the blocks that wait for it. */
int pack__texts(struct segment_writer *writer, struct zp_err *err);
/* Directory entries for groups without rows, up to but not `group`. */
void pack__groups_skip(struct segment_writer *writer, uint64_t group);
/* Write all blocks of a set and empty it: with their directory entries, or with fences. */
int pack__group(struct segment_writer *writer, uint64_t group, struct zp_err *err);
int pack__ordered(struct segment_writer *writer, struct zp_err *err);
int pack__overflow(struct segment_writer *writer, struct zp_err *err);

#endif
