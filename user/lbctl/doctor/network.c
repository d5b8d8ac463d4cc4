// SPDX-License-Identifier: GPL-2.0-only
/* Checks of interfaces, attached programs, VIPs, and the way to every backend, as the kernel has them now. */
#include "lbctl/doctor/doctor.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config/config_levels.h"

#define HAS_CARRIER 0x10000u /* IFF_LOWER_UP of linux/if.h, which does not go with net/if.h */

/* --- interfaces ------------------------------------------------------------------------------------------
 */

static struct rtnl_link *link_of(const struct doctor *doctor, const char *name)
{
	struct rtnl_link *link = NULL;

	if (!doctor->netlink || rtnl_link_get_kernel(doctor->netlink, 0, name, &link) < 0)
		return NULL;
	return link;
}

static void check_interfaces(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->config->n_interfaces; i++) {
		const char *name = doctor->config->interfaces[i].name;
		struct rtnl_link *link = link_of(doctor, name);
		unsigned int flags = link ? rtnl_link_get_flags(link) : 0;

		if (!link)
			doctor_found(doctor, "packets that come in by it are not balanced; lbd waits for it",
				     "ip link; correct interfaces[].name", "there is no interface %s", name);
		else if (!(flags & IFF_UP))
			doctor_found(doctor, "nothing comes in and nothing leaves by it",
				     "ip link set DEV up", "%s is down", name);
		else if (!(flags & HAS_CARRIER))
			doctor_found(doctor, "nothing comes in and nothing leaves by it",
				     "look at the cable, and at the switch's port", "%s has no carrier",
				     name);
		rtnl_link_put(link);
	}
}

/* --- attached programs -----------------------------------------------------------------------------------
 */

static bool program_name(__u32 id, char ret_name[BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id), r;

	if (fd < 0)
		return false;
	r = bpf_obj_get_info_by_fd(fd, &info, &size);
	close(fd);
	if (r == 0)
		snprintf(ret_name, BPF_OBJ_NAME_LEN, "%s", info.name);
	return r == 0;
}

/* libxdp's dispatcher, ours included, is called so. */
static bool is_ours(const char *name)
{
	return strncmp(name, "lb_", 3) == 0 || strcmp(name, "xdp_dispatcher") == 0;
}

static void check_attached(struct doctor *doctor, const struct lb_config_interface *interface)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	int index = (int)if_nametoindex(interface->name);
	char name[BPF_OBJ_NAME_LEN] = "?";

	if (!index || bpf_xdp_query(index, 0, &query) < 0)
		return;
	if (!query.prog_id && query.attach_mode != XDP_ATTACHED_MULTI) {
		doctor_found(doctor, "packets to the VIPs pass to the host, which has no use for them",
			     "systemctl restart lbd", "no XDP program is attached to %s", interface->name);
		return;
	}
	if (query.prog_id && program_name(query.prog_id, name) && !is_ours(name))
		doctor_found(doctor, "it decides about packets, and ours never sees them",
			     "ip link set DEV xdp off, or attach both through the dispatcher",
			     "XDP of %s is taken by program %u (%s)", interface->name, query.prog_id, name);
	else if (query.attach_mode == XDP_ATTACHED_SKB && interface->xdp_mode == LB_XDP_NATIVE)
		doctor_found(doctor,
			     "the kernel makes a buffer for every packet first: some ten times as slow",
			     "use a driver with native XDP, or see that lbd runs without --generic-ok",
			     "XDP of %s runs in generic mode", interface->name);
}

static void check_programs(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->config->n_interfaces; i++)
		check_attached(doctor, &doctor->config->interfaces[i]);
}

/* --- VIPs ------------------------------------------------------------------------------------------------
 */

static bool address_of(const struct ifaddrs *item, struct lb_address *ret_address)
{
	memset(ret_address, 0, sizeof(*ret_address));
	if (!item->ifa_addr)
		return false;
	if (item->ifa_addr->sa_family == AF_INET) {
		ret_address->family = LB_FAMILY_V4;
		memcpy(ret_address->bytes,
		       &((const struct sockaddr_in *)(const void *)item->ifa_addr)->sin_addr, 4);
		return true;
	}
	if (item->ifa_addr->sa_family != AF_INET6)
		return false;
	ret_address->family = LB_FAMILY_V6;
	memcpy(ret_address->bytes, &((const struct sockaddr_in6 *)(const void *)item->ifa_addr)->sin6_addr,
	       16);
	return true;
}

static void check_vip(struct doctor *doctor, const struct ifaddrs *item)
{
	char text[LB_ADDRESS_TEXT_MAX];
	struct lb_address address;

	if (item->ifa_flags & IFF_LOOPBACK || !address_of(item, &address))
		return;
	for (size_t i = 0; i < doctor->config->n_services; i++) {
		const struct lb_config_service *service = &doctor->config->services[i];

		if (!lb_prefix_contains(&service->vip, &address))
			continue;
		doctor_found(doctor,
			     "the host answers ARP or ND for it, and its own connections to it never leave",
			     "ip address del ADDRESS dev DEV",
			     "%s, which service %s balances, is an address of %s",
			     lb_address_text(&address, text), service->name, item->ifa_name);
		return;
	}
}

static void check_vips(struct doctor *doctor)
{
	struct ifaddrs *list;

	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *item = list; item; item = item->ifa_next)
		check_vip(doctor, item);
	freeifaddrs(list);
}

/* --- connection tracking ---------------------------------------------------------------------------------
 */

/* Whether a line of the kernel's table of connections is one to a VIP: its first destination. */
static const struct lb_config_service *tracked(const struct doctor *doctor, const char *line)
{
	const char *found = strstr(line, "dst=");
	struct lb_address address;
	char text[64];

	if (!found || sscanf(found + 4, "%63s", text) != 1 || lb_address_parse(text, &address) < 0)
		return NULL;
	for (size_t i = 0; i < doctor->config->n_services; i++)
		if (lb_prefix_contains(&doctor->config->services[i].vip, &address))
			return &doctor->config->services[i];
	return NULL;
}

/* Balanced packets never get there; what passes to the host does: fragments, other ports, checks. */
static void check_conntrack(struct doctor *doctor)
{
	_cleanup_(fclosep) FILE *file = doctor_open(doctor, "/proc/net/nf_conntrack");
	const struct lb_config_service *first = NULL;
	size_t size = 0, n = 0;
	char *line = NULL;

	while (file && getline(&line, &size, file) > 0) {
		const struct lb_config_service *service = tracked(doctor, line);

		first = first ? first : service;
		n += service != NULL;
	}
	free(line);
	if (n)
		doctor_found(
			doctor,
			"packets to a VIP that pass to the host fill its table under a flood; then all its "
			"own "
			"connections fail",
			"nft add rule ip raw prerouting ip daddr VIP notrack (a chain of type filter, hook "
			"prerouting, priority raw)",
			"connection tracking follows %zu connections to VIPs, as of service %s", n,
			first->name);
}

/* --- the way to a backend --------------------------------------------------------------------------------
 */

struct way {
	const struct lb_config_service *service;
	const struct lb_config_backend *backend;
	char address[LB_ADDRESS_TEXT_MAX];
	int ifindex;
	char interface[IF_NAMESIZE];
	struct nl_addr *gateway; /* borrowed of the route; NULL: on the link */
	unsigned int mtu;
	char *strict_told; /* interface that was told of as strict last; IF_NAMESIZE bytes, of all ways */
};

static struct nl_addr *nl_of(const struct lb_address *address)
{
	bool v4 = address->family == LB_FAMILY_V4;

	return nl_addr_build(v4 ? AF_INET : AF_INET6, address->bytes, v4 ? 4 : 16);
}

static void check_egress(struct doctor *doctor, const struct way *way)
{
	for (size_t i = 0; i < doctor->config->n_interfaces; i++)
		if (strcmp(doctor->config->interfaces[i].name, way->interface) == 0)
			return;
	doctor_found(doctor, "packets to it are dropped: lbd sends by configured interfaces alone",
		     "add the interface to interfaces, or correct the route",
		     "backend %s of %s (%s) is reached by %s, which is not configured", way->backend->name,
		     way->service->name, way->address, way->interface);
}

static unsigned int overhead(const struct way *way)
{
	unsigned int ip = way->backend->address.family == LB_FAMILY_V4 ? 20 : 40;

	switch (way->service->forward) {
	case LB_FORWARD_IPIP:
		return ip;
	case LB_FORWARD_GUE:
		return ip + 12;
	case LB_FORWARD_L2:
		break;
	}
	return 0;
}

/* Frames as large as an interface takes them in must fit the way out, encapsulated. */
static void check_mtu(struct doctor *doctor, const struct way *way)
{
	unsigned int largest = 0;

	for (size_t i = 0; i < doctor->config->n_interfaces; i++) {
		const char *name = doctor->config->interfaces[i].name;
		struct rtnl_link *link = doctor->config->n_interfaces > 1 && strcmp(name, way->interface) == 0
						 ? NULL
						 : link_of(doctor, name);

		if (link && rtnl_link_get_mtu(link) > largest)
			largest = rtnl_link_get_mtu(link);
		rtnl_link_put(link);
	}
	/* With a single arm what comes in is of the clients' MTU, which the link need not tell. */
	if (doctor->config->n_interfaces == 1 && largest > 1500)
		largest = 1500;
	if (way->mtu && overhead(way) && largest + overhead(way) > way->mtu)
		doctor_found(doctor,
			     "uploads stall where clients do not hear the ICMP that tells them to send less",
			     "ip link set DEV mtu N, on both ends of the way to the backend",
			     "the way to backend %s of %s takes %u bytes, encapsulated packets have up to %u",
			     way->backend->name, way->service->name, way->mtu, largest + overhead(way));
}

struct search {
	struct nl_addr *address;
	int ifindex;
	int state; /* -1: none */
};

static void visit_neighbour(struct nl_object *object, void *context)
{
	struct rtnl_neigh *neighbour = (struct rtnl_neigh *)object;
	struct search *search = context;

	if (rtnl_neigh_get_ifindex(neighbour) == search->ifindex && rtnl_neigh_get_dst(neighbour) &&
	    nl_addr_cmp(rtnl_neigh_get_dst(neighbour), search->address) == 0)
		search->state = rtnl_neigh_get_state(neighbour);
}

static void check_neighbour(struct doctor *doctor, const struct way *way)
{
	struct nl_addr *address = way->gateway ? nl_addr_get(way->gateway) : nl_of(&way->backend->address);
	struct search search = { .address = address, .ifindex = way->ifindex, .state = -1 };
	struct nl_cache *cache;
	char text[64] = "?";

	if (rtnl_neigh_alloc_cache(doctor->netlink, &cache) == 0) {
		nl_cache_foreach(cache, visit_neighbour, &search);
		nl_cache_free(cache);
		if (search.state >= 0 && search.state & NUD_FAILED)
			doctor_found(doctor, "packets to the backend are dropped until it answers",
				     "look at the host behind that address, and at the switch between",
				     "%s on %s, the next hop to backend %s of %s, does not answer",
				     nl_addr2str(address, text, sizeof(text)), way->interface,
				     way->backend->name, way->service->name);
	}
	nl_addr_put(address);
}

static int rp_filter(const struct doctor *doctor, const char *interface)
{
	char text[16];

	return doctor_read(doctor, text, sizeof(text), "/proc/sys/net/ipv4/conf/%s/rp_filter", interface)
		       ? atoi(text)
		       : 0;
}

/* A check through the packet path asks the VIP at the backend, and the VIP answers straight to this host,
 * which would send nothing to the VIP by that interface. Of "all" and the interface's own value the higher
 * one counts. */
static void check_replies(struct doctor *doctor, const struct way *way)
{
	int all = rp_filter(doctor, "all"), own = rp_filter(doctor, way->interface);
	struct lb_config_check check;

	lb_config_check_of(doctor->config, way->service, way->backend, &check);
	if (check.kind == LB_CHECK_NONE || check.target != LB_CHECK_TARGET_VIP ||
	    check.address.family != LB_FAMILY_V4 || (all > own ? all : own) != 1 ||
	    strcmp(way->strict_told, way->interface) == 0)
		return;
	snprintf(way->strict_told, IF_NAMESIZE, "%s", way->interface);
	doctor_found(doctor,
		     "answers to checks come from the VIP, and are dropped: checks of backends say nothing",
		     own == 1 && all != 1
			     ? "sysctl -w net.ipv4.conf.DEV.rp_filter=2"
			     : "sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.DEV.rp_filter=2",
		     "rp_filter is 1 (strict) on %s, the way to backend %s of %s", way->interface,
		     way->backend->name, way->service->name);
}

static void follow_route(struct doctor *doctor, struct way *way, struct rtnl_route *route)
{
	struct rtnl_nexthop *nexthop =
		rtnl_route_get_nnexthops(route) ? rtnl_route_nexthop_n(route, 0) : NULL;
	struct rtnl_link *link;

	if (rtnl_route_get_type(route) == RTN_LOCAL || !nexthop)
		return; /* this host is the backend */
	way->ifindex = rtnl_route_nh_get_ifindex(nexthop);
	way->gateway = rtnl_route_nh_get_gateway(nexthop) ?: rtnl_route_nh_get_via(nexthop);
	if (!if_indextoname((unsigned int)way->ifindex, way->interface))
		return;
	link = link_of(doctor, way->interface);
	way->mtu = link ? rtnl_link_get_mtu(link) : 0;
	rtnl_link_put(link);
	check_egress(doctor, way);
	check_mtu(doctor, way);
	check_neighbour(doctor, way);
	check_replies(doctor, way);
}

static void check_way(struct doctor *doctor, struct way *way)
{
	struct nl_addr *address = nl_of(&way->backend->address);
	struct rtnl_route *route = NULL;

	lb_address_text(&way->backend->address, way->address);
	if (!address)
		lbctl_memory();
	if (rtnl_route_lookup(doctor->netlink, address, &route) < 0 || !route)
		doctor_found(doctor, "packets to the backend are dropped",
			     "ip route get ADDRESS; add a route, or take away the one that refuses",
			     "there is no route to backend %s of %s (%s)", way->backend->name,
			     way->service->name, way->address);
	else
		follow_route(doctor, way, route);
	rtnl_route_put(route);
	nl_addr_put(address);
}

/* Each address once, however many services have it. */
static bool seen_before(const struct lb_config *config, size_t service, const struct lb_address *address)
{
	for (size_t i = 0; i < service; i++)
		for (size_t j = 0; j < config->services[i].n_backends; j++)
			if (lb_address_equal(&config->services[i].backends[j].address, address))
				return true;
	return false;
}

#define WAYS_MAX 2000u /* addresses looked at; more are like these */

static void check_ways(struct doctor *doctor)
{
	const struct lb_config *config = doctor->config;
	char strict_told[IF_NAMESIZE] = "";
	size_t n = 0;

	if (!doctor->netlink)
		return;
	for (size_t i = 0; i < config->n_services; i++) {
		const struct lb_config_service *service = &config->services[i];

		for (size_t j = 0; j < service->n_backends && n < WAYS_MAX; j++) {
			struct way way = { .service = service,
					   .backend = &service->backends[j],
					   .strict_told = strict_told };

			if (way.backend->state == LB_STATE_DOWN ||
			    seen_before(config, i, &way.backend->address))
				continue;
			n++;
			check_way(doctor, &way);
		}
	}
}

const struct check doctor_network_checks[] = {
	{ "interfaces", "there, up, with carrier", check_interfaces, true, false },
	{ "programs", "XDP on every interface, ours, in the wanted mode", check_programs, true, true },
	{ "vips", "VIPs that are addresses of this host", check_vips, true, false },
	{ "conntrack", "connection tracking of what goes to VIPs", check_conntrack, true, true },
	{ "ways", "route, interface, MTU, neighbour and rp_filter of every backend", check_ways, true,
	  false },
	{ NULL, NULL, NULL, false, false },
};
