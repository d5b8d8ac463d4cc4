// SPDX-License-Identifier: GPL-2.0-only
/*
 * The next hop table. Three hash tables: links by index, neighbours by (link, address), destinations by
 * address (route_table.c). The way of a destination says which neighbour it needs, and a neighbour counts the
 * destinations that need it.
 */
#include "net/nexthops.h"

#include <errno.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM            1
#define uthash_nonfatal_oom(element) ((element)->in_table = false)
#include <uthash.h>

#include "net/route_table.h"

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

struct lb_nexthops {
	struct link *links;
	struct neighbor *neighbors;
	struct lb_destinations destinations;
	unsigned int seen; /* number of the full dump */
	__u8 wanted;       /* number of the want pass */
	size_t n_stale;
};

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
	struct link *link, *next_link;

	if (!nexthops)
		return;
	lb_destinations_done(&nexthops->destinations);
	HASH_ITER (hh, nexthops->neighbors, neighbor, next_neighbor) {
		HASH_DEL(nexthops->neighbors, neighbor);
		free(neighbor);
	}
	HASH_ITER (hh, nexthops->links, link, next_link) {
		HASH_DEL(nexthops->links, link);
		free(link);
	}
	free(nexthops);
}

static struct neighbor_key neighbor_key(int ifindex, const struct lb_address *address)
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
	struct neighbor_key key = neighbor_key(ifindex, address);
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
	return neighbor->wanted ? LB_NEXTHOPS_LOST : 0;
}

/* It was lost, and is not believed any more. */
static bool hold_is_over(const struct neighbor *neighbor, __u64 now_ms)
{
	return neighbor->lost_ms && now_ms >= neighbor->lost_ms + LB_NEXTHOPS_HOLD_MS;
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
		return neighbor_lost(neighbor, now_ms);
	changed = !neighbor->usable || hold_is_over(neighbor, now_ms) ||
		  memcmp(neighbor->mac, message->mac, sizeof(neighbor->mac)) != 0;
	neighbor->usable = true;
	neighbor->fresh = false;
	neighbor->lost_ms = 0;
	memcpy(neighbor->mac, message->mac, sizeof(neighbor->mac));
	return changed && neighbor->wanted ? LB_NEXTHOPS_CHANGED : 0;
}

static int link_remove(struct lb_nexthops *nexthops, struct link *link)
{
	struct neighbor *neighbor, *next;
	int ifindex = link->link.ifindex;

	HASH_DEL(nexthops->links, link);
	free(link);
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

static int apply_link(struct lb_nexthops *nexthops, const struct lb_link *message)
{
	struct link *link;
	int r = 0;

	HASH_FIND_INT(nexthops->links, &message->ifindex, link);
	if (message->removed)
		return link ? link_remove(nexthops, link) : 0;
	if (!link) {
		link = calloc(1, sizeof(*link));
		if (!link)
			return -ENOMEM;
		link->link.ifindex = message->ifindex;
		link->in_table = true;
		HASH_ADD_INT(nexthops->links, link.ifindex, link);
		if (!link->in_table) {
			free(link);
			return -ENOMEM;
		}
		r = LB_NEXTHOPS_LINK | LB_NEXTHOPS_ROUTE | LB_NEXTHOPS_CHANGED;
	}
	link->seen = nexthops->seen;
	if (strcmp(link->link.name, message->name) != 0 || link->link.type != message->type ||
	    link->link.mtu != message->mtu || link->link.has_mac != message->has_mac ||
	    memcmp(link->link.mac, message->mac, sizeof(message->mac)) != 0)
		r |= LB_NEXTHOPS_LINK | LB_NEXTHOPS_CHANGED;
	/* IPv4 routes of a link that goes down vanish without a message of their own. */
	if (link->link.up != message->up)
		r |= LB_NEXTHOPS_LINK | LB_NEXTHOPS_CHANGED | LB_NEXTHOPS_ROUTE;
	if (link->link.xdp_program_id != message->xdp_program_id)
		r |= LB_NEXTHOPS_LINK;
	link->link = *message;
	return r;
}

int lb_nexthops_apply(struct lb_nexthops *nexthops, const struct nlmsghdr *message, __u64 now_ms)
{
	struct lb_neighbor neighbor;
	struct lb_link link;
	int r;

	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		r = lb_link_parse(message, &link);
		return r == 0 ? apply_link(nexthops, &link) : r == -EOPNOTSUPP ? 0 : r;
	case RTM_NEWNEIGH:
	case RTM_DELNEIGH:
		r = lb_neighbor_parse(message, &neighbor);
		return r == 0 ? apply_neighbor(nexthops, &neighbor, now_ms) : r == -EOPNOTSUPP ? 0 : r;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return LB_NEXTHOPS_ROUTE;
	default:
		return 0;
	}
}

void lb_nexthops_resync_begin(struct lb_nexthops *nexthops)
{
	nexthops->seen++;
}

int lb_nexthops_resync_end(struct lb_nexthops *nexthops, __u64 now_ms)
{
	struct neighbor *neighbor, *next_neighbor;
	struct link *link, *next_link;
	int mask = 0;

	HASH_ITER (hh, nexthops->links, link, next_link)
		if (link->seen != nexthops->seen)
			mask |= link_remove(nexthops, link);
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

/* The neighbour that a destination goes by; NULL: no route to another host. */
static struct neighbor *neighbor_of(const struct lb_nexthops *nexthops,
				    const struct lb_destination *destination)
{
	const struct lb_way *way = lb_destinations_way(&nexthops->destinations, destination);
	struct neighbor *neighbor = NULL;
	struct neighbor_key key;

	if (!destination->hooked || !way)
		return NULL;
	key = neighbor_key(way->key.ifindex, way->key.gateway.family ? &way->key.gateway : &destination->to);
	HASH_FIND(hh, nexthops->neighbors, &key, sizeof(key), neighbor);
	return neighbor;
}

/* Lets go of the neighbour of a destination. */
static void destination_unhook(const struct lb_nexthops *nexthops, struct lb_destination *destination)
{
	struct neighbor *neighbor = neighbor_of(nexthops, destination);

	if (neighbor)
		neighbor->wanted--;
	destination->hooked = false;
}

void lb_nexthops_want_begin(struct lb_nexthops *nexthops)
{
	nexthops->wanted++;
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
	destination_unhook(nexthops, destination);
}

void lb_nexthops_want_end(struct lb_nexthops *nexthops)
{
	lb_destinations_keep(&nexthops->destinations, nexthops->wanted, forget, nexthops);
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

bool lb_nexthops_set_route(struct lb_nexthops *nexthops, const struct lb_address *to,
			   const struct lb_route *route, int error)
{
	struct lb_destination *destination = lb_destinations_find(&nexthops->destinations, to);
	struct neighbor *before, *neighbor = NULL;
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
	before = neighbor_of(nexthops, destination);
	changed |= lb_destinations_set_way(&nexthops->destinations, destination, route);
	if (destination->way && route->type == RTN_UNICAST && route->ifindex)
		neighbor =
			neighbor_get(nexthops, route->ifindex, route->gateway.family ? &route->gateway : to);
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

void lb_nexthops_visit(struct lb_nexthops *nexthops, enum lb_neighbor_request what,
		       void (*visit)(void *context, int ifindex, const struct lb_address *address),
		       void *context)
{
	struct neighbor *neighbor, *next;

	HASH_ITER (hh, nexthops->neighbors, neighbor, next) {
		const struct link *link;

		HASH_FIND_INT(nexthops->links, &neighbor->key.ifindex, link);
		if (!link || link->link.type != ARPHRD_ETHER)
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

void lb_nexthops_get(struct lb_nexthops *nexthops, const struct lb_address *to, __u64 now_ms,
		     struct lb_nexthop_state *ret_nexthop)
{
	const struct lb_destination *destination = lb_destinations_find(&nexthops->destinations, to);
	const struct lb_way *taken =
		destination ? lb_destinations_way(&nexthops->destinations, destination) : NULL;
	const struct lb_way_key *way;
	const struct neighbor *neighbor;
	struct lb_nexthop_state nexthop = {};
	const struct link *link = NULL;

	nexthop.why = destination ? route_error_text(destination, taken) : "not asked yet";
	if (nexthop.why || !taken) {
		*ret_nexthop = nexthop;
		return;
	}
	way = &taken->key;
	neighbor = neighbor_of(nexthops, destination);
	nexthop.ifindex = way->ifindex;
	nexthop.source_address = way->source;
	if (neighbor)
		nexthop.neighbor = neighbor->key.address;
	HASH_FIND_INT(nexthops->links, &nexthop.ifindex, link);
	if (!link)
		nexthop.why = "the interface of its route is gone";
	else if (link->link.type != ARPHRD_ETHER || !link->link.has_mac)
		nexthop.why = "the interface of its route is not Ethernet";
	else if (!link->link.up)
		nexthop.why = "the interface of its route is down";
	else if (!neighbor || !neighbor->usable || hold_is_over(neighbor, now_ms))
		nexthop.why = "its neighbour does not answer";
	if (link)
		nexthop.mtu = way->mtu && way->mtu < link->link.mtu ? way->mtu : link->link.mtu;
	if (!nexthop.why) {
		nexthop.resolved = true;
		memcpy(nexthop.destination, neighbor->mac, sizeof(nexthop.destination));
		memcpy(nexthop.source, link->link.mac, sizeof(nexthop.source));
	}
	*ret_nexthop = nexthop;
}

const struct lb_link *lb_nexthops_link(const struct lb_nexthops *nexthops, int ifindex)
{
	const struct link *link;

	HASH_FIND_INT(nexthops->links, &ifindex, link);
	return link ? &link->link : NULL;
}

const struct lb_link *lb_nexthops_link_by_name(const struct lb_nexthops *nexthops, const char *name)
{
	const struct link *link;

	for (link = nexthops->links; link; link = link->hh.next)
		if (strcmp(link->link.name, name) == 0)
			return &link->link;
	return NULL;
}

void lb_nexthops_count(const struct lb_nexthops *nexthops, struct lb_nexthops_counts *ret_counts)
{
	*ret_counts = (struct lb_nexthops_counts){
		.links = HASH_COUNT(nexthops->links),
		.neighbors = HASH_COUNT(nexthops->neighbors),
		.destinations = nexthops->destinations.n,
		.stale = nexthops->n_stale,
	};
}
