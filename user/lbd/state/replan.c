// SPDX-License-Identifier: GPL-2.0-only
/*
 * One new plan for a burst of changes of links, routes and neighbours.
 */
#include "lbd/state/replan.h"

#include <errno.h>
#include <string.h>

#include "lbd/clock.h"
#include "lbd/kernel/host_addresses.h"
#include "lbd/kernel/interfaces.h"
#include "lbd/kernel/nexthops.h"
#include "lbd/lbd.h"
#include "lbd/log.h"
#include "lbd/state/change.h"

#define DEBOUNCE_MS     20u
#define DEBOUNCE_MAX_MS 2000u
#define COST_FACTOR     5u    /* plan for at most a fifth of the time */
#define RETRY_MS        5000u /* after a plan that failed */

static int on_replan(sd_event_source *source, uint64_t usec, void *context);

/* Has on_replan() called in so many milliseconds, or earlier if it already is to be. */
static void schedule(struct lbd *lbd, __u64 delay_ms)
{
	__u64 due = now_ms() + delay_ms;
	int r;

	if (lbd->replan_due_ms && lbd->replan_due_ms <= due)
		return;
	lbd->replan_due_ms = due;
	if (!lbd->replan) {
		r = sd_event_add_time(lbd->event, &lbd->replan, CLOCK_MONOTONIC, due * 1000, 1000, on_replan,
				      lbd);
	} else {
		r = sd_event_source_set_time(lbd->replan, due * 1000);
		if (r >= 0)
			r = sd_event_source_set_enabled(lbd->replan, SD_EVENT_ONESHOT);
	}
	if (r < 0)
		log_error("event=timer error=\"%s\"", strerror(-r));
}

static void replan(void *context)
{
	struct lbd *lbd = context;
	struct lb_error error = {};
	__u64 begin = now_ms(), hold_ms;
	int r;

	/* Until now whoever plans looks up every next hop. */
	lbd->replan_due_ms = 0;
	if (lbd->routes_stale)
		lb_nexthops_routes_stale(lbd->netlink.nexthops);
	lbd->routes_stale = false;
	lb_nexthops_lost_stale(lbd->netlink.nexthops, begin);
	r = netlink_query_routes(&lbd->netlink, &error);
	netlink_keep(&lbd->netlink);
	if (r > 0 || (r == 0 && lbd->nexthops_stale)) {
		lbd->nexthops_stale = false;
		r = change_nexthops(lbd, &error);
	}
	if (r < 0)
		events_add(&lbd->events, LOG_LEVEL_ERROR, "nexthop", "%s", error.text);
	else if (r > 0)
		events_add(&lbd->events, LOG_LEVEL_INFO, "nexthop", "generation=%llu",
			   lb_engine_generation(lbd->engine));
	if (r >= 0)
		nexthops_sweep_ports(lbd);
	lbd->replan_cost_ms = now_ms() - begin;
	hold_ms = lb_nexthops_hold_ms(lbd->netlink.nexthops, begin);
	if (r < 0) {
		lbd->routes_stale = lbd->nexthops_stale = true;
		schedule(lbd, RETRY_MS);
	} else if (hold_ms) {
		lbd->nexthops_stale = true;
		schedule(lbd, hold_ms + DEBOUNCE_MS);
	}
}

static int on_replan(sd_event_source *source, uint64_t usec, void *context)
{
	struct lbd *lbd = context;

	task_call(lbd->tasks, &lbd->task.replan, replan, lbd);
	return 0;
}

static void look_at_links(void *context)
{
	struct lbd *lbd = context;

	interfaces_update(lbd);
	host_addresses_update(lbd);
}

void replan_links(struct lbd *lbd)
{
	task_call(lbd->tasks, &lbd->task.links, look_at_links, lbd);
}

void replan_nexthops_changed(void *context, int mask)
{
	struct lbd *lbd = context;
	__u64 delay = lbd->replan_cost_ms * COST_FACTOR;

	/* A change may wait for neighbours. */
	task_wake(lbd->tasks);
	if (delay < DEBOUNCE_MS)
		delay = DEBOUNCE_MS;
	if (delay > DEBOUNCE_MAX_MS)
		delay = DEBOUNCE_MAX_MS;
	if (mask & (LB_NEXTHOPS_LINK | LB_NEXTHOPS_ADDRESS | LB_NEXTHOPS_STATION))
		replan_links(lbd);
	if (mask & LB_NEXTHOPS_ROUTE)
		lbd->routes_stale = true;
	/* One that falls silent is no news by itself, only where the kernel has another way. */
	if (mask & ~LB_NEXTHOPS_SILENT)
		lbd->nexthops_stale = true;
	if (mask & (LB_NEXTHOPS_CHANGED | LB_NEXTHOPS_ROUTE | LB_NEXTHOPS_SILENT))
		schedule(lbd, delay);
	else if (mask & LB_NEXTHOPS_LOST)
		schedule(lbd, LB_NEXTHOPS_HOLD_MS + DEBOUNCE_MS);
}
