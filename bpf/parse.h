/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * IPv4, IPv6, TCP and UDP headers into struct pkt, twice: plain_*() (plain.h) for the form that nearly all
 * packets have, with everything at an offset known beforehand; parse_*() for the rest, which say what is the
 * matter.
 * A header may be bad (RFC 791, RFC 8200, RFC 9293, RFC 768: lengths that cannot be): the slow path takes a
 * closer look, a liar is dropped if it is for a service of ours and left to the host's stack if not.
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

static __always_inline void read_ipv4(void *ip, struct pkt *p)
{
	p->ip = ip;
	p->family = LB_FAMILY_V4;
	p->protocol = IP4_FIELD(ip, protocol);
	p->saddr[0] = IP4_FIELD(ip, saddr);
	p->daddr[0] = IP4_FIELD(ip, daddr);
}

static __always_inline void read_ipv6(void *ip, struct pkt *p)
{
	p->ip = ip;
	p->family = LB_FAMILY_V6;
	p->protocol = IP6_FIELD(ip, nexthdr);
	p->saddr[0] = WORD(&IP6_FIELD(ip, saddr), 0);
	p->saddr[1] = WORD(&IP6_FIELD(ip, saddr), 8);
	p->daddr[0] = WORD(&IP6_FIELD(ip, daddr), 0);
	p->daddr[1] = WORD(&IP6_FIELD(ip, daddr), 8);
}

static __always_inline void read_ports(void *l4, struct pkt *p)
{
	p->sport = UDP_FIELD(l4, source); /* TCP begins with them as well */
	p->dport = UDP_FIELD(l4, dest);
}

/* room: bytes of the IP packet from the TCP or UDP header on. 0 or an enum lb_reason. */
static __always_inline int parse_tcp(void *tcp, const void *end, struct pkt *p, __u32 room)
{
	__u32 header;

	if (tcp + sizeof(struct tcphdr) > end)
		return LB_DROP_TCP_HEADER;
	header = TCP_HEADER(tcp);
	if (header < sizeof(struct tcphdr) || header > room)
		return LB_DROP_TCP_HEADER;
	read_ports(tcp, p);
	p->tcp_flags = BYTE(tcp, TCP_FLAGS);
	return 0;
}

static __always_inline int parse_udp(void *udp, const void *end, struct pkt *p, __u32 room)
{
	__u32 length;

	if (udp + sizeof(struct udphdr) > end)
		return LB_DROP_UDP_HEADER;
	length = bpf_ntohs(UDP_FIELD(udp, len));
	if (length < sizeof(struct udphdr) || length > room)
		return LB_DROP_UDP_HEADER;
	read_ports(udp, p);
	return 0;
}

static __always_inline int parse_transport(void *l4, const void *end, struct pkt *p, __u32 room)
{
	if (p->protocol == IPPROTO_TCP)
		return parse_tcp(l4, end, p, room);
	if (p->protocol == IPPROTO_UDP)
		return parse_udp(l4, end, p, room);
	return LB_PASS_PROTOCOL;
}

/* 0 or an enum lb_reason. */
static __always_inline int parse_ipv4(struct xdp_md *ctx, const struct cursor *c, struct pkt *p)
{
	__u32 header, length;
	void *ip = c->pos;

	if (ip + sizeof(struct iphdr) > c->end)
		return LB_PASS_MALFORMED;
	if (IP_VERSION(ip) != 4)
		return LB_PASS_MALFORMED;
	if (IP4_FIELD(ip, frag_off) & bpf_htons(LB_IP_FRAGMENT))
		return LB_PASS_FRAGMENT;
	read_ipv4(ip, p);
	length = bpf_ntohs(IP4_FIELD(ip, tot_len));
	header = IP4_HEADER(ip);
	if (header < sizeof(struct iphdr) || length < header || frame_ends_before(ctx, c, length))
		return LB_DROP_IP_HEADER;
	return parse_transport(ip + header, c->end, p, length - header);
}

/* 0 or an enum lb_reason. Without extension headers, IPv6 is plain. */
static __always_inline int parse_ipv6(struct xdp_md *ctx, const struct cursor *c, struct pkt *p)
{
	void *ip = c->pos;
	__u32 length;

	if (ip + sizeof(struct ipv6hdr) > c->end || IP_VERSION(ip) != 6)
		return LB_PASS_MALFORMED;
	read_ipv6(ip, p);
	length = bpf_ntohs(IP6_FIELD(ip, payload_len));
	if (length > 0xffff - sizeof(struct ipv6hdr) ||
	    frame_ends_before(ctx, c, length + sizeof(struct ipv6hdr)))
		return LB_DROP_IP_HEADER;
	return parse_transport(ip + sizeof(struct ipv6hdr), c->end, p, length);
}

/*
 * The fields of a packet that was parsed before and was plain. Never false; the verifier wants to see why.
 */
static __always_inline bool read_again(const struct cursor *c, struct pkt *p)
{
	void *ip = c->pos, *l4 = ip + sizeof(struct iphdr);

	if (l4 > c->end)
		return false;
	if (ETH_TYPE(ip - sizeof(struct ethhdr)) == bpf_htons(ETH_P_IP)) {
		read_ipv4(ip, p);
	} else {
		l4 = ip + sizeof(struct ipv6hdr);
		if (l4 > c->end)
			return false;
		read_ipv6(ip, p);
	}
	if (l4 + sizeof(struct udphdr) > c->end)
		return false;
	read_ports(l4, p);
	if (p->protocol == IPPROTO_TCP) {
		if (l4 + sizeof(struct tcphdr) > c->end)
			return false;
		p->tcp_flags = BYTE(l4, TCP_FLAGS);
	}
	return true;
}
