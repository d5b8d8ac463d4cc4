// SPDX-License-Identifier: GPL-2.0-only
/*
 * rtnetlink messages about neighbours.
 */
#include "net/neighbor.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "net/route.h"

static int parse_attribute(const struct rtattr *attribute, int family, struct lb_neighbor *neighbor)
{
	__u32 extended;

	switch (attribute->rta_type & NLA_TYPE_MASK) {
	case NDA_DST:
		return lb_address_from_attribute(attribute, family, &neighbor->address);
	case NDA_LLADDR:
		neighbor->has_mac = RTA_PAYLOAD(attribute) == sizeof(neighbor->mac);
		if (neighbor->has_mac)
			memcpy(neighbor->mac, RTA_DATA(attribute), sizeof(neighbor->mac));
		return 0;
	case NDA_FLAGS_EXT:
		if (RTA_PAYLOAD(attribute) != sizeof(extended))
			return -EBADMSG;
		memcpy(&extended, RTA_DATA(attribute), sizeof(extended));
		neighbor->managed = extended & NTF_EXT_MANAGED;
		return 0;
	default:
		return 0;
	}
}

int lb_neighbor_parse(const struct nlmsghdr *message, struct lb_neighbor *ret_neighbor)
{
	const struct rtattr *attribute = NULL;
	size_t skip = NLMSG_LENGTH(NLMSG_ALIGN(sizeof(struct ndmsg)));
	struct lb_neighbor neighbor = {};
	const struct ndmsg *fixed;
	size_t length;
	int r;

	if (message->nlmsg_type != RTM_NEWNEIGH && message->nlmsg_type != RTM_DELNEIGH)
		return -EOPNOTSUPP;
	if (message->nlmsg_len < NLMSG_LENGTH(sizeof(*fixed)))
		return -EBADMSG;
	fixed = NLMSG_DATA(message);
	if (fixed->ndm_family != AF_INET && fixed->ndm_family != AF_INET6)
		return -EOPNOTSUPP;
	neighbor.ifindex = fixed->ndm_ifindex;
	neighbor.state = fixed->ndm_state;
	neighbor.flags = fixed->ndm_flags;
	neighbor.removed = message->nlmsg_type == RTM_DELNEIGH;
	length = message->nlmsg_len > skip ? message->nlmsg_len - skip : 0;
	while ((r = lb_attribute_next((const char *)message + skip, length, &attribute)) > 0) {
		r = parse_attribute(attribute, fixed->ndm_family, &neighbor);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	if (!neighbor.address.family || (neighbor.flags & NTF_PROXY))
		return -EOPNOTSUPP;
	*ret_neighbor = neighbor;
	return 0;
}

bool lb_neighbor_usable(const struct lb_neighbor *neighbor)
{
	return !neighbor->removed && neighbor->has_mac &&
	       (neighbor->state &
		(NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP));
}

bool lb_neighbor_is_fixed(const struct lb_neighbor *neighbor)
{
	return neighbor->state & (NUD_PERMANENT | NUD_NOARP) || neighbor->flags & NTF_EXT_LEARNED;
}

size_t lb_neighbor_request(enum lb_neighbor_request what, int ifindex, const struct lb_address *address,
			   __u32 sequence, void *buffer, size_t size)
{
	size_t address_bytes = lb_address_bytes(address);
	size_t need =
		NLMSG_LENGTH(sizeof(struct ndmsg)) + RTA_SPACE(address_bytes) + RTA_SPACE(sizeof(__u32));
	struct nlmsghdr *message = buffer;
	__u32 extended = NTF_EXT_MANAGED;
	struct rtattr *attribute;
	struct ndmsg *fixed;

	if (size < need)
		return 0;
	memset(buffer, 0, need);
	message->nlmsg_len = need;
	message->nlmsg_type = RTM_NEWNEIGH;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	message->nlmsg_seq = sequence;
	if (what != LB_NEIGHBOR_RELEASE)
		message->nlmsg_flags |= NLM_F_CREATE;
	fixed = NLMSG_DATA(message);
	fixed->ndm_family = lb_address_af(address);
	fixed->ndm_ifindex = ifindex;
	fixed->ndm_flags = what == LB_NEIGHBOR_MANAGE ? 0 : NTF_USE;
	attribute = (struct rtattr *)((char *)buffer + NLMSG_LENGTH(sizeof(*fixed)));
	attribute->rta_type = NDA_DST;
	attribute->rta_len = RTA_LENGTH(address_bytes);
	memcpy(RTA_DATA(attribute), address->bytes, address_bytes);
	if (what != LB_NEIGHBOR_MANAGE) {
		message->nlmsg_len -= RTA_SPACE(sizeof(__u32));
		return message->nlmsg_len;
	}
	attribute = (struct rtattr *)((char *)attribute + RTA_SPACE(address_bytes));
	attribute->rta_type = NDA_FLAGS_EXT;
	attribute->rta_len = RTA_LENGTH(sizeof(extended));
	memcpy(RTA_DATA(attribute), &extended, sizeof(extended));
	return need;
}
