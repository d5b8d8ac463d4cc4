/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The observer: what the packet path and the agent share about flows that are looked at more closely. Flows
 * of TCP and UDP are sampled by their hash, so that all packets of a sampled flow are seen
 * (docs/observer.md).
 *
 * There are as many blocks (struct lb_observe_cpu) as CPUs. Counts and scratch are of the CPU with that
 * number; the places are of flows, whose tags say in which block they are, whatever CPU their packets come to
 * (lb_observe_home()). A block has two sets of them: for what has just begun, and for connections. Who wants
 * to claim a place, to end what is in it or to mark it swaps its state word, if that is still what he read:
 * packets of any CPU, and the agent. What a flow is about is written without that, for its packets come to
 * one CPU at a time: where two are at work for once, a sum may miss one. What happens to a flow goes to the
 * agent as an event, through a ring buffer; of UDP, which has no events, the agent sees all there is in the
 * places.
 */
#pragma once

#include <linux/types.h>

#define LB_OBSERVE_MAP ".data.lb_observe"

/* Written by the agent, read for every packet. */
struct lb_observe {
	__u64 limit; /* flows whose hash is not above it are sampled; LB_OBSERVE_LIMIT() */
	__u64 reserved[7];
};

/* Of 2^level flows one is sampled. A limit of 0 leaves the one hash 0: as good as none. */
#define LB_OBSERVE_LEVEL_MAX    20u
#define LB_OBSERVE_LEVEL_NONE   32u
#define LB_OBSERVE_LIMIT(level) (~0ull >> (level))

#define LB_OBSERVE_WAYS        4u
#define LB_OBSERVE_HANDSHAKES  256u  /* places of a block, of each kind: multiples of LB_OBSERVE_WAYS */
#define LB_OBSERVE_CONNECTIONS 1024u /* powers of two */

#define LB_OBSERVE_RING_BYTES (512u << 10)
#define LB_OBSERVE_HELLO_MAX  4096u /* bytes of a TLS hello that are looked at, in two segments at most */

/* What is younger than that is left in its place, whoever comes: its client may yet try again after 1 s. */
#define LB_OBSERVE_KEEP_NS 1500000000ull

/*
 * state: phase in bits 0..1, the mark in bit 2, and in 32..63 how often the place was claimed, so that a
 * state word says which flow it is of.
 */
enum lb_observe_phase {
	LB_OBSERVE_FREE = 0,
	LB_OBSERVE_HANDSHAKE = 1,  /* SYNs only; of UDP one datagram */
	LB_OBSERVE_CONNECTION = 2, /* the client has answered what the backend answered; sent a second one */
	LB_OBSERVE_BUSY = 3,       /* a packet is about to claim or to leave it: nobody else's */
};
#define LB_OBSERVE_PHASE(state) ((state)&3)
#define LB_OBSERVE_STARTED      (1ull << 2) /* agent: it has counted the flow's start */
#define LB_OBSERVE_TURN         (1ull << 32)
#define LB_OBSERVE_NEXT(state, phase)                                                                        \
	((((state) & ~(LB_OBSERVE_TURN - 1)) + LB_OBSERVE_TURN) | (__u64)(phase))
#define LB_OBSERVE_EMPTIED(state) ((state) & ~(LB_OBSERVE_TURN - 1))

/* One flow; two lines, of which most packets touch the first alone. Numbers in host byte order. */
struct lb_observed {
	__u64 tag;        /* lb_flow_tag() under lb_control.flow_key, as in the flow table */
	__u64 state;      /* written last when a place is claimed */
	__u64 started_ns; /* CLOCK_MONOTONIC of its first SYN */
	__u64 seen_ns;    /* of its latest packet, coarse for connections */
	__u32 backend;    /* id */
	__u32 first;      /* sequence number behind the latest SYN */
	__u32 next;       /* behind the highest byte seen */
	__u32 hole;       /* bytes [hole, hole_end) may never have reached us */
	__u32 hole_end;
	__u32 packets;
	__u16 service;    /* id */
	__u16 resent;     /* segments whose bytes had all been here; stays at its highest value */
	__u16 hello_left; /* bytes of a TLS hello that are still wanted */
	__u8 again;       /* SYNs sent again with the same number, and with a new one; the same */
	__u8 anew;

	__u64 bytes;     /* payload, sent again or not */
	__u64 client[2]; /* address as it lies in memory; IPv4 in the first half of the first */
	__be16 client_port;
	__u8 family;   /* LB_FAMILY_* */
	__u8 protocol; /* IPPROTO_* */
	__u32 hash;    /* upper half of the hash by which it is sampled */
	__u32 place;   /* of a connection: its number */
	__u32 pad1[7];
};
_Static_assert(sizeof(struct lb_observed) == 128, "two lines");
_Static_assert(__builtin_offsetof(struct lb_observed, bytes) == 64, "most packets touch one line");

enum lb_observe_event_kind {
	LB_OBSERVE_RETRY = 1,     /* the first SYN that was sent again */
	LB_OBSERVE_COMPLETED = 2, /* the handshake; time_ns: since the first SYN */
	LB_OBSERVE_RESENT = 3,    /* the first segment that was sent again */
	LB_OBSERVE_HELLO = 4,     /* data: bytes of the client's first two segments */
	LB_OBSERVE_CLOSED = 5,    /* by the client's FIN; time_ns: since the handshake began */
	LB_OBSERVE_RESET = 6,     /* by the client */
	LB_OBSERVE_REPLACED = 7,  /* another connection of the same addresses and ports was completed */
};

/* A place and the flow in it. */
struct lb_observe_id {
	__u32 turn;
	__u16 block;
	__u16 place; /* of its connections */
};

/* What the ring holds: the head, and of a hello data[data_bytes]. */
struct lb_observe_event {
	__u8 kind;
	__u8 started; /* the agent has counted the flow's start (LB_OBSERVE_STARTED) */
	__u16 service;
	__u32 backend;
	__u64 started_ns;
	__u64 time_ns;
	__u64 bytes;
	__u32 packets;
	__u16 resent;
	__u8 again;
	__u8 anew;
	struct lb_observe_id id;
	__u16 data_offset; /* of a hello: where data belongs in it */
	__u16 data_bytes;
	__u8 completed; /* of a reset: the handshake had been */
	__u8 pad0[3];
};
_Static_assert(sizeof(struct lb_observe_event) == 56, "no hidden padding");

/* What a CPU has seen, and what of it found no place. */
struct lb_observe_counts {
	__u64 packets;             /* of sampled flows: what the packet path has paid for */
	__u64 events;              /* put into the ring */
	__u64 events_lost;         /* it was full */
	__u64 handshakes;          /* claimed */
	__u64 handshakes_refused;  /* all places were taken by young ones */
	__u64 handshakes_replaced; /* old ones, by younger */
	__u64 connections_refused; /* all places were taken */
	__u64 reserved;
};
_Static_assert(sizeof(struct lb_observe_counts) == 64, "one line");

struct lb_observe_scratch {
	__u8 head[64]; /* IP and TCP header */
	struct lb_observe_event event;
	__u8 data[LB_OBSERVE_HELLO_MAX];
	__u8 pad[8];
};
_Static_assert(sizeof(struct lb_observe_scratch) % 64 == 0, "whole lines");

struct lb_observe_cpu {
	struct lb_observe_counts counts;
	struct lb_observe_scratch scratch; /* of the packet that is looked at */
	struct lb_observed handshake[LB_OBSERVE_HANDSHAKES];
	struct lb_observed connection[LB_OBSERVE_CONNECTIONS];
};
