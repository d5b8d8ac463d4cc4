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
#define LB_CLAIM_LOST  0xffffu /* no index */

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
	__u8 how;    /* out: enum lb_how */
};

/* How a backend was chosen. */
enum lb_how { LB_HOW_SETTLED, LB_HOW_NEW, LB_HOW_KNOWN, LB_HOW_BASE, LB_HOW_REFUSED };

/* The slot's word, by reference; NULL only if the tables are broken. */
static __always_inline __u32 *ring_slot(const struct lb_vip *vip, __u32 number)
{
	struct lb_ring_chunk *chunk = bpf_map_lookup_elem(&lb_rings, &vip->ring_chunk);
	__u32 slot = vip->ring_offset * LB_SLOTS_PER_LINE + number;

	return chunk ? &chunk->slot[slot & (LB_CHUNK_LINES * LB_SLOTS_PER_LINE - 1)] : NULL;
}

static __always_inline struct lb_backend *backend_record(const struct lb_vip *vip, __u32 index)
{
	struct lb_backend_chunk *chunk = bpf_map_lookup_elem(&lb_backends, &vip->backend_chunk);

	return chunk ? &chunk->record[(vip->backend_offset + index) & (LB_CHUNK_LINES - 1)] : NULL;
}

static __always_inline bool backend_is_alive(const struct lb_vip *vip, __u32 index)
{
	struct lb_backend *backend = index < vip->backend_count ? backend_record(vip, index) : NULL;

	return backend && (backend->flags & (LB_BACKEND_USED | LB_BACKEND_DEAD)) == LB_BACKEND_USED;
}

/* Tells the sweeper that a flow from before the move still lives in this slot. */
static __always_inline void stamp_slot(const struct unsettled *u, __u32 now_s)
{
	struct lb_stamp_chunk *chunk = bpf_map_lookup_elem(&lb_stamps, &u->vip->ring_chunk);
	__u32 slot = u->vip->ring_offset * LB_SLOTS_PER_LINE + u->slot_number;
	__u32 *stamp;

	if (!chunk || u->forget)
		return;
	stamp = &chunk->stamp_s[slot & (LB_CHUNK_LINES * LB_SLOTS_PER_LINE - 1)];
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

/* One attempt of select_unsettled(); LB_CLAIM_LOST when another CPU took the place found for the flow. */
static __noinline __u32 select_attempt(struct unsettled *u)
{
	__u32 cur = lb_slot_cur(u->slot), base = lb_slot_base(u->slot);
	__u64 identity = lb_flow_word(0, 0, u->hash, u->vip->service, 0);
	__u32 now_s = LB_LOAD(&u->control->clock_s);
	bool learning = u->slot & LB_SLOT_LEARNING;
	__u32 owner = u->syn ? cur : base;
	struct lb_flow_place place;

	if (lb_flow_find(0, u->control->flow_mask, u->tag, identity, now_s, &place)) {
		__u32 index = lb_flow_backend(place.word);

		if (backend_is_alive(u->vip, index)) {
			if (!u->forget)
				lb_flow_touch(
					0, &place,
					lb_flow_next_state(lb_flow_state(place.word), u->syn, u->closing),
					now_s);
			u->how = LB_HOW_KNOWN;
			return index;
		}
	}
	if (cur == base || !(u->syn || learning)) {
		u->how = u->syn ? LB_HOW_NEW : LB_HOW_BASE;
		if (!u->syn && cur != base)
			stamp_slot(u, now_s);
		return base;
	}
	if (owner == LB_INDEX_NONE)
		return LB_INDEX_NONE;
	if (remember(u, identity, owner, now_s, &place)) {
		u->how = u->syn ? LB_HOW_NEW : LB_HOW_BASE;
		return owner;
	}
	u->how = LB_HOW_REFUSED;
	return place.number == LB_FLOW_NOWHERE ? base : LB_CLAIM_LOST;
}

/*
 * The backend index of a packet whose slot is unsettled. Another CPU may take the place found for an
 * insertion while we look: a few turns, then do without (base), which is consistent for as long as nothing is
 * remembered. Unrolled calls, not a loop: kernels before 6.8 refuse a loop that a compiler closes by falling
 * through to its head, as clang does with this one.
 */
static __always_inline __u32 select_unsettled(struct unsettled *u)
{
	LB_UNROLL
	for (int turn = 0; turn < LB_CLAIM_TURNS; turn++) {
		__u32 index = select_attempt(u);

		if (index != LB_CLAIM_LOST)
			return index;
	}
	return lb_slot_base(u->slot);
}

static __always_inline bool is_explain(struct xdp_md *ctx)
{
	__u64 *meta = (void *)(long)ctx->data_meta;

	return (void *)(meta + 1) <= (void *)(long)ctx->data && *meta == LB_EXPLAIN_MAGIC;
}
