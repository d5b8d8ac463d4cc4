// SPDX-License-Identifier: GPL-2.0-only
/*
 * rtnetlink messages about whole routes and nexthop objects. Members that are dead, or that encapsulate, do
 * not count.
 */
#include "net/route_group.h"

#include <errno.h>
#include <linux/nexthop.h>
#include <string.h>
#include <sys/socket.h>

#include "net/route.h"

size_t lb_route_group_request(const struct lb_address *to, __u32 sequence, void *buffer, size_t size)
{
	size_t length = lb_route_request(to, sequence, buffer, size);
	struct nlmsghdr *message = buffer;

	if (length)
		((struct rtmsg *)NLMSG_DATA(message))->rtm_flags |= RTM_F_FIB_MATCH;
	return length;
}

size_t lb_nexthop_object_request(__u32 id, __u32 sequence, void *buffer, size_t size)
{
	size_t need = NLMSG_LENGTH(sizeof(struct nhmsg)) + RTA_SPACE(sizeof(id));
	struct nlmsghdr *message = buffer;
	struct rtattr *attribute;

	if (size < need)
		return 0;
	memset(buffer, 0, need);
	message->nlmsg_len = need;
	message->nlmsg_type = RTM_GETNEXTHOP;
	message->nlmsg_flags = NLM_F_REQUEST;
	message->nlmsg_seq = sequence;
	attribute = (struct rtattr *)((char *)buffer + NLMSG_LENGTH(sizeof(struct nhmsg)));
	attribute->rta_type = NHA_ID;
	attribute->rta_len = RTA_LENGTH(sizeof(id));
	memcpy(RTA_DATA(attribute), &id, sizeof(id));
	return need;
}

static void add_member(struct lb_route_group *group, int ifindex, const struct lb_address *gateway)
{
	struct lb_route_member *member;

	if (!ifindex || group->n == LB_ROUTE_MEMBERS_MAX)
		return;
	member = &group->member[group->n++];
	memset(member, 0, sizeof(*member));
	member->ifindex = ifindex;
	member->gateway = *gateway;
}

static void add_object(struct lb_route_group *group, __u32 id)
{
	if (id && group->n_objects < LB_ROUTE_MEMBERS_MAX)
		group->object[group->n_objects++] = id;
}

/* One of several; its attributes are those of a route. */
static int parse_nexthop(const struct rtnexthop *nexthop, int family, struct lb_route_group *group)
{
	const struct rtattr *attribute = NULL;
	size_t skip = RTNH_ALIGN(sizeof(*nexthop));
	size_t left = nexthop->rtnh_len > skip ? nexthop->rtnh_len - skip : 0;
	struct lb_route route = {};
	int r;

	while ((r = lb_attribute_next((const char *)nexthop + skip, left, &attribute)) > 0) {
		r = lb_route_attribute_parse(attribute, family, &route);
		if (r < 0)
			return r;
	}
	if (r == 0 && !route.encapsulation && !(nexthop->rtnh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)))
		add_member(group, nexthop->rtnh_ifindex, &route.gateway);
	return r;
}

static int parse_nexthops(const struct rtattr *nexthops, int family, struct lb_route_group *group)
{
	const char *at = RTA_DATA(nexthops);
	size_t left = RTA_PAYLOAD(nexthops);

	while (left >= sizeof(struct rtnexthop)) {
		const struct rtnexthop *nexthop = (const struct rtnexthop *)at;
		size_t step;
		int r;

		if (nexthop->rtnh_len < sizeof(*nexthop) || nexthop->rtnh_len > left)
			return -EBADMSG;
		r = parse_nexthop(nexthop, family, group);
		if (r < 0)
			return r;
		step = RTNH_ALIGN(nexthop->rtnh_len);
		if (step >= left)
			return 0;
		at += step;
		left -= step;
	}
	return left ? -EBADMSG : 0;
}

/* With nexthop_compat_mode the members are said beside the object: then the object need not be asked for. */
static int parse_route(const struct nlmsghdr *message, struct lb_route_group *group)
{
	const struct rtmsg *fixed = NLMSG_DATA(message);
	const struct rtattr *attribute = NULL;
	struct lb_route route = {};
	__u32 n = group->n;
	const void *first;
	size_t length;
	int r = lb_message_attributes(message, sizeof(*fixed), &first, &length);

	if (r == 0)
		r = lb_route_parse(message, &route);
	if (r < 0)
		return r;
	while ((r = lb_attribute_next(first, length, &attribute)) > 0) {
		if ((attribute->rta_type & NLA_TYPE_MASK) != RTA_MULTIPATH)
			continue;
		r = parse_nexthops(attribute, fixed->rtm_family, group);
		if (r < 0)
			return r;
	}
	if (group->n == n && route.ifindex && !route.encapsulation && route.type == RTN_UNICAST)
		add_member(group, route.ifindex, &route.gateway);
	if (group->n == n)
		add_object(group, route.object);
	return r;
}

struct object {
	struct lb_address gateway;
	__u32 ifindex;
	bool unusable; /* blackhole, or encapsulates */
};

static int parse_object_attribute(const struct rtattr *attribute, int family, struct object *object,
				  struct lb_route_group *group)
{
	switch (attribute->rta_type & NLA_TYPE_MASK) {
	case NHA_GROUP:
		for (size_t at = 0; at + sizeof(struct nexthop_grp) <= RTA_PAYLOAD(attribute);
		     at += sizeof(struct nexthop_grp)) {
			struct nexthop_grp entry;

			memcpy(&entry, (const char *)RTA_DATA(attribute) + at, sizeof(entry));
			add_object(group, entry.id);
		}
		return 0;
	case NHA_OIF:
		if (RTA_PAYLOAD(attribute) != sizeof(object->ifindex))
			return -EBADMSG;
		memcpy(&object->ifindex, RTA_DATA(attribute), sizeof(object->ifindex));
		return 0;
	case NHA_GATEWAY:
		return lb_address_from_attribute(attribute, family, &object->gateway);
	case NHA_BLACKHOLE:
	case NHA_ENCAP_TYPE:
		object->unusable = true;
		return 0;
	default:
		return 0;
	}
}

static int parse_object(const struct nlmsghdr *message, struct lb_route_group *group)
{
	const struct rtattr *attribute = NULL;
	struct object object = {};
	const struct nhmsg *fixed = NLMSG_DATA(message);
	const void *first;
	size_t length;
	int r = lb_message_attributes(message, sizeof(*fixed), &first, &length);

	if (r < 0)
		return r;
	while ((r = lb_attribute_next(first, length, &attribute)) > 0) {
		r = parse_object_attribute(attribute, fixed->nh_family, &object, group);
		if (r < 0)
			return r;
	}
	if (r == 0 && !object.unusable && !(fixed->nh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)))
		add_member(group, object.ifindex, &object.gateway);
	return r;
}

int lb_route_group_parse(const struct nlmsghdr *message, struct lb_route_group *group)
{
	if (message->nlmsg_type == RTM_NEWROUTE)
		return parse_route(message, group);
	if (message->nlmsg_type == RTM_NEWNEXTHOP)
		return parse_object(message, group);
	return -EOPNOTSUPP;
}
