// SPDX-License-Identifier: GPL-2.0-only
/*
 * Netlink sockets. Messages are made and read by user/lib (neighbor.c, route.c); here they only travel.
 */
#include "lbd/kernel/netlink.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "engine/engine.h"
#include "lbd/clock.h"
#include "lbd/log.h"

#define BATCH           256u /* requests in flight: their answers must fit the receive buffer */
#define RECEIVE_BYTES   (8 << 20)
#define QUERY_TIMEOUT_S 5
#define MANY            32u   /* answers taken at once */
#define ANSWER_BYTES    4096u /* the largest answer to one route query; larger ones are as good as none */
#define DRAIN_MAX       64    /* datagrams of events taken in one turn of the loop */

/* libnl has errors of its own. */
static int nl_errno(int r)
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

static int open_socket(struct nl_sock **ret_socket, struct lb_error *error)
{
	struct timeval timeout = { .tv_sec = QUERY_TIMEOUT_S };
	int bytes = RECEIVE_BYTES, fd, r;
	struct nl_sock *socket = nl_socket_alloc();

	if (!socket)
		return lb_error_set(error, ENOMEM, "out of memory");
	r = nl_connect(socket, NETLINK_ROUTE);
	if (r < 0) {
		nl_socket_free(socket);
		return lb_error_set(error, nl_errno(r), "Failed to open a netlink socket: %s",
				    nl_geterror(r));
	}
	fd = nl_socket_get_fd(socket);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	*ret_socket = socket;
	return 0;
}

/* One datagram; visit for every message from the kernel. Bytes, 0 when none is waiting, or -errno. */
static int receive(struct nl_sock *socket, void (*visit)(void *context, const struct nlmsghdr *message),
		   void *context)
{
	_cleanup_(freep) unsigned char *buffer = NULL;
	struct sockaddr_nl from = {};
	const struct nlmsghdr *message;
	int n = nl_recv(socket, &from, &buffer, NULL), left;

	if (n < 0)
		return -nl_errno(n);
	if (n == 0 || from.nl_pid != 0)
		return n;
	left = n;
	for (message = (const struct nlmsghdr *)buffer; NLMSG_OK(message, left);
	     message = NLMSG_NEXT(message, left))
		visit(context, message);
	return n;
}

/* --- questions -------------------------------------------------------------------------------------------
 */

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
	} else {
		request.header.nlmsg_len = NLMSG_LENGTH(sizeof(request.neighbor));
		request.neighbor.ndm_family = family;
	}
	r = nl_sendto(netlink->query, &request, request.header.nlmsg_len);
	if (r < 0)
		return lb_error_set(error, nl_errno(r), "Failed to ask netlink: %s", nl_geterror(r));
	while (!dump.done) {
		r = receive(netlink->query, visit_dump, &dump);
		if (r <= 0 && r != -EINTR)
			return lb_error_set(error, r ? -r : ETIMEDOUT, "netlink does not answer: %s",
					    strerror(r ? -r : ETIMEDOUT));
	}
	if (dump.result < 0)
		return lb_error_set(error, -dump.result, "netlink refuses: %s", strerror(-dump.result));
	return dump.result;
}

static int resync(struct netlink *netlink, struct lb_error *error)
{
	int mask = 0, r;

	lb_nexthops_resync_begin(netlink->nexthops);
	r = dump_all(netlink, RTM_GETLINK, AF_UNSPEC, error);
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

/* Requests in flight, told apart by their sequence. */
struct batch {
	struct netlink *netlink;
	const struct lb_address *to;
	__u32 first; /* sequence of to[0] */
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
	batch->changed +=
		lb_nexthops_set_route(batch->netlink->nexthops, &batch->to[i], code ? NULL : &route, code);
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
		return -nl_errno(r);
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

int netlink_query_routes(struct netlink *netlink, struct lb_error *error)
{
	_cleanup_(freep) struct lb_address *stale = NULL;
	struct lb_nexthops_counts counts;
	int changed = 0, r;
	size_t n;

	lb_nexthops_count(netlink->nexthops, &counts);
	if (!counts.stale)
		return 0;
	stale = malloc(counts.stale * sizeof(*stale));
	if (!stale)
		return lb_error_set(error, ENOMEM, "out of memory");
	n = lb_nexthops_stale(netlink->nexthops, stale, counts.stale);
	for (size_t i = 0; i < n; i += BATCH) {
		r = query_batch(netlink, stale + i, n - i < BATCH ? n - i : BATCH);
		if (r < 0)
			return lb_error_set(error, -r, "Failed to ask for routes: %s", strerror(-r));
		changed += r;
	}
	return changed;
}

static int want_configured(struct netlink *netlink, const struct lb_config *config)
{
	for (size_t i = 0; i < config->n_services; i++) {
		const struct lb_config_service *service = &config->services[i];

		for (size_t j = 0; j < service->n_backends; j++)
			if (lb_nexthops_want(netlink->nexthops, &service->backends[j].address) < 0)
				return -ENOMEM;
	}
	return 0;
}

static int want_running(struct netlink *netlink, struct lb_engine *engine)
{
	size_t n = lb_engine_services(engine);

	for (size_t i = 0; i < n; i++) {
		struct lb_service_view view;

		if (lb_engine_service(engine, i, &view) < 0)
			return -ENOMEM;
		for (size_t j = 0; j < view.n_backends; j++)
			if (lb_nexthops_want(netlink->nexthops, &view.backends[j].address) < 0)
				return -ENOMEM;
	}
	return 0;
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

/* The interface of a list that has the address; NULL: none, loopback apart. */
static const struct ifaddrs *find_address(const struct ifaddrs *list, const struct lb_address *address)
{
	for (; list; list = list->ifa_next) {
		const void *bytes;

		if (!list->ifa_addr || list->ifa_addr->sa_family != lb_address_af(address) ||
		    (list->ifa_flags & IFF_LOOPBACK))
			continue;
		bytes = address->family == LB_FAMILY_V6
				? (const void *)&((const struct sockaddr_in6 *)list->ifa_addr)->sin6_addr
				: (const void *)&((const struct sockaddr_in *)list->ifa_addr)->sin_addr;
		if (memcmp(bytes, address->bytes, lb_address_bytes(address)) == 0)
			return list;
	}
	return NULL;
}

int netlink_check_vips(const struct lb_config *config, struct lb_error *error)
{
	struct ifaddrs *list;
	int r = 0;

	if (getifaddrs(&list) < 0)
		return lb_error_set(error, errno, "Failed to list the host's addresses: %m");
	for (size_t i = 0; r == 0 && i < config->n_services; i++) {
		const struct lb_prefix *vip = &config->services[i].vip;
		const struct ifaddrs *taken = NULL;
		char path[64], value[LB_PREFIX_TEXT_MAX], quoted[LB_PREFIX_TEXT_MAX + 2];

		if (vip->length == lb_address_bytes(&vip->address) * 8)
			taken = find_address(list, &vip->address);
		if (!taken)
			continue;
		snprintf(path, sizeof(path), "services[%zu].vip", i);
		snprintf(quoted, sizeof(quoted), "\"%s\"", lb_prefix_text(vip, value));
		r = lb_error_at(
			error, EADDRINUSE, path, quoted,
			"%s is this host's own address, on %s: the VIP must be an address that routers send "
			"here and that no interface but loopback has",
			value, taken->ifa_name);
	}
	freeifaddrs(list);
	return r;
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

/* Events were lost: asks for everything. A mask; what fails is tried again by netlink_probe(). */
static int recover(struct netlink *netlink)
{
	struct lb_error error = {};
	int r = resync(netlink, &error);

	if (r < 0)
		log_error("event=netlink_resync error=\"%s\"", error.text);
	netlink->lost = r < 0;
	return r < 0 ? 0 : r;
}

static int on_events(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct netlink *netlink = context;
	struct draining draining = { .netlink = netlink };

	for (int i = 0; i < DRAIN_MAX; i++) {
		int r = receive(netlink->events, visit_event, &draining);

		if (r == -ENOBUFS) {
			netlink->lost = true;
			continue;
		}
		if (r > 0)
			continue;
		/* Not before all is read that was said before the loss: it is older than the answers. */
		if (netlink->lost)
			draining.mask |= recover(netlink);
		break;
	}
	if (draining.mask)
		netlink->changed(netlink->context, draining.mask);
	return 0;
}

void netlink_probe(struct netlink *netlink)
{
	if (netlink->lost)
		on_events(NULL, -1, 0, netlink);
	if (netlink->no_managed)
		keep(netlink, LB_NEIGHBOR_PROBE);
}

void netlink_settle(struct netlink *netlink, __u64 at_most_ms)
{
	struct pollfd poll_fd = { .fd = nl_socket_get_fd(netlink->events), .events = POLLIN };
	__u64 end = now_ms() + at_most_ms, now;

	while ((now = now_ms()) < end && lb_nexthops_fresh(netlink->nexthops, false) > 0)
		if (poll(&poll_fd, 1, end - now) > 0)
			on_events(NULL, poll_fd.fd, POLLIN, netlink);
	lb_nexthops_fresh(netlink->nexthops, true);
}

static bool kernel_keeps_neighbors(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2)
		return true;
	return major > 5 || (major == 5 && minor >= 16);
}

int netlink_open(struct netlink *netlink, sd_event *event, void (*changed)(void *context, int mask),
		 void *context, struct lb_error *error)
{
	int r;

	*netlink = (struct netlink){
		.changed = changed,
		.context = context,
		.no_managed = !kernel_keeps_neighbors(),
	};
	r = lb_nexthops_new(&netlink->nexthops);
	if (r < 0)
		return lb_error_set(error, -r, "out of memory");
	r = open_socket(&netlink->query, error);
	if (r == 0)
		r = open_socket(&netlink->events, error);
	if (r < 0)
		return r;
	r = nl_socket_add_memberships(netlink->events, RTNLGRP_LINK, RTNLGRP_NEIGH, RTNLGRP_IPV4_ROUTE,
				      RTNLGRP_IPV6_ROUTE, 0);
	if (r < 0)
		return lb_error_set(error, nl_errno(r), "Failed to subscribe to netlink events: %s",
				    nl_geterror(r));
	nl_socket_set_nonblocking(netlink->events);
	r = sd_event_add_io(event, &netlink->io, nl_socket_get_fd(netlink->events), EPOLLIN, on_events,
			    netlink);
	if (r < 0)
		return lb_error_set(error, -r, "Failed to watch netlink: %s", strerror(-r));
	r = resync(netlink, error);
	return r < 0 ? r : 0;
}

void netlink_close(struct netlink *netlink)
{
	sd_event_source_disable_unref(netlink->io);
	nl_socket_free(netlink->events);
	nl_socket_free(netlink->query);
	lb_nexthops_free(netlink->nexthops);
	memset(netlink, 0, sizeof(*netlink));
}
