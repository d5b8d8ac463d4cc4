/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VRRP advertisements (RFC 5798, and RFC 3768 for version 2), as far as they tell who is master: who sends
 * them.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#define LB_VRRP_PROTOCOL 112

struct lb_vrrp_advert {
	__u8 version;      /* 2 or 3 */
	__u8 router;       /* virtual router, 1 to 255 */
	__u8 priority;     /* 0: gives it up */
	__u32 interval_ms; /* until the next one; 0: it does not say */
};

/* Reads an advertisement from an IPv4 or IPv6 packet; false: it is none that its sender may be believed. */
bool lb_vrrp_read(const void *packet, size_t length, struct lb_vrrp_advert *ret_advert);
