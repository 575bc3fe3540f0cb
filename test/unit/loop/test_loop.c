/*
 * test_loop.c - the loop with real descriptors and threads. Only orders and outcomes are checked.
 */
#include "loop/loop.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <unistd.h>
#include <cmocka.h>

static struct zp_loop *loop;

static int
loop_setup(void **state)
{
	(void)state;
	loop = NULL;
	return zp_loop_new(&loop, NULL);
}

static int
loop_teardown(void **state)
{
	(void)state;
	zp_loop_free(loop);
	return 0;
}

/* ---- Mailbox -------------------------------------------------------------------------------- */

enum { POSTERS = 4, POSTS = 20000 };

struct mail {
	struct zp_task task;
	unsigned poster;
	unsigned index;
};

static struct mail mails[POSTERS][POSTS];
static unsigned next_of[POSTERS];
static unsigned mails_left;

static void
mail_run(struct zp_task *task)
{
	struct mail *mail = ZP_CONTAINER(task, struct mail, task);

	assert_true(zp_loop_is_current(loop));
	assert_int_equal(mail->index, next_of[mail->poster]);
	next_of[mail->poster]++;
	if (--mails_left == 0)
		zp_loop_stop(loop);
}

static void *
poster_run(void *argument)
{
	struct mail *own = argument;

	for (unsigned i = 0; i < POSTS; i++)
		zp_loop_post(loop, &own[i].task);
	return NULL;
}

/* Tasks of several threads all run, on the loop's thread, each poster's in its order. */
static void
posts_of_many_threads_arrive_in_order(void **state)
{
	pthread_t threads[POSTERS];

	(void)state;
	mails_left = POSTERS * POSTS;
	for (unsigned i = 0; i < POSTERS; i++) {
		next_of[i] = 0;
		for (unsigned j = 0; j < POSTS; j++)
			mails[i][j] = (struct mail){.task.run = mail_run, .poster = i, .index = j};
		assert_int_equal(pthread_create(&threads[i], NULL, poster_run, mails[i]), 0);
	}
	zp_loop_run(loop);
	for (unsigned i = 0; i < POSTERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(next_of[i], POSTS);
	}
}

struct chain {
	struct zp_task task;
	unsigned runs;
	bool in_call;
};

static void
chain_run(struct zp_task *task)
{
	struct chain *chain = ZP_CONTAINER(task, struct chain, task);

	assert_false(chain->in_call);
	chain->in_call = true;
	if (++chain->runs < 1000)
		zp_loop_post(loop, task);
	else
		zp_loop_stop(loop);
	chain->in_call = false;
}

/* A task that posts itself runs again in a later step, never inside itself, and without a wake-up.
 */
static void
a_task_may_post_itself(void **state)
{
	struct chain chain = {.task.run = chain_run};

	(void)state;
	zp_loop_post(loop, &chain.task);
	zp_loop_run(loop);
	assert_int_equal(chain.runs, 1000);
}

static atomic_uint late_runs;

static void
late_run(struct zp_task *task)
{
	(void)task;
	atomic_fetch_add(&late_runs, 1);
}

/* What was posted before the stop runs, though the loop never turned. */
static void
a_stop_leaves_no_task_behind(void **state)
{
	struct zp_task tasks[3];

	(void)state;
	atomic_store(&late_runs, 0);
	for (size_t i = 0; i < 3; i++) {
		tasks[i] = (struct zp_task){.run = late_run};
		zp_loop_post(loop, &tasks[i]);
	}
	zp_loop_stop(loop);
	zp_loop_run(loop);
	assert_int_equal(late_runs, 3);
}

/* ---- Sources -------------------------------------------------------------------------------- */

struct pipe_end {
	struct zp_source source;
	struct pipe_end *other;
	unsigned calls;
};

static void
removes_the_other(struct zp_source *source, uint32_t events)
{
	struct pipe_end *end = ZP_CONTAINER(source, struct pipe_end, source);

	assert_true((events & EPOLLIN) != 0);
	end->calls++;
	zp_loop_remove(loop, &end->other->source);
	/* Freed memory would be read if the other's fetched event were still delivered. */
	memset(&end->other->source, 0xff, sizeof(end->other->source));
	zp_loop_stop(loop);
}

/* Of two ready sources the first removes the other, whose event was fetched in the same turn. */
static void
a_removed_source_is_not_called(void **state)
{
	struct pipe_end ends[2] = {0};
	int fds[2][2];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(pipe(fds[i]), 0);
		assert_int_equal(write(fds[i][1], "x", 1), 1);
		ends[i].source = (struct zp_source){.ready = removes_the_other, .fd = fds[i][0]};
		ends[i].other = &ends[1 - i];
		assert_int_equal(zp_loop_add(loop, &ends[i].source, EPOLLIN, NULL), 0);
	}
	zp_loop_run(loop);
	assert_int_equal(ends[0].calls + ends[1].calls, 1);
	for (size_t i = 0; i < 2; i++) {
		close(fds[i][0]);
		close(fds[i][1]);
	}
}

struct order {
	struct zp_timer timer;
	uint64_t fired_ms;
	bool last;
};

static void
order_fire(struct zp_timer *timer)
{
	struct order *order = ZP_CONTAINER(timer, struct order, timer);

	order->fired_ms = zp_loop_now_ms(loop);
	assert_true(order->fired_ms >= timer->deadline_ms);
	if (order->last)
		zp_loop_stop(loop);
}

/* Timers wake a loop that has nothing else, in the order of their deadlines. */
static void
timers_wake_the_loop(void **state)
{
	struct order first = {0};
	struct order second = {.last = true};

	(void)state;
	zp_timer_init(&first.timer, order_fire);
	zp_timer_init(&second.timer, order_fire);
	zp_wheel_set(zp_loop_wheel(loop), &second.timer, zp_clock_ms() + 80);
	zp_wheel_set(zp_loop_wheel(loop), &first.timer, zp_clock_ms() + 10);
	zp_loop_run(loop);
	assert_true(first.fired_ms != 0 && first.fired_ms <= second.fired_ms);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		posts_of_many_threads_arrive_in_order, loop_setup, loop_teardown),
	    cmocka_unit_test_setup_teardown(a_task_may_post_itself, loop_setup, loop_teardown),
	    cmocka_unit_test_setup_teardown(
		a_stop_leaves_no_task_behind, loop_setup, loop_teardown),
	    cmocka_unit_test_setup_teardown(
		a_removed_source_is_not_called, loop_setup, loop_teardown),
	    cmocka_unit_test_setup_teardown(timers_wake_the_loop, loop_setup, loop_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
