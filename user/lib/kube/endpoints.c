// SPDX-License-Identifier: GPL-2.0-only
/*
 * Endpoints of all slices that carry a port, each once.
 */
#include "kube/endpoints.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static bool carries(const struct lb_kube_slice *slice, const struct lb_kube_port *port)
{
	for (size_t i = 0; i < slice->n_ports; i++)
		if (slice->ports[i].protocol == port->protocol &&
		    strcmp(slice->ports[i].name, port->name) == 0)
			return true;
	return false;
}

static int by_address(const void *a, const void *b)
{
	const struct lb_kube_endpoint *left = a, *right = b;

	if (left->address != right->address)
		return left->address < right->address ? -1 : 1;
	/* Of two that say different things of one endpoint the better comes first. */
	return right->conditions & LB_KUBE_READY ? 1 : left->conditions & LB_KUBE_READY ? -1 : 0;
}

static int collect(const struct lb_kube_group *group, const struct lb_kube_port *port, __u8 family,
		   struct lb_kube_endpoint **ret_all, size_t *ret_n)
{
	size_t room = 0, n = 0, kept = 0;
	struct lb_kube_endpoint *all;

	for (size_t i = 0; i < group->n_slices; i++)
		room += group->slices[i]->n_endpoints;
	all = calloc(room + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < group->n_slices; i++) {
		const struct lb_kube_slice *slice = group->slices[i];

		if (slice->family != family || !slice->n_endpoints || slice->meta.deleting ||
		    !carries(slice, port))
			continue;
		memcpy(all + n, slice->endpoints, slice->n_endpoints * sizeof(*all));
		n += slice->n_endpoints;
	}
	qsort(all, n, sizeof(*all), by_address);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || all[kept - 1].address != all[i].address || all[kept - 1].node != all[i].node)
			all[kept++] = all[i];
	*ret_all = all;
	*ret_n = kept;
	return 0;
}

static bool is_usable(const struct lb_kube_endpoint *endpoint, bool publish_not_ready, bool last_resort)
{
	const __u8 last = LB_KUBE_SERVING | LB_KUBE_TERMINATING;

	if (last_resort)
		return (endpoint->conditions & last) == last;
	return publish_not_ready || (endpoint->conditions & LB_KUBE_READY);
}

/* The place of a node, or n. */
static size_t place_of(const struct lb_kube_node *const *nodes, size_t n, const char *name)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(nodes[middle]->meta.name, name);

		if (order == 0)
			return middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return n;
}

static void count(const struct lb_kube_endpoint *all, size_t n, bool publish_not_ready,
		  const struct lb_kube_node *const *nodes, size_t n_nodes, struct lb_kube_usable *usable)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = n_nodes;

		if (!is_usable(&all[i], publish_not_ready, usable->last_resort))
			continue;
		usable->endpoints++;
		if (all[i].node)
			at = place_of(nodes, n_nodes, lb_kube_name_text(all[i].node));
		if (at < n_nodes)
			usable->by_node[at]++;
	}
}

int lb_kube_count_usable(const struct lb_kube_group *group, const struct lb_kube_port *port, __u8 family,
			 const struct lb_kube_node *const *nodes, size_t n_nodes,
			 struct lb_kube_usable *ret_usable)
{
	bool publish_not_ready = group->service->publish_not_ready;
	_cleanup_(freep) struct lb_kube_endpoint *all = NULL;
	struct lb_kube_usable usable = {};
	size_t n = 0;

	if (collect(group, port, family, &all, &n) < 0)
		return -ENOMEM;
	usable.by_node = calloc(n_nodes + 1, sizeof(*usable.by_node));
	if (!usable.by_node)
		return -ENOMEM;
	count(all, n, publish_not_ready, nodes, n_nodes, &usable);
	if (!usable.endpoints) {
		usable.last_resort = true;
		count(all, n, publish_not_ready, nodes, n_nodes, &usable);
	}
	*ret_usable = usable;
	return 0;
}
