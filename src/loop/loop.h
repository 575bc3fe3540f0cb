/*
 * loop.h - an event loop over epoll: file descriptors, timers and tasks posted by other threads.
 *
 * Owner:  one loop belongs to one thread, the one in zp_loop_run(). All calls are for that thread
 *         (or before it runs), except zp_loop_post() and zp_loop_stop().
 * Memory: sources, timers and tasks are embedded in the caller's objects; nothing is allocated for
 *         them, so that an idle connection costs no more than these few words.
 */
#ifndef ZP_LOOP_LOOP_H
#define ZP_LOOP_LOOP_H

#include <sys/epoll.h>

#include "base/base.h"

#define ZP_CONTAINER(pointer, type, member) \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/* Milliseconds of the monotonic clock: the one clock of loops and deadlines. */
uint64_t zp_clock_ms(void);

/* ---- Timer wheel (pure: the time is told) --------------------------------------------------- */

#define ZP_WHEEL_TICK_MS 16u
#define ZP_WHEEL_SLOTS 2048u /* one turn is 32 s; timers further away are looked at once a turn */

struct zp_timer {
	struct zp_timer *next;
	struct zp_timer **link; /* what points at this one; NULL: not set */
	uint64_t deadline_ms;
	void (*fire)(struct zp_timer *timer);
	uint32_t slot; /* where it is linked */
};

struct zp_wheel {
	uint64_t tick; /* all up to this one has fired */
	struct zp_timer *slots[ZP_WHEEL_SLOTS];
	uint64_t used[ZP_WHEEL_SLOTS / 64]; /* a bit a slot: not empty */
};

void zp_timer_init(struct zp_timer *timer, void (*fire)(struct zp_timer *timer));
static inline bool
zp_timer_is_set(const struct zp_timer *timer)
{
	return timer->link != NULL;
}

void zp_wheel_init(struct zp_wheel *wheel, uint64_t now_ms);

/* Sets or moves the timer. Moving to later is one store: the old slot finds it not yet due. */
void zp_wheel_set(struct zp_wheel *wheel, struct zp_timer *timer, uint64_t deadline_ms);
void zp_wheel_cancel(struct zp_wheel *wheel, struct zp_timer *timer); /* not set: nothing */

/* Milliseconds until something may be due, UINT64_MAX when no timer is set. */
uint64_t zp_wheel_wait_ms(const struct zp_wheel *wheel, uint64_t now_ms);

/* Fires what is due, never early and up to one tick late. Fired timers may be set again or freed.
 */
void zp_wheel_advance(struct zp_wheel *wheel, uint64_t now_ms);

/* ---- Loop ----------------------------------------------------------------------------------- */

struct zp_loop; /* opaque */

/* A file descriptor's place in a loop. The owner keeps the descriptor and closes it after _remove.
 */
struct zp_source {
	void (*ready)(struct zp_source *source, uint32_t events); /* EPOLLIN, … */
	int fd;
	uint32_t events; /* what it waits for; EPOLLERR and EPOLLHUP come always */
};

/* A call to be made on a loop's thread. Must stay untouched from _post until it is called. */
struct zp_task {
	struct zp_task *next;
	void (*run)(struct zp_task *task);
};

ZP_MUST_CHECK int zp_loop_new(struct zp_loop **loop_out, struct zp_err *err);
void zp_loop_free(struct zp_loop *loop); /* not while it runs; NULL is allowed */

/* Level-triggered unless events has EPOLLET. */
ZP_MUST_CHECK int zp_loop_add(
    struct zp_loop *loop, struct zp_source *source, uint32_t events, struct zp_err *err);
void zp_loop_change(struct zp_loop *loop, struct zp_source *source, uint32_t events);
/* After this `ready` is not called again, not even for events that were already fetched. */
void zp_loop_remove(struct zp_loop *loop, struct zp_source *source);

struct zp_wheel *zp_loop_wheel(struct zp_loop *loop);
uint64_t zp_loop_now_ms(const struct zp_loop *loop); /* of this turn; cheap */

/* Any thread. Tasks of one poster run in the order posted, each in a later step than the post. */
void zp_loop_post(struct zp_loop *loop, struct zp_task *task);
bool zp_loop_is_current(const struct zp_loop *loop); /* is the caller its thread? */

/* Runs until zp_loop_stop() (any thread). Tasks posted before the stop still run. */
void zp_loop_run(struct zp_loop *loop);
void zp_loop_stop(struct zp_loop *loop);

#endif
