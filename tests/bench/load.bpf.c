/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The load generator and its sink. The generator runs by BPF_PROG_TEST_RUN with live frames: each run writes
 * one frame by the recipe and sends it into a veth, or drops it where the pace says that none is due. Frames
 * are used again without being initialised, so every header byte is written every time. The sink stands for
 * all backends: it counts what arrives by outer destination, takes the time of the probe's packets, and
 * drops.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "load.h"

struct load_recipe recipe;
struct load_sent sent;
struct load_slow slow;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct load_received);
} load_received SEC(".maps");

/* Backend by flow. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LOAD_LEARNT);
	__type(key, __u32);
	__type(value, __u32);
} load_owners SEC(".maps");

static __always_inline __u32 draw(void)
{
	sent.random = sent.random * 6364136223846793005ull + 1442695040888963407ull;
	return sent.random >> 32;
}

/* Whether a packet is due now. */
static __always_inline int due(__u64 now)
{
	__u64 period = recipe.on_ns + recipe.off_ns;

	if (!sent.start_ns)
		sent.start_ns = sent.next_ns = now;
	if (recipe.off_ns && (now - sent.start_ns) % period >= recipe.on_ns)
		return 0;
	if (!recipe.interval_ns)
		return 1;
	if (now < sent.next_ns)
		return 0;
	/* What could not be sent in time is not made up for, beyond a moment. */
	if (now - sent.next_ns > 200000)
		sent.next_ns = now;
	sent.next_ns += recipe.interval_ns;
	return 1;
}

struct packet {
	__u32 flow;
	__u32 source, ports; /* network order */
	__u16 length;        /* of the frame */
	__u16 fragment;      /* IPv4 flags and offset, network order */
	__u16 id;
	__u8 protocol;
	__u8 flags; /* TCP */
};

/* IPv4 and IPv6 alike end in addresses, and ports come next. */
static __always_inline void write_ports(void *l4, const struct packet *p, __u16 length)
{
	*(__u32 *)l4 = p->ports;
	if (p->protocol == IPPROTO_UDP) {
		*(__u16 *)(l4 + 4) = bpf_htons(length);
		*(__u16 *)(l4 + 6) = 0;
		*(__u64 *)(l4 + 8) = 0;
		*(__u32 *)(l4 + 16) = 0;
		return;
	}
	*(__u64 *)(l4 + 4) = 0;
	*(__u32 *)(l4 + 12) = bpf_htonl(0x50000400 | p->flags << 16);
	*(__u32 *)(l4 + 16) = 0;
}

static __always_inline __u16 header_checksum(const __u16 *word)
{
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += word[i];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~(sum + (sum >> 16));
}

/* The kernel's own forwarding looks at the checksum of the header (bench-peers). */
static __always_inline void write_ipv4(void *ip, const struct packet *p)
{
	__u16 length = p->length - sizeof(struct ethhdr);

	*(__u32 *)ip = bpf_htonl(0x45000000 | length);
	*(__u16 *)(ip + 4) = p->id;
	*(__u16 *)(ip + 6) = p->fragment;
	*(__u32 *)(ip + 8) = bpf_htonl(64u << 24 | p->protocol << 16);
	*(__u32 *)(ip + 12) = p->source;
	*(__u32 *)(ip + 16) = bpf_htonl(LOAD_VIP_V4);
	*(__u16 *)(ip + 10) = header_checksum(ip);
	write_ports(ip + sizeof(struct iphdr), p, length - sizeof(struct iphdr));
}

static __always_inline void write_ipv6(void *ip, const struct packet *p)
{
	__u16 length = p->length - sizeof(struct ethhdr) - sizeof(struct ipv6hdr);

	*(__u32 *)ip = bpf_htonl(0x60000000);
	*(__u32 *)(ip + 4) = bpf_htonl((__u32)length << 16 | p->protocol << 8 | 64);
	*(__u32 *)(ip + 8) = bpf_htonl(LOAD_VIP_V6_NET);
	*(__u32 *)(ip + 12) = 0;
	*(__u32 *)(ip + 16) = 0;
	*(__u32 *)(ip + 20) = p->source;
	*(__u32 *)(ip + 24) = bpf_htonl(LOAD_VIP_V6_NET);
	*(__u32 *)(ip + 28) = bpf_htonl(0x01130000);
	*(__u32 *)(ip + 32) = 0;
	*(__u32 *)(ip + 36) = bpf_htonl(0x10);
	write_ports(ip + sizeof(struct ipv6hdr), p, length);
}

static __always_inline __u32 hot_flow(void)
{
	if (recipe.n_hot)
		return recipe.hot[draw() & 15];
	return (__u64)draw() * recipe.hot_flows >> 32;
}

/* Draws a packet. Returns whether it is IPv6. */
static __always_inline int choose(struct packet *p)
{
	int hot = recipe.hot_share && draw() < recipe.hot_share;

	p->flow = hot ? hot_flow() : (__u64)draw() * recipe.flows >> 32;
	if (recipe.learning)
		p->flow = sent.count & (LOAD_LEARNT - 1);
	p->source = bpf_htonl(LOAD_SOURCES + (p->flow >> 4));
	p->ports = bpf_htonl((1024 + (p->flow & 15) * 4001) << 16 | 80);
	p->protocol = recipe.udp_share && draw() < recipe.udp_share ? IPPROTO_UDP : IPPROTO_TCP;
	p->flags = recipe.syn_share && draw() < recipe.syn_share ? 0x02 : 0x10;
	p->length = recipe.large && hot ? LOAD_FRAME_LARGE : LOAD_FRAME;
	/* First, then a later fragment of the same datagram; one later one in eight whose first never was. */
	if (recipe.fragment_share && draw() < recipe.fragment_share) {
		__u32 datagram = sent.count / 2;
		int later = sent.count & 1;

		p->source = bpf_htonl(LOAD_SOURCES + (datagram & 0xffff));
		p->protocol = IPPROTO_UDP;
		p->id = datagram + (later && (datagram & 7) == 0);
		p->fragment = bpf_htons(later ? 100 : 0x2000);
		return 0;
	}
	return recipe.v6_share && draw() < recipe.v6_share;
}

static __always_inline void choose_probe(struct packet *p)
{
	p->source = bpf_htonl(LOAD_PROBE_SOURCE);
	p->ports = bpf_htonl((40000 + (sent.probes & (LOAD_PROBE_PORTS - 1))) << 16 | 80);
	p->protocol = IPPROTO_UDP;
	p->length = LOAD_FRAME;
}

SEC("xdp")
int load_generate(struct xdp_md *ctx)
{
	__u64 now = bpf_ktime_get_ns();
	struct packet p = {};
	void *data, *end;
	int probe, v6 = 0;

	if (!due(now))
		return XDP_DROP;
	sent.count++;
	probe = recipe.probe_every && sent.count % recipe.probe_every == 0;
	if (probe)
		choose_probe(&p);
	else
		v6 = choose(&p);
	if (recipe.large && p.length == LOAD_FRAME &&
	    bpf_xdp_adjust_tail(ctx, (int)LOAD_FRAME - (int)LOAD_FRAME_LARGE))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + LOAD_FRAME > end)
		return XDP_ABORTED;
	*(__u64 *)data = *(__u64 *)recipe.eth;
	*(__u32 *)(data + 8) = *(__u32 *)(recipe.eth + 8);
	*(__u16 *)(data + 12) = v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	if (v6)
		write_ipv6(data + sizeof(struct ethhdr), &p);
	else
		write_ipv4(data + sizeof(struct ethhdr), &p);
	*(__u64 *)(data + 80) = probe ? now : 0;
	sent.packets++;
	sent.bytes += p.length;
	sent.probes += probe;
	return bpf_redirect(recipe.ifindex, 0);
}

static __always_inline int keeps_up(struct load_received *received, __u32 backend, __u64 now)
{
	if (backend != slow.backend || now < slow.from_ns)
		return 1;
	if (now >= slow.next_ns && now < slow.stop_ns) {
		slow.next_ns = now + slow.interval_ns;
		return 1;
	}
	received->refused[backend]++;
	return 0;
}

/* Number of the backend that an outer header is for; 0: this is no tunnel. */
static __always_inline __u32 backend_of(void *data, void *end)
{
	struct iphdr *ip = data + sizeof(struct ethhdr);
	struct ipv6hdr *ip6 = (void *)ip;

	if ((void *)(ip6 + 1) > end)
		return 0;
	if (*(__u16 *)(data + 12) == bpf_htons(ETH_P_IP))
		return ip->protocol == IPPROTO_IPIP ? bpf_ntohl(ip->daddr) & 0xff : 0;
	if (*(__u16 *)(data + 12) == bpf_htons(ETH_P_IPV6))
		return ip6->nexthdr == IPPROTO_IPV6 ? ip6->daddr.s6_addr[15] : 0;
	return 0;
}

/* The same of a packet that a peer without tunnels has sent on: the last byte of its destination. */
static __always_inline __u32 plain_of(void *data, void *end)
{
	struct iphdr *ip = data + sizeof(struct ethhdr);

	if ((void *)(ip + 1) + 4 > end || *(__u16 *)(data + 12) != bpf_htons(ETH_P_IP) ||
	    *(__u16 *)((void *)(ip + 1) + 2) != bpf_htons(80))
		return 0;
	return bpf_ntohl(ip->daddr) & 0xff;
}

static __always_inline void learn(void *data, void *end, __u32 backend)
{
	struct iphdr *inner = data + sizeof(struct ethhdr) + sizeof(struct iphdr);
	__u32 flow, *owner;

	if ((void *)(inner + 1) + 4 > end)
		return;
	flow = (bpf_ntohl(inner->saddr) - LOAD_SOURCES) << 4;
	flow |= ((__u32)bpf_ntohs(*(__u16 *)(inner + 1)) - 1024) / 4001 & 15;
	owner = bpf_map_lookup_elem(&load_owners, &flow);
	if (owner)
		*owner = backend;
}

/* The probe's packets are IPv4 in IPv4. */
static __always_inline void take_time(struct load_received *received, void *data, void *end, __u64 now)
{
	struct iphdr *inner = data + sizeof(struct ethhdr) + sizeof(struct iphdr);
	__u32 bucket;

	if (data + 20 + 88 > end || *(__u16 *)(data + 12) != bpf_htons(ETH_P_IP) ||
	    inner->saddr != bpf_htonl(LOAD_PROBE_SOURCE))
		return;
	bucket = load_bucket(now - *(__u64 *)(data + 20 + 80));
	if (bucket < LOAD_BUCKETS)
		received->histogram[bucket]++;
}

/* Masqueraded, a probe is known by the time in it alone. */
static __always_inline void take_time_plain(struct load_received *received, void *data, void *end, __u64 now)
{
	__u64 sent_ns;
	__u32 bucket;

	if (data + 88 > end)
		return;
	sent_ns = *(__u64 *)(data + 80);
	bucket = load_bucket(now - sent_ns);
	if (sent_ns && bucket < LOAD_BUCKETS)
		received->histogram[bucket]++;
}

SEC("xdp.frags")
int load_sink(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0, backend = recipe.plain ? plain_of(data, end) : backend_of(data, end);
	struct load_received *received;
	__u64 now;

	if (!backend)
		return XDP_PASS;
	received = bpf_map_lookup_elem(&load_received, &zero);
	if (!received)
		return XDP_ABORTED;
	now = bpf_ktime_get_ns();
	received->packets++;
	if (backend > LOAD_BACKENDS) {
		received->strange++;
		return XDP_DROP;
	}
	received->backend[backend]++;
	received->last_ns[backend] = now;
	if (recipe.learning)
		learn(data, end, backend);
	if (recipe.plain)
		take_time_plain(received, data, end, now);
	else if (keeps_up(received, backend, now))
		take_time(received, data, end, now);
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "GPL";
