/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a segment says about an observed flow. Only the client's side is seen: that its handshake was answered
 * is told by its going on behind its SYN, that data came twice by numbers that had been here before. Of
 * datagrams nothing is known but that they came.
 * Compiled for the packet path and for tests; times are the caller's.
 */
#pragma once

#include "lb/flow_numbers.h"
#include "lb/observe.h"

/* The block in which a flow is, of so many; the tag's lower bits say where in it. */
LB_INLINE __u32 lb_observe_home(__u64 tag, __u32 blocks)
{
	return (tag >> 32) * blocks >> 32;
}

/* Numbers that far from where the client was are its own; those of a RST, of whom many are forged, nearer. */
#define LB_OBSERVE_WINDOW     (1u << 20)
#define LB_OBSERVE_WINDOW_RST (1u << 16)

/* What lb_observed_segment() has seen. */
#define LB_OBSERVED_RESENT 0x1u /* for the first time in this flow */
#define LB_OBSERVED_FIN    0x2u
#define LB_OBSERVED_RST    0x4u

/* A place as its first SYN fills it; who it is of is the caller's to say. */
LB_INLINE void lb_observed_begin(struct lb_observed *flow, __u32 seq, __u64 now_ns)
{
	flow->started_ns = flow->seen_ns = now_ns;
	flow->first = flow->next = seq;
	flow->hole = flow->hole_end = 0;
	flow->packets = 1;
	flow->resent = flow->hello_left = 0;
	flow->again = flow->anew = 0;
	flow->bytes = 0;
}

/*
 * Another SYN of a handshake under way; seq: the number behind it. Whether it is the first. With another
 * number it is another attempt, whose time begins now.
 */
LB_INLINE int lb_observed_retry(struct lb_observed *flow, __u32 seq, __u64 now_ns)
{
	int first = !flow->again && !flow->anew;

	if (seq == flow->first) {
		flow->again += flow->again < 0xff;
	} else {
		flow->anew += flow->anew < 0xff;
		flow->first = flow->next = seq;
		flow->started_ns = now_ns;
	}
	flow->seen_ns = now_ns;
	flow->packets++;
	return first;
}

/* Whether a segment that is no SYN goes on behind the SYN of a handshake: its client got an answer. */
LB_INLINE int lb_observed_completes(const struct lb_observed *flow, const struct lb_segment *segment)
{
	return segment->seq - flow->first < LB_OBSERVE_WINDOW_RST;
}

/* Whether a segment that is no SYN is of this connection, rather than of another of the same ports. */
LB_INLINE int lb_observed_owns(const struct lb_observed *flow, const struct lb_segment *segment)
{
	__u32 window = segment->flags & LB_SEGMENT_RST ? LB_OBSERVE_WINDOW_RST : LB_OBSERVE_WINDOW;

	return lb_numbers_distance(segment->seq, flow->next) < window;
}

LB_INLINE int lb_observed_before(__u32 a, __u32 b)
{
	return (__s32)(a - b) < 0;
}

/*
 * Payload. Whether it has all been here before: where it lies behind what was seen, or in a hole in it, it
 * was lost or overtaken on its way here, of which the backend knows nothing.
 */
LB_INLINE int lb_observed_repeats(struct lb_observed *flow, __u32 seq, __u32 bytes)
{
	__u32 end = seq + bytes, next = flow->next;
	int hole = flow->hole != flow->hole_end;

	if (!lb_observed_before(end, next) && end != next)
		flow->next = end;
	if (lb_observed_before(next, seq)) {
		if (!hole)
			flow->hole = next;
		flow->hole_end = seq;
		return 0;
	}
	if (seq == next)
		return 0;
	if (hole && lb_observed_before(seq, flow->hole_end) && lb_observed_before(flow->hole, end)) {
		if (!lb_observed_before(flow->hole, seq))
			flow->hole = lb_observed_before(end, flow->hole_end) ? end : flow->hole_end;
		return 0;
	}
	return 1;
}

/* A segment of the connection (lb_observed_owns()) that is no SYN: LB_OBSERVED_*. */
LB_INLINE __u32 lb_observed_segment(struct lb_observed *flow, const struct lb_segment *segment, __u64 now_ns)
{
	__u32 seen = 0, bytes = segment->bytes;

	/* A coarse clock is behind the fine one of the handshake. */
	if (flow->seen_ns < now_ns)
		flow->seen_ns = now_ns;
	flow->packets++;
	if (segment->flags & LB_SEGMENT_RST)
		return LB_OBSERVED_RST;
	/* What keeps a connection alive (RFC 9293, 3.8.4) repeats a byte, or none. */
	if (bytes && !(bytes == 1 && segment->seq + 1 == flow->next)) {
		flow->bytes += bytes;
		if (lb_observed_repeats(flow, segment->seq, bytes)) {
			seen |= flow->resent ? 0 : LB_OBSERVED_RESENT;
			flow->resent += flow->resent < 0xffff;
		}
	}
	return segment->flags & LB_SEGMENT_FIN ? seen | LB_OBSERVED_FIN : seen;
}

/* A datagram; bytes: of payload. */
LB_INLINE void lb_observed_datagram(struct lb_observed *flow, __u32 bytes, __u64 now_ns)
{
	if (flow->seen_ns < now_ns)
		flow->seen_ns = now_ns;
	flow->packets++;
	flow->bytes += bytes;
}

#define LB_OBSERVE_RECORD_BYTES 5u /* of the head of a TLS record (RFC 8446, 5.1): type, version, length */

/* How much of a TLS hello begins with this head of a record; 0: none does. */
LB_INLINE __u32 lb_observed_hello_bytes(const __u8 head[LB_OBSERVE_RECORD_BYTES])
{
	__u32 bytes = LB_OBSERVE_RECORD_BYTES + ((__u32)head[3] << 8 | head[4]);

	if (head[0] != 22 || head[1] != 3)
		return 0;
	return bytes < LB_OBSERVE_HELLO_MAX ? bytes : LB_OBSERVE_HELLO_MAX;
}
