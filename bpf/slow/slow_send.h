/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The end of the slow path: the same headers as forward.h writes, built in the scratch area (with the frame's
 * VLAN tags, where it leaves by the link that they are of) and stored in front of the packet, wherever its
 * bytes lie.
 */
#pragma once

#include "slow/slow.h"

/* One less TTL, in the frame. 0 or a reason. */
static __always_inline int slow_spend_ttl(struct xdp_md *ctx, struct scratch *s)
{
	__u8 *ip = s->head + (s->l3 & 31);
	struct pkt p = { .ip = ip, .family = s->p.family };
	int reason = spend_ttl(&p);

	if (reason)
		return reason;
	if (s->p.family == LB_FAMILY_V4)
		return bpf_xdp_store_bytes(ctx, s->l3 + offsetof(struct iphdr, ttl), &IP4_TTL_WORD(ip), 4)
			       ? LB_DROP_INTERNAL
			       : 0;
	return bpf_xdp_store_bytes(ctx, s->l3 + offsetof(struct ipv6hdr, hop_limit),
				   &IP6_FIELD(ip, hop_limit), 1)
		       ? LB_DROP_INTERNAL
		       : 0;
}

/*
 * A tag is of the link that it came by: on another one it would be of somebody else's network, or of none. So
 * tags stay on what goes back, and come off what leaves by another link, which the route there wants
 * untagged.
 */
static __always_inline __u8 slow_tags_out(struct xdp_md *ctx, const struct scratch *s,
					  const struct lb_backend *backend)
{
	return leaves_here(ctx, backend) ? s->tags : 0;
}

/* The two MAC addresses in place, tags behind them untouched or gone. */
static __always_inline int slow_l2(struct xdp_md *ctx, struct scratch *s, const struct lb_backend *backend)
{
	write_ethernet(s->outer, backend);
	if (s->tags_out != s->tags) {
		/* The kernel wants an Ethernet header's worth to stay in the frame's first buffer. */
		if (bpf_xdp_adjust_head(ctx, (s->tags & 3) * 4))
			return LB_DROP_HEADROOM;
		return bpf_xdp_store_bytes(ctx, 0, s->outer, sizeof(struct ethhdr)) ? LB_DROP_INTERNAL : 0;
	}
	return bpf_xdp_store_bytes(ctx, 0, s->outer, 12) ? LB_DROP_INTERNAL : 0;
}

/*
 * Lays out [addresses][tags][type][outer IP][UDP] in outer[]: the Ethernet header is built behind room for
 * two tags, then its addresses move forward by what the tags need. Returns where the frame begins in outer[].
 */
static __always_inline __u32 slow_ethernet(struct scratch *s, const struct lb_backend *backend)
{
	__u32 start;
	__u8 *eth = s->outer + LB_OUTER_TAGS_ROOM;
	__be16 type;

	write_ethernet(eth, backend);
	if (!s->tags_out || s->tags_out > LB_VLAN_TAGS)
		return LB_OUTER_TAGS_ROOM;
	type = ETH_TYPE(eth);
	start = s->tags_out == 1 ? 4 : 0;
	WORD(s->outer, start) = WORD(backend->eth, 0);
	HALF(s->outer, start + 8) = HALF(backend->eth, 8);
	/* Tags as they came, each with the type in front of it. */
	HALF(s->outer, start + 12) = HALF(s->head, 12);
	if (s->tags_out == 2)
		HALF(s->outer, start + 16) = HALF(s->head, 16);
	ETH_TYPE(eth) = type;
	return start;
}

static __always_inline int slow_encapsulate(struct xdp_md *ctx, struct scratch *s, const struct lb_vip *vip,
					    const struct lb_backend *backend, __u64 hash)
{
	__u8 *ip = s->head + (s->l3 & 31), *out = s->outer + LB_OUTER_TAGS_ROOM + sizeof(struct ethhdr);
	__u32 start, outer, bytes;
	struct inner in = { .length = s->length };
	bool v4, gue;
	int reason;

	if (s->length > backend->max_len)
		return unfit(backend);
	s->tags_out = slow_tags_out(ctx, s, backend);
	if (backend->method == LB_METHOD_L2)
		return slow_l2(ctx, s, backend);
	in.tos = s->p.family == LB_FAMILY_V4 ? IP4_FIELD(ip, tos) : IP6_TRAFFIC(IP6_FIRST(ip));
	reason = slow_spend_ttl(ctx, s);
	if (reason)
		return reason;
	v4 = backend->method == LB_METHOD_IPIP_V4 || backend->method == LB_METHOD_GUE_V4;
	gue = backend->method == LB_METHOD_GUE_V4 || backend->method == LB_METHOD_GUE_V6;
	outer = v4 ? OUTER_V4 : OUTER_V6;
	start = slow_ethernet(s, backend);
	if (v4) {
		write_outer_v4(out, in, in.length + (gue ? OUTER_UDP : 0), vip, backend, hash);
		if (gue)
			write_udp(out + OUTER_V4, in, vip, hash);
	} else {
		write_outer_v6(out, in, in.length + (gue ? OUTER_UDP : 0), vip, backend, hash);
		if (gue)
			write_udp(out + OUTER_V6, in, vip, hash);
	}
	if (gue)
		outer += OUTER_UDP;
	/* What comes off makes room as well. */
	if (bpf_xdp_adjust_head(ctx, ((s->tags - s->tags_out) & 3) * 4 - (int)outer))
		return LB_DROP_HEADROOM;
	bytes = LB_OUTER_TAGS_ROOM + sizeof(struct ethhdr) + outer - start;
	if (start > LB_OUTER_TAGS_ROOM || bytes > LB_OUTER_BYTES - LB_OUTER_TAGS_ROOM ||
	    bpf_xdp_store_bytes(ctx, 0, s->outer + start, bytes))
		return LB_DROP_INTERNAL;
	return 0;
}
