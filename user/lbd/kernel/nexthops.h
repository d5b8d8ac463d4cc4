/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between netlink and the engine: next hops for plans, and egress ports.
 */
#pragma once

#include <stdbool.h>

#include "engine/engine.h"
#include "net/nexthops.h"

struct lbd;

/* The next plan is for this configuration. True: next hops may be others for its interfaces. */
bool nexthops_plan_for(struct lbd *lbd, const struct lb_config *config);

/* Before the commit of the plan: packets may leave by the interfaces that it found ways through. 0 or -errno.
 */
int nexthops_open_ports(struct lbd *lbd, struct lb_error *error);

/* Why a backend of a service is not resolved, in words, and what is known of the way to it. */
const char *nexthops_why(struct lbd *lbd, const struct lb_service_view *view,
			 const struct lb_backend_view *backend, struct lb_nexthop_state *ret_state);

void nexthops_init(struct lbd *lbd); /* fills lbd->hooks */

/* After a commit: ports of interfaces that are gone are free again. */
void nexthops_sweep_ports(struct lbd *lbd);

/* Counts backends without next hop and tells of changes. */
void nexthops_report(struct lbd *lbd);
