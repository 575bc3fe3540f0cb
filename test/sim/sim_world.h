/*
 * sim_world.h - a machine in one thread: its clock, its random bytes and its threads follow one
 * seed.
 *
 * sim_os.c and sim_thread.c stand in for src/os/os.c and src/os/thread.c: a program that is linked
 * with them runs the very code that runs in production, and its threads take turns on one real one.
 * Who is next is drawn whenever somebody locks, waits, signals or calls the disk, so a seed decides
 * every interleaving, and the same seed gives it again. (Between two such places nobody is
 * interrupted: races of plain memory are for the thread sanitizer.)
 *
 * The clock moves a little with each look at it and each call of the disk; when all threads wait it
 * jumps to the first deadline. When there is none they wait for each other, and the program ends
 * with their names.
 *
 * Use: sim_world_begin(seed), then anything; the caller is the first thread. Once in a program's
 * life at a time: sim_world_end() asserts that all other threads have ended.
 */
#ifndef ZP_TEST_SIM_SIM_WORLD_H
#define ZP_TEST_SIM_SIM_WORLD_H

#include "os/os.h"

void sim_world_begin(uint64_t seed);
void sim_world_end(void);

/* A number below `limit` (1 at least), from the world's own stream. */
uint64_t sim_world_random(uint64_t limit);

/* ---- Threads -------------------------------------------------------------------------------- */

/* Lets another thread go on, or not. */
void sim_world_yield(void);

/* From now on until not: the running thread is not interrupted. Where it waits for a mutex that
 * another one has, that one goes on once. */
void sim_world_alone(bool is_alone);

/* Goes on not before so much time has passed. */
void sim_world_sleep_ns(uint64_t ns);

/* A number for the running thread: 0 the first. */
unsigned sim_world_thread(void);

/* ---- Clock ---------------------------------------------------------------------------------- */

/* Time passes: work of the running thread. */
void sim_world_pass_ns(uint64_t ns);

/* The clock that people see jumps, forth or back. The monotonic one does not. */
void sim_world_realtime_jump_us(int64_t us);

/* The clocks without moving them. */
uint64_t sim_world_now_ns(void);
int64_t sim_world_realtime_us(void);

#endif
