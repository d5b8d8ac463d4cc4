/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a packet would go: what the tables say, step by step, and what the loaded program does with such a
 * packet. The program is run by BPF_PROG_TEST_RUN and told, by metadata in front of the packet, to remember
 * nothing.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#include "config/config.h"
#include "base/error.h"
#include "engine/tables.h"

struct explain_question {
	struct lb_address source, destination; /* of one family */
	__u16 source_port, destination_port;   /* host byte order */
	__u8 protocol;                         /* IPPROTO_TCP, IPPROTO_UDP */
	bool syn;
};

/* What the tables say. Pointers lead into the tables. */
struct explain_decision {
	__u64 generation;
	const struct lb_vip *vip; /* NULL: no service */
	__u64 hash;               /* that picks the slot */
	__u32 slot, word;         /* its number, and what it holds */
	bool asked;               /* the flow table was */
	bool found;               /* entry is the flow's */
	__u64 entry;              /* word of the flow table */
	bool void_entry;          /* it names a dead backend */
	__u32 index;              /* of the backend; LB_INDEX_NONE */
	const struct lb_backend *backend;
	__u32 reason; /* enum lb_reason; 0: forwarded */
};

void explain_decide(const struct lb_tables *tables, const struct explain_question *question,
		    __u32 packet_bytes, struct explain_decision *ret);

#define EXPLAIN_PACKET_MAX 256

/* Makes the packet, from Ethernet on, with correct checksums. Returns its bytes. */
__u32 explain_packet(const struct explain_question *question, const __u8 destination_mac[6],
		     __u8 packet[EXPLAIN_PACKET_MAX]);

struct explain_run {
	__u32 verdict; /* XDP action */
	__u32 bytes;
	__u8 packet[2 * EXPLAIN_PACKET_MAX];
};

/* Runs a program on the packet, as if it had come in by the interface. 0 or -errno with *error. */
int explain_run_program(int program_fd, int ifindex, const __u8 *packet, __u32 bytes,
			struct explain_run *ret_run, struct lb_error *error);

/* "XDP_TX" */
const char *explain_verdict_name(__u32 verdict);
