/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Makes what packets compare their destination MAC address with (lb/station.h), from a list of interfaces and
 * addresses.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "lb/station.h"

struct lb_nexthops;
struct nlmsghdr;

/* An address that frames which come in by an interface may have. */
struct lb_station {
	int ifindex;
	__u8 mac[6];
	bool own; /* the interface's own: its frames are told by one comparison */
	__u8 pad;
};

/* An address as a word, LB_STATION_WORD() of a frame that has it. */
__u64 lb_station_word(const __u8 mac[6]);

/*
 * Fills in first, only and one list of *stations. only: the interface that the packet path runs on alone, or
 * 0. 0; -ENOSPC: the list has no room, and must not be used.
 */
int lb_stations_build(const struct lb_station *all, size_t n, int only, __u32 list,
		      struct lb_stations *stations);

/* Whether a frame to an address is ours, as packets find it. */
bool lb_stations_find(const struct lb_stations *stations, int ifindex, const __u8 mac[6]);

/*
 * The addresses of an interface as far as links tell: its own, and those of its master and of what is stacked
 * upon either (macvlan, VLAN). The same for its ports, whose frames a driver may show us by their index. At
 * most capacity; how many.
 */
size_t lb_nexthops_stations(const struct lb_nexthops *nexthops, int ifindex, struct lb_station *ret,
			    size_t capacity);

/*
 * Reads RTM_NEWNEIGH or RTM_DELNEIGH of AF_BRIDGE: further unicast addresses that an interface listens to
 * (bridge fdb show dev DEV, "self"). 0; -EOPNOTSUPP: something else; -EBADMSG.
 */
int lb_station_parse(const struct nlmsghdr *message, struct lb_station *ret);
