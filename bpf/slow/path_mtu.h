/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What routers say of our tunnels: "too big" about a packet that left from here (RFC 2003 section 5.1, RFC
 * 2473 section 8), for the agent, which keeps what fits through to each backend. Anybody can send one. It is
 * believed only where the packet that it quotes is what this balancer makes of the flow inside: the bits of
 * the outer source that vary, and GUE's source port, are of the flow's keyed hash. What they are worth, the
 * agent knows (user/lbd/kernel/path_mtu.c).
 */
#pragma once

#include "slow/slow_parse.h"

/* The flow of the packet inside a tunnel, at an offset of the frame. protocol: that leads to it. */
static __always_inline bool quoted_flow(struct scratch *s, __u32 at, __u8 protocol, struct pkt *p)
{
	struct iphdr *ip = head_at(s, at, sizeof(struct iphdr));
	void *ports;

	if (ip && IP_VERSION(ip) == 4 && protocol != IPPROTO_IPV6) {
		if (ip->frag_off & bpf_htons(LB_IP_FRAGMENT) || IP4_HEADER(ip) < sizeof(struct iphdr))
			return false;
		read_ipv4(ip, p);
		ports = head_at(s, at + IP4_HEADER(ip), PORTS_BYTES);
	} else {
		struct ipv6hdr *ip6 = head_at(s, at, sizeof(struct ipv6hdr));

		if (!ip6 || IP_VERSION(ip6) != 6 || protocol == IPPROTO_IPIP)
			return false;
		read_ipv6(ip6, p);
		ports = head_at(s, at + sizeof(struct ipv6hdr), PORTS_BYTES);
	}
	if (!ports || (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP))
		return false;
	read_ports(ports, p);
	return true;
}

/* Whether the message in scratch, a too-big one, quotes a packet of a tunnel of ours. 1 or 0. */
LB_SUBPROGRAM int is_about_tunnel(__u64 active)
{
	struct lb_control *control = control_get();
	struct scratch *s = scratch_get();
	__be16 from = 0, to = 0; /* GUE's ports */
	__be32 source, mask;
	struct lb_vip *vip;
	struct pkt p = {};
	__u8 protocol;
	__u64 hash;
	__u32 at;

	if (!s || !control)
		return 0;
	at = s->quote;
	if (s->p.family == LB_FAMILY_V4) {
		struct iphdr *outer = head_at(s, at, sizeof(*outer));

		if (!outer || BYTE(outer, 0) != IPV4_PLAIN || outer->saddr != (__be32)s->p.daddr[0])
			return 0;
		source = outer->saddr;
		protocol = outer->protocol;
		at += OUTER_V4;
	} else {
		struct ipv6hdr *outer = head_at(s, at, sizeof(*outer));

		if (!outer || IP_VERSION(outer) != 6 || WORD(&outer->saddr, 0) != s->p.daddr[0] ||
		    WORD(&outer->saddr, 8) != s->p.daddr[1])
			return 0;
		source = HALF(&outer->saddr, 12);
		protocol = outer->nexthdr;
		at += OUTER_V6;
	}
	if (protocol == IPPROTO_UDP) {
		struct udphdr *udp = head_at(s, at, sizeof(*udp));

		if (!udp)
			return 0;
		from = udp->source;
		to = udp->dest;
		at += OUTER_UDP;
	}
	if ((protocol != IPPROTO_UDP && protocol != IPPROTO_IPIP && protocol != IPPROTO_IPV6) ||
	    !quoted_flow(s, at, protocol, &p))
		return 0;
	vip = vip_at(active, service_of(&p, active));
	if (!vip || vip->gue_port != to)
		return 0;
	hash = flow_hash(&p, control->hash_seed, vip->flags);
	mask = s->p.family == LB_FAMILY_V4 ? vip->source_mask_v4 : vip->source_mask_v6;
	return (source & mask) == ((__u32)(hash >> 32) & mask) && (!to || from == gue_source(hash));
}
