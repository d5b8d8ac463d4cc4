/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Destinations by address: the largest table of the agent, so its entries are small and lie in one array
 * (open addressing). Ways, which many destinations share, are kept once. Internal to nexthops.c.
 */
#pragma once

#include <uthash.h>

#include "net/route.h"
#include "net/route_group.h"

/* What the kernel says about how to get somewhere: a route without its destination. */
struct lb_way {
	struct lb_way_key {
		__u32 type; /* RTN_* */
		__u32 mtu;
		__u32 encapsulation; /* LWTUNNEL_ENCAP_*; 0: none */
		struct lb_address source;
		__u8 pad[3];
		__u32 n; /* members; the first one is the kernel's choice */
		struct lb_route_member member[LB_ROUTE_MEMBERS_MAX + 1];
	} key;
	__u32 number; /* place in lb_destinations.way_at + 1 */
	size_t users;
	bool in_table;
	UT_hash_handle hh;
};

/* There are very many. */
struct lb_destination {
	struct lb_address to;
	__u8 wanted;    /* number of the pass that wanted it last; it may wrap */
	__u16 error;    /* positive errno of the query; ENOENT before the first answer */
	__u32 way : 28; /* number; 0: none */
	__u32 stale : 1;
	__u32 seek : 1;   /* the other members of its route are wanted */
	__u32 asked : 1;  /* at least one answer came */
	__u32 hooked : 1; /* counts as one that goes by the neighbour that its way and address name */
};
_Static_assert(sizeof(struct lb_destination) == 24, "an entry of the largest table");

struct lb_destinations {
	struct lb_destination *at; /* n of them, room for capacity */
	size_t n, capacity;
	__u32 *index; /* size of them, power of two, or NULL: place in at[] + 1; 0: free */
	size_t size;
	size_t next; /* behind the one that was found last: who asks for many asks in the order of at[] */
	struct lb_way *ways;                     /* by key */
	struct lb_way **way_at;                  /* by number - 1; NULL: free */
	__u32 n_ways, ways_capacity, lowest_way; /* places used, room, none below is free */
};

void lb_destinations_done(struct lb_destinations *table);

/* NULL: there is none. Valid until the next lb_destinations_add() or _keep(). */
struct lb_destination *lb_destinations_find(struct lb_destinations *table, const struct lb_address *to);

/* Adds one that is not there, zeroed but for the address; NULL: out of memory. */
struct lb_destination *lb_destinations_add(struct lb_destinations *table, const struct lb_address *to);

/* Forgets those that were not wanted in the given pass; leave() is told of each. When memory is short they
 * stay. */
void lb_destinations_keep(struct lb_destinations *table, __u8 wanted,
			  void (*leave)(void *context, struct lb_destination *destination), void *context);

/* The way of a destination, or NULL. */
const struct lb_way *lb_destinations_way(const struct lb_destinations *table,
					 const struct lb_destination *destination);

/* Sets the way of a destination; route NULL: none. Returns whether it is another one now, other members not
 * counted. When memory is short the destination has none. */
bool lb_destinations_set_way(struct lb_destinations *table, struct lb_destination *destination,
			     const struct lb_route *route);

/* Gives the way of a destination, which has one, the members of its route beside the kernel's choice. */
void lb_destinations_set_group(struct lb_destinations *table, struct lb_destination *destination,
			       const struct lb_route_group *group);
