/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pools of addresses, as a ConfigMap has them:
 *
 *   { "pools": [ { "name": "public", "addresses": [ "203.0.113.0/28", "2001:db8::10-2001:db8::1f" ],
 *                  "automatic": true, "namespaces": [ "shop" ], "labels": { "tier": "web" } } ] }
 *
 * automatic (default true): also for Services that do not name the pool or an address of it. namespaces,
 * labels: only for Services of one of these namespaces that carry all of these labels (default: for all).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kube/objects.h"

struct lb_kube_range {
	struct lb_address first, last; /* of one family */
	unsigned __int128 next;        /* offset at which the next search begins */
};

struct lb_kube_pool {
	char name[LB_KUBE_LABEL_MAX];
	bool automatic;
	struct lb_kube_range *ranges;
	size_t n_ranges;
	char **namespaces;
	size_t n_namespaces;
	struct lb_kube_pairs labels;
};

struct lb_kube_pools {
	struct lb_kube_pool *all;
	size_t n;
};

/* Reads them, strictly. 0, -EINVAL and *error with the place, -ENOMEM. */
int lb_kube_pools_parse(const char *text, struct lb_kube_pools *ret_pools, struct lb_error *error);
void lb_kube_pools_done(struct lb_kube_pools *pools);

/* Whether a Service may have addresses of a pool. */
bool lb_kube_pool_admits(const struct lb_kube_pool *pool, const struct lb_kube_service *service);
bool lb_kube_pool_contains(const struct lb_kube_pool *pool, const struct lb_address *address);
/* Whether some pool has an address, whomever it is for. */
bool lb_kube_pools_contain(const struct lb_kube_pools *pools, const struct lb_address *address);

/* Numbers of addresses: offset is below the size. */
unsigned __int128 lb_kube_range_size(const struct lb_kube_range *range); /* 0: all of IPv6 */
void lb_kube_range_at(const struct lb_kube_range *range, unsigned __int128 offset,
		      struct lb_address *ret_address);

/* Addresses of a family in all pools, at most 2^53. */
__u64 lb_kube_pools_size(const struct lb_kube_pools *pools, __u8 family);
