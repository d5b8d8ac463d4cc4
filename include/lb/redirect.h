/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lb_redirect counts of packets, redirected or sent back out, after they have left the packet path. It
 * runs once a bulk, which may be a single packet, so its tables are arrays with a few places to look at.
 */
#pragma once

#include <linux/types.h>

#define LB_REDIRECT_PLACES 256u /* in each table, a power of two */
#define LB_REDIRECT_PROBES 4u

/* Per CPU and place. Claimed by the first packet that has no place yet; never given up. */
struct lb_redirect_count {
	__u32 from; /* ifindex that packets came in on; 0: free */
	__u32 to;   /* ifindex that they were to leave by; 0: not known; from: sent back out (XDP_TX) */
	__u64 sent; /* taken by the driver */
	__u64 lost; /* refused by it: interface down, ring full, peer gone */
};

/* First place to look for a pair of interfaces, or with to 0 for an interface of ours. */
static inline __u32 lb_redirect_place(__u32 from, __u32 to)
{
	return (from + to * 61) & (LB_REDIRECT_PLACES - 1);
}
