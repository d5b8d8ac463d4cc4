/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Checks through the packet path: what lb_check (bpf/lb_check.bpf.c), lbd and lb-checkd share. lb-checkd
 * connects to the VIP from a port that it has written down beside the number of its target; lb_check reads
 * the number there, and sends the packet to that target's backend as the packet path would. The mark of the
 * packet only leads it to lb_check: how many targets there are does not depend on its bits.
 */
#pragma once

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/types.h>

#include "lb/types.h"

/* Places in lb_check_ports: one for each source port, of both protocols and families, and for each identifier
 * of echo requests, below LB_CHECK_ECHOES, of both families. A word of 64 bits each: smaller values would lie
 * as far apart for those who map them. */
#define LB_CHECK_ECHOES 4096u
#define LB_CHECK_PLACES ((4u << 16) + 2 * LB_CHECK_ECHOES)

/* port: host byte order; of ICMP, the identifier. */
static inline __u32 lb_check_place(__u32 family, __u32 protocol, __u32 port)
{
	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6)
		return (4u << 16) + (family == LB_FAMILY_V6 ? LB_CHECK_ECHOES : 0) + port % LB_CHECK_ECHOES;
	return (family == LB_FAMILY_V6 ? 2u << 16 : 0) | (protocol == IPPROTO_UDP ? 1u << 16 : 0) |
	       (port & 0xffff);
}

/* The backend of a target: the record of this index, in the region of the service with this key. */
struct lb_check_target {
	__u64 key[3];     /* of an entry of the VIP table */
	__u64 address[2]; /* that is asked, as it lies in memory; IPv4 in the low half of [0] */
	__u32 index;
	__u32 pad;
};
_Static_assert(sizeof(struct lb_check_target) == 48, "no bytes but those of fields");

/* What became of packets. LB_CHECK_COUNTS(X): X(number, NAME, "name"); never reuse. */
#define LB_CHECK_COUNTS(X)                                                                                   \
	X(0, SENT, "sent")                                                                                   \
	X(1, NOT_OURS, "not_ours")   /* no check is known that it could be of */                             \
	X(2, NO_RECORD, "no_record") /* the service or the backend is not in the tables */                   \
	X(3, NO_WAY, "no_way")       /* no next hop, or it is too big, or the backend is this host */        \
	X(4, REFUSED, "refused")     /* the kernel gives no room for the header */                           \
	X(5, LATE, "late")           /* a reset by the kernel for a check that is over: it does not leave */

enum lb_check_count {
#define X(number, name, text) LB_CHECK_##name = (number),
	LB_CHECK_COUNTS(X)
#undef X
		LB_CHECK_COUNT
};
