/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a service to a backend index, for the fast and the rare path alike: affinity, ring slot, and the flow
 * table where the slot is unsettled.
 */
#pragma once

#include "quic.h"
#include "select.h"

/* One packet's decision. */
struct choice {
	__u64 hash;  /* of the flow under the service's affinity: picks the slot, varies the outer header */
	__u32 index; /* in the service's backends; LB_INDEX_NONE */
	__u32 how;   /* enum lb_how */
};

/* Off the fast path: gathers what select_unsettled() needs. */
static __always_inline __u32 choose_unsettled(struct xdp_md *ctx, const struct pkt *p,
					      const struct lb_control *control, const struct lb_vip *vip,
					      __u32 slot, __u32 number, struct choice *choice)
{
	struct unsettled u = {
		.control = control,
		.vip = vip,
		.tag = lb_flow_tag(flow_hash(p, control->flow_key, 0)),
		.slot = slot,
		.slot_number = number,
		.hash = choice->hash,
		.syn = pkt_is_syn(p),
		.closing = p->tcp_flags & (LB_TCP_FIN | LB_TCP_RST),
		.forget = is_explain(ctx),
	};
	__u32 index = select_unsettled(&u);

	choice->how = u.how;
	return index;
}

/*
 * 0, or a reason when the tables are broken. payload: offset of the transport payload in the frame, for QUIC;
 * 0: there is none to look at.
 */
static __always_inline int choose(struct xdp_md *ctx, const struct pkt *p, const struct lb_control *control,
				  __u64 active, const struct lb_vip *vip, __u32 payload,
				  struct choice *choice)
{
	__u32 number, slot, *ring;

	choice->how = LB_HOW_SETTLED;
	choice->hash = flow_hash(p, control->hash_seed, vip->flags);
	if (vip->flags & LB_VIP_QUIC && payload) {
		struct quic q = { vip, active, payload, 0 };

		choice->index = quic_backend(ctx, &q);
		if (choice->index != LB_INDEX_NONE)
			return 0;
	}
	number = choice->hash & vip->ring_mask;
	ring = ring_slot(vip, number);
	if (!ring)
		return LB_DROP_INTERNAL;
	slot = LB_LOAD(ring);
	choice->index = lb_slot_cur(slot);
	if (!lb_slot_settled(slot))
		choice->index = choose_unsettled(ctx, p, control, vip, slot, number, choice);
	return choice->index == LB_INDEX_NONE ? LB_DROP_NO_BACKEND : 0;
}
