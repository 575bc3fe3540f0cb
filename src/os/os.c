/*
 * os.c - clocks, random bytes and the machine's facts.
 *
 * Threads: any; no state.
 */
#include "os/os.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static struct timespec
clock_read(clockid_t clock)
{
	struct timespec now;
	int rc = clock_gettime(clock, &now);

	ZP_ASSERT(rc == 0);
	return now;
}

static uint64_t
nanoseconds_of(struct timespec time)
{
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t
zp_clock_monotonic_ns(void)
{
	return nanoseconds_of(clock_read(CLOCK_MONOTONIC));
}

int64_t
zp_clock_realtime_us(void)
{
	struct timespec now = clock_read(CLOCK_REALTIME);

	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

uint64_t
zp_clock_thread_cpu_ns(void)
{
	return nanoseconds_of(clock_read(CLOCK_THREAD_CPUTIME_ID));
}

void
zp_random_bytes(void *to, size_t length)
{
	uint8_t *next = to;

	while (length > 0) {
		ssize_t got = getrandom(next, length, 0);

		if (got < 0 && errno == EINTR)
			continue;
		ZP_ASSERT(got > 0);
		next += got;
		length -= (size_t)got;
	}
}

static uint64_t
sysconf_positive(int name)
{
	long value = sysconf(name);

	ZP_ASSERT(value > 0);
	return (uint64_t)value;
}

uint64_t
zp_machine_page_bytes(void)
{
	return sysconf_positive(_SC_PAGESIZE);
}

uint64_t
zp_machine_memory_bytes(void)
{
	return sysconf_positive(_SC_PHYS_PAGES) * zp_machine_page_bytes();
}

unsigned
zp_machine_cpu_count(void)
{
	return (unsigned)sysconf_positive(_SC_NPROCESSORS_ONLN);
}
