/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packet path: parse -> service -> select -> forward -> count. One decision is made in one generation:
 * the active word is read once, and everything below it is immutable while it can be seen.
 */
#pragma once

#include "balance.h"
#include "plain.h"
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

/* A frame to somebody else, or to several. */
static __always_inline int ingress_other(struct xdp_md *ctx, __u64 destination)
{
	return is_group(destination) ? finish_neighbor(ctx, LB_PASS_MULTICAST)
				     : finish_slow(ctx, LB_PASS_OTHER_HOST);
}

static __always_inline bool is_ours(struct xdp_md *ctx, __u64 destination)
{
	return is_first_station(ctx, destination) || station_is_ours(ctx, destination);
}

/* What is not in plain form: the long way, which says what is the matter. */
static __always_inline int ingress_any(struct xdp_md *ctx)
{
	int reason = parse_any(ctx);

	return reason ? slow_path(ctx, reason) : balance_again(ctx);
}

/* What is shorter than any packet in plain form. */
static __always_inline int ingress_short(struct xdp_md *ctx, const struct cursor *c)
{
	__u64 destination;

	if (c->pos + sizeof(struct ethhdr) > c->end)
		return finish_slow(ctx, LB_PASS_MALFORMED);
	destination = destination_of(c->pos);
	return is_ours(ctx, destination) ? ingress_any(ctx) : ingress_other(ctx, destination);
}

/* A packet whose IP header is plain; made once for each family and protocol, so that each has only its own.
 */
static __always_inline int ingress_plain(struct xdp_md *ctx, const struct cursor *c, __u8 family,
					 __u8 protocol, int room)
{
	struct pkt p = { .ip = c->pos, .family = family, .protocol = protocol };

	if (!plain_transport(c, &p, room))
		return ingress_any(ctx);
	return lb_flat_slots ? balance(ctx, &p, true) : balance(ctx, &p, false);
}

/* What becomes of a packet, as an XDP action. */
static __always_inline int ingress(struct xdp_md *ctx)
{
	struct cursor c = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	void *eth = c.pos;
	__u64 destination;
	__u8 protocol;
	int room;

	if (eth + PLAIN_BYTES > c.end)
		return ingress_short(ctx, &c);
	destination = destination_of(eth);
	if (!is_ours(ctx, destination))
		return ingress_other(ctx, destination);
	c.pos += sizeof(struct ethhdr);
	if (ETH_TYPE(eth) == bpf_htons(ETH_P_IP) && plain_ipv4(ctx, &c, &room)) {
		protocol = IP4_FIELD(c.pos, protocol);
		if (protocol == IPPROTO_TCP)
			return ingress_plain(ctx, &c, LB_FAMILY_V4, IPPROTO_TCP, room);
		if (protocol == IPPROTO_UDP)
			return ingress_plain(ctx, &c, LB_FAMILY_V4, IPPROTO_UDP, room);
	} else if (ETH_TYPE(eth) == bpf_htons(ETH_P_IPV6) && plain_ipv6(ctx, &c, &room)) {
		protocol = IP6_FIELD(c.pos, nexthdr);
		if (protocol == IPPROTO_TCP)
			return ingress_plain(ctx, &c, LB_FAMILY_V6, IPPROTO_TCP, room);
		if (protocol == IPPROTO_UDP)
			return ingress_plain(ctx, &c, LB_FAMILY_V6, IPPROTO_UDP, room);
	}
	return ingress_any(ctx);
}
