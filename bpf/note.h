/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the packet path says what it decided. In lb_ingress these are nothing at all: its instructions are
 * the same with and without them. lb_capture and lb_explain (which define LB_NOTES) keep the decision.
 */
#pragma once

#include "lb/decision.h"
#include "config.h"

#ifdef LB_NOTES

#include "lb/reasons.h"
#include "maps.h"

/* Written and read by one packet at a time: of lb_capture each CPU has its own; lb_explain runs alone. */
struct {
	__uint(type, LB_TRACELESS ? BPF_MAP_TYPE_ARRAY : BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lb_decision);
} lb_decision SEC(".maps");

static __always_inline struct lb_decision *decision_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lb_decision, &zero);
}

/* Before the pipeline. */
static __always_inline void decision_begin(void)
{
	struct lb_decision *decision = decision_get();

	if (!decision)
		return;
	__builtin_memset(decision, 0, sizeof(*decision));
	decision->generation = LB_ACTIVE_GENERATION(LB_LOAD(&control_get()->active));
	decision->service = decision->backend = LB_DECISION_NOBODY;
	decision->reason = LB_REASON_NONE;
}

/* The service that the packet is for, found in the generation of this active word. */
static __always_inline void note_service(__u64 active, const struct lb_vip *vip)
{
	struct lb_decision *decision = decision_get();

	if (!decision)
		return;
	decision->generation = LB_ACTIVE_GENERATION(active);
	decision->service = vip->service;
}

/* The slot that the flow's hash picks, and what it holds. */
static __always_inline void note_slot(const struct lb_vip *vip, __u64 hash, __u32 word)
{
	struct lb_decision *decision = decision_get();

	if (!decision)
		return;
	decision->hash = hash;
	decision->slot = hash & vip->ring_mask;
	decision->word = word;
	decision->decided |= LB_DECIDED_SLOT;
}

/* The backend that the flow's entry names. */
static __always_inline void note_flow(__u32 index)
{
	struct lb_decision *decision = decision_get();

	if (!decision)
		return;
	decision->flow = index;
	decision->decided |= LB_DECIDED_FLOW;
}

static __always_inline void note_choice(__u32 index, __u32 how)
{
	struct lb_decision *decision = decision_get();

	if (!decision)
		return;
	decision->index = index;
	decision->how = how;
	decision->decided |= LB_DECIDED_INDEX;
}

static __always_inline void note_backend(const struct lb_backend *backend)
{
	struct lb_decision *decision = decision_get();

	if (decision)
		decision->backend = backend->counter;
}

static __always_inline void note_reason(__u32 reason)
{
	struct lb_decision *decision = decision_get();

	if (decision)
		decision->reason = reason;
}

#else

#define note_service(active, vip)  ((void)0)
#define note_slot(vip, hash, word) ((void)0)
#define note_flow(index)           ((void)0)
#define note_choice(index, how)    ((void)0)
#define note_backend(backend)      ((void)0)
#define note_reason(reason)        ((void)0)

#endif
