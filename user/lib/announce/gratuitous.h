/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frames that tell a LAN, unasked, by which MAC address a VIP can be reached: a gratuitous ARP request (RFC
 * 5227 section 3), an unsolicited neighbour advertisement (RFC 4861 section 7.2.6).
 */
#pragma once

#include "base/address.h"

#define LB_GRATUITOUS_MAX 86 /* bytes */

/* Writes the frame; its length. */
size_t lb_gratuitous_frame(const struct lb_address *vip, const __u8 mac[6], __u8 frame[LB_GRATUITOUS_MAX]);

/* The solicited-node multicast address of an IPv6 address (RFC 4291 section 2.7.1). */
void lb_solicited_node(const struct lb_address *vip, __u8 ret_group[16]);
