// SPDX-License-Identifier: GPL-2.0-only
/*
 * The times of the schedule. A due time only ever comes nearer, but for the pause after a plan: so nobody who
 * keeps on changing something puts off what others wait for.
 */
#include "intent/schedule.h"

/* In which a burst comes together. */
static const __u16 debounce_ms[LB_CAUSE_COUNT] = {
	5,  /* health: the sooner nobody is sent to the dead, the better */
	20, /* next hops */
	20, /* routes: a routing daemon's update is some hundred messages */
	5,  /* sources: they collect what comes together themselves */
	0,  /* words that are over */
};

static __u64 later(__u64 a, __u64 b)
{
	return a > b ? a : b;
}

static __u64 earlier(__u64 a, __u64 b)
{
	return a < b ? a : b;
}

static void wake(struct lb_schedule *schedule, __u64 due_ms)
{
	schedule->due_ms = schedule->due_ms ? earlier(schedule->due_ms, due_ms) : due_ms;
}

static __u64 pause_end_ms(const struct lb_schedule *schedule, __u64 now_ms)
{
	__u64 end_ms = later(schedule->even_ms, LB_SCHEDULE_BURST_MS) - LB_SCHEDULE_BURST_MS;

	return earlier(end_ms, now_ms + LB_SCHEDULE_WAIT_MAX_MS);
}

void lb_schedule_want_later(struct lb_schedule *schedule, unsigned int causes, __u64 now_ms, __u64 delay_ms)
{
	if (!causes)
		return;
	schedule->wanted |= causes;
	wake(schedule, later(now_ms + delay_ms, pause_end_ms(schedule, now_ms)));
}

void lb_schedule_want(struct lb_schedule *schedule, unsigned int causes, __u64 now_ms)
{
	for (unsigned int i = 0; i < LB_CAUSE_COUNT; i++) {
		if (causes & 1u << i)
			lb_schedule_want_later(schedule, 1u << i, now_ms, debounce_ms[i]);
	}
}

__u64 lb_schedule_due_ms(const struct lb_schedule *schedule)
{
	return schedule->taken ? 0 : schedule->due_ms;
}

unsigned int lb_schedule_begin(struct lb_schedule *schedule, __u64 now_ms)
{
	if (schedule->taken || !schedule->due_ms || now_ms < schedule->due_ms)
		return 0;
	schedule->taken = schedule->wanted;
	schedule->wanted = 0;
	schedule->due_ms = 0;
	return schedule->taken;
}

static __u64 retry_ms(unsigned int failures)
{
	__u64 ms = LB_SCHEDULE_RETRY_MS;

	while (--failures && ms < LB_SCHEDULE_RETRY_MAX_MS)
		ms *= 2;
	return earlier(ms, LB_SCHEDULE_RETRY_MAX_MS);
}

void lb_schedule_end(struct lb_schedule *schedule, bool failed, __u64 now_ms, __u64 work_ms)
{
	__u64 pause_ms = LB_SCHEDULE_PAUSE_FACTOR * work_ms;
	unsigned int causes = schedule->taken;

	schedule->taken = 0;
	/* A plan pays for itself; those before it, that others did not wait for, only as far as the burst. */
	schedule->even_ms =
		earlier(later(schedule->even_ms, now_ms), now_ms + LB_SCHEDULE_BURST_MS) + pause_ms;
	/* What came meanwhile did not know how long this one would take. */
	if (schedule->due_ms)
		schedule->due_ms = later(schedule->due_ms, pause_end_ms(schedule, now_ms));
	schedule->failures = failed ? schedule->failures + 1 : 0;
	if (!failed)
		return;
	schedule->wanted |= causes;
	wake(schedule, now_ms + retry_ms(schedule->failures));
}

void lb_schedule_cover(struct lb_schedule *schedule, unsigned int causes)
{
	schedule->wanted &= ~causes;
	if (!schedule->wanted)
		schedule->due_ms = 0;
}
