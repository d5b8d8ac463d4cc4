/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What has been seen of the cluster: Services with their slices, and Nodes. Resources come in any order: a
 * slice may be there before its Service, and a Service after its Nodes. What changed is on a list until it
 * has been looked at.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "kube/objects.h"

struct lb_kube_store;

/* A Service, or the place of one of which only slices, or something of the owner's, are there. */
struct lb_kube_group {
	char key[LB_KUBE_LABEL_MAX + LB_KUBE_NAME_MAX]; /* "namespace/name" */
	struct lb_kube_service *service;                /* NULL: not there */
	struct lb_kube_slice **slices;
	size_t n_slices;
	void *mine; /* the store's owner's; a group with it stays */
	/* There may be more of it than is known: something that there was is missing from a list. */
	bool unsure;
	__u64 round;
	bool changed;
	struct lb_kube_group *prev_changed, *next_changed;
	void *entry;
};

struct lb_kube_store *lb_kube_store_new(void); /* NULL: out of memory */
/* Takes NULL. The owner has taken back what is his before. */
void lb_kube_store_free(struct lb_kube_store *store);
struct lb_kube_names *lb_kube_store_names(struct lb_kube_store *store);

/*
 * An object as it is now; the store owns it from here on, also where it fails. Whether its resourceVersion is
 * the one that was seen before says nothing: etcd restored from a snapshot gives versions anew. 0 or -ENOMEM.
 */
int lb_kube_store_service(struct lb_kube_store *store, struct lb_kube_service *service);
int lb_kube_store_slice(struct lb_kube_store *store, struct lb_kube_slice *slice);
int lb_kube_store_node(struct lb_kube_store *store, struct lb_kube_node *node);

/* An object is gone. namespace: NULL for Nodes. */
enum lb_kube_kind { LB_KUBE_SERVICES, LB_KUBE_SLICES, LB_KUBE_NODES, LB_KUBE_KINDS };
void lb_kube_store_remove(struct lb_kube_store *store, enum lb_kube_kind kind, const char *namespace,
			  const char *name);

/* A list begins, and has come to its end: what was not in it is gone. A list that fails is just begun anew.
 */
void lb_kube_store_begin(struct lb_kube_store *store, enum lb_kube_kind kind);
void lb_kube_store_end(struct lb_kube_store *store, enum lb_kube_kind kind);

/* All Services are to be looked at again. */
void lb_kube_store_touch_all(struct lb_kube_store *store);
void lb_kube_store_touch(struct lb_kube_store *store, struct lb_kube_group *group);

/* The next group that changed, which is off the list then; NULL: none. */
struct lb_kube_group *lb_kube_store_changed(struct lb_kube_store *store);
bool lb_kube_store_has_changed(const struct lb_kube_store *store);

/* To be told when the owner has put something into group->mine or taken it out: an empty group goes. */
void lb_kube_store_settle(struct lb_kube_store *store, struct lb_kube_group *group);

/* By "namespace/name", made if need be; NULL: out of memory. */
struct lb_kube_group *lb_kube_store_group(struct lb_kube_store *store, const char *key);
struct lb_kube_group *lb_kube_store_find(struct lb_kube_store *store, const char *key);
void lb_kube_group_key(const char *namespace, const char *name,
		       char ret_key[LB_KUBE_LABEL_MAX + LB_KUBE_NAME_MAX]);

/* All groups, in no order; the visitor may not add or remove any. */
void lb_kube_store_each(struct lb_kube_store *store,
			void (*visit)(void *context, struct lb_kube_group *group), void *context);

/* NULL: not there. */
const struct lb_kube_node *lb_kube_store_find_node(const struct lb_kube_store *store, const char *name);
/* All of them, by name. Valid until a Node comes or goes. */
const struct lb_kube_node *const *lb_kube_store_nodes(struct lb_kube_store *store, size_t *ret_n);

struct lb_kube_store_counts {
	size_t services, slices, endpoints, nodes;
};
struct lb_kube_store_counts lb_kube_store_count(const struct lb_kube_store *store);
