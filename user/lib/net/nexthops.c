// SPDX-License-Identifier: GPL-2.0-only
/*
 * The next hop table. Three hash tables: links by index, neighbours by (link, address), destinations by
 * address (route_table.c). The way of a destination says which neighbour it needs, and a neighbour counts the
 * destinations that need it.
 */
#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->in_table = false)
#include "net/nexthops_internal.h"
#include "net/stations.h"

#include <errno.h>
#include <linux/netconf.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>

#include "net/stations.h"

int lb_nexthops_new(struct lb_nexthops **ret_nexthops)
{
	struct lb_nexthops *nexthops = calloc(1, sizeof(*nexthops));

	if (!nexthops)
		return -ENOMEM;
	*ret_nexthops = nexthops;
	return 0;
}

void lb_nexthops_free(struct lb_nexthops *nexthops)
{
	struct neighbor *neighbor, *next_neighbor;

	if (!nexthops)
		return;
	lb_destinations_done(&nexthops->destinations);
	HASH_ITER (hh, nexthops->neighbors, neighbor, next_neighbor) {
		HASH_DEL(nexthops->neighbors, neighbor);
		free(neighbor);
	}
	lb_links_done(&nexthops->links);
	lb_host_addresses_done(&nexthops->addresses);
	lb_path_mtus_done(&nexthops->mtus);
	free(nexthops);
}

struct neighbor_key lb_neighbor_key(int ifindex, const struct lb_address *address)
{
	struct neighbor_key key;

	memset(&key, 0, sizeof(key));
	key.ifindex = ifindex;
	key.address = *address;
	return key;
}

static struct neighbor *neighbor_get(struct lb_nexthops *nexthops, int ifindex,
				     const struct lb_address *address)
{
	struct neighbor_key key = lb_neighbor_key(ifindex, address);
	struct neighbor *neighbor;

	HASH_FIND(hh, nexthops->neighbors, &key, sizeof(key), neighbor);
	if (neighbor)
		return neighbor;
	neighbor = calloc(1, sizeof(*neighbor));
	if (!neighbor)
		return NULL;
	neighbor->key = key;
	neighbor->in_table = true;
	HASH_ADD(hh, nexthops->neighbors, key, sizeof(key), neighbor);
	if (!neighbor->in_table) {
		free(neighbor);
		return NULL;
	}
	return neighbor;
}

static void neighbor_drop(struct lb_nexthops *nexthops, struct neighbor *neighbor)
{
	HASH_DEL(nexthops->neighbors, neighbor);
	free(neighbor);
}

/* Nobody needs it and the kernel does not know it: nothing to remember. */
static void neighbor_drop_if_idle(struct lb_nexthops *nexthops, struct neighbor *neighbor)
{
	if (!neighbor->wanted && !neighbor->asked && !neighbor->last.state)
		neighbor_drop(nexthops, neighbor);
}

static int neighbor_lost(struct neighbor *neighbor, __u64 now_ms)
{
	if (!neighbor->usable || neighbor->lost_ms)
		return 0;
	neighbor->lost_ms = now_ms ? now_ms : 1;
	neighbor->ask_again = true;
	return neighbor->wanted ? LB_NEXTHOPS_LOST : 0;
}

/* It does not answer. A kernel that has other ways may take one of them now. */
static int neighbor_silent(struct neighbor *neighbor, __u64 now_ms)
{
	int mask = neighbor_lost(neighbor, now_ms);

	if (!(neighbor->last.state & NUD_FAILED) || neighbor->silent)
		return mask;
	neighbor->silent = neighbor->ask_again = true;
	return neighbor->wanted && !mask ? LB_NEXTHOPS_SILENT : mask;
}

static int apply_neighbor(struct lb_nexthops *nexthops, const struct lb_neighbor *message, __u64 now_ms)
{
	struct neighbor *neighbor = neighbor_get(nexthops, message->ifindex, &message->address);
	bool changed;

	if (!neighbor)
		return -ENOMEM;
	neighbor->seen = nexthops->seen;
	neighbor->last = *message;
	if (message->removed) {
		int r = neighbor_lost(neighbor, now_ms);

		/* Whoever removed it took our request away with it. */
		neighbor->asked = false;
		memset(&neighbor->last, 0, sizeof(neighbor->last));
		if (neighbor->wanted)
			return r | LB_NEXTHOPS_CHANGED;
		neighbor_drop_if_idle(nexthops, neighbor);
		return 0;
	}
	if (!lb_neighbor_usable(message))
		return neighbor_silent(neighbor, now_ms);
	changed = !neighbor->usable || hold_is_over(neighbor, now_ms) ||
		  memcmp(neighbor->mac, message->mac, sizeof(neighbor->mac)) != 0;
	neighbor->usable = true;
	neighbor->fresh = neighbor->silent = false;
	neighbor->lost_ms = 0;
	memcpy(neighbor->mac, message->mac, sizeof(neighbor->mac));
	return changed && neighbor->wanted ? LB_NEXTHOPS_CHANGED : 0;
}

static int link_remove(struct lb_nexthops *nexthops, int ifindex)
{
	struct neighbor *neighbor, *next;

	if (!lb_links_remove(&nexthops->links, ifindex))
		return 0;
	lb_host_addresses_leave(&nexthops->addresses, ifindex);
	HASH_ITER (hh, nexthops->neighbors, neighbor, next) {
		if (neighbor->key.ifindex != ifindex)
			continue;
		memset(&neighbor->last, 0, sizeof(neighbor->last));
		neighbor->usable = neighbor->asked = false;
		neighbor->lost_ms = 0;
		neighbor_drop_if_idle(nexthops, neighbor);
	}
	return LB_NEXTHOPS_LINK | LB_NEXTHOPS_CHANGED | LB_NEXTHOPS_ROUTE;
}

static int apply_link(struct lb_nexthops *nexthops, const struct nlmsghdr *message)
{
	struct lb_link link;
	int r = lb_link_parse(message, &link);

	if (r < 0)
		return r == -EOPNOTSUPP ? 0 : r;
	return link.removed ? link_remove(nexthops, link.ifindex) : lb_links_put(&nexthops->links, &link);
}

int lb_nexthops_apply(struct lb_nexthops *nexthops, const struct nlmsghdr *message, __u64 now_ms)
{
	struct lb_neighbor neighbor;
	struct lb_station station;
	int r;

	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		return apply_link(nexthops, message);
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		/* A list of unicast addresses may be another one: interfaces are looked at again. */
		if (lb_station_parse(message, &station) == 0)
			return lb_links_runs_xdp(&nexthops->links, station.ifindex) ? LB_NEXTHOPS_STATION : 0;
		r = lb_neighbor_parse(message, &neighbor);
		return r == 0 ? apply_neighbor(nexthops, &neighbor, now_ms) : r == -EOPNOTSUPP ? 0 : r;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		r = lb_host_addresses_apply(&nexthops->addresses, message);
		return r > 0 ? LB_NEXTHOPS_ADDRESS | LB_NEXTHOPS_CHANGED | LB_NEXTHOPS_ROUTE : r;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
	case RTM_NEWRULE:
	case RTM_DELRULE:
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
	case RTM_NEWNETCONF:
	case RTM_DELNETCONF:
		return LB_NEXTHOPS_ROUTE;
	default:
		return 0;
	}
}

void lb_nexthops_resync_begin(struct lb_nexthops *nexthops)
{
	nexthops->seen++;
	nexthops->links.seen++;
	nexthops->addresses.seen++;
}

struct leaving {
	struct lb_nexthops *nexthops;
	int mask;
};

static void link_leaves(void *context, int ifindex)
{
	struct leaving *leaving = context;

	leaving->mask |= link_remove(leaving->nexthops, ifindex);
}

int lb_nexthops_resync_end(struct lb_nexthops *nexthops, __u64 now_ms)
{
	struct leaving leaving = { .nexthops = nexthops };
	struct neighbor *neighbor, *next_neighbor;
	int mask;

	lb_links_unseen(&nexthops->links, link_leaves, &leaving);
	mask = leaving.mask;
	if (lb_host_addresses_unseen(&nexthops->addresses))
		mask |= LB_NEXTHOPS_ADDRESS | LB_NEXTHOPS_CHANGED;
	HASH_ITER (hh, nexthops->neighbors, neighbor, next_neighbor) {
		if (neighbor->seen == nexthops->seen || !neighbor->last.state)
			continue;
		neighbor->asked = false;
		memset(&neighbor->last, 0, sizeof(neighbor->last));
		mask |= neighbor_lost(neighbor, now_ms);
		if (neighbor->wanted)
			mask |= LB_NEXTHOPS_CHANGED;
		neighbor_drop_if_idle(nexthops, neighbor);
	}
	return mask;
}

struct neighbor *lb_neighbor_of(const struct lb_nexthops *nexthops, const struct lb_destination *destination,
				const struct lb_route_member *member)
{
	struct neighbor_key key = lb_neighbor_key(member->ifindex, member->gateway.family ? &member->gateway
											  : &destination->to);
	struct neighbor *neighbor;

	HASH_FIND(hh, nexthops->neighbors, &key, sizeof(key), neighbor);
	return neighbor;
}

/* Lets go of the neighbours of a destination that these members name. */
static void let_go(const struct lb_nexthops *nexthops, const struct lb_destination *destination,
		   const struct lb_route_member *members, __u32 n)
{
	for (__u32 i = 0; i < n; i++) {
		struct neighbor *neighbor = lb_neighbor_of(nexthops, destination, &members[i]);

		if (neighbor)
			neighbor->wanted--;
	}
}

static void destination_unhook(const struct lb_nexthops *nexthops, struct lb_destination *destination)
{
	const struct lb_way *way = lb_destinations_way(&nexthops->destinations, destination);

	if (destination->hooked && way)
		let_go(nexthops, destination, way->key.member, way->key.n);
	destination->hooked = false;
}

/* Takes hold of the neighbours that its way names, if that leads to another host. */
static void destination_hook(struct lb_nexthops *nexthops, struct lb_destination *destination)
{
	const struct lb_way *way = lb_destinations_way(&nexthops->destinations, destination);

	if (!way || way->key.type != RTN_UNICAST || !way->key.member[0].ifindex)
		return;
	for (__u32 i = 0; i < way->key.n; i++) {
		const struct lb_route_member *member = &way->key.member[i];
		struct neighbor *neighbor =
			neighbor_get(nexthops, member->ifindex,
				     member->gateway.family ? &member->gateway : &destination->to);

		if (!neighbor) {
			let_go(nexthops, destination, way->key.member, i);
			return;
		}
		if (!neighbor->wanted++)
			neighbor->fresh = !neighbor->usable;
	}
	destination->hooked = true;
}

void lb_nexthops_want_begin(struct lb_nexthops *nexthops)
{
	nexthops->wanted++;
	lb_path_mtus_begin(&nexthops->mtus);
}

int lb_nexthops_limit(struct lb_nexthops *nexthops, const struct lb_address *to, __u16 mtu)
{
	return lb_path_mtus_configure(&nexthops->mtus, to, mtu);
}

int lb_nexthops_want(struct lb_nexthops *nexthops, const struct lb_address *to)
{
	struct lb_destination *destination = lb_destinations_find(&nexthops->destinations, to);

	if (!destination) {
		destination = lb_destinations_add(&nexthops->destinations, to);
		if (!destination)
			return -ENOMEM;
		destination->error = ENOENT;
		destination->stale = true;
		nexthops->n_stale++;
	}
	destination->wanted = nexthops->wanted;
	return 0;
}

static void forget(void *context, struct lb_destination *destination)
{
	struct lb_nexthops *nexthops = context;

	nexthops->n_stale -= destination->stale;
	nexthops->n_seeking -= destination->seek;
	destination_unhook(nexthops, destination);
}

void lb_nexthops_want_end(struct lb_nexthops *nexthops)
{
	lb_destinations_keep(&nexthops->destinations, nexthops->wanted, forget, nexthops);
	lb_path_mtus_end(&nexthops->mtus);
}

void lb_nexthops_routes_stale(struct lb_nexthops *nexthops)
{
	for (size_t i = 0; i < nexthops->destinations.n; i++)
		nexthops->destinations.at[i].stale = true;
	nexthops->n_stale = nexthops->destinations.n;
}

size_t lb_nexthops_stale(struct lb_nexthops *nexthops, struct lb_address *ret, size_t capacity)
{
	size_t n = 0;

	for (size_t i = 0; n < nexthops->n_stale && n < capacity; i++) {
		if (nexthops->destinations.at[i].stale)
			ret[n++] = nexthops->destinations.at[i].to;
	}
	return n;
}

/* What a destination holds on to, while its way becomes another one: who is needed before and after must not
 * look like newly needed. */
struct held {
	struct lb_route_member member[LB_ROUTE_MEMBERS_MAX + 1];
	__u32 n;
};

static void hold(const struct lb_nexthops *nexthops, struct lb_destination *destination, struct held *held)
{
	const struct lb_way *way = lb_destinations_way(&nexthops->destinations, destination);

	held->n = destination->hooked && way ? way->key.n : 0;
	if (held->n)
		memcpy(held->member, way->key.member, held->n * sizeof(held->member[0]));
	destination->hooked = false;
}

static void set_seek(struct lb_nexthops *nexthops, struct lb_destination *destination, bool seek)
{
	nexthops->n_seeking += (size_t)seek - destination->seek;
	destination->seek = seek;
}

static void mark_stale(struct lb_nexthops *nexthops, struct lb_destination *destination)
{
	nexthops->n_stale += !destination->stale;
	destination->stale = true;
}

/* Whose ways are to be asked for. Whether there are any. */
static bool begin_asking(struct lb_nexthops *nexthops, __u64 now_ms)
{
	bool any = false;

	for (struct neighbor *neighbor = nexthops->neighbors; neighbor; neighbor = neighbor->hh.next) {
		neighbor->asking = neighbor->ask_again && neighbor->wanted;
		any |= neighbor->asking;
		/* One that is still believed is asked about when it no longer is. */
		if (!neighbor->lost_ms || hold_is_over(neighbor, now_ms))
			neighbor->ask_again = false;
	}
	return any;
}

#define ASKED_AT_ONCE 1024u

size_t lb_nexthops_lost_stale(struct lb_nexthops *nexthops, size_t from, __u64 now_ms)
{
	size_t n = nexthops->destinations.n, end = n - from < ASKED_AT_ONCE ? n : from + ASKED_AT_ONCE;

	if (from > n || (from == 0 && !begin_asking(nexthops, now_ms)))
		return 0;
	for (; from < end; from++) {
		struct lb_destination *destination = &nexthops->destinations.at[from];
		const struct lb_route_member *member = lb_member_of(nexthops, destination, now_ms);
		const struct neighbor *neighbor =
			member ? lb_neighbor_of(nexthops, destination, member) : NULL;

		if (neighbor && neighbor->asking && !lb_member_usable(nexthops, destination, member, now_ms))
			mark_stale(nexthops, destination);
	}
	return from < n ? from : 0;
}

void lb_nexthops_some_stale(struct lb_nexthops *nexthops, size_t n)
{
	if (n > nexthops->destinations.n)
		n = nexthops->destinations.n;
	for (size_t i = 0; i < n; i++) {
		if (nexthops->again >= nexthops->destinations.n)
			nexthops->again = 0;
		mark_stale(nexthops, &nexthops->destinations.at[nexthops->again++]);
	}
}

/* The way that the kernel chose cannot be used, and that is not for want of waiting. */
static bool is_dead_end(const struct lb_nexthops *nexthops, const struct lb_destination *destination,
			__u64 now_ms)
{
	const struct lb_route_member *member = lb_member_of(nexthops, destination, now_ms);
	const struct neighbor *neighbor = member ? lb_neighbor_of(nexthops, destination, member) : NULL;

	if (!neighbor || lb_member_usable(nexthops, destination, member, now_ms))
		return false;
	return neighbor->silent || neighbor->usable || !lb_member_sends(nexthops, member);
}

bool lb_nexthops_set_route(struct lb_nexthops *nexthops, const struct lb_address *to,
			   const struct lb_route *route, int error, __u64 now_ms)
{
	struct lb_destination *destination = lb_destinations_find(&nexthops->destinations, to);
	struct held held;
	bool changed;

	if (!destination)
		return false;
	if (route)
		error = 0;
	nexthops->n_stale -= destination->stale;
	destination->stale = false;
	changed = !destination->asked || destination->error != error;
	destination->asked = true;
	destination->error = (__u16)error;
	hold(nexthops, destination, &held);
	changed |= lb_destinations_set_way(&nexthops->destinations, destination, route);
	destination_hook(nexthops, destination);
	let_go(nexthops, destination, held.member, held.n);
	set_seek(nexthops, destination, is_dead_end(nexthops, destination, now_ms));
	return changed;
}

size_t lb_nexthops_seeking(struct lb_nexthops *nexthops, struct lb_address *ret, size_t capacity)
{
	size_t n = 0;

	for (size_t i = 0; n < capacity && n < nexthops->n_seeking && i < nexthops->destinations.n; i++)
		if (nexthops->destinations.at[i].seek)
			ret[n++] = nexthops->destinations.at[i].to;
	return n;
}

bool lb_nexthops_set_group(struct lb_nexthops *nexthops, const struct lb_address *to,
			   const struct lb_route_group *group, __u64 now_ms)
{
	struct lb_destination *destination = lb_destinations_find(&nexthops->destinations, to);
	const struct lb_route_member *before, *after;
	struct lb_route_member was = {};
	struct held held;

	if (!destination)
		return false;
	set_seek(nexthops, destination, false);
	before = lb_member_of(nexthops, destination, now_ms);
	if (!before || !group)
		return false;
	was = *before;
	hold(nexthops, destination, &held);
	lb_destinations_set_group(&nexthops->destinations, destination, group);
	destination_hook(nexthops, destination);
	let_go(nexthops, destination, held.member, held.n);
	after = lb_member_of(nexthops, destination, now_ms);
	return !after || memcmp(&was, after, sizeof(was)) != 0;
}

static bool visit_wants(struct neighbor *neighbor, enum lb_neighbor_request what)
{
	switch (what) {
	case LB_NEIGHBOR_MANAGE:
		if (!neighbor->wanted || neighbor->asked || lb_neighbor_is_fixed(&neighbor->last))
			return false;
		return neighbor->asked = true;
	case LB_NEIGHBOR_PROBE:
		return neighbor->wanted && !(neighbor->last.state & NUD_REACHABLE) &&
		       !lb_neighbor_is_fixed(&neighbor->last);
	case LB_NEIGHBOR_RELEASE:
		if (neighbor->wanted || !(neighbor->asked && neighbor->last.managed))
			return false;
		neighbor->asked = false;
		return true;
	}
	return false;
}

void lb_nexthops_visit(struct lb_nexthops *nexthops, enum lb_neighbor_request what,
		       void (*visit)(void *context, int ifindex, const struct lb_address *address),
		       void *context)
{
	struct neighbor *neighbor, *next;

	HASH_ITER (hh, nexthops->neighbors, neighbor, next) {
		const struct lb_link *link = lb_links_find(&nexthops->links, neighbor->key.ifindex);

		if (!link || link->type != ARPHRD_ETHER)
			continue;
		if (visit_wants(neighbor, what))
			visit(context, neighbor->key.ifindex, &neighbor->key.address);
	}
}

size_t lb_nexthops_fresh(struct lb_nexthops *nexthops, bool forget)
{
	struct neighbor *neighbor;
	size_t n = 0;

	for (neighbor = nexthops->neighbors; neighbor; neighbor = neighbor->hh.next) {
		n += neighbor->fresh && neighbor->wanted && neighbor->last.state != NUD_FAILED;
		if (forget)
			neighbor->fresh = false;
	}
	return n;
}

__u64 lb_nexthops_hold_ms(const struct lb_nexthops *nexthops, __u64 now_ms)
{
	const struct neighbor *neighbor;
	__u64 least = 0;

	for (neighbor = nexthops->neighbors; neighbor; neighbor = neighbor->hh.next) {
		__u64 left;

		if (!neighbor->wanted || !neighbor->usable || !neighbor->lost_ms ||
		    hold_is_over(neighbor, now_ms))
			continue;
		left = neighbor->lost_ms + LB_NEXTHOPS_HOLD_MS - now_ms;
		if (!least || left < least)
			least = left;
	}
	return least;
}
