/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Usable endpoints of a Service's port, counted by Node.
 */
#pragma once

#include "kube/objects.h"
#include "kube/store.h"

struct lb_kube_usable {
	__u32 *by_node;   /* owned; as many as there are nodes, in their order */
	size_t endpoints; /* usable, wherever they are */
	bool last_resort; /* none is ready: these are terminating and still serve */
};

/*
 * Counts. An endpoint in two slices is one. Ready ones count; where none is, those that serve while they
 * terminate (KEP-1669). 0 or -ENOMEM.
 */
int lb_kube_count_usable(const struct lb_kube_group *group, const struct lb_kube_port *port, __u8 family,
			 const struct lb_kube_node *const *nodes, size_t n_nodes,
			 struct lb_kube_usable *ret_usable);
