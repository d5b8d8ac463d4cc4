// SPDX-License-Identifier: GPL-2.0-only
/*
 * See lan.h.
 */
#include "lbd/announce/lan.h"

#include <net/if.h>
#include <string.h>
#include <time.h>

#include "announce/neighbors.h"
#include "lbd/kernel/interfaces.h"
#include "lbd/lbd.h"

#define NS_PER_MS  1000000ull
#define SILENCE_MS 5000u /* after which a helper, or an election, is missed */

/* As packets know it. */
static __u64 monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (__u64)now.tv_sec * 1000000000ull + (__u64)now.tv_nsec;
}

static __u8 single(__u8 family)
{
	return family == LB_FAMILY_V4 ? 32 : 128;
}

void lan_list(struct lbd *lbd,
	      void (*visit)(void *context, const struct lb_prefix *vip, enum lb_announce_state state),
	      void *context)
{
	const struct lb_neighbors *all = lbd->maps.neighbors;

	for (__u32 i = 0; i < LB_NEIGHBOR_PLACES; i++) {
		struct lb_prefix vip;

		if (!all->place[i].flags)
			continue;
		memset(&vip, 0, sizeof(vip));
		lb_neighbor_address(&all->place[i], &vip.address);
		vip.length = single(vip.address.family);
		visit(context, &vip, lb_neighbor_state(&all->place[i]));
	}
}

int lan_set(struct lbd *lbd, const struct lb_prefix *vip, enum lb_announce_state state)
{
	return lb_neighbors_set(lbd->maps.neighbors, &vip->address, lbd->running.config->announce.group,
				state);
}

void lan_forget(struct lbd *lbd, const struct lb_prefix *vip)
{
	lb_neighbors_forget(lbd->maps.neighbors, &vip->address);
}

/* The interface of the LAN, or NULL: there is none in the configuration. */
static const struct lb_config_interface *interface_of(const struct lbd *lbd)
{
	const struct lb_config *config = lbd->running.config;

	for (size_t i = 0; i < config->n_interfaces; i++)
		if (!config->announce.interface[0] ||
		    strcmp(config->interfaces[i].name, config->announce.interface) == 0)
			return &config->interfaces[i];
	return NULL;
}

/* Its own MAC address, or NULL. */
static const __u8 *mac_of(const struct lbd *lbd, int ifindex)
{
	for (size_t i = 0; i < lbd->stations.n; i++)
		if (lbd->stations.at[i].ifindex == ifindex && lbd->stations.at[i].own)
			return lbd->stations.at[i].mac;
	return NULL;
}

void lan_update(struct lbd *lbd)
{
	struct lb_neighbors *all = lbd->maps.neighbors;
	const struct lb_config_interface *interface = interface_of(lbd);
	static const __u8 none[6];
	__u8 group = lbd->running.config->announce.group;
	int ifindex = interface && all->used ? interfaces_index(lbd, interface) : 0;
	const __u8 *mac = ifindex ? mac_of(lbd, ifindex) : NULL;
	bool always = lbd->running.config->announce.leader == LB_LEADER_ALWAYS;

	for (unsigned int i = 0; i < LB_NEIGHBOR_GROUPS; i++)
		if (i != group && all->group[i].ifindex)
			lb_neighbors_place_group(all, (__u8)i, 0, none);
	lb_neighbors_place_group(all, group, mac ? (__u32)ifindex : 0, mac ? mac : none);
	if (always)
		lb_neighbors_lead(all, group, LB_NEIGHBOR_ALWAYS, monotonic_ns());
	else if (all->group[group].until_ns == LB_NEIGHBOR_ALWAYS)
		lb_neighbors_follow(all, group);
}

static bool is_silent(__u64 last_ns, __u64 now)
{
	return now > last_ns && now - last_ns > SILENCE_MS * NS_PER_MS;
}

void lan_write(struct lbd *lbd, struct json *json)
{
	const struct lb_neighbors *all = lbd->maps.neighbors;
	__u8 number = lbd->running.config->announce.group;
	const struct lb_neighbor_group *group = &all->group[number];
	char name[IF_NAMESIZE] = "";

	if (!all->used)
		return;
	json_object(json, "lan");
	json_string(json, "interface", if_indextoname(group->ifindex, name) ? name : "");
	json_u64(json, "group", number);
	json_bool(json, "leads", lb_neighbor_leads(group, monotonic_ns()));
	json_u64(json, "announced_by_others", group->heard);
	json_object_end(json);
}

/* What is amiss, of VIPs that are announced here. */
enum lan_trouble { LAN_WELL, LAN_NO_INTERFACE, LAN_NO_HELPER, LAN_NO_ELECTION };

static enum lan_trouble trouble_of(const struct lbd *lbd)
{
	const struct lb_neighbors *all = lbd->maps.neighbors;
	const struct lb_config *config = lbd->running.config;
	const struct lb_neighbor_group *group = &all->group[config->announce.group];
	__u64 now = monotonic_ns();

	if (!all->used)
		return LAN_WELL;
	if (!group->ifindex)
		return LAN_NO_INTERFACE;
	if (config->announce.leader == LB_LEADER_ALWAYS)
		return LAN_WELL;
	if (is_silent(all->alive_ns, now))
		return LAN_NO_HELPER;
	return is_silent(group->election_ns, now) && is_silent(group->confirmed_ns, now) ? LAN_NO_ELECTION
											 : LAN_WELL;
}

bool lan_is_unled(const struct lbd *lbd)
{
	return trouble_of(lbd) != LAN_WELL;
}

void lan_warn(const struct lbd *lbd, struct json *json)
{
	switch (trouble_of(lbd)) {
	case LAN_WELL:
		break;
	case LAN_NO_INTERFACE:
		json_string(json, NULL,
			    "VIPs that are announced by neighbor are answered for by nobody: their interface "
			    "is not there, or has no MAC address");
		break;
	case LAN_NO_HELPER:
		json_string(
			json, NULL,
			"VIPs that are announced by neighbor are answered for by nobody here: lb-neighbor "
			"does not run (systemctl enable --now lb-neighbor)");
		break;
	case LAN_NO_ELECTION:
		json_format(json, NULL,
			    "nobody decides who answers for VIPs that are announced by neighbor: no VRRP "
			    "advertisement of virtual router %u (announce.group) was seen",
			    lbd->running.config->announce.group);
		break;
	}
}
