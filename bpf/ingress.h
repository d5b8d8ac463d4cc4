/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packet path: parse -> service -> select -> forward -> count. One decision is made in one generation:
 * the active word is read once, and everything below it is immutable while it can be seen.
 */
#pragma once

#include "balance.h"
#include "parse.h"
#include "rare_path.h"

/* What becomes of a packet, as an XDP action. */
static __always_inline int ingress(struct xdp_md *ctx)
{
	struct cursor c = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	int reason = LB_PASS_NOT_IP;
	struct pkt p = {};
	void *eth = c.pos;

	c.pos += sizeof(struct ethhdr);
	if (c.pos > c.end)
		return rare(ctx, LB_PASS_MALFORMED);
	if (BYTE(eth, 0) & 1)
		return finish(ctx, LB_PASS_MULTICAST);
	if (SHORT(eth, 12) == bpf_htons(ETH_P_IP)) {
		reason = parse_ipv4(ctx, &c, &p);
		if (!reason)
			return balance(ctx, &p);
	} else if (SHORT(eth, 12) == bpf_htons(ETH_P_IPV6)) {
		reason = parse_ipv6(ctx, &c, &p);
		if (!reason)
			return balance(ctx, &p);
	}
	return rare(ctx, reason);
}
