/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lb_capture (the packet path that also records packets) and the agent share. Its maps exist only while
 * a capture runs and are never pinned, so nothing here is part of LB_LAYOUT_VERSION.
 */
#pragma once

#include <linux/types.h>

#include "lb/decision.h"

#define LB_CAPTURES_MAX 4u         /* at once */
#define LB_CAPTURE_SNAP 256u       /* bytes kept of the packet in, and of the packet out */
#define LB_CAPTURE_RING (1u << 20) /* bytes of the ring between packets and the agent */

/* Which packets a capture wants: all that its LB_CAPTURE_BY_* ask for must hold. */
struct lb_capture_filter {
	__u64 saddr[2]; /* as in struct pkt: IPv4 in the low half of [0] */
	__u64 daddr[2];
	__be16 sport;
	__be16 dport;
	__u8 family;   /* LB_FAMILY_* */
	__u8 protocol; /* IPPROTO_* */
	__u16 pad0;
	__u32 service; /* id */
	__u32 backend; /* id */
	__u32 by;      /* LB_CAPTURE_*; written last, 0 first: packets see a whole filter or none */
	__u32 pad1;
};
_Static_assert(sizeof(struct lb_capture_filter) == 56, "no holes");

#define LB_CAPTURE_ON          0x001u /* somebody listens */
#define LB_CAPTURE_BY_SERVICE  0x002u
#define LB_CAPTURE_BY_BACKEND  0x004u
#define LB_CAPTURE_BY_DROP     0x008u
#define LB_CAPTURE_BY_PROTOCOL 0x010u
#define LB_CAPTURE_BY_SADDR    0x020u
#define LB_CAPTURE_BY_DADDR    0x040u
#define LB_CAPTURE_BY_SPORT    0x080u
#define LB_CAPTURE_BY_DPORT    0x100u
#define LB_CAPTURE_BY_FLOW     0x1f0u /* any part of the flow: the packet must be parsed for it */

struct lb_capture_filters {
	struct lb_capture_filter capture[LB_CAPTURES_MAX];
};

/* Per CPU and capture. */
struct lb_capture_count {
	__u64 matched; /* packets that the filter wanted */
	__u64 lost;    /* of them, those for which the ring had no room */
};
struct lb_capture_counts {
	struct lb_capture_count capture[LB_CAPTURES_MAX];
};

/* One packet, before and after. */
struct lb_capture_record {
	__u64 enter_ns; /* CLOCK_MONOTONIC */
	__u64 leave_ns;
	struct lb_decision decision;
	__u32 captures;  /* bit i: capture i wants it */
	__u32 flows;     /* bit i: the flow is capture i's */
	__u32 ifindex;   /* that it came in on */
	__u32 verdict;   /* enum xdp_action */
	__u32 in_bytes;  /* of the whole frame */
	__u32 in_snap;   /* valid in in[] */
	__u32 out_bytes; /* 0: nothing left by XDP_TX or redirect */
	__u32 out_snap;
	__u8 in[LB_CAPTURE_SNAP];
	__u8 out[LB_CAPTURE_SNAP];
};
_Static_assert(sizeof(struct lb_capture_record) == 104 + 2 * LB_CAPTURE_SNAP, "no holes");
