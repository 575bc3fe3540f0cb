/*
 * os.h - the only door to the system: clocks, random bytes, threads, the machine's facts, and
 * (disk.h) files.
 *
 * Thin: each call is one system call with its traps handled (EINTR, short results), nothing more.
 * Threads: any.
 */
#ifndef ZP_OS_OS_H
#define ZP_OS_OS_H

#include <pthread.h>

#include "base/base.h"
#include "os/disk.h"

/* ---- Clocks --------------------------------------------------------------------------------- */

uint64_t zp_clock_monotonic_ns(void);  /* since some moment; for deadlines and durations */
int64_t zp_clock_realtime_us(void);    /* since 1970; may jump, for what people and files see */
uint64_t zp_clock_thread_cpu_ns(void); /* CPU time of the calling thread */

/* ---- Random and the machine ----------------------------------------------------------------- */

/* From the system's generator, good for keys. Cannot fail once the machine is up. */
void zp_random_bytes(void *to, size_t length);

uint64_t zp_machine_page_bytes(void);
uint64_t zp_machine_memory_bytes(void); /* of the whole machine */
unsigned zp_machine_cpu_count(void);    /* online now, at least 1 */

/* ---- Threads -------------------------------------------------------------------------------- */

struct zp_thread;

/* Starts `run(context)` with all signals blocked (the main thread takes them). `name` is cut to 15
 * characters. ZP_E_FULL when the system gives no more threads. */
ZP_MUST_CHECK int zp_thread_start(const char *name, void (*run)(void *context), void *context,
    struct zp_thread **thread_out, struct zp_err *err);

/* Waits for its end and frees it. NULL is allowed. */
void zp_thread_join(struct zp_thread *thread);

/* A failure of these is a mistake of ours, so it is asserted and not returned. */
struct zp_mutex {
	pthread_mutex_t raw;
};
struct zp_cond {
	pthread_cond_t raw; /* waits on the monotonic clock */
};

void zp_mutex_init(struct zp_mutex *mutex);
void zp_mutex_done(struct zp_mutex *mutex);
void zp_mutex_lock(struct zp_mutex *mutex);
void zp_mutex_unlock(struct zp_mutex *mutex);

void zp_cond_init(struct zp_cond *cond);
void zp_cond_done(struct zp_cond *cond);
void zp_cond_wait(struct zp_cond *cond, struct zp_mutex *mutex);
/* False when `deadline_ns` of zp_clock_monotonic_ns passed first. */
bool zp_cond_wait_until(struct zp_cond *cond, struct zp_mutex *mutex, uint64_t deadline_ns);
void zp_cond_signal(struct zp_cond *cond);
void zp_cond_broadcast(struct zp_cond *cond);

#endif
