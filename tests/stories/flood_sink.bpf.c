/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Behind the balancer: drops the packets of a flood, so that it is the balancer that is tried and not the
 * backends' stacks. They come tunnelled, IPIP over IPv4. The driver counts them (ethtool -S: xdp_drops). All
 * else passes.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../tests/stories/flood.h"

struct frame {
	struct ethhdr eth;
	struct iphdr outer, inner;
} __attribute__((packed));

SEC("xdp.frags")
int flood_sink(struct xdp_md *ctx)
{
	const struct frame *frame = (void *)(long)ctx->data;

	if ((void *)(frame + 1) > (void *)(long)ctx->data_end)
		return XDP_PASS;
	if (frame->eth.h_proto != bpf_htons(ETH_P_IP) || frame->outer.protocol != 4)
		return XDP_PASS;
	if ((bpf_ntohl(frame->inner.saddr) & FLOOD_SOURCE_MASK) == FLOOD_SOURCE)
		return XDP_DROP;
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
