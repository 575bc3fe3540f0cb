/*
 * simulate.h - the deterministic simulation: a node on a simulated machine and disk, random steps,
 * planted faults, and a model that says what may be answered.
 *
 *   simulate.c  one run from its seed; the command line
 *   life.c      opening, closing, crashes
 *   step.c      what a client and an operator do
 *   fault.c     episodes: what goes wrong, for how long, and what is excused meanwhile
 *   compare.c   what the node says against the model
 *   newest.c    lists by time of creation
 *   accesses.c  accesses that are told, noted and read
 *   model.c     what it may say; knows nothing of the engine
 *   keys.c      friendly and hostile keys
 *   bounds.c    what hostile keys cost
 *
 * Everything follows from the seed: the node's threads take turns on one (test/sim/sim_world.h),
 * its disk is test/sim/sim_store.h. The first thread is the client and the operator.
 */
#ifndef ZP_TEST_SIMULATE_SIMULATE_H
#define ZP_TEST_SIMULATE_SIMULATE_H

#include "command/command_internal.h"
#include "keys.h"
#include "model.h"
#include "sim_store.h"
#include "sim_world.h"

enum {
	SHARDS_MAX = 8,
	NAME_BYTES = 300,
	SNAPSHOTS_MAX = 3,
	DAMAGED_MAX = 64,
	REPEAT_BYTES = 200,
	KEYS_AT_ONCE = 500, /* of a batch get */
};

enum episode {
	EPISODE_NONE,
	EPISODE_CRASH,  /* the machine will die */
	EPISODE_FAIL,   /* one call fails */
	EPISODE_SPACE,  /* the disk is full */
	EPISODE_HANG,   /* one call answers very late */
	EPISODE_DAMAGE, /* something reads otherwise than it was written */
	EPISODES,
};

/* Numbers of what was done, for the last line. */
enum count {
	COUNT_WRITES,
	COUNT_READS,
	COUNT_LISTED,
	COUNT_UPKEEP,
	COUNT_OPENINGS,
	COUNT_CRASHES,
	COUNT_FAULTS,
	COUNT_SNAPSHOTS,
	COUNT_ACCESSES,
	COUNT_KINDS,
};

/* A batch under way. */
struct slot {
	struct zp_write_batch batch;
	struct zp_write writes[MODEL_BATCH_MAX];
	uint8_t texts[MODEL_BATCH_MAX][NAME_BYTES + 8];
	bool is_done;
};

/* A list that stays open over steps. */
struct open_list {
	struct zp_list *list;
	uint32_t namespace_id;
	uint64_t clock; /* of the model, when it was opened */
	uint32_t next;  /* the key behind the last one given */
};

struct snapshot {
	char name[32];
	struct model_pin *pins; /* owned; what was noted by then may be in them or not */
	int64_t now_seconds;
};

struct faults {
	enum episode episode;
	uint64_t steps_left;
	bool reads_may_fail; /* any of them */
	bool log_may_fail;   /* to be read, while opening */
	bool is_damaged;     /* reads of shards with damage may fail, and opening */
	bool was_fired;      /* what may happen unseen has perhaps happened: see fault_excuses */
	unsigned hang_calls; /* enum sim_call */
	uint64_t hang_in;    /* 0: nothing is to hang */
	uint64_t hang_ns;
	bool is_hanging;
	uint32_t suspects[DAMAGED_MAX]; /* shards that have or had damage in this episode */
	size_t suspects_count;
};

struct run {
	uint64_t seed, random, step, steps;
	bool tells; /* each step */
	char repeat[REPEAT_BYTES];
	uint64_t counts[COUNT_KINDS];

	enum keys_kind keys_kind;
	struct zp_key *keys; /* in their order; the model's key is the index */
	size_t keys_count;
	uint32_t batch_max;
	unsigned weights[16]; /* of steps */
	unsigned fault_weights[EPISODES];
	bool has_plain_options; /* no caches, no upkeep by itself, much memory */

	struct sim_store *sim;
	struct zp_node_options options;
	struct command__seam seam;
	struct zp_node *node; /* NULL: closed */
	uint64_t shard_ids[SHARDS_MAX];
	uint32_t shards;
	bool counts_are_off;  /* replayed over what could not be read: until verify counts again, */
	bool entries_are_off; /* and of times for ever */
	bool is_unknown;      /* writes were answered "outcome unknown": to be opened again */

	struct model model;
	struct slot *slots[MODEL_PENDING_MAX]; /* the oldest first */
	size_t slots_count;
	struct zp_mutex done_lock;
	struct zp_cond done;
	uint64_t sequence; /* of the client's stream: the last one sent */

	struct faults faults;
	struct open_list list;
	struct snapshot snapshots[SNAPSHOTS_MAX];
	size_t snapshots_count;

	struct zp_read_scratch *scratch;
	struct zp_buf texts;
	struct model_seen *seen; /* by key */
	struct zp_batch_answer *answers;
	char log_last[3][ZP_ERR_TEXT_BYTES];
};

extern struct run run;

__attribute__((noreturn, format(printf, 1, 2))) void wrong(const char *format, ...);
__attribute__((format(printf, 1, 2))) void tell(const char *format, ...);

uint64_t random_below(uint64_t limit);
bool one_in(uint64_t count);
int64_t now_seconds(void); /* and the model knows it */

/* ---- life.c --------------------------------------------------------------------------------- */

enum end {
	END_STOP,  /* clean */
	END_KILL,  /* the process dies at once */
	END_POWER, /* the machine */
	END_ANY,
};

void life_begin(void); /* makes the node and opens it */
/* Ends the node, one way or another, opens it and compares. */
void life_reopen(enum end end);
void life_end(void);

/* ---- step.c --------------------------------------------------------------------------------- */

void step_any(void);
void writes_send(void);
void writes_wait_all(void);
/* Of the batches that have no answer yet, and of what follows until the node is opened again. */
void outcomes_unknown(void);
void list_close(void);

/* ---- fault.c -------------------------------------------------------------------------------- */

void fault_install(void);
void fault_begin(void);  /* perhaps an episode begins */
void fault_look(void);   /* after each step: perhaps it is over */
void fault_disarm(void); /* nothing goes wrong from now on; what was damaged stays so */
void fault_heal(void);
void fault_over(void);
/* Notes which shards have damage now. */
void fault_suspects_look(void);

bool fault_excuses_read(uint32_t key);
bool fault_excuses_any_read(void);
bool fault_excuses_write(void);
bool fault_excuses_upkeep(void);
bool fault_excuses_opening(void);

/* ---- bounds.c ------------------------------------------------------------------------------- */

enum { BOUNDS_KEYS = 40000 };

struct costs {
	uint64_t memtable_bytes; /* the most, before a flush */
	uint64_t files_bytes;    /* of the sealed shard, as the next */
	uint64_t resident_bytes; /* directories and filters */
	uint64_t segments;
	uint64_t reads; /* of gets, half of them of pins that are not there */
	uint64_t read_bytes;
};

/* Of the run, which has BOUNDS_KEYS keys and was begun just now. */
void bounds_measure(struct costs *costs_out);
/* wrong() where one costs more than some times what uniform keys cost. */
void bounds_check(const struct costs *uniform, const struct costs *costs);

/* ---- accesses.c ----------------------------------------------------------------------------- */

bool accesses_are_kept(void);
struct zp_accesses accesses_draw(int64_t *last_out);
void accesses_note(void); /* a step */
/* When the disk and all else is well: what was noted is written soon. */
void accesses_wait_written(void);
/* Asks for the pin's accesses, but seldom for those of a pin that never had any. */
void accesses_see(uint32_t key, struct model_seen *seen);
void accesses_see_listed(uint32_t key, struct zp_list *list, struct model_seen *seen);
/* wrong() where it is them that the model does not permit. */
void accesses_check(uint32_t key, const struct model_seen *seen, const char *by);
void accesses_keep_snapshot(const struct snapshot *snapshot);
void accesses_compare_snapshot(const struct snapshot *snapshot, struct zp_node *node, uint32_t key);

/* ---- newest.c ------------------------------------------------------------------------------- */

/* What an import says of a pin of that name: when it was created. */
int64_t created_of(uint32_t name);
/* wrong() where it is neither that nor a time of the node's clock. */
void created_check(uint32_t key, uint32_t name, int64_t created);
/* A walk by time of creation, whole or in pages, of all or of some times. */
void compare_newest(uint32_t namespace_id);

/* ---- compare.c ------------------------------------------------------------------------------ */

void name_print(uint32_t name, char text[NAME_BYTES]);
/* What a read answered, as the model sees it; wrong() for what is no pin of ours. */
struct model_seen seen_of(uint32_t key, int rc, const struct zp_record *record);
void compare_key(uint32_t key);
void compare_keys(const uint32_t *keys, size_t count);
void compare_list(uint32_t namespace_id);
void compare_all(void);
void compare_verify(void);
void compare_scrub(void);
void compare_snapshot(const struct snapshot *snapshot);
uint32_t key_find(const struct zp_key *key);
uint32_t shard_of(uint32_t key);

#endif
