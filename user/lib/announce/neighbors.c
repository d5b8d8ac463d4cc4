// SPDX-License-Identifier: GPL-2.0-only
/*
 * See neighbors.h. Packets read while this writes: a place is filled in before its flags say so, and its
 * flags are taken away before it is given to another VIP.
 */
#include "announce/neighbors.h"

#include <errno.h>
#include <string.h>

#include "lb/types.h"

#define UNSERVED_MAX 50 /* that count */
#define LEAVING      100

static void words_of(const struct lb_address *vip, __u64 ret_words[2])
{
	ret_words[0] = ret_words[1] = 0;
	memcpy(ret_words, vip->bytes, vip->family == LB_FAMILY_V4 ? 4 : 16);
}

static __u32 flags_of(enum lb_announce_state state)
{
	switch (state) {
	case LB_ANNOUNCE_SERVING:
		return LB_NEIGHBOR_USED | LB_NEIGHBOR_SERVING;
	case LB_ANNOUNCE_DRAINING:
		return LB_NEIGHBOR_USED | LB_NEIGHBOR_SERVING | LB_NEIGHBOR_DRAINING;
	case LB_ANNOUNCE_WITHDRAWN:
		break;
	}
	return LB_NEIGHBOR_USED;
}

enum lb_announce_state lb_neighbor_state(const struct lb_neighbor_vip *neighbor)
{
	__u32 flags = LB_LOAD(&neighbor->flags);

	if (!(flags & LB_NEIGHBOR_SERVING))
		return LB_ANNOUNCE_WITHDRAWN;
	return flags & LB_NEIGHBOR_DRAINING ? LB_ANNOUNCE_DRAINING : LB_ANNOUNCE_SERVING;
}

void lb_neighbor_address(const struct lb_neighbor_vip *neighbor, struct lb_address *ret_address)
{
	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->family = neighbor->family;
	memcpy(ret_address->bytes, neighbor->address, neighbor->family == LB_FAMILY_V4 ? 4 : 16);
}

/* The VIP's place, or NULL and, in ret_free, the first that it could have. */
static struct lb_neighbor_vip *look(struct lb_neighbors *all, const struct lb_address *vip,
				    struct lb_neighbor_vip **ret_free)
{
	struct lb_neighbor_vip *unused = NULL;
	__u64 words[2];
	__u32 place;

	words_of(vip, words);
	place = lb_neighbor_place(words[0], words[1]);
	for (__u32 i = 0; i < LB_NEIGHBOR_PROBES; i++) {
		struct lb_neighbor_vip *at = &all->place[(place + i) & (LB_NEIGHBOR_PLACES - 1)];

		if (at->flags && at->family == vip->family && at->address[0] == words[0] &&
		    at->address[1] == words[1])
			return at;
		if (!at->flags && !unused)
			unused = at;
		if (!at->family)
			break;
	}
	*ret_free = unused;
	return NULL;
}

struct lb_neighbor_vip *lb_neighbors_find(struct lb_neighbors *all, const struct lb_address *vip)
{
	struct lb_neighbor_vip *unused;

	return look(all, vip, &unused);
}

static void count_change(struct lb_neighbors *all)
{
	LB_STORE(&all->changes, all->changes + 1);
}

int lb_neighbors_set(struct lb_neighbors *all, const struct lb_address *vip, __u8 group,
		     enum lb_announce_state state)
{
	struct lb_neighbor_vip *unused = NULL, *at = look(all, vip, &unused);
	__u64 words[2];

	if (at && at->group == group && at->flags == flags_of(state))
		return 0;
	if (!at && (all->used >= LB_NEIGHBORS_MAX || !unused))
		return -ENOSPC;
	if (!at) {
		words_of(vip, words);
		at = unused;
		LB_STORE(&at->address[0], words[0]);
		LB_STORE(&at->address[1], words[1]);
		at->answered = 0;
		LB_STORE(&at->family, vip->family);
		LB_STORE(&all->used, all->used + 1);
	}
	LB_STORE(&at->group, group);
	LB_STORE(&at->flags, flags_of(state));
	count_change(all);
	return 0;
}

void lb_neighbors_forget(struct lb_neighbors *all, const struct lb_address *vip)
{
	struct lb_neighbor_vip *at = lb_neighbors_find(all, vip);

	if (!at)
		return;
	LB_STORE(&at->flags, 0);
	LB_STORE(&all->used, all->used - 1);
	count_change(all);
}

void lb_neighbors_place_group(struct lb_neighbors *all, __u8 group, __u32 ifindex, const __u8 mac[6])
{
	struct lb_neighbor_group *at = &all->group[group];

	if (at->ifindex == ifindex && memcmp(at->mac, mac, sizeof(at->mac)) == 0)
		return;
	LB_STORE(&at->ifindex, 0);
	memcpy(at->mac, mac, sizeof(at->mac));
	LB_STORE(&at->ifindex, ifindex);
	count_change(all);
}

void lb_neighbors_lead(struct lb_neighbors *all, __u8 group, __u64 until_ns, __u64 now_ns)
{
	LB_STORE(&all->group[group].confirmed_ns, now_ns);
	LB_STORE(&all->group[group].until_ns, until_ns);
}

void lb_neighbors_follow(struct lb_neighbors *all, __u8 group)
{
	LB_STORE(&all->group[group].until_ns, 0);
}

int lb_neighbors_fitness(const struct lb_neighbors *all, __u8 group)
{
	int serving = 0, draining = 0, unserved = 0;

	if (!LB_LOAD(&all->group[group].ifindex))
		return LB_FITNESS_NONE;
	for (__u32 i = 0; i < LB_NEIGHBOR_PLACES; i++) {
		const struct lb_neighbor_vip *at = &all->place[i];

		if (!LB_LOAD(&at->flags) || at->group != group)
			continue;
		serving += lb_neighbor_state(at) == LB_ANNOUNCE_SERVING;
		draining += lb_neighbor_state(at) == LB_ANNOUNCE_DRAINING;
		unserved += lb_neighbor_state(at) == LB_ANNOUNCE_WITHDRAWN;
	}
	if (!serving && !draining)
		return LB_FITNESS_NONE;
	return -(unserved < UNSERVED_MAX ? unserved : UNSERVED_MAX) - (draining ? LEAVING : 0);
}
