/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * When to plan: causes are collected, and one plan is made for what has come together. Pure: the caller says
 * what time it is (milliseconds of a clock that nobody sets, never 0) and keeps the timer.
 *
 * A cause waits for a moment, in which more of its kind come. Work on plans is followed by a pause, so that
 * it takes at most a sixth of a processor; what has been idle before is made up for by LB_SCHEDULE_BURST_MS,
 * so that single changes do not wait for one another. While none is being made, neither has a cause wait for
 * longer than LB_SCHEDULE_WAIT_MAX_MS. What failed is tried again, later and later, or with the next cause.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

/* Why a plan is wanted: a bit each. */
enum {
	LB_CAUSE_HEALTH = 1 << 0,   /* verdicts of checks and breakers */
	LB_CAUSE_NEXTHOP = 1 << 1,  /* neighbours, links, or a way that is no longer held */
	LB_CAUSE_ROUTE = 1 << 2,    /* routes and rules */
	LB_CAUSE_SOURCE = 1 << 3,   /* what sources send */
	LB_CAUSE_OPERATOR = 1 << 4, /* words that are over */
	LB_CAUSE_COUNT = 5,
	LB_CAUSE_WAYS = LB_CAUSE_NEXTHOP | LB_CAUSE_ROUTE,
};

#define LB_SCHEDULE_PAUSE_FACTOR 5u   /* times the work on plans */
#define LB_SCHEDULE_BURST_MS     500u /* of pauses that plans may be ahead by */
#define LB_SCHEDULE_WAIT_MAX_MS  2000u
#define LB_SCHEDULE_RETRY_MS     1000u /* after a plan that failed; twice as long each time, up to: */
#define LB_SCHEDULE_RETRY_MAX_MS 30000u

/* Zeroed: nothing is wanted. */
struct lb_schedule {
	unsigned int wanted;   /* causes that no plan has been begun for */
	__u64 due_ms;          /* when one is to be; 0: nothing is wanted */
	unsigned int taken;    /* causes of the plan that is being made; 0: none is */
	__u64 even_ms;         /* when all pauses after plans will be over */
	unsigned int failures; /* in a row */
};

/* Something changed. */
void lb_schedule_want(struct lb_schedule *schedule, unsigned int causes, __u64 now_ms);

/* The same for what comes of itself in a while: it is looked at then, or with what comes earlier. */
void lb_schedule_want_later(struct lb_schedule *schedule, unsigned int causes, __u64 now_ms, __u64 delay_ms);

/* When to call lb_schedule_begin(); 0: not before something is wanted, or the plan that is made has ended. */
__u64 lb_schedule_due_ms(const struct lb_schedule *schedule);

/* Causes to plan for now; 0: it is too early, or one is being made. What is wanted from now on is not of this
 * plan. */
unsigned int lb_schedule_begin(struct lb_schedule *schedule, __u64 now_ms);

/* It has been made, or has failed: then its causes are wanted again. work_ms: of a processor, for it; what it
 * waited for (disks, grace periods, other programs) is none. */
void lb_schedule_end(struct lb_schedule *schedule, bool failed, __u64 now_ms, __u64 work_ms);

/* A plan is made besides (a request's) that looks at these. */
void lb_schedule_cover(struct lb_schedule *schedule, unsigned int causes);
