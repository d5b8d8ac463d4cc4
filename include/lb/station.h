/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose frames are ours: the unicast addresses of the interfaces that run the packet path. Written by the
 * agent (user/lbd/kernel/interfaces_stations.c), read by packets. Zeroed, it accepts every unicast frame.
 */
#pragma once

#include <linux/types.h>

#ifndef LB_INLINE
#define LB_INLINE static inline __attribute__((always_inline))
#endif

#define LB_STATIONS_MAP ".data.lb_stations"

#define LB_STATION_INTERFACES  64u /* places by interface index; a power of two */
#define LB_STATION_PLACES_LOG2 10u
#define LB_STATION_PLACES      (1u << LB_STATION_PLACES_LOG2) /* of a list */
#define LB_STATIONS_MAX        256u                           /* addresses that a list has room for */
#define LB_STATION_PROBES      8u                             /* places that a look-up reads at most */
#define LB_STATION_NONE        1ull                           /* is no word of an address */

/* An interface by its index; whose place another one has goes without. */
struct lb_station_interface {
	__u32 ifindex; /* 0: free */
	__be32 ipv4;   /* of the interface, the source of what it answers as a router; 0: none */
	__u64 ipv6[2]; /* as it lies in memory */
};

struct lb_stations {
	/* What nearly every frame is compared with, a word of an address: of the interface, where the packet
	 * path runs on it alone; and of each, by interface index. */
	__u64 only;
	__u32 closed; /* 0: nothing was filled in yet, or not all could be: every unicast frame is ours */
	__u32 list;   /* which list is in use */
	__u64 reserved[6];
	__u64 first[LB_STATION_INTERFACES];
	/* All addresses of all interfaces: LB_STATION_KEY, at its place or one of the next; 0: free. */
	__u64 place[2][LB_STATION_PLACES];
	struct lb_station_interface interface[LB_STATION_INTERFACES];
};
_Static_assert(sizeof(struct lb_stations) == 64 + 512 + 2 * 8192 + 64 * 24, "no holes");

/* A MAC address as a word: the first 8 bytes of a frame, without the two that are of the source. */
#define LB_STATION_WORD(first_8_bytes) ((__u64)(first_8_bytes) << 16)

/* An address of one interface. Indices that are equal in 16 bits are taken for one. */
#define LB_STATION_KEY(word, ifindex) ((word) | ((ifindex)&0xffff))

/* Where its search begins. */
LB_INLINE __u32 lb_station_place(__u64 key)
{
	return (key * 0x9e3779b97f4a7c15ull) >> (64 - LB_STATION_PLACES_LOG2);
}
