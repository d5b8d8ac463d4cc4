/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a service to a backend index, for the fast and the slow path alike: affinity, ring slot, and the flow
 * table where the slot is unsettled.
 */
#pragma once

#include "quic.h"
#include "select.h"

/* One packet's decision. */
struct choice {
	__u64 hash;   /* of the flow under the service's affinity: picks the slot, varies the outer header */
	__u32 index;  /* in the service's backends; LB_INDEX_NONE */
	__u16 how;    /* enum lb_how */
	__u16 forget; /* in: an ICMP error, which says nothing about its flow's life: remember nothing */
};

/*
 * Asks the flow table. Nearly all that it knows lies in the flow's home bucket; only what is not there goes
 * through the whole look-up.
 */
static __always_inline void choose_unsettled(const struct pkt *p, const struct lb_control *control,
					     __u64 active, __u32 bucket, const struct lb_vip *vip, __u32 slot,
					     struct choice *choice)
{
	__u64 tag = lb_flow_tag(flow_hash(p, control->flow_key, 0));
	__u32 flags = 0, selected;

	if (pkt_is_syn(p))
		flags |= LB_FLOW_IS_SYN;
	if (p->tcp_flags & (LB_TCP_FIN | LB_TCP_RST))
		flags |= LB_FLOW_IS_CLOSING;
	if (LB_TRACELESS || choice->forget)
		flags |= LB_FLOW_FORGET;
	selected = select_known(control, vip, tag, choice->hash, flags);
	if (selected == LB_SELECTED_NOTHING)
		selected = select_unsettled(active, bucket, tag, choice->hash, flags, slot);
	choice->index = LB_SELECTED_INDEX(selected);
	choice->how = LB_SELECTED_HOW(selected);
}

/* The owner of the slot that choice->hash names. 0, or a reason. */
static __always_inline int choose_slot(const struct pkt *p, const struct lb_control *control, __u64 active,
				       __u32 bucket, const struct lb_vip *vip, struct choice *choice)
{
	__u32 slot, *ring = ring_slot(vip, choice->hash & vip->ring_mask);

	if (!ring)
		return LB_DROP_INTERNAL;
	slot = LB_LOAD(ring);
	choice->index = lb_slot_cur(slot);
	choice->how = LB_HOW_SETTLED;
	note_slot(vip, choice->hash, slot);
	if (!lb_slot_settled(slot))
		choose_unsettled(p, control, active, bucket, vip, slot, choice);
	note_choice(choice->index, choice->how);
	return choice->index == LB_INDEX_NONE ? LB_DROP_NO_BACKEND : 0;
}

/*
 * 0, or a reason when there is nobody. payload: offset of the transport payload in the frame, for QUIC;
 * 0: there is none to look at.
 */
static __always_inline int choose(struct xdp_md *ctx, const struct pkt *p, const struct lb_control *control,
				  __u64 active, __u32 bucket, const struct lb_vip *vip, __u32 payload,
				  struct choice *choice)
{
	choice->hash = flow_hash(p, LB_AFTER(&control->hash_seed[0], active), vip->flags);
	if (vip->flags & LB_VIP_QUIC && payload) {
		choice->how = LB_HOW_SETTLED;
		choice->index = quic_backend(ctx, active, bucket, payload);
		if (choice->index != LB_INDEX_NONE)
			return 0;
	}
	return choose_slot(p, control, active, bucket, vip, choice);
}
