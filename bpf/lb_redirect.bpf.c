/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What becomes of packets that leave. bpf_redirect_map() and XDP_TX only queue; the driver of the egress
 * interface takes the packets later, in bulks, or refuses them, and the packet path never hears of it. The
 * kernel tells of redirected ones in xdp_devmap_xmit once a bulk, and in xdp_redirect_err where a packet
 * could not even be queued; of those sent back out in xdp_bulk_tx (veth, the drivers on libeth) and, where a
 * driver has no room for one, in xdp_exception. All interfaces of all namespaces are told of: only what came
 * in on an interface of ours counts. Sent back out: from and to are the same.
 *
 * And how packets come in: how many of them a poll of an interface of ours brings. The kernel tells of each
 * poll in napi_poll, once for up to 64 packets, so that this costs least where there is most to do.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <stdbool.h>

#include "lb/access.h"
#include "lb/polls.h"
#include "lb/redirect.h"
#include "lb/types.h"

/* Set by the agent before it loads. */
const volatile __u32 lb_netns = 0;     /* inode of its network namespace */
const volatile __u32 lb_devmap_id = 0; /* kernel's id of lb_devmap */

/* Written by packets, each CPU its own; read by the agent. Pinned: counts go on while no agent runs. Key: a
 * place. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, LB_REDIRECT_PLACES);
	__type(key, __u32);
	__type(value, struct lb_redirect_count);
} lb_redirects SEC(".maps");

/* Written by the agent: ifindexes that the packet path is, or once was, attached to. Pinned. Key: a place. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LB_REDIRECT_PLACES);
	__type(key, __u32);
	__type(value, __u32);
} lb_redirect_from SEC(".maps");

/* Written by polls, each CPU its own; read by the agent. Pinned, as above. One element. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_polls);
} lb_polls SEC(".maps");

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

struct napi_struct {
	struct net_device *dev;
} __attribute__((preserve_access_index));

/* ifindex of a device, if it is one of ours; else 0. */
static __always_inline __u32 ours(const struct net_device *device)
{
	__u32 ifindex = device->ifindex;

	LB_UNROLL
	for (__u32 i = 0; i < LB_REDIRECT_PROBES; i++) {
		__u32 place = (lb_redirect_place(ifindex, 0) + i) & (LB_REDIRECT_PLACES - 1);
		const __u32 *known = bpf_map_lookup_elem(&lb_redirect_from, &place);

		if (!known || !*known)
			return 0;
		if (*known == ifindex)
			return device->nd_net.net->ns.inum == lb_netns ? ifindex : 0;
	}
	return 0;
}

static __always_inline void count(__u32 from, __u32 to, __u64 sent, __u64 lost)
{
	LB_UNROLL
	for (__u32 i = 0; i < LB_REDIRECT_PROBES; i++) {
		__u32 place = (lb_redirect_place(from, to) + i) & (LB_REDIRECT_PLACES - 1);
		struct lb_redirect_count *counter = bpf_map_lookup_elem(&lb_redirects, &place);

		if (!counter)
			return;
		if (!counter->from) {
			counter->from = from;
			counter->to = to;
		}
		if (counter->from == from && counter->to == to) {
			counter->sent += sent;
			counter->lost += lost;
			return;
		}
	}
}

SEC("tp_btf/xdp_devmap_xmit")
int BPF_PROG(lb_redirect_xmit, const struct net_device *from_dev, const struct net_device *to_dev, int sent,
	     int drops, int err)
{
	__u32 from = from_dev ? ours(from_dev) : 0;

	if (from && to_dev)
		count(from, to_dev->ifindex, sent, drops);
	return 0;
}

SEC("tp_btf/xdp_redirect_err")
int BPF_PROG(lb_redirect_err, const struct net_device *dev, const void *program, const void *target, int err,
	     enum bpf_map_type type, __u32 map_id, __u32 index)
{
	__u32 from, key = index;
	__u64 *port;

	if (map_id != lb_devmap_id || !dev)
		return 0;
	from = ours(dev);
	port = bpf_map_lookup_elem(&lb_ports, &key);
	if (from)
		count(from, port ? lb_port_ifindex(*port) : 0, 0, 1);
	return 0;
}

SEC("tp_btf/xdp_bulk_tx")
int BPF_PROG(lb_redirect_tx, const struct net_device *dev, int sent, int drops, int err)
{
	__u32 from = dev ? ours(dev) : 0;

	if (from)
		count(from, from, sent, drops);
	return 0;
}

/* Also told where a redirect fails, which is counted above, and of programs that abort. */
SEC("tp_btf/xdp_exception")
int BPF_PROG(lb_redirect_tx_err, const struct net_device *dev, const void *program, __u32 action)
{
	__u32 from = action == XDP_TX && dev ? ours(dev) : 0;

	if (from)
		count(from, from, 0, 1);
	return 0;
}

SEC("tp_btf/napi_poll")
int BPF_PROG(lb_redirect_poll, const struct napi_struct *napi, int work, int budget)
{
	const struct net_device *dev = napi->dev;
	struct lb_polls *polls;
	__u32 key = 0;

	if (work < 0 || !dev || !ours(dev))
		return 0;
	polls = bpf_map_lookup_elem(&lb_polls, &key);
	if (!polls)
		return 0;
	polls->polls[lb_poll_class(work) & (LB_POLL_CLASSES - 1)]++;
	polls->packets += work;
	polls->full += work >= budget;
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
