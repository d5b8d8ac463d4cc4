/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table: who owns a flow while its slot is unsettled (docs/architecture.md). The same code runs in
 * the packet path and, compiled for the host, in the agent's sweeper, the stress tests and the property test.
 *
 * A power-of-two array of 64-byte buckets of four flows. A flow lives in the first bucket with room among the
 * LB_FLOW_PROBES that start at its home bucket (tag & mask). Each flow is two words:
 *
 *   tag   64 bits of a hash under a key that is random per boot; never 0
 *   word  bits  0..13 backend index   14..15 state   16..31 flow hash, low bits (names the ring slot)
 *              32..47 service id      48..63 coarse time of the last packet, seconds modulo 2^16
 *
 * Protocol. The word owns the place. A writer claims a place by compare-and-swap of its word to BUSY, writes
 * the tag, then publishes the new word with an exchange (a full barrier on every architecture). A reader
 * takes the word, the tag, and the word again; it believes a place only if the tag is its own, both readings
 * agree, and the service and hash bits in the word are its own. So a place that is claimed, published or
 * recycled between its loads is seen as absent, never as another flow: there is no ABA.
 *
 * A look-up ends at the first bucket that has an EMPTY place: an insertion never passes one by. A place that
 * is given up in a bucket that was full becomes a TOMB, which insertions reuse and look-ups step over. The
 * sweeper turns tombs to EMPTY when no flow further on has its home at or before them, and not before a grace
 * period has passed since the place was given up (TOMB, then TOMB_OLD, then EMPTY): a packet that saw the
 * bucket full may still be about to claim a place further on.
 *
 * The includer defines, before including this file:
 *     struct lb_flow_bucket *lb_flow_bucket_get(lb_flow_table table, __u32 index)   // NULL ends a probe
 */
#pragma once

#include "lb/access.h"
#include "lb/hash.h"
#include "lb/types.h"

#define LB_FLOW_PROBES 16u /* buckets; by measurement, docs/flow-table.md */

#define LB_FLOW_EMPTY    0ull
#define LB_FLOW_TOMB     1ull /* state 0: not a flow */
#define LB_FLOW_TOMB_OLD 2ull /* a tomb for at least a grace period: may become EMPTY */
#define LB_FLOW_BUSY     3ull

#define LB_FLOW_EMBRYONIC   1u /* no second packet yet; may be evicted once older than the grace below */
#define LB_FLOW_ESTABLISHED 2u
#define LB_FLOW_CLOSING     3u /* FIN or RST seen */

/* A handshake gets this long before anything may evict it; a client's SYN-ACK and ACK are through by then. */
#define LB_FLOW_EMBRYONIC_GRACE_S 5u

#ifdef __bpf__
typedef __u64 lb_flow_table; /* one table, known to lb_flow_bucket_get() */
#define LB_FLOW_FUNCTION __attribute__((noinline))
#else
typedef void *lb_flow_table;
#define LB_FLOW_FUNCTION LB_INLINE
#endif

LB_INLINE __u64 lb_flow_word(__u32 backend, __u32 state, __u32 hash, __u32 service, __u32 now_s)
{
	return (__u64)(backend & 0x3fff) | (__u64)state << 14 | (__u64)(hash & 0xffff) << 16 |
	       (__u64)(service & 0xffff) << 32 | (__u64)(now_s & 0xffff) << 48;
}

LB_INLINE __u32 lb_flow_backend(__u64 word)
{
	return word & 0x3fff;
}

LB_INLINE __u32 lb_flow_state(__u64 word)
{
	return word >> 14 & 3; /* 0: EMPTY, TOMB or BUSY */
}

LB_INLINE __u32 lb_flow_hash(__u64 word)
{
	return word >> 16 & 0xffff;
}

LB_INLINE __u32 lb_flow_service(__u64 word)
{
	return word >> 32 & 0xffff;
}

/* Seconds since the last packet, modulo 2^16: the sweeper comes by long before that wraps. */
LB_INLINE __u32 lb_flow_age_s(__u64 word, __u32 now_s)
{
	return (now_s - (__u32)(word >> 48)) & 0xffff;
}

/*
 * A handshake that nobody completed in time: anything may take its place. A packet that read the clock before
 * it moved on may meet one that is younger than itself: an age beyond half the range is that, not old.
 */
LB_INLINE int lb_flow_is_evictable(__u64 word, __u32 now_s)
{
	return lb_flow_state(word) == LB_FLOW_EMBRYONIC &&
	       lb_flow_age_s(word, now_s) - LB_FLOW_EMBRYONIC_GRACE_S - 1 < 0x8000;
}

LB_INLINE __u64 lb_flow_tag(__u64 hash)
{
	return hash ? hash : 1;
}

/* The bits of a word that say whose flow it is: service and hash. */
LB_INLINE __u64 lb_flow_identity(__u64 word)
{
	return word & 0x0000ffffffff0000ull;
}

#define LB_FLOW_NOWHERE 0xffffffffu

/* A place by number, not by pointer: the verifier then has nothing to tell apart. */
struct lb_flow_place {
	__u32 number; /* bucket * LB_FLOWS_PER_BUCKET + place, or LB_FLOW_NOWHERE */
	__u64 word;   /* as read */
};

LB_INLINE struct lb_flow *lb_flow_at(lb_flow_table table, __u32 number)
{
	struct lb_flow_bucket *bucket = lb_flow_bucket_get(table, number / LB_FLOWS_PER_BUCKET);

	return bucket ? &bucket->flow[number % LB_FLOWS_PER_BUCKET] : 0;
}

/* Whether a place, whose word was read first, holds the flow: the protocol above, as readers follow it. */
LB_INLINE int lb_flow_is(struct lb_flow *flow, __u64 word, __u64 tag, __u64 identity)
{
	__u64 found = LB_LOAD(LB_AFTER(&flow->tag, word));

	return found == tag && lb_flow_identity(word) == identity && lb_flow_state(word) &&
	       LB_LOAD(LB_AFTER(&flow->word, found)) == word;
}

/*
 * One bucket, as one number (in the kernel a function that the verifier checks by itself, once):
 *   found: the flow's word with its identity bits (known to the caller) replaced by what follows
 *   bit 16 found, 17..18 its place; bit 19 a spare place, 20..21 which, 22..23 its word;
 *   bit 24 an embryonic flow past its grace, 25..26 which; bit 27 the probe ends here
 */
#define LB_SCAN_FOUND    (1ull << 16)
#define LB_SCAN_SPARE    (1ull << 19)
#define LB_SCAN_OLD      (1ull << 24)
#define LB_SCAN_END      (1ull << 27)
#define LB_SCAN_IDENTITY 0x0000ffffffff0000ull

LB_FLOW_FUNCTION __u64 lb_flow_scan(lb_flow_table table, __u32 index, __u64 tag, __u64 identity, __u32 now_s)
{
	struct lb_flow_bucket *bucket = lb_flow_bucket_get(table, index);
	__u64 result = 0;

	if (!bucket)
		return LB_SCAN_END;
	LB_UNROLL
	for (__u32 i = 0; i < LB_FLOWS_PER_BUCKET; i++) {
		__u64 word = LB_LOAD(&bucket->flow[i].word);

		if (word <= LB_FLOW_TOMB_OLD) {
			if (word == LB_FLOW_EMPTY)
				result |= LB_SCAN_END;
			if (!(result & LB_SCAN_SPARE))
				result |= LB_SCAN_SPARE | (__u64)i << 20 | word << 22;
		} else if (lb_flow_is(&bucket->flow[i], word, tag, identity)) {
			return (word & ~LB_SCAN_IDENTITY) | LB_SCAN_FOUND | (__u64)i << 17;
		} else if (!(result & LB_SCAN_OLD) && lb_flow_is_evictable(word, now_s)) {
			result |= LB_SCAN_OLD | (__u64)i << 25;
		}
	}
	return result;
}

/*
 * A look at the home bucket alone, where nearly all flows are; otherwise like lb_flow_find(). 0: it may be
 * elsewhere.
 */
LB_INLINE int lb_flow_find_home(lb_flow_table table, __u32 mask, __u64 tag, __u64 identity,
				struct lb_flow_place *found)
{
	__u32 index = (__u32)tag & mask;
	struct lb_flow_bucket *bucket = lb_flow_bucket_get(table, index);

	if (!bucket)
		return 0;
	LB_UNROLL
	for (__u32 i = 0; i < LB_FLOWS_PER_BUCKET; i++) {
		__u64 word = LB_LOAD(&bucket->flow[i].word);

		if (lb_flow_is(&bucket->flow[i], word, tag, identity)) {
			found->number = index * LB_FLOWS_PER_BUCKET + i;
			found->word = word;
			return 1;
		}
	}
	return 0;
}

/*
 * Finds a flow. identity: lb_flow_word() of its service and hash, other fields 0. Returns 1 and *found, or 0
 * with *found the first place where it could be inserted (EMPTY, TOMB, or, failing these, an embryonic flow
 * older than its grace), LB_FLOW_NOWHERE when there is none.
 */
LB_INLINE int lb_flow_find(lb_flow_table table, __u32 mask, __u64 tag, __u64 identity, __u32 now_s,
			   struct lb_flow_place *found)
{
	struct lb_flow_place spare = { LB_FLOW_NOWHERE, 0 };
	__u32 old = LB_FLOW_NOWHERE;
	struct lb_flow *flow;

	for (__u32 probe = 0; probe < LB_FLOW_PROBES; probe++) {
		__u32 index = ((__u32)tag + probe) & mask;
		__u64 scan = lb_flow_scan(table, index, tag, identity, now_s);

		index *= LB_FLOWS_PER_BUCKET;
		if (scan & LB_SCAN_FOUND) {
			found->number = index + (scan >> 17 & 3);
			found->word = (scan & ~LB_SCAN_IDENTITY) | identity;
			return 1;
		}
		if (scan & LB_SCAN_SPARE && spare.number == LB_FLOW_NOWHERE) {
			spare.number = index + (scan >> 20 & 3);
			spare.word = scan >> 22 & 3;
		}
		if (scan & LB_SCAN_OLD && old == LB_FLOW_NOWHERE)
			old = index + (scan >> 25 & 3);
		if (scan & LB_SCAN_END)
			break;
	}
	if (spare.number == LB_FLOW_NOWHERE && old != LB_FLOW_NOWHERE) {
		flow = lb_flow_at(table, old);
		spare.word = flow ? LB_LOAD(&flow->word) : 0;
		if (lb_flow_is_evictable(spare.word, now_s))
			spare.number = old;
	}
	*found = spare;
	return 0;
}

/*
 * Claims the place that lb_flow_find() left and publishes the flow. 1, or 0 if another CPU took the place:
 * the caller may find again, so that no EMPTY place is ever passed by, and must do without after a few turns.
 */
LB_INLINE int lb_flow_claim(lb_flow_table table, const struct lb_flow_place *place, __u64 tag, __u64 word)
{
	struct lb_flow *flow = lb_flow_at(table, place->number);

	if (!flow || __sync_val_compare_and_swap(&flow->word, place->word, LB_FLOW_BUSY) != place->word)
		return 0;
	LB_STORE(&flow->tag, tag);
	/* The exchange orders the tag before the word for every reader. */
	(void)LB_EXCHANGE(&flow->word, word);
	return 1;
}

/* Refreshes a found flow: its time, and its state if it grew. A lost race means that another packet of the
 * flow did the same, or that the sweeper gave the place up in this very moment; both are harmless. */
LB_INLINE void lb_flow_touch(lb_flow_table table, const struct lb_flow_place *place, __u32 state, __u32 now_s)
{
	__u64 word =
		(place->word & 0x0000ffffffff3fffull) | (__u64)state << 14 | (__u64)(now_s & 0xffff) << 48;
	struct lb_flow *flow;

	if (word == place->word)
		return;
	flow = lb_flow_at(table, place->number);
	if (flow)
		(void)__sync_val_compare_and_swap(&flow->word, place->word, word);
}

/*
 * What a packet does to the state of its flow. syn, closing: of TCP. A SYN after the end opens the next
 * connection of the same ports, which is not to be forgotten as early as one that is closing.
 */
LB_INLINE __u32 lb_flow_next_state(__u32 state, int syn, int closing)
{
	if (closing)
		return LB_FLOW_CLOSING;
	if (syn)
		return state == LB_FLOW_CLOSING ? LB_FLOW_EMBRYONIC : state;
	return state == LB_FLOW_EMBRYONIC ? LB_FLOW_ESTABLISHED : state;
}
