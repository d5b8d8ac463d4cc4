/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From a Service, its slices and the Nodes to services of the schema (weir.json(5)), one for each address and
 * port. Pure: every balancer that sees the same objects makes the same. Backends are Nodes; the Node's own
 * service proxy takes packets to a pod.
 */
#pragma once

#include "kube/objects.h"
#include "kube/reasons.h"
#include "kube/store.h"
#include "kube/wish.h"

/* Whether a Node has shown that its service proxy knows the Service. */
enum lb_kube_proof {
	LB_KUBE_PROVEN,
	LB_KUBE_UNPROVEN, /* never yet: it gets no flow */
	LB_KUBE_FAILED,   /* it had, and does not any more: it drains */
};

/* What is asked of a Node, and what it has shown. */
struct lb_kube_question {
	const struct lb_kube_service *service;
	const struct lb_kube_port *port;
	const struct lb_address *vip;
	const struct lb_kube_node *node;
	__u32 endpoints; /* that it has by the slices */
};

struct lb_kube_shown {
	enum lb_kube_proof proof;
	__u32 endpoints; /* that it has by its own word; 0: it does not say */
};

struct lb_kube_view {
	const struct lb_kube_group *group;       /* its Service is there */
	const struct lb_kube_node *const *nodes; /* by name */
	size_t n_nodes;
	const struct lb_kube_wish *wish;
	const struct lb_address *addresses; /* that the Service has: one a family at most */
	size_t n_addresses;
	/* NULL: all have shown everything. */
	struct lb_kube_shown (*ask)(void *context, const struct lb_kube_question *question);
	void *context;
};

/* One service of the schema. */
struct lb_kube_part {
	struct lb_kube_short name;
	char *json;      /* owned; an object as PUT takes it */
	size_t backends; /* active ones */
};

struct lb_kube_parts {
	struct lb_kube_part *all;
	size_t n;
};

/*
 * 0 and the services that are wanted (none: the Service is not to be served), with notes; -ENOMEM. The ring
 * size must have been fixed (wish->ring_size).
 */
int lb_kube_translate(const struct lb_kube_view *view, struct lb_kube_parts *ret_parts,
		      struct lb_kube_notes *notes);
void lb_kube_parts_done(struct lb_kube_parts *parts);

/* Names of the services that a Service has or may have: for one that is left as it is. */
void lb_kube_part_name(const struct lb_kube_service *service, const struct lb_kube_port *port, __u8 family,
		       struct lb_kube_short *ret_name);

/* Slots of the ring for a Service that has none yet: by the Nodes there are, which is what its pool may
 * become. */
__u32 lb_kube_ring_size(const struct lb_kube_node *const *nodes, size_t n);
