/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files about netlink share: netlink.c (sockets, events), netlink_query.c (questions),
 * netlink_features.c (what drivers can do).
 */
#pragma once

#include "lbd/kernel/netlink.h"

#include <linux/netlink.h>

/* libnl has errors of its own. */
int netlink_errno(int r);

/* One datagram; visit for every message from the kernel. Bytes, 0 when none is waiting, or -errno. */
int netlink_receive(struct nl_sock *socket, void (*visit)(void *context, const struct nlmsghdr *message),
		    void *context);

/* A socket for protocol, with room for many answers. */
int netlink_socket(int protocol, struct nl_sock **ret_socket, struct lb_error *error);

/* Reads links, addresses and neighbours anew, and marks all routes. A mask of LB_NEXTHOPS_*, or -errno. */
int netlink_resync(struct netlink *netlink, struct lb_error *error);

/* Has neighbours in use probed that were not heard of lately. */
void netlink_probe_neighbors(struct netlink *netlink);

/* What drivers can do with XDP: asked for, and told of when it changes. Without such a kernel (before Linux
 * 6.3) nothing is known. */
void netlink_features_open(struct netlink *netlink, sd_event *event);
/* Asks for all again. 1: something is new; 0; or -errno. */
int netlink_features_read(struct netlink *netlink);
void netlink_features_close(struct netlink *netlink);
