/*
 * pin_source.h - one sorted input of a scan of pins, a batch at a time; private to engine/.
 *
 * Flow: pin_scan.c → here → run_source.c or a memtable. One thread.
 */
#ifndef ZP_ENGINE_PIN_SOURCE_H
#define ZP_ENGINE_PIN_SOURCE_H

#include "engine/block_batch.h"
#include "engine/run_source.h"

/* What is wanted of all sources of a scan. */
struct pin_wanted {
	struct run_wanted runs;
	struct zp_scan_filter filter;
	uint32_t filter_columns; /* that say whether a row is wanted; 0: all are */
	uint32_t columns;        /* to unpack of rows that are given */
	bool gives_keys;
	bool gives_texts;
	struct zp_key from;
};

struct key_bound {
	uint64_t head;                 /* its first 64 bits */
	uint8_t key[SOURCE_KEY_BYTES]; /* encoded, if it is one */
};

struct pin_source {
	struct memtable_rows *rows; /* of a memtable; NULL: a run */
	struct run_source run;
	bool over;
	bool is_fenced;   /* the batch is one of several blocks of its bucket */
	bool is_excluded; /* the filter takes none of its rows, as its constants say */
	uint32_t tests; /* columns of the batch that say which of its rows are wanted; 0: all are */
	bool is_tested; /* `matches` says which */
	bool is_ready;  /* what is given of the batch is unpacked, and the next five are set */
	bool gives_keys;
	uint32_t given_varying;        /* of the columns that are given those that have values */
	struct zp_key key;             /* with what is constant in what is given */
	uint64_t facts[ZP_FACT_COUNT]; /* likewise */
	bool has_texts;                /* some row of the batch may have them, and they are given */
	bool texts_failed;             /* those of the batch cannot be read, which was told */
	uint32_t at;                   /* the first row of the batch that is still to come */
	uint32_t end;                  /* of those of the present window */
	struct key_bound first;        /* the source's keys from here */
	struct key_bound last;         /* through here are in the batch, and in no other */
	struct block_batch *batch;     /* owned */
	bool matches[BLOCK_ROWS_MAX];
};

void pin_source__of_run(struct pin_source *source, const struct version *version, size_t run);
void pin_source__of_memory(
    struct pin_source *source, struct memtable *memtable, const struct pin_wanted *wanted);
void pin_source__done(struct pin_source *source);

/* `wanted` stays where it is. */
void pin_wanted__init(struct pin_wanted *wanted, const struct zp_scan_options *options);

/* When all rows of its batch have come: the next batch, or it is over. */
void pin_source__load(struct pin_source *source, struct pin_wanted *wanted);
/* Of what the batch wants, these: false where the block turned out to be damaged, which was told;
 * then it has no rows and is to be loaded. */
bool pin_source__heads(struct pin_source *source, struct pin_wanted *wanted);
bool pin_source__digests(struct pin_source *source, struct pin_wanted *wanted);
bool pin_source__columns(struct pin_source *source, struct pin_wanted *wanted, uint32_t mask);
/* `matches` of all rows. */
bool pin_source__test(struct pin_source *source, struct pin_wanted *wanted);
/* All that is given of rows; then pin_source__row and pin_source__texts may be asked. */
bool pin_source__ready(struct pin_source *source, struct pin_wanted *wanted);

/* What was asked for of a row, the rest is 0. */
void pin_source__row(
    const struct pin_source *source, uint32_t row, struct zp_key *key_out, uint64_t *facts_out);
/* Its texts until the next call, where the batch `has_texts`; false: they cannot be read, which was
 * told. */
bool pin_source__texts(
    struct pin_source *source, struct pin_wanted *wanted, uint32_t row, struct zp_slice *texts_out);

/* Whether its row is at or before the end of the other's batch; it has heads. */
static inline bool
pin_source__is_before(const struct pin_source *source, uint32_t row, const struct pin_source *end)
{
	uint8_t key[SOURCE_KEY_BYTES];

	if (source->batch->heads[row] != end->last.head)
		return source->batch->heads[row] < end->last.head;
	batch__key_encode(source->batch, row, key);
	return memcmp(key, end->last.key, sizeof(key)) <= 0;
}

#endif
