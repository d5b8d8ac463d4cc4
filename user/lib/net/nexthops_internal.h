/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What nexthops.c, which keeps the tables, and nexthops_answer.c, which reads them, share.
 */
#pragma once

#include "net/nexthops.h"

#include <uthash.h>

#include "net/links.h"
#include "net/path_mtu.h"
#include "net/route_table.h"

struct neighbor_key {
	int ifindex;
	struct lb_address address;
	__u8 pad[3];
};

struct neighbor {
	struct neighbor_key key;
	struct lb_neighbor last; /* as the kernel says; state 0 when it says nothing */
	__u8 mac[6];             /* last usable one */
	bool usable;             /* mac may be used: usable now, or lost a moment ago */
	bool asked;              /* we asked the kernel to keep it */
	bool fresh;              /* wanted anew and not usable since */
	bool silent;             /* has failed since it was last usable */
	bool ask_again;          /* it was lost: the kernel may now prefer another way */
	bool asking;             /* the same, in lb_nexthops_lost_stale() */
	__u64 lost_ms;           /* when it stopped being usable; 0: it did not */
	unsigned int wanted;     /* destinations that go this way */
	unsigned int seen;
	bool in_table;
	UT_hash_handle hh;
};

struct lb_nexthops {
	struct lb_links links;
	struct lb_host_addresses addresses;
	struct lb_path_mtus mtus;
	struct neighbor *neighbors;
	struct lb_destinations destinations;
	unsigned int seen; /* number of the full dump */
	__u8 wanted;       /* number of the want pass */
	size_t n_stale, n_seeking;
	size_t again; /* destination that is asked for again next, by and by */
};

struct neighbor_key lb_neighbor_key(int ifindex, const struct lb_address *address);

/* It was lost, and is not believed any more. */
static inline bool hold_is_over(const struct neighbor *neighbor, __u64 now_ms)
{
	return neighbor->lost_ms && now_ms >= neighbor->lost_ms + LB_NEXTHOPS_HOLD_MS;
}

/* The neighbour of a member of the way of a destination; NULL: none. */
struct neighbor *lb_neighbor_of(const struct lb_nexthops *nexthops, const struct lb_destination *destination,
				const struct lb_route_member *member);

/* The member that packets go by: the kernel's choice as long as its neighbour can be used, else the first one
 * that can, else the kernel's choice. NULL: no way to another host. */
const struct lb_route_member *lb_member_of(const struct lb_nexthops *nexthops,
					   const struct lb_destination *destination, __u64 now_ms);

/* Its link is up and leads to a device that takes frames. */
bool lb_member_sends(const struct lb_nexthops *nexthops, const struct lb_route_member *member);

/* Frames can be sent by it now. */
bool lb_member_usable(const struct lb_nexthops *nexthops, const struct lb_destination *destination,
		      const struct lb_route_member *member, __u64 now_ms);
