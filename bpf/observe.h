/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Looks at a packet of a sampled flow (lb/observe.h): off the fast path, in a function of its own, before the
 * packet is sent. All others pay one comparison, and none where lb_observe_on is 0.
 */
#pragma once

#include "lb/hash.h"
#include "lb/observe.h"
#include "lb/observe_flow.h"
#include "choose.h"
#include "config.h"
#include "maps.h"
#include "packet.h"

/* Whether a flow is sampled. hash: as the service's affinity has it. */
static __always_inline bool is_observed(__u64 hash)
{
	return !LB_TRACELESS && lb_observe_on && hash <= LB_LOAD(&lb_observe.limit);
}

/* Arguments of observe(): numbers, as of every function that is called off the fast path. */
#define OBSERVE_WHO(family, service, backend) ((__u64)(backend) << 32 | (__u64)(family) << 16 | (service))
#define OBSERVE_WHERE(l3, l4, end)            ((__u64)(end) << 32 | (__u64)(l4) << 16 | (l3))

/* What is known of the packet under observation. */
struct observation {
	__u64 tag;
	__u64 who;
	__u64 hash;
	__u32 payload; /* offset in the frame */
	__be16 port;   /* the client's */
	struct lb_segment segment;
};

static __always_inline struct lb_observe_cpu *observe_block(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&lb_observed, &cpu);
}

/* Reads headers, wherever they lie. false: there is nothing to see in it. */
static __always_inline bool observe_read(struct xdp_md *ctx, struct lb_observe_scratch *scratch, __u64 where,
					 struct observation *o)
{
	__u8 *ip = scratch->head;
	struct tcphdr *tcp = (void *)(scratch->head + sizeof(struct ipv6hdr));
	__u32 l4 = where >> 16 & 0xffff, end = where >> 32, header;
	struct lb_control *control = control_get();
	const __u64 *key;
	__u32 ports;

	/* An IPv4 header and a TCP header are as long as an IPv6 header. */
	if (!control || bpf_xdp_load_bytes(ctx, where & 0xffff, ip, sizeof(struct ipv6hdr)) ||
	    bpf_xdp_load_bytes(ctx, l4, tcp, sizeof(*tcp)))
		return false;
	header = TCP_HEADER(tcp);
	if (header < sizeof(*tcp) || l4 + header > end)
		return false;
	segment_read_tcp(tcp, BYTE(tcp, TCP_FLAGS), end - l4, &o->segment);
	if (o->segment.flags & LB_SEGMENT_FORGET)
		return false;
	key = control->flow_key;
	o->port = tcp->source;
	o->payload = l4 + header;
	ports = (__u32)tcp->source << 16 | tcp->dest;
	if ((__u8)(o->who >> 16) == LB_FAMILY_V4)
		o->tag = lb_hash_v4(key, IP4_FIELD(ip, saddr), IP4_FIELD(ip, daddr), ports, IPPROTO_TCP);
	else
		o->tag = lb_hash_v6(key, (__u64[2]){ WORD(ip, 8), WORD(ip, 16) },
				    (__u64[2]){ WORD(ip, 24), WORD(ip, 32) }, ports, IPPROTO_TCP);
	o->tag = lb_flow_tag(o->tag);
	return true;
}

#define OBSERVE_NOWHERE 0xffffffffu

/* Number of the i-th place in which a flow may be. */
static __always_inline __u32 observe_place(__u32 places, __u64 tag, __u32 i)
{
	return (tag * LB_OBSERVE_WAYS + i) & (places - 1);
}

/* The number of the place that holds a flow, or OBSERVE_NOWHERE. */
static __always_inline __u32 observe_find(const struct lb_observed *set, __u32 places, __u64 tag)
{
	LB_UNROLL
	for (__u32 i = 0; i < LB_OBSERVE_WAYS; i++) {
		__u32 place = observe_place(places, tag, i);

		if (set[place].tag == tag && LB_OBSERVE_PHASE(LB_LOAD(&set[place].state)))
			return place;
	}
	return OBSERVE_NOWHERE;
}

/* A free place for a flow. */
static __always_inline __u32 observe_free(const struct lb_observed *set, __u32 places, __u64 tag)
{
	LB_UNROLL
	for (__u32 i = 0; i < LB_OBSERVE_WAYS; i++) {
		__u32 place = observe_place(places, tag, i);

		if (!LB_OBSERVE_PHASE(LB_LOAD(&set[place].state)))
			return place;
	}
	return OBSERVE_NOWHERE;
}

/* The handshake that waits longest of those that may give way for a flow. */
static __always_inline __u32 observe_oldest(const struct lb_observed *set, __u64 tag, __u64 now_ns)
{
	__u64 before_ns = now_ns - LB_OBSERVE_KEEP_NS;
	__u32 oldest = OBSERVE_NOWHERE;

	LB_UNROLL
	for (__u32 i = 0; i < LB_OBSERVE_WAYS; i++) {
		__u32 place = observe_place(LB_OBSERVE_HANDSHAKES, tag, i);

		if ((__s64)(set[place].seen_ns - before_ns) < 0) {
			before_ns = set[place].seen_ns;
			oldest = place;
		}
	}
	return oldest;
}

static __always_inline struct lb_observed *handshake_at(struct lb_observe_cpu *block, __u32 place)
{
	return &block->handshake[place & (LB_OBSERVE_HANDSHAKES - 1)];
}

static __always_inline struct lb_observed *connection_at(struct lb_observe_cpu *block, __u32 place)
{
	return &block->connection[place & (LB_OBSERVE_CONNECTIONS - 1)];
}

/* To the agent; bytes: of data behind the head. */
static __always_inline void observe_tell(struct lb_observe_cpu *block, struct lb_observed *flow, __u8 kind,
					 __u64 state, __u32 bytes)
{
	struct lb_observe_event *event = &block->scratch.event;

	event->kind = kind;
	event->started = state & LB_OBSERVE_STARTED ? 1 : 0;
	event->service = flow->service;
	event->backend = flow->backend;
	event->started_ns = flow->started_ns;
	event->time_ns = flow->seen_ns - flow->started_ns;
	event->bytes = flow->bytes;
	event->packets = flow->packets;
	event->resent = flow->resent;
	event->again = flow->again;
	event->anew = flow->anew;
	event->id.turn = state >> 32;
	event->id.cpu = bpf_get_smp_processor_id();
	event->id.place = flow->place;
	event->data_bytes = bytes;
	event->completed = LB_OBSERVE_PHASE(state) == LB_OBSERVE_CONNECTION;
	if (bpf_ringbuf_output(&lb_observe_events, event, sizeof(*event) + bytes, BPF_RB_NO_WAKEUP))
		block->counts.events_lost++;
	else
		block->counts.events++;
}

/* Ends what is in a place, so that the agent leaves it alone; the state that it had. */
static __always_inline __u64 observe_end(struct lb_observed *flow)
{
	__u64 state = LB_LOAD(&flow->state);

	return LB_EXCHANGE(&flow->state, state & ~(LB_OBSERVE_TURN - 1));
}

/* A place for a handshake, or OBSERVE_NOWHERE. */
static __always_inline __u32 observe_claim(struct lb_observe_cpu *block, __u64 tag, __u64 now_ns)
{
	__u32 place = observe_free(block->handshake, LB_OBSERVE_HANDSHAKES, tag);

	if (place == OBSERVE_NOWHERE) {
		place = observe_oldest(block->handshake, tag, now_ns);
		if (place == OBSERVE_NOWHERE) {
			block->counts.handshakes_refused++;
			return place;
		}
		block->counts.handshakes_replaced++;
	}
	block->counts.handshakes++;
	return place;
}

/* The first SYN of a flow. */
static __always_inline void observe_begin(struct lb_observe_cpu *block, const struct observation *o,
					  __u64 now_ns)
{
	__u32 place = observe_claim(block, o->tag, now_ns);
	const __u8 *ip = block->scratch.head;
	struct lb_observed *flow;
	__u64 state;

	if (place == OBSERVE_NOWHERE)
		return;
	flow = handshake_at(block, place);
	state = observe_end(flow);
	flow->tag = o->tag;
	lb_observed_begin(flow, o->segment.seq, now_ns);
	flow->backend = o->who >> 32;
	flow->service = o->who;
	flow->family = o->who >> 16;
	flow->hash = o->hash >> 32;
	flow->client_port = o->port;
	if (flow->family == LB_FAMILY_V4) {
		flow->client[0] = IP4_FIELD(ip, saddr);
		flow->client[1] = 0;
	} else {
		flow->client[0] = WORD(&IP6_FIELD(ip, saddr), 0);
		flow->client[1] = WORD(&IP6_FIELD(ip, saddr), 8);
	}
	(void)LB_EXCHANGE(&flow->state, LB_OBSERVE_NEXT(state, LB_OBSERVE_HANDSHAKE));
}

/* A SYN: another one of a handshake, a late copy of a connection's, or the first of its flow. */
static __always_inline void observe_syn(struct lb_observe_cpu *block, const struct observation *o)
{
	__u32 place = observe_find(block->handshake, LB_OBSERVE_HANDSHAKES, o->tag);
	__u64 now_ns = bpf_ktime_get_ns();
	struct lb_observed *flow;

	if (place != OBSERVE_NOWHERE) {
		flow = handshake_at(block, place);
		if (lb_observed_retry(flow, o->segment.seq, now_ns))
			observe_tell(block, flow, LB_OBSERVE_RETRY, LB_LOAD(&flow->state), 0);
		return;
	}
	place = observe_find(block->connection, LB_OBSERVE_CONNECTIONS, o->tag);
	if (place == OBSERVE_NOWHERE || connection_at(block, place)->first != o->segment.seq)
		observe_begin(block, o, now_ns);
}

/*
 * A handshake becomes a connection, in the place of an older one of the same addresses and ports if there is
 * one. Its place, or OBSERVE_NOWHERE; it is told of in any case.
 */
static __always_inline __u32 observe_complete(struct lb_observe_cpu *block, struct lb_observed *handshake,
					      __u32 older)
{
	__u32 place = older;
	struct lb_observed *flow;
	__u64 state, before;

	handshake->seen_ns = bpf_ktime_get_ns();
	before = observe_end(handshake);
	observe_tell(block, handshake, LB_OBSERVE_COMPLETED, before, 0);
	if (place == OBSERVE_NOWHERE)
		place = observe_free(block->connection, LB_OBSERVE_CONNECTIONS, handshake->tag);
	if (place == OBSERVE_NOWHERE) {
		block->counts.connections_refused++;
		return place;
	}
	flow = connection_at(block, place);
	state = observe_end(flow);
	if (older != OBSERVE_NOWHERE)
		observe_tell(block, flow, LB_OBSERVE_REPLACED, state, 0);
	*flow = *handshake;
	flow->place = place & (LB_OBSERVE_CONNECTIONS - 1);
	(void)LB_EXCHANGE(&flow->state, LB_OBSERVE_NEXT(state, LB_OBSERVE_CONNECTION));
	return place;
}

/* What is wanted of a TLS hello in this segment, from the flow's first and second one with payload. */
static __always_inline __u32 observe_hello_wanted(struct xdp_md *ctx, struct lb_observe_cpu *block,
						  struct lb_observed *flow, const struct observation *o)
{
	__u32 left = flow->hello_left, bytes = o->segment.bytes;

	if (!bytes || o->segment.seq != flow->next)
		return 0;
	flow->hello_left = 0;
	if (flow->next == flow->first) {
		if (bytes < LB_OBSERVE_RECORD_BYTES ||
		    bpf_xdp_load_bytes(ctx, o->payload, block->scratch.data, LB_OBSERVE_RECORD_BYTES))
			return 0;
		left = lb_observed_hello_bytes(block->scratch.data);
		flow->hello_left = left > bytes ? left - bytes : 0;
	}
	return left < bytes ? left : bytes;
}

/* Hands what this segment has of a TLS hello to the agent. */
static __always_inline void observe_hello(struct xdp_md *ctx, struct lb_observe_cpu *block,
					  struct lb_observed *flow, const struct observation *o)
{
	__u64 bytes = observe_hello_wanted(ctx, block, flow, o);

	if (!bytes || bytes > LB_OBSERVE_HELLO_MAX)
		return;
	/* As it is, in terms that the verifier follows: from "not 0" Linux 6.1's learns nothing. */
	LB_HIDE(bytes);
	bytes = ((bytes - 1) & (LB_OBSERVE_HELLO_MAX - 1)) + 1;
	LB_HIDE(bytes);
	if (bpf_xdp_load_bytes(ctx, o->payload, block->scratch.data, bytes))
		return;
	block->scratch.event.data_offset = flow->next - flow->first;
	observe_tell(block, flow, LB_OBSERVE_HELLO, LB_LOAD(&flow->state), bytes);
}

/* A segment of a connection. */
static __always_inline void observe_segment(struct xdp_md *ctx, struct lb_observe_cpu *block,
					    struct lb_observed *flow, const struct observation *o)
{
	__u32 seen;

	observe_hello(ctx, block, flow, o);
	seen = lb_observed_segment(flow, &o->segment, bpf_ktime_get_coarse_ns());
	if (seen & LB_OBSERVED_RESENT)
		observe_tell(block, flow, LB_OBSERVE_RESENT, LB_LOAD(&flow->state), 0);
	if (seen & (LB_OBSERVED_FIN | LB_OBSERVED_RST))
		observe_tell(block, flow, seen & LB_OBSERVED_RST ? LB_OBSERVE_RESET : LB_OBSERVE_CLOSED,
			     observe_end(flow), 0);
}

/* Anything but a SYN. What is of no flow whose beginning was seen is nothing that could be told of. */
static __always_inline void observe_others(struct xdp_md *ctx, struct lb_observe_cpu *block,
					   const struct observation *o)
{
	__u32 place = observe_find(block->connection, LB_OBSERVE_CONNECTIONS, o->tag), waiting;
	struct lb_observed *handshake;

	if (place == OBSERVE_NOWHERE || !lb_observed_owns(connection_at(block, place), &o->segment)) {
		waiting = observe_find(block->handshake, LB_OBSERVE_HANDSHAKES, o->tag);
		handshake = handshake_at(block, waiting);
		if (waiting == OBSERVE_NOWHERE || !lb_observed_completes(handshake, &o->segment))
			return;
		if (o->segment.flags & LB_SEGMENT_RST) {
			handshake->seen_ns = bpf_ktime_get_ns();
			observe_tell(block, handshake, LB_OBSERVE_RESET, observe_end(handshake), 0);
			return;
		}
		place = observe_complete(block, handshake, place);
		if (place == OBSERVE_NOWHERE)
			return;
	}
	observe_segment(ctx, block, connection_at(block, place), o);
}

/* A TCP packet of a sampled flow that goes to a backend. Changes nothing in it. Always 0. */
LB_SUBPROGRAM int observe(struct xdp_md *ctx, __u64 who, __u64 hash, __u64 where)
{
	struct lb_observe_cpu *block = observe_block();
	struct observation o = { .who = who, .hash = hash };

	if (!block)
		return 0;
	block->counts.packets++;
	if (!observe_read(ctx, &block->scratch, where, &o))
		return 0;
	if (o.segment.flags & LB_SEGMENT_SYN)
		observe_syn(block, &o);
	else
		observe_others(ctx, block, &o);
	return 0;
}

/* The same for a packet in plain form. */
static __always_inline void observe_plain(struct xdp_md *ctx, const struct pkt *p, const struct lb_vip *vip,
					  const struct lb_backend *backend, __u64 hash)
{
	__u32 l3 = sizeof(struct ethhdr), l4 = l3 + sizeof(struct ipv6hdr), end;

	if (p->protocol != IPPROTO_TCP)
		return;
	if (p->family == LB_FAMILY_V4) {
		l4 = l3 + IP4_HEADER(p->ip);
		end = l3 + bpf_ntohs(LB_LOAD(&IP4_FIELD(p->ip, tot_len)));
	} else {
		end = l4 + bpf_ntohs(LB_LOAD(&IP6_FIELD(p->ip, payload_len)));
	}
	observe(ctx, OBSERVE_WHO(p->family, vip->service, backend->counter), hash,
		OBSERVE_WHERE(l3, l4, end));
}
