/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A ring slot: two 16-bit halves in one word, so that it changes in one store.
 *
 *   bits  0..13  cur   index of the owner of new flows
 *   bits 14..15  zero
 *   bits 16..29  base  index of the owner of flows that have no entry in the flow table
 *   bit  30      LEARNING   (no SYN in this protocol) unknown flows are old: base, and remembered
 *   bit  31      UNSETTLED  flow entries that disagree with cur may exist
 *
 * A slot whose halves name two backends is unsettled, always, so that bit 31 alone says whether it is
 * settled: one comparison, no state, no look-up.
 */
#pragma once

#include <linux/types.h>

#define LB_INDEX_NONE     0x3fffu /* no backend is eligible */
#define LB_INDEX_MASK     0x3fffu
#define LB_SLOT_LEARNING  (1u << 30)
#define LB_SLOT_UNSETTLED (1u << 31)
#define LB_SLOT_FLAGS     (LB_SLOT_LEARNING | LB_SLOT_UNSETTLED)

static inline __u32 lb_slot_make(__u32 cur, __u32 base, __u32 flags)
{
	return (cur & LB_INDEX_MASK) | (base & LB_INDEX_MASK) << 16 | flags;
}

static inline __u32 lb_slot_cur(__u32 slot)
{
	return slot & LB_INDEX_MASK;
}

static inline __u32 lb_slot_base(__u32 slot)
{
	return slot >> 16 & LB_INDEX_MASK;
}

static inline int lb_slot_settled(__u32 slot)
{
	return (__s32)slot >= 0;
}
