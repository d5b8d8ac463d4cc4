// SPDX-License-Identifier: GPL-2.0-only
/*
 * rtnetlink messages about links (route.h): name, state, and what kind of device lies above which.
 */
#include "net/route.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <string.h>
#include <sys/socket.h>

static int parse_xdp(const struct rtattr *xdp, __u32 *ret_program)
{
	const struct rtattr *attribute = NULL;
	int r;

	while ((r = lb_attribute_next(RTA_DATA(xdp), RTA_PAYLOAD(xdp), &attribute)) > 0) {
		if ((attribute->rta_type & NLA_TYPE_MASK) != IFLA_XDP_PROG_ID)
			continue;
		r = lb_attribute_u32(attribute, ret_program);
		if (r < 0)
			return r;
	}
	return r;
}

static void copy_kind(const struct rtattr *attribute, char kind[16])
{
	size_t length = RTA_PAYLOAD(attribute);

	if (length >= 16)
		length = 15;
	memcpy(kind, RTA_DATA(attribute), length);
	kind[length] = '\0';
}

static int parse_vlan(const struct rtattr *data, struct lb_link *link)
{
	const struct rtattr *attribute = NULL;
	__be16 protocol = 0;
	__u16 id = 0;
	int r;

	while ((r = lb_attribute_next(RTA_DATA(data), RTA_PAYLOAD(data), &attribute)) > 0) {
		int type = attribute->rta_type & NLA_TYPE_MASK;

		if (type != IFLA_VLAN_ID && type != IFLA_VLAN_PROTOCOL)
			continue;
		if (RTA_PAYLOAD(attribute) != sizeof(__u16))
			return -EBADMSG;
		memcpy(type == IFLA_VLAN_ID ? &id : &protocol, RTA_DATA(attribute), sizeof(__u16));
	}
	link->vlan_tag = (__u32)(protocol ? ntohs(protocol) : ETH_P_8021Q) << 16 | id;
	return r;
}

static int parse_bond(const struct rtattr *data, struct lb_link *link)
{
	const struct rtattr *attribute = NULL;
	__u32 port = 0;
	int r;

	while ((r = lb_attribute_next(RTA_DATA(data), RTA_PAYLOAD(data), &attribute)) > 0) {
		if ((attribute->rta_type & NLA_TYPE_MASK) != IFLA_BOND_ACTIVE_SLAVE)
			continue;
		r = lb_attribute_u32(attribute, &port);
		if (r < 0)
			return r;
	}
	link->active_port = port;
	return r;
}

/* What a bond says of a port of its. */
static int parse_bond_port(const struct rtattr *data, struct lb_link *link)
{
	const struct rtattr *attribute = NULL;
	int r;

	while ((r = lb_attribute_next(RTA_DATA(data), RTA_PAYLOAD(data), &attribute)) > 0)
		if ((attribute->rta_type & NLA_TYPE_MASK) == IFLA_BOND_SLAVE_STATE &&
		    RTA_PAYLOAD(attribute) >= 1)
			link->backup = *(const __u8 *)RTA_DATA(attribute) != 0;
	return r;
}

/* The kinds come before the data that is of them. */
static int parse_link_info(const struct rtattr *info, struct lb_link *link)
{
	const struct rtattr *attribute = NULL;
	char port_kind[16] = "";
	int r, parsed = 0;

	while (parsed == 0 && (r = lb_attribute_next(RTA_DATA(info), RTA_PAYLOAD(info), &attribute)) > 0) {
		switch (attribute->rta_type & NLA_TYPE_MASK) {
		case IFLA_INFO_KIND:
			copy_kind(attribute, link->kind);
			break;
		case IFLA_INFO_SLAVE_KIND:
			copy_kind(attribute, port_kind);
			break;
		case IFLA_INFO_DATA:
			if (strcmp(link->kind, "vlan") == 0)
				parsed = parse_vlan(attribute, link);
			else if (strcmp(link->kind, "bond") == 0)
				parsed = parse_bond(attribute, link);
			break;
		case IFLA_INFO_SLAVE_DATA:
			if (strcmp(port_kind, "bond") == 0)
				parsed = parse_bond_port(attribute, link);
			break;
		}
	}
	return parsed ? parsed : r;
}

static int attribute_ifindex(const struct rtattr *attribute, int *ret_ifindex)
{
	__u32 value;
	int r = lb_attribute_u32(attribute, &value);

	if (r == 0)
		*ret_ifindex = value;
	return r;
}

static int parse_link_attribute(const struct rtattr *attribute, struct lb_link *link)
{
	size_t length = RTA_PAYLOAD(attribute);

	switch (attribute->rta_type & NLA_TYPE_MASK) {
	case IFLA_IFNAME:
		if (length == 0 || length > sizeof(link->name))
			return -EBADMSG;
		memcpy(link->name, RTA_DATA(attribute), length);
		link->name[sizeof(link->name) - 1] = '\0';
		return 0;
	case IFLA_ADDRESS:
		link->has_mac = length == sizeof(link->mac);
		if (link->has_mac)
			memcpy(link->mac, RTA_DATA(attribute), length);
		return 0;
	case IFLA_MTU:
		return lb_attribute_u32(attribute, &link->mtu);
	case IFLA_XDP:
		return parse_xdp(attribute, &link->xdp_program_id);
	case IFLA_LINK:
		return attribute_ifindex(attribute, &link->lower);
	case IFLA_LINK_NETNSID:
		link->lower_elsewhere = true;
		return 0;
	case IFLA_MASTER:
		return attribute_ifindex(attribute, &link->master);
	case IFLA_LINKINFO:
		return parse_link_info(attribute, link);
	default:
		return 0;
	}
}

int lb_link_parse(const struct nlmsghdr *message, struct lb_link *ret_link)
{
	const struct rtattr *attribute = NULL;
	const struct ifinfomsg *fixed;
	struct lb_link link;
	const void *first;
	size_t length;
	int r;

	if (message->nlmsg_type != RTM_NEWLINK && message->nlmsg_type != RTM_DELLINK)
		return -EOPNOTSUPP;
	r = lb_message_attributes(message, sizeof(*fixed), &first, &length);
	if (r < 0)
		return r;
	memset(&link, 0, sizeof(link));
	fixed = NLMSG_DATA(message);
	/* A bridge tells of its ports in messages of its own family, also when a port leaves it. */
	if (fixed->ifi_family != AF_UNSPEC)
		return -EOPNOTSUPP;
	link.ifindex = fixed->ifi_index;
	link.type = fixed->ifi_type;
	link.up = (fixed->ifi_flags & IFF_UP) && (fixed->ifi_flags & IFF_LOWER_UP);
	link.removed = message->nlmsg_type == RTM_DELLINK;
	while ((r = lb_attribute_next(first, length, &attribute)) > 0) {
		r = parse_link_attribute(attribute, &link);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	memcpy(ret_link, &link, sizeof(link));
	return 0;
}
