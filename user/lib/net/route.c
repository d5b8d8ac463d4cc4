// SPDX-License-Identifier: GPL-2.0-only
/*
 * rtnetlink messages about routes. The kernel is trusted to be honest, not to be free of bugs:
 * every length is checked before it is believed.
 */
#include "net/route.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

int lb_address_af(const struct lb_address *address)
{
	return address->family == LB_FAMILY_V6 ? AF_INET6 : AF_INET;
}

size_t lb_address_bytes(const struct lb_address *address)
{
	return address->family == LB_FAMILY_V6 ? 16 : 4;
}

int lb_address_from_attribute(const struct rtattr *attribute, int family, struct lb_address *ret_address)
{
	struct lb_address address = { .family = family == AF_INET6 ? LB_FAMILY_V6 : LB_FAMILY_V4 };

	if (family != AF_INET && family != AF_INET6)
		return -EBADMSG;
	if (RTA_PAYLOAD(attribute) != lb_address_bytes(&address))
		return -EBADMSG;
	memcpy(address.bytes, RTA_DATA(attribute), lb_address_bytes(&address));
	*ret_address = address;
	return 0;
}

int lb_attribute_next(const void *first, size_t length, const struct rtattr **attribute)
{
	const char *end = (const char *)first + length;
	const char *at = first;
	size_t left;

	if (*attribute)
		at = (const char *)*attribute + RTA_ALIGN((*attribute)->rta_len);
	if (at >= end)
		return 0;
	left = end - at;
	if (left < sizeof(struct rtattr))
		return -EBADMSG;
	*attribute = (const struct rtattr *)at;
	if ((*attribute)->rta_len < sizeof(struct rtattr) || (*attribute)->rta_len > left)
		return -EBADMSG;
	return 1;
}

int lb_message_attributes(const struct nlmsghdr *message, size_t fixed, const void **ret_first,
			  size_t *ret_length)
{
	size_t skip = NLMSG_LENGTH(NLMSG_ALIGN(fixed));

	if (message->nlmsg_len < NLMSG_LENGTH(fixed))
		return -EBADMSG;
	*ret_first = (const char *)message + skip;
	*ret_length = message->nlmsg_len > skip ? message->nlmsg_len - skip : 0;
	return 0;
}

int lb_attribute_u32(const struct rtattr *attribute, __u32 *ret_value)
{
	if (RTA_PAYLOAD(attribute) != sizeof(*ret_value))
		return -EBADMSG;
	memcpy(ret_value, RTA_DATA(attribute), sizeof(*ret_value));
	return 0;
}

static int parse_metrics(const struct rtattr *metrics, __u32 *ret_mtu)
{
	const struct rtattr *attribute = NULL;
	int r;

	while ((r = lb_attribute_next(RTA_DATA(metrics), RTA_PAYLOAD(metrics), &attribute)) > 0) {
		if (attribute->rta_type != RTAX_MTU)
			continue;
		r = lb_attribute_u32(attribute, ret_mtu);
		if (r < 0)
			return r;
	}
	return r;
}

static int parse_via(const struct rtattr *attribute, struct lb_address *ret_gateway)
{
	const struct rtvia *via = RTA_DATA(attribute);
	struct lb_address gateway = {};

	if (RTA_PAYLOAD(attribute) < sizeof(*via))
		return -EBADMSG;
	gateway.family = via->rtvia_family == AF_INET6 ? LB_FAMILY_V6 : LB_FAMILY_V4;
	if (RTA_PAYLOAD(attribute) - sizeof(*via) != lb_address_bytes(&gateway))
		return -EBADMSG;
	memcpy(gateway.bytes, via->rtvia_addr, lb_address_bytes(&gateway));
	*ret_gateway = gateway;
	return 0;
}

int lb_route_attribute_parse(const struct rtattr *attribute, int family, struct lb_route *route)
{
	__u32 value;
	int r;

	switch (attribute->rta_type & NLA_TYPE_MASK) {
	case RTA_DST:
		return lb_address_from_attribute(attribute, family, &route->to);
	case RTA_GATEWAY:
		return lb_address_from_attribute(attribute, family, &route->gateway);
	case RTA_PREFSRC:
		return lb_address_from_attribute(attribute, family, &route->source);
	case RTA_VIA:
		return parse_via(attribute, &route->gateway);
	case RTA_METRICS:
		return parse_metrics(attribute, &route->mtu);
	case RTA_OIF:
		r = lb_attribute_u32(attribute, &value);
		if (r == 0)
			route->ifindex = value;
		return r;
	case RTA_NH_ID:
		return lb_attribute_u32(attribute, &route->object);
	case RTA_ENCAP_TYPE:
		if (RTA_PAYLOAD(attribute) != sizeof(route->encapsulation))
			return -EBADMSG;
		memcpy(&route->encapsulation, RTA_DATA(attribute), sizeof(route->encapsulation));
		return 0;
	default:
		return 0;
	}
}

int lb_route_parse(const struct nlmsghdr *message, struct lb_route *ret_route)
{
	const struct rtattr *attribute = NULL;
	struct lb_route route = {};
	const struct rtmsg *fixed;
	const void *first;
	size_t length;
	int r;

	if (message->nlmsg_type != RTM_NEWROUTE && message->nlmsg_type != RTM_DELROUTE)
		return -EOPNOTSUPP;
	r = lb_message_attributes(message, sizeof(*fixed), &first, &length);
	if (r < 0)
		return r;
	fixed = NLMSG_DATA(message);
	if (fixed->rtm_family != AF_INET && fixed->rtm_family != AF_INET6)
		return -EOPNOTSUPP;
	route.type = fixed->rtm_type;
	while ((r = lb_attribute_next(first, length, &attribute)) > 0) {
		r = lb_route_attribute_parse(attribute, fixed->rtm_family, &route);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	*ret_route = route;
	return 0;
}

size_t lb_route_request(const struct lb_address *to, __u32 sequence, void *buffer, size_t size)
{
	size_t address_bytes = lb_address_bytes(to);
	size_t need = NLMSG_LENGTH(sizeof(struct rtmsg)) + RTA_SPACE(address_bytes);
	struct nlmsghdr *message = buffer;
	struct rtattr *attribute;
	struct rtmsg *fixed;

	if (size < need)
		return 0;
	memset(buffer, 0, need);
	message->nlmsg_len = need;
	message->nlmsg_type = RTM_GETROUTE;
	message->nlmsg_flags = NLM_F_REQUEST;
	message->nlmsg_seq = sequence;
	fixed = NLMSG_DATA(message);
	fixed->rtm_family = lb_address_af(to);
	fixed->rtm_dst_len = address_bytes * 8;
	attribute = (struct rtattr *)((char *)buffer + NLMSG_LENGTH(sizeof(*fixed)));
	attribute->rta_type = RTA_DST;
	attribute->rta_len = RTA_LENGTH(address_bytes);
	memcpy(RTA_DATA(attribute), to->bytes, address_bytes);
	return need;
}
