/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How many answers of our own there may be. All of a kind together may take a part of a core; what there is
 * is shared out by source, so that a flood, from one place or with sources that are forged, leaves an honest
 * sender its answers as long as the kind's total is not used up. Each is a bucket by the generic cell rate
 * algorithm (ITU-T I.371, annex A): the time at which it would be empty, nothing else. All is of one CPU.
 */
#pragma once

#include "slow/slow.h"

enum answer_kind { ANSWER_ERROR, ANSWER_RESET, ANSWER_ECHO, ANSWER_KINDS };

#define NS_PER_S         1000000000ull
#define BUDGET_BURST_NS  (NS_PER_S / 8) /* what may be answered at once, as a time */
#define SOURCE_ROWS      2u
#define SOURCE_PLACES    2048u                          /* of a row; a power of two */
#define SOURCE_TICK_LOG2 20                             /* a tick of a source's bucket: 2^20 ns */
#define SOURCE_TICKS     (NS_PER_S >> SOURCE_TICK_LOG2) /* in a second */
#define SOURCE_BURST     (SOURCE_TICKS / 2)

struct lb_answers {
	__u64 empty_ns[ANSWER_KINDS];
	__u64 pad;
	/* By hashes of prefix and kind, a different one in each row: a source is over its share only where it
	 * is so in every row, so that another one that is, is unlikely to be in its way. */
	__u32 empty_tick[SOURCE_ROWS][SOURCE_PLACES];
};

/* Written and read by packets, each CPU its own. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_answers);
} lb_answers SEC(".maps");

static __always_inline __u64 budget_rate(__u32 kind)
{
	return kind == ANSWER_ECHO ? lb_echo_rate : kind == ANSWER_RESET ? lb_reset_rate : lb_error_rate;
}

/* Takes an answer out of the total of a kind. */
static __always_inline bool total_allows(struct lb_answers *answers, __u32 kind, __u64 now_ns)
{
	__u64 empty_ns, rate = budget_rate(kind);

	if (!rate)
		return false;
	empty_ns = answers->empty_ns[kind] > now_ns ? answers->empty_ns[kind] : now_ns;
	if (empty_ns - now_ns > BUDGET_BURST_NS)
		return false;
	if (!LB_TRACELESS)
		answers->empty_ns[kind] = empty_ns + NS_PER_S / rate;
	return true;
}

/* The sender's network: as much of an address as one subscriber has, more or less. */
static __always_inline __u64 source_hash(const struct pkt *p, const struct lb_control *control, __u32 kind)
{
	__u64 prefix =
		p->family == LB_FAMILY_V4 ? p->saddr[0] & lb_vip_mask64(24) : p->saddr[0] & lb_vip_mask64(56);

	return lb_mix64(lb_mix_word(control->flow_key[0], prefix) + control->flow_key[1] * (kind + 1));
}

/* A time that is further ahead than a burst is from before a pause of weeks: ticks are 32 bits. */
static __always_inline __u32 ticks_ahead(__u32 empty_tick, __u32 now)
{
	__u32 ahead = empty_tick - now;

	return ahead > 2 * SOURCE_BURST ? 0 : ahead;
}

/* Takes an answer out of a source's share. */
static __always_inline bool source_allows(struct lb_answers *answers, __u64 hash, __u64 now_ns)
{
	__u32 *first = &answers->empty_tick[0][hash & (SOURCE_PLACES - 1)];
	__u32 *second = &answers->empty_tick[1][hash >> 32 & (SOURCE_PLACES - 1)];
	__u32 now = now_ns >> SOURCE_TICK_LOG2, step;
	__u32 ahead[SOURCE_ROWS] = { ticks_ahead(*first, now), ticks_ahead(*second, now) };

	if (!lb_source_rate)
		return false;
	step = SOURCE_TICKS / lb_source_rate;
	if (ahead[0] > SOURCE_BURST && ahead[1] > SOURCE_BURST)
		return false;
	if (LB_TRACELESS)
		return true;
	if (ahead[0] <= SOURCE_BURST)
		*first = now + ahead[0] + step;
	if (ahead[1] <= SOURCE_BURST)
		*second = now + ahead[1] + step;
	return true;
}

/*
 * Whether the packet in scratch may have an answer of a kind, which is then taken out of the budgets. share:
 * 0: it belongs to an answer that was let through before (a later fragment), and counts in the total alone.
 */
LB_SUBPROGRAM int within_budget(__u32 kind, __u32 share)
{
	__u32 zero = 0;
	struct lb_answers *answers = bpf_map_lookup_elem(&lb_answers, &zero);
	struct lb_control *control = control_get();
	struct scratch *s = scratch_get();
	__u64 now_ns = bpf_ktime_get_coarse_ns();

	if (!answers || !control || !s || kind >= ANSWER_KINDS)
		return 0;
	/* The share first: who is over it takes nothing from others. */
	if (share && !source_allows(answers, source_hash(&s->p, control, kind), now_ns))
		return 0;
	return total_allows(answers, kind, now_ns);
}
