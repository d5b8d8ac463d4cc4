/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every packet is counted once: forwarded ones in the line of their backend, all others under one reason.
 * Each CPU writes lines of its own. What came in is the sum, so nothing can be lost between two counters.
 */
#pragma once

#include "lb/reasons.h"
#include "config.h"
#include "maps.h"

static __always_inline struct lb_counter *backend_counter(__u32 backend)
{
	__u32 key = bpf_get_smp_processor_id() * lb_counter_stride + backend;

	return bpf_map_lookup_elem(&lb_counters, &key);
}

/* What select did, for the counters of the backend. */
static __always_inline void count_flow(struct lb_counter *counter, bool syn, __u32 how)
{
	if (syn)
		counter->syn_packets++;
	if (how == LB_HOW_SETTLED)
		return;
	if (how == LB_HOW_KNOWN)
		counter->known_packets++;
	else if (how == LB_HOW_BASE)
		counter->base_packets++;
	else if (how == LB_HOW_REFUSED)
		counter->refused_inserts++;
}

/* One bit per reason that passes; all others drop. */
#define LB_IS_PASS                          1ull
#define LB_IS_DROP                          0ull
#define X(number, name, action, text, help) | LB_IS_##action << number
#define LB_PASS_REASONS                     (0 LB_REASONS(X))

/* Counts a packet that is not forwarded and returns the XDP action of its reason. */
static __always_inline int finish(struct xdp_md *ctx, __u32 reason)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct lb_reason_block *block = bpf_map_lookup_elem(&lb_reasons, &cpu);

	reason &= LB_REASONS_MAX - 1;
	if (block)
		block->reason[reason].packets++;
	return LB_PASS_REASONS >> reason & 1 ? XDP_PASS : XDP_DROP;
}
