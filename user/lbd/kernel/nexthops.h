/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between netlink and the engine: next hops for plans, and egress ports.
 */
#pragma once

#include <stdbool.h>

#include "engine/engine.h"
#include "net/nexthops.h"

struct lbd;

/* Packets come in by the interfaces of this configuration. True: next hops may be others for that. */
bool nexthops_set_interfaces(struct lbd *lbd, const struct lb_config *config);

/*
 * Has lbd->nexthops as a plan for config needs them: a copy of what is known now, which stays as it is
 * whatever netlink tells while the plan is made. before: that every next hop is as it was when they were
 * taken for this configuration, of which config is a share or which it is; NULL: all are looked up. 0 or
 * -ENOMEM.
 */
int nexthops_take(struct lbd *lbd, const struct lb_config *config, const struct lb_config *before,
		  struct lb_error *error);

/* Before the commit of the plan: packets may leave by the interfaces that it found ways through. 0 or -errno.
 */
int nexthops_open_ports(struct lbd *lbd, struct lb_error *error);

/* Why a backend of a service is not resolved, in words, and what is known of the way to it. */
const char *nexthops_why(struct lbd *lbd, const struct lb_service_view *view,
			 const struct lb_backend_view *backend, struct lb_nexthop_state *ret_state);

int nexthops_init(struct lbd *lbd); /* fills lbd->hooks; 0 or -ENOMEM */
void nexthops_done(struct lbd *lbd);

/* After a commit: ports of interfaces that are gone are free again. */
void nexthops_sweep_ports(struct lbd *lbd);

/* Counts backends without next hop and tells of changes. */
void nexthops_report(struct lbd *lbd);
