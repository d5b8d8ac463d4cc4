/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets to a VIP that no service takes: other ports and protocols, pings that are not answered, fragments
 * of what was not seen. A host that forwards (every node of a Kubernetes cluster does) would send them back
 * to the router that sends the VIP here, and so on until their TTL is used up. What becomes of them is a word
 * of the VIP's services, in the host record of the address (types.h).
 */
#pragma once

#include "slow/answer.h"
#include "slow/neighbor.h"

/* The end of a packet in scratch that is the host's for a reason, unless it is to a VIP that says otherwise.
 */
LB_SUBPROGRAM int unclaimed(struct xdp_md *ctx, __u64 active, __u32 reason)
{
	struct scratch *s = scratch_get();
	__u32 flags;

	/* Asked again by who knows us (RFC 4861 section 7.3.3). */
	if (s && s->link_only)
		return finish_neighbor(ctx, reason);
	/* Without an IP header there is no VIP. */
	if (!s || !s->p.family || !may_be_host(&s->p, active))
		return finish_slow(ctx, reason);
	flags = host_flags(active, s->p.daddr[0], s->p.daddr[1], s->p.family);
	if (!(flags & LB_VIP_UNCLAIMED))
		return finish_slow(ctx, reason);
	return finish_slow(ctx, flags & LB_VIP_UNCLAIMED_REJECT ? answer(ctx, LB_DROP_UNCLAIMED, 0)
								: LB_DROP_UNCLAIMED);
}
