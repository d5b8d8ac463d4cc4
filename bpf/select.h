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

/* A look-up under way, which the stack has no room for. One packet's at a time, each CPU its own. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_flow_search);
} lb_search SEC(".maps");

static __always_inline struct lb_flow_search *search_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lb_search, &zero);
}

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

/* A flow's hash (the bits that name its slot) and its segment, as the numbers that subprograms take. */
static __always_inline __u64 select_what(__u32 hash, const struct lb_segment *segment)
{
	return hash | (__u64)(segment->bytes & 0xffff) << 32 | (__u64)(segment->flags & LB_SEGMENT_ALL) << 48;
}

#define LB_WHAT(flags) ((__u64)(flags) << 48)

static __always_inline struct lb_segment select_segment(__u64 what, __u64 numbers)
{
	return (struct lb_segment){
		.seq = numbers, .ack = numbers >> 32, .bytes = what >> 32 & 0xffff, .flags = what >> 48
	};
}

/* Their answer: index, and how it was found; or that the first of them knows none alive. */
#define LB_SELECTED(index, how) ((index) | (__u32)(how) << 16)
#define LB_SELECTED_INDEX(s)    ((s)&0xffff)
#define LB_SELECTED_HOW(s)      ((s) >> 16)
#define LB_SELECTED_NOTHING     0xffffffffu

/* The slot's word, by reference; NULL only if the tables are broken. flat: whether they are. */
static __always_inline __u32 *ring_slot_of(const struct lb_vip *vip, __u32 number, bool flat)
{
	__u32 place = vip->ring_first + number, *slot;
	struct lb_ring_chunk *chunk;

	if (flat) {
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

static __always_inline __u32 *ring_slot(const struct lb_vip *vip, __u32 number)
{
	return ring_slot_of(vip, number, lb_flat_slots);
}

static __always_inline struct lb_backend *backend_record_of(const struct lb_vip *vip, __u32 index, bool flat)
{
	__u32 place = vip->backend_first + index;
	struct lb_backend_chunk *chunk;
	struct lb_backend *record;

	if (flat) {
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

static __always_inline struct lb_backend *backend_record(const struct lb_vip *vip, __u32 index)
{
	return backend_record_of(vip, index, lb_flat_slots);
}

/* No counter has it, on any CPU: beyond all of them, also with a CPU's first counter added. */
#define LB_ID_NOWHERE 0x80000000u

/* The id in that record, from the table beside. */
static __always_inline __u32 backend_id_of(const struct lb_vip *vip, __u32 index, bool flat)
{
	__u32 place = vip->backend_first + index;
	struct lb_backend_id_chunk *chunk;

	if (flat)
		return place < lb_flat_records ? LB_LOAD(&LB_FLAT(lb_backend_ids, __u32)[place])
					       : LB_ID_NOWHERE;
	chunk = bpf_map_lookup_elem(&lb_backend_ids, &vip->backend_chunk);
	return chunk ? LB_LOAD(&chunk->id[place & (LB_CHUNK_LINES - 1)]) : LB_ID_NOWHERE;
}

static __always_inline bool backend_is_alive(const struct lb_vip *vip, __u32 index)
{
	struct lb_backend *backend = index < vip->backend_count ? backend_record(vip, index) : NULL;

	return backend && (backend->flags & (LB_BACKEND_USED | LB_BACKEND_DEAD)) == LB_BACKEND_USED;
}

/* Tells the sweeper that a flow from before the move still lives in this slot. */
static __always_inline void stamp_slot(const struct lb_vip *vip, __u32 number, __u32 now_s)
{
	struct lb_control *control = control_get();
	__u32 slot = vip->ring_first + number, key;
	struct lb_stamp_chunk *chunk;
	__u32 *stamp;

	if (LB_TRACELESS || !control)
		return;
	key = vip->ring_chunk & (control->stamp_lines / LB_CHUNK_LINES - 1);
	chunk = bpf_map_lookup_elem(&lb_stamps, &key);
	if (!chunk)
		return;
	stamp = &chunk->stamp_s[slot & (LB_CHUNK_LINES * LB_SLOTS_PER_LINE - 1)];
	if (LB_LOAD(stamp) != now_s)
		LB_STORE(stamp, now_s);
}

/* lb_flow_follow() and lb_flow_claim(), each with a stack of its own. */
LB_SUBPROGRAM int select_follow(const struct lb_flow_place *place, __u64 what, __u64 numbers, __u32 now_s)
{
	struct lb_segment segment = select_segment(what, numbers);

	return place ? lb_flow_follow(0, place, &segment, now_s) : 0;
}

LB_SUBPROGRAM int select_claim(const struct lb_flow_search *search, __u64 word, __u64 what)
{
	struct lb_segment segment;

	if (!search)
		return 0;
	segment = select_segment(what, search->numbers);
	return lb_flow_claim(0, &search->best, search->tag, word, &segment);
}

/* A flow that was found: its owner, as LB_SELECTED(), and its entry refreshed; LB_SELECTED_NOTHING: dead. */
static __always_inline __u32 select_found(const struct lb_vip *vip, const struct lb_flow_place *place,
					  __u64 what, __u64 numbers, __u32 now_s)
{
	__u32 index = lb_flow_backend(place->word);

	note_flow(index);
	if (!backend_is_alive(vip, index))
		return LB_SELECTED_NOTHING;
	if (!LB_TRACELESS && !(what & LB_WHAT(LB_SEGMENT_FORGET)))
		(void)select_follow(place, what, numbers, now_s);
	return LB_SELECTED(index, LB_HOW_KNOWN);
}

/*
 * The owner of a flow that its home bucket knows, as LB_SELECTED(), or LB_SELECTED_NOTHING. TCP: of what
 * continues a flow to the byte, which nearly everything does.
 */
static __always_inline __u32 select_known(const struct lb_control *control, const struct lb_vip *vip,
					  __u64 tag, __u64 what, __u64 numbers)
{
	__u64 identity = lb_flow_word(0, 0, what, vip->service, 0);
	struct lb_flow_place place;

	if (what & LB_WHAT(LB_SEGMENT_SYN | LB_SEGMENT_ANY) ||
	    !lb_flow_find_home(0, control->flow_mask, tag, lb_flow_question(identity, what >> 48, 0), numbers,
			       &place))
		return LB_SELECTED_NOTHING;
	return select_found(vip, &place, what, numbers, LB_LOAD(&control->clock_s));
}

/*
 * Whether a flow that is not known is to be remembered. A SYN: where the slot's halves differ, or where what
 * follows it might be taken for another connection of the same addresses and ports. An older TCP connection,
 * by what acknowledges something. Others: while the slot learns.
 */
static __always_inline bool is_worth_an_entry(__u64 what, const struct lb_flow_place *place, __u32 slot)
{
	bool differs = lb_slot_cur(slot) != lb_slot_base(slot);

	if (what & LB_WHAT(LB_SEGMENT_SYN))
		return differs || place->lives;
	if (what & LB_WHAT(LB_SEGMENT_FORGET | LB_SEGMENT_RST))
		return false;
	return differs && (what & LB_WHAT(LB_SEGMENT_TCP) || slot & LB_SLOT_LEARNING);
}

/*
 * The owner of a flow that is not known: base, who had the old ones. A SYN opens a new one, for cur; but
 * where an entry has other numbers and no mark of an end, somebody still lives there or wants us to think so.
 */
static __always_inline __u32 owner_of_unknown(__u64 what, const struct lb_flow_place *place, __u32 slot)
{
	return what & LB_WHAT(LB_SEGMENT_SYN) && !place->others ? lb_slot_cur(slot) : lb_slot_base(slot);
}

/*
 * The backend of a packet whose slot is unsettled, if its flow is known, as LB_SELECTED(); or
 * LB_SELECTED_NOTHING, with all that the look-up met in lb_search, for select_unknown(). active, bucket: name
 * the service's VIP entry; tag: of the flow; what, numbers: select_what(), lb_segment_numbers().
 */
LB_SUBPROGRAM __u32 select_listed(__u64 active, __u32 bucket, __u64 tag, __u64 what, __u64 numbers)
{
	struct lb_flow_search *search = search_get();
	struct lb_control *control = control_get();
	struct lb_vip *vip;
	__u32 now_s;

	if (!search || !control)
		return LB_INDEX_NONE;
	LB_HIDE_POINTER(search);
	vip = vip_at(active, bucket);
	if (!vip)
		return LB_INDEX_NONE;
	now_s = LB_LOAD(&control->clock_s);
	search->tag = tag;
	search->question = lb_flow_question(lb_flow_word(0, 0, what, vip->service, 0), what >> 48, now_s);
	search->numbers = numbers;
	if (!lb_flow_look(0, control->flow_mask, search))
		return LB_SELECTED_NOTHING;
	return select_found(vip, &search->best, what, numbers, now_s);
}

/*
 * The same of a flow that select_listed() did not find, or whose backend is dead; LB_CLAIM_LOST when another
 * CPU took the place found for an insertion.
 */
LB_SUBPROGRAM __u32 select_unknown(__u64 active, __u32 bucket, __u64 what)
{
	struct lb_control *control = control_get();
	struct lb_flow_search *search = search_get();
	__u32 number, slot, owner, how, now_s, *ring;
	bool syn = what & LB_WHAT(LB_SEGMENT_SYN), tcp = what & LB_WHAT(LB_SEGMENT_TCP);
	struct lb_vip *vip;
	__u64 word;

	if (!search || !control)
		return LB_INDEX_NONE;
	LB_HIDE_POINTER(search);
	vip = vip_at(active, bucket);
	if (!vip)
		return LB_INDEX_NONE;
	number = (__u32)what & vip->ring_mask;
	ring = ring_slot(vip, number);
	if (!ring)
		return LB_INDEX_NONE;
	slot = LB_LOAD(ring);
	now_s = LB_LOAD(&control->clock_s);
	owner = owner_of_unknown(what, &search->best, slot);
	word = lb_flow_word(owner, syn ? LB_FLOW_EMBRYONIC : LB_FLOW_ONCE, what, vip->service, now_s);
	how = syn ? LB_HOW_NEW : LB_HOW_BASE;

	/* Whether it is remembered or not, an old connection lives with base: base must be kept for it. */
	if (tcp && !syn && lb_slot_cur(slot) != owner && !(what & LB_WHAT(LB_SEGMENT_FORGET)))
		stamp_slot(vip, number, now_s);
	if (owner == LB_INDEX_NONE || !is_worth_an_entry(what, &search->best, slot))
		return LB_SELECTED(owner, how);
	if (LB_TRACELESS)
		return search->best.number == LB_FLOW_NOWHERE
			       ? LB_SELECTED(lb_slot_base(slot), LB_HOW_REFUSED)
			       : LB_SELECTED(owner, how);
	if (search->best.number != LB_FLOW_NOWHERE && select_claim(search, word, what))
		return LB_SELECTED(owner, how);
	/* So must it be for a new one that stays unremembered. Others than TCP have the learning window. */
	if (tcp)
		stamp_slot(vip, number, now_s);
	return search->best.number == LB_FLOW_NOWHERE ? LB_SELECTED(lb_slot_base(slot), LB_HOW_REFUSED)
						      : LB_CLAIM_LOST;
}

/*
 * The whole look-up, with a few turns when another CPU is quicker; then it does without (base), which is
 * consistent for as long as nothing is remembered. Unrolled calls, not a loop: kernels before 6.8 refuse a
 * loop that a compiler closes by falling through to its head, as clang does with this one.
 */
static __always_inline __u32 select_unsettled(__u64 active, __u32 bucket, __u64 tag, __u64 what,
					      __u64 numbers, __u32 slot)
{
	LB_UNROLL
	for (int turn = 0; turn < LB_CLAIM_TURNS; turn++) {
		__u32 selected = select_listed(active, bucket, tag, what, numbers);

		if (selected == LB_SELECTED_NOTHING)
			selected = select_unknown(active, bucket, what);
		if (selected != LB_CLAIM_LOST)
			return selected;
	}
	return LB_SELECTED(lb_slot_base(slot), LB_HOW_REFUSED);
}
