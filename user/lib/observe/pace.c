// SPDX-License-Identifier: GPL-2.0-only
/*
 * See pace.h. One large flow can be too much by itself: at the level that leaves it out nothing is too much,
 * and at the next lower one all is again. So each step up that follows soon is held twice as long as the one
 * before.
 */
#include "observe/pace.h"

#include <string.h>

#define SOON 4u /* times the hold: a step up after that is a new story */

void lb_pace_begin(struct lb_pace *pace, __u64 now_ns)
{
	*pace = (struct lb_pace){ .level = LB_PACE_LEVEL_START,
				  .hold_ns = LB_PACE_HOLD_NS,
				  .until_ns = now_ns + LB_PACE_DOWN_NS };
}

/* Steps that bring what it costs below what is allowed: each halves it. */
static __u32 steps_up(const struct lb_pace *pace, const struct lb_pace_load *load)
{
	__u32 steps = 0, cost = pace->permille10;

	while (cost > load->allowed_permille * 10 && steps < LB_OBSERVE_LEVEL_MAX) {
		cost /= 2;
		steps++;
	}
	if (!steps && load->looked && load->used_permille > LB_PACE_FULL_PERMILLE)
		steps = 1;
	/* What is refused is missing in the figures: a quarter is too much. */
	if (!steps && load->refused * 4 > load->claimed + load->refused && load->refused > 16)
		steps = 1;
	return steps;
}

static void raise_level(struct lb_pace *pace, __u32 steps, __u64 now_ns)
{
	pace->level += steps;
	if (pace->level > LB_OBSERVE_LEVEL_MAX)
		pace->level = LB_OBSERVE_LEVEL_MAX;
	if (pace->raised_ns && now_ns - pace->raised_ns < SOON * pace->hold_ns)
		pace->hold_ns =
			pace->hold_ns * 2 < LB_PACE_HOLD_MAX_NS ? pace->hold_ns * 2 : LB_PACE_HOLD_MAX_NS;
	else
		pace->hold_ns = LB_PACE_HOLD_NS;
	pace->raised_ns = now_ns;
	pace->until_ns = now_ns + pace->hold_ns;
}

__u32 lb_pace_step(struct lb_pace *pace, const struct lb_pace_load *load, __u64 now_ns)
{
	__u64 cost_ns = load->packets * LB_PACE_PACKET_NS + load->events * LB_PACE_EVENT_NS + load->agent_ns;
	__u32 steps;

	if (!load->elapsed_ns)
		return pace->level;
	pace->permille10 = cost_ns / (load->elapsed_ns / 10000 + 1);
	if (load->looked)
		pace->used_permille = load->used_permille;
	steps = steps_up(pace, load);
	if (steps) {
		raise_level(pace, steps, now_ns);
	} else if (pace->level && now_ns >= pace->until_ns && !load->refused &&
		   pace->permille10 * 3 < load->allowed_permille * 10 &&
		   pace->used_permille * 3 < LB_PACE_FULL_PERMILLE) {
		pace->level--;
		pace->until_ns = now_ns + LB_PACE_DOWN_NS;
	}
	return pace->level;
}

void lb_levels_set(struct lb_levels *levels, __u32 level, __u64 now_ns)
{
	if (levels->n && levels->kept[levels->n - 1].level == level)
		return;
	if (levels->n == LB_LEVELS_KEPT) {
		/* What is forgotten is taken for as high as what follows it, or was. */
		if (levels->kept[1].level < levels->kept[0].level)
			levels->kept[1].level = levels->kept[0].level;
		memmove(&levels->kept[0], &levels->kept[1], sizeof(levels->kept[0]) * (LB_LEVELS_KEPT - 1));
		levels->n--;
	}
	levels->kept[levels->n].since_ns = now_ns;
	levels->kept[levels->n++].level = level;
}

__u64 lb_levels_weight(const struct lb_levels *levels, __u64 started_ns)
{
	__u32 highest = 0;

	for (unsigned int i = levels->n; i-- > 0;) {
		if (levels->kept[i].level > highest)
			highest = levels->kept[i].level;
		if (levels->kept[i].since_ns <= started_ns)
			break;
	}
	return 1ull << highest;
}
