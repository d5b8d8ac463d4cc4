// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's own addresses: a plain list, since there are few.
 */
#include "net/addresses.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/route.h"

#define CAPACITY_MIN 16u

void lb_host_addresses_done(struct lb_host_addresses *table)
{
	free(table->at);
}

/* The address itself: of a point-to-point link with IPv4, IFA_ADDRESS is the other end's. */
static int parse(const struct nlmsghdr *message, struct lb_host_address *address)
{
	const struct ifaddrmsg *fixed = NLMSG_DATA(message);
	const struct rtattr *attribute = NULL;
	bool local = false;
	const void *first;
	size_t length;
	int r = lb_message_attributes(message, sizeof(*fixed), &first, &length);

	if (r < 0)
		return r;
	memset(address, 0, sizeof(*address));
	if (fixed->ifa_family != AF_INET && fixed->ifa_family != AF_INET6)
		return -EOPNOTSUPP;
	address->ifindex = fixed->ifa_index;
	while ((r = lb_attribute_next(first, length, &attribute)) > 0) {
		int type = attribute->rta_type & NLA_TYPE_MASK;

		if (type != IFA_LOCAL && (type != IFA_ADDRESS || local))
			continue;
		local |= type == IFA_LOCAL;
		r = lb_address_from_attribute(attribute, fixed->ifa_family, &address->address);
		if (r < 0)
			return r;
	}
	return r == 0 && !address->address.family ? -EOPNOTSUPP : r;
}

static struct lb_host_address *find(const struct lb_host_addresses *table,
				    const struct lb_host_address *address)
{
	for (size_t i = 0; i < table->n; i++)
		if (table->at[i].ifindex == address->ifindex &&
		    memcmp(&table->at[i].address, &address->address, sizeof(address->address)) == 0)
			return &table->at[i];
	return NULL;
}

static int add(struct lb_host_addresses *table, const struct lb_host_address *address)
{
	if (table->n == table->capacity) {
		size_t capacity = table->capacity ? 2 * table->capacity : CAPACITY_MIN;
		struct lb_host_address *at = realloc(table->at, capacity * sizeof(*at));

		if (!at)
			return -ENOMEM;
		table->at = at;
		table->capacity = capacity;
	}
	table->at[table->n++] = *address;
	return 1;
}

int lb_host_addresses_apply(struct lb_host_addresses *table, const struct nlmsghdr *message)
{
	struct lb_host_address address, *known;
	int r;

	if (message->nlmsg_type != RTM_NEWADDR && message->nlmsg_type != RTM_DELADDR)
		return 0;
	r = parse(message, &address);
	if (r < 0)
		return r == -EOPNOTSUPP ? 0 : r;
	address.seen = table->seen;
	known = find(table, &address);
	if (message->nlmsg_type == RTM_NEWADDR) {
		if (!known)
			return add(table, &address);
		known->seen = table->seen;
		return 0;
	}
	if (!known)
		return 0;
	*known = table->at[--table->n];
	return 1;
}

bool lb_host_addresses_unseen(struct lb_host_addresses *table)
{
	size_t kept = 0, n = table->n;

	for (size_t i = 0; i < n; i++)
		if (table->at[i].seen == table->seen)
			table->at[kept++] = table->at[i];
	table->n = kept;
	return kept < n;
}

void lb_host_addresses_leave(struct lb_host_addresses *table, int ifindex)
{
	size_t kept = 0;

	for (size_t i = 0; i < table->n; i++)
		if (table->at[i].ifindex != ifindex)
			table->at[kept++] = table->at[i];
	table->n = kept;
}

bool lb_host_addresses_link_local(const struct lb_host_addresses *table, int ifindex)
{
	for (size_t i = 0; i < table->n; i++) {
		const struct lb_address *address = &table->at[i].address;

		if (table->at[i].ifindex == ifindex && address->family == LB_FAMILY_V6 &&
		    address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80)
			return true;
	}
	return false;
}
