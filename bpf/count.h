/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every packet is counted once: forwarded ones in the line of their backend, all others under one reason.
 * Each CPU writes lines of its own. What came in is the sum, so nothing can be lost between two counters.
 */
#pragma once

#include "lb/reasons.h"
#include "config.h"
#include "maps.h"
#include "note.h"

#if LB_TRACELESS
/* Counters that nobody reads. */
LB_ARRAY(lb_uncounted, struct lb_counter);

static __always_inline struct lb_counter *backend_counter_of(__u32 backend, bool flat)
{
	__u32 zero = 0;

	return backend < lb_counter_stride ? bpf_map_lookup_elem(&lb_uncounted, &zero) : NULL;
}
#else
/* flat: whether the tables are. */
static __always_inline struct lb_counter *backend_counter_of(__u32 backend, bool flat)
{
	__u32 place = bpf_get_smp_processor_id() * lb_counter_stride + backend, key;

	struct lb_counter *counter;

	if (flat) {
		if (place >= lb_flat_counters)
			return NULL;
		counter = &LB_FLAT(lb_counters, struct lb_counter)[place];
		LB_HIDE_POINTER(counter);
		return counter;
	}
	key = place;
	return bpf_map_lookup_elem(&lb_counters, &key);
}
#endif

static __always_inline struct lb_counter *backend_counter(__u32 backend)
{
	return backend_counter_of(backend, lb_flat_slots);
}

/* A packet that came in for a service that shares a ring. */
LB_SUBPROGRAM int count_service(__u32 service, __u32 bytes, __u32 syn)
{
	struct lb_control *control = control_get();
	struct lb_service_counter *counter;
	__u32 key;

	if (!control)
		return 0;
	key = bpf_get_smp_processor_id() * control->services + service;
	counter = bpf_map_lookup_elem(&lb_service_counters, &key);
	if (!counter)
		return 0;
	counter->packets++;
	counter->bytes += bytes;
	counter->syns += syn;
	return 0;
}

/* length: of the IP packet. */
static __always_inline void count_shared(const struct lb_vip *vip, __u32 length, bool syn)
{
	if (!LB_TRACELESS && vip->flags & LB_VIP_SHARED)
		(void)count_service(vip->service, length + sizeof(struct ethhdr), syn);
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

/* What becomes of a packet for a reason, as XDP actions, two bits each: 32 reasons to a word. */
#define LB_IS_DROP                                       ((__u64)XDP_DROP)
#define LB_IS_PASS                                       ((__u64)XDP_PASS)
#define LB_IS_REPLY                                      ((__u64)XDP_TX)
#define LB_ACTION_BITS(number, action, half)             | (number / 32 == half ? LB_IS_##action << (number & 31) * 2 : 0)
#define LB_ACTION_LOW(number, name, action, text, help)  LB_ACTION_BITS(number, action, 0)
#define LB_ACTION_HIGH(number, name, action, text, help) LB_ACTION_BITS(number, action, 1)
#define LB_ACTIONS_LOW                                   (0 LB_REASONS(LB_ACTION_LOW))
#define LB_ACTIONS_HIGH                                  (0 LB_REASONS(LB_ACTION_HIGH))
_Static_assert(LB_REASON_COUNT <= LB_CARRIED_FIRST, "two words hold the actions of all reasons");

#define LB_SAMPLE_EVERY 1024u

/* Keeps the beginning of a packet: of a dropped one for lbctl drops. */
LB_SUBPROGRAM int sample_drop(struct xdp_md *ctx, __u32 reason)
{
	__u32 key = bpf_get_smp_processor_id() * LB_REASONS_MAX + (reason & (LB_REASONS_MAX - 1));
	struct lb_sample *sample = bpf_map_lookup_elem(&lb_samples, &key);
	__u64 frame = bpf_xdp_get_buff_len(ctx);
	__u64 bytes = at_most(frame, LB_SAMPLE_BYTES);

	/* Not "== 0": from that, kernels before 6.3 do not learn that a number is positive. */
	if (!sample || bytes < sizeof(struct ethhdr) || bytes > LB_SAMPLE_BYTES)
		return 0;
	(void)LB_EXCHANGE(&sample->taken_ns, 0);
	if (bpf_xdp_load_bytes(ctx, 0, sample->data, bytes))
		return 0;
	sample->frame_bytes = frame;
	sample->sample_bytes = bytes;
	(void)LB_EXCHANGE(&sample->taken_ns, bpf_ktime_get_coarse_ns());
	return 0;
}

/* The agent wants to see every packet of this reason, or the last of a moment. */
static __always_inline void keep_sample(struct xdp_md *ctx, __u32 reason)
{
	if (!LB_TRACELESS)
		sample_drop(ctx, reason);
}

/* Counts a packet that is not forwarded and returns the XDP action of its reason. */
static __always_inline int finish(struct xdp_md *ctx, __u32 reason)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct lb_reason_block *block = bpf_map_lookup_elem(&lb_reasons, &cpu);
	__u64 count = 0;
	int action;

	/* The compiler may know what a subprogram returns; the verifier wants to see the bound. */
	if (!__builtin_constant_p(reason))
		LB_HIDE(reason);
	action = (reason & 32 ? LB_ACTIONS_HIGH : LB_ACTIONS_LOW) >> (reason & 31) * 2 & 3;
	note_reason(reason);
	if (LB_TRACELESS) {
		LB_HIDE_POINTER(ctx); /* or nobody passes what the verifier wants to see passed */
		return action;
	}
	if (block)
		count = block->reason[reason & (LB_REASONS_MAX - 1)].packets++;
	if (action == XDP_DROP && count % LB_SAMPLE_EVERY == 0)
		sample_drop(ctx, reason);
	return action;
}

/* The same where the fast path's code would only grow by it. */
LB_SUBPROGRAM int finish_slow(struct xdp_md *ctx, __u32 reason)
{
	return finish(ctx, reason);
}
