/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The packet path: parse -> service -> select -> forward -> count. One decision is made in one generation:
 * the active word is read once, and everything below it is immutable while it can be seen.
 */
#include "parse.h"
#include "service.h"
#include "lie.h"
#include "select.h"
#include "forward.h"
#include "count.h"

static __always_inline int send(struct xdp_md *ctx, const struct pkt *p, const struct lb_vip *vip,
				const struct lb_backend *backend, __u64 hash, __u32 how)
{
	struct lb_counter *counter = backend_counter(backend->counter);
	struct inner in = read_inner(p);
	__u32 bytes = in.length + sizeof(struct ethhdr);
	int reason, action;

	if (!counter)
		return finish(ctx, LB_DROP_INTERNAL);
	reason = encapsulate(ctx, p, in, vip, backend, hash);
	if (reason)
		return finish(ctx, reason);
	if (leaves_here(ctx, backend)) {
		count_flow(counter, pkt_is_syn(p), how);
		counter->tx_packets++;
		counter->tx_bytes += bytes;
		return XDP_TX;
	}
	action = bpf_redirect_map(&lb_devmap, backend->port, XDP_DROP);
	if (action != XDP_REDIRECT)
		return finish(ctx, LB_DROP_EGRESS);
	count_flow(counter, pkt_is_syn(p), how);
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
		.syn = pkt_is_syn(p),
		.closing = p->tcp_flags & (LB_TCP_FIN | LB_TCP_RST),
		.forget = is_explain(ctx),
	};
	__u32 index = select_unsettled(&u);

	*how = u.how;
	return index;
}

/* From a parsed packet to its verdict; made once per family, so that each has only its own. */
static __always_inline int balance(struct xdp_md *ctx, const struct pkt *p)
{
	__u32 zero = 0, number, index, slot, *ring, how = LB_HOW_SETTLED;
	struct lb_control *control = bpf_map_lookup_elem(&lb_control, &zero);
	struct lb_backend *backend;
	struct lb_vip *vip;
	__u64 hash;

	if (!control)
		return finish(ctx, LB_DROP_INTERNAL);
	vip = service_find(p, LB_LOAD(&control->active));
	if (!vip)
		return finish(ctx, LB_PASS_NO_SERVICE);
	hash = flow_hash(p, control->hash_seed, vip->flags);
	number = hash & vip->ring_mask;
	ring = ring_slot(vip, number);
	if (!ring)
		return finish(ctx, LB_DROP_INTERNAL);
	slot = LB_LOAD(ring);
	index = lb_slot_cur(slot);
	if (!lb_slot_settled(slot))
		index = select_slow(ctx, p, control, vip, slot, number, hash, &how);
	if (index == LB_INDEX_NONE)
		return finish(ctx, LB_DROP_NO_BACKEND);
	backend = backend_record(vip, index);
	if (!backend)
		return finish(ctx, LB_DROP_INTERNAL);
	return send(ctx, p, vip, backend, hash, how);
}

SEC("xdp.frags")
int lb_ingress(struct xdp_md *ctx)
{
	struct cursor c = { (void *)(long)ctx->data, (void *)(long)ctx->data_end };
	int reason = LB_PASS_NOT_IP;
	struct pkt p = {};
	void *eth = c.pos;

	c.pos += sizeof(struct ethhdr);
	if (c.pos > c.end)
		return finish(ctx, LB_PASS_MALFORMED);
	if (SHORT(eth, 12) == bpf_htons(ETH_P_IP)) {
		reason = parse_ipv4(ctx, &c, &p);
		if (!reason)
			return balance(ctx, &p);
	} else if (SHORT(eth, 12) == bpf_htons(ETH_P_IPV6)) {
		reason = parse_ipv6(ctx, &c, &p);
		if (!reason)
			return balance(ctx, &p);
	}
	if (reason < 0)
		reason = judge_liar(ctx, -reason);
	return finish(ctx, reason);
}

char LICENSE[] SEC("license") = "GPL";
