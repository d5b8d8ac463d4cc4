/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What becomes of redirected packets. bpf_redirect_map() only queues; the driver of the egress interface
 * takes the packets later, in bulks, or refuses them, and the packet path never hears of it. The kernel tells
 * of both in tracepoints: xdp_devmap_xmit once a bulk, xdp_redirect_err where a packet could not even be
 * queued. They tell of all interfaces of all namespaces: only what came in on an interface of ours counts.
 */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "lb/redirect.h"
#include "lb/types.h"

/* Set by the agent before it loads. */
const volatile __u32 lb_netns = 0;     /* inode of its network namespace */
const volatile __u32 lb_devmap_id = 0; /* kernel's id of lb_devmap */

/* Written by packets, read by the agent. Pinned: counts go on while no agent runs. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, LB_REDIRECTS_MAX);
	__type(key, struct lb_redirect_key);
	__type(value, struct lb_redirect_count);
} lb_redirects SEC(".maps");

/* Written by the agent: interfaces that the packet path is, or once was, attached to. Pinned. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LB_REDIRECTS_MAX);
	__type(key, __u32);
	__type(value, __u32);
} lb_redirect_from SEC(".maps");

/* The packet path's own, see maps.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} lb_ports SEC(".maps");

/* The parts of the kernel's structures that are read; libbpf finds out where they are. */
struct ns_common {
	unsigned int inum;
} __attribute__((preserve_access_index));

struct net {
	struct ns_common ns;
} __attribute__((preserve_access_index));

typedef struct {
	struct net *net;
} __attribute__((preserve_access_index)) possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
} __attribute__((preserve_access_index));

/* ifindex of a device, if it is one of ours; else 0. */
static __always_inline __u32 ours(const struct net_device *device)
{
	__u32 ifindex = BPF_CORE_READ(device, ifindex);

	if (BPF_CORE_READ(device, nd_net.net, ns.inum) != lb_netns ||
	    !bpf_map_lookup_elem(&lb_redirect_from, &ifindex))
		return 0;
	return ifindex;
}

static __always_inline void count(__u32 from, __u32 to, __u64 sent, __u64 lost)
{
	struct lb_redirect_key key = { from, to };
	struct lb_redirect_count *counter = bpf_map_lookup_elem(&lb_redirects, &key), zero = {};

	if (!counter) {
		bpf_map_update_elem(&lb_redirects, &key, &zero, BPF_NOEXIST);
		counter = bpf_map_lookup_elem(&lb_redirects, &key);
	}
	if (!counter)
		return;
	counter->sent += sent;
	counter->lost += lost;
}

/* from_dev, to_dev, sent, drops, err */
SEC("raw_tp/xdp_devmap_xmit")
int lb_redirect_xmit(struct bpf_raw_tracepoint_args *ctx)
{
	const struct net_device *to = (const void *)ctx->args[1];
	__u32 from = ours((const void *)ctx->args[0]);

	if (from)
		count(from, BPF_CORE_READ(to, ifindex), (int)ctx->args[2], (int)ctx->args[3]);
	return 0;
}

/* dev, xdp, tgt, err, map_type, map_id, index */
SEC("raw_tp/xdp_redirect_err")
int lb_redirect_err(struct bpf_raw_tracepoint_args *ctx)
{
	__u32 from, index = ctx->args[6];
	__u64 *port;

	if ((__u32)ctx->args[5] != lb_devmap_id)
		return 0;
	from = ours((const void *)ctx->args[0]);
	port = bpf_map_lookup_elem(&lb_ports, &index);
	if (from)
		count(from, port ? *port : 0, 0, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
