/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a packet would go: lb_explain, the packet path that keeps its decision and leaves no other trace, run
 * on such a packet by BPF_PROG_TEST_RUN.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "base/error.h"
#include "config/config.h"
#include "lb/decision.h"

struct lbd;

struct explain_question {
	struct lb_address source, destination; /* of one family */
	__u16 source_port, destination_port;   /* host byte order */
	__u8 protocol;                         /* IPPROTO_TCP, IPPROTO_UDP */
	bool syn;
};

#define EXPLAIN_PACKET_MAX 256

/* Makes the packet, from Ethernet on, with correct checksums. Returns its bytes. */
__u32 explain_packet(const struct explain_question *question, const __u8 destination_mac[6],
		     __u8 packet[EXPLAIN_PACKET_MAX]);

struct explain_run {
	struct lb_decision decision;
	__u32 verdict; /* XDP action */
	__u32 bytes;
	__u8 packet[2 * EXPLAIN_PACKET_MAX];
};

/* lb_explain over the running program's maps. */
struct explain_program;

/* Runs it on the packet, as if that had come in by the interface (0: by none). Loads it the first time, and
 * when interfaces come or go. 0 or -errno with *error. */
int explain_run(struct lbd *lbd, int ifindex, const __u8 *packet, __u32 bytes, struct explain_run *ret_run,
		struct lb_error *error);

void explain_program_free(struct explain_program *program);

/* "XDP_TX" */
const char *explain_verdict_name(__u32 verdict);
