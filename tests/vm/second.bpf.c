/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Another XDP program, that of someone else, for the tests of libxdp's dispatcher: counts what it sees and
 * passes it on. Knows nothing of Weir.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} second_seen SEC(".maps");

SEC("xdp.frags")
int second(struct xdp_md *ctx)
{
	__u32 zero = 0;
	__u64 *seen = bpf_map_lookup_elem(&second_seen, &zero);

	if (seen)
		__sync_fetch_and_add(seen, 1);
	return XDP_PASS;
}

/* Changes the packet, as ours does and as far as the verifier knows: newer kernels look at that. */
SEC("xdp.frags")
int changes(struct xdp_md *ctx)
{
	return bpf_xdp_adjust_head(ctx, 0) ? XDP_ABORTED : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
