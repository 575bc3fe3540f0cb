/*
 * timer.c - the timer wheel: one turn of slots, with timers that move only when they must.
 *
 * Flow:  loop.c asks how long it may sleep and advances the wheel after each turn.
 * Owner: the loop's thread. Pure: the time is told.
 *
 * A connection moves its deadline with every request, nearly always to later. So setting a timer to
 * later only stores the deadline; the slot where it is linked comes up first, finds it not yet due
 * and links it further on. The same makes one turn enough for any distance.
 */
#include "loop/loop.h"

_Static_assert((ZP_WHEEL_SLOTS & (ZP_WHEEL_SLOTS - 1)) == 0, "a tick's slot is its low bits");

void
zp_timer_init(struct zp_timer *timer, void (*fire)(struct zp_timer *timer))
{
	*timer = (struct zp_timer){.fire = fire};
}

void
zp_wheel_init(struct zp_wheel *wheel, uint64_t now_ms)
{
	*wheel = (struct zp_wheel){.tick = now_ms / ZP_WHEEL_TICK_MS};
}

static void
timer_unlink(struct zp_wheel *wheel, struct zp_timer *timer)
{
	*timer->link = timer->next;
	if (timer->next != NULL)
		timer->next->link = timer->link;
	else if (wheel->slots[timer->slot] == NULL)
		wheel->used[timer->slot / 64] &= ~(1ull << timer->slot % 64);
	timer->link = NULL;
}

/* The tick at which the deadline has passed, as far as this turn of the wheel reaches. */
static uint64_t
tick_of(const struct zp_wheel *wheel, uint64_t deadline_ms)
{
	uint64_t tick = deadline_ms / ZP_WHEEL_TICK_MS + (deadline_ms % ZP_WHEEL_TICK_MS != 0);

	tick = zp_max_u64(tick, wheel->tick + 1);
	return zp_min_u64(tick, wheel->tick + ZP_WHEEL_SLOTS - 1);
}

static void
timer_link(struct zp_wheel *wheel, struct zp_timer *timer)
{
	uint32_t slot = (uint32_t)(tick_of(wheel, timer->deadline_ms) % ZP_WHEEL_SLOTS);

	timer->slot = slot;
	timer->next = wheel->slots[slot];
	timer->link = &wheel->slots[slot];
	if (timer->next != NULL)
		timer->next->link = &timer->next;
	wheel->slots[slot] = timer;
	wheel->used[slot / 64] |= 1ull << slot % 64;
}

/* Ticks from the wheel's present to the slot's next turn, 1 to ZP_WHEEL_SLOTS. */
static uint64_t
slot_distance(const struct zp_wheel *wheel, uint32_t slot)
{
	return (slot - (wheel->tick + 1)) % ZP_WHEEL_SLOTS + 1;
}

void
zp_wheel_set(struct zp_wheel *wheel, struct zp_timer *timer, uint64_t deadline_ms)
{
	ZP_ASSERT(timer->fire != NULL);
	timer->deadline_ms = deadline_ms;
	if (timer->link != NULL) {
		uint64_t looks_at = wheel->tick + slot_distance(wheel, timer->slot);

		if (looks_at <= tick_of(wheel, deadline_ms))
			return;
		timer_unlink(wheel, timer);
	}
	timer_link(wheel, timer);
}

void
zp_wheel_cancel(struct zp_wheel *wheel, struct zp_timer *timer)
{
	if (timer->link != NULL)
		timer_unlink(wheel, timer);
}

/* The first slot in use at or after `tick`, within one turn; its tick, or UINT64_MAX. */
static uint64_t
tick_used_next(const struct zp_wheel *wheel, uint64_t tick)
{
	uint64_t end = tick + ZP_WHEEL_SLOTS;

	while (tick < end) {
		uint32_t slot = (uint32_t)(tick % ZP_WHEEL_SLOTS);
		uint64_t word = wheel->used[slot / 64] >> slot % 64;

		if (word != 0) {
			tick += (uint64_t)__builtin_ctzll(word);
			return tick < end ? tick : UINT64_MAX;
		}
		tick += 64 - slot % 64;
	}
	return UINT64_MAX;
}

uint64_t
zp_wheel_wait_ms(const struct zp_wheel *wheel, uint64_t now_ms)
{
	uint64_t tick = tick_used_next(wheel, wheel->tick + 1);
	uint64_t at_ms;

	if (tick == UINT64_MAX)
		return UINT64_MAX;
	at_ms = tick * ZP_WHEEL_TICK_MS;
	return at_ms > now_ms ? at_ms - now_ms : 0;
}

/*
 * Empties one slot. Its list is taken over first: what the callbacks set goes to the wheel, what
 * they cancel leaves this list by its own links.
 */
static void
slot_fire(struct zp_wheel *wheel, uint32_t slot, uint64_t now_ms)
{
	struct zp_timer *due = wheel->slots[slot];

	wheel->slots[slot] = NULL;
	wheel->used[slot / 64] &= ~(1ull << slot % 64);
	if (due != NULL)
		due->link = &due;
	while (due != NULL) {
		struct zp_timer *timer = due;

		due = timer->next;
		if (due != NULL)
			due->link = &due;
		timer->link = NULL;
		if (timer->deadline_ms <= now_ms)
			timer->fire(timer);
		else
			timer_link(wheel, timer);
	}
}

void
zp_wheel_advance(struct zp_wheel *wheel, uint64_t now_ms)
{
	uint64_t from = wheel->tick + 1;
	uint64_t to = now_ms / ZP_WHEEL_TICK_MS;

	if (to < from)
		return;
	/* Set first, so that what callbacks set lands after this moment. After a long sleep one
	 * whole turn holds every timer there is. */
	wheel->tick = to;
	to = zp_min_u64(to, from + ZP_WHEEL_SLOTS - 1);
	for (uint64_t tick = from; tick <= to; tick++) {
		tick = tick_used_next(wheel, tick);
		if (tick > to)
			return;
		slot_fire(wheel, (uint32_t)(tick % ZP_WHEEL_SLOTS), now_ms);
	}
}
