// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of links (links.h), and the way down from a link that a route names to the one that takes frames.
 */
#include "net/links.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->in_table = false)
#include <uthash.h>

#include "net/nexthops.h"

#define DEPTH_MAX 4 /* devices above one another */

/* linux/netdev.h, from Linux 6.3 on: the driver's ndo_xdp_xmit can be used now. */
#define XDP_ACT_NDO_XMIT 4u

struct lb_links_entry {
	struct lb_link link; /* key: link.ifindex */
	bool features_known;
	__u64 features;
	unsigned int seen;
	bool in_table;
	UT_hash_handle hh;
};

void lb_links_done(struct lb_links *links)
{
	struct lb_links_entry *entry, *next;

	HASH_ITER (hh, links->at, entry, next) {
		HASH_DEL(links->at, entry);
		free(entry);
	}
}

static struct lb_links_entry *find(const struct lb_links *links, int ifindex)
{
	struct lb_links_entry *entry;

	HASH_FIND_INT(links->at, &ifindex, entry);
	return entry;
}

static struct lb_links_entry *add(struct lb_links *links, int ifindex)
{
	struct lb_links_entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->link.ifindex = ifindex;
	entry->in_table = true;
	HASH_ADD_INT(links->at, link.ifindex, entry);
	if (entry->in_table)
		return entry;
	free(entry);
	return NULL;
}

int lb_links_put(struct lb_links *links, const struct lb_link *link)
{
	struct lb_links_entry *entry = find(links, link->ifindex);
	struct lb_link before;
	int mask = 0;

	if (!entry)
		entry = add(links, link->ifindex);
	if (!entry)
		return -ENOMEM;
	entry->seen = links->seen;
	before = entry->link;
	if (before.xdp_program_id != link->xdp_program_id)
		mask |= LB_NEXTHOPS_LINK;
	before.xdp_program_id = link->xdp_program_id;
	/* Whatever it is, routes may have changed by it; IPv4 routes of a link that goes down vanish without
	 * a message of their own. */
	if (memcmp(&before, link, sizeof(before)) != 0)
		mask |= LB_NEXTHOPS_LINK | LB_NEXTHOPS_CHANGED | LB_NEXTHOPS_ROUTE;
	memcpy(&entry->link, link, sizeof(*link));
	return mask;
}

bool lb_links_remove(struct lb_links *links, int ifindex)
{
	struct lb_links_entry *entry = find(links, ifindex);

	if (!entry)
		return false;
	HASH_DEL(links->at, entry);
	free(entry);
	return true;
}

void lb_links_unseen(struct lb_links *links, void (*leave)(void *context, int ifindex), void *context)
{
	struct lb_links_entry *entry, *next;

	HASH_ITER (hh, links->at, entry, next)
		if (entry->seen != links->seen)
			leave(context, entry->link.ifindex);
}

const struct lb_link *lb_links_find(const struct lb_links *links, int ifindex)
{
	const struct lb_links_entry *entry = find(links, ifindex);

	return entry ? &entry->link : NULL;
}

const struct lb_link *lb_links_find_by_name(const struct lb_links *links, const char *name)
{
	const struct lb_links_entry *entry;

	for (entry = links->at; entry; entry = entry->hh.next)
		if (strcmp(entry->link.name, name) == 0)
			return &entry->link;
	return NULL;
}

size_t lb_links_count(const struct lb_links *links)
{
	return HASH_COUNT(links->at);
}

const struct lb_link *lb_links_next(const struct lb_links *links, const struct lb_link *link)
{
	const struct lb_links_entry *entry = links->at;

	if (link) {
		entry = find(links, link->ifindex);
		entry = entry ? entry->hh.next : NULL;
	}
	return entry ? &entry->link : NULL;
}

bool lb_links_runs_xdp(const struct lb_links *links, int ifindex)
{
	for (size_t i = 0; i < links->n_xdp; i++)
		if (links->xdp[i] == ifindex)
			return true;
	return false;
}

bool lb_links_set_features(struct lb_links *links, int ifindex, __u64 features)
{
	struct lb_links_entry *entry = find(links, ifindex);
	bool news;

	if (!entry)
		return false;
	news = !entry->features_known || ((entry->features ^ features) & XDP_ACT_NDO_XMIT);
	entry->features_known = true;
	entry->features = features;
	return news;
}

/* --- the way down ----------------------------------------------------------------------------------------
 */

static bool is_one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}

/* Whether the driver takes frames that XDP redirects to it. Where the kernel does not say, what is known of
 * kinds of devices without hardware. */
static bool takes_frames(const struct lb_links *links, const struct lb_link *link)
{
	static const char *const never[] = { "bridge", "vxlan", "geneve", "gretap",  "ip6gretap", "bareudp",
					     "bond",   "team",  "vlan",   "macvlan", "macvtap",   "ipvlan",
					     "ipvtap", "ifb",   "dummy",  "vrf",     "macsec",    "hsr",
					     "batadv", "nlmon", "gtp",    NULL };
	const struct lb_links_entry *entry = find(links, link->ifindex);

	if (entry && entry->features_known)
		return entry->features & XDP_ACT_NDO_XMIT;
	return !is_one_of(link->kind, never);
}

/* The only interface of the packet path sends back by itself what leaves by it. */
static bool sends_back(const struct lb_links *links, const struct lb_link *link)
{
	return links->n_xdp == 1 && links->xdp[0] == link->ifindex;
}

/* The port of a bond that sends. */
static const struct lb_link *bond_port(const struct lb_links *links, const struct lb_link *bond)
{
	const struct lb_links_entry *entry;
	const struct lb_link *port = NULL;

	if (bond->active_port)
		return lb_links_find(links, bond->active_port);
	for (entry = links->at; entry; entry = entry->hh.next) {
		const struct lb_link *link = &entry->link;

		if (link->master == bond->ifindex && link->up && !link->backup &&
		    (!port || link->ifindex < port->ifindex))
			port = link;
	}
	return port;
}

/* What lies below a link; NULL: nothing that is known here. */
static const struct lb_link *below(const struct lb_links *links, const struct lb_link *link)
{
	static const char *const stacked[] = { "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", NULL };

	if (strcmp(link->kind, "bond") == 0)
		return bond_port(links, link);
	if (is_one_of(link->kind, stacked) && !link->lower_elsewhere)
		return lb_links_find(links, link->lower);
	return NULL;
}

static const char *no_frames(const struct lb_links *links, const struct lb_link *link)
{
	const struct lb_links_entry *entry = find(links, link->ifindex);

	if (strcmp(link->kind, "bond") == 0)
		return "has no port that sends";
	if (link->lower_elsewhere && strcmp(link->kind, "veth") != 0)
		return "takes no XDP frames, and the device below is in another network namespace";
	if (strcmp(link->kind, "veth") == 0)
		return "takes no XDP frames before its peer has GRO or an XDP program";
	if (!link->kind[0] && entry && entry->features_known)
		return "takes no XDP frames: its driver cannot, or not before an XDP program is attached to "
		       "it";
	return "takes no XDP frames";
}

bool lb_links_egress(const struct lb_links *links, const struct lb_link *link, struct lb_egress *ret_egress,
		     char *ret_why, size_t size)
{
	struct lb_egress egress = { .mtu = link->mtu };

	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		const struct lb_link *lower;

		if (!link->up) {
			snprintf(ret_why, size, "%s is down", link->name);
			return false;
		}
		if (link->mtu < egress.mtu)
			egress.mtu = link->mtu;
		egress.ifindex = link->ifindex;
		if (links->generic || sends_back(links, link) || takes_frames(links, link)) {
			*ret_egress = egress;
			return true;
		}
		lower = below(links, link);
		if (!lower) {
			snprintf(ret_why, size, "%s %s", link->name, no_frames(links, link));
			return false;
		}
		if (link->vlan_tag && egress.vlan_tag) {
			snprintf(ret_why, size, "%s is a VLAN below another, and only one tag is pushed",
				 link->name);
			return false;
		}
		if (link->vlan_tag)
			egress.vlan_tag = link->vlan_tag;
		link = lower;
	}
	snprintf(ret_why, size, "%s takes no XDP frames, and too many devices are stacked there", link->name);
	return false;
}
