/*
 * segment_internal.h - what the files of the segment share: layout, blocks, texts, the open file.
 *
 * Flow:   segment_writer.c → segment_pack.c → segment_block.c write; segment_open.c, segment_get.c,
 *         segment_iterate.c, segment_verify.c → segment_block.c, segment_texts.c read.
 * Faults: functions that read bytes and know no file return NULL or a sentence that says what is
 *         wrong; the caller that knows which file and block makes the error of it.
 */
#ifndef ZP_ENGINE_SEGMENT_INTERNAL_H
#define ZP_ENGINE_SEGMENT_INTERNAL_H

#include "engine/block_cache.h"
#include "engine/block_image.h"
#include "engine/column.h"
#include "engine/filter.h"
#include "engine/segment.h"

#include <stdatomic.h>

#define SEGMENT_VERSION 1u
/* Rises when the same rows give other bytes: 2 has prefix codes and differences, 3 ribbons, 4 adds
 * up times, 5 smaller filters of small runs, 6 prefix codes of dictionaries. */
#define SEGMENT_ENCODER 6u
#define SEGMENT_HEADER_BYTES 64u
#define SEGMENT_FOOTER_BYTES 384u
#define SEGMENT_KEY_FIELD_BYTES 72u
#define SEGMENT_HEAD_BITS 64u /* prefix, bucket and slot lie in the first 64 bits of a digest */
#define SEGMENT_SLOT_BITS 6u
#define SEGMENT_SLOTS 64u
#define SEGMENT_GROUP_BLOCKS 16u
#define SEGMENT_GROUP_ENTRY_BYTES 44u
#define SEGMENT_FENCED 65535u /* instead of a block's length: look in the fences */
#define SEGMENT_FENCE_BYTES 72u
/* Incompatible features. */
#define SEGMENT_FEATURE_SHORT_COLUMNS \
	1u                            /* prefix codes, differences, ordered blocks over 128 rows */
#define SEGMENT_FEATURE_RIBBON 2u     /* the filter is a ribbon */
#define SEGMENT_FEATURE_ADDED 4u      /* rows of time are added up */
#define SEGMENT_FEATURE_DICTIONARY 8u /* texts are compressed with a dictionary */
#define SEGMENT_FEATURES                                                                  \
	(SEGMENT_FEATURE_SHORT_COLUMNS | SEGMENT_FEATURE_RIBBON | SEGMENT_FEATURE_ADDED | \
	    SEGMENT_FEATURE_DICTIONARY)
#define FILTER_SMALL_ROWS (UINT64_C(1) << 20)
#define BLOCK_ROWS_MAX 255u
#define BLOCK_BYTES_MAX 65534u
#define BLOCK_BYTES_MIN 6u
#define BLOCK_TEXTS_MAX 65536u   /* raw texts of one block: a record always fits alone */
#define TEXTS_BLOCK_TARGET 1024u /* raw bytes at which a texts block is closed */
#define TEXTS_BLOCK_MAX 69632u   /* raw bytes of one: of whole blocks, so the last may be large */
#define CHECKSUM_BYTES 4u

enum segment_layout_kind {
	LAYOUT_BUCKETED = 1,
	LAYOUT_ORDERED = 2,
};

/* Columns of family pin besides the facts, which are 6 to 14. */
enum pin_column {
	PIN_KIND = 0,
	PIN_VERSION = 1,
	PIN_CODEC = 2,
	PIN_NAMESPACE = 3,
	PIN_CLAIM = 4,
	PIN_OPERATION = 5,
	PIN_FACTS = 6,
	PIN_TEXTS = 15,
};
#define PIN_KEY_COLUMNS 5u
_Static_assert(PIN_FACTS + ZP_FACT_COUNT == PIN_TEXTS, "the facts fill their columns");
_Static_assert(TEXTS_BLOCK_TARGET + BLOCK_TEXTS_MAX <= TEXTS_BLOCK_MAX, "a texts block has room");
_Static_assert(PIN_TEXTS + 1 == SEGMENT_COLUMNS_MAX, "family pin has the most columns");

enum segment_section {
	SECTION_DIRECTORY = 0,
	SECTION_FENCES = 1,
	SECTION_FILTER = 2,
	SECTION_COLUMNS = 3,
	SECTION_DICTIONARY = 4, /* of texts; only with its feature */
	SECTION_COUNT = 5,
};

struct segment_section_place {
	uint64_t offset;
	uint64_t length;
	uint64_t checksum;
};

/* Header and footer, decoded. */
struct segment_footer {
	enum zp_family family;
	uint8_t prefix_bits;
	uint8_t bucket_bits;
	struct zp_hash128 id;
	uint64_t shard_id;
	uint64_t features_compatible;
	uint64_t features_read_only;
	uint64_t features_incompatible;
	uint64_t rows;
	uint64_t tombstones;
	uint64_t blocks;
	uint64_t texts_bytes; /* uncompressed */
	uint8_t first_key[SEGMENT_KEY_FIELD_BYTES];
	uint8_t last_key[SEGMENT_KEY_FIELD_BYTES];
	struct segment_section_place sections[SECTION_COUNT];
};

/* Where the columns of a block are, by its rows. */
struct column_places {
	uint32_t bits_before[SEGMENT_COLUMNS_MAX +
			     1]; /* that a row has in the columns before; the last: in all */
	uint32_t varying;        /* a bit for each column that is not constant */
	uint32_t classes;        /* one for each that has payloads */
};

/* All that is needed to understand a block's bytes. */
struct segment_layout {
	enum zp_family family;
	bool is_bucketed;
	uint8_t prefix_bits;
	uint8_t bucket_bits;
	uint8_t columns_count;
	uint8_t operation_column;  /* facts or values follow, then the length of the texts */
	uint8_t values_end;        /* the column behind them */
	uint8_t texts_column;      /* 0: the family has no texts */
	uint8_t difference_column; /* stored as differences of rows; SEGMENT_COLUMNS_MAX: none is */
	unsigned
	    remainder_bits; /* of a digest's first 64 bits: what prefix, bucket and slot leave */
	uint64_t prefix;    /* the shared bits, at the top */
	uint64_t seed;      /* low half of the segment id */
	struct column_code codes[SEGMENT_COLUMNS_MAX];
	struct column_range ranges[SEGMENT_COLUMNS_MAX];
	struct column_places places;             /* of codes; reading only */
	uint64_t constants[SEGMENT_COLUMNS_MAX]; /* their bases */
};

/* ---- segment_format.c ----------------------------------------------------------------------- */

size_t segment__columns(enum zp_family family);
/* The column that is stored as differences: SEGMENT_COLUMNS_MAX for none. */
size_t segment__rising_column(enum zp_family family);
bool segment__is_bucketed(enum zp_family family);
size_t segment__operation_column(enum zp_family family);
/* `seed` is the low half of the id, `head` the first 64 bits of any digest (0 for ordered). */
void segment__layout_init(struct segment_layout *layout, enum zp_family family, uint8_t prefix_bits,
    uint8_t bucket_bits, uint64_t head, uint64_t seed);
void segment__layout_done(struct segment_layout *layout);
/* The codes are there: works out what reading goes by. */
void segment__layout_ready(struct segment_layout *layout);
void segment__places_of(
    const struct column_code *codes, size_t count, struct column_places *places_out);

void segment__header_encode(
    const struct segment_footer *footer, uint8_t bytes_out[SEGMENT_HEADER_BYTES]);
int segment__header_check(const uint8_t bytes[SEGMENT_HEADER_BYTES],
    const struct segment_footer *footer, struct zp_err *err);
void segment__footer_encode(
    const struct segment_footer *footer, uint8_t bytes_out[SEGMENT_FOOTER_BYTES]);
/* Where the footer has the place of a section. */
size_t segment__section_at(size_t section);
bool segment__has_dictionary(const struct segment_footer *footer);
int segment__footer_decode(const uint8_t bytes[SEGMENT_FOOTER_BYTES],
    struct segment_footer *footer_out, struct zp_err *err);

/* The columns of a pin's key. */
void segment__key_cells(const uint8_t key[ZP_KEY_BYTES], struct segment_cells *cells_out);
/* NULL, or what is wrong with the columns of a row of family pin. */
const char *segment__row_columns_fault(const uint64_t columns[SEGMENT_COLUMNS_MAX]);
/* Key columns and facts; the digest and the texts are the caller's. NULL, or what is wrong. */
const char *segment__row_of_columns(
    const uint64_t columns[SEGMENT_COLUMNS_MAX], struct segment_row *row_out);
/* The same of columns without a fault, and the digest. */
void segment__row_of_cells(const struct segment_cells *cells, struct segment_row *row_out);
/* By key. */
int segment__cells_compare(const struct segment_layout *layout, const struct segment_cells *a,
    const struct segment_cells *b);
/* As the footer and fences have it, zeros behind. */
void segment__cells_key_encode(const struct segment_layout *layout,
    const struct segment_cells *cells, uint8_t key_out[SEGMENT_KEY_FIELD_BYTES]);
/* Of the pin that a row of a family with a filter is of. */
void segment__cells_pin_key_encode(const struct segment_layout *layout,
    const struct segment_cells *cells, uint8_t key_out[ZP_KEY_BYTES]);
void segment__columns_key_encode(
    const uint64_t *columns, size_t count, uint8_t key_out[SEGMENT_KEY_FIELD_BYTES]);
int segment__columns_compare(const uint64_t *a, const uint64_t *b, size_t count);
/* The pin's key of its 8 columns: what a filter is asked. They may be any. */
void segment__pin_key_encode(const uint64_t *columns, uint8_t key_out[ZP_KEY_BYTES]);

/* Whether the column says something of what was put: a tombstone's is read as 0 whatever is stored.
 */
static inline bool
segment__is_fact(const struct segment_layout *layout, size_t column)
{
	return column > layout->operation_column && column < layout->values_end;
}

/* A tombstone has the lowest bit set; the others are of family time only (times.h). */
static inline bool
segment__is_tombstone(const struct segment_layout *layout, const struct segment_cells *cells)
{
	return (cells->columns[layout->operation_column] & ZP_ROW_TOMBSTONE) != 0;
}

/* Where a digest's first 64 bits say its row is. */
static inline uint64_t
segment__bucket_of(const struct segment_layout *layout, uint64_t head)
{
	return layout->bucket_bits == 0
		   ? 0
		   : head << layout->prefix_bits >> (SEGMENT_HEAD_BITS - layout->bucket_bits);
}

static inline unsigned
segment__slot_of(const struct segment_layout *layout, uint64_t head)
{
	return (unsigned)(head >> layout->remainder_bits & (SEGMENT_SLOTS - 1));
}

static inline bool
segment__prefix_matches(const struct segment_layout *layout, uint64_t head)
{
	return layout->prefix_bits == 0 ||
	       (head ^ layout->prefix) >> (SEGMENT_HEAD_BITS - layout->prefix_bits) == 0;
}

/* ---- index.c: rows of families time and expire ----------------------------------------------- */

/* What an encoded key has behind the digest. */
struct key_tail {
	uint64_t kind_and_version;
	uint64_t codec;
	uint64_t namespace_id;
	uint64_t claim;
};
struct key_tail index__key_tail(const uint8_t key[ZP_KEY_BYTES]);
/* The key columns of an entry of family time; `head` is the first 64 bits of the digest. */
static inline void
index__time_columns(
    const struct key_tail *tail, uint64_t head, uint64_t moment, uint64_t *columns_out)
{
	columns_out[0] = tail->namespace_id;
	columns_out[1] = moment;
	columns_out[2] = head;
	columns_out[3] = tail->kind_and_version;
	columns_out[4] = tail->codec;
	columns_out[5] = tail->claim;
}
/* The key columns of the pin's entry at that moment, which is a column too. */
void index__entry_columns(enum zp_family family, const uint8_t key[ZP_KEY_BYTES], uint64_t moment,
    uint64_t columns_out[SEGMENT_KEY_COLUMNS_MAX]);

/* ---- track.c: rows of family track ---------------------------------------------------------- */

/* A change as a row, and back; value_out holds what entry_out->value shows. */
void track__entry_of(const struct zp_key *key, const struct zp_track *track,
    struct segment_value *value_out, struct segment_entry *entry_out);
/* The key without what stands under it, as a tombstone. */
void track__entry_of_key(const struct zp_key *key, uint32_t peer, struct segment_entry *entry_out);
/* NULL, or what is wrong. Of a tombstone only the peer of *track_out is filled. */
const char *track__of_entry(
    const struct segment_entry *entry, struct zp_key *key_out, struct zp_track *track_out);
/* What a value says, 0 for none (NULL). Ours, or checked. */
uint8_t track__status(const struct segment_value *value);
const char *track__entry_fault(const struct segment_entry *entry);

/* NULL, or what is wrong with a row of a family that has values. */
const char *segment__entry_fault(enum zp_family family, const struct segment_entry *entry);

/* ---- segment_block.c ------------------------------------------------------------------------ */

/* The rows of one block. */
struct block_rows {
	uint32_t count;
	uint32_t tombstones;
	struct segment_cells cells[BLOCK_ROWS_MAX];
};

/* The same column by column, as packing reads them. A column's room is no power of two: their lines
 * would all want the same few places of the first cache. */
#define BLOCK_COLUMN_ROOM 264u
struct block_columns {
	uint32_t count;
	uint32_t tombstones;
	uint64_t columns[SEGMENT_COLUMNS_MAX][BLOCK_COLUMN_ROOM];
	uint8_t digests[BLOCK_ROWS_MAX][32];
};
/* Puts a row behind the others; there is room. */
void block__row_add(const struct segment_layout *layout, const struct segment_cells *cells,
    struct block_columns *rows);
void block__row_get(const struct segment_layout *layout, const struct block_columns *rows,
    uint32_t row, struct segment_cells *cells_out);

/* Appends the block that will stand at `offset`. `texts` is NULL for none. Widens the ranges. */
void block__encode(const struct segment_layout *layout, const struct block_columns *rows,
    const struct texts_place *texts, uint64_t offset, uint64_t number, struct zp_buf *to,
    struct column_range *ranges);

/* A block whose checksum was right, taken apart as far as one lookup needs. */
struct block_view {
	const struct segment_layout *layout;
	const struct column_code *codes;    /* the layout's, or own[] */
	const struct column_places *places; /* likewise */
	const uint64_t *constants;          /* likewise: the values of columns that don't vary */
	const uint8_t *bits;
	uint64_t bits_end;
	uint64_t remainders_at;
	uint64_t columns_at;  /* of the first column */
	uint64_t payloads_at; /* of the first class column */
	uint64_t number;
	uint64_t bucket;
	uint64_t first; /* value of the difference column */
	uint32_t rows;
	bool has_texts;
	struct texts_place texts;
	struct column_code own[SEGMENT_COLUMNS_MAX];
	struct column_places own_places;
	uint64_t own_constants[SEGMENT_COLUMNS_MAX];
};

static inline uint64_t
block__column_at(const struct block_view *view, size_t column)
{
	return view->columns_at + (uint64_t)view->rows * view->places->bits_before[column];
}

/* `bytes` have BITS_SLACK readable bytes behind them. The block's place in the file is `offset`. */
const char *block__parse(const struct segment_layout *layout, const uint8_t *bytes, size_t length,
    uint64_t offset, uint64_t number, struct block_view *view_out);

/* Of each slot the number of the row behind its last. */
void block__slot_ends(const struct block_view *view, uint8_t ends_out[SEGMENT_SLOTS]);
void block__digest(
    const struct block_view *view, uint32_t row, unsigned slot, uint8_t digest_out[32]);

/* Of all rows the first 64 bits of the digests; and the whole of these. There is room. */
void block__heads(const struct block_view *view, uint64_t *heads_out);
void block__digests(
    const struct block_view *view, const uint64_t *heads, uint8_t (*digests_out)[32]);

/* All rows; `tombstones` is not filled. NULL, or what is wrong. */
const char *block__decode(const struct block_view *view, struct block_rows *rows_out);

/* ---- segment_texts.c ------------------------------------------------------------------------ */

uint32_t texts__checksum(uint64_t seed, uint64_t offset, const uint8_t *bytes, size_t length);

/* Compresses `raw` onto `to`, or copies it when that is no longer; followed by the checksum for
 * `offset`. The compressed length is what was added without the checksum. */
struct ZSTD_CCtx_s;
/* Level 0: 3; no dictionary: NULL. -1: zstd refuses. */
int segment__compressor_set(
    struct ZSTD_CCtx_s *compressor, int level, const struct zp_buf *dictionary);
/* The segment's dictionary from its section's bytes, and its memory. */
int texts__dictionary_open(struct segment *segment, struct zp_slice bytes, struct zp_err *err);
void texts__dictionary_close(struct segment *segment);
size_t texts__dictionary_bytes(const struct segment *segment);
int texts__compress(struct ZSTD_CCtx_s *compressor, uint64_t seed, uint64_t offset,
    struct zp_slice raw, struct zp_buf *to, struct zp_err *err);

/* Whether scratch->texts is that texts block already. */
bool texts__is_loaded(const struct segment *segment, const struct texts_place *place,
    const struct segment_scratch *scratch);
/* Makes scratch->texts the texts block at `place`; `compressed` are its bytes and checksum, or
 * NULL: then they are read. The caller knows for which block and names that. */
int texts__load(const struct segment *segment, const struct texts_place *place,
    const uint8_t *compressed, struct segment_scratch *scratch, struct zp_err *err);

/* ---- segment_hash.c ------------------------------------------------------------------------- */

/* hash128 of bytes that come in pieces. */
struct segment_hash;
struct segment_hash *segment__hash_new(void);
void segment__hash_free(struct segment_hash *hash);
void segment__hash_update(struct segment_hash *hash, const void *data, size_t length);
struct zp_hash128 segment__hash_end(const struct segment_hash *hash);
/* zp_hash64 of bytes that come in pieces, for segment__hash_update and _free. */
struct segment_hash *segment__hash64_new(uint64_t seed);
uint64_t segment__hash64_end(const struct segment_hash *hash);

/* ---- segment_open.c ------------------------------------------------------------------------- */

struct segment {
	struct zp_store_file *file;
	struct segment_info info;
	struct segment_footer footer;
	struct segment_layout layout;
	struct image_layout image; /* bucketed */
	struct filter filter;
	struct ZSTD_DDict_s *dictionary;    /* of texts; owned; NULL: none */
	struct segment_index *index;        /* owned */
	uint64_t blocks_end;                /* where groups end and the directory begins */
	uint64_t serial;                    /* unique in this process */
	struct zp_texts_cache *texts_cache; /* borrowed; NULL: none */
	struct zp_block_cache *block_cache; /* borrowed; NULL: none */
	char label[ZP_FILE_NAME_MAX + 16];  /* for errors */
	_Atomic(bool) is_damaged; /* some of its rows could not be read: merges go around it */
	atomic_uint users;
};

/* Reads a section; its checksum must be right. */
ZP_MUST_CHECK int segment__section_read(
    const struct segment *segment, enum segment_section section, uint8_t *to, struct zp_err *err);

/* ---- segment_index.c ------------------------------------------------------------------------ */

/* What says where blocks are. */
struct segment_index {
	_Atomic(void *) loaded; /* owned; NULL: not read yet */
	atomic_bool is_damaged;
};

/* Checks what the footer says of it. */
ZP_MUST_CHECK int segment__index_open(struct segment *segment, struct zp_err *err);
void segment__index_close(struct segment *segment); /* also of one that did not open */
/* Reads and checks it unless that was done: before anything asks where a block is. Any thread. A
 * damaged one is read again only when the segment is opened anew. */
ZP_MUST_CHECK int segment__index_load(const struct segment *segment, struct zp_err *err);
uint64_t segment__index_bytes(const struct segment *segment);  /* in memory now */
bool segment__index_is_damaged(const struct segment *segment); /* as some read has met it */
static inline const void *
segment__index(const struct segment *segment)
{
	return atomic_load_explicit(&segment->index->loaded, memory_order_acquire);
}

/* One block's place. */
struct block_place {
	uint64_t offset;
	uint32_t length;
	uint64_t number;
};

struct group_entry {
	uint64_t offset;        /* of its first block */
	uint32_t bytes;         /* of all its blocks */
	const uint8_t *lengths; /* SEGMENT_GROUP_BLOCKS × u16 */
};
struct group_entry segment__group(const struct segment *segment, uint64_t group);
uint64_t segment__groups_count(const struct segment_layout *layout);

/* The fences of a bucket: first_out … end_out − 1. */
void segment__fences_of(
    const struct segment *segment, uint64_t bucket, uint64_t *first_out, uint64_t *end_out);
static inline uint64_t
segment__fences_count(const struct segment *segment)
{
	return segment->footer.sections[SECTION_FENCES].length / SEGMENT_FENCE_BYTES;
}
const uint8_t *segment__fence_key(const struct segment *segment, uint64_t fence);
struct block_place segment__fence_place(
    const struct segment *segment, uint64_t fence, uint64_t first);
/* The fence to look behind for `key` among first … end − 1: the last whose key is not above it. */
uint64_t segment__fence_find(
    const struct segment *segment, uint64_t first, uint64_t end, const uint8_t key[ZP_KEY_BYTES]);

/* ---- segment_ordered.c: the directory of an ordered segment ---------------------------------- */

/* The part of it that a reader has at hand; zeroed at first. */
struct ordered_part {
	uint8_t *bytes; /* owned */
	uint64_t number;
};
void segment__ordered_part_done(struct ordered_part *part);

/* For segment_index.c: what the footer says of it; the bytes that stay in memory; reading and
 * checking all of it. */
const char *segment__ordered_lengths_check(const struct segment *segment);
uint64_t segment__ordered_bytes(const struct segment *segment);
ZP_MUST_CHECK int segment__ordered_read(
    const struct segment *segment, uint64_t *words_out, struct zp_err *err);
/* Once the index is loaded. */
ZP_MUST_CHECK int segment__ordered_place(const struct segment *segment, uint64_t block,
    struct ordered_part *part, struct block_place *place_out, struct zp_err *err);
/* The key of the first row of a block whose place was asked for last. */
void segment__ordered_first(const struct segment *segment, uint64_t block,
    const struct ordered_part *part, uint64_t *columns_out);
/* Between which keys those of a block are: its first, and one that none is above (the next block's
 * first). Where the directory cannot be read again, those of the blocks around it. */
void segment__ordered_bounds(
    const struct segment *segment, uint64_t block, uint64_t *first_out, uint64_t *last_out);
/* The last block whose first row is not above `from`; block 0 where all are. */
ZP_MUST_CHECK int segment__ordered_find(const struct segment *segment, const uint64_t *from,
    struct ordered_part *part, uint64_t *block_out, struct zp_err *err);

/* ---- segment_get.c -------------------------------------------------------------------------- */

/*
 * One key's way to its row, in steps: each asks the memory for what the next one needs, so that the
 * steps of many keys, taken in turn, wait for memory together. All steps but the last that reads a
 * block are in one visit of the cache.
 */
struct segment_probe {
	const struct segment *segment;
	const struct zp_key *key;
	const struct block_cache_entry *entry; /* in the cache; NULL: none */
	const struct block_image *image; /* of the block in memory that may have it; NULL: none */
	const uint8_t *row;              /* the first of its slot */
	uint32_t rows;                   /* that are left of the slot */
	uint8_t slot;
	bool is_outside; /* its prefix is not the segment's */
	uint64_t bucket;
};
void probe__begin(
    struct segment_probe *probe, const struct segment *segment, const struct zp_key *key);
void probe__find(struct segment_probe *probe);
void probe__locate(struct segment_probe *probe);
/* Whether the probe, which is located, has to read a block to end. */
static inline bool
probe__reads(const struct segment_probe *probe)
{
	return !probe->is_outside && probe->image == NULL;
}
/* Ends the probe: as segment__get, but texts that have to be read stay wanted.
 */
struct texts_wanted;
ZP_MUST_CHECK int probe__end_without(struct segment_probe *probe, struct segment_scratch *scratch,
    struct segment_row *row_out, struct texts_wanted *texts_out, struct zp_err *err);

/* What follows is for who reads the blocks and texts of many keys together (read.c). */

/* A block that is not in memory. */
struct block_wanted {
	struct block_place place;
	uint64_t cache_number; /* under which the cache has it */
};
/* Texts that are not. */
struct texts_wanted {
	struct texts_place place;
	uint64_t begin;  /* in the texts block */
	uint64_t length; /* 0: none are wanted */
	uint64_t block;  /* whose row's they are */
	bool is_kept;    /* the cache wants the texts block */
};

/* In a visit of the cache: the block that a get of the key has to read; false when it has to read
 * none, or fails. */
bool segment__block_wanted(
    const struct segment *segment, const struct zp_key *key, struct block_wanted *wanted_out);
/* Its bytes: makes its image in the scratch and for the cache. Where scratch->image_is_whole says
 * no, it is for that key only. */
ZP_MUST_CHECK int segment__block_give(const struct segment *segment,
    const struct block_wanted *wanted, const struct zp_key *key, const uint8_t *bytes,
    struct segment_scratch *scratch, struct zp_err *err);
/* As segment__get of a key for which the block was given last; texts that have to be read stay
 * wanted. */
ZP_MUST_CHECK int segment__get_given(const struct segment *segment, const struct zp_key *key,
    struct segment_scratch *scratch, struct segment_row *row_out, struct texts_wanted *texts_out,
    struct zp_err *err);
/* Those of a row of a pin of that kind; `bytes` are the texts block's, with its checksum, or NULL:
 * they are read. In the scratch until its next use. */
ZP_MUST_CHECK int segment__texts_get(const struct segment *segment,
    const struct texts_wanted *wanted, uint8_t kind, const uint8_t *bytes,
    struct segment_scratch *scratch, struct zp_slice *texts_out, struct zp_err *err);

/* ---- segment_place.c ------------------------------------------------------------------------ */

/* Makes the error for a fault of block `number`: names file, block and the keys that may be in it.
 */
int segment__block_fault(
    const struct segment *segment, uint64_t number, const char *fault, struct zp_err *err);
/* Puts that in front of an error, whose code is returned. */
int segment__block_wrap(const struct segment *segment, uint64_t number, int rc, struct zp_err *err);

#endif
