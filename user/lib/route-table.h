/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Destinations by address: the largest table of the agent, so its entries are small and lie in one array
 * (open addressing). Ways, which many destinations share, are kept once. Internal to route-hops.c.
 */
#pragma once

#include <uthash.h>

#include "route.h"

/* What the kernel says about how to get somewhere: a route without its destination. */
struct lb_way {
	struct lb_way_key {
		__u32 type; /* RTN_* */
		int ifindex;
		__u32 mtu;
		struct lb_address gateway, source;
		__u8 pad[2];
	} key;
	size_t users;
	bool in_table;
	UT_hash_handle hh;
};

struct neighbor;

struct lb_destination {
	struct lb_address to;
	bool stale;
	bool asked; /* at least one answer came */
	int error;  /* positive errno of the query; ENOENT before the first answer */
	unsigned int wanted;
	struct lb_way *way;        /* NULL: none */
	struct neighbor *neighbor; /* NULL: no route to another host */
};

struct lb_destinations {
	struct lb_destination *at; /* n of them, room for capacity */
	size_t n, capacity;
	__u32 *index; /* size of them, power of two, or NULL: place in at[] + 1; 0: free */
	size_t size;
	struct lb_way *ways;
};

void lb_destinations_done(struct lb_destinations *table);

/* NULL: there is none. Valid until the next lb_destinations_add() or _keep(). */
struct lb_destination *lb_destinations_find(const struct lb_destinations *table, const struct lb_address *to);

/* Adds one that is not there, zeroed but for the address; NULL: out of memory. */
struct lb_destination *lb_destinations_add(struct lb_destinations *table, const struct lb_address *to);

/* Forgets those that were not wanted in the given pass; leave() is told of each. When memory is short they
 * stay. */
void lb_destinations_keep(struct lb_destinations *table, unsigned int wanted,
			  void (*leave)(void *context, struct lb_destination *destination), void *context);

/* Sets the way of a destination; route NULL: none. Returns whether it is another one now. When memory is
 * short the destination has none. */
bool lb_destinations_set_way(struct lb_destinations *table, struct lb_destination *destination,
			     const struct lb_route *route);
