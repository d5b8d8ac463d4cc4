// SPDX-License-Identifier: GPL-2.0-only
/*
 * Between netlink and the engine: the table of next hops that plans are given, and egress ports (slots of
 * lb_devmap and lb_ports).
 */
#include "lbd/kernel/nexthops.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include "lbd/clock.h"
#include "lbd/kernel/grace.h"
#include "lbd/kernel/interfaces.h"
#include "lbd/lbd.h"
#include "lbd/step.h"
#include "lbd/sweeper.h"

#define REPORTED_MAX 8u /* backends named in one event */

static int grace(void *context)
{
	struct lbd *lbd = context;

	return grace_wait(&lbd->grace);
}

static void await_grace(void *context)
{
	struct lbd *lbd = context;

	if (lb_engine_await(lbd->engine) == 0)
		sweeper_hurry(lbd);
}

/* The sweeper, which runs in the loop, must not wait there. */
static void await(void *context)
{
	struct lbd *lbd = context;

	task_call(lbd->tasks, &lbd->task.grace, await_grace, lbd);
}

static void beside(void *context, void (*run)(void *work), void *work)
{
	task_beside(run, work);
}

static void pause_task(void *context)
{
	task_pause();
}

/* The port of a way out (lb_port()): as it is, or as it is to be. -ENOSPC when all are taken. */
static int port_of(struct lbd *lbd, __u64 way)
{
	__u64 *ports = lbd->planned_ports;
	int free_port = -1;

	for (__u32 i = 0; i < LB_PORTS_MAX; i++) {
		if (ports[i] == way)
			return i;
		if (!ports[i] && free_port < 0)
			free_port = i;
	}
	if (free_port < 0)
		return -ENOSPC;
	ports[free_port] = way;
	return free_port;
}

int nexthops_open_ports(struct lbd *lbd, struct lb_error *error)
{
	for (__u32 i = 0; i < LB_PORTS_MAX; i++) {
		__u32 ifindex = lb_port_ifindex(lbd->planned_ports[i]);
		char name[IF_NAMESIZE];

		if (!ifindex || lbd->maps.ports[i] == lbd->planned_ports[i])
			continue;
		/* One that has gone meanwhile takes no packets, and nobody else gets its port before its next
		 * hops are looked at again, which is soon. */
		if (bpf_map_update_elem(lbd->maps.fd[MAP_DEVMAP], &i, &ifindex, BPF_ANY) < 0 &&
		    (errno != EINVAL || if_indextoname(ifindex, name)))
			return lb_error_set(error, errno, "Failed to open a port to interface %u: %m",
					    ifindex);
		__atomic_store_n(&lbd->maps.ports[i], lbd->planned_ports[i], __ATOMIC_RELEASE);
	}
	return 0;
}

bool nexthops_set_interfaces(struct lbd *lbd, const struct lb_config *config)
{
	int ifindexes[LB_PORTS_MAX];
	bool generic = true;
	size_t n = 0;

	for (size_t i = 0; i < config->n_interfaces && n < LB_PORTS_MAX; i++) {
		/* One that is missing counts as well: whether it is the only one. */
		ifindexes[n++] = interfaces_index(lbd, &config->interfaces[i]);
		generic &= interfaces_mode(lbd, &config->interfaces[i]) == LB_XDP_GENERIC;
	}
	return lb_nexthops_set_xdp(lbd->netlink.nexthops, ifindexes, n, generic && n > 0);
}

/* Packets come in by this interface alone. */
static bool is_only_interface(const struct lbd *lbd, const struct lb_config *config, int ifindex)
{
	return config->n_interfaces == 1 && interfaces_index(lbd, &config->interfaces[0]) == ifindex;
}

/* As packets have use for it. config: whose interfaces they come in by. */
static void nexthop_for(struct lbd *lbd, const struct lb_config *config, const struct lb_address *to,
			struct lb_nexthop *ret)
{
	struct lb_nexthop_state nexthop;
	int port;

	memset(ret, 0, sizeof(*ret));
	lb_nexthops_get(lbd->netlink.nexthops, to, now_ms(), &nexthop);
	if (!nexthop.resolved)
		return;
	if (nexthop.local) {
		ret->resolved = ret->local = true;
		return;
	}
	port = port_of(lbd, lb_port((__u32)nexthop.egress, nexthop.vlan_tag));
	if (port < 0)
		return;
	ret->resolved = true;
	ret->routed = nexthop.routed;
	ret->same_interface = is_only_interface(lbd, config, nexthop.egress);
	ret->port = port;
	ret->tagged = nexthop.vlan_tag != 0;
	ret->mtu = nexthop.mtu > UINT16_MAX ? UINT16_MAX : nexthop.mtu;
	memcpy(ret->destination, nexthop.destination, sizeof(ret->destination));
	memcpy(ret->source, nexthop.source, sizeof(ret->source));
	ret->source_address = nexthop.source_address;
}

static int take(struct lbd *lbd, const struct lb_config *config, const struct lb_address *to)
{
	struct lb_nexthop nexthop;

	nexthop_for(lbd, config, to, &nexthop);
	return lb_nexthop_map_put(&lbd->nexthops, to, &nexthop);
}

static int take_all(struct lbd *lbd, const struct lb_config *config)
{
	struct lb_address to;
	int r = 0;

	memcpy(lbd->planned_ports, lbd->maps.ports, sizeof(lbd->planned_ports));
	lb_nexthop_map_begin(&lbd->nexthops);
	for (size_t i = 0; r == 0 && lb_nexthops_destination(lbd->netlink.nexthops, i, &to); i++) {
		r = take(lbd, config, &to);
		task_pause();
	}
	if (r == 0)
		lb_nexthop_map_end(&lbd->nexthops);
	return r;
}

/* Those of services that are others than before. */
static int take_changed(struct lbd *lbd, const struct lb_config *config, const struct lb_config *before)
{
	int r = 0;

	for (size_t i = 0; config != before && i < config->n_services; i++) {
		const struct lb_config_service *service = &config->services[i];

		if (service->backends == before->services[i].backends)
			continue;
		for (size_t j = 0; r == 0 && j < service->n_backends; j++)
			r = take(lbd, config, &service->backends[j].address);
	}
	return r;
}

int nexthops_take(struct lbd *lbd, const struct lb_config *config, const struct lb_config *before,
		  struct lb_error *error)
{
	bool taken = before && before == lbd->nexthops_of &&
		     memcmp(lbd->planned_ports, lbd->maps.ports, sizeof(lbd->planned_ports)) == 0;
	int r;

	lbd->nexthops_of = NULL;
	r = taken ? take_changed(lbd, config, before) : take_all(lbd, config);
	if (r < 0)
		return lb_error_set(error, -r, "out of memory");
	lbd->nexthops_of = config;
	return 0;
}

static bool has_port(const struct lbd *lbd, const struct lb_nexthop_state *state)
{
	for (__u32 i = 0; i < LB_PORTS_MAX; i++)
		if (!lbd->planned_ports[i] ||
		    lbd->planned_ports[i] == lb_port((__u32)state->egress, state->vlan_tag))
			return true;
	return false;
}

const char *nexthops_why(struct lbd *lbd, const struct lb_service_view *view,
			 const struct lb_backend_view *backend, struct lb_nexthop_state *ret_state)
{
	lb_nexthops_get(lbd->netlink.nexthops, &backend->address, now_ms(), ret_state);
	if (ret_state->why[0])
		return ret_state->why;
	if (ret_state->routed && view->config && view->config->forward == LB_FORWARD_L2)
		return "it is behind a router, which l2 does not get across: use a tunnel (ipip, gue)";
	if (ret_state->resolved && !ret_state->local && !has_port(lbd, ret_state))
		return "packets leave by as many interfaces and VLANs already as there is room for";
	return "being resolved";
}

int nexthops_init(struct lbd *lbd)
{
	int r = lb_nexthop_map_init(&lbd->nexthops);

	if (r < 0)
		return r;
	lbd->hooks = (struct lb_engine_hooks){
		.context = lbd,
		.grace = grace,
		.step = step_reached,
		.pause = pause_task,
		.beside = beside,
		.await = await,
	};
	/* The kernel empties a slot whose interface goes away; it may have done so while no agent ran. */
	for (__u32 i = 0; i < LB_PORTS_MAX; i++) {
		__u32 ifindex = lb_port_ifindex(lbd->maps.ports[i]);

		if (ifindex && lb_nexthops_link(lbd->netlink.nexthops, ifindex))
			bpf_map_update_elem(lbd->maps.fd[MAP_DEVMAP], &i, &ifindex, BPF_ANY);
	}
	return 0;
}

void nexthops_done(struct lbd *lbd)
{
	lb_nexthop_map_done(&lbd->nexthops);
}

/* Its interface is there, and if it has a tag, some VLAN device that has it. */
static bool port_may_serve(const struct lbd *lbd, __u64 port)
{
	const struct lb_nexthops *nexthops = lbd->netlink.nexthops;

	return lb_nexthops_link(nexthops, (int)lb_port_ifindex(port)) &&
	       (!lb_port_tag(port) || lb_nexthops_has_tag(nexthops, lb_port_tag(port)));
}

void nexthops_sweep_ports(struct lbd *lbd)
{
	for (__u32 i = 0; i < LB_PORTS_MAX; i++) {
		if (!lbd->maps.ports[i] || port_may_serve(lbd, lbd->maps.ports[i]))
			continue;
		bpf_map_delete_elem(lbd->maps.fd[MAP_DEVMAP], &i);
		__atomic_store_n(&lbd->maps.ports[i], 0, __ATOMIC_RELEASE);
	}
}

void nexthops_report(struct lbd *lbd)
{
	size_t n = lb_engine_services(lbd->engine), unresolved = 0;
	char names[REPORTED_MAX * 64] = "";
	size_t at = 0, named = 0;

	for (size_t i = 0; i < n; i++) {
		struct lb_service_view view;

		if (lb_engine_service(lbd->engine, i, &view) < 0 || view.lead)
			continue;
		for (size_t j = 0; j < view.n_backends; j++) {
			if (view.backends[j].nexthop.resolved || view.backends[j].leaving)
				continue;
			unresolved++;
			if (named++ < REPORTED_MAX && at < sizeof(names))
				at += snprintf(names + at, sizeof(names) - at, "%s%s/%s", at ? " " : "",
					       view.name, view.backends[j].name);
		}
		lb_engine_forget_views(lbd->engine);
		task_pause();
	}
	if (unresolved > lbd->n_unresolved)
		events_add(&lbd->events, LOG_LEVEL_WARNING, "nexthop", "unresolved=%zu backends=\"%s%s\"",
			   unresolved, names, unresolved > REPORTED_MAX ? " ..." : "");
	else if (unresolved < lbd->n_unresolved)
		events_add(&lbd->events, LOG_LEVEL_INFO, "nexthop", "unresolved=%zu", unresolved);
	lbd->n_unresolved = unresolved;
}
