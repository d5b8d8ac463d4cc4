/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's own addresses, as rtnetlink tells them.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

struct nlmsghdr;

struct lb_host_address {
	int ifindex;
	struct lb_address address;
	__u8 pad[3];
	__u32 seen; /* number of the full dump */
};

struct lb_host_addresses {
	struct lb_host_address *at; /* n of them, room for capacity */
	size_t n, capacity;
	__u32 seen;
};

void lb_host_addresses_done(struct lb_host_addresses *table);

/* Takes in RTM_NEWADDR or RTM_DELADDR. 1: an address came or went; 0: nothing new, or some other message;
 * -EBADMSG, -ENOMEM. */
int lb_host_addresses_apply(struct lb_host_addresses *table, const struct nlmsghdr *message);

/* Forgets what no message has named since seen was raised. True: there was something. */
bool lb_host_addresses_unseen(struct lb_host_addresses *table);

/* Forgets those of a link. */
void lb_host_addresses_leave(struct lb_host_addresses *table, int ifindex);

/* Whether a link has an IPv6 address of its own link, which neighbour discovery is done from. */
bool lb_host_addresses_link_local(const struct lb_host_addresses *table, int ifindex);
