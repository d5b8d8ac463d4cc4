/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How many flows are sampled: as many as an allowance of processor time bears, 1 in 2^level. Pure; times are
 * the caller's.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "lb/observe.h"

#define LB_PACE_LEVEL_START 6u
#define LB_PACE_FULL_PERMILLE                                                                                \
	750u /* of the places of a block: buckets overflow, and figures would be wrong                       \
	      */
#define LB_PACE_DOWN_NS     1000000000ull   /* between two steps down */
#define LB_PACE_HOLD_NS     10000000000ull  /* first wait after a step up; then twice as long each time, */
#define LB_PACE_HOLD_MAX_NS 600000000000ull /* up to this */

/* What a packet of a sampled flow, and an event, cost the packet path (make bench: tcp4_observed_*): some 100
 * ns where its place is in the cache, 300 where it is not, as with a million flows. */
#define LB_PACE_PACKET_NS 300u
#define LB_PACE_EVENT_NS  150u

/* Since the last step. */
struct lb_pace_load {
	__u32 allowed_permille; /* of one core, for packet path and agent together; above it the level rises
				 */
	__u64 elapsed_ns;
	__u64 packets, events;
	__u64 agent_ns; /* of processor time */
	__u64 claimed;  /* places of both kinds */
	__u64 refused;  /* for want of a place, or of room in the ring */
	bool looked; /* all places were looked at since then, and so many of the fullest block's are in use:
		      */
	__u32 used_permille;
};

struct lb_pace {
	__u32 level;
	__u64 hold_ns;       /* how long the last step up is held */
	__u64 until_ns;      /* no step down before */
	__u64 raised_ns;     /* time of the last step up */
	__u32 used_permille; /* as of the last look */
	__u32 permille10;    /* what the last step found that it costs: tenths of a thousandth of a core */
};

void lb_pace_begin(struct lb_pace *pace, __u64 now_ns);

/* The level from now on. Up at once, by as much as is too much; down one by one, slower where it was up
 * before for a flow that only the lower level samples. */
__u32 lb_pace_step(struct lb_pace *pace, const struct lb_pace_load *load, __u64 now_ns);

/*
 * Which levels there were: a flow stands for as many as at the highest one since it began, for those of its
 * like were let go then.
 */
#define LB_LEVELS_KEPT 32u
struct lb_levels {
	struct {
		__u64 since_ns;
		__u32 level;
	} kept[LB_LEVELS_KEPT]; /* the latest last */
	unsigned int n;
};
void lb_levels_set(struct lb_levels *levels, __u32 level, __u64 now_ns);
__u64 lb_levels_weight(const struct lb_levels *levels, __u64 started_ns);
