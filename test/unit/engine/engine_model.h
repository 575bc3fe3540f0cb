/*
 * engine_model.h - an engine on a simulated disk, and what it must answer: a log of changes.
 *
 * The log stands for the journal: change number n is batch n. What the shard must have at position
 * n is the log played up to n, so that any manifest, however old, can be judged by what it says of
 * itself. Checks answer false and keep the reason in `broken`, because some tests want to see them
 * fail.
 */
#ifndef ZP_TEST_ENGINE_MODEL_H
#define ZP_TEST_ENGINE_MODEL_H

#include "engine/engine.h"
#include "engine/engine_internal.h"
#include "sim_store.h"
#include "seal_all.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define MODEL_CACHE_BYTES 65536u
#define MODEL_BLOCK_CACHE_BYTES 8192u /* so that blocks go and come */
#define MODEL_KEYS 48u
#define MODEL_LOG_MAX 6000u
#define MODEL_PATH "shard"
#define MODEL_PEERS 8u
#define MODEL_TRACK_PEERS 3u /* that have statuses: ids 1 and up */

struct model_pin {
	bool there;
	uint64_t facts[ZP_FACT_COUNT];
	char name[24];
};

struct model_track {
	bool there;
	bool is_priority;
	uint8_t status;
	uint32_t attempts;
	int64_t since;
	char error[24];
};

struct model_change {
	uint32_t key;
	uint32_t peer;               /* 0: the pin itself, or its accesses: */
	struct zp_accesses accesses; /* not count 0 */
	struct model_pin pin;        /* what it is from now on */
	struct model_track track;    /* of peer */
};

/* What the shard has at one position. */
struct model_state {
	struct model_pin pins[MODEL_KEYS];
	struct model_track tracks[MODEL_KEYS][MODEL_TRACK_PEERS]; /* of peer 1 first */
	struct zp_accesses accesses[MODEL_KEYS];
};

struct model {
	struct sim_store *sim;
	struct zp_store *store;
	struct zp_engine_options options;
	struct zp_engine *engine;
	struct zp_tables *tables;
	uint64_t random;
	struct zp_key keys[MODEL_KEYS];             /* in order */
	struct model_state state;                   /* at the end of the log */
	struct model_change log[MODEL_LOG_MAX + 1]; /* from 1 */
	uint64_t log_count;
	uint64_t frozen;       /* the position that the last freeze froze */
	uint64_t acknowledged; /* published: must be in the files for ever */
	uint64_t number;       /* of the newest manifest that must be there */
	uint32_t incarnation;  /* likewise, at least */
	uint32_t incarnation_tried;
	unsigned warnings;
	unsigned skip_opening; /* sim_site of syncs left out while opening */
	unsigned skip_running; /* … and from then on */
	char broken[400];
};

struct model *model_new(uint64_t seed);
void model_free(struct model *model); /* ends store and engine too */
uint64_t model_draw(struct model *model, uint64_t limit);
bool model_broken(struct model *model, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Store and engine: open, and close (what is open). */
int model_open(struct model *model, struct zp_err *err);
void model_close(struct model *model);

/* Applies changes `from` … end of the log to the engine. */
void model_replay(struct model *model, uint64_t from);
/* Adds a change to the log and the engine; `remove`: of a pin that is there. */
void model_change(struct model *model, uint32_t key, bool remove);
/* The same of the pin's status at a peer, which may be there without the pin. */
void model_track(struct model *model, uint32_t key, uint32_t peer, bool remove);
/* Accesses of the pin, if it is there. */
void model_access(struct model *model, uint32_t key);
void model_change_some(struct model *model, uint32_t count);

/* Freezes (unless a flush that failed left something frozen) and flushes. */
int model_flush(struct model *model, struct zp_err *err);

/* Removes manifests so that `keep` are left, at most. */
int model_collect(struct model *model, uint64_t keep, struct zp_err *err);
int model_raise(struct model *model, struct zp_err *err);

/* The engine as it is: gets, batch, scans, counters. */
bool model_holds(struct model *model);
/* The statuses of one key where files may be damaged: none is wrong, and where none is said to be
 * missing all are there. */
bool model_tracks_are_honest(struct model *model, struct zp_view *view, size_t at);
/* The same of its accesses. */
bool model_access_is_honest(struct model *model, struct zp_view *view, size_t at);
/* Files alone: the position is neither behind what was acknowledged nor ahead of what was written;
 * what they hold is the model at that position; verify finds nothing; tables explain all rows. The
 * same of every manifest that is there. From then on it counts as acknowledged. */
bool model_files_hold(struct model *model);

/* For tests, which a failure of these ends: opened, flushed, and both of the above. */
struct model *model_begin(uint64_t seed);
void model_flush_well(struct model *model);
void model_expect_holds(struct model *model);

struct zp_record model_record(const struct model_pin *pin, struct zp_buf *texts);
bool model_record_is(const struct model_pin *pin, const struct zp_record *record);
/* Numbers of the manifests that are there, at most `max`, rising; returns how many. */
size_t model_manifests(struct model *model, uint64_t *numbers, size_t max);

#endif
