/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stands in for a driver that leaves little room in front of packets: takes the room away (what was in front
 * of the packet becomes padding behind it) and calls the packet path.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define HEAD_BYTES 80

volatile int low_headroom_taken; /* bytes */

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} low_headroom_next SEC(".maps");

SEC("xdp.frags")
int low_headroom(struct xdp_md *ctx)
{
	__u8 head[HEAD_BYTES];

	if (bpf_xdp_load_bytes(ctx, 0, head, sizeof(head)) || bpf_xdp_adjust_head(ctx, -low_headroom_taken) ||
	    bpf_xdp_store_bytes(ctx, 0, head, sizeof(head)))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &low_headroom_next, 0);
	return XDP_ABORTED;
}

char LICENSE[] SEC("license") = "GPL";
