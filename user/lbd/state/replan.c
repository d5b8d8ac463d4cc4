// SPDX-License-Identifier: GPL-2.0-only
/*
 * What netlink tells, as causes of a plan.
 */
#include "lbd/state/replan.h"

#include "lbd/kernel/links.h"
#include "lbd/lbd.h"
#include "lbd/state/change.h"

#define LOST_MORE_MS 20u

void replan_nexthops_changed(void *context, int mask)
{
	struct lbd *lbd = context;

	/* A change may wait for neighbours. */
	task_wake(lbd->tasks);
	if (mask & (LB_NEXTHOPS_LINK | LB_NEXTHOPS_ADDRESS | LB_NEXTHOPS_STATION))
		links_look_again(lbd);
	if (mask & LB_NEXTHOPS_ROUTE)
		lbd->routes_stale = true;
	/* One that falls silent is no news by itself, only where the kernel has another way. */
	if (mask & ~LB_NEXTHOPS_SILENT)
		lbd->nexthops_stale = true;
	if (mask & LB_NEXTHOPS_ROUTE)
		change_wanted(lbd, LB_CAUSE_ROUTE);
	else if (mask & (LB_NEXTHOPS_CHANGED | LB_NEXTHOPS_SILENT))
		change_wanted(lbd, LB_CAUSE_NEXTHOP);
	else if (mask & LB_NEXTHOPS_LOST)
		change_wanted_later(lbd, LB_CAUSE_NEXTHOP, LB_NEXTHOPS_HOLD_MS + LOST_MORE_MS);
}
