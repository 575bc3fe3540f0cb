/*
 * test_timer.c - the timer wheel, with the time told to it.
 */
#include "loop/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static uint64_t now_ms;
static struct zp_wheel wheel;

struct probe {
	struct zp_timer timer;
	unsigned fired;
	uint64_t fired_ms;
	struct probe *cancels; /* when it fires */
	uint64_t again_ms;     /* sets itself to this when it fires; 0: not */
};

static void
probe_fire(struct zp_timer *timer)
{
	struct probe *probe = ZP_CONTAINER(timer, struct probe, timer);

	probe->fired++;
	probe->fired_ms = now_ms;
	if (probe->cancels != NULL)
		zp_wheel_cancel(&wheel, &probe->cancels->timer);
	if (probe->again_ms != 0)
		zp_wheel_set(&wheel, timer, probe->again_ms);
}

static void
probe_init(struct probe *probe)
{
	*probe = (struct probe){0};
	zp_timer_init(&probe->timer, probe_fire);
}

static void
advance_to(uint64_t to_ms)
{
	now_ms = to_ms;
	zp_wheel_advance(&wheel, now_ms);
}

static void
start_at(uint64_t at_ms)
{
	now_ms = at_ms;
	zp_wheel_init(&wheel, now_ms);
}

/* A loop that sleeps as long as it is told fires each timer once, not early and less than two ticks
 * late: over distances of nothing, ticks, slots and several turns of the wheel. */
static void
timers_fire_once_and_in_time(void **state)
{
	static const uint64_t distances[] = {
	    0, 1, 15, 16, 17, 1000, 32752, 32768, 32769, 100000, 3600000};
	struct probe probes[ZP_ARRAY_COUNT(distances)];
	const uint64_t start = 123456789;
	unsigned steps = 0;

	(void)state;
	start_at(start);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(distances); i++) {
		probe_init(&probes[i]);
		zp_wheel_set(&wheel, &probes[i].timer, start + distances[i]);
	}
	for (uint64_t wait; (wait = zp_wheel_wait_ms(&wheel, now_ms)) != UINT64_MAX; steps++)
		advance_to(now_ms + wait);
	for (size_t i = 0; i < ZP_ARRAY_COUNT(distances); i++) {
		assert_int_equal(probes[i].fired, 1);
		assert_true(probes[i].fired_ms >= start + distances[i]);
		assert_true(probes[i].fired_ms < start + distances[i] + 2 * ZP_WHEEL_TICK_MS);
		assert_false(zp_timer_is_set(&probes[i].timer));
	}
	/* An hour away is looked at once a turn of 32 s, not more often. */
	assert_true(steps < 3600000 / 32768 + 2 * ZP_ARRAY_COUNT(distances));
}

/* Moved to later it fires only then; moved to earlier, then; cancelled, never. */
static void
timers_can_be_moved_and_cancelled(void **state)
{
	struct probe later;
	struct probe earlier;
	struct probe never;

	(void)state;
	start_at(1000000);
	probe_init(&later);
	probe_init(&earlier);
	probe_init(&never);
	zp_wheel_set(&wheel, &later.timer, now_ms + 100);
	zp_wheel_set(&wheel, &later.timer, now_ms + 5000);
	zp_wheel_set(&wheel, &earlier.timer, now_ms + 200000);
	zp_wheel_set(&wheel, &earlier.timer, now_ms + 50);
	zp_wheel_set(&wheel, &never.timer, now_ms + 50);
	zp_wheel_cancel(&wheel, &never.timer);
	zp_wheel_cancel(&wheel, &never.timer);
	advance_to(1000000 + 49);
	assert_int_equal(earlier.fired, 0);
	advance_to(1000000 + 50 + ZP_WHEEL_TICK_MS);
	assert_int_equal(earlier.fired, 1);
	advance_to(1000000 + 4999);
	assert_int_equal(later.fired, 0);
	advance_to(1000000 + 5000 + ZP_WHEEL_TICK_MS);
	assert_int_equal(later.fired, 1);
	advance_to(1000000 + 500000);
	assert_int_equal(earlier.fired, 1);
	assert_int_equal(never.fired, 0);
	assert_true(zp_wheel_wait_ms(&wheel, now_ms) == UINT64_MAX);
}

/* A callback may cancel another timer of its own slot and may set itself again; neither is lost or
 * fired twice. Both orders of the slot's list are tried. */
static void
callbacks_may_change_their_own_slot(void **state)
{
	(void)state;
	for (int order = 0; order < 2; order++) {
		struct probe killer;
		struct probe victim;
		struct probe other;

		start_at(5000);
		probe_init(&killer);
		probe_init(&victim);
		probe_init(&other);
		killer.cancels = &victim;
		killer.again_ms = 5000 + 32;
		if (order == 0)
			zp_wheel_set(&wheel, &victim.timer, 5000 + 10);
		zp_wheel_set(&wheel, &killer.timer, 5000 + 10);
		if (order == 1)
			zp_wheel_set(&wheel, &victim.timer, 5000 + 10);
		zp_wheel_set(&wheel, &other.timer, 5000 + 10);
		advance_to(5000 + 31);
		assert_int_equal(killer.fired, 1);
		assert_int_equal(other.fired, 1);
		assert_true(victim.fired <= 1);
		if (order == 0) /* the list is newest first: the killer came first */
			assert_int_equal(victim.fired, 0);
		killer.again_ms = 0;
		advance_to(5000 + 100);
		assert_int_equal(killer.fired, 2);
		assert_int_equal(other.fired, 1);
	}
}

/* After a sleep of many turns everything that is due fires at once, and the rest stays exact. */
static void
a_long_sleep_loses_nothing(void **state)
{
	struct probe due;
	struct probe waits;

	(void)state;
	start_at(0);
	probe_init(&due);
	probe_init(&waits);
	zp_wheel_set(&wheel, &due.timer, 40000);
	zp_wheel_set(&wheel, &waits.timer, 10000000);
	advance_to(9000000);
	assert_int_equal(due.fired, 1);
	assert_int_equal(waits.fired, 0);
	for (uint64_t wait; (wait = zp_wheel_wait_ms(&wheel, now_ms)) != UINT64_MAX;)
		advance_to(now_ms + wait);
	assert_int_equal(waits.fired, 1);
	assert_true(waits.fired_ms >= 10000000 && waits.fired_ms < 10000000 + 2 * ZP_WHEEL_TICK_MS);
}

/* Against a plain list: random sets, moves and cancels, the time moving on by random steps. */
static void
random_use_matches_a_list(void **state)
{
	enum { COUNT = 200 };
	struct probe probes[COUNT];
	uint64_t deadlines[COUNT] = {0}; /* 0: not set */

	(void)state;
	srand(7);
	start_at(77777);
	for (size_t i = 0; i < COUNT; i++)
		probe_init(&probes[i]);
	for (int step = 0; step < 20000; step++) {
		size_t i = (size_t)rand() % COUNT;
		unsigned range = rand() % 2 ? 500 : 90000;

		if (rand() % 4 == 0) {
			zp_wheel_cancel(&wheel, &probes[i].timer);
			deadlines[i] = 0;
		} else {
			deadlines[i] = now_ms + (uint64_t)rand() % range;
			zp_wheel_set(&wheel, &probes[i].timer, deadlines[i]);
		}
		advance_to(now_ms + (uint64_t)rand() % (step % 100 == 0 ? 50000 : 40));
		for (size_t j = 0; j < COUNT; j++) {
			if (probes[j].fired > 0) {
				assert_int_equal(probes[j].fired, 1);
				assert_true(deadlines[j] != 0 && deadlines[j] <= now_ms);
				probes[j].fired = 0;
				deadlines[j] = 0;
			}
			if (deadlines[j] != 0)
				assert_true(deadlines[j] + 2 * ZP_WHEEL_TICK_MS > now_ms);
			assert_int_equal(zp_timer_is_set(&probes[j].timer), deadlines[j] != 0);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(timers_fire_once_and_in_time),
	    cmocka_unit_test(timers_can_be_moved_and_cancelled),
	    cmocka_unit_test(callbacks_may_change_their_own_slot),
	    cmocka_unit_test(a_long_sleep_loses_nothing),
	    cmocka_unit_test(random_use_matches_a_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
