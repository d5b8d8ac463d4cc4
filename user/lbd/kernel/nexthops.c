// SPDX-License-Identifier: GPL-2.0-only
/*
 * Between netlink and the engine: next hops for the engine's plans, egress ports (slots of lb_devmap and
 * lb_ports), and one new plan for a burst of changes.
 */
#include "lbd/lbd.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lbd/state/change.h"

#define DEBOUNCE_MS     20u
#define DEBOUNCE_MAX_MS 2000u
#define COST_FACTOR     5u    /* plan for at most a fifth of the time */
#define RETRY_MS        5000u /* after a plan that failed */
#define REPORTED_MAX    8u    /* backends named in one event */

/* The kernel ends the update of a map of maps with an RCU grace period, for the sake of just such users. */
static int grace_by_map(struct lbd *lbd)
{
	LIBBPF_OPTS(bpf_map_create_opts, options);
	__u32 zero = 0;

	if (lbd->grace_inner <= 0)
		lbd->grace_inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "lb_grace", 4, 4, 1, NULL);
	if (lbd->grace_inner < 0)
		return -errno;
	options.inner_map_fd = lbd->grace_inner;
	if (lbd->grace_outer <= 0)
		lbd->grace_outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "lb_grace", 4, 4, 1, &options);
	if (lbd->grace_outer < 0 ||
	    bpf_map_update_elem(lbd->grace_outer, &zero, &lbd->grace_inner, BPF_ANY) < 0)
		return -errno;
	return 0;
}

/* MEMBARRIER_CMD_GLOBAL is synchronize_rcu() in the kernel; it is refused with nohz_full and by some
 * sandboxes. */
static int grace(void *context)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0)
		return 0;
	return grace_by_map(context);
}

/* The port of an egress interface, made if need be; -ENOSPC when all are taken. */
static int port_of(struct lbd *lbd, __u32 ifindex)
{
	__u64 *ports = lbd->maps.ports;
	int free_port = -1;

	for (__u32 i = 0; i < LB_PORTS_MAX; i++) {
		if (ports[i] == ifindex)
			return i;
		if (!ports[i] && free_port < 0)
			free_port = i;
	}
	if (free_port < 0)
		return -ENOSPC;
	if (bpf_map_update_elem(lbd->maps.fd[MAP_DEVMAP], &free_port, &ifindex, BPF_ANY) < 0)
		return -errno;
	__atomic_store_n(&ports[free_port], ifindex, __ATOMIC_RELEASE);
	return free_port;
}

/* Packets come in by this interface alone. */
static bool is_only_interface(const struct lb_config *config, const struct lb_link *link)
{
	return config && link && config->n_interfaces == 1 &&
	       strcmp(config->interfaces[0].name, link->name) == 0;
}

static void nexthop(void *context, const struct lb_address *to, struct lb_nexthop *ret)
{
	struct lbd *lbd = context;
	struct lb_nexthop_state nexthop;
	int port;

	memset(ret, 0, sizeof(*ret));
	lb_nexthops_get(lbd->netlink.nexthops, to, now_ms(), &nexthop);
	if (!nexthop.resolved)
		return;
	port = port_of(lbd, nexthop.ifindex);
	if (port < 0)
		return;
	ret->resolved = true;
	ret->same_interface =
		is_only_interface(lbd->planning, lb_nexthops_link(lbd->netlink.nexthops, nexthop.ifindex));
	ret->port = port;
	ret->mtu = nexthop.mtu > UINT16_MAX ? UINT16_MAX : nexthop.mtu;
	memcpy(ret->destination, nexthop.destination, sizeof(ret->destination));
	memcpy(ret->source, nexthop.source, sizeof(ret->source));
	ret->source_address = nexthop.source_address;
}

void lbd_step(void *context, const char *step)
{
	struct lbd *lbd = context;

	if (lbd->crash_at && strcmp(lbd->crash_at, step) == 0) {
		log_warning("event=crash step=%s reason=LBD_CRASH_AT_STEP", step);
		kill(getpid(), SIGKILL);
	}
}

void nexthops_init(struct lbd *lbd)
{
	lbd->hooks = (struct lb_engine_hooks){
		.context = lbd,
		.grace = grace,
		.nexthop = nexthop,
		.step = lbd_step,
	};
	/* The kernel empties a slot whose interface goes away; it may have done so while no agent ran. */
	for (__u32 i = 0; i < LB_PORTS_MAX; i++) {
		__u32 ifindex = lbd->maps.ports[i];

		if (ifindex && lb_nexthops_link(lbd->netlink.nexthops, ifindex))
			bpf_map_update_elem(lbd->maps.fd[MAP_DEVMAP], &i, &ifindex, BPF_ANY);
	}
}

void nexthops_sweep_ports(struct lbd *lbd)
{
	for (__u32 i = 0; i < LB_PORTS_MAX; i++) {
		__u64 ifindex = lbd->maps.ports[i];

		if (!ifindex || lb_nexthops_link(lbd->netlink.nexthops, ifindex))
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

		if (lb_engine_service(lbd->engine, i, &view) < 0)
			continue;
		for (size_t j = 0; j < view.n_backends; j++) {
			if (view.backends[j].nexthop.resolved || view.backends[j].leaving)
				continue;
			unresolved++;
			if (named++ < REPORTED_MAX && at < sizeof(names))
				at += snprintf(names + at, sizeof(names) - at, "%s%s/%s", at ? " " : "",
					       view.name, view.backends[j].name);
		}
	}
	if (unresolved > lbd->n_unresolved)
		events_add(&lbd->events, LOG_LEVEL_WARNING, "nexthop", "unresolved=%zu backends=\"%s%s\"",
			   unresolved, names, unresolved > REPORTED_MAX ? " ..." : "");
	else if (unresolved < lbd->n_unresolved)
		events_add(&lbd->events, LOG_LEVEL_INFO, "nexthop", "unresolved=%zu", unresolved);
	lbd->n_unresolved = unresolved;
}

static int on_replan(sd_event_source *source, uint64_t usec, void *context);

/* Has on_replan() called in so many milliseconds, or earlier if it already is to be. */
static void schedule(struct lbd *lbd, __u64 delay_ms)
{
	__u64 due = now_ms() + delay_ms;
	int r;

	if (lbd->replan_due_ms && lbd->replan_due_ms <= due)
		return;
	lbd->replan_due_ms = due;
	if (!lbd->replan) {
		r = sd_event_add_time(lbd->event, &lbd->replan, CLOCK_MONOTONIC, due * 1000, 1000, on_replan,
				      lbd);
	} else {
		r = sd_event_source_set_time(lbd->replan, due * 1000);
		if (r >= 0)
			r = sd_event_source_set_enabled(lbd->replan, SD_EVENT_ONESHOT);
	}
	if (r < 0)
		log_error("event=timer error=\"%s\"", strerror(-r));
}

static int on_replan(sd_event_source *source, uint64_t usec, void *context)
{
	struct lbd *lbd = context;
	struct lb_error error = {};
	__u64 begin = now_ms(), hold_ms;
	int r = 0;

	lbd->replan_due_ms = 0;
	if (lbd->routes_stale) {
		lbd->routes_stale = false;
		lb_nexthops_routes_stale(lbd->netlink.nexthops);
		r = netlink_query_routes(&lbd->netlink, &error);
	}
	netlink_keep(&lbd->netlink);
	if (r >= 0)
		r = change_nexthops(lbd, &error);
	if (r < 0)
		events_add(&lbd->events, LOG_LEVEL_ERROR, "nexthop", "%s", error.text);
	else if (r > 0)
		events_add(&lbd->events, LOG_LEVEL_INFO, "nexthop", "generation=%llu",
			   lb_engine_generation(lbd->engine));
	if (r >= 0)
		nexthops_sweep_ports(lbd);
	lbd->replan_cost_ms = now_ms() - begin;
	hold_ms = lb_nexthops_hold_ms(lbd->netlink.nexthops, begin);
	if (r < 0)
		schedule(lbd, RETRY_MS);
	else if (hold_ms)
		schedule(lbd, hold_ms + DEBOUNCE_MS);
	return 0;
}

void nexthops_changed(void *context, int mask)
{
	struct lbd *lbd = context;
	__u64 delay = lbd->replan_cost_ms * COST_FACTOR;

	if (delay < DEBOUNCE_MS)
		delay = DEBOUNCE_MS;
	if (delay > DEBOUNCE_MAX_MS)
		delay = DEBOUNCE_MAX_MS;
	if (mask & LB_NEXTHOPS_LINK)
		interfaces_update(lbd);
	if (mask & LB_NEXTHOPS_ROUTE)
		lbd->routes_stale = true;
	if (mask & (LB_NEXTHOPS_CHANGED | LB_NEXTHOPS_ROUTE))
		schedule(lbd, delay);
	else if (mask & LB_NEXTHOPS_LOST)
		schedule(lbd, LB_NEXTHOPS_HOLD_MS + DEBOUNCE_MS);
}
