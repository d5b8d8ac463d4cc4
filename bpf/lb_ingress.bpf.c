/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packet path: parse -> service -> select -> forward -> count. One decision is made in one generation:
 * the active word is read once, and everything below it is immutable while it can be seen.
 */
#include "parse.h"
#include "service.h"
#include "select.h"
#include "forward.h"
#include "count.h"

static __always_inline int send(struct xdp_md *ctx, const struct pkt *p, const struct lb_vip *vip,
				const struct lb_backend *backend, __u64 hash, __u32 how)
{
	struct lb_counter *counter = backend_counter(backend->counter);
	__u32 bytes = p->length + sizeof(struct ethhdr);
	int reason, action;

	if (!counter)
		return finish(ctx, LB_DROP_INTERNAL);
	reason = encapsulate(ctx, p, vip, backend, hash);
	if (reason)
		return finish(ctx, reason);
	counter->syn_packets += p->syn;
	if (how)
		(&counter->syn_packets)[how & 3]++;
	if (leaves_here(ctx, backend)) {
		counter->tx_packets++;
		counter->tx_bytes += bytes;
		return XDP_TX;
	}
	action = bpf_redirect_map(&lb_devmap, backend->port, XDP_DROP);
	if (action != XDP_REDIRECT)
		return finish(ctx, LB_DROP_EGRESS);
	counter->redirect_packets++;
	counter->redirect_bytes += bytes;
	return action;
}

/* Off the fast path: gathers what select_unsettled() needs. */
static __always_inline __u32 select_slow(struct xdp_md *ctx, const struct pkt *p,
					 const struct lb_control *control, const struct lb_vip *vip,
					 __u32 slot, __u32 number, __u64 hash, __u32 *how)
{
	struct unsettled u = {
		.control = control,
		.vip = vip,
		.tag = lb_flow_tag(flow_hash(p, control->flow_key, 0)),
		.slot = slot,
		.slot_number = number,
		.hash = hash,
		.syn = p->syn,
		.closing = p->closing,
		.forget = is_explain(ctx),
	};
	__u32 index = select_unsettled(&u);

	*how = u.how;
	return index;
}

SEC("xdp.frags")
int lb_ingress(struct xdp_md *ctx)
{
	__u32 zero = 0, number, line, index, key, slot, how = 0;
	struct lb_control *control = bpf_map_lookup_elem(&lb_control, &zero);
	struct lb_ring_line *ring;
	struct lb_backend *backend;
	struct lb_vip *vip;
	struct pkt p = {};
	__u64 hash;
	int reason;

	reason = parse(ctx, &p);
	if (reason || !control)
		return finish(ctx, reason);

	vip = service_find(&p, LB_LOAD(&control->active));
	if (!vip)
		return finish(ctx, LB_PASS_NO_SERVICE);
	if (p.lie)
		return finish(ctx, p.lie);

	hash = flow_hash(&p, control->hash_seed, vip->flags);
	number = hash & vip->ring_mask;
	line = vip->ring_line + number / LB_SLOTS_PER_LINE;
	ring = bpf_map_lookup_elem(&lb_rings, &line);
	if (!ring)
		return finish(ctx, LB_DROP_INTERNAL);
	slot = LB_LOAD(&ring->slot[number % LB_SLOTS_PER_LINE]);
	index = lb_slot_cur(slot);
	if (!lb_slot_settled(slot))
		index = select_slow(ctx, &p, control, vip, slot, number, hash, &how);
	if (index == LB_INDEX_NONE)
		return finish(ctx, LB_DROP_NO_BACKEND);

	key = vip->backend_first + index;
	backend = bpf_map_lookup_elem(&lb_backends, &key);
	if (!backend)
		return finish(ctx, LB_DROP_INTERNAL);
	return send(ctx, &p, vip, backend, hash, how);
}

char LICENSE[] SEC("license") = "GPL";
