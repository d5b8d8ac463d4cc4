/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VIPs on a flat LAN: for which of them the packet path answers ARP (RFC 826) and neighbour solicitations
 * (RFC 4861), and whether it is this balancer that does. Two writers, neither of which needs the other alive:
 *
 *   lbd             which VIPs there are, whether they can be served; interface and MAC address of a group
 *   lb-neighbor     that this balancer leads a group, and until when (or lbd: always)
 *
 * A group is what one election decides: the VIPs of one virtual router (RFC 5798), by whose number (1 to 255)
 * it goes. Leadership ends by itself at its deadline. It is in doubt, and nothing is answered, from when a
 * packet was seen by which somebody else announces a VIP of the group until leadership is confirmed anew.
 */
#pragma once

#include <linux/types.h>

#include "lb/access.h"

#ifndef LB_INLINE
#define LB_INLINE static inline __attribute__((always_inline))
#endif

#define LB_NEIGHBOR_GROUPS      256u
#define LB_NEIGHBOR_PLACES_LOG2 12u
#define LB_NEIGHBOR_PLACES      (1u << LB_NEIGHBOR_PLACES_LOG2)
#define LB_NEIGHBORS_MAX        1024u /* VIPs that may be announced so */
#define LB_NEIGHBOR_PROBES      16u   /* places that a look-up reads at most */
#define LB_NEIGHBOR_BUDGETS     64u   /* by CPU; a power of two */
#define LB_NEIGHBOR_ALWAYS      (~0ull)

struct lb_neighbor_group {
	__u64 until_ns;     /* CLOCK_MONOTONIC: leads until then; 0: follows; LB_NEIGHBOR_ALWAYS */
	__u64 confirmed_ns; /* when that was last said */
	__u64 heard_ns;     /* packets: when somebody else announced a VIP of the group */
	__u64 heard;        /* packets: how often */
	__u32 ifindex;      /* where it is answered; 0: the group is not in use */
	__u8 mac[6];        /* by what */
	__u8 pad[2];
	__u64 election_ns; /* lb-neighbor: when it last saw that there is an election at all */
	__u64 reserved;
};

enum {
	LB_NEIGHBOR_USED = 1,
	LB_NEIGHBOR_SERVING = 2,
	LB_NEIGHBOR_DRAINING = 4, /* serving, but others would be better */
};

/* A VIP. Words as they lie in memory; an IPv4 address is the first, zero-extended. */
struct lb_neighbor_vip {
	__u64 address[2];
	__u32 flags;
	__u8 family; /* LB_FAMILY_*; 0: the place was never used */
	__u8 group;
	__u16 pad;
	__u64 answered; /* packets */
};

struct lb_neighbors {
	__u32 used;     /* VIPs; 0: packets need not look */
	__u32 changes;  /* counted up by lbd whenever it changed something */
	__u64 alive_ns; /* lb-neighbor: when it was last seen at work */
	__u64 reserved[6];
	__u64 empty_ns[LB_NEIGHBOR_BUDGETS]; /* packets, each CPU its own: budget of answers */
	struct lb_neighbor_group group[LB_NEIGHBOR_GROUPS];
	struct lb_neighbor_vip place[LB_NEIGHBOR_PLACES];
};
_Static_assert(sizeof(struct lb_neighbor_group) == 64, "no holes");
_Static_assert(sizeof(struct lb_neighbors) == 64 + 512 + 256 * 64 + 4096 * 32, "no holes");

/* Where the search for an address begins. */
LB_INLINE __u32 lb_neighbor_place(__u64 address_0, __u64 address_1)
{
	address_0 ^= address_1 * 0xbf58476d1ce4e5b9ull;
	return (address_0 * 0x9e3779b97f4a7c15ull) >> (64 - LB_NEIGHBOR_PLACES_LOG2);
}

/* Whether this balancer leads the group at a time of CLOCK_MONOTONIC. */
LB_INLINE int lb_neighbor_leads(const struct lb_neighbor_group *group, __u64 now_ns)
{
	__u64 until = LB_LOAD(&group->until_ns);

	if (until == LB_NEIGHBOR_ALWAYS)
		return 1;
	return until > now_ns && LB_LOAD(&group->confirmed_ns) > LB_LOAD(&group->heard_ns);
}
