/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lb-backend and its decapsulation program share: the keys of the address maps and the counters.
 * Nothing here concerns the balancer.
 */
#pragma once

#include <linux/types.h>

/* An address of either family; IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). Network byte order. */
struct lb_decap_address {
	__u32 word[4];
};
_Static_assert(sizeof(struct lb_decap_address) == 16, "no padding");

#define LB_DECAP_ADDRESSES_MAX 4096u
#define LB_DECAP_PREFIXES_MAX  256u

/* Where tunnels may come from: the key of a longest-prefix table. */
struct lb_decap_prefix {
	__u32 bits; /* of the address: 96 more than an IPv4 prefix has */
	struct lb_decap_address address;
};
_Static_assert(sizeof(struct lb_decap_prefix) == 20, "no padding");

/* Value of a VIP: what was decapsulated for it, by this CPU. */
struct lb_decap_vip {
	__u64 packets;
	__u64 bytes; /* of inner IP packets */
};

/* Formats that the program takes off: bits of its load-time constant "formats". */
#define LB_DECAP_FORMAT_IPIP 1u /* protocols 4 and 41 */
#define LB_DECAP_FORMAT_GUE                                                                                  \
	2u /* UDP, generic UDP encapsulation variant 1: the inner packet follows at once */

#define LB_GUE_PORT 6080

/* What happened to a packet. LB_DECAP_OUTCOMES(X): X(number, NAME, "name", "what it means"); never reuse. */
#define LB_DECAP_OUTCOMES(X)                                                                                 \
	X(0, 4IN4, "4in4", "IPv4 in IPv4, delivered")                                                        \
	X(1, 6IN4, "6in4", "IPv6 in IPv4, delivered")                                                        \
	X(2, 4IN6, "4in6", "IPv4 in IPv6, delivered")                                                        \
	X(3, 6IN6, "6in6", "IPv6 in IPv6, delivered")                                                        \
	X(4, GUE, "gue", "IPv4 or IPv6 in UDP (GUE variant 1), delivered")                                   \
	X(5, PASS_PLAIN, "pass_plain", "not in a tunnel of ours: untouched")                                 \
	X(6, PASS_OUTER, "pass_outer", "outer packet not to an address of this host: untouched")             \
	X(7, PASS_INNER, "pass_inner", "inner packet not to a VIP of ours: untouched")                       \
	X(8, PASS_FRAGMENT, "pass_fragment", "fragment of a tunnel packet: untouched")                       \
	X(9, PASS_MALFORMED, "pass_malformed", "tunnel packet cut short or lying: left to the kernel")       \
	X(10, DROP_INNER, "drop_inner", "inner packet to a VIP with a bad header: dropped")                  \
	X(11, DROP_ECN, "drop_ecn", "congestion marked on a packet that cannot carry the mark: dropped")     \
	X(12, DROP_ADJUST, "drop_adjust", "the kernel refused to take the outer header off: dropped")        \
	X(13, DROP_SOURCE, "drop_source",                                                                    \
	  "a tunnel to a VIP from an address that --from does not name: dropped")

enum lb_decap_outcome {
#define X(number, name, text, help) LB_DECAP_##name = number,
	LB_DECAP_OUTCOMES(X)
#undef X
		LB_DECAP_OUTCOME_COUNT
};
