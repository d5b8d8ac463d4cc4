// SPDX-License-Identifier: GPL-2.0-only
/*
 * What drivers can do with XDP, by the kernel's generic netlink family "netdev" (from Linux 6.3 on): above
 * all, whether a device takes frames that are redirected to it, which for many drivers comes and goes with an
 * XDP program on the device (veth: on its peer).
 */
#include "lbd/kernel/netlink_internal.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "lbd/log.h"

/* linux/netdev.h, which the oldest headers do not have. */
#define FAMILY            "netdev"
#define GROUP             "mgmt"
#define CMD_DEV_GET       1
#define A_DEV_IFINDEX     1
#define A_DEV_FEATURES    3
#define SEQUENCE_FAMILY   1
#define SEQUENCE_FEATURES 2

struct family {
	__u16 id;
	__u32 group;
	bool done;
};

static const struct rtattr *attributes(const struct nlmsghdr *message, size_t *ret_length)
{
	size_t skip = NLMSG_LENGTH(GENL_HDRLEN);

	*ret_length = message->nlmsg_len > skip ? message->nlmsg_len - skip : 0;
	return (const struct rtattr *)((const char *)message + skip);
}

static void read_group(const struct rtattr *group, struct family *family)
{
	const struct rtattr *attribute = NULL;
	const char *name = NULL;
	__u32 id = 0;

	while (lb_attribute_next(RTA_DATA(group), RTA_PAYLOAD(group), &attribute) > 0) {
		int type = attribute->rta_type & NLA_TYPE_MASK;

		if (type == CTRL_ATTR_MCAST_GRP_NAME && RTA_PAYLOAD(attribute) == sizeof(GROUP))
			name = RTA_DATA(attribute);
		else if (type == CTRL_ATTR_MCAST_GRP_ID)
			lb_attribute_u32(attribute, &id);
	}
	if (name && memcmp(name, GROUP, sizeof(GROUP)) == 0)
		family->group = id;
}

static void visit_family(void *context, const struct nlmsghdr *message)
{
	const struct rtattr *attribute = NULL, *first, *group = NULL;
	struct family *family = context;
	size_t length;

	family->done = true;
	if (message->nlmsg_type == NLMSG_ERROR)
		return;
	first = attributes(message, &length);
	while (lb_attribute_next(first, length, &attribute) > 0) {
		switch (attribute->rta_type & NLA_TYPE_MASK) {
		case CTRL_ATTR_FAMILY_ID:
			if (RTA_PAYLOAD(attribute) == sizeof(family->id))
				memcpy(&family->id, RTA_DATA(attribute), sizeof(family->id));
			break;
		case CTRL_ATTR_MCAST_GROUPS:
			while (lb_attribute_next(RTA_DATA(attribute), RTA_PAYLOAD(attribute), &group) > 0)
				read_group(group, family);
			break;
		}
	}
}

static int ask_family(struct nl_sock *socket, struct family *family)
{
	struct {
		struct nlmsghdr header;
		struct genlmsghdr generic;
		struct rtattr attribute;
		char name[sizeof(FAMILY) + 1];
	} request = {
		.header = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = GENL_ID_CTRL,
			.nlmsg_flags = NLM_F_REQUEST,
			.nlmsg_seq = SEQUENCE_FAMILY,
		},
		.generic = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 },
		.attribute = { .rta_type = CTRL_ATTR_FAMILY_NAME, .rta_len = RTA_LENGTH(sizeof(FAMILY)) },
		.name = FAMILY,
	};

	if (nl_sendto(socket, &request, sizeof(request)) < 0)
		return -EIO;
	while (!family->done) {
		int r = netlink_receive(socket, visit_family, family);

		if (r <= 0 && r != -EINTR)
			return r ? r : -ETIMEDOUT;
	}
	return family->id && family->group ? 0 : -EOPNOTSUPP;
}

struct reading {
	struct netlink *netlink;
	bool news, done;
};

static void visit_features(void *context, const struct nlmsghdr *message)
{
	const struct rtattr *attribute = NULL, *first;
	struct reading *reading = context;
	__u64 features = 0;
	__u32 ifindex = 0;
	size_t length;

	if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR) {
		reading->done = true;
		return;
	}
	first = attributes(message, &length);
	while (lb_attribute_next(first, length, &attribute) > 0) {
		int type = attribute->rta_type & NLA_TYPE_MASK;

		if (type == A_DEV_IFINDEX)
			lb_attribute_u32(attribute, &ifindex);
		else if (type == A_DEV_FEATURES && RTA_PAYLOAD(attribute) == sizeof(features))
			memcpy(&features, RTA_DATA(attribute), sizeof(features));
	}
	if (ifindex)
		reading->news |= lb_nexthops_set_features(reading->netlink->nexthops, ifindex, features);
}

static int dump_features(struct netlink *netlink, __u16 family)
{
	struct {
		struct nlmsghdr header;
		struct genlmsghdr generic;
	} request = {
		.header = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = family,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			.nlmsg_seq = SEQUENCE_FEATURES,
		},
		.generic = { .cmd = CMD_DEV_GET, .version = 1 },
	};
	struct reading reading = { .netlink = netlink };

	if (nl_sendto(netlink->features, &request, sizeof(request)) < 0)
		return -EIO;
	while (!reading.done) {
		int r = netlink_receive(netlink->features, visit_features, &reading);

		if (r <= 0 && r != -EINTR)
			return r ? r : -ETIMEDOUT;
	}
	return reading.news;
}

/* Something changed, or so much that some of it is lost: both mean to ask again for all. */
static int on_features(sd_event_source *source, int fd, uint32_t revents, void *context)
{
	struct netlink *netlink = context;
	char buffer[256];

	while (recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT | MSG_TRUNC) >= 0 || errno == ENOBUFS)
		continue;
	if (netlink_features_read(netlink) > 0)
		netlink->changed(netlink->context, LB_NEXTHOPS_CHANGED | LB_NEXTHOPS_ROUTE);
	return 0;
}

int netlink_features_read(struct netlink *netlink)
{
	return netlink->features ? dump_features(netlink, netlink->features_family) : 0;
}

static int open_events(struct netlink *netlink, sd_event *event, __u32 group)
{
	struct lb_error error;
	int r = netlink_socket(NETLINK_GENERIC, &netlink->features_events, &error);

	if (r < 0)
		return r;
	r = nl_socket_add_membership(netlink->features_events, (int)group);
	if (r < 0)
		return -netlink_errno(r);
	return sd_event_add_io(event, &netlink->features_io, nl_socket_get_fd(netlink->features_events),
			       EPOLLIN, on_features, netlink);
}

void netlink_features_open(struct netlink *netlink, sd_event *event)
{
	struct family family = {};
	struct lb_error error;
	int r = netlink_socket(NETLINK_GENERIC, &netlink->features, &error);

	if (r == 0)
		r = ask_family(netlink->features, &family);
	netlink->features_family = family.id;
	if (r == 0)
		r = open_events(netlink, event, family.group);
	if (r >= 0)
		r = netlink_features_read(netlink);
	if (r >= 0)
		return;
	log_info("event=xdp_features known=no error=\"%s\"", strerror(-r));
	netlink_features_close(netlink);
}

void netlink_features_close(struct netlink *netlink)
{
	netlink->features_io = sd_event_source_disable_unref(netlink->features_io);
	nl_socket_free(netlink->features_events);
	nl_socket_free(netlink->features);
	netlink->features = netlink->features_events = NULL;
}
