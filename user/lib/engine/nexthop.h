/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A next hop as data: what a plan is given, and what its records are made of.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "base/address.h"

/* Where a backend's packets go next. Given by the owner of the engine (lbd: netlink; tests: anything). */
struct lb_nexthop {
	bool resolved;
	bool local;          /* the address is this host's own: packets are handed to its stack */
	bool routed;         /* behind a router: no way for l2 */
	bool same_interface; /* leaves by the only XDP interface: XDP_TX */
	__u16 port;          /* slot in lb_devmap */
	bool tagged;         /* the port has a VLAN tag, which frames get */
	__u16 mtu;           /* bytes, of the link or the route */
	__u8 destination[6];
	__u8 source[6];
	struct lb_address source_address; /* of the route; outer source when no tunnel_source is configured */
};
