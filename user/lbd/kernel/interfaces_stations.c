// SPDX-License-Identifier: GPL-2.0-only
/*
 * See interfaces_stations.h. Two lists take turns, so that no packet misses an address while another one
 * comes or goes.
 */
#include "lbd/kernel/interfaces_stations.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lb/access.h"
#include "lbd/kernel/grace.h"
#include "lbd/kernel/interfaces.h"
#include "lbd/lbd.h"

/* Adds the addresses of one interface: as links say, and as its driver was told by others. */
static size_t add(struct lbd *lbd, int ifindex, struct lb_station *all, size_t n)
{
	struct lb_error error = {};
	int more;

	n += lb_nexthops_stations(lbd->netlink.nexthops, ifindex, all + n, LB_STATIONS_MAX - n);
	more = netlink_stations(&lbd->netlink, ifindex, all + n, LB_STATIONS_MAX - n, &error);
	if (more < 0)
		log_debug("event=stations error=\"%s\"", error.text);
	return more > 0 ? n + (size_t)more : n;
}

static bool has_own(const struct lb_station *all, size_t n, int ifindex)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].ifindex == ifindex && all[i].own)
			return true;
	return false;
}

/* Every address of every interface that has, or is to have, the packet path. */
static size_t collect(struct lbd *lbd, struct lb_station *all, char *why_open, size_t size)
{
	size_t n = 0;

	why_open[0] = '\0';
	for (size_t i = 0; i < lbd->n_attachments; i++) {
		const char *name = lbd->attachments[i].wanted.name;
		int ifindex = interfaces_index(lbd, &lbd->attachments[i].wanted);

		if (!ifindex)
			continue;
		n = add(lbd, ifindex, all, n);
		if (!has_own(all, n, ifindex))
			snprintf(why_open, size, "%s has no MAC address", name);
	}
	if (n == LB_STATIONS_MAX)
		snprintf(why_open, size, "they have %zu MAC addresses or more", n);
	return n;
}

static void write_all(struct lbd *lbd, const struct lb_station *all, size_t n, int only, char *why_open,
		      size_t size)
{
	struct lb_stations *table = lbd->maps.stations;
	__u32 list = !(table->list & 1);

	/* Nobody reads the other list any more. */
	if (table->closed)
		grace_wait(&lbd->grace);
	if (!why_open[0] && lb_stations_build(all, n, only, list, table) < 0)
		snprintf(why_open, size, "their MAC addresses do not fit the table");
	if (!why_open[0])
		LB_STORE(&table->list, list);
	LB_STORE(&table->closed, !why_open[0]);
}

static bool is_link_local(const struct lb_address *address)
{
	return address->family == LB_FAMILY_V6 && address->bytes[0] == 0xfe &&
	       (address->bytes[1] & 0xc0) == 0x80;
}

/* The first address of an interface, or of what is upon it, that can be answered from. */
static void write_addresses(struct lbd *lbd, int ifindex)
{
	struct lb_station_interface *place =
		&lbd->maps.stations->interface[(__u32)ifindex & (LB_STATION_INTERFACES - 1)];
	struct lb_station_interface now = { .ifindex = (__u32)ifindex };
	const struct lb_link *link = lb_nexthops_link(lbd->netlink.nexthops, ifindex);
	size_t n;
	const struct lb_host_address *at = lb_nexthops_addresses(lbd->netlink.nexthops, &n);

	for (size_t i = 0; i < n; i++) {
		const struct lb_address *address = &at[i].address;

		if ((at[i].ifindex != ifindex && !(link && link->master == at[i].ifindex)) ||
		    is_link_local(address))
			continue;
		if (address->family == LB_FAMILY_V4 && !now.ipv4)
			memcpy(&now.ipv4, address->bytes, sizeof(now.ipv4));
		if (address->family == LB_FAMILY_V6 && !now.ipv6[0] && !now.ipv6[1])
			memcpy(now.ipv6, address->bytes, sizeof(now.ipv6));
	}
	if (memcmp(place, &now, sizeof(now)) == 0)
		return;
	/* A packet that reads meanwhile answers from one address or the other. */
	LB_STORE(&place->ifindex, 0);
	LB_STORE(&place->ipv4, now.ipv4);
	LB_STORE(&place->ipv6[0], now.ipv6[0]);
	LB_STORE(&place->ipv6[1], now.ipv6[1]);
	LB_STORE(&place->ifindex, now.ifindex);
}

void stations_update(struct lbd *lbd)
{
	struct lb_station *all = calloc(LB_STATIONS_MAX, sizeof(*all));
	struct stations *last = &lbd->stations;
	char why_open[sizeof(last->open)];
	int only = lbd->n_attachments == 1 ? interfaces_index(lbd, &lbd->attachments[0].wanted) : 0;
	size_t n;

	if (!all)
		return; /* as before; the next look is in a few seconds */
	n = collect(lbd, all, why_open, sizeof(why_open));
	for (size_t i = 0; i < lbd->n_attachments; i++) {
		int ifindex = interfaces_index(lbd, &lbd->attachments[i].wanted);

		if (ifindex)
			write_addresses(lbd, ifindex);
	}
	if (n == last->n && only == last->only && strcmp(why_open, last->open) == 0 &&
	    (n == 0 || memcmp(all, last->at, n * sizeof(*all)) == 0)) {
		free(all);
		return;
	}
	write_all(lbd, all, n, only, why_open, sizeof(why_open));
	events_add(&lbd->events, why_open[0] ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "stations",
		   "addresses=%zu%s%s%s", n, why_open[0] ? " every_frame_is_ours=\"" : "", why_open,
		   why_open[0] ? "\"" : "");
	free(last->at);
	*last = (struct stations){ .at = all, .n = n, .only = only };
	memcpy(last->open, why_open, sizeof(last->open));
}

void stations_done(struct lbd *lbd)
{
	free(lbd->stations.at);
	lbd->stations = (struct stations){};
}

void stations_warn(const struct lbd *lbd, struct json *json)
{
	if (lbd->stations.open[0])
		json_format(json, NULL,
			    "frames to the MAC addresses of other hosts are taken for ours where they hold "
			    "packets to a VIP, because interfaces cannot be told apart: %s",
			    lbd->stations.open);
}
