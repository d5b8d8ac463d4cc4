// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tasks and the loop take turns: what runs when, what stands still, and what an end leaves undone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lbd/clock.h"
#include "lbd/task.h"

#define PATIENCE_MS 10000u
#define TASKS       4

struct world {
	sd_event *event;
	struct tasks *tasks;
	sd_event_source *turning; /* counts the loop's turns */
	unsigned int turns;
	char log[256]; /* what happened, in order */
	struct task task[TASKS];
	struct job {
		struct world *world;
		char name;
		void (*work)(struct world *world);
	} job[TASKS];
	int fd; /* that work beside the loop waits for */
	__u64 deadline_ms;
	bool woken;
	pthread_t beside;
};

static void note(struct world *world, char what)
{
	size_t n = strlen(world->log);

	assert_true(n + 1 < sizeof(world->log));
	world->log[n] = what;
}

static int on_turning(sd_event_source *source, uint64_t usec, void *context)
{
	struct world *world = context;

	world->turns++;
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	assert_true(sd_event_new(&world->event) >= 0);
	assert_true(sd_event_add_time(world->event, &world->turning, CLOCK_MONOTONIC, 0, 1, on_turning,
				      world) >= 0);
	assert_int_equal(sd_event_source_set_enabled(world->turning, SD_EVENT_OFF), 0);
	assert_int_equal(tasks_open(&world->tasks, world->event), 0);
	world->fd = eventfd(0, EFD_CLOEXEC);
	assert_true(world->fd >= 0);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	tasks_end(world->tasks);
	tasks_free(world->tasks);
	sd_event_source_disable_unref(world->turning);
	sd_event_unref(world->event);
	close(world->fd);
	free(world);
	return 0;
}

static void run_job(void *context)
{
	struct job *job = context;

	note(job->world, job->name);
	if (job->work)
		job->work(job->world);
	note(job->world, (char)(job->name - 'a' + 'A'));
}

static void cancel_job(void *context)
{
	struct job *job = context;

	note(job->world, '-');
	note(job->world, job->name);
}

static void add(struct world *world, int number, void (*work)(struct world *world))
{
	world->job[number] = (struct job){ world, (char)('a' + number), work };
	if (!world->task[number].queued)
		world->task[number] =
			(struct task){ .run = run_job, .cancel = cancel_job, .context = &world->job[number] };
	task_add(world->tasks, &world->task[number]);
}

/* Turns the loop until this has happened. */
static void turn_until(struct world *world, char what)
{
	__u64 end = now_ms() + PATIENCE_MS;

	while (!strchr(world->log, what)) {
		assert_true(now_ms() < end);
		assert_true(sd_event_run(world->event, 10000) >= 0);
	}
}

static void test_tasks_run_in_order_and_not_at_once(void **state)
{
	struct world *world = *state;

	add(world, 0, NULL);
	add(world, 1, NULL);
	add(world, 2, NULL);
	assert_string_equal(world->log, "");
	turn_until(world, 'C');
	assert_string_equal(world->log, "aAbBcC");
}

static void test_a_task_that_is_queued_is_not_queued_again(void **state)
{
	struct world *world = *state;

	add(world, 0, NULL);
	add(world, 1, NULL);
	add(world, 0, NULL);
	turn_until(world, 'B');
	assert_string_equal(world->log, "aAbB");
	add(world, 0, NULL);
	turn_until(world, 'B');
	while (strcmp(world->log, "aAbB") == 0)
		sd_event_run(world->event, 10000);
	assert_string_equal(world->log, "aAbBaA");
}

static void wait_for_fd(void *context)
{
	struct world *world = context;
	eventfd_t unused;

	world->beside = pthread_self();
	assert_int_equal(eventfd_read(world->fd, &unused), 0);
}

static void work_beside(struct world *world)
{
	task_beside(wait_for_fd, world);
	note(world, '+');
}

static void test_the_loop_turns_while_a_task_is_beside_it(void **state)
{
	struct world *world = *state;

	add(world, 0, work_beside);
	add(world, 1, NULL);
	turn_until(world, 'a');
	sd_event_source_set_enabled(world->turning, SD_EVENT_ONESHOT);
	while (world->turns < 1000)
		assert_true(sd_event_run(world->event, 0) >= 0);
	/* One at a time: the second one has not begun. */
	assert_string_equal(world->log, "a");
	assert_int_equal(eventfd_write(world->fd, 1), 0);
	turn_until(world, 'B');
	assert_string_equal(world->log, "a+AbB");
	assert_false(pthread_equal(world->beside, pthread_self()));
}

static void test_elsewhere_it_is_simply_run(void **state)
{
	struct world *world = *state;

	assert_int_equal(eventfd_write(world->fd, 1), 0);
	task_beside(wait_for_fd, world);
	assert_true(pthread_equal(world->beside, pthread_self()));
	task_pause();
	assert_false(task_wait(now_ms() + PATIENCE_MS));
}

static void work_long(struct world *world)
{
	__u64 end = now_ms() + PATIENCE_MS;

	/* Without pauses the loop would not turn at all. */
	while (world->turns < 20 && now_ms() < end)
		task_pause();
}

static void test_a_long_task_lets_the_loop_turn(void **state)
{
	struct world *world = *state;

	sd_event_source_set_enabled(world->turning, SD_EVENT_ONESHOT);
	add(world, 0, work_long);
	turn_until(world, 'A');
	assert_true(world->turns >= 20);
}

static void work_wait(struct world *world)
{
	world->woken = task_wait(world->deadline_ms);
}

static void test_a_task_waits_until_it_is_woken(void **state)
{
	struct world *world = *state;

	world->deadline_ms = now_ms() + PATIENCE_MS;
	add(world, 0, work_wait);
	turn_until(world, 'a');
	sd_event_run(world->event, 1000);
	assert_string_equal(world->log, "a");
	task_wake(world->tasks);
	turn_until(world, 'A');
	assert_true(world->woken);
}

static void test_a_task_waits_no_longer_than_it_wants_to(void **state)
{
	struct world *world = *state;

	world->woken = true;
	world->deadline_ms = now_ms() + 20;
	add(world, 0, work_wait);
	turn_until(world, 'A');
	assert_false(world->woken);
	assert_true(now_ms() >= world->deadline_ms);
}

static void test_the_end_lets_one_finish_and_cancels_the_others(void **state)
{
	struct world *world = *state;

	add(world, 0, work_beside);
	add(world, 1, NULL);
	turn_until(world, 'a');
	assert_int_equal(eventfd_write(world->fd, 1), 0);
	tasks_end(world->tasks);
	assert_string_equal(world->log, "a-b+A");
	add(world, 2, NULL);
	assert_string_equal(world->log, "a-b+A-c");
}

static void test_the_end_wakes_one_that_waits(void **state)
{
	struct world *world = *state;

	world->woken = true;
	world->deadline_ms = now_ms() + 3600 * 1000;
	add(world, 0, work_wait);
	turn_until(world, 'a');
	tasks_end(world->tasks);
	assert_string_equal(world->log, "aA");
	assert_false(world->woken);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
		TEST(test_tasks_run_in_order_and_not_at_once),
		TEST(test_a_task_that_is_queued_is_not_queued_again),
		TEST(test_the_loop_turns_while_a_task_is_beside_it),
		TEST(test_elsewhere_it_is_simply_run),
		TEST(test_a_long_task_lets_the_loop_turn),
		TEST(test_a_task_waits_until_it_is_woken),
		TEST(test_a_task_waits_no_longer_than_it_wants_to),
		TEST(test_the_end_lets_one_finish_and_cancels_the_others),
		TEST(test_the_end_wakes_one_that_waits),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
