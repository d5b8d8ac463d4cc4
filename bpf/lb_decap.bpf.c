/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The backend's side of the tunnels: takes the outer header off packets that the balancer sent and hands the
 * inner packet to the stack, which owns the VIP on lo. Two entry programs do the same at different places:
 * lb_decap_xdp in the driver, lb_decap_tc at clsact ingress where XDP is taken. Loaded and filled by
 * lb-backend.
 *
 * It touches only packets whose outer destination is an address of the host and whose inner destination is a
 * VIP; all others pass as they are, other people's tunnels too. RFC 2003, RFC 2473, draft-ietf-intarea-gue
 * variant 1, and RFC 6040 for what congestion marks on the outer header mean.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lb/checksum.h"
#include "lb/decap.h"

#define IP_FRAGMENT 0x3fff /* more fragments, or an offset */
#define ECN_MASK    3
#define ECN_NOT_ECT 0
#define ECN_ECT_1   1
#define ECN_ECT_0   2
#define ECN_CE      3

/* All that is read of a packet. */
#define HEADERS_MAX                                                                                          \
	(sizeof(struct ethhdr) + sizeof(struct ipv6hdr) + sizeof(struct udphdr) + sizeof(struct ipv6hdr))

/* Set by lb-backend before loading. */
const volatile __u32 formats = LB_DECAP_FORMAT_IPIP; /* LB_DECAP_FORMAT_*, or'ed */
const volatile __u16 gue_port = LB_GUE_PORT;         /* host byte order */
const volatile __u8 check_from;                      /* 1: tunnels come from decap_from alone */

/* Addresses of the host that tunnels end at. Written by lb-backend; the value means nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LB_DECAP_ADDRESSES_MAX);
	__type(key, struct lb_decap_address);
	__type(value, __u32);
} decap_local SEC(".maps");

/* Prefixes that balancers send from. Written by lb-backend; the value means nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, LB_DECAP_PREFIXES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct lb_decap_prefix);
	__type(value, __u32);
} decap_from SEC(".maps");

/* VIPs. Keys written by lb-backend, counts by packets. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, LB_DECAP_ADDRESSES_MAX);
	__type(key, struct lb_decap_address);
	__type(value, struct lb_decap_vip);
} decap_vips SEC(".maps");

/* Packets by enum lb_decap_outcome. Written by packets. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LB_DECAP_OUTCOME_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} decap_counts SEC(".maps");

struct cursor {
	void *pos, *end;
};

/* What is known of a tunnel packet. Lengths in bytes. */
struct tunnel {
	__u32 outer_len;   /* of the outer IP header, with UDP where there is one */
	__u32 payload_len; /* behind it, as the outer header says */
	__u32 inner_len;
	struct lb_decap_vip *vip;
	__be16 inner_type; /* Ethernet type of the inner packet */
	__u8 outer_family;
	__u8 ecn; /* of the outer header */
	__u8 outcome;
	__be16 inner_word; /* first 16 bits of the inner header, as they will be: version and traffic class */
	__u16 inner_check; /* the IPv4 checksum that goes with it */
	bool marked;       /* these two differ from what the packet has */
	bool stranger;     /* the outer source is nobody whose tunnels we take */
};

static __always_inline int count(__u32 outcome)
{
	__u64 *packets = bpf_map_lookup_elem(&decap_counts, &outcome);

	if (packets)
		++*packets;
	return outcome >= LB_DECAP_DROP_INNER ? -1 : 0;
}

static __always_inline void count_delivered(const struct tunnel *t)
{
	count(t->outcome);
	if (t->vip) {
		t->vip->packets++;
		t->vip->bytes += t->inner_len;
	}
}

static __always_inline void address_v4(struct lb_decap_address *address, __be32 value)
{
	address->word[0] = 0;
	address->word[1] = 0;
	address->word[2] = bpf_htonl(0xffff);
	address->word[3] = value;
}

static __always_inline void address_v6(struct lb_decap_address *address, const struct in6_addr *value)
{
	__builtin_memcpy(address, value, sizeof(*address));
}

/* Whether tunnels from an address are taken. */
static __always_inline bool is_stranger(const struct lb_decap_address *source)
{
	struct lb_decap_prefix key = { .bits = 8 * sizeof(*source), .address = *source };

	return check_from && !bpf_map_lookup_elem(&decap_from, &key);
}

/* Of a header without options. Nobody else would check it once the header is gone. */
static __always_inline bool ip_checksum_right(const struct iphdr *ip)
{
	const __u32 *word = (const void *)ip;
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < 5; i++)
		sum = lb_csum_add32(sum, word[i]);
	return lb_csum_fold(sum) == 0xffff;
}

/*
 * The outer header. Advances the cursor to what follows it. Returns 0 and the protocol, or the outcome: the
 * first tests sort out the ordinary packet.
 */
static __always_inline int parse_outer_v4(struct cursor *c, struct tunnel *t, __u8 *protocol)
{
	struct iphdr *ip = c->pos;
	struct lb_decap_address address;
	__u32 total_len;

	if ((void *)(ip + 1) > c->end)
		return LB_DECAP_PASS_PLAIN;
	*protocol = ip->protocol;
	if (!((formats & LB_DECAP_FORMAT_IPIP && (*protocol == IPPROTO_IPIP || *protocol == IPPROTO_IPV6)) ||
	      (formats & LB_DECAP_FORMAT_GUE && *protocol == IPPROTO_UDP)))
		return LB_DECAP_PASS_PLAIN;
	address_v4(&address, ip->daddr);
	if (!bpf_map_lookup_elem(&decap_local, &address))
		return *protocol == IPPROTO_UDP ? LB_DECAP_PASS_PLAIN : LB_DECAP_PASS_OUTER;
	if (ip->ihl > 5) /* options: no balancer sends any */
		return LB_DECAP_PASS_PLAIN;
	total_len = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || ip->ihl < 5 || total_len < sizeof(*ip))
		return LB_DECAP_PASS_MALFORMED;
	if (ip->frag_off & bpf_htons(IP_FRAGMENT))
		return *protocol == IPPROTO_UDP ? LB_DECAP_PASS_PLAIN : LB_DECAP_PASS_FRAGMENT;
	if (*protocol != IPPROTO_UDP && !ip_checksum_right(ip))
		return LB_DECAP_PASS_MALFORMED;
	address_v4(&address, ip->saddr);
	t->stranger = is_stranger(&address);
	t->outer_family = 4;
	t->ecn = ip->tos & ECN_MASK;
	t->outer_len = sizeof(*ip);
	t->payload_len = total_len - sizeof(*ip);
	c->pos += sizeof(*ip);
	return 0;
}

static __always_inline int parse_outer_v6(struct cursor *c, struct tunnel *t, __u8 *protocol)
{
	struct ipv6hdr *ip = c->pos;
	struct lb_decap_address address;

	if ((void *)(ip + 1) > c->end)
		return LB_DECAP_PASS_PLAIN;
	*protocol = ip->nexthdr;
	if (!((formats & LB_DECAP_FORMAT_IPIP && (*protocol == IPPROTO_IPIP || *protocol == IPPROTO_IPV6)) ||
	      (formats & LB_DECAP_FORMAT_GUE && *protocol == IPPROTO_UDP)))
		return LB_DECAP_PASS_PLAIN;
	address_v6(&address, &ip->daddr);
	if (!bpf_map_lookup_elem(&decap_local, &address))
		return *protocol == IPPROTO_UDP ? LB_DECAP_PASS_PLAIN : LB_DECAP_PASS_OUTER;
	if (ip->version != 6)
		return LB_DECAP_PASS_MALFORMED;
	address_v6(&address, &ip->saddr);
	t->stranger = is_stranger(&address);
	t->outer_family = 6;
	t->ecn = ip->flow_lbl[0] >> 4 & ECN_MASK;
	t->outer_len = sizeof(*ip);
	t->payload_len = bpf_ntohs(ip->payload_len);
	c->pos += sizeof(*ip);
	return 0;
}

/* UDP and GUE variant 1: the first four bits of the payload are an IP version. */
static __always_inline int parse_gue(struct cursor *c, struct tunnel *t)
{
	struct udphdr *udp = c->pos;
	__u8 *first = (void *)(udp + 1);

	if ((void *)(first + 1) > c->end || udp->dest != bpf_htons(gue_port))
		return LB_DECAP_PASS_PLAIN;
	if (*first >> 6 != 1)
		return LB_DECAP_PASS_PLAIN; /* variant 0, for somebody else */
	if (bpf_ntohs(udp->len) < sizeof(*udp) || bpf_ntohs(udp->len) > t->payload_len)
		return LB_DECAP_PASS_MALFORMED;
	t->payload_len = bpf_ntohs(udp->len) - sizeof(*udp);
	t->outer_len += sizeof(*udp);
	c->pos += sizeof(*udp);
	return 0;
}

/*
 * RFC 6040, figure 4: the inner codepoint after decapsulation, or -1 where the packet must be dropped, since
 * the mark would be lost.
 */
static __always_inline int ecn_decapsulate(__u8 outer, __u8 inner)
{
	if (outer == ECN_CE)
		return inner == ECN_NOT_ECT ? -1 : ECN_CE;
	if (outer == ECN_ECT_1 && inner == ECN_ECT_0)
		return ECN_ECT_1;
	return inner;
}

/* A VIP's packet is ours: from here on, bad headers are dropped. length: of the inner packet, ~0 if its
 * header is bad. */
static __always_inline int vip_find(const struct lb_decap_address *address, __u32 length, struct tunnel *t)
{
	t->vip = bpf_map_lookup_elem(&decap_vips, address);
	if (!t->vip)
		return LB_DECAP_PASS_INNER;
	if (t->stranger)
		return LB_DECAP_DROP_SOURCE;
	if (length > t->payload_len)
		return LB_DECAP_DROP_INNER;
	t->inner_len = length;
	return 0;
}

static __always_inline int parse_inner_v4(struct cursor c, struct tunnel *t)
{
	struct iphdr *ip = c.pos;
	struct lb_decap_address address;
	__u32 length;
	__be16 word;
	int ret, ecn;

	if ((void *)(ip + 1) > c.end || t->payload_len < sizeof(*ip))
		return LB_DECAP_PASS_MALFORMED;
	address_v4(&address, ip->daddr);
	length = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || ip->ihl < 5 || length < ip->ihl * 4)
		length = ~0u;
	ret = vip_find(&address, length, t);
	if (ret)
		return ret;
	ecn = ecn_decapsulate(t->ecn, ip->tos & ECN_MASK);
	if (ecn < 0)
		return LB_DECAP_DROP_ECN;
	word = *(__be16 *)ip;
	t->inner_word = bpf_htons((bpf_ntohs(word) & ~ECN_MASK) | ecn);
	t->inner_check = lb_csum_replace16(ip->check, word, t->inner_word);
	t->marked = t->inner_word != word;
	return 0;
}

static __always_inline int parse_inner_v6(struct cursor c, struct tunnel *t)
{
	struct ipv6hdr *ip = c.pos;
	struct lb_decap_address address;
	__u32 length;
	__be16 word;
	int ret, ecn;

	if ((void *)(ip + 1) > c.end || t->payload_len < sizeof(*ip))
		return LB_DECAP_PASS_MALFORMED;
	address_v6(&address, &ip->daddr);
	length = ip->version == 6 ? bpf_ntohs(ip->payload_len) + sizeof(*ip) : ~0u;
	ret = vip_find(&address, length, t);
	if (ret)
		return ret;
	word = *(__be16 *)ip;
	ecn = ecn_decapsulate(t->ecn, bpf_ntohs(word) >> 4 & ECN_MASK);
	if (ecn < 0)
		return LB_DECAP_DROP_ECN;
	t->inner_word = bpf_htons((bpf_ntohs(word) & ~(ECN_MASK << 4)) | ecn << 4);
	t->marked = t->inner_word != word;
	return 0;
}

/* Reads a packet from its Ethernet header on; changes nothing. 0: take off t->outer_len bytes. */
static __always_inline int parse(struct cursor c, struct tunnel *t)
{
	struct ethhdr *eth = c.pos;
	__u8 protocol;
	int ret;

	if ((void *)(eth + 1) > c.end)
		return LB_DECAP_PASS_PLAIN;
	c.pos = eth + 1;
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		ret = parse_outer_v4(&c, t, &protocol);
	else if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		ret = parse_outer_v6(&c, t, &protocol);
	else
		return LB_DECAP_PASS_PLAIN;
	if (ret)
		return ret;

	if (protocol == IPPROTO_UDP) {
		ret = parse_gue(&c, t);
		if (ret)
			return ret;
		t->outcome = LB_DECAP_GUE;
		protocol = *(__u8 *)c.pos >> 4 == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	} else if (t->outer_family == 4) {
		t->outcome = protocol == IPPROTO_IPIP ? LB_DECAP_4IN4 : LB_DECAP_6IN4;
	} else {
		t->outcome = protocol == IPPROTO_IPIP ? LB_DECAP_4IN6 : LB_DECAP_6IN6;
	}
	if (protocol == IPPROTO_IPIP) {
		t->inner_type = bpf_htons(ETH_P_IP);
		return parse_inner_v4(c, t);
	}
	t->inner_type = bpf_htons(ETH_P_IPV6);
	return parse_inner_v6(c, t);
}

SEC("xdp.frags")
int lb_decap_xdp(struct xdp_md *ctx)
{
	struct cursor c = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	struct tunnel t = {};
	struct ethhdr old, *eth;
	int ret = parse(c, &t);

	if (ret)
		return count(ret) ? XDP_DROP : XDP_PASS;
	eth = c.pos;
	if ((void *)(eth + 1) > c.end)
		return XDP_PASS;
	old = *eth;
	old.h_proto = t.inner_type;
	if (bpf_xdp_adjust_head(ctx, t.outer_len))
		return count(LB_DECAP_DROP_ADJUST) ? XDP_DROP : XDP_PASS;

	eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);
	if ((void *)(ip + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	*eth = old;
	if (t.marked) {
		*(__be16 *)ip = t.inner_word;
		if (t.inner_type == bpf_htons(ETH_P_IP))
			ip->check = t.inner_check;
	}
	count_delivered(&t);
	return XDP_PASS;
}

/*
 * Takes the outer header off an skb. The family changes through bpf_skb_change_proto, which adds or removes
 * the 20 bytes by which the headers differ: unlike the DECAP_L3 flags of bpf_skb_adjust_room, every kernel
 * has it.
 */
static __always_inline long skb_shrink(struct __sk_buff *skb, const struct tunnel *t)
{
	const int difference = sizeof(struct ipv6hdr) - sizeof(struct iphdr);
	int length = t->outer_len;
	long ret = 0;

	if (t->outer_family == 4 && t->inner_type == bpf_htons(ETH_P_IPV6)) {
		ret = bpf_skb_change_proto(skb, t->inner_type, 0);
		length += difference;
	} else if (t->outer_family == 6 && t->inner_type == bpf_htons(ETH_P_IP)) {
		ret = bpf_skb_change_proto(skb, t->inner_type, 0);
		length -= difference;
	}
	return ret ?: bpf_skb_adjust_room(skb, -length, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
}

static __always_inline long skb_rewrite(struct __sk_buff *skb, struct tunnel *t)
{
	const __u32 ip = sizeof(struct ethhdr);
	long ret = bpf_skb_store_bytes(skb, __builtin_offsetof(struct ethhdr, h_proto), &t->inner_type,
				       sizeof(t->inner_type), 0);

	if (!ret && t->marked)
		ret = bpf_skb_store_bytes(skb, ip, &t->inner_word, sizeof(t->inner_word),
					  BPF_F_RECOMPUTE_CSUM);
	if (!ret && t->marked && t->inner_type == bpf_htons(ETH_P_IP))
		ret = bpf_skb_store_bytes(skb, ip + __builtin_offsetof(struct iphdr, check), &t->inner_check,
					  sizeof(t->inner_check), BPF_F_RECOMPUTE_CSUM);
	return ret;
}

SEC("tc")
int lb_decap_tc(struct __sk_buff *skb)
{
	struct cursor c = { (void *)(long)skb->data, (void *)(long)skb->data_end };
	struct tunnel t = {};
	int ret;

	/* A driver may leave all but the Ethernet header outside the linear part. */
	if (c.pos + HEADERS_MAX > c.end && c.end - c.pos < skb->len) {
		bpf_skb_pull_data(skb, skb->len < HEADERS_MAX ? skb->len : HEADERS_MAX);
		c = (struct cursor){ (void *)(long)skb->data, (void *)(long)skb->data_end };
	}
	ret = parse(c, &t);
	if (ret)
		return count(ret) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
	if (skb_shrink(skb, &t) || skb_rewrite(skb, &t)) {
		count(LB_DECAP_DROP_ADJUST);
		return TC_ACT_SHOT;
	}
	count_delivered(&t);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
