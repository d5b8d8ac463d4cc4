// SPDX-License-Identifier: GPL-2.0-only
/*
 * The next hop table. Three hash tables: links by index, neighbours by (link, address), destinations by
 * address (route-table.c). The way of a destination says which neighbour it needs, and a neighbour counts the
 * destinations that need it.
 */
#include "route-hops.h"

#include <errno.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->in_table = false)
#include <uthash.h>

#include "route-table.h"

struct link {
	struct lb_link link; /* key: link.ifindex */
	unsigned int seen;
	bool in_table;
	UT_hash_handle hh;
};

struct neighbor_key {
	int ifindex;
	struct lb_address address;
	__u8 pad[3];
};

struct neighbor {
	struct neighbor_key key;
	struct lb_neighbor last; /* as the kernel says; state 0 when it says nothing */
	__u8 mac[6];             /* last usable one */
	bool usable;             /* mac may be used: usable now, or lost a moment ago */
	bool asked;              /* we asked the kernel to keep it */
	bool fresh;              /* wanted anew and not usable since */
	__u64 lost_ms;           /* when it stopped being usable; 0: it did not */
	unsigned int wanted;     /* destinations that go this way */
	unsigned int seen;
	bool in_table;
	UT_hash_handle hh;
};

struct lb_hops {
	struct link *links;
	struct neighbor *neighbors;
	struct lb_destinations destinations;
	unsigned int seen; /* number of the full dump */
	__u8 wanted;       /* number of the want pass */
	size_t n_stale;
};

int lb_hops_new(struct lb_hops **ret_hops)
{
	struct lb_hops *hops = calloc(1, sizeof(*hops));

	if (!hops)
		return -ENOMEM;
	*ret_hops = hops;
	return 0;
}

void lb_hops_free(struct lb_hops *hops)
{
	struct neighbor *neighbor, *next_neighbor;
	struct link *link, *next_link;

	if (!hops)
		return;
	lb_destinations_done(&hops->destinations);
	HASH_ITER (hh, hops->neighbors, neighbor, next_neighbor) {
		HASH_DEL(hops->neighbors, neighbor);
		free(neighbor);
	}
	HASH_ITER (hh, hops->links, link, next_link) {
		HASH_DEL(hops->links, link);
		free(link);
	}
	free(hops);
}

static struct neighbor_key neighbor_key(int ifindex, const struct lb_address *address)
{
	struct neighbor_key key;

	memset(&key, 0, sizeof(key));
	key.ifindex = ifindex;
	key.address = *address;
	return key;
}

static struct neighbor *neighbor_get(struct lb_hops *hops, int ifindex, const struct lb_address *address)
{
	struct neighbor_key key = neighbor_key(ifindex, address);
	struct neighbor *neighbor;

	HASH_FIND(hh, hops->neighbors, &key, sizeof(key), neighbor);
	if (neighbor)
		return neighbor;
	neighbor = calloc(1, sizeof(*neighbor));
	if (!neighbor)
		return NULL;
	neighbor->key = key;
	neighbor->in_table = true;
	HASH_ADD(hh, hops->neighbors, key, sizeof(key), neighbor);
	if (!neighbor->in_table) {
		free(neighbor);
		return NULL;
	}
	return neighbor;
}

static void neighbor_drop(struct lb_hops *hops, struct neighbor *neighbor)
{
	HASH_DEL(hops->neighbors, neighbor);
	free(neighbor);
}

/* Nobody needs it and the kernel does not know it: nothing to remember. */
static void neighbor_drop_if_idle(struct lb_hops *hops, struct neighbor *neighbor)
{
	if (!neighbor->wanted && !neighbor->asked && !neighbor->last.state)
		neighbor_drop(hops, neighbor);
}

static int neighbor_lost(struct neighbor *neighbor, __u64 now_ms)
{
	if (!neighbor->usable || neighbor->lost_ms)
		return 0;
	neighbor->lost_ms = now_ms ? now_ms : 1;
	return neighbor->wanted ? LB_HOPS_LOST : 0;
}

/* It was lost, and is not believed any more. */
static bool hold_is_over(const struct neighbor *neighbor, __u64 now_ms)
{
	return neighbor->lost_ms && now_ms >= neighbor->lost_ms + LB_HOPS_HOLD_MS;
}

static int apply_neighbor(struct lb_hops *hops, const struct lb_neighbor *message, __u64 now_ms)
{
	struct neighbor *neighbor = neighbor_get(hops, message->ifindex, &message->address);
	bool changed;

	if (!neighbor)
		return -ENOMEM;
	neighbor->seen = hops->seen;
	neighbor->last = *message;
	if (message->removed) {
		int r = neighbor_lost(neighbor, now_ms);

		/* Whoever removed it took our request away with it. */
		neighbor->asked = false;
		memset(&neighbor->last, 0, sizeof(neighbor->last));
		if (neighbor->wanted)
			return r | LB_HOPS_CHANGED;
		neighbor_drop_if_idle(hops, neighbor);
		return 0;
	}
	if (!lb_neighbor_usable(message))
		return neighbor_lost(neighbor, now_ms);
	changed = !neighbor->usable || hold_is_over(neighbor, now_ms) ||
		  memcmp(neighbor->mac, message->mac, sizeof(neighbor->mac)) != 0;
	neighbor->usable = true;
	neighbor->fresh = false;
	neighbor->lost_ms = 0;
	memcpy(neighbor->mac, message->mac, sizeof(neighbor->mac));
	return changed && neighbor->wanted ? LB_HOPS_CHANGED : 0;
}

static int link_remove(struct lb_hops *hops, struct link *link)
{
	struct neighbor *neighbor, *next;
	int ifindex = link->link.ifindex;

	HASH_DEL(hops->links, link);
	free(link);
	HASH_ITER (hh, hops->neighbors, neighbor, next) {
		if (neighbor->key.ifindex != ifindex)
			continue;
		memset(&neighbor->last, 0, sizeof(neighbor->last));
		neighbor->usable = neighbor->asked = false;
		neighbor->lost_ms = 0;
		neighbor_drop_if_idle(hops, neighbor);
	}
	return LB_HOPS_LINK | LB_HOPS_CHANGED | LB_HOPS_ROUTE;
}

static int apply_link(struct lb_hops *hops, const struct lb_link *message)
{
	struct link *link;
	int r = 0;

	HASH_FIND_INT(hops->links, &message->ifindex, link);
	if (message->removed)
		return link ? link_remove(hops, link) : 0;
	if (!link) {
		link = calloc(1, sizeof(*link));
		if (!link)
			return -ENOMEM;
		link->link.ifindex = message->ifindex;
		link->in_table = true;
		HASH_ADD_INT(hops->links, link.ifindex, link);
		if (!link->in_table) {
			free(link);
			return -ENOMEM;
		}
		r = LB_HOPS_LINK | LB_HOPS_ROUTE | LB_HOPS_CHANGED;
	}
	link->seen = hops->seen;
	if (strcmp(link->link.name, message->name) != 0 || link->link.type != message->type ||
	    link->link.mtu != message->mtu || link->link.has_mac != message->has_mac ||
	    memcmp(link->link.mac, message->mac, sizeof(message->mac)) != 0)
		r |= LB_HOPS_LINK | LB_HOPS_CHANGED;
	/* IPv4 routes of a link that goes down vanish without a message of their own. */
	if (link->link.up != message->up)
		r |= LB_HOPS_LINK | LB_HOPS_CHANGED | LB_HOPS_ROUTE;
	if (link->link.xdp_program_id != message->xdp_program_id)
		r |= LB_HOPS_LINK;
	link->link = *message;
	return r;
}

int lb_hops_apply(struct lb_hops *hops, const struct nlmsghdr *message, __u64 now_ms)
{
	struct lb_neighbor neighbor;
	struct lb_link link;
	int r;

	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		r = lb_link_parse(message, &link);
		return r == 0 ? apply_link(hops, &link) : r == -EOPNOTSUPP ? 0 : r;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		r = lb_neighbor_parse(message, &neighbor);
		return r == 0 ? apply_neighbor(hops, &neighbor, now_ms) : r == -EOPNOTSUPP ? 0 : r;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return LB_HOPS_ROUTE;
	default:
		return 0;
	}
}

void lb_hops_resync_begin(struct lb_hops *hops)
{
	hops->seen++;
}

int lb_hops_resync_end(struct lb_hops *hops, __u64 now_ms)
{
	struct neighbor *neighbor, *next_neighbor;
	struct link *link, *next_link;
	int mask = 0;

	HASH_ITER (hh, hops->links, link, next_link)
		if (link->seen != hops->seen)
			mask |= link_remove(hops, link);
	HASH_ITER (hh, hops->neighbors, neighbor, next_neighbor) {
		if (neighbor->seen == hops->seen || !neighbor->last.state)
			continue;
		neighbor->asked = false;
		memset(&neighbor->last, 0, sizeof(neighbor->last));
		mask |= neighbor_lost(neighbor, now_ms);
		if (neighbor->wanted)
			mask |= LB_HOPS_CHANGED;
		neighbor_drop_if_idle(hops, neighbor);
	}
	return mask;
}

/* The neighbour that a destination goes by; NULL: no route to another host. */
static struct neighbor *neighbor_of(const struct lb_hops *hops, const struct lb_destination *destination)
{
	const struct lb_way *way = lb_destinations_way(&hops->destinations, destination);
	struct neighbor *neighbor = NULL;
	struct neighbor_key key;

	if (!destination->hooked || !way)
		return NULL;
	key = neighbor_key(way->key.ifindex, way->key.gateway.family ? &way->key.gateway : &destination->to);
	HASH_FIND(hh, hops->neighbors, &key, sizeof(key), neighbor);
	return neighbor;
}

/* Lets go of the neighbour of a destination. */
static void destination_unhook(const struct lb_hops *hops, struct lb_destination *destination)
{
	struct neighbor *neighbor = neighbor_of(hops, destination);

	if (neighbor)
		neighbor->wanted--;
	destination->hooked = false;
}

void lb_hops_want_begin(struct lb_hops *hops)
{
	hops->wanted++;
}

int lb_hops_want(struct lb_hops *hops, const struct lb_address *to)
{
	struct lb_destination *destination = lb_destinations_find(&hops->destinations, to);

	if (!destination) {
		destination = lb_destinations_add(&hops->destinations, to);
		if (!destination)
			return -ENOMEM;
		destination->error = ENOENT;
		destination->stale = true;
		hops->n_stale++;
	}
	destination->wanted = hops->wanted;
	return 0;
}

static void forget(void *context, struct lb_destination *destination)
{
	struct lb_hops *hops = context;

	hops->n_stale -= destination->stale;
	destination_unhook(hops, destination);
}

void lb_hops_want_end(struct lb_hops *hops)
{
	lb_destinations_keep(&hops->destinations, hops->wanted, forget, hops);
}

void lb_hops_routes_stale(struct lb_hops *hops)
{
	for (size_t i = 0; i < hops->destinations.n; i++)
		hops->destinations.at[i].stale = true;
	hops->n_stale = hops->destinations.n;
}

size_t lb_hops_stale(struct lb_hops *hops, struct lb_address *ret, size_t capacity)
{
	size_t n = 0;

	for (size_t i = 0; n < hops->n_stale && n < capacity; i++) {
		if (hops->destinations.at[i].stale)
			ret[n++] = hops->destinations.at[i].to;
	}
	return n;
}

bool lb_hops_set_route(struct lb_hops *hops, const struct lb_address *to, const struct lb_route *route,
		       int error)
{
	struct lb_destination *destination = lb_destinations_find(&hops->destinations, to);
	struct neighbor *before, *neighbor = NULL;
	bool changed;

	if (!destination)
		return false;
	if (route)
		error = 0;
	hops->n_stale -= destination->stale;
	destination->stale = false;
	changed = !destination->asked || destination->error != error;
	destination->asked = true;
	destination->error = (__u16)error;
	before = neighbor_of(hops, destination);
	changed |= lb_destinations_set_way(&hops->destinations, destination, route);
	if (destination->way && route->type == RTN_UNICAST && route->ifindex)
		neighbor = neighbor_get(hops, route->ifindex, route->gateway.family ? &route->gateway : to);
	if (neighbor && !neighbor->wanted++)
		neighbor->fresh = !neighbor->usable;
	if (before)
		before->wanted--;
	destination->hooked = neighbor != NULL;
	return changed;
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

void lb_hops_visit(struct lb_hops *hops, enum lb_neighbor_request what,
		   void (*visit)(void *context, int ifindex, const struct lb_address *address), void *context)
{
	struct neighbor *neighbor, *next;

	HASH_ITER (hh, hops->neighbors, neighbor, next) {
		const struct link *link;

		HASH_FIND_INT(hops->links, &neighbor->key.ifindex, link);
		if (!link || link->link.type != ARPHRD_ETHER)
			continue;
		if (visit_wants(neighbor, what))
			visit(context, neighbor->key.ifindex, &neighbor->key.address);
	}
}

size_t lb_hops_fresh(struct lb_hops *hops, bool forget)
{
	struct neighbor *neighbor;
	size_t n = 0;

	for (neighbor = hops->neighbors; neighbor; neighbor = neighbor->hh.next) {
		n += neighbor->fresh && neighbor->wanted && neighbor->last.state != NUD_FAILED;
		if (forget)
			neighbor->fresh = false;
	}
	return n;
}

__u64 lb_hops_hold_ms(const struct lb_hops *hops, __u64 now_ms)
{
	const struct neighbor *neighbor;
	__u64 least = 0;

	for (neighbor = hops->neighbors; neighbor; neighbor = neighbor->hh.next) {
		__u64 left;

		if (!neighbor->wanted || !neighbor->usable || !neighbor->lost_ms ||
		    hold_is_over(neighbor, now_ms))
			continue;
		left = neighbor->lost_ms + LB_HOPS_HOLD_MS - now_ms;
		if (!least || left < least)
			least = left;
	}
	return least;
}

static const char *route_error_text(const struct lb_destination *destination, const struct lb_way *way)
{
	if (!destination->asked)
		return "not asked yet";
	if (destination->error == ENETUNREACH || destination->error == EHOSTUNREACH)
		return "no route";
	if (destination->error)
		return "the kernel refuses the route";
	switch (way ? way->key.type : RTN_UNSPEC) {
	case RTN_UNICAST:
		return NULL;
	case RTN_LOCAL:
		return "it is an address of this host";
	case RTN_BLACKHOLE:
	case RTN_UNREACHABLE:
	case RTN_PROHIBIT:
		return "the route says unreachable";
	default:
		return "the route does not lead to one host";
	}
}

void lb_hops_get(struct lb_hops *hops, const struct lb_address *to, __u64 now_ms, struct lb_hop *ret_hop)
{
	const struct lb_destination *destination = lb_destinations_find(&hops->destinations, to);
	const struct lb_way *taken =
		destination ? lb_destinations_way(&hops->destinations, destination) : NULL;
	const struct lb_way_key *way;
	const struct neighbor *neighbor;
	struct lb_hop hop = {};
	const struct link *link = NULL;

	hop.why = destination ? route_error_text(destination, taken) : "not asked yet";
	if (hop.why || !taken) {
		*ret_hop = hop;
		return;
	}
	way = &taken->key;
	neighbor = neighbor_of(hops, destination);
	hop.ifindex = way->ifindex;
	hop.source_address = way->source;
	if (neighbor)
		hop.neighbor = neighbor->key.address;
	HASH_FIND_INT(hops->links, &hop.ifindex, link);
	if (!link)
		hop.why = "the interface of its route is gone";
	else if (link->link.type != ARPHRD_ETHER || !link->link.has_mac)
		hop.why = "the interface of its route is not Ethernet";
	else if (!link->link.up)
		hop.why = "the interface of its route is down";
	else if (!neighbor || !neighbor->usable || hold_is_over(neighbor, now_ms))
		hop.why = "its neighbour does not answer";
	if (link)
		hop.mtu = way->mtu && way->mtu < link->link.mtu ? way->mtu : link->link.mtu;
	if (!hop.why) {
		hop.resolved = true;
		memcpy(hop.destination, neighbor->mac, sizeof(hop.destination));
		memcpy(hop.source, link->link.mac, sizeof(hop.source));
	}
	*ret_hop = hop;
}

const struct lb_link *lb_hops_link(const struct lb_hops *hops, int ifindex)
{
	const struct link *link;

	HASH_FIND_INT(hops->links, &ifindex, link);
	return link ? &link->link : NULL;
}

const struct lb_link *lb_hops_link_by_name(const struct lb_hops *hops, const char *name)
{
	const struct link *link;

	for (link = hops->links; link; link = link->hh.next)
		if (strcmp(link->link.name, name) == 0)
			return &link->link;
	return NULL;
}

void lb_hops_count(const struct lb_hops *hops, struct lb_hops_counts *ret_counts)
{
	*ret_counts = (struct lb_hops_counts){
		.links = HASH_COUNT(hops->links),
		.neighbors = HASH_COUNT(hops->neighbors),
		.destinations = hops->destinations.n,
		.stale = hops->n_stale,
	};
}
