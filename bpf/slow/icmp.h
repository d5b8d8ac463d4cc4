/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ICMP (RFC 792, RFC 4443). An error about a packet that a backend sent from a VIP carries the beginning of
 * that packet: turned around, it names the flow, and the error goes where the flow goes. Eight bytes of
 * transport header are enough. Echo requests to a VIP are answered here; errors of our own are in answer.h.
 */
#pragma once

#include "quic.h"
#include "slow/answer.h"
#include "slow/slow_parse.h"

/* The flow's ends, reversed; the embedded transport header is at l4, its packet went to daddr. */
static __always_inline int icmp_embedded_ports(struct scratch *s, __u32 protocol, const __u64 daddr[2])
{
	struct udphdr *ports = head_at(s, s->l4, PORTS_BYTES); /* TCP begins with them as well */

	if (!ports || (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP))
		return LB_PASS_ICMP;
	s->p.protocol = protocol;
	s->p.saddr[0] = daddr[0];
	s->p.saddr[1] = daddr[1];
	s->p.sport = ports->dest;
	s->p.dport = ports->source;
	return 0;
}

/*
 * Reads the embedded packet's addresses and ports, reversed, into the flow; l4 is its transport header's
 * then. 0 or a reason to pass.
 */
static __always_inline int icmp_embedded_v4(struct scratch *s)
{
	struct iphdr *in = head_at(s, s->l4 + ICMP_HEADER_BYTES, sizeof(*in));
	__u32 header;

	if (!in || IP_VERSION(in) != 4)
		return LB_PASS_ICMP;
	header = IP4_HEADER(in);
	if (header < sizeof(*in) || in->saddr != s->p.daddr[0] ||
	    in->frag_off & bpf_htons(LB_FRAGMENT_OFFSET_V4))
		return LB_PASS_ICMP;
	s->l4 += ICMP_HEADER_BYTES + header;
	return icmp_embedded_ports(s, in->protocol, (__u64[2]){ in->daddr });
}

static __always_inline int icmp_embedded_v6(struct scratch *s)
{
	struct ipv6hdr *in = head_at(s, s->l4 + ICMP_HEADER_BYTES, sizeof(*in));
	__u64 daddr[2];
	__u8 next;

	if (!in || IP_VERSION(in) != 6 || WORD(&in->saddr, 0) != s->p.daddr[0] ||
	    WORD(&in->saddr, 8) != s->p.daddr[1])
		return LB_PASS_ICMP;
	daddr[0] = WORD(&in->daddr, 0);
	daddr[1] = WORD(&in->daddr, 8);
	next = in->nexthdr;
	s->l4 += ICMP_HEADER_BYTES + sizeof(*in);
	for (__u32 i = 0; i < LB_EXTENSIONS; i++) {
		int more = slow_extension(s, &next);

		if (more < 0)
			return LB_PASS_ICMP;
		if (!more)
			break;
	}
	s->first_fragment = 0; /* of the embedded packet, not of this one */
	if (s->later_fragment)
		return LB_PASS_ICMP;
	return icmp_embedded_ports(s, next, daddr);
}

/*
 * The backend index that the source connection ID of an embedded QUIC packet names, or LB_INDEX_NONE: there
 * is none in a short header, or the quote ends before. active, bucket: name the service's VIP entry.
 */
LB_SUBPROGRAM __u32 icmp_quic_backend(__u64 active, __u32 bucket)
{
	struct lb_vip_bank *bank = active_bank(active);
	struct scratch *s = scratch_get();
	__u32 at, end, id_bytes;
	struct udphdr *udp;
	__u8 *head, *id;

	if (!s || !bank)
		return LB_INDEX_NONE;
	udp = head_at(s, s->l4, sizeof(struct udphdr));
	head = head_at(s, s->l4 + sizeof(struct udphdr), QUIC_ID_AT_LONG);
	if (!udp || !head || !(head[0] & QUIC_LONG_HEADER))
		return LB_INDEX_NONE;
	/* The datagram ends with the quote, or before (RFC 4884 pads quotes). */
	end = s->l4 + bpf_ntohs(udp->len);
	if (end > s->head_bytes)
		end = s->head_bytes;
	at = s->l4 + sizeof(struct udphdr) + QUIC_ID_AT_LONG + head[QUIC_ID_AT_LONG - 1];
	id = head_at(s, at, 1);
	if (!id || at >= end)
		return LB_INDEX_NONE;
	id_bytes = *id;
	at++;
	if (id_bytes > end - at)
		id_bytes = end - at;
	id = head_at(s, at, 0);
	if (!id)
		return LB_INDEX_NONE;
	return quic_named(bank, active, &bank->bucket[bucket & (LB_VIP_BUCKETS - 1)], id, id_bytes);
}

/* The ICMP header, or NULL. The message ends with its packet: what a frame holds behind is not part of it. */
static __always_inline struct icmp_header *icmp_message(struct scratch *s)
{
	if (s->head_bytes > s->l3 + s->length)
		s->head_bytes = s->l3 + s->length;
	return head_at(s, s->l4, ICMP_HEADER_BYTES);
}

#define OPTION_END          0
#define OPTION_NOP          1
#define OPTION_LOOSE_ROUTE  131
#define OPTION_STRICT_ROUTE 137
#define OPTIONS_BYTES       40u

/*
 * Whether IPv4 options can be sent back as they are: not a source route, which would have to be turned around
 * (RFC 1122 section 3.2.2.6), nor what cannot be read. 1 or 0.
 */
LB_SUBPROGRAM int echo_options_fit(void)
{
	struct scratch *s = scratch_get();

	if (!s)
		return 0;
	s->option = s->l3 + sizeof(struct iphdr);
	for (__u32 i = 0; i < OPTIONS_BYTES; i++) {
		/* From memory each time: of two ways to get here the verifier follows one. */
		__u32 at = LB_LOAD(&s->option);
		__u8 *option;

		if (at >= s->l4)
			return 1;
		option = head_at(s, at, 2);
		if (!option || option[0] == OPTION_LOOSE_ROUTE || option[0] == OPTION_STRICT_ROUTE)
			return 0;
		if (option[0] == OPTION_END)
			return 1;
		if (option[0] == OPTION_NOP) {
			LB_STORE(&s->option, at + 1);
			continue;
		}
		if (option[1] < 2 || at + option[1] > s->l4)
			return 0;
		LB_STORE(&s->option, at + option[1]);
	}
	return s->option >= s->l4;
}

/*
 * An MTU of a router from before RFC 1191 is 0: its section 5 and the kernel have a way with that. Below 552
 * (net.ipv4.route.min_pmtu) the kernel does not go, whatever it is told; what says so was not made by a link.
 */
static __always_inline bool is_silly_mtu(__u32 mtu)
{
	return mtu && mtu < LB_MTU_MIN_V4;
}

static __always_inline int slow_icmp_v4(struct scratch *s)
{
	struct icmp_header *icmp = icmp_message(s);

	if (!icmp || s->bad_header || (s->first_fragment && icmp->type != ICMP_ECHO_REQUEST))
		return LB_PASS_ICMP;
	switch (icmp->type) {
	case ICMP_ECHO_REQUEST:
		s->kind = SLOW_ECHO;
		return echo_options_fit() ? 0 : LB_PASS_ICMP;
	case ICMP_DEST_UNREACHABLE:
		if (icmp->code == ICMP_FRAGMENTATION_NEEDED) {
			s->silly_mtu = is_silly_mtu(bpf_ntohl(icmp->word) & 0xffff); /* RFC 1191 section 4 */
			s->quote = s->silly_mtu ? 0 : s->l4 + ICMP_HEADER_BYTES;
		}
		break;
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETER_PROBLEM:
		break;
	default:
		return LB_PASS_ICMP;
	}
	s->kind = SLOW_ICMP_ERROR;
	return icmp_embedded_v4(s);
}

static __always_inline int slow_icmp_v6(struct scratch *s)
{
	struct icmp_header *icmp = icmp_message(s);

	if (!icmp || s->bad_header || (s->first_fragment && icmp->type != ICMPV6_ECHO_REQUEST))
		return LB_PASS_ICMP;
	switch (icmp->type) {
	case ICMPV6_ECHO_REQUEST:
		s->kind = SLOW_ECHO;
		return 0;
	case ICMPV6_PKT_TOOBIG:
		if (bpf_ntohl(icmp->word) < LB_MTU_MIN_V6)
			s->silly_mtu = 1;
		else
			s->quote = s->l4 + ICMP_HEADER_BYTES;
		break;
	case ICMPV6_DEST_UNREACH:
	case ICMPV6_TIME_EXCEED:
	case ICMPV6_PARAMPROB:
		break;
	default:
		s->link_only = icmp->type >= NDISC_FIRST && icmp->type <= NDISC_LAST;
		return LB_PASS_ICMP;
	}
	s->kind = SLOW_ICMP_ERROR;
	return icmp_embedded_v6(s);
}

/* Turns the Ethernet and IP headers in scratch around. */
static __always_inline void turn_around(struct scratch *s)
{
	void *start = s->head + (s->l3 & 31);

	swap_ethernet(s->head);
	if (s->p.family == LB_FAMILY_V4) {
		struct iphdr *ip = start;
		__u16 before = SHORT(ip, offsetof(struct iphdr, ttl));

		ip->saddr = s->p.daddr[0];
		ip->daddr = s->p.saddr[0];
		ip->ttl = ANSWER_TTL;
		ip->check = lb_csum_replace16(ip->check, before, SHORT(ip, offsetof(struct iphdr, ttl)));
		return;
	}
	struct ipv6hdr *ip = start;

	WORD(&ip->saddr, 0) = s->p.daddr[0];
	WORD(&ip->saddr, 8) = s->p.daddr[1];
	WORD(&ip->daddr, 0) = s->p.saddr[0];
	WORD(&ip->daddr, 8) = s->p.saddr[1];
	ip->hop_limit = ANSWER_TTL;
}

/*
 * Turns an echo request around in place; everything behind the header stays (RFC 792, RFC 4443 section 4.2).
 * Of one in fragments the first has the header; what the others hold is in its checksum, which only changes
 * by the type.
 */
LB_SUBPROGRAM int icmp_echo(struct xdp_md *ctx)
{
	struct scratch *s = scratch_get();
	__u16 request = ICMP_ECHO_REQUEST, reply = ICMP_ECHO_REPLY;
	struct icmp_header *icmp;
	__u32 bytes;

	if (!s)
		return LB_DROP_INTERNAL;
	icmp = head_at(s, s->l4, sizeof(*icmp));
	if (!icmp)
		return LB_DROP_INTERNAL;
	if (!within_budget(ANSWER_ECHO, 1))
		return LB_DROP_ECHO_LIMIT;
	turn_around(s);
	if (s->p.family == LB_FAMILY_V6) {
		request = ICMPV6_ECHO_REQUEST;
		reply = ICMPV6_ECHO_REPLY;
	}
	icmp->type = reply;
	icmp->check = lb_csum_replace16(icmp->check, request, reply);
	/* The update cannot know a message of zeroes, where 0 does not verify (RFC 1624 section 3): 0xffff
	 * does always. */
	if (s->p.family == LB_FAMILY_V4 && !icmp->check && !icmp->word)
		icmp->check = 0xffff;
	bytes = s->l4 + offsetof(struct icmp_header, word);
	if (bytes < offsetof(struct icmp_header, word) || bytes > LB_HEAD_LOAD ||
	    bpf_xdp_store_bytes(ctx, 0, s->head, bytes))
		return LB_DROP_INTERNAL;
	return LB_REPLY_ECHO;
}

/* The same of a later fragment, whose first was answered. */
LB_SUBPROGRAM int icmp_echo_fragment(struct xdp_md *ctx)
{
	struct scratch *s = scratch_get();
	__u64 bytes;

	if (!s)
		return LB_DROP_INTERNAL;
	if (s->bad_header)
		return s->bad_header;
	/* The sender's share was asked for the first one. */
	if (!within_budget(ANSWER_ECHO, 0))
		return LB_DROP_ECHO_LIMIT;
	turn_around(s);
	bytes = s->l3 + (s->p.family == LB_FAMILY_V4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	if (!is_within(&bytes, sizeof(struct ethhdr), LB_L3_MAX + sizeof(struct ipv6hdr)) ||
	    bpf_xdp_store_bytes(ctx, 0, s->head, bytes))
		return LB_DROP_INTERNAL;
	return LB_REPLY_ECHO;
}
