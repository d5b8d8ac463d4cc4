// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lists and watches of four resources, as kube/watch.h says, into the store. An object that is not understood
 * is counted, told of, and left as it was known before; it does not end a watch.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "lb-kubed/kubed.h"
#include "lb-kubed/resources.h"

#define PAGE_MS 60000 /* for a page, at most */

const char *const resource_names[RESOURCES] = {
	[LB_KUBE_SERVICES] = "services",
	[LB_KUBE_SLICES] = "endpointslices",
	[LB_KUBE_NODES] = "nodes",
	[RESOURCE_POOLS] = "configmaps",
};

bool resources_listed(const struct kubed *kubed)
{
	for (int i = 0; i < RESOURCES; i++)
		if (!kubed->resources[i].watch.listed)
			return false;
	return true;
}

bool resources_can_lead(const struct kubed *kubed)
{
	const struct resource *all = kubed->resources;

	return all[LB_KUBE_SERVICES].watch.listed && all[LB_KUBE_NODES].watch.listed &&
	       all[RESOURCE_POOLS].watch.listed;
}

/* --- objects -----------------------------------------------------------------------------------------------
 */

static int put_object(struct resource *resource, const cJSON *object, struct lb_error *error)
{
	struct kubed *kubed = resource->kubed;
	struct lb_kube_service *service;
	struct lb_kube_slice *slice;
	struct lb_kube_node *node;
	int r;

	switch (resource->kind) {
	case LB_KUBE_SERVICES:
		r = lb_kube_service_parse(object, &service, error);
		return r < 0 ? r : lb_kube_store_service(kubed->store, service);
	case LB_KUBE_SLICES:
		r = lb_kube_slice_parse(object, lb_kube_store_names(kubed->store), &slice, error);
		return r < 0 ? r : lb_kube_store_slice(kubed->store, slice);
	case LB_KUBE_NODES:
		r = lb_kube_node_parse(object, kubed->options.edge_label, &node, error);
		return r < 0 ? r : lb_kube_store_node(kubed->store, node);
	default:
		return pools_put(kubed, object, error);
	}
}

/* 0, also where the object is none that we understand; -ENOMEM. */
static int take_object(struct resource *resource, const cJSON *object)
{
	struct lb_error error = {};
	int r = put_object(resource, object, &error);

	if (r >= 0 || r == -ENOMEM)
		return r;
	resource->kubed->counts.objects_bad++;
	say("object not understood resource=%s error=\"%s\"", resource_names[resource->kind], error.text);
	return 0;
}

static void remove_object(struct resource *resource, const cJSON *object)
{
	struct lb_kube_meta meta;

	if (lb_kube_meta_parse(object, &meta, NULL) < 0)
		return;
	if (resource->kind == RESOURCE_POOLS)
		pools_remove(resource->kubed, meta.name);
	else
		lb_kube_store_remove(resource->kubed->store, (enum lb_kube_kind)resource->kind,
				     meta.namespace, meta.name);
	lb_kube_meta_done(&meta);
}

static const char *version_of(const cJSON *object)
{
	const cJSON *meta = cJSON_GetObjectItemCaseSensitive(object, "metadata");

	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(meta, "resourceVersion"));
}

/* --- a watch -----------------------------------------------------------------------------------------------
 */

/* An ERROR event ends the watch, with the status that it carries. */
static int take_error(struct resource *resource, const cJSON *status)
{
	const cJSON *code = cJSON_GetObjectItemCaseSensitive(status, "code");

	resource->ending.status = cJSON_IsNumber(code) ? code->valueint : 500;
	return -ECANCELED;
}

static int take_event(void *context, char *text, size_t length)
{
	struct resource *resource = context;
	_cleanup_(cjson_freep) cJSON *event = cJSON_ParseWithLength(text, length);
	const cJSON *object = cJSON_GetObjectItemCaseSensitive(event, "object");
	const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(event, "type"));
	int r = 0;

	if (!type || !cJSON_IsObject(object))
		return -EBADMSG;
	if (strcmp(type, "ERROR") == 0)
		return take_error(resource, object);
	if (strcmp(type, "DELETED") == 0)
		remove_object(resource, object);
	else if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0)
		r = take_object(resource, object);
	else if (strcmp(type, "BOOKMARK") != 0)
		return -EBADMSG;
	return r < 0 ? r : lb_kube_watch_event(&resource->watch, version_of(object), now_ms());
}

static int on_bytes(struct request *request, const char *bytes, size_t n)
{
	struct resource *resource = request->context;
	int r;

	lb_kube_watch_alive(&resource->watch, now_ms());
	r = lb_kube_split_feed(&resource->split, bytes, n);
	resource->ending.bad |= r < 0 && r != -ECANCELED;
	return r;
}

static void finish(struct resource *resource, struct lb_kube_ending ending)
{
	resource->request = NULL;
	lb_kube_split_reset(&resource->split);
	lb_kube_watch_ended(&resource->watch, &ending, now_ms());
}

static void on_end(struct request *request)
{
	struct resource *resource = request->context;
	struct lb_kube_ending ending = resource->ending;
	char why[300];

	if (!ending.status)
		ending.status = request->ok || request->status != 200 ? request->status : 0;
	ending.retry_after_s = request->retry_after_s;
	if (ending.status != 200 || ending.bad)
		say("%s ended resource=%s status=%d%s why=\"%s\"", resource->in_list ? "list" : "watch",
		    resource_names[resource->kind], ending.status, ending.bad ? " not understood" : "",
		    http_why(request, why));
	finish(resource, ending);
}

/* --- a list ------------------------------------------------------------------------------------------------
 */

static int take_item(void *context, char *text, size_t length)
{
	struct resource *resource = context;
	_cleanup_(cjson_freep) cJSON *object = cJSON_ParseWithLength(text, length);

	return cJSON_IsObject(object) ? take_object(resource, object) : -EBADMSG;
}

/* The page's own part. False: it is no list. */
static bool take_rest(struct resource *resource)
{
	_cleanup_(cjson_freep) cJSON *list = cJSON_Parse(lb_kube_split_rest(&resource->split));
	const cJSON *meta = cJSON_GetObjectItemCaseSensitive(list, "metadata");
	const char *version = version_of(list);
	const char *more = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(meta, "continue"));
	bool last = !more || !more[0];

	if (!version || !version[0] || !cJSON_GetObjectItemCaseSensitive(list, "items"))
		return false;
	if (lb_kube_watch_page(&resource->watch, version, more, now_ms()) < 0)
		return false;
	if (last && resource->kind == RESOURCE_POOLS)
		pools_end(resource->kubed);
	else if (last)
		lb_kube_store_end(resource->kubed->store, (enum lb_kube_kind)resource->kind);
	return true;
}

static void on_page(struct request *request)
{
	struct resource *resource = request->context;

	if (request->ok && request->status == 200 && !resource->ending.bad &&
	    lb_kube_split_whole(&resource->split) && take_rest(resource)) {
		resource->request = NULL;
		lb_kube_split_reset(&resource->split);
		return;
	}
	resource->ending.bad |= request->ok && request->status == 200;
	on_end(request);
}

/* --- turns -------------------------------------------------------------------------------------------------
 */

static int path_of(const struct resource *resource, const char *query, char **ret_path)
{
	const struct options *options = &resource->kubed->options;
	int n;

	if (resource->kind == RESOURCE_POOLS)
		n = asprintf(ret_path,
			     "/api/v1/namespaces/%s/configmaps?fieldSelector=metadata.name%%3D%s&%s",
			     options->namespace, options->pools, query);
	else
		n = asprintf(ret_path, "%s/%s?%s",
			     resource->kind == LB_KUBE_SLICES ? "/apis/discovery.k8s.io/v1" : "/api/v1",
			     resource_names[resource->kind], query);
	return n < 0 ? -ENOMEM : 0;
}

static void ask(struct resource *resource, bool list)
{
	_cleanup_(freep) char *query = NULL, *path = NULL;
	struct asking asking = {
		.peer = PEER_API,
		.method = "GET",
		.timeout_ms = list ? PAGE_MS : 0,
		.data = on_bytes,
		.done = list ? on_page : on_end,
		.context = resource,
	};

	if (list && !resource->watch.more && resource->kind != RESOURCE_POOLS)
		lb_kube_store_begin(resource->kubed->store, (enum lb_kube_kind)resource->kind);
	if (list && resource->kind == RESOURCE_POOLS)
		pools_begin(resource->kubed);
	lb_kube_split_reset(&resource->split);
	resource->split.list = list;
	resource->split.object = list ? take_item : take_event;
	resource->ending = (struct lb_kube_ending){};
	resource->in_list = list;
	if (lb_kube_watch_query(&resource->watch, &query) == 0 && path_of(resource, query, &path) == 0) {
		asking.url = path;
		resource->request = http_ask(resource->kubed, &asking);
	}
	if (!resource->request)
		finish(resource, (struct lb_kube_ending){});
}

static void turn(struct resource *resource, __u64 now)
{
	switch (lb_kube_watch_turn(&resource->watch, now)) {
	case LB_KUBE_TURN_LIST:
		ask(resource, true);
		break;
	case LB_KUBE_TURN_WATCH:
		ask(resource, false);
		break;
	case LB_KUBE_TURN_ABORT:
		say("stream was silent resource=%s", resource_names[resource->kind]);
		http_abandon(resource->request);
		finish(resource, (struct lb_kube_ending){ .silent = true });
		break;
	default:
		break;
	}
}

__u64 resources_turn(struct kubed *kubed, __u64 now)
{
	__u64 due = ~0ull;

	for (int i = 0; i < RESOURCES; i++) {
		__u64 its;

		/* At first: addresses do not wait for slices, which are most of all. */
		if (i == LB_KUBE_SLICES && (!resources_can_lead(kubed) || kubed->options.give_back))
			continue;
		turn(&kubed->resources[i], now);
		its = lb_kube_watch_due_ms(&kubed->resources[i].watch);
		due = its < due ? its : due;
	}
	return due;
}

void resources_start(struct kubed *kubed)
{
	for (int i = 0; i < RESOURCES; i++) {
		struct resource *resource = &kubed->resources[i];

		resource->kubed = kubed;
		resource->kind = i;
		resource->split.context = resource;
		lb_kube_watch_init(&resource->watch, kubed->random + (__u64)i);
		resource->limits = lb_kube_watch_limits;
		resource->limits.silence_ms = kubed->options.silence_s * 1000;
		resource->watch.limits = &resource->limits;
	}
}

void resources_stop(struct kubed *kubed)
{
	for (int i = 0; i < RESOURCES; i++) {
		http_abandon(kubed->resources[i].request);
		lb_kube_split_done(&kubed->resources[i].split);
		lb_kube_watch_done(&kubed->resources[i].watch);
	}
}
