/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How the packet path came to what it did with one packet. Only lb_capture and lb_explain keep it; it lives
 * as long as they are loaded, so nothing here is part of LB_LAYOUT_VERSION.
 */
#pragma once

#include <linux/types.h>

/* How a backend was chosen. */
enum lb_how {
	LB_HOW_SETTLED, /* the slot, or a connection ID, says it alone */
	LB_HOW_NEW,     /* a new flow: cur */
	LB_HOW_KNOWN,   /* the flow table knows it */
	LB_HOW_BASE,    /* an old flow that nobody remembers: base */
	LB_HOW_REFUSED, /* there was no room to remember it: base */
};

#define LB_DECISION_NOBODY 0xffffffffu /* no such service, backend */

/* What of struct lb_decision was filled in. */
#define LB_DECIDED_SLOT  1u /* hash, slot, word */
#define LB_DECIDED_FLOW  2u /* flow, also where that backend is dead and the entry void */
#define LB_DECIDED_INDEX 4u /* index, how */

struct lb_decision {
	__u64 generation; /* that decided */
	__u64 hash;       /* of the flow: picks the slot */
	__u32 decided;    /* LB_DECIDED_* */
	__u32 reason;     /* enum lb_reason; LB_REASON_NONE: forwarded */
	__u32 service;    /* id, or LB_DECISION_NOBODY */
	__u32 backend;    /* id, or LB_DECISION_NOBODY */
	__u32 slot;       /* its number in the ring */
	__u32 word;       /* what it holds (slot.h) */
	__u32 index;      /* of the backend in the service; LB_INDEX_NONE: nobody */
	__u32 how;        /* enum lb_how */
	__u32 flow;       /* index of the backend that the flow table names */
	__u32 pad0;
};
_Static_assert(sizeof(struct lb_decision) == 56, "no holes");
