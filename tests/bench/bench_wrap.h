/* SPDX-License-Identifier: GPL-2.0-only */
/* What the bench program and its wrapper in the kernel share. */
#pragma once

#include <linux/types.h>

enum bench_target {
	BENCH_NOOP,
	BENCH_ENCAP_V4,
	BENCH_ENCAP_V6,
	BENCH_SUBJECT,
	BENCH_LRU,
	BENCH_OTHER,
	BENCH_TARGETS
};

#define BENCH_TURNS_MAX 256u /* power of two */

struct bench_control {
	__u64 eth[2]; /* 12 bytes of addresses */
	__u64 random;
	__u64 count;
	__u64 total; /* packets of this run */
	__u64 first_ns, last_ns;
	__u32 flows;
	__u32 grown;               /* bytes the target adds in front */
	__u32 source, destination; /* first addresses, host order; IPv6: the last 32 bits */
	__u32 service_mask;        /* destinations - 1: flows spread over so many services */
	__u32 target;
	__u64 ip_word;  /* first 8 bytes of the IP header */
	__u64 ttl_word; /* IPv4: TTL, protocol, checksum (nobody on the path looks at it) */
	__u64 prefix;   /* IPv6: first 8 bytes of both addresses */
	__u32 port;     /* destination port, network order */
	__u16 eth_type; /* network order */
	__u16 pad;
	__u32 family;
	__u32 sequential; /* flows one after the other: to fill tables */
	__u64 known;      /* of the LRU target: flows found */

	/* 0: there is the target alone. Else it and BENCH_OTHER take turns of so many packets, as 0110. */
	__u32 turn_packets;
	__u32 turn_left;
	__u32 turn; /* that began last, from 1 */
	__u32 swap; /* 1: as 1001 */
	__u64 turn_ns;
	__u32 took_ns[BENCH_TURNS_MAX]; /* each but the last one, which has not ended */
};

/* Whose turn it is: 0 the target's. turn: from 0. */
#define BENCH_WHOSE_TURN(turn, swap) ((((turn) >> 1 ^ (turn)) & 1) ^ (swap))
