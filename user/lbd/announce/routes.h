/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Announced VIPs as routes in tables of the kernel that nothing consults, for a BGP speaker to pick up:
 *
 *   table           every announced VIP; protocol 201 while serving, 202 while draining (BIRD: krt_source)
 *   draining_table  those that are draining, once more (FRR keeps no protocol number: a table of its own)
 *
 * A route is a host route through the loopback device; replacing one changes its protocol in one message.
 * What is in the tables with other protocols is not ours and is left alone.
 */
#pragma once

#include <linux/types.h>
#include <systemd/sd-event.h>

#include "announce/announce.h"
#include "base/address.h"
#include "base/error.h"

#define ROUTES_PROTOCOL_SERVING  201
#define ROUTES_PROTOCOL_DRAINING 202

struct routes {
	struct nl_sock *requests, *news;
	sd_event_source *source;
	__u32 table, draining_table;
	void (*changed)(void *context); /* others removed or replaced what may be ours */
	void *context;
};

/* routes must be zeroed and stay where it is. 0 or -errno. */
int routes_open(struct routes *routes, sd_event *event, void (*changed)(void *context), void *context,
		struct lb_error *error);
void routes_close(struct routes *routes);

/*
 * Calls visit for every route of ours with the state that it tells; partial: half of what the state needs is
 * there. 0 or -errno.
 */
int routes_list(struct routes *routes,
		void (*visit)(void *context, const struct lb_prefix *vip, enum lb_announce_state state,
			      bool partial),
		void *context);

/* Has the tables say so. In an order in which the VIP is announced throughout. 0 or -errno. */
int routes_set(struct routes *routes, const struct lb_prefix *vip, enum lb_announce_state state);
