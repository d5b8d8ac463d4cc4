/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tasks: what takes longer than a turn of the loop may. One at a time, in the order in which they were added,
 * each written from its first line to its last as if it ran in the loop; where it has to wait it steps aside.
 *
 * There is a thread for them, and the loop and that thread take turns: whoever has the turn may touch
 * everything the agent has, and the other one stands still. A task gives its turn back at its end, and
 *
 *   in task_beside(), while a function runs that touches nothing but what it is given: a program is loaded, a
 * disk takes what it was given, packets in flight are waited for; in task_wait(), until something has
 * happened or its time is over; in task_pause(), when it has had the turn for long.
 *
 * So there are no data races, and between these places a task sees nothing change. Across them it does: the
 * loop reads netlink, sweeps, hears of health, answers requests. What only tasks change (the configuration,
 * overrides, services of sources, attachments, generations) stays as it is until the task's end.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <systemd/sd-event.h>

struct tasks;

/* Owned by who adds it. run or cancel is called once for each time that it was queued; it may be freed in
 * there. */
struct task {
	void (*run)(void *context);
	void (*cancel)(void *context); /* instead, when the agent stops before its turn; NULL: nothing is to
					  be done */
	void *context;
	bool queued;
	TAILQ_ENTRY(task) list;
};

/* 0 or -errno. */
int tasks_open(struct tasks **ret_tasks, sd_event *event);
/* Lets the one that runs come to its end, and cancels the others, also what is added from now on. */
void tasks_end(struct tasks *tasks);
void tasks_free(struct tasks *tasks); /* ended */

/* To be run when all that were added before are done; nothing if it is queued already. */
void task_add(struct tasks *tasks, struct task *task);

/* Takes it back, if its turn has not come yet; then neither run nor cancel is called. Whether it was so. */
bool task_withdraw(struct tasks *tasks, struct task *task);

/* As task_add() for a task that is one function of its owner. */
static inline void task_call(struct tasks *tasks, struct task *task, void (*run)(void *context),
			     void *context)
{
	if (task->queued)
		return;
	task->run = run;
	task->context = context;
	task_add(tasks, task);
}

/* --- within a task; elsewhere the loop waits, or nothing happens ------------------------------------------
 */

/* Runs run(context) while the loop turns. */
void task_beside(void (*run)(void *context), void *context);

/* fsync() beside the loop. 0, or -1 with errno. */
int task_fsync(int fd);

/* Lets the loop turn if this one has had its turn for a while. */
void task_pause(void);

/* Until task_wake(), or deadline_ms of now_ms(). True: woken, and it is not yet over. */
bool task_wait(__u64 deadline_ms);
void task_wake(struct tasks *tasks);
