/*
 * sim_os.c - src/os/os.c of a simulated machine: see sim_world.h.
 */
#include "sim_world.h"

enum { CLOCK_LOOK_NS = 200 };

/* 2026-01-01, so that no pin of a test is due by the machine's own clock. */
#define BEGIN_US INT64_C(1767225600000000)

static struct {
	uint64_t random;
	uint64_t now_ns;
	int64_t realtime_ahead_us;
} machine;

void sim__machine_begin(uint64_t seed);
void sim__machine_now_set(uint64_t now_ns);

void
sim__machine_begin(uint64_t seed)
{
	machine.random = seed;
	machine.now_ns = 1000000000;
	machine.realtime_ahead_us = 0;
}

void
sim__machine_now_set(uint64_t now_ns)
{
	ZP_ASSERT(now_ns >= machine.now_ns);
	machine.now_ns = now_ns;
}

static uint64_t
random_next(void)
{
	uint64_t z = machine.random += 0x9e3779b97f4a7c15u; /* splitmix64 */

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t
sim_world_random(uint64_t limit)
{
	return random_next() % limit;
}

void
sim_world_pass_ns(uint64_t ns)
{
	machine.now_ns += ns;
}

uint64_t
sim_world_now_ns(void)
{
	return machine.now_ns;
}

int64_t
sim_world_realtime_us(void)
{
	return BEGIN_US + (int64_t)(machine.now_ns / 1000) + machine.realtime_ahead_us;
}

void
sim_world_realtime_jump_us(int64_t us)
{
	machine.realtime_ahead_us += us;
}

/* ---- os.h ----------------------------------------------------------------------------------- */

uint64_t
zp_clock_monotonic_ns(void)
{
	machine.now_ns += CLOCK_LOOK_NS;
	return machine.now_ns;
}

int64_t
zp_clock_realtime_us(void)
{
	machine.now_ns += CLOCK_LOOK_NS;
	return sim_world_realtime_us();
}

uint64_t
zp_clock_thread_cpu_ns(void)
{
	return zp_clock_monotonic_ns();
}

void
zp_random_bytes(void *to, size_t length)
{
	uint8_t *bytes = to;

	for (size_t i = 0; i < length; i++)
		bytes[i] = (uint8_t)(random_next() >> 32);
}

uint64_t
zp_machine_page_bytes(void)
{
	return 4096;
}

uint64_t
zp_machine_memory_bytes(void)
{
	return UINT64_C(1) << 32;
}

unsigned
zp_machine_cpu_count(void)
{
	return 1;
}
