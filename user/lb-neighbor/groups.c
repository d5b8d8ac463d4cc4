// SPDX-License-Identifier: GPL-2.0-only
/*
 * See groups.h.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <errno.h>
#include <unistd.h>

#include "announce/gratuitous.h"
#include "lb-neighbor/groups.h"
#include "lb-neighbor/lb-neighbor.h"

static struct joined *find(struct groups *groups, const __u8 group[16], __u32 ifindex)
{
	for (unsigned int i = 0; i < groups->n; i++)
		if (groups->at[i].ifindex == ifindex && memcmp(groups->at[i].group, group, 16) == 0)
			return &groups->at[i];
	return NULL;
}

static void join(struct groups *groups, const __u8 group[16], __u32 ifindex)
{
	struct ipv6_mreq wanted = { .ipv6mr_interface = ifindex };
	struct joined *joined = &groups->at[groups->n];
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(&wanted.ipv6mr_multiaddr, group, 16);
	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &wanted, sizeof(wanted)) < 0) {
		say(4, "event=group error=\"Failed to join a solicited-node group: %s\"", strerror(errno));
		if (fd >= 0)
			close(fd);
		return;
	}
	*joined = (struct joined){ .ifindex = ifindex, .fd = fd, .wanted = true };
	memcpy(joined->group, group, 16);
	groups->n++;
}

static void want(struct groups *groups, const struct lb_neighbors *all, const struct lb_neighbor_vip *vip)
{
	__u32 ifindex = all->group[vip->group].ifindex;
	struct lb_address address;
	struct joined *joined;
	__u8 group[16];

	if (!ifindex)
		return;
	lb_neighbor_address(vip, &address);
	lb_solicited_node(&address, group);
	joined = find(groups, group, ifindex);
	if (joined)
		joined->wanted = true;
	else if (groups->n < LB_NEIGHBORS_MAX)
		join(groups, group, ifindex);
}

static void leave_unwanted(struct groups *groups)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < groups->n; i++) {
		if (groups->at[i].wanted)
			groups->at[kept++] = groups->at[i];
		else
			close(groups->at[i].fd);
	}
	groups->n = kept;
}

void groups_update(struct groups *groups, const struct lb_neighbors *all)
{
	for (unsigned int i = 0; i < groups->n; i++)
		groups->at[i].wanted = false;
	for (unsigned int i = 0; all && i < LB_NEIGHBOR_PLACES; i++)
		if (all->place[i].flags && all->place[i].family == LB_FAMILY_V6)
			want(groups, all, &all->place[i]);
	leave_unwanted(groups);
}
