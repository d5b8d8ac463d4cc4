/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Answers to what is not forwarded: that a packet was too big (RFC 1191, RFC 8201), that its TTL was used up
 * (RFC 792, RFC 1812 section 5.3.1, RFC 4443), that nobody is there (port unreachable, or a reset, RFC 9293
 * section 3.10.7.1). Never about an ICMP message, a reset, a fragment that is not the first, nor to what is
 * not one host (RFC 1122 section 3.2.2, RFC 4443 section 2.4); as many as budget.h allows.
 */
#pragma once

#include "slow/budget.h"
#include "slow/slow_parse.h"

#define CHECKSUM_BYTES 512u /* that bpf_csum_diff() takes at once on every kernel */

LB_SUBPROGRAM int slow_parse(struct xdp_md *ctx); /* slow_path.h */

/* What an ICMP message says: type, code. */
#define SAYS(type, code) ((type) | (code) << 8)
#define SAYS_TYPE(says)  ((says)&0xff)
#define SAYS_CODE(says)  ((says) >> 8 & 0xff)

/* Both bounds one after the other: as one comparison of a difference they tell the verifier nothing. */
static __always_inline bool is_within(__u64 *n, __u64 least, __u64 most)
{
	asm volatile("" : "+r"(*n));
	if (*n < least)
		return false;
	asm volatile("" : "+r"(*n));
	return *n <= most;
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

/* The IP header of an answer, from the packet's destination to its source. bytes: behind it. */
static __always_inline void write_ip_v4(struct iphdr *out, const struct iphdr *in, __u32 protocol, __u32 tos,
					__u32 bytes)
{
	__builtin_memset(out, 0, sizeof(*out));
	BYTE(out, 0) = IPV4_PLAIN;
	out->tos = tos;
	out->tot_len = bpf_htons(sizeof(*out) + bytes);
	out->frag_off = bpf_htons(IPV4_DF);
	out->ttl = ANSWER_TTL;
	out->protocol = protocol;
	out->saddr = in->daddr;
	out->daddr = in->saddr;
}

static __always_inline void write_ip_v6(struct ipv6hdr *out, const struct ipv6hdr *in, __u32 protocol,
					__u32 bytes)
{
	__builtin_memset(out, 0, sizeof(*out));
	BYTE(out, 0) = 6 << 4;
	out->payload_len = bpf_htons(bytes);
	out->nexthdr = protocol;
	out->hop_limit = ANSWER_TTL;
	WORD(&out->saddr, 0) = WORD(&in->daddr, 0);
	WORD(&out->saddr, 8) = WORD(&in->daddr, 8);
	WORD(&out->daddr, 0) = WORD(&in->saddr, 0);
	WORD(&out->daddr, 8) = WORD(&in->saddr, 8);
}

/*
 * What speaks as a router on the way, not for the VIP, has the address of the interface that the packet came
 * in by (RFC 1812 section 4.3.2.4), where it has one: into scratch.
 */
LB_SUBPROGRAM int find_router_address(struct xdp_md *ctx)
{
	struct lb_stations *stations = stations_get();
	__u32 ifindex = ctx->ingress_ifindex;
	struct scratch *s = scratch_get();
	const struct lb_station_interface *interface;

	if (!stations || !s)
		return 0;
	interface = &stations->interface[ifindex & (LB_STATION_INTERFACES - 1)];
	LB_HIDE_POINTER(interface);
	if (LB_LOAD(&interface->ifindex) != ifindex)
		return 0;
	s->router[0] = s->p.family == LB_FAMILY_V4 ? LB_LOAD(&interface->ipv4) : LB_LOAD(&interface->ipv6[0]);
	s->router[1] = s->p.family == LB_FAMILY_V4 ? 0 : LB_LOAD(&interface->ipv6[1]);
	return 0;
}

/* --- ICMP errors ------------------------------------------------------------------------------------------
 */

/*
 * How many bytes of a packet (its length, its frame's from the IP header on) an error of at most limit bytes
 * quotes, whose headers are outer bytes: a multiple of 4.
 */
static __always_inline __u32 quote_bytes(__u32 length, __u32 room, __u32 outer, __u32 limit)
{
	if (length > room || limit < outer)
		return 0;
	limit -= outer;
	return (length < limit ? length : limit) & ~3u;
}

/* An answer that a packet was too big is not longer than the packet's frame: it shall not be worth asking
 * for.
 */
static __always_inline __u32 answer_limit(__u32 says, __u32 too_big, __u32 room, __u32 limit)
{
	return says == too_big && room < limit ? room : limit;
}

/* Writes the error into scratch; its length, or 0: there is none. word: the second half of the ICMP header.
 */
LB_SUBPROGRAM int write_error_v4(struct xdp_md *ctx, __u32 says, __u32 word)
{
	struct scratch *s = scratch_get();
	__u32 outer = sizeof(struct iphdr) + ICMP_HEADER_BYTES, room;
	struct iphdr *in, *out;
	__u64 quote;
	struct icmp_header *icmp;

	if (!s)
		return 0;
	in = head_at(s, s->l3, sizeof(*in));
	if (!in)
		return 0;
	room = s->frame_bytes - s->l3;
	quote = quote_bytes(bpf_ntohs(in->tot_len), room, outer,
			    answer_limit(says, SAYS(ICMP_DEST_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED), room,
					 LB_ANSWER_BYTES_V4));
	/* What names the flow (RFC 792). */
	if (quote < IP4_HEADER(in) + 8 || !within_budget(ANSWER_ERROR, 1))
		return 0;
	if (!is_within(&quote, 4, LB_ANSWER_BYTES_V4 - outer) ||
	    bpf_xdp_load_bytes(ctx, s->l3, s->answer + outer, quote))
		return 0;
	out = (struct iphdr *)s->answer;
	icmp = (struct icmp_header *)(out + 1);
	/* Internetwork control: RFC 1812 section 4.3.2.5. */
	write_ip_v4(out, in, IPPROTO_ICMP, TOS_INTERNETWORK_CONTROL, ICMP_HEADER_BYTES + quote);
	if (s->router[0])
		out->saddr = s->router[0];
	out->check = checksum((__u8 *)out, sizeof(*out), 0);
	*icmp = (struct icmp_header){ SAYS_TYPE(says), SAYS_CODE(says), 0, bpf_htonl(word) };
	icmp->check = checksum((__u8 *)icmp, ICMP_HEADER_BYTES + quote, 0);
	return outer + quote;
}

LB_SUBPROGRAM int write_error_v6(struct xdp_md *ctx, __u32 says, __u32 word)
{
	struct scratch *s = scratch_get();
	__u32 outer = sizeof(struct ipv6hdr) + ICMP_HEADER_BYTES, length, room;
	struct ipv6hdr *in, *out;
	__u64 quote;
	struct icmp_header *icmp;

	if (!s)
		return 0;
	in = head_at(s, s->l3, sizeof(*in));
	if (!in)
		return 0;
	length = bpf_ntohs(in->payload_len) + sizeof(*in);
	room = s->frame_bytes - s->l3;
	/* No sender goes below (RFC 8201 section 4), nor can it be told that its packet should have fit. */
	if (says == SAYS(ICMPV6_PKT_TOOBIG, 0)) {
		if (word < LB_MTU_MIN_V6)
			word = LB_MTU_MIN_V6;
		if (length <= word)
			return 0;
	}
	quote = quote_bytes(length, room, outer,
			    answer_limit(says, SAYS(ICMPV6_PKT_TOOBIG, 0), room, LB_ANSWER_BYTES_V6));
	if (quote < sizeof(*in) || !within_budget(ANSWER_ERROR, 1))
		return 0;
	if (!is_within(&quote, 4, LB_ANSWER_BYTES_V6 - outer) ||
	    bpf_xdp_load_bytes(ctx, s->l3, s->answer + outer, quote))
		return 0;
	out = (struct ipv6hdr *)s->answer;
	icmp = (struct icmp_header *)(out + 1);
	length = ICMP_HEADER_BYTES + quote;
	write_ip_v6(out, in, IPPROTO_ICMPV6, length);
	if (s->router[0]) {
		WORD(&out->saddr, 0) = s->router[0];
		WORD(&out->saddr, 8) = s->router[1];
	}
	*icmp = (struct icmp_header){ SAYS_TYPE(says), SAYS_CODE(says), 0, bpf_htonl(word) };
	/* The pseudo-header: both addresses, which lie in front of the message, length and protocol. */
	icmp->check = checksum((__u8 *)&out->saddr, 2 * sizeof(out->saddr) + length,
			       bpf_htons(length) + bpf_htons(IPPROTO_ICMPV6));
	return sizeof(*out) + length;
}

/* --- resets -----------------------------------------------------------------------------------------------
 */

/* The header of a reset that answers a segment of so many bytes of payload. */
static __always_inline void write_reset_header(struct tcphdr *out, const struct tcphdr *in, __u32 payload)
{
	__u8 flags = BYTE(in, TCP_FLAGS);

	__builtin_memset(out, 0, sizeof(*out));
	out->source = in->dest;
	out->dest = in->source;
	BYTE(out, TCP_DATA_OFFSET) = sizeof(*out) / 4 << 4;
	if (flags & LB_TCP_ACK) {
		out->seq = in->ack_seq;
		BYTE(out, TCP_FLAGS) = LB_TCP_RST;
		return;
	}
	payload += !!(flags & LB_TCP_SYN) + !!(flags & LB_TCP_FIN);
	out->ack_seq = bpf_htonl(bpf_ntohl(in->seq) + payload);
	BYTE(out, TCP_FLAGS) = LB_TCP_RST | LB_TCP_ACK;
}

/* Writes the reset into scratch; its length, or 0: there is none. */
LB_SUBPROGRAM int write_reset(void)
{
	struct scratch *s = scratch_get();
	__u32 tcp_bytes = sizeof(struct tcphdr), seed = bpf_htons(tcp_bytes) + bpf_htons(IPPROTO_TCP);
	struct tcphdr *in, *out;
	__u32 data_offset;
	void *ip;

	if (!s)
		return 0;
	in = head_at(s, s->l4, sizeof(*in));
	/* A first fragment is a part of a segment, whose length is not known. */
	if (!in || s->first_fragment || BYTE(in, TCP_FLAGS) & LB_TCP_RST)
		return 0;
	ip = head_at(s, s->l3, sizeof(struct ipv6hdr));
	data_offset = s->l4 + TCP_HEADER(in);
	if (!ip || data_offset > s->l3 + s->length || !within_budget(ANSWER_RESET, 1))
		return 0;
	if (s->p.family == LB_FAMILY_V4) {
		struct iphdr *header = (struct iphdr *)s->answer;

		out = (struct tcphdr *)(header + 1);
		write_ip_v4(header, ip, IPPROTO_TCP, 0, tcp_bytes);
		header->check = checksum((__u8 *)header, sizeof(*header), 0);
		write_reset_header(out, in, s->l3 + s->length - data_offset);
		out->check = checksum((__u8 *)&header->saddr, 8 + tcp_bytes, seed);
		return sizeof(*header) + tcp_bytes;
	}
	struct ipv6hdr *header = (struct ipv6hdr *)s->answer;

	out = (struct tcphdr *)(header + 1);
	write_ip_v6(header, ip, IPPROTO_TCP, tcp_bytes);
	write_reset_header(out, in, s->l3 + s->length - data_offset);
	out->check = checksum((__u8 *)&header->saddr, 2 * sizeof(header->saddr) + tcp_bytes, seed);
	return sizeof(*header) + tcp_bytes;
}

/* --- the frame --------------------------------------------------------------------------------------------
 */

/*
 * Makes the frame as long as the answer. Not where it is in several buffers: kernels corrupt their memory
 * when those are shortened (bpf_xdp_adjust_tail() on what a page pool owns; 6.12 and others). The frame stays
 * as long as it was then, and ends in bytes that no length in it counts, as padding does (RFC 894).
 */
static __always_inline int fit_frame(struct xdp_md *ctx, const struct scratch *s, __u32 bytes)
{
	__u64 frame = at_most(s->frame_bytes, 0xffff);

	if (bytes > s->frame_bytes)
		return bpf_xdp_adjust_head(ctx, -(int)(bytes - s->frame_bytes));
	if (bytes == s->frame_bytes || (void *)(long)ctx->data + frame > (void *)(long)ctx->data_end)
		return 0;
	return bpf_xdp_adjust_tail(ctx, (int)bytes - (int)s->frame_bytes);
}

/* The reason of a packet whose sender was told of a cause. */
static __always_inline int answered(__u32 cause)
{
	switch (cause) {
	case LB_DROP_TOO_BIG:
		return LB_REPLY_TOO_BIG;
	case LB_DROP_TTL:
		return LB_REPLY_TTL;
	case LB_DROP_NO_BACKEND:
		return LB_REPLY_NO_BACKEND;
	default:
		return LB_REPLY_UNCLAIMED;
	}
}

/* Turns the frame into the answer in scratch, of so many bytes: Ethernet header and tags go back. What
 * becomes of the packet then: the cause itself, where the driver left no room for an answer that is longer.
 */
LB_SUBPROGRAM int send_answer(struct xdp_md *ctx, __u32 cause, __u32 bytes)
{
	struct scratch *s = scratch_get();
	__u64 l3, answer = bytes;

	if (!s)
		return LB_DROP_INTERNAL;
	l3 = s->l3;
	swap_ethernet(s->head);
	if (fit_frame(ctx, s, l3 + answer))
		return cause;
	if (!is_within(&l3, sizeof(struct ethhdr), LB_L3_MAX) ||
	    !is_within(&answer, sizeof(struct iphdr), LB_ANSWER_BYTES_V6) ||
	    bpf_xdp_store_bytes(ctx, 0, s->head, l3) || bpf_xdp_store_bytes(ctx, l3, s->answer, answer))
		return LB_DROP_INTERNAL;
	return answered(cause);
}

/* --- what is answered -------------------------------------------------------------------------------------
 */

/* What an ICMP error says of a packet that is dropped for a reason; -1: nothing. */
static __always_inline int error_of(const struct scratch *s, __u32 cause)
{
	bool v4 = s->p.family == LB_FAMILY_V4;

	switch (cause) {
	case LB_DROP_TOO_BIG:
		return v4 ? SAYS(ICMP_DEST_UNREACHABLE, ICMP_FRAGMENTATION_NEEDED)
			  : SAYS(ICMPV6_PKT_TOOBIG, 0);
	case LB_DROP_TTL:
		return v4 ? SAYS(ICMP_TIME_EXCEEDED, 0) : SAYS(ICMPV6_TIME_EXCEED, ICMPV6_EXC_HOPLIMIT);
	default:
		if (s->p.protocol == IPPROTO_UDP)
			return v4 ? SAYS(ICMP_DEST_UNREACHABLE, ICMP_PORT_UNREACHABLE)
				  : SAYS(ICMPV6_DEST_UNREACH, ICMPV6_PORT_UNREACH);
		return v4 ? SAYS(ICMP_DEST_UNREACHABLE, ICMP_PROTOCOL_UNREACHABLE)
			  : SAYS(ICMPV6_DEST_UNREACH, ICMPV6_ADM_PROHIBITED);
	}
}

/* Whether a packet may be answered at all. */
static __always_inline bool is_answerable(const struct scratch *s)
{
	if (s->later_fragment || s->bad_header || s->p.tcp_flags & LB_TCP_RST)
		return false;
	if (s->kind != SLOW_FLOW || s->p.protocol == IPPROTO_ICMP || s->p.protocol == IPPROTO_ICMPV6)
		return false;
	return is_one_host((const __u8 *)s->p.saddr, s->p.family);
}

/*
 * Answers a packet that is dropped for a reason (too big for a next hop of mtu bytes of IP, TTL, no backend,
 * unclaimed): what became of it, the reason itself where there is no answer.
 */
LB_SUBPROGRAM int answer(struct xdp_md *ctx, __u32 cause, __u32 mtu)
{
	struct scratch *s = scratch_get();
	int bytes;

	if (!s)
		return LB_DROP_INTERNAL;
	slow_parse(ctx); /* as far as it goes: nothing of a service is needed */
	if (!s->p.family || !is_answerable(s))
		return cause;
	if (cause != LB_DROP_TOO_BIG)
		mtu = 0;
	if (cause == LB_DROP_TTL)
		find_router_address(ctx);
	if (s->p.protocol == IPPROTO_TCP && (cause == LB_DROP_NO_BACKEND || cause == LB_DROP_UNCLAIMED))
		bytes = write_reset();
	else if (s->p.family == LB_FAMILY_V4)
		bytes = write_error_v4(ctx, error_of(s, cause), mtu);
	else
		bytes = write_error_v6(ctx, error_of(s, cause), mtu);
	if (!bytes)
		return cause;
	return send_answer(ctx, cause, bytes);
}
