// SPDX-License-Identifier: GPL-2.0-only
/*
 * EndpointSlices. Source: the API reference of discovery/v1, and KEP-1672 and KEP-1669 for conditions.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "kube/object_meta.h"

#define SERVICE_LABEL "kubernetes.io/service-name"

void lb_kube_slice_free(struct lb_kube_slice *slice)
{
	if (!slice)
		return;
	for (size_t i = 0; i < slice->n_endpoints; i++)
		lb_kube_name_drop(slice->names, slice->endpoints[i].node);
	lb_kube_meta_done(&slice->meta);
	free(slice->service);
	free(slice->ports);
	free(slice->endpoints);
	free(slice);
}

/* Ready where it is not told, serving as it is ready, and not terminating. */
static __u8 read_conditions(struct lb_kube_reader *reader, const cJSON *json)
{
	const cJSON *conditions = lb_kube_object(reader, json, "conditions");
	bool ready = lb_kube_bool(reader, conditions, "ready", true);
	bool serving = lb_kube_bool(reader, conditions, "serving", ready);
	bool terminating = lb_kube_bool(reader, conditions, "terminating", false);

	return (__u8)((ready ? LB_KUBE_READY : 0) | (serving ? LB_KUBE_SERVING : 0) |
		      (terminating ? LB_KUBE_TERMINATING : 0));
}

static void read_endpoint(struct lb_kube_reader *reader, const cJSON *json, struct lb_kube_slice *slice)
{
	struct lb_kube_endpoint *endpoint = &slice->endpoints[slice->n_endpoints];
	const cJSON *addresses = lb_kube_array(reader, json, "addresses");
	const char *node = lb_kube_text(reader, json, "nodeName"), *address;

	if (!addresses || !addresses->child) {
		lb_kube_wrong(reader, "addresses", "a list of at least one");
		return;
	}
	address = lb_kube_element_text(reader, addresses->child);
	if (!address)
		return;
	endpoint->address = (__u32)XXH3_64bits(address, strlen(address));
	endpoint->conditions = read_conditions(reader, json);
	if (node && node[0]) {
		endpoint->node = lb_kube_name_use(slice->names, node);
		if (!endpoint->node)
			reader->failed = reader->failed ? reader->failed : -ENOMEM;
	}
	slice->n_endpoints++;
}

static void read_endpoints(struct lb_kube_reader *reader, const cJSON *object, struct lb_kube_slice *slice)
{
	const cJSON *item, *list = lb_kube_array(reader, object, "endpoints");

	slice->endpoints = lb_kube_room(reader, cJSON_GetArraySize(list), sizeof(*slice->endpoints));
	if (!slice->endpoints)
		return;
	cJSON_ArrayForEach (item, list)
		read_endpoint(reader, lb_kube_element(reader, item), slice);
}

static void read_family(struct lb_kube_reader *reader, const cJSON *object, struct lb_kube_slice *slice)
{
	const char *type = lb_kube_text(reader, object, "addressType");

	if (type && strcmp(type, "IPv4") == 0)
		slice->family = LB_FAMILY_V4;
	else if (type && strcmp(type, "IPv6") == 0)
		slice->family = LB_FAMILY_V6;
}

int lb_kube_slice_parse(const cJSON *object, struct lb_kube_names *names, struct lb_kube_slice **ret_slice,
			struct lb_error *error)
{
	struct lb_kube_reader reader = { .error = error };
	struct lb_kube_slice *slice = lb_kube_room(&reader, 1, sizeof(*slice));
	const cJSON *meta = lb_kube_object(&reader, object, "metadata");
	const cJSON *labels = lb_kube_object(&reader, meta, "labels");
	const char *service = lb_kube_text(&reader, labels, SERVICE_LABEL);

	if (!slice)
		return reader.failed;
	slice->names = names;
	lb_kube_read_meta(&reader, object, &slice->meta);
	if (!slice->meta.namespace)
		lb_kube_wrong(&reader, "metadata.namespace", "given");
	slice->service = lb_kube_copy(&reader, service ? service : "");
	read_family(&reader, object, slice);
	lb_kube_read_ports(&reader, lb_kube_array(&reader, object, "ports"), &slice->ports, &slice->n_ports);
	if (slice->family)
		read_endpoints(&reader, object, slice);
	if (reader.failed)
		lb_kube_slice_free(slice);
	else
		*ret_slice = slice;
	return reader.failed;
}
