/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Next hops: what links, neighbours and routes together say about the way to an address. Fed with netlink
 * messages by its owner, asked by the engine. Keyed by address, so that a backend of many services costs one
 * route query. Keeps no socket and no clock; times are the caller's monotonic milliseconds.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "net/addresses.h"
#include "net/neighbor.h"
#include "net/path_mtu.h"
#include "net/route.h"
#include "net/route_group.h"

struct lb_nexthops;

/* A neighbour that stops being usable is believed for this long, so that flushing the table costs nothing. */
#define LB_NEXTHOPS_HOLD_MS 1000u

int lb_nexthops_new(struct lb_nexthops **ret_nexthops); /* 0 or -ENOMEM */
void lb_nexthops_free(struct lb_nexthops *nexthops);

enum {
	LB_NEXTHOPS_LINK = 1,     /* some link came, went or changed */
	LB_NEXTHOPS_CHANGED = 2,  /* a next hop in use changed: ask again now */
	LB_NEXTHOPS_LOST = 4,     /* a next hop in use is gone: ask again when the hold is over */
	LB_NEXTHOPS_ROUTE = 8,    /* some route changed: lb_nexthops_routes_stale() and query */
	LB_NEXTHOPS_SILENT = 16,  /* a neighbour in use does not answer: lb_nexthops_lost_stale() and query */
	LB_NEXTHOPS_ADDRESS = 32, /* an address of this host came or went */
	LB_NEXTHOPS_STATION = 64, /* an interface may listen to other MAC addresses (stations.h) */
};

/*
 * Takes in a message about whatever may change the way to an address: links, neighbours, addresses, routes,
 * rules, nexthop objects, sysctls (events and dumps alike). A mask of the above; 0 for what does
 * not matter; -EBADMSG, -ENOMEM.
 */
int lb_nexthops_apply(struct lb_nexthops *nexthops, const struct nlmsghdr *message, __u64 now_ms);

/* Forgets links, addresses and neighbours that no message has named since the call before: around a full
 * dump. */
void lb_nexthops_resync_begin(struct lb_nexthops *nexthops);
int lb_nexthops_resync_end(struct lb_nexthops *nexthops, __u64 now_ms); /* mask as lb_nexthops_apply */

/*
 * The destinations that matter: call begin, want for each, end. What was not wanted is forgotten. An address
 * may be wanted many times. limit: what is wanted has a path that takes packets of so many bytes at most.
 * want and limit: 0 or -ENOMEM.
 */
void lb_nexthops_want_begin(struct lb_nexthops *nexthops);
int lb_nexthops_want(struct lb_nexthops *nexthops, const struct lb_address *to);
int lb_nexthops_limit(struct lb_nexthops *nexthops, const struct lb_address *to, __u16 mtu);
void lb_nexthops_want_end(struct lb_nexthops *nexthops);

/*
 * A router says that packets to an address may have so many bytes (path_mtu.h). 1: what is wanted goes there,
 * and they had more; 0: no news; -ENOMEM.
 */
int lb_nexthops_learn_mtu(struct lb_nexthops *nexthops, const struct lb_address *to, __u32 mtu, __u64 now_ms);

/* It was tried how large a packet gets through to an address (lb_path_mtus_found()). True: answers differ. */
bool lb_nexthops_found_mtu(struct lb_nexthops *nexthops, const struct lb_address *to, __u16 mtu,
			   __u64 now_ms);

/* Forgets what was learned or found too long ago. True: answers may differ now. */
bool lb_nexthops_forget_mtus(struct lb_nexthops *nexthops, __u64 now_ms);

/* Marks every route as in need of a query. */
void lb_nexthops_routes_stale(struct lb_nexthops *nexthops);

/* The same for those by a neighbour that was lost since the last time, and is not believed any more. from: 0
 * in the beginning; where to go on, after what may be learned of neighbours meanwhile, or 0: that was all. */
size_t lb_nexthops_lost_stale(struct lb_nexthops *nexthops, size_t from, __u64 now_ms);

/* The same for the n that were not asked for the longest: what no message tells of is noticed, too. */
void lb_nexthops_some_stale(struct lb_nexthops *nexthops, size_t n);

/* Up to capacity destinations whose route is to be asked for; number filled in. They stay until set; how many
 * there are says lb_nexthops_count. */
size_t lb_nexthops_stale(struct lb_nexthops *nexthops, struct lb_address *ret, size_t capacity);

/* The answer to a query: route, or NULL with the kernel's error (a positive errno). True if it differs from
 * what was known. */
bool lb_nexthops_set_route(struct lb_nexthops *nexthops, const struct lb_address *to,
			   const struct lb_route *route, int error, __u64 now_ms);

/* Up to capacity destinations whose way cannot be used, so that the members of its route are to be asked for;
 * number filled in. They stay until set. */
size_t lb_nexthops_seeking(struct lb_nexthops *nexthops, struct lb_address *ret, size_t capacity);

/* The answer; NULL: there is none. True: packets go another way now. */
bool lb_nexthops_set_group(struct lb_nexthops *nexthops, const struct lb_address *to,
			   const struct lb_route_group *group, __u64 now_ms);

/*
 * Calls visit for neighbours of destinations: (MANAGE) those to be resolved and kept that are neither usable
 * nor asked for yet, or not managed; (PROBE) those in use that are not freshly reachable; (RELEASE) those
 * that we asked to be kept and that no destination needs any more.
 */
void lb_nexthops_visit(struct lb_nexthops *nexthops, enum lb_neighbor_request what,
		       void (*visit)(void *context, int ifindex, const struct lb_address *address),
		       void *context);

/* Neighbours that destinations came to need since the last call with forget, and that are not usable yet:
 * worth a moment's wait. */
size_t lb_nexthops_fresh(struct lb_nexthops *nexthops, bool forget);

/* How long until the first neighbour in use that was lost is not believed any more; 0: none is. */
__u64 lb_nexthops_hold_ms(const struct lb_nexthops *nexthops, __u64 now_ms);

struct lb_nexthop_state {
	bool resolved;
	bool local;     /* it is an address of this host; then nothing below is said */
	bool routed;    /* by a router, not on the link */
	char why[128];  /* when not resolved: "no route", ...; else empty */
	int ifindex;    /* of the route; 0: none */
	int egress;     /* that takes the frames: the same, or a device below it */
	__u32 vlan_tag; /* to put in front: protocol in the upper 16 bits, identifier in the lower; 0: none */
	__u32 mtu;
	enum lb_mtu_from mtu_from;
	__u32 mtu_most; /* what the way and the configuration leave; mtu may be less */
	__u8 destination[6];
	__u8 source[6];
	struct lb_address neighbor; /* whose MAC it is; family 0 without route */
	struct lb_address source_address;
};

/* What is known now about the way to an address. Unknown destinations are not resolved ("not asked yet"). */
void lb_nexthops_get(struct lb_nexthops *nexthops, const struct lb_address *to, __u64 now_ms,
		     struct lb_nexthop_state *ret_nexthop);

/* The i-th destination that matters, in the order in which they came; false: there are not so many. */
bool lb_nexthops_destination(const struct lb_nexthops *nexthops, size_t i, struct lb_address *ret);

/* A link by index or name; NULL if there is none. Valid until the next message. */
const struct lb_link *lb_nexthops_link(const struct lb_nexthops *nexthops, int ifindex);
const struct lb_link *lb_nexthops_link_by_name(const struct lb_nexthops *nexthops, const char *name);

/* Whether some VLAN device has this tag (as in struct lb_nexthop_state). */
bool lb_nexthops_has_tag(const struct lb_nexthops *nexthops, __u32 vlan_tag);

/* The host's own addresses; valid until the next message. */
const struct lb_host_address *lb_nexthops_addresses(const struct lb_nexthops *nexthops, size_t *ret_n);

/* What the driver of a link says it can do with XDP (NETDEV_XDP_ACT_*). True: answers may differ now. */
bool lb_nexthops_set_features(struct lb_nexthops *nexthops, int ifindex, __u64 features);

/* The interfaces that run the packet path (n of them), and whether all of them do it in generic mode, from
 * which every device takes frames. True: answers may differ now. */
bool lb_nexthops_set_xdp(struct lb_nexthops *nexthops, const int *ifindexes, size_t n, bool generic);

struct lb_nexthops_counts {
	size_t links, neighbors, destinations, stale, seeking;
};
void lb_nexthops_count(const struct lb_nexthops *nexthops, struct lb_nexthops_counts *ret_counts);
