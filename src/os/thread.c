/*
 * thread.c - threads with a name, mutexes and condition variables.
 *
 * Threads: any; a mutex and its data belong to whoever made them.
 */
#include "os/os.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

struct zp_thread {
	pthread_t raw;
	char name[16]; /* what the kernel keeps, NUL included */
	void (*run)(void *context);
	void *context;
};

static void *
thread_main(void *argument)
{
	struct zp_thread *thread = argument;

	zp_ignore(pthread_setname_np(pthread_self(), thread->name)); /* only for people */
	thread->run(thread->context);
	return NULL;
}

int
zp_thread_start(const char *name, void (*run)(void *context), void *context,
    struct zp_thread **thread_out, struct zp_err *err)
{
	struct zp_thread *thread = zp_alloc_zero(1, sizeof(*thread));
	sigset_t all;
	sigset_t before;
	int rc;

	snprintf(thread->name, sizeof(thread->name), "%s", name);
	thread->run = run;
	thread->context = context;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* the new thread inherits it */
	rc = pthread_create(&thread->raw, NULL, thread_main, thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0) {
		zp_free(thread);
		return zp_fail(
		    err, ZP_E_FULL, "thread %s: the system gives no more threads (%d)", name, rc);
	}
	*thread_out = thread;
	return 0;
}

void
zp_thread_join(struct zp_thread *thread)
{
	int rc;

	if (thread == NULL)
		return;
	rc = pthread_join(thread->raw, NULL);
	ZP_ASSERT(rc == 0);
	zp_free(thread);
}

static void
must(int rc)
{
	ZP_ASSERT(rc == 0);
}

void
zp_mutex_init(struct zp_mutex *mutex)
{
	must(pthread_mutex_init(&mutex->raw, NULL));
}

void
zp_mutex_done(struct zp_mutex *mutex)
{
	must(pthread_mutex_destroy(&mutex->raw));
}

void
zp_mutex_lock(struct zp_mutex *mutex)
{
	must(pthread_mutex_lock(&mutex->raw));
}

void
zp_mutex_unlock(struct zp_mutex *mutex)
{
	must(pthread_mutex_unlock(&mutex->raw));
}

void
zp_cond_init(struct zp_cond *cond)
{
	pthread_condattr_t attributes;

	must(pthread_condattr_init(&attributes));
	must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC));
	must(pthread_cond_init(&cond->raw, &attributes));
	must(pthread_condattr_destroy(&attributes));
}

void
zp_cond_done(struct zp_cond *cond)
{
	must(pthread_cond_destroy(&cond->raw));
}

void
zp_cond_wait(struct zp_cond *cond, struct zp_mutex *mutex)
{
	must(pthread_cond_wait(&cond->raw, &mutex->raw));
}

bool
zp_cond_wait_until(struct zp_cond *cond, struct zp_mutex *mutex, uint64_t deadline_ns)
{
	struct timespec deadline = {
	    .tv_sec = (time_t)(deadline_ns / 1000000000u),
	    .tv_nsec = (long)(deadline_ns % 1000000000u),
	};
	int rc = pthread_cond_timedwait(&cond->raw, &mutex->raw, &deadline);

	ZP_ASSERT(rc == 0 || rc == ETIMEDOUT);
	return rc == 0;
}

void
zp_cond_signal(struct zp_cond *cond)
{
	must(pthread_cond_signal(&cond->raw));
}

void
zp_cond_broadcast(struct zp_cond *cond)
{
	must(pthread_cond_broadcast(&cond->raw));
}
