/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two links, and one destination by a router on the first: what tests of ways to an address start from.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/lwtunnel.h>
#include <linux/nexthop.h>

#include "netlink_message.h"
#include "net/nexthops.h"

static const char mac_a[] = "\x02\x00\x00\x00\x00\x0a", mac_b[] = "\x02\x00\x00\x00\x00\x0b",
		  mac_link[] = "\x02\x00\x00\x00\x00\x01";

#define ETH0  3
#define ETH1  4
#define UPPER 5

static const char TO[] = "10.1.0.1";

struct link_spec {
	int ifindex, lower, master;
	const char *name, *kind, *port_kind;
	__u16 vlan;
	__u32 active_port;
	bool backup, elsewhere, down;
};

/* An attribute that holds others: begin, then the others, then end. */
static inline size_t nest_begin(struct message *message, __u16 type)
{
	size_t at = message->header.nlmsg_len;

	message_add(message, type, NULL, 0);
	return at;
}

static inline void nest_end(struct message *message, size_t at)
{
	((struct rtattr *)(message->bytes + at))->rta_len = message->header.nlmsg_len - at;
}

static inline void add_info(struct message *message, const struct link_spec *spec)
{
	size_t info = nest_begin(message, IFLA_LINKINFO), data;
	__u8 backup = spec->backup;

	if (spec->kind)
		message_add(message, IFLA_INFO_KIND, spec->kind, strlen(spec->kind));
	data = nest_begin(message, IFLA_INFO_DATA);
	if (spec->vlan)
		message_add(message, IFLA_VLAN_ID, &spec->vlan, sizeof(spec->vlan));
	if (spec->active_port)
		message_add_u32(message, IFLA_BOND_ACTIVE_SLAVE, spec->active_port);
	nest_end(message, data);
	if (spec->port_kind) {
		message_add(message, IFLA_INFO_SLAVE_KIND, spec->port_kind, strlen(spec->port_kind) + 1);
		data = nest_begin(message, IFLA_INFO_SLAVE_DATA);
		message_add(message, IFLA_BOND_SLAVE_STATE, &backup, 1);
		nest_end(message, data);
	}
	nest_end(message, info);
}

static inline int put_link(struct lb_nexthops *hops, struct link_spec spec)
{
	struct message message;

	message_link(&message, RTM_NEWLINK, spec.ifindex, spec.name, !spec.down, 1500, mac_link);
	if (spec.lower)
		message_add_u32(&message, IFLA_LINK, spec.lower);
	if (spec.elsewhere)
		message_add_u32(&message, IFLA_LINK_NETNSID, 0);
	if (spec.master)
		message_add_u32(&message, IFLA_MASTER, spec.master);
	if (spec.kind || spec.port_kind)
		add_info(&message, &spec);
	return lb_nexthops_apply(hops, &message.header, 0);
}

static inline int put_neighbor(struct lb_nexthops *hops, int ifindex, const char *address, __u16 state,
			       const char *mac, __u64 now_ms)
{
	struct message message;

	message_neighbor(&message, RTM_NEWNEIGH, ifindex, address, state, mac);
	return lb_nexthops_apply(hops, &message.header, now_ms);
}

static inline bool put_route(struct lb_nexthops *hops, int ifindex, const char *gateway)
{
	struct lb_address to = address_of(TO);
	struct message message;
	struct lb_route route;

	message_route(&message, TO, ifindex, gateway, NULL, 0);
	assert_int_equal(lb_route_parse(&message.header, &route), 0);
	return lb_nexthops_set_route(hops, &to, &route, 0, 3000);
}

static inline struct lb_nexthop_state get(struct lb_nexthops *hops, __u64 now_ms)
{
	struct lb_address to = address_of(TO);
	struct lb_nexthop_state hop;

	lb_nexthops_get(hops, &to, now_ms, &hop);
	return hop;
}

/* Two links, and one destination by a router on the first. */
static inline struct lb_nexthops *make(void)
{
	struct lb_address to = address_of(TO);
	struct lb_nexthops *hops;

	assert_int_equal(lb_nexthops_new(&hops), 0);
	put_link(hops, (struct link_spec){ .ifindex = ETH0, .name = "eth0" });
	put_link(hops, (struct link_spec){ .ifindex = ETH1, .name = "eth1" });
	lb_nexthops_want_begin(hops);
	assert_int_equal(lb_nexthops_want(hops, &to), 0);
	lb_nexthops_want_end(hops);
	put_route(hops, ETH0, "10.0.0.1");
	put_neighbor(hops, ETH0, "10.0.0.1", NUD_REACHABLE, mac_a, 0);
	assert_true(get(hops, 0).resolved);
	return hops;
}
