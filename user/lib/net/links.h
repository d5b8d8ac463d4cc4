/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Links by index, and which of them frames are handed to: a route may lead to a VLAN, a macvlan or a bond, of
 * which only the device below takes frames from XDP. Internal to nexthops.c.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "net/route.h"

#define LB_LINKS_XDP_MAX 64u

struct lb_links {
	struct lb_links_entry *at; /* by index */
	unsigned int seen;         /* number of the full dump */
	/* What runs the packet path. */
	int xdp[LB_LINKS_XDP_MAX];
	size_t n_xdp;
	bool generic; /* all of them in generic mode: every device takes their frames */
};

void lb_links_done(struct lb_links *links);

/* What a message about a link changed: a mask of LB_NEXTHOPS_*, or -ENOMEM. removed is not looked at. */
int lb_links_put(struct lb_links *links, const struct lb_link *link);

/* Forgets a link; false: there was none. */
bool lb_links_remove(struct lb_links *links, int ifindex);

/* Calls leave for every link that no message has named since seen was raised, which may remove it. */
void lb_links_unseen(struct lb_links *links, void (*leave)(void *context, int ifindex), void *context);

const struct lb_link *lb_links_find(const struct lb_links *links, int ifindex);
const struct lb_link *lb_links_find_by_name(const struct lb_links *links, const char *name);
size_t lb_links_count(const struct lb_links *links);

/* The link after another one, in no order; of NULL the first. NULL: that was the last. */
const struct lb_link *lb_links_next(const struct lb_links *links, const struct lb_link *link);

/* Whether a link is one that runs the packet path. */
bool lb_links_runs_xdp(const struct lb_links *links, int ifindex);

/* What the driver says it can do (NETDEV_XDP_ACT_*). True: it is news. */
bool lb_links_set_features(struct lb_links *links, int ifindex, __u64 features);

struct lb_egress {
	int ifindex;    /* takes the frames */
	__u32 mtu;      /* bytes; the least on the way down */
	__u32 vlan_tag; /* 0: none; else protocol in the upper 16 bits, tag control information in the lower
			 */
};

/* Where frames for a link are handed over. False: nowhere, and why, to be written to text. */
bool lb_links_egress(const struct lb_links *links, const struct lb_link *link, struct lb_egress *ret_egress,
		     char *ret_why, size_t size);
