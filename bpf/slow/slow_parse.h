/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The slow parser: everything that parse.h hands over, from the copy in struct scratch. The same conventions:
 * 0, a reason to pass, and a bad header kept in scratch.bad_header until it is known whether the packet is
 * for a service.
 */
#pragma once

#include "slow/slow.h"

#define VLAN_NEXT   2
#define PORTS_BYTES 4u

/* Extension headers as far as all begin alike (RFC 8200 section 4): the fragment header is read by all of it.
 */
struct extension_header {
	__u8 next;
	__u8 length; /* in 8 bytes, the first 8 not counted */
	__be16 offset;
	__be32 id;
};

#define LB_FRAGMENT_OFFSET_V4 0x1fff
#define LB_FRAGMENT_MORE_V4   0x2000
#define LB_FRAGMENT_OFFSET_V6 0xfff8
#define LB_FRAGMENT_MORE_V6   0x0001

/* IEEE 802.1Q and 802.1ad tags; type: the Ethernet type behind them, network order. */
static __always_inline int slow_vlan(struct scratch *s, __be16 *type)
{
	s->l3 = sizeof(struct ethhdr);
	*type = ETH_TYPE(s->head);
	LB_UNROLL
	for (__u32 i = 0; i <= LB_VLAN_TAGS; i++) {
		__u8 *tag;

		if (*type != bpf_htons(ETH_P_8021Q) && *type != bpf_htons(ETH_P_8021AD))
			return 0;
		tag = head_at(s, s->l3, VLAN_BYTES);
		if (i == LB_VLAN_TAGS)
			return LB_PASS_VLAN;
		if (!tag)
			return LB_PASS_MALFORMED;
		*type = SHORT(tag, VLAN_NEXT);
		s->l3 += VLAN_BYTES;
		s->tags = i + 1;
	}
	return 0;
}

static __always_inline void slow_bad_header(struct scratch *s, int reason)
{
	if (!s->bad_header)
		s->bad_header = reason;
}

static __always_inline int slow_ipv4(struct scratch *s)
{
	struct iphdr *ip = head_at(s, s->l3, sizeof(*ip));
	__u32 header, fragment;

	if (!ip || IP_VERSION(ip) != 4)
		return LB_PASS_MALFORMED;
	header = IP4_HEADER(ip);
	if (header < sizeof(struct iphdr)) {
		slow_bad_header(s, LB_DROP_IP_HEADER);
		header = sizeof(struct iphdr);
	}
	s->length = bpf_ntohs(ip->tot_len);
	if (s->length < header || s->l3 + s->length > s->frame_bytes)
		slow_bad_header(s, LB_DROP_IP_HEADER);
	s->l4 = s->l3 + header;
	s->p.family = LB_FAMILY_V4;
	s->p.protocol = ip->protocol;
	s->p.saddr[0] = ip->saddr;
	s->p.daddr[0] = ip->daddr;
	fragment = bpf_ntohs(ip->frag_off);
	s->fragment_id = ip->id;
	s->fragment_protocol = ip->protocol;
	s->later_fragment = !!(fragment & LB_FRAGMENT_OFFSET_V4);
	s->first_fragment = fragment & LB_FRAGMENT_MORE_V4 && !s->later_fragment;
	return 0;
}

/* Why a header of n bytes at l4 cannot be read: the frame ends before, or it begins further on than we look.
 */
static __always_inline int slow_out_of_reach(const struct scratch *s, __u32 n)
{
	return s->l4 + n > s->frame_bytes ? LB_PASS_MALFORMED : LB_PASS_IPV6_EXTENSION;
}

/* Steps over one extension header (RFC 8200 section 4). 1: there may be more; 0: next is the transport. */
static __always_inline int slow_extension(struct scratch *s, __u8 *next)
{
	struct extension_header *header = head_at(s, s->l4, sizeof(*header));
	__u32 fragment;

	switch (*next) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		if (!header)
			return -slow_out_of_reach(s, sizeof(*header));
		*next = header->next;
		s->l4 += sizeof(*header) + header->length * 8;
		return 1;
	case IPPROTO_FRAGMENT:
		if (!header)
			return -slow_out_of_reach(s, sizeof(*header));
		*next = header->next;
		fragment = bpf_ntohs(header->offset);
		s->fragment_id = header->id;
		s->fragment_protocol = header->next;
		s->later_fragment = !!(fragment & LB_FRAGMENT_OFFSET_V6);
		s->first_fragment = fragment & LB_FRAGMENT_MORE_V6 && !s->later_fragment;
		s->l4 += sizeof(*header);
		return !s->later_fragment;
	default:
		return 0;
	}
}

static __always_inline bool is_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS ||
	       next == IPPROTO_FRAGMENT;
}

static __always_inline int slow_ipv6(struct scratch *s)
{
	struct ipv6hdr *ip = head_at(s, s->l3, sizeof(*ip));
	__u8 next;

	if (!ip || IP_VERSION(ip) != 6)
		return LB_PASS_MALFORMED;
	s->length = bpf_ntohs(ip->payload_len) + sizeof(struct ipv6hdr);
	if (s->length > 0xffff || s->l3 + s->length > s->frame_bytes)
		slow_bad_header(s, LB_DROP_IP_HEADER);
	s->l4 = s->l3 + sizeof(struct ipv6hdr);
	s->p.family = LB_FAMILY_V6;
	s->p.saddr[0] = WORD(&ip->saddr, 0);
	s->p.saddr[1] = WORD(&ip->saddr, 8);
	s->p.daddr[0] = WORD(&ip->daddr, 0);
	s->p.daddr[1] = WORD(&ip->daddr, 8);
	next = ip->nexthdr;
	for (__u32 i = 0; i < LB_EXTENSIONS; i++) {
		int more = slow_extension(s, &next);

		if (more < 0)
			return -more;
		if (!more)
			break;
	}
	s->p.protocol = next;
	return is_extension(next) && !s->later_fragment ? LB_PASS_IPV6_EXTENSION : 0;
}

/* TCP and UDP; the first fragment of a datagram holds less than its length says, so no room is checked there.
 */
static __always_inline int slow_transport(struct scratch *s)
{
	__u32 room = s->l3 + s->length - s->l4;
	struct udphdr *ports = head_at(s, s->l4, PORTS_BYTES); /* TCP begins with them as well */
	void *tcp = head_at(s, s->l4, sizeof(struct tcphdr));
	__u32 header;

	if (!ports)
		return slow_out_of_reach(s, PORTS_BYTES);
	if (s->l4 > s->l3 + s->length) {
		slow_bad_header(s, LB_DROP_IP_HEADER);
		room = 0;
	}
	s->p.sport = ports->source;
	s->p.dport = ports->dest;
	if (s->p.protocol == IPPROTO_UDP) {
		struct udphdr *udp = head_at(s, s->l4, sizeof(*udp));

		header = udp ? bpf_ntohs(udp->len) : 0;
		if (room < sizeof(*udp) || header < sizeof(*udp) || (header > room && !s->first_fragment))
			slow_bad_header(s, LB_DROP_UDP_HEADER);
		return 0;
	}
	header = tcp ? TCP_HEADER(tcp) : 0;
	if (header < sizeof(struct tcphdr) || header > room)
		slow_bad_header(s, LB_DROP_TCP_HEADER);
	else
		s->p.tcp_flags = BYTE(tcp, TCP_FLAGS);
	return 0;
}
