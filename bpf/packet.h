/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the pipeline knows of a packet. parse.h fills it once; nobody parses twice.
 */
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

#include "lb/types.h"

/* Moves forward only over what was checked to be there. */
struct cursor {
	void *pos;
	void *end;
};

struct pkt {
	__u64 saddr[2]; /* words as they lie in memory; IPv4 in the low half of [0] */
	__u64 daddr[2];
	__be16 sport;
	__be16 dport;
	__u16 length;  /* of the IP packet, header included, without Ethernet padding; host order */
	__u8 family;   /* LB_FAMILY_* */
	__u8 protocol; /* IPPROTO_* */
	__u8 tos;      /* ToS or traffic class, DSCP and ECN */
	__u8 ttl;      /* or hop limit */
	__u8 syn;      /* TCP SYN without ACK: may open a connection */
	__u8 closing;  /* TCP FIN or RST */
	__u8 lie;      /* enum lb_reason of what is wrong with the headers, 0 if nothing: drop if it is for a
			  service */
};

/* Metadata in front of a packet that lbctl explain runs: decide as always, but remember nothing. */
#define LB_EXPLAIN_MAGIC 0x57656972746d6578ull
