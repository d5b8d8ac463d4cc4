// SPDX-License-Identifier: GPL-2.0-only
/*
 * The clock of the agent: once a second, and more often while there is something to settle, the engine's
 * sweeper does as much work as its share of a processor allows.
 */
#include "lbd/sweeper.h"

#include <malloc.h>
#include <string.h>
#include <time.h>

#include "lbd/clock.h"
#include "lbd/kernel/interfaces_stations.h"
#include "lbd/kernel/links.h"
#include "lbd/kernel/path_mtu.h"
#include "lbd/announce/announce.h"
#include "lbd/lbd.h"
#include "lbd/stats/drain.h"

#define TICK_MS      1000u
#define BUSY_TICK_MS 100u
#define WORK_MIN     64u
#define WORK_MAX     (1u << 22)
#define WORK_START   4096u
#define PIECES       16u /* between looks at the time */
#define KEEP_EVERY   5u  /* seconds between looks at the neighbours */

static __u64 thread_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (__u64)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Work for the next tick, so that it takes what a tick may take; at most twice as much as last time. */
static size_t next_work(size_t work, __u64 spent_ns, __u64 allowed_ns)
{
	__u64 next;

	next = spent_ns ? (__u64)work * allowed_ns / spent_ns : 2 * work;
	if (next > 2 * work)
		next = 2 * work;
	return next < WORK_MIN ? WORK_MIN : next > WORK_MAX ? WORK_MAX : next;
}

static void look_at_drains(void *context)
{
	drain_look(context);
}

static void look_at_stations(void *context)
{
	stations_update(context);
}

static void trim_beside(void *context)
{
	malloc_trim(0);
}

static void trim(void *context)
{
	task_beside(trim_beside, NULL);
}

static void housekeeping(struct lbd *lbd, __u64 second)
{
	task_call(lbd->tasks, &lbd->task.drains, look_at_drains, lbd);
	if (lbd->trim_s && --lbd->trim_s == 0)
		task_call(lbd->tasks, &lbd->task.trim, trim, lbd);
	if (second % KEEP_EVERY == 0) {
		netlink_look(&lbd->netlink);
		/* Not all that changes an interface's list of addresses tells of it. */
		task_call(lbd->tasks, &lbd->task.stations, look_at_stations, lbd);
	}
	announce_tick(lbd);
	path_mtu_tick(lbd);
	if (lbd->attach_retry_ms && now_ms() >= lbd->attach_retry_ms)
		links_look_again(lbd);
}

/* So much work, or until its time is over, whatever work turned out to cost: how much it was. *ret_over:
 * there was more to do than time. */
static size_t sweep(struct lbd *lbd, __u64 second, __u64 allowed_ns, bool *ret_over)
{
	size_t work = lbd->sweeper.work, piece = work / PIECES + WORK_MIN, visited = 0;
	__u64 begin = thread_ns();

	*ret_over = false;
	lb_engine_turn(lbd->engine, second);
	while (visited < work && !*ret_over) {
		size_t n = work - visited < piece ? work - visited : piece;
		size_t did = lb_engine_sweep(lbd->engine, n);

		visited += did;
		if (did < n)
			break;
		*ret_over = thread_ns() - begin > 2 * allowed_ns;
	}
	return visited;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *context)
{
	struct lbd *lbd = context;
	struct sweeper *sweeper = &lbd->sweeper;
	__u64 second = now_ms() / 1000, begin = thread_ns(), spent;
	/* permille of a core for so many milliseconds is as many microseconds. */
	__u64 allowed_ns = (__u64)lbd->running.config->sweeper.cpu_permille * BUSY_TICK_MS * 1000;
	bool over, busy;
	size_t visited = sweep(lbd, second, allowed_ns, &over);

	spent = thread_ns() - begin;
	/* Less than it was allowed to: there was no more to do, and nothing is learnt of what work costs. */
	busy = over || visited >= sweeper->work / 2;
	if (busy)
		sweeper->work = next_work(over ? visited : sweeper->work, spent, allowed_ns);
	sweeper->ticks++;
	if (second != sweeper->second) {
		sweeper->last_spent_ns = sweeper->spent_ns;
		sweeper->spent_ns = 0;
		sweeper->second = second;
		housekeeping(lbd, second);
	}
	sweeper->spent_ns += spent;
	sd_event_source_set_time(source, (now_ms() + (busy ? BUSY_TICK_MS : TICK_MS)) * 1000);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int sweeper_start(struct lbd *lbd)
{
	lbd->sweeper.work = WORK_START;
	return sd_event_add_time(lbd->event, &lbd->sweeper.timer, CLOCK_MONOTONIC, now_ms() * 1000, 1000,
				 on_tick, lbd);
}

void sweeper_hurry(struct lbd *lbd)
{
	if (lbd->sweeper.timer)
		sd_event_source_set_time(lbd->sweeper.timer, 0);
}

void sweeper_stop(struct lbd *lbd)
{
	lbd->sweeper.timer = sd_event_source_disable_unref(lbd->sweeper.timer);
}
