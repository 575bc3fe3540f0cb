/*
 * segment.h - immutable sorted files of rows; private to engine/.
 *
 * Flow:    flush.c and merge.c write segments; view.c, scan.c and verify.c read them.
 * Threads: one thread uses a writer or an iterator; a segment that is open may be read by any.
 * Format:  docs/formats.md, "Segment".
 * Errors:  damage is ZP_E_CORRUPT naming file, section or block; never asserted.
 */
#ifndef ZP_ENGINE_SEGMENT_H
#define ZP_ENGINE_SEGMENT_H

#include "base/check.h"
#include "pin/pin.h"
#include "store/store.h"

enum zp_family {
	ZP_FAMILY_PIN = 1,
	ZP_FAMILY_TRACK = 2,
	ZP_FAMILY_TIME = 3,
	ZP_FAMILY_EXPIRE = 4,
	ZP_FAMILY_ACCESS = 5,
};

enum zp_row_operation {
	ZP_ROW_PUT = 0,
	ZP_ROW_TOMBSTONE = 1,
};

/* Of keys. Time: namespace, created, digest prefix, kind/version, codec, claim; expire: expire_at,
 * 4 × digest, kind/version, codec, namespace, claim. */
#define SEGMENT_TIME_COLUMNS 6u
#define SEGMENT_EXPIRE_COLUMNS 9u
#define SEGMENT_TRACK_COLUMNS 9u  /* 4 × digest, kind/version, codec, namespace, claim, peer */
#define SEGMENT_ACCESS_COLUMNS 6u /* digest prefix, tag, kind/version, codec, namespace, claim */
#define SEGMENT_KEY_COLUMNS_MAX 9u
#define SEGMENT_PIN_COLUMNS 8u /* of a track or expire key: the pin's key, in its order */
/* Behind them. */
#define SEGMENT_TRACK_VALUES 4u  /* status, since, attempts, flags */
#define SEGMENT_ACCESS_VALUES 3u /* count, last, replaces */
#define SEGMENT_VALUE_COLUMNS_MAX 4u

/* A time as a column has it: the sign flipped, so that order is kept; and back. */
static inline uint64_t
segment__time_column(int64_t time)
{
	return (uint64_t)time ^ UINT64_C(1) << 63;
}

static inline int64_t
segment__time_of_column(uint64_t column)
{
	return (int64_t)(column ^ UINT64_C(1) << 63);
}

struct segment_name {
	uint64_t low; /* hash128 of the whole file: its name is high then low, 16 hex digits each */
	uint64_t high;
};

/* One row of family pin. */
struct segment_row {
	struct zp_key key;
	uint8_t operation;       /* enum zp_row_operation */
	struct zp_record record; /* all zero for a tombstone; texts borrowed */
};

/* What an entry says besides that it is there: families track and access. */
struct segment_value {
	uint64_t columns[SEGMENT_VALUE_COLUMNS_MAX];
	struct zp_slice texts; /* borrowed */
};

/* One row of an ordered family. */
struct segment_entry {
	uint64_t columns[SEGMENT_KEY_COLUMNS_MAX];
	const struct segment_value
	    *value;         /* borrowed; NULL for tombstones and where there is none */
	uint64_t operation; /* enum zp_row_operation; of family time more (times.h) */
};

#define SEGMENT_COLUMNS_MAX 16u

/* A row of any family as its columns: what blocks are made of and taken apart to. */
struct segment_cells {
	uint64_t columns[SEGMENT_COLUMNS_MAX]; /* the last: the length of the texts, where there are
						  any */
	uint8_t digest[32];                    /* family pin; the others have it in their columns */
};

struct segment_info {
	struct segment_name name;
	struct zp_hash128 id;
	uint64_t bytes;
	uint64_t rows;
	uint64_t tombstones;
	uint8_t first_key[72];
	uint8_t last_key[72];
};

/* ---- Writing -------------------------------------------------------------------------------- */

struct segment_writer;

/* What a writer must know before the first row. */
struct segment_plan {
	struct zp_hash128 id;
	uint64_t shard_id;
	enum zp_family family;
	uint8_t prefix_bits;    /* leading digest bits that all keys of the shard share, 0 to 64 */
	uint64_t rows_expected; /* an upper bound that is close: it decides the bucket bits */
	uint8_t filter_bits;    /* for each key, at most RIBBON_BITS_MAX; 0: no filter */
	int zstd_level;         /* of texts; 0: 3 */
};

ZP_MUST_CHECK int segment__writer_open(struct zp_store *store, const struct segment_plan *plan,
    struct segment_writer **writer_out, struct zp_err *err);

/* What a writer takes of a row or an entry; its texts go beside it. */
void segment__row_cells(const struct segment_row *row, struct segment_cells *cells_out);
void segment__entry_cells(
    enum zp_family family, const struct segment_entry *entry, struct segment_cells *cells_out);

/*
 * Shows the writer a row before the first is added, in any order, as often as the caller likes (a
 * sample of a thousand is plenty): from these it chooses each column's encoder, and whether the
 * texts get a dictionary. Rows that do not fit get an encoding of their own in their block, so a
 * bad sample costs bytes, never rows.
 */
void segment__writer_sample(
    struct segment_writer *writer, const struct segment_cells *cells, struct zp_slice texts);

/* Adds the next row; keys must rise (ours to promise: asserted). */
ZP_MUST_CHECK int segment__writer_add(struct segment_writer *writer,
    const struct segment_cells *cells, struct zp_slice texts, struct zp_err *err);

/* Writes directory, fences, filter, columns and footer, publishes the file under its content's
 * name. Ends the writer in every case. At least one row must have been added. */
ZP_MUST_CHECK int segment__writer_finish(
    struct segment_writer *writer, struct segment_info *info_out, struct zp_err *err);
void segment__writer_discard(struct segment_writer *writer); /* NULL is allowed */

/* ---- Reading -------------------------------------------------------------------------------- */

struct segment; /* opaque, counted */

/* Opens and checks footer, header and sections (not the blocks; of an ordered family not the
 * directory, which is read and checked when it is first needed), against what the manifest says
 * where `expected` is not NULL. Memory: directory, fences, filter. */
ZP_MUST_CHECK int segment__open(struct zp_store *store, const struct segment_name *name,
    const struct segment_info *expected, struct segment **segment_out, struct zp_err *err);
/* The same without its filter, which is most of that memory: every key may be there. */
ZP_MUST_CHECK int segment__open_unfiltered(struct zp_store *store, const struct segment_name *name,
    const struct segment_info *expected, struct segment **segment_out, struct zp_err *err);
/* Gets will go by these caches, which must outlive the segment; NULL: none, as at first. Before
 * others see the segment. */
struct zp_texts_cache;
struct zp_block_cache;
void segment__caches_set(
    struct segment *segment, struct zp_texts_cache *texts, struct zp_block_cache *blocks);
struct segment *segment__hold(struct segment *segment); /* one more user; returns it */
void segment__release(struct segment *segment);         /* NULL is allowed; the last closes */

const struct segment_info *segment__info(const struct segment *segment);
enum zp_family segment__family(const struct segment *segment);
uint64_t segment__memory_bytes(const struct segment *segment);

/* What `segment__get` reads into; reuse it from call to call, by one thread. */
struct segment_scratch {
	struct zp_buf block;
	struct zp_buf image; /* made of it: an entry for the cache of blocks */
	bool image_is_whole; /* not of one slot only */
	struct zp_buf texts_compressed;
	struct zp_buf texts;
	struct zp_buf row_texts; /* of one row, from the cache */
	void *decompressor;      /* made when first needed */
	uint64_t texts_serial;   /* of the open segment whose texts block is in `texts`; 0 none */
	uint64_t texts_offset;   /* and which: so that neighbours don't decompress it twice */
};
void segment__scratch_init(struct segment_scratch *scratch);
void segment__scratch_done(struct segment_scratch *scratch);

/* False only when no row of that pin is there. */
bool segment__may_contain(const struct segment *segment, const struct zp_key *key);

/* The row of `key` or ZP_E_NOT_FOUND. A tombstone is a row: the caller decides what it means. The
 * row's texts live in `scratch` until its next use. The filter is not asked. */
ZP_MUST_CHECK int segment__get(const struct segment *segment, const struct zp_key *key,
    struct segment_scratch *scratch, struct segment_row *row_out, struct zp_err *err);

struct segment_iterator;

enum segment_read {
	SEGMENT_READ_ALL = 0,
	SEGMENT_READ_WITHOUT_TEXTS = 1, /* record.texts is empty: for counts and column filters */
};

/* Rows from the first at or after `from` (NULL: the first of all). The segment is held. */
ZP_MUST_CHECK int segment__iterator_open(struct segment *segment, const struct zp_key *from,
    enum segment_read read, struct segment_iterator **iterator_out, struct zp_err *err);
/* 0 and a row valid until the next call, ZP_END, or damage (the iterator is then over). */
ZP_MUST_CHECK int segment__iterator_next(
    struct segment_iterator *iterator, struct segment_row *row_out, struct zp_err *err);
/* A row of any family as it is stored, valid as long; its texts are empty where they are not read.
 */
ZP_MUST_CHECK int segment__cells_next(struct segment_iterator *iterator,
    const struct segment_cells **cells_out, struct zp_slice *texts_out, struct zp_err *err);
/* The same for ordered families; `from` is a row of key columns or NULL. An entry's value is valid
 * until the next call. */
ZP_MUST_CHECK int segment__entries_open(struct segment *segment, const uint64_t *from,
    struct segment_iterator **iterator_out, struct zp_err *err);
ZP_MUST_CHECK int segment__entries_next(
    struct segment_iterator *iterator, struct segment_entry *entry_out, struct zp_err *err);
void segment__iterator_close(struct segment_iterator *iterator);

/*
 * Reads everything: each block's checksum and order, texts (canonical form), counts, first and last
 * key, column minima and maxima, filter (each key is in it), the whole content against the name.
 * Tells `check` (NULL: nobody) each fault found, also that a place cannot be read, and goes on with
 * the next block; returns 0 when there was none, ZP_E_CORRUPT otherwise, or what ended the check.
 */
ZP_MUST_CHECK int segment__verify(
    struct segment *segment, const struct zp_check *check, struct zp_err *err);

/* Columns of an ordered family's key, and of what stands under it. */
size_t segment__key_columns(enum zp_family family);
size_t segment__value_columns(enum zp_family family);
/* Whether runs of the family that are written to have a filter: of the pins' keys. */
bool segment__family_known(unsigned family);
bool segment__has_filter(enum zp_family family);
/* Bits of the filter for each key of so many rows: 0 for none. */
uint8_t segment__filter_bits(enum zp_family family, uint64_t rows);

/* "<32 hex>.seg" for a name, and back (false when it is not one). `text` has ZP_FILE_NAME_MAX
 * bytes. */
void segment__name_format(const struct segment_name *name, char *text);
/* Makes the error for a fault of the whole file: names it and all keys that it has. */
int segment__file_fault(
    enum zp_family family, const struct segment_info *info, const char *fault, struct zp_err *err);
/* The same for a read of a segment that could not be opened. */
int segment__unopened_fault(
    enum zp_family family, const struct segment_info *info, struct zp_err *err);
bool segment__name_parse(const char *text, struct segment_name *name_out);

#endif
