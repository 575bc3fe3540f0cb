/*
 * sim_thread.c - src/os/thread.c of a simulated machine: threads that take turns. See sim_world.h.
 *
 * A thread is a stack of its own (ucontext). A mutex holds its owner's number in the memory of the
 * real one; who waits for a mutex or a condition is told by the thread.
 */
#include "sim_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#define THREADS_MAX 64u
#define STACK_BYTES (1u << 20)

enum state {
	STATE_READY,
	STATE_MUTEX,     /* waits for `waits_for` to be free */
	STATE_CONDITION, /* waits for a signal of `waits_for`, or its deadline */
	STATE_SLEEP,     /* until its deadline */
	STATE_JOIN,      /* waits for thread `waits_for` to end */
	STATE_ENDED,
};

struct zp_thread {
	ucontext_t context;
	void *stack;
	unsigned number;
	char name[16];
	void (*run)(void *context);
	void *argument;
	enum state state;
	const void *waits_for;
	uint64_t deadline_ns; /* 0: none */
	bool has_timed_out;
	void *
	    fake_stack; /* the address sanitizer's, and what it knows of the first thread's stack */
	const void *known_stack;
	size_t known_bytes;
};

/* In the place of a pthread_mutex_t. */
struct held {
	unsigned owner; /* number + 1; 0: free */
};
_Static_assert(sizeof(struct held) <= sizeof(struct zp_mutex), "it lies in the mutex");

static struct {
	struct zp_thread *threads[THREADS_MAX];
	size_t count;
	unsigned numbers;
	struct zp_thread *running;
	struct zp_thread *before; /* who ran until now */
	struct zp_thread first;
	bool is_alone; /* the running one */
} world;

void sim__machine_begin(uint64_t seed);
void sim__machine_now_set(uint64_t now_ns);

void
sim_world_begin(uint64_t seed)
{
	ZP_ASSERT(world.count == 0);
	sim__machine_begin(seed);
	world.first = (struct zp_thread){.name = "first"};
	world.threads[world.count++] = &world.first;
	world.running = &world.first;
	world.numbers = 1;
}

void
sim_world_end(void)
{
	ZP_ASSERT(world.count == 1 && world.running == &world.first);
	world.count = 0;
	world.running = NULL;
}

unsigned
sim_world_thread(void)
{
	return world.running->number;
}

/* ---- Taking turns --------------------------------------------------------------------------- */

static void
turn_begin(struct zp_thread *from, struct zp_thread *to)
{
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_start_switch_fiber(from->state == STATE_ENDED ? NULL : &from->fake_stack,
	    to->stack != NULL ? to->stack : to->known_stack,
	    to->stack != NULL ? STACK_BYTES : to->known_bytes);
#else
	(void)from;
	(void)to;
#endif
}

static void
turn_begun(struct zp_thread *now)
{
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_finish_switch_fiber(
	    now->fake_stack, &world.before->known_stack, &world.before->known_bytes);
#else
	(void)now;
#endif
}

static void
switch_to(struct zp_thread *to)
{
	struct zp_thread *from = world.running;

	if (to == from)
		return;
	world.before = from;
	world.running = to;
	turn_begin(from, to);
	if (swapcontext(&from->context, &to->context) != 0)
		abort();
	turn_begun(from);
}

__attribute__((noreturn)) static void
all_wait(void)
{
	static const char *const what[] = {"ready", "a mutex", "a condition", "time", "a thread"};

	fprintf(stderr, "every thread waits for another:\n");
	for (size_t i = 0; i < world.count; i++)
		fprintf(stderr, "  %s waits for %s\n", world.threads[i]->name,
		    world.threads[i]->state < STATE_ENDED ? what[world.threads[i]->state] : "-");
	abort();
}

/* Those whose time has come are ready. */
static void
deadlines_look(void)
{
	for (size_t i = 0; i < world.count; i++) {
		struct zp_thread *thread = world.threads[i];

		if (thread->deadline_ns == 0 || thread->deadline_ns > sim_world_now_ns() ||
		    (thread->state != STATE_CONDITION && thread->state != STATE_SLEEP))
			continue;
		thread->has_timed_out = true;
		thread->state = STATE_READY;
	}
}

static void
clock_jump(void)
{
	uint64_t earliest = 0;

	for (size_t i = 0; i < world.count; i++) {
		const struct zp_thread *thread = world.threads[i];

		if ((thread->state == STATE_CONDITION || thread->state == STATE_SLEEP) &&
		    thread->deadline_ns != 0 && (earliest == 0 || thread->deadline_ns < earliest))
			earliest = thread->deadline_ns;
	}
	if (earliest == 0)
		all_wait();
	if (earliest > sim_world_now_ns())
		sim__machine_now_set(earliest);
}

/* Somebody who is ready goes on, the running thread too when it is. */
static void
next_turn(void)
{
	for (;;) {
		struct zp_thread *ready[THREADS_MAX];
		size_t count = 0;

		deadlines_look();
		for (size_t i = 0; i < world.count; i++) {
			if (world.threads[i]->state == STATE_READY)
				ready[count++] = world.threads[i];
		}
		if (count > 0) {
			switch_to(ready[count == 1 ? 0 : sim_world_random(count)]);
			return;
		}
		clock_jump();
	}
}

void
sim_world_yield(void)
{
	if (world.count > 1)
		next_turn();
}

/* At a place where a thread may be interrupted. */
static void
maybe_yield(void)
{
	if (world.count > 1 && !world.is_alone && sim_world_random(8) == 0)
		next_turn();
}

void
sim_world_alone(bool is_alone)
{
	world.is_alone = is_alone;
}

void
sim_world_sleep_ns(uint64_t ns)
{
	struct zp_thread *self = world.running;

	self->deadline_ns = sim_world_now_ns() + ns;
	self->state = STATE_SLEEP;
	next_turn();
}

static void
wait_for(enum state state, const void *what)
{
	world.running->waits_for = what;
	world.running->deadline_ns = 0;
	world.running->state = state;
	next_turn();
}

static void
wake_all(enum state state, const void *what)
{
	for (size_t i = 0; i < world.count; i++) {
		if (world.threads[i]->state == state && world.threads[i]->waits_for == what)
			world.threads[i]->state = STATE_READY;
	}
}

/* ---- Threads -------------------------------------------------------------------------------- */

static void
thread_main(unsigned high, unsigned low)
{
	struct zp_thread *self = (struct zp_thread *)((uintptr_t)high << 32 | low);

	turn_begun(self);
	self->run(self->argument);
	self->state = STATE_ENDED;
	wake_all(STATE_JOIN, self);
	next_turn();
	abort();
}

int
zp_thread_start(const char *name, void (*run)(void *context), void *context,
    struct zp_thread **thread_out, struct zp_err *err)
{
	struct zp_thread *thread;

	if (world.count == THREADS_MAX)
		return zp_fail(err, ZP_E_FULL, "thread %s: the world has %u", name, THREADS_MAX);
	thread = zp_alloc_zero(1, sizeof(*thread));
	snprintf(thread->name, sizeof(thread->name), "%s", name);
	thread->run = run;
	thread->argument = context;
	thread->number = world.numbers++;
	thread->stack =
	    mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (thread->stack == MAP_FAILED || getcontext(&thread->context) != 0)
		abort();
	thread->context.uc_stack.ss_sp = thread->stack;
	thread->context.uc_stack.ss_size = STACK_BYTES;
	makecontext(&thread->context, (void (*)(void))thread_main, 2,
	    (unsigned)((uintptr_t)thread >> 32), (unsigned)(uintptr_t)thread);
	world.threads[world.count++] = thread;
	*thread_out = thread;
	maybe_yield();
	return 0;
}

void
zp_thread_join(struct zp_thread *thread)
{
	size_t at = 0;

	if (thread == NULL)
		return;
	while (thread->state != STATE_ENDED)
		wait_for(STATE_JOIN, thread);
	while (world.threads[at] != thread)
		at++;
	world.threads[at] = world.threads[--world.count];
	munmap(thread->stack, STACK_BYTES);
	zp_free(thread);
}

/* ---- Mutexes and conditions ----------------------------------------------------------------- */

static struct held *
held_of(struct zp_mutex *mutex)
{
	return (struct held *)mutex;
}

void
zp_mutex_init(struct zp_mutex *mutex)
{
	memset(mutex, 0, sizeof(*mutex));
}

void
zp_mutex_done(struct zp_mutex *mutex)
{
	ZP_ASSERT(held_of(mutex)->owner == 0);
}

/* Without being interrupted before. */
static void
mutex_take(struct zp_mutex *mutex)
{
	struct held *held = held_of(mutex);

	ZP_ASSERT(held->owner != world.running->number + 1);
	while (held->owner != 0)
		wait_for(STATE_MUTEX, mutex);
	held->owner = world.running->number + 1;
}

static void
mutex_give(struct zp_mutex *mutex)
{
	ZP_ASSERT(held_of(mutex)->owner == world.running->number + 1);
	held_of(mutex)->owner = 0;
	wake_all(STATE_MUTEX, mutex);
}

void
zp_mutex_lock(struct zp_mutex *mutex)
{
	maybe_yield();
	mutex_take(mutex);
}

void
zp_mutex_unlock(struct zp_mutex *mutex)
{
	mutex_give(mutex);
	maybe_yield();
}

void
zp_cond_init(struct zp_cond *cond)
{
	memset(cond, 0, sizeof(*cond));
}

void
zp_cond_done(struct zp_cond *cond)
{
	for (size_t i = 0; i < world.count; i++)
		ZP_ASSERT(world.threads[i]->state != STATE_CONDITION ||
			  world.threads[i]->waits_for != cond);
}

void
zp_cond_wait(struct zp_cond *cond, struct zp_mutex *mutex)
{
	/* Sometimes it wakes for nothing, as a real one may. */
	mutex_give(mutex);
	if (sim_world_random(32) == 0)
		next_turn();
	else
		wait_for(STATE_CONDITION, cond);
	mutex_take(mutex);
}

bool
zp_cond_wait_until(struct zp_cond *cond, struct zp_mutex *mutex, uint64_t deadline_ns)
{
	struct zp_thread *self = world.running;
	bool in_time;

	mutex_give(mutex);
	self->waits_for = cond;
	self->deadline_ns = deadline_ns == 0 ? 1 : deadline_ns;
	self->has_timed_out = false;
	self->state = STATE_CONDITION;
	next_turn();
	in_time = !self->has_timed_out;
	self->has_timed_out = false;
	self->deadline_ns = 0;
	mutex_take(mutex);
	return in_time;
}

void
zp_cond_signal(struct zp_cond *cond)
{
	struct zp_thread *waiting[THREADS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < world.count; i++) {
		if (world.threads[i]->state == STATE_CONDITION &&
		    world.threads[i]->waits_for == cond)
			waiting[count++] = world.threads[i];
	}
	if (count > 0)
		waiting[sim_world_random(count)]->state = STATE_READY;
	maybe_yield();
}

void
zp_cond_broadcast(struct zp_cond *cond)
{
	wake_all(STATE_CONDITION, cond);
	maybe_yield();
}
