/*
 * loop.c - the event loop: epoll, the timer wheel and the mailbox.
 *
 * Flow:  each turn: wait, call the sources that are ready, run posted tasks, fire timers.
 * Owner: the thread in zp_loop_run(); the mailbox alone is shared.
 *
 * The mailbox is a stack that posters push to without a lock and the owner takes whole. Only the
 * push onto an empty one writes to the eventfd, so a burst of posts costs one system call.
 */
#include "loop/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define LOOP_EVENTS_MAX 256
#define LOOP_SLEEP_MS_MAX 60000u

struct zp_loop {
	int epoll_fd;
	int event_count; /* of events[], while they are dispatched */
	int event_index; /* the one being dispatched */
	uint64_t now_ms;
	struct zp_task *own_first; /* posted by the owner itself: needs no wake */
	struct zp_task **own_last;
	struct zp_source mailbox_source;
	_Atomic(struct zp_task *) mailbox; /* newest first */
	atomic_bool stop;
	struct zp_wheel wheel;
	struct epoll_event events[LOOP_EVENTS_MAX];
};

static _Thread_local struct zp_loop *loop_current;

uint64_t
zp_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void
mailbox_ready(struct zp_source *source, uint32_t events)
{
	uint64_t count;

	(void)events;
	/* Only resets the wake-up; what it announces is taken at the end of the turn. */
	if (read(source->fd, &count, sizeof(count)) < 0)
		ZP_ASSERT(errno == EAGAIN || errno == EINTR);
}

static void
mailbox_wake(struct zp_loop *loop)
{
	uint64_t one = 1;

	/* EAGAIN: the counter is full, so a wake-up is waiting already. */
	if (write(loop->mailbox_source.fd, &one, sizeof(one)) < 0)
		ZP_ASSERT(errno == EAGAIN || errno == EINTR);
}

int
zp_loop_new(struct zp_loop **loop_out, struct zp_err *err)
{
	struct zp_loop *loop = zp_alloc_zero(1, sizeof(*loop));
	int rc;

	loop->now_ms = zp_clock_ms();
	loop->own_last = &loop->own_first;
	zp_wheel_init(&loop->wheel, loop->now_ms);
	loop->mailbox_source = (struct zp_source){.ready = mailbox_ready, .fd = -1};
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		rc = zp_fail_errno(err, errno, "make an epoll instance");
		goto fail;
	}
	loop->mailbox_source.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->mailbox_source.fd < 0) {
		rc = zp_fail_errno(err, errno, "make an eventfd");
		goto fail;
	}
	rc = zp_loop_add(loop, &loop->mailbox_source, EPOLLIN, err);
	if (rc < 0)
		goto fail;
	*loop_out = loop;
	return 0;
fail:
	zp_loop_free(loop);
	return rc;
}

void
zp_loop_free(struct zp_loop *loop)
{
	if (loop == NULL)
		return;
	ZP_ASSERT(loop_current != loop);
	if (loop->mailbox_source.fd >= 0)
		close(loop->mailbox_source.fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	zp_free(loop);
}

int
zp_loop_add(struct zp_loop *loop, struct zp_source *source, uint32_t events, struct zp_err *err)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0)
		return zp_fail_errno(err, errno, "watch descriptor %d", source->fd);
	source->events = events;
	return 0;
}

void
zp_loop_change(struct zp_loop *loop, struct zp_source *source, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};

	if (source->events == events)
		return;
	ZP_ASSERT(epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) == 0);
	source->events = events;
}

void
zp_loop_remove(struct zp_loop *loop, struct zp_source *source)
{
	ZP_ASSERT(epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL) == 0);
	for (int i = loop->event_index; i < loop->event_count; i++)
		if (loop->events[i].data.ptr == source)
			loop->events[i].data.ptr = NULL;
}

struct zp_wheel *
zp_loop_wheel(struct zp_loop *loop)
{
	return &loop->wheel;
}

uint64_t
zp_loop_now_ms(const struct zp_loop *loop)
{
	return loop->now_ms;
}

bool
zp_loop_is_current(const struct zp_loop *loop)
{
	return loop_current == loop;
}

void
zp_loop_post(struct zp_loop *loop, struct zp_task *task)
{
	struct zp_task *head;

	if (loop_current == loop) {
		task->next = NULL;
		*loop->own_last = task;
		loop->own_last = &task->next;
		return;
	}
	head = atomic_load_explicit(&loop->mailbox, memory_order_relaxed);
	do
		task->next = head;
	while (!atomic_compare_exchange_weak_explicit(
	    &loop->mailbox, &head, task, memory_order_release, memory_order_relaxed));
	if (head == NULL)
		mailbox_wake(loop);
}

/* Everything posted by others so far, oldest first. */
static struct zp_task *
mailbox_take(struct zp_loop *loop)
{
	struct zp_task *newest;
	struct zp_task *oldest = NULL;

	if (atomic_load_explicit(&loop->mailbox, memory_order_relaxed) == NULL)
		return NULL;
	newest = atomic_exchange_explicit(&loop->mailbox, NULL, memory_order_acquire);
	while (newest != NULL) {
		struct zp_task *next = newest->next;

		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

/* Runs what is there now; what these tasks post waits for the next turn. False: there was none. */
static bool
tasks_run(struct zp_loop *loop)
{
	struct zp_task *lists[2] = {loop->own_first, mailbox_take(loop)};
	bool any = lists[0] != NULL || lists[1] != NULL;

	loop->own_first = NULL;
	loop->own_last = &loop->own_first;
	for (size_t i = 0; i < ZP_ARRAY_COUNT(lists); i++) {
		while (lists[i] != NULL) {
			struct zp_task *task = lists[i];

			lists[i] = task->next;
			task->run(task);
		}
	}
	return any;
}

static int
sleep_ms(const struct zp_loop *loop)
{
	uint64_t wait;

	if (loop->own_first != NULL)
		return 0;
	wait = zp_wheel_wait_ms(&loop->wheel, loop->now_ms);
	if (wait == UINT64_MAX)
		return -1;
	return (int)zp_min_u64(wait, LOOP_SLEEP_MS_MAX);
}

static void
sources_dispatch(struct zp_loop *loop, int count)
{
	loop->event_count = count;
	for (loop->event_index = 0; loop->event_index < count; loop->event_index++) {
		struct epoll_event *event = &loop->events[loop->event_index];
		struct zp_source *source = event->data.ptr;

		if (source != NULL)
			source->ready(source, event->events);
	}
	loop->event_count = 0;
}

void
zp_loop_run(struct zp_loop *loop)
{
	ZP_ASSERT(loop_current == NULL);
	loop_current = loop;
	while (!atomic_load_explicit(&loop->stop, memory_order_acquire)) {
		int count =
		    epoll_wait(loop->epoll_fd, loop->events, LOOP_EVENTS_MAX, sleep_ms(loop));

		ZP_ASSERT(count >= 0 || errno == EINTR);
		loop->now_ms = zp_clock_ms();
		sources_dispatch(loop, count);
		tasks_run(loop);
		zp_wheel_advance(&loop->wheel, loop->now_ms);
	}
	while (tasks_run(loop))
		;
	loop_current = NULL;
}

void
zp_loop_stop(struct zp_loop *loop)
{
	atomic_store_explicit(&loop->stop, true, memory_order_release);
	mailbox_wake(loop);
}
