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
	__u32 length; /* of the IP packet, without Ethernet padding; host order */
	__u8 tos;     /* ToS or traffic class: DSCP and ECN */
};

static __always_inline __u32 inner_length(const struct pkt *p)
{
	if (p->family == LB_FAMILY_V4)
		return bpf_ntohs(LB_LOAD(&IP4_FIELD(p->ip, tot_len)));
	return bpf_ntohs(LB_LOAD(&IP6_FIELD(p->ip, payload_len))) + sizeof(struct ipv6hdr);
}

static __always_inline struct inner read_inner(const struct pkt *p)
{
	return (struct inner){ .length = inner_length(p),
			       .tos = p->family == LB_FAMILY_V4 ? LB_LOAD(&IP4_FIELD(p->ip, tos))
								: IP6_TRAFFIC(LB_LOAD(&IP6_FIRST(p->ip))) };
}

/* The inner packet is forwarded: one less TTL. 0 or a reason. */
static __always_inline int spend_ttl(const struct pkt *p)
{
	if (p->family == LB_FAMILY_V4) {
		/* TTL is its low byte, the check its upper half. */
		__u32 word = LB_LOAD(&IP4_TTL_WORD(p->ip)), spent;

		if ((word & 0xff) <= 1)
			return LB_SELDOM(LB_DROP_TTL);
		/* RFC 1624: one less there is one more here, and what is carried out of the upper half goes
		 * round. */
		spent = word + (1 << 16) - 1;
		if (word >= 0xfffe0000) {
			spent += 1 << 16;
			LB_HIDE(spent); /* a jump that is not taken costs less than a choice */
		}
		IP4_TTL_WORD(p->ip) = spent;
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
 * What an outer header has of the flow, so that whoever receives it can spread flows by it: made before there
 * is room for the header, for then neither hash nor service have to be kept until there is.
 */
struct varied {
	__u32 source;    /* bits of the source, of its last 4 bytes */
	__be32 label;    /* of an IPv6 header */
	__be16 port;     /* GUE's source: gue_source() */
	__be16 gue_port; /* its destination */
};

/* Of the dynamic range (RFC 6335). */
static __always_inline __be16 gue_source(__u64 hash)
{
	return bpf_htons(0xc000 | (hash >> 16 & 0x3fff));
}

#define IP6_LABEL bpf_htonl(0xfffff)

/* v6, gue: which header it is for. */
static __always_inline struct varied vary(const struct lb_vip *vip, __u64 hash, bool v6, bool gue)
{
	struct varied v = { .source = (hash >> 32) & (v6 ? vip->source_mask_v6 : vip->source_mask_v4) };

	if (v6)
		v.label = (hash >> 32) & IP6_LABEL;
	if (gue) {
		v.port = gue_source(hash);
		v.gue_port = vip->gue_port;
	}
	return v;
}

/*
 * The outer IPv4 header at ip, from the template. inside: bytes that it carries. The template's check holds
 * the folded sum of the rest; what varies is added here.
 */
static __always_inline void write_outer_v4(void *ip, struct inner in, __u32 inside, const struct varied *v,
					   const struct lb_backend *backend)
{
	__u16 length = bpf_htons(inside + sizeof(struct iphdr));
	__u64 sum = (__u64)IP4_FIELD(backend->ip, check) + ((__u32)in.tos << 8) + length + v->source;

	WORD(ip, 0) = WORD(backend->ip, 0) | (__u32)in.tos << 8 | (__u64)length << 16;
	WORD(ip, IP4_SECOND) = WORD(backend->ip, IP4_SECOND) | (__u64)v->source << 32;
	IP4_FIELD(ip, daddr) = IP4_FIELD(backend->ip, daddr);
	IP4_FIELD(ip, check) = ~lb_csum_fold(sum);
}

static __always_inline void write_outer_v6(void *ip, struct inner in, __u32 inside, const struct varied *v,
					   const struct lb_backend *backend)
{
	__u64 first = bpf_htonl((__u32)in.tos << 20) | v->label | (__u64)bpf_htons(inside) << 32;

	WORD(ip, 0) = WORD(backend->ip, 0) | first;
	WORD(&IP6_FIELD(ip, saddr), 0) = WORD(&IP6_FIELD(backend->ip, saddr), 0);
	WORD(&IP6_FIELD(ip, saddr), 8) = WORD(&IP6_FIELD(backend->ip, saddr), 8) | (__u64)v->source << 32;
	WORD(&IP6_FIELD(ip, daddr), 0) = WORD(&IP6_FIELD(backend->ip, daddr), 0);
	WORD(&IP6_FIELD(ip, daddr), 8) = WORD(&IP6_FIELD(backend->ip, daddr), 8);
}

/*
 * UDP for GUE variant 1 (draft-ietf-intarea-gue, section 3): the packet follows at once, its first bits say
 * its version. No checksum: RFC 768 for IPv4, RFC 6935 and RFC 6936 for a tunnel over IPv6, whose inner
 * packet has its own.
 */
static __always_inline void write_udp(void *udp, struct inner in, const struct varied *v)
{
	__u16 length = bpf_htons(in.length + sizeof(struct udphdr));

	WORD(udp, 0) = (__u64)v->port | (__u64)v->gue_port << 16 | (__u64)length << 32;
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
static __always_inline void write_outer(void *data, struct inner in, const struct varied *v,
					const struct lb_backend *backend, bool v6, bool gue)
{
	const __u32 inside = in.length + (gue ? OUTER_UDP : 0);

	write_ethernet(data, backend);
	data += sizeof(struct ethhdr);
	if (v6)
		write_outer_v6(data, in, inside, v, backend);
	else
		write_outer_v4(data, in, inside, v, backend);
	if (gue)
		write_udp(data + OUTER_BYTES(v6, false), in, v);
}

/* The MAC addresses alone: data has an Ethernet header. */
static __always_inline void write_l2(void *data, const struct lb_backend *backend)
{
	HALF(data, 0) = HALF(backend->eth, 0);
	WORD(data, 4) = WORD(backend->eth, 4);
}

/* Makes room in front: the frame's new beginning; all headers of IP can be read there. 0 or a reason. */
static __always_inline int grow(struct xdp_md *ctx, int outer, void **ret_data)
{
	void *data;

	if (bpf_xdp_adjust_head(ctx, -outer))
		return LB_SELDOM(LB_DROP_HEADROOM);
	data = (void *)(long)ctx->data;
	if (data + sizeof(struct ethhdr) + outer + sizeof(struct iphdr) > (void *)(long)ctx->data_end)
		return LB_SELDOM(LB_DROP_INTERNAL);
	*ret_data = data;
	return 0;
}

/* Wraps a packet of this family, which fits. 0 or a reason. */
static __always_inline int wrap(struct xdp_md *ctx, __u8 family, const struct varied *v,
				const struct lb_backend *backend, bool v6, bool gue)
{
	struct pkt moved = { .family = family };
	void *data = NULL;
	int reason = grow(ctx, OUTER_BYTES(v6, gue), &data);

	if (reason)
		return reason;
	moved.ip = data + sizeof(struct ethhdr) + OUTER_BYTES(v6, gue);
	write_outer(data, read_inner(&moved), v, backend, v6, gue);
	return 0;
}

/* Why a packet that is too long for the record is not forwarded. One without a way takes none. */
static __always_inline int unfit(const struct lb_backend *backend)
{
	if (backend->method == LB_METHOD_NONE)
		return LB_DROP_NEXTHOP;
	return backend->method == LB_METHOD_LOCAL ? LB_PASS_LOCAL : LB_DROP_TOO_BIG;
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
