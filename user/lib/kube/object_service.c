// SPDX-License-Identifier: GPL-2.0-only
/*
 * Services. Source: the API reference of v1.Service, and KEP-1860 (ipMode).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "kube/object_meta.h"

void lb_kube_service_free(struct lb_kube_service *service)
{
	if (!service)
		return;
	lb_kube_meta_done(&service->meta);
	free(service->class);
	free(service->wanted_address);
	free(service->ports);
	free(service->ingress);
	free(service->source_ranges);
	lb_kube_texts_done(service->finalizers, service->n_finalizers);
	lb_kube_pairs_done(&service->annotations);
	lb_kube_pairs_done(&service->labels);
	free(service);
}

bool lb_kube_has_finalizer(const struct lb_kube_service *service)
{
	for (size_t i = 0; i < service->n_finalizers; i++)
		if (strcmp(service->finalizers[i], LB_KUBE_FINALIZER) == 0)
			return true;
	return false;
}

/* Without ipFamilies, which the API server fills in, it is the family of a cluster from before there were
 * two. */
static void read_families(struct lb_kube_reader *reader, const cJSON *spec, struct lb_kube_service *service)
{
	const char *policy = lb_kube_text(reader, spec, "ipFamilyPolicy");
	const cJSON *item, *list = lb_kube_array(reader, spec, "ipFamilies");

	service->require_both = policy && strcmp(policy, "RequireDualStack") == 0;
	cJSON_ArrayForEach (item, list) {
		const char *family = lb_kube_element_text(reader, item);

		if (!family)
			return;
		if (service->n_families == LB_KUBE_FAMILIES ||
		    (strcmp(family, "IPv4") != 0 && strcmp(family, "IPv6") != 0)) {
			lb_kube_wrong(reader, "ipFamilies", "IPv4, IPv6 or both");
			return;
		}
		service->families[service->n_families++] = family[3] == '4' ? LB_FAMILY_V4 : LB_FAMILY_V6;
	}
	if (!service->n_families)
		service->families[service->n_families++] = LB_FAMILY_V4;
}

/* Whether a member is one of two words; absent: the first. Another is a value that we do not know. */
static bool read_either(struct lb_kube_reader *reader, const cJSON *spec, const char *key, const char *first,
			const char *second, bool *bad)
{
	const char *value = lb_kube_text(reader, spec, key);

	if (!value || !value[0] || strcmp(value, first) == 0)
		return false;
	*bad |= strcmp(value, second) != 0;
	return true;
}

/* Blanks around and bits behind the length are taken by the API server, and by the service proxies. */
static int read_range(const char *text, struct lb_prefix *ret_range)
{
	char copy[LB_PREFIX_TEXT_MAX], *slash;
	size_t first = strspn(text, " \t"), length = strlen(text + first);
	int r;

	while (length && strchr(" \t", text[first + length - 1]))
		length--;
	if (length >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text + first, length);
	copy[length] = 0;
	r = lb_prefix_parse(copy, ret_range);
	if (r != -EDOM)
		return r;
	slash = strchr(copy, '/');
	*slash = 0;
	ret_range->length = (__u8)strtoul(slash + 1, NULL, 10);
	r = lb_address_parse(copy, &ret_range->address);
	if (r == 0)
		lb_address_mask(&ret_range->address, ret_range->length);
	return r;
}

static bool has_range(const struct lb_kube_service *service, const struct lb_prefix *range)
{
	for (size_t i = 0; i < service->n_source_ranges; i++)
		if (memcmp(&service->source_ranges[i], range, sizeof(*range)) == 0)
			return true;
	return false;
}

static void read_ranges(struct lb_kube_reader *reader, const cJSON *spec, struct lb_kube_service *service)
{
	const cJSON *item, *list = lb_kube_array(reader, spec, "loadBalancerSourceRanges");
	int n = list ? cJSON_GetArraySize(list) : 0;

	if (n > LB_SOURCE_RANGES_MAX) {
		service->bad_policy = true;
		return;
	}
	service->source_ranges = lb_kube_room(reader, n, sizeof(*service->source_ranges));
	if (!service->source_ranges)
		return;
	cJSON_ArrayForEach (item, list) {
		const char *text = lb_kube_element_text(reader, item);
		struct lb_prefix range = {};

		if (!text)
			return;
		if (read_range(text, &range) < 0)
			service->bad_policy = true;
		else if (!has_range(service, &range))
			service->source_ranges[service->n_source_ranges++] = range;
	}
}

static void read_spec(struct lb_kube_reader *reader, const cJSON *spec, struct lb_kube_service *service)
{
	const char *type = lb_kube_text(reader, spec, "type");
	const char *address = lb_kube_text(reader, spec, "loadBalancerIP");
	__s64 check_port = lb_kube_number(reader, spec, "healthCheckNodePort", 0);

	service->load_balancer = type && strcmp(type, "LoadBalancer") == 0;
	service->local =
		read_either(reader, spec, "externalTrafficPolicy", "Cluster", "Local", &service->bad_policy);
	service->client_ip =
		read_either(reader, spec, "sessionAffinity", "None", "ClientIP", &service->bad_policy);
	service->publish_not_ready = lb_kube_bool(reader, spec, "publishNotReadyAddresses", false);
	service->class = lb_kube_copy(reader, lb_kube_text(reader, spec, "loadBalancerClass"));
	service->wanted_address = lb_kube_copy(reader, address && address[0] ? address : NULL);
	if (check_port < 0 || check_port > 65535)
		lb_kube_wrong(reader, "healthCheckNodePort", "a port");
	service->health_check_node_port = (__u16)check_port;
	read_families(reader, spec, service);
	lb_kube_read_ports(reader, lb_kube_array(reader, spec, "ports"), &service->ports, &service->n_ports);
	read_ranges(reader, spec, service);
}

static void read_ingress(struct lb_kube_reader *reader, const cJSON *json, struct lb_kube_service *service)
{
	struct lb_kube_ingress *ingress = &service->ingress[service->n_ingress];
	const char *ip = lb_kube_text(reader, json, "ip"), *mode = lb_kube_text(reader, json, "ipMode");
	struct lb_kube_port *ports = NULL;
	size_t n_ports = 0;

	if (!ip || lb_address_parse(ip, &ingress->address) < 0) {
		service->strange_ingress = true;
		return;
	}
	lb_kube_read_ports(reader, lb_kube_array(reader, json, "ports"), &ports, &n_ports);
	ingress->ports = lb_kube_ports_digest(ports, n_ports);
	ingress->vip = mode && strcmp(mode, "VIP") == 0;
	service->n_ingress++;
	free(ports);
}

static void read_status(struct lb_kube_reader *reader, const cJSON *object, struct lb_kube_service *service)
{
	const cJSON *status = lb_kube_object(reader, object, "status");
	const cJSON *list = lb_kube_array(reader, lb_kube_object(reader, status, "loadBalancer"), "ingress");
	const cJSON *item;

	service->ingress = lb_kube_room(reader, cJSON_GetArraySize(list), sizeof(*service->ingress));
	if (!service->ingress)
		return;
	cJSON_ArrayForEach (item, list)
		read_ingress(reader, lb_kube_element(reader, item), service);
}

int lb_kube_service_parse(const cJSON *object, struct lb_kube_service **ret_service, struct lb_error *error)
{
	struct lb_kube_reader reader = { .error = error };
	struct lb_kube_service *service = lb_kube_room(&reader, 1, sizeof(*service));
	const cJSON *meta = lb_kube_object(&reader, object, "metadata");

	if (!service)
		return reader.failed;
	lb_kube_read_meta(&reader, object, &service->meta);
	if (!service->meta.namespace)
		lb_kube_wrong(&reader, "metadata.namespace", "given");
	lb_kube_read_pairs(&reader, lb_kube_object(&reader, meta, "annotations"), LB_KUBE_PREFIX,
			   &service->annotations);
	lb_kube_read_pairs(&reader, lb_kube_object(&reader, meta, "labels"), "", &service->labels);
	lb_kube_read_texts(&reader, lb_kube_array(&reader, meta, "finalizers"), &service->finalizers,
			   &service->n_finalizers);
	read_spec(&reader, lb_kube_object(&reader, object, "spec"), service);
	read_status(&reader, object, service);
	if (reader.failed)
		lb_kube_service_free(service);
	else
		*ret_service = service;
	return reader.failed;
}
