/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether a frame is for this host at all. A switch that has forgotten an address floods, a port may be
 * mirrored, an interface may be promiscuous: what is addressed to somebody else is none of our business, and
 * two balancers that both forward it never stop. The kernel's stack looks at the same thing (PACKET_OTHERHOST
 * of eth_type_trans()), behind us.
 */
#pragma once

#include "lb/station.h"
#include "maps.h"
#include "packet.h"

/* The destination as a word. */
static __always_inline __u64 destination_of(const void *eth)
{
	return LB_STATION_WORD(WORD(eth, offsetof(struct ethhdr, h_dest)));
}

static __always_inline bool is_group(__u64 destination)
{
	return destination >> 16 & 1; /* IEEE 802.3, section 3.2.3: the first bit on the wire */
}

/* The interface's own address, which nearly all frames have: one comparison. */
static __always_inline bool is_first_station(const struct xdp_md *ctx, __u64 destination)
{
	if (!lb_several_interfaces)
		return destination == LB_LOAD(&stations_get()->only);
	return destination ==
	       LB_LOAD(&stations_get()->first[ctx->ingress_ifindex & (LB_STATION_INTERFACES - 1)]);
}

/* Whether it is any other of the interface's: of its master, of what is stacked upon it, of its list. */
LB_SUBPROGRAM int station_is_ours(struct xdp_md *ctx, __u64 destination)
{
	const struct lb_stations *stations = stations_get();
	__u64 key = LB_STATION_KEY(destination, ctx->ingress_ifindex);
	__u32 place = lb_station_place(key), list;

	if (!stations || is_group(destination))
		return 0;
	if (!LB_LOAD(&stations->closed))
		return 1;
	list = LB_LOAD(&stations->list) & 1;
	for (__u32 i = 0; i < LB_STATION_PROBES; i++) {
		__u64 other = LB_LOAD(&stations->place[list][(place + i) & (LB_STATION_PLACES - 1)]);

		if (other == key)
			return 1;
		if (!other)
			return 0;
	}
	return 0;
}
