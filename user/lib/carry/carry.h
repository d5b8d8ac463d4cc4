/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What becomes of each map of the packet path when other tables take over from running ones: of other sizes,
 * or of another layout. One line a map, here and nowhere else (tests/unit/test_carry.c fails without it).
 *
 * A map that looks the same in both sets is no copy at all: both sets have it. So what is said here is of
 * maps whose size or structure differs.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "carry/layout.h"
#include "lb/types.h"

enum lb_carry_how {
	LB_CARRY_CONTROL, /* sizes are the new set's own, the rest by name */
	LB_CARRY_RECORDS, /* place by place; the agent alone writes there, and does not meanwhile */
	LB_CARRY_STAMPS,  /* place by place, at the last moment; later ones once more, the newest wins */
	LB_CARRY_COUNTS,  /* each CPU's block, at the last moment; what was counted later is added */
	LB_CARRY_FLOWS,   /* each entry to the place that it has in the new table */
	LB_CARRY_KEYS,    /* by system calls: the agent has no memory of it */
	LB_CARRY_EMPTY,   /* not at all: what packets need for a moment */
	LB_CARRY_SELF,    /* the description of the set itself */
};

/* X(map, structure of one of its places as the description has it, how) */
#define LB_CARRIED_MAPS(X)                                                                                   \
	X(lb_control, lb_control, CONTROL)                                                                   \
	X(lb_vips, lb_vip, RECORDS)                                                                          \
	X(lb_banks, lb_bank, RECORDS)                                                                        \
	X(lb_filters, lb_filters, RECORDS)                                                                   \
	X(lb_stations, lb_stations, RECORDS)                                                                 \
	X(lb_rings, __u32, RECORDS)                                                                          \
	X(lb_stamps, __u32, STAMPS)                                                                          \
	X(lb_backends, lb_backend, RECORDS)                                                                  \
	X(lb_backend_ids, __u32, RECORDS)                                                                    \
	X(lb_counters, lb_counter, COUNTS)                                                                   \
	X(lb_reasons, lb_reason_block, COUNTS)                                                               \
	X(lb_flows, lb_flow_bucket, FLOWS)                                                                   \
	X(lb_service_meta, lb_service_meta, RECORDS)                                                         \
	X(lb_backend_meta, lb_backend_meta, RECORDS)                                                         \
	X(lb_devmap, __u32, KEYS)                                                                            \
	X(lb_ports, __u64, RECORDS)                                                                          \
	X(lb_samples, lb_sample, KEYS)                                                                       \
	X(lb_fragments, lb_fragment_bucket, KEYS)                                                            \
	X(lb_answers, lb_answers, EMPTY)                                                                     \
	X(lb_search, lb_flow_search, EMPTY)                                                                  \
	X(lb_service_counters, lb_service_counter, COUNTS)                                                   \
	X(lb_observe, lb_observe, RECORDS)                                                                   \
	X(lb_observed, lb_observe_cpu, EMPTY)                                                                \
	X(lb_observe_events, lb_observe_event, EMPTY)                                                        \
	X(lb_neighbors, lb_neighbors, RECORDS)                                                               \
	X(lb_layout, lb_layout_text, SELF)

struct lb_carry_map {
	const char *map, *structure;
	enum lb_carry_how how;
};
enum {
#define X(map, structure, how) LB_CARRIED_##map,
	LB_CARRIED_MAPS(X)
#undef X
		LB_CARRIED_COUNT
};
extern const struct lb_carry_map lb_carry_maps[LB_CARRIED_COUNT];

/* The line of a map, or NULL. */
const struct lb_carry_map *lb_carry_find(const char *map);

/* Places that both have, from the first on. False: some value did not fit. */
bool lb_carry_records(const struct lb_copy *copy, const void *from, __u64 n_from, void *to, __u64 n_to);

/* The same for blocks of so many places for each CPU. */
bool lb_carry_blocks(const struct lb_copy *copy, const void *from, __u64 per_cpu_from, void *to,
		     __u64 per_cpu_to, __u32 cpus);

/*
 * What a CPU has counted in its old block since the new one was made like it: added to the new one, word by
 * word, in one instruction each. Exact on that very CPU, whose packets cannot come in between. then: the new
 * block as it was first; what has been added is added there as well, so that whoever is killed on the way and
 * does it again does not add it twice. Places are of words that count, and nothing else.
 */
void lb_carry_count_more(const struct lb_copy *copy, const void *from, __u64 n_from, void *then, void *to,
			 __u64 n_to);

/* Stamps of the old table that are newer. Each table is repeated behind its end, for the slots that have no
 * stamp of their own (n slots, n_from and n_to stamps). */
void lb_carry_stamp_more(const struct lb_copy *copy, __u64 n, const void *from, __u64 n_from, void *to,
			 __u64 n_to);

/* --- slots ------------------------------------------------------------------------------------------------
 *
 * Between the copy of the flow table and the change of programs the old program must learn nothing that would
 * be missed. What it learns is which flows began at cur where cur is not base. So slots are held for that
 * time: new flows go to base, where flows without an entry go as well.
 */
struct lb_held_slot {
	__u64 number;
	__u32 word, as; /* as it was, and as it is while it is held */
};
struct lb_held_slots {
	struct lb_held_slot *slots;
	size_t n;
};

/* Holds what is to be held of n slots. A grace period later no packet sees them otherwise. 0 or -ENOMEM, with
 * nothing held. */
int lb_carry_hold(__u32 *slots, __u64 n, struct lb_held_slots *ret_held);
/* As they were. Frees *held. */
void lb_carry_let_go(__u32 *slots, struct lb_held_slots *held);

/* --- the flow table --------------------------------------------------------------------------------------
 */

struct lb_carry_flows {
	const struct lb_copy *copy; /* of a bucket */
	const void *from;
	__u32 from_buckets;
	struct lb_flow_bucket *to;
	__u32 to_buckets; /* power of two */
	__u64 entries;    /* met in the old table */
	__u64 refused;    /* found no room in the new one */
};

/*
 * Fills the new table, which no packet sees yet, from the old one, which packets use. What an entry knows of
 * its connection's numbers is a little old when the new program sees it: until lb_carry_flows_again() it is
 * taken to have carried a lot, so that what was sent meanwhile is still its own (lb/flow_numbers.h).
 */
void lb_carry_flows(struct lb_carry_flows *carry);

/* Packets use the new table alone: what they had last done in the old one, as far as they have done no more
 * since. */
void lb_carry_flows_again(struct lb_carry_flows *carry);
