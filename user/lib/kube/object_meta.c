// SPDX-License-Identifier: GPL-2.0-only
/*
 * Metadata, maps of strings, lists of strings, ports.
 */
#include "kube/object_meta.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

void lb_kube_meta_done(struct lb_kube_meta *meta)
{
	free(meta->namespace);
	free(meta->name);
	free(meta->uid);
	free(meta->resource_version);
	memset(meta, 0, sizeof(*meta));
}

/* A name must be there, and one that the API server would take: it becomes a part of paths. */
static bool is_name(const char *name, size_t max)
{
	static const char characters[] = "abcdefghijklmnopqrstuvwxyz0123456789-.";

	return name && name[0] && name[0] != '.' && strlen(name) < max && !name[strspn(name, characters)];
}

void lb_kube_read_meta(struct lb_kube_reader *reader, const cJSON *object, struct lb_kube_meta *meta)
{
	const cJSON *json = lb_kube_object(reader, object, "metadata");
	const char *namespace = lb_kube_text(reader, json, "namespace");
	const char *name = lb_kube_text(reader, json, "name");
	const char *created = lb_kube_text(reader, json, "creationTimestamp");

	if (!is_name(name, LB_KUBE_NAME_MAX))
		lb_kube_wrong(reader, "metadata.name", "a DNS name");
	if (namespace && !is_name(namespace, LB_KUBE_LABEL_MAX))
		lb_kube_wrong(reader, "metadata.namespace", "a DNS label");
	meta->namespace = lb_kube_copy(reader, namespace);
	meta->name = lb_kube_copy(reader, name);
	meta->uid = lb_kube_copy(reader, lb_kube_text(reader, json, "uid"));
	meta->resource_version = lb_kube_copy(reader, lb_kube_text(reader, json, "resourceVersion"));
	snprintf(meta->created, sizeof(meta->created), "%s", created ? created : "");
	meta->deleting = lb_kube_text(reader, json, "deletionTimestamp") != NULL;
}

int lb_kube_meta_parse(const cJSON *object, struct lb_kube_meta *ret_meta, struct lb_error *error)
{
	struct lb_kube_reader reader = { .error = error };
	struct lb_kube_meta meta = {};

	lb_kube_read_meta(&reader, object, &meta);
	if (reader.failed)
		lb_kube_meta_done(&meta);
	else
		*ret_meta = meta;
	return reader.failed;
}

/* --- maps and lists of strings ---------------------------------------------------------------------------
 */

const char *lb_kube_pair_value(const struct lb_kube_pairs *pairs, const char *key)
{
	for (size_t i = 0; i < pairs->n; i++)
		if (strcmp(pairs->all[i].key, key) == 0)
			return pairs->all[i].value;
	return NULL;
}

void lb_kube_read_pairs(struct lb_kube_reader *reader, const cJSON *object, const char *prefix,
			struct lb_kube_pairs *pairs)
{
	const cJSON *item;
	int n = 0;

	cJSON_ArrayForEach (item, object)
		n += strncmp(item->string, prefix, strlen(prefix)) == 0;
	pairs->all = lb_kube_room(reader, n, sizeof(*pairs->all));
	if (!pairs->all)
		return;
	cJSON_ArrayForEach (item, object) {
		struct lb_kube_pair *pair = &pairs->all[pairs->n];

		if (strncmp(item->string, prefix, strlen(prefix)) != 0)
			continue;
		pair->key = lb_kube_copy(reader, item->string);
		pair->value = lb_kube_copy(reader, lb_kube_element_text(reader, item));
		pairs->n++;
	}
}

void lb_kube_pairs_done(struct lb_kube_pairs *pairs)
{
	for (size_t i = 0; i < pairs->n; i++) {
		free(pairs->all[i].key);
		free(pairs->all[i].value);
	}
	free(pairs->all);
}

void lb_kube_read_texts(struct lb_kube_reader *reader, const cJSON *list, char ***ret_texts, size_t *ret_n)
{
	const cJSON *item;
	char **texts = lb_kube_room(reader, cJSON_GetArraySize(list), sizeof(*texts));

	*ret_texts = texts;
	*ret_n = 0;
	if (!texts)
		return;
	cJSON_ArrayForEach (item, list)
		texts[(*ret_n)++] = lb_kube_copy(reader, lb_kube_element_text(reader, item));
}

void lb_kube_texts_done(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

/* --- ports -----------------------------------------------------------------------------------------------
 */

/* A port number, 0 where there is none. */
static __u16 read_port_number(struct lb_kube_reader *reader, const cJSON *port, const char *key)
{
	__s64 number = lb_kube_number(reader, port, key, 0);

	if (number >= 0 && number <= 65535)
		return (__u16)number;
	lb_kube_wrong(reader, key, "a port");
	return 0;
}

static void read_port(struct lb_kube_reader *reader, const cJSON *json, struct lb_kube_port *port)
{
	const char *name = lb_kube_text(reader, json, "name");
	const char *protocol = lb_kube_text(reader, json, "protocol");

	if (name && strlen(name) >= sizeof(port->name))
		lb_kube_wrong(reader, "name", "a DNS label");
	snprintf(port->name, sizeof(port->name), "%s", name ? name : "");
	port->port = read_port_number(reader, json, "port");
	port->node_port = read_port_number(reader, json, "nodePort");
	if (!protocol || strcmp(protocol, "TCP") == 0)
		port->protocol = IPPROTO_TCP;
	else if (strcmp(protocol, "UDP") == 0)
		port->protocol = IPPROTO_UDP;
}

void lb_kube_read_ports(struct lb_kube_reader *reader, const cJSON *list, struct lb_kube_port **ret_ports,
			size_t *ret_n)
{
	struct lb_kube_port *ports = lb_kube_room(reader, cJSON_GetArraySize(list), sizeof(*ports));
	const cJSON *item;

	*ret_ports = ports;
	*ret_n = 0;
	if (!ports)
		return;
	cJSON_ArrayForEach (item, list)
		read_port(reader, lb_kube_element(reader, item), &ports[(*ret_n)++]);
}

__u64 lb_kube_ports_digest(const struct lb_kube_port *ports, size_t n)
{
	__u64 digest = 0;

	for (size_t i = 0; i < n; i++) {
		const __u32 words[] = { ports[i].port, ports[i].protocol };

		if (ports[i].protocol)
			digest = XXH3_64bits_withSeed(words, sizeof(words), digest);
	}
	return digest;
}
