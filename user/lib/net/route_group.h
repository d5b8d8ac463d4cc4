/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The members of a route with several next hops, which the kernel does not name when it is asked for the way
 * to an address: asked for apart, and, where the route only names a nexthop object, of that object.
 */
#pragma once

#include <linux/rtnetlink.h>
#include <linux/types.h>
#include <stddef.h>

#include "config/config.h"

#define LB_ROUTE_MEMBERS_MAX 16u /* further ones are left out */

struct lb_route_member {
	int ifindex;
	struct lb_address gateway; /* family 0: the destination is on the link */
	__u8 pad[3];
};
_Static_assert(sizeof(struct lb_route_member) == 24, "no bytes but those of fields");

struct lb_route_group {
	struct lb_route_member member[LB_ROUTE_MEMBERS_MAX]; /* n of them, that can be used */
	__u32 n;
	__u32 object[LB_ROUTE_MEMBERS_MAX]; /* ids of nexthop objects that are still to be asked for */
	__u32 n_objects;
};

/* Writes the question for the whole route to an address, or for a nexthop object. Bytes written, or 0 when
 * size does not suffice. */
size_t lb_route_group_request(const struct lb_address *to, __u32 sequence, void *buffer, size_t size);
size_t lb_nexthop_object_request(__u32 id, __u32 sequence, void *buffer, size_t size);

/* Adds what an answer to either says to the group. 0; -EOPNOTSUPP: some other message; -EBADMSG: lengths
 * inside that cannot be. */
int lb_route_group_parse(const struct nlmsghdr *message, struct lb_route_group *group);
