/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ready-made outer headers: what a backend record holds, so that a packet is forwarded by copying it,
 * patching length, ToS and source, and folding the sum.
 */
#pragma once

#include <linux/types.h>

#include "config/config.h"
#include "engine/nexthop.h"
#include "lb/types.h"

/* What a record depends on besides the backend and its next hop. */
struct lb_header_rules {
	enum lb_forward forward;
	__u8 vip_family;                   /* of the packets that are forwarded */
	const struct lb_prefix *source_v4; /* tunnel_source; family 0: the route's own source */
	const struct lb_prefix *source_v6;
};

/*
 * Fills a record (LB_BACKEND_USED, and LB_BACKEND_DEAD when dead). The method is LB_METHOD_NONE, and all that
 * forwarding needs zero, while the next hop is unresolved, there is no outer source address to use, or a
 * router is in the way of l2; LB_METHOD_LOCAL where the backend is this host.
 *
 * IPv4 (RFC 791): version 4, 20 bytes, ToS 0, total length 0, id 0, DF, TTL 64, protocol 4 (RFC 2003), 41 or
 * 17, the check field the folded sum of all this and NOT complemented: the packet path adds length, ToS and
 * the varying source bits, folds again and complements. IPv6 (RFC 8200): payload length 0, hop limit 64.
 */
void lb_header_build(const struct lb_header_rules *rules, const struct lb_address *backend,
		     const struct lb_nexthop *nexthop, __u32 id, bool dead, struct lb_backend *ret_record);

/* The bits of an outer source that vary with the flow: the host bits of tunnel_source (IPv6: at most the last
 * 32); 0 when it is not configured. Network byte order. */
__be32 lb_header_source_mask(const struct lb_prefix *source);

/* Bytes that a tunnel puts in front of packets to an address of a family; l2: none. */
unsigned int lb_header_overhead(enum lb_forward forward, __u8 family);
