/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packet path: parse -> service -> select -> forward -> count. One decision is made in one generation:
 * the active word is read once, and everything below it is immutable while it can be seen.
 */
#pragma once

#include "balance.h"
#include "parse.h"
#include "slow/slow_path.h"
#include "station.h"

/* What there is to say of a packet that is not in plain form: an enum lb_reason, or 0. */
LB_SUBPROGRAM int parse_any(struct xdp_md *ctx)
{
	struct cursor c = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	struct pkt p = {};
	void *eth = c.pos;

	c.pos += sizeof(struct ethhdr);
	if (c.pos > c.end)
		return LB_PASS_MALFORMED;
	if (ETH_TYPE(eth) == bpf_htons(ETH_P_IP))
		return parse_ipv4(ctx, &c, &p);
	if (ETH_TYPE(eth) == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(ctx, &c, &p);
	return LB_PASS_NOT_IP;
}

/* What becomes of a packet, as an XDP action. */
static __always_inline int ingress(struct xdp_md *ctx)
{
	struct cursor c = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	struct pkt p = {};
	void *eth = c.pos;
	__u64 destination;
	__be16 type;
	int reason;

	c.pos += sizeof(struct ethhdr);
	if (c.pos > c.end)
		return finish_slow(ctx, LB_PASS_MALFORMED);
	destination = destination_of(eth);
	if (!is_first_station(ctx, destination) && !station_is_ours(ctx, destination))
		return is_group(destination) ? finish_neighbor(ctx, LB_PASS_MULTICAST)
					     : finish_slow(ctx, LB_PASS_OTHER_HOST);
	type = ETH_TYPE(eth);
	if (type == bpf_htons(ETH_P_IP) && plain_ipv4(ctx, &c, &p))
		return balance(ctx, &p);
	if (type == bpf_htons(ETH_P_IPV6) && !parse_ipv6(ctx, &c, &p))
		return balance(ctx, &p);
	reason = parse_any(ctx);
	return reason ? slow_path(ctx, reason) : balance_again(ctx);
}
