/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Looks at a packet of a sampled flow (lb/observe.h): off the fast path, in functions of their own, before
 * the packet is sent. All others pay one comparison, and none where lb_observe_on is 0.
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

/* Arguments of observe_*(): numbers, as of every function that is called off the fast path. */
#define OBSERVE_WHO(family, service, backend) ((__u64)(backend) << 32 | (__u64)(family) << 16 | (service))
#define OBSERVE_WHERE(l3, l4, end)            ((__u64)(end) << 32 | (__u64)(l4) << 16 | (l3))

/* What is known of the packet under observation. */
struct observation {
	struct lb_observe_cpu *mine; /* counts and scratch: of this CPU */
	struct lb_observe_cpu *home; /* places: of the flow */
	__u64 tag;
	__u64 who;
	__u64 hash;
	__u32 payload; /* offset in the frame */
	__u16 block;   /* number of home */
	__be16 port;   /* the client's */
	struct lb_segment segment;
};

/* This CPU's block, and the packet counted there. False: there is none. */
static __always_inline bool observe_enter(struct observation *o)
{
	__u32 cpu = bpf_get_smp_processor_id();

	o->mine = bpf_map_lookup_elem(&lb_observed, &cpu);
	if (!o->mine)
		return false;
	o->mine->counts.packets++;
	return true;
}

/* Whose packet it is: tag, and the block where its flow is. ports: of the packet. False: there is none. */
static __always_inline bool observe_whose(struct observation *o, __u32 ports, __u8 protocol)
{
	struct lb_control *control = control_get();
	const __u8 *ip = o->mine->scratch.head;
	__u32 block;

	if (!control)
		return false;
	if ((__u8)(o->who >> 16) == LB_FAMILY_V4)
		o->tag = lb_hash_v4(control->flow_key, IP4_FIELD(ip, saddr), IP4_FIELD(ip, daddr), ports,
				    protocol);
	else
		o->tag = lb_hash_v6(control->flow_key, (__u64[2]){ WORD(ip, 8), WORD(ip, 16) },
				    (__u64[2]){ WORD(ip, 24), WORD(ip, 32) }, ports, protocol);
	o->tag = lb_flow_tag(o->tag);
	block = lb_observe_home(o->tag, control->cpus);
	o->block = block;
	o->home = bpf_map_lookup_elem(&lb_observed, &block);
	return o->home;
}

/* Reads headers, wherever they lie. false: there is nothing to see in it. */
static __always_inline bool observe_read(struct xdp_md *ctx, __u64 where, struct observation *o)
{
	__u8 *ip = o->mine->scratch.head;
	struct tcphdr *tcp = (void *)(ip + sizeof(struct ipv6hdr));
	__u32 l4 = where >> 16 & 0xffff, end = where >> 32, header;

	/* An IPv4 header and a TCP header are as long as an IPv6 header. */
	if (bpf_xdp_load_bytes(ctx, where & 0xffff, ip, sizeof(struct ipv6hdr)) ||
	    bpf_xdp_load_bytes(ctx, l4, tcp, sizeof(*tcp)))
		return false;
	header = TCP_HEADER(tcp);
	if (header < sizeof(*tcp) || l4 + header > end)
		return false;
	segment_read_tcp(tcp, BYTE(tcp, TCP_FLAGS), end - l4, &o->segment);
	if (o->segment.flags & LB_SEGMENT_FORGET)
		return false;
	o->port = tcp->source;
	o->payload = l4 + header;
	return observe_whose(o, (__u32)tcp->source << 16 | tcp->dest, IPPROTO_TCP);
}

#define OBSERVE_NOWHERE 0xffffffffu

/* Number of the i-th place in which a flow may be. */
static __always_inline __u32 observe_place(__u32 places, __u64 tag, __u32 i)
{
	return (tag * LB_OBSERVE_WAYS + i) & (places - 1);
}

/* The number of the place that holds a flow, or OBSERVE_NOWHERE. phase: of what is in this set. */
static __always_inline __u32 observe_find(const struct lb_observed *set, __u32 places, __u64 phase, __u64 tag)
{
	LB_UNROLL
	for (__u32 i = 0; i < LB_OBSERVE_WAYS; i++) {
		__u32 place = observe_place(places, tag, i);

		if (set[place].tag == tag && LB_OBSERVE_PHASE(LB_LOAD(&set[place].state)) == phase)
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

		if (LB_OBSERVE_PHASE(LB_LOAD(&set[place].state)) == LB_OBSERVE_HANDSHAKE &&
		    (__s64)(set[place].seen_ns - before_ns) < 0) {
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

/* The places in which a packet's flow is, if it is anywhere. */
#define OBSERVE_HANDSHAKE_OF(o)                                                                              \
	observe_find((o)->home->handshake, LB_OBSERVE_HANDSHAKES, LB_OBSERVE_HANDSHAKE, (o)->tag)
#define OBSERVE_CONNECTION_OF(o)                                                                             \
	observe_find((o)->home->connection, LB_OBSERVE_CONNECTIONS, LB_OBSERVE_CONNECTION, (o)->tag)

/* To the agent; state: that the flow had; bytes: of data behind the head. */
static __always_inline void observe_tell(const struct observation *o, const struct lb_observed *flow,
					 __u8 kind, __u64 state, __u32 bytes)
{
	struct lb_observe_event *event = &o->mine->scratch.event;

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
	event->id.block = o->block;
	event->id.place = flow->place;
	event->data_bytes = bytes;
	event->completed = LB_OBSERVE_PHASE(state) == LB_OBSERVE_CONNECTION;
	if (bpf_ringbuf_output(&lb_observe_events, event, sizeof(*event) + bytes, BPF_RB_NO_WAKEUP))
		o->mine->counts.events_lost++;
	else
		o->mine->counts.events++;
}

#define OBSERVE_TAKEN (1ull << 3) /* of no state, so that one that was taken is never 0 */

/*
 * Takes a place whose state is in this phase, so that it is nobody else's; the state that it had, or 0: it
 * has another one by now. It is given back by a store of its next state.
 */
static __always_inline __u64 observe_take(struct lb_observed *flow, __u64 phase)
{
	__u64 state = LB_LOAD(&flow->state);

	if (LB_OBSERVE_PHASE(state) != phase)
		return 0;
	if (__sync_val_compare_and_swap(&flow->state, state, state | LB_OBSERVE_BUSY) != state)
		return 0;
	return state | OBSERVE_TAKEN;
}

/* Gives a place that was taken in that state back, with another flow in it, or with none. */
static __always_inline void observe_give(struct lb_observed *flow, __u64 state, __u64 phase)
{
	(void)LB_EXCHANGE(&flow->state, phase ? LB_OBSERVE_NEXT(state, phase) : LB_OBSERVE_EMPTIED(state));
}

/* Ends a connection, or a handshake that came to nothing, and tells of it. */
static __always_inline void observe_end(const struct observation *o, struct lb_observed *flow, __u64 phase,
					__u8 kind)
{
	__u64 state = observe_take(flow, phase);

	if (!state)
		return;
	observe_tell(o, flow, kind, state, 0);
	observe_give(flow, state, LB_OBSERVE_FREE);
}

/* Takes a place for what begins: a free one, or that of the oldest. Its number, or OBSERVE_NOWHERE. */
static __always_inline __u32 observe_claim(const struct observation *o, __u64 now_ns, __u64 *ret_state)
{
	struct lb_observe_counts *counts = &o->mine->counts;
	__u32 place = observe_free(o->home->handshake, LB_OBSERVE_HANDSHAKES, o->tag);
	bool replaces = place == OBSERVE_NOWHERE;

	if (replaces)
		place = observe_oldest(o->home->handshake, o->tag, now_ns);
	if (place != OBSERVE_NOWHERE)
		*ret_state = observe_take(handshake_at(o->home, place),
					  replaces ? LB_OBSERVE_HANDSHAKE : LB_OBSERVE_FREE);
	if (place == OBSERVE_NOWHERE || !*ret_state) {
		counts->handshakes_refused++;
		return OBSERVE_NOWHERE;
	}
	counts->handshakes++;
	counts->handshakes_replaced += replaces;
	return place;
}

/* The first packet of a flow. seq: the number behind it. */
static __always_inline void observe_begin(const struct observation *o, __u8 protocol, __u32 bytes,
					  __u64 now_ns)
{
	__u64 state = 0;
	__u32 place = observe_claim(o, now_ns, &state);
	const __u8 *ip = o->mine->scratch.head;
	struct lb_observed *flow;

	if (place == OBSERVE_NOWHERE)
		return;
	flow = handshake_at(o->home, place);
	flow->tag = o->tag;
	lb_observed_begin(flow, o->segment.seq, now_ns);
	flow->bytes = bytes;
	flow->backend = o->who >> 32;
	flow->service = o->who;
	flow->family = o->who >> 16;
	flow->protocol = protocol;
	flow->hash = o->hash >> 32;
	flow->client_port = o->port;
	if (flow->family == LB_FAMILY_V4) {
		flow->client[0] = IP4_FIELD(ip, saddr);
		flow->client[1] = 0;
	} else {
		flow->client[0] = WORD(&IP6_FIELD(ip, saddr), 0);
		flow->client[1] = WORD(&IP6_FIELD(ip, saddr), 8);
	}
	observe_give(flow, state, LB_OBSERVE_HANDSHAKE);
}

/* A SYN: another one of a handshake, a late copy of a connection's, or the first of its flow. */
static __always_inline void observe_syn(const struct observation *o)
{
	__u32 place = OBSERVE_HANDSHAKE_OF(o);
	__u64 now_ns = bpf_ktime_get_ns();
	struct lb_observed *flow;

	if (place != OBSERVE_NOWHERE) {
		flow = handshake_at(o->home, place);
		if (lb_observed_retry(flow, o->segment.seq, now_ns))
			observe_tell(o, flow, LB_OBSERVE_RETRY, LB_LOAD(&flow->state), 0);
		return;
	}
	place = OBSERVE_CONNECTION_OF(o);
	if (place == OBSERVE_NOWHERE || connection_at(o->home, place)->first != o->segment.seq)
		observe_begin(o, IPPROTO_TCP, 0, now_ns);
}

/*
 * What has begun becomes a connection, in the place of an older one of the same addresses and ports if there
 * is one. Its place, or OBSERVE_NOWHERE; it has its mark, if the agent had set it.
 */
static __always_inline __u32 observe_settle(const struct observation *o, const struct lb_observed *handshake,
					    __u64 mark, __u32 older)
{
	__u32 place = older;
	struct lb_observed *flow;
	__u64 state;

	if (place == OBSERVE_NOWHERE)
		place = observe_free(o->home->connection, LB_OBSERVE_CONNECTIONS, handshake->tag);
	if (place == OBSERVE_NOWHERE) {
		o->mine->counts.connections_refused++;
		return place;
	}
	flow = connection_at(o->home, place);
	state = observe_take(flow, older == OBSERVE_NOWHERE ? LB_OBSERVE_FREE : LB_OBSERVE_CONNECTION);
	if (!state) {
		o->mine->counts.connections_refused++;
		return OBSERVE_NOWHERE;
	}
	if (older != OBSERVE_NOWHERE)
		observe_tell(o, flow, LB_OBSERVE_REPLACED, state, 0);
	*flow = *handshake; /* both states say that nobody else is to look */
	flow->place = place & (LB_OBSERVE_CONNECTIONS - 1);
	observe_give(flow, state, LB_OBSERVE_CONNECTION | (mark & LB_OBSERVE_STARTED));
	return place;
}
/* The client went on from its handshake, as the agent is told in any case. As observe_settle(). */
static __always_inline __u32 observe_complete(const struct observation *o, struct lb_observed *handshake,
					      __u32 older)
{
	__u64 state = observe_take(handshake, LB_OBSERVE_HANDSHAKE);
	__u32 place;

	if (!state)
		return OBSERVE_NOWHERE;
	handshake->seen_ns = bpf_ktime_get_ns();
	observe_tell(o, handshake, LB_OBSERVE_COMPLETED, state, 0);
	place = observe_settle(o, handshake, 0, older);
	observe_give(handshake, state, LB_OBSERVE_FREE);
	return place;
}

/* What is wanted of a TLS hello in this segment, from the flow's first and second one with payload. */
static __always_inline __u32 observe_hello_wanted(struct xdp_md *ctx, const struct observation *o,
						  struct lb_observed *flow)
{
	__u32 left = flow->hello_left, bytes = o->segment.bytes;
	__u8 *data = o->mine->scratch.data;

	if (!bytes || o->segment.seq != flow->next)
		return 0;
	flow->hello_left = 0;
	if (flow->next == flow->first) {
		if (bytes < LB_OBSERVE_RECORD_BYTES ||
		    bpf_xdp_load_bytes(ctx, o->payload, data, LB_OBSERVE_RECORD_BYTES))
			return 0;
		left = lb_observed_hello_bytes(data);
		flow->hello_left = left > bytes ? left - bytes : 0;
	}
	return left < bytes ? left : bytes;
}

/* Hands what this segment has of a TLS hello to the agent. */
static __always_inline void observe_hello(struct xdp_md *ctx, const struct observation *o,
					  struct lb_observed *flow)
{
	__u64 bytes = observe_hello_wanted(ctx, o, flow);

	if (!bytes || bytes > LB_OBSERVE_HELLO_MAX)
		return;
	/* As it is, in terms that the verifier follows: from "not 0" Linux 6.1's learns nothing. */
	LB_HIDE(bytes);
	bytes = ((bytes - 1) & (LB_OBSERVE_HELLO_MAX - 1)) + 1;
	LB_HIDE(bytes);
	if (bpf_xdp_load_bytes(ctx, o->payload, o->mine->scratch.data, bytes))
		return;
	o->mine->scratch.event.data_offset = flow->next - flow->first;
	observe_tell(o, flow, LB_OBSERVE_HELLO, LB_LOAD(&flow->state), bytes);
}

/* A segment of a connection. */
static __always_inline void observe_segment(struct xdp_md *ctx, const struct observation *o,
					    struct lb_observed *flow)
{
	__u32 seen;

	observe_hello(ctx, o, flow);
	seen = lb_observed_segment(flow, &o->segment, bpf_ktime_get_coarse_ns());
	if (seen & LB_OBSERVED_RESENT)
		observe_tell(o, flow, LB_OBSERVE_RESENT, LB_LOAD(&flow->state), 0);
	if (seen & (LB_OBSERVED_FIN | LB_OBSERVED_RST))
		observe_end(o, flow, LB_OBSERVE_CONNECTION,
			    seen & LB_OBSERVED_RST ? LB_OBSERVE_RESET : LB_OBSERVE_CLOSED);
}

/* Anything but a SYN. What is of no flow whose beginning was seen is nothing that could be told of. */
static __always_inline void observe_others(struct xdp_md *ctx, const struct observation *o)
{
	__u32 place = OBSERVE_CONNECTION_OF(o), waiting;
	struct lb_observed *handshake;

	if (place == OBSERVE_NOWHERE || !lb_observed_owns(connection_at(o->home, place), &o->segment)) {
		waiting = OBSERVE_HANDSHAKE_OF(o);
		handshake = handshake_at(o->home, waiting);
		if (waiting == OBSERVE_NOWHERE || !lb_observed_completes(handshake, &o->segment))
			return;
		if (o->segment.flags & LB_SEGMENT_RST) {
			handshake->seen_ns = bpf_ktime_get_ns();
			observe_end(o, handshake, LB_OBSERVE_HANDSHAKE, LB_OBSERVE_RESET);
			return;
		}
		place = observe_complete(o, handshake, place);
		if (place == OBSERVE_NOWHERE)
			return;
	}
	observe_segment(ctx, o, connection_at(o->home, place));
}

/* A TCP packet of a sampled flow that goes to a backend. Changes nothing in it. Always 0. */
LB_SUBPROGRAM int observe(struct xdp_md *ctx, __u64 who, __u64 hash, __u64 where)
{
	struct observation o = { .who = who, .hash = hash };

	if (!observe_enter(&o) || !observe_read(ctx, where, &o))
		return 0;
	if (o.segment.flags & LB_SEGMENT_SYN)
		observe_syn(&o);
	else
		observe_others(ctx, &o);
	return 0;
}

/* Reads headers of a datagram. ret_bytes: of its payload. False: there is nothing to see in it. */
static __always_inline bool observe_read_datagram(struct xdp_md *ctx, __u64 where, struct observation *o,
						  __u32 *ret_bytes)
{
	__u8 *ip = o->mine->scratch.head;
	struct udphdr *udp = (void *)(ip + sizeof(struct ipv6hdr));
	__u32 l3 = where & 0xffff, l4 = where >> 16 & 0xffff, end = where >> 32;

	if (l4 + sizeof(*udp) > end || bpf_xdp_load_bytes(ctx, l4, udp, sizeof(*udp)))
		return false;
	if ((__u8)(o->who >> 16) == LB_FAMILY_V4 ? bpf_xdp_load_bytes(ctx, l3, ip, sizeof(struct iphdr))
						 : bpf_xdp_load_bytes(ctx, l3, ip, sizeof(struct ipv6hdr)))
		return false;
	o->port = udp->source;
	*ret_bytes = end - l4 - sizeof(*udp);
	return observe_whose(o, (__u32)udp->source << 16 | udp->dest, IPPROTO_UDP);
}

/*
 * The second datagram of a flow: from now on it has a place that no flood takes. While there is none it stays
 * among those that have begun.
 */
static __always_inline void observe_second(const struct observation *o, struct lb_observed *flow, __u32 bytes)
{
	__u64 state = observe_take(flow, LB_OBSERVE_HANDSHAKE);

	if (!state)
		return;
	lb_observed_datagram(flow, bytes, bpf_ktime_get_coarse_ns());
	if (observe_settle(o, flow, state, OBSERVE_NOWHERE) == OBSERVE_NOWHERE)
		(void)LB_EXCHANGE(&flow->state, state & ~OBSERVE_TAKEN);
	else
		observe_give(flow, state, LB_OBSERVE_FREE);
}

/* The same for a datagram. */
LB_SUBPROGRAM int observe_datagram(struct xdp_md *ctx, __u64 who, __u64 hash, __u64 where)
{
	struct observation o = { .who = who, .hash = hash };
	__u32 place, bytes = 0;

	if (!observe_enter(&o) || !observe_read_datagram(ctx, where, &o, &bytes))
		return 0;
	place = OBSERVE_CONNECTION_OF(&o);
	if (place != OBSERVE_NOWHERE) {
		lb_observed_datagram(connection_at(o.home, place), bytes, bpf_ktime_get_coarse_ns());
		return 0;
	}
	place = OBSERVE_HANDSHAKE_OF(&o);
	if (place != OBSERVE_NOWHERE)
		observe_second(&o, handshake_at(o.home, place), bytes);
	else
		observe_begin(&o, IPPROTO_UDP, bytes, bpf_ktime_get_coarse_ns());
	return 0;
}

/* A packet of any protocol of a sampled flow that goes to a backend. */
static __always_inline void observe_packet(struct xdp_md *ctx, __u8 protocol, __u64 who, __u64 hash,
					   __u64 where)
{
	if (protocol == IPPROTO_TCP)
		observe(ctx, who, hash, where);
	else if (protocol == IPPROTO_UDP)
		observe_datagram(ctx, who, hash, where);
}

/* The same for a packet in plain form. */
static __always_inline void observe_plain(struct xdp_md *ctx, const struct pkt *p, const struct lb_vip *vip,
					  const struct lb_backend *backend, __u64 hash)
{
	__u32 l3 = sizeof(struct ethhdr), l4 = l3 + sizeof(struct ipv6hdr), end;
	__u64 who = OBSERVE_WHO(p->family, vip->service, backend->counter);

	if (p->family == LB_FAMILY_V4) {
		l4 = l3 + IP4_HEADER(p->ip);
		end = l3 + bpf_ntohs(LB_LOAD(&IP4_FIELD(p->ip, tot_len)));
	} else {
		end = l4 + bpf_ntohs(LB_LOAD(&IP6_FIELD(p->ip, payload_len)));
	}
	observe_packet(ctx, p->protocol, who, hash, OBSERVE_WHERE(l3, l4, end));
}
