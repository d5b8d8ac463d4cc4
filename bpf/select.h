/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a flow to a backend: transition-only state (docs/architecture.md). A settled slot answers by itself;
 * only an unsettled one asks the flow table, in a function of its own off the fast path.
 */
#pragma once

#include "lb/decision.h"
#include "lb/hash.h"
#include "lb/slot.h"
#include "lb/types.h"
#include "config.h"
#include "maps.h"
#include "note.h"
#include "packet.h"
#include "service.h"

static __always_inline struct lb_flow_bucket *lb_flow_bucket_get(__u64 table, __u32 index)
{
	return bpf_map_lookup_elem(&lb_flows, &index);
}

#include "lb/flowtable.h"

#define LB_CLAIM_TURNS 3
#define LB_CLAIM_LOST  0xffffffffu

/* The flow's hash under a key: ports and addresses, or the client alone. */
static __always_inline __u64 flow_hash(const struct pkt *p, const __u64 *key, __u32 flags)
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

/* The same for ports and addresses; mix: what service_exact() made of the packet's destination. */
static __always_inline __u64 flow_hash_of(const struct pkt *p, const __u64 *key, __u64 mix)
{
	if (p->family == LB_FAMILY_V4)
		return lb_hash_client_v4(key, p->saddr[0], p->sport, mix);
	return lb_hash_client_v6(key, p->saddr, p->sport, mix);
}

/* What a packet is to select_known() and select_unsettled(). */
#define LB_FLOW_IS_SYN     1u
#define LB_FLOW_IS_CLOSING 2u
#define LB_FLOW_FORGET     4u /* change nothing */

/* Their answer: index, and how it was found; or that the first of them knows none alive. */
#define LB_SELECTED(index, how) ((index) | (__u32)(how) << 16)
#define LB_SELECTED_INDEX(s)    ((s)&0xffff)
#define LB_SELECTED_HOW(s)      ((s) >> 16)
#define LB_SELECTED_NOTHING     0xffffffffu

/* The slot's word, by reference; NULL only if the tables are broken. */
static __always_inline __u32 *ring_slot(const struct lb_vip *vip, __u32 number)
{
	__u32 place = vip->ring_first + number, *slot;
	struct lb_ring_chunk *chunk;

	if (lb_flat_slots) {
		if (place >= lb_flat_slots)
			return NULL;
		slot = &LB_FLAT(lb_rings, __u32)[place];
	} else {
		chunk = bpf_map_lookup_elem(&lb_rings, &vip->ring_chunk);
		if (!chunk)
			return NULL;
		slot = &chunk->slot[place & (LB_CHUNK_LINES * LB_SLOTS_PER_LINE - 1)];
	}
	LB_HIDE_POINTER(slot);
	return slot;
}

static __always_inline struct lb_backend *backend_record(const struct lb_vip *vip, __u32 index)
{
	__u32 place = vip->backend_first + index;
	struct lb_backend_chunk *chunk;
	struct lb_backend *record;

	if (lb_flat_records) {
		if (place >= lb_flat_records)
			return NULL;
		record = &LB_FLAT(lb_backends, struct lb_backend)[place];
	} else {
		chunk = bpf_map_lookup_elem(&lb_backends, &vip->backend_chunk);
		if (!chunk)
			return NULL;
		record = &chunk->record[place & (LB_CHUNK_LINES - 1)];
	}
	LB_HIDE_POINTER(record);
	return record;
}

static __always_inline bool backend_is_alive(const struct lb_vip *vip, __u32 index)
{
	struct lb_backend *backend = index < vip->backend_count ? backend_record(vip, index) : NULL;

	return backend && (backend->flags & (LB_BACKEND_USED | LB_BACKEND_DEAD)) == LB_BACKEND_USED;
}

/* Tells the sweeper that a flow from before the move still lives in this slot. */
static __always_inline void stamp_slot(const struct lb_vip *vip, __u32 number, __u32 now_s)
{
	struct lb_stamp_chunk *chunk = bpf_map_lookup_elem(&lb_stamps, &vip->ring_chunk);
	__u32 slot = vip->ring_first + number;
	__u32 *stamp;

	if (LB_TRACELESS || !chunk)
		return;
	stamp = &chunk->stamp_s[slot & (LB_CHUNK_LINES * LB_SLOTS_PER_LINE - 1)];
	if (LB_LOAD(stamp) != now_s)
		LB_STORE(stamp, now_s);
}

/* A flow that was found: its owner, as LB_SELECTED(), and its entry refreshed; LB_SELECTED_NOTHING: dead. */
static __always_inline __u32 select_found(const struct lb_vip *vip, const struct lb_flow_place *place,
					  __u32 flags, __u32 now_s)
{
	__u32 index = lb_flow_backend(place->word);
	__u32 state = lb_flow_next_state(lb_flow_state(place->word), flags & LB_FLOW_IS_SYN,
					 flags & LB_FLOW_IS_CLOSING);

	note_flow(index);
	if (!backend_is_alive(vip, index))
		return LB_SELECTED_NOTHING;
	if (!(flags & LB_FLOW_FORGET))
		lb_flow_touch(0, place, state, now_s);
	return LB_SELECTED(index, LB_HOW_KNOWN);
}

/* The owner of a flow that its home bucket knows, as LB_SELECTED(), or LB_SELECTED_NOTHING. */
static __always_inline __u32 select_known(const struct lb_control *control, const struct lb_vip *vip,
					  __u64 tag, __u32 hash, __u32 flags)
{
	__u64 identity = lb_flow_word(0, 0, hash, vip->service, 0);
	struct lb_flow_place place;

	if (!lb_flow_find_home(0, control->flow_mask, tag, identity, &place))
		return LB_SELECTED_NOTHING;
	return select_found(vip, &place, flags, LB_LOAD(&control->clock_s));
}

/*
 * The backend of a packet whose slot is unsettled, as LB_SELECTED(); LB_CLAIM_LOST when another CPU took the
 * place found for an insertion. active, bucket: name the service's VIP entry; tag, hash: of the flow; flags:
 * LB_FLOW_*.
 */
LB_SUBPROGRAM __u32 select_attempt(__u64 active, __u32 bucket, __u64 tag, __u32 hash, __u32 flags)
{
	struct lb_control *control = control_get();
	struct lb_vip *vip = vip_at(active, bucket);
	__u32 now_s, number, slot, cur, base, owner, *ring;
	bool syn = flags & LB_FLOW_IS_SYN;
	struct lb_flow_place place;
	__u64 identity;

	if (!control || !vip)
		return LB_INDEX_NONE;
	number = hash & vip->ring_mask;
	ring = ring_slot(vip, number);
	if (!ring)
		return LB_INDEX_NONE;
	slot = LB_LOAD(ring);
	cur = lb_slot_cur(slot);
	base = lb_slot_base(slot);
	owner = syn ? cur : base;
	now_s = LB_LOAD(&control->clock_s);
	identity = lb_flow_word(0, 0, hash, vip->service, 0);
	if (lb_flow_find(0, control->flow_mask, tag, identity, now_s, &place)) {
		__u32 found = select_found(vip, &place, flags, now_s);

		if (found != LB_SELECTED_NOTHING)
			return found;
	}
	if (cur == base || !(syn || slot & LB_SLOT_LEARNING)) {
		if (!syn && cur != base && !(flags & LB_FLOW_FORGET))
			stamp_slot(vip, number, now_s);
		return LB_SELECTED(base, syn ? LB_HOW_NEW : LB_HOW_BASE);
	}
	if (owner == LB_INDEX_NONE)
		return LB_INDEX_NONE;
	if (LB_TRACELESS && place.number == LB_FLOW_NOWHERE)
		return LB_SELECTED(base, LB_HOW_REFUSED);
	if (flags & LB_FLOW_FORGET ||
	    (place.number != LB_FLOW_NOWHERE &&
	     lb_flow_claim(0, &place, tag, identity | lb_flow_word(owner, LB_FLOW_EMBRYONIC, 0, 0, now_s))))
		return LB_SELECTED(owner, syn ? LB_HOW_NEW : LB_HOW_BASE);
	/* Should it stay unremembered, the flow lives with base from now on: base must be kept for it. */
	stamp_slot(vip, number, now_s);
	return place.number == LB_FLOW_NOWHERE ? LB_SELECTED(base, LB_HOW_REFUSED) : LB_CLAIM_LOST;
}

/*
 * The whole look-up, with a few turns when another CPU is quicker; then it does without (base), which is
 * consistent for as long as nothing is remembered. Unrolled calls, not a loop: kernels before 6.8 refuse a
 * loop that a compiler closes by falling through to its head, as clang does with this one.
 */
static __always_inline __u32 select_unsettled(__u64 active, __u32 bucket, __u64 tag, __u32 hash, __u32 flags,
					      __u32 slot)
{
	LB_UNROLL
	for (int turn = 0; turn < LB_CLAIM_TURNS; turn++) {
		__u32 selected = select_attempt(active, bucket, tag, hash, flags);

		if (selected != LB_CLAIM_LOST)
			return selected;
	}
	return LB_SELECTED(lb_slot_base(slot), LB_HOW_REFUSED);
}
