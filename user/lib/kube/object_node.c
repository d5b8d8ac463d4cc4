// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nodes. Whether one is Ready, or cordoned, does not matter (KEP-3458): whether its service proxy says that
 * it is healthy does, and that is asked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kube/object_meta.h"

#define EXCLUDE_LABEL    "node.kubernetes.io/exclude-from-external-load-balancers"
#define AUTOSCALER_TAINT "ToBeDeletedByClusterAutoscaler"

void lb_kube_node_free(struct lb_kube_node *node)
{
	if (!node)
		return;
	lb_kube_meta_done(&node->meta);
	free(node);
}

bool lb_kube_node_equal(const struct lb_kube_node *a, const struct lb_kube_node *b)
{
	return strcmp(a->meta.name, b->meta.name) == 0 &&
	       lb_address_equal(&a->addresses[0], &b->addresses[0]) &&
	       lb_address_equal(&a->addresses[1], &b->addresses[1]) && a->excluded == b->excluded &&
	       a->leaving == b->leaving && a->edge == b->edge;
}

static void read_address(struct lb_kube_reader *reader, const cJSON *json, struct lb_kube_node *node)
{
	const char *type = lb_kube_text(reader, json, "type"), *text = lb_kube_text(reader, json, "address");
	struct lb_address address;
	int at;

	if (!type || !text || strcmp(type, "InternalIP") != 0 || lb_address_parse(text, &address) < 0)
		return;
	at = address.family == LB_FAMILY_V6;
	if (!node->addresses[at].family)
		node->addresses[at] = address;
}

static void read_taint(struct lb_kube_reader *reader, const cJSON *json, struct lb_kube_node *node)
{
	const char *key = lb_kube_text(reader, json, "key");

	if (key && strcmp(key, AUTOSCALER_TAINT) == 0)
		node->leaving = true;
}

/* "key", or "key=value". */
static bool has_label(struct lb_kube_reader *reader, const cJSON *labels, const char *wanted)
{
	const char *equals = strchr(wanted, '='), *value;
	char key[LB_KUBE_NAME_MAX + LB_KUBE_LABEL_MAX];
	size_t length = equals ? (size_t)(equals - wanted) : strlen(wanted);

	if (length == 0 || length >= sizeof(key))
		return false;
	memcpy(key, wanted, length);
	key[length] = 0;
	value = lb_kube_text(reader, labels, key);
	return value && (!equals || strcmp(value, equals + 1) == 0);
}

int lb_kube_node_parse(const cJSON *object, const char *edge_label, struct lb_kube_node **ret_node,
		       struct lb_error *error)
{
	struct lb_kube_reader reader = { .error = error };
	struct lb_kube_node *node = lb_kube_room(&reader, 1, sizeof(*node));
	const cJSON *meta = lb_kube_object(&reader, object, "metadata");
	const cJSON *labels = lb_kube_object(&reader, meta, "labels");
	const cJSON *spec = lb_kube_object(&reader, object, "spec");
	const cJSON *status = lb_kube_object(&reader, object, "status"), *item;

	if (!node)
		return reader.failed;
	lb_kube_read_meta(&reader, object, &node->meta);
	node->excluded = lb_kube_text(&reader, labels, EXCLUDE_LABEL) != NULL;
	node->edge = has_label(&reader, labels, edge_label);
	node->leaving = node->meta.deleting;
	cJSON_ArrayForEach (item, lb_kube_array(&reader, spec, "taints"))
		read_taint(&reader, lb_kube_element(&reader, item), node);
	cJSON_ArrayForEach (item, lb_kube_array(&reader, status, "addresses"))
		read_address(&reader, lb_kube_element(&reader, item), node);
	if (reader.failed)
		lb_kube_node_free(node);
	else
		*ret_node = node;
	return reader.failed;
}
