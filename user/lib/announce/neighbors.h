/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The table of VIPs that the packet path answers ARP and neighbour solicitations for (lb/neighbor.h), as its
 * writers see it: plain memory, shared with packets that read it meanwhile. One process writes VIPs (lbd),
 * one at a time says who leads. Never logs.
 */
#pragma once

#include "announce/announce.h"
#include "base/address.h"
#include "lb/neighbor.h"

/*
 * Has the table say of a VIP (a single address) what became of it; its place stays its own when it is
 * withdrawn and is given away only when it is forgotten. -ENOSPC: LB_NEIGHBORS_MAX VIPs are there, or none of
 * the places that a packet looks at is free. Counts changes.
 */
int lb_neighbors_set(struct lb_neighbors *all, const struct lb_address *vip, __u8 group,
		     enum lb_announce_state state);
void lb_neighbors_forget(struct lb_neighbors *all, const struct lb_address *vip);

/* The place of a VIP, or NULL. */
struct lb_neighbor_vip *lb_neighbors_find(struct lb_neighbors *all, const struct lb_address *vip);

/* The address of a place in use. */
void lb_neighbor_address(const struct lb_neighbor_vip *neighbor, struct lb_address *ret_address);

/* What a place says. */
enum lb_announce_state lb_neighbor_state(const struct lb_neighbor_vip *neighbor);

/* Interface and MAC address of a group; ifindex 0: not in use. */
void lb_neighbors_place_group(struct lb_neighbors *all, __u8 group, __u32 ifindex, const __u8 mac[6]);

/* Says that this balancer leads a group until a time of CLOCK_MONOTONIC, and takes it back. */
void lb_neighbors_lead(struct lb_neighbors *all, __u8 group, __u64 until_ns, __u64 now_ns);
void lb_neighbors_follow(struct lb_neighbors *all, __u8 group);

/*
 * How fit this balancer is to lead a group, as keepalived adds it to a priority: 0 when it serves every VIP
 * of the group, less by one for each that it does not, less by 100 while it is leaving; LB_FITNESS_NONE when
 * it serves none.
 */
#define LB_FITNESS_NONE (-254)
int lb_neighbors_fitness(const struct lb_neighbors *all, __u8 group);
