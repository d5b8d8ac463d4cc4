/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Objects of the Kubernetes API, as little of them as we need: Services, EndpointSlices, Nodes. What is kept
 * is bounded by what counts (an endpoint is 16 bytes), whatever else the objects carry.
 */
#pragma once

#include <cjson/cJSON.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "base/error.h"
#include "kube/names.h"

/* Names at their limits: namespaces, Services and ports are DNS labels, the others DNS names. */
#define LB_KUBE_LABEL_MAX 64  /* with the terminating zero */
#define LB_KUBE_NAME_MAX  254 /* the same */

#define LB_KUBE_PREFIX    "weir.dev/" /* of our annotations, labels and finalizers */
#define LB_KUBE_FINALIZER LB_KUBE_PREFIX "service"

struct lb_kube_pair {
	char *key, *value;
};

struct lb_kube_pairs {
	struct lb_kube_pair *all;
	size_t n;
};

/* NULL: not there. */
const char *lb_kube_pair_value(const struct lb_kube_pairs *pairs, const char *key);

struct lb_kube_meta {
	char *namespace; /* NULL: none, as of a Node */
	char *name, *uid;
	char *resource_version; /* opaque */
	char created[32];       /* RFC 3339 in UTC: texts order as times do */
	bool deleting;
};

struct lb_kube_port {
	char name[LB_KUBE_LABEL_MAX]; /* empty: the only one */
	__u16 port, node_port;        /* 0: none */
	__u8 protocol;                /* IPPROTO_TCP or IPPROTO_UDP; 0: one that is not balanced */
};

#define LB_KUBE_FAMILIES 2

/* An address that a Service has, as its status says: that is the record of it. */
struct lb_kube_ingress {
	struct lb_address address;
	__u64 ports; /* digest, see lb_kube_ports_digest() */
	bool vip;    /* ipMode VIP */
};

struct lb_kube_service {
	struct lb_kube_meta meta;
	bool load_balancer; /* its type */
	bool local;         /* externalTrafficPolicy */
	bool client_ip;     /* sessionAffinity */
	bool publish_not_ready;
	/* externalTrafficPolicy, sessionAffinity or loadBalancerSourceRanges has a value that we do not know.
	 */
	bool bad_policy;
	__u16 health_check_node_port;
	char *class;                     /* NULL: none given */
	char *wanted_address;            /* spec.loadBalancerIP; NULL: none */
	__u8 families[LB_KUBE_FAMILIES]; /* LB_FAMILY_*, in the Service's order */
	size_t n_families;
	bool require_both; /* ipFamilyPolicy RequireDualStack */
	struct lb_kube_port *ports;
	size_t n_ports;
	struct lb_prefix *source_ranges; /* without host bits */
	size_t n_source_ranges;
	struct lb_kube_pairs annotations; /* ours alone */
	struct lb_kube_pairs labels;
	char **finalizers; /* all: a patch replaces the list */
	size_t n_finalizers;
	struct lb_kube_ingress *ingress; /* of its status */
	size_t n_ingress;
	bool strange_ingress; /* its status has what we do not write: a host name */
};

/* One usable or unusable endpoint. */
enum {
	LB_KUBE_READY = 1,
	LB_KUBE_SERVING = 2,
	LB_KUBE_TERMINATING = 4,
};

struct lb_kube_endpoint {
	struct lb_kube_name *node; /* NULL: not told */
	__u32 address;             /* a hash of its first address: the same endpoint may be in two slices */
	__u8 conditions;
};

struct lb_kube_slice {
	struct lb_kube_meta meta;
	char *service;              /* the Service's name, by its label */
	__u8 family;                /* 0: of host names, which are nothing to us */
	struct lb_kube_port *ports; /* their port numbers do not matter here */
	size_t n_ports;
	struct lb_kube_endpoint *endpoints;
	size_t n_endpoints;
	struct lb_kube_names *names; /* of the endpoints' nodes */
};

struct lb_kube_node {
	struct lb_kube_meta meta;
	struct lb_address addresses[LB_KUBE_FAMILIES]; /* the first InternalIP of each family: IPv4, IPv6 */
	bool excluded; /* label node.kubernetes.io/exclude-from-external-load-balancers */
	bool leaving;  /* is being deleted, or tainted for that by the autoscaler */
	bool edge;     /* runs Weir: it carries the label of edge nodes */
};

/*
 * Reads an object. 0 and what is to be freed; -ENOMEM; -EINVAL and *error: it is none that we understand.
 * edge_label: the label of edge nodes ("key" or "key=value").
 */
int lb_kube_service_parse(const cJSON *object, struct lb_kube_service **ret_service, struct lb_error *error);
int lb_kube_slice_parse(const cJSON *object, struct lb_kube_names *names, struct lb_kube_slice **ret_slice,
			struct lb_error *error);
int lb_kube_node_parse(const cJSON *object, const char *edge_label, struct lb_kube_node **ret_node,
		       struct lb_error *error);

/* What every object has: for kinds that are read elsewhere. *meta is to be given back by lb_kube_meta_done().
 * 0, -EINVAL, -ENOMEM. */
int lb_kube_meta_parse(const cJSON *object, struct lb_kube_meta *ret_meta, struct lb_error *error);
void lb_kube_meta_done(struct lb_kube_meta *meta);

void lb_kube_service_free(struct lb_kube_service *service);
void lb_kube_slice_free(struct lb_kube_slice *slice);
void lb_kube_node_free(struct lb_kube_node *node);

/* Whether two versions of a Node are the same to us. */
bool lb_kube_node_equal(const struct lb_kube_node *a, const struct lb_kube_node *b);

/* What a status says of a Service's ports, those that are balanced, to be compared. 0: nothing. */
__u64 lb_kube_ports_digest(const struct lb_kube_port *ports, size_t n);

bool lb_kube_has_finalizer(const struct lb_kube_service *service);
