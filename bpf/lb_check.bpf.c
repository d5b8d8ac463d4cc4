/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checks through the packet path: connections, and echo requests that ask how large a packet may be. A packet
 * of lb-checkd to a VIP, led to a device of ours by its mark, goes to the backend that it is to check,
 * whatever the ring says: with the very record that packets are forwarded by, so that what does not reach
 * clients' packets does not reach it either. At clsact egress: it is a local packet, and where it leaves need
 * not run XDP.
 *
 * The device leads nowhere: what is not sent from here is dropped.
 */
#include <linux/bpf.h>
#include <linux/icmpv6.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "lb/check.h"
#include "forward.h"
#include "parse.h"
#include "select.h"
#include "service.h"

/* In tc_index of what was sent from here. */
#define SENT_BY_US 0x5743

#define ICMP_ECHO_REQUEST 8

#define TTL 64 /* lb-checkd sends with 1, so that what goes astray dies at the first router */

/* Written by lb-checkd. Key: lb_check_place(). Value: number of the target + 1, of the youngest check from
 * there. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LB_CHECK_PLACES);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} lb_check_ports SEC(".maps");

/* Written by the agent. Key: number of the target. max_entries: set by the agent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct lb_check_target);
} lb_check_targets SEC(".maps");

/* Written by packets, read by the agent. Key: number of the target. Value: ns of CLOCK_MONOTONIC, of the last
 * one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} lb_check_seen SEC(".maps");

/* Written by packets. Key: enum lb_check_count. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LB_CHECK_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} lb_check_counts SEC(".maps");

static __always_inline int count(__u32 what, int action)
{
	__u64 *packets = bpf_map_lookup_elem(&lb_check_counts, &what);

	if (packets)
		++*packets;
	return action;
}

/* An echo request: its identifier stands for a port. */
static __always_inline bool read_echo(void *icmp, struct pkt *p)
{
	if (BYTE(icmp, 0) != (p->family == LB_FAMILY_V4 ? ICMP_ECHO_REQUEST : ICMPV6_ECHO_REQUEST))
		return false;
	p->sport = SHORT(icmp, 4);
	p->dport = 0;
	return true;
}

/* Of what asks for how much gets through, no more is refused than the kernel does. */
static __always_inline bool is_echo(const struct pkt *p)
{
	return p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6;
}

static __always_inline bool read_transport(void *transport, struct pkt *p)
{
	if (p->protocol == (p->family == LB_FAMILY_V4 ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return read_echo(transport, p);
	read_ports(transport, p);
	return p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP;
}

/* Headers as our own stack makes them: no options, no fragments. */
static __always_inline bool read_headers(struct __sk_buff *skb, struct pkt *p)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	void *ip = data + sizeof(struct ethhdr);

	if (ip + sizeof(struct iphdr) + sizeof(struct udphdr) > end)
		return false;
	if (ETH_TYPE(data) == bpf_htons(ETH_P_IP)) {
		if (BYTE(ip, 0) != IPV4_PLAIN || IP4_FIELD(ip, frag_off) & bpf_htons(LB_IP_FRAGMENT))
			return false;
		read_ipv4(ip, p);
		return read_transport(ip + sizeof(struct iphdr), p);
	} else if (ETH_TYPE(data) == bpf_htons(ETH_P_IPV6)) {
		if (ip + sizeof(struct ipv6hdr) + sizeof(struct udphdr) > end)
			return false;
		read_ipv6(ip, p);
		return read_transport(ip + sizeof(struct ipv6hdr), p);
	}
	return false;
}

/* The target that the packet's port belongs to, if it is for its VIP; else NULL. */
static __always_inline struct lb_check_target *target_of(const struct pkt *p, __u32 *ret_number)
{
	__u32 place = lb_check_place(p->family, p->protocol, bpf_ntohs(p->sport));
	__u64 *number = bpf_map_lookup_elem(&lb_check_ports, &place);
	struct lb_check_target *target;

	if (!number)
		return NULL;
	*ret_number = (__u32)LB_LOAD(number) - 1;
	target = bpf_map_lookup_elem(&lb_check_targets, ret_number);
	if (!target || target->address[0] != p->daddr[0] || target->address[1] != p->daddr[1])
		return NULL;
	return target;
}

static __always_inline void set_ttl(const struct pkt *p)
{
	if (p->family == LB_FAMILY_V4) {
		/* Of which the TTL is the first byte. */
		__u16 *word = (void *)&IP4_FIELD(p->ip, ttl), old = *word, new = (old & 0xff00) | TTL;

		IP4_FIELD(p->ip, check) = lb_csum_replace16(IP4_FIELD(p->ip, check), old, new);
		*word = new;
	} else {
		IP6_FIELD(p->ip, hop_limit) = TTL;
	}
}

/* Makes room behind the Ethernet header and fills it and the Ethernet header. 0, or the kernel refuses. */
static __always_inline long wrap_as(struct __sk_buff *skb, struct inner in, const struct lb_vip *vip,
				    const struct lb_backend *backend, __u64 hash, bool v6, bool gue)
{
	long r = bpf_skb_adjust_room(
		skb, OUTER_BYTES(v6, gue), BPF_ADJ_ROOM_MAC,
		BPF_F_ADJ_ROOM_FIXED_GSO |
			(v6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV4) |
			(gue ? BPF_F_ADJ_ROOM_ENCAP_L4_UDP : 0));
	struct varied v = vary(vip, hash, v6, gue);
	void *data = (void *)(long)skb->data;

	if (r || data + sizeof(struct ethhdr) + OUTER_BYTES(v6, gue) > (void *)(long)skb->data_end)
		return -1;
	write_outer(data, in, &v, backend, v6, gue);
	/* Of what gets a tag, the record's type is no type. */
	ETH_TYPE(data) = v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	return 0;
}

static __always_inline long wrap_skb(struct __sk_buff *skb, struct inner in, const struct lb_vip *vip,
				     const struct lb_backend *backend, __u64 hash)
{
	void *data = (void *)(long)skb->data;

	switch (backend->method) {
	case LB_METHOD_L2:
		if (data + sizeof(struct ethhdr) > (void *)(long)skb->data_end)
			return -1;
		write_l2(data, backend);
		return 0;
#define X(method, v6, gue)                                                                                   \
	case method:                                                                                         \
		return wrap_as(skb, in, vip, backend, hash, v6, gue);
		ENCAPSULATIONS(X)
#undef X
	}
	return -1;
}

static __always_inline long push_tag(struct __sk_buff *skb, __u32 tag)
{
	return tag ? bpf_skb_vlan_push(skb, bpf_htons(tag >> 16), tag & 0xffff) : 0;
}

static __always_inline int send(struct __sk_buff *skb, const struct pkt *p, const struct lb_vip *vip,
				const struct lb_backend *backend, __u64 hash, __u32 number)
{
	struct inner in = read_inner(p);
	__u32 port = LB_LOAD(&backend->port);
	__u64 *way = bpf_map_lookup_elem(&lb_ports, &port);
	__u64 *seen = bpf_map_lookup_elem(&lb_check_seen, &number);

	if ((in.length > lb_backend_max_len(backend) && !is_echo(p)) || !way)
		return count(LB_CHECK_NO_WAY, TC_ACT_SHOT);
	set_ttl(p);
	if (wrap_skb(skb, in, vip, backend, hash) || push_tag(skb, lb_port_tag(*way)))
		return count(LB_CHECK_REFUSED, TC_ACT_SHOT);
	skb->tc_index = SENT_BY_US;
	skb->mark = 0; /* it has led here, and means nothing to others */
	if (seen)
		LB_STORE(seen, bpf_ktime_get_ns());
	return count(LB_CHECK_SENT, bpf_redirect(lb_port_ifindex(*way), 0));
}

SEC("tc")
int lb_check(struct __sk_buff *skb)
{
	struct lb_control *control = control_get();
	struct lb_check_target *target;
	struct lb_backend *backend;
	struct lb_vip_bank *bank;
	struct lb_vip *vip;
	struct pkt p = {};
	const __u64 *seed;
	__u32 number = 0;
	__u64 active;

	if (!control || !read_headers(skb, &p))
		return count(LB_CHECK_NOT_OURS, TC_ACT_SHOT);
	target = target_of(&p, &number);
	if (!target)
		return count(LB_CHECK_NOT_OURS, TC_ACT_SHOT);
	active = LB_LOAD(&control->active);
	seed = LB_AFTER(&control->hash_seed[0], active);
	bank = active_bank(active);
	vip = bank ? vip_find(bank, active, target->key[0], target->key[1], target->key[2]) : NULL;
	backend = vip && target->index < vip->backend_count ? backend_record(vip, target->index) : NULL;
	if (!backend || !(backend->flags & LB_BACKEND_USED))
		return count(LB_CHECK_NO_RECORD, TC_ACT_SHOT);
	return send(skb, &p, vip, backend, flow_hash(&p, seed, 0), number);
}

/*
 * At clsact egress of the interfaces that VIPs are routed to the balancer by: when an answer to a check comes
 * after its end, the kernel, which has no socket of it any more, answers with a reset that has no mark. To a
 * VIP it would be sent to some backend as a client's packet. Others' packets, connections of this host to a
 * VIP among them, go on.
 */
SEC("tc")
int lb_check_guard(struct __sk_buff *skb)
{
	struct pkt p = {};
	__u32 number = 0;
	void *tcp;

	if (skb->tc_index == SENT_BY_US || !read_headers(skb, &p) || p.protocol != IPPROTO_TCP)
		return TC_ACT_UNSPEC;
	tcp = p.ip + (p.family == LB_FAMILY_V4 ? sizeof(struct iphdr) : sizeof(struct ipv6hdr));
	if (tcp + sizeof(struct tcphdr) > (void *)(long)skb->data_end || !(BYTE(tcp, TCP_FLAGS) & LB_TCP_RST))
		return TC_ACT_UNSPEC;
	return target_of(&p, &number) ? count(LB_CHECK_LATE, TC_ACT_SHOT) : TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
