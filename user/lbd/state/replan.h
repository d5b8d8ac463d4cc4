/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What changes on the host by itself (links, routes, neighbours) becomes a new plan for what runs, after a
 * pause that lets a burst come to its end.
 */
#pragma once

/* Netlink says that something changed. mask: LB_NEXTHOPS_*. lbd: struct lbd, as netlink_open() hands it on.
 */
void replan_nexthops_changed(void *lbd, int mask);
