// SPDX-License-Identifier: GPL-2.0-only
/*
 * The thread of tasks, and whose turn it is.
 */
#include "lbd/task.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lbd/clock.h"

#define TURN_NS 1000000u

enum task_state {
	TASK_NONE,   /* none runs */
	TASK_TURN,   /* it has the turn */
	TASK_BESIDE, /* it wants none now */
	TASK_WAITS,  /* until it is woken */
	TASK_READY,  /* it wants one */
	TASK_GONE,   /* the thread has ended */
};

struct tasks {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t loop, task; /* what each of them waits for */
	enum task_state state;     /* under the lock */
	/* Of whoever has the turn: */
	TAILQ_HEAD(, task) queue;
	bool ending;
	__u64 began_ns; /* the turn */
	int wanted_fd;  /* readable: a turn is wanted */
	sd_event_source *wanted, *timer;
};

/* Of the thread of tasks; elsewhere NULL. */
static __thread struct tasks *within;

static void want_turn(struct tasks *tasks)
{
	/* It can only be that it is readable already. */
	(void)eventfd_write(tasks->wanted_fd, 1);
}

/* --- the thread ------------------------------------------------------------------------------------------
 */

/* Gives the turn back, for the lock's owner. */
static void leave(struct tasks *tasks, enum task_state state)
{
	tasks->state = state;
	pthread_cond_signal(&tasks->loop);
}

static void await_turn(struct tasks *tasks)
{
	while (tasks->state != TASK_TURN)
		pthread_cond_wait(&tasks->task, &tasks->lock);
	tasks->began_ns = lb_now_ns();
}

static void step_aside(struct tasks *tasks, enum task_state state)
{
	pthread_mutex_lock(&tasks->lock);
	leave(tasks, state);
	if (state == TASK_READY)
		want_turn(tasks);
	await_turn(tasks);
	pthread_mutex_unlock(&tasks->lock);
}

void task_beside(void (*run)(void *context), void *context)
{
	struct tasks *tasks = within;

	if (!tasks) {
		run(context);
		return;
	}
	pthread_mutex_lock(&tasks->lock);
	leave(tasks, TASK_BESIDE);
	pthread_mutex_unlock(&tasks->lock);
	run(context);
	step_aside(tasks, TASK_READY);
}

struct syncing {
	int fd, code;
};

static void sync_beside(void *context)
{
	struct syncing *syncing = context;

	syncing->code = fsync(syncing->fd) < 0 ? errno : 0;
}

int task_fsync(int fd)
{
	struct syncing syncing = { .fd = fd };

	task_beside(sync_beside, &syncing);
	errno = syncing.code;
	return syncing.code ? -1 : 0;
}

void task_pause(void)
{
	if (within && lb_now_ns() - within->began_ns >= TURN_NS)
		step_aside(within, TASK_READY);
}

bool task_wait(__u64 deadline_ms)
{
	struct tasks *tasks = within;

	if (!tasks || tasks->ending || now_ms() >= deadline_ms ||
	    sd_event_source_set_time(tasks->timer, deadline_ms * 1000) < 0 ||
	    sd_event_source_set_enabled(tasks->timer, SD_EVENT_ONESHOT) < 0)
		return false;
	step_aside(tasks, TASK_WAITS);
	(void)sd_event_source_set_enabled(tasks->timer, SD_EVENT_OFF);
	return !tasks->ending && now_ms() < deadline_ms;
}

static struct task *next(struct tasks *tasks)
{
	struct task *task = TAILQ_FIRST(&tasks->queue);

	if (task) {
		TAILQ_REMOVE(&tasks->queue, task, list);
		task->queued = false;
	}
	return task;
}

static void *run(void *context)
{
	struct tasks *tasks = context;
	struct task *task;

	within = tasks;
	for (;;) {
		step_aside(tasks, TASK_NONE);
		task = next(tasks);
		if (!task)
			break;
		task->run(task->context);
		if (!TAILQ_EMPTY(&tasks->queue))
			want_turn(tasks);
	}
	pthread_mutex_lock(&tasks->lock);
	leave(tasks, TASK_GONE);
	pthread_mutex_unlock(&tasks->lock);
	return NULL;
}

/* --- the loop --------------------------------------------------------------------------------------------
 */

/* Stands still until the turn comes back. */
static void give_turn(struct tasks *tasks)
{
	pthread_mutex_lock(&tasks->lock);
	tasks->state = TASK_TURN;
	pthread_cond_signal(&tasks->task);
	while (tasks->state == TASK_TURN)
		pthread_cond_wait(&tasks->loop, &tasks->lock);
	pthread_mutex_unlock(&tasks->lock);
}

static enum task_state state_of(struct tasks *tasks)
{
	enum task_state state;

	pthread_mutex_lock(&tasks->lock);
	state = tasks->state;
	pthread_mutex_unlock(&tasks->lock);
	return state;
}

static int on_wanted(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct tasks *tasks = context;
	eventfd_t unused;
	enum task_state state;

	(void)eventfd_read(fd, &unused);
	state = state_of(tasks);
	if (state == TASK_READY || (state == TASK_NONE && !TAILQ_EMPTY(&tasks->queue)))
		give_turn(tasks);
	return 0;
}

void task_wake(struct tasks *tasks)
{
	pthread_mutex_lock(&tasks->lock);
	if (tasks->state == TASK_WAITS) {
		tasks->state = TASK_READY;
		want_turn(tasks);
	}
	pthread_mutex_unlock(&tasks->lock);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *context)
{
	task_wake(context);
	return 0;
}

void task_add(struct tasks *tasks, struct task *task)
{
	if (task->queued)
		return;
	if (tasks->ending) {
		if (task->cancel)
			task->cancel(task->context);
		return;
	}
	task->queued = true;
	TAILQ_INSERT_TAIL(&tasks->queue, task, list);
	want_turn(tasks);
}

bool task_withdraw(struct tasks *tasks, struct task *task)
{
	if (!task->queued)
		return false;
	TAILQ_REMOVE(&tasks->queue, task, list);
	task->queued = false;
	return true;
}

void tasks_end(struct tasks *tasks)
{
	struct task *task;

	if (!tasks || tasks->ending)
		return;
	tasks->ending = true;
	while ((task = next(tasks)))
		if (task->cancel)
			task->cancel(task->context);
	for (;;) {
		enum task_state state;

		pthread_mutex_lock(&tasks->lock);
		while (tasks->state == TASK_BESIDE)
			pthread_cond_wait(&tasks->loop, &tasks->lock);
		state = tasks->state;
		pthread_mutex_unlock(&tasks->lock);
		if (state == TASK_NONE)
			return;
		give_turn(tasks);
	}
}

void tasks_free(struct tasks *tasks)
{
	if (!tasks)
		return;
	/* None is left: the thread ends. */
	give_turn(tasks);
	pthread_join(tasks->thread, NULL);
	sd_event_source_disable_unref(tasks->wanted);
	sd_event_source_disable_unref(tasks->timer);
	close(tasks->wanted_fd);
	pthread_cond_destroy(&tasks->loop);
	pthread_cond_destroy(&tasks->task);
	pthread_mutex_destroy(&tasks->lock);
	free(tasks);
}

static int start_thread(struct tasks *tasks)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&tasks->thread, NULL, run, tasks);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return -r;
	pthread_mutex_lock(&tasks->lock);
	while (tasks->state == TASK_TURN)
		pthread_cond_wait(&tasks->loop, &tasks->lock);
	pthread_mutex_unlock(&tasks->lock);
	return 0;
}

int tasks_open(struct tasks **ret_tasks, sd_event *event)
{
	struct tasks *tasks = calloc(1, sizeof(*tasks));
	int r;

	if (!tasks)
		return -ENOMEM;
	TAILQ_INIT(&tasks->queue);
	pthread_mutex_init(&tasks->lock, NULL);
	pthread_cond_init(&tasks->loop, NULL);
	pthread_cond_init(&tasks->task, NULL);
	tasks->state = TASK_TURN;
	tasks->wanted_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = tasks->wanted_fd < 0 ? -errno : 0;
	if (r == 0)
		r = sd_event_add_io(event, &tasks->wanted, tasks->wanted_fd, EPOLLIN, on_wanted, tasks);
	if (r >= 0)
		r = sd_event_add_time(event, &tasks->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, tasks);
	if (r >= 0)
		r = sd_event_source_set_enabled(tasks->timer, SD_EVENT_OFF);
	if (r >= 0)
		r = start_thread(tasks);
	if (r < 0) {
		sd_event_source_disable_unref(tasks->wanted);
		sd_event_source_disable_unref(tasks->timer);
		if (tasks->wanted_fd >= 0)
			close(tasks->wanted_fd);
		free(tasks);
		return r;
	}
	*ret_tasks = tasks;
	return 0;
}
