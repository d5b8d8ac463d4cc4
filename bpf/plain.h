/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets in plain form, as nearly all are: no options, no extension headers, no fragment, TCP or UDP,
 * lengths that can be, headers in the frame's first buffer. Everything lies at an offset that is known
 * beforehand, and is read where it is needed: its line is in the cache, registers are few. What is not plain
 * parse_*() (parse.h) looks at more closely.
 */
#pragma once

#include "parse.h"

/* With so much in the first buffer, one comparison will do for nearly all headers that are read. */
#define PLAIN_BYTES (sizeof(struct ethhdr) + sizeof(struct iphdr) + sizeof(struct tcphdr))
_Static_assert(PLAIN_BYTES >= sizeof(struct ethhdr) + sizeof(struct ipv6hdr), "IPv6 is in it, too");

static __always_inline __u32 plain_ip_bytes(const struct pkt *p)
{
	return p->family == LB_FAMILY_V4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
}

/*
 * Whether the IP header, whose first PLAIN_BYTES can be read, is plain. *ret_room: bytes behind it, as it
 * says; below 0 if it lies.
 */
static __always_inline bool plain_ipv4(struct xdp_md *ctx, const struct cursor *c, int *ret_room)
{
	void *ip = c->pos;
	__u32 length = bpf_ntohs(IP4_FIELD(ip, tot_len));

	if (BYTE(ip, 0) != IPV4_PLAIN || IP4_FIELD(ip, frag_off) & bpf_htons(LB_IP_FRAGMENT) ||
	    frame_ends_before(ctx, c, length))
		return false;
	*ret_room = (int)length - (int)sizeof(struct iphdr);
	return true;
}

static __always_inline bool plain_ipv6(struct xdp_md *ctx, const struct cursor *c, int *ret_room)
{
	void *ip = c->pos;
	__u32 length = bpf_ntohs(IP6_FIELD(ip, payload_len));

	if (IP_VERSION(ip) != 6 || length > 0xffff - sizeof(struct ipv6hdr) ||
	    frame_ends_before(ctx, c, length + sizeof(struct ipv6hdr)))
		return false;
	*ret_room = (int)length;
	return true;
}

/* Whether what follows the IP header is. room: as these found it. */
static __always_inline bool plain_transport(const struct cursor *c, const struct pkt *p, int room)
{
	void *l4 = c->pos + plain_ip_bytes(p);
	int length;

	if (p->protocol == IPPROTO_TCP) {
		if (l4 + sizeof(struct tcphdr) > c->end)
			return false;
		length = TCP_HEADER(l4);
		return length >= (int)sizeof(struct tcphdr) && length <= room;
	}
	if (l4 + sizeof(struct udphdr) > c->end)
		return false;
	length = bpf_ntohs(UDP_FIELD(l4, len));
	return length >= (int)sizeof(struct udphdr) && length <= room;
}

/* Where the packet goes. */
static __always_inline void plain_read_service(struct pkt *p)
{
	if (p->family == LB_FAMILY_V4) {
		p->daddr[0] = LB_LOAD(&IP4_FIELD(p->ip, daddr));
	} else {
		p->daddr[0] = LB_LOAD(&WORD(&IP6_FIELD(p->ip, daddr), 0));
		p->daddr[1] = LB_LOAD(&WORD(&IP6_FIELD(p->ip, daddr), 8));
	}
	p->dport = LB_LOAD(&UDP_FIELD(p->ip + plain_ip_bytes(p), dest));
}

/* Who sent it. */
static __always_inline void plain_read_client(struct pkt *p)
{
	if (p->family == LB_FAMILY_V4) {
		p->saddr[0] = LB_LOAD(&IP4_FIELD(p->ip, saddr));
	} else {
		p->saddr[0] = LB_LOAD(&WORD(&IP6_FIELD(p->ip, saddr), 0));
		p->saddr[1] = LB_LOAD(&WORD(&IP6_FIELD(p->ip, saddr), 8));
	}
	p->sport = LB_LOAD(&UDP_FIELD(p->ip + plain_ip_bytes(p), source));
}

/* Whether it may open a connection. */
static __always_inline bool plain_is_syn(const struct pkt *p)
{
	return p->protocol == IPPROTO_TCP &&
	       flags_are_syn(LB_LOAD(&BYTE(p->ip, plain_ip_bytes(p) + TCP_FLAGS)));
}
