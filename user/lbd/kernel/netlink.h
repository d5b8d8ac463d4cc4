/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's routes, neighbours and links, through libnl: one socket for events, in the event loop, and one
 * for questions, asked in batches. What they say lives in struct lb_nexthops.
 */
#pragma once

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "base/error.h"
#include "lbd/task.h"
#include "net/nexthops.h"

struct nl_sock;

struct netlink {
	struct nl_sock *events, *query;
	sd_event_source *io;
	struct nl_sock *features, *features_events; /* what drivers can do; NULL: the kernel does not say */
	sd_event_source *features_io;
	__u16 features_family;
	struct lb_nexthops *nexthops;
	bool no_managed; /* the kernel cannot keep neighbours resolved by itself (before Linux 5.16) */
	bool lost;       /* events were, and what is known is not yet made good */
	bool table_full; /* the neighbour table has no room for all that we need */
	__u32 sequence;
	void (*changed)(void *context, int mask); /* LB_NEXTHOPS_* */
	void *context;
	struct tasks *tasks;
	struct task recover, look; /* questions wait for answers: they are asked in tasks */
};

/* Subscribes, then reads links and neighbours. changed is called from the event loop. */
int netlink_open(struct netlink *netlink, sd_event *event, struct tasks *tasks,
		 void (*changed)(void *context, int mask), void *context, struct lb_error *error);
void netlink_close(struct netlink *netlink);

struct lb_engine;

/*
 * Makes the backends of the configuration, and those that the engine has (leaving ones with their old flows
 * among them), the destinations that matter, and asks for the routes that are not known. 0 or -errno.
 */
int netlink_want(struct netlink *netlink, const struct lb_config *config, struct lb_engine *engine,
		 struct lb_error *error);

/* The same for services of a share of what runs (lb_config_share) that have changed: what nobody needs any
 * more stays until all is gone through again. */
int netlink_want_changed(struct netlink *netlink, const struct lb_config *config,
			 const struct lb_config *runs, struct lb_error *error);

struct lb_station;

/* The further unicast addresses that an interface listens to, as its driver was told: at most capacity. How
 * many, or -errno. */
int netlink_stations(struct netlink *netlink, int ifindex, struct lb_station *ret, size_t capacity,
		     struct lb_error *error);

/* Asks for all routes that are stale. Number that changed, or -errno. */
int netlink_query_routes(struct netlink *netlink, struct lb_error *error);

/* Asks the kernel to resolve and keep the neighbours in use, and to let go of the others. */
void netlink_keep(struct netlink *netlink);

/* Every few seconds: a task makes good what could not be at once after events were lost, keeps neighbours as
 * netlink_keep() does, and asks for some routes again; where the kernel cannot keep neighbours, it has those
 * probed that were not heard of lately. */
void netlink_look(struct netlink *netlink);
