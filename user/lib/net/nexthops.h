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
#include "net/neighbor.h"
#include "net/route.h"

struct lb_nexthops;

/* A neighbour that stops being usable is believed for this long, so that flushing the table costs nothing. */
#define LB_NEXTHOPS_HOLD_MS 1000u

int lb_nexthops_new(struct lb_nexthops **ret_nexthops); /* 0 or -ENOMEM */
void lb_nexthops_free(struct lb_nexthops *nexthops);

enum {
	LB_NEXTHOPS_LINK = 1,    /* some link came, went or changed */
	LB_NEXTHOPS_CHANGED = 2, /* a next hop in use changed: ask again now */
	LB_NEXTHOPS_LOST = 4,    /* a next hop in use is gone: ask again when the hold is over */
	LB_NEXTHOPS_ROUTE = 8,   /* some route changed: lb_nexthops_routes_stale() and query */
};

/*
 * Takes in a link, neighbour or route message (events and dumps alike). A mask of the above; 0 for what does
 * not matter; -EBADMSG, -ENOMEM.
 */
int lb_nexthops_apply(struct lb_nexthops *nexthops, const struct nlmsghdr *message, __u64 now_ms);

/* Forgets links and neighbours that no message has named since the call before: around a full dump. */
void lb_nexthops_resync_begin(struct lb_nexthops *nexthops);
int lb_nexthops_resync_end(struct lb_nexthops *nexthops, __u64 now_ms); /* mask as lb_nexthops_apply */

/*
 * The destinations that matter: call begin, want for each, end. What was not wanted is forgotten. An address
 * may be wanted many times. want: 0 or -ENOMEM.
 */
void lb_nexthops_want_begin(struct lb_nexthops *nexthops);
int lb_nexthops_want(struct lb_nexthops *nexthops, const struct lb_address *to);
void lb_nexthops_want_end(struct lb_nexthops *nexthops);

/* Marks every route as in need of a query. */
void lb_nexthops_routes_stale(struct lb_nexthops *nexthops);

/* Up to capacity destinations whose route is to be asked for; number filled in. They stay until set; how many
 * there are says lb_nexthops_count. */
size_t lb_nexthops_stale(struct lb_nexthops *nexthops, struct lb_address *ret, size_t capacity);

/* The answer to a query: route, or NULL with the kernel's error (a positive errno). True if it differs from
 * what was known. */
bool lb_nexthops_set_route(struct lb_nexthops *nexthops, const struct lb_address *to,
			   const struct lb_route *route, int error);

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
	const char *why; /* static text when not resolved: "no route", ... */
	int ifindex;     /* 0 when no route */
	__u32 mtu;
	__u8 destination[6];
	__u8 source[6];
	struct lb_address neighbor; /* whose MAC it is; family 0 without route */
	struct lb_address source_address;
};

/* What is known now about the way to an address. Unknown destinations are not resolved ("not asked yet"). */
void lb_nexthops_get(struct lb_nexthops *nexthops, const struct lb_address *to, __u64 now_ms,
		     struct lb_nexthop_state *ret_nexthop);

/* A link by index or name; NULL if there is none. Valid until the next message. */
const struct lb_link *lb_nexthops_link(const struct lb_nexthops *nexthops, int ifindex);
const struct lb_link *lb_nexthops_link_by_name(const struct lb_nexthops *nexthops, const char *name);

struct lb_nexthops_counts {
	size_t links, neighbors, destinations, stale;
};
void lb_nexthops_count(const struct lb_nexthops *nexthops, struct lb_nexthops_counts *ret_counts);
