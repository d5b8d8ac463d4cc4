/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What one set of maps has, into another one (carry/carry.h has the rules, maps_set.h the sets), while
 * packets use the first:
 *
 *   maps_carry_begin    the new set is made, and has what the agent alone writes
 *   maps_carry_last     slots are held, packets in flight waited for; then what packets write
 *   ...                 packets are led to the new set, link by link
 *   maps_carry_again    the last of them has left the old set: what they did there meanwhile
 *   maps_carry_end      slots are as they were; the old set is nobody's
 */
#pragma once

#include "carry/carry.h"
#include "lbd/kernel/maps.h"

struct grace;

struct maps_carry {
	struct maps *old, *next;
	struct lb_copy copy[MAPS_MAX];
	bool shared[MAPS_MAX];
	void *then[MAPS_MAX]; /* counts: blocks of the new set as they were first; length[] bytes */
	size_t then_bytes[MAPS_MAX];
	struct lb_held_slots held;
	__u64 flow_entries, flow_refused; /* of the old table; without a place in the new one */
};

/* next: zeroed; made here, in next/. old, next and the carry must stay where they are. On failure nothing is
 * left. -EPROTO: the old set's description and maps contradict each other. Beside the loop. */
int maps_carry_begin(struct maps_carry *carry, struct maps *old, struct maps *next,
		     const struct lb_table_sizes *sizes, bool chunked, struct lb_error *error);

/* For a set in swap/ that is already there, after a start: what maps_carry_again() needs. */
int maps_carry_resume(struct maps_carry *carry, struct maps *old, struct maps *next, struct lb_error *error);

/* Nobody commits, sweeps or moves the clock from here on. Beside the loop; graces by the caller's hand. */
int maps_carry_hold(struct maps_carry *carry, struct lb_error *error);
int maps_carry_last(struct maps_carry *carry, struct lb_error *error);
void maps_carry_again(struct maps_carry *carry);
void maps_carry_let_go(struct maps_carry *carry);
void maps_carry_done(struct maps_carry *carry);
