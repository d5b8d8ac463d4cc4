// SPDX-License-Identifier: GPL-2.0-only
/*
 * Three tables by name, and the list of what changed. Every list of a kind is a round: what has an older one
 * at the end is gone.
 */
#include "kube/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM               1
#define HASH_FUNCTION(key, bytes, hash) ((hash) = (unsigned int)XXH3_64bits(key, bytes))
#define uthash_nonfatal_oom(element)    ((element)->lost = true)
#include <uthash.h>
#include <xxhash.h>

struct group_entry {
	struct lb_kube_group group;
	UT_hash_handle hh;
	bool lost;
};

struct slice_entry {
	struct lb_kube_slice *slice;
	struct lb_kube_group *group;
	__u64 round;
	UT_hash_handle hh;
	bool lost;
	char key[];
};

struct node_entry {
	struct lb_kube_node *node;
	__u64 round;
	UT_hash_handle hh;
	bool lost;
};

struct lb_kube_store {
	struct group_entry *groups;
	struct slice_entry *slices;
	struct node_entry *nodes;
	struct lb_kube_names *names;
	__u64 rounds[LB_KUBE_KINDS];
	struct lb_kube_group changed;        /* head of the ring of what changed */
	const struct lb_kube_node **by_name; /* made when asked for */
	size_t services, endpoints;
};

struct lb_kube_store *lb_kube_store_new(void)
{
	struct lb_kube_store *store = calloc(1, sizeof(*store));

	if (!store)
		return NULL;
	store->changed.prev_changed = store->changed.next_changed = &store->changed;
	store->names = lb_kube_names_new();
	if (store->names)
		return store;
	free(store);
	return NULL;
}

struct lb_kube_names *lb_kube_store_names(struct lb_kube_store *store)
{
	return store->names;
}

void lb_kube_group_key(const char *namespace, const char *name,
		       char ret_key[LB_KUBE_LABEL_MAX + LB_KUBE_NAME_MAX])
{
	snprintf(ret_key, LB_KUBE_LABEL_MAX + LB_KUBE_NAME_MAX, "%s/%s", namespace ? namespace : "", name);
}

/* --- what changed ----------------------------------------------------------------------------------------
 */

void lb_kube_store_touch(struct lb_kube_store *store, struct lb_kube_group *group)
{
	struct lb_kube_group *head = &store->changed;

	if (group->changed)
		return;
	group->changed = true;
	group->prev_changed = head->prev_changed;
	group->next_changed = head;
	head->prev_changed->next_changed = group;
	head->prev_changed = group;
}

static void untouch(struct lb_kube_group *group)
{
	if (!group->changed)
		return;
	group->changed = false;
	group->prev_changed->next_changed = group->next_changed;
	group->next_changed->prev_changed = group->prev_changed;
}

void lb_kube_store_touch_all(struct lb_kube_store *store)
{
	for (struct group_entry *at = store->groups; at; at = at->hh.next)
		lb_kube_store_touch(store, &at->group);
}

bool lb_kube_store_has_changed(const struct lb_kube_store *store)
{
	return store->changed.next_changed != &store->changed;
}

struct lb_kube_group *lb_kube_store_changed(struct lb_kube_store *store)
{
	struct lb_kube_group *group = store->changed.next_changed;

	if (group == &store->changed)
		return NULL;
	untouch(group);
	return group;
}

/* --- groups ----------------------------------------------------------------------------------------------
 */

struct lb_kube_group *lb_kube_store_find(struct lb_kube_store *store, const char *key)
{
	struct group_entry *entry;

	HASH_FIND(hh, store->groups, key, strlen(key), entry);
	return entry ? &entry->group : NULL;
}

struct lb_kube_group *lb_kube_store_group(struct lb_kube_store *store, const char *key)
{
	struct lb_kube_group *group = lb_kube_store_find(store, key);
	struct group_entry *entry;

	if (group)
		return group;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	snprintf(entry->group.key, sizeof(entry->group.key), "%s", key);
	entry->group.entry = entry;
	HASH_ADD_KEYPTR(hh, store->groups, entry->group.key, strlen(entry->group.key), entry);
	if (!entry->lost)
		return &entry->group;
	free(entry);
	return NULL;
}

void lb_kube_store_settle(struct lb_kube_store *store, struct lb_kube_group *group)
{
	struct group_entry *entry = group->entry;

	if (group->service || group->n_slices || group->mine || group->changed)
		return;
	HASH_DELETE(hh, store->groups, entry);
	free(group->slices);
	free(entry);
}

void lb_kube_store_each(struct lb_kube_store *store,
			void (*visit)(void *context, struct lb_kube_group *group), void *context)
{
	for (struct group_entry *at = store->groups; at; at = at->hh.next)
		visit(context, &at->group);
}

/* --- Services --------------------------------------------------------------------------------------------
 */

int lb_kube_store_service(struct lb_kube_store *store, struct lb_kube_service *service)
{
	char key[LB_KUBE_LABEL_MAX + LB_KUBE_NAME_MAX];
	struct lb_kube_group *group;

	lb_kube_group_key(service->meta.namespace, service->meta.name, key);
	group = lb_kube_store_group(store, key);
	if (!group) {
		lb_kube_service_free(service);
		return -ENOMEM;
	}
	group->round = store->rounds[LB_KUBE_SERVICES];
	store->services += !group->service;
	lb_kube_service_free(group->service);
	group->service = service;
	lb_kube_store_touch(store, group);
	return 0;
}

static void remove_service(struct lb_kube_store *store, struct lb_kube_group *group)
{
	if (!group || !group->service)
		return;
	store->services--;
	lb_kube_service_free(group->service);
	group->service = NULL;
	lb_kube_store_touch(store, group);
}

/* --- slices ----------------------------------------------------------------------------------------------
 */

static int join(struct lb_kube_group *group, struct lb_kube_slice *slice)
{
	struct lb_kube_slice **slices =
		reallocarray(group->slices, group->n_slices + 1, sizeof(struct lb_kube_slice *));

	if (!slices)
		return -ENOMEM;
	group->slices = slices;
	slices[group->n_slices++] = slice;
	return 0;
}

static void leave(struct lb_kube_store *store, struct slice_entry *entry)
{
	struct lb_kube_group *group = entry->group;

	if (!entry->slice)
		return;
	for (size_t i = 0; i < group->n_slices; i++)
		if (group->slices[i] == entry->slice) {
			group->slices[i] = group->slices[--group->n_slices];
			break;
		}
	store->endpoints -= entry->slice->n_endpoints;
	lb_kube_slice_free(entry->slice);
	entry->slice = NULL;
	lb_kube_store_touch(store, group);
}

static void remove_slice(struct lb_kube_store *store, struct slice_entry *entry)
{
	if (!entry)
		return;
	leave(store, entry);
	HASH_DELETE(hh, store->slices, entry);
	free(entry);
}

static struct slice_entry *find_slice(struct lb_kube_store *store, const char *key)
{
	struct slice_entry *entry;

	HASH_FIND(hh, store->slices, key, strlen(key), entry);
	return entry;
}

static struct slice_entry *make_slice(struct lb_kube_store *store, const char *key)
{
	struct slice_entry *entry = find_slice(store, key);

	if (entry)
		return entry;
	entry = calloc(1, sizeof(*entry) + strlen(key) + 1);
	if (!entry)
		return NULL;
	memcpy(entry->key, key, strlen(key) + 1);
	HASH_ADD_KEYPTR(hh, store->slices, entry->key, strlen(entry->key), entry);
	if (!entry->lost)
		return entry;
	free(entry);
	return NULL;
}

/* Into the group of the Service that its label names, which may be another than before. */
static int place_slice(struct lb_kube_store *store, struct slice_entry *entry, struct lb_kube_slice *slice)
{
	char key[LB_KUBE_LABEL_MAX + LB_KUBE_NAME_MAX];
	struct lb_kube_group *group;

	lb_kube_group_key(slice->meta.namespace, slice->service, key);
	group = lb_kube_store_group(store, key);
	if (!group || join(group, slice) < 0)
		return -ENOMEM;
	leave(store, entry);
	entry->slice = slice;
	entry->group = group;
	store->endpoints += slice->n_endpoints;
	lb_kube_store_touch(store, group);
	return 0;
}

int lb_kube_store_slice(struct lb_kube_store *store, struct lb_kube_slice *slice)
{
	char key[LB_KUBE_LABEL_MAX + LB_KUBE_NAME_MAX];
	struct slice_entry *entry;
	int r;

	lb_kube_group_key(slice->meta.namespace, slice->meta.name, key);
	entry = make_slice(store, key);
	if (entry)
		entry->round = store->rounds[LB_KUBE_SLICES];
	r = entry ? place_slice(store, entry, slice) : -ENOMEM;
	if (r < 0)
		lb_kube_slice_free(slice);
	if (entry && !entry->slice)
		remove_slice(store, entry);
	return r;
}

/* --- Nodes -----------------------------------------------------------------------------------------------
 */

static void nodes_changed(struct lb_kube_store *store)
{
	free(store->by_name);
	store->by_name = NULL;
	lb_kube_store_touch_all(store);
}

static struct node_entry *find_node(const struct lb_kube_store *store, const char *name)
{
	struct node_entry *entry;

	HASH_FIND(hh, store->nodes, name, strlen(name), entry);
	return entry;
}

static void remove_node(struct lb_kube_store *store, struct node_entry *entry)
{
	if (!entry)
		return;
	HASH_DELETE(hh, store->nodes, entry);
	lb_kube_node_free(entry->node);
	free(entry);
	nodes_changed(store);
}

/* Nodes tell of themselves every few minutes; only what matters to Services is a change. */
int lb_kube_store_node(struct lb_kube_store *store, struct lb_kube_node *node)
{
	struct node_entry *entry = find_node(store, node->meta.name), *old = entry;

	if (old && lb_kube_node_equal(old->node, node)) {
		old->round = store->rounds[LB_KUBE_NODES];
		lb_kube_node_free(node);
		return 0;
	}
	entry = calloc(1, sizeof(*entry));
	if (!entry) {
		lb_kube_node_free(node);
		return -ENOMEM;
	}
	remove_node(store, old);
	entry->node = node;
	entry->round = store->rounds[LB_KUBE_NODES];
	HASH_ADD_KEYPTR(hh, store->nodes, node->meta.name, strlen(node->meta.name), entry);
	if (entry->lost) {
		lb_kube_node_free(node);
		free(entry);
		return -ENOMEM;
	}
	nodes_changed(store);
	return 0;
}

const struct lb_kube_node *lb_kube_store_find_node(const struct lb_kube_store *store, const char *name)
{
	const struct node_entry *entry = find_node(store, name);

	return entry ? entry->node : NULL;
}

static int by_name(const void *a, const void *b)
{
	const struct lb_kube_node *const *left = a, *const *right = b;

	return strcmp((*left)->meta.name, (*right)->meta.name);
}

const struct lb_kube_node *const *lb_kube_store_nodes(struct lb_kube_store *store, size_t *ret_n)
{
	size_t n = HASH_COUNT(store->nodes), at = 0;

	*ret_n = 0;
	if (!store->by_name && n) {
		store->by_name = calloc(n, sizeof(*store->by_name));
		if (!store->by_name)
			return NULL;
		for (struct node_entry *entry = store->nodes; entry; entry = entry->hh.next)
			store->by_name[at++] = entry->node;
		qsort(store->by_name, n, sizeof(*store->by_name), by_name);
	}
	*ret_n = n;
	return store->by_name;
}

/* --- rounds ----------------------------------------------------------------------------------------------
 */

void lb_kube_store_remove(struct lb_kube_store *store, enum lb_kube_kind kind, const char *namespace,
			  const char *name)
{
	char key[LB_KUBE_LABEL_MAX + LB_KUBE_NAME_MAX];

	lb_kube_group_key(namespace, name, key);
	if (kind == LB_KUBE_SERVICES)
		remove_service(store, lb_kube_store_find(store, key));
	else if (kind == LB_KUBE_SLICES)
		remove_slice(store, find_slice(store, key));
	else
		remove_node(store, find_node(store, name));
}

/* What a list has not is gone, but nobody has said so. */
static void miss_service(struct lb_kube_store *store, struct lb_kube_group *group)
{
	group->unsure |= group->service != NULL;
	remove_service(store, group);
}

static void miss_slice(struct lb_kube_store *store, struct slice_entry *entry)
{
	entry->group->unsure = true;
	remove_slice(store, entry);
}

static void miss_node(struct lb_kube_store *store, struct node_entry *entry)
{
	for (struct group_entry *at = store->groups; at; at = at->hh.next)
		at->group.unsure = true;
	remove_node(store, entry);
}

void lb_kube_store_begin(struct lb_kube_store *store, enum lb_kube_kind kind)
{
	store->rounds[kind]++;
}

void lb_kube_store_end(struct lb_kube_store *store, enum lb_kube_kind kind)
{
	__u64 round = store->rounds[kind];
	struct slice_entry *slice, *next_slice;
	struct node_entry *node, *next_node;

	if (kind == LB_KUBE_SERVICES)
		for (struct group_entry *at = store->groups; at; at = at->hh.next)
			if (at->group.round != round)
				miss_service(store, &at->group);
	if (kind == LB_KUBE_SLICES)
		HASH_ITER (hh, store->slices, slice, next_slice)
			if (slice->round != round)
				miss_slice(store, slice);
	if (kind == LB_KUBE_NODES)
		HASH_ITER (hh, store->nodes, node, next_node)
			if (node->round != round)
				miss_node(store, node);
}

struct lb_kube_store_counts lb_kube_store_count(const struct lb_kube_store *store)
{
	return (struct lb_kube_store_counts){
		.services = store->services,
		.slices = HASH_COUNT(store->slices),
		.endpoints = store->endpoints,
		.nodes = HASH_COUNT(store->nodes),
	};
}

void lb_kube_store_free(struct lb_kube_store *store)
{
	struct slice_entry *slice, *next_slice;
	struct node_entry *node, *next_node;
	struct group_entry *group, *next_group;

	if (!store)
		return;
	HASH_ITER (hh, store->slices, slice, next_slice)
		remove_slice(store, slice);
	HASH_ITER (hh, store->nodes, node, next_node)
		remove_node(store, node);
	HASH_ITER (hh, store->groups, group, next_group) {
		HASH_DELETE(hh, store->groups, group);
		lb_kube_service_free(group->group.service);
		free(group->group.slices);
		free(group);
	}
	free(store->by_name);
	lb_kube_names_free(store->names);
	free(store);
}
