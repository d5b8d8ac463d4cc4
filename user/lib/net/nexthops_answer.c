// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is known of the way to an address, put together from routes, links and neighbours, or why there is
 * none in words.
 */
#include "net/nexthops_internal.h"

#include <errno.h>
#include <linux/lwtunnel.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>

bool lb_member_sends(const struct lb_nexthops *nexthops, const struct lb_route_member *member)
{
	const struct lb_link *link = lb_links_find(&nexthops->links, member->ifindex);
	struct lb_egress egress;
	char why[1];

	return link && lb_links_egress(&nexthops->links, link, &egress, why, sizeof(why));
}

bool lb_member_usable(const struct lb_nexthops *nexthops, const struct lb_destination *destination,
		      const struct lb_route_member *member, __u64 now_ms)
{
	const struct neighbor *neighbor = lb_neighbor_of(nexthops, destination, member);

	return neighbor && neighbor->usable && !hold_is_over(neighbor, now_ms) &&
	       lb_member_sends(nexthops, member);
}

const struct lb_route_member *lb_member_of(const struct lb_nexthops *nexthops,
					   const struct lb_destination *destination, __u64 now_ms)
{
	const struct lb_way *way = lb_destinations_way(&nexthops->destinations, destination);

	if (!destination->hooked || !way)
		return NULL;
	for (__u32 i = 0; way->key.n > 1 && i < way->key.n; i++)
		if (lb_member_usable(nexthops, destination, &way->key.member[i], now_ms))
			return &way->key.member[i];
	return &way->key.member[0];
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
	case RTN_LOCAL:
		return NULL;
	case RTN_BLACKHOLE:
	case RTN_UNREACHABLE:
	case RTN_PROHIBIT:
		return "the route says unreachable";
	default:
		return "the route does not lead to one host";
	}
}

static const char *encapsulation_name(__u32 type)
{
	static const char *const names[] = {
		[LWTUNNEL_ENCAP_MPLS] = "mpls",
		[LWTUNNEL_ENCAP_IP] = "ip",
		[LWTUNNEL_ENCAP_ILA] = "ila",
		[LWTUNNEL_ENCAP_IP6] = "ip6",
		[LWTUNNEL_ENCAP_SEG6] = "seg6",
		[LWTUNNEL_ENCAP_BPF] = "bpf",
		[LWTUNNEL_ENCAP_SEG6_LOCAL] = "seg6local",
		[LWTUNNEL_ENCAP_RPL] = "rpl",
	};

	return type < sizeof(names) / sizeof(names[0]) && names[type] ? names[type] : "a tunnel's";
}

static void say(struct lb_nexthop_state *nexthop, const char *text)
{
	snprintf(nexthop->why, sizeof(nexthop->why), "%s", text);
}

/* The link that the route leads by: where its frames are handed over. */
static void answer_link(const struct lb_nexthops *nexthops, const struct lb_link *link, __u32 route_mtu,
			struct lb_nexthop_state *nexthop)
{
	struct lb_egress egress = {};

	if (!link) {
		say(nexthop, "the interface of its route is gone");
		return;
	}
	nexthop->mtu = route_mtu && route_mtu < link->mtu ? route_mtu : link->mtu;
	if (link->type != ARPHRD_ETHER || !link->has_mac) {
		say(nexthop, "the interface of its route is not Ethernet");
	} else if (!link->up) {
		say(nexthop, "the interface of its route is down");
	} else if (lb_links_egress(&nexthops->links, link, &egress, nexthop->why, sizeof(nexthop->why))) {
		nexthop->egress = egress.ifindex;
		nexthop->vlan_tag = egress.vlan_tag;
		if (egress.mtu < nexthop->mtu)
			nexthop->mtu = egress.mtu;
		memcpy(nexthop->source, link->mac, sizeof(nexthop->source));
	}
}

static void answer_neighbor(const struct lb_nexthops *nexthops, const struct neighbor *neighbor,
			    const struct lb_link *link, __u64 now_ms, struct lb_nexthop_state *nexthop)
{
	if (neighbor && neighbor->usable && !hold_is_over(neighbor, now_ms)) {
		memcpy(nexthop->destination, neighbor->mac, sizeof(nexthop->destination));
		return;
	}
	if (nexthop->neighbor.family == LB_FAMILY_V6 &&
	    !lb_host_addresses_link_local(&nexthops->addresses, link->ifindex))
		snprintf(nexthop->why, sizeof(nexthop->why),
			 "its neighbour cannot be asked: %s has no link-local IPv6 address", link->name);
	else
		say(nexthop, "its neighbour does not answer");
}

/* What is known of the path beyond the way. */
static void limit_mtu(const struct lb_nexthops *nexthops, const struct lb_address *to,
		      struct lb_nexthop_state *nexthop)
{
	enum lb_mtu_from from;
	__u16 configured, limit = lb_path_mtus_get(&nexthops->mtus, to, &from, &configured);

	nexthop->mtu_most = configured && configured < nexthop->mtu ? configured : nexthop->mtu;
	if (!limit || limit >= nexthop->mtu)
		return;
	nexthop->mtu = limit;
	nexthop->mtu_from = from;
}

void lb_nexthops_get(struct lb_nexthops *nexthops, const struct lb_address *to, __u64 now_ms,
		     struct lb_nexthop_state *ret_nexthop)
{
	const struct lb_destination *destination = lb_destinations_find(&nexthops->destinations, to);
	const struct lb_way *way =
		destination ? lb_destinations_way(&nexthops->destinations, destination) : NULL;
	const struct lb_route_member *member =
		destination ? lb_member_of(nexthops, destination, now_ms) : NULL;
	const char *error = destination ? route_error_text(destination, way) : "not asked yet";
	const struct lb_link *link;

	memset(ret_nexthop, 0, sizeof(*ret_nexthop));
	if (error) {
		say(ret_nexthop, error);
		return;
	}
	if (way && way->key.type == RTN_LOCAL) {
		ret_nexthop->resolved = ret_nexthop->local = true;
		return;
	}
	if (!member) {
		say(ret_nexthop, "the kernel names no interface");
		return;
	}
	ret_nexthop->ifindex = member->ifindex;
	ret_nexthop->source_address = way->key.source;
	ret_nexthop->routed = member->gateway.family != 0;
	ret_nexthop->neighbor = member->gateway.family ? member->gateway : *to;
	link = lb_links_find(&nexthops->links, member->ifindex);
	if (way->key.encapsulation)
		snprintf(ret_nexthop->why, sizeof(ret_nexthop->why),
			 "its route encapsulates (%s), which XDP cannot",
			 encapsulation_name(way->key.encapsulation));
	else
		answer_link(nexthops, link, way->key.mtu, ret_nexthop);
	if (!ret_nexthop->why[0])
		answer_neighbor(nexthops, lb_neighbor_of(nexthops, destination, member), link, now_ms,
				ret_nexthop);
	limit_mtu(nexthops, to, ret_nexthop);
	ret_nexthop->resolved = !ret_nexthop->why[0];
}

bool lb_nexthops_destination(const struct lb_nexthops *nexthops, size_t i, struct lb_address *ret)
{
	if (i >= nexthops->destinations.n)
		return false;
	*ret = nexthops->destinations.at[i].to;
	return true;
}

int lb_nexthops_learn_mtu(struct lb_nexthops *nexthops, const struct lb_address *to, __u32 mtu, __u64 now_ms)
{
	struct lb_nexthop_state nexthop;

	lb_nexthops_get(nexthops, to, now_ms, &nexthop);
	/* What fits anyhow is no news, and whoever we do not send to has nothing to say. */
	if (!nexthop.resolved || nexthop.local || mtu > nexthop.mtu ||
	    (mtu == nexthop.mtu && nexthop.mtu_from != LB_MTU_FROM_ROUTER))
		return 0;
	return lb_path_mtus_learn(&nexthops->mtus, to, mtu, now_ms);
}

bool lb_nexthops_found_mtu(struct lb_nexthops *nexthops, const struct lb_address *to, __u16 mtu, __u64 now_ms)
{
	return lb_path_mtus_found(&nexthops->mtus, to, mtu, now_ms);
}

bool lb_nexthops_forget_mtus(struct lb_nexthops *nexthops, __u64 now_ms)
{
	return lb_path_mtus_age(&nexthops->mtus, now_ms);
}

const struct lb_link *lb_nexthops_link(const struct lb_nexthops *nexthops, int ifindex)
{
	return lb_links_find(&nexthops->links, ifindex);
}

const struct lb_link *lb_nexthops_link_by_name(const struct lb_nexthops *nexthops, const char *name)
{
	return lb_links_find_by_name(&nexthops->links, name);
}

bool lb_nexthops_has_tag(const struct lb_nexthops *nexthops, __u32 vlan_tag)
{
	const struct lb_link *link = NULL;

	while ((link = lb_links_next(&nexthops->links, link)))
		if (link->vlan_tag == vlan_tag)
			return true;
	return false;
}

const struct lb_host_address *lb_nexthops_addresses(const struct lb_nexthops *nexthops, size_t *ret_n)
{
	*ret_n = nexthops->addresses.n;
	return nexthops->addresses.at;
}

bool lb_nexthops_set_features(struct lb_nexthops *nexthops, int ifindex, __u64 features)
{
	return lb_links_set_features(&nexthops->links, ifindex, features);
}

bool lb_nexthops_set_xdp(struct lb_nexthops *nexthops, const int *ifindexes, size_t n, bool generic)
{
	struct lb_links *links = &nexthops->links;
	bool same;

	if (n > LB_LINKS_XDP_MAX)
		n = LB_LINKS_XDP_MAX;
	same = n == links->n_xdp && generic == links->generic &&
	       (!n || memcmp(links->xdp, ifindexes, n * sizeof(*ifindexes)) == 0);
	if (n)
		memcpy(links->xdp, ifindexes, n * sizeof(*ifindexes));
	links->n_xdp = n;
	links->generic = generic;
	return !same;
}

void lb_nexthops_count(const struct lb_nexthops *nexthops, struct lb_nexthops_counts *ret_counts)
{
	*ret_counts = (struct lb_nexthops_counts){
		.links = lb_links_count(&nexthops->links),
		.neighbors = HASH_COUNT(nexthops->neighbors),
		.destinations = nexthops->destinations.n,
		.stale = nexthops->n_stale,
		.seeking = nexthops->n_seeking,
	};
}
