/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packet path while somebody captures (lbctl capture): the very same pipeline as lb_ingress, with the
 * beginning of each packet kept before and after it. It shares the maps of the running program and takes its
 * place by a link update; while nobody captures it is not loaded.
 *
 * A packet is recorded in a per-CPU buffer and copied to the ring only if a capture wants it. Reserving room
 * in the ring first would save a copy, but what is discarded there takes room until the agent has passed it:
 * a capture of one flow would lose packets to the flood around it.
 */
#define LB_NOTES 1
#include "ingress.h"
#include "lb/capture.h"

/* Written by packets, read by the agent. Not pinned. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, LB_CAPTURE_RING);
} lb_capture_ring SEC(".maps");

/* Written by the agent. One entry. Not pinned. */
LB_ARRAY(lb_capture_filters, struct lb_capture_filters);

/* Written by packets, each CPU its own. Not pinned. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_capture_counts);
} lb_capture_counts SEC(".maps");

/* What is being recorded. Written and read by one packet at a time, each CPU its own. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_capture_record);
} lb_capture_record SEC(".maps");

static __always_inline struct lb_capture_record *capture_record(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lb_capture_record, &zero);
}

static __always_inline struct lb_capture_filters *capture_filters(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lb_capture_filters, &zero);
}

/* Copies the beginning of the frame; how much of it. */
static __always_inline __u32 capture_copy(struct xdp_md *ctx, __u8 *to, __u64 frame)
{
	__u64 bytes = at_most(frame, LB_CAPTURE_SNAP);

	/* No frame is shorter. Not "== 0": see sample_drop(). */
	if (bytes < sizeof(struct ethhdr) || bytes > LB_CAPTURE_SNAP || bpf_xdp_load_bytes(ctx, 0, to, bytes))
		return 0;
	return bytes;
}

/* Whether the flow of the packet that slow_parse() has read is the one that the filter asks for. */
static __always_inline bool flow_wanted(const struct lb_capture_filter *filter, const struct scratch *s,
					__u32 by)
{
	if (by & (LB_CAPTURE_BY_SADDR | LB_CAPTURE_BY_DADDR) && s->p.family != filter->family)
		return false;
	if (by & LB_CAPTURE_BY_PROTOCOL && s->p.protocol != filter->protocol)
		return false;
	if (by & LB_CAPTURE_BY_SADDR &&
	    (s->p.saddr[0] != filter->saddr[0] || s->p.saddr[1] != filter->saddr[1]))
		return false;
	if (by & LB_CAPTURE_BY_DADDR &&
	    (s->p.daddr[0] != filter->daddr[0] || s->p.daddr[1] != filter->daddr[1]))
		return false;
	if (by & LB_CAPTURE_BY_SPORT && s->p.sport != filter->sport)
		return false;
	return !(by & LB_CAPTURE_BY_DPORT) || s->p.dport == filter->dport;
}

/* Which captures' flows the packet is of. It is parsed as the slow path would, and at most once. */
LB_SUBPROGRAM __u32 capture_flows(struct xdp_md *ctx)
{
	struct lb_capture_filters *filters = capture_filters();
	struct scratch *s = scratch_get();
	bool parsed = false;
	__u32 flows = 0;

	if (!filters || !s)
		return 0;
	for (__u32 i = 0; i < LB_CAPTURES_MAX; i++) {
		const struct lb_capture_filter *filter = &filters->capture[i];
		__u32 by = LB_LOAD(&filter->by);

		if (!(by & LB_CAPTURE_BY_FLOW)) {
			flows |= 1u << i;
			continue;
		}
		if (!parsed) {
			slow_parse(ctx);
			parsed = true;
		}
		if (flow_wanted(filter, s, by))
			flows |= 1u << i;
	}
	return flows;
}

/* Before the pipeline, which may change or shorten the packet. */
LB_SUBPROGRAM int capture_begin(struct xdp_md *ctx)
{
	struct lb_capture_record *record = capture_record();

	decision_begin();
	if (!record)
		return 0;
	record->enter_ns = bpf_ktime_get_ns();
	record->ifindex = ctx->ingress_ifindex;
	record->in_bytes = bpf_xdp_get_buff_len(ctx);
	record->in_snap = capture_copy(ctx, record->in, record->in_bytes);
	record->out_bytes = record->out_snap = 0;
	record->flows = capture_flows(ctx);
	return 0;
}

static __always_inline bool record_wanted(const struct lb_capture_filter *filter,
					  const struct lb_capture_record *record, __u32 number)
{
	__u32 by = LB_LOAD(&filter->by);

	if (!(by & LB_CAPTURE_ON) || !(record->flows >> number & 1))
		return false;
	if (by & LB_CAPTURE_BY_SERVICE && record->decision.service != filter->service)
		return false;
	if (by & LB_CAPTURE_BY_BACKEND && record->decision.backend != filter->backend)
		return false;
	return !(by & LB_CAPTURE_BY_DROP) || record->verdict == XDP_DROP;
}

/* Behind the pipeline: to the ring with it, if a capture wants it. */
LB_SUBPROGRAM int capture_end(struct xdp_md *ctx, __u32 verdict)
{
	__u32 zero = 0;
	struct lb_capture_counts *counts = bpf_map_lookup_elem(&lb_capture_counts, &zero);
	struct lb_capture_filters *filters = capture_filters();
	struct lb_capture_record *record = capture_record();
	const struct lb_decision *decision = decision_get();
	__u32 captures = 0;
	bool lost;

	if (!record || !filters || !counts || !decision)
		return 0;
	record->decision = *decision;
	record->verdict = verdict;
	for (__u32 i = 0; i < LB_CAPTURES_MAX; i++)
		if (record_wanted(&filters->capture[i], record, i))
			captures |= 1u << i;
	if (!captures)
		return 0;
	record->captures = captures;
	if (verdict == XDP_TX || verdict == XDP_REDIRECT) {
		record->out_bytes = bpf_xdp_get_buff_len(ctx);
		record->out_snap = capture_copy(ctx, record->out, record->out_bytes);
	}
	record->leave_ns = bpf_ktime_get_ns();
	lost = bpf_ringbuf_output(&lb_capture_ring, record, sizeof(*record), 0) != 0;
	for (__u32 i = 0; i < LB_CAPTURES_MAX; i++) {
		if (!(captures >> i & 1))
			continue;
		counts->capture[i].matched++;
		counts->capture[i].lost += lost;
	}
	return 0;
}

/* The pipeline is part of it, as of lb_ingress: with a call more, kernels before 6.12 find the stack too
 * small. Frames in several buffers: as lb_ingress. */
SEC("xdp")
int lb_capture(struct xdp_md *ctx)
{
	int verdict;

	capture_begin(ctx);
	verdict = ingress(ctx);
	capture_end(ctx, verdict);
	return verdict;
}

char LICENSE[] SEC("license") = "GPL";
