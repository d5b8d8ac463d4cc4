/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether a VIP is announced to the network, and as what: pure decisions over what is known of its services,
 * and the life of a balancer that leaves its fleet and joins it again. Time is the caller's. Never logs.
 *
 * A VIP is announced by a route that a BGP speaker (BIRD, FRR) picks up; see docs/operations.md. What nobody
 * asks to be announced never is. Everything else, in this order:
 *
 *   the balancer has left                       withdrawn
 *   XDP is attached nowhere                     withdrawn: packets would not be balanced
 *   enough of the VIP's services can serve      serving; draining while the balancer is about to leave
 *   none of them has a backend, on_empty keep   as it was: elsewhere they would be dropped as well
 *   otherwise                                   withdrawn
 *
 * A service can serve when at least min_active of its backends are active and resolved. "Enough" is one
 * service or all of them (serve_if). A VIP that was withdrawn comes back only after hold_down_ms.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

enum lb_announce_state { LB_ANNOUNCE_WITHDRAWN, LB_ANNOUNCE_SERVING, LB_ANNOUNCE_DRAINING };

/* What is known of one service of a VIP; services that ask for no announcement are left out. */
struct lb_announce_service {
	__u32 active; /* backends that take new flows and whose next hop is resolved */
	__u32 min_active;
	enum lb_on_empty on_empty;
};

/* A balancer in its fleet. */
enum lb_fleet {
	LB_FLEET_JOINED,
	LB_FLEET_DRAINING,  /* announced as going: peers move their flows away */
	LB_FLEET_WITHDRAWN, /* no longer announced; packets may still come */
	LB_FLEET_LEFT,      /* quiet: for good, until it is told to join */
};

/* "joined", "draining", "withdrawn", "left" and "withdrawn", "serving", "draining"; static. */
const char *lb_fleet_name(enum lb_fleet member);
const char *lb_announce_state_name(enum lb_announce_state state);

struct lb_announce_host {
	enum lb_fleet member;
	bool attached; /* XDP, somewhere */
	enum lb_serve_if serve_if;
	__u64 hold_down_ms;
};

/* One VIP; zeroed before the first decision. state may be set to what the network was told before a restart.
 */
struct lb_announce_vip {
	enum lb_announce_state state;
	__u64 withdrawn_ms; /* when it was withdrawn for want of backends; 0: it was not */
	const char *why;    /* static: of the state */
};

/*
 * Decides anew: true when the state is another one. now_ms: monotonic, never 0. *ret_again_ms: when to ask
 * again although nothing else changed (the end of a hold-down), or 0.
 */
bool lb_announce_decide(struct lb_announce_vip *vip, const struct lb_announce_host *host,
			const struct lb_announce_service *services, size_t n, __u64 now_ms,
			__u64 *ret_again_ms);

/* What a leaving balancer waits for, and for how long at most. */
struct lb_leave_limits {
	__u64 drain_ms;     /* announced as draining for at least so long: peers converge */
	__u64 settle_ms;    /* and for unsettled slots at most so long */
	__u64 quiet_ms;     /* left when no packet came for so long */
	__u64 withdrawn_ms; /* or after so long at most */
};

struct lb_leave {
	enum lb_fleet member;
	__u64 since_ms;       /* of the state */
	__u64 last_packet_ms; /* while withdrawn */
	__u64 packets;        /* seen so far, of all services */
	bool gave_up;         /* the last step was taken because its time was over */
};

/*
 * A balancer that is leaving goes on by itself; true when the state is another one. unsettled: slots;
 * packets: balanced so far. JOINED and LEFT last until lb_leave_begin() and lb_leave_join().
 */
bool lb_leave_step(struct lb_leave *leave, const struct lb_leave_limits *limits, __u32 unsettled,
		   __u64 packets, __u64 now_ms);
void lb_leave_begin(struct lb_leave *leave, __u64 now_ms);
void lb_leave_join(struct lb_leave *leave, __u64 now_ms);
