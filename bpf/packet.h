/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the pipeline knows of a packet. parse.h fills it, anew in a subprogram that is only given numbers.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lb/access.h"
#include "lb/reasons.h"
#include "lb/types.h"

/*
 * A function off the fast path. In the kernel it is a global one: the verifier checks it once, by itself,
 * whoever calls it. Hence arguments are numbers or the context.
 */
#ifdef __bpf__
#define LB_SUBPROGRAM __attribute__((noinline))
#else
#define LB_SUBPROGRAM static __attribute__((noinline, unused))
#endif

/* Wide loads and stores at any offset of a packet or record; both architectures do them unaligned. */
#define WORD(base, offset)  (*(__u64 *)((void *)(base) + (offset)))
#define HALF(base, offset)  (*(__u32 *)((void *)(base) + (offset)))
#define SHORT(base, offset) (*(__u16 *)((void *)(base) + (offset)))
#define BYTE(base, offset)  (*(__u8 *)((void *)(base) + (offset)))

/*
 * Fields by name, at any place of a packet. The structures are those of the kernel's headers; what they do
 * not name, or name in bits whose order is the compiler's, follows.
 */
#define IP4_FIELD(ip, field)  (((struct iphdr *)(ip))->field)
#define IP6_FIELD(ip, field)  (((struct ipv6hdr *)(ip))->field)
#define UDP_FIELD(udp, field) (((struct udphdr *)(udp))->field)
#define ETH_TYPE(eth)         SHORT(eth, offsetof(struct ethhdr, h_proto)) /* the structure is packed: bytes */

#define IP_VERSION(ip)     (BYTE(ip, 0) >> 4)
#define IP4_IHL            15                            /* of the first byte: header length in words */
#define IP4_HEADER(ip)     ((BYTE(ip, 0) & IP4_IHL) * 4) /* bytes, as it says itself */
#define IP4_TTL_WORD(ip)   HALF(ip, offsetof(struct iphdr, ttl)) /* TTL, protocol, checksum */
#define IP6_FIRST(ip)      SHORT(ip, 0) /* version, traffic class, 4 bits of the flow label */
#define IP6_TRAFFIC(first) (bpf_ntohs(first) >> 4 & 0xff)
#define TCP_HEADER(tcp)    (BYTE(tcp, TCP_DATA_OFFSET) >> 4 << 2) /* the same */

#define IPV4_PLAIN      0x45 /* first byte: version 4, a header without options */
#define IPV4_DF         0x4000
#define TCP_DATA_OFFSET (offsetof(struct tcphdr, window) - 2)
#define TCP_FLAGS       (offsetof(struct tcphdr, window) - 1)

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "header words are composed for little endian");

/* Moves forward only over what was checked to be there. */
struct cursor {
	void *pos;
	void *end;
};

struct pkt {
	void *ip;       /* the IP header in the packet; void once the head has moved */
	__u64 saddr[2]; /* words as they lie in memory; IPv4 in the low half of [0] */
	__u64 daddr[2];
	__be16 sport;
	__be16 dport;
	__u8 family;    /* LB_FAMILY_* */
	__u8 protocol;  /* IPPROTO_* */
	__u8 tcp_flags; /* LB_TCP_*; 0 for other protocols */
};

#define LB_TCP_FIN 0x01
#define LB_TCP_SYN 0x02
#define LB_TCP_RST 0x04
#define LB_TCP_ACK 0x10

/* May open a connection. */
static __always_inline bool flags_are_syn(__u8 tcp_flags)
{
	return (tcp_flags & (LB_TCP_SYN | LB_TCP_ACK)) == LB_TCP_SYN;
}

static __always_inline bool pkt_is_syn(const struct pkt *p)
{
	return flags_are_syn(p->tcp_flags);
}

/* value, which mostly is this one: its case is looked for first. */
#define LB_MOSTLY(value, one) __builtin_expect(value, one)

/* A number that is seldom needed: made where it is needed, not in advance on the way to where it is not. */
#define LB_SELDOM(number)                                                                                    \
	({                                                                                                   \
		int lb_seldom = (number);                                                                    \
		LB_HIDE(lb_seldom);                                                                          \
		lb_seldom;                                                                                   \
	})

/* At most max; hidden from the compiler, which would otherwise compare one register and use another. */
static __always_inline __u64 at_most(__u64 n, __u64 max)
{
	n = n < max ? n : max;
	asm volatile("" : "+r"(n));
	return n;
}
