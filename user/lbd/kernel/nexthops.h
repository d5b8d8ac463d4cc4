/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between netlink and the engine: next hops for plans, and egress ports.
 */
#pragma once

struct lbd;

void nexthops_init(struct lbd *lbd); /* fills lbd->hooks */

/* After a commit: ports of interfaces that are gone are free again. */
void nexthops_sweep_ports(struct lbd *lbd);

/* Counts backends without next hop and tells of changes. */
void nexthops_report(struct lbd *lbd);
