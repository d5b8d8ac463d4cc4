/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sends a packet to a backend: copies the ready-made outer header in front (or the addresses over the old
 * ones), patches lengths, DSCP and ECN, folds the checksum.
 *
 * IP in IP by RFC 2003 and RFC 2473: the inner TTL is decremented because the packet is forwarded; the outer
 * header does not fragment (DF, identification 0 as RFC 6864 allows). DSCP and ECN are copied out, the normal
 * mode of RFC 6040. The outer source varies with the flow, so that the receiver's RSS spreads; an outer IPv6
 * header carries the flow in its label as well (RFC 6438).
 */
#pragma once

#include "lb/checksum.h"
#include "config.h"
#include "maps.h"
#include "packet.h"

/*
 * What forwarding needs of the inner IP header is read here and now rather than carried along from the
 * parser: the line is in the cache, registers are few.
 */
struct inner {
	__u16 length; /* of the IP packet, without Ethernet padding; host order */
	__u8 tos;     /* ToS or traffic class: DSCP and ECN */
};

static __always_inline struct inner read_inner(const struct pkt *p)
{
	if (p->family == LB_FAMILY_V4)
		return (struct inner){ bpf_ntohs(LB_LOAD(&IP4_FIELD(p->ip, tot_len))),
				       LB_LOAD(&IP4_FIELD(p->ip, tos)) };
	return (struct inner){ bpf_ntohs(LB_LOAD(&IP6_FIELD(p->ip, payload_len))) + sizeof(struct ipv6hdr),
			       IP6_TRAFFIC(LB_LOAD(&IP6_FIRST(p->ip))) };
}

/* The inner packet is forwarded: one less TTL. 0 or a reason. */
static __always_inline int spend_ttl(const struct pkt *p)
{
	if (p->family == LB_FAMILY_V4) {
		__u32 word = LB_LOAD(&IP4_TTL_WORD(p->ip));
		__u32 check = (word >> 16) + 1; /* RFC 1624: TTL is the low byte of its word in memory */

		if ((word & 0xff) <= 1)
			return LB_SELDOM(LB_DROP_TTL);
		check += check >= 0xffff;
		IP4_TTL_WORD(p->ip) = ((word - 1) & 0xffff) | check << 16;
	} else {
		__u8 ttl = LB_LOAD(&IP6_FIELD(p->ip, hop_limit));

		if (ttl <= 1)
			return LB_SELDOM(LB_DROP_TTL);
		IP6_FIELD(p->ip, hop_limit) = ttl - 1;
	}
	return 0;
}

static __always_inline void write_ethernet(void *data, const struct lb_backend *backend)
{
	WORD(data, 0) = WORD(backend->eth, 0);
	WORD(data, ETH_ALEN) = WORD(backend->eth, ETH_ALEN); /* two bytes once more, the same */
}

#define IP4_SECOND offsetof(struct iphdr, ttl) /* the header as words of 8 bytes: TTL to source */

/*
 * The outer IPv4 header at ip, from the template. inside: bytes that it carries. The template's check holds
 * the folded sum of the rest; what varies is added here.
 */
static __always_inline void write_outer_v4(void *ip, struct inner in, __u32 inside, const struct lb_vip *vip,
					   const struct lb_backend *backend, __u64 hash)
{
	__u16 length = bpf_htons(inside + sizeof(struct iphdr));
	__u32 vary = (hash >> 32) & vip->source_mask_v4;
	__u64 low = WORD(backend->ip, 0), high = WORD(backend->ip, IP4_SECOND);
	__u32 sum = (__u16)(high >> 16) + ((__u32)in.tos << 8) + length;

	sum = lb_csum_add32(sum, vary);
	high = (high & ~0xffff0000ull) | (__u64)(__u16)~lb_csum_fold(sum) << 16;
	WORD(ip, 0) = low | (__u32)in.tos << 8 | (__u64)length << 16;
	WORD(ip, IP4_SECOND) = high | (__u64)vary << 32;
	IP4_FIELD(ip, daddr) = IP4_FIELD(backend->ip, daddr);
}

static __always_inline void write_outer_v6(void *ip, struct inner in, __u32 inside, const struct lb_vip *vip,
					   const struct lb_backend *backend, __u64 hash)
{
	__u32 vary = (hash >> 32) & vip->source_mask_v6;
	__u32 label = (hash >> 32) & 0xfffff;
	__u64 low = WORD(backend->ip, 0) | bpf_htonl((__u32)in.tos << 20 | label);

	WORD(ip, 0) = low | (__u64)bpf_htons(inside) << 32;
	WORD(&IP6_FIELD(ip, saddr), 0) = WORD(&IP6_FIELD(backend->ip, saddr), 0);
	WORD(&IP6_FIELD(ip, saddr), 8) = WORD(&IP6_FIELD(backend->ip, saddr), 8) | (__u64)vary << 32;
	WORD(&IP6_FIELD(ip, daddr), 0) = WORD(&IP6_FIELD(backend->ip, daddr), 0);
	WORD(&IP6_FIELD(ip, daddr), 8) = WORD(&IP6_FIELD(backend->ip, daddr), 8);
}

/*
 * UDP for GUE variant 1 (draft-ietf-intarea-gue, section 3): the packet follows at once, its first bits say
 * its version. The source port, of the dynamic range (RFC 6335), varies with the flow; no checksum: RFC 768
 * for IPv4, RFC 6935 and RFC 6936 for a tunnel over IPv6, whose inner packet has its own.
 */
static __always_inline __be16 gue_source(__u64 hash)
{
	return bpf_htons(0xc000 | (hash >> 16 & 0x3fff));
}

static __always_inline void write_udp(void *udp, struct inner in, const struct lb_vip *vip, __u64 hash)
{
	__u16 source = gue_source(hash);
	__u16 length = bpf_htons(in.length + sizeof(struct udphdr));

	WORD(udp, 0) = (__u64)source | (__u64)vip->gue_port << 16 | (__u64)length << 32;
}

#define OUTER_V4             (sizeof(struct iphdr))
#define OUTER_V6             (sizeof(struct ipv6hdr))
#define OUTER_UDP            (sizeof(struct udphdr))
#define OUTER_BYTES(v6, gue) (((v6) ? OUTER_V6 : OUTER_V4) + ((gue) ? OUTER_UDP : 0))

/* How packets are wrapped: X(method, outer header is of IPv6, with UDP for GUE). */
#define ENCAPSULATIONS(X)                                                                                    \
	X(LB_METHOD_IPIP_V4, false, false)                                                                   \
	X(LB_METHOD_IPIP_V6, true, false)                                                                    \
	X(LB_METHOD_GUE_V4, false, true)                                                                     \
	X(LB_METHOD_GUE_V6, true, true)

/* Ethernet and outer headers at data, where there is room for them. v6 and gue: constants. */
static __always_inline void write_outer(void *data, struct inner in, const struct lb_vip *vip,
					const struct lb_backend *backend, __u64 hash, bool v6, bool gue)
{
	const __u32 inside = in.length + (gue ? OUTER_UDP : 0);

	write_ethernet(data, backend);
	data += sizeof(struct ethhdr);
	if (v6)
		write_outer_v6(data, in, inside, vip, backend, hash);
	else
		write_outer_v4(data, in, inside, vip, backend, hash);
	if (gue)
		write_udp(data + OUTER_BYTES(v6, false), in, vip, hash);
}

/* The MAC addresses alone: data has an Ethernet header. */
static __always_inline void write_l2(void *data, const struct lb_backend *backend)
{
	HALF(data, 0) = HALF(backend->eth, 0);
	WORD(data, 4) = WORD(backend->eth, 4);
}

/* Makes room in front: the frame's new beginning, with Ethernet and outer bytes readable. 0 or a reason. */
static __always_inline int grow(struct xdp_md *ctx, int outer, void **ret_data)
{
	void *data;

	if (bpf_xdp_adjust_head(ctx, -outer))
		return LB_SELDOM(LB_DROP_HEADROOM);
	data = (void *)(long)ctx->data;
	if (data + sizeof(struct ethhdr) + outer > (void *)(long)ctx->data_end)
		return LB_SELDOM(LB_DROP_INTERNAL);
	*ret_data = data;
	return 0;
}

static __always_inline int forward_wrapped(struct xdp_md *ctx, struct inner in, const struct lb_vip *vip,
					   const struct lb_backend *backend, __u64 hash, bool v6, bool gue)
{
	void *data = NULL;
	int reason = grow(ctx, OUTER_BYTES(v6, gue), &data);

	if (reason)
		return reason;
	write_outer(data, in, vip, backend, hash, v6, gue);
	return 0;
}

/* A balancer that rewrites the addresses of one link acts as a bridge: the TTL stays. */
static __always_inline int forward_l2(struct xdp_md *ctx, const struct lb_backend *backend)
{
	void *data = (void *)(long)ctx->data;

	if (data + sizeof(struct ethhdr) > (void *)(long)ctx->data_end)
		return LB_SELDOM(LB_DROP_INTERNAL);
	write_l2(data, backend);
	return 0;
}

/* Why a packet that is too long for the record is not forwarded. One without a way takes none. */
static __always_inline int unfit(const struct lb_backend *backend)
{
	if (backend->method == LB_METHOD_NONE)
		return LB_DROP_NEXTHOP;
	return backend->method == LB_METHOD_LOCAL ? LB_PASS_LOCAL : LB_DROP_TOO_BIG;
}

/* Makes the packet, which fits, what the backend expects. 0 or a reason. */
static __always_inline int encapsulate(struct xdp_md *ctx, const struct pkt *p, struct inner in,
				       const struct lb_vip *vip, const struct lb_backend *backend, __u64 hash)
{
	int reason;

	if (backend->method == LB_METHOD_L2)
		return forward_l2(ctx, backend);
	reason = spend_ttl(p);
	if (reason)
		return reason;
	switch (backend->method) {
#define X(method, v6, gue)                                                                                   \
	case method:                                                                                         \
		return forward_wrapped(ctx, in, vip, backend, hash, v6, gue);
		ENCAPSULATIONS(X)
#undef X
	}
	return LB_SELDOM(LB_DROP_NEXTHOP);
}

/* By the interface it came in on, or by another. */
static __always_inline bool leaves_here(struct xdp_md *ctx, const struct lb_backend *backend)
{
	__u64 *ifindex;
	__u32 port;

	if (!lb_several_interfaces)
		return backend->flags & LB_BACKEND_TX;
	port = LB_LOAD(&backend->port); /* not sooner */
	ifindex = bpf_map_lookup_elem(&lb_ports, &port);
	return ifindex && lb_port_ifindex(*ifindex) == ctx->ingress_ifindex;
}
