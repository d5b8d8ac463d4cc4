// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink sockets. Messages are made and read by user/lib (neighbor.c, route.c); here they only travel.
 */
#include "lbd/kernel/netlink_internal.h"

#include <errno.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "lbd/clock.h"
#include "lbd/log.h"

#define RECEIVE_BYTES   (8 << 20)
#define QUERY_TIMEOUT_S 5
#define DRAIN_MS        2     /* of events taken in one turn of the loop, about */
#define AGAIN_MIN       256u  /* routes asked for again in each netlink_look() */
#define AGAIN_ROUNDS    12u   /* and in so many of them all */
#define AGAIN_MAX       1024u /* or so many, for it is work for the kernel as well */

int netlink_errno(int r)
{
	switch (-r) {
	case NLE_PERM:
	case NLE_NOACCESS:
		return EPERM;
	case NLE_NOMEM:
		return ENOBUFS;
	case NLE_AGAIN:
		return EAGAIN;
	case NLE_INTR:
		return EINTR;
	default:
		return EIO;
	}
}

int netlink_socket(int protocol, struct nl_sock **ret_socket, struct lb_error *error)
{
	struct timeval timeout = { .tv_sec = QUERY_TIMEOUT_S };
	int bytes = RECEIVE_BYTES, fd, r;
	struct nl_sock *socket = nl_socket_alloc();

	if (!socket)
		return lb_error_set(error, ENOMEM, "out of memory");
	r = nl_connect(socket, protocol);
	if (r < 0) {
		nl_socket_free(socket);
		return lb_error_set(error, netlink_errno(r), "Failed to open a netlink socket: %s",
				    nl_geterror(r));
	}
	fd = nl_socket_get_fd(socket);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	*ret_socket = socket;
	return 0;
}

int netlink_receive(struct nl_sock *socket, void (*visit)(void *context, const struct nlmsghdr *message),
		    void *context)
{
	_cleanup_(freep) unsigned char *buffer = NULL;
	struct sockaddr_nl from = {};
	const struct nlmsghdr *message;
	int n = nl_recv(socket, &from, &buffer, NULL), left;

	if (n < 0)
		return -netlink_errno(n);
	if (n == 0 || from.nl_pid != 0)
		return n;
	left = n;
	for (message = (const struct nlmsghdr *)buffer; NLMSG_OK(message, left);
	     message = NLMSG_NEXT(message, left))
		visit(context, message);
	return n;
}

/* --- events ----------------------------------------------------------------------------------------------
 */

struct draining {
	struct netlink *netlink;
	int mask;
};

static void visit_event(void *context, const struct nlmsghdr *message)
{
	struct draining *draining = context;
	int r = lb_nexthops_apply(draining->netlink->nexthops, message, now_ms());

	if (r > 0)
		draining->mask |= r;
	else if (r < 0)
		log_debug("event=netlink_message type=%u error=\"%s\"", message->nlmsg_type, strerror(-r));
}

/* Events were lost: asks for everything. What fails is tried again by netlink_look(). */
static void recover(void *context)
{
	struct netlink *netlink = context;
	struct lb_error error = {};
	int r;

	if (!netlink->lost)
		return;
	netlink->lost = false; /* what is lost from now on is another matter */
	r = netlink_resync(netlink, &error);
	if (r < 0) {
		netlink->lost = true;
		log_error("event=netlink_resync error=\"%s\"", error.text);
	} else if (r) {
		netlink->changed(netlink->context, r);
	}
}

/* As much as a turn of the loop may take; the rest is waiting when it comes round again. */
static int on_events(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct netlink *netlink = context;
	struct draining draining = { .netlink = netlink };
	__u64 end_ms = now_ms() + DRAIN_MS;

	do {
		int r = netlink_receive(netlink->events, visit_event, &draining);

		if (r == -ENOBUFS) {
			netlink->lost = true;
			continue;
		}
		if (r > 0)
			continue;
		/* Not before all is read that was said before the loss: it is older than the answers. */
		if (netlink->lost)
			task_call(netlink->tasks, &netlink->recover, recover, netlink);
		break;
	} while (now_ms() < end_ms);
	if ((draining.mask & LB_NEXTHOPS_LINK) && netlink_features_read(netlink) > 0)
		draining.mask |= LB_NEXTHOPS_CHANGED | LB_NEXTHOPS_ROUTE;
	if (draining.mask)
		netlink->changed(netlink->context, draining.mask);
	return 0;
}

/* Asks for some routes again. How many changed, although nothing told of it. */
static int again(struct netlink *netlink)
{
	struct lb_nexthops_counts counts;
	struct lb_error error = {};
	size_t n;
	int r;

	lb_nexthops_count(netlink->nexthops, &counts);
	n = AGAIN_MIN + counts.destinations / AGAIN_ROUNDS;
	lb_nexthops_some_stale(netlink->nexthops, n < AGAIN_MAX ? n : AGAIN_MAX);
	r = netlink_query_routes(netlink, &error);
	if (r < 0)
		log_debug("event=netlink_again error=\"%s\"", error.text);
	return r;
}

static void look(void *context)
{
	struct netlink *netlink = context;

	recover(netlink);
	netlink_keep(netlink);
	if (netlink->no_managed)
		netlink_probe_neighbors(netlink);
	if (again(netlink) > 0)
		netlink->changed(netlink->context, LB_NEXTHOPS_CHANGED);
}

void netlink_look(struct netlink *netlink)
{
	task_call(netlink->tasks, &netlink->look, look, netlink);
}

static bool kernel_keeps_neighbors(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2)
		return true;
	return major > 5 || (major == 5 && minor >= 16);
}

int netlink_open(struct netlink *netlink, sd_event *event, struct tasks *tasks,
		 void (*changed)(void *context, int mask), void *context, struct lb_error *error)
{
	int r;

	*netlink = (struct netlink){
		.changed = changed,
		.context = context,
		.tasks = tasks,
		.no_managed = !kernel_keeps_neighbors(),
	};
	r = lb_nexthops_new(&netlink->nexthops);
	if (r < 0)
		return lb_error_set(error, -r, "out of memory");
	r = netlink_socket(NETLINK_ROUTE, &netlink->query, error);
	if (r == 0)
		r = netlink_socket(NETLINK_ROUTE, &netlink->events, error);
	if (r < 0)
		return r;
	r = nl_socket_add_memberships(netlink->events, RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_ROUTE,
				      RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
				      RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_NEXTHOP,
				      RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF, 0);
	if (r < 0)
		return lb_error_set(error, netlink_errno(r), "Failed to subscribe to netlink events: %s",
				    nl_geterror(r));
	nl_socket_set_nonblocking(netlink->events);
	r = sd_event_add_io(event, &netlink->io, nl_socket_get_fd(netlink->events), EPOLLIN, on_events,
			    netlink);
	if (r < 0)
		return lb_error_set(error, -r, "Failed to watch netlink: %s", strerror(-r));
	r = netlink_resync(netlink, error);
	if (r < 0)
		return r;
	netlink_features_open(netlink, event);
	return 0;
}

void netlink_close(struct netlink *netlink)
{
	netlink_features_close(netlink);
	sd_event_source_disable_unref(netlink->io);
	nl_socket_free(netlink->events);
	nl_socket_free(netlink->query);
	lb_nexthops_free(netlink->nexthops);
	memset(netlink, 0, sizeof(*netlink));
}
