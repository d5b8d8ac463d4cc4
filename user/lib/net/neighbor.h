/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Neighbours (ARP and ND) as rtnetlink tells them, and the requests that make the kernel resolve one and keep
 * it resolved. Nothing here opens a socket.
 */
#pragma once

#include <linux/neighbour.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

struct nlmsghdr;

struct lb_neighbor {
	int ifindex;
	struct lb_address address;
	__u16 state;  /* NUD_* */
	__u8 flags;   /* NTF_* */
	bool managed; /* the kernel keeps it resolved */
	bool removed; /* RTM_DELNEIGH */
	bool has_mac;
	__u8 mac[6];
};

/* Reads RTM_NEWNEIGH or RTM_DELNEIGH. 0; -EOPNOTSUPP: another message, family, or a bridge's own entry;
 * -EBADMSG: lengths that cannot be. */
int lb_neighbor_parse(const struct nlmsghdr *message, struct lb_neighbor *ret_neighbor);

/* Whether frames can be sent to the address that the entry holds. */
bool lb_neighbor_usable(const struct lb_neighbor *neighbor);

/* Whether the entry is the administrator's or needs no resolution: asking the kernel to manage it would take
 * that away. */
bool lb_neighbor_is_fixed(const struct lb_neighbor *neighbor);

enum lb_neighbor_request {
	LB_NEIGHBOR_MANAGE,  /* resolve, and keep resolved (Linux 5.16) */
	LB_NEIGHBOR_PROBE,   /* resolve now, as if there were a packet to send */
	LB_NEIGHBOR_RELEASE, /* no longer keep resolved */
};

/* Writes a request, to be acknowledged, into buffer. Bytes written, or 0 when size does not suffice. */
size_t lb_neighbor_request(enum lb_neighbor_request what, int ifindex, const struct lb_address *address,
			   __u32 sequence, void *buffer, size_t size);
