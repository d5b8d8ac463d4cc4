// SPDX-License-Identifier: GPL-2.0-only
/*
 * Questions to the kernel: dumps, the ways to many addresses in batches, and requests about neighbours.
 */
#include "lbd/kernel/netlink_internal.h"

#include <errno.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "engine/engine.h"
#include "lbd/clock.h"
#include "lbd/log.h"
#include "lbd/task.h"
#include "net/stations.h"

#define BATCH        64u /* requests in flight: their answers must fit the receive buffer, and a turn the work */
#define MANY         32u   /* answers taken at once */
#define ANSWER_BYTES 4096u /* the largest answer to one route query; larger ones are as good as none */

struct dump {
	struct netlink *netlink;
	__u32 sequence;
	bool done;
	int result; /* 0, -errno, or a mask */
};

static void visit_dump(void *context, const struct nlmsghdr *message)
{
	struct dump *dump = context;
	int r;

	if (message->nlmsg_seq != dump->sequence)
		return;
	if (message->nlmsg_type == NLMSG_DONE) {
		dump->done = true;
		return;
	}
	if (message->nlmsg_type == NLMSG_ERROR) {
		dump->done = true;
		dump->result = ((const struct nlmsgerr *)NLMSG_DATA(message))->error;
		return;
	}
	r = lb_nexthops_apply(dump->netlink->nexthops, message, now_ms());
	if (r > 0 && dump->result >= 0)
		dump->result |= r;
}

static int dump_all(struct netlink *netlink, int type, int family, struct lb_error *error)
{
	struct {
		struct nlmsghdr header;
		union {
			struct ifinfomsg link;
			struct ifaddrmsg address;
			struct ndmsg neighbor;
		};
	} request = {
		.header = {
			.nlmsg_type = type,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			.nlmsg_seq = ++netlink->sequence,
		},
	};
	struct dump dump = { .netlink = netlink, .sequence = netlink->sequence };
	int r;

	if (type == RTM_GETLINK) {
		request.header.nlmsg_len = NLMSG_LENGTH(sizeof(request.link));
		request.link.ifi_family = family;
	} else if (type == RTM_GETADDR) {
		request.header.nlmsg_len = NLMSG_LENGTH(sizeof(request.address));
		request.address.ifa_family = family;
	} else {
		request.header.nlmsg_len = NLMSG_LENGTH(sizeof(request.neighbor));
		request.neighbor.ndm_family = family;
	}
	r = nl_sendto(netlink->query, &request, request.header.nlmsg_len);
	if (r < 0)
		return lb_error_set(error, netlink_errno(r), "Failed to ask netlink: %s", nl_geterror(r));
	while (!dump.done) {
		r = netlink_receive(netlink->query, visit_dump, &dump);
		if (r <= 0 && r != -EINTR)
			return lb_error_set(error, r ? -r : ETIMEDOUT, "netlink does not answer: %s",
					    strerror(r ? -r : ETIMEDOUT));
		task_pause();
	}
	if (dump.result < 0)
		return lb_error_set(error, -dump.result, "netlink refuses: %s", strerror(-dump.result));
	return dump.result;
}

int netlink_resync(struct netlink *netlink, struct lb_error *error)
{
	int mask = 0, r;

	lb_nexthops_resync_begin(netlink->nexthops);
	r = dump_all(netlink, RTM_GETLINK, AF_UNSPEC, error);
	if (r < 0)
		return r;
	mask |= r;
	r = dump_all(netlink, RTM_GETADDR, AF_UNSPEC, error);
	if (r < 0)
		return r;
	mask |= r;
	r = dump_all(netlink, RTM_GETNEIGH, AF_INET, error);
	if (r < 0)
		return r;
	mask |= r;
	r = dump_all(netlink, RTM_GETNEIGH, AF_INET6, error);
	/* A kernel without IPv6 has no such neighbours. */
	if (r < 0 && r != -EAFNOSUPPORT && r != -EOPNOTSUPP)
		return r;
	mask |= r > 0 ? r : 0;
	mask |= lb_nexthops_resync_end(netlink->nexthops, now_ms());
	lb_nexthops_routes_stale(netlink->nexthops);
	return mask | LB_NEXTHOPS_ROUTE;
}

struct station_dump {
	struct netlink *netlink;
	struct lb_station *stations; /* n of them, room for capacity */
	size_t n, capacity;
	int ifindex, result;
	bool done;
};

static void visit_station(void *context, const struct nlmsghdr *message)
{
	struct station_dump *dump = context;
	struct lb_station station;

	if (message->nlmsg_seq != dump->netlink->sequence)
		return;
	dump->done |= message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR;
	if (message->nlmsg_type == NLMSG_ERROR)
		dump->result = ((const struct nlmsgerr *)NLMSG_DATA(message))->error;
	else if (lb_station_parse(message, &station) == 0 && station.ifindex == dump->ifindex &&
		 dump->n < dump->capacity)
		dump->stations[dump->n++] = station;
}

int netlink_stations(struct netlink *netlink, int ifindex, struct lb_station *ret, size_t capacity,
		     struct lb_error *error)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg link; /* what this dump has taken since before there was ndmsg's filter */
	} request = {
		.header = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = RTM_GETNEIGH,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			.nlmsg_seq = ++netlink->sequence,
		},
		.link = { .ifi_family = AF_BRIDGE, .ifi_index = ifindex },
	};
	struct station_dump dump = {
		.netlink = netlink, .stations = ret, .capacity = capacity, .ifindex = ifindex
	};
	int r = nl_sendto(netlink->query, &request, sizeof(request));

	if (r < 0)
		return lb_error_set(error, netlink_errno(r), "Failed to ask netlink: %s", nl_geterror(r));
	while (!dump.done) {
		r = netlink_receive(netlink->query, visit_station, &dump);
		if (r <= 0 && r != -EINTR)
			return lb_error_set(error, r ? -r : ETIMEDOUT, "netlink does not answer: %s",
					    strerror(r ? -r : ETIMEDOUT));
	}
	if (dump.result < 0)
		return lb_error_set(error, -dump.result, "netlink refuses: %s", strerror(-dump.result));
	return (int)dump.n;
}

/* Requests in flight, told apart by their sequence. */
struct batch {
	struct netlink *netlink;
	const struct lb_address *to;
	struct lb_route_group *group; /* n of them */
	__u32 first;                  /* sequence of to[0] */
	size_t n, left;
	int changed;
	int code; /* last errno of an acknowledgement */
};

static void visit_route(void *context, const struct nlmsghdr *message)
{
	struct batch *batch = context;
	size_t i = message->nlmsg_seq - batch->first;
	struct lb_route route;
	int code = EPROTO;

	if (i >= batch->n)
		return;
	batch->left--;
	if (message->nlmsg_type == NLMSG_ERROR)
		code = -((const struct nlmsgerr *)NLMSG_DATA(message))->error;
	else if (lb_route_parse(message, &route) == 0)
		code = 0;
	batch->changed += lb_nexthops_set_route(batch->netlink->nexthops, &batch->to[i], code ? NULL : &route,
						code, now_ms());
}

/* Up to MANY small datagrams in one system call; visit for every message from the kernel. As receive(). */
static int receive_many(struct nl_sock *socket, void (*visit)(void *context, const struct nlmsghdr *message),
			void *context)
{
	static char buffers[MANY][ANSWER_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	struct sockaddr_nl from[MANY];
	struct mmsghdr messages[MANY] = {};
	struct iovec vectors[MANY];
	int n;

	for (size_t i = 0; i < MANY; i++) {
		vectors[i] = (struct iovec){ .iov_base = buffers[i], .iov_len = sizeof(buffers[i]) };
		messages[i].msg_hdr = (struct msghdr){
			.msg_iov = &vectors[i],
			.msg_iovlen = 1,
			.msg_name = &from[i],
			.msg_namelen = sizeof(from[i]),
		};
	}
	n = recvmmsg(nl_socket_get_fd(socket), messages, MANY, MSG_WAITFORONE, NULL);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		const struct nlmsghdr *message = (const struct nlmsghdr *)buffers[i];
		int left = messages[i].msg_len;

		if (from[i].nl_pid != 0 || (messages[i].msg_hdr.msg_flags & MSG_TRUNC))
			continue;
		for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left))
			visit(context, message);
	}
	return n;
}

/* Sends what is in the buffer and waits for all answers. */
static int exchange(struct batch *batch, char *buffer, size_t length,
		    void (*visit)(void *context, const struct nlmsghdr *message))
{
	int r = nl_sendto(batch->netlink->query, buffer, length);

	if (r < 0)
		return -netlink_errno(r);
	while (batch->left) {
		r = receive_many(batch->netlink->query, visit, batch);
		if (r == -EINTR)
			continue;
		if (r <= 0)
			return r ? r : -ETIMEDOUT;
	}
	return 0;
}

static int query_batch(struct netlink *netlink, const struct lb_address *to, size_t n)
{
	static char buffer[BATCH * 64];
	struct batch batch = { .netlink = netlink, .to = to, .n = n, .left = n };
	size_t length = 0;
	int r;

	batch.first = netlink->sequence + 1;
	for (size_t i = 0; i < n; i++)
		length += lb_route_request(&to[i], ++netlink->sequence, buffer + length,
					   sizeof(buffer) - length);
	r = exchange(&batch, buffer, length, visit_route);
	return r < 0 ? r : batch.changed;
}

static void visit_group(void *context, const struct nlmsghdr *message)
{
	struct batch *batch = context;
	size_t i = message->nlmsg_seq - batch->first;

	if (i >= batch->n)
		return;
	batch->left--;
	lb_route_group_parse(message, &batch->group[i]);
}

/* Asks for the members of nexthop objects that a group names, and of groups of them: of one object after the
 * other, since few routes need it. */
static int query_objects(struct netlink *netlink, struct lb_route_group *group)
{
	for (__u32 i = 0; i < group->n_objects; i++) {
		struct batch batch = { .netlink = netlink, .group = group, .n = 1, .left = 1 };
		char buffer[64];
		size_t length;
		int r;

		batch.first = ++netlink->sequence;
		length = lb_nexthop_object_request(group->object[i], batch.first, buffer, sizeof(buffer));
		r = exchange(&batch, buffer, length, visit_group);
		if (r < 0)
			return r;
	}
	return 0;
}

/* As query_batch(), for the members of routes. */
static int query_groups(struct netlink *netlink, const struct lb_address *to, size_t n)
{
	static char buffer[BATCH * 64];
	static struct lb_route_group groups[BATCH];
	struct batch batch = { .netlink = netlink, .to = to, .group = groups, .n = n, .left = n };
	size_t length = 0;
	int r;

	memset(groups, 0, sizeof(groups));
	batch.first = netlink->sequence + 1;
	for (size_t i = 0; i < n; i++)
		length += lb_route_group_request(&to[i], ++netlink->sequence, buffer + length,
						 sizeof(buffer) - length);
	r = exchange(&batch, buffer, length, visit_group);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = query_objects(netlink, &groups[i]);
	for (size_t i = 0; r == 0 && i < n; i++)
		batch.changed += lb_nexthops_set_group(netlink->nexthops, &to[i], &groups[i], now_ms());
	return r < 0 ? r : batch.changed;
}

static int query_all(struct netlink *netlink, size_t count,
		     size_t (*list)(struct lb_nexthops *nexthops, struct lb_address *ret, size_t capacity),
		     int (*query)(struct netlink *netlink, const struct lb_address *to, size_t n),
		     struct lb_error *error)
{
	_cleanup_(freep) struct lb_address *to = NULL;
	int changed = 0, r;
	size_t n;

	if (!count)
		return 0;
	to = malloc(count * sizeof(*to));
	if (!to)
		return lb_error_set(error, ENOMEM, "out of memory");
	n = list(netlink->nexthops, to, count);
	for (size_t i = 0; i < n; i += BATCH) {
		r = query(netlink, to + i, n - i < BATCH ? n - i : BATCH);
		if (r < 0)
			return lb_error_set(error, -r, "Failed to ask for routes: %s", strerror(-r));
		changed += r;
		task_pause();
	}
	return changed;
}

int netlink_query_routes(struct netlink *netlink, struct lb_error *error)
{
	struct lb_nexthops_counts counts;
	int routes, groups;

	lb_nexthops_count(netlink->nexthops, &counts);
	routes = query_all(netlink, counts.stale, lb_nexthops_stale, query_batch, error);
	if (routes < 0)
		return routes;
	lb_nexthops_count(netlink->nexthops, &counts);
	groups = query_all(netlink, counts.seeking, lb_nexthops_seeking, query_groups, error);
	return groups < 0 ? groups : routes + groups;
}

static int want_service(struct netlink *netlink, const struct lb_config_service *service)
{
	for (size_t i = 0; i < service->n_backends; i++) {
		const struct lb_config_backend *backend = &service->backends[i];

		if (lb_nexthops_want(netlink->nexthops, &backend->address) < 0 ||
		    (backend->mtu &&
		     lb_nexthops_limit(netlink->nexthops, &backend->address, backend->mtu) < 0))
			return -ENOMEM;
	}
	return 0;
}

static int want_configured(struct netlink *netlink, const struct lb_config *config)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < config->n_services; i++) {
		r = want_service(netlink, &config->services[i]);
		task_pause();
	}
	return r;
}

struct wanting {
	struct lb_nexthops *nexthops;
	int r;
};

static void want_address(void *context, const struct lb_address *address)
{
	struct wanting *wanting = context;

	if (wanting->r == 0)
		wanting->r = lb_nexthops_want(wanting->nexthops, address);
}

static int want_running(struct netlink *netlink, const struct lb_engine *engine)
{
	struct wanting wanting = { .nexthops = netlink->nexthops };

	lb_engine_addresses(engine, want_address, &wanting);
	return wanting.r;
}

int netlink_want(struct netlink *netlink, const struct lb_config *config, struct lb_engine *engine,
		 struct lb_error *error)
{
	int r;

	lb_nexthops_want_begin(netlink->nexthops);
	if (want_configured(netlink, config) < 0 || want_running(netlink, engine) < 0)
		return lb_error_set(error, ENOMEM, "out of memory");
	lb_nexthops_want_end(netlink->nexthops);
	r = netlink_query_routes(netlink, error);
	return r < 0 ? r : 0;
}

int netlink_want_changed(struct netlink *netlink, const struct lb_config *config,
			 const struct lb_config *runs, struct lb_error *error)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < config->n_services; i++) {
		if (config->services[i].backends != runs->services[i].backends)
			r = want_service(netlink, &config->services[i]);
	}
	if (r < 0)
		return lb_error_set(error, ENOMEM, "out of memory");
	r = netlink_query_routes(netlink, error);
	return r < 0 ? r : 0;
}

/* --- neighbours ------------------------------------------------------------------------------------------
 */

struct keeping {
	struct netlink *netlink;
	enum lb_neighbor_request what;
	struct batch batch;
	char buffer[BATCH * 64];
	size_t length;
	int code;
};

static void visit_acknowledgement(void *context, const struct nlmsghdr *message)
{
	struct batch *batch = context;
	int code;

	if (message->nlmsg_type != NLMSG_ERROR || message->nlmsg_seq - batch->first >= batch->n)
		return;
	batch->left--;
	code = -((const struct nlmsgerr *)NLMSG_DATA(message))->error;
	if (code)
		batch->code = code;
}

static void keeping_flush(struct keeping *keeping)
{
	int r;

	if (!keeping->batch.n)
		return;
	keeping->batch.left = keeping->batch.n;
	r = exchange(&keeping->batch, keeping->buffer, keeping->length, visit_acknowledgement);
	if (r < 0)
		keeping->code = -r;
	else if (keeping->batch.code)
		keeping->code = keeping->batch.code;
	keeping->batch = (struct batch){ .netlink = keeping->netlink };
	keeping->length = 0;
}

static void visit_neighbor(void *context, int ifindex, const struct lb_address *address)
{
	struct keeping *keeping = context;
	enum lb_neighbor_request what = keeping->what;
	size_t n;

	if (what == LB_NEIGHBOR_MANAGE && keeping->netlink->no_managed)
		what = LB_NEIGHBOR_PROBE;
	n = lb_neighbor_request(what, ifindex, address, ++keeping->netlink->sequence,
				keeping->buffer + keeping->length, sizeof(keeping->buffer) - keeping->length);
	if (!keeping->batch.n)
		keeping->batch.first = keeping->netlink->sequence;
	keeping->batch.n++;
	keeping->length += n;
	if (keeping->batch.n == BATCH)
		keeping_flush(keeping);
}

static int keep(struct netlink *netlink, enum lb_neighbor_request what)
{
	struct keeping keeping = { .netlink = netlink, .what = what, .batch = { .netlink = netlink } };

	lb_nexthops_visit(netlink->nexthops, what, visit_neighbor, &keeping);
	keeping_flush(&keeping);
	return keeping.code;
}

void netlink_keep(struct netlink *netlink)
{
	int code = keep(netlink, LB_NEIGHBOR_MANAGE);
	bool full = code == ENOBUFS || code == EOVERFLOW;

	if (full && !netlink->table_full)
		log_warning("event=neighbor_table_full hint=\"raise net.ipv4.neigh.default.gc_thresh3 and "
			    "its IPv6 "
			    "twin above the number of backends on the link\"");
	else if (code && !full)
		log_debug("event=neighbor_request error=\"%s\"", strerror(code));
	netlink->table_full = full;
	keep(netlink, LB_NEIGHBOR_RELEASE);
}

void netlink_probe_neighbors(struct netlink *netlink)
{
	keep(netlink, LB_NEIGHBOR_PROBE);
}
