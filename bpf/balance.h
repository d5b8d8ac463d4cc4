/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fast path behind the parser: service -> choose -> forward -> count. The active word is read once, so
 * that the whole decision is made in one generation.
 */
#pragma once

#include "choose.h"
#include "count.h"
#include "forward.h"
#include "service.h"

static __noinline int icmp_too_big(struct xdp_md *ctx, __u32 mtu);

/* Counts a packet that is ready to leave for its backend, and says how it leaves. */
static __always_inline int leave(struct xdp_md *ctx, const struct lb_backend *backend,
				 struct lb_counter *counter, __u32 bytes, bool syn, __u32 how)
{
	int action;

	if (leaves_here(ctx, backend)) {
		count_flow(counter, syn, how);
		counter->tx_packets++;
		counter->tx_bytes += bytes;
		return XDP_TX;
	}
	action = bpf_redirect_map(&lb_devmap, backend->port, XDP_DROP);
	if (action != XDP_REDIRECT)
		return finish(ctx, LB_DROP_EGRESS);
	count_flow(counter, syn, how);
	counter->redirect_packets++;
	counter->redirect_bytes += bytes;
	return action;
}

static __always_inline int send(struct xdp_md *ctx, const struct pkt *p, const struct lb_vip *vip,
				const struct lb_backend *backend, const struct choice *choice)
{
	struct lb_counter *counter = backend_counter(backend->counter);
	struct inner in = read_inner(p);
	int reason;

	if (!counter)
		return finish(ctx, LB_DROP_INTERNAL);
	reason = encapsulate(ctx, p, in, vip, backend, choice->hash);
	if (reason == LB_DROP_TOO_BIG)
		reason = icmp_too_big(ctx, backend->max_len);
	if (reason)
		return finish(ctx, reason);
	return leave(ctx, backend, counter, in.length + sizeof(struct ethhdr), pkt_is_syn(p), choice->how);
}

/* Where the payload of a UDP packet begins in the frame. */
static __always_inline __u32 udp_payload(const struct pkt *p)
{
	if (p->protocol != IPPROTO_UDP)
		return 0;
	if (p->family == LB_FAMILY_V6)
		return sizeof(struct ethhdr) + sizeof(struct ipv6hdr) + sizeof(struct udphdr);
	return sizeof(struct ethhdr) + (LB_LOAD(&BYTE(p->ip, 0)) & 15) * 4 + sizeof(struct udphdr);
}

/* From a parsed packet to its verdict; made once per family, so that each has only its own. */
static __always_inline int balance(struct xdp_md *ctx, const struct pkt *p)
{
	__u32 zero = 0;
	struct lb_control *control = bpf_map_lookup_elem(&lb_control, &zero);
	struct lb_backend *backend;
	struct choice choice;
	struct lb_vip *vip;
	__u64 active;
	int reason;

	if (!control)
		return finish(ctx, LB_DROP_INTERNAL);
	active = LB_LOAD(&control->active);
	vip = service_find(p, active);
	if (!vip)
		return finish(ctx, LB_PASS_NO_SERVICE);
	reason = choose(ctx, p, control, active, vip, udp_payload(p), &choice);
	if (reason)
		return finish(ctx, reason);
	backend = backend_record(vip, choice.index);
	if (!backend)
		return finish(ctx, LB_DROP_INTERNAL);
	return send(ctx, p, vip, backend, &choice);
}
