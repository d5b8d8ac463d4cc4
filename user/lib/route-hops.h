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

#include "config.h"
#include "neighbor.h"
#include "route.h"

struct lb_hops;

/* A neighbour that stops being usable is believed for this long, so that flushing the table costs nothing. */
#define LB_HOPS_HOLD_MS 1000u

int lb_hops_new(struct lb_hops **ret_hops); /* 0 or -ENOMEM */
void lb_hops_free(struct lb_hops *hops);

enum {
	LB_HOPS_LINK = 1,    /* some link came, went or changed */
	LB_HOPS_CHANGED = 2, /* a next hop in use changed: ask again now */
	LB_HOPS_LOST = 4,    /* a next hop in use is gone: ask again when the hold is over */
	LB_HOPS_ROUTE = 8,   /* some route changed: lb_hops_routes_stale() and query */
};

/*
 * Takes in a link, neighbour or route message (events and dumps alike). A mask of the above; 0 for what does
 * not matter; -EBADMSG, -ENOMEM.
 */
int lb_hops_apply(struct lb_hops *hops, const struct nlmsghdr *message, __u64 now_ms);

/* Forgets links and neighbours that no message has named since the call before: around a full dump. */
void lb_hops_resync_begin(struct lb_hops *hops);
int lb_hops_resync_end(struct lb_hops *hops, __u64 now_ms); /* mask as lb_hops_apply */

/*
 * The destinations that matter: call begin, want for each, end. What was not wanted is forgotten. An address
 * may be wanted many times. want: 0 or -ENOMEM.
 */
void lb_hops_want_begin(struct lb_hops *hops);
int lb_hops_want(struct lb_hops *hops, const struct lb_address *to);
void lb_hops_want_end(struct lb_hops *hops);

/* Marks every route as in need of a query. */
void lb_hops_routes_stale(struct lb_hops *hops);

/* Up to capacity destinations whose route is to be asked for; number filled in. They stay until set; how many
 * there are says lb_hops_count. */
size_t lb_hops_stale(struct lb_hops *hops, struct lb_address *ret, size_t capacity);

/* The answer to a query: route, or NULL with the kernel's error (a positive errno). True if it differs from
 * what was known. */
bool lb_hops_set_route(struct lb_hops *hops, const struct lb_address *to, const struct lb_route *route,
		       int error);

/*
 * Calls visit for neighbours of destinations: (MANAGE) those to be resolved and kept that are neither usable
 * nor asked for yet, or not managed; (PROBE) those in use that are not freshly reachable; (RELEASE) those
 * that we asked to be kept and that no destination needs any more.
 */
void lb_hops_visit(struct lb_hops *hops, enum lb_neighbor_request what,
		   void (*visit)(void *context, int ifindex, const struct lb_address *address),
		   void *context);

/* Neighbours that destinations came to need since the last call with forget, and that are not usable yet:
 * worth a moment's wait. */
size_t lb_hops_fresh(struct lb_hops *hops, bool forget);

/* How long until the first neighbour in use that was lost is not believed any more; 0: none is. */
__u64 lb_hops_hold_ms(const struct lb_hops *hops, __u64 now_ms);

struct lb_hop {
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
void lb_hops_get(struct lb_hops *hops, const struct lb_address *to, __u64 now_ms, struct lb_hop *ret_hop);

/* A link by index or name; NULL if there is none. Valid until the next message. */
const struct lb_link *lb_hops_link(const struct lb_hops *hops, int ifindex);
const struct lb_link *lb_hops_link_by_name(const struct lb_hops *hops, const char *name);

struct lb_hops_counts {
	size_t links, neighbors, destinations, stale;
};
void lb_hops_count(const struct lb_hops *hops, struct lb_hops_counts *ret_counts);
