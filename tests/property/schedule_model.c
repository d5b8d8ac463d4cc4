// SPDX-License-Identifier: GPL-2.0-only
/*
 * The schedule under virtual time, against a model that remembers of every cause when it came first and what
 * it was about: random bursts, plans that last, fail, or are made by requests, and restarts. What is planned
 * for is all that had come, in one plan; nothing is forgotten, nothing waits for longer than it may, plans do
 * not overlap and leave the loop the time that they promise. schedule_model STEPS SEED
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "intent/schedule.h"

static struct lb_schedule schedule;
static __u64 now_ms = 1000, random_state, step;

/* Of what changes by itself: how often it has changed, and which of that packets see. */
static __u64 wanted[LB_CAUSE_COUNT], planned[LB_CAUSE_COUNT], applied[LB_CAUSE_COUNT];
static __u64 since_ms[LB_CAUSE_COUNT]; /* of the oldest change that no plan has looked at; 0: there is none */
static __u64 began_ms, ends_ms, last_end_ms; /* of the plan that is being made, and of the last one */
static __u64 owed_ms;                        /* pauses for plans that have not been made, as of last_end_ms */
static unsigned int causes_planned, failures;
static bool fails, held; /* held: something is wanted for later */
static __u64 plans, changes;

static void fail(const char *what)
{
	fprintf(stderr, "step %llu, %llu ms: %s\n", step, now_ms, what);
	exit(1);
}

static __u32 below(__u32 n)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (__u32)((random_state >> 33) % n);
}

/* --- what happens ----------------------------------------------------------------------------------------
 */

static void change(unsigned int causes)
{
	for (unsigned int i = 0; i < LB_CAUSE_COUNT; i++) {
		if (!(causes & 1u << i))
			continue;
		wanted[i]++;
		since_ms[i] = since_ms[i] ? since_ms[i] : now_ms;
	}
	changes++;
	lb_schedule_want(&schedule, causes, now_ms);
}

static void begin(void)
{
	unsigned int causes = lb_schedule_begin(&schedule, now_ms), open = 0;

	if (!causes)
		return;
	if (ends_ms)
		fail("a plan is begun while one is being made");
	for (unsigned int i = 0; i < LB_CAUSE_COUNT; i++) {
		open |= wanted[i] != applied[i] ? 1u << i : 0;
		if (since_ms[i] && !(causes & 1u << i))
			fail("a change is left out of the plan that is made after it");
		since_ms[i] = 0;
	}
	if ((causes & ~open) && !held)
		fail("a plan is made for what has not changed");
	memcpy(planned, wanted, sizeof(planned));
	held = false;
	causes_planned = causes;
	began_ms = now_ms;
	ends_ms = now_ms + (below(8) ? below(40) : below(3000)) + 1;
	fails = below(6) == 0;
	plans++;
}

static void end(void)
{
	unsigned int causes = causes_planned;

	__u64 work_ms = below((__u32)(now_ms - began_ms) + 1);

	owed_ms = owed_ms > now_ms - last_end_ms ? owed_ms - (now_ms - last_end_ms) : 0;
	owed_ms = owed_ms < LB_SCHEDULE_BURST_MS ? owed_ms : LB_SCHEDULE_BURST_MS;
	owed_ms += LB_SCHEDULE_PAUSE_FACTOR * work_ms;
	last_end_ms = now_ms;
	ends_ms = 0;
	failures = fails ? failures + 1 : 0;
	for (unsigned int i = 0; i < LB_CAUSE_COUNT; i++) {
		if (!fails)
			applied[i] = planned[i];
		else if ((causes & 1u << i) && wanted[i] == applied[i])
			held = true;
		else if (causes & 1u << i)
			since_ms[i] = since_ms[i] ? since_ms[i] : now_ms;
	}
	lb_schedule_end(&schedule, fails, now_ms, work_ms);
}

/* A request's plan sees everything, and makes what was wanted so far superfluous. */
static void request(void)
{
	if (ends_ms)
		return;
	memcpy(applied, wanted, sizeof(applied));
	memset(since_ms, 0, sizeof(since_ms));
	held = false;
	lb_schedule_cover(&schedule, (1u << LB_CAUSE_COUNT) - 1);
	if (lb_schedule_due_ms(&schedule))
		fail("nothing is wanted, and something is due");
}

/* The first plan of an agent looks at everything. */
static void restart(void)
{
	memset(&schedule, 0, sizeof(schedule));
	memcpy(applied, wanted, sizeof(applied));
	memset(since_ms, 0, sizeof(since_ms));
	ends_ms = last_end_ms = owed_ms = 0;
	failures = 0;
	held = false;
}

/* --- what must hold --------------------------------------------------------------------------------------
 */

/* How long something may wait that came while no plan was being made, or since that ended. */
static __u64 longest_wait_ms(void)
{
	__u64 retry_ms = LB_SCHEDULE_RETRY_MAX_MS;

	if (failures < 6)
		retry_ms = failures ? (__u64)LB_SCHEDULE_RETRY_MS << (failures - 1) : 0;
	return retry_ms > LB_SCHEDULE_WAIT_MAX_MS ? retry_ms : LB_SCHEDULE_WAIT_MAX_MS;
}

static void check(void)
{
	__u64 due_ms = lb_schedule_due_ms(&schedule);

	if (ends_ms && due_ms)
		fail("something is due while a plan is being made");
	if (ends_ms && lb_schedule_begin(&schedule, now_ms + 1000000))
		fail("two plans at once");
	for (unsigned int i = 0; i < LB_CAUSE_COUNT; i++) {
		__u64 from_ms = since_ms[i] > last_end_ms ? since_ms[i] : last_end_ms;

		if (ends_ms || wanted[i] == applied[i])
			continue;
		if (!due_ms)
			fail("a change is forgotten");
		if (due_ms > from_ms + longest_wait_ms())
			fail("a change waits for longer than it may");
	}
	if (!ends_ms && due_ms && !schedule.wanted)
		fail("a plan is due for nothing");
}

/* Between two plans there are pauses for as much as all but the burst is owed, unless somebody has waited for
 * as long as may be. */
static void check_pause(__u64 oldest_ms)
{
	__u64 pause_ms = now_ms - last_end_ms;

	if (!last_end_ms || pause_ms + LB_SCHEDULE_BURST_MS >= owed_ms || failures)
		return;
	if (now_ms - oldest_ms < LB_SCHEDULE_WAIT_MAX_MS && pause_ms < LB_SCHEDULE_WAIT_MAX_MS)
		fail("a plan is made too soon after one that took long");
}

static void run_until(__u64 until_ms)
{
	for (;;) {
		__u64 next_ms = ends_ms ? ends_ms : lb_schedule_due_ms(&schedule), oldest_ms = now_ms;

		if (!next_ms || next_ms > until_ms)
			break;
		now_ms = next_ms > now_ms ? next_ms : now_ms;
		if (ends_ms) {
			end();
		} else {
			for (unsigned int i = 0; i < LB_CAUSE_COUNT; i++)
				oldest_ms = since_ms[i] && since_ms[i] < oldest_ms ? since_ms[i] : oldest_ms;
			check_pause(oldest_ms);
			begin();
			if (!ends_ms)
				fail("what is due is not begun");
		}
		check();
	}
	now_ms = until_ms;
}

/* With peace and luck all is as it is wanted, soon. */
static void settle(void)
{
	for (int i = 0; i < 20 && (ends_ms || lb_schedule_due_ms(&schedule)); i++) {
		fails = false;
		run_until(ends_ms ? ends_ms : lb_schedule_due_ms(&schedule));
		fails = false;
	}
	if (ends_ms || lb_schedule_due_ms(&schedule) || memcmp(wanted, applied, sizeof(wanted)) != 0)
		fail("it does not come to rest");
}

static void one_step(void)
{
	switch (below(64)) {
	case 0:
		request();
		break;
	case 1:
		if (below(8) == 0)
			restart();
		break;
	case 2:
		held = true;
		lb_schedule_want_later(&schedule, LB_CAUSE_NEXTHOP, now_ms, below(5000));
		break;
	case 3:
		if (below(16) == 0)
			settle();
		break;
	default:
		change(1u << below(LB_CAUSE_COUNT));
		if (below(4) == 0)
			change(1u + below((1u << LB_CAUSE_COUNT) - 1));
	}
	check();
	run_until(now_ms + (below(4) ? below(10) : below(16) ? below(300) : below(60000)));
	check();
}

int main(int argc, char **argv)
{
	__u64 steps = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;

	random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	for (step = 1; step <= steps; step++)
		one_step();
	settle();
	printf("schedule: %llu steps, %llu changes in %llu plans, all as the model has it\n", steps, changes,
	       plans);
	return 0;
}
