/*
 * model.h - what a node may answer, and what not. Knows nothing of the engine: keys are numbers,
 * pins are a name and an expiry.
 *
 * States stand in a row: the first is what was answered, each later one has one more batch in it
 * that is under way. A read may see any of them. After a crash one of them is the truth, and
 * looking at all pins says which. A pin that is due may be gone at any time.
 *
 * Accesses are bounds, which are one number but where it cannot be known: a pin that was due when
 * it was pinned again may have begun anew, and what was noted is written when the node likes.
 */
#ifndef ZP_TEST_SIMULATE_MODEL_H
#define ZP_TEST_SIMULATE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MODEL_BATCH_MAX = 512,
	MODEL_PENDING_MAX = 4,
};

#define MODEL_NO_BOUND INT64_MAX

/* So many accesses at least and at most, and the last of them. */
struct model_accesses {
	uint64_t least, most;
	int64_t last_least, last_most;
};

struct model_pin {
	uint32_t name;     /* a number from 1; 0: there is no pin */
	int64_t expire_at; /* seconds since 1970; 0 never */
	bool is_of_clock;  /* it was created when the node says, not as its name says */
	struct model_accesses accesses;
};

enum model_kind {
	MODEL_PUT,    /* whatever was there */
	MODEL_COPY,   /* of another pin's, under its own name or the old one; that must be there */
	MODEL_REMOVE, /* must be there */
	MODEL_DELETE, /* may be there */
	MODEL_EXPIRE, /* if it is there with this expiry */
	MODEL_ACCESS, /* so many more accesses; it must be there */
};

struct model_change {
	enum model_kind kind;
	uint32_t key, from;
	bool keeps_name;
	struct model_pin pin;
	uint64_t count; /* ACCESS */
	int64_t last;   /* MODEL_NO_BOUND: some time that was to come */
};

/* What an answer may be. */
enum model_answer { MODEL_DONE, MODEL_ABSENT, MODEL_EITHER };

struct model_batch {
	struct model_change changes[MODEL_BATCH_MAX];
	size_t count;
	uint64_t sequence; /* of the client's stream; 0: of none */
	uint64_t sent_at;  /* the clock below */
};

struct model_state {
	struct model_pin *pins;
	uint64_t sequence;
};

/* Accesses that were noted: nobody says when they are written, nor of which pin of the key. */
struct model_noted {
	uint64_t count;
	int64_t last;
	bool is_of_this; /* the pin was there all the time: it gets them */
};

struct model {
	size_t keys;
	struct model_noted *noted; /* by key */
	struct model_state states[MODEL_PENDING_MAX + 1];
	size_t states_count;
	struct model_batch
	    pending[MODEL_PENDING_MAX]; /* pending[i] leads from states[i] to [i + 1] */
	uint64_t *changed_at;           /* by key: the clock below when it was last in a batch */
	uint64_t clock;
	int64_t now_seconds; /* the latest that people's clock has shown */
	bool is_torn;        /* after a crash: one of the states is true */
	/* While it is torn: a write of the batches on their way may have been refused for itself,
	 * by what it could not read, and nobody was told, for the journal failed. Its pin is as
	 * before then. */
	bool may_refuse;
};

/* What a read gave. */
struct model_seen {
	bool is_unknown; /* an error that is permitted: nothing was learnt */
	struct model_pin pin;
	bool has_accesses; /* they were asked for, and known */
	uint64_t count;
	int64_t last;
};

void model_init(struct model *model, size_t keys);
void model_done(struct model *model);

/* What was changed by then was answered: the clock before what is under way. */
uint64_t model_clock_answered(const struct model *model);
/* A batch to fill, which is then on its way. */
struct model_batch *model_batch_new(struct model *model);
void model_batch_send(struct model *model);
/* It was refused before it was on its way: the last one. */
void model_batch_take_back(struct model *model);

/* The answer to change `index` of the oldest batch under way. */
enum model_answer model_expects(const struct model *model, size_t index);
/* The oldest batch was answered; changes with `refused` had no effect. */
void model_batch_answered(struct model *model, const bool *refused);

/* Whether a read of the key may give this; the pin and its accesses may be of two moments. */
bool model_permits(const struct model *model, uint32_t key, const struct model_seen *seen);
bool model_permits_none(const struct model *model, uint32_t key);
bool model_permits_accesses(const struct model *model, uint32_t key, const struct model_seen *seen);
/* Whether the key has accesses in any state, or some that were noted. */
bool model_has_accesses(const struct model *model, uint32_t key);
/* How many pins there are, at least and at most. */
void model_counts(const struct model *model, size_t *least_out, size_t *most_out);

void model_note(struct model *model, uint32_t key, uint64_t count, int64_t last);
/* All that was noted is written by now; one state, not torn. */
void model_notes_written(struct model *model);
/* It was written or it is lost: the process ended. */
void model_notes_gone(struct model *model);

/* The machine or the process ended: nobody will answer what is under way. */
void model_crashed(struct model *model);
/* All that a node says after a crash, and the sequence of its stream. NULL, or what is wrong. What
 * is unknown leaves the model torn. */
const char *model_settle(struct model *model, const struct model_seen *seen, uint64_t sequence);

#endif
