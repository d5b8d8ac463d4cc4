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
#include "plain.h"
#include "service.h"
#include "source_range.h"

LB_SUBPROGRAM int answer(struct xdp_md *ctx, __u32 cause, __u32 mtu);
LB_SUBPROGRAM int unclaimed_packet(struct xdp_md *ctx);
LB_SUBPROGRAM int send_tagged(struct xdp_md *ctx, __u64 hash, __u32 how);
static void for_tag(const struct lb_vip *vip, const struct lb_backend *backend);

/* length: of the IP packet. */
static __always_inline void count_tx(struct lb_counter *counter, __u32 length)
{
	counter->tx_packets++;
	counter->tx_bytes += length + sizeof(struct ethhdr);
}

static __always_inline void count_redirect(struct lb_counter *counter, __u32 length)
{
	counter->redirect_packets++;
	counter->redirect_bytes += length + sizeof(struct ethhdr);
}

/*
 * Counts a packet that is about to be sent; *ret_action: how. 0 or a reason. Nothing has to be written to it
 * yet: then what it is counted by need not be kept until all is.
 */
static __always_inline int leave(struct xdp_md *ctx, const struct lb_backend *backend,
				 struct lb_counter *counter, __u32 length, int *ret_action)
{
	if (leaves_here(ctx, backend)) {
		count_tx(counter, length);
		*ret_action = XDP_TX;
		return 0;
	}
	if (bpf_redirect_map(&lb_devmap, backend->port, XDP_DROP) != XDP_REDIRECT) {
		*ret_action = XDP_DROP;
		return LB_SELDOM(LB_DROP_EGRESS);
	}
	count_redirect(counter, length);
	*ret_action = XDP_REDIRECT;
	return 0;
}

/* A packet and the backend that was chosen for it. */
struct parcel {
	const struct pkt *p;
	const struct lb_vip *vip;
	const struct lb_backend *backend;
	__u64 hash;
	__u32 id;     /* of the backend, as the record says it, or the table beside (backend_id_of()) */
	__u32 length; /* of the IP packet */
	__u32 how;    /* enum lb_how */
	/* Constants, for the compiler to leave out the rest: */
	bool flat;  /* the tables are */
	bool plain; /* flags were not read yet: they are where plain.h says */
};

static __always_inline bool parcel_is_syn(const struct parcel *parcel)
{
	return parcel->plain ? plain_is_syn(parcel->p) : pkt_is_syn(parcel->p);
}

/* What becomes of a packet that is longer than the record's max_len. */
static __always_inline int send_unfit(struct xdp_md *ctx, const struct parcel *parcel)
{
	const struct lb_backend *backend = parcel->backend;
	struct lb_counter *counter;
	int reason;

	if (backend->flags & LB_BACKEND_TAGGED) {
		for_tag(parcel->vip, backend);
		return send_tagged(ctx, parcel->hash, parcel->how);
	}
	reason = unfit(backend);
	if (reason == LB_DROP_TOO_BIG)
		return finish_slow(ctx, answer(ctx, reason, backend->max_len));
	counter = reason == LB_PASS_LOCAL ? backend_counter(backend->counter) : NULL;
	if (counter)
		count_flow(counter, parcel_is_syn(parcel), parcel->how);
	return finish_slow(ctx, reason);
}

/* Counts the packet, as leave() does, in the line of its backend. */
static __always_inline int depart(struct xdp_md *ctx, const struct parcel *parcel, int *ret_action)
{
	struct lb_counter *counter = backend_counter_of(parcel->id, parcel->flat);
	int reason;

	if (!counter)
		return LB_SELDOM(LB_DROP_INTERNAL);
	reason = leave(ctx, parcel->backend, counter, parcel->length, ret_action);
	if (reason)
		return reason;
	count_flow(counter, parcel_is_syn(parcel), parcel->how);
	return 0;
}

/* The packet once more, from its headers. false: it is none that was parsed before. */
static __always_inline bool parse_again(struct xdp_md *ctx, struct pkt *p)
{
	struct cursor c = { (void *)(long)ctx->data + sizeof(struct ethhdr), (void *)(long)ctx->data_end };

	if (c.pos > c.end)
		return false;
	if (ETH_TYPE(c.pos - sizeof(struct ethhdr)) == bpf_htons(ETH_P_IP))
		return !parse_ipv4(ctx, &c, p);
	return !parse_ipv6(ctx, &c, p);
}

/* A packet that departed as this action says, and could not be wrapped: there is no room in front of it. What
 * it was counted as is taken back. */
LB_SUBPROGRAM int not_wrapped(struct xdp_md *ctx, __u32 backend, __u32 how, __u32 action)
{
	struct lb_counter *counter = backend_counter(backend);
	struct pkt p = {};
	__u32 bytes;

	if (!counter || !parse_again(ctx, &p))
		return finish_slow(ctx, LB_DROP_INTERNAL);
	bytes = inner_length(&p) + sizeof(struct ethhdr);
	if (action == XDP_TX) {
		counter->tx_packets--;
		counter->tx_bytes -= bytes;
	} else {
		counter->redirect_packets--;
		counter->redirect_bytes -= bytes;
	}
	if (pkt_is_syn(&p))
		counter->syn_packets--;
	if (how == LB_HOW_KNOWN)
		counter->known_packets--;
	else if (how == LB_HOW_BASE)
		counter->base_packets--;
	else if (how == LB_HOW_REFUSED)
		counter->refused_inserts--;
	return finish_slow(ctx, LB_DROP_HEADROOM);
}

/* Counts and wraps a packet, whose TTL is spent. v6, gue: constants. */
static __always_inline int send_wrapped(struct xdp_md *ctx, const struct parcel *parcel, bool v6, bool gue)
{
	struct varied v = vary(parcel->vip, parcel->hash, v6, gue);
	int action = XDP_ABORTED, reason;

	LB_HIDE(v.source); /* now */
	reason = depart(ctx, parcel, &action);
	if (reason)
		return finish_slow(ctx, reason);
	if (wrap(ctx, parcel->p->family, &v, parcel->backend, v6, gue))
		return not_wrapped(ctx, parcel->backend->counter, parcel->how, action);
	return action;
}

/* Counts a packet and rewrites its addresses: on one link we act as a bridge, and the TTL stays. */
static __always_inline int send_l2(struct xdp_md *ctx, const struct parcel *parcel)
{
	int action = XDP_ABORTED, reason = depart(ctx, parcel, &action);

	if (reason)
		return finish_slow(ctx, reason);
	write_l2(parcel->p->ip - sizeof(struct ethhdr), parcel->backend);
	return action;
}

/* Sends a packet. */
static __always_inline int send(struct xdp_md *ctx, const struct parcel *parcel)
{
	bool v4 = parcel->p->family == LB_FAMILY_V4;
	__u8 method = parcel->backend->method;
	int reason;

	note_backend(parcel->backend);
	if (parcel->length > parcel->backend->max_len)
		return send_unfit(ctx, parcel);
	if (method == LB_METHOD_L2)
		return send_l2(ctx, parcel);
	reason = spend_ttl(parcel->p);
	if (reason)
		return finish_slow(ctx, answer(ctx, reason, 0));
	switch (LB_MOSTLY(method, v4 ? LB_METHOD_IPIP_V4 : LB_METHOD_IPIP_V6)) {
#define X(method, v6, gue)                                                                                   \
	case method:                                                                                         \
		return send_wrapped(ctx, parcel, v6, gue);
		ENCAPSULATIONS(X)
#undef X
	}
	return finish_slow(ctx, LB_DROP_NEXTHOP);
}

/* The same of a packet that was parsed off the fast path. */
static __always_inline int send_parsed(struct xdp_md *ctx, const struct pkt *p, const struct lb_vip *vip,
				       const struct lb_backend *backend, const struct choice *choice)
{
	struct parcel parcel = { .p = p,
				 .vip = vip,
				 .backend = backend,
				 .hash = choice->hash,
				 .id = backend->counter,
				 .length = inner_length(p),
				 .how = choice->how,
				 .flat = lb_flat_slots };

	return send(ctx, &parcel);
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
	count_shared(vip, inner_length(p), pkt_is_syn(p));
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
	return send_parsed(ctx, p, vip, backend, &choice);
}

/* Starts over for what the fast path is too narrow for: IPv4 options, shared rings, source ranges,
 * affinity. */
LB_SUBPROGRAM int balance_again(struct xdp_md *ctx)
{
	struct pkt p = {};

	return parse_again(ctx, &p) ? balance_fully(ctx, &p) : finish_slow(ctx, LB_DROP_INTERNAL);
}

/* What a service needs that balance_fully() alone looks at. */
#define LB_VIP_FULLY (LB_VIP_SOURCE | LB_VIP_QUIC | LB_VIP_SHARED | LB_VIP_RANGES)

/* From a service that needs no more than that to the verdict, whether or not the slot is settled. */
static __always_inline int balance_slot(struct xdp_md *ctx, const struct pkt *p, __u64 active, __u32 bucket,
					__u64 hash)
{
	struct lb_control *control = control_get();
	struct lb_vip *vip = vip_at(active, bucket);
	struct choice choice = { .hash = hash };
	struct lb_backend *backend;
	int reason;

	if (!control || !vip)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	reason = choose_slot(ctx, p, control, active, bucket, vip, NULL, &choice);
	if (reason)
		return not_chosen(ctx, vip, reason);
	backend = backend_record(vip, choice.index);
	if (!backend)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	if (is_observed(hash))
		observe_plain(ctx, p, vip, backend, hash);
	return send_parsed(ctx, p, vip, backend, &choice);
}

/*
 * A packet in plain form whose slot is unsettled or whose flow is observed. active, bucket, hash: as
 * balance() found them.
 */
LB_SUBPROGRAM int balance_unsettled(struct xdp_md *ctx, __u64 active, __u32 bucket, __u64 hash)
{
	struct cursor c = { (void *)(long)ctx->data + sizeof(struct ethhdr), (void *)(long)ctx->data_end };
	struct pkt p = {};

	if (!read_again(&c, &p))
		return finish_slow(ctx, LB_DROP_INTERNAL);
	return balance_slot(ctx, &p, active, bucket, hash);
}

/* balance_wildcard(): no verdict, but that balance_again() is to find it. Not called from there: the stack is
 * small. */
#define BALANCE_AGAIN (-1)

/*
 * A packet in plain form that no exact service takes, where there may be another for it: its verdict, or
 * BALANCE_AGAIN. active, mix: as balance() found them.
 */
LB_SUBPROGRAM int balance_wildcard(struct xdp_md *ctx, __u64 active, __u64 mix)
{
	struct cursor c = { (void *)(long)ctx->data + sizeof(struct ethhdr), (void *)(long)ctx->data_end };
	struct lb_control *control = control_get();
	struct lb_vip *vip;
	struct pkt p = {};
	__u32 bucket;

	if (!control || !read_again(&c, &p))
		return finish_slow(ctx, LB_DROP_INTERNAL);
	bucket = wildcard_bucket(active, p.daddr[0], p.daddr[1],
				 lb_vip_tail_word(p.dport, p.protocol, p.family, 0, 0));
	vip = vip_at(active, bucket);
	if (!vip)
		return may_be_host(&p, active) ? unclaimed_packet(ctx) : finish(ctx, LB_PASS_NO_SERVICE);
	if (vip->flags & LB_VIP_FULLY)
		return BALANCE_AGAIN;
	note_service(active, vip);
	return balance_slot(ctx, &p, active, bucket,
			    flow_hash_of(&p, LB_AFTER(&control->hash_seed[0], active), mix));
}

/* A packet that no exact service takes. */
static __always_inline int balance_other(struct xdp_md *ctx, const struct pkt *p, __u64 active, __u64 mix)
{
	bool known;
	int action;

	LB_HIDE(active); /* or part of it is kept for this case alone */
	known = in_filter(active, p->daddr[0], p->daddr[1]);
	if (active & LB_ACTIVE_WILDCARD && (known || !(active & LB_ACTIVE_FILTERED))) {
		action = balance_wildcard(ctx, active, mix);
		return action == BALANCE_AGAIN ? balance_again(ctx) : action;
	}
	return known ? unclaimed_packet(ctx) : finish(ctx, LB_PASS_NO_SERVICE);
}

/*
 * From a parsed packet to its verdict, as long as all is settled; made once per family, so that each has only
 * its own. The active word is read once: the whole decision is made in one generation.
 */
static __always_inline int balance(struct xdp_md *ctx, struct pkt *p, bool flat)
{
	struct lb_control *control = control_get();
	struct lb_backend *backend;
	__u64 active, hash, mix = 0;
	struct parcel parcel;
	__u32 slot, *ring;
	const __u64 *seed;
	struct lb_vip *vip;

	if (!control)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	active = LB_LOAD(&control->active);
	seed = LB_AFTER(&control->hash_seed[0], active);
	plain_read_service(p);
	vip = service_exact(p, seed, active, flat, &mix);
	if (!vip)
		return balance_other(ctx, p, active, mix);
	if (vip->flags & LB_VIP_FULLY)
		return balance_again(ctx);
	note_service(active, vip);
	plain_read_client(p);
	hash = flow_hash_of(p, seed, mix);
	ring = ring_slot_of(vip, hash & vip->ring_mask, flat);
	if (!ring)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	slot = LB_LOAD(ring);
	if (!lb_slot_settled(slot) || is_observed(hash)) {
		LB_HIDE(active); /* or part of it is kept for this case alone */
		return balance_unsettled(ctx, active, bucket_of(active_bank_of(active, flat), vip), hash);
	}
	note_slot(vip, hash, slot);
	note_choice(lb_slot_cur(slot), LB_HOW_SETTLED);
	if (lb_slot_cur(slot) == LB_INDEX_NONE)
		return not_chosen(ctx, vip, LB_DROP_NO_BACKEND);
	backend = backend_record_of(vip, lb_slot_cur(slot), flat);
	if (!backend)
		return finish_slow(ctx, LB_DROP_INTERNAL);
	LB_HIDE(hash); /* its upper half is not kept beside it */
	parcel = (struct parcel){ .p = p,
				  .vip = vip,
				  .backend = backend,
				  .hash = hash,
				  .id = backend_id_of(vip, lb_slot_cur(slot), flat),
				  .length = inner_length(p),
				  .how = LB_HOW_SETTLED,
				  .flat = flat,
				  .plain = true };
	return send(ctx, &parcel);
}
