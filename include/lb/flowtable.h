/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The flow table: who owns a flow while its slot is unsettled (docs/architecture.md). The same code runs in
 * the packet path and, compiled for the host, in the agent's sweeper, the stress tests and the property test.
 *
 * A power-of-two array of buckets of four flows. A flow lives in the first bucket with room among the
 * LB_FLOW_PROBES that start at its home bucket (tag & mask), there in the first place with room in the order
 * of lb_flow_nth(). Each flow is two words, and two more of its TCP numbers (flow_numbers.h):
 *
 *   tag   64 bits of a hash under a key that is random per boot; never 0
 *   word  bits  0..13 backend index   14..15 state   16..31 flow hash, low bits (names the ring slot)
 *              32..47 service id      48..63 coarse time of the last packet, seconds modulo 2^16
 *
 * Protocol. The word owns the place. A writer claims a place by compare-and-swap of its word to BUSY, writes
 * the tag, then publishes the new word with an exchange (a full barrier on every architecture). A reader
 * takes the word, the tag, and the word again; it believes a place only if the tag is its own, both readings
 * agree, and the service and hash bits in the word are its own. So a place that is claimed, published or
 * recycled between its loads is seen as absent, never as another flow: there is no ABA. The numbers are
 * written like the tag by whoever claims; later each word of them changes by compare-and-swap, so that
 * what was read of one flow is not written to another.
 *
 * TCP: several entries may have the same addresses and ports, each the numbers of one connection, or what
 * somebody says is one. A look-up finds the one that a segment fits best, if any.
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
#include "lb/flow_numbers.h"
#include "lb/hash.h"
#include "lb/types.h"

#define LB_FLOW_PROBES 16u /* buckets; by measurement, docs/flow-table.md */

#define LB_FLOW_EMPTY    0ull
#define LB_FLOW_TOMB     1ull /* state 0: not a flow */
#define LB_FLOW_TOMB_OLD 2ull /* a tomb for at least a grace period: may become EMPTY */
#define LB_FLOW_BUSY     3ull

/* A handshake gets this long before anything may evict it; a client's SYN-ACK and ACK are through by then. */
#define LB_FLOW_EMBRYONIC_GRACE_S 5u

/* Entries that addresses and ports may have. At the bound one takes the place of one that was closed and has
 * been silent for so long, or that proves nothing. */
#define LB_FLOW_LIVES       16u
#define LB_FLOW_LIFE_OVER_S 60u

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
 * Whether a new flow may take the place: a handshake that nobody completed in time; what was seen once, then
 * as well, and at any time for a SYN. A packet that read the clock before it moved on may meet one that is
 * younger than itself: an age beyond half the range is that, not old.
 */
LB_INLINE int lb_flow_is_evictable(__u64 word, __u32 now_s, int syn)
{
	if (lb_flow_state(word) == LB_FLOW_ONCE && syn)
		return 1;
	return (lb_flow_state(word) == LB_FLOW_EMBRYONIC || lb_flow_state(word) == LB_FLOW_ONCE) &&
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

/*
 * What is asked for, as one number: identity in its place of a word, clock in that of the time, and
 * LB_SEGMENT_* below.
 */
LB_INLINE __u64 lb_flow_question(__u64 identity, __u32 flags, __u32 now_s)
{
	return identity | (flags & LB_SEGMENT_ALL) | (__u64)(now_s & 0xffff) << 48;
}

/* And the numbers of the segment as another. */
LB_INLINE __u64 lb_segment_numbers(const struct lb_segment *segment)
{
	return segment->seq | (__u64)segment->ack << 32;
}

#define LB_FLOW_NOWHERE 0xffffffffu

/* A place by number, not by pointer: the verifier then has nothing to tell apart. */
struct lb_flow_place {
	__u32 number; /* bucket * LB_FLOWS_PER_BUCKET + place, or LB_FLOW_NOWHERE */
	__u16 lives;  /* entries of the same addresses and ports that were met */
	__u16 others; /* not 0: one of them is proven, does not fit, and has no mark of an end */
	__u64 word;   /* as read */
};

LB_INLINE struct lb_flow *lb_flow_at(lb_flow_table table, __u32 number)
{
	struct lb_flow_bucket *bucket = lb_flow_bucket_get(table, number / LB_FLOWS_PER_BUCKET);

	return bucket ? &bucket->flow[number % LB_FLOWS_PER_BUCKET] : 0;
}

/* The place of a bucket that a flow looks at n-th. Half of the flows begin with the second line: in a table
 * that is not crowded nearly all are found in the line that they ask first, at the cost of one miss. */
LB_INLINE __u32 lb_flow_nth(__u64 tag, __u32 n)
{
	return n ^ (tag >> 63) * LB_FLOWS_PER_LINE;
}

/* Whether a place, whose word was read first, holds the flow: the protocol above, as readers follow it. */
LB_INLINE int lb_flow_is(struct lb_flow *flow, __u64 word, __u64 tag, __u64 identity)
{
	__u64 found = LB_LOAD(LB_AFTER(&flow->tag, word));

	return found == tag && lb_flow_identity(word) == identity && lb_flow_state(word) &&
	       LB_LOAD(LB_AFTER(&flow->word, found)) == word;
}

/* Whether a connection of the flow asked for has a mark of an end, and was silent since for long. */
LB_INLINE int lb_flow_is_over(__u64 word, __u64 rest, __u64 question)
{
	return lb_flow_state(word) && lb_numbers_marked(rest) &&
	       lb_flow_identity(word) == lb_flow_identity(question) &&
	       lb_flow_age_s(word, question >> 48) - LB_FLOW_LIFE_OVER_S < 0x8000;
}

LB_INLINE int lb_flow_may_go(__u64 word, __u64 question)
{
	return lb_flow_is_evictable(word, question >> 48, (question & LB_SEGMENT_SYN) != 0);
}

/*
 * A look-up under way: what is asked for, and what was met so far. In memory that its functions are given,
 * because the verifier then does not follow every combination of what four places of sixteen buckets may be.
 */
struct lb_flow_search {
	struct lb_flow_place best; /* that fits; in the end, if nothing does, where a new one has room */
	__u64 tag, question, numbers;
	__u32 spare, old,
		over; /* places for a new one: free; to be evicted; of the same addresses and ports */
	__u16 rank;   /* of the best; LB_RANK_NONE: nothing fits */
	__u8 spare_word;
	__u8 end; /* the probe ends here */
};

/* A place that holds an entry of the flow that is asked for. */
LB_INLINE void lb_flow_meet(struct lb_flow_search *search, struct lb_flow_bucket *bucket, __u32 index,
			    __u32 i, __u64 word)
{
	__u64 next_ack = LB_LOAD(LB_AFTER(&bucket->flow[i].numbers.next_ack, word));
	__u64 rest = LB_LOAD(LB_AFTER(&bucket->flow[i].numbers.rest, next_ack));
	__u32 rank, state = lb_flow_state(word);

	if (LB_LOAD(LB_AFTER(&bucket->flow[i].word, rest)) != word)
		return;
	search->best.lives++;
	rank = lb_numbers_rank(state, next_ack, rest, search->numbers, search->question);
	if (rank < search->rank) {
		search->rank = rank;
		search->best.number = index * LB_FLOWS_PER_BUCKET + i;
		search->best.word = word;
	}
	if (rank == LB_RANK_NONE && state != LB_FLOW_ONCE && !lb_numbers_marked(rest))
		search->best.others = 1;
	if (search->over == LB_FLOW_NOWHERE &&
	    (lb_flow_may_go(word, search->question) || lb_flow_is_over(word, rest, search->question)))
		search->over = index * LB_FLOWS_PER_BUCKET + i;
}

/* One bucket (in the kernel a function that the verifier checks by itself, once). Returns 0 if there are more
 * to look at. */
LB_FLOW_FUNCTION int lb_flow_scan(lb_flow_table table, struct lb_flow_search *search, __u32 index)
{
	struct lb_flow_bucket *bucket = lb_flow_bucket_get(table, index);

	if (!bucket || !search)
		return 1;
	LB_UNROLL
	for (__u32 n = 0; n < LB_FLOWS_PER_BUCKET; n++) {
		__u32 i = lb_flow_nth(search->tag, n);
		__u64 word = LB_LOAD(&bucket->flow[i].word);

		if (word <= LB_FLOW_TOMB_OLD) {
			if (word == LB_FLOW_EMPTY)
				search->end = 1;
			if (search->spare == LB_FLOW_NOWHERE) {
				search->spare = index * LB_FLOWS_PER_BUCKET + i;
				search->spare_word = word;
			}
		} else if (lb_flow_is(&bucket->flow[i], word, search->tag,
				      lb_flow_identity(search->question))) {
			lb_flow_meet(search, bucket, index, i, word);
		} else if (search->old == LB_FLOW_NOWHERE && lb_flow_may_go(word, search->question)) {
			search->old = index * LB_FLOWS_PER_BUCKET + i;
		}
	}
	return search->end || !search->rank;
}

/*
 * A look at the home bucket alone, where nearly all flows are, for what fits to the byte; otherwise like
 * lb_flow_find(). 0: it may be elsewhere.
 */
LB_INLINE int lb_flow_find_home(lb_flow_table table, __u32 mask, __u64 tag, __u64 question, __u64 numbers,
				struct lb_flow_place *found)
{
	__u32 index = (__u32)tag & mask;
	struct lb_flow_bucket *bucket = lb_flow_bucket_get(table, index);
	__u64 identity = lb_flow_identity(question);

	if (!bucket)
		return 0;
	LB_UNROLL
	for (__u32 n = 0; n < LB_FLOWS_PER_BUCKET; n++) {
		__u32 i = lb_flow_nth(tag, n);
		struct lb_flow *flow = &bucket->flow[i];
		__u64 word = LB_LOAD(&flow->word), next_ack;

		if (LB_LOAD(LB_AFTER(&flow->tag, word)) != tag)
			continue;
		next_ack = LB_LOAD(LB_AFTER(&flow->numbers.next_ack, word));
		if (!lb_flow_is(LB_AFTER(flow, next_ack), word, tag, identity))
			continue;
		if (question & LB_SEGMENT_TCP && (lb_flow_state(word) != LB_FLOW_ESTABLISHED ||
						  lb_numbers_next(next_ack) != lb_numbers_next(numbers)))
			continue;
		found->number = index * LB_FLOWS_PER_BUCKET + i;
		found->lives = found->others = 0;
		found->word = word;
		return 1;
	}
	return 0;
}

/* Where no place is free, or the flow has as many entries as it may: the one that gives way, or none. */
LB_INLINE void lb_flow_find_room(lb_flow_table table, struct lb_flow_search *search)
{
	int replaces = search->old == LB_FLOW_NOWHERE || search->best.lives >= LB_FLOW_LIVES;
	__u32 number = replaces ? search->over : search->old, i = number % LB_FLOWS_PER_BUCKET;
	struct lb_flow_bucket *bucket;
	__u64 word;

	if (number == LB_FLOW_NOWHERE)
		return;
	bucket = lb_flow_bucket_get(table, number / LB_FLOWS_PER_BUCKET);
	if (!bucket)
		return;
	word = LB_LOAD(&bucket->flow[i].word);
	if (!lb_flow_may_go(word, search->question) &&
	    (!replaces || !lb_flow_is_over(word, LB_LOAD(&bucket->flow[i].numbers.rest), search->question)))
		return;
	search->best.number = number;
	search->best.word = word;
}

/*
 * Finds a flow. In *search: tag; question: lb_flow_question(); numbers: of the segment, for TCP. Returns 1
 * and search->best, or 0 with that the first place where it could be inserted (EMPTY, TOMB, or, failing
 * these, one that may be evicted), LB_FLOW_NOWHERE when there is none.
 */
LB_INLINE int lb_flow_look(lb_flow_table table, __u32 mask, struct lb_flow_search *search)
{
	search->best = (struct lb_flow_place){ .number = LB_FLOW_NOWHERE };
	search->spare = search->old = search->over = LB_FLOW_NOWHERE;
	search->rank = LB_RANK_NONE;
	search->spare_word = search->end = 0;
	for (__u32 probe = 0; probe < LB_FLOW_PROBES; probe++) {
		if (lb_flow_scan(table, search, ((__u32)search->tag + probe) & mask))
			break;
	}
	if (search->rank != LB_RANK_NONE)
		return 1;
	if (search->spare == LB_FLOW_NOWHERE || search->best.lives >= LB_FLOW_LIVES) {
		lb_flow_find_room(table, search);
		return 0;
	}
	search->best.number = search->spare;
	search->best.word = search->spare_word;
	return 0;
}

/* The same, of what is in the arguments, for those who want the place alone. */
LB_INLINE int lb_flow_find(lb_flow_table table, __u32 mask, __u64 tag, __u64 question, __u64 numbers,
			   struct lb_flow_place *found)
{
	struct lb_flow_search search = { .tag = tag, .question = question, .numbers = numbers };
	int result = lb_flow_look(table, mask, &search);

	*found = search.best;
	return result;
}

/*
 * Claims the place that lb_flow_find() left and publishes the flow, with the numbers that its segment begins
 * with (NULL: none). 1, or 0 if another CPU took the place: the caller may find again, so that no EMPTY place
 * is ever passed by, and must do without after a few turns.
 */
LB_INLINE int lb_flow_claim(lb_flow_table table, const struct lb_flow_place *place, __u64 tag, __u64 word,
			    const struct lb_segment *segment)
{
	struct lb_flow *flow = lb_flow_at(table, place->number);
	__u64 next_ack = 0, rest = 0;

	if (!flow || __sync_val_compare_and_swap(&flow->word, place->word, LB_FLOW_BUSY) != place->word)
		return 0;
	if (segment)
		lb_numbers_begin(segment, &next_ack, &rest);
	LB_STORE(&flow->tag, tag);
	LB_STORE(&flow->numbers.next_ack, next_ack);
	LB_STORE(&flow->numbers.rest, rest);
	/* The exchange orders all that before the word for every reader. */
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
 * What a segment, or a packet of another protocol, that was found to be of a flow does to its entry. What was
 * seen a second time is established; of TCP, see lb_numbers_follow(). 0: it is not the flow's any more.
 */
LB_INLINE int lb_flow_follow(lb_flow_table table, const struct lb_flow_place *place,
			     const struct lb_segment *segment, __u32 now_s)
{
	struct lb_flow *flow = lb_flow_at(table, place->number);
	struct lb_flow_numbers *numbers;
	__u64 next_ack, rest, then, with;
	__u32 state, does = LB_FOLLOW_LIFE;

	if (!flow)
		return 0;
	numbers = &flow->numbers;
	state = lb_flow_state(place->word);
	if (!(segment->flags & LB_SEGMENT_TCP)) {
		lb_flow_touch(table, place, LB_FLOW_ESTABLISHED, now_s);
		return 1;
	}
	next_ack = then = LB_LOAD(&numbers->next_ack);
	rest = with = LB_LOAD(LB_AFTER(&numbers->rest, then));
	if (lb_flow_identity(LB_LOAD(LB_AFTER(&flow->word, with))) != lb_flow_identity(place->word))
		return 0;
	if (!(segment->flags & LB_SEGMENT_SYN))
		does = lb_numbers_follow(state, segment, &next_ack, &rest);
	if (next_ack != then)
		(void)__sync_val_compare_and_swap(&numbers->next_ack, then, next_ack);
	if (rest != with)
		(void)__sync_val_compare_and_swap(&numbers->rest, with, rest);
	if (does & LB_FOLLOW_LIFE)
		lb_flow_touch(table, place, does & LB_FOLLOW_CONFIRM ? LB_FLOW_ESTABLISHED : state, now_s);
	return 1;
}
