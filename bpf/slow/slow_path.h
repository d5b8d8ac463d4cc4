/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The slow path as a pipeline: load -> parse -> service -> choose -> send -> count.
 */
#pragma once

#include "balance.h"
#include "slow/fragment.h"
#include "slow/icmp.h"
#include "slow/path_mtu.h"
#include "slow/slow_send.h"
#include "slow/unclaimed.h"

/* Fills struct scratch. 0 or a reason to pass. */
LB_SUBPROGRAM int slow_parse(struct xdp_md *ctx)
{
	struct scratch *s = scratch_get();
	__be16 type;
	int reason;

	if (!s)
		return LB_DROP_INTERNAL;
	reason = slow_load(ctx, s);
	if (!reason)
		reason = slow_vlan(s, &type);
	if (reason)
		return reason;
	if (type == bpf_htons(ETH_P_IP))
		reason = slow_ipv4(s);
	else if (type == bpf_htons(ETH_P_IPV6))
		reason = slow_ipv6(s);
	else
		return LB_PASS_NOT_IP;
	if (reason)
		return reason;
	if (s->later_fragment) {
		s->kind = SLOW_LATER_FRAGMENT;
		s->p.protocol = s->fragment_protocol;
		return 0;
	}
	if (s->p.protocol == IPPROTO_TCP || s->p.protocol == IPPROTO_UDP)
		return slow_transport(s);
	if (s->p.protocol == IPPROTO_ICMP && s->p.family == LB_FAMILY_V4)
		return slow_icmp_v4(s);
	if (s->p.protocol == IPPROTO_ICMPV6 && s->p.family == LB_FAMILY_V6)
		return slow_icmp_v6(s);
	return s->first_fragment ? LB_PASS_FRAGMENT : LB_PASS_PROTOCOL;
}

/* Sends what scratch describes to a backend; NULL: there is no such record. */
static __always_inline int slow_send_to(struct xdp_md *ctx, struct scratch *s, const struct lb_vip *vip,
					const struct lb_backend *backend, __u64 hash, __u32 how)
{
	struct lb_counter *counter;
	int reason, action = XDP_ABORTED;

	counter = backend ? backend_counter(backend->counter) : NULL;
	if (!counter)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	note_backend(backend);
	reason = slow_encapsulate(ctx, s, vip, backend, hash);
	if ((reason == LB_DROP_TOO_BIG || reason == LB_DROP_TTL) && s->kind == SLOW_FLOW)
		reason = answer(ctx, reason, lb_backend_max_len(backend));
	if (reason == LB_PASS_LOCAL)
		count_flow(counter, s->kind == SLOW_FLOW && pkt_is_syn(&s->p), how);
	if (reason)
		return finish_slow(ctx, reason);
	reason = leave(ctx, backend, counter, s->length, &action);
	if (reason)
		return finish_slow(ctx, reason);
	count_flow(counter, s->kind == SLOW_FLOW && pkt_is_syn(&s->p), how);
	return action;
}

static __always_inline int slow_send(struct xdp_md *ctx, struct scratch *s, const struct lb_vip *vip,
				     __u32 index, __u64 hash, __u32 how)
{
	return slow_send_to(ctx, s, vip, backend_record(vip, index), hash, how);
}

/* Keeps for send_tagged() who was chosen. Not part of it: only numbers can be given to that. */
static __attribute__((noinline)) void for_tag(const struct lb_vip *vip, const struct lb_backend *backend)
{
	struct scratch *s = scratch_get();

	if (!s)
		return;
	s->vip = *vip;
	s->backend = *backend;
}

/* A packet in plain form whose backend is known and whose frame gets a tag (for_tag()). */
LB_SUBPROGRAM int send_tagged(struct xdp_md *ctx, __u64 hash, __u32 how)
{
	struct scratch *s = scratch_get();

	if (!s || slow_parse(ctx))
		return finish_slow(ctx, LB_DROP_INTERNAL);
	return slow_send_to(ctx, s, &s->vip, &s->backend, hash, how);
}

/*
 * The TCP segment of the packet, or of one whose header cannot be read here or that begins a fragmented
 * packet, which then changes nothing. An ICMP error has the numbers of the other direction.
 */
static __always_inline void slow_segment(struct scratch *s, struct lb_segment *ret_segment)
{
	const struct tcphdr *tcp = head_at(s, s->l4, sizeof(struct tcphdr));

	*ret_segment = (struct lb_segment){};
	if (s->p.protocol != IPPROTO_TCP)
		return;
	ret_segment->flags = LB_SEGMENT_TCP | LB_SEGMENT_FORGET | LB_SEGMENT_ANY;
	if (s->kind == SLOW_FLOW && tcp)
		segment_read_tcp(tcp, s->p.tcp_flags, s->l3 + s->length - s->l4, ret_segment);
}

/* As observe_plain(), of a packet wherever its bytes lie. */
static __always_inline void slow_observe(struct xdp_md *ctx, const struct scratch *s,
					 const struct lb_vip *vip, const struct choice *choice)
{
	struct lb_backend *backend;

	if (!is_observed(choice->hash) || s->kind != SLOW_FLOW || s->first_fragment)
		return;
	backend = backend_record(vip, choice->index);
	if (backend)
		observe_packet(ctx, s->p.protocol, OBSERVE_WHO(s->p.family, vip->service, backend->counter),
			       choice->hash, OBSERVE_WHERE(s->l3, s->l4, s->l3 + s->length));
}

/* A packet with ports of its own, or an ICMP error with those of the packet it is about. */
LB_SUBPROGRAM int slow_flow(struct xdp_md *ctx, __u64 active)
{
	__u32 payload = 0;
	struct lb_control *control = control_get();
	struct scratch *s = scratch_get();
	struct choice choice = {};
	struct lb_segment segment;
	const struct pkt *p;
	struct lb_vip *vip;
	__u32 bucket;
	int reason;

	if (!s || !control)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	p = &s->p;
	bucket = service_of(p, active);
	vip = vip_at(active, bucket);
	if (!vip)
		return unclaimed(ctx, active,
				 s->kind == SLOW_ICMP_ERROR ? LB_PASS_ICMP
				 : s->first_fragment        ? LB_PASS_FRAGMENT
							    : LB_PASS_NO_SERVICE);
	note_service(active, vip);
	count_shared(vip, s->length, s->kind == SLOW_FLOW && pkt_is_syn(p));
	if (s->bad_header)
		return finish_slow(ctx, s->bad_header);
	if (source_is_refused(p, active, vip))
		return finish_slow(ctx, LB_DROP_SOURCE);
	if (s->silly_mtu)
		return finish_slow(ctx, LB_DROP_ICMP_MTU);
	if (s->kind == SLOW_FLOW && p->protocol == IPPROTO_UDP &&
	    s->l4 + sizeof(struct udphdr) + QUIC_HEAD_BYTES <= s->l3 + s->length)
		payload = s->l4 + sizeof(struct udphdr);
	choice.forget = s->kind == SLOW_ICMP_ERROR;
	slow_segment(s, &segment);
	reason = choose(ctx, p, control, active, bucket, vip, payload, &segment, &choice);
	if (reason)
		return s->kind == SLOW_FLOW ? not_chosen(ctx, vip, reason) : finish_slow(ctx, reason);
	if (s->first_fragment)
		fragment_remember(s, control, choice.index, bucket, vip->service);
	slow_observe(ctx, s, vip, &choice);
	return slow_send(ctx, s, vip, choice.index, choice.hash, choice.how);
}

/*
 * An ICMP error about a packet that names its backend: QUIC. A verdict, or -1: it goes the way of its flow,
 * as slow_flow() finds it. A function of its own for the stack's sake.
 */
LB_SUBPROGRAM int slow_quic_error(struct xdp_md *ctx, __u64 active)
{
	struct lb_control *control = control_get();
	struct scratch *s = scratch_get();
	__u32 bucket, index;
	struct lb_vip *vip;

	if (!s || !control)
		return -1;
	bucket = service_of(&s->p, active);
	vip = vip_at(active, bucket);
	if (!vip || !(vip->flags & LB_VIP_QUIC) || s->silly_mtu || source_is_refused(&s->p, active, vip))
		return -1;
	index = icmp_quic_backend(active, bucket);
	if (index == LB_INDEX_NONE)
		return -1;
	note_service(active, vip);
	return slow_send(ctx, s, vip, index, flow_hash(&s->p, control->hash_seed, 0), LB_HOW_SETTLED);
}

/*
 * The service of a remembered first fragment, or NULL: since then another generation may have put something
 * else into the bucket, a record without backends (types.h) or, behind the buckets in use, what was left
 * there.
 */
static __always_inline struct lb_vip *fragment_service(struct lb_vip_bank *bank, __u64 active, __u64 word)
{
	__u32 bucket = word >> 14 & (LB_VIP_BUCKETS - 1);
	struct lb_vip *vip = &bank->bucket[bucket];
	__u8 address_bits = vip->key[2] >> 32;

	if (bucket > LB_ACTIVE_MASK(active) || !vip->flags || address_bits >= LB_VIP_BITS_RECORDS)
		return NULL;
	return vip->service == (word >> 32 & 0xffff) ? vip : NULL;
}

/* A fragment without ports: after its first, or by its source, or as its address's services want it. */
LB_SUBPROGRAM int slow_fragment(struct xdp_md *ctx, __u64 active)
{
	__u32 number, slot, *ring;
	struct lb_control *control = control_get();
	struct lb_vip_bank *bank = active_bank(active);
	struct scratch *s = scratch_get();
	struct lb_vip *vip;
	__u64 tag, word, hash;

	if (!s || !control || !bank)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	tag = fragment_tag(s, control);
	if (fragment_find(tag, LB_LOAD(&control->clock_s), &word) == 0) {
		if ((word >> 32 & 0xffff) == FRAGMENT_OF_ECHO)
			return finish_slow(ctx, icmp_echo_fragment(ctx));
		vip = fragment_service(bank, active, word);
		if (vip && backend_is_alive(vip, word & LB_INDEX_MASK)) {
			note_service(active, vip);
			count_shared(vip, s->length, false);
			if (s->bad_header)
				return finish_slow(ctx, s->bad_header);
			if (source_is_refused(&s->p, active, vip))
				return finish_slow(ctx, LB_DROP_SOURCE);
			return slow_send(ctx, s, vip, word & LB_INDEX_MASK, tag, LB_HOW_SETTLED);
		}
	}
	/* Where no port is known, and no service has the protocol, there is only the host. */
	vip = s->p.protocol == host_protocol(s->p.family) ? NULL : vip_at(active, address_of(&s->p, active));
	if (!vip)
		return unclaimed(ctx, active, LB_PASS_FRAGMENT);
	if (s->bad_header)
		return finish_slow(ctx, s->bad_header);
	if (!(vip->flags & LB_VIP_SOURCE))
		return vip->flags & LB_VIP_FRAG_DROP ? finish_slow(ctx, LB_DROP_FRAGMENT)
						     : unclaimed(ctx, active, LB_PASS_FRAGMENT_UNKNOWN);
	if (source_is_refused(&s->p, active, vip))
		return finish_slow(ctx, LB_DROP_SOURCE);
	hash = flow_hash(&s->p, control->hash_seed, LB_VIP_SOURCE);
	number = hash & vip->ring_mask;
	ring = ring_slot(vip, number);
	slot = ring ? LB_LOAD(ring) : 0;
	if (!ring || lb_slot_base(slot) == LB_INDEX_NONE)
		return finish_slow(ctx, LB_DROP_NO_BACKEND);
	return slow_send(ctx, s, vip, lb_slot_base(slot), hash, LB_HOW_SETTLED);
}

/* Answers if the address is a VIP, or of a prefix service, with an active backend. */
LB_SUBPROGRAM int slow_echo(struct xdp_md *ctx, __u64 active)
{
	struct lb_control *control = control_get();
	struct scratch *s = scratch_get();
	int reason;

	if (!s)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	if (!may_be_host(&s->p, active) ||
	    !(host_flags(active, s->p.daddr[0], s->p.daddr[1], s->p.family) & LB_VIP_ECHO) ||
	    !is_one_host((const __u8 *)s->p.saddr, s->p.family))
		return unclaimed(ctx, active, LB_PASS_ICMP);
	reason = icmp_echo(ctx);
	if (reason == LB_REPLY_ECHO && s->first_fragment && control)
		fragment_remember(s, control, LB_INDEX_NONE, 0, FRAGMENT_OF_ECHO);
	return finish_slow(ctx, reason);
}

/* A plain packet that found no service: what the fast path knows is read again. */
LB_SUBPROGRAM int unclaimed_packet(struct xdp_md *ctx)
{
	struct lb_control *control = control_get();
	int reason = slow_parse(ctx);

	if (!control)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	return unclaimed(ctx, LB_LOAD(&control->active), reason ? reason : LB_PASS_NO_SERVICE);
}

LB_SUBPROGRAM int slow_packet(struct xdp_md *ctx)
{
	struct lb_control *control = control_get();
	struct scratch *s = scratch_get();
	int reason, verdict;
	__u64 active;

	if (!control || !s)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	active = LB_LOAD(&control->active);
	reason = slow_parse(ctx);
	if (s->quote && is_about_tunnel(active)) {
		keep_sample(ctx, LB_PASS_PATH_MTU);
		return finish_slow(ctx, LB_PASS_PATH_MTU);
	}
	if (reason)
		return unclaimed(ctx, active, reason);
	switch (s->kind) {
	case SLOW_LATER_FRAGMENT:
		return slow_fragment(ctx, active);
	case SLOW_ECHO:
		return slow_echo(ctx, active);
	case SLOW_ICMP_ERROR:
		verdict = slow_quic_error(ctx, active);
		return verdict < 0 ? slow_flow(ctx, active) : verdict;
	default:
		return slow_flow(ctx, active);
	}
}

/* Most of what the fast path turns away is for the host and known to be; the rest is worth a closer look. */
static __always_inline int slow_path(struct xdp_md *ctx, int reason)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (reason == LB_PASS_NOT_IP && data + sizeof(struct ethhdr) <= end &&
	    ETH_TYPE(data) != bpf_htons(ETH_P_8021Q) && ETH_TYPE(data) != bpf_htons(ETH_P_8021AD))
		return finish_neighbor(ctx, reason);
	return slow_packet(ctx);
}
