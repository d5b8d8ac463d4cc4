/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What fits through to an address, where that is less than the link or the route says: as configured, since a
 * path may be narrower than its first hop and nobody tell; as learned from a router that told; and as found
 * by trying (path_search.h). What was learned or found is forgotten after a while, since ways change (RFC
 * 1191 section 6.3, RFC 8201 section 4), and learned again if it still holds. The least counts; what was
 * found to fit proves routers wrong that had said less.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

#define LB_PATH_MTU_AGE_MS 600000u /* RFC 1191 section 6.3 */
#define LB_PATH_MTU_MIN_V4 552u    /* Linux believes no less either (net.ipv4.route.min_pmtu) */
#define LB_PATH_MTU_MIN_V6 1280u   /* RFC 8200 section 5 */

/* Who says how much fits. */
enum lb_mtu_from { LB_MTU_FROM_WAY, LB_MTU_FROM_CONFIGURATION, LB_MTU_FROM_ROUTER, LB_MTU_FROM_PROBE };

struct lb_path_mtus {
	struct lb_path_mtu *at; /* by address; most have none */
	size_t n_learned;       /* from routers or by trying: what ages */
};

void lb_path_mtus_done(struct lb_path_mtus *table);

/* What is configured from now on: begin, configure for each address that has a limit (bytes; the least one
 * counts), end. configure: 0 or -ENOMEM. */
void lb_path_mtus_begin(struct lb_path_mtus *table);
int lb_path_mtus_configure(struct lb_path_mtus *table, const struct lb_address *to, __u16 mtu);
void lb_path_mtus_end(struct lb_path_mtus *table);

/* A router says that no more than mtu bytes fit. 1: that is news, and less than was known; 0: it is neither,
 * or too little to be believed; -ENOMEM. now_ms: monotonic. */
int lb_path_mtus_learn(struct lb_path_mtus *table, const struct lb_address *to, __u32 mtu, __u64 now_ms);

/* It was tried: packets of mtu bytes get through, and none that are larger; mtu 0: all that the way takes do.
 * True: answers differ now. now_ms: monotonic. */
bool lb_path_mtus_found(struct lb_path_mtus *table, const struct lb_address *to, __u16 mtu, __u64 now_ms);

/* Forgets what was learned or found too long ago. True: there was something. */
bool lb_path_mtus_age(struct lb_path_mtus *table, __u64 now_ms);

/* Bytes, or 0: no limit is known. *ret_from: who says so; LB_MTU_FROM_WAY: nobody. *ret_configured: what is
 * configured, or 0. */
__u16 lb_path_mtus_get(const struct lb_path_mtus *table, const struct lb_address *to,
		       enum lb_mtu_from *ret_from, __u16 *ret_configured);

/* What an ICMP message says that is about a packet of a tunnel. */
struct lb_path_mtu_told {
	struct lb_address router, source, to; /* who tells; the packet's ends */
	__u32 mtu;
	bool gue;
};

/* Reads a frame, or its first n bytes, that the packet path has found to be such a message. 0 or -EBADMSG. */
int lb_path_mtu_parse(const __u8 *frame, size_t n, struct lb_path_mtu_told *ret_told);
