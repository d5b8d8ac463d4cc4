// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which MAC addresses an interface listens to, as links and its list of unicast addresses say (stations.h).
 */
#include "net/stations.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "net/nexthops_internal.h"

#define ABOVE_MAX 64u /* devices upon an interface that are looked at */

/* Whether frames for one link reach it through the other: not a veth, whose "lower" is its peer, nor a
 * tunnel, which has no frames of the link. */
static bool is_upon(const struct lb_link *link, const struct lb_link *lower)
{
	static const char *const stacked[] = { "vlan",   "macvlan", "macvtap", "ipvlan",
					       "ipvtap", "macsec",  NULL };

	if (lower->master == link->ifindex)
		return true;
	if (link->lower != lower->ifindex || link->lower_elsewhere)
		return false;
	for (const char *const *kind = stacked; *kind; kind++)
		if (strcmp(link->kind, *kind) == 0)
			return true;
	return false;
}

static bool is_known(const int *links, size_t n, int ifindex)
{
	for (size_t i = 0; i < n; i++)
		if (links[i] == ifindex)
			return true;
	return false;
}

/* An interface and what is upon it, by index; how many. */
static size_t find_above(const struct lb_nexthops *nexthops, int ifindex, int ret[ABOVE_MAX])
{
	size_t n = 1;

	ret[0] = ifindex;
	for (size_t i = 0; i < n; i++) {
		const struct lb_link *lower = lb_links_find(&nexthops->links, ret[i]);

		for (const struct lb_link *link = lower ? lb_links_next(&nexthops->links, NULL) : NULL; link;
		     link = lb_links_next(&nexthops->links, link))
			if (n < ABOVE_MAX && is_upon(link, lower) && !is_known(ret, n, link->ifindex))
				ret[n++] = link->ifindex;
	}
	return n;
}

/* Adds the addresses that frames which come in by one interface may have. */
static size_t add(const struct lb_nexthops *nexthops, int ifindex, struct lb_station *ret, size_t n,
		  size_t capacity)
{
	int above[ABOVE_MAX];
	size_t n_above = find_above(nexthops, ifindex, above);

	for (size_t i = 0; i < n_above && n < capacity; i++) {
		const struct lb_link *link = lb_links_find(&nexthops->links, above[i]);

		if (!link || !link->has_mac)
			continue;
		ret[n] = (struct lb_station){ .ifindex = ifindex, .own = above[i] == ifindex };
		memcpy(ret[n++].mac, link->mac, sizeof(link->mac));
	}
	return n;
}

size_t lb_nexthops_stations(const struct lb_nexthops *nexthops, int ifindex, struct lb_station *ret,
			    size_t capacity)
{
	size_t n = add(nexthops, ifindex, ret, 0, capacity);
	const struct lb_link *link;

	for (link = lb_links_next(&nexthops->links, NULL); link; link = lb_links_next(&nexthops->links, link))
		if (link->master == ifindex)
			n = add(nexthops, link->ifindex, ret, n, capacity);
	return n;
}

int lb_station_parse(const struct nlmsghdr *message, struct lb_station *ret)
{
	size_t skip = NLMSG_LENGTH(NLMSG_ALIGN(sizeof(struct ndmsg)));
	const struct rtattr *attribute = NULL;
	const struct ndmsg *fixed;
	bool found = false;
	struct lb_station station = {};
	size_t length;
	int r;

	if (message->nlmsg_type != RTM_NEWNEIGH && message->nlmsg_type != RTM_DELNEIGH)
		return -EOPNOTSUPP;
	if (message->nlmsg_len < NLMSG_LENGTH(sizeof(*fixed)))
		return -EBADMSG;
	fixed = NLMSG_DATA(message);
	if (fixed->ndm_family != AF_BRIDGE || !(fixed->ndm_flags & NTF_SELF))
		return -EOPNOTSUPP;
	station.ifindex = fixed->ndm_ifindex;
	length = message->nlmsg_len > skip ? message->nlmsg_len - skip : 0;
	while ((r = lb_attribute_next((const char *)message + skip, length, &attribute)) > 0) {
		if ((attribute->rta_type & NLA_TYPE_MASK) != NDA_LLADDR ||
		    RTA_PAYLOAD(attribute) != sizeof(station.mac))
			continue;
		memcpy(station.mac, RTA_DATA(attribute), sizeof(station.mac));
		found = true;
	}
	if (r < 0)
		return r;
	if (!found || station.mac[0] & 1)
		return -EOPNOTSUPP;
	*ret = station;
	return 0;
}
