// SPDX-License-Identifier: GPL-2.0-only
/*
 * What changes by itself: next hops, verdicts of health, what sources send, words that are over. The schedule
 * says when; then a task makes one plan for what has come together.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "lbd/clock.h"
#include "lbd/kernel/nexthops.h"
#include "lbd/log.h"
#include "lbd/state/change_internal.h"
#include "lbd/state/intent_change.h"
#include "lbd/state/sources_store.h"

/* --- when ------------------------------------------------------------------------------------------------
 */

static void plan_for_wanted(void *context);

static int on_due(sd_event_source *source, uint64_t usec, void *context)
{
	struct lbd *lbd = context;

	task_call(lbd->tasks, &lbd->task.wanted, plan_for_wanted, lbd);
	return 0;
}

/* Has the timer as the schedule has it. */
static void arm(struct lbd *lbd)
{
	__u64 due_us = lb_schedule_due_ms(&lbd->schedule) * 1000;
	int r = 0;

	if (!due_us)
		return;
	if (!lbd->wanted) {
		r = sd_event_add_time(lbd->event, &lbd->wanted, CLOCK_MONOTONIC, due_us, 1000, on_due, lbd);
	} else {
		r = sd_event_source_set_time(lbd->wanted, due_us);
		if (r >= 0)
			r = sd_event_source_set_enabled(lbd->wanted, SD_EVENT_ONESHOT);
	}
	if (r < 0)
		log_error("event=timer error=\"%s\"", strerror(-r));
}

void change_wanted(struct lbd *lbd, unsigned int causes)
{
	lb_schedule_want(&lbd->schedule, causes, now_ms());
	arm(lbd);
}

void change_wanted_later(struct lbd *lbd, unsigned int causes, __u64 delay_ms)
{
	lb_schedule_want_later(&lbd->schedule, causes, now_ms(), delay_ms);
	arm(lbd);
}

bool change_is_wanted(const struct lbd *lbd, unsigned int causes)
{
	return (lbd->schedule.wanted | lbd->schedule.taken) & causes;
}

/* --- what ------------------------------------------------------------------------------------------------
 */

/* Looks up ways that may be others now. 1: some are; 0; -errno. */
static int look_up_ways(struct lbd *lbd, struct lb_error *error)
{
	struct lb_nexthops *nexthops = lbd->netlink.nexthops;
	bool stale = lbd->nexthops_stale;
	size_t from = 0;
	int r;

	if (lbd->routes_stale)
		lb_nexthops_routes_stale(nexthops);
	lbd->routes_stale = lbd->nexthops_stale = false;
	while ((from = lb_nexthops_lost_stale(nexthops, from, now_ms())))
		task_pause();
	r = netlink_query_routes(&lbd->netlink, error);
	netlink_keep(&lbd->netlink);
	return r < 0 ? r : r > 0 || stale;
}

/* Plans what runs anew, with what has changed around it. */
static int plan_running(struct lbd *lbd, unsigned int causes, struct lb_error *error)
{
	static const struct change change = { .cause = "what changed by itself" };
	_cleanup_(change_plan_freep) struct lb_plan *plan = NULL;
	int r = change_plan(lbd, &lbd->running, &change, &plan, error);

	if (r < 0 || lb_plan_is_empty(plan))
		return r;
	r = change_commit_plan(lbd, plan, error);
	if (r < 0)
		return r;
	if (causes & LB_CAUSE_WAYS) {
		events_add(&lbd->events, LOG_LEVEL_INFO, "nexthop", "generation=%llu",
			   lb_engine_generation(lbd->engine));
		nexthops_report(lbd);
	}
	if (causes & LB_CAUSE_HEALTH)
		events_add(&lbd->events, LOG_LEVEL_INFO, "health", "generation=%llu",
			   lb_engine_generation(lbd->engine));
	lbd->trim_s = TRIM_S;
	return 0;
}

/* The same configuration, with what its sources want now. */
static int plan_sources(struct lbd *lbd, struct lb_error *error)
{
	static const struct change change = {
		.cause = "sources", .kind = "source", .record = RECORD_OPERATOR, .background = true
	};
	struct desired next = {};
	int r;

	sources_save(&lbd->store, &lbd->sources.list, lbd->sources.absent);
	lbd->sources.absent = false;
	r = desired_from_sources(lbd, &next, error);
	if (r == 0)
		r = change_make(lbd, &next, &change, NULL, error);
	desired_done(&next);
	snprintf(lbd->sources.error, sizeof(lbd->sources.error), "%s", r < 0 ? error->text : "");
	lbd->sources.pending = r < 0;
	return r;
}

/* One plan for all of it where sources or a word are among it: they change what is wanted, and what has
 * changed around it is looked at with that. */
static int plan_for(struct lbd *lbd, unsigned int causes, struct lb_error *error)
{
	int ways = causes & LB_CAUSE_WAYS ? look_up_ways(lbd, error) : 0, r = ways;

	if (r >= 0 && causes & LB_CAUSE_OPERATOR)
		r = intent_end_words(lbd, error);
	if (r >= 0 && causes & LB_CAUSE_SOURCE)
		r = plan_sources(lbd, error);
	else if (r >= 0 && (ways > 0 || causes & LB_CAUSE_HEALTH))
		r = plan_running(lbd, causes, error);
	if (causes & LB_CAUSE_WAYS && r < 0)
		lbd->routes_stale = lbd->nexthops_stale = true;
	else if (causes & LB_CAUSE_WAYS)
		nexthops_sweep_ports(lbd);
	return r < 0 ? r : 0;
}

#define HOLD_MORE_MS 20u

/* A way that is held for a while is looked at when that is over. */
static void look_again(struct lbd *lbd)
{
	__u64 hold_ms = lb_nexthops_hold_ms(lbd->netlink.nexthops, now_ms());

	if (!hold_ms)
		return;
	lbd->nexthops_stale = true;
	lb_schedule_want_later(&lbd->schedule, LB_CAUSE_NEXTHOP, now_ms(), hold_ms + HOLD_MORE_MS);
}

static void plan_for_wanted(void *context)
{
	struct lbd *lbd = context;
	unsigned int causes = lb_schedule_begin(&lbd->schedule, now_ms());
	struct lb_error error = {};
	__u64 began_ms = worked_ms();
	int r;

	if (causes) {
		r = plan_for(lbd, causes, &error);
		lb_schedule_end(&lbd->schedule, r < 0, now_ms(), worked_ms() - began_ms);
		if (r < 0)
			events_told(&lbd->events, LOG_LEVEL_ERROR,
				    causes & LB_CAUSE_SOURCE     ? "source"
				    : causes & LB_CAUSE_OPERATOR ? "override"
				    : causes & LB_CAUSE_WAYS     ? "nexthop"
								 : "health",
				    "error", error.text);
		else if (causes & LB_CAUSE_WAYS)
			look_again(lbd);
	}
	arm(lbd);
}
