/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a flow to a backend: transition-only state (DESIGN section 4). A settled slot answers by itself; only
 * an unsettled one asks the flow table, in a function of its own off the fast path.
 */
#pragma once

#include "lb/hash.h"
#include "lb/slot.h"
#include "lb/types.h"
#include "maps.h"
#include "packet.h"

static __always_inline struct lb_flow_bucket *lb_flow_bucket_get(__u64 table, __u32 index)
{
	return bpf_map_lookup_elem(&lb_flows, &index);
}

#include "lb/flowtable.h"

#define LB_CLAIM_TURNS 3

/* The flow's hash under a key: ports and addresses, or the client alone. */
static __always_inline __u64 flow_hash(const struct pkt *p, const __u64 key[2], __u32 flags)
{
	__u32 ports = (__u32)p->sport << 16 | p->dport;
	__u32 protocol = p->protocol;
	__u64 daddr_0 = p->daddr[0], daddr_1 = p->daddr[1];

	if (flags & LB_VIP_SOURCE) {
		ports = protocol = 0;
		daddr_0 = daddr_1 = 0;
	}
	if (p->family == LB_FAMILY_V4)
		return lb_hash_v4(key, p->saddr[0], daddr_0, ports, protocol);
	return lb_hash_v6(key, p->saddr, (__u64[2]){ daddr_0, daddr_1 }, ports, protocol);
}

/* What the slow path needs, small enough to pass on the stack. */
struct unsettled {
	const struct lb_control *control;
	const struct lb_vip *vip;
	__u64 tag;
	__u32 slot;
	__u32 slot_number;
	__u32 hash;
	__u8 syn;
	__u8 closing;
	__u8 forget; /* explain: change nothing */
	__u8 how;    /* out: enum unsettled_how */
};

enum unsettled_how { UNSETTLED_NEW, UNSETTLED_KNOWN, UNSETTLED_BASE, UNSETTLED_REFUSED };

static __always_inline bool backend_is_alive(const struct lb_vip *vip, __u32 index)
{
	__u32 key = vip->backend_first + index;
	struct lb_backend *backend;

	if (index >= vip->backend_count)
		return false;
	backend = bpf_map_lookup_elem(&lb_backends, &key);
	return backend && (backend->flags & (LB_BACKEND_USED | LB_BACKEND_DEAD)) == LB_BACKEND_USED;
}

/* Tells the sweeper that a flow from before the move still lives in this slot. */
static __always_inline void stamp_slot(const struct unsettled *u, __u32 now_s)
{
	__u32 line = u->vip->ring_line + u->slot_number / LB_SLOTS_PER_LINE;
	struct lb_stamp_line *stamps = bpf_map_lookup_elem(&lb_stamps, &line);
	__u32 *stamp;

	if (!stamps || u->forget)
		return;
	stamp = &stamps->stamp_s[u->slot_number % LB_SLOTS_PER_LINE];
	if (LB_LOAD(stamp) != now_s)
		LB_STORE(stamp, now_s);
}

/* Remembers flow -> index, or overwrites an entry that names a dead backend. 1 if it is remembered. */
static __always_inline int remember(const struct unsettled *u, __u64 identity, __u32 index, __u32 now_s,
				    struct lb_flow_place *place)
{
	__u64 word = identity | lb_flow_word(index, LB_FLOW_EMBRYONIC, 0, 0, now_s);

	if (u->forget)
		return 1;
	return place->number != LB_FLOW_NOWHERE && lb_flow_claim(0, place, u->tag, word);
}

/*
 * The backend index of a packet whose slot is unsettled. Another CPU may take the place found for an
 * insertion while we look: a few turns, then do without (base), which is consistent for as long as nothing is
 * remembered.
 */
static __noinline __u32 select_unsettled(struct unsettled *u)
{
	__u32 cur = lb_slot_cur(u->slot), base = lb_slot_base(u->slot);
	__u64 identity = lb_flow_word(0, 0, u->hash, u->vip->service, 0);
	__u32 now_s = LB_LOAD(&u->control->clock_s);
	bool learning = u->slot & LB_SLOT_LEARNING;
	__u32 owner = u->syn ? cur : base;

	for (int turn = 0; turn < LB_CLAIM_TURNS; turn++) {
		struct lb_flow_place place;

		if (lb_flow_find(0, u->control->flow_mask, u->tag, identity, now_s, &place)) {
			__u32 index = lb_flow_backend(place.word);

			if (backend_is_alive(u->vip, index)) {
				if (!u->forget)
					lb_flow_touch(0, &place,
						      lb_flow_next_state(lb_flow_state(place.word), u->syn,
									 u->closing),
						      now_s);
				u->how = UNSETTLED_KNOWN;
				return index;
			}
		}
		if (cur == base || !(u->syn || learning)) {
			u->how = u->syn ? UNSETTLED_NEW : UNSETTLED_BASE;
			if (!u->syn && cur != base)
				stamp_slot(u, now_s);
			return base;
		}
		if (owner == LB_INDEX_NONE)
			return LB_INDEX_NONE;
		if (remember(u, identity, owner, now_s, &place)) {
			u->how = u->syn ? UNSETTLED_NEW : UNSETTLED_BASE;
			return owner;
		}
		if (place.number == LB_FLOW_NOWHERE)
			break;
	}
	u->how = UNSETTLED_REFUSED;
	return base;
}

static __always_inline bool is_explain(struct xdp_md *ctx)
{
	__u64 *meta = (void *)(long)ctx->data_meta;

	return (void *)(meta + 1) <= (void *)(long)ctx->data && *meta == LB_EXPLAIN_MAGIC;
}
