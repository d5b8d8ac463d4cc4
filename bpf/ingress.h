/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packet path: parse -> service -> select -> forward -> count. One decision is made in one generation:
 * the active word is read once, and everything below it is immutable while it can be seen.
 */
#pragma once

#include "balance.h"
#include "parse.h"
#include "slow/slow_path.h"

/* What there is to say of a packet that is not in plain form: an enum lb_reason, or 0. */
LB_SUBPROGRAM int parse_any(struct xdp_md *ctx)
{
	struct cursor c = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	struct pkt p = {};
	void *eth = c.pos;

	c.pos += sizeof(struct ethhdr);
	if (c.pos > c.end)
		return LB_PASS_MALFORMED;
	if (BYTE(eth, 0) & 1)
		return LB_PASS_MULTICAST;
	if (SHORT(eth, 12) == bpf_htons(ETH_P_IP))
		return parse_ipv4(ctx, &c, &p);
	if (SHORT(eth, 12) == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(ctx, &c, &p);
	return LB_PASS_NOT_IP;
}

/* What becomes of a packet, as an XDP action. */
static __always_inline int ingress(struct xdp_md *ctx)
{
	struct cursor c = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	struct pkt p = {};
	void *eth = c.pos;
	int reason;

	c.pos += sizeof(struct ethhdr);
	if (c.pos <= c.end && !(BYTE(eth, 0) & 1)) {
		if (SHORT(eth, 12) == bpf_htons(ETH_P_IP) && plain_ipv4(ctx, &c, &p))
			return balance(ctx, &p);
		if (SHORT(eth, 12) == bpf_htons(ETH_P_IPV6) && !parse_ipv6(ctx, &c, &p))
			return balance(ctx, &p);
	}
	reason = parse_any(ctx);
	if (!reason)
		return balance_again(ctx);
	return reason == LB_PASS_MULTICAST ? finish_slow(ctx, reason) : slow_path(ctx, reason);
}
