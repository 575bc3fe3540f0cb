/*
 * simulate.c - one run from its seed, and the command line.
 *
 *	simulate SEED            one run; --tell: each step
 *	simulate --kept FILE     the runs whose seeds the file has, one a line
 *	simulate --runs N SEED   N runs, from SEED on; --episode N: with faults of that kind alone
 *	simulate --twice SEED    the run twice, which must do the same calls with the same bytes
 *	simulate --sweep SEED    a short run again and again, the machine dying at change 1, 2 …
 *	                         of its disk; --at N: at that one alone
 *
 *	simulate --bounds        what each kind of keys costs: near what uniform ones do
 *
 * What is wrong is told with the command that repeats it.
 */
#include "simulate.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)

enum {
	SWEEP_STEPS = 14,
	SWEEP_CHANGES_MAX = 20000,
};

struct run run;

static uint64_t totals[COUNT_KINDS];
static bool tells;
static unsigned only_episode; /* 0: as drawn */

__attribute__((noreturn, format(printf, 1, 2))) void
wrong(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "seed %" PRIu64 ", step %" PRIu64 ": ", run.seed, run.step);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n%s keys, %zu; episode %d; the node's last words:\n",
	    keys_kind_name(run.keys_kind), run.keys_count, run.faults.episode);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(run.log_last); i++)
		fprintf(stderr, "  %s\n", run.log_last[i]);
	fprintf(stderr, "again: %s\n", run.repeat);
	exit(1);
}

/* An assertion, ours or the engine's, is told with its seed too. */
static void
abort_hear(int number)
{
	static const char again[] = "again: ";

	(void)number;
	zp_ignore(write(2, again, sizeof(again) - 1)); /* it ends anyway */
	zp_ignore(write(2, run.repeat, strlen(run.repeat)));
	zp_ignore(write(2, "\n", 1));
	_exit(1);
}

void
tell(const char *format, ...)
{
	va_list args;

	if (!run.tells)
		return;
	printf(
	    "%10.3f ", (double)sim_world_now_ns() / 1e9); /* nothing that would let others go on */
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

/* splitmix64 */
uint64_t
random_below(uint64_t limit)
{
	uint64_t z = (run.random += 0x9E3779B97F4A7C15u);

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return (z ^ z >> 31) % limit;
}

bool
one_in(uint64_t count)
{
	return random_below(count) == 0;
}

int64_t
now_seconds(void)
{
	int64_t now = sim_world_realtime_us() / 1000000 + 1;

	if (now > run.model.now_seconds)
		run.model.now_seconds = now;
	return run.model.now_seconds;
}

/* ---- A run ---------------------------------------------------------------------------------- */

static int
keys_order(const void *a, const void *b)
{
	return zp_key_compare(a, b);
}

static void
run_draw(void)
{
	static const uint32_t sizes[] = {40, 200, 400, 400, 1000, 3000};
	/* write, get, get batch, list, checkpoint, settle, seal, verify, snapshot, look, time,
	 * compare, reopen, scrub, note accesses */
	static const unsigned weights[] = {60, 8, 5, 8, 5, 3, 1, 1, 1, 1, 4, 2, 1, 1, 4};

	run.keys_kind = one_in(2) ? KEYS_UNIFORM : random_below(KEYS_KINDS);
	run.keys_count = sizes[random_below(ZP_ARRAY_COUNT(sizes))];
	run.batch_max = one_in(4) ? MODEL_BATCH_MAX : 60;
	run.shards = 1u << random_below(4);
	run.steps = 200 + random_below(400);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(weights); i++)
		run.weights[i] = weights[i] * (unsigned)(1 + random_below(4));
	run.fault_weights[EPISODE_NONE] = (unsigned)(20 + random_below(200));
	for (size_t i = 1; i < EPISODES; i++)
		run.fault_weights[i] = (unsigned)random_below(8);
}

static void
run_reset(uint64_t seed)
{
	memset(&run, 0, sizeof(run));
	run.seed = run.random = seed;
	run.tells = tells;
	snprintf(
	    run.repeat, sizeof(run.repeat), "build/test/simulate/simulate --tell %" PRIu64, seed);
	run_draw();
	if (only_episode == 0)
		return;
	for (unsigned i = 1; i < EPISODES; i++)
		run.fault_weights[i] = i == only_episode ? 40 : 0;
	snprintf(run.repeat, sizeof(run.repeat),
	    "build/test/simulate/simulate --tell --episode %u %" PRIu64, only_episode, seed);
}

/* The machine, the node and the model of what was drawn. */
static void
run_begin(void)
{
	sim_world_begin(random_below(UINT64_MAX));
	run.sim = sim_store_new(random_below(UINT64_MAX));
	run.keys = zp_alloc_zero(run.keys_count, sizeof(run.keys[0]));
	keys_make(run.keys_kind, random_below(UINT64_MAX), run.keys, run.keys_count);
	qsort(run.keys, run.keys_count, sizeof(run.keys[0]), keys_order);
	for (size_t i = 1; i < run.keys_count; i++)
		ZP_ASSERT(zp_key_compare(&run.keys[i - 1], &run.keys[i]) < 0);
	model_init(&run.model, run.keys_count);
	for (size_t i = 0; i < MODEL_PENDING_MAX; i++)
		run.slots[i] = zp_alloc_zero(1, sizeof(*run.slots[i]));
	run.seen = zp_alloc_zero(run.keys_count, sizeof(run.seen[0]));
	run.answers = zp_alloc_zero(KEYS_AT_ONCE, sizeof(run.answers[0]));
	run.scratch = zp_read_scratch_new();
	zp_buf_init(&run.texts, 1u << 20);
	zp_mutex_init(&run.done_lock);
	zp_cond_init(&run.done);
	fault_install();
	life_begin();
	now_seconds();
}

static void
run_end(void)
{
	life_end();
	for (size_t i = 0; i < MODEL_PENDING_MAX; i++) {
		for (size_t k = 0; k < MODEL_BATCH_MAX; k++)
			zp_buf_done(&run.slots[i]->writes[k].result_texts);
		zp_free(run.slots[i]);
	}
	for (size_t i = 0; i < run.snapshots_count; i++)
		zp_free(run.snapshots[i].pins);
	model_done(&run.model);
	zp_free(run.keys);
	zp_free(run.seen);
	zp_free(run.answers);
	zp_read_scratch_free(run.scratch);
	zp_buf_done(&run.texts);
	zp_mutex_done(&run.done_lock);
	zp_cond_done(&run.done);
	sim_world_end();
	for (size_t i = 0; i < COUNT_KINDS; i++)
		totals[i] += run.counts[i];
}

/* Pins whose time is over go, when somebody looks for them. */
static void
due_check(void)
{
	uint64_t interval = run.options.expiry_interval_seconds;

	if (interval == 0)
		return;
	sim_world_sleep_ns(3 * interval * SECOND_NS);
	compare_all(); /* what is gone, the model learns */
	for (uint32_t key = 0; key < run.keys_count; key++) {
		const struct model_pin *pin = &run.model.states[0].pins[key];

		if (pin->name != 0 && pin->expire_at != 0 &&
		    pin->expire_at < run.model.now_seconds - (int64_t)(3 * interval) - 120)
			wrong("pin %" PRIu32 " is there, and its time is over", key);
	}
}

static void
run_finish(void)
{
	tell("the end");
	fault_disarm();
	fault_suspects_look(); /* writes under way may have met them */
	fault_heal();
	life_reopen(END_STOP);
	if (run.model.is_torn || run.faults.episode != EPISODE_NONE) {
		fault_over();
		life_reopen(END_STOP);
	}
	compare_verify();
	compare_all();
	due_check();
	for (size_t i = 0; i < run.snapshots_count; i++)
		compare_snapshot(&run.snapshots[i]);
}

static uint64_t
run_one(uint64_t seed)
{
	uint64_t trace;

	run_reset(seed);
	run_begin();
	for (run.step = 1; run.step <= run.steps; run.step++) {
		fault_begin();
		step_any();
		fault_look();
	}
	run_finish();
	trace = sim_store_trace(run.sim);
	run_end();
	return trace;
}

/* In a process of its own, which begins as any other does: what a node keeps from one life to the
 * next (how many files it has opened) decides what its caches hold, so that a run behind others
 * would not be the run of its seed. */
static uint64_t
run_apart(uint64_t seed)
{
	struct {
		uint64_t trace;
		uint64_t totals[COUNT_KINDS];
	} told;
	int ends[2];
	pid_t child;

	fflush(stdout);
	if (pipe(ends) != 0 || (child = fork()) < 0)
		abort();
	if (child == 0) {
		told.trace = run_one(seed);
		memcpy(told.totals, totals, sizeof(totals));
		fflush(stdout);
		_exit(write(ends[1], &told, sizeof(told)) == sizeof(told) ? 0 : 1);
	}
	close(ends[1]);
	if (read(ends[0], &told, sizeof(told)) != sizeof(told))
		exit(1); /* it told why */
	close(ends[0]);
	waitpid(child, NULL, 0);
	memcpy(totals, told.totals, sizeof(totals));
	return told.trace;
}

/* ---- Every change --------------------------------------------------------------------------- */

/* False: the run ended before. */
static bool
sweep_one(uint64_t seed, uint64_t at)
{
	bool has_died;

	run_reset(seed);
	run_begin();
	snprintf(run.repeat, sizeof(run.repeat),
	    "build/test/simulate/simulate --tell --sweep %" PRIu64 " --at %" PRIu64, seed, at);
	run.faults.episode = EPISODE_CRASH;
	for (size_t i = 0; i < 13; i++)
		run.weights[i] = i == 0 ? 4 : i == 2 || i == 3 || i == 9 || i > 10 ? 0 : 1;
	sim_store_die_at(run.sim, at);
	for (run.step = 1;
	     run.step <= SWEEP_STEPS && !sim_store_is_dead(run.sim) && !run.is_unknown; run.step++)
		step_any();
	writes_wait_all();
	has_died = sim_store_is_dead(run.sim);
	fault_over();
	run_finish();
	run_end();
	return has_died;
}

static void
sweep(uint64_t seed, uint64_t at)
{
	uint64_t changes = 1;

	if (at != 0) {
		sweep_one(seed, at);
		return;
	}
	while (sweep_one(seed, changes) && changes < SWEEP_CHANGES_MAX)
		changes++;
	printf("seed %" PRIu64 ": a crash at each of %" PRIu64 " changes\n", seed, changes - 1);
}

/* ---- Hostile keys --------------------------------------------------------------------------- */

static void
bounds(void)
{
	struct costs uniform = {0};

	for (unsigned kind = 0; kind < KEYS_KINDS; kind++) {
		struct costs costs;

		run_reset(1);
		snprintf(run.repeat, sizeof(run.repeat), "build/test/simulate/simulate --bounds");
		run.keys_kind = kind;
		run.keys_count = BOUNDS_KEYS;
		run.shards = 1;
		run.has_plain_options = true;
		run_begin();
		bounds_measure(&costs);
		if (kind == KEYS_UNIFORM)
			uniform = costs;
		printf("%-14s memory %" PRIu64 ", files %" PRIu64 ", resident %" PRIu64
		       ", segments %" PRIu64 ", reads %" PRIu64 ", read bytes %" PRIu64 "\n",
		    keys_kind_name(kind), costs.memtable_bytes, costs.files_bytes,
		    costs.resident_bytes, costs.segments, costs.reads, costs.read_bytes);
		bounds_check(&uniform, &costs);
		run_end();
	}
}

/* ---- The command line ----------------------------------------------------------------------- */

static void
kept_run(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[300];
	unsigned count = 0;

	if (file == NULL) {
		perror(path);
		exit(2);
	}
	while (fgets(line, sizeof(line), file) != NULL) {
		char *end;
		uint64_t seed = strtoull(line, &end, 10);

		if (end == line)
			continue;
		run_apart(seed);
		count++;
	}
	fclose(file);
	printf("%u kept seeds\n", count);
}

static void
totals_print(void)
{
	printf("%" PRIu64 " operations: %" PRIu64 " writes, %" PRIu64 " reads, %" PRIu64
	       " listed, %" PRIu64 " of upkeep; %" PRIu64 " openings, %" PRIu64 " crashes, %" PRIu64
	       " faults, %" PRIu64 " snapshots, %" PRIu64 " notes of accesses\n",
	    totals[COUNT_WRITES] + totals[COUNT_READS] + totals[COUNT_UPKEEP], totals[COUNT_WRITES],
	    totals[COUNT_READS], totals[COUNT_LISTED], totals[COUNT_UPKEEP], totals[COUNT_OPENINGS],
	    totals[COUNT_CRASHES], totals[COUNT_FAULTS], totals[COUNT_SNAPSHOTS],
	    totals[COUNT_ACCESSES]);
}

struct arguments {
	uint64_t seed, runs, at;
	const char *kept;
	bool twice, sweep, bounds;
};

static void
arguments_take(int count, char **list, struct arguments *arguments)
{
	for (int i = 1; i < count; i++) {
		bool has_next = i + 1 < count;

		if (strcmp(list[i], "--tell") == 0)
			tells = true;
		else if (strcmp(list[i], "--twice") == 0)
			arguments->twice = true;
		else if (strcmp(list[i], "--sweep") == 0)
			arguments->sweep = true;
		else if (strcmp(list[i], "--bounds") == 0)
			arguments->bounds = true;
		else if (strcmp(list[i], "--kept") == 0 && has_next)
			arguments->kept = list[++i];
		else if (strcmp(list[i], "--runs") == 0 && has_next)
			arguments->runs = strtoull(list[++i], NULL, 10);
		else if (strcmp(list[i], "--episode") == 0 && has_next)
			only_episode = (unsigned)strtoul(list[++i], NULL, 10);
		else if (strcmp(list[i], "--at") == 0 && has_next)
			arguments->at = strtoull(list[++i], NULL, 10);
		else
			arguments->seed = strtoull(list[i], NULL, 10);
	}
}

int
main(int argument_count, char **list)
{
	struct arguments arguments = {.runs = 1};

	arguments_take(argument_count, list, &arguments);
	signal(SIGABRT, abort_hear);
	signal(SIGSEGV, abort_hear);
	signal(SIGBUS, abort_hear);
	if (arguments.bounds) {
		bounds();
		return 0;
	}
	if (arguments.kept != NULL)
		kept_run(arguments.kept);
	for (uint64_t i = 0; i < arguments.runs; i++) {
		uint64_t seed = arguments.seed + i, trace;

		if (arguments.sweep) {
			sweep(seed, arguments.at);
			continue;
		}
		trace = run_apart(seed);
		if (!arguments.twice)
			continue;
		if (run_apart(seed) != trace) {
			fprintf(stderr, "seed %" PRIu64 ": it is not the same twice\n", seed);
			return 1;
		}
		printf("seed %" PRIu64 ": %016" PRIx64 " twice\n", seed, trace);
	}
	totals_print();
	return 0;
}
