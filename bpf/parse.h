/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * IPv4, IPv6, TCP and UDP headers into struct pkt. One function per header; each advances the cursor only on
 * success and returns 0 or an enum lb_reason: the packet is not ours to judge, or a header lies (RFC 791, RFC
 * 8200, RFC 9293, RFC 768: lengths that cannot be). The rare path takes a closer look at either: a liar is
 * dropped if it is for a service of ours and left to the host's stack if not.
 */
#pragma once

#include "packet.h"

#define LB_IP_FRAGMENT 0x3fff /* more fragments, or an offset */

/* True if the frame ends before length bytes from pos on. Parts beyond the linear one are asked for only
 * then. */
static __always_inline bool frame_ends_before(struct xdp_md *ctx, const struct cursor *c, __u32 length)
{
	if (c->pos + length <= c->end)
		return false;
	return bpf_xdp_get_buff_len(ctx) < (__u64)length + sizeof(struct ethhdr);
}

/* room: bytes of the IP packet from the TCP header on. */
static __always_inline int parse_tcp(struct cursor *c, struct pkt *p, __u32 room)
{
	__u32 header;

	if (c->pos + sizeof(struct tcphdr) > c->end)
		return LB_DROP_TCP_HEADER;
	header = BYTE(c->pos, 12) >> 4 << 2;
	if (header < sizeof(struct tcphdr) || header > room)
		return LB_DROP_TCP_HEADER;
	p->sport = SHORT(c->pos, 0);
	p->dport = SHORT(c->pos, 2);
	p->tcp_flags = BYTE(c->pos, 13);
	return 0;
}

static __always_inline int parse_udp(struct cursor *c, struct pkt *p, __u32 room)
{
	__u32 length;

	if (c->pos + sizeof(struct udphdr) > c->end)
		return LB_DROP_UDP_HEADER;
	length = bpf_ntohs(SHORT(c->pos, 4));
	if (length < sizeof(struct udphdr) || length > room)
		return LB_DROP_UDP_HEADER;
	p->sport = SHORT(c->pos, 0);
	p->dport = SHORT(c->pos, 2);
	return 0;
}

static __always_inline int parse_transport(struct cursor *c, struct pkt *p, __u32 room)
{
	if (p->protocol == IPPROTO_TCP)
		return parse_tcp(c, p, room);
	if (p->protocol == IPPROTO_UDP)
		return parse_udp(c, p, room);
	return LB_PASS_PROTOCOL;
}

static __always_inline int parse_ipv4(struct xdp_md *ctx, struct cursor *c, struct pkt *p)
{
	void *ip = c->pos;
	__u32 header, length, first;

	if (ip + sizeof(struct iphdr) > c->end)
		return LB_PASS_MALFORMED;
	first = BYTE(ip, 0);
	if (first >> 4 != 4)
		return LB_PASS_MALFORMED;
	if (SHORT(ip, 6) & bpf_htons(LB_IP_FRAGMENT))
		return LB_PASS_FRAGMENT;
	p->ip = ip;
	p->family = LB_FAMILY_V4;
	p->protocol = BYTE(ip, 9);
	p->saddr[0] = HALF(ip, 12);
	p->daddr[0] = HALF(ip, 16);
	length = bpf_ntohs(SHORT(ip, 2));
	header = (first & 15) * 4;
	if (header < sizeof(struct iphdr) || length < header || frame_ends_before(ctx, c, length))
		return LB_DROP_IP_HEADER;
	c->pos += header;
	return parse_transport(c, p, length - header);
}

static __always_inline int parse_ipv6(struct xdp_md *ctx, struct cursor *c, struct pkt *p)
{
	void *ip = c->pos;
	__u32 length;

	if (ip + sizeof(struct ipv6hdr) > c->end || BYTE(ip, 0) >> 4 != 6)
		return LB_PASS_MALFORMED;
	p->ip = ip;
	p->family = LB_FAMILY_V6;
	p->protocol = BYTE(ip, 6);
	p->saddr[0] = WORD(ip, 8);
	p->saddr[1] = WORD(ip, 16);
	p->daddr[0] = WORD(ip, 24);
	p->daddr[1] = WORD(ip, 32);
	length = bpf_ntohs(SHORT(ip, 4));
	if (length > 0xffff - sizeof(struct ipv6hdr) ||
	    frame_ends_before(ctx, c, length + sizeof(struct ipv6hdr)))
		return LB_DROP_IP_HEADER;
	c->pos += sizeof(struct ipv6hdr);
	return parse_transport(c, p, length);
}
