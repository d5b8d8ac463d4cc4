/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an entry of the flow table knows of its TCP connection's numbers, and which segments are therefore its
 * own. Whoever can send packets with a flow's addresses and ports, but does not see its packets, must neither
 * move nor end it (RFC 5961). So an entry belongs to one SYN's number, several entries may share addresses
 * and ports, and a segment goes with the one whose numbers it fits best. docs/flow-table.md has the rules as
 * a table, and the arithmetic.
 *
 * Only what the client sends is seen: its sequence numbers, and its acknowledgements of what the server sent.
 * struct lb_flow_numbers (types.h) has them as two words:
 *
 *   next_ack  bits 0..31 the number after the last that was carried   32..63 last acknowledgement
 *   rest      bits 0..27 bytes carried, at most 128 MiB   28..43 credit   44 FIN   45 RST
 *
 * Numbers advance by payload really carried: never beyond what a segment ends with, and never by more than
 * its own bytes and the credit, which is what was carried without advancing (a gap that was filled, a
 * repetition).
 */
#pragma once

#include "lb/access.h"
#include "lb/types.h"

#ifndef LB_INLINE
#define LB_INLINE static inline __attribute__((always_inline))
#endif

/* States of an entry (bits of its word, flowtable.h). */
#define LB_FLOW_ONCE        1u /* not a SYN, and seen once: proves nothing; new flows may take its place */
#define LB_FLOW_EMBRYONIC   2u /* a SYN that nothing has followed yet */
#define LB_FLOW_ESTABLISHED 3u

/* In host byte order. */
struct lb_segment {
	__u32 seq; /* of a SYN: the number that follows it */
	__u32 ack;
	__u32 bytes; /* payload */
	__u32 flags; /* LB_SEGMENT_* */
};
#define LB_SEGMENT_TCP    0x01u /* else the rest does not matter: every entry of the flow fits */
#define LB_SEGMENT_SYN    0x02u /* and none of ACK, RST, FIN */
#define LB_SEGMENT_FIN    0x04u
#define LB_SEGMENT_RST    0x08u
#define LB_SEGMENT_FORGET 0x10u /* says nothing about its flow's life: change nothing */
#define LB_SEGMENT_ANY    0x20u /* its numbers are not the client's: whatever entry there is */
#define LB_SEGMENT_ALL    0x3fu

/* How far a segment may be from what its connection carried. */
#define LB_NUMBERS_FLIGHT 178176u  /* a whole first flight in any order: 122 segments of 1,460 bytes */
#define LB_NUMBERS_NEAR   32768u   /* to here whatever is acknowledged; beyond, ... */
#define LB_NUMBERS_ACK    4194304u /* ... only if the acknowledgement is within this of the last */
#define LB_NUMBERS_TIGHT  131072u  /* that far from the last acknowledgement, payload advances numbers */
#define LB_NUMBERS_SLACK  2048u    /* that close to the next number, the acknowledgement is taken over */

#define LB_NUMBERS_CARRIED_MAX 0x8000000u
#define LB_NUMBERS_CREDIT_MAX  0xffffu
#define LB_NUMBERS_FIN         (1ull << 44)
#define LB_NUMBERS_RST         (1ull << 45)

LB_INLINE __u32 lb_numbers_next(__u64 next_ack)
{
	return (__u32)next_ack;
}

LB_INLINE __u32 lb_numbers_ack(__u64 next_ack)
{
	return next_ack >> 32;
}

LB_INLINE __u32 lb_numbers_carried(__u64 rest)
{
	return rest & 0xfffffff;
}

LB_INLINE __u32 lb_numbers_credit(__u64 rest)
{
	return rest >> 28 & LB_NUMBERS_CREDIT_MAX;
}

LB_INLINE int lb_numbers_marked(__u64 rest)
{
	return (rest & (LB_NUMBERS_FIN | LB_NUMBERS_RST)) != 0;
}

LB_INLINE __u64 lb_numbers_rest(__u32 carried, __u32 credit, __u64 marks)
{
	carried = carried < LB_NUMBERS_CARRIED_MAX ? carried : LB_NUMBERS_CARRIED_MAX;
	credit = credit < LB_NUMBERS_CREDIT_MAX ? credit : LB_NUMBERS_CREDIT_MAX;
	return (__u64)carried | (__u64)credit << 28 | (marks & (LB_NUMBERS_FIN | LB_NUMBERS_RST));
}

/* a - b, without its sign. */
LB_INLINE __u32 lb_numbers_distance(__u32 a, __u32 b)
{
	__u32 ahead = a - b;

	return ahead < 0x80000000u ? ahead : 0u - ahead;
}

/* How badly a segment fits by its sequence number alone: 0, to the byte; from 1 to below LB_RANK_ONCE. */
LB_INLINE __u32 lb_numbers_rank_of(__u32 distance)
{
	if (distance < 1u << 22)
		return distance ? 1 + (distance >> 10) : 0;
	return 0x1001 + (distance >> 16);
}

/*
 * The rules: whose a segment is. How badly it fits an entry (0: to the byte), or LB_RANK_NONE. Those seen
 * once rank behind all others.
 */
#define LB_RANK_NONE 0x3fffu
#define LB_RANK_ONCE 0x2000u

LB_INLINE __u32 lb_numbers_rank(__u32 state, __u64 next_ack, __u64 rest, __u64 numbers, __u32 flags)
{
	__u32 next = lb_numbers_next(next_ack), seq = lb_numbers_next(numbers);
	__u32 ahead = seq - next, distance = lb_numbers_distance(seq, next), rank;

	if (!(flags & LB_SEGMENT_TCP))
		return 0;
	if (flags & LB_SEGMENT_ANY)
		return state == LB_FLOW_ONCE ? LB_RANK_ONCE : 1;
	rank = lb_numbers_rank_of(distance);
	if (state == LB_FLOW_EMBRYONIC) {
		/* Nothing is confirmed yet: the same SYN again, or what follows it, in any order. */
		if (flags & LB_SEGMENT_SYN)
			return ahead ? LB_RANK_NONE : 0;
		return ahead <= LB_NUMBERS_FLIGHT ? rank : LB_RANK_NONE;
	}
	if (flags & LB_SEGMENT_SYN) {
		/* A late duplicate. What was closed, or seen once, has none. */
		if (state == LB_FLOW_ONCE || lb_numbers_marked(rest) || 0u - ahead > LB_NUMBERS_NEAR)
			return LB_RANK_NONE;
		return rank;
	}
	if (distance > LB_NUMBERS_FLIGHT + lb_numbers_carried(rest))
		return LB_RANK_NONE;
	if (distance > LB_NUMBERS_NEAR &&
	    lb_numbers_distance(lb_numbers_ack(numbers), lb_numbers_ack(next_ack)) > LB_NUMBERS_ACK)
		return LB_RANK_NONE;
	return state == LB_FLOW_ONCE ? rank | LB_RANK_ONCE : rank;
}

/* The numbers of an entry that a segment makes: a SYN, or the first that is seen of an older connection. */
LB_INLINE void lb_numbers_begin(const struct lb_segment *segment, __u64 *next_ack, __u64 *rest)
{
	int fin = segment->flags & LB_SEGMENT_FIN;
	__u32 next = segment->seq;

	if (!(segment->flags & LB_SEGMENT_TCP)) {
		*next_ack = *rest = 0;
		return;
	}
	if (segment->flags & LB_SEGMENT_SYN) {
		/* TCP Fast Open (RFC 7413): its payload counts if the server takes it. */
		*next_ack = next;
		*rest = lb_numbers_rest(0, segment->bytes, 0);
		return;
	}
	next += segment->bytes + (fin ? 1 : 0);
	*next_ack = next | (__u64)segment->ack << 32;
	*rest = lb_numbers_rest(segment->bytes, 0, fin ? LB_NUMBERS_FIN : 0);
}

/* What a segment was to its entry. */
#define LB_FOLLOW_LIFE    1u /* a sign of life */
#define LB_FOLLOW_CONFIRM 2u /* the flow is established */

/* Payload, in a segment whose numbers were found to be right, moves an entry on. */
LB_INLINE void lb_numbers_carry(__u32 gain, __u32 bytes, __u32 *next, __u32 *carried, __u32 *credit)
{
	__u32 more;

	if (gain >= 0x80000000u) {
		*credit += bytes;
	} else if (gain <= bytes) {
		*next += gain;
		*carried += gain;
		*credit += bytes - gain;
	} else {
		more = gain - bytes < *credit ? gain - bytes : *credit;
		*next += bytes + more;
		*carried += bytes;
		*credit -= more;
	}
}

/*
 * What a segment that fits, and is no SYN, does to an entry's numbers. Returns LB_FOLLOW_*. An RST counts
 * with exactly the next number (RFC 5961 section 3.2). What follows a SYN confirms it with exactly the number
 * after it, or after the payload that it had: a guess within the first flight gets nothing.
 */
LB_INLINE __u32 lb_numbers_follow(__u32 state, const struct lb_segment *segment, __u64 *next_ack, __u64 *rest)
{
	__u32 next = lb_numbers_next(*next_ack), ack = lb_numbers_ack(*next_ack);
	__u32 carried = lb_numbers_carried(*rest), credit = lb_numbers_credit(*rest);
	__u32 ahead = segment->seq - next, distance = lb_numbers_distance(segment->seq, next);
	__u32 bytes = segment->bytes, apart;
	__u64 marks = *rest;
	int tight;

	if (segment->flags & LB_SEGMENT_RST) {
		if (ahead)
			return 0;
		*rest |= LB_NUMBERS_RST;
		return LB_FOLLOW_LIFE | LB_FOLLOW_CONFIRM;
	}
	if (state == LB_FLOW_EMBRYONIC) {
		if (ahead && ahead != credit) {
			*rest = lb_numbers_rest(carried, credit + bytes, 0);
			return 0;
		}
		ack = segment->ack;
	}
	apart = lb_numbers_distance(segment->ack, ack);
	tight = apart <= LB_NUMBERS_TIGHT || !distance;
	if (state == LB_FLOW_ONCE && tight && ahead <= LB_NUMBERS_FLIGHT) {
		/* What was seen first may have been a repetition. */
		next = segment->seq;
		ahead = distance = 0;
	}
	if (tight && (ahead <= credit || ahead <= LB_NUMBERS_SLACK)) {
		/* Carried before, or a little that was carried unseen. */
		next += ahead;
		credit -= ahead < credit ? ahead : credit;
		ahead = distance = 0;
	}
	if (!distance || (distance <= LB_NUMBERS_SLACK && apart <= LB_NUMBERS_ACK))
		ack = segment->ack;
	else if (distance <= LB_NUMBERS_SLACK)
		ack += segment->ack - ack < 0x80000000u ? LB_NUMBERS_TIGHT : -LB_NUMBERS_TIGHT;
	if (segment->flags & LB_SEGMENT_FIN && tight && ahead + bytes <= bytes) {
		marks |= LB_NUMBERS_FIN;
		bytes++;
	}
	if (bytes && tight)
		lb_numbers_carry(ahead + bytes, bytes, &next, &carried, &credit);
	else if (bytes && distance <= LB_NUMBERS_SLACK)
		credit += bytes;
	*next_ack = next | (__u64)ack << 32;
	*rest = lb_numbers_rest(carried, credit, marks);
	return LB_FOLLOW_LIFE | LB_FOLLOW_CONFIRM;
}
