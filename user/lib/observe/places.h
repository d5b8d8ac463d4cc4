/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The agent's look at the places of sampled flows (lb/observe.h): counts what is there, and frees what has
 * come to an end that no packet tells of.
 */
#pragma once

#include <linux/types.h>
#include <stddef.h>

#include "lb/observe.h"

/* What a look finds; flow: a copy, valid during the call. */
struct lb_places_hooks {
	void *context;
	void (*started)(void *context, const struct lb_observed *flow); /* once for each */
	void (*gave_up)(void *context, const struct lb_observed *flow);
	void (*silent)(void *context, const struct lb_observed *flow);
	void (*open)(void *context, const struct lb_observed *flow); /* every time */
	/* After how long a connection is not waited for. */
	__u64 (*idle_ns)(void *context, const struct lb_observed *flow);
};

/* Looks at the places of one block. level: of sampling, in force; flows that it leaves out are let go without
 * a word. now_ns: CLOCK_MONOTONIC. How many of the places for connections are in use, in thousandths. */
__u32 lb_places_look(struct lb_observe_cpu *block, __u32 level, __u64 now_ns,
		     const struct lb_places_hooks *hooks);

/* Whether a handshake that has been silent since its last SYN is given up: after 5 s, and after twice what it
 * took so far, for clients wait twice as long each time (RFC 6298, 5.5). */
int lb_places_is_given_up(const struct lb_observed *flow, __u64 now_ns);

/* The clients of all flows that are in the places of n blocks, to be asked for by the flow's tag in the flow
 * table (lb/flowtable.h). */
struct lb_client {
	__u64 tag;
	__u64 address[2]; /* as it lies in memory; IPv4 in the first half of the first */
	__be16 port;
	__u8 family; /* LB_FAMILY_* */
};
struct lb_clients {
	struct lb_client *list; /* owned; by tag */
	size_t n;
};

/* 0 or -ENOMEM. */
int lb_clients_read(const struct lb_observe_cpu *blocks, __u32 cpus, struct lb_clients *ret_clients);
void lb_clients_done(struct lb_clients *clients);
const struct lb_client *lb_clients_find(const struct lb_clients *clients, __u64 tag); /* or NULL */
