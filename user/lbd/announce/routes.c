// SPDX-License-Identifier: GPL-2.0-only
/*
 * Routes of announced VIPs, by netlink. The kernel answers each request at once; nothing here waits for
 * anybody else.
 */
#include "lbd/announce/routes.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/cache.h>
#include <netlink/netlink.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lb/types.h"

#define NEWS_MAX 64 /* datagrams taken in one turn of the loop */
#define LOOPBACK 1  /* its index in every namespace */

/* libnl has errors of its own. */
static int result(int r)
{
	if (r >= 0)
		return r;
	switch (-r) {
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_OBJ_NOTFOUND:
	case NLE_NOADDR:
		return -ESRCH;
	default:
		return -EIO;
	}
}

static struct nl_addr *address_new(const struct lb_prefix *vip)
{
	bool v4 = vip->address.family == LB_FAMILY_V4;
	struct nl_addr *address = nl_addr_build(v4 ? AF_INET : AF_INET6, vip->address.bytes, v4 ? 4 : 16);

	if (address)
		nl_addr_set_prefixlen(address, vip->length);
	return address;
}

static struct rtnl_route *route_new(const struct lb_prefix *vip, __u32 table, __u8 protocol)
{
	struct rtnl_route *route = rtnl_route_alloc();
	struct rtnl_nexthop *nexthop = rtnl_route_nh_alloc();
	struct nl_addr *address = address_new(vip);

	if (!route || !nexthop || !address || rtnl_route_set_dst(route, address) < 0) {
		rtnl_route_put(route);
		if (nexthop)
			rtnl_route_nh_free(nexthop);
		nl_addr_put(address);
		return NULL;
	}
	nl_addr_put(address);
	rtnl_route_nh_set_ifindex(nexthop, LOOPBACK);
	rtnl_route_add_nexthop(route, nexthop);
	rtnl_route_set_family(route, vip->address.family == LB_FAMILY_V4 ? AF_INET : AF_INET6);
	rtnl_route_set_table(route, table);
	rtnl_route_set_protocol(route, protocol);
	rtnl_route_set_scope(route, RT_SCOPE_LINK);
	return route;
}

static int put(struct routes *routes, const struct lb_prefix *vip, __u32 table, __u8 protocol)
{
	struct rtnl_route *route = route_new(vip, table, protocol);
	int r;

	if (!route)
		return -ENOMEM;
	r = rtnl_route_add(routes->requests, route, NLM_F_CREATE | NLM_F_REPLACE);
	rtnl_route_put(route);
	return result(r);
}

/* Removes a route of ours; that there is none is as good. */
static int take(struct routes *routes, const struct lb_prefix *vip, __u32 table, __u8 protocol)
{
	struct rtnl_route *route = route_new(vip, table, protocol);
	int r;

	if (!route)
		return -ENOMEM;
	r = result(rtnl_route_delete(routes->requests, route, 0));
	rtnl_route_put(route);
	return r == -ESRCH ? 0 : r;
}

int routes_set(struct routes *routes, const struct lb_prefix *vip, enum lb_announce_state state)
{
	int r;

	switch (state) {
	case LB_ANNOUNCE_SERVING:
		r = put(routes, vip, routes->table, ROUTES_PROTOCOL_SERVING);
		return r < 0 ? r : take(routes, vip, routes->draining_table, ROUTES_PROTOCOL_DRAINING);
	case LB_ANNOUNCE_DRAINING:
		r = put(routes, vip, routes->draining_table, ROUTES_PROTOCOL_DRAINING);
		return r < 0 ? r : put(routes, vip, routes->table, ROUTES_PROTOCOL_DRAINING);
	case LB_ANNOUNCE_WITHDRAWN:
		break;
	}
	r = take(routes, vip, routes->table, ROUTES_PROTOCOL_SERVING);
	if (r == 0)
		r = take(routes, vip, routes->table, ROUTES_PROTOCOL_DRAINING);
	return r < 0 ? r : take(routes, vip, routes->draining_table, ROUTES_PROTOCOL_DRAINING);
}

/* --- what is there ---------------------------------------------------------------------------------------
 */

static bool prefix_of(struct rtnl_route *route, struct lb_prefix *ret_vip)
{
	struct nl_addr *address = rtnl_route_get_dst(route);
	int family = rtnl_route_get_family(route);

	if (!address || (family != AF_INET && family != AF_INET6) || nl_addr_get_len(address) == 0)
		return false;
	memset(ret_vip, 0, sizeof(*ret_vip));
	ret_vip->address.family = family == AF_INET ? LB_FAMILY_V4 : LB_FAMILY_V6;
	memcpy(ret_vip->address.bytes, nl_addr_get_binary_addr(address), nl_addr_get_len(address));
	ret_vip->length = nl_addr_get_prefixlen(address);
	return true;
}

struct listing {
	const struct routes *routes;
	struct nl_cache *cache;
	void (*visit)(void *context, const struct lb_prefix *vip, enum lb_announce_state state, bool partial);
	void *context;
};

static bool is_in(struct nl_cache *cache, struct rtnl_route *route, __u32 table)
{
	struct nl_addr *address = rtnl_route_get_dst(route);

	for (struct nl_object *object = nl_cache_get_first(cache); object;
	     object = nl_cache_get_next(object)) {
		struct rtnl_route *other = (struct rtnl_route *)object;

		if (rtnl_route_get_table(other) == table &&
		    rtnl_route_get_protocol(other) == ROUTES_PROTOCOL_DRAINING &&
		    nl_addr_cmp(rtnl_route_get_dst(other), address) == 0)
			return true;
	}
	return false;
}

static void visit_route(struct nl_object *object, void *context)
{
	struct rtnl_route *route = (struct rtnl_route *)object;
	const struct listing *listing = context;
	__u32 table = rtnl_route_get_table(route);
	__u8 protocol = rtnl_route_get_protocol(route);
	struct lb_prefix vip;

	if (!prefix_of(route, &vip))
		return;
	if (table == listing->routes->table && protocol == ROUTES_PROTOCOL_SERVING)
		listing->visit(listing->context, &vip, LB_ANNOUNCE_SERVING, false);
	else if (table == listing->routes->table && protocol == ROUTES_PROTOCOL_DRAINING)
		listing->visit(listing->context, &vip, LB_ANNOUNCE_DRAINING,
			       !is_in(listing->cache, route, listing->routes->draining_table));
	else if (table == listing->routes->draining_table && protocol == ROUTES_PROTOCOL_DRAINING &&
		 !is_in(listing->cache, route, listing->routes->table))
		listing->visit(listing->context, &vip, LB_ANNOUNCE_DRAINING, true);
}

/* Only what is in the two tables: a full table of the Internet's routes may lie beside. */
static int dump_table(struct routes *routes, struct nl_cache *cache, __u32 table)
{
	static const unsigned char families[] = { AF_INET, AF_INET6 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < sizeof(families); i++) {
		struct rtmsg message = { .rtm_family = families[i],
					 .rtm_table = table < 256 ? table : RT_TABLE_COMPAT };
		struct nl_msg *request = nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_DUMP);

		if (!request || nlmsg_append(request, &message, sizeof(message), NLMSG_ALIGNTO) < 0 ||
		    nla_put_u32(request, RTA_TABLE, table) < 0) {
			nlmsg_free(request);
			return -ENOMEM;
		}
		r = result(nl_send_auto(routes->requests, request));
		nlmsg_free(request);
		if (r >= 0)
			r = result(nl_cache_pickup(routes->requests, cache));
		/* A table that was never used is none. */
		if (r == -ESRCH)
			r = 0;
	}
	return r;
}

int routes_list(struct routes *routes,
		void (*visit)(void *context, const struct lb_prefix *vip, enum lb_announce_state state,
			      bool partial),
		void *context)
{
	struct listing listing = { .routes = routes, .visit = visit, .context = context };
	int r = result(nl_cache_alloc_name("route/route", &listing.cache));

	if (r < 0)
		return r;
	r = dump_table(routes, listing.cache, routes->table);
	if (r == 0)
		r = dump_table(routes, listing.cache, routes->draining_table);
	if (r == 0)
		nl_cache_foreach(listing.cache, visit_route, &listing);
	nl_cache_free(listing.cache);
	return r;
}

/* --- news ------------------------------------------------------------------------------------------------
 */

struct news {
	const struct routes *routes;
	bool ours;
};

static void visit_news(struct nl_object *object, void *context)
{
	struct rtnl_route *route = (struct rtnl_route *)object;
	struct news *news = context;
	__u32 table = rtnl_route_get_table(route);

	news->ours |= table == news->routes->table || table == news->routes->draining_table;
}

static int on_message(struct nl_msg *message, void *context)
{
	nl_msg_parse(message, visit_news, context);
	return NL_OK;
}

static int on_news(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct routes *routes = context;
	struct news news = { .routes = routes };
	int r, turns = 0;

	nl_socket_modify_cb(routes->news, NL_CB_VALID, NL_CB_CUSTOM, on_message, &news);
	do
		r = nl_recvmsgs_default(routes->news);
	while (r >= 0 && ++turns < NEWS_MAX);
	/* What was lost may have been about ours. */
	if (news.ours || (r < 0 && r != -NLE_AGAIN))
		routes->changed(routes->context);
	return 0;
}

static int open_news(struct routes *routes, sd_event *event)
{
	int r;

	routes->news = nl_socket_alloc();
	if (!routes->news)
		return -ENOMEM;
	nl_socket_disable_seq_check(routes->news);
	r = nl_connect(routes->news, NETLINK_ROUTE);
	if (r == 0)
		r = nl_socket_add_memberships(routes->news, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, 0);
	if (r == 0)
		r = nl_socket_set_nonblocking(routes->news);
	if (r < 0)
		return result(r);
	return sd_event_add_io(event, &routes->source, nl_socket_get_fd(routes->news), EPOLLIN, on_news,
			       routes);
}

int routes_open(struct routes *routes, sd_event *event, void (*changed)(void *context), void *context,
		struct lb_error *error)
{
	int one = 1, r;

	routes->changed = changed;
	routes->context = context;
	routes->requests = nl_socket_alloc();
	r = routes->requests ? result(nl_connect(routes->requests, NETLINK_ROUTE)) : -ENOMEM;
	/* Dumps of a table are of that table alone; without it they are filtered here. */
	if (r == 0)
		(void)setsockopt(nl_socket_get_fd(routes->requests), SOL_NETLINK, NETLINK_GET_STRICT_CHK,
				 &one, sizeof(one));
	if (r == 0)
		r = open_news(routes, event);
	if (r < 0) {
		routes_close(routes);
		return lb_error_set(error, -r, "Failed to open netlink for announced routes: %s",
				    strerror(-r));
	}
	return 0;
}

void routes_close(struct routes *routes)
{
	routes->source = sd_event_source_disable_unref(routes->source);
	nl_socket_free(routes->news);
	nl_socket_free(routes->requests);
	routes->news = routes->requests = NULL;
}
