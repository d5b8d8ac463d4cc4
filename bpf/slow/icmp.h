/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ICMP (RFC 792, RFC 4443). An error about a packet that a backend sent from a VIP carries the beginning of
 * that packet: turned around, it names the flow, and the error goes where the flow goes. Eight bytes of
 * transport header are enough. Echo requests to a VIP are answered here. What does not fit a next hop is
 * answered with fragmentation needed or packet too big (RFC 1191, RFC 8201), never about an ICMP error or a
 * later fragment (RFC 1122 section 3.2.2), nor with less than every IPv6 link must carry, which no sender
 * heeds.
 */
#pragma once

#include "quic.h"
#include "slow/slow_parse.h"

#define LB_MTU_MIN_V4 576
#define LB_MTU_MIN_V6 1280

/*
 * Reads the embedded packet's addresses and ports, reversed, into the flow; l4 is its transport header's
 * then. 0 or a reason to pass.
 */
static __always_inline int icmp_embedded_v4(struct scratch *s)
{
	__u8 *in = head_at(s, s->l4 + ICMP_HEADER_BYTES, sizeof(struct iphdr));
	__u32 header;
	__u8 *ports;

	if (!in || in[0] >> 4 != 4)
		return LB_PASS_ICMP;
	header = (in[0] & 15) * 4;
	if (header < sizeof(struct iphdr) || HALF(in, 12) != s->p.daddr[0] ||
	    SHORT(in, 6) & bpf_htons(LB_FRAGMENT_OFFSET_V4))
		return LB_PASS_ICMP;
	s->l4 += ICMP_HEADER_BYTES + header;
	ports = head_at(s, s->l4, 4);
	if (!ports || (in[9] != IPPROTO_TCP && in[9] != IPPROTO_UDP))
		return LB_PASS_ICMP;
	s->p.protocol = in[9];
	s->p.saddr[0] = HALF(in, 16);
	s->p.sport = SHORT(ports, 2);
	s->p.dport = SHORT(ports, 0);
	return 0;
}

static __always_inline int icmp_embedded_v6(struct scratch *s)
{
	__u8 *in = head_at(s, s->l4 + ICMP_HEADER_BYTES, sizeof(struct ipv6hdr));
	__u8 next, *ports;

	if (!in || in[0] >> 4 != 6 || WORD(in, 8) != s->p.daddr[0] || WORD(in, 16) != s->p.daddr[1])
		return LB_PASS_ICMP;
	s->p.saddr[0] = WORD(in, 24);
	s->p.saddr[1] = WORD(in, 32);
	next = in[6];
	s->l4 += ICMP_HEADER_BYTES + sizeof(struct ipv6hdr);
	for (__u32 i = 0; i < LB_EXTENSIONS; i++) {
		int more = slow_extension(s, &next);

		if (more < 0)
			return LB_PASS_ICMP;
		if (!more)
			break;
	}
	s->first_fragment = 0; /* of the embedded packet, not of this one */
	ports = head_at(s, s->l4, 4);
	if (!ports || s->later_fragment || (next != IPPROTO_TCP && next != IPPROTO_UDP))
		return LB_PASS_ICMP;
	s->p.protocol = next;
	s->p.sport = SHORT(ports, 2);
	s->p.dport = SHORT(ports, 0);
	return 0;
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
	__u8 *udp, *head, *id;

	if (!s || !bank)
		return LB_INDEX_NONE;
	udp = head_at(s, s->l4, sizeof(struct udphdr));
	head = head_at(s, s->l4 + sizeof(struct udphdr), QUIC_ID_AT_LONG);
	if (!udp || !head || !(head[0] & QUIC_LONG_HEADER))
		return LB_INDEX_NONE;
	/* The datagram ends with the quote, or before (RFC 4884 pads quotes). */
	end = s->l4 + bpf_ntohs(SHORT(udp, 4));
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
static __always_inline __u8 *icmp_message(struct scratch *s)
{
	if (s->head_bytes > s->l3 + s->length)
		s->head_bytes = s->l3 + s->length;
	return head_at(s, s->l4, ICMP_HEADER_BYTES);
}

/* Whether a source is one host, which may be answered (RFC 1122 section 3.2.2, RFC 4443 section 2.4). */
static __always_inline bool is_one_host(const __u8 *source, __u32 family)
{
	if (family == LB_FAMILY_V4)
		return source[0] != 0 && source[0] != 127 && source[0] < 224;
	if (WORD(source, 0) == 0 && (WORD(source, 8) & ~bpf_cpu_to_be64(1)) == 0)
		return false;
	return source[0] != 0xff;
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

static __always_inline int slow_icmp_v4(struct scratch *s)
{
	__u8 *icmp = icmp_message(s);

	if (!icmp || s->first_fragment || s->bad_header)
		return LB_PASS_ICMP;
	switch (icmp[0]) {
	case ICMP_ECHO_REQUEST:
		s->kind = SLOW_ECHO;
		return echo_options_fit() ? 0 : LB_PASS_ICMP;
	case ICMP_DEST_UNREACHABLE:
		/* 0 too: routers from before RFC 1191 are gone, forgers are not. */
		if (icmp[1] == ICMP_FRAGMENTATION_NEEDED && bpf_ntohs(SHORT(icmp, 6)) < LB_MTU_MIN_V4)
			s->silly_mtu = 1;
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
	__u8 *icmp = icmp_message(s);

	if (!icmp || s->first_fragment || s->bad_header)
		return LB_PASS_ICMP;
	switch (icmp[0]) {
	case ICMPV6_ECHO_REQUEST:
		s->kind = SLOW_ECHO;
		return 0;
	case ICMPV6_PKT_TOOBIG:
		if (bpf_ntohl(HALF(icmp, 4)) < LB_MTU_MIN_V6)
			s->silly_mtu = 1;
		break;
	case ICMPV6_DEST_UNREACH:
	case ICMPV6_TIME_EXCEED:
	case ICMPV6_PARAMPROB:
		break;
	default:
		s->link_only = icmp[0] >= NDISC_FIRST && icmp[0] <= NDISC_LAST;
		return LB_PASS_ICMP;
	}
	s->kind = SLOW_ICMP_ERROR;
	return icmp_embedded_v6(s);
}

/* This CPU's allowance of answers in the current second; coarse, off the fast path. */
static __always_inline bool within_rate(struct scratch *s, __u32 *used, __u32 limit)
{
	__u64 second = bpf_ktime_get_coarse_ns() / 1000000000;

	if (second != s->second) {
		s->second = second;
		s->echoes = s->errors = 0;
	}
	if (*used >= limit)
		return false;
	(*used)++;
	return true;
}

static __always_inline void swap_ethernet(__u8 *eth)
{
	__u64 low = WORD(eth, 0);
	__u32 high = HALF(eth, 8);

	/* destination: bytes 0..5, source: 6..11 */
	HALF(eth, 0) = low >> 48 | (high << 16);
	SHORT(eth, 4) = high >> 16;
	SHORT(eth, 6) = low;
	HALF(eth, 8) = low >> 16;
}

/* Turns an echo request around in place; everything behind the header stays (RFC 792, RFC 4443 section 4.2).
 */
LB_SUBPROGRAM int icmp_echo(struct xdp_md *ctx)
{
	struct scratch *s = scratch_get();
	__u32 bytes;
	__u8 *ip, *icmp;

	if (!s)
		return LB_DROP_INTERNAL;
	icmp = head_at(s, s->l4, ICMP_HEADER_BYTES);
	if (!icmp)
		return LB_DROP_INTERNAL;
	ip = s->head + (s->l3 & 31);
	if (!within_rate(s, &s->echoes, lb_echo_rate))
		return LB_DROP_ECHO_LIMIT;
	swap_ethernet(s->head);
	if (s->p.family == LB_FAMILY_V4) {
		__u16 before = SHORT(ip, 8);

		HALF(ip, 12) = s->p.daddr[0];
		HALF(ip, 16) = s->p.saddr[0];
		BYTE(ip, 8) = 64;
		SHORT(ip, 10) = lb_csum_replace16(SHORT(ip, 10), before, SHORT(ip, 8));
		icmp[0] = ICMP_ECHO_REPLY;
		SHORT(icmp, 2) = lb_csum_replace16(SHORT(icmp, 2), ICMP_ECHO_REQUEST, ICMP_ECHO_REPLY);
		/* The update cannot know a message of zeroes, where 0 does not verify (RFC 1624 section 3):
		 * 0xffff does always. */
		if (!SHORT(icmp, 2) && !HALF(icmp, 4))
			SHORT(icmp, 2) = 0xffff;
	} else {
		WORD(ip, 8) = s->p.daddr[0];
		WORD(ip, 16) = s->p.daddr[1];
		WORD(ip, 24) = s->p.saddr[0];
		WORD(ip, 32) = s->p.saddr[1];
		BYTE(ip, 7) = 64;
		icmp[0] = ICMPV6_ECHO_REPLY;
		SHORT(icmp, 2) = lb_csum_replace16(SHORT(icmp, 2), ICMPV6_ECHO_REQUEST, ICMPV6_ECHO_REPLY);
	}
	bytes = s->l4 + 4;
	if (bytes < 4 || bytes > LB_HEAD_LOAD || bpf_xdp_store_bytes(ctx, 0, s->head, bytes))
		return LB_DROP_INTERNAL;
	return LB_REPLY_ECHO;
}

#define CHECKSUM_BYTES 512u /* that bpf_csum_diff() takes at once on every kernel */

/* Both bounds one after the other: as one comparison of a difference they tell the verifier nothing. */
static __always_inline bool is_within(__u64 *n, __u64 least, __u64 most)
{
	asm volatile("" : "+r"(*n));
	if (*n < least)
		return false;
	asm volatile("" : "+r"(*n));
	return *n <= most;
}

/* The sum of bytes (a multiple of 4) from an offset on, as far as one call goes, over another sum. */
static __always_inline __u32 sum_part(__u8 *from, __u32 at, __u32 bytes, __u32 sum)
{
	__u32 room = LB_ANSWER_BYTES_V6 - at < CHECKSUM_BYTES ? LB_ANSWER_BYTES_V6 - at : CHECKSUM_BYTES;
	__u64 part = bytes > at ? bytes - at : 0;

	part = at_most(part, room);
	if (!is_within(&part, 4, room))
		return sum;
	sum = bpf_csum_diff(NULL, 0, (void *)(from + at), part, sum);
	return (sum & 0xffff) + (sum >> 16);
}

/* Internet checksum of bytes (a multiple of 4, at most 3 parts) in memory, over an unfolded sum. */
static __always_inline __u16 checksum(__u8 *from, __u32 bytes, __u32 sum)
{
	sum = sum_part(from, 0, bytes, sum);
	sum = sum_part(from, CHECKSUM_BYTES, bytes, sum);
	sum = sum_part(from, 2 * CHECKSUM_BYTES, bytes, sum);
	return ~lb_csum_fold(sum);
}

static __always_inline void write_too_big_v4(__u8 *out, const __u8 *in, __u32 mtu, __u32 quote)
{
	__builtin_memset(out, 0, sizeof(struct iphdr) + ICMP_HEADER_BYTES);
	out[0] = 0x45;
	out[1] = 0xc0; /* internetwork control, as RFC 1812 section 4.3.2.5 */
	SHORT(out, 2) = bpf_htons(sizeof(struct iphdr) + ICMP_HEADER_BYTES + quote);
	SHORT(out, 6) = bpf_htons(0x4000);
	out[8] = 64;
	out[9] = IPPROTO_ICMP;
	HALF(out, 12) = HALF(in, 16);
	HALF(out, 16) = HALF(in, 12);
	SHORT(out, 10) = checksum(out, sizeof(struct iphdr), 0);
	out[20] = ICMP_DEST_UNREACHABLE;
	out[21] = ICMP_FRAGMENTATION_NEEDED;
	SHORT(out, 26) = bpf_htons(mtu);
	SHORT(out, 22) = checksum(out + sizeof(struct iphdr), ICMP_HEADER_BYTES + quote, 0);
}

static __always_inline void write_too_big_v6(__u8 *out, const __u8 *in, __u32 mtu, __u32 quote)
{
	__u32 length = ICMP_HEADER_BYTES + quote;

	__builtin_memset(out, 0, sizeof(struct ipv6hdr) + ICMP_HEADER_BYTES);
	out[0] = 0x60;
	SHORT(out, 4) = bpf_htons(length);
	out[6] = IPPROTO_ICMPV6;
	out[7] = 64;
	WORD(out, 8) = WORD(in, 24);
	WORD(out, 16) = WORD(in, 32);
	WORD(out, 24) = WORD(in, 8);
	WORD(out, 32) = WORD(in, 16);
	out[40] = ICMPV6_PKT_TOOBIG;
	HALF(out, 44) = bpf_htonl(mtu);
	/* The pseudo-header: both addresses (32 bytes from 8 on), length and protocol. */
	SHORT(out, 42) = checksum(out + 8, 32 + length, bpf_htons(length) + bpf_htons(IPPROTO_ICMPV6));
}

/*
 * How many bytes of a packet (its length, its frame's from the IP header on) an error of at most limit bytes
 * quotes, whose headers are outer bytes: a multiple of 4. The answer is never longer than the frame.
 */
static __always_inline __u32 quote_bytes(__u32 length, __u32 room, __u32 outer, __u32 limit)
{
	if (length > room)
		return 0;
	if (room > limit)
		room = limit;
	if (room < outer)
		return 0;
	room -= outer;
	return (length < room ? length : room) & ~3u;
}

/* Writes the answer into scratch; its length, or 0: there is none. */
LB_SUBPROGRAM int too_big_v4(struct xdp_md *ctx, __u32 mtu)
{
	struct scratch *s = scratch_get();
	__u32 outer = sizeof(struct iphdr) + ICMP_HEADER_BYTES;
	__u64 quote;
	__u8 *in;

	if (!s)
		return 0;
	in = head_at(s, s->l3, sizeof(struct iphdr));
	if (!in || !is_one_host(in + 12, LB_FAMILY_V4))
		return 0;
	quote = quote_bytes(bpf_ntohs(SHORT(in, 2)), s->frame_bytes - s->l3, outer, LB_ANSWER_BYTES_V4);
	if (quote < (in[0] & 15) * 4 + 8 || !within_rate(s, &s->errors, lb_icmp_rate))
		return 0;
	if (!is_within(&quote, 4, LB_ANSWER_BYTES_V4 - outer) ||
	    bpf_xdp_load_bytes(ctx, s->l3, s->answer + outer, quote))
		return 0;
	write_too_big_v4(s->answer, in, mtu, quote);
	return outer + quote;
}

LB_SUBPROGRAM int too_big_v6(struct xdp_md *ctx, __u32 mtu)
{
	struct scratch *s = scratch_get();
	__u32 outer = sizeof(struct ipv6hdr) + ICMP_HEADER_BYTES, length;
	__u64 quote;
	__u8 *in;

	if (!s)
		return 0;
	in = head_at(s, s->l3, sizeof(struct ipv6hdr));
	if (!in || !is_one_host(in + 8, LB_FAMILY_V6))
		return 0;
	length = bpf_ntohs(SHORT(in, 4)) + sizeof(struct ipv6hdr);
	/* No sender goes below (RFC 8201 section 4), nor can it be told that its packet should have fit. */
	if (mtu < LB_MTU_MIN_V6)
		mtu = LB_MTU_MIN_V6;
	if (length <= mtu)
		return 0;
	quote = quote_bytes(length, s->frame_bytes - s->l3, outer, LB_ANSWER_BYTES_V6);
	if (!within_rate(s, &s->errors, lb_icmp_rate))
		return 0;
	if (!is_within(&quote, 4, LB_ANSWER_BYTES_V6 - outer) ||
	    bpf_xdp_load_bytes(ctx, s->l3, s->answer + outer, quote))
		return 0;
	write_too_big_v6(s->answer, in, mtu, quote);
	return outer + quote;
}

/*
 * Answers a packet that does not fit with the largest that would (bytes of the IP packet). The frame becomes
 * the answer: its Ethernet header and tags turned around, then IP, ICMP and the quote.
 */
LB_SUBPROGRAM int icmp_too_big(struct xdp_md *ctx, __u32 mtu)
{
	struct scratch *s = scratch_get();
	__u64 l3, answer;
	__u8 *in;
	__be16 type;

	if (!s)
		return LB_DROP_INTERNAL;
	if (slow_load(ctx, s) || slow_vlan(s, &type))
		return LB_DROP_TOO_BIG;
	l3 = s->l3;
	in = head_at(s, l3, 1);
	if (!in)
		return LB_DROP_TOO_BIG;
	answer = in[0] >> 4 == 4 ? too_big_v4(ctx, mtu) : too_big_v6(ctx, mtu);
	if (!answer)
		return LB_DROP_TOO_BIG;
	swap_ethernet(s->head);
	if (bpf_xdp_adjust_tail(ctx, (int)(l3 + answer) - (int)s->frame_bytes))
		return LB_DROP_TOO_BIG;
	if (!is_within(&l3, sizeof(struct ethhdr), 22) || !is_within(&answer, 28, LB_ANSWER_BYTES_V6) ||
	    bpf_xdp_store_bytes(ctx, 0, s->head, l3) || bpf_xdp_store_bytes(ctx, l3, s->answer, answer))
		return LB_DROP_INTERNAL;
	return LB_REPLY_TOO_BIG;
}
