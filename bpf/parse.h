/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ethernet, IPv4, IPv6, TCP and UDP headers into struct pkt. One function per header; each advances the
 * cursor only on success and returns 0 or an enum lb_reason.
 *
 * A header that lies (RFC 791, RFC 8200, RFC 9293, RFC 768: lengths that cannot be) does not stop the parse
 * as long as ports can be read: pkt.lie keeps the reason, so that the packet is dropped if it turns out to be
 * for a service of ours and is left to the host's stack if not.
 */
#pragma once

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>

#include "lb/reasons.h"
#include "packet.h"

#define LB_IP_FRAGMENT 0x3fff /* more fragments, or an offset */

/* True if the frame ends before length bytes from pos on. Parts beyond the linear one are asked for only
 * then. */
static __always_inline bool frame_ends_before(struct xdp_md *ctx, const struct cursor *c, __u16 length)
{
	if (c->pos + length <= c->end)
		return false;
	return bpf_xdp_get_buff_len(ctx) < (__u64)length + sizeof(struct ethhdr);
}

static __always_inline int parse_ports(struct cursor *c, struct pkt *p)
{
	__be16 *ports = c->pos;

	if ((void *)(ports + 2) > c->end)
		return LB_PASS_MALFORMED;
	p->sport = ports[0];
	p->dport = ports[1];
	return 0;
}

/* room: bytes of the IP packet from the TCP header on. */
static __always_inline int parse_tcp(struct cursor *c, struct pkt *p, __u32 room)
{
	struct tcphdr *tcp = c->pos;

	if ((void *)(tcp + 1) > c->end) {
		p->lie = p->lie ?: LB_DROP_TCP_HEADER;
		return parse_ports(c, p);
	}
	if (tcp->doff < 5 || tcp->doff * 4u > room)
		p->lie = p->lie ?: LB_DROP_TCP_HEADER;
	p->sport = tcp->source;
	p->dport = tcp->dest;
	p->syn = tcp->syn && !tcp->ack;
	p->closing = tcp->fin || tcp->rst;
	return 0;
}

static __always_inline int parse_udp(struct cursor *c, struct pkt *p, __u32 room)
{
	struct udphdr *udp = c->pos;
	__u16 length;

	if ((void *)(udp + 1) > c->end) {
		p->lie = p->lie ?: LB_DROP_UDP_HEADER;
		return parse_ports(c, p);
	}
	length = bpf_ntohs(udp->len);
	if (length < sizeof(*udp) || length > room)
		p->lie = p->lie ?: LB_DROP_UDP_HEADER;
	p->sport = udp->source;
	p->dport = udp->dest;
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
	struct iphdr *ip = c->pos;
	__u32 header;

	if ((void *)(ip + 1) > c->end || ip->version != 4)
		return LB_PASS_MALFORMED;
	p->family = LB_FAMILY_V4;
	p->protocol = ip->protocol;
	p->tos = ip->tos;
	p->ttl = ip->ttl;
	p->saddr[0] = ip->saddr;
	p->daddr[0] = ip->daddr;
	p->length = bpf_ntohs(ip->tot_len);
	if (ip->frag_off & bpf_htons(LB_IP_FRAGMENT))
		return LB_PASS_FRAGMENT;
	header = ip->ihl * 4u;
	if (header < sizeof(*ip)) {
		p->lie = LB_DROP_IP_HEADER;
		header = sizeof(*ip);
	}
	if (p->length < header || frame_ends_before(ctx, c, p->length))
		p->lie = LB_DROP_IP_HEADER;
	c->pos += header;
	return parse_transport(c, p, p->length - header);
}

static __always_inline int parse_ipv6(struct xdp_md *ctx, struct cursor *c, struct pkt *p)
{
	struct ipv6hdr *ip = c->pos;
	__u32 length;

	if ((void *)(ip + 1) > c->end || ip->version != 6)
		return LB_PASS_MALFORMED;
	p->family = LB_FAMILY_V6;
	p->protocol = ip->nexthdr;
	p->tos = bpf_ntohs(*(__be16 *)ip) >> 4;
	p->ttl = ip->hop_limit;
	p->saddr[0] = ((__u64 *)&ip->saddr)[0];
	p->saddr[1] = ((__u64 *)&ip->saddr)[1];
	p->daddr[0] = ((__u64 *)&ip->daddr)[0];
	p->daddr[1] = ((__u64 *)&ip->daddr)[1];
	length = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	p->length = length;
	if (length > 0xffff || frame_ends_before(ctx, c, length))
		p->lie = LB_DROP_IP_HEADER;
	c->pos += sizeof(*ip);
	return parse_transport(c, p, length - sizeof(*ip));
}

static __always_inline int parse(struct xdp_md *ctx, struct pkt *p)
{
	struct cursor c = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	struct ethhdr *eth = c.pos;

	if ((void *)(eth + 1) > c.end)
		return LB_PASS_MALFORMED;
	c.pos += sizeof(*eth);
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return parse_ipv4(ctx, &c, p);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return parse_ipv6(ctx, &c, p);
	return LB_PASS_NOT_IP;
}
