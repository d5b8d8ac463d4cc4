/* SPDX-License-Identifier: GPL-2.0-only */
/* Packets of a workload through the wrapper and one of its targets. */
#pragma once

#include <stdbool.h>

#include "bench_tables.h"
#include "bench_wrap.h"
#include "bench_wrap.skel.h"

#define BENCH_PACKETS 200000u

struct workload {
	const char *name;
	int family, protocol;
	__u32 flows;
	__u32 vip, vip_mask;
	int grown; /* bytes that the path adds; its undoing is part of the wrapper */
	bool syn;
	bool pass;                      /* not for us */
	bool exact;                     /* as if no service were a wildcard: what a miss costs without them */
	__u32 fill;                     /* flows that the table is filled with first (unsettled) */
	__u64 seed;                     /* of the order of flows; 0: that of all who do not say */
	__u32 turn_packets, swap;       /* bench_wrap.h: with another program in turns */
	bool lru;                       /* the subject is the LRU hash, not the path */
	double *subject, *noop, *encap; /* by round */
};

/* Packets that are measured, or, one for each flow, those that make the table know it. */
enum bench_pass { BENCH_MEASURE, BENCH_FILL_SYN, BENCH_FILL_ACK };

/* Runs packets of a workload through a target; nanoseconds per packet, or exits: a bench must not guess. */
double bench_run(struct bench_wrap_bpf *wrap, const struct workload *w, enum bench_target target,
		 __u32 packets, enum bench_pass pass);

/*
 * Loads the program once more. The kernel puts its code at a random place each time
 * (bpf_jit_binary_pack_alloc()), and some places are slower: a bench that looked at one alone would measure
 * its luck. observed: with the observer's instructions in it, as lbd loads it.
 */
int bench_load(const struct bench_tables *tables, bool observed); /* its descriptor, or it exits */
void bench_set_target(struct bench_wrap_bpf *wrap, enum bench_target target, int fd);
void bench_load_again(struct bench_wrap_bpf *wrap, const struct bench_tables *tables, bool observed);

/* Sorts them. */
double bench_median(double *values, int n);
