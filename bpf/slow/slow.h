/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Packets that the fast path hands over: VLAN tags, IPv6 extension headers, fragments, ICMP, headers beyond
 * the linear part of the frame, and bad headers. They are read from a copy of the frame's beginning in a
 * per-CPU scratch area, so that nothing depends on where the driver put the bytes, and they end in the same
 * service_of(), choose() and header templates as all others.
 *
 * Each step is a function that the verifier checks by itself; they pass struct scratch between them.
 */
#pragma once

#include <linux/icmpv6.h>

#include "count.h"
#include "forward.h"
#include "parse.h"
#include "select.h"
#include "service.h"

/* RFC 792; linux/icmp.h drags in the C library's socket headers. */
#define ICMP_ECHO_REPLY           0
#define ICMP_DEST_UNREACHABLE     3
#define ICMP_PROTOCOL_UNREACHABLE 2
#define ICMP_PORT_UNREACHABLE     3
#define ICMP_FRAGMENTATION_NEEDED 4
#define ICMP_ECHO_REQUEST         8
#define ICMP_TIME_EXCEEDED        11
#define ICMP_PARAMETER_PROBLEM    12
#define ICMP_HEADER_BYTES         8u  /* both versions */
#define NDISC_FIRST               133 /* RFC 4861: router solicitation */
#define NDISC_LAST                137 /* redirect */

#define LB_HEAD_BYTES     256u /* of the frame in which headers may begin */
#define LB_HEAD_SLACK     72u  /* so that a header that begins there can be read */
#define LB_HEAD_LOAD      (LB_HEAD_BYTES + LB_HEAD_SLACK)
#define LB_VLAN_TAGS      2u  /* followed */
#define LB_EXTENSIONS     6u  /* followed */
#define LB_OUTER_BYTES    96u /* Ethernet, a tag, IPv6, UDP fit */
#define LB_OUTER_TAG_ROOM 4u  /* a tag moves the addresses forward in outer[] */

/* An ICMP error of ours with its quote of the packet it is about: as long as RFC 1812 section 4.3.2.3 and RFC
 * 4443 section 2.4 (c) let it be. */
#define LB_ANSWER_BYTES_V4 576u
#define LB_ANSWER_BYTES_V6 1280u

#define VLAN_BYTES 4u  /* tag control information, and the type of what follows */
#define LB_L3_MAX  22u /* Ethernet and the tags that are followed */

#define LB_MTU_MIN_V4 552
#define LB_MTU_MIN_V6 1280

#define ANSWER_TTL               64
#define TOS_INTERNETWORK_CONTROL 0xc0

/* How messages of both versions begin. */
struct icmp_header {
	__u8 type;
	__u8 code;
	__sum16 check;
	__be32 word; /* MTU, identifier and sequence, ...: as the type says */
};

enum slow_kind { SLOW_FLOW, SLOW_ICMP_ERROR, SLOW_ECHO, SLOW_LATER_FRAGMENT };

struct scratch {
	__u8 head[LB_HEAD_LOAD];
	__u8 outer[LB_OUTER_BYTES];
	__u8 answer[LB_ANSWER_BYTES_V6]; /* being built: IP, ICMP and quote, or TCP */
	struct pkt p;
	__u64 router[2];   /* source of an answer of a router, as words in memory; 0: the packet's destination
			    */
	__u32 head_bytes;  /* valid in head */
	__u32 frame_bytes; /* of the whole frame */
	__u32 l3;          /* offset of the IP header */
	__u32 l4;          /* offset of the transport header */
	__u32 length;      /* of the IP packet */
	__u32 fragment_id;
	__u32 option; /* offset of the IPv4 option that is looked at */
	__u32 quote; /* offset of the packet that a too-big message is about; 0: it is none, or a silly one */
	__u8 fragment_protocol;
	__u8 tags;
	__u8 kind;           /* enum slow_kind */
	__u8 first_fragment; /* later ones will follow */
	__u8 silly_mtu;      /* a too-big message that asks for what no link has */
	__u8 later_fragment;
	__u8 link_only;   /* neighbour discovery and the like, which routers do not forward */
	__s32 bad_header; /* enum lb_reason, or 0 */
	/* Who the fast path chose for a packet that is to be tagged, and for which service. */
	struct lb_vip vip;
	struct lb_backend backend;
};

/* Written and read by one packet at a time, each CPU its own. Of each program its own, and not pinned:
 * nothing in it outlives a packet. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} slow_scratch SEC(".maps");

static __always_inline struct scratch *scratch_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&slow_scratch, &zero);
}

/*
 * n bytes (at most LB_HEAD_SLACK) at an offset of the frame, or NULL where it or the copy ends before. The
 * barriers keep the compiler from adding the offset to the pointer before the verifier has seen it bounded.
 */
static __always_inline void *head_at(struct scratch *s, __u64 offset, __u32 n)
{
	asm volatile("" : "+r"(offset));
	if (offset > LB_HEAD_BYTES || offset + n > s->head_bytes)
		return NULL;
	asm volatile("" : "+r"(offset));
	return s->head + offset;
}

static __always_inline int slow_load(struct xdp_md *ctx, struct scratch *s)
{
	__u64 frame = bpf_xdp_get_buff_len(ctx);
	__u64 bytes = at_most(frame, LB_HEAD_LOAD);

	s->frame_bytes = frame;
	s->head_bytes = bytes;
	s->tags = s->kind = s->first_fragment = s->later_fragment = s->silly_mtu = 0;
	s->link_only = 0;
	s->quote = 0;
	s->router[0] = s->router[1] = 0;
	s->bad_header = 0;
	__builtin_memset(&s->p, 0, sizeof(s->p));
	if (bytes < sizeof(struct ethhdr) || bytes > LB_HEAD_LOAD ||
	    bpf_xdp_load_bytes(ctx, 0, s->head, bytes))
		return LB_PASS_MALFORMED;
	return 0;
}
