/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A SYN flood, as fast as frames can be made: run by BPF_PROG_TEST_RUN with live frames (flood.c), each
 * turned into a TCP SYN from another random source and sent by an interface. Frames come back as they were,
 * so every byte is written.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../tests/stories/flood.h"

const volatile __u32 egress;
const volatile __be32 vip;
const volatile __be16 port;
const volatile __u8 destination[6];
const volatile __u8 source[6];

__u64 sent;

struct frame {
	struct ethhdr eth;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

static __always_inline __sum16 fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32 & 0xffff);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline __u64 words(__be32 value)
{
	return (value & 0xffff) + (value >> 16);
}

SEC("xdp")
int flood(struct xdp_md *ctx)
{
	struct frame *frame = (void *)(long)ctx->data;
	__u32 random = bpf_get_prandom_u32(), ports = bpf_get_prandom_u32();

	if ((void *)(frame + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	for (int i = 0; i < 6; i++) {
		frame->eth.h_dest[i] = destination[i];
		frame->eth.h_source[i] = source[i];
	}
	frame->eth.h_proto = bpf_htons(ETH_P_IP);
	frame->ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = bpf_htons(sizeof(struct iphdr) + sizeof(struct tcphdr)),
		.ttl = 64,
		.protocol = 6,
		.saddr = bpf_htonl(FLOOD_SOURCE | (random & ~FLOOD_SOURCE_MASK)),
		.daddr = vip,
	};
	frame->ip.check = fold(bpf_htons(0x4500) + frame->ip.tot_len + bpf_htons(64 << 8 | 6) +
			       words(frame->ip.saddr) + words(frame->ip.daddr));
	frame->tcp = (struct tcphdr){
		.source = bpf_htons(1024 + (ports & 0x7fff)),
		.dest = port,
		.seq = random,
		.doff = 5,
		.syn = 1,
		.window = bpf_htons(65535),
	};
	frame->tcp.check = fold(bpf_htons(6) + bpf_htons(sizeof(struct tcphdr)) + words(frame->ip.saddr) +
				words(frame->ip.daddr) + frame->tcp.source + frame->tcp.dest +
				words(frame->tcp.seq) + bpf_htons(0x5002) + frame->tcp.window);
	sent++;
	return bpf_redirect(egress, 0);
}

char LICENSE[] SEC("license") = "GPL";
