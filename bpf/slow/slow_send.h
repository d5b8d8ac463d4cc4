/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The end of the slow path: the same headers as forward.h writes, built in the scratch area (with the VLAN
 * tag of the route, if it has one) and stored in front of the packet, wherever its bytes lie.
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
 * The tag that the packet leaves with, as it is on the wire; 0: none. The route tells, as it does for what
 * the host sends: a tag that the packet came with is of the network that it came by.
 */
static __always_inline __be32 slow_tag(const struct lb_backend *backend)
{
	__u32 port = backend->port;
	__u64 *way;

	if (!(backend->flags & LB_BACKEND_TAGGED))
		return 0;
	way = bpf_map_lookup_elem(&lb_ports, &port);
	return way ? bpf_htonl(lb_port_tag(*way)) : 0;
}

/* The type of the frame: of the outer header, or where there is none of the packet. */
static __always_inline __be16 slow_type(const struct scratch *s, const struct lb_backend *backend)
{
	bool v4 = backend->method == LB_METHOD_IPIP_V4 || backend->method == LB_METHOD_GUE_V4 ||
		  (backend->method == LB_METHOD_L2 && s->p.family == LB_FAMILY_V4);

	return v4 ? bpf_htons(ETH_P_IP) : bpf_htons(ETH_P_IPV6);
}

/* Lays out [addresses][tag][type] in outer[], so that the type ends where it does without a tag. Returns
 * where the frame begins there. */
static __always_inline __u32 slow_ethernet(struct scratch *s, const struct lb_backend *backend, __be32 tag)
{
	__u32 start = tag ? 0 : LB_OUTER_TAG_ROOM;
	__u8 *eth = s->outer + LB_OUTER_TAG_ROOM;

	WORD(s->outer, start) = WORD(backend->eth, 0);
	HALF(s->outer, start + 8) = HALF(backend->eth, 8);
	if (tag)
		HALF(s->outer, 2 * ETH_ALEN) = tag;
	ETH_TYPE(eth) = slow_type(s, backend);
	return start;
}

/* Writes the outer header behind Ethernet's place in outer[]: its bytes. */
static __always_inline __u32 slow_outer(struct scratch *s, struct inner in, const struct lb_vip *vip,
					const struct lb_backend *backend, __u64 hash)
{
	bool gue = backend->method == LB_METHOD_GUE_V4 || backend->method == LB_METHOD_GUE_V6;
	bool v4 = backend->method == LB_METHOD_IPIP_V4 || backend->method == LB_METHOD_GUE_V4;
	__u8 *out = s->outer + LB_OUTER_TAG_ROOM + sizeof(struct ethhdr);
	struct varied v = vary(vip, hash, !v4, gue);
	__u32 outer = v4 ? OUTER_V4 : OUTER_V6;

	if (v4)
		write_outer_v4(out, in, in.length + (gue ? OUTER_UDP : 0), &v, backend);
	else
		write_outer_v6(out, in, in.length + (gue ? OUTER_UDP : 0), &v, backend);
	if (gue)
		write_udp(out + outer, in, &v);
	return gue ? outer + OUTER_UDP : outer;
}

static __always_inline int slow_encapsulate(struct xdp_md *ctx, struct scratch *s, const struct lb_vip *vip,
					    const struct lb_backend *backend, __u64 hash)
{
	__u8 *ip = s->head + (s->l3 & 31);
	struct inner in = { .length = s->length };
	__u32 start, bytes, outer = 0;
	int reason, grow;
	__be32 tag;

	if (s->length > lb_backend_max_len(backend))
		return unfit(backend);
	if (backend->method != LB_METHOD_L2) {
		in.tos = s->p.family == LB_FAMILY_V4 ? IP4_FIELD(ip, tos) : IP6_TRAFFIC(IP6_FIRST(ip));
		reason = slow_spend_ttl(ctx, s);
		if (reason)
			return reason;
		outer = slow_outer(s, in, vip, backend, hash);
	}
	tag = slow_tag(backend);
	start = slow_ethernet(s, backend, tag);
	bytes = LB_OUTER_TAG_ROOM + sizeof(struct ethhdr) + outer - start;
	/* What comes off makes room. The kernel wants an Ethernet header's worth to stay in the frame's first
	 * buffer. */
	grow = (int)(outer + (tag ? VLAN_BYTES : 0)) - (s->tags & 3) * (int)VLAN_BYTES;
	if (grow && bpf_xdp_adjust_head(ctx, -grow))
		return LB_DROP_HEADROOM;
	if (start > LB_OUTER_TAG_ROOM || bytes > LB_OUTER_BYTES - LB_OUTER_TAG_ROOM ||
	    bpf_xdp_store_bytes(ctx, 0, s->outer + start, bytes))
		return LB_DROP_INTERNAL;
	return 0;
}
