/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the packet path and the agent share: every structure that lives in a BPF map.
 *
 * Rules: fixed-width types only, padding explicit and zero, network byte order only in __be types.
 * A structure that packets read is never changed in place: the agent writes a new copy in an unused
 * region and makes it visible by one store to lb_control.active (see "banks" below). The exceptions
 * are single aligned words (a ring slot, a stamp, a flow word), which change atomically.
 *
 * Changing any layout here means raising LB_LAYOUT_VERSION: pinned maps outlive the agent.
 */
#pragma once

#include <linux/types.h>
#ifndef __bpf__
#include <assert.h>
#include <stddef.h>
#endif

#include "lb/counters.h"
#include "lb/observe.h"
#include "lb/station.h"

/*
 * LB_LAYOUT_NEXT: a next layout for a test (tests/stories/story_layout.sh), which takes over from this one: a
 * field more, others moved, as a real one might.
 */
#ifndef LB_LAYOUT_NEXT
#define LB_LAYOUT_NEXT 0
#endif

#define LB_LAYOUT_MAGIC   0x57656972u /* "Weir" */
#define LB_LAYOUT_VERSION (3u + LB_LAYOUT_NEXT)

/*
 * Which slot a flow has is a promise: to its connection, to the other balancers of the fleet, and to the next
 * version. The mixing (hash.h) and the rule by which rings get their sizes have a version each, kept in
 * lb_control and shown in the status.
 */
#define LB_HASH_VERSION      2u
#define LB_RING_RULE_VERSION 1u
#define LB_HASH_WORDS        6u /* of a key */

#define LB_CACHE_LINE 64
#define LB_NAME_MAX   64 /* bytes, with the terminating zero */

#define LB_RING_MIN       64u    /* slots */
#define LB_RING_MAX       65536u /* slots; a slot number fits the 16 bits it has in a flow word */
#define LB_SLOTS_PER_LINE 16u

#define LB_SERVICES_MAX             65535u /* service ids 0..65534 */
#define LB_BACKENDS_PER_SERVICE_MAX 16383u /* an index has 14 bits and one value means "none" */
#define LB_PORTS_MAX                64u    /* egress interfaces (slots of the device map) */
#define LB_REASONS_MAX              64u

/*
 * Chunks. The kernel's inlined array look-up takes its key from memory, and a key that was just computed
 * costs a store-to-load round trip on the critical path. So the big tables are arrays of chunks of 1 MiB: the
 * key is a chunk number that lies ready in the VIP entry, and the line within the chunk is plain arithmetic.
 * For user space the memory is flat. A ring or a region of backend records never crosses a chunk's end. Where
 * the kernel takes values of that size, each table is one value and chunks mean nothing (bpf/maps.h,
 * LB_FLAT).
 */
#define LB_CHUNK_LINES 16384u

/*
 * Banks. The VIP table exists LB_BANKS times. Packets use the one that lb_control.active names; the agent
 * fills another and flips. A bank (and a ring or backend region that only retired banks name) may be
 * written again after an RCU grace period, because an XDP program runs inside one RCU read side section.
 */
#define LB_BANKS       8u
#define LB_VIP_BUCKETS 32768u /* per bank; how many are in use is part of lb_control.active */
#define LB_VIP_PROBES  8u     /* buckets a look-up reads at most; the agent builds tables that satisfy it */

/*
 * lb_control.active: one word, one store, one generation. The part of a bank that is in use is told by a mask
 * for byte offsets, as packets need it: bits 6..20.
 */
#define LB_ACTIVE_BANK(a)       ((__u32)(a)&0xf)
#define LB_ACTIVE_WILDCARD      (1ull << 4) /* some service is not an exact match */
#define LB_ACTIVE_FILTERED      (1ull << 5) /* all that are not are of whole addresses, which lb_filters knows */
#define LB_ACTIVE_SHAPES        (LB_ACTIVE_WILDCARD | LB_ACTIVE_FILTERED)
#define LB_ACTIVE_MASK_BYTES(a) ((a) & (__u64)(LB_VIP_BUCKETS - 1) * LB_CACHE_LINE)
#define LB_ACTIVE_MASK(a)       ((__u32)LB_ACTIVE_MASK_BYTES(a) / LB_CACHE_LINE) /* buckets in use - 1 */
#define LB_ACTIVE_LOG2(a)       ((__u32)__builtin_popcount(LB_ACTIVE_MASK(a)))
#define LB_ACTIVE_GENERATION(a) ((a) >> 24) /* 40 bits */
#define LB_ACTIVE(bank, log2, flags, generation)                                                             \
	((__u64)(bank) | LB_ACTIVE_MASK_BYTES(((1ull << (log2)) - 1) * LB_CACHE_LINE) | (flags) |            \
	 (__u64)(generation) << 24)
_Static_assert(LB_BANKS <= 16 && LB_VIP_BUCKETS * LB_CACHE_LINE <= 1u << 24, "all have room");

#define LB_CONTROL_MAP ".data.lb_control"

/*
 * The first lines are read for every packet and written by the agent alone (clock_s once a second). Whatever
 * the layout, active, magic, layout and version stay where they are, and the size does not shrink: an agent
 * can tell what it has found, and whether that is from the future.
 */
struct lb_control {
	__u64 active;                   /* LB_ACTIVE(); 0 until the first commit: every packet passes */
	__u64 hash_seed[LB_HASH_WORDS]; /* the fleet's, from the configuration: balancers agree */
	__u32 clock_s;                  /* coarse, for ages; stands still while no agent runs, never jumps */
	__u32 flow_mask;                /* flow table buckets - 1 */
	__u64 flow_key[LB_HASH_WORDS];  /* random, per boot: nobody outside can aim at a bucket */
	__u64 reserved[2];

	/* Cold: what the pinned maps look like. */
	__u32 magic;
	__u32 layout;
	__u32 cpus;         /* possible CPUs: blocks in lb_counters and lb_reasons */
	__u32 vip_buckets;  /* per bank: LB_VIP_BUCKETS */
	__u32 ring_lines;   /* multiple of LB_CHUNK_LINES; lines of LB_SLOTS_PER_LINE slots in lb_rings */
	__u32 backends;     /* records in lb_backends, multiple of LB_CHUNK_LINES */
	__u32 counters;     /* counter lines per CPU = highest backend id + 1 */
	__u32 services;     /* entries in lb_service_meta */
	__u32 flow_buckets; /* power of two */
	__u32 hash_version; /* LB_HASH_VERSION */
	__u32 ring_rule;    /* LB_RING_RULE_VERSION */
	__u32 stamp_lines;  /* the same of lb_stamps; a power of two */
	__u32 pad0[4];
	char version[64]; /* of the agent that wrote last, for people */
};
_Static_assert(sizeof(struct lb_control) == 256, "control is four lines");
_Static_assert(__builtin_offsetof(struct lb_control, flow_key) == 64, "hot lines first");
_Static_assert(__builtin_offsetof(struct lb_control, magic) == 128, "hot lines first");

#define LB_RANGE_LENGTHS_MAX 20u /* different prefix lengths among the source ranges of a service */

/*
 * One service key in the VIP table; one cache line. key[] is what struct lb_vip_key makes of a packet.
 * An unused bucket is all zero. Wildcard services (all ports, ranges, prefixes) are entries whose key is
 * masked to a shape, see struct lb_bank.
 */
struct lb_vip {
	__u64 key[3];
	union {
		struct {
			__u32 ring_chunk;    /* of lb_rings: where ring_first lies */
			__u32 ring_first;    /* the ring's first slot, of all that there are */
			__u32 ring_mask;     /* slots - 1 */
			__u32 backend_chunk; /* of lb_backends: where backend_first lies */
			__u32 backend_first; /* the region's first record, of all that there are */
		};
		__u8 range_bits[LB_RANGE_LENGTHS_MAX]; /* of a range list: prefix lengths; 0 ends it */
	};
#if LB_LAYOUT_NEXT
	__u32 flags;
#endif
	__u16 service;       /* id: index in lb_service_meta */
	__u16 backend_count; /* records in the region; indices are below it */
#if !LB_LAYOUT_NEXT
	__u32 flags; /* LB_VIP_* */
#endif
	__be32 source_mask_v4; /* bits of the outer IPv4 source that vary with the flow */
	__be32 source_mask_v6; /* the same for the last 32 bits of an outer IPv6 source */
	__be16 gue_port;       /* destination port of GUE */
	__u8 quic[2];          /* QUIC-LB configurations: LB_QUIC(); 0: none */
};
_Static_assert(sizeof(struct lb_vip) == LB_CACHE_LINE, "a VIP bucket is one line");

/* The ring's first line, of all that there are. */
static inline __u32 lb_vip_ring_line(const struct lb_vip *vip)
{
	return vip->ring_first / LB_SLOTS_PER_LINE;
}

static inline void lb_vip_place(struct lb_vip *vip, __u32 ring_line, __u32 backend_first)
{
	vip->ring_chunk = ring_line / LB_CHUNK_LINES;
	vip->ring_first = ring_line * LB_SLOTS_PER_LINE;
	vip->backend_chunk = backend_first / LB_CHUNK_LINES;
	vip->backend_first = backend_first;
}

#define LB_VIP_USED      0x0001u /* the bucket holds a service */
#define LB_VIP_SOURCE    0x0002u /* affinity: client address only */
#define LB_VIP_QUIC      0x0004u /* affinity: QUIC connection ID */
#define LB_VIP_ECHO      0x0008u /* answer ICMP echo to the address */
#define LB_VIP_FRAG_DROP 0x0010u /* fragments whose first was not seen: drop instead of pass */
#define LB_VIP_REJECT    0x0020u /* while there is no backend the sender is told */
/* No service: the address, under a prefix of some, is the host's own, and its packets with it. Key: of a
 * service of all its ports. */
#define LB_VIP_HELD 0x0400u
/* What becomes of packets to the address that no service takes: neither bit: they are passed. */
#define LB_VIP_UNCLAIMED_DROP   0x0040u
#define LB_VIP_UNCLAIMED_REJECT 0x0080u
#define LB_VIP_SHARED           0x0100u /* others have the same ring: its packets are counted by service, too */
#define LB_VIP_RANGES           0x0200u /* some sources only: see range records */
#define LB_VIP_UNCLAIMED        (LB_VIP_UNCLAIMED_DROP | LB_VIP_UNCLAIMED_REJECT)

/*
 * Entries of the VIP table that are not services of packets; they have keys that no packet's own key equals.
 *
 * Address record: one per VIP address and protocol (TCP, UDP; ICMP or ICMPv6 for the echo flag), with
 * address_bits LB_VIP_BITS_ADDRESS and port 0. It speaks for packets that have no port: that of ICMP for echo
 * requests (LB_VIP_ECHO: some service of the address has an active backend) and for all that no service takes
 * (LB_VIP_UNCLAIMED_*), the others for later fragments whose first was not seen (LB_VIP_FRAG_DROP: some
 * service says so; LB_VIP_SOURCE: the only service of this protocol, those of its prefixes counted, balances
 * by source alone, and ring and backends are its own).
 *
 * Host record of a prefix: the same with ICMP or ICMPv6, the address masked, and the prefix length as the
 * port (of a whole address, too, where it only says that nothing is answered and all is passed). The longest
 * one that there is for an address decides; where none would say anything, none are there. lb_filters knows
 * the addresses of all of both kinds.
 *
 * QUIC record: server id -> backend (index in backend_count), per service and live configuration: key[0] is
 * lb_quic_key_0() of the configuration and service, key[1] the server id zero-padded to 8 bytes as it lies
 * in memory, address_bits LB_VIP_BITS_QUIC, port 0, protocol UDP, family 0.
 *
 * Range record: a prefix of sources that a service (LB_VIP_RANGES) lets in: the masked prefix, with
 * address_bits LB_VIP_BITS_RANGE, the service's id as the port, the prefix length as port_bits. A range list,
 * one per service, has address and port_bits 0 and says which lengths there are (range_bits).
 */
#define LB_VIP_BITS_ADDRESS 0xff
#define LB_VIP_BITS_QUIC    0xfe
#define LB_VIP_BITS_RANGE   0xfd
#define LB_VIP_BITS_RECORDS LB_VIP_BITS_RANGE /* from here on: no service's */

/* QUIC-LB (draft-ietf-quic-load-balancers, plain-text): rotation bits 0..6, server id of 1..8 bytes. */
#define LB_QUIC(rotation, server_id_bytes) (0x80 | (rotation) << 4 | (server_id_bytes))
#define LB_QUIC_ROTATION(q)                ((q) >> 4 & 7)
#define LB_QUIC_BYTES(q)                   ((q)&15)

static inline __u64 lb_quic_key_0(__u32 service, __u32 rotation)
{
	return (__u64)service << 8 | rotation;
}

/* key[2] of a VIP: port in network byte order, then protocol, family, and the shape's prefix lengths. */
#define LB_FAMILY_V4 4
#define LB_FAMILY_V6 6
struct lb_vip_tail {
	__be16 port;
	__u8 protocol;
	__u8 family;
	__u8 address_bits; /* 0 = exact */
	__u8 port_bits;    /* 0 with address_bits 0 = exact; else significant bits of port */
	__u16 pad0;
};
_Static_assert(sizeof(struct lb_vip_tail) == 8, "one word");

/* Shapes of the wildcard services of a bank, most specific first. Read only after an exact miss. */
#define LB_SHAPES_MAX 31u
struct lb_shape {
	__u8 family;
	__u8 address_bits;
	__u8 port_bits;
	__u8 used; /* 0 ends the list */
};
struct lb_bank {
	struct lb_shape shape[LB_SHAPES_MAX + 1]; /* the last one is always unused */
};
_Static_assert(sizeof(struct lb_bank) == 128, "two lines");

/*
 * Which addresses have host records, or services that are not an exact match: a bit for each, at
 * lb_vip_filter_bit(); of a prefix for the masked one. Packets that match no service exactly look here first,
 * for nearly all of them are not to a VIP. One per bank; one of zeroes knows none.
 */
#define LB_FILTERS_MAP ".data.lb_filters"
#define LB_FILTER_BITS 32768u
#define LB_FILTER_LOG2 15u
struct lb_filter {
	__u8 bits[LB_FILTER_BITS / 8];
};
struct lb_filters {
	struct lb_filter bank[LB_BANKS];
};

/* A line of ring slots; encoding in slot.h. */
struct lb_ring_line {
	__u32 slot[LB_SLOTS_PER_LINE];
};
_Static_assert(sizeof(struct lb_ring_line) == LB_CACHE_LINE, "one line");

/*
 * The line is full. What a service needs beside it goes into a table of its own under the service's id, what
 * a backend needs beside its record into one that is laid out like lb_backends: whoever does not need it then
 * does not pay for it, neither memory nor a line of cache. A table that is not there yet begins empty.
 */

/* Ready-made outer header of a backend of a service; one line. Offsets keep the IP header 8-byte aligned. */
struct lb_backend {
	__u32 counter; /* backend id: its line in each CPU's block of lb_counters */
	__u16 max_len; /* largest IP packet, bytes, that fits the next hop's MTU once encapsulated */
	__u16 port;    /* slot of the egress interface in lb_devmap and lb_ports */
#if LB_LAYOUT_NEXT
	__u8 flags;
	__u8 method;
#else
	__u8 method; /* enum lb_method; LB_METHOD_NONE until the next hop is resolved */
	__u8 flags;  /* LB_BACKEND_* */
#endif
	__u8 eth[14]; /* destination, source, type */
	__u8 ip[40];  /* outer header; IPv4 uses 20 bytes, its check holds the folded sum of the rest */
};
_Static_assert(sizeof(struct lb_backend) == LB_CACHE_LINE, "a backend record is one line");
_Static_assert(__builtin_offsetof(struct lb_backend, ip) == 24, "aligned outer header");

#define LB_BACKEND_TX   0x01u /* leaves by the interface it came in on (one XDP interface configured) */
#define LB_BACKEND_DEAD 0x02u /* down: flow entries that name it are void */
#define LB_BACKEND_USED 0x04u /* the record holds a backend */
/*
 * Frames get the VLAN tag of the port. The fast path pushes none: max_len is 0, so that it turns every packet
 * away, and the true one lies at the end of eth, in place of the type, which method and packet tell.
 */
#define LB_BACKEND_TAGGED 0x08u
#define LB_BACKEND_TYPE   12u /* of eth: where the type is */

/* The largest IP packet that fits, bytes. */
static inline __u16 lb_backend_max_len(const struct lb_backend *backend)
{
	return backend->flags & LB_BACKEND_TAGGED ? *(const __u16 *)&backend->eth[LB_BACKEND_TYPE]
						  : backend->max_len;
}

/* lb_ports: where frames leave by. tag: protocol (IEEE 802.1Q, 802.1ad) in the upper 16 bits, identifier and
 * priority in the lower; 0: none. */
static inline __u64 lb_port(__u32 ifindex, __u32 tag)
{
	return (__u64)tag << 32 | ifindex;
}

static inline __u32 lb_port_ifindex(__u64 port)
{
	return (__u32)port;
}

static inline __u32 lb_port_tag(__u64 port)
{
	return port >> 32;
}

enum lb_method {
	LB_METHOD_NONE = 0, /* next hop unknown: drop with LB_DROP_NEXTHOP */
	LB_METHOD_L2 = 1,
	LB_METHOD_IPIP_V4 = 2, /* outer IPv4: 4in4 */
	LB_METHOD_IPIP_V6 = 3, /* outer IPv6: 4in6, 6in6 */
	LB_METHOD_GUE_V4 = 4,
	LB_METHOD_GUE_V6 = 5,
	LB_METHOD_LOCAL = 6, /* the backend is this host: pass with LB_PASS_LOCAL; max_len is 0 */
};

/* Per CPU and backend; one line, written by one CPU. A service's total is the sum of its backends'. */
struct lb_counter {
#define X(word, total, name, help) __u64 word;
	LB_COUNTERS(X)
#undef X
};
_Static_assert(sizeof(struct lb_counter) == LB_CACHE_LINE, "one line");

/*
 * Per CPU and service that shares a ring with others: what came in for it, whatever became of it. Where it
 * went is counted in the lines of the backends, for all that share the ring. One line, written by one CPU.
 */
struct lb_service_counter {
#define X(A, total, TOTAL, unit, kept, metric, column, help) __u64 total;
	LB_TOTALS_FIRST(X, )
#undef X
	__u64 pad0[5];
};
_Static_assert(sizeof(struct lb_service_counter) == LB_CACHE_LINE, "one line");

/* Per CPU: why packets passed or were dropped; indexed by enum lb_reason. */
struct lb_reason_counter {
	__u64 packets;
};
/* The last ones are no reasons, and the agent's: what the lines of removed backends had counted before their
 * ids were given to others, so that what a CPU has done in all never falls. */
#define LB_CARRIED_REFUSED  (LB_REASONS_MAX - 4) /* inserts into the flow table */
#define LB_CARRIED_TX       (LB_REASONS_MAX - 3) /* packets */
#define LB_CARRIED_REDIRECT (LB_REASONS_MAX - 2) /* packets */
#define LB_CARRIED_BYTES    (LB_REASONS_MAX - 1)
#define LB_CARRIED_FIRST    LB_CARRIED_REFUSED
struct lb_reason_block {
	struct lb_reason_counter reason[LB_REASONS_MAX];
};
_Static_assert(sizeof(struct lb_reason_block) == 8 * LB_CACHE_LINE, "whole lines");

/* Per CPU and reason: the beginning of a packet that was dropped, taken now and then (lbctl drops). */
#define LB_SAMPLE_BYTES 128
struct lb_sample {
	__u64 taken_ns;     /* CLOCK_MONOTONIC_COARSE; 0: none yet. Written last */
	__u32 frame_bytes;  /* of the whole frame */
	__u32 sample_bytes; /* valid in data */
	__u8 data[LB_SAMPLE_BYTES];
	__u8 pad[48];
};
_Static_assert(sizeof(struct lb_sample) == 192, "three lines");

/* First fragments, so that later ones follow: a small set-associative table, the oldest place is overwritten.
 */
struct lb_fragment {
	__u64 tag;  /* hash of source, destination, protocol, id; 0: free */
	__u64 word; /* bits 0..13 index, 14..28 VIP bucket, 32..47 service, 48..63 coarse time */
};
struct lb_fragment_bucket {
	struct lb_fragment fragment[4];
};
#define LB_FRAGMENT_BUCKETS 4096u
#define LB_FRAGMENT_AGE_S   30u /* RFC 8200: reassembly gives up after 60 s; Linux after 30 s (IPv4) */

/*
 * Four flows to a bucket of two lines; of each whose it is, and what is known of its TCP numbers, so that a
 * packet waits for one line. Encoding and protocol in flowtable.h and flow_numbers.h.
 */
#define LB_FLOWS_PER_BUCKET 4u
#define LB_FLOWS_PER_LINE   2u
struct lb_flow_numbers {
#if LB_LAYOUT_NEXT
	__u64 rest;
	__u64 next_ack;
#else
	__u64 next_ack;
	__u64 rest;
#endif
};
struct lb_flow {
	__u64 tag;
	__u64 word;
	struct lb_flow_numbers numbers;
};
struct lb_flow_bucket {
	struct lb_flow flow[LB_FLOWS_PER_BUCKET];
};
_Static_assert(sizeof(struct lb_flow) == LB_CACHE_LINE / LB_FLOWS_PER_LINE, "none spans lines");
_Static_assert(sizeof(struct lb_flow_bucket) == 2 * LB_CACHE_LINE, "two lines");

/*
 * For each line of slots: coarse time (lb_control.clock_s) of the last packet that an unsettled slot sent to
 * base. Only unsettled slots have a use for it, so there may be fewer lines than of slots (a power of two of
 * chunks); then several slots have one stamp, which is that of the latest packet of any of them. So a stamp
 * is only ever made younger: a slot that settles late breaks nothing.
 */
struct lb_stamp_line {
	__u32 stamp_s[LB_SLOTS_PER_LINE];
};
_Static_assert(sizeof(struct lb_stamp_line) == LB_CACHE_LINE, "one line");

/* What packets look up in lb_vips (key: bank), lb_rings, lb_stamps and lb_backends (key: chunk). */
struct lb_vip_bank {
	struct lb_vip bucket[LB_VIP_BUCKETS];
};
struct lb_ring_chunk {
	__u32 slot[LB_CHUNK_LINES * LB_SLOTS_PER_LINE];
};
struct lb_stamp_chunk {
	__u32 stamp_s[LB_CHUNK_LINES * LB_SLOTS_PER_LINE];
};
struct lb_backend_chunk {
	struct lb_backend record[LB_CHUNK_LINES];
};
struct lb_backend_id_chunk {
	__u32 id[LB_CHUNK_LINES];
};
