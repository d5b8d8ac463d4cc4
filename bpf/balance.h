/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fast path behind the parser: service -> choose -> forward -> count. The active word is read once, so
 * that the whole decision is made in one generation.
 */
#pragma once

#include "choose.h"
#include "count.h"
#include "forward.h"
#include "observe.h"
#include "parse.h"
#include "service.h"
#include "source_range.h"

LB_SUBPROGRAM int answer(struct xdp_md *ctx, __u32 cause, __u32 mtu);
LB_SUBPROGRAM int unclaimed_packet(struct xdp_md *ctx);
LB_SUBPROGRAM int send_tagged(struct xdp_md *ctx, __u64 hash, __u32 how);
static void for_tag(const struct lb_vip *vip, const struct lb_backend *backend);

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
		return finish_slow(ctx, LB_DROP_EGRESS);
	count_flow(counter, syn, how);
	counter->redirect_packets++;
	counter->redirect_bytes += bytes;
	return action;
}

/* What becomes of a packet that is longer than the record's max_len. */
static __always_inline int send_unfit(struct xdp_md *ctx, const struct pkt *p, const struct lb_vip *vip,
				      const struct lb_backend *backend, struct lb_counter *counter,
				      __u64 hash, __u32 how)
{
	int reason;

	if (backend->flags & LB_BACKEND_TAGGED) {
		for_tag(vip, backend);
		return send_tagged(ctx, hash, how);
	}
	reason = unfit(backend);
	if (reason == LB_DROP_TOO_BIG)
		reason = answer(ctx, reason, backend->max_len);
	else if (reason == LB_PASS_LOCAL)
		count_flow(counter, pkt_is_syn(p), how);
	return finish_slow(ctx, reason);
}

/* Encapsulates, counts and sends. */
static __always_inline int send(struct xdp_md *ctx, const struct pkt *p, const struct lb_vip *vip,
				const struct lb_backend *backend, __u64 hash, __u32 how)
{
	struct lb_counter *counter = backend_counter(backend->counter);
	struct inner in = read_inner(p);
	int reason;

	if (!counter)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	note_backend(backend);
	if (in.length > backend->max_len)
		return send_unfit(ctx, p, vip, backend, counter, hash, how);
	reason = encapsulate(ctx, p, in, vip, backend, hash);
	if (reason == LB_DROP_TTL)
		reason = answer(ctx, reason, 0);
	if (reason)
		return finish_slow(ctx, reason);
	return leave(ctx, backend, counter, in.length + sizeof(struct ethhdr), pkt_is_syn(p), how);
}

/* The end of a packet that choose() found nobody for. */
static __always_inline int not_chosen(struct xdp_md *ctx, const struct lb_vip *vip, int reason)
{
	if (reason == LB_DROP_NO_BACKEND && vip->flags & LB_VIP_REJECT)
		reason = answer(ctx, reason, 0);
	return finish_slow(ctx, reason);
}

/* Where the payload of a UDP packet begins in the frame. */
static __always_inline __u32 udp_payload(const struct pkt *p)
{
	if (p->protocol != IPPROTO_UDP)
		return 0;
	if (p->family == LB_FAMILY_V6)
		return sizeof(struct ethhdr) + sizeof(struct ipv6hdr) + sizeof(struct udphdr);
	return sizeof(struct ethhdr) + (LB_LOAD(&BYTE(p->ip, 0)) & IP4_IHL) * 4 + sizeof(struct udphdr);
}

/* The whole decision, whatever the service: wildcards, source ranges, affinity, QUIC. */
static __always_inline int balance_fully(struct xdp_md *ctx, const struct pkt *p)
{
	struct lb_control *control = control_get();
	struct lb_backend *backend;
	struct choice choice = {};
	struct lb_vip *vip;
	__u32 bucket;
	__u64 active;
	int reason;

	if (!control)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	active = LB_LOAD(&control->active);
	bucket = service_of(p, active);
	vip = vip_at(active, bucket);
	if (!vip)
		return may_be_host(p, active) ? unclaimed_packet(ctx) : finish(ctx, LB_PASS_NO_SERVICE);
	note_service(active, vip);
	count_shared(vip, read_inner(p).length, pkt_is_syn(p));
	if (source_is_refused(p, active, vip))
		return finish_slow(ctx, LB_DROP_SOURCE);
	reason = choose(ctx, p, control, active, bucket, vip, udp_payload(p), NULL, &choice);
	if (reason)
		return not_chosen(ctx, vip, reason);
	backend = backend_record(vip, choice.index);
	if (!backend)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	if (is_observed(choice.hash))
		observe_plain(ctx, p, vip, backend, choice.hash);
	return send(ctx, p, vip, backend, choice.hash, choice.how);
}

/* Starts over for what the fast path is too narrow for: IPv4 options, wildcard services, source ranges,
 * affinity. */
LB_SUBPROGRAM int balance_again(struct xdp_md *ctx)
{
	struct cursor c = { (void *)(long)ctx->data + sizeof(struct ethhdr), (void *)(long)ctx->data_end };
	struct pkt p = {};

	if (c.pos > c.end)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	if (ETH_TYPE(c.pos - sizeof(struct ethhdr)) == bpf_htons(ETH_P_IP))
		return parse_ipv4(ctx, &c, &p) ? finish_slow(ctx, LB_DROP_INTERNAL) : balance_fully(ctx, &p);
	return parse_ipv6(ctx, &c, &p) ? finish_slow(ctx, LB_DROP_INTERNAL) : balance_fully(ctx, &p);
}

/*
 * A packet in plain form whose slot is unsettled or whose flow is observed. active, bucket, hash: as
 * balance() found them.
 */
LB_SUBPROGRAM int balance_unsettled(struct xdp_md *ctx, __u64 active, __u32 bucket, __u64 hash)
{
	struct cursor c = { (void *)(long)ctx->data + sizeof(struct ethhdr), (void *)(long)ctx->data_end };
	struct lb_control *control = control_get();
	struct lb_vip *vip = vip_at(active, bucket);
	struct choice choice = { .hash = hash };
	struct lb_backend *backend;
	struct pkt p = {};
	int reason;

	if (!control || !vip || !read_again(&c, &p))
		return finish_slow(ctx, LB_DROP_INTERNAL);
	reason = choose_slot(ctx, &p, control, active, bucket, vip, NULL, &choice);
	if (reason)
		return not_chosen(ctx, vip, reason);
	backend = backend_record(vip, choice.index);
	if (!backend)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	if (is_observed(hash))
		observe_plain(ctx, &p, vip, backend, hash);
	return send(ctx, &p, vip, backend, hash, choice.how);
}

/*
 * From a parsed packet to its verdict, as long as all is settled; made once per family, so that each has only
 * its own. The active word is read once: the whole decision is made in one generation.
 */
static __always_inline int balance(struct xdp_md *ctx, const struct pkt *p)
{
	__u32 slot, *ring;
	struct lb_control *control = control_get();
	struct lb_backend *backend;
	__u64 active, hash, mix = 0;
	const __u64 *seed;
	struct lb_vip *vip;

	if (!control)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	active = LB_LOAD(&control->active);
	seed = LB_AFTER(&control->hash_seed[0], active);
	vip = service_exact(p, seed, active, &mix);
	if (!vip)
		return active & LB_ACTIVE_WILDCARD                   ? balance_again(ctx)
		       : in_filter(active, p->daddr[0], p->daddr[1]) ? unclaimed_packet(ctx)
								     : finish(ctx, LB_PASS_NO_SERVICE);
	if (vip->flags & (LB_VIP_SOURCE | LB_VIP_QUIC | LB_VIP_SHARED | LB_VIP_RANGES))
		return balance_again(ctx);
	note_service(active, vip);
	hash = flow_hash_of(p, seed, mix);
	ring = ring_slot(vip, hash & vip->ring_mask);
	if (!ring)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	slot = LB_LOAD(ring);
	if (!lb_slot_settled(slot) || is_observed(hash)) {
		LB_HIDE(active); /* or part of it is kept for this case alone */
		return balance_unsettled(ctx, active, bucket_of(active_bank(active), vip), hash);
	}
	note_slot(vip, hash, slot);
	note_choice(lb_slot_cur(slot), LB_HOW_SETTLED);
	if (lb_slot_cur(slot) == LB_INDEX_NONE)
		return not_chosen(ctx, vip, LB_DROP_NO_BACKEND);
	backend = backend_record(vip, lb_slot_cur(slot));
	if (!backend)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	return send(ctx, p, vip, backend, hash, LB_HOW_SETTLED);
}
