/*
 * run_source.h - one run that is read to its end whatever is damaged in it; private to engine/.
 *
 * Flow:    pin_source.c and entry_walk.c → here → segment_iterate.c. One thread.
 * Damage:  is told, costs what may be in it, and the walk goes on behind it. What it may have cost
 *          is a *hole*: keys that the run may have and could not give. Of these no older run is
 *          believed. (run_walk.c is for who must not go on: merges.)
 */
#ifndef ZP_ENGINE_RUN_SOURCE_H
#define ZP_ENGINE_RUN_SOURCE_H

#include "engine/engine_internal.h"
#include "engine/segment_internal.h"

/* So many faults of one run in one walk, then the rest of the segment is given up: a disk that
 * answers each read with an error after half a minute must not hold a walk for days. */
#define FAULTS_MAX 64u

/* Of a pin its key, of other rows their key columns; zeros behind. */
#define SOURCE_KEY_BYTES SEGMENT_KEY_FIELD_BYTES

struct hole {
	bool is_open;                    /* the next row of the same segment ends it */
	uint8_t first[SOURCE_KEY_BYTES]; /* both inclusive */
	uint8_t last[SOURCE_KEY_BYTES];
};

/* What a walk takes of a run at once: a row, or a block of them. */
struct unit_kind {
	int (*open)(struct segment *segment, const void *from, bool reads_texts,
	    struct segment_iterator **iterator_out, struct zp_err *err);
	/* 0 and the next unit, ZP_END, or damage, which leaves the unit as it was. */
	int (*next)(struct segment_iterator *iterator, void *unit, struct zp_err *err);
	/* The key of a row; NULL: units are blocks. */
	void (*row_key)(const void *unit, uint8_t key_out[SOURCE_KEY_BYTES]);
	/* Between which keys are those of the block where the iterator stands; NULL: units are
	 * rows. */
	void (*block_keys)(const struct segment_iterator *iterator,
	    uint8_t first_out[SOURCE_KEY_BYTES], uint8_t last_out[SOURCE_KEY_BYTES]);
};

/* What is wanted of all runs of a walk, and its damage so far. */
struct run_wanted {
	const struct unit_kind *kind;
	enum zp_family family;
	bool reads_texts;
	const void *from; /* as `open` takes it; NULL: all */
	const struct zp_key
	    *only; /* rows of this pin, which begin at `from`, and no others; or NULL */
	uint8_t from_bytes[SOURCE_KEY_BYTES];
	struct zp_err damage;                                   /* the first; code 0: none */
	void (*fault)(void *context, const struct zp_err *why); /* told of each; or NULL */
	void *context;
};

struct run_source {
	struct segment **segments; /* borrowed; NULL in it: damaged */
	const struct segment_info *infos;
	size_t segment_count;
	size_t segment_at; /* the next to open */
	struct segment_iterator *iterator;
	bool has_unit; /* of the present segment */
	bool is_lost;  /* the present unit is */
	bool over;
	unsigned faults;
	/* Owned: between the unit before and the present one, or at the end. A walk has passed what
	 * is before them when it takes the next unit. */
	struct hole *holes;
	size_t hole_count;
	size_t hole_room;
};

/* Keeps the first, and tells each. */
void run_wanted__damage(struct run_wanted *wanted, const struct zp_err *why);

struct run_source run_source__of(const struct version *version, size_t run);
void run_source__done(struct run_source *source);

/* Moves to the next unit, or is over. */
void run_source__next(struct run_source *source, struct run_wanted *wanted, void *unit);
/* The present unit turns out to be damaged, and none of it was given: the next call goes on behind
 * it. */
void run_source__lose(
    struct run_source *source, struct run_wanted *wanted, const struct zp_err *why);

/* Whether the run may have a row of that key which it could not give. */
bool run_source__lacks(const struct run_source *source, const uint8_t key[SOURCE_KEY_BYTES]);

#endif
