/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A balancer in a thimble, for the test of lb-backend: at tc egress of the lab's balancer it puts everything
 * for the lab's VIPs into a tunnel to backend 1. One program per format.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lb/checksum.h"
#include "lb/decap.h"

#define VIP_V4     bpf_htonl(0xcb00710a) /* 203.0.113.10 */
#define BALANCER   bpf_htonl(0x0a4d0002) /* 10.77.0.2 */
#define BACKEND    bpf_htonl(0x0a4d000b) /* 10.77.0.11 */
#define BALANCER_6 0x02                  /* fd77::2 */
#define BACKEND_6  0x11                  /* fd77::11 */

/* IPPROTO_IPIP, IPPROTO_IPV6, or 0 for what is not for a VIP. */
static __always_inline __u8 inner_protocol(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct ipv6hdr *ip6 = (void *)(eth + 1);

	if ((void *)(ip + 1) > end)
		return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return ip->daddr == VIP_V4 ? IPPROTO_IPIP : 0;
	if (eth->h_proto != bpf_htons(ETH_P_IPV6) || (void *)(ip6 + 1) > end)
		return 0;
	/* 2001:db8:113::10 */
	return ip6->daddr.s6_addr32[0] == bpf_htonl(0x20010db8) &&
			       ip6->daddr.s6_addr32[1] == bpf_htonl(0x01130000) &&
			       ip6->daddr.s6_addr32[3] == bpf_htonl(0x10)
		       ? IPPROTO_IPV6
		       : 0;
}

static __always_inline void udp_fill(struct udphdr *udp, __u32 length)
{
	udp->source = bpf_htons(50000);
	udp->dest = bpf_htons(LB_GUE_PORT);
	udp->len = bpf_htons(length);
	udp->check = 0;
}

static __always_inline int encap_v4(struct __sk_buff *skb, int gue)
{
	struct {
		struct iphdr ip;
		struct udphdr udp;
	} header = {};
	__u32 length = gue ? sizeof(header) : sizeof(header.ip), inner = skb->len - sizeof(struct ethhdr),
	      sum = 0;
	__u8 protocol = inner_protocol(skb);
	__be16 type = bpf_htons(ETH_P_IP);

	if (!protocol)
		return TC_ACT_OK;
	header.ip.version = 4;
	header.ip.ihl = 5;
	header.ip.tot_len = bpf_htons(inner + length);
	header.ip.frag_off = bpf_htons(0x4000);
	header.ip.ttl = 64;
	header.ip.protocol = gue ? IPPROTO_UDP : protocol;
	header.ip.saddr = BALANCER;
	header.ip.daddr = BACKEND;
	for (int i = 0; i < 5; i++)
		sum = lb_csum_add32(sum, ((__u32 *)&header.ip)[i]);
	header.ip.check = ~lb_csum_fold(sum);
	udp_fill(&header.udp, inner + sizeof(header.udp));
	if (bpf_skb_adjust_room(skb, length, BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_FIXED_GSO |
					(gue ? BPF_F_ADJ_ROOM_ENCAP_L4_UDP : 0)))
		return TC_ACT_SHOT;
	if (bpf_skb_store_bytes(skb, sizeof(struct ethhdr), &header, length, 0) ||
	    bpf_skb_store_bytes(skb, __builtin_offsetof(struct ethhdr, h_proto), &type, sizeof(type), 0))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

static __always_inline int encap_v6(struct __sk_buff *skb, int gue)
{
	struct {
		struct ipv6hdr ip;
		struct udphdr udp;
	} header = {};
	__u32 length = gue ? sizeof(header) : sizeof(header.ip), inner = skb->len - sizeof(struct ethhdr);
	__u8 protocol = inner_protocol(skb);
	__be16 type = bpf_htons(ETH_P_IPV6);

	if (!protocol)
		return TC_ACT_OK;
	header.ip.version = 6;
	header.ip.payload_len = bpf_htons(inner + length - sizeof(header.ip));
	header.ip.hop_limit = 64;
	header.ip.nexthdr = gue ? IPPROTO_UDP : protocol;
	header.ip.saddr.s6_addr32[0] = header.ip.daddr.s6_addr32[0] = bpf_htonl(0xfd770000);
	header.ip.saddr.s6_addr32[3] = bpf_htonl(BALANCER_6);
	header.ip.daddr.s6_addr32[3] = bpf_htonl(BACKEND_6);
	udp_fill(&header.udp, inner + sizeof(header.udp));
	if (bpf_skb_adjust_room(skb, length, BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 | BPF_F_ADJ_ROOM_FIXED_GSO |
					(gue ? BPF_F_ADJ_ROOM_ENCAP_L4_UDP : 0)))
		return TC_ACT_SHOT;
	if (bpf_skb_store_bytes(skb, sizeof(struct ethhdr), &header, length, 0) ||
	    bpf_skb_store_bytes(skb, __builtin_offsetof(struct ethhdr, h_proto), &type, sizeof(type), 0))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

SEC("tc")
int ipip_v4(struct __sk_buff *skb)
{
	return encap_v4(skb, 0);
}

SEC("tc")
int ipip_v6(struct __sk_buff *skb)
{
	return encap_v6(skb, 0);
}

SEC("tc")
int gue_v4(struct __sk_buff *skb)
{
	return encap_v4(skb, 1);
}

SEC("tc")
int gue_v6(struct __sk_buff *skb)
{
	return encap_v6(skb, 1);
}

char LICENSE[] SEC("license") = "GPL";
