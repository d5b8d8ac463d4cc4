/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The bench's wrapper and its floors. BPF_PROG_TEST_RUN does not restore the packet between repetitions, so
 * the wrapper undoes what the program under test did (shrinks the head again), writes the next packet's
 * headers, and tail-calls it. Time is taken in the kernel at the first and the last packet. The floors run
 * through the very same wrapper.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#include "bench_wrap.h"

struct bench_control bench;

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, BENCH_TARGETS);
	__type(key, __u32);
	__type(value, __u32);
} bench_targets SEC(".maps");

/* The next flow's number: in random order over all flows, the same for every target; or one after the other.
 */
static __always_inline __u32 next_flow(void)
{
	if (bench.sequential)
		return bench.count;
	bench.random = bench.random * 6364136223846793005ull + 1442695040888963407ull;
	return (bench.random >> 32) * bench.flows >> 32;
}

/*
 * Headers are written in words as wide as any that the path reads: a load that spans two younger stores would
 * stall on store forwarding, which packets that come from a NIC never do.
 */
static __always_inline void write_ipv4(void *ip, __u32 flow)
{
	__u32 source = bpf_htonl(bench.source + (flow >> 4));
	__u32 destination = bpf_htonl(bench.destination + (flow & bench.service_mask));
	__u32 ports = bpf_htons(1024 + (flow & 15) * 4001) | bench.port << 16;

	*(__u64 *)ip = bench.ip_word;
	*(__u64 *)(ip + 8) = bench.ttl_word | (__u64)source << 32;
	*(__u64 *)(ip + 16) = destination | (__u64)ports << 32;
}

static __always_inline void write_ipv6(void *ip, __u32 flow)
{
	__u64 low = bpf_htonl(bench.destination + (flow & bench.service_mask));
	__u32 ports = bpf_htons(1024 + (flow & 15) * 4001) | bench.port << 16;

	*(__u64 *)ip = bench.ip_word;
	*(__u64 *)(ip + 8) = bench.prefix;
	*(__u64 *)(ip + 16) = (__u64)bpf_htonl(flow >> 4) << 32;
	*(__u64 *)(ip + 24) = bench.prefix;
	*(__u64 *)(ip + 32) = low << 32;
	*(__u32 *)(ip + 40) = ports;
}

/* The target of this packet. */
static __always_inline __u32 next_target(void)
{
	__u64 now_ns;

	if (!bench.turn_packets)
		return bench.target;
	if (!bench.turn_left) {
		now_ns = bpf_ktime_get_ns();
		bench.took_ns[(bench.turn - 1) & (BENCH_TURNS_MAX - 1)] = now_ns - bench.turn_ns;
		bench.turn_ns = now_ns;
		bench.turn++;
		bench.turn_left = bench.turn_packets;
	}
	bench.turn_left--;
	return BENCH_WHOSE_TURN(bench.turn - 1, bench.swap) ? BENCH_OTHER : bench.target;
}

SEC("xdp.frags")
int bench_wrap(struct xdp_md *ctx)
{
	void *data, *end;
	__u32 flow;

	if (bench.count && bench.grown && bpf_xdp_adjust_head(ctx, bench.grown))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + sizeof(struct ethhdr) + sizeof(struct ipv6hdr) + 8 > end)
		return XDP_ABORTED;
	*(__u64 *)data = bench.eth[0];
	*(__u32 *)(data + 8) = bench.eth[1];
	*(__u16 *)(data + 12) = bench.eth_type;
	flow = next_flow();
	if (bench.family == 4)
		write_ipv4(data + sizeof(struct ethhdr), flow);
	else
		write_ipv6(data + sizeof(struct ethhdr), flow);
	if (bench.count == 0)
		bench.first_ns = bpf_ktime_get_ns();
	if (++bench.count == bench.total)
		bench.last_ns = bpf_ktime_get_ns();
	bpf_tail_call(ctx, &bench_targets, next_target());
	return XDP_ABORTED;
}

/* Floor 1: does nothing. */
SEC("xdp.frags")
int bench_noop(struct xdp_md *ctx)
{
	return XDP_TX;
}

static __always_inline int encap_v4(struct xdp_md *ctx)
{
	__u64 *out;

	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct iphdr)))
		return XDP_ABORTED;
	out = (void *)(long)ctx->data;
	if ((void *)out + sizeof(struct ethhdr) + sizeof(struct iphdr) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	out[0] = 0x0200020000000002ull;
	out[1] = 0x0045000801000000ull;
	out[2] = 0x0440004000003c00ull;
	out[3] = 0x0b010a0100100000ull;
	*(__u16 *)(out + 4) = 0x0101;
	return XDP_TX;
}

/* Floor 2: encapsulates in constant headers without looking at anything. */
SEC("xdp.frags")
int bench_encap_v4(struct xdp_md *ctx)
{
	return encap_v4(ctx);
}

SEC("xdp.frags")
int bench_encap_v6(struct xdp_md *ctx)
{
	__u64 *out;

	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct ipv6hdr)))
		return XDP_ABORTED;
	out = (void *)(long)ctx->data;
	if ((void *)out + sizeof(struct ethhdr) + sizeof(struct ipv6hdr) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	out[0] = 0x0200020000000002ull;
	out[1] = 0x0060dd8601000000ull;
	out[2] = 0x00fd402900280000ull;
	out[3] = 0x0001000000000077ull;
	out[4] = 0x0000000000000000ull;
	out[5] = 0x0001000000000077ull;
	*(__u32 *)(out + 6) = 0;
	*(__u16 *)((void *)out + 52) = 0x0100;
	return XDP_TX;
}

/*
 * A known way of remembering flows, for comparison: an LRU hash per CPU, keyed by addresses, ports and
 * protocol, with room for as many flows as the flow table beside it has.
 */
struct lru_key {
	__u32 saddr, daddr, ports, protocol;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 10000000);
	__uint(map_flags, BPF_F_NO_COMMON_LRU);
	__type(key, struct lru_key);
	__type(value, __u64);
} bench_lru_flows SEC(".maps");

/* The constant encapsulation with one look-up in front of it; SYNs insert. */
SEC("xdp.frags")
int bench_lru(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	struct lru_key key = {};
	__u64 one = 1, *known;

	if (data + 54 > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	key.saddr = *(__u32 *)(data + 26);
	key.daddr = *(__u32 *)(data + 30);
	key.ports = *(__u32 *)(data + 34);
	key.protocol = *(__u8 *)(data + 23);
	known = bpf_map_lookup_elem(&bench_lru_flows, &key);
	if (!known && *(__u8 *)(data + 47) & 2)
		bpf_map_update_elem(&bench_lru_flows, &key, &one, BPF_ANY);
	bench.known += !!known;
	return encap_v4(ctx);
}

char LICENSE[] SEC("license") = "GPL";
