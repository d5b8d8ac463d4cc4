/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The solicited-node multicast groups of IPv6 VIPs, joined by the host: network cards, and switches that
 * snoop, pass on only what somebody has joined. A group is left when its socket is closed.
 */
#pragma once

#include "lb/neighbor.h"

struct groups {
	struct joined {
		__u8 group[16];
		__u32 ifindex;
		int fd;
		bool wanted;
	} at[LB_NEIGHBORS_MAX];
	unsigned int n;
};

/* Joins the groups of all VIPs of the table, and leaves the others; NULL: all. */
void groups_update(struct groups *groups, const struct lb_neighbors *all);
